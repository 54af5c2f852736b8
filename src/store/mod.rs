//! Stage 4 of 7: store.
//! Takes: [`SessionRecord`](crate::record::SessionRecord)s from the journal.
//! Gives: what was counted on a UTC day, to aggregate; and keeps policies and delivery states.
//! Never: holds up a delivery; what it cannot write it counts and says.
//! Specified by: RFC 8460 s4.1 and s4.2; `docs/store-format.md`.
//!
//! What outlives the process is kept as **tallies**, not as events: a row for each
//! (day, domain, policy, result, MX, addresses) with an absolute total, so that writing a row twice
//! does no harm; and one for each way in which sessions were protected. [`Recorder`](recorder) gathers them in memory and writes the changed ones together;
//! a session is acknowledged when its batch is on the disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use crate::{
    clock::{Timestamp, UtcDay},
    deliver::{DeliveryKey, DeliveryState, suppression::Suppression},
    hook::overrides::CommandOverride,
    observe::audit::AuditEntry,
    policy::{AppliedPolicy, Destination, Fingerprint, KeptPolicy, PolicyDomain},
    record::{Failure, Source, protection::Protection},
};

mod audit;
mod codec;
mod copying;
mod engine;
mod holdings;
pub mod hosts;
pub mod keeping;
mod key;
mod let_go;
mod locks;
pub mod memory;
mod octets;
pub mod open;
mod parted;
pub mod protected;
pub mod recorder;
mod running;
mod sealed;
pub mod sled;
mod trees;

pub use audit::{AuditHash, AuditLink, AuditRecord, AuditShown, Chain};
pub use copying::Copied;
pub use hosts::TlsaHosts;
pub use keeping::{DayPart, Holdings, Keeping};
pub use memory::MemoryStore;
pub use open::{Opened, open_or_put_aside};
pub use protected::Protected;
pub use recorder::Recorder;
pub use sled::SledStore;

/// Names one row: what is counted, and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TallyKey {
    /// The UTC day.
    pub day: UtcDay,
    /// The domain whose report the row enters.
    pub domain: PolicyDomain,
    /// The exact policy; [`Store::applied_policy`] has it in full.
    pub policy: Fingerprint,
    /// What is counted.
    pub counted: Counted,
}

/// What a row counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    /// Sessions that satisfied the policy.
    Successes,
    /// Sessions that did not.
    Failures,
    /// Of those, the ones that failed in this way.
    Detail(Failure),
    /// Sessions that were protected so. A session that is counted under several policies is in one row
    /// of this kind only, so that these add up to sessions over all policies of a domain.
    Protected(Protection),
}

/// A failure kept singly, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureRecord {
    /// When.
    pub at: Timestamp,
    /// The recipient domain.
    pub domain: PolicyDomain,
    /// The exact policy.
    pub policy: Fingerprint,
    /// Who saw it.
    pub source: Source,
    /// What.
    pub failure: Failure,
}

/// What is written and acknowledged together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Rows with their **absolute** totals: writing one twice changes nothing.
    pub totals: BTreeMap<TallyKey, u64>,
    /// Failures to be kept singly. The store keeps the newest of each domain and day up to its bound.
    pub failures: Vec<FailureRecord>,
    /// The policies that the rows name.
    pub policies: BTreeMap<Fingerprint, AppliedPolicy>,
}

/// Why the store could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operator must act: less space is left than the configured mark.
    #[error("the disk below {path} has {free_mib} MiB left, less than the mark of {mark_mib} MiB")]
    DiskFull {
        /// The store's directory.
        path: String,
        /// What is left.
        free_mib: u64,
        /// What must be left.
        mark_mib: u64,
    },
    /// The operator must act: the operating system refused.
    #[error("the store at {path}: {reason}")]
    Io {
        /// The store's directory.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// The operator must act: another process has the store open.
    #[error("the store at {path} is in use: another sealpost holds it")]
    Held {
        /// The store's directory.
        path: String,
    },
    /// The operator must act: no copy can be made there.
    #[error("no copy of the store can be made at {path}: {reason}")]
    NoCopy {
        /// The directory that was to be made.
        path: String,
        /// Why not.
        reason: String,
    },
    /// Nobody can act but us: the files are damaged, or the engine panicked over them.
    #[error("the store at {path} is damaged: {reason}")]
    Damaged {
        /// The store's directory.
        path: String,
        /// What was found.
        reason: String,
    },
    /// The operator must act: the store was written by a later release.
    #[error("the store at {path} has format {found}; this release reads up to {known}")]
    FromTheFuture {
        /// The store's directory.
        path: String,
        /// The format found.
        found: u32,
        /// The newest format known.
        known: u32,
    },
}

/// Where tallies, policies and delivery states outlive the process.
///
/// Every method that writes returns only when what it wrote would survive a power cut. Methods may
/// block on the disk: async callers use `spawn_blocking`.
pub trait Store: Send + Sync {
    /// Writes a batch.
    ///
    /// # Errors
    /// When nothing, or not surely all, of the batch is on the disk. It may be written again.
    fn commit(&self, batch: &Batch) -> Result<(), StoreError>;

    /// The total of one row, 0 where there is none.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn total(&self, key: &TallyKey) -> Result<u64, StoreError>;

    /// The days of which anything is held, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn days(&self) -> Result<Vec<UtcDay>, StoreError> {
        let mut days = BTreeSet::new();
        for part in DayPart::ALL {
            days.extend(self.days_of(part)?);
        }
        Ok(days.into_iter().collect())
    }

    /// The days of which this part is held, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn days_of(&self, part: DayPart) -> Result<Vec<UtcDay>, StoreError>;

    /// The domains that have rows on a day, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn domains(&self, day: UtcDay) -> Result<Vec<PolicyDomain>, StoreError>;

    /// Every row of one domain on one day, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn tallies(
        &self,
        day: UtcDay,
        domain: &PolicyDomain,
    ) -> Result<Vec<(TallyKey, u64)>, StoreError>;

    /// Shows every row of a day, those of one domain together. An engine that can does it in one pass.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn each_tally(
        &self,
        day: UtcDay,
        show: &mut dyn FnMut(TallyKey, u64),
    ) -> Result<(), StoreError> {
        for domain in self.domains(day)? {
            for (key, total) in self.tallies(day, &domain)? {
                show(key, total);
            }
        }
        Ok(())
    }

    /// How the sessions of a day were protected, by recipient domain, in order. Sessions that were
    /// counted before protection was noted are in none.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn protected(&self, day: UtcDay) -> Result<Vec<(PolicyDomain, Protected)>, StoreError>;

    /// The same of one domain. Reads its rows alone.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn protected_of(&self, day: UtcDay, domain: &PolicyDomain) -> Result<Protected, StoreError> {
        let mut protected = Protected::default();
        for (key, sessions) in self.tallies(day, domain)? {
            if let Counted::Protected(protection) = key.counted {
                protected.add(protection, sessions);
            }
        }
        Ok(protected)
    }

    /// The newest day on which an earlier release counted sessions without what protected them, if one did.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn unnoted_until(&self) -> Result<Option<UtcDay>, StoreError>;

    /// Which MX hosts with TLSA records the sessions of a day were with. One pass over the day.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn tlsa_hosts(&self, day: UtcDay) -> Result<TlsaHosts, StoreError>;

    /// Packs a finished day. Reading it gives the same as before; a later [`commit`](Self::commit)
    /// to it is still taken and wins over what was packed.
    ///
    /// # Errors
    /// When the store cannot be written; the day is then still whole.
    fn seal(&self, day: UtcDay) -> Result<(), StoreError>;

    /// Forgets the single failures, tallies and delivery states of a day, and the applied policies
    /// that no row of another day names.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn forget(&self, day: UtcDay) -> Result<(), StoreError> {
        DayPart::ALL
            .iter()
            .try_for_each(|part| self.forget_part(day, *part))
    }

    /// Forgets one part of a day; with tallies the applied policies that no row of another day names.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn forget_part(&self, day: UtcDay, part: DayPart) -> Result<(), StoreError>;

    /// What is held, in octets. A pass over everything.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn holdings(&self) -> Result<Holdings, StoreError>;

    /// How large the store's file is, in octets: no less than what is held. Costs nothing.
    ///
    /// # Errors
    /// When that cannot be seen.
    fn file_octets(&self) -> Result<u64, StoreError>;

    /// Copies all of it into a new directory, from which a daemon can be started: what was counted and decided up to one
    /// moment during the call. Others read and write meanwhile; nothing is packed or forgotten.
    ///
    /// # Errors
    /// [`StoreError::NoCopy`] when it cannot be made there, and others when the store cannot be read or the disk takes
    /// no more. Nothing is left of it then.
    fn copy_to(&self, directory: &Path) -> Result<Copied, StoreError> {
        Err(StoreError::NoCopy {
            path: directory.display().to_string(),
            reason: "what is recorded is kept in memory only".to_owned(),
        })
    }

    /// Notes that this part of a day, and of all before it, is forgotten before its time.
    ///
    /// # Errors
    /// When it is not surely on the disk.
    fn note_cut(&self, part: DayPart, day: UtcDay) -> Result<(), StoreError>;

    /// The newest day of which this part was noted to be forgotten before its time.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn cut_until(&self, part: DayPart) -> Result<Option<UtcDay>, StoreError>;

    /// The failures kept singly of one day, newest last, of one domain or of all.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn failures(
        &self,
        day: UtcDay,
        domain: Option<&PolicyDomain>,
    ) -> Result<Vec<FailureRecord>, StoreError>;

    /// The policy that rows name by this fingerprint.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn applied_policy(&self, policy: Fingerprint) -> Result<Option<AppliedPolicy>, StoreError>;

    /// Keeps a fetched MTA-STS policy: id, fetch time and body are written as one (B33).
    ///
    /// # Errors
    /// When the store cannot be written.
    fn keep_policy(&self, domain: &PolicyDomain, kept: &KeptPolicy) -> Result<(), StoreError>;

    /// The MTA-STS policy kept for a domain, expired or not.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn kept_policy(&self, domain: &PolicyDomain) -> Result<Option<KeptPolicy>, StoreError>;

    /// Every MTA-STS policy that is kept, by domain.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn kept_policies(&self) -> Result<Vec<(PolicyDomain, KeptPolicy)>, StoreError>;

    /// Forgets the MTA-STS policy of a domain.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn purge_policy(&self, domain: &PolicyDomain) -> Result<(), StoreError>;

    /// Writes how the delivery of one report stands.
    ///
    /// # Errors
    /// When it is not surely on the disk. The caller must then not act on it.
    fn put_delivery(&self, key: &DeliveryKey, state: &DeliveryState) -> Result<(), StoreError>;

    /// Writes several at once, as [`put_delivery`](Self::put_delivery) does one. An engine that syncs does
    /// it once for all.
    ///
    /// # Errors
    /// When not all of them are surely on the disk. The caller must then act on none.
    fn put_deliveries(&self, states: &[(DeliveryKey, DeliveryState)]) -> Result<(), StoreError> {
        states
            .iter()
            .try_for_each(|(key, state)| self.put_delivery(key, state))
    }

    /// How one delivery stands.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn delivery(&self, key: &DeliveryKey) -> Result<Option<DeliveryState>, StoreError>;

    /// Every delivery of one day, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn deliveries(&self, day: UtcDay) -> Result<Vec<(DeliveryKey, DeliveryState)>, StoreError>;

    /// Every delivery of one domain's report of one day, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn deliveries_of(
        &self,
        day: UtcDay,
        domain: &PolicyDomain,
    ) -> Result<Vec<(DeliveryKey, DeliveryState)>, StoreError> {
        let mut deliveries = self.deliveries(day)?;
        deliveries.retain(|(key, _)| key.domain == *domain);
        Ok(deliveries)
    }

    /// Writes how a destination stands that has refused reports, or that the operator suppressed.
    ///
    /// # Errors
    /// When it is not surely on the disk.
    fn put_suppression(
        &self,
        destination: &Destination,
        suppression: &Suppression,
    ) -> Result<(), StoreError>;

    /// Forgets that a destination was suppressed.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn remove_suppression(&self, destination: &Destination) -> Result<(), StoreError>;

    /// Every destination that is or was suppressed, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn suppressions(&self) -> Result<Vec<(Destination, Suppression)>, StoreError>;

    /// Writes the override that was set by command for a domain, in the place of an earlier one.
    ///
    /// # Errors
    /// When it is not surely on the disk.
    fn put_override(&self, set: &CommandOverride) -> Result<(), StoreError>;

    /// Forgets the override that was set by command for a domain.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn remove_override(&self, domain: &PolicyDomain) -> Result<(), StoreError>;

    /// Every override that was set by command, by domain, those that ended too.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn overrides(&self) -> Result<Vec<CommandOverride>, StoreError>;

    /// Appends entries to the audit log.
    ///
    /// # Errors
    /// When not all of them are surely on the disk. They may be appended again, and are then there twice.
    fn append_audit(&self, entries: &[AuditEntry]) -> Result<(), StoreError>;

    /// Shows the audit log: where it begins, then every entry, the oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn audit(&self, show: &mut dyn FnMut(AuditShown)) -> Result<(), StoreError>;

    /// Forgets the entries of the audit log from before a moment, up to the first that is not; the newest stays.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn forget_audit(&self, before: Timestamp) -> Result<(), StoreError>;
}
