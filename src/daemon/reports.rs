//! From the store to a finished report: reads a domain's day, adds it up, composes.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    aggregate::{self, DomainDay, seen::DAYS_BEFORE_MAX},
    clock::{BoxFuture, Timestamp, UtcDay},
    config::{ReportConfig, StoreConfig},
    deliver::sources::{ComposeError, FinishedReport, ReportSource, RuaSource},
    engine::keeper::Keeper,
    net::dns::DnsError,
    policy::{AppliedPolicy, Fingerprint, PolicyDomain, RuaDiscovery, RuaRecord},
    report::{DkimKey, MailError, Report, Submitter, owed},
    store::{
        Store, StoreError, TallyKey,
        keeping::{LOOK_BACK_DAYS_MAX, Quota, UNDER_WAY_DAYS},
    },
};

mod before;

/// Who the reports are from.
pub struct Publisher {
    /// Who we are; absent where the operator did not say and no reports are sent.
    pub submitter: Option<Submitter>,
    /// What signs the mail.
    pub keys: Vec<DkimKey>,
    /// What is reported.
    pub config: ReportConfig,
}

/// Makes reports of what the store holds.
pub struct StoredReports {
    store: Arc<dyn Store>,
    publisher: Arc<Publisher>,
    days_before_max: u32,
    failures_kept_max: usize,
}

impl StoredReports {
    /// Reports from `publisher` of what `store` holds; `keeps` says for how long.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, publisher: Publisher, keeps: &StoreConfig) -> Self {
        // A day that is forgotten between two attempts must not make other bytes of the second.
        let kept = keeps.keep_days.saturating_sub(UNDER_WAY_DAYS);
        let untouched = Quota::of(keeps).map_or(DAYS_BEFORE_MAX, |_| LOOK_BACK_DAYS_MAX);
        Self {
            store,
            publisher: Arc::new(publisher),
            days_before_max: kept.min(untouched).min(DAYS_BEFORE_MAX),
            failures_kept_max: keeps.failures_per_domain_day_max,
        }
    }

    /// Who the reports are from.
    #[must_use]
    pub fn submitter(&self) -> Option<&Submitter> {
        self.publisher.submitter.as_ref()
    }

    /// What signs the mail.
    #[must_use]
    pub fn keys(&self) -> &[DkimKey] {
        &self.publisher.keys
    }

    /// What was counted of a domain on a day; `None` where nothing was. Blocks on the disk.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn day(&self, day: UtcDay, domain: &PolicyDomain) -> Result<Option<DomainDay>, StoreError> {
        self.counted(day, domain, &[])
    }

    /// The same as it is reported: with what `recipients` had with the domain as their MX host, under its
    /// TLSA records, and since when its sessions fail as they do.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn day_with(
        &self,
        day: UtcDay,
        domain: &PolicyDomain,
        recipients: &[PolicyDomain],
    ) -> Result<Option<DomainDay>, StoreError> {
        let Some(counted) = self.counted(day, domain, recipients)? else {
            return Ok(None);
        };
        let seen = self.seen(&counted, recipients)?;
        Ok(Some(DomainDay { seen, ..counted }))
    }

    fn counted(
        &self,
        day: UtcDay,
        domain: &PolicyDomain,
        recipients: &[PolicyDomain],
    ) -> Result<Option<DomainDay>, StoreError> {
        let mut rows = self.store.tallies(day, domain)?;
        let mut policies = BTreeMap::new();
        self.add_policies(&rows, &mut policies)?;
        for lost in aggregate::unknown_policies(&rows, &policies) {
            tracing::error!(%domain, %day, policy = %lost, "the store has lost a policy; its sessions are reported under none");
        }
        let mut with_sessions = 0;
        // Equal rows of many domains become one, so that what is held does not grow with them.
        let mut of_host: BTreeMap<TallyKey, u64> = BTreeMap::new();
        for recipient in recipients.iter().filter(|recipient| *recipient != domain) {
            let theirs = self.store.tallies(day, recipient)?;
            self.add_policies(&theirs, &mut policies)?;
            let mut had_sessions = false;
            for (key, count) in aggregate::rows_of_host(domain, theirs, &policies) {
                let sum = of_host.entry(key).or_default();
                *sum = sum.saturating_add(count);
                had_sessions = true;
            }
            with_sessions += usize::from(had_sessions);
        }
        rows.extend(of_host);
        let aggregated = aggregate::aggregate(day, domain, rows, &policies);
        Ok(aggregated.map(|aggregated| DomainDay {
            recipients: with_sessions,
            ..aggregated
        }))
    }

    /// Looks up the policies that rows name.
    fn add_policies(
        &self,
        rows: &[(TallyKey, u64)],
        policies: &mut BTreeMap<Fingerprint, AppliedPolicy>,
    ) -> Result<(), StoreError> {
        for (key, _) in rows {
            if policies.contains_key(&key.policy) {
                continue;
            }
            if let Some(policy) = self.store.applied_policy(key.policy)? {
                policies.insert(key.policy, policy);
            }
        }
        Ok(())
    }

    /// The report of a domain's day, whether or not it is owed; `None` where we cannot say who we
    /// are.
    #[must_use]
    pub fn report(&self, day: &DomainDay) -> Option<Report> {
        let submitter = self.submitter()?;
        Some(Report::compose(day, submitter, &self.publisher.config))
    }

    /// Why a domain's day is not reported by our own settings.
    #[must_use]
    pub fn not_owed(&self, day: &DomainDay) -> Option<String> {
        owed(day, &self.publisher.config)
            .err()
            .map(|reason| reason.to_string())
    }
}

impl ReportSource for StoredReports {
    fn compose(
        &self,
        domain: &PolicyDomain,
        day: UtcDay,
        recipients: &[PolicyDomain],
    ) -> Result<Option<Box<dyn FinishedReport>>, ComposeError> {
        let Some(day) = self.day_with(day, domain, recipients)? else {
            return Ok(None);
        };
        if self.not_owed(&day).is_some() {
            return Ok(None);
        }
        let report = self
            .report(&day)
            .ok_or_else(|| ComposeError::Report("[sender] does not say who we are".to_owned()))?;
        Ok(Some(Box::new(Signed {
            report,
            publisher: Arc::clone(&self.publisher),
        })))
    }

    fn is_owed(&self, domain: &PolicyDomain, day: UtcDay) -> Result<bool, ComposeError> {
        let day = self.day(day, domain)?;
        Ok(day.is_some_and(|day| self.not_owed(&day).is_none()))
    }
}

/// A report with the keys that sign its mail.
struct Signed {
    report: Report,
    publisher: Arc<Publisher>,
}

impl FinishedReport for Signed {
    fn report_id(&self) -> &str {
        &self.report.id
    }

    fn gzip(&self) -> &[u8] {
        &self.report.gzip
    }

    fn mail(&self, to: &str, date: Timestamp, attempt: u32) -> Result<Vec<u8>, ComposeError> {
        self.report
            .mail(to, date, attempt, &self.publisher.keys)
            .map_err(|error| match error {
                MailError::Recipient(error) => ComposeError::Recipient(error.to_string()),
                error => ComposeError::Report(error.to_string()),
            })
    }
}

impl RuaSource for Keeper {
    fn rua<'a>(
        &'a self,
        domain: &'a PolicyDomain,
    ) -> BoxFuture<'a, Result<Option<RuaRecord>, DnsError>> {
        Box::pin(async move {
            Ok(match Self::rua(self, domain).await? {
                RuaDiscovery::Found(record) => Some(record),
                // RFC 8460 s3: a record that is not valid is no record (A4).
                RuaDiscovery::Absent | RuaDiscovery::Invalid(_) => None,
            })
        })
    }

    fn learnt(&self, domain: &PolicyDomain, since: Timestamp) -> Option<RuaRecord> {
        self.learnt_rua(domain, since)
    }
}
