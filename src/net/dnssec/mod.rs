//! Secure DNS: what DNSSEC says of a lookup, by the word of a resolver of this machine or by our own validation.
//!
//! ```text
//! exchange  asks, over UDP and TCP
//! believed  the resolver validates, and its AD bit is believed
//! own       we validate, up to the root's keys
//! ```
//!
//! Which of them works is found out by [`validation`](crate::net::validation).

mod believed;
mod exchange;
mod families;
mod own;
mod reading;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hickory_proto::rr::{Name, RData, RecordType};

pub use self::own::{Anchors, BadAnchors};
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

    /// Looks at the root, which is signed, to find out whether this way works.
    pub async fn works(&self) -> Works {
        let looked = match &self.way {
            Way::Believed(believed) => believed.validate().await.map(|marked| {
                if marked {
                    Ok(())
                } else {
                    let reason = "a resolver does not mark the root's keys as signed (no AD bit)";
                    Err(reason.to_owned())
                }
            }),
            Way::Own(validator) => validator.validates().await,
        };
        match looked {
            Ok(Ok(())) => Works::Yes,
            Ok(Err(reason)) => Works::No(reason),
            Err(error) => Works::Unknown(error),
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

fn seconds(number: u32) -> Duration {
    Duration::from_secs(u64::from(number))
}
