//! What a standing comes to: for one MX host, and for the mail as a whole.

use std::sync::Arc;

use sealpost_plugin_api::Level;

use crate::{
    config::OverrideMode,
    ctl::{
        screen::counted,
        wire::{Finding, MxFinding, MxVerdict, OutcomeView, RuaFinding, SocketmapReply},
    },
    doors::{
        socketmap_reply::{Asked, DaneOnly, reply},
        socketmap_request::{MapName, NextHop},
    },
    hook::{Answer, basis::Basis, decide::decide},
    policy::{Announcement, MxHost, Standing, StsStanding},
};

/// What the MTA would be told of one MX host: what the hook decides, without its counting.
pub(super) fn judge(
    standing: &Standing,
    overridden: Option<OverrideMode>,
    preference: Option<u16>,
    host: &MxHost,
) -> MxVerdict {
    let requirement = decide(standing, Some(Ok(host)), overridden).requirement;
    MxVerdict {
        preference,
        host: host.to_string(),
        level: level_word(&requirement.level).to_owned(),
        audit: requirement.audit,
        reason: requirement.reason,
    }
}

/// What Postfix would be told of the domain: the words of the socketmap's own door.
pub(super) fn socketmap(
    standing: &Standing,
    overridden: Option<OverrideMode>,
) -> Vec<SocketmapReply> {
    let requirement = decide(standing, None, overridden).requirement;
    let answer = Answer {
        basis: Basis::of_policy(&requirement.level),
        requirement,
        applied: Some(Arc::clone(standing.applied())),
        dane: None,
    };
    let told = |map: MapName| SocketmapReply {
        map: map.name().to_owned(),
        reply: reply(
            &answer,
            Asked {
                map,
                next_hop: NextHop::Domain,
                dane_only: DaneOnly::Untold,
            },
        )
        .text,
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
    sentences.push(mail_sentence(mx, usable));
    sentences.push(rua_sentence(rua));
    OutcomeView {
        deliverable: usable > 0,
        text: sentences.join(" "),
    }
}

fn mail_sentence(mx: &MxFinding, usable: usize) -> String {
    let total = mx.hosts.len();
    let verified = mx.hosts.iter().any(|host| host.level == "verify");
    match (mx.state, usable) {
        (Finding::Failed, _) => {
            "The MX hosts could not be looked up: an MTA would try again later.".to_owned()
        }
        (_, 0) if total == 0 => "There is no host to deliver mail to.".to_owned(),
        (_, 0) => "Mail waits: the policy lists none of the domain's MX hosts.".to_owned(),
        (_, usable) if verified => format!(
            "Mail goes over TLS with a valid certificate or not at all, to {usable} of {}.",
            counted(total as u64, "MX host")
        ),
        (_, _) => "Mail is delivered, over TLS where it is offered.".to_owned(),
    }
}

fn rua_sentence(rua: &RuaFinding) -> String {
    match rua.state {
        Finding::Valid => format!("Reports go to {}.", rua.destinations.join(" and ")),
        Finding::Absent | Finding::NotAsked => "The domain wants no reports.".to_owned(),
        Finding::Invalid => "No reports can be sent: the domain's record is not valid.".to_owned(),
        Finding::Failed => "Whether the domain wants reports could not be looked up.".to_owned(),
    }
}
