//! The report itself: the JSON that programs read.
//!
//! These are the only types that serde writes into a report. Their names and their order are those
//! of RFC 8460 s4.4; every member that is not always known is an `Option` and is left out when it is
//! not known.

use std::{cmp::Reverse, net::IpAddr};

use serde::Serialize;

use super::{ReportId, Submitter, clean, room::Room};
use crate::{
    aggregate::{DomainDay, PolicyTotals},
    policy::{AppliedPolicy, PolicyType},
    record::Failure,
};

/// Writes the report of a day. `details` are those of
/// [`details::reported`](super::details::reported): one list for each policy.
#[expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "structs of texts and numbers, written into a Vec, have no error to give"
)]
#[must_use]
pub fn json(
    day: &DomainDay,
    details: &[Vec<(Failure, u64)>],
    submitter: &Submitter,
    id: &ReportId,
    room: Room,
) -> Vec<u8> {
    let texts = policy_texts(day, room.policy_text_bytes_max);
    let report = Report {
        organization_name: submitter.organization(),
        // RFC 8460 s4.4: RFC 3339 with "Z"; the range is the whole UTC day (s4.1).
        date_range: DateRange {
            start_datetime: day.day.first_second().to_string(),
            end_datetime: day.day.last_second().to_string(),
        },
        contact_info: submitter.contact(),
        report_id: id.as_str(),
        policies: day
            .policies
            .iter()
            .zip(details)
            .zip(texts)
            .map(|((totals, details), text)| element(totals, details, text))
            .collect(),
    };
    let mut json = serde_json::to_vec_pretty(&report).expect("a report can be written as JSON");
    json.push(b'\n');
    json
}

/// RFC 7493 s2.2: readers keep integers exact up to here.
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// How much of one policy's text is repeated: a policy document is no longer (RFC 8461 s3.2).
const POLICY_TEXT_BYTES_MAX: usize = 64 << 10;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report<'a> {
    organization_name: &'a str,
    date_range: DateRange,
    contact_info: &'a str,
    report_id: &'a str,
    policies: Vec<PolicyElement<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct DateRange {
    start_datetime: String,
    end_datetime: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct PolicyElement<'a> {
    policy: Policy<'a>,
    summary: Summary,
    failure_details: Vec<FailureDetail<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Policy<'a> {
    policy_type: &'static str,
    // RFC 8460 s4.4: an array of strings, a line each. Absent, not empty, when unknown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    policy_string: Vec<String>,
    policy_domain: &'a str,
    // RFC 8460 s4.4: an array of strings; the string of its Appendix B is an erratum.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mx_host: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Summary {
    total_successful_session_count: u64,
    total_failure_session_count: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct FailureDetail<'a> {
    result_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sending_mta_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receiving_mx_hostname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receiving_mx_helo: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receiving_ip: Option<IpAddr>,
    failed_session_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason_code: Option<&'a str>,
}

fn element<'a>(
    totals: &'a PolicyTotals,
    details: &'a [(Failure, u64)],
    text: PolicyText,
) -> PolicyElement<'a> {
    PolicyElement {
        policy: Policy {
            policy_type: totals.policy.policy_type.name(),
            policy_string: text.lines,
            policy_domain: totals.policy.policy_domain.as_str(),
            mx_host: text.mx_host,
        },
        summary: Summary {
            total_successful_session_count: totals.successes.min(INTEGER_MAX),
            total_failure_session_count: totals.failures.min(INTEGER_MAX),
        },
        // OURS: an empty array where there is none, never an absent member.
        failure_details: details
            .iter()
            .map(|(failure, count)| FailureDetail {
                result_type: failure.result.name(),
                sending_mta_ip: failure.sending_ip,
                receiving_mx_hostname: failure.mx.as_deref(),
                receiving_mx_helo: failure.mx_helo.as_deref(),
                receiving_ip: failure.receiving_ip,
                failed_session_count: (*count).min(INTEGER_MAX),
                failure_reason_code: failure.reason.as_deref(),
            })
            .collect(),
    }
}

/// What is repeated of one policy's text.
#[derive(Default)]
struct PolicyText {
    lines: Vec<String>,
    mx_host: Vec<String>,
}

/// The texts of the day's policies, in their order. Where the report has not room for all, those
/// under which most sessions were held come first.
fn policy_texts(day: &DomainDay, bytes_max: usize) -> Vec<PolicyText> {
    let mut by_weight: Vec<(usize, &PolicyTotals)> = day.policies.iter().enumerate().collect();
    by_weight.sort_by_key(|(_, totals)| Reverse(totals.successes.saturating_add(totals.failures)));
    let mut room = bytes_max;
    let mut texts: Vec<(usize, PolicyText)> = by_weight
        .into_iter()
        .map(|(index, totals)| (index, policy_text(&totals.policy, &mut room)))
        .collect();
    texts.sort_by_key(|(index, _)| *index);
    texts.into_iter().map(|(_, text)| text).collect()
}

fn policy_text(policy: &AppliedPolicy, report_room: &mut usize) -> PolicyText {
    PolicyText {
        lines: take(&policy.policy_string, report_room),
        mx_host: match policy.policy_type {
            PolicyType::Sts => take(&policy.mx_host, report_room),
            PolicyType::Tlsa | PolicyType::NoPolicyFound => Vec::new(),
        },
    }
}

/// The lines that fit, cleaned.
fn take(lines: &[String], report_room: &mut usize) -> Vec<String> {
    let mut room = POLICY_TEXT_BYTES_MAX;
    lines
        .iter()
        .map(|line| clean::for_json(line, POLICY_TEXT_BYTES_MAX))
        .map_while(|line| {
            // One more for the line end it had.
            let size = line.len() + 1;
            room = room.checked_sub(size)?;
            *report_room = report_room.checked_sub(size)?;
            Some(line)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use sealpost_plugin_api::ResultType;
    use serde_json::{Value, json};

    use super::*;
    use std::collections::BTreeMap;

    use crate::{clock::UtcDay, config::ReportConfig, policy::PolicyDomain};

    fn domain() -> PolicyDomain {
        "example.org".parse().unwrap()
    }

    fn totals(policy: AppliedPolicy, successes: u64) -> PolicyTotals {
        PolicyTotals {
            policy,
            successes,
            failures: 0,
            details: Vec::new(),
        }
    }

    fn sts(lines: Vec<String>) -> AppliedPolicy {
        AppliedPolicy {
            policy_string: lines,
            ..AppliedPolicy::sts_unfetched(domain())
        }
    }

    fn written(policies: Vec<PolicyTotals>) -> Value {
        let day = DomainDay {
            domain: domain(),
            recipients: 0,
            seen: BTreeMap::new(),
            day: UtcDay(19_858),
            policies,
        };
        let submitter =
            Submitter::new("Sender", "tls@sender.example", "", "mta1.sender.example").unwrap();
        let id = ReportId::new(day.day, &day.domain, &submitter);
        let details: Vec<_> = day
            .policies
            .iter()
            .map(|totals| totals.details.clone())
            .collect();
        let room = Room::whole(&ReportConfig::default());
        serde_json::from_slice(&json(&day, &details, &submitter, &id, room)).unwrap()
    }

    #[test]
    fn e3_members_that_are_not_known_are_absent_and_arrays_are_arrays() {
        let report = written(vec![PolicyTotals {
            failures: u64::MAX,
            details: vec![(
                Failure::of_policy(ResultType::StsPolicyFetchError, "http-status-404"),
                3,
            )],
            ..totals(AppliedPolicy::sts_unfetched(domain()), 0)
        }]);
        assert_eq!(
            report["policies"],
            json!([{
                "policy": {"policy-type": "sts", "policy-domain": "example.org"},
                "summary": {
                    "total-successful-session-count": 0,
                    "total-failure-session-count": 9_007_199_254_740_991_u64,
                },
                "failure-details": [{
                    "result-type": "sts-policy-fetch-error",
                    "failed-session-count": 3,
                    "failure-reason-code": "http-status-404",
                }],
            }])
        );
        let report = written(vec![totals(AppliedPolicy::no_policy_found(domain()), 1)]);
        assert_eq!(report["policies"][0]["failure-details"], json!([]));
        assert_eq!(
            report["date-range"],
            json!({
                "start-datetime": "2024-05-15T00:00:00Z",
                "end-datetime": "2024-05-15T23:59:59Z",
            })
        );
    }

    #[test]
    fn e5_policy_text_is_repeated_as_published_within_bounds() {
        let line = "x".repeat(1_023);
        let report = written(vec![totals(sts(vec![line.clone(); 65]), 1)]);
        let lines = report["policies"][0]["policy"]["policy-string"]
            .as_array()
            .unwrap();
        assert_eq!(lines.len(), 64);
        assert_eq!(lines[0], json!(line));

        // 17 texts of 64 KiB: the one under which fewest sessions were held finds no room.
        let many = (0_u64..17)
            .map(|index| {
                let lines = vec![format!("{index:>1023}"); 64];
                totals(sts(lines), 1 + (index + 5) % 17)
            })
            .collect();
        let report = written(many);
        let without: Vec<u64> = report["policies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|element| element["policy"].get("policy-string").is_none())
            .map(|element| {
                element["summary"]["total-successful-session-count"]
                    .as_u64()
                    .unwrap()
            })
            .collect();
        assert_eq!(without, [1]);

        let report = written(vec![totals(sts(vec!["  mx: a\u{1b}[1m\r".to_owned()]), 1)]);
        assert_eq!(
            report["policies"][0]["policy"]["policy-string"],
            json!(["  mx: a[1m"])
        );
    }
}
