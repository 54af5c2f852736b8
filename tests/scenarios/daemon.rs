//! The real binary. Here its commands, against a daemon's control socket that answers from a script;
//! in the files below the whole of it, as a daemon in the small Internet.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use sealpost::{
    ctl::{protocol::REQUEST_OCTETS_MAX, server},
    net::unix_socket::{Access, BoundSocket},
};
use tokio::sync::watch;

use scripted::Scripted;

mod activation;
mod alerts;
mod audit;
mod backup;
mod checks;
mod datagrams;
mod days;
mod dkim;
mod doctor;
pub(super) mod documents;
mod earlier_stores;
mod evidence;
mod host;
mod https;
mod kills;
mod life;
mod looks;
mod mail;
mod metrics;
mod mx_hosts;
mod overrides;
pub(super) mod page;
mod postfix_log;
mod quota;
mod report_sessions;
mod restarts;
mod scripted;
mod security;
mod sendmail;
mod socketmap;
mod sockets;
mod suppression;
mod testing_first;
mod toy_mta;
mod trouble;

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
            BoundSocket::bind(&directory.path().join("control.sock"), &Access::mode(0o600)).unwrap()
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
        "[socketmap]\npath = \"\"\n[tlsrpt_socket]\npath = \"\"\n[control_socket]\npath = \"control.sock\"\n",
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
#[expect(clippy::too_many_lines, reason = "each command once")]
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
            &["2026-11-24T01:02:03Z", "`sealpost explain NAME` says"],
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
        (
            &["check", "Example.org"],
            1,
            &[
                "Record    valid: _mta-sts.example.org",
                "Policy    failed: https://mta-sts.example.org/.well-known/mta-sts.txt \
                 (sts-policy-fetch-error: HTTP status 404)",
                "10  mx.example.net  refuse  MTA-STS  outside the policy",
                "Postfix   is told on the socketmap\n  QUERY: mx\\r\\n\\u{1b}[2J",
                "No host may be used.",
                "`sealpost explain sts-policy-fetch-error` says what that means",
            ],
        ),
        (
            &["alert", "list"],
            1,
            &["enforce-failures  mx\\r\\n", "enforce-failures: look"],
        ),
        (
            &["alert", "test", "--to", "mail", "alarm"],
            1,
            &["alarm  NO"],
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
            &["suppression", "list"],
            0,
            &[
                "mailto:tlsrpt@example.org  2026-12-01T01:00:00Z  refusals  2      mx\\r\\n\\u{1b}[2J",
            ],
        ),
        (
            &["suppression", "explain", "tlsrpt@example.org"],
            0,
            &["mailto:tlsrpt@example.org: suppressed\n  by      2 refusals in a row"],
        ),
        (
            &[
                "suppression",
                "add",
                "a%b@example.org",
                "--reason",
                "\u{1b}[2J",
            ],
            0,
            &["mailto:a%b@example.org", "reason  \\u{1b}[2J"],
        ),
    ] {
        check(&daemon, arguments, code, holds);
    }
    daemon.stop();
}

#[test]
fn what_protected_the_mail_is_shown_as_the_daemon_answers() {
    let daemon = Daemon::start();
    for (arguments, code, holds) in [
        (
            &["status", "--security"][..],
            0,
            &[
                "3001 sessions on 2026-11-24 (UTC), by what protected them",
                "2026-11-24  3001      3000    0        0    1       0",
                "(1 more)",
                "1 recipient domain with fewer sessions not shown; --all shows every one.",
            ][..],
        ),
        (
            &["status", "--security", "--since", "2026-11-01", "--all"],
            0,
            &["3001 sessions from 2026-11-01 to 2026-11-24 (UTC)"],
        ),
        (
            &["status", "--security", "--day", "2026-11-20"],
            0,
            &[
                "No sessions on 2026-11-20 (UTC) of which it is known what protected them.",
                "Sessions were counted, but not what protected them, on 2026-11-20.",
            ],
        ),
        (
            &["evidence", "--from", "2026-11-01"],
            0,
            &[
                "Organization         mx\\r\\n\\u{1b}[2J\\u{9b}forged",
                "all  1         0     0.00  0        0.00  0    0.00  1      100.00  0        0.00",
            ],
        ),
    ] {
        check(&daemon, arguments, code, holds);
    }
    for (form, holds) in [
        (
            "csv",
            "about,host,mx\\r\\n\\u{1b}[2J\\u{9b}forged,,,,,,,,,,,\r\n",
        ),
        ("html", "<dd>mx\\r\\n\\u{1b}[2J\\u{9b}forged</dd>"),
    ] {
        let asked = ["evidence", "--from", "2026-11-01", "--format", form];
        let shown = stdout(&daemon.run(&asked));
        assert!(shown.contains(holds), "{shown}");
        assert!(!shown.contains(['\u{1b}', '\u{9b}']), "{shown}");
    }
    daemon.stop();
}

#[test]
fn the_report_commands_show_what_the_daemon_answers() {
    let daemon = Daemon::start();
    for (arguments, code, holds) in [
        (
            &["report", "list"][..],
            0,
            &[
                "example.org    mailto:tlsrpt@example.org  retry",
                "other.example  -                          none",
            ][..],
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
                "The day is not over; these are the sessions so far.",
                "\"report-id\"",
            ],
        ),
        (
            &["report", "send", "--domain", "example.org"],
            0,
            &["mailto:tlsrpt@example.org  sent", "\nNote: "],
        ),
        (&["report", "send", "--day", "2026-11-24"], 1, &["failed"]),
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
fn a_log_that_was_changed_is_said_to_be_broken() {
    let daemon = Daemon::start();
    for (arguments, code, holds) in [
        (
            &["audit"][..],
            0,
            &[
                "override-set  example.org  mx\\r\\n\\u{1b}[2J\\u{9b}forged  mx\\r\\n",
                "6 earlier decisions not shown; --all shows every one.",
                "THE LOG IS BROKEN: entry 5 does not follow",
            ][..],
        ),
        (&["audit", "--verify"], 1, &["THE LOG IS BROKEN: entry 5"]),
        (
            &["audit", "--verify", "--contains", "AA"],
            1,
            &["Entry 7 has the digest that was given."],
        ),
    ] {
        check(&daemon, arguments, code, holds);
    }
    daemon.stop();
}

#[test]
fn the_override_commands_show_what_the_daemon_answers() {
    let daemon = Daemon::start();
    let set = ["override", "set", "example.net", "--mode", "audit"];
    for (arguments, code, holds) in [
        (
            &["override", "list"][..],
            0,
            &["example.org  without-dane  -      mx\\r\\n\\u{1b}[2J\\u{9b}forged"][..],
        ),
        (
            &["override", "list", "--all"],
            0,
            &["example.org  without-dane  - (ended)  mx\\r\\n"],
        ),
        (
            &["override", "show", "example.org"],
            0,
            &["example.org: without-dane\n  state   ended\n"],
        ),
        (
            &[&set[..], &["--reason", "\u{1b}[2J", "--author", "Ada"]].concat(),
            0,
            &[
                "example.net: audit\n",
                "set by  Ada (as ",
                "reason  \\u{1b}[2J",
            ],
        ),
        (
            &["override", "expire", "example.org", "--reason", "done"],
            0,
            &["ended   2026-11-24T12:00:00Z\n"],
        ),
        (
            &["status"],
            1,
            &["a.example  audit     2026-11-23 (ended)  the configuration"],
        ),
    ] {
        check(&daemon, arguments, code, holds);
    }
    for wrong in [
        &set[..],
        &[
            "override",
            "set",
            "example.net",
            "--mode",
            "none",
            "--reason",
            "x",
        ],
    ] {
        assert_eq!(daemon.run(wrong).status.code(), Some(64));
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
        ["override", "show"],
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
        &["status", "--day", "2026-11-24"],
        &[
            "status",
            "--security",
            "--day",
            "2026-11-24",
            "--since",
            "2026-11-01",
        ],
        &["policy", "show", "a..b"],
        &["policy", "show", "192.0.2.1"],
        &["config", "explain", "policy.colour"],
        &["explain", "sts-mx-mismach"],
        &["explain", "testing", "--markdown"],
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
        "serve",
        "status",
        "sessions",
        "explain",
        "policy",
        "report",
        "config",
        "78",
        "69",
        "suppression",
        "bounce",
        "75",
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
fn what_a_report_names_is_explained_without_a_daemon() {
    let explained = |arguments: &[&str]| {
        let output = run(
            Path::new("/nowhere"),
            &[&["explain"][..], arguments].concat(),
        );
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        stdout(&output)
    };
    let one = explained(&["policy:sts-mx-mismatch"]);
    for words in [
        "validation-failure: sts-mx-mismatch\n",
        "What happened: An MX record names a host",
        "What to do: If the host is yours, add",
        "Concluded from the policy",
    ] {
        assert!(one.contains(words), "{words}:\n{one}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&explained(&["sts-webpki-invalid", "--json"])).unwrap();
    let entries = json.as_array().unwrap();
    assert!(entries.len() > 3, "{json}");
    assert_eq!(entries[0]["result_type"], "sts-webpki-invalid");
    assert_eq!(entries[0]["reason_codes"], serde_json::json!([]));
    assert!(explained(&[]).contains("\nstarttls-not-supported\n  starttls-not-offered, "));
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/failures.md");
    assert_eq!(
        explained(&["--markdown"]),
        std::fs::read_to_string(document).unwrap()
    );
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
    let mut reply = Vec::new();
    if let Err(error) = stream.read_to_end(&mut reply) {
        // What the server did not read is thrown away with the connection, and the system says so
        // after the reply.
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        assert!(lines.len() > REQUEST_OCTETS_MAX);
    }
    String::from_utf8(reply).unwrap()
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

/// The small Internet, and a configuration that asks it.
fn small_internet(directory: &Path) -> (tokio::runtime::Runtime, sealpost_kit::Internet) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let internet = runtime
        .block_on(sealpost_kit::Internet::start(sealpost_kit::Ports::default()))
        .unwrap();
    std::fs::write(directory.join("roots.pem"), internet.authority.ca_pem()).unwrap();
    std::fs::write(
        directory.join("sealpost.toml"),
        format!(
            "[control_socket]\npath = \"control.sock\"\n[dns]\nservers = [\"{}\"]\n[policy]\n\
             https_port = {}\nextra_roots = [\"roots.pem\"]\nallow_private_addresses = \
             true\n[domain.\"testing.test\"]\nmode = \"enforce\"\nreason = \"we insist\"\n",
            internet.dns.address(),
            internet.policy_hosts.address().port()
        ),
    )
    .unwrap();
    (runtime, internet)
}

#[test]
fn a_domain_is_checked_without_a_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let (_runtime, _internet) = small_internet(directory.path());
    for (domain, code, holds) in [
        (
            "correct.test",
            0,
            &[
                "  mode: enforce",
                "verify",
                "goes over TLS with a valid certificate",
                "  QUERY: OK secure match=",
                "  QUERYwithTLSRPT: OK secure match=",
            ][..],
        ),
        (
            "testing.test",
            0,
            &["Override  enforce: we insist", "verify"],
        ),
        (
            "policy-down.test",
            0,
            &["sts-policy-fetch-error", "no connection"],
        ),
        ("policy-certificate.test", 0, &["sts-webpki-invalid"]),
        ("policy-rubbish.test", 0, &["sts-policy-invalid"]),
        (
            "no-policy.test",
            0,
            &["The domain announces no policy.", "  QUERY: NOTFOUND\n"],
        ),
        (
            "other-mx.test",
            1,
            &["refuse", "lists none of the domain's MX hosts"],
        ),
        ("no-rua.test", 0, &["The domain wants no reports."]),
        ("nowhere.test", 1, &["There is no host to deliver mail to."]),
    ] {
        let output = run(directory.path(), &["check", "--no-daemon", domain]);
        let shown = stdout(&output);
        assert_eq!(output.status.code(), Some(code), "{domain}: {output:?}");
        for each in holds {
            assert!(shown.contains(each), "{domain} lacks {each:?}:\n{shown}");
        }
    }
    // Without being told so, it finds out that no daemon runs, and says it.
    let output = run(directory.path(), &["check", "correct.test", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        stderr(&output).contains("looked up without it"),
        "{output:?}"
    );
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["mx"]["hosts"][0]["level"], "verify");
    assert_eq!(value["kept"], serde_json::Value::Null);
}
