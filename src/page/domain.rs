//! `/domains/NAME`: what is known of one domain, what fails there and what to do.

use std::{cmp::Reverse, collections::BTreeMap};

use askama::Template;
use axum::extract::Path;

use super::{
    Site,
    almanac::{DAYS, first_of},
    answer::{Answer, Frame, Oops, Place, SiteOf, VisitOf, html},
    audit::{DecisionLine, decisions_about},
    chart::Chart,
    list::{state_class, state_name},
    shape::{encoded, grouped, moment, percent},
    source::DayOfDomain,
    words::{Language, PlainWords, Words, fill, plain_words},
};
use crate::{
    clock::UtcDay,
    config::OverrideScope,
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
    decisions: Vec<DecisionLine>,
    /// What is said in the place of decisions, or of more of them.
    decisions_note: Option<&'static str>,
    audit_path: String,
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
    /// The mode of an MTA-STS policy; empty for others.
    mode: String,
    detail: Vec<String>,
    /// The first and last day of each time that it applied without another in between, the newest first.
    times: Vec<String>,
    /// On how many days.
    days: String,
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
    let (decisions, decisions_note) = match decisions_about(&site, &domain, w).await? {
        None => (Vec::new(), Some(w.decisions_elsewhere)),
        Some((lines, _)) if lines.is_empty() => (lines, Some(w.decisions_none)),
        Some((lines, has_more)) => (lines, has_more.then_some(w.decisions_more)),
    };
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
        decisions,
        decisions_note,
        audit_path: format!("/audit?q={}", encoded(&name)),
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
    let holding = |scope: &OverrideScope| {
        let mut of_scope = overrides
            .iter()
            .filter(|each| each.domain.parse().as_ref() == Ok(scope));
        of_scope.find(|each| !each.ended && !each.passed_over)
    };
    let found = holding(&OverrideScope::Domain(domain.clone()))
        .or_else(|| holding(&OverrideScope::EveryOther));
    Ok(found.cloned().map(
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

/// How many times one policy applied are shown, the newest.
const TIMES_SHOWN: usize = 10;

/// What sessions had under one exact policy.
#[derive(Default)]
struct PolicySums {
    /// The first and last of the days with sessions that followed each other and had it.
    times: Vec<(UtcDay, UtcDay)>,
    /// The number, among the days with sessions, of the last that had it.
    last: usize,
    days: u64,
    successes: u64,
    failures: u64,
}

/// The policies that sessions were held to, the newest first. That is the history of the domain's policy as
/// far as mail met it: days without sessions say nothing.
fn history(days: &[DayOfDomain], words: &'static Words) -> Vec<HistoryLine> {
    let mut found: BTreeMap<&AppliedPolicy, PolicySums> = BTreeMap::new();
    let counted = days
        .iter()
        .filter_map(|day| Some((day.day, day.counted.as_ref()?)));
    for (number, (day, counted)) in counted.enumerate() {
        for totals in &counted.policies {
            let sums = found.entry(&totals.policy).or_default();
            match sums.times.last_mut() {
                Some((_, last)) if sums.last + 1 == number => *last = day,
                _ => sums.times.push((day, day)),
            }
            sums.last = number;
            sums.days += 1;
            sums.successes = sums.successes.saturating_add(totals.successes);
            sums.failures = sums.failures.saturating_add(totals.failures);
        }
    }
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by_key(|(_, sums)| Reverse(sums.times.last().map(|(first, last)| (*last, *first))));
    let lines = found.into_iter();
    lines
        .map(|(policy, sums)| HistoryLine {
            kind: match policy.policy_type {
                PolicyType::Sts => words.kind_sts,
                PolicyType::Tlsa => words.kind_tlsa,
                PolicyType::NoPolicyFound => words.kind_none,
            },
            mode: mode_of(policy),
            detail: policy.policy_string.clone(),
            times: sums
                .times
                .iter()
                .rev()
                .take(TIMES_SHOWN)
                .map(time)
                .collect(),
            days: grouped(sums.days),
            successes: grouped(sums.successes),
            failures: grouped(sums.failures),
        })
        .collect()
}

fn time((first, last): &(UtcDay, UtcDay)) -> String {
    match first == last {
        true => first.to_string(),
        false => format!("{first} \u{2013} {last}"),
    }
}

/// The mode that an MTA-STS policy says; nothing of what is none.
fn mode_of(policy: &AppliedPolicy) -> String {
    let modes = ["enforce", "testing"];
    let mut said = policy.policy_string.iter().filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key == "mode").then(|| value.trim())
    });
    let said = said
        .next()
        .filter(|_| policy.policy_type == PolicyType::Sts);
    said.filter(|mode| modes.contains(mode))
        .unwrap_or_default()
        .to_owned()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        aggregate::{DomainDay, PolicyTotals},
        page::words::ENGLISH,
    };

    fn sts(mode: &str) -> AppliedPolicy {
        AppliedPolicy {
            policy_string: vec!["version: STSv1".to_owned(), format!("mode: {mode}")],
            ..AppliedPolicy::sts_unfetched("a.test".parse().unwrap())
        }
    }

    /// A day, from the first on, with sessions under these policies; without any there were none.
    fn day(number: u32, policies: &[&AppliedPolicy]) -> DayOfDomain {
        let day = UtcDay(20_000 + number);
        let totals = |policy: &&AppliedPolicy| PolicyTotals {
            policy: (*policy).clone(),
            successes: 3,
            failures: 1,
            details: Vec::new(),
        };
        DayOfDomain {
            day,
            protected: ProtectedSessions::default(),
            counted: (!policies.is_empty()).then(|| DomainDay {
                domain: "a.test".parse().unwrap(),
                day,
                recipients: 0,
                policies: policies.iter().map(totals).collect(),
                seen: BTreeMap::new(),
            }),
            deliveries: Vec::new(),
        }
    }

    #[test]
    fn a_policy_is_shown_with_the_days_on_which_it_applied() {
        let (testing, enforce) = (sts("testing"), sts("enforce"));
        let none = AppliedPolicy::no_policy_found("a.test".parse().unwrap());
        // A weekend without sessions is in between, and a day with both.
        let days = [
            day(0, &[&testing]),
            day(1, &[]),
            day(2, &[&testing]),
            day(3, &[&testing, &enforce]),
            day(4, &[&none]),
            day(5, &[&enforce]),
            day(6, &[&enforce]),
        ];
        let name = |number: u32| UtcDay(20_000 + number).to_string();
        let run = |first, last| format!("{} \u{2013} {}", name(first), name(last));
        let lines = history(&days, &ENGLISH);
        let told: Vec<_> = lines
            .iter()
            .map(|line| (line.mode.as_str(), line.times.clone(), line.days.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("enforce", vec![run(5, 6), name(3)], "3"),
                ("", vec![name(4)], "1"),
                ("testing", vec![run(0, 3)], "3"),
            ]
        );
        assert_eq!((&*lines[0].successes, &*lines[0].failures), ("9", "3"));
    }
}
