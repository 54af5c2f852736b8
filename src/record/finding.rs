//! What we found out about mail hosts by looking, where the MTA will not say.
//!
//! A look is a connection up to the TLS handshake, without a message, at most once in
//! `probe.interval_seconds` for a host. It says what a session with that host would have come to; which
//! host a session went to it does not say.

use std::net::IpAddr;

use sealpost_plugin_api::ResultType;

use super::{Failure, classify::Observed};
use crate::{
    clock::Timestamp,
    policy::{KeptPolicy, MxHost},
};

/// What was found out about the mail hosts of one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainFindings {
    /// When it was found out; of hosts that were looked at earlier, for another domain, the earliest.
    pub at: Timestamp,
    /// When its MX records were looked up.
    pub mx_at: Timestamp,
    /// Whether the domain has an `_smtp._tls` record. Where not, nobody reads a report, and no host
    /// was looked at.
    pub asks_for_reports: bool,
    /// Every mail host of the domain, in the order of preference, looked at or not: which of them a
    /// policy leaves out is told from this. Those behind the best that speak TLS are not looked at.
    /// Empty when the domain takes no mail, or names more hosts than anybody would look through.
    pub hosts: Vec<HostFinding>,
}

/// What was found out about one mail host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFinding {
    /// Lower is tried first.
    pub preference: u16,
    /// The host, as the MX record names it.
    pub host: MxHost,
    /// The address at which it answered our EHLO.
    pub address: Option<IpAddr>,
    /// What it called itself in its EHLO reply; harmless.
    pub helo: Option<String>,
    /// What a session came to, the certificate checked against the host's name and the trusted roots.
    /// [`Observed::NoSession`]: not looked at, not reached, or reached and still not known.
    pub observed: Observed,
    /// Whether its TLSA records could be looked up. A look always tries.
    pub tlsa: TlsaLookup,
}

impl DomainFindings {
    /// The mail hosts are those of before this policy was fetched. A domain that moves its mail publishes
    /// a new policy with it, so that nothing can be said of what the policy leaves out.
    #[must_use]
    pub fn are_older_than(&self, kept: &KeptPolicy) -> bool {
        self.mx_at < kept.fetched_at
    }

    /// Of the hosts of this kind those of the best preference, which an MTA picks from by chance.
    #[must_use]
    pub fn best(&self, kind: impl Fn(&HostFinding) -> bool) -> Vec<&HostFinding> {
        let of_kind = || self.hosts.iter().filter(|host| kind(host));
        let Some(best) = of_kind().map(|host| host.preference).min() else {
            return Vec::new();
        };
        of_kind().filter(|host| host.preference == best).collect()
    }
}

impl HostFinding {
    /// A host of which only the name is known.
    #[must_use]
    pub const fn not_looked_at(preference: u16, host: MxHost) -> Self {
        Self {
            preference,
            host,
            address: None,
            helo: None,
            observed: Observed::NoSession,
            tlsa: TlsaLookup::NotTried,
        }
    }

    /// Whether it was looked at.
    #[must_use]
    pub fn was_looked_at(&self) -> bool {
        self.tlsa != TlsaLookup::NotTried
    }

    /// Whether it let us speak, so that mail can go there. What TLS comes to may be unknown all the
    /// same.
    #[must_use]
    pub const fn was_reached(&self) -> bool {
        self.address.is_some()
    }

    /// Whether mail may go there, for all we know.
    #[must_use]
    pub fn may_be_reached(&self) -> bool {
        self.was_reached() || !self.was_looked_at()
    }

    /// A failed session with this host, as far as we know of it: which of our addresses the MTA would
    /// have used we do not.
    #[must_use]
    pub fn failure(&self, result: ResultType, reason: String) -> Failure {
        Failure {
            result,
            mx: Some(self.host.to_string()),
            mx_helo: self.helo.clone(),
            receiving_ip: self.address.map(|address| address.to_canonical()),
            sending_ip: None,
            reason: Some(reason),
        }
    }
}

/// Whether the TLSA records of a mail host could be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsaLookup {
    /// There was an answer, be it that there are none.
    Answered,
    /// The resolver could not say: SERVFAIL, as a validating one answers where a signature is bad.
    Failed,
    /// There was no answer, so nothing is known.
    Unanswered,
    /// It was not tried.
    NotTried,
}

#[cfg(test)]
impl DomainFindings {
    /// What was found at this time of hosts told in lines: `10 mx1.example.org good`. A host is
    /// `good`, or `expired`, `self-signed`, `clear`, `refused`, `broken`, `down`, `unclear` where it
    /// answered and no more is known, `unseen` where it was not looked at; and with `, no TLSA` its
    /// TLSA records could not be looked up.
    pub(crate) fn for_test(at: Timestamp, hosts: &[&str]) -> Self {
        let finding = |line: &&str| {
            let (line, tlsa) = match line.strip_suffix(", no TLSA") {
                Some(line) => (line, TlsaLookup::Failed),
                None => (*line, TlsaLookup::Answered),
            };
            let words: Vec<&str> = line.split(' ').collect();
            let observed = match words[2] {
                "good" => Observed::Established { troubles: vec![] },
                "expired" => Observed::Established {
                    troubles: vec![(ResultType::CertificateExpired, None)],
                },
                "self-signed" => Observed::Established {
                    troubles: vec![(ResultType::CertificateNotTrusted, Some("self-signed"))],
                },
                "clear" => Observed::Failed(vec![(
                    ResultType::StarttlsNotSupported,
                    Some("starttls-not-offered"),
                )]),
                "refused" => Observed::Failed(vec![(
                    ResultType::StarttlsNotSupported,
                    Some("starttls-refused"),
                )]),
                "broken" => Observed::Failed(vec![(
                    ResultType::ValidationFailure,
                    Some("handshake-failed"),
                )]),
                "down" | "unclear" | "unseen" => Observed::NoSession,
                other => panic!("{other}"),
            };
            let (preference, host) = (words[0].parse().unwrap(), words[1].parse().unwrap());
            if words[2] == "unseen" {
                return HostFinding::not_looked_at(preference, host);
            }
            HostFinding {
                preference,
                host,
                address: (words[2] != "down").then(|| "::ffff:192.0.2.1".parse().unwrap()),
                helo: Some("helo.example.org".to_owned()),
                observed,
                tlsa,
            }
        };
        Self {
            at,
            mx_at: at,
            asks_for_reports: true,
            hosts: hosts.iter().map(finding).collect(),
        }
    }
}
