//! What an installed Postfix needs so that it asks Sealpost and tells it how sessions went, and what
//! stands in the way. Pure: from what `postconf` says to what is to be set.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use serde::Serialize;

use super::{
    machine::Machine,
    postfix::{Postfix, Version},
};
use crate::config::{Config, PostfixLogTake, SocketmapConfig};

mod dane;
mod traps;

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
    /// What it is about.
    #[serde(skip)]
    pub(super) about: About,
}

/// What something that an operator should know is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::ctl) enum About {
    /// A service of `master.cf` has settings of its own.
    Service,
    /// How many datagrams the kernel keeps.
    DatagramQueue,
    /// All mail goes through one host.
    SmartHost,
    /// Anything else.
    #[default]
    Other,
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
    /// postconf(5): it is ignored where `smtp_tls_policy_maps` is set. What it demands would be lost.
    #[error(
        "smtp_tls_per_site = {0}: Postfix ignores that table as soon as smtp_tls_policy_maps is set; \
         move what it says to a table of smtp_tls_policy_maps first"
    )]
    PerSite(String),
}

/// What is to be done so that this Postfix goes by this configuration.
pub(super) fn plan(postfix: &Postfix, config: &Config, machine: &Machine) -> Result<Plan, NoPlan> {
    let text = postfix.value("mail_version");
    let version = Version::read(text).ok_or_else(|| NoPlan::Version(text.to_owned()))?;
    if version < Version::OLDEST {
        return Err(NoPlan::TooOld(version));
    }
    let per_site = postfix.value("smtp_tls_per_site");
    if !per_site.is_empty() && postfix.value("smtp_tls_policy_maps").is_empty() {
        return Err(NoPlan::PerSite(per_site.to_owned()));
    }
    let mut planner = Planner {
        postfix,
        config,
        version,
        changes: Vec::new(),
        traps: Vec::new(),
    };
    planner.policy()?;
    planner.security_level(machine);
    planner.signed_answers(machine);
    planner.roots(machine);
    if version >= Version::TELLS {
        planner.outcomes();
        planner.report_mail_by_its_header();
        if !config.postfix_log.path.as_os_str().is_empty() {
            planner.log_level();
        }
    } else {
        planner.log_of_old_release(machine);
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
        self.trap_about(About::Other, text);
    }

    fn trap_about(&mut self, about: About, text: impl Into<String>) {
        self.traps.push(Trap {
            stops: false,
            text: text.into(),
            about,
        });
    }

    fn stop(&mut self, text: impl Into<String>) {
        self.traps.push(Trap {
            stops: true,
            text: text.into(),
            about: About::Other,
        });
    }

    /// Postfix asks Sealpost, after whatever table it asks already.
    fn policy(&mut self) -> Result<(), NoPlan> {
        let server = self.server()?;
        let map = if self.version >= Version::TELLS {
            "QUERYwithTLSRPT"
        } else {
            "QUERY"
        };
        let ours = format!("socketmap:{server}:{map}");
        let (name, postfix, socketmap) =
            ("smtp_tls_policy_maps", self.postfix, &self.config.socketmap);
        let written = tables(postfix.written(name));
        let (earlier, mut next): (Vec<&str>, Vec<&str>) = written
            .into_iter()
            .partition(|table| is_ours(table, postfix.queue_directory(), socketmap));
        let holds = tables(postfix.value(name));
        for other in holds.iter().filter(|table| {
            table.contains("socketmap:") && **table != ours && !earlier.contains(table)
        }) {
            self.trap(format!(
                "{name} has another policy server, {other}, which is asked first; take it out where \
                 Sealpost shall decide"
            ));
        }
        if !holds.contains(&ours.as_str()) {
            next.push(&ours);
            self.set(
                name,
                next.join(", "),
                "before each delivery Postfix asks Sealpost what TLS the domain demands",
            );
        }
        Ok(())
    }

    /// Where Postfix finds the socketmap: `unix:PATH` or `inet:ADDRESS`.
    fn server(&mut self) -> Result<String, NoPlan> {
        let socketmap = &self.config.socketmap;
        if !socketmap.path.as_os_str().is_empty() {
            let path = self.postfix.path(&socketmap.path);
            self.stop_where_hidden(&path, "set socketmap.path below it, or socketmap.listen");
            return Ok(format!("unix:{path}"));
        }
        let mut address = *socketmap.listen.first().ok_or(NoPlan::NoSocketmap)?;
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        Ok(format!("inet:{address}"))
    }

    /// A chrooted Postfix sees nothing outside of its queue directory.
    fn stop_where_hidden(&mut self, path: &str, remedy: &str) {
        if Path::new(path).is_absolute() && self.postfix.any_chrooted() {
            self.stop(format!(
                "{path} lies outside {}, and Postfix's smtp is chrooted there: {remedy}",
                self.postfix.queue_directory().display()
            ));
        }
    }

    /// postfix.org, TLSRPT_README: without a level of its own Postfix tells nothing at all.
    fn security_level(&mut self, machine: &Machine) {
        let is_yes = |name: &str| self.postfix.value(name) == "yes";
        // postconf(5): what an empty level means is said by parameters of Postfix before 2.3, which a
        // level turns off.
        let level = match self.postfix.value("smtp_tls_security_level") {
            "" if is_yes("smtp_enforce_tls") && is_yes("smtp_tls_enforce_peername") => "verify",
            "" if is_yes("smtp_enforce_tls") => "encrypt",
            "" | "none" | "may" if self.can_do_dane(machine) => "dane",
            "" | "none" => "may",
            _ => return,
        };
        let why = "without a level of its own Postfix enforces policies and tells of no session";
        let why = match level {
            "dane" => {
                "a certificate that matches the TLSA records of a mail host, where signed DNS has \
                       any (DANE); elsewhere TLS wherever it is offered"
                    .to_owned()
            }
            "may" => format!("TLS wherever a mail host offers it; {why}"),
            _ => format!("what smtp_enforce_tls = yes means; {why}"),
        };
        self.set("smtp_tls_security_level", level, &why);
    }

    /// A policy in `enforce` cannot be met where nobody is trusted.
    fn roots(&mut self, machine: &Machine) {
        let trusts = ["smtp_tls_CAfile", "smtp_tls_CApath"]
            .iter()
            .any(|name| !self.postfix.value(name).is_empty())
            || self.postfix.value("tls_append_default_CA") == "yes";
        if trusts {
            self.trusted_roots_are_read(machine);
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
        let path = &self.config.tlsrpt_socket.path;
        if path.as_os_str().is_empty() {
            self.stop("tlsrpt_socket.path is empty: Postfix has nowhere to tell its sessions");
            return;
        }
        let seen = self.postfix.path(path);
        self.stop_where_hidden(&seen, "set tlsrpt_socket.path below it");
        self.set(
            "smtp_tlsrpt_enable",
            "yes",
            "Postfix tells Sealpost how each session went",
        );
        self.set(
            "smtp_tlsrpt_socket_name",
            seen,
            "where it tells that; a name that does not begin with / is below the queue directory",
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

    /// RFC 8460 s3, s5.3: reports are delivered whatever TLS does, and sessions that carry them are not counted.
    /// From 3.10 on Postfix does both for what says `TLS-Required: no`, unless it is set to pass that over:
    /// then each report would make another one due.
    fn report_mail_by_its_header(&mut self) {
        let name = "tls_required_enable";
        if self.config.report.enabled && self.postfix.value(name) == "no" {
            self.set(
                name,
                "yes",
                "report mail, which says TLS-Required: no, is delivered even where TLS fails, and is not told as \
                 a session: else each report would be reported in its turn (RFC 8460 s3, s5.3)",
            );
        }
    }

    /// Without a line for each TLS session the log does not say which were in the clear.
    fn log_level(&mut self) {
        if self.postfix.value("smtp_tls_loglevel") == "0" {
            self.set(
                "smtp_tls_loglevel",
                "1",
                "a line in the log, which Sealpost reads, for each TLS session",
            );
        }
    }

    /// Before 3.10 the log is all there is.
    fn log_of_old_release(&mut self, machine: &Machine) {
        self.log_level();
        let own = self.postfix.value("maillog_file");
        let file = match &machine.mail_log {
            _ if !own.is_empty() => own.to_owned(),
            Some(file) => file.display().to_string(),
            None => {
                self.stop(
                    "no file has Postfix's log: install rsyslog, or set maillog_file = \
                     /var/log/mail.log in main.cf",
                );
                "/var/log/mail.log".to_owned()
            }
        };
        let log = &self.config.postfix_log;
        if log.path.as_os_str().is_empty() || log.take != PostfixLogTake::All {
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
        // Through a smart host it goes as all mail does: what that demands is no recipient's policy.
        let goes_itself = self.postfix.value("relayhost").is_empty();
        if !self.config.report.enabled || sender.is_empty() || !goes_itself {
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
        if self.postfix.value(name).contains(&ours) {
            return;
        }
        let next = match self.postfix.written(name) {
            "" => ours,
            others => format!("{ours}, {others}"),
        };
        let why = format!(
            "mail from {sender} takes that transport, past every policy: let nothing but reports be \
             sent from that address"
        );
        self.set(name, next, &why);
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

/// Whether one of these tables is the socketmap of this configuration, whatever map name it asks.
pub(super) fn asks_here(
    policy_maps: &str,
    queue_directory: &str,
    socketmap: &SocketmapConfig,
) -> bool {
    let queue_directory = Path::new(queue_directory);
    let mut tables = tables(policy_maps).into_iter();
    tables.any(|table| is_ours(table, queue_directory, socketmap))
}

/// Is this table the one of an earlier set-up, whatever map name it asks?
fn is_ours(table: &str, queue_directory: &Path, socketmap: &SocketmapConfig) -> bool {
    let asked = table
        .strip_prefix("socketmap:")
        .and_then(|rest| rest.rsplit_once(':'));
    let Some((server, _)) = asked else {
        return false;
    };
    if let Some(path) = server.strip_prefix("unix:") {
        !socketmap.path.as_os_str().is_empty() && queue_directory.join(path) == socketmap.path
    } else {
        let address = server.strip_prefix("inet:").and_then(|at| at.parse().ok());
        address.is_some_and(|address| socketmap.listen.contains(&address))
    }
}

#[cfg(test)]
mod tests;
