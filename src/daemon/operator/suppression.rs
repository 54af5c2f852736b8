//! What operators ask about suppressed destinations, and bounces that come.

use super::Operator;
use crate::{
    clock::UtcDay,
    ctl::{
        control::Replied,
        protocol::{Refusal, RefusalKind},
        wire::{BounceTaken, SuppressionView, Suppressions},
    },
    observe::audit::AuditKind,
    policy::Destination,
    store::StoreError,
};

impl Operator {
    pub(super) async fn suppressions(&self) -> Replied<Suppressions> {
        let now = self.clock.now();
        let found = self.courier.suppressed_destinations().await;
        let found = found.map_err(|error| trouble(&error))?;
        let views = found
            .iter()
            .map(|(to, stands)| SuppressionView::of(to, stands, now));
        Ok(Suppressions {
            suppressions: views.collect(),
        })
    }

    pub(super) async fn suppression(&self, destination: Destination) -> Replied<SuppressionView> {
        let found = self.courier.suppression(&destination).await;
        let found = found.map_err(|error| trouble(&error))?.ok_or_else(|| {
            let why = format!("{destination} has refused no report, and nobody suppressed it");
            Refusal::not_found(why)
        })?;
        Ok(SuppressionView::of(&destination, &found, self.clock.now()))
    }

    pub(super) async fn lift(
        &self,
        destination: Destination,
        author: &str,
    ) -> Replied<SuppressionView> {
        let now = self.clock.now();
        let stood = self
            .courier
            .lift(&destination)
            .await
            .map_err(|error| trouble(&error))?;
        let stood =
            stood.ok_or_else(|| Refusal::not_found(format!("{destination} is not suppressed")))?;
        tracing::info!(%destination, "the operator lifted a suppression");
        let words = destination.to_string();
        let entry = self.entry(AuditKind::SuppressionLifted, words);
        self.note(entry.by(author)).await;
        Ok(SuppressionView::of(&destination, &stood, now))
    }

    pub(super) async fn suppress(
        &self,
        destination: Destination,
        until: Option<UtcDay>,
        author: &str,
        reason: String,
    ) -> Replied<SuppressionView> {
        let (now, bad) = (self.clock.now(), RefusalKind::BadRequest);
        if reason.trim().is_empty() {
            return Err(Refusal::new(bad, "a suppression needs a reason"));
        }
        if let Some(until) = until.filter(|until| *until < now.day()) {
            return Err(Refusal::new(
                bad,
                format!("{until} is over: it is {} (UTC)", now.day()),
            ));
        }
        // To the end of the day that is named.
        let until = until.map(|until| until.next().first_second());
        let added = self
            .courier
            .suppress_until(&destination, until, &reason)
            .await;
        let added = added.map_err(|error| trouble(&error))?;
        let added = added.ok_or_else(|| Refusal::trouble("nothing was suppressed"))?;
        tracing::info!(%destination, suppression = %added, "the operator suppressed a destination");
        let words = format!("{destination}: {reason}");
        let entry = self.entry(AuditKind::SuppressionAdded, words);
        self.note(entry.by(author)).await;
        Ok(SuppressionView::of(&destination, &added, now))
    }

    pub(super) async fn bounce(
        &self,
        report_id: String,
        recipients: Vec<String>,
        words: String,
    ) -> Replied<BounceTaken> {
        let belief = self.courier.bounced(&report_id, &recipients, &words).await;
        let taken = BounceTaken::of(&belief.map_err(|error| trouble(&error))?, self.clock.now());
        if let Some(reason) = &taken.reason {
            tracing::info!(reason, "a bounce is not believed");
        }
        Ok(taken)
    }
}

fn trouble(error: &StoreError) -> Refusal {
    Refusal::trouble(error.to_string())
}
