//! The unit files of packaging/systemd: what systemd passes is what the daemon looks for when its
//! configuration says nothing else.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use sealpost::config::{Config, kind::Kind, setting::Default as Preset, settings};

const UNITS: [&str; 3] = [
    "sealpost.service",
    "sealpost.socket",
    "sealpost-postfix.socket",
];

fn unit(name: &str) -> String {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
    fs::read_to_string(units.join(name)).unwrap()
}

/// The values of a directive, in the order of the file.
fn values<'a>(unit: &'a str, directive: &str) -> Vec<&'a str> {
    let lines = unit.lines().filter(|line| !line.starts_with('#'));
    let assigned = lines.filter_map(|line| line.split_once('='));
    assigned
        .filter(|(name, _)| *name == directive)
        .map(|(_, value)| value)
        .collect()
}

#[test]
fn every_socket_of_the_defaults_comes_from_systemd_and_no_other() {
    let listens = |directive: &str| -> BTreeSet<String> {
        let units = UNITS.map(unit);
        let each = units.iter().flat_map(|unit| values(unit, directive));
        each.map(str::to_owned).collect()
    };
    let passed: BTreeSet<String> = &listens("ListenStream") | &listens("ListenDatagram");
    // Whatever sockets there are settings for, now or later.
    let of_the_defaults = settings::all()
        .filter(|(_, setting)| matches!(setting.kind, Kind::Socket | Kind::OptionalSocket))
        .filter_map(|(_, setting)| match setting.default {
            Preset::Value(value) => Some(value.trim_matches('"').to_owned()),
            _ => None,
        })
        // Those that are off by default.
        .filter(|path| !path.is_empty())
        .collect();
    assert_eq!(passed, of_the_defaults);
    let defaults = Config::default();
    assert!(defaults.socketmap.listen.is_empty());
    let datagrams = listens("ListenDatagram");
    let tlsrpt = defaults.tlsrpt_socket.path.display().to_string();
    assert_eq!(datagrams, BTreeSet::from([tlsrpt]));
}

#[test]
fn who_may_use_them_is_what_the_defaults_say() {
    let defaults = Config::default();
    let (own, postfix) = (unit("sealpost.socket"), unit("sealpost-postfix.socket"));
    assert_eq!(values(&own, "SocketMode"), [defaults.plugin_socket.mode]);
    for (mode, group) in [
        (defaults.socketmap.mode, defaults.socketmap.group),
        (defaults.tlsrpt_socket.mode, defaults.tlsrpt_socket.group),
    ] {
        assert_eq!(values(&postfix, "SocketMode"), [mode]);
        assert_eq!(values(&postfix, "SocketGroup"), [group]);
    }
    let service = unit("sealpost.service");
    for unit in [&own, &postfix] {
        assert_eq!(values(unit, "SocketUser"), values(&service, "User"));
        assert!(values(unit, "Accept").is_empty());
    }
    assert_eq!(values(&postfix, "Service"), ["sealpost.service"]);
    assert_eq!(values(&service, "Requires"), ["sealpost.socket"]);
    // With it systemd would remove the sockets at each stop.
    assert!(values(&service, "RuntimeDirectory").is_empty());
    let state = Path::new("/var/lib").join(values(&service, "StateDirectory").concat());
    assert!(defaults.store.path.starts_with(state));
}

#[test]
fn systemd_understands_the_units() {
    let directory = tempfile::tempdir().unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]);
    for name in UNITS {
        let program = env!("CARGO_BIN_EXE_sealpost");
        let text = unit(name).replace("/usr/bin/sealpost", program);
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        verify.arg(path);
    }
    let Ok(output) = verify.output() else {
        crate::skipped::skipped("there is no systemd-analyze to read the units");
        return;
    };
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What `systemd-analyze security` says of the unit as a whole, from 0 (safe) to 10.
#[test]
fn a_daemon_taken_over_could_do_little() {
    let service = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd/sealpost.service");
    let mut analyze = Command::new("systemd-analyze");
    // It ends with 1 where the exposure is higher, in tenths.
    let output = analyze
        .args(["security", "--offline=true", "--no-pager", "--threshold=20"])
        .arg(service)
        .output();
    let Ok(output) = output else {
        crate::skipped::skipped("there is no systemd-analyze to judge the unit");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("Overall exposure level"), "{output:?}");
    assert!(output.status.success(), "{said}");
}

#[test]
fn a_host_that_was_not_set_up_starts_nothing_and_a_daemon_that_hangs_is_started_anew() {
    for name in UNITS {
        let conditions = unit(name);
        let conditions = values(&conditions, "ConditionPathExists");
        assert_eq!(conditions, ["/etc/sealpost/sealpost.toml"], "{name}");
    }
    let service = unit("sealpost.service");
    assert_eq!(values(&service, "Type"), ["notify"]);
    assert_eq!(values(&service, "Restart"), ["always"]);
    assert_eq!(values(&service, "WatchdogSec").len(), 1);
}
