//! The Postfix of this machine and what it lacks, for who examines it and changes nothing.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{
    machine::Machine,
    plan::{About, asks_here, plan},
    postconf::{Postconf, PostconfError},
    postfix::{Postfix, Version},
};
use crate::{clock::UtcDay, config::Config, net::hickory::RESOLV_CONF};

/// An installed Postfix, and what it lacks so that it goes by Sealpost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::ctl) struct Installed {
    /// Its release.
    pub(in crate::ctl) version: String,
    /// The user that its processes run as.
    pub(in crate::ctl) mail_owner: String,
    /// Where it works.
    pub(in crate::ctl) queue_directory: PathBuf,
    /// Does it ask Sealpost for policies?
    pub(in crate::ctl) asks: bool,
    /// Does its release tell how sessions went?
    pub(in crate::ctl) tells: bool,
    /// Was it built with libtlsrpt, by which it tells that? Nothing where its files cannot be read.
    pub(in crate::ctl) has_library: Option<bool>,
    /// All mail goes through this host.
    pub(in crate::ctl) smart_host: Option<String>,
    /// Its copy of the list of resolvers, where that is another than the system's.
    pub(in crate::ctl) stale_resolv_conf: Option<PathBuf>,
    /// What is not set.
    pub(in crate::ctl) lacks: Vec<Lack>,
    /// What else should be known: about what, whether it keeps Postfix from going by Sealpost, and the words.
    pub(in crate::ctl) remarks: Vec<(About, bool, String)>,
    /// Why nothing can be said of what it lacks.
    pub(in crate::ctl) no_plan: Option<String>,
}

/// One setting that is not as Sealpost needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ctl) struct Lack {
    /// A parameter of `main.cf`, or a service of `master.cf`.
    pub(in crate::ctl) name: String,
    /// What holds.
    pub(in crate::ctl) now: String,
    /// What should.
    pub(in crate::ctl) next: String,
    /// What that does.
    pub(in crate::ctl) why: String,
}

/// Why there is nothing to see.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::ctl) enum NotSeen {
    /// No `postconf`, so no Postfix.
    #[error("no Postfix is installed here")]
    NotInstalled,
    /// The operator must act: `postconf` does not say.
    #[error("{0}")]
    Unreadable(String),
}

/// What `libtlsrpt` offers to programs, and hence stands in each that uses it.
const LIBRARY_MARK: &[u8] = b"tlsrpt_init_delivery_request";

/// The largest file that is searched for that. Postfix's own have less than 1 MB.
const FILE_OCTETS_MAX: u64 = 16 * 1024 * 1024;

impl Installed {
    /// Runs `postconf` and looks at the machine. Asks the resolvers of the system.
    ///
    /// # Errors
    /// When there is no Postfix, or `postconf` does not answer.
    pub(in crate::ctl) async fn look(
        program: PathBuf,
        config_directory: Option<PathBuf>,
        config: &Config,
        today: UtcDay,
    ) -> Result<Self, NotSeen> {
        let postconf = Postconf::new(program, config_directory);
        // It waits a second after each change of main.cf.
        let read = tokio::task::spawn_blocking(move || postconf.read()).await;
        let postfix = read
            .map_err(|error| NotSeen::Unreadable(error.to_string()))?
            .map_err(|error| match &error {
                PostconfError::Start { source, .. } if source.kind() == ErrorKind::NotFound => {
                    NotSeen::NotInstalled
                }
                _ => NotSeen::Unreadable(error.to_string()),
            })?;
        let machine = Machine::look(&postfix, &config.dns, today).await;
        Ok(Self::of(&postfix, &machine, config))
    }

    fn of(postfix: &Postfix, machine: &Machine, config: &Config) -> Self {
        let version = postfix.value("mail_version");
        let relay = postfix.value("relayhost");
        let mut installed = Self {
            version: version.to_owned(),
            mail_owner: postfix.value("mail_owner").to_owned(),
            queue_directory: postfix.queue_directory().to_owned(),
            asks: asks_here(
                postfix.value("smtp_tls_policy_maps"),
                postfix.value("queue_directory"),
                &config.socketmap,
            ),
            tells: Version::read(version).is_some_and(|version| version >= Version::TELLS),
            has_library: has_library(postfix),
            stale_resolv_conf: stale_resolv_conf(postfix, machine),
            smart_host: Some(relay.to_owned()).filter(|relay| !relay.is_empty()),
            ..Self::default()
        };
        match plan(postfix, config, machine) {
            Ok(plan) => {
                let changes = plan.changes.into_iter().map(|change| Lack {
                    name: change.name,
                    now: change.now,
                    next: change.next,
                    why: change.why,
                });
                installed.lacks = changes.collect();
                let traps = plan.traps.into_iter();
                installed.remarks = traps
                    .map(|trap| (trap.about, trap.stops, trap.text))
                    .collect();
            }
            Err(error) => installed.no_plan = Some(error.to_string()),
        }
        installed
    }
}

/// The copy of the list of resolvers that a chrooted Postfix reads, where it is not what the system has now.
fn stale_resolv_conf(postfix: &Postfix, machine: &Machine) -> Option<PathBuf> {
    let copy = &machine.resolv_conf;
    if !copy.starts_with(postfix.queue_directory()) {
        return None;
    }
    let (copied, now) = (fs::read(copy).ok()?, fs::read(RESOLV_CONF).ok()?);
    (copied != now).then(|| copy.clone())
}

/// Is the library that tells outcomes in Postfix's `smtp`, or in a library of Postfix's own?
fn has_library(postfix: &Postfix) -> Option<bool> {
    let mut files = vec![Path::new(postfix.value("daemon_directory")).join("smtp")];
    let own = Path::new(postfix.value("shlib_directory"));
    files.extend(
        ["libpostfix-tls.so", "libpostfix-global.so"]
            .iter()
            .map(|name| own.join(name)),
    );
    let read = files.iter().filter_map(|file| {
        let length = fs::metadata(file).ok()?.len();
        (length <= FILE_OCTETS_MAX).then(|| fs::read(file).ok())?
    });
    let mut read = read.peekable();
    read.peek()?;
    Some(read.any(|octets| {
        octets
            .windows(LIBRARY_MARK.len())
            .any(|window| window == LIBRARY_MARK)
    }))
}
