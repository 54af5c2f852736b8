//! Stage 2 of 7: hook.
//! Takes: the MTA's question, and the domain's [`Standing`](crate::policy::Standing) from policy.
//! Gives: a [`Requirement`] to the MTA.
//! Never: waits, or opens a socket; it is given values and returns a decision.
//! Specified by: RFC 8461 s4 and s5; `docs/decisions/`.

use sealpost_plugin_api::{Query, Requirement, Session};

use crate::clock::BoxFuture;

pub mod decide;
pub mod overrides;

/// The hook as the doors of the daemon call it: [`sealpost_plugin_api::Hook`] for async callers.
/// Doors know this trait and nothing behind it.
pub trait AsyncHook: Send + Sync {
    /// What TLS does this domain, or this MX host of it, demand? Answers within the query's
    /// deadline; see [`sealpost_plugin_api::Hook::policy`].
    fn policy<'a>(&'a self, query: Query<'a>) -> BoxFuture<'a, Requirement>;

    /// How did one session go? Returns at once; see [`sealpost_plugin_api::Hook::session`].
    fn session(&self, session: &Session<'_>);
}
