//! A statement for programs.

use serde::Serialize;

use super::{
    super::{exit::Failure, wire::ProtectedSessions},
    Evidence, reservations,
    share::shares,
};
use crate::observe::printable::printable_json;

/// What is written: the answer of the daemon with the shares beside the numbers.
#[derive(Serialize)]
struct Statement<'a> {
    program: &'a str,
    organization: Option<&'a str>,
    host: &'a str,
    made_at: &'a str,
    from: &'a str,
    to: &'a str,
    domain: Option<&'a str>,
    sha256: &'a str,
    notes: Vec<String>,
    not_noted: &'a [String],
    held_since: Option<&'a str>,
    cut_until: Option<&'a str>,
    last_day_runs: bool,
    total: Row<'a>,
    days: Vec<Row<'a>>,
    domains: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    day: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a str>,
    #[serde(flatten)]
    protected: ProtectedSessions,
    percent: Percent,
}

#[derive(Serialize)]
struct Percent {
    dane: f64,
    sts: f64,
    tls: f64,
    clear: f64,
    refused: f64,
}

impl<'a> Row<'a> {
    fn of(day: Option<&'a str>, domain: Option<&'a str>, protected: ProtectedSessions) -> Self {
        let [dane, sts, tls, clear, refused] = shares(&protected).map(|share| share.percent());
        Self {
            day,
            domain,
            protected,
            percent: Percent {
                dane,
                sts,
                tls,
                clear,
                refused,
            },
        }
    }
}

pub(super) fn json(evidence: &Evidence) -> Result<String, Failure> {
    let days = evidence.days.iter();
    let domains = evidence.domains.iter();
    let statement = Statement {
        program: &evidence.program,
        organization: evidence.organization.as_deref(),
        host: &evidence.host,
        made_at: &evidence.made_at,
        from: &evidence.from,
        to: &evidence.to,
        domain: evidence.domain.as_deref(),
        sha256: &evidence.sha256,
        notes: reservations(evidence),
        not_noted: &evidence.not_noted,
        held_since: evidence.held_since.as_deref(),
        cut_until: evidence.cut_until.as_deref(),
        last_day_runs: evidence.last_day_runs,
        total: Row::of(None, None, evidence.total),
        days: days
            .map(|each| Row::of(Some(&each.day), None, each.protected))
            .collect(),
        domains: domains
            .map(|each| Row::of(None, Some(&each.domain), each.protected))
            .collect(),
    };
    let text = serde_json::to_string_pretty(&statement)
        .map_err(|error| Failure::Internal(error.to_string()))?;
    Ok(format!("{}\n", printable_json(&text)))
}
