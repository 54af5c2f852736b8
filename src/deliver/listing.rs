//! What an operator is shown of a day's reports: how each stands, and why there is none.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{DeliveryState, agenda::Errand, destinations::LeftOut};
use crate::{
    clock::{Timestamp, UtcDay},
    policy::{Destination, PolicyDomain},
};

/// How one domain's report for one day stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The domain.
    pub domain: PolicyDomain,
    /// What makes it one of the day.
    pub part: Part,
    /// When its turn is, or was.
    pub due_at: Timestamp,
    /// The deliveries begun so far, by destination.
    pub deliveries: Vec<(Destination, DeliveryState)>,
    /// Why there is no delivery, or not to every destination, where that is known. It is known
    /// since the domain's turn or the daemon's start, whichever was later, while the day is current.
    pub note: Option<Note>,
}

/// What a name has to do with a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Mail went to it as a recipient domain.
    Recipient,
    /// Mail of others went to it as an MX host with TLSA records, and none as a recipient domain.
    MxHost,
}

impl Listed {
    /// Is it an MX host that wants no report? Most are, and nobody needs to know.
    #[must_use]
    pub fn is_indifferent(&self) -> bool {
        self.part == Part::MxHost && self.note == Some(Note::NoRecord)
    }
}

/// Why a report, or a part of the deliveries, is not under way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The configuration says that this domain, or nobody, gets a report.
    Never,
    /// The domain publishes no valid `_smtp._tls` record.
    NoRecord,
    /// These destinations of the record get no report.
    LeftOut(Vec<LeftOut>),
    /// Nothing is to be reported, as when every session went well and only failures are reported.
    NothingToReport,
    /// It is an MX host, and the recipient domains' own reports tell every destination all of it.
    ToldAlready,
    /// Something of ours or the resolver's stands in the way.
    HeldUp {
        /// What.
        reason: String,
        /// When it is tried again.
        again_at: Timestamp,
        /// How often in a row it stood in the way.
        times: u32,
    },
    /// The day ended too long ago.
    TooOld,
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => formatter.write_str("no report is made, by configuration"),
            Self::NoRecord => formatter.write_str("the domain asks for no reports"),
            Self::LeftOut(destinations) => {
                let words: Vec<String> = destinations.iter().map(ToString::to_string).collect();
                formatter.write_str(&words.join("; "))
            }
            Self::NothingToReport => formatter.write_str("nothing to report"),
            Self::ToldAlready => formatter
                .write_str("the recipient domains' own reports tell the same to the same address"),
            Self::HeldUp {
                reason, again_at, ..
            } => write!(formatter, "tried again at {again_at}: {reason}"),
            Self::TooOld => formatter.write_str("the day is too old to be reported"),
        }
    }
}

/// The notes of this process. They are not kept: after a restart the courier finds out again.
#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<BTreeMap<Errand, Note>>);

impl Notes {
    pub(super) fn set(&self, errand: &Errand, note: Note) {
        self.held().insert(errand.clone(), note);
    }

    pub(super) fn clear(&self, errand: &Errand) {
        self.held().remove(errand);
    }

    pub(super) fn of(&self, errand: &Errand) -> Option<Note> {
        self.held().get(errand).cloned()
    }

    /// How often in a row the errand was held up.
    pub(super) fn times_held_up(&self, errand: &Errand) -> u32 {
        match self.held().get(errand) {
            Some(Note::HeldUp { times, .. }) => *times,
            _ => 0,
        }
    }

    /// Lets go of a day.
    pub(super) fn forget(&self, day: UtcDay) {
        self.held().retain(|errand, _| errand.day != day);
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<Errand, Note>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::destinations::Why, *};

    #[test]
    fn an_operator_reads_why_there_is_no_report() {
        for (note, expected) in [
            (Note::NoRecord, "the domain asks for no reports"),
            (
                Note::LeftOut(vec![LeftOut {
                    destination: Destination::Https("https://a.example:25/r".to_owned()),
                    why: Why::Port(25),
                }]),
                "https://a.example:25/r: port 25 is not in deliver.https_ports",
            ),
            (
                Note::HeldUp {
                    reason: "_smtp._tls.a.example: the resolver answers SERVFAIL".to_owned(),
                    again_at: Timestamp(0),
                    times: 1,
                },
                "tried again at 1970-01-01T00:00:00Z: _smtp._tls.a.example: the resolver answers SERVFAIL",
            ),
        ] {
            assert_eq!(note.to_string(), expected);
        }
    }
}
