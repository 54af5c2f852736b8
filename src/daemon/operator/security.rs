//! What operators ask about the protection of the mail.

use std::{cmp::Reverse, collections::BTreeMap};

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
            let why = format!("{since} has not begun: it is {today} (UTC)");
            return Err(Refusal::new(RefusalKind::BadRequest, why));
        }
        let domains_max = question.domains_max;
        self.read_newest(move |store, _| {
            let mut found = Found {
                unnoted_until: store.unnoted_until()?,
                ..Found::default()
            };
            for day in store.days()? {
                if (since..=until).contains(&day) {
                    found.day(store, day)?;
                }
            }
            Ok(found.shown(since, until, domains_max))
        })
        .await
    }
}

/// What the days that were read so far come to.
#[derive(Default)]
struct Found {
    /// Up to this day it was not noted of every session what protected it.
    unnoted_until: Option<UtcDay>,
    days: Vec<SecurityOfDay>,
    not_noted: Vec<String>,
    total: Protected,
    domains: BTreeMap<PolicyDomain, Protected>,
}

/// Whether sessions were counted on a day: a failed fetch of a policy is a note, and no session.
fn has_sessions(store: &dyn Store, day: UtcDay) -> Result<bool, StoreError> {
    let is_session = |(key, total): &(TallyKey, u64)| {
        *total > 0 && matches!(key.counted, Counted::Successes | Counted::Failures)
    };
    for domain in store.domains(day)? {
        if store.tallies(day, &domain)?.iter().any(is_session) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Found {
    fn day(&mut self, store: &dyn Store, day: UtcDay) -> Result<(), StoreError> {
        let mut of_day = Protected::default();
        for (domain, protected) in store.protected(day)? {
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
        if may_be_unnoted && has_sessions(store, day)? {
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
        let views = domains.iter().map(|(domain, protected)| SecurityOfDomain {
            domain: domain.to_string(),
            protected: protected.into(),
        });
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
