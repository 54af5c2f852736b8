//! `/alerts`: what is alerted of, which of it holds since when, and who was told.

use askama::Template;

use super::{
    answer::{Answer, Frame, Place, SiteOf, VisitOf, html},
    shape::{encoded, grouped, moment},
    words::{Words, fill},
};
use crate::{
    alert::Rule,
    ctl::wire::{AlertView, AlertsTold},
    policy::PolicyDomain,
};

/// How many alerts of a rule are shown; `sealpost alert list` has all of them.
const SHOWN: usize = 50;

#[derive(Template)]
#[template(path = "alerts.html")]
struct Page<'a> {
    f: &'a Frame,
    summary: String,
    holds: bool,
    told: Vec<(&'static str, String)>,
    rules: Vec<RuleView>,
}

struct RuleView {
    name: &'static str,
    title: &'static str,
    remedy: &'static str,
    count: String,
    holds: bool,
    lines: Vec<Line>,
    further: Option<String>,
}

struct Line {
    subject: String,
    /// The page of the domain, where it is one.
    path: Option<String>,
    words: String,
    since: String,
    mailed: String,
    posted: String,
}

pub(super) async fn show(site: SiteOf, visit: VisitOf) -> Answer {
    let f = Frame::of(&site, &visit, Place::Alerts).await;
    let w = f.w;
    let view = site.source.alerts().await?;
    let all = view.alerts.len();
    html(&Page {
        summary: match all {
            0 => w.alerts_none.to_owned(),
            all => fill(w.alerts_hold, &[&grouped(all as u64)]),
        },
        holds: all > 0,
        rules: Rule::ALL
            .into_iter()
            .map(|rule| rule_view(rule, &view.alerts, &view.told, w))
            .collect(),
        told: told(view.told, w),
        f: &f,
    })
}

fn told(told: AlertsTold, words: &'static Words) -> Vec<(&'static str, String)> {
    let or = |value: Option<String>, none: &'static str| value.unwrap_or_else(|| none.to_owned());
    vec![
        (words.alerts_mail_to, or(told.mail_to, words.nobody)),
        (words.alerts_webhook, or(told.webhook, words.nobody)),
        (words.alerts_quiet, or(told.quiet, words.none)),
        (
            words.alerts_repeat,
            fill(words.hours, &[&told.repeat_hours.to_string()]),
        ),
    ]
}

fn rule_view(
    rule: Rule,
    alerts: &[AlertView],
    told: &AlertsTold,
    words: &'static Words,
) -> RuleView {
    let (title, remedy) = match rule {
        Rule::EnforceFailures => (words.rule_enforce_failures, words.do_enforce_failures),
        Rule::PolicyExpiring => (words.rule_policy_expiring, words.do_policy_expiring),
        Rule::StarttlsVanished => (words.rule_starttls_vanished, words.do_starttls_vanished),
        Rule::ReportsStuck => (words.rule_reports_stuck, words.do_reports_stuck),
        Rule::Alarm => (words.rule_alarm, words.do_alarm),
    };
    let of_rule: Vec<_> = alerts
        .iter()
        .filter(|alert| alert.rule == rule.name())
        .collect();
    let further = of_rule.len().saturating_sub(SHOWN);
    RuleView {
        name: rule.name(),
        title,
        remedy,
        holds: !of_rule.is_empty(),
        count: match of_rule.len() {
            0 => words.alert_quiet.to_owned(),
            count => fill(words.alert_firing, &[&grouped(count as u64)]),
        },
        lines: of_rule
            .into_iter()
            .take(SHOWN)
            .map(|alert| line(alert, told, words))
            .collect(),
        further: (further > 0).then(|| fill(words.alerts_further, &[&grouped(further as u64)])),
    }
}

fn line(alert: &AlertView, told: &AlertsTold, words: &'static Words) -> Line {
    // "reports" and "daemon" are names of domains too, of none that mail goes to.
    let domain = alert.subject.parse::<PolicyDomain>().ok();
    let domain = domain.filter(|domain| domain.as_str().contains('.'));
    let when = |at: Option<&String>, to: Option<&String>| match (at, to) {
        (None, _) => words.not_told.to_owned(),
        (Some(at), Some(to)) => format!("{} ({to})", moment(at)),
        (Some(at), None) => moment(at),
    };
    Line {
        path: domain.map(|domain| format!("/domains/{}", encoded(domain.as_str()))),
        subject: alert.subject.clone(),
        words: alert.words.clone(),
        since: moment(&alert.since),
        mailed: when(alert.mailed_at.as_ref(), told.mail_to.as_ref()),
        posted: when(alert.posted_at.as_ref(), told.webhook.as_ref()),
    }
}
