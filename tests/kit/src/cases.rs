//! The recipient domains of the small Internet: what each publishes, how its mail hosts behave, and so
//! how mail to it must end and what its report must say. The truth is known by construction, not by
//! asking anyone.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{authority::Flaw, mx::MxBehaviour};

/// The mailbox that reports go to.
pub(crate) const RUA: &str = "tlsrpt@reports.test";

/// One recipient domain and its truth. One message is sent to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// The recipient domain.
    pub domain: String,
    /// What it publishes, in a few words: `enforce`, `testing`, `no policy`.
    pub policy: String,
    /// What is the matter with it.
    pub story: String,
    /// How a message to it must end.
    pub delivered: Delivery,
    /// The mail host that must have the message; none where it is deferred.
    pub mx: Option<String>,
    /// How many TLS sessions the sender must count, good and bad.
    pub sessions: u64,
    /// What its report must say; none where it asks for no reports.
    pub report: Option<Expected>,
}

impl Case {
    /// The result types its report must hold, sorted, each once.
    #[must_use]
    pub fn result_types(&self) -> Vec<String> {
        let failures = self.report.iter().flat_map(|report| &report.failures);
        let mut types: Vec<String> = failures
            .map(|failure| failure.result_type.clone())
            .collect();
        types.sort();
        types.dedup();
        types
    }
}

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// Delivered over TLS with a certificate that was demanded and verified.
    TlsVerified,
    /// Delivered over TLS, and nothing was demanded of the certificate.
    Tls,
    /// Delivered in the clear.
    Plain,
    /// Not delivered; to be tried again.
    Deferred,
}

impl fmt::Display for Delivery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::TlsVerified => "tls-verified",
            Self::Tls => "tls",
            Self::Plain => "plain",
            Self::Deferred => "deferred",
        })
    }
}

/// What the one element of a report's `policies` must say after one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Where the report must arrive.
    pub rua: String,
    /// `policy-type`.
    pub policy_type: String,
    /// `policy-string`, the lines of the policy document; empty where there is none or it was not had.
    pub policy_string: Vec<String>,
    /// `total-successful-session-count`.
    pub success: u64,
    /// `total-failure-session-count`.
    pub failure: u64,
    /// `failure-details`.
    pub failures: Vec<ExpectedFailure>,
}

/// One element of `failure-details`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedFailure {
    /// `result-type`.
    pub result_type: String,
    /// `receiving-mx-hostname`; none where it was the policy that failed.
    pub mx: Option<String>,
    /// `failed-session-count`.
    pub sessions: u64,
}

/// How a domain is set up, and what must come of it.
pub(crate) struct Blueprint {
    pub(crate) domain: &'static str,
    pub(crate) story: &'static str,
    pub(crate) publishes: Publishes,
    pub(crate) mail_hosts: Vec<MailHost>,
    pub(crate) rua: Rua,
    pub(crate) delivered: Delivery,
    /// The name of the mail host that must have the message.
    pub(crate) taken_by: Option<&'static str>,
    pub(crate) success: u64,
    /// Result type and mail host.
    pub(crate) failures: Vec<(&'static str, Option<&'static str>)>,
}

/// What a domain publishes by MTA-STS.
#[derive(Clone, Copy)]
pub(crate) enum Publishes {
    /// Nothing.
    Nothing,
    /// A policy of this mode for these MX patterns.
    Policy(&'static str, &'static [&'static str]),
    /// A record, and a policy host that nobody can connect to.
    HostDown,
    /// A record, and a policy host whose certificate is for another name.
    HostCertificateWrong,
    /// A record, and a policy host that serves a web page instead.
    HostTalksRubbish,
}

impl Publishes {
    fn words(self) -> String {
        match self {
            Self::Nothing => "no policy".to_owned(),
            Self::Policy(mode, _) => mode.to_owned(),
            Self::HostDown => "host down".to_owned(),
            Self::HostCertificateWrong => "host's certificate bad".to_owned(),
            Self::HostTalksRubbish => "host serves rubbish".to_owned(),
        }
    }

    /// The document, line by line; empty where none is served.
    pub(crate) fn document(self) -> Vec<String> {
        let Self::Policy(mode, patterns) = self else {
            return Vec::new();
        };
        let mut lines = vec!["version: STSv1".to_owned(), format!("mode: {mode}")];
        lines.extend(patterns.iter().map(|pattern| format!("mx: {pattern}")));
        lines.push("max_age: 604800".to_owned());
        lines
    }

    fn policy_type(self) -> &'static str {
        match self {
            // OURS: mode none is reported as no-policy-found.
            Self::Nothing | Self::Policy("none", _) => "no-policy-found",
            _ => "sts",
        }
    }
}

/// A mail host of a domain, in the order of preference.
#[derive(Clone, Copy)]
pub(crate) struct MailHost {
    pub(crate) name: &'static str,
    pub(crate) flaw: Option<Flaw>,
    pub(crate) behaviour: MxBehaviour,
}

/// Does a domain ask for reports?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rua {
    Asks,
    AsksNot,
}

impl Blueprint {
    pub(crate) fn case(&self) -> Case {
        let failures: Vec<ExpectedFailure> = self
            .failures
            .iter()
            .map(|(result_type, mx)| ExpectedFailure {
                result_type: (*result_type).to_owned(),
                mx: mx.map(str::to_owned),
                sessions: 1,
            })
            .collect();
        let policy_type = self.publishes.policy_type();
        Case {
            domain: self.domain.to_owned(),
            policy: self.publishes.words(),
            story: self.story.to_owned(),
            delivered: self.delivered,
            mx: self.taken_by.map(str::to_owned),
            sessions: failures.iter().map(|failure| failure.sessions).sum::<u64>() + self.success,
            report: (self.rua == Rua::Asks).then(|| Expected {
                rua: RUA.to_owned(),
                policy_type: policy_type.to_owned(),
                policy_string: if policy_type == "sts" {
                    self.publishes.document()
                } else {
                    Vec::new()
                },
                success: self.success,
                failure: failures.iter().map(|failure| failure.sessions).sum(),
                failures,
            }),
        }
    }
}

const fn good(name: &'static str) -> MailHost {
    MailHost {
        name,
        flaw: None,
        behaviour: MxBehaviour::Correct,
    }
}

const fn flawed(name: &'static str, flaw: Flaw) -> MailHost {
    MailHost {
        name,
        flaw: Some(flaw),
        behaviour: MxBehaviour::Correct,
    }
}

/// A domain whose one good mail host takes the message over verified TLS.
fn verified(
    domain: &'static str,
    story: &'static str,
    mx: &'static str,
    patterns: &'static [&'static str],
) -> Blueprint {
    Blueprint {
        domain,
        story,
        publishes: Publishes::Policy("enforce", patterns),
        mail_hosts: vec![good(mx)],
        rua: Rua::Asks,
        delivered: Delivery::TlsVerified,
        taken_by: Some(mx),
        success: 1,
        failures: Vec::new(),
    }
}

/// An `enforce` domain whose one mail host is not good enough.
fn refused(
    domain: &'static str,
    story: &'static str,
    host: MailHost,
    patterns: &'static [&'static str],
    result_type: &'static str,
) -> Blueprint {
    Blueprint {
        domain,
        story,
        publishes: Publishes::Policy("enforce", patterns),
        mail_hosts: vec![host],
        rua: Rua::Asks,
        delivered: Delivery::Deferred,
        taken_by: None,
        success: 0,
        failures: vec![(result_type, Some(host.name))],
    }
}

/// A domain without a policy that binds the sender, and a mail host that speaks TLS.
fn opportunistic(
    domain: &'static str,
    story: &'static str,
    publishes: Publishes,
    mx: &'static str,
    policy_failure: Option<&'static str>,
) -> Blueprint {
    Blueprint {
        domain,
        story,
        publishes,
        mail_hosts: vec![good(mx)],
        rua: Rua::Asks,
        delivered: Delivery::Tls,
        taken_by: Some(mx),
        success: u64::from(policy_failure.is_none()),
        failures: policy_failure
            .map(|failure| (failure, None))
            .into_iter()
            .collect(),
    }
}

/// Every case, in the order of the demo's table.
pub(crate) fn blueprints() -> Vec<Blueprint> {
    let mut all = vec![verified(
        "correct.test",
        "nothing is wrong",
        "mx.correct.test",
        &["mx.correct.test"],
    )];
    all.extend(bad_mail_hosts());
    all.extend(bad_policy_hosts());
    all.extend([
        Blueprint {
            publishes: Publishes::Policy("testing", &["mx.testing.test"]),
            delivered: Delivery::Tls,
            taken_by: Some("mx.testing.test"),
            ..refused(
                "testing.test",
                "testing mode, and the MX certificate has expired",
                flawed("mx.testing.test", Flaw::Expired),
                &[],
                "certificate-expired",
            )
        },
        opportunistic(
            "none.test",
            "the policy says none",
            Publishes::Policy("none", &[]),
            "mx.none.test",
            None,
        ),
        opportunistic(
            "no-policy.test",
            "nothing is published",
            Publishes::Nothing,
            "mx.no-policy.test",
            None,
        ),
        Blueprint {
            mail_hosts: vec![
                flawed("mx1.two-mx.test", Flaw::Expired),
                good("mx2.two-mx.test"),
            ],
            failures: vec![("certificate-expired", Some("mx1.two-mx.test"))],
            ..verified(
                "two-mx.test",
                "the first of two MX has an expired certificate",
                "mx2.two-mx.test",
                &["mx1.two-mx.test", "mx2.two-mx.test"],
            )
        },
        verified(
            "wildcard.test",
            "the policy names its MX by a wildcard",
            "mail.wildcard.test",
            &["*.wildcard.test"],
        ),
        Blueprint {
            rua: Rua::AsksNot,
            ..verified(
                "no-rua.test",
                "nobody asks for a report",
                "mx.no-rua.test",
                &["mx.no-rua.test"],
            )
        },
    ]);
    all
}

fn bad_mail_hosts() -> Vec<Blueprint> {
    vec![
        refused(
            "expired.test",
            "the MX certificate has expired",
            flawed("mx.expired.test", Flaw::Expired),
            &["mx.expired.test"],
            "certificate-expired",
        ),
        refused(
            "self-signed.test",
            "the MX certificate is self-signed",
            flawed("mx.self-signed.test", Flaw::SelfSigned),
            &["mx.self-signed.test"],
            "certificate-not-trusted",
        ),
        refused(
            "wrong-name.test",
            "the MX certificate is for another name",
            flawed("mx.wrong-name.test", Flaw::WrongName),
            &["mx.wrong-name.test"],
            "certificate-host-mismatch",
        ),
        refused(
            "unknown-ca.test",
            "the MX certificate is from an unknown CA",
            flawed("mx.unknown-ca.test", Flaw::UnknownAuthority),
            &["mx.unknown-ca.test"],
            "certificate-not-trusted",
        ),
        refused(
            "no-starttls.test",
            "the MX offers no STARTTLS",
            MailHost {
                behaviour: MxBehaviour::NoStartTls,
                ..good("mx.no-starttls.test")
            },
            &["mx.no-starttls.test"],
            "starttls-not-supported",
        ),
        refused(
            "other-mx.test",
            "the MX is not one that the policy names",
            good("mx.elsewhere.test"),
            &["mx.other-mx.test"],
            "validation-failure",
        ),
    ]
}

fn bad_policy_hosts() -> Vec<Blueprint> {
    vec![
        opportunistic(
            "policy-down.test",
            "nobody listens at the policy host",
            Publishes::HostDown,
            "mx.policy-down.test",
            Some("sts-policy-fetch-error"),
        ),
        opportunistic(
            "policy-certificate.test",
            "the policy host's certificate is for another name",
            Publishes::HostCertificateWrong,
            "mx.policy-certificate.test",
            Some("sts-webpki-invalid"),
        ),
        opportunistic(
            "policy-rubbish.test",
            "the policy host serves a web page",
            Publishes::HostTalksRubbish,
            "mx.policy-rubbish.test",
            Some("sts-policy-invalid"),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_is_told_apart_and_hangs_together() {
        let blueprints = blueprints();
        assert_eq!(blueprints.len(), 16);
        let domains: BTreeSet<_> = blueprints
            .iter()
            .map(|blueprint| blueprint.domain)
            .collect();
        assert_eq!(domains.len(), blueprints.len());
        for blueprint in &blueprints {
            let case = blueprint.case();
            let deferred = case.delivered == Delivery::Deferred;
            assert_eq!(deferred, case.mx.is_none(), "{}", case.domain);
            if let Some(report) = &case.report {
                assert!(report.success + report.failure > 0, "{}", case.domain);
            }
        }
        let silent: Vec<Case> = blueprints
            .iter()
            .map(Blueprint::case)
            .filter(|case| case.report.is_none())
            .collect();
        assert_eq!(silent.len(), 1);
        assert_eq!(silent[0].domain, "no-rua.test");
    }

    #[test]
    fn the_truth_is_written_as_the_demo_prints_it() {
        let case = blueprints()[1].case();
        let json = serde_json::to_value(&case).unwrap();
        assert_eq!(json["delivered"], "deferred");
        assert_eq!(json["report"]["failures"][0]["mx"], "mx.expired.test");
        assert_eq!(case.result_types(), ["certificate-expired"]);
        assert_eq!(serde_json::from_value::<Case>(json).unwrap(), case);
    }
}
