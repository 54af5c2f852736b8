//! What an operator can see: counters of everything that matters, and of everything that was lost.

use std::sync::atomic::{AtomicU64, Ordering};

pub mod audit;
pub mod exposition;
pub mod gauges;
pub mod log;
pub mod measured;
pub mod printable;
pub mod stopwatch;
pub mod words;

use measured::Measured;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn count(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// How many so far.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// Every counter of the running daemon; `sealpost status` shows them all.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc])* pub $name: Counter,)*
            /// What is counted by kind, and what is timed: for the metrics.
            pub measured: Measured,
        }

        impl Counters {
            /// Every counter with its name, in the order of the pipeline.
            #[must_use]
            pub fn list(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.value()),)*]
            }

            /// Every counter with its name and what it counts, in the same order.
            #[must_use]
            pub fn described(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((stringify!($name), concat!($($doc),*).trim_ascii_start(), self.$name.value()),)*]
            }
        }
    };
}

counters! {
    /// Policy questions answered.
    policy_queries,
    /// Policy questions answered without knowing the policy: as `policy.when_unknown` says, or with defer to
    /// what is no domain.
    policy_queries_unanswerable,
    /// MX hosts refused by a policy; each is also a failed session.
    mx_refused,
    /// Policy documents fetched and found valid.
    policy_fetches,
    /// Policy fetches that failed.
    policy_fetches_failed,
    /// Mail hosts whose addresses and TLSA records were looked up.
    dane_lookups,
    /// Lookups of MX records, addresses or TLSA records that failed or were bogus, so that mail waits or
    /// goes to another host.
    dane_lookups_failed,
    /// Sessions told by MTAs.
    sessions,
    /// Sessions told by MTAs that are not counted: no TLS sessions (RFC 8460 s4.3.4), or of no policy domain.
    sessions_not_counted,
    /// Sessions left out because each may have carried one of our reports (`deliver.report_session_seconds`).
    sessions_of_reports,
    /// Records, of sessions or of our own findings, dropped because the queue to the recorder was
    /// full or the recorder had ended.
    sessions_dropped,
    /// Records dropped because the disk took nothing and too many rows waited.
    sessions_dropped_disk,
    /// Decisions that are in no audit log: more were noted than the disk took.
    audit_dropped,
    /// Batches of the store that are on the disk.
    store_commits,
    /// Batches of the store that the disk did not take; they are tried again.
    store_commits_failed,
    /// Report deliveries that the next hop took.
    reports_sent,
    /// Attempts to deliver a report that failed, their deliveries to be tried again.
    report_attempts_failed,
    /// Report deliveries given up.
    reports_given_up,
    /// Reports left out because their host gets no more of the day (`deliver.per_host_per_day_max`).
    reports_left_out_host_full,
    /// Refusals and bounces that suppressed their destination for a while.
    destinations_suppressed,
    /// Clients that the plugin socket refused: too many, or not an allowed user.
    plugin_clients_refused,
    /// Lines on the plugin socket that were not understood.
    plugin_lines_malformed,
    /// Policy questions on the socketmap.
    socketmap_queries,
    /// Policy questions on the socketmap answered with `TEMP` or `PERM`: the mail waits.
    socketmap_deferred,
    /// Requests on the socketmap that were not understood; the client is let go.
    socketmap_malformed,
    /// Clients that the socketmap refused: too many.
    socketmap_clients_refused,
    /// Datagrams of outcomes received.
    datagrams,
    /// Datagrams of outcomes dropped because too much waited to be counted.
    datagrams_dropped,
    /// Datagrams of outcomes not understood; by kind in the `datagrams_malformed_` ones.
    datagrams_malformed,
    /// Datagrams longer than 212,992 octets.
    datagrams_malformed_too_large,
    /// Datagrams with a name or a policy that is not UTF-8.
    datagrams_malformed_not_utf8,
    /// Datagrams that are not JSON.
    datagrams_malformed_not_json,
    /// Datagrams that are JSON of another shape.
    datagrams_malformed_shape,
    /// Datagrams without a recipient domain, or with one that is none.
    datagrams_malformed_domain,
    /// Datagrams without a policy.
    datagrams_malformed_no_policies,
    /// Datagrams with a policy domain that is no domain name.
    datagrams_malformed_policy_domain,
    /// Datagrams with a policy type that is not known.
    datagrams_malformed_policy_type,
    /// Datagrams with a final result that is not known.
    datagrams_malformed_final_result,
    /// Datagrams with a failure code that is not known.
    datagrams_malformed_failure_code,
    /// Datagrams with more policies, failures or lines than a delivery can have.
    datagrams_malformed_too_many,
    /// Datagrams of another version than 1: what version 1 has is read and counted.
    datagrams_other_version,
    /// Lines of Postfix's log that told something.
    postfix_log_lines,
    /// Lines of Postfix's log that were too long to be read.
    postfix_log_lines_too_long,
    /// Looks at mail hosts.
    probes,
    /// Looks at mail hosts that could not be reached.
    probes_unreached,
    /// Questions whose domain was not looked at because too many waited for it.
    probe_domains_dropped,
    /// Sessions inferred because the MTA said nothing of them.
    sessions_inferred,
    /// Sessions told by an MTA that did not check what the policy asks, and of which nothing more
    /// could be found out: counted as the MTA told them, or under that alone of which it is known.
    sessions_unchecked,
}
