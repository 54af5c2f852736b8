//! What signed DNS says of one MX host.

use std::sync::Arc;

use super::TlsaSet;
use crate::policy::{AppliedPolicy, Fingerprint, MxHost, PolicyDomain, PolicyType};

/// What is known of one MX host of a recipient domain (RFC 7672 s2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostDane {
    /// The host, as the MX record names it.
    pub host: MxHost,
    /// Whether the MX records that name it are known to be secure.
    pub mx: MxSecurity,
    /// What was found.
    pub finding: DaneFinding,
}

/// What DNSSEC says of the MX records of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MxSecurity {
    /// Validated up to a trust anchor; or there is no MX record and that is proven; or the operator
    /// named the host.
    Secure,
    /// Not signed. Whoever can forge the domain's DNS can name any host (RFC 7672 s2.2.1).
    Insecure,
}

/// What was found of an MX host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DaneFinding {
    /// DANE says nothing of it.
    Nothing(NoDane),
    /// It has TLSA records, and they are secure.
    Records(Arc<TlsaPolicy>),
    /// It must not be connected to now: what there is could not be told.
    Unreachable(LookupTrouble),
}

/// Why DANE says nothing of an MX host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoDane {
    /// The operator turned DANE off, or no resolver of ours can be trusted.
    Off,
    /// RFC 7672 s2.2.2: its addresses are not signed. TLSA records are not asked for.
    InsecureAddresses,
    /// It is signed and proven to have none, or those that it has are not signed.
    NoRecords,
    /// RFC 7672 s2.2: it is an address, or no name that could have records (C19).
    NotAName,
    /// RFC 7672 s2.2.1: the MX records that name it are not signed, and the operator wants no DANE then.
    InsecureMx,
}

/// A lookup that failed where its answer is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupTrouble {
    /// RFC 7672 s2.1.2: the MX records of the domain, or they are bogus. Whether they name the host, and
    /// are signed, is not known: none of the domain's hosts may be used.
    Mx(String),
    /// RFC 7672 s2.1.2: its addresses. Another MX host may be used; nobody's TLS failed.
    Addresses(String),
    /// RFC 7672 s2.2.3: its TLSA records, below secure addresses.
    Tlsa {
        /// The name that was asked for records: the TLSA base domain.
        base: MxHost,
        /// A short stable code for the report: `tlsa-bogus`, `tlsa-lookup-failed`.
        code: &'static str,
        /// In words, for people.
        reason: String,
    },
}

/// The secure TLSA records of an MX host, with all that a certificate is held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsaPolicy {
    /// The TLSA base domain: the host, or what its alias leads to (RFC 7672 s2.2.3). Sent as SNI.
    pub base: MxHost,
    /// The records, shared by all the domains that the host takes mail for.
    pub set: Arc<TlsaSet>,
    /// RFC 7672 s3.2.2: the names of which a certificate below a DANE-TA record must carry one. The base
    /// domain is the first; the next hop and what its alias leads to come with secure MX records only.
    pub reference_names: Vec<MxHost>,
    applied: Arc<AppliedPolicy>,
    fingerprint: Fingerprint,
}

impl TlsaPolicy {
    /// The records of `base`. `names` are the further reference names.
    #[must_use]
    pub fn new(base: MxHost, set: TlsaSet, names: &[MxHost]) -> Self {
        let applied = AppliedPolicy {
            policy_type: PolicyType::Tlsa,
            policy_domain: PolicyDomain::from(&base),
            policy_string: set.strings(),
            mx_host: Vec::new(),
        };
        Self {
            fingerprint: applied.fingerprint(),
            applied: Arc::new(applied),
            reference_names: Vec::new(),
            base,
            set: Arc::new(set),
        }
        .with_names(names)
    }

    /// The same records, with these further reference names and no others.
    #[must_use]
    pub fn with_names(&self, names: &[MxHost]) -> Self {
        let mut reference_names = vec![self.base.clone()];
        for name in names {
            if !reference_names.contains(name) {
                reference_names.push(name.clone());
            }
        }
        Self {
            base: self.base.clone(),
            set: Arc::clone(&self.set),
            reference_names,
            applied: Arc::clone(&self.applied),
            fingerprint: self.fingerprint,
        }
    }

    /// The policy as a report names it (RFC 8460 s1.1: its domain is the TLSA base domain).
    #[must_use]
    pub const fn applied(&self) -> &Arc<AppliedPolicy> {
        &self.applied
    }

    /// Its short name.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl HostDane {
    /// A host of which DANE says nothing.
    #[must_use]
    pub const fn nothing(host: MxHost, mx: MxSecurity, why: NoDane) -> Self {
        Self {
            host,
            mx,
            finding: DaneFinding::Nothing(why),
        }
    }

    /// The records that a session with it is held to and counted under, whether or not one of them can
    /// be used.
    #[must_use]
    pub const fn records(&self) -> Option<&Arc<TlsaPolicy>> {
        match &self.finding {
            DaneFinding::Records(records) => Some(records),
            DaneFinding::Nothing(_) | DaneFinding::Unreachable(_) => None,
        }
    }

    /// Whether the MX records that are to name it could not be looked up.
    #[must_use]
    pub const fn exchanges_are_unknown(&self) -> bool {
        matches!(self.finding, DaneFinding::Unreachable(LookupTrouble::Mx(_)))
    }

    /// Its records, where its MX records are secure too and one of the records can be used: then DANE
    /// decides on it (RFC 7672 s2.2).
    #[must_use]
    pub fn decides(&self) -> Option<&Arc<TlsaPolicy>> {
        self.records()
            .filter(|records| self.mx == MxSecurity::Secure && records.set.has_usable())
    }
}
