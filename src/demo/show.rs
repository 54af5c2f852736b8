//! What the demo prints. Pure.

use std::{fmt::Write as _, path::Path};

use serde::Serialize;

use super::judge::{Judged, JudgedCase, Landed};
use crate::observe::printable::{printable, printable_json};

/// The report of `--json`.
#[derive(Serialize)]
struct Output<'a> {
    cases: Vec<CaseOutput<'a>>,
    reports: Vec<ReportOutput<'a>>,
}

#[derive(Serialize)]
struct CaseOutput<'a> {
    domain: &'a str,
    policy: &'a str,
    delivered: Option<String>,
    result_types: &'a [String],
    expected: Vec<String>,
}

#[derive(Serialize)]
struct ReportOutput<'a> {
    domain: Option<&'a str>,
    rua: &'a str,
    report_id: &'a str,
    success: u64,
    failure: u64,
    dkim: &'a str,
    file: &'a Path,
}

/// One line of JSON: what was delivered how, and each report as it landed.
pub(super) fn as_json(judged: &Judged) -> String {
    let cases = judged.cases.iter().map(|judged| CaseOutput {
        domain: &judged.case.domain,
        policy: &judged.case.policy,
        delivered: judged
            .delivered
            .as_ref()
            .map(|seen| seen.delivered.to_string()),
        result_types: &judged.result_types,
        expected: judged.case.result_types(),
    });
    let reports = judged.reports.iter().map(|landed| ReportOutput {
        domain: landed.domain(),
        rua: landed.rua(),
        report_id: landed.report_id(),
        success: landed.success(),
        failure: landed.failure(),
        dkim: landed.dkim(),
        file: landed.file(),
    });
    let output = Output {
        cases: cases.collect(),
        reports: reports.collect(),
    };
    // Strings, numbers and lists are always JSON; a path that is not UTF-8 alone is not.
    serde_json::to_string(&output).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}

/// Each report as it landed, then the table and the verdict, so that these end up on the screen.
pub(super) fn as_text(judged: &Judged, directory: &Path) -> String {
    let mut text = String::new();
    for landed in &judged.reports {
        text.push_str(&report(landed));
    }
    let header = [
        "domain",
        "policy",
        "what is the matter",
        "delivered",
        "reported",
        "",
    ];
    let rows: Vec<[String; 6]> = judged.cases.iter().map(row).collect();
    let widths = widths(&header, &rows);
    text.push_str(&line(&header.map(str::to_owned), &widths));
    for row in &rows {
        text.push_str(&line(row, &widths));
    }
    let wrong = judged
        .cases
        .iter()
        .filter(|case| !case.differences.is_empty());
    let (cases, wrong) = (judged.cases.len(), wrong.count());
    let reports = judged.reports.len();
    let _ = writeln!(
        text,
        "\n{} of {cases} cases agree with their truth; {reports} reports landed.\n\
         Everything is kept in {}: the reports, the daemon's log and its configuration.",
        cases.saturating_sub(wrong),
        directory.display()
    );
    text
}

fn report(landed: &Landed) -> String {
    let mut text = format!(
        "--- {}\nTo: {}\nSubject: {}\nDKIM: {}\n",
        landed.file().display(),
        landed.rua(),
        printable(landed.subject()),
        printable(landed.dkim())
    );
    let json = landed.json().unwrap_or(b"(no report can be read)");
    let json = String::from_utf8_lossy(json);
    let _ = writeln!(text, "{}\n", printable_json(&json));
    text
}

fn row(judged: &JudgedCase) -> [String; 6] {
    let seen = judged.delivered.as_ref();
    let reported = if judged.case.report.is_none() && judged.result_types.is_empty() {
        "(no rua)".to_owned()
    } else if judged.result_types.is_empty() {
        "success".to_owned()
    } else {
        judged.result_types.join(", ")
    };
    [
        judged.case.domain.clone(),
        judged.case.policy.clone(),
        judged.case.story.clone(),
        seen.map_or_else(|| "-".to_owned(), |seen| seen.delivered.to_string()),
        printable(&reported).into_owned(),
        if judged.differences.is_empty() {
            "as it should be".to_owned()
        } else {
            "DIFFERS".to_owned()
        },
    ]
}

fn widths(header: &[&str; 6], rows: &[[String; 6]]) -> [usize; 6] {
    let mut widths = header.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    widths
}

fn line(cells: &[String; 6], widths: &[usize; 6]) -> String {
    let padded = cells.iter().zip(widths);
    let cells: Vec<String> = padded
        .map(|(cell, width)| format!("{cell:width$}"))
        .collect();
    format!("{}\n", cells.join("  ").trim_end())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::demo::judge::{
        judge,
        tests::{case, delivered, landed},
    };

    fn judged() -> Judged {
        let report = json!({"report-id": "1@sender.test", "policies": [{
            "policy": {"policy-type": "sts", "policy-string": ["version: STSv1"]},
            "summary": {"total-successful-session-count": 0, "total-failure-session-count": 1},
            "failure-details": [{"result-type": "certificate-expired",
                "receiving-mx-hostname": "mx.a.test", "failed-session-count": 1}],
        }]});
        judge(&[case()], &[delivered()], vec![landed(&report)])
    }

    #[test]
    fn json_has_the_documented_shape() {
        let value: Value = serde_json::from_str(&as_json(&judged())).unwrap();
        assert_eq!(
            value,
            json!({
                "cases": [{"domain": "a.test", "policy": "enforce", "delivered": "deferred",
                    "result_types": ["certificate-expired"], "expected": ["certificate-expired"]}],
                "reports": [{"domain": "a.test", "rua": "r@r.test", "report_id": "1@sender.test",
                    "success": 0, "failure": 1, "dkim": "pass", "file": "/tmp/a.test.eml"}],
            })
        );
    }

    #[test]
    fn the_table_says_how_each_case_ended() {
        let text = as_text(&judged(), Path::new("/tmp/demo"));
        let row = text
            .lines()
            .find(|line| line.starts_with("a.test"))
            .unwrap();
        assert_eq!(
            row.split_ascii_whitespace().collect::<Vec<_>>().join(" "),
            "a.test enforce expired deferred certificate-expired as it should be"
        );
        assert!(text.contains("1 of 1 cases agree"), "{text}");
        assert!(text.contains("\"report-id\":\"1@sender.test\""), "{text}");
    }
}
