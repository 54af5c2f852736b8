//! Whether a report's mail is from whom it says it is from.

use super::{
    KeyRecords, MailFacts, ReceivedReport,
    conform::domain_of_mailbox,
    finding::{Findings, Rule},
};
use crate::{
    clock::Timestamp,
    policy::PolicyDomain,
    report::verify::{Broken, KeyService, Signature, Verified, is_at_or_below},
};

/// What the DNS says of the name of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRecord {
    /// The TXT records there; none where the name has none.
    Answer(Vec<Vec<u8>>),
    /// It could not be found out, for this reason.
    Unknown(String),
}

/// What the DKIM signatures of a mail are worth for the report in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authenticity {
    /// The reporter signed it, and nothing was changed.
    Pass {
        /// `d=`.
        domain: PolicyDomain,
        /// `s=`.
        selector: String,
        /// `a=`.
        algorithm: &'static str,
        /// The moment to which the signer stood by it, where that has passed.
        expired: Option<Timestamp>,
    },
    /// It is not as the reporter signed it, or somebody else signed it. In words.
    Fail(String),
    /// Nobody signed it.
    Unsigned,
    /// It cannot be told, for this reason.
    Unknown(String),
}

impl Authenticity {
    /// The word for it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Pass { .. } => "pass",
            Self::Fail(_) => "fail",
            Self::Unsigned => "none",
            Self::Unknown(_) => "unknown",
        }
    }

    /// More of it, in words. May hold strangers' words.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Pass {
                domain,
                selector,
                algorithm,
                expired,
            } => {
                let expired = expired.map(|moment| format!("; the signature ended at {moment}"));
                let expired = expired.unwrap_or_default();
                format!("signed by {domain} ({selector}, {algorithm}){expired}")
            }
            Self::Fail(why) | Self::Unknown(why) => why.clone(),
            Self::Unsigned => "the mail has no DKIM signature".to_owned(),
        }
    }
}

/// A mail as it was signed, with its signatures.
#[derive(Clone, Debug)]
pub(super) struct SignedMail {
    /// With CRLF line ends.
    pub(super) raw: Vec<u8>,
    pub(super) signatures: Vec<Result<Signature, Broken>>,
}

/// What one signature came to.
enum Outcome {
    Holds(Verified),
    Broken(Broken),
    Unknown(String),
}

/// Judges the signatures of a report's mail.
// RFC 8460 s3: the mail must have a valid signature by the reporting domain; what has none is to be
// ignored.
// OURS: the reporting domain is that of TLS-Report-Submitter and that of contact-info, which are the same
// (s5.3); the signing domain is it or one above it. Where the two differ the signature must cover both.
// OURS: a signature that has expired since is told and not held against a report: it may have lain in a
// mailbox for a year.
pub(super) fn judge(
    mail: &SignedMail,
    facts: &MailFacts,
    report: &ReceivedReport,
    keys: &KeyRecords,
    now: Timestamp,
    findings: &mut Findings,
) -> Authenticity {
    let reporters = reporters(facts, report);
    let mut failures = Vec::new();
    let mut doubts = Vec::new();
    for signature in &mail.signatures {
        let signature = match signature {
            Ok(signature) => signature,
            Err(broken) => {
                failures.push(format!("a signature does not count: {broken}"));
                continue;
            }
        };
        let by = &signature.domain;
        let stranger = reporters.iter().find(|name| !is_at_or_below(name, by));
        if let Some(stranger) = stranger {
            failures.push(format!("{by} signed it, and not {stranger}"));
            continue;
        }
        match outcome(signature, mail, keys) {
            Outcome::Holds(verified) => {
                if verified.service == KeyService::Others {
                    let text = "its s= lists neither tlsrpt nor *";
                    findings.add(Rule::KeyService, &signature.record_name(), text);
                }
                return Authenticity::Pass {
                    domain: by.clone(),
                    selector: signature.selector.clone(),
                    algorithm: verified.algorithm,
                    expired: signature.expires.filter(|end| *end < now),
                };
            }
            Outcome::Broken(broken) => {
                failures.push(format!("the signature of {by} does not hold: {broken}"));
            }
            Outcome::Unknown(why) => doubts.push(format!("signed by {by}: {why}")),
        }
    }
    let authenticity = if !doubts.is_empty() {
        Authenticity::Unknown(doubts.join("; "))
    } else if failures.is_empty() {
        Authenticity::Unsigned
    } else {
        Authenticity::Fail(failures.join("; "))
    };
    if !matches!(authenticity, Authenticity::Unknown(_)) {
        findings.add(Rule::Signed, "DKIM-Signature", authenticity.in_words());
    }
    authenticity
}

/// Who must have signed it.
fn reporters(facts: &MailFacts, report: &ReceivedReport) -> Vec<PolicyDomain> {
    let contact = report.contact.as_deref().and_then(domain_of_mailbox);
    let submitters = facts.submitters.iter().filter_map(|name| name.parse().ok());
    let mut reporters: Vec<PolicyDomain> = submitters.chain(contact).collect();
    if reporters.is_empty() {
        reporters.extend(facts.from.clone());
    }
    reporters
}

fn outcome(signature: &Signature, mail: &SignedMail, keys: &KeyRecords) -> Outcome {
    let records = match keys.get(&signature.record_name()) {
        Some(KeyRecord::Answer(records)) => records,
        // The body tells by itself that it was changed.
        other => {
            return match (signature.verify_body(&mail.raw), other) {
                (Err(broken), _) => Outcome::Broken(broken),
                (Ok(()), Some(KeyRecord::Unknown(why))) => Outcome::Unknown(why.clone()),
                (Ok(()), _) => Outcome::Unknown("its key was not asked for".to_owned()),
            };
        }
    };
    match signature.verify(&mail.raw, records) {
        Ok(verified) => Outcome::Holds(verified),
        Err(broken) if broken.is_certain() => Outcome::Broken(broken),
        Err(broken) => Outcome::Unknown(broken.to_string()),
    }
}
