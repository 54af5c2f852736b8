//! Traps that a running daemon tells of: here something answers on its control socket that says whatever it is told to.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{
        net::{UnixListener, UnixStream},
        process::CommandExt as _,
    },
    path::PathBuf,
    process::{Child, Command},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use sealpost::{
    clock::{Clock as _, SystemClock},
    ctl::protocol::VERSION,
};
use serde_json::{Value, json};

use super::{
    super::host::is_root,
    stage::{Case, Kept, Stage, case},
};

#[test]
fn each_trap_that_the_daemon_tells_of_is_found() {
    Stage::finds_each(CASES);
}

/// A daemon that says this instead of what one says with which all is well.
fn says(stage: &Stage, change: impl FnOnce(&mut Value)) -> Kept {
    vec![Box::new(pretend(stage, change))]
}

fn counts(stage: &Stage, counters: &[(&str, u64)]) -> Kept {
    says(stage, |status| {
        status["started_at"] = "2020-01-01T00:00:00Z".into();
        let counters = counters
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}));
        status["counters"] = counters.collect();
    })
}

pub(super) const CASES: &[Case] = &[
    case("daemon-not-running", "daemon", |stage| {
        // It has run, and was killed.
        drop(UnixListener::bind(stage.host.file("control.sock")).unwrap());
        Vec::new()
    }),
    case("daemon-silent", "daemon", |stage| {
        says(stage, |status| *status = "no status".into())
    }),
    case("daemon-older-than-program", "daemon", |stage| {
        says(stage, |status| status["program"] = "sealpost 0.0.9".into())
    }),
    case("daemon-alarm", "daemon", |stage| {
        says(stage, |status| {
            status["alarms"] = json!(["the disk is full"]);
        })
    }),
    case("store-not-written", "store", |stage| {
        says(stage, |status| {
            status["store"]["state"] = "waiting".into();
            status["store"]["reason"] = "no space left".into();
        })
    }),
    case("store-kept-in-memory-only", "store", |stage| {
        says(stage, |status| {
            status["store"]["state"] = "put-aside".into();
            status["store"]["reason"] = "it is damaged".into();
        })
    }),
    case("store-quota-exceeded", "store", |stage| {
        says(stage, |status| {
            status["store"]["quota"] = json!({
                "max_mib": 64, "file_octets": 90_000_000, "held_octets": 70_000_000,
                "is_exceeded": true, "forgotten": [],
            });
        })
    }),
    case("store-quota-eats-days", "store", |stage| {
        says(stage, |status| {
            status["store"]["quota"] = json!({
                "max_mib": 64, "file_octets": 90_000_000, "held_octets": 60_000_000,
                "is_exceeded": false, "forgotten": [{"part": "counts", "until": "2026-11-10"}],
            });
        })
    }),
    case("dnssec-doubted", "resolver", |stage| {
        says(stage, |status| {
            status["dnssec"] = json!({"validation": "own", "reason": null, "doubt": "forged"});
        })
    }),
    case("clock-of-daemon-differs", "clock", |stage| {
        says(stage, |status| {
            status["now"] = "2020-01-01T00:00:00Z".into();
        })
    }),
    case("sessions-nobody-asks", "sessions", |stage| {
        counts(stage, &[])
    }),
    case("sessions-not-told", "sessions", |stage| {
        counts(stage, &[("policy_queries", 100)])
    }),
    case("sessions-lost", "sessions", |stage| {
        counts(stage, &[("datagrams_dropped", 1)])
    }),
    case("sessions-not-understood", "sessions", |stage| {
        counts(stage, &[("datagrams_malformed", 1)])
    }),
    case("sessions-clients-refused", "sessions", |stage| {
        counts(stage, &[("plugin_clients_refused", 1)])
    }),
    case("sessions-unanswered", "sessions", |stage| {
        counts(
            stage,
            &[("policy_queries", 100), ("policy_queries_unanswerable", 50)],
        )
    }),
    case("reports-stuck", "sessions", |stage| {
        counts(stage, &[("report_attempts_failed", 3)])
    }),
    case("open-files-few", "limits", |stage| {
        let mut command = Command::new("sh");
        let process = Process(
            command
                .args(["-c", "ulimit -n 64; exec sleep 600"])
                .spawn()
                .unwrap(),
        );
        let id = process.id();
        // Until the shell has set its limit.
        let limits = format!("/proc/{id}/limits");
        super::super::host::until("the limit is set", || {
            let limits = std::fs::read_to_string(&limits).unwrap();
            limits
                .lines()
                .any(|line| {
                    line.starts_with("Max open files")
                        && line.split_whitespace().nth(3) == Some("64")
                })
                .then_some(())
        });
        vec![
            Box::new(pretend(stage, |status| status["pid"] = id.into())),
            Box::new(process),
        ]
    }),
];

/// Something that is taken for the daemon.
pub(super) struct Pretended {
    socket: PathBuf,
    has_ended: Arc<AtomicBool>,
    answering: Option<JoinHandle<()>>,
}

/// Answers whatever is asked as a daemon with which all is well answers `status`, but for this change.
pub(super) fn pretend(stage: &Stage, change: impl FnOnce(&mut Value)) -> Pretended {
    let socket = stage.host.file("control.sock");
    // One that was killed may have left it.
    let _removed = std::fs::remove_file(&socket).is_ok();
    let listener = UnixListener::bind(&socket).unwrap();
    let now = SystemClock.now().to_string();
    let mut status = json!({
        "program": concat!("sealpost ", env!("CARGO_PKG_VERSION")),
        "pid": std::process::id(),
        "started_at": now,
        "now": now,
        "config": null,
        "alarms": [],
        "today": null,
        "policies_kept": 0,
        "store": {
            "path": stage.host.file("store"),
            "state": "recording",
            "reason": null,
            "waiting_rows": 0,
        },
        "overrides": [],
        "counters": [],
    });
    change(&mut status);
    let reply = json!({"version": VERSION, "result": {"ok": status}}).to_string();
    let has_ended = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&has_ended);
    let answering = std::thread::spawn(move || {
        for client in listener.incoming() {
            if ended.load(Ordering::SeqCst) {
                return;
            }
            let client = client.unwrap();
            let mut line = String::new();
            // Who only looks whether somebody listens says nothing.
            if BufReader::new(&client).read_line(&mut line).unwrap() > 0 {
                writeln!(&client, "{reply}").unwrap();
            }
        }
    });
    Pretended {
        socket,
        has_ended,
        answering: Some(answering),
    }
}

impl Drop for Pretended {
    fn drop(&mut self) {
        self.has_ended.store(true, Ordering::SeqCst);
        drop(UnixStream::connect(&self.socket));
        if let Some(answering) = self.answering.take() {
            let ended = answering.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "the pretended daemon died"
            );
        }
        let _removed = std::fs::remove_file(&self.socket).is_ok();
    }
}

/// A process that ends with the test.
pub(super) struct Process(Child);

impl Process {
    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _killed = self.0.kill().is_ok();
        let _ended = self.0.wait().is_ok();
    }
}

/// A process whose children have no privileges of their own, to be taken for the daemon's.
pub(super) fn powerless_process() -> Process {
    let mut command = Command::new("setpriv");
    let process = Process(
        command
            .args(["--no-new-privs", "sleep", "600"])
            .spawn()
            .unwrap(),
    );
    let status = format!("/proc/{}/status", process.id());
    super::super::host::until("it has given them up", || {
        let status = std::fs::read_to_string(&status).unwrap();
        status.contains("NoNewPrivs:\t1").then_some(())
    });
    process
}

/// A process of a user who is not root, to be taken for the daemon's.
pub(super) fn nobodys_process() -> Process {
    let mut command = Command::new("sleep");
    command.arg("600");
    if is_root() {
        command.uid(65_534).gid(65_534);
    }
    Process(command.spawn().unwrap())
}
