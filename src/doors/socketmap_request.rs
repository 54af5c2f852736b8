//! What a client of the socketmap asks: `MAP KEY`, where the map name says who is asking and the key
//! is the next hop that mail is about to go to (`docs/socketmap.md`).
//!
//! Postfix asks for whatever stands after `@`, or for the next hop of a transport, a relay or a route
//! as it is written there: in brackets, with a port, as an address. When it is told `NOTFOUND` it
//! asks for each parent too, with a dot at the front.

use std::{borrow::Cow, net::IpAddr};

use crate::policy::PolicyDomain;

/// The map that a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapName {
    /// `QUERY`: for Postfix before 3.10, to which attributes for reports are an error.
    Query,
    /// `QUERYwithTLSRPT`: for Postfix 3.10 and later.
    QueryWithTlsrpt,
    /// `sts`: for sendmail, which asks by the name of its own map, does DANE itself, and takes whatever
    /// is not `secure` for no demand at all.
    Sts,
}

/// What a next hop names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// A domain, whose MX hosts the mail goes to.
    Domain,
    /// One host, or a port of its own: TLSA records would stand elsewhere than those of the domain's MX
    /// hosts.
    Host,
}

impl MapName {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Query, Self::QueryWithTlsrpt, Self::Sts];

    /// The name in Postfix's configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Query => "QUERY",
            Self::QueryWithTlsrpt => "QUERYwithTLSRPT",
            Self::Sts => "sts",
        }
    }
}

/// The longest request: the longest map name, and the longest key that Postfix sends.
pub(super) const REQUEST_OCTETS_MAX: usize = MapName::QueryWithTlsrpt.name().len() + 1 + 10_000;

/// A request for a map that we do not have. What was asked for is not repeated to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no map of this name; the maps are QUERY, QUERYwithTLSRPT and sts")]
pub(super) struct UnknownMap;

/// Reads a request: the map, and the key as it came. Map names are taken in any case.
///
/// # Errors
/// When there is no such map.
pub(super) fn parse(content: &[u8]) -> Result<(MapName, &[u8]), UnknownMap> {
    let end = content.iter().position(|octet| *octet == b' ');
    let (name, key) = content.split_at(end.unwrap_or(content.len()));
    let map = MapName::ALL
        .into_iter()
        .find(|map| name.eq_ignore_ascii_case(map.name().as_bytes()))
        .ok_or(UnknownMap)?;
    Ok((map, key))
}

/// The name of the domain whose policy counts for a next hop, lower case A-labels, and what the next hop
/// names. None where there can be no policy: for addresses, for the parents that Postfix asks for, and
/// for what is no name at all. Mail to such a next hop is none of our business, and must not wait for us.
#[must_use]
pub fn policy_domain(key: &[u8]) -> Option<(Cow<'_, str>, NextHop)> {
    let text = std::str::from_utf8(key).ok()?.trim_ascii();
    // As almost all of them are.
    if PolicyDomain::is_normal(text) {
        return Some((Cow::Borrowed(text), NextHop::Domain));
    }
    let (name, next_hop) = name(text)?;
    // An address among them, also one as RFC 5321 s4.1.3 writes it, is no domain.
    let domain: PolicyDomain = name.parse().ok()?;
    Some((Cow::Owned(domain.as_str().to_owned()), next_hop))
}

/// The name in a next hop, without brackets and port.
fn name(next_hop: &str) -> Option<(&str, NextHop)> {
    // RFC 8461 s3.4: a parent's policy says nothing of its subdomains.
    if next_hop.starts_with('.') || next_hop.parse::<IpAddr>().is_ok() {
        return None;
    }
    // RFC 8461 s3.4: mail through a smart host goes by the policy of the smart host's domain.
    if let Some(rest) = next_hop.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        let plain = after.is_empty() || after.strip_prefix(':').is_some_and(is_service);
        return plain.then_some((host, NextHop::Host));
    }
    match next_hop.rsplit_once(':') {
        Some((name, service)) => is_service(service).then_some((name, NextHop::Host)),
        None => Some((next_hop, NextHop::Domain)),
    }
}

/// A port, or a service by name.
fn is_service(text: &str) -> bool {
    text.bytes()
        .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_known_in_any_case_and_by_nothing_else() {
        let (query, with) = (Ok(MapName::Query), Ok(MapName::QueryWithTlsrpt));
        for (content, expected) in [
            ("QUERY a.test", query),
            ("query a.test", query),
            ("QUERYwithTLSRPT a.test", with),
            ("QUERYWITHTLSRPT a.test", with),
            ("querywithtlsrpt", with),
            ("sts a.test", Ok(MapName::Sts)),
            ("STS a.test", Ok(MapName::Sts)),
            ("QUERY", query),
            ("QUERY ", query),
            ("", Err(UnknownMap)),
            (" QUERY a.test", Err(UnknownMap)),
            ("QUERY\ta.test", Err(UnknownMap)),
            ("QUERYwith a.test", Err(UnknownMap)),
            ("JSON a.test", Err(UnknownMap)),
            ("PURGE", Err(UnknownMap)),
            ("postfix a.test", Err(UnknownMap)),
        ] {
            assert_eq!(parse(content.as_bytes()).map(|(map, _)| map), expected);
        }
        assert_eq!(parse(b"QUERY  a b"), Ok((MapName::Query, &b"  a b"[..])));
        assert_eq!(REQUEST_OCTETS_MAX, 10_016);
    }

    #[test]
    fn b8_a18_a_next_hop_has_the_policy_domain_it_names() {
        for (key, expected) in [
            ("a.test", "a.test"),
            (" a.test  ", "a.test"),
            ("A.TEST", "a.test"),
            ("a.test.", "a.test"),
            ("[a.test]", "a.test"),
            ("[A.Test.]", "a.test"),
            ("a.test:25", "a.test"),
            ("a.test:submission", "a.test"),
            ("a.test.:25", "a.test"),
            ("[a.test]:587", "a.test"),
            ("[a.test]:smtp-alt", "a.test"),
            ("a.test:", "a.test"),
            ("localhost", "localhost"),
            ("_a.test", "_a.test"),
            ("bücher.test", "xn--bcher-kva.test"),
            ("BÜCHER.test", "xn--bcher-kva.test"),
            ("[bücher.test]:25", "xn--bcher-kva.test"),
            ("xn--bcher-kva.test", "xn--bcher-kva.test"),
            ("1.2.3.4.5", "1.2.3.4.5"),
        ] {
            let (domain, next_hop) = policy_domain(key.as_bytes()).unwrap();
            assert_eq!(domain, expected, "{key}");
            let is_host = next_hop == NextHop::Host;
            assert_eq!(is_host, key.contains(['[', ':']), "{key}");
        }
    }

    #[test]
    fn b8_what_can_have_no_policy_has_none() {
        let long_label = format!("{}.test", "a".repeat(64));
        let long_name = "a.".repeat(130);
        for key in [
            "",
            " ",
            ".",
            "..",
            ".a.test",
            ".test",
            "1.2.3.4",
            "1.2.3.4:25",
            "[1.2.3.4]",
            "[1.2.3.4]:25",
            "[IPv6:2001:db8::1]",
            "[ipv6:2001:db8::1]:25",
            "[2001:db8::1]",
            "[2001:db8::1]:25",
            "2001:db8::1",
            "::1",
            "IPv6:2001:db8::1",
            "[]",
            "[a.test",
            "a.test]",
            "[a.test]x",
            "[a.test]:2 5",
            "[[a.test]]",
            "[.a.test]",
            "a.test:2,5",
            "a..test",
            "a b.test",
            "a.test, b.test",
            "user@a.test",
            "*.a.test",
            "/var/run/lmtp.sock",
            "unix:/var/run/lmtp",
            "a\0.test",
            "a\r\n.test",
            &long_label,
            &long_name,
        ] {
            assert_eq!(policy_domain(key.as_bytes()), None, "{key:?}");
        }
        for key in [&b"\xff.test"[..], b"a\xc3.test", b"\xed\xa0\x80.test"] {
            assert_eq!(policy_domain(key), None);
        }
    }
}
