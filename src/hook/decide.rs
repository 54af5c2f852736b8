//! What MTA-STS alone makes of one recipient domain, and of one MX host of it. [`joint`](super::joint)
//! adds what DANE says.

use std::sync::Arc;

use sealpost_plugin_api::{Level, Requirement, ResultType};

use crate::{
    config::{OverrideMode, WhenUnknown},
    policy::{AppliedPolicy, KeptPolicy, Mode, MxHost, PolicyDomain, Standing, StsStanding},
    record::Failure,
};

/// The reason code of an MX host that the policy does not list.
// OURS: RFC 8460 has no result type for it (docs/decisions/0005-reports.md).
pub const STS_MX_MISMATCH: &str = "sts-mx-mismatch";

/// What is answered, and what that answer itself makes of the attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The answer, without the name of the policy.
    pub requirement: Requirement,
    /// The MX host was refused: a failed session, to be counted now, for the MTA will not connect.
    pub refused: Option<Refusal>,
}

/// A session that is not to be, and is counted as failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// How it failed.
    pub failure: Failure,
    /// The policy that forbids it.
    pub policy: Arc<AppliedPolicy>,
}

impl Decision {
    pub(super) fn of(level: Level, reason: impl Into<String>) -> Self {
        Self {
            requirement: Requirement::new(level, reason),
            refused: None,
        }
    }
}

/// An MX host as the MTA named it: a host name, or something that no policy can match.
pub type NamedMx<'a> = Result<&'a MxHost, &'a str>;

/// Decides from what is known of the domain's policy.
#[must_use]
pub fn decide(
    standing: &Standing,
    mx: Option<NamedMx<'_>>,
    overridden: Option<OverrideMode>,
) -> Decision {
    if overridden == Some(OverrideMode::Off) {
        return Decision::of(
            Level::May,
            "the operator turned policies off for this domain",
        );
    }
    match &standing.sts {
        StsStanding::NotAnnounced => {
            Decision::of(Level::May, "the domain publishes no MTA-STS policy")
        }
        // RFC 8461 s3.3: a policy that cannot be fetched, with none kept, is as none at all.
        StsStanding::Unfetched(trouble) => Decision::of(
            Level::May,
            format!(
                "the domain's MTA-STS policy could not be fetched: {}",
                trouble.reason
            ),
        ),
        StsStanding::InForce { kept, .. } => under_policy(standing, kept, mx, overridden),
    }
}

/// Whether a policy is to be enforced, by its own mode or by the operator's word.
#[must_use]
pub fn enforces(standing: &Standing, overridden: Option<OverrideMode>) -> bool {
    let StsStanding::InForce { kept, .. } = &standing.sts else {
        return false;
    };
    match (kept.policy.mode, overridden) {
        (_, Some(OverrideMode::Off)) | (Mode::None, _) => false,
        (Mode::Enforce, overridden) => overridden != Some(OverrideMode::Audit),
        (Mode::Testing, overridden) => overridden == Some(OverrideMode::Enforce),
    }
}

fn under_policy(
    standing: &Standing,
    kept: &KeptPolicy,
    mx: Option<NamedMx<'_>>,
    overridden: Option<OverrideMode>,
) -> Decision {
    let mode = kept.policy.mode;
    // RFC 8461 s5: "none" is as if there were no policy.
    if mode == Mode::None {
        return Decision::of(Level::May, "the domain's MTA-STS policy has mode none");
    }
    // RFC 8461 s4.1: the name in the MX record must match a pattern, whatever it resolves to.
    let listed = mx.is_none_or(|mx| mx.is_ok_and(|host| kept.policy.allows(host)));
    let ordered = match (mode, overridden) {
        (Mode::Enforce, Some(OverrideMode::Audit)) => ", put to audit by the operator,",
        (Mode::Testing, Some(OverrideMode::Enforce)) => ", enforced by the operator,",
        _ => "",
    };
    let why = format!(
        "MTA-STS policy {} in mode {}{ordered}",
        kept.id,
        mode.name()
    );
    if !enforces(standing, overridden) {
        // RFC 8461 s5: "testing" is delivered as if there were no policy, and reported.
        let reason = match mx {
            Some(Ok(host)) if !listed => format!("{why} is only reported; it does not list {host}"),
            _ => format!("{why} is only reported"),
        };
        let decision = Decision::of(Level::May, reason);
        return Decision {
            requirement: decision.requirement.audited(),
            ..decision
        };
    }
    if !listed {
        let name = mx.map_or_else(String::new, mx_name);
        return Decision {
            requirement: Requirement::new(
                Level::RefuseMx,
                format!("{why} does not list the MX {name}"),
            ),
            refused: Some(Refusal {
                failure: Failure {
                    mx: Some(name),
                    ..Failure::of_policy(ResultType::ValidationFailure, STS_MX_MISMATCH)
                },
                policy: Arc::clone(standing.applied()),
            }),
        };
    }
    let level = Level::Verify {
        mx_patterns: kept.policy.mx.iter().map(ToString::to_string).collect(),
        // RFC 8461 s7.1: SNI is the MX host's name, and so is the name in the certificate (s4.2).
        name: mx.and_then(Result::ok).map(ToString::to_string),
    };
    Decision::of(level, why.trim_end_matches(','))
}

/// The name for logs and reports; one that is no host name is already bounded and escaped.
pub(super) fn mx_name(mx: NamedMx<'_>) -> String {
    match mx {
        Ok(host) => host.to_string(),
        Err(text) => text.to_owned(),
    }
}

/// What is answered when nothing could be told in time and nothing is kept.
#[must_use]
pub fn unknown(domain: &PolicyDomain, reason: &str, setting: WhenUnknown) -> Requirement {
    match setting {
        WhenUnknown::Defer => Requirement::new(
            Level::Defer,
            format!("the policy of {domain} is not known: {reason}"),
        ),
        WhenUnknown::May => Requirement::new(
            Level::May,
            format!("the policy of {domain} is not known, going on without: {reason}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(mode: Mode) -> Standing {
        Standing::for_test(mode, &["mx1.example.org", "*.mail.example.org"])
    }

    /// `may`, `audit`, `verify` or `refuse`.
    fn check(standing: &Standing, mx: &str, overridden: Option<OverrideMode>, expected: &str) {
        let host: Option<MxHost> = mx.parse().ok();
        let named = (!mx.is_empty()).then(|| host.as_ref().ok_or(mx));
        let decision = decide(standing, named, overridden);
        let found = match (&decision.requirement.level, decision.requirement.audit) {
            (Level::May, false) => "may",
            (Level::May, true) => "audit",
            (Level::Verify { .. }, false) => "verify",
            (Level::RefuseMx, false) => "refuse",
            other => panic!("{other:?}"),
        };
        assert_eq!(found, expected, "{mx} {overridden:?}");
        assert_eq!(decision.refused.is_some(), expected == "refuse");
        let enforced = matches!(expected, "verify" | "refuse");
        assert_eq!(enforces(standing, overridden), enforced);
        assert!(!decision.requirement.reason.is_empty());
    }

    #[test]
    fn b27_modes_mx_and_overrides() {
        use OverrideMode::{Audit, Enforce, Off};
        for (mode, mx, overridden, expected) in [
            (Mode::Enforce, "", None, "verify"),
            (Mode::Enforce, "mx1.example.org", None, "verify"),
            (Mode::Enforce, "MX1.Example.ORG.", None, "verify"),
            (Mode::Enforce, "a.mail.example.org", None, "verify"),
            (Mode::Enforce, "mail.example.org", None, "refuse"),
            (Mode::Enforce, "a.b.mail.example.org", None, "refuse"),
            (Mode::Enforce, "mx.elsewhere.example", None, "refuse"),
            (Mode::Enforce, "192.0.2.1", None, "refuse"),
            (Mode::Enforce, "mx.elsewhere.example", Some(Audit), "audit"),
            (Mode::Enforce, "mx.elsewhere.example", Some(Off), "may"),
            (
                Mode::Enforce,
                "mx.elsewhere.example",
                Some(Enforce),
                "refuse",
            ),
            (Mode::Testing, "mx.elsewhere.example", None, "audit"),
            (Mode::Testing, "mx1.example.org", None, "audit"),
            (
                Mode::Testing,
                "mx.elsewhere.example",
                Some(Enforce),
                "refuse",
            ),
            (Mode::Testing, "mx1.example.org", Some(Enforce), "verify"),
            (Mode::None, "mx.elsewhere.example", None, "may"),
            (Mode::None, "mx.elsewhere.example", Some(Enforce), "may"),
        ] {
            check(&standing(mode), mx, overridden, expected);
        }
    }

    #[test]
    fn b31_without_a_policy_mail_is_opportunistic() {
        check(
            &Standing::without_policy("example.org".parse().unwrap()),
            "mx.elsewhere.example",
            None,
            "may",
        );
        check(
            &Standing::unfetched_for_test(),
            "mx.elsewhere.example",
            None,
            "may",
        );
    }

    #[test]
    fn b24_the_name_to_verify_is_the_mx_host_and_not_the_pattern() {
        let host = "a.mail.example.org".parse().unwrap();
        let decision = decide(&standing(Mode::Enforce), Some(Ok(&host)), None);
        let Level::Verify { mx_patterns, name } = decision.requirement.level else {
            panic!()
        };
        assert_eq!(name.as_deref(), Some("a.mail.example.org"));
        assert_eq!(mx_patterns, ["mx1.example.org", "*.mail.example.org"]);
    }

    #[test]
    fn a_refusal_is_counted_with_its_mx_and_reason() {
        let host = "mx.elsewhere.example".parse().unwrap();
        let refused = decide(&standing(Mode::Enforce), Some(Ok(&host)), None)
            .refused
            .unwrap();
        assert_eq!(&refused.policy, standing(Mode::Enforce).applied());
        let refused = refused.failure;
        assert_eq!(refused.result, ResultType::ValidationFailure);
        assert_eq!(refused.mx.as_deref(), Some("mx.elsewhere.example"));
        assert_eq!(refused.reason.as_deref(), Some(STS_MX_MISMATCH));
    }
}
