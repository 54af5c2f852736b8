//! What protected a session, or the lack of it: what an auditor asks for, beside what a report says.

use crate::hook::hold::Demanded;

/// How well one session was protected. Each session has one, whatever number of policies it is counted
/// under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protection {
    /// The certificate matched a secure TLSA record (RFC 7672).
    Dane,
    /// The MX host and its certificate satisfied an MTA-STS policy (RFC 8461), enforced or tested.
    Sts,
    /// TLS, with a certificate that no policy vouches for.
    Tls,
    /// None: the mail went in the clear, or would have.
    Clear,
    /// None was needed: a policy kept the mail from going there.
    Refused,
}

impl Protection {
    /// Every one, best first.
    pub const ALL: [Self; 5] = [Self::Dane, Self::Sts, Self::Tls, Self::Clear, Self::Refused];

    /// The word shown to an operator.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dane => "dane",
            Self::Sts => "sts",
            Self::Tls => "tls",
            Self::Clear => "clear",
            Self::Refused => "refused",
        }
    }
}

/// What is known of a session that ended.
#[derive(Clone, Copy, Debug)]
pub struct Met {
    /// Whether TLS was up.
    pub tls_is_up: bool,
    /// Whether the certificate matched a secure TLSA record.
    pub vouched_for_by_dane: bool,
    /// Whether there is an MTA-STS policy and the session satisfies it.
    pub satisfies_sts: bool,
    /// What was demanded of it.
    pub demanded: Demanded,
}

/// What protected a session: the best that it came to; and where that is less than was demanded, the mail
/// was kept from going there.
#[must_use]
pub const fn protection(met: &Met) -> Protection {
    let reached = if met.vouched_for_by_dane {
        Protection::Dane
    } else if met.satisfies_sts {
        Protection::Sts
    } else if met.tls_is_up {
        Protection::Tls
    } else {
        Protection::Clear
    };
    let enough = match (met.demanded, reached) {
        (Demanded::Nothing, _) | (Demanded::Dane, Protection::Dane) => true,
        (Demanded::Tls, Protection::Dane | Protection::Sts | Protection::Tls) => true,
        // Where the policy is what is demanded, DANE does not decide: what satisfies only the records
        // does not satisfy the policy.
        (Demanded::Sts, _) => met.satisfies_sts,
        (Demanded::Dane | Demanded::Tls | Demanded::NoSession, _) => false,
    };
    if enough { reached } else { Protection::Refused }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_protected_a_session_is_the_best_it_came_to_unless_more_was_demanded() {
        use Protection::{Clear, Dane, Refused, Sts, Tls};
        let met = |tls_is_up, vouched_for_by_dane, satisfies_sts| Met {
            tls_is_up,
            vouched_for_by_dane,
            satisfies_sts,
            demanded: Demanded::Nothing,
        };
        for (met, expected) in [
            // Demanded: nothing, TLS, the policy, a TLSA record, no session at all.
            (
                met(false, false, false),
                [Clear, Refused, Refused, Refused, Refused],
            ),
            (
                met(true, false, false),
                [Tls, Tls, Refused, Refused, Refused],
            ),
            (met(true, false, true), [Sts, Sts, Sts, Refused, Refused]),
            (met(true, true, false), [Dane, Dane, Refused, Dane, Refused]),
            (met(true, true, true), [Dane, Dane, Dane, Dane, Refused]),
        ] {
            let demands = [
                Demanded::Nothing,
                Demanded::Tls,
                Demanded::Sts,
                Demanded::Dane,
                Demanded::NoSession,
            ];
            for (demanded, expected) in demands.into_iter().zip(expected) {
                let met = Met { demanded, ..met };
                assert_eq!(protection(&met), expected, "{met:?}");
            }
        }
    }
}
