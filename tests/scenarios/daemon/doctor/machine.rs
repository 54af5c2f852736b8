//! Traps of the machine and of the configuration.

use std::{
    fs,
    io::Write as _,
    os::unix::net::UnixListener,
    time::{Duration, SystemTime},
};

use sealpost_kit::{Flaw, SignatureFault, SignedInternet, Zone};
use toml::{Value, value::Array};

use super::{
    pretended::{nobodys_process, pretend},
    stage::{Case, Kept, Stage, case},
};

#[test]
fn each_trap_of_the_machine_is_found_when_it_is_set() {
    Stage::finds_each(CASES);
}

/// Sets a setting and writes the file.
fn set(stage: &mut Stage, setting: &str, value: impl Into<Value>) -> Kept {
    stage.host.set(setting, value);
    stage.host.write_config();
    Vec::new()
}

fn servers(stage: &mut Stage, servers: &[&str]) -> Kept {
    let servers: Array = servers.iter().map(|server| Value::from(*server)).collect();
    stage.host.set("dns.timeout_ms", 2_000);
    set(stage, "dns.servers", servers)
}

/// Nobody answers there.
const NOBODY: &str = "127.0.66.1:9";

pub(super) const CASES: &[Case] = &[
    case("configuration-missing", "configuration", |stage| {
        fs::remove_file(stage.host.file("sealpost.toml")).unwrap();
        Vec::new()
    }),
    case("configuration-wrong", "configuration", |stage| {
        set(stage, "store.colour", "red")
    }),
    case("configuration-not-taken-up", "configuration", |stage| {
        let daemon = stage.start();
        let mut options = fs::OpenOptions::new();
        let file = options.append(true).open(stage.host.file("sealpost.toml"));
        file.unwrap().write_all(b"\n# Edited.\n").unwrap();
        vec![Box::new(daemon)]
    }),
    case(
        "configuration-waits-for-restart",
        "configuration",
        |stage| {
            let mut daemon = stage.start();
            set(stage, "sender.organization", "Another Name");
            daemon.reload();
            vec![Box::new(daemon)]
        },
    ),
    case("store-missing", "store", |stage| {
        let daemon = stage.start();
        fs::remove_dir_all(stage.host.file("store")).unwrap();
        vec![Box::new(daemon)]
    }),
    // Root writes anywhere, so the daemon is nobody's.
    case("store-not-writable", "store", |stage| {
        let process = nobodys_process();
        let id = process.id();
        fs::create_dir(stage.host.file("store")).unwrap();
        let mut mode = fs::metadata(stage.host.file("store"))
            .unwrap()
            .permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o500);
        fs::set_permissions(stage.host.file("store"), mode).unwrap();
        vec![
            Box::new(pretend(stage, |status| status["pid"] = id.into())),
            Box::new(process),
        ]
    }),
    case("store-disk-full", "store", |stage| {
        set(stage, "store.free_space_min_mib", 1_048_576)
    }),
    case("store-in-memory", "store", |stage| {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = directory.path().join("store");
        set(stage, "store.path", path.to_str().unwrap());
        vec![Box::new(directory)]
    }),
    case("store-was-damaged", "store", |stage| {
        fs::create_dir(stage.host.file("store.damaged-x")).unwrap();
        Vec::new()
    }),
    case("clock-outside-signatures", "clock", |stage| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let root = Zone::signed().spoil_all(SignatureFault::Expired);
        let internet = runtime
            .block_on(SignedInternet::builder().zone(".", root).start())
            .unwrap();
        let anchor = stage.host.file("root.key");
        fs::write(&anchor, internet.anchor_dnskey()).unwrap();
        stage.host.set("dane.trust_anchor", "root.key");
        servers(stage, &[&internet.address().to_string()]);
        vec![Box::new(internet), Box::new(runtime)]
    }),
    case("clock-not-kept", "clock", |stage| {
        stage.program("timedatectl", "echo no");
        Vec::new()
    }),
    case("clock-behind-files", "clock", |stage| {
        let file = fs::File::options()
            .write(true)
            .open(stage.host.file("sealpost.toml"));
        #[expect(clippy::disallowed_methods, reason = "the file system's time")]
        let now = SystemTime::now();
        file.unwrap()
            .set_modified(now + Duration::from_secs(3_600))
            .unwrap();
        Vec::new()
    }),
    case("resolver-silent", "resolver", |stage| {
        servers(stage, &[NOBODY])
    }),
    case("resolver-partly-silent", "resolver", |stage| {
        let living = stage.host.internet.dns.address().to_string();
        servers(stage, &[&living, NOBODY])
    }),
    case("dnssec-not-validated", "resolver", |stage| {
        stage.host.internet.dns.unsign(".");
        Vec::new()
    }),
    case("trust-anchor-unusable", "resolver", |stage| {
        let anchor = stage.host.file("root.key");
        fs::write(&anchor, "no key").unwrap();
        set(stage, "dane.trust_anchor", anchor.to_str().unwrap())
    }),
    case("dane-off", "resolver", |stage| {
        set(stage, "dane.validation", "off")
    }),
    case("socket-absent", "sockets", |stage| {
        let daemon = stage.start();
        fs::remove_file(stage.host.plugin_socket()).unwrap();
        vec![Box::new(daemon)]
    }),
    case("socket-dead", "sockets", |stage| {
        // A listener that was killed leaves its file.
        drop(UnixListener::bind(stage.host.plugin_socket()).unwrap());
        vec![
            Box::new(pretend(stage, |_| {})),
            Box::new(Gone(stage.host.plugin_socket())),
        ]
    }),
    case("socket-not-a-socket", "sockets", |stage| {
        fs::write(stage.host.plugin_socket(), "").unwrap();
        vec![
            Box::new(pretend(stage, |_| {})),
            Box::new(Gone(stage.host.plugin_socket())),
        ]
    }),
    case("socket-open-to-all", "sockets", |stage| {
        set(stage, "plugin_socket.mode", "0666");
        vec![Box::new(stage.start())]
    }),
    case("socket-group-missing", "sockets", |stage| {
        fs::create_dir_all(stage.host.file("spool")).unwrap();
        stage.host.set(
            "socketmap.path",
            stage.host.file("spool/a/b.sock").to_str().unwrap(),
        );
        set(stage, "socketmap.group", "no-such-group");
        vec![Box::new(stage.start())]
    }),
    case("extra-roots-unusable", "roots", |stage| {
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        fs::write(stage.host.file("odd.pem"), pem).unwrap();
        let files: Array = vec!["odd.pem".into()];
        set(stage, "policy.extra_roots", files)
    }),
    case("extra-root-expired", "roots", |stage| {
        let authority = &stage.host.internet.authority;
        let old = authority
            .issue_flawed(&["old.test"], Flaw::Expired)
            .unwrap();
        fs::write(stage.host.file("old.pem"), old.pem()).unwrap();
        let files: Array = vec!["old.pem".into()];
        set(stage, "policy.extra_roots", files)
    }),
];

/// What the laboratory needs, and no host outside of one.
#[test]
fn what_is_warned_of_in_the_configuration_is_found() {
    let stage = Stage::new();
    let found = stage.findings(&["configuration"]);
    assert!(
        found.iter().all(|trap| trap == "configuration-warned-of"),
        "{found:?}"
    );
    assert!(!found.is_empty());
}

/// A file that goes when this does.
struct Gone(std::path::PathBuf);

impl Drop for Gone {
    fn drop(&mut self) {
        // It may have gone before.
        let _removed = fs::remove_file(&self.0).is_ok();
    }
}
