//! What an operator asks of alerts.

use super::Operator;
use crate::{
    alert::{Rule, board::Channel},
    ctl::wire::{AlertTested, AlertView, AlertWay, AlertsTested, AlertsTold, AlertsView},
};

impl Operator {
    pub(super) fn alerts_view(&self) -> AlertsView {
        let alerts = self.alerts.holding();
        let loaded = self.loaded.load();
        let config = &loaded.config.alert;
        let set = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        AlertsView {
            told: AlertsTold {
                mail_to: set(&config.mail_to),
                webhook: set(&config.webhook_url).map(|url| origin_of(&url)),
                quiet: set(&config.quiet),
                repeat_hours: config.repeat_hours,
            },
            alerts: alerts
                .into_iter()
                .map(|alert| AlertView {
                    rule: alert.about.rule.name().to_owned(),
                    subject: alert.about.subject,
                    words: alert.words,
                    since: alert.since.to_string(),
                    mailed_at: alert.mailed_at.map(|at| at.to_string()),
                    posted_at: alert.posted_at.map(|at| at.to_string()),
                    what_to_do: alert.about.rule.what_to_do().to_owned(),
                })
                .collect(),
        }
    }

    /// Tries a way with one rule, or with each.
    pub(super) async fn test_alerts(&self, to: AlertWay, rule: Option<Rule>) -> AlertsTested {
        let channel = match to {
            AlertWay::Mail => Some(Channel::Mail),
            AlertWay::Webhook => Some(Channel::Webhook),
            AlertWay::Journal => None,
        };
        let mut tested = Vec::new();
        for each in Rule::ALL {
            if rule.is_some_and(|rule| rule != each) {
                continue;
            }
            let sent = self.alerts.test(channel, each).await;
            let is_taken = sent.is_ok();
            tested.push(AlertTested {
                rule: each.name().to_owned(),
                is_taken,
                words: sent.unwrap_or_else(|error| error),
            });
        }
        AlertsTested { to, tested }
    }
}

/// Scheme and host of a URL: what stands behind them, or before an `@`, may be a secret.
fn origin_of(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}")
}

#[cfg(test)]
mod tests {
    use super::origin_of;

    #[test]
    fn of_a_webhook_no_more_is_told_than_its_host() {
        for (url, told) in [
            ("https://chat.example/hooks/s3cret", "https://chat.example"),
            ("http://127.0.0.1:9/?key=s3cret", "http://127.0.0.1:9"),
            (
                "https://user:s3cret@chat.example:8443#s3cret",
                "https://chat.example:8443",
            ),
            ("https://chat.example", "https://chat.example"),
        ] {
            assert_eq!(origin_of(url), told);
        }
    }
}
