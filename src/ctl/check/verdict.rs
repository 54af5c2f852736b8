//! What a standing comes to: for one MX host, and for the mail as a whole.

use std::sync::Arc;

use sealpost_plugin_api::{Level, Requirement};

use super::{dane::host_dane, live::TlsState};
use crate::{
    config::OverrideMode,
    ctl::{
        screen::counted,
        wire::{Finding, MxFinding, MxVerdict, OutcomeView, RuaFinding, SocketmapReply},
    },
    doors::{
        plugin_answer,
        socketmap_reply::{Asked, DaneOnly, reply},
        socketmap_request::{MapName, NextHop},
    },
    engine::answers::Given,
    hook::{
        Answer,
        basis::Basis,
        decide::Decision,
        joint::{Known, decide_domain, decide_host},
    },
    policy::{
        Announcement, MxHost, PolicyType, Standing, StsStanding,
        dane::{DaneFinding, DomainDane, HostDane},
    },
};

/// What the MTA would be told of one MX host: what the hook decides, without its counting.
pub(super) fn judge(
    known: &Known<'_>,
    preference: Option<u16>,
    host: &MxHost,
    dane: &Arc<HostDane>,
) -> MxVerdict {
    let decision = decide_host(known, Ok(host), Some(dane));
    let told = plugin_socket(known, decision.requirement.clone(), Some(Arc::clone(dane)));
    let verdict = verdict(known, preference, host.to_string(), decision, told);
    // What is only audited demands nothing; whose demand it would be is still to be said.
    let is_audited = verdict.audit && known.is_audited() && !known.passes_over_dane();
    let decided_by = match dane.finding {
        DaneFinding::Records(_) | DaneFinding::Unreachable(_) if is_audited => "dane".to_owned(),
        _ => verdict.decided_by,
    };
    MxVerdict {
        dane: Some(host_dane(dane)),
        decided_by,
        ..verdict
    }
}

/// The same of what is no host name; `why` it is none.
pub(super) fn judge_nameless(
    known: &Known<'_>,
    preference: Option<u16>,
    exchange: &str,
    why: String,
) -> MxVerdict {
    let decision = decide_host(known, Err(exchange), None);
    let told = plugin_socket(known, decision.requirement.clone(), None);
    MxVerdict {
        level: "refuse".to_owned(),
        audit: false,
        reason: why,
        ..verdict(known, preference, exchange.to_owned(), decision, told)
    }
}

fn verdict(
    known: &Known<'_>,
    preference: Option<u16>,
    host: String,
    decision: Decision,
    told: String,
) -> MxVerdict {
    let requirement = decision.requirement;
    let refused_by = decision
        .refused
        .as_ref()
        .map(|refused| refused.policy.policy_type);
    let decided_by = match (&requirement.level, refused_by) {
        (Level::Dane { .. } | Level::Encrypt, _) | (_, Some(PolicyType::Tlsa)) => "dane",
        (Level::Verify { .. }, _) | (_, Some(PolicyType::Sts)) => "sts",
        (Level::May, _) if requirement.audit && known.standing.sts.held_to().is_some() => "sts",
        _ => "none",
    };
    MxVerdict {
        preference,
        host,
        level: level_word(&requirement.level).to_owned(),
        audit: requirement.audit,
        reason: requirement.reason,
        decided_by: decided_by.to_owned(),
        dane: None,
        plugin_socket: Some(told),
        live: None,
    }
}

/// The line that whoever asks on the plugin socket would be answered with. `dane`: what signed DNS says of the MX
/// host, in an answer about one.
pub(super) fn plugin_socket(
    known: &Known<'_>,
    requirement: Requirement,
    dane: Option<Arc<HostDane>>,
) -> String {
    let standing = match known.overridden {
        Some(OverrideMode::Off) => Standing::without_policy(known.standing.domain.clone()),
        _ => known.standing.clone(),
    };
    let given = Given {
        standing,
        dane: dane.filter(|_| !known.passes_over_dane()),
    };
    plugin_answer::answer(&requirement.under_policy(given.name().to_string()))
}

/// What Postfix would be told of the domain: the words of the socketmap's own door.
pub(super) fn socketmap(
    known: &Known<'_>,
    requirement: Requirement,
    dane: Arc<DomainDane>,
    dane_only: DaneOnly,
) -> Vec<SocketmapReply> {
    let answer = |requirement, dane| Answer {
        basis: Basis::of(known),
        requirement,
        applied: Some(Arc::clone(known.standing.applied())),
        dane: Some(dane),
    };
    let unasked = DomainDane::off(known.standing.domain.clone(), "it is not asked for");
    let without_dane = answer(decide_domain(known, &unasked).requirement, unasked.into());
    let with_dane = answer(requirement, dane);
    let told = |map: MapName| {
        let asked = Asked {
            map,
            next_hop: NextHop::Domain,
            dane_only,
        };
        let answer = match asked.dane_use().looks_under(known.overridden) {
            true => &with_dane,
            false => &without_dane,
        };
        SocketmapReply {
            map: map.name().to_owned(),
            reply: reply(answer, asked).text,
        }
    };
    MapName::ALL.into_iter().map(told).collect()
}

const fn level_word(level: &Level) -> &'static str {
    match level {
        Level::May => "may",
        Level::Encrypt => "encrypt",
        Level::Verify { .. } => "verify",
        Level::Dane { .. } => "dane",
        Level::RefuseMx => "refuse",
        _ => "defer",
    }
}

/// What would happen to mail, in sentences.
pub(super) fn outcome(
    announcement: &Announcement,
    standing: &Standing,
    requirement: &Requirement,
    mx: &MxFinding,
    rua: &RuaFinding,
) -> OutcomeView {
    let usable = mx
        .hosts
        .iter()
        .filter(|host| host.level != "refuse" && host.level != "defer")
        .count();
    let mut sentences = Vec::new();
    sentences.push(match &standing.sts {
        StsStanding::InForce { kept, trouble } => {
            let trouble = trouble
                .as_ref()
                .map(|trouble| format!("; a newer one could not be had ({})", trouble.reason));
            format!(
                "A policy of mode {} holds until {}{}.",
                kept.policy.mode.name(),
                kept.holds_until(),
                trouble.unwrap_or_default()
            )
        }
        StsStanding::Unfetched(trouble) => format!(
            "The domain announces a policy that could not be had ({}: {}): mail goes as without one, \
             and that is reported.",
            trouble.result, trouble.reason
        ),
        StsStanding::NotAnnounced if *announcement == Announcement::Unknown => {
            "Whether the domain announces a policy could not be looked up, and none is kept: mail \
             goes as without one."
                .to_owned()
        }
        StsStanding::NotAnnounced => "The domain announces no policy.".to_owned(),
    });
    let waits = matches!(requirement.level, Level::Defer);
    sentences.push(match waits {
        true => format!("Mail waits: {}.", requirement.reason),
        false => mail_sentence(mx, usable),
    });
    sentences.extend(mx.hosts.iter().filter_map(live_sentence));
    sentences.push(rua_sentence(rua));
    let lost = mx.hosts.iter().filter(|host| is_kept_from(host)).count();
    OutcomeView {
        deliverable: usable > lost && !waits,
        text: sentences.join(" "),
    }
}

fn mail_sentence(mx: &MxFinding, usable: usize) -> String {
    let total = mx.hosts.len();
    let of_all = |number: usize| format!("{number} of {}", counted(total as u64, "MX host"));
    let at_level = |level: &str| mx.hosts.iter().filter(|host| host.level == level).count();
    let (dane, verified, encrypted) = (at_level("dane"), at_level("verify"), at_level("encrypt"));
    match (mx.state, usable) {
        (Finding::Failed, _) => {
            "The MX hosts could not be looked up: an MTA would try again later.".to_owned()
        }
        (_, 0) if total == 0 => "There is no host to deliver mail to.".to_owned(),
        (_, 0) if mx.hosts.iter().all(|host| host.decided_by == "sts") => {
            "Mail waits: the policy lists none of the domain's MX hosts.".to_owned()
        }
        (_, 0) => "Mail waits: none of the domain's MX hosts may be used now.".to_owned(),
        _ => {
            let mut ways = Vec::new();
            if dane > 0 {
                ways.push(format!("by DANE to {}", of_all(dane)));
            }
            if verified > 0 {
                ways.push(format!(
                    "over TLS with a valid certificate or not at all, to {}",
                    of_all(verified)
                ));
            }
            if encrypted > 0 {
                ways.push(format!(
                    "over TLS with whatever certificate to {}",
                    of_all(encrypted)
                ));
            }
            let open = usable.saturating_sub(dane + verified + encrypted);
            match (ways.is_empty(), open) {
                (true, _) => "Mail is delivered, over TLS where it is offered.".to_owned(),
                (false, 0) => format!("Mail goes {}.", ways.join("; ")),
                (false, open) => format!(
                    "Mail goes {}; over TLS where it is offered to {}.",
                    ways.join("; "),
                    of_all(open)
                ),
            }
        }
    }
}

/// Whether a look at a host shows that mail to it would wait.
fn is_kept_from(host: &MxVerdict) -> bool {
    let Some(live) = &host.live else {
        return false;
    };
    match host.level.as_str() {
        "dane" | "verify" | "encrypt" if live.tls_state() == TlsState::Down => true,
        "dane" => live.dane_matches == Some(false),
        "verify" => !live.sts_troubles().is_empty(),
        _ => false,
    }
}

/// What a look at a host says that the DNS did not.
fn live_sentence(host: &MxVerdict) -> Option<String> {
    let live = host.live.as_ref()?;
    let name = &host.host;
    let why = live.dane.as_deref().unwrap_or("the report says why");
    match (host.level.as_str(), live.dane_matches) {
        ("dane", Some(false)) => Some(format!(
            "The certificate of {name} does not satisfy its TLSA records, for {why}: mail to it waits."
        )),
        ("dane" | "verify" | "encrypt", _) if live.tls_state() == TlsState::Down => Some(format!(
            "{name} has no TLS ({}): mail to it waits.",
            live.tls
        )),
        ("dane", None) if live.dane.is_some() => Some(format!(
            "Whether the certificate of {name} satisfies its TLSA records cannot be told here: {why}."
        )),
        ("verify", _) if !live.sts_troubles().is_empty() => Some(format!(
            "The certificate of {name} does not satisfy the policy ({}): mail to it waits.",
            live.sts_troubles().join(", ")
        )),
        _ => None,
    }
}

fn rua_sentence(rua: &RuaFinding) -> String {
    match rua.state {
        Finding::Valid if rua.destinations.is_empty() => {
            "Reports are asked for, and every destination is left out.".to_owned()
        }
        Finding::Valid => format!("Reports go to {}.", rua.destinations.join(" and ")),
        Finding::Absent | Finding::NotAsked => "The domain wants no reports.".to_owned(),
        Finding::Invalid => "No reports can be sent: the domain's record is not valid.".to_owned(),
        Finding::Failed => "Whether the domain wants reports could not be looked up.".to_owned(),
    }
}
