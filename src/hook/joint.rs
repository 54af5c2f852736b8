//! The joint rule: what MTA-STS and DANE come to together, for a recipient domain and for one MX host.
//!
//! DANE is decided for each MX host. Secure TLSA records that can be used decide on theirs, and what they
//! refuse nothing else lets in; where a host has none, an MTA-STS policy in `enforce` keeps its floor
//! (RFC 8461 s2). `docs/decisions/0011-dane.md` has the table.

use std::sync::Arc;

use sealpost_plugin_api::{Level, Requirement, ResultType, Tlsa};

use super::decide::{self, Decision, NamedMx, Refusal, decide, mx_name};
use crate::{
    config::{DaneConfig, InsecureMx, OverrideMode, WhenUnknown},
    policy::{
        AppliedPolicy, PolicyDomain, Standing,
        dane::{
            DaneFinding, DomainDane, HostDane, LookupTrouble, MailHosts, MxSecurity, NoDane,
            TlsaPolicy,
        },
    },
    record::Failure,
};

/// The reason code of a host that mandatory DANE keeps mail from.
pub const DANE_REQUIRED: &str = "no-usable-tlsa-records";

/// What the operator wants of DANE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DaneSettings {
    /// What records are worth below MX records that are not signed.
    pub insecure_mx: InsecureMx,
    /// Whether DANE is enforced at all.
    pub enforcement: Enforcement,
}

impl Default for DaneSettings {
    fn default() -> Self {
        Self::from(&DaneConfig::default())
    }
}

impl From<&DaneConfig> for DaneSettings {
    fn from(config: &DaneConfig) -> Self {
        Self {
            insecure_mx: config.insecure_mx,
            enforcement: match config.audit {
                true => Enforcement::Audited,
                false => Enforcement::Enforced,
            },
        }
    }
}

/// Whether DANE is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// It is.
    Enforced,
    /// It is evaluated and reported only (RFC 7672 s9.1; C18).
    Audited,
}

/// What is known when an MTA asks.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// What MTA-STS says of the domain.
    pub standing: &'a Standing,
    /// What the operator decided otherwise for the domain.
    pub overridden: Option<OverrideMode>,
    /// What the operator wants of DANE.
    pub settings: DaneSettings,
}

/// Decides on one MX host. `dane` is absent for what is no host name.
#[must_use]
pub fn decide_host(known: &Known<'_>, mx: NamedMx<'_>, dane: Option<&HostDane>) -> Decision {
    let by_sts = || decide(known.standing, Some(mx), known.of_sts());
    if known.passes_over_dane() {
        return by_sts();
    }
    let mandatory = known.overridden == Some(OverrideMode::DaneOnly);
    let Some(dane) = dane else {
        if mandatory {
            let base = known.standing.domain.clone();
            return required(
                &mx_name(mx),
                "it is no host name",
                AppliedPolicy::tlsa_not_had(base).into(),
            );
        }
        return by_sts();
    };
    if mandatory && dane.decides().is_none() {
        return not_to_be_had(dane);
    }
    if known.is_audited() {
        // C18: what DANE would refuse is delivered, and reported.
        let sts = by_sts();
        return match has_a_say(dane) {
            true => audit(sts),
            false => sts,
        };
    }
    match (known.binding(dane), &dane.finding) {
        (Binding::None, _) | (_, DaneFinding::Nothing(_)) => by_sts(),
        // RFC 7672 s2.2.1: TLS is the most that is asked for, whatever the records are.
        (Binding::Encrypts, _) => Decision::of(
            Level::Encrypt,
            format!(
                "{} may have TLSA records, and the MX records that name it are not signed",
                dane.host
            ),
        ),
        (Binding::Full, DaneFinding::Unreachable(trouble)) => unreachable(dane, trouble),
        (Binding::Full, DaneFinding::Records(records)) if records.set.has_usable() => {
            by_records(records, dane.mx)
        }
        // RFC 7672 s2.2: records that cannot be used demand TLS, and decide nothing more; an enforced
        // policy demands that too.
        (Binding::Full, DaneFinding::Records(_)) if known.enforces_sts() => by_sts(),
        (Binding::Full, DaneFinding::Records(records)) => Decision::of(
            Level::Encrypt,
            format!(
                "DANE: none of the TLSA records of {} can be used",
                records.base
            ),
        ),
    }
}

/// Decides on a domain as a whole: what an MTA must be ready for before it knows the MX host. Every MX
/// host has its own answer, by [`decide_host`].
#[must_use]
pub fn decide_domain(known: &Known<'_>, dane: &DomainDane) -> Decision {
    let sts = decide(known.standing, None, known.of_sts());
    if known.passes_over_dane() {
        return sts;
    }
    let hosts = dane.ranked();
    if known.is_audited() {
        return match hosts.iter().any(|ranked| has_a_say(&ranked.dane)) {
            true => audit(sts),
            false => sts,
        };
    }
    let each = |why: &str| Decision::of(each_host(), why);
    if known.overridden == Some(OverrideMode::DaneOnly) {
        return each("the operator demands DANE for this domain");
    }
    if dane.decides_on_all() {
        return each("every MX host has secure TLSA records");
    }
    // RFC 8461 s5: the policy is the floor of each host on which DANE does not decide.
    if known.enforces_sts() {
        return sts;
    }
    let binds = |dane: &HostDane| has_a_say(dane) && known.binding(dane) != Binding::None;
    match &dane.hosts {
        // RFC 7672 s2.1.2: DNS trouble in finding the MX hosts delays the mail.
        MailHosts::Failed(reason) => Decision::of(
            Level::Defer,
            format!("the MX hosts could not be looked up: {reason}"),
        ),
        MailHosts::TooMany(_) => each("the domain has many MX hosts: ask about each"),
        MailHosts::Known(hosts) if hosts.iter().any(|ranked| binds(&ranked.dane)) => {
            each("DANE has a say on an MX host: ask about each")
        }
        MailHosts::Known(_) | MailHosts::Off(_) | MailHosts::None => sts,
    }
}

/// Decides on a domain where it was not known in time what DANE says of its hosts.
// OURS: as where the MX records cannot be looked up, but that the operator may want to go on. An enforced
// policy holds either way.
#[must_use]
pub fn decide_domain_in_haste(known: &Known<'_>, when_unknown: WhenUnknown) -> Decision {
    let nothing = DomainDane::off(known.standing.domain.clone(), "not known in time");
    let without = decide_domain(known, &nothing);
    let waits = !known.is_audited() && !known.passes_over_dane();
    match without.requirement.level {
        Level::May if waits => unknown(known, None, when_unknown),
        _ => without,
    }
}

/// Decides on an MX host where it was not known in time what DANE says of it. `last` is what was last
/// known of it, however old.
// OURS: what was last known counts where it demands something, and where an enforced policy stands behind
// it. That there were no records once is no proof that there are none now: without a policy the
// operator says whether mail waits (docs/decisions/0011-dane.md).
#[must_use]
pub fn decide_host_in_haste(
    known: &Known<'_>,
    mx: NamedMx<'_>,
    last: Option<&HostDane>,
    when_unknown: WhenUnknown,
) -> Decision {
    let by_sts = || decide(known.standing, Some(mx), known.of_sts());
    if known.is_audited() {
        return last.map_or_else(by_sts, |last| decide_host(known, mx, Some(last)));
    }
    let mandatory = known.overridden == Some(OverrideMode::DaneOnly);
    let counts = |last: &&HostDane| match last.finding {
        _ if mandatory => last.decides().is_some(),
        DaneFinding::Records(_) => true,
        DaneFinding::Nothing(_) => known.enforces_sts(),
        // That a lookup failed once says nothing of now.
        DaneFinding::Unreachable(_) => false,
    };
    if let Some(last) = last.filter(counts) {
        let decision = decide_host(known, mx, Some(last));
        if decision.requirement.level != Level::May {
            return decision;
        }
    }
    match when_unknown {
        _ if mandatory => unknown(known, Some(mx), WhenUnknown::Defer),
        WhenUnknown::May if known.enforces_sts() => by_sts(),
        setting => unknown(known, Some(mx), setting),
    }
}

/// What is answered where DANE is not known in time, nothing else demands anything, and the operator has
/// the word.
fn unknown(known: &Known<'_>, mx: Option<NamedMx<'_>>, setting: WhenUnknown) -> Decision {
    let whom = mx.map_or_else(
        || "its MX hosts".to_owned(),
        |mx| format!("the MX {}", mx_name(mx)),
    );
    let reason = format!("the DNS did not say in time whether DANE is for {whom}");
    Decision {
        requirement: decide::unknown(&known.standing.domain, &reason, setting),
        refused: None,
    }
}

/// How far DANE binds whoever delivers to a host of which it says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// Not at all.
    None,
    /// To TLS, with whatever certificate.
    Encrypts,
    /// In full.
    Full,
}

impl Known<'_> {
    /// Whether TLSA records play no part for this domain.
    #[must_use]
    pub const fn passes_over_dane(&self) -> bool {
        matches!(
            self.overridden,
            Some(OverrideMode::Off | OverrideMode::WithoutDane)
        )
    }

    /// Whether DANE is evaluated and reported only.
    #[must_use]
    pub fn is_audited(&self) -> bool {
        self.overridden == Some(OverrideMode::Audit)
            || (self.settings.enforcement == Enforcement::Audited
                && self.overridden != Some(OverrideMode::DaneOnly))
    }

    /// How far DANE binds on this host, by how its name was found.
    pub(super) fn binding(&self, dane: &HostDane) -> Binding {
        match (dane.mx, self.settings.insecure_mx) {
            // RFC 7672 s2.1.2: whoever hides the MX records must not get the mail, whatever they would
            // have been.
            _ if dane.exchanges_are_unknown() => Binding::Full,
            (MxSecurity::Secure, _) => Binding::Full,
            // OURS: who can forge the MX records can name a signed host of their own, and must not get
            // past an enforced policy by it. The policy decides, and TLSA records are not looked at.
            (MxSecurity::Insecure, _) if self.enforces_sts() => Binding::None,
            (MxSecurity::Insecure, InsecureMx::Dane) => Binding::Full,
            (MxSecurity::Insecure, InsecureMx::Encrypt) => Binding::Encrypts,
            (MxSecurity::Insecure, InsecureMx::May) => Binding::None,
        }
    }

    pub(super) fn enforces_sts(&self) -> bool {
        decide::enforces(self.standing, self.of_sts())
    }

    /// What the override means to an MTA-STS policy.
    const fn of_sts(&self) -> Option<OverrideMode> {
        match self.overridden {
            Some(OverrideMode::DaneOnly | OverrideMode::WithoutDane) => None,
            other => other,
        }
    }
}

const fn has_a_say(dane: &HostDane) -> bool {
    !matches!(dane.finding, DaneFinding::Nothing(_))
}

const fn each_host() -> Level {
    Level::Dane {
        tlsa: Vec::new(),
        name: None,
        names: Vec::new(),
    }
}

/// A certificate must match one of the records.
fn by_records(records: &TlsaPolicy, mx: MxSecurity) -> Decision {
    let tlsa = records.set.usable().map(|record| Tlsa {
        usage: record.usage,
        selector: record.selector,
        matching: record.matching,
        data: record.association.clone(),
    });
    let level = Level::Dane {
        tlsa: tlsa.collect(),
        // RFC 7672 s8.1: SNI is the TLSA base domain.
        name: Some(records.base.to_string()),
        names: records
            .reference_names
            .iter()
            .map(ToString::to_string)
            .collect(),
    };
    // RFC 7672 s2.2.1: below MX records that are not signed the log must not claim more.
    let reason = match mx {
        MxSecurity::Secure => format!("DANE: secure TLSA records of {}", records.base),
        MxSecurity::Insecure => format!(
            "TLSA records of {}, which MX records that are not signed name",
            records.base
        ),
    };
    Decision::of(level, reason)
}

/// What is evaluated in full and demanded of nobody. What a policy demands stays demanded.
fn audit(sts: Decision) -> Decision {
    match sts.requirement.level {
        Level::May => Decision {
            requirement: sts.requirement.audited(),
            ..sts
        },
        _ => sts,
    }
}

/// RFC 7672 s2.1.2 and s2.2.3: the host is as one that cannot be reached.
fn unreachable(dane: &HostDane, trouble: &LookupTrouble) -> Decision {
    let host = &dane.host;
    let (reason, refused) = match trouble {
        // RFC 8460 s4.3.4: no TLS session failed.
        LookupTrouble::Mx(why) => (
            format!("the MX records that are to name {host} could not be looked up: {why}"),
            None,
        ),
        LookupTrouble::Addresses(why) => (
            format!("the addresses of the MX {host} could not be looked up: {why}"),
            None,
        ),
        LookupTrouble::Tlsa { base, code, reason } => (
            format!("the TLSA records of the MX {host} could not be looked up: {reason}"),
            Some(Refusal {
                failure: Failure {
                    mx: Some(host.to_string()),
                    ..Failure::of_policy(ResultType::DnssecInvalid, *code)
                },
                policy: Arc::new(AppliedPolicy::tlsa_not_had(PolicyDomain::from(base))),
            }),
        ),
    };
    Decision {
        requirement: Requirement::new(Level::RefuseMx, reason),
        refused,
    }
}

/// DANE is mandatory, and does not decide on this host.
fn not_to_be_had(dane: &HostDane) -> Decision {
    let why = match &dane.finding {
        DaneFinding::Unreachable(trouble) => return unreachable(dane, trouble),
        DaneFinding::Nothing(why) => in_words(*why),
        DaneFinding::Records(_) if dane.mx == MxSecurity::Insecure => in_words(NoDane::InsecureMx),
        DaneFinding::Records(_) => "none of its TLSA records can be used",
    };
    required(dane.host.as_str(), why, mandatory(dane))
}

/// What a host is counted under that mandatory DANE keeps mail from.
pub(super) fn mandatory(dane: &HostDane) -> Arc<AppliedPolicy> {
    dane.records().map_or_else(
        || Arc::new(AppliedPolicy::tlsa_not_had(PolicyDomain::from(&dane.host))),
        |records| Arc::clone(records.applied()),
    )
}

/// RFC 7672 s6: DANE is mandatory, and cannot be had.
fn required(host: &str, why: &str, policy: Arc<AppliedPolicy>) -> Decision {
    Decision {
        requirement: Requirement::new(
            Level::RefuseMx,
            format!(
                "DANE is mandatory for this domain and not to be had with the MX {host}: {why}"
            ),
        ),
        refused: Some(Refusal {
            failure: Failure {
                mx: Some(host.to_owned()),
                ..Failure::of_policy(ResultType::DaneRequired, DANE_REQUIRED)
            },
            policy,
        }),
    }
}

/// Why DANE says nothing of a host, for people.
#[must_use]
pub const fn in_words(why: NoDane) -> &'static str {
    match why {
        NoDane::Off => "DANE is off",
        NoDane::InsecureAddresses => "its addresses are not signed",
        NoDane::NoRecords => "it has no secure TLSA records",
        NoDane::NotAName => "it is no host name",
        NoDane::InsecureMx => "the MX records are not signed",
    }
}

#[cfg(test)]
mod tests;
