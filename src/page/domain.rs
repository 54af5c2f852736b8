//! `/domains/NAME`: what is known of one domain, what fails there and what to do.

use std::{cmp::Reverse, collections::BTreeMap};

use askama::Template;
use axum::extract::Path;

use super::{
    Site,
    almanac::{DAYS, first_of},
    answer::{Answer, Frame, Oops, Place, SiteOf, VisitOf, html},
    chart::Chart,
    list::{state_class, state_name},
    shape::{encoded, grouped, moment, percent},
    source::DayOfDomain,
    words::{Language, PlainWords, Words, fill, plain_words},
};
use crate::{
    clock::UtcDay,
    ctl::{
        protocol::{Refusal, RefusalKind},
        wire::{DeliveryView, OverrideView, PolicyView, ProtectedSessions},
    },
    policy::{AppliedPolicy, PolicyDomain, PolicyType},
    record::Failure,
};

/// How many causes, and mail hosts of each, are shown.
const CAUSES_SHOWN: usize = 20;
const HOSTS_SHOWN: usize = 8;

#[derive(Template)]
#[template(path = "domain.html")]
struct Page<'a> {
    f: &'a Frame,
    name: String,
    path: String,
    window: String,
    nothing: Option<String>,
    sessions: String,
    vouched_for: String,
    success_rate: String,
    failed: String,
    chart: Chart,
    nothing_fails: String,
    causes: Vec<CauseView>,
    policy: Option<KeptView>,
    history: Vec<HistoryLine>,
    reports: Vec<ReportLine>,
    no_reports: String,
    overridden: Option<OverrideLine>,
}

struct CauseView {
    result: &'static str,
    path: String,
    reason: String,
    times: String,
    words: PlainWords,
    hosts: Vec<String>,
    further_hosts: usize,
}

struct KeptView {
    mode: String,
    expired: bool,
    id: String,
    fetched_at: String,
    tried_at: String,
    expires_at: String,
    mx: String,
    published: String,
    trouble: Option<String>,
}

struct HistoryLine {
    kind: &'static str,
    detail: Vec<String>,
    first: String,
    last: String,
    successes: String,
    failures: String,
}

struct ReportLine {
    day: String,
    path: String,
    destination: String,
    state: &'static str,
    class: &'static str,
    at: String,
    attempts: u32,
    reason: String,
}

struct OverrideLine {
    mode: String,
    until: String,
    reason: String,
}

pub(super) async fn show(site: SiteOf, visit: VisitOf, Path(name): Path<String>) -> Answer {
    let domain = domain_of(&name)?;
    let f = Frame::of(&site, &visit, Place::Domains).await;
    let w = f.w;
    let today = site.source.now().day();
    let days = site
        .source
        .domain_days(domain.clone(), first_of(today))
        .await?;
    let policy = kept(&site, &domain).await?;
    let overridden = override_of(&site, &domain).await?;
    let window = fill(w.days_shown, &[&DAYS.to_string()]);
    let sums = Sums::of(&days);
    let name = domain.to_string();
    let is_empty = sums.protected.sessions == 0 && sums.successes + sums.failures == 0;
    let series: Vec<_> = days.iter().map(|day| (day.day, day.protected)).collect();
    html(&Page {
        path: format!("/domains/{}", encoded(&name)),
        nothing: is_empty.then(|| fill(w.nothing_of_domain, &[&window])),
        sessions: grouped(sums.protected.sessions),
        vouched_for: percent(
            sums.protected.dane.saturating_add(sums.protected.sts),
            sums.protected.sessions,
        ),
        success_rate: percent(sums.successes, sums.successes.saturating_add(sums.failures)),
        failed: grouped(sums.failures),
        chart: Chart::of(&series, first_of(today), today, w),
        nothing_fails: fill(w.nothing_fails, &[&window]),
        causes: causes(&days, &name, f.language),
        policy: policy.map(kept_view),
        history: history(&days, w),
        reports: reports(&days, &name, w),
        no_reports: fill(w.no_reports_of_domain, &[&window]),
        overridden,
        window,
        name,
        f: &f,
    })
}

/// A domain as an address names it.
pub(super) fn domain_of(name: &str) -> Result<PolicyDomain, Oops> {
    name.parse().map_err(|error: crate::policy::NameError| {
        Refusal::new(RefusalKind::BadRequest, error.to_string()).into()
    })
}

async fn kept(site: &Site, domain: &PolicyDomain) -> Result<Option<PolicyView>, Oops> {
    match site.source.policy(domain.clone()).await {
        Ok(policy) => Ok(Some(policy)),
        Err(refusal) if refusal.kind == RefusalKind::NotFound => Ok(None),
        Err(refusal) => Err(refusal.into()),
    }
}

async fn override_of(site: &Site, domain: &PolicyDomain) -> Result<Option<OverrideLine>, Oops> {
    let overrides = site.source.health().await?.overrides;
    let mut of_domain = overrides
        .into_iter()
        .filter(|each| !each.ended && each.domain.parse().ok().as_ref() == Some(domain));
    Ok(of_domain.next().map(
        |OverrideView {
             mode,
             until,
             reason,
             ..
         }| OverrideLine {
            mode,
            until: until.unwrap_or_default(),
            reason: reason.unwrap_or_default(),
        },
    ))
}

/// All days together.
#[derive(Default)]
struct Sums {
    protected: ProtectedSessions,
    successes: u64,
    failures: u64,
}

impl Sums {
    fn of(days: &[DayOfDomain]) -> Self {
        let mut sums = Self::default();
        for day in days {
            sums.protected = sums.protected.plus(&day.protected);
            if let Some(counted) = &day.counted {
                sums.successes = sums.successes.saturating_add(counted.successes());
                sums.failures = sums.failures.saturating_add(counted.failures());
            }
        }
        sums
    }
}

/// One way to fail, over all days.
struct CauseSums {
    sessions: u64,
    first: UtcDay,
    last: UtcDay,
    hosts: BTreeMap<String, u64>,
}

fn causes(days: &[DayOfDomain], name: &str, language: Language) -> Vec<CauseView> {
    let mut found: BTreeMap<(sealpost_plugin_api::ResultType, Option<String>), CauseSums> =
        BTreeMap::new();
    for day in days {
        let policies = day.counted.iter().flat_map(|counted| &counted.policies);
        for (failure, sessions) in policies.flat_map(|policy| &policy.details) {
            let sums = found
                .entry((failure.result, failure.reason.clone()))
                .or_insert(CauseSums {
                    sessions: 0,
                    first: day.day,
                    last: day.day,
                    hosts: BTreeMap::new(),
                });
            sums.sessions = sums.sessions.saturating_add(*sessions);
            sums.last = day.day;
            if let Some(host) = host_of(failure, language.words()) {
                let of_host = sums.hosts.entry(host).or_default();
                *of_host = of_host.saturating_add(*sessions);
            }
        }
    }
    let mut found: Vec<_> = found.into_iter().collect();
    // What fails now comes first, then what failed most.
    found.sort_by(|(_, one), (_, other)| {
        (other.last, other.sessions).cmp(&(one.last, one.sessions))
    });
    let shown = found.into_iter().take(CAUSES_SHOWN);
    shown
        .map(|((result, reason), sums)| {
            let times = [
                grouped(sums.sessions),
                sums.first.to_string(),
                sums.last.to_string(),
            ];
            let mut hosts: Vec<_> = sums.hosts.into_iter().collect();
            hosts.sort_by(|(_, one), (_, other)| other.cmp(one));
            CauseView {
                result: result.name(),
                path: format!("/failures/{}", result.name()),
                times: fill(
                    language.words().times_since,
                    &[&times[0], &times[1], &times[2]],
                ),
                words: plain_words(language, result, reason.as_deref(), Some(name)),
                reason: reason.unwrap_or_default(),
                further_hosts: hosts.len().saturating_sub(HOSTS_SHOWN),
                hosts: hosts
                    .into_iter()
                    .take(HOSTS_SHOWN)
                    .map(|(host, sessions)| format!("{host}: {}", grouped(sessions)))
                    .collect(),
            }
        })
        .collect()
}

/// A mail host as one recognises it; nothing where no host was involved.
fn host_of(failure: &Failure, words: &'static Words) -> Option<String> {
    let mut parts: Vec<String> = failure.mx.iter().cloned().collect();
    parts.extend(failure.receiving_ip.map(|address| format!("[{address}]")));
    let helo = failure
        .mx_helo
        .as_ref()
        .filter(|helo| failure.mx.as_ref() != Some(*helo));
    parts.extend(helo.map(|helo| format!("({})", fill(words.greeted_as, &[helo]))));
    (!parts.is_empty()).then(|| parts.join(" "))
}

fn kept_view(policy: PolicyView) -> KeptView {
    KeptView {
        expired: policy.expired,
        fetched_at: moment(&policy.fetched_at),
        tried_at: moment(&policy.tried_at),
        expires_at: moment(&policy.expires_at),
        mx: policy.mx.join(", "),
        published: policy.lines.join("\n"),
        trouble: policy.trouble.map(|trouble| {
            format!(
                "{}: {} ({})",
                trouble.result_type,
                trouble.reason,
                moment(&trouble.at)
            )
        }),
        mode: policy.mode,
        id: policy.id,
    }
}

/// The policies that sessions were held to, the newest first. That is the history of the domain's policy as
/// far as mail met it.
fn history(days: &[DayOfDomain], words: &'static Words) -> Vec<HistoryLine> {
    let mut found: Vec<(&AppliedPolicy, UtcDay, UtcDay, u64, u64)> = Vec::new();
    for day in days {
        for totals in day.counted.iter().flat_map(|counted| &counted.policies) {
            match found
                .iter_mut()
                .find(|(policy, ..)| *policy == &totals.policy)
            {
                Some((_, _, last, successes, failures)) => {
                    *last = day.day;
                    *successes = successes.saturating_add(totals.successes);
                    *failures = failures.saturating_add(totals.failures);
                }
                None => found.push((
                    &totals.policy,
                    day.day,
                    day.day,
                    totals.successes,
                    totals.failures,
                )),
            }
        }
    }
    found.sort_by_key(|(_, first, last, ..)| Reverse((*last, *first)));
    let lines = found.into_iter();
    lines
        .map(|(policy, first, last, successes, failures)| HistoryLine {
            kind: match policy.policy_type {
                PolicyType::Sts => words.kind_sts,
                PolicyType::Tlsa => words.kind_tlsa,
                PolicyType::NoPolicyFound => words.kind_none,
            },
            detail: policy.policy_string.clone(),
            first: first.to_string(),
            last: last.to_string(),
            successes: grouped(successes),
            failures: grouped(failures),
        })
        .collect()
}

fn reports(days: &[DayOfDomain], name: &str, words: &'static Words) -> Vec<ReportLine> {
    let line = |day: &DayOfDomain, one: &DeliveryView| ReportLine {
        day: day.day.to_string(),
        path: format!("/domains/{}/reports/{}", encoded(name), day.day),
        destination: one.destination.clone(),
        state: state_name(words, one.state),
        class: state_class(one.state),
        at: moment(&one.at),
        attempts: one.attempts,
        reason: one.reason.clone().unwrap_or_default(),
    };
    let days = days.iter().rev();
    days.flat_map(|day| day.deliveries.iter().map(move |one| line(day, one)))
        .collect()
}
