//! What the control socket knows of the daemon: this trait, and nothing behind it.

use std::path::PathBuf;

use super::{
    protocol::Refusal,
    wire::{
        AlertWay, AlertsTested, AlertsView, Audit, BounceTaken, CheckResult, Deliveries, Evidence,
        Metrics, OverrideView, Overrides, PageLink, Policies, PolicyView, Purged, Refreshed,
        ReportView, ReportsSent, Security, Sessions, Status, StoreCopied, SuppressionView,
        Suppressions,
    },
};
use crate::{
    alert::Rule,
    clock::{BoxFuture, UtcDay},
    config::OverrideMode,
    observe::audit::AuditKind,
    policy::{Destination, PolicyDomain},
};

/// How far a check goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What the DNS and the policy host say.
    Dns,
    /// Also what the mail hosts themselves show.
    MailHosts,
}

/// An answer of the daemon, or why there is none.
pub type Replied<T> = Result<T, Refusal>;

/// What a running daemon can be asked by its operator. Today and yesterday are the daemon's.
pub trait Control: Send + Sync {
    /// How the daemon is.
    fn status(&self) -> BoxFuture<'_, Replied<Status>>;

    /// What protected the sessions of a day (absent: today), or of the days since one.
    fn security(&self, question: SecurityQuestion) -> BoxFuture<'_, Replied<Security>>;

    /// A statement of what protected the sessions of a range of days.
    fn evidence(&self, question: EvidenceQuestion) -> BoxFuture<'_, Replied<Evidence>>;

    /// What was counted.
    fn sessions(&self, question: SessionsQuestion) -> BoxFuture<'_, Replied<Sessions>>;

    /// Every policy that is kept.
    fn policies(&self) -> BoxFuture<'_, Replied<Policies>>;

    /// The policy kept for a domain; [`RefusalKind::NotFound`](super::protocol::RefusalKind) where
    /// there is none.
    fn policy(&self, domain: PolicyDomain) -> BoxFuture<'_, Replied<PolicyView>>;

    /// Looks up and fetches a domain's policy now, past every cache, in the name of an author.
    fn refresh(&self, domain: PolicyDomain, author: String) -> BoxFuture<'_, Replied<Refreshed>>;

    /// Forgets the policy kept for a domain, in memory and on the disk, in the name of an author.
    fn purge(&self, domain: PolicyDomain, author: String) -> BoxFuture<'_, Replied<Purged>>;

    /// What would happen to mail to a domain now, and why; changes nothing.
    fn check(&self, domain: PolicyDomain, depth: Depth) -> BoxFuture<'_, Replied<CheckResult>>;

    /// How the reports of a day (absent: yesterday) stand, of one domain or of all.
    fn deliveries(
        &self,
        day: Option<UtcDay>,
        domain: Option<PolicyDomain>,
    ) -> BoxFuture<'_, Replied<Deliveries>>;

    /// A report of a day (absent: today so far) as it would be sent; changes nothing.
    fn report_preview(
        &self,
        day: Option<UtcDay>,
        domain: PolicyDomain,
    ) -> BoxFuture<'_, Replied<ReportView>>;

    /// What was sent for a day (absent: yesterday), composed again from the store.
    fn report_show(
        &self,
        day: Option<UtcDay>,
        domain: PolicyDomain,
    ) -> BoxFuture<'_, Replied<ReportView>>;

    /// Sends the reports of a day (absent: yesterday) at once, of one domain or of all, whatever the
    /// schedule; what was sent before is not sent again. A day that is not over is a
    /// [`RefusalKind::BadRequest`](super::protocol::RefusalKind).
    fn report_send(
        &self,
        day: Option<UtcDay>,
        domain: Option<PolicyDomain>,
    ) -> BoxFuture<'_, Replied<ReportsSent>>;

    /// The decisions that changed mail.
    fn audit(&self, question: AuditQuestion) -> BoxFuture<'_, Replied<Audit>>;

    /// What is done otherwise for single domains;
    /// [`RefusalKind::Trouble`](super::protocol::RefusalKind) where that is not known.
    fn overrides(&self, asked: OverridesAsked) -> BoxFuture<'_, Replied<Overrides>>;

    /// What is or was done otherwise for one domain;
    /// [`RefusalKind::NotFound`](super::protocol::RefusalKind) where nothing ever was.
    fn override_of(&self, domain: PolicyDomain) -> BoxFuture<'_, Replied<Overrides>>;

    /// Does otherwise for a domain from the next question on. Where the configuration decides for it:
    /// [`RefusalKind::BadRequest`](super::protocol::RefusalKind).
    fn set_override(&self, order: OverrideOrder) -> BoxFuture<'_, Replied<OverrideView>>;

    /// Ends what was set by command for a domain, in the name of an author and for a reason;
    /// [`RefusalKind::NotFound`](super::protocol::RefusalKind) where nothing holds.
    fn expire_override(
        &self,
        domain: PolicyDomain,
        author: String,
        reason: String,
    ) -> BoxFuture<'_, Replied<OverrideView>>;

    /// The destinations to which nothing is sent now.
    fn suppressions(&self) -> BoxFuture<'_, Replied<Suppressions>>;

    /// How a destination stands that is or was suppressed;
    /// [`RefusalKind::NotFound`](super::protocol::RefusalKind) where it never was.
    fn suppression(&self, destination: Destination) -> BoxFuture<'_, Replied<SuppressionView>>;

    /// Sends to a destination again, in the name of an author, and says how it stood;
    /// [`RefusalKind::NotFound`](super::protocol::RefusalKind) where it was not suppressed.
    fn lift(
        &self,
        destination: Destination,
        author: String,
    ) -> BoxFuture<'_, Replied<SuppressionView>>;

    /// Sends nothing to a destination until the end of a day, or until that is lifted, in the name of an author and for
    /// a reason.
    fn suppress(
        &self,
        destination: Destination,
        until: Option<UtcDay>,
        author: String,
        reason: String,
    ) -> BoxFuture<'_, Replied<SuppressionView>>;

    /// Every metric as Prometheus reads it.
    fn metrics(&self) -> BoxFuture<'_, Replied<Metrics>>;

    /// The alerts that hold.
    fn alerts(&self) -> BoxFuture<'_, Replied<AlertsView>>;

    /// Sends a test of one rule, or of each, and says what came of it.
    fn alert_test(&self, to: AlertWay, rule: Option<Rule>) -> BoxFuture<'_, Replied<AlertsTested>>;

    /// Copies the store into a new directory.
    fn store_copy(&self, directory: PathBuf) -> BoxFuture<'_, Replied<StoreCopied>>;

    /// Links that let whoever opens one sign in to the page;
    /// [`RefusalKind::NotFound`](super::protocol::RefusalKind) where there is no page.
    fn page_link(&self) -> BoxFuture<'_, Replied<PageLink>>;

    /// Takes a bounce, and believes it if it names a report that was sent to that destination.
    fn bounce(
        &self,
        report_id: String,
        recipients: Vec<String>,
        words: String,
    ) -> BoxFuture<'_, Replied<BounceTaken>>;
}

/// Whose protection is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecurityQuestion {
    /// The UTC day; absent, and `since` too: today.
    pub day: Option<UtcDay>,
    /// The first day of a range that ends today; not with `day`.
    pub since: Option<UtcDay>,
    /// How many recipient domains are told of one by one; absent: all.
    pub domains_max: Option<u64>,
}

/// What a statement is to be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceQuestion {
    /// The first UTC day.
    pub from: UtcDay,
    /// The last; absent: yesterday.
    pub to: Option<UtcDay>,
    /// About this recipient domain only.
    pub domain: Option<PolicyDomain>,
}

/// Which decisions are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuestion {
    /// Of this UTC day and later; absent: as far back as they are kept.
    pub since: Option<UtcDay>,
    /// About this domain only.
    pub domain: Option<PolicyDomain>,
    /// Of this kind only.
    pub kind: Option<AuditKind>,
    /// Only those whose number is less.
    pub before: Option<u64>,
    /// The newest so many; absent: all.
    pub entries_max: Option<u64>,
}

/// Which overrides are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverridesAsked {
    /// Those that hold, or would but for the configuration.
    Holding,
    /// The same, and those of the configuration that have run out: they are to be taken out of it.
    HoldingAndOfFile,
    /// Those that ended too.
    All,
}

/// What is to be done otherwise for a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverrideOrder {
    /// The domain.
    pub domain: PolicyDomain,
    /// What is done.
    pub mode: OverrideMode,
    /// The last UTC day of it; absent: until it is ended.
    pub until: Option<UtcDay>,
    /// Why.
    pub reason: String,
    /// Who decided it.
    pub author: String,
}

/// Which sessions are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionsQuestion {
    /// The UTC day; absent: today.
    pub day: Option<UtcDay>,
    /// Of this domain only.
    pub domain: Option<PolicyDomain>,
    /// Also the failures that are kept one by one.
    pub failures: bool,
}
