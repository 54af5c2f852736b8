//! What this machine has, apart from Postfix, that decides whether the door will work.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use super::postfix::Postfix;

/// What this machine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Machine {
    /// A file of trusted roots, where one was found.
    pub(super) roots: Option<PathBuf>,
    /// Whether the file that `smtp_tls_CAfile` names can be read; true where it names none.
    pub(super) trusted_file_is_there: bool,
    /// Whether the directory that `smtp_tls_CApath` names is there where a chrooted Postfix looks for
    /// it: below the queue directory.
    pub(super) trusted_directory_is_in_chroot: bool,
    /// A log that syslog writes Postfix's lines to, where one was found.
    pub(super) mail_log: Option<PathBuf>,
    /// Whether a resolver of `/etc/resolv.conf` is on this host.
    pub(super) local_resolver: bool,
    /// `net.unix.max_dgram_qlen`, where it can be read.
    pub(super) datagrams_queued_max: Option<u64>,
}

/// Where distributions keep their trusted roots.
const ROOTS: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Where their syslog puts the lines of mail: Debian's, and Red Hat's.
const MAIL_LOGS: &[&str] = &["/var/log/mail.log", "/var/log/maillog"];

impl Machine {
    /// This machine, with this Postfix on it.
    pub(super) fn look(postfix: &Postfix) -> Self {
        let resolvers = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let queued = fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen").ok();
        let trusted_file = postfix.value("smtp_tls_CAfile");
        let trusted_directory = Path::new(postfix.value("smtp_tls_CApath"));
        let inside = trusted_directory
            .strip_prefix(postfix.queue_directory())
            .or_else(|_| trusted_directory.strip_prefix("/"))
            .unwrap_or(trusted_directory);
        Self {
            roots: first_file(ROOTS),
            trusted_file_is_there: trusted_file.is_empty() || fs::File::open(trusted_file).is_ok(),
            trusted_directory_is_in_chroot: postfix.queue_directory().join(inside).is_dir(),
            mail_log: first_file(MAIL_LOGS),
            local_resolver: resolvers.lines().any(is_on_this_host),
            datagrams_queued_max: queued.and_then(|text| text.trim().parse().ok()),
        }
    }
}

fn first_file(names: &[&str]) -> Option<PathBuf> {
    names.iter().map(PathBuf::from).find(|file| file.is_file())
}

/// Of a line of `/etc/resolv.conf`.
fn is_on_this_host(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    words.next() == Some("nameserver")
        && words
            .next()
            .and_then(|address| address.parse::<IpAddr>().ok())
            .is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_of_this_host_are_known() {
        for (line, expected) in [
            ("nameserver 127.0.0.53", true),
            ("nameserver\t::1", true),
            ("nameserver 192.0.2.1", false),
            ("#nameserver 127.0.0.1", false),
            ("nameserver", false),
            ("options edns0", false),
        ] {
            assert_eq!(is_on_this_host(line), expected, "{line}");
        }
    }
}
