//! Report mail through a relay: the host's own MTA, or one it sends everything to.

use std::{net::SocketAddr, time::Duration};

use lettre::transport::smtp::extension::ClientId;

use super::{
    Accepted, Envelope, SendError, Transport,
    session::{self, Attempt, Peer, Refusal, StartTls},
    shown,
};
use crate::clock::BoxFuture;

/// Hands every message to one relay.
#[derive(Clone, Debug)]
pub struct RelayTransport {
    host: String,
    port: u16,
    hello: ClientId,
    limit: Duration,
}

/// The relay is not written as `host:port`. The operator must mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a relay of the form host:port")]
pub struct BadRelay(pub String);

impl RelayTransport {
    /// `relay` is `host:port`, with an IPv6 address in brackets; `host_name` is what we call
    /// ourselves; one attempt ends after `timeout_seconds`.
    ///
    /// # Errors
    /// When `relay` is not of that form.
    pub fn new(relay: &str, host_name: &str, timeout_seconds: u64) -> Result<Self, BadRelay> {
        let bad = || BadRelay(shown(relay));
        let (host, port) = relay.rsplit_once(':').ok_or_else(bad)?;
        let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        if bracketed.is_none() && host.contains(':') {
            return Err(bad());
        }
        let host = bracketed.unwrap_or(host);
        let port = port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(bad)?;
        if host.is_empty() || shown(host) != host || host.contains(' ') {
            return Err(bad());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            hello: session::hello(host_name),
            limit: Duration::from_secs(timeout_seconds.max(1)),
        })
    }

    /// Tries the relay's addresses in the system's order.
    async fn attempt(&self, attempt: &Attempt<'_>) -> Result<Accepted, SendError> {
        attempt.waits_for(format!("the addresses of {}", self.host));
        // The system's resolver, for a relay may stand in /etc/hosts only. The operator chose it.
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|error| SendError::Unreachable {
                reason: format!("the relay {} has no address: {error}", self.host),
            })?
            .collect();
        let mut last = SendError::Unreachable {
            reason: format!("the relay {} has no address", self.host),
        };
        for address in addresses {
            let peer = Peer {
                host: &self.host,
                address,
                starttls: if address.ip().is_loopback() {
                    StartTls::Never
                } else {
                    StartTls::WhereOffered
                },
            };
            match attempt.deliver(&peer).await {
                Ok(accepted) => return Ok(accepted),
                Err(Refusal::Final(error)) => return Err(error),
                Err(Refusal::TryAnother(error)) => last = error,
            }
        }
        Err(last)
    }
}

impl Transport for RelayTransport {
    fn send<'a>(
        &'a self,
        envelope: &'a Envelope,
        message: &'a [u8],
    ) -> BoxFuture<'a, Result<Accepted, SendError>> {
        Box::pin(async move {
            // There is no other host that its time were kept for.
            let attempt = Attempt::new(&self.hello, envelope, message, self.limit)?;
            attempt.within(self.limit, self.attempt(&attempt)).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_a_host_and_a_port() {
        for (text, expected) in [
            ("127.0.0.1:25", Some(("127.0.0.1", 25))),
            (
                "mail.sender.example:587",
                Some(("mail.sender.example", 587)),
            ),
            ("[::1]:2525", Some(("::1", 2525))),
            ("::1:25", None),
            ("mail.sender.example", None),
            (":25", None),
            ("mail:0", None),
            ("mail:65536", None),
            ("mail\r\n:25", None),
            ("a b:25", None),
        ] {
            let relay = RelayTransport::new(text, "out.sender.example", 30);
            let parsed = relay.as_ref().ok().map(|r| (r.host.as_str(), r.port));
            assert_eq!(parsed, expected, "{text}");
        }
    }
}
