//! The resolvers of the system, which Postfix asks.

use std::{
    fmt, fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use crate::{
    config::DnsConfig,
    net::{
        address_guard::is_this_machine,
        dns::DnsError,
        dnssec::{SecureResolver, Works},
        hickory::{DNS_PORT, RESOLV_CONF, system_servers},
    },
};

/// What the resolvers of the system do with signed answers: those that Postfix asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SystemResolvers {
    /// All are on this machine, and mark what is signed.
    Mark,
    /// One is not on this machine.
    NotHere(IpAddr),
    /// They are on this machine, and do not mark what is signed.
    DoNotMark,
    /// They do not answer.
    Silent(DnsError),
    /// Their list cannot be read.
    Unreadable(String),
}

/// Where the system's list of resolvers is, and on which port they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemList {
    /// `/etc/resolv.conf`
    pub path: PathBuf,
    /// 53
    pub port: u16,
}

impl Default for SystemList {
    fn default() -> Self {
        Self {
            path: RESOLV_CONF.into(),
            port: DNS_PORT,
        }
    }
}

impl SystemResolvers {
    /// Looks at them, as often and as long as `dns` says.
    pub async fn look(list: &SystemList, dns: &DnsConfig) -> Self {
        let text = match fs::read_to_string(&list.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Self::Unreadable(format!("{}: {error}", list.path.display())),
        };
        let mut servers = system_servers(&text);
        if servers.is_empty() {
            // resolv.conf(5): then the one of this machine is asked.
            servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), DNS_PORT));
        }
        for server in &mut servers {
            server.set_port(list.port);
        }
        if let Some(far) = servers.iter().find(|server| !is_this_machine(server.ip())) {
            return Self::NotHere(far.ip());
        }
        // Whichever of them is asked must do so.
        for server in servers {
            let looked = match SecureResolver::believing(vec![server], dns) {
                Ok(resolver) => resolver.works().await,
                Err(far) => return Self::NotHere(far.ip()),
            };
            match looked {
                Works::Yes => {}
                Works::No(_) => return Self::DoNotMark,
                Works::Unknown(error) => return Self::Silent(error),
            }
        }
        Self::Mark
    }
}

impl fmt::Display for SystemResolvers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mark => formatter.write_str("they are on this machine and mark signed answers"),
            Self::NotHere(address) => write!(formatter, "{address} is not on this machine"),
            Self::DoNotMark => formatter.write_str("they do not mark signed answers"),
            Self::Silent(error) => write!(formatter, "they do not answer: {error}"),
            Self::Unreadable(reason) => formatter.write_str(reason),
        }
    }
}
