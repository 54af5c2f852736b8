//! What is done otherwise for single domains.

use serde::{Deserialize, Serialize};

use super::OverrideSource;
use crate::{
    clock::UtcDay,
    config::{Config, Override, OverrideScope},
    hook::overrides::{CommandOverride, holds},
};

/// What is or was done otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overrides {
    /// By domain; of two for one domain that of the configuration first.
    pub overrides: Vec<OverrideView>,
}

/// What is done otherwise for one domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideView {
    /// The domain; `*` for every one that has none of its own.
    pub domain: String,
    /// `off`, `audit`, `enforce`, `dane-only` or `without-dane`.
    pub mode: String,
    /// The last day of it.
    pub until: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// It does nothing any more: its last day is over, or somebody ended it.
    pub ended: bool,
    /// Where it was set.
    #[serde(default)]
    pub source: OverrideSource,
    /// Who set it; absent for one of the configuration.
    #[serde(default)]
    pub author: Option<String>,
    /// When it was set; absent for one of the configuration.
    #[serde(default)]
    pub since: Option<String>,
    /// The configuration decides for this domain, so that this one does nothing.
    #[serde(default)]
    pub passed_over: bool,
    /// How it ended before its last day was over.
    #[serde(default)]
    pub ending: Option<OverrideEnding>,
}

/// How an override ended before its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverrideEnding {
    /// When.
    pub at: String,
    /// Who ended it.
    pub author: String,
    /// Why.
    pub reason: String,
}

impl OverrideView {
    /// What the configuration sets for a domain, as it stands `today`.
    #[must_use]
    pub fn of(each: &Override, config: &Config, today: UtcDay) -> Self {
        // The file may name the domain in another form than its A-labels.
        let set = config.domain.iter().find(|(name, _)| {
            name.parse()
                .is_ok_and(|name: OverrideScope| name == each.scope)
        });
        let reason = set.map(|(_, set)| set.reason.clone());
        Self {
            domain: each.scope.to_string(),
            mode: each.mode.name().to_owned(),
            until: each.until.map(|day| day.to_string()),
            reason: reason.filter(|reason| !reason.is_empty()),
            ended: !holds(each.until, today),
            source: OverrideSource::File,
            author: None,
            since: None,
            passed_over: false,
            ending: None,
        }
    }

    /// What was set by command, as it stands `today`; it is passed over where the configuration decides.
    #[must_use]
    pub fn of_command(set: &CommandOverride, today: UtcDay, passed_over: bool) -> Self {
        Self {
            domain: set.domain.to_string(),
            mode: set.mode.name().to_owned(),
            until: set.until.map(|day| day.to_string()),
            reason: Some(set.reason.clone()),
            ended: !set.holds(today),
            source: OverrideSource::Command,
            author: Some(set.author.clone()),
            since: Some(set.set_at.to_string()),
            passed_over,
            ending: set.ended.as_ref().map(|ended| OverrideEnding {
                at: ended.at.to_string(),
                author: ended.author.clone(),
                reason: ended.reason.clone(),
            }),
        }
    }
}
