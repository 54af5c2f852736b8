//! Destinations that refuse reports, or bounce them, are left out for a while (F9, F18).

use std::sync::Arc;

use sealpost::{
    clock::{Clock as _, SECONDS_PER_DAY, UtcDay},
    deliver::{
        Step,
        courier::Courier,
        listing::{Listed, Note},
        suppression::NextHop,
    },
    policy::Destination,
};
use sealpost_kit::MxBehaviour;

use super::world::{DAY, World};

fn day(number: u32) -> UtcDay {
    UtcDay(DAY.0 + number)
}

/// The reports of the `number`th day, on the morning after it.
async fn send(world: &World, courier: &Arc<Courier>, number: u32) -> Vec<Listed> {
    world
        .clock
        .set(day(number).next().first_second().plus_seconds(3_600));
    courier.send_day(day(number), None).await.unwrap()
}

/// Why the destinations of the first domain are left out.
fn left_out(listed: &[Listed]) -> Vec<String> {
    match &listed[0].note {
        Some(Note::LeftOut(left_out)) => left_out.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

fn mailbox(name: &str) -> Destination {
    Destination::Mail(name.to_owned())
}

fn attempts(world: &World) -> usize {
    world.transport.left_at.lock().unwrap().len()
}

#[tokio::test]
async fn f9_a_mailbox_that_refuses_is_left_out_for_growing_periods_over_restarts() {
    let world = World::new().await;
    world.domain("a.test", &["mailto:r@a.test"]);
    for number in 1..13 {
        world.session("a.test", day(number));
    }
    let refuses = MxBehaviour::RefusesRecipients(550);
    world.mx.set_behaviour("mx.test", refuses);
    let mut asked = Vec::new();
    for number in 0..13 {
        let before = attempts(&world);
        // A process of its own for each day: the store alone knows.
        let listed = send(&world, &world.courier(), number).await;
        if attempts(&world) > before {
            asked.push(number);
        } else {
            let [why] = left_out(&listed).try_into().unwrap();
            assert!(
                why.starts_with("mailto:r@a.test: suppressed until 2026-1"),
                "{why}"
            );
            assert!(why.contains("550 This recipient is refused"), "{why}");
        }
    }
    assert_eq!(asked, [0, 3, 10], "after 3 days, then after 7");
    // It takes mail again, and the operator looks.
    world.mx.set_behaviour("mx.test", MxBehaviour::Correct);
    let courier = world.courier();
    let domain = "a.test".parse().unwrap();
    courier.send_day(day(12), Some(&domain)).await.unwrap();
    assert_eq!(world.taken("a.test").len(), 1);
    assert_eq!(courier.suppressed_destinations().await.unwrap(), []);
}

#[tokio::test]
async fn f18_one_refusal_spares_every_domain_that_names_the_mailbox_and_https_gets_its_turn() {
    let world = World::new().await;
    let uri = world.uri("r");
    world.dns.set_mx("null.test", &[(0, ".")]);
    // However a record writes the mailbox.
    world.domain("a.test", &["mailto:TLS@null.test", &uri]);
    world.session("a.test", day(1));
    let courier = world.courier();
    send(&world, &courier, 0).await;
    assert_eq!(world.posted("a.test").len(), 1);
    assert_eq!(attempts(&world), 1);
    world.session("b.test", day(1));
    world.publish("b.test", &["mailto:tls@null.test"]);
    let listed = send(&world, &courier, 1).await;
    assert_eq!(attempts(&world), 1, "neither domain's report is tried");
    assert_eq!(world.posted("a.test").len(), 2, "the URI gets both");
    assert!(left_out(&listed)[0].contains("takes no mail (null MX)"));
    assert!(left_out(&listed[1..])[0].starts_with("mailto:tls@null.test: suppressed until"));
}

#[tokio::test]
async fn f9_what_a_relay_refuses_to_everybody_suppresses_nobody() {
    let mut world = World::new().await;
    world.settings.next_hop = NextHop::Relay;
    world.domain("a.test", &["mailto:r@a.test"]);
    let refuses = MxBehaviour::RefusesMessages(554);
    world.mx.set_behaviour("mx.test", refuses);
    let courier = world.courier();
    send(&world, &courier, 0).await;
    assert_eq!(courier.suppressed_destinations().await.unwrap(), []);
}

#[tokio::test]
async fn f9_the_operator_adds_and_lifts_and_what_is_under_way_to_a_suppressed_one_is_given_up() {
    let world = World::new().await;
    world.domain("a.test", &["mailto:r@a.test"]);
    let later = MxBehaviour::RefusesRecipients(450);
    world.mx.set_behaviour("mx.test", later);
    let courier = world.courier();
    send(&world, &courier, 0).await;
    let to = mailbox("r@a.test");
    let until = world.clock.now().plus_seconds(SECONDS_PER_DAY);
    courier
        .suppress_until(&to, Some(until), "by phone")
        .await
        .unwrap();
    world.mx.set_behaviour("mx.test", MxBehaviour::Correct);
    let domain = "a.test".parse().unwrap();
    let listed = courier.send_day(DAY, Some(&domain)).await.unwrap();
    let Step::GivenUp { reason, .. } = &listed[0].deliveries[0].1.step else {
        panic!("{listed:?}");
    };
    assert!(reason.ends_with("by the operator: by phone"), "{reason}");
    assert!(courier.lift(&to).await.unwrap().is_some());
    assert_eq!(courier.lift(&to).await.unwrap(), None);
    courier.send_day(DAY, Some(&domain)).await.unwrap();
    assert_eq!(world.taken("a.test").len(), 1);
}
