//! Sessions that are told without the name of the answer they were held to, as Postfix's log tells them.
//!
//! Postfix holds all MX hosts of a domain to one answer. Told `dane-only`, what it verified matched TLSA
//! records, and nothing was checked of the policy; told the policy, TLSA records were not looked at.

use std::sync::Arc;

use sealpost_plugin_api::{Outcome, Session};

use super::{Engine, answers::Given};
use crate::{
    policy::dane::HostDane,
    record::{
        evaluate::was_passed_over,
        reconcile::Demand,
        told::{Ending, Told},
    },
};

/// How such a session is to be taken.
pub(super) enum Unnamed<'a> {
    /// As told under the TLSA records of its host.
    OfTlsa(Told),
    /// As one that was held to this of its host.
    HeldTo(Option<&'a Arc<HostDane>>),
}

impl Engine {
    /// How a session is to be taken that was held to this, by what its MTA was last told.
    pub(super) fn unnamed<'a>(&self, session: &Session<'_>, given: &'a Given) -> Unnamed<'a> {
        let held_to = Unnamed::HeldTo(given.dane.as_ref());
        if session.policy.is_some() {
            return held_to;
        }
        let domain = &given.standing.domain;
        let Some(last) = self.last_answers.last(domain) else {
            return held_to;
        };
        match (last.demand, &session.outcome) {
            (Demand::Dane | Demand::DaneMandatory, Outcome::Success) => {
                match given.dane.as_deref().and_then(HostDane::decides) {
                    Some(records) => Unnamed::OfTlsa(Told::new(
                        domain.clone(),
                        records.applied().as_ref().clone(),
                        Ending::Success,
                    )),
                    None => held_to,
                }
            }
            (Demand::Named | Demand::NamedForSome | Demand::Unnamed, _)
                if !was_passed_over(session) =>
            {
                let useless = |dane: &&Arc<HostDane>| {
                    let records = dane.records();
                    records.is_some_and(|records| !records.set.has_usable())
                };
                Unnamed::HeldTo(given.dane.as_ref().filter(useless))
            }
            _ => held_to,
        }
    }
}
