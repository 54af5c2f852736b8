//! What a session with one MX host was held to, once there was one: what it is counted under beside the
//! MTA-STS policy, and what kept worse from being delivered.
//!
//! What is only audited, or tested, is counted alike (D9); what it demanded is another matter.

use std::sync::Arc;

use super::joint::{Binding, Known, mandatory};
use crate::{
    config::OverrideMode,
    policy::{
        AppliedPolicy, PolicyDomain,
        dane::{DaneFinding, HostDane, LookupTrouble, TlsaPolicy},
    },
};

/// What DANE holds a session to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DaneHold {
    /// Nothing: no TLSA records apply to it, and it is not counted under any.
    Nothing,
    /// A certificate that matches one of them, where one can be used.
    Records(Arc<TlsaPolicy>),
    /// RFC 7672 s2.2.1: TLS, whatever the certificate.
    AnyCertificate(Arc<TlsaPolicy>),
    /// To what could not be looked up.
    LookupFailed {
        /// What it is counted under.
        policy: Arc<AppliedPolicy>,
        /// The reason code: `tlsa-bogus`, `tlsa-lookup-failed`.
        code: &'static str,
    },
    /// DANE is mandatory, and does not decide on the host.
    Required(Arc<AppliedPolicy>),
}

/// What was demanded of a session: what was delivered over less went past it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Demanded {
    /// Nothing.
    Nothing,
    /// TLS.
    Tls,
    /// TLS that satisfies the MTA-STS policy.
    Sts,
    /// TLS with a certificate that matches a TLSA record.
    Dane,
    /// The host is not to be used.
    NoSession,
}

/// What a session with this host is counted under for DANE. `dane` is absent where nothing is known.
#[must_use]
pub fn hold(known: &Known<'_>, dane: Option<&HostDane>) -> DaneHold {
    let Some(dane) = dane.filter(|_| !known.passes_over_dane()) else {
        return DaneHold::Nothing;
    };
    if known.overridden == Some(OverrideMode::DaneOnly) && dane.decides().is_none() {
        return lookup_failed(dane).unwrap_or_else(|| DaneHold::Required(mandatory(dane)));
    }
    match (known.binding(dane), &dane.finding) {
        (Binding::None, _) | (_, DaneFinding::Nothing(_)) => DaneHold::Nothing,
        (Binding::Encrypts, DaneFinding::Records(records)) => {
            DaneHold::AnyCertificate(Arc::clone(records))
        }
        (Binding::Full, DaneFinding::Records(records)) => DaneHold::Records(Arc::clone(records)),
        // Whose addresses could not be told is not known to have records.
        (_, DaneFinding::Unreachable(_)) => lookup_failed(dane).unwrap_or(DaneHold::Nothing),
    }
}

/// What was demanded of a session with this host that the policy lists.
#[must_use]
pub fn demanded(known: &Known<'_>, dane: Option<&HostDane>) -> Demanded {
    let by_sts = match known.enforces_sts() {
        true => Demanded::Sts,
        false => Demanded::Nothing,
    };
    let applies = !known.passes_over_dane() && !known.is_audited();
    let Some(dane) = dane.filter(|_| applies) else {
        return by_sts;
    };
    if known.overridden == Some(OverrideMode::DaneOnly) && dane.decides().is_none() {
        return Demanded::NoSession;
    }
    match (known.binding(dane), &dane.finding) {
        (Binding::None, _) | (_, DaneFinding::Nothing(_)) => by_sts,
        (Binding::Encrypts, _) => Demanded::Tls,
        (Binding::Full, DaneFinding::Unreachable(_)) => Demanded::NoSession,
        (Binding::Full, DaneFinding::Records(records)) if records.set.has_usable() => {
            Demanded::Dane
        }
        (Binding::Full, DaneFinding::Records(_)) if known.enforces_sts() => by_sts,
        (Binding::Full, DaneFinding::Records(_)) => Demanded::Tls,
    }
}

fn lookup_failed(dane: &HostDane) -> Option<DaneHold> {
    let DaneFinding::Unreachable(LookupTrouble::Tlsa { base, code, .. }) = &dane.finding else {
        return None;
    };
    Some(DaneHold::LookupFailed {
        policy: Arc::new(AppliedPolicy::tlsa_not_had(PolicyDomain::from(base))),
        code,
    })
}
