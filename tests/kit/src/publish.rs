//! Putting the cases up: what each domain has in the DNS, at its policy host and at its mail hosts.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    authority::{Authority, AuthorityError, Flaw, Leaf},
    cases::{
        Blueprint, Dnssec, MailHost, Place, Preferences, Publishes, RUA, Rua, TlsaOf, TlsaPlan,
    },
    dns::{DnsFault, DnsServer},
    mx::{MxBehaviour, MxHost},
    policy_host::{Answer, PolicyHost, PolicyHosts},
    tlsa::Tlsa,
};

/// The mail host of the mailbox that reports go to.
pub(crate) const INBOX_HOST: &str = "mx.reports.test";

/// Where DNS and policy hosts are.
pub(crate) const SERVICE_ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Where nobody listens.
const EMPTY_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 66, 1);

/// The port that MTAs ask the TLSA records of.
const SMTP_PORT: u16 = 25;

/// The mail hosts of these domains and of the inbox, each on its own address, 127.0.25.1 and on.
/// Those that nobody can connect to are among them in name only, at no address of their own.
pub(crate) fn mail_hosts(
    authority: &Authority,
    blueprints: &[Blueprint],
    ipv6: Option<Ipv6Addr>,
) -> Result<Vec<MxHost>, AuthorityError> {
    let mut free = 1..=u8::MAX;
    let mut hosts = Vec::new();
    for host in blueprints
        .iter()
        .flat_map(|blueprint| &blueprint.mail_hosts)
    {
        let address = match (host.place, ipv6) {
            (Place::NobodyListens, _) | (Place::Ipv6Only, None) => continue,
            (Place::Ipv6Only, Some(address)) => Some(IpAddr::from(address)),
            (Place::Loopback, _) => free.next().map(of_number),
        };
        if let Some(address) = address {
            hosts.push(MxHost {
                name: host.name.to_owned(),
                address,
                certificate: certificate(authority, host.name, host.flaw)?,
                behaviour: host.behaviour,
            });
        }
    }
    if let Some(address) = free.next().map(of_number) {
        hosts.push(MxHost {
            name: INBOX_HOST.to_owned(),
            address,
            certificate: certificate(authority, INBOX_HOST, None)?,
            behaviour: MxBehaviour::Correct,
        });
    }
    Ok(hosts)
}

fn of_number(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 25, last])
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

/// Puts the addresses of mail hosts into the DNS: at their own names, or at those that they are aliases of.
pub(crate) fn publish_addresses(dns: &DnsServer, blueprints: &[Blueprint], hosts: &[MxHost]) {
    let planned = || {
        blueprints
            .iter()
            .flat_map(|blueprint| &blueprint.mail_hosts)
    };
    for host in hosts {
        let alias_of = planned()
            .find(|plan| plan.name == host.name)
            .and_then(|plan| plan.alias_of);
        if let Some(target) = alias_of {
            dns.set_cname(&host.name, target);
        }
        dns.set_addresses(alias_of.unwrap_or(&host.name), &[host.address]);
    }
}

/// The TLSA records that go with the mail hosts.
pub(crate) fn tlsa_records(
    authority: &Authority,
    blueprints: &[Blueprint],
    hosts: &[MxHost],
) -> TlsaOf {
    let of_authority = Tlsa::of_authority(authority);
    let planned = blueprints
        .iter()
        .flat_map(|blueprint| &blueprint.mail_hosts);
    planned
        .filter_map(|plan| {
            let host = hosts.iter().find(|host| host.name == plan.name)?;
            let matching = Tlsa::of_key(&host.certificate);
            let records = plan.tlsa.records(matching, &of_authority);
            Some((plan.name.to_owned(), records))
        })
        .collect()
}

/// Puts a domain's mail hosts and its wish for reports into the DNS. `smtp_port` is where its hosts
/// listen.
pub(crate) fn publish_mail(
    dns: &DnsServer,
    blueprint: &Blueprint,
    records: &TlsaOf,
    smtp_port: u16,
) {
    let hosts: Vec<(u16, &str)> = (1..)
        .map(|place: u16| match blueprint.preferences {
            Preferences::InOrder => place.saturating_mul(10),
            Preferences::Equal => 10,
        })
        .zip(blueprint.mail_hosts.iter().map(|host| host.name))
        .collect();
    dns.set_mx(blueprint.domain, &hosts);
    if matches!(blueprint.dnssec, Dnssec::Signed | Dnssec::MxNotHad(_)) {
        dns.sign(blueprint.domain);
    }
    if let Dnssec::MxNotHad(fault) = blueprint.dnssec {
        dns.fail(blueprint.domain, fault);
    }
    for host in &blueprint.mail_hosts {
        if blueprint.dnssec == Dnssec::HostsSigned {
            dns.sign(host.base());
        }
        publish_host(dns, host, records, smtp_port);
    }
    if blueprint.rua == Rua::Asks {
        dns.set_txt(
            &format!("_smtp._tls.{}", blueprint.domain),
            &[&format!("v=TLSRPTv1; rua=mailto:{RUA}")],
        );
    }
}

fn publish_host(dns: &DnsServer, host: &MailHost, records: &TlsaOf, smtp_port: u16) {
    if host.place == Place::NobodyListens {
        dns.set_addresses(host.name, &[EMPTY_ADDRESS.into()]);
    }
    if host.tlsa == TlsaPlan::Absent {
        return;
    }
    // RFC 7672 s2.2: the name has the port in it. A sender that is told another port by its test may
    // still ask for the one of the real world.
    for port in BTreeSet::from([SMTP_PORT, smtp_port]) {
        let name = format!("_{port}._tcp.{}", host.base());
        let records = records.get(host.name).map(Vec::as_slice);
        dns.set_tlsa(&name, records.unwrap_or_default());
        match host.tlsa {
            TlsaPlan::LookupFails => dns.fail(&name, DnsFault::ServFail),
            TlsaPlan::Bogus => dns.fail(&name, DnsFault::Bogus),
            _ => {}
        }
    }
}

/// Puts up a domain's MTA-STS record and its policy host.
pub(crate) fn publish_policy(
    dns: &DnsServer,
    policy_hosts: &PolicyHosts,
    authority: &Authority,
    blueprint: &Blueprint,
) -> Result<(), AuthorityError> {
    let (flaw, answer) = match &blueprint.publishes {
        Publishes::Nothing => return Ok(()),
        Publishes::HostDown => (None, None),
        Publishes::HostCertificateWrong => (Some(Flaw::WrongName), Some(Answer::rubbish())),
        Publishes::HostTalksRubbish => (None, Some(Answer::rubbish())),
        Publishes::HostHasNone => (None, Some(Answer::status(404))),
        Publishes::Policy(..) => (None, Some(document(&blueprint.publishes.document()))),
    };
    let host = policy_host(blueprint.domain);
    publish_id(dns, blueprint.domain, "20260101T000000");
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

/// A policy of these lines, as a policy host serves it.
pub(crate) fn document(lines: &[String]) -> Answer {
    Answer::document(&(lines.join("\r\n") + "\r\n"))
}

/// The policy host of a domain (RFC 8461 s3.3).
pub(crate) fn policy_host(domain: &str) -> String {
    format!("mta-sts.{domain}")
}

/// The record that says which policy is in force (RFC 8461 s3.1).
pub(crate) fn publish_id(dns: &DnsServer, domain: &str, id: &str) {
    dns.set_txt(
        &format!("_mta-sts.{domain}"),
        &[&format!("v=STSv1; id={id};")],
    );
}

pub(crate) fn publish_inbox(dns: &DnsServer) {
    if let Some((_, domain)) = RUA.split_once('@') {
        dns.set_mx(domain, &[(10, INBOX_HOST)]);
    }
}
