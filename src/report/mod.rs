//! Stage 6 of 7: report.
//! Takes: a [`DomainDay`] from aggregate, and who we are; for [`read`](mod@read) the bytes of others' reports.
//! Gives: a [`Report`], its JSON, its gzip, its mail ready to send, to deliver; what others' reports say.
//! Never: opens a socket or a file, reads the clock, or makes other bytes of the same totals.
//! Specified by: RFC 8460 s4 and s5; RFC 6376 and RFC 8463 for the signatures.
//!
//! One UTC day of one recipient domain becomes one report. It has one id, which the JSON, the file
//! name and the subject of the mail share, and which stays the same however often and wherever the
//! report is sent.

use crate::{
    aggregate::DomainDay,
    clock::{Timestamp, UtcDay},
    config::ReportConfig,
    policy::PolicyDomain,
};

pub mod account;
mod canonical;
pub mod clean;
pub mod details;
pub mod dkim_key;
pub mod dmarc;
pub mod explain;
pub mod file_name;
pub mod gzip;
pub mod html;
pub mod id;
pub mod json;
pub mod key_record;
pub mod mail;
pub mod notice;
pub mod read;
pub mod room;
pub mod sign;
pub mod submitter;
mod tag_list;
pub mod text;
pub mod verify;

pub use account::Account;
pub use dkim_key::{DkimKey, DkimKeyError, SigningFailed};
pub use explain::{Explanation, explain};
pub use id::ReportId;
pub use room::Room;
pub use submitter::{MailboxError, Submitter, SubmitterError};

/// The report of one domain for one day, in every form it is sent in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its id: `left@right`, the same in every form.
    pub id: String,
    /// The policy domain it is about.
    pub domain: PolicyDomain,
    /// The UTC day it covers.
    pub day: UtcDay,
    /// The JSON of RFC 8460 s4.
    pub json: Vec<u8>,
    /// The same, gzipped: the body of an HTTPS delivery, and what the mail carries.
    pub gzip: Vec<u8>,
    /// The name of the gzipped file.
    pub file_name: String,
    /// The same in words, with LF line ends: the first part of the mail.
    pub text: String,
    /// The same as HTML, beside the text; absent unless `report.html` is on.
    pub html: Option<String>,
    report_id: ReportId,
    submitter: Submitter,
}

/// Why a domain is not sent a report that it asked for. The operator's own settings say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotOwed {
    /// `report.enabled` is off.
    #[error("report.enabled is false")]
    Disabled,
    /// The domain is in `report.never`.
    #[error("the domain is listed in report.never")]
    Never,
    /// Every session went well and `report.success_only` is off.
    #[error("every session went well and report.success_only is false")]
    SuccessOnly,
}

/// Why a report's mail could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MailError {
    /// The recipient domain must act: its rua is not a mailbox that mail can be addressed to.
    #[error("the recipient: {0}")]
    Recipient(MailboxError),
    /// Nobody can act but us: a mailbox that was accepted is not taken as an address.
    #[error("\"{0}\" was accepted as a mailbox and is no address")]
    Address(String),
    /// Nobody can act but us: the message could not be put together.
    #[error("the message could not be put together: {0}")]
    Message(String),
    /// Nobody can act but us: a key that was accepted does not sign.
    #[error(transparent)]
    Signature(#[from] SigningFailed),
}

impl Report {
    /// Makes the report of a day, small enough for a mail of `report.mail_bytes_max`. The same totals,
    /// submitter and settings make the same bytes.
    #[must_use]
    pub fn compose(day: &DomainDay, submitter: &Submitter, config: &ReportConfig) -> Self {
        let mut room = Room::whole(config);
        loop {
            let report = Self::within(room, day, submitter, config);
            // OURS: mailbox hosts take mail up to some size, often 10 MB (F17).
            if room::mail_bytes(&report) <= config.mail_bytes_max {
                return report;
            }
            let Some(less) = room.less() else {
                return report;
            };
            room = less;
        }
    }

    fn within(room: Room, day: &DomainDay, submitter: &Submitter, config: &ReportConfig) -> Self {
        let report_id = ReportId::new(day.day, &day.domain, submitter);
        let details = details::reported(day, room.details_max, config);
        let json = json::json(day, &details, submitter, &report_id, room);
        let mut account = Account::of(day, &details, submitter, &report_id);
        account.summary.extend(room.told(config));
        Self {
            id: report_id.to_string(),
            domain: day.domain.clone(),
            day: day.day,
            gzip: gzip::gzip(&json),
            json,
            file_name: file_name::file_name(day.day, &day.domain, submitter, &report_id),
            text: text::text(&account),
            html: config.html.then(|| html::html(&account)),
            report_id,
            submitter: submitter.clone(),
        }
    }

    /// The mail that carries the report to one mailbox, with CRLF line ends, signed with each of the
    /// keys; without any it is unsigned, and receivers ignore it (RFC 8460 s3). `attempt` counts from 1: a mail that is made again has a Message-ID of its own.
    ///
    /// # Errors
    /// When `to` is not a mailbox, or a key does not sign.
    pub fn mail(
        &self,
        to: &str,
        date: Timestamp,
        attempt: u32,
        keys: &[DkimKey],
    ) -> Result<Vec<u8>, MailError> {
        let message = mail::mail(self, to, date, attempt)?;
        Ok(sign::sign(&message, self.submitter.domain(), date, keys)?)
    }
}

/// Is the domain to be sent a report of this day, as far as our own settings go?
///
/// # Errors
/// When it is not.
pub fn owed(day: &DomainDay, config: &ReportConfig) -> Result<(), NotOwed> {
    if !config.enabled {
        return Err(NotOwed::Disabled);
    }
    let is_this = |name: &String| name.parse::<PolicyDomain>().as_ref() == Ok(&day.domain);
    if config.never.iter().any(is_this) {
        return Err(NotOwed::Never);
    }
    let all_went_well = day
        .policies
        .iter()
        .all(|totals| totals.failures == 0 && totals.details.is_empty());
    if all_went_well && !config.success_only {
        return Err(NotOwed::SuccessOnly);
    }
    Ok(())
}
