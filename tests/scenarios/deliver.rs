//! Stage 7 against real SMTP and DNS on loopback, with a clock that stands still.

mod crash;
mod hosts;
mod https;
mod limits;
mod sendmail;
mod smtp;
mod suppression;
mod world;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use sealpost::{
    clock::{BoxFuture, Clock as _, SECONDS_PER_DAY, Timestamp, UtcDay},
    config::StoreConfig,
    deliver::{
        Step,
        courier::{Courier, Reporting, SendDayError},
        listing::Note,
        sources::{ComposeError, FinishedReport, ReportSource},
    },
    net::{
        handover::{Accepted, Channel, SendError},
        smtp::{Envelope, Transport},
    },
    policy::{AppliedPolicy, Destination, PolicyDomain, RuaRecord},
    record::{Failure, Source},
    store::{Batch, DayPart, FailureRecord, Keeping, Store as _},
};
use sealpost_kit::{DnsFault, MxBehaviour};
use sealpost_plugin_api::ResultType;
use tokio::sync::Semaphore;
use world::{DAY, RETRY, SETTLE, SPREAD, World};

fn is_sent(world: &World, domain: &str, mailbox: &str) -> bool {
    matches!(world.state(domain, mailbox), Some(state) if matches!(state.step, Step::Sent(_)))
}

fn given_up_because(world: &World, domain: &str, mailbox: &str) -> Option<String> {
    match world.state(domain, mailbox)?.step {
        Step::GivenUp { reason, .. } => Some(reason),
        _ => None,
    }
}

#[tokio::test]
async fn f14_nothing_leaves_before_the_day_has_ended_and_settled_and_each_in_its_turn() {
    let world = World::new().await;
    let domains = ["a.test", "b.test", "c.test", "d.test"];
    for domain in domains {
        world.domain(domain, &[&format!("mailto:r@{domain}")]);
    }
    // A report of the day before is caught up on at once: when it has arrived, the loop has looked.
    world.session("probe.test", DAY.previous());
    world.dns.set_mx("probe.test", &[(10, "mx.test")]);
    world.publish("probe.test", &["mailto:r@probe.test"]);
    let midnight = DAY.next().first_second();
    world.clock.set(midnight.plus_seconds(SETTLE - 1));
    let daemon = world.daemon();
    assert_eq!(world.mx.wait_for_messages(1).await.len(), 1);

    let mut turns: Vec<_> = domains.map(|domain| (world.due_at(domain), domain)).into();
    turns.sort();
    for (count, (due_at, domain)) in turns.iter().enumerate() {
        world.clock.set(*due_at);
        let taken = world.mx.wait_for_messages(count + 2).await;
        assert_eq!(taken.len(), count + 2, "{domain}");
        assert_eq!(taken[count + 1].recipients, [format!("r@{domain}")]);
    }
    daemon.abort();
    for (left_at, to) in world.transport.left_at.lock().unwrap().iter().skip(1) {
        let domain = to.strip_prefix("r@").unwrap();
        assert_eq!(*left_at, world.due_at(domain));
        assert!(*left_at >= midnight.plus_seconds(SETTLE));
    }
}

#[tokio::test]
async fn f15_f16_a_report_refused_for_now_is_sent_later_under_the_same_id() {
    let world = World::new().await;
    world.domain("a.test", &["mailto:r@a.test"]);
    world
        .mx
        .set_behaviour("mx.test", MxBehaviour::RefusesRecipients(451));
    world.clock.set(world.due_at("a.test"));
    let daemon = world.daemon();
    let waits = || matches!(world.state("a.test", "r@a.test"), Some(state) if matches!(state.step, Step::RetryAt { .. }));
    world.until("the attempt failed", waits).await;
    let state = world.state("a.test", "r@a.test").unwrap();
    assert!(
        matches!(&state.step, Step::RetryAt { at, reason }
            if at.seconds_since(world.clock.now()) == RETRY
            && reason.starts_with("451 This recipient is refused from mx.test [127.0.7.1] to RCPT")),
        "{state:?}"
    );
    assert_eq!(world.counters.report_attempts_failed.value(), 1);

    world.mx.set_behaviour("mx.test", MxBehaviour::Correct);
    world.clock.advance_seconds(RETRY);
    world
        .until("it is sent", || is_sent(&world, "a.test", "r@a.test"))
        .await;
    daemon.abort();
    let after = world.state("a.test", "r@a.test").unwrap();
    assert_eq!((after.attempts, &after.report_id), (2, &state.report_id));
    let taken = world.taken("a.test");
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].1, format!("<{}>", state.report_id));
    assert_eq!(world.counters.reports_sent.value(), 1);
}

#[tokio::test]
async fn f15_f18_a_final_refusal_is_given_up_at_once_and_its_reason_kept() {
    let world = World::new().await;
    let cases = [
        (
            "user.test",
            MxBehaviour::RefusesRecipients(550),
            "550 This recipient is refused",
        ),
        (
            "text.test",
            MxBehaviour::RefusesMessages(554),
            "554 This message is refused",
        ),
    ];
    let courier = world.courier();
    world.clock.set(DAY.next().first_second());
    for (domain, behaviour, reason) in cases {
        world.domain(domain, &[&format!("mailto:r@{domain}")]);
        world.mx.set_behaviour("mx.test", behaviour);
        courier
            .send_day(DAY, Some(&domain.parse().unwrap()))
            .await
            .unwrap();
        let given_up = given_up_because(&world, domain, &format!("r@{domain}")).unwrap();
        assert!(given_up.starts_with(reason), "{given_up}");
    }
    world.mx.set_behaviour("mx.test", MxBehaviour::Correct);
    world.domain("null.test", &["mailto:r@null.test"]);
    world.dns.set_mx("null.test", &[(0, ".")]);
    world.domain("gone.test", &["mailto:r@gone.test"]);
    world.dns.remove("gone.test");
    world.domain("other.test", &["mailto:r@other.test"]);
    courier.send_day(DAY, None).await.unwrap();
    for (domain, reason) in [
        ("null.test", "null.test takes no mail (null MX)"),
        ("gone.test", "gone.test has neither MX nor address"),
    ] {
        let given_up = given_up_because(&world, domain, &format!("r@{domain}"));
        assert_eq!(given_up.as_deref(), Some(reason));
    }
    assert!(is_sent(&world, "other.test", "r@other.test"));
    // F9: those two are suppressed, until the operator asks for one by its name.
    assert!(!is_sent(&world, "user.test", "r@user.test"));
    let user = "user.test".parse().unwrap();
    courier.send_day(DAY, Some(&user)).await.unwrap();
    assert!(is_sent(&world, "user.test", "r@user.test"));
    assert_eq!(world.counters.reports_given_up.value(), 4);
}

#[tokio::test]
async fn a16_a_record_taken_away_means_no_report_and_a_changed_one_decides() {
    let world = World::new().await;
    world.domain("never.test", &["mailto:r@never.test"]);
    world.dns.remove("_smtp._tls.never.test");
    world.domain("moves.test", &["mailto:old@moves.test"]);
    world
        .mx
        .set_behaviour("mx.test", MxBehaviour::RefusesRecipients(450));
    world.clock.set(DAY.next().first_second());
    let courier = world.courier();
    let listed = courier.send_day(DAY, None).await.unwrap();
    assert_eq!(listed[1].domain.as_str(), "never.test");
    assert_eq!(listed[1].note, Some(Note::NoRecord));
    assert_eq!(listed[1].deliveries, []);

    world.mx.set_behaviour("mx.test", MxBehaviour::Correct);
    world.publish("moves.test", &["mailto:new@moves.test"]);
    courier.send_day(DAY, None).await.unwrap();
    assert_eq!(
        given_up_because(&world, "moves.test", "old@moves.test").as_deref(),
        Some("the domain's record no longer names it")
    );
    assert!(is_sent(&world, "moves.test", "new@moves.test"));
    let taken = world.mx.messages();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].recipients, ["new@moves.test"]);
}

#[tokio::test]
async fn a15_a_failed_lookup_is_no_absence_and_the_report_goes_out_later() {
    let world = World::new().await;
    world.domain("a.test", &["mailto:r@a.test"]);
    world.dns.fail("_smtp._tls.a.test", DnsFault::ServFail);
    world.clock.set(world.due_at("a.test"));
    let courier = world.courier();
    let daemon = tokio::spawn(Arc::clone(&courier).run(std::future::pending()));
    let mut waits = 0;
    // For an hour the resolver answers SERVFAIL.
    for seconds in [0, RETRY, 2 * RETRY] {
        world.clock.advance_seconds(seconds);
        waits += 1;
        loop {
            let listed = courier.list(DAY).await.unwrap();
            if matches!(listed[0].note, Some(Note::HeldUp { times, .. }) if times == waits) {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(world.mx.messages(), []);
    world.dns.heal("_smtp._tls.a.test");
    world.clock.advance_seconds(4 * RETRY);
    world
        .until("it is sent", || is_sent(&world, "a.test", "r@a.test"))
        .await;
    daemon.abort();
    assert_eq!(world.taken("a.test").len(), 1);
    assert_eq!(courier.list(DAY).await.unwrap()[0].note, None);
}

/// Goes from one try of a held-up errand to the next, until a report is sent.
async fn wait_out(world: &World, courier: &Arc<Courier>, domain: &str, to: &str) {
    let mut at = world.clock.now();
    while !is_sent(world, domain, to) {
        let listed = courier.list(DAY).await.unwrap();
        match &listed[0].note {
            Some(Note::HeldUp { again_at, .. }) if *again_at > at => {
                at = *again_at;
                world.clock.set(at);
            }
            _ => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test]
async fn a16_a_record_that_cannot_be_looked_up_in_time_is_the_last_that_was_learnt() {
    let world = World::new().await;
    world.domain("a.test", &["mailto:r@a.test"]);
    let busy = MxBehaviour::RefusesRecipients(450);
    world.mx.set_behaviour("mx.test", busy);
    let due_at = world.due_at("a.test");
    world.clock.set(due_at);
    let first = world.daemon();
    let waits = || matches!(world.state("a.test", "r@a.test"), Some(state) if matches!(state.step, Step::RetryAt { .. }));
    world.until("the attempt failed", waits).await;
    first.abort();
    // From now on the name server is silenced; the mail host takes mail again.
    world.dns.fail("_smtp._tls.a.test", DnsFault::ServFail);
    world.mx.set_behaviour("mx.test", MxBehaviour::Correct);
    world.clock.advance_seconds(RETRY);
    let courier = world.courier();
    let second = tokio::spawn(Arc::clone(&courier).run(std::future::pending()));
    wait_out(&world, &courier, "a.test", "r@a.test").await;
    second.abort();
    assert_eq!(world.taken("a.test").len(), 1);
    let hours = world.clock.now().seconds_since(due_at) / 3_600;
    assert!((20..=24).contains(&hours), "as late as may be: {hours} h");
}

#[tokio::test]
async fn a16_a_report_that_was_never_begun_goes_where_the_day_had_it() {
    let world = World::new().await;
    world.domain("a.test", &["mailto:r@a.test"]);
    world.dns.fail("_smtp._tls.a.test", DnsFault::ServFail);
    let record = RuaRecord {
        destinations: vec![Destination::Mail("r@a.test".to_owned())],
        skipped: Vec::new(),
    };
    world
        .learnt
        .lock()
        .unwrap()
        .insert("a.test".to_owned(), record);
    let due_at = world.due_at("a.test");
    world.clock.set(due_at);
    let courier = world.courier();
    let daemon = tokio::spawn(Arc::clone(&courier).run(std::future::pending()));
    wait_out(&world, &courier, "a.test", "r@a.test").await;
    daemon.abort();
    assert_eq!(world.taken("a.test").len(), 1);
    let hours = world.clock.now().seconds_since(due_at) / 3_600;
    assert!((20..=24).contains(&hours), "as late as may be: {hours} h");
}

#[tokio::test]
async fn f15_two_days_down_are_caught_up_on_and_last_week_is_not() {
    let world = World::new().await;
    let day = |back: u32| UtcDay(DAY.0 - back);
    world.domain("a.test", &["mailto:r@a.test"]);
    world.session("a.test", day(1));
    world.session("a.test", day(4));
    world.session("a.test", day(7));
    // Three days after the older of the two days ended; the others ended longer ago.
    world
        .clock
        .set(DAY.next().first_second().plus_seconds(2 * SECONDS_PER_DAY));
    let daemon = world.daemon();
    assert_eq!(world.mx.wait_for_messages(2).await.len(), 2);
    world
        .until("the days are packed", || {
            world.store.sealed.lock().unwrap().len() == 4
        })
        .await;
    daemon.abort();
    let mut ids: Vec<String> = world
        .taken("a.test")
        .into_iter()
        .map(|(_, id, _)| id)
        .collect();
    ids.sort();
    assert_eq!(
        ids,
        [
            "<2026-11-22.a.test@sender.test>",
            "<2026-11-23.a.test@sender.test>"
        ]
    );
    // The old days are packed all the same.
    assert_eq!(
        *world.store.sealed.lock().unwrap(),
        [day(7), day(4), day(1), DAY]
    );
}

#[tokio::test]
async fn f15_a_clock_that_ran_a_week_ahead_and_was_set_back_costs_no_report() {
    let world = World::new().await;
    world.domain("a.test", &["mailto:r@a.test"]);
    let noon = world.clock.now();
    let daemon = world.daemon();
    world.clock.set(noon.plus_seconds(7 * SECONDS_PER_DAY));
    world
        .until("the day is packed by the wrong clock", || {
            world.store.sealed.lock().unwrap().contains(&DAY)
        })
        .await;
    world.clock.set(noon);
    world.clock.set(world.due_at("a.test"));
    world
        .until("it is sent", || is_sent(&world, "a.test", "r@a.test"))
        .await;
    // A few hours back, over midnight: what was sent stays sent, and the next day has its report.
    world.clock.set(DAY.last_second().plus_seconds(-3_600));
    world.session("a.test", DAY.next());
    world
        .clock
        .set(world.due_at("a.test").plus_seconds(2 * SECONDS_PER_DAY));
    assert_eq!(world.mx.wait_for_messages(2).await.len(), 2);
    daemon.abort();
    let ids = world.taken("a.test").into_iter().map(|(_, id, _)| id);
    assert_eq!(
        ids.collect::<Vec<_>>(),
        [
            "<2026-11-23.a.test@sender.test>",
            "<2026-11-24.a.test@sender.test>"
        ]
    );
}

#[tokio::test]
async fn a_day_that_cannot_be_read_holds_up_no_other() {
    let world = World::new().await;
    world.session("a.test", DAY.previous());
    *world.store.damaged_day.lock().unwrap() = Some(DAY.previous());
    world.domain("a.test", &["mailto:r@a.test"]);
    world.clock.set(world.due_at("a.test"));
    let daemon = world.daemon();
    world
        .until("it is sent", || is_sent(&world, "a.test", "r@a.test"))
        .await;
    daemon.abort();
}

#[tokio::test]
async fn old_days_are_forgotten_and_none_that_may_still_be_reported() {
    let mut world = World::new().await;
    world.settings.keeping = Keeping::of(&StoreConfig {
        keep_days: 1,
        ..StoreConfig::default()
    });
    world.settings.reporting = Reporting::Off;
    for back in [0, 5, 6, 40] {
        world.session("a.test", UtcDay(DAY.0 - back));
    }
    world
        .clock
        .set(DAY.next().first_second().plus_seconds(20_000));
    let daemon = world.daemon();
    world
        .until("the day is packed", || {
            world.store.sealed.lock().unwrap().contains(&DAY)
        })
        .await;
    daemon.abort();
    let held: Vec<u32> = sealpost::store::Store::days(&world.store.disk)
        .unwrap()
        .iter()
        .map(|day| DAY.0 - day.0)
        .collect();
    assert_eq!(held, [0], "five days are kept whatever is set");
    assert_eq!(world.mx.messages(), [], "reporting is off");
}

#[tokio::test]
async fn single_failures_go_before_their_tallies_and_what_was_sent_stays_known() {
    let mut world = World::new().await;
    world.settings.keeping = Keeping::of(&StoreConfig {
        keep_days: 8,
        keep_failures_days: 6,
        keep_reports_days: 20,
        ..StoreConfig::default()
    });
    world.domain("a.test", &["mailto:r@a.test"]);
    let policy = AppliedPolicy::no_policy_found("a.test".parse().unwrap());
    let singly = |day: UtcDay| FailureRecord {
        at: day.first_second(),
        domain: "a.test".parse().unwrap(),
        policy: policy.fingerprint(),
        source: Source::Mta,
        failure: Failure::of_policy(ResultType::CertificateExpired, "expired"),
    };
    let failures = Batch {
        failures: vec![singly(DAY)],
        ..Batch::default()
    };
    world.store.disk.commit(&failures).unwrap();
    world.clock.set(world.due_at("a.test"));
    let daemon = world.daemon();
    world
        .until("it is sent", || is_sent(&world, "a.test", "r@a.test"))
        .await;
    let held = |world: &World| {
        DayPart::ALL.map(|part| world.store.disk.days_of(part).unwrap().contains(&DAY))
    };
    for (days_later, expected) in [
        (6, [true, true, true]),
        (7, [false, true, true]),
        (9, [false, false, true]),
        (20, [false, false, true]),
        (21, [false, false, false]),
    ] {
        // A day begins to be looked at when its reports could leave; another one shows that it was.
        let today = UtcDay(DAY.0 + days_later);
        world.session("a.test", today.previous());
        let night = today.first_second().plus_seconds(SETTLE + SPREAD);
        world.clock.set(night.plus_seconds(60));
        world
            .until("the night is over", || {
                world
                    .store
                    .sealed
                    .lock()
                    .unwrap()
                    .contains(&today.previous())
            })
            .await;
        assert_eq!(held(&world), expected, "{days_later} days later");
        // Nothing is sent twice, whatever is left of the day, and however it is asked for.
        let (courier, domain) = (world.courier(), "a.test".parse().unwrap());
        let _refused = courier.send_day(DAY, Some(&domain)).await.is_err();
        assert_eq!(
            world
                .taken("a.test")
                .iter()
                .filter(|(_, id, _)| id.contains("2026-11-23"))
                .count(),
            1
        );
    }
    daemon.abort();
}

#[tokio::test]
async fn f10_a_receiver_whose_tls_is_broken_gets_its_report_all_the_same() {
    let world = World::new().await;
    world.clock.set(DAY.next().first_second());
    let courier = world.courier();
    for (domain, behaviour, tls) in [
        // Its certificate is for another name and from nobody we know.
        ("wrong-name.test", MxBehaviour::Correct, true),
        ("no-starttls.test", MxBehaviour::NoStartTls, false),
        ("refuses.test", MxBehaviour::RefusesStartTls, false),
        ("rubbish.test", MxBehaviour::HandshakeRubbish, false),
        ("closes.test", MxBehaviour::ClosesAtHandshake, false),
    ] {
        world.domain(domain, &[&format!("mailto:r@{domain}")]);
        world.mx.set_behaviour("mx.test", behaviour);
        let domain = domain.parse().unwrap();
        courier.send_day(DAY, Some(&domain)).await.unwrap();
        let message = world.mx.messages().pop().unwrap();
        assert_eq!(message.recipients, [format!("r@{domain}")]);
        assert_eq!(message.tls, tls, "{domain}");
    }
    assert_eq!(world.counters.reports_sent.value(), 5);
}

#[tokio::test]
async fn a13_each_destination_has_its_own_fate() {
    let world = World::new().await;
    world.domain("a.test", &["mailto:bad@null.test", "mailto:r@a.test"]);
    world.dns.set_mx("null.test", &[(0, ".")]);
    world.clock.set(DAY.next().first_second());
    world.courier().send_day(DAY, None).await.unwrap();
    assert!(given_up_because(&world, "a.test", "bad@null.test").is_some());
    assert!(is_sent(&world, "a.test", "r@a.test"));
    assert_eq!(world.mx.messages().len(), 1);
}

#[tokio::test]
async fn on_demand_a_day_is_sent_once_and_only_when_it_is_over() {
    let mut world = World::new().await;
    world.domain("a.test", &["mailto:r@a.test"]);
    let courier = world.courier();
    assert_eq!(
        courier.send_day(DAY, None).await,
        Err(SendDayError::NotOver(DAY))
    );
    world.clock.set(DAY.next().first_second());
    for _ in 0..3 {
        courier.send_day(DAY, None).await.unwrap();
        world.courier().send_day(DAY, None).await.unwrap();
    }
    assert_eq!(world.taken("a.test").len(), 1);

    let domain: PolicyDomain = "b.test".parse().unwrap();
    let nothing = SendDayError::Nothing {
        domain: domain.clone(),
        day: DAY,
    };
    assert_eq!(
        courier.send_day(DAY, Some(&domain)).await,
        Err(nothing.clone())
    );
    world.domain("b.test", &["mailto:r@b.test"]);
    world.settings.never.insert(domain.clone());
    let courier = world.courier();
    assert_eq!(courier.send_day(DAY, Some(&domain)).await, Err(nothing));
    assert_eq!(courier.list(DAY).await.unwrap()[1].note, Some(Note::Never));
}

#[tokio::test]
async fn what_fails_on_demand_is_repeated_by_the_daily_loop() {
    let world = World::new().await;
    world.domain("a.test", &["mailto:r@a.test"]);
    world.clock.set(world.due_at("a.test").plus_seconds(-1));
    world
        .mx
        .set_behaviour("mx.test", MxBehaviour::RefusesService(421));
    let courier = world.courier();
    let daemon = tokio::spawn(Arc::clone(&courier).run(std::future::pending()));
    courier.send_day(DAY, None).await.unwrap();
    world.mx.set_behaviour("mx.test", MxBehaviour::Correct);
    world.clock.advance_seconds(RETRY);
    world
        .until("it is sent", || is_sent(&world, "a.test", "r@a.test"))
        .await;
    daemon.abort();
    assert_eq!(world.taken("a.test").len(), 1);
}

/// Holds every message to `slow.test` back until it is let go.
struct SlowHost {
    let_go: Semaphore,
    waiting: AtomicUsize,
    waiting_max: AtomicUsize,
    sent: std::sync::Mutex<Vec<String>>,
}

impl SlowHost {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            let_go: Semaphore::new(0),
            waiting: AtomicUsize::new(0),
            waiting_max: AtomicUsize::new(0),
            sent: std::sync::Mutex::default(),
        })
    }
}

impl Transport for SlowHost {
    fn send<'a>(
        &'a self,
        envelope: &'a Envelope,
        _message: &'a [u8],
    ) -> BoxFuture<'a, Result<Accepted, SendError>> {
        Box::pin(async move {
            if envelope.to.ends_with("@slow.test") {
                let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
                self.waiting_max.fetch_max(waiting, Ordering::SeqCst);
                self.let_go.acquire().await.unwrap().forget();
                self.waiting.fetch_sub(1, Ordering::SeqCst);
            }
            self.sent.lock().unwrap().push(envelope.to.clone());
            Ok(Accepted {
                by: "slow".to_owned(),
                reply: "250".to_owned(),
                channel: Channel::Clear,
            })
        })
    }
}

#[tokio::test]
async fn a_slow_destination_of_many_domains_holds_up_nobody_else() {
    let mut world = World::new().await;
    world.settings.concurrent_max = 4;
    for number in 0..20 {
        world.domain(&format!("d{number:02}.test"), &["mailto:r@slow.test"]);
    }
    for number in 0..3 {
        let domain = format!("z{number}.test");
        world.domain(&domain, &[&format!("mailto:r@{domain}")]);
    }
    // All of them are overdue at once.
    world.clock.set(DAY.next().next().first_second());
    let slow = SlowHost::new();
    let daemon = tokio::spawn(world.courier_with(slow.clone()).run(std::future::pending()));
    let others = || (0..3).all(|n| is_sent(&world, &format!("z{n}.test"), &format!("r@z{n}.test")));
    world.until("the others are sent", others).await;
    assert!(
        slow.sent
            .lock()
            .unwrap()
            .iter()
            .all(|to| to != "r@slow.test")
    );
    slow.let_go.add_permits(20);
    let all = || (0..20).all(|n| is_sent(&world, &format!("d{n:02}.test"), "r@slow.test"));
    world.until("all are sent", all).await;
    daemon.abort();
    assert_eq!(slow.sent.lock().unwrap().len(), 23);
    assert_eq!(slow.waiting_max.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_stop_lets_what_is_under_way_end_and_begins_nothing_new() {
    let world = World::new().await;
    world.domain("first.test", &["mailto:r@slow.test"]);
    world.domain("later.test", &["mailto:r@later.test"]);
    let (first, later) = (world.due_at("first.test"), world.due_at("later.test"));
    assert!(first < later);
    world.clock.set(first);
    let slow = SlowHost::new();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let courier = world.courier_with(slow.clone());
    let daemon = tokio::spawn(courier.run(async move { drop(stopped.await) }));
    let sending = || matches!(world.state("first.test", "r@slow.test"), Some(state) if matches!(state.step, Step::Sending(_)));
    world.until("it is under way", sending).await;
    stop.send(()).unwrap();
    slow.let_go.add_permits(1);
    daemon.await.unwrap();
    assert!(is_sent(&world, "first.test", "r@slow.test"));
    assert_eq!(world.state("later.test", "r@later.test"), None);
}

/// Reports of which the mail to one mailbox cannot be built.
struct OneUnbuildable(Arc<dyn ReportSource>);

struct Unbuildable(Box<dyn FinishedReport>);

impl ReportSource for OneUnbuildable {
    fn compose(
        &self,
        domain: &PolicyDomain,
        day: UtcDay,
        recipients: &[PolicyDomain],
    ) -> Result<Option<Box<dyn FinishedReport>>, ComposeError> {
        let report = self.0.compose(domain, day, recipients)?;
        Ok(report.map(|report| Box::new(Unbuildable(report)) as Box<dyn FinishedReport>))
    }

    fn is_owed(&self, domain: &PolicyDomain, day: UtcDay) -> Result<bool, ComposeError> {
        self.0.is_owed(domain, day)
    }
}

impl FinishedReport for Unbuildable {
    fn report_id(&self) -> &str {
        self.0.report_id()
    }

    fn gzip(&self) -> &[u8] {
        self.0.gzip()
    }

    fn mail(&self, to: &str, date: Timestamp, attempt: u32) -> Result<Vec<u8>, ComposeError> {
        if to == "never@a.test" {
            return Err(ComposeError::Recipient("it is quoted".to_owned()));
        }
        if to == "bad@a.test" {
            return Err(ComposeError::Report("no such key".to_owned()));
        }
        self.0.mail(to, date, attempt)
    }
}

#[tokio::test]
async fn a_mail_that_cannot_be_built_holds_up_no_other() {
    let world = World::new().await;
    world.domain(
        "a.test",
        &[
            "mailto:bad@a.test",
            "mailto:never@a.test",
            "mailto:r@a.test",
        ],
    );
    world.clock.set(DAY.next().first_second());
    let mut parts = world.parts(world.transport.clone());
    parts.reports = Arc::new(OneUnbuildable(parts.reports));
    let courier = Courier::new(parts, world.settings.clone());
    courier.send_day(DAY, None).await.unwrap();
    assert!(is_sent(&world, "a.test", "r@a.test"));
    assert!(matches!(
        world.state("a.test", "bad@a.test").unwrap().step,
        Step::RetryAt { reason, .. } if reason == "no report can be made: no such key"
    ));
    assert_eq!(
        given_up_because(&world, "a.test", "never@a.test").as_deref(),
        Some("no mail can be built for the mailbox: it is quoted")
    );
}
