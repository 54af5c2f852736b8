//! A day's rows become a report: byte for byte as the golden files have it, and readable by programs
//! that are not ours.
//!
//! `UPDATE_GOLDEN=1 cargo test --test all report::` writes the golden files anew; look at the
//! difference before you commit it.

use std::{
    collections::BTreeMap,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
};

use sealpost::{
    aggregate::{DomainDay, aggregate},
    clock::{Timestamp, UtcDay},
    config::{ReportConfig, StoreConfig},
    daemon::reports::{Publisher, StoredReports},
    policy::{
        AppliedPolicy, Fingerprint, PolicyDomain, PolicyType,
        dane::{TlsaRecord, TlsaSet},
    },
    record::{Failure, protection::Protection},
    report::{DkimKey, Report, Submitter, owed, sign::sign},
    store::{Batch, Counted, MemoryStore, Store as _, TallyKey},
};
use sealpost_kit::dkim;
use sealpost_plugin_api::ResultType;
use serde_json::{Value, json};

use super::consumers;
use everything::everything;

mod everything;
mod since;

pub(super) const DAY: UtcDay = UtcDay(19_858);

/// 2024-05-16T01:30:00Z, an hour and a half after the day.
fn sent_at() -> Timestamp {
    DAY.next().first_second().plus_seconds(5_400)
}

pub(super) fn submitter(organization: &str) -> Submitter {
    Submitter::new(
        organization,
        "tls-reports@sender.example",
        "bounces@sender.example",
        "mta1.sender.example",
    )
    .unwrap()
}

pub(super) fn keys() -> Vec<DkimKey> {
    [("rsa2024", "rsa2048.pem"), ("ed2024", "ed25519.pem")]
        .into_iter()
        .map(|(selector, file)| {
            let pem = fs::read_to_string(golden("keys").join(file)).unwrap();
            DkimKey::from_pem(selector, &pem).unwrap()
        })
        .collect()
}

/// The rows of one domain on [`DAY`], and the policies in them.
struct Rows {
    domain: PolicyDomain,
    rows: Vec<(TallyKey, u64)>,
    policies: BTreeMap<Fingerprint, AppliedPolicy>,
}

impl Rows {
    fn of(domain: &str) -> Self {
        Self {
            domain: domain.parse().unwrap(),
            rows: Vec::new(),
            policies: BTreeMap::new(),
        }
    }

    fn add(&mut self, policy: &AppliedPolicy, counted: Counted, count: u64) {
        let key = TallyKey {
            day: DAY,
            domain: self.domain.clone(),
            policy: policy.fingerprint(),
            counted,
        };
        self.policies.insert(key.policy, policy.clone());
        self.rows.push((key, count));
    }

    fn failed(&mut self, policy: &AppliedPolicy, failure: Failure, count: u64) {
        self.add(policy, Counted::Failures, count);
        self.add(policy, Counted::Detail(failure), count);
    }

    fn sts(&self, mode: &str, mx: &[&str]) -> AppliedPolicy {
        let mut lines = vec!["version: STSv1".to_owned(), format!("mode: {mode}")];
        lines.extend(mx.iter().map(|mx| format!("mx: {mx}")));
        lines.push("max_age: 604800".to_owned());
        AppliedPolicy {
            policy_type: PolicyType::Sts,
            policy_domain: self.domain.clone(),
            policy_string: lines,
            mx_host: mx.iter().map(|mx| (*mx).to_owned()).collect(),
        }
    }

    /// What TLSA records of an MX host make of it, in the order in which the DNS gave them.
    fn tlsa(host: &str, records: &[(u8, u8, u8, u8)]) -> AppliedPolicy {
        let record = |(usage, selector, matching, octet): &(u8, u8, u8, u8)| TlsaRecord {
            usage: *usage,
            selector: *selector,
            matching: *matching,
            association: vec![*octet; if *matching == 2 { 64 } else { 32 }],
        };
        AppliedPolicy {
            policy_type: PolicyType::Tlsa,
            policy_domain: host.parse().unwrap(),
            policy_string: TlsaSet::new(records.iter().map(record).collect()).strings(),
            mx_host: Vec::new(),
        }
    }

    fn day(&self) -> DomainDay {
        // The store gives each row once; rows that the fixture adds twice are summed up here as the
        // recorder would.
        let mut totals = BTreeMap::new();
        for (key, count) in &self.rows {
            *totals.entry(key.clone()).or_insert(0) += count;
        }
        let rows = totals.into_iter().collect();
        aggregate(DAY, &self.domain, rows, &self.policies).unwrap()
    }
}

fn at_mx(result: ResultType, mx: &str, receiving_ip: &str, reason: &str) -> Failure {
    Failure {
        mx: Some(mx.to_owned()),
        receiving_ip: Some(receiving_ip.parse().unwrap()),
        sending_ip: Some("2001:db8:0:0:1::1".parse().unwrap()),
        ..Failure::of_policy(result, reason)
    }
}

fn success_only() -> DomainDay {
    let mut rows = Rows::of("success.example");
    let policy = rows.sts("enforce", &["*.success.example"]);
    rows.add(&policy, Counted::Successes, 1);
    rows.day()
}

fn idn() -> DomainDay {
    let mut rows = Rows::of("B\u{fc}cher.Example");
    let policy = rows.sts("testing", &["mx.xn--bcher-kva.example"]);
    rows.add(&policy, Counted::Successes, 8);
    rows.failed(
        &policy,
        at_mx(
            ResultType::CertificateNotTrusted,
            "mx.xn--bcher-kva.example",
            "192.0.2.80",
            "self-signed",
        ),
        2,
    );
    rows.day()
}

/// A domain with DANE on both MX hosts and MTA-STS beside it: the first host's records were replaced at
/// noon, and each way in which a session can fail by records is there.
fn dane() -> DomainDay {
    let mut rows = Rows::of("dane.example");
    let sts = rows.sts("enforce", &["mx1.dane.example", "mx2.dane.example"]);
    let before = Rows::tlsa("mx1.dane.example", &[(3, 1, 1, 0xAB)]);
    // Not in the order of the report, and with a digest that is passed over.
    let after = Rows::tlsa(
        "mx1.dane.example",
        &[
            (3, 1, 2, 0x0C),
            (3, 1, 1, 0xAB),
            (2, 0, 1, 0x1D),
            (3, 1, 1, 0xAB),
        ],
    );
    let second = Rows::tlsa("mx2.dane.example", &[(1, 1, 1, 0xEE)]);
    rows.add(&sts, Counted::Successes, 90);
    rows.add(&before, Counted::Successes, 40);
    rows.add(&after, Counted::Successes, 30);
    let (one, two) = (
        ("mx1.dane.example", "192.0.2.1"),
        ("mx2.dane.example", "192.0.2.2"),
    );
    let [no_match, name, expired, not_trusted, invalid] = [
        ResultType::ValidationFailure,
        ResultType::CertificateHostMismatch,
        ResultType::CertificateExpired,
        ResultType::CertificateNotTrusted,
        ResultType::TlsaInvalid,
    ];
    for (policy, (mx, address), result, reason, count) in [
        (&before, one, no_match, "dane-no-match", 12),
        (&before, one, no_match, "probe:dane-no-match", 1),
        (&after, one, name, "dane-name-mismatch", 2),
        (&after, one, not_trusted, "not-yet-valid", 3),
        (&after, one, expired, "", 4),
        (&second, two, invalid, "all-tlsa-records-unusable", 5),
        (&sts, one, not_trusted, "self-signed", 10),
    ] {
        rows.failed(policy, at_mx(result, mx, address, reason), count);
    }
    let of_dns = Rows::tlsa("mx3.dane.example", &[]);
    for (result, reason, count) in [
        (ResultType::DnssecInvalid, "tlsa-bogus", 6),
        (ResultType::DnssecInvalid, "tlsa-lookup-failed", 7),
        (ResultType::DaneRequired, "policy:no-usable-tlsa-records", 8),
    ] {
        rows.failed(&of_dns, Failure::of_policy(result, reason), count);
    }
    // RFC 8460 s1.1 and s4: what protected the sessions is no part of a report.
    rows.add(&after, Counted::Protected(Protection::Dane), 30);
    rows.day()
}

/// A day of an MX host that takes mail for three recipient domains and is one itself.
fn mx_host() -> DomainDay {
    let mut batch = Batch::default();
    let host: PolicyDomain = "mx.host.example".parse().unwrap();
    let (one, other) = (
        Rows::tlsa("mx.host.example", &[(3, 1, 1, 0xAB)]),
        Rows::tlsa("mx2.host.example", &[(3, 1, 1, 0xCD)]),
    );
    let no_match = at_mx(
        ResultType::ValidationFailure,
        "mx.host.example",
        "192.0.2.1",
        "dane-no-match",
    );
    for (domain, policy, successes, failures) in [
        ("a.example", &one, 10, 2),
        ("b.example", &one, 300, 3),
        // Their own reports have these, and no other host's report has.
        ("a.example", &other, 7, 0),
        (
            "c.example",
            &AppliedPolicy::no_policy_found("c.example".parse().unwrap()),
            9,
            0,
        ),
        ("mx.host.example", &one, 4_000, 0),
    ] {
        let mut rows = Rows::of(domain);
        rows.add(policy, Counted::Successes, successes);
        if failures > 0 {
            rows.failed(policy, no_match.clone(), failures);
        }
        batch.totals.extend(rows.rows);
        batch.policies.extend(rows.policies);
    }
    let store = Arc::new(MemoryStore::default());
    store.commit(&batch).unwrap();
    let reports = StoredReports::new(
        store,
        Publisher {
            submitter: None,
            keys: Vec::new(),
            config: ReportConfig::default(),
        },
        &StoreConfig::default(),
    );
    let recipients = ["a.example", "b.example", "c.example", "mx.host.example"];
    let recipients = recipients.map(|name| name.parse().unwrap());
    reports.day_with(DAY, &host, &recipients).unwrap().unwrap()
}

#[test]
fn a2_an_mx_host_is_told_of_its_records_by_all_its_recipient_domains_and_of_its_own_mail_once() {
    let day = mx_host();
    assert_eq!((day.recipients, day.policies.len()), (2, 1));
    let totals = &day.policies[0];
    assert_eq!(totals.policy.policy_domain, day.domain);
    assert_eq!((totals.successes, totals.failures), (4_310, 5));
    assert_eq!(totals.details.len(), 1);
    assert_eq!(totals.details[0].1, 5);
}

/// Each golden report with the mailbox it goes to.
pub(super) fn mails() -> Vec<(&'static str, DomainDay, &'static str)> {
    vec![
        (
            "everything",
            everything(),
            "tls-reports@B\u{fc}cher-everything.example",
        ),
        ("success-only", success_only(), "tls+in@success.example"),
        ("idn", idn(), "postmaster@b\u{fc}cher.example"),
        ("dane", dane(), "tls-reports@dane.example"),
        ("mx-host", mx_host(), "tls-reports@host.example"),
    ]
}

pub(super) fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file)
}

/// Compares with a golden file, or writes it.
pub(super) fn check(file: &str, seen: &[u8]) {
    let path = golden(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, seen).unwrap();
        return;
    }
    let expected = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if expected != seen {
        let differing = expected
            .split(|byte| *byte == b'\n')
            .zip(seen.split(|byte| *byte == b'\n'));
        let line = differing
            .take_while(|(expected, seen)| expected == seen)
            .count();
        panic!(
            "{} differs from line {} on; UPDATE_GOLDEN=1 writes what it is now:\n{}",
            path.display(),
            line + 1,
            String::from_utf8_lossy(seen)
        );
    }
}

/// The organization's name is not ASCII in the report with everything, and HTML is on: its text is then
/// quoted-printable, that of the others plain.
pub(super) fn compose(day: &DomainDay) -> Report {
    let is_everything = *day == everything();
    let organization = match is_everything {
        true => "Br\u{fc}cke Mail GmbH",
        false => "Bridge Mail Ltd",
    };
    let config = ReportConfig {
        html: is_everything,
        ..ReportConfig::default()
    };
    Report::compose(day, &submitter(organization), &config)
}

#[test]
fn e1_e9_f1_f9_reports_and_mails_are_as_the_golden_files_have_them() {
    for (name, day, to) in mails() {
        let report = compose(&day);
        check(&format!("{name}.json"), &report.json);
        check(&format!("{name}.txt"), report.text.as_bytes());
        if let Some(html) = &report.html {
            check(&format!("{name}.html"), html.as_bytes());
        }
        let mail = report.mail(to, sent_at(), 1, &keys()).unwrap();
        check(&format!("{name}.eml"), &mail);
        assert!(report.text.lines().all(|line| line.chars().count() < 78));
    }
}

#[test]
fn d13_the_report_with_everything_has_every_policy_type_and_result_type() {
    let day = everything();
    for policy_type in [PolicyType::Tlsa, PolicyType::Sts, PolicyType::NoPolicyFound] {
        let mut policies = day.policies.iter();
        assert!(policies.any(|totals| totals.policy.policy_type == policy_type));
    }
    let text = compose(&day).text;
    for result in ResultType::ALL {
        assert!(
            text.contains(&format!("\n* {result}, ")),
            "{result}:\n{text}"
        );
    }
    assert!(!text.contains("Further "), "all of it is told:\n{text}");
}

/// Where it goes, and how its lines are, on the way: the address in A-labels, 7-bit, no line that a mail
/// host may refuse.
#[test]
fn a11_f1_the_mail_with_html_and_an_international_mailbox_is_7_bit_with_short_lines() {
    let mail = compose(&everything())
        .mail(
            "tls-reports@b\u{fc}cher-everything.example",
            sent_at(),
            1,
            &keys(),
        )
        .unwrap();
    let mail = String::from_utf8(mail).unwrap();
    let to = "\r\nTo: tls-reports@xn--bcher-everything-jzb.example\r\n";
    assert!(mail.contains(to), "{mail}");
    assert!(mail.is_ascii());
    let (head, body) = mail.split_once("\r\n\r\n").unwrap();
    assert!(head.lines().all(|line| line.len() <= 998));
    let long = body.split("\r\n").find(|line| line.len() > 128);
    assert_eq!(long, None);
    for kind in [
        "multipart/report; report-type=\"tlsrpt\"",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "application/tlsrpt+gzip",
    ] {
        assert_eq!(
            mail.matches(&format!("Content-Type: {kind}")).count(),
            1,
            "{kind}"
        );
    }
}

#[test]
fn the_same_tallies_make_the_same_bytes() {
    let (first, second) = (compose(&everything()), compose(&everything()));
    assert_eq!(first, second);
    let mail = |report: &Report, attempt| {
        report
            .mail("tls-reports@example.org", sent_at(), attempt, &keys())
            .unwrap()
    };
    assert_eq!(mail(&first, 1), mail(&second, 1));
    // F16: another attempt is another message with the same report.
    let (one, two) = (mail(&first, 1), mail(&first, 2));
    assert_ne!(one, two);
    assert_eq!(first.id, second.id);
    let id = format!("Report-ID: <{}>", first.id);
    for mail in [one, two] {
        assert!(String::from_utf8(mail).unwrap().contains(&id));
    }
}

#[test]
fn e6_success_only_reports_and_unwanted_domains_are_settings() {
    let config = ReportConfig::default();
    assert_eq!(owed(&success_only(), &config), Ok(()));
    let failures_only = ReportConfig {
        success_only: false,
        ..config.clone()
    };
    assert!(owed(&success_only(), &failures_only).is_err());
    assert_eq!(owed(&everything(), &failures_only), Ok(()));
    let never = ReportConfig {
        never: vec!["B\u{dc}CHER.example.".to_owned()],
        ..config.clone()
    };
    assert!(owed(&idn(), &never).is_err());
    assert_eq!(owed(&everything(), &never), Ok(()));
    let disabled = ReportConfig {
        enabled: false,
        ..config
    };
    assert!(owed(&everything(), &disabled).is_err());
}

#[test]
fn a11_a_recipient_that_no_mail_can_be_addressed_to_is_refused() {
    let report = compose(&success_only());
    for to in [
        "",
        "postmaster",
        "a@[192.0.2.1]",
        "a\r\nBcc: b@example.com@example.org",
        "a@example.org\r\nBcc: b@example.com",
        "a@example.org,b@example.com",
        "\u{fc}@example.org",
        "\"a b\"@example.org",
    ] {
        assert!(report.mail(to, sent_at(), 1, &keys()).is_err(), "{to:?}");
    }
    for to in ["a!b@example.org", "a+b=c@Example.ORG"] {
        assert!(report.mail(to, sent_at(), 1, &keys()).is_ok(), "{to:?}");
    }
}

/// Odd as no report's mail is: what is signed must be what a verifier sees.
#[test]
fn f5_odd_fields_and_bodies_are_signed_as_verifiers_read_them() {
    let keys = keys();
    let domain = submitter("Bridge Mail Ltd").domain().clone();
    let records: BTreeMap<String, String> = keys
        .iter()
        .map(|key| (key.record_name(&domain), key.public_record()))
        .collect();
    let long = "x".repeat(998);
    let odd: [&str; 12] = [
        "",
        "\r\n",
        "\r\n\r\n\r\n",
        " \t \r\n\t\r\n",
        "no end",
        "a\r\n\r\n\r\n",
        "a \t b\t\r\n",
        " a\r\n \r\nb\r\n",
        "--\r\n.\r\n..\r\n",
        "a\rb\r\n",
        "\0\r\n",
        &long,
    ];
    for subject in [
        "",
        " ",
        "\t",
        " a  b\t ",
        " a\r\n b\r\n\t c",
        "a:b",
        " =?utf-8?q??=",
    ] {
        for body in odd {
            let fields = format!("From: a@sender.example\r\nSubject:{subject}\r\nTo:\r\nX:\r\n");
            let message = format!("{fields}\r\n{body}");
            let signed = sign(message.as_bytes(), &domain, sent_at(), &keys).unwrap();
            assert!(signed.ends_with(message.as_bytes()));
            let verified = dkim::verify(&signed, |name| records.get(name).cloned());
            assert_eq!(verified.len(), 2);
            for pass in &verified {
                assert!(pass.is_ok(), "{subject:?} {body:?}: {pass:?}");
            }
        }
    }
}

/// Letters that do not compress well, another series for each number.
fn noise(number: u32, letters: usize) -> String {
    let mut state = number.wrapping_add(1).wrapping_mul(2_654_435_761);
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        char::from(b'a' + u8::try_from(state % 26).unwrap())
    };
    (0..letters).map(letter).collect()
}

/// A domain that changed its policy a thousand times, with ten thousand different failures.
#[test]
fn f17_the_largest_day_makes_a_report_that_mail_hosts_take() {
    let mut rows = Rows::of("example.org");
    for number in 0_u32..1_000 {
        let policy = rows.sts(
            "enforce",
            &[&format!("mx{number}.{}.example", "m".repeat(60))],
        );
        for address in 0_u32..10 {
            let receiving_ip = Ipv4Addr::from((198 << 24) + number * 10 + address).to_string();
            let failure = Failure {
                mx_helo: Some(format!(
                    "{number}-{address}-{}",
                    noise(number * 10 + address, 240)
                )),
                ..at_mx(
                    ResultType::ValidationFailure,
                    &format!("mx{number}.example.org"),
                    &receiving_ip,
                    &format!("reason-{number}-{address}-{}", "r".repeat(200)),
                )
            };
            rows.failed(&policy, failure, 1 + u64::from(address));
        }
    }
    let day = rows.day();
    let report = compose(&day);
    let json: Value = serde_json::from_slice(&report.json).unwrap();
    let elements = json["policies"].as_array().unwrap();
    assert_eq!(elements.len(), 1_000);
    let details = elements
        .iter()
        .flat_map(|element| element["failure-details"].as_array().unwrap());
    // E4: what is not listed is summed up for each policy, so no session is lost.
    let sum: u64 = details
        .clone()
        .map(|detail| detail["failed-session-count"].as_u64().unwrap())
        .sum();
    assert_eq!(sum, 55_000);
    assert_eq!(details.count(), 2_000);
    assert!(report.json.len() < 5 << 20, "{}", report.json.len());
    let mail = report.mail("r@example.org", sent_at(), 1, &keys()).unwrap();
    assert!(mail.len() < 10_000_000, "{}", mail.len());

    // The operator's mailboxes take less: details give way, no session is lost, and the reader is told.
    let config = ReportConfig {
        html: true,
        mail_bytes_max: 200_000,
        ..ReportConfig::default()
    };
    let small = Report::compose(&day, &submitter("Bridge Mail Ltd"), &config);
    let small_mail = small.mail("r@example.org", sent_at(), 1, &keys()).unwrap();
    assert!(small_mail.len() < 200_000, "{}", small_mail.len());
    assert_eq!(small.id, report.id);
    let told = "So that this mail does not grow beyond 200000 octets";
    let one_line = |report: &Report| report.text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(one_line(&small).contains(told), "{}", small.text);
    assert!(!one_line(&report).contains(told));
    let json: Value = serde_json::from_slice(&small.json).unwrap();
    let details = json["policies"].as_array().unwrap().iter();
    let details = details.flat_map(|element| element["failure-details"].as_array().unwrap());
    let sum: u64 = details
        .clone()
        .map(|detail| detail["failed-session-count"].as_u64().unwrap())
        .sum();
    assert_eq!(sum, 55_000);
    let of_sums = |detail: &&Value| detail["failure-reason-code"] == "further-details-summed-up";
    assert_eq!(details.filter(of_sums).count(), 1_000);
    let mail = String::from_utf8(mail).unwrap();
    assert!(
        mail.split("\r\n")
            .all(|line| line.len() <= 998 && !line.contains(['\r', '\n']))
    );
}

/// The `tlsa` elements of a day: TLSA base domain and records.
fn tlsa_of(day: &DomainDay) -> Vec<(String, Vec<String>)> {
    let policies = day.policies.iter().map(|totals| &totals.policy);
    policies
        .filter(|policy| policy.policy_type == PolicyType::Tlsa)
        .map(|policy| {
            (
                policy.policy_domain.to_string(),
                policy.policy_string.clone(),
            )
        })
        .collect()
}

#[test]
fn c21_d7_a_report_has_an_element_for_each_set_of_tlsa_records_and_one_for_the_policy() {
    let json: Value = serde_json::from_slice(&compose(&dane()).json).unwrap();
    let seen: Vec<String> = json["policies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|element| {
            let policy = &element["policy"];
            let records = policy["policy-string"].as_array().map_or(0, Vec::len);
            let text = |name: &str| policy[name].as_str().unwrap().to_owned();
            assert_eq!(
                policy.get("mx-host").is_none(),
                text("policy-type") == "tlsa"
            );
            format!(
                "{} {} {records} {}+{}",
                text("policy-type"),
                text("policy-domain"),
                element["summary"]["total-successful-session-count"],
                element["summary"]["total-failure-session-count"],
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            "tlsa mx1.dane.example 3 30+9",
            "tlsa mx1.dane.example 1 40+13",
            "tlsa mx2.dane.example 1 0+5",
            "tlsa mx3.dane.example 0 0+21",
            "sts dane.example 5 90+10",
        ]
    );
    let records = json["policies"][0]["policy"]["policy-string"].as_array();
    let beginnings = records
        .unwrap()
        .iter()
        .map(|each| &each.as_str().unwrap()[..8]);
    assert_eq!(
        beginnings.collect::<Vec<_>>(),
        ["2 0 1 1D", "3 1 1 AB", "3 1 2 0C"]
    );
}

/// dkimpy and parsedmarc read the golden mails; `tests/consumers/check.py` also changes them in many
/// ways and wants every signature to fail.
#[test]
fn f5_independent_programs_verify_and_parse_the_golden_mails() {
    let keys = keys();
    let domain = submitter("Bridge Mail Ltd").domain().clone();
    let records: BTreeMap<String, String> = keys
        .iter()
        .map(|key| (key.record_name(&domain), key.public_record()))
        .collect();
    let mut expected = serde_json::Map::new();
    let mut files = Vec::new();
    for (name, day, _) in mails() {
        let file = format!("{name}.eml");
        files.push(golden(&file));
        expected.insert(
            file,
            json!({
                "domain": day.domain.as_str(),
                "report_id": compose(&day).id,
                "success": day.successes(),
                "tlsa": tlsa_of(&day),
                "html": compose(&day).html.is_some(),
                "failure": day.failures(),
                "signatures": ["ed25519-sha256", "rsa-sha256"],
            }),
        );
    }
    consumers::check(expected, &serde_json::to_value(records).unwrap(), &files);
}
