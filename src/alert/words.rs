//! One message for everything that is to be told at once: as a mail for people, as JSON for a program.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Alert, Rule, board::Digest};
use crate::{
    clock::Timestamp,
    observe::printable::{excerpt, printable},
};

/// How many alerts of one kind are told one by one. Of further ones their number is.
pub const SHOWN_MAX: usize = 20;

/// How much is told of one alert: the longest line of a mail has 998 octets (RFC 5321 s4.5.3.1.6).
const WORDS_CHARACTERS_MAX: usize = 900;

/// What an alert says, on one line.
fn shown(words: &str) -> String {
    printable(words)
        .chars()
        .take(WORDS_CHARACTERS_MAX)
        .collect()
}

/// The subject of a mail.
#[must_use]
pub fn subject(digest: &Digest, host_name: &str) -> String {
    let mut parts = Vec::new();
    for (alerts, what) in [
        (&digest.new, "new"),
        (&digest.again, "still"),
        (&digest.over, "over"),
    ] {
        match &alerts[..] {
            [] => {}
            [one] => parts.push(format!(
                "{what}: {} {}",
                one.about.rule,
                excerpt(&one.about.subject)
            )),
            many => parts.push(format!("{what}: {} alerts", many.len())),
        }
    }
    format!("Sealpost on {host_name}: {}", parts.join(", "))
}

/// The text of a mail.
#[must_use]
pub fn text(digest: &Digest, host_name: &str) -> String {
    let mut text = String::new();
    for (alerts, what) in [
        (&digest.new, "New"),
        (&digest.again, "Still so"),
        (&digest.over, "Over"),
    ] {
        if alerts.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{what}:\n");
        for alert in alerts.iter().take(SHOWN_MAX) {
            let _ = writeln!(text, "  [{}] {}", alert.about.rule, shown(&alert.words));
            let _ = write!(text, "    since {}", alert.since);
            match alert.over_since {
                Some(over) => {
                    let _ = writeln!(text, ", until {over}");
                }
                None => text.push('\n'),
            }
        }
        if alerts.len() > SHOWN_MAX {
            let more = alerts.len() - SHOWN_MAX;
            let _ = writeln!(text, "  and {more} more: `sealpost alert list` shows them.");
        }
        text.push('\n');
    }
    let holding = || digest.new.iter().chain(&digest.again);
    for rule in Rule::ALL {
        if holding().any(|alert| alert.about.rule == rule) {
            let _ = writeln!(text, "{rule}: {}\n", rule.what_to_do());
        }
    }
    let _ = writeln!(
        text,
        "-- \nsealpost {} on {host_name}",
        env!("CARGO_PKG_VERSION")
    );
    text
}

/// What the webhook gets.
#[must_use]
pub fn json(digest: &Digest, host_name: &str, now: Timestamp) -> Value {
    let kind = |alerts: &[Alert]| {
        let shown: Vec<Value> = alerts.iter().take(SHOWN_MAX).map(alert_json).collect();
        json!({"count": alerts.len(), "alerts": shown})
    };
    json!({
        "version": 1,
        "program": concat!("sealpost ", env!("CARGO_PKG_VERSION")),
        "host": host_name,
        "at": now.to_string(),
        // What chat programs show of a webhook.
        "text": subject(digest, host_name),
        "new": kind(&digest.new),
        "again": kind(&digest.again),
        "over": kind(&digest.over),
    })
}

fn alert_json(alert: &Alert) -> Value {
    json!({
        "rule": alert.about.rule.name(),
        "subject": alert.about.subject,
        "words": alert.words,
        "since": alert.since.to_string(),
        "over_since": alert.over_since.map(|over| over.to_string()),
        "what_to_do": alert.about.rule.what_to_do(),
    })
}

/// An alert of no trouble, to see that it arrives.
#[must_use]
pub fn test(rule: Rule, now: Timestamp) -> Digest {
    let subject = match rule {
        Rule::ReportsStuck => "reports",
        Rule::Alarm => "daemon",
        Rule::EnforceFailures | Rule::PolicyExpiring | Rule::StarttlsVanished => "test.invalid",
    };
    Digest {
        new: vec![Alert {
            about: super::About {
                rule,
                subject: subject.to_owned(),
            },
            words: "this is a test: nothing is the matter".to_owned(),
            since: now,
            seen_at: now,
            over_since: None,
            mailed_at: None,
            posted_at: None,
        }],
        ..Digest::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_790_000_000);

    fn many(count: usize) -> Digest {
        let one = test(Rule::EnforceFailures, NOW).new.remove(0);
        Digest {
            new: vec![one; count],
            ..Digest::default()
        }
    }

    #[test]
    fn one_alert_is_named_in_the_subject_and_many_are_counted() {
        assert_eq!(
            subject(&many(1), "mail.test"),
            "Sealpost on mail.test: new: enforce-failures test.invalid"
        );
        let mut digest = many(1_000);
        digest.over = many(1).new;
        assert_eq!(
            subject(&digest, "mail.test"),
            "Sealpost on mail.test: new: 1000 alerts, over: enforce-failures test.invalid"
        );
    }

    #[test]
    fn a_flood_is_told_in_a_message_of_bounded_length_with_what_to_do_once() {
        let text = text(&many(1_000), "mail.test");
        assert_eq!(text.matches("this is a test").count(), SHOWN_MAX);
        assert!(text.contains("and 980 more"), "{text}");
        assert_eq!(text.matches("sealpost check DOMAIN").count(), 1);
        let json = json(&many(1_000), "mail.test", NOW);
        assert_eq!(json["new"]["count"], 1_000);
        assert_eq!(json["new"]["alerts"].as_array().unwrap().len(), SHOWN_MAX);
        assert_eq!(json["over"]["count"], 0);
    }

    #[test]
    fn g7_what_an_alert_says_cannot_add_lines_to_a_mail() {
        let mut digest = many(1);
        digest.new[0].words = "one\r\nBcc: two".to_owned();
        digest.new[0].about.subject = "a\r\nb".to_owned();
        assert!(!subject(&digest, "h").contains('\n'));
        assert!(!text(&digest, "h").contains("\nBcc"));
        digest.new[0].words = "\r".repeat(5_000);
        let text = text(&digest, "h");
        assert!(text.lines().all(|line| line.len() < 998), "{text}");
    }
}
