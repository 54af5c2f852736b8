//! The recipient domains of the small Internet: what each publishes, how its mail hosts behave, and so
//! how mail to it must end and what its report must say. The truth is known by construction, not by
//! asking anyone.
//!
//! There are two sets: sixteen domains for the demo and any MTA, and the domains that real Postfix is
//! held to, and real Exim where they have DANE. Those with DANE have every pair of what it says of a mail
//! host (nothing, a match, no match, a failed lookup, records that cannot be used) and what MTA-STS says
//! (nothing, tested, enforced and content, enforced and not).

mod blueprint;
mod dane;
mod demo;
mod postfix;
mod words;

use std::{fmt, iter};

use serde::{Deserialize, Serialize};

pub(crate) use blueprint::{
    Blueprint, Dnssec, MailHost, Place, Preferences, Publishes, Rua, TlsaOf, TlsaPlan, policy_lines,
};

/// The mailbox that reports go to.
pub(crate) const RUA: &str = "tlsrpt@reports.test";

/// Which recipient domains there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cases {
    /// The sixteen of the demo: MTA-STS, no DANE.
    #[default]
    Demo,
    /// Those that real Postfix is held to: MTA-STS and DANE, and what only shows with a real MTA. Real Exim
    /// is held to those with DANE.
    Postfix,
}

impl Cases {
    pub(crate) fn blueprints(self) -> Vec<Blueprint> {
        match self {
            Self::Demo => demo::blueprints(),
            Self::Postfix => postfix::blueprints(),
        }
    }
}

/// One recipient domain and its truth. One message is sent to it, and its delivery is tried once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// The recipient domain, in lower-case ASCII (an A-label where it is not).
    pub domain: String,
    /// The domain as people write it, where that is not ASCII: `bücher.test`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub u_label: Option<String>,
    /// What it publishes, in a few words: `enforce`, `testing`, `no policy`, `DANE`.
    pub policy: String,
    /// What is the matter with it.
    pub story: String,
    /// How a message to it must end.
    pub delivered: Delivery,
    /// The mail host that must have the message; none where it is deferred.
    pub mx: Option<String>,
    /// How many TLS sessions the sender must count, good and bad; one that was held to TLSA records and to a
    /// policy is two.
    pub sessions: u64,
    /// What its report must say in the one element of its `policies`, or in the first; none where it
    /// asks for no reports, or where there was no session.
    pub report: Option<Expected>,
    /// What the other elements must say, in no order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<Expected>,
    /// Where chance decides (two mail hosts of equal preference): the other way that it may end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<Box<Self>>,
}

impl Case {
    /// The result types its report must hold, sorted, each once.
    #[must_use]
    pub fn result_types(&self) -> Vec<String> {
        let failures = self.elements().flat_map(|element| &element.failures);
        let mut types: Vec<String> = failures
            .map(|failure| failure.result_type.clone())
            .collect();
        types.sort();
        types.dedup();
        types
    }

    /// What every element of its report's `policies` must say, in no order; nothing where there must be
    /// no report.
    pub fn elements(&self) -> impl Iterator<Item = &Expected> {
        self.report.iter().chain(&self.more)
    }

    /// The truth, given which mail host has the message: this, or [`otherwise`](Self::otherwise). This
    /// where neither fits.
    #[must_use]
    pub fn as_taken_by(&self, mx: Option<&str>) -> &Self {
        iter::successors(Some(self), |case| case.otherwise.as_deref())
            .find(|case| case.mx.as_deref() == mx)
            .unwrap_or(self)
    }
}

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// Delivered over TLS with a certificate that was demanded and verified, by whichever policy.
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

/// What one element of a report's `policies` must say after one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Where the report must arrive.
    pub rua: String,
    /// `policy-type`.
    pub policy_type: String,
    /// `policy-domain` where it is not the recipient domain: under `tlsa` it is the mail host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_domain: Option<String>,
    /// `policy-string`: the lines of the policy document, or the TLSA records, sorted; empty where
    /// there is none or it was not had.
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
    /// `failure-reason-code`, without what stands before it to say where the knowledge comes from
    /// (`policy:`, `probe:`); none where the truth does not depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `failed-session-count`.
    pub sessions: u64,
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::Tlsa;

    fn all(cases: Cases) -> Vec<Case> {
        let blueprints = cases.blueprints();
        let hosts = blueprints
            .iter()
            .flat_map(|blueprint| &blueprint.mail_hosts);
        let records: BTreeMap<_, _> = hosts
            .map(|host| (host.name.to_owned(), vec![Tlsa::of_no_key()]))
            .collect();
        blueprints
            .iter()
            .map(|blueprint| blueprint.case(&records))
            .collect()
    }

    #[test]
    fn every_case_is_told_apart_and_hangs_together() {
        for cases in [Cases::Demo, Cases::Postfix] {
            let all = all(cases);
            let domains: BTreeSet<_> = all.iter().map(|case| &case.domain).collect();
            assert_eq!(domains.len(), all.len());
            let others = all.iter().filter_map(|case| case.otherwise.as_deref());
            for case in all.iter().chain(others) {
                let deferred = case.delivered == Delivery::Deferred;
                assert_eq!(deferred, case.mx.is_none(), "{}", case.domain);
                let mut sessions = 0;
                for element in case.elements() {
                    let details = element.failures.iter().map(|failure| failure.sessions);
                    assert_eq!(details.sum::<u64>(), element.failure, "{}", case.domain);
                    assert!(element.success + element.failure > 0, "{}", case.domain);
                    sessions += element.success + element.failure;
                }
                if case.report.is_some() {
                    assert_eq!(sessions, case.sessions, "{}", case.domain);
                }
            }
        }
    }

    #[test]
    fn mail_hosts_have_each_their_own_name_and_are_their_domains() {
        for cases in [Cases::Demo, Cases::Postfix] {
            let mut names = BTreeSet::new();
            for blueprint in cases.blueprints() {
                let of_domain: Vec<_> = blueprint.mail_hosts.iter().map(|host| host.name).collect();
                for outcome in blueprint.otherwise.iter().chain([&blueprint.outcome]) {
                    let taken_by = outcome.taken_by.iter();
                    let failures = outcome.sessions.iter().flat_map(|one| &one.failures);
                    for mx in taken_by.chain(failures.filter_map(|one| one.mx.as_ref())) {
                        assert!(of_domain.contains(mx), "{}: {mx}", blueprint.domain);
                    }
                }
                for name in of_domain {
                    assert!(names.insert(name), "{name}");
                }
            }
        }
    }

    #[test]
    fn the_demo_has_sixteen_and_one_of_them_asks_for_no_report() {
        let all = all(Cases::Demo);
        assert_eq!(all.len(), 16);
        let silent: Vec<_> = all.iter().filter(|case| case.report.is_none()).collect();
        assert_eq!(silent.len(), 1);
        assert_eq!(silent[0].domain, "no-rua.test");
    }

    #[test]
    fn the_truth_is_written_as_the_demo_prints_it() {
        let case = &all(Cases::Demo)[1];
        let json = serde_json::to_value(case).unwrap();
        let report = serde_json::json!({
            "rua": RUA,
            "policy_type": "sts",
            "policy_string": ["version: STSv1", "mode: enforce", "mx: mx.expired.test",
                "max_age: 604800"],
            "success": 0,
            "failure": 1,
            "failures": [
                {"result_type": "certificate-expired", "mx": "mx.expired.test", "sessions": 1},
            ],
        });
        let expected = serde_json::json!({
            "domain": "expired.test",
            "policy": "enforce",
            "story": "the MX certificate has expired",
            "delivered": "deferred",
            "mx": null,
            "sessions": 1,
            "report": report,
        });
        assert_eq!(json, expected);
        assert_eq!(case.result_types(), ["certificate-expired"]);
        assert_eq!(serde_json::from_value::<Case>(json).unwrap(), *case);
    }

    #[test]
    fn chance_is_told_by_who_has_the_message() {
        let all = all(Cases::Postfix);
        let case = all.iter().find(|case| case.otherwise.is_some()).unwrap();
        let other = case.otherwise.as_deref().unwrap();
        assert_eq!(case.as_taken_by(case.mx.as_deref()), case);
        assert_eq!(case.as_taken_by(other.mx.as_deref()), other);
        assert_eq!(case.as_taken_by(None), case);
        let json = serde_json::to_value(case).unwrap();
        assert_eq!(serde_json::from_value::<Case>(json).unwrap(), *case);
    }
}
