//! The resolver: does it answer, and does anybody validate DNSSEC?

use std::{net::SocketAddr, sync::Arc};

use tokio::time::timeout;

use super::{
    finding::{Examined, traps},
    scene::{ANSWER_TIME_MAX, Scene},
};
use crate::{
    config::{Config, DnsConfig},
    ctl::wire::DnssecView,
    net::{
        dns::{Dns as _, DnsError},
        dnssec::at_once,
        hickory::{HickoryDns, servers},
        validation::{Outcome, Tried, Validation},
    },
};

traps! {
    NONE = "resolver-none", Trouble,
        "There is no resolver to ask: no policy, no TLSA record and no report destination can be looked up.",
        "Name one in /etc/resolv.conf, or set dns.servers.";
    SILENT = "resolver-silent", Trouble,
        "No resolver answers, so nothing is known of any domain and mail waits (policy.when_unknown).",
        "See that the resolver runs and that nothing stands between it and this host: port 53, UDP and TCP.";
    PARTLY_SILENT = "resolver-partly-silent", Warning,
        "One of several resolvers does not answer. Lookups that begin with it take dns.timeout_ms longer, and the \
         MTA, which asks the same ones, waits too.",
        "Mend the resolver, or take it out of the list.";
    NOT_VALIDATED = "dnssec-not-validated", Trouble,
        "Nobody validates DNSSEC, so DANE is off: mail to domains with TLSA records goes by MTA-STS alone, or by \
         nothing. The resolvers lose signatures on the way, or are not on this machine and cannot be believed.",
        "Run a resolver that validates on this machine and name it, or have resolvers that pass on signatures (the DO \
         bit). Who wants no DANE says so with dane.validation = \"off\".";
    DOUBTED = "dnssec-doubted", Trouble,
        "DANE is on, and what the resolvers say of the root's keys does not hold, or they do not answer for it: mail \
         waits. Somebody forges answers, a resolver has lost signatures, or this machine's clock is off.",
        "Look at the clock first, then at the resolvers: `dig . DNSKEY +dnssec` must show RRSIG records.";
    ANCHOR = "trust-anchor-unusable", Trouble,
        "The file of the root's keys cannot be used: the daemon does not start, or goes on with keys that the root \
         may have left behind.",
        "Write the file anew (`unbound-anchor` does), or leave dane.trust_anchor empty: then the built-in keys count.";
    DANE_OFF = "dane-off", Warning,
        "The operator has turned DANE off. Domains that have no MTA-STS policy and do have TLSA records get no \
         protection.",
        "Take dane.validation = \"off\" out, unless you want just that.";
}

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// Each server, and why it gave no answer.
    pub(super) servers: Result<Vec<(SocketAddr, Option<String>)>, String>,
    /// What our own trial came to.
    pub(super) trial: Trial,
    /// What the daemon says.
    pub(super) daemon: Option<DnssecView>,
}

/// What came of trying who validates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trial {
    /// The operator wants no DANE.
    Off,
    /// It works, by this.
    Works(String),
    /// It does not.
    Nobody(String),
    /// Nobody answers.
    Silent(String),
    /// The anchors cannot be used.
    Anchors(String),
}

pub(super) fn judge(facts: &Facts) -> Examined {
    let mut examined = Examined::default();
    let is_heard = match &facts.servers {
        Ok(servers) => judge_servers(servers, &mut examined),
        Err(why) => {
            examined.found(NONE, why.clone());
            false
        }
    };
    match (&facts.trial, &facts.daemon) {
        (Trial::Anchors(why), _) => examined.found(ANCHOR, why.clone()),
        (Trial::Off, _) => examined.found(DANE_OFF, "dane.validation is \"off\""),
        // Whoever is silent is found already.
        _ if !is_heard => {}
        (_, Some(view)) if view.validation == "nobody" => {
            let seen = format!("the daemon: {}", view.reason.clone().unwrap_or_default());
            examined.found_with(NOT_VALIDATED, seen, unbound());
        }
        (_, Some(view)) if view.validation == "not-yet" || view.doubt.is_some() => {
            let why = view.doubt.clone().or_else(|| view.reason.clone());
            examined.found(DOUBTED, format!("the daemon: {}", why.unwrap_or_default()));
        }
        (Trial::Works(by), _) => examined.well(format!("DNSSEC is validated ({by}): DANE is on")),
        (Trial::Nobody(why), _) => examined.found_with(NOT_VALIDATED, why.clone(), unbound()),
        (Trial::Silent(why), _) => examined.found(DOUBTED, why.clone()),
    }
    examined
}

/// Does one of them answer?
fn judge_servers(servers: &[(SocketAddr, Option<String>)], examined: &mut Examined) -> bool {
    let (silent, heard): (Vec<_>, Vec<_>) = servers.iter().partition(|(_, why)| why.is_some());
    let words: Vec<String> = silent
        .iter()
        .map(|(server, why)| format!("{server}: {}", why.clone().unwrap_or_default()))
        .collect();
    let names: Vec<String> = heard.iter().map(|(server, _)| server.to_string()).collect();
    match (heard.is_empty(), silent.is_empty()) {
        (true, _) => examined.found(SILENT, words.join("; ")),
        (false, true) => examined.well(format!("{} answers", names.join(", "))),
        (false, false) => examined.found(PARTLY_SILENT, words.join("; ")),
    }
    !heard.is_empty()
}

/// A resolver that validates, as Debian has it.
fn unbound() -> Vec<String> {
    vec![
        "apt install unbound".to_owned(),
        "echo 'nameserver 127.0.0.1' > /etc/resolv.conf".to_owned(),
        "systemctl restart sealpost".to_owned(),
    ]
}

pub(super) async fn examine(scene: &Scene) -> Examined {
    let config = match scene.config() {
        Ok(config) => config,
        Err(why) => return Examined::not_seen(why),
    };
    let listed = servers(&config.dns).map_err(|error| error.to_string());
    let (servers, trial, status) = tokio::join!(
        ask_each(listed, &config.dns),
        try_out(scene, config),
        scene.status(),
    );
    judge(&Facts {
        servers,
        trial,
        daemon: status.and_then(|status| status.dnssec.clone()),
    })
}

/// A name that is asked for: there is always an answer, be it that nobody takes mail there.
const QUESTION: &str = "org";

type Heard = Vec<(SocketAddr, Option<String>)>;

async fn ask_each(
    servers: Result<Vec<SocketAddr>, String>,
    dns: &DnsConfig,
) -> Result<Heard, String> {
    let asking = servers?.into_iter().map(|server| async move {
        let alone = DnsConfig {
            servers: vec![server],
            attempts: 1,
            ..dns.clone()
        };
        let heard = match HickoryDns::new(&alone) {
            Ok(resolver) => match resolver.mx(QUESTION).await {
                // Whatever it says, it is there.
                Ok(_) | Err(DnsError::Server { .. } | DnsError::BadName { .. }) => None,
                Err(error) => Some(error.to_string()),
            },
            Err(error) => Some(error.to_string()),
        };
        (server, heard)
    });
    Ok(at_once(asking).await)
}

async fn try_out(scene: &Scene, config: &Config) -> Trial {
    let validation = match Validation::new(&config.dns, &config.dane, Arc::clone(&scene.clock)) {
        Ok(validation) => validation,
        Err(error) => return Trial::Anchors(error.to_string()),
    };
    let looked = timeout(ANSWER_TIME_MAX, validation.look()).await;
    let Ok(outcome) = looked else {
        return Trial::Silent("the resolvers do not answer for the root's keys".to_owned());
    };
    match outcome {
        Outcome::Off => Trial::Off,
        Outcome::Works(by) => Trial::Works(by.to_string()),
        Outcome::NotYet(tried) => Trial::Silent(in_words(&tried)),
        Outcome::Nobody(tried) => Trial::Nobody(in_words(&tried)),
    }
}

/// Who was tried, and why that did not work.
pub(super) fn in_words(tried: &[Tried]) -> String {
    let tried: Vec<String> = tried.iter().map(ToString::to_string).collect();
    tried.join("; ")
}
