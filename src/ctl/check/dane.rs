//! What signed DNS says of a domain's mail hosts, put so that it can be read.

use std::fmt::Write as _;

use crate::{
    ctl::{
        screen::shown,
        wire::{DaneState, HostDaneView, MxVerdict, TlsaView},
    },
    hook::joint::in_words,
    net::validation::By,
    policy::dane::{
        DaneFinding, DomainDane, HostDane, LookupTrouble, MailHosts, MxSecurity, TlsaPolicy,
        Usability,
    },
};

/// Whether there is DANE, and what the domain's MX records are.
pub(super) fn dane_state(dane: &DomainDane, validation: &Result<By, String>) -> DaneState {
    let security = dane.ranked().first().map(|ranked| ranked.dane.mx);
    let (mx_records, mx_reason) = match (&dane.hosts, security) {
        (MailHosts::Failed(why), _) => ("failed", Some(why.clone())),
        (MailHosts::Off(why), _) => ("not-known", Some((*why).to_owned())),
        (MailHosts::None, _) => ("not-known", Some("the domain takes no mail".to_owned())),
        (MailHosts::TooMany(many), _) => {
            let why = format!("{} MX hosts are more than dane.hosts_max", many.number);
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
                LookupTrouble::Mx(why) => {
                    format!("the MX records could not be looked up: {why}")
                }
                LookupTrouble::Addresses(why) => {
                    format!("its addresses could not be looked up: {why}")
                }
                LookupTrouble::Tlsa { code, reason, .. } => {
                    format!("its TLSA records could not be looked up: {reason} ({code})")
                }
            },
            base_domain: match trouble {
                LookupTrouble::Tlsa { base, .. } => Some(base.to_string()),
                LookupTrouble::Mx(_) | LookupTrouble::Addresses(_) => None,
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
