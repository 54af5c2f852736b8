//! What is done for recipient domains instead of what their policies say.

use std::{
    fmt::{self, Display, Formatter},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use super::Config;
use crate::{
    clock::UtcDay,
    policy::{NameError, PolicyDomain},
};

/// `[domain."example.org"]`, or `[domain."*"]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainOverride {
    /// What is done instead.
    pub mode: OverrideMode,
    /// The last day it is done, UTC, `2026-12-31`; absent: until it is taken out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Why: `sealpost status` and `sealpost check` show it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What is done for a recipient domain instead of what its policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OverrideMode {
    /// No policy is looked up or applied; sessions are counted as under none.
    Off,
    /// The policy is evaluated and reported, not enforced.
    Audit,
    /// A `testing` policy is enforced.
    Enforce,
    /// DANE or nothing: a mail host without secure, usable TLSA records gets no mail.
    DaneOnly,
    /// TLSA records are passed over, and the MTA-STS policy decides alone.
    WithoutDane,
}

impl OverrideMode {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Off,
        Self::Audit,
        Self::Enforce,
        Self::DaneOnly,
        Self::WithoutDane,
    ];

    /// The word for it, as the file has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Audit => "audit",
            Self::Enforce => "enforce",
            Self::DaneOnly => "dane-only",
            Self::WithoutDane => "without-dane",
        }
    }

    /// What a word stands for.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// Whom an override is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OverrideScope {
    /// Every recipient domain that has none of its own: `[domain."*"]`.
    EveryOther,
    /// This recipient domain.
    Domain(PolicyDomain),
}

impl OverrideScope {
    /// The name of the section for every domain that has none of its own.
    pub const EVERY_OTHER: &str = "*";

    /// Whether it is this domain's own.
    #[must_use]
    pub fn is(&self, domain: &PolicyDomain) -> bool {
        matches!(self, Self::Domain(own) if own == domain)
    }
}

impl FromStr for OverrideScope {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text {
            Self::EVERY_OTHER => Ok(Self::EveryOther),
            name => name.parse().map(Self::Domain),
        }
    }
}

impl Display for OverrideScope {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::EveryOther => formatter.write_str(Self::EVERY_OTHER),
            Self::Domain(domain) => domain.fmt(formatter),
        }
    }
}

/// An override that has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// For whom.
    pub scope: OverrideScope,
    /// What is done.
    pub mode: OverrideMode,
    /// The last day of it.
    pub until: Option<UtcDay>,
}

impl Config {
    /// What has DANE evaluated and reported only, in words, where something does: a setting, or the override for every
    /// domain that has none of its own.
    #[must_use]
    pub fn dane_audited_by(&self, today: UtcDay) -> Option<&'static str> {
        let is_over = |until: &String| until.parse().is_ok_and(|until: UtcDay| until < today);
        let of_all = self.domain.get(OverrideScope::EVERY_OTHER);
        let of_all = of_all.filter(|set| !set.until.as_ref().is_some_and(is_over));
        if self.dane.audit {
            Some("dane.audit is true")
        } else if of_all.is_some() {
            Some("[domain.\"*\"] puts every domain to audit")
        } else {
            None
        }
    }
}
