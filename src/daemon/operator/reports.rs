//! What operators ask about reports: how they stand, what one says, and that they leave now.

use std::collections::BTreeSet;

use super::Operator;
use crate::{
    clock::{Timestamp, UtcDay},
    ctl::{
        control::Replied,
        protocol::{Refusal, RefusalKind},
        wire::{DeliveryView, ReportView, ReportsSent, SendOutcome, SendView, UndeliveredView},
    },
    deliver::{
        DeliveryKey, DeliveryState, Step,
        courier::SendDayError,
        listing::{Listed, Note},
        schedule::Schedule,
        shares::LeavesOut,
    },
    policy::{Destination, PolicyDomain, RuaDiscovery},
};

impl Operator {
    pub(super) async fn listed(
        &self,
        day: UtcDay,
        domain: Option<&PolicyDomain>,
    ) -> Replied<Vec<Listed>> {
        let listed = self.courier.list(day).await;
        let mut listed = listed.map_err(|error| Refusal::trouble(error.to_string()))?;
        listed.retain(|one| is_asked_for(one, domain));
        Ok(listed)
    }

    pub(super) async fn view(&self, day: UtcDay, domain: PolicyDomain) -> Replied<ReportView> {
        self.sync().await;
        let rua = self.keeper.rua(&domain).await;
        let mut notes = Vec::new();
        let recipients = self.recipients(day, &domain, rua.as_ref().ok(), &mut notes);
        let recipients = recipients.await?;
        let asked = domain.clone();
        let counted = self
            .read(move |_, reports| reports.day_with(day, &asked, &recipients))
            .await?;
        let counted = counted.ok_or_else(|| {
            Refusal::not_found(format!("nothing was counted of {domain} on {day}"))
        })?;
        let report = self.reports.report(&counted).ok_or_else(|| {
            Refusal::trouble("[sender] does not say who we are, so there are no reports")
        })?;
        notes.extend(self.reports.not_owed(&counted));
        let mut destinations = Vec::new();
        match rua {
            Ok(RuaDiscovery::Found(record)) => {
                let chosen = self.courier.destinations(day, &domain, &record).await;
                let chosen = chosen.map_err(|error| Refusal::trouble(error.to_string()))?;
                destinations.extend(chosen.destinations.iter().map(ToString::to_string));
                notes.extend(chosen.left_out.iter().map(ToString::to_string));
                notes.extend(record.skipped);
            }
            Ok(RuaDiscovery::Absent) => notes.push("the domain asks for no reports".to_owned()),
            Ok(RuaDiscovery::Invalid(error)) => notes.push(error.to_string()),
            Err(error) => notes.push(format!("where reports go could not be looked up: {error}")),
        }
        let listed = self.listed(day, Some(&domain)).await?;
        // What is left out stands there already, by the record of this moment.
        let told = listed.iter().filter_map(|one| one.note.as_ref());
        let told = told.filter(|note| !matches!(note, Note::LeftOut(_)));
        notes.extend(told.map(ToString::to_string));
        notes.dedup();
        Ok(ReportView {
            day: day.to_string(),
            domain: domain.to_string(),
            day_over: self.today() > day,
            sessions: counted.successes() + counted.failures(),
            destinations,
            notes,
            deliveries: listed
                .iter()
                .flat_map(|one| delivery_views(day, one))
                .collect(),
            report: serde_json::from_slice(&report.json)
                .map_err(|error| Refusal::trouble(error.to_string()))?,
            text: report.text,
        })
    }

    /// The recipient domains whose sessions the report of a name tells of, if it is their MX host. Notes
    /// where a destination is told of fewer.
    pub(super) async fn recipients(
        &self,
        day: UtcDay,
        domain: &PolicyDomain,
        rua: Option<&RuaDiscovery>,
        notes: &mut Vec<String>,
    ) -> Replied<Vec<PolicyDomain>> {
        let record = match rua {
            Some(RuaDiscovery::Found(record)) => Some(record),
            _ => None,
        };
        let leaves_out = LeavesOut::WhatWillGo;
        let shares = self.courier.shares(day, domain, record, leaves_out).await;
        let shares = shares.map_err(|error| Refusal::trouble(error.to_string()))?;
        let destinations = record.map_or(&[][..], |record| &record.destinations);
        let mut told = BTreeSet::new();
        for destination in destinations {
            notes.extend(shares.left_out_in_words(destination));
            told.extend(shares.of(destination));
        }
        // Where nobody is told of any, what there would be to tell is still worth seeing.
        Ok(if told.is_empty() {
            shares.recipients
        } else {
            told.into_iter().collect()
        })
    }

    /// What a report that is sent by itself leaves out, to each destination that it was not sent to before, if it
    /// is that of an MX host: it counts on the own reports of its recipient domains.
    async fn left_out(
        &self,
        day: UtcDay,
        domain: &PolicyDomain,
        before: &[Listed],
    ) -> Replied<Vec<String>> {
        let Ok(RuaDiscovery::Found(record)) = self.keeper.rua(domain).await else {
            // Then it is sent nowhere, and that is said.
            return Ok(Vec::new());
        };
        let leaves_out = LeavesOut::WhatWillGo;
        let shares = self.courier.shares(day, domain, Some(&record), leaves_out);
        let shares = shares
            .await
            .map_err(|error| Refusal::trouble(error.to_string()))?;
        let is_to_be_sent = |to: &&Destination| !was_sent(before, domain, to);
        let destinations = record.destinations.iter().filter(is_to_be_sent);
        Ok(destinations
            .filter_map(|to| shares.left_out_in_words(to))
            .collect())
    }

    pub(super) async fn send(
        &self,
        day: UtcDay,
        domain: Option<PolicyDomain>,
    ) -> Replied<ReportsSent> {
        self.sync().await;
        let before = self.listed(day, domain.as_ref()).await?;
        let notes = match &domain {
            Some(domain) => self.left_out(day, domain, &before).await?,
            // Where all are sent MX hosts follow, when the others' reports have gone.
            None => Vec::new(),
        };
        let after = self
            .courier
            .send_day(day, domain.as_ref())
            .await
            .map_err(|error| {
                let kind = match &error {
                    SendDayError::NotOver(_) | SendDayError::Off => RefusalKind::BadRequest,
                    SendDayError::Nothing { .. } => RefusalKind::NotFound,
                    _ => RefusalKind::Trouble,
                };
                Refusal::new(kind, error.to_string())
            })?;
        let totals = self.totals(day).await?;
        Ok(ReportsSent {
            notes,
            day: day.to_string(),
            sessions: totals.successes + totals.failures,
            reports: after
                .iter()
                .filter(|one| is_asked_for(one, domain.as_ref()))
                .flat_map(|one| send_views(one, &before))
                .collect(),
        })
    }
}

/// Whether something is to be shown of a name: of an MX host that wants no report only where it was named.
fn is_asked_for(listed: &Listed, asked: Option<&PolicyDomain>) -> bool {
    asked.map_or_else(|| !listed.is_indifferent(), |asked| *asked == listed.domain)
}

pub(super) fn delivery_views(day: UtcDay, listed: &Listed) -> Vec<DeliveryView> {
    let view = |(destination, state)| {
        let (domain, destination) = (listed.domain.clone(), Clone::clone(destination));
        DeliveryView::of(
            &DeliveryKey {
                day,
                domain,
                destination,
            },
            state,
        )
    };
    listed
        .deliveries
        .iter()
        .map(|(destination, state)| view((destination, state)))
        .collect()
}

/// A domain whose report is not on its way: when it will be, or why not.
pub(super) fn undelivered_view(
    day: UtcDay,
    listed: &Listed,
    now: Timestamp,
) -> Option<UndeliveredView> {
    if !listed.deliveries.is_empty() {
        return None;
    }
    let due_at = match &listed.note {
        Some(Note::HeldUp { again_at, .. }) => Some(again_at),
        Some(_) => None,
        // Notes of days long ago are not held, and their turn does not come again.
        None => Schedule::is_current(day, now).then_some(&listed.due_at),
    };
    Some(UndeliveredView {
        domain: listed.domain.to_string(),
        due_at: due_at.map(ToString::to_string),
        reason: match &listed.note {
            // Its moment is told already.
            Some(Note::HeldUp { reason, .. }) => Some(reason.clone()),
            note => note.as_ref().map(ToString::to_string),
        },
    })
}

/// Whether a domain's report has gone to a destination, by how the reports stood.
fn was_sent(before: &[Listed], domain: &PolicyDomain, destination: &Destination) -> bool {
    let of_domain = before.iter().filter(|one| one.domain == *domain);
    of_domain
        .flat_map(|one| &one.deliveries)
        .any(|(to, state)| to == destination && matches!(state.step, Step::Sent(_)))
}

/// What came of a domain's report: a line for each destination, or one that says why there is none.
fn send_views(after: &Listed, before: &[Listed]) -> Vec<SendView> {
    let domain = after.domain.to_string();
    if after.deliveries.is_empty() {
        let outcome = match &after.note {
            Some(Note::Never | Note::NothingToReport | Note::ToldAlready | Note::TooOld) => {
                SendOutcome::LeftOut
            }
            Some(Note::HeldUp { .. }) => SendOutcome::Failed,
            _ => SendOutcome::NoDestination,
        };
        let reason = after.note.as_ref().map(ToString::to_string);
        return vec![SendView {
            domain,
            destination: None,
            outcome,
            report_id: None,
            reason,
        }];
    }
    let view = |(destination, state): &(Destination, DeliveryState)| {
        let (outcome, reason) = match &state.step {
            Step::Sent(_) if was_sent(before, &after.domain, destination) => {
                (SendOutcome::AlreadySent, None)
            }
            Step::Sent(_) => (SendOutcome::Sent, None),
            Step::GivenUp { reason, .. } => (SendOutcome::GivenUp, Some(reason.clone())),
            Step::RetryAt { reason, .. } => (SendOutcome::Failed, Some(reason.clone())),
            Step::Due(at) => (SendOutcome::Failed, Some(format!("still due, at {at}"))),
            Step::Sending(at) => (SendOutcome::Failed, Some(format!("under way since {at}"))),
        };
        SendView {
            domain: domain.clone(),
            destination: Some(destination.to_string()),
            outcome,
            report_id: Some(state.report_id.clone()),
            reason,
        }
    };
    after.deliveries.iter().map(view).collect()
}
