//! What came of it, held against the truth. Pure.

use std::path::{Path, PathBuf};

use sealpost_kit::{Case, Expected, Message, ReportMail};
use serde_json::Value;

use super::Delivered;

/// One message of the mailbox, read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Landed {
    rua: String,
    dkim: Result<(), String>,
    read: Result<Report, String>,
    file: PathBuf,
}

/// A report mail and the report in it.
#[derive(Clone, Debug, PartialEq)]
struct Report {
    mail: ReportMail,
    json: Value,
}

impl Landed {
    /// Reads a message; what cannot be read says why.
    pub(super) fn read(message: &Message, rua: &str, dkim: Result<(), String>) -> Self {
        Self {
            rua: rua.to_owned(),
            dkim,
            read: read(message),
            file: PathBuf::new(),
        }
    }

    pub(super) fn kept_in(self, file: PathBuf) -> Self {
        Self { file, ..self }
    }

    /// The domain it says it is about.
    pub(super) fn domain(&self) -> Option<&str> {
        self.read.as_ref().ok()?.mail.field("TLS-Report-Domain")
    }

    /// The report's text, octet for octet.
    pub(super) fn json(&self) -> Option<&[u8]> {
        let report = self.read.as_ref().ok()?;
        Some(&report.mail.json)
    }

    pub(super) fn subject(&self) -> &str {
        let report = self.read.as_ref().ok();
        report
            .and_then(|report| report.mail.field("Subject"))
            .unwrap_or_default()
    }

    pub(super) fn report_id(&self) -> &str {
        let id = self.value().and_then(|json| json.get("report-id"));
        id.and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn rua(&self) -> &str {
        &self.rua
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// `pass`, or why not.
    pub(super) fn dkim(&self) -> &str {
        match &self.dkim {
            Ok(()) => "pass",
            Err(reason) => reason,
        }
    }

    /// Over all its policies.
    pub(super) fn success(&self) -> u64 {
        self.total("total-successful-session-count")
    }

    /// Over all its policies.
    pub(super) fn failure(&self) -> u64 {
        self.total("total-failure-session-count")
    }

    fn total(&self, name: &str) -> u64 {
        self.policies()
            .map(|policy| number(policy.get("summary").unwrap_or(&Value::Null), name))
            .sum()
    }

    fn value(&self) -> Option<&Value> {
        self.read.as_ref().ok().map(|report| &report.json)
    }

    fn policies(&self) -> impl Iterator<Item = &Value> {
        let policies = self.value().and_then(|json| json.get("policies"));
        policies.and_then(Value::as_array).into_iter().flatten()
    }

    fn failures(&self) -> impl Iterator<Item = &Value> {
        self.policies()
            .filter_map(|policy| policy.get("failure-details"))
            .filter_map(Value::as_array)
            .flatten()
    }
}

fn read(message: &Message) -> Result<Report, String> {
    let mail = ReportMail::parse(&message.data).map_err(|error| error.to_string())?;
    let json: Value = serde_json::from_slice(&mail.json)
        .map_err(|error| format!("the report is no JSON: {error}"))?;
    Ok(Report { mail, json })
}

fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

/// Every case with what came of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Judged {
    pub(super) cases: Vec<JudgedCase>,
    /// In the order they landed.
    pub(super) reports: Vec<Landed>,
    /// What belongs to no case.
    strays: Vec<String>,
}

/// One case with what came of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct JudgedCase {
    pub(super) case: Case,
    /// Nothing where the MTA said nothing of it.
    pub(super) delivered: Option<Delivered>,
    /// What its reports say, sorted, each once.
    pub(super) result_types: Vec<String>,
    /// How it differs from its truth.
    pub(super) differences: Vec<String>,
}

impl Judged {
    pub(super) fn agrees(&self) -> bool {
        self.differences().next().is_none()
    }

    /// How anything differs from the truth, each in one sentence.
    pub(super) fn differences(&self) -> impl Iterator<Item = String> + '_ {
        let of_cases = self.cases.iter().flat_map(|judged| {
            let domain = &judged.case.domain;
            let differences = judged.differences.iter();
            differences.map(move |difference| format!("{domain}: {difference}"))
        });
        of_cases.chain(self.strays.iter().cloned())
    }
}

/// Holds deliveries and reports against the truth.
pub(super) fn judge(cases: &[Case], deliveries: &[Delivered], reports: Vec<Landed>) -> Judged {
    let strays = reports
        .iter()
        .filter_map(|landed| match (&landed.read, landed.domain()) {
            (Err(reason), _) => Some(format!("{}: {reason}", landed.file.display())),
            (Ok(_), Some(domain)) if cases.iter().any(|case| case.domain == domain) => None,
            (Ok(_), domain) => Some(format!("a report about {}", domain.unwrap_or("nobody"))),
        })
        .collect();
    let cases = cases
        .iter()
        .map(|case| {
            let delivered = deliveries
                .iter()
                .find(|delivered| delivered.domain == case.domain);
            let of_case: Vec<&Landed> = reports
                .iter()
                .filter(|landed| landed.domain() == Some(&case.domain))
                .collect();
            judge_case(case, delivered, &of_case)
        })
        .collect();
    Judged {
        cases,
        reports,
        strays,
    }
}

fn judge_case(case: &Case, delivered: Option<&Delivered>, reports: &[&Landed]) -> JudgedCase {
    let mut result_types: Vec<String> = reports
        .iter()
        .flat_map(|landed| landed.failures())
        .filter_map(|failure| text(failure, "result-type"))
        .map(str::to_owned)
        .collect();
    result_types.sort();
    result_types.dedup();
    let mut differences = Vec::new();
    match delivered {
        None => differences.push("the MTA says nothing of it".to_owned()),
        Some(seen) => {
            if seen.delivered != case.delivered {
                differences.push(format!(
                    "delivered {} where it should be {} ({})",
                    seen.delivered, case.delivered, seen.reason
                ));
            }
            if seen.mx != case.mx {
                let (seen, wanted) = (or_none(seen.mx.as_deref()), or_none(case.mx.as_deref()));
                differences.push(format!("taken by {seen} where it should be {wanted}"));
            }
        }
    }
    match (&case.report, reports) {
        (None, []) => {}
        (None, _) => differences.push("a report that nobody asked for".to_owned()),
        (Some(_), []) => differences.push("no report".to_owned()),
        (Some(expected), reports) => differences.extend(judge_reports(expected, reports)),
    }
    JudgedCase {
        case: case.clone(),
        delivered: delivered.cloned(),
        result_types,
        differences,
    }
}

fn or_none(name: Option<&str>) -> &str {
    name.unwrap_or("none")
}

/// Counts are added up over the reports: there are two where midnight passed in between.
fn judge_reports(expected: &Expected, reports: &[&Landed]) -> Vec<String> {
    let mut differences = Vec::new();
    for landed in reports {
        if let Err(reason) = &landed.dkim {
            differences.push(format!("its report's DKIM signature: {reason}"));
        }
        if landed.rua != expected.rua {
            differences.push(format!("its report went to {}", landed.rua));
        }
        differences.extend(landed.policies().filter_map(|policy| {
            let named = policy.get("policy").unwrap_or(&Value::Null);
            let same = text(named, "policy-type") == Some(&expected.policy_type)
                && lines_of(named) == expected.policy_string;
            (!same).then(|| format!("its report names another policy: {policy}"))
        }));
    }
    let success: u64 = reports.iter().map(|landed| landed.success()).sum();
    let failure: u64 = reports.iter().map(|landed| landed.failure()).sum();
    if (success, failure) != (expected.success, expected.failure) {
        differences.push(format!(
            "{success} good and {failure} bad sessions where there should be {} and {}",
            expected.success, expected.failure
        ));
    }
    let mut wanted: Vec<_> = expected
        .failures
        .iter()
        .map(|failure| {
            (
                failure.result_type.as_str(),
                failure.mx.as_deref(),
                failure.sessions,
            )
        })
        .collect();
    let mut found: Vec<_> = reports
        .iter()
        .flat_map(|landed| landed.failures())
        .map(|failure| {
            (
                text(failure, "result-type").unwrap_or_default(),
                text(failure, "receiving-mx-hostname"),
                number(failure, "failed-session-count"),
            )
        })
        .collect();
    wanted.sort_unstable();
    found.sort_unstable();
    if found != wanted {
        differences.push(format!(
            "failures {found:?} where there should be {wanted:?}"
        ));
    }
    differences
}

fn lines_of(policy: &Value) -> Vec<String> {
    let lines = policy.get("policy-string").and_then(Value::as_array);
    lines
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use sealpost_kit::{Delivery, ExpectedFailure};
    use serde_json::json;

    use super::*;

    pub(in crate::demo) fn case() -> Case {
        Case {
            domain: "a.test".to_owned(),
            u_label: None,
            policy: "enforce".to_owned(),
            story: "expired".to_owned(),
            delivered: Delivery::Deferred,
            mx: None,
            sessions: 1,
            report: Some(Expected {
                rua: "r@r.test".to_owned(),
                policy_type: "sts".to_owned(),
                policy_domain: None,
                policy_string: vec!["version: STSv1".to_owned()],
                success: 0,
                failure: 1,
                failures: vec![ExpectedFailure {
                    result_type: "certificate-expired".to_owned(),
                    mx: Some("mx.a.test".to_owned()),
                    reason: None,
                    sessions: 1,
                }],
            }),
            more: Vec::new(),
            otherwise: None,
        }
    }

    pub(in crate::demo) fn delivered() -> Delivered {
        Delivered {
            domain: "a.test".to_owned(),
            delivered: Delivery::Deferred,
            mx: None,
            reason: "certificate expired".to_owned(),
        }
    }

    fn report() -> Value {
        json!({"report-id": "1@sender.test", "policies": [{
            "policy": {"policy-type": "sts", "policy-string": ["version: STSv1"]},
            "summary": {"total-successful-session-count": 0, "total-failure-session-count": 1},
            "failure-details": [{"result-type": "certificate-expired",
                "receiving-mx-hostname": "mx.a.test", "failed-session-count": 1}],
        }]})
    }

    pub(in crate::demo) fn landed(json: &Value) -> Landed {
        let data = format!(
            "TLS-Report-Domain: a.test\r\nSubject: Report\r\n\
             Content-Type: multipart/report; report-type=tlsrpt; boundary=b\r\n\r\n\
             --b\r\n\r\ntext\r\n--b\r\nContent-Type: application/tlsrpt+json\r\n\
             Content-Disposition: attachment; filename=x.json\r\n\r\n{json}\r\n--b--\r\n"
        );
        let message = Message {
            mx: "mx.r.test".to_owned(),
            tls: true,
            helo: "x".to_owned(),
            from: String::new(),
            recipients: vec!["r@r.test".to_owned()],
            data: data.into_bytes(),
        };
        Landed::read(&message, "r@r.test", Ok(())).kept_in("/tmp/a.test.eml".into())
    }

    #[test]
    fn what_is_as_it_should_be_agrees() {
        let judged = judge(&[case()], &[delivered()], vec![landed(&report())]);
        assert_eq!(
            judged.differences().collect::<Vec<_>>(),
            Vec::<String>::new()
        );
        assert_eq!(judged.cases[0].result_types, ["certificate-expired"]);
    }

    #[test]
    fn each_difference_is_found() {
        let check = |delivered: &[Delivered], reports: Vec<Landed>, expected: &str| {
            let judged = judge(&[case()], delivered, reports);
            let differences: Vec<String> = judged.differences().collect();
            assert!(!judged.agrees());
            assert!(
                differences.iter().any(|words| words.contains(expected)),
                "{expected}: {differences:?}"
            );
        };
        let good = || vec![landed(&report())];
        check(&[], good(), "says nothing");
        let in_clear = Delivered {
            delivered: Delivery::Plain,
            mx: Some("mx.a.test".to_owned()),
            ..delivered()
        };
        check(std::slice::from_ref(&in_clear), good(), "delivered plain");
        check(&[in_clear], good(), "taken by mx.a.test");
        check(&[delivered()], vec![], "no report");
        let mut unsigned = landed(&report());
        unsigned.dkim = Err("not signed".to_owned());
        check(&[delivered()], vec![unsigned], "not signed");
        check(
            &[delivered()],
            vec![landed(&report()), landed(&report())],
            "2 bad sessions",
        );
        for (pointer, value, expected) in [
            (
                "/policies/0/policy/policy-type",
                json!("tlsa"),
                "another policy",
            ),
            (
                "/policies/0/policy/policy-string",
                json!(["x"]),
                "another policy",
            ),
            (
                "/policies/0/failure-details/0/result-type",
                json!("validation-failure"),
                "failures",
            ),
        ] {
            let mut changed = report();
            *changed.pointer_mut(pointer).unwrap() = value;
            check(&[delivered()], vec![landed(&changed)], expected);
        }
        let judged = judge(&[], &[], vec![landed(&report())]);
        assert_eq!(
            judged.differences().collect::<Vec<_>>(),
            ["a report about a.test"]
        );
    }
}
