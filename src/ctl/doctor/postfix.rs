//! Postfix: does it ask Sealpost, does it tell how its sessions went, and what keeps it from either?
//!
//! What `sealpost setup postfix` would change is what is wrong; that decides, and here it only gets its name.

use std::path::PathBuf;

use super::{
    access::{NOBODY_KNOWN, Reach, Want, reach, steps},
    finding::{Examined, Trap, traps},
    scene::Scene,
};
use crate::ctl::setup::{About, Installed, Lack, NotSeen};

traps! {
    NOT_ASKING = "postfix-not-asking", Trouble,
        "Postfix does not ask Sealpost what TLS a domain demands, so no MTA-STS policy is enforced.",
        "Set smtp_tls_policy_maps.";
    TELLS_NOTHING = "postfix-tells-nothing", Trouble,
        "Postfix tells of no session, and says nothing of that. It is silent where smtp_tls_security_level is empty or \
         none, smtp_tlsrpt_enable is no, or smtp_tlsrpt_socket_name is another socket: reports then hold only what is \
         inferred.",
        "Set the parameters as shown.";
    TELLS_LESS = "postfix-tells-less", Warning,
        "Postfix leaves sessions out that resume an earlier TLS session: the numbers of the reports are too small.",
        "Set smtp_tlsrpt_skip_reused_handshakes = no.";
    NO_LIBRARY = "postfix-built-without-tlsrpt", Trouble,
        "This Postfix is new enough to tell its sessions and was built without libtlsrpt, so it never does.",
        "Install a build with TLSRPT (Debian's has it), or let the daemon read the log: [postfix_log] with take = \
         \"all\".";
    TRUSTS_NOBODY = "postfix-trusts-nobody", Trouble,
        "Postfix has no trusted roots, so no certificate can be verified and mail to every domain with an enforced \
         policy waits.",
        "Set smtp_tls_CAfile.";
    REPORTS_REPORTED = "postfix-reports-reported", Trouble,
        "tls_required_enable = no has Postfix pass over `TLS-Required: no`: reports wait where TLS fails, which is \
         when they matter, and the session that carries a report is told and makes another report due, each day anew.",
        "Set tls_required_enable = yes.";
    REPORTS_HELD = "postfix-holds-reports", Warning,
        "Before 3.10 Postfix holds report mail to the policy that the report is about: it waits where TLS fails, which \
         is when it matters.",
        "Give reports a transport of their own, as shown.";
    NO_DANE = "postfix-without-dnssec", Trouble,
        "smtp_dns_support_level is not dnssec: Postfix does no DANE, and mail to a domain that it is answered \
         dane-only for waits.",
        "Set smtp_dns_support_level = dnssec.";
    UNSET = "postfix-not-as-needed", Warning,
        "A setting of Postfix is not as Sealpost needs it.",
        "Set it as shown.";
    SERVICE = "postfix-service-goes-past", Warning,
        "A service of master.cf has settings of its own, and what goes through it is not held to policies, not told, \
         or waits.",
        "Take the -o options out of master.cf, unless you want just that.";
    STOPPED = "postfix-stopped-by", Trouble,
        "Something that only an operator can mend keeps Postfix from going by Sealpost.",
        "Do what is said there.";
    REMARK = "postfix-remark", Warning,
        "Postfix can do less than Sealpost would have it do.",
        "Do what is said there, or leave it so.";
    STALE_COPY = "postfix-resolv-conf-stale", Warning,
        "A chrooted Postfix reads a copy of /etc/resolv.conf, which Debian makes only when Postfix starts: it asks \
         resolvers that the system has left since, and may see no signed answers.",
        "Have the copy made anew: restart Postfix; a reload does not.";
    LOG_UNREAD = "postfix-log-unreadable", Trouble,
        "postfix_log.path names a file that the daemon cannot read, or that is not there: what Postfix logs is not \
         counted.",
        "Let the daemon's user read it (`SupplementaryGroups=adm` in its unit, on Debian), or install rsyslog where \
         there is no such file.";
}

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) installed: Result<Installed, NotSeen>,
    /// Another MTA of this host asks Sealpost, so that this one need not.
    pub(super) another_asks: bool,
    /// The log that the daemon is to read, and whether it can.
    pub(super) log: Option<(PathBuf, Reach)>,
    /// `[postfix_log]` takes every session from it.
    pub(super) log_tells_all: bool,
}

pub(super) fn judge(facts: &Facts) -> Examined {
    let mut examined = Examined::default();
    match &facts.log {
        Some((path, Reach::No(why))) => {
            examined.found(LOG_UNREAD, format!("{}: {why}", path.display()));
        }
        Some((path, Reach::NotKnown(why))) => {
            examined.unknown(format!("{}: {why}", path.display()));
        }
        Some((path, Reach::Yes)) => examined.well(format!("{} is read", path.display())),
        None => {}
    }
    let installed = match &facts.installed {
        Ok(installed) => installed,
        Err(NotSeen::NotInstalled) => {
            examined.well("not installed");
            return examined;
        }
        Err(NotSeen::Unreadable(why)) => {
            examined.unknown(why.clone());
            return examined;
        }
    };
    if facts.another_asks && !installed.asks {
        examined.well(format!(
            "Postfix {} does not ask Sealpost; Exim does",
            installed.version
        ));
        return examined;
    }
    if installed.asks {
        examined.well(format!("Postfix {} asks Sealpost", installed.version));
    }
    if installed.tells && installed.has_library == Some(false) && !facts.log_tells_all {
        let seen = format!("Postfix {} has no libtlsrpt in it", installed.version);
        examined.found(NO_LIBRARY, seen);
    }
    for lack in &installed.lacks {
        let now = match lack.now.as_str() {
            "" => "not set",
            now => now,
        };
        let seen = format!("{} is {now}: {}", lack.name, lack.why);
        examined.found_with(trap_of(lack), seen, lines(lack));
    }
    if let Some(copy) = &installed.stale_resolv_conf {
        let seen = format!("{} is another than /etc/resolv.conf", copy.display());
        examined.found_with(
            STALE_COPY,
            seen,
            vec!["systemctl restart postfix".to_owned()],
        );
    }
    for (about, stops, text) in &installed.remarks {
        match (about, stops) {
            // Another examination says so.
            (About::DatagramQueue, _) => {}
            (About::SmartHost, _) => examined.well(text.clone()),
            (About::Service, _) => examined.found(SERVICE, text.clone()),
            (About::Other, true) => examined.found(STOPPED, text.clone()),
            (About::Other, false) => examined.found(REMARK, text.clone()),
        }
    }
    if let Some(why) = &installed.no_plan {
        examined.found(STOPPED, why.clone());
    }
    examined
}

fn trap_of(lack: &Lack) -> Trap {
    match lack.name.as_str() {
        "smtp_tls_policy_maps" => NOT_ASKING,
        // TLSRPT_README: Postfix tells of no session without a level of its own.
        "smtp_tls_security_level" if matches!(lack.now.as_str(), "" | "none") => TELLS_NOTHING,
        "smtp_tlsrpt_enable" | "smtp_tlsrpt_socket_name" => TELLS_NOTHING,
        // Before 3.10 the log is all that tells.
        "smtp_tls_loglevel" => TELLS_NOTHING,
        "smtp_tlsrpt_skip_reused_handshakes" => TELLS_LESS,
        "smtp_tls_CAfile" => TRUSTS_NOBODY,
        "tls_required_enable" => REPORTS_REPORTED,
        "sender_dependent_default_transport_maps" | "sealpost-report/unix" => REPORTS_HELD,
        "smtp_dns_support_level" => NO_DANE,
        _ => UNSET,
    }
}

fn lines(lack: &Lack) -> Vec<String> {
    let one = match lack.name.contains('/') {
        true => format!("postconf -M -e '{}={}'", lack.name, lack.next),
        false => format!("postconf -e '{} = {}'", lack.name, lack.next),
    };
    let all = "sealpost setup postfix --apply    (that and all the others)";
    vec![one, all.to_owned(), "postfix reload".to_owned()]
}

pub(super) async fn examine(scene: &Scene) -> Examined {
    let config = match scene.config() {
        Ok(config) => config,
        Err(why) => return Examined::not_seen(why),
    };
    let (installed, exim) = tokio::join!(scene.postfix(), scene.exim());
    let path = &config.postfix_log.path;
    let log = match path.as_os_str().is_empty() {
        true => None,
        false => Some((path.clone(), log_reach(scene, path).await)),
    };
    judge(&Facts {
        installed: installed.cloned(),
        another_asks: exim.is_ok_and(|exim| exim.is_some_and(|exim| exim.asks())),
        log,
        log_tells_all: config.postfix_log.take == crate::config::PostfixLogTake::All,
    })
}

async fn log_reach(scene: &Scene, path: &std::path::Path) -> Reach {
    let steps = match steps(path, None) {
        Ok(steps) => steps,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Reach::No("there is no such file".to_owned());
        }
        Err(error) => return Reach::NotKnown(error.to_string()),
    };
    match scene.daemon_user().await {
        Some(user) => reach(&user, &steps, Want::Read),
        None => Reach::NotKnown(NOBODY_KNOWN.to_owned()),
    }
}
