//! What an attempt at delivery came to that the MTA tells nothing of.
//!
//! Postfix says nothing of a mail host that the policy or mandatory DANE excludes, of a session in the clear,
//! and of a TLSA lookup that failed. It asked for the policy all the same; that attempt is a failed session
//! where what we know ourselves leaves no doubt (`docs/decisions/0010-postfix.md`). Where there is
//! doubt nothing is counted: what is inferred is never more than there was.

use std::sync::Arc;

use sealpost_plugin_api::ResultType;

use super::{
    Failure, Source,
    classify::Observed,
    finding::{DomainFindings, HostFinding},
    reconcile::{Answered, Demand, mx_mismatch},
};

mod dane;

pub use dane::was_with_passed_over;

use crate::{
    clock::Timestamp,
    policy::{AppliedPolicy, KeptPolicy, StsStanding},
};

/// Attempts at delivery to one domain, alike and at about one time.
#[derive(Clone, Copy, Debug)]
pub struct Attempts<'a> {
    /// When they were made.
    pub at: Timestamp,
    /// How they were answered.
    pub answered: &'a Answered,
    /// How many there were that nothing was told of.
    pub silent: u32,
    /// How many more there were, which a told session followed.
    pub followed: u32,
    /// In how many of these a mail host was met that is passed over by what was answered: this MTA did not.
    pub excluded_met: u32,
    /// When a session of the domain was last told, before these attempts or after.
    pub told_at: Option<Timestamp>,
}

/// Failed sessions that no MTA told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inferred {
    /// What they are counted under.
    pub policy: Arc<AppliedPolicy>,
    /// How they failed; never empty.
    pub failures: Vec<Failure>,
    /// What it was inferred from.
    pub source: Source,
    /// How many; never zero.
    pub sessions: u32,
}

/// Says what these attempts came to, as far as that is beyond doubt.
#[must_use]
pub fn infer(attempts: &Attempts<'_>, findings: &DomainFindings) -> Option<Inferred> {
    // RFC 8460 s3: without the record nobody reads a report, and Postfix tells nothing at all.
    if !findings.asks_for_reports {
        return None;
    }
    let inferred = match attempts.answered.demand {
        Demand::Named => passed_over(attempts, findings),
        // Of two hosts that are passed over the one is counted that the policy excludes.
        Demand::NamedForSome => {
            passed_over(attempts, findings).or_else(|| dane::passed_over(attempts))
        }
        Demand::Dane | Demand::DaneMandatory => dane::passed_over(attempts),
        Demand::Nothing => {
            in_the_clear(attempts, findings).or_else(|| dane::without_tlsa(attempts, findings))
        }
        // It asked for no TLSA records.
        Demand::Opportunistic => in_the_clear(attempts, findings),
        // It connects to every host, and tells how that went.
        Demand::Unnamed | Demand::Unknown => None,
    };
    inferred.filter(|inferred| inferred.sessions > 0)
}

/// RFC 8461 s4.1: the MTA passes over mail hosts that the policy does not list, and says nothing.
fn passed_over(attempts: &Attempts<'_>, findings: &DomainFindings) -> Option<Inferred> {
    let answered = attempts.answered;
    let StsStanding::InForce { kept, .. } = &answered.standing.sts else {
        return None;
    };
    if findings.are_older_than(kept) {
        return None;
    }
    let listed = |host: &HostFinding| kept.policy.allows(&host.host);
    let (host, sessions) = match findings.best(listed).first() {
        // It had nowhere to go.
        None => {
            let best = findings.best(|_| true).into_iter().next()?;
            (best, attempts.silent)
        }
        // It tries what is worse than the hosts it passes over, whatever is told of that.
        Some(best_listed) => {
            let better = |host: &HostFinding| host.preference < best_listed.preference;
            let best = findings.best(better).into_iter().next()?;
            let all = attempts.silent.saturating_add(attempts.followed);
            (best, all.saturating_sub(attempts.excluded_met))
        }
    };
    Some(Inferred {
        policy: Arc::clone(answered.standing.applied()),
        failures: vec![mx_mismatch(host)],
        source: Source::Policy,
        sessions,
    })
}

/// Nothing was demanded, and no host that the mail can have gone to has TLS.
fn in_the_clear(attempts: &Attempts<'_>, findings: &DomainFindings) -> Option<Inferred> {
    // A session told later than that look speaks against it.
    if attempts.told_at.is_some_and(|told| told > findings.at) {
        return None;
    }
    let reached = findings.best(HostFinding::may_be_reached);
    let reasons: Option<Vec<&str>> = reached.iter().map(|host| no_starttls(host)).collect();
    let reason = reasons?.into_iter().next()?;
    let host = reached.first()?;
    let reason = Source::Probe.mark(reason);
    let mut failures = vec![host.failure(ResultType::StarttlsNotSupported, reason)];
    let standing = &attempts.answered.standing;
    let excludes =
        |kept: &KeptPolicy| !kept.policy.allows(&host.host) && !findings.are_older_than(kept);
    if standing.sts.held_to().is_some_and(|kept| excludes(kept)) {
        failures.push(mx_mismatch(host));
    }
    if let StsStanding::Unfetched(trouble) = &standing.sts {
        failures.push(trouble.into());
    }
    Some(Inferred {
        policy: Arc::clone(standing.applied()),
        failures,
        source: Source::Probe,
        sessions: attempts.silent,
    })
}

/// Why TLS could not be begun with this host, if it could not.
fn no_starttls(host: &HostFinding) -> Option<&'static str> {
    match &host.observed {
        Observed::Failed(troubles) => troubles.iter().find_map(|(result, reason)| {
            (*result == ResultType::StarttlsNotSupported)
                .then(|| reason.unwrap_or("starttls-not-offered"))
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Mode, PolicyType, Standing};

    const AT: Timestamp = Timestamp(1_800_000_000);

    fn sts(mode: Mode, demand: Demand) -> Answered {
        let standing = Standing::for_test(mode, &["*.example.org"]);
        Answered {
            standing,
            demand,
            dane: None,
        }
    }

    fn nothing_demanded(standing: Standing) -> Answered {
        Answered {
            standing,
            demand: Demand::Nothing,
            dane: None,
        }
    }

    /// `how many, policy type, source: failures`
    fn words(inferred: Option<&Inferred>) -> String {
        let Some(inferred) = inferred else {
            return "nothing".to_owned();
        };
        let failures: Vec<String> = inferred.failures.iter().map(Failure::in_words).collect();
        format!(
            "{} {} {}: {}",
            inferred.sessions,
            inferred.policy.policy_type.name(),
            inferred.source.name(),
            failures.join(", ")
        )
    }

    fn silent(answered: &Answered) -> Attempts<'_> {
        Attempts {
            at: AT,
            answered,
            silent: 3,
            followed: 0,
            excluded_met: 0,
            told_at: None,
        }
    }

    /// `how it was answered | the hosts | what is inferred`
    const TABLE: &str = "
        enforce | 10 mx.elsewhere.example good; 20 mx.other.example good | 3 sts policy: EXCLUDED
        enforce | 10 mx.elsewhere.example good; 20 mx1.example.org good | 3 sts policy: EXCLUDED
        enforce | 10 mx.elsewhere.example down; 20 mx1.example.org down | 3 sts policy: EXCLUDED
        enforce | 20 mx.elsewhere.example good; 10 mx1.example.org good | nothing
        enforce | 10 mx.elsewhere.example good; 10 mx1.example.org good | nothing
        enforce | 10 mx1.example.org clear | nothing
        enforce | 10 mx1.example.org good, no TLSA | nothing
        enforce | 10 mx.elsewhere.example unseen; 20 mx1.example.org unseen | 3 sts policy: EXCLUDED
        enforce | | nothing
        unnamed | 10 mx.elsewhere.example good | nothing

        none | 10 mx1.example.org clear | 3 no-policy-found probe: CLEAR mx1.example.org
        none | 10 mx1.example.org refused; 10 mx2.example.org clear | 3 no-policy-found probe: REFUSED mx1.example.org
        none | 10 mx1.example.org down; 20 mx2.example.org clear | 3 no-policy-found probe: CLEAR mx2.example.org
        none | 10 mx1.example.org clear; 20 mx2.example.org good | 3 no-policy-found probe: CLEAR mx1.example.org
        none | 10 mx1.example.org clear; 10 mx2.example.org good | nothing
        none | 10 mx1.example.org broken | nothing
        none | 10 mx1.example.org down | nothing
        none | 10 mx1.example.org good | nothing
        none | 10 mx1.example.org clear; 10 mx2.example.org unclear | nothing
        none | 10 mx1.example.org clear; 10 mx2.example.org unseen | nothing
        none | 10 mx1.example.org clear; 20 mx2.example.org unseen | 3 no-policy-found probe: CLEAR mx1.example.org
        none | 10 mx1.example.org unseen | nothing
        mode none | 10 mx.elsewhere.example clear | 3 no-policy-found probe: CLEAR mx.elsewhere.example
        testing | 10 mx1.example.org clear | 3 sts probe: CLEAR mx1.example.org
        testing | 10 mx.elsewhere.example clear | 3 sts probe: CLEAR mx.elsewhere.example, EXCLUDED
        testing | 10 mx.elsewhere.example good | nothing
        audit | 10 mx1.example.org clear | 3 sts probe: CLEAR mx1.example.org
        unfetched | 10 mx1.example.org clear | 3 sts probe: CLEAR mx1.example.org, FETCH
        unfetched | 10 mx1.example.org good | nothing

        none | 10 mx1.example.org self-signed, no TLSA | 3 tlsa probe: BOGUS mx1.example.org
        testing | 10 mx1.example.org good, no TLSA; 20 mx2.example.org good | 3 tlsa probe: BOGUS mx1.example.org
        none | 10 mx1.example.org good, no TLSA; 10 mx2.example.org good | nothing
        none | 10 mx1.example.org clear, no TLSA | 3 no-policy-found probe: CLEAR mx1.example.org
        none | 10 mx1.example.org good, no TLSA; 10 mx2.example.org unseen | nothing
        none | 10 mx1.example.org broken, no TLSA | nothing
        none | 10 mx1.example.org down, no TLSA | nothing";

    const WORDS: [(&str, &str); 5] = [
        (
            "EXCLUDED",
            "validation-failure policy:sts-mx-mismatch mx.elsewhere.example",
        ),
        ("CLEAR", "starttls-not-supported probe:starttls-not-offered"),
        ("REFUSED", "starttls-not-supported probe:starttls-refused"),
        ("FETCH", "sts-policy-fetch-error http-status-404 -"),
        ("BOGUS", "dnssec-invalid probe:tlsa-lookup-failed"),
    ];

    fn answered(words: &str) -> Answered {
        match words {
            "enforce" => sts(Mode::Enforce, Demand::Named),
            "unnamed" => sts(Mode::Enforce, Demand::Unnamed),
            "audit" => sts(Mode::Enforce, Demand::Nothing),
            "testing" => sts(Mode::Testing, Demand::Nothing),
            "mode none" => sts(Mode::None, Demand::Nothing),
            "none" => {
                let domain = "example.org".parse().unwrap();
                nothing_demanded(Standing::without_policy(domain))
            }
            "unfetched" => nothing_demanded(Standing::unfetched_for_test()),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn d4_an_attempt_that_nothing_is_told_of_fails_where_there_is_no_doubt() {
        for line in TABLE.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let columns: Vec<&str> = line.split('|').map(str::trim).collect();
            let answered = answered(columns[0]);
            let hosts: Vec<&str> = columns[1]
                .split("; ")
                .filter(|host| !host.is_empty())
                .collect();
            let mut expected = columns[2].to_owned();
            for (word, words) in WORDS {
                expected = expected.replace(word, words);
            }
            let mut findings = DomainFindings::for_test(AT, &hosts);
            let inferred = infer(&silent(&answered), &findings);
            assert_eq!(words(inferred.as_ref()), expected, "{line}");
            if let Some(inferred) = inferred {
                // RFC 8460 s4.4: the domain of a "tlsa" policy is the TLSA base domain.
                let expected = match inferred.policy.policy_type {
                    PolicyType::Tlsa => "mx1.example.org",
                    _ => "example.org",
                };
                assert_eq!(inferred.policy.policy_domain.as_str(), expected);
            }
            findings.asks_for_reports = false;
            assert_eq!(infer(&silent(&answered), &findings), None, "nobody asks");
        }
    }

    #[test]
    fn what_was_told_and_what_is_newer_speak_against_it() {
        let (enforce, plain) = (answered("enforce"), answered("none"));
        let excluded = ["10 mx.elsewhere.example good", "20 mx1.example.org good"];
        let all_excluded = ["10 mx.elsewhere.example good"];
        let clear = ["10 mx1.example.org clear"];
        let bogus = ["10 mx1.example.org good, no TLSA"];
        let told = |seconds| Some(AT.plus_seconds(seconds));
        for (answered, hosts, found_at, followed, excluded_met, told_at, expected) in [
            // A host that is passed over is passed over whatever else is told.
            (&enforce, &excluded[..], AT, 2, 0, told(1), 5),
            (&enforce, &excluded, AT, 2, 1, told(1), 4),
            (&enforce, &excluded, AT, 2, 5, told(1), 0),
            (&enforce, &all_excluded, AT, 2, 0, told(1), 3),
            // The policy is newer than the MX records.
            (&enforce, &excluded, Timestamp(-1), 0, 0, None, 0),
            (&plain, &clear, AT, 2, 0, told(-1), 3),
            (&plain, &clear, AT, 0, 0, told(1), 0),
            (&plain, &bogus, AT, 0, 0, told(-3_601), 3),
            (&plain, &bogus, AT, 0, 0, told(-3_600), 0),
            (&plain, &bogus, AT, 0, 0, told(9_000), 0),
        ] {
            let findings = DomainFindings::for_test(found_at, hosts);
            let attempts = Attempts {
                followed,
                excluded_met,
                told_at,
                ..silent(answered)
            };
            let sessions = infer(&attempts, &findings).map_or(0, |inferred| inferred.sessions);
            assert_eq!(sessions, expected, "{attempts:?} {hosts:?}");
        }
    }
}
