//! What signed DNS says of a domain's mail hosts, and what a look at them adds, put so that it can be
//! read.

use std::fmt::Write as _;

use rustls::RootCertStore;

use crate::{
    clock::Timestamp,
    ctl::{
        screen::shown,
        wire::{DaneState, HostDaneView, LiveView, MxVerdict, TlsaView},
    },
    hook::joint::in_words,
    net::{smtp::probe::Prober, validation::By},
    policy::{
        MxHost,
        dane::{
            DaneFinding, DomainDane, HostDane, LookupTrouble, MailHosts, MxSecurity, TlsaPolicy,
            Usability, Verdict, verify,
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
            Some(Seen::Host { tls, .. }) => tls,
            _ => tls,
        };
        let matched = said
            .records()
            .and_then(|records| matched(records, shown_for_dane, now));
        LiveView {
            address: Some(address.to_string()),
            tls: tls_in_words(tls).to_owned(),
            dane_matches: matched.as_ref().map(Result::is_ok),
            dane: matched.map(|matched| matched.unwrap_or_else(|why| why)),
            sts: match observed {
                Observed::Established { troubles } | Observed::Failed(troubles) => troubles
                    .into_iter()
                    .map(|(result, reason)| match reason {
                        Some(reason) => format!("{result}: {reason}"),
                        None => result.to_string(),
                    })
                    .collect(),
                Observed::NoSession => vec!["not known".to_owned()],
            },
        }
    }
}

/// Which record the certificate matches, or why none; nothing where none can be used or no certificate was
/// seen.
fn matched(records: &TlsaPolicy, tls: &TlsSeen, now: Timestamp) -> Option<Result<String, String>> {
    let TlsSeen::Established(chain) = tls else {
        return None;
    };
    let chain: Vec<&[u8]> = chain.iter().map(AsRef::as_ref).collect();
    match verify(records, &chain, now) {
        Verdict::Matched(found) => Some(Ok(found.to_string())),
        Verdict::NoneUsable => None,
        Verdict::Failed(troubles) => {
            let words = troubles.into_iter().map(|(result, reason)| match reason {
                Some(reason) => format!("{result}: {reason}"),
                None => result.to_string(),
            });
            Some(Err(words.collect::<Vec<_>>().join(", ")))
        }
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
        TlsSeen::NotKnown(_) => "whether TLS comes up is not known",
    }
}

const TLS_IS_UP: &str = "TLS comes up";

impl LiveView {
    /// Whether TLS came up.
    pub(super) fn tls_is_up(&self) -> bool {
        self.tls == TLS_IS_UP
    }
}

/// Whether there is DANE, and what the domain's MX records are.
pub(super) fn dane_state(dane: &DomainDane, validation: &Result<By, String>) -> DaneState {
    let security = dane.ranked().first().map(|ranked| ranked.dane.mx);
    let (mx_records, mx_reason) = match (&dane.hosts, security) {
        (MailHosts::Failed(why), _) => ("failed", Some(why.clone())),
        (MailHosts::Off(why), _) => ("not-known", Some((*why).to_owned())),
        (MailHosts::None, _) => ("not-known", Some("the domain takes no mail".to_owned())),
        (MailHosts::TooMany(number), _) => {
            let why = format!("{number} MX hosts are more than dane.hosts_max");
            ("not-known", Some(why))
        }
        (MailHosts::Known(_), Some(MxSecurity::Secure)) => ("secure", None),
        (MailHosts::Known(_), Some(MxSecurity::Insecure)) => ("insecure", None),
        (MailHosts::Known(_), None) => ("not-known", None),
    };
    DaneState {
        validation: match validation {
            Ok(by) => by.to_string(),
            Err(_) if matches!(dane.hosts, MailHosts::Off(_)) => "nobody".to_owned(),
            // It is looked up all the same, and fails.
            Err(_) => "not-yet".to_owned(),
        },
        reason: validation.as_ref().err().cloned(),
        mx_records: mx_records.to_owned(),
        mx_reason,
        until: match dane.hosts {
            MailHosts::Off(_) => None,
            _ => Some(dane.until.to_string()),
        },
    }
}

/// What signed DNS says of one host.
pub(super) fn host_dane(dane: &HostDane) -> HostDaneView {
    let nothing = HostDaneView {
        finding: "nothing".to_owned(),
        reason: String::new(),
        base_domain: None,
        reference_names: Vec::new(),
        records: Vec::new(),
    };
    match &dane.finding {
        DaneFinding::Nothing(why) => HostDaneView {
            reason: in_words(*why).to_owned(),
            ..nothing
        },
        DaneFinding::Unreachable(trouble) => HostDaneView {
            finding: "unreachable".to_owned(),
            reason: match trouble {
                LookupTrouble::Addresses(why) => {
                    format!("its addresses could not be looked up: {why}")
                }
                LookupTrouble::Tlsa { code, reason, .. } => {
                    format!("its TLSA records could not be looked up: {reason} ({code})")
                }
            },
            base_domain: match trouble {
                LookupTrouble::Tlsa { base, .. } => Some(base.to_string()),
                LookupTrouble::Addresses(_) => None,
            },
            ..nothing
        },
        DaneFinding::Records(records) => HostDaneView {
            finding: "records".to_owned(),
            reason: chain_of_trust(dane, records),
            base_domain: Some(records.base.to_string()),
            reference_names: records
                .reference_names
                .iter()
                .map(ToString::to_string)
                .collect(),
            records: records
                .set
                .judged()
                .map(|(record, usability)| tlsa_view(record.to_string(), usability))
                .collect(),
        },
    }
}

fn tlsa_view(record: String, usability: Usability) -> TlsaView {
    let (word, reason) = match usability {
        Usability::Usable => ("usable", None),
        Usability::PassedOver => (
            "passed-over",
            Some("a stronger digest of the same usage and selector stands beside it".to_owned()),
        ),
        Usability::Unusable(why) => ("unusable", Some(why.to_string())),
    };
    TlsaView {
        record,
        usability: word.to_owned(),
        reason,
    }
}

fn chain_of_trust(dane: &HostDane, records: &TlsaPolicy) -> String {
    let mx = match dane.mx {
        MxSecurity::Secure => "the MX records are signed",
        MxSecurity::Insecure => "the MX records are not signed",
    };
    let base = if records.base == dane.host {
        "its addresses and TLSA records are signed".to_owned()
    } else {
        format!(
            "it is a signed alias of {}, whose addresses and TLSA records are signed",
            records.base
        )
    };
    let usable = match records.set.has_usable() {
        true => "",
        false => "; none of them can be used",
    };
    format!("{mx}; {base}{usable}")
}

/// The part of the text for people.
pub(super) fn dane_as_text(text: &mut String, state: &DaneState, hosts: &[MxVerdict]) {
    let why = state.reason.as_ref();
    let why = why.map_or_else(String::new, |why| format!(" ({})", shown(why)));
    let validation = match state.validation.as_str() {
        "resolver" => "DNSSEC is validated by the resolver".to_owned(),
        "own" => "DNSSEC is validated here".to_owned(),
        "not-yet" => format!("not known: nobody answers for DNSSEC yet, and mail waits{why}"),
        _ => format!("off: nobody validates DNSSEC{why}"),
    };
    let _ = writeln!(text, "DANE      {validation}");
    if state.validation == "nobody" {
        return;
    }
    let records = match state.mx_records.as_str() {
        "secure" => "signed",
        "insecure" => "not signed",
        "failed" => "not to be had",
        _ => "not looked at",
    };
    let why = state.mx_reason.as_ref();
    let why = why.map_or_else(String::new, |why| format!(" ({})", shown(why)));
    let _ = writeln!(text, "  MX records: {records}{why}");
    for host in hosts {
        host_as_text(text, host);
    }
}

fn host_as_text(text: &mut String, host: &MxVerdict) {
    let Some(dane) = &host.dane else {
        return;
    };
    let _ = writeln!(text, "  {}: {}", shown(&host.host), shown(&dane.reason));
    for each in &dane.records {
        let reason = each.reason.as_ref();
        let reason = reason.map_or_else(String::new, |why| format!(": {}", shown(why)));
        let _ = writeln!(
            text,
            "    {}  {}{reason}",
            shown(&each.record),
            each.usability
        );
    }
    if dane.reference_names.len() > 1 {
        let names = dane.reference_names.join(", ");
        let _ = writeln!(text, "    names below usage 2: {}", shown(&names));
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
                _ => "no match",
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
    }
}
