//! The words in which the cases are written down: what most of them have in common.

use super::{
    Blueprint, Delivery, Dnssec, MailHost, Place, Preferences, Publishes, Rua, TlsaPlan,
    blueprint::{Failed, Outcome, Sessions, Under},
};
use crate::{authority::Flaw, mx::MxBehaviour};

pub(super) const fn good(name: &'static str) -> MailHost {
    MailHost {
        name,
        flaw: None,
        behaviour: MxBehaviour::Correct,
        tlsa: TlsaPlan::Absent,
        place: Place::Loopback,
        alias_of: None,
    }
}

pub(super) const fn flawed(name: &'static str, flaw: Flaw) -> MailHost {
    MailHost {
        flaw: Some(flaw),
        ..good(name)
    }
}

pub(super) const fn behaving(name: &'static str, behaviour: MxBehaviour) -> MailHost {
    MailHost {
        behaviour,
        ..good(name)
    }
}

/// A host whose certificate nothing but a TLSA record can vouch for.
pub(super) const fn with_tlsa(name: &'static str, tlsa: TlsaPlan) -> MailHost {
    MailHost {
        tlsa,
        ..flawed(name, Flaw::SelfSigned)
    }
}

/// A host with a certificate that every MTA-STS policy is content with, and TLSA records.
pub(super) const fn good_with_tlsa(name: &'static str, tlsa: TlsaPlan) -> MailHost {
    MailHost { tlsa, ..good(name) }
}

/// A failed session with a mail host.
pub(super) const fn failed(result_type: &'static str, mx: &'static str) -> Failed {
    Failed {
        result_type,
        mx: Some(mx),
        reason: None,
    }
}

/// The mail host is none that the policy names.
pub(super) const fn mx_mismatch(mx: &'static str) -> Failed {
    Failed {
        reason: Some("sts-mx-mismatch"),
        ..failed("validation-failure", mx)
    }
}

/// The mail host's certificate matches none of its TLSA records.
pub(super) const fn no_match(mx: &'static str) -> Failed {
    Failed {
        reason: Some("dane-no-match"),
        ..failed("validation-failure", mx)
    }
}

/// The mail host's TLSA records could not be looked up, or not believed.
pub(super) const fn bogus(mx: &'static str) -> Failed {
    failed("dnssec-invalid", mx)
}

impl Sessions {
    pub(super) fn good(under: Under) -> Self {
        Self {
            under,
            success: 1,
            failures: Vec::new(),
        }
    }

    pub(super) fn bad(under: Under, failure: Failed) -> Self {
        Self {
            under,
            success: 0,
            failures: vec![failure],
        }
    }
}

impl Outcome {
    /// Delivered to this host in one good session.
    pub(super) fn taken(delivered: Delivery, mx: &'static str) -> Self {
        Self {
            delivered,
            taken_by: Some(mx),
            sessions: vec![Sessions::good(Under::Published)],
        }
    }

    /// Deferred without a session.
    pub(super) fn without_session() -> Self {
        Self {
            delivered: Delivery::Deferred,
            taken_by: None,
            sessions: Vec::new(),
        }
    }

    /// Deferred after one failed session.
    pub(super) fn deferred(failure: Failed) -> Self {
        Self {
            delivered: Delivery::Deferred,
            taken_by: None,
            sessions: vec![Sessions::bad(Under::Published, failure)],
        }
    }

    /// Delivered to this host, though its one session counts as failed.
    pub(super) fn taken_despite(delivered: Delivery, mx: &'static str, failure: Failed) -> Self {
        Self {
            delivered,
            taken_by: Some(mx),
            ..Self::deferred(failure)
        }
    }

    /// One more session, before it, has failed under the same policy.
    pub(super) fn after(mut self, failure: Failed) -> Self {
        if let Some(sessions) = self.sessions.first_mut() {
            sessions.failures.push(failure);
        }
        self
    }

    /// It was counted under one more policy.
    pub(super) fn and(mut self, sessions: Sessions) -> Self {
        self.sessions.push(sessions);
        self
    }

    /// The sessions were held under another policy than the published one.
    pub(super) fn under(mut self, under: Under) -> Self {
        for sessions in &mut self.sessions {
            sessions.under = under;
        }
        self
    }
}

impl Blueprint {
    /// A domain with an unsigned zone that asks for reports.
    pub(super) fn new(
        domain: &'static str,
        story: &'static str,
        publishes: Publishes,
        mail_hosts: Vec<MailHost>,
        outcome: Outcome,
    ) -> Self {
        Self {
            domain,
            u_label: None,
            story,
            publishes,
            dnssec: Dnssec::Unsigned,
            mail_hosts,
            preferences: Preferences::InOrder,
            rua: Rua::Asks,
            outcome,
            otherwise: None,
        }
    }

    /// A domain whose one good mail host takes the message over verified TLS.
    pub(super) fn verified(
        domain: &'static str,
        story: &'static str,
        mx: &'static str,
        patterns: &[&str],
    ) -> Self {
        let publishes = Publishes::policy("enforce", patterns);
        let outcome = Outcome::taken(Delivery::TlsVerified, mx);
        Self::new(domain, story, publishes, vec![good(mx)], outcome)
    }

    /// An `enforce` domain whose one mail host is not good enough.
    pub(super) fn refused(
        domain: &'static str,
        story: &'static str,
        host: MailHost,
        patterns: &[&str],
        failure: Failed,
    ) -> Self {
        let publishes = Publishes::policy("enforce", patterns);
        let outcome = Outcome::deferred(failure);
        Self::new(domain, story, publishes, vec![host], outcome)
    }

    /// A domain without a policy that binds the sender, and a mail host that speaks TLS.
    pub(super) fn opportunistic(
        domain: &'static str,
        story: &'static str,
        publishes: Publishes,
        mx: &'static str,
    ) -> Self {
        let outcome = Outcome::taken(Delivery::Tls, mx);
        Self::new(domain, story, publishes, vec![good(mx)], outcome)
    }

    /// A domain that has a policy, which cannot be had, and a mail host that speaks TLS.
    pub(super) fn without_its_policy(
        domain: &'static str,
        story: &'static str,
        publishes: Publishes,
        mx: &'static str,
        result_type: &'static str,
    ) -> Self {
        let failure = Failed {
            result_type,
            mx: None,
            reason: None,
        };
        let outcome = Outcome::taken_despite(Delivery::Tls, mx, failure);
        Self::new(domain, story, publishes, vec![good(mx)], outcome)
    }

    /// A domain in a signed zone, without MTA-STS, whose mail host has TLSA records.
    pub(super) fn dane(
        domain: &'static str,
        story: &'static str,
        host: MailHost,
        outcome: Outcome,
    ) -> Self {
        let outcome = outcome.under(Under::Tlsa(host.name));
        let unsigned = Self::new(domain, story, Publishes::Nothing, vec![host], outcome);
        Self {
            dnssec: Dnssec::Signed,
            ..unsigned
        }
    }
}
