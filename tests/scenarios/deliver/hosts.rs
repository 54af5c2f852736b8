//! MX hosts' own reports (A2): an MX host with TLSA records that asks for reports is told of all its
//! recipient domains, but nothing that the same address is told already by their own reports.

use std::sync::Arc;

use sealpost::{
    clock::Clock as _,
    deliver::{Step, listing::Note, suppression::NextHop},
    policy::PolicyDomain,
};
use sealpost_kit::{DnsFault, MxBehaviour};

use super::{
    is_sent,
    world::{DAY, Death, RETRY, World},
};

const HOST: &str = "mx.host.test";

/// What was taken: `RECIPIENT: POLICY-DOMAIN [of other recipient domains]`, sorted.
fn told(world: &World) -> Vec<String> {
    let line = |message: &sealpost_kit::Message| {
        let field = |name| message.field(name).unwrap_or_default();
        let recipients = field("Recipients");
        let of = if recipients.is_empty() {
            String::new()
        } else {
            format!(" of {recipients}")
        };
        format!(
            "{}: {}{of}",
            message.recipients.join(","),
            field("TLS-Report-Domain")
        )
    };
    let mut told: Vec<String> = world.mx.messages().iter().map(line).collect();
    told.sort();
    told
}

/// A day: recipient domains with the MX hosts their mail went to, and who asks for reports where.
struct Case {
    name: &'static str,
    sessions: &'static [(&'static str, &'static str)],
    records: &'static [(&'static str, &'static [&'static str])],
    expected: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        name: "nobody asks",
        sessions: &[("a.test", HOST)],
        records: &[],
        expected: &[],
    },
    Case {
        name: "the recipient domain only",
        sessions: &[("a.test", HOST)],
        records: &[("a.test", &["mailto:r@a.test"])],
        expected: &["r@a.test: a.test"],
    },
    Case {
        name: "the MX host only",
        sessions: &[("a.test", HOST)],
        records: &[(HOST, &["mailto:r@host.test"])],
        expected: &["r@host.test: mx.host.test of a.test"],
    },
    Case {
        name: "both, the same address in other letters",
        sessions: &[("a.test", HOST)],
        records: &[
            ("a.test", &["mailto:r@host.test"]),
            (HOST, &["mailto:R@HOST.test"]),
        ],
        expected: &["r@host.test: a.test"],
    },
    Case {
        name: "both, different addresses",
        sessions: &[("a.test", HOST)],
        records: &[
            ("a.test", &["mailto:r@a.test"]),
            (HOST, &["mailto:r@host.test"]),
        ],
        expected: &["r@a.test: a.test", "r@host.test: mx.host.test of a.test"],
    },
    Case {
        name: "two recipient domains, one with the host's address",
        sessions: &[
            ("a.test", HOST),
            ("b.test", HOST),
            ("c.test", "mx.other.test"),
        ],
        records: &[
            ("a.test", &["mailto:r@host.test"]),
            ("b.test", &["mailto:r@b.test"]),
            (HOST, &["mailto:r@host.test"]),
        ],
        expected: &[
            "r@b.test: b.test",
            "r@host.test: a.test",
            "r@host.test: mx.host.test of b.test",
        ],
    },
    Case {
        name: "each address of the host gets what it has not",
        sessions: &[("a.test", HOST), ("b.test", HOST)],
        records: &[
            ("a.test", &["mailto:one@host.test"]),
            ("b.test", &["mailto:one@host.test", "https://host.test/two"]),
            (HOST, &["mailto:one@host.test", "mailto:two@host.test"]),
        ],
        expected: &[
            "one@host.test: a.test",
            "one@host.test: b.test",
            "two@host.test: mx.host.test of a.test b.test",
        ],
    },
    Case {
        name: "a recipient domain that is its own host, and another's",
        sessions: &[(HOST, HOST), ("a.test", HOST)],
        records: &[(HOST, &["mailto:r@host.test"])],
        expected: &["r@host.test: mx.host.test of a.test"],
    },
    Case {
        name: "a recipient domain that is its own host, and another's with the same address",
        sessions: &[(HOST, HOST), ("a.test", HOST)],
        records: &[
            ("a.test", &["mailto:r@host.test"]),
            (HOST, &["mailto:r@host.test"]),
        ],
        expected: &["r@host.test: a.test", "r@host.test: mx.host.test"],
    },
    Case {
        name: "a domain on two hosts that ask",
        sessions: &[("a.test", HOST), ("a.test", "mx.other.test")],
        records: &[
            (HOST, &["mailto:r@host.test"]),
            ("mx.other.test", &["mailto:r@host.test"]),
        ],
        expected: &[
            "r@host.test: mx.host.test of a.test",
            "r@host.test: mx.other.test of a.test",
        ],
    },
    Case {
        name: "a domain that is never told of",
        sessions: &[("a.test", HOST), ("never.test", HOST)],
        records: &[
            (HOST, &["mailto:r@host.test"]),
            ("never.test", &["mailto:r@never.test"]),
        ],
        expected: &["r@host.test: mx.host.test of a.test"],
    },
];

impl Case {
    async fn world(&self) -> World {
        let mut world = World::new().await;
        for domain in ["a.test", "b.test", "host.test"] {
            world.dns.set_mx(domain, &[(10, "mx.test")]);
        }
        for (domain, host) in self.sessions {
            world.dane_session(domain, host);
        }
        for (domain, rua) in self.records {
            world.publish(domain, rua);
        }
        world.settings.never.insert("never.test".parse().unwrap());
        world
    }
}

#[tokio::test]
async fn a2_on_demand_each_address_is_told_each_session_once() {
    for case in CASES {
        let world = case.world().await;
        world.clock.set(DAY.next().first_second());
        let courier = world.courier();
        for _ in 0..2 {
            courier.send_day(DAY, None).await.unwrap();
            assert_eq!(told(&world), case.expected, "{}", case.name);
        }
        // Another process, which knows only what is on the disk.
        world.courier().send_day(DAY, None).await.unwrap();
        assert_eq!(told(&world), case.expected, "{}, again", case.name);
    }
}

/// By the daily loop each name has its own turn, the host's after the domains'.
#[tokio::test]
async fn a2_at_night_each_address_is_told_each_session_once() {
    for case in CASES {
        let world = case.world().await;
        let courier = world.courier();
        let daemon = tokio::spawn(Arc::clone(&courier).run(std::future::pending()));
        let listed = courier.list(DAY).await.unwrap();
        let mut turns: Vec<_> = listed.iter().map(|one| one.due_at).collect();
        turns.sort();
        for turn in turns {
            world.clock.set(turn);
            // Until nobody whose turn has come is without a fate.
            loop {
                let listed = courier.list(DAY).await.unwrap();
                let waits = listed.iter().any(|one| {
                    let is_left = |note: &Note| !matches!(note, Note::LeftOut(_));
                    let has_fate = one.note.as_ref().is_some_and(is_left)
                        || one
                            .deliveries
                            .iter()
                            .any(|(_, state)| matches!(state.step, Step::Sent(_)));
                    one.due_at <= world.clock.now() && !has_fate
                });
                if !waits {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        world
            .until("all have arrived", || {
                told(&world).len() == case.expected.len()
            })
            .await;
        daemon.abort();
        assert_eq!(told(&world), case.expected, "{}", case.name);
    }
}

#[tokio::test]
async fn a2_an_operator_sees_why_a_host_gets_no_report() {
    let host: PolicyDomain = HOST.parse().unwrap();
    for (records, expected) in [(&CASES[1], Note::NoRecord), (&CASES[3], Note::ToldAlready)] {
        let world = records.world().await;
        world.clock.set(DAY.next().first_second());
        let courier = world.courier();
        // Also when it alone is asked for, before the recipient domains' reports are on their way.
        let listed = courier.send_day(DAY, Some(&host)).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].note, Some(expected), "{}", records.name);
        assert_eq!(
            listed[0].is_indifferent(),
            records.expected[0] == "r@a.test: a.test"
        );
        assert_eq!(told(&world), [""; 0]);
    }
}

/// A15: where a recipient domain reports to cannot be looked up. The host's report does not wait for it.
#[tokio::test]
async fn a2_a_recipient_domain_in_trouble_holds_up_no_report_of_its_host() {
    let world = CASES[5].world().await;
    world.dns.fail("_smtp._tls.a.test", DnsFault::ServFail);
    world.clock.set(DAY.next().first_second());
    world.courier().send_day(DAY, None).await.unwrap();
    assert_eq!(
        told(&world),
        [
            "r@b.test: b.test",
            "r@host.test: mx.host.test of a.test b.test"
        ]
    );
}

/// A daemon that has come to the end of a recipient domain's turn, and a minute on: its host waits no longer.
async fn begun(world: &World, recipient: &str) -> tokio::task::JoinHandle<()> {
    let courier = world.courier();
    let daemon = tokio::spawn(Arc::clone(&courier).run(std::future::pending()));
    loop {
        let listed = courier.list(DAY).await;
        if world.fate.is_dead() {
            return daemon;
        }
        let listed = listed.unwrap();
        let of_recipient = listed.iter().find(|one| one.domain.as_str() == recipient);
        let is_first_attempt_over = of_recipient.is_some_and(|one| {
            let mut states = one.deliveries.iter().map(|(_, state)| &state.step);
            let is_open = |step: &Step| matches!(step, Step::Due(_) | Step::Sending(_));
            one.note.is_some() || (!one.deliveries.is_empty() && !states.any(is_open))
        });
        if is_first_attempt_over {
            world.clock.advance_seconds(60);
            return daemon;
        }
        tokio::task::yield_now().await;
    }
}

/// What a recipient domain was to be told and was not its host is told. By their names alone the host's turn
/// would have come first.
#[tokio::test]
async fn a2_what_a_recipient_domains_report_failed_to_tell_its_hosts_tells() {
    for (is_refused, expected) in [
        (true, "R@host.test: mx.host.test of RECIPIENT"),
        (false, "r@host.test: RECIPIENT"),
    ] {
        let mut world = World::new().await;
        // One that suppresses nobody: the same mailbox is to get the host's report (F9).
        world.settings.next_hop = NextHop::Relay;
        let later = (0..).map(|number| format!("d{number}.test"));
        let recipient = later
            .into_iter()
            .find(|name| world.due_at(name) > world.due_at(HOST))
            .unwrap();
        world.dns.set_mx("host.test", &[(10, "mx.test")]);
        world.dane_session(&recipient, HOST);
        world.publish(&recipient, &["mailto:r@host.test"]);
        world.publish(HOST, &["mailto:R@host.test"]);
        if is_refused {
            let refuses = MxBehaviour::RefusesRecipients(550);
            world.mx.set_behaviour("mx.test", refuses);
        }
        world.clock.set(world.due_at(&recipient));
        let courier = world.courier();
        let listed = courier.list(DAY).await.unwrap();
        let of_host = listed.iter().find(|one| one.domain.as_str() == HOST);
        assert!(of_host.unwrap().due_at > world.clock.now());
        // Its minute after that is not over for the host when its recipient domain's report has its fate.
        let state = || {
            world
                .state(&recipient, "r@host.test")
                .map(|state| state.step)
        };
        let daemon = tokio::spawn(courier.run(std::future::pending()));
        let ended = || match state() {
            Some(Step::GivenUp { .. }) => is_refused,
            Some(Step::Sent(_)) => !is_refused,
            _ => false,
        };
        world
            .until("the recipient domain's report ended", ended)
            .await;
        world.mx.set_behaviour("mx.test", MxBehaviour::Correct);
        world.clock.set(of_host.unwrap().due_at);
        world
            .until("the host's turn is over", || told(&world).len() == 1)
            .await;
        daemon.abort();
        assert_eq!(told(&world), [expected.replace("RECIPIENT", &recipient)]);
    }
}

/// After a downtime all are due at once, and the host's report still goes last.
#[tokio::test]
async fn f15_a2_caught_up_on_a_host_waits_for_its_recipient_domains() {
    for (is_refused, expected) in [
        (true, ["R@host.test: mx.host.test of a.test"]),
        (false, ["r@host.test: a.test"]),
    ] {
        let mut world = CASES[3].world().await;
        world.settings.next_hop = NextHop::Relay;
        if is_refused {
            let refuses = MxBehaviour::RefusesRecipients(550);
            world.mx.set_behaviour("mx.test", refuses);
        }
        let late = world.settings.schedule.closes_at(DAY).plus_seconds(86_400);
        world.clock.set(late);
        let courier = world.courier();
        let daemon = tokio::spawn(Arc::clone(&courier).run(std::future::pending()));
        let step = || world.state("a.test", "r@host.test").map(|state| state.step);
        let ended = || matches!(step(), Some(Step::GivenUp { .. } | Step::Sent(_)));
        world.until("the domain's report ended", ended).await;
        world.mx.set_behaviour("mx.test", MxBehaviour::Correct);
        world.clock.advance_seconds(60);
        // Until the host has its fate: told, or known to have been told.
        loop {
            let listed = courier.list(DAY).await.unwrap();
            let host = listed.iter().find(|one| one.domain.as_str() == HOST);
            let host = host.unwrap();
            let is_sent = |step: &Step| matches!(step, Step::Sent(_));
            if host.note == Some(Note::ToldAlready)
                || host
                    .deliveries
                    .iter()
                    .any(|(_, state)| is_sent(&state.step))
            {
                break;
            }
            tokio::task::yield_now().await;
        }
        daemon.abort();
        assert_eq!(told(&world), expected);
    }
}

#[tokio::test]
async fn f16_killed_at_any_step_a_host_without_rows_of_its_own_gets_its_report() {
    let writes = (1..=3).flat_map(|n| [Death::BeforeWrite(n), Death::AfterWrite(n)]);
    let sends = [Death::BeforeSend(1), Death::AfterSend(1)];
    for death in writes.chain(sends) {
        let world = CASES[2].world().await;
        world.clock.set(world.settings.schedule.closes_at(DAY));
        world.fate.dies(death);
        let first = begun(&world, "a.test").await;
        world
            .until("the process dies", || world.fate.is_dead())
            .await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        world.fate.revive();
        let second = begun(&world, "a.test").await;
        world
            .until("it is sent", || is_sent(&world, HOST, "r@host.test"))
            .await;
        second.abort();
        let copies = world.taken(HOST);
        let second_copy = matches!(death, Death::BeforeWrite(3) | Death::AfterSend(1));
        assert_eq!(copies.len(), 1 + usize::from(second_copy), "{death:?}");
        assert!(
            copies.iter().all(|(_, id, _)| *id == copies[0].1),
            "{copies:?}"
        );
    }
}

/// F15: refused for now, tried again after a restart, when the day has been sealed.
#[tokio::test]
async fn f15_a_hosts_report_is_repeated_from_a_sealed_day() {
    let world = CASES[2].world().await;
    world
        .mx
        .set_behaviour("mx.test", MxBehaviour::RefusesRecipients(451));
    world.clock.set(world.settings.schedule.closes_at(DAY));
    let first = begun(&world, "a.test").await;
    let waits = || matches!(world.state(HOST, "r@host.test"), Some(state) if matches!(state.step, Step::RetryAt { .. }));
    world.until("the attempt failed", waits).await;
    world
        .until("the day is packed", || {
            world.store.sealed.lock().unwrap().contains(&DAY)
        })
        .await;
    first.abort();
    world.mx.set_behaviour("mx.test", MxBehaviour::Correct);
    world.clock.advance_seconds(RETRY);
    let second = world.daemon();
    world
        .until("it is sent", || is_sent(&world, HOST, "r@host.test"))
        .await;
    second.abort();
    assert_eq!(told(&world), ["r@host.test: mx.host.test of a.test"]);
}
