//! The files that a host with Postfix begins with.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
    process::Command,
};

use super::{SOCKETS, Version};

/// Postfix's user and group in the roots.
const POSTFIX_USER: u32 = 100;
const POSTFIX_GROUP: u32 = 101;

/// The group that may put mail into the queue.
const POSTDROP_GROUP: u32 = 102;

/// Makes the folders of a host with this root.
pub(super) fn install(root: &Path, directory: &Path) {
    install_debian(root, directory);
    let master = directory.join("etc/postfix/master.cf");
    let text = master_cf(&fs::read_to_string(&master).unwrap());
    fs::write(master, text).unwrap();
    fs::create_dir(directory.join("spool").join(SOCKETS)).unwrap();
}

/// Makes the folders of a host whose Postfix is as Debian's package leaves it, and in `debian` a root of
/// its own.
pub(super) fn install_fresh(root: &Path, directory: &Path) {
    install_debian(root, directory);
    copy(root, &directory.join("debian"));
    for folder in ["debian/usr/local/bin", "debian/run", "etc/sysctl.d"] {
        fs::create_dir_all(directory.join(folder)).unwrap();
    }
    fs::write(directory.join("debian/usr/local/bin/sealpost"), "").unwrap();
    // What Postfix's start copies into the chroot, by a script that needs Perl.
    fs::create_dir_all(directory.join("spool/etc")).unwrap();
    for name in ["resolv.conf", "hosts", "nsswitch.conf", "services"] {
        let (from, to) = (format!("etc/{name}"), format!("spool/etc/{name}"));
        fs::copy(directory.join(from), directory.join(to)).unwrap();
    }
    // The package puts these two together.
    let debian = ["main.cf.debian", "main.cf.tls"]
        .map(|name| fs::read_to_string(root.join("usr/share/postfix").join(name)).unwrap())
        .concat();
    let text = format!("{debian}\n{LABORATORY}");
    fs::write(directory.join("etc/postfix/main.cf"), text).unwrap();
}

/// What the laboratory needs and no user has: nobody listens at `/dev/log`, and the addresses beside
/// 127.0.0.1 belong to the small Internet. The host's name is what the package asks for.
const LABORATORY: &str = "\
myhostname = mail.sender.test
maillog_file = /var/log/mail.log
inet_interfaces = 127.0.0.1
minimal_backoff_time = 3600s
";

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp")
        .arg("--archive")
        .args([from, to])
        .status()
        .unwrap();
    assert!(status.success());
}

/// Debian's `/etc`, with the network of the laboratory, and the queue.
fn install_debian(root: &Path, directory: &Path) {
    let etc = directory.join("etc");
    copy(&root.join("etc"), &etc);
    fs::create_dir_all(etc.join("ssl/certs")).unwrap();
    fs::create_dir_all(etc.join("default")).unwrap();
    for (name, text) in [
        ("hosts", "127.0.0.1 localhost\n"),
        (
            "nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files\n",
        ),
        ("resolv.conf", "nameserver 127.0.0.1\n"),
        // No program of it is in a chroot of the queue directory, so nothing is to be copied there.
        ("default/postfix", "SYNC_CHROOT=\n"),
    ] {
        fs::write(etc.join(name), text).unwrap();
    }
    for folder in ["root", "log", "spool", "spool/pid"] {
        fs::create_dir(directory.join(folder)).unwrap();
    }
    for (folder, mode, group) in [
        ("data", 0o700, POSTFIX_GROUP),
        ("spool/active", 0o700, POSTFIX_GROUP),
        ("spool/bounce", 0o700, POSTFIX_GROUP),
        ("spool/corrupt", 0o700, POSTFIX_GROUP),
        ("spool/defer", 0o700, POSTFIX_GROUP),
        ("spool/deferred", 0o700, POSTFIX_GROUP),
        ("spool/flush", 0o700, POSTFIX_GROUP),
        ("spool/hold", 0o700, POSTFIX_GROUP),
        ("spool/incoming", 0o700, POSTFIX_GROUP),
        ("spool/maildrop", 0o730, POSTDROP_GROUP),
        ("spool/private", 0o700, POSTFIX_GROUP),
        ("spool/public", 0o710, POSTDROP_GROUP),
        ("spool/saved", 0o700, POSTFIX_GROUP),
        ("spool/trace", 0o700, POSTFIX_GROUP),
    ] {
        let folder = directory.join(folder);
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
        chown(&folder, Some(POSTFIX_USER), Some(group)).unwrap();
    }
}

/// The services as Debian has them, with none in a chroot, and with the one for TLS connections that are
/// used again.
fn master_cf(debian: &str) -> String {
    let mut text = String::new();
    for line in debian.lines() {
        let mut fields: Vec<&str> = line.split_ascii_whitespace().collect();
        if line.starts_with([' ', '\t', '#']) || fields.len() < 8 {
            text.push_str(line);
        } else {
            fields[4] = "n";
            text.push_str(&fields.join(" "));
        }
        text.push('\n');
    }
    if !text.lines().any(|line| line.starts_with("tlsproxy ")) {
        text.push_str("tlsproxy unix - - n - 0 tlsproxy\n");
    }
    text
}

/// What every Postfix of these tests is set to.
pub(super) fn main_cf(version: Version) -> Vec<(&'static str, String)> {
    let map = match version {
        Version::V3_10 => "QUERYwithTLSRPT",
        Version::V3_7 => "QUERY",
    };
    let mut settings: Vec<(&str, String)> = [
        ("compatibility_level", version.number()),
        ("maillog_file", "/var/log/mail.log"),
        ("myhostname", "mail.sender.test"),
        ("myorigin", "sender.test"),
        ("mydestination", ""),
        ("local_recipient_maps", ""),
        ("alias_maps", ""),
        ("alias_database", ""),
        // The daemon's relay.
        ("inet_interfaces", "127.0.0.1"),
        ("inet_protocols", "all"),
        ("mynetworks", "127.0.0.0/8"),
        ("smtpd_peername_lookup", "no"),
        // Where bounces go.
        ("transport_maps", "inline:{ { sender.test = discard: } }"),
        ("notify_classes", ""),
        // No second attempt unless it is asked for, and one at once where it is.
        ("minimal_backoff_time", "3600s"),
        ("default_destination_concurrency_failed_cohort_limit", "0"),
        ("smtp_connect_timeout", "5s"),
        ("smtp_helo_timeout", "5s"),
        ("smtp_dns_support_level", "dnssec"),
        ("dnssec_probe", ""),
        ("smtp_tls_security_level", "may"),
        ("smtp_tls_CAfile", "/etc/ssl/certs/ca-certificates.crt"),
        ("smtp_tls_loglevel", "1"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into();
    let policies = format!("socketmap:unix:{SOCKETS}/socketmap.sock:{map}");
    settings.push(("smtp_tls_policy_maps", policies));
    if version == Version::V3_10 {
        settings.push(("smtp_tlsrpt_enable", "yes".to_owned()));
        let socket = format!("{SOCKETS}/tlsrpt.sock");
        settings.push(("smtp_tlsrpt_socket_name", socket));
    }
    settings
}
