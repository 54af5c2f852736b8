//! Stage 2 of 7: hook.
//! Takes: the MTA's question, and the domain's [`Standing`](crate::policy::Standing) from policy.
//! Gives: a [`Requirement`] to the MTA.
//! Never: waits, or opens a socket; it is given values and returns a decision.
//! Specified by: RFC 8461 s4 and s5; `docs/decisions/`.

use std::sync::Arc;

use sealpost_plugin_api::{Presented, Query, Requirement, Session, Verified};

use crate::{
    clock::BoxFuture,
    policy::{AppliedPolicy, dane::DomainDane},
    record::told::Told,
};

pub mod basis;
pub mod decide;
pub mod hold;
pub mod joint;
pub mod overrides;

use basis::{Basis, DaneUse};

/// The hook as the doors of the daemon call it: [`sealpost_plugin_api::Hook`] for async callers.
/// Doors know this trait and nothing behind it.
pub trait AsyncHook: Send + Sync {
    /// What TLS does this domain, or this MX host of it, demand? Answers within the query's
    /// deadline; see [`sealpost_plugin_api::Hook::policy`].
    fn policy<'a>(&'a self, query: Query<'a>) -> BoxFuture<'a, Arc<Answer>>;

    /// The same about a domain, for an MTA that takes one answer for all of its mail hosts and makes this of
    /// DANE.
    fn policy_of_all<'a>(&'a self, query: Query<'a>, _dane: DaneUse) -> BoxFuture<'a, Arc<Answer>> {
        self.policy(query)
    }

    /// The same answer where it can be given without waiting for anybody, else nothing: a door with
    /// many askers spares itself the rest.
    fn policy_at_once(&self, query: &Query<'_>, dane: DaneUse) -> Option<Arc<Answer>>;

    /// Takes down that an MTA was given an answer by a door that hears nothing of what comes of it.
    /// Returns at once.
    fn answered(&self, answer: &Arc<Answer>, asker: Asker);

    /// Does this certificate chain satisfy what was demanded? Answers at once; see
    /// [`sealpost_plugin_api::Hook::verify`].
    fn verify(&self, _presented: &Presented<'_>) -> Verified {
        Verified::Unknown("certificates are not judged here".to_owned())
    }

    /// How did one session go? Returns at once; see [`sealpost_plugin_api::Hook::session`].
    fn session(&self, session: &Session<'_>);

    /// What an MTA tells of so many equal sessions, with the policy it says they were held to.
    /// Returns at once.
    fn told(&self, told: &Told, sessions: u32);

    /// As [`session`](Self::session), of a door that knows what each session carried and leaves out those of our
    /// own reports itself.
    fn session_of_mail(&self, session: &Session<'_>) {
        self.session(session);
    }

    /// As [`told`](Self::told), of such a door.
    fn told_of_mail(&self, told: &Told, sessions: u32) {
        self.told(told, sessions);
    }

    /// Would much that is told now be lost, because what was told before is not counted yet? A door
    /// that can wait with what it has should.
    fn is_pressed(&self) -> bool {
        false
    }
}

/// An answer, with what a door may need to word it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the MTA must do.
    pub requirement: Requirement,
    /// The exact policy it was made from; its `policy_domain` is the domain asked about. Absent where
    /// no domain was asked about or nothing is known.
    pub applied: Option<Arc<AppliedPolicy>>,
    /// What DANE says of the domain's mail hosts, in an answer about the domain as a whole.
    pub dane: Option<Arc<DomainDane>>,
    /// What it rests on, for a door that cannot ask about each MX host.
    pub basis: Basis,
}

impl Answer {
    /// An answer without a policy behind it.
    #[must_use]
    pub const fn bare(requirement: Requirement) -> Self {
        Self {
            basis: Basis::of_policy(&requirement.level),
            requirement,
            applied: None,
            dane: None,
        }
    }
}

/// Who was given an answer, and what: an MTA of which it can be expected that it tells how its sessions
/// went, where it tells that at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asker {
    /// It was given this at the start of an attempt at delivery.
    Telling(Said),
    /// The same, asked again by a client that was answered alike before: for another MX host of that
    /// attempt, or for another attempt.
    TellingAgain(Said),
}

/// What an MTA that tells its sessions was given of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Said {
    /// The MTA-STS policy, with what is needed to name it: mail hosts that it does not list are passed
    /// over, and nothing is told of them.
    PolicyByName,
    /// The same, for some of the hosts that the policy lists: what TLSA records ask of the others it could not
    /// say as well.
    PolicyForSome,
    /// The policy without that (map name `QUERY`, or a policy too large): what is told names no policy.
    Policy,
    /// That DANE alone decides (`dane-only`): mail hosts without TLSA records are passed over, and nothing
    /// is told of them.
    DaneOnly,
    /// That nothing is demanded (`may`), so that it does no DANE by a level of its own.
    NothingDemanded,
    /// Nothing: it goes by its own settings.
    Nothing,
}
