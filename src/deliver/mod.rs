//! Stage 7 of 7: deliver.
//! Takes: finished reports.
//! Gives: them to the recipient domain's rua, once for each (domain, day, destination).
//! Never: sends before the state on disk says so; never honours a TLS policy (RFC 8460 s3).
//! Specified by: RFC 8460 s5.

pub mod agenda;
mod attempt;
pub mod bounce;
mod calendar;
pub mod courier;
pub mod destination_map;
pub mod destinations;
mod errand;
mod ledger;
pub mod listing;
pub mod noting;
pub mod outbox;
pub mod retry;
mod rua_lookup;
pub mod schedule;
mod scribe;
pub mod shares;
pub mod sources;
mod suppressing;
pub mod suppression;
mod suppressions;
mod under_way;

pub(crate) use ledger::on_disk;
pub use suppressing::{Belief, NotBelieved};
pub use under_way::HostLimits;

use crate::{
    clock::{Timestamp, UtcDay},
    policy::{Destination, PolicyDomain},
};

/// Names one delivery.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryKey {
    /// The UTC day the report covers.
    pub day: UtcDay,
    /// The policy domain it is about.
    pub domain: PolicyDomain,
    /// Where it goes.
    pub destination: Destination,
}

/// How a delivery stands. Written before the world sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryState {
    /// The report's id: the same in every attempt.
    pub report_id: String,
    /// Attempts begun so far.
    pub attempts: u32,
    /// When the first attempt began; 24 hours later it is given up (RFC 8460 s5.5).
    pub first_attempt_at: Option<Timestamp>,
    /// Where it is on its way.
    pub step: Step,
}

impl DeliveryState {
    /// Will no further attempt be made, although it did not arrive?
    #[must_use]
    pub const fn is_given_up(&self) -> bool {
        matches!(self.step, Step::GivenUp { .. })
    }
}

/// Where a delivery is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// To be sent from this moment on.
    Due(Timestamp),
    /// An attempt began at this moment. Found at start-up, it means that we died within it: it is
    /// begun again with the same report-id, for whether the receiver took it cannot be known.
    Sending(Timestamp),
    /// The next hop took it.
    Sent(Timestamp),
    /// The last attempt failed; the next is due at `at`.
    RetryAt {
        /// When.
        at: Timestamp,
        /// Why the last one failed.
        reason: String,
    },
    /// No further attempt will be made, unless the operator asks for one.
    GivenUp {
        /// When that was decided.
        at: Timestamp,
        /// Why.
        reason: String,
    },
}
