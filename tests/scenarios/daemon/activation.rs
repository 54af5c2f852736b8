//! The daemon on sockets that systemd holds: over its stops, starts and crashes whoever comes waits,
//! and a socket that it does not know is not left to wait for ever.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::{
            fs::{MetadataExt as _, PermissionsExt as _},
            net::{UnixDatagram, UnixListener, UnixStream},
        },
    },
    time::Duration,
};

use super::host::{Host, level};

/// What systemd has: the sockets of every host.
pub(super) struct Systemd {
    plugin: UnixListener,
    control: UnixListener,
}

impl Systemd {
    pub(super) fn of(host: &Host) -> Self {
        let systemd = Self {
            plugin: UnixListener::bind(host.plugin_socket()).unwrap(),
            control: UnixListener::bind(host.file("control.sock")).unwrap(),
        };
        let mode = fs::Permissions::from_mode(0o642);
        fs::set_permissions(host.plugin_socket(), mode).unwrap();
        systemd
    }

    /// What is passed at a start.
    fn passed(&self) -> Vec<OwnedFd> {
        let each = [&self.plugin, &self.control].into_iter();
        each.map(|socket| socket.try_clone().unwrap().into())
            .collect()
    }

    /// The same with another file before the last.
    pub(super) fn passed_with(&self, other: impl Into<OwnedFd>) -> Vec<OwnedFd> {
        let mut passed = self.passed();
        passed.insert(1, other.into());
        passed
    }
}

/// A client that has asked and waits.
fn asking(host: &Host) -> UnixStream {
    let mut client = UnixStream::connect(host.plugin_socket()).unwrap();
    let patience = Duration::from_secs(60);
    client.set_read_timeout(Some(patience)).unwrap();
    client.write_all(b"POLICY\tcorrect.test\n").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    client
}

#[track_caller]
fn is_answered(mut client: UnixStream) {
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(level(&answer), "verify", "{answer}");
}

#[test]
fn clients_wait_while_no_daemon_runs_and_the_files_stay_as_systemd_made_them() {
    let host = Host::new();
    let systemd = Systemd::of(&host);
    let early = asking(&host);
    let daemon = host.start_activated(systemd.passed());
    is_answered(early);
    assert_eq!(host.run(&["status"]).status.code(), Some(0));
    let file = || {
        let file = fs::metadata(host.plugin_socket()).unwrap();
        (file.ino(), file.mode() & 0o777)
    };
    let made = file();
    assert_eq!(made.1, 0o642);
    // sd_listen_fds(3): they must not reach programs that we start.
    for number in 3..5 {
        let about = fs::read_to_string(format!("/proc/{}/fdinfo/{number}", daemon.pid()));
        let about = about.unwrap();
        let flags = about.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
        let close_on_exec = rustix::fs::OFlags::CLOEXEC.bits();
        assert_ne!(flags & close_on_exec, 0, "{about}");
    }
    assert!(daemon.stop().success());

    let between = asking(&host);
    let daemon = host.start_activated(systemd.passed());
    is_answered(between);
    daemon.kill();
    let after_a_crash = asking(&host);
    // A daemon without them finds systemd in its place.
    let output = host.start_in_vain();
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("another process listens on"), "{said}");
    let daemon = host.start_activated(systemd.passed());
    is_answered(after_a_crash);
    assert!(daemon.stop().success());
    assert_eq!(file(), made);
    assert!(host.file("control.sock").exists());
    assert!(!host.log().contains("ERROR"), "{}", host.log());
}

/// Asks as Postfix does, before anybody listens perhaps.
fn ask_socketmap(mut stream: impl Read + Write) -> impl FnOnce() -> String {
    stream.write_all(b"18:QUERY correct.test,").unwrap();
    move || {
        // The length of the answer stands before its colon.
        let (mut answer, mut octet) = (Vec::new(), [0]);
        while octet != *b"," {
            stream.read_exact(&mut octet).unwrap();
            answer.extend(octet);
        }
        String::from_utf8(answer).unwrap()
    }
}

#[test]
fn postfix_waits_for_its_answer_on_unix_and_tcp_sockets() {
    let mut host = Host::new();
    let path = host.file("socketmap.sock");
    let unix = UnixListener::bind(&path).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    host.set("socketmap.path", "socketmap.sock");
    host.set("socketmap.listen", vec![address.to_string()]);
    for _ in 0..2 {
        let (one, other) = (
            ask_socketmap(UnixStream::connect(&path).unwrap()),
            ask_socketmap(TcpStream::connect(address).unwrap()),
        );
        let passed = [
            unix.try_clone().unwrap().into(),
            tcp.try_clone().unwrap().into(),
        ];
        let daemon = host.start_activated(passed.into());
        for answer in [one(), other()] {
            assert!(
                answer.contains(":OK secure match=mx.correct.test "),
                "{answer}"
            );
        }
        assert!(daemon.stop().success());
        assert!(path.exists() && !host.plugin_socket().exists());
    }
}

#[test]
fn a_socket_that_no_setting_names_stops_the_start_and_is_named() {
    let host = Host::new();
    let systemd = Systemd::of(&host);
    let client = asking(&host);
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let _waits = TcpStream::connect(address).unwrap();
    let connection = tcp.accept().unwrap().0;
    let datagrams = UnixDatagram::bind(host.file("other.sock")).unwrap();
    for (other, expected) in [
        (
            OwnedFd::from(tcp),
            format!("systemd passed the TCP socket {address}, which no setting names"),
        ),
        (
            datagrams.into(),
            format!(
                "systemd passed the unix datagram socket {}, which no setting names",
                host.file("other.sock").display()
            ),
        ),
        (
            connection.into(),
            "systemd passed a connection, not the TCP socket".to_owned(),
        ),
        (
            fs::File::open("/dev/null").unwrap().into(),
            "file descriptor 4 that systemd passed is neither a unix stream socket".to_owned(),
        ),
    ] {
        let (ended, said) = host.start_activated_in_vain(systemd.passed_with(other));
        assert_eq!(ended.code(), Some(78), "{said}");
        assert!(said.starts_with("sealpost: "), "{said}");
        assert!(said.contains(&expected), "{expected} is not in\n{said}");
    }
    // Nobody was turned away by it.
    let daemon = host.start_activated(systemd.passed());
    is_answered(client);
    assert!(daemon.stop().success());
}
