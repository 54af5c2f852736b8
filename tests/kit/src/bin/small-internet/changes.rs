//! What is changed in the small Internet while it runs.

use std::net::IpAddr;

use sealpost_kit::{DnsFault, Flaw, Internet, MxBehaviour, Tlsa};

/// Makes the change; `line` is what `words` are the words of. If not: why not.
pub(crate) fn make(internet: &Internet, line: &str, words: &[&str]) -> Result<(), String> {
    let dns = &internet.dns;
    match words {
        ["mx", domain, hosts @ ..] if !hosts.is_empty() => {
            let preferences = (1..).map(|place: u16| place.saturating_mul(10));
            let hosts: Vec<(u16, &str)> = preferences.zip(hosts.iter().copied()).collect();
            dns.set_mx(domain, &hosts);
        }
        ["txt", name, ..] => text(internet, line, name),
        ["address", name, addresses @ ..] => {
            let addresses: Vec<IpAddr> = addresses
                .iter()
                .map(|address| address.parse().map_err(|_| no("an address", address)))
                .collect::<Result<_, _>>()?;
            dns.set_addresses(name, &addresses);
        }
        ["tlsa", name, record @ ..] => dns.set_tlsa(name, &tlsa(internet, record)?),
        ["cname", name, target] => dns.set_cname(name, target),
        ["sign", zone] => dns.sign(zone),
        ["unsign", zone] => dns.unsign(zone),
        ["fault", name, fault] => match fault_of(fault)? {
            Some(fault) => dns.fail(name, fault),
            None => dns.heal(name),
        },
        ["remove", name] => dns.remove(name),
        ["policy", domain, id, mode, patterns @ ..] => internet
            .set_policy(domain, mode, patterns, id)
            .map_err(|error| error.to_string())?,
        ["behave", host, behaviour] => {
            let behaviour = behaviour_of(behaviour)?;
            internet.mx_hosts.set_behaviour(host, behaviour);
        }
        ["certificate", host, name] => certificate(internet, host, name, None)?,
        ["certificate", host, name, flaw] => {
            certificate(internet, host, name, Some(flaw_of(flaw)?))?;
        }
        _ => return Err(no("a command", line)),
    }
    Ok(())
}

fn no(what: &str, text: &str) -> String {
    format!("not {what}: {text}")
}

/// The text is all that follows the name, so that it can have any spaces in it.
fn text(internet: &Internet, line: &str, name: &str) {
    let after = |line: &str| {
        let (_, rest) = line.trim().split_once(char::is_whitespace)?;
        Some(rest.trim().to_owned())
    };
    let text = after(line).and_then(|rest| after(&rest));
    match text.as_deref().unwrap_or_default() {
        "" => internet.dns.set_txt(name, &[]),
        text => internet.dns.set_txt(name, &[text]),
    }
}

fn tlsa(internet: &Internet, record: &[&str]) -> Result<Vec<Tlsa>, String> {
    match record {
        [] => Ok(Vec::new()),
        [host] => {
            let certificate = internet.mx_hosts.certificate_of(host);
            let certificate = certificate.ok_or_else(|| no("a mail host", host))?;
            Ok(vec![Tlsa::of_key(&certificate)])
        }
        fields => {
            let record = fields.join(" ").parse();
            Ok(vec![record.map_err(|error| format!("{error}"))?])
        }
    }
}

fn fault_of(word: &str) -> Result<Option<DnsFault>, String> {
    match word {
        "none" => Ok(None),
        "servfail" => Ok(Some(DnsFault::ServFail)),
        "refused" => Ok(Some(DnsFault::Refused)),
        "silence" => Ok(Some(DnsFault::Silence)),
        "bogus" => Ok(Some(DnsFault::Bogus)),
        _ => Err(no("a fault", word)),
    }
}

fn behaviour_of(word: &str) -> Result<MxBehaviour, String> {
    match word {
        "correct" => Ok(MxBehaviour::Correct),
        "big-ehlo" => Ok(MxBehaviour::BigEhlo),
        "no-starttls" => Ok(MxBehaviour::NoStartTls),
        "refuses-starttls" => Ok(MxBehaviour::RefusesStartTls),
        "handshake-rubbish" => Ok(MxBehaviour::HandshakeRubbish),
        "closes-at-handshake" => Ok(MxBehaviour::ClosesAtHandshake),
        "knows-no-recipient" => Ok(MxBehaviour::KnowsNoRecipient),
        "refuses-recipients" => Ok(MxBehaviour::RefusesRecipients(550)),
        _ => Err(no("a behaviour", word)),
    }
}

fn flaw_of(word: &str) -> Result<Flaw, String> {
    match word {
        "expired" => Ok(Flaw::Expired),
        "not-yet-valid" => Ok(Flaw::NotYetValid),
        "common-name-only" => Ok(Flaw::CommonNameOnly),
        "self-signed" => Ok(Flaw::SelfSigned),
        "unknown-authority" => Ok(Flaw::UnknownAuthority),
        _ => Err(no("a flaw", word)),
    }
}

fn certificate(
    internet: &Internet,
    host: &str,
    name: &str,
    flaw: Option<Flaw>,
) -> Result<(), String> {
    let authority = &internet.authority;
    let issued = match flaw {
        None => authority.issue(&[name]),
        Some(flaw) => authority.issue_flawed(&[name], flaw),
    };
    let leaf = issued.map_err(|error| error.to_string())?;
    internet.mx_hosts.set_certificate(host, leaf);
    Ok(())
}
