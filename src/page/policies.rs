//! `/policies`: the MTA-STS policies that are kept.

use askama::Template;
use axum::extract::Query;
use serde::Deserialize;

use super::{
    answer::{Answer, Frame, Place, SiteOf, VisitOf, html},
    edition::{Mode, Order},
    list::{Choice, LINES, Paging, needle, page_of},
    overview::reading,
    shape::{encoded, moment},
};
use crate::ctl::{protocol::RefusalKind, wire::PolicyView};

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    q: String,
    mode: String,
    page: String,
}

#[derive(Template)]
#[template(path = "policies.html")]
struct Policies<'a> {
    f: &'a Frame,
    reading: Option<String>,
    typed: String,
    modes: Vec<Choice>,
    paging: Paging,
    lines: Vec<Line>,
}

struct Line {
    name: String,
    path: String,
    mode: String,
    expired: bool,
    id: String,
    fetched_at: String,
    expires_at: String,
    trouble: String,
    purge: String,
}

pub(super) async fn show(site: SiteOf, visit: VisitOf, Query(asked): Query<Asked>) -> Answer {
    let f = Frame::of(&site, &visit, Place::Policies).await;
    let edition = site.almanac.edition().await?;
    let typed = asked.q.trim().to_owned();
    let needle = needle(&typed);
    let wanted = Mode::ALL.into_iter().find(|mode| mode.name() == asked.mode);
    let found = edition.found(&needle).only(&edition, |line| {
        line.mode
            .is_some_and(|mode| wanted.is_none_or(|wanted| mode == wanted))
    });
    let mode = wanted.map_or("", Mode::name);
    let address = format!("/policies?q={}&mode={mode}&page=", encoded(&typed));
    let paging = Paging::of(found.count, page_of(&asked.page), f.w.found, &address);
    let mut lines = Vec::new();
    for line in edition.ordered_of(&found, Order::Name, paging.start, LINES) {
        // What was forgotten since the list was read is left out.
        match site.source.policy(line.name.clone()).await {
            Ok(policy) => lines.push(shown(policy)),
            Err(refusal) if refusal.kind == RefusalKind::NotFound => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    let mut modes = vec![Choice::of("", f.w.any_mode, mode)];
    modes.extend(Mode::ALL.map(|each| Choice::of(each.name(), each.name(), mode)));
    html(&Policies {
        reading: reading(&edition, f.w),
        typed,
        modes,
        paging,
        lines,
        f: &f,
    })
}

fn shown(policy: PolicyView) -> Line {
    let name = encoded(&policy.domain);
    Line {
        path: format!("/domains/{name}"),
        purge: format!("/act?do=purge&domain={name}"),
        expired: policy.expired,
        fetched_at: moment(&policy.fetched_at),
        expires_at: moment(&policy.expires_at),
        trouble: policy
            .trouble
            .map(|trouble| trouble.reason)
            .unwrap_or_default(),
        name: policy.domain,
        mode: policy.mode,
        id: policy.id,
    }
}
