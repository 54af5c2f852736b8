//! How much one lookup may ask and compute. A zone can be made so that to validate it never ends
//! (CVE-2023-50387 and CVE-2023-50868).

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::net::dnssec::exchange::Whom;

/// What is left of one lookup's means, and whom it asks.
pub(super) struct Work {
    questions: AtomicU32,
    signatures: AtomicU32,
    octets: AtomicU32,
    digests: AtomicU32,
    whom: Whom,
    /// The place of the server that answered last.
    answered_by: AtomicUsize,
}

/// The lookup is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exhausted {
    /// It would ask more than [`QUESTIONS_MAX`].
    Questions,
    /// It would check more signatures than [`SIGNATURES_MAX`].
    Signatures,
    /// It would write down more than [`OCTETS_MAX`] of signed records.
    Octets,
    /// It would compute more digests of keys or names than [`DIGESTS_MAX`].
    Digests,
}

/// A cold `_25._tcp.mx.example.co.uk` takes 9, and each alias may take as many.
const QUESTIONS_MAX: u32 = 64;

/// A cold name takes two or three for each zone above it.
const SIGNATURES_MAX: u32 = 96;

/// What is signed is written down once for each signature. Few sets have a thousand octets; a message that is full has
/// 65,535.
const OCTETS_MAX: u32 = 1 << 20;

/// A name that is proven not to exist takes one for each label.
const DIGESTS_MAX: u32 = 160;

impl Work {
    /// All that one lookup may do. It asks whoever answers.
    pub(super) const fn of_one_lookup() -> Self {
        Self::with(Whom::InTurn)
    }

    /// All that one lookup may do, at the server of this place alone.
    pub(super) const fn at(place: usize) -> Self {
        Self::with(Whom::Only(place))
    }

    const fn with(whom: Whom) -> Self {
        Self {
            questions: AtomicU32::new(QUESTIONS_MAX),
            signatures: AtomicU32::new(SIGNATURES_MAX),
            octets: AtomicU32::new(OCTETS_MAX),
            digests: AtomicU32::new(DIGESTS_MAX),
            whom,
            answered_by: AtomicUsize::new(0),
        }
    }

    /// Whom to ask.
    pub(super) const fn whom(&self) -> Whom {
        self.whom
    }

    /// The server of this place has answered.
    pub(super) fn was_answered_by(&self, place: usize) {
        self.answered_by.store(place, Ordering::Relaxed);
    }

    /// The place of the server that answered last.
    pub(super) fn answered_by(&self) -> usize {
        self.answered_by.load(Ordering::Relaxed)
    }

    /// Asks another server than the last from now on, with the means that are left.
    pub(super) fn turn_away(&mut self) {
        self.whom = Whom::After(self.answered_by());
    }

    /// Did what one server passed on not hold, so that another is asked?
    pub(super) const fn is_second_try(&self) -> bool {
        matches!(self.whom, Whom::After(_))
    }

    /// One question is going to be asked.
    ///
    /// # Errors
    /// It is one too many.
    pub(super) fn ask_a_question(&self) -> Result<(), Exhausted> {
        take(&self.questions, 1).ok_or(Exhausted::Questions)
    }

    /// One signature is going to be checked.
    ///
    /// # Errors
    /// It is one too many.
    pub(super) fn check_a_signature(&self) -> Result<(), Exhausted> {
        take(&self.signatures, 1).ok_or(Exhausted::Signatures)
    }

    /// So much is written down of what was signed.
    ///
    /// # Errors
    /// It is too much.
    pub(super) fn write_octets(&self, number: usize) -> Result<(), Exhausted> {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        take(&self.octets, number).ok_or(Exhausted::Octets)
    }

    /// One digest of a key or a name is going to be computed.
    ///
    /// # Errors
    /// It is one too many.
    pub(super) fn compute_a_digest(&self) -> Result<(), Exhausted> {
        take(&self.digests, 1).ok_or(Exhausted::Digests)
    }
}

#[cfg(test)]
impl Work {
    /// How many octets were written down and how many signatures checked.
    pub(super) fn spent(&self) -> (usize, u32) {
        let octets = OCTETS_MAX - self.octets.load(Ordering::Relaxed);
        let signatures = SIGNATURES_MAX - self.signatures.load(Ordering::Relaxed);
        (usize::try_from(octets).unwrap(), signatures)
    }
}

impl Exhausted {
    /// For people.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Questions => "with more zones than one lookup may ask about",
            Self::Signatures => "with more signatures than one lookup may check",
            Self::Octets => "with more signed records than one lookup may read",
            Self::Digests => "with more digests than one lookup may compute",
        }
    }
}

fn take(left: &AtomicU32, number: u32) -> Option<()> {
    let less = |left: u32| left.checked_sub(number);
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
        .ok()
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_ends() {
        let work = Work::of_one_lookup();
        for _ in 0..SIGNATURES_MAX {
            work.check_a_signature().unwrap();
        }
        for _ in 0..2 {
            assert_eq!(work.check_a_signature(), Err(Exhausted::Signatures));
        }
        work.ask_a_question().unwrap();
        work.compute_a_digest().unwrap();
        work.write_octets(1 << 20).unwrap();
        assert_eq!(work.write_octets(1), Err(Exhausted::Octets));
    }

    #[test]
    fn a_second_try_goes_by_the_server_that_answered_and_has_what_is_left() {
        let mut work = Work::of_one_lookup();
        work.was_answered_by(2);
        assert!(!work.is_second_try());
        for _ in 0..SIGNATURES_MAX {
            work.check_a_signature().unwrap();
        }
        work.turn_away();
        assert_eq!(work.whom(), Whom::After(2));
        assert!(work.is_second_try());
        assert_eq!(work.check_a_signature(), Err(Exhausted::Signatures));
    }
}
