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
pub(super) const POSTDROP_GROUP: u32 = 102;

/// Makes the folders of a host with this root. Its Postfix has the services of Debian, and no settings.
pub(super) fn install(root: &Path, directory: &Path) {
    let etc = directory.join("etc");
    let status = Command::new("cp")
        .arg("--archive")
        .args([&root.join("etc"), &etc])
        .status()
        .unwrap();
    assert!(status.success());
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

/// Makes it a host of these tests: whose services can all read and write anywhere, and where the daemon's
/// sockets have their place.
pub(super) fn open_up(directory: &Path) {
    let file = directory.join("etc/postfix/master.cf");
    let master = fs::read_to_string(&file).unwrap();
    fs::write(file, master_cf(&master)).unwrap();
    fs::create_dir(directory.join("spool").join(SOCKETS)).unwrap();
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
