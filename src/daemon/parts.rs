//! The parts of a running host, made from the configuration.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc};

use rustls::RootCertStore;

use super::{
    alerts::{AlertParts, Alerts},
    quota::{QuotaKeeper, QuotaParts},
    reports::{Publisher, StoredReports},
};
use crate::{
    alert::notebook::Notebook,
    clock::Clock,
    config::{Config, Loaded, Via},
    deliver::{
        HostLimits,
        courier::{self, Courier, Reporting},
        destinations::Rules,
        noting::NotingTransport,
        retry::Retry,
        schedule::Schedule,
        suppression::NextHop,
    },
    engine::{
        Engine, EngineSettings,
        dane::{DaneParts, DaneResolver},
        findings::{Scout, ScoutParts},
        keeper::{Keeper, KeeperParts},
        settle::{Looks, Silence},
    },
    hook::joint::DaneSettings,
    net::{
        counted_dns::CountedDns,
        dns::Dns,
        hickory::{HickoryDns, ResolverError},
        https::PolicyHost,
        policy_host::HttpsPolicyHost,
        report_host::ReportHost,
        report_post::HttpsReportHost,
        sendmail::SendmailTransport,
        smtp::{
            BadRelay, MxTransport, PrivateAddresses, RelayTransport, Transport,
            probe::{Prober, ProberSettings, SmtpProber},
        },
        trust::{self, TrustError},
        validation::{Validation, ValidationError},
        webhook::{Webhook, WebhookUrl},
    },
    observe::{
        Counters,
        audit::{AuditQueue, Auditor},
    },
    record::{journal::Journal, report_sessions::ReportSessions},
    report::{DkimKey, DkimKeyError, Submitter, SubmitterError},
    store::{
        Keeping, StoreError,
        open::{Opened, open_or_put_aside},
        recorder::Recorder,
    },
};

/// Why a part could not be made. The operator must act on each of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartsError {
    /// Another process holds the store, or a later release wrote it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no resolver to ask.
    #[error("dns: {0}")]
    Resolver(#[from] ResolverError),
    /// Nobody could ever validate DNSSEC.
    #[error("dane: {0}")]
    Validation(#[from] ValidationError),
    /// A root certificate cannot be used, or TLS cannot be set up.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// We cannot say who we are.
    #[error("sender: {0}")]
    Sender(#[from] SubmitterError),
    /// The relay cannot be used.
    #[error("deliver.relay: {0}")]
    Relay(#[from] BadRelay),
    /// A key file cannot be read.
    #[error("dkim: {}: {reason}", .path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// A key cannot be used.
    #[error("dkim: {}: {error}", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: DkimKeyError,
    },
    /// The system gives no thread.
    #[error("the recorder: {0}")]
    Thread(#[from] std::io::Error),
}

/// The parts.
pub struct Parts {
    /// What outlives the process.
    pub store: Opened,
    /// Where decisions are noted.
    pub auditor: Auditor,
    /// What was noted and is to be written. Taken when the daemon begins.
    pub audit_queue: Option<AuditQueue>,
    /// The way of sessions to the recorder.
    pub journal: Journal,
    /// What writes them. Taken when the daemon stops.
    pub recorder: Option<Recorder>,
    /// What keeps policies.
    pub keeper: Arc<Keeper>,
    /// What answers MTAs.
    pub engine: Arc<Engine>,
    /// What looks at mail hosts.
    pub scout: Arc<Scout>,
    /// What brings reports.
    pub courier: Arc<Courier>,
    /// What makes reports.
    pub reports: Arc<StoredReports>,
    /// What an operator is told without asking.
    pub alerts: Arc<Alerts>,
    /// What keeps the store within its quota.
    pub quota: Arc<QuotaKeeper>,
    /// What looks names up.
    pub dns: Arc<dyn Dns>,
    /// What connects to mail hosts to look at them.
    pub prober: Arc<dyn Prober>,
    /// Who is trusted to vouch for their certificates.
    pub roots: Arc<RootCertStore>,
    /// Who validates what DANE goes by.
    pub validation: Arc<Validation>,
    /// What DANE says of mail hosts.
    pub dane: Arc<DaneResolver>,
    /// What fetches documents.
    pub policy_host: Arc<dyn PolicyHost>,
    /// What an operator sees.
    pub counters: Arc<Counters>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Parts {
    /// Makes them. Within a tokio runtime.
    ///
    /// # Errors
    /// When the operator must act first.
    pub fn start(loaded: &Loaded, clock: Arc<dyn Clock>) -> Result<Self, PartsError> {
        let config = &loaded.config;
        let (counters, auditor, audit_queue) = counted_and_noted();
        // What can be wrong without the disk comes first: a store that was opened is to be closed.
        let publisher = publisher(config)?;
        let dns = counted_dns(config, &counters)?;
        let policy_host = policy_host(config, &dns, &clock)?;
        let (transport, report_sessions) = noted_transport(config, &dns, &clock)?;
        let roots = Arc::new(trust::roots(&config.policy.extra_roots)?);
        let report_host = report_host(config, &dns, &clock, &roots)?;
        let alert_ways = alert_ways(config, &dns, &clock, &roots)?;
        let prober: Arc<dyn Prober> = Arc::new(prober(config, &dns)?);
        let scout = Arc::new(scout(config, &dns, &prober, &roots, &clock, &counters));
        let (validation, dane) = dane(config, &clock, &counters)?;

        let store = open_or_put_aside(&config.store, clock.now())?;
        let (journal, recorder) = recorder(config, &store, &counters, &clock)?;
        let keeper = Arc::new(Keeper::new(KeeperParts {
            dns: Arc::clone(&dns),
            policy_host: Arc::clone(&policy_host),
            store: Arc::clone(&store.store),
            clock: Arc::clone(&clock),
            journal: journal.clone(),
            counters: Arc::clone(&counters),
            auditor: auditor.clone(),
            config: config.policy.clone(),
        }));
        let engine = engine(loaded, &keeper, &journal, &clock, &counters);
        let engine = engine.with_looks(looks(config, &scout));
        let engine = engine.with_roots(Arc::clone(&roots));
        let engine = engine.with_report_sessions(report_sessions);
        let engine = Arc::new(engine.with_dane(Arc::clone(&dane) as _));
        let reports = stored_reports(&store, publisher, config);
        let courier = Courier::new(
            courier::Parts {
                store: Arc::clone(&store.store),
                clock: Arc::clone(&clock),
                transport,
                report_host,
                rua: Arc::clone(&keeper) as _,
                reports: Arc::clone(&reports) as _,
                counters: Arc::clone(&counters),
            },
            courier_settings(config, &reports),
        );
        let alerts = alerts(config, alert_ways, &store, &reports, &clock);
        let quota = quota(config, &courier, &clock, &counters, &auditor);
        Ok(Self {
            alerts,
            quota,
            store,
            auditor,
            audit_queue: Some(audit_queue),
            journal,
            recorder: Some(recorder),
            keeper,
            engine,
            scout,
            courier,
            reports,
            dns,
            prober,
            roots,
            validation,
            dane,
            policy_host,
            counters,
            clock,
        })
    }
}

/// The way of sessions to the store, and what writes them there.
fn recorder(
    config: &Config,
    store: &Opened,
    counters: &Arc<Counters>,
    clock: &Arc<dyn Clock>,
) -> Result<(Journal, Recorder), PartsError> {
    let (journal, reader) = Journal::new(config.store.queue_sessions_max, Arc::clone(counters));
    let recorder = Recorder::start(
        Arc::clone(&store.store),
        reader,
        &config.store,
        Arc::clone(counters),
        Arc::clone(clock),
    )?;
    Ok((journal, recorder))
}

/// Who looks at mail hosts, and what is made of an attempt at delivery that no MTA tells of.
fn looks(config: &Config, scout: &Arc<Scout>) -> Looks {
    let silence = if config.postfix_log.path.as_os_str().is_empty() {
        Silence::Inferred
    } else {
        Silence::ToldByLog
    };
    Looks::new(Arc::clone(scout) as _, &config.probe, silence)
}

/// What an operator sees of the parts: counters, and decisions on their way to the log.
fn counted_and_noted() -> (Arc<Counters>, Auditor, AuditQueue) {
    let counters = Arc::new(Counters::default());
    let (auditor, queue) = Auditor::with_queue(&counters);
    (counters, auditor, queue)
}

/// What makes reports of what the store holds.
fn stored_reports(store: &Opened, publisher: Publisher, config: &Config) -> Arc<StoredReports> {
    let store = Arc::clone(&store.store);
    Arc::new(StoredReports::new(store, publisher, &config.store))
}

/// What answers MTAs, by policies alone.
fn engine(
    loaded: &Loaded,
    keeper: &Arc<Keeper>,
    journal: &Journal,
    clock: &Arc<dyn Clock>,
    counters: &Arc<Counters>,
) -> Engine {
    Engine::new(
        Arc::clone(keeper) as _,
        journal.clone(),
        Arc::clone(clock),
        Arc::clone(counters),
        engine_settings(loaded),
    )
}

/// What of the configuration the engine goes by.
#[must_use]
pub fn engine_settings(loaded: &Loaded) -> EngineSettings {
    EngineSettings {
        overrides: loaded.overrides.iter().cloned().collect(),
        when_unknown: loaded.config.policy.when_unknown,
        dane: DaneSettings::from(&loaded.config.dane),
    }
}

/// Who signs and sends the reports; nobody where reporting is off and nothing is said of it.
///
/// # Errors
/// When we cannot say who we are, or a key cannot be used.
pub fn publisher(config: &Config) -> Result<Publisher, PartsError> {
    let sender = &config.sender;
    let unnamed = sender.organization.is_empty() && sender.contact.is_empty();
    let submitter = if unnamed && !config.report.enabled {
        None
    } else {
        let host_name = host_name(config);
        Some(Submitter::new(
            &sender.organization,
            &sender.contact,
            &sender.envelope_from,
            &host_name,
        )?)
    };
    let keys = config.dkim.iter().map(|dkim| {
        let path = dkim.key.clone();
        let pem = fs::read_to_string(&path).map_err(|error| PartsError::KeyFile {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        DkimKey::from_pem(&dkim.selector, &pem).map_err(|error| PartsError::Key { path, error })
    });
    Ok(Publisher {
        submitter,
        keys: keys.collect::<Result<_, _>>()?,
        config: config.report.clone(),
    })
}

/// What this host calls itself.
pub(super) fn host_name(config: &Config) -> String {
    if !config.sender.host_name.is_empty() {
        return config.sender.host_name.clone();
    }
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// Whether mail hosts at addresses that are not public are spoken to.
const fn private_addresses(config: &Config) -> PrivateAddresses {
    PrivateAddresses::allowed_by(config.policy.allow_private_addresses)
}

/// How this configuration has mail hosts looked at.
#[must_use]
fn prober_settings(config: &Config) -> ProberSettings {
    ProberSettings {
        port: config.probe.smtp_port,
        host_name: host_name(config),
        timeout_seconds: config.probe.timeout_seconds,
        private_addresses: private_addresses(config),
    }
}

/// What looks at mail hosts as `[probe]` says.
///
/// # Errors
/// When the TLS library refuses its settings.
pub fn prober(config: &Config, dns: &Arc<dyn Dns>) -> Result<SmtpProber, TrustError> {
    SmtpProber::new(Arc::clone(dns), prober_settings(config))
}

fn scout(
    config: &Config,
    dns: &Arc<dyn Dns>,
    prober: &Arc<dyn Prober>,
    roots: &Arc<RootCertStore>,
    clock: &Arc<dyn Clock>,
    counters: &Arc<Counters>,
) -> Scout {
    Scout::new(ScoutParts {
        dns: Arc::clone(dns),
        prober: Arc::clone(prober),
        roots: Arc::clone(roots),
        clock: Arc::clone(clock),
        counters: Arc::clone(counters),
        config: config.probe.clone(),
    })
}

fn policy_host(
    config: &Config,
    dns: &Arc<dyn Dns>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn PolicyHost>, TrustError> {
    let (dns, clock) = (Arc::clone(dns), Arc::clone(clock));
    Ok(Arc::new(HttpsPolicyHost::new(dns, clock, &config.policy)?))
}

fn report_host(
    config: &Config,
    dns: &Arc<dyn Dns>,
    clock: &Arc<dyn Clock>,
    roots: &Arc<RootCertStore>,
) -> Result<Arc<dyn ReportHost>, TrustError> {
    let (dns, clock, roots) = (Arc::clone(dns), Arc::clone(clock), Arc::clone(roots));
    let made = HttpsReportHost::new(dns, clock, roots, &config.deliver)?;
    Ok(Arc::new(made))
}

/// The DNS, counted.
fn counted_dns(config: &Config, counters: &Arc<Counters>) -> Result<Arc<dyn Dns>, ResolverError> {
    let dns = Arc::new(HickoryDns::new(&config.dns)?);
    Ok(Arc::new(CountedDns::new(dns, Arc::clone(counters))))
}

/// The ways of alerts to the operator.
struct AlertWays {
    transport: Arc<dyn Transport>,
    webhook: Option<Webhook>,
}

fn alert_ways(
    config: &Config,
    dns: &Arc<dyn Dns>,
    clock: &Arc<dyn Clock>,
    roots: &Arc<RootCertStore>,
) -> Result<AlertWays, PartsError> {
    // What is no URL was found when the configuration was read.
    let url = WebhookUrl::read(&config.alert.webhook_url).ok();
    let webhook = |url| {
        let (dns, clock, roots) = (Arc::clone(dns), Arc::clone(clock), Arc::clone(roots));
        Webhook::new(url, dns, clock, roots)
    };
    Ok(AlertWays {
        // A mail to the operator is no report: its session is counted as any other.
        transport: transport(config, dns)?,
        webhook: url.map(webhook).transpose()?,
    })
}

fn alerts(
    config: &Config,
    ways: AlertWays,
    store: &Opened,
    reports: &Arc<StoredReports>,
    clock: &Arc<dyn Clock>,
) -> Arc<Alerts> {
    Arc::new(Alerts::new(AlertParts {
        store: Arc::clone(&store.store),
        reports: Arc::clone(reports),
        transport: ways.transport,
        webhook: ways.webhook,
        clock: Arc::clone(clock),
        config: config.alert.clone(),
        notebook: Notebook::within(&config.store.path),
    }))
}

/// What keeps the store within its quota.
fn quota(
    config: &Config,
    courier: &Arc<Courier>,
    clock: &Arc<dyn Clock>,
    counters: &Arc<Counters>,
    auditor: &Auditor,
) -> Arc<QuotaKeeper> {
    let parts = QuotaParts {
        courier: Arc::clone(courier),
        clock: Arc::clone(clock),
        counters: Arc::clone(counters),
        auditor: auditor.clone(),
    };
    Arc::new(QuotaKeeper::new(parts, &config.store))
}

/// Who validates DNSSEC, and what DANE says of mail hosts by it.
///
/// # Errors
/// When nobody could ever validate, and the operator must act.
pub fn dane(
    config: &Config,
    clock: &Arc<dyn Clock>,
    counters: &Arc<Counters>,
) -> Result<(Arc<Validation>, Arc<DaneResolver>), ValidationError> {
    let validation = Validation::new(&config.dns, &config.dane, Arc::clone(clock))?;
    let validation = Arc::new(validation);
    let now = Arc::clone(&validation);
    let resolver = DaneResolver::new(DaneParts {
        validation: Arc::new(move || now.dns()),
        clock: Arc::clone(clock),
        counters: Arc::clone(counters),
        config: config.dane.clone(),
        port: config.probe.smtp_port,
    });
    Ok((validation, Arc::new(resolver)))
}

fn transport(config: &Config, dns: &Arc<dyn Dns>) -> Result<Arc<dyn Transport>, BadRelay> {
    let deliver = &config.deliver;
    let host_name = host_name(config);
    Ok(match deliver.via {
        Via::Relay => Arc::new(RelayTransport::new(
            &deliver.relay,
            &host_name,
            deliver.timeout_seconds,
        )?),
        Via::Sendmail => Arc::new(SendmailTransport::new(
            &deliver.sendmail,
            deliver.timeout_seconds,
        )),
        Via::Mx => Arc::new(MxTransport::new(
            Arc::clone(dns),
            deliver.smtp_port,
            private_addresses(config),
            &host_name,
            deliver.timeout_seconds,
        )),
    })
}

/// The same way, and what notes the reports that go by it where an MTA takes them on: sessions of its own follow.
fn noted_transport(
    config: &Config,
    dns: &Arc<dyn Dns>,
    clock: &Arc<dyn Clock>,
) -> Result<(Arc<dyn Transport>, Arc<ReportSessions>), BadRelay> {
    let report_sessions = ReportSessions::within(config.deliver.report_session_seconds);
    let report_sessions = Arc::new(report_sessions);
    let mut transport = transport(config, dns)?;
    if config.deliver.via != Via::Mx {
        transport = Arc::new(NotingTransport {
            to_mta: transport,
            report_sessions: Arc::clone(&report_sessions),
            clock: Arc::clone(clock),
        });
    }
    Ok((transport, report_sessions))
}

fn courier_settings(config: &Config, reports: &StoredReports) -> courier::Settings {
    let deliver = &config.deliver;
    let reporting = match reports.submitter() {
        Some(_) if config.report.enabled => Reporting::On,
        _ => Reporting::Off,
    };
    let never: BTreeSet<_> = config
        .report
        .never
        .iter()
        .filter_map(|name| name.parse().ok())
        .collect();
    courier::Settings {
        reporting,
        never,
        envelope_from: reports.submitter().map_or_else(String::new, |submitter| {
            submitter.envelope_from().to_owned()
        }),
        next_hop: match deliver.via {
            Via::Relay | Via::Sendmail => NextHop::Relay,
            Via::Mx => NextHop::Destination,
        },
        schedule: Schedule {
            settle_seconds: deliver.settle_seconds,
            spread_seconds: deliver.spread_seconds,
            host_name: host_name(config),
        },
        retry: Retry {
            retry_seconds: deliver.retry_seconds,
            give_up_seconds: deliver.give_up_seconds,
        },
        rules: Rules::from(config),
        concurrent_max: deliver.concurrent_max,
        host_limits: HostLimits {
            at_once_max: deliver.per_host_max,
            per_minute_max: deliver.per_host_per_minute,
        },
        keeping: Keeping::of(&config.store),
    }
}
