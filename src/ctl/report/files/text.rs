//! Reports that were read, as tables and sentences for people.

use std::fmt::Write as _;

use super::{
    super::super::screen::{Table, counted, set_in, shown},
    totals::{Failures, TotalsView},
    view::{FailureView, ReportView, ReportsView},
};

/// How wide a column of strangers' words may get.
const CELL_CHARACTERS_MAX: usize = 60;

pub(super) fn as_text(view: &ReportsView, each: bool) -> String {
    let mut text = String::new();
    match view.reports.as_slice() {
        [only] => one(&mut text, only),
        several => {
            if each {
                for report in several {
                    one(&mut text, report);
                    text.push('\n');
                }
            }
            sums(&mut text, view);
        }
    }
    unread(&mut text, view);
    text
}

/// What could not be read, and what was none.
fn unread(text: &mut String, view: &ReportsView) {
    if view.passed_over > 0 {
        let number = view.passed_over;
        let _ = writeln!(text, "\nPassed over, for they are no reports: {number}");
    }
    if view.unread.is_empty() {
        return;
    }
    text.push_str("\nNot read\n");
    for each in &view.unread {
        let within = within(each.attachment.as_deref());
        let line = format!("{}{within}: {}", each.source, each.reason);
        text.push_str(&set_in(&shown(&line)));
    }
}

fn within(attachment: Option<&str>) -> String {
    attachment
        .map(|name| format!(", part {name}"))
        .unwrap_or_default()
}

fn one(text: &mut String, report: &ReportView) {
    let known = |text: &Option<String>| shown(text.as_deref().unwrap_or("-"));
    let _ = writeln!(text, "Report  {}", known(&report.report_id));
    let (organization, contact) = (known(&report.organization), known(&report.contact));
    let _ = writeln!(text, "By      {organization}, {contact}");
    let (begin, end) = (known(&report.begin), known(&report.end));
    let _ = writeln!(text, "Covers  {}, {begin} to {end}", known(&report.day));
    let source = format!("{}{}", report.source, within(report.attachment.as_deref()));
    let _ = writeln!(text, "In      {}", shown(&source));
    if let Some(dkim) = &report.dkim {
        let _ = writeln!(text, "DKIM    {}: {}", dkim.result, shown(&dkim.text));
    }
    if let Some(before) = &report.repeats {
        let _ = writeln!(text, "Same as {}", shown(before));
    }
    let mut policies = Table::new([
        "POLICY DOMAIN",
        "POLICY",
        "MODE OR RECORDS",
        "WENT WELL",
        "FAILED",
    ]);
    let mut failures = Table::new(["SESSIONS", "RESULT TYPE", "MX HOST", "ADDRESS", "REASON"]);
    let mut meanings = Meanings::default();
    for policy in &report.policies {
        policies.row([
            cell(policy.policy_domain.as_deref()),
            cell(policy.policy_type.as_deref()),
            cell(Some(&about(&policy.policy_string))),
            policy.success.to_string(),
            policy.failure.to_string(),
        ]);
        for failure in &policy.failures {
            failures.row([
                failure.sessions.to_string(),
                cell(failure.result_type.as_deref()),
                cell(failure.mx.as_deref().or(failure.mx_helo.as_deref())),
                cell(failure.receiving_ip.as_deref()),
                cell(failure.reason.as_deref()),
            ]);
            meanings.add_failure(failure);
        }
    }
    let _ = write!(text, "\n{policies}");
    if !failures.is_empty() {
        let _ = write!(text, "\n{failures}");
    }
    meanings.write(text);
    if !report.findings.is_empty() {
        text.push_str("\nNot as RFC 8460 asks\n");
        findings(text, report);
    }
}

/// The mode of a policy, or how many TLSA records there are.
fn about(policy_string: &[String]) -> String {
    let mode = policy_string
        .iter()
        .find_map(|line| line.trim().strip_prefix("mode:"));
    match (mode, policy_string.len()) {
        (Some(mode), _) => mode.trim().to_owned(),
        (None, 0) => String::new(),
        (None, 1) => policy_string.concat(),
        (None, number) => format!("{number} records"),
    }
}

fn findings(text: &mut String, report: &ReportView) {
    for each in &report.findings {
        let place = if each.place.is_empty() {
            "the report"
        } else {
            &each.place
        };
        let line = format!("{place}: {} ({}, {})", each.text, each.rule, each.asked_by);
        text.push_str(&set_in(&shown(&line)));
    }
}

fn sums(text: &mut String, view: &ReportsView) {
    let totals: &TotalsView = &view.totals;
    let number = u64::try_from(totals.reports).unwrap_or(u64::MAX);
    let _ = write!(text, "{}", counted(number, "report"));
    if totals.repeated > 0 {
        let _ = write!(text, ", {} more that came twice", totals.repeated);
    }
    text.push('\n');
    if totals.reports == 0 {
        return;
    }
    let mut sessions = Table::new([
        "REPORTER",
        "POLICY DOMAIN",
        "POLICY",
        "DAY",
        "WENT WELL",
        "FAILED",
    ]);
    for each in &totals.sessions {
        sessions.row([
            cell(each.organization.as_deref()),
            cell(each.policy_domain.as_deref()),
            cell(each.policy_type.as_deref()),
            cell(each.day.as_deref()),
            each.success.to_string(),
            each.failure.to_string(),
        ]);
    }
    for each in &totals.policy_types {
        sessions.row([
            "all".to_owned(),
            "all".to_owned(),
            each.policy_type.clone(),
            "all".to_owned(),
            each.success.to_string(),
            each.failure.to_string(),
        ]);
    }
    let _ = write!(text, "\n{sessions}");
    let mut meanings = Meanings::default();
    if !totals.failures.is_empty() {
        let mut table = Table::new([
            "SESSIONS",
            "RESULT TYPE",
            "MX HOST",
            "POLICY DOMAIN",
            "REASON",
        ]);
        for each in &totals.failures {
            table.row([
                each.sessions.to_string(),
                cell(each.result_type.as_deref()),
                cell(each.mx.as_deref()),
                cell(each.policy_domain.as_deref()),
                cell(each.reason.as_deref()),
            ]);
            meanings.add_sum(each);
        }
        let _ = write!(text, "\n{table}");
    }
    meanings.write(text);
    signatures(text, view);
    let with_findings = view.reports.iter().filter(|each| !each.findings.is_empty());
    for (index, report) in with_findings.enumerate() {
        if index == 0 {
            text.push_str("\nNot as RFC 8460 asks\n");
        }
        let _ = writeln!(text, "{}", shown(&report.source));
        findings(text, report);
    }
}

/// How many mails were signed by their reporters.
fn signatures(text: &mut String, view: &ReportsView) {
    let mut table = Table::new(["DKIM", "REPORTS"]);
    for result in ["pass", "fail", "none", "unknown"] {
        let number = view
            .reports
            .iter()
            .filter(|each| each.dkim.as_ref().is_some_and(|dkim| dkim.result == result))
            .count();
        if number > 0 {
            table.row([result.to_owned(), number.to_string()]);
        }
    }
    if !table.is_empty() {
        let _ = write!(text, "\n{table}");
    }
}

/// What failures mean, each once.
#[derive(Default)]
struct Meanings(Vec<(String, String, String)>);

impl Meanings {
    fn add_failure(&mut self, failure: &FailureView) {
        self.add(&failure.result_type, &failure.meaning, &failure.remedy);
    }

    fn add_sum(&mut self, failures: &Failures) {
        self.add(&failures.result_type, &failures.meaning, &failures.remedy);
    }

    fn add(&mut self, result: &Option<String>, meaning: &Option<String>, remedy: &Option<String>) {
        let (Some(result), Some(meaning), Some(remedy)) = (result, meaning, remedy) else {
            return;
        };
        let entry = (result.clone(), meaning.clone(), remedy.clone());
        if !self.0.contains(&entry) {
            self.0.push(entry);
        }
    }

    fn write(&self, text: &mut String) {
        if self.0.is_empty() {
            return;
        }
        text.push_str("\nWhat the failures mean, for whoever runs the mail servers\n");
        for (result, meaning, remedy) in &self.0 {
            let sentences = format!("{result}: {meaning}\n  {remedy}");
            text.push_str(&set_in(&sentences));
        }
    }
}

/// A cell of strangers' words.
fn cell(text: Option<&str>) -> String {
    match text {
        None | Some("") => "-".to_owned(),
        Some(text) => match text.char_indices().nth(CELL_CHARACTERS_MAX) {
            Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
            None => text.to_owned(),
        },
    }
}
