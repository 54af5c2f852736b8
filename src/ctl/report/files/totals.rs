//! Sums over reports, each report once.

use std::collections::BTreeMap;

use serde::Serialize;

use super::view::{FailureView, PolicyView, ReportView};

/// The sums.
#[derive(Debug, Serialize)]
pub(super) struct TotalsView {
    /// How many reports, those that came twice counted once.
    pub(super) reports: usize,
    /// How many were repetitions.
    pub(super) repeated: usize,
    /// How many findings they have.
    pub(super) findings: usize,
    /// By policy type. A session that was held to TLSA records and to a policy is in both, so there is no
    /// sum over them.
    pub(super) policy_types: Vec<OfPolicyType>,
    /// By reporter, policy domain, policy type and day.
    pub(super) sessions: Vec<Sessions>,
    /// By MX host and how it failed, the most sessions first.
    pub(super) failures: Vec<Failures>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct OfPolicyType {
    pub(super) policy_type: String,
    pub(super) success: u64,
    pub(super) failure: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Sessions {
    pub(super) organization: Option<String>,
    pub(super) policy_domain: Option<String>,
    pub(super) policy_type: Option<String>,
    pub(super) day: Option<String>,
    pub(super) success: u64,
    pub(super) failure: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Failures {
    pub(super) policy_domain: Option<String>,
    pub(super) mx: Option<String>,
    pub(super) result_type: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) sessions: u64,
    pub(super) meaning: Option<String>,
    pub(super) remedy: Option<String>,
}

type SessionsKey<'a> = [Option<&'a str>; 4];

pub(super) fn totals(reports: &[ReportView]) -> TotalsView {
    let counted: Vec<&ReportView> = reports
        .iter()
        .filter(|each| each.repeats.is_none())
        .collect();
    let mut by_type: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut sessions: BTreeMap<SessionsKey<'_>, (u64, u64)> = BTreeMap::new();
    let mut failures: BTreeMap<SessionsKey<'_>, (u64, &FailureView)> = BTreeMap::new();
    for report in &counted {
        for policy in &report.policies {
            let key = [
                report.organization.as_deref(),
                policy.policy_domain.as_deref(),
                policy.policy_type.as_deref(),
                report.day.as_deref(),
            ];
            add(sessions.entry(key).or_default(), policy);
            let word = policy.policy_type.as_deref().unwrap_or("unknown");
            add(by_type.entry(word).or_default(), policy);
            for failure in &policy.failures {
                let key = [
                    policy.policy_domain.as_deref(),
                    failure.mx.as_deref(),
                    failure.result_type.as_deref(),
                    failure.reason.as_deref(),
                ];
                let (sum, _) = failures.entry(key).or_insert((0, failure));
                *sum = sum.saturating_add(failure.sessions);
            }
        }
    }
    let mut failures: Vec<Failures> = failures.into_iter().map(failed).collect();
    failures.sort_by_key(|each| std::cmp::Reverse(each.sessions));
    TotalsView {
        reports: counted.len(),
        repeated: reports.len() - counted.len(),
        findings: counted.iter().map(|each| each.findings.len()).sum(),
        policy_types: by_type
            .into_iter()
            .map(|(policy_type, (success, failure))| OfPolicyType {
                policy_type: policy_type.to_owned(),
                success,
                failure,
            })
            .collect(),
        sessions: sessions.into_iter().map(counted_sessions).collect(),
        failures,
    }
}

/// Strangers' numbers may be of any size.
const fn add(sum: &mut (u64, u64), policy: &PolicyView) {
    sum.0 = sum.0.saturating_add(policy.success);
    sum.1 = sum.1.saturating_add(policy.failure);
}

fn counted_sessions((key, (success, failure)): (SessionsKey<'_>, (u64, u64))) -> Sessions {
    let [organization, policy_domain, policy_type, day] = key.map(|text| text.map(str::to_owned));
    Sessions {
        organization,
        policy_domain,
        policy_type,
        day,
        success,
        failure,
    }
}

fn failed((key, (sessions, first)): (SessionsKey<'_>, (u64, &FailureView))) -> Failures {
    let [policy_domain, mx, result_type, reason] = key.map(|text| text.map(str::to_owned));
    Failures {
        policy_domain,
        mx,
        result_type,
        reason,
        sessions,
        meaning: first.meaning.clone(),
        remedy: first.remedy.clone(),
    }
}
