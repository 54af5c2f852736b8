//! One message over one connection to one address.
//!
//! lettre speaks SMTP here: its replies, its dot-stuffing, STARTTLS. Three things it leaves to us:
//! it would look names up itself, so it is given a connected socket; it reads a line of any length,
//! so the socket counts what it lets in; and it adds a line end to the message, so the last one is
//! taken off.

use std::{
    fmt,
    future::Future,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use lettre::transport::smtp::{
    Error,
    client::{AsyncSmtpConnection, CertificateStore, TlsParameters},
    commands::{Data, Mail, Rcpt},
    extension::{ClientId, Extension, MailParameter},
    response::Response,
};
use tokio::{net::TcpStream, time::timeout};

use super::{
    Accepted, Channel, Envelope, Mailboxes, SendError, Waiting, bounded::BoundedStream, shown,
};

/// The longest wait for a TCP connection: a dead address must not use up the time of the others.
const CONNECT_SECONDS_MAX: u64 = 30;
/// The longest wait for a TLS handshake, after which the message goes in the clear.
const HANDSHAKE_SECONDS_MAX: u64 = 30;
/// The longest wait for the answer to QUIT, which nothing depends on.
pub(super) const QUIT_SECONDS_MAX: u64 = 5;

/// Where a session goes.
pub(super) struct Peer<'a> {
    /// The host, for SNI and the log.
    pub(super) host: &'a str,
    /// One of its addresses, with the port.
    pub(super) address: SocketAddr,
    /// Is TLS tried?
    pub(super) starttls: StartTls,
}

impl fmt::Display for Peer<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} [{}]", shown(self.host), self.address.ip())
    }
}

/// Is TLS tried?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StartTls {
    /// Where the host offers it. What it shows as a certificate does not matter.
    WhereOffered,
    /// No: the bytes do not leave the machine.
    Never,
}

/// Why a session did not end in acceptance.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Another host or address may take the message in this attempt.
    TryAnother(SendError),
    /// No other may be asked in this attempt: the host's word is final, or it may have the message.
    Final(SendError),
}

/// One attempt to bring one message to its mailbox, over as many sessions as that takes.
pub(super) struct Attempt<'a> {
    hello: &'a ClientId,
    mailboxes: Mailboxes,
    message: &'a [u8],
    /// How long one host may take to greet, and as long again until it wants the message: one that
    /// hangs must not use up the time of the next.
    patience: Duration,
    waiting: Waiting,
}

impl<'a> Attempt<'a> {
    /// An attempt as the client of this name.
    pub(super) fn new(
        hello: &'a ClientId,
        envelope: &Envelope,
        message: &'a [u8],
        patience: Duration,
    ) -> Result<Self, SendError> {
        Ok(Self {
            hello,
            mailboxes: Mailboxes::of(envelope)?,
            message,
            patience,
            waiting: Waiting::default(),
        })
    }

    /// The domain of the mailbox it is for.
    pub(super) fn domain(&self) -> &str {
        self.mailboxes.domain()
    }

    /// From now on it waits for this.
    pub(super) fn waits_for(&self, what: impl Into<String>) {
        self.waiting.for_what(what);
    }

    /// Does the work of it within its time.
    pub(super) async fn within(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<Accepted, SendError>> + Send,
    ) -> Result<Accepted, SendError> {
        self.waiting.within(limit, work).await
    }

    /// Brings the message to one address.
    pub(super) async fn deliver(&self, peer: &Peer<'_>) -> Result<Accepted, Refusal> {
        let (mut connection, privacy) = timeout(self.patience, greet(self, peer))
            .await
            .unwrap_or_else(|_elapsed| Err(self.waiting.not_done_within(self.patience)))
            .map_err(Refusal::TryAnother)?;
        let outcome = transact(&mut connection, self, peer, privacy).await;
        // The message's fate is known: nobody waits for the goodbye.
        drop(tokio::spawn(async move {
            let _said = timeout(Duration::from_secs(QUIT_SECONDS_MAX), connection.quit()).await;
        }));
        outcome
    }
}

/// How private a session turned out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Privacy {
    /// TLS.
    Tls,
    /// None, and none was to be had.
    Clear,
    /// None, because TLS failed.
    ClearAfterFailure,
}

/// Connects, greets and turns TLS on where it works.
async fn greet(
    attempt: &Attempt<'_>,
    peer: &Peer<'_>,
) -> Result<(AsyncSmtpConnection, Privacy), SendError> {
    let mut connection = open(attempt, peer).await?;
    if peer.starttls == StartTls::Never || !connection.can_starttls() {
        return Ok((connection, Privacy::Clear));
    }
    attempt.waits_for(format!("TLS with {peer}"));
    let trouble = match tls_parameters(peer.host) {
        Ok(parameters) => {
            let handshake = connection.starttls(parameters, attempt.hello);
            match timeout(Duration::from_secs(HANDSHAKE_SECONDS_MAX), handshake).await {
                Ok(Ok(())) => return Ok((connection, Privacy::Tls)),
                Ok(Err(error)) => shown(&error.to_string()),
                Err(_elapsed) => format!("not done within {HANDSHAKE_SECONDS_MAX} s"),
            }
        }
        Err(error) => shown(&error.to_string()),
    };
    // RFC 8460 s3: a report is delivered although TLS fails; the failure may be what it tells of.
    tracing::debug!(%peer, trouble, "TLS fails; the report goes in the clear");
    drop(connection);
    let connection = open(attempt, peer).await?;
    Ok((connection, Privacy::ClearAfterFailure))
}

/// Connects and exchanges greetings.
async fn open(attempt: &Attempt<'_>, peer: &Peer<'_>) -> Result<AsyncSmtpConnection, SendError> {
    attempt.waits_for(format!("a connection to {peer}"));
    let unreachable = |words: &str| SendError::Unreachable {
        reason: format!("no connection to {peer}: {words}"),
    };
    let limit = Duration::from_secs(CONNECT_SECONDS_MAX);
    let stream = match timeout(limit, TcpStream::connect(peer.address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(unreachable(&error.to_string())),
        Err(_elapsed) => {
            return Err(unreachable(&format!(
                "no answer within {CONNECT_SECONDS_MAX} s"
            )));
        }
    };
    attempt.waits_for(format!("the greeting of {peer}"));
    let stream = Box::new(BoundedStream::new(stream));
    AsyncSmtpConnection::connect_with_transport(stream, attempt.hello)
        .await
        .map_err(|error| SendError::Temporary {
            code: code(&error),
            reason: format!("{} from {peer} to our greeting", words(&error)),
            retry_after_seconds: None,
        })
}

/// TLS that accepts any certificate.
fn tls_parameters(host: &str) -> Result<TlsParameters, Error> {
    TlsParameters::builder(host.to_owned())
        .certificate_store(CertificateStore::None)
        .dangerous_accept_invalid_certs(true)
        .dangerous_accept_invalid_hostnames(true)
        .build_rustls()
}

/// MAIL, RCPT, DATA and the message.
async fn transact(
    connection: &mut AsyncSmtpConnection,
    attempt: &Attempt<'_>,
    peer: &Peer<'_>,
    privacy: Privacy,
) -> Result<Accepted, Refusal> {
    timeout(attempt.patience, begin(connection, attempt, peer, privacy))
        .await
        .unwrap_or_else(|_elapsed| {
            Err(Refusal::TryAnother(
                attempt.waiting.not_done_within(attempt.patience),
            ))
        })?;
    attempt.waits_for(format!(
        "the answer of {peer} to the whole message, which it may have taken"
    ));
    // lettre ends the message with CRLF itself; a second one would be an empty line more.
    let message = attempt.message;
    let message = message.strip_suffix(b"\r\n").unwrap_or(message);
    let response = connection
        .message(message)
        .await
        .map_err(|error| refusal_of_message(peer, &error))?;
    Ok(accepted(peer, &response, privacy))
}

/// MAIL, RCPT and DATA: the host wants the message.
async fn begin(
    connection: &mut AsyncSmtpConnection,
    attempt: &Attempt<'_>,
    peer: &Peer<'_>,
    privacy: Privacy,
) -> Result<(), Refusal> {
    let mailboxes = &attempt.mailboxes;
    let mut parameters = Vec::new();
    if !mailboxes.is_ascii() {
        // RFC 6531 s3.4: such a mailbox may only be named to a host that offers SMTPUTF8.
        if !connection
            .server_info()
            .supports_feature(Extension::SmtpUtfEight)
        {
            return Err(Refusal::TryAnother(SendError::permanent(format!(
                "{peer} does not offer SMTPUTF8, and the mailbox is not ASCII"
            ))));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    let refused =
        |command: &'static str| move |error: Error| refusal(peer, command, &error, privacy);
    attempt.waits_for(format!("the answer of {peer} to MAIL"));
    let mail = Mail::new(Some(mailboxes.sender()), parameters);
    connection.command(mail).await.map_err(refused("MAIL"))?;
    attempt.waits_for(format!("the answer of {peer} to RCPT"));
    let rcpt = Rcpt::new(mailboxes.recipient(), Vec::new());
    connection.command(rcpt).await.map_err(refused("RCPT"))?;
    attempt.waits_for(format!("the answer of {peer} to DATA"));
    connection.command(Data).await.map_err(refused("DATA"))?;
    Ok(())
}

/// What a refused command means.
fn refusal(peer: &Peer<'_>, command: &str, error: &Error, privacy: Privacy) -> Refusal {
    let code = code(error);
    let reason = format!("{} from {peer} to {command}", words(error));
    match code {
        // "Must issue a STARTTLS command first", and STARTTLS is what failed: that may be mended.
        Some(530) if privacy == Privacy::ClearAfterFailure => {
            Refusal::TryAnother(SendError::Temporary {
                code,
                reason,
                retry_after_seconds: None,
            })
        }
        Some(500..=599) => Refusal::Final(SendError::Permanent { code, reason }),
        _ => Refusal::TryAnother(SendError::Temporary {
            code,
            reason,
            retry_after_seconds: None,
        }),
    }
}

/// What a refused message means. Without an answer the host may have it: another attempt is left to
/// the next turn, so that a lost answer costs one copy and not one for every MX.
fn refusal_of_message(peer: &Peer<'_>, error: &Error) -> Refusal {
    match code(error) {
        Some(_) => refusal(peer, "the message", error, Privacy::Clear),
        None => Refusal::Final(SendError::temporary(format!(
            "{} from {peer} to the message, which it may have taken",
            words(error)
        ))),
    }
}

/// The host has it.
fn accepted(peer: &Peer<'_>, response: &Response, privacy: Privacy) -> Accepted {
    let text: Vec<&str> = response.message().collect();
    Accepted {
        by: peer.to_string(),
        reply: shown(&format!("{} {}", response.code(), text.join(" "))),
        channel: match privacy {
            Privacy::Tls => Channel::Tls,
            Privacy::Clear | Privacy::ClearAfterFailure => Channel::Clear,
        },
    }
}

fn code(error: &Error) -> Option<u16> {
    error.status().map(u16::from)
}

/// The host's words, or what happened instead of an answer.
fn words(error: &Error) -> String {
    match (error.status(), std::error::Error::source(error)) {
        (Some(_), Some(text)) => shown(&text.to_string()),
        (Some(_), None) => "no words".to_owned(),
        (None, Some(cause)) => shown(&format!("no answer ({cause})")),
        (None, None) => shown(&format!("no answer ({error})")),
    }
}

/// The name a host calls itself: a name, or an address as a literal.
pub(super) fn hello(host_name: &str) -> ClientId {
    match host_name.parse() {
        Ok(IpAddr::V4(address)) => ClientId::Ipv4(address),
        Ok(IpAddr::V6(address)) => ClientId::Ipv6(address),
        // An address literal stands in for a name we do not have (RFC 5321 s4.1.4).
        Err(_) if host_name.is_empty() => ClientId::default(),
        Err(_) => ClientId::Domain(shown(host_name).replace(' ', "")),
    }
}
