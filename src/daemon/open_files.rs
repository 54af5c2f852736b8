//! How many files the daemon may have open: each client, lookup, fetch and mail is one.
//!
//! Most systems start a daemon with a soft limit of 1,024, which is less than the clients of the
//! socketmap alone. At the limit no client is answered and no policy fetched, so the daemon
//! takes what the hard limit gives it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// What is open besides clients, fetches and mails: the store, the sockets, lookups.
const OTHER_FILES: usize = 256;

/// Raises the soft limit to the hard one, and says so where that does not suffice.
pub(super) fn raise_limit(config: &Config) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            current
        }
    };
    let needed = files_needed(config);
    // Without a value there is no limit.
    if let Some(limit) = limit
        && limit < needed
    {
        tracing::warn!(
            limit,
            needed,
            "too few files may be open for plugin_socket.clients_max and socketmap.clients_max: \
             raise the hard limit (LimitNOFILE= of systemd)"
        );
    }
}

/// How many files a daemon of this configuration may come to have open.
pub(crate) fn files_needed(config: &Config) -> u64 {
    let needed = [
        config.plugin_socket.clients_max,
        config.socketmap.clients_max,
        config.policy.fetches_max,
        config.deliver.concurrent_max,
        OTHER_FILES,
    ];
    let needed = needed.into_iter().fold(0, usize::saturating_add);
    u64::try_from(needed).unwrap_or(u64::MAX)
}
