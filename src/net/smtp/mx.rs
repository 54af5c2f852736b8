//! Report mail straight to the mail hosts of the destination's domain.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher as _,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use lettre::transport::smtp::extension::ClientId;

use super::{
    Accepted, Envelope, SendError, Transport,
    session::{self, Attempt, Peer, Refusal, StartTls},
    shown,
};
use crate::{
    clock::BoxFuture,
    net::{
        address_guard::PrivateAddresses,
        dns::{Dns, DnsError, Mx},
    },
};

/// How many hosts of a domain are tried in one attempt.
const HOSTS_MAX: usize = 10;
/// One host may take this part of the attempt's time to greet, and as much again until it wants the
/// message.
const HOSTS_SHARE: u32 = 4;
/// How many addresses of a host are tried in one attempt.
pub(super) const ADDRESSES_MAX: usize = 4;

/// Brings every message to the MX of its mailbox's domain.
pub struct MxTransport {
    dns: Arc<dyn Dns>,
    port: u16,
    private_addresses: PrivateAddresses,
    hello: ClientId,
    limit: Duration,
}

impl MxTransport {
    /// `port` is that of the mail hosts, 25 but in a laboratory; `host_name` is what we call
    /// ourselves; one attempt, with all lookups and hosts, ends after `timeout_seconds`.
    #[must_use]
    pub fn new(
        dns: Arc<dyn Dns>,
        port: u16,
        private_addresses: PrivateAddresses,
        host_name: &str,
        timeout_seconds: u64,
    ) -> Self {
        Self {
            dns,
            port,
            private_addresses,
            hello: session::hello(host_name),
            limit: Duration::from_secs(timeout_seconds.max(1)),
        }
    }

    /// Tries the domain's hosts in their order and the addresses of each.
    async fn attempt(&self, attempt: &Attempt<'_>) -> Result<Accepted, SendError> {
        let domain = attempt.domain();
        let hosts = self.hosts(domain, attempt).await?;
        let mut last = SendError::temporary(format!("{} has no mail host", shown(domain)));
        for host in hosts.iter().take(HOSTS_MAX) {
            let addresses = match self.addresses(host, attempt).await {
                Ok(addresses) => addresses,
                Err(error) => {
                    last = error;
                    continue;
                }
            };
            for address in addresses.into_iter().take(ADDRESSES_MAX) {
                let peer = Peer {
                    host,
                    address: SocketAddr::new(address, self.port),
                    starttls: StartTls::WhereOffered,
                };
                match attempt.deliver(&peer).await {
                    Ok(accepted) => return Ok(accepted),
                    Err(Refusal::Final(error)) => return Err(error),
                    Err(Refusal::TryAnother(error)) => last = error,
                }
            }
        }
        Err(last)
    }

    /// The domain's mail hosts, best first.
    async fn hosts(&self, domain: &str, attempt: &Attempt<'_>) -> Result<Vec<String>, SendError> {
        if domain.starts_with('[') {
            let reason = format!("{} is an address and has no MX", shown(domain));
            return Err(SendError::permanent(reason));
        }
        attempt.waits_for(format!("the MX records of {}", shown(domain)));
        let answer = self
            .dns
            .mx(domain)
            .await
            .map_err(|error| lookup_failed(&error))?;
        // RFC 7505 s3: a null MX says that the domain takes no mail, today and tomorrow.
        if answer.values.iter().any(|mx| mx.exchange.is_empty()) {
            let reason = format!("{} takes no mail (null MX)", shown(domain));
            return Err(SendError::permanent(reason));
        }
        if answer.values.is_empty() {
            // RFC 5321 s5.1: a domain without MX records is its own MX, if it has an address.
            attempt.waits_for(format!("the addresses of {}", shown(domain)));
            let addresses = self
                .dns
                .addresses(domain)
                .await
                .map_err(|error| lookup_failed(&error))?;
            if addresses.values.is_empty() {
                let reason = format!("{} has neither MX nor address", shown(domain));
                return Err(SendError::permanent(reason));
            }
            return Ok(vec![domain.to_owned()]);
        }
        Ok(in_order(answer.values))
    }

    /// The addresses of one host that may be spoken to.
    async fn addresses(&self, host: &str, attempt: &Attempt<'_>) -> Result<Vec<IpAddr>, SendError> {
        attempt.waits_for(format!("the addresses of {}", shown(host)));
        let answer = self
            .dns
            .addresses(host)
            .await
            .map_err(|error| lookup_failed(&error))?;
        if answer.values.is_empty() {
            let reason = format!("the mail host {} has no address", shown(host));
            return Err(SendError::temporary(reason));
        }
        let allowed = self.private_addresses.among(answer.values);
        if allowed.is_empty() {
            let reason = format!("the mail host {} has no public address", shown(host));
            return Err(SendError::temporary(reason));
        }
        Ok(allowed)
    }
}

impl Transport for MxTransport {
    fn send<'a>(
        &'a self,
        envelope: &'a Envelope,
        message: &'a [u8],
    ) -> BoxFuture<'a, Result<Accepted, SendError>> {
        Box::pin(async move {
            let patience = self.limit / HOSTS_SHARE;
            let attempt = Attempt::new(&self.hello, envelope, message, patience)?;
            attempt.within(self.limit, self.attempt(&attempt)).await
        })
    }
}

/// A lookup that failed says nothing of the domain: it is asked again later.
fn lookup_failed(error: &DnsError) -> SendError {
    SendError::temporary(format!("lookup failed: {}", shown(&error.to_string())))
}

/// By preference, and by lot among equals.
// RFC 5321 s5.1: hosts of equal preference are tried in random order, to share the load.
fn in_order(mut records: Vec<Mx>) -> Vec<String> {
    let lots = RandomState::new();
    records.sort_by_cached_key(|mx| (mx.preference, lots.hash_one(&mx.exchange)));
    records.into_iter().map(|mx| mx.exchange).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_hosts_are_tried_by_preference() {
        let record = |preference, exchange: &str| Mx {
            preference,
            exchange: exchange.to_owned(),
        };
        let mut firsts = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let hosts = in_order(vec![
                record(20, "backup"),
                record(10, "one"),
                record(10, "two"),
            ]);
            assert_eq!(hosts.last().map(String::as_str), Some("backup"));
            firsts.extend(hosts.first().cloned());
        }
        assert_eq!(firsts.len(), 2, "equals share the load");
    }
}
