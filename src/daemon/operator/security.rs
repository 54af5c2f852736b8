//! What operators ask about the protection of the mail.

use std::{cmp::Reverse, collections::BTreeMap, ops::RangeInclusive};

use super::Operator;
use crate::{
    clock::UtcDay,
    ctl::{
        control::{Replied, SecurityQuestion},
        protocol::{Refusal, RefusalKind},
        wire::{ProtectedSessions, Security, SecurityOfDay, SecurityOfDomain},
    },
    policy::PolicyDomain,
    store::{Counted, Protected, Store, StoreError, TallyKey},
};

impl Operator {
    pub(super) async fn security(&self, question: SecurityQuestion) -> Replied<Security> {
        let today = self.today();
        let until = match (question.day, question.since) {
            (Some(_), Some(_)) => {
                let why = "one day, or the days since one: not both";
                return Err(Refusal::new(RefusalKind::BadRequest, why));
            }
            (Some(day), None) => day,
            (None, _) => today,
        };
        let since = question.since.unwrap_or(until);
        if since > today {
            return Err(not_begun(since, today));
        }
        let domains_max = question.domains_max;
        self.read_newest(move |store, _| {
            let found = Found::read(store, since..=until, None)?;
            Ok(found.shown(since, until, domains_max))
        })
        .await
    }
}

pub(super) fn not_begun(day: UtcDay, today: UtcDay) -> Refusal {
    let why = format!("{day} has not begun: it is {today} (UTC)");
    Refusal::new(RefusalKind::BadRequest, why)
}

/// What the days that were read so far come to.
#[derive(Default)]
pub(super) struct Found {
    /// Up to this day it was not noted of every session what protected it.
    unnoted_until: Option<UtcDay>,
    pub(super) days: Vec<SecurityOfDay>,
    pub(super) not_noted: Vec<String>,
    pub(super) total: Protected,
    pub(super) domains: BTreeMap<PolicyDomain, Protected>,
}

/// Whether sessions were counted on a day: a failed fetch of a policy is a note, and no session.
fn has_sessions(
    store: &dyn Store,
    day: UtcDay,
    domain: Option<&PolicyDomain>,
) -> Result<bool, StoreError> {
    let is_session = |(key, total): &(TallyKey, u64)| {
        *total > 0 && matches!(key.counted, Counted::Successes | Counted::Failures)
    };
    let domains = match domain {
        Some(domain) => vec![domain.clone()],
        None => store.domains(day)?,
    };
    for domain in domains {
        if store.tallies(day, &domain)?.iter().any(is_session) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What protected the sessions of a day: of every domain, or of one.
fn protected(
    store: &dyn Store,
    day: UtcDay,
    domain: Option<&PolicyDomain>,
) -> Result<Vec<(PolicyDomain, Protected)>, StoreError> {
    let Some(domain) = domain else {
        return store.protected(day);
    };
    let protected = store.protected_of(day, domain)?;
    let found = (protected.total() > 0).then(|| (domain.clone(), protected));
    Ok(found.into_iter().collect())
}

impl Found {
    /// Reads the days of a range: all that is held of them, or what is of one domain.
    pub(super) fn read(
        store: &dyn Store,
        range: RangeInclusive<UtcDay>,
        domain: Option<&PolicyDomain>,
    ) -> Result<Self, StoreError> {
        let mut found = Self {
            unnoted_until: store.unnoted_until()?,
            ..Self::default()
        };
        for day in store.days()? {
            if range.contains(&day) {
                found.day(store, day, domain)?;
            }
        }
        Ok(found)
    }

    fn day(
        &mut self,
        store: &dyn Store,
        day: UtcDay,
        domain: Option<&PolicyDomain>,
    ) -> Result<(), StoreError> {
        let mut of_day = Protected::default();
        for (domain, protected) in protected(store, day, domain)? {
            of_day.merge(&protected);
            self.domains.entry(domain).or_default().merge(&protected);
        }
        self.total.merge(&of_day);
        let is_noted = of_day.total() > 0;
        if is_noted {
            self.days.push(SecurityOfDay {
                day: day.to_string(),
                protected: (&of_day).into(),
            });
        }
        let may_be_unnoted = !is_noted || self.unnoted_until.is_some_and(|until| day <= until);
        if may_be_unnoted && has_sessions(store, day, domain)? {
            self.not_noted.push(day.to_string());
        }
        Ok(())
    }

    fn shown(self, since: UtcDay, until: UtcDay, domains_max: Option<u64>) -> Security {
        let mut domains: Vec<_> = self.domains.into_iter().collect();
        // Equal ones stay in the order of their names.
        domains.sort_by_key(|(_, protected)| Reverse(protected.total()));
        let shown = domains_max.map_or(domains.len(), |most| {
            usize::try_from(most).map_or(domains.len(), |most| most.min(domains.len()))
        });
        let rest = domains.split_off(shown);
        let mut further = Protected::default();
        rest.iter()
            .for_each(|(_, protected)| further.merge(protected));
        let views = domains
            .iter()
            .map(|(domain, protected)| of_domain(domain, protected));
        Security {
            since: since.to_string(),
            until: until.to_string(),
            days: self.days,
            not_noted: self.not_noted,
            total: ProtectedSessions::from(&self.total),
            domains: views.collect(),
            further_domains: rest.len() as u64,
            further: (&further).into(),
        }
    }
}

pub(super) fn of_domain(domain: &PolicyDomain, protected: &Protected) -> SecurityOfDomain {
    SecurityOfDomain {
        domain: domain.to_string(),
        protected: protected.into(),
    }
}
