//! Destinations to which nothing is sent, and bounces.

use serde::{Deserialize, Serialize};

use super::{BounceOutcome, SuppressedBy};
use crate::{
    clock::Timestamp,
    deliver::{
        Belief,
        suppression::{SetBy, Suppression},
    },
    policy::Destination,
};

/// The destinations to which nothing is sent now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppressions {
    /// By destination.
    pub suppressions: Vec<SuppressionView>,
}

/// How a destination stands that is or was suppressed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuppressionView {
    /// The destination, a mailbox in lower case.
    pub destination: String,
    /// Nothing is sent to it now.
    pub suppressed: bool,
    /// Who made it so.
    pub by: SuppressedBy,
    /// The operator's reason.
    pub reason: Option<String>,
    /// Since when: the first refusal of a row, or the operator's word.
    pub since: String,
    /// Until when; absent: until it is lifted.
    pub until: Option<String>,
    /// How many reports in a row were refused.
    pub times: u32,
    /// When the first report after the last refusal was taken.
    pub taken_at: Option<String>,
    /// When it was last lifted.
    pub lifted_at: Option<String>,
    /// The newest refusals, oldest first.
    pub refusals: Vec<RefusalView>,
}

/// One report that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalView {
    /// When that was learnt.
    pub at: String,
    /// When the report had been handed over.
    pub sent_at: String,
    /// `answer` or `bounce`.
    pub how: String,
    /// The report.
    pub report_id: String,
    /// The words of whoever refused it.
    pub words: String,
}

/// What came of a bounce.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BounceTaken {
    /// What.
    pub outcome: BounceOutcome,
    /// Why it is not believed.
    pub reason: Option<String>,
    /// How the destination stands now.
    pub suppression: Option<SuppressionView>,
}

impl SuppressionView {
    /// How a destination stands at `now`.
    #[must_use]
    pub fn of(destination: &Destination, suppression: &Suppression, now: Timestamp) -> Self {
        let words = |moment: Option<Timestamp>| moment.map(|moment| moment.to_string());
        let (by, reason) = match &suppression.set_by {
            SetBy::Refusals => (SuppressedBy::Refusals, None),
            SetBy::Operator(reason) => (SuppressedBy::Operator, Some(reason.clone())),
        };
        let refusals = suppression.refusals.iter().map(|refusal| RefusalView {
            at: refusal.at.to_string(),
            sent_at: refusal.sent_at.to_string(),
            how: refusal.how.name().to_owned(),
            report_id: refusal.report_id.clone(),
            words: refusal.words.clone(),
        });
        Self {
            destination: destination.to_string(),
            suppressed: suppression.holds(now),
            by,
            reason,
            since: suppression.since.to_string(),
            until: words(suppression.until),
            times: suppression.times,
            taken_at: words(suppression.taken_at),
            lifted_at: words(suppression.lifted_at),
            refusals: refusals.collect(),
        }
    }
}

impl BounceTaken {
    /// What came of a bounce, at `now`.
    #[must_use]
    pub fn of(belief: &Belief, now: Timestamp) -> Self {
        let (outcome, reason, stands) = match belief {
            Belief::Suppressed(to, next) => (BounceOutcome::Suppressed, None, Some((to, next))),
            Belief::KnownAlready(to, stands) => {
                let stands = stands.as_ref().map(|stands| (to, stands));
                (BounceOutcome::KnownAlready, None, stands)
            }
            Belief::Not(why) => (BounceOutcome::NotBelieved, Some(why.to_string()), None),
        };
        Self {
            outcome,
            reason,
            suppression: stands.map(|(to, stands)| SuppressionView::of(to, stands, now)),
        }
    }
}
