//! `/health`: how the daemon is, with every counter.

use askama::Template;

use super::{
    answer::{Answer, Frame, Place, SiteOf, VisitOf, html},
    shape::{grouped, moment},
    words::fill,
};
use crate::ctl::wire::StoreState;

#[derive(Template)]
#[template(path = "health.html")]
struct Page<'a> {
    f: &'a Frame,
    alarms: Vec<String>,
    facts: Vec<(&'static str, String)>,
    counters: Vec<(String, String)>,
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
    html(&Page {
        alarms: health.alarms,
        facts: vec![
            (w.program, health.program),
            (w.process, health.pid.to_string()),
            (w.started_at, moment(&health.started_at)),
            (
                w.configuration,
                health.config.unwrap_or_else(|| w.built_in.to_owned()),
            ),
            (w.store, format!("{}: {store}{reason}", health.store.path)),
            // A store that cannot be read is just what this is looked at for.
            (
                w.days_held,
                days.map_or_else(|refusal| refusal.message, |days| days.len().to_string()),
            ),
        ],
        counters: health
            .counters
            .into_iter()
            .map(|counter| (counter.name, grouped(counter.value)))
            .collect(),
        f: &f,
    })
}
