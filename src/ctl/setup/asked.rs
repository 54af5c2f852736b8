//! Whether the Postfix of this machine, where it asks Sealpost, can do what it may be told.

use std::path::PathBuf;

use super::{plan::asks_here, postconf::Postconf};
use crate::config::{Config, DnssecValidation, TellsDane};

/// What Postfix needs to be told `dane-only`, and what tells whether it asks here.
const PARAMETERS: [&str; 3] = [
    "queue_directory",
    "smtp_dns_support_level",
    "smtp_tls_policy_maps",
];

/// A warning where the Postfix of this machine asks Sealpost and was never set to look for signed answers:
/// told `dane-only`, all mail of the domain waits. Nothing where there is no Postfix, or nothing is wrong.
///
/// Runs `postconf`, which may take a second.
pub(in crate::ctl) fn without_signed_answers(config: &Config) -> Option<String> {
    let may_be_told = config.dane.validation != DnssecValidation::Off
        && config.socketmap.dane_only != TellsDane::Never;
    if !may_be_told {
        return None;
    }
    let holds = Postconf::new(PathBuf::from("postconf"), None)
        .values(&PARAMETERS)
        .ok()?;
    let value = |name: &str| holds.get(name).map_or("", String::as_str);
    let asks = asks_here(
        value("smtp_tls_policy_maps"),
        value("queue_directory"),
        &config.socketmap,
    );
    let level = value("smtp_dns_support_level");
    (asks && level != "dnssec").then(|| {
        let level = match level {
            "" => "not set",
            set => set,
        };
        format!(
            "Postfix asks Sealpost, and its smtp_dns_support_level is {level} instead of dnssec: where it is \
             told dane-only, mail waits. `sealpost setup postfix` says what to set; where Postfix shall do \
             no DANE, set socketmap.dane_only = \"never\""
        )
    })
}
