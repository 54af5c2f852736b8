//! What is said in the log of who validates.

use super::{Outcome, Tried, verdict::Doubt};

/// What a look came to, where that is news.
pub(super) fn say(outcome: &Outcome, before: Option<&Outcome>) {
    let in_words = |tried: &[Tried]| {
        let tried: Vec<_> = tried.iter().map(ToString::to_string).collect();
        tried.join("; ")
    };
    match (outcome, before) {
        (Outcome::Off, _) => tracing::info!("DANE is off: dane.validation is \"off\""),
        (Outcome::Works(by), Some(Outcome::Nobody(_))) => {
            tracing::info!(%by, "DNSSEC is validated again: DANE is on");
        }
        (Outcome::Works(by), _) => tracing::info!(%by, "DNSSEC is validated: DANE is on"),
        (Outcome::NotYet(tried), _) => tracing::error!(
            tried = in_words(tried),
            "DNSSEC: nobody answers yet, so nobody knows where DANE is: mail waits, but for domains that enforce \
             MTA-STS. If nobody answers within nine minutes, DANE is off"
        ),
        (Outcome::Nobody(tried), _) => tracing::error!(
            tried = in_words(tried),
            "DANE IS OFF: nobody validates DNSSEC, so mail goes by MTA-STS alone. Run a validating resolver \
             on this machine (unbound, say) and name it in dns.servers, or have resolvers that pass on \
             signatures; or set dane.validation = \"off\" to be told no more. It is tried again"
        ),
    }
}

/// What speaks against the way that is gone, where that is news.
pub(super) fn say_doubt(doubt: Option<&Doubt>) {
    match doubt {
        Some(Doubt::Forged(why)) => tracing::error!(
            why,
            "DNSSEC: what the resolvers say of the root does not hold. DANE stays on, lookups are bogus, and mail \
             waits until it holds again: somebody forges answers, or the resolvers no longer pass on what is signed"
        ),
        Some(Doubt::Silent(why)) => tracing::warn!(
            why,
            "DNSSEC: the resolvers do not answer for the root. DANE stays on; lookups that fail have mail wait"
        ),
        None => tracing::info!("DNSSEC: what the resolvers say of the root holds again"),
    }
}
