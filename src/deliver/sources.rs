//! What the courier needs from the rest of the program: the record that says where a report goes,
//! and the report.

use crate::{
    clock::{BoxFuture, Timestamp, UtcDay},
    net::dns::DnsError,
    policy::{PolicyDomain, RuaRecord},
    store::StoreError,
};

/// Where reports are to go.
pub trait RuaSource: Send + Sync {
    /// Looks up what a domain publishes at `_smtp._tls` now. `None` is authentic absence, or a record
    /// that counts as none (A4); an error says nothing of the domain (A15).
    fn rua<'a>(
        &'a self,
        domain: &'a PolicyDomain,
    ) -> BoxFuture<'a, Result<Option<RuaRecord>, DnsError>>;

    /// The last valid record that was looked up, if that was at `since` or later and nothing has said since
    /// that there is none.
    fn learnt(&self, domain: &PolicyDomain, since: Timestamp) -> Option<RuaRecord>;
}

/// Reports, made from what the store holds.
pub trait ReportSource: Send + Sync {
    /// The report of one domain for one day; `None` where nothing is to be reported. What `recipients`
    /// had with the domain as their MX host, under its TLSA records, is a part of it. The same rows
    /// give the same report, and its id follows from the domain, the day and our own name alone: a
    /// retry, a restart or a late row does not change it. May block on the disk.
    ///
    /// # Errors
    /// When the rows cannot be read or no report can be made of them.
    fn compose(
        &self,
        domain: &PolicyDomain,
        day: UtcDay,
        recipients: &[PolicyDomain],
    ) -> Result<Option<Box<dyn FinishedReport>>, ComposeError>;

    /// Whether there is a report of the domain's own sessions.
    ///
    /// # Errors
    /// When the rows cannot be read.
    fn is_owed(&self, domain: &PolicyDomain, day: UtcDay) -> Result<bool, ComposeError>;
}

/// One report, finished but for the mail or the request around it.
pub trait FinishedReport: Send + Sync {
    /// Its id, `left@right`: one for all destinations and attempts.
    fn report_id(&self) -> &str;

    /// The gzipped JSON: what is posted to an `https:` destination.
    fn gzip(&self) -> &[u8];

    /// The signed mail to one mailbox, as it goes over the wire. `date` is when the attempt begins
    /// and `attempt` its number from 1: they make the Message-ID, which no two attempts share (F9).
    ///
    /// # Errors
    /// When it cannot be built or signed.
    fn mail(&self, to: &str, date: Timestamp, attempt: u32) -> Result<Vec<u8>, ComposeError>;
}

/// Why there is no report although one is owed. It is tried again later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// The operator must act: see the store's error.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The recipient domain must act: its rua names a mailbox that no mail is built for.
    #[error("no mail can be built for the mailbox: {0}")]
    Recipient(String),
    /// We must act, or the operator where the reason names a setting or key.
    #[error("no report can be made: {0}")]
    Report(String),
}
