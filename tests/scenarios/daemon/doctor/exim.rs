//! Traps of Exim, set in a real one.

use std::{fs, ops::Deref as _, os::unix::fs::PermissionsExt as _};

use super::stage::traps_in;
use crate::mta::{exim::Build, laboratory::Daemon, world::World};

/// What is set below.
pub(super) const TRAPS: [&str; 11] = [
    "exim-not-asking",
    "exim-asks-elsewhere",
    "exim-transport-tells-nothing",
    "exim-reuses-connections",
    "exim-reports-reported",
    "exim-sees-nothing-signed",
    "exim-library-unreadable",
    "socket-unreachable",
    "socket-user-not-allowed",
    "exim-built-without",
    "exim-ciphers-of-gnutls",
];

fn found(daemon: &Daemon<'_>) -> Vec<String> {
    found_in("/mnt/exim4", daemon)
}

fn found_in(exim: &str, daemon: &Daemon<'_>) -> Vec<String> {
    traps_in(&daemon.json(&["doctor", "exim", "sockets", "--exim", exim, "--json"]))
}

#[test]
fn each_trap_of_exim_is_found_when_it_is_set() {
    for build in Build::ALL {
        let Some(world) = World::start(build) else {
            continue;
        };
        let daemon = world.start_daemon();
        // The laboratory's socket is open to all.
        let open = "socket-open-to-all";
        assert_eq!(found(&daemon), [open], "{build:?}");
        let asking = match build {
            Build::Light => "{POLICY\\tSEALPOST_DOMAIN",
            Build::Heavy => "{sealpost_exim_policy}",
        };
        let mut traps = TRAPS.iter();
        for (from, to) in [
            (asking, "{nothing"),
            (
                "SEALPOST_SOCKET = /mnt/plugin.sock",
                "SEALPOST_SOCKET = /mnt/other.sock",
            ),
            (
                "  event_action = ${acl{sealpost_event}{opportunistic}}\n",
                "",
            ),
            (
                "connection_max_messages = 1",
                "connection_max_messages = 500",
            ),
            (
                "SEALPOST_REPORT_SENDER = tlsrpt@",
                "SEALPOST_REPORT_SENDER = other@",
            ),
        ] {
            if build == Build::Heavy && from == asking {
                // Without the call that asks the library Exim's configuration is another.
                let _other = traps.next();
                continue;
            }
            world.exim.configure(build, &[(from, to)]);
            let trap = traps.next().unwrap();
            let seen = found(&daemon);
            assert!(
                seen.iter().any(|one| one == trap),
                "{build:?} {trap}: {seen:?}"
            );
        }
        world.exim.configure(build, &[]);
        assert_eq!(found(&daemon), [open], "{build:?}");
        let resolv_conf = world.path("etc/resolv.conf");
        fs::write(resolv_conf, "nameserver 127.0.0.1\n").unwrap();
        assert_eq!(found(&daemon), [traps.next().unwrap(), open], "{build:?}");
        if build == Build::Heavy {
            fs::remove_file(world.path("libsealpost.so")).unwrap();
            let seen = found(&daemon);
            assert!(
                seen.iter().any(|one| one == "exim-library-unreadable"),
                "{seen:?}"
            );
        }
    }
}

#[test]
fn a_socket_that_exims_user_cannot_come_to_is_found() {
    let Some(world) = World::start(Build::Light) else {
        return;
    };
    let daemon = world.start_daemon();
    let socket = world.path("plugin.sock");
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(found(&daemon), ["socket-unreachable"]);
    drop(daemon);
    let doors = "[plugin_socket]\npath = \"plugin.sock\"\nmode = \"0666\"\nallow_uids = [0]\n\
                 [socketmap]\npath = \"\"\n[tlsrpt_socket]\npath = \"\"\n";
    let daemon = world.deref().start_daemon(doors);
    assert_eq!(found(&daemon), ["socket-user-not-allowed"]);
}

/// Debian's two builds have all that is needed, so a build of others is made of one: its own words, but for these.
#[test]
fn an_exim_that_was_built_otherwise_is_found() {
    let Some(world) = World::start(Build::Light) else {
        return;
    };
    let daemon = world.start_daemon();
    let built = |words: &str, other_words: &str| {
        let script = format!(
            "#!/bin/sh\nsaid=$(/mnt/exim4 \"$@\") || exit\n\
             printf '%s\\n' \"$said\" | sed '/^Support for:\\|^Lookups/s/{words}/{other_words}/'\n"
        );
        fs::write(world.path("exim-other"), script).unwrap();
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(world.path("exim-other"), mode).unwrap();
        found_in("/mnt/exim-other", &daemon)
    };
    let open = "socket-open-to-all";
    assert_eq!(built("GnuTLS", "GnuTLS"), [open]);
    for lacking in ["Event", "DANE", "dnsdb"] {
        let found = built(&format!("\\b{lacking}\\b"), "");
        assert_eq!(found, ["exim-built-without", open], "{lacking}");
    }
    // A transport of the example has words of GnuTLS.
    let found = built("GnuTLS", "OpenSSL");
    assert!(
        found.iter().any(|trap| trap == "exim-ciphers-of-gnutls"),
        "{found:?}"
    );
}
