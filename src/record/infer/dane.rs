//! What attempts came to that DANE ended, and that the MTA tells nothing of.

use std::sync::Arc;

use sealpost_plugin_api::ResultType;

use super::{Attempts, Inferred};
use crate::{
    hook::joint::DANE_REQUIRED,
    policy::{
        AppliedPolicy, PolicyDomain, PolicyType,
        dane::{DaneFinding, HostDane, LookupTrouble, MxSecurity, RankedHost},
    },
    record::{
        Failure, Source,
        classify::Observed,
        finding::{DomainFindings, HostFinding, TlsaLookup},
        reconcile::{Answered, Demand},
        told::{Ending, Told},
    },
};

/// How long a TLS session may be resumed. Postfix does not tell of one that was
/// (`smtp_tls_session_cache_timeout`, an hour if nothing else is said).
const RESUMPTION_SECONDS: i64 = 3_600;

/// The reason code of a lookup that our own look made.
const LOOKUP_FAILED: &str = "tlsa-lookup-failed";

/// A mail host that an MTA passes over for DANE, and that it says nothing of.
struct PassedOver<'a> {
    dane: &'a HostDane,
    /// What it is counted under.
    policy: Arc<AppliedPolicy>,
    result: ResultType,
    code: &'static str,
    /// Whether there is a host that it goes on to.
    goes_on: bool,
}

/// The MTA was told to go by DANE alone, or by the policy for the hosts without TLSA records. It passes over
/// mail hosts whose TLSA records cannot be looked up (RFC 7672 s2.2.3), and those that have none to be used,
/// and says nothing of either. The latter fail only what the operator demands.
pub(super) fn passed_over(attempts: &Attempts<'_>) -> Option<Inferred> {
    let host = host_passed_over(attempts.answered)?;
    let failure = Failure {
        mx: Some(host.dane.host.to_string()),
        ..Failure::of_policy(host.result, Source::Policy.mark(host.code))
    };
    let (silent, followed) = match host.result {
        // The MTA asks the DNS itself, and may have had an answer where we had none: then it went to that
        // host, and tells of it but for TLS that it resumed. Signatures that do not hold do so for all.
        ResultType::DnssecInvalid => (
            match was_told_of_late(attempts) {
                true => 0,
                false => attempts.silent,
            },
            match host.code {
                "tlsa-bogus" => attempts.followed,
                _ => 0,
            },
        ),
        _ => (attempts.silent, attempts.followed),
    };
    let followed = followed.saturating_sub(attempts.excluded_met);
    Some(Inferred {
        policy: host.policy,
        failures: vec![failure],
        source: Source::Policy,
        sessions: match host.goes_on {
            true => silent.saturating_add(followed),
            false => silent,
        },
    })
}

/// Whether a told session was with the host that an MTA that was answered so is held to pass over for DANE:
/// it found the records.
#[must_use]
pub fn was_with_passed_over(told: &Told, answered: &Answered) -> bool {
    let Some(host) = host_passed_over(answered) else {
        return false;
    };
    let is_it = |failure: &Failure| failure.mx.as_deref() == Some(host.dane.host.as_str());
    let under_its_records = told.policy.policy_type == PolicyType::Tlsa
        && told.policy.policy_domain == host.policy.policy_domain;
    under_its_records
        || match &told.ending {
            Ending::Success => false,
            Ending::Failure(failures) => failures.iter().any(is_it),
        }
}

/// The host that the MTA passes over first, if there is one that is better than all it goes to.
fn host_passed_over(answered: &Answered) -> Option<PassedOver<'_>> {
    let demand = answered.demand;
    let hosts = answered.dane.as_deref()?.ranked();
    let is_used = |ranked: &&RankedHost| match demand {
        Demand::Dane | Demand::DaneMandatory => ranked.dane.decides().is_some(),
        Demand::NamedForSome => {
            let kept = answered.standing.sts.held_to();
            let is_listed = kept.is_some_and(|kept| kept.policy.allows(&ranked.dane.host));
            is_listed && is_left_to_policy(&ranked.dane)
        }
        _ => false,
    };
    let best_used = hosts.iter().filter(is_used);
    let best_used = best_used.map(|ranked| ranked.preference).min();
    // It meets what is worse than that only where it cannot go there.
    let is_met = |ranked: &&RankedHost| best_used.is_none_or(|best| ranked.preference < best);
    let (dane, policy, result, code) = hosts.iter().filter(is_met).find_map(|ranked| {
        let (policy, result, code) = passed_over_as(&ranked.dane, demand)?;
        Some((&ranked.dane, policy, result, code))
    })?;
    Some(PassedOver {
        dane,
        policy,
        result,
        code,
        goes_on: best_used.is_some(),
    })
}

/// Whether DANE says nothing of a host that an enforced policy does not say as well.
fn is_left_to_policy(dane: &HostDane) -> bool {
    match &dane.finding {
        DaneFinding::Nothing(_) => true,
        DaneFinding::Records(_) => dane.decides().is_none(),
        DaneFinding::Unreachable(LookupTrouble::Tlsa { .. }) => dane.mx == MxSecurity::Insecure,
        DaneFinding::Unreachable(_) => false,
    }
}

/// What it is counted under and as that a host is passed over, if it is counted.
fn passed_over_as(
    dane: &HostDane,
    demand: Demand,
) -> Option<(Arc<AppliedPolicy>, ResultType, &'static str)> {
    match &dane.finding {
        // Under a policy that is enforced nobody looks at TLSA records below MX records that are not signed.
        DaneFinding::Unreachable(LookupTrouble::Tlsa { .. })
            if demand == Demand::NamedForSome && is_left_to_policy(dane) =>
        {
            None
        }
        DaneFinding::Unreachable(LookupTrouble::Tlsa { base, code, .. }) => Some((
            Arc::new(AppliedPolicy::tlsa_not_had(PolicyDomain::from(base))),
            ResultType::DnssecInvalid,
            code,
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
            Some((policy, ResultType::DaneRequired, DANE_REQUIRED))
        }
        DaneFinding::Records(_) | DaneFinding::Nothing(_) => None,
    }
}

/// Whether a session of the domain was told so late that the MTA may have resumed its TLS in these attempts,
/// and then it says nothing.
fn was_told_of_late(attempts: &Attempts<'_>) -> bool {
    let of_late = |told| attempts.at.seconds_since(told) <= RESUMPTION_SECONDS;
    attempts.told_at.is_some_and(of_late)
}

/// Nothing was demanded, TLS comes up with every host that the mail can have gone to, and none of their
/// TLSA records can be looked up: an MTA that does DANE delivers to none of them.
// RFC 7672 s2.1: a lookup that fails is no proof that there are no records.
pub(super) fn without_tlsa(attempts: &Attempts<'_>, findings: &DomainFindings) -> Option<Inferred> {
    // One that does not do DANE told its sessions, but for those it resumed.
    if was_told_of_late(attempts) {
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
        policy::{Mode, Standing, dane::DomainDane},
        record::infer::infer,
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

    /// `the demand | the hosts | when a session was last told | how many followed and met the host | how many`
    const COUNTS: &str = "
        dane | 10 mx1 bogus; 20 mx2 records | never | 2 0 | 5 BOGUS
        dane | 10 mx1 bogus; 20 mx2 records | 3601 | 2 0 | 5 BOGUS
        dane | 10 mx1 bogus; 20 mx2 records | 3600 | 2 0 | 2 BOGUS
        dane | 10 mx1 bogus; 20 mx2 records | -60 | 2 1 | 1 BOGUS
        dane | 10 mx1 bogus; 20 mx2 records | -60 | 2 2 | nothing
        dane | 10 mx1 failed; 20 mx2 records | never | 2 0 | 3 FAILED
        dane | 10 mx1 failed; 20 mx2 records | -60 | 2 0 | nothing
        dane | 10 mx1 failed | 3601 | 0 0 | 3 FAILED
        dane | 10 mx1 bogus | 3600 | 0 0 | nothing
        mandatory | 10 mx1 none; 20 mx2 records | -60 | 2 1 | 4 REQUIRED
        mandatory | 10 mx1 failed | 60 | 0 0 | nothing
        some | 10 mx1 bogus; 20 mx2 none | never | 2 0 | 5 BOGUS
        some | 10 mx1 bogus; 20 mx2 none | -60 | 2 1 | 1 BOGUS
        some | 10 mx1 failed; 20 mx2 unsigned | never | 2 0 | 3 FAILED
        some | 10 mx1 bogus, unsigned MX; 20 mx2 none | never | 2 0 | nothing
        some | 10 mx1 none; 20 mx2 bogus | never | 2 0 | nothing
        some | 10 mx1 none; 20 mx2 records | never | 2 0 | nothing
        named | 10 mx1 bogus; 20 mx2 none | never | 2 0 | nothing";

    #[test]
    fn c3_never_more_sessions_are_counted_than_dane_can_have_prevented() {
        for line in COUNTS
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            let columns: Vec<&str> = line.split('|').map(str::trim).collect();
            let hosts = columns[1].replace("mx1", "mx1.example.org");
            let hosts = hosts.replace("mx2", "mx2.example.org");
            let hosts: Vec<&str> = hosts.split("; ").collect();
            let demand = match columns[0] {
                "dane" => Demand::Dane,
                "mandatory" => Demand::DaneMandatory,
                "some" => Demand::NamedForSome,
                "named" => Demand::Named,
                other => panic!("{other}"),
            };
            let answered = Answered {
                standing: Standing::for_test(Mode::Enforce, &["*.example.org"]),
                ..answered(demand, &hosts)
            };
            let counts: Vec<u32> = columns[3]
                .split(' ')
                .map(|count| count.parse().unwrap())
                .collect();
            let ago = columns[2].parse::<i64>().ok();
            let attempts = Attempts {
                at: AT,
                answered: &answered,
                silent: 3,
                followed: counts[0],
                excluded_met: counts[1],
                told_at: ago.map(|seconds| AT.plus_seconds(-seconds)),
            };
            let findings = DomainFindings::for_test(
                AT,
                &["10 mx1.example.org unseen", "20 mx2.example.org unseen"],
            );
            let inferred = infer(&attempts, &findings);
            let found = inferred.map_or_else(
                || "nothing".to_owned(),
                |inferred| {
                    let failure = &inferred.failures[0];
                    assert_eq!(failure.mx.as_deref(), Some("mx1.example.org"), "{line}");
                    let word = match failure.reason.as_deref().unwrap() {
                        "policy:tlsa-bogus" => "BOGUS",
                        "policy:tlsa-lookup-failed" => "FAILED",
                        "policy:no-usable-tlsa-records" => "REQUIRED",
                        other => panic!("{other}"),
                    };
                    format!("{} {word}", inferred.sessions)
                },
            );
            assert_eq!(found, columns[4], "{line}");
        }
    }

    #[test]
    fn c3_a_session_with_the_host_that_is_passed_over_is_known_by_its_records_or_its_name() {
        let bogus = answered(
            Demand::Dane,
            &["10 mx1.example.org bogus", "20 mx2.example.org records"],
        );
        let good = answered(Demand::Dane, &["10 mx1.example.org records"]);
        let elsewhere = answered(
            Demand::Dane,
            &["10 mx3.example.org bogus", "20 mx1.example.org records"],
        );
        for (policy, ending, is_with_it) in [
            ("tlsa", "success", true),
            ("tlsa", "validation-failure dane-no-match -", true),
            ("*.example.org", "success", false),
            (
                "*.example.org",
                "certificate-expired - mx1.example.org",
                true,
            ),
            (
                "*.example.org",
                "certificate-expired - mx2.example.org",
                false,
            ),
        ] {
            let told = Told::for_test(policy, ending);
            assert_eq!(
                was_with_passed_over(&told, &bogus),
                is_with_it,
                "{policy} {ending}"
            );
            assert!(!was_with_passed_over(&told, &good));
            assert!(!was_with_passed_over(&told, &elsewhere));
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
