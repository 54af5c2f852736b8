//! Who validates DNSSEC on this machine, and whether that works at this moment.
//!
//! A resolver that does not look at signatures must not turn DANE on, and must not turn it off in silence
//! (RFC 7672 s2.1.1). So the root, which is signed, is looked at when the daemon starts and from then on. What does
//! not work is said loudly, and tried again.

use std::{
    fmt, fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwapOption;

use super::{
    address_guard::is_this_machine,
    dns::{DnsError, SecureDns},
    dnssec::{Anchors, BadAnchors, SecureResolver, Works},
    hickory::{DNS_PORT, RESOLV_CONF, ResolverError, servers, system_servers},
};
use crate::{
    clock::Clock,
    config::{DaneConfig, DnsConfig, DnssecValidation},
};

/// Who validates, and whether it works. Shared between the tasks of a daemon.
pub struct Validation {
    /// In the order in which they are tried.
    ways: Vec<(By, Arc<SecureResolver>)>,
    /// Ways that need not be tried.
    impossible: Vec<Tried>,
    working: ArcSwapOption<Working>,
    /// What was said last, so that it is said once.
    said: std::sync::Mutex<Option<Outcome>>,
    clock: Arc<dyn Clock>,
}

struct Working {
    by: By,
    resolver: Arc<SecureResolver>,
}

/// Who validates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The resolvers of this machine; their AD bit is believed.
    Resolver,
    /// Ourselves, up to the root's keys.
    Own,
}

/// What a look at the ways to validate came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// `dane.validation` is `off`.
    Off,
    /// DANE is on.
    Works(By),
    /// DANE is off: nobody validates.
    Nobody(Vec<Tried>),
}

/// A way that does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Whose.
    pub by: By,
    /// Why not, in words.
    pub why: String,
}

/// Why there is nobody to ask. The operator must act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ValidationError {
    /// There is no resolver.
    #[error("dns: {0}")]
    Resolver(#[from] ResolverError),
    /// The file of trust anchors cannot be read.
    #[error("dane.trust_anchor: {}: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file of trust anchors is none.
    #[error("dane.trust_anchor: {}: {error}", .path.display())]
    Anchors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        error: BadAnchors,
    },
}

/// How often the root is looked at, where all is well and where nothing works.
const SECONDS_BETWEEN_LOOKS: i64 = 600;

/// After a start the network may not be up: the first looks follow sooner.
const FIRST_SECONDS_BETWEEN_LOOKS: [i64; 2] = [10, 60];

impl Validation {
    /// The ways that the configuration allows. Nothing works before the first [`look`](Self::look).
    ///
    /// # Errors
    /// There is no resolver, or the trust anchors cannot be used.
    pub fn new(
        dns: &DnsConfig,
        dane: &DaneConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ValidationError> {
        let mut validation = Self {
            ways: Vec::new(),
            impossible: Vec::new(),
            working: ArcSwapOption::empty(),
            said: std::sync::Mutex::new(None),
            clock,
        };
        if dane.validation == DnssecValidation::Off {
            return Ok(validation);
        }
        let servers = servers(dns)?;
        if dane.validation != DnssecValidation::Own {
            match SecureResolver::believing(servers.clone(), dns) {
                Ok(resolver) => validation.ways.push((By::Resolver, Arc::new(resolver))),
                Err(far) => validation.impossible.push(Tried {
                    by: By::Resolver,
                    why: format!("{far} is not on this machine, so its AD bit is not believed"),
                }),
            }
        }
        if dane.validation != DnssecValidation::Resolver {
            let anchors = anchors(&dane.trust_anchor)?;
            let clock = Arc::clone(&validation.clock);
            let resolver = SecureResolver::validating(servers, dns, anchors, clock);
            validation.ways.push((By::Own, Arc::new(resolver)));
        }
        Ok(validation)
    }

    /// What answers at this moment; nothing where nobody validates, and then there is no DANE.
    #[must_use]
    pub fn dns(&self) -> Option<Arc<dyn SecureDns>> {
        let working = self.working.load();
        let working = working.as_ref()?;
        Some(Arc::clone(&working.resolver) as _)
    }

    /// What the last look came to; nothing before the first.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        let said = self.said.lock().unwrap_or_else(|held| held.into_inner());
        said.clone()
    }

    /// Who validates at this moment.
    #[must_use]
    pub fn by(&self) -> Option<By> {
        self.working.load().as_ref().map(|working| working.by)
    }

    /// Finds out who validates, and says so in the log where that is news. Takes as long as resolvers that do not
    /// answer are waited for.
    pub async fn look(&self) -> Outcome {
        let outcome = self.find_out().await;
        let before = {
            let mut said = self.said.lock().unwrap_or_else(|held| held.into_inner());
            said.replace(outcome.clone())
        };
        if before.as_ref() != Some(&outcome) {
            say(&outcome, before.as_ref());
        }
        outcome
    }

    /// Looks again and again. Never returns.
    pub async fn keep_looking(&self) {
        let mut first = FIRST_SECONDS_BETWEEN_LOOKS.into_iter();
        loop {
            let soon = if self.by().is_none() {
                first.next()
            } else {
                None
            };
            let seconds = soon.unwrap_or(SECONDS_BETWEEN_LOOKS);
            let next = self.clock.now().plus_seconds(seconds);
            self.clock.wait_until(next).await;
            self.look().await;
        }
    }

    async fn find_out(&self) -> Outcome {
        if self.ways.is_empty() && self.impossible.is_empty() {
            return Outcome::Off;
        }
        let mut tried = self.impossible.clone();
        for (by, resolver) in &self.ways {
            let by = *by;
            let why = match resolver.works().await {
                Works::Yes => {
                    let resolver = Arc::clone(resolver);
                    self.working.store(Some(Arc::new(Working { by, resolver })));
                    return Outcome::Works(by);
                }
                // Lookups fail, and mail waits, which is right: that nobody answers says nothing of signatures.
                Works::Unknown(_) if self.by() == Some(by) => return Outcome::Works(by),
                Works::Unknown(error) => error.to_string(),
                Works::No(reason) => reason,
            };
            tried.push(Tried { by, why });
        }
        self.working.store(None);
        Outcome::Nobody(tried)
    }
}

fn anchors(path: &Path) -> Result<Anchors, ValidationError> {
    if path.as_os_str().is_empty() {
        return Ok(Anchors::built_in());
    }
    let text = fs::read_to_string(path).map_err(|error| ValidationError::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    Anchors::parse(&text).map_err(|error| ValidationError::Anchors {
        path: path.to_owned(),
        error,
    })
}

fn say(outcome: &Outcome, before: Option<&Outcome>) {
    match (outcome, before) {
        (Outcome::Off, _) => tracing::info!("DANE is off: dane.validation is \"off\""),
        (Outcome::Works(by), Some(Outcome::Nobody(_))) => {
            tracing::info!(%by, "DNSSEC is validated again: DANE is on");
        }
        (Outcome::Works(by), _) => tracing::info!(%by, "DNSSEC is validated: DANE is on"),
        (Outcome::Nobody(tried), _) => {
            let tried: Vec<_> = tried.iter().map(ToString::to_string).collect();
            tracing::error!(
                tried = tried.join("; "),
                again_after_seconds = SECONDS_BETWEEN_LOOKS,
                "DANE IS OFF: nobody validates DNSSEC, so mail goes by MTA-STS alone. Run a validating resolver \
                 on this machine (unbound, say) and name it in dns.servers, or have resolvers that pass on \
                 signatures; or set dane.validation = \"off\" to be told no more"
            );
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Resolver => "resolver",
            Self::Own => "own",
        })
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.by, self.why)
    }
}

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
