//! What an MX host's own report tells: whose sessions, and to whom.
//!
//! By RFC 8460 s1.1 the policy domain of DANE is the TLSA base domain, so the results of TLSA records
//! belong to the record at `_smtp._tls.` and the MX host's name. Recipients' postmasters want them too,
//! and have them in their own reports. So whoever runs an MX host and asks for reports is told of all
//! its recipient domains together, except of those whose own report goes to the same address (A2;
//! docs/decisions/0011-dane.md).

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::JoinSet;

use super::{
    DeliveryState, Step,
    agenda::Errand,
    courier::Courier,
    errand::Left,
    ledger::on_disk,
    listing::Note,
    outbox::Urge,
    schedule::Schedule,
    sources::{ComposeError, RuaSource},
};
use crate::{
    clock::{Timestamp, UtcDay},
    policy::{Destination, PolicyDomain, RuaRecord},
    store::{Store, StoreError, TlsaHosts},
};

/// How many records are looked up at once for one MX host's report.
const LOOKUPS_MAX: usize = 16;

/// How long all these lookups may take together.
// OURS: an MX host may take mail for ten thousand domains, and the name servers of some may be slow.
// What is not known by then counts as not told: told twice is better than told to nobody.
const LOOKUPS_LIMIT: Duration = Duration::from_secs(60);

/// How long after the last of its recipient domains' turns an MX host's comes.
// OURS: what an MX host is told hangs on where their reports went.
const TURN_AFTER_SECONDS: i64 = 60;

/// How long it waits each time for those that are still on their way.
const WAIT_SECONDS: i64 = 60;

/// How often: after half an hour what has not gone is told twice rather than to nobody.
const WAITS_MAX: u32 = 30;

/// Whose sessions go into one name's report, besides its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// The recipient domains whose mail went to the host under its TLSA records. Empty for a name that
    /// is the MX host of nobody else.
    pub recipients: Vec<PolicyDomain>,
    /// Where their own reports tell of them.
    told: BTreeMap<PolicyDomain, Vec<ToldTo>>,
}

/// A destination that a recipient domain's own report tells.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ToldTo {
    destination: Destination,
    /// Or it is to go there, by all that is known.
    went: bool,
}

/// How many recipient domains are named in a sentence.
const NAMED_MAX: usize = 5;

impl Shares {
    /// Whose sessions the report to this destination tells.
    #[must_use]
    pub fn of(&self, destination: &Destination) -> Vec<PolicyDomain> {
        let is_untold = |one: &&PolicyDomain| self.told_to(one, destination).is_none();
        self.recipients.iter().filter(is_untold).cloned().collect()
    }

    /// What the report to this destination leaves out and why, where it leaves out anything.
    #[must_use]
    pub fn left_out_in_words(&self, destination: &Destination) -> Option<String> {
        let told = |one| Some((one, self.told_to(one, destination)?));
        let left_out: Vec<_> = self.recipients.iter().filter_map(told).collect();
        if left_out.is_empty() {
            return None;
        }
        let mut text = format!(
            "{destination} gets the own reports of {} of the {} recipient domains, and is not told the \
             same again",
            left_out.len(),
            self.recipients.len()
        );
        let mut to_go = left_out.iter().filter(|(_, told)| !told.went);
        let named: Vec<&str> = to_go
            .by_ref()
            .take(NAMED_MAX)
            .map(|(domain, _)| domain.as_str())
            .collect();
        if !named.is_empty() {
            let _ = write!(text, "; not gone yet: {}", named.join(", "));
            match to_go.count() {
                0 => {}
                more => {
                    let _ = write!(text, " and {more} more");
                }
            }
        }
        Some(text)
    }

    fn told_to(&self, recipient: &PolicyDomain, destination: &Destination) -> Option<&ToldTo> {
        let mut told = self.told.get(recipient)?.iter();
        told.find(|told| is_same(&told.destination, destination))
    }
}

/// Whether a report went to its destination.
// OURS: one that did not may yet be given up, and then nobody would be told. Told twice is better.
const fn went(state: &DeliveryState) -> bool {
    matches!(state.step, Step::Sent(_))
}

/// Whether its first attempt is still to end.
const fn is_on_its_way(state: &DeliveryState) -> bool {
    matches!(state.step, Step::Due(_) | Step::Sending(_))
}

/// What of the recipient domains' own reports an MX host's leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeavesOut {
    /// What went to the same mailbox: whatever did not go may be given up.
    WhatWent,
    /// That, and what is to go there by all that is known, for an operator who does not wait for it.
    WhatWillGo,
}

/// Whether two destinations are one mailbox or one URI.
// OURS: the domain of a mailbox is normalised where the record is read. Letter case of the local part
// may mean something by RFC 5321 s2.4, and does not at any host we know of.
fn is_same(one: &Destination, other: &Destination) -> bool {
    match (one, other) {
        (Destination::Mail(one), Destination::Mail(other)) => one.eq_ignore_ascii_case(other),
        _ => one == other,
    }
}

/// The MX hosts of the days whose reports are on their way.
#[derive(Debug, Default)]
pub(super) struct Hosts(Mutex<BTreeMap<UtcDay, Arc<TlsaHosts>>>);

impl Hosts {
    /// Looks through a day, and keeps what is found.
    pub(super) async fn look(&self, store: &Arc<dyn Store>, day: UtcDay) -> Result<(), StoreError> {
        let found = on_disk(store, move |store| store.tlsa_hosts(day)).await?;
        self.with(|days| days.insert(day, Arc::new(found)));
        Ok(())
    }

    /// What is kept of a day; where nothing is, what is found now.
    pub(super) async fn of(
        &self,
        store: &Arc<dyn Store>,
        day: UtcDay,
    ) -> Result<Arc<TlsaHosts>, StoreError> {
        if let Some(kept) = self.with(|days| days.get(&day).cloned()) {
            return Ok(kept);
        }
        let found = on_disk(store, move |store| store.tlsa_hosts(day)).await?;
        Ok(Arc::new(found))
    }

    /// Lets go of a day.
    pub(super) fn forget(&self, day: UtcDay) {
        self.with(|days| days.remove(&day));
    }

    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<UtcDay, Arc<TlsaHosts>>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Courier {
    /// The recipient domains of a name whose sessions its report tells besides its own.
    fn others<'a>(
        &'a self,
        domain: &'a PolicyDomain,
        hosts: &'a TlsaHosts,
    ) -> impl Iterator<Item = &'a PolicyDomain> {
        // A domain that is its own MX host has its own sessions in its report already. A domain that gets
        // no report by configuration is told of to nobody.
        let is_another =
            move |one: &&PolicyDomain| *one != domain && !self.settings.never.contains(*one);
        hosts.recipients(domain).iter().filter(is_another)
    }

    /// When the turn of a name's report comes. An MX host's comes after those of its recipient domains, and no
    /// later than every report of the day has had its turn.
    pub(super) fn turn_at(
        &self,
        day: UtcDay,
        domain: &PolicyDomain,
        hosts: &TlsaHosts,
    ) -> Timestamp {
        let schedule = &self.settings.schedule;
        let own = schedule.due_at(day, domain);
        let theirs = self.others(domain, hosts);
        let last = theirs.map(|one| schedule.due_at(day, one)).max();
        last.map_or(own, |last| {
            let after = last.plus_seconds(TURN_AFTER_SECONDS);
            own.max(after.min(schedule.closes_at(day)))
        })
    }

    /// Puts off the report of an MX host some of whose recipient domains' own reports to the same mailbox are
    /// still to end their first attempt, as after a downtime, when all are due at once. Bounded.
    pub(super) async fn wait_for_recipients(
        &self,
        errand: &Errand,
        record: &RuaRecord,
    ) -> Result<Option<Left>, StoreError> {
        let times = self.notes.times_held_up(errand);
        if times >= WAITS_MAX || !self.ledger.states(errand).is_empty() {
            return Ok(None);
        }
        let hosts = self.hosts.of(&self.store, errand.day).await?;
        let is_to_same = |to: &Destination| record.destinations.iter().any(|one| is_same(one, to));
        let is_to_end = |domain: &PolicyDomain| {
            let theirs = Errand {
                day: errand.day,
                domain: domain.clone(),
            };
            let states = self.ledger.states(&theirs);
            match states.is_empty() {
                // What is left out is noted before the rest is written down.
                true => matches!(self.notes.of(&theirs), None | Some(Note::LeftOut(_))),
                false => states
                    .iter()
                    .any(|(to, state)| is_to_same(to) && is_on_its_way(state)),
            }
        };
        if !self.others(&errand.domain, &hosts).any(is_to_end) {
            return Ok(None);
        }
        let again_at = self.clock.now().plus_seconds(WAIT_SECONDS);
        let note = Note::HeldUp {
            reason: "its recipient domains' own reports are on their way".to_owned(),
            again_at,
            times: times.saturating_add(1),
        };
        self.notes.set(errand, note);
        Ok(Some(Left {
            again_at: Some(again_at),
            ..Left::default()
        }))
    }

    /// Whose sessions go into the report of a name for a day, besides its own. `record` is what the name
    /// itself publishes: without one nobody is told, and nobody is asked.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn shares(
        &self,
        day: UtcDay,
        domain: &PolicyDomain,
        record: Option<&RuaRecord>,
        leaves_out: LeavesOut,
    ) -> Result<Shares, ComposeError> {
        let hosts = self.hosts.of(&self.store, day).await?;
        let recipients: Vec<PolicyDomain> = self.others(domain, &hosts).cloned().collect();
        let told = if recipients.is_empty() || record.is_none() {
            BTreeMap::new()
        } else {
            self.told(day, &recipients, leaves_out).await?
        };
        Ok(Shares { recipients, told })
    }

    /// Where the own report of each domain went, or will go.
    async fn told(
        &self,
        day: UtcDay,
        domains: &[PolicyDomain],
        leaves_out: LeavesOut,
    ) -> Result<BTreeMap<PolicyDomain, Vec<ToldTo>>, ComposeError> {
        self.ledger.load(day).await?;
        let mut told = BTreeMap::new();
        let mut unknown = Vec::new();
        for domain in domains {
            let errand = Errand {
                day,
                domain: domain.clone(),
            };
            let states = self.ledger.states(&errand);
            if !states.is_empty() {
                let will_go = leaves_out == LeavesOut::WhatWillGo;
                let goes = |state: &DeliveryState| went(state) || (will_go && is_on_its_way(state));
                let arrives = states.into_iter().filter(|(_, state)| goes(state));
                let told_to = arrives.map(|(destination, state)| ToldTo {
                    destination,
                    went: went(&state),
                });
                told.insert(domain.clone(), told_to.collect());
            } else if leaves_out == LeavesOut::WhatWillGo && self.may_yet_be_told(&errand) {
                unknown.push(domain.clone());
            }
        }
        for (domain, record) in lookups(&self.rua, unknown).await {
            let errand = Errand {
                day,
                domain: domain.clone(),
            };
            let chosen = self.choose(&errand, Some(&record), Urge::WhenDue);
            let (reports, asked) = (Arc::clone(&self.reports), domain.clone());
            let owes = tokio::task::spawn_blocking(move || reports.is_owed(&asked, day)).await;
            if owes.map_err(|trouble| ComposeError::Report(trouble.to_string()))?? {
                let told_to = chosen.destinations.into_iter().map(|destination| ToldTo {
                    destination,
                    went: false,
                });
                told.insert(domain, told_to.collect());
            }
        }
        Ok(told)
    }

    /// Whether a domain without a delivery may still have one, as far as is known.
    fn may_yet_be_told(&self, errand: &Errand) -> bool {
        Schedule::is_current(errand.day, self.clock.now())
            && match self.notes.of(errand) {
                None | Some(Note::HeldUp { .. } | Note::LeftOut(_)) => true,
                Some(Note::Never | Note::NoRecord | Note::TooOld) => false,
                Some(Note::NothingToReport | Note::ToldAlready) => false,
            }
    }
}

/// The records of domains that ask for reports, as far as they can be found out in time.
async fn lookups(
    rua: &Arc<dyn RuaSource>,
    domains: Vec<PolicyDomain>,
) -> Vec<(PolicyDomain, RuaRecord)> {
    let mut found = Vec::new();
    let mut left = domains.into_iter();
    let mut running = JoinSet::new();
    let mut look = |running: &mut JoinSet<_>| {
        let domain = left.next()?;
        let rua = Arc::clone(rua);
        running.spawn(async move {
            let record = rua.rua(&domain).await.ok().flatten();
            (domain, record)
        });
        Some(())
    };
    let all = async {
        for _ in 0..LOOKUPS_MAX {
            look(&mut running);
        }
        while let Some(ended) = running.join_next().await {
            look(&mut running);
            if let Ok((domain, Some(record))) = ended {
                found.push((domain, record));
            }
        }
    };
    if tokio::time::timeout(LOOKUPS_LIMIT, all).await.is_err() {
        tracing::info!(
            "not every recipient domain of an MX host could be asked where it reports to"
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a2_only_what_went_is_left_out_and_only_a_first_attempt_is_waited_for() {
        let at = Timestamp(0);
        let reason = || "451 come later".to_owned();
        for (step, expected) in [
            (Step::Due(at), (false, true)),
            (Step::Sending(at), (false, true)),
            (Step::Sent(at), (true, false)),
            (
                Step::RetryAt {
                    at,
                    reason: reason(),
                },
                (false, false),
            ),
            (
                Step::GivenUp {
                    at,
                    reason: reason(),
                },
                (false, false),
            ),
        ] {
            let state = DeliveryState {
                report_id: "1@sender.example".to_owned(),
                attempts: 1,
                first_attempt_at: Some(at),
                step,
            };
            assert_eq!((went(&state), is_on_its_way(&state)), expected, "{state:?}");
        }
    }

    #[test]
    fn a2_a_destination_is_not_told_twice_however_it_is_written() {
        let mail = |mailbox: &str| Destination::Mail(mailbox.to_owned());
        let domain = |name: &str| -> PolicyDomain { name.parse().unwrap() };
        let (a, b) = (domain("a.example"), domain("b.example"));
        let told = |mailbox| ToldTo {
            destination: mail(mailbox),
            went: true,
        };
        let shares = Shares {
            recipients: vec![a.clone(), b.clone()],
            told: BTreeMap::from([(
                a.clone(),
                vec![told("x@a.example"), told("TLS@host.example")],
            )]),
        };
        for (destination, expected) in [
            (mail("tls@host.example"), vec![b.clone()]),
            (mail("tls@other.example"), vec![a.clone(), b.clone()]),
            (
                Destination::Https("https://host.example/".to_owned()),
                vec![a, b],
            ),
        ] {
            assert_eq!(shares.of(&destination), expected, "{destination}");
        }
    }

    #[test]
    fn a2_what_is_left_out_is_said_and_which_of_it_has_not_gone_yet() {
        let to = Destination::Mail("tls@host.example".to_owned());
        let domain =
            |number: usize| -> PolicyDomain { format!("{number}.example").parse().unwrap() };
        let shares = |went: usize, to_go: usize| {
            let told = |number| ToldTo {
                destination: to.clone(),
                went: number < went,
            };
            let told = (0..went + to_go).map(|number| (domain(number), vec![told(number)]));
            Shares {
                recipients: (0..9).map(domain).collect(),
                told: told.collect(),
            }
        };
        for (went, to_go, expected) in [
            (0, 0, None),
            (
                2,
                0,
                Some("2 of the 9 recipient domains, and is not told the same again"),
            ),
            (
                1,
                1,
                Some(
                    "2 of the 9 recipient domains, and is not told the same again; not gone yet: 1.example",
                ),
            ),
            (
                1,
                7,
                Some(
                    "8 of the 9 recipient domains, and is not told the same again; not gone yet: \
                     1.example, 2.example, 3.example, 4.example, 5.example and 2 more",
                ),
            ),
        ] {
            let said = shares(went, to_go).left_out_in_words(&to);
            let expected = expected
                .map(|words| format!("mailto:tls@host.example gets the own reports of {words}"));
            assert_eq!(said, expected);
        }
    }
}
