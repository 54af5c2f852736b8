//! What a look at a mail host adds to what the DNS says: put so that it can be read.

use std::fmt::Write as _;

use rustls::RootCertStore;
use sealpost_plugin_api::ResultType;

use super::certificate::{certificate_as_text, certificate_view};
use crate::{
    clock::Timestamp,
    ctl::{
        screen::shown,
        wire::{LiveView, MxVerdict},
    },
    net::smtp::probe::Prober,
    policy::{
        MxHost,
        dane::{
            HostDane, TlsaPolicy, Verdict,
            verdict::{NAME_MISMATCH, NO_MATCH, Trouble},
            verify,
        },
    },
    record::{
        classify::Observed,
        look::{HandshakeFault, Seen, TlsSeen, observe},
    },
};

/// What looks at mail hosts.
#[expect(
    missing_debug_implementations,
    reason = "the prober is a trait object without one"
)]
pub struct Look<'a> {
    /// What connects to them.
    pub prober: &'a dyn Prober,
    /// Who is trusted to vouch for their certificates.
    pub roots: &'a RootCertStore,
}

impl Look<'_> {
    /// Looks at one host, of which signed DNS says this.
    pub(super) async fn at(&self, host: &MxHost, said: &HostDane, now: Timestamp) -> LiveView {
        let seen = self.prober.look(host).await;
        let observed = observe(&seen, host, self.roots, now);
        let (address, tls) = match &seen {
            Seen::Nothing(why) => {
                return LiveView {
                    address: None,
                    tls: format!("not reached: {why}"),
                    dane_matches: None,
                    dane: None,
                    sts: Vec::new(),
                    certificate: None,
                };
            }
            Seen::Host { address, tls, .. } => (address, tls),
        };
        // RFC 7672 s8.1: under an alias the server is asked by the name at its end.
        let under_base = match said.records().filter(|records| records.base != *host) {
            Some(records) => Some(self.prober.look(&records.base).await),
            None => None,
        };
        let shown_for_dane = match &under_base {
            Some(Seen::Host { tls, .. }) => Some(tls),
            // What is shown under another name is not what the records are about.
            Some(Seen::Nothing(_)) => None,
            None => Some(tls),
        };
        let worth = match (said.records(), shown_for_dane) {
            (Some(records), Some(tls)) => worth(records, tls, now),
            (Some(records), None) if records.set.has_usable() => Worth {
                matches: None,
                words: Some(format!("{} was not reached", records.base)),
            },
            _ => Worth::NOTHING,
        };
        LiveView {
            address: Some(address.to_string()),
            tls: tls_in_words(tls).to_owned(),
            dane_matches: worth.matches,
            dane: worth.words,
            sts: match observed {
                Observed::Established { troubles } | Observed::Failed(troubles) => troubles
                    .into_iter()
                    .map(|(result, reason)| match reason {
                        Some(reason) => format!("{result}: {reason}"),
                        None => result.to_string(),
                    })
                    .collect(),
                Observed::NoSession => vec![NOT_KNOWN.to_owned()],
            },
            certificate: match tls {
                TlsSeen::Established(chain) => certificate_view(chain, now),
                _ => None,
            },
        }
    }
}

/// A host that there was no time left for.
pub(super) fn not_in_time() -> LiveView {
    LiveView {
        address: None,
        tls: "not looked at: there was no time left".to_owned(),
        dane_matches: None,
        dane: None,
        sts: Vec::new(),
        certificate: None,
    }
}

/// What a certificate is worth under TLSA records, for people.
struct Worth {
    /// Whether it satisfies them; nothing where that is not known.
    matches: Option<bool>,
    /// Which record it matches, why none, or why it is not known.
    words: Option<String>,
}

impl Worth {
    /// There is nothing to say: no record can be used, or no certificate was seen.
    const NOTHING: Self = Self {
        matches: None,
        words: None,
    };
}

fn worth(records: &TlsaPolicy, tls: &TlsSeen, now: Timestamp) -> Worth {
    let TlsSeen::Established(chain) = tls else {
        return Worth::NOTHING;
    };
    let chain: Vec<&[u8]> = chain.iter().map(AsRef::as_ref).collect();
    let (matches, words) = match verify(records, &chain, now) {
        Verdict::NoneUsable => return Worth::NOTHING,
        Verdict::Matched(found) => (Some(true), found.to_string()),
        Verdict::NotJudged(why) => (None, why.to_string()),
        Verdict::Failed(troubles) => {
            let words = troubles.into_iter().map(trouble_in_words);
            (Some(false), words.collect::<Vec<_>>().join("; "))
        }
    };
    Worth {
        matches,
        words: Some(words),
    }
}

/// What is wrong with a certificate under TLSA records, and what the report calls it.
fn trouble_in_words(trouble: Trouble) -> String {
    let what = match trouble {
        NO_MATCH => "it matches none of the records",
        NAME_MISMATCH => {
            "it comes from an authority that a record names, and carries none of the names"
        }
        (ResultType::CertificateExpired, _) => {
            "it comes from an authority that a record names, and a certificate is out of date"
        }
        _ => "it comes from an authority that a record names, and a certificate is not valid yet",
    };
    match trouble {
        (result, Some(reason)) => format!("{what} ({result}: {reason})"),
        (result, None) => format!("{what} ({result})"),
    }
}

const fn tls_in_words(tls: &TlsSeen) -> &'static str {
    match tls {
        TlsSeen::NotOffered => "STARTTLS is not offered",
        TlsSeen::Refused => "STARTTLS is refused",
        TlsSeen::HandshakeFailed(HandshakeFault::NotTls) => {
            "the handshake fails: what comes is not TLS"
        }
        TlsSeen::HandshakeFailed(HandshakeFault::BrokenOff) => "the handshake is broken off",
        TlsSeen::Established(_) => TLS_IS_UP,
        TlsSeen::NotKnown(_) => TLS_IS_NOT_KNOWN,
    }
}

const TLS_IS_UP: &str = "TLS comes up";
const TLS_IS_NOT_KNOWN: &str = "whether TLS comes up is not known";
/// What a policy would say of a session of which nothing is known.
const NOT_KNOWN: &str = "not known";

/// Whether TLS comes up with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TlsState {
    /// It does.
    Up,
    /// It does not, and that is the host's doing.
    Down,
    /// The host was not reached, or it is not known whose doing it is.
    NotKnown,
}

impl LiveView {
    /// Whether TLS came up.
    pub(super) fn tls_state(&self) -> TlsState {
        match (self.address.is_some(), self.tls.as_str()) {
            (_, TLS_IS_UP) => TlsState::Up,
            (false, _) | (_, TLS_IS_NOT_KNOWN) => TlsState::NotKnown,
            (true, _) => TlsState::Down,
        }
    }

    /// What a policy would have against the session; nothing where that is not known.
    pub(super) fn sts_troubles(&self) -> &[String] {
        match self.sts.as_slice() {
            [only] if only == NOT_KNOWN => &[],
            troubles => troubles,
        }
    }
}

/// What a look saw, for people.
pub(super) fn live_as_text(text: &mut String, hosts: &[MxVerdict]) {
    let looked_at = |host: &&MxVerdict| host.live.is_some();
    if !hosts.iter().any(|host| looked_at(&host)) {
        return;
    }
    text.push_str("Seen\n");
    for host in hosts {
        let Some(live) = &host.live else {
            continue;
        };
        let address = live.address.as_ref();
        let address = address.map_or_else(String::new, |address| format!(" at {address}"));
        let name = shown(&host.host);
        let _ = writeln!(text, "  {name}{address}: {}", shown(&live.tls));
        if let Some(dane) = &live.dane {
            let word = match live.dane_matches {
                Some(true) => "matches",
                Some(false) => "fails",
                None => "not known",
            };
            let _ = writeln!(text, "    DANE     {word}: {}", shown(dane));
        }
        if live.address.is_some() {
            let sts = match live.sts.is_empty() {
                true => "the certificate is trusted, in date and for the host's name".to_owned(),
                false => live.sts.join(", "),
            };
            let _ = writeln!(text, "    MTA-STS  {}", shown(&sts));
        }
        if let Some(certificate) = &live.certificate {
            certificate_as_text(text, certificate);
        }
    }
}
