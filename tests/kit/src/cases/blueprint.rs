//! How a recipient domain is set up, and what must come of it.

use std::collections::BTreeMap;

use super::{Case, Delivery, Expected, ExpectedFailure, RUA};
use crate::{authority::Flaw, dns::DnsFault, mx::MxBehaviour, tlsa::Tlsa};

/// The TLSA records of the mail hosts, by name.
pub(crate) type TlsaOf = BTreeMap<String, Vec<Tlsa>>;

/// A recipient domain.
pub(crate) struct Blueprint {
    pub(crate) domain: &'static str,
    /// The domain as people write it, where that is not ASCII.
    pub(crate) u_label: Option<&'static str>,
    pub(crate) story: &'static str,
    pub(crate) publishes: Publishes,
    pub(crate) dnssec: Dnssec,
    pub(crate) mail_hosts: Vec<MailHost>,
    pub(crate) preferences: Preferences,
    pub(crate) rua: Rua,
    pub(crate) outcome: Outcome,
    /// Where chance decides: the other one.
    pub(crate) otherwise: Option<Outcome>,
}

/// What comes of one message to it.
pub(crate) struct Outcome {
    pub(crate) delivered: Delivery,
    /// The name of the mail host that must have the message.
    pub(crate) taken_by: Option<&'static str>,
    /// The sessions by the policy they were held under; none where no connection came about.
    pub(crate) sessions: Vec<Sessions>,
}

/// Sessions under one policy.
pub(crate) struct Sessions {
    pub(crate) under: Under,
    pub(crate) success: u64,
    pub(crate) failures: Vec<Failed>,
}

/// Which policy.
#[derive(Clone, Copy)]
pub(crate) enum Under {
    /// What the domain publishes by MTA-STS, or none.
    Published,
    /// The TLSA records of this mail host.
    Tlsa(&'static str),
    /// The TLSA records of this mail host, which could not be had.
    TlsaNotHad(&'static str),
}

/// One failed session.
#[derive(Clone, Copy)]
pub(crate) struct Failed {
    pub(crate) result_type: &'static str,
    pub(crate) mx: Option<&'static str>,
    pub(crate) reason: Option<&'static str>,
}

/// What a domain publishes by MTA-STS.
pub(crate) enum Publishes {
    /// Nothing.
    Nothing,
    /// A policy of this mode for these MX patterns.
    Policy(&'static str, Vec<String>),
    /// A record, and a policy host that nobody can connect to.
    HostDown,
    /// A record, and a policy host whose certificate is for another name.
    HostCertificateWrong,
    /// A record, and a policy host that serves a web page instead.
    HostTalksRubbish,
    /// A record, and a policy host that knows of no such file.
    HostHasNone,
}

/// Is the domain's zone signed?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dnssec {
    Unsigned,
    Signed,
    /// It is not, but those of its mail hosts are.
    HostsSigned,
    /// It is, and to ask for its MX records is answered so.
    MxNotHad(DnsFault),
}

/// A mail host of a domain.
#[derive(Clone, Copy)]
pub(crate) struct MailHost {
    pub(crate) name: &'static str,
    pub(crate) flaw: Option<Flaw>,
    pub(crate) behaviour: MxBehaviour,
    pub(crate) tlsa: TlsaPlan,
    pub(crate) place: Place,
    /// The name that its own is an alias of, where it is one. There it has its TLSA records.
    pub(crate) alias_of: Option<&'static str>,
}

impl MailHost {
    /// RFC 7672 s2.2.3: the name below which its TLSA records are.
    pub(crate) fn base(&self) -> &'static str {
        self.alias_of.unwrap_or(self.name)
    }
}

/// What TLSA records a mail host has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsaPlan {
    /// None.
    Absent,
    /// One that its certificate matches.
    Matches,
    /// One that its certificate matches, beside one of an earlier certificate.
    RollsOver,
    /// One of the authority that issues the good certificates.
    Authority,
    /// Two that its certificate does not match.
    MatchesNothing,
    /// One that no client can use.
    Unusable,
    /// One, and to ask for it is answered with SERVFAIL.
    LookupFails,
    /// One, whose signature does not hold.
    Bogus,
}

/// Where a mail host is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On a loopback address of its own.
    Loopback,
    /// On an address where nobody listens.
    NobodyListens,
    /// On an IPv6 address, and on no other.
    Ipv6Only,
}

/// How its mail hosts stand to each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preferences {
    /// The first is to be tried first.
    InOrder,
    /// Chance decides.
    Equal,
}

/// Does a domain ask for reports?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rua {
    Asks,
    AsksNot,
}

impl Publishes {
    pub(super) fn policy(mode: &'static str, patterns: &[&str]) -> Self {
        let patterns = patterns.iter().map(|pattern| (*pattern).to_owned());
        Self::Policy(mode, patterns.collect())
    }

    fn words(&self) -> &'static str {
        match self {
            Self::Nothing => "no policy",
            Self::Policy(mode, _) => mode,
            Self::HostDown => "host down",
            Self::HostCertificateWrong => "host's certificate bad",
            Self::HostTalksRubbish => "host serves rubbish",
            Self::HostHasNone => "host has no policy",
        }
    }

    /// The document, line by line; empty where none is served.
    pub(crate) fn document(&self) -> Vec<String> {
        match self {
            Self::Policy(mode, patterns) => policy_lines(mode, patterns),
            _ => Vec::new(),
        }
    }

    fn policy_type(&self) -> &'static str {
        match self {
            // OURS: mode none is reported as no-policy-found.
            Self::Nothing | Self::Policy("none", _) => "no-policy-found",
            _ => "sts",
        }
    }
}

/// The lines of a policy document (RFC 8461 s3.2).
pub(crate) fn policy_lines(mode: &str, patterns: &[impl AsRef<str>]) -> Vec<String> {
    let mut lines = vec!["version: STSv1".to_owned(), format!("mode: {mode}")];
    let patterns = patterns.iter().map(AsRef::as_ref);
    lines.extend(patterns.map(|pattern| format!("mx: {pattern}")));
    lines.push("max_age: 604800".to_owned());
    lines
}

impl TlsaPlan {
    /// The records of a host whose certificate matches `matching`, where `authority` is the one that issues
    /// the good ones.
    pub(crate) fn records(self, matching: Tlsa, authority: &Tlsa) -> Vec<Tlsa> {
        match self {
            Self::Absent => Vec::new(),
            Self::Matches | Self::LookupFails | Self::Bogus => vec![matching],
            Self::RollsOver => vec![Tlsa::of_no_key(), matching],
            Self::Authority => vec![authority.clone()],
            Self::MatchesNothing => vec![Tlsa::of_no_key(), Tlsa::of_no_authority()],
            Self::Unusable => vec![Tlsa::unusable()],
        }
    }
}

impl Blueprint {
    /// The case, given the TLSA records that were made.
    pub(crate) fn case(&self, records: &TlsaOf) -> Case {
        let otherwise = self.otherwise.as_ref();
        Case {
            otherwise: otherwise.map(|outcome| Box::new(self.case_of(outcome, records))),
            ..self.case_of(&self.outcome, records)
        }
    }

    fn case_of(&self, outcome: &Outcome, records: &TlsaOf) -> Case {
        let expected: Vec<Expected> = outcome
            .sessions
            .iter()
            .map(|sessions| sessions.expected(self, records))
            .collect();
        let sessions = expected.iter().map(|one| one.success + one.failure).sum();
        let mut expected = expected.into_iter();
        let (report, more) = match self.rua {
            Rua::Asks => (expected.next(), expected.collect()),
            Rua::AsksNot => (None, Vec::new()),
        };
        Case {
            domain: self.domain.to_owned(),
            u_label: self.u_label.map(str::to_owned),
            policy: self.words(),
            story: self.story.to_owned(),
            delivered: outcome.delivered,
            mx: outcome.taken_by.map(str::to_owned),
            sessions,
            report,
            more,
            otherwise: None,
        }
    }

    fn words(&self) -> String {
        let mut hosts = self.mail_hosts.iter();
        let dane = hosts.any(|host| host.tlsa != TlsaPlan::Absent);
        match (&self.publishes, dane) {
            (Publishes::Nothing, true) => "DANE".to_owned(),
            (publishes, true) => format!("{}, DANE", publishes.words()),
            (publishes, false) => publishes.words().to_owned(),
        }
    }
}

impl Sessions {
    fn expected(&self, blueprint: &Blueprint, records: &TlsaOf) -> Expected {
        let publishes = &blueprint.publishes;
        let base = |name| {
            let mut hosts = blueprint.mail_hosts.iter();
            hosts.find(|host| host.name == name).map(MailHost::base)
        };
        let (policy_type, policy_domain, policy_string) = match self.under {
            Under::Published => match publishes.policy_type() {
                "sts" => ("sts", None, publishes.document()),
                other => (other, None, Vec::new()),
            },
            Under::TlsaNotHad(host) => ("tlsa", base(host), Vec::new()),
            Under::Tlsa(host) => {
                let records = records.get(host).into_iter().flatten();
                let mut lines: Vec<String> = records.map(Tlsa::to_string).collect();
                lines.sort();
                ("tlsa", base(host), lines)
            }
        };
        let failures: Vec<ExpectedFailure> = self.failures.iter().map(Failed::expected).collect();
        Expected {
            rua: RUA.to_owned(),
            policy_type: policy_type.to_owned(),
            policy_domain: policy_domain.map(str::to_owned),
            policy_string,
            success: self.success,
            failure: failures.iter().map(|failure| failure.sessions).sum(),
            failures,
        }
    }
}

impl Failed {
    fn expected(&self) -> ExpectedFailure {
        ExpectedFailure {
            result_type: self.result_type.to_owned(),
            mx: self.mx.map(str::to_owned),
            reason: self.reason.map(str::to_owned),
            sessions: 1,
        }
    }
}
