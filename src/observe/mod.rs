//! What an operator can see: counters of everything that matters, and of everything that was lost.

use std::sync::atomic::{AtomicU64, Ordering};

pub mod audit;
pub mod log;
pub mod printable;

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
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Every counter of the running daemon; `sealpost status` shows them all.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: Counter,)*
        }

        impl Counters {
            /// Every counter with its name, in the order of the pipeline.
            #[must_use]
            pub fn list(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.value()),)*]
            }
        }
    };
}

counters! {
    /// Policy questions answered.
    policy_queries,
    /// Of those, answered without knowing the policy: as `policy.when_unknown` says, or with defer to
    /// what is no domain.
    policy_queries_unanswerable,
    /// MX hosts refused by a policy; each is also a failed session.
    mx_refused,
    /// Policy documents fetched and found valid.
    policy_fetches,
    /// Fetches that failed.
    policy_fetches_failed,
    /// Mail hosts whose addresses and TLSA records were looked up.
    dane_lookups,
    /// Lookups of MX records, addresses or TLSA records that failed or were bogus, so that mail waits or
    /// goes to another host.
    dane_lookups_failed,
    /// Sessions told by MTAs.
    sessions,
    /// Of those, not counted: no TLS sessions (RFC 8460 s4.3.4), or of no policy domain.
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
    /// Batches on the disk.
    store_commits,
    /// Batches that the disk did not take; they are tried again.
    store_commits_failed,
    /// Report deliveries that the next hop took.
    reports_sent,
    /// Attempts that failed, their deliveries to be tried again.
    report_attempts_failed,
    /// Deliveries given up.
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
    /// Of those, answered with `TEMP` or `PERM`: the mail waits.
    socketmap_deferred,
    /// Requests on the socketmap that were not understood; the client is let go.
    socketmap_malformed,
    /// Clients that the socketmap refused: too many.
    socketmap_clients_refused,
    /// Datagrams of outcomes received.
    datagrams,
    /// Of those, dropped because too much waited to be counted.
    datagrams_dropped,
    /// Of those, not understood; by kind in the next ones.
    datagrams_malformed,
    /// Longer than 212,992 octets.
    datagrams_malformed_too_large,
    /// A name or a policy is not UTF-8.
    datagrams_malformed_not_utf8,
    /// Not JSON.
    datagrams_malformed_not_json,
    /// JSON of another shape.
    datagrams_malformed_shape,
    /// Without a recipient domain, or with one that is none.
    datagrams_malformed_domain,
    /// Without a policy.
    datagrams_malformed_no_policies,
    /// With a policy domain that is no domain name.
    datagrams_malformed_policy_domain,
    /// With a policy type that is not known.
    datagrams_malformed_policy_type,
    /// With a final result that is not known.
    datagrams_malformed_final_result,
    /// With a failure code that is not known.
    datagrams_malformed_failure_code,
    /// With more policies, failures or lines than a delivery can have.
    datagrams_malformed_too_many,
    /// Datagrams of another version than 1: what version 1 has is read and counted.
    datagrams_other_version,
    /// Lines of Postfix's log that told something.
    postfix_log_lines,
    /// Lines of Postfix's log that were too long to be read.
    postfix_log_lines_too_long,
    /// Looks at mail hosts.
    probes,
    /// Of those, hosts that could not be reached.
    probes_unreached,
    /// Questions whose domain was not looked at because too many waited for it.
    probe_domains_dropped,
    /// Sessions inferred because the MTA said nothing of them.
    sessions_inferred,
    /// Sessions told by an MTA that did not check what the policy asks, and of which nothing more
    /// could be found out: counted as the MTA told them, or under that alone of which it is known.
    sessions_unchecked,
}
