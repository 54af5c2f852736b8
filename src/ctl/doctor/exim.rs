//! Exim: was it built with what is needed, does it ask Sealpost, and do its transports tell how sessions went?
//!
//! Seen is what Exim itself prints of its configuration (`-bP`), macros put in.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    access::{Reach, User, Want, reach, steps, user_named},
    finding::{Examined, traps},
    scene::{Scene, said},
};
use crate::{
    config::{Config, DnssecValidation},
    net::hickory::RESOLV_CONF,
};

traps! {
    BUILD_LACKS = "exim-built-without", Trouble,
        "This Exim was built without something that the examples need: it refuses the configuration, or mail to \
         domains with DANE goes without.",
        "Install a build that has it; Debian's exim4-daemon-light and exim4-daemon-heavy do.";
    NOT_ASKING = "exim-not-asking", Trouble,
        "No router of Exim asks Sealpost what TLS a domain demands: no policy is enforced and nothing is counted.",
        "Bring the parts of docs/examples/exim-light.conf into Exim's configuration.";
    ASKS_ELSEWHERE = "exim-asks-elsewhere", Trouble,
        "Exim asks at another socket than the daemon listens on, so that mail to other domains is deferred.",
        "Set the macro SEALPOST_SOCKET to plugin_socket.path.";
    TELLS_NOTHING = "exim-transport-tells-nothing", Trouble,
        "A router sends mail to other hosts by an smtp transport that has no event_action of Sealpost's: its sessions \
         are not held to policies and not counted.",
        "Let the router use sealpost_opportunistic and sealpost_enforced, or put it after the router sealpost_remote, \
         which takes all that is remote. Who wants just that, for a partner, leaves it so.";
    REUSES = "exim-reuses-connections", Trouble,
        "A transport of Sealpost's hands an open connection on to the next message, for which TLS, certificate and \
         policy are not looked at again.",
        "Set connection_max_messages = 1 and hosts_noproxy_tls = * in it.";
    REPORTS_REPORTED = "exim-reports-reported", Trouble,
        "No router takes the mail of our envelope sender out: reports are held to the policy that they are about, and \
         the session that carries one is counted and makes another report due, each day anew.",
        "Set the macro SEALPOST_REPORT_SENDER to sender.envelope_from, or else sender.contact.";
    LIBRARY_UNREAD = "exim-library-unreadable", Trouble,
        "Exim asks through libsealpost.so, and its user cannot read the file: all mail to other domains is deferred.",
        "Put the library where the macro SEALPOST_LIBRARY says, with the mode 0644; or use exim-light.conf, which needs \
         none.";
    OTHER_CIPHERS = "exim-ciphers-of-gnutls", Trouble,
        "tls_require_ciphers of a transport is in the words of GnuTLS, and this Exim was built with OpenSSL, which does \
         not know them: no TLS comes up, and mail to domains that demand it waits.",
        "Write it in OpenSSL's words.";
    NOT_SIGNED = "exim-sees-nothing-signed", Trouble,
        "Exim is told of DNSSEC by glibc, which hides it unless /etc/resolv.conf says that the resolver is trusted: \
         mail to domains with DANE waits.",
        "Name a resolver of this machine that validates, alone, with `options trust-ad`; or set dane.audit = true.";
}

/// An installed Exim, as it describes itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Exim {
    /// `4.96`
    pub(super) version: String,
    /// The words after `Support for:` and `Lookups`.
    pub(super) features: Vec<String>,
    /// Who it delivers as.
    pub(super) user: Option<User>,
    pub(super) routers: Vec<Driver>,
    pub(super) transports: Vec<Driver>,
}

/// A router or transport.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Driver {
    pub(super) name: String,
    pub(super) options: BTreeMap<String, String>,
}

impl Driver {
    fn option(&self, name: &str) -> &str {
        self.options.get(name).map_or("", String::as_str)
    }
}

impl Exim {
    /// Has it describe itself.
    ///
    /// # Errors
    /// In words, where it does not.
    pub(super) async fn look(program: &Path) -> Result<Self, String> {
        let version = said(program, &["-bV"]).await?;
        let routers = said(program, &["-bP", "routers"]).await?;
        let transports = said(program, &["-bP", "transports"]).await?;
        let user = said(program, &["-bP", "exim_user"]).await?;
        let mut exim = Self::of(&version, &routers, &transports);
        exim.user = user
            .split_once('=')
            .and_then(|(_, name)| user_named(name.trim()));
        Ok(exim)
    }

    /// From what it says of its version, its routers and its transports.
    pub(super) fn of(version: &str, routers: &str, transports: &str) -> Self {
        let words = version
            .lines()
            .filter(|line| line.starts_with("Support for:") || line.starts_with("Lookups"));
        let number = version
            .lines()
            .find_map(|line| line.strip_prefix("Exim version "));
        Self {
            version: number
                .and_then(|rest| rest.split(' ').next())
                .unwrap_or_default()
                .to_owned(),
            features: words
                .flat_map(|line| line.split([' ', '/', ':']))
                .map(str::to_owned)
                .collect(),
            user: None,
            routers: drivers(routers, " router:"),
            transports: drivers(transports, " transport:"),
        }
    }

    /// The library that it asks through, where it does.
    fn library(&self) -> Option<PathBuf> {
        self.asking().find_map(|router| {
            let mut values = router.options.values();
            let (_, rest) = values.find_map(|value| value.split_once("${dlfunc{"))?;
            rest.split('}').next().map(PathBuf::from)
        })
    }

    /// Does one of its routers ask Sealpost?
    pub(super) fn asks(&self) -> bool {
        self.asking().next().is_some()
    }

    fn asking(&self) -> impl Iterator<Item = &Driver> {
        self.routers.iter().filter(|router| {
            let mut values = router.options.values();
            values
                .any(|value| value.contains("POLICY\\t") || value.contains("sealpost_exim_policy"))
        })
    }

    fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|word| word == feature)
    }
}

/// `NAME router:` and lines of `option = value` below it; one that is on or off is a word alone.
fn drivers(said: &str, heading: &str) -> Vec<Driver> {
    let mut all: Vec<Driver> = Vec::new();
    for line in said.lines() {
        if let Some(name) = line.strip_suffix(heading) {
            all.push(Driver {
                name: name.to_owned(),
                options: BTreeMap::new(),
            });
            continue;
        }
        if let (Some(driver), Some((name, value))) = (all.last_mut(), line.split_once('=')) {
            driver
                .options
                .insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }
    all
}

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) exim: Result<Option<Exim>, String>,
    /// Another MTA of this host asks Sealpost, so that this one need not.
    pub(super) another_asks: bool,
    /// The library that Exim asks through, and whether its user can read it.
    pub(super) library: Option<(PathBuf, Reach)>,
    /// `plugin_socket.path`
    pub(super) socket: String,
    /// The envelope sender of reports; empty where there are none.
    pub(super) report_sender: String,
    /// DANE is enforced.
    pub(super) is_dane_on: bool,
    /// What `/etc/resolv.conf` says.
    pub(super) resolv_conf: String,
}

/// What the examples need of a build: what, and what for.
const NEEDED: [(&str, &str); 3] = [
    ("Event", "sessions are told by events"),
    ("DANE", "DANE is done by Exim itself"),
    ("dnsdb", "MX records that are aliases are looked up by it"),
];

pub(super) fn judge(facts: &Facts) -> Examined {
    let mut examined = Examined::default();
    let exim = match &facts.exim {
        Ok(Some(exim)) => exim,
        Ok(None) => {
            examined.well("not installed");
            return examined;
        }
        Err(why) => return Examined::not_seen(why.clone()),
    };
    if !exim.asks() {
        let version = &exim.version;
        if facts.another_asks {
            examined.well(format!(
                "Exim {version} does not ask Sealpost; Postfix does"
            ));
        } else {
            examined.found(
                NOT_ASKING,
                format!("Exim {version} has no router that does"),
            );
        }
        return examined;
    }
    examined.well(format!("Exim {} asks Sealpost", exim.version));
    for (feature, what_for) in NEEDED {
        if !exim.has(feature) {
            let seen = format!("`exim -bV` does not list {feature}: {what_for}");
            examined.found(BUILD_LACKS, seen);
        }
    }
    if !exim.asking().any(|router| mentions(router, &facts.socket)) {
        let seen = format!("no router that asks mentions {}", facts.socket);
        examined.found_with(
            ASKS_ELSEWHERE,
            seen,
            vec![format!("SEALPOST_SOCKET = {}", facts.socket)],
        );
    }
    match &facts.library {
        Some((_, Reach::No(why))) => examined.found(LIBRARY_UNREAD, why.clone()),
        Some((library, Reach::NotKnown(why))) => {
            examined.unknown(format!("{}: {why}", library.display()));
        }
        Some((_, Reach::Yes)) | None => {}
    }
    judge_transports(exim, &facts.report_sender, &mut examined);
    judge_signed(facts, &mut examined);
    examined
}

fn mentions(driver: &Driver, words: &str) -> bool {
    driver.options.values().any(|value| value.contains(words))
}

fn judge_transports(exim: &Exim, report_sender: &str, examined: &mut Examined) {
    let reports: Vec<&Driver> = exim
        .routers
        .iter()
        .filter(|router| {
            let senders = router.option("senders").to_ascii_lowercase();
            !report_sender.is_empty() && senders.contains(&report_sender.to_ascii_lowercase())
        })
        .collect();
    if !report_sender.is_empty() && reports.is_empty() {
        let seen = format!("no router has senders = {report_sender}");
        let lines = vec![format!("SEALPOST_REPORT_SENDER = {report_sender}")];
        examined.found_with(REPORTS_REPORTED, seen, lines);
    }
    let is_smtp = |transport: &&Driver| transport.option("driver") == "smtp";
    for transport in exim.transports.iter().filter(is_smtp) {
        let name = &transport.name;
        if transport.option("event_action").contains("sealpost") {
            let ciphers = transport.option("tls_require_ciphers");
            if ciphers.contains("NORMAL") && exim.has("OpenSSL") {
                examined.found(OTHER_CIPHERS, format!("the transport {name}: {ciphers}"));
            }
            let once = transport.option("connection_max_messages") == "1"
                && transport.option("hosts_noproxy_tls") == "*";
            if !once {
                examined.found(REUSES, format!("the transport {name}"));
            }
            continue;
        }
        let mut users = exim
            .routers
            .iter()
            .filter(|router| uses(router, name) && !reports.contains(router));
        // One that no router uses tells nothing, and need not.
        if let Some(router) = users.find(|router| router.name != REPORT_ROUTER) {
            let seen = format!("the router {} uses the transport {name}", router.name);
            examined.found(TELLS_NOTHING, seen);
        }
    }
}

/// Is the transport one that this router may choose? What it chooses by may be an expansion.
fn uses(router: &Driver, transport: &str) -> bool {
    let chosen = router.option("transport");
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    chosen
        .split(|letter| !is_part(letter))
        .any(|word| word == transport)
}

/// The router of report mail in the examples. Where its sender is another than ours, that is said once.
const REPORT_ROUTER: &str = "sealpost_report";

/// resolv.conf(5): since 2.31 glibc takes the AD bit away unless `trust-ad` is among the options.
fn judge_signed(facts: &Facts, examined: &mut Examined) {
    let trusts = facts.resolv_conf.lines().any(|line| {
        let mut words = line.split_ascii_whitespace();
        words.next() == Some("options") && words.any(|word| word == "trust-ad")
    });
    if facts.is_dane_on && !trusts {
        examined.found_with(
            NOT_SIGNED,
            format!("{RESOLV_CONF} has no `options trust-ad`"),
            vec![
                "nameserver 127.0.0.1".to_owned(),
                "options edns0 trust-ad".to_owned(),
            ],
        );
    }
}

pub(super) async fn examine(scene: &Scene) -> Examined {
    let config = match scene.config() {
        Ok(config) => config,
        Err(why) => return Examined::not_seen(why),
    };
    let (exim, postfix) = tokio::join!(scene.exim(), scene.postfix());
    let library = exim.as_ref().ok().and_then(|exim| library_of((*exim)?));
    judge(&Facts {
        library,
        exim: exim.map(|exim| exim.cloned()),
        another_asks: postfix.is_ok_and(|postfix| postfix.asks),
        socket: config.plugin_socket.path.display().to_string(),
        report_sender: report_sender(config),
        is_dane_on: config.dane.validation != DnssecValidation::Off
            && config.dane_audited_by(scene.clock.now().day()).is_none(),
        resolv_conf: std::fs::read_to_string(RESOLV_CONF).unwrap_or_default(),
    })
}

/// The library that an Exim asks through, and whether its user can read it.
fn library_of(exim: &Exim) -> Option<(PathBuf, Reach)> {
    let library = exim.library()?;
    let reached = match (steps(&library, None), &exim.user) {
        (Ok(steps), Some(user)) => reach(user, &steps, Want::Read),
        (Ok(_), None) => Reach::NotKnown("Exim's user is not in /etc/passwd".to_owned()),
        (Err(error), _) => Reach::No(format!("{}: {error}", library.display())),
    };
    Some((library, reached))
}

/// The envelope sender of reports; empty where there are none.
fn report_sender(config: &Config) -> String {
    let sender = &config.sender;
    match (config.report.enabled, sender.envelope_from.is_empty()) {
        (false, _) => String::new(),
        (true, true) => sender.contact.clone(),
        (true, false) => sender.envelope_from.clone(),
    }
}
