//! What the MTA-STS policy says of a session that the MTA held to TLSA records.
//!
//! RFC 8460 s4: a session is counted under each policy that applied to it (D7). Postfix goes by one, and
//! tells that one. Each is judged by its own rules: what matches a TLSA record may be of no public
//! authority. What kept TLS from coming up fails both; of the certificate our own look at the host tells.

use std::sync::Arc;

use sealpost_plugin_api::ResultType;

use super::{Answered, Counted, faults, with_mx_mismatch};
use crate::{
    policy::{AppliedPolicy, StsStanding},
    record::{
        Certainty, Failure, Source, Verdict,
        finding::{DomainFindings, HostFinding},
        told::{Ending, Told},
    },
};

/// The reason code of a certificate that no TLSA record matches.
const DANE_NO_MATCH: &str = "dane-no-match";

/// Whether an MTA-STS policy has something to say of a session beside the TLSA records.
#[must_use]
pub fn has_policy(answered: &Answered) -> bool {
    let sts = &answered.standing.sts;
    sts.held_to().is_some() || matches!(sts, StsStanding::Unfetched(_))
}

/// Whether there was a session at all. What DANE forbade to connect to nobody tried, and under the policy
/// there is nothing to count.
#[must_use]
pub fn was_tried(told: &Told) -> bool {
    let Ending::Failure(failures) = &told.ending else {
        return true;
    };
    !failures.iter().any(|failure| {
        matches!(
            failure.result,
            ResultType::DnssecInvalid | ResultType::DaneRequired
        )
    })
}

/// What the policy says of a session that was told under TLSA records, and that [`has_policy`]; `None`
/// where that is not known.
#[must_use]
pub fn beside_tlsa(
    told: &Told,
    answered: &Answered,
    findings: Option<&DomainFindings>,
) -> Option<Counted> {
    let counted = |verdict, source| Counted {
        policy: Arc::clone(answered.standing.applied()),
        verdict,
        source,
        certainty: Certainty::Checked,
    };
    let kept = match &answered.standing.sts {
        StsStanding::NotAnnounced => return None,
        // RFC 8460 s4.3.2.2: a policy that could not be had fails each session of the domain.
        StsStanding::Unfetched(trouble) => {
            let verdict = Verdict::Failure(vec![trouble.into()]);
            return Some(counted(verdict, Source::Policy));
        }
        StsStanding::InForce { kept, .. } => kept,
    };
    if let Ending::Failure(failures) = &told.ending
        && failures.iter().all(is_without_tls)
    {
        let failures = with_mx_mismatch(failures.clone(), answered.standing.applied());
        return Some(counted(Verdict::Failure(failures), Source::Mta));
    }
    let findings = findings?;
    let mut outcomes = Vec::new();
    for host in met(told, answered, findings) {
        outcomes.push(faults(host, kept, findings)?);
    }
    let first = outcomes.first()?.clone();
    // Several hosts may lead to one name with TLSA records.
    let alike = |faults: &Vec<Failure>| faults.is_empty() == first.is_empty();
    if !outcomes.iter().all(alike) {
        return None;
    }
    let verdict = match first.is_empty() {
        true => Verdict::Success,
        false => Verdict::Failure(first),
    };
    Some(counted(verdict, Source::Probe))
}

/// Whether TLS did not come up, which no policy is content with.
pub(super) fn is_without_tls(failure: &Failure) -> bool {
    match failure.result {
        ResultType::StarttlsNotSupported => true,
        ResultType::ValidationFailure => failure.reason.as_deref() != Some(DANE_NO_MATCH),
        _ => false,
    }
}

/// The hosts that the session can have been with: that which failed, or those whose records it was held to.
fn met<'a>(told: &Told, answered: &Answered, findings: &'a DomainFindings) -> Vec<&'a HostFinding> {
    let named = match &told.ending {
        Ending::Failure(failures) => failures.iter().find_map(|failure| failure.mx.as_deref()),
        Ending::Success => None,
    };
    let leads_to = |host: &HostFinding, base: &AppliedPolicy| {
        let dane = answered
            .dane
            .as_deref()
            .and_then(|dane| dane.host(&host.host));
        match dane.and_then(|dane| dane.records()) {
            Some(records) => records.applied().policy_domain == base.policy_domain,
            None => host.host.as_str() == base.policy_domain.as_str(),
        }
    };
    let is_met = |host: &&HostFinding| match named {
        Some(mx) => host.host.as_str() == mx,
        None => leads_to(host, &told.policy),
    };
    findings.hosts.iter().filter(is_met).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        policy::{Mode, Standing, dane::DomainDane},
        record::reconcile::Demand,
    };

    /// `how it went under the records of mx1 | the hosts | what the policy says`
    const TABLE: &str = "
        success | 10 mx1.example.org good | probe: success
        success | 10 mx1.example.org self-signed | probe: SELF-SIGNED
        success | 10 mx1.example.org self-signed; 20 mx2.example.org good | probe: SELF-SIGNED
        success | 10 mx0.example.org good; 20 mx1.example.org expired | probe: EXPIRED
        success | 10 mx1.example.org unclear | unknown
        success | 10 mx1.example.org unseen | unknown
        success | 10 mx1.example.org clear | unknown
        success | 10 mx2.example.org good | unknown
        success | | unknown
        NO-MATCH | 10 mx1.example.org good | probe: success
        NO-MATCH | 10 mx1.example.org expired | probe: EXPIRED
        UNUSABLE | 10 mx1.example.org good | probe: success
        CLEAR | | mta: CLEAR
        BROKEN | 10 mx1.example.org good | mta: BROKEN";

    const WORDS: [(&str, &str); 6] = [
        (
            "SELF-SIGNED",
            "certificate-not-trusted probe:self-signed mx1.example.org",
        ),
        ("EXPIRED", "certificate-expired probe mx1.example.org"),
        (
            "NO-MATCH",
            "validation-failure dane-no-match mx1.example.org",
        ),
        (
            "UNUSABLE",
            "tlsa-invalid all-TLSA-records-unusable mx1.example.org",
        ),
        ("CLEAR", "starttls-not-supported - mx1.example.org"),
        (
            "BROKEN",
            "validation-failure tls-handshake-failure mx1.example.org",
        ),
    ];

    fn answered(standing: Standing) -> Answered {
        Answered {
            standing,
            demand: Demand::Dane,
            dane: Some(DomainDane::for_test(&["10 mx1.example.org records"]).into()),
        }
    }

    fn words(counted: Option<Counted>) -> String {
        counted.map_or_else(
            || "unknown".to_owned(),
            |counted| {
                assert_eq!(counted.certainty, Certainty::Checked);
                format!("{}: {}", counted.source.name(), counted.verdict.in_words())
            },
        )
    }

    #[test]
    fn d7_the_policy_judges_by_its_own_rules_what_was_held_to_tlsa_records() {
        let mut table = TABLE.to_owned();
        for (word, words) in WORDS {
            table = table.replace(word, words);
        }
        let answered = answered(Standing::for_test(Mode::Testing, &["*.example.org"]));
        assert!(has_policy(&answered));
        for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let columns: Vec<&str> = line.split('|').map(str::trim).collect();
            let hosts: Vec<&str> = columns[1]
                .split("; ")
                .filter(|one| !one.is_empty())
                .collect();
            let findings = DomainFindings::for_test(Timestamp(0), &hosts);
            let told = Told::for_test("tlsa", columns[0]);
            let counted = beside_tlsa(&told, &answered, Some(&findings));
            if let Some(counted) = &counted {
                assert_eq!(&counted.policy, answered.standing.applied());
            }
            assert_eq!(words(counted), columns[2], "{line}");
        }
    }

    #[test]
    fn d7_what_dane_forbade_to_try_is_no_session_under_the_policy() {
        let mx = "mx1.example.org";
        for (ending, expected) in [
            ("success".to_owned(), true),
            (format!("validation-failure dane-no-match {mx}"), true),
            (format!("starttls-not-supported - {mx}"), true),
            (format!("dnssec-invalid tlsa-bogus {mx}"), false),
            (format!("dane-required - {mx}"), false),
        ] {
            assert_eq!(
                was_tried(&Told::for_test("tlsa", &ending)),
                expected,
                "{ending}"
            );
        }
    }

    #[test]
    fn b36_a_host_that_dane_lets_in_and_the_policy_does_not_list_fails_the_policy() {
        let answered = answered(Standing::for_test(Mode::Enforce, &["mx.elsewhere.example"]));
        let findings = DomainFindings::for_test(Timestamp(0), &["10 mx1.example.org good"]);
        let told = Told::for_test("tlsa", "success");
        assert_eq!(
            words(beside_tlsa(&told, &answered, Some(&findings))),
            "probe: validation-failure policy:sts-mx-mismatch mx1.example.org"
        );
    }

    #[test]
    fn d8_d12_without_a_policy_there_is_no_second_element_and_one_not_had_fails() {
        let told = Told::for_test("tlsa", "success");
        let domain = "example.org".parse().unwrap();
        let without = answered(Standing::without_policy(domain));
        assert!(!has_policy(&without));
        assert_eq!(beside_tlsa(&told, &without, None), None);
        assert!(!has_policy(&answered(Standing::for_test(Mode::None, &[]))));
        let unfetched = answered(Standing::unfetched_for_test());
        assert!(has_policy(&unfetched));
        assert_eq!(
            words(beside_tlsa(&told, &unfetched, None)),
            "policy: sts-policy-fetch-error http-status-404 -"
        );
    }
}
