//! The questions to the DNS about one domain's MX records, and about one mail host.

use std::sync::Arc;

use tracing::{debug, warn};

use super::kept::{Kept, Lives};
use crate::{
    clock::{Clock, Timestamp},
    net::dns::{DnsError, Found, Lookup, SecureDns},
    observe::{Counters, measured::Measured, words::Asked},
    policy::{
        MxHost, PolicyDomain,
        dane::{
            HostFound, LookupTrouble, MailExchanges, NextQuestion, NoDane, Proof, TlsaPolicy,
            TlsaSet, TooLarge,
            order::{AddressAnswer, after_addresses, after_alias, tlsa_name},
        },
    },
};

/// The DNS, and what is needed to keep what it says.
pub(super) struct Lookups {
    pub(super) dns: Arc<dyn SecureDns>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: Arc<Counters>,
    pub(super) lives: Lives,
}

/// What was found of a domain's MX records, or why nothing was.
pub(super) type ExchangesFound = Result<MailExchanges, String>;

/// What was found of a host.
#[derive(Clone, Debug)]
pub(super) struct HostLookup {
    /// What holds.
    pub(super) found: HostFound,
    /// Until when its TLSA records hold, where there are any: longer perhaps than its addresses.
    pub(super) records_until: Timestamp,
}

/// What answers on the way to a host's TLSA records came to: the end of it, and the shortest life of them.
struct Way<'a> {
    lookups: &'a Lookups,
    host: &'a MxHost,
    port: u16,
    until: Timestamp,
}

impl Lookups {
    /// The MX records of a domain.
    pub(super) async fn exchanges(&self, domain: &PolicyDomain) -> Kept<ExchangesFound> {
        let answer = self.dns.mx(domain.as_str());
        let answer = self.counters.measured.looking_up(Asked::Mx, answer).await;
        let now = self.clock.now();
        let (value, until) = match read(answer) {
            Ok((proof, found)) => {
                let records = found.values.into_iter();
                let records = records.map(|mx| (mx.preference, mx.exchange)).collect();
                (
                    Ok(MailExchanges::new(
                        proof,
                        found.expanded.as_deref(),
                        records,
                    )),
                    self.lives.of_answer(now, found.time_to_live),
                )
            }
            // RFC 7672 s2.1.2: nobody may be sent elsewhere by DNS that is out of order.
            Err(trouble) => {
                let reason = trouble.in_words();
                self.counters.dane_lookups_failed.count();
                warn!(%domain, reason, "MX records cannot be looked up");
                (Err(reason), self.lives.of_failure(now))
            }
        };
        Kept {
            value,
            since: now,
            until,
        }
    }

    /// What there is of a host at a port. What is kept of it holds on where the new lookup fails and its
    /// records have not run out.
    pub(super) async fn host(
        &self,
        host: &MxHost,
        port: u16,
        kept: Option<Arc<Kept<HostLookup>>>,
    ) -> Kept<HostLookup> {
        self.counters.dane_lookups.count();
        let mut way = Way {
            lookups: self,
            host,
            port,
            until: Timestamp(i64::MAX),
        };
        let value = way.walk().await;
        let until = way.until;
        let now = self.clock.now();
        let lookup = Kept {
            value,
            since: now,
            until,
        };
        tell(host, port, &lookup.value.found);
        if !matches!(lookup.value.found, HostFound::Unreachable(_)) {
            return lookup;
        }
        self.counters.dane_lookups_failed.count();
        // A time to live is a promise: records are dropped when theirs has run out, not before.
        let holds = |kept: &Kept<HostLookup>| {
            matches!(kept.value.found, HostFound::Records(_))
                && (kept.since..kept.value.records_until).contains(&now)
        };
        match kept.filter(|kept| holds(kept)) {
            Some(kept) => Kept {
                value: kept.value.clone(),
                since: kept.since,
                until: until.min(kept.value.records_until),
            },
            None => lookup,
        }
    }
}

impl Way<'_> {
    fn measured(&self) -> &Measured {
        &self.lookups.counters.measured
    }

    async fn walk(&mut self) -> HostLookup {
        let mut records_until = Timestamp(i64::MIN);
        let found = match self.bases().await {
            Ok(bases) => self.records(&bases, &mut records_until).await,
            Err(found) => found,
        };
        HostLookup {
            found,
            records_until,
        }
    }

    /// RFC 7672 s2.2.2: the addresses first. They say where records are to be asked for, or that none
    /// are, and what there is of the host then.
    async fn bases(&mut self) -> Result<Vec<MxHost>, HostFound> {
        let answer = self.lookups.dns.addresses(self.host.as_str());
        let answer = self.measured().looking_up(Asked::Address, answer).await;
        let (proof, found) = self.take(answer).map_err(|trouble| unreachable(&trouble))?;
        if found.values.is_empty() {
            return Err(HostFound::NoAddress(proof));
        }
        let answer = AddressAnswer {
            proof,
            addresses: found.values.len(),
            expanded: found.expanded.as_deref(),
        };
        match after_addresses(self.host, &answer) {
            NextQuestion::Tlsa(bases) => Ok(bases),
            NextQuestion::None(why) => Err(HostFound::Nothing(why)),
            NextQuestion::Alias => {
                let answer = self.lookups.dns.alias(self.host.as_str());
                let answer = self.measured().looking_up(Asked::Alias, answer).await;
                let (proof, found) = self.take(answer).map_err(|trouble| unreachable(&trouble))?;
                after_alias(self.host, proof, found.values.len()).map_err(HostFound::Nothing)
            }
        }
    }

    /// RFC 7672 s2.2.3: the first base domain with secure records has them all.
    async fn records(&mut self, bases: &[MxHost], records_until: &mut Timestamp) -> HostFound {
        for base in bases {
            let name = tlsa_name(base, self.port);
            let answer = self.lookups.dns.tlsa(&name);
            let answer = self.measured().looking_up(Asked::Tlsa, answer).await;
            // So long a name cannot have the records.
            if matches!(answer, Lookup::Failed(DnsError::BadName { .. })) {
                continue;
            }
            match self.take(answer) {
                Ok((Proof::Secure, found)) if !found.values.is_empty() => {
                    let now = self.lookups.clock.now();
                    *records_until = self.lookups.lives.of_answer(now, found.time_to_live);
                    return match TlsaSet::read(found.values) {
                        Ok(set) => {
                            HostFound::Records(TlsaPolicy::new(base.clone(), set, &[]).into())
                        }
                        // OURS: what cannot be held is as what cannot be had. To leave some out could let in
                        // what they forbid.
                        Err(too_large) => without_records(base, &Trouble::TooLarge(too_large)),
                    };
                }
                // None there, or none that is signed all the way: perhaps below the next.
                Ok(_) => {}
                Err(trouble) => return without_records(base, &trouble),
            }
        }
        HostFound::Nothing(NoDane::NoRecords)
    }

    /// An answer, whose life the whole way has at most.
    fn take<T>(&mut self, answer: Lookup<T>) -> Result<(Proof, Found<T>), Trouble> {
        let now = self.lookups.clock.now();
        let answer = read(answer);
        let until = match &answer {
            Ok((_, found)) => self.lookups.lives.of_answer(now, found.time_to_live),
            Err(_) => self.lookups.lives.of_failure(now),
        };
        self.until = self.until.min(until);
        answer
    }
}

/// Why a lookup says nothing.
enum Trouble {
    Bogus(String),
    Failed(DnsError),
    TooLarge(TooLarge),
}

impl Trouble {
    fn in_words(&self) -> String {
        match self {
            Self::Bogus(reason) => format!("signed, and the signatures do not hold: {reason}"),
            Self::Failed(error) => error.to_string(),
            Self::TooLarge(error) => error.to_string(),
        }
    }
}

fn read<T>(answer: Lookup<T>) -> Result<(Proof, Found<T>), Trouble> {
    match answer {
        Lookup::Secure(found) => Ok((Proof::Secure, found)),
        Lookup::Insecure(found) => Ok((Proof::Insecure, found)),
        Lookup::Bogus(reason) => Err(Trouble::Bogus(reason)),
        Lookup::Failed(error) => Err(Trouble::Failed(error)),
    }
}

/// RFC 7672 s2.1.2: this host cannot be used; others may.
fn unreachable(trouble: &Trouble) -> HostFound {
    match trouble {
        // What cannot be asked for has no records, and no address that anybody would find.
        Trouble::Failed(DnsError::BadName { .. }) => HostFound::Nothing(NoDane::NotAName),
        other => HostFound::Unreachable(LookupTrouble::Addresses(other.in_words())),
    }
}

/// RFC 7672 s2.2.3: whoever keeps the records from us must not gain by it.
fn without_records(base: &MxHost, trouble: &Trouble) -> HostFound {
    HostFound::Unreachable(LookupTrouble::Tlsa {
        base: base.clone(),
        code: match trouble {
            Trouble::Bogus(_) => "tlsa-bogus",
            Trouble::Failed(_) | Trouble::TooLarge(_) => "tlsa-lookup-failed",
        },
        reason: trouble.in_words(),
    })
}

/// One line for each host that was looked up; what keeps mail from it is told louder.
fn tell(host: &MxHost, port: u16, found: &HostFound) {
    match found {
        HostFound::Nothing(why) => debug!(%host, port, ?why, "no DANE"),
        HostFound::NoAddress(_) => debug!(%host, port, "mail host without an address"),
        HostFound::Records(found) => {
            let (base, set) = (&found.base, &found.set);
            let (records, usable) = (set.judged().count(), set.usable().count());
            debug!(%host, port, %base, records, usable, "secure TLSA records");
        }
        HostFound::Unreachable(LookupTrouble::Mx(reason) | LookupTrouble::Addresses(reason)) => {
            warn!(%host, port, reason, "addresses of a mail host cannot be looked up");
        }
        HostFound::Unreachable(LookupTrouble::Tlsa { base, code, reason }) => {
            warn!(%host, port, %base, code, reason, "TLSA records cannot be looked up");
        }
    }
}
