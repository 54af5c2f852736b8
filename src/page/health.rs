//! `/health`: how the daemon is, with every counter, and what the doctor found when he last looked.

use askama::Template;
use axum::response::{IntoResponse as _, Redirect};

use super::{
    answer::{Answer, Frame, Place, SiteOf, VisitOf, html},
    doctor::Look,
    shape::{grouped, moment},
    visit::OwnForm,
    words::{Words, fill},
};
use crate::ctl::wire::{ExaminationView, QuotaView, StoreState};

#[derive(Template)]
#[template(path = "health.html")]
struct Page<'a> {
    f: &'a Frame,
    alarms: Vec<String>,
    facts: Vec<(&'static str, String)>,
    counters: Vec<(String, String)>,
    is_looking: bool,
    examined: Option<Examined>,
}

/// What the doctor found.
struct Examined {
    at: String,
    failed: Option<String>,
    /// What is wrong, the worst first.
    findings: Vec<FindingLine>,
    /// What is well, and what could not be seen.
    rest: Vec<RestLine>,
}

struct FindingLine {
    examination: String,
    trap: String,
    state: &'static str,
    class: &'static str,
    seen: String,
    cause: String,
    cure: String,
    lines: Vec<String>,
}

struct RestLine {
    name: String,
    state: &'static str,
    class: &'static str,
    lines: Vec<String>,
}

pub(super) async fn show(site: SiteOf, visit: VisitOf) -> Answer {
    let f = Frame::of(&site, &visit, Place::Health).await;
    let w = f.w;
    let health = site.source.health().await?;
    let days = site.source.days().await;
    let store = match health.store.state {
        StoreState::Recording => w.store_recording.to_owned(),
        StoreState::Waiting => fill(w.store_waiting, &[&grouped(health.store.waiting_rows)]),
        StoreState::PutAside => w.store_put_aside.to_owned(),
    };
    let reason = health
        .store
        .reason
        .map_or_else(String::new, |reason| format!(" ({reason})"));
    let mut facts = vec![
        (w.program, health.program),
        (w.process, health.pid.to_string()),
        (w.started_at, moment(&health.started_at)),
        (
            w.configuration,
            health.config.unwrap_or_else(|| w.built_in.to_owned()),
        ),
        (w.store, format!("{}: {store}{reason}", health.store.path)),
    ];
    let quota = health.store.quota.as_ref();
    facts.extend(quota.map(|quota| (w.quota, quota_in_words(quota, w))));
    // A store that cannot be read is just what this is looked at for.
    facts.push((
        w.days_held,
        days.map_or_else(|refusal| refusal.message, |days| days.len().to_string()),
    ));
    html(&Page {
        is_looking: site.doctor.is_looking(),
        examined: site.doctor.last().map(|look| examined(&look, w)),
        alarms: health.alarms,
        facts,
        counters: health
            .counters
            .into_iter()
            .map(|counter| (counter.name, grouped(counter.value)))
            .collect(),
        f: &f,
    })
}

/// How the store stands by `store.size_max_mib`, and what that took.
fn quota_in_words(quota: &QuotaView, words: &'static Words) -> String {
    let mib = |octets: u64| grouped(octets.div_ceil(1024 * 1024));
    let (file, max) = (mib(quota.file_octets), grouped(quota.max_mib));
    let mut parts = vec![match quota.held_octets {
        None => fill(words.quota_file, &[&file, &max]),
        Some(held) => fill(words.quota_held, &[&mib(held), &max, &file]),
    }];
    if quota.is_exceeded {
        parts.push(words.quota_exceeded.to_owned());
    }
    parts.extend(quota.forgotten.iter().map(|gone| {
        let sentence = match gone.part.as_str() {
            "failures" => words.quota_took_failures,
            "reports" => words.quota_took_reports,
            _ => words.quota_took_counts,
        };
        fill(sentence, &[&gone.until])
    }));
    parts.join(words.quota_and)
}

/// Has the doctor look. It starts programs and asks the DNS, so it is a form: no link that somebody follows unawares
/// makes us do that.
pub(super) async fn examine(site: SiteOf, _form: OwnForm) -> Answer {
    site.doctor.look().await;
    Ok(Redirect::to("/health#doctor").into_response())
}

fn examined(look: &Look, words: &'static Words) -> Examined {
    let at = fill(words.doctor_looked, &[&moment(&look.at.to_string())]);
    let found = match &look.found {
        Ok(found) => found,
        Err(why) => {
            return Examined {
                at,
                failed: Some(why.clone()),
                findings: Vec::new(),
                rest: Vec::new(),
            };
        }
    };
    let mut findings = Vec::new();
    for wanted in ["trouble", "warning"] {
        for one in &found.examinations {
            let (state, class) = state_of(wanted, words);
            let of_state = one.findings.iter().filter(|each| each.state == wanted);
            findings.extend(of_state.map(|each| FindingLine {
                examination: one.name.clone(),
                trap: each.trap.clone(),
                state,
                class,
                seen: each.seen.clone(),
                cause: each.cause.clone(),
                cure: each.cure.clone(),
                lines: each.lines.clone(),
            }));
        }
    }
    let rest = found.examinations.iter();
    Examined {
        at,
        failed: None,
        findings,
        rest: rest.flat_map(|one| rest_of(one, words)).collect(),
    }
}

/// A line for what could not be seen of an examination, and one for what is well.
fn rest_of(one: &ExaminationView, words: &'static Words) -> impl Iterator<Item = RestLine> {
    let parts = [("not-known", &one.unknown), ("well", &one.well)];
    let nothing_wrong = one.findings.is_empty() && one.unknown.is_empty();
    parts.into_iter().filter_map(move |(name, lines)| {
        let says_it_all = name == "well" && nothing_wrong;
        let (state, class) = state_of(name, words);
        (!lines.is_empty() || says_it_all).then(|| RestLine {
            name: one.name.clone(),
            state,
            class,
            lines: lines.clone(),
        })
    })
}

fn state_of(name: &str, words: &'static Words) -> (&'static str, &'static str) {
    match name {
        "trouble" => (words.doctor_trouble, "bad"),
        "warning" => (words.doctor_warning, "warn"),
        "well" => (words.doctor_well, "good"),
        _ => (words.doctor_not_known, "plain"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ctl::wire::QuotaForgotten, page::words::Language};

    #[test]
    fn the_quota_is_said_as_far_as_it_is_known() {
        let words = Language::English.words();
        let mut quota = QuotaView {
            max_mib: 2_048,
            file_octets: 1_500 * 1024 * 1024,
            held_octets: None,
            is_exceeded: false,
            forgotten: Vec::new(),
        };
        let said = "the file has 1,500 MiB of 2,048";
        assert_eq!(quota_in_words(&quota, words), said);
        quota.held_octets = Some(5 * 1024 * 1024 - 1);
        quota.is_exceeded = true;
        quota.forgotten = ["failures", "counts", "reports"]
            .map(|part| QuotaForgotten {
                part: part.to_owned(),
                until: "2026-11-20".to_owned(),
            })
            .into();
        assert_eq!(
            quota_in_words(&quota, words),
            "5 MiB of 2,048 are held, the file has 1,500 MiB; more is held than may be, and nothing more may go; \
             single failures are forgotten up to 2026-11-20; counts are forgotten up to 2026-11-20; what became of \
             reports is forgotten up to 2026-11-20"
        );
    }
}
