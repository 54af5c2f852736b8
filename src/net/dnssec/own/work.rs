//! How much one lookup may ask and compute. A zone can be made so that to validate it never ends
//! (CVE-2023-50387 and CVE-2023-50868).

use std::sync::atomic::{AtomicU32, Ordering};

/// What is left of one lookup's means.
pub(super) struct Work {
    questions: AtomicU32,
    signatures: AtomicU32,
    digests: AtomicU32,
}

/// The lookup is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exhausted {
    /// It would ask more than [`QUESTIONS_MAX`].
    Questions,
    /// It would check more signatures than [`SIGNATURES_MAX`].
    Signatures,
    /// It would compute more digests of keys or names than [`DIGESTS_MAX`].
    Digests,
}

/// A cold `_25._tcp.mx.example.co.uk` takes 9, and each alias may take as many.
const QUESTIONS_MAX: u32 = 64;

/// A cold name takes two or three for each zone above it.
const SIGNATURES_MAX: u32 = 96;

/// A name that is proven not to exist takes one for each label.
const DIGESTS_MAX: u32 = 160;

impl Work {
    /// All that one lookup may do.
    pub(super) const fn of_one_lookup() -> Self {
        Self {
            questions: AtomicU32::new(QUESTIONS_MAX),
            signatures: AtomicU32::new(SIGNATURES_MAX),
            digests: AtomicU32::new(DIGESTS_MAX),
        }
    }

    /// One question is going to be asked.
    ///
    /// # Errors
    /// It is one too many.
    pub(super) fn ask_a_question(&self) -> Result<(), Exhausted> {
        take(&self.questions).ok_or(Exhausted::Questions)
    }

    /// One signature is going to be checked.
    ///
    /// # Errors
    /// It is one too many.
    pub(super) fn check_a_signature(&self) -> Result<(), Exhausted> {
        take(&self.signatures).ok_or(Exhausted::Signatures)
    }

    /// One digest of a key or a name is going to be computed.
    ///
    /// # Errors
    /// It is one too many.
    pub(super) fn compute_a_digest(&self) -> Result<(), Exhausted> {
        take(&self.digests).ok_or(Exhausted::Digests)
    }
}

impl Exhausted {
    /// For people.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Questions => "with more zones than one lookup may ask about",
            Self::Signatures => "with more signatures than one lookup may check",
            Self::Digests => "with more digests than one lookup may compute",
        }
    }
}

fn take(left: &AtomicU32) -> Option<()> {
    let less = |left: u32| left.checked_sub(1);
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
    }
}
