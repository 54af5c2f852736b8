//! Reads what the rules judge, has the board decide, and tells.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use super::{operator::Operator, reports::StoredReports};
use crate::{
    alert::{
        Alert, Rule,
        board::{Board, Channel, Digest, Manners},
        notebook::Notebook,
        rules::{self, Found},
        words,
    },
    clock::{Clock, Timestamp, UtcDay},
    config::AlertConfig,
    net::{
        smtp::{Envelope, Transport},
        webhook::Webhook,
    },
    observe::stopwatch::Stopwatch,
    policy::{KeptPolicy, PolicyDomain},
    report::notice::{Notice, mail},
    store::{Protected, Store, StoreError, TallyKey},
};

/// How often it is looked.
const LOOK_SECONDS: i64 = 60;

/// Looking takes no more than this part of the time.
const REST: u64 = 20;

/// Of how many domains without TLS the earlier days are looked at, at each look.
// OURS: each costs a read for every day; where more lose STARTTLS at once, these are enough to say so.
const LOOKED_BACK_MAX: usize = 200;

/// What alerts are made and told with.
pub struct AlertParts {
    /// What was counted.
    pub store: Arc<dyn Store>,
    /// Who we are, and what signs.
    pub reports: Arc<StoredReports>,
    /// The way of mail.
    pub transport: Arc<dyn Transport>,
    /// The way of posts, where there is one.
    pub webhook: Option<Webhook>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// `[alert]`
    pub config: AlertConfig,
    /// Where the board outlives the process.
    pub notebook: Notebook,
}

/// The alerts of the daemon.
pub struct Alerts {
    parts: AlertParts,
    manners: Manners,
    board: Mutex<Board>,
    mails: AtomicU64,
}

/// What is read of the store for a look.
struct Read {
    today: Vec<(PolicyDomain, Protected)>,
    kept: Vec<(PolicyDomain, KeptPolicy)>,
    bare: Vec<Bare>,
}

/// A domain without TLS today.
struct Bare {
    domain: PolicyDomain,
    rows: Vec<(TallyKey, u64)>,
    before: Vec<(UtcDay, Protected)>,
}

impl Alerts {
    /// With what was told before.
    #[must_use]
    pub fn new(parts: AlertParts) -> Self {
        let board = parts.notebook.read().unwrap_or_else(|error| {
            tracing::warn!(
                error,
                "who was told of alerts is not known: they are told again"
            );
            Board::default()
        });
        let config = &parts.config;
        Self {
            manners: Manners {
                // What is none was found when the configuration was read.
                quiet: config.quiet.parse().ok(),
                repeat_seconds: config.repeat_hours.saturating_mul(3_600),
                per_hour_max: config.messages_per_hour_max,
            },
            board: Mutex::new(board),
            mails: AtomicU64::default(),
            parts,
        }
    }

    /// The alerts that hold.
    #[must_use]
    pub fn holding(&self) -> Vec<Alert> {
        self.board().holding().into_iter().cloned().collect()
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks now and from then on.
    pub(super) async fn keep_looking(self: Arc<Self>, operator: Arc<Operator>) {
        loop {
            let watch = Stopwatch::start();
            let now = self.parts.clock.now();
            self.look(&operator, now).await;
            let rest = watch.elapsed().as_secs().saturating_mul(REST);
            let rest = i64::try_from(rest).unwrap_or(i64::MAX).max(LOOK_SECONDS);
            self.parts.clock.wait_until(now.plus_seconds(rest)).await;
        }
    }

    async fn look(&self, operator: &Operator, now: Timestamp) {
        let found = match self.found(operator, now).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "alerts: the store cannot be read");
                let mut found = Found::default();
                // The status has this alarm too.
                let alarms = operator.current_alarms(Some(&error.to_string()));
                rules::alarms(&mut found, &alarms);
                found
            }
        };
        let before = self.board().clone();
        let changes = self.board().look(found, now);
        for alert in &changes.begun {
            let (rule, subject) = (alert.about.rule.name(), &alert.about.subject);
            tracing::warn!(
                alert = rule,
                subject,
                "{}: {}",
                alert.words,
                alert.about.rule.what_to_do()
            );
        }
        for alert in &changes.over {
            let (rule, subject) = (alert.about.rule.name(), &alert.about.subject);
            tracing::warn!(alert = rule, subject, "over: {}", alert.words);
        }
        self.tell(Channel::Mail, now).await;
        self.tell(Channel::Webhook, now).await;
        let after = self.board().clone();
        if after == before {
            return;
        }
        let notebook = self.parts.notebook.clone();
        let written = tokio::task::spawn_blocking(move || notebook.write(&after)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "alerts: what was told cannot be written down");
        }
    }

    async fn found(&self, operator: &Operator, now: Timestamp) -> Result<Found, StoreError> {
        let config = &self.parts.config;
        let (store, days) = (Arc::clone(&self.parts.store), config.starttls_seen_days);
        let read = tokio::task::spawn_blocking(move || read(&*store, now.day(), days)).await;
        let Ok(read) = read else {
            // The program stops.
            return Ok(Found::default());
        };
        let read = read?;
        let mut found = Found::default();
        rules::enforce_failures(&mut found, &read.today, config);
        rules::starttls_there(&mut found, &read.today);
        for Bare {
            domain,
            rows,
            before,
        } in &read.bare
        {
            rules::starttls_vanished(&mut found, domain, now.day(), rows, before, config);
        }
        rules::policy_expiring(&mut found, &read.kept, config, now);
        if let Some(held) = operator.held().await {
            rules::reports_stuck(&mut found, held.oldest_turn_at, config, now);
        }
        rules::alarms(&mut found, &operator.current_alarms(None));
        Ok(found)
    }

    /// Tells a channel what is due.
    async fn tell(&self, channel: Channel, now: Timestamp) {
        if !self.is_set(channel) {
            self.board().without(channel);
            return;
        }
        let digest = self.board().due(channel, &self.manners, now);
        if digest.is_empty() {
            return;
        }
        match self.send(channel, &digest, now).await {
            Ok(by) => {
                tracing::info!(by, "alerts are told");
                self.board().told(channel, &digest, now);
            }
            Err(error) => {
                tracing::error!(error, "alerts cannot be told; it is tried again");
                self.board().not_told(channel, now);
            }
        }
    }

    fn is_set(&self, channel: Channel) -> bool {
        match channel {
            Channel::Mail => !self.parts.config.mail_to.is_empty(),
            Channel::Webhook => self.parts.webhook.is_some(),
        }
    }

    /// Sends one message. Gives who took it.
    async fn send(
        &self,
        channel: Channel,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<String, String> {
        let Some(submitter) = self.parts.reports.submitter() else {
            return Err("[sender] does not say who we are".to_owned());
        };
        let host_name = submitter.host_name();
        match (channel, &self.parts.webhook) {
            (Channel::Mail, _) => {
                let to = &self.parts.config.mail_to;
                if to.is_empty() {
                    return Err("alert.mail_to is not set".to_owned());
                }
                let notice = Notice {
                    to,
                    subject: &words::subject(digest, host_name),
                    text: &words::text(digest, host_name),
                    date: now,
                    number: self.mails.fetch_add(1, Ordering::Relaxed),
                };
                let message = mail(&notice, submitter, self.parts.reports.keys());
                let message = message.map_err(|error| error.to_string())?;
                let envelope = Envelope {
                    from: submitter.envelope_from().to_owned(),
                    to: to.clone(),
                };
                let sent = self.parts.transport.send(&envelope, &message).await;
                let accepted = sent.map_err(|error| error.to_string())?;
                Ok(format!("{}: {}", accepted.by, accepted.reply))
            }
            (Channel::Webhook, Some(webhook)) => {
                let json = words::json(digest, host_name, now).to_string();
                webhook.post(json.into_bytes()).await
            }
            (Channel::Webhook, None) => Err("alert.webhook_url is not set".to_owned()),
        }
    }

    /// Sends a test of a rule, past quiet hours and what an hour allows. Without a channel it goes to the
    /// journal. Gives who took it.
    ///
    /// # Errors
    /// In words, when it was not taken.
    pub(super) async fn test(
        &self,
        channel: Option<Channel>,
        rule: Rule,
    ) -> Result<String, String> {
        let now = self.parts.clock.now();
        let digest = words::test(rule, now);
        let Some(channel) = channel else {
            tracing::warn!(alert = rule.name(), "this is a test: nothing is the matter");
            return Ok("written to the log".to_owned());
        };
        self.send(channel, &digest, now).await
    }
}

fn read(store: &dyn Store, today: UtcDay, days: u32) -> Result<Read, StoreError> {
    let protected = store.protected(today)?;
    let mut bare = Vec::new();
    for domain in rules::without_tls(&protected)
        .into_iter()
        .take(LOOKED_BACK_MAX)
    {
        let mut before = Vec::new();
        let mut day = today;
        for _ in 0..days {
            day = day.previous();
            match store.protected_of(day, &domain) {
                Ok(protected) => before.push((day, protected)),
                // OURS: it stays damaged, and must not silence every rule until it is forgotten. The days that can be
                // read decide; that it cannot is said where it is read to be reported.
                Err(StoreError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        bare.push(Bare {
            rows: store.tallies(today, &domain)?,
            before,
            domain,
        });
    }
    Ok(Read {
        today: protected,
        kept: store.kept_policies()?,
        bare,
    })
}
