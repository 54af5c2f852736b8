//! `/`: how the last thirty days went, and what needs the operator now.

use askama::Template;

use super::{
    Site,
    almanac::DAYS,
    answer::{Answer, Frame, Place, SiteOf, VisitOf, html},
    chart::{Chart, Part, strip},
    edition::{Edition, Order},
    list::state_class,
    shape::{encoded, grouped, percent},
    words::{Language, Words, fill, plain_words},
};
use crate::{
    aggregate::sums::{Cause, CauseSums},
    clock::UtcDay,
    ctl::wire::{DeliveryStateView, ProtectedSessions},
};

/// How many causes and domains are shown.
const SHOWN: usize = 8;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview<'a> {
    f: &'a Frame,
    reading: Option<String>,
    alarms: Vec<String>,
    window: String,
    sessions: String,
    vouched_for: String,
    success_rate: String,
    failed: String,
    domains: String,
    with_failures: String,
    chart: Chart,
    causes: Vec<CauseLine>,
    worst: Vec<WorstLine>,
    reports_of: String,
    reports_path: String,
    reports: Vec<ReportsLine>,
}

struct CauseLine {
    result: &'static str,
    reason: String,
    path: String,
    happened: String,
    remedy: String,
    sessions: String,
    domain: String,
    domain_path: String,
}

pub(super) struct WorstLine {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) failures: String,
    pub(super) rate: String,
    pub(super) strip: Vec<Part>,
}

struct ReportsLine {
    name: &'static str,
    class: &'static str,
    count: String,
    path: String,
}

pub(super) async fn show(site: SiteOf, visit: VisitOf) -> Answer {
    let f = Frame::of(&site, &visit, Place::Overview).await;
    let w = f.w;
    let edition = site.almanac.edition().await?;
    let health = site.source.health().await?;
    let yesterday = edition.today.previous();
    let total = &edition.total;
    let protected = edition.protected();
    html(&Overview {
        reading: reading(&edition, w),
        alarms: health.alarms,
        window: fill(w.days_shown, &[&DAYS.to_string()]),
        sessions: grouped(total.sessions()),
        vouched_for: percent(
            protected.dane.saturating_add(protected.sts),
            protected.sessions,
        ),
        success_rate: percent(
            total.successes,
            total.successes.saturating_add(total.failures),
        ),
        failed: grouped(total.failures),
        domains: grouped(edition.domains.len() as u64),
        with_failures: fill(w.with_failures, &[&grouped(edition.with_failures as u64)]),
        chart: Chart::of(&edition.days, edition.first, edition.today, w),
        causes: edition
            .causes
            .iter()
            .take(SHOWN)
            .map(|cause| cause_line(cause, f.language))
            .collect(),
        worst: worst(&edition),
        reports_of: fill(w.reports_of, &[&yesterday.to_string()]),
        reports_path: format!("/reports?day={yesterday}"),
        reports: reports(&site, yesterday, w).await?,
        f: &f,
    })
}

/// What is said while the store is being read.
pub(super) fn reading(edition: &Edition, words: &'static Words) -> Option<String> {
    let (read, of) = edition.read;
    (read < of).then(|| fill(words.still_reading, &[&read.to_string(), &of.to_string()]))
}

fn cause_line((cause, sums): &(Cause, CauseSums), language: Language) -> CauseLine {
    let reason = cause.reason.clone().unwrap_or_default();
    let words = plain_words(language, cause.result, cause.reason.as_deref(), None);
    let most = sums.most.as_ref().map(|(domain, _)| domain.to_string());
    let domain = most.unwrap_or_default();
    CauseLine {
        result: cause.result.name(),
        path: format!("/failures/{}", cause.result.name()),
        reason,
        happened: words.happened,
        remedy: words.remedy,
        sessions: grouped(sums.sessions),
        domain_path: format!("/domains/{}", encoded(&domain)),
        domain,
    }
}

fn worst(edition: &Edition) -> Vec<WorstLine> {
    let lines = edition.ordered(Order::Failures, 0, SHOWN).into_iter();
    lines
        .filter(|line| line.sums.failures > 0)
        .map(|line| WorstLine {
            name: line.name.to_string(),
            path: format!("/domains/{}", encoded(line.name.as_str())),
            failures: grouped(line.sums.failures),
            rate: percent(
                line.sums.failures,
                line.sums.failures.saturating_add(line.sums.successes),
            ),
            strip: strip(&ProtectedSessions::from(&line.sums.protected)),
        })
        .collect()
}

/// How yesterday's reports stand.
async fn reports(
    site: &Site,
    day: UtcDay,
    words: &'static Words,
) -> Result<Vec<ReportsLine>, super::answer::Oops> {
    let deliveries = site.listings.of(day).await?;
    let count = |states: &[DeliveryStateView]| {
        let of_state = deliveries
            .deliveries
            .iter()
            .filter(|one| states.contains(&one.state));
        of_state.count()
    };
    let waiting = [
        DeliveryStateView::Due,
        DeliveryStateView::Sending,
        DeliveryStateView::Retry,
    ];
    // Domains whose turn is still to come wait as well.
    let to_come = deliveries
        .undelivered
        .iter()
        .filter(|one| one.due_at.is_some())
        .count();
    let without = deliveries.undelivered.len() - to_come;
    let line = |name, class, state: &str, count: usize| ReportsLine {
        name,
        class,
        count: grouped(count as u64),
        path: format!("/reports?day={day}&state={state}"),
    };
    Ok(vec![
        line(
            words.state_sent,
            state_class(DeliveryStateView::Sent),
            "sent",
            count(&[DeliveryStateView::Sent]),
        ),
        line(
            words.state_waiting,
            "plain",
            "waiting",
            count(&waiting) + to_come,
        ),
        line(
            words.state_given_up,
            "bad",
            "given-up",
            count(&[DeliveryStateView::GivenUp]),
        ),
        line(words.state_none, "plain", "none", without),
    ])
}
