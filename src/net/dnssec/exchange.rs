//! One question to the resolvers, and their answer as it came: bits, code and sections untouched.
//!
//! The resolver of [`hickory`](crate::net::hickory) makes an error of an answer without records, and the bit that says
//! whether that was signed is gone. Here it stays.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use hickory_proto::{
    op::{Edns, Message, MessageType, Query, ResponseCode},
    rr::{DNSClass, Name, RecordType},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::{Instant, timeout_at},
};

use super::lanes::{GivenUp, Lanes, QUEUE_TIME_MAX};
use crate::{config::DnsConfig, net::dns::DnsError};

/// What asks the resolvers.
pub(super) struct Exchange {
    servers: Vec<Server>,
    try_ms: u64,
    attempts: usize,
    /// Which server answered last, and is asked first.
    first: AtomicUsize,
    lanes: Lanes,
}

/// One resolver.
struct Server {
    address: SocketAddr,
    /// It is passed over: what it passes on is of no use.
    is_left_out: AtomicBool,
}

/// Who is to look at the signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checking {
    /// The resolver.
    ByResolver,
    /// Not the resolver (RFC 4035 s3.2.2, the CD bit).
    Disabled,
}

/// Whom a question goes to. Servers are known by their place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// The one that answered last; where it does not, the others in turn.
    InTurn,
    /// The one after this in turn; this one last.
    After(usize),
    /// This one, left out or not.
    Only(usize),
}

/// An answer, and the place of the server that it came from.
pub(super) struct Answered {
    pub(super) message: Message,
    pub(super) by: usize,
}

/// What fits into a UDP answer that no network cuts into pieces (RFC 9715).
const UDP_OCTETS_MAX: u16 = 1_232;

impl Exchange {
    /// What asks these servers, as often and as long as the configuration says.
    pub(super) fn new(servers: Vec<SocketAddr>, config: &DnsConfig) -> Self {
        let server = |address| Server {
            address,
            is_left_out: AtomicBool::new(false),
        };
        Self {
            servers: servers.into_iter().map(server).collect(),
            try_ms: config.timeout_ms.max(1),
            attempts: usize::try_from(config.attempts.max(1)).unwrap_or(1),
            first: AtomicUsize::new(0),
            lanes: Lanes::default(),
        }
    }

    /// Whom it asks, by their places.
    pub(super) fn servers(&self) -> impl ExactSizeIterator<Item = SocketAddr> {
        self.servers.iter().map(|server| server.address)
    }

    /// Passes over the server of this place from now on, or no more. Whether that is news.
    pub(super) fn leave_out(&self, place: usize, is_left_out: bool) -> bool {
        let server = self.servers.get(place);
        server.is_some_and(|server| {
            server.is_left_out.swap(is_left_out, Ordering::Relaxed) != is_left_out
        })
    }

    /// Is there, beside the server of this place, another that may be asked?
    pub(super) fn has_another(&self, place: usize) -> bool {
        self.order(Whom::After(place)).len() > 1
    }

    /// The longest that one question may take, all tries together.
    pub(super) fn limit(&self) -> Duration {
        let tries = self.attempts.max(self.servers.len());
        let tries = u64::try_from(tries).unwrap_or(1);
        Duration::from_millis(self.try_ms.saturating_mul(tries))
    }

    /// The longest that a question may wait before it is asked.
    pub(super) fn queue_limit() -> Duration {
        QUEUE_TIME_MAX
    }

    /// Asks for records of a name. An answer with any response code is one; of several servers, the
    /// first that does not refuse or fail.
    ///
    /// # Errors
    /// No server answers in time.
    pub(super) async fn ask(
        &self,
        name: &Name,
        kind: RecordType,
        checking: Checking,
        whom: Whom,
    ) -> Result<Answered, DnsError> {
        let limit = self.limit();
        let asking = self.ask_in_turn(name, kind, checking, whom);
        match self.lanes.run(limit, asking).await {
            Ok(answered) => answered,
            Err(GivenUp::Late) => Err(DnsError::Timeout {
                name: shown(name),
                timeout_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
            }),
            Err(GivenUp::NoPlace) => Err(DnsError::Unreachable {
                name: shown(name),
                reason: "too many questions wait for answers".to_owned(),
            }),
        }
    }

    async fn ask_in_turn(
        &self,
        name: &Name,
        kind: RecordType,
        checking: Checking,
        whom: Whom,
    ) -> Result<Answered, DnsError> {
        let mut refused = None;
        let mut trouble = None;
        let mut waiting = self.order(whom);
        for _ in 0..self.attempts.max(waiting.len()) {
            let Some(place) = waiting.pop_front() else {
                break;
            };
            let Some(server) = self.servers.get(place) else {
                break;
            };
            match self.ask_one(server.address, name, kind, checking).await {
                Ok(message) if is_answer(&message) => {
                    if !matches!(whom, Whom::Only(_)) {
                        self.first.store(place, Ordering::Relaxed);
                    }
                    return Ok(Answered { message, by: place });
                }
                // It has spoken; another may know more. SERVFAIL says most: it may be that a signature does not
                // hold.
                Ok(message) => {
                    if refused.is_none() || message.metadata.response_code == ResponseCode::ServFail
                    {
                        refused = Some(Answered { message, by: place });
                    }
                }
                Err(error) => {
                    trouble = Some(error);
                    waiting.push_back(place);
                }
            }
        }
        match (refused, trouble) {
            (Some(answered), _) => Ok(answered),
            (None, Some(error)) => Err(error),
            (None, None) => Err(DnsError::Unreachable {
                name: shown(name),
                reason: "no server to ask".to_owned(),
            }),
        }
    }

    /// The servers in the order in which they are asked.
    fn order(&self, whom: Whom) -> VecDeque<usize> {
        let first = match whom {
            Whom::InTurn => self.first.load(Ordering::Relaxed),
            Whom::After(place) => place.wrapping_add(1),
            Whom::Only(place) => return VecDeque::from([place]),
        };
        let number = self.servers.len().max(1);
        let all = (0..self.servers.len()).map(|step| first.wrapping_add(step) % number);
        let is_asked = |place: &usize| {
            let server = self.servers.get(*place);
            server.is_some_and(|server| !server.is_left_out.load(Ordering::Relaxed))
        };
        let asked: VecDeque<usize> = all.clone().filter(is_asked).collect();
        if asked.is_empty() {
            all.collect()
        } else {
            asked
        }
    }

    async fn ask_one(
        &self,
        server: SocketAddr,
        name: &Name,
        kind: RecordType,
        checking: Checking,
    ) -> Result<Message, DnsError> {
        let question = question(name, kind, checking);
        let octets = question
            .to_vec()
            .map_err(|_| DnsError::BadName { name: shown(name) })?;
        let deadline = Instant::now() + Duration::from_millis(self.try_ms);
        let answered = timeout_at(deadline, async {
            let answer = over_udp(server, &question, &octets).await?;
            if answer.metadata.truncation {
                over_tcp(server, &question, &octets).await
            } else {
                Ok(answer)
            }
        });
        match answered.await {
            Ok(Ok(mut message)) => {
                // Records of other classes answer no question of ours.
                for section in [&mut message.answers, &mut message.authorities] {
                    section.retain(|record| record.dns_class == DNSClass::IN);
                }
                Ok(message)
            }
            Ok(Err(error)) => Err(DnsError::Unreachable {
                name: shown(name),
                reason: format!("{server}: {error}"),
            }),
            Err(_) => Err(DnsError::Timeout {
                name: shown(name),
                timeout_ms: self.try_ms,
            }),
        }
    }
}

/// A name for people, without the final dot.
pub(super) fn shown(name: &Name) -> String {
    let text = name.to_ascii();
    match text.strip_suffix('.') {
        Some("") | None => text,
        Some(short) => short.to_owned(),
    }
}

/// Does the code say something of the name?
fn is_answer(message: &Message) -> bool {
    matches!(
        message.metadata.response_code,
        ResponseCode::NoError | ResponseCode::NXDomain
    )
}

fn question(name: &Name, kind: RecordType, checking: Checking) -> Message {
    let mut message = Message::query();
    message.add_query(Query::query(name.clone(), kind));
    message.metadata.recursion_desired = true;
    // RFC 6840 s5.7: AD in a question asks for AD in the answer. Older resolvers go by DO alone.
    message.metadata.authentic_data = true;
    message.metadata.checking_disabled = checking == Checking::Disabled;
    let mut edns = Edns::new();
    edns.set_dnssec_ok(true).set_max_payload(UDP_OCTETS_MAX);
    message.edns = Some(edns);
    message
}

/// Is this the answer to that question? Whatever else arrives is passed over, as it may be forged.
fn answers(message: &Message, question: &Message) -> bool {
    let same = |(one, other): (&Query, &Query)| {
        one.name() == other.name()
            && one.query_type() == other.query_type()
            && one.query_class() == other.query_class()
    };
    message.metadata.id == question.metadata.id
        && message.metadata.message_type == MessageType::Response
        && message.queries.len() == question.queries.len()
        && message.queries.iter().zip(&question.queries).all(same)
}

/// Some servers leave the question out where they refuse it (FORMERR, REFUSED).
fn refuses(message: &Message, question: &Message) -> bool {
    message.metadata.id == question.metadata.id
        && message.metadata.message_type == MessageType::Response
        && message.queries.is_empty()
        && !is_answer(message)
}

async fn over_udp(server: SocketAddr, question: &Message, octets: &[u8]) -> io::Result<Message> {
    let any = match server.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    // A port of the system's choice for each question, and only the server is heard.
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(server).await?;
    socket.send(octets).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let datagram = buffer.get(..length).unwrap_or_default();
        match Message::from_vec(datagram) {
            Ok(message) if answers(&message, question) || refuses(&message, question) => {
                return Ok(message);
            }
            Ok(_) => {}
            Err(error) if starts_with_id(datagram, question) => return Err(nonsense(&error)),
            Err(_) => {}
        }
    }
}

async fn over_tcp(server: SocketAddr, question: &Message, octets: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(octets.len()).map_err(io::Error::other)?;
    // In one piece: a server may not wait for the second.
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(octets);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await?;
    let message = Message::from_vec(&buffer).map_err(|error| nonsense(&error))?;
    if message.metadata.truncation {
        return Err(io::Error::other("an answer that does not fit into TCP"));
    }
    if answers(&message, question) || refuses(&message, question) {
        Ok(message)
    } else {
        Err(io::Error::other("the answer to another question"))
    }
}

fn starts_with_id(datagram: &[u8], question: &Message) -> bool {
    datagram.starts_with(&question.metadata.id.to_be_bytes())
}

fn nonsense(error: &impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("an answer that makes no sense: {error}"))
}
