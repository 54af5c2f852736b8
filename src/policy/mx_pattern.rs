//! Does this MX host's name match a policy's pattern? (RFC 8461 s3.2 and s4.1)

use std::fmt;

use super::MxHost;

/// One `mx` of a policy: a host name, or a host name with `*.` before it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MxPattern {
    /// `*.` was before the name.
    pub wildcard: bool,
    /// The name without it.
    pub name: MxHost,
}

impl fmt::Display for MxPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.wildcard { "*." } else { "" };
        write!(formatter, "{star}{}", self.name)
    }
}
