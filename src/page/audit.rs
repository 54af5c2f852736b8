//! `/audit`: the decisions that changed mail, the newest first.

use std::time::Duration;

use askama::Template;
use axum::extract::Query;
use serde::Deserialize;
use tokio::time::timeout;

use super::{
    Site,
    answer::{Answer, Frame, Oops, Place, SiteOf, VisitOf, html},
    list::{Choice, LINES, Paging, needle},
    shape::{encoded, grouped, moment},
    words::{Words, fill},
};
use crate::{
    ctl::{
        control::AuditQuestion,
        wire::{Audit, AuditView},
    },
    observe::audit::AuditKind,
    policy::PolicyDomain,
};

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    q: String,
    kind: String,
    before: String,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Page<'a> {
    f: &'a Frame,
    typed: String,
    kinds: Vec<Choice>,
    paging: Paging,
    lines: Vec<DecisionLine>,
    broken: Option<String>,
    chain: String,
}

/// A decision, as a table shows it.
pub(super) struct DecisionLine {
    pub(super) at: String,
    pub(super) kind: String,
    pub(super) name: &'static str,
    pub(super) domain: String,
    pub(super) path: String,
    pub(super) author: String,
    pub(super) words: String,
}

pub(super) async fn show(site: SiteOf, visit: VisitOf, Query(asked): Query<Asked>) -> Answer {
    let f = Frame::of(&site, &visit, Place::Audit).await;
    let w = f.w;
    let typed = asked.q.trim().to_owned();
    let kind = AuditKind::of_name(&asked.kind);
    let domain = needle(&typed).parse::<PolicyDomain>().ok();
    let question = AuditQuestion {
        domain: domain.clone(),
        kind,
        before: asked.before.parse().ok(),
        // Of what is no name of a domain no decision is.
        entries_max: Some(match domain.is_none() && !typed.is_empty() {
            true => 0,
            false => LINES as u64,
        }),
        ..AuditQuestion::default()
    };
    let is_newest = question.before.is_none();
    let audit = site.source.audit(question).await?;
    let chosen = kind.map_or("", AuditKind::name);
    let address = format!("/audit?q={}&kind={chosen}", encoded(&typed));
    let kinds = AuditKind::ALL.iter();
    let kinds = kinds.map(|kind| Choice::of(kind.name(), kind_name(w, *kind), chosen));
    html(&Page {
        kinds: std::iter::once(Choice::of("", w.any_kind, chosen))
            .chain(kinds)
            .collect(),
        broken: audit
            .chain
            .broken_at
            .map(|number| fill(w.audit_broken, &[&grouped(number)])),
        chain: fill(
            w.audit_chain,
            &[&grouped(audit.chain.entries), &audit.chain.sha256],
        ),
        paging: paging(&audit, &address, is_newest, w),
        lines: decision_lines(audit.entries, w),
        typed,
        f: &f,
    })
}

/// By numbers of entries: what is added meanwhile moves nothing.
fn paging(audit: &Audit, address: &str, is_newest: bool, words: &'static Words) -> Paging {
    let oldest = audit.entries.first();
    let older = oldest.filter(|_| audit.earlier > 0);
    Paging {
        found: fill(
            words.audit_shown,
            &[
                &grouped(audit.entries.len() as u64),
                &grouped(audit.earlier),
            ],
        ),
        first: (!is_newest).then(|| address.to_owned()),
        previous: None,
        next: older.map(|entry| format!("{address}&before={}", entry.number)),
        is_empty: oldest.is_none(),
        start: 0,
    }
}

/// The newest first.
fn decision_lines(entries: Vec<AuditView>, words: &'static Words) -> Vec<DecisionLine> {
    let lines = entries.into_iter().rev();
    lines
        .map(|entry| {
            let kind = AuditKind::of_name(&entry.kind);
            let domain = entry.domain.unwrap_or_default();
            DecisionLine {
                at: moment(&entry.at),
                name: kind.map_or("", |kind| kind_name(words, kind)),
                kind: entry.kind,
                path: format!("/domains/{}", encoded(&domain)),
                domain,
                author: entry.author.unwrap_or_default(),
                words: entry.words,
            }
        })
        .collect()
}

/// How many decisions the page of a domain has.
const OF_DOMAIN_MAX: u64 = 10;

/// How long the page of a domain waits for them: the log is read through for it, and may be long.
const OF_DOMAIN_WAIT: Duration = Duration::from_millis(300);

/// The newest decisions about a domain, and whether there are more; nothing where that takes too long.
pub(super) async fn decisions_about(
    site: &Site,
    domain: &PolicyDomain,
    words: &'static Words,
) -> Result<Option<(Vec<DecisionLine>, bool)>, Oops> {
    let question = AuditQuestion {
        domain: Some(domain.clone()),
        entries_max: Some(OF_DOMAIN_MAX),
        ..AuditQuestion::default()
    };
    match timeout(OF_DOMAIN_WAIT, site.source.audit(question)).await {
        Ok(audit) => {
            let audit = audit?;
            let has_more = audit.earlier > 0;
            Ok(Some((decision_lines(audit.entries, words), has_more)))
        }
        Err(_elapsed) => Ok(None),
    }
}

const fn kind_name(words: &'static Words, kind: AuditKind) -> &'static str {
    match kind {
        AuditKind::Started => words.audit_started,
        AuditKind::Stopped => words.audit_stopped,
        AuditKind::Reloaded => words.audit_reloaded,
        AuditKind::OverrideSet => words.audit_override_set,
        AuditKind::OverrideEnded => words.audit_override_ended,
        AuditKind::OverrideRanOut => words.audit_override_ran_out,
        AuditKind::PolicyChanged => words.audit_policy_changed,
        AuditKind::PolicyExpired => words.audit_policy_expired,
        AuditKind::PolicyRefreshed => words.audit_policy_refreshed,
        AuditKind::PolicyPurged => words.audit_policy_purged,
        AuditKind::MailRefused => words.audit_mail_refused,
        AuditKind::DaneOn => words.audit_dane_on,
        AuditKind::DaneOff => words.audit_dane_off,
        AuditKind::CountsForgotten => words.audit_counts_forgotten,
        AuditKind::SuppressionAdded => words.audit_suppression_added,
        AuditKind::SuppressionLifted => words.audit_suppression_lifted,
    }
}
