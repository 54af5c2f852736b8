//! The reference implementation: everything in maps, nothing on a disk. It passes the same suite as
//! the real one and says what each method means.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    AuditLink, AuditShown, Batch, Counted, DayPart, FailureRecord, Holdings, Protected, Store,
    StoreError, TallyKey, TlsaHosts, audit, codec, key, protected,
};
use crate::{
    clock::{Timestamp, UtcDay},
    deliver::{DeliveryKey, DeliveryState, outbox, suppression::Suppression},
    hook::overrides::CommandOverride,
    observe::audit::AuditEntry,
    policy::{AppliedPolicy, Destination, Fingerprint, KeptPolicy, PolicyDomain, PolicyType},
};

/// A store that lasts as long as the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    totals: BTreeMap<TallyKey, u64>,
    failures: BTreeMap<(UtcDay, PolicyDomain), Vec<FailureRecord>>,
    applied: BTreeMap<Fingerprint, AppliedPolicy>,
    kept: BTreeMap<PolicyDomain, KeptPolicy>,
    deliveries: BTreeMap<DeliveryKey, DeliveryState>,
    suppressed: BTreeMap<Destination, Suppression>,
    overrides: BTreeMap<PolicyDomain, CommandOverride>,
    audit: BTreeMap<u64, Vec<u8>>,
    audit_begins: AuditLink,
    cut_until: BTreeMap<DayPart, UtcDay>,
}

impl Held {
    /// What the rows would take that the store on the disk makes of it, those of a day not packed yet.
    fn holdings(&self) -> Holdings {
        let mut holdings = Holdings::default();
        let octets = |key: &[u8], value: &[u8]| (key.len() + value.len()) as u64;
        for (key, total) in &self.totals {
            let of_day = holdings.days.entry(key.day).or_default();
            of_day.counts += octets(&key::tally(key), &codec::write_tally(key, *total));
        }
        for ((day, domain), failures) in &self.failures {
            let of_day = holdings.days.entry(*day).or_default();
            for failure in failures {
                let key = key::failure(*day, domain, 0);
                of_day.failures += octets(&key, &codec::write_failure(failure));
            }
        }
        for (key, state) in &self.deliveries {
            let of_day = holdings.days.entry(key.day).or_default();
            of_day.reports += octets(&key::delivery(key), &codec::write_delivery(key, state));
            of_day.has_open_report |= !outbox::is_finished(state);
        }
        let applied = self.applied.iter();
        holdings.rest += applied
            .map(|(name, policy)| octets(&name.0, &codec::write_applied(policy)))
            .sum::<u64>();
        let kept = self.kept.iter();
        holdings.rest += kept
            .map(|(domain, kept)| octets(domain.as_str().as_bytes(), &codec::write_kept(kept)))
            .sum::<u64>();
        let suppressed = self.suppressed.iter();
        holdings.rest += suppressed
            .map(|(destination, suppression)| {
                let value = codec::write_suppression(destination, suppression);
                octets(&key::destination(destination), &value)
            })
            .sum::<u64>();
        let overrides = self.overrides.iter();
        holdings.rest += overrides
            .map(|(domain, set)| octets(domain.as_str().as_bytes(), &codec::write_override(set)))
            .sum::<u64>();
        let audit = self.audit.iter();
        holdings.rest += audit
            .map(|(number, value)| octets(&number.to_be_bytes(), value))
            .sum::<u64>();
        holdings
    }
}

/// How many single failures of one domain and day are kept unless the operator says otherwise.
pub const FAILURES_PER_DOMAIN_DAY_MAX: usize = 1_000;

impl MemoryStore {
    /// A panic of another thread while it held the lock leaves maps that are still whole.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut held = self.held();
        held.totals.extend(
            batch
                .totals
                .iter()
                .map(|(key, total)| (key.clone(), *total)),
        );
        held.applied.extend(
            batch
                .policies
                .iter()
                .map(|(key, policy)| (*key, policy.clone())),
        );
        for failure in &batch.failures {
            let kept = held
                .failures
                .entry((failure.at.day(), failure.domain.clone()))
                .or_default();
            kept.push(failure.clone());
            if kept.len() > FAILURES_PER_DOMAIN_DAY_MAX {
                kept.remove(0);
            }
        }
        Ok(())
    }

    fn total(&self, key: &TallyKey) -> Result<u64, StoreError> {
        Ok(self.held().totals.get(key).copied().unwrap_or(0))
    }

    fn days_of(&self, part: DayPart) -> Result<Vec<UtcDay>, StoreError> {
        let held = self.held();
        let days: BTreeSet<UtcDay> = match part {
            DayPart::Failures => held.failures.keys().map(|(day, _)| *day).collect(),
            DayPart::Counts => held.totals.keys().map(|key| key.day).collect(),
            DayPart::Reports => held.deliveries.keys().map(|key| key.day).collect(),
        };
        Ok(days.into_iter().collect())
    }

    fn unnoted_until(&self) -> Result<Option<UtcDay>, StoreError> {
        // It was begun by this process.
        Ok(None)
    }

    fn domains(&self, day: UtcDay) -> Result<Vec<PolicyDomain>, StoreError> {
        let held = self.held();
        let mut domains: Vec<_> = held
            .totals
            .keys()
            .filter(|key| key.day == day)
            .map(|key| key.domain.clone())
            .collect();
        domains.dedup();
        Ok(domains)
    }

    fn tallies(
        &self,
        day: UtcDay,
        domain: &PolicyDomain,
    ) -> Result<Vec<(TallyKey, u64)>, StoreError> {
        let held = self.held();
        let rows = held
            .totals
            .iter()
            .filter(|(key, _)| key.day == day && key.domain == *domain);
        Ok(rows.map(|(key, total)| (key.clone(), *total)).collect())
    }

    fn protected(&self, day: UtcDay) -> Result<Vec<(PolicyDomain, Protected)>, StoreError> {
        let held = self.held();
        let rows = held.totals.iter().filter(|(key, _)| key.day == day);
        Ok(protected::by_domain(rows.filter_map(
            |(key, total)| match key.counted {
                Counted::Protected(protection) => Some((key.domain.clone(), protection, *total)),
                _ => None,
            },
        )))
    }

    fn tlsa_hosts(&self, day: UtcDay) -> Result<TlsaHosts, StoreError> {
        let held = self.held();
        let mut hosts = TlsaHosts::default();
        for key in held.totals.keys().filter(|key| key.day == day) {
            let applied = held.applied.get(&key.policy);
            if let Some(policy) = applied.filter(|it| it.policy_type == PolicyType::Tlsa) {
                hosts.note(&policy.policy_domain, &key.domain);
            }
        }
        Ok(hosts)
    }

    fn seal(&self, _day: UtcDay) -> Result<(), StoreError> {
        Ok(())
    }

    fn forget_part(&self, day: UtcDay, part: DayPart) -> Result<(), StoreError> {
        let mut held = self.held();
        match part {
            DayPart::Failures => held.failures.retain(|(of, _), _| *of != day),
            DayPart::Counts => {
                held.totals.retain(|key, _| key.day != day);
                let used: BTreeSet<_> = held.totals.keys().map(|key| key.policy).collect();
                held.applied.retain(|policy, _| used.contains(policy));
            }
            DayPart::Reports => held.deliveries.retain(|key, _| key.day != day),
        }
        Ok(())
    }

    fn holdings(&self) -> Result<Holdings, StoreError> {
        Ok(self.held().holdings())
    }

    fn file_octets(&self) -> Result<u64, StoreError> {
        Ok(self.held().holdings().octets())
    }

    fn note_cut(&self, part: DayPart, day: UtcDay) -> Result<(), StoreError> {
        let mut held = self.held();
        let until = held.cut_until.entry(part).or_insert(day);
        *until = day.max(*until);
        Ok(())
    }

    fn cut_until(&self, part: DayPart) -> Result<Option<UtcDay>, StoreError> {
        Ok(self.held().cut_until.get(&part).copied())
    }

    fn failures(
        &self,
        day: UtcDay,
        domain: Option<&PolicyDomain>,
    ) -> Result<Vec<FailureRecord>, StoreError> {
        let held = self.held();
        let of_day = held
            .failures
            .iter()
            .filter(|((of, about), _)| *of == day && domain.is_none_or(|domain| domain == about));
        let mut failures: Vec<_> = of_day.flat_map(|(_, kept)| kept.clone()).collect();
        failures.sort_by_key(|failure| failure.at);
        Ok(failures)
    }

    fn applied_policy(&self, policy: Fingerprint) -> Result<Option<AppliedPolicy>, StoreError> {
        Ok(self.held().applied.get(&policy).cloned())
    }

    fn keep_policy(&self, domain: &PolicyDomain, kept: &KeptPolicy) -> Result<(), StoreError> {
        self.held().kept.insert(domain.clone(), kept.clone());
        Ok(())
    }

    fn kept_policy(&self, domain: &PolicyDomain) -> Result<Option<KeptPolicy>, StoreError> {
        Ok(self.held().kept.get(domain).cloned())
    }

    fn kept_policies(&self) -> Result<Vec<(PolicyDomain, KeptPolicy)>, StoreError> {
        Ok(self
            .held()
            .kept
            .iter()
            .map(|(domain, kept)| (domain.clone(), kept.clone()))
            .collect())
    }

    fn purge_policy(&self, domain: &PolicyDomain) -> Result<(), StoreError> {
        self.held().kept.remove(domain);
        Ok(())
    }

    fn put_delivery(&self, key: &DeliveryKey, state: &DeliveryState) -> Result<(), StoreError> {
        self.held().deliveries.insert(key.clone(), state.clone());
        Ok(())
    }

    fn delivery(&self, key: &DeliveryKey) -> Result<Option<DeliveryState>, StoreError> {
        Ok(self.held().deliveries.get(key).cloned())
    }

    fn deliveries(&self, day: UtcDay) -> Result<Vec<(DeliveryKey, DeliveryState)>, StoreError> {
        let held = self.held();
        let of_day = held.deliveries.iter().filter(|(key, _)| key.day == day);
        Ok(of_day
            .map(|(key, state)| (key.clone(), state.clone()))
            .collect())
    }

    fn put_suppression(
        &self,
        destination: &Destination,
        suppression: &Suppression,
    ) -> Result<(), StoreError> {
        let mut held = self.held();
        held.suppressed
            .insert(destination.clone(), suppression.clone());
        Ok(())
    }

    fn remove_suppression(&self, destination: &Destination) -> Result<(), StoreError> {
        self.held().suppressed.remove(destination);
        Ok(())
    }

    fn suppressions(&self) -> Result<Vec<(Destination, Suppression)>, StoreError> {
        Ok(self.held().suppressed.clone().into_iter().collect())
    }

    fn put_override(&self, set: &CommandOverride) -> Result<(), StoreError> {
        self.held()
            .overrides
            .insert(set.domain.clone(), set.clone());
        Ok(())
    }

    fn remove_override(&self, domain: &PolicyDomain) -> Result<(), StoreError> {
        self.held().overrides.remove(domain);
        Ok(())
    }

    fn overrides(&self) -> Result<Vec<CommandOverride>, StoreError> {
        Ok(self.held().overrides.values().cloned().collect())
    }

    fn append_audit(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        let mut held = self.held();
        let last = held.audit.last_key_value();
        let last = last.map(|(number, value)| AuditLink::of(*number, value));
        let mut link = last.unwrap_or(held.audit_begins);
        for entry in entries {
            let (next, value) = link.followed_by(entry);
            held.audit.insert(next.number, value);
            link = next;
        }
        Ok(())
    }

    fn audit(&self, show: &mut dyn FnMut(AuditShown)) -> Result<(), StoreError> {
        let held = self.held();
        show(AuditShown::Begins(held.audit_begins));
        for (number, value) in &held.audit {
            show(audit::shown(*number, value));
        }
        Ok(())
    }

    fn forget_audit(&self, before: Timestamp) -> Result<(), StoreError> {
        let mut held = self.held();
        while held.audit.len() > 1
            && let Some((number, value)) = held.audit.first_key_value()
            && codec::read_audit(value).is_ok_and(|(_, entry)| entry.at < before)
        {
            held.audit_begins = AuditLink::of(*number, value);
            held.audit.pop_first();
        }
        Ok(())
    }
}
