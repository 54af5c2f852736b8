//! Whether Postfix can be told `dane-only`: what the resolvers of the system do, which it asks.
//!
//! A Postfix that sees no signed answers finds DANE nowhere, and what is told `dane-only` waits. So with
//! `socketmap.dane_only = "auto"` they are looked at, at the start and from then on.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    clock::Clock,
    config::{Config, DnsConfig, DnssecValidation, TellsDane},
    doors::socketmap_reply::{Resolvers, SignedAnswers},
    net::validation::{SystemList, SystemResolvers},
};

/// How often they are looked at.
const SECONDS_BETWEEN_LOOKS: i64 = 600;

/// How soon again after a look that they did not answer.
const SECONDS_AFTER_SILENCE: i64 = 10;

/// Looks at the resolvers that Postfix asks.
pub(super) struct PostfixResolvers {
    /// What is seen.
    pub(super) seen: Arc<Resolvers>,
    /// Nothing where it makes no difference.
    dns: Option<DnsConfig>,
    clock: Arc<dyn Clock>,
    said: Option<SystemResolvers>,
}

impl PostfixResolvers {
    /// Nothing is known of them yet.
    pub(super) fn new(config: &Config, clock: Arc<dyn Clock>) -> Self {
        let matters = config.socketmap.dane_only == TellsDane::Auto
            && config.dane.validation != DnssecValidation::Off;
        Self {
            seen: Arc::default(),
            dns: matters.then(|| config.dns.clone()),
            clock,
            said: None,
        }
    }

    /// Looks at them once, no longer than this.
    pub(super) async fn first_look(&mut self, time_max: Duration) {
        let looked = timeout(time_max, self.look()).await;
        if looked.is_err() {
            tracing::warn!("the resolvers of /etc/resolv.conf do not answer yet");
        }
    }

    /// Looks again and again. Never returns.
    pub(super) async fn keep_looking(mut self) {
        loop {
            let seconds = match self.said {
                None | Some(SystemResolvers::Silent(_)) => SECONDS_AFTER_SILENCE,
                Some(_) => SECONDS_BETWEEN_LOOKS,
            };
            let next = self.clock.now().plus_seconds(seconds);
            self.clock.wait_until(next).await;
            self.look().await;
        }
    }

    async fn look(&mut self) {
        let Some(dns) = &self.dns else {
            self.said = Some(SystemResolvers::DoNotMark);
            return;
        };
        let found = SystemResolvers::look(&SystemList::default(), dns).await;
        match &found {
            SystemResolvers::Mark => self.seen.saw(SignedAnswers::Marked),
            // That nobody answers says nothing of signatures.
            SystemResolvers::Silent(_) => {}
            _ => self.seen.saw(SignedAnswers::NotSeen),
        }
        if self.said.as_ref() != Some(&found) {
            say(&found);
        }
        self.said = Some(found);
    }
}

fn say(found: &SystemResolvers) {
    match found {
        SystemResolvers::Mark => tracing::info!(
            "the resolvers of /etc/resolv.conf mark signed answers: Postfix is told dane-only where a \
             domain goes by DANE alone"
        ),
        other => tracing::warn!(
            resolvers = %other,
            "Postfix is not told dane-only: it would see no signed answers (socketmap.dane_only)"
        ),
    }
}
