//! Reports to the hosts of `https:` destinations: one POST of the gzip, and never another request.
//!
//! The URI comes from a stranger's DNS. So only public addresses are connected to, no redirect is
//! followed, nothing that a host sets is kept, and what it says is bounded in octets and time. Which ports
//! are gone to is decided before ([`crate::deliver::destinations`]).

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, header};
use hyper_util::rt::TokioIo;
use rustls::{RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    address_guard::PrivateAddresses,
    dns::Dns,
    handover::{Accepted, Channel, SendError, Waiting, shown},
    http_answer::Answer,
    http_proxy::HttpProxy,
    report_host::ReportHost,
    trust::TrustError,
    web::{self, NoConnection, TlsFailure, WebHosts},
};
use crate::{
    clock::{BoxFuture, Clock},
    config::DeliverConfig,
    policy::ReportUri,
};

/// RFC 8460 s5.4 and s6.4: the media type of a gzipped report.
const MEDIA_TYPE: &str = "application/tlsrpt+gzip";

/// How much of an answer's body is read at most; the log shows its beginning.
const BODY_BYTES_MAX: usize = 65_536;

/// How long the body is waited for. The status has said all that matters by then.
const BODY_WAIT: Duration = Duration::from_secs(5);

/// Posts reports.
pub struct HttpsReportHost {
    hosts: WebHosts,
    clock: Arc<dyn Clock>,
    verified: TlsConnector,
    /// For hosts whose certificate does not hold; absent where they get nothing.
    unverified: Option<TlsConnector>,
    proxy: Option<HttpProxy>,
    limit: Duration,
}

/// Anything that carries octets both ways.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Why one try of an attempt came to nothing.
enum Failed {
    /// The certificate does not hold. The report was not sent.
    Certificate(&'static str),
    /// Anything else.
    Otherwise(SendError),
}

impl From<SendError> for Failed {
    fn from(error: SendError) -> Self {
        Self::Otherwise(error)
    }
}

impl HttpsReportHost {
    /// Trusts these roots. The clock says what has expired.
    ///
    /// # Errors
    /// When the TLS library refuses its settings.
    pub fn new(
        dns: Arc<dyn Dns>,
        clock: Arc<dyn Clock>,
        roots: Arc<RootCertStore>,
        config: &DeliverConfig,
    ) -> Result<Self, TrustError> {
        let private_addresses = PrivateAddresses::allowed_by(config.https_allow_private_addresses);
        let unverified = config
            .https_unverified
            .then(|| web::unverified_tls(Arc::clone(&clock)));
        Ok(Self {
            hosts: WebHosts::new(dns, private_addresses),
            verified: web::verified_tls(Arc::clone(&clock), roots)?,
            unverified: unverified.transpose()?,
            clock,
            proxy: HttpProxy::at(&config.https_proxy),
            limit: Duration::from_secs(config.timeout_seconds.max(1)),
        })
    }

    async fn attempt(
        &self,
        uri: &ReportUri,
        gzip: &[u8],
        waiting: &Waiting,
        deadline: Instant,
    ) -> Result<Accepted, SendError> {
        let code = match self
            .try_under(Channel::Verified, uri, gzip, waiting, deadline)
            .await
        {
            Ok(accepted) => return Ok(accepted),
            Err(Failed::Otherwise(error)) => return Err(error),
            Err(Failed::Certificate(code)) => code,
        };
        let bad = || {
            let host = &uri.host;
            SendError::temporary(format!("the certificate of {host} is not valid: {code}"))
        };
        if self.unverified.is_none() {
            return Err(bad());
        }
        // RFC 8460 s3: certificate errors may be passed over, for they may be what the report tells of.
        tracing::warn!(
            host = uri.host,
            reason = code,
            "the report host's certificate is not valid; the report goes there all the same"
        );
        match self
            .try_under(Channel::Tls, uri, gzip, waiting, deadline)
            .await
        {
            Ok(accepted) => Ok(accepted),
            Err(Failed::Otherwise(error)) => Err(error),
            Err(Failed::Certificate(_)) => Err(bad()),
        }
    }

    /// One connection and one POST.
    async fn try_under(
        &self,
        channel: Channel,
        uri: &ReportUri,
        gzip: &[u8],
        waiting: &Waiting,
        deadline: Instant,
    ) -> Result<Accepted, Failed> {
        let tls = match (channel, &self.unverified) {
            (Channel::Verified, _) | (_, None) => &self.verified,
            (_, Some(unverified)) => unverified,
        };
        let name = ServerName::try_from(uri.host.clone()).map_err(|_| {
            SendError::permanent(format!("{} is not a host name", shown(&uri.host)))
        })?;
        let (stream, address) = self.connect(uri, waiting).await?;
        let by = format!("{} [{}]", uri.host, address.ip());
        waiting.for_what(format!("the TLS handshake of {by}"));
        let stream = match tls.connect(name, stream).await.map_err(TlsFailure::from) {
            Ok(stream) => stream,
            Err(TlsFailure::Certificate(code)) => return Err(Failed::Certificate(code)),
            Err(TlsFailure::Other(words)) => {
                let reason = format!("TLS with {by} fails: {}", shown(&words));
                return Err(SendError::temporary(reason).into());
            }
        };
        let answer = post(stream, uri, gzip, &by, waiting, deadline).await?;
        Ok(answer.judge(&by, channel, self.clock.now())?)
    }

    /// A connection to the host, or through the proxy to the address of it that was looked at.
    async fn connect(
        &self,
        uri: &ReportUri,
        waiting: &Waiting,
    ) -> Result<(Box<dyn Stream>, SocketAddr), NoConnection> {
        waiting.for_what(format!("the addresses of {}", uri.host));
        let addresses = self.hosts.addresses(&uri.host).await?;
        let targets = addresses
            .into_iter()
            .map(|address| SocketAddr::new(address, uri.port));
        waiting.for_what(format!("a connection to {}", uri.host));
        let Some(proxy) = &self.proxy else {
            let (stream, address) = web::connect(targets, self.limit).await?;
            return Ok((Box::new(stream), address));
        };
        let mut last = NoConnection::Connect("no address".to_owned());
        for target in targets {
            match proxy.tunnel(target, self.limit).await {
                Ok(stream) => return Ok((Box::new(stream), target)),
                Err(why) => last = why,
            }
        }
        Err(last)
    }
}

impl From<NoConnection> for Failed {
    fn from(why: NoConnection) -> Self {
        Self::Otherwise(match why {
            NoConnection::Lookup(reason) => {
                SendError::temporary(format!("lookup failed: {}", shown(&reason)))
            }
            // It may be a slip that is mended within the day.
            NoConnection::NoAddress(reason) => SendError::temporary(shown(&reason)),
            NoConnection::NotPublic(address) => SendError::permanent(format!(
                "{address} is not a public address, and no report goes there"
            )),
            NoConnection::Connect(reason) => SendError::Unreachable {
                reason: format!("no connection to {}", shown(&reason)),
            },
        })
    }
}

impl ReportHost for HttpsReportHost {
    fn post<'a>(
        &'a self,
        uri: &'a str,
        gzip: &'a [u8],
    ) -> BoxFuture<'a, Result<Accepted, SendError>> {
        Box::pin(async move {
            let read = ReportUri::read(uri);
            let uri = read.map_err(|error| SendError::permanent(format!("the URI is {error}")))?;
            let waiting = Waiting::default();
            let deadline = Instant::now() + self.limit;
            let attempt = self.attempt(&uri, gzip, &waiting, deadline);
            waiting.within(self.limit, attempt).await
        })
    }
}

impl fmt::Debug for HttpsReportHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HttpsReportHost")
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}

/// Sends the report and reads what the host says to it.
async fn post(
    stream: TlsStream<Box<dyn Stream>>,
    uri: &ReportUri,
    gzip: &[u8],
    by: &str,
    waiting: &Waiting,
    deadline: Instant,
) -> Result<Answer, SendError> {
    let failed = |error: &hyper::Error| {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        shown(&cause.unwrap_or_else(|| error.to_string()))
    };
    waiting.for_what(format!("HTTP with {by}"));
    let (mut sender, connection) =
        web::http()
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| {
                SendError::temporary(format!("HTTP with {by} fails: {}", failed(&error)))
            })?;
    // RFC 8460 s5.4: the gzip itself is the body, and no content coding beside it (F19). Nothing else is
    // told: no cookie, no credentials, no referrer (F23).
    let request = Request::post(&uri.target)
        .header(header::HOST, uri.authority())
        .header(header::USER_AGENT, web::USER_AGENT)
        .header(header::CONTENT_TYPE, MEDIA_TYPE)
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::copy_from_slice(gzip)))
        .map_err(|error| SendError::permanent(format!("the URI cannot be asked for: {error}")))?;
    let exchange = async {
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| {
            // Whether the host has it cannot be known.
            SendError::temporary(format!(
                "no answer ({}) from {by} to the report, which it may have taken",
                failed(&error)
            ))
        })?;
        Ok(read_answer(response, deadline).await)
    };
    waiting.for_what(format!(
        "the answer of {by} to the report, which it may have taken"
    ));
    web::moving(connection, exchange).await
}

/// The status decides. A body that is too long, too slow or broken off is read as far as it goes.
async fn read_answer(response: Response<Incoming>, deadline: Instant) -> Answer {
    let field = |name: header::HeaderName| {
        let value = response.headers().get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let status = response.status();
    let (retry_after, location) = (field(header::RETRY_AFTER), field(header::LOCATION));
    let mut body = Vec::new();
    let reading = async {
        let mut incoming = response.into_body();
        while let Some(Ok(frame)) = incoming.frame().await {
            body.extend(frame.into_data().unwrap_or_default());
            if body.len() >= BODY_BYTES_MAX {
                break;
            }
        }
    };
    let _in_time = timeout_at(deadline.min(Instant::now() + BODY_WAIT), reading).await;
    body.truncate(BODY_BYTES_MAX);
    Answer {
        status: status.as_u16(),
        status_name: status.canonical_reason().unwrap_or_default(),
        retry_after,
        location,
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}
