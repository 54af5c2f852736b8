//! Who validates DNSSEC on this machine, and whether that works at this moment.
//!
//! A resolver that does not look at signatures must not turn DANE on, and must not turn it off in silence
//! (RFC 7672 s2.1.1). So the root, which is signed, is looked at when the daemon starts and from then on. What does
//! not work is said loudly, and tried again. `verdict` decides what a look comes to.

mod news;
mod system;
mod verdict;

use std::{
    fmt, fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwapOption;

pub use self::system::{SystemList, SystemResolvers};
use self::{
    news::{say, say_doubt},
    verdict::{Doubt, Verdict, judge},
};
use super::{
    dns::SecureDns,
    dnssec::{Anchors, BadAnchors, SecureResolver, Works, at_once},
    hickory::{ResolverError, servers},
};
use crate::{
    clock::Clock,
    config::{DaneConfig, DnsConfig, DnssecValidation},
};

/// Who validates, and whether it works. Shared between the tasks of a daemon.
pub struct Validation {
    /// The best first.
    ways: Vec<(By, Arc<SecureResolver>)>,
    /// Ways that need not be tried.
    impossible: Vec<Tried>,
    /// The file of trust anchors; empty where they are built in.
    trust_anchor: PathBuf,
    asked: ArcSwapOption<Asked>,
    seen: Mutex<Seen>,
    clock: Arc<dyn Clock>,
}

/// The way that is gone.
struct Asked {
    by: By,
    resolver: Arc<SecureResolver>,
    /// It has worked. Else nobody has answered yet.
    has_worked: bool,
}

/// What was seen so far, so that each thing is said once.
#[derive(Default)]
struct Seen {
    outcome: Option<Outcome>,
    doubt: Option<Doubt>,
    bad_anchors: Option<String>,
    /// One of the ways has worked, or there was no time left to wait for one.
    has_begun: bool,
    looks: usize,
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
    /// Nobody answers yet: lookups fail, and mail waits.
    NotYet(Vec<Tried>),
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

/// How soon where all was well a moment ago, or where the network may not be up yet. After so many looks that nobody
/// answers a start waits no longer.
const FIRST_SECONDS_BETWEEN_LOOKS: [i64; 5] = [10, 30, 60, 120, 300];

/// Where Docker and systemd-resolved (its proxy) listen. They pass on what others say, the AD bit too, and look at
/// nothing themselves.
const RELAYS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11)),
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, 54)),
];

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
            trust_anchor: dane.trust_anchor.clone(),
            asked: ArcSwapOption::empty(),
            seen: Mutex::default(),
            clock,
        };
        if dane.validation == DnssecValidation::Off {
            return Ok(validation);
        }
        let servers = servers(dns)?;
        // OURS: our own way first. It holds whoever answers, be it a forwarder that passes on the AD bit of others.
        if dane.validation != DnssecValidation::Resolver {
            let anchors = anchors(&dane.trust_anchor)?;
            let clock = Arc::clone(&validation.clock);
            let resolver = SecureResolver::validating(servers.clone(), dns, anchors, clock);
            validation.ways.push((By::Own, Arc::new(resolver)));
        }
        if dane.validation != DnssecValidation::Own {
            match believing(servers, dns, dane.validation) {
                Ok(resolver) => validation.ways.push((By::Resolver, Arc::new(resolver))),
                Err(why) => validation.impossible.push(Tried {
                    by: By::Resolver,
                    why,
                }),
            }
        }
        Ok(validation)
    }

    /// What answers at this moment; nothing where nobody validates, and then there is no DANE. Where nobody has answered
    /// yet, that which lookups fail by.
    #[must_use]
    pub fn dns(&self) -> Option<Arc<dyn SecureDns>> {
        let asked = self.asked.load();
        let asked = asked.as_ref()?;
        Some(Arc::clone(&asked.resolver) as _)
    }

    /// What the last look came to; nothing before the first.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.seen().outcome.clone()
    }

    /// What speaks against the way that is gone all the same, where its last look did. In words.
    #[must_use]
    pub fn doubt(&self) -> Option<String> {
        self.seen().doubt.as_ref().map(ToString::to_string)
    }

    /// Who validates at this moment.
    #[must_use]
    pub fn by(&self) -> Option<By> {
        let asked = self.asked.load();
        let asked = asked.as_ref().filter(|asked| asked.has_worked)?;
        Some(asked.by)
    }

    /// Finds out who validates, and says so in the log where that is news. Takes as long as resolvers that do not
    /// answer are waited for, and no longer than ten seconds.
    pub async fn look(&self) -> Outcome {
        if self.ways.is_empty() && self.impossible.is_empty() {
            return self.saw(Outcome::Off, None);
        }
        self.read_anchors_again();
        let ways = self.ways.iter();
        let looking = ways.map(|(by, resolver)| async { (*by, resolver.works().await) });
        let looks = at_once(looking).await;
        let may_wait = self.may_still_wait();
        let tried = || {
            let failed = looks.iter().filter_map(|(by, works)| Tried::of(*by, works));
            self.impossible.iter().cloned().chain(failed).collect()
        };
        match judge(self.by(), may_wait, &looks) {
            Verdict::Use { by, doubt } => {
                self.ask(by, true);
                self.saw(Outcome::Works(by), doubt)
            }
            Verdict::Wait(by) => {
                self.ask(by, false);
                self.saw(Outcome::NotYet(tried()), None)
            }
            Verdict::Nobody => {
                self.asked.store(None);
                self.saw(Outcome::Nobody(tried()), None)
            }
        }
    }

    /// Looks again and again. Never returns.
    pub async fn keep_looking(&self) {
        let mut soon = FIRST_SECONDS_BETWEEN_LOOKS.into_iter();
        loop {
            let seconds = if self.is_well() {
                soon = FIRST_SECONDS_BETWEEN_LOOKS.into_iter();
                None
            } else {
                soon.next()
            };
            let seconds = seconds.unwrap_or(SECONDS_BETWEEN_LOOKS);
            let next = self.clock.now().plus_seconds(seconds);
            self.clock.wait_until(next).await;
            self.look().await;
        }
    }

    /// Nothing speaks for looking again soon.
    fn is_well(&self) -> bool {
        let seen = self.seen();
        match seen.outcome {
            Some(Outcome::Off) => true,
            // Where it is not the best way, that may have been a moment's trouble, or somebody's work.
            Some(Outcome::Works(by)) => {
                let best = self.ways.first().map(|(by, _)| *by);
                seen.doubt.is_none() && best == Some(by)
            }
            Some(Outcome::NotYet(_) | Outcome::Nobody(_)) | None => false,
        }
    }

    /// Whether it is so soon after a start that nobody need have answered.
    fn may_still_wait(&self) -> bool {
        let mut seen = self.seen();
        seen.looks = seen.looks.saturating_add(1);
        !seen.has_begun && seen.looks <= FIRST_SECONDS_BETWEEN_LOOKS.len()
    }

    fn ask(&self, by: By, has_worked: bool) {
        let before = self.asked.load();
        let is_same = |asked: &Asked| asked.by == by && asked.has_worked == has_worked;
        if before.as_deref().is_some_and(is_same) {
            return;
        }
        let way = self.ways.iter().find(|(other, _)| *other == by);
        self.asked.store(way.map(|(by, resolver)| {
            Arc::new(Asked {
                by: *by,
                resolver: Arc::clone(resolver),
                has_worked,
            })
        }));
    }

    /// A key of the root that was rolled must not need a restart. A file that cannot be used changes nothing.
    fn read_anchors_again(&self) {
        if self.trust_anchor.as_os_str().is_empty() {
            return;
        }
        let mut own = self.ways.iter().filter(|(by, _)| *by == By::Own);
        let Some((_, resolver)) = own.next() else {
            return;
        };
        let trouble = match anchors(&self.trust_anchor) {
            Ok(anchors) => {
                resolver.trust(anchors);
                None
            }
            Err(error) => Some(error.to_string()),
        };
        let mut seen = self.seen();
        if let Some(error) = trouble.as_ref().filter(|_| trouble != seen.bad_anchors) {
            tracing::error!("{error}; the keys that it had before are trusted on");
        }
        seen.bad_anchors = trouble;
    }

    /// Takes down what was seen, and says what is news.
    fn saw(&self, outcome: Outcome, doubt: Option<Doubt>) -> Outcome {
        let mut seen = self.seen();
        if seen.outcome.as_ref() != Some(&outcome) {
            say(&outcome, seen.outcome.as_ref());
        }
        if seen.doubt != doubt {
            say_doubt(doubt.as_ref());
        }
        seen.has_begun |= !matches!(outcome, Outcome::NotYet(_));
        seen.outcome = Some(outcome.clone());
        seen.doubt = doubt;
        outcome
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tried {
    fn of(by: By, works: &Works) -> Option<Self> {
        let why = match works {
            Works::Yes => return None,
            Works::No(reason) => reason.clone(),
            Works::Unknown(error) => error.to_string(),
        };
        Some(Self { by, why })
    }
}

/// What believes these servers.
///
/// # Errors
/// One of them is not to be believed: why.
fn believing(
    servers: Vec<SocketAddr>,
    dns: &DnsConfig,
    validation: DnssecValidation,
) -> Result<SecureResolver, String> {
    let is_relay = |server: &&SocketAddr| RELAYS.contains(&server.ip().to_canonical());
    // The operator who names `resolver` answers for it.
    if validation == DnssecValidation::Auto
        && let Some(relay) = servers.iter().find(is_relay)
    {
        return Err(format!(
            "{relay} passes on what others say and validates nothing (Docker, systemd-resolved), so its AD bit is not \
             believed"
        ));
    }
    SecureResolver::believing(servers, dns)
        .map_err(|far| format!("{far} is not on this machine, so its AD bit is not believed"))
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
