//! What an operator asks of alerts.

use super::Operator;
use crate::{
    alert::{Rule, board::Channel},
    ctl::wire::{AlertTested, AlertView, AlertWay, AlertsTested, AlertsView},
};

impl Operator {
    pub(super) fn alerts_view(&self) -> AlertsView {
        let alerts = self.alerts.holding();
        AlertsView {
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
