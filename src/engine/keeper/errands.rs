//! What an errand does: the TXT record, then the document, then the store.

use std::{sync::Arc, time::Duration};

use sealpost_plugin_api::ResultType;
use tokio::sync::Semaphore;
use tracing::{debug, error, info, warn};

use super::{
    KeeperParts, Unknown,
    flights::{Errand, Outcome},
    memory::{Memory, Remembered},
};
use crate::{
    clock::Timestamp,
    engine::Ready,
    net::dns::DnsError,
    observe::audit::{AuditEntry, AuditKind},
    observe::{stopwatch::Stopwatch, words::Fetched},
    policy::{
        Announcement, FetchTrouble, Intervals, KeptPolicy, Known, Mode, Occasion, PolicyDomain,
        Standing, StsDiscovery, StsPolicy, StsStanding,
    },
    record::{Failure, SessionRecord, Source, Verdict},
    store::{Store, StoreError},
};

/// How long a recheck stands against another.
const RECHECK_SECONDS: i64 = 60;

/// What errands work with.
pub(super) struct Desk {
    pub(super) parts: KeeperParts,
    pub(super) memory: Memory,
    /// One permit for each fetch that may run at once.
    pub(super) fetches: Semaphore,
    pub(super) intervals: Intervals,
}

impl Desk {
    pub(super) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    pub(super) async fn run(&self, domain: &PolicyDomain, errand: Errand) -> Outcome {
        match errand {
            Errand::Ask => self.ask(domain).await,
            Errand::Recheck => self.recheck(domain).await,
            Errand::Refresh => self.look_up(domain, Occasion::Refresh, None).await,
            Errand::Order => self.look_up(domain, Occasion::Operator, None).await,
            Errand::DropExpired => self.drop_expired(domain).await,
            Errand::Purge => self.purge(domain).await,
        }
    }

    /// What there is without waiting for the world.
    pub(super) fn known(&self, domain: &PolicyDomain) -> Option<Standing> {
        let now = self.now();
        if let Some(remembered) = self.memory.recall(domain.as_str()) {
            match remembered.standing_at(now) {
                Some(standing) => return Some(standing),
                None if remembered.store_was_read => return None,
                None => {}
            }
        }
        match self.parts.store.kept_policy(domain) {
            Ok(kept) => kept.filter(|kept| kept.holds_at(now)).map(|kept| {
                let kept = Arc::new(kept);
                let sts = StsStanding::InForce {
                    kept,
                    trouble: None,
                };
                Standing::new(domain.clone(), sts)
            }),
            Err(error) => {
                error!(%domain, %error, "kept policy cannot be read");
                None
            }
        }
    }

    /// Works on the store where it may block on the disk.
    pub(super) async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Unknown> {
        let store = Arc::clone(&self.parts.store);
        match tokio::task::spawn_blocking(move || work(&*store)).await {
            Ok(result) => result.map_err(Unknown::Store),
            Err(_) => Err(Unknown::Stopped),
        }
    }

    async fn ask(&self, domain: &PolicyDomain) -> Outcome {
        let remembered = self.memory.recall(domain.as_str());
        let rechecked_at = match &remembered {
            // Another errand may have ended between the question and this one.
            Some(remembered) if remembered.is_fresh(self.now()) => {
                return Ok(remembered.standing().clone());
            }
            Some(remembered) => remembered.rechecked_at,
            None => None,
        };
        self.look_up(domain, Occasion::Delivery, rechecked_at).await
    }

    async fn recheck(&self, domain: &PolicyDomain) -> Outcome {
        let now = self.now();
        let last = self.memory.recall(domain.as_str()).and_then(|remembered| {
            // Set back since, the clock says nothing of how long ago that was.
            let elapsed = now.seconds_since(remembered.rechecked_at?);
            (0..RECHECK_SECONDS)
                .contains(&elapsed)
                .then_some(remembered)
        });
        match last {
            Some(remembered) if remembered.is_fresh(now) => Ok(remembered.standing().clone()),
            _ => self.look_up(domain, Occasion::Delivery, Some(now)).await,
        }
    }

    async fn look_up(
        &self,
        domain: &PolicyDomain,
        occasion: Occasion,
        rechecked_at: Option<Timestamp>,
    ) -> Outcome {
        let (kept, trouble, unread) = self.held(domain).await;
        // RFC 8461 s3.3: the record first, so that its id is never newer than the document (B33).
        let (announcement, time_to_live) = self.announcement(domain).await;
        let looked_up_at = self.now();
        let mut known = Known {
            announcement,
            kept,
            trouble,
        };
        let due = known.fetch_due(occasion, looked_up_at, self.intervals);
        let mut unwritten = self
            .memory
            .recall(domain.as_str())
            .is_some_and(|remembered| remembered.unwritten);
        if let Some(id) = due.map(ToOwned::to_owned) {
            unwritten = self
                .fetch(domain, &mut known, id)
                .await
                .unwrap_or(unwritten);
        } else if let Some(kept) = known.in_force(looked_up_at)
            && unwritten
        {
            unwritten = !self.keep(domain, kept).await;
        }
        let now = self.now();
        let sts = known.standing(now);
        let store_was_read = unread.is_none();
        let unsettled = unread.filter(|_| !settles(&known.announcement, &sts));
        let stale_from = if unsettled.is_some() {
            // No answer, but a failed fetch is left alone all the same.
            looked_up_at
        } else {
            known.relied_on_until(time_to_live, now, self.intervals)
        };
        let standing = Standing::new(domain.clone(), sts);
        let remembered = Remembered {
            known,
            ready: Arc::new(Ready::new(standing.clone())),
            looked_up_at,
            stale_from,
            store_was_read,
            unwritten,
            rechecked_at,
        };
        self.memory.remember(domain, Arc::new(remembered));
        unsettled.map_or(Ok(standing), Err)
    }

    /// The policy and trouble held from before, and why the store could not say.
    async fn held(
        &self,
        domain: &PolicyDomain,
    ) -> (
        Option<Arc<KeptPolicy>>,
        Option<FetchTrouble>,
        Option<Unknown>,
    ) {
        let remembered = self.memory.recall(domain.as_str());
        let trouble = remembered
            .as_ref()
            .and_then(|remembered| remembered.known.trouble.clone());
        if let Some(remembered) = &remembered
            && (remembered.store_was_read || remembered.known.kept.is_some())
        {
            return (remembered.known.kept.clone(), trouble, None);
        }
        let asked = domain.clone();
        match self
            .with_store(move |store| store.kept_policy(&asked))
            .await
        {
            Ok(kept) => (kept.map(Arc::new), trouble, None),
            Err(error) => {
                error!(%domain, %error, "kept policy cannot be read; going on with what the DNS says");
                (None, trouble, Some(error))
            }
        }
    }

    async fn announcement(&self, domain: &PolicyDomain) -> (Announcement, Duration) {
        // RFC 8461 s3.1 and s3.4: at the policy domain itself, never at a parent.
        let answer = match self.parts.dns.txt(&format!("_mta-sts.{domain}")).await {
            Ok(answer) => answer,
            // So long a domain cannot have the record.
            Err(DnsError::BadName { .. }) => return (Announcement::Nothing, Duration::MAX),
            Err(error) => {
                // OURS: nothing discovered (B38); a kept policy holds.
                warn!(%domain, %error, "_mta-sts lookup failed");
                return (Announcement::Unknown, Duration::ZERO);
            }
        };
        let announcement = match StsDiscovery::read(&answer.values) {
            StsDiscovery::Found(record) => Announcement::Id(record.id),
            StsDiscovery::Absent => Announcement::Nothing,
            StsDiscovery::Invalid(error) => {
                warn!(%domain, %error, "_mta-sts record is not valid: no policy announced");
                Announcement::Nothing
            }
        };
        (announcement, answer.time_to_live)
    }

    /// Fetches the document, and puts what comes of it into `known` and the store. Gives whether the
    /// store still lacks it, if there was something to write.
    async fn fetch(&self, domain: &PolicyDomain, known: &mut Known, id: String) -> Option<bool> {
        let watch = Stopwatch::start();
        let document = self.document(domain, &id).await;
        let fetched = match &document {
            Ok(_) => Fetched::Policy,
            Err(trouble) => trouble.result.into(),
        };
        let times = &self.parts.counters.measured.fetch_times;
        times.took(fetched, watch.elapsed());
        match document {
            Ok(policy) => {
                self.parts.counters.policy_fetches.count();
                let now = self.now();
                info!(
                    %domain, id, mode = policy.mode.name(),
                    max_age_seconds = policy.max_age_seconds, "policy fetched"
                );
                let kept = Arc::new(KeptPolicy {
                    policy,
                    id,
                    fetched_at: now,
                    tried_at: now,
                });
                let written = self.keep(domain, &kept).await;
                self.note_change(domain, known.kept.as_deref(), &kept);
                known.kept = Some(kept);
                known.trouble = None;
                Some(!written)
            }
            Err(trouble) => {
                self.parts.counters.policy_fetches_failed.count();
                let unwritten = self.note_failure(domain, known, &trouble).await;
                known.trouble = Some(trouble);
                unwritten
            }
        }
    }

    /// Notes that a policy is another than the one before, in what changes mail.
    fn note_change(&self, domain: &PolicyDomain, before: Option<&KeptPolicy>, kept: &KeptPolicy) {
        let before = before.filter(|before| before.holds_at(kept.fetched_at));
        let is_same = before.is_some_and(|before| {
            (before.policy.mode, &before.policy.mx) == (kept.policy.mode, &kept.policy.mx)
        });
        if is_same {
            return;
        }
        let before = before.map_or_else(|| "none".to_owned(), |before| in_words(&before.policy));
        let words = format!("{}; before: {before}", in_words(&kept.policy));
        let entry = AuditEntry::new(kept.fetched_at, AuditKind::PolicyChanged, words);
        self.parts.auditor.note(entry.about(domain));
    }

    async fn document(&self, domain: &PolicyDomain, id: &str) -> Result<StsPolicy, FetchTrouble> {
        let trouble = |result: ResultType, reason: String, words: &dyn std::fmt::Display| {
            debug!(%domain, id, %result, reason, error = %words, "policy not to be had");
            FetchTrouble {
                result,
                reason,
                id: id.to_owned(),
                at: self.now(),
            }
        };
        // Closed only when the keeper is gone, and then nobody waits for this.
        let _permit = self.fetches.acquire().await;
        let document = self.parts.policy_host.fetch(domain).await;
        let document =
            document.map_err(|error| trouble(error.result(), error.reason_code(), &error))?;
        StsPolicy::parse(&document).map_err(|error| {
            let reason = error.reason_code().to_owned();
            trouble(ResultType::StsPolicyInvalid, reason, &error)
        })
    }

    /// Says that a fetch failed: to the operator, and where a kept policy holds also to the
    /// recipient domain's report. Gives what [`fetch`](Self::fetch) does.
    async fn note_failure(
        &self,
        domain: &PolicyDomain,
        known: &mut Known,
        trouble: &FetchTrouble,
    ) -> Option<bool> {
        let FetchTrouble {
            result, reason, id, ..
        } = trouble;
        let Some(kept) = known.in_force(trouble.at).cloned() else {
            warn!(%domain, id, %result, reason, "policy cannot be fetched, and none is kept");
            return None;
        };
        let tried = Arc::new(KeptPolicy {
            tried_at: trouble.at,
            ..(*kept).clone()
        });
        let unwritten = Some(!self.keep(domain, &tried).await);
        known.kept = Some(tried);
        // RFC 8461 s3.3 and s6: of a policy that asks for nothing nobody need hear.
        if kept.policy.mode == Mode::None {
            debug!(%domain, id, %result, reason, "policy of mode none cannot be refreshed");
            return unwritten;
        }
        // RFC 8461 s10.2: the operator hears of it at each try until the policy expires.
        warn!(
            %domain, id, %result, reason, mode = kept.policy.mode.name(),
            expires_at = %kept.expires_at(), "policy cannot be refreshed; the kept one holds"
        );
        self.parts.journal.push(SessionRecord {
            at: trouble.at,
            domain: domain.clone(),
            policy: Arc::new(kept.policy.applied(domain)),
            source: Source::Policy,
            verdict: Verdict::Note(Failure::of_policy(*result, reason.clone())),
            protection: None,
            sessions: 1,
        });
        unwritten
    }

    /// Writes a policy to the store, or takes the old one out where the new one is for one use.
    /// Gives whether that was done; if not, the next lookup of the domain tries again.
    async fn keep(&self, domain: &PolicyDomain, kept: &Arc<KeptPolicy>) -> bool {
        let (about, policy) = (domain.clone(), Arc::clone(kept));
        let written = self.with_store(move |store| {
            if policy.is_worth_keeping() {
                store.keep_policy(&about, &policy)
            } else {
                store.purge_policy(&about)
            }
        });
        if let Err(error) = written.await {
            error!(%domain, %error, "policy cannot be written; it is kept in memory only");
            return false;
        }
        true
    }

    async fn drop_expired(&self, domain: &PolicyDomain) -> Outcome {
        let (asked, now) = (domain.clone(), self.now());
        let dropped = self.with_store(move |store| {
            let expired = store.kept_policy(&asked)?;
            if expired.is_none_or(|kept| kept.holds_at(now)) {
                return Ok(false);
            }
            store.purge_policy(&asked).map(|()| true)
        });
        if dropped.await? {
            info!(%domain, "policy expired unused and dropped");
            let words = "no newer one was to be had";
            let entry = AuditEntry::new(now, AuditKind::PolicyExpired, words);
            self.parts.auditor.note(entry.about(domain));
            // A newer one that could not be written may be in memory only.
            let newer = self.memory.recall(domain.as_str());
            if newer.is_none_or(|newer| newer.known.in_force(now).is_none()) {
                self.memory.forget(domain);
            }
        }
        Ok(nothing_known(domain))
    }

    async fn purge(&self, domain: &PolicyDomain) -> Outcome {
        self.memory.forget(domain);
        let about = domain.clone();
        self.with_store(move |store| store.purge_policy(&about))
            .await?;
        Ok(nothing_known(domain))
    }
}

/// What of a policy changes mail.
fn in_words(policy: &StsPolicy) -> String {
    let patterns: Vec<String> = policy.mx.iter().map(ToString::to_string).collect();
    match patterns.as_slice() {
        [] => policy.mode.name().to_owned(),
        patterns => format!("{}, {}", policy.mode.name(), patterns.join(" ")),
    }
}

/// Whether a standing is sure although the store could not be read.
///
/// A policy fetched just now is. That nothing is announced is an answer too: mail of the many
/// domains without MTA-STS does not wait for a broken disk. A failed lookup or fetch is none: the
/// unread store may hold a policy that is to be enforced.
fn settles(announcement: &Announcement, sts: &StsStanding) -> bool {
    matches!(
        (announcement, sts),
        (_, StsStanding::InForce { .. }) | (Announcement::Nothing, _)
    )
}

/// What an errand that takes a policy away gives back.
fn nothing_known(domain: &PolicyDomain) -> Standing {
    Standing::without_policy(domain.clone())
}
