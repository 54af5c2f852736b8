//! What a mail host does with Sealpost's answers: one message to one recipient.

use std::{
    io::{self, Write as _},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    library::{Level, Library, NotPassed, Requirement, SessionFacts, StartTls, Verification},
    lookup::Resolver,
    smtp::Smtp,
    verifier::{Judge, Roots, Seen, Strictness},
};

/// How long one mail host may take for one message.
const PATIENCE: Duration = Duration::from_secs(30);

/// All that is needed to send.
pub(crate) struct Sender {
    pub(crate) library: Arc<Library>,
    pub(crate) resolver: Resolver,
    pub(crate) roots: Roots,
    pub(crate) smtp_port: u16,
    pub(crate) from: String,
}

/// How a message ended.
pub(crate) struct Outcome {
    domain: String,
    delivered: &'static str,
    mx: Option<String>,
    reason: String,
}

impl Outcome {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "domain": self.domain,
            "delivered": self.delivered,
            "mx": self.mx,
            "reason": self.reason,
        })
    }
}

/// The message went this way, or this is why not.
type Attempt = Result<&'static str, String>;

impl Sender {
    pub(crate) async fn deliver(&self, recipient: &str) -> Outcome {
        let domain = recipient.rsplit_once('@').map_or("", |(_, domain)| domain);
        let (delivered, mx, reason) = match self.try_all(domain, recipient).await {
            Ok((delivered, mx)) => (delivered, Some(mx), "taken".to_owned()),
            Err(reason) => ("deferred", None, reason),
        };
        Outcome {
            domain: domain.to_owned(),
            delivered,
            mx,
            reason,
        }
    }

    /// RFC 8461 s8.4: the mail hosts in their order; one that does not satisfy the policy is passed
    /// over as if it could not be reached.
    async fn try_all(
        &self,
        domain: &str,
        recipient: &str,
    ) -> Result<(&'static str, String), String> {
        // Before the MX lookup: may anything be delivered at all now?
        let whole = self.library.policy(domain, None, self.smtp_port)?;
        match whole.level {
            Level::Defer => return Err(whole.reason),
            Level::Unknown => return Err("a requirement that this MTA cannot meet".to_owned()),
            // What DANE demands belongs to a mail host.
            Level::May | Level::Encrypt | Level::Verify | Level::Dane | Level::RefuseMx => {}
        }
        let mut reasons = Vec::new();
        for mx in self.resolver.mail_hosts(domain).await? {
            match self.try_mail_host(domain, &mx, recipient).await {
                Ok(delivered) => return Ok((delivered, mx)),
                Err(reason) => reasons.push(format!("{mx}: {reason}")),
            }
        }
        Err(reasons.join("; "))
    }

    async fn try_mail_host(&self, domain: &str, mx: &str, recipient: &str) -> Attempt {
        let requirement = self.library.policy(domain, Some(mx), self.smtp_port)?;
        match requirement.level {
            Level::May | Level::Encrypt | Level::Verify | Level::Dane => {}
            // The refusal of an MX has been counted by Sealpost when it gave it.
            Level::RefuseMx | Level::Defer => return Err(requirement.reason),
            Level::Unknown => {
                return Err("a requirement that this MTA cannot meet".to_owned());
            }
        }
        let mut reason = format!("{mx} has no address");
        for address in self.resolver.addresses(mx).await? {
            let connection = Connection {
                sender: self,
                domain,
                mx,
                recipient,
                requirement: &requirement,
                server: SocketAddr::new(address, self.smtp_port),
            };
            match timeout(PATIENCE, connection.deliver()).await {
                Ok(Ok(delivered)) => return Ok(delivered),
                Ok(Err(error)) => reason = error,
                Err(_) => reason = format!("{address} took too long"),
            }
        }
        Err(reason)
    }
}

/// One address of one mail host, under one requirement.
struct Connection<'a> {
    sender: &'a Sender,
    domain: &'a str,
    mx: &'a str,
    recipient: &'a str,
    requirement: &'a Requirement,
    server: SocketAddr,
}

/// What Sealpost says of the certificates of one mail host.
struct BySealpost {
    library: Arc<Library>,
    domain: String,
    mx: String,
    policy: String,
}

impl Judge for BySealpost {
    fn judge(&self, chain_der: &[&[u8]]) -> Result<String, NotPassed> {
        self.library
            .verify(&self.domain, &self.mx, &self.policy, chain_der)
    }
}

/// A conversation that got past EHLO.
struct Greeted {
    smtp: Smtp<TcpStream>,
    helo: String,
    sending_ip: Option<IpAddr>,
    offers_start_tls: bool,
}

impl Connection<'_> {
    async fn deliver(&self) -> Attempt {
        // RFC 8460 s4.3.4: what fails before EHLO is no TLS failure, and no session is told of.
        let mut greeted = self.greet().await?;
        let mut facts = SessionFacts {
            domain: self.domain,
            policy: &self.requirement.policy,
            mx: self.mx,
            mx_helo: &greeted.helo,
            receiving_ip: self.server.ip(),
            sending_ip: greeted.sending_ip,
            start_tls: StartTls::NotOffered,
            verification: Verification::Unknown,
            dane: Verification::Unknown,
            chain_der: &[],
            error: None,
        };
        if !greeted.offers_start_tls {
            self.tell(&facts);
            return self
                .deliver_in_the_clear(greeted.smtp, "it offers no STARTTLS")
                .await;
        }
        let answer = greeted.smtp.command("STARTTLS").await;
        let refusal = match answer {
            Ok(reply) if reply.is_positive() => None,
            Ok(reply) => Some(reply.words()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(words) = refusal {
            facts.start_tls = StartTls::Refused;
            facts.error = Some(&words);
            self.tell(&facts);
            return self.deliver_in_the_clear(greeted.smtp, &words).await;
        }
        let (handshake, seen) = self.handshake(greeted.smtp.into_inner()).await?;
        facts.chain_der = &seen.chain_der;
        facts.verification = match &seen.verdict {
            None => Verification::Unknown,
            Some(Ok(())) => Verification::Passed,
            Some(Err(_)) => Verification::Failed,
        };
        facts.dane = match &seen.dane {
            None | Some(Err(NotPassed::Unknown(_))) => Verification::Unknown,
            Some(Ok(_)) => Verification::Passed,
            Some(Err(NotPassed::Failed(_))) => Verification::Failed,
        };
        let complaint = complaint(handshake.as_ref().err(), &seen);
        facts.error = complaint.as_deref();
        match handshake {
            Ok(stream) => {
                facts.start_tls = StartTls::Established;
                // The session is what it is, whatever SMTP says later (RFC 8460 s4.2.1).
                self.tell(&facts);
                self.deliver_over_tls(stream).await
            }
            Err(_) => {
                facts.start_tls = StartTls::HandshakeFailed;
                self.tell(&facts);
                self.may_go_in_the_clear(complaint.as_deref().unwrap_or_default())?;
                // Another connection, but not another TLS session to tell of.
                let again = self.greet().await?;
                self.transact(again.smtp, "plain").await
            }
        }
    }

    /// A session that cannot be told of is said so, and holds no mail up.
    fn tell(&self, facts: &SessionFacts<'_>) {
        if let Err(error) = self.sender.library.session(facts) {
            let _said = writeln!(io::stderr(), "{}: {error}", self.mx);
        }
    }

    async fn greet(&self) -> Result<Greeted, String> {
        let failed = |error: io::Error| format!("{}: {error}", self.server);
        let stream = TcpStream::connect(self.server).await.map_err(failed)?;
        let sending_ip = stream.local_addr().ok().map(|address| address.ip());
        let mut smtp = Smtp::over(stream);
        let greeting = smtp.reply().await.map_err(failed)?;
        if !greeting.is_positive() {
            return Err(greeting.words());
        }
        let reply = smtp.command(&self.ehlo()).await.map_err(failed)?;
        if !reply.is_positive() {
            return Err(reply.words());
        }
        let first_line = reply.lines.first().map_or("", String::as_str);
        Ok(Greeted {
            helo: first_line
                .split_ascii_whitespace()
                .next()
                .unwrap_or_default()
                .to_owned(),
            offers_start_tls: reply.offers("STARTTLS"),
            smtp,
            sending_ip,
        })
    }

    async fn handshake(
        &self,
        stream: TcpStream,
    ) -> Result<(io::Result<TlsStream<TcpStream>>, Seen), String> {
        let strictness = match self.requirement.level {
            Level::Verify => Strictness::Enforce,
            Level::Dane => Strictness::Dane(Arc::new(BySealpost {
                library: Arc::clone(&self.sender.library),
                domain: self.domain.to_owned(),
                mx: self.mx.to_owned(),
                policy: self.requirement.policy.clone(),
            })),
            _ => Strictness::Observe,
        };
        // RFC 8461 s7.1: the name sent and verified is the MX host's. RFC 7672 s8.1: the name sent is
        // the TLSA base domain.
        let name = self.requirement.name.as_deref().unwrap_or(self.mx);
        let name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
        let check = self
            .sender
            .roots
            .check(strictness)
            .map_err(|error| error.to_string())?;
        let connector = TlsConnector::from(Arc::clone(&check.config));
        let handshake = connector.connect(name, stream).await;
        Ok((handshake, check.seen()))
    }

    async fn deliver_over_tls(&self, stream: TlsStream<TcpStream>) -> Attempt {
        let mut smtp = Smtp::over(stream);
        let reply = smtp
            .command(&self.ehlo())
            .await
            .map_err(|error| error.to_string())?;
        if !reply.is_positive() {
            return Err(reply.words());
        }
        let delivered = match self.requirement.level {
            Level::Verify | Level::Dane => "tls-verified",
            _ => "tls",
        };
        self.transact(smtp, delivered).await
    }

    async fn deliver_in_the_clear(&self, smtp: Smtp<TcpStream>, why_no_tls: &str) -> Attempt {
        self.may_go_in_the_clear(why_no_tls)?;
        self.transact(smtp, "plain").await
    }

    fn may_go_in_the_clear(&self, why_no_tls: &str) -> Result<(), String> {
        match self.requirement.level {
            Level::May => Ok(()),
            _ => Err(format!("{why_no_tls} ({})", self.requirement.reason)),
        }
    }

    async fn transact<S>(&self, mut smtp: Smtp<S>, delivered: &'static str) -> Attempt
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let (from, to) = (&self.sender.from, self.recipient);
        // A toy's date: the same message is the same octets on every day.
        let message = format!(
            "From: <{from}>\r\nTo: <{to}>\r\nSubject: A toy message\r\n\
             Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n\r\nHello.",
        );
        smtp.send(from, to, &message).await.map(|_| delivered)
    }

    fn ehlo(&self) -> String {
        let domain = self.sender.from.rsplit_once('@');
        format!("EHLO {}", domain.map_or("localhost", |(_, domain)| domain))
    }
}

/// What is wrong, in words. Where DANE vouches for a certificate, what the roots say of it is no matter.
fn complaint(broken_off: Option<&io::Error>, seen: &Seen) -> Option<String> {
    match (&seen.dane, broken_off, &seen.verdict) {
        (Some(Err(NotPassed::Failed(reason))), _, _) => Some(format!("DANE: {reason}")),
        (Some(Err(NotPassed::Unknown(reason))), _, _) => {
            Some(format!("DANE: cannot be judged: {reason}"))
        }
        (_, Some(error), _) => Some(error.to_string()),
        (None, None, Some(Err(words))) => Some(words.clone()),
        _ => None,
    }
}
