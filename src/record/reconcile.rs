//! What an MTA tells of a session, held against what it was answered and what was found: what is
//! counted.
//!
//! Postfix names the policy it was given with its answer, and where it was given none it says
//! `no-policy-found`: of a domain whose policy is only tested as well as of one without. At such a
//! level every handshake is a success to it, whatever the certificate. What it says is true of what
//! it did; this makes of it what is true of the policy. The table is in `docs/decisions/0010-postfix.md`.

use std::sync::Arc;

use sealpost_plugin_api::{Level, ResultType};

use super::{
    Certainty, Failure, Source, Verdict,
    classify::Observed,
    finding::{DomainFindings, HostFinding},
    told::{Ending, Told},
};
use crate::{
    config::OverrideMode,
    hook::{
        Said,
        basis::{Basis, DaneRole},
        decide::{STS_MX_MISMATCH, decide},
    },
    policy::{
        AppliedPolicy, KeptPolicy, MxHost, MxPattern, PolicyType, Standing, StsStanding,
        dane::DomainDane,
    },
};

mod beside;
mod beside_sts;
mod protected;

pub use beside::{beside_tlsa, has_policy, was_tried};
pub use beside_sts::{BesideSts, beside_sts, depends_on_look};
pub use protected::{protected, protects_nothing};

/// How an MTA that tells its sessions was answered for a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// What held for the domain.
    pub standing: Standing,
    /// What was demanded.
    pub demand: Demand,
    /// What DANE said of the domain's mail hosts, where that was known.
    pub dane: Option<Arc<DomainDane>>,
}

/// What an MTA that tells its sessions was told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// To hold to the policy, which it will name: mail hosts that the policy does not list are passed
    /// over, and nothing is told of them.
    Named,
    /// The same for some of the hosts that the policy lists, because DANE decides on others or keeps the MTA
    /// from them.
    NamedForSome,
    /// To hold to the policy, without what it needs to name it.
    Unnamed,
    /// To go by DANE alone: mail hosts without TLSA records that can be used are passed over, and nothing
    /// is told of them.
    Dane,
    /// The same by the operator's word: such a host fails what he demands (RFC 7672 s6).
    DaneMandatory,
    /// Nothing: no policy holds, or it is only reported on. By a level of its own the MTA may do DANE.
    Nothing,
    /// Nothing, in so many words: nor does the MTA do DANE.
    Opportunistic,
    /// A policy holds that is to be demanded, and it is not known how the MTA was answered.
    Unknown,
}

impl Answered {
    /// How an MTA was answered whose answer is not remembered, by what holds now. Where the answer
    /// would have demanded the policy, it may as well be older than that policy.
    #[must_use]
    pub fn presumed(standing: Standing, overridden: Option<OverrideMode>) -> Self {
        let demand = match decide(&standing, None, overridden).requirement.level {
            Level::May => Demand::Nothing,
            _ => Demand::Unknown,
        };
        Self {
            standing,
            demand,
            dane: None,
        }
    }
}

impl Demand {
    /// What is demanded of an MTA that was given this of an answer with this basis.
    #[must_use]
    pub const fn of(given: Said, basis: Basis) -> Self {
        match (given, basis.dane) {
            (Said::PolicyByName, _) => Self::Named,
            (Said::PolicyForSome, _) => Self::NamedForSome,
            (Said::Policy, _) => Self::Unnamed,
            (Said::DaneOnly, DaneRole::Mandatory) => Self::DaneMandatory,
            (Said::DaneOnly, _) => Self::Dane,
            (Said::NothingDemanded, _) => Self::Opportunistic,
            (Said::Nothing, _) => Self::Nothing,
        }
    }
}

/// What is known of a domain when a session is told.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// How the MTA was last answered.
    pub answered: &'a Answered,
    /// How it was answered before that, under another policy. Postfix asks once in a process's life.
    pub before: Option<&'a Answered>,
    /// What the operator decided otherwise.
    pub overridden: Option<OverrideMode>,
}

/// What becomes of a told session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reconciled {
    /// It is counted so.
    Counted(Counted),
    /// It was held to the TLSA records of its mail host, and is counted so; what an MTA-STS policy says of
    /// it, [`beside_tlsa`] tells (D7).
    OfTlsa(Counted),
    /// The MTA checked nothing: [`as_found`] says what it comes to.
    AsFound,
    /// What holds for the domain must be known first.
    StandingWanted,
}

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Under which policy.
    pub policy: Arc<AppliedPolicy>,
    /// As what.
    pub verdict: Verdict,
    /// Who saw it.
    pub source: Source,
    /// Whether it is what the policy says of the session.
    pub certainty: Certainty,
}

impl Counted {
    fn told(told: &Told, policy: &Arc<AppliedPolicy>) -> Self {
        Self {
            policy: Arc::clone(policy),
            verdict: match &told.ending {
                Ending::Success => Verdict::Success,
                Ending::Failure(failures) => {
                    Verdict::Failure(with_mx_mismatch(failures.clone(), policy))
                }
            },
            source: Source::Mta,
            certainty: Certainty::Checked,
        }
    }

    /// As it was told, for lack of anything better.
    #[must_use]
    pub fn unchecked(told: &Told) -> Self {
        Self {
            certainty: Certainty::Unchecked,
            ..Self::told(told, &told.policy)
        }
    }
}

/// Says what a told session is counted as. `known` is absent where nothing is known of the domain.
#[must_use]
pub fn reconcile(told: &Told, known: Option<Known<'_>>) -> Reconciled {
    match told.policy.policy_type {
        PolicyType::Sts => {
            let given = known.and_then(|known| given(told, known));
            Reconciled::Counted(Counted::told(told, given.unwrap_or(&told.policy)))
        }
        PolicyType::Tlsa => {
            let published = known.and_then(|known| published(&told.policy, known));
            Reconciled::OfTlsa(Counted::told(told, published.unwrap_or(&told.policy)))
        }
        PolicyType::NoPolicyFound => {
            known.map_or(Reconciled::StandingWanted, |known| unnamed(told, known))
        }
    }
}

/// A session of which the MTA names no policy.
fn unnamed(told: &Told, known: Known<'_>) -> Reconciled {
    let as_told = Counted::told(told, &told.policy);
    let Answered {
        standing, demand, ..
    } = known.answered;
    let counted = match &standing.sts {
        _ if known.overridden == Some(OverrideMode::Off) => as_told,
        sts if sts.held_to().is_some() => match (demand, &told.ending) {
            (Demand::Nothing | Demand::Opportunistic, Ending::Success) => {
                return Reconciled::AsFound;
            }
            (Demand::Nothing | Demand::Opportunistic, Ending::Failure(_))
            | (Demand::Unnamed, _) => Counted::told(told, standing.applied()),
            // Whoever was given a policy with its name would name it: this delivery holds to an
            // answer from before.
            (Demand::Named | Demand::NamedForSome | Demand::Dane | Demand::DaneMandatory, _) => {
                as_told
            }
            (Demand::Unknown, _) => Counted::unchecked(told),
        },
        StsStanding::InForce { .. } | StsStanding::NotAnnounced => as_told,
        StsStanding::Unfetched(trouble) => {
            let mut failures = match &told.ending {
                Ending::Success => Vec::new(),
                Ending::Failure(failures) => failures.clone(),
            };
            failures.push(trouble.into());
            Counted {
                verdict: Verdict::Failure(failures),
                ..Counted::told(told, standing.applied())
            }
        }
    };
    Reconciled::Counted(counted)
}

/// The policy we gave that the MTA means, exactly as we have it: both doors' sessions are to fall into
/// one element of the report (D10).
fn given<'a>(told: &Told, known: Known<'a>) -> Option<&'a Arc<AppliedPolicy>> {
    let given = || std::iter::once(known.answered).chain(known.before);
    let exact = given().find(|answered| answered.standing.fingerprint() == told.fingerprint);
    let meant = || {
        given().find(|answered| {
            let ours = answered.standing.applied();
            !matches!(answered.demand, Demand::Nothing | Demand::Opportunistic)
                && came_from(&told.policy, ours)
        })
    };
    Some(exact.or_else(meant)?.standing.applied())
}

/// The TLSA records as published of which these are all, or those that the MTA could use; a log has none.
fn published<'a>(told: &AppliedPolicy, known: Known<'a>) -> Option<&'a Arc<AppliedPolicy>> {
    let hosts = known.answered.dane.as_deref()?.ranked().iter();
    let mut records = hosts.filter_map(|ranked| ranked.dane.records());
    let is_base = |ours: &AppliedPolicy| ours.policy_domain == told.policy_domain;
    let ours =
        records.find(|records| is_base(records.applied()) && are_meant(told, records.applied()));
    ours.map(|records| records.applied())
}

/// Whether an MTA that told of TLSA records of a host can mean these, which the host has. One that names
/// none knows the host alone, and not what its alias leads to.
#[must_use]
pub fn are_meant(told: &AppliedPolicy, ours: &AppliedPolicy) -> bool {
    let has = |line: &String| ours.policy_string.contains(line);
    match told.policy_string.as_slice() {
        [] => true,
        lines => ours.policy_domain == told.policy_domain && lines.iter().all(has),
    }
}

/// Whether a policy as told is ours after its way through Postfix: lines that it cannot carry are left
/// out of the answer, and what is carried comes back without tabs and the blanks around it. Where DANE
/// keeps Postfix from some of the hosts that the policy lists, it is given the names of the others.
fn came_from(told: &AppliedPolicy, ours: &AppliedPolicy) -> bool {
    let mut lines = told.policy_string.iter().peekable();
    told.policy_type == ours.policy_type
        && told.policy_domain == ours.policy_domain
        && (told.mx_host == ours.mx_host || lists_all(ours, &told.mx_host))
        && ours.policy_string.iter().all(|ours| {
            let came = lines.next_if(|told| is_same_line(told, ours)).is_some();
            came || may_be_left_out(ours)
        })
        && lines.next().is_none()
}

/// Whether a policy lists all of these, which are names of hosts.
fn lists_all(policy: &AppliedPolicy, hosts: &[String]) -> bool {
    let patterns: Result<Vec<MxPattern>, _> = policy.mx_host.iter().map(|mx| mx.parse()).collect();
    let lists = |host: &String| {
        let patterns = patterns.as_deref().unwrap_or_default();
        host.parse::<MxHost>()
            .is_ok_and(|host| patterns.iter().any(|pattern| pattern.matches(&host)))
    };
    !hosts.is_empty() && hosts.iter().all(lists)
}

/// Blanks, and what Postfix would read as more than that line.
fn may_be_left_out(line: &str) -> bool {
    let line = line.trim_ascii();
    let means_more = |character: char| matches!(character, '{' | '}') || character.is_control();
    line.is_empty() || line.chars().any(means_more)
}

fn is_same_line(told: &str, ours: &str) -> bool {
    fn octets(line: &str) -> impl Iterator<Item = u8> + '_ {
        let blank = |octet| if octet == b'\t' { b' ' } else { octet };
        line.trim_ascii().bytes().map(blank)
    }
    octets(told).eq(octets(ours))
}

/// RFC 8461 s4.1: whatever the session failed by, an MX host that the policy does not list is a failure
/// of its own.
fn with_mx_mismatch(mut failures: Vec<Failure>, policy: &AppliedPolicy) -> Vec<Failure> {
    let said = |failure: &Failure| {
        let reason = failure.reason.as_deref().unwrap_or_default();
        reason.ends_with(STS_MX_MISMATCH)
    };
    if policy.policy_type != PolicyType::Sts
        || policy.mx_host.is_empty()
        || failures.iter().any(said)
    {
        return failures;
    }
    let patterns: Result<Vec<MxPattern>, _> = policy.mx_host.iter().map(|mx| mx.parse()).collect();
    // Patterns that are none are not ours, and what they allow is not known.
    let Ok(patterns) = patterns else {
        return failures;
    };
    let listed = |mx: &str| {
        mx.parse::<MxHost>()
            .is_ok_and(|host| patterns.iter().any(|pattern| pattern.matches(&host)))
    };
    let met = failures
        .iter()
        .find(|failure| failure.mx.as_deref().is_some_and(|mx| !listed(mx)));
    if let Some(met) = met.cloned() {
        failures.push(Failure {
            result: ResultType::ValidationFailure,
            reason: Some(STS_MX_MISMATCH.to_owned()),
            ..met
        });
    }
    failures
}

/// What a success comes to under a policy that the MTA did not check, by what was found of the mail
/// hosts it can have been with; `None` where that does not settle it.
#[must_use]
pub fn as_found(answered: &Answered, findings: &DomainFindings) -> Option<Counted> {
    let StsStanding::InForce { kept, .. } = &answered.standing.sts else {
        return None;
    };
    // TLS was up, so it was with none of the hosts that do not come to that.
    let met = findings
        .best(|host| host.may_be_reached() && !matches!(host.observed, Observed::Failed(_)));
    let mut outcomes = Vec::with_capacity(met.len());
    for host in met {
        outcomes.push(faults(host, kept, findings)?);
    }
    let failed = outcomes.iter().filter(|faults| !faults.is_empty()).count();
    let all = outcomes.len();
    let first = outcomes.into_iter().next()?;
    let verdict = match failed {
        0 => Verdict::Success,
        failed if failed == all => Verdict::Failure(first),
        // The MTA picks from hosts of one preference by chance.
        _ => return None,
    };
    Some(Counted {
        policy: Arc::clone(answered.standing.applied()),
        verdict,
        source: Source::Probe,
        certainty: Certainty::Checked,
    })
}

/// What the policy finds wrong with a session with this host; `None` where that is not known.
fn faults(
    host: &HostFinding,
    kept: &KeptPolicy,
    findings: &DomainFindings,
) -> Option<Vec<Failure>> {
    let Observed::Established { troubles } = &host.observed else {
        return None;
    };
    let mut faults: Vec<Failure> = troubles
        .iter()
        .map(|(result, reason)| host.failure(*result, by_probe(*reason)))
        .collect();
    if !kept.policy.allows(&host.host) {
        if findings.are_older_than(kept) {
            return None;
        }
        faults.push(mx_mismatch(host));
    }
    Some(faults)
}

/// The reason code of what our own look at a mail host found.
fn by_probe(reason: Option<&str>) -> String {
    reason.map_or_else(
        || Source::Probe.name().to_owned(),
        |reason| Source::Probe.mark(reason),
    )
}

/// That this host is not among those the policy lists, known from the MX records.
pub(super) fn mx_mismatch(host: &HostFinding) -> Failure {
    let reason = Source::Policy.mark(STS_MX_MISMATCH);
    host.failure(ResultType::ValidationFailure, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, policy::Mode};

    const NOW: Timestamp = Timestamp(1_800_000_000);

    fn answered(standing: Standing, demand: Demand) -> Answered {
        Answered {
            standing,
            demand,
            dane: None,
        }
    }

    fn sts(mode: Mode, demand: Demand) -> Answered {
        answered(Standing::for_test(mode, &["*.example.org"]), demand)
    }

    fn none() -> Answered {
        let domain = "example.org".parse().unwrap();
        answered(Standing::without_policy(domain), Demand::Nothing)
    }

    fn reconciled(
        told: &Told,
        known: &Answered,
        overridden: Option<OverrideMode>,
    ) -> (String, Option<Counted>) {
        let known = Known {
            answered: known,
            before: None,
            overridden,
        };
        match reconcile(told, Some(known)) {
            Reconciled::Counted(counted) | Reconciled::OfTlsa(counted) => {
                assert_eq!(counted.source, Source::Mta);
                let unchecked = match counted.certainty {
                    Certainty::Checked => "",
                    Certainty::Unchecked => " unchecked",
                };
                let words = counted.verdict.in_words();
                let policy = counted.policy.policy_type.name();
                (format!("{policy}: {words}{unchecked}"), Some(counted))
            }
            Reconciled::AsFound => ("as found".to_owned(), None),
            Reconciled::StandingWanted => panic!("known"),
        }
    }

    /// `policy as told | how it went | what holds, how it was answered, what is overridden | counted as`
    const TOLD: &str = "
        *.example.org | success | enforce named | sts: success
        *.example.org | EXPIRED | enforce named | sts: EXPIRED
        *.example.org | success | none | sts: success
        *.example.org | success | enforce nothing off | sts: success
        old.example.org | success | enforce named | sts: success
        *.example.org | MISMATCH | enforce named | sts: MISMATCH, EXCLUDED
        *.example.org | MISMATCH, EXCLUDED | enforce named | sts: MISMATCH, EXCLUDED
        tlsa | success | enforce named | tlsa: success
        tlsa | UNUSABLE | none | tlsa: UNUSABLE

        none | success | enforce unnamed | sts: success
        none | MISMATCH | enforce unnamed | sts: MISMATCH, EXCLUDED
        none | success | enforce named | no-policy-found: success
        none | success | testing named | no-policy-found: success
        none | success | enforce unknown | no-policy-found: success unchecked

        none | success | testing nothing | as found
        none | success | enforce nothing audit | as found
        none | BROKEN | testing nothing | sts: BROKEN
        none | MISMATCH | testing nothing | sts: MISMATCH, EXCLUDED

        none | success | unfetched | sts: FETCH
        none | BROKEN | unfetched | sts: BROKEN, FETCH

        none | success | none | no-policy-found: success
        none | MISMATCH | none | no-policy-found: MISMATCH
        none | success | mode-none nothing | no-policy-found: success
        none | success | testing nothing off | no-policy-found: success
        none | BROKEN | unfetched nothing off | no-policy-found: BROKEN";

    const WORDS: [(&str, &str); 6] = [
        ("EXPIRED", "certificate-expired - mx1.example.org"),
        (
            "MISMATCH",
            "certificate-host-mismatch - mx.elsewhere.example",
        ),
        (
            "EXCLUDED",
            "validation-failure sts-mx-mismatch mx.elsewhere.example",
        ),
        (
            "UNUSABLE",
            "tlsa-invalid all-TLSA-records-unusable mx1.example.org",
        ),
        (
            "BROKEN",
            "validation-failure tls-handshake-failure mx1.example.org",
        ),
        ("FETCH", "sts-policy-fetch-error http-status-404 -"),
    ];

    fn known(words: &str) -> (Answered, Option<OverrideMode>) {
        let mut words = words.split(' ');
        let standing = words.next().unwrap();
        let demand = match words.next() {
            Some("named") => Demand::Named,
            Some("unnamed") => Demand::Unnamed,
            Some("unknown") => Demand::Unknown,
            _ => Demand::Nothing,
        };
        let answered = match standing {
            "enforce" => sts(Mode::Enforce, demand),
            "testing" => sts(Mode::Testing, demand),
            "mode-none" => sts(Mode::None, demand),
            "unfetched" => answered(Standing::unfetched_for_test(), demand),
            _ => none(),
        };
        let overridden = words.next().map(|word| match word {
            "off" => OverrideMode::Off,
            _ => OverrideMode::Audit,
        });
        (answered, overridden)
    }

    #[test]
    fn d10_d12_what_is_told_and_what_it_is_counted_as() {
        let mut table = TOLD.to_owned();
        for (word, words) in WORDS {
            table = table.replace(word, words);
        }
        for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let columns: Vec<&str> = line.split('|').map(str::trim).collect();
            let (known, overridden) = known(columns[2]);
            let told = Told::for_test(columns[0], columns[1]);
            let (found, _) = reconciled(&told, &known, overridden);
            assert_eq!(found, columns[3], "{line}");
        }
    }

    #[test]
    fn where_nothing_is_known_the_policy_is_asked_for_unless_it_is_named() {
        for (policy, expected) in [("none", true), ("tlsa", false), ("*.example.org", false)] {
            let reconciled = reconcile(&Told::for_test(policy, "success"), None);
            assert_eq!(
                reconciled == Reconciled::StandingWanted,
                expected,
                "{policy}"
            );
        }
    }

    #[test]
    fn an_mta_whose_answer_is_forgotten_may_hold_to_an_older_one() {
        for (mode, overridden, expected) in [
            (Mode::Enforce, None, Demand::Unknown),
            (Mode::Enforce, Some(OverrideMode::Audit), Demand::Nothing),
            (Mode::Testing, None, Demand::Nothing),
            (Mode::Testing, Some(OverrideMode::Enforce), Demand::Unknown),
            (Mode::None, None, Demand::Nothing),
        ] {
            let standing = Standing::for_test(mode, &["*.example.org"]);
            let presumed = Answered::presumed(standing, overridden);
            assert_eq!(presumed.demand, expected, "{mode:?} {overridden:?}");
        }
    }

    #[test]
    fn d10_a_policy_that_postfix_could_not_carry_as_a_whole_is_still_ours() {
        let with_lines = |lines: &str| {
            let mut standing = Standing::for_test(Mode::Enforce, &["*.example.org"]);
            if let StsStanding::InForce { kept, .. } = &mut standing.sts {
                let mut changed = kept.as_ref().clone();
                changed.policy.lines = lines.split('|').map(str::to_owned).collect();
                *kept = Arc::new(changed);
            }
            Standing::new(standing.domain, standing.sts)
        };
        let given = with_lines("version: STSv1|mode:\tenforce ||x: { } {|mx: *.example.org");
        let known = answered(given, Demand::Named);
        for (lines, is_ours) in [
            ("version: STSv1|mode: enforce|mx: *.example.org", true),
            (
                "version: STSv1|mode: enforce|x: { } {|mx: *.example.org",
                true,
            ),
            ("version: STSv1|mx: *.example.org", true),
            ("version: STSv1|mx: *.example.org|mode: enforce", false),
            (
                "version: STSv1|mode: enforce|mx: *.example.org|max_age: 1",
                false,
            ),
            ("mode: enforce|mx: *.example.org", false),
        ] {
            let older = with_lines(lines);
            let policy = older.applied().as_ref().clone();
            let told = Told::new(older.domain.clone(), policy, Ending::Success);
            let (_, counted) = reconciled(&told, &known, None);
            let ours = Arc::ptr_eq(&counted.unwrap().policy, known.standing.applied());
            assert_eq!(ours, is_ours, "{lines}");
            // It is another policy that was given before.
            let before = answered(older, Demand::Named);
            let known = Known {
                answered: &known,
                before: Some(&before),
                overridden: None,
            };
            let Reconciled::Counted(counted) = reconcile(&told, Some(known)) else {
                panic!()
            };
            assert!(Arc::ptr_eq(&counted.policy, before.standing.applied()));
        }
        let other_hosts = Told::for_test("*.example.org mx.example.net", "success");
        let (_, counted) = reconciled(&other_hosts, &known, None);
        assert_eq!(counted.unwrap().policy, other_hosts.policy);
    }

    #[test]
    fn d10_a_policy_that_was_given_for_some_of_its_hosts_is_still_ours() {
        let known = sts(Mode::Enforce, Demand::Named);
        for (hosts, is_ours) in [
            (&["mx1.example.org"][..], true),
            (&["mx1.example.org", "mx2.example.org"], true),
            (&["mx1.example.org", "mx.elsewhere.example"], false),
            (&[], false),
        ] {
            let policy = AppliedPolicy {
                mx_host: hosts.iter().map(|host| (*host).to_owned()).collect(),
                ..known.standing.applied().as_ref().clone()
            };
            let told = Told::new(known.standing.domain.clone(), policy, Ending::Success);
            let (_, counted) = reconciled(&told, &known, None);
            let ours = Arc::ptr_eq(&counted.unwrap().policy, known.standing.applied());
            assert_eq!(ours, is_ours, "{hosts:?}");
        }
    }

    #[test]
    fn c21_records_as_the_mta_used_them_are_those_that_are_published() {
        let dane = DomainDane::for_test(&["10 mx1.example.org records"]);
        let ours = dane.ranked()[0].dane.records().unwrap().applied().clone();
        let mut known = none();
        known.dane = Some(dane.into());
        for (domain, lines, is_ours) in [
            ("mx1.example.org", ours.policy_string.clone(), true),
            ("mx1.example.org", vec![], true),
            ("mx1.example.org", vec!["3 1 1 00FF".to_owned()], false),
            ("mx2.example.org", ours.policy_string.clone(), false),
        ] {
            let policy = AppliedPolicy {
                policy_domain: domain.parse().unwrap(),
                policy_string: lines,
                ..ours.as_ref().clone()
            };
            let told = Told::new(known.standing.domain.clone(), policy, Ending::Success);
            let (_, counted) = reconciled(&told, &known, None);
            let found = Arc::ptr_eq(&counted.unwrap().policy, &ours);
            assert_eq!(found, is_ours, "{domain} {:?}", told.policy.policy_string);
        }
    }

    /// `the hosts | what a success comes to`; the policy was fetched when the hosts were looked at, or
    /// a moment later where it says so.
    const FOUND: &str = "
        10 mx1.example.org good | success
        10 mx1.example.org expired | EXPIRED
        10 mx1.example.org self-signed | certificate-not-trusted probe:self-signed mx1.example.org
        10 mx.elsewhere.example good | EXCLUDED
        10 mx.elsewhere.example expired | certificate-expired probe mx.elsewhere.example, EXCLUDED
        10 mx.elsewhere.example good | unknown | later
        10 mx1.example.org expired | EXPIRED | later

        10 mx1.example.org good; 20 mx2.example.org expired | success
        20 mx2.example.org expired; 10 mx1.example.org good | success
        10 mx0.example.org down; 20 mx1.example.org expired | EXPIRED
        10 mx0.example.org clear; 10 mx1.example.org expired | EXPIRED
        10 mx0.example.org broken; 20 mx1.example.org expired | EXPIRED
        10 mx0.example.org refused; 20 mx1.example.org good | success

        10 mx1.example.org expired; 10 mx2.example.org self-signed | EXPIRED
        10 mx1.example.org expired; 10 mx2.example.org good | unknown
        10 mx1.example.org clear | unknown
        10 mx1.example.org down | unknown
        10 mx1.example.org good; 10 mx2.example.org unclear | unknown
        10 mx1.example.org good; 10 mx2.example.org unseen | unknown
        10 mx1.example.org good; 20 mx2.example.org unseen | success
        10 mx1.example.org unseen | unknown
        | unknown";

    #[test]
    fn d9_a_success_that_was_not_checked_comes_to_what_was_found() {
        let known = sts(Mode::Testing, Demand::Nothing);
        let table = FOUND
            .replace("EXPIRED", "certificate-expired probe mx1.example.org")
            .replace(
                "EXCLUDED",
                "validation-failure policy:sts-mx-mismatch mx.elsewhere.example",
            );
        for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let columns: Vec<&str> = line.split('|').map(str::trim).collect();
            let hosts: Vec<&str> = columns[0]
                .split("; ")
                .filter(|host| !host.is_empty())
                .collect();
            let at = Timestamp(if columns.len() > 2 { -1 } else { 0 });
            let counted = as_found(&known, &DomainFindings::for_test(at, &hosts));
            let found = counted.as_ref().map_or_else(
                || "unknown".to_owned(),
                |counted| counted.verdict.in_words(),
            );
            assert_eq!(found, columns[1], "{line}");
            if let Some(counted) = counted {
                assert!(Arc::ptr_eq(&counted.policy, known.standing.applied()));
                assert_eq!(counted.source, Source::Probe);
            }
        }
    }

    #[test]
    fn e4_a_detail_that_was_found_names_the_host_and_not_us() {
        let findings = DomainFindings::for_test(NOW, &["10 mx1.example.org expired"]);
        let known = sts(Mode::Testing, Demand::Nothing);
        let Verdict::Failure(failures) = as_found(&known, &findings).unwrap().verdict else {
            panic!()
        };
        let expected = Failure {
            result: ResultType::CertificateExpired,
            mx: Some("mx1.example.org".to_owned()),
            mx_helo: Some("helo.example.org".to_owned()),
            receiving_ip: Some("192.0.2.1".parse().unwrap()),
            sending_ip: None,
            reason: Some("probe".to_owned()),
        };
        assert_eq!(failures, [expected]);
    }
}
