//! The mail a report comes in: its fields and the parts that may be reports.

use mail_parser::{Encoding, Message, MessageParser, MessagePart, MimeHeaders as _, PartType};

use super::{MAIL_BYTES_MAX, ReadError, unpack::Content, unpack::in_words};
use crate::policy::PolicyDomain;

/// How deep a mail may lie in others that forward it.
const NESTED_MAX: usize = 3;

/// How many parts of one mail are looked at. A report's mail has two.
const PARTS_MAX: usize = 1_000;

/// What a mail says of itself that RFC 8460 s5.3 has rules for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailFacts {
    /// The domain of From, if there is one.
    pub from: Option<PolicyDomain>,
    /// Subject, on one line.
    pub subject: String,
    /// Each TLS-Report-Domain.
    pub report_domains: Vec<String>,
    /// Each TLS-Report-Submitter.
    pub submitters: Vec<String>,
    /// The media type of the whole.
    pub content_type: String,
    /// Is it a multipart/report of the type tlsrpt?
    pub is_multipart_report: bool,
}

/// A mail with parts that are reports, or say that they are.
#[derive(Clone, Debug)]
pub(super) struct OpenedMail {
    pub(super) facts: MailFacts,
    /// The mail itself: what its signatures are over.
    pub(super) raw: Vec<u8>,
    pub(super) parts: Vec<ReportPart>,
}

/// A part that may be a report.
#[derive(Clone, Debug)]
pub(super) struct ReportPart {
    /// Its file name.
    pub(super) name: Option<String>,
    /// `application/tlsrpt+gzip`, lower case; empty where none is said.
    pub(super) media_type: String,
    pub(super) bytes: Vec<u8>,
    /// Does its type or its name say that it is a report? Another part may be anything.
    pub(super) is_declared: bool,
}

/// Every mail with a report: the message, and those that it forwards.
pub(super) fn open(message: &[u8]) -> Result<Vec<OpenedMail>, ReadError> {
    if message.len() > MAIL_BYTES_MAX {
        return Err(ReadError::TooLong(in_words(MAIL_BYTES_MAX)));
    }
    let parsed = MessageParser::default()
        .parse(message)
        .ok_or(ReadError::Unknown)?;
    let mut mails = Vec::new();
    collect(&parsed, message, 0, &mut mails);
    if mails.is_empty() {
        return Err(ReadError::NoReport);
    }
    Ok(mails)
}

fn collect(message: &Message<'_>, raw: &[u8], depth: usize, mails: &mut Vec<OpenedMail>) {
    let mut parts = Vec::new();
    for part in message.parts.iter().take(PARTS_MAX) {
        match &part.body {
            PartType::Binary(bytes) | PartType::InlineBinary(bytes) => {
                parts.extend(report_part(part, bytes));
            }
            PartType::Text(text) => parts.extend(report_part(part, text.as_bytes())),
            PartType::Message(inner) if depth < NESTED_MAX => {
                collect(inner, raw_of(part, inner, raw), depth + 1, mails);
            }
            PartType::Html(_) | PartType::Message(_) | PartType::Multipart(_) => {}
        }
    }
    if !parts.is_empty() {
        mails.push(OpenedMail {
            facts: facts(message),
            raw: raw.to_vec(),
            parts,
        });
    }
}

/// A forwarded mail as it was before, for its signature.
fn raw_of<'a>(part: &MessagePart<'_>, inner: &'a Message<'_>, outer: &'a [u8]) -> &'a [u8] {
    let at = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX);
    match part.encoding {
        Encoding::None => outer
            .get(at(part.offset_body)..at(part.offset_end))
            .unwrap_or_default(),
        Encoding::QuotedPrintable | Encoding::Base64 => &inner.raw_message,
    }
}

fn report_part(part: &MessagePart<'_>, bytes: &[u8]) -> Option<ReportPart> {
    let media_type = media_type(part);
    let name = part.attachment_name().map(str::to_owned);
    let lower = name.as_deref().unwrap_or_default().to_ascii_lowercase();
    let has_ending = [".json", ".json.gz", ".zip"]
        .iter()
        .any(|end| lower.ends_with(end));
    // RFC 8460 s5.1: only report names have these marks.
    let is_declared = media_type.starts_with("application/tlsrpt")
        || (has_ending && lower.matches('!').count() >= 3);
    let is_generic = has_ending
        || matches!(
            media_type.as_str(),
            "application/gzip"
                | "application/x-gzip"
                | "application/json"
                | "application/zip"
                | "application/x-zip-compressed"
                | "application/octet-stream"
        );
    let can_be = || {
        !matches!(
            Content::of(bytes),
            Content::Mail | Content::Mbox | Content::Other
        )
    };
    (is_declared || (is_generic && can_be())).then(|| ReportPart {
        name,
        media_type,
        bytes: bytes.to_vec(),
        is_declared,
    })
}

/// The media type of a part, `text/plain`, in lower case; empty where none is said.
pub(crate) fn media_type(part: &MessagePart<'_>) -> String {
    let Some(content_type) = part.content_type() else {
        return String::new();
    };
    let (main, sub) = (content_type.ctype(), content_type.subtype());
    let whole = sub.map_or_else(|| main.to_owned(), |sub| format!("{main}/{sub}"));
    whole.to_ascii_lowercase()
}

fn facts(message: &Message<'_>) -> MailFacts {
    let root = message.parts.first();
    let content_type = root.map(media_type).unwrap_or_default();
    let report_type = message
        .content_type()
        .and_then(|content_type| content_type.attribute("report-type"))
        .unwrap_or_default();
    let sender = message.from().and_then(|from| from.first());
    let address = sender.and_then(|sender| sender.address());
    MailFacts {
        from: address
            .and_then(|address| address.rsplit_once('@'))
            .and_then(|(_, domain)| domain.parse().ok()),
        subject: unfolded(message.subject().unwrap_or_default()),
        report_domains: values(message, "TLS-Report-Domain"),
        submitters: values(message, "TLS-Report-Submitter"),
        is_multipart_report: content_type == "multipart/report"
            && report_type.eq_ignore_ascii_case("tlsrpt"),
        content_type,
    }
}

/// Each value of a field, as it stands there.
fn values(message: &Message<'_>, name: &str) -> Vec<String> {
    message
        .headers_raw()
        .filter(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| unfolded(value))
        .collect()
}

fn unfolded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
