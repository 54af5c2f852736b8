//! What is noted of decisions that change which mail goes, and how: the way of entries to the log.
//!
//! To note something never waits and never fails mail. Where more is noted than can be written, entries are lost, counted and shown.
// docs/decisions/0020-evidence-and-overrides.md

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::Counters;
use crate::{clock::Timestamp, policy::PolicyDomain};

/// The longest words of an entry, in octets. A row of the store holds the whole of it.
pub const WORDS_OCTETS_MAX: usize = 2_000;

/// How many entries may wait to be written.
const WAITING_MAX: usize = 10_000;

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Of what kind.
    pub kind: AuditKind,
    /// About which recipient domain; absent: about all, or none.
    pub domain: Option<PolicyDomain>,
    /// Who decided it; absent: the daemon, or an operator who is not known by name.
    pub author: Option<String>,
    /// What was decided, in words for people.
    pub words: String,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $word:literal,)*) => {
        /// The kinds of decisions.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum AuditKind {
            $($(#[$doc])* $kind,)*
        }

        impl AuditKind {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The word for it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $word,)*
                }
            }
        }
    };
}

kinds! {
    /// The daemon started.
    Started = "started",
    /// It stopped in order. Two starts without a stop between: it was killed, or the machine went down.
    Stopped = "stopped",
    /// It read its configuration again.
    Reloaded = "reloaded",
    /// An operator set an override.
    OverrideSet = "override-set",
    /// An operator ended one.
    OverrideEnded = "override-ended",
    /// The last day of one is over.
    OverrideRanOut = "override-ran-out",
    /// A domain's policy is another than the one that was kept: its mode, or its MX hosts.
    PolicyChanged = "policy-changed",
    /// A kept policy expired, and no newer one was there.
    PolicyExpired = "policy-expired",
    /// An operator had a policy looked up anew.
    PolicyRefreshed = "policy-refreshed",
    /// An operator had a kept policy forgotten.
    PolicyPurged = "policy-purged",
    /// Of one day: sessions with a domain that were refused.
    MailRefused = "mail-refused",
    /// DNSSEC is validated again: DANE is on.
    DaneOn = "dane-on",
    /// Nobody validates DNSSEC any more.
    DaneOff = "dane-off",
    /// The quota took what was counted on a day before its time.
    CountsForgotten = "counts-forgotten",
    /// An operator has no more reports sent to a destination.
    SuppressionAdded = "suppression-added",
    /// An operator has reports sent to a destination again.
    SuppressionLifted = "suppression-lifted",
}

impl AuditKind {
    /// What a word stands for.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

impl AuditEntry {
    /// An entry about no domain, by nobody who is known; words that are too long are cut.
    #[must_use]
    pub fn new(at: Timestamp, kind: AuditKind, words: impl Into<String>) -> Self {
        let mut words = words.into();
        if words.len() > WORDS_OCTETS_MAX {
            let mut end = WORDS_OCTETS_MAX - 3;
            while !words.is_char_boundary(end) {
                end -= 1;
            }
            words.truncate(end);
            words.push_str("...");
        }
        Self {
            at,
            kind,
            domain: None,
            author: None,
            words,
        }
    }

    /// The same about a domain.
    #[must_use]
    pub fn about(self, domain: &PolicyDomain) -> Self {
        Self {
            domain: Some(domain.clone()),
            ..self
        }
    }

    /// The same by somebody.
    #[must_use]
    pub fn by(self, author: &str) -> Self {
        Self {
            author: Some(author.to_owned()),
            ..self
        }
    }
}

/// What comes out of the queue.
#[derive(Debug)]
pub enum Noted {
    /// A decision.
    Entry(AuditEntry),
    /// Somebody waits until what was noted before was written, or could not be.
    Sync(oneshot::Sender<()>),
}

/// Where decisions are noted. One without a queue notes nothing.
#[derive(Clone, Debug, Default)]
pub struct Auditor(Option<(mpsc::Sender<Noted>, Arc<Counters>)>);

/// The other end.
pub type AuditQueue = mpsc::Receiver<Noted>;

impl Auditor {
    /// One with its queue.
    #[must_use]
    pub fn with_queue(counters: &Arc<Counters>) -> (Self, AuditQueue) {
        let (to, from) = mpsc::channel(WAITING_MAX);
        (Self(Some((to, Arc::clone(counters)))), from)
    }

    /// Notes a decision, at once.
    pub fn note(&self, entry: AuditEntry) {
        let Some((to, counters)) = &self.0 else {
            return;
        };
        if to.try_send(Noted::Entry(entry)).is_err() {
            counters.audit_dropped.count();
        }
    }

    /// Returns when what was noted so far is on the disk, or the disk does not take it now.
    pub async fn synced(&self) {
        let Some((to, _)) = &self.0 else {
            return;
        };
        let (done, waiting) = oneshot::channel();
        if to.send(Noted::Sync(done)).await.is_ok() {
            // An error means that nobody writes any more.
            let _written = waiting.await.is_ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_beyond_the_queue_is_counted_and_never_waits() {
        let counters = Arc::new(Counters::default());
        let (auditor, _queue) = Auditor::with_queue(&counters);
        let entry = AuditEntry::new(Timestamp(0), AuditKind::Started, "x");
        for _ in 0..WAITING_MAX + 3 {
            auditor.note(entry.clone());
        }
        assert_eq!(counters.audit_dropped.value(), 3);
        Auditor::default().note(entry);
    }

    #[test]
    fn words_that_are_too_long_are_cut_between_letters() {
        let entry = AuditEntry::new(Timestamp(0), AuditKind::Started, "ü".repeat(2_000));
        assert!(entry.words.len() <= WORDS_OCTETS_MAX);
        assert!(entry.words.ends_with("ü..."));
        for kind in AuditKind::ALL {
            assert_eq!(AuditKind::of_name(kind.name()), Some(*kind));
        }
    }
}
