//! A toy MTA by a third party: it knows the trait and nothing of Sealpost's inside.
//!
//! It delivers to one domain with two MX hosts, as RFC 8461 s5 asks of a sender: first the domain's
//! level, then each MX host in turn, and a report of each session. The hook is handed in; a Rust MTA
//! that embeds Sealpost gives the engine here, this example gives a stand-in with one policy.
//!
//!     cargo run -p sealpost-plugin-api --example toy_host

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use sealpost_plugin_api::{
    Facts, Hook, Level, Outcome, Presented, Query, Requirement, ResultType, Session, StartTls,
    Verification, Verified,
};

fn main() {
    let hook = OnePolicy;
    for domain in ["example.org", "example.net"] {
        let hosts = ["mx.attacker.example", "mx1.example.org"];
        match deliver(&hook, domain, &hosts) {
            Ok(mx) => println!("{domain}: delivered through {mx}"),
            Err(reason) => println!("{domain}: tried again later: {reason}"),
        }
    }
}

/// One delivery. Gives the MX host that took the mail, or why none did.
fn deliver<'a>(hook: &dyn Hook, domain: &str, hosts: &[&'a str]) -> Result<&'a str, String> {
    let requirement = hook.policy(&Query::new(domain));
    if requirement.level == Level::Defer {
        return Err(requirement.reason);
    }
    let mut last_reason = "no MX host".to_owned();
    for mx in hosts {
        // Just before the connection: the policy may exclude this host.
        let requirement = hook.policy(&Query::new(domain).with_mx(mx));
        let seen = match requirement.level {
            Level::May | Level::Encrypt | Level::Verify { .. } => connect(mx),
            Level::Dane { .. } => {
                let seen = connect(mx);
                seen.with_dane(by_dane(hook, domain, mx, &requirement, &seen))
            }
            // The refusal is a failed session that the hook has counted itself.
            _ => {
                last_reason = requirement.reason;
                continue;
            }
        };
        let mut session = Session::new(domain, Outcome::Facts(seen)).with_mx(mx);
        session.policy = Some(&requirement.policy);
        hook.session(&session);
        if may_deliver(&requirement, &seen) {
            return Ok(mx);
        }
        last_reason = format!("{mx}: {}", seen.error.unwrap_or("TLS failed"));
    }
    Err(last_reason)
}

/// Does what was seen satisfy what is demanded? In the clear is good enough for `may` alone.
fn may_deliver(requirement: &Requirement, seen: &Facts<'_>) -> bool {
    let encrypted = seen.starttls == StartTls::Established;
    match requirement.level {
        Level::May => true,
        Level::Encrypt => encrypted,
        Level::Dane { .. } => encrypted && seen.dane == Verification::Passed,
        _ => encrypted && seen.verification == Verification::Passed,
    }
}

/// Has the certificates judged that were seen. Only `Passed` lets mail through.
fn by_dane(
    hook: &dyn Hook,
    domain: &str,
    mx: &str,
    requirement: &Requirement,
    seen: &Facts<'_>,
) -> Verification {
    let mut chain: Vec<&[u8]> = seen.leaf_der.into_iter().collect();
    chain.extend(seen.chain_der.into_iter().flatten());
    let presented = Presented::new(domain, mx, &requirement.policy, &chain);
    match hook.verify(&presented) {
        Verified::Passed(_) => Verification::Passed,
        Verified::Failed { .. } => Verification::Failed,
        _ => Verification::Unknown,
    }
}

/// Stands for the SMTP and TLS of a real MTA, which hands over the certificates as well.
fn connect(mx: &str) -> Facts<'static> {
    if mx == "mx1.example.org" {
        Facts::new(StartTls::Established).with_verification(Verification::Passed)
    } else {
        Facts::new(StartTls::NotOffered).with_error("STARTTLS is not offered")
    }
}

/// A hook that knows the policy of one domain by heart.
struct OnePolicy;

impl Hook for OnePolicy {
    fn policy(&self, query: &Query<'_>) -> Requirement {
        if query.domain != "example.org" {
            return Requirement::new(Level::May, "no policy");
        }
        match query.mx {
            Some(mx) if !mx.ends_with(".example.org") => {
                Requirement::new(Level::RefuseMx, "this MX host is not in the policy")
            }
            mx => Requirement::new(
                Level::Verify {
                    mx_patterns: vec!["*.example.org".to_owned()],
                    name: mx.map(str::to_owned),
                },
                "MTA-STS, mode enforce",
            )
            .under_policy("1"),
        }
    }

    fn verify(&self, presented: &Presented<'_>) -> Verified {
        // Nothing of this domain goes by DANE; the host's own library checks the rest.
        Verified::Passed(format!("no TLSA record of {}", presented.mx))
    }

    fn session(&self, session: &Session<'_>) {
        let mx = session.mx.unwrap_or("an unknown host");
        let result = match session.outcome {
            Outcome::Success => None,
            Outcome::Failure { result, .. } => Some(result),
            Outcome::Facts(facts) if facts.starttls == StartTls::Established => None,
            Outcome::Facts(_) => Some(ResultType::StarttlsNotSupported),
            _ => Some(ResultType::ValidationFailure),
        };
        match result {
            None => println!("{}: a session with {mx} went well", session.domain),
            Some(result) => println!("{}: a session with {mx} failed: {result}", session.domain),
        }
    }
}
