//! Which hosts take mail for a domain.

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{RData, RecordType},
};

/// A stub resolver that asks one server.
pub(crate) struct Resolver(TokioResolver);

impl Resolver {
    pub(crate) fn new(server: SocketAddr) -> Result<Self, NetError> {
        let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
        for connection in &mut connections {
            connection.port = server.port();
        }
        let mut name_server = NameServerConfig::udp_and_tcp(server.ip());
        name_server.connections = connections;
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![name_server]);
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .build()
            .map(Self)
    }

    /// The mail hosts in the order of preference; the domain itself where it names none (RFC 5321
    /// s5.1).
    pub(crate) async fn mail_hosts(&self, domain: &str) -> Result<Vec<String>, String> {
        let answer = match self.0.lookup(rooted(domain), RecordType::MX).await {
            Ok(answer) => answer,
            Err(error) if error.is_no_records_found() => return Ok(vec![domain.to_owned()]),
            Err(error) => return Err(format!("MX of {domain}: {error}")),
        };
        let mut hosts: Vec<(u16, String)> = answer
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::MX(mx) => {
                    let host = mx.exchange.to_ascii();
                    Some((mx.preference, host.trim_end_matches('.').to_owned()))
                }
                _ => None,
            })
            .collect();
        // RFC 7505: a lone MX that names the root takes no mail.
        if let [(_, host)] = hosts.as_slice()
            && host.is_empty()
        {
            return Err(format!("{domain} takes no mail"));
        }
        hosts.sort();
        Ok(hosts.into_iter().map(|(_, host)| host).collect())
    }

    pub(crate) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        match self.0.lookup_ip(rooted(host)).await {
            Ok(answer) => Ok(answer.iter().collect()),
            Err(error) => Err(format!("address of {host}: {error}")),
        }
    }
}

fn rooted(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use sealpost_kit::{DnsFault, DnsServer};

    use super::*;

    #[tokio::test]
    async fn mail_hosts_come_in_their_order() {
        let dns = DnsServer::start().await.unwrap();
        let resolver = Resolver::new(dns.address()).unwrap();
        dns.set_mx("a.test", &[(20, "mx2.a.test"), (10, "mx1.a.test")]);
        dns.set_addresses("mx1.a.test", &[IpAddr::from([127, 0, 0, 9])]);
        dns.set_addresses("b.test", &[IpAddr::from([127, 0, 0, 8])]);
        dns.set_mx("null.test", &[(0, ".")]);
        dns.fail("broken.test", DnsFault::ServFail);
        assert_eq!(
            resolver.mail_hosts("a.test").await.unwrap(),
            ["mx1.a.test", "mx2.a.test"]
        );
        assert_eq!(resolver.mail_hosts("b.test").await.unwrap(), ["b.test"]);
        assert!(resolver.mail_hosts("null.test").await.is_err());
        assert!(resolver.mail_hosts("broken.test").await.is_err());
        assert_eq!(
            resolver.addresses("mx1.a.test").await.unwrap(),
            [IpAddr::from([127, 0, 0, 9])]
        );
    }
}
