//! What RFC 8460 asks of a report beyond the form of its members: that its parts agree, with each other
//! and with the file name and the mail they come in.

use super::{
    MailFacts, ReceivedPolicy, ReceivedReport, Registered,
    finding::{Findings, Rule},
    unpack::Content,
};
use crate::{
    clock::{SECONDS_PER_DAY, Timestamp},
    observe::printable::excerpt,
    policy::{PolicyDomain, PolicyType},
};

/// The report by itself.
pub(super) fn report(report: &ReceivedReport, findings: &mut Findings) {
    if let (Some(begin), Some(end)) = (report.begin, report.end)
        && !is_a_day(begin, end)
    {
        let text = format!("it is from {begin} to {end}, and not one UTC day");
        findings.add(Rule::WholeDay, "date-range", text);
    }
    if let Some(contact) = &report.contact
        && domain_of_mailbox(contact).is_none()
    {
        let text = format!("\"{}\" is not a bare mailbox", excerpt(contact));
        findings.add(Rule::Contact, "contact-info", text);
    }
    for (index, policy) in report.policies.iter().enumerate() {
        counts(policy, &format!("policies[{index}]"), findings);
    }
}

// RFC 8460 s4.1: from 00:00 to 24:00 UTC. The end is written as the last second or as the first of the
// next day.
fn is_a_day(begin: Timestamp, end: Timestamp) -> bool {
    let length = end.seconds_since(begin);
    begin.day().first_second() == begin && (SECONDS_PER_DAY - 1..=SECONDS_PER_DAY).contains(&length)
}

/// The domain of a bare mailbox.
pub(super) fn domain_of_mailbox(text: &str) -> Option<PolicyDomain> {
    let (local, domain) = text.rsplit_once('@')?;
    if local.is_empty() || local.contains(['<', ' ', ':']) {
        return None;
    }
    domain.parse().ok()
}

// RFC 8460 s4.4: each failed session is in at least one detail, and in no detail are more than failed.
// One session may be in several details, so their sum may be larger.
// OURS: a detail that names no host may be of a policy that could not be fetched while a kept one held; such
// are counted without a failed session (docs/decisions/0006-fetch-failures.md).
fn counts(policy: &ReceivedPolicy, place: &str, findings: &mut Findings) {
    let failures = policy.failures;
    let sum = policy
        .details
        .iter()
        .fold(0_u64, |sum, detail| sum.saturating_add(detail.sessions));
    if sum < failures {
        let text = format!("{failures} sessions failed, and the details have {sum}");
        findings.add(Rule::CountsAgree, &format!("{place}.failure-details"), text);
    }
    for (index, detail) in policy.details.iter().enumerate() {
        let is_of_a_host = detail.mx.is_some() || detail.receiving_ip.is_some();
        if is_of_a_host && detail.sessions > failures {
            let text = format!("{} sessions, and {failures} failed in all", detail.sessions);
            let place = format!("{place}.failure-details[{index}].failed-session-count");
            findings.add(Rule::CountsAgree, &place, text);
        }
    }
}

const FILE_NAME: &str = "file name";

/// The name of the file a report came in: `submitter!domain!begin!end!unique.json.gz`.
pub(super) fn file_name(
    name: &str,
    content: Content,
    report: &ReceivedReport,
    findings: &mut Findings,
) {
    let mut wrong = |text: String| findings.add(Rule::FileName, FILE_NAME, text);
    // RFC 8460 s5.1: the extension says whether it is packed.
    let (stem, packed) = if let Some(stem) = name.strip_suffix(".json.gz") {
        (stem, true)
    } else if let Some(stem) = name.strip_suffix(".json") {
        (stem, false)
    } else {
        wrong(format!(
            "\"{}\" ends neither in .json nor in .json.gz",
            excerpt(name)
        ));
        return;
    };
    match (packed, content) {
        (true, Content::Json) => wrong("it ends in .gz, and the report is not packed".to_owned()),
        (false, Content::Gzip) => {
            wrong("it does not end in .gz, and the report is packed".to_owned());
        }
        _ => {}
    }
    let parts: Vec<&str> = stem.split('!').collect();
    let (submitter, domain, begin, end) = match parts.as_slice() {
        [submitter, domain, begin, end] => (submitter, domain, begin, end),
        [submitter, domain, begin, end, unique]
            if !unique.is_empty() && unique.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
        {
            (submitter, domain, begin, end)
        }
        _ => {
            wrong(format!(
                "\"{}\" is not of the form submitter!domain!begin!end",
                excerpt(name)
            ));
            return;
        }
    };
    if submitter.parse::<PolicyDomain>().is_err() {
        wrong(format!("\"{}\" is not a domain", excerpt(submitter)));
    }
    if !is_about(report, domain) {
        wrong(format!("the report is not about \"{}\"", excerpt(domain)));
    }
    for (text, moment) in [(begin, report.begin), (end, report.end)] {
        let named = text.parse().map(Timestamp);
        let near =
            |named: Timestamp, moment: Timestamp| named.seconds_since(moment).unsigned_abs() <= 1;
        match (named, moment) {
            (Err(_), _) => wrong(format!("\"{}\" is not a number of seconds", excerpt(text))),
            // RFC 8460 s5.6: the file name must agree with the report. A day that ends with its last
            // second in one and with the first of the next in the other is the same day.
            (Ok(named), Some(moment)) if !near(named, moment) => {
                wrong(format!("it says {named}, and the report {moment}"));
            }
            (Ok(_), _) => {}
        }
    }
}

/// Is the report about this domain, as far as it says? A `tlsa` element is about a mail host of it.
fn is_about(report: &ReceivedReport, name: &str) -> bool {
    let Ok(name) = name.parse::<PolicyDomain>() else {
        return false;
    };
    let tlsa = Some(Registered::Known(PolicyType::Tlsa));
    let mut domains = report
        .policies
        .iter()
        .filter(|policy| policy.policy_type != tlsa)
        .filter_map(|policy| policy.domain.as_deref())
        .peekable();
    domains.peek().is_none() || domains.any(|domain| domain == name.as_str())
}

/// The mail a report came in.
pub(super) fn mail(facts: &MailFacts, report: &ReceivedReport, findings: &mut Findings) {
    if !facts.is_multipart_report {
        let text = format!("it is \"{}\"", excerpt(&facts.content_type));
        findings.add(Rule::MailForm, "Content-Type", text);
    }
    let contact = report.contact.as_deref().and_then(domain_of_mailbox);
    // RFC 8460 s5.3: the domain of the report, and that of the contact.
    let domain = one_domain(&facts.report_domains, "TLS-Report-Domain", findings);
    if let Some(domain) = &domain
        && !is_about(report, domain.as_str())
    {
        let text = format!("the report is not about {domain}");
        findings.add(Rule::MailField, "TLS-Report-Domain", text);
    }
    let submitter = one_domain(&facts.submitters, "TLS-Report-Submitter", findings);
    if let (Some(submitter), Some(contact)) = (&submitter, &contact)
        && submitter != contact
    {
        let text = format!("it is {submitter}, and contact-info is at {contact}");
        findings.add(Rule::MailField, "TLS-Report-Submitter", text);
    }
    subject(facts, domain.as_ref(), submitter.as_ref(), report, findings);
}

/// The one domain that a field must give.
fn one_domain(values: &[String], field: &str, findings: &mut Findings) -> Option<PolicyDomain> {
    let [value] = values else {
        let text = format!("it is there {} times, not once", values.len());
        findings.add(Rule::MailField, field, text);
        return None;
    };
    let domain = value.trim().parse().ok();
    if domain.is_none() {
        let text = format!("\"{}\" is not a domain", excerpt(value));
        findings.add(Rule::MailField, field, text);
    }
    domain
}

// RFC 8460 s5.3: "Report Domain: D Submitter: S Report-ID: <left@right>", with spaces or folds between.
fn subject(
    facts: &MailFacts,
    domain: Option<&PolicyDomain>,
    submitter: Option<&PolicyDomain>,
    report: &ReceivedReport,
    findings: &mut Findings,
) {
    const FIELD: &str = "Subject";
    let mut wrong = |text: String| findings.add(Rule::Subject, FIELD, text);
    let words: Vec<&str> = facts.subject.split_whitespace().collect();
    let ["Report", "Domain:", of, "Submitter:", by, "Report-ID:", id] = words.as_slice() else {
        wrong(format!(
            "\"{}\" is not of the form \"Report Domain: D Submitter: S Report-ID: <ID>\"",
            excerpt(&facts.subject)
        ));
        return;
    };
    let differs = |named: &str, meant: Option<&PolicyDomain>| {
        meant.is_some_and(|meant| named.parse::<PolicyDomain>().as_ref() != Ok(meant))
    };
    if differs(of, domain) {
        wrong(format!(
            "it says {}, and TLS-Report-Domain another",
            excerpt(of)
        ));
    }
    if differs(by, submitter) {
        wrong(format!(
            "it says {}, and TLS-Report-Submitter another",
            excerpt(by)
        ));
    }
    let inner = id.strip_prefix('<').and_then(|id| id.strip_suffix('>'));
    match inner {
        Some(inner) if inner.contains('@') => {
            // RFC 8460 s5.6: the subject must agree with the report.
            if report.id.as_deref().is_some_and(|meant| meant != inner) {
                wrong(format!("its id {} is not the report-id", excerpt(id)));
            }
        }
        _ => wrong(format!(
            "its id {} is not of the form <left@right>",
            excerpt(id)
        )),
    }
}

/// The part of a mail that is the report.
// RFC 8460 s5.3: application/tlsrpt+gzip or application/tlsrpt+json, whichever it is.
pub(super) fn media_type(declared: &str, content: Content, findings: &mut Findings) {
    let right = match content {
        Content::Gzip => "application/tlsrpt+gzip",
        _ => "application/tlsrpt+json",
    };
    if declared != right {
        let text = format!("it is {}, and should be {right}", excerpt(declared));
        findings.add(Rule::MediaType, "Content-Type of the report", text);
    }
}
