//! The mailbox that reports arrive in, and the reading of them.

use std::io::Read as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::read::MultiGzDecoder;

use crate::{
    mail::{Field, Structured, parts, split_message},
    message::{MailLog, Message},
    mx::MxHosts,
};

/// The longest report that is unpacked.
const REPORT_BYTES_MAX: u64 = 50_000_000;

/// What the mail hosts took for one mailbox.
#[derive(Clone, Debug)]
pub struct Inbox {
    mailbox: String,
    log: MailLog,
}

impl Inbox {
    /// A view on a mailbox, `tlsrpt@reports.test`. Upper and lower case are the same.
    #[must_use]
    pub fn of(hosts: &MxHosts, mailbox: &str) -> Self {
        Self {
            mailbox: mailbox.to_owned(),
            log: hosts.log(),
        }
    }

    /// Its address.
    #[must_use]
    pub fn mailbox(&self) -> &str {
        &self.mailbox
    }

    /// Every message for it so far, in order.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        let mut messages = self.log.messages();
        messages.retain(|message| self.is_for_us(message));
        messages
    }

    /// Waits until this many messages are there, and gives all that are.
    pub async fn wait_for(&self, count: usize) -> Vec<Message> {
        self.log
            .wait_for(count, |message| self.is_for_us(message))
            .await
    }

    fn is_for_us(&self, message: &Message) -> bool {
        message
            .recipients
            .iter()
            .any(|recipient| recipient.eq_ignore_ascii_case(&self.mailbox))
    }
}

/// A report mail, taken apart (RFC 8460 s5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportMail {
    /// The header fields, names as written, values on one line.
    pub fields: Vec<(String, String)>,
    /// The part for people.
    pub text: String,
    /// The media type of the report, `application/tlsrpt+gzip`.
    pub media_type: String,
    /// The name of the attached file.
    pub file_name: String,
    /// The attached file as it is.
    pub file: Vec<u8>,
    /// The report: the file, unpacked where it was packed.
    pub json: Vec<u8>,
}

/// Why a message is no report mail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportMailError {
    /// The sender: not `multipart/report; report-type=tlsrpt` with a boundary; holds what it is.
    #[error("the message is {0}")]
    NotAReport(String),
    /// The sender: the last boundary is missing.
    #[error("the last boundary is missing")]
    Unfinished,
    /// The sender: not exactly two parts; holds how many.
    #[error("{0} parts where there should be two")]
    Parts(usize),
    /// The sender: the second part is of another type; holds it.
    #[error("the second part is {0}")]
    MediaType(String),
    /// The sender: a part's content transfer encoding cannot be undone; holds it.
    #[error("the encoding {0} cannot be undone")]
    Encoding(String),
    /// The sender: the file is no gzip, or unpacks to too much.
    #[error("the file cannot be unpacked: {0}")]
    Gzip(String),
    /// The sender: the file has no name.
    #[error("the file has no name")]
    NoFileName,
}

impl ReportMail {
    /// Takes a message apart.
    ///
    /// # Errors
    /// It is not of the form of RFC 8460 s5.3.
    pub fn parse(message: &[u8]) -> Result<Self, ReportMailError> {
        let (fields, body) = split_message(message);
        let content_type = Structured::parse(&value_of(&fields, "Content-Type"));
        let is_report = content_type.first == "multipart/report"
            && content_type.parameter("report-type") == Some("tlsrpt");
        let boundary = content_type.parameter("boundary").filter(|_| is_report);
        let Some(boundary) = boundary else {
            let is = value_of(&fields, "Content-Type");
            return Err(ReportMailError::NotAReport(is));
        };
        let parts = parts(body, boundary).ok_or(ReportMailError::Unfinished)?;
        let [text, report] = parts.as_slice() else {
            return Err(ReportMailError::Parts(parts.len()));
        };
        let (text_fields, text) = split_message(text);
        let text = decoded(&text_fields, text)?;
        let (report_fields, report) = split_message(report);
        let file = decoded(&report_fields, report)?;
        let media_type = Structured::parse(&value_of(&report_fields, "Content-Type")).first;
        let json = match media_type.as_str() {
            "application/tlsrpt+gzip" => unpacked(&file)?,
            "application/tlsrpt+json" => file.clone(),
            other => return Err(ReportMailError::MediaType(other.to_owned())),
        };
        let disposition = Structured::parse(&value_of(&report_fields, "Content-Disposition"));
        Ok(Self {
            fields: fields
                .iter()
                .map(|field| (field.name.to_owned(), field.text()))
                .collect(),
            text: String::from_utf8_lossy(&text).into_owned(),
            media_type,
            file_name: disposition
                .parameter("filename")
                .ok_or(ReportMailError::NoFileName)?
                .to_owned(),
            file,
            json,
        })
    }

    /// The value of the first header field of this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

fn value_of(fields: &[Field<'_>], name: &str) -> String {
    fields
        .iter()
        .find(|field| field.is(name))
        .map(Field::text)
        .unwrap_or_default()
}

fn decoded(fields: &[Field<'_>], body: &[u8]) -> Result<Vec<u8>, ReportMailError> {
    let encoding = value_of(fields, "Content-Transfer-Encoding").to_ascii_lowercase();
    let undone = match encoding.as_str() {
        "" | "7bit" | "8bit" | "binary" => Some(body.to_vec()),
        "base64" => {
            let compact: Vec<u8> = body
                .iter()
                .copied()
                .filter(|octet| !octet.is_ascii_whitespace())
                .collect();
            STANDARD.decode(compact).ok()
        }
        "quoted-printable" => from_quoted_printable(body),
        _ => None,
    };
    undone.ok_or(ReportMailError::Encoding(encoding))
}

/// RFC 2045 s6.7.
fn from_quoted_printable(body: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut rest = body;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'=' {
            text.push(first);
            continue;
        }
        let (code, after) = rest.split_at_checked(2)?;
        rest = after;
        if code != b"\r\n" {
            let code = str::from_utf8(code).ok()?;
            text.push(u8::from_str_radix(code, 16).ok()?);
        }
    }
    Some(text)
}

fn unpacked(file: &[u8]) -> Result<Vec<u8>, ReportMailError> {
    let mut json = Vec::new();
    let mut unpacking = MultiGzDecoder::new(file).take(REPORT_BYTES_MAX);
    match unpacking.read_to_end(&mut json) {
        Err(error) => Err(ReportMailError::Gzip(error.to_string())),
        Ok(_) if unpacking.limit() == 0 => Err(ReportMailError::Gzip(format!(
            "more than {REPORT_BYTES_MAX} octets"
        ))),
        Ok(_) => Ok(json),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn mail(report_type: &str, media_type: &str, file: &[u8]) -> String {
        format!(
            "From: a@sender.test\r\n\
             Content-Type: multipart/report; report-type=\"{report_type}\";\r\n\tboundary=\"b\"\r\n\r\n\
             --b\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: quoted-printable\r\n\r\n\
             one =3D two=\r\n more\r\n\
             --b\r\nContent-Type: {media_type}; name=\"x\"\r\n\
             Content-Disposition: attachment; filename=\"a!b!1!2.json.gz\"\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{}\r\n--b--\r\n",
            STANDARD.encode(file)
        )
    }

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_report_mail_is_taken_apart() {
        let file = packed(b"{}");
        let message = mail("tlsrpt", "application/tlsrpt+gzip", &file);
        let mail = ReportMail::parse(message.as_bytes()).unwrap();
        assert_eq!(mail.text, "one = two more");
        assert_eq!(mail.json, b"{}");
        assert_eq!(mail.file, file);
        assert_eq!(mail.file_name, "a!b!1!2.json.gz");
        assert_eq!(mail.field("from"), Some("a@sender.test"));
    }

    #[test]
    fn what_is_no_report_mail_is_named() {
        let file = packed(b"{}");
        let check = |message: String| ReportMail::parse(message.as_bytes()).unwrap_err();
        assert!(matches!(
            check(mail("dmarc", "application/tlsrpt+gzip", &file)),
            ReportMailError::NotAReport(_)
        ));
        assert_eq!(
            check(mail("tlsrpt", "application/gzip", &file)),
            ReportMailError::MediaType("application/gzip".to_owned())
        );
        assert!(matches!(
            check(mail("tlsrpt", "application/tlsrpt+gzip", b"no gzip")),
            ReportMailError::Gzip(_)
        ));
        let whole = mail("tlsrpt", "application/tlsrpt+gzip", &file);
        assert_eq!(
            check(whole.replace("--b--\r\n", "")),
            ReportMailError::Unfinished
        );
        let one = whole.replacen(
            "--b\r\nContent-Type: text",
            "--b--\r\nContent-Type: text",
            1,
        );
        assert_eq!(check(one), ReportMailError::Parts(0));
    }
}
