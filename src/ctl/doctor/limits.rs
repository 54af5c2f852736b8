//! Limits of the system that nobody hears of when they are reached.

use super::{
    finding::{Examined, traps},
    scene::Scene,
};
use crate::daemon::open_files::files_needed;

traps! {
    QUEUE_SHORT = "datagram-queue-short", Warning,
        "Postfix tells its sessions in datagrams, and the kernel keeps few of them while the daemon is busy or \
         restarts: what finds no room is lost, and only Postfix's log says so.",
        "Raise net.unix.max_dgram_qlen, and have the socket made anew: it keeps the length that it was made with.";
    FEW_FILES = "open-files-few", Warning,
        "The daemon may have fewer files open than clients, fetches and mails it is to serve at once. At the limit no \
         client is answered and no policy fetched.",
        "Raise LimitNOFILE= in the daemon's unit, or lower the settings that are named.";
}

/// What is recommended (docs/install/postfix.md).
const QUEUE_MIN: u64 = 512;

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// Datagrams are taken on a socket of ours.
    pub(super) takes_datagrams: bool,
    /// `net.unix.max_dgram_qlen`
    pub(super) queue_max: Option<u64>,
    /// How many files the daemon may have open.
    pub(super) open_files_max: Option<u64>,
    /// How many it may come to need.
    pub(super) open_files_needed: u64,
    pub(super) daemon_runs: bool,
}

pub(super) fn judge(facts: &Facts) -> Examined {
    let mut examined = Examined::default();
    match (facts.takes_datagrams, facts.queue_max) {
        (false, _) => examined.well("no datagrams are taken"),
        (true, Some(most)) if most < QUEUE_MIN => {
            let lines = vec![
                format!(
                    "echo 'net.unix.max_dgram_qlen = {QUEUE_MIN}' > /etc/sysctl.d/sealpost.conf"
                ),
                format!("echo {QUEUE_MIN} > /proc/sys/net/unix/max_dgram_qlen"),
                "systemctl restart sealpost-postfix.socket sealpost".to_owned(),
            ];
            examined.found_with(
                QUEUE_SHORT,
                format!("net.unix.max_dgram_qlen is {most}"),
                lines,
            );
        }
        (true, Some(most)) => examined.well(format!("net.unix.max_dgram_qlen is {most}")),
        (true, None) => examined.unknown("net.unix.max_dgram_qlen cannot be read"),
    }
    let needed = facts.open_files_needed;
    match facts.open_files_max {
        Some(most) if most < needed => {
            let seen = format!(
                "it may have {most} files open, and may need {needed}: plugin_socket.clients_max, \
                 socketmap.clients_max, policy.fetches_max, deliver.concurrent_max"
            );
            let lines = vec![format!("LimitNOFILE={needed}")];
            examined.found_with(FEW_FILES, seen, lines);
        }
        Some(most) => examined.well(format!("the daemon may have {most} files open")),
        None if facts.daemon_runs => {
            examined.unknown("how many files the daemon may have open: ask as root or its user");
        }
        None => examined.unknown(
            "how many files the daemon may have open: it does not run, or may not be asked",
        ),
    }
    examined
}

pub(super) async fn examine(scene: &Scene) -> Examined {
    let config = match scene.config() {
        Ok(config) => config,
        Err(why) => return Examined::not_seen(why),
    };
    let daemon = scene.daemon().await;
    let path = &config.tlsrpt_socket.path;
    // The daemon makes the socket's own directory, and not the one above.
    let above = path.parent().and_then(std::path::Path::parent);
    let queue = std::fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen").ok();
    judge(&Facts {
        takes_datagrams: !path.as_os_str().is_empty() && above.is_some_and(std::path::Path::exists),
        queue_max: queue.and_then(|text| text.trim().parse().ok()),
        open_files_max: daemon.open_files_max,
        open_files_needed: files_needed(config),
        daemon_runs: scene.status().await.is_some(),
    })
}
