//! From the types that the stages work with to their twins on the wire.

use super::wire::{
    AppliedView, DeliveryStateView, DeliveryView, DetailView, DomainSessions, FailureMembers,
    FailureView, PolicySessions, PolicyView, TroubleView,
};
use crate::{
    aggregate::{DomainDay, PolicyTotals},
    clock::Timestamp,
    deliver::{DeliveryKey, DeliveryState, Step},
    policy::{AppliedPolicy, FetchTrouble, KeptPolicy, PolicyDomain},
    record::Failure,
    store::FailureRecord,
};

impl From<&AppliedPolicy> for AppliedView {
    fn from(policy: &AppliedPolicy) -> Self {
        Self {
            policy_type: policy.policy_type.name().to_owned(),
            policy_domain: policy.policy_domain.to_string(),
            policy_string: policy.policy_string.clone(),
            mx_host: policy.mx_host.clone(),
            fingerprint: policy.fingerprint().to_string(),
        }
    }
}

impl From<&Failure> for FailureMembers {
    fn from(failure: &Failure) -> Self {
        Self {
            result_type: failure.result.name().to_owned(),
            mx: failure.mx.clone(),
            mx_helo: failure.mx_helo.clone(),
            receiving_ip: failure.receiving_ip.map(|address| address.to_string()),
            sending_ip: failure.sending_ip.map(|address| address.to_string()),
            reason: failure.reason.clone(),
        }
    }
}

impl From<&FailureRecord> for FailureView {
    fn from(record: &FailureRecord) -> Self {
        Self {
            at: record.at.to_string(),
            domain: record.domain.to_string(),
            policy: record.policy.to_string(),
            source: record.source.name().to_owned(),
            failure: (&record.failure).into(),
        }
    }
}

impl From<&PolicyTotals> for PolicySessions {
    fn from(totals: &PolicyTotals) -> Self {
        let details = totals.details.iter().map(|(failure, sessions)| DetailView {
            failure: failure.into(),
            sessions: *sessions,
        });
        Self {
            policy: (&totals.policy).into(),
            successes: totals.successes,
            failures: totals.failures,
            details: details.collect(),
        }
    }
}

impl From<&DomainDay> for DomainSessions {
    fn from(day: &DomainDay) -> Self {
        Self {
            domain: day.domain.to_string(),
            policies: day.policies.iter().map(Into::into).collect(),
        }
    }
}

impl From<&FetchTrouble> for TroubleView {
    fn from(trouble: &FetchTrouble) -> Self {
        Self {
            result_type: trouble.result.name().to_owned(),
            reason: trouble.reason.clone(),
            id: trouble.id.clone(),
            at: trouble.at.to_string(),
        }
    }
}

impl PolicyView {
    /// A kept policy as it stands at `now`.
    #[must_use]
    pub fn of(
        domain: &PolicyDomain,
        kept: &KeptPolicy,
        trouble: Option<&FetchTrouble>,
        now: Timestamp,
    ) -> Self {
        Self {
            domain: domain.to_string(),
            mode: kept.policy.mode.name().to_owned(),
            mx: kept.policy.mx.iter().map(ToString::to_string).collect(),
            max_age_seconds: kept.policy.max_age_seconds,
            id: kept.id.clone(),
            fetched_at: kept.fetched_at.to_string(),
            tried_at: kept.tried_at.to_string(),
            expires_at: kept.expires_at().to_string(),
            expired: now >= kept.expires_at(),
            lines: kept.policy.lines.clone(),
            trouble: trouble.map(Into::into),
        }
    }
}

impl DeliveryView {
    /// How a delivery stands.
    #[must_use]
    pub fn of(key: &DeliveryKey, state: &DeliveryState) -> Self {
        let (word, at, reason) = match &state.step {
            Step::Due(at) => (DeliveryStateView::Due, at, None),
            Step::Sending(at) => (DeliveryStateView::Sending, at, None),
            Step::Sent(at) => (DeliveryStateView::Sent, at, None),
            Step::RetryAt { at, reason } => (DeliveryStateView::Retry, at, Some(reason)),
            Step::GivenUp { at, reason } => (DeliveryStateView::GivenUp, at, Some(reason)),
        };
        Self {
            day: key.day.to_string(),
            domain: key.domain.to_string(),
            destination: key.destination.to_string(),
            report_id: state.report_id.clone(),
            attempts: state.attempts,
            first_attempt_at: state.first_attempt_at.map(|moment| moment.to_string()),
            state: word,
            at: at.to_string(),
            reason: reason.cloned(),
        }
    }
}
