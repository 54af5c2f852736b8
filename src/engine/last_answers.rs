//! How domains were last answered, for the sessions that an MTA tells without the answer's name.
//!
//! Bounded: two generations, the older forgotten when the younger is full.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    clock::Timestamp,
    hook::{Answer, Said},
    policy::PolicyDomain,
    recent::Recent,
    record::reconcile::Answered,
};

/// How many domains one generation holds.
const GENERATION_DOMAINS_MAX: usize = 50_000;

/// The memory of all domains.
#[derive(Debug)]
pub(super) struct LastAnswers(Mutex<Recent<PolicyDomain, Kept>>);

impl Default for LastAnswers {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(GENERATION_DOMAINS_MAX)))
    }
}

/// What is held of a domain.
#[derive(Debug, Default)]
struct Kept {
    remembered: Remembered,
    /// The answer that `remembered.last` was made of, and what was given of it.
    given: Option<(Arc<Answer>, Said)>,
}

/// What is remembered of a domain.
#[derive(Clone, Debug, Default)]
pub(super) struct Remembered {
    /// How it was last answered.
    pub(super) last: Option<Arc<Answered>>,
    /// How it was answered before that, under another policy.
    pub(super) before: Option<Arc<Answered>>,
    /// When one of its sessions was last told.
    pub(super) told_at: Option<Timestamp>,
}

impl LastAnswers {
    /// How the domain was last answered, where this very answer was and this was given of it.
    pub(super) fn again(
        &self,
        domain: &PolicyDomain,
        answer: &Arc<Answer>,
        given: Said,
    ) -> Option<Arc<Answered>> {
        self.with(domain, |kept| {
            let (last, of_it) = kept.given.as_ref()?;
            let is_same = Arc::ptr_eq(last, answer) && *of_it == given;
            kept.remembered.last.clone().filter(|_| is_same)
        })
    }

    /// The domain was answered so, by this answer where that is to be known again. The same is kept once.
    pub(super) fn remember(
        &self,
        domain: &PolicyDomain,
        answered: Answered,
        given: Option<(Arc<Answer>, Said)>,
    ) -> Arc<Answered> {
        self.with(domain, |kept| {
            kept.given = given;
            let remembered = &mut kept.remembered;
            if let Some(last) = &remembered.last
                && **last == answered
            {
                return Arc::clone(last);
            }
            let answered = Arc::new(answered);
            let last = remembered.last.replace(Arc::clone(&answered));
            let is_other = |last: &Arc<Answered>| {
                last.standing.fingerprint() != answered.standing.fingerprint()
            };
            if let Some(last) = last.filter(is_other) {
                remembered.before = Some(last);
            }
            answered
        })
    }

    /// The domain is held to have been answered so, unless it is known how it was.
    pub(super) fn presume(&self, domain: &PolicyDomain, presumed: Answered) -> Arc<Answered> {
        self.with(domain, |kept| {
            let last = &mut kept.remembered.last;
            Arc::clone(last.get_or_insert_with(|| Arc::new(presumed)))
        })
    }

    /// A session of the domain is told. Gives what was remembered before.
    pub(super) fn told(&self, domain: &PolicyDomain, now: Timestamp) -> Remembered {
        self.with(domain, |kept| {
            let before = kept.remembered.clone();
            kept.remembered.told_at = Some(now);
            before
        })
    }

    /// How the domain was last answered, if that is remembered.
    pub(super) fn last(&self, domain: &PolicyDomain) -> Option<Arc<Answered>> {
        self.look_up(domain, |remembered| remembered.last.clone())
    }

    /// When a session of the domain was last told.
    pub(super) fn told_at(&self, domain: &PolicyDomain) -> Option<Timestamp> {
        self.look_up(domain, |remembered| remembered.told_at)
    }

    /// Reads without making room.
    fn look_up<T>(
        &self,
        domain: &PolicyDomain,
        read: impl FnOnce(&Remembered) -> Option<T>,
    ) -> Option<T> {
        read(&self.domains().get(domain)?.remembered)
    }

    fn with<T>(&self, domain: &PolicyDomain, work: impl FnOnce(&mut Kept) -> T) -> T {
        self.domains().with(domain, work)
    }

    fn domains(&self) -> MutexGuard<'_, Recent<PolicyDomain, Kept>> {
        // Whole at every moment, whatever another thread died of.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use sealpost_plugin_api::{Level, Requirement};

    use super::*;
    use crate::{
        policy::{Mode, Standing},
        record::reconcile::Demand,
    };

    fn answered(mx: &str, demand: Demand) -> Answered {
        let standing = Standing::for_test(Mode::Enforce, &[mx]);
        Answered {
            standing,
            demand,
            dane: None,
        }
    }

    fn given() -> (Arc<Answer>, Said) {
        let requirement = Requirement::new(Level::May, "why");
        (Arc::new(Answer::bare(requirement)), Said::PolicyByName)
    }

    #[test]
    fn d10_the_answer_under_the_policy_before_is_remembered() {
        let domain: PolicyDomain = "example.org".parse().unwrap();
        let answers = LastAnswers::default();
        let (old, new) = (
            answered("old.example.org", Demand::Named),
            answered("new.example.org", Demand::Named),
        );
        let answer = given();
        let first = answers.remember(&domain, old.clone(), Some(answer.clone()));
        let again = answers.again(&domain, &answer.0, answer.1).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(answers.again(&domain, &answer.0, Said::Policy), None);
        for given in [Some(given()), None] {
            let same = answers.remember(&domain, old.clone(), given);
            assert!(Arc::ptr_eq(&first, &same));
            assert_eq!(answers.again(&domain, &answer.0, answer.1), None);
        }
        for demand in [Demand::Named, Demand::Unnamed, Demand::Named] {
            answers.remember(
                &domain,
                Answered {
                    demand,
                    ..new.clone()
                },
                Some(given()),
            );
        }
        let remembered = answers.told(&domain, Timestamp(5));
        assert_eq!(remembered.last.as_deref(), Some(&new));
        assert_eq!(remembered.before.as_deref(), Some(&old));
        assert_eq!(remembered.told_at, None);
        let presumed = answered("other.example.org", Demand::Unknown);
        assert_eq!(*answers.presume(&domain, presumed.clone()), new);
        let other = "example.net".parse().unwrap();
        assert_eq!(*answers.presume(&other, presumed.clone()), presumed);
        assert_eq!(answers.told_at(&domain), Some(Timestamp(5)));
    }

    #[test]
    fn g6_it_is_bounded_and_keeps_what_is_used() {
        let answers = LastAnswers::default();
        let favourite: PolicyDomain = "example.org".parse().unwrap();
        answers.remember(
            &favourite,
            answered("mx.example.org", Demand::Named),
            Some(given()),
        );
        for number in 0..3 * GENERATION_DOMAINS_MAX {
            let domain = format!("{number}.example").parse().unwrap();
            answers.told(&domain, Timestamp(0));
            if number % 10_000 == 0 {
                let remembered = answers.told(&favourite, Timestamp(0));
                assert!(remembered.last.is_some(), "lost after {number}");
            }
        }
        let held = answers.domains().len();
        assert!(held <= 2 * GENERATION_DOMAINS_MAX, "{held}");
    }
}
