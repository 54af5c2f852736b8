//! Whether receivers can verify the signatures of our reports: looked at when the daemon starts, and from
//! then on, for a receiver that cannot must ignore the report (RFC 8460 s3) and nobody would hear of it.

use std::sync::Arc;

use super::{operator::Operator, reports::StoredReports};
use crate::{
    clock::Clock,
    net::dns::{Dns, DnsError},
    policy::PolicyDomain,
    report::{
        DkimKey,
        dmarc::{self, DmarcRecord},
        key_record::{KeyFault, Published, judge},
    },
};

/// How long after a look the next one is.
// OURS: a record that was taken away is noticed before the next day's reports leave.
const INTERVAL_SECONDS: i64 = 3_600;

/// What the DNS says of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySeen {
    /// The name of its record.
    pub record_name: String,
    /// What is published there.
    pub seen: Seen,
}

/// What is published of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Receivers verify with it.
    Published(Published),
    /// They cannot.
    Faulty(KeyFault),
    /// The lookup failed: nothing is known.
    NotKnown(DnsError),
}

impl KeySeen {
    /// What is wrong, in words; nothing where it is right or not known.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        match &self.seen {
            Seen::Faulty(fault) => Some(format!(
                "receivers cannot verify our reports by {}: {fault}",
                self.record_name
            )),
            Seen::Published(_) | Seen::NotKnown(_) => None,
        }
    }
}

/// Looks up the record of each key.
pub async fn look(dns: &dyn Dns, domain: &PolicyDomain, keys: &[DkimKey]) -> Vec<KeySeen> {
    let mut all = Vec::new();
    for key in keys {
        let record_name = key.record_name(domain);
        let seen = match dns.txt(&record_name).await {
            Ok(answer) => judge(key, &answer.values).map_or_else(Seen::Faulty, Seen::Published),
            Err(error) => Seen::NotKnown(error),
        };
        all.push(KeySeen { record_name, seen });
    }
    all
}

/// The DMARC record that holds for mail from a domain, and where it stands; nothing where there is none.
///
/// # Errors
/// When a lookup fails.
pub async fn dmarc_record(
    dns: &dyn Dns,
    domain: &PolicyDomain,
) -> Result<Option<(String, DmarcRecord)>, DnsError> {
    for name in dmarc::names(domain) {
        if let Some(record) = dmarc::read(&dns.txt(&name).await?.values) {
            return Ok(Some((name, record)));
        }
    }
    Ok(None)
}

/// Looks now and from then on, and tells the operator what is wrong.
pub(super) async fn keep_looking(
    dns: Arc<dyn Dns>,
    clock: Arc<dyn Clock>,
    reports: Arc<StoredReports>,
    operator: Arc<Operator>,
) {
    let Some(submitter) = reports.submitter() else {
        // Nobody reports.
        return std::future::pending().await;
    };
    loop {
        let all = look(&*dns, submitter.domain(), reports.keys()).await;
        for key in &all {
            match &key.seen {
                Seen::Published(published) => {
                    for note in &published.notes {
                        tracing::warn!(record = key.record_name, %note, "DKIM");
                    }
                }
                Seen::Faulty(fault) => tracing::error!(
                    record = key.record_name, %fault,
                    "receivers cannot verify our reports and must ignore them (sealpost dkim check)"
                ),
                // Nothing is known: it may well be right.
                Seen::NotKnown(error) => {
                    tracing::info!(record = key.record_name, %error, "DKIM: the key's record");
                }
            }
        }
        operator.signing_alarms(all.iter().filter_map(KeySeen::fault).collect());
        let next = clock.now().plus_seconds(INTERVAL_SECONDS);
        clock.wait_until(next).await;
    }
}
