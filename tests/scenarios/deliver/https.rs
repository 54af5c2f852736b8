//! Reports to `https:` destinations: which get one, and what comes of it.

use sealpost::{
    clock::Clock as _,
    deliver::{
        Step,
        destination_map::{MapAction, MapRule},
        destinations::{LeftOut, Order, Why},
        listing::Note,
    },
    policy::Destination,
};
use sealpost_kit::{Answer, MxBehaviour};

use super::{
    given_up_because, is_sent,
    world::{DAY, World},
};

/// The ID of every report of `a.test`.
const ID: &str = "2026-11-23.a.test@sender.test";

async fn after_midnight() -> World {
    let world = World::new().await;
    world.clock.set(DAY.next().first_second());
    world
}

fn left_out(uri: &str, why: Why) -> Option<Note> {
    Some(Note::LeftOut(vec![LeftOut {
        destination: Destination::Https(uri.to_owned()),
        why,
    }]))
}

#[tokio::test]
async fn a13_f22_a_mailbox_comes_first_and_https_where_there_is_none() {
    let world = after_midnight().await;
    let uri = world.uri("r");
    world.domain("a.test", &[&uri]);
    world.domain("both.test", &[&uri, "mailto:r@both.test"]);
    let listed = world.courier().send_day(DAY, None).await.unwrap();
    assert!(is_sent(&world, "a.test", &uri));
    assert_eq!(world.posted("a.test"), [("/r".to_owned(), ID.to_owned())]);
    assert!(is_sent(&world, "both.test", "r@both.test"));
    assert_eq!(world.posted("both.test"), []);
    assert_eq!(listed[1].note, left_out(&uri, Why::MailFirst));
    assert_eq!(world.counters.reports_sent.value(), 2);
}

#[tokio::test]
async fn a13_when_every_mailbox_is_lost_https_gets_the_report() {
    let world = after_midnight().await;
    let uri = world.uri("r");
    let rua = ["mailto:one@a.test", &uri, "mailto:two@null.test"];
    world.domain("a.test", &rua);
    world.dns.set_mx("null.test", &[(0, ".")]);
    let busy = MxBehaviour::RefusesRecipients(450);
    world.mx.set_behaviour("mx.test", busy);
    let courier = world.courier();
    courier.send_day(DAY, None).await.unwrap();
    assert!(given_up_because(&world, "a.test", "two@null.test").is_some());
    assert_eq!(world.posted("a.test"), [], "one mailbox may yet take it");

    let final_word = MxBehaviour::RefusesRecipients(550);
    world.mx.set_behaviour("mx.test", final_word);
    let listed = courier.send_day(DAY, None).await.unwrap();
    assert!(given_up_because(&world, "a.test", "one@a.test").is_some());
    assert!(is_sent(&world, "a.test", &uri));
    assert_eq!(world.posted("a.test"), [("/r".to_owned(), ID.to_owned())]);
    assert_eq!(listed[0].note, None);
}

#[tokio::test]
async fn a13_all_destinations_get_one_where_the_operator_says_so() {
    let mut world = after_midnight().await;
    world.settings.rules.order = Order::All;
    let (one, two) = (world.uri("one"), world.uri("two"));
    world.domain("a.test", &[&one, "mailto:r@a.test", &two]);
    world.courier().send_day(DAY, None).await.unwrap();
    for to in [one.as_str(), "r@a.test", two.as_str()] {
        assert!(is_sent(&world, "a.test", to), "{to}");
    }
    assert_eq!(world.posted("a.test").len(), 2);
    assert_eq!(world.taken("a.test").len(), 1);
}

#[tokio::test]
async fn f16_f20_a_busy_report_host_is_left_alone_and_gets_the_same_report_later() {
    let world = World::new().await;
    let uri = world.uri("r");
    world.domain("a.test", &[&uri]);
    let busy = Answer::retry_after(503, "7200");
    world.web.set_answer("report.test", busy);
    world.clock.set(world.due_at("a.test"));
    let daemon = world.daemon();
    let waits = || {
        let state = world.state("a.test", &uri);
        matches!(state, Some(state) if matches!(state.step, Step::RetryAt { .. }))
    };
    world.until("the attempt failed", waits).await;
    let state = world.state("a.test", &uri).unwrap();
    assert_eq!(
        state.step,
        Step::RetryAt {
            at: world.clock.now().plus_seconds(7_200),
            reason: "503 Service Unavailable from report.test [127.0.0.1] to the report".to_owned(),
        }
    );
    world.web.set_answer("report.test", Answer::taken());
    world.clock.advance_seconds(7_200);
    world
        .until("it is sent", || is_sent(&world, "a.test", &uri))
        .await;
    daemon.abort();
    let post = ("/r".to_owned(), ID.to_owned());
    assert_eq!(world.posted("a.test"), [post.clone(), post]);
    assert_eq!(world.counters.report_attempts_failed.value(), 1);
}

#[tokio::test]
async fn f20_a_final_status_is_given_up_and_a_port_that_is_not_allowed_not_gone_to() {
    let mut world = after_midnight().await;
    let uri = world.uri("r");
    world.domain("a.test", &[&uri]);
    world.web.set_answer("report.test", Answer::status(410));
    world.courier().send_day(DAY, None).await.unwrap();
    let reason = given_up_because(&world, "a.test", &uri).unwrap();
    assert!(reason.starts_with("410 Gone: "), "{reason}");
    assert_eq!(world.counters.reports_given_up.value(), 1);

    world.settings.rules.https_ports = vec![443];
    world.domain("b.test", &[&uri]);
    let listed = world.courier().send_day(DAY, None).await.unwrap();
    let port = world.web.address().port();
    assert_eq!(listed[1].note, left_out(&uri, Why::Port(port)));
    assert_eq!(world.posted("b.test"), []);
}

#[tokio::test]
async fn the_operators_map_sends_a_report_elsewhere_and_none_that_was_not_asked_for() {
    let mut world = after_midnight().await;
    let uri = world.uri("r");
    let replace = MapRule {
        policy_domain: None,
        rua_domain: "old.test".parse().ok(),
        action: MapAction::Replace(vec![Destination::Https(uri.clone())]),
    };
    let discard = MapRule {
        policy_domain: "*.quiet.test".parse().ok(),
        rua_domain: None,
        action: MapAction::Discard,
    };
    world.settings.rules.map = vec![replace, discard];
    world.domain("a.test", &["mailto:r@old.test"]);
    world.domain("b.quiet.test", &["mailto:r@b.quiet.test"]);
    world.session("c.test", DAY);
    let listed = world.courier().send_day(DAY, None).await.unwrap();
    let notes = listed
        .iter()
        .map(|one| one.note.as_ref().unwrap().to_string());
    assert_eq!(
        notes.collect::<Vec<_>>(),
        [
            format!("mailto:r@old.test: replaced by {uri} ([[destination]] section 1)"),
            "mailto:r@b.quiet.test: discarded by [[destination]] section 2".to_owned(),
            "the domain asks for no reports".to_owned(),
        ]
    );
    assert_eq!(world.posted("a.test").len(), 1);
    assert_eq!(world.web.requests().len(), 1);
    assert_eq!(world.mx.messages(), []);
}
