//! What people are told of a day, in the order in which they are told it: [`text`](super::text) and
//! [`html`](super::html) write it down.
//!
//! It says in plain words what happened, and for each kind of failure which MX hosts showed it in how many
//! sessions, since when, what that means and what to do. What it shows of a host is what strangers said:
//! those words are printable ASCII here, and cut.

use std::{borrow::Cow, cmp::Reverse, collections::BTreeMap, net::IpAddr};

use sealpost_plugin_api::ResultType;

use super::{
    ReportId, Submitter, clean,
    explain::{
        DOMAIN, Explanation, Voice, explain, mark,
        pages::{HAPPENED, MEANING, REMEDY},
        policies::Circumstance,
    },
};
use crate::{
    aggregate::{
        DomainDay, PolicyTotals,
        seen::{FailureKind, Seen, Since},
    },
    clock::Timestamp,
    policy::PolicyType,
    record::Failure,
};

/// How many policies, kinds of failure and hosts are told of one by one. The JSON has them all.
const POLICIES_MAX: usize = 10;
const KINDS_MAX: usize = 20;
const HOSTS_MAX: usize = 10;

/// What is told of a day. Every text is printable; but for the organization's name it is ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// What it is.
    pub title: String,
    /// Of which day, and by whom.
    pub facts: Vec<(&'static str, String)>,
    /// The day in sentences.
    pub summary: Vec<String>,
    /// Policy by policy.
    pub policies: Vec<PolicyAccount>,
    /// How many policies are left to the attached file.
    pub further_policies: usize,
    /// Why the reader gets it: sentences, each with what it leads to.
    pub about: Vec<(&'static str, String)>,
}

/// What is told of the sessions under one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyAccount {
    /// Which policy.
    pub title: String,
    /// What a failure does to the mail; may be empty.
    pub effect: &'static str,
    /// How many sessions went well, and how many failed.
    pub counts: String,
    /// What to do where nothing failed; may be empty.
    pub all_well: &'static str,
    /// The kinds of failure, the most frequent first.
    pub kinds: Vec<KindAccount>,
    /// How many kinds are left to the attached file.
    pub further_kinds: usize,
}

/// What is told of all failures of one result type and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindAccount {
    /// The result type.
    pub result: &'static str,
    /// How often.
    pub times: String,
    /// The reason code.
    pub reason: Option<String>,
    /// Who saw it, if not the mail server that delivers.
    pub mark: Option<Cow<'static, str>>,
    /// Since when, as far as that is known.
    pub since: Option<String>,
    /// The hosts that showed it, with the number of sessions, most first.
    pub hosts: Vec<(u64, String)>,
    /// How many hosts are left to the attached file.
    pub further_hosts: usize,
    /// What happened, what it means, what to do, each with its label.
    pub sentences: [(&'static str, String); 3],
}

impl Account {
    /// Tells of a day. `details` are those of [`details::reported`](super::details::reported): one list for
    /// each policy.
    #[must_use]
    pub fn of(
        day: &DomainDay,
        details: &[Vec<(Failure, u64)>],
        submitter: &Submitter,
        id: &ReportId,
    ) -> Self {
        let policies = day.policies.iter().zip(details).take(POLICIES_MAX);
        Self {
            title: format!("TLS report for {}", day.domain),
            facts: vec![
                ("Day", format!("{} (UTC)", day.day)),
                // The organization is ours and may be written in any script; the rest is ASCII.
                ("Sent by", submitter.organization().to_owned()),
                ("Contact", submitter.contact().to_owned()),
            ],
            summary: summary(day),
            policies: policies
                .map(|(totals, details)| policy(day, totals, details))
                .collect(),
            further_policies: day.policies.len().saturating_sub(POLICIES_MAX),
            about: vec![
                (
                    "You get it because a TXT record asks senders for TLS reports (RFC 8460). The \
                     record stands at",
                    format!("_smtp._tls.{}", day.domain),
                ),
                (
                    "The attached file says the same for programs. A session is one connection to one \
                     mail server; a mail that is tried again counts again. To get no more reports, \
                     take out the record. Questions go to",
                    submitter.contact().to_owned(),
                ),
                ("Report id:", id.as_str().to_owned()),
            ],
        }
    }
}

fn sessions(count: u64) -> String {
    match count {
        1 => "1 TLS session".to_owned(),
        count => format!("{count} TLS sessions"),
    }
}

fn summary(day: &DomainDay) -> Vec<String> {
    let (successes, failures) = (day.successes(), day.failures());
    let mut summary = vec![match (successes, failures) {
        // Their sum would count the same session twice.
        (1.., _) | (_, 1..) if may_overlap(day) => format!(
            "On this day we held the sessions with the mail servers of this domain to {} policies. \
             A session to which DANE and MTA-STS both applied is counted under each of them, by \
             its own rules.",
            day.policies.len()
        ),
        (0, 0) => "On this day we had no session to count, but the domain's policy had a fault."
            .to_owned(),
        (_, 0) => format!(
            "On this day {} with the mail servers of this domain went well, and none failed.",
            sessions(successes)
        ),
        _ => format!(
            "On this day we counted {} with the mail servers of this domain: {successes} went \
             well, {failures} failed.",
            sessions(successes.saturating_add(failures))
        ),
    }];
    if day.recipients > 0 {
        summary.push(of_host(day.recipients));
        let is_known = |seen: &Seen| seen.since != Since::Unknown;
        if day.seen.values().any(is_known) {
            // Others that had mail with it on an earlier day, and none on this, are not looked at.
            summary.push(
                "Whether a failure is new is told by the sessions of these recipient domains on the \
                 days before."
                    .to_owned(),
            );
        }
    }
    if day.policies.len() > 1 && !may_overlap(day) {
        summary.push(
            "More than one policy applied during the day; each is told of by itself.".to_owned(),
        );
    }
    summary
}

/// What is told under one policy.
fn policy(day: &DomainDay, totals: &PolicyTotals, details: &[(Failure, u64)]) -> PolicyAccount {
    let circumstance = Circumstance::of(&totals.policy);
    let words = circumstance.words();
    let kinds = kinds(details);
    PolicyAccount {
        title: circumstance.title(&totals.policy),
        effect: words.effect,
        counts: format!(
            "Sessions that went well: {}. Sessions that failed: {}.",
            totals.successes, totals.failures
        ),
        all_well: match (totals.failures, details) {
            (0, []) => words.all_well,
            _ => "",
        },
        further_kinds: kinds.len().saturating_sub(KINDS_MAX),
        kinds: kinds
            .iter()
            .take(KINDS_MAX)
            .map(|kind| kind_account(day, totals, circumstance, kind))
            .collect(),
    }
}

fn kind_account(
    day: &DomainDay,
    totals: &PolicyTotals,
    circumstance: Circumstance,
    kind: &Kind<'_>,
) -> KindAccount {
    let Explanation {
        happened,
        meaning,
        remedy,
    } = explain(kind.result, kind.reason, Voice::We);
    let domain = totals.policy.policy_domain.as_str();
    let seen = day.seen.get(&FailureKind {
        result: kind.result,
        reason: kind.reason.map(str::to_owned),
    });
    KindAccount {
        result: kind.result.name(),
        times: times(kind, totals, circumstance),
        reason: kind.reason.map(|reason| clean::for_text(reason, 200)),
        mark: kind.reason.and_then(|reason| mark(reason, Voice::We)),
        since: seen.and_then(since),
        further_hosts: kind.hosts.len().saturating_sub(HOSTS_MAX),
        hosts: kind
            .hosts
            .iter()
            .take(HOSTS_MAX)
            .map(|(host, count)| (*count, host.in_words()))
            .collect(),
        sentences: [(HAPPENED, happened), (MEANING, meaning), (REMEDY, remedy)]
            .map(|(label, sentences)| (label, sentences.replace(DOMAIN, domain))),
    }
}

/// How often, and of how many sessions.
fn times(kind: &Kind<'_>, totals: &PolicyTotals, circumstance: Circumstance) -> String {
    let times = match kind.count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    };
    // A policy that could not be fetched anew while the former held failed no session.
    if kind.result.concerns_policy() && circumstance != Circumstance::NotHad {
        return format!("{times}; the former policy held meanwhile");
    }
    match totals.successes.saturating_add(totals.failures) {
        // Nothing to compare it with.
        0 => times,
        all => format!("{} of {}", kind.count, sessions(all)),
    }
}

/// Since when a kind of failure is seen: within the day, and on earlier ones.
fn since(seen: &Seen) -> Option<String> {
    let within = match (seen.first_at, seen.last_at) {
        (Some(first), Some(last)) if minute(first) == minute(last) => {
            Some(format!("at {} UTC", minute(first)))
        }
        (Some(first), Some(last)) => Some(format!(
            "first at {} and last at {} UTC",
            minute(first),
            minute(last)
        )),
        (None, Some(last)) => Some(format!("last at {} UTC", minute(last))),
        (_, None) => None,
    };
    let days = |days_before| match days_before {
        1 => "also on the last day with sessions before it".to_owned(),
        days => format!("also on each of the {days} days with sessions before it"),
    };
    let before = match seen.since {
        Since::Unknown => None,
        Since::ThisDay => Some("new on this day".to_owned()),
        Since::Day {
            first_day,
            days_before,
        } => Some(format!("{}, since {first_day}", days(days_before))),
        Since::DayOrBefore {
            first_day,
            days_before,
        } => Some(format!(
            "{}, since {first_day} or earlier",
            days(days_before)
        )),
    };
    let parts: Vec<String> = within.into_iter().chain(before).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// The minute of the day: `06:12`.
fn minute(at: Timestamp) -> String {
    let minutes = at.seconds_since(at.day().first_second()) / 60;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// What an MX host's own report begins with: whoever reads it may not know why it comes.
fn of_host(recipients: usize) -> String {
    let domains = match recipients {
        1 => "1 recipient domain".to_owned(),
        recipients => format!("{recipients} recipient domains"),
    };
    format!(
        "Mail for {domains} went to it as an MX host, held to its TLSA records (DANE). Those sessions \
         are counted here together, but for recipient domains whose own reports go to the same \
         address as this one."
    )
}

/// Whether a session may be counted under more than one of the policies (D7).
fn may_overlap(day: &DomainDay) -> bool {
    let any = |policy_type| {
        let mut policies = day.policies.iter();
        policies.any(|totals| totals.policy.policy_type == policy_type)
    };
    any(PolicyType::Tlsa) && any(PolicyType::Sts)
}

/// All failures of one result type and reason.
struct Kind<'a> {
    result: ResultType,
    reason: Option<&'a str>,
    count: u64,
    /// The hosts that showed it, with the number of sessions, most first.
    hosts: Vec<(Host<'a>, u64)>,
}

/// The most frequent kinds first.
fn kinds(details: &[(Failure, u64)]) -> Vec<Kind<'_>> {
    let mut kinds: BTreeMap<(ResultType, Option<&str>), BTreeMap<Host<'_>, u64>> = BTreeMap::new();
    for (failure, count) in details {
        let hosts = kinds
            .entry((failure.result, failure.reason.as_deref()))
            .or_default();
        let sum = hosts.entry(Host::of(failure)).or_default();
        *sum = sum.saturating_add(*count);
    }
    let mut kinds: Vec<Kind<'_>> = kinds
        .into_iter()
        .map(|((result, reason), hosts)| {
            let count = hosts
                .values()
                .fold(0, |sum: u64, count| sum.saturating_add(*count));
            let mut hosts: Vec<_> = hosts
                .into_iter()
                .filter(|(host, _)| *host != Host::default())
                .collect();
            hosts.sort_by_key(|(_, count)| Reverse(*count));
            Kind {
                result,
                reason,
                count,
                hosts,
            }
        })
        .collect();
    kinds.sort_by_key(|kind| Reverse(kind.count));
    kinds
}

/// An MX host as a reader knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Host<'a> {
    mx: Option<&'a str>,
    helo: Option<&'a str>,
    address: Option<IpAddr>,
}

impl<'a> Host<'a> {
    fn of(failure: &'a Failure) -> Self {
        Self {
            mx: failure.mx.as_deref(),
            // Of interest only where it is another name than that of the MX record.
            helo: failure.mx_helo.as_deref().filter(|helo| {
                !failure
                    .mx
                    .as_deref()
                    .is_some_and(|mx| mx.eq_ignore_ascii_case(helo))
            }),
            address: failure.receiving_ip,
        }
    }
}

impl Host<'_> {
    fn in_words(&self) -> String {
        let mx = self.mx.map(|mx| clean::for_text(mx, 253));
        let address = self.address.map(|address| format!("[{address}]"));
        let helo = self.helo.map(|helo| clean::for_text(helo, 253));
        let helo = helo.map(|helo| format!("(calls itself {helo})"));
        let parts: Vec<String> = [mx, address, helo].into_iter().flatten().collect();
        parts.join(" ")
    }
}
