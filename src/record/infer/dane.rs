//! What attempts came to that DANE ended, and that the MTA tells nothing of.

use std::sync::Arc;

use sealpost_plugin_api::ResultType;

use super::{Attempts, Inferred};
use crate::{
    hook::joint::DANE_REQUIRED,
    policy::{
        AppliedPolicy, PolicyDomain,
        dane::{DaneFinding, HostDane, LookupTrouble, RankedHost},
    },
    record::{
        Failure, Source,
        classify::Observed,
        finding::{DomainFindings, HostFinding, TlsaLookup},
        reconcile::Demand,
    },
};

/// How long a TLS session may be resumed. Postfix does not tell of one that was
/// (`smtp_tls_session_cache_timeout`, an hour if nothing else is said).
const RESUMPTION_SECONDS: i64 = 3_600;

/// The reason code of a lookup that our own look made.
const LOOKUP_FAILED: &str = "tlsa-lookup-failed";

/// The MTA was told to go by DANE alone. It passes over mail hosts whose TLSA records cannot be looked up
/// (RFC 7672 s2.2.3), and those that have none to be used, and says nothing of either. The latter fail
/// only what the operator demands.
pub(super) fn passed_over(attempts: &Attempts<'_>) -> Option<Inferred> {
    let hosts = attempts.answered.dane.as_deref()?.ranked();
    let used = hosts
        .iter()
        .filter(|ranked| ranked.dane.decides().is_some());
    let best_used = used.map(|ranked| ranked.preference).min();
    // It meets what is worse than that only where it cannot go there.
    let is_met = |ranked: &&RankedHost| best_used.is_none_or(|best| ranked.preference < best);
    let demand = attempts.answered.demand;
    let (policy, failure) = hosts
        .iter()
        .filter(is_met)
        .find_map(|ranked| passed_over_host(&ranked.dane, demand))?;
    Some(Inferred {
        policy,
        failures: vec![failure],
        source: Source::Policy,
        sessions: match best_used {
            None => attempts.silent,
            Some(_) => attempts.silent.saturating_add(attempts.followed),
        },
    })
}

/// What it is counted under and as that a host is passed over, if it is counted.
fn passed_over_host(dane: &HostDane, demand: Demand) -> Option<(Arc<AppliedPolicy>, Failure)> {
    let failure = |result, code| Failure {
        mx: Some(dane.host.to_string()),
        ..Failure::of_policy(result, Source::Policy.mark(code))
    };
    match &dane.finding {
        DaneFinding::Unreachable(LookupTrouble::Tlsa { base, code, .. }) => Some((
            Arc::new(AppliedPolicy::tlsa_not_had(PolicyDomain::from(base))),
            failure(ResultType::DnssecInvalid, code),
        )),
        // RFC 8460 s4.3.4: no TLS session failed.
        DaneFinding::Unreachable(LookupTrouble::Mx(_) | LookupTrouble::Addresses(_)) => None,
        DaneFinding::Records(_) | DaneFinding::Nothing(_)
            if demand == Demand::DaneMandatory && dane.decides().is_none() =>
        {
            let policy = dane.records().map_or_else(
                || Arc::new(AppliedPolicy::tlsa_not_had(PolicyDomain::from(&dane.host))),
                |records| Arc::clone(records.applied()),
            );
            Some((policy, failure(ResultType::DaneRequired, DANE_REQUIRED)))
        }
        DaneFinding::Records(_) | DaneFinding::Nothing(_) => None,
    }
}

/// Nothing was demanded, TLS comes up with every host that the mail can have gone to, and none of their
/// TLSA records can be looked up: an MTA that does DANE delivers to none of them.
// RFC 7672 s2.1: a lookup that fails is no proof that there are no records.
pub(super) fn without_tlsa(attempts: &Attempts<'_>, findings: &DomainFindings) -> Option<Inferred> {
    // One that does not do DANE told its sessions, but for those it resumed.
    let told_of_late = |told| attempts.at.seconds_since(told) <= RESUMPTION_SECONDS;
    if attempts.told_at.is_some_and(told_of_late) {
        return None;
    }
    let reached = findings.best(HostFinding::may_be_reached);
    let mut failed = Vec::with_capacity(reached.len());
    for host in reached {
        let is_up = matches!(host.observed, Observed::Established { .. });
        failed.push(failed_lookup(host, attempts).filter(|_| is_up)?);
    }
    let (policy, failure) = failed.into_iter().next()?;
    Some(Inferred {
        policy: Arc::new(policy),
        failures: vec![failure],
        source: Source::Probe,
        sessions: attempts.silent,
    })
}

/// That the TLSA records of a host could not be looked up: by DANE's own lookups, which also know where
/// none are asked for; else as our look at the host found it.
fn failed_lookup(host: &HostFinding, attempts: &Attempts<'_>) -> Option<(AppliedPolicy, Failure)> {
    let dane = attempts.answered.dane.as_deref();
    let (base, code) = match dane.and_then(|dane| dane.host(&host.host)) {
        Some(known) => match &known.finding {
            DaneFinding::Unreachable(LookupTrouble::Tlsa { base, code, .. }) => (base, *code),
            _ => return None,
        },
        None if host.tlsa == TlsaLookup::Failed => (&host.host, LOOKUP_FAILED),
        None => return None,
    };
    let reason = Source::Probe.mark(code);
    Some((
        AppliedPolicy::tlsa_not_had(PolicyDomain::from(base)),
        host.failure(ResultType::DnssecInvalid, reason),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        policy::{Standing, dane::DomainDane},
        record::reconcile::Answered,
    };

    const AT: Timestamp = Timestamp(1_800_000_000);

    fn answered(demand: Demand, hosts: &[&str]) -> Answered {
        Answered {
            standing: Standing::without_policy("example.org".parse().unwrap()),
            demand,
            dane: Some(DomainDane::for_test(hosts).into()),
        }
    }

    fn words(inferred: Option<Inferred>) -> String {
        inferred.map_or_else(
            || "nothing".to_owned(),
            |inferred| {
                let failures: Vec<String> =
                    inferred.failures.iter().map(Failure::in_words).collect();
                format!(
                    "{} of {} {}: {}",
                    inferred.sessions,
                    inferred.policy.policy_domain,
                    inferred.source.name(),
                    failures.join(", ")
                )
            },
        )
    }

    /// `the hosts | where DANE was told | where the operator demands it`; three attempts were silent, a
    /// told session followed two more.
    const TABLE: &str = "
        10 mx1 records | nothing | nothing
        10 mx1 bogus | 3 BOGUS mx1 | 3 BOGUS mx1
        10 mx1 none | nothing | 3 REQUIRED mx1
        10 mx1 unsigned | nothing | 3 REQUIRED mx1
        10 mx1 unusable | nothing | 3 REQUIRED mx1
        10 mx1 records, unsigned MX | nothing | 3 REQUIRED mx1
        10 mx1 lost | nothing | nothing
        10 mx1 bogus; 20 mx2 records | 5 BOGUS mx1 | 5 BOGUS mx1
        10 mx1 none; 20 mx2 records | nothing | 5 REQUIRED mx1
        10 mx1 records; 20 mx2 bogus | nothing | nothing
        10 mx1 records; 10 mx2 bogus | nothing | nothing
        10 mx1 none; 20 mx2 bogus | 3 BOGUS mx2 | 3 REQUIRED mx1
        | nothing | nothing";

    #[test]
    fn c3_c17_a_host_that_dane_keeps_the_mta_from_is_a_failed_session_of_each_attempt() {
        for line in TABLE.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let columns: Vec<&str> = line.split('|').map(str::trim).collect();
            let named = |text: &str| {
                text.replace("mx1", "mx1.example.org")
                    .replace("mx2", "mx2.example.org")
            };
            let hosts = named(columns[0]);
            let hosts: Vec<&str> = hosts.split("; ").filter(|host| !host.is_empty()).collect();
            for (demand, expected) in [
                (Demand::Dane, columns[1]),
                (Demand::DaneMandatory, columns[2]),
            ] {
                let answered = answered(demand, &hosts);
                let found = words(passed_over(&Attempts {
                    at: AT,
                    answered: &answered,
                    silent: 3,
                    followed: 2,
                    excluded_met: 0,
                    told_at: None,
                }));
                let expected = named(expected);
                let expected = match expected.split(' ').collect::<Vec<_>>()[..] {
                    [sessions, "BOGUS", mx] => {
                        format!("{sessions} of {mx} policy: dnssec-invalid policy:tlsa-bogus {mx}")
                    }
                    [sessions, "REQUIRED", mx] => format!(
                        "{sessions} of {mx} policy: dane-required \
                         policy:no-usable-tlsa-records {mx}"
                    ),
                    _ => expected,
                };
                assert_eq!(found, expected, "{demand:?}: {line}");
            }
        }
    }

    #[test]
    fn c4_where_it_is_known_what_dane_says_our_look_asks_in_vain() {
        let findings = DomainFindings::for_test(AT, &["10 mx1.example.org good, no TLSA"]);
        for (host, expected) in [
            ("10 mx1.example.org unsigned", "nothing"),
            ("10 mx1.example.org records", "nothing"),
            ("10 mx1.example.org lost", "nothing"),
            (
                "10 mx1.example.org bogus",
                "3 of mx1.example.org probe: dnssec-invalid probe:tlsa-bogus mx1.example.org",
            ),
            (
                "10 mx2.example.org none",
                "3 of mx1.example.org probe: dnssec-invalid probe:tlsa-lookup-failed mx1.example.org",
            ),
        ] {
            let answered = answered(Demand::Nothing, &[host]);
            let attempts = Attempts {
                at: AT,
                answered: &answered,
                silent: 3,
                followed: 0,
                excluded_met: 0,
                told_at: None,
            };
            assert_eq!(
                words(without_tlsa(&attempts, &findings)),
                expected,
                "{host}"
            );
        }
    }
}
