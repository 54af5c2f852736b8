//! The web host `mta-sts.<domain>`, asked by hyper over a TLS stream of our own.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::{Request, Response, body::Incoming, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tracing::warn;

use super::{
    address_guard::PrivateAddresses,
    dns::Dns,
    https::{FetchError, PolicyHost},
    trust::{self, TrustError},
    web::{self, NoConnection, TlsFailure, WebHosts},
};
use crate::{
    clock::{BoxFuture, Clock},
    config::PolicyConfig,
    observe::printable::excerpt,
    policy::PolicyDomain,
};

/// Fetches policies from the policy hosts of recipient domains.
pub struct HttpsPolicyHost {
    hosts: WebHosts,
    tls: TlsConnector,
    port: u16,
    timeout_seconds: u64,
    document_bytes_max: usize,
}

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
        let private_addresses = PrivateAddresses::allowed_by(config.allow_private_addresses);
        let roots = Arc::new(trust::roots(&config.extra_roots)?);
        Ok(Self {
            hosts: WebHosts::new(dns, private_addresses),
            tls: web::verified_tls(clock, roots)?,
            port: config.https_port,
            timeout_seconds: config.fetch_timeout_seconds.max(1),
            document_bytes_max: config.document_bytes_max,
        })
    }

    async fn exchange(&self, domain: &PolicyDomain) -> Result<Vec<u8>, FetchError> {
        // RFC 8461 s3.2: the host is always below the recipient domain itself.
        let host = format!("mta-sts.{domain}");
        let name = ServerName::try_from(host.clone())
            .map_err(|_| FetchError::Dns(format!("{host} is not a host name")))?;
        let addresses = self.hosts.addresses(&host).await?;
        let addresses = addresses
            .into_iter()
            .map(|one| SocketAddr::new(one, self.port));
        let limit = Duration::from_secs(self.timeout_seconds);
        let (tcp, _address) = web::connect(addresses, limit).await?;
        // RFC 8461 s3.3 and s7.1: the name in SNI and in the certificate is the policy host's.
        let stream = self.tls.connect(name, tcp).await;
        let stream = stream.map_err(TlsFailure::from)?;
        self.get(&host, stream).await
    }

    async fn get(&self, host: &str, stream: TlsStream<TcpStream>) -> Result<Vec<u8>, FetchError> {
        let (mut sender, connection) = web::http()
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
            .header(header::USER_AGENT, web::USER_AGENT)
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
        web::moving(connection, exchange).await
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

impl From<NoConnection> for FetchError {
    fn from(why: NoConnection) -> Self {
        match why {
            NoConnection::Lookup(reason) | NoConnection::NoAddress(reason) => Self::Dns(reason),
            NoConnection::NotPublic(address) => Self::AddressRefused(address.to_string()),
            NoConnection::Connect(reason) => Self::Connect(reason),
        }
    }
}

impl From<TlsFailure> for FetchError {
    fn from(failure: TlsFailure) -> Self {
        match failure {
            TlsFailure::Certificate(code) => Self::Certificate(code.to_owned()),
            TlsFailure::Other(words) => Self::Tls(words),
        }
    }
}

fn http_error(error: &hyper::Error) -> FetchError {
    FetchError::Http(excerpt(&error.to_string()))
}
