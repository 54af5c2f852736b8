//! What this machine has, apart from Postfix, that decides whether the door will work.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::postfix::Postfix;
use crate::{
    clock::UtcDay,
    config::DnsConfig,
    net::validation::{SystemList, SystemResolvers},
};

/// What this machine has.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// The list of the resolvers that Postfix asks: `/etc/resolv.conf`, or its copy in the chroot.
    pub(super) resolv_conf: PathBuf,
    /// What they do with signed answers.
    pub(super) resolvers: SystemResolvers,
    /// `net.unix.max_dgram_qlen`, where it can be read.
    pub(super) datagrams_queued_max: Option<u64>,
    /// The day that it is, UTC.
    pub(super) today: UtcDay,
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
    /// This machine, with this Postfix on it. Its resolvers are asked, as long as `dns` says.
    pub(super) async fn look(postfix: &Postfix, dns: &DnsConfig, today: UtcDay) -> Self {
        let list = list_of_resolvers(postfix);
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
            resolvers: SystemResolvers::look(&list, dns).await,
            resolv_conf: list.path,
            datagrams_queued_max: queued.and_then(|text| text.trim().parse().ok()),
            today,
        }
    }
}

fn first_file(names: &[&str]) -> Option<PathBuf> {
    names.iter().map(PathBuf::from).find(|file| file.is_file())
}

/// A chrooted Postfix has a list of its own, which Debian copies whenever Postfix starts.
fn list_of_resolvers(postfix: &Postfix) -> SystemList {
    let mut list = SystemList::default();
    let inside = list.path.strip_prefix("/").unwrap_or(&list.path);
    let inside = postfix.queue_directory().join(inside);
    if postfix.any_chrooted() && inside.is_file() {
        list.path = inside;
    }
    list
}
