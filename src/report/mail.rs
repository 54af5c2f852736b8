//! The mail that carries a report: two parts, one to read and one to parse. The one to read is plain text,
//! or where the operator wants it so the choice of plain text and HTML.

use std::time::{Duration, SystemTime};

use lettre::{
    Message,
    message::{
        Body, Mailbox, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, Date, Header, HeaderName, HeaderValue},
    },
};

use super::{MailError, Report, submitter::mailbox};
use crate::clock::Timestamp;

/// Writes the mail, unsigned, with CRLF line ends. `attempt` counts from 1 and only tells messages
/// apart.
///
/// # Errors
/// When `to` is not a mailbox that mail can be addressed to.
pub fn mail(
    report: &Report,
    to: &str,
    date: Timestamp,
    attempt: u32,
) -> Result<Vec<u8>, MailError> {
    let (to, _) = mailbox(to).map_err(MailError::Recipient)?;
    let address = |text: &str| -> Result<Mailbox, MailError> {
        text.parse()
            .map(|address| Mailbox::new(None, address))
            .map_err(|_| MailError::Address(text.to_owned()))
    };
    let submitter = &report.submitter;
    let (domain, id) = (&report.domain, &report.report_id);
    let message_id = format!("<{}>", id.message_id(&to, attempt));
    // RFC 8460 s5.3: this form, which many receivers know reports by. Folded where it has spaces.
    let subject = format!(
        "Report Domain: {domain}\r\n Submitter: {}\r\n Report-ID: <{id}>",
        submitter.domain()
    );
    let message = Message::builder()
        .from(address(submitter.contact())?)
        .to(address(&to)?)
        .raw_header(line("Subject", subject))
        .header(date_header(date))
        .raw_header(line("Message-ID", message_id))
        // RFC 8460 s5.3: one of each, in A-labels.
        .raw_header(line("TLS-Report-Domain", domain.to_string()))
        .raw_header(line("TLS-Report-Submitter", submitter.domain().to_string()))
        // RFC 8460 s3: reports are delivered despite TLS failures. RFC 8689 s3: this asks it of
        // every server on the way.
        .raw_header(line("TLS-Required", "No".to_owned()))
        // RFC 3834 s5: no vacation notice answers it.
        .raw_header(line("Auto-Submitted", "auto-generated".to_owned()))
        .multipart(parts(report)?)
        .map_err(|error| MailError::Message(error.to_string()))?;
    Ok(message.formatted())
}

/// RFC 8460 s5.3: multipart/report with exactly these two parts in this order.
fn parts(report: &Report) -> Result<MultiPart, MailError> {
    let message = |error: &dyn std::fmt::Display| MailError::Message(error.to_string());
    let plain = SinglePart::builder()
        .content_type(ContentType::TEXT_PLAIN)
        .body(readable_body(&report.text)?);
    let base64 = Body::new_with_encoding(report.gzip.clone(), ContentTransferEncoding::Base64)
        .map_err(|_| message(&"base64 refused the report"))?;
    let attached = SinglePart::builder()
        .content_type(
            ContentType::parse("application/tlsrpt+gzip").map_err(|error| message(&error))?,
        )
        .header(Attachment(report.file_name.clone()))
        .body(base64);
    let readable = match &report.html {
        None => Readable::Plain(plain),
        Some(html) => Readable::Choice(choice(report, plain, html)?),
    };
    let taken = match &readable {
        Readable::Plain(part) => part.formatted(),
        Readable::Choice(parts) => parts.formatted(),
    };
    let boundary = boundary(report, 0, &[&taken, &attached.formatted()]);
    let parts = MultiPart::mixed().boundary(boundary.clone());
    let parts = match readable {
        Readable::Plain(part) => parts.singlepart(part),
        Readable::Choice(choice) => parts.multipart(choice),
    };
    let mut parts = parts.singlepart(attached);
    // lettre knows no multipart/report; the header is ours, the boundary the same.
    parts.headers_mut().insert_raw(line(
        "Content-Type",
        format!("multipart/report; report-type=\"tlsrpt\";\r\n boundary=\"{boundary}\""),
    ));
    Ok(parts)
}

/// The first part of the mail.
enum Readable {
    Plain(SinglePart),
    Choice(MultiPart),
}

/// The text and the HTML, of which a reader shows one.
// RFC 6522 s3: the first part of a report may be multipart/alternative where the same is said in several
// media.
fn choice(report: &Report, plain: SinglePart, html: &str) -> Result<MultiPart, MailError> {
    // Its lines may be long, and not every host takes them (RFC 5321 s4.5.3.1.6).
    let encoding = ContentTransferEncoding::QuotedPrintable;
    let body = Body::new_with_encoding(html.to_owned(), encoding)
        .map_err(|_| MailError::Message("quoted-printable refused the HTML".to_owned()))?;
    let html = SinglePart::builder()
        .content_type(ContentType::TEXT_HTML)
        .body(body);
    let boundary = boundary(
        report,
        CHOICE_BOUNDARY,
        &[&plain.formatted(), &html.formatted()],
    );
    // RFC 2046 s5.1.4: the plainest first.
    let parts = MultiPart::alternative()
        .boundary(boundary)
        .singlepart(plain)
        .singlepart(html);
    Ok(parts)
}

/// Where the boundaries of the inner parts are counted from, far from those of the mail.
const CHOICE_BOUNDARY: u32 = 1 << 31;

/// The text as it is where it is ASCII, for its lines are short; quoted-printable where the name of
/// the organization is not.
pub(super) fn readable_body(text: &str) -> Result<Body, MailError> {
    if text.is_ascii() {
        let text = text.replace('\n', "\r\n").into_bytes();
        let encoding = ContentTransferEncoding::SevenBit;
        return Ok(Body::dangerous_pre_encoded(text, encoding));
    }
    Body::new_with_encoding(text.to_owned(), ContentTransferEncoding::QuotedPrintable)
        .map_err(|_| MailError::Message("quoted-printable refused the text".to_owned()))
}

/// The first boundary of the report, from this number on, that occurs in none of its parts. A stranger who guesses it and
/// calls a host so only gets the second.
fn boundary(report: &Report, first: u32, parts: &[&[u8]]) -> String {
    let occurs = |boundary: &String| {
        parts.iter().any(|part| {
            part.windows(boundary.len())
                .any(|at| at == boundary.as_bytes())
        })
    };
    (first..=u32::MAX)
        .map(|number| report.report_id.boundary(number))
        .find(|boundary| !occurs(boundary))
        .unwrap_or_default()
}

/// A header field whose value is written as it is: printable ASCII, folded by us.
pub(super) fn line(name: &'static str, value: String) -> HeaderValue {
    let name = HeaderName::new_from_ascii_str(name);
    // lettre reads the boundary back from the unfolded value.
    HeaderValue::dangerous_new_pre_encoded(name, value.replace("\r\n", ""), value)
}

/// `Content-Disposition` with the file name in one piece.
// The name is quoted, for it holds "!". lettre would split a long one after RFC 2231, and not every
// reader of reports puts it together again.
#[derive(Clone)]
struct Attachment(String);

impl Header for Attachment {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Content-Disposition")
    }

    fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(text.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        line(
            "Content-Disposition",
            format!("attachment;\r\n filename=\"{}\"", self.0),
        )
    }
}

/// The last second of the year 9999: what four digits can write.
const DATE_MAX: u64 = 253_402_300_799;

pub(super) fn date_header(date: Timestamp) -> Date {
    let seconds = u64::try_from(date.0).unwrap_or(0).min(DATE_MAX);
    Date::new(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use sealpost_plugin_api::ResultType;

    use super::*;
    use crate::{
        aggregate::{DomainDay, PolicyTotals},
        clock::UtcDay,
        config::ReportConfig,
        policy::{AppliedPolicy, PolicyDomain},
        record::Failure,
        report::Submitter,
    };

    fn report(domain: &str, mx_helo: &str) -> Report {
        let domain: PolicyDomain = domain.parse().unwrap();
        let day = DomainDay {
            recipients: 0,
            seen: std::collections::BTreeMap::new(),
            day: UtcDay(19_858),
            policies: vec![PolicyTotals {
                policy: AppliedPolicy::no_policy_found(domain.clone()),
                successes: 0,
                failures: 1,
                details: vec![(
                    Failure {
                        mx_helo: Some(mx_helo.to_owned()),
                        ..Failure::of_policy(ResultType::StarttlsNotSupported, "")
                    },
                    1,
                )],
            }],
            domain,
        };
        let submitter =
            Submitter::new("Sender", "tls@sender.example", "", "mta1.sender.example").unwrap();
        Report::compose(&day, &submitter, &ReportConfig::default())
    }

    fn written(report: &Report, date: i64) -> String {
        let mail = mail(report, "tls@example.org", Timestamp(date), 1).unwrap();
        String::from_utf8(mail).unwrap()
    }

    #[test]
    fn f1_a_boundary_that_a_host_calls_itself_is_not_used() {
        let id = report("example.org", "mx").report_id;
        let mail = written(&report("example.org", &id.boundary(0)), 0);
        let called = format!("(calls itself {})", id.boundary(0));
        assert!(mail.contains(&called), "{mail}");
        assert!(mail.contains(&format!("boundary=\"{}\"", id.boundary(1))));
        assert_eq!(mail.matches(&format!("--{}", id.boundary(1))).count(), 3);
    }

    #[test]
    fn f1_f4_the_longest_names_fit_their_lines_unsplit_and_unencoded() {
        let label = "d".repeat(63);
        let domain = format!("{label}.{label}.{label}.{}", "d".repeat(61));
        let mail = written(&report(&domain, "mx"), 0);
        assert!(mail.lines().all(|line| line.len() <= 998));
        let subject = format!("\r\nSubject: Report Domain: {domain}\r\n Submitter: ");
        assert!(mail.contains(&subject));
        assert!(mail.contains(&format!("\r\n filename=\"sender.example!{domain}!")));
        assert!(!mail.contains("filename*") && !mail.contains("=?"));
    }

    #[test]
    fn f9_dates_that_no_mail_can_have_are_the_nearest_that_one_can() {
        let report = report("example.org", "mx");
        for (date, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (i64::MIN, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (i64::MAX, "Fri, 31 Dec 9999 23:59:59 +0000"),
            (1_715_823_000, "Thu, 16 May 2024 01:30:00 +0000"),
        ] {
            assert!(written(&report, date).contains(&format!("\r\nDate: {text}\r\n")));
        }
    }
}
