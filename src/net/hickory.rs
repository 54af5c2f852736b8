//! DNS by hickory-resolver, a stub that asks the configured resolvers over UDP, and over TCP where
//! an answer does not fit.
//!
//! It keeps no cache: how long an answer is relied on is for the keeper to decide, so that a new
//! policy id is followed as soon as the resolver has it (B30). The hosts file is not read and no
//! search domain is tried: recipient domains are names of the public DNS.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    lookup::Lookup,
    net::{DnsError as HickoryDnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{Name, RData, RecordType},
    },
};

use super::dns::{Answer, Dns, DnsError, Mx};
use crate::{clock::BoxFuture, config::DnsConfig, policy::dane::TlsaRecord};

/// A stub resolver.
#[derive(Clone, Debug)]
pub struct HickoryDns {
    resolver: TokioResolver,
    /// The longest that one lookup may take, all tries together.
    timeout_ms: u64,
}

/// Why there is no resolver. The operator must act.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolverError {
    /// No server is configured and the system's list cannot be read.
    #[error("dns.servers is empty, and {path} cannot be read: {error}")]
    ResolvConf {
        /// The file.
        path: &'static str,
        /// Why.
        error: Arc<io::Error>,
    },
    /// No server is configured and the system's list has none.
    #[error("dns.servers is empty, and {path} names no server")]
    NoServers {
        /// The file.
        path: &'static str,
    },
    /// The resolver refuses the settings.
    #[error("the resolver cannot be set up: {0}")]
    Setup(String),
}

/// The list of the system's resolvers.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Where the system's list gives no port.
pub(super) const DNS_PORT: u16 = 53;

/// How long absence may be kept where the answer does not say (no SOA in it).
const ABSENCE_SECONDS: u32 = 60;

/// More lookups than this are not sent over one connection at once; the rest is told to come again.
const LOOKUPS_AT_ONCE_MAX: usize = 1_024;

impl HickoryDns {
    /// A resolver that asks the configured servers, or those of `/etc/resolv.conf`.
    ///
    /// # Errors
    /// When there is no server to ask.
    pub fn new(config: &DnsConfig) -> Result<Self, ResolverError> {
        let name_servers = servers(config)?.into_iter().map(name_server).collect();
        let mut builder = TokioResolver::builder_with_config(
            ResolverConfig::from_parts(None, Vec::new(), name_servers),
            TokioRuntimeProvider::default(),
        );
        *builder.options_mut() = options(config);
        let resolver = builder
            .build()
            .map_err(|error| ResolverError::Setup(error.to_string()))?;
        let attempts = u64::from(config.attempts.max(1));
        Ok(Self {
            resolver,
            timeout_ms: config.timeout_ms.max(1).saturating_mul(attempts),
        })
    }

    async fn ask<T>(
        &self,
        name: &str,
        record_type: RecordType,
        value: impl Fn(&RData) -> Option<T>,
    ) -> Result<Answer<T>, DnsError> {
        let fully_qualified = query_name(name)?;
        let lookup = self.resolver.lookup(fully_qualified, record_type);
        let limit = Duration::from_millis(self.timeout_ms);
        // hickory bounds each try; this bounds them all, whatever it does between them.
        let answered = tokio::time::timeout(limit, lookup).await;
        match answered.unwrap_or(Err(NetError::Timeout)) {
            Ok(lookup) => Ok(answer(&lookup, value)),
            Err(error) => self.absence_or_error(name, &error),
        }
    }

    fn absence_or_error<T>(&self, name: &str, error: &NetError) -> Result<Answer<T>, DnsError> {
        let name = name.to_owned();
        match error {
            // hickory also says so of an answer with a code it does not know.
            NetError::Dns(HickoryDnsError::NoRecordsFound(absence))
                if !matches!(
                    absence.response_code,
                    ResponseCode::NoError | ResponseCode::NXDomain
                ) =>
            {
                Err(DnsError::Server {
                    name,
                    code: format!("{:?}", absence.response_code).to_uppercase(),
                })
            }
            // RFC 2308 s2.2: only name servers and no SOA is a referral, from a server that does not
            // recurse. It says nothing of the name.
            NetError::Dns(HickoryDnsError::NoRecordsFound(absence))
                if absence.soa.is_none() && absence.ns.is_some() =>
            {
                Err(DnsError::Server {
                    name,
                    code: "with a referral, as a server that does not recurse".to_owned(),
                })
            }
            // RFC 2308 s2: NXDOMAIN and NODATA. Both are answers.
            NetError::Dns(HickoryDnsError::NoRecordsFound(absence)) => Ok(Answer {
                values: Vec::new(),
                time_to_live: seconds(absence.negative_ttl.unwrap_or(ABSENCE_SECONDS)),
            }),
            NetError::Dns(HickoryDnsError::ResponseCode(code)) => Err(DnsError::Server {
                name,
                // SERVFAIL, REFUSED: as dig and the RFCs write them.
                code: format!("{code:?}").to_uppercase(),
            }),
            NetError::Timeout => Err(DnsError::Timeout {
                name,
                timeout_ms: self.timeout_ms,
            }),
            NetError::Io(_) | NetError::NoConnections | NetError::Busy => {
                Err(DnsError::Unreachable {
                    name,
                    reason: error.to_string(),
                })
            }
            other => Err(DnsError::Server {
                name,
                code: format!("something that makes no sense: {other}"),
            }),
        }
    }
}

impl Dns for HickoryDns {
    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Vec<u8>>, DnsError>> {
        Box::pin(self.ask(name, RecordType::TXT, |data| match data {
            // RFC 8460 s3, RFC 8461 s3.1: character-strings are joined without a separator.
            RData::TXT(txt) => Some(txt.txt_data.concat()),
            _ => None,
        }))
    }

    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Mx>, DnsError>> {
        Box::pin(async move {
            let mut found = self.ask(name, RecordType::MX, mx_of).await?;
            found.values.sort();
            Ok(found)
        })
    }

    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<IpAddr>, DnsError>> {
        Box::pin(async move {
            let four = self.ask(name, RecordType::A, address_of);
            let six = self.ask(name, RecordType::AAAA, address_of);
            let (four, six) = tokio::join!(four, six);
            match (four, six) {
                (Ok(mut four), Ok(six)) => {
                    four.values.extend(six.values);
                    four.time_to_live = four.time_to_live.min(six.time_to_live);
                    Ok(four)
                }
                // One family that can be used is enough; none of one and an error of the other
                // says nothing.
                (Ok(answer), Err(_)) | (Err(_), Ok(answer)) if !answer.values.is_empty() => {
                    Ok(answer)
                }
                (Err(error), _) | (_, Err(error)) => Err(error),
            }
        })
    }

    fn tlsa<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<TlsaRecord>, DnsError>> {
        Box::pin(self.ask(name, RecordType::TLSA, tlsa_of))
    }
}

/// The value of an MX record.
pub(super) fn mx_of(data: &RData) -> Option<Mx> {
    let RData::MX(mx) = data else {
        return None;
    };
    let exchange = mx.exchange.to_ascii();
    Some(Mx {
        preference: mx.preference,
        exchange: exchange.strip_suffix('.').unwrap_or(&exchange).to_owned(),
    })
}

/// The value of an A or AAAA record.
pub(super) fn address_of(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }
}

/// The value of a TLSA record.
pub(super) fn tlsa_of(data: &RData) -> Option<TlsaRecord> {
    let RData::TLSA(tlsa) = data else {
        return None;
    };
    Some(TlsaRecord {
        usage: tlsa.cert_usage.into(),
        selector: tlsa.selector.into(),
        matching: tlsa.matching.into(),
        association: tlsa.cert_data.clone(),
    })
}

fn options(config: &DnsConfig) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = Duration::from_millis(config.timeout_ms.max(1));
    // hickory counts the tries after the first.
    let retries = config.attempts.saturating_sub(1);
    options.attempts = usize::try_from(retries).unwrap_or(usize::MAX);
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.max_active_requests = LOOKUPS_AT_ONCE_MAX;
    options
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let on_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![
        on_port(ConnectionConfig::udp()),
        on_port(ConnectionConfig::tcp()),
    ];
    NameServerConfig::new(address.ip(), true, connections)
}

/// The servers that the configuration or the system names.
///
/// # Errors
/// When there is none.
pub fn servers(config: &DnsConfig) -> Result<Vec<SocketAddr>, ResolverError> {
    let servers = if config.servers.is_empty() {
        let text = fs::read_to_string(RESOLV_CONF).map_err(|error| ResolverError::ResolvConf {
            path: RESOLV_CONF,
            error: Arc::new(error),
        })?;
        system_servers(&text)
    } else {
        config.servers.clone()
    };
    if servers.is_empty() {
        return Err(ResolverError::NoServers { path: RESOLV_CONF });
    }
    Ok(servers)
}

/// The servers of a `resolv.conf`. Its other options are for short names typed by people.
pub(super) fn system_servers(text: &str) -> Vec<SocketAddr> {
    let addresses = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let address = words
            .next()
            .filter(|word| *word == "nameserver")
            .and(words.next())?;
        let parsed: Result<IpAddr, _> = address.parse();
        if parsed.is_err() {
            tracing::warn!(
                address,
                file = RESOLV_CONF,
                "name server passed over: not an address"
            );
        }
        parsed.ok()
    });
    addresses
        .map(|address| SocketAddr::new(address, DNS_PORT))
        .collect()
}

/// The name as the DNS has it; the final dot keeps search domains away.
pub(super) fn query_name(name: &str) -> Result<Name, DnsError> {
    let labels = name.strip_suffix('.').unwrap_or(name).split('.');
    Name::from_labels(labels.map(str::as_bytes)).map_err(|_| DnsError::BadName {
        name: name.to_owned(),
    })
}

fn answer<T>(lookup: &Lookup, value: impl Fn(&RData) -> Option<T>) -> Answer<T> {
    let records = lookup.answers();
    // The time to live of a CNAME on the way counts too.
    let least = records.iter().map(|record| record.ttl).min();
    Answer {
        values: records
            .iter()
            .filter_map(|record| value(&record.data))
            .collect(),
        time_to_live: seconds(least.unwrap_or(0)),
    }
}

fn seconds(number: u32) -> Duration {
    Duration::from_secs(u64::from(number))
}

#[cfg(test)]
mod tests {
    use hickory_resolver::{net::NoRecords, proto::op::Query};

    use super::*;

    #[test]
    fn servers_of_the_system_are_read() {
        let text = "# nameserver 192.0.2.9\nsearch example.org\nnameserver 192.0.2.1\n\
                    nameserver\t2001:db8::1 # second\nnameserver none\nnameserver\noptions ndots:5\n";
        let servers: Vec<_> = system_servers(text)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(servers, ["192.0.2.1:53", "[2001:db8::1]:53"]);
    }

    #[test]
    fn a15_only_what_a_resolver_knows_is_absence() {
        let dns = HickoryDns::new(&DnsConfig {
            servers: vec!["127.0.0.1:53".parse().unwrap()],
            ..DnsConfig::default()
        });
        let dns = dns.unwrap();
        let none = |code| NoRecords::new(Query::default(), code);
        let mut referral = none(ResponseCode::NoError);
        referral.ns = Some(Arc::from([]));
        for (absence, expected) in [
            (none(ResponseCode::NoError), true),
            (none(ResponseCode::NXDomain), true),
            (none(ResponseCode::Unknown(3_841)), false),
            (none(ResponseCode::ServFail), false),
            (referral, false),
        ] {
            let error = NetError::from(absence);
            let answer = dns.absence_or_error::<()>("example.org", &error);
            assert_eq!(answer.is_ok(), expected, "{error:?}");
        }
    }

    #[test]
    fn names_that_cannot_be_asked_for_are_refused() {
        for name in ["", "a..b", &"a".repeat(64), &"a.".repeat(130)] {
            let error = query_name(name);
            assert!(matches!(error, Err(DnsError::BadName { .. })), "{name}");
        }
        let name = query_name("_mta-sts.a_b.xn--bcher-kva.example").unwrap();
        assert_eq!(name.to_ascii(), "_mta-sts.a_b.xn--bcher-kva.example.");
    }
}
