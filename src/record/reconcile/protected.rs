//! What protected a session that the MTA tells.

use sealpost_plugin_api::ResultType;

use super::{Answered, Counted, Demand};
use crate::{
    policy::PolicyType,
    record::{
        Verdict,
        protection::Protection,
        told::{Ending, Told},
    },
};

/// Whether a session was told under TLSA records that cannot be used, which protect nothing.
// RFC 7672 s2.2: TLS, whatever the certificate; the mail went there.
#[must_use]
pub fn protects_nothing(told: &Told) -> bool {
    let Ending::Failure(failures) = &told.ending else {
        return false;
    };
    told.policy.policy_type == PolicyType::Tlsa
        && failures
            .iter()
            .all(|failure| failure.result == ResultType::TlsaInvalid)
}

/// What protected a told session that is counted so. `answered` is absent where it is not known how the MTA
/// was answered; `beside` is what the domain's policy says of a session that was told under TLSA records, where
/// there is one and that is known.
#[must_use]
pub fn protected(
    told: &Told,
    counted: &Counted,
    answered: Option<&Answered>,
    beside: Option<&Counted>,
) -> Protection {
    let demand = answered.map(|answered| answered.demand);
    match (told.policy.policy_type, &told.ending) {
        (PolicyType::Tlsa, Ending::Success) => Protection::Dane,
        (PolicyType::Tlsa, _) if protects_nothing(told) => {
            match beside.is_some_and(satisfies_policy) {
                // The policy vouches for the certificate, whoever demanded that.
                true => Protection::Sts,
                false => Protection::Tls,
            }
        }
        (PolicyType::Sts, Ending::Success) => Protection::Sts,
        (PolicyType::Tlsa | PolicyType::Sts, Ending::Failure(_)) => Protection::Refused,
        (PolicyType::NoPolicyFound, ending) => match ending {
            Ending::Success if satisfies_policy(counted) => Protection::Sts,
            Ending::Success => Protection::Tls,
            Ending::Failure(_) if demand == Some(Demand::Unnamed) => Protection::Refused,
            // Nothing was demanded: what TLS does not come up for goes without, if only at the next try.
            Ending::Failure(_) => Protection::Clear,
        },
    }
}

fn satisfies_policy(counted: &Counted) -> bool {
    counted.policy.policy_type == PolicyType::Sts && counted.verdict == Verdict::Success
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::{Mode, Standing},
        record::reconcile::{Known, Reconciled, reconcile},
    };

    #[test]
    fn what_a_told_session_was_protected_by() {
        use Protection::{Clear, Dane, Refused, Sts, Tls};
        let broken = "validation-failure tls-handshake-failure mx1.example.org";
        let clear = "starttls-not-supported - mx1.example.org";
        for (policy, ending, mode, demand, expected) in [
            ("tlsa", "success", Mode::Enforce, Demand::Dane, Dane),
            ("tlsa", broken, Mode::Enforce, Demand::Dane, Refused),
            ("tlsa", clear, Mode::None, Demand::Nothing, Refused),
            (
                "tlsa",
                "tlsa-invalid all-TLSA-records-unusable mx1.example.org",
                Mode::None,
                Demand::Nothing,
                Tls,
            ),
            (
                "*.example.org",
                "success",
                Mode::Enforce,
                Demand::Named,
                Sts,
            ),
            (
                "*.example.org",
                clear,
                Mode::Enforce,
                Demand::Named,
                Refused,
            ),
            ("none", "success", Mode::Enforce, Demand::Unnamed, Sts),
            ("none", clear, Mode::Enforce, Demand::Unnamed, Refused),
            ("none", "success", Mode::None, Demand::Nothing, Tls),
            ("none", clear, Mode::None, Demand::Nothing, Clear),
            ("none", broken, Mode::Testing, Demand::Nothing, Clear),
        ] {
            let told = Told::for_test(policy, ending);
            let answered = Answered {
                standing: Standing::for_test(mode, &["*.example.org"]),
                demand,
                dane: None,
            };
            let known = Known {
                answered: &answered,
                before: None,
                overridden: None,
            };
            let (Reconciled::Counted(counted) | Reconciled::OfTlsa(counted)) =
                reconcile(&told, Some(known))
            else {
                panic!("{policy} {ending}");
            };
            let found = protected(&told, &counted, Some(&answered), None);
            assert_eq!(found, expected, "{policy} {ending} {mode:?} {demand:?}");
        }
    }

    #[test]
    fn c5_what_records_that_cannot_be_used_do_not_protect_the_policy_may() {
        let invalid = "tlsa-invalid all-TLSA-records-unusable mx1.example.org";
        let no_match = "validation-failure dane-no-match mx1.example.org";
        let expired = "certificate-expired - mx1.example.org";
        for (ending, by_policy, expected) in [
            (invalid, "success", Protection::Sts),
            (invalid, expired, Protection::Tls),
            (no_match, "success", Protection::Refused),
            ("success", "success", Protection::Dane),
        ] {
            let told = Told::for_test("tlsa", ending);
            let counted = Counted::told(&told, &told.policy);
            let beside = Told::for_test("*.example.org", by_policy);
            let beside = Counted::told(&beside, &beside.policy);
            assert_eq!(
                protected(&told, &counted, None, Some(&beside)),
                expected,
                "{ending} {by_policy}"
            );
            assert_eq!(protects_nothing(&told), ending == invalid, "{ending}");
        }
    }
}
