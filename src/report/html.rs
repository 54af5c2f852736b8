//! The part of a report that people read, as HTML: the same as the [text](super::text) beside it.
//!
//! It is one file of its own: no script, nothing fetched from anywhere, no link that could be followed by
//! mistake. It can be read without its few lines of style. Colours are the reader's own, so that light and
//! dark both serve. Every text is escaped; what strangers said is printable ASCII before that.

use std::fmt::Write as _;

use super::{
    account::{Account, KindAccount, PolicyAccount},
    text::further,
};

/// What is said of the looks. No colour of text or ground: lines and shades are half-clear grey.
const STYLE: &str = "\
:root { color-scheme: light dark }
body { font: 100%/1.5 sans-serif; max-width: 44em; margin: 1em auto; padding: 0 1em; \
overflow-wrap: anywhere }
h1 { font-size: 1.4em } h2 { font-size: 1.15em; margin-top: 2em } h3 { font-size: 1em; margin: 0 }
section { border: 1px solid rgba(128,128,128,.5); border-left-width: 4px; padding: .7em 1em; \
margin: 1em 0 }
dt { font-weight: bold } dd { margin: 0 0 .5em 0 }
table { border-collapse: collapse; margin: .5em 0 }
th, td { text-align: left; vertical-align: top; padding: .1em 1em .1em 0 }
th, td:first-child { white-space: nowrap } td:first-child { text-align: right }
footer { border-top: 1px solid rgba(128,128,128,.5); margin-top: 2em; font-size: .9em }
";

/// Writes an account; lines end in LF.
#[must_use]
pub fn html(account: &Account) -> String {
    let mut page = Page::default();
    page.head(&account.title);
    page.element("h1", &account.title);
    page.0.push_str("<p>");
    for (index, (name, value)) in account.facts.iter().enumerate() {
        let line_end = if index == 0 { "" } else { "<br>\n" };
        let _ = write!(page.0, "{line_end}{}: {}", escaped(name), escaped(value));
    }
    page.0.push_str("</p>\n");
    for sentences in &account.summary {
        page.element("p", sentences);
    }
    for policy in &account.policies {
        page.policy(policy);
    }
    if account.further_policies > 0 {
        page.element("p", &further("policies", account.further_policies));
    }
    page.0.push_str("<footer>\n");
    page.element("h2", "About this mail");
    for (sentence, leads_to) in &account.about {
        let _ = writeln!(
            page.0,
            "<p>{}<br>\n<code>{}</code></p>",
            escaped(sentence),
            escaped(leads_to)
        );
    }
    page.0.push_str("</footer>\n</body>\n</html>\n");
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, title: &str) {
        let _ = write!(
            self.0,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n\
             <style>\n{STYLE}</style>\n</head>\n<body>\n",
            escaped(title)
        );
    }

    fn element(&mut self, name: &str, text: &str) {
        let _ = writeln!(self.0, "<{name}>{}</{name}>", escaped(text));
    }

    fn policy(&mut self, policy: &PolicyAccount) {
        self.element("h2", &policy.title);
        for sentences in [policy.effect, &policy.counts, policy.all_well] {
            if !sentences.is_empty() {
                self.element("p", sentences);
            }
        }
        for kind in &policy.kinds {
            self.kind(kind);
        }
        if policy.further_kinds > 0 {
            self.element("p", &further("kinds of failure", policy.further_kinds));
        }
    }

    fn kind(&mut self, kind: &KindAccount) {
        self.0.push_str("<section>\n");
        self.element("h3", &format!("{}, {}", kind.result, kind.times));
        if let Some(reason) = &kind.reason {
            let _ = writeln!(
                self.0,
                "<p>Reason code: <code>{}</code></p>",
                escaped(reason)
            );
        }
        if let Some(mark) = &kind.mark {
            self.element("p", mark);
        }
        if let Some(since) = &kind.since {
            self.element("p", &format!("Seen: {since}."));
        }
        self.hosts(&kind.hosts);
        if kind.further_hosts > 0 {
            self.element("p", &further("hosts", kind.further_hosts));
        }
        self.0.push_str("<dl>\n");
        for (label, sentences) in &kind.sentences {
            self.element("dt", label);
            self.element("dd", sentences);
        }
        self.0.push_str("</dl>\n</section>\n");
    }

    fn hosts(&mut self, hosts: &[(u64, String)]) {
        if hosts.is_empty() {
            return;
        }
        self.0
            .push_str("<table>\n<tr><th>Sessions</th><th>Mail server</th></tr>\n");
        for (sessions, host) in hosts {
            let _ = writeln!(
                self.0,
                "<tr><td>{sessions}</td><td>{}</td></tr>",
                escaped(host)
            );
        }
        self.0.push_str("</table>\n");
    }
}

/// A text that cannot be taken for markup, in an element or in a quoted attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "</td><script>alert(1)</script><img src=x onerror='x'>\"&";

    fn account() -> Account {
        Account {
            title: HOSTILE.to_owned(),
            facts: vec![("Sent by", HOSTILE.to_owned())],
            summary: vec![HOSTILE.to_owned()],
            policies: vec![PolicyAccount {
                title: HOSTILE.to_owned(),
                effect: "",
                counts: HOSTILE.to_owned(),
                all_well: "",
                kinds: vec![KindAccount {
                    result: "certificate-expired",
                    times: "once".to_owned(),
                    reason: Some(HOSTILE.to_owned()),
                    mark: None,
                    since: Some(HOSTILE.to_owned()),
                    hosts: vec![(1, HOSTILE.to_owned())],
                    further_hosts: 1,
                    sentences: ["a", "b", "c"].map(|label| (label, HOSTILE.to_owned())),
                }],
                further_kinds: 1,
            }],
            further_policies: 1,
            about: vec![("It is", HOSTILE.to_owned())],
        }
    }

    #[test]
    fn g3_strangers_words_are_no_markup_and_nothing_is_fetched() {
        let page = html(&account());
        assert_eq!(page.matches("&lt;script&gt;").count(), 13, "{page}");
        let lower = page.to_ascii_lowercase();
        for word in [
            "<script", "<img", "<link", "<iframe", "<a ", "<form", "src=", "href=", "url(",
            "@import",
        ] {
            let escaped = lower.matches("&lt;img src=x onerror=&#39;").count();
            let seen = lower.matches(word).count();
            assert_eq!(seen, if word == "src=" { escaped } else { 0 }, "{word}");
        }
    }

    #[test]
    fn every_element_that_is_begun_is_ended() {
        let page = html(&account());
        let mut open = Vec::new();
        for tag in page
            .split('<')
            .skip(1)
            .filter_map(|rest| rest.split('>').next())
        {
            let name = tag.split(' ').next().unwrap_or_default();
            match name.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name), "{tag}"),
                None if ["!DOCTYPE", "meta", "br"].contains(&name) => (),
                None => open.push(name),
            }
        }
        assert_eq!(open, Vec::<&str>::new());
    }
}
