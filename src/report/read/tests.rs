use sealpost_kit::mutations;

use super::zip::tests::zip;
use super::*;
use crate::report::gzip::gzip;

/// A report as RFC 8460 asks.
const PLAIN: &str = r#"{
  "organization-name": "Sender",
  "date-range": {"start-datetime": "2024-05-15T00:00:00Z", "end-datetime": "2024-05-15T23:59:59Z"},
  "contact-info": "tls@sender.example",
  "report-id": "1@sender.example",
  "policies": [{
    "policy": {"policy-type": "sts", "policy-string": ["version: STSv1", "mode: enforce"],
      "policy-domain": "a.example", "mx-host": ["*.a.example"]},
    "summary": {"total-successful-session-count": 5, "total-failure-session-count": 3},
    "failure-details": [{"result-type": "certificate-expired", "sending-mta-ip": "192.0.2.1",
      "receiving-mx-hostname": "mx.a.example", "receiving-ip": "2001:db8::1", "failed-session-count": 3,
      "failure-reason-code": "expired"}]
  }]
}"#;

const GOLDEN: [&[u8]; 2] = [
    include_bytes!("../../../tests/golden/everything.eml"),
    include_bytes!("../../../tests/golden/dane.eml"),
];

fn plain() -> ReceivedReport {
    ReceivedReport {
        organization: Some("Sender".to_owned()),
        begin: Some(Timestamp(1_715_731_200)),
        end: Some(Timestamp(1_715_817_599)),
        contact: Some("tls@sender.example".to_owned()),
        id: Some("1@sender.example".to_owned()),
        policies: vec![ReceivedPolicy {
            policy_type: Some(Registered::Known(PolicyType::Sts)),
            domain: Some("a.example".to_owned()),
            policy_string: vec!["version: STSv1".to_owned(), "mode: enforce".to_owned()],
            mx_host: vec!["*.a.example".to_owned()],
            successes: 5,
            failures: 3,
            details: vec![ReceivedDetail {
                result: Some(Registered::Known(ResultType::CertificateExpired)),
                sending_ip: Some("192.0.2.1".parse().unwrap()),
                mx: Some("mx.a.example".to_owned()),
                mx_helo: None,
                receiving_ip: Some("2001:db8::1".parse().unwrap()),
                sessions: 3,
                additional_information: None,
                reason: Some("expired".to_owned()),
            }],
        }],
    }
}

/// `rule place`, for each finding.
fn rules(findings: &[Finding]) -> Vec<String> {
    let one = |finding: &Finding| format!("{} {}", finding.rule.name(), finding.place);
    findings.iter().map(one).collect()
}

#[test]
fn e1_e9_a_report_as_the_rfc_asks_has_no_findings() {
    assert_eq!(read(PLAIN.as_bytes()), Ok((plain(), Vec::new())));
    // The order of members and members that nobody knows make no difference.
    let other = PLAIN.replacen('{', "{\"x-new\": [1.5, -2, true, null],", 1);
    assert_eq!(read(other.as_bytes()), Ok((plain(), Vec::new())));
}

/// What is replaced by what in [`PLAIN`], and the findings. It means the same.
const QUIRKS: &[(&str, &str, &str)] = &[
    ("{\n", "\u{feff}{\n", "utf-8 "),
    (
        "-15T00:00:00Z",
        "-15T00:00:00",
        "time-form date-range.start-datetime",
    ),
    (
        "-15T23:59:59Z",
        "-15 23:59:59",
        "time-form date-range.end-datetime",
    ),
    (
        "\"2024-05-15T00:00:00Z\"",
        "1715731200",
        "time-form date-range.start-datetime",
    ),
    ("-15T00:00:00Z", "-14T22:00:00-02:00", ""),
    (
        "\"1@sender.example\"",
        "\"1@sender.example\", \"report-id\": \"1@sender.example\"",
        "twice-the-member report-id",
    ),
    (
        "[\"*.a.example\"]",
        "\"*.a.example\"",
        "member-kind policies[0].policy.mx-host",
    ),
    (
        "[\"version: STSv1\", \"mode: enforce\"]",
        "\"version: STSv1; mode: enforce;\"",
        "member-kind policies[0].policy.policy-string",
    ),
    (
        "[\"version: STSv1\", \"mode: enforce\"]",
        "[\"version: STSv1\\nmode: enforce\"]",
        "member-kind policies[0].policy.policy-string[0]",
    ),
    (
        "[\"version: STSv1\", \"mode: enforce\"]",
        "[\"[\\\"version: STSv1\\\",\\\"mode: enforce\\\"]\"]",
        "member-kind policies[0].policy.policy-string[0]",
    ),
    (
        "\"sts\"",
        "\"STS\"",
        "policy-type policies[0].policy.policy-type",
    ),
    (
        "\"a.example\"",
        "\"A.Example.\"",
        "domain-form policies[0].policy.policy-domain",
    ),
    ("\"a.example\"", "\"A.Example\"", ""),
    (
        "count\": 5",
        "count\": \"5\"",
        "member-kind policies[0].summary.total-successful-session-count",
    ),
    ("count\": 5", "count\": 5.0", ""),
    (
        "certificate-expired",
        "Certificate_Expired",
        "result-type policies[0].failure-details[0].result-type",
    ),
    (
        "2001:db8::1",
        "[2001:db8::1]",
        "address-form policies[0].failure-details[0].receiving-ip",
    ),
    (
        "\"failure-reason-code\"",
        "\"receiving-mx-helo\": \"\", \"failure-reason-code\"",
        "empty-member policies[0].failure-details[0].receiving-mx-helo",
    ),
    (
        "\"failure-reason-code\"",
        "\"additional-information\": null, \"failure-reason-code\"",
        "empty-member policies[0].failure-details[0].additional-information",
    ),
];

/// What senders were seen to write, each with what it is found to break. The report means the same.
#[test]
fn quirks_are_read_as_they_were_meant_and_named() {
    for &(from, to, found) in QUIRKS {
        let text = PLAIN.replacen(from, to, 1);
        assert_ne!(text, PLAIN, "{from}");
        let (report, findings) = read(text.as_bytes()).unwrap();
        assert_eq!(report, plain(), "{to}");
        assert_eq!(rules(&findings).join(", "), found, "{to}");
    }
}

/// What is replaced by what in [`PLAIN`], and the findings. It then says less.
const NOTHING: &[(&str, &str, &str)] = &[
    (
        "\"tls@sender.example\"",
        "null",
        "empty-member contact-info",
    ),
    (
        "\"tls@sender.example\"",
        "\"TLS <tls@sender.example>\"",
        "contact contact-info",
    ),
    (
        "  \"contact-info\": \"tls@sender.example\",\n",
        "",
        "missing-member contact-info",
    ),
    ("\"Sender\"", "{}", "member-kind organization-name"),
    (
        "2024-05-15T00:00:00Z",
        "soon",
        "time-form date-range.start-datetime",
    ),
    ("-15T23:59:59Z", "-21T23:59:59Z", "whole-day date-range"),
    ("-15T00:00:00Z", "-15T00:00:01Z", "whole-day date-range"),
    (
        "\"192.0.2.1\"",
        "\"\"",
        "empty-member policies[0].failure-details[0].sending-mta-ip",
    ),
    (
        "\"192.0.2.1\"",
        "\"unknown\"",
        "address-form policies[0].failure-details[0].sending-mta-ip",
    ),
    (
        "certificate-expired",
        "moon-phase",
        "result-type policies[0].failure-details[0].result-type",
    ),
    (
        "\"sts\"",
        "\"mta\"",
        "policy-type policies[0].policy.policy-type",
    ),
    (
        "\"a.example\"",
        "\"a example\"",
        "domain-form policies[0].policy.policy-domain",
    ),
    (
        "count\": 5",
        "count\": 9007199254740992",
        "integer-range policies[0].summary.total-successful-session-count",
    ),
    (
        "count\": 5",
        "count\": -5",
        "member-kind policies[0].summary.total-successful-session-count",
    ),
    (
        "\"failed-session-count\": 3",
        "\"failed-session-count\": 2",
        "counts-agree policies[0].failure-details",
    ),
    (
        "\"failed-session-count\": 3",
        "\"failed-session-count\": 4",
        "counts-agree policies[0].failure-details[0].failed-session-count",
    ),
    (
        "\"failure-details\": [",
        "\"failure-details\": [7,",
        "member-kind policies[0].failure-details[0]",
    ),
];

/// What is not known stays unknown, and the rest of the report is read.
#[test]
fn what_says_nothing_is_absent_and_named() {
    for &(from, to, found) in NOTHING {
        let text = PLAIN.replacen(from, to, 1);
        assert_ne!(text, PLAIN, "{from}");
        let (report, findings) = read(text.as_bytes()).unwrap();
        assert_eq!(report.policies.len(), 1, "{to}");
        assert_eq!(report.policies[0].details.len(), 1, "{to}");
        assert_eq!(rules(&findings).join(", "), found, "{to}");
    }
    let detail_only = PLAIN.replace("\"summary\"", "\"sum\"");
    let (_, findings) = read(detail_only.as_bytes()).unwrap();
    assert_eq!(
        rules(&findings),
        [
            "missing-member policies[0].summary",
            "counts-agree policies[0].failure-details[0].failed-session-count"
        ]
    );
    // One policy that stands for an array of one.
    let single = PLAIN.replace("[{\n", "{\n").replace("}]\n}", "}\n}");
    let (report, findings) = read(single.as_bytes()).unwrap();
    assert_eq!(
        (report, rules(&findings)),
        (plain(), vec!["member-kind policies".to_owned()])
    );
}

#[test]
fn what_is_no_report_is_said_to_be_none() {
    for (text, error) in [
        ("[]", "it is JSON and not a TLS report: it is no object"),
        (
            "{\"a\": 1}",
            "it is JSON and not a TLS report: it has no \"policies\"",
        ),
        ("{\"policies\": [", "it is no JSON: EOF while parsing"),
        ("<html>", "it is neither JSON nor gzip nor ZIP nor a mail"),
        ("PK\u{3}\u{4}...", "it is damaged: its ZIP: "),
        (
            "Subject: x\r\n\r\nHello.\r\n",
            "the mail holds no TLS report",
        ),
    ] {
        let opened = open(None, text.as_bytes());
        let [unread] = opened.unread.as_slice() else {
            panic!("{text}: {opened:?}");
        };
        assert!(
            unread.error.to_string().starts_with(error),
            "{text}: {}",
            unread.error
        );
    }
    let something_else = |text: &str| {
        open(None, text.as_bytes()).unread[0]
            .error
            .is_something_else()
    };
    assert!(something_else("Subject: x\r\n\r\nHello.\r\n"));
    assert!(!something_else("{\"policies\": ["));
}

/// A name for [`PLAIN`], whether it is packed, and what is found.
const FILE_NAMES: &[(&str, bool, &str)] = &[
    (
        "sender.example!a.example!1715731200!1715817599!x1.json.gz",
        true,
        "",
    ),
    // The next day's first second is the same end.
    (
        "sender.example!a.example!1715731200!1715817600.json.gz",
        true,
        "",
    ),
    (
        "sender.example!a.example!1715731200!1715817599.json",
        false,
        "",
    ),
    (
        "sender.example!a.example!1715731200!1715817599.json",
        true,
        "does not end in .gz",
    ),
    (
        "sender.example!a.example!1715731200!1715817599.json.gz",
        false,
        "is not packed",
    ),
    (
        "sender.example!b.example!1715731200!1715817599.json.gz",
        true,
        "not about \"b.example\"",
    ),
    (
        "sender.example!a.example!1715644800!1715817599.json.gz",
        true,
        "it says 2024-05-14T00:00:00Z",
    ),
    (
        "sender.example!a.example!2024-05-15!1715817599.json.gz",
        true,
        "not a number of seconds",
    ),
    (
        "sender.example!a.example!1715731200!1715817599!a.b.json.gz",
        true,
        "not of the form",
    ),
    (
        "a b!a.example!1715731200!1715817599.json.gz",
        true,
        "\"a b\" is not a domain",
    ),
    (
        "sender.example!a.example.xml",
        false,
        "ends neither in .json",
    ),
    // Whoever keeps a report may call it anything.
    ("yesterday.gz", true, ""),
];

#[test]
fn e7_a_file_name_agrees_with_the_report() {
    let packed = gzip(PLAIN.as_bytes());
    for &(name, packed_too, found) in FILE_NAMES {
        let bytes = if packed_too {
            packed.as_slice()
        } else {
            PLAIN.as_bytes()
        };
        let received = open(Some(name), bytes).finish(&KeyRecords::new(), Timestamp(0));
        let findings: Vec<_> = received[0]
            .findings
            .iter()
            .map(|each| each.text.as_str())
            .collect();
        assert_eq!(
            findings.is_empty(),
            found.is_empty(),
            "{name}: {findings:?}"
        );
        assert!(
            findings.iter().all(|text| text.contains(found)),
            "{name}: {findings:?}"
        );
    }
}

/// A mail that carries [`PLAIN`], with one thing in it replaced.
fn mail(from: &str, to: &str) -> String {
    let whole = format!(
        "From: tls@sender.example\nTLS-Report-Domain: a.example\nTLS-Report-Submitter: sender.example\n\
         Subject: Report Domain: a.example\n Submitter: sender.example\n Report-ID: <1@sender.example>\n\
         Content-Type: multipart/report; report-type=tlsrpt; boundary=B\n\n--B\n\nHello.\n--B\n\
         Content-Type: application/tlsrpt+json\n\
         Content-Disposition: attachment;\n filename=\"sender.example!a.example!1715731200!1715817599.json\"\n\n\
         {PLAIN}\n--B--\n"
    );
    let changed = whole.replacen(from, to, 1);
    assert!(from.is_empty() || changed != whole, "{from}");
    changed
}

#[test]
fn f1_f4_the_mail_of_a_report_is_held_to_its_form() {
    for (from, to, found) in [
        ("", "", ""),
        (
            "multipart/report;",
            "multipart/mixed;",
            "mail-form Content-Type",
        ),
        (
            "report-type=tlsrpt",
            "report-type=dmarc",
            "mail-form Content-Type",
        ),
        (
            "tlsrpt+json",
            "tlsrpt",
            "media-type Content-Type of the report",
        ),
        (
            "Content-Type: application/tlsrpt+json",
            "Content-Type: application/json",
            "media-type Content-Type of the report",
        ),
        (
            "TLS-Report-Domain: a.example",
            "TLS-Report-Domain: b.example",
            "mail-field TLS-Report-Domain, subject Subject",
        ),
        (
            "TLS-Report-Domain: a.example",
            "X: y",
            "mail-field TLS-Report-Domain",
        ),
        (
            "TLS-Report-Submitter: sender",
            "TLS-Report-Submitter: other",
            "mail-field TLS-Report-Submitter, subject Subject",
        ),
        ("Report-ID: <1@", "Report-ID: <2@", "subject Subject"),
        ("<1@sender.example>", "1+x", "subject Subject"),
        ("Report Domain:", "TLS report,", "subject Subject"),
    ] {
        let received =
            open(None, mail(from, to).as_bytes()).finish(&KeyRecords::new(), Timestamp(0));
        assert_eq!(received.len(), 1, "{to}");
        assert_eq!(received[0].report, plain(), "{to}");
        assert_eq!(received[0].authenticity, Some(Authenticity::Unsigned));
        let mut found: Vec<_> = found.split(", ").filter(|rule| !rule.is_empty()).collect();
        found.push("signed DKIM-Signature");
        assert_eq!(rules(&received[0].findings), found, "{to}");
    }
}

#[test]
fn a_report_is_found_wherever_it_lies() {
    let ours = include_str!("../../../tests/golden/success-only.eml");
    let packed = base64_of(&gzip(PLAIN.as_bytes()));
    let generic = format!(
        "From: a@sender.example\nContent-Type: multipart/mixed; boundary=B\n\n--B\n\
         Content-Type: application/octet-stream; name=\"r.json.gz\"\nContent-Transfer-Encoding: base64\n\n\
         {packed}\n--B\nContent-Type: application/gzip\nContent-Transfer-Encoding: base64\n\n{}\n--B--\n",
        base64_of(&gzip(b"no report at all"))
    );
    let forwarded = format!(
        "From: b@example.org\r\nContent-Type: multipart/mixed; boundary=F\r\n\r\n--F\r\n\r\nSee below.\r\n\
         --F\r\nContent-Type: message/rfc822\r\n\r\n{ours}\r\n--F--\r\n"
    );
    let mbox = format!(
        "From x Wed May 15\n{}\n\nFrom y Wed May 15\nSubject: lunch?\n\nAt noon.\n\nFrom z Wed May 15\n{generic}",
        ours.replace("\r\n", "\n")
    );
    let packed_mbox = gzip(mbox.as_bytes());
    let archive = zip(&[
        ("READ ME.txt", b"Reports of Wednesday"),
        ("reports/", b""),
        ("reports/plain.json", PLAIN.as_bytes()),
        ("reports/ours.eml", ours.as_bytes()),
        ("other.zip", &zip(&[("plain.json", PLAIN.as_bytes())])),
    ]);
    let zipped = format!(
        "From: a@sender.example\nContent-Type: multipart/mixed; boundary=B\n\n--B\n\
         Content-Type: application/zip; name=\"r.zip\"\nContent-Transfer-Encoding: base64\n\n\
         {}\n--B\nContent-Type: application/zip; name=\"photos.zip\"\nContent-Transfer-Encoding: \
         base64\n\n{}\n--B--\n",
        base64_of(&zip(&[
            ("r.json.gz", &gzip(PLAIN.as_bytes())),
            ("notes.txt", b"of no interest"),
        ])),
        base64_of(&zip(&[("a.jpeg", b"\xff\xd8\xff")]))
    );
    for (bytes, ids, unread) in [
        (ours.as_bytes(), &["2024-05-15.success"][..], 0),
        (generic.as_bytes(), &["1@sender"], 0),
        (forwarded.as_bytes(), &["2024-05-15.success"], 0),
        (mbox.as_bytes(), &["2024-05-15.success", "1@sender"], 1),
        (
            packed_mbox.as_slice(),
            &["2024-05-15.success", "1@sender"],
            1,
        ),
        (gzip(ours.as_bytes()).as_slice(), &["2024-05-15.success"], 0),
        (&archive, &["1@sender", "2024-05-15.success"], 0),
        (zipped.as_bytes(), &["1@sender"], 0),
    ] {
        let opened = open(None, bytes);
        assert_eq!(opened.unread.len(), unread, "{ids:?}");
        let received = opened.finish(&golden_keys(), Timestamp(0));
        let seen: Vec<_> = received
            .iter()
            .map(|each| each.report.id.as_deref().unwrap())
            .collect();
        assert_eq!(seen.len(), ids.len(), "{seen:?}");
        for (received, id) in received.iter().zip(ids) {
            assert!(received.report.id.as_deref().unwrap().starts_with(id));
            // Forwarded, kept with LF or packed: the signature holds.
            let signed = received.authenticity.as_ref().map(Authenticity::name);
            let expected = match *id {
                "1@sender" if bytes == archive => None,
                "1@sender" => Some("none"),
                _ => Some("pass"),
            };
            assert_eq!(signed, expected, "{received:?}");
        }
    }
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}

/// The records of the keys that signed the golden mails.
fn golden_keys() -> KeyRecords {
    let pem = include_str!("../../../tests/golden/keys/rsa2048.pem");
    let key = crate::report::DkimKey::from_pem("rsa2024", pem).unwrap();
    let name = key.record_name(&"sender.example".parse().unwrap());
    let record = KeyRecord::Answer(vec![key.public_record().into_bytes()]);
    KeyRecords::from([(name, record)])
}

/// What a mail's signatures come to in words, and the rules that its report breaks.
fn judge(mail: &str, keys: &KeyRecords) -> (String, Vec<String>) {
    let received = open(None, mail.as_bytes()).finish(keys, Timestamp(2_000_000_000));
    let authenticity = received[0].authenticity.clone().unwrap();
    let said = format!("{}: {}", authenticity.name(), authenticity.in_words());
    (said, rules(&received[0].findings))
}

#[test]
fn f5_who_signed_a_report_is_told_and_why_it_cannot_be() {
    let ours = include_str!("../../../tests/golden/success-only.eml");
    let name = "rsa2024._domainkey.sender.example";
    let with = |record: KeyRecord| KeyRecords::from([(name.to_owned(), record)]);
    let Some(KeyRecord::Answer(records)) = golden_keys().remove(name) else {
        panic!("there is no golden key");
    };
    let record = String::from_utf8(records[0].clone()).unwrap();
    let for_others = record.replace("s=*", "s=email").into_bytes();
    for (mail, keys, said, found) in [
        (
            ours.to_owned(),
            golden_keys(),
            "pass: signed by sender.example (rsa2024, rsa-sha256)",
            "",
        ),
        (
            ours.to_owned(),
            with(KeyRecord::Answer(vec![for_others])),
            "pass: signed by sender.example",
            "key-service rsa2024._domainkey.sender.example",
        ),
        (
            ours.to_owned(),
            KeyRecords::new(),
            "unknown: signed by sender.example: its key was not asked",
            "",
        ),
        (
            ours.to_owned(),
            with(KeyRecord::Unknown("no answer".to_owned())),
            "unknown: signed by sender.example: no answer; signed by",
            "",
        ),
        (
            ours.to_owned(),
            with(KeyRecord::Answer(Vec::new())),
            "unknown: signed by sender.example: there is no key at rsa2024._domainkey",
            "",
        ),
        // That the body was changed is seen without a key.
        (
            ours.replace("went well", "went bad"),
            KeyRecords::new(),
            "fail: the signature of sender.example does not hold: the body was changed",
            "signed DKIM-Signature",
        ),
        (
            ours.replace("To: tls+in", "To: tls+out"),
            golden_keys(),
            "unknown: signed by sender.example: its key was not asked",
            "",
        ),
        // Somebody else's signature says nothing of the reporter.
        (
            ours.replace("d=sender.example", "d=other.example"),
            golden_keys(),
            "fail: other.example signed it, and not sender.example",
            "signed DKIM-Signature",
        ),
        (
            ours.replace("TLS-Report-Submitter: sender", "TLS-Report-Submitter: bank"),
            golden_keys(),
            "fail: sender.example signed it, and not bank.example",
            "mail-field TLS-Report-Submitter, subject Subject, signed DKIM-Signature",
        ),
    ] {
        let (seen, findings) = judge(&mail, &keys);
        assert!(seen.starts_with(said), "{seen}");
        assert_eq!(findings.join(", "), found, "{seen}");
    }
}

/// A thousand texts made of good ones: nothing panics, and what is read stays in bounds.
#[test]
fn g1_no_text_is_too_strange_to_be_read() {
    let packed = gzip(PLAIN.as_bytes());
    let mail = mail("", "");
    let samples = [
        PLAIN.as_bytes(),
        mail.as_bytes(),
        &packed,
        GOLDEN[0],
        GOLDEN[1],
    ];
    let mut read = 0;
    for text in mutations(11, &samples) {
        let name = String::from_utf8_lossy(text.get(..40).unwrap_or_default()).into_owned();
        let opened = open(Some(&name), &text);
        let keys: KeyRecords = opened
            .key_names()
            .into_iter()
            .map(|name| (name, KeyRecord::Answer(vec![text.clone()])))
            .collect();
        for received in opened.finish(&keys, Timestamp(0)) {
            assert!(received.findings.len() <= 60);
            read += 1;
        }
    }
    assert!(read > 50, "only {read} could be read at all");
}

#[test]
fn rules_have_names_of_their_own_and_findings_are_bounded() {
    let names: std::collections::BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    assert_eq!(names.len(), Rule::ALL.len());
    let many = "{\"result-type\": \"x\"},".repeat(500);
    let text = PLAIN.replace(
        "\"failure-details\": [",
        &format!("\"failure-details\": [{many}"),
    );
    let (report, findings) = read(text.as_bytes()).unwrap();
    assert_eq!(report.policies[0].details.len(), 501);
    assert_eq!(findings.len(), 50);
    assert!(
        findings[49].text.ends_with("(and 950 findings more)"),
        "{}",
        findings[49].text
    );
}

#[test]
fn a_report_in_a_zip_archive_is_read_and_its_packing_is_a_finding() {
    let name = "sender.example!a.example!1715731200!1715817599.json";
    let zipped = zip(&[(name, PLAIN.as_bytes())]);
    // Of a file that somebody kept nothing is said; the name is compared.
    let found = |bytes: &[u8]| {
        let opened = open(Some("kept.zip"), bytes);
        assert_eq!(opened.unread, []);
        let received = opened.finish(&KeyRecords::new(), Timestamp(0));
        assert_eq!(received.len(), 1);
        assert_eq!(received[0].report, plain());
        rules(&received[0].findings)
    };
    assert_eq!(found(&zipped), [""; 0]);
    let other = name.replace("a.example", "other.example");
    let other = zip(&[(&other, PLAIN.as_bytes())]);
    assert_eq!(found(&other), ["file-name file name"]);

    // In a mail RFC 8460 asks for another packing.
    let mail = mail("application/tlsrpt+json", "application/zip");
    let mail = mail.replace(name, &format!("{name}.zip"));
    let encoded = format!("\n{}", base64_of(&zipped));
    let mail = mail.replace(
        &format!("\n\n{PLAIN}"),
        &format!("\nContent-Transfer-Encoding: base64\n{encoded}"),
    );
    assert_eq!(
        found(mail.as_bytes()),
        [
            "media-type Content-Type of the report",
            "file-name file name",
            "signed DKIM-Signature"
        ]
    );
}

#[test]
fn an_archive_without_a_report_is_none_and_a_damaged_report_in_one_is_said() {
    let unread = |files: &[(&str, &[u8])]| {
        let unread = open(None, &zip(files)).unread;
        let words = |each: Unread| {
            let name = each.attachment.unwrap_or_default();
            (
                format!("{name}: {}", each.error),
                each.error.is_something_else(),
            )
        };
        unread.into_iter().map(words).collect::<Vec<_>>()
    };
    let none = (": the ZIP archive holds no TLS report".to_owned(), true);
    assert_eq!(unread(&[]), std::slice::from_ref(&none));
    assert_eq!(unread(&[("a.txt", b"a text"), ("b.json", b"{}")]), [none]);
    let found = unread(&[
        ("a.json", b"{\"policies\": ["),
        ("b.json", PLAIN.as_bytes()),
    ]);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].0.starts_with("a.json: it is no JSON: "),
        "{found:?}"
    );
    assert!(!found[0].1);
}
