//! What was found out about the mail hosts of domains that mail is going to, as the engine asks for it.
//!
//! Postfix says nothing of some sessions, and of others only that TLS was up
//! (`docs/decisions/0010-postfix.md`). Where the truth depends on the mail hosts, the engine wishes for
//! a look at them when it answers, and asks what was found when the session is to be counted. It never
//! waits for a look.

use std::sync::Arc;

use crate::{policy::PolicyDomain, record::finding::DomainFindings};

mod hosts;
mod scout;
mod wishes;

pub use scout::{Scout, ScoutParts};

/// Where the engine learns what the mail hosts of a domain are like.
pub trait Findings: Send + Sync {
    /// Wishes for fresh findings: mail is going to this domain. Returns at once, and is called for
    /// every answer: a look that is under way or recent enough is not begun again.
    fn wish(&self, domain: &PolicyDomain, look: Look);

    /// What was last found out, however long ago, as far as it is remembered: whoever asks judges its
    /// age against the session in question. Where only the MX records were looked up, every host is
    /// there as one that was not looked at.
    fn of(&self, domain: &PolicyDomain) -> Option<Arc<DomainFindings>>;

    /// Whether a look is queued or running, so that [`of`](Self::of) will say more in a moment.
    fn under_way(&self, domain: &PolicyDomain) -> bool;
}

/// How closely mail hosts are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Look {
    /// Which hosts there are, from the MX records alone: enough to tell which of them a policy
    /// excludes.
    HostsOnly,
    /// The hosts themselves as well: up to the TLS handshake, and whether their TLSA records can be
    /// looked up.
    Probe,
}

/// Nobody looks: the operator turned it off, or the MTA tells everything itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoFindings;

impl Findings for NoFindings {
    fn wish(&self, _domain: &PolicyDomain, _look: Look) {}

    fn of(&self, _domain: &PolicyDomain) -> Option<Arc<DomainFindings>> {
        None
    }

    fn under_way(&self, _domain: &PolicyDomain) -> bool {
        false
    }
}
