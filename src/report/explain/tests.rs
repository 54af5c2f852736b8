use std::{
    borrow::Cow,
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::*;
use crate::config::explain::tests::check_made;

/// What a report of our own says.
fn ours(result: ResultType, reason: Option<&str>) -> Explanation {
    explain(result, reason, Voice::We)
}

#[test]
fn every_result_type_is_explained_with_and_without_a_known_reason() {
    for result in ResultType::ALL {
        let general = ours(result, None);
        assert_ne!(general, UNKNOWN.said_by(Voice::We), "{result}");
        assert_eq!(ours(result, Some("never heard of")), general, "{result}");
        let last = rows().filter(|row| row.result == Some(result)).last();
        assert!(last.is_some_and(Row::is_general), "{result}");
    }
}

#[test]
fn every_row_can_be_reached_by_each_of_its_reasons() {
    for row in rows() {
        for code in row.named_codes() {
            let reason = code.replace('*', "");
            let result = row.result.unwrap_or(ResultType::CertificateExpired);
            for voice in [Voice::We, Voice::Reader] {
                let expected = row.sentences.said_by(voice);
                assert_eq!(explain(result, Some(&reason), voice), expected, "{code}");
            }
        }
    }
}

/// Where reason codes are made. Doors make some of what an MTA told.
const EMITTERS: [&str; 11] = [
    "aggregate",
    "doors/postfix_log_told.rs",
    "doors/tlsrpt_failure.rs",
    "engine",
    "hook",
    "net/https.rs",
    "net/policy_host.rs",
    "policy",
    "record",
    "report",
    "store",
];

/// What is written like a reason code in those files and is none.
const NO_REASON_CODES: [&str; 13] = [
    "audit-begins",
    "auto-generated",
    "ed25519-sha256",
    "kebab-case",
    "mta-sts",
    "no-policy-found",
    "quota-counts-until",
    "quota-failures-until",
    "quota-reports-until",
    "rsa-sha256",
    "sealed-days",
    "tlsa-unusable",
    "unnoted-until",
];

/// The product code of an emitter: no tests, and not this table.
fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            sources(&entry.unwrap().path(), found);
        }
    } else if path.extension().is_some_and(|ending| ending == "rs")
        && !path.ends_with("tests.rs")
        && !path.to_string_lossy().contains("/tests/")
        && !path.to_string_lossy().contains("/report/explain/")
        // What others report is read there, and nothing emitted.
        && !path.to_string_lossy().contains("/report/read/")
    {
        found.push(path.to_owned());
    }
}

/// The literals of a source that are written like reason codes: words joined by `-`.
fn literals_like_codes(source: &str) -> impl Iterator<Item = &str> {
    let product = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = product
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines
        .flat_map(|line| line.split('"').skip(1).step_by(2))
        .filter(|literal| {
            let word = |word: &str| {
                !word.is_empty()
                    && word
                        .bytes()
                        .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit())
            };
            literal.contains('-') && literal.split('-').all(word)
        })
}

/// A reason code that a release makes up and has no words for fails here: give it a row.
#[test]
fn every_reason_code_that_we_emit_has_a_row_that_names_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    for emitter in EMITTERS {
        sources(&src.join(emitter), &mut files);
    }
    let mut seen = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for code in literals_like_codes(&text) {
            let is_result_type = code.parse::<ResultType>().is_ok();
            if NO_REASON_CODES.contains(&code) {
                continue;
            }
            let has_row = rows().any(|row| {
                row.named_codes().any(|known| known == code)
                    || (!row.is_general() && row.covers(code))
            });
            assert!(
                has_row || is_result_type,
                "{}: \"{code}\" is explained by no row of src/report/explain",
                file.display()
            );
            seen.insert(code.to_owned());
        }
    }
    // That the test sees what it is there to see.
    for code in [
        "all-tlsa-records-unusable",
        "dane-name-mismatch",
        "further-details-summed-up",
        "handshake-failed",
        "no-usable-tlsa-records",
        "policy-mx-invalid",
        "sts-mx-mismatch",
        "tlsa-bogus",
        "too-many-details",
        "unable-to-get-local-issuer-certificate",
    ] {
        assert!(seen.contains(code), "{code} is not seen to be emitted");
    }
}

#[test]
fn a_known_reason_is_explained_more_closely() {
    use ResultType as Type;
    for (result, reason, word) in [
        (Type::ValidationFailure, "sts-mx-mismatch", "MX record"),
        (
            Type::ValidationFailure,
            "policy:sts-mx-mismatch",
            "MX record",
        ),
        (
            Type::StarttlsNotSupported,
            "probe:starttls-refused",
            "refused to start",
        ),
        (Type::CertificateNotTrusted, "self-signed", "by itself"),
        (
            Type::CertificateNotTrusted,
            "self-signed_certificate",
            "by itself",
        ),
        (Type::CertificateNotTrusted, "not-yet-valid", "later time"),
        (
            Type::CertificateNotTrusted,
            "certificate_is_not_yet_valid",
            "later time",
        ),
        (Type::StsPolicyFetchError, "http-status-404", "no policy"),
        (Type::StsPolicyFetchError, "http-status-301", "redirect"),
        (Type::StsPolicyFetchError, "http-status-503", "error"),
        (Type::StsPolicyInvalid, "policy-mx-missing", "MX host"),
        (
            Type::CertificateExpired,
            "further-details-summed-up",
            "too many",
        ),
    ] {
        let happened = ours(result, Some(reason)).happened;
        assert!(happened.contains(word), "{reason}: {happened}");
    }
}

#[test]
fn d11_each_way_to_fail_by_tlsa_records_is_explained_with_its_cause() {
    use ResultType as Type;
    for (result, reason, word) in [
        (Type::ValidationFailure, "dane-no-match", "was renewed"),
        (
            Type::ValidationFailure,
            "probe:dane-no-match",
            "was renewed",
        ),
        (
            Type::CertificateHostMismatch,
            "dane-name-mismatch",
            "usage 2",
        ),
        (Type::CertificateNotTrusted, "probe:not-yet-valid", "clock"),
        (
            Type::TlsaInvalid,
            "all-tlsa-records-unusable",
            "usage 0 or 1",
        ),
        (
            Type::TlsaInvalid,
            "all-TLSA-records-unusable",
            "usage 0 or 1",
        ),
        (Type::DnssecInvalid, "tlsa-bogus", "have expired"),
        (
            Type::DnssecInvalid,
            "policy:tlsa-lookup-failed",
            "load balancer",
        ),
        (
            Type::DaneRequired,
            "policy:no-usable-tlsa-records",
            "no TLSA record",
        ),
    ] {
        let explanation = ours(result, Some(reason));
        assert!(
            explanation.meaning.contains(word),
            "{reason}: {explanation:?}"
        );
        assert_ne!(explanation, ours(result, None), "{reason}");
    }
}

/// Every sentence of the table, as it is said.
fn said_by(voice: Voice) -> Vec<String> {
    let of_rows = rows().flat_map(|row| {
        let Explanation {
            happened,
            meaning,
            remedy,
        } = row.sentences.said_by(voice);
        [happened, meaning, remedy].map(Cow::into_owned)
    });
    let of_policies = policies::Circumstance::ALL.into_iter().flat_map(|it| {
        let words = it.words();
        [words.effect, words.all_well].map(str::to_owned)
    });
    let marks = MARKS
        .iter()
        .map(|(_, sentence)| voice.says(sentence).into_owned());
    of_rows.chain(of_policies).chain(marks).collect()
}

#[test]
fn sentences_are_ascii_and_do_not_begin_a_line_with_from() {
    for text in [Voice::We, Voice::Reader].into_iter().flat_map(said_by) {
        assert!(
            text.is_empty() || (text.is_ascii() && text.ends_with('.')),
            "{text}"
        );
        assert!(!text.contains("From ") && !text.contains("  "), "{text}");
        assert!(!text.contains("TODO") && !text.starts_with(' '), "{text}");
        assert!(!text.contains(['{', '|', '}']), "{text}");
    }
}

/// A reader of somebody else's report must not take "we" for whoever reads it with us.
#[test]
fn our_reports_say_we_and_of_others_the_sender_is_spoken_of() {
    let has = |text: &str, word: &str| {
        let mut words = text.split(|it: char| !it.is_ascii_alphabetic());
        words.any(|it| it.eq_ignore_ascii_case(word))
    };
    let (ours, readers) = (said_by(Voice::We), said_by(Voice::Reader));
    for text in &readers {
        let ours = ["we", "us", "our", "ours", "ourselves"];
        assert!(!ours.iter().any(|word| has(text, word)), "{text}");
    }
    for text in &ours {
        assert!(!has(text, "sender"), "{text}");
    }
    // What is said otherwise is the same but for that.
    let pairs = ours.iter().zip(&readers);
    let differing: Vec<_> = pairs.filter(|(ours, readers)| ours != readers).collect();
    assert_eq!(differing.len(), 7, "{differing:?}");
    let required = |voice| explain(ResultType::DaneRequired, None, voice).happened;
    assert_eq!(
        (required(Voice::We), required(Voice::Reader)),
        (
            "We have agreed to deliver to this domain with DANE only, and found no usable TLSA records.".into(),
            "The sender has agreed to deliver to this domain with DANE only, and found no usable TLSA \
             records."
                .into()
        )
    );
}

#[test]
fn the_page_is_what_the_table_makes() {
    check_made("docs/failures.md", &pages::markdown());
}

#[test]
fn a_name_finds_what_is_said_of_it_and_a_slip_is_understood() {
    let of_type = pages::described(Some("certificate-not-trusted")).unwrap();
    assert_eq!(of_type[0].result_type, Some("certificate-not-trusted"));
    assert!(of_type[0].happened.contains("publicly trusted"));
    // It is a reason code of policy hosts too.
    assert!(
        of_type
            .iter()
            .any(|entry| entry.result_type == Some("sts-webpki-invalid"))
    );
    for (name, result, word) in [
        (
            "probe:Self-Signed_Certificate",
            "certificate-not-trusted",
            "by itself",
        ),
        ("http-status-503", "sts-policy-fetch-error", "error"),
        (
            "starttls-not-offered",
            "starttls-not-supported",
            "did not offer",
        ),
        (
            "authority-and-subject-key-identifier-mismatch",
            "certificate-not-trusted",
            "a rule",
        ),
    ] {
        let found = pages::described(Some(name)).unwrap();
        let entry = found.iter().find(|entry| entry.result_type == Some(result));
        assert!(entry.unwrap().happened.contains(word), "{name}");
    }
    let testing = pages::one("testing").unwrap();
    assert!(testing.contains("When no session fails it: "), "{testing}");
    assert!(
        pages::one("probe:starttls-refused")
            .unwrap()
            .contains("the sender looked at the host itself")
    );
    let who = |name| pages::one(name).unwrap().contains("The sender is whoever");
    assert_eq!(["dane-required", "testing"].map(who), [true, false]);
    let all = pages::described(None).unwrap();
    assert!(all.len() > rows().count());
    let slip = pages::one("sts-mx-mismach").unwrap_err().to_string();
    assert!(slip.contains("did you mean \"sts-mx-mismatch\""), "{slip}");
    assert!(matches!(
        pages::one("colour"),
        Err(pages::NoSuchFailure::Unknown(_))
    ));
    let list = pages::list();
    for row in rows() {
        for code in row.named_codes() {
            assert!(
                list.split([' ', '\n', ',']).any(|word| word == code),
                "{code}"
            );
        }
    }
}
