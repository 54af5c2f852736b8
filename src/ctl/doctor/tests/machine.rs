//! The machine: configuration, daemon, store, clock, resolver, sockets, limits, roots.

use super::*;
use crate::ctl::wire::{QuotaForgotten, QuotaView};

pub(super) fn configuration() -> configuration::Facts {
    configuration::Facts {
        file: "/etc/sealpost/sealpost.toml".into(),
        read: Ok(Vec::new()),
        are_root: true,
        has_changed: Some(false),
        waits_for_restart: Vec::new(),
    }
}

fn running() -> daemon::Facts {
    daemon::Facts::Running {
        program: daemon::PROGRAM.to_owned(),
        is_replaced: false,
        alarms: Vec::new(),
        since: "since yesterday".to_owned(),
    }
}

fn running_otherwise(program: &str, is_replaced: bool, alarms: &[&str]) -> Examined {
    daemon::judge(&daemon::Facts::Running {
        program: program.to_owned(),
        is_replaced,
        alarms: alarms.iter().map(ToString::to_string).collect(),
        since: String::new(),
    })
}

pub(super) fn store() -> store::Facts {
    store::Facts {
        path: "/var/lib/sealpost/store".into(),
        is_there: true,
        daemon_runs: true,
        reach: Some(Reach::Yes),
        user: Some(User {
            name: "sealpost".to_owned(),
            uid: 990,
            gids: vec![990],
        }),
        disk: Ok(store::Disk {
            free_mib: 10_000,
            files_free: Some(1_000_000),
            is_read_only: false,
            kind: store::Kind::Disk,
        }),
        free_mib_min: 256,
        state: Some((StoreState::Recording, None)),
        quota: None,
        put_aside: Vec::new(),
    }
}

fn clock() -> clock::Facts {
    clock::Facts {
        now: Timestamp(1_800_000_000),
        is_kept: Ok(true),
        root: Ok(()),
        newest: Some((
            "/var/lib/sealpost/store/db".into(),
            Timestamp(1_799_999_999),
        )),
        daemon_differs_seconds: Some(1),
    }
}

fn resolver() -> resolver::Facts {
    resolver::Facts {
        servers: Ok(vec![("127.0.0.1:53".parse().unwrap(), None)]),
        trial: resolver::Trial::Works("own".to_owned()),
        daemon: Some(dnssec("own", None, None)),
    }
}

fn dnssec(validation: &str, reason: Option<&str>, doubt: Option<&str>) -> DnssecView {
    DnssecView {
        validation: validation.to_owned(),
        reason: reason.map(str::to_owned),
        doubt: doubt.map(str::to_owned),
    }
}

fn door() -> sockets::Door {
    sockets::Door {
        setting: "plugin_socket.path",
        path: "/run/sealpost/plugin.sock".into(),
        standing: sockets::Standing::Listens,
        missing_group: None,
        callers: vec![("Exim".to_owned(), Reach::Yes)],
        left_out: Vec::new(),
        is_open_to_all: false,
    }
}

fn sockets_with(set: impl FnOnce(&mut sockets::Door)) -> Examined {
    sockets::judge(&sockets::Facts {
        daemon_runs: Some(true),
        doors: vec![with(&door(), set)],
    })
}

fn limits() -> limits::Facts {
    limits::Facts {
        takes_datagrams: true,
        queue_max: Some(512),
        open_files_max: Some(524_288),
        open_files_needed: 17_744,
        daemon_runs: true,
    }
}

fn roots() -> roots::Facts {
    roots::Facts {
        today: "2026-11-29".parse().unwrap(),
        built_in: "2026-10-19".parse().unwrap(),
        extra: vec![(
            "/etc/ca.pem".into(),
            Ok(vec![root(Timestamp(2_000_000_000))]),
        )],
    }
}

fn root(not_after: Timestamp) -> roots::Root {
    roots::Root {
        subject: "CN=ours".to_owned(),
        not_after,
    }
}

pub(super) fn well() -> Vec<Examined> {
    vec![
        configuration::judge(&configuration()),
        daemon::judge(&running()),
        store::judge(&store()),
        // Before the first start it is not there, and that is well.
        store::judge(&with(&store(), |facts| {
            facts.is_there = false;
            facts.daemon_runs = false;
            facts.state = None;
        })),
        clock::judge(&clock()),
        clock::judge(&with(&clock(), |facts| facts.newest = None)),
        resolver::judge(&resolver()),
        sockets_with(|_| {}),
        sockets_with(|door| door.standing = sockets::Standing::NotWanted),
        limits::judge(&limits()),
        limits::judge(&with(&limits(), |facts| {
            facts.takes_datagrams = false;
            facts.queue_max = Some(10);
        })),
        roots::judge(&roots()),
    ]
}

pub(super) fn unseen() -> Vec<Examined> {
    let denied = |path: &str| ConfigError::Unreadable {
        path: path.into(),
        reason: "permission denied".to_owned(),
    };
    vec![
        configuration::judge(&with(&configuration(), |facts| {
            facts.read = Err(denied("/etc/sealpost/sealpost.toml"));
            facts.are_root = false;
        })),
        // A key that only the daemon may read is not a mistake of the file.
        configuration::judge(&with(&configuration(), |facts| {
            facts.read = Err(wrong("dkim.key", "\"/etc/key.pem\": permission denied"));
            facts.are_root = false;
        })),
        daemon::judge(&daemon::Facts::NotPermitted("only root may".to_owned())),
        store::judge(&with(&store(), |facts| facts.reach = None)),
        store::judge(&with(&store(), |facts| facts.disk = Err("no".to_owned()))),
        clock::judge(&with(&clock(), |facts| {
            facts.is_kept = Err("no timedatectl".to_owned());
        })),
        clock::judge(&with(&clock(), |facts| {
            facts.root = Err("the proofs are lost".to_owned());
        })),
        sockets::judge(&sockets::Facts {
            daemon_runs: Some(false),
            doors: vec![with(&door(), |door| {
                door.standing = sockets::Standing::Dead;
            })],
        }),
        sockets_with(|door| door.callers[0].1 = Reach::NotKnown("a list".to_owned())),
        limits::judge(&with(&limits(), |facts| facts.open_files_max = None)),
    ]
}

fn wrong(setting: &str, reason: &str) -> ConfigError {
    ConfigError::Wrong {
        path: "/etc/sealpost/sealpost.toml".into(),
        problems: vec![Problem {
            line: 3,
            column: 1,
            setting: setting.to_owned(),
            reason: reason.to_owned(),
        }],
    }
}

pub(super) fn cases() -> Vec<Case> {
    [
        cases_of_configuration(),
        cases_of_store(),
        cases_of_daemon_and_limits(),
        cases_of_clock(),
        cases_of_resolver(),
        cases_of_sockets(),
    ]
    .concat()
}

fn cases_of_configuration() -> Vec<Case> {
    let configured =
        |set: fn(&mut configuration::Facts)| configuration::judge(&with(&configuration(), set));
    vec![
        (
            "configuration-missing",
            configured(|facts| {
                facts.read = Err(ConfigError::Missing {
                    path: "/etc/x".into(),
                });
            }),
        ),
        (
            "configuration-wrong",
            configured(|facts| {
                facts.read = Err(wrong("dns.servers", "unknown setting"));
            }),
        ),
        (
            "configuration-warned-of",
            configured(|facts| {
                facts.read = Ok(vec!["report.enabled is false".to_owned()]);
            }),
        ),
        (
            "configuration-not-taken-up",
            configured(|facts| facts.has_changed = Some(true)),
        ),
        (
            "configuration-waits-for-restart",
            configured(|facts| {
                facts.waits_for_restart = vec!["dns".to_owned()];
            }),
        ),
    ]
}

fn cases_of_daemon_and_limits() -> Vec<Case> {
    vec![
        (
            "daemon-not-running",
            daemon::judge(&daemon::Facts::NotRunning("no socket".to_owned())),
        ),
        (
            "daemon-silent",
            daemon::judge(&daemon::Facts::Silent("nothing".to_owned())),
        ),
        (
            "daemon-older-than-program",
            running_otherwise("sealpost 0.0.9", false, &[]),
        ),
        (
            "daemon-older-than-program",
            running_otherwise(daemon::PROGRAM, true, &[]),
        ),
        (
            "daemon-alarm",
            running_otherwise(daemon::PROGRAM, false, &["the disk is full"]),
        ),
        (
            "datagram-queue-short",
            limits::judge(&with(&limits(), |facts| facts.queue_max = Some(10))),
        ),
        (
            "open-files-few",
            limits::judge(&with(&limits(), |facts| facts.open_files_max = Some(1_024))),
        ),
        (
            "roots-old",
            roots::judge(&with(&roots(), |facts| {
                facts.today = UtcDay(facts.built_in.0 + 401);
            })),
        ),
        (
            "extra-roots-unusable",
            roots::judge(&with(&roots(), |facts| {
                facts.extra[0].1 = Err("it holds no certificate".to_owned());
            })),
        ),
        (
            "extra-root-expired",
            roots::judge(&with(&roots(), |facts| {
                facts.extra[0].1 = Ok(vec![root(Timestamp(1_700_000_000))]);
            })),
        ),
    ]
}

fn cases_of_store() -> Vec<Case> {
    let stored = |set: fn(&mut store::Facts)| store::judge(&with(&store(), set));
    let on = |set: fn(&mut store::Disk)| {
        store::judge(&with(&store(), |facts| set(facts.disk.as_mut().unwrap())))
    };
    vec![
        ("store-missing", stored(|facts| facts.is_there = false)),
        (
            "store-not-writable",
            stored(|facts| facts.reach = Some(Reach::No("no".to_owned()))),
        ),
        ("store-disk-full", on(|disk| disk.free_mib = 255)),
        ("store-no-files-left", on(|disk| disk.files_free = Some(0))),
        ("store-read-only", on(|disk| disk.is_read_only = true)),
        (
            "store-in-memory",
            on(|disk| disk.kind = store::Kind::Memory),
        ),
        (
            "store-on-network",
            on(|disk| disk.kind = store::Kind::Network),
        ),
        (
            "store-not-written",
            stored(|facts| {
                facts.state = Some((StoreState::Waiting, Some("the disk is full".to_owned())));
            }),
        ),
        (
            "store-kept-in-memory-only",
            stored(|facts| {
                facts.state = Some((StoreState::PutAside, Some("damaged".to_owned())));
            }),
        ),
        (
            "store-quota-exceeded",
            stored(|facts| facts.quota = Some(quota(true, &[]))),
        ),
        (
            "store-quota-eats-days",
            stored(|facts| facts.quota = Some(quota(false, &[("failures", "2026-11-20")]))),
        ),
        (
            "store-was-damaged",
            stored(|facts| {
                facts.put_aside =
                    vec!["/var/lib/sealpost/store.damaged-2026-11-24T00:00:00Z".into()];
            }),
        ),
    ]
}

fn quota(is_exceeded: bool, forgotten: &[(&str, &str)]) -> QuotaView {
    let forgotten = forgotten.iter().map(|(part, until)| QuotaForgotten {
        part: (*part).to_owned(),
        until: (*until).to_owned(),
    });
    QuotaView {
        max_mib: 64,
        file_octets: 90_000_000,
        held_octets: Some(70_000_000),
        is_exceeded,
        forgotten: forgotten.collect(),
    }
}

#[test]
fn a_quota_that_took_nothing_is_well() {
    let examined = store::judge(&with(&store(), |facts| {
        facts.quota = Some(quota(false, &[]));
    }));
    assert_eq!(examined.findings.len(), 0);
    let said = "the quota of 64 MiB has taken nothing".to_owned();
    assert!(examined.well.contains(&said), "{:?}", examined.well);
}

fn cases_of_clock() -> Vec<Case> {
    let clocked = |set: fn(&mut clock::Facts)| clock::judge(&with(&clock(), set));
    let root = |why: &str| clock::judge(&with(&clock(), |facts| facts.root = Err(why.to_owned())));
    vec![
        (
            "clock-outside-signatures",
            root("own: .: its DNSKEY records have a signature that has expired (zone .)"),
        ),
        (
            "clock-outside-signatures",
            root("own: .: its DNSKEY records have a signature that is not yet valid (zone .)"),
        ),
        ("clock-not-kept", clocked(|facts| facts.is_kept = Ok(false))),
        (
            "clock-behind-files",
            clocked(|facts| {
                facts.newest = Some((Path::new("/x").to_owned(), facts.now.plus_seconds(301)));
            }),
        ),
        (
            "clock-of-daemon-differs",
            clocked(|facts| facts.daemon_differs_seconds = Some(-86_400)),
        ),
    ]
}

fn cases_of_resolver() -> Vec<Case> {
    let resolved = |set: fn(&mut resolver::Facts)| resolver::judge(&with(&resolver(), set));
    let nobody = || Some("it does not answer".to_owned());
    vec![
        (
            "resolver-none",
            resolved(|facts| facts.servers = Err("it names no server".to_owned())),
        ),
        (
            "resolver-silent",
            resolver::judge(&with(&resolver(), |facts| {
                facts.servers = Ok(vec![("127.0.0.1:53".parse().unwrap(), nobody())]);
                // Said once, and not again as a matter of DNSSEC.
                facts.trial = resolver::Trial::Silent("no answer".to_owned());
            })),
        ),
        (
            "resolver-partly-silent",
            resolver::judge(&with(&resolver(), |facts| {
                facts.servers = Ok(vec![
                    ("127.0.0.1:53".parse().unwrap(), None),
                    ("192.0.2.1:53".parse().unwrap(), nobody()),
                ]);
            })),
        ),
        (
            "dnssec-not-validated",
            resolved(|facts| {
                facts.trial = resolver::Trial::Nobody("own: no signatures".to_owned());
                facts.daemon = None;
            }),
        ),
        // What the daemon goes by counts, though it would work now.
        (
            "dnssec-not-validated",
            resolved(|facts| {
                facts.daemon = Some(dnssec("nobody", Some("no AD bit"), None));
            }),
        ),
        (
            "dnssec-doubted",
            resolved(|facts| {
                facts.daemon = Some(dnssec(
                    "own",
                    None,
                    Some("what is said of the root does not hold"),
                ));
            }),
        ),
        (
            "dnssec-doubted",
            resolved(|facts| {
                facts.daemon = Some(dnssec("not-yet", Some("no answer"), None));
            }),
        ),
        (
            "dnssec-doubted",
            resolved(|facts| {
                facts.trial = resolver::Trial::Silent("no answer for the root".to_owned());
                facts.daemon = None;
            }),
        ),
        (
            "trust-anchor-unusable",
            resolved(|facts| {
                facts.trial = resolver::Trial::Anchors("dane.trust_anchor: no key".to_owned());
            }),
        ),
        (
            "dane-off",
            resolved(|facts| facts.trial = resolver::Trial::Off),
        ),
    ]
}

fn cases_of_sockets() -> Vec<Case> {
    vec![
        (
            "socket-absent",
            sockets_with(|door| door.standing = sockets::Standing::Absent),
        ),
        (
            "socket-dead",
            sockets_with(|door| door.standing = sockets::Standing::Dead),
        ),
        (
            "socket-not-a-socket",
            sockets_with(|door| door.standing = sockets::Standing::NotASocket),
        ),
        (
            "socket-unreachable",
            sockets_with(|door| {
                door.callers[0].1 =
                    Reach::No("Debian-exim may not pass through /run/sealpost".to_owned());
            }),
        ),
        (
            "socket-user-not-allowed",
            sockets_with(|door| door.left_out = vec![0, 106]),
        ),
        (
            "socket-open-to-all",
            sockets_with(|door| door.is_open_to_all = true),
        ),
        (
            "socket-group-missing",
            sockets_with(|door| {
                door.missing_group = Some("there is no group postfix in /etc/group".to_owned());
            }),
        ),
    ]
}
