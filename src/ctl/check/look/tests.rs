use std::{collections::HashMap, net::IpAddr, slice, time::Duration};

use super::*;
use crate::{
    clock::BoxFuture,
    config::{DestinationAction, DestinationConfig, OverrideMode},
    engine::dane::NoDaneSource,
    net::https::FetchError,
    policy::{Mode, dane::TlsaRecord},
};

mod dane;
mod seen;

const NOW: Timestamp = Timestamp(1_800_000_000);
const ENFORCE: &str = "version: STSv1\nmode: enforce\nmx: *.example.org\nmax_age: 86400\n";

/// What example.org publishes.
#[derive(Default)]
struct World {
    txt: HashMap<&'static str, Vec<&'static str>>,
    mx: Vec<(u16, &'static str)>,
    address: Option<IpAddr>,
    document: Option<&'static str>,
    failing: &'static str,
}

fn answer<T>(values: Vec<T>) -> Answer<T> {
    Answer {
        values,
        time_to_live: Duration::from_secs(60),
    }
}

impl World {
    fn answered<T: Send + 'static>(
        &self,
        name: &str,
        values: Vec<T>,
    ) -> BoxFuture<'static, Result<Answer<T>, DnsError>> {
        let result = if self.failing == name {
            Err(DnsError::Server {
                name: name.to_owned(),
                code: "SERVFAIL".to_owned(),
            })
        } else {
            Ok(answer(values))
        };
        Box::pin(std::future::ready(result))
    }
}

impl Dns for World {
    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Vec<u8>>, DnsError>> {
        let texts = self.txt.get(name).cloned().unwrap_or_default();
        self.answered(
            name,
            texts.iter().map(|text| text.as_bytes().to_vec()).collect(),
        )
    }

    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Mx>, DnsError>> {
        let records = self.mx.iter().map(|(preference, exchange)| Mx {
            preference: *preference,
            exchange: (*exchange).to_owned(),
        });
        self.answered(name, records.collect())
    }

    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<IpAddr>, DnsError>> {
        self.answered(name, self.address.into_iter().collect())
    }

    fn tlsa<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<TlsaRecord>, DnsError>> {
        self.answered(name, Vec::new())
    }
}

impl PolicyHost for World {
    fn fetch<'a>(
        &'a self,
        _domain: &'a PolicyDomain,
    ) -> BoxFuture<'a, Result<Vec<u8>, FetchError>> {
        let document = self.document.map(|text| text.as_bytes().to_vec());
        Box::pin(std::future::ready(document.ok_or(FetchError::Status(404))))
    }
}

/// A domain that announces a policy, with two MX hosts, one of them outside `*.example.org`.
fn announced(document: Option<&'static str>) -> World {
    World {
        txt: HashMap::from([
            ("_mta-sts.example.org", vec!["v=STSv1; id=2;"]),
            (
                "_smtp._tls.example.org",
                vec!["v=TLSRPTv1; rua=mailto:tlsrpt@example.org,ftp://x.example/"],
            ),
        ]),
        mx: vec![(10, "MX1.example.org."), (20, "mx.example.net")],
        document,
        ..World::default()
    }
}

fn kept(id: &str, document: &str, age_seconds: i64) -> KeptPolicy {
    KeptPolicy {
        policy: StsPolicy::parse(document.as_bytes()).unwrap(),
        id: id.to_owned(),
        fetched_at: NOW.plus_seconds(-age_seconds),
        tried_at: NOW.plus_seconds(-age_seconds),
    }
}

fn override_to(mode: OverrideMode) -> Override {
    Override {
        scope: "example.org".parse().unwrap(),
        mode,
        until: Some(NOW.day()),
    }
}

fn checked(world: &World, kept: Option<KeptPolicy>, overrides: &[Override]) -> CheckResult {
    let off = NoDaneSource("dane.validation is off");
    checked_by(world, kept, overrides, &Config::default(), &off)
}

fn checked_by(
    world: &World,
    kept: Option<KeptPolicy>,
    overrides: &[Override],
    config: &Config,
    dane: &dyn DaneSource,
) -> CheckResult {
    let means = Means {
        suppressed: &|_| None,
        dane,
        validation: Ok(By::Resolver),
        dane_only: DaneOnly::Told,
        look: None,
        commanded: None,
        dns: world,
        policy_host: world,
        config,
        overrides,
        now: NOW,
        kept,
        trouble: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(check(&"example.org".parse().unwrap(), &means))
}

/// Levels of the hosts in order, with `~` before the audited.
fn levels(result: &CheckResult) -> String {
    let levels = result.mx.hosts.iter().map(|host| {
        let audit = if host.audit { "~" } else { "" };
        format!("{audit}{}", host.level)
    });
    levels.collect::<Vec<_>>().join(" ")
}

#[test]
fn b27_each_mx_is_told_by_mode_pattern_and_override() {
    let testing = "version: STSv1\nmode: testing\nmx: *.example.org\nmax_age: 86400\n";
    let none = "version: STSv1\nmode: none\nmax_age: 86400\n";
    for (document, overridden, expected) in [
        (ENFORCE, None, "verify refuse"),
        (testing, None, "~may ~may"),
        (none, None, "may may"),
        (ENFORCE, Some(OverrideMode::Audit), "~may ~may"),
        (ENFORCE, Some(OverrideMode::Off), "may may"),
        (testing, Some(OverrideMode::Enforce), "verify refuse"),
        (none, Some(OverrideMode::Enforce), "may may"),
    ] {
        let overrides: Vec<_> = overridden.map(override_to).into_iter().collect();
        let result = checked(&announced(Some(document)), None, &overrides);
        assert_eq!(levels(&result), expected, "{document} {overridden:?}");
        assert!(result.outcome.deliverable);
    }
}

#[test]
fn b24_b28_what_postfix_would_be_told_is_shown_for_both_maps() {
    let testing = "version: STSv1\nmode: testing\nmx: *.example.org\nmax_age: 86400\n";
    for (document, overridden, expected) in [
        (
            ENFORCE,
            None,
            "OK secure match=.example.org servername=hostname",
        ),
        (ENFORCE, Some(OverrideMode::Audit), "NOTFOUND "),
        (ENFORCE, Some(OverrideMode::Off), "NOTFOUND "),
        (testing, None, "NOTFOUND "),
        (
            testing,
            Some(OverrideMode::Enforce),
            "OK secure match=.example.org servername=hostname",
        ),
    ] {
        let overrides: Vec<_> = overridden.map(override_to).into_iter().collect();
        let result = checked(&announced(Some(document)), None, &overrides);
        let told = |map: &str| {
            let found = result.socketmap.iter().find(|each| each.map == map);
            found.unwrap().reply.clone()
        };
        assert_eq!(told("QUERY"), expected);
        let with = told("QUERYwithTLSRPT");
        assert!(with.starts_with(expected), "{with}");
        let named = with.contains(" policy_type=sts policy_domain=example.org ");
        assert_eq!(named, expected.starts_with("OK"), "{with}");
    }
}

#[test]
fn an_override_that_has_ended_does_nothing() {
    let ended = Override {
        until: Some(NOW.day().previous()),
        ..override_to(OverrideMode::Off)
    };
    let result = checked(&announced(Some(ENFORCE)), None, &[ended]);
    assert_eq!(levels(&result), "verify refuse");
    assert_eq!(result.overridden, None);
}

#[test]
fn what_is_for_every_other_domain_comes_after_the_domains_own() {
    let of_all = Override {
        scope: OverrideScope::EveryOther,
        ..override_to(OverrideMode::Audit)
    };
    let shown = |overrides: &[Override]| {
        let result = checked(&announced(Some(ENFORCE)), None, overrides);
        let overridden = result.overridden.as_ref().unwrap().domain.clone();
        (overridden, levels(&result))
    };
    let all = shown(slice::from_ref(&of_all));
    assert_eq!(all, ("*".to_owned(), "~may ~may".to_owned()));
    let own = shown(&[of_all, override_to(OverrideMode::Enforce)]);
    assert_eq!(own, ("example.org".to_owned(), "verify refuse".to_owned()));
}

#[test]
fn b31_b32_a_failed_fetch_leaves_what_is_kept_or_nothing() {
    let result = checked(&announced(None), None, &[]);
    assert_eq!(result.document.state, Finding::Failed);
    assert_eq!(
        result.document.result_type.as_deref(),
        Some("sts-policy-fetch-error")
    );
    assert_eq!(levels(&result), "may may");
    assert!(
        result
            .outcome
            .text
            .contains("sts-policy-fetch-error: http-status-404")
    );

    let result = checked(&announced(None), Some(kept("1", ENFORCE, 60)), &[]);
    assert_eq!(levels(&result), "verify refuse");
    assert!(result.outcome.text.contains("a newer one could not be had"));

    let result = checked(&announced(None), Some(kept("1", ENFORCE, 90_000)), &[]);
    assert!(result.kept.as_ref().unwrap().expired);
    assert_eq!(levels(&result), "may may");

    let result = checked(&announced(Some("version: STSv2\n")), None, &[]);
    assert_eq!(result.document.state, Finding::Invalid);
}

#[test]
fn b1_b32_without_a_record_a_kept_policy_still_holds_and_nothing_is_fetched() {
    for failing in ["", "_mta-sts.example.org"] {
        let mut world = announced(Some(ENFORCE));
        world.txt.remove("_mta-sts.example.org");
        world.failing = failing;
        let result = checked(&world, Some(kept("1", ENFORCE, 60)), &[]);
        assert_eq!(result.document.state, Finding::NotAsked);
        assert_eq!(levels(&result), "verify refuse");
        let result = checked(&world, None, &[]);
        assert_eq!(levels(&result), "may may");
    }
}

#[test]
fn b4_a_new_id_is_followed_and_the_same_id_is_not_fetched_for_a_delivery() {
    let other = "version: STSv1\nmode: enforce\nmx: mx.example.net\nmax_age: 86400\n";
    let result = checked(&announced(Some(other)), Some(kept("1", ENFORCE, 60)), &[]);
    assert_eq!(levels(&result), "refuse verify");
    let result = checked(&announced(Some(other)), Some(kept("2", ENFORCE, 60)), &[]);
    assert_eq!(levels(&result), "verify refuse");
    assert_eq!(result.document.mx, ["mx.example.net"]);
}

#[test]
fn mail_that_can_go_nowhere_is_not_deliverable() {
    let outside = "version: STSv1\nmode: enforce\nmx: mx.other.example\nmax_age: 86400\n";
    let result = checked(&announced(Some(outside)), None, &[]);
    assert!(!result.outcome.deliverable);
    assert!(
        result
            .outcome
            .text
            .contains("the policy lists none of the domain's MX hosts")
    );
    for (mx, address, state, reason) in [
        (vec![(0, "")], None, Finding::Absent, "null MX"),
        (
            vec![],
            None,
            Finding::Absent,
            "neither MX records nor an address",
        ),
    ] {
        let world = World {
            mx,
            address,
            ..announced(Some(ENFORCE))
        };
        let result = checked(&world, None, &[]);
        assert!(!result.outcome.deliverable && result.mx.state == state);
        assert!(result.mx.reason.unwrap().contains(reason));
    }
    let world = World {
        failing: "example.org",
        ..announced(Some(ENFORCE))
    };
    let result = checked(&world, None, &[]);
    assert!(!result.outcome.deliverable && result.mx.state == Finding::Failed);
}

#[test]
fn b10_a_domain_without_mx_is_its_own_and_is_judged_by_its_name() {
    let policy = "version: STSv1\nmode: enforce\nmx: example.org\nmax_age: 86400\n";
    let world = World {
        mx: Vec::new(),
        address: Some([192, 0, 2, 1].into()),
        ..announced(Some(policy))
    };
    let result = checked(&world, None, &[]);
    assert_eq!(levels(&result), "verify");
    assert_eq!(result.mx.hosts.first().unwrap().preference, None);
}

#[test]
fn a8_a10_the_rua_and_what_of_it_is_passed_over_are_shown() {
    let result = checked(&announced(Some(ENFORCE)), None, &[]);
    assert_eq!(result.rua.destinations, ["mailto:tlsrpt@example.org"]);
    assert_eq!(result.rua.skipped.len(), 1);
    assert!(
        result
            .outcome
            .text
            .contains("Reports go to mailto:tlsrpt@example.org.")
    );
    assert_eq!(result.document.mode.as_deref(), Some(Mode::Enforce.name()));
    let mut world = announced(Some(ENFORCE));
    world.txt.remove("_smtp._tls.example.org");
    assert_eq!(checked(&world, None, &[]).rua.state, Finding::Absent);
    world.failing = "_smtp._tls.example.org";
    assert_eq!(checked(&world, None, &[]).rua.state, Finding::Failed);
}

#[test]
fn where_reports_do_not_go_is_shown_with_the_section_that_says_so() {
    let config = Config {
        destination: vec![DestinationConfig {
            policy_domain: String::new(),
            rua_domain: "example.org".to_owned(),
            action: DestinationAction::Discard,
            to: Vec::new(),
        }],
        ..Config::default()
    };
    let off = NoDaneSource("dane.validation is off");
    let result = checked_by(&announced(Some(ENFORCE)), None, &[], &config, &off);
    assert_eq!(result.rua.destinations, Vec::<String>::new());
    assert_eq!(
        result.rua.skipped.last().unwrap(),
        "mailto:tlsrpt@example.org: discarded by [[destination]] section 1"
    );
    let said = &result.outcome.text;
    assert!(said.contains("every destination is left out"), "{said}");
}
