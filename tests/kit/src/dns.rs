//! The resolver: a DNS server that has an answer for everything.
//!
//! It stands in for the recursive resolver a mail host asks: it has the records it was given, follows
//! CNAMEs within them, and says of every other name that it does not exist. It speaks UDP and TCP on
//! the same port, and what it holds can be changed while it runs.
//!
//! Nothing in it is signed. A mail host does not look at signatures but trusts its resolver, which
//! says by one bit of the answer that it has found them good (RFC 7672 s2.1.1): this one says so of the
//! zones it was told are signed. The root is signed from the start, as it is in the world: by asking for
//! that, a mail host finds out whether its resolver looks at signatures at all. That the root is signed
//! says nothing of what is below it.

mod records;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use hickory_proto::{
    op::{Edns, Header, HeaderCounts, Metadata, ResponseCode},
    rr::{Name, RData, Record, rdata::SOA},
};
use hickory_server::{
    Server,
    net::runtime::Time,
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use tokio::net::{TcpListener, UdpSocket};

pub(crate) use self::records::rooted;
use self::records::{Checking, NameData, Records, Reply};
use crate::{
    shared::{PORT_ATTEMPTS_MAX, canonical, hold},
    tlsa::Tlsa,
};

/// How long answers may be kept, unless the test sets another time.
const TIME_TO_LIVE_SECONDS_DEFAULT: u32 = 60;

/// A DNS server on loopback. Stops when dropped.
///
/// Names are given with or without a dot at the end and in any case. A value that is no domain name
/// (an MX host with an empty label, say) makes the answer SERVFAIL.
pub struct DnsServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _server: Server<Handler>,
}

/// How a name misbehaves, whatever type is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsFault {
    /// The answer is SERVFAIL.
    ServFail,
    /// The answer is REFUSED.
    Refused,
    /// There is no answer.
    Silence,
    /// The resolver finds that its signatures do not hold: SERVFAIL, except to who asks it not to look at
    /// them (the CD bit).
    Bogus,
}

/// One question that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The name, lower case, without the dot at the end.
    pub name: String,
    /// The type: `TXT`, `MX`, `A`, `AAAA`, ...
    pub kind: String,
}

impl DnsServer {
    /// Starts an empty server on `127.0.0.1`, on a port of the operating system's choice.
    ///
    /// # Errors
    /// No socket can be bound.
    pub async fn start() -> io::Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts an empty server at an address. Port 0: of the operating system's choice.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start_at(address: SocketAddr) -> io::Result<Self> {
        let (udp, tcp) = bind(address).await?;
        let address = udp.local_addr()?;
        let mut state = State::default();
        state.records.time_to_live_seconds = TIME_TO_LIVE_SECONDS_DEFAULT;
        state.records.signed_zones.insert(canonical("."));
        let state = Arc::new(Mutex::new(state));
        let mut server = Server::new(Handler {
            state: Arc::clone(&state),
        });
        server.register_socket(udp);
        server.register_listener(tcp, Duration::from_secs(30), 64);
        Ok(Self {
            address,
            state,
            _server: server,
        })
    }

    /// Where it listens, for UDP and TCP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives a name these TXT records, each of one text; longer than 255 octets, it is cut into
    /// several character-strings. Takes away those it had.
    pub fn set_txt(&self, name: &str, texts: &[&str]) {
        let records = texts
            .iter()
            .map(|text| text.as_bytes().chunks(255).map(<[u8]>::to_vec).collect())
            .collect();
        self.change(name, |data| data.txt = records);
    }

    /// Gives a name one more TXT record, of exactly these character-strings of at most 255 octets.
    pub fn add_txt(&self, name: &str, strings: &[&[u8]]) {
        let record = strings.iter().map(|string| string.to_vec()).collect();
        self.change(name, |data| data.txt.push(record));
    }

    /// Gives a name these MX records, preference and host. Takes away those it had. The host `.` with
    /// preference 0 is a null MX (RFC 7505).
    pub fn set_mx(&self, name: &str, hosts: &[(u16, &str)]) {
        let records = hosts
            .iter()
            .map(|(preference, host)| (*preference, (*host).to_owned()))
            .collect();
        self.change(name, |data| data.mx = records);
    }

    /// Gives a name these addresses, A and AAAA. Takes away those it had.
    pub fn set_addresses(&self, name: &str, addresses: &[IpAddr]) {
        self.change(name, |data| data.addresses = addresses.to_vec());
    }

    /// Gives a name (`_25._tcp.mx.example.test`) these TLSA records. Takes away those it had.
    pub fn set_tlsa(&self, name: &str, records: &[Tlsa]) {
        self.change(name, |data| data.tlsa = records.to_vec());
    }

    /// From now on a zone is signed: of this name and of all below it, of what they have and of what
    /// they have not, the answer says that it is authentic, if the question wants to know.
    pub fn sign(&self, zone: &str) {
        hold(&self.state)
            .records
            .signed_zones
            .insert(canonical(zone));
    }

    /// From now on a zone is not signed. Without the root (`.`) the resolver is like one that does not
    /// look at signatures.
    pub fn unsign(&self, zone: &str) {
        hold(&self.state)
            .records
            .signed_zones
            .remove(&canonical(zone));
    }

    /// Makes a name an alias of another. Whatever else it has is not shown while it is one.
    pub fn set_cname(&self, name: &str, target: &str) {
        self.change(name, |data| data.cname = Some(target.to_owned()));
    }

    /// Takes away all that a name has, faults included. It then does not exist.
    pub fn remove(&self, name: &str) {
        hold(&self.state).records.names.remove(&canonical(name));
    }

    /// Makes a name misbehave.
    pub fn fail(&self, name: &str, fault: DnsFault) {
        self.change(name, |data| data.fault = Some(fault));
    }

    /// Lets a name behave again.
    pub fn heal(&self, name: &str) {
        self.change(name, |data| data.fault = None);
    }

    /// How long answers given from now on may be kept.
    pub fn set_time_to_live_seconds(&self, seconds: u32) {
        hold(&self.state).records.time_to_live_seconds = seconds;
    }

    /// Every question asked so far, in order.
    #[must_use]
    pub fn questions(&self) -> Vec<Question> {
        hold(&self.state).questions.clone()
    }

    /// How often this name was asked for this type (`TXT`, `MX`, ...).
    #[must_use]
    pub fn times_asked(&self, name: &str, kind: &str) -> usize {
        let name = canonical(name);
        hold(&self.state)
            .questions
            .iter()
            .filter(|question| question.name == name && question.kind == kind)
            .count()
    }

    /// Forgets the questions asked so far.
    pub fn forget_questions(&self) {
        hold(&self.state).questions.clear();
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut NameData)) {
        let mut state = hold(&self.state);
        change(state.records.names.entry(canonical(name)).or_default());
    }
}

#[derive(Default)]
struct State {
    records: Records,
    questions: Vec<Question>,
}

/// UDP and TCP on the same port.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
    let attempts = if address.port() == 0 {
        PORT_ATTEMPTS_MAX
    } else {
        1
    };
    let mut last_error = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..attempts {
        let udp = UdpSocket::bind(address).await.map_err(named)?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) => last_error = error,
        }
    }
    Err(named(last_error))
}

struct Handler {
    state: Arc<Mutex<State>>,
}

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response: R,
    ) -> ResponseInfo {
        let edns = request.edns.as_ref().map(edns_of_answer);
        let reply = if request.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
            // RFC 6891 s6.1.3: a version that is not known here.
            Reply::Code(ResponseCode::BADVERS)
        } else {
            self.reply(request)
        };
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.recursion_available = true;
        let builder = MessageResponseBuilder::new(&request.queries, edns.as_ref());
        let sent = match reply {
            Reply::Silence => None,
            Reply::Code(code) => {
                metadata.response_code = code;
                let message = builder.build_no_records(metadata);
                response.send_response(message).await.ok()
            }
            Reply::Records {
                code,
                answers,
                time_to_live_seconds,
                authentic,
            } => {
                metadata.response_code = code;
                metadata.authentic_data = authentic && wants_to_know(request);
                let start_of_authority = answers
                    .is_empty()
                    .then(|| start_of_authority(time_to_live_seconds));
                let message = builder.build(metadata, &answers, [], &start_of_authority, []);
                response.send_response(message).await.ok()
            }
        };
        sent.unwrap_or_else(|| {
            ResponseInfo::from(Header {
                metadata,
                counts: HeaderCounts::default(),
            })
        })
    }
}

impl Handler {
    fn reply(&self, request: &Request) -> Reply {
        let [query] = request.queries.queries() else {
            return Reply::Code(ResponseCode::FormErr);
        };
        let name = Name::from(query.name());
        let kind = query.query_type();
        let mut state = hold(&self.state);
        state.questions.push(Question {
            name: canonical(&name.to_ascii()),
            kind: kind.to_string(),
        });
        let checking = if request.metadata.checking_disabled {
            Checking::Disabled
        } else {
            Checking::Enabled
        };
        state.records.reply(&name, kind, checking)
    }
}

/// RFC 6891 s6.1.1: EDNS in the question is answered with EDNS, and without it there is none. The
/// answer over UDP may be as large as the client takes.
pub(crate) fn edns_of_answer(asked: &Edns) -> Edns {
    let mut edns = Edns::new();
    edns.set_dnssec_ok(asked.flags().dnssec_ok)
        .set_max_payload(asked.max_payload());
    edns
}

/// RFC 6840 s5.8: an answer is said to be authentic only where the question has the DO or AD bit.
fn wants_to_know(request: &Request) -> bool {
    let dnssec_ok = |edns: &Edns| edns.flags().dnssec_ok;
    request.metadata.authentic_data || request.edns.as_ref().is_some_and(dnssec_ok)
}

/// Goes with an answer that holds nothing, and says how long that may be believed (RFC 2308 s3).
fn start_of_authority(seconds: u32) -> Record {
    let data = SOA::new(Name::root(), Name::root(), 1, 3600, 600, 86_400, seconds);
    Record::from_rdata(Name::root(), seconds, RData::SOA(data))
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use hickory_proto::{
        op::{Message, Query},
        rr::RecordType,
        serialize::binary::BinEncodable as _,
    };
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use super::{records::rooted, *};

    fn question(name: &str, kind: RecordType) -> Message {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_str(&rooted(name)).unwrap(), kind));
        message.metadata.recursion_desired = true;
        message
    }

    fn query(name: &str, kind: RecordType) -> Vec<u8> {
        question(name, kind).to_bytes().unwrap()
    }

    async fn over_udp(server: &DnsServer, name: &str, kind: RecordType) -> Message {
        ask(server, &question(name, kind)).await
    }

    async fn ask(server: &DnsServer, question: &Message) -> Message {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let question = question.to_bytes().unwrap();
        socket.send_to(&question, server.address()).await.unwrap();
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).await.unwrap();
        Message::from_vec(&buffer[..length]).unwrap()
    }

    async fn over_tcp(server: &DnsServer, name: &str, kind: RecordType) -> Message {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let query = query(name, kind);
        stream
            .write_u16(u16::try_from(query.len()).unwrap())
            .await
            .unwrap();
        stream.write_all(&query).await.unwrap();
        let length = stream.read_u16().await.unwrap();
        let mut buffer = vec![0; usize::from(length)];
        stream.read_exact(&mut buffer).await.unwrap();
        Message::from_vec(&buffer).unwrap()
    }

    fn texts(message: &Message) -> Vec<String> {
        message
            .answers
            .iter()
            .map(|record| record.data.to_string())
            .collect()
    }

    #[tokio::test]
    async fn records_are_answered_over_udp_and_tcp() {
        let server = DnsServer::start().await.unwrap();
        server.set_txt("_mta-sts.Example.test.", &["v=STSv1; id=1;"]);
        server.set_mx(
            "example.test",
            &[(10, "mx1.example.test"), (20, "mx2.example.test.")],
        );
        server.set_addresses(
            "mx1.example.test",
            &["127.0.0.9".parse().unwrap(), "::1".parse().unwrap()],
        );

        let answer = over_udp(&server, "_MTA-STS.example.test", RecordType::TXT).await;
        assert_eq!(texts(&answer), ["v=STSv1; id=1;"]);
        assert!(answer.metadata.recursion_available);
        let answer = over_tcp(&server, "example.test", RecordType::MX).await;
        assert_eq!(
            texts(&answer),
            ["10 mx1.example.test.", "20 mx2.example.test."]
        );
        let answer = over_udp(&server, "mx1.example.test", RecordType::AAAA).await;
        assert_eq!(texts(&answer), ["::1"]);
        assert_eq!(server.times_asked("_mta-sts.example.test", "TXT"), 1);
        assert_eq!(server.questions().len(), 3);
    }

    #[tokio::test]
    async fn absence_comes_with_an_authority_and_the_right_code() {
        let server = DnsServer::start().await.unwrap();
        server.set_txt("a.b.test", &["x"]);
        for (name, code) in [
            ("nowhere.test", ResponseCode::NXDomain),
            ("b.test", ResponseCode::NoError),
            ("a.b.test", ResponseCode::NoError),
        ] {
            let answer = over_udp(&server, name, RecordType::MX).await;
            assert_eq!(answer.metadata.response_code, code, "{name}");
            assert!(answer.answers.is_empty(), "{name}");
            assert_eq!(answer.authorities.len(), 1, "{name}");
        }
    }

    #[tokio::test]
    async fn aliases_are_followed_and_loops_end() {
        let server = DnsServer::start().await.unwrap();
        server.set_cname("_mta-sts.a.test", "_mta-sts.b.test");
        server.set_txt("_mta-sts.b.test", &["v=STSv1; id=2;"]);
        server.set_cname("loop.test", "loop.test");
        let answer = over_udp(&server, "_mta-sts.a.test", RecordType::TXT).await;
        assert_eq!(texts(&answer), ["_mta-sts.b.test.", "v=STSv1; id=2;"]);
        let answer = over_udp(&server, "loop.test", RecordType::TXT).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    }

    #[tokio::test]
    async fn faults_come_and_go_while_it_runs() {
        let server = DnsServer::start().await.unwrap();
        server.set_txt("x.test", &["here"]);
        for (fault, code) in [
            (DnsFault::ServFail, ResponseCode::ServFail),
            (DnsFault::Refused, ResponseCode::Refused),
        ] {
            server.fail("x.test", fault);
            let answer = over_udp(&server, "x.test", RecordType::TXT).await;
            assert_eq!(answer.metadata.response_code, code);
        }
        server.fail("x.test", DnsFault::Silence);
        // The silent question and the next go over one socket: the only packet that comes back is
        // the answer to the second.
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let silent = query("x.test", RecordType::TXT);
        socket.send_to(&silent, server.address()).await.unwrap();
        let spoken = query("y.test", RecordType::TXT);
        socket.send_to(&spoken, server.address()).await.unwrap();
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).await.unwrap();
        let answer = Message::from_vec(&buffer[..length]).unwrap();
        assert_eq!(answer.queries[0].name().to_ascii(), "y.test.");

        server.heal("x.test");
        let answer = over_udp(&server, "x.test", RecordType::TXT).await;
        assert_eq!(texts(&answer), ["here"]);
    }

    #[tokio::test]
    async fn long_answers_are_truncated_over_udp_and_whole_over_tcp() {
        let server = DnsServer::start().await.unwrap();
        let text = "x".repeat(2000);
        server.set_txt("long.test", &[&text]);
        let answer = over_udp(&server, "long.test", RecordType::TXT).await;
        assert!(answer.metadata.truncation);
        let answer = over_tcp(&server, "long.test", RecordType::TXT).await;
        let RData::TXT(txt) = &answer.answers[0].data else {
            panic!("no TXT");
        };
        assert_eq!(txt.txt_data.concat(), text.as_bytes());
    }

    #[tokio::test]
    async fn a_signed_zone_is_authentic_to_whoever_wants_to_know() {
        let server = DnsServer::start().await.unwrap();
        server.sign("signed.test");
        server.set_mx("signed.test", &[(10, "mx.signed.test")]);
        let record = Tlsa::unusable();
        server.set_tlsa("_25._tcp.mx.signed.test", std::slice::from_ref(&record));
        server.set_cname("out.signed.test", "notsigned.test");
        server.set_mx("notsigned.test", &[(10, "mx.signed.test")]);
        server.set_txt("broken.signed.test", &["x"]);
        server.fail("broken.signed.test", DnsFault::ServFail);
        for (name, kind, expected) in [
            ("Signed.test", RecordType::MX, true),
            ("_25._tcp.mx.signed.test", RecordType::TLSA, true),
            // That there is nothing is signed too.
            ("mx.signed.test", RecordType::A, true),
            ("nowhere.signed.test", RecordType::A, true),
            ("out.signed.test", RecordType::MX, false),
            ("notsigned.test", RecordType::MX, false),
            ("broken.signed.test", RecordType::TXT, false),
        ] {
            let plain = question(name, kind);
            let answer = ask(&server, &plain).await;
            assert!(!answer.metadata.authentic_data, "{name}");
            assert!(answer.edns.is_none(), "{name}");

            let mut asks_by_ad = plain.clone();
            asks_by_ad.metadata.authentic_data = true;
            let answer = ask(&server, &asks_by_ad).await;
            assert_eq!(answer.metadata.authentic_data, expected, "{name}");

            let mut asks_by_do = plain;
            let mut edns = Edns::new();
            edns.set_dnssec_ok(true).set_max_payload(1_232);
            asks_by_do.edns = Some(edns);
            let answer = ask(&server, &asks_by_do).await;
            assert_eq!(answer.metadata.authentic_data, expected, "{name}");
            let edns = answer.edns.unwrap();
            assert!(edns.flags().dnssec_ok, "{name}");
        }
        let answer = over_udp(&server, "_25._tcp.mx.signed.test", RecordType::TLSA).await;
        let RData::TLSA(data) = &answer.answers[0].data else {
            panic!("no TLSA");
        };
        assert_eq!(*data, record.rdata());

        let mut asks = question(".", RecordType::NS);
        asks.metadata.authentic_data = true;
        assert!(ask(&server, &asks).await.metadata.authentic_data);
        server.unsign(".");
        assert!(!ask(&server, &asks).await.metadata.authentic_data);

        server.unsign("signed.test");
        let mut asks = question("signed.test", RecordType::MX);
        asks.metadata.authentic_data = true;
        assert!(!ask(&server, &asks).await.metadata.authentic_data);
    }

    #[tokio::test]
    async fn what_is_bogus_is_only_shown_to_who_does_not_want_it_checked() {
        let server = DnsServer::start().await.unwrap();
        server.sign("signed.test");
        server.set_txt("signed.test", &["x"]);
        server.fail("signed.test", DnsFault::Bogus);
        let mut asks = question("signed.test", RecordType::TXT);
        asks.metadata.authentic_data = true;
        let answer = ask(&server, &asks).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
        asks.metadata.checking_disabled = true;
        let answer = ask(&server, &asks).await;
        assert_eq!(texts(&answer), ["x"]);
        assert!(!answer.metadata.authentic_data);
    }

    #[tokio::test]
    async fn a_client_that_takes_more_gets_more_over_udp() {
        let server = DnsServer::start().await.unwrap();
        server.set_txt("long.test", &[&"x".repeat(1_000)]);
        let mut edns = Edns::new();
        edns.set_max_payload(4_096);
        let mut asks = question("long.test", RecordType::TXT);
        asks.edns = Some(edns.clone());
        let answer = ask(&server, &asks).await;
        assert!(!answer.metadata.truncation);
        assert_eq!(answer.answers.len(), 1);

        edns.set_version(1);
        asks.edns = Some(edns);
        let answer = ask(&server, &asks).await;
        // BADVERS; 16 has another name where there is TSIG.
        assert_eq!(u16::from(answer.metadata.response_code), 16);
        assert_eq!(answer.edns.unwrap().version(), 0);
    }

    #[tokio::test]
    async fn character_strings_stay_as_they_were_cut() {
        let server = DnsServer::start().await.unwrap();
        server.add_txt("cut.test", &[b"v=TLSRPTv1; rua=mai", b"lto:a@b.test"]);
        server.set_mx("null.test", &[(0, ".")]);
        let answer = over_udp(&server, "cut.test", RecordType::TXT).await;
        let RData::TXT(txt) = &answer.answers[0].data else {
            panic!("no TXT");
        };
        assert_eq!(txt.txt_data.len(), 2);
        let answer = over_udp(&server, "null.test", RecordType::MX).await;
        assert_eq!(texts(&answer), ["0 ."]);
    }
}
