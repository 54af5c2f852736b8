use ring::digest::{SHA256, digest};
use rustls::RootCertStore;
use sealpost_kit::{Authority, Flaw, Leaf};

use super::*;
use crate::{
    policy::{
        Mode, PolicyType, Standing,
        dane::{TlsaRecord, TlsaSet},
    },
    record::{
        Verdict as Ended,
        evaluate::{Evaluated, HeldTo, evaluate},
    },
};

const NOW: Timestamp = Timestamp(1_800_000_000);
const HOST: &str = "mx1.example.org";

/// Two authorities, one of them trusted, and what they issued for `mx1.example.org`.
struct World {
    roots: RootCertStore,
    root: Vec<u8>,
    private_root: Vec<u8>,
    good: Leaf,
    /// By the authority that nobody trusts.
    private: Leaf,
    misnamed: Leaf,
    expired: Leaf,
}

impl World {
    fn new() -> Self {
        let (public, private) = (Authority::new().unwrap(), Authority::new().unwrap());
        let mut roots = RootCertStore::empty();
        roots.add(public.ca_der()).unwrap();
        Self {
            roots,
            root: public.ca_der().to_vec(),
            private_root: private.ca_der().to_vec(),
            good: public.issue(&[HOST]).unwrap(),
            private: private.issue(&[HOST]).unwrap(),
            misnamed: private.issue(&["other.example"]).unwrap(),
            expired: private.issue_flawed(&[HOST], Flaw::Expired).unwrap(),
        }
    }

    /// A session as it is counted: each policy's type with `success` or the failures, and what protected
    /// it.
    fn counted(
        &self,
        standing: &str,
        hold: &DaneHold,
        demanded: Demanded,
        outcome: Outcome<'_>,
    ) -> String {
        let standing = match standing {
            "none" => Standing::without_policy("example.org".parse().unwrap()),
            "listed" => Standing::for_test(Mode::Enforce, &[HOST]),
            "unlisted" => Standing::for_test(Mode::Enforce, &["other.example.org"]),
            "unfetched" => Standing::unfetched_for_test(),
            other => panic!("{other}"),
        };
        let session = Session::new("example.org", outcome).with_mx(HOST);
        let held = HeldTo {
            standing: &standing,
            dane: hold,
            demanded,
            roots: &self.roots,
        };
        let Evaluated { records, certainty } = evaluate(&session, &held, NOW);
        let mut words = Vec::new();
        for record in &records {
            let verdict = match &record.verdict {
                Ended::Success => "success".to_owned(),
                Ended::Failure(failures) => {
                    let failures: Vec<String> = failures
                        .iter()
                        .map(|failure| {
                            failure
                                .reason
                                .clone()
                                .unwrap_or_else(|| failure.result.to_string())
                        })
                        .collect();
                    failures.join("+")
                }
                Ended::Note(_) => panic!("a session is not a note"),
            };
            let of_records = record.policy.policy_type == PolicyType::Tlsa;
            assert_eq!(
                record.policy.policy_domain.as_str(),
                if of_records { HOST } else { "example.org" }
            );
            words.push(format!("{} {verdict}", record.policy.policy_type.name()));
        }
        // Each session is protected once.
        let protections: Vec<_> = records
            .iter()
            .filter_map(|record| record.protection)
            .collect();
        let first = records.first().and_then(|record| record.protection);
        assert_eq!(protections.len(), usize::from(!records.is_empty()));
        words.extend(first.map(|protection| protection.name().to_owned()));
        if certainty == Certainty::Unchecked {
            words.push("unchecked".to_owned());
        }
        words.join(", ")
    }
}

/// `3 1 1` of a certificate, or `2 0 1`; `1 1 1` is of no use.
fn records(of: &[(u8, &[u8])]) -> DaneHold {
    let records = of.iter().map(|(usage, octets)| TlsaRecord {
        usage: *usage,
        selector: u8::from(*usage != 2),
        matching: 1,
        association: octets.to_vec(),
    });
    let set = TlsaSet::new(records.collect());
    let policy = TlsaPolicy::new(HOST.parse().unwrap(), set, &[]);
    DaneHold::Records(Arc::new(policy))
}

fn of_leaf(leaf: &Leaf) -> DaneHold {
    records(&[(3, &leaf.public_key_sha256())])
}

fn of_authority(root: &[u8]) -> DaneHold {
    records(&[(2, digest(&SHA256, root).as_ref())])
}

fn up() -> Facts<'static> {
    Facts::new(StartTls::Established)
}

fn broken() -> Facts<'static> {
    Facts::new(StartTls::HandshakeFailed)
}

/// Checks what is counted of a host that shows this leaf and what is above it, both handed over, whatever
/// the MTA says of its own check: that was of the records.
fn check_chain(
    world: &World,
    standing: &str,
    hold: &DaneHold,
    (leaf, above): (&Leaf, &[u8]),
    expected: &str,
) {
    for verification in [
        Verification::Unknown,
        Verification::Passed,
        Verification::Failed,
    ] {
        for facts in [up(), broken()] {
            let above = [above];
            let facts = facts
                .with_leaf_der(leaf.der())
                .with_chain_der(&above)
                .with_verification(verification);
            let found = world.counted(standing, hold, Demanded::Dane, Outcome::Facts(facts));
            let is_up = facts.starttls == StartTls::Established;
            // Who broke off although a record matches did so for another reason.
            if is_up || !expected.contains("tlsa success") {
                assert_eq!(found, expected, "{facts:?}");
            }
        }
    }
}

#[test]
fn d7_a_certificate_that_only_dane_vouches_for_fails_by_the_policy_alone() {
    let world = World::new();
    let root = &world.private_root[..];
    let check = |standing, hold: DaneHold, leaf, expected| {
        check_chain(&world, standing, &hold, (leaf, root), expected);
    };
    let (private, misnamed, expired) = (&world.private, &world.misnamed, &world.expired);
    let untrusted = "tlsa success, sts unknown-issuer, dane";
    check("listed", of_leaf(private), private, untrusted);
    check("listed", of_authority(root), private, untrusted);
    check("none", of_leaf(private), private, "tlsa success, dane");
    // C11: names and dates are nothing to usage 3.
    let both = "tlsa success, sts certificate-host-mismatch+unknown-issuer, dane";
    check("listed", of_leaf(misnamed), misnamed, both);
    let both = "tlsa success, sts certificate-expired+unknown-issuer, dane";
    check("listed", of_leaf(expired), expired, both);
    // C12: they are something to usage 2.
    let mismatch = "tlsa dane-name-mismatch, refused";
    check("none", of_authority(root), misnamed, mismatch);
    let out_of_date = "tlsa certificate-expired, refused";
    check("none", of_authority(root), expired, out_of_date);
}

#[test]
fn d7_b36_what_dane_refuses_or_lets_in_is_nothing_to_the_policy() {
    let world = World::new();
    let good = (&world.good, &world.root[..]);
    let check = |standing, hold: DaneHold, expected| {
        check_chain(&world, standing, &hold, good, expected);
    };
    let mismatch = "tlsa dane-no-match, sts success, refused";
    check("listed", of_leaf(&world.private), mismatch);
    // What an MTA and its library say of the certificate they say of the records they checked it by.
    let above = [good.1];
    for words in [
        "(certificate verification failed): certificate invalid",
        "unknown issuer",
    ] {
        let told = broken()
            .with_dane(Verification::Failed)
            .with_error(words)
            .with_leaf_der(good.0.der())
            .with_chain_der(&above);
        let hold = of_leaf(&world.private);
        let found = world.counted("listed", &hold, Demanded::Dane, Outcome::Facts(told));
        assert_eq!(found, mismatch, "{words}");
    }
    let unlisted = "tlsa success, sts sts-mx-mismatch, dane";
    check("unlisted", of_leaf(&world.good), unlisted);
    let unfetched = "tlsa success, sts http-status-404, dane";
    check("unfetched", of_leaf(&world.good), unfetched);
}

/// What the policy would have said nobody knows.
const MISMATCH: &str = "tlsa dane-no-match, refused, unchecked";

/// Checks what is counted of a host with a listed name that has a record of usage 2, so that a leaf alone
/// settles nothing.
fn check_told(world: &World, outcome: Outcome<'_>, expected: &str) {
    let hold = of_authority(&world.private_root);
    let found = world.counted("listed", &hold, Demanded::Dane, outcome);
    assert_eq!(found, expected, "{outcome:?}");
}

#[test]
fn d11_what_an_mta_says_of_its_own_dane_check_is_believed() {
    let world = World::new();
    let good = world.good.der();
    let expired = world.expired.der();
    for (outcome, expected) in [
        (
            Outcome::Facts(up().with_dane(Verification::Passed)),
            "tlsa success, dane, unchecked",
        ),
        (
            Outcome::Facts(Facts::default().with_dane(Verification::Passed)),
            "tlsa success, dane, unchecked",
        ),
        (
            Outcome::Facts(
                up().with_dane(Verification::Passed)
                    .with_verification(Verification::Passed),
            ),
            "tlsa success, sts success, dane",
        ),
        // The certificate alone does not say who vouches for it.
        (
            Outcome::Facts(up().with_dane(Verification::Passed).with_leaf_der(good)),
            "tlsa success, dane, unchecked",
        ),
        (
            Outcome::Facts(up().with_dane(Verification::Failed)),
            MISMATCH,
        ),
        (
            Outcome::Facts(broken().with_dane(Verification::Failed)),
            MISMATCH,
        ),
        (
            Outcome::Facts(broken().with_dane(Verification::Failed).with_leaf_der(good)),
            MISMATCH,
        ),
        (
            Outcome::Facts(up().with_dane(Verification::Passed).with_leaf_der(expired)),
            "tlsa success, sts certificate-expired, dane",
        ),
        // Who tells of both checks is believed in both.
        (
            Outcome::Facts(
                up().with_dane(Verification::Passed)
                    .with_verification(Verification::Failed),
            ),
            "tlsa success, sts certificate-not-trusted, dane",
        ),
    ] {
        check_told(&world, outcome, expected);
    }
}

#[test]
fn d11_the_words_of_mtas_and_libraries_about_dane() {
    let world = World::new();
    let good = world.good.der();
    for (outcome, expected) in [
        (
            Outcome::Facts(broken().with_error("no matching DANE TLSA records")),
            MISMATCH,
        ),
        (
            Outcome::Facts(broken().with_error("TLS session: The certificate differs")),
            MISMATCH,
        ),
        (
            Outcome::Facts(
                broken()
                    .with_verification(Verification::Failed)
                    .with_error("(certificate verification failed): certificate invalid")
                    .with_leaf_der(good),
            ),
            MISMATCH,
        ),
        (
            Outcome::Facts(up().with_verification(Verification::Failed)),
            MISMATCH,
        ),
    ] {
        check_told(&world, outcome, expected);
    }
}

#[test]
fn c12_the_words_of_an_mta_about_names_and_dates_count_below_an_authority() {
    let world = World::new();
    let (leaf, authority) = (world.private.public_key_sha256(), &world.private_root);
    let of_authority = of_authority(authority);
    let both = records(&[(3, &leaf), (2, digest(&SHA256, authority).as_ref())]);
    for (words, of_usage_2) in [
        ("num=62:hostname mismatch", "dane-name-mismatch"),
        ("certificate has expired", "certificate-expired"),
        ("certificate not yet valid", "not-yet-valid"),
        ("untrusted issuer", "dane-no-match"),
        ("num=65:no matching DANE TLSA records", "dane-no-match"),
        ("certificate verification failed", "dane-no-match"),
        ("", "dane-no-match"),
    ] {
        let is_up = up().with_verification(Verification::Failed);
        for facts in [is_up, broken().with_verification(Verification::Failed)] {
            let told = Outcome::Facts(facts.with_error(words));
            let counted = |hold| world.counted("none", hold, Demanded::Dane, told);
            let of_usage_2 = format!("tlsa {of_usage_2}, refused");
            assert_eq!(counted(&of_authority), of_usage_2, "{words}");
            assert_eq!(counted(&both), of_usage_2, "{words}");
            let of_usage_3 = counted(&of_leaf(&world.private));
            assert_eq!(of_usage_3, "tlsa dane-no-match, refused", "{words}");
        }
    }
}

#[test]
fn d1_without_tls_neither_policy_is_satisfied() {
    let world = World::new();
    for (outcome, expected) in [
        (
            Outcome::Facts(Facts::new(StartTls::NotOffered)),
            "tlsa starttls-not-offered, sts starttls-not-offered, refused",
        ),
        (
            Outcome::Facts(broken()),
            "tlsa handshake-failed, sts handshake-failed, refused",
        ),
        (
            Outcome::Facts(broken().with_error("no shared cipher")),
            "tlsa no-common-cipher, sts no-common-cipher, refused",
        ),
    ] {
        check_told(&world, outcome, expected);
    }
}

#[test]
fn d7_what_is_told_in_the_words_of_the_rfc_falls_under_the_policy_it_is_of() {
    let world = World::new();
    for (outcome, expected) in [
        (Outcome::Success, "tlsa success, dane, unchecked"),
        (
            Outcome::Failure {
                result: ResultType::ValidationFailure,
                reason: Some("dane-no-match"),
            },
            MISMATCH,
        ),
        (
            Outcome::Failure {
                result: ResultType::CertificateExpired,
                reason: None,
            },
            "tlsa certificate-expired, sts certificate-expired, refused",
        ),
        (
            Outcome::Failure {
                result: ResultType::StarttlsNotSupported,
                reason: Some("starttls-refused"),
            },
            "tlsa starttls-refused, sts starttls-refused, refused",
        ),
        // Nobody connected, so the policy had nothing to say.
        (
            Outcome::Failure {
                result: ResultType::DnssecInvalid,
                reason: Some("tlsa-bogus"),
            },
            "tlsa tlsa-bogus, refused",
        ),
        // No TLS session at all.
        (
            Outcome::Facts(Facts::default().with_error("Connection refused")),
            "",
        ),
    ] {
        check_told(&world, outcome, expected);
    }
}

#[test]
fn d11_the_leaf_alone_settles_it_where_all_records_are_of_it() {
    let world = World::new();
    let told = |hold: &DaneHold| {
        let facts = up().with_leaf_der(world.good.der());
        world.counted("none", hold, Demanded::Dane, Outcome::Facts(facts))
    };
    let other = world.private.public_key_sha256();
    assert_eq!(
        told(&records(&[(3, &other)])),
        "tlsa dane-no-match, refused"
    );
    assert_eq!(told(&of_leaf(&world.good)), "tlsa success, dane");
    // C14: one that matches is enough.
    let good = world.good.public_key_sha256();
    assert_eq!(
        told(&records(&[(3, &other), (3, &good)])),
        "tlsa success, dane"
    );
    // An authority that we were not shown may have vouched for it.
    let root = digest(&SHA256, &world.root);
    let both = records(&[(3, &other), (2, root.as_ref())]);
    assert_eq!(told(&both), "tlsa success, dane");
}

#[test]
fn c5_records_that_cannot_be_used_are_told_of_and_protect_nothing() {
    let world = World::new();
    let hold = records(&[(1, &[7; 32])]);
    let unusable = "all-tlsa-records-unusable";
    let not_trusted = Outcome::Facts(up().with_verification(Verification::Failed));
    let trusted = Outcome::Facts(up().with_verification(Verification::Passed));
    let broken_off = Outcome::Facts(
        broken()
            .with_verification(Verification::Failed)
            .with_leaf_der(world.expired.der()),
    );
    let clear = Outcome::Facts(Facts::new(StartTls::NotOffered));
    for (standing, demanded, outcome, expected) in [
        (
            "none",
            Demanded::Tls,
            trusted,
            format!("tlsa {unusable}, tls"),
        ),
        (
            "none",
            Demanded::Tls,
            not_trusted,
            format!("tlsa {unusable}, tls"),
        ),
        (
            "none",
            Demanded::Tls,
            clear,
            "tlsa starttls-not-offered, refused".to_owned(),
        ),
        (
            "listed",
            Demanded::Sts,
            trusted,
            format!("tlsa {unusable}, sts success, sts"),
        ),
        (
            "listed",
            Demanded::Sts,
            not_trusted,
            format!("tlsa {unusable}, sts certificate-not-trusted, refused"),
        ),
        (
            "listed",
            Demanded::Sts,
            broken_off,
            format!("tlsa {unusable}, sts certificate-expired, refused"),
        ),
        (
            "listed",
            Demanded::Sts,
            clear,
            "tlsa starttls-not-offered, sts starttls-not-offered, refused".to_owned(),
        ),
    ] {
        let found = world.counted(standing, &hold, demanded, outcome);
        assert_eq!(found, expected, "{outcome:?}");
    }
}

#[test]
fn c18_what_is_only_audited_is_judged_by_evidence() {
    let world = World::new();
    let hold = of_leaf(&world.good);
    let of_root = of_authority(&world.private_root);
    let (good, private) = (world.good.der(), world.private.der());
    let passed = up().with_verification(Verification::Passed);
    let failed = up().with_verification(Verification::Failed);
    for (hold, facts, expected) in [
        (
            &hold,
            passed.with_leaf_der(good),
            "tlsa success, sts success, dane",
        ),
        (
            &hold,
            failed.with_leaf_der(private),
            "tlsa dane-no-match, sts certificate-not-trusted, tls",
        ),
        (
            &hold,
            Facts::new(StartTls::NotOffered),
            "tlsa starttls-not-offered, sts starttls-not-offered, clear",
        ),
        // Its check was of public authorities: of the records it knows nothing.
        (
            &of_root,
            failed.with_leaf_der(private),
            "sts certificate-not-trusted, tls, unchecked",
        ),
        (&of_root, passed, "sts success, sts, unchecked"),
        // Nobody checked anything: all that is known is that TLS was up.
        (&of_root, up(), "no-policy-found success, tls, unchecked"),
        (
            &of_root,
            passed.with_leaf_der(good).with_chain_der(&[&world.root]),
            "tlsa dane-no-match, sts success, sts",
        ),
    ] {
        let found = world.counted("listed", hold, Demanded::Nothing, Outcome::Facts(facts));
        assert_eq!(found, expected, "{facts:?}");
    }
    for (outcome, expected) in [
        // It judged by the policy.
        (Outcome::Success, "sts success, sts, unchecked"),
        (
            Outcome::Failure {
                result: ResultType::CertificateExpired,
                reason: None,
            },
            "sts certificate-expired, tls, unchecked",
        ),
        (
            Outcome::Failure {
                result: ResultType::ValidationFailure,
                reason: Some("dane-no-match"),
            },
            "tlsa dane-no-match, tls, unchecked",
        ),
    ] {
        let found = world.counted("listed", &of_root, Demanded::Nothing, outcome);
        assert_eq!(found, expected, "{outcome:?}");
    }
    // That the policy does not list the host is known whatever it showed.
    let told = Outcome::Facts(up().with_dane(Verification::Passed));
    assert_eq!(
        world.counted("unlisted", &of_root, Demanded::Dane, told),
        "tlsa success, sts sts-mx-mismatch, dane"
    );
}

#[test]
fn c3_c7_c17_what_is_not_to_be_had_and_what_only_demands_tls() {
    let world = World::new();
    let policy = || Arc::new(AppliedPolicy::tlsa_not_had(HOST.parse().unwrap()));
    let DaneHold::Records(records) = of_leaf(&world.good) else {
        panic!()
    };
    let any = DaneHold::AnyCertificate(records);
    let failed = DaneHold::LookupFailed {
        policy: policy(),
        code: "tlsa-lookup-failed",
    };
    let required = DaneHold::Required(policy());
    let untrusted = Outcome::Facts(up().with_verification(Verification::Failed));
    let clear = Outcome::Facts(Facts::new(StartTls::Refused));
    for (standing, hold, demanded, outcome, expected) in [
        ("none", &any, Demanded::Tls, untrusted, "tlsa success, tls"),
        (
            "none",
            &any,
            Demanded::Tls,
            clear,
            "tlsa starttls-refused, refused",
        ),
        (
            "listed",
            &failed,
            Demanded::NoSession,
            Outcome::Success,
            "tlsa tlsa-lookup-failed, refused, unchecked",
        ),
        (
            "none",
            &required,
            Demanded::NoSession,
            untrusted,
            "tlsa no-usable-tlsa-records, refused",
        ),
        // What DANE says nothing of is counted as ever.
        (
            "none",
            &DaneHold::Nothing,
            Demanded::Nothing,
            untrusted,
            "no-policy-found success, tls",
        ),
        (
            "listed",
            &DaneHold::Nothing,
            Demanded::Sts,
            Outcome::Success,
            "sts success, sts",
        ),
    ] {
        let found = world.counted(standing, hold, demanded, outcome);
        assert_eq!(found, expected, "{hold:?} {outcome:?}");
    }
}
