//! What replies hold: the twins, on the wire and in `--json`, of the types the stages work with.
//!
//! Members are added, never renamed or dropped, while [`VERSION`](super::protocol::VERSION) stays.
//! Texts hold what came from the network as it came; whoever shows them escapes them.

use serde::{Deserialize, Serialize};

mod audit;
mod evidence;
mod examinations;
mod history;
mod overrides;
mod security;
mod suppression;

pub use audit::{Audit, AuditView, ChainView};
pub(crate) use evidence::hexadecimal;
pub use evidence::{Evidence, rows_sha256};
pub use examinations::{ExaminationView, Examinations, TrapView};
pub use history::{FailureSeen, History, UnreadableDay};
pub use overrides::{OverrideEnding, OverrideView, Overrides};
pub use security::{ProtectedSessions, Security, SecurityOfDay, SecurityOfDomain};

pub use suppression::{BounceTaken, RefusalView, SuppressionView, Suppressions};

pub use super::words::{
    AlertWay, BounceOutcome, DeliveryStateView, Finding, OverrideSource, RefreshOutcome,
    SendOutcome, StoreState, SuppressedBy,
};

macro_rules! wire {
    ($($(#[$doc:meta])* $kind:ident $name:ident { $($body:tt)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
            pub $kind $name { $($body)* }
        )*
    };
}

wire! {
    /// How the daemon is.
    struct Status {
        /// Name and version of the program.
        pub program: String,
        /// Its process.
        pub pid: u32,
        /// When it started.
        pub started_at: String,
        /// Its clock.
        pub now: String,
        /// Its configuration file.
        pub config: Option<String>,
        /// The file is another than the daemon has read; absent where that cannot be seen.
        #[serde(default)]
        pub config_changed: Option<bool>,
        /// The sections of the file whose changes are taken up at the next start.
        #[serde(default)]
        pub config_waits_for_restart: Vec<String>,
        /// Who validates DNSSEC.
        #[serde(default)]
        pub dnssec: Option<DnssecView>,
        /// What an operator should act on, in sentences, the worst first. Empty when all is well.
        pub alarms: Vec<String>,
        /// Today's sessions so far, as far as they are on the disk; absent when it cannot be read.
        pub today: Option<DayTotals>,
        /// How many policies are kept; absent when that cannot be read.
        pub policies_kept: Option<u64>,
        /// To how many destinations no report is sent now; absent when that cannot be read.
        #[serde(default)]
        pub suppressed: Option<u64>,
        /// The store.
        pub store: StoreStatus,
        /// What is done otherwise for single domains.
        pub overrides: Vec<OverrideView>,
        /// Every counter since the start, in the order of the pipeline.
        pub counters: Vec<CounterView>,
    }

    /// Who validates DNSSEC.
    struct DnssecView {
        /// `resolver`, `own`, `nobody`, and then there is no DANE, `not-yet` (nobody has answered since the start,
        /// and mail waits), or `off`.
        pub validation: String,
        /// Why nobody does.
        pub reason: Option<String>,
        /// What speaks against who does, all the same.
        pub doubt: Option<String>,
    }

    /// The sum of a day.
    struct DayTotals {
        /// The UTC day.
        pub day: String,
        /// Domains with a session.
        pub domains: u64,
        /// Sessions that satisfied their policy.
        pub successes: u64,
        /// Sessions that did not.
        pub failures: u64,
    }

    /// The store.
    struct StoreStatus {
        /// Its directory.
        pub path: String,
        /// Whether sessions are recorded on the disk.
        pub state: StoreState,
        /// Why not.
        pub reason: Option<String>,
        /// Changed rows that wait in memory for the disk.
        pub waiting_rows: u64,
        /// How it stands by `store.size_max_mib`; absent where nothing is set, or it was not looked at yet.
        #[serde(default)]
        pub quota: Option<QuotaView>,
    }

    /// How the store stands by its quota.
    struct QuotaView {
        /// `store.size_max_mib`
        pub max_mib: u64,
        /// How large its file is, in octets. It does not shrink.
        pub file_octets: u64,
        /// What is held, in octets of keys and values; absent while the file is no larger than what may be held.
        pub held_octets: Option<u64>,
        /// More is held than may be, and nothing more may go.
        pub is_exceeded: bool,
        /// What it took of days that were still to be kept.
        pub forgotten: Vec<QuotaForgotten>,
    }

    /// What the quota took.
    struct QuotaForgotten {
        /// `failures`, `counts` or `reports`.
        pub part: String,
        /// Of this UTC day and all before it.
        pub until: String,
    }

    /// A copy of the store.
    struct StoreCopied {
        /// The directory that was made.
        pub directory: String,
        /// How many rows it has.
        pub rows: u64,
        /// How large its file is, in octets.
        pub octets: u64,
    }

    /// A counter.
    struct CounterView {
        /// Its name.
        pub name: String,
        /// How many since the start.
        pub value: u64,
    }

    /// What was counted on a day.
    struct Sessions {
        /// The UTC day.
        pub day: String,
        /// One element for each domain, by name.
        pub domains: Vec<DomainSessions>,
        /// The failures that are kept one by one, newest last; only when asked for.
        pub failures: Option<Vec<FailureView>>,
    }

    /// What was counted for a domain.
    struct DomainSessions {
        /// The domain.
        pub domain: String,
        /// One element for each exact policy.
        pub policies: Vec<PolicySessions>,
    }

    /// What was counted under one exact policy.
    struct PolicySessions {
        /// The policy.
        pub policy: AppliedView,
        /// Sessions that satisfied it.
        pub successes: u64,
        /// Sessions that did not.
        pub failures: u64,
        /// How they failed. A session can be in several.
        pub details: Vec<DetailView>,
    }

    /// A policy as a report names it.
    struct AppliedView {
        /// `policy-type`.
        pub policy_type: String,
        /// `policy-domain`.
        pub policy_domain: String,
        /// `policy-string`.
        pub policy_string: Vec<String>,
        /// `mx-host`.
        pub mx_host: Vec<String>,
        /// Its short name.
        pub fingerprint: String,
    }

    /// How sessions failed, and how many.
    struct DetailView {
        /// How.
        #[serde(flatten)]
        pub failure: FailureMembers,
        /// How many.
        pub sessions: u64,
    }

    /// One failure.
    struct FailureView {
        /// When.
        pub at: String,
        /// The recipient domain.
        pub domain: String,
        /// The short name of the policy.
        pub policy: String,
        /// Who saw it: `mta`, `policy` or `probe`.
        pub source: String,
        /// What.
        #[serde(flatten)]
        pub failure: FailureMembers,
    }

    /// The members of `failure-details` but the count (RFC 8460 s4.4).
    struct FailureMembers {
        /// `result-type`.
        pub result_type: String,
        /// `receiving-mx-hostname`.
        pub mx: Option<String>,
        /// `receiving-mx-helo`.
        pub mx_helo: Option<String>,
        /// `receiving-ip`.
        pub receiving_ip: Option<String>,
        /// `sending-mta-ip`.
        pub sending_ip: Option<String>,
        /// `failure-reason-code`.
        pub reason: Option<String>,
    }

    /// Every policy that is kept.
    struct Policies {
        /// By domain.
        pub policies: Vec<PolicyView>,
    }

    /// A policy that is kept.
    struct PolicyView {
        /// The domain.
        pub domain: String,
        /// `enforce`, `testing` or `none`.
        pub mode: String,
        /// Its `mx` patterns as A-labels.
        pub mx: Vec<String>,
        /// How long it may be kept after a fetch.
        pub max_age_seconds: u32,
        /// The `id` of the record it was announced by.
        pub id: String,
        /// When it was fetched.
        pub fetched_at: String,
        /// When a fetch last confirmed it or failed.
        pub tried_at: String,
        /// From when it no longer holds.
        pub expires_at: String,
        /// It no longer holds.
        pub expired: bool,
        /// Its lines as published.
        pub lines: Vec<String>,
        /// Why the last fetch failed, if it did and the daemon saw it.
        pub trouble: Option<TroubleView>,
    }

    /// Why a fetch failed.
    struct TroubleView {
        /// The result type of RFC 8460.
        pub result_type: String,
        /// The reason code.
        pub reason: String,
        /// The `id` that prompted the fetch.
        pub id: String,
        /// When.
        pub at: String,
    }

    /// What came of a refresh.
    struct Refreshed {
        /// The domain.
        pub domain: String,
        /// What came of it.
        pub outcome: RefreshOutcome,
        /// Why it failed, or what was found instead.
        pub reason: Option<String>,
        /// The policy that holds now.
        pub policy: Option<PolicyView>,
    }

    /// What came of a purge.
    struct Purged {
        /// The domain.
        pub domain: String,
        /// There was a policy, and it is forgotten.
        pub purged: bool,
    }

    /// How the reports of a day stand.
    struct Deliveries {
        /// The UTC day they cover.
        pub day: String,
        /// By domain and destination.
        pub deliveries: Vec<DeliveryView>,
        /// Domains with sessions on the day and no delivery, by name.
        #[serde(default)]
        pub undelivered: Vec<UndeliveredView>,
    }

    /// A domain with sessions and no delivery of its report.
    struct UndeliveredView {
        /// The domain.
        pub domain: String,
        /// When its turn is; absent when it has none: there will be no delivery.
        pub due_at: Option<String>,
        /// Why it waits, or why there will be none, as far as that is known.
        pub reason: Option<String>,
    }

    /// How one report to one destination stands.
    struct DeliveryView {
        /// The UTC day it covers.
        pub day: String,
        /// The domain it is about.
        pub domain: String,
        /// Where it goes: a `mailto:` or `https:` URI.
        pub destination: String,
        /// The report's id.
        pub report_id: String,
        /// Attempts begun so far.
        pub attempts: u32,
        /// When the first began.
        pub first_attempt_at: Option<String>,
        /// Where it is on its way.
        pub state: DeliveryStateView,
        /// When it came to that, or when that is due.
        pub at: String,
        /// Why the last attempt failed, or why it was given up.
        pub reason: Option<String>,
    }

    /// A report, as it would be or as it was.
    struct ReportView {
        /// The UTC day it covers.
        pub day: String,
        /// The domain.
        pub domain: String,
        /// The day is over; a report of it changes no more.
        pub day_over: bool,
        /// The sessions it counts.
        pub sessions: u64,
        /// Where it goes, in the order of the domain's record.
        pub destinations: Vec<String>,
        /// What else an operator should know: no rua, a domain that is never reported to.
        pub notes: Vec<String>,
        /// How its deliveries stand.
        pub deliveries: Vec<DeliveryView>,
        /// The report itself (RFC 8460 s4.4).
        pub report: serde_json::Value,
        /// The text that its mail carries for people.
        pub text: String,
    }

    /// What came of sending the reports of a day.
    struct ReportsSent {
        /// The UTC day they cover.
        pub day: String,
        /// The sessions that the day has, of the domains that were asked for.
        pub sessions: u64,
        /// One element for each destination, and one for each domain without.
        pub reports: Vec<SendView>,
        /// What the report of an MX host that was asked for by its name leaves out, in sentences.
        #[serde(default)]
        pub notes: Vec<String>,
    }

    /// What came of one report to one destination.
    struct SendView {
        /// The domain it is about.
        pub domain: String,
        /// Where it went; absent where there is nowhere.
        pub destination: Option<String>,
        /// What came of it.
        pub outcome: SendOutcome,
        /// The report's id.
        pub report_id: Option<String>,
        /// Why it was not sent.
        pub reason: Option<String>,
    }

    /// The metrics.
    struct Metrics {
        /// In Prometheus's text format, 0.0.4.
        pub text: String,
    }

    /// The alerts that hold.
    struct AlertsView {
        /// By rule and subject.
        pub alerts: Vec<AlertView>,
        /// Who is told besides the log.
        #[serde(default)]
        pub told: AlertsTold,
    }

    /// Who is told of alerts besides the log, and when.
    #[derive(Default)]
    struct AlertsTold {
        /// The mailbox that gets mails.
        pub mail_to: Option<String>,
        /// Where the webhook is: scheme and host of its URL, for the rest of it may be a secret.
        pub webhook: Option<String>,
        /// The hours, UTC, in which nobody is told.
        pub quiet: Option<String>,
        /// After how many hours an alert that still holds is told again.
        pub repeat_hours: i64,
    }

    /// An alert.
    struct AlertView {
        /// Its rule.
        pub rule: String,
        /// The domain, or what else it is of.
        pub subject: String,
        /// What is the matter.
        pub words: String,
        /// Since when.
        pub since: String,
        /// When a mail last told it.
        pub mailed_at: Option<String>,
        /// When the webhook was last told it.
        pub posted_at: Option<String>,
        /// What to do about it.
        pub what_to_do: String,
    }

    /// What came of test alerts.
    struct AlertsTested {
        /// Which way they were sent.
        pub to: AlertWay,
        /// One element for each rule.
        pub tested: Vec<AlertTested>,
    }

    /// What came of one.
    struct AlertTested {
        /// Its rule.
        pub rule: String,
        /// Somebody took it.
        pub is_taken: bool,
        /// Who, or why nobody did.
        pub words: String,
    }

    /// How one comes to the page.
    struct PageLink {
        /// Links that sign one in, each once and within five minutes, by the addresses that are listened on.
        pub links: Vec<String>,
        /// The unix socket, where nobody signs in.
        pub path: Option<String>,
    }

    /// What would happen to mail to a domain now, and why.
    struct CheckResult {
        /// The domain.
        pub domain: String,
        /// When it was looked up.
        pub at: String,
        /// What the operator has set for it.
        #[serde(rename = "override")]
        pub overridden: Option<OverrideView>,
        /// The TXT record `_mta-sts`.
        pub record: RecordFinding,
        /// The policy document.
        pub document: DocumentFinding,
        /// The policy that the daemon keeps.
        pub kept: Option<PolicyView>,
        /// Whether there is DANE, and who validates what it goes by.
        pub dane: DaneState,
        /// The MX hosts.
        pub mx: MxFinding,
        /// What Postfix and sendmail would be told on the socketmap, for each map name.
        pub socketmap: Vec<SocketmapReply>,
        /// What Exim, or whoever else asks on the plugin socket, would be told of the domain: the line, with tabs between
        /// its members.
        #[serde(default)]
        pub plugin_socket: Option<String>,
        /// The TXT record `_smtp._tls`.
        pub rua: RuaFinding,
        /// What this host saw of the domain in the last days; absent where no daemon was asked.
        #[serde(default)]
        pub history: Option<History>,
        /// What would happen.
        pub outcome: OutcomeView,
    }

    /// The TXT record `_mta-sts`.
    struct RecordFinding {
        /// The name asked for.
        pub name: String,
        /// What was found.
        pub state: Finding,
        /// The TXT records at the name, each as one text.
        pub texts: Vec<String>,
        /// The `id` of the valid record.
        pub id: Option<String>,
        /// Why there is no valid record.
        pub reason: Option<String>,
    }

    /// The policy document.
    struct DocumentFinding {
        /// Where it is.
        pub url: String,
        /// What was found.
        pub state: Finding,
        /// Its mode.
        pub mode: Option<String>,
        /// How long it may be kept.
        pub max_age_seconds: Option<u32>,
        /// Its `mx` patterns as A-labels.
        pub mx: Vec<String>,
        /// Its lines as published, also of one that is not valid.
        pub lines: Vec<String>,
        /// Everything that is wrong with it, in the order of its lines.
        #[serde(default)]
        pub faults: Vec<DocumentFault>,
        /// The result type a report would carry.
        pub result_type: Option<String>,
        /// Why there is no valid document.
        pub reason: Option<String>,
    }

    /// One thing that is wrong with a policy document.
    struct DocumentFault {
        /// The line, from 1; absent where something is missing.
        pub line: Option<usize>,
        /// What is wrong.
        pub text: String,
    }

    /// The MX hosts.
    struct MxFinding {
        /// What was found. [`Finding::Absent`]: the domain is its own, implicit MX.
        pub state: Finding,
        /// Why there are no hosts.
        pub reason: Option<String>,
        /// In the order in which they are tried.
        pub hosts: Vec<MxVerdict>,
    }

    /// What the MTA would be told of one MX host.
    struct MxVerdict {
        /// Lower is tried first; absent for an implicit MX.
        pub preference: Option<u16>,
        /// The host as the record names it.
        pub host: String,
        /// What is demanded: `may`, `encrypt`, `verify`, `dane`, `refuse`, `defer`.
        pub level: String,
        /// Evaluated and reported, not enforced.
        pub audit: bool,
        /// Why.
        pub reason: String,
        /// Which policy decides on it: `dane`, `sts` or `none`.
        pub decided_by: String,
        /// What signed DNS says of it; absent for what is no host name.
        pub dane: Option<HostDaneView>,
        /// What whoever asks on the plugin socket would be told of it, as of the domain.
        #[serde(default)]
        pub plugin_socket: Option<String>,
        /// What a look at it saw, where one was asked for.
        pub live: Option<LiveView>,
    }

    /// Whether there is DANE here.
    struct DaneState {
        /// Who validates DNSSEC: `resolver`, `own`, or `nobody`, and then there is no DANE. `not-yet`: nobody has
        /// answered since the start, and mail waits.
        pub validation: String,
        /// Why nobody does.
        pub reason: Option<String>,
        /// What the MX records of the domain are: `secure`, `insecure`, `failed`, or `not-known`.
        pub mx_records: String,
        /// Why that is so, where it needs words.
        pub mx_reason: Option<String>,
        /// From when on the DNS is asked again.
        pub until: Option<String>,
    }

    /// What signed DNS says of one MX host.
    struct HostDaneView {
        /// `records`, `nothing` or `unreachable`.
        pub finding: String,
        /// The chain of trust in words.
        pub reason: String,
        /// The TLSA base domain.
        pub base_domain: Option<String>,
        /// The names of which a certificate below a record of usage 2 must carry one.
        pub reference_names: Vec<String>,
        /// Its TLSA records, sorted.
        pub records: Vec<TlsaView>,
    }

    /// One TLSA record.
    struct TlsaView {
        /// As a report has it: `3 1 1 8C75...`.
        pub record: String,
        /// `usable`, `passed-over` or `unusable`.
        pub usability: String,
        /// Why it is not used.
        pub reason: Option<String>,
    }

    /// What a look at an MX host saw.
    struct LiveView {
        /// The address that answered.
        pub address: Option<String>,
        /// How far TLS went, in words.
        pub tls: String,
        /// Whether the certificate matches a TLSA record; absent where there is none that can be used, or no
        /// certificate was seen.
        pub dane_matches: Option<bool>,
        /// Which record it matches, or why none.
        pub dane: Option<String>,
        /// What an MTA-STS policy would say of the session, whether or not there is one: empty when all is
        /// well, else result types and reason codes.
        pub sts: Vec<String>,
        /// The certificate that it showed of itself.
        #[serde(default)]
        pub certificate: Option<CertificateView>,
    }

    /// The certificate that a mail host shows of itself.
    struct CertificateView {
        /// The host names that it is for, as it has them.
        pub names: Vec<String>,
        /// Who issued it.
        pub issuer: String,
        /// From when it is valid.
        pub not_before: String,
        /// Until when.
        pub not_after: String,
        /// How many whole days are left; below 0 when it has expired.
        pub days_left: i64,
        /// How many certificates the host showed, this one among them.
        pub shown: usize,
        /// SHA-256 of the whole certificate, in hexadecimal digits.
        pub sha256: String,
        /// SHA-256 of its public key (`3 1 1` of a TLSA record), in hexadecimal digits.
        pub public_key_sha256: String,
    }

    /// What would be told on the socketmap.
    struct SocketmapReply {
        /// The map name that is asked.
        pub map: String,
        /// The reply: `OK` and the policy, `NOTFOUND`, or `TEMP` and why the mail must wait.
        pub reply: String,
    }

    /// The TXT record `_smtp._tls`.
    struct RuaFinding {
        /// The name asked for.
        pub name: String,
        /// What was found.
        pub state: Finding,
        /// The TXT records at the name, each as one text.
        pub texts: Vec<String>,
        /// Where reports go.
        pub destinations: Vec<String>,
        /// What of the record was skipped or is left out, and why.
        pub skipped: Vec<String>,
        /// Why there is no valid record.
        pub reason: Option<String>,
    }

    /// What would happen to mail now.
    struct OutcomeView {
        /// There is a host that mail could go to now.
        pub deliverable: bool,
        /// In one or two sentences.
        pub text: String,
    }
}
