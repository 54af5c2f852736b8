//! What an answer about a whole domain rests on, for a door that can say one thing only of all of the
//! domain's MX hosts.

use sealpost_plugin_api::Level;

use super::joint::Known;
use crate::config::OverrideMode;

/// What counts for the MX hosts of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Basis {
    /// What TLSA records count for.
    pub dane: DaneRole,
    /// What the MTA-STS policy counts for.
    pub policy: PolicyRole,
}

/// What TLSA records count for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DaneRole {
    /// Nothing that the MTA is to do: they are passed over, or only reported on.
    Reported,
    /// They decide on the hosts that have them.
    Decides,
    /// A host without them gets no mail (RFC 7672 s6).
    Mandatory,
}

/// What the MTA-STS policy counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicyRole {
    /// Nothing that the MTA is to do: there is none, or it is only reported on.
    Reported,
    /// It is the floor of each host on which DANE does not decide (RFC 8461 s5).
    Enforced,
}

/// What an MTA makes of DANE that takes one answer for all mail hosts of a domain: for how much of it the
/// answer must wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DaneUse {
    /// It is told to do DANE, and does it by a level of its own where it is told nothing. So what DANE says
    /// counts also where the operator wants it passed over: then the MTA must be told so.
    ToldAndItsOwn,
    /// It is not told of DANE. What DANE says is good to know, and late is as without.
    NotTold,
    /// None: nothing that DANE says of the domain is about the host that its mail goes to, or it does DANE
    /// alone.
    Unused,
}

impl DaneUse {
    /// Whether what DANE says is looked up at all under this word of the operator's.
    #[must_use]
    pub const fn looks_under(self, overridden: Option<OverrideMode>) -> bool {
        match (self, overridden) {
            // RFC 7672 s6: what is demanded is demanded of each next hop.
            (_, Some(OverrideMode::DaneOnly)) | (Self::ToldAndItsOwn, _) => true,
            (Self::Unused, _)
            | (Self::NotTold, Some(OverrideMode::Off | OverrideMode::WithoutDane)) => false,
            (Self::NotTold, _) => true,
        }
    }
}

impl Basis {
    /// Nothing is demanded.
    pub const NOTHING: Self = Self {
        dane: DaneRole::Reported,
        policy: PolicyRole::Reported,
    };

    /// What counts, by all that is known.
    #[must_use]
    pub fn of(known: &Known<'_>) -> Self {
        let dane = if known.overridden == Some(OverrideMode::DaneOnly) {
            DaneRole::Mandatory
        } else if known.passes_over_dane() || known.is_audited() {
            DaneRole::Reported
        } else {
            DaneRole::Decides
        };
        let policy = match known.enforces_sts() {
            true => PolicyRole::Enforced,
            false => PolicyRole::Reported,
        };
        Self { dane, policy }
    }

    /// What counts where MTA-STS alone says this of the domain.
    #[must_use]
    pub const fn of_policy(level: &Level) -> Self {
        let policy = match level {
            Level::Verify { .. } => PolicyRole::Enforced,
            _ => PolicyRole::Reported,
        };
        Self {
            policy,
            ..Self::NOTHING
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::InsecureMx,
        hook::joint::{DaneSettings, Enforcement},
        policy::{Mode, Standing},
    };

    #[test]
    fn c17_c18_what_the_operator_wants_says_what_counts() {
        use DaneRole::{Decides, Mandatory};
        use OverrideMode::{Audit, DaneOnly, Enforce, Off, WithoutDane};
        use PolicyRole::Enforced;
        let (audited, enforced) = (Enforcement::Audited, Enforcement::Enforced);
        let (no_dane, no_policy) = (DaneRole::Reported, PolicyRole::Reported);
        for (mode, overridden, enforcement, dane, policy) in [
            (Mode::Enforce, None, enforced, Decides, Enforced),
            (Mode::Testing, None, enforced, Decides, no_policy),
            (Mode::None, None, enforced, Decides, no_policy),
            (Mode::Testing, Some(Enforce), enforced, Decides, Enforced),
            (Mode::Enforce, Some(DaneOnly), enforced, Mandatory, Enforced),
            (Mode::Enforce, Some(DaneOnly), audited, Mandatory, Enforced),
            (
                Mode::Enforce,
                Some(WithoutDane),
                enforced,
                no_dane,
                Enforced,
            ),
            (Mode::Enforce, Some(Off), enforced, no_dane, no_policy),
            (Mode::Enforce, Some(Audit), enforced, no_dane, no_policy),
            (Mode::Enforce, None, audited, no_dane, Enforced),
        ] {
            let standing = Standing::for_test(mode, &["mx1.example.org"]);
            let found = Basis::of(&Known {
                standing: &standing,
                overridden,
                settings: DaneSettings {
                    insecure_mx: InsecureMx::Dane,
                    enforcement,
                },
            });
            let expected = Basis { dane, policy };
            assert_eq!(found, expected, "{mode:?} {overridden:?} {enforcement:?}");
        }
    }
}
