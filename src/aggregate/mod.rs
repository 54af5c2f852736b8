//! Stage 5 of 7: aggregate.
//! Takes: the rows of one domain on one UTC day, from the store.
//! Gives: a [`DomainDay`] to report.
//! Never: reads the store or the clock itself; the same rows give the same totals.
//! Specified by: RFC 8460 s4.2 and s4.4.

use crate::{
    clock::UtcDay,
    policy::{AppliedPolicy, PolicyDomain},
    record::Failure,
};

/// What is reported of one domain for one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainDay {
    /// The domain.
    pub domain: PolicyDomain,
    /// The UTC day.
    pub day: UtcDay,
    /// One element for each exact policy, in the order of [`AppliedPolicy`]. Never empty.
    pub policies: Vec<PolicyTotals>,
}

/// The totals under one exact policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyTotals {
    /// The policy.
    pub policy: AppliedPolicy,
    /// Sessions that satisfied it.
    pub successes: u64,
    /// Sessions that did not.
    pub failures: u64,
    /// How they failed, in order of [`Failure`], with the number of sessions. Details may overlap.
    pub details: Vec<(Failure, u64)>,
}
