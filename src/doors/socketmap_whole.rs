//! What one answer says of all the mail hosts of a domain, where MTA-STS and DANE are decided for each of
//! them (`docs/decisions/0011-dane.md`, "What Postfix is answered").
//!
//! Postfix asks about a next hop and takes one answer for all of its hosts. `dane-only` has it use the hosts
//! with TLSA records alone; `secure` those that are named in it, and turns DANE off for them. So where DANE is
//! enforced, no host is used with less than its TLSA records ask, nor with less than an enforced policy does;
//! and what DANE says is not taken for nothing where it is not known.

use std::borrow::Cow;

use super::{
    socketmap_reply::DaneOnly,
    socketmap_request::{MapName, NextHop},
};
use crate::{
    hook::{
        Answer,
        basis::{DaneRole, DaneUse, PolicyRole},
    },
    policy::{
        MxHost, MxPattern,
        dane::{
            DaneFinding, DomainDane, HostDane, LookupTrouble, MailHosts, MxSecurity, RankedHost,
        },
    },
};

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Says<'a> {
    /// Nothing: the MTA goes by its own settings.
    Nothing,
    /// That nothing is demanded, so that the MTA does no DANE by a level of its own.
    Opportunistic,
    /// DANE or no mail.
    DaneOnly,
    /// The policy.
    Policy,
    /// The policy, for these hosts of those that it lists, and no other host.
    PolicyFor(Vec<&'a MxHost>),
    /// To try again later. Why.
    Wait(Cow<'static, str>),
}

/// What is asked, and what may be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    /// The map.
    pub map: MapName,
    /// What the next hop names.
    pub next_hop: NextHop,
    /// Whether `dane-only` may be said.
    pub dane_only: DaneOnly,
}

impl Asked {
    /// Whether `dane-only` may be said, and why not.
    const fn refuses_dane_only(self) -> Option<&'static str> {
        match (self.map, self.dane_only) {
            (MapName::Sts, _) => {
                Some("the operator demands DANE for this domain, which the map sts cannot say")
            }
            (_, DaneOnly::Untold) => Some(
                "the operator demands DANE for this domain, and Postfix is not told so (socketmap.dane_only)",
            ),
            (_, DaneOnly::Told) => None,
        }
    }

    /// What the MTA makes of DANE.
    #[must_use]
    pub const fn dane_use(self) -> DaneUse {
        match (self.map, self.next_hop, self.dane_only) {
            // sendmail does DANE alone, and Postfix looks up the TLSA records of such a next hop at another
            // name.
            (MapName::Sts, _, _) | (_, NextHop::Host, _) => DaneUse::Unused,
            (_, _, DaneOnly::Told) => DaneUse::ToldAndItsOwn,
            (_, _, DaneOnly::Untold) => DaneUse::NotTold,
        }
    }
}

/// Why the mail waits where it is not known in time what DANE says.
const LATE: &str = "the DNS did not say in time whether DANE is for the domain's MX hosts";

/// What a host can be used with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// A certificate that matches its TLSA records.
    Dane,
    /// What an enforced policy asks.
    Policy,
    /// Whatever the MTA's own settings ask.
    Anything,
    /// Nothing, for DANE: its TLSA records cannot be looked up (RFC 7672 s2.2.3).
    NotByDane,
    /// Nothing: an enforced policy does not list it, or it has no addresses that can be told.
    Not,
}

/// Says what is said for this answer.
pub(super) fn says(answer: &Answer, asked: Asked) -> Says<'_> {
    let by_policy = match answer.basis.policy {
        PolicyRole::Enforced => Says::Policy,
        PolicyRole::Reported => Says::Nothing,
    };
    let refused = asked.refuses_dane_only();
    match (answer.basis.dane, refused) {
        (DaneRole::Reported, _) => return without_dane(answer, asked),
        // OURS: `dane-only` where Postfix cannot see signed answers would make it wait as well, without a
        // word of why.
        (DaneRole::Mandatory, Some(why)) => return Says::Wait(why.into()),
        (DaneRole::Mandatory, None) => return Says::DaneOnly,
        // OURS: who cannot be told to do DANE is held to the policy as before.
        (DaneRole::Decides, Some(_)) => return by_policy,
        (DaneRole::Decides, None) => {}
    }
    // Postfix looks up the TLSA records of such a next hop at another name.
    if asked.next_hop == NextHop::Host {
        return by_policy;
    }
    // OURS: "secure" would have Postfix do no DANE, so it is not said where DANE may decide.
    let Some(dane) = answer.dane.as_deref() else {
        return Says::Wait(LATE.into());
    };
    match &dane.hosts {
        // RFC 7672 s2.1.2: DNS trouble in finding the MX hosts delays the mail.
        MailHosts::Failed(why) => {
            return Says::Wait(format!("the MX hosts could not be looked up: {why}").into());
        }
        MailHosts::TooMany(many) if by_policy == Says::Policy && many.mx == MxSecurity::Secure => {
            return Says::Wait(too_many(many.number).into());
        }
        _ => {}
    }
    let hosts = dane.ranked();
    match answer.basis.policy {
        PolicyRole::Reported => without_policy(hosts),
        PolicyRole::Enforced => {
            let patterns = answer.applied.iter().flat_map(|applied| &applied.mx_host);
            let patterns: Vec<MxPattern> = patterns
                .filter_map(|pattern| pattern.parse().ok())
                .collect();
            let lists = |host: &MxHost| patterns.iter().any(|pattern| pattern.matches(host));
            under_policy(hosts, lists)
        }
    }
}

fn too_many(number: usize) -> String {
    format!(
        "{number} MX hosts are more than dane.hosts_max, and it is not known on which of them DANE decides \
         beside the policy"
    )
}

/// DANE is not enforced for this domain, by the operator's word.
// OURS: told nothing, a Postfix of the level `dane` would enforce it (docs/decisions/0011-dane.md, "What Postfix
// is answered").
fn without_dane<'a>(answer: &Answer, asked: Asked) -> Says<'a> {
    if answer.basis.policy == PolicyRole::Enforced {
        // Postfix then does no DANE.
        return Says::Policy;
    }
    let does_dane = asked.dane_use() == DaneUse::ToldAndItsOwn;
    match answer.dane.as_deref().is_some_and(DomainDane::has_a_say) && does_dane {
        true => Says::Opportunistic,
        false => Says::Nothing,
    }
}

/// No policy is enforced: DANE must be all there is, or each host is left to the MTA's own level.
fn without_policy<'a>(hosts: &[RankedHost]) -> Says<'a> {
    let fits = || hosts.iter().map(|ranked| fit(&ranked.dane, Fit::Anything));
    let dane_has_a_say = fits().any(|fit| matches!(fit, Fit::Dane | Fit::NotByDane));
    if dane_has_a_say && !fits().any(|fit| fit == Fit::Anything) {
        Says::DaneOnly
    } else {
        Says::Nothing
    }
}

/// A policy is enforced, which lists these.
// OURS: what the best host needs that can be used at all; of equal ones, DANE.
fn under_policy(hosts: &[RankedHost], lists: impl Fn(&MxHost) -> bool) -> Says<'_> {
    let of_policy = |host: &MxHost| match lists(host) {
        true => Fit::Policy,
        false => Fit::Not,
    };
    let fits: Vec<(&RankedHost, Fit)> = hosts
        .iter()
        .map(|ranked| (ranked, fit(&ranked.dane, of_policy(&ranked.dane.host))))
        .collect();
    let all_of = |wanted: Fit| fits.iter().filter(move |(_, fit)| *fit == wanted);
    let best = |wanted: Fit| all_of(wanted).map(|(ranked, _)| ranked.preference).min();
    let by_dane = all_of(Fit::Dane)
        .chain(all_of(Fit::NotByDane))
        .next()
        .is_some();
    match (best(Fit::Dane), best(Fit::Policy)) {
        (Some(dane), Some(policy)) if dane > policy => {}
        (Some(_), _) => return Says::DaneOnly,
        // Where all that is listed cannot be used, DANE is what keeps the mail from it.
        (None, None) if by_dane => return Says::DaneOnly,
        (None, _) => {}
    }
    if !by_dane {
        return Says::Policy;
    }
    let admitted = all_of(Fit::Policy).map(|(ranked, _)| &ranked.dane.host);
    Says::PolicyFor(admitted.collect())
}

/// What a host can be used with, where it can be used with this as far as DANE says nothing.
// The table "The joint rule, for one MX host" of docs/decisions/0011-dane.md.
fn fit(dane: &HostDane, otherwise: Fit) -> Fit {
    if dane.decides().is_some() {
        return Fit::Dane;
    }
    match (&dane.finding, dane.mx) {
        (DaneFinding::Unreachable(LookupTrouble::Mx(_) | LookupTrouble::Addresses(_)), _) => {
            Fit::Not
        }
        (DaneFinding::Unreachable(LookupTrouble::Tlsa { .. }), MxSecurity::Secure) => {
            Fit::NotByDane
        }
        _ => otherwise,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sealpost_plugin_api::{Level, Requirement};

    use super::*;
    use crate::{
        hook::basis::Basis,
        policy::{AppliedPolicy, Mode, Standing, dane::ManyHosts},
    };

    fn answer(policy: PolicyRole, dane: DaneRole, hosts: &[&str]) -> Answer {
        let standing = Standing::for_test(Mode::Enforce, &["*.example.org"]);
        let applied = match policy {
            PolicyRole::Enforced => Arc::clone(standing.applied()),
            PolicyRole::Reported => AppliedPolicy::no_policy_found(standing.domain.clone()).into(),
        };
        Answer {
            requirement: Requirement::new(Level::May, "a reason"),
            applied: Some(applied),
            dane: Some(DomainDane::for_test(hosts).into()),
            basis: Basis { dane, policy },
        }
    }

    const TOLD: Asked = Asked {
        map: MapName::QueryWithTlsrpt,
        next_hop: NextHop::Domain,
        dane_only: DaneOnly::Told,
    };

    fn words(says: &Says<'_>) -> String {
        match says {
            Says::Nothing => "nothing".to_owned(),
            Says::Opportunistic => "may".to_owned(),
            Says::DaneOnly => "dane-only".to_owned(),
            Says::Policy => "policy".to_owned(),
            Says::PolicyFor(hosts) => {
                let hosts: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
                format!("policy for {}", hosts.join(" "))
            }
            Says::Wait(_) => "wait".to_owned(),
        }
    }

    /// `the hosts | without a policy | under one in enforce for *.example.org`; `a` and `b` are listed, `x`
    /// is not.
    const TABLE: &str = "
        10 a records | dane-only | dane-only
        10 a unusable | nothing | policy
        10 a none | nothing | policy
        10 a unsigned | nothing | policy
        10 a bogus | dane-only | dane-only
        10 a lost | nothing | policy
        10 x records | dane-only | dane-only
        10 x none | nothing | policy
        10 x bogus | dane-only | dane-only
        | nothing | policy

        10 a records, unsigned MX | nothing | policy
        10 a bogus, unsigned MX | nothing | policy
        10 a records, unsigned MX; 20 b none, unsigned MX | nothing | policy

        10 a records; 20 b records | dane-only | dane-only
        10 a records; 20 b bogus | dane-only | dane-only
        10 a bogus; 20 b records | dane-only | dane-only
        10 a records; 20 b lost | dane-only | dane-only
        10 a bogus; 20 b bogus | dane-only | dane-only

        10 a records; 20 b none | nothing | dane-only
        10 a none; 20 b records | nothing | policy for a.example.org
        10 a records; 10 b none | nothing | dane-only
        10 a none; 10 b records | nothing | dane-only
        10 a unusable; 20 b records | nothing | policy for a.example.org
        10 a records; 20 b unusable | nothing | dane-only
        10 a none; 20 b bogus | nothing | policy for a.example.org
        10 a bogus; 20 b none | nothing | policy for b.example.org
        10 a lost; 20 b records | dane-only | dane-only
        10 a lost; 20 b none | nothing | policy
        10 x none; 20 b records | nothing | dane-only
        10 x records; 20 b none | nothing | dane-only
        10 b none; 20 x records | nothing | policy for b.example.org
        10 x none; 20 b none | nothing | policy
        10 a none; 20 b unsigned; 30 x records | nothing | policy for a.example.org b.example.org";

    #[test]
    fn b36_no_host_is_used_with_less_than_its_records_or_an_enforced_policy_ask() {
        for line in TABLE.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let columns: Vec<&str> = line.split('|').map(str::trim).collect();
            let full = columns[0]
                .replace(" a ", " a.example.org ")
                .replace(" b ", " b.example.org ")
                .replace(" x ", " x.elsewhere.example ");
            let hosts: Vec<&str> = full.split("; ").filter(|host| !host.is_empty()).collect();
            for (policy, expected) in [
                (PolicyRole::Reported, columns[1]),
                (PolicyRole::Enforced, columns[2]),
            ] {
                let answer = answer(policy, DaneRole::Decides, &hosts);
                assert_eq!(words(&says(&answer, TOLD)), expected, "{policy:?}: {line}");
            }
        }
    }

    #[test]
    fn c17_what_may_not_be_told_and_what_the_operator_demands() {
        let both = ["10 a.example.org none", "20 b.example.org records"];
        let (host, untold, sts) = (
            Asked {
                next_hop: NextHop::Host,
                ..TOLD
            },
            Asked {
                dane_only: DaneOnly::Untold,
                ..TOLD
            },
            Asked {
                map: MapName::Sts,
                ..TOLD
            },
        );
        let query = Asked {
            map: MapName::Query,
            ..TOLD
        };
        use DaneRole::{Decides, Mandatory, Reported};
        for (dane, asked, without_policy, under_policy) in [
            (Decides, query, "nothing", "policy for a.example.org"),
            (Decides, host, "nothing", "policy"),
            (Decides, untold, "nothing", "policy"),
            (Decides, sts, "nothing", "policy"),
            (Reported, TOLD, "may", "policy"),
            (Reported, query, "may", "policy"),
            (Reported, host, "nothing", "policy"),
            (Reported, untold, "nothing", "policy"),
            (Reported, sts, "nothing", "policy"),
            (Mandatory, TOLD, "dane-only", "dane-only"),
            (Mandatory, query, "dane-only", "dane-only"),
            (Mandatory, host, "dane-only", "dane-only"),
            (Mandatory, untold, "wait", "wait"),
            (Mandatory, sts, "wait", "wait"),
        ] {
            for (policy, expected) in [
                (PolicyRole::Reported, without_policy),
                (PolicyRole::Enforced, under_policy),
            ] {
                let answer = answer(policy, dane, &both);
                let found = words(&says(&answer, asked));
                assert_eq!(found, expected, "{dane:?} {policy:?} {asked:?}");
            }
        }
    }

    #[test]
    fn b36_c2_what_is_not_known_of_dane_does_not_turn_it_off() {
        let many = |mx| MailHosts::TooMany(ManyHosts { number: 99, mx });
        let failed = || MailHosts::Failed("SERVFAIL".to_owned());
        let untold = Asked {
            dane_only: DaneOnly::Untold,
            ..TOLD
        };
        let host = Asked {
            next_hop: NextHop::Host,
            ..TOLD
        };
        use DaneRole::{Decides, Mandatory, Reported};
        for (dane, hosts, asked, without_policy, under_policy) in [
            // Late.
            (Decides, None, TOLD, "wait", "wait"),
            (Decides, None, untold, "nothing", "policy"),
            (Decides, None, host, "nothing", "policy"),
            (Mandatory, None, TOLD, "dane-only", "dane-only"),
            (Reported, None, TOLD, "nothing", "policy"),
            (Decides, Some(failed()), TOLD, "wait", "wait"),
            (Decides, Some(failed()), untold, "nothing", "policy"),
            (Reported, Some(failed()), TOLD, "nothing", "policy"),
            (
                Decides,
                Some(many(MxSecurity::Secure)),
                TOLD,
                "nothing",
                "wait",
            ),
            (
                Decides,
                Some(many(MxSecurity::Insecure)),
                TOLD,
                "nothing",
                "policy",
            ),
            (
                Reported,
                Some(many(MxSecurity::Secure)),
                TOLD,
                "may",
                "policy",
            ),
            (Decides, Some(MailHosts::None), TOLD, "nothing", "policy"),
            (
                Decides,
                Some(MailHosts::Off("off")),
                TOLD,
                "nothing",
                "policy",
            ),
        ] {
            for (policy, expected) in [
                (PolicyRole::Reported, without_policy),
                (PolicyRole::Enforced, under_policy),
            ] {
                let hosts = hosts.clone().map(|hosts| {
                    let known = DomainDane::for_test(&[]);
                    Arc::new(DomainDane { hosts, ..known })
                });
                let answer = Answer {
                    dane: hosts,
                    ..answer(policy, dane, &[])
                };
                let found = words(&says(&answer, asked));
                assert_eq!(found, expected, "{dane:?} {policy:?} {asked:?} {answer:?}");
            }
        }
    }

    #[test]
    fn c18_nothing_is_lowered_for_a_domain_on_which_dane_has_no_say() {
        for (host, expected) in [
            ("10 a.example.org records", "may"),
            ("10 a.example.org unusable", "may"),
            ("10 a.example.org bogus", "may"),
            ("10 a.example.org records, unsigned MX", "may"),
            ("10 a.example.org none", "nothing"),
            ("10 a.example.org unsigned", "nothing"),
            ("10 a.example.org lost", "nothing"),
        ] {
            let answer = answer(PolicyRole::Reported, DaneRole::Reported, &[host]);
            assert_eq!(words(&says(&answer, TOLD)), expected, "{host}");
        }
    }
}
