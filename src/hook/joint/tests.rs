use super::*;
use crate::{
    hook::hold::{DaneHold, Demanded, demanded, hold},
    policy::{
        Mode, MxHost,
        dane::{ManyHosts, RankedHost, TlsaRecord, TlsaSet},
    },
};

const HOST: &str = "mx1.example.org";

const ENFORCED: DaneSettings = DaneSettings {
    insecure_mx: InsecureMx::Dane,
    enforcement: Enforcement::Enforced,
};

/// What signed DNS says of `mx1.example.org`, in a word: `nothing`, `usable`, `unusable`, `bogus`,
/// `failed` (its TLSA records), `no-address`, `no-mx` (the MX records could not be looked up).
fn host(mx: MxSecurity, word: &str) -> HostDane {
    let name: MxHost = HOST.parse().unwrap();
    let records = |usage| {
        let record = TlsaRecord {
            usage,
            selector: 1,
            matching: 1,
            association: vec![7; 32],
        };
        let further = ["example.org".parse().unwrap()];
        let further = match mx {
            MxSecurity::Secure => &further[..],
            MxSecurity::Insecure => &[],
        };
        let set = TlsaSet::new(vec![record]);
        DaneFinding::Records(Arc::new(TlsaPolicy::new(name.clone(), set, further)))
    };
    let failed = |code| {
        DaneFinding::Unreachable(LookupTrouble::Tlsa {
            base: "base.example.org".parse().unwrap(),
            code,
            reason: "in words".to_owned(),
        })
    };
    let finding = match word {
        "nothing" => DaneFinding::Nothing(NoDane::NoRecords),
        "usable" => records(3),
        "unusable" => records(1),
        "bogus" => failed("tlsa-bogus"),
        "failed" => failed("tlsa-lookup-failed"),
        "no-mx" => DaneFinding::Unreachable(LookupTrouble::Mx("why".to_owned())),
        "no-address" => DaneFinding::Unreachable(LookupTrouble::Addresses("why".to_owned())),
        other => panic!("{other}"),
    };
    HostDane {
        host: name.clone(),
        mx,
        finding,
    }
}

/// What MTA-STS says, in a word: `none`, `testing`, `listed`, `unlisted` (both enforced).
fn standing(word: &str) -> Standing {
    match word {
        "none" => Standing::without_policy("example.org".parse().unwrap()),
        "testing" => Standing::for_test(Mode::Testing, &["other.example.org"]),
        "listed" => Standing::for_test(Mode::Enforce, &[HOST]),
        "unlisted" => Standing::for_test(Mode::Enforce, &["other.example.org"]),
        other => panic!("{other}"),
    }
}

/// `may`, `audit`, `encrypt`, `verify`, `dane`, `defer`; a refusal with what it is counted as.
fn words(decision: &Decision) -> String {
    let requirement = &decision.requirement;
    assert!(!requirement.reason.is_empty());
    let refused = decision.refused.as_ref();
    let level = match (&requirement.level, requirement.audit) {
        (Level::May, false) => "may",
        (Level::May, true) => "audit",
        (Level::Encrypt, false) => "encrypt",
        (Level::Verify { .. }, false) => "verify",
        (Level::Dane { .. }, false) => "dane",
        (Level::Defer, false) => "defer",
        (Level::RefuseMx, false) => {
            return refused.map_or_else(
                || "refuse".to_owned(),
                |Refusal { failure, policy }| {
                    assert_eq!(failure.mx.as_deref(), Some(HOST));
                    format!(
                        "refuse: {} {} {}",
                        policy.policy_type.name(),
                        policy.policy_domain,
                        failure.reason.as_deref().unwrap()
                    )
                },
            );
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(refused, None);
    level.to_owned()
}

fn decided(
    standing: &Standing,
    dane: &HostDane,
    overridden: Option<OverrideMode>,
    settings: DaneSettings,
) -> String {
    let known = Known {
        standing,
        overridden,
        settings,
    };
    let decision = decide_host(&known, Ok(&dane.host), Some(dane));
    let words = words(&decision);
    // What a session is counted by must be what was answered.
    let demanded = demanded(&known, Some(dane));
    let expected = match &words[..] {
        "may" | "audit" => Demanded::Nothing,
        "encrypt" => Demanded::Tls,
        "verify" => Demanded::Sts,
        "dane" => Demanded::Dane,
        unlisted if unlisted.contains(decide::STS_MX_MISMATCH) => Demanded::Sts,
        _ => Demanded::NoSession,
    };
    assert_eq!(demanded, expected, "{words} {dane:?}");
    words
}

const UNLISTED: &str = "refuse: sts example.org sts-mx-mismatch";
const BOGUS: &str = "refuse: tlsa base.example.org tlsa-bogus";
const FAILED: &str = "refuse: tlsa base.example.org tlsa-lookup-failed";
const REQUIRED: &str = "refuse: tlsa mx1.example.org no-usable-tlsa-records";

/// In the columns no policy, testing, enforced and listed, enforced and not listed.
const STANDINGS: [&str; 4] = ["none", "testing", "listed", "unlisted"];

#[test]
fn b36_c3_c5_dane_decides_where_it_applies_and_enforce_keeps_its_floor() {
    use MxSecurity::Secure;
    for (finding, expected) in [
        ("nothing", ["may", "audit", "verify", UNLISTED]),
        ("usable", ["dane", "dane", "dane", "dane"]),
        ("unusable", ["encrypt", "encrypt", "verify", UNLISTED]),
        ("bogus", [BOGUS, BOGUS, BOGUS, BOGUS]),
        ("failed", [FAILED, FAILED, FAILED, FAILED]),
        ("no-address", ["refuse", "refuse", "refuse", "refuse"]),
    ] {
        // What the operator wants below MX records that are not signed is nothing to these.
        for insecure_mx in [InsecureMx::Dane, InsecureMx::Encrypt, InsecureMx::May] {
            for (word, expected) in STANDINGS.into_iter().zip(expected) {
                let settings = DaneSettings {
                    insecure_mx,
                    ..ENFORCED
                };
                let dane = host(Secure, finding);
                let found = decided(&standing(word), &dane, None, settings);
                assert_eq!(found, expected, "{finding} {word}");
            }
        }
    }
}

#[test]
fn c7_below_mx_records_that_are_not_signed_the_operator_decides_and_enforce_wins() {
    use InsecureMx::{Dane, Encrypt, May};
    for (finding, setting, without, testing) in [
        ("nothing", Dane, "may", "audit"),
        ("nothing", Encrypt, "may", "audit"),
        ("nothing", May, "may", "audit"),
        ("usable", Dane, "dane", "dane"),
        ("usable", Encrypt, "encrypt", "encrypt"),
        ("usable", May, "may", "audit"),
        ("unusable", Dane, "encrypt", "encrypt"),
        ("unusable", Encrypt, "encrypt", "encrypt"),
        ("unusable", May, "may", "audit"),
        ("failed", Dane, FAILED, FAILED),
        ("failed", Encrypt, "encrypt", "encrypt"),
        ("failed", May, "may", "audit"),
        ("bogus", Dane, BOGUS, BOGUS),
        ("no-address", Dane, "refuse", "refuse"),
        ("no-address", Encrypt, "encrypt", "encrypt"),
        ("no-address", May, "may", "audit"),
        ("no-mx", Dane, "refuse", "refuse"),
        ("no-mx", Encrypt, "refuse", "refuse"),
        ("no-mx", May, "refuse", "refuse"),
    ] {
        let settings = DaneSettings {
            insecure_mx: setting,
            ..ENFORCED
        };
        // RFC 7672 s2.1.2: where it is not known that they are unsigned, nothing gets past them.
        let expected = match finding {
            "no-mx" => ["refuse"; 4],
            _ => [without, testing, "verify", UNLISTED],
        };
        for (word, expected) in STANDINGS.into_iter().zip(expected) {
            let dane = host(MxSecurity::Insecure, finding);
            let found = decided(&standing(word), &dane, None, settings);
            assert_eq!(found, expected, "{finding} {setting:?} {word}");
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn c17_c18_what_the_operator_decides_otherwise() {
    use MxSecurity::{Insecure, Secure};
    use OverrideMode::{Audit, DaneOnly, Enforce, Off, WithoutDane};
    let audited = DaneSettings {
        enforcement: Enforcement::Audited,
        ..ENFORCED
    };
    for (overridden, settings, mx, finding, expected) in [
        (Off, ENFORCED, Secure, "usable", ["may"; 4]),
        (Off, ENFORCED, Secure, "failed", ["may"; 4]),
        (
            WithoutDane,
            ENFORCED,
            Secure,
            "usable",
            ["may", "audit", "verify", UNLISTED],
        ),
        (
            WithoutDane,
            ENFORCED,
            Secure,
            "failed",
            ["may", "audit", "verify", UNLISTED],
        ),
        (Audit, ENFORCED, Secure, "usable", ["audit"; 4]),
        (Audit, ENFORCED, Secure, "failed", ["audit"; 4]),
        (
            Audit,
            ENFORCED,
            Secure,
            "nothing",
            ["may", "audit", "audit", "audit"],
        ),
        (Enforce, ENFORCED, Secure, "usable", ["dane"; 4]),
        (
            Enforce,
            ENFORCED,
            Secure,
            "nothing",
            ["may", UNLISTED, "verify", UNLISTED],
        ),
        (
            Enforce,
            ENFORCED,
            Insecure,
            "usable",
            ["dane", UNLISTED, "verify", UNLISTED],
        ),
        (DaneOnly, ENFORCED, Secure, "usable", ["dane"; 4]),
        (DaneOnly, ENFORCED, Secure, "nothing", [REQUIRED; 4]),
        (DaneOnly, ENFORCED, Secure, "unusable", [REQUIRED; 4]),
        (DaneOnly, ENFORCED, Secure, "failed", [FAILED; 4]),
        (DaneOnly, ENFORCED, Secure, "no-address", ["refuse"; 4]),
        (DaneOnly, ENFORCED, Insecure, "usable", [REQUIRED; 4]),
        (DaneOnly, ENFORCED, Insecure, "no-mx", ["refuse"; 4]),
        (Audit, ENFORCED, Insecure, "no-mx", ["audit"; 4]),
        (
            WithoutDane,
            ENFORCED,
            Insecure,
            "no-mx",
            ["may", "audit", "verify", UNLISTED],
        ),
        // What is mandatory is not audited.
        (DaneOnly, audited, Secure, "usable", ["dane"; 4]),
        (DaneOnly, audited, Secure, "nothing", [REQUIRED; 4]),
        (
            Enforce,
            audited,
            Secure,
            "usable",
            ["audit", UNLISTED, "verify", UNLISTED],
        ),
    ] {
        for (word, expected) in STANDINGS.into_iter().zip(expected) {
            let dane = host(mx, finding);
            let found = decided(&standing(word), &dane, Some(overridden), settings);
            assert_eq!(found, expected, "{overridden:?} {mx:?} {finding} {word}");
        }
    }
    // For all domains at once.
    for (finding, expected) in [
        ("usable", ["audit", "audit", "verify", UNLISTED]),
        ("unusable", ["audit", "audit", "verify", UNLISTED]),
        ("failed", ["audit", "audit", "verify", UNLISTED]),
        ("nothing", ["may", "audit", "verify", UNLISTED]),
    ] {
        for (word, expected) in STANDINGS.into_iter().zip(expected) {
            let dane = host(Secure, finding);
            let found = decided(&standing(word), &dane, None, audited);
            assert_eq!(found, expected, "{finding} {word}");
        }
    }
}

#[test]
fn c19_what_is_no_host_name_has_no_dane() {
    for (overridden, word, expected) in [
        (None, "none", "may"),
        (None, "unlisted", "refuse"),
        (Some(OverrideMode::WithoutDane), "none", "may"),
        (Some(OverrideMode::DaneOnly), "none", "refuse"),
    ] {
        let standing = standing(word);
        let known = Known {
            standing: &standing,
            overridden,
            settings: ENFORCED,
        };
        let decision = decide_host(&known, Err("192.0.2.1"), None);
        let found = match decision.requirement.level {
            Level::May => "may",
            Level::RefuseMx => "refuse",
            other => panic!("{other:?}"),
        };
        assert_eq!(found, expected, "{overridden:?} {word}");
        assert_eq!(decision.refused.is_some(), expected == "refuse");
        let mandatory = overridden == Some(OverrideMode::DaneOnly);
        if let Some(Refusal { failure, policy }) = decision.refused.filter(|_| mandatory) {
            assert_eq!(failure.result, ResultType::DaneRequired);
            assert_eq!(failure.mx.as_deref(), Some("192.0.2.1"));
            assert_eq!(policy.policy_domain.as_str(), "example.org");
        }
    }
}

#[test]
fn c16_the_answer_has_the_records_the_base_domain_and_the_names() {
    let standing = standing("none");
    let known = Known {
        standing: &standing,
        overridden: None,
        settings: ENFORCED,
    };
    for (mx, names, claims) in [
        (MxSecurity::Secure, vec![HOST, "example.org"], true),
        // RFC 7672 s2.2.1: the log must not claim more than there is.
        (MxSecurity::Insecure, vec![HOST], false),
    ] {
        let dane = host(mx, "usable");
        let Requirement { level, reason, .. } =
            decide_host(&known, Ok(&dane.host), Some(&dane)).requirement;
        let expected = Tlsa {
            usage: 3,
            selector: 1,
            matching: 1,
            data: vec![7; 32],
        };
        assert_eq!(
            level,
            Level::Dane {
                tlsa: vec![expected],
                name: Some(HOST.to_owned()),
                names: names.into_iter().map(str::to_owned).collect(),
            }
        );
        assert_eq!(reason.contains("secure"), claims, "{reason}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn d7_a_session_is_counted_under_the_records_that_apply_to_it() {
    use MxSecurity::{Insecure, Secure};
    use OverrideMode::{Audit, DaneOnly, Off, WithoutDane};
    let held = |word: &str, dane: &HostDane, overridden, insecure_mx| {
        let standing = standing(word);
        let settings = DaneSettings {
            insecure_mx,
            ..ENFORCED
        };
        let known = Known {
            standing: &standing,
            overridden,
            settings,
        };
        match hold(&known, Some(dane)) {
            DaneHold::Nothing => "-".to_owned(),
            DaneHold::Records(records) => format!("records {}", records.base),
            DaneHold::AnyCertificate(records) => format!("any {}", records.base),
            DaneHold::LookupFailed { policy, code } => format!("{code} {}", policy.policy_domain),
            DaneHold::Required(policy) => {
                let records = policy.policy_string.len();
                format!("required {} {records}", policy.policy_domain)
            }
        }
    };
    let records = "records mx1.example.org";
    for (word, mx, finding, overridden, setting, expected) in [
        ("none", Secure, "nothing", None, InsecureMx::Dane, "-"),
        ("none", Secure, "usable", None, InsecureMx::May, records),
        ("none", Secure, "unusable", None, InsecureMx::Dane, records),
        (
            "none",
            Secure,
            "bogus",
            None,
            InsecureMx::Dane,
            "tlsa-bogus base.example.org",
        ),
        ("none", Secure, "no-address", None, InsecureMx::Dane, "-"),
        (
            "unlisted",
            Secure,
            "usable",
            Some(Audit),
            InsecureMx::Dane,
            records,
        ),
        ("none", Secure, "usable", Some(Off), InsecureMx::Dane, "-"),
        (
            "none",
            Secure,
            "usable",
            Some(WithoutDane),
            InsecureMx::Dane,
            "-",
        ),
        (
            "none",
            Secure,
            "usable",
            Some(DaneOnly),
            InsecureMx::Dane,
            records,
        ),
        (
            "none",
            Secure,
            "nothing",
            Some(DaneOnly),
            InsecureMx::Dane,
            "required mx1.example.org 0",
        ),
        (
            "none",
            Insecure,
            "usable",
            Some(DaneOnly),
            InsecureMx::Dane,
            "required mx1.example.org 1",
        ),
        (
            "none",
            Secure,
            "failed",
            Some(DaneOnly),
            InsecureMx::Dane,
            "tlsa-lookup-failed base.example.org",
        ),
        ("none", Insecure, "usable", None, InsecureMx::Dane, records),
        (
            "testing",
            Insecure,
            "usable",
            None,
            InsecureMx::Dane,
            records,
        ),
        ("listed", Insecure, "usable", None, InsecureMx::Dane, "-"),
        (
            "none",
            Insecure,
            "usable",
            None,
            InsecureMx::Encrypt,
            "any mx1.example.org",
        ),
        ("none", Insecure, "usable", None, InsecureMx::May, "-"),
        ("none", Insecure, "failed", None, InsecureMx::May, "-"),
    ] {
        let found = held(word, &host(mx, finding), overridden, setting);
        assert_eq!(found, expected, "{word} {mx:?} {finding} {overridden:?}");
    }
}

fn domain(hosts: &[(MxSecurity, &str)]) -> DomainDane {
    let ranked = hosts.iter().map(|(mx, finding)| RankedHost {
        preference: 10,
        dane: host(*mx, finding),
    });
    DomainDane {
        domain: "example.org".parse().unwrap(),
        hosts: MailHosts::Known(ranked.collect()),
        until: crate::clock::Timestamp(0),
    }
}

#[test]
fn b36_what_a_domain_is_answered_as_a_whole() {
    use MxSecurity::{Insecure, Secure};
    use OverrideMode::{Audit, DaneOnly, Off, WithoutDane};
    let failed = || DomainDane {
        hosts: MailHosts::Failed("SERVFAIL".to_owned()),
        ..domain(&[])
    };
    let many = || DomainDane {
        hosts: MailHosts::TooMany(ManyHosts {
            number: 99,
            mx: Secure,
        }),
        ..domain(&[])
    };
    let off = || DomainDane::off("example.org".parse().unwrap(), "off");
    let all = || domain(&[(Secure, "usable"), (Secure, "usable")]);
    let some = || domain(&[(Secure, "nothing"), (Secure, "usable")]);
    let plain = || domain(&[(Secure, "nothing"), (Insecure, "nothing")]);
    let insecure = || domain(&[(Insecure, "usable")]);
    for (dane, overridden, expected) in [
        (all(), None, ["dane"; 4]),
        (some(), None, ["dane", "dane", "verify", "verify"]),
        (plain(), None, ["may", "audit", "verify", "verify"]),
        (insecure(), None, ["dane", "dane", "verify", "verify"]),
        (failed(), None, ["defer", "defer", "verify", "verify"]),
        (many(), None, ["dane", "dane", "verify", "verify"]),
        (off(), None, ["may", "audit", "verify", "verify"]),
        (all(), Some(Off), ["may"; 4]),
        (failed(), Some(Off), ["may"; 4]),
        (
            all(),
            Some(WithoutDane),
            ["may", "audit", "verify", "verify"],
        ),
        (all(), Some(Audit), ["audit"; 4]),
        (plain(), Some(Audit), ["may", "audit", "audit", "audit"]),
        (plain(), Some(DaneOnly), ["dane"; 4]),
    ] {
        for (word, expected) in STANDINGS.into_iter().zip(expected) {
            let standing = standing(word);
            let known = Known {
                standing: &standing,
                overridden,
                settings: ENFORCED,
            };
            let found = words(&decide_domain(&known, &dane));
            assert_eq!(found, expected, "{:?} {overridden:?} {word}", dane.hosts);
        }
    }
}

#[test]
fn c18_b36_what_is_audited_for_all_takes_nothing_from_an_enforced_policy() {
    let settings = DaneSettings {
        enforcement: Enforcement::Audited,
        ..ENFORCED
    };
    let dane = domain(&[(MxSecurity::Secure, "usable")]);
    for (word, expected) in STANDINGS
        .into_iter()
        .zip(["audit", "audit", "verify", "verify"])
    {
        let standing = standing(word);
        let known = Known {
            standing: &standing,
            overridden: None,
            settings,
        };
        assert_eq!(words(&decide_domain(&known, &dane)), expected, "{word}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn g10_c3_what_is_not_known_in_time() {
    use MxSecurity::{Insecure, Secure};
    use OverrideMode::{Audit, DaneOnly};
    use WhenUnknown::{Defer, May};
    let decided = |word: &str, last: &str, mx, overridden, setting| {
        let standing = standing(word);
        let known = Known {
            standing: &standing,
            overridden,
            settings: ENFORCED,
        };
        let last = (last != "unknown").then(|| host(mx, last));
        let mx = HOST.parse().unwrap();
        words(&decide_host_in_haste(
            &known,
            Ok(&mx),
            last.as_ref(),
            setting,
        ))
    };
    for (last, mx, overridden, setting, expected) in [
        ("unknown", Secure, None, Defer, ["defer"; 4]),
        (
            "unknown",
            Secure,
            None,
            May,
            ["may", "may", "verify", UNLISTED],
        ),
        ("usable", Secure, None, Defer, ["dane"; 4]),
        ("usable", Secure, None, May, ["dane"; 4]),
        (
            "unusable",
            Secure,
            None,
            May,
            ["encrypt", "encrypt", "verify", UNLISTED],
        ),
        (
            "nothing",
            Secure,
            None,
            Defer,
            ["defer", "defer", "verify", UNLISTED],
        ),
        (
            "usable",
            Insecure,
            None,
            Defer,
            ["dane", "dane", "verify", UNLISTED],
        ),
        ("failed", Secure, None, Defer, ["defer"; 4]),
        (
            "failed",
            Secure,
            None,
            May,
            ["may", "may", "verify", UNLISTED],
        ),
        ("unknown", Secure, Some(DaneOnly), May, ["defer"; 4]),
        ("nothing", Secure, Some(DaneOnly), May, ["defer"; 4]),
        ("usable", Secure, Some(DaneOnly), May, ["dane"; 4]),
        (
            "unknown",
            Secure,
            Some(Audit),
            Defer,
            ["may", "audit", "audit", "audit"],
        ),
        ("usable", Secure, Some(Audit), Defer, ["audit"; 4]),
    ] {
        for (word, expected) in STANDINGS.into_iter().zip(expected) {
            let found = decided(word, last, mx, overridden, setting);
            assert_eq!(found, expected, "{last} {overridden:?} {setting:?} {word}");
        }
    }
    for (overridden, setting, expected) in [
        (None, Defer, ["defer", "defer", "verify", "verify"]),
        (None, May, ["may", "may", "verify", "verify"]),
        (Some(DaneOnly), May, ["dane"; 4]),
        (Some(Audit), Defer, ["may", "audit", "audit", "audit"]),
    ] {
        for (word, expected) in STANDINGS.into_iter().zip(expected) {
            let standing = standing(word);
            let known = Known {
                standing: &standing,
                overridden,
                settings: ENFORCED,
            };
            let found = words(&decide_domain_in_haste(&known, setting));
            assert_eq!(found, expected, "{overridden:?} {setting:?} {word}");
        }
    }
}
