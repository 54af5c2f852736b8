//! One errand: a domain's report for a day, brought to each of its destinations.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    DeliveryKey, DeliveryState, Step,
    agenda::Errand,
    courier::Courier,
    ledger::on_disk,
    listing::Note,
    outbox::{self, Action, Urge},
    schedule::Schedule,
    sources::{ComposeError, FinishedReport},
};
use crate::{
    clock::{Timestamp, UtcDay},
    net::{
        dns::DnsError,
        smtp::{Accepted, Envelope, SendError},
    },
    policy::{Destination, PolicyDomain, RuaRecord},
    store::StoreError,
};

/// What is left of an errand that was run.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Run it again then.
    pub(super) again_at: Option<Timestamp>,
    /// Run it again when there is room on the way to this host.
    pub(super) parked_for: Option<String>,
}

/// Why an errand stopped half-way. It is run again later.
enum Stop {
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

    async fn advance(&self, errand: &Errand, urge: Urge) -> Result<Left, Stop> {
        self.ledger.pay(Some(errand)).await?;
        if self.close_overdue(errand, urge).await? {
            return Ok(Left::default());
        }
        // A16: the record is looked up before each attempt; A15: a failed lookup is no absence.
        let record = match self.rua.rua(&errand.domain).await {
            Ok(record) => record,
            // A name too long to be asked for publishes nothing.
            Err(DnsError::BadName { .. }) => None,
            Err(error) => {
                let reason = error.to_string();
                tracing::info!(
                    domain = %errand.domain, day = %errand.day, reason,
                    "where to report cannot be looked up; it is tried again"
                );
                return Ok(self.hold_up(errand, reason));
            }
        };
        let comparison = outbox::compare(&self.ledger.states(errand), record.as_ref());
        self.drop_unnamed(errand, &comparison.dropped).await?;
        self.note_record(errand, record.as_ref(), &comparison.left_out);
        let states = self.ledger.states(errand);
        let acts = |state: &DeliveryState| self.action(errand, state, urge) == Action::Attempt;
        let named = |destination: &Destination| is_named(record.as_ref(), destination);
        let any_due = states.iter().any(|(to, state)| named(to) && acts(state));
        if comparison.added.is_empty() && !any_due {
            return Ok(self.left(errand, &BTreeMap::new()));
        }
        let Some(report) = self.compose(errand).await? else {
            for (destination, state) in states.iter().filter(|(_, state)| acts(state)) {
                let reason = "nothing is to be reported any more";
                self.give_up(errand, destination, state, reason).await?;
            }
            self.notes.set(errand, Note::NothingToReport);
            return Ok(self.left(errand, &BTreeMap::new()));
        };
        self.plan(errand, comparison.added, &*report).await?;
        let mut parked = BTreeMap::new();
        for (destination, state) in self.ledger.states(errand) {
            let Destination::Mail(mailbox) = &destination else {
                continue;
            };
            if !named(&destination) || !acts(&state) {
                continue;
            }
            let host = mailbox.rsplit('@').next().unwrap_or(mailbox);
            let Some(place) = self.under_way.take_host(host) else {
                parked.insert(destination.clone(), host.to_owned());
                continue;
            };
            self.attempt(errand, mailbox, &state, &report).await?;
            drop(place);
        }
        Ok(self.left(errand, &parked))
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
        Ok(urge == Urge::WhenDue && self.ledger.states(errand).values().all(outbox::is_finished))
    }

    /// Gives up what the domain's record no longer names.
    async fn drop_unnamed(&self, errand: &Errand, dropped: &[Destination]) -> Result<(), Stop> {
        let states = self.ledger.states(errand);
        for destination in dropped {
            if let Some(state) = states.get(destination) {
                let reason = "the domain's record no longer names it";
                self.give_up(errand, destination, state, reason).await?;
            }
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

    /// Runs an errand again later that our own or the resolver's trouble stopped.
    fn hold_up(&self, errand: &Errand, reason: String) -> Left {
        let times = self.notes.times_held_up(errand).saturating_add(1);
        let wait_seconds = self.settings.retry.wait_seconds(times);
        let again_at = self.clock.now().plus_seconds(wait_seconds);
        let note = Note::HeldUp {
            reason,
            again_at,
            times,
        };
        self.notes.set(errand, note);
        Left {
            again_at: Some(again_at),
            parked_for: None,
        }
    }

    /// Says what the record means where it means that nothing, or not everything, is sent.
    fn note_record(&self, errand: &Errand, record: Option<&RuaRecord>, left_out: &[Destination]) {
        let (domain, day) = (&errand.domain, errand.day);
        if record.is_none() {
            tracing::debug!(%domain, %day, "the domain asks for no reports");
            self.notes.set(errand, Note::NoRecord);
            return;
        }
        for destination in left_out {
            tracing::info!(
                %domain, %day, %destination,
                "a destination is left out: https destinations come with a later release"
            );
        }
        if left_out.is_empty() {
            self.notes.clear(errand);
        } else {
            self.notes.set(errand, Note::LeftOut(left_out.to_vec()));
        }
    }

    async fn compose(&self, errand: &Errand) -> Result<Option<Arc<dyn FinishedReport>>, Stop> {
        let (reports, errand) = (Arc::clone(&self.reports), errand.clone());
        let composing =
            tokio::task::spawn_blocking(move || reports.compose(&errand.domain, errand.day));
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
        added: Vec<Destination>,
        report: &dyn FinishedReport,
    ) -> Result<(), Stop> {
        let now = self.clock.now();
        for destination in added {
            let state = outbox::planned(report.report_id().to_owned(), now);
            self.ledger
                .write(&key(errand, &destination), &state)
                .await?;
        }
        Ok(())
    }

    /// One attempt: on the disk before the world can see it.
    async fn attempt(
        &self,
        errand: &Errand,
        mailbox: &str,
        state: &DeliveryState,
        report: &Arc<dyn FinishedReport>,
    ) -> Result<(), Stop> {
        let retry = &self.settings.retry;
        let now = self.clock.now();
        let mut begun = outbox::begun(state, retry, now);
        if begun.report_id != report.report_id() {
            // OURS: the id follows from the domain, the day and our own name. If the operator changed
            // that between two attempts, we are another submitter, and what is sent is written down.
            tracing::warn!(
                domain = %errand.domain, day = %errand.day, before = begun.report_id,
                now = report.report_id(), "the report has another id: our own name has changed"
            );
            report.report_id().clone_into(&mut begun.report_id);
        }
        let destination = Destination::Mail(mailbox.to_owned());
        let key = key(errand, &destination);
        self.ledger.write(&key, &begun).await?;
        let outcome = match build(report, mailbox, now, begun.attempts).await {
            Ok(message) => {
                let envelope = Envelope {
                    from: self.settings.envelope_from.clone(),
                    to: mailbox.to_owned(),
                };
                self.transport.send(&envelope, &message).await
            }
            // It will be the same mailbox the next time.
            Err(error @ ComposeError::Recipient(_)) => Err(SendError::Permanent {
                code: None,
                reason: error.to_string(),
            }),
            // It fails as an attempt would: another destination's mail may well be built.
            Err(error) => Err(SendError::Temporary {
                code: None,
                reason: error.to_string(),
            }),
        };
        let settled = outbox::settled(&begun, &outcome, retry, self.clock.now());
        self.say(errand, &destination, &settled, &outcome);
        Ok(self.ledger.record(&key, &settled).await?)
    }

    /// Logs and counts what became of an attempt.
    fn say(
        &self,
        errand: &Errand,
        destination: &Destination,
        state: &DeliveryState,
        outcome: &Result<Accepted, SendError>,
    ) {
        let (domain, day) = (&errand.domain, errand.day);
        let (report_id, attempt) = (&state.report_id, state.attempts);
        match (&state.step, outcome) {
            (_, Ok(accepted)) => {
                self.counters.reports_sent.count();
                tracing::info!(
                    %domain, %day, %destination, report_id, attempt, by = accepted.by,
                    channel = accepted.channel.name(), reply = accepted.reply, "the report is sent"
                );
            }
            (Step::RetryAt { at, reason }, Err(_)) => {
                self.counters.report_attempts_failed.count();
                tracing::info!(
                    %domain, %day, %destination, report_id, attempt, reason, again_at = %at,
                    "the report was not taken; it is tried again"
                );
            }
            (_, Err(error)) => {
                self.counters.reports_given_up.count();
                tracing::warn!(
                    %domain, %day, %destination, report_id, attempt, reason = %error,
                    "the report is given up"
                );
            }
        }
    }

    /// When the errand must be run again, by what is unfinished and not parked.
    // Not by what is later than now: a moment may come while this very errand ends.
    fn left(&self, errand: &Errand, parked: &BTreeMap<Destination, String>) -> Left {
        let now = self.clock.now();
        let states = self.ledger.states(errand);
        let moments = states
            .iter()
            .filter(|(destination, _)| !parked.contains_key(*destination))
            .filter_map(|(_, state)| outbox::wake_at(state, now));
        Left {
            again_at: moments.min(),
            parked_for: parked.values().next().cloned(),
        }
    }

    /// The domains that have anything on a day, less those that get no report.
    pub(super) async fn domains(&self, day: UtcDay) -> Result<Vec<PolicyDomain>, StoreError> {
        let mut domains = on_disk(&self.store, move |store| store.domains(day)).await?;
        domains.retain(|domain| !self.settings.never.contains(domain));
        Ok(domains)
    }
}

/// Builds and signs the mail to one mailbox, which takes a while.
async fn build(
    report: &Arc<dyn FinishedReport>,
    mailbox: &str,
    date: Timestamp,
    attempt: u32,
) -> Result<Vec<u8>, ComposeError> {
    let (report, to) = (Arc::clone(report), mailbox.to_owned());
    let building = tokio::task::spawn_blocking(move || report.mail(&to, date, attempt));
    building
        .await
        .unwrap_or_else(|trouble| Err(ComposeError::Report(trouble.to_string())))
}

fn key(errand: &Errand, destination: &Destination) -> DeliveryKey {
    DeliveryKey {
        day: errand.day,
        domain: errand.domain.clone(),
        destination: destination.clone(),
    }
}

fn is_named(record: Option<&RuaRecord>, destination: &Destination) -> bool {
    record.is_some_and(|record| record.destinations.contains(destination))
}
