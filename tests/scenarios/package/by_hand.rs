//! A host without the package, put in place as `docs/install/systemd.md` says.

use std::{fs, path::Path};

use super::CONFIG;
use crate::{
    mta::{
        booted::{Booted, Debian},
        terminal::{Shell, typed_lines},
    },
    scenarios::pages::commands,
};

const PAGE: &str = include_str!("../../../docs/install/systemd.md");

/// What to type for a backup.
const BACKUP_PAGE: &str = include_str!("../../../docs/guide/backup.md");

/// Where the program is put without systemd.
const README: &str = include_str!("../../../README.md");

/// Where somebody has built it.
const CHECKOUT: &str = "/root/checkout";

/// What is handed out with the program.
const HANDED_OUT: [&str; 4] = [
    "packaging/systemd/sealpost.service",
    "packaging/systemd/sealpost.socket",
    "packaging/systemd/sealpost-postfix.socket",
    "packaging/sysctl.d/50-sealpost.conf",
];

#[test]
fn what_is_typed_without_the_package_has_systemd_run_it() {
    let Some(host) = Booted::boot(Debian::V13) else {
        return;
    };
    let put = |from: &Path, to: &str| {
        let to = host.file(&format!("{CHECKOUT}/{to}"));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    };
    for file in HANDED_OUT {
        put(&Path::new(env!("CARGO_MANIFEST_DIR")).join(file), file);
    }
    put(
        Path::new(env!("CARGO_BIN_EXE_sealpost")),
        "target/release/sealpost",
    );
    let mut shell = Shell::start(host.typed("sh"));
    shell.types(&format!("cd {CHECKOUT} && mkdir /etc/sealpost"));
    fs::write(host.file("/etc/sealpost/sealpost.toml"), CONFIG).unwrap();
    let commands = commands(README);
    let install = commands.iter().find(|line| line.starts_with("install "));
    shell.types(install.unwrap());
    shell.types("/usr/local/bin/sealpost dkim keygen --algorithm rsa");
    let mut said = String::new();
    for line in typed_lines(PAGE) {
        said = shell.types(&line);
    }
    // The last line looks how it stands.
    assert!(said.contains("Active: active (running)"), "{said}");
    let journal = host.journal();
    for socket in [
        "plugin.sock",
        "control.sock",
        "socketmap.sock",
        "tlsrpt.sock",
    ] {
        let passed = journal
            .lines()
            .any(|line| line.contains("the socket comes from systemd") && line.contains(socket));
        assert!(passed, "{socket}: {journal}");
    }
    let limit = shell.types("cat /proc/sys/net/unix/max_dgram_qlen");
    assert_eq!(limit, "512\n");
    shell.types("sealpost status");
    the_daemon_copies_its_store_where_it_may_write(&mut shell);
}

fn the_daemon_copies_its_store_where_it_may_write(shell: &mut Shell) {
    let refused = shell.types("! sealpost store copy /root/copy");
    let beside = "may surely do so in /var/lib/sealpost";
    assert!(refused.contains(beside), "{refused}");
    let lines = typed_lines(BACKUP_PAGE);
    let copy = lines
        .iter()
        .find(|line| line.starts_with("sealpost store copy"));
    let said = shell.types(copy.unwrap());
    assert!(
        said.starts_with("The store is copied to /var/lib/sealpost/copy: "),
        "{said}"
    );
    let made = shell.types("stat -c '%U %a' /var/lib/sealpost/copy");
    assert_eq!(made, "sealpost 700\n");
}
