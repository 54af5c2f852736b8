//! The small Internet: one DNS, the policy hosts and mail hosts of every case, and the inbox that the
//! reports arrive in.

use std::{
    io,
    net::{Ipv6Addr, SocketAddr},
};

use crate::{
    authority::{Authority, AuthorityError},
    cases::{Blueprint, Case, Cases, Place, RUA, policy_lines},
    dkim::{self, DkimError, Pass},
    dns::DnsServer,
    inbox::Inbox,
    keys::{DkimKey, KeyError},
    message::Message,
    mx::MxHosts,
    policy_host::{PolicyHost, PolicyHosts},
    publish::{
        INBOX_HOST, SERVICE_ADDRESS, document, mail_hosts, policy_host, publish_addresses,
        publish_id, publish_inbox, publish_mail, publish_policy, tlsa_records,
    },
};

/// The domain that sends mail and signs reports.
const SENDER_DOMAIN: &str = "sender.test";

/// The ports everything listens on. Zero is a port of the operating system's choice, and the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// DNS; 53 where a real MTA is to use it.
    pub dns: u16,
    /// Policy hosts; 443 there.
    pub https: u16,
    /// Mail hosts, each on its own address; 25 there.
    pub smtp: u16,
}

/// What is to be put up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Where everything listens.
    pub ports: Ports,
    /// Which recipient domains there are.
    pub cases: Cases,
    /// The address, which the machine must have, of mail hosts that have no other. Where there is
    /// none, the cases that need one are left out.
    pub ipv6: Option<Ipv6Addr>,
}

/// The small Internet would not start.
#[derive(Debug, thiserror::Error)]
pub enum InternetError {
    /// The machine: a port is taken, or not to be had without root.
    #[error("cannot listen: {0}")]
    Listen(#[from] io::Error),
    /// The machine: no certificate could be made.
    #[error(transparent)]
    Certificate(#[from] AuthorityError),
    /// The machine: no key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// The key that signs under one selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// `SELECTOR` of `SELECTOR._domainkey.sender.test`.
    pub name: String,
    /// The key; its record is in the DNS.
    pub key: DkimKey,
}

/// Everything. It stops when it is dropped.
pub struct Internet {
    /// Whom to trust.
    pub authority: Authority,
    /// The resolver.
    pub dns: DnsServer,
    /// The policy hosts.
    pub policy_hosts: PolicyHosts,
    /// The mail hosts.
    pub mx_hosts: MxHosts,
    /// The mailbox that every domain's rua names.
    pub inbox: Inbox,
    selectors: Vec<Selector>,
    cases: Vec<Case>,
}

impl Internet {
    /// Starts all of it, with the cases of the demo.
    ///
    /// # Errors
    /// A port is taken, or the machine gives no random numbers.
    pub async fn start(ports: Ports) -> Result<Self, InternetError> {
        let setup = Setup {
            ports,
            ..Setup::default()
        };
        Self::start_with(setup).await
    }

    /// Starts all of it.
    ///
    /// # Errors
    /// A port is taken, the machine has not the IPv6 address, or it gives no random numbers.
    pub async fn start_with(setup: Setup) -> Result<Self, InternetError> {
        let authority = Authority::new()?;
        let blueprints = blueprints(setup);
        let dns = DnsServer::start_at(service_address(setup.ports.dns)).await?;
        let policy_hosts = PolicyHosts::start_at(service_address(setup.ports.https)).await?;
        let mail_hosts = mail_hosts(&authority, &blueprints, setup.ipv6)?;
        publish_addresses(&dns, &blueprints, &mail_hosts);
        let records = tlsa_records(&authority, &blueprints, &mail_hosts);
        let mx_hosts = MxHosts::start(setup.ports.smtp, mail_hosts).await?;
        for blueprint in &blueprints {
            publish_mail(&dns, blueprint, &records, mx_hosts.port());
            publish_policy(&dns, &policy_hosts, &authority, blueprint)?;
        }
        publish_inbox(&dns);
        let selectors = selectors()?;
        publish_sender(&dns, &selectors);
        Ok(Self {
            inbox: Inbox::of(&mx_hosts, RUA),
            cases: blueprints
                .iter()
                .map(|blueprint| blueprint.case(&records))
                .collect(),
            authority,
            dns,
            policy_hosts,
            mx_hosts,
            selectors,
        })
    }

    /// From now on a domain has this policy, and its record this id. A domain that had none has a
    /// policy host with a good certificate then.
    ///
    /// # Errors
    /// The domain is no DNS name.
    pub fn set_policy(
        &self,
        domain: &str,
        mode: &str,
        patterns: &[&str],
        id: &str,
    ) -> Result<(), AuthorityError> {
        let host = policy_host(domain);
        let answer = document(&policy_lines(mode, patterns));
        let certificate = self.authority.issue(&[&host])?;
        self.policy_hosts.set(
            &host,
            PolicyHost {
                certificate,
                answer,
            },
        );
        self.dns.set_addresses(&host, &[SERVICE_ADDRESS.into()]);
        publish_id(&self.dns, domain, id);
        Ok(())
    }

    /// Every case with its truth.
    #[must_use]
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// The domain that sends mail and signs reports: `sender.test`. Its mail comes to the inbox's
    /// host.
    #[must_use]
    pub fn sender_domain(&self) -> &'static str {
        SENDER_DOMAIN
    }

    /// The keys that may sign for [`sender_domain`](Self::sender_domain): selector `rsa`, and
    /// selector `ed25519`.
    #[must_use]
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// Judges each DKIM signature of a message by the keys in the DNS.
    #[must_use]
    pub fn verify_dkim(&self, message: &Message) -> Vec<Result<Pass, DkimError>> {
        dkim::verify(&message.data, |name| {
            self.selectors
                .iter()
                .find(|selector| key_name(selector) == name)
                .map(|selector| selector.key.txt.clone())
        })
    }

    /// Is every signature of a message good, is there one at all, and does the sender's domain
    /// vouch for it? If not: why not.
    ///
    /// # Errors
    /// The reason, in words.
    pub fn dkim_verdict(&self, message: &Message) -> Result<(), String> {
        let signatures = self.verify_dkim(message);
        if signatures.is_empty() {
            return Err("not signed".to_owned());
        }
        for signature in signatures {
            let pass = signature.map_err(|error| error.to_string())?;
            if pass.domain != SENDER_DOMAIN {
                return Err(format!("signed by {}", pass.domain));
            }
        }
        Ok(())
    }
}

fn service_address(port: u16) -> SocketAddr {
    SocketAddr::from((SERVICE_ADDRESS, port))
}

/// The domains of the set that can be put up.
fn blueprints(setup: Setup) -> Vec<Blueprint> {
    let mut all = setup.cases.blueprints();
    if setup.ipv6.is_none() {
        all.retain(|blueprint| {
            let mut hosts = blueprint.mail_hosts.iter();
            hosts.all(|host| host.place != Place::Ipv6Only)
        });
    }
    all
}

fn publish_sender(dns: &DnsServer, selectors: &[Selector]) {
    dns.set_mx(SENDER_DOMAIN, &[(10, INBOX_HOST)]);
    dns.set_txt(SENDER_DOMAIN, &["v=spf1 ip4:127.0.0.0/8 -all"]);
    for selector in selectors {
        dns.set_txt(&key_name(selector), &[&selector.key.txt]);
    }
}

fn selectors() -> Result<Vec<Selector>, KeyError> {
    Ok(vec![
        Selector {
            name: "rsa".to_owned(),
            key: DkimKey::rsa()?,
        },
        Selector {
            name: "ed25519".to_owned(),
            key: DkimKey::ed25519()?,
        },
    ])
}

fn key_name(selector: &Selector) -> String {
    format!("{}._domainkey.{SENDER_DOMAIN}", selector.name)
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use super::*;
    use crate::tlsa::Tlsa;

    #[tokio::test]
    async fn it_starts_twice_without_root_and_gets_in_nobodys_way() {
        let one = Internet::start(Ports::default()).await.unwrap();
        let two = Internet::start(Ports::default()).await.unwrap();
        assert_ne!(one.dns.address(), two.dns.address());
        assert_ne!(one.mx_hosts.port(), two.mx_hosts.port());
        for case in one.cases() {
            if let Some(mx) = &case.mx {
                assert!(one.mx_hosts.address_of(mx).is_some(), "{mx}");
            }
        }
    }

    fn postfix(ipv6: Option<Ipv6Addr>) -> Setup {
        Setup {
            cases: Cases::Postfix,
            ipv6,
            ..Setup::default()
        }
    }

    #[tokio::test]
    async fn what_a_case_says_of_tlsa_is_what_the_mail_host_shows() {
        let internet = Internet::start_with(postfix(None)).await.unwrap();
        let of = |domain: &str| {
            let mut cases = internet.cases().iter();
            cases.find(|case| case.domain == domain).unwrap()
        };
        let certificate = internet.mx_hosts.certificate_of("mx.dane-ok.test").unwrap();
        let report = of("dane-ok.test").report.as_ref().unwrap();
        assert_eq!(report.policy_type, "tlsa");
        assert_eq!(report.policy_domain.as_deref(), Some("mx.dane-ok.test"));
        let record = Tlsa::of_key(&certificate).to_string();
        assert_eq!(report.policy_string, [record]);

        let report = of("dane-bad.test").report.as_ref().unwrap();
        assert_eq!(report.policy_string.len(), 2);
        assert!(report.policy_string.is_sorted());
        let two = of("dane-twomx.test");
        assert_eq!((two.sessions, two.elements().count()), (2, 2));
        let none = of("dane-bogus.test").report.as_ref().unwrap();
        assert!(none.policy_string.is_empty());
        let down = of("down.test");
        assert_eq!((down.sessions, &down.report), (0, &None));
        assert_eq!(internet.mx_hosts.address_of("mx.down.test"), None);
    }

    #[tokio::test]
    async fn cases_that_need_ipv6_are_there_where_there_is_an_address() {
        let without = Internet::start_with(postfix(None)).await.unwrap();
        let has = |cases: &[Case]| cases.iter().any(|case| case.domain == "ipv6.test");
        assert!(!has(without.cases()));
        let with: Vec<_> = blueprints(postfix(Some(Ipv6Addr::LOCALHOST)));
        assert_eq!(with.len(), without.cases().len() + 1);
        // No machine has an address of this block (RFC 6666).
        let foreign = "100::1".parse().unwrap();
        let error = Internet::start_with(postfix(Some(foreign))).await.err();
        let words = error.unwrap().to_string();
        assert!(words.contains("[100::1]"), "{words}");
    }

    async fn served(internet: &Internet, host: &str) -> String {
        let stream = TcpStream::connect(internet.policy_hosts.address());
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let client = internet.authority.client();
        let mut stream = client.connect(name, stream.await.unwrap()).await.unwrap();
        let request = "GET /.well-known/mta-sts.txt HTTP/1.1\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response
    }

    #[tokio::test]
    async fn a_policy_can_be_changed_while_it_runs() {
        let internet = Internet::start(Ports::default()).await.unwrap();
        let set = internet.set_policy("new.test", "enforce", &["mx.new.test"], "2");
        set.unwrap();
        let policy = served(&internet, "mta-sts.new.test").await;
        assert!(
            policy.ends_with("\r\nmode: enforce\r\nmx: mx.new.test\r\nmax_age: 604800\r\n"),
            "{policy}"
        );
        assert!(internet.set_policy("é", "none", &[], "3").is_err());
    }

    #[tokio::test]
    async fn a_message_without_a_signature_is_no_pass() {
        let internet = Internet::start(Ports::default()).await.unwrap();
        let message = Message {
            mx: INBOX_HOST.to_owned(),
            tls: true,
            helo: "x".to_owned(),
            from: String::new(),
            recipients: vec![RUA.to_owned()],
            data: b"From: a@sender.test\r\n\r\nx\r\n".to_vec(),
        };
        assert_eq!(
            internet.dkim_verdict(&message),
            Err("not signed".to_owned())
        );
    }
}
