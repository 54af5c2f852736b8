//! One errand: a domain's report for a day, brought to each of its destinations.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    DeliveryKey, DeliveryState,
    agenda::Errand,
    courier::Courier,
    destinations::{self, LeftOut, Why},
    ledger::on_disk,
    listing::{Note, Part},
    outbox::{self, Action, Urge},
    schedule::Schedule,
    shares::{LeavesOut, Shares},
    sources::{ComposeError, FinishedReport},
    under_way::Busy,
};
use crate::{
    clock::{Timestamp, UtcDay},
    policy::{Destination, PolicyDomain, RuaRecord},
    store::{StoreError, TlsaHosts},
};

/// What is left of an errand that was run.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Run it again then.
    pub(super) again_at: Option<Timestamp>,
    /// Run it again when there is room on the way to this host.
    pub(super) parked_for: Option<String>,
    /// Run it again then, for an attempt whose turn has not come.
    pub(super) turn_at: Option<Timestamp>,
}

/// What one pass through an errand came to.
enum Pass {
    /// Another destination's turn has come.
    Again,
    /// Nothing more can be done now.
    Ended(Left),
}

/// Why an errand stopped half-way. It is run again later.
pub(super) enum Stop {
    Store(StoreError),
    Compose(ComposeError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ComposeError> for Stop {
    fn from(error: ComposeError) -> Self {
        Self::Compose(error)
    }
}

impl Courier {
    /// Runs an errand as far as it goes now.
    pub(super) async fn run_errand(&self, errand: &Errand, urge: Urge) -> Left {
        let trouble = match self.advance(errand, urge).await {
            Ok(left) => return left,
            Err(Stop::Store(error)) => error.to_string(),
            Err(Stop::Compose(error)) => error.to_string(),
        };
        tracing::error!(domain = %errand.domain, day = %errand.day, trouble, "a report is held up");
        self.hold_up(errand, trouble)
    }

    /// Goes through the errand, and once more where an attempt gave another destination its turn.
    async fn advance(&self, errand: &Errand, urge: Urge) -> Result<Left, Stop> {
        let mut attempted = BTreeSet::new();
        loop {
            match self.pass(errand, urge, &mut attempted).await? {
                Pass::Again => {}
                Pass::Ended(left) => return Ok(left),
            }
        }
    }

    async fn pass(
        &self,
        errand: &Errand,
        urge: Urge,
        attempted: &mut BTreeSet<Destination>,
    ) -> Result<Pass, Stop> {
        self.ledger.pay(Some(errand)).await?;
        self.suppressions.load().await?;
        if self.close_overdue(errand, urge).await? {
            return Ok(Pass::Ended(Left::default()));
        }
        let record = match self.record(errand, urge).await {
            Ok(record) => record,
            Err(error) => return Ok(Pass::Ended(self.hold_up(errand, error.to_string()))),
        };
        if let (Some(record), Urge::WhenDue) = (&record, urge)
            && let Some(left) = self.wait_for_recipients(errand, record).await?
        {
            return Ok(Pass::Ended(left));
        }
        let chosen = self.choose(errand, record.as_ref(), urge);
        let comparison = outbox::compare(&self.ledger.states(errand), &chosen.destinations);
        self.drop_unserved(errand, &comparison.dropped, &chosen.left_out)
            .await?;
        self.note_record(errand, record.as_ref(), &chosen.left_out);
        let states = self.ledger.states(errand);
        let acts = |to: &Destination, state: &DeliveryState| {
            !attempted.contains(to) && self.action(errand, state, urge) == Action::Attempt
        };
        let named = |destination: &Destination| chosen.destinations.contains(destination);
        let any_due = states
            .iter()
            .any(|(to, state)| named(to) && acts(to, state));
        if comparison.added.is_empty() && !any_due {
            return Ok(Pass::Ended(self.left(errand, &BTreeMap::new())));
        }
        let due = states
            .iter()
            .filter(|(to, state)| named(to) && acts(to, state));
        let wanted = comparison.added.iter().chain(due.map(|(to, _)| to));
        let leaves_out = match urge {
            Urge::WhenDue => LeavesOut::WhatWent,
            Urge::Now | Urge::Insisting => LeavesOut::WhatWillGo,
        };
        let shares = self.shares(errand.day, &errand.domain, record.as_ref(), leaves_out);
        let wanted: Vec<Destination> = wanted.cloned().collect();
        let reports = self.compose(errand, &shares.await?, wanted).await?;
        for (to, state) in states.iter().filter(|(to, _)| named(to)) {
            if !outbox::is_finished(state) && acts(to, state) && !reports.contains_key(to) {
                let reason = "nothing is to be reported any more";
                self.give_up(errand, to, state, reason).await?;
            }
        }
        self.plan(errand, &comparison.added, &reports).await?;
        let waiting = self.attempt_all(errand, urge, &reports, attempted).await?;
        // A13: where the last mailbox was lost just now, the turn of the others has come.
        let next = self.choose(errand, record.as_ref(), urge).destinations;
        if next.iter().any(|to| !chosen.destinations.contains(to)) {
            return Ok(Pass::Again);
        }
        Ok(Pass::Ended(self.left(errand, &waiting)))
    }

    /// An attempt to each destination whose turn it is. Returns those that wait for their host.
    async fn attempt_all(
        &self,
        errand: &Errand,
        urge: Urge,
        reports: &BTreeMap<Destination, Arc<dyn FinishedReport>>,
        attempted: &mut BTreeSet<Destination>,
    ) -> Result<BTreeMap<Destination, (String, Busy)>, Stop> {
        let mut waiting = BTreeMap::new();
        for (destination, state) in self.ledger.states(errand) {
            if attempted.contains(&destination)
                || self.action(errand, &state, urge) != Action::Attempt
            {
                continue;
            }
            let Some(report) = reports.get(&destination) else {
                continue;
            };
            let host = destination.host();
            let place = match self.under_way.take_host(&host, self.clock.now()) {
                Ok(place) => place,
                Err(busy) => {
                    waiting.insert(destination, (host, busy));
                    continue;
                }
            };
            attempted.insert(destination.clone());
            self.attempt(errand, &destination, &state, report).await?;
            drop(place);
        }
        Ok(waiting)
    }

    fn action(&self, errand: &Errand, state: &DeliveryState, urge: Urge) -> Action {
        let (retry, now) = (&self.settings.retry, self.clock.now());
        outbox::action(errand.day, state, retry, now, urge)
    }

    /// Gives up what is too late. Says whether nothing is left to do for the errand.
    async fn close_overdue(&self, errand: &Errand, urge: Urge) -> Result<bool, Stop> {
        let states = self.ledger.states(errand);
        for (destination, state) in &states {
            if let Action::GiveUp(reason) = self.action(errand, state, urge) {
                self.give_up(errand, destination, state, reason).await?;
            }
        }
        if states.is_empty() {
            // Its lookups failed until now, or the clock was set on.
            let too_old =
                urge == Urge::WhenDue && !Schedule::is_current(errand.day, self.clock.now());
            if too_old {
                tracing::warn!(domain = %errand.domain, day = %errand.day, "no report: the day is too old");
                self.notes.set(errand, Note::TooOld);
            }
            return Ok(too_old);
        }
        let states = self.ledger.states(errand);
        let is_open = destinations::may_fall_back(&self.settings.rules, &states);
        Ok(urge == Urge::WhenDue && !is_open && states.values().all(outbox::is_finished))
    }

    /// Gives up what the domain's record no longer names, or the operator no longer serves.
    async fn drop_unserved(
        &self,
        errand: &Errand,
        dropped: &[Destination],
        left_out: &[LeftOut],
    ) -> Result<(), Stop> {
        let states = self.ledger.states(errand);
        for destination in dropped {
            let Some(state) = states.get(destination) else {
                continue;
            };
            let named = left_out.iter().find(|one| one.destination == *destination);
            let reason = named.map_or_else(
                || "the domain's record no longer names it".to_owned(),
                |left_out| left_out.why.to_string(),
            );
            self.give_up(errand, destination, state, &reason).await?;
        }
        Ok(())
    }

    async fn give_up(
        &self,
        errand: &Errand,
        destination: &Destination,
        state: &DeliveryState,
        reason: &str,
    ) -> Result<(), Stop> {
        let state = outbox::given_up(state, reason, self.clock.now());
        self.ledger.write(&key(errand, destination), &state).await?;
        self.counters.reports_given_up.count();
        tracing::warn!(
            domain = %errand.domain, day = %errand.day, %destination,
            report_id = state.report_id, reason, "the report is given up"
        );
        Ok(())
    }

    /// How long an errand that is held up now waits.
    pub(super) fn wait_seconds(&self, errand: &Errand) -> i64 {
        let times = self.notes.times_held_up(errand).saturating_add(1);
        self.settings.retry.wait_seconds(times)
    }

    /// Runs an errand again later that our own or the resolver's trouble stopped.
    fn hold_up(&self, errand: &Errand, reason: String) -> Left {
        let times = self.notes.times_held_up(errand).saturating_add(1);
        let again_at = self.clock.now().plus_seconds(self.wait_seconds(errand));
        let note = Note::HeldUp {
            reason,
            again_at,
            times,
        };
        self.notes.set(errand, note);
        Left {
            again_at: Some(again_at),
            ..Left::default()
        }
    }

    /// Says what the record means where it means that nothing, or not everything, is sent.
    fn note_record(&self, errand: &Errand, record: Option<&RuaRecord>, left_out: &[LeftOut]) {
        let (domain, day) = (&errand.domain, errand.day);
        if record.is_none() {
            tracing::debug!(%domain, %day, "the domain asks for no reports");
            self.notes.set(errand, Note::NoRecord);
            return;
        }
        let states = self.ledger.states(errand);
        // What refused this very report has a state that says so.
        let is_told = |one: &LeftOut| {
            matches!(one.why, Why::Suppressed(_)) && states.contains_key(&one.destination)
        };
        let left_out: Vec<_> = left_out
            .iter()
            .filter(|one| !is_told(one))
            .cloned()
            .collect();
        let noted = self.notes.of(errand);
        for left_out in &left_out {
            tracing::info!(%domain, %day, %left_out, "a destination gets no report");
            // An errand is run several times, and each report is missed once.
            let is_known =
                matches!(&noted, Some(Note::LeftOut(before)) if before.contains(left_out));
            if matches!(left_out.why, Why::HostFull(_)) && !is_known {
                self.counters.reports_left_out_host_full.count();
            }
        }
        if left_out.is_empty() {
            self.notes.clear(errand);
        } else {
            self.notes.set(errand, Note::LeftOut(left_out));
        }
    }

    /// The report to each destination that there is something to report to.
    // Only an MX host's may differ: no destination is told twice what recipient domains' own reports say.
    async fn compose(
        &self,
        errand: &Errand,
        shares: &Shares,
        wanted: Vec<Destination>,
    ) -> Result<BTreeMap<Destination, Arc<dyn FinishedReport>>, Stop> {
        let mut made: BTreeMap<Vec<PolicyDomain>, Option<Arc<dyn FinishedReport>>> =
            BTreeMap::new();
        let mut reports = BTreeMap::new();
        for destination in wanted {
            let share = shares.of(&destination);
            let report = match made.get(&share) {
                Some(report) => report.clone(),
                None => {
                    let report = self.compose_with(errand, share.clone()).await?;
                    made.entry(share).or_insert(report).clone()
                }
            };
            reports.extend(report.map(|report| (destination, report)));
        }
        if reports.is_empty() {
            let told_all = !shares.recipients.is_empty() && made.keys().all(Vec::is_empty);
            self.notes.set(
                errand,
                if told_all {
                    Note::ToldAlready
                } else {
                    Note::NothingToReport
                },
            );
        }
        Ok(reports)
    }

    async fn compose_with(
        &self,
        errand: &Errand,
        recipients: Vec<PolicyDomain>,
    ) -> Result<Option<Arc<dyn FinishedReport>>, ComposeError> {
        let (reports, errand) = (Arc::clone(&self.reports), errand.clone());
        let composing = tokio::task::spawn_blocking(move || {
            reports.compose(&errand.domain, errand.day, &recipients)
        });
        let report = composing
            .await
            .map_err(|trouble| ComposeError::Report(trouble.to_string()))??;
        Ok(report.map(Arc::from))
    }

    /// Takes down every new destination before the first attempt begins.
    // As long as one of a domain's deliveries is `Due`, the record is looked up again after a
    // restart; so a crash within this loop loses none of them.
    async fn plan(
        &self,
        errand: &Errand,
        added: &[Destination],
        reports: &BTreeMap<Destination, Arc<dyn FinishedReport>>,
    ) -> Result<(), Stop> {
        let now = self.clock.now();
        let to_report = added.iter().filter_map(|to| reports.get_key_value(to));
        for (destination, report) in to_report {
            let state = outbox::planned(report.report_id().to_owned(), now);
            self.ledger.write(&key(errand, destination), &state).await?;
        }
        Ok(())
    }

    /// When the errand must be run again, by what is unfinished and not waiting for its host.
    // Not by what is later than now: a moment may come while this very errand ends.
    fn left(&self, errand: &Errand, waiting: &BTreeMap<Destination, (String, Busy)>) -> Left {
        let now = self.clock.now();
        let states = self.ledger.states(errand);
        let moments = states
            .iter()
            .filter(|(destination, _)| !waiting.contains_key(*destination))
            .filter_map(|(_, state)| outbox::wake_at(state, now));
        let mut parked = waiting.values().filter(|(_, busy)| *busy == Busy::AtOnce);
        let turns = waiting.values().filter_map(|(_, busy)| match busy {
            Busy::AtOnce => None,
            Busy::Until(at) => Some(*at),
        });
        Left {
            again_at: moments.min(),
            parked_for: parked.next().map(|(host, _)| host.clone()),
            turn_at: turns.min(),
        }
    }

    /// The names that have anything on a day as recipient domains or MX hosts.
    pub(super) async fn names_held(
        &self,
        day: UtcDay,
        hosts: &TlsaHosts,
    ) -> Result<BTreeMap<PolicyDomain, Part>, StoreError> {
        let domains = on_disk(&self.store, move |store| store.domains(day)).await?;
        let hosts = hosts.hosts().map(|host| (host.clone(), Part::MxHost));
        let mut names: BTreeMap<_, _> = hosts.collect();
        names.extend(domains.into_iter().map(|domain| (domain, Part::Recipient)));
        Ok(names)
    }

    /// The same, less those that get no report.
    pub(super) async fn names(
        &self,
        day: UtcDay,
        hosts: &TlsaHosts,
    ) -> Result<BTreeMap<PolicyDomain, Part>, StoreError> {
        let mut names = self.names_held(day, hosts).await?;
        names.retain(|domain, _| !self.settings.never.contains(domain));
        Ok(names)
    }
}

pub(super) fn key(errand: &Errand, destination: &Destination) -> DeliveryKey {
    DeliveryKey {
        day: errand.day,
        domain: errand.domain.clone(),
        destination: destination.clone(),
    }
}
