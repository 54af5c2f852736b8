//! What operators and bounces have to say about destinations.

use super::{
    DeliveryState, Step,
    agenda::Errand,
    courier::Courier,
    outbox::Urge,
    suppression::{self, How, Refusal, Suppression, folded},
};
use crate::{clock::Timestamp, policy::Destination, report::ReportId, store::StoreError};

/// A bounce is about a report of the last so many days. MTAs give up after five; a relay's queue may be slow.
const BOUNCE_DAYS_MAX: u32 = 14;

/// What came of a bounce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Belief {
    /// The destination is suppressed for it.
    Suppressed(Destination, Suppression),
    /// It says nothing new of the destination, which stands so.
    KnownAlready(Destination, Option<Suppression>),
    /// It is not believed.
    Not(NotBelieved),
}

/// Why a bounce is not believed.
// OURS: anybody can send a mail to the envelope sender. docs/decisions/0014-suppression.md
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotBelieved {
    /// Nothing of ours is called so.
    #[error("\"{0}\" names no report of ours")]
    NoReport(String),
    /// Too old, or of a day to come.
    #[error("{0} is not about one of the last {BOUNCE_DAYS_MAX} days")]
    Day(String),
    /// That report went somewhere else, or was never sent.
    #[error("the report {report_id} was not sent to {}", .recipients.join(" or "))]
    NotSent {
        /// The report that it names.
        report_id: String,
        /// To whom it says that it was sent.
        recipients: Vec<String>,
    },
}

impl Courier {
    /// Reads what is suppressed, unless that was done before.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn load_suppressions(&self) -> Result<(), StoreError> {
        self.suppressions.load().await
    }

    /// Why nothing is sent to a destination at this moment, as far as the store was read.
    #[must_use]
    pub fn suppressed_now(&self, destination: &Destination) -> Option<Suppression> {
        self.suppressed(destination, Urge::WhenDue)
    }

    /// Every destination to which nothing is sent at this moment.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn suppressed_destinations(
        &self,
    ) -> Result<Vec<(Destination, Suppression)>, StoreError> {
        self.suppressions.load().await?;
        let (mut all, now) = (self.suppressions.all(), self.clock.now());
        all.retain(|(_, suppression)| suppression.holds(now));
        Ok(all)
    }

    /// How a destination stands that is or was suppressed.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn suppression(
        &self,
        destination: &Destination,
    ) -> Result<Option<Suppression>, StoreError> {
        self.suppressions.load().await?;
        Ok(self.suppressions.of(destination))
    }

    /// Sends nothing to a destination until then, or until it is lifted.
    ///
    /// # Errors
    /// When the store cannot be written; nothing has changed then.
    pub async fn suppress_until(
        &self,
        destination: &Destination,
        until: Option<Timestamp>,
        reason: &str,
    ) -> Result<Option<Suppression>, StoreError> {
        let now = self.clock.now();
        let add =
            |before: Option<&Suppression>| Some(suppression::added(before, until, reason, now));
        self.suppressions.change(destination, add).await
    }

    /// Sends to a destination again. Returns how it stood, if it was suppressed.
    ///
    /// # Errors
    /// When the store cannot be written; nothing has changed then.
    pub async fn lift(&self, destination: &Destination) -> Result<Option<Suppression>, StoreError> {
        let now = self.clock.now();
        let mut stood = None;
        let lift = |before: Option<&Suppression>| {
            stood = before.filter(|before| before.holds(now)).cloned();
            stood
                .as_ref()
                .map(|before| suppression::lifted(before, now))
        };
        self.suppressions.change(destination, lift).await?;
        Ok(stood)
    }

    /// Takes a bounce: the report that it returns, the names under which it says that the mailbox is known,
    /// and its words.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn bounced(
        &self,
        report_id: &str,
        recipients: &[String],
        words: &str,
    ) -> Result<Belief, StoreError> {
        let Some((day, domain)) = ReportId::about(report_id) else {
            return Ok(Belief::Not(NotBelieved::NoReport(report_id.to_owned())));
        };
        let today = self.clock.now().day();
        if day >= today || day.0.saturating_add(BOUNCE_DAYS_MAX) < today.0 {
            return Ok(Belief::Not(NotBelieved::Day(report_id.to_owned())));
        }
        self.ledger.load(day).await?;
        self.suppressions.load().await?;
        let errand = Errand { day, domain };
        let Some((destination, sent_at)) = self.sent_to(&errand, report_id, recipients) else {
            return Ok(Belief::Not(NotBelieved::NotSent {
                report_id: report_id.to_owned(),
                recipients: recipients.to_vec(),
            }));
        };
        let moments = (sent_at, self.clock.now());
        let refusal = Refusal::new(How::Bounce, moments, words, report_id);
        Ok(match self.suppress(&destination, refusal).await {
            Some(next) => Belief::Suppressed(destination, next),
            None => {
                let stands = self.suppressions.of(&destination);
                Belief::KnownAlready(destination, stands)
            }
        })
    }

    /// The destination that a report was sent to, of those that a bounce names, and when.
    fn sent_to(
        &self,
        errand: &Errand,
        report_id: &str,
        recipients: &[String],
    ) -> Option<(Destination, Timestamp)> {
        let named = |destination: &Destination| {
            let is_it = |mailbox: &String| {
                folded(&Destination::Mail(mailbox.clone())) == folded(destination)
            };
            matches!(destination, Destination::Mail(_)) && recipients.iter().any(is_it)
        };
        let states = self.ledger.states(errand).into_iter();
        let mut ours = states.filter(|(_, state)| state.report_id == report_id);
        ours.find_map(|(destination, state)| {
            let sent_at = handed_over_at(&state).filter(|_| named(&destination))?;
            Some((destination, sent_at))
        })
    }
}

/// When a report was handed over, as far as is known. Where an answer was lost, the next hop may have it.
const fn handed_over_at(state: &DeliveryState) -> Option<Timestamp> {
    match state.step {
        Step::Sent(at) => Some(at),
        Step::Sending(_) | Step::RetryAt { .. } => state.first_attempt_at,
        Step::Due(_) | Step::GivenUp { .. } => None,
    }
}
