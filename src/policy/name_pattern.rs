//! A domain name, or all names below one, as an operator writes it.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use super::{NameError, PolicyDomain};

/// `example.org`, or `*.example.org` for every name below it, however deep, and not for it itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    below: bool,
    name: PolicyDomain,
}

impl NamePattern {
    /// Whether a host or domain, lower case A-labels, is meant. An address never is.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        if !self.below {
            return name == self.name.as_str();
        }
        let above = name.strip_suffix(self.name.as_str());
        above.is_some_and(|above| above.ends_with('.')) && name.parse::<Ipv4Addr>().is_err()
    }
}

impl FromStr for NamePattern {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (below, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        name.parse().map(|name| Self { below, name })
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.below { "*." } else { "" };
        write!(formatter, "{star}{}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_a_name_or_all_below_it() {
        for (pattern, name, expected) in [
            ("example.org", "example.org", true),
            ("Example.ORG.", "example.org", true),
            ("b\u{fc}cher.example", "xn--bcher-kva.example", true),
            ("example.org", "a.example.org", false),
            ("*.example.org", "a.example.org", true),
            ("*.example.org", "a.b.example.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", "badexample.org", false),
            ("*.org", "example.org", true),
            ("*.2.1", "192.0.2.1", false),
        ] {
            let Ok(pattern) = pattern.parse::<NamePattern>() else {
                assert!(!expected, "{pattern}");
                continue;
            };
            assert_eq!(pattern.matches(name), expected, "{pattern} {name}");
        }
        for bad in ["", "*", "*.", "a.*.org", "**.org", "a b"] {
            assert!(bad.parse::<NamePattern>().is_err(), "{bad:?}");
        }
    }
}
