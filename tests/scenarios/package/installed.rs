//! Installed, started, hung, upgraded, removed and purged.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    time::Duration,
};

use serde_json::Value;

use super::CONFIG;
use crate::mta::{
    booted::{Booted, Debian},
    wait_until,
};

const UNITS: &str = "sealpost.service sealpost.socket sealpost-postfix.socket";

/// One session of a domain without a policy, as any MTA's script tells it.
const SESSION: &[u8] = b"SESSION\tplain.test\toutcome=success\tmx=mx1.plain.test\n";

#[test]
fn the_package_is_installed_upgraded_and_purged_in_clean_debians() {
    for debian in Debian::ALL {
        if let Some(host) = Booted::boot(debian) {
            // Shown where the test fails.
            println!("{debian:?}");
            nothing_is_started_before_it_is_configured(&host);
            the_units_run_it_as_they_say(&host);
            a_daemon_that_hangs_is_started_anew(&host);
            an_upgrade_turns_nobody_away_and_keeps_the_store(&host);
            a_purge_leaves_nothing(&host);
        }
    }
}

/// What `systemctl show` says of the daemon.
fn shown(host: &Booted, property: &str) -> String {
    let said = host.line(&format!("systemctl show --value -p {property} sealpost"));
    said.trim_end().to_owned()
}

fn states(host: &Booted) -> String {
    // It ends with an error where one is not active, which is no failure here.
    let output = host.try_line(&format!("systemctl is-active {UNITS}"));
    String::from_utf8(output.stdout).unwrap()
}

fn nothing_is_started_before_it_is_configured(host: &Booted) {
    host.line("apt-get -q -y install ./sealpost_*.deb");
    assert!(host.line("sealpost --version").starts_with("sealpost "));
    assert!(
        host.line("getent passwd sealpost")
            .contains("/usr/sbin/nologin")
    );
    assert_eq!(
        host.line(&format!("systemctl is-enabled {UNITS}")),
        "enabled\n".repeat(3)
    );
    assert_eq!(states(host), "inactive\n".repeat(3));
    let failed = host.line("systemctl --failed --plain --no-legend --no-pager");
    assert!(!failed.contains("sealpost"), "{failed}");
    for file in [
        "/usr/lib/sealpost/libsealpost.so",
        "/usr/include/sealpost.h",
        "/usr/share/man/man1/sealpost.1.gz",
        "/usr/share/man/man5/sealpost.toml.5.gz",
        "/usr/share/bash-completion/completions/sealpost",
        "/usr/share/doc/sealpost/examples/full.toml",
        "/usr/share/doc/sealpost/CRATES",
    ] {
        // Debian's minimal roots leave out some of what packages hold.
        let listed = host.line("dpkg --listfiles sealpost");
        assert!(listed.lines().any(|line| line == file), "{file}: {listed}");
    }
    host.line("sealpost demo --json > /dev/null");
}

fn the_units_run_it_as_they_say(host: &Booted) {
    fs::write(host.file("/etc/sealpost/sealpost.toml"), CONFIG).unwrap();
    host.line("sealpost dkim keygen --algorithm rsa");
    host.line("printf '[[dkim]]\\nselector = \"tlsrpt\"\\nkey = \"tlsrpt.pem\"\\n' >> /etc/sealpost/sealpost.toml");
    host.line("systemctl start sealpost");
    assert_eq!(states(host), "active\n".repeat(3), "{}", host.journal());
    assert_eq!(shown(host, "User"), "sealpost");
    assert_eq!(shown(host, "WatchdogUSec"), "1min");
    // It ends with 1, for there is an alarm: nobody has published the key.
    let status = host.try_line("sealpost status --json").stdout;
    let status: Value = serde_json::from_slice(&status).unwrap();
    assert_eq!(status["store"]["state"], "recording", "{status}");
    assert_eq!(host.line("cat /proc/sys/net/unix/max_dgram_qlen"), "512\n");
    // Postfix's processes reach its sockets, and strangers none.
    let socket = "/var/spool/postfix/sealpost/socketmap.sock";
    assert_eq!(
        host.line(&format!("stat -c '%U %G %a' {socket}")),
        "sealpost postfix 660\n"
    );
    let key = "/etc/sealpost/tlsrpt.pem";
    assert_eq!(
        host.line(&format!("stat -c '%U %G %a' {key}")),
        "root sealpost 640\n"
    );
    let exposure = host.line("systemd-analyze security --no-pager sealpost.service | tail -n 1");
    let level = exposure
        .split_whitespace()
        .find_map(|word| word.parse::<f32>().ok());
    assert!(level.is_some_and(|level| level <= 2.0), "{exposure}");
}

fn a_daemon_that_hangs_is_started_anew(host: &Booted) {
    let drop_in = host.file("/run/systemd/system/sealpost.service.d");
    fs::create_dir_all(&drop_in).unwrap();
    // So that the test need not wait for a minute.
    let soon = "[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\nRestartSec=0\n";
    fs::write(drop_in.join("soon.conf"), soon).unwrap();
    host.line("systemctl daemon-reload && systemctl restart sealpost");
    let before = shown(host, "MainPID");
    host.line(&format!("kill -STOP {before}"));
    wait_until("systemd starts it anew", || {
        let now = shown(host, "MainPID");
        now != before && now != "0" && states(host) == "active\n".repeat(3)
    });
    let journal = host.journal();
    assert!(journal.contains("Watchdog timeout"), "{journal}");
    fs::remove_dir_all(drop_in).unwrap();
    host.line("systemctl daemon-reload && systemctl restart sealpost");
}

fn successes(host: &Booted) -> u64 {
    let said = host.line("sealpost sessions --domain plain.test --json");
    super::successes(&said)
}

fn an_upgrade_turns_nobody_away_and_keeps_the_store(host: &Booted) {
    let socket = host.file("/run/sealpost/plugin.sock");
    let ask = |line: &[u8]| {
        let mut client = UnixStream::connect(&socket).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        client.write_all(line).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    };
    let told = ask(SESSION);
    assert!(told.starts_with("OK"), "{told}");
    wait_until("the session is counted", || successes(host) == 1);
    let before = (fs::metadata(&socket).unwrap().ino(), shown(host, "MainPID"));
    let mut upgrade = host
        .typed("sh")
        .args([
            "-c",
            "apt-get -q -y install --reinstall ./sealpost_*.deb > /dev/null",
        ])
        .spawn()
        .unwrap();
    // Whoever asks meanwhile is answered, by the one or the other.
    let status = loop {
        assert!(ask(b"PING\n").starts_with("PONG"));
        if let Some(status) = upgrade.try_wait().unwrap() {
            break status;
        }
    };
    assert!(status.success());
    let after = (fs::metadata(&socket).unwrap().ino(), shown(host, "MainPID"));
    assert_eq!(after.0, before.0, "the socket is systemd's, and stays");
    assert_ne!(after.1, before.1, "the new program runs");
    assert_eq!(states(host), "active\n".repeat(3));
    assert_eq!(successes(host), 1);
}

fn a_purge_leaves_nothing(host: &Booted) {
    // It ends with 1 where there is something left to do: an earlier Postfix tells its sessions in its log alone.
    let set_up = host.try_line("sealpost setup postfix --apply").stdout;
    assert!(String::from_utf8_lossy(&set_up).contains("Done."));
    let said = host.line("apt-get -q -y remove sealpost 2>&1");
    assert!(said.contains("its mail will wait"), "{said}");
    assert_eq!(states(host), "inactive\n".repeat(3));
    let kept = fs::metadata(host.file("/var/lib/sealpost/store")).unwrap();
    assert_eq!(kept.permissions().mode() & 0o077, 0);
    host.line("apt-get -q -y purge sealpost && rm sealpost_*.deb");
    let left = host.line("find / /run -xdev -name '*sealpost*'");
    assert_eq!(left, "");
    let failed = host.line("systemctl --failed --plain --no-legend --no-pager");
    assert!(!failed.contains("sealpost"), "{failed}");
}
