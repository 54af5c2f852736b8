//! One HTTP exchange with a stranger's web host: what fetching policies and posting reports share.
//!
//! There is no HTTP client library between: no redirects, no cookies, no pool, no cache and no content
//! codings that would have to be switched off. The name is resolved by our own [`Dns`], and the
//! connection goes to the address that was looked at (G1).

use std::{
    fmt,
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use hyper::client::conn::http1;
use rustls::{
    ClientConfig, RootCertStore,
    client::{Resumption, WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::UnixTime,
    time_provider::TimeProvider,
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::{
    address_guard::PrivateAddresses, any_certificate::AnyCertificate, dns::Dns,
    https::certificate_reason_code, trust::TrustError,
};
use crate::{clock::Clock, observe::printable::excerpt};

/// What we call ourselves to web hosts.
pub(super) const USER_AGENT: &str = concat!("sealpost/", env!("CARGO_PKG_VERSION"));

/// How many of a host's addresses are tried.
const ADDRESSES_MAX: usize = 4;

/// The longest response head.
const HEAD_BYTES_MAX: usize = 16_384;

/// Finds web hosts and connects to them.
pub(super) struct WebHosts {
    dns: Arc<dyn Dns>,
    private_addresses: PrivateAddresses,
}

/// Why there is no connection. Every text is made safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoConnection {
    /// The lookup failed.
    Lookup(String),
    /// The host has no address.
    NoAddress(String),
    /// None of its addresses may be connected to; this is one of them.
    NotPublic(IpAddr),
    /// None of its addresses answers.
    Connect(String),
}

impl WebHosts {
    pub(super) const fn new(dns: Arc<dyn Dns>, private_addresses: PrivateAddresses) -> Self {
        Self {
            dns,
            private_addresses,
        }
    }

    /// The addresses of a host that may be connected to. The host may be an address itself.
    pub(super) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, NoConnection> {
        let found = match host.parse() {
            Ok(address) => vec![address],
            Err(_) => {
                let answer = self.dns.addresses(host).await;
                let answer = answer.map_err(|error| NoConnection::Lookup(error.to_string()))?;
                answer.values
            }
        };
        let Some(first) = found.first().copied() else {
            return Err(NoConnection::NoAddress(format!("{host} has no address")));
        };
        let mut allowed = self.private_addresses.among(found);
        allowed.truncate(ADDRESSES_MAX);
        if allowed.is_empty() {
            return Err(NoConnection::NotPublic(first));
        }
        Ok(allowed)
    }
}

/// A connection to the first address that answers. Each gets its part of the time, so that one that
/// swallows packets does not use it up.
pub(super) async fn connect(
    addresses: impl IntoIterator<Item = SocketAddr, IntoIter: ExactSizeIterator>,
    limit: Duration,
) -> Result<(TcpStream, SocketAddr), NoConnection> {
    let addresses = addresses.into_iter();
    let tries = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    let each = limit / tries.saturating_add(1);
    let mut why = NoConnection::Connect("no address".to_owned());
    for address in addresses {
        why = match timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A request and its body are two writes, of which the second would wait for an acknowledgement.
                let _slower = stream.set_nodelay(true);
                return Ok((stream, address));
            }
            Ok(Err(error)) => NoConnection::Connect(format!("{address}: {error}")),
            Err(_elapsed) => NoConnection::Connect(format!("{address}: no answer")),
        };
    }
    Err(why)
}

/// TLS with hosts whose certificate leads to one of these roots. The clock says what has expired.
pub(super) fn verified_tls(
    clock: Arc<dyn Clock>,
    roots: Arc<RootCertStore>,
) -> Result<TlsConnector, TrustError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(|error| TrustError::Setup(error.to_string()))?;
    tls(clock, provider, verifier)
}

/// TLS with hosts that show any certificate.
pub(super) fn unverified_tls(clock: Arc<dyn Clock>) -> Result<TlsConnector, TrustError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(AnyCertificate(Arc::clone(&provider)));
    tls(clock, provider, verifier)
}

fn tls(
    clock: Arc<dyn Clock>,
    // It is named: two of them in one build would leave none as the default.
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<TlsConnector, TrustError> {
    let mut tls = ClientConfig::builder_with_details(provider, Arc::new(TlsTime(clock)))
        .with_safe_default_protocol_versions()
        .map_err(|error| TrustError::Setup(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A resumed session would not show its certificate again.
    tls.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(tls)))
}

/// HTTP/1.1 with a bounded head.
pub(super) fn http() -> http1::Builder {
    let mut http = http1::Builder::new();
    http.max_buf_size(HEAD_BYTES_MAX);
    http
}

/// Does the work while the connection moves: nothing moves unless it is polled. It may end before the
/// work has.
pub(super) async fn moving<T>(connection: impl Future, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        result = &mut work => return result,
        _ended = &mut connection => {}
    }
    work.await
}

/// Why a TLS handshake failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TlsFailure {
    /// The certificate does not hold; a stable code says why.
    Certificate(&'static str),
    /// Something else, in words made safe to show.
    Other(String),
}

impl From<std::io::Error> for TlsFailure {
    fn from(error: std::io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        match inner {
            Some(rustls::Error::InvalidCertificate(certificate)) => {
                Self::Certificate(certificate_reason_code(certificate))
            }
            Some(rustls::Error::NoCertificatesPresented) => {
                Self::Certificate("certificate-missing")
            }
            _ => Self::Other(excerpt(&error.to_string())),
        }
    }
}

/// The clock, as the TLS library asks for the time.
struct TlsTime(Arc<dyn Clock>);

impl TimeProvider for TlsTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().0).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

impl fmt::Debug for TlsTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TlsTime")
    }
}
