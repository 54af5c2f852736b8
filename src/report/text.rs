//! The part of a report that people read, as plain text.
//!
//! What is told, and in which order, is the [`Account`]'s; here it gets its lines. What strangers said
//! stands on indented lines.

use super::account::{Account, KindAccount, PolicyAccount};

/// Lines are no longer than this, so that they can be quoted in a reply.
const COLUMNS_MAX: usize = 76;

/// Writes an account; lines end in LF.
#[must_use]
pub fn text(account: &Account) -> String {
    let mut page = Page::default();
    page.paragraph(0, &account.title);
    for (index, (name, value)) in account.facts.iter().enumerate() {
        // What is not ours alone stands indented.
        let indent = if index == 0 { 0 } else { 2 };
        page.paragraph(indent, &format!("{name}: {value}"));
    }
    page.blank();
    for sentences in &account.summary {
        page.paragraph(0, sentences);
    }
    for policy in &account.policies {
        page.policy(policy);
    }
    if account.further_policies > 0 {
        page.blank();
        page.paragraph(0, &further("policies", account.further_policies));
    }
    page.blank();
    page.heading("About this mail");
    for (sentences, leads_to) in &account.about {
        page.paragraph(0, sentences);
        page.paragraph(4, leads_to);
    }
    page.0
}

/// What is left to the attached file.
pub(super) fn further(what: &str, count: usize) -> String {
    format!("Further {what} in the attached file: {count}.")
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn policy(&mut self, policy: &PolicyAccount) {
        self.blank();
        self.heading(&policy.title);
        for sentences in [policy.effect, &policy.counts, policy.all_well] {
            if !sentences.is_empty() {
                self.paragraph(0, sentences);
            }
        }
        for kind in &policy.kinds {
            self.kind(kind);
        }
        if policy.further_kinds > 0 {
            self.blank();
            self.paragraph(0, &further("kinds of failure", policy.further_kinds));
        }
    }

    fn kind(&mut self, kind: &KindAccount) {
        self.blank();
        self.paragraph(0, &format!("* {}, {}", kind.result, kind.times));
        if let Some(reason) = &kind.reason {
            self.paragraph(4, &format!("Reason code: {reason}"));
        }
        if let Some(mark) = &kind.mark {
            self.paragraph(4, &format!("({mark})"));
        }
        if let Some(since) = &kind.since {
            self.paragraph(4, &format!("Seen: {since}."));
        }
        for (sessions, host) in &kind.hosts {
            self.paragraph(4, &format!("{sessions:>7}  {host}"));
        }
        if kind.further_hosts > 0 {
            self.paragraph(4, &further("hosts", kind.further_hosts));
        }
        for (label, sentences) in &kind.sentences {
            self.paragraph(4, &format!("{label}: {sentences}"));
        }
    }

    fn heading(&mut self, title: &str) {
        self.paragraph(0, title);
        self.paragraph(0, &"-".repeat(title.len().min(COLUMNS_MAX - 2)));
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

#[cfg(test)]
mod tests {
    use sealpost_plugin_api::ResultType;

    use super::*;
    use crate::{
        aggregate::{DomainDay, PolicyTotals},
        clock::UtcDay,
        policy::{AppliedPolicy, PolicyDomain},
        record::Failure,
        report::{ReportId, Submitter},
    };

    fn page(details: Vec<(Failure, u64)>, failures: u64) -> String {
        let domain: PolicyDomain = format!("{}.example", "d".repeat(63)).parse().unwrap();
        let day = DomainDay {
            recipients: 0,
            seen: std::collections::BTreeMap::new(),
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
        text(&Account::of(&day, &[details], &submitter, &id))
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
        assert!(
            page.contains("* certificate-expired, 78 of 78 TLS sessions"),
            "{page}"
        );
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
