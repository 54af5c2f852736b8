//! Who the reports are from: do receivers take them for ours, and can they answer?
//!
//! That is proven with a report that is composed and signed as the daemon does it, and never sent: its fields are read
//! back, and its signatures verified by the keys in the DNS.

use super::finding::{Examined, traps};
use crate::report::dmarc::DmarcPolicy;

mod look;
mod sample;

pub(super) use look::examine;
pub(super) use sample::Sample;
#[cfg(test)]
pub(super) use sample::SampleSignature;

traps! {
    NOT_ALIGNED = "sender-not-aligned", Trouble,
        "From, contact-info, d= of the signatures and TLS-Report-Submitter are not one domain: DMARC does not count the \
         signature for From, and receivers take the report for somebody else's (RFC 8460 s5.3).",
        "Report this: the program makes them one domain whatever is set.";
    SIGNATURE_BROKEN = "sender-signature-broken", Trouble,
        "A report that was signed with the key here does not verify by the key in the DNS: receivers must ignore what \
         is sent.",
        "Publish the key's record: the examination `dkim` shows it.";
    NO_DMARC = "sender-without-dmarc", Warning,
        "From's domain has no DMARC record. Large mailbox providers want one of everybody who sends them mail.",
        "Publish one; it may ask for nothing but to be told.";
    DMARC_UNMET = "sender-dmarc-unmet", Trouble,
        "From's domain has its mail quarantined or refused unless a signature of that domain verifies, and none does: \
         reports are refused or filed away.",
        "Publish the record of the key, or make a key: see the examination `dkim`.";
    NO_SPF = "sender-without-spf", Warning,
        "The envelope sender's domain does not say who may send for it (SPF), and many receivers take less from such.",
        "Publish a record at the domain that names this host, or the relay.";
    SPF_FORBIDS = "sender-spf-forbids", Trouble,
        "The envelope sender's domain says that nobody sends for it: receivers refuse the reports, or file them away.",
        "Name this host, or the relay, in the record, or take another envelope_from.";
    CONTACT_UNREACHABLE = "sender-contact-unreachable", Warning,
        "The domain of sender.contact takes no mail: who has a question on a report cannot ask it, and receivers that \
         check whether From exists refuse the report.",
        "Give the domain an MX, or take another contact.";
    BOUNCES_LOST = "sender-bounces-lost", Warning,
        "The envelope sender's domain takes no mail: bounces of reports are lost, and dead mailboxes are written to \
         every day.",
        "Give the domain an MX, or set sender.envelope_from (docs/guide/bounces.md).";
    HOST_NAME = "sender-host-name-unfit", Warning,
        "This host calls itself by a name that is none on the Internet. Mail servers refuse a greeting with such a \
         name, and with via = \"mx\" that is ours.",
        "Set sender.host_name to the full name of this host.";
}

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// Who we are; why nobody is named.
    pub(super) named: Result<Named, String>,
}

/// Who we are, and what the DNS says of us.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) contact_domain: String,
    pub(super) envelope_domain: String,
    pub(super) host_name: String,
    /// The report that was made.
    pub(super) sample: Result<Sample, String>,
    /// The DMARC record that holds, and where it stands.
    pub(super) dmarc: Result<Option<(String, DmarcPolicy)>, String>,
    /// The SPF record of the envelope sender's domain.
    pub(super) spf: Result<Option<String>, String>,
    pub(super) contact_mail: Result<TakesMail, String>,
    pub(super) envelope_mail: Result<TakesMail, String>,
}

/// Whether a domain takes mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TakesMail {
    /// It has an MX, or an address.
    Yes,
    /// RFC 7505: it says that it takes none.
    NullMx,
    /// It has neither.
    Nowhere,
}

pub(super) fn judge(facts: &Facts) -> Examined {
    let named = match &facts.named {
        Ok(named) => named,
        Err(why) => return Examined::not_seen(why.clone()),
    };
    let mut examined = Examined::default();
    let verified = match &named.sample {
        Ok(sample) => judge_sample(sample, &mut examined),
        Err(why) => {
            examined.unknown(format!("no report can be made to look at: {why}"));
            None
        }
    };
    judge_dmarc(named, verified, &mut examined);
    judge_spf(named, &mut examined);
    for (trap, setting, domain, takes) in [
        (
            CONTACT_UNREACHABLE,
            "sender.contact",
            &named.contact_domain,
            &named.contact_mail,
        ),
        (
            BOUNCES_LOST,
            "sender.envelope_from",
            &named.envelope_domain,
            &named.envelope_mail,
        ),
    ] {
        match takes {
            Ok(TakesMail::Yes) => examined.well(format!("{domain} ({setting}) takes mail")),
            Ok(TakesMail::NullMx) => examined.found(trap, format!("{domain} has a null MX")),
            Ok(TakesMail::Nowhere) => {
                examined.found(trap, format!("{domain} has neither MX nor address"));
            }
            Err(why) => examined.unknown(why.clone()),
        }
    }
    let host = &named.host_name;
    if !host.contains('.') || host.ends_with(".localdomain") || host.ends_with(".local") {
        examined.found(HOST_NAME, format!("it calls itself {host}"));
    }
    examined
}

/// Does a signature of From's domain verify? Nothing where that is not known.
fn judge_sample(sample: &Sample, examined: &mut Examined) -> Option<bool> {
    let from = &sample.from_domain;
    let mut others: Vec<String> = [
        ("contact-info", &sample.contact_domain),
        ("TLS-Report-Submitter", &sample.submitter),
    ]
    .iter()
    .filter(|(_, domain)| domain != &from)
    .map(|(name, domain)| format!("{name} {domain}"))
    .collect();
    let signers = sample.signatures.iter();
    let strangers = signers.filter(|signature| signature.domain != *from);
    others.extend(strangers.map(|signature| format!("d={}", signature.domain)));
    if others.is_empty() {
        let signed = if sample.signatures.is_empty() {
            ""
        } else {
            ", d="
        };
        examined.well(format!(
            "From, contact-info, TLS-Report-Submitter{signed} are {from}: aligned, strictly too"
        ));
    } else {
        examined.found(NOT_ALIGNED, format!("From {from}; {}", others.join(", ")));
    }
    let mut verified = None;
    for signature in &sample.signatures {
        let name = &signature.selector;
        match &signature.verified {
            Ok(true) => {
                verified = Some(true);
                examined.well(format!("a report signed by {name} verifies by the DNS"));
            }
            Ok(false) => verified = verified.or(Some(false)),
            Err(why) => examined.unknown(why.clone()),
        }
        if let Some(why) = &signature.broken {
            examined.found(SIGNATURE_BROKEN, format!("{name}: {why}"));
        }
    }
    if sample.signatures.is_empty() {
        return Some(false);
    }
    verified
}

fn judge_dmarc(named: &Named, verified: Option<bool>, examined: &mut Examined) {
    match &named.dmarc {
        Ok(Some((record, policy))) => {
            let seen = format!("{record}: p={}", policy.name());
            match (policy, verified) {
                (DmarcPolicy::Quarantine | DmarcPolicy::Reject, Some(false)) => {
                    examined.found(DMARC_UNMET, seen);
                }
                _ => examined.well(seen),
            }
        }
        Ok(None) => {
            let domain = &named.contact_domain;
            let lines = vec![
                format!("_dmarc.{domain}"),
                format!("v=DMARC1; p=none; rua=mailto:postmaster@{domain}"),
            ];
            examined.found_with(NO_DMARC, format!("{domain} has none"), lines);
        }
        Err(why) => examined.unknown(why.clone()),
    }
}

fn judge_spf(named: &Named, examined: &mut Examined) {
    let domain = &named.envelope_domain;
    match &named.spf {
        Ok(Some(record)) if forbids_all(record) => {
            examined.found(SPF_FORBIDS, format!("{domain}: {record}"));
        }
        Ok(Some(record)) => examined.well(format!("{domain}: {record}")),
        Ok(None) => {
            let lines = vec![domain.clone(), "v=spf1 mx a:THIS.HOST -all".to_owned()];
            examined.found_with(NO_SPF, format!("{domain} has none"), lines);
        }
        Err(why) => examined.unknown(why.clone()),
    }
}

/// RFC 7208 s5.1: the first mechanism that matches decides; `-all` alone matches everybody.
fn forbids_all(record: &str) -> bool {
    let mut terms = record.split_ascii_whitespace().skip(1);
    let first = terms.find(|term| !term.contains('='));
    first.is_some_and(|term| term.eq_ignore_ascii_case("-all")) && !record.contains("redirect=")
}
