//! What a check says of DANE, by what signed DNS says.

use super::*;
use crate::{
    config::InsecureMx,
    engine::dane::Fresh,
    policy::dane::{
        DaneFinding, HostDane, LookupTrouble, MailHosts, MxSecurity, NoDane, RankedHost,
        TlsaPolicy, TlsaSet,
    },
};

/// Signed DNS that says this of `example.org`.
pub(super) struct Says(pub(super) Arc<DomainDane>);

impl DaneSource for Says {
    fn domain<'a>(&'a self, _domain: &'a PolicyDomain) -> BoxFuture<'a, Arc<DomainDane>> {
        Box::pin(std::future::ready(Arc::clone(&self.0)))
    }

    fn host<'a>(
        &'a self,
        _domain: &'a PolicyDomain,
        host: &'a MxHost,
        _port: Option<u16>,
    ) -> BoxFuture<'a, Arc<HostDane>> {
        let known = self.0.host(host).cloned();
        let host = known.unwrap_or_else(|| {
            HostDane::nothing(host.clone(), MxSecurity::Insecure, NoDane::NoRecords)
        });
        Box::pin(std::future::ready(Arc::new(host)))
    }

    fn fresh(&self, _domain: &str, _now: Timestamp) -> Option<Fresh> {
        None
    }

    fn known(&self, _domain: &PolicyDomain, _host: &MxHost) -> Option<Arc<HostDane>> {
        None
    }

    fn held(
        &self,
        _domain: &PolicyDomain,
        _host: &MxHost,
        _at: Timestamp,
    ) -> Option<Arc<HostDane>> {
        None
    }
}

const GOOD: (u8, u8, u8, usize) = (3, 1, 1, 32);

fn records(host: &str, base: &str, set: &[(u8, u8, u8, usize)], mx: MxSecurity) -> HostDane {
    let set = set
        .iter()
        .map(|(usage, selector, matching, octets)| TlsaRecord {
            usage: *usage,
            selector: *selector,
            matching: *matching,
            association: vec![0xAB; *octets],
        });
    let policy = TlsaPolicy::new(base.parse().unwrap(), TlsaSet::new(set.collect()), &[]);
    HostDane {
        host: host.parse().unwrap(),
        mx,
        finding: DaneFinding::Records(Arc::new(policy)),
    }
}

fn nothing(host: &str, mx: MxSecurity) -> HostDane {
    HostDane::nothing(host.parse().unwrap(), mx, NoDane::NoRecords)
}

fn unreachable(host: &str) -> HostDane {
    let host: MxHost = host.parse().unwrap();
    HostDane {
        finding: DaneFinding::Unreachable(LookupTrouble::Tlsa {
            base: host.clone(),
            code: "tlsa-lookup-failed",
            reason: "the resolver answers SERVFAIL".to_owned(),
        }),
        mx: MxSecurity::Secure,
        host,
    }
}

const MX1: &str = "mx1.example.org";
const MX2: &str = "mx.example.net";

fn says(hosts: MailHosts) -> Says {
    Says(Arc::new(DomainDane {
        domain: "example.org".parse().unwrap(),
        hosts,
        until: NOW.plus_seconds(300),
    }))
}

/// The two hosts of [`announced`].
fn both(first: HostDane, second: HostDane) -> Says {
    let ranked = |preference, dane| RankedHost { preference, dane };
    says(MailHosts::Known(vec![
        ranked(10, first),
        ranked(20, second),
    ]))
}

fn explained(document: Option<&'static str>, says: &Says) -> CheckResult {
    let mut world = announced(document);
    if document.is_none() {
        world.txt.remove("_mta-sts.example.org");
    }
    checked_by(&world, None, &[], &Config::default(), says)
}

/// `level by whom`, for each host.
fn decided(result: &CheckResult) -> String {
    let hosts = result.mx.hosts.iter();
    let words = hosts.map(|host| format!("{} by {}", host.level, host.decided_by));
    words.collect::<Vec<_>>().join(", ")
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of cases")]
fn b36_it_is_said_for_each_mx_which_policy_decides_and_what_postfix_is_told() {
    use MxSecurity::{Insecure, Secure};
    let secure = |host: &str| records(host, host, &[GOOD], Secure);
    for (document, says, expected, postfix, sentence) in [
        (
            None,
            both(secure(MX1), secure(MX2)),
            "dane by dane, dane by dane",
            "OK dane-only",
            "Mail goes by DANE to 2 of 2 MX hosts.",
        ),
        (
            Some(ENFORCE),
            both(secure(MX1), secure(MX2)),
            "dane by dane, dane by dane",
            "OK dane-only",
            "Mail goes by DANE to 2 of 2 MX hosts.",
        ),
        (
            None,
            both(secure(MX1), nothing(MX2, Secure)),
            "dane by dane, may by none",
            "NOTFOUND",
            "Mail goes by DANE to 1 of 2 MX hosts; over TLS where it is offered to 1 of 2 MX hosts.",
        ),
        (
            Some(ENFORCE),
            both(nothing(MX1, Secure), secure(MX2)),
            "verify by sts, dane by dane",
            "OK secure",
            "Mail goes by DANE to 1 of 2 MX hosts; over TLS with a valid certificate or not at all, to \
             1 of 2 MX hosts.",
        ),
        (
            Some(ENFORCE),
            both(
                records(MX1, MX1, &[GOOD], Insecure),
                records(MX2, MX2, &[GOOD], Insecure),
            ),
            "verify by sts, refuse by sts",
            "OK secure",
            "to 1 of 2 MX hosts.",
        ),
        (
            None,
            both(
                records(MX1, MX1, &[(1, 1, 1, 32)], Secure),
                unreachable(MX2),
            ),
            "encrypt by dane, refuse by dane",
            "NOTFOUND",
            "Mail goes over TLS with whatever certificate to 1 of 2 MX hosts.",
        ),
        (
            None,
            says(MailHosts::Failed("the answer is bogus".to_owned())),
            "may by none, may by none",
            "TEMP",
            "Mail waits: the MX hosts could not be looked up: the answer is bogus.",
        ),
    ] {
        let result = explained(document, &says);
        assert_eq!(decided(&result), expected);
        let told = &result.socketmap.first().unwrap().reply;
        assert!(told.starts_with(postfix), "{told}, not {postfix}");
        assert!(
            result.outcome.text.contains(sentence),
            "{}",
            result.outcome.text
        );
        assert_eq!(result.outcome.deliverable, postfix != "TEMP");
    }
}

#[test]
fn c7_c17_what_the_operator_wants_is_said() {
    use MxSecurity::{Insecure, Secure};
    let insecure = || both(records(MX1, MX1, &[GOOD], Insecure), nothing(MX2, Insecure));
    let world = World {
        txt: HashMap::new(),
        ..announced(None)
    };
    for (insecure_mx, expected) in [
        (InsecureMx::Dane, "dane by dane, may by none"),
        (InsecureMx::Encrypt, "encrypt by dane, may by none"),
        (InsecureMx::May, "may by none, may by none"),
    ] {
        let mut config = Config::default();
        config.dane.insecure_mx = insecure_mx;
        let result = checked_by(&world, None, &[], &config, &insecure());
        assert_eq!(decided(&result), expected);
        assert_eq!(result.dane.mx_records, "insecure");
    }
    let signed = || both(records(MX1, MX1, &[GOOD], Secure), nothing(MX2, Secure));
    for (mode, expected) in [
        (OverrideMode::DaneOnly, "dane by dane, refuse by dane"),
        (OverrideMode::WithoutDane, "may by none, may by none"),
        (OverrideMode::Off, "may by none, may by none"),
    ] {
        let config = Config::default();
        let result = checked_by(&world, None, &[override_to(mode)], &config, &signed());
        assert_eq!(decided(&result), expected, "{mode:?}");
    }
}

#[test]
fn c10_c15_each_record_is_shown_with_whether_it_can_be_used() {
    let set = [
        GOOD,
        (3, 1, 2, 64),
        (1, 1, 1, 32),
        (3, 1, 1, 20),
        (2, 0, 9, 1),
    ];
    let alias = records(MX1, "mail.example.com", &set, MxSecurity::Secure);
    let result = explained(None, &both(alias, nothing(MX2, MxSecurity::Secure)));
    let dane = result.mx.hosts.first().unwrap().dane.as_ref().unwrap();
    assert_eq!(dane.base_domain.as_deref(), Some("mail.example.com"));
    assert!(
        dane.reason.contains("a signed alias of mail.example.com"),
        "{}",
        dane.reason
    );
    let shown: Vec<String> = dane
        .records
        .iter()
        .map(|each| format!("{} {}", each.record.get(..5).unwrap(), each.usability))
        .collect();
    assert_eq!(
        shown,
        [
            "1 1 1 unusable",
            "2 0 9 unusable",
            "3 1 1 unusable",
            "3 1 1 passed-over",
            "3 1 2 usable"
        ]
    );
    let reasons = dane
        .records
        .iter()
        .filter_map(|each| each.reason.as_deref());
    let reasons: Vec<&str> = reasons.collect();
    assert!(reasons.contains(&"certificate usage 1 means nothing in mail"));
    assert!(reasons.contains(&"a digest of 20 octets where 32 are needed"));
    assert_eq!(result.dane.until, Some(NOW.plus_seconds(300).to_string()));
}

#[test]
fn c1_it_is_said_loudly_that_there_is_no_dane() {
    let result = checked(&announced(None), None, &[]);
    assert_eq!(result.dane.mx_records, "not-known");
    assert_eq!(
        result.dane.mx_reason.as_deref(),
        Some("dane.validation is off")
    );
    let mut text = String::new();
    let state = crate::ctl::wire::DaneState {
        validation: "nobody".to_owned(),
        reason: Some("resolver: 192.0.2.1 is not on this machine".to_owned()),
        ..result.dane
    };
    crate::ctl::check::dane_as_text(&mut text, &state, &result.mx.hosts);
    assert_eq!(
        text,
        "DANE      off: nobody validates DNSSEC (resolver: 192.0.2.1 is not on this machine)\n"
    );
    let state = crate::ctl::wire::DaneState {
        validation: "not-yet".to_owned(),
        reason: Some("own: .: no answer within 3000 ms".to_owned()),
        mx_records: "failed".to_owned(),
        mx_reason: None,
        ..state
    };
    text.clear();
    crate::ctl::check::dane_as_text(&mut text, &state, &result.mx.hosts);
    assert!(
        text.starts_with(
            "DANE      not known: nobody answers for DNSSEC yet, and mail waits (own: .: no answer within 3000 ms)\n"
        ),
        "{text}"
    );
}
