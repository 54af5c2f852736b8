//! The way out: can reports leave, and does port 25 lead out of this network?
//!
//! Mail servers are spoken to as far as EHLO and QUIT. No mailbox is named, and nothing is sent.

use std::{fs, net::SocketAddr, os::unix::fs::MetadataExt as _, path::PathBuf, time::Duration};

use super::{
    access::{NOBODY_KNOWN, Reach, Want, reach, steps},
    finding::{Examined, traps},
    scene::Scene,
};
use crate::{
    config::{Config, Via},
    net::{
        address_guard::is_this_machine,
        dns::Dns,
        smtp::greeting::{Unspoken, greet},
    },
    report::submitter::mailbox,
};

traps! {
    RELAY_DOWN = "relay-unreachable", Trouble,
        "The relay that reports go through cannot be connected to, or says nothing: reports wait, and are given up \
         after deliver.give_up_seconds.",
        "See that the mail server listens there, or set deliver.relay.";
    RELAY_REFUSES = "relay-refuses", Trouble,
        "The relay answers that it does not want us: its rules do not let this host in.",
        "Let this host in (mynetworks of Postfix, relay_from_hosts of Exim), or take another relay.";
    SENDMAIL_UNUSABLE = "sendmail-unusable", Trouble,
        "The program that reports are handed to is not there, or the daemon's user may not run it: reports wait, and \
         are given up after deliver.give_up_seconds.",
        "Set deliver.sendmail to the MTA's own program, or deliver.via to another way.";
    SENDMAIL_POWERLESS = "sendmail-without-privileges", Trouble,
        "The program has privileges of its own, by which it puts mail into the MTA's queue, and the daemon runs so \
         that what it starts has none (NoNewPrivileges= of systemd): no report gets into the queue.",
        "Set deliver.via = \"relay\", which needs none; or NoNewPrivileges=no in the daemon's unit.";
    PORT_25_BLOCKED = "port-25-blocked", Trouble,
        "No mail server outside can be connected to on port 25, though their names are found: the network or the \
         provider of this machine lets no mail out. Neither mail nor reports leave by themselves.",
        "Ask the provider to open port 25, or send through a relay that it offers.";
    MAIL_HOST_DOWN = "mail-host-unreachable", Warning,
        "The one mail server that was tried does not let itself be spoken to. It may be down, or port 25 may be \
         closed on the way.",
        "Try others: `sealpost doctor way-out --mail-host HOST --mail-host HOST`.";
}

/// How long one mail server may take.
const TIME_MAX: Duration = Duration::from_secs(5);

/// How many are tried.
const HOSTS_MAX: usize = 4;

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// The relay, and what it said.
    pub(super) relay: Option<(String, Result<String, Unspoken>)>,
    /// The program that reports are handed to.
    pub(super) sendmail: Option<Sendmail>,
    /// Mail leaves this machine by port 25, and why that is known.
    pub(super) outside: Outside,
}

/// The program that reports are handed to.
#[derive(Clone, Debug)]
pub(super) struct Sendmail {
    pub(super) program: PathBuf,
    /// Whether the daemon's user may run it.
    pub(super) reach: Reach,
    /// It, or what it starts, runs as another user or group than who starts it (set-user-id, set-group-id).
    pub(super) is_privileged: bool,
    /// The daemon's children have no privileges of their own; nothing where that cannot be seen.
    pub(super) no_new_privileges: Option<bool>,
}

/// What was tried of port 25.
#[derive(Clone, Debug)]
pub(super) enum Outside {
    /// Mail does not leave by it here, for this reason.
    NotNeeded(String),
    /// There was no server to try, for this reason.
    NotTried(String),
    /// Each server, with its address, and what it said.
    Tried(Vec<(String, Result<String, Unspoken>)>),
}

pub(super) fn judge(facts: &Facts) -> Examined {
    let mut examined = Examined::default();
    match &facts.relay {
        None => {}
        Some((relay, Ok(greeting))) => examined.well(format!("{relay} says {greeting}")),
        Some((relay, Err(error @ Unspoken::Unwanted(_)))) => {
            examined.found(RELAY_REFUSES, format!("{relay}: {error}"));
        }
        Some((relay, Err(error))) => examined.found(RELAY_DOWN, format!("{relay}: {error}")),
    }
    if let Some(sendmail) = &facts.sendmail {
        judge_sendmail(sendmail, &mut examined);
    }
    match &facts.outside {
        Outside::NotNeeded(why) => examined.well(why.clone()),
        Outside::NotTried(why) => examined.unknown(format!(
            "whether port 25 leads out: {why}; name a mail host outside with --mail-host"
        )),
        Outside::Tried(hosts) => judge_hosts(hosts, &mut examined),
    }
    examined
}

fn judge_sendmail(sendmail: &Sendmail, examined: &mut Examined) {
    let shown = sendmail.program.display();
    match &sendmail.reach {
        Reach::Yes => examined.well(format!("{shown} can be run")),
        Reach::No(why) => examined.found(SENDMAIL_UNUSABLE, why.clone()),
        Reach::NotKnown(why) => examined.unknown(format!("{shown}: {why}")),
    }
    if sendmail.is_privileged && sendmail.no_new_privileges == Some(true) {
        let seen = format!("{shown} needs privileges of its own, and the daemon has NoNewPrivs");
        examined.found(SENDMAIL_POWERLESS, seen);
    }
}

fn judge_hosts(hosts: &[(String, Result<String, Unspoken>)], examined: &mut Examined) {
    // One that was connected to is enough, whatever it said.
    let is_through = |said: &Result<String, Unspoken>| {
        !matches!(said, Err(Unspoken::Swallowed(_) | Unspoken::Refused(_)))
    };
    if let Some((host, _)) = hosts.iter().find(|(_, said)| is_through(said)) {
        examined.well(format!("port 25 leads out: {host} was reached"));
        return;
    }
    let words: Vec<String> = hosts
        .iter()
        .filter_map(|(host, said)| said.as_ref().err().map(|error| format!("{host}: {error}")))
        .collect();
    let trap = match hosts {
        [] | [_] => MAIL_HOST_DOWN,
        _ => PORT_25_BLOCKED,
    };
    examined.found(trap, words.join("; "));
}

pub(super) async fn examine(scene: &Scene) -> Examined {
    let config = match scene.config() {
        Ok(config) => config,
        Err(why) => return Examined::not_seen(why),
    };
    if !config.report.enabled && scene.named.mail_hosts.is_empty() {
        let mut examined = Examined::default();
        examined.well("report.enabled is false: nothing is sent");
        return examined;
    }
    let us = host_name(config);
    let (relay, outside) =
        tokio::join!(look_at_relay(config, &us), look_outside(scene, config, &us));
    judge(&Facts {
        relay,
        sendmail: look_at_sendmail(scene, config).await,
        outside,
    })
}

async fn look_at_sendmail(scene: &Scene, config: &Config) -> Option<Sendmail> {
    if config.deliver.via != Via::Sendmail || !config.report.enabled {
        return None;
    }
    let program = &config.deliver.sendmail;
    let reach = match (steps(program, None), scene.daemon_user().await) {
        (Err(error), _) => Reach::No(format!("{}: {error}", program.display())),
        (Ok(steps), Some(user)) => reach(&user, &steps, Want::Run),
        (Ok(_), None) => Reach::NotKnown(NOBODY_KNOWN.to_owned()),
    };
    // Debian's Postfix: sendmail runs postdrop, which has the privileges.
    let mode = fs::metadata(program).map_or(0, |file| file.mode());
    let needs_postdrop = scene.postfix().await.is_ok();
    Some(Sendmail {
        reach,
        is_privileged: mode & 0o6000 != 0 || needs_postdrop,
        no_new_privileges: scene.daemon().await.no_new_privileges,
        program: program.clone(),
    })
}

fn host_name(config: &Config) -> String {
    let named = &config.sender.host_name;
    if !named.is_empty() {
        return named.clone();
    }
    let node = rustix::system::uname();
    node.nodename().to_string_lossy().into_owned()
}

async fn look_at_relay(config: &Config, us: &str) -> Option<(String, Result<String, Unspoken>)> {
    if config.deliver.via != Via::Relay || !config.report.enabled {
        return None;
    }
    let relay = config.deliver.relay.clone();
    let said = match relay_address(&relay).await {
        Ok(address) => greet(address, us, TIME_MAX).await,
        Err(why) => Err(Unspoken::Refused(why)),
    };
    Some((relay, said))
}

/// The relay's address, by the system's resolver as when reports leave.
async fn relay_address(relay: &str) -> Result<SocketAddr, String> {
    let looking = tokio::net::lookup_host(relay.to_owned());
    let found = tokio::time::timeout(TIME_MAX, looking).await;
    let mut found = found
        .map_err(|_| "no address within 5 s".to_owned())?
        .map_err(|error| error.to_string())?;
    found.next().ok_or_else(|| "it has no address".to_owned())
}

async fn look_outside(scene: &Scene, config: &Config, us: &str) -> Outside {
    let named = &scene.named.mail_hosts;
    if named.is_empty()
        && let Some(why) = not_needed(scene, config).await
    {
        return Outside::NotNeeded(why);
    }
    let dns = match scene.dns() {
        Ok(dns) => dns,
        Err(why) => return Outside::NotTried(why),
    };
    let hosts = match named.is_empty() {
        false => named.clone(),
        true => match own_hosts(&dns, config).await {
            Ok(hosts) => hosts,
            Err(why) => return Outside::NotTried(why),
        },
    };
    let port = if config.deliver.via == Via::Mx {
        config.deliver.smtp_port
    } else {
        config.probe.smtp_port
    };
    let mut tried = Vec::new();
    for host in hosts.iter().take(HOSTS_MAX) {
        let Some(address) = outside_address(&dns, host, config).await else {
            continue;
        };
        let address = SocketAddr::new(address, port);
        tried.push((format!("{host} [{address}]"), address));
    }
    if tried.is_empty() {
        return Outside::NotTried(format!(
            "{} has no address outside of this machine",
            hosts.join(", ")
        ));
    }
    let asking = tried
        .into_iter()
        .map(|(name, address)| async move { (name, greet(address, us, TIME_MAX).await) });
    Outside::Tried(crate::net::dnssec::at_once(asking).await)
}

/// Why mail does not leave by port 25 from here; nothing where it does.
async fn not_needed(scene: &Scene, config: &Config) -> Option<String> {
    if config.deliver.via == Via::Mx {
        return None;
    }
    let relay = &config.deliver.relay;
    if config.deliver.via == Via::Relay
        && let Ok(address) = relay_address(relay).await
        && !is_this_machine(address.ip())
    {
        return Some(format!(
            "reports leave through {relay}, so port 25 is its affair"
        ));
    }
    let smart_host = scene.postfix().await.ok()?.smart_host.clone()?;
    Some(format!("Postfix sends everything through {smart_host}"))
}

/// The mail hosts of our own contact: the only ones that we may bother without being asked.
async fn own_hosts(dns: &dyn Dns, config: &Config) -> Result<Vec<String>, String> {
    let (_, domain) = mailbox(&config.sender.contact).map_err(|error| error.to_string())?;
    let answer = dns
        .mx(domain.as_str())
        .await
        .map_err(|error| error.to_string())?;
    let hosts = answer.values.into_iter().map(|mx| mx.exchange);
    let hosts: Vec<String> = hosts.filter(|host| !host.is_empty()).collect();
    if hosts.is_empty() {
        return Err(format!("{domain} has no MX to try"));
    }
    Ok(hosts)
}

/// An address of a host that is not this machine.
async fn outside_address(dns: &dyn Dns, host: &str, config: &Config) -> Option<std::net::IpAddr> {
    let addresses = match host.parse() {
        Ok(address) => vec![address],
        Err(_) => dns.addresses(host).await.ok()?.values,
    };
    let is_laboratory = config.policy.allow_private_addresses;
    addresses
        .into_iter()
        .find(|address| is_laboratory || !is_this_machine(*address))
}
