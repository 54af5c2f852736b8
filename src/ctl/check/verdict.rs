//! What a standing comes to: for one MX host, and for the mail as a whole.

use crate::{
    config::OverrideMode,
    ctl::wire::{Finding, MxFinding, MxVerdict, OutcomeView, RuaFinding},
    policy::{Announcement, Mode, MxHost, Standing, StsStanding},
};

/// What the MTA would be told of one MX host.
pub(super) struct Told {
    level: &'static str,
    audit: bool,
    reason: String,
}

impl Told {
    /// The same, of this host.
    pub(super) fn verdict(self, preference: Option<u16>, host: &MxHost) -> MxVerdict {
        MxVerdict {
            preference,
            host: host.to_string(),
            level: self.level.to_owned(),
            audit: self.audit,
            reason: self.reason,
        }
    }
}

/// What the MTA would be told of this host.
pub(super) fn told(standing: &Standing, overridden: Option<OverrideMode>, mx: &MxHost) -> Told {
    let may = |reason: &str| Told {
        level: "may",
        audit: false,
        reason: reason.to_owned(),
    };
    if overridden == Some(OverrideMode::Off) {
        return may("the override leaves the domain's policy out");
    }
    let kept = match &standing.sts {
        StsStanding::NotAnnounced => return may("no policy applies"),
        StsStanding::Unfetched(_) => return may("the policy could not be had"),
        StsStanding::InForce { kept, .. } => kept,
    };
    let enforced = match (kept.policy.mode, overridden) {
        (Mode::None, _) => return may("the policy's mode is none"),
        (_, Some(OverrideMode::Audit)) => false,
        (Mode::Testing, overridden) => overridden == Some(OverrideMode::Enforce),
        (Mode::Enforce, _) => true,
    };
    let (level, reason) = match (kept.policy.allows(mx), enforced) {
        (true, true) => (
            "verify",
            "a trusted certificate for this host's name is demanded",
        ),
        (true, false) => ("may", "a failure would be reported and the mail delivered"),
        (false, true) => ("refuse-mx", "the policy does not list this host"),
        (false, false) => (
            "may",
            "the policy does not list this host; that would be reported and the mail delivered",
        ),
    };
    Told {
        level,
        audit: !enforced,
        reason: reason.to_owned(),
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
        .filter(|host| host.level != "refuse-mx" && host.level != "defer")
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
        (_, 0) => format!("Mail waits: the policy lists none of the {total} MX hosts."),
        (_, usable) if verified => format!(
            "Mail goes over TLS with a valid certificate or not at all, to {usable} of {total} MX \
             hosts."
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
