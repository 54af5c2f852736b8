//! Web hosts: the HTTPS servers `mta-sts.DOMAIN` that publish MTA-STS policies (RFC 8461 s3.3), and those
//! that take reports (RFC 8460 s5.4).
//!
//! Many hosts share one address and port. Which one a client wants is told by SNI, as on the real
//! web, and so is which certificate it is shown.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use rustls::server::Acceptor;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::LazyConfigAcceptor;

use crate::{
    authority::Leaf,
    shared::{canonical, hold},
};

/// The longest request head that is read.
const REQUEST_BYTES_MAX: usize = 65_536;

/// The longest request body that is read.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// HTTPS servers on one loopback address. They stop when this is dropped.
pub struct PolicyHosts {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _accepting: JoinSet<()>,
}

/// One host.
#[derive(Clone, Debug)]
pub struct PolicyHost {
    /// The certificate it shows.
    pub certificate: Leaf,
    /// What it does with whoever asks.
    pub answer: Answer,
}

/// What a policy host does with whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It sends this response.
    Response {
        /// The status.
        status: u16,
        /// Header fields; `Content-Length` and `Connection: close` are added.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// It promises a body and then sends one octet of it in each interval, without end.
    Drips {
        /// The time between two octets.
        interval: Duration,
    },
    /// It promises more octets than it sends, and closes the connection.
    BreaksOff,
    /// It reads the request and says nothing, until the client goes away.
    Hangs,
    /// It reads the request and closes the connection.
    ClosesUnanswered,
    /// It answers the TLS handshake with a plain HTTP error.
    NotTls,
    /// It closes the connection when the TLS handshake begins. (For a connection that is refused,
    /// let the host's address be one that nobody listens on.)
    Closes,
}

impl Answer {
    /// Status 200 and a text, as `text/plain`: what RFC 8461 s3.2 wants.
    #[must_use]
    pub fn document(text: &str) -> Self {
        Self::typed("text/plain", text)
    }

    /// Status 200 and a text of another media type.
    #[must_use]
    pub fn typed(media_type: &str, text: &str) -> Self {
        Self::Response {
            status: 200,
            headers: vec![("Content-Type".to_owned(), media_type.to_owned())],
            body: text.as_bytes().to_vec(),
        }
    }

    /// Status 200 and a text without a media type.
    #[must_use]
    pub fn untyped(text: &str) -> Self {
        Self::Response {
            status: 200,
            headers: Vec::new(),
            body: text.as_bytes().to_vec(),
        }
    }

    /// Another status, with a body that would be a good policy.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Response {
            status,
            headers: vec![("Content-Type".to_owned(), "text/plain".to_owned())],
            body: b"version: STSv1\r\nmode: none\r\nmax_age: 86400\r\n".to_vec(),
        }
    }

    /// A report is taken, 201.
    #[must_use]
    pub fn taken() -> Self {
        Self::Response {
            status: 201,
            headers: Vec::new(),
            body: b"Thank you".to_vec(),
        }
    }

    /// Another status, with a field that says when to come again.
    #[must_use]
    pub fn retry_after(status: u16, value: &str) -> Self {
        Self::Response {
            status,
            headers: vec![("Retry-After".to_owned(), value.to_owned())],
            body: Vec::new(),
        }
    }

    /// A redirect, 301, to another address.
    #[must_use]
    pub fn redirect(location: &str) -> Self {
        Self::Response {
            status: 301,
            headers: vec![("Location".to_owned(), location.to_owned())],
            body: Vec::new(),
        }
    }

    /// Status 200 and a web page, as a web server sends that answers every path with its front page;
    /// it even calls it `text/plain`.
    #[must_use]
    pub fn rubbish() -> Self {
        Self::document("<!doctype html>\n<html><body><h1>Welcome!</h1></body></html>\n")
    }

    /// A good policy, made so long by comments in unknown fields that it has this many octets.
    #[must_use]
    pub fn of_length(octets: usize) -> Self {
        let mut text = "version: STSv1\nmode: none\nmax_age: 86400\nfiller: ".to_owned();
        while text.len() < octets {
            text.push('x');
        }
        text.truncate(octets);
        Self::document(&text)
    }
}

/// One request that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The host, by SNI.
    pub host: String,
    /// `GET`.
    pub method: String,
    /// `/.well-known/mta-sts.txt`.
    pub path: String,
    /// The header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, as long as `Content-Length` says.
    pub body: Vec<u8>,
}

impl Request {
    /// The value of the first header field of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

#[derive(Default)]
struct State {
    hosts: BTreeMap<String, PolicyHost>,
    requests: Vec<Request>,
    handshakes: Vec<String>,
}

impl PolicyHosts {
    /// Starts on `127.0.0.1`, on a port of the operating system's choice, with no host.
    ///
    /// # Errors
    /// No socket can be bound.
    pub async fn start() -> io::Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts at an address with no host. Port 0: of the operating system's choice.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start_at(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State::default()));
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&state)));
        Ok(Self {
            address,
            state,
            _accepting: accepting,
        })
    }

    /// Where all of them listen.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts a host there, or changes it.
    pub fn set(&self, name: &str, host: PolicyHost) {
        hold(&self.state).hosts.insert(canonical(name), host);
    }

    /// Changes what a host answers. Does nothing where there is none of that name.
    pub fn set_answer(&self, name: &str, answer: Answer) {
        if let Some(host) = hold(&self.state).hosts.get_mut(&canonical(name)) {
            host.answer = answer;
        }
    }

    /// Takes a host away. Whoever asks for it then sees the connection closed.
    pub fn remove(&self, name: &str) {
        hold(&self.state).hosts.remove(&canonical(name));
    }

    /// Every request that was read so far, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        hold(&self.state).requests.clone()
    }

    /// How many requests this host has read.
    #[must_use]
    pub fn times_requested(&self, name: &str) -> usize {
        let name = canonical(name);
        hold(&self.state)
            .requests
            .iter()
            .filter(|request| request.host == name)
            .count()
    }

    /// How many TLS handshakes were begun with this host, whatever came of them.
    #[must_use]
    pub fn times_connected(&self, name: &str) -> usize {
        let name = canonical(name);
        hold(&self.state)
            .handshakes
            .iter()
            .filter(|host| **host == name)
            .count()
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, Arc::clone(&state)));
                }
            }
            Some(_done) = connections.join_next() => {}
        }
    }
}

/// One connection. Errors end it and concern the client only.
async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    let Ok(mut start) = LazyConfigAcceptor::new(Acceptor::default(), stream).await else {
        return;
    };
    let name = canonical(start.client_hello().server_name().unwrap_or_default());
    let host = {
        let mut state = hold(&state);
        state.handshakes.push(name.clone());
        state.hosts.get(&name).cloned()
    };
    let Some(host) = host else { return };
    match host.answer {
        Answer::Closes => return,
        Answer::NotTls => {
            let _sent = start
                .io
                .write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                .await;
            return;
        }
        Answer::Response { .. }
        | Answer::Drips { .. }
        | Answer::BreaksOff
        | Answer::Hangs
        | Answer::ClosesUnanswered => {}
    }
    let Ok(mut stream) = start.into_stream(host.certificate.server_config()).await else {
        return;
    };
    let Ok(Some(request)) = read_request(&mut stream, &name).await else {
        return;
    };
    hold(&state).requests.push(request);
    let answer = hold(&state)
        .hosts
        .get(&name)
        .map(|host| host.answer.clone());
    if let Some(answer) = answer {
        let _sent = send(&mut stream, &answer).await;
        if answer == Answer::Hangs {
            let _gone = stream.read(&mut [0; 1]).await;
        }
    }
    let _closed = stream.shutdown().await;
}

async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
    host: &str,
) -> io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let body_at = loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            break end + 4;
        }
        if bytes.len() >= REQUEST_BYTES_MAX || stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let mut body = bytes.split_off(body_at);
    let Some(mut request) = parse_request(&String::from_utf8_lossy(&bytes), host) else {
        return Ok(None);
    };
    let length = request.header("Content-Length");
    let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    while body.len() < length {
        if body.len() >= BODY_BYTES_MAX || stream.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    request.body = body;
    Ok(Some(request))
}

fn parse_request(head: &str, host: &str) -> Option<Request> {
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?, first.next()?);
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Some(Request {
        host: host.to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        headers,
        body: Vec::new(),
    })
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), answer: &Answer) -> io::Result<()> {
    match answer {
        Answer::Response {
            status,
            headers,
            body,
        } => {
            let mut head = format!("HTTP/1.1 {status} As Told\r\n");
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            let length = body.len();
            head.push_str(&format!(
                "Content-Length: {length}\r\nConnection: close\r\n\r\n"
            ));
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body).await?;
            stream.flush().await
        }
        Answer::Drips { interval } => {
            stream.write_all(PROMISE).await?;
            loop {
                stream.write_all(b"x").await?;
                stream.flush().await?;
                tokio::time::sleep(*interval).await;
            }
        }
        Answer::BreaksOff => {
            stream.write_all(PROMISE).await?;
            stream.write_all(b"version: STSv1\r\n").await?;
            stream.flush().await
        }
        Answer::Hangs | Answer::ClosesUnanswered | Answer::NotTls | Answer::Closes => Ok(()),
    }
}

/// The head of a response that never comes whole.
const PROMISE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 60000\r\n\r\n";

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;

    use super::*;
    use crate::authority::{Authority, Flaw};

    async fn fetch(authority: &Authority, address: SocketAddr, host: &str) -> io::Result<String> {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let mut stream = authority.client().connect(name, stream).await?;
        let request = format!("GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        Ok(response)
    }

    #[tokio::test]
    async fn hosts_are_told_apart_by_their_names() {
        let authority = Authority::new().unwrap();
        let hosts = PolicyHosts::start().await.unwrap();
        for (name, text) in [
            ("mta-sts.a.test", "policy a"),
            ("mta-sts.b.test", "policy b"),
        ] {
            hosts.set(
                name,
                PolicyHost {
                    certificate: authority.issue(&[name]).unwrap(),
                    answer: Answer::document(text),
                },
            );
        }
        let response = fetch(&authority, hosts.address(), "mta-sts.a.test")
            .await
            .unwrap();
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
        assert!(
            response.contains("Content-Type: text/plain\r\n"),
            "{response}"
        );
        assert!(response.ends_with("\r\n\r\npolicy a"), "{response}");
        let response = fetch(&authority, hosts.address(), "mta-sts.b.test")
            .await
            .unwrap();
        assert!(response.ends_with("policy b"), "{response}");
        let requests = hosts.requests();
        assert_eq!(requests[0].path, "/.well-known/mta-sts.txt");
        assert_eq!(requests[1].header("Host"), Some("mta-sts.b.test"));
        assert_eq!(hosts.times_requested("mta-sts.a.test"), 1);
    }

    #[tokio::test]
    async fn answers_change_while_it_runs() {
        let authority = Authority::new().unwrap();
        let hosts = PolicyHosts::start().await.unwrap();
        let name = "mta-sts.a.test";
        hosts.set(
            name,
            PolicyHost {
                certificate: authority.issue(&[name]).unwrap(),
                answer: Answer::status(404),
            },
        );
        for (answer, expected) in [
            (Answer::status(404), "HTTP/1.1 404 "),
            (
                Answer::redirect("https://b.test/"),
                "Location: https://b.test/\r\n",
            ),
            (
                Answer::typed("text/html", "x"),
                "Content-Type: text/html\r\n",
            ),
            (Answer::of_length(70_000), "Content-Length: 70000\r\n"),
            (Answer::rubbish(), "<!doctype html>"),
        ] {
            hosts.set_answer(name, answer);
            let response = fetch(&authority, hosts.address(), name).await.unwrap();
            assert!(response.contains(expected), "{expected}: {response}");
        }
    }

    #[tokio::test]
    async fn faults_below_http_are_faults() {
        let authority = Authority::new().unwrap();
        let hosts = PolicyHosts::start().await.unwrap();
        let name = "mta-sts.a.test";
        let expired = authority.issue_flawed(&[name], Flaw::Expired).unwrap();
        hosts.set(
            name,
            PolicyHost {
                certificate: expired,
                answer: Answer::document("x"),
            },
        );
        assert!(fetch(&authority, hosts.address(), name).await.is_err());
        hosts.set(
            name,
            PolicyHost {
                certificate: authority.issue(&[name]).unwrap(),
                answer: Answer::NotTls,
            },
        );
        assert!(fetch(&authority, hosts.address(), name).await.is_err());
        hosts.set_answer(name, Answer::Closes);
        assert!(fetch(&authority, hosts.address(), name).await.is_err());
        hosts.remove(name);
        assert!(fetch(&authority, hosts.address(), name).await.is_err());
        assert_eq!(hosts.times_connected(name), 4);
        assert_eq!(hosts.times_requested(name), 0);
    }
}
