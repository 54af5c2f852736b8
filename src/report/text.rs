//! The part of a report that people read.
//!
//! It says in plain words what happened, and for each kind of failure which MX hosts showed it how
//! often, what that means and what to do. What it shows of a host is what strangers said, so those
//! words come as printable ASCII, on indented lines, and cut.

use std::{cmp::Reverse, collections::BTreeMap, fmt};

use sealpost_plugin_api::ResultType;

use super::{
    ReportId, Submitter, clean,
    details::FURTHER_DETAILS,
    explain::{DOMAIN, Explanation, explain},
};
use crate::{
    aggregate::{DomainDay, PolicyTotals},
    policy::{AppliedPolicy, PolicyType},
    record::{Failure, Source},
};

/// Lines are no longer than this, so that they can be quoted in a reply.
const COLUMNS_MAX: usize = 76;

/// How many policies, kinds of failure and hosts are told of one by one. The JSON has them all.
const POLICIES_MAX: usize = 10;
const KINDS_MAX: usize = 20;
const HOSTS_MAX: usize = 10;

/// Writes the text of a day; lines end in LF. `details` are those of
/// [`details::reported`](super::details::reported): one list for each policy.
#[must_use]
pub fn text(
    day: &DomainDay,
    details: &[Vec<(Failure, u64)>],
    submitter: &Submitter,
    id: &ReportId,
) -> String {
    let mut page = Page::default();
    page.summary(day, submitter);
    for (totals, details) in day.policies.iter().zip(details).take(POLICIES_MAX) {
        page.policy(totals, details);
    }
    let more = day.policies.len().saturating_sub(POLICIES_MAX);
    if more > 0 {
        page.blank();
        page.paragraph(
            0,
            &format!("Further policies in the attached file: {more}."),
        );
    }
    page.about(day, submitter, id);
    page.0
}

fn sessions(count: u64) -> String {
    match count {
        1 => "1 TLS session".to_owned(),
        count => format!("{count} TLS sessions"),
    }
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn summary(&mut self, day: &DomainDay, submitter: &Submitter) {
        self.paragraph(0, &format!("TLS report for {}", day.domain));
        self.paragraph(0, &format!("Day: {} (UTC)", day.day));
        // The organization is ours and may be written in any script; the rest is ASCII.
        self.paragraph(2, &format!("Sent by: {}", submitter.organization()));
        self.paragraph(2, &format!("Contact: {}", submitter.contact()));
        self.blank();
        let (successes, failures) = (day.successes(), day.failures());
        let told = match (successes, failures) {
            // Their sum would count the same session twice.
            (1.., _) | (_, 1..) if may_overlap(day) => format!(
                "On this day we held the sessions with the mail servers of this domain to {} policies. \
                 A session to which DANE and MTA-STS both applied is counted under each of them, by \
                 its own rules.",
                day.policies.len()
            ),
            (0, 0) => {
                "On this day we had no session to count, but the domain's policy had a fault."
                    .to_owned()
            }
            (_, 0) => format!(
                "On this day {} with the mail servers of this domain went well, and none failed.",
                sessions(successes)
            ),
            _ => format!(
                "On this day we counted {} with the mail servers of this domain: {successes} went \
                 well, {failures} failed.",
                sessions(successes.saturating_add(failures))
            ),
        };
        self.paragraph(0, &told);
        if day.recipients > 0 {
            self.paragraph(0, &of_host(day.recipients));
        }
        if day.policies.len() > 1 && !may_overlap(day) {
            self.paragraph(
                0,
                "More than one policy applied during the day; each is told of by itself.",
            );
        }
    }

    fn policy(&mut self, totals: &PolicyTotals, details: &[(Failure, u64)]) {
        self.blank();
        let heading = heading(&totals.policy);
        self.paragraph(0, &heading.title);
        self.paragraph(0, &"-".repeat(heading.title.len().min(COLUMNS_MAX - 2)));
        if !heading.effect.is_empty() {
            self.paragraph(0, heading.effect);
        }
        self.paragraph(
            0,
            &format!(
                "Sessions that went well: {}. Sessions that failed: {}.",
                totals.successes, totals.failures
            ),
        );
        let kinds = kinds(details);
        for kind in kinds.iter().take(KINDS_MAX) {
            self.kind(kind, &totals.policy);
        }
        let more = kinds.len().saturating_sub(KINDS_MAX);
        if more > 0 {
            self.blank();
            self.paragraph(
                0,
                &format!("Further kinds of failure in the attached file: {more}."),
            );
        }
    }

    fn kind(&mut self, kind: &Kind<'_>, policy: &AppliedPolicy) {
        let times = match kind.count {
            1 => "once".to_owned(),
            count => format!("{count} times"),
        };
        self.blank();
        self.paragraph(0, &format!("* {}, {times}", kind.result));
        if let Some(reason) = kind.reason {
            self.paragraph(4, &format!("Reason: {}", clean::for_text(reason, 200)));
            if let Some(mark) = what_the_mark_says(reason) {
                self.paragraph(4, mark);
            }
        }
        for (host, count) in kind.hosts.iter().take(HOSTS_MAX) {
            self.paragraph(4, &format!("{count:>7}  {host}"));
        }
        let more = kind.hosts.len().saturating_sub(HOSTS_MAX);
        if more > 0 {
            self.paragraph(4, &format!("Further hosts in the attached file: {more}."));
        }
        if kind.reason == Some(FURTHER_DETAILS) {
            self.paragraph(
                4,
                "These are further failures of this type, too many to be listed one by one.",
            );
            return;
        }
        let Explanation { meaning, remedy } = explain(kind.result, kind.reason);
        for (label, sentences) in [("What it means", meaning), ("What to do", remedy)] {
            let sentences = sentences.replace(DOMAIN, policy.policy_domain.as_str());
            self.paragraph(4, &format!("{label}: {sentences}"));
        }
    }

    fn about(&mut self, day: &DomainDay, submitter: &Submitter, id: &ReportId) {
        self.blank();
        self.paragraph(0, "About this mail");
        self.paragraph(0, "---------------");
        self.paragraph(
            0,
            "You get it because a TXT record asks senders for TLS reports (RFC 8460). The record \
             stands at",
        );
        self.paragraph(4, &format!("_smtp._tls.{}", day.domain));
        self.paragraph(
            0,
            "The attached file says the same for programs. A session is one connection to one mail \
             server; a mail that is tried again counts again. To get no more reports, take out the \
             record. Questions go to",
        );
        self.paragraph(4, submitter.contact());
        self.paragraph(0, "Report id:");
        self.paragraph(4, id.as_str());
    }

    fn blank(&mut self) {
        self.0.push('\n');
    }

    /// Writes words in lines of at most [`COLUMNS_MAX`] characters, each `indent` from the left; the
    /// second and later ones two more. A word that is too long for a line is broken.
    fn paragraph(&mut self, indent: usize, words: &str) {
        let mut margin = indent;
        let mut column = 0;
        for word in pieces(words, COLUMNS_MAX - indent - 2) {
            let length = word.chars().count();
            if column > 0 && column + 1 + length > COLUMNS_MAX {
                self.0.push('\n');
                margin = if indent == 0 { 0 } else { indent + 2 };
                column = 0;
            }
            let gap = if column == 0 { margin } else { 1 };
            self.0.extend(std::iter::repeat_n(' ', gap));
            self.0.push_str(&word);
            column += gap + length;
        }
        self.0.push('\n');
    }
}

/// The words of a text; spaces at its beginning stay with the first, and a word of more than
/// `characters_max` is cut into several.
fn pieces(text: &str, characters_max: usize) -> Vec<String> {
    let leading = text.len() - text.trim_start_matches(' ').len();
    let mut pieces = Vec::new();
    for (index, word) in text.split(' ').filter(|word| !word.is_empty()).enumerate() {
        let pad = if index == 0 { leading } else { 0 };
        let mut characters = std::iter::repeat_n(' ', pad).chain(word.chars()).peekable();
        while characters.peek().is_some() {
            pieces.push(characters.by_ref().take(characters_max).collect());
        }
    }
    pieces
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

/// Where a failure was seen, if not by the mail server that delivers.
fn what_the_mark_says(reason: &str) -> Option<&'static str> {
    let is_marked = |source: Source| reason.starts_with(&source.mark(""));
    if is_marked(Source::Probe) {
        return Some(
            "(Seen when we looked at the host ourselves; the mail server that delivers told no more.)",
        );
    }
    is_marked(Source::Policy).then_some(
        "(Concluded from the policy or the DNS; the mail server that delivers told no more.)",
    )
}

struct Heading {
    title: String,
    /// What a failure under this policy did to the mail.
    effect: &'static str,
}

fn heading(policy: &AppliedPolicy) -> Heading {
    match policy.policy_type {
        PolicyType::Tlsa => Heading {
            title: format!("DANE: the TLSA records of {}", policy.policy_domain),
            // Records that mean nothing in mail stop none; the failure says so.
            effect: if policy
                .policy_string
                .iter()
                .any(|record| record.starts_with(['2', '3']))
            {
                "They ask that no mail goes to a host that fails them."
            } else {
                ""
            },
        },
        PolicyType::NoPolicyFound => Heading {
            title: "No policy was found".to_owned(),
            effect: "Without MTA-STS or DANE, mail is delivered even where TLS fails, readable on \
                     its way.",
        },
        PolicyType::Sts => match mode(policy) {
            Some("enforce") => Heading {
                title: "MTA-STS policy, mode enforce".to_owned(),
                effect: "It asks that no mail goes to a host that fails it.",
            },
            Some("testing") => Heading {
                title: "MTA-STS policy, mode testing".to_owned(),
                effect: "Mail is delivered even to a host that fails it. With mode enforce it would \
                         not be.",
            },
            Some(_) => Heading {
                title: "MTA-STS policy".to_owned(),
                effect: "",
            },
            None => Heading {
                title: "MTA-STS policy, announced but not to be had".to_owned(),
                effect: "Mail is delivered as if there were no policy.",
            },
        },
    }
}

/// The mode that a policy's own lines declare; the first `mode:` counts (RFC 8461 s3.2).
fn mode(policy: &AppliedPolicy) -> Option<&str> {
    policy
        .policy_string
        .iter()
        .find_map(|line| line.strip_prefix("mode:"))
        .map(str::trim)
        .or_else(|| policy.policy_string.first().map(|_| ""))
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
    address: Option<std::net::IpAddr>,
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

impl fmt::Display for Host<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = String::new();
        let mut add = |text: &str| {
            if !said.is_empty() {
                said.push(' ');
            }
            said.push_str(text);
        };
        if let Some(mx) = self.mx {
            add(&clean::for_text(mx, 253));
        }
        if let Some(address) = self.address {
            add(&format!("[{address}]"));
        }
        if let Some(helo) = self.helo {
            add(&format!("(calls itself {})", clean::for_text(helo, 253)));
        }
        formatter.write_str(&said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::UtcDay, policy::PolicyDomain};

    fn page(details: Vec<(Failure, u64)>, failures: u64) -> String {
        let domain: PolicyDomain = format!("{}.example", "d".repeat(63)).parse().unwrap();
        let day = DomainDay {
            recipients: 0,
            day: UtcDay(19_858),
            policies: vec![PolicyTotals {
                policy: AppliedPolicy::sts_unfetched(domain.clone()),
                successes: 0,
                failures,
                details: details.clone(),
            }],
            domain,
        };
        let submitter =
            Submitter::new("Sender", "tls@sender.example", "", "mta1.sender.example").unwrap();
        let id = ReportId::new(day.day, &day.domain, &submitter);
        text(&day, &[details], &submitter, &id)
    }

    #[test]
    fn g3_strangers_words_are_cut_indented_and_ascii() {
        let hostile = Failure {
            mx: Some(format!("{}.example", "m".repeat(200))),
            mx_helo: Some("x\r\nFrom root\r\n.\r\n\u{1b}[2J\u{fc}".to_owned()),
            ..Failure::of_policy(
                ResultType::ValidationFailure,
                "From nowhere\n.\n".repeat(30),
            )
        };
        let page = page(vec![(hostile, 1)], 1);
        for line in page.lines() {
            assert!(line.len() < 78, "{line}");
            assert!(
                line.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
                "{line:?}"
            );
            assert!(
                !line.starts_with("From") && !line.starts_with('.'),
                "{line}"
            );
        }
        assert!(page.contains("    What to do: "));
    }

    #[test]
    fn each_kind_of_failure_is_told_once_with_its_hosts() {
        let at = |mx: &str| Failure {
            mx: Some(mx.to_owned()),
            ..Failure::of_policy(ResultType::CertificateExpired, "certificate-expired")
        };
        let details: Vec<_> = (1..=12)
            .map(|index| (at(&format!("mx{index}")), index))
            .collect();
        let page = page(details, 78);
        assert_eq!(page.matches("What to do").count(), 1, "{page}");
        assert!(page.contains("* certificate-expired, 78 times"), "{page}");
        assert!(page.contains("         12 mx12\n"), "{page}");
        assert!(
            page.contains("Further hosts in the attached file: 2."),
            "{page}"
        );
    }

    #[test]
    fn b37_a_policy_that_failed_without_any_session_is_told_with_its_url() {
        let failure = Failure::of_policy(ResultType::StsPolicyFetchError, "http-status-404");
        let page = page(vec![(failure, 1)], 0);
        assert!(page.contains("we had no session to count"), "{page}");
        assert!(page.contains("* sts-policy-fetch-error, once"), "{page}");
        let unbroken: String = page.split_whitespace().collect();
        let url = format!("https://mta-sts.{}.example/.well-known/", "d".repeat(63));
        assert!(unbroken.contains(&url), "{page}");
    }
}
