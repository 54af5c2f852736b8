//! A small signed Internet: a root, the zone `test` and the zones below, with signatures that a client
//! can check up to the root's key.
//!
//! [`DnsServer`](crate::DnsServer) says by one bit that it has looked at signatures, and has none. This
//! server is the other kind: a recursive resolver that looks at nothing, hands out the records with
//! their signatures (RFC 4035 s3.2.1) and the proofs of what is not there, and never sets that bit. Who
//! asks it must judge for himself, and there is a lot to judge: zones that are not signed, signatures
//! that do not hold, that are too old or too new, keys that the zone above does not know, answers that
//! prove nothing.
//!
//! ```no_run
//! # async fn example() -> Result<(), sealpost_kit::SignedInternetError> {
//! use sealpost_kit::{Denial, SignatureFault, SignedInternet, Zone};
//!
//! let internet = SignedInternet::builder()
//!     .zone("ok.test", Zone::signed().mx("ok.test", &[(10, "mx.ok.test")]))
//!     .zone("plain.test", Zone::unsigned())
//!     .zone("old.test", Zone::signed().denial(Denial::Nsec3).spoil_all(SignatureFault::Expired))
//!     .start()
//!     .await?;
//! let trusted = internet.anchor_dnskey();
//! # Ok(())
//! # }
//! ```
//!
//! A [`Relay`] hands out the same, and loses some of it on the way. The same zones can be written as files for a real name server.

mod denial;
mod key;
mod master_file;
mod relay;
mod served;
mod world;
mod zone;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hickory_proto::{
    dnssec::PublicKey as _,
    op::{Header, HeaderCounts, Metadata, ResponseCode},
    rr::{Name, Record, RecordType},
};
use hickory_server::{
    Server,
    net::runtime::Time,
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};

pub use self::{
    master_file::{MasterFile, MasterFileError},
    relay::{Relay, Relaying},
    zone::{Delegation, Denial, SignatureFault, Zone, ZoneError},
};
use self::{
    world::{Blueprint, Reply, World},
    zone::name,
};
use crate::{
    dns::{Question, bind, edns_of_answer},
    shared::{canonical, hold},
};

/// How long answers may be kept, unless the test sets another time.
const TIME_TO_LIVE_SECONDS_DEFAULT: u32 = 60;

/// The signed Internet. Stops when dropped.
pub struct SignedInternet {
    address: SocketAddr,
    anchor_dnskey: String,
    anchor_ds: String,
    state: Arc<Mutex<State>>,
    _server: Server<Handler>,
}

/// What it is made of. The root and `test` are there and signed, whether they are named or not.
#[derive(Clone, Debug)]
pub struct SignedInternetBuilder {
    zones: Vec<(String, Zone)>,
    name_server: Option<IpAddr>,
    time_to_live_seconds: u32,
}

/// It cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum SignedInternetError {
    /// The test: the zones are not as zones must be.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// The machine: no socket.
    #[error("DNS server: {0}")]
    Socket(#[from] io::Error),
}

impl SignedInternetBuilder {
    /// With this zone. One of the same name is replaced.
    #[must_use]
    pub fn zone(mut self, apex: &str, zone: Zone) -> Self {
        self.zones.push((apex.to_owned(), zone));
        self
    }

    /// With this address for `ns.test`, the name server that all zones name. 127.0.0.1 otherwise. This
    /// server need not be there; it is for the master files.
    #[must_use]
    pub fn name_server(mut self, address: IpAddr) -> Self {
        self.name_server = Some(address);
        self
    }

    /// With this time to live of every record and every absence. A minute otherwise.
    #[must_use]
    pub fn time_to_live_seconds(mut self, seconds: u32) -> Self {
        self.time_to_live_seconds = seconds;
        self
    }

    /// Signs the zones and starts the server on `127.0.0.1`, on a port of the operating system's choice.
    ///
    /// # Errors
    /// The zones are not as zones must be, or no socket can be bound.
    pub async fn start(self) -> Result<SignedInternet, SignedInternetError> {
        self.start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Signs the zones and starts the server at an address. Port 0: of the operating system's choice.
    ///
    /// # Errors
    /// The zones are not as zones must be, or the address cannot be bound.
    pub async fn start_at(
        self,
        address: SocketAddr,
    ) -> Result<SignedInternet, SignedInternetError> {
        let mut blueprint = Blueprint::new(&self.zones)?;
        blueprint.time_to_live_seconds = self.time_to_live_seconds;
        if let Some(address) = self.name_server {
            blueprint.name_server = address;
        }
        let world = blueprint.build()?;
        let (anchor_dnskey, anchor_ds) = anchors(&blueprint)?;
        let state = Arc::new(Mutex::new(State {
            blueprint,
            world,
            questions: Vec::new(),
        }));
        let (udp, tcp) = bind(address).await?;
        let address = udp.local_addr()?;
        let mut server = Server::new(Handler {
            state: Arc::clone(&state),
            relaying: Arc::default(),
        });
        server.register_socket(udp);
        server.register_listener(tcp, Duration::from_secs(30), 64);
        Ok(SignedInternet {
            address,
            anchor_dnskey,
            anchor_ds,
            state,
            _server: server,
        })
    }
}

impl SignedInternet {
    /// An Internet with a signed root and a signed zone `test`, both empty.
    #[must_use]
    pub fn builder() -> SignedInternetBuilder {
        SignedInternetBuilder {
            zones: Vec::new(),
            name_server: None,
            time_to_live_seconds: TIME_TO_LIVE_SECONDS_DEFAULT,
        }
    }

    /// Where it listens, for UDP and TCP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The root's key, as a line of a zone file: `. 3600 IN DNSKEY 257 3 13 ...`.
    #[must_use]
    pub fn anchor_dnskey(&self) -> &str {
        &self.anchor_dnskey
    }

    /// The digest of the root's key, as a line of a zone file: `. 3600 IN DS 12345 13 2 ...`.
    #[must_use]
    pub fn anchor_ds(&self) -> &str {
        &self.anchor_ds
    }

    /// Puts this zone in the place of the one of this name, or adds it. Keys stay as they are.
    ///
    /// # Errors
    /// The zones are then not as zones must be; they stay as they were.
    pub fn replace_zone(&self, apex: &str, zone: Zone) -> Result<(), ZoneError> {
        let apex = name(apex)?;
        let mut state = hold(&self.state);
        let before = state.blueprint.zones.insert(apex.clone(), zone);
        match state.blueprint.build() {
            Ok(world) => {
                state.world = world;
                Ok(())
            }
            Err(error) => {
                match before {
                    Some(zone) => state.blueprint.zones.insert(apex, zone),
                    None => state.blueprint.zones.remove(&apex),
                };
                Err(error)
            }
        }
    }

    /// Every question asked so far, in order.
    #[must_use]
    pub fn questions(&self) -> Vec<Question> {
        hold(&self.state).questions.clone()
    }

    /// How often this name was asked for this type (`TLSA`, `MX`, ...).
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

    /// Writes each zone, signed as it is served, as a master file into a directory.
    ///
    /// # Errors
    /// The disk.
    pub fn write_master_files(&self, directory: &Path) -> Result<Vec<MasterFile>, MasterFileError> {
        hold(&self.state).world.write(directory)
    }
}

struct State {
    blueprint: Blueprint,
    world: World,
    questions: Vec<Question>,
}

struct Handler {
    state: Arc<Mutex<State>>,
    relaying: Arc<Mutex<Relaying>>,
}

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response: R,
    ) -> ResponseInfo {
        let edns = request.edns.as_ref().map(edns_of_answer);
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.recursion_available = true;
        let builder = MessageResponseBuilder::new(&request.queries, edns.as_ref());
        let mut reply = self.reply(request);
        hold(&self.relaying).apply(&mut reply, &mut metadata);
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
                authorities,
            } => {
                metadata.response_code = code;
                let message = builder.build(metadata, &answers, &authorities, [], []);
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
        let asked = Name::from(query.name());
        let kind = query.query_type();
        let mut state = hold(&self.state);
        state.questions.push(Question {
            name: canonical(&asked.to_ascii()),
            kind: kind.to_string(),
        });
        let mut reply = state
            .world
            .reply(&asked, kind)
            .unwrap_or(Reply::Code(ResponseCode::ServFail));
        let edns = request.edns.as_ref();
        if !edns.is_some_and(|edns| edns.flags().dnssec_ok) {
            reply.leave_out_signatures(kind);
        }
        reply
    }
}

impl Reply {
    /// RFC 4035 s3.2.1: who does not ask for signatures gets none.
    fn leave_out_signatures(&mut self, asked: RecordType) {
        let stays = |record: &Record| {
            let kind = record.record_type();
            let of_dnssec = [RecordType::RRSIG, RecordType::NSEC, RecordType::NSEC3];
            kind == asked || !of_dnssec.contains(&kind)
        };
        if let Self::Records {
            answers,
            authorities,
            ..
        } = self
        {
            answers.retain(stays);
            authorities.retain(stays);
        }
    }
}

/// The root's key, and its digest, as lines of a zone file.
fn anchors(blueprint: &Blueprint) -> Result<(String, String), ZoneError> {
    let key = blueprint.root_key()?;
    let octets = BASE64_STANDARD.encode(key.public.public_key().public_bytes());
    let dnskey = format!(". 3600 IN DNSKEY 257 3 13 {octets}");
    let delegation_signer = key.delegation_signer(&Name::root(), Delegation::Secure)?;
    let ds = delegation_signer.ok_or(ZoneError::Key)?;
    let digest: String = ds
        .digest()
        .iter()
        .map(|octet| format!("{octet:02X}"))
        .collect();
    let ds = format!(". 3600 IN DS {} 13 2 {digest}", ds.key_tag());
    Ok((dnskey, ds))
}

#[cfg(test)]
mod tests;
