//! MX hosts' own reports (A2): an MX host with TLSA records that asks for reports is told of all its
//! recipient domains, but nothing that the same address is told already by their own reports.

use sealpost::{
    clock::Clock as _,
    deliver::{Step, listing::Note},
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

/// By the daily loop each name has its own turn: the host's may come before or after the domains'.
#[tokio::test]
async fn a2_at_night_each_address_is_told_each_session_once() {
    for case in CASES {
        let world = case.world().await;
        let mut names: Vec<&str> = case.sessions.iter().flat_map(|(a, b)| [*a, *b]).collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| *name != "never.test");
        let courier = world.courier();
        let daemon = tokio::spawn(std::sync::Arc::clone(&courier).run(std::future::pending()));
        let mut turns: Vec<_> = names.iter().map(|name| world.due_at(name)).collect();
        turns.sort();
        for turn in turns {
            world.clock.set(turn);
            // Until nobody whose turn has come is without a fate.
            loop {
                let listed = courier.list(DAY).await.unwrap();
                let waits = listed.iter().any(|one| {
                    let has_fate = one.note.is_some()
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

#[tokio::test]
async fn f16_killed_at_any_step_a_host_without_rows_of_its_own_gets_its_report() {
    let writes = (1..=3).flat_map(|n| [Death::BeforeWrite(n), Death::AfterWrite(n)]);
    let sends = [Death::BeforeSend(1), Death::AfterSend(1)];
    for death in writes.chain(sends) {
        let world = CASES[2].world().await;
        world.clock.set(world.due_at(HOST));
        world.fate.dies(death);
        let first = world.daemon();
        world
            .until("the process dies", || world.fate.is_dead())
            .await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        world.fate.revive();
        let second = world.daemon();
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
    let first = world.daemon();
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
