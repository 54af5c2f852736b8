//! The web host `mta-sts.<domain>`, asked by hyper over a TLS stream of our own.
//!
//! There is no HTTP client library between: no redirects, no proxy, no cookies, no pool, no cache
//! and no content codings that would have to be switched off. The name is resolved by our own
//! [`Dns`], and the connection goes to the address that was looked at.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::{Request, Response, body::Incoming, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig,
    client::Resumption,
    crypto::ring,
    pki_types::{ServerName, UnixTime},
    time_provider::TimeProvider,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tracing::warn;

use super::{
    address_guard,
    dns::Dns,
    https::{FetchError, PolicyHost, certificate_reason_code},
    trust::{self, TrustError},
};
use crate::{
    clock::{BoxFuture, Clock},
    config::PolicyConfig,
    observe::printable::excerpt,
    policy::PolicyDomain,
};

/// Fetches policies from the policy hosts of recipient domains.
pub struct HttpsPolicyHost {
    dns: Arc<dyn Dns>,
    tls: TlsConnector,
    port: u16,
    timeout_seconds: u64,
    document_bytes_max: usize,
    allow_private_addresses: bool,
}

/// How many of a host's addresses are tried.
const ADDRESSES_MAX: usize = 4;

/// The longest response head.
const HEAD_BYTES_MAX: usize = 16_384;

impl HttpsPolicyHost {
    /// Trusts the roots compiled in and those of the operator's files. The clock says what has
    /// expired.
    ///
    /// # Errors
    /// When a file of roots cannot be used.
    pub fn new(
        dns: Arc<dyn Dns>,
        clock: Arc<dyn Clock>,
        config: &PolicyConfig,
    ) -> Result<Self, TrustError> {
        // The provider is named: two of them in one build would leave none as the default.
        let provider = Arc::new(ring::default_provider());
        let mut tls = ClientConfig::builder_with_details(provider, Arc::new(TlsTime(clock)))
            .with_safe_default_protocol_versions()
            .map_err(|error| TrustError::Setup(error.to_string()))?
            .with_root_certificates(trust::roots(&config.extra_roots)?)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session would not show its certificate again.
        tls.resumption = Resumption::disabled();
        Ok(Self {
            dns,
            tls: TlsConnector::from(Arc::new(tls)),
            port: config.https_port,
            timeout_seconds: config.fetch_timeout_seconds.max(1),
            document_bytes_max: config.document_bytes_max,
            allow_private_addresses: config.allow_private_addresses,
        })
    }

    async fn exchange(&self, domain: &PolicyDomain) -> Result<Vec<u8>, FetchError> {
        // RFC 8461 s3.2: the host is always below the recipient domain itself.
        let host = format!("mta-sts.{domain}");
        let name = ServerName::try_from(host.clone())
            .map_err(|_| FetchError::Dns(format!("{host} is not a host name")))?;
        let addresses = self.addresses(&host).await?;
        let tcp = self.connect(&addresses).await?;
        // RFC 8461 s3.3 and s7.1: the name in SNI and in the certificate is the policy host's.
        let stream = self.tls.connect(name, tcp).await;
        let stream = stream.map_err(|error| tls_error(&error))?;
        self.get(&host, stream).await
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, FetchError> {
        let answer = self.dns.addresses(host).await;
        let found = answer.map_err(|error| FetchError::Dns(error.to_string()))?;
        let Some(first) = found.values.first() else {
            return Err(FetchError::Dns(format!("{host} has no address")));
        };
        let refused = FetchError::AddressRefused(first.to_string());
        let allowed: Vec<_> = found
            .values
            .into_iter()
            .filter(|address| self.allow_private_addresses || address_guard::is_public(*address))
            .take(ADDRESSES_MAX)
            .collect();
        if allowed.is_empty() {
            return Err(refused);
        }
        Ok(allowed)
    }

    /// The first address that answers. Each gets its part of the time, so that one that swallows
    /// packets does not use it up.
    async fn connect(&self, addresses: &[IpAddr]) -> Result<TcpStream, FetchError> {
        let tries = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        let each = Duration::from_secs(self.timeout_seconds) / tries.saturating_add(1);
        let mut why = FetchError::Connect("no address".to_owned());
        for address in addresses {
            let address = SocketAddr::new(*address, self.port);
            why = match tokio::time::timeout(each, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => FetchError::Connect(format!("{address}: {error}")),
                Err(_) => FetchError::Connect(format!("{address}: no answer")),
            };
        }
        Err(why)
    }

    async fn get(&self, host: &str, stream: TlsStream<TcpStream>) -> Result<Vec<u8>, FetchError> {
        let mut http = http1::Builder::new();
        http.max_buf_size(HEAD_BYTES_MAX);
        let (mut sender, connection) = http
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| http_error(&error))?;
        let authority = match self.port {
            443 => host.to_owned(),
            port => format!("{host}:{port}"),
        };
        // RFC 8461 s3.3: no conditional request; and no Accept-Encoding, so that nothing can
        // unfold here.
        let request = Request::get("/.well-known/mta-sts.txt")
            .header(header::HOST, authority)
            .header(
                header::USER_AGENT,
                concat!("sealpost/", env!("CARGO_PKG_VERSION")),
            )
            .header(header::ACCEPT, "text/plain")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| FetchError::Http(error.to_string()))?;
        let exchange = async {
            let response = sender.send_request(request).await;
            let response = response.map_err(|error| http_error(&error))?;
            check_head(host, &response)?;
            self.body(response).await
        };
        // Nothing moves unless the connection is polled; it may end before the body has been read.
        let mut exchange = pin!(exchange);
        let mut connection = pin!(connection);
        tokio::select! {
            biased;
            result = &mut exchange => return result,
            _ended = &mut connection => {}
        }
        exchange.await
    }

    async fn body(&self, response: Response<Incoming>) -> Result<Vec<u8>, FetchError> {
        // RFC 8461 s3.3: too long is a failure; a part of a policy is none.
        match Limited::new(response.into_body(), self.document_bytes_max)
            .collect()
            .await
        {
            Ok(body) => Ok(body.to_bytes().to_vec()),
            Err(error) if error.is::<LengthLimitError>() => {
                Err(FetchError::TooLong(self.document_bytes_max))
            }
            Err(error) => Err(FetchError::Http(excerpt(&error.to_string()))),
        }
    }
}

impl PolicyHost for HttpsPolicyHost {
    fn fetch<'a>(&'a self, domain: &'a PolicyDomain) -> BoxFuture<'a, Result<Vec<u8>, FetchError>> {
        Box::pin(async move {
            // RFC 8461 s3.3: one limit for all of it, however slowly it comes.
            let limit = Duration::from_secs(self.timeout_seconds);
            match tokio::time::timeout(limit, self.exchange(domain)).await {
                Ok(result) => result,
                Err(_) => Err(FetchError::Timeout(self.timeout_seconds)),
            }
        })
    }
}

impl fmt::Debug for HttpsPolicyHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HttpsPolicyHost")
            .field("port", &self.port)
            .finish_non_exhaustive()
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

fn check_head(host: &str, response: &Response<Incoming>) -> Result<(), FetchError> {
    // RFC 8461 s3.3: only 200 counts, and redirects are not followed.
    if response.status() != hyper::StatusCode::OK {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let headers = response.headers();
    if let Some(coding) = headers.get(header::CONTENT_ENCODING)
        && coding != "identity"
    {
        let coding = excerpt(&String::from_utf8_lossy(coding.as_bytes()));
        return Err(FetchError::Http(format!("unasked content coding {coding}")));
    }
    let Some(media_type) = headers.get(header::CONTENT_TYPE) else {
        // OURS: docs/decisions/0003-mta-sts.md.
        warn!(host, "policy without a media type accepted");
        return Ok(());
    };
    // RFC 8461 s3.2: text/plain, whatever its parameters and letter case.
    let media_type = String::from_utf8_lossy(media_type.as_bytes());
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("text/plain") {
        return Err(FetchError::MediaType(excerpt(&media_type)));
    }
    Ok(())
}

fn tls_error(error: &std::io::Error) -> FetchError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(certificate)) => {
            FetchError::Certificate(certificate_reason_code(certificate).to_owned())
        }
        Some(rustls::Error::NoCertificatesPresented) => {
            FetchError::Certificate("certificate-missing".to_owned())
        }
        _ => FetchError::Tls(excerpt(&error.to_string())),
    }
}

fn http_error(error: &hyper::Error) -> FetchError {
    FetchError::Http(excerpt(&error.to_string()))
}
