//! What the operator sets: one TOML file.
//!
//! The types below are what the program reads; `settings` is the one table of their names, defaults,
//! units and texts, from which `sealpost config explain` and `docs/config.md` are made. A test holds
//! the two together.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

mod alert;
pub mod explain;
mod files;
mod judge;
pub mod kind;
pub mod load;
mod metrics;
pub(crate) mod near;
mod overrides;
mod page;
pub mod setting;
pub mod settings;

pub use alert::AlertConfig;
pub use load::{ConfigError, Loaded, Problem, load};
pub use metrics::MetricsConfig;
pub use overrides::{DomainOverride, Override, OverrideMode, OverrideScope};
pub use page::PageConfig;

/// The whole file. Every part may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who we are to those who get our reports.
    pub sender: SenderConfig,
    /// The resolver.
    pub dns: DnsConfig,
    /// How policies are fetched and kept.
    pub policy: PolicyConfig,
    /// What is made of signed DNS.
    pub dane: DaneConfig,
    /// What outlives the process.
    pub store: StoreConfig,
    /// What is reported.
    pub report: ReportConfig,
    /// How report mail is signed; one key for each selector.
    pub dkim: Vec<DkimConfig>,
    /// How reports travel.
    pub deliver: DeliverConfig,
    /// What is done otherwise with destinations of reports.
    pub destination: Vec<DestinationConfig>,
    /// The door for Exim, `libsealpost.so` and scripts.
    pub plugin_socket: PluginSocketConfig,
    /// The door for Postfix's and sendmail's policy questions.
    pub socketmap: SocketmapConfig,
    /// The door for the outcomes that Postfix tells through libtlsrpt.
    pub tlsrpt_socket: TlsrptSocketConfig,
    /// Postfix's log, as a source of outcomes.
    pub postfix_log: PostfixLogConfig,
    /// Looking at mail hosts ourselves.
    pub probe: ProbeConfig,
    /// The socket that the other `sealpost` commands talk to the daemon through.
    pub control_socket: ControlSocketConfig,
    /// The web page for operators.
    pub page: PageConfig,
    /// The numbers that Prometheus reads.
    pub metrics: MetricsConfig,
    /// What an operator is told without asking.
    pub alert: AlertConfig,
    /// What is logged, and how.
    pub log: LogConfig,
    /// What is done otherwise for single recipient domains.
    pub domain: BTreeMap<String, DomainOverride>,
}

/// `[sender]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SenderConfig {
    /// `organization-name` of the report.
    pub organization: String,
    /// `contact-info` of the report, its From and the domain that signs it: a bare mailbox.
    pub contact: String,
    /// The envelope sender of report mail; empty: the contact.
    pub envelope_from: String,
    /// The name this host calls itself in SMTP; empty: the machine's host name.
    pub host_name: String,
}

/// `[dns]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DnsConfig {
    /// Resolvers to ask; empty: those of `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// How long one try may take.
    pub timeout_ms: u64,
    /// How often a lookup is tried.
    pub attempts: u32,
}

/// `[policy]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyConfig {
    /// The port of policy hosts. 443 but in a laboratory.
    pub https_port: u16,
    /// PEM files with further roots to trust policy hosts and report hosts by.
    pub extra_roots: Vec<PathBuf>,
    /// The time for one fetch, from the first packet to the last.
    pub fetch_timeout_seconds: u64,
    /// The longest document that is taken.
    pub document_bytes_max: usize,
    /// How many fetches run at once.
    pub fetches_max: usize,
    /// How long after a failed fetch the same id is left alone.
    pub fetch_retry_seconds: i64,
    /// How often a kept policy is fetched again, whatever its id says.
    pub refresh_seconds: i64,
    /// How long a TXT answer is relied on at most before it is looked up again.
    pub record_seconds_max: u64,
    /// How many domains' answers are held in memory.
    pub domains_in_memory_max: usize,
    /// Allow policy hosts on loopback, private and link-local addresses. For laboratories.
    pub allow_private_addresses: bool,
    /// What the MTA is told when Sealpost itself cannot tell.
    pub when_unknown: WhenUnknown,
}

/// What the MTA is told when Sealpost itself cannot tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenUnknown {
    /// Try again later.
    Defer,
    /// Deliver opportunistically.
    May,
}

/// `[dane]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DaneConfig {
    /// Who finds out whether an answer of the DNS is what was signed.
    pub validation: DnssecValidation,
    /// The file with the root's keys; empty: those that are built in.
    pub trust_anchor: PathBuf,
    /// What TLSA records are worth where the MX records are not signed.
    pub insecure_mx: InsecureMx,
    /// DANE is evaluated and reported, not enforced.
    pub audit: bool,
    /// How many mail hosts of a domain are looked up for an answer about the whole domain.
    pub hosts_max: usize,
    /// The longest that what the DNS said is relied on.
    pub seconds_max: i64,
}

/// Who validates DNSSEC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DnssecValidation {
    /// The resolver where it can be trusted and does, else ourselves, else nobody.
    Auto,
    /// The resolver: it is on this machine, and says by the AD bit what it found.
    Resolver,
    /// Ourselves.
    Own,
    /// Nobody: there is no DANE.
    Off,
}

/// What TLSA records are worth where the MX records that name the host are not signed (RFC 7672 s2.2.1;
/// as Postfix's `smtp_tls_dane_insecure_mx_policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InsecureMx {
    /// A certificate must match them.
    Dane,
    /// TLS, with whatever certificate.
    Encrypt,
    /// Nothing.
    May,
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// The directory.
    pub path: PathBuf,
    /// How long sessions are gathered before they are written together.
    pub commit_interval_ms: u64,
    /// How many sessions may wait for the recorder; more are dropped and counted.
    pub queue_sessions_max: usize,
    /// How many changed rows may wait for a disk that takes none; more are dropped and counted.
    pub waiting_rows_max: usize,
    /// Writing stops when less than this is left on the disk.
    pub free_space_min_mib: u64,
    /// For how many days tallies are kept.
    pub keep_days: u32,
    /// For how many days single failures are kept; 0: as long as tallies.
    pub keep_failures_days: u32,
    /// For how many days it is kept how the delivery of reports stands; 0: as long as tallies.
    pub keep_reports_days: u32,
    /// For how many days the audit log is kept.
    pub keep_audit_days: u32,
    /// How much the store may hold before days go early; 0: as much as there is.
    pub size_max_mib: u64,
    /// How many single failures of one domain and day are kept.
    pub failures_per_domain_day_max: usize,
    /// How much memory sled may use for its cache.
    pub cache_mib: u64,
}

/// `[report]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReportConfig {
    /// Make and send reports at all.
    pub enabled: bool,
    /// Send a report also when every session of the day went well.
    pub success_only: bool,
    /// Put our own address into failure details.
    pub sending_ip: bool,
    /// How many failure details one report holds; the rest is summed up in one.
    pub details_max: usize,
    /// Add HTML to the text that people read.
    pub html: bool,
    /// How large the mail of one report may be; details give way.
    pub mail_bytes_max: usize,
    /// Domains that get no report.
    pub never: Vec<String>,
}

/// `[[dkim]]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DkimConfig {
    /// The selector: the key's record is `SELECTOR._domainkey.DOMAIN`.
    pub selector: String,
    /// The private key: PEM, RSA of at least 2048 bits or Ed25519.
    pub key: PathBuf,
}

/// `[deliver]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeliverConfig {
    /// Through a relay or a program of this machine, or straight to the rua's MX.
    pub via: Via,
    /// The relay, `host:port`.
    pub relay: String,
    /// The program that takes mail from standard input, as every MTA has one.
    pub sendmail: PathBuf,
    /// The port of MX hosts. 25 but in a laboratory.
    pub smtp_port: u16,
    /// How long after midnight UTC the day is left to settle before it is reported.
    pub settle_seconds: i64,
    /// Over how long the reports of a day are spread from then on.
    pub spread_seconds: i64,
    /// How long one attempt may take.
    pub timeout_seconds: u64,
    /// The wait after the first failed attempt; it doubles each time.
    pub retry_seconds: i64,
    /// When it is given up, counted from the first attempt.
    pub give_up_seconds: i64,
    /// How many reports are under way at once.
    pub concurrent_max: usize,
    /// How many reports are on their way to one destination host at once.
    pub per_host_max: usize,
    /// How many attempts to one destination host begin within a minute; 0: any number.
    pub per_host_per_minute: usize,
    /// How many reports of one day one destination host gets.
    pub per_host_per_day_max: usize,
    /// For how long after a report was handed to the MTA a session with the mailbox's domain is taken for its own;
    /// 0: none is.
    pub report_session_seconds: i64,
    /// Which destinations of a record get the report.
    pub destinations: DestinationOrder,
    /// The ports that reports are posted to; empty: any.
    pub https_ports: Vec<u16>,
    /// Post also to hosts whose certificate does not hold.
    pub https_unverified: bool,
    /// Post to loopback, private and link-local addresses. For laboratories.
    pub https_allow_private_addresses: bool,
    /// The HTTP proxy that reports are posted through, `http://host:port`; empty: none.
    pub https_proxy: String,
}

/// Which destinations of a record get the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DestinationOrder {
    /// Its mailboxes; `https:` destinations where it has none, or all of them were given up.
    MailFirst,
    /// Every one.
    All,
}

/// `[[destination]]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DestinationConfig {
    /// The domains that the reports are about; empty: all.
    #[serde(default)]
    pub policy_domain: String,
    /// The hosts that the reports go to; empty: all.
    #[serde(default)]
    pub rua_domain: String,
    /// What is done with a destination.
    pub action: DestinationAction,
    /// Where the report goes by `replace` and `add`.
    #[serde(default)]
    pub to: Vec<String>,
}

/// What is done with a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DestinationAction {
    /// It gets the report.
    Accept,
    /// It gets none.
    Discard,
    /// Others get it instead.
    Replace,
    /// Others get it too.
    Add,
}

/// How report mail leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// Through `deliver.relay`.
    Relay,
    /// Through `deliver.sendmail`.
    Sendmail,
    /// Straight to the MX of the rua's domain, TLS failures ignored.
    Mx,
}

/// `[plugin_socket]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginSocketConfig {
    /// Where it is.
    pub path: PathBuf,
    /// Its file mode, octal.
    pub mode: String,
    /// User ids that may speak on it; empty: any that the file mode lets in.
    pub allow_uids: Vec<u32>,
    /// How many clients at once.
    pub clients_max: usize,
    /// When an idle client is let go.
    pub idle_seconds: u64,
    /// How long a policy question may take.
    pub deadline_ms: u64,
}

/// `[socketmap]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SocketmapConfig {
    /// Where the unix socket is; empty: there is none.
    pub path: PathBuf,
    /// Its file mode, octal.
    pub mode: String,
    /// The group that the unix socket's file belongs to; empty: the daemon's own.
    pub group: String,
    /// TCP addresses to listen on as well.
    pub listen: Vec<SocketAddr>,
    /// How many clients at once, over all of these.
    pub clients_max: usize,
    /// When an idle client is let go.
    pub idle_seconds: u64,
    /// How long a policy question may take.
    pub deadline_ms: u64,
    /// Whether Postfix is told that a domain goes by DANE alone.
    pub dane_only: TellsDane,
}

/// Whether Postfix is told that a domain goes by DANE alone (`dane-only`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TellsDane {
    /// Where the resolvers of `/etc/resolv.conf` mark signed answers, so that Postfix can see them too.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// `[tlsrpt_socket]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsrptSocketConfig {
    /// Where it is; empty: there is none.
    pub path: PathBuf,
    /// Its file mode, octal.
    pub mode: String,
    /// The group that its file belongs to; empty: the daemon's own.
    pub group: String,
    /// How many octets of datagrams may wait to be read by us, after the kernel gave them.
    pub waiting_mib_max: usize,
}

/// `[postfix_log]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PostfixLogConfig {
    /// The file that Postfix's lines go to; empty: it is not read.
    pub path: PathBuf,
    /// What is taken from it.
    pub take: PostfixLogTake,
}

/// What is taken from Postfix's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PostfixLogTake {
    /// What Postfix does not tell through libtlsrpt: Postfix 3.10 and later.
    Silent,
    /// Every session: Postfix before 3.10, which tells nothing otherwise.
    All,
}

/// `[probe]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbeConfig {
    /// Look at all.
    pub enabled: bool,
    /// How long what was found of a mail host is relied on, and the host left alone.
    pub interval_seconds: i64,
    /// How long one look may take.
    pub timeout_seconds: u64,
    /// How many looks at once.
    pub concurrent_max: usize,
    /// How many mail hosts of one domain are looked at, in the order of preference.
    pub hosts_max: usize,
    /// The port of mail hosts. 25 but in a laboratory.
    pub smtp_port: u16,
    /// How long an MTA that asked may take to tell how its session went, before the session is
    /// inferred.
    pub silent_seconds: i64,
}

/// `[control_socket]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlSocketConfig {
    /// Where it is.
    pub path: PathBuf,
    /// Its file mode, octal.
    pub mode: String,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// The least that is logged, or a filter as `tracing` has it.
    pub level: String,
    /// Lines for people or JSON.
    pub format: LogFormat,
}

/// The shape of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people and the journal.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for DnsConfig {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout_ms: 3_000,
            attempts: 2,
        }
    }
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            https_port: 443,
            extra_roots: Vec::new(),
            // RFC 8461 s3.3 suggests one minute and 64 KiB.
            fetch_timeout_seconds: 60,
            document_bytes_max: 65_536,
            fetches_max: 64,
            fetch_retry_seconds: 300,
            refresh_seconds: 86_400,
            record_seconds_max: 3_600,
            domains_in_memory_max: 100_000,
            allow_private_addresses: false,
            when_unknown: WhenUnknown::Defer,
        }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            path: "/var/lib/sealpost/store".into(),
            commit_interval_ms: 250,
            queue_sessions_max: 65_536,
            waiting_rows_max: 1_000_000,
            free_space_min_mib: 256,
            keep_days: 30,
            keep_failures_days: 0,
            keep_reports_days: 0,
            keep_audit_days: 400,
            size_max_mib: 0,
            failures_per_domain_day_max: 1_000,
            cache_mib: 64,
        }
    }
}

impl Default for ReportConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            success_only: true,
            sending_ip: true,
            details_max: 1_000,
            html: false,
            mail_bytes_max: 10_000_000,
            never: Vec::new(),
        }
    }
}

impl Default for DeliverConfig {
    fn default() -> Self {
        Self {
            via: Via::Relay,
            relay: "127.0.0.1:25".to_owned(),
            sendmail: "/usr/sbin/sendmail".into(),
            smtp_port: 25,
            settle_seconds: 1_800,
            spread_seconds: 12_600,
            timeout_seconds: 300,
            retry_seconds: 600,
            give_up_seconds: 86_400,
            concurrent_max: 16,
            per_host_max: 2,
            per_host_per_minute: 60,
            per_host_per_day_max: 10_000,
            report_session_seconds: 0,
            destinations: DestinationOrder::MailFirst,
            https_ports: vec![443],
            https_unverified: false,
            https_allow_private_addresses: false,
            https_proxy: String::new(),
        }
    }
}

impl Default for PluginSocketConfig {
    fn default() -> Self {
        Self {
            path: "/run/sealpost/plugin.sock".into(),
            mode: "0660".to_owned(),
            allow_uids: Vec::new(),
            clients_max: 1_024,
            idle_seconds: 300,
            deadline_ms: 20_000,
        }
    }
}

impl Default for SocketmapConfig {
    fn default() -> Self {
        Self {
            path: "/var/spool/postfix/sealpost/socketmap.sock".into(),
            mode: "0660".to_owned(),
            group: "postfix".to_owned(),
            listen: Vec::new(),
            clients_max: 16_384,
            idle_seconds: 300,
            deadline_ms: 20_000,
            dane_only: TellsDane::Auto,
        }
    }
}

impl Default for TlsrptSocketConfig {
    fn default() -> Self {
        Self {
            path: "/var/spool/postfix/sealpost/tlsrpt.sock".into(),
            mode: "0660".to_owned(),
            group: "postfix".to_owned(),
            waiting_mib_max: 64,
        }
    }
}

impl Default for PostfixLogConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            take: PostfixLogTake::Silent,
        }
    }
}

impl Default for DaneConfig {
    fn default() -> Self {
        Self {
            validation: DnssecValidation::Auto,
            trust_anchor: PathBuf::new(),
            insecure_mx: InsecureMx::Dane,
            audit: false,
            hosts_max: 64,
            seconds_max: 3_600,
        }
    }
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            interval_seconds: 3_600,
            timeout_seconds: 30,
            concurrent_max: 16,
            hosts_max: 4,
            smtp_port: 25,
            silent_seconds: 600,
        }
    }
}

impl Default for ControlSocketConfig {
    fn default() -> Self {
        Self {
            path: "/run/sealpost/control.sock".into(),
            mode: "0600".to_owned(),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}
