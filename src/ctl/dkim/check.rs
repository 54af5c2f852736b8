//! `sealpost dkim check`: whether receivers can verify the reports.

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;

use super::super::{
    Context, Format,
    exit::{Exit, Failure},
    exit_when,
    screen::shown,
};
use crate::{
    config::load::DEFAULT_PATH,
    config::load::load,
    daemon::{
        parts::publisher,
        signing::{KeySeen, Seen, dmarc_record, look},
    },
    net::{dns::Dns, hickory::HickoryDns},
    policy::PolicyDomain,
};

#[derive(Debug, Args)]
pub(in crate::ctl) struct Arguments {
    #[command(flatten)]
    format: Format,
}

/// What was found, as `--json` prints it.
#[derive(Serialize)]
struct Checked {
    /// Whether a receiver can verify the reports.
    ok: bool,
    /// From, and `contact-info` of the reports.
    from: String,
    /// `d=` of the signatures, and `TLS-Report-Submitter`.
    signing_domain: String,
    envelope_from: String,
    keys: Vec<CheckedKey>,
    dmarc: CheckedDmarc,
}

/// One key.
#[derive(Serialize)]
struct CheckedKey {
    record_name: String,
    algorithm: &'static str,
    /// `published`, `faulty` or `not-known`.
    state: &'static str,
    /// What is wrong, or not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What some receivers may stumble over.
    notes: Vec<String>,
    /// What is to be published, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    publish: Option<String>,
}

/// The DMARC record of the domain in From.
#[derive(Serialize)]
struct CheckedDmarc {
    /// Where it stands; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    record_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'static str>,
    /// Why it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// A verified signature counts for From's domain.
    aligned: bool,
}

pub(super) fn run(arguments: &Arguments, context: &mut Context) -> Result<Exit, Failure> {
    let path = context
        .config
        .clone()
        .unwrap_or_else(|| DEFAULT_PATH.into());
    let config = load(&path)?.config;
    let publisher = publisher(&config).map_err(|error| Failure::Setup(error.to_string()))?;
    let submitter = publisher.submitter.ok_or_else(|| {
        Failure::Setup("[sender] does not say who we are, so there are no reports".to_owned())
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Internal(error.to_string()))?;
    let (seen, dmarc) = runtime.block_on(async {
        let dns =
            HickoryDns::new(&config.dns).map_err(|error| Failure::Setup(error.to_string()))?;
        let seen = look(&dns, submitter.domain(), &publisher.keys).await;
        let dmarc = dmarc_of(&dns, submitter.domain()).await;
        Ok::<_, Failure>((seen, dmarc))
    })?;
    let keys: Vec<CheckedKey> = seen
        .iter()
        .zip(&publisher.keys)
        .map(|(seen, key)| checked_key(seen, key.algorithm(), key.public_record()))
        .collect();
    // RFC 8460 s3: an unsigned report is ignored, and one good signature is enough.
    let ok = keys.iter().any(|key| key.state == "published")
        && keys.iter().all(|key| key.state != "faulty");
    let checked = Checked {
        ok,
        from: submitter.contact().to_owned(),
        signing_domain: submitter.domain().to_string(),
        envelope_from: submitter.envelope_from().to_owned(),
        keys,
        dmarc,
    };
    context.show(arguments.format, &checked, as_text)?;
    Ok(exit_when(ok))
}

fn checked_key(seen: &KeySeen, algorithm: &'static str, record: String) -> CheckedKey {
    let (state, reason, notes) = match &seen.seen {
        Seen::Published(published) => (
            "published",
            None,
            published.notes.iter().map(ToString::to_string).collect(),
        ),
        Seen::Faulty(fault) => ("faulty", Some(fault.to_string()), Vec::new()),
        Seen::NotKnown(error) => ("not-known", Some(error.to_string()), Vec::new()),
    };
    CheckedKey {
        record_name: seen.record_name.clone(),
        algorithm,
        publish: (state == "faulty").then_some(record),
        state,
        reason,
        notes,
    }
}

async fn dmarc_of(dns: &dyn Dns, domain: &PolicyDomain) -> CheckedDmarc {
    // From, d= and TLS-Report-Submitter are the domain of the contact: aligned by adkim=s as well.
    let mut found = CheckedDmarc {
        record_name: None,
        policy: None,
        reason: None,
        aligned: true,
    };
    match dmarc_record(dns, domain).await {
        Ok(Some((name, record))) => {
            found.policy = Some(record.policy.name());
            found.record_name = Some(name);
        }
        Ok(None) => {}
        Err(error) => found.reason = Some(error.to_string()),
    }
    found
}

fn as_text(checked: &Checked) -> String {
    let mut text = format!(
        "From, contact-info          {}\nd=, TLS-Report-Submitter    {}\nbounces go to               {}\n",
        shown(&checked.from),
        shown(&checked.signing_domain),
        shown(&checked.envelope_from)
    );
    let dmarc = match (
        &checked.dmarc.record_name,
        &checked.dmarc.policy,
        &checked.dmarc.reason,
    ) {
        (Some(name), Some(policy), _) => format!(
            "{}: p={policy}; a signature that is verified is aligned, strictly too",
            shown(name)
        ),
        (_, _, Some(reason)) => format!("not known: {}", shown(reason)),
        _ => "no record; receivers go by the signature alone".to_owned(),
    };
    let _ = writeln!(text, "DMARC                       {dmarc}");
    if checked.keys.is_empty() {
        text.push_str(
            "\nThere is no [[dkim]] key: receivers ignore our reports (RFC 8460 s3) unless the relay signs \
             them.\nMake keys with `sealpost dkim keygen`.\n",
        );
    }
    for key in &checked.keys {
        let _ = writeln!(text, "\n{} ({})", shown(&key.record_name), key.algorithm);
        match (&key.reason, key.state) {
            (None, _) => text.push_str("  published: receivers verify with it\n"),
            (Some(reason), "faulty") => {
                let _ = writeln!(text, "  WRONG: {}", shown(reason));
            }
            (Some(reason), _) => {
                let _ = writeln!(text, "  not known: {}", shown(reason));
            }
        }
        for note in &key.notes {
            let _ = writeln!(text, "  note: {note}");
        }
        if let Some(record) = &key.publish {
            let _ = writeln!(text, "  publish: {record}");
        }
    }
    text
}
