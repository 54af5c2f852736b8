//! One file, and every report in it.

use super::{
    Authenticity, Finding, KeyRecords, MailFacts, Mailbox, REPORT_BYTES_MAX, ReadError,
    ReceivedReport,
    authentic::{self, SignedMail},
    conform,
    finding::Findings,
    json, mail,
    unpack::{Content, gunzip, in_words},
    zip::unzip,
};
use crate::{
    clock::Timestamp,
    report::verify::{signatures, with_line_ends},
};

/// How many mails and reports one text may hold that is read at once.
const PARTS_MAX: usize = 10_000;

/// A report that was received, with all that is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// What it says.
    pub report: ReceivedReport,
    /// What it does not do as RFC 8460 asks.
    pub findings: Vec<Finding>,
    /// The name of the attachment it came in, or of the file in an archive.
    pub attachment: Option<String>,
    /// What the signatures of its mail are worth. A file has none.
    pub authenticity: Option<Authenticity>,
}

/// A part of a file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// The name of the attachment, or of the file in an archive; absent where the whole could not be read.
    pub attachment: Option<String>,
    /// Why.
    pub error: ReadError,
}

/// What was in a file, before its signatures are judged.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    letters: Vec<Letter>,
    /// What could not be read of it.
    pub unread: Vec<Unread>,
}

/// A mail with reports, or a report without a mail.
#[derive(Clone, Debug, Default)]
struct Letter {
    mail: Option<(MailFacts, SignedMail)>,
    reports: Vec<Enclosed>,
}

#[derive(Clone, Debug)]
struct Enclosed {
    report: ReceivedReport,
    findings: Findings,
    attachment: Option<String>,
}

/// What a file is called.
#[derive(Clone, Copy, Debug)]
struct FileName<'a> {
    /// Its name, where it has one.
    name: Option<&'a str>,
    /// The same where it lies in an archive, so that its name is news.
    attachment: Option<&'a str>,
}

impl<'a> FileName<'a> {
    const fn of_file(name: Option<&'a str>) -> Self {
        Self {
            name,
            attachment: None,
        }
    }

    const fn in_archive(name: &'a str) -> Self {
        Self {
            name: Some(name),
            attachment: Some(name),
        }
    }
}

/// Reads every report in a file: JSON or a mail, packed or not, or an archive of such files. `name` is the name of the file, where it has
/// one that may say something of the report in it.
#[must_use]
pub fn open(name: Option<&str>, bytes: &[u8]) -> Opened {
    let mut opened = Opened::default();
    if let Err(error) = opened.take(name, bytes) {
        opened.unread.push(Unread {
            attachment: None,
            error,
        });
    }
    opened
}

impl Opened {
    fn take(&mut self, name: Option<&str>, bytes: &[u8]) -> Result<(), ReadError> {
        match Content::of(bytes) {
            Content::Zip => self.take_archive(bytes),
            _ => self.take_file(FileName::of_file(name), bytes),
        }
    }

    /// Every report in an archive. One archive in another is not opened.
    fn take_archive(&mut self, archive: &[u8]) -> Result<(), ReadError> {
        let before = (self.letters.len(), self.unread.len());
        let ended = unzip(archive, |file| {
            let taken = file
                .bytes
                .and_then(|bytes| self.take_file(FileName::in_archive(&file.name), &bytes));
            match taken {
                Ok(()) => {}
                // Any file may lie beside a report.
                Err(error) if error.is_something_else() => {}
                Err(error) => self.unread.push(Unread {
                    attachment: Some(file.name),
                    error,
                }),
            }
        });
        ended?;
        if before == (self.letters.len(), self.unread.len()) {
            return Err(ReadError::NoReportInZip);
        }
        Ok(())
    }

    fn take_file(&mut self, name: FileName<'_>, bytes: &[u8]) -> Result<(), ReadError> {
        let content = Content::of(bytes);
        let unpacked;
        let inner = if content == Content::Gzip {
            unpacked = gunzip(bytes, REPORT_BYTES_MAX)?;
            unpacked.as_slice()
        } else {
            bytes
        };
        match Content::of(inner) {
            Content::Json => self.take_report(name, content, inner),
            Content::Mail => self.take_mail(inner),
            Content::Mbox => {
                for mail in Mailbox::new(inner).take(PARTS_MAX) {
                    let mail = mail.map_err(|error| ReadError::Damaged(error.to_string()))?;
                    if let Err(error) = self.take_mail(&mail) {
                        let attachment = None;
                        self.unread.push(Unread { attachment, error });
                    }
                }
                Ok(())
            }
            Content::Zip | Content::Gzip | Content::Other => Err(ReadError::Unknown),
        }
    }

    fn take_report(
        &mut self,
        name: FileName<'_>,
        content: Content,
        bytes: &[u8],
    ) -> Result<(), ReadError> {
        let mut findings = Findings::default();
        let report = report(bytes, &mut findings)?;
        // Whoever keeps reports may have called the file anything. Only a name with these marks is one
        // of RFC 8460 s5.1.
        if let Some(name) = name.name.filter(|name| name.contains('!')) {
            conform::file_name(name, content, &report, &mut findings);
        }
        self.letters.push(Letter {
            mail: None,
            reports: vec![Enclosed {
                report,
                findings,
                attachment: name.attachment.map(str::to_owned),
            }],
        });
        Ok(())
    }

    fn take_mail(&mut self, bytes: &[u8]) -> Result<(), ReadError> {
        let mut found = false;
        for mail in mail::open(bytes)? {
            let mut reports = Vec::new();
            for part in mail.parts {
                for enclosed in enclosed(&part, &mail.facts) {
                    match enclosed {
                        Ok(enclosed) => reports.push(enclosed),
                        // Any file may be attached to a mail.
                        Err(_) if !part.is_declared => continue,
                        Err(error) => self.unread.push(Unread {
                            attachment: part.name.clone(),
                            error,
                        }),
                    }
                    found = true;
                }
            }
            if !reports.is_empty() {
                let raw = with_line_ends(&mail.raw);
                let signatures = signatures(&raw);
                self.letters.push(Letter {
                    mail: Some((mail.facts, SignedMail { raw, signatures })),
                    reports,
                });
            }
        }
        if found {
            Ok(())
        } else {
            Err(ReadError::NoReport)
        }
    }

    /// The names of the TXT records with the keys that sign the mails; each may be there several times.
    #[must_use]
    pub fn key_names(&self) -> Vec<String> {
        self.letters
            .iter()
            .filter_map(|letter| letter.mail.as_ref())
            .flat_map(|(_, mail)| mail.signatures.iter().flatten())
            .map(|signature| signature.record_name())
            .collect()
    }

    /// Judges the signatures by their keys, and gives the reports. `now` is when it is read.
    #[must_use]
    pub fn finish(self, keys: &KeyRecords, now: Timestamp) -> Vec<Received> {
        let mut received = Vec::new();
        for letter in self.letters {
            for mut enclosed in letter.reports {
                let authenticity = letter.mail.as_ref().map(|(facts, mail)| {
                    let (report, findings) = (&enclosed.report, &mut enclosed.findings);
                    authentic::judge(mail, facts, report, keys, now, findings)
                });
                received.push(Received {
                    report: enclosed.report,
                    findings: enclosed.findings.into_list(),
                    attachment: enclosed.attachment,
                    authenticity,
                });
            }
        }
        received
    }
}

fn report(bytes: &[u8], findings: &mut Findings) -> Result<ReceivedReport, ReadError> {
    if bytes.len() > REPORT_BYTES_MAX {
        return Err(ReadError::TooLong(in_words(REPORT_BYTES_MAX)));
    }
    json::read_noting(bytes, findings)
}

/// The report in a part of a mail; in a ZIP archive there may be several.
fn enclosed(part: &mail::ReportPart, facts: &MailFacts) -> Vec<Result<Enclosed, ReadError>> {
    if Content::of(&part.bytes) != Content::Zip {
        return vec![enclosed_in(part, facts, &part.bytes)];
    }
    let mut found = Vec::new();
    let ended = unzip(&part.bytes, |file| {
        let enclosed = file.bytes.and_then(|bytes| match Content::of(&bytes) {
            Content::Json | Content::Gzip => enclosed_in(part, facts, &bytes),
            _ => Err(ReadError::Unknown),
        });
        // Any file may lie beside a report.
        if !enclosed.as_ref().is_err_and(ReadError::is_something_else) {
            found.push(enclosed);
        }
    });
    match ended {
        Err(error) => found.push(Err(error)),
        Ok(()) if found.is_empty() => found.push(Err(ReadError::NoReportInZip)),
        Ok(()) => {}
    }
    found
}

/// The report in these bytes: those of a part of a mail, or of a file in an archive there.
fn enclosed_in(
    part: &mail::ReportPart,
    facts: &MailFacts,
    bytes: &[u8],
) -> Result<Enclosed, ReadError> {
    let mut findings = Findings::default();
    let report = match Content::of(bytes) {
        Content::Gzip => report(&gunzip(bytes, REPORT_BYTES_MAX)?, &mut findings)?,
        Content::Zip => return Err(ReadError::Unknown),
        Content::Json | Content::Mbox | Content::Mail | Content::Other => {
            report(bytes, &mut findings)?
        }
    };
    let content = Content::of(&part.bytes);
    conform::media_type(&part.media_type, content, &mut findings);
    if let Some(name) = &part.name {
        conform::file_name(name, content, &report, &mut findings);
    }
    conform::mail(facts, &report, &mut findings);
    Ok(Enclosed {
        report,
        findings,
        attachment: part.name.clone(),
    })
}
