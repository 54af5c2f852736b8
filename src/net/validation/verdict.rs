//! What looks at the ways to validate come to.

use std::fmt;

use super::By;
use crate::net::dnssec::Works;

/// What is done from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// This way is gone. `doubt`: what speaks against it, where its last look did.
    Use { by: By, doubt: Option<Doubt> },
    /// Nobody has answered yet. This way is gone, and lookups fail.
    Wait(By),
    /// There is no DANE.
    Nobody,
}

/// What speaks against a way that is gone all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// What comes does not hold.
    Forged(String),
    /// Nothing comes.
    Silent(String),
}

/// What is done, by what was done so far, what the looks came to, and whether a start may still wait for answers.
///
/// OURS: what an answer can do. That a resolver of this machine marks nothing is its own word, and turns off its way. That
/// what came over a network does not hold may be anybody's work: before our own validation has ever worked it means
/// that it does not work here; afterwards it means that mail waits, or one forged answer would turn off DANE for all.
pub(super) fn judge(held: Option<By>, may_wait: bool, looks: &[(By, Works)]) -> Verdict {
    if let Some((by, works)) = looks
        .iter()
        .find(|(by, _)| held == Some(By::Own) && *by == By::Own)
    {
        return Verdict::Use {
            by: *by,
            doubt: Doubt::of(works),
        };
    }
    if let Some((by, _)) = looks.iter().find(|(_, works)| *works == Works::Yes) {
        return Verdict::Use {
            by: *by,
            doubt: None,
        };
    }
    let mut silent = looks
        .iter()
        .filter(|(_, works)| matches!(works, Works::Unknown(_)));
    // That nobody answers says nothing of signatures: lookups fail, and mail waits.
    if let Some((by, works)) = silent.clone().find(|(by, _)| held == Some(*by)) {
        return Verdict::Use {
            by: *by,
            doubt: Doubt::of(works),
        };
    }
    match silent.next() {
        Some((by, _)) if held.is_none() && may_wait => Verdict::Wait(*by),
        _ => Verdict::Nobody,
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forged(why) => write!(
                formatter,
                "what the resolvers say of the root does not hold: {why}"
            ),
            Self::Silent(why) => {
                write!(formatter, "the resolvers do not answer for the root: {why}")
            }
        }
    }
}

impl Doubt {
    fn of(works: &Works) -> Option<Self> {
        match works {
            Works::Yes => None,
            Works::No(reason) => Some(Self::Forged(reason.clone())),
            Works::Unknown(error) => Some(Self::Silent(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::dns::DnsError;

    fn works(word: &str) -> Works {
        match word {
            "yes" => Works::Yes,
            "no" => Works::No("x".to_owned()),
            _ => Works::Unknown(DnsError::BadName {
                name: "x".to_owned(),
            }),
        }
    }

    fn told(verdict: &Verdict) -> String {
        match verdict {
            Verdict::Use { by, doubt: None } => format!("{by}"),
            Verdict::Use {
                by,
                doubt: Some(Doubt::Forged(_)),
            } => format!("{by}, forged"),
            Verdict::Use {
                by,
                doubt: Some(Doubt::Silent(_)),
            } => format!("{by}, silent"),
            Verdict::Wait(by) => format!("wait, {by}"),
            Verdict::Nobody => "nobody".to_owned(),
        }
    }

    #[test]
    fn c1_c2_nothing_that_comes_over_a_network_turns_off_what_has_worked() {
        let (own, resolver) = (Some(By::Own), Some(By::Resolver));
        for (held, by_own, by_resolver, expected) in [
            // At the start: our own way first, then a resolver of this machine.
            (None, "yes", "yes", "own"),
            (None, "no", "yes", "resolver"),
            (None, "silent", "yes", "resolver"),
            (None, "yes", "silent", "own"),
            (None, "no", "no", "nobody"),
            (None, "silent", "silent", "wait, own"),
            (None, "silent", "no", "wait, own"),
            (None, "no", "silent", "wait, resolver"),
            // It has worked, and stays, whatever comes.
            (own, "yes", "yes", "own"),
            (own, "no", "yes", "own, forged"),
            (own, "no", "no", "own, forged"),
            (own, "silent", "yes", "own, silent"),
            (own, "silent", "silent", "own, silent"),
            // A resolver of this machine that marks no more says so itself.
            (resolver, "yes", "yes", "own"),
            (resolver, "yes", "no", "own"),
            (resolver, "no", "yes", "resolver"),
            (resolver, "silent", "silent", "resolver, silent"),
            (resolver, "no", "silent", "resolver, silent"),
            (resolver, "no", "no", "nobody"),
            (resolver, "silent", "no", "nobody"),
        ] {
            let looks = [(By::Own, works(by_own)), (By::Resolver, works(by_resolver))];
            let verdict = judge(held, true, &looks);
            assert_eq!(
                told(&verdict),
                expected,
                "{held:?}: {by_own}, {by_resolver}"
            );
        }
    }

    #[test]
    fn c2_a_start_waits_for_answers_no_longer_than_it_may() {
        let silent = [(By::Own, works("silent"))];
        assert_eq!(judge(None, true, &silent), Verdict::Wait(By::Own));
        assert_eq!(judge(None, false, &silent), Verdict::Nobody);
        let kept = judge(Some(By::Own), false, &silent);
        assert_eq!(told(&kept), "own, silent");
        assert_eq!(judge(None, true, &[]), Verdict::Nobody);
    }
}
