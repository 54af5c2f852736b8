//! What one destination host is spared, however many domains name it (G2).

use std::sync::Arc;

use sealpost::{
    clock::Clock as _,
    deliver::{
        destinations::Why,
        listing::{Listed, Note},
    },
};

use super::world::{DAY, World};

/// Domains without their own mail host that all name one mailbox.
fn name_a_victim(world: &World, count: usize) -> Vec<String> {
    world.dns.set_mx("victim.test", &[(10, "mx.test")]);
    let domains: Vec<_> = (0..count).map(|n| format!("d{n}.test")).collect();
    for domain in &domains {
        world.session(domain, DAY);
        world.publish(domain, &["mailto:tls@victim.test"]);
    }
    domains
}

fn is_left_out(listed: &Listed) -> bool {
    let full = |note: &Note| match note {
        Note::LeftOut(left_out) => left_out.iter().all(|one| one.why == Why::HostFull(3)),
        _ => false,
    };
    listed.note.as_ref().is_some_and(full)
}

#[tokio::test]
async fn g2_what_is_more_than_a_host_is_to_get_of_a_day_is_left_out_and_counted_once() {
    let mut world = World::new().await;
    // One errand after the other, so that the count is exact.
    world.settings.concurrent_max = 1;
    world.settings.rules.per_host_per_day_max = 3;
    name_a_victim(&world, 8);
    world.domain("other.test", &["mailto:r@other.test"]);
    world.clock.set(DAY.next().first_second());
    let courier = world.courier();
    for _ in 0..2 {
        let listed = courier.send_day(DAY, None).await.unwrap();
        assert_eq!(listed.iter().filter(|one| is_left_out(one)).count(), 5);
        assert_eq!(world.counters.reports_left_out_host_full.value(), 5);
    }
    // A process that begins anew counts what is on the disk.
    world.courier().send_day(DAY, None).await.unwrap();
    assert_eq!(world.mx.messages().len(), 3 + 1);
    // The next day is another.
    world.session("d0.test", DAY.next());
    world.clock.set(DAY.next().next().first_second());
    world.courier().send_day(DAY.next(), None).await.unwrap();
    assert_eq!(world.mx.messages().len(), 3 + 1 + 1);
}

#[tokio::test]
async fn g2_so_many_attempts_to_a_host_begin_within_a_minute_and_the_others_wait_their_turn() {
    let mut world = World::new().await;
    world.settings.host_limits.per_minute_max = 2;
    name_a_victim(&world, 5);
    world.domain("other.test", &["mailto:r@other.test"]);
    // All of them are overdue at once.
    world.clock.set(DAY.next().next().first_second());
    let daemon = world.daemon();
    assert_eq!(world.mx.wait_for_messages(2 + 1).await.len(), 3);
    for expected in [5, 6] {
        world.clock.advance_seconds(60);
        let taken = world.mx.wait_for_messages(expected).await;
        assert_eq!(taken.len(), expected);
    }
    daemon.abort();
    let left_at = world.transport.left_at.lock().unwrap();
    let began = world.clock.now().plus_seconds(-120);
    let mut minutes: Vec<_> = left_at
        .iter()
        .filter(|(_, to)| to == "tls@victim.test")
        .map(|(at, _)| at.seconds_since(began) / 60)
        .collect();
    minutes.sort_unstable();
    assert_eq!(minutes, [0, 0, 1, 1, 2]);
}

#[tokio::test]
async fn g2_who_sends_a_day_on_demand_waits_for_the_turn_of_each() {
    let mut world = World::new().await;
    world.settings.host_limits.per_minute_max = 2;
    name_a_victim(&world, 3);
    world.clock.set(DAY.next().first_second());
    let courier = world.courier();
    let sending = tokio::spawn({
        let courier = Arc::clone(&courier);
        async move { courier.send_day(DAY, None).await }
    });
    assert_eq!(world.mx.wait_for_messages(2).await.len(), 2);
    world.clock.advance_seconds(60);
    sending.await.unwrap().unwrap();
    assert_eq!(world.mx.messages().len(), 3);
}
