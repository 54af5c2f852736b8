//! The joint rule: what MTA-STS and DANE come to together, for a recipient domain and for one MX host.
//!
//! DANE is decided for each MX host. Secure TLSA records that can be used decide on theirs, and what they
//! refuse nothing else lets in; where a host has none, an MTA-STS policy in `enforce` keeps its floor
//! (RFC 8461 s2). `docs/decisions/0011-dane.md` has the table.

use sealpost_plugin_api::{Level, Requirement, ResultType, Tlsa};

use super::decide::{Decision, NamedMx, decide};
use crate::{
    config::{InsecureMx, OverrideMode},
    policy::{
        Standing,
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
    let by_sts = || decide(known.standing, Some(mx), of_sts(known.overridden));
    let only = match known.overridden {
        Some(OverrideMode::Off | OverrideMode::WithoutDane) => return by_sts(),
        Some(OverrideMode::DaneOnly) => true,
        _ => false,
    };
    let audited = known.is_audited();
    let Some(dane) = dane else {
        return if only {
            required(&name(mx), "it is no host name")
        } else {
            by_sts()
        };
    };
    let host = &dane.host;
    if only && !audited && dane.decides().is_none() {
        return match &dane.finding {
            DaneFinding::Unreachable(trouble) => unreachable(host.as_str(), trouble),
            DaneFinding::Nothing(why) => required(host.as_str(), in_words(*why)),
            DaneFinding::Records(_) if dane.mx == MxSecurity::Insecure => {
                required(host.as_str(), "the MX records are not signed")
            }
            DaneFinding::Records(_) => required(host.as_str(), "none of its records can be used"),
        };
    }
    let sts = by_sts();
    if audited {
        // C18: what DANE would refuse is delivered, and reported.
        return Decision {
            requirement: audit(sts.requirement, dane),
            refused: sts.refused,
        };
    }
    let enforces = !matches!(sts.requirement.level, Level::May);
    match (&dane.finding, dane.mx) {
        (DaneFinding::Nothing(_), _) => sts,
        // RFC 7672 s2.1.2: it cannot be said where its mail goes, whoever signed what.
        (DaneFinding::Unreachable(trouble @ LookupTrouble::Addresses(_)), _) => {
            unreachable(host.as_str(), trouble)
        }
        // OURS: who can forge the MX records can name a signed host of their own, and must not get past
        // an enforced policy by it. The policy decides, and TLSA records are not looked at.
        (_, MxSecurity::Insecure) if enforces => sts,
        (_, MxSecurity::Insecure) if known.settings.insecure_mx == InsecureMx::May => sts,
        (DaneFinding::Unreachable(trouble), _) => unreachable(host.as_str(), trouble),
        (DaneFinding::Records(records), mx) => {
            let encrypt_only =
                mx == MxSecurity::Insecure && known.settings.insecure_mx == InsecureMx::Encrypt;
            if records.set.has_usable() && !encrypt_only {
                by_records(records, mx)
            } else if enforces {
                // RFC 7672 s2.2: records that cannot be used demand TLS, and decide nothing more; the
                // policy demands that too.
                sts
            } else {
                Decision::of(Level::Encrypt, unauthenticated(records, encrypt_only))
            }
        }
    }
}

/// Decides on a domain as a whole: what an MTA must be ready for before it knows the MX host. Every MX
/// host has its own answer, by [`decide_host`].
#[must_use]
pub fn decide_domain(known: &Known<'_>, dane: &DomainDane) -> Decision {
    let sts = decide(known.standing, None, of_sts(known.overridden));
    if matches!(
        known.overridden,
        Some(OverrideMode::Off | OverrideMode::WithoutDane)
    ) {
        return sts;
    }
    let only = known.overridden == Some(OverrideMode::DaneOnly);
    if known.is_audited() {
        let says = dane.ranked().iter().any(|ranked| has_a_say(&ranked.dane));
        return match says {
            true => Decision {
                requirement: sts.requirement.audited(),
                refused: None,
            },
            false => sts,
        };
    }
    let each = |why: &str| Decision::of(each_host(), why);
    if only {
        return each("the operator demands DANE for this domain");
    }
    if dane.decides_on_all() {
        return each("every MX host has secure TLSA records");
    }
    // RFC 8461 s5: the policy is the floor of each host on which DANE does not decide.
    if !matches!(sts.requirement.level, Level::May) {
        return sts;
    }
    match &dane.hosts {
        // RFC 7672 s2.1.2: DNS trouble in finding the MX hosts delays the mail.
        MailHosts::Failed(reason) => Decision::of(
            Level::Defer,
            format!("the MX hosts could not be looked up: {reason}"),
        ),
        MailHosts::TooMany(_) => each("the domain has many MX hosts: ask about each"),
        MailHosts::Known(hosts) => {
            let worth = |dane: &HostDane| {
                has_a_say(dane)
                    && (dane.mx == MxSecurity::Secure
                        || known.settings.insecure_mx != InsecureMx::May)
            };
            if hosts.iter().any(|ranked| worth(&ranked.dane)) {
                each("an MX host has secure TLSA records")
            } else {
                sts
            }
        }
        MailHosts::Off(_) | MailHosts::None => sts,
    }
}

impl Known<'_> {
    fn is_audited(&self) -> bool {
        self.overridden == Some(OverrideMode::Audit)
            || (self.settings.enforcement == Enforcement::Audited
                && self.overridden != Some(OverrideMode::DaneOnly))
    }
}

/// What an override means to an MTA-STS policy.
const fn of_sts(overridden: Option<OverrideMode>) -> Option<OverrideMode> {
    match overridden {
        Some(OverrideMode::DaneOnly | OverrideMode::WithoutDane) => None,
        other => other,
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

fn unauthenticated(records: &TlsaPolicy, encrypt_only: bool) -> String {
    if encrypt_only {
        let base = &records.base;
        return format!("TLSA records of {base}, which MX records that are not signed name");
    }
    format!(
        "DANE: none of the TLSA records of {} can be used",
        records.base
    )
}

/// The answer of the policy, evaluated for DANE too.
fn audit(requirement: Requirement, dane: &HostDane) -> Requirement {
    match requirement.level {
        Level::May if has_a_say(dane) => requirement.audited(),
        _ => requirement,
    }
}

/// RFC 7672 s2.1.2 and s2.2.3: the host is as one that cannot be reached.
fn unreachable(host: &str, trouble: &LookupTrouble) -> Decision {
    let (reason, refused) = match trouble {
        // RFC 8460 s4.3.4: no TLS session failed.
        LookupTrouble::Addresses(why) => (
            format!("the addresses of the MX {host} could not be looked up: {why}"),
            None,
        ),
        LookupTrouble::Tlsa { code, reason, .. } => (
            format!("the TLSA records of the MX {host} could not be looked up: {reason}"),
            Some(Failure {
                mx: Some(host.to_owned()),
                ..Failure::of_policy(ResultType::DnssecInvalid, *code)
            }),
        ),
    };
    Decision {
        requirement: Requirement::new(Level::RefuseMx, reason),
        refused,
    }
}

/// RFC 7672 s6: DANE is mandatory, and cannot be had.
fn required(host: &str, why: &str) -> Decision {
    Decision {
        requirement: Requirement::new(
            Level::RefuseMx,
            format!(
                "DANE is mandatory for this domain and not to be had with the MX {host}: {why}"
            ),
        ),
        refused: Some(Failure {
            mx: Some(host.to_owned()),
            ..Failure::of_policy(ResultType::DaneRequired, DANE_REQUIRED)
        }),
    }
}

fn name(mx: NamedMx<'_>) -> String {
    match mx {
        Ok(host) => host.to_string(),
        Err(text) => text.to_owned(),
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
