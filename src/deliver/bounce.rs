//! A mail that says that a report could not be delivered: to whom, and which one. Pure.
//!
//! Most MTAs write delivery status notifications (RFC 3464); qmail and old Exim have a form of their own.
//! Anything else that comes to the envelope sender (vacation notices, people) is no bounce.

use mail_parser::{Message, MessageParser, MessagePart, MimeHeaders as _, PartType};

use crate::{
    observe::printable::printable,
    report::{ReportId, read::media_type},
};

/// A mail is read up to so many octets. A bounce returns at most the report, which is shorter.
pub const BOUNCE_BYTES_MAX: usize = 10 * 1024 * 1024;

/// How many recipients of one bounce are looked at. A report's mail has one.
const RECIPIENTS_MAX: usize = 20;

/// How many parts are looked at. A bounce has three.
const PARTS_MAX: usize = 50;

/// How many lines of a text are looked at.
const LINES_MAX: usize = 2_000;

/// The longest mailbox, RFC 5321 s4.5.3.1.3.
const MAILBOX_BYTES_MAX: usize = 254;

/// The longest report-id of ours: a day, a domain, a hash, a submitter.
const REPORT_ID_BYTES_MAX: usize = 600;

/// The most that is taken of what a bounce says.
const WORDS_CHARACTERS_MAX: usize = 300;

/// A report that came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounce {
    /// The report-id that it goes by.
    pub report_id: String,
    /// To whom it could not be delivered.
    pub failed: Vec<FailedRecipient>,
}

/// Somebody to whom a mail could not be delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedRecipient {
    /// The names under which the bounce speaks of the mailbox: as we had addressed it, and as it was tried.
    pub mailboxes: Vec<String>,
    /// Why, on one line and made safe to show.
    pub words: String,
}

/// Why a mail means nothing for any destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Meaningless {
    /// Longer than [`BOUNCE_BYTES_MAX`].
    #[error("it is longer than 10 MiB")]
    TooLong,
    /// No mail at all.
    #[error("it is no mail")]
    NoMail,
    /// An auto-reply, or somebody's letter.
    #[error("it is no bounce")]
    NoBounce,
    /// As when it is late only, or arrived.
    #[error("it says of nobody that delivery failed for good")]
    NothingFailed,
    /// It returns another mail, or nothing by which a report is known.
    #[error("it does not say which report it is about")]
    NoReport,
}

/// Reads a mail that came to the envelope sender.
///
/// # Errors
/// Why it means nothing.
pub fn read(mail: &[u8]) -> Result<Bounce, Meaningless> {
    if mail.len() > BOUNCE_BYTES_MAX {
        return Err(Meaningless::TooLong);
    }
    let message = MessageParser::default()
        .parse(mail)
        .ok_or(Meaningless::NoMail)?;
    let told = Told::of(&message).ok_or(Meaningless::NoBounce)?;
    let mut failed = told.failed;
    failed.retain(|recipient| !recipient.mailboxes.is_empty());
    failed.truncate(RECIPIENTS_MAX);
    if failed.is_empty() {
        return Err(Meaningless::NothingFailed);
    }
    let report_id = told.report_id.ok_or(Meaningless::NoReport)?;
    Ok(Bounce { report_id, failed })
}

/// What a bounce tells, in whichever form.
#[derive(Default)]
struct Told {
    failed: Vec<FailedRecipient>,
    report_id: Option<String>,
}

impl Told {
    fn of(message: &Message<'_>) -> Option<Self> {
        if is_status_notification(message) {
            return Some(Self::by_parts(message));
        }
        let text = message.parts.first().map(text_of).unwrap_or_default();
        if text.trim_start().starts_with("Hi. This is the ") {
            return Some(Self::by_qmail(&text));
        }
        let failed = failed_recipients(message)?;
        // Exim before 4.85: a text, with the message behind it.
        Some(Self {
            failed,
            report_id: report_id_in(&text),
        })
    }

    // RFC 3464 s2: the second part tells, the third returns the message or its fields.
    fn by_parts(message: &Message<'_>) -> Self {
        let mut told = Self::default();
        for part in message.parts.iter().take(PARTS_MAX) {
            match (&part.body, media_type(part).as_str()) {
                (PartType::Message(returned), _) => {
                    let fields = || report_id(returned.headers_raw());
                    told.report_id = told.report_id.or_else(fields);
                }
                (_, "message/delivery-status" | "message/global-delivery-status") => {
                    told.failed.extend(failed_of_status(&text_of(part)));
                }
                (
                    _,
                    "text/rfc822-headers"
                    | "message/rfc822-headers"
                    | "message/global-headers"
                    | "message/rfc822"
                    | "message/global",
                ) => {
                    told.report_id = told.report_id.or_else(|| report_id_in(&text_of(part)));
                }
                _ => {}
            }
        }
        told
    }

    /// qmail's own form (QSBMF): a paragraph for each recipient, then the message.
    fn by_qmail(text: &str) -> Self {
        let (told, returned) = text
            .split_once("--- Below this line is ")
            .unwrap_or((text, ""));
        let mut failed: Vec<FailedRecipient> = Vec::new();
        let mut words = String::new();
        for line in told.lines().take(LINES_MAX) {
            let named = line.trim().strip_prefix('<');
            if let Some(mailbox) = named.and_then(|rest| rest.strip_suffix(">:")) {
                failed.push(FailedRecipient {
                    mailboxes: mailbox_of(mailbox).into_iter().collect(),
                    words: String::new(),
                });
                words.clear();
            } else if let Some(last) = failed.last_mut() {
                words.push_str(line);
                words.push(' ');
                last.words = shown(&words);
            }
        }
        Self {
            failed,
            report_id: report_id_in(returned),
        }
    }
}

fn is_status_notification(message: &Message<'_>) -> bool {
    let report_type = message
        .content_type()
        .and_then(|content_type| content_type.attribute("report-type"))
        .unwrap_or_default();
    let root = message.parts.first().map(media_type).unwrap_or_default();
    root == "multipart/report" && report_type.eq_ignore_ascii_case("delivery-status")
}

/// The recipients whose delivery failed, of a text of RFC 3464.
fn failed_of_status(text: &str) -> Vec<FailedRecipient> {
    let mut failed = Vec::new();
    let mut group = Vec::new();
    for line in unfolded(text) {
        if line.is_empty() {
            failed.extend(failed_of_group(&std::mem::take(&mut group)));
        } else {
            group.extend(field(&line).map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
    }
    failed.extend(failed_of_group(&group));
    failed
}

fn failed_of_group(group: &[(String, String)]) -> Option<FailedRecipient> {
    let value = |name: &str| {
        let found = group
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value.as_str())
    };
    let status = value("Status");
    let action = value("Action").split([' ', '(']).next().unwrap_or_default();
    // RFC 3464 s2.3.3: what is delayed is tried on; what is relayed or expanded nobody knows more of. Whoever
    // leaves the word out says it by the code. "failed" with 4.4.7 gave up after days.
    let has_failed =
        action.eq_ignore_ascii_case("failed") || (action.is_empty() && status.starts_with('5'));
    if !has_failed {
        return None;
    }
    // RFC 3464 s2.3.1, s2.3.2: the type, a semicolon, the mailbox.
    let named = [
        "Original-Recipient",
        "Final-Recipient",
        "X-Actual-Recipient",
    ]
    .map(|name| {
        let value = value(name);
        mailbox_of(value.split_once(';').map_or(value, |(_, mailbox)| mailbox))
    });
    let mut mailboxes: Vec<String> = named.into_iter().flatten().collect();
    mailboxes.dedup();
    Some(FailedRecipient {
        mailboxes,
        words: shown(&format!("{status} {}", value("Diagnostic-Code"))),
    })
}

/// The field by which Exim names them.
fn failed_recipients(message: &Message<'_>) -> Option<Vec<FailedRecipient>> {
    let mut fields = message.headers_raw();
    let (_, value) = fields.find(|(name, _)| name.eq_ignore_ascii_case("X-Failed-Recipients"))?;
    let recipient = |mailbox: &str| FailedRecipient {
        mailboxes: mailbox_of(mailbox).into_iter().collect(),
        words: "it could not be delivered, by X-Failed-Recipients".to_owned(),
    };
    Some(
        value
            .split(',')
            .take(RECIPIENTS_MAX)
            .map(recipient)
            .collect(),
    )
}

/// The report that a text names with the fields of a message in it.
fn report_id_in(text: &str) -> Option<String> {
    let lines = unfolded(text);
    report_id(lines.iter().filter_map(|line| field(line)))
}

/// The report that the fields of a message name.
fn report_id<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Option<String> {
    let mut by_message_id = None;
    for (name, value) in fields.take(LINES_MAX) {
        if name.eq_ignore_ascii_case("Subject") {
            // RFC 8460 s5.3: `Report-ID: <...>` ends it.
            let (_, named) = value.split_once("Report-ID:").unwrap_or_default();
            let id = named.trim().trim_matches(['<', '>']);
            if id.len() <= REPORT_ID_BYTES_MAX && ReportId::about(id).is_some() {
                return Some(id.to_owned());
            }
        } else if name.eq_ignore_ascii_case("Message-ID") && by_message_id.is_none() {
            let id = value.trim().trim_matches(['<', '>']);
            by_message_id = ReportId::of_message(id).filter(|id| id.len() <= REPORT_ID_BYTES_MAX);
        }
    }
    by_message_id
}

fn mailbox_of(text: &str) -> Option<String> {
    let mailbox = text.trim().trim_start_matches('<').trim_end_matches('>');
    let is_one = mailbox.contains('@')
        && mailbox.len() <= MAILBOX_BYTES_MAX
        && !mailbox
            .chars()
            .any(|letter| letter.is_control() || letter.is_whitespace());
    is_one.then(|| mailbox.to_owned())
}

/// A field's name and value.
fn field(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    Some((name.trim_end(), value.trim()))
}

/// The first lines of a text, each with those that go on with it (RFC 5322 s2.2.3).
fn unfolded(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().take(LINES_MAX) {
        match lines.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) && !last.is_empty() => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => lines.push(line.trim_end().to_owned()),
        }
    }
    lines
}

fn text_of(part: &MessagePart<'_>) -> String {
    match &part.body {
        PartType::Text(text) | PartType::Html(text) => text.to_string(),
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => {
            String::from_utf8_lossy(bytes).into_owned()
        }
        PartType::Message(_) | PartType::Multipart(_) => String::new(),
    }
}

/// Words of strangers, on one line and cut.
fn shown(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let cut: String = words.join(" ").chars().take(WORDS_CHARACTERS_MAX).collect();
    printable(&cut).into_owned()
}

#[cfg(test)]
mod tests;
