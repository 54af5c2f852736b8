//! A disk that has gone bad.

use super::*;
use crate::{
    deliver::suppression::Suppression,
    hook::overrides::CommandOverride,
    observe::audit::AuditEntry,
    policy::Destination,
    store::{AuditShown, DayPart, Holdings},
};

/// What it answers.
pub(super) fn damaged() -> StoreError {
    StoreError::Damaged {
        path: "/nowhere".to_owned(),
        reason: "for the test".to_owned(),
    }
}

/// A store that answers every question with an error, and takes a policy once it is mended.
#[derive(Default)]
pub(super) struct DamagedStore {
    /// From now on it takes a policy.
    pub(super) mended: AtomicBool,
    /// What it took last.
    pub(super) written: Mutex<Option<KeptPolicy>>,
}

impl Store for DamagedStore {
    fn commit(&self, _: &Batch) -> Result<(), StoreError> {
        Err(damaged())
    }
    fn total(&self, _: &TallyKey) -> Result<u64, StoreError> {
        Err(damaged())
    }
    fn days_of(&self, _: DayPart) -> Result<Vec<UtcDay>, StoreError> {
        Err(damaged())
    }
    fn domains(&self, _: UtcDay) -> Result<Vec<PolicyDomain>, StoreError> {
        Err(damaged())
    }
    fn tallies(&self, _: UtcDay, _: &PolicyDomain) -> Result<Vec<(TallyKey, u64)>, StoreError> {
        Err(damaged())
    }
    fn unnoted_until(&self) -> Result<Option<UtcDay>, StoreError> {
        Err(damaged())
    }

    fn protected(&self, _: UtcDay) -> Result<Vec<(PolicyDomain, Protected)>, StoreError> {
        Err(damaged())
    }
    fn tlsa_hosts(&self, _: UtcDay) -> Result<TlsaHosts, StoreError> {
        Err(damaged())
    }
    fn seal(&self, _: UtcDay) -> Result<(), StoreError> {
        Err(damaged())
    }
    fn forget_part(&self, _: UtcDay, _: DayPart) -> Result<(), StoreError> {
        Err(damaged())
    }
    fn holdings(&self) -> Result<Holdings, StoreError> {
        Err(damaged())
    }
    fn file_octets(&self) -> Result<u64, StoreError> {
        Err(damaged())
    }
    fn note_cut(&self, _: DayPart, _: UtcDay) -> Result<(), StoreError> {
        Err(damaged())
    }
    fn cut_until(&self, _: DayPart) -> Result<Option<UtcDay>, StoreError> {
        Err(damaged())
    }
    fn failures(
        &self,
        _: UtcDay,
        _: Option<&PolicyDomain>,
    ) -> Result<Vec<FailureRecord>, StoreError> {
        Err(damaged())
    }
    fn applied_policy(&self, _: Fingerprint) -> Result<Option<AppliedPolicy>, StoreError> {
        Err(damaged())
    }
    fn keep_policy(&self, _: &PolicyDomain, kept: &KeptPolicy) -> Result<(), StoreError> {
        if !self.mended.load(Ordering::Relaxed) {
            return Err(damaged());
        }
        *self.written.lock().unwrap() = Some(kept.clone());
        Ok(())
    }
    fn kept_policy(&self, _: &PolicyDomain) -> Result<Option<KeptPolicy>, StoreError> {
        Err(damaged())
    }
    fn kept_policies(&self) -> Result<Vec<(PolicyDomain, KeptPolicy)>, StoreError> {
        Err(damaged())
    }
    fn purge_policy(&self, _: &PolicyDomain) -> Result<(), StoreError> {
        Err(damaged())
    }
    fn put_delivery(&self, _: &DeliveryKey, _: &DeliveryState) -> Result<(), StoreError> {
        Err(damaged())
    }
    fn delivery(&self, _: &DeliveryKey) -> Result<Option<DeliveryState>, StoreError> {
        Err(damaged())
    }
    fn deliveries(&self, _: UtcDay) -> Result<Vec<(DeliveryKey, DeliveryState)>, StoreError> {
        Err(damaged())
    }
    fn put_suppression(&self, _: &Destination, _: &Suppression) -> Result<(), StoreError> {
        Err(damaged())
    }
    fn remove_suppression(&self, _: &Destination) -> Result<(), StoreError> {
        Err(damaged())
    }
    fn suppressions(&self) -> Result<Vec<(Destination, Suppression)>, StoreError> {
        Err(damaged())
    }
    fn put_override(&self, _: &CommandOverride) -> Result<(), StoreError> {
        Err(damaged())
    }
    fn remove_override(&self, _: &PolicyDomain) -> Result<(), StoreError> {
        Err(damaged())
    }
    fn overrides(&self) -> Result<Vec<CommandOverride>, StoreError> {
        Err(damaged())
    }
    fn append_audit(&self, _: &[AuditEntry]) -> Result<(), StoreError> {
        Err(damaged())
    }
    fn audit(&self, _: &mut dyn FnMut(AuditShown)) -> Result<(), StoreError> {
        Err(damaged())
    }
    fn forget_audit(&self, _: Timestamp) -> Result<(), StoreError> {
        Err(damaged())
    }
}
