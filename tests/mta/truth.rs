//! What came of the recipient domains of the small Internet, held against their truth.

use std::collections::BTreeMap;

use sealpost_kit::{Case, Delivery, Expected};
use serde_json::Value;

use super::SENDER;

/// How what the mail hosts took of one message to a domain differs from its truth.
pub(crate) fn taken_differs(case: &Case, messages: &Value) -> Option<String> {
    let recipient = format!("someone@{}", case.domain);
    let taken: Vec<(Option<&str>, Option<bool>)> = messages
        .as_array()
        .unwrap()
        .iter()
        .filter(|message| message["from"] == SENDER && message["recipients"][0] == *recipient)
        .map(|message| (message["mx"].as_str(), message["tls"].as_bool()))
        .collect();
    let encrypted = matches!(case.delivered, Delivery::Tls | Delivery::TlsVerified);
    let expected: Vec<_> = case
        .mx
        .iter()
        .map(|mx| (Some(mx.as_str()), Some(encrypted)))
        .collect();
    (taken != expected).then(|| format!("{}: taken: {taken:?}", case.domain))
}

/// The reports of an inbox, by the domain that each is about.
pub(crate) fn by_domain(inbox: &Value) -> BTreeMap<String, Vec<Value>> {
    let mut reports: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for landed in inbox.as_array().unwrap() {
        let domain = landed["domain"].as_str();
        let domain = domain.unwrap_or_else(|| panic!("no report mail: {landed}"));
        reports
            .entry(domain.to_owned())
            .or_default()
            .push(landed.clone());
    }
    reports
}

/// How the reports that landed of a domain differ from its truth.
pub(crate) fn report_differs(case: &Case, landed: Option<&[Value]>) -> Vec<String> {
    let said = |difference: String| format!("{}: its report: {difference}", case.domain);
    let landed = match landed {
        None if case.report.is_none() => return Vec::new(),
        Some([landed]) if case.report.is_some() => landed,
        landed => return vec![format!("{}: reports: {landed:?}", case.domain)],
    };
    let mut differences = Vec::new();
    if landed["dkim"] != "pass" {
        differences.push(said(format!("DKIM is {}", landed["dkim"])));
    }
    let mut seen: Vec<String> = landed["report"]["policies"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|element| seen_element(case, element))
        .collect();
    let mut expected: Vec<String> = case
        .elements()
        .map(|element| expected_element(case, element))
        .collect();
    seen.sort();
    expected.sort();
    if seen != expected {
        let (seen, expected) = (seen.join("\n"), expected.join("\n"));
        differences.push(said(format!("it says\n{seen}\nand not\n{expected}")));
    }
    differences
}

/// An element of `policies` as a text: what the truth speaks of.
fn seen_element(case: &Case, element: &Value) -> String {
    let [policy, summary, details] =
        ["policy", "summary", "failure-details"].map(|name| &element[name]);
    let strings = policy["policy-string"].as_array();
    let strings: Vec<&str> = strings
        .into_iter()
        .flatten()
        .map(|line| line.as_str().unwrap())
        .collect();
    let mut failures: Vec<String> = details
        .as_array()
        .into_iter()
        .flatten()
        .map(|failure| {
            let result_type = failure["result-type"].as_str().unwrap();
            let reason = failure["failure-reason-code"].as_str().unwrap_or_default();
            failed(
                result_type,
                failure["receiving-mx-hostname"].as_str(),
                failure["failed-session-count"].as_u64().unwrap(),
                if depends_on_reason(case, result_type) {
                    unmarked(reason)
                } else {
                    ""
                },
            )
        })
        .collect();
    failures.sort();
    said(
        policy["policy-type"].as_str().unwrap(),
        policy["policy-domain"].as_str().unwrap(),
        &strings,
        [
            summary["total-successful-session-count"].as_u64().unwrap(),
            summary["total-failure-session-count"].as_u64().unwrap(),
        ],
        &failures,
    )
}

fn expected_element(case: &Case, expected: &Expected) -> String {
    let strings: Vec<&str> = expected.policy_string.iter().map(String::as_str).collect();
    let mut failures: Vec<String> = expected
        .failures
        .iter()
        .map(|failure| {
            failed(
                &failure.result_type,
                failure.mx.as_deref(),
                failure.sessions,
                failure.reason.as_deref().unwrap_or_default(),
            )
        })
        .collect();
    failures.sort();
    said(
        &expected.policy_type,
        expected.policy_domain.as_deref().unwrap_or(&case.domain),
        &strings,
        [expected.success, expected.failure],
        &failures,
    )
}

/// Whether the truth says why, of failures of this type. Else the MTA's words are as good as any.
fn depends_on_reason(case: &Case, result_type: &str) -> bool {
    case.elements()
        .flat_map(|element| &element.failures)
        .any(|failure| failure.result_type == result_type && failure.reason.is_some())
}

/// A reason without the mark that says where it comes from.
fn unmarked(reason: &str) -> &str {
    ["policy:", "probe:"]
        .iter()
        .find_map(|mark| reason.strip_prefix(mark))
        .unwrap_or(reason)
}

fn failed(result_type: &str, mx: Option<&str>, sessions: u64, reason: &str) -> String {
    format!("{sessions} {result_type} {} {reason}", mx.unwrap_or("-"))
}

fn said(
    policy_type: &str,
    policy_domain: &str,
    strings: &[&str],
    [success, failure]: [u64; 2],
    failures: &[String],
) -> String {
    format!(
        "{policy_type} of {policy_domain}, {} lines beginning {:?}: {success} good, {failure} bad: {}",
        strings.len(),
        strings.iter().take(3).collect::<Vec<_>>(),
        failures.join("; ")
    )
}
