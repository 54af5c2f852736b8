//! The small Internet: one DNS, the policy hosts and mail hosts of every case, and the inbox that the
//! reports arrive in.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use crate::{
    authority::{Authority, AuthorityError, Flaw, Leaf},
    cases::{Blueprint, Case, Publishes, RUA, Rua, blueprints},
    dkim::{self, DkimError, Pass},
    dns::DnsServer,
    inbox::Inbox,
    keys::{DkimKey, KeyError},
    message::Message,
    mx::{MxBehaviour, MxHost, MxHosts},
    policy_host::{Answer, PolicyHost, PolicyHosts},
};

/// The domain that sends mail and signs reports.
const SENDER_DOMAIN: &str = "sender.test";

/// The mail host of the mailbox that reports go to.
const INBOX_HOST: &str = "mx.reports.test";

/// Where DNS and policy hosts are.
const SERVICE_ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Where nobody listens.
const EMPTY_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 66, 1);

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
    /// Starts all of it.
    ///
    /// # Errors
    /// A port is taken, or the machine gives no random numbers.
    pub async fn start(ports: Ports) -> Result<Self, InternetError> {
        let authority = Authority::new()?;
        let blueprints = blueprints();
        let dns = DnsServer::start_at(service_address(ports.dns)).await?;
        let policy_hosts = PolicyHosts::start_at(service_address(ports.https)).await?;
        let mail_hosts = mail_hosts(&authority, &blueprints)?;
        for host in &mail_hosts {
            dns.set_addresses(&host.name, &[host.address]);
        }
        let mx_hosts = MxHosts::start(ports.smtp, mail_hosts).await?;
        for blueprint in &blueprints {
            publish_mail(&dns, blueprint);
            publish_policy(&dns, &policy_hosts, &authority, blueprint)?;
        }
        publish_inbox(&dns);
        let selectors = selectors()?;
        publish_sender(&dns, &selectors);
        Ok(Self {
            inbox: Inbox::of(&mx_hosts, RUA),
            cases: blueprints.iter().map(Blueprint::case).collect(),
            authority,
            dns,
            policy_hosts,
            mx_hosts,
            selectors,
        })
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

/// Each on its own address, 127.0.25.1 and on.
fn mail_hosts(
    authority: &Authority,
    blueprints: &[Blueprint],
) -> Result<Vec<MxHost>, AuthorityError> {
    let of_cases = blueprints
        .iter()
        .flat_map(|blueprint| &blueprint.mail_hosts)
        .map(|host| (host.name, host.flaw, host.behaviour));
    let all = of_cases.chain([(INBOX_HOST, None, MxBehaviour::Correct)]);
    all.zip(1..=u8::MAX)
        .map(|((name, flaw, behaviour), last)| {
            Ok(MxHost {
                name: name.to_owned(),
                address: IpAddr::from([127, 0, 25, last]),
                certificate: certificate(authority, name, flaw)?,
                behaviour,
            })
        })
        .collect()
}

fn certificate(
    authority: &Authority,
    name: &str,
    flaw: Option<Flaw>,
) -> Result<Leaf, AuthorityError> {
    match flaw {
        Some(flaw) => authority.issue_flawed(&[name], flaw),
        None => authority.issue(&[name]),
    }
}

fn publish_mail(dns: &DnsServer, blueprint: &Blueprint) {
    let hosts: Vec<(u16, &str)> = (1..)
        .map(|place: u16| place.saturating_mul(10))
        .zip(blueprint.mail_hosts.iter().map(|host| host.name))
        .collect();
    dns.set_mx(blueprint.domain, &hosts);
    if blueprint.rua == Rua::Asks {
        dns.set_txt(
            &format!("_smtp._tls.{}", blueprint.domain),
            &[&format!("v=TLSRPTv1; rua=mailto:{RUA}")],
        );
    }
}

fn publish_policy(
    dns: &DnsServer,
    policy_hosts: &PolicyHosts,
    authority: &Authority,
    blueprint: &Blueprint,
) -> Result<(), AuthorityError> {
    let host = format!("mta-sts.{}", blueprint.domain);
    let (flaw, answer) = match blueprint.publishes {
        Publishes::Nothing => return Ok(()),
        Publishes::HostDown => (None, None),
        Publishes::HostCertificateWrong => (Some(Flaw::WrongName), Some(Answer::rubbish())),
        Publishes::HostTalksRubbish => (None, Some(Answer::rubbish())),
        Publishes::Policy(..) => {
            let lines = blueprint.publishes.document();
            (None, Some(Answer::document(&(lines.join("\r\n") + "\r\n"))))
        }
    };
    dns.set_txt(
        &format!("_mta-sts.{}", blueprint.domain),
        &["v=STSv1; id=20260101T000000;"],
    );
    let Some(answer) = answer else {
        dns.set_addresses(&host, &[EMPTY_ADDRESS.into()]);
        return Ok(());
    };
    dns.set_addresses(&host, &[SERVICE_ADDRESS.into()]);
    let certificate = certificate(authority, &host, flaw)?;
    policy_hosts.set(
        &host,
        PolicyHost {
            certificate,
            answer,
        },
    );
    Ok(())
}

fn publish_inbox(dns: &DnsServer) {
    if let Some((_, domain)) = RUA.split_once('@') {
        dns.set_mx(domain, &[(10, INBOX_HOST)]);
    }
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
    use super::*;

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
