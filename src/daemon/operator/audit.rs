//! What operators ask about decisions, and what is noted of them.

use std::collections::VecDeque;

use super::Operator;
use crate::{
    clock::UtcDay,
    config::{Loaded, Override, OverrideScope},
    ctl::{
        control::{AuditQuestion, Replied},
        wire::{Audit, AuditView, ChainView, hexadecimal},
    },
    observe::audit::{AuditEntry, AuditKind},
    policy::PolicyDomain,
    record::protection::Protection,
    store::{AuditShown, Chain, Protected},
};

/// How many domains of a day are noted one by one whose mail was refused, those with the most sessions first.
const REFUSED_DOMAINS_MAX: usize = 1_000;

impl Operator {
    pub(super) async fn audit(&self, question: AuditQuestion) -> Replied<Audit> {
        self.auditor.synced().await;
        self.read(move |store, _| {
            let mut chain = Chain::default();
            let mut entries = VecDeque::new();
            let mut earlier = 0_u64;
            let most = question
                .entries_max
                .map(|most| usize::try_from(most).unwrap_or(usize::MAX));
            store.audit(&mut |shown| {
                chain.take(&shown);
                let AuditShown::Record(record) = shown else {
                    return;
                };
                let about = &question.domain;
                let is_asked = question
                    .since
                    .is_none_or(|day| record.entry.at >= day.first_second())
                    && (about.is_none() || record.entry.domain == *about)
                    && question.kind.is_none_or(|kind| record.entry.kind == kind)
                    && question.before.is_none_or(|before| record.number < before);
                if !is_asked {
                    return;
                }
                entries.push_back(AuditView::of(&record));
                if most.is_some_and(|most| entries.len() > most) {
                    entries.pop_front();
                    earlier = earlier.saturating_add(1);
                }
            })?;
            Ok(Audit {
                entries: entries.into(),
                earlier,
                chain: ChainView {
                    whole: chain.broken_at().is_none(),
                    broken_at: chain.broken_at(),
                    entries: chain.entries(),
                    first: chain.first(),
                    last: chain.last().number,
                    sha256: hexadecimal(&chain.last().hash),
                },
            })
        })
        .await
    }

    /// Notes a decision, and returns when it is on the disk or the disk does not take it now.
    pub(super) async fn note(&self, entry: AuditEntry) {
        self.auditor.note(entry);
        self.auditor.synced().await;
    }

    pub(super) fn entry(&self, kind: AuditKind, words: impl Into<String>) -> AuditEntry {
        AuditEntry::new(self.clock.now(), kind, words)
    }

    /// The day of the newest entry: what time decides was noted up to then. Whoever asks does so before anything is
    /// noted.
    pub(super) async fn last_noted_day(&self) -> Option<UtcDay> {
        let newest = self.read(|store, _| {
            let mut newest = None;
            store.audit(&mut |shown| {
                if let AuditShown::Record(record) = shown {
                    newest = newest.max(Some(record.entry.at.day()));
                }
            })?;
            Ok(newest)
        });
        newest.await.ok().flatten()
    }

    /// Notes that the daemon started or stopped.
    pub fn note_of_daemon(&self, kind: AuditKind) {
        let words = concat!("sealpost ", env!("CARGO_PKG_VERSION"));
        self.auditor.note(self.entry(kind, words));
    }

    /// Notes what a configuration that was read again changes for mail.
    pub(super) fn note_reload(&self, old: &Loaded, new: &Loaded) {
        let words = changes(old, new);
        self.auditor.note(self.entry(AuditKind::Reloaded, words));
    }

    /// Notes whose mail was refused on a day that is over.
    pub(super) async fn note_refused(&self, day: UtcDay) {
        let found = self.read_newest(move |store, _| store.protected(day)).await;
        let Ok(protected) = found else {
            return;
        };
        let refused = |protected: &Protected| protected.sessions(Protection::Refused);
        let mut domains: Vec<(PolicyDomain, u64)> = protected
            .iter()
            .map(|(domain, protected)| (domain.clone(), refused(protected)))
            .filter(|(_, sessions)| *sessions > 0)
            .collect();
        domains.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        let further = domains.split_off(domains.len().min(REFUSED_DOMAINS_MAX));
        for (domain, sessions) in &domains {
            let words = format!("{sessions} sessions on {day}");
            let entry = self.entry(AuditKind::MailRefused, words).about(domain);
            self.auditor.note(entry);
        }
        if !further.is_empty() {
            let sessions: u64 = further.iter().map(|(_, sessions)| sessions).sum();
            let words = format!(
                "{sessions} sessions on {day}, with {} further domains",
                further.len()
            );
            self.auditor.note(self.entry(AuditKind::MailRefused, words));
        }
    }
}

/// What differs, as far as it changes mail at once; the rest is taken up at the next start.
fn changes(old: &Loaded, new: &Loaded) -> String {
    let mut said = Vec::new();
    let find = |all: &[Override], scope: &OverrideScope| {
        all.iter().find(|each| each.scope == *scope).cloned()
    };
    let in_words = |each: &Override| {
        let until = each.until.map(|day| format!(" until {day}"));
        format!(
            "{} for {}{}",
            each.mode.name(),
            each.scope,
            until.unwrap_or_default()
        )
    };
    for each in &new.overrides {
        if find(&old.overrides, &each.scope).as_ref() != Some(each) {
            said.push(format!("override {}", in_words(each)));
        }
    }
    for each in &old.overrides {
        if find(&new.overrides, &each.scope).is_none() {
            said.push(format!("no override any more: {}", in_words(each)));
        }
    }
    if old.config.policy.when_unknown != new.config.policy.when_unknown {
        let now = format!("{:?}", new.config.policy.when_unknown).to_lowercase();
        said.push(format!("policy.when_unknown is {now}"));
    }
    if old.config.dane != new.config.dane {
        said.push("[dane] has changed".to_owned());
    }
    if said.is_empty() {
        return "nothing that changes mail at once".to_owned();
    }
    said.join("; ")
}
