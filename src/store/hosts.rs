//! Which MX hosts with TLSA records the mail of a day went to: whose sessions an MX host's own report
//! tells of.

use std::collections::BTreeMap;

use crate::policy::PolicyDomain;

/// By the TLSA base domain of the records, the recipient domains with a session that was held to them.
/// Both in order, each once.
///
/// A day of 100,000 recipient domains takes some MB: names are shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsaHosts(BTreeMap<PolicyDomain, Vec<PolicyDomain>>);

impl TlsaHosts {
    /// The recipient domains of one host.
    #[must_use]
    pub fn recipients(&self, host: &PolicyDomain) -> &[PolicyDomain] {
        self.0.get(host).map_or(&[], Vec::as_slice)
    }

    /// Every host.
    pub fn hosts(&self) -> impl Iterator<Item = &PolicyDomain> {
        self.0.keys()
    }

    /// Notes a session; recipient domains come in order.
    pub(super) fn note(&mut self, host: &PolicyDomain, recipient: &PolicyDomain) {
        let recipients = self.0.entry(host.clone()).or_default();
        if recipients.last() != Some(recipient) {
            recipients.push(recipient.clone());
        }
    }
}
