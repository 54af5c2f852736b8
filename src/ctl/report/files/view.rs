//! What `--json` prints of reports that were read. Members are added, never renamed.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    sources::Source,
    totals::{self, TotalsView},
};
use crate::report::{
    explain::{DOMAIN, Voice, explain},
    read::{Finding, Received, ReceivedDetail, ReceivedPolicy, ReceivedReport, Registered},
};

/// Everything that was read.
#[derive(Debug, Serialize)]
pub(super) struct ReportsView {
    /// Each report, in the order in which they were found.
    pub(super) reports: Vec<ReportView>,
    /// What could not be read.
    pub(super) unread: Vec<UnreadView>,
    /// How many mails and files lay among the others and are no reports.
    pub(super) passed_over: u64,
    /// The sums over all reports, each report once.
    pub(super) totals: TotalsView,
}

/// One report.
#[derive(Debug, Serialize)]
pub(super) struct ReportView {
    /// The file it came in, and the mail of a mailbox.
    pub(super) source: String,
    /// The attachment of that mail, or the file in that archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attachment: Option<String>,
    /// Where the same report was read before. It is counted once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) repeats: Option<String>,
    pub(super) organization: Option<String>,
    pub(super) contact: Option<String>,
    pub(super) report_id: Option<String>,
    /// The UTC day it covers, or begins on.
    pub(super) day: Option<String>,
    pub(super) begin: Option<String>,
    pub(super) end: Option<String>,
    /// What the signatures of its mail are worth; absent where it came without a mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dkim: Option<DkimView>,
    pub(super) policies: Vec<PolicyView>,
    /// What it does not do as RFC 8460 asks.
    pub(super) findings: Vec<FindingView>,
}

/// `pass`, `fail`, `none` or `unknown`, and more in words.
#[derive(Debug, Serialize)]
pub(super) struct DkimView {
    pub(super) result: &'static str,
    pub(super) text: String,
}

#[derive(Debug, Serialize)]
pub(super) struct PolicyView {
    pub(super) policy_type: Option<String>,
    pub(super) policy_domain: Option<String>,
    pub(super) policy_string: Vec<String>,
    pub(super) mx_host: Vec<String>,
    pub(super) success: u64,
    pub(super) failure: u64,
    pub(super) failures: Vec<FailureView>,
}

#[derive(Debug, Serialize)]
pub(super) struct FailureView {
    pub(super) result_type: Option<String>,
    pub(super) sessions: u64,
    pub(super) mx: Option<String>,
    pub(super) mx_helo: Option<String>,
    pub(super) receiving_ip: Option<String>,
    pub(super) sending_ip: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) additional_information: Option<String>,
    /// What it means, where the result type is known.
    pub(super) meaning: Option<String>,
    /// What to do about it.
    pub(super) remedy: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct FindingView {
    pub(super) rule: &'static str,
    pub(super) asked_by: &'static str,
    pub(super) place: String,
    pub(super) text: String,
}

/// A file, or a part of one, that could not be read.
#[derive(Clone, Debug, Serialize)]
pub(super) struct UnreadView {
    pub(super) source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attachment: Option<String>,
    pub(super) reason: String,
}

pub(super) fn view(
    read: &[(Source, Received)],
    unread: &[UnreadView],
    passed_over: u64,
) -> ReportsView {
    let mut first: HashMap<&ReceivedReport, &str> = HashMap::new();
    let mut reports = Vec::new();
    for (source, received) in read {
        let repeats = first.get(&received.report).map(|label| (*label).to_owned());
        first.entry(&received.report).or_insert(&source.label);
        reports.push(report(source, received, repeats));
    }
    ReportsView {
        totals: totals::totals(&reports),
        reports,
        unread: unread.to_vec(),
        passed_over,
    }
}

fn report(source: &Source, received: &Received, repeats: Option<String>) -> ReportView {
    let report = &received.report;
    let dkim = received.authenticity.as_ref().map(|each| DkimView {
        result: each.name(),
        text: each.in_words(),
    });
    ReportView {
        source: source.label.clone(),
        attachment: received.attachment.clone(),
        repeats,
        organization: report.organization.clone(),
        contact: report.contact.clone(),
        report_id: report.id.clone(),
        day: report.day().map(|day| day.to_string()),
        begin: report.begin.map(|moment| moment.to_string()),
        end: report.end.map(|moment| moment.to_string()),
        dkim,
        policies: report.policies.iter().map(policy).collect(),
        findings: received.findings.iter().map(finding).collect(),
    }
}

fn finding(finding: &Finding) -> FindingView {
    FindingView {
        rule: finding.rule.name(),
        asked_by: finding.rule.asked_by(),
        place: finding.place.clone(),
        text: finding.text.clone(),
    }
}

fn policy(policy: &ReceivedPolicy) -> PolicyView {
    let domain = policy.domain.as_deref();
    PolicyView {
        policy_type: policy
            .policy_type
            .as_ref()
            .map(|kind| kind.name().to_owned()),
        policy_domain: policy.domain.clone(),
        policy_string: policy.policy_string.clone(),
        mx_host: policy.mx_host.clone(),
        success: policy.successes,
        failure: policy.failures,
        failures: policy
            .details
            .iter()
            .map(|each| failure(each, domain))
            .collect(),
    }
}

fn failure(detail: &ReceivedDetail, domain: Option<&str>) -> FailureView {
    let explanation = match &detail.result {
        Some(Registered::Known(result)) => {
            let reason = detail.reason.as_deref();
            Some(explain(*result, reason, Voice::Reader))
        }
        Some(Registered::Other(_)) | None => None,
    };
    let for_domain = |text: &str| text.replace(DOMAIN, domain.unwrap_or("the domain"));
    FailureView {
        result_type: detail
            .result
            .as_ref()
            .map(|result| result.name().to_owned()),
        sessions: detail.sessions,
        mx: detail.mx.clone(),
        mx_helo: detail.mx_helo.clone(),
        receiving_ip: detail.receiving_ip.map(|address| address.to_string()),
        sending_ip: detail.sending_ip.map(|address| address.to_string()),
        reason: detail.reason.clone(),
        additional_information: detail.additional_information.clone(),
        meaning: explanation.as_ref().map(|each| for_domain(&each.meaning)),
        remedy: explanation.as_ref().map(|each| for_domain(&each.remedy)),
    }
}
