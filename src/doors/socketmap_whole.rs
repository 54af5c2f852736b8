//! What one answer says of all the mail hosts of a domain, where MTA-STS and DANE are decided for each of
//! them (`docs/decisions/0011-dane.md`, "What Postfix is answered").
//!
//! Postfix asks about a next hop and takes one answer for all of its hosts. `dane-only` has it use the hosts
//! with TLSA records alone; `secure` those that are named in it. So whatever is answered, no host is used
//! with less than its TLSA records ask, nor with less than an enforced policy does.

use super::{
    socketmap_reply::DaneOnly,
    socketmap_request::{MapName, NextHop},
};
use crate::{
    hook::{
        Answer,
        basis::{DaneRole, PolicyRole},
    },
    policy::{
        MxHost, MxPattern,
        dane::{DaneFinding, HostDane, LookupTrouble, MailHosts, MxSecurity, RankedHost},
    },
};

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Says<'a> {
    /// Nothing: the MTA goes by its own settings.
    Nothing,
    /// DANE or no mail.
    DaneOnly,
    /// The policy.
    Policy,
    /// The policy, for these hosts of those that it lists, and no other host.
    PolicyFor(Vec<&'a MxHost>),
    /// To try again later. Why.
    Wait(&'static str),
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
}

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
        (DaneRole::Reported, _) => return by_policy,
        // OURS: `dane-only` where Postfix cannot see signed answers would make it wait as well, without a
        // word of why.
        (DaneRole::Mandatory, Some(why)) => return Says::Wait(why),
        (DaneRole::Mandatory, None) => return Says::DaneOnly,
        // OURS: who cannot be told to do DANE is held to the policy as before.
        (DaneRole::Decides, Some(_)) => return by_policy,
        (DaneRole::Decides, None) => {}
    }
    // Postfix looks up the TLSA records of such a next hop at another name.
    if asked.next_hop == NextHop::Host {
        return by_policy;
    }
    let hosts = answer.dane.as_deref().map_or(&[][..], |dane| dane.ranked());
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

/// Whether the mail waits only for the MX records, which nobody needs for this next hop.
pub(super) fn needs_no_mx(answer: &Answer, next_hop: NextHop) -> bool {
    let failed = |hosts: &MailHosts| matches!(hosts, MailHosts::Failed(_));
    next_hop == NextHop::Host
        && answer
            .dane
            .as_deref()
            .is_some_and(|dane| failed(&dane.hosts))
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
        policy::{AppliedPolicy, Mode, Standing, dane::DomainDane},
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
            (Reported, TOLD, "nothing", "policy"),
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
    fn c2_mail_waits_for_mx_records_that_nobody_needs_no_longer() {
        let mut answer = answer(PolicyRole::Reported, DaneRole::Decides, &[]);
        assert!(!needs_no_mx(&answer, NextHop::Host));
        let mut dane = DomainDane::for_test(&[]);
        dane.hosts = MailHosts::Failed("SERVFAIL".to_owned());
        answer.dane = Some(dane.into());
        assert!(needs_no_mx(&answer, NextHop::Host));
        assert!(!needs_no_mx(&answer, NextHop::Domain));
    }
}
