//! What the store keeps of decisions: destinations that get nothing, overrides that were set by command, and the audit
//! log.

use sealpost::{
    clock::{Timestamp, UtcDay},
    config::OverrideMode,
    deliver::suppression::SetBy,
    hook::overrides::{CommandOverride, EndedOverride},
    observe::audit::{AuditEntry, AuditKind},
    policy::Destination,
    store::{AuditShown, Chain, Store},
};

use super::{DAY, NOW, both, domain, suppression};

#[test]
fn f9_a_suppressed_destination_is_kept_until_it_is_removed() {
    both(|store| {
        let (mail, mut stands) = suppression("550 no such user");
        store.put_suppression(&mail, &stands).unwrap();
        stands.set_by = SetBy::Refusals;
        stands.until = None;
        store.put_suppression(&mail, &stands).unwrap();
        let web = Destination::Https(format!("https://a.example/{}", "x".repeat(10_000)));
        store.put_suppression(&web, &stands).unwrap();
        let both = vec![
            (mail.clone(), stands.clone()),
            (web.clone(), stands.clone()),
        ];
        assert_eq!(store.suppressions(), Ok(both));
        // It is of no day.
        assert_eq!(store.days(), Ok(vec![]));
        store.remove_suppression(&mail).unwrap();
        assert_eq!(store.suppressions(), Ok(vec![(web, stands)]));
    });
}

pub(super) fn overridden(name: &str, mode: OverrideMode, until: Option<UtcDay>) -> CommandOverride {
    CommandOverride {
        domain: domain(name),
        mode,
        until,
        reason: "their MX moves".to_owned(),
        author: "root".to_owned(),
        set_at: NOW,
        ended: None,
    }
}

#[test]
fn an_override_is_kept_as_it_was_set_and_as_it_ended() {
    both(|store| {
        let mut all: Vec<_> = OverrideMode::ALL
            .into_iter()
            .map(|mode| overridden(&format!("{}.example", mode.name()), mode, None))
            .collect();
        all.sort_by(|one, other| one.domain.cmp(&other.domain));
        all[0].until = Some(DAY);
        all[1].reason = "x".repeat(10_000);
        all[2].ended = Some(EndedOverride {
            at: NOW.plus_seconds(1),
            author: "Ada (as root)".to_owned(),
            reason: "it has moved".to_owned(),
        });
        for set in &all {
            store.put_override(set).unwrap();
        }
        assert_eq!(store.overrides(), Ok(all.clone()));
        // One domain has one; and it is of no day.
        all[3].mode = OverrideMode::Off;
        store.put_override(&all[3]).unwrap();
        assert_eq!(store.overrides(), Ok(all.clone()));
        assert_eq!(store.days(), Ok(vec![]));
        let gone = all.remove(0);
        store.remove_override(&gone.domain).unwrap();
        assert_eq!(store.overrides(), Ok(all));
    });
}

pub(super) fn shown(store: &dyn Store) -> Vec<AuditShown> {
    let mut all = Vec::new();
    store.audit(&mut |one| all.push(one)).unwrap();
    all
}

pub(super) fn chain_of(shown: &[AuditShown]) -> Chain {
    let mut chain = Chain::default();
    shown.iter().for_each(|one| chain.take(one));
    chain
}

#[test]
fn the_audit_log_is_one_chain_and_forgets_from_its_beginning_only() {
    both(|store| {
        let entry = |day: UtcDay, words: &str| {
            AuditEntry::new(day.first_second(), AuditKind::OverrideSet, words)
                .about(&domain("a.example"))
                .by("root")
        };
        let days = [DAY, DAY, DAY.next(), DAY, DAY.next()];
        for (number, day) in days.into_iter().enumerate() {
            store
                .append_audit(&[entry(day, &number.to_string())])
                .unwrap();
        }
        let two = [
            entry(DAY.next(), &"x".repeat(5_000)),
            entry(DAY.next(), "last"),
        ];
        store.append_audit(&two).unwrap();
        let before = shown(store);
        assert_eq!(chain_of(&before).broken_at(), None);
        assert_eq!(chain_of(&before).entries(), 7);
        let AuditShown::Record(second) = &before[2] else {
            panic!("{:?}", before[2]);
        };
        assert_eq!((second.number, &second.entry), (2, &entry(DAY, "1")));
        // The fourth is old too, but a younger one lies before it.
        store.forget_audit(DAY.next().first_second()).unwrap();
        let after = shown(store);
        assert_eq!(after[1..], before[3..]);
        assert_eq!(chain_of(&after).broken_at(), None);
        assert_eq!(chain_of(&after).first(), Some(3));
        // The newest stays, so that what follows is numbered on.
        store.forget_audit(Timestamp(i64::MAX)).unwrap();
        store.append_audit(&[entry(DAY, "more")]).unwrap();
        let chain = chain_of(&shown(store));
        assert_eq!((chain.first(), chain.last().number), (Some(7), 8));
        assert_eq!(chain.broken_at(), None);
        // It is of no day.
        assert_eq!(store.days(), Ok(vec![]));
    });
}
