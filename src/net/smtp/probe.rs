//! A look at a mail host: up to the TLS handshake, then QUIT. Never a message, and nobody is named.
//!
//! The certificate is taken as it comes and judged later ([`crate::record::look`]), for what matters is
//! what is wrong with it, not whether this connection may be used. The host's name and addresses come
//! from a stranger's DNS, so only public addresses are spoken to unless the operator allows others, and
//! all that a host says is bounded in octets and time.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use rustls::{
    AlertDescription, ClientConfig, Error, InvalidMessage,
    client::Resumption,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    bounded::BoundedStream, conversation::Conversation, mx::ADDRESSES_MAX, session, shown,
};
use crate::{
    clock::BoxFuture,
    net::{
        address_guard::PrivateAddresses, any_certificate::AnyCertificate, dns::Dns,
        trust::TrustError,
    },
    policy::MxHost,
    record::{
        look::{HandshakeFault, Seen, TlsSeen},
        untrusted::harmless,
    },
};

/// The longest wait for a TCP connection.
const CONNECT_SECONDS_MAX: u64 = 10;
/// The longest wait for the answer to QUIT, which nothing depends on.
const QUIT_SECONDS_MAX: u64 = 2;

/// Looks at mail hosts.
pub trait Prober: Send + Sync {
    /// One look, bounded in time. Asks the DNS for the host's addresses itself.
    fn look<'a>(&'a self, host: &'a MxHost) -> BoxFuture<'a, Seen>;
}

/// How a [`SmtpProber`] looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProberSettings {
    /// The port of mail hosts. 25 but in a laboratory.
    pub port: u16,
    /// What we call ourselves.
    pub host_name: String,
    /// How long one look may take, all addresses together.
    pub timeout_seconds: u64,
    /// May mail hosts be spoken to at addresses that are not public?
    pub private_addresses: PrivateAddresses,
}

/// Looks at mail hosts by SMTP.
pub struct SmtpProber {
    dns: Arc<dyn Dns>,
    tls: TlsConnector,
    settings: ProberSettings,
    hello: String,
}

/// A host that has answered our EHLO.
struct Greeted {
    conversation: Conversation<BoundedStream>,
    helo: Option<String>,
    offers_starttls: bool,
}

impl SmtpProber {
    /// A prober that finds hosts by this resolver.
    ///
    /// # Errors
    /// When the TLS library refuses its settings.
    pub fn new(dns: Arc<dyn Dns>, settings: ProberSettings) -> Result<Self, TrustError> {
        let provider = Arc::new(ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TrustError::Setup(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        // A resumed session would not show its certificate again.
        tls.resumption = Resumption::disabled();
        Ok(Self {
            dns,
            tls: TlsConnector::from(Arc::new(tls)),
            hello: session::hello(&settings.host_name).to_string(),
            settings,
        })
    }

    /// Tries the host's addresses in the order of the answer. Each gets an equal part of the time that
    /// is left, so that one that swallows packets does not use it up.
    async fn look_until(&self, host: &MxHost, deadline: Instant) -> Seen {
        let addresses = match timeout_at(deadline, self.addresses(host)).await {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(reason)) => return Seen::Nothing(reason),
            Err(_elapsed) => return Seen::Nothing(format!("no address of {host} in time")),
        };
        let mut untried = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        let mut last = format!("{host} has no address");
        for address in addresses {
            let part = deadline.saturating_duration_since(Instant::now()) / untried.max(1);
            untried = untried.saturating_sub(1);
            match timeout(part, self.greet(address)).await {
                Ok(Ok(greeted)) => {
                    return Seen::Host {
                        address: address.to_canonical(),
                        helo: greeted.helo.clone(),
                        tls: self.tls(host, greeted, deadline).await,
                    };
                }
                Ok(Err(reason)) => last = format!("{address}: {reason}"),
                Err(_elapsed) => last = format!("{address}: no greeting in time"),
            }
        }
        Seen::Nothing(last)
    }

    /// The addresses that may be spoken to, or why there is none.
    async fn addresses(&self, host: &MxHost) -> Result<Vec<IpAddr>, String> {
        let answer = self.dns.addresses(host.as_str()).await;
        let mut addresses = answer.map_err(|error| shown(&error.to_string()))?.values;
        let published = addresses.len();
        addresses = self.settings.private_addresses.among(addresses);
        addresses.truncate(ADDRESSES_MAX);
        match (addresses.is_empty(), published) {
            (false, _) => Ok(addresses),
            (true, 0) => Err(format!("{host} has no address")),
            (true, _) => Err(format!("{host} has no public address")),
        }
    }

    /// Connects and exchanges greetings.
    async fn greet(&self, address: IpAddr) -> Result<Greeted, String> {
        let address = SocketAddr::new(address, self.settings.port);
        let limit = Duration::from_secs(CONNECT_SECONDS_MAX);
        let stream = match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(shown(&format!("no connection: {error}"))),
            Err(_elapsed) => return Err("no connection in time".to_owned()),
        };
        let mut conversation = Conversation::new(BoundedStream::new(stream));
        let failed = |error: io::Error| shown(&error.to_string());
        let greeting = conversation.reply().await.map_err(failed)?;
        if !greeting.is_positive() {
            say_goodbye(&mut conversation).await;
            return Err(shown(&greeting.words()));
        }
        let mut reply = conversation
            .command(&format!("EHLO {}", self.hello))
            .await
            .map_err(failed)?;
        let offers_starttls = reply.is_positive() && reply.offers("STARTTLS");
        // RFC 5321 s3.2: a server that does not know EHLO is greeted with HELO; it has no extension. One
        // that says 421 is closing.
        if !reply.is_positive() && reply.code != 421 {
            reply = conversation
                .command(&format!("HELO {}", self.hello))
                .await
                .map_err(failed)?;
        }
        if !reply.is_positive() {
            say_goodbye(&mut conversation).await;
            return Err(shown(&reply.words()));
        }
        Ok(Greeted {
            helo: reply.name().and_then(harmless),
            conversation,
            offers_starttls,
        })
    }

    /// STARTTLS and the handshake, within what is left of the time. The goodbye has a time of its own:
    /// all is known by then.
    async fn tls(&self, host: &MxHost, mut greeted: Greeted, deadline: Instant) -> TlsSeen {
        if !greeted.offers_starttls {
            say_goodbye(&mut greeted.conversation).await;
            return TlsSeen::NotOffered;
        }
        let Ok(name) = ServerName::try_from(host.as_str().to_owned()) else {
            return TlsSeen::NotKnown(format!("{host} cannot be named in a TLS handshake"));
        };
        let started = timeout_at(deadline, self.start_tls(name, greeted.conversation)).await;
        match started {
            Ok(Ok(stream)) => {
                let chain = certificates(&stream);
                say_goodbye(&mut Conversation::new(stream)).await;
                TlsSeen::Established(chain)
            }
            Ok(Err(NoTls::Refused(mut conversation))) => {
                say_goodbye(&mut conversation).await;
                TlsSeen::Refused
            }
            Ok(Err(NoTls::Failed(seen))) => seen,
            Err(_elapsed) => TlsSeen::NotKnown("TLS was not up in time".to_owned()),
        }
    }

    async fn start_tls(
        &self,
        name: ServerName<'static>,
        mut conversation: Conversation<BoundedStream>,
    ) -> Result<TlsStream<BoundedStream>, NoTls> {
        match conversation.command("STARTTLS").await {
            Ok(reply) if reply.is_positive() => {}
            Ok(_refused) => return Err(NoTls::Refused(conversation)),
            Err(error) => {
                let words = shown(&error.to_string());
                return Err(NoTls::Failed(TlsSeen::NotKnown(words)));
            }
        }
        // RFC 8461 s4.1 and RFC 7817 s3: the name in SNI is the MX host's.
        let handshake = self.tls.connect(name, conversation.into_stream()).await;
        handshake.map_err(|error| NoTls::Failed(failed_handshake(&error)))
    }
}

/// Why TLS did not come up.
enum NoTls {
    /// The host refused to begin, and is still there.
    Refused(Conversation<BoundedStream>),
    /// The connection is of no use any more.
    Failed(TlsSeen),
}

impl Prober for SmtpProber {
    fn look<'a>(&'a self, host: &'a MxHost) -> BoxFuture<'a, Seen> {
        let limit = Duration::from_secs(self.settings.timeout_seconds.max(1));
        Box::pin(async move { self.look_until(host, Instant::now() + limit).await })
    }
}

impl fmt::Debug for SmtpProber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SmtpProber")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

async fn say_goodbye(conversation: &mut Conversation<impl AsyncRead + AsyncWrite + Unpin>) {
    let limit = Duration::from_secs(QUIT_SECONDS_MAX);
    // Whatever the answer is, we are done.
    let _answer = timeout(limit, conversation.command("QUIT")).await;
}

fn certificates(stream: &TlsStream<BoundedStream>) -> Vec<CertificateDer<'static>> {
    let (_, session) = stream.get_ref();
    let shown = session.peer_certificates().unwrap_or_default();
    shown
        .iter()
        .map(|certificate| certificate.clone().into_owned())
        .collect()
}

/// Whose doing a failed handshake was.
// OURS: an MTA's TLS library takes old versions, algorithms and sizes that ours does not. Where the
// failure may come of that, nothing is said of the host (docs/decisions/0010-postfix.md).
fn failed_handshake(error: &io::Error) -> TlsSeen {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        )) => TlsSeen::HandshakeFailed(HandshakeFault::NotTls),
        Some(Error::AlertReceived(alert)) if !concerns_offer(*alert) => {
            TlsSeen::HandshakeFailed(HandshakeFault::BrokenOff)
        }
        None if hung_up(error) => TlsSeen::HandshakeFailed(HandshakeFault::BrokenOff),
        _ => TlsSeen::NotKnown(shown(&error.to_string())),
    }
}

/// Whether an alert may mean that what we offered was not enough.
const fn concerns_offer(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity
            | AlertDescription::IllegalParameter
            | AlertDescription::MissingExtension
            | AlertDescription::UnsupportedExtension
    )
}

fn hung_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

#[cfg(test)]
mod tests {
    use rustls::{CertificateError, PeerIncompatible};

    use super::*;

    #[test]
    fn only_what_a_host_does_to_any_client_is_held_against_it() {
        let broken_off = TlsSeen::HandshakeFailed(HandshakeFault::BrokenOff);
        let by_library = |error: Error| io::Error::new(io::ErrorKind::InvalidData, error);
        for (error, expected) in [
            (
                by_library(InvalidMessage::InvalidContentType.into()),
                Some(TlsSeen::HandshakeFailed(HandshakeFault::NotTls)),
            ),
            (
                by_library(Error::AlertReceived(AlertDescription::InternalError)),
                Some(broken_off.clone()),
            ),
            (
                io::ErrorKind::UnexpectedEof.into(),
                Some(broken_off.clone()),
            ),
            (io::ErrorKind::ConnectionReset.into(), Some(broken_off)),
            (
                by_library(Error::AlertReceived(AlertDescription::ProtocolVersion)),
                None,
            ),
            (
                by_library(Error::AlertReceived(AlertDescription::HandshakeFailure)),
                None,
            ),
            (
                by_library(PeerIncompatible::ServerDoesNotSupportTls12Or13.into()),
                None,
            ),
            (by_library(CertificateError::BadSignature.into()), None),
            (
                by_library(InvalidMessage::CertificatePayloadTooLarge.into()),
                None,
            ),
            (io::Error::other("the host says too much"), None),
        ] {
            let found = failed_handshake(&error);
            match expected {
                Some(expected) => assert_eq!(found, expected, "{error}"),
                None => assert!(matches!(found, TlsSeen::NotKnown(_)), "{error}"),
            }
        }
    }
}
