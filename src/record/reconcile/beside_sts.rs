//! What TLSA records that cannot be used say of a session that the MTA held to the MTA-STS policy.
//!
//! RFC 7672 s2.2: such records demand TLS and decide nothing more, and an enforced policy demands that
//! too. So Postfix is told the policy and names it alone. The records applied all the same, and whoever
//! published them is to be told that they are of no use (RFC 8460 s4.3.2.1, D7). A failure names its host;
//! of a success nobody says which it was with, and where the domain's hosts differ our own look tells.

use std::sync::Arc;

use sealpost_plugin_api::ResultType;

use super::{Answered, Counted, Demand, beside::is_without_tls};
use crate::{
    hook::{
        decide::STS_MX_MISMATCH,
        hold::{DaneHold, hold},
        joint,
    },
    policy::{
        AppliedPolicy, MxPattern, PolicyType,
        dane::{DaneFinding, RankedHost, verdict::NONE_USABLE},
    },
    record::{
        Certainty, Failure, Source, Verdict,
        classify::Observed,
        finding::DomainFindings,
        told::{Ending, Told},
    },
};

/// What such records say of a session that was told under another policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BesideSts {
    /// Nothing: it was with no host that has such records, or none is known.
    Nothing,
    /// It is counted under them so.
    Is(Counted),
    /// Some of the hosts that it can have been with have such records, and others do not.
    NotKnown,
}

/// A host that a session can have been with.
struct Host<'a> {
    ranked: &'a RankedHost,
    /// What it is counted under, where it has TLSA records and none can be used.
    useless: Option<Arc<AppliedPolicy>>,
}

/// What TLSA records that cannot be used say of a session that was told under the MTA-STS policy. `known`
/// is what holds for the domain that was answered so.
#[must_use]
pub fn beside_sts(
    told: &Told,
    answered: &Answered,
    known: &joint::Known<'_>,
    findings: Option<&DomainFindings>,
) -> BesideSts {
    let is_held_to_policy = match told.policy.policy_type {
        PolicyType::Sts => true,
        PolicyType::Tlsa => false,
        PolicyType::NoPolicyFound => {
            answered.demand == Demand::Unnamed && answered.standing.sts.held_to().is_some()
        }
    };
    if !is_held_to_policy || !has_useless_records(answered) {
        return BesideSts::Nothing;
    }
    let hosts = hosts(answered, known);
    match &told.ending {
        Ending::Failure(failures) => after_failure(failures, &hosts),
        Ending::Success => after_success(listed(hosts, &told.policy), findings),
    }
}

/// Whether only a look at the mail hosts tells under which of them a success of a domain that was answered
/// so is counted.
#[must_use]
pub fn depends_on_look(answered: &Answered, known: &joint::Known<'_>) -> bool {
    let is_held_to_policy = matches!(
        answered.demand,
        Demand::Named | Demand::NamedForSome | Demand::Unnamed
    );
    if !is_held_to_policy || !has_useless_records(answered) {
        return false;
    }
    let hosts = listed(hosts(answered, known), answered.standing.applied());
    after_success(hosts, None) == BesideSts::NotKnown
}

/// Whether there are such records at all. Hardly any domain has them, and every answer is asked about.
fn has_useless_records(answered: &Answered) -> bool {
    let ranked = answered.dane.iter().flat_map(|dane| dane.ranked());
    let mut records = ranked.filter_map(|ranked| ranked.dane.records());
    records.any(|records| !records.set.has_usable())
}

/// The hosts of the domain that may be connected to.
fn hosts<'a>(answered: &'a Answered, known: &joint::Known<'_>) -> Vec<Host<'a>> {
    let ranked = answered.dane.iter().flat_map(|dane| dane.ranked());
    ranked
        .filter(|ranked| !matches!(ranked.dane.finding, DaneFinding::Unreachable(_)))
        .map(|ranked| Host {
            ranked,
            useless: match hold(known, Some(&ranked.dane)) {
                DaneHold::Records(records) if !records.set.has_usable() => {
                    Some(Arc::clone(records.applied()))
                }
                _ => None,
            },
        })
        .collect()
}

/// Those that a policy lists, or an answer for some of its hosts; all where no names are told.
fn listed<'a>(hosts: Vec<Host<'a>>, policy: &AppliedPolicy) -> Vec<Host<'a>> {
    let patterns: Result<Vec<MxPattern>, _> = policy.mx_host.iter().map(|mx| mx.parse()).collect();
    let patterns = patterns.unwrap_or_default();
    let is_listed = |host: &Host<'_>| {
        let name = &host.ranked.dane.host;
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(name))
    };
    hosts.into_iter().filter(is_listed).collect()
}

fn after_failure(failures: &[Failure], hosts: &[Host<'_>]) -> BesideSts {
    let met = failures.iter().find(|failure| failure.mx.is_some());
    // RFC 8460 s4.3.2.2: what failed the policy itself says of no session how it went.
    let is_of_policy = |failure: &Failure| {
        failure.result.concerns_policy() || failure.reason.as_deref() == Some(STS_MX_MISMATCH)
    };
    if failures.iter().all(is_of_policy) {
        return BesideSts::Nothing;
    }
    let Some(met) = met else {
        // Neither the host is told, nor whether TLS was up.
        return match hosts.iter().all(|host| host.useless.is_none()) {
            true => BesideSts::Nothing,
            false => BesideSts::NotKnown,
        };
    };
    let is_met = |host: &&Host<'_>| Some(host.ranked.dane.host.as_str()) == met.mx.as_deref();
    let useless = hosts.iter().find(is_met).map(|host| &host.useless);
    let Some(Some(policy)) = useless else {
        return BesideSts::Nothing;
    };
    let without_tls: Vec<Failure> = failures
        .iter()
        .filter(|failure| is_without_tls(failure) && !is_of_policy(failure))
        .cloned()
        .collect();
    match without_tls.is_empty() {
        // What the policy minds of a certificate TLS was up for.
        true => none_usable(policy, met.clone()),
        false => counted(policy, without_tls, Source::Mta),
    }
}

fn after_success(mut hosts: Vec<Host<'_>>, findings: Option<&DomainFindings>) -> BesideSts {
    if let Some(said) = alike(&hosts) {
        return said;
    }
    let Some(findings) = findings else {
        return BesideSts::NotKnown;
    };
    let found = |host: &Host<'_>| {
        let mut found = findings.hosts.iter();
        found.find(|found| found.host == host.ranked.dane.host)
    };
    // The session satisfied the policy, so it was with none of the hosts that do not.
    hosts.retain(|host| {
        found(host).is_none_or(|found| {
            found.may_be_reached()
                && match &found.observed {
                    Observed::Established { troubles } => troubles.is_empty(),
                    Observed::Failed(_) => false,
                    Observed::NoSession => true,
                }
        })
    });
    if hosts.is_empty() {
        return BesideSts::NotKnown;
    }
    if let Some(said) = alike(&hosts) {
        return said;
    }
    // The MTA goes on to a worse host only where a better one will not do.
    let best = hosts.iter().map(|host| host.ranked.preference).min();
    hosts.retain(|host| Some(host.ranked.preference) == best);
    let is_good = |host: &Host<'_>| {
        found(host).is_some_and(|found| matches!(found.observed, Observed::Established { .. }))
    };
    match hosts.iter().all(is_good) {
        true => alike(&hosts).unwrap_or(BesideSts::NotKnown),
        false => BesideSts::NotKnown,
    }
}

/// What a success says, if it is the same whichever of these hosts it was with.
fn alike(hosts: &[Host<'_>]) -> Option<BesideSts> {
    let Some(first) = hosts.first() else {
        return Some(BesideSts::Nothing);
    };
    if hosts.iter().any(|host| host.useless != first.useless) {
        return None;
    }
    let Some(policy) = &first.useless else {
        return Some(BesideSts::Nothing);
    };
    let met = Failure {
        // Several hosts may lead to one name with TLSA records.
        mx: (hosts.len() == 1).then(|| first.ranked.dane.host.to_string()),
        ..Failure::of_policy(ResultType::TlsaInvalid, "")
    };
    Some(none_usable(policy, met))
}

/// TLS was all that could be demanded, and was up: the records are to be mended. That is our knowledge,
/// of which the MTA said nothing.
fn none_usable(policy: &Arc<AppliedPolicy>, met: Failure) -> BesideSts {
    let (result, reason) = NONE_USABLE;
    let failure = Failure {
        result,
        reason: reason.map(|reason| Source::Policy.mark(reason)),
        ..met
    };
    counted(policy, vec![failure], Source::Policy)
}

fn counted(policy: &Arc<AppliedPolicy>, failures: Vec<Failure>, source: Source) -> BesideSts {
    BesideSts::Is(Counted {
        policy: Arc::clone(policy),
        verdict: Verdict::Failure(failures),
        source,
        certainty: Certainty::Checked,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        config::OverrideMode,
        hook::joint::DaneSettings,
        policy::{Mode, Standing, dane::DomainDane},
    };

    /// `how it went | what DANE says of the hosts | what our look found | what is counted under the
    /// records`. A failure is with mx1.
    const TABLE: &str = "
        success | 10 mx1 useless | | mx1: policy: INVALID mx1.example.org
        success | 10 mx1 records | | nothing
        success | 10 mx1 none | | nothing
        success | 10 mx1 bogus; 20 mx2 useless | | mx2: policy: INVALID mx2.example.org
        success | 10 mx1 useless; 20 mx2 useless | | unknown
        success | 10 mx1 useless; 20 mx2 none | | unknown
        success | 10 mx1 useless; 20 mx2 none | 10 mx1 good; 20 mx2 unseen | mx1: policy: INVALID mx1.example.org
        success | 10 mx1 useless; 20 mx2 none | 10 mx1 self-signed; 20 mx2 unseen | nothing
        success | 10 mx1 useless; 20 mx2 none | 10 mx1 down; 20 mx2 good | nothing
        success | 10 mx1 useless; 20 mx2 none | 10 mx1 clear; 20 mx2 good | nothing
        success | 10 mx1 useless; 20 mx2 none | 10 mx1 unclear; 20 mx2 good | unknown
        success | 10 mx1 useless; 20 mx2 none | 10 mx1 expired; 20 mx2 expired | unknown
        success | 10 mx1 useless; 10 mx2 none | 10 mx1 good; 10 mx2 good | unknown
        success | 10 mx1 useless; 10 mx2 none | 10 mx1 good; 10 mx2 expired | mx1: policy: INVALID mx1.example.org
        success | 10 mx1 none; 20 mx2 useless | 10 mx1 good; 20 mx2 unseen | nothing
        success | 10 mx1 none; 20 mx2 useless | 10 mx1 down; 20 mx2 good | mx2: policy: INVALID mx2.example.org
        success | 10 mx1 useless; 20 mx2 none | 10 mx3 good | unknown
        UNTRUSTED | 10 mx1 useless; 20 mx2 none | | mx1: policy: INVALID mx1.example.org
        UNTRUSTED | 10 mx1 none; 20 mx2 useless | | nothing
        UNTRUSTED | 10 mx1 records | | nothing
        UNTRUSTED, CLEAR | 10 mx1 useless | | mx1: mta: CLEAR
        CLEAR | 10 mx1 useless | | mx1: mta: CLEAR
        BROKEN | 10 mx1 useless | | mx1: mta: BROKEN
        UNLISTED | 10 mx1 useless | | nothing
        UNFETCHED | 10 mx1 useless | | nothing
        NOBODY | 10 mx1 useless | | unknown
        NOBODY | 10 mx1 records | | nothing";

    const WORDS: [(&str, &str); 8] = [
        ("INVALID", "tlsa-invalid policy:all-tlsa-records-unusable"),
        (
            "UNTRUSTED",
            "certificate-not-trusted self-signed mx1.example.org",
        ),
        ("CLEAR", "starttls-not-supported - mx1.example.org"),
        (
            "BROKEN",
            "validation-failure tls-handshake-failure mx1.example.org",
        ),
        (
            "UNLISTED",
            "validation-failure sts-mx-mismatch mx1.example.org",
        ),
        ("UNFETCHED", "sts-policy-invalid - mx1.example.org"),
        ("NOBODY", "certificate-expired - -"),
        ("useless", "unusable"),
    ];

    fn answered(demand: Demand, dane: &str) -> Answered {
        let hosts = in_full(dane);
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        Answered {
            standing: Standing::for_test(Mode::Enforce, &["*.example.org"]),
            demand,
            dane: Some(DomainDane::for_test(&hosts).into()),
        }
    }

    /// Host names in full.
    fn in_full(hosts: &str) -> Vec<String> {
        let lines = hosts.split("; ").filter(|line| !line.is_empty());
        let in_full = |line: &str| {
            let words: Vec<&str> = line.splitn(3, ' ').collect();
            format!("{} {}.example.org {}", words[0], words[1], words[2])
        };
        lines.map(in_full).collect()
    }

    fn said(
        told: &Told,
        answered: &Answered,
        overridden: Option<OverrideMode>,
        found: &str,
    ) -> String {
        let found = in_full(found);
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        let findings = DomainFindings::for_test(Timestamp(0), &found);
        let known = joint::Known {
            standing: &answered.standing,
            overridden,
            settings: DaneSettings::default(),
        };
        match beside_sts(
            told,
            answered,
            &known,
            (!found.is_empty()).then_some(&findings),
        ) {
            BesideSts::Nothing => "nothing".to_owned(),
            BesideSts::NotKnown => "unknown".to_owned(),
            BesideSts::Is(counted) => {
                assert_eq!(counted.policy.policy_type, PolicyType::Tlsa);
                assert!(!counted.policy.policy_string.is_empty());
                let base = counted.policy.policy_domain.as_str();
                let base = base.strip_suffix(".example.org").unwrap();
                let source = counted.source.name();
                format!("{base}: {source}: {}", counted.verdict.in_words())
            }
        }
    }

    #[test]
    fn d7_records_that_cannot_be_used_are_counted_beside_the_policy_where_the_host_is_known() {
        let mut table = TABLE.to_owned();
        for (word, words) in WORDS {
            table = table.replace(word, words);
        }
        for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let columns: Vec<&str> = line.split('|').map(str::trim).collect();
            let answered = answered(Demand::Named, columns[1]);
            let told = Told::for_test("*.example.org", columns[0]);
            assert_eq!(
                said(&told, &answered, None, columns[2]),
                columns[3],
                "{line}"
            );
        }
    }

    #[test]
    fn d7_only_what_was_held_to_the_policy_is_counted_beside_it() {
        let hosts = "10 mx1 unusable";
        let counted = "mx1: policy: tlsa-invalid policy:all-tlsa-records-unusable mx1.example.org";
        for (policy, demand, overridden, expected) in [
            ("*.example.org", Demand::Named, None, counted),
            ("*.example.org", Demand::NamedForSome, None, counted),
            // Of an answer from before; the hosts are the same.
            ("*.example.org", Demand::Nothing, None, counted),
            ("none", Demand::Unnamed, None, counted),
            ("none", Demand::Named, None, "nothing"),
            ("none", Demand::Nothing, None, "nothing"),
            ("tlsa", Demand::Named, None, "nothing"),
            (
                "*.example.org",
                Demand::Named,
                Some(OverrideMode::WithoutDane),
                "nothing",
            ),
            (
                "*.example.org",
                Demand::Named,
                Some(OverrideMode::Off),
                "nothing",
            ),
        ] {
            let told = Told::for_test(policy, "success");
            assert_eq!(
                said(&told, &answered(demand, hosts), overridden, ""),
                expected,
                "{policy} {demand:?} {overridden:?}"
            );
        }
    }

    #[test]
    fn d7_an_answer_for_some_hosts_was_held_to_by_no_other() {
        let hosts = "10 mx1 none; 20 mx2 unusable";
        let told = Told::for_test("mx2.example.org", "success");
        assert_eq!(
            said(&told, &answered(Demand::NamedForSome, hosts), None, ""),
            "mx2: policy: tlsa-invalid policy:all-tlsa-records-unusable mx2.example.org"
        );
    }

    #[test]
    fn d7_the_hosts_are_looked_at_where_they_differ() {
        for (demand, hosts, expected) in [
            (Demand::Named, "10 mx1 unusable", false),
            (Demand::Named, "10 mx1 unusable; 20 mx2 none", true),
            (Demand::Unnamed, "10 mx1 unusable; 20 mx2 none", true),
            (Demand::Named, "10 mx1 records; 20 mx2 none", false),
            (Demand::Nothing, "10 mx1 unusable; 20 mx2 none", false),
        ] {
            let answered = answered(demand, hosts);
            let known = joint::Known {
                standing: &answered.standing,
                overridden: None,
                settings: DaneSettings::default(),
            };
            assert_eq!(depends_on_look(&answered, &known), expected, "{hosts}");
        }
    }
}
