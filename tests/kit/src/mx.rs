//! Mail hosts: SMTP servers with STARTTLS, each on a loopback address of its own and all on one
//! port, as MX hosts are.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};

use rustls::server::Acceptor;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::LazyConfigAcceptor;

use crate::{
    authority::Leaf,
    message::{MailLog, Message, SmtpSession},
    shared::{canonical, hold, listen_on_all},
    smtp::{Conversation, Next},
};

/// Mail hosts on loopback. They stop when this is dropped.
pub struct MxHosts {
    port: u16,
    hosts: Arc<Mutex<BTreeMap<String, MxHost>>>,
    log: MailLog,
    _accepting: JoinSet<()>,
}

/// One mail host.
#[derive(Clone, Debug)]
pub struct MxHost {
    /// What it is called in its greeting and in what it took down.
    pub name: String,
    /// Where it listens. On Linux all of 127.0.0.0/8 is there without further ado.
    pub address: IpAddr,
    /// The certificate it shows.
    pub certificate: Leaf,
    /// What it does to whoever comes.
    pub behaviour: MxBehaviour,
}

/// What a mail host does to whoever comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MxBehaviour {
    /// It offers STARTTLS and takes every message, over TLS or not.
    Correct,
    /// It does all that, and its EHLO reply is several thousand octets long; STARTTLS is near the
    /// front.
    BigEhlo,
    /// It does not offer STARTTLS.
    NoStartTls,
    /// It offers STARTTLS and answers it with 454.
    RefusesStartTls,
    /// It answers STARTTLS with 220, and the TLS handshake with something else.
    HandshakeRubbish,
    /// It closes the connection when the TLS handshake begins.
    ClosesAtHandshake,
    /// It answers every RCPT with this code.
    RefusesRecipients(u16),
    /// It answers every RCPT as a host does that has no such mailbox (RFC 3463: 5.1.1).
    KnowsNoRecipient,
    /// It answers the end of every message with this code.
    RefusesMessages(u16),
    /// It takes the message and closes the connection without saying so.
    ClosesAfterMessage,
    /// It greets with this code and closes the connection.
    RefusesService(u16),
    /// It closes the connection without a greeting.
    ClosesAtOnce,
}

impl MxHosts {
    /// Starts these hosts on one port. Port 0: the operating system picks one that is free on every
    /// address.
    ///
    /// # Errors
    /// An address cannot be bound.
    pub async fn start(port: u16, hosts: Vec<MxHost>) -> io::Result<Self> {
        let addresses: Vec<IpAddr> = hosts.iter().map(|host| host.address).collect();
        let (listeners, port) = listen_on_all(&addresses, port).await?;
        let log = MailLog::new();
        let names: Vec<String> = hosts.iter().map(|host| canonical(&host.name)).collect();
        let by_name = names.iter().cloned().zip(hosts).collect();
        let hosts = Arc::new(Mutex::new(by_name));
        let mut accepting = JoinSet::new();
        for (listener, name) in listeners.into_iter().zip(names) {
            accepting.spawn(accept(listener, name, Arc::clone(&hosts), log.clone()));
        }
        Ok(Self {
            port,
            hosts,
            log,
            _accepting: accepting,
        })
    }

    /// The port that all of them listen on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where one host listens.
    #[must_use]
    pub fn address_of(&self, name: &str) -> Option<SocketAddr> {
        hold(&self.hosts)
            .get(&canonical(name))
            .map(|host| SocketAddr::new(host.address, self.port))
    }

    /// The certificate that a host shows.
    #[must_use]
    pub fn certificate_of(&self, name: &str) -> Option<Leaf> {
        hold(&self.hosts)
            .get(&canonical(name))
            .map(|host| host.certificate.clone())
    }

    /// Changes what a host does from the next connection on. Does nothing where there is none of
    /// that name.
    pub fn set_behaviour(&self, name: &str, behaviour: MxBehaviour) {
        if let Some(host) = hold(&self.hosts).get_mut(&canonical(name)) {
            host.behaviour = behaviour;
        }
    }

    /// Changes the certificate a host shows from the next connection on.
    pub fn set_certificate(&self, name: &str, certificate: Leaf) {
        if let Some(host) = hold(&self.hosts).get_mut(&canonical(name)) {
            host.certificate = certificate;
        }
    }

    /// Every message taken so far, in order.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.log.messages()
    }

    /// Waits until this many messages were taken, and gives all that were.
    pub async fn wait_for_messages(&self, count: usize) -> Vec<Message> {
        self.log.wait_for(count, |_| true).await
    }

    /// Every connection so far, in order.
    #[must_use]
    pub fn sessions(&self) -> Vec<SmtpSession> {
        self.log.sessions()
    }

    pub(crate) fn log(&self) -> MailLog {
        self.log.clone()
    }
}

async fn accept(
    listener: TcpListener,
    name: String,
    hosts: Arc<Mutex<BTreeMap<String, MxHost>>>,
    log: MailLog,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let host = hold(&hosts).get(&name).cloned();
                if let (Ok((stream, client)), Some(host)) = (accepted, host) {
                    let log = log.clone();
                    connections.spawn(async move {
                        // Errors end the connection and concern the client only.
                        let _ended = serve(stream, client.ip(), host, log).await;
                    });
                }
            }
            Some(_done) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, client: IpAddr, host: MxHost, log: MailLog) -> io::Result<()> {
    let session = log.begin(SmtpSession {
        mx: host.name.clone(),
        client,
        sni: None,
        tls: false,
        commands: Vec::new(),
    });
    let mut stream = BufStream::new(stream);
    match host.behaviour {
        MxBehaviour::ClosesAtOnce => return stream.shutdown().await,
        MxBehaviour::RefusesService(code) => {
            let greeting = format!("{code} {} has no time for you\r\n", host.name);
            stream.write_all(greeting.as_bytes()).await?;
            return stream.shutdown().await;
        }
        _ => {}
    }
    let greeting = format!("220 {} ESMTP\r\n", host.name);
    stream.write_all(greeting.as_bytes()).await?;
    let mut conversation = Conversation::new(&host.name, host.behaviour, log.clone(), session);
    if conversation.hold(&mut stream).await? == Next::Close {
        return stream.shutdown().await;
    }
    // RFC 3207 s5: what came in the clear behind STARTTLS is not read; the buffer goes with it.
    let mut stream = stream.into_inner();
    match host.behaviour {
        MxBehaviour::ClosesAtHandshake => return stream.shutdown().await,
        MxBehaviour::HandshakeRubbish => return talk_rubbish(stream).await,
        _ => {}
    }
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let sni = start.client_hello().server_name().map(str::to_owned);
    log.note(session, |session| session.sni = sni);
    let stream = start.into_stream(host.certificate.server_config()).await?;
    log.note(session, |session| session.tls = true);
    let mut stream = BufStream::new(stream);
    conversation.begin_again_over_tls();
    conversation.hold(&mut stream).await?;
    stream.shutdown().await
}

/// Waits for the client's first packet, says what is not TLS, and waits until the client has gone, so
/// that no reset overtakes the words.
async fn talk_rubbish(mut stream: TcpStream) -> io::Result<()> {
    let mut heard = [0; 4096];
    if stream.read(&mut heard).await? == 0 {
        return Ok(());
    }
    stream.write_all(b"502 No TLS spoken here\r\n").await?;
    stream.shutdown().await?;
    while stream.read(&mut heard).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;
    use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite};
    use tokio_rustls::client::TlsStream;

    use super::*;
    use crate::authority::{Authority, Flaw};

    fn host(authority: &Authority, name: &str, last: u8) -> MxHost {
        MxHost {
            name: name.to_owned(),
            address: IpAddr::from([127, 0, 1, last]),
            certificate: authority.issue(&[name]).unwrap(),
            behaviour: MxBehaviour::Correct,
        }
    }

    async fn say(
        stream: &mut BufStream<impl AsyncRead + AsyncWrite + Unpin>,
        text: &str,
    ) -> String {
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let mut replies = String::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap() == 0 {
                return replies;
            }
            let last = line.as_bytes().get(3) == Some(&b' ');
            replies.push_str(&line);
            if last {
                return replies;
            }
        }
    }

    async fn connect(hosts: &MxHosts, name: &str) -> BufStream<TcpStream> {
        let address = hosts.address_of(name).unwrap();
        let mut stream = BufStream::new(TcpStream::connect(address).await.unwrap());
        let mut greeting = String::new();
        stream.read_line(&mut greeting).await.unwrap();
        assert!(greeting.starts_with("220 "), "{greeting}");
        stream
    }

    async fn handshake(
        authority: &Authority,
        stream: BufStream<TcpStream>,
        name: &str,
    ) -> io::Result<BufStream<TlsStream<TcpStream>>> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        authority
            .client()
            .connect(name, stream.into_inner())
            .await
            .map(BufStream::new)
    }

    #[tokio::test]
    async fn a_message_is_taken_over_tls_and_kept_as_sent() {
        let authority = Authority::new().unwrap();
        let mx = host(&authority, "mx.a.test", 1);
        let hosts = MxHosts::start(0, vec![mx]).await.unwrap();
        let mut stream = connect(&hosts, "mx.a.test").await;
        let reply = say(&mut stream, "EHLO sender.test\r\n").await;
        assert!(reply.contains("250-STARTTLS\r\n"), "{reply}");
        assert!(say(&mut stream, "STARTTLS\r\n").await.starts_with("220 "));
        let mut stream = handshake(&authority, stream, "mx.a.test").await.unwrap();
        let reply = say(&mut stream, "EHLO sender.test\r\n").await;
        assert!(!reply.contains("STARTTLS"), "{reply}");
        let reply = say(&mut stream, "MAIL FROM:<a@sender.test> SIZE=100\r\n").await;
        assert!(reply.starts_with("250 "), "{reply}");
        // Pipelined: one write, one reply to each command.
        let reply = say(
            &mut stream,
            "RCPT TO:<b@a.test>\r\nRCPT TO:<c@a.test>\r\nDATA\r\n",
        )
        .await;
        assert!(reply.starts_with("250 "), "{reply}");
        assert!(say(&mut stream, "").await.starts_with("250 "));
        assert!(say(&mut stream, "").await.starts_with("354 "));
        let reply = say(&mut stream, "Subject: x\r\n\r\n..dot\r\n.\r\n").await;
        assert!(reply.starts_with("250 "), "{reply}");
        assert!(say(&mut stream, "QUIT\r\n").await.starts_with("221 "));
        let messages = hosts.wait_for_messages(1).await;
        assert_eq!(
            messages,
            [Message {
                mx: "mx.a.test".to_owned(),
                tls: true,
                helo: "sender.test".to_owned(),
                from: "a@sender.test".to_owned(),
                recipients: vec!["b@a.test".to_owned(), "c@a.test".to_owned()],
                data: b"Subject: x\r\n\r\n.dot\r\n".to_vec(),
            }]
        );
        let sessions = hosts.sessions();
        assert_eq!(sessions[0].sni.as_deref(), Some("mx.a.test"));
        assert!(sessions[0].tls);
        assert_eq!(sessions[0].commands[1], "STARTTLS");
    }

    #[tokio::test]
    async fn all_hosts_share_one_port() {
        let authority = Authority::new().unwrap();
        let two = vec![
            host(&authority, "mx1.a.test", 2),
            host(&authority, "mx2.a.test", 3),
        ];
        let hosts = MxHosts::start(0, two).await.unwrap();
        for name in ["mx1.a.test", "mx2.a.test"] {
            let address = hosts.address_of(name).unwrap();
            assert_eq!(address.port(), hosts.port());
            let mut stream = connect(&hosts, name).await;
            let reply = say(&mut stream, "EHLO x\r\n").await;
            assert!(reply.starts_with(&format!("250-{name}")), "{reply}");
        }
    }

    #[tokio::test]
    async fn faults_come_and_go_while_it_runs() {
        let authority = Authority::new().unwrap();
        let mx = host(&authority, "mx.a.test", 4);
        let hosts = MxHosts::start(0, vec![mx]).await.unwrap();

        hosts.set_behaviour("mx.a.test", MxBehaviour::NoStartTls);
        let mut stream = connect(&hosts, "mx.a.test").await;
        let reply = say(&mut stream, "EHLO x\r\n").await;
        assert!(!reply.contains("STARTTLS"), "{reply}");
        assert!(say(&mut stream, "STARTTLS\r\n").await.starts_with("502 "));

        hosts.set_behaviour("mx.a.test", MxBehaviour::BigEhlo);
        let mut stream = connect(&hosts, "mx.a.test").await;
        let reply = say(&mut stream, "EHLO x\r\n").await;
        assert!(reply.len() > 2_048, "{}", reply.len());
        assert!(reply.lines().all(|line| line.len() <= 510), "{reply}");
        assert!(reply[..200].contains("250-STARTTLS\r\n"), "{reply}");

        hosts.set_behaviour("mx.a.test", MxBehaviour::RefusesStartTls);
        let mut stream = connect(&hosts, "mx.a.test").await;
        let reply = say(&mut stream, "EHLO x\r\n").await;
        assert!(reply.contains("STARTTLS"), "{reply}");
        assert!(say(&mut stream, "STARTTLS\r\n").await.starts_with("454 "));

        for fault in [
            MxBehaviour::HandshakeRubbish,
            MxBehaviour::ClosesAtHandshake,
        ] {
            hosts.set_behaviour("mx.a.test", fault);
            let mut stream = connect(&hosts, "mx.a.test").await;
            say(&mut stream, "EHLO x\r\n").await;
            assert!(say(&mut stream, "STARTTLS\r\n").await.starts_with("220 "));
            assert!(handshake(&authority, stream, "mx.a.test").await.is_err());
        }

        hosts.set_behaviour("mx.a.test", MxBehaviour::RefusesRecipients(550));
        let mut stream = connect(&hosts, "mx.a.test").await;
        say(&mut stream, "EHLO x\r\n").await;
        say(&mut stream, "MAIL FROM:<>\r\n").await;
        let reply = say(&mut stream, "RCPT TO:<a@b.test>\r\n").await;
        assert!(reply.starts_with("550 "), "{reply}");
        assert!(say(&mut stream, "DATA\r\n").await.starts_with("503 "));

        let expired = authority
            .issue_flawed(&["mx.a.test"], Flaw::Expired)
            .unwrap();
        hosts.set_certificate("mx.a.test", expired);
        hosts.set_behaviour("mx.a.test", MxBehaviour::Correct);
        let mut stream = connect(&hosts, "mx.a.test").await;
        say(&mut stream, "EHLO x\r\n").await;
        say(&mut stream, "STARTTLS\r\n").await;
        assert!(handshake(&authority, stream, "mx.a.test").await.is_err());
        assert!(hosts.messages().is_empty());
        assert!(hosts.sessions().iter().all(|session| !session.tls));
    }

    #[tokio::test]
    async fn a_service_that_refuses_says_so_or_nothing() {
        let authority = Authority::new().unwrap();
        let mx = host(&authority, "mx.a.test", 5);
        let hosts = MxHosts::start(0, vec![mx]).await.unwrap();
        for (behaviour, expected) in [
            (MxBehaviour::RefusesService(421), "421 "),
            (MxBehaviour::ClosesAtOnce, ""),
        ] {
            hosts.set_behaviour("mx.a.test", behaviour);
            let address = hosts.address_of("mx.a.test").unwrap();
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut heard = String::new();
            stream.read_to_string(&mut heard).await.unwrap();
            assert_eq!(heard.get(..4).unwrap_or_default(), expected);
        }
    }

    #[tokio::test]
    async fn a_message_can_be_refused_or_its_receipt_withheld() {
        let authority = Authority::new().unwrap();
        let mx = host(&authority, "mx.a.test", 6);
        let hosts = MxHosts::start(0, vec![mx]).await.unwrap();
        for (behaviour, expected) in [
            (MxBehaviour::RefusesMessages(451), "451 "),
            (MxBehaviour::ClosesAfterMessage, ""),
        ] {
            hosts.set_behaviour("mx.a.test", behaviour);
            let mut stream = connect(&hosts, "mx.a.test").await;
            say(&mut stream, "EHLO x\r\n").await;
            say(&mut stream, "MAIL FROM:<>\r\n").await;
            say(&mut stream, "RCPT TO:<a@b.test>\r\n").await;
            say(&mut stream, "DATA\r\n").await;
            let reply = say(&mut stream, "x\r\n.\r\n").await;
            assert_eq!(reply.get(..4).unwrap_or_default(), expected);
        }
        // Of the two only the second was taken.
        assert_eq!(hosts.messages().len(), 1);
    }

    #[tokio::test]
    async fn commands_out_of_order_are_refused_and_rset_forgets() {
        let authority = Authority::new().unwrap();
        let mx = host(&authority, "mx.a.test", 7);
        let hosts = MxHosts::start(0, vec![mx]).await.unwrap();
        let mut stream = connect(&hosts, "mx.a.test").await;
        for (line, code) in [
            ("MAIL FROM:<>", "503 "),
            ("EHLO", "501 "),
            ("EHLO x", "250-"),
            ("RCPT TO:<a@b.test>", "503 "),
            ("MAIL FROM:a@b.test", "501 "),
            ("MAIL FROM:<> SIZE=99999999999", "552 "),
            ("mail from: <> BODY=8BITMIME SIZE=5", "250 "),
            ("RCPT TO:<a@b.test>", "250 "),
            ("RSET", "250 "),
            ("DATA", "503 "),
            ("NOOP", "250 "),
            ("HELP", "500 "),
            ("QUIT", "221 "),
        ] {
            let reply = say(&mut stream, &format!("{line}\r\n")).await;
            assert_eq!(reply.get(..4), Some(code), "{line}: {reply}");
        }
    }
}
