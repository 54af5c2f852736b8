//! Secure DNS: what DNSSEC says of a lookup, by the word of a resolver of this machine or by our own validation.
//!
//! ```text
//! exchange  asks, over UDP and TCP; lanes: how much at the same time
//! believed  the resolver validates, and its AD bit is believed
//! own       we validate, up to the root's keys
//! ```
//!
//! Which of them works is found out by [`validation`](crate::net::validation).

mod at_once;
mod believed;
mod exchange;
mod families;
mod lanes;
mod own;
mod reading;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hickory_proto::rr::{Name, RData, RecordType};

pub(crate) use self::at_once::at_once;
pub use self::own::{Anchors, BadAnchors, EXPIRED, NOT_YET_VALID};
use self::{believed::Believed, exchange::Exchange, own::Validator};
use super::{
    dns::{DnsError, Lookup, Mx, SecureDns},
    hickory::{address_of, mx_of, query_name, tlsa_of},
};
use crate::{
    clock::{BoxFuture, Clock},
    config::DnsConfig,
    policy::dane::TlsaRecord,
};

/// A resolver that says what DNSSEC says.
pub struct SecureResolver {
    way: Way,
}

enum Way {
    Believed(Believed),
    Own(Box<Validator>),
}

/// What a look at a way to validate came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Works {
    /// It works.
    Yes,
    /// It does not, and that is how these resolvers are. In words.
    No(String),
    /// There was no answer that says anything.
    Unknown(DnsError),
}

/// What a look at one server came to: it is of use; it is not, in words; or there is no answer that says anything.
type Looked = Result<Result<(), String>, DnsError>;

/// A look at one server takes no longer. A start waits for it.
const LOOK_TIME_MAX: Duration = Duration::from_secs(10);

impl SecureResolver {
    /// One that believes what resolvers of this machine say by the AD bit.
    ///
    /// # Errors
    /// The first server that is not of this machine.
    pub fn believing(servers: Vec<SocketAddr>, config: &DnsConfig) -> Result<Self, SocketAddr> {
        let believed = Believed::new(Exchange::new(servers, config))?;
        Ok(Self {
            way: Way::Believed(believed),
        })
    }

    /// One that validates itself what the servers pass on.
    #[must_use]
    pub fn validating(
        servers: Vec<SocketAddr>,
        config: &DnsConfig,
        anchors: Anchors,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let validator = Validator::new(Exchange::new(servers, config), anchors, clock);
        Self {
            way: Way::Own(Box::new(validator)),
        }
    }

    /// Goes by these anchors from now on. What was proven by others is forgotten.
    pub fn trust(&self, anchors: Anchors) {
        if let Way::Own(validator) = &self.way {
            validator.trust(anchors);
        }
    }

    /// Looks at the root, which is signed, to find out whether this way works. All servers are asked at once, each
    /// for no longer than ten seconds.
    pub async fn works(&self) -> Works {
        match &self.way {
            // Each that answers must validate: where one finds that signatures do not hold, the next is asked, and
            // would hand out what the first refused.
            Way::Believed(believed) => {
                let looks = believed.look_at_each().await;
                no(&looks)
                    .or_else(|| yes(&looks))
                    .unwrap_or_else(|| unknown(looks))
            }
            // One that passes on what is signed is enough: the others are left out.
            Way::Own(validator) => {
                let looks = validator.look_at_each().await;
                yes(&looks)
                    .or_else(|| no(&looks))
                    .unwrap_or_else(|| unknown(looks))
            }
        }
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Lookup<RData> {
        match query_name(name) {
            Ok(name) => self.ask_for(&name, kind).await,
            Err(error) => Lookup::Failed(error),
        }
    }

    async fn ask_for(&self, name: &Name, kind: RecordType) -> Lookup<RData> {
        match &self.way {
            Way::Believed(believed) => believed.lookup(name, kind).await,
            Way::Own(validator) => validator.lookup(name, kind).await,
        }
    }
}

impl SecureDns for SecureResolver {
    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Lookup<Mx>> {
        Box::pin(async move {
            let lookup = self.ask(name, RecordType::MX).await;
            let mut lookup = lookup.map_values(|data| mx_of(&data));
            if let Lookup::Secure(found) | Lookup::Insecure(found) = &mut lookup {
                found.values.sort();
            }
            lookup
        })
    }

    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Lookup<IpAddr>> {
        Box::pin(async move {
            let four = self.ask(name, RecordType::A);
            let six = self.ask(name, RecordType::AAAA);
            let (four, six) = tokio::join!(four, six);
            families::together(
                four.map_values(|data| address_of(&data)),
                six.map_values(|data| address_of(&data)),
            )
        })
    }

    fn alias<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Lookup<String>> {
        Box::pin(async move {
            let lookup = self.ask(name, RecordType::CNAME).await;
            lookup.map_values(|data| match data {
                RData::CNAME(alias) => Some(exchange::shown(&alias.0).to_ascii_lowercase()),
                _ => None,
            })
        })
    }

    fn tlsa<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Lookup<TlsaRecord>> {
        Box::pin(async move {
            let lookup = self.ask(name, RecordType::TLSA).await;
            lookup.map_values(|data| tlsa_of(&data))
        })
    }
}

/// One server is of use.
fn yes(looks: &[Looked]) -> Option<Works> {
    let mut looks = looks.iter();
    looks
        .any(|look| matches!(look, Ok(Ok(()))))
        .then_some(Works::Yes)
}

/// One server is of no use: why.
fn no(looks: &[Looked]) -> Option<Works> {
    looks.iter().find_map(|look| match look {
        Ok(Err(reason)) => Some(Works::No(reason.clone())),
        _ => None,
    })
}

/// No server says anything.
fn unknown(looks: Vec<Looked>) -> Works {
    let error = looks.into_iter().find_map(Result::err);
    Works::Unknown(error.unwrap_or_else(|| DnsError::Unreachable {
        name: exchange::shown(&Name::root()),
        reason: "no server to ask".to_owned(),
    }))
}

/// A look, or that it took too long.
async fn in_time(look: impl Future<Output = Looked>) -> Looked {
    let looked = tokio::time::timeout(LOOK_TIME_MAX, look).await;
    looked.unwrap_or_else(|_| {
        Err(DnsError::Timeout {
            name: exchange::shown(&Name::root()),
            timeout_ms: u64::try_from(LOOK_TIME_MAX.as_millis()).unwrap_or(u64::MAX),
        })
    })
}

fn seconds(number: u32) -> Duration {
    Duration::from_secs(u64::from(number))
}
