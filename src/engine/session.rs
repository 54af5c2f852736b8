//! What becomes of a session that an MTA tells by the name of its answer.

use std::sync::Arc;

use sealpost_plugin_api::Session;

use super::{Engine, answers::Given, of_reports::Carried, unnamed::Unnamed};
use crate::{
    config::OverrideMode,
    hook::{decide, hold},
    policy::{MxHost, PolicyDomain, PolicyType, Standing, StsStanding, dane::HostDane},
    record::{
        Certainty, SessionRecord, Verdict,
        evaluate::{Evaluated, HeldTo, evaluate},
    },
};

/// How long after a session that an MTA held to an answer about the whole domain it may tell of it: what
/// DANE said of the host is not held against it any longer.
pub(super) const TOLD_SECONDS_MAX: i64 = 3_600;

impl Engine {
    /// Counts a session under each policy that applied to it.
    pub(super) fn take_session(&self, session: &Session<'_>, carried: Carried) {
        // RFC 8461 s3.4: mail to an address literal belongs to no policy domain and no report.
        let Ok(domain) = session.domain.parse::<PolicyDomain>() else {
            self.counters.sessions.count();
            self.counters.sessions_not_counted.count();
            return;
        };
        let given = self.held_to(domain, session);
        let standing = &given.standing;
        let known = self.known(standing);
        let dane = match self.unnamed(session, &given) {
            Unnamed::OfTlsa(told) => return self.take_told(&told, 1, carried),
            Unnamed::HeldTo(dane) => dane.map(|dane| &**dane),
        };
        self.counters.sessions.count();
        let Evaluated { records, certainty } = evaluate(
            session,
            &HeldTo {
                standing,
                dane: &hold::hold(&known, dane),
                demanded: hold::demanded(&known, dane),
                roots: &self.roots,
            },
            self.clock.now(),
        );
        let Some(first) = records.first() else {
            self.counters.sessions_not_counted.count();
            return;
        };
        if self.of_reports(&first.domain, first.at, 1, carried) > 0 {
            return;
        }
        if certainty == Certainty::Unchecked {
            self.counters.sessions_unchecked.count();
        }
        let fails_policy = |record: &SessionRecord| {
            record.policy.policy_type == PolicyType::Sts
                && matches!(record.verdict, Verdict::Failure(_))
        };
        let policy_holds = matches!(standing.sts, StsStanding::InForce { .. });
        if policy_holds && records.iter().any(fails_policy) {
            self.doubts.raise(&standing.domain);
        }
        self.journal.push_all(records);
    }

    /// What a session was held to: what its answer named; of an MTA that does not name it, what it was last
    /// answered with; else what holds now.
    fn held_to(&self, domain: PolicyDomain, session: &Session<'_>) -> Given {
        if self.override_for(&domain) == Some(OverrideMode::Off) {
            return Given::of(Standing::without_policy(domain));
        }
        let named = session
            .policy
            .and_then(|name| self.answers.find(&domain, name));
        let host: Option<MxHost> = session.mx.and_then(|mx| mx.parse().ok());
        // An answer about another host of the domain says nothing of this one.
        let about_it = |dane: &Arc<HostDane>| host.as_ref().is_none_or(|host| dane.host == *host);
        let named = named.map(|named| Given {
            dane: named.dane.filter(about_it),
            ..named
        });
        let mut given = match named {
            // An answer about the host itself let it in.
            Some(named) if named.says_of_host() || !self.refuses(&named.standing, session) => named,
            // The answer for the domain would have turned this MX away. If there was a session all the
            // same, the later answer for the MX let it in: the domain had moved (RFC 8461 s5.1), or DANE
            // decides on it.
            Some(named) => self
                .policies
                .known(&domain)
                .filter(|newest| !self.refuses(newest, session))
                .map_or(named, Given::of),
            None => {
                let last = self.last_answers.last(&domain);
                let standing = last
                    .map(|last| last.standing.clone())
                    .or_else(|| self.policies.known(&domain));
                Given::of(standing.unwrap_or_else(|| Standing::without_policy(domain.clone())))
            }
        };
        if given.dane.is_none() {
            let since = self.clock.now().plus_seconds(-TOLD_SECONDS_MAX);
            given.dane = host.and_then(|host| self.dane.held(&domain, &host, since));
        }
        given
    }

    /// Whether the MX host of this session would be turned away by the policy.
    fn refuses(&self, standing: &Standing, session: &Session<'_>) -> bool {
        let host = session.mx.map(str::parse::<MxHost>);
        let named = host.as_ref().map(|host| host.as_ref().map_err(|_| ""));
        let overridden = self.override_for(&standing.domain);
        let decision = decide::decide(standing, named, overridden);
        decision.refused.is_some()
    }
}
