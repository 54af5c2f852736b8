//! What is known of a domain, with the answers that were made from it: most questions are asked again
//! and again, and the answer is the same until something new is learned.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use super::answers::Answers;
use crate::{
    config::OverrideMode,
    hook::{Answer, decide},
    policy::Standing,
};

/// A standing, ready to be answered with.
#[derive(Debug)]
pub struct Ready {
    standing: Standing,
    plain: Made,
    audit: Made,
    enforce: Made,
}

/// An answer that was made.
#[derive(Debug, Default)]
struct Made {
    answer: OnceLock<Arc<Answer>>,
    /// What [`Answers::generation`] was when it was last remembered what the answer stands for.
    remembered_in: AtomicU64,
}

impl Ready {
    /// Nothing is made of it yet.
    #[must_use]
    pub fn new(standing: Standing) -> Self {
        Self {
            standing,
            plain: Made::default(),
            audit: Made::default(),
            enforce: Made::default(),
        }
    }

    /// The standing.
    #[must_use]
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The answer for the domain as a whole, with the name of the policy it was made from.
    /// `answers` remembers what that name stands for. None where the operator has turned policies
    /// off: then it is not made from this.
    pub(super) fn answer(
        &self,
        overridden: Option<OverrideMode>,
        answers: &Answers,
    ) -> Option<Arc<Answer>> {
        let made = match overridden {
            None | Some(OverrideMode::DaneOnly | OverrideMode::WithoutDane) => &self.plain,
            Some(OverrideMode::Audit) => &self.audit,
            Some(OverrideMode::Enforce) => &self.enforce,
            Some(OverrideMode::Off) => return None,
        };
        let generation = answers.generation();
        let answer = made.answer.get_or_init(|| {
            made.remembered_in.store(generation, Ordering::Relaxed);
            let requirement = decide::decide(&self.standing, None, overridden).requirement;
            Arc::new(answers.answer(requirement, &self.standing))
        });
        // What is given for days must not be forgotten for what is given once.
        if made.remembered_in.load(Ordering::Relaxed) != generation {
            made.remembered_in.store(generation, Ordering::Relaxed);
            let _same_name = answers.give(&self.standing);
        }
        Some(Arc::clone(answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Mode;

    #[test]
    fn an_answer_is_made_once_for_each_thing_the_operator_may_want() {
        let answers = Answers::default();
        let ready = Ready::new(Standing::for_test(Mode::Testing, &["mx.example.org"]));
        for overridden in [None, Some(OverrideMode::Audit), Some(OverrideMode::Enforce)] {
            let first = ready.answer(overridden, &answers).unwrap();
            let expected = decide::decide(ready.standing(), None, overridden).requirement;
            assert_eq!(first.requirement.level, expected.level);
            assert_eq!(first.requirement.reason, expected.reason);
            assert_eq!(first.requirement.audit, expected.audit);
            assert_eq!(first.applied.as_ref(), Some(ready.standing().applied()));
            let again = ready.answer(overridden, &answers).unwrap();
            assert!(Arc::ptr_eq(&first, &again));
        }
        assert_eq!(ready.answer(Some(OverrideMode::Off), &answers), None);
    }

    #[test]
    fn d10_what_an_answer_stands_for_is_not_forgotten_while_it_is_given() {
        let answers = Answers::default();
        let ready = Ready::new(Standing::for_test(Mode::Enforce, &["mx.example.org"]));
        let mut number = 0;
        for _ in 0..3 {
            let name = ready.answer(None, &answers).unwrap();
            let name = &name.requirement.policy;
            let before = answers.generation();
            while answers.generation() == before {
                number += 1;
                let other = Standing::without_policy(format!("{number}.test").parse().unwrap());
                let _name = answers.give(&other);
            }
            let domain = &ready.standing().domain;
            assert_eq!(answers.find(domain, name).as_ref(), Some(ready.standing()));
        }
    }
}
