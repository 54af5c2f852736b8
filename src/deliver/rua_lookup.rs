//! Where a domain wants its reports, as far as that can be found out, and what of it is served.

use super::{
    agenda::Errand,
    courier::Courier,
    destinations::{self, Chosen, SoFar},
    outbox::{self, Urge},
    suppression::Suppression,
};
use crate::{
    clock::UtcDay,
    net::dns::DnsError,
    policy::{Destination, PolicyDomain, RuaRecord},
    store::StoreError,
};

impl Courier {
    /// The record that an attempt goes by; `None` where the domain asks for no reports.
    // A16: it is looked up before each attempt; A15: a failed lookup is no absence.
    pub(super) async fn record(
        &self,
        errand: &Errand,
        urge: Urge,
    ) -> Result<Option<RuaRecord>, DnsError> {
        let error = match self.rua.rua(&errand.domain).await {
            Ok(record) => return Ok(record),
            // A name too long to be asked for publishes nothing.
            Err(DnsError::BadName { .. }) => return Ok(None),
            Err(error) => error,
        };
        let (domain, day) = (&errand.domain, errand.day);
        let Some(learnt) = self.learnt(errand, urge) else {
            tracing::info!(
                %domain, %day, reason = %error,
                "where to report cannot be looked up; it is tried again"
            );
            return Err(error);
        };
        tracing::info!(
            %domain, %day, reason = %error,
            "where to report cannot be looked up in time; the report goes where it was last wanted"
        );
        Ok(Some(learnt))
    }

    /// Where the report was wanted when that could last be found out, if there is no time to ask again.
    // OURS (A16): an attacker who can suppress lookups would otherwise suppress the report that tells of
    // him. docs/decisions/0012-destinations.md
    fn learnt(&self, errand: &Errand, urge: Urge) -> Option<RuaRecord> {
        let states = self.ledger.states(errand);
        let due_at = self.settings.schedule.due_at(errand.day, &errand.domain);
        let (retry, now) = (&self.settings.retry, self.clock.now());
        let wait_seconds = self.wait_seconds(errand);
        if urge != Urge::WhenDue
            || !outbox::is_last_lookup(&states, due_at, retry, now, wait_seconds)
        {
            return None;
        }
        let learnt = self.rua.learnt(&errand.domain, errand.day.first_second());
        learnt.or_else(|| {
            // A process that has begun since then knows what is under way.
            let open = states
                .into_iter()
                .filter(|(_, state)| !outbox::is_finished(state));
            let destinations: Vec<_> = open.map(|(destination, _)| destination).collect();
            (!destinations.is_empty()).then(|| RuaRecord {
                destinations,
                skipped: Vec::new(),
            })
        })
    }

    /// Where the report of an errand goes, by a record and by what became of it so far.
    pub(super) fn choose(&self, errand: &Errand, record: Option<&RuaRecord>, urge: Urge) -> Chosen {
        let states = self.ledger.states(errand);
        let so_far = SoFar {
            states: &states,
            reports_to: &|host| self.ledger.reports_to(host, errand.day),
            suppressed: &|destination| self.suppressed(destination, urge),
        };
        destinations::choose(&errand.domain, record, &self.settings.rules, &so_far)
    }

    /// Why nothing is sent to a destination now, if it is suppressed.
    // OURS: an operator who has one domain's report sent wants to see whether it is taken by now. What
    // operators suppressed themselves they lift themselves.
    pub(super) fn suppressed(&self, destination: &Destination, urge: Urge) -> Option<Suppression> {
        let now = self.clock.now();
        let suppression = self.suppressions.of(destination)?;
        let holds = match urge {
            Urge::Insisting => suppression.holds_by_operator(now),
            Urge::WhenDue | Urge::Now => suppression.holds(now),
        };
        holds.then_some(suppression)
    }

    /// The same for an operator, who may ask for any day.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn destinations(
        &self,
        day: UtcDay,
        domain: &PolicyDomain,
        record: &RuaRecord,
    ) -> Result<Chosen, StoreError> {
        self.ledger.load(day).await?;
        self.suppressions.load().await?;
        let domain = domain.clone();
        Ok(self.choose(&Errand { day, domain }, Some(record), Urge::WhenDue))
    }
}
