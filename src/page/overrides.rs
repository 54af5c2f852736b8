//! `/overrides`: what is done otherwise for single domains.

use askama::Template;

use super::{
    answer::{Answer, Frame, Place, SiteOf, VisitOf, html},
    shape::{encoded, moment},
    words::{Words, fill},
};
use crate::{
    config::{OverrideMode, OverrideScope},
    ctl::wire::{OverrideSource, OverrideView},
};

#[derive(Template)]
#[template(path = "overrides.html")]
struct Page<'a> {
    f: &'a Frame,
    example: &'static str,
    file: Option<String>,
    lines: Vec<Line>,
    modes: [&'static str; 5],
}

struct Line {
    domain: String,
    /// The domain's own page; empty where it is for every other domain.
    path: String,
    mode: String,
    meaning: &'static str,
    until: String,
    ended: bool,
    passed_over: bool,
    reason: String,
    author: String,
    since: String,
    /// It was set by command and holds, so that it can be ended here.
    can_end: bool,
}

/// What stands in the file for one.
const EXAMPLE: &str = "[domain.\"example.org\"]\nmode = \"audit\"\nuntil = \"2026-12-31\"\nreason = \"their MX moves until the new year\"";

pub(super) async fn show(site: SiteOf, visit: VisitOf) -> Answer {
    let f = Frame::of(&site, &visit, Place::Overrides).await;
    let health = site.source.health().await?;
    html(&Page {
        example: EXAMPLE,
        modes: OverrideMode::ALL.map(OverrideMode::name),
        file: health.config.map(|file| fill(f.w.in_file, &[&file])),
        lines: health
            .overrides
            .into_iter()
            .map(|one| line(one, f.w))
            .collect(),
        f: &f,
    })
}

fn line(one: OverrideView, words: &'static Words) -> Line {
    Line {
        path: match one.domain.as_str() {
            OverrideScope::EVERY_OTHER => String::new(),
            domain => format!("/domains/{}", encoded(domain)),
        },
        meaning: match one.mode.as_str() {
            "off" => words.mode_off,
            "audit" => words.mode_audit,
            "enforce" => words.mode_enforce,
            "dane-only" => words.mode_dane_only,
            "without-dane" => words.mode_without_dane,
            _ => "",
        },
        until: one.until.unwrap_or_default(),
        ended: one.ended,
        passed_over: one.passed_over,
        can_end: one.source == OverrideSource::Command && !one.ended,
        author: match one.source {
            OverrideSource::File => words.override_by_file.to_owned(),
            OverrideSource::Command => one.author.unwrap_or_default(),
        },
        since: one.since.as_deref().map(moment).unwrap_or_default(),
        reason: one.reason.unwrap_or_default(),
        domain: one.domain,
        mode: one.mode,
    }
}
