//! Host and domain names: normalised once, where they enter, and never compared in another form.

use std::{borrow::Borrow, fmt, net::IpAddr, str::FromStr, sync::Arc};

use crate::observe::printable::excerpt;

/// The name is not one a mail domain or host can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is nothing left of it.
    #[error("the name is empty")]
    Empty,
    /// An address literal has no policy domain (RFC 8461 s3.4).
    #[error("\"{0}\" is an address, and an address has no policy")]
    Address(String),
    /// Not a host name: a character, a label or the whole is outside RFC 1035 and IDNA.
    #[error("\"{0}\" is not a host name")]
    Invalid(String),
}

/// Lower case A-labels, no trailing dot, at most 253 octets.
// RFC 8460 s1.1, RFC 8461 s3.1: every name is compared and sent as A-labels.
fn normalise(text: &str) -> Result<Arc<str>, NameError> {
    if is_normal(text) {
        return Ok(text.into());
    }
    let trimmed = text.strip_suffix('.').unwrap_or(text);
    if trimmed.is_empty() {
        return Err(NameError::Empty);
    }
    if is_address(trimmed) {
        return Err(NameError::Address(excerpt(text)));
    }
    // Almost every name is ASCII already; only the others pay for IDNA.
    let ascii = if trimmed.is_ascii() && !trimmed.to_ascii_lowercase().contains("xn--") {
        trimmed.to_ascii_lowercase()
    } else {
        match idna::domain_to_ascii(trimmed) {
            Ok(ascii) => ascii,
            // OURS: what only looks like an A-label is a name as well (docs/decisions/0003-mta-sts.md).
            Err(_) if trimmed.is_ascii() => trimmed.to_ascii_lowercase(),
            Err(_) => return Err(NameError::Invalid(excerpt(text))),
        }
    };
    if ascii.len() > 253 || !ascii.split('.').all(is_label) {
        return Err(NameError::Invalid(excerpt(text)));
    }
    Ok(ascii.into())
}

/// Whether a name is in the form that [`normalise`] gives it, as far as that can be seen at a glance;
/// almost all that are, are seen.
fn is_normal(text: &str) -> bool {
    let (mut label, mut is_number, mut hyphen) = (0, true, false);
    for octet in text.bytes() {
        match octet {
            b'.' if (1..=63).contains(&label) => (label, is_number) = (0, true),
            // IDNA has a say where a label may be an A-label.
            b'-' if hyphen => return false,
            b'a'..=b'z' | b'-' | b'_' => (label, is_number) = (label + 1, false),
            b'0'..=b'9' => label += 1,
            _ => return false,
        }
        hyphen = octet == b'-';
    }
    // An IPv4 address ends with a number.
    (1..=63).contains(&label) && !is_number && text.len() <= 253
}

/// An address, or an address literal (RFC 5321 s4.1.3). A name in brackets is neither, and must not
/// pass for one: an address has no policy, the domain of that name may have.
fn is_address(text: &str) -> bool {
    let inner = text
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
        .map_or(text, |inner| match inner.split_at_checked(5) {
            Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6:") => address,
            _ => inner,
        });
    inner.parse::<IpAddr>().is_ok()
}

/// A label of a name that is looked up in the DNS. Underscores occur in real MX host names.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Whether a text is a name in the form that [`as_str`](Self::as_str) gives, as far as
            /// that can be seen at a glance: then the text will do, and no name need be made of it.
            #[must_use]
            pub fn is_normal(text: &str) -> bool {
                is_normal(text)
            }

            /// The name as lower case A-labels without a trailing dot.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        /// A map by name can be asked with text: only text that is a name already finds one.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                normalise(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{:?}", &self.0)
            }
        }
    };
}

name! {
    /// The domain whose policy is meant: the recipient domain as addressed, or the smart host's
    /// domain (RFC 8460 s1.1, RFC 8461 s3.4). Never a CNAME target, never a parent.
    PolicyDomain
}

name! {
    /// A mail host as the MX record names it; for a domain without MX, the domain itself.
    MxHost
}

impl MxHost {
    /// What stands in an MX record and is no name of a host, so that it can be shown in its place: an
    /// address, or a mistake. Characters that no host name has are question marks, so that it never
    /// passes for a name.
    #[must_use]
    pub fn that_is_none(text: &str) -> Self {
        let shown = |character: char| match character.to_ascii_lowercase() {
            kept if kept.is_ascii_alphanumeric() || matches!(kept, '.' | '-' | '_') => kept,
            _ => '?',
        };
        let mut name: String = text.chars().map(shown).take(252).collect();
        // What was cut or mended may be a name by now.
        if normalise(&name).is_ok() || name.is_empty() {
            name.push('?');
        }
        Self(name.into())
    }
}

impl From<&PolicyDomain> for MxHost {
    /// RFC 5321 s5.1: a domain without MX records is its own, implicit MX.
    fn from(domain: &PolicyDomain) -> Self {
        Self(Arc::clone(&domain.0))
    }
}

impl From<&MxHost> for PolicyDomain {
    /// RFC 8460 s1.1: the policy domain of TLSA records is the TLSA base domain.
    fn from(host: &MxHost) -> Self {
        Self(Arc::clone(&host.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a1_a18_names_are_lower_case_a_labels_without_trailing_dot() {
        for (given, expected) in [
            ("example.COM.", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("_dmarc.example.org", "_dmarc.example.org"),
            // Not what IDNA makes, but a name of the DNS all the same.
            ("XN--A.example", "xn--a.example"),
        ] {
            assert_eq!(
                given.parse::<PolicyDomain>().unwrap().as_str(),
                expected,
                "{given}"
            );
        }
    }

    #[test]
    fn what_looks_normal_is_normal_and_most_names_look_so() {
        for (text, expected) in [
            ("example.org", true),
            ("localhost", true),
            ("_a.b-c.4.x1", true),
            ("a.1b", true),
            ("Example.org", false),
            ("example.org.", false),
            ("192.0.2.1", false),
            ("a.1", false),
            ("xn--bcher-kva.example", false),
            ("a--b.example", false),
            ("a..b", false),
            (".a", false),
            ("", false),
            ("a b", false),
            ("a:25", false),
            ("bücher.example", false),
        ] {
            assert_eq!(is_normal(text), expected, "{text}");
        }
        let long = |label: usize| format!("{}.example", "a".repeat(label));
        assert!(is_normal(&long(63)) && !is_normal(&long(64)));
        let samples: [&[u8]; 3] = [b"mail.example.org", b"192.0.2.1", b"a-b_c.xn--x.example."];
        for octets in sealpost_kit::mutations(13, &samples) {
            if let Ok(text) = str::from_utf8(&octets)
                && is_normal(text)
            {
                assert_eq!(text.parse::<MxHost>().unwrap().as_str(), text);
                assert!(!is_address(text) && text.split('.').all(is_label));
            }
        }
    }

    #[test]
    fn a19_b8_address_literals_have_no_policy_domain() {
        for literal in [
            "[192.0.2.1]",
            "192.0.2.1",
            "[IPv6:2001:db8::1]",
            "[ipv6:2001:db8::1]",
            "[2001:db8::1]",
            "2001:db8::1",
        ] {
            assert!(matches!(
                literal.parse::<PolicyDomain>(),
                Err(NameError::Address(_))
            ));
        }
    }

    #[test]
    fn g3_names_that_are_none_are_refused() {
        for text in [
            "",
            ".",
            "a..b",
            "a b",
            "a\r\nb",
            "[example.org]",
            "[example.org",
            "[relay.example]:587",
            "-\0",
            &"a".repeat(64),
            &"a.".repeat(140),
        ] {
            assert!(
                matches!(
                    text.parse::<PolicyDomain>(),
                    Err(NameError::Empty | NameError::Invalid(_))
                ),
                "{text:?}"
            );
        }
    }
}
