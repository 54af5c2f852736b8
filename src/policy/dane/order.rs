//! Which TLSA records of an MX host are asked for, and in which order (RFC 7672 s2.2.2 and s2.2.3).
//!
//! Addresses come first. Where they are not signed nobody could have signed the TLSA records either, and
//! name servers that know no TLSA answer such questions with an error, which would hold up mail for
//! nothing (C4). Where the host is an alias, the records may stand at either end of it.

use crate::policy::MxHost;

use super::NoDane;

/// Whether DNSSEC vouches for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Validated up to a trust anchor, every alias on the way included.
    Secure,
    /// It lies below a delegation that is proven to be unsigned.
    Insecure,
}

/// What the question for a host's addresses was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressAnswer<'a> {
    /// Whether it is signed.
    pub proof: Proof,
    /// How many addresses there are.
    pub addresses: usize,
    /// The name at the end of the host's aliases, where it is one.
    pub expanded: Option<&'a str>,
}

/// What is to be asked next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextQuestion {
    /// The TLSA records below each of these names, one after the other, until one has secure records.
    Tlsa(Vec<MxHost>),
    /// Whether the host's own alias record is signed, although what it leads to is not.
    Alias,
    /// Nothing: DANE says nothing of the host.
    None(NoDane),
}

/// What is to be asked when the addresses are known.
#[must_use]
pub fn after_addresses(host: &MxHost, answer: &AddressAnswer<'_>) -> NextQuestion {
    match answer.proof {
        // OURS: nobody can connect to it, so there is nothing to protect.
        Proof::Secure if answer.addresses == 0 => NextQuestion::None(NoDane::NoRecords),
        // RFC 7672 s2.2.3: below the end of the aliases, then below the host; never in between.
        Proof::Secure => {
            let end = answer.expanded.and_then(|name| name.parse().ok());
            let mut bases: Vec<MxHost> = end.into_iter().collect();
            if !bases.contains(host) {
                bases.push(host.clone());
            }
            NextQuestion::Tlsa(bases)
        }
        Proof::Insecure if answer.expanded.is_some() && answer.addresses > 0 => NextQuestion::Alias,
        // RFC 7672 s2.2.2: no question that broken name servers answer with an error.
        Proof::Insecure => NextQuestion::None(NoDane::InsecureAddresses),
    }
}

/// The names below which TLSA records are asked for when it is known whether the host's own alias record
/// is signed; or why there are none.
///
/// # Errors
/// When DANE says nothing of the host.
// RFC 7672 s2.2.2: who signs the alias can sign records beside it, whatever it leads to.
pub fn after_alias(host: &MxHost, proof: Proof, aliases: usize) -> Result<Vec<MxHost>, NoDane> {
    match proof {
        Proof::Secure if aliases > 0 => Ok(vec![host.clone()]),
        Proof::Secure | Proof::Insecure => Err(NoDane::InsecureAddresses),
    }
}

/// The name that the TLSA records of a base domain stand at.
// RFC 7672 s2.2.3: below the port that is really connected to (C9).
#[must_use]
pub fn tlsa_name(base: &MxHost, port: u16) -> String {
    format!("_{port}._tcp.{base}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> MxHost {
        text.parse().unwrap()
    }

    fn tlsa(bases: &[&str]) -> NextQuestion {
        NextQuestion::Tlsa(bases.iter().map(|base| host(base)).collect())
    }

    #[test]
    fn c4_c8_where_tlsa_records_are_asked_for() {
        use {
            NextQuestion::Alias,
            Proof::{Insecure, Secure},
        };
        let none = NextQuestion::None;
        let mx = "mx.example.org";
        for (proof, addresses, expanded, expected) in [
            (Secure, 1, None, tlsa(&[mx])),
            (Secure, 1, Some("end.test"), tlsa(&["end.test", mx])),
            (Secure, 1, Some(mx), tlsa(&[mx])),
            // Such an end can have no records; the host itself can.
            (Secure, 1, Some("a b.test"), tlsa(&[mx])),
            (Secure, 0, None, none(NoDane::NoRecords)),
            (Secure, 0, Some("end.test"), none(NoDane::NoRecords)),
            (Insecure, 1, None, none(NoDane::InsecureAddresses)),
            (Insecure, 1, Some("end.test"), Alias),
            (
                Insecure,
                0,
                Some("end.test"),
                none(NoDane::InsecureAddresses),
            ),
            (Insecure, 0, None, none(NoDane::InsecureAddresses)),
        ] {
            let answer = AddressAnswer {
                proof,
                addresses,
                expanded,
            };
            assert_eq!(after_addresses(&host(mx), &answer), expected, "{answer:?}");
        }
        for (proof, aliases, expected) in [
            (Secure, 1, Ok(vec![host(mx)])),
            (Secure, 0, Err(NoDane::InsecureAddresses)),
            (Insecure, 1, Err(NoDane::InsecureAddresses)),
        ] {
            let next = after_alias(&host(mx), proof, aliases);
            assert_eq!(next, expected, "{proof:?} {aliases}");
        }
    }

    #[test]
    fn c9_the_port_is_part_of_the_name() {
        assert_eq!(tlsa_name(&host("mx.test"), 25), "_25._tcp.mx.test");
        assert_eq!(tlsa_name(&host("mx.test"), 2525), "_2525._tcp.mx.test");
    }
}
