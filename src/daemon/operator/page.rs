//! What only the web page asks.

use super::Operator;
use crate::{
    aggregate::sums::DaySums,
    clock::{BoxFuture, Timestamp, UtcDay},
    ctl::{
        control::Replied,
        protocol::{Refusal, RefusalKind},
        wire::{DeliveryView, Examinations, PageLink, Status},
    },
    page::source::{DayOfDomain, KeptMode, ReportFiles, Source},
    policy::{Destination, PolicyDomain, RuaDiscovery},
    store::{Store, StoreError},
};

use super::super::reports::StoredReports;

impl Source for Operator {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn health(&self) -> BoxFuture<'_, Replied<Status>> {
        Box::pin(async { Ok(self.status_without_totals(None)) })
    }

    fn days(&self) -> BoxFuture<'_, Replied<Vec<UtcDay>>> {
        Box::pin(self.read(|store, _| store.days()))
    }

    fn day_sums(&self, day: UtcDay) -> BoxFuture<'_, Replied<DaySums>> {
        Box::pin(self.read_newest(move |store, _| {
            let mut sums = DaySums::default();
            store.each_tally(day, &mut |key, sessions| sums.add(&key, sessions))?;
            Ok(sums)
        }))
    }

    fn modes(&self) -> BoxFuture<'_, Replied<Vec<KeptMode>>> {
        let now = self.clock.now();
        Box::pin(async move {
            let kept = self.read(|store, _| store.kept_policies()).await?;
            let modes = kept.into_iter().map(|(domain, kept)| KeptMode {
                domain,
                mode: kept.policy.mode,
                expired: now >= kept.expires_at(),
            });
            Ok(modes.collect())
        })
    }

    fn domain_days(
        &self,
        domain: PolicyDomain,
        since: UtcDay,
    ) -> BoxFuture<'_, Replied<Vec<DayOfDomain>>> {
        Box::pin(self.read_newest(move |store, reports| {
            let days = store.days()?.into_iter().filter(|day| *day >= since);
            days.map(|day| day_of_domain(store, reports, day, &domain))
                .collect()
        }))
    }

    fn report_files(
        &self,
        day: UtcDay,
        domain: PolicyDomain,
    ) -> BoxFuture<'_, Replied<ReportFiles>> {
        Box::pin(self.files(day, domain))
    }

    fn examine(&self) -> BoxFuture<'_, Replied<Examinations>> {
        Box::pin(self.examine())
    }
}

pub(super) fn day_of_domain(
    store: &dyn Store,
    reports: &StoredReports,
    day: UtcDay,
    domain: &PolicyDomain,
) -> Result<DayOfDomain, StoreError> {
    let protected = store.protected_of(day, domain)?;
    let deliveries = store.deliveries_of(day, domain)?;
    Ok(DayOfDomain {
        day,
        protected: (&protected).into(),
        counted: reports.day(day, domain)?,
        deliveries: deliveries
            .iter()
            .map(|(key, state)| DeliveryView::of(key, state))
            .collect(),
    })
}

impl Operator {
    /// Links that sign one in. What listens is what stood in the configuration at the start; where that has
    /// changed since, a link may lead nowhere.
    pub(super) fn link(&self) -> Replied<PageLink> {
        let loaded = self.loaded.load_full();
        let page = &loaded.config.page;
        let Some(sign_in) = self.sign_in.as_ref().filter(|_| page.is_on()) else {
            return Err(Refusal::new(
                RefusalKind::NotFound,
                "there is no page: set page.listen = [\"127.0.0.1:8462\"] or page.path in the configuration, \
                 and restart the daemon",
            ));
        };
        let links = page.listen.iter().map(|address| {
            let word = sign_in
                .link()
                .map_err(|error| Refusal::trouble(error.to_string()))?;
            // Nobody connects to "every address".
            let host = match (address.ip().is_unspecified(), page.names.first()) {
                (true, Some(name)) => format!("{name}:{}", address.port()),
                (true, None) => format!("localhost:{}", address.port()),
                (false, _) => address.to_string(),
            };
            Ok(format!("http://{host}/sign-in?link={word}"))
        });
        let path = page.path.display().to_string();
        Ok(PageLink {
            links: links.collect::<Replied<_>>()?,
            path: (!path.is_empty()).then_some(path),
        })
    }

    async fn files(&self, day: UtcDay, domain: PolicyDomain) -> Replied<ReportFiles> {
        self.sync().await;
        let rua = self.keeper.rua(&domain).await.ok();
        let mut notes = Vec::new();
        let recipients = self.recipients(day, &domain, rua.as_ref(), &mut notes);
        let recipients = recipients.await?;
        let asked = domain.clone();
        let counted = self.read(move |_, reports| reports.day_with(day, &asked, &recipients));
        let counted = counted.await?.ok_or_else(|| {
            Refusal::not_found(format!("nothing was counted of {domain} on {day}"))
        })?;
        let report = self.reports.report(&counted).ok_or_else(|| {
            Refusal::trouble("[sender] does not say who we are, so there are no reports")
        })?;
        let mailbox = self.mailbox(day, &domain, rua.as_ref()).await?;
        let mail = mailbox.map(|to| report.mail(&to, self.clock.now(), 1, self.reports.keys()));
        let mail = mail.transpose();
        Ok(ReportFiles {
            mail: mail.map_err(|error| Refusal::trouble(error.to_string()))?,
            file_name: report.file_name,
            json: report.json,
            gzip: report.gzip,
        })
    }

    /// The mailbox that got a report or, where it was not begun, that the domain names first.
    async fn mailbox(
        &self,
        day: UtcDay,
        domain: &PolicyDomain,
        rua: Option<&RuaDiscovery>,
    ) -> Replied<Option<String>> {
        let asked = domain.clone();
        let begun = self.read(move |store, _| store.deliveries_of(day, &asked));
        let begun: Vec<_> = begun
            .await?
            .into_iter()
            .map(|(key, _)| key.destination)
            .collect();
        let named = match rua {
            Some(RuaDiscovery::Found(record)) => &record.destinations[..],
            _ => &[],
        };
        let mut mailboxes = begun.iter().chain(named).filter_map(|to| match to {
            Destination::Mail(mailbox) => Some(mailbox.clone()),
            Destination::Https(_) => None,
        });
        Ok(mailboxes.next())
    }
}
