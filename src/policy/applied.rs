//! The policy a session was held to, as a report names it, and its fingerprint.

use std::{fmt, str::FromStr};

use super::PolicyDomain;

/// The type of a policy in a report (RFC 8460 s4.4, `policy-type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyType {
    /// DANE (RFC 7672).
    Tlsa,
    /// MTA-STS (RFC 8461).
    Sts,
    /// Neither was found.
    NoPolicyFound,
}

impl PolicyType {
    /// Every policy type.
    pub const ALL: [Self; 3] = [Self::Tlsa, Self::Sts, Self::NoPolicyFound];

    /// The name a report carries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tlsa => "tlsa",
            Self::Sts => "sts",
            Self::NoPolicyFound => "no-policy-found",
        }
    }
}

/// One exact policy that sessions were held to. Two sessions belong to the same element of a
/// report's `policies` exactly when these four are equal (RFC 8460 s4.4; D10).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppliedPolicy {
    /// `policy-type`.
    pub policy_type: PolicyType,
    /// `policy-domain`: the recipient domain, or for `tlsa` the TLSA base domain.
    pub policy_domain: PolicyDomain,
    /// `policy-string`: the policy's lines as published, or the TLSA records, sorted. Empty for
    /// `no-policy-found` and for a policy that was never fetched.
    pub policy_string: Vec<String>,
    /// `mx-host`: the policy's MX patterns as A-labels. Empty except for `sts`.
    pub mx_host: Vec<String>,
}

impl AppliedPolicy {
    /// The domain publishes neither a policy nor TLSA records.
    #[must_use]
    pub const fn no_policy_found(domain: PolicyDomain) -> Self {
        Self {
            policy_type: PolicyType::NoPolicyFound,
            policy_domain: domain,
            policy_string: Vec::new(),
            mx_host: Vec::new(),
        }
    }

    /// The domain announces an MTA-STS policy that could not be had (D12).
    #[must_use]
    pub const fn sts_unfetched(domain: PolicyDomain) -> Self {
        Self {
            policy_type: PolicyType::Sts,
            policy_domain: domain,
            policy_string: Vec::new(),
            mx_host: Vec::new(),
        }
    }

    /// A mail host may have TLSA records, and they could not be had or there is none to be used: `base` is
    /// the TLSA base domain.
    #[must_use]
    pub const fn tlsa_not_had(base: PolicyDomain) -> Self {
        Self {
            policy_type: PolicyType::Tlsa,
            policy_domain: base,
            policy_string: Vec::new(),
            mx_host: Vec::new(),
        }
    }

    /// A short name for this exact policy: the first 16 octets of SHA-256 over its members.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        let mut member = |text: &str| {
            // Lengths go in, so that no two lists of lines run into the same bytes.
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text.as_bytes());
        };
        member(self.policy_type.name());
        member(self.policy_domain.as_str());
        for list in [&self.policy_string, &self.mx_host] {
            member(&list.len().to_string());
            list.iter().for_each(|text| member(text));
        }
        let mut first = [0; 16];
        for (to, from) in first.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        Fingerprint(first)
    }
}

/// Names an [`AppliedPolicy`]; 16 octets, written as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 16]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// The text is not 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a policy is named by 32 hexadecimal digits")]
pub struct NotAFingerprint;

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotAFingerprint);
        }
        u128::from_str_radix(text, 16)
            .map(|number| Self(number.to_be_bytes()))
            .map_err(|_| NotAFingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d10_a_fingerprint_tells_every_member_apart_and_reads_back() {
        let domain: PolicyDomain = "example.org".parse().unwrap();
        let policies = [
            AppliedPolicy::no_policy_found(domain.clone()),
            AppliedPolicy::sts_unfetched(domain.clone()),
            AppliedPolicy::no_policy_found("example.net".parse().unwrap()),
            AppliedPolicy {
                policy_string: vec!["ab".into(), "c".into()],
                ..AppliedPolicy::sts_unfetched(domain.clone())
            },
            AppliedPolicy {
                policy_string: vec!["a".into(), "bc".into()],
                ..AppliedPolicy::sts_unfetched(domain.clone())
            },
            AppliedPolicy {
                mx_host: vec!["a".into()],
                ..AppliedPolicy::sts_unfetched(domain)
            },
        ];
        for (index, one) in policies.iter().enumerate() {
            let printed = one.fingerprint().to_string();
            assert_eq!(printed.parse(), Ok(one.fingerprint()));
            assert!(
                policies
                    .iter()
                    .skip(index + 1)
                    .all(|other| other.fingerprint() != one.fingerprint())
            );
        }
    }
}
