//! Whether a certificate chain satisfies what an MTA was answered about a host.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use sealpost_plugin_api::{Level, Presented, ResultType, Verified};

use super::{Engine, dane::Fresh};
use crate::{
    hook::{
        decide::Decision,
        joint::{Known, decide_host},
    },
    policy::{
        MxHost, PolicyDomain,
        dane::{
            HostDane, TlsaPolicy,
            verdict::{NO_MATCH, Verdict, verify},
        },
    },
    record::{classify::Observed, look},
};

/// How long an MTA that was answered about a domain may take until one of its hosts shows its certificate.
// RFC 5321 s4.5.3.2.1: it waits five minutes for the greeting.
const CONNECTING_SECONDS_MAX: i64 = 300;

impl Engine {
    /// Judges a chain by what the answer of this name was made from.
    pub(super) fn judge(&self, presented: &Presented<'_>) -> Verified {
        let named = (
            presented.domain.parse::<PolicyDomain>(),
            presented.mx.parse::<MxHost>(),
        );
        let (Ok(domain), Ok(host)) = named else {
            return unknown("that is no domain and MX host");
        };
        if presented.chain_der.is_empty() {
            return unknown("there is no certificate");
        }
        let Some(given) = self.answers.find(&domain, presented.policy) else {
            return unknown("that answer is not remembered: ask about the host");
        };
        // An answer about the domain, or about another of its hosts, says nothing of this one.
        let dane = given.dane.filter(|dane| dane.host == host);
        let since = self.clock.now().plus_seconds(-CONNECTING_SECONDS_MAX);
        let dane = dane.or_else(|| self.dane.held(&domain, &host, since));
        let known = self.known(&given.standing);
        let Decision {
            requirement,
            refused,
        } = decide_host(&known, Ok(&host), dane.as_deref());
        match (
            requirement.level,
            dane.as_deref().and_then(HostDane::records),
        ) {
            (Level::May | Level::Encrypt, _) => {
                if dane.is_none() && self.may_have_dane(&known, &domain) {
                    return unknown("it is not known whether DANE is for that host: ask about it");
                }
                Verified::Passed(requirement.reason)
            }
            (Level::Dane { .. }, Some(records)) => self.judge_by_records(presented, records),
            (Level::Verify { .. }, _) => self.judge_by_policy(presented, &host, requirement.reason),
            _ => refused.map_or_else(
                || unknown("that host is not to be used"),
                |refused| Verified::Failed {
                    result: refused.failure.result,
                    reason: refused.failure.reason.unwrap_or_default(),
                },
            ),
        }
    }

    /// Whether DANE may say something of a host of the domain that was not asked about.
    fn may_have_dane(&self, known: &Known<'_>, domain: &PolicyDomain) -> bool {
        let whole = self.dane.fresh(domain.as_str(), self.clock.now());
        let is_off = matches!(whole, Some(Fresh::Off(_)));
        !known.passes_over_dane() && !known.is_audited() && !is_off
    }

    fn judge_by_records(&self, presented: &Presented<'_>, records: &Arc<TlsaPolicy>) -> Verified {
        match verify(records, presented.chain_der, self.clock.now()) {
            Verdict::Matched(found) => Verified::Passed(found.to_string()),
            Verdict::NoneUsable => unknown("none of the TLSA records can be used"),
            Verdict::NotJudged(why) => unknown(&why.to_string()),
            Verdict::Failed(troubles) => failed(troubles.first().copied()),
        }
    }

    /// RFC 8461 s4.2: a trusted root, the dates, and the name of the MX host.
    fn judge_by_policy(&self, presented: &Presented<'_>, host: &MxHost, why: String) -> Verified {
        let chain = presented.chain_der.iter().copied();
        let chain: Vec<CertificateDer<'_>> = chain.map(CertificateDer::from).collect();
        match look::established(&chain, host, &self.roots, self.clock.now()) {
            Observed::Established { troubles } if troubles.is_empty() => Verified::Passed(why),
            Observed::Established { troubles } | Observed::Failed(troubles) => {
                failed(troubles.first().copied())
            }
            Observed::NoSession => unknown("the certificate cannot be judged"),
        }
    }
}

fn unknown(why: &str) -> Verified {
    Verified::Unknown(why.to_owned())
}

fn failed(trouble: Option<(ResultType, Option<&'static str>)>) -> Verified {
    let (result, reason) = trouble.unwrap_or(NO_MATCH);
    Verified::Failed {
        result,
        reason: reason.unwrap_or(result.name()).to_owned(),
    }
}
