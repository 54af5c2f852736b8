//! Does this MX host's name match a policy's pattern? (RFC 8461 s3.2 and s4.1)

use std::{fmt, str::FromStr};

use super::{MxHost, NameError};
use crate::observe::printable::excerpt;

/// One `mx` of a policy: a host name, or a host name with `*.` before it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MxPattern {
    /// `*.` was before the name.
    pub wildcard: bool,
    /// The name without it.
    pub name: MxHost,
}

impl MxPattern {
    /// Whether the name of an MX record matches. Letter case and a trailing dot are gone from both
    /// already.
    #[must_use]
    pub fn matches(&self, mx: &MxHost) -> bool {
        if !self.wildcard {
            return *mx == self.name;
        }
        // RFC 8461 s4.1: the star stands for exactly one label, the left-most.
        mx.as_str()
            .split_once('.')
            .is_some_and(|(_, parent)| parent == self.name.as_str())
    }
}

impl FromStr for MxPattern {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        // RFC 8461 s3.2: names are A-labels here, nothing is converted.
        if !text.is_ascii() {
            return Err(NameError::Invalid(excerpt(text)));
        }
        let (wildcard, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        name.parse().map(|name| Self { wildcard, name })
    }
}

impl fmt::Display for MxPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.wildcard { "*." } else { "" };
        write!(formatter, "{star}{}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b22_b23_a_star_is_one_whole_left_most_label() {
        for (pattern, mx, expected) in [
            ("mx.example.com", "mx.example.com", true),
            ("mx.example.com", "MX.Example.COM.", true),
            ("MX.example.com.", "mx.example.com", true),
            ("mx.example.com", "mx2.example.com", false),
            ("mx.example.com", "a.mx.example.com", false),
            ("*.example.com", "mx.example.com", true),
            ("*.example.com", "mx.example.com.", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", "mxexample.com", false),
            ("*.example.com", "mx.example.com.evil.example", false),
            ("*.xn--bcher-kva.example", "mx.bücher.example", true),
        ] {
            let pattern: MxPattern = pattern.parse().unwrap();
            assert_eq!(
                pattern.matches(&mx.parse().unwrap()),
                expected,
                "{pattern} {mx}"
            );
        }
    }

    #[test]
    fn b22_patterns_that_are_none_are_refused() {
        for text in [
            "",
            "*",
            "*.",
            ".example.com",
            "*..example.com",
            "m*.example.com",
            "*m.example.com",
            "a.*.example.com",
            "*.*.example.com",
            "mx.example.com:25",
            "mx.example.com,mx2.example.com",
            "mx .example.com",
            "bücher.example",
        ] {
            assert!(
                matches!(
                    text.parse::<MxPattern>(),
                    Err(NameError::Invalid(_) | NameError::Empty)
                ),
                "{text}"
            );
        }
    }

    #[test]
    fn b22_addresses_are_told_apart_from_rubbish() {
        for text in [
            "192.0.2.1",
            "2001:db8::1",
            "[192.0.2.1]",
            "*.192.0.2.1",
            "::ffff:192.0.2.1",
        ] {
            assert!(
                matches!(text.parse::<MxPattern>(), Err(NameError::Address(_))),
                "{text}"
            );
        }
    }
}
