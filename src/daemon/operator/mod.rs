//! What the operator's commands ask of the running daemon.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use rustls::RootCertStore;

use super::{alerts::Alerts, parts::Parts, quota::QuotaKeeper, reports::StoredReports};
use crate::{
    alert::Rule,
    clock::{BoxFuture, Clock, Timestamp, UtcDay},
    config::Loaded,
    ctl::{
        check::{self, Look, Means, check, validation},
        control::{
            AuditQuestion, Control, Depth, EvidenceQuestion, OverrideOrder, OverridesAsked,
            Replied, SecurityQuestion, SessionsQuestion,
        },
        protocol::{Refusal, RefusalKind},
        wire::{
            AlertWay, AlertsTested, AlertsView, Audit, BounceTaken, CheckResult, CounterView,
            DayTotals, Deliveries, DnssecView, Evidence, Metrics, OverrideView, Overrides,
            PageLink, Policies, PolicyView, Purged, RefreshOutcome, Refreshed, ReportView,
            ReportsSent, Security, Sessions, Status, StoreCopied, StoreState, StoreStatus,
            SuppressionView, Suppressions,
        },
    },
    deliver::courier::Courier,
    doors::socketmap_reply::{Resolvers, TellingDane},
    engine::{
        Engine,
        dane::DaneResolver,
        keeper::{Keeper, Unknown},
    },
    net::{
        dns::Dns,
        https::PolicyHost,
        smtp::probe::Prober,
        validation::{Outcome, Validation},
    },
    observe::{
        Counters,
        audit::{AuditKind, Auditor},
    },
    page::SignIn,
    policy::{Destination, FetchTrouble, KeptPolicy, PolicyDomain, StsStanding},
    record::journal::Journal,
    store::{Store, StoreError, open::KeptIn, recorder::Health},
};

mod alerts;
mod audit;
mod copy;
mod evidence;
mod examine;
mod history;
mod metrics;
mod overrides;
mod page;
mod read_file;
mod reports;
mod security;
mod suppression;

use overrides::Commands;
use read_file::ReadFile;
use reports::{delivery_views, undelivered_view};

/// Answers the control socket from the parts of the daemon.
pub struct Operator {
    store: Arc<dyn Store>,
    kept_in: KeptIn,
    put_aside: Option<String>,
    journal: Journal,
    health: Box<dyn Fn() -> Health + Send + Sync>,
    keeper: Arc<Keeper>,
    engine: Arc<Engine>,
    commands: Commands,
    auditor: Auditor,
    courier: Arc<Courier>,
    alerts: Arc<Alerts>,
    quota: Arc<QuotaKeeper>,
    reports: Arc<StoredReports>,
    dns: Arc<dyn Dns>,
    policy_host: Arc<dyn PolicyHost>,
    dane: Arc<DaneResolver>,
    validation: Arc<Validation>,
    prober: Arc<dyn Prober>,
    roots: Arc<RootCertStore>,
    counters: Arc<Counters>,
    clock: Arc<dyn Clock>,
    started_at: Timestamp,
    /// Where the store is: `store.path` at the start.
    store_path: String,
    /// As the socketmap goes by it.
    telling: TellingDane,
    loaded: ArcSwap<Loaded>,
    file: Mutex<ReadFile>,
    raised: Mutex<Vec<String>>,
    signing: Mutex<Vec<String>>,
    /// What lets one sign in to the page; absent where nobody can.
    sign_in: Option<Arc<SignIn>>,
    /// What the metrics have of the store.
    last_read: tokio::sync::Mutex<metrics::LastRead>,
}

impl Operator {
    /// An operator's view of these parts.
    #[must_use]
    pub fn new(parts: &Parts, loaded: Loaded, started_at: Timestamp) -> Self {
        Self {
            store: Arc::clone(&parts.store.store),
            kept_in: parts.store.kept_in,
            put_aside: parts.store.put_aside.as_ref().map(|(path, error)| {
                format!(
                    "the store was damaged and put aside to {}: {error}",
                    path.display()
                )
            }),
            journal: parts.journal.clone(),
            health: parts.recorder.as_ref().map_or_else(
                || Box::new(Health::default) as Box<dyn Fn() -> Health + Send + Sync>,
                |recorder| recorder.watch(),
            ),
            keeper: Arc::clone(&parts.keeper),
            engine: Arc::clone(&parts.engine),
            commands: Commands::default(),
            auditor: parts.auditor.clone(),
            courier: Arc::clone(&parts.courier),
            alerts: Arc::clone(&parts.alerts),
            quota: Arc::clone(&parts.quota),
            reports: Arc::clone(&parts.reports),
            dns: Arc::clone(&parts.dns),
            policy_host: Arc::clone(&parts.policy_host),
            dane: Arc::clone(&parts.dane),
            validation: Arc::clone(&parts.validation),
            prober: Arc::clone(&parts.prober),
            roots: Arc::clone(&parts.roots),
            counters: Arc::clone(&parts.counters),
            clock: Arc::clone(&parts.clock),
            started_at,
            store_path: loaded.config.store.path.display().to_string(),
            telling: TellingDane::new(loaded.config.socketmap.dane_only, Arc::default()),
            file: Mutex::new(ReadFile::of(loaded.path.as_deref())),
            loaded: ArcSwap::from_pointee(loaded),
            raised: Mutex::default(),
            signing: Mutex::default(),
            sign_in: None,
            last_read: tokio::sync::Mutex::default(),
        }
    }

    /// The same where it is known what the resolvers do that Postfix asks, as the socketmap has it.
    #[must_use]
    pub fn with_resolvers(self, resolvers: Arc<Resolvers>) -> Self {
        Self {
            telling: self.telling.by(resolvers),
            ..self
        }
    }

    /// The same where one can sign in to the page.
    #[must_use]
    pub fn with_sign_in(self, sign_in: Arc<SignIn>) -> Self {
        Self {
            sign_in: Some(sign_in),
            ..self
        }
    }

    /// Takes up a configuration that was read again, and has the engine go by it; what has changed in these sections
    /// waits for the next start.
    pub fn reload(&self, loaded: Loaded, waits_for_restart: &[&str]) {
        let mut file = ReadFile::of(loaded.path.as_deref());
        file.waits_for_restart = waits_for_restart.iter().map(ToString::to_string).collect();
        *self.file() = file;
        let loaded = Arc::new(loaded);
        let before = self.loaded.swap(Arc::clone(&loaded));
        self.apply_overrides();
        self.note_reload(&before, &loaded);
    }

    fn file(&self) -> MutexGuard<'_, ReadFile> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows this alarm from now on.
    pub fn alarm(&self, alarm: String) {
        self.raised().push(alarm);
    }

    /// Shows what is wrong with the reports' signatures, in the place of what was.
    pub fn signing_alarms(&self, alarms: Vec<String>) {
        *self.signing.lock().unwrap_or_else(PoisonError::into_inner) = alarms;
    }

    fn raised(&self) -> MutexGuard<'_, Vec<String>> {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn today(&self) -> UtcDay {
        self.clock.now().day()
    }

    /// Runs what reads the disk away from the threads that answer MTAs.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Store, &StoredReports) -> Result<T, StoreError> + Send + 'static,
    ) -> Replied<T> {
        let (store, reports) = (Arc::clone(&self.store), Arc::clone(&self.reports));
        let done = tokio::task::spawn_blocking(move || work(&*store, &reports)).await;
        done.map_err(|error| Refusal::trouble(error.to_string()))?
            .map_err(|error| Refusal::trouble(error.to_string()))
    }

    /// As [`read`](Self::read), after what was told so far is on the disk. A disk that takes nothing
    /// does not keep the operator from seeing what it holds.
    async fn read_newest<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Store, &StoredReports) -> Result<T, StoreError> + Send + 'static,
    ) -> Replied<T> {
        self.sync().await;
        self.read(work).await
    }

    /// Returns when what was told so far is on the disk, or the disk takes nothing.
    async fn sync(&self) {
        if let Err(error) = self.journal.synced().await {
            tracing::warn!(%error, "the newest sessions are not on the disk yet");
        }
    }

    async fn totals(&self, day: UtcDay) -> Replied<DayTotals> {
        let (domains, successes, failures) = self
            .read_newest(move |store, reports| {
                let domains = store.domains(day)?;
                let mut sums = (0, 0);
                for domain in &domains {
                    if let Some(counted) = reports.day(day, domain)? {
                        sums = (sums.0 + counted.successes(), sums.1 + counted.failures());
                    }
                }
                Ok((domains.len() as u64, sums.0, sums.1))
            })
            .await?;
        Ok(DayTotals {
            day: day.to_string(),
            domains,
            successes,
            failures,
        })
    }

    /// How the store is; `unreadable` is why it was not read just now, if it was not.
    fn store_status(&self, unreadable: Option<String>) -> StoreStatus {
        let health = (self.health)();
        let state = match (self.kept_in, &health.failing_since) {
            (KeptIn::Memory, _) => StoreState::PutAside,
            (_, Some(_)) => StoreState::Waiting,
            // Nothing was to be written yet.
            (KeptIn::DiskLater, None) if unreadable.is_some() => StoreState::Waiting,
            (KeptIn::Disk | KeptIn::DiskLater, None) => StoreState::Recording,
        };
        StoreStatus {
            path: self.store_path.clone(),
            state,
            reason: health
                .last_error
                .map(|error| error.to_string())
                .or(unreadable)
                .or(self.put_aside.clone()),
            waiting_rows: health.waiting_rows as u64,
            quota: self.quota.view(),
        }
    }

    fn alarms(&self, store: &StoreStatus, unreadable: Option<&str>) -> Vec<String> {
        let mut alarms = self.raised().clone();
        alarms.extend_from_slice(&self.signing.lock().unwrap_or_else(PoisonError::into_inner));
        alarms.extend(self.loaded.load().way_out_trouble());
        let why = || match &store.reason {
            Some(reason) => reason.as_str(),
            None => "see the log of the daemon's start",
        };
        match store.state {
            StoreState::Recording => alarms.extend(self.put_aside.clone()),
            StoreState::Waiting => {
                alarms.push(format!("nothing is written to the disk: {}", why()));
            }
            StoreState::PutAside => {
                alarms.push(format!("sessions are kept in memory only: {}", why()));
            }
        }
        if let Some(reason) = unreadable
            && store.state != StoreState::Waiting
        {
            alarms.push(format!("what was counted cannot be read: {reason}"));
        }
        if !self.knows_overrides() {
            let why =
                "the overrides that were set by command do not hold: the store cannot be read";
            alarms.push(why.to_owned());
        }
        for (count, what) in [
            (self.counters.sessions_dropped.value(), "the queue was full"),
            (
                self.counters.sessions_dropped_disk.value(),
                "the disk took nothing for too long",
            ),
            (
                self.counters.datagrams_dropped.value(),
                "more datagrams came than tlsrpt_socket.waiting_mib_max lets wait",
            ),
        ] {
            if count > 0 {
                alarms.push(format!("{count} sessions were not counted: {what}"));
            }
        }
        let lost = self.counters.audit_dropped.value();
        if lost > 0 {
            alarms.push(format!(
                "{lost} decisions are in no audit log: more were noted than the disk took"
            ));
        }
        alarms.extend(self.quota.alarm());
        let left_out = self.counters.reports_left_out_host_full.value();
        if left_out > 0 {
            alarms.push(format!(
                "{left_out} reports were left out: more go to one host than deliver.per_host_per_day_max allows \
                 (`sealpost report list` names them)"
            ));
        }
        alarms
    }

    async fn status(&self) -> Replied<Status> {
        // A store that cannot be read is just what this is asked for.
        let today = self.totals(self.today()).await;
        let kept = self.read(|store, _| store.kept_policies()).await;
        let suppressed = self.courier.suppressed_destinations().await;
        let unreadable = today.as_ref().err().or(kept.as_ref().err());
        let unreadable = unreadable.map(|refusal| refusal.message.clone());
        Ok(Status {
            today: today.ok(),
            policies_kept: kept.ok().map(|kept| kept.len() as u64),
            suppressed: suppressed.ok().map(|suppressed| suppressed.len() as u64),
            ..self.status_without_totals(unreadable.as_deref())
        })
    }

    /// How the daemon is, without what costs a pass over the store; `unreadable` is why it was not read just
    /// now, if it was not.
    fn status_without_totals(&self, unreadable: Option<&str>) -> Status {
        let now = self.clock.now();
        let loaded = self.loaded.load_full();
        let store = self.store_status(unreadable.map(str::to_owned));
        let counters = self.counters.list().into_iter();
        let (config_changed, config_waits_for_restart) = {
            let file = self.file();
            (file.has_changed(), file.waits_for_restart.clone())
        };
        Status {
            program: concat!("sealpost ", env!("CARGO_PKG_VERSION")).to_owned(),
            pid: std::process::id(),
            started_at: self.started_at.to_string(),
            now: now.to_string(),
            config: loaded.path.as_ref().map(|path| path.display().to_string()),
            config_changed,
            config_waits_for_restart,
            dnssec: Some(dnssec_view(&self.validation)),
            alarms: self.alarms(&store, unreadable),
            today: None,
            policies_kept: None,
            suppressed: None,
            store,
            overrides: self.override_views(OverridesAsked::HoldingAndOfFile),
            counters: counters
                .map(|(name, value)| CounterView {
                    name: name.to_owned(),
                    value,
                })
                .collect(),
        }
    }

    async fn sessions(&self, question: SessionsQuestion) -> Replied<Sessions> {
        let day = question.day.unwrap_or_else(|| self.today());
        self.read_newest(move |store, reports| {
            let domains = match &question.domain {
                Some(domain) => vec![domain.clone()],
                None => store.domains(day)?,
            };
            let mut counted = Vec::new();
            for domain in &domains {
                counted.extend(reports.day(day, domain)?.iter().map(Into::into));
            }
            let failures = question
                .failures
                .then(|| store.failures(day, question.domain.as_ref()));
            Ok(Sessions {
                day: day.to_string(),
                domains: counted,
                failures: failures
                    .transpose()?
                    .map(|all| all.iter().map(Into::into).collect()),
            })
        })
        .await
    }

    async fn kept(&self, domain: &PolicyDomain) -> Replied<Option<KeptPolicy>> {
        let domain = domain.clone();
        self.read(move |store, _| store.kept_policy(&domain)).await
    }

    /// Why the last fetch failed, as far as the daemon saw it.
    fn trouble(&self, domain: &PolicyDomain) -> Option<FetchTrouble> {
        match self.keeper.known(domain)?.sts {
            StsStanding::InForce { trouble, .. } => trouble,
            StsStanding::Unfetched(trouble) => Some(trouble),
            StsStanding::NotAnnounced => None,
        }
    }

    async fn policy_view(&self, domain: &PolicyDomain) -> Replied<Option<PolicyView>> {
        let kept = self.kept(domain).await?;
        let trouble = self.trouble(domain);
        Ok(kept.map(|kept| PolicyView::of(domain, &kept, trouble.as_ref(), self.clock.now())))
    }

    async fn refresh(&self, domain: PolicyDomain, author: &str) -> Replied<Refreshed> {
        let before = self.kept(&domain).await?;
        let standing = self
            .keeper
            .refresh(&domain)
            .await
            .map_err(|unknown| refused(&unknown))?;
        let (outcome, reason) = match &standing.sts {
            StsStanding::NotAnnounced => (RefreshOutcome::NotAnnounced, None),
            StsStanding::Unfetched(trouble) => (RefreshOutcome::Failed, Some(trouble)),
            StsStanding::InForce {
                trouble: Some(trouble),
                ..
            } => (RefreshOutcome::Failed, Some(trouble)),
            StsStanding::InForce {
                kept,
                trouble: None,
            } => {
                let same = before.is_some_and(|before| before.policy == kept.policy);
                (
                    if same {
                        RefreshOutcome::Confirmed
                    } else {
                        RefreshOutcome::New
                    },
                    None,
                )
            }
        };
        let words = format!("an operator had it looked up: {}", outcome.name());
        let entry = self.entry(AuditKind::PolicyRefreshed, words);
        self.note(entry.about(&domain).by(author)).await;
        Ok(Refreshed {
            outcome,
            reason: reason.map(|trouble| format!("{}: {}", trouble.result, trouble.reason)),
            policy: self.policy_view(&domain).await?,
            domain: domain.to_string(),
        })
    }

    async fn purge(&self, domain: PolicyDomain, author: &str) -> Replied<Purged> {
        let purged = self.kept(&domain).await?.is_some();
        self.keeper
            .purge(&domain)
            .await
            .map_err(|unknown| refused(&unknown))?;
        if purged {
            let entry = self.entry(AuditKind::PolicyPurged, "an operator had it forgotten");
            self.note(entry.about(&domain).by(author)).await;
        }
        Ok(Purged {
            domain: domain.to_string(),
            purged,
        })
    }

    async fn check(&self, domain: PolicyDomain, depth: Depth) -> Replied<CheckResult> {
        let loaded = self.loaded.load_full();
        let look = Look {
            prober: &*self.prober,
            roots: &self.roots,
        };
        self.courier
            .load_suppressions()
            .await
            .map_err(|error| Refusal::trouble(error.to_string()))?;
        let suppressed = |to: &Destination| self.courier.suppressed_now(to);
        let means = Means {
            suppressed: &suppressed,
            dane: &*self.dane,
            validation: validation(&self.validation),
            dane_only: self.telling.now(),
            look: (depth == Depth::MailHosts).then_some(look),
            dns: &*self.dns,
            policy_host: &*self.policy_host,
            config: &loaded.config,
            overrides: &loaded.overrides,
            commanded: self.commanded(&domain),
            now: self.clock.now(),
            kept: self.kept(&domain).await?,
            trouble: self.trouble(&domain),
        };
        let (checked, history) = tokio::join!(check(&domain, &means), self.history(&domain));
        Ok(CheckResult {
            history: Some(history),
            ..checked
        })
    }
}

fn dnssec_view(validation: &Validation) -> DnssecView {
    let (word, reason) = match (check::validation(validation), validation.outcome()) {
        (Ok(by), _) => (by.to_string(), None),
        (Err(_), Some(Outcome::Off)) => ("off".to_owned(), None),
        (Err(why), Some(Outcome::Nobody(_))) => ("nobody".to_owned(), Some(why)),
        (Err(why), _) => ("not-yet".to_owned(), Some(why)),
    };
    DnssecView {
        validation: word,
        reason,
        doubt: validation.doubt(),
    }
}

fn refused(unknown: &Unknown) -> Refusal {
    let kind = match unknown {
        Unknown::Busy => RefusalKind::Busy,
        _ => RefusalKind::Trouble,
    };
    Refusal::new(kind, unknown.to_string())
}

impl Control for Operator {
    fn status(&self) -> BoxFuture<'_, Replied<Status>> {
        Box::pin(self.status())
    }

    fn security(&self, question: SecurityQuestion) -> BoxFuture<'_, Replied<Security>> {
        Box::pin(self.security(question))
    }

    fn evidence(&self, question: EvidenceQuestion) -> BoxFuture<'_, Replied<Evidence>> {
        Box::pin(self.evidence(question))
    }

    fn sessions(&self, question: SessionsQuestion) -> BoxFuture<'_, Replied<Sessions>> {
        Box::pin(self.sessions(question))
    }

    fn policies(&self) -> BoxFuture<'_, Replied<Policies>> {
        Box::pin(async {
            let now = self.clock.now();
            let listed = self
                .keeper
                .list()
                .await
                .map_err(|unknown| refused(&unknown))?;
            let view = |one: &crate::engine::keeper::Listed| {
                PolicyView::of(&one.domain, &one.kept, one.trouble.as_ref(), now)
            };
            Ok(Policies {
                policies: listed.iter().map(view).collect(),
            })
        })
    }

    fn policy(&self, domain: PolicyDomain) -> BoxFuture<'_, Replied<PolicyView>> {
        Box::pin(async move {
            let view = self.policy_view(&domain).await?;
            view.ok_or_else(|| Refusal::not_found(format!("no policy of {domain} is kept")))
        })
    }

    fn refresh(&self, domain: PolicyDomain, author: String) -> BoxFuture<'_, Replied<Refreshed>> {
        Box::pin(async move { self.refresh(domain, &author).await })
    }

    fn purge(&self, domain: PolicyDomain, author: String) -> BoxFuture<'_, Replied<Purged>> {
        Box::pin(async move { self.purge(domain, &author).await })
    }

    fn check(&self, domain: PolicyDomain, depth: Depth) -> BoxFuture<'_, Replied<CheckResult>> {
        Box::pin(self.check(domain, depth))
    }

    fn deliveries(
        &self,
        day: Option<UtcDay>,
        domain: Option<PolicyDomain>,
    ) -> BoxFuture<'_, Replied<Deliveries>> {
        Box::pin(async move {
            let day = day.unwrap_or_else(|| self.today().previous());
            let listed = self.listed(day, domain.as_ref()).await?;
            Ok(Deliveries {
                day: day.to_string(),
                deliveries: listed
                    .iter()
                    .flat_map(|one| delivery_views(day, one))
                    .collect(),
                undelivered: listed
                    .iter()
                    .filter_map(|one| undelivered_view(day, one, self.clock.now()))
                    .collect(),
            })
        })
    }

    fn report_preview(
        &self,
        day: Option<UtcDay>,
        domain: PolicyDomain,
    ) -> BoxFuture<'_, Replied<ReportView>> {
        Box::pin(self.view(day.unwrap_or_else(|| self.today()), domain))
    }

    fn report_show(
        &self,
        day: Option<UtcDay>,
        domain: PolicyDomain,
    ) -> BoxFuture<'_, Replied<ReportView>> {
        Box::pin(self.view(day.unwrap_or_else(|| self.today().previous()), domain))
    }

    fn report_send(
        &self,
        day: Option<UtcDay>,
        domain: Option<PolicyDomain>,
    ) -> BoxFuture<'_, Replied<ReportsSent>> {
        Box::pin(self.send(day.unwrap_or_else(|| self.today().previous()), domain))
    }

    fn audit(&self, question: AuditQuestion) -> BoxFuture<'_, Replied<Audit>> {
        Box::pin(self.audit(question))
    }

    fn overrides(&self, asked: OverridesAsked) -> BoxFuture<'_, Replied<Overrides>> {
        Box::pin(std::future::ready(self.overrides(asked)))
    }

    fn override_of(&self, domain: PolicyDomain) -> BoxFuture<'_, Replied<Overrides>> {
        Box::pin(std::future::ready(self.override_of(&domain)))
    }

    fn set_override(&self, order: OverrideOrder) -> BoxFuture<'_, Replied<OverrideView>> {
        Box::pin(self.set_override(order))
    }

    fn expire_override(
        &self,
        domain: PolicyDomain,
        author: String,
        reason: String,
    ) -> BoxFuture<'_, Replied<OverrideView>> {
        Box::pin(self.expire_override(domain, author, reason))
    }

    fn suppressions(&self) -> BoxFuture<'_, Replied<Suppressions>> {
        Box::pin(self.suppressions())
    }

    fn suppression(&self, destination: Destination) -> BoxFuture<'_, Replied<SuppressionView>> {
        Box::pin(self.suppression(destination))
    }

    fn lift(
        &self,
        destination: Destination,
        author: String,
    ) -> BoxFuture<'_, Replied<SuppressionView>> {
        Box::pin(async move { self.lift(destination, &author).await })
    }

    fn suppress(
        &self,
        destination: Destination,
        until: Option<UtcDay>,
        author: String,
        reason: String,
    ) -> BoxFuture<'_, Replied<SuppressionView>> {
        Box::pin(async move { self.suppress(destination, until, &author, reason).await })
    }

    fn metrics(&self) -> BoxFuture<'_, Replied<Metrics>> {
        Box::pin(async {
            Ok(Metrics {
                text: self.metrics_text().await?,
            })
        })
    }

    fn alerts(&self) -> BoxFuture<'_, Replied<AlertsView>> {
        Box::pin(std::future::ready(Ok(self.alerts_view())))
    }

    fn alert_test(&self, to: AlertWay, rule: Option<Rule>) -> BoxFuture<'_, Replied<AlertsTested>> {
        Box::pin(async move { Ok(self.test_alerts(to, rule).await) })
    }

    fn store_copy(&self, directory: PathBuf) -> BoxFuture<'_, Replied<StoreCopied>> {
        Box::pin(self.copy(directory))
    }

    fn page_link(&self) -> BoxFuture<'_, Replied<PageLink>> {
        Box::pin(std::future::ready(self.link()))
    }

    fn bounce(
        &self,
        report_id: String,
        recipients: Vec<String>,
        words: String,
    ) -> BoxFuture<'_, Replied<BounceTaken>> {
        Box::pin(self.bounce(report_id, recipients, words))
    }
}
