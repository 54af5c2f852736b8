//! The commands of the real binary, against a daemon's control socket that answers from a script.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use sealpost::{
    clock::{BoxFuture, UtcDay},
    ctl::{
        control::{Control, Replied, SessionsQuestion},
        protocol::{REQUEST_OCTETS_MAX, Refusal},
        server,
        socket::BoundSocket,
        wire::{
            AppliedView, CheckResult, CounterView, DayTotals, Deliveries, DeliveryStateView,
            DeliveryView, DetailView, DocumentFinding, DomainSessions, FailureMembers, FailureView,
            Finding, MxFinding, MxVerdict, OutcomeView, OverrideView, Policies, PolicySessions,
            PolicyView, Purged, RecordFinding, RefreshOutcome, Refreshed, ReportView, ReportsSent,
            RuaFinding, SendOutcome, SendView, Sessions, Status, StoreState, StoreStatus,
        },
    },
    policy::PolicyDomain,
};
use tokio::sync::watch;

/// A daemon that knows one domain, example.org, and was told hostile things about it.
struct Scripted;

const HOSTILE: &str = "mx\r\n\u{1b}[2J\u{9b}forged";

fn text(text: &str) -> String {
    text.to_owned()
}

fn ready<T: Send + 'static>(answer: Replied<T>) -> BoxFuture<'static, Replied<T>> {
    Box::pin(std::future::ready(answer))
}

fn day_or(day: Option<UtcDay>, default: &str) -> String {
    day.map_or_else(|| default.to_owned(), |day| day.to_string())
}

fn known(domain: &PolicyDomain) -> Result<(), Refusal> {
    if domain.as_str() == "example.org" {
        return Ok(());
    }
    Err(Refusal::not_found(format!("nothing is known of {domain}")))
}

fn kept() -> PolicyView {
    PolicyView {
        domain: text("example.org"),
        mode: text("enforce"),
        mx: vec![text("*.example.org")],
        max_age_seconds: 86_400,
        id: text("20261124"),
        fetched_at: text("2026-11-24T00:00:00Z"),
        tried_at: text("2026-11-24T00:00:00Z"),
        expires_at: text("2026-11-25T00:00:00Z"),
        expired: false,
        lines: vec![text("version: STSv1"), text(HOSTILE)],
        trouble: None,
    }
}

fn failure() -> FailureMembers {
    FailureMembers {
        result_type: text("certificate-expired"),
        mx: Some(text("mx1.example.org")),
        mx_helo: Some(text(HOSTILE)),
        receiving_ip: Some(text("192.0.2.1")),
        sending_ip: None,
        reason: Some(text(HOSTILE)),
    }
}

fn delivery() -> DeliveryView {
    DeliveryView {
        day: text("2026-11-23"),
        domain: text("example.org"),
        destination: text("mailto:tlsrpt@example.org"),
        report_id: text("a@b"),
        attempts: 1,
        first_attempt_at: Some(text("2026-11-24T00:30:00Z")),
        state: DeliveryStateView::Retry,
        at: text("2026-11-24T00:40:00Z"),
        reason: Some(text(HOSTILE)),
    }
}

fn report(day: String, day_over: bool) -> ReportView {
    ReportView {
        day,
        domain: text("example.org"),
        day_over,
        sessions: 3,
        destinations: vec![text("mailto:tlsrpt@example.org")],
        notes: Vec::new(),
        deliveries: vec![delivery()],
        report: serde_json::json!({"report-id": "a@b", "helo": HOSTILE}),
        text: text("Three sessions failed.\nRenew the certificate."),
    }
}

impl Control for Scripted {
    fn status(&self) -> BoxFuture<'_, Replied<Status>> {
        ready(Ok(Status {
            program: text("sealpost 0.1.0"),
            pid: 7,
            started_at: text("2026-11-24T00:00:00Z"),
            now: text("2026-11-24T12:00:00Z"),
            config: Some(text("/etc/sealpost/sealpost.toml")),
            alarms: vec![text("the disk is full")],
            today: DayTotals {
                day: text("2026-11-24"),
                domains: 1,
                successes: 2,
                failures: 3,
            },
            policies_kept: 1,
            store: StoreStatus {
                path: text("/var/lib/sealpost/store"),
                state: StoreState::Waiting,
                reason: Some(text("less than 256 MiB left")),
                waiting_rows: 12,
            },
            overrides: vec![OverrideView {
                domain: text("a.example"),
                mode: text("audit"),
                until: Some(text("2026-11-23")),
                reason: Some(text("their MX moves")),
                ended: true,
            }],
            counters: vec![CounterView {
                name: text("sessions"),
                value: 5,
            }],
        }))
    }

    fn sessions(&self, question: SessionsQuestion) -> BoxFuture<'_, Replied<Sessions>> {
        let failures = question.failures.then(|| {
            vec![FailureView {
                at: text("2026-11-24T01:02:03Z"),
                domain: text("example.org"),
                policy: text("00"),
                source: text("mta"),
                failure: failure(),
            }]
        });
        let domain = DomainSessions {
            domain: text("example.org"),
            policies: vec![PolicySessions {
                policy: AppliedView {
                    policy_type: text("sts"),
                    policy_domain: text("example.org"),
                    policy_string: vec![text("version: STSv1")],
                    mx_host: vec![text("*.example.org")],
                    fingerprint: text("00"),
                },
                successes: 2,
                failures: 3,
                details: vec![DetailView {
                    failure: failure(),
                    sessions: 3,
                }],
            }],
        };
        let asked = question
            .domain
            .is_none_or(|asked| asked.as_str() == "example.org");
        ready(Ok(Sessions {
            day: day_or(question.day, "2026-11-24"),
            domains: if asked { vec![domain] } else { Vec::new() },
            failures,
        }))
    }

    fn policies(&self) -> BoxFuture<'_, Replied<Policies>> {
        ready(Ok(Policies {
            policies: vec![kept()],
        }))
    }

    fn policy(&self, domain: PolicyDomain) -> BoxFuture<'_, Replied<PolicyView>> {
        ready(known(&domain).map(|()| kept()))
    }

    fn refresh(&self, domain: PolicyDomain) -> BoxFuture<'_, Replied<Refreshed>> {
        let found = known(&domain).is_ok();
        ready(Ok(Refreshed {
            domain: domain.to_string(),
            outcome: if found {
                RefreshOutcome::Confirmed
            } else {
                RefreshOutcome::Failed
            },
            reason: (!found).then(|| text("HTTP status 404")),
            policy: found.then(kept),
        }))
    }

    fn purge(&self, domain: PolicyDomain) -> BoxFuture<'_, Replied<Purged>> {
        ready(Ok(Purged {
            domain: domain.to_string(),
            purged: known(&domain).is_ok(),
        }))
    }

    fn check(&self, domain: PolicyDomain) -> BoxFuture<'_, Replied<CheckResult>> {
        ready(Ok(checked(&domain)))
    }

    fn deliveries(
        &self,
        day: Option<UtcDay>,
        _domain: Option<PolicyDomain>,
    ) -> BoxFuture<'_, Replied<Deliveries>> {
        ready(Ok(Deliveries {
            day: day_or(day, "2026-11-23"),
            deliveries: vec![delivery()],
        }))
    }

    fn report_preview(
        &self,
        day: Option<UtcDay>,
        domain: PolicyDomain,
    ) -> BoxFuture<'_, Replied<ReportView>> {
        ready(known(&domain).map(|()| report(day_or(day, "2026-11-24"), false)))
    }

    fn report_show(
        &self,
        day: Option<UtcDay>,
        domain: PolicyDomain,
    ) -> BoxFuture<'_, Replied<ReportView>> {
        ready(known(&domain).map(|()| report(day_or(day, "2026-11-23"), true)))
    }

    fn report_send(
        &self,
        day: Option<UtcDay>,
        domain: Option<PolicyDomain>,
    ) -> BoxFuture<'_, Replied<ReportsSent>> {
        let day_over = day.is_none_or(|day| day < "2026-11-24".parse().unwrap());
        let outcome = match domain {
            Some(domain) if known(&domain).is_err() => None,
            Some(_) => Some(SendOutcome::Sent),
            None => Some(SendOutcome::Failed),
        };
        let reports = outcome.map(|outcome| SendView {
            domain: text("example.org"),
            destination: Some(text("mailto:tlsrpt@example.org")),
            outcome,
            report_id: Some(text("a@b")),
            reason: (outcome == SendOutcome::Failed).then(|| text(HOSTILE)),
        });
        ready(Ok(ReportsSent {
            day: day_or(day, "2026-11-23"),
            day_over,
            sessions: 5,
            reports: reports.into_iter().collect(),
        }))
    }
}

fn checked(domain: &PolicyDomain) -> CheckResult {
    CheckResult {
        domain: domain.to_string(),
        at: text("2026-11-24T12:00:00Z"),
        overridden: None,
        record: RecordFinding {
            name: format!("_mta-sts.{domain}"),
            state: Finding::Valid,
            texts: vec![text(HOSTILE)],
            id: Some(text("20261124")),
            reason: None,
        },
        document: DocumentFinding {
            url: format!("https://mta-sts.{domain}/.well-known/mta-sts.txt"),
            state: Finding::Failed,
            mode: None,
            max_age_seconds: None,
            mx: Vec::new(),
            lines: Vec::new(),
            result_type: Some(text("sts-policy-fetch-error")),
            reason: Some(text("HTTP status 404")),
        },
        kept: Some(kept()),
        mx: MxFinding {
            state: Finding::Valid,
            reason: None,
            hosts: vec![MxVerdict {
                preference: Some(10),
                host: text("mx.example.net"),
                level: text("refuse-mx"),
                audit: false,
                reason: text("outside the policy"),
            }],
        },
        rua: RuaFinding {
            name: format!("_smtp._tls.{domain}"),
            state: Finding::Absent,
            texts: Vec::new(),
            destinations: Vec::new(),
            skipped: Vec::new(),
            reason: None,
        },
        outcome: OutcomeView {
            deliverable: false,
            text: text("No host may be used."),
        },
    }
}

/// A daemon's control socket and the configuration that names it.
struct Daemon {
    directory: tempfile::TempDir,
    stop: watch::Sender<bool>,
    runtime: tokio::runtime::Runtime,
    serving: tokio::task::JoinHandle<()>,
}

impl Daemon {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        write_config(directory.path());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (stop, stopped) = watch::channel(false);
        let socket = {
            let _inside = runtime.enter();
            BoundSocket::bind(&directory.path().join("control.sock"), 0o600).unwrap()
        };
        let serving = runtime.spawn(server::serve(socket, Arc::new(Scripted), stopped));
        Self {
            directory,
            stop,
            runtime,
            serving,
        }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("control.sock")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        run(self.directory.path(), arguments)
    }

    fn stop(self) {
        self.stop.send(true).unwrap();
        self.runtime.block_on(self.serving).unwrap();
    }
}

fn write_config(directory: &Path) {
    std::fs::write(
        directory.join("sealpost.toml"),
        "[control_socket]\npath = \"control.sock\"\n",
    )
    .unwrap();
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sealpost"))
        .arg("--config")
        .arg(directory.join("sealpost.toml"))
        .args(arguments)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs a command in text and in JSON; both end with `code`, show `holds`, and nothing that a
/// terminal obeys.
#[track_caller]
fn check(daemon: &Daemon, arguments: &[&str], code: i32, holds: &[&str]) {
    let output = daemon.run(arguments);
    let shown = stdout(&output);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?}: {output:?}"
    );
    for each in holds {
        assert!(
            shown.contains(each),
            "{arguments:?} lacks {each:?}:\n{shown}"
        );
    }
    let json = daemon.run(&[arguments, &["--json"]].concat());
    assert_eq!(json.status.code(), Some(code), "{arguments:?} --json");
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(value.is_object());
    for text in [shown, stdout(&json)] {
        let obeyed = |letter: char| letter.is_control() && letter != '\n';
        assert!(!text.contains(obeyed), "{arguments:?}: {text:?}");
        assert!(!text.lines().any(|line| line == "forged"), "{text}");
    }
}

#[test]
fn every_command_shows_what_the_daemon_answers() {
    let daemon = Daemon::start();
    for (arguments, code, holds) in [
        (
            &["status"][..],
            1,
            &["ALARM           the disk is full", "2026-11-23 (ended)"][..],
        ),
        (
            &["sessions"],
            0,
            &["example.org  sts     2          3", "certificate-expired"],
        ),
        (
            &["sessions", "--domain", "EXAMPLE.org.", "--failures"],
            0,
            &["2026-11-24T01:02:03Z"],
        ),
        (
            &[
                "sessions",
                "--day",
                "2026-11-20",
                "--domain",
                "other.example",
            ],
            0,
            &["No sessions on 2026-11-20."],
        ),
        (&["policy", "list"], 0, &["example.org  enforce"]),
        (
            &["policy", "show", "example.org"],
            0,
            &["mode      enforce", "  mx\\r\\n\\u{1b}[2J"],
        ),
        (
            &["policy", "refresh", "example.org"],
            0,
            &["the same policy was fetched again"],
        ),
        (
            &["policy", "refresh", "other.example"],
            1,
            &["could not be had: HTTP status 404"],
        ),
        (&["policy", "purge", "example.org"], 0, &["is forgotten"]),
        (
            &["policy", "purge", "other.example"],
            1,
            &["no policy was kept"],
        ),
        (
            &["report", "list"],
            0,
            &["example.org  mailto:tlsrpt@example.org  retry"],
        ),
        (
            &["report", "show", "example.org"],
            0,
            &["for 2026-11-23, 3 sessions", "  Renew the certificate."],
        ),
        (
            &["report", "preview", "example.org"],
            0,
            &[
                "The day 2026-11-24 is not over: 3 sessions so far.",
                "\"report-id\"",
            ],
        ),
        (
            &["report", "send", "--domain", "example.org"],
            0,
            &["mailto:tlsrpt@example.org  sent"],
        ),
        (
            &["report", "send", "--day", "2026-11-24"],
            1,
            &[
                "The day 2026-11-24 is not over: 5 sessions so far.",
                "failed",
            ],
        ),
        (
            &["report", "send", "--domain", "other.example"],
            1,
            &["No reports of 2026-11-23 to send."],
        ),
    ] {
        check(&daemon, arguments, code, holds);
    }
    daemon.stop();
}

#[test]
fn what_is_not_there_is_said_and_ends_with_1() {
    let daemon = Daemon::start();
    for command in [
        ["policy", "show"],
        ["report", "show"],
        ["report", "preview"],
    ] {
        let output = daemon.run(&[&command[..], &["other.example"]].concat());
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            stderr(&output),
            "sealpost: nothing is known of other.example\n"
        );
    }
    daemon.stop();
}

#[test]
fn a_daemon_that_does_not_run_is_named_by_its_socket() {
    let directory = tempfile::tempdir().unwrap();
    write_config(directory.path());
    let socket = directory.path().join("control.sock");
    let output = run(directory.path(), &["status"]);
    assert_eq!(output.status.code(), Some(69));
    let said = stderr(&output);
    assert!(
        said.starts_with("sealpost: the daemon is not running: "),
        "{said}"
    );
    assert!(said.contains(&format!("{} (there is no such socket)", socket.display())));
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let output = run(directory.path(), &["policy", "list"]);
    assert_eq!(output.status.code(), Some(69));
    assert!(stderr(&output).contains("(nobody listens there)"));
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_64() {
    let directory = tempfile::tempdir().unwrap();
    write_config(directory.path());
    for arguments in [
        &["sesions"][..],
        &["sessions", "--day", "yesterday"],
        &["policy", "show", "a..b"],
        &["policy", "show", "192.0.2.1"],
        &["config", "explain", "policy.colour"],
        &[],
    ] {
        let output = run(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}

#[test]
fn help_names_the_exit_codes_and_every_command() {
    let output = run(Path::new("/nowhere"), &["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = stdout(&output);
    for word in [
        "serve", "status", "sessions", "policy", "report", "config", "78", "69",
    ] {
        assert!(help.contains(word), "{word}:\n{help}");
    }
}

#[test]
fn a_configuration_is_checked_explained_and_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sealpost.toml");
    std::fs::write(&path, "[dns]\nattempts = 0\ntimeout = 1\n").unwrap();
    for command in [&["config", "check"][..], &["status"], &["serve"]] {
        let output = run(directory.path(), command);
        assert_eq!(output.status.code(), Some(78), "{command:?}");
        let expected = format!(
            "sealpost: {0}:2:12: dns.attempts: 0 is not a whole number from 1 to 10\n{0}:3:1: \
             dns.timeout: unknown setting; did you mean \"timeout_ms\"?\n",
            path.display()
        );
        assert_eq!(stderr(&output), expected, "{command:?}");
    }
    let output = run(directory.path(), &["config", "check", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["problems"][0]["line"], 2);
    assert_eq!(value["ok"], false);

    let minimal = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/examples/minimal.toml");
    let output = run(directory.path(), &["config", "check", minimal]);
    assert_eq!(output.status.code(), Some(0));
    let said = stdout(&output);
    assert!(said.contains("minimal.toml: ok"), "{said}");
    assert!(
        said.contains("from postmaster@example.org (Example Org)"),
        "{said}"
    );
    assert!(said.contains("warning: there is no [[dkim]] key"), "{said}");

    std::fs::write(&path, "[dns]\nattempts = 3\n").unwrap();
    let shown = stdout(&run(directory.path(), &["config", "show"]));
    let table: toml::Table = toml::from_str(&shown).unwrap();
    assert_eq!(table["dns"]["attempts"].as_integer(), Some(3));
    let explained = stdout(&run(
        directory.path(),
        &["config", "explain", "dns.attempts"],
    ));
    assert!(
        explained.contains("a whole number from 1 to 10"),
        "{explained}"
    );
    let markdown = stdout(&run(directory.path(), &["config", "explain", "--markdown"]));
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/config.md");
    assert_eq!(markdown, std::fs::read_to_string(document).unwrap());
}

#[test]
fn a_missing_file_says_how_to_make_one() {
    let output = run(Path::new("/nowhere"), &["serve"]);
    assert_eq!(output.status.code(), Some(78));
    let said = stderr(&output);
    assert!(
        said.contains("/nowhere/sealpost.toml: there is no such file"),
        "{said}"
    );
    assert!(said.contains("[sender]"), "{said}");
}

/// Says lines to the socket and returns what comes back until it is closed.
fn exchange(daemon: &Daemon, lines: &[u8]) -> String {
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    // A server that has heard enough may have closed before all is written.
    let written = stream.write_all(lines);
    assert!(written.is_ok() || lines.len() > REQUEST_OCTETS_MAX);
    let closed = stream.shutdown(std::net::Shutdown::Write);
    assert!(closed.is_ok() || lines.len() > REQUEST_OCTETS_MAX);
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

#[test]
fn nonsense_on_the_socket_is_answered_and_disturbs_nothing() {
    let daemon = Daemon::start();
    for (line, expected) in [
        ("rubbish\n", "not a request: "),
        ("\n", "not a request: "),
        ("{\"version\":1}\n", "not a request: "),
        (
            "{\"version\":1,\"request\":{\"command\":\"dance\"}}\n",
            "not a request: ",
        ),
        (
            "{\"version\":2,\"request\":{\"command\":\"status\"}}\n",
            "the daemon speaks version 1 of this protocol, not 2",
        ),
        (
            "{\"version\":1,\"request\":{\"command\":\"purge\",\"domain\":\"a b\"}}\n",
            "is not a host name",
        ),
        (
            "{\"version\":1,\"request\":{\"command\":\"sessions\",\"day\":\"today\"}}\n",
            "is not a day of the form 2026-11-24",
        ),
        (
            "{\"version\":1",
            "a request is a line of at most 8192 octets",
        ),
    ] {
        let reply = exchange(&daemon, line.as_bytes());
        assert!(
            reply.contains("bad-request") && reply.contains(expected),
            "{line}: {reply}"
        );
    }
    let long = vec![b'x'; REQUEST_OCTETS_MAX * 4];
    let reply = exchange(&daemon, &long);
    assert!(
        reply.contains("a request is a line of at most 8192 octets"),
        "{reply}"
    );
    let twice = b"{\"version\":1,\"request\":{\"command\":\"policies\"}}\n".repeat(2);
    assert_eq!(exchange(&daemon, &twice).lines().count(), 2);
    assert_eq!(daemon.run(&["policy", "list"]).status.code(), Some(0));
    daemon.stop();
}

#[test]
fn more_clients_than_places_are_told_so() {
    let daemon = Daemon::start();
    let status = b"{\"version\":1,\"request\":{\"command\":\"policies\"}}\n";
    let mut holders = Vec::new();
    for _ in 0..16 {
        let mut stream = UnixStream::connect(daemon.socket()).unwrap();
        stream.write_all(status).unwrap();
        // Its answer has begun: it has its place.
        stream.read_exact(&mut [0; 1]).unwrap();
        holders.push(stream);
    }
    let output = daemon.run(&["policy", "list"]);
    assert_eq!(output.status.code(), Some(69));
    assert!(stderr(&output).contains("16 others control the daemon"));
    daemon.stop();
}

#[test]
fn a_daemon_that_stops_removes_its_socket() {
    let daemon = Daemon::start();
    let socket = daemon.socket();
    let idle = UnixStream::connect(&socket).unwrap();
    assert!(socket.exists());
    let directory = daemon.directory.path().to_owned();
    daemon.stop.send(true).unwrap();
    daemon.runtime.block_on(daemon.serving).unwrap();
    assert!(!socket.exists());
    drop(idle);
    assert_eq!(run(&directory, &["status"]).status.code(), Some(69));
}
