//! The operator's HTTP proxy, where hosts cannot be reached without one: a tunnel through it.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, header, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{
    handover::shown,
    web::{self, NoConnection},
};

/// The proxy, asked in the clear, as proxies are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HttpProxy {
    /// `host:port`.
    address: String,
}

impl HttpProxy {
    /// The proxy of a setting, `http://host:port`.
    pub(super) fn at(uri: &str) -> Option<Self> {
        let address = uri.strip_prefix("http://")?;
        let address = address.strip_suffix('/').unwrap_or(address);
        (!address.is_empty()).then(|| Self {
            address: address.to_owned(),
        })
    }

    /// A connection to `target`, as far as the proxy is concerned.
    // The target is an address, the one that was looked at: told the name, the proxy would look it up
    // itself, and whoever answers it could lead it into our own network (G1).
    pub(super) async fn tunnel(
        &self,
        target: SocketAddr,
        limit: Duration,
    ) -> Result<TokioIo<Upgraded>, NoConnection> {
        let failed = |words: String| {
            NoConnection::Connect(format!("the proxy {}: {}", self.address, shown(&words)))
        };
        let (stream, _address) = self.connect(limit).await?;
        let (mut sender, connection) = web::http()
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(error.to_string()))?;
        // RFC 9110 s9.3.6: the target of CONNECT is host and port alone.
        let request = Request::connect(target.to_string())
            .header(header::HOST, target.to_string())
            .header(header::USER_AGENT, web::USER_AGENT)
            .body(Empty::<Bytes>::new())
            .map_err(|error| failed(error.to_string()))?;
        let asking = async {
            let response = sender.send_request(request).await;
            let response = response.map_err(|error| failed(error.to_string()))?;
            if !response.status().is_success() {
                return Err(failed(format!("{} for {target}", response.status())));
            }
            let upgraded = hyper::upgrade::on(response).await;
            upgraded.map_err(|error| failed(error.to_string()))
        };
        web::moving(connection.with_upgrades(), asking)
            .await
            .map(TokioIo::new)
    }

    /// By the system's resolver, for a proxy may stand in /etc/hosts only. The operator chose it.
    async fn connect(&self, limit: Duration) -> Result<(TcpStream, SocketAddr), NoConnection> {
        let found = tokio::net::lookup_host(&self.address).await;
        let found = found.map_err(|error| {
            NoConnection::Connect(format!(
                "the proxy {} has no address: {error}",
                self.address
            ))
        })?;
        let addresses: Vec<_> = found.collect();
        web::connect(addresses, limit).await
    }
}
