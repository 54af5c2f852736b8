//! What an operator does: each thing is confirmed on a page of its own, and then sent by a form.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query};
use serde::Deserialize;

use super::{
    Site,
    answer::{Answer, Frame, Oops, Place, SiteOf, VisitOf, html},
    domain::domain_of,
    reports::day_of,
    shape::encoded,
    visit::{OwnForm, Visit},
    words::{Words, fill},
};
use crate::{
    clock::UtcDay,
    config::OverrideMode,
    ctl::{
        control::{Depth, OverrideOrder},
        protocol::{Refusal, RefusalKind},
        wire::{RefreshOutcome, ReportsSent, SendOutcome, SendView},
    },
    policy::{Destination, PolicyDomain},
};

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    #[serde(rename = "do")]
    what: String,
    domain: String,
    day: String,
    destination: String,
    mode: String,
    until: String,
    reason: String,
}

/// Something that can be done.
enum Deed {
    Refresh(PolicyDomain),
    Purge(PolicyDomain),
    Send(UtcDay, Option<PolicyDomain>),
    Lift(Destination),
    Suppress(Destination, Option<UtcDay>, String),
    Override(OverrideOrder),
    Expire {
        domain: PolicyDomain,
        reason: String,
    },
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct Confirm<'a> {
    f: &'a Frame,
    question: String,
    does: &'a str,
    fields: Vec<(&'static str, String)>,
    back: String,
}

#[derive(Template)]
#[template(path = "done.html")]
struct Done<'a> {
    f: &'a Frame,
    title: &'a str,
    text: String,
    detail: Option<String>,
    sent: Vec<SentLine>,
    back: String,
}

struct SentLine {
    domain: String,
    destination: String,
    outcome: &'static str,
    class: &'static str,
    reason: String,
}

#[derive(Template)]
#[template(path = "look.html")]
struct Looked<'a> {
    f: &'a Frame,
    title: String,
    outcome: String,
    deliverable: bool,
    json: String,
    hosts: Vec<HostLine>,
    back: String,
}

struct HostLine {
    preference: String,
    host: String,
    level: String,
    reason: String,
}

impl Deed {
    fn of(asked: &Asked, visit: &Visit) -> Result<Self, Oops> {
        let optional = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let until = || optional(&asked.until).map(|day| day_of(&day)).transpose();
        Ok(match asked.what.as_str() {
            "refresh" => Self::Refresh(domain_of(&asked.domain)?),
            "purge" => Self::Purge(domain_of(&asked.domain)?),
            "send" => {
                let domain = optional(&asked.domain)
                    .map(|name| domain_of(&name))
                    .transpose()?;
                Self::Send(day_of(&asked.day)?, domain)
            }
            "lift" => Self::Lift(destination_of(&asked.destination)?),
            "suppress" => Self::Suppress(
                destination_of(&asked.destination)?,
                until()?,
                asked.reason.clone(),
            ),
            "override" => Self::Override(OverrideOrder {
                domain: domain_of(&asked.domain)?,
                mode: OverrideMode::of_name(&asked.mode).ok_or_else(|| {
                    let why = format!("\"{}\" is no mode of an override", asked.mode);
                    Refusal::new(RefusalKind::BadRequest, why)
                })?,
                until: until()?,
                reason: asked.reason.clone(),
                author: author(visit),
            }),
            "expire" => Self::Expire {
                domain: domain_of(&asked.domain)?,
                reason: asked.reason.clone(),
            },
            _ => return Err(Oops(Refusal::not_found(""))),
        })
    }

    /// What is asked before it is done, and what it does.
    fn question(&self, words: &'static Words) -> (String, &'static str) {
        match self {
            Self::Refresh(domain) => (fill("{}", &[domain.as_str()]), words.refresh),
            Self::Purge(domain) => (
                fill(words.confirm_purge, &[domain.as_str()]),
                words.purge_does,
            ),
            Self::Send(day, Some(domain)) => (
                fill(words.confirm_send, &[domain.as_str(), &day.to_string()]),
                words.send_does,
            ),
            Self::Send(day, None) => (
                fill(words.confirm_send_all, &[&day.to_string()]),
                words.send_all_does,
            ),
            Self::Lift(to) => (
                fill(words.confirm_lift, &[&to.to_string()]),
                words.lift_does,
            ),
            Self::Suppress(to, ..) => (
                fill(words.confirm_suppress, &[&to.to_string()]),
                words.suppress_does,
            ),
            Self::Override(order) => (
                fill(
                    words.confirm_override,
                    &[order.domain.as_str(), order.mode.name()],
                ),
                words.override_does,
            ),
            Self::Expire { domain, .. } => (
                fill(words.confirm_expire, &[domain.as_str()]),
                words.expire_does,
            ),
        }
    }

    /// The page that one came from, and goes back to.
    fn back(&self) -> String {
        match self {
            Self::Refresh(domain) | Self::Purge(domain) => {
                format!("/domains/{}", encoded(domain.as_str()))
            }
            Self::Send(day, _) => format!("/reports?day={day}"),
            Self::Lift(_) | Self::Suppress(..) => "/reports".to_owned(),
            Self::Override(_) | Self::Expire { .. } => "/overrides".to_owned(),
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Refresh(_) => "refresh",
            Self::Purge(_) => "purge",
            Self::Send(..) => "send",
            Self::Lift(_) => "lift",
            Self::Suppress(..) => "suppress",
            Self::Override(_) => "override",
            Self::Expire { .. } => "expire",
        }
    }
}

/// In whose name something is done. Who signs in by a link or a word has no name: it is known where they came from.
fn author(visit: &Visit) -> String {
    match &visit.who {
        Some(who) => format!("{who} (on the page)"),
        None => "an operator, on the page".to_owned(),
    }
}

fn destination_of(text: &str) -> Result<Destination, Oops> {
    Destination::one(text.trim()).map_err(|why| Refusal::new(RefusalKind::BadRequest, why).into())
}

/// Asks whether it is meant.
pub(super) async fn confirm(site: SiteOf, visit: VisitOf, Query(asked): Query<Asked>) -> Answer {
    let deed = Deed::of(&asked, &visit)?;
    let f = Frame::of(&site, &visit, Place::Elsewhere).await;
    let (question, does) = deed.question(f.w);
    let fields = [
        ("do", asked.what),
        ("domain", asked.domain),
        ("day", asked.day),
        ("destination", asked.destination),
        ("mode", asked.mode),
        ("until", asked.until),
        ("reason", asked.reason),
    ];
    html(&Confirm {
        question,
        does,
        fields: fields
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect(),
        back: deed.back(),
        f: &f,
    })
}

/// Does it.
pub(super) async fn act(site: SiteOf, visit: VisitOf, form: OwnForm) -> Answer {
    let field = |name| form.field(name).to_owned();
    let asked = Asked {
        what: field("do"),
        domain: field("domain"),
        day: field("day"),
        destination: field("destination"),
        mode: field("mode"),
        until: field("until"),
        reason: field("reason"),
    };
    let deed = Deed::of(&asked, &visit)?;
    let f = Frame::of(&site, &visit, Place::Elsewhere).await;
    note(&visit, &deed, &asked);
    let back = deed.back();
    // What was begun is done to its end, also when nobody waits for the answer any more.
    let (of_deed, author, w) = (Arc::clone(&site), author(&visit), f.w);
    let done = tokio::spawn(async move { done(&of_deed, deed, author, w).await }).await;
    let done = done.map_err(|error| Refusal::trouble(error.to_string()))?;
    site.listings.forget();
    let (title, text, detail, sent) = match done {
        Ok((text, detail, sent)) => (f.w.done, text, detail, sent),
        // A refusal is an answer: it says what is in the way.
        Err(refusal) => (f.w.not_done, refusal.message, None, Vec::new()),
    };
    html(&Done {
        title,
        text,
        detail,
        sent,
        back,
        f: &f,
    })
}

/// Who did what stands in the log.
fn note(visit: &Visit, deed: &Deed, asked: &Asked) {
    let what = [&asked.domain, &asked.day, &asked.destination]
        .map(String::as_str)
        .join(" ");
    tracing::info!(
        who = visit.who.as_deref().unwrap_or("the operator"),
        deed = deed.name(),
        what = %crate::observe::printable::printable(what.trim()),
        "page: something is done"
    );
}

type What = (String, Option<String>, Vec<SentLine>);

async fn done(site: &Site, deed: Deed, author: String, w: &'static Words) -> Result<What, Refusal> {
    let plain = |text| (text, None, Vec::new());
    Ok(match deed {
        Deed::Refresh(domain) => {
            let done = site.source.refresh(domain, author).await?;
            let sentence = match done.outcome {
                RefreshOutcome::New => w.done_refreshed_new,
                RefreshOutcome::Confirmed => w.done_refreshed_same,
                RefreshOutcome::NotAnnounced => w.done_refreshed_none,
                RefreshOutcome::Failed => w.done_refreshed_failed,
            };
            (fill(sentence, &[&done.domain]), done.reason, Vec::new())
        }
        Deed::Purge(domain) => {
            let done = site.source.purge(domain, author).await?;
            let sentence = match done.purged {
                true => w.done_purged,
                false => w.done_not_kept,
            };
            plain(fill(sentence, &[&done.domain]))
        }
        Deed::Send(day, domain) => sent(site.source.report_send(Some(day), domain).await?, w),
        Deed::Lift(to) => plain(fill(
            w.done_lifted,
            &[&site.source.lift(to, author).await?.destination],
        )),
        Deed::Suppress(to, until, reason) => {
            let done = site.source.suppress(to, until, author, reason).await?;
            plain(fill(w.done_suppressed, &[&done.destination]))
        }
        Deed::Override(order) => {
            let done = site.source.set_override(order).await?;
            plain(fill(w.done_overridden, &[&done.domain, &done.mode]))
        }
        Deed::Expire { domain, reason } => {
            let ended = site.source.expire_override(domain, author, reason);
            plain(fill(w.done_expired, &[&ended.await?.domain]))
        }
    })
}

/// How many lines are shown of what came of a whole day.
const SENT_SHOWN: usize = 200;

fn sent(done: ReportsSent, w: &'static Words) -> What {
    let line = |one: SendView| SentLine {
        domain: one.domain,
        destination: one.destination.unwrap_or_default(),
        outcome: match one.outcome {
            SendOutcome::Sent => w.outcome_sent,
            SendOutcome::AlreadySent => w.outcome_already,
            SendOutcome::Failed => w.outcome_failed,
            SendOutcome::GivenUp => w.outcome_given_up,
            SendOutcome::NoDestination => w.outcome_no_destination,
            SendOutcome::LeftOut => w.outcome_left_out,
        },
        class: match one.outcome {
            SendOutcome::Sent | SendOutcome::AlreadySent => "good",
            SendOutcome::Failed => "warn",
            SendOutcome::GivenUp => "bad",
            SendOutcome::NoDestination | SendOutcome::LeftOut => "plain",
        },
        reason: one.reason.unwrap_or_default(),
    };
    let lines = done.reports.into_iter().take(SENT_SHOWN);
    (
        fill(w.done_sent, &[&done.day]),
        None,
        lines.map(line).collect(),
    )
}

/// What would happen to mail to a domain now. It asks the DNS and the policy host, so it is a form: no
/// link that somebody follows unawares makes us ask.
pub(super) async fn look(
    site: SiteOf,
    visit: VisitOf,
    Path(name): Path<String>,
    _form: OwnForm,
) -> Answer {
    let domain = domain_of(&name)?;
    let f = Frame::of(&site, &visit, Place::Domains).await;
    let found = site.source.check(domain, Depth::Dns).await?;
    let json = serde_json::to_string_pretty(&found)
        .map_err(|error| Refusal::trouble(error.to_string()))?;
    html(&Looked {
        title: fill(f.w.look_result, &[&found.domain]),
        outcome: found.outcome.text,
        deliverable: found.outcome.deliverable,
        json,
        hosts: found
            .mx
            .hosts
            .into_iter()
            .map(|host| HostLine {
                preference: host
                    .preference
                    .map_or_else(String::new, |number| number.to_string()),
                host: host.host,
                level: host.level,
                reason: host.reason,
            })
            .collect(),
        back: format!("/domains/{}", encoded(&found.domain)),
        f: &f,
    })
}
