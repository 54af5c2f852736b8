//! A report as it would leave, read back.

use mail_parser::MessageParser;
use serde_json::Value;

use crate::{
    aggregate::{DomainDay, PolicyTotals},
    clock::Timestamp,
    daemon::reports::Publisher,
    policy::AppliedPolicy,
    report::{Report, Submitter, submitter::mailbox, verify::signatures},
};

/// What stands in a report's mail of who it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ctl::doctor) struct Sample {
    /// The domain in From.
    pub(in crate::ctl::doctor) from_domain: String,
    /// The domain of `contact-info`, in the JSON.
    pub(in crate::ctl::doctor) contact_domain: String,
    /// `TLS-Report-Submitter`
    pub(in crate::ctl::doctor) submitter: String,
    /// One for each key.
    pub(in crate::ctl::doctor) signatures: Vec<SampleSignature>,
}

/// One signature of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ctl::doctor) struct SampleSignature {
    /// `d=`
    pub(in crate::ctl::doctor) domain: String,
    /// `s=`
    pub(in crate::ctl::doctor) selector: String,
    /// Whether it holds by the DNS; why that is not known.
    pub(in crate::ctl::doctor) verified: Result<bool, String>,
    /// Why it does not hold, though there is a key of that name.
    pub(in crate::ctl::doctor) broken: Option<String>,
}

/// The mail of a report on a day of one session, made and signed as the daemon does it.
///
/// # Errors
/// In words, where none can be made.
pub(super) fn made(
    publisher: &Publisher,
    submitter: &Submitter,
    now: Timestamp,
) -> Result<(Report, Vec<u8>), String> {
    let domain = submitter.domain().clone();
    let day = DomainDay {
        day: now.day(),
        recipients: 0,
        policies: vec![PolicyTotals {
            policy: AppliedPolicy::no_policy_found(domain.clone()),
            successes: 1,
            failures: 0,
            details: Vec::new(),
        }],
        seen: std::collections::BTreeMap::new(),
        domain,
    };
    let report = Report::compose(&day, submitter, &publisher.config);
    let mail = report
        .mail(submitter.contact(), now, 1, &publisher.keys)
        .map_err(|error| error.to_string())?;
    Ok((report, mail))
}

/// What it says of who it is from, its signatures not looked up yet.
///
/// # Errors
/// In words, where it cannot be read back.
pub(super) fn read_back(report: &Report, mail: &[u8]) -> Result<Sample, String> {
    let parsed = MessageParser::default()
        .parse(mail)
        .ok_or("the mail cannot be read back")?;
    let from = parsed
        .from()
        .and_then(|from| from.first())
        .and_then(|from| from.address())
        .ok_or("the mail has no From")?;
    let submitter = parsed
        .header_raw("TLS-Report-Submitter")
        .ok_or("the mail has no TLS-Report-Submitter")?;
    let json: Value = serde_json::from_slice(&report.json).map_err(|error| error.to_string())?;
    let contact = json
        .get("contact-info")
        .and_then(Value::as_str)
        .ok_or("the report has no contact-info")?;
    let domain_of = |text: &str| {
        let read = mailbox(text).map(|(_, domain)| domain.to_string());
        read.map_err(|error| error.to_string())
    };
    let mut all = Vec::new();
    for signature in signatures(mail) {
        let signature = signature.map_err(|error| error.to_string())?;
        all.push(SampleSignature {
            domain: signature.domain.to_string(),
            selector: signature.selector,
            verified: Err("not looked up".to_owned()),
            broken: None,
        });
    }
    Ok(Sample {
        from_domain: domain_of(from)?,
        contact_domain: domain_of(contact)?,
        submitter: submitter.trim().to_owned(),
        signatures: all,
    })
}
