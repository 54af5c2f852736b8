//! What an installed Postfix needs so that it asks Sealpost and tells it how sessions went, and what
//! stands in the way. Pure: from what `postconf` says to what is to be set.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    config::{Config, PostfixLogTake},
    policy::PolicyDomain,
};

/// An installed Postfix, as `postconf` describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Postfix {
    /// What holds for each parameter that this release knows.
    pub(super) parameters: BTreeMap<String, String>,
    /// The services that deliver by SMTP: those of `master.cf` that run `smtp`.
    pub(super) services: Vec<SmtpService>,
    /// Entries of `master.cf` by name and type, such as `smtp/unix`.
    pub(super) entries: Vec<String>,
}

/// A service of `master.cf` that delivers by SMTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SmtpService {
    /// Such as `smtp/unix`.
    pub(super) name: String,
    /// Whether it sees nothing but the queue directory.
    pub(super) chrooted: bool,
    /// What its `-o` options set otherwise than `main.cf`.
    pub(super) overrides: Vec<(String, String)>,
}

/// What this machine has, apart from Postfix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Machine {
    /// A file of trusted roots, where one was found.
    pub(super) roots: Option<PathBuf>,
    /// Whether a resolver of `/etc/resolv.conf` is on this host.
    pub(super) local_resolver: bool,
    /// `net.unix.max_dgram_qlen`, where it can be read.
    pub(super) datagrams_queued_max: Option<u64>,
}

/// A Postfix release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Version {
    /// Such as 3.
    pub(super) major: u32,
    /// Such as 10.
    pub(super) minor: u32,
    /// Such as 13; 0 for a snapshot.
    pub(super) patch: u32,
}

impl Version {
    /// The first that tells how its sessions went.
    const TELLS: Self = Self::of(3, 10, 0);
    /// The first with `servername` in a policy.
    const OLDEST: Self = Self::of(3, 4, 0);
    /// The first that passes over an MX which the policy does not list.
    const AUTHORIZES_MX: Self = Self::of(3, 10, 5);

    const fn of(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// Reads `mail_version`: `3.10.13`, `3.12-20260821`, `3.8.0-RC1`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let release = text.split(['-', ' ']).next()?;
        let mut numbers = release.split('.').map(|number| number.parse().ok());
        Some(Self::of(
            numbers.next()??,
            numbers.next()??,
            numbers.next().flatten().unwrap_or(0),
        ))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// What is to be done, and what stands in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Plan {
    /// The release.
    pub(super) version: Version,
    /// What is to be set, in order; empty where all is set already.
    pub(super) changes: Vec<Change>,
    /// What an operator should know, and what only an operator can mend.
    pub(super) traps: Vec<Trap>,
}

/// One thing to be set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Change {
    /// Where.
    pub(super) place: Place,
    /// A parameter of `main.cf`, or a service of `master.cf` such as `smtp/unix`.
    pub(super) name: String,
    /// What holds now.
    pub(super) now: String,
    /// What shall hold.
    pub(super) next: String,
    /// What it does.
    pub(super) why: String,
}

/// Where something is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Place {
    /// `main.cf`
    Main,
    /// A new entry of `master.cf`.
    Master,
}

/// Something that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Trap {
    /// Does it keep the door from working?
    pub(super) stops: bool,
    /// What, and what to do.
    pub(super) text: String,
}

/// Why nothing can be planned. The operator must act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoPlan {
    /// What `postconf` calls its release is none that we can read.
    #[error("postconf says that Postfix has the version {0:?}, which is none that sealpost knows")]
    Version(String),
    /// Before 3.4 a policy cannot say what name to send in the handshake.
    #[error("Postfix {0} is too old: a policy server needs 3.4 or later")]
    TooOld(Version),
    /// The configuration opens no door that Postfix can ask at.
    #[error(
        "Postfix would have nothing to ask: set socketmap.path or socketmap.listen in the \
         configuration of sealpost"
    )]
    NoSocketmap,
}

impl Postfix {
    /// What holds for a parameter; empty where this release does not know it.
    pub(super) fn value(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }

    /// The release.
    pub(super) fn version(&self) -> Result<Version, NoPlan> {
        let text = self.value("mail_version");
        Version::read(text).ok_or_else(|| NoPlan::Version(text.to_owned()))
    }

    fn queue_directory(&self) -> &Path {
        Path::new(self.value("queue_directory"))
    }

    /// A path as Postfix finds it: its processes work in the queue directory, and in a chroot that is
    /// their whole world.
    fn path(&self, path: &Path) -> String {
        let below = path.strip_prefix(self.queue_directory());
        below.unwrap_or(path).display().to_string()
    }

    fn any_chrooted(&self) -> bool {
        self.services.iter().any(|service| service.chrooted)
    }
}

/// What is to be done so that this Postfix goes by this configuration.
pub(super) fn plan(postfix: &Postfix, config: &Config, machine: &Machine) -> Result<Plan, NoPlan> {
    let version = postfix.version()?;
    if version < Version::OLDEST {
        return Err(NoPlan::TooOld(version));
    }
    let mut planner = Planner {
        postfix,
        config,
        version,
        changes: Vec::new(),
        traps: Vec::new(),
    };
    planner.policy()?;
    planner.security_level();
    planner.roots(machine);
    if version >= Version::TELLS {
        planner.outcomes();
    } else {
        planner.log_of_old_release();
        planner.report_mail();
    }
    planner.look_for_traps(machine);
    Ok(Plan {
        version,
        changes: planner.changes,
        traps: planner.traps,
    })
}

struct Planner<'a> {
    postfix: &'a Postfix,
    config: &'a Config,
    version: Version,
    changes: Vec<Change>,
    traps: Vec<Trap>,
}

impl Planner<'_> {
    fn set(&mut self, name: &str, next: impl Into<String>, why: &str) {
        let (now, next) = (self.postfix.value(name), next.into());
        if now != next {
            self.changes.push(Change {
                place: Place::Main,
                name: name.to_owned(),
                now: now.to_owned(),
                next,
                why: why.to_owned(),
            });
        }
    }

    fn trap(&mut self, text: impl Into<String>) {
        self.traps.push(Trap {
            stops: false,
            text: text.into(),
        });
    }

    fn stop(&mut self, text: impl Into<String>) {
        self.traps.push(Trap {
            stops: true,
            text: text.into(),
        });
    }

    /// Postfix asks Sealpost, after whatever table it asks already.
    fn policy(&mut self) -> Result<(), NoPlan> {
        let socketmap = &self.config.socketmap;
        let address = if !socketmap.path.as_os_str().is_empty() {
            let path = self.postfix.path(&socketmap.path);
            if Path::new(&path).is_absolute() && self.postfix.any_chrooted() {
                self.stop(format!(
                    "{path} lies outside {}, and Postfix's smtp is chrooted there: set \
                     socketmap.path below it, or socketmap.listen",
                    self.postfix.queue_directory().display()
                ));
            }
            format!("unix:{path}")
        } else if let Some(address) = socketmap.listen.first() {
            format!("inet:{address}")
        } else {
            return Err(NoPlan::NoSocketmap);
        };
        let map = if self.version >= Version::TELLS {
            "QUERYwithTLSRPT"
        } else {
            "QUERY"
        };
        let ours = format!("socketmap:{address}:{map}");
        let now = self.postfix.value("smtp_tls_policy_maps").to_owned();
        let others = tables(&now)
            .into_iter()
            .filter(|table| !is_ours(table, &address))
            .collect::<Vec<_>>();
        for other in others.iter().filter(|table| table.contains("socketmap:")) {
            self.trap(format!(
                "smtp_tls_policy_maps has another policy server, {other}, which is asked first; \
                 take it out where Sealpost shall decide"
            ));
        }
        let next = others
            .into_iter()
            .chain([ours.as_str()])
            .collect::<Vec<_>>()
            .join(", ");
        self.set(
            "smtp_tls_policy_maps",
            next,
            "before each delivery Postfix asks Sealpost what TLS the domain demands",
        );
        Ok(())
    }

    /// postfix.org, TLSRPT_README: without a level of its own Postfix tells nothing at all.
    fn security_level(&mut self) {
        let level = self.postfix.value("smtp_tls_security_level");
        if matches!(level, "" | "none") {
            self.set(
                "smtp_tls_security_level",
                "may",
                "TLS wherever a mail host offers it; without a level Postfix enforces policies and \
                 tells of no session",
            );
        }
    }

    /// A policy in `enforce` cannot be met where nobody is trusted.
    fn roots(&mut self, machine: &Machine) {
        let trusts = ["smtp_tls_CAfile", "smtp_tls_CApath"]
            .iter()
            .any(|name| !self.postfix.value(name).is_empty())
            || self.postfix.value("tls_append_default_CA") == "yes";
        if trusts {
            return;
        }
        match &machine.roots {
            Some(roots) => self.set(
                "smtp_tls_CAfile",
                roots.display().to_string(),
                "whom to trust: without it no certificate can be verified and mail to every domain \
                 with a policy waits",
            ),
            None => self.stop(
                "neither smtp_tls_CAfile nor smtp_tls_CApath is set, and no file of trusted roots \
                 was found: install ca-certificates, or mail to every domain with a policy waits",
            ),
        }
    }

    /// Postfix 3.10 and later tells how its sessions went.
    fn outcomes(&mut self) {
        if !self.postfix.parameters.contains_key("smtp_tlsrpt_enable") {
            self.stop(
                "this Postfix was built without TLSRPT support: its log can be read instead \
                 (postfix_log.path with take = \"all\")",
            );
            return;
        }
        let path = &self.config.tlsrpt_socket.path;
        if path.as_os_str().is_empty() {
            self.stop("tlsrpt_socket.path is empty: Postfix has nowhere to tell its sessions");
            return;
        }
        let seen = self.postfix.path(path);
        if Path::new(&seen).is_absolute() && self.postfix.any_chrooted() {
            self.stop(format!(
                "{seen} lies outside {}, and Postfix's smtp is chrooted there: set \
                 tlsrpt_socket.path below it",
                self.postfix.queue_directory().display()
            ));
        }
        self.set(
            "smtp_tlsrpt_enable",
            "yes",
            "Postfix tells Sealpost how each session went",
        );
        self.set(
            "smtp_tlsrpt_socket_name",
            seen,
            "where it tells that; relative to the queue directory",
        );
        self.set(
            "smtp_tlsrpt_skip_reused_handshakes",
            "no",
            "sessions that resume an earlier TLS session count too",
        );
        if self.postfix.value("smtp_tls_enforce_sts_mx_patterns") == "no" {
            self.set(
                "smtp_tls_enforce_sts_mx_patterns",
                "yes",
                "an MX host that the policy does not list is passed over (RFC 8461 s4.1)",
            );
        } else if self.version < Version::AUTHORIZES_MX {
            self.trap(format!(
                "Postfix {} checks the certificate alone, not whether the policy lists the MX: \
                 3.10.5 and later do",
                self.version
            ));
        }
    }

    /// Before 3.10 the log is all there is.
    fn log_of_old_release(&mut self) {
        if self.postfix.value("smtp_tls_loglevel") == "0" {
            self.set(
                "smtp_tls_loglevel",
                "1",
                "a line in the log for each TLS session: before 3.10 Postfix tells of its sessions \
                 nowhere else",
            );
        }
        let log = &self.config.postfix_log;
        if log.path.as_os_str().is_empty() || log.take != PostfixLogTake::All {
            let file = match self.postfix.value("maillog_file") {
                "" => "/var/log/mail.log",
                file => file,
            };
            self.stop(format!(
                "Postfix {} tells its sessions in its log alone: set in the configuration of \
                 sealpost\n[postfix_log]\npath = \"{file}\"\ntake = \"all\"",
                self.version
            ));
        }
    }

    /// RFC 8460 s3: reports are delivered whatever TLS does. Before 3.10 Postfix does not know
    /// `TLS-Required: no`, so report mail gets a transport that asks nobody.
    fn report_mail(&mut self) {
        let sender = match &self.config.sender {
            sender if sender.envelope_from.is_empty() => &sender.contact,
            sender => &sender.envelope_from,
        };
        if !self.config.report.enabled || sender.is_empty() {
            return;
        }
        let is_there = self.postfix.entries.iter().any(|entry| entry == REPORTS);
        if !is_there {
            self.changes.push(Change {
                place: Place::Master,
                name: REPORTS.to_owned(),
                now: String::new(),
                next: format!(
                    "{} unix - - {} - - smtp -o smtp_tls_policy_maps= -o smtp_tls_security_level=may",
                    REPORTS.trim_end_matches("/unix"),
                    if self.postfix.any_chrooted() { "y" } else { "n" },
                ),
                why: "report mail is delivered even where TLS fails (RFC 8460 s3)".to_owned(),
            });
        }
        let ours = format!(
            "inline:{{ {{ {sender} = {}: }} }}",
            REPORTS.trim_end_matches("/unix")
        );
        let name = "sender_dependent_default_transport_maps";
        let now = self.postfix.value(name);
        if now.contains(&ours) {
            return;
        }
        let next = if now.is_empty() {
            ours
        } else {
            format!("{ours}, {now}")
        };
        self.set(name, next, "report mail takes that transport");
    }

    fn look_for_traps(&mut self, machine: &Machine) {
        for service in &self.postfix.services {
            for (name, value) in &service.overrides {
                let mutes = match name.as_str() {
                    "smtp_tls_policy_maps" => service.name != REPORTS,
                    "smtp_tls_security_level" => value.is_empty() || value == "none",
                    "smtp_tlsrpt_enable" => value == "no",
                    _ => false,
                };
                if mutes {
                    self.traps.push(Trap {
                        stops: false,
                        text: format!(
                            "the service {} of master.cf sets {name}={value}: what goes through it \
                             goes past Sealpost",
                            service.name
                        ),
                    });
                }
            }
        }
        if self.postfix.value("smtp_dns_support_level") == "disabled" {
            self.stop(
                "smtp_dns_support_level is disabled: Postfix looks up no MX and tells of no session",
            );
        }
        let level = self.postfix.value("smtp_tls_security_level");
        if level.starts_with("dane") && !machine.local_resolver {
            self.trap(
                "smtp_tls_security_level is dane, and no resolver of /etc/resolv.conf is on this \
                 host: what a resolver says of DNSSEC over the network can be forged; run a \
                 validating one here",
            );
        }
        let told = self.version >= Version::TELLS;
        if told && machine.datagrams_queued_max.is_some_and(|most| most < 512) {
            self.trap(
                "net.unix.max_dgram_qlen is below 512, and Postfix drops what finds no room: set it \
                 in /etc/sysctl.d and start sealpost anew",
            );
        }
        self.smart_host();
    }

    /// RFC 8461 s3.4: the smart host's own domain is asked about.
    fn smart_host(&mut self) {
        let relay = self.postfix.value("relayhost").to_owned();
        if relay.is_empty() {
            return;
        }
        let name = relay.trim_start_matches('[');
        let name = name.split([']', ':']).next().unwrap_or_default();
        let whose = if name.parse::<PolicyDomain>().is_ok() {
            format!("the policy of {name} alone counts, and the report goes to it")
        } else {
            "an address has no policy, and no report".to_owned()
        };
        self.trap(format!("all mail goes through relayhost {relay}: {whose}"));
    }
}

/// The service of `master.cf` that report mail goes through where Postfix is old.
const REPORTS: &str = "sealpost-report/unix";

/// The tables of a parameter, which stand apart by commas or blanks; braces hold together.
fn tables(value: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    value
        .split(move |character: char| {
            match character {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && (character == ',' || character.is_ascii_whitespace())
        })
        .filter(|table| !table.is_empty())
        .collect()
}

/// Whether a table is the one of an earlier set-up, whatever map name it asks.
fn is_ours(table: &str, address: &str) -> bool {
    let asked = table
        .strip_prefix("socketmap:")
        .and_then(|rest| rest.rsplit_once(':'));
    asked.is_some_and(|(server, _)| server == address)
}

#[cfg(test)]
mod tests;
