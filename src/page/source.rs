//! What the page knows of the daemon: what the control socket knows, and what only a page asks.

use crate::{
    aggregate::{DomainDay, sums::DaySums},
    clock::{BoxFuture, Timestamp, UtcDay},
    ctl::{
        control::{Control, Replied},
        wire::{DeliveryView, Examinations, ProtectedSessions, Status},
    },
    policy::{Mode, PolicyDomain},
};

/// What the page asks of a running daemon.
pub trait Source: Control {
    /// The daemon's clock.
    fn now(&self) -> Timestamp;

    /// How the daemon is, without what costs a pass over the store: its totals are absent.
    fn health(&self) -> BoxFuture<'_, Replied<Status>>;

    /// The days of which anything is held, in order.
    fn days(&self) -> BoxFuture<'_, Replied<Vec<UtcDay>>>;

    /// What a day comes to. One pass over the day.
    fn day_sums(&self, day: UtcDay) -> BoxFuture<'_, Replied<DaySums>>;

    /// Whose policies are kept and what they ask for, by domain; without what they say.
    fn modes(&self) -> BoxFuture<'_, Replied<Vec<KeptMode>>>;

    /// What is held of a domain since a day, its days in order.
    fn domain_days(
        &self,
        domain: PolicyDomain,
        since: UtcDay,
    ) -> BoxFuture<'_, Replied<Vec<DayOfDomain>>>;

    /// The report of a domain's day as files.
    fn report_files(
        &self,
        day: UtcDay,
        domain: PolicyDomain,
    ) -> BoxFuture<'_, Replied<ReportFiles>>;

    /// Has the doctor look at this machine, as the daemon's user sees it; he takes seconds.
    fn examine(&self) -> BoxFuture<'_, Replied<Examinations>>;
}

/// A policy that is kept, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptMode {
    /// The domain.
    pub domain: PolicyDomain,
    /// What it asks to be done.
    pub mode: Mode,
    /// It no longer holds.
    pub expired: bool,
}

/// What is held of a domain on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayOfDomain {
    /// The UTC day.
    pub day: UtcDay,
    /// What protected its sessions.
    pub protected: ProtectedSessions,
    /// What was counted under each policy; absent where nothing was.
    pub counted: Option<DomainDay>,
    /// How the deliveries of its report stand.
    pub deliveries: Vec<DeliveryView>,
}

/// A report as files to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportFiles {
    /// The name of the gzipped file (RFC 8460 s5.1).
    pub file_name: String,
    /// The JSON.
    pub json: Vec<u8>,
    /// The same, gzipped.
    pub gzip: Vec<u8>,
    /// A mail that carries it, composed again from what is stored; absent where no mailbox gets it. It is
    /// the same report, under the same report-id, but not the octets that left.
    pub mail: Option<Vec<u8>>,
}
