//! Invariant 4: a report leaves once for each (domain, day, destination), across any crash.
//!
//! The process is ended at each of its steps in turn, a second one starts on what the disk holds, and
//! the copies that arrived are counted.

use std::collections::BTreeSet;

use sealpost::deliver::{Step, outbox};

use sealpost_kit::MxBehaviour;

use super::{
    given_up_because, is_sent,
    world::{DAY, Death, RETRY, World},
};

const MAILBOXES: [&str; 2] = ["one@a.test", "two@a.test"];
/// Two destinations: each is written as due, as being sent, and as sent.
const WRITES: usize = 6;

/// Every step of two deliveries that a process may die at.
fn deaths() -> impl Iterator<Item = Death> {
    let writes = (1..=WRITES).flat_map(|n| [Death::BeforeWrite(n), Death::AfterWrite(n)]);
    let sends = (1..=2).flat_map(|n| [Death::BeforeSend(n), Death::AfterSend(n)]);
    writes.chain(sends)
}

/// The deaths that cost a second copy: where the receiver had the report and its answer did not reach the
/// disk.
const SECOND_COPIES: [Death; 4] = [
    Death::BeforeWrite(4),
    Death::BeforeWrite(6),
    Death::AfterSend(1),
    Death::AfterSend(2),
];

async fn world() -> World {
    let world = World::new().await;
    world.domain("a.test", &["mailto:one@a.test", "mailto:two@a.test"]);
    world.clock.set(world.due_at("a.test"));
    world
}

fn all_sent(world: &World) -> bool {
    MAILBOXES.iter().all(|mailbox| {
        matches!(world.state("a.test", mailbox), Some(state) if matches!(state.step, Step::Sent(_)))
    })
}

/// How many copies each mailbox got. All must carry one report-id, and no two one Message-ID.
fn copies(world: &World) -> [usize; 2] {
    let taken = world.taken("a.test");
    let ids: BTreeSet<_> = taken.iter().map(|(_, id, _)| id).collect();
    assert_eq!(ids.len(), 1, "one report-id: {taken:?}");
    MAILBOXES.map(|mailbox| taken.iter().filter(|(to, ..)| to == mailbox).count())
}

#[tokio::test]
async fn f16_killed_at_any_step_no_report_is_lost_and_a_second_copy_has_the_same_id() {
    let mut second_copies = Vec::new();
    for death in deaths() {
        let world = world().await;
        die_and_begin_again(&world, death, || all_sent(&world)).await;
        let copies = copies(&world);
        assert!(
            copies.iter().all(|count| (1..=2).contains(count)),
            "{death:?}: {copies:?}"
        );
        assert!(copies.iter().sum::<usize>() <= 3, "{death:?}: {copies:?}");
        if copies != [1, 1] {
            second_copies.push(death);
        }
    }
    assert_eq!(second_copies, SECOND_COPIES);
}

/// Ends the process so, begins a second one, and waits until this is so.
async fn die_and_begin_again(world: &World, death: Death, is_done: impl Fn() -> bool) {
    world.fate.dies(death);
    let first = world.daemon();
    world
        .until("the process dies", || world.fate.is_dead())
        .await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    world.fate.revive();
    let second = world.daemon();
    world.until("all is done", is_done).await;
    second.abort();
}

#[tokio::test]
async fn f16_killed_at_any_step_of_a_post_it_is_the_same() {
    let mut second_copies = Vec::new();
    for death in deaths() {
        let world = World::new().await;
        let uris = [world.uri("one"), world.uri("two")];
        world.domain("a.test", &[&uris[0], &uris[1]]);
        world.clock.set(world.due_at("a.test"));
        let is_done = || uris.iter().all(|uri| is_sent(&world, "a.test", uri));
        die_and_begin_again(&world, death, is_done).await;
        let posted = world.posted("a.test");
        let ids: BTreeSet<_> = posted.iter().map(|(_, id)| id).collect();
        assert_eq!(ids.len(), 1, "one report-id: {posted:?}");
        if posted.len() != 2 {
            assert_eq!(posted.len(), 3, "{death:?}: {posted:?}");
            second_copies.push(death);
        }
    }
    assert_eq!(second_copies, SECOND_COPIES);
}

#[tokio::test]
async fn a13_f16_killed_while_the_last_mailbox_is_lost_https_still_gets_the_report() {
    // The mailbox is due, being tried, given up; then the URI is due, being sent, sent.
    for death in deaths() {
        let world = World::new().await;
        let uri = world.uri("r");
        world.domain("a.test", &["mailto:r@a.test", &uri]);
        world
            .mx
            .set_behaviour("mx.test", MxBehaviour::RefusesRecipients(550));
        world.clock.set(world.due_at("a.test"));
        die_and_begin_again(&world, death, || is_sent(&world, "a.test", &uri)).await;
        assert!(given_up_because(&world, "a.test", "r@a.test").is_some());
        let copies = world.posted("a.test").len();
        let may_be_two = matches!(death, Death::BeforeWrite(6) | Death::AfterSend(2));
        assert_eq!(copies, 1 + usize::from(may_be_two), "{death:?}");
    }
}

#[tokio::test]
async fn f16_a_disk_that_refuses_a_write_stops_the_step_and_costs_no_second_copy() {
    for number in 1..=WRITES {
        let world = world().await;
        world.fate.refuses_write(number);
        let courier = world.courier();
        courier.send_day(DAY, None).await.unwrap();
        assert!(!all_sent(&world), "write {number} is missing");
        let listed = courier.list(DAY).await.unwrap();
        let held_up = listed[0].note.clone().unwrap().to_string();
        assert!(held_up.contains("refused by the trial"), "{held_up}");
        // What was taken is known to be taken, though the disk does not say so yet.
        let known = listed[0]
            .deliveries
            .iter()
            .filter(|(_, state)| outbox::is_finished(state));
        assert_eq!(known.count(), world.mx.messages().len(), "write {number}");

        world.clock.advance_seconds(RETRY);
        courier.send_day(DAY, None).await.unwrap();
        assert!(all_sent(&world), "write {number}");
        assert_eq!(copies(&world), [1, 1], "write {number}");
    }
}

#[tokio::test]
async fn f16_killed_twice_in_a_row_and_down_for_an_hour() {
    let world = world().await;
    world.fate.dies(Death::AfterSend(1));
    let first = world.daemon();
    world
        .until("the process dies", || world.fate.is_dead())
        .await;
    first.abort();
    world.fate.revive();
    world.clock.advance_seconds(3_600);
    world.fate.dies(Death::BeforeSend(2));
    let second = world.daemon();
    world
        .until("the process dies", || world.fate.is_dead())
        .await;
    second.abort();
    world.fate.revive();
    world.clock.advance_seconds(3_600);
    let third = world.daemon();
    world.until("all is sent", || all_sent(&world)).await;
    third.abort();
    assert_eq!(copies(&world), [2, 1]);
    let attempts = MAILBOXES.map(|mailbox| world.state("a.test", mailbox).unwrap().attempts);
    assert_eq!(attempts, [3, 1]);
}
