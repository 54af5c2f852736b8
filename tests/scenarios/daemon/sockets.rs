//! The two sockets of a whole daemon: who gets in, and who gets the place.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        net::{UnixListener, UnixStream},
    },
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use super::host::{Host, is_root, level, until};

/// The user `nobody`.
const NOBODY: u32 = 65_534;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_files_have_their_modes_and_what_a_killed_daemon_left_is_replaced() {
    let mut host = Host::new();
    let daemon = host.start();
    let (plugin, control) = (host.plugin_socket(), host.file("control.sock"));
    assert_eq!((mode(&plugin), mode(&control)), (0o660, 0o600));
    daemon.kill();
    assert!(plugin.exists() && control.exists());
    host.set("plugin_socket.mode", "0600");
    host.set("control_socket.mode", "0640");
    let daemon = host.start();
    assert_eq!((mode(&plugin), mode(&control)), (0o600, 0o640));
    assert_eq!(level(&host.say("POLICY\tcorrect.test")), "verify");
    assert!(daemon.stop().success());
    assert!(!plugin.exists() && !control.exists());
}

#[track_caller]
fn refused(host: &Host, code: i32, words: &[&str]) {
    let output = host.start_in_vain();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("sealpost: "), "{said}");
    for each in words {
        assert!(last.contains(each), "{each} is not in\n{said}");
    }
}

#[test]
fn a_second_daemon_is_refused_and_the_first_is_left_in_peace() {
    let mut host = Host::new();
    let daemon = host.start();
    let store = host.file("store").display().to_string();
    refused(&host, 78, &[&store, "is in use: another sealpost holds it"]);
    host.set("store.path", "second");
    let plugin = host.plugin_socket().display().to_string();
    refused(&host, 78, &["plugin_socket", &plugin, "another process"]);
    host.set("plugin_socket.path", "second.sock");
    let control = host.file("control.sock").display().to_string();
    refused(&host, 78, &["control_socket", &control, "another process"]);
    assert!(!host.file("second.sock").exists());
    assert_eq!(level(&host.say("POLICY\tcorrect.test")), "verify");
    assert_eq!(host.run(&["status"]).status.code(), Some(0));
    assert!(daemon.stop().success());
}

#[test]
fn a_file_of_another_kind_in_the_place_of_a_socket_is_left_alone() {
    for name in ["plugin.sock", "control.sock"] {
        let host = Host::new();
        fs::write(host.file(name), "mine").unwrap();
        let path = host.file(name).display().to_string();
        refused(&host, 78, &[&path, "socket"]);
        assert_eq!(fs::read(host.file(name)).unwrap(), b"mine");
        fs::remove_file(host.file(name)).unwrap();
        // Nor is what a symbolic link points to.
        fs::write(host.file("target"), "mine").unwrap();
        symlink(host.file("target"), host.file(name)).unwrap();
        refused(&host, 78, &[&path, "socket"]);
        assert_eq!(fs::read(host.file("target")).unwrap(), b"mine");
    }
}

/// What comes back on a socket for a line, for a client of another user.
fn say_as_nobody(path: &Path, line: &str) -> Result<String, std::io::Error> {
    std::thread::scope(|scope| {
        let speaking = scope.spawn(|| {
            // Of this thread alone; it ends with it.
            let nobody = rustix::process::Uid::from_raw(NOBODY);
            rustix::thread::set_thread_uid(nobody).unwrap();
            let mut stream = UnixStream::connect(path)?;
            // One that is not let in may be told so before it has said anything.
            let _written = stream.write_all(line.as_bytes()).is_ok();
            let _closed = stream.shutdown(std::net::Shutdown::Write).is_ok();
            let mut answer = Vec::new();
            if let Err(error) = stream.read_to_end(&mut answer)
                && answer.is_empty()
            {
                return Err(error);
            }
            Ok(String::from_utf8(answer).unwrap())
        });
        speaking.join().unwrap()
    })
}

/// A command run by another user.
fn run_as_nobody(host: &Host, arguments: &[&str]) -> Output {
    let nobody = NOBODY.to_string();
    Command::new("setpriv")
        .args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"])
        .arg(env!("CARGO_BIN_EXE_sealpost"))
        .args(arguments)
        .arg("--config")
        .arg(host.file("sealpost.toml"))
        .output()
        .unwrap()
}

#[test]
fn users_who_are_not_let_in_are_told_so() {
    if !is_root() {
        crate::skipped::skipped("only root can speak as another user");
        return;
    }
    let mut host = Host::new();
    let open_to_all = fs::Permissions::from_mode(0o755);
    fs::set_permissions(host.directory(), open_to_all).unwrap();
    // The file modes let everybody in: what is left is who they are.
    host.set("plugin_socket.mode", "0666");
    host.set("control_socket.mode", "0666");
    let daemon = host.start();
    let ping = say_as_nobody(&host.plugin_socket(), "PING\n").unwrap();
    assert!(ping.starts_with("PONG sealpost "), "{ping}");
    let request =
        "{\"version\":1,\"request\":{\"command\":\"purge\",\"domain\":\"correct.test\"}}\n";
    let answer = say_as_nobody(&host.file("control.sock"), request).unwrap();
    assert!(
        answer.contains("not-allowed")
            && answer.contains("only root and the user that the daemon runs as may control it"),
        "{answer}"
    );
    let output = run_as_nobody(&host, &["status"]);
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        said,
        "sealpost: only root and the user that the daemon runs as may control it\n"
    );
    host.wait_for_log("refused a client that is not root or our user");
    assert!(daemon.stop().success());

    host.set("plugin_socket.allow_uids", vec![toml::Value::from(0)]);
    host.set("control_socket.mode", "0600");
    let daemon = host.start();
    let answer = say_as_nobody(&host.plugin_socket(), "POLICY\tcorrect.test\n").unwrap();
    assert_eq!(answer, "ERROR\tclient: user id 65534 may not speak here\n");
    assert_eq!(level(&host.say("POLICY\tcorrect.test")), "verify");
    until("the refusal is counted", || {
        (host.counter("plugin_clients_refused") == 1).then_some(())
    });
    let kept_out = run_as_nobody(&host, &["status"]);
    assert_eq!(kept_out.status.code(), Some(69));
    let said = String::from_utf8(kept_out.stderr).unwrap();
    assert!(said.contains("permission denied"), "{said}");
    // Without the daemon's answer the check looks for itself, and says so.
    let check = run_as_nobody(&host, &["check", "correct.test"]);
    assert_eq!(check.status.code(), Some(0), "{check:?}");
    let said = String::from_utf8(check.stderr).unwrap();
    assert!(said.contains("permission denied") && said.contains("looked up without it"));
    assert!(daemon.stop().success());
}

#[test]
fn a_listener_that_is_not_ours_is_not_pushed_aside() {
    let host = Host::new();
    let theirs = UnixListener::bind(host.plugin_socket()).unwrap();
    let path = host.plugin_socket().display().to_string();
    refused(&host, 78, &[&path, "another process listens"]);
    drop(theirs);
    let daemon = host.start();
    assert!(daemon.stop().success());
}

#[test]
fn more_clients_than_the_soft_limit_of_open_files_are_answered() {
    let host = Host::new();
    host.write_config();
    let serve = host.serve();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -Sn 64; exec \"$@\"", "sh"]);
    command.arg(serve.get_program()).args(serve.get_args());
    let daemon = host.start_as(command);
    let mut clients: Vec<UnixStream> = (0..200)
        .map(|_| UnixStream::connect(host.plugin_socket()).unwrap())
        .collect();
    for client in &mut clients {
        client
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        client.write_all(b"PING\n").unwrap();
        let mut answer = [0; 4];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"PONG");
    }
    // All of them still there, and there is a file left for the lookup and the fetch.
    assert_eq!(level(&host.say("POLICY\tcorrect.test")), "verify");
    assert!(daemon.stop().success());
}

#[test]
fn a_client_that_reads_no_answers_does_not_keep_the_daemon_from_ending() {
    let mut host = Host::new();
    // Longer than a test waits for the end.
    host.set("plugin_socket.deadline_ms", 120_000);
    let daemon = host.start();
    let mut client = UnixStream::connect(host.plugin_socket()).unwrap();
    client
        .set_write_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    // The daemon reads no more when its answers are not taken.
    let lines = b"POLICY\tcorrect.test\n".repeat(1_000);
    let more = (0..10_000).find(|_| client.write_all(&lines).is_err());
    assert!(more.is_some(), "endless answers were kept for the client");
    assert!(daemon.stop().success());
}
