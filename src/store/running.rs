//! The totals of the days that are running, in memory.

use std::{
    collections::{BTreeMap, HashMap, VecDeque, hash_map::RandomState},
    hash::BuildHasher as _,
    sync::Arc,
};

use super::{Batch, Counted, FailureRecord, Store, StoreError, TallyKey};
use crate::{
    clock::UtcDay,
    config::StoreConfig,
    policy::{AppliedPolicy, Fingerprint, PolicyDomain},
    record::{Failure, SessionRecord, Verdict, protection::Protection},
};

/// How many rows stay in memory between commits. Rows beyond that are read again from the store
/// when they next change. About 200 MB at most.
const ROWS_IN_MEMORY_MAX: usize = 1_000_000;

/// How many failures wait to be written singly; of more, the newest are kept. Their counts are in
/// the totals all the same.
const FAILURES_WAITING_MAX: usize = 10_000;

/// How many different details one policy of one domain and day is counted by. A peer that gives
/// another name in every greeting must not fill memory and disk.
// OURS: details beyond that are counted under their result type alone.
const DETAILS_PER_POLICY_MAX: usize = 4_096;

/// How many different policies one domain is counted under on one day. A domain may publish another
/// one of 64 KiB every few seconds, and each stays in the store as long as the day.
// OURS: sessions under further policies are counted together, under their type without its text.
const POLICIES_PER_DOMAIN_DAY_MAX: u32 = 100;

/// Under how many more names one domain's sessions are counted on one day that have no text: an MX host or
/// what its name is an alias of is the policy domain of its TLSA records, and names cost nothing.
// OURS: beyond that the recipient domain's own name stands for them.
const NAMES_PER_DOMAIN_DAY_MAX: u32 = 100;

/// The longest text of a failure that is kept, in octets. Whoever makes failures cuts them; this
/// is what the store's rows rely on.
const TEXT_BYTES_MAX: usize = 512;

/// What was counted, and what of it is not in the store yet.
#[derive(Debug)]
pub(super) struct Running {
    days: BTreeMap<UtcDay, HashMap<(PolicyDomain, Fingerprint), Group>>,
    /// How many groups a domain has on a day, by a hash of both.
    policies_met: HashMap<u64, u32>,
    hasher: RandomState,
    /// The groups with changed rows, each once.
    changed: Vec<(UtcDay, PolicyDomain, Fingerprint)>,
    changed_rows: usize,
    rows: usize,
    failures: VecDeque<FailureRecord>,
    /// Fingerprints of the policies met since the last commit, by address; the policy is held so
    /// that its address stays its own.
    fingerprints: HashMap<usize, (Arc<AppliedPolicy>, Fingerprint)>,
    changed_rows_max: usize,
    failures_max: usize,
}

/// Was there room for the rows of a session?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Found,
    /// As many rows wait for the store as may. The session was not counted.
    None,
}

/// The rows of one domain, policy and day.
#[derive(Debug, Default)]
struct Group {
    /// Until it is in the store.
    policy: Option<Arc<AppliedPolicy>>,
    successes: Row,
    failures: Row,
    details: HashMap<Failure, Row>,
    /// Most groups have one or two, and many have none: not worth a map, nor five rows each.
    protected: Vec<(Protection, Row)>,
    is_changed: bool,
}

/// One total.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    /// What the store had when the row was first written by us; until then unknown.
    base: Option<u64>,
    /// What came on top.
    added: u64,
    is_changed: bool,
}

impl Running {
    pub(super) fn new(config: &StoreConfig) -> Self {
        Self {
            days: BTreeMap::new(),
            policies_met: HashMap::new(),
            hasher: RandomState::new(),
            changed: Vec::new(),
            changed_rows: 0,
            rows: 0,
            failures: VecDeque::new(),
            fingerprints: HashMap::new(),
            changed_rows_max: config.waiting_rows_max.max(1),
            failures_max: config.failures_per_domain_day_max.min(FAILURES_WAITING_MAX),
        }
    }

    /// Counts a session, as a whole or not at all.
    pub(super) fn add(&mut self, record: &SessionRecord) -> Room {
        let day = record.at.day();
        let (policy, fingerprint) = self.counted_under(record);
        let key = (record.domain.clone(), fingerprint);
        let groups = self.days.entry(day).or_default();
        let sessions = u64::from(record.sessions);
        let (successes, failed, details) = match &record.verdict {
            Verdict::Success => (sessions, 0, [].as_slice()),
            Verdict::Failure(details) => (0, sessions, details.as_slice()),
            Verdict::Note(detail) => (0, 0, std::slice::from_ref(detail)),
        };
        let group = groups.get(&key);
        let details = bounded(details, group);
        let protection = record.protection.filter(|_| successes.max(failed) > 0);
        let adds = rows_to_change(group, successes, failed, &details)
            + usize::from(protection.is_some_and(|protection| is_to_change(group, protection)));
        if self.changed_rows + adds > self.changed_rows_max && adds > 0 {
            return Room::None;
        }
        let group = groups.entry(key).or_insert_with(|| {
            let met = self.hasher.hash_one((day, &record.domain));
            *self.policies_met.entry(met).or_default() += 1;
            Group {
                policy: Some(policy),
                ..Group::default()
            }
        });
        let rows_before = group.rows();
        group.successes.add(successes);
        group.failures.add(failed);
        for detail in &details {
            group
                .details
                .entry(detail.clone())
                .or_default()
                .add(sessions);
        }
        if let Some(protection) = protection {
            group.add_protected(protection, sessions);
        }
        self.rows += group.rows() - rows_before;
        self.changed_rows += adds;
        if !std::mem::replace(&mut group.is_changed, true) {
            self.changed.push((day, record.domain.clone(), fingerprint));
        }
        for failure in details {
            self.keep_singly(FailureRecord {
                at: record.at,
                domain: record.domain.clone(),
                policy: fingerprint,
                source: record.source,
                failure,
            });
        }
        Room::Found
    }

    /// Is anything not in the store yet?
    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// How many rows are not in the store yet.
    pub(super) const fn changed_rows(&self) -> usize {
        self.changed_rows
    }

    /// How many rows there are.
    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    /// What has changed, with absolute totals. The store is asked once for what it had before.
    pub(super) fn batch(&mut self, store: &dyn Store) -> Result<Batch, StoreError> {
        let mut batch = Batch {
            failures: self.failures.iter().cloned().collect(),
            ..Batch::default()
        };
        for (day, domain, policy) in &self.changed {
            let key = (domain.clone(), *policy);
            let Some(group) = self
                .days
                .get_mut(day)
                .and_then(|groups| groups.get_mut(&key))
            else {
                continue;
            };
            if let Some(applied) = &group.policy {
                batch.policies.insert(*policy, applied.as_ref().clone());
            }
            let mut put = |counted: Counted, row: &mut Row| -> Result<(), StoreError> {
                if row.is_changed {
                    let key = TallyKey {
                        day: *day,
                        domain: domain.clone(),
                        policy: *policy,
                        counted,
                    };
                    let base = match row.base {
                        Some(base) => base,
                        None => *row.base.insert(store.total(&key)?),
                    };
                    batch.totals.insert(key, base.saturating_add(row.added));
                }
                Ok(())
            };
            put(Counted::Successes, &mut group.successes)?;
            put(Counted::Failures, &mut group.failures)?;
            for (detail, row) in &mut group.details {
                put(Counted::Detail(detail.clone()), row)?;
            }
            for (protection, row) in &mut group.protected {
                put(Counted::Protected(*protection), row)?;
            }
        }
        Ok(batch)
    }

    /// The last batch is in the store.
    pub(super) fn committed(&mut self) {
        for (day, domain, policy) in self.changed.drain(..) {
            let groups = self.days.get_mut(&day);
            if let Some(group) = groups.and_then(|groups| groups.get_mut(&(domain, policy))) {
                group.policy = None;
                group.is_changed = false;
                group.successes.is_changed = false;
                group.failures.is_changed = false;
                let details = group.details.values_mut();
                for row in details.chain(group.protected.iter_mut().map(|(_, row)| row)) {
                    row.is_changed = false;
                }
            }
        }
        self.changed_rows = 0;
        self.failures.clear();
        self.fingerprints.clear();
        if self.rows > ROWS_IN_MEMORY_MAX {
            self.days.clear();
            self.policies_met.clear();
            self.rows = 0;
        }
    }

    /// Lets go of the days that have ended, unless something of them is not in the store yet.
    pub(super) fn forget_before(&mut self, today: UtcDay) {
        let oldest = self.days.first_key_value().map(|(day, _)| *day);
        if self.has_changed() || oldest.is_none_or(|oldest| oldest >= today) {
            return;
        }
        self.days = self.days.split_off(&today);
        self.policies_met.clear();
        for (day, groups) in &self.days {
            for (domain, _) in groups.keys() {
                let met = self.hasher.hash_one((*day, domain));
                *self.policies_met.entry(met).or_default() += 1;
            }
        }
        let groups = self.days.values().flat_map(HashMap::values);
        self.rows = groups.map(Group::rows).sum();
    }

    /// The policy that a session is counted under: its own, unless its domain had too many that day.
    fn counted_under(&mut self, record: &SessionRecord) -> (Arc<AppliedPolicy>, Fingerprint) {
        let fingerprint = self.fingerprint_of(&record.policy);
        let own = || (Arc::clone(&record.policy), fingerprint);
        let met = self.hasher.hash_one((record.at.day(), &record.domain));
        let met = self.policies_met.get(&met).copied().unwrap_or_default();
        if met < POLICIES_PER_DOMAIN_DAY_MAX {
            return own();
        }
        let groups = self.days.get(&record.at.day());
        let is_met = |fingerprint| {
            let key = (record.domain.clone(), fingerprint);
            groups.is_some_and(|groups| groups.contains_key(&key))
        };
        if is_met(fingerprint) {
            return own();
        }
        let mut further = AppliedPolicy {
            policy_string: Vec::new(),
            mx_host: Vec::new(),
            ..record.policy.as_ref().clone()
        };
        let mut fingerprint = further.fingerprint();
        if met >= POLICIES_PER_DOMAIN_DAY_MAX + NAMES_PER_DOMAIN_DAY_MAX && !is_met(fingerprint) {
            further.policy_domain = record.domain.clone();
            fingerprint = further.fingerprint();
        }
        (Arc::new(further), fingerprint)
    }

    /// SHA-256 over a policy costs more than all the rest; the hook hands out one policy many
    /// times.
    fn fingerprint_of(&mut self, policy: &Arc<AppliedPolicy>) -> Fingerprint {
        self.fingerprints
            .entry(Arc::as_ptr(policy).addr())
            .or_insert_with(|| (Arc::clone(policy), policy.fingerprint()))
            .1
    }

    fn keep_singly(&mut self, failure: FailureRecord) {
        if self.failures_max == 0 {
            return;
        }
        if self.failures.len() >= FAILURES_WAITING_MAX {
            self.failures.pop_front();
        }
        self.failures.push_back(failure);
    }
}

impl Group {
    fn rows(&self) -> usize {
        let counted = [self.successes, self.failures];
        counted.iter().filter(|row| row.is_there()).count()
            + self.details.len()
            + self.protected.len()
    }

    fn add_protected(&mut self, protection: Protection, sessions: u64) {
        let mut rows = self.protected.iter_mut();
        if let Some((_, row)) = rows.find(|(each, _)| *each == protection) {
            row.add(sessions);
            return;
        }
        let mut row = Row::default();
        row.add(sessions);
        self.protected.push((protection, row));
    }
}

impl Row {
    fn add(&mut self, number: u64) {
        if number > 0 {
            self.added = self.added.saturating_add(number);
            self.is_changed = true;
        }
    }

    const fn is_there(self) -> bool {
        self.added > 0
    }
}

/// How many rows would newly wait for the store.
fn rows_to_change(
    group: Option<&Group>,
    successes: u64,
    failures: u64,
    details: &[Failure],
) -> usize {
    let Some(group) = group else {
        return usize::from(successes > 0) + usize::from(failures > 0) + details.len();
    };
    let is_new = |row: Option<&Row>| row.is_none_or(|row| !row.is_changed);
    usize::from(successes > 0 && is_new(Some(&group.successes)))
        + usize::from(failures > 0 && is_new(Some(&group.failures)))
        + details
            .iter()
            .filter(|detail| is_new(group.details.get(detail)))
            .count()
}

/// Whether the row of a protection would newly wait for the store.
fn is_to_change(group: Option<&Group>, protection: Protection) -> bool {
    let mut rows = group.into_iter().flat_map(|group| &group.protected);
    rows.find(|(each, _)| *each == protection)
        .is_none_or(|(_, row)| !row.is_changed)
}

/// The details of one session with their texts cut, and each once (D3). Where a policy is counted
/// by too many already, a further one is reduced to its result type.
fn bounded(details: &[Failure], group: Option<&Group>) -> Vec<Failure> {
    let mut bounded: Vec<Failure> = Vec::with_capacity(details.len());
    for detail in details {
        let mut detail = with_short_texts(detail);
        let is_too_much = group.is_some_and(|group| {
            group.details.len() >= DETAILS_PER_POLICY_MAX && !group.details.contains_key(&detail)
        });
        if is_too_much {
            detail = Failure::of_policy(detail.result, "too-many-details");
        }
        if !bounded.contains(&detail) {
            bounded.push(detail);
        }
    }
    bounded
}

fn with_short_texts(failure: &Failure) -> Failure {
    let short = |text: &Option<String>| text.as_deref().map(|text| cut(text).to_owned());
    Failure {
        result: failure.result,
        mx: short(&failure.mx),
        mx_helo: short(&failure.mx_helo),
        receiving_ip: failure.receiving_ip,
        sending_ip: failure.sending_ip,
        reason: short(&failure.reason),
    }
}

/// As much of a text as is kept, ending at a whole character.
fn cut(text: &str) -> &str {
    (0..=TEXT_BYTES_MAX)
        .rev()
        .find_map(|end| text.get(..end.min(text.len())))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use sealpost_plugin_api::ResultType;

    use super::*;
    use crate::{clock::Timestamp, record::Source, store::MemoryStore};

    fn running() -> Running {
        Running::new(&StoreConfig::default())
    }

    fn failed(details: Vec<Failure>) -> SessionRecord {
        let domain: PolicyDomain = "a.example".parse().unwrap();
        SessionRecord {
            at: Timestamp(0),
            policy: Arc::new(AppliedPolicy::no_policy_found(domain.clone())),
            domain,
            source: Source::Mta,
            verdict: Verdict::Failure(details),
            protection: None,
            sessions: 1,
        }
    }

    fn greeted(name: impl Into<String>) -> Failure {
        Failure {
            mx_helo: Some(name.into()),
            ..Failure::of_policy(ResultType::CertificateExpired, "expired")
        }
    }

    #[test]
    fn g6_a_peer_with_ever_new_names_fills_neither_memory_nor_disk() {
        let mut running = running();
        let sessions = DETAILS_PER_POLICY_MAX + 500;
        for number in 0..sessions {
            let details = vec![greeted(format!("{number}a")), greeted(format!("{number}b"))];
            assert_eq!(running.add(&failed(details)), Room::Found);
        }
        assert!(
            running.rows() <= DETAILS_PER_POLICY_MAX + 4,
            "{}",
            running.rows()
        );
        let batch = running.batch(&MemoryStore::default()).unwrap();
        let total = |counted: &Counted| {
            let found = batch.totals.iter().find(|(key, _)| key.counted == *counted);
            found.map_or(0, |(_, total)| *total)
        };
        let many = Failure::of_policy(ResultType::CertificateExpired, "too-many-details");
        // Every session is counted; those with new names together, each once.
        assert_eq!(total(&Counted::Failures), sessions as u64);
        assert_eq!(
            total(&Counted::Detail(many)),
            (sessions - DETAILS_PER_POLICY_MAX / 2) as u64
        );
        assert!(batch.failures.len() <= FAILURES_WAITING_MAX);
    }

    #[test]
    fn g6_a_domain_with_ever_new_policies_fills_neither_memory_nor_disk() {
        let mut running = running();
        let met_max = u64::from(POLICIES_PER_DOMAIN_DAY_MAX);
        let mut tell = |domain: &str, number: u64, seconds: i64| {
            let domain: PolicyDomain = domain.parse().unwrap();
            let policy = Arc::new(AppliedPolicy {
                policy_string: vec![format!("x: {number}")],
                ..AppliedPolicy::sts_unfetched(domain.clone())
            });
            let record = SessionRecord {
                at: Timestamp(seconds),
                policy,
                domain,
                source: Source::Mta,
                verdict: Verdict::Success,
                protection: None,
                sessions: 1,
            };
            assert_eq!(running.add(&record), Room::Found);
        };
        for number in 0..met_max + 50 {
            tell("a.example", number, 0);
        }
        // One that is counted already still is, other domains and days have their own.
        tell("a.example", 3, 0);
        tell("b.example", 1_000, 0);
        tell("a.example", 1_001, 86_400);
        let batch = running.batch(&MemoryStore::default()).unwrap();
        let domain: PolicyDomain = "a.example".parse().unwrap();
        let further = AppliedPolicy::sts_unfetched(domain).fingerprint();
        let totals: Vec<u64> = batch
            .totals
            .iter()
            .filter(|(key, _)| key.policy == further)
            .map(|(_, total)| *total)
            .collect();
        assert_eq!(totals, [50]);
        assert_eq!(batch.policies.len() as u64, met_max + 3);
        assert_eq!(batch.totals.values().sum::<u64>(), met_max + 53);
        running.committed();
        running.forget_before(UtcDay(1));
        assert_eq!(running.policies_met.len(), 1);
    }

    #[test]
    fn g6_a_domain_with_ever_new_tlsa_base_domains_fills_neither_memory_nor_disk() {
        let mut running = running();
        let domain: PolicyDomain = "a.example".parse().unwrap();
        let mut tell = |host: u32, records: u32| {
            let policy = AppliedPolicy {
                policy_string: vec![format!("3 1 1 {records:064X}")],
                ..AppliedPolicy::tlsa_not_had(format!("mx{host}.a.example").parse().unwrap())
            };
            let record = SessionRecord {
                policy: Arc::new(policy),
                verdict: Verdict::Success,
                ..failed(Vec::new())
            };
            assert_eq!(running.add(&record), Room::Found);
        };
        for number in 0..1_000 {
            tell(number, number);
        }
        // Of a host that is counted by its name, further records are counted there.
        tell(150, 5_000);
        let batch = running.batch(&MemoryStore::default()).unwrap();
        let total = |policy: &AppliedPolicy| {
            let fingerprint = policy.fingerprint();
            let mut rows = batch.totals.iter();
            rows.find(|(key, _)| key.policy == fingerprint)
                .map_or(0, |(_, total)| *total)
        };
        let of = |name: &str| AppliedPolicy::tlsa_not_had(name.parse().unwrap());
        assert_eq!(batch.policies.len(), 201);
        assert_eq!(total(&AppliedPolicy::tlsa_not_had(domain)), 800);
        assert_eq!(total(&of("mx150.a.example")), 2);
        assert_eq!(batch.totals.values().sum::<u64>(), 1_001);
    }

    #[test]
    fn texts_are_cut_at_whole_characters() {
        let mut running = running();
        running.add(&failed(vec![
            greeted("ü".repeat(2_000)),
            greeted("ü".repeat(3_000)),
        ]));
        let batch = running.batch(&MemoryStore::default()).unwrap();
        let texts: Vec<_> = batch
            .totals
            .keys()
            .filter_map(|key| match &key.counted {
                Counted::Detail(failure) => failure.mx_helo.clone(),
                _ => None,
            })
            .collect();
        assert_eq!(texts, ["ü".repeat(TEXT_BYTES_MAX / 2)]);
    }

    #[test]
    fn d7_a_session_is_protected_once_however_many_policies_count_it() {
        let mut running = running();
        let of = |policy: AppliedPolicy, protection, sessions| SessionRecord {
            policy: Arc::new(policy),
            protection,
            sessions,
            verdict: Verdict::Success,
            ..failed(Vec::new())
        };
        let domain: PolicyDomain = "a.example".parse().unwrap();
        let (tlsa, sts) = (
            AppliedPolicy {
                policy_type: crate::policy::PolicyType::Tlsa,
                ..AppliedPolicy::no_policy_found("mx.a.example".parse().unwrap())
            },
            AppliedPolicy::sts_unfetched(domain.clone()),
        );
        let dane = Some(Protection::Dane);
        running.add(&of(tlsa.clone(), dane, 3));
        running.add(&of(sts.clone(), None, 3));
        running.add(&of(sts.clone(), Some(Protection::Sts), 1));
        let store = MemoryStore::default();
        store.commit(&running.batch(&store).unwrap()).unwrap();
        running.committed();
        running.add(&of(tlsa.clone(), dane, 4));
        running.add(&of(tlsa, Some(Protection::Clear), 1));
        let note = Verdict::Note(greeted("-"));
        running.add(&SessionRecord {
            verdict: note,
            ..of(sts, Some(Protection::Clear), 1)
        });
        store.commit(&running.batch(&store).unwrap()).unwrap();
        let seen = store.protected(UtcDay(0)).unwrap();
        let numbers = |(domain, protected): &(PolicyDomain, super::super::Protected)| {
            let numbers = Protection::ALL.map(|protection| protected.sessions(protection));
            (domain.to_string(), numbers)
        };
        let seen: Vec<_> = seen.iter().map(numbers).collect();
        assert_eq!(seen, [("a.example".to_owned(), [7, 1, 0, 1, 0])]);
        // Another process begins and reads what is there.
        let mut later = Running::new(&StoreConfig::default());
        later.add(&of(
            AppliedPolicy::sts_unfetched(domain),
            Some(Protection::Sts),
            5,
        ));
        store.commit(&later.batch(&store).unwrap()).unwrap();
        let sum = |protection| {
            store.protected(UtcDay(0)).unwrap()[0]
                .1
                .sessions(protection)
        };
        assert_eq!((sum(Protection::Sts), sum(Protection::Dane)), (6, 7));
    }

    #[test]
    fn a_session_finds_room_whole_or_not_at_all() {
        let mut running = Running::new(&StoreConfig {
            waiting_rows_max: 3,
            ..StoreConfig::default()
        });
        let one = || failed(vec![greeted("one")]);
        assert_eq!(running.add(&one()), Room::Found);
        // Its rows wait already.
        assert_eq!(running.add(&one()), Room::Found);
        assert_eq!(running.changed_rows(), 2);
        let three = failed(vec![greeted("one"), greeted("two"), greeted("three")]);
        assert_eq!(running.add(&three), Room::None);
        assert_eq!(running.changed_rows(), 2);
        assert_eq!(running.add(&failed(vec![greeted("two")])), Room::Found);
        running.committed();
        assert_eq!((running.changed_rows(), running.rows()), (0, 3));
        assert_eq!(
            running.add(&three),
            Room::None,
            "four rows never fit where three may wait"
        );
    }
}
