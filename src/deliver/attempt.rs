//! One attempt to hand one report to one destination, by mail or by HTTPS.

use std::sync::Arc;

use super::{
    DeliveryState, Step,
    agenda::Errand,
    courier::Courier,
    errand::{Stop, key},
    outbox,
    sources::{ComposeError, FinishedReport},
    suppression::{self, How, Refusal, Suppression},
};
use crate::{
    clock::Timestamp,
    net::{
        handover::{Accepted, SendError},
        smtp::Envelope,
    },
    policy::Destination,
};

impl Courier {
    /// One attempt: on the disk before the world can see it.
    pub(super) async fn attempt(
        &self,
        errand: &Errand,
        destination: &Destination,
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
        let key = key(errand, destination);
        self.ledger.write(&key, &begun).await?;
        let outcome = match destination {
            Destination::Mail(mailbox) => self.mail(report, mailbox, now, begun.attempts).await,
            Destination::Https(uri) => self.report_host.post(uri, report.gzip()).await,
        };
        let settled = outbox::settled(&begun, &outcome, retry, self.clock.now());
        self.say(errand, destination, &settled, &outcome);
        let recorded = self.ledger.record(&key, &settled).await;
        self.learn(destination, &settled, now, &outcome).await;
        Ok(recorded?)
    }

    /// What an attempt that began at `begun_at` says of the destination beyond this report (F9, F18).
    async fn learn(
        &self,
        destination: &Destination,
        state: &DeliveryState,
        begun_at: Timestamp,
        outcome: &Result<Accepted, SendError>,
    ) {
        let Err(error) = outcome else {
            return self.suppressions.taken(destination, begun_at).await;
        };
        if suppression::is_refusal(self.settings.next_hop, destination, error) {
            let moments = (begun_at, self.clock.now());
            let words = error.to_string();
            let refusal = Refusal::new(How::Answer, moments, &words, &state.report_id);
            self.suppress(destination, refusal).await;
        }
    }

    /// Suppresses a destination for a refusal. Returns how it stands, where that is news.
    pub(super) async fn suppress(
        &self,
        destination: &Destination,
        refusal: Refusal,
    ) -> Option<Suppression> {
        let next = self.suppressions.refused(destination, refusal).await?;
        self.counters.destinations_suppressed.count();
        tracing::warn!(%destination, suppression = %next, "a destination is suppressed");
        Some(next)
    }

    /// Builds the mail to one mailbox and hands it to the next hop.
    async fn mail(
        &self,
        report: &Arc<dyn FinishedReport>,
        mailbox: &str,
        date: Timestamp,
        attempt: u32,
    ) -> Result<Accepted, SendError> {
        match build(report, mailbox, date, attempt).await {
            Ok(message) => {
                let envelope = Envelope {
                    from: self.settings.envelope_from.clone(),
                    to: mailbox.to_owned(),
                };
                self.transport.send(&envelope, &message).await
            }
            // It will be the same mailbox the next time.
            Err(error @ ComposeError::Recipient(_)) => Err(SendError::permanent(error.to_string())),
            // It fails as an attempt would: another destination's mail may well be built.
            Err(error) => Err(SendError::temporary(error.to_string())),
        }
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
