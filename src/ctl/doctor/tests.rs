//! Each trap, set, is found by its name; a machine on which nothing is wrong walks into none.

use std::{collections::BTreeMap, path::Path};

use super::{
    EXAMINATIONS,
    access::{Reach, User},
    clock, configuration, daemon, exim,
    finding::{Examined, State},
    limits, page, postfix, resolver, roots, sender, sessions, signing, sockets, store, wanted,
    way_out,
};
use crate::{
    clock::{Timestamp, UtcDay},
    config::{ConfigError, Problem, explain::tests::check_made},
    ctl::{
        setup::{About, Installed, Lack, NotSeen},
        wire::{DnssecView, StoreState},
    },
    net::smtp::greeting::Unspoken,
    report::dmarc::DmarcPolicy,
};

mod machine;
mod mail_servers;
mod reports;

/// A trap by its name, and what an examination came to with it set.
type Case = (&'static str, Examined);

/// Sets something in the facts of a machine on which nothing is wrong.
fn with<T: Clone>(well: &T, set: impl FnOnce(&mut T)) -> T {
    let mut facts = well.clone();
    set(&mut facts);
    facts
}

fn cases() -> Vec<Case> {
    [machine::cases(), mail_servers::cases(), reports::cases()].concat()
}

#[test]
fn each_trap_is_found_where_it_is_set() {
    for (name, examined) in cases() {
        let found: Vec<&str> = examined
            .findings
            .iter()
            .map(|finding| finding.trap.name)
            .collect();
        assert_eq!(found, [name], "{examined:#?}");
        let finding = &examined.findings[0];
        assert!(
            !finding.seen.is_empty() && !finding.seen.ends_with(": "),
            "{finding:?}"
        );
        assert_eq!(examined.state(), finding.trap.state, "{name}");
    }
}

#[test]
fn every_trap_has_a_case_that_sets_it() {
    let set: Vec<&str> = cases().iter().map(|(name, _)| *name).collect();
    for trap in EXAMINATIONS.iter().flat_map(|one| one.traps) {
        assert!(set.contains(&trap.name), "nothing sets {}", trap.name);
    }
}

#[test]
fn a_machine_on_which_nothing_is_wrong_walks_into_no_trap() {
    for examined in [machine::well(), mail_servers::well(), reports::well()].concat() {
        assert_eq!(examined.findings, [], "{examined:#?}");
        assert_eq!(examined.unknown, [""; 0], "{examined:#?}");
        assert!(!examined.well.is_empty());
        assert_eq!(examined.state(), State::Well);
    }
}

#[test]
fn what_cannot_be_seen_is_neither_well_nor_wrong() {
    for examined in [machine::unseen(), mail_servers::unseen(), reports::unseen()].concat() {
        assert_eq!(examined.findings, [], "{examined:#?}");
        assert_eq!(examined.state(), State::NotKnown, "{examined:#?}");
        assert!(
            examined.unknown.iter().all(|why| !why.is_empty()),
            "{examined:?}"
        );
    }
}

#[test]
fn names_are_names_and_sentences_are_sentences() {
    let mut names: Vec<&str> = Vec::new();
    for one in EXAMINATIONS {
        names.push(one.name);
        assert!(one.text.ends_with(['.', '?']), "{}", one.text);
        for trap in one.traps {
            names.push(trap.name);
            assert!(trap.state > State::NotKnown, "{}", trap.name);
            for text in [trap.cause, trap.cure] {
                assert!(text.is_ascii() && text.ends_with('.'), "{text}");
                assert!(!text.contains("  ") && !text.starts_with(' '), "{text}");
            }
        }
    }
    for name in &names {
        let plain =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        assert!(name.chars().all(plain), "{name}");
        let times = names.iter().filter(|other| other == &name).count();
        assert_eq!(times, 1, "{name}");
    }
}

#[test]
fn the_page_is_what_the_tables_make() {
    check_made("docs/guide/doctor.md", &page::markdown(EXAMINATIONS));
}

#[test]
fn an_examination_is_found_by_its_name_or_by_a_trap_of_its() {
    let names = |given: &[&str]| {
        let given: Vec<String> = given.iter().map(ToString::to_string).collect();
        let found = wanted(&given).map_err(|error| error.to_string());
        found.map(|found| found.iter().map(|one| one.name).collect::<Vec<_>>())
    };
    assert_eq!(names(&[]).unwrap().len(), EXAMINATIONS.len());
    assert_eq!(
        names(&["store", "clock", "store"]).unwrap(),
        ["store", "clock"]
    );
    assert_eq!(names(&["store-disk-full"]).unwrap(), ["store"]);
    assert_eq!(
        names(&["postfx"]).unwrap_err(),
        "there is no examination \"postfx\"; did you mean \"postfix\"?"
    );
}

#[test]
fn what_is_shown_names_the_worst_first_and_says_what_to_do() {
    let store = &EXAMINATIONS[2];
    let mut examined = store::judge(&machine::store());
    examined.unknown("who it belongs to\n\u{1b}[31m");
    let bad = store::judge(&with(&machine::store(), |facts| {
        facts.path = "/tmp/\u{1b}[31mstore".into();
        facts.reach = Some(Reach::No("x may not write to it".to_owned()));
    }));
    let text = page::results_as_text(&page::results(&[(store, examined), (store, bad)]));
    let expected = [
        "?     store  1 thing not known\n",
        "FAIL  store  store-not-writable\n",
        "\nFAIL  store: store-not-writable\n        seen   x may not write to it\n        means  The daemon's",
        "        do     Give it to the daemon's user",
        "                 chown -R 990: /tmp/\\u{1b}[31mstore\n",
        "\n?     not known\n        - store: who it belongs to\\n\\u{1b}[31m\n",
    ];
    for words in expected {
        assert!(text.contains(words), "{words}\n---\n{text}");
    }
    assert!(!text.contains('\u{1b}'));
}
