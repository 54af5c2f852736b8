//! The answer to a policy question that cannot be given at once: what MTA-STS and DANE say is looked up
//! side by side, within one deadline.

use std::{sync::Arc, time::Duration};

use sealpost_plugin_api::{Level, Query, Requirement};
use tokio::time::{Instant, timeout_at};

use super::{Engine, answers::Given, dane::Fresh, of_reports::Carried};
use crate::{
    config::{OverrideMode, WhenUnknown},
    hook::{
        Answer,
        basis::{Basis, DaneRole, DaneUse},
        decide::{self, Refusal},
        joint::{self, DaneSettings, Known},
    },
    observe::{measured::Measured, words::Demand},
    policy::{
        MxHost, NameError, PolicyDomain, PolicyType, Standing,
        dane::{DaneFinding, DomainDane, HostDane},
    },
    record::{SessionRecord, Source, Verdict, protection::Protection, untrusted::harmless},
};

impl Engine {
    /// Answers, waiting for what must be looked up.
    ///
    /// `dane_use` is what an MTA makes of DANE that takes one answer for all mail hosts; absent where each
    /// host can be asked about.
    pub(super) async fn answer(&self, query: Query<'_>, dane_use: Option<DaneUse>) -> Answer {
        let sampled = Measured::sample(self.counters.policy_queries.value());
        self.counters.policy_queries.count();
        let answer = self.answer_untimed(query, dane_use);
        let demand = |answer: &Answer| Demand::from(&answer.requirement.level);
        let measured = &self.counters.measured;
        measured.answering(sampled, answer, demand).await
    }

    async fn answer_untimed(&self, query: Query<'_>, dane_use: Option<DaneUse>) -> Answer {
        let domain = match query.domain.parse::<PolicyDomain>() {
            Ok(domain) => domain,
            // RFC 8461 s3.4: an address literal has no policy.
            Err(NameError::Address(_)) => {
                let why = "an address literal has no policy domain";
                return Answer::bare(Requirement::new(Level::May, why));
            }
            Err(error) => {
                return self.unanswerable(Requirement::new(Level::Defer, error.to_string()));
            }
        };
        let overridden = self.override_for(&domain);
        // One deadline for all that the question waits for.
        let deadline = deadline(query.deadline);
        if overridden == Some(OverrideMode::Off) {
            let dane = self.dane_within(&domain, (dane_use, overridden), deadline);
            let dane = dane.await;
            return self.turned_off(domain, dane);
        }
        if self.doubts.settle(&domain) {
            // RFC 8461 s5.1: mail must not wait, nor bounce, because of a policy that has been
            // replaced.
            let _in_time = timeout_at(deadline, self.policies.recheck(&domain)).await;
        }
        match query.mx {
            None => {
                let asked = (dane_use, overridden);
                self.answer_domain(&domain, asked, deadline).await
            }
            Some(mx) => {
                let about = AboutHost {
                    domain: &domain,
                    mx,
                    port: query.port,
                };
                self.answer_host(about, overridden, deadline).await
            }
        }
    }

    async fn answer_domain(
        &self,
        domain: &PolicyDomain,
        (dane_use, overridden): (Option<DaneUse>, Option<OverrideMode>),
        deadline: Instant,
    ) -> Answer {
        let (standing, mut dane) = tokio::join!(
            self.standing_within(domain, deadline),
            self.dane_within(domain, (dane_use, overridden), deadline),
        );
        let mandatory = overridden == Some(OverrideMode::DaneOnly);
        // OURS: who is not told of DANE is answered as without it, and late is no reason to wait.
        if dane.is_none() && dane_use == Some(DaneUse::NotTold) && !mandatory {
            dane = Some(Fresh::Off(NOT_IN_TIME).of(domain));
        }
        let (when_unknown, settings) = self.when_unknown_and_dane();
        let decide = |standing: &Standing| {
            let known = Known {
                standing,
                overridden,
                settings,
            };
            let decision = match &dane {
                Some(dane) => joint::decide_domain(&known, dane),
                None => joint::decide_domain_in_haste(&known, when_unknown),
            };
            let mut basis = Basis::of(&known);
            // OURS: the operator wants mail to go on where it is not known in time what DANE says.
            if dane.is_none() && when_unknown == WhenUnknown::May && !mandatory {
                basis.dane = DaneRole::Reported;
            }
            (decision.requirement, basis)
        };
        let is_unknown = standing.is_none();
        let standing = standing.unwrap_or_else(|| Standing::without_policy(domain.clone()));
        let (requirement, basis) = decide(&standing);
        let decides = match &requirement.level {
            Level::Dane { .. } => {
                mandatory || dane.as_ref().is_some_and(|dane| dane.decides_on_all())
            }
            _ => false,
        };
        if is_unknown && !holds_without_policy(&requirement, decides, when_unknown) {
            return self.not_known(domain);
        }
        if dane.is_none() {
            self.count_if_unknown(&requirement);
        }
        let given = Given::of(standing);
        Answer {
            dane,
            basis,
            ..self.answers.answer(requirement, &given)
        }
    }

    async fn answer_host(
        &self,
        about: AboutHost<'_>,
        overridden: Option<OverrideMode>,
        deadline: Instant,
    ) -> Answer {
        let domain = about.domain;
        let host = about.mx.parse::<MxHost>();
        // Of what is no host name there is nothing to ask, and what is passed over nobody waits for.
        let asked = host
            .as_ref()
            .ok()
            .filter(|_| overridden != Some(OverrideMode::WithoutDane));
        let dane = async {
            let dane = self.dane.host(domain, asked?, about.port);
            timeout_at(deadline, dane).await.ok()
        };
        let (standing, dane) = tokio::join!(self.standing_within(domain, deadline), dane);
        let unnamed = harmless(about.mx).unwrap_or_default();
        let named = host.as_ref().map_err(|_| unnamed.as_str());
        let in_haste = dane.is_none() && asked.is_some();
        let dane = dane.or_else(|| self.dane.known(domain, asked?));
        let (when_unknown, settings) = self.when_unknown_and_dane();
        let decide = |standing: &Standing| {
            let known = Known {
                standing,
                overridden,
                settings,
            };
            if in_haste {
                joint::decide_host_in_haste(&known, named, dane.as_deref(), when_unknown)
            } else {
                joint::decide_host(&known, named, dane.as_deref())
            }
        };
        let is_unknown = standing.is_none();
        let mut standing = standing.unwrap_or_else(|| Standing::without_policy(domain.clone()));
        let mut decision = decide(&standing);
        if is_unknown {
            let decides = match decision.requirement.level {
                Level::Dane { .. } => dane.as_ref().is_some_and(|dane| dane.decides().is_some()),
                Level::RefuseMx => true,
                _ => false,
            };
            if !holds_without_policy(&decision.requirement, decides, when_unknown) {
                return self.not_known(domain);
            }
        }
        let by_policy = |refused: &Refusal| refused.policy.policy_type == PolicyType::Sts;
        if decision.refused.as_ref().is_some_and(by_policy) {
            // RFC 8461 s5.1: a domain that moves its mail publishes a new policy with it. Look
            // before turning the new MX away.
            let recheck = timeout_at(deadline, self.policies.recheck(domain)).await;
            if recheck.is_ok() {
                if let Some(newest) = self.policies.known(domain) {
                    standing = newest;
                }
                decision = decide(&standing);
            }
        }
        if let Some(refused) = decision.refused {
            self.count_refusal(domain, refused, &decision.requirement.reason);
        }
        if in_haste {
            self.count_if_unknown(&decision.requirement);
        }
        // The name is to bring back what was said of the host, also that DANE says nothing of it: records
        // that are found later are nothing to this session. Of old knowledge only what may have counted.
        let counted =
            |dane: &Arc<HostDane>| !in_haste || !matches!(dane.finding, DaneFinding::Nothing(_));
        let given = Given {
            standing,
            dane: dane.filter(counted),
        };
        self.answers.answer(decision.requirement, &given)
    }

    /// The MTA will not connect: that is a failed session.
    fn count_refusal(&self, domain: &PolicyDomain, refused: Refusal, reason: &str) {
        self.counters.mx_refused.count();
        tracing::info!(%domain, mx = refused.failure.mx, reason, "MX refused");
        let now = self.clock.now();
        if self.of_reports(domain, now, 1, Carried::Unknown) > 0 {
            return;
        }
        self.journal.push(SessionRecord {
            at: now,
            domain: domain.clone(),
            policy: refused.policy,
            source: Source::Policy,
            verdict: Verdict::Failure(vec![refused.failure]),
            protection: Some(Protection::Refused),
            sessions: 1,
        });
    }

    fn not_known(&self, domain: &PolicyDomain) -> Answer {
        let when_unknown = self.settings.load().when_unknown;
        let reason = "no answer from DNS or the policy host in time";
        self.unanswerable(decide::unknown(domain, reason, when_unknown))
    }

    fn when_unknown_and_dane(&self) -> (WhenUnknown, DaneSettings) {
        let settings = self.settings.load();
        (settings.when_unknown, settings.dane)
    }

    /// The answer for a domain that the operator applies no policies to.
    pub(super) fn turned_off(&self, domain: PolicyDomain, dane: Option<Arc<DomainDane>>) -> Answer {
        let standing = Standing::without_policy(domain);
        let decision = decide::decide(&standing, None, Some(OverrideMode::Off));
        let given = Given::of(standing);
        Answer {
            dane,
            ..self.answers.answer(decision.requirement, &given)
        }
    }

    /// What DANE says of the domain's hosts, where that is known in time.
    async fn dane_within(
        &self,
        domain: &PolicyDomain,
        (dane_use, overridden): (Option<DaneUse>, Option<OverrideMode>),
        deadline: Instant,
    ) -> Option<Arc<DomainDane>> {
        if let Some(why) = passed_over(dane_use, overridden) {
            return Some(Fresh::Off(why).of(domain));
        }
        timeout_at(deadline, self.dane.domain(domain)).await.ok()
    }

    /// What holds for the domain, or what is known of it when the deadline passes or nothing newer
    /// can be told.
    // RFC 8461 s3.3: a policy that has not expired holds, whatever keeps us from looking.
    async fn standing_within(&self, domain: &PolicyDomain, deadline: Instant) -> Option<Standing> {
        let standing = timeout_at(deadline, self.policies.standing(domain)).await;
        let standing = standing.unwrap_or(None);
        standing.or_else(|| self.policies.known(domain))
    }

    fn unanswerable(&self, requirement: Requirement) -> Answer {
        self.count_unanswerable(&requirement);
        Answer::bare(requirement)
    }

    /// What DANE says was not known in time: then the operator's word is the answer, unless something else
    /// demanded more.
    fn count_if_unknown(&self, requirement: &Requirement) {
        let by_operator = matches!(requirement.level, Level::May | Level::Defer);
        if by_operator && !requirement.audit {
            self.count_unanswerable(requirement);
        }
    }

    fn count_unanswerable(&self, requirement: &Requirement) {
        self.counters.policy_queries_unanswerable.count();
        tracing::warn!(reason = requirement.reason, "policy not known");
    }
}

/// The MX host that is asked about.
#[derive(Clone, Copy, Debug)]
struct AboutHost<'a> {
    domain: &'a PolicyDomain,
    mx: &'a str,
    port: Option<u16>,
}

/// Why there is no DANE for a domain whose TLSA records the operator wants passed over: nobody waits for
/// them.
const PASSED_OVER: &str = "the operator wants its TLSA records passed over";

/// Why there is no DANE for what is asked about without it.
const UNUSED: &str = "the answer says nothing of DANE";

/// Why there is no DANE for an MTA that is not told of it.
const NOT_IN_TIME: &str = "the DNS did not say in time, and nobody would be told";

/// Why what DANE says of a domain is not looked up, if it is not.
pub(super) const fn passed_over(
    dane_use: Option<DaneUse>,
    overridden: Option<OverrideMode>,
) -> Option<&'static str> {
    match (dane_use, overridden) {
        (Some(dane_use), overridden) if dane_use.looks_under(overridden) => None,
        (Some(DaneUse::Unused), _) => Some(UNUSED),
        (Some(_), _) | (None, Some(OverrideMode::Off | OverrideMode::WithoutDane)) => {
            Some(PASSED_OVER)
        }
        (None, _) => None,
    }
}

/// When a question must be answered.
fn deadline(within: Duration) -> Instant {
    /// No host waits longer.
    const DEADLINE_SECONDS_MAX: u64 = 86_400;

    Instant::now() + within.min(Duration::from_secs(DEADLINE_SECONDS_MAX))
}

/// Whether an answer that was made without knowing the policy may be given. `decides`: whatever the policy
/// says, it would be the same.
// OURS: where the operator wants to go on without a policy that is not known, DANE alone is the floor.
fn holds_without_policy(
    requirement: &Requirement,
    decides: bool,
    when_unknown: WhenUnknown,
) -> bool {
    decides || (when_unknown == WhenUnknown::May && requirement.level != Level::May)
}
