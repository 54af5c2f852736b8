//! A mail to the operator: plain text, signed as report mail is.

use lettre::{
    Message,
    message::{Mailbox, SinglePart, header::ContentType},
};

use super::{
    DkimKey, MailError, Submitter,
    mail::{date_header, line, readable_body},
    sign,
    submitter::mailbox,
};
use crate::clock::Timestamp;

/// What is to be mailed.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// The mailbox.
    pub to: &'a str,
    /// One line.
    pub subject: &'a str,
    /// Lines that end in LF.
    pub text: &'a str,
    /// When.
    pub date: Timestamp,
    /// Tells two of one second apart.
    pub number: u64,
}

/// Writes it, with CRLF line ends, under a signature by each key.
///
/// # Errors
/// When `to` is no mailbox that mail can be addressed to, or a key does not sign.
pub fn mail(
    notice: &Notice<'_>,
    submitter: &Submitter,
    keys: &[DkimKey],
) -> Result<Vec<u8>, MailError> {
    let (to, _) = mailbox(notice.to).map_err(MailError::Recipient)?;
    let address = |text: &str| -> Result<Mailbox, MailError> {
        text.parse()
            .map(|address| Mailbox::new(None, address))
            .map_err(|_| MailError::Address(text.to_owned()))
    };
    let Notice { date, number, .. } = notice;
    let message_id = format!("<alert.{}.{number}@{}>", date.0, submitter.host_name());
    let message = Message::builder()
        .from(address(submitter.contact())?)
        .to(address(&to)?)
        .subject(notice.subject)
        .header(date_header(*date))
        .raw_header(line("Message-ID", message_id))
        // RFC 3834 s5: no vacation notice answers it.
        .raw_header(line("Auto-Submitted", "auto-generated".to_owned()))
        .singlepart(
            SinglePart::builder()
                .content_type(ContentType::TEXT_PLAIN)
                .body(readable_body(notice.text)?),
        )
        .map_err(|error| MailError::Message(error.to_string()))?;
    Ok(sign::sign(
        &message.formatted(),
        submitter.domain(),
        *date,
        keys,
    )?)
}
