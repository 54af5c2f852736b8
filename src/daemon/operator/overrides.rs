//! What operators decide otherwise for single domains, by command.
// docs/decisions/0020-evidence-and-overrides.md

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{super::parts::engine_settings, Operator};
use crate::{
    clock::UtcDay,
    config::Override,
    ctl::{
        check::validation,
        control::{OverrideOrder, OverridesAsked, Replied},
        protocol::{Refusal, RefusalKind},
        wire::{OverrideView, Overrides},
    },
    hook::overrides::{CommandOverride, EndedOverride, holds},
    observe::audit::AuditKind,
    policy::PolicyDomain,
    store::StoreError,
};

/// How many are kept, with those that ended. It is for exceptions.
const OVERRIDES_MAX: usize = 10_000;

/// A reason or a name that is longer is none.
const REASON_CHARACTERS_MAX: usize = 500;
const AUTHOR_CHARACTERS_MAX: usize = 100;

/// How often it is looked at what time decides.
const LOOK_AGAIN_SECONDS: i64 = 60;

/// How long a store that could not be read is left alone.
const READ_AGAIN_SECONDS: i64 = 10;

/// The overrides that were set by command, as the daemon goes by them.
#[derive(Default)]
pub(super) struct Commands {
    /// Absent until the store was read.
    held: Mutex<Option<BTreeMap<PolicyDomain, CommandOverride>>>,
    /// Held while one is changed, from the look at what is there to the answers that follow.
    changing: tokio::sync::Mutex<()>,
}

impl Commands {
    fn held(&self) -> MutexGuard<'_, Option<BTreeMap<PolicyDomain, CommandOverride>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, domain: &PolicyDomain) -> Option<CommandOverride> {
        self.held().as_ref()?.get(domain).cloned()
    }
}

impl Operator {
    /// Notes that the daemon started, and has what was decided before hold. Gives the day up to which an earlier process
    /// noted what time decides.
    pub async fn begin_decisions(&self) -> Option<UtcDay> {
        let noted = self.last_noted_day().await;
        self.note_of_daemon(AuditKind::Started);
        if let Err(error) = self.load_overrides().await {
            tracing::error!(%error, "the overrides that were set by command are not read yet; they do not hold");
        }
        noted
    }

    /// Reads the overrides that were set by command, and has the engine go by them.
    ///
    /// # Errors
    /// When the store cannot be read; they do not hold then.
    pub async fn load_overrides(&self) -> Result<(), StoreError> {
        let _changing = self.commands.changing.lock().await;
        let store = Arc::clone(&self.store);
        let read = tokio::task::spawn_blocking(move || store.overrides()).await;
        let read = read.unwrap_or_else(|error| {
            Err(StoreError::Io {
                path: self.store_path.clone(),
                reason: error.to_string(),
            })
        })?;
        let by_domain = read.into_iter().map(|set| (set.domain.clone(), set));
        *self.commands.held() = Some(by_domain.collect());
        self.apply_overrides();
        Ok(())
    }

    /// Tries on until the overrides are read, and notes what time decides: overrides that run out, days whose refused
    /// mail is known, and DANE that is off or on again.
    /// `noted` is the day up to which an earlier process did.
    pub async fn attend_decisions(&self, noted: Option<UtcDay>) {
        let keep_days = self.loaded.load().config.store.keep_days;
        let oldest = UtcDay(self.today().0.saturating_sub(keep_days));
        let mut day = noted.unwrap_or(self.today()).max(oldest);
        let mut dane_is_on = validation(&self.validation).is_ok();
        loop {
            let is_read = self.knows_overrides();
            if !is_read && let Err(error) = self.load_overrides().await {
                tracing::error!(%error, "the overrides that were set by command are not read; they do not hold");
            }
            let today = self.today();
            while day < today {
                self.note_what_ran_out(day);
                self.note_refused(day).await;
                day = day.next();
            }
            dane_is_on = self.note_dane(dane_is_on);
            let again = if self.knows_overrides() {
                LOOK_AGAIN_SECONDS
            } else {
                READ_AGAIN_SECONDS
            };
            let again = self.clock.now().plus_seconds(again);
            self.clock
                .wait_until(again.min(today.next().first_second()))
                .await;
        }
    }

    /// Notes what held on a day and not on the next.
    fn note_what_ran_out(&self, day: UtcDay) {
        for set in self.commands.held().iter().flat_map(BTreeMap::values) {
            if set.holds(day) && !set.holds(day.next()) {
                tracing::info!(domain = %set.domain, mode = set.mode.name(), "an override has run out");
                let words = format!("{}: {}", set.mode.name(), set.reason);
                let entry = self.entry(AuditKind::OverrideRanOut, words);
                self.auditor.note(entry.about(&set.domain));
            }
        }
    }

    fn note_dane(&self, was_on: bool) -> bool {
        let now = validation(&self.validation);
        let entry = match &now {
            Ok(by) if !was_on => self.entry(AuditKind::DaneOn, format!("validated by {by}")),
            Err(why) if was_on => self.entry(AuditKind::DaneOff, why.clone()),
            _ => return was_on,
        };
        self.auditor.note(entry);
        now.is_ok()
    }

    /// Whether the overrides that were set by command are known.
    pub(super) fn knows_overrides(&self) -> bool {
        self.commands.held().is_some()
    }

    /// Has the engine go by the configuration and by what was set by command, from the next question on.
    pub(super) fn apply_overrides(&self) {
        // Read while it is locked: of two changes the later one is the last to be taken up.
        let held = self.commands.held();
        let mut settings = engine_settings(&self.loaded.load());
        let standing = held.iter().flat_map(BTreeMap::values);
        let standing = standing.filter(|set| set.ended.is_none());
        settings.overrides = settings.overrides.with_commands(standing);
        self.engine.reload(settings);
    }

    pub(super) async fn set_override(&self, order: OverrideOrder) -> Replied<OverrideView> {
        let _changing = self.commands.changing.lock().await;
        let now = self.clock.now();
        let today = now.day();
        let reason = checked("a reason", &order.reason, REASON_CHARACTERS_MAX)?;
        let author = checked("an author", &order.author, AUTHOR_CHARACTERS_MAX)?;
        if let Some(until) = order.until.filter(|until| *until < today) {
            return Err(bad(format!("{until} is over: it is {today} (UTC)")));
        }
        self.refuse_what_the_file_decides(&order.domain)?;
        let set = CommandOverride {
            domain: order.domain,
            mode: order.mode,
            until: order.until,
            reason,
            author,
            set_at: now,
            ended: None,
        };
        self.make_room(&set.domain, today).await?;
        self.put(set.clone()).await?;
        tracing::info!(
            domain = %set.domain, mode = set.mode.name(), author = %set.author, reason = %set.reason,
            "an operator set an override"
        );
        let until = set.until.map(|day| format!(" until {day}"));
        let words = format!(
            "{}{}: {}",
            set.mode.name(),
            until.unwrap_or_default(),
            set.reason
        );
        let entry = self.entry(AuditKind::OverrideSet, words);
        self.note(entry.about(&set.domain).by(&set.author)).await;
        Ok(OverrideView::of_command(&set, today, false))
    }

    pub(super) async fn expire_override(
        &self,
        domain: PolicyDomain,
        author: String,
        reason: String,
    ) -> Replied<OverrideView> {
        let _changing = self.commands.changing.lock().await;
        let now = self.clock.now();
        let reason = checked("a reason", &reason, REASON_CHARACTERS_MAX)?;
        let author = checked("an author", &author, AUTHOR_CHARACTERS_MAX)?;
        self.known()?;
        let set = self.commands.of(&domain).filter(|set| set.holds(now.day()));
        let Some(mut set) = set else {
            self.refuse_what_the_file_decides(&domain)?;
            let why = format!("no override holds for {domain}");
            return Err(Refusal::not_found(why));
        };
        let words = format!("{}: {reason}", set.mode.name());
        let entry = self.entry(AuditKind::OverrideEnded, words);
        let entry = entry.about(&set.domain).by(&author);
        set.ended = Some(EndedOverride {
            at: now,
            author,
            reason,
        });
        self.put(set.clone()).await?;
        tracing::info!(domain = %set.domain, mode = set.mode.name(), "an operator ended an override");
        self.note(entry).await;
        Ok(OverrideView::of_command(&set, now.day(), false))
    }

    /// What is done otherwise, by domain, those of the file first.
    pub(super) fn override_views(&self, asked: OverridesAsked) -> Vec<OverrideView> {
        let today = self.today();
        let loaded = self.loaded.load();
        let of_file = loaded.overrides.iter().filter(|each| match asked {
            OverridesAsked::Holding => holds(each.until, today),
            OverridesAsked::HoldingAndOfFile | OverridesAsked::All => true,
        });
        let mut views: Vec<_> = of_file
            .map(|each| OverrideView::of(each, &loaded.config, today))
            .collect();
        for set in self.commands.held().iter().flat_map(BTreeMap::values) {
            if asked == OverridesAsked::All || set.holds(today) {
                let passed_over = in_file(&loaded.overrides, &set.domain, today);
                views.push(OverrideView::of_command(set, today, passed_over));
            }
        }
        // Stable: of two for one domain that of the file stays first.
        views.sort_by(|one, other| one.domain.cmp(&other.domain));
        views
    }

    pub(super) fn overrides(&self, asked: OverridesAsked) -> Replied<Overrides> {
        self.known()?;
        Ok(Overrides {
            overrides: self.override_views(asked),
        })
    }

    pub(super) fn override_of(&self, domain: &PolicyDomain) -> Replied<Overrides> {
        let mut found = self.overrides(OverridesAsked::All)?;
        found
            .overrides
            .retain(|each| each.domain == domain.as_str());
        if found.overrides.is_empty() {
            let why = format!("nothing was ever set for {domain}");
            return Err(Refusal::not_found(why));
        }
        Ok(found)
    }

    /// The override that was set by command and holds for a domain.
    pub(super) fn commanded(&self, domain: &PolicyDomain) -> Option<CommandOverride> {
        let today = self.today();
        self.commands.of(domain).filter(|set| set.holds(today))
    }

    fn known(&self) -> Replied<()> {
        if self.knows_overrides() {
            return Ok(());
        }
        let why = "the store cannot be read, so it is not known what was set by command";
        Err(Refusal::trouble(why))
    }

    /// There is to be one truth: what stands in the file is changed there.
    fn refuse_what_the_file_decides(&self, domain: &PolicyDomain) -> Replied<()> {
        let loaded = self.loaded.load();
        if !in_file(&loaded.overrides, domain, self.today()) {
            return Ok(());
        }
        let file = loaded.path.as_ref();
        let file = file.map_or_else(String::new, |path| format!(" of {}", path.display()));
        Err(bad(format!(
            "the configuration decides for {domain}: change [domain.\"{domain}\"]{file}, and reload the daemon"
        )))
    }

    /// Where there are as many as are kept, the one that ended first goes.
    async fn make_room(&self, domain: &PolicyDomain, today: UtcDay) -> Replied<()> {
        self.known()?;
        let oldest = {
            let held = self.commands.held();
            let all = held.iter().flat_map(BTreeMap::values);
            let is_full = held
                .as_ref()
                .is_some_and(|held| held.len() >= OVERRIDES_MAX && !held.contains_key(domain));
            if !is_full {
                return Ok(());
            }
            let ended = all.filter(|set| !set.holds(today));
            let first = ended.min_by_key(|set| set.ended.as_ref().map_or(set.set_at, |end| end.at));
            first.map(|set| set.domain.clone())
        };
        let Some(oldest) = oldest else {
            let why = format!("{OVERRIDES_MAX} overrides hold: more are not kept");
            return Err(bad(why));
        };
        let gone = oldest.clone();
        self.read(move |store, _| store.remove_override(&gone))
            .await?;
        if let Some(held) = self.commands.held().as_mut() {
            held.remove(&oldest);
        }
        Ok(())
    }

    /// On the disk first: what the answers go by must survive a restart.
    async fn put(&self, set: CommandOverride) -> Replied<()> {
        let written = set.clone();
        self.read(move |store, _| store.put_override(&written))
            .await?;
        if let Some(held) = self.commands.held().as_mut() {
            held.insert(set.domain.clone(), set);
        }
        self.apply_overrides();
        Ok(())
    }
}

fn in_file(of_file: &[Override], domain: &PolicyDomain, today: UtcDay) -> bool {
    let mut of_domain = of_file.iter().filter(|each| each.scope.is(domain));
    of_domain.any(|each| holds(each.until, today))
}

fn bad(why: String) -> Refusal {
    Refusal::new(RefusalKind::BadRequest, why)
}

/// A text that says something, in bounds.
fn checked(what: &str, text: &str, characters_max: usize) -> Replied<String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(bad(format!("an override needs {what}")));
    }
    if text.chars().count() > characters_max {
        return Err(bad(format!(
            "{what} has {characters_max} characters at most"
        )));
    }
    Ok(text.to_owned())
}
