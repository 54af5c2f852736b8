//! Whether a certificate chain satisfies what an MTA was answered about a host.

use rustls::pki_types::CertificateDer;
use sealpost_plugin_api::{Level, Presented, ResultType, Verified};

use super::Engine;
use crate::{
    hook::joint::decide_host,
    policy::{
        MxHost, PolicyDomain,
        dane::verdict::{NO_MATCH, Verdict, verify},
    },
    record::{classify::Observed, look},
};

impl Engine {
    /// Judges a chain by what the answer of this name was made from.
    pub(super) fn judge(&self, presented: &Presented<'_>) -> Verified {
        let named = (
            presented.domain.parse::<PolicyDomain>(),
            presented.mx.parse::<MxHost>(),
        );
        let (Ok(domain), Ok(host)) = named else {
            return Verified::Unknown("that is no domain and MX host".to_owned());
        };
        if presented.chain_der.is_empty() {
            return Verified::Unknown("there is no certificate".to_owned());
        }
        let Some(given) = self.answers.find(&domain, presented.policy) else {
            return Verified::Unknown(
                "that answer is not remembered: ask about the host".to_owned(),
            );
        };
        let dane = given.dane.as_ref().filter(|dane| dane.host == host);
        let known = self.known(&given.standing);
        let decision = decide_host(&known, Ok(&host), dane.map(AsRef::as_ref));
        let requirement = decision.requirement;
        match (&requirement.level, dane.and_then(|dane| dane.records())) {
            (Level::May | Level::Encrypt, _) => Verified::Passed(requirement.reason),
            (Level::Dane { .. }, Some(records)) => {
                match verify(records, presented.chain_der, self.clock.now()) {
                    Verdict::Matched(found) => Verified::Passed(found.to_string()),
                    Verdict::NoneUsable => Verified::Passed(requirement.reason),
                    Verdict::Failed(troubles) => failed(troubles.first().copied()),
                }
            }
            (Level::Verify { .. }, _) => {
                self.judge_for_policy(presented, &host, &requirement.reason)
            }
            _ => Verified::Failed {
                result: ResultType::ValidationFailure,
                reason: "mx-refused".to_owned(),
            },
        }
    }

    /// RFC 8461 s4.2: a trusted root, the dates, and the name of the MX host.
    fn judge_for_policy(&self, presented: &Presented<'_>, host: &MxHost, why: &str) -> Verified {
        let chain = presented.chain_der.iter().copied();
        let chain: Vec<CertificateDer<'_>> = chain.map(CertificateDer::from).collect();
        match look::established(&chain, host, &self.roots, self.clock.now()) {
            Observed::Established { troubles } if troubles.is_empty() => {
                Verified::Passed(why.to_owned())
            }
            Observed::Established { troubles } | Observed::Failed(troubles) => {
                failed(troubles.first().copied())
            }
            Observed::NoSession => Verified::Unknown("the certificate cannot be judged".to_owned()),
        }
    }
}

fn failed(trouble: Option<(ResultType, Option<&'static str>)>) -> Verified {
    let (result, reason) = trouble.unwrap_or(NO_MATCH);
    Verified::Failed {
        result,
        reason: reason.unwrap_or(result.name()).to_owned(),
    }
}
