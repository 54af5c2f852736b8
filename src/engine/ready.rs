//! What is known of a domain, with the answers that were made from it: most questions are asked again
//! and again, and the answer is the same until something new is learned.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;

use super::{
    answers::{Answers, Given},
    dane::Fresh,
};
use crate::{
    config::OverrideMode,
    hook::{
        Answer,
        basis::Basis,
        joint::{DaneSettings, Known, decide_domain},
    },
    policy::Standing,
};

/// A standing, ready to be answered with.
#[derive(Debug)]
pub struct Ready {
    given: Given,
    /// For each word that the operator may have.
    made: [Made; OVERRIDES],
}

/// No override, and every kind of one but `off`.
const OVERRIDES: usize = 5;

/// An answer that was made.
#[derive(Debug, Default)]
struct Made {
    answer: ArcSwapOption<MadeAnswer>,
    /// What [`Answers::generation`] was when it was last remembered what the answer stands for.
    remembered_in: AtomicU64,
}

/// An answer, and what it was made of besides the standing.
#[derive(Debug)]
struct MadeAnswer {
    dane: Fresh,
    settings: DaneSettings,
    answer: Arc<Answer>,
}

impl MadeAnswer {
    /// Whether it is the answer for this as well.
    fn is_of(&self, dane: &Fresh, settings: DaneSettings) -> bool {
        self.settings == settings && self.dane.is_same(dane)
    }
}

impl Ready {
    /// Nothing is made of it yet.
    #[must_use]
    pub fn new(standing: Standing) -> Self {
        Self {
            given: Given::of(standing),
            made: Default::default(),
        }
    }

    /// The standing.
    #[must_use]
    pub const fn standing(&self) -> &Standing {
        &self.given.standing
    }

    /// The answer for the domain as a whole, with the name of the policy it was made from.
    /// `answers` remembers what that name stands for. None where the operator has turned policies
    /// off: then it is not made from this.
    pub(super) fn answer(
        &self,
        dane: &Fresh,
        overridden: Option<OverrideMode>,
        settings: DaneSettings,
        answers: &Answers,
    ) -> Option<Arc<Answer>> {
        let made = self.made.get(place(overridden)?)?;
        let generation = answers.generation();
        let before = made.answer.load();
        if let Some(before) = before.as_ref().filter(|made| made.is_of(dane, settings)) {
            // What is given for days must not be forgotten for what is given once.
            if made.remembered_in.load(Ordering::Relaxed) != generation {
                made.remembered_in.store(generation, Ordering::Relaxed);
                let _same_name = answers.give(&self.given);
            }
            return Some(Arc::clone(&before.answer));
        }
        let known = Known {
            standing: &self.given.standing,
            overridden,
            settings,
        };
        let whole = dane.clone().of(&self.given.standing.domain);
        let requirement = decide_domain(&known, &whole).requirement;
        made.remembered_in.store(generation, Ordering::Relaxed);
        let answer = Arc::new(Answer {
            dane: Some(whole),
            basis: Basis::of(&known),
            ..answers.answer(requirement, &self.given)
        });
        // G6: what takes that much room is made anew each time.
        let is_heavy = answer.dane.as_ref().is_some_and(|dane| dane.is_heavy());
        made.answer.store((!is_heavy).then(|| {
            Arc::new(MadeAnswer {
                dane: dane.clone(),
                settings,
                answer: Arc::clone(&answer),
            })
        }));
        Some(answer)
    }
}

/// Where the answer for an override is kept.
const fn place(overridden: Option<OverrideMode>) -> Option<usize> {
    match overridden {
        None => Some(0),
        Some(OverrideMode::Audit) => Some(1),
        Some(OverrideMode::Enforce) => Some(2),
        Some(OverrideMode::DaneOnly) => Some(3),
        Some(OverrideMode::WithoutDane) => Some(4),
        Some(OverrideMode::Off) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{hook::decide::decide, policy::Mode};

    fn off() -> Fresh {
        Fresh::Off("nobody asks")
    }

    #[test]
    fn an_answer_is_made_once_for_each_thing_the_operator_may_want() {
        let answers = Answers::default();
        let ready = Ready::new(Standing::for_test(Mode::Testing, &["mx.example.org"]));
        let off = off();
        for overridden in [None, Some(OverrideMode::Audit), Some(OverrideMode::Enforce)] {
            let answer = || ready.answer(&off, overridden, DaneSettings::default(), &answers);
            let first = answer().unwrap();
            let expected = decide(ready.standing(), None, overridden).requirement;
            assert_eq!(first.requirement.level, expected.level);
            assert_eq!(first.requirement.reason, expected.reason);
            assert_eq!(first.requirement.audit, expected.audit);
            assert_eq!(first.applied.as_ref(), Some(ready.standing().applied()));
            let again = answer().unwrap();
            assert!(Arc::ptr_eq(&first, &again));
        }
        let settings = DaneSettings::default();
        let turned_off = ready.answer(&off, Some(OverrideMode::Off), settings, &answers);
        assert_eq!(turned_off, None);
    }

    #[test]
    fn d10_what_an_answer_stands_for_is_not_forgotten_while_it_is_given() {
        let answers = Answers::default();
        let ready = Ready::new(Standing::for_test(Mode::Enforce, &["mx.example.org"]));
        let mut number = 0;
        for _ in 0..3 {
            let name = ready.answer(&off(), None, DaneSettings::default(), &answers);
            let name = name.unwrap();
            let name = &name.requirement.policy;
            let before = answers.generation();
            while answers.generation() == before {
                number += 1;
                let other = Standing::without_policy(format!("{number}.test").parse().unwrap());
                let _name = answers.give(&Given::of(other));
            }
            let domain = &ready.standing().domain;
            assert_eq!(answers.find(domain, name).as_ref(), Some(&ready.given));
        }
    }
}
