//! The mail hosts that a domain's MX records name, and what becomes of a host below them.
//!
//! The MX records are the domain's, what is found of a host is the host's: many domains share one. Put
//! together here they are what holds for one host of one domain (RFC 7672 s2.2.1, s3.2.2).

use std::sync::Arc;

use super::{
    DaneFinding, HostDane, LookupTrouble, MailHosts, MxSecurity, NoDane, Proof, RankedHost,
    TlsaPolicy,
};
use crate::policy::{MxHost, PolicyDomain};

/// What a domain's MX records say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailExchanges {
    /// Whether they are signed; where there are none, whether that is.
    pub mx: MxSecurity,
    /// What the domain's own alias leads to, where it is one.
    pub expanded: Option<MxHost>,
    /// The hosts.
    pub named: NamedHosts,
}

/// The hosts that MX records name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedHosts {
    /// These, by preference, each once.
    These(Vec<Exchange>),
    /// There are no MX records.
    // RFC 5321 s5.1: then the domain is its own host.
    Itself,
    /// RFC 7505: the domain takes no mail.
    Nobody,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Lower is tried first.
    pub preference: u16,
    /// The host.
    pub host: MxHost,
    /// Whether it can have records at all.
    pub kind: ExchangeKind,
}

/// What stands in an MX record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeKind {
    /// The name of a host.
    Name,
    /// An address, or what is no name of a host (C19).
    NotAName,
}

/// What was found of a host, for whatever domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostFound {
    /// DANE says nothing of it.
    Nothing(NoDane),
    /// It has no address.
    NoAddress(Proof),
    /// Secure TLSA records, with no other reference name than the base domain.
    Records(Arc<TlsaPolicy>),
    /// What there is could not be told.
    Unreachable(LookupTrouble),
}

impl MailExchanges {
    /// Reads MX records: preference, and host as published, without the final dot. `expanded` is the
    /// name at the end of the domain's aliases.
    #[must_use]
    pub fn new(proof: Proof, expanded: Option<&str>, records: Vec<(u16, String)>) -> Self {
        let any = !records.is_empty();
        let mut hosts: Vec<Exchange> = records
            .into_iter()
            // RFC 7505 s3: beside other records the empty host is a mistake, and no host.
            .filter(|(_, text)| !text.is_empty())
            .map(|(preference, text)| Exchange::new(preference, &text))
            .collect();
        hosts.sort_by(|one, other| {
            (one.preference, &one.host).cmp(&(other.preference, &other.host))
        });
        let mut seen = std::collections::HashSet::new();
        hosts.retain(|exchange| seen.insert(exchange.host.clone()));
        Self {
            mx: match proof {
                Proof::Secure => MxSecurity::Secure,
                Proof::Insecure => MxSecurity::Insecure,
            },
            expanded: expanded.and_then(|name| name.parse().ok()),
            named: match (any, hosts.is_empty()) {
                (false, _) => NamedHosts::Itself,
                (true, true) => NamedHosts::Nobody,
                (true, false) => NamedHosts::These(hosts),
            },
        }
    }

    /// The hosts of `domain`, by preference, each once.
    #[must_use]
    pub fn of(&self, domain: &PolicyDomain) -> Vec<Exchange> {
        match &self.named {
            NamedHosts::These(hosts) => hosts.clone(),
            NamedHosts::Itself => vec![Exchange {
                preference: 0,
                host: MxHost::from(domain),
                kind: ExchangeKind::Name,
            }],
            NamedHosts::Nobody => Vec::new(),
        }
    }

    /// The hosts that the records name.
    #[must_use]
    pub fn published(&self) -> &[Exchange] {
        match &self.named {
            NamedHosts::These(hosts) => hosts,
            NamedHosts::Itself | NamedHosts::Nobody => &[],
        }
    }

    /// Whether the records name this host, and are signed: then it is the domain's own.
    #[must_use]
    pub fn security_of(&self, domain: &PolicyDomain, host: &MxHost) -> MxSecurity {
        // Whoever sent the mail to another, it was not the signed DNS of the domain.
        let is_named = || match &self.named {
            NamedHosts::Itself => domain.as_str() == host.as_str(),
            NamedHosts::These(_) | NamedHosts::Nobody => self
                .published()
                .iter()
                .any(|exchange| exchange.host == *host),
        };
        match self.mx {
            MxSecurity::Secure if is_named() => MxSecurity::Secure,
            MxSecurity::Secure | MxSecurity::Insecure => MxSecurity::Insecure,
        }
    }

    /// What holds for one host of `domain`.
    #[must_use]
    pub fn judge(&self, domain: &PolicyDomain, host: &MxHost, found: &HostFound) -> HostDane {
        let mx = self.security_of(domain, host);
        let names = match mx {
            // RFC 7672 s3.2.2: below signed MX records a certificate may as well carry the name that
            // the mail is addressed to, or what its alias leads to.
            MxSecurity::Secure => {
                let mut names = vec![MxHost::from(domain)];
                names.extend(self.expanded.clone());
                names
            }
            // RFC 7672 s2.2.1: below others that would prove nothing (C7).
            MxSecurity::Insecure => Vec::new(),
        };
        HostDane {
            host: host.clone(),
            mx,
            finding: found.finding(&names),
        }
    }

    /// What holds for all hosts of `domain`, of each of which this was found.
    #[must_use]
    pub fn judge_all(&self, domain: &PolicyDomain, found: &[(Exchange, HostFound)]) -> MailHosts {
        // A domain that is its own host and has no address takes no mail.
        let no_address =
            |(_, found): &(Exchange, HostFound)| matches!(found, HostFound::NoAddress(_));
        if found.is_empty() || (self.named == NamedHosts::Itself && found.iter().all(no_address)) {
            return MailHosts::None;
        }
        let ranked = found.iter().map(|(exchange, found)| RankedHost {
            preference: exchange.preference,
            dane: self.judge(domain, &exchange.host, found),
        });
        MailHosts::Known(ranked.collect())
    }
}

impl Exchange {
    fn new(preference: u16, text: &str) -> Self {
        let (host, kind) = match text.parse() {
            Ok(host) => (host, ExchangeKind::Name),
            Err(_) => (MxHost::that_is_none(text), ExchangeKind::NotAName),
        };
        Self {
            preference,
            host,
            kind,
        }
    }
}

impl HostFound {
    /// What it means, with these further reference names.
    fn finding(&self, names: &[MxHost]) -> DaneFinding {
        match self {
            Self::Nothing(why) => DaneFinding::Nothing(*why),
            Self::NoAddress(Proof::Secure) => DaneFinding::Nothing(NoDane::NoRecords),
            Self::NoAddress(Proof::Insecure) => DaneFinding::Nothing(NoDane::InsecureAddresses),
            Self::Records(records) if names.is_empty() => DaneFinding::Records(Arc::clone(records)),
            Self::Records(records) => DaneFinding::Records(records.with_names(names).into()),
            Self::Unreachable(trouble) => DaneFinding::Unreachable(trouble.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::dane::{TlsaRecord, TlsaSet};

    fn domain() -> PolicyDomain {
        "example.org".parse().unwrap()
    }

    fn host(text: &str) -> MxHost {
        text.parse().unwrap()
    }

    fn exchanges(proof: Proof, expanded: Option<&str>, records: &[(u16, &str)]) -> MailExchanges {
        let records = records
            .iter()
            .map(|(preference, text)| (*preference, (*text).to_owned()));
        MailExchanges::new(proof, expanded, records.collect())
    }

    fn records() -> HostFound {
        let record = TlsaRecord {
            usage: 2,
            selector: 1,
            matching: 1,
            association: vec![7; 32],
        };
        let set = TlsaSet::new(vec![record]);
        HostFound::Records(TlsaPolicy::new(host("end.test"), set, &[]).into())
    }

    #[test]
    fn hosts_are_in_order_and_each_once() {
        let read = |records: &[(u16, &str)]| {
            let hosts = exchanges(Proof::Secure, None, records).of(&domain());
            hosts
                .into_iter()
                .map(|exchange| (exchange.preference, exchange.host.to_string()))
                .collect::<Vec<_>>()
        };
        let own = |preference: u16, name: &str| (preference, name.to_owned());
        assert_eq!(
            read(&[
                (20, "b.test"),
                (10, "A.test"),
                (30, "a.test"),
                (10, "c.test")
            ]),
            [own(10, "a.test"), own(10, "c.test"), own(20, "b.test")]
        );
        assert_eq!(read(&[]), [own(0, "example.org")]);
        assert_eq!(read(&[(0, "")]), []);
        assert_eq!(read(&[(0, ""), (5, "a.test")]), [own(5, "a.test")]);
    }

    #[test]
    fn c19_an_exchange_that_is_no_host_name_is_kept_as_such_and_harmless() {
        for (text, shown) in [
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001?db8??1"),
            ("a b.test", "a?b.test"),
            ("x\r\ny.test", "x??y.test"),
            ("[192.0.2.1]", "?192.0.2.1?"),
        ] {
            let hosts = exchanges(Proof::Secure, None, &[(1, text)]).of(&domain());
            assert_eq!(hosts[0].kind, ExchangeKind::NotAName, "{text}");
            assert_eq!(hosts[0].host.as_str(), shown, "{text}");
            assert!(shown.parse::<MxHost>().is_err());
        }
        let long = "a.".repeat(400);
        let hosts = exchanges(Proof::Secure, None, &[(1, &long)]).of(&domain());
        assert!(hosts[0].host.as_str().len() <= 253);
        assert!(hosts[0].host.as_str().parse::<MxHost>().is_err());
    }

    #[test]
    fn c7_reference_names_come_with_signed_mx_records_only() {
        let named = [(10, "mx.example.org")];
        for (proof, expanded, asked, security, names) in [
            (
                Proof::Secure,
                None,
                "mx.example.org",
                MxSecurity::Secure,
                &["end.test", "example.org"][..],
            ),
            (
                Proof::Secure,
                Some("real.test"),
                "mx.example.org",
                MxSecurity::Secure,
                &["end.test", "example.org", "real.test"],
            ),
            (
                Proof::Insecure,
                Some("real.test"),
                "mx.example.org",
                MxSecurity::Insecure,
                &["end.test"],
            ),
            // One that they do not name.
            (
                Proof::Secure,
                None,
                "other.test",
                MxSecurity::Insecure,
                &["end.test"],
            ),
        ] {
            let exchanges = exchanges(proof, expanded, &named);
            let dane = exchanges.judge(&domain(), &host(asked), &records());
            assert_eq!(dane.mx, security, "{asked}");
            let found: Vec<&str> = dane
                .records()
                .unwrap()
                .reference_names
                .iter()
                .map(MxHost::as_str)
                .collect();
            assert_eq!(found, names, "{asked}");
        }
    }

    #[test]
    fn g6_all_domains_of_a_host_share_its_records_and_their_text() {
        let found = records();
        let judged = |proof, of: &str| {
            let exchanges = exchanges(proof, None, &[(10, "mx.example.org")]);
            let dane = exchanges.judge(&of.parse().unwrap(), &host("mx.example.org"), &found);
            Arc::clone(dane.records().unwrap())
        };
        let (one, other) = (
            judged(Proof::Secure, "a.test"),
            judged(Proof::Secure, "b.test"),
        );
        assert_ne!(one.reference_names, other.reference_names);
        let unsigned = judged(Proof::Insecure, "c.test");
        for records in [&other, &unsigned] {
            assert!(Arc::ptr_eq(&one.set, &records.set));
            assert!(Arc::ptr_eq(one.applied(), records.applied()));
        }
        assert_eq!(one.fingerprint(), unsigned.fingerprint());
    }

    #[test]
    fn a_domain_without_mx_records_is_its_own_host_if_it_has_an_address() {
        let own = exchanges(Proof::Secure, None, &[]);
        let itself = own.of(&domain()).remove(0);
        let found =
            |found: &HostFound| own.judge_all(&domain(), &[(itself.clone(), found.clone())]);
        assert_eq!(found(&HostFound::NoAddress(Proof::Secure)), MailHosts::None);
        let MailHosts::Known(hosts) = found(&records()) else {
            panic!("no hosts");
        };
        assert_eq!(hosts[0].preference, 0);
        assert_eq!(hosts[0].dane.mx, MxSecurity::Secure);
        // A host that MX records name and that has no address stays one of them.
        let named = exchanges(Proof::Secure, None, &[(10, "dead.test")]);
        let dead = named.of(&domain()).remove(0);
        let none = HostFound::NoAddress(Proof::Insecure);
        assert!(matches!(
            named.judge_all(&domain(), &[(dead, none)]),
            MailHosts::Known(hosts) if hosts.len() == 1
        ));
        let nobody = exchanges(Proof::Secure, None, &[(0, "")]);
        assert_eq!(nobody.judge_all(&domain(), &[]), MailHosts::None);
    }
}
