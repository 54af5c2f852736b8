//! What signed DNS says of all the mail hosts of a recipient domain.

use super::{DaneFinding, HostDane, LookupTrouble, MxSecurity};
use crate::{
    clock::Timestamp,
    policy::{MxHost, PolicyDomain},
};

/// What is known of a recipient domain's mail hosts. Made once when the DNS was asked, and shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainDane {
    /// The domain.
    pub domain: PolicyDomain,
    /// Its mail hosts.
    pub hosts: MailHosts,
    /// From when on the DNS is to be asked again.
    pub until: Timestamp,
}

/// The mail hosts of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailHosts {
    /// DANE is off, and nothing was asked. Why, in words.
    Off(&'static str),
    /// Each of them, in order of preference, each once. A domain without MX records is its own.
    Known(Vec<RankedHost>),
    /// The domain takes no mail (RFC 7505), or has neither MX records nor an address.
    None,
    /// There are more than are looked through: each has its own answer.
    TooMany(ManyHosts),
    /// RFC 7672 s2.1.2: the MX records could not be looked up, or are bogus: mail must wait. In words.
    Failed(String),
}

/// More mail hosts than are looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManyHosts {
    /// How many.
    pub number: usize,
    /// Whether the MX records that name them are signed: below others no TLSA record gets past a policy.
    pub mx: MxSecurity,
}

/// One of a domain's mail hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankedHost {
    /// Lower is tried first.
    pub preference: u16,
    /// What is known of it.
    pub dane: HostDane,
}

impl DomainDane {
    /// DANE is off.
    #[must_use]
    pub const fn off(domain: PolicyDomain, why: &'static str) -> Self {
        Self {
            domain,
            hosts: MailHosts::Off(why),
            until: Timestamp(i64::MAX),
        }
    }

    /// The mail hosts, where they are known; none where they are not.
    #[must_use]
    pub fn ranked(&self) -> &[RankedHost] {
        match &self.hosts {
            MailHosts::Known(hosts) => hosts,
            _ => &[],
        }
    }

    /// What is known of one of its hosts.
    #[must_use]
    pub fn host(&self, host: &MxHost) -> Option<&HostDane> {
        let found = self
            .ranked()
            .iter()
            .find(|ranked| ranked.dane.host == *host);
        found.map(|ranked| &ranked.dane)
    }

    /// Whether a client of its own DANE would go by it for some host: there are TLSA records, or they could not
    /// be looked up, or there may be some on hosts that nobody looked through.
    #[must_use]
    pub fn has_a_say(&self) -> bool {
        match &self.hosts {
            MailHosts::Known(hosts) => hosts.iter().any(|ranked| {
                matches!(
                    ranked.dane.finding,
                    DaneFinding::Records(_) | DaneFinding::Unreachable(LookupTrouble::Tlsa { .. })
                )
            }),
            MailHosts::TooMany(many) => many.mx == MxSecurity::Secure,
            MailHosts::Off(_) | MailHosts::None | MailHosts::Failed(_) => false,
        }
    }

    /// Whether DANE decides on every one of its hosts: its MX records are secure, and each host has a
    /// TLSA record that can be used.
    #[must_use]
    pub fn decides_on_all(&self) -> bool {
        let hosts = self.ranked();
        !hosts.is_empty() && hosts.iter().all(|ranked| ranked.dane.decides().is_some())
    }
}

#[cfg(test)]
impl DomainDane {
    /// Of `example.org` with hosts told in lines: `10 mx1.example.org records`. A host has `records`, of
    /// which one can be used, or `unusable` ones, or `none`; its addresses are `unsigned`; its TLSA lookup
    /// is `bogus` or `failed`; or its addresses are `lost`. With `, unsigned MX` the records that name it are not
    /// signed.
    pub(crate) fn for_test(hosts: &[&str]) -> Self {
        use super::{NoDane, TlsaPolicy, TlsaRecord, TlsaSet};
        let ranked = |line: &&str| {
            let (line, mx) = match line.strip_suffix(", unsigned MX") {
                Some(line) => (line, MxSecurity::Insecure),
                None => (*line, MxSecurity::Secure),
            };
            let words: Vec<&str> = line.split(' ').collect();
            let host: MxHost = words[1].parse().unwrap();
            let records = |matching| {
                let record = TlsaRecord {
                    usage: 3,
                    selector: 1,
                    matching,
                    association: vec![0xAB; 32],
                };
                let policy = TlsaPolicy::new(host.clone(), TlsaSet::new(vec![record]), &[]);
                DaneFinding::Records(policy.into())
            };
            let finding = match words[2] {
                "records" => records(1),
                "unusable" => records(9),
                "none" => DaneFinding::Nothing(NoDane::NoRecords),
                "unsigned" => DaneFinding::Nothing(NoDane::InsecureAddresses),
                "bogus" | "failed" => DaneFinding::Unreachable(LookupTrouble::Tlsa {
                    base: host.clone(),
                    code: match words[2] {
                        "bogus" => "tlsa-bogus",
                        _ => "tlsa-lookup-failed",
                    },
                    reason: "a bad signature, or none".to_owned(),
                }),
                "lost" => DaneFinding::Unreachable(LookupTrouble::Addresses("timeout".to_owned())),
                other => panic!("{other}"),
            };
            RankedHost {
                preference: words[0].parse().unwrap(),
                dane: HostDane { host, mx, finding },
            }
        };
        Self {
            domain: "example.org".parse().unwrap(),
            hosts: MailHosts::Known(hosts.iter().map(ranked).collect()),
            until: Timestamp(i64::MAX),
        }
    }
}
