//! What was said of mail hosts before, for whoever does not look it up now.

use std::sync::Arc;

use super::{
    desk::{Desk, Said},
    kept::Kept,
};
use crate::{
    clock::Timestamp,
    policy::{
        MxHost, PolicyDomain,
        dane::{DaneFinding, DomainDane, HostDane, LookupTrouble, MailHosts},
    },
};

impl Desk {
    /// What was last known of a host, however old. That a lookup failed since takes nothing of it away.
    pub(super) fn known(&self, domain: &PolicyDomain, host: &MxHost) -> Option<Arc<HostDane>> {
        let said = self.all_said(domain, host).into_iter().flatten();
        let newest = said.max_by_key(|kept| {
            let is_known = !matches!(kept.value.finding, DaneFinding::Unreachable(_));
            (is_known, kept.since)
        });
        newest.map(|kept| kept.value)
    }

    /// What was last said of a host, where it still held `at` that time.
    pub(super) fn held(
        &self,
        domain: &PolicyDomain,
        host: &MxHost,
        at: Timestamp,
    ) -> Option<Arc<HostDane>> {
        // What was found by a resolver that is trusted no more is nothing to hold a session to.
        self.parts.validation.resolver()?;
        let said = self.all_said(domain, host).into_iter().flatten();
        let held = said.filter(|kept| kept.until >= at);
        let newest = held.max_by_key(|kept| {
            let is_about_records = !matches!(
                kept.value.finding,
                DaneFinding::Unreachable(LookupTrouble::Mx(_) | LookupTrouble::Addresses(_))
            );
            (is_about_records, kept.since)
        });
        newest.map(|kept| kept.value)
    }

    /// All that is remembered of a host.
    fn all_said(&self, domain: &PolicyDomain, host: &MxHost) -> [Option<Kept<Arc<HostDane>>>; 3] {
        let key = (domain.clone(), host.clone());
        let alone = |said: Arc<Kept<Said>>| Kept {
            value: Arc::clone(&said.value.dane),
            since: said.since,
            until: said.until,
        };
        let whole = self.domains.recall(domain).and_then(|kept| {
            Some(Kept {
                value: Arc::new(kept.value.host(host)?.clone()),
                since: kept.since,
                until: kept.until,
            })
        });
        let lost = self.lost.recall(&key).map(alone);
        [whole, self.said.recall(&key).map(alone), lost]
    }

    /// Keeps the records that are known of a host, before it is remembered that they cannot be looked up.
    pub(super) fn keep_lost(&self, domain: &PolicyDomain, host: &MxHost) {
        let said = self.all_said(domain, host).into_iter().flatten();
        let Some(newest) = said.max_by_key(|kept| kept.since) else {
            return;
        };
        if newest.value.records().is_some() {
            let said = Kept {
                value: Said {
                    port: self.parts.port,
                    dane: newest.value,
                },
                since: newest.since,
                until: newest.until,
            };
            let key = (domain.clone(), host.clone());
            self.lost.remember(&key, Arc::new(said));
        }
    }

    /// The same for all hosts of a domain of which this is found now.
    pub(super) fn keep_all_lost(&self, found: &DomainDane) {
        let Some(before) = self.domains.recall(&found.domain) else {
            return;
        };
        let is_unreachable = |dane: &HostDane| matches!(dane.finding, DaneFinding::Unreachable(_));
        for ranked in before.value.ranked() {
            let host = &ranked.dane.host;
            let is_lost = match &found.hosts {
                MailHosts::Failed(_) | MailHosts::TooMany(_) => true,
                _ => found.host(host).is_some_and(is_unreachable),
            };
            if is_lost {
                self.keep_lost(&found.domain, host);
            }
        }
    }
}
