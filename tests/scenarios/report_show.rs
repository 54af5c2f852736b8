//! Reports that were written are read back, and `sealpost report show` shows the files of any sender.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    net::IpAddr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use mail_auth::report::tlsrpt::TlsReport;
use sealpost::{
    aggregate::{DomainDay, PolicyTotals},
    clock::{Timestamp, UtcDay},
    config::ReportConfig,
    policy::{AppliedPolicy, PolicyType},
    record::Failure,
    report::{
        Report, Submitter, clean, details,
        read::{
            Authenticity, KeyRecord, KeyRecords, ReceivedDetail, ReceivedPolicy, ReceivedReport,
            Registered, open,
        },
    },
};
use sealpost_kit::{DnsFault, DnsServer};
use sealpost_plugin_api::ResultType;
use serde_json::{Value, json};

use super::report::{compose, golden, keys, mails, submitter};

mod archives;

/// What a reader should make of the report of a day.
fn meant(day: &DomainDay, submitter: &Submitter, id: &str) -> ReceivedReport {
    let cleaned = |lines: &[String]| -> Vec<String> {
        let clean = |line: &String| clean::for_json(line, usize::MAX);
        lines.iter().map(clean).collect()
    };
    let detail = |(failure, sessions): &(Failure, u64)| ReceivedDetail {
        result: Some(Registered::Known(failure.result)),
        sending_ip: failure.sending_ip,
        mx: failure.mx.clone(),
        mx_helo: failure.mx_helo.clone(),
        receiving_ip: failure.receiving_ip,
        sessions: *sessions,
        additional_information: None,
        reason: failure.reason.clone(),
    };
    let config = ReportConfig::default();
    let reported = details::reported(day, config.details_max, &config);
    let policies = day.policies.iter().zip(&reported);
    ReceivedReport {
        organization: Some(submitter.organization().to_owned()),
        begin: Some(day.day.first_second()),
        end: Some(day.day.last_second()),
        contact: Some(submitter.contact().to_owned()),
        id: Some(id.to_owned()),
        policies: policies
            .map(|(totals, details)| ReceivedPolicy {
                policy_type: Some(Registered::Known(totals.policy.policy_type)),
                domain: Some(totals.policy.policy_domain.to_string()),
                policy_string: cleaned(&totals.policy.policy_string),
                mx_host: cleaned(&totals.policy.mx_host),
                successes: totals.successes,
                failures: totals.failures,
                details: details.iter().map(detail).collect(),
            })
            .collect(),
    }
}

/// The keys that the golden mails are signed with, as the DNS has them.
fn key_records() -> Vec<(String, String)> {
    let domain = submitter("any").domain().clone();
    keys()
        .iter()
        .map(|key| (key.record_name(&domain), key.public_record()))
        .collect()
}

/// Reads a report and its mail back.
fn check_read_back(day: &DomainDay, report: &Report, submitter: &Submitter, to: &str) {
    let expected = meant(day, submitter, &report.id);
    let date = day.day.next().first_second();
    let mail = report.mail(to, date, 1, &keys()).unwrap();
    let records: KeyRecords = key_records()
        .into_iter()
        .map(|(name, text)| (name, KeyRecord::Answer(vec![text.into_bytes()])))
        .collect();
    for (name, bytes) in [
        (None, report.json.as_slice()),
        (Some(report.file_name.as_str()), &report.gzip),
        (None, &mail),
    ] {
        let opened = open(name, bytes);
        assert_eq!(opened.unread, []);
        let received = opened.finish(&records, date);
        assert_eq!(received.len(), 1);
        assert_eq!(received[0].report, expected);
        // It is the check of our own reports.
        assert_eq!(received[0].findings, [], "{}", report.id);
        let authenticity = received[0].authenticity.as_ref();
        let expected = (bytes == mail).then_some("pass");
        assert_eq!(authenticity.map(Authenticity::name), expected);
    }
}

#[test]
fn e1_e9_f1_f8_golden_reports_are_read_back_as_they_were_meant_and_break_nothing() {
    for (name, day, to) in mails() {
        let report = compose(&day);
        let organization = if name == "everything" {
            "Br\u{fc}cke Mail GmbH"
        } else {
            "Bridge Mail Ltd"
        };
        check_read_back(&day, &report, &submitter(organization), to);
    }
}

/// Numbers that look random, the same ones each time.
struct Lots(u64);

impl Lots {
    /// Less than `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    fn one_of<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[usize::try_from(self.below(values.len() as u64)).unwrap()]
    }

    fn maybe<T>(&mut self, value: T) -> Option<T> {
        (self.below(2) == 0).then_some(value)
    }

    /// Something that a stranger might say.
    fn words(&mut self) -> String {
        const PIECES: [&str; 12] = [
            "mx",
            "-",
            ".",
            " ",
            "\u{fc}",
            "\"}],",
            "\u{1b}[2J",
            "\\",
            "\u{202e}",
            "null",
            "\r\n",
            "\u{1f4e7}",
        ];
        let length = 1 + self.below(12);
        (0..length).map(|_| *self.one_of(&PIECES)).collect()
    }

    fn address(&mut self) -> IpAddr {
        let number = self.below(1 << 32);
        if self.below(2) == 0 {
            return IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
        }
        IpAddr::from((0x2001_0db8_u128 << 96 | u128::from(number)).to_be_bytes())
    }

    fn failure(&mut self, policy: PolicyType) -> Failure {
        let of_host = |result: &ResultType| !result.concerns_policy();
        let results: Vec<ResultType> = ResultType::ALL
            .into_iter()
            .filter(|result| policy == PolicyType::Sts || of_host(result))
            .collect();
        let result = *self.one_of(&results);
        let words = self.words();
        if result.concerns_policy() {
            return Failure::of_policy(result, words);
        }
        let (mx, mx_helo, reason) = (self.words(), self.words(), self.words());
        let (receiving_ip, sending_ip) = (self.address(), self.address());
        Failure {
            result,
            mx: self.maybe(mx),
            mx_helo: self.maybe(mx_helo),
            receiving_ip: self.maybe(receiving_ip),
            sending_ip: self.maybe(sending_ip),
            reason: self.maybe(reason),
        }
    }

    fn totals(&mut self, domain: &str, number: u64) -> PolicyTotals {
        let policy_type = *self.one_of(&PolicyType::ALL);
        let lines = (0..self.below(5)).map(|line| format!("line {line}: {}", self.words()));
        let policy_string = lines.collect();
        let mx_host = match policy_type {
            PolicyType::Sts => (0..self.below(3))
                .map(|mx| format!("mx{mx}.{domain}"))
                .collect(),
            PolicyType::Tlsa | PolicyType::NoPolicyFound => Vec::new(),
        };
        let policy_domain = match policy_type {
            PolicyType::Tlsa => format!("mx{number}.{domain}"),
            PolicyType::Sts | PolicyType::NoPolicyFound => domain.to_owned(),
        };
        let mut details = Vec::new();
        for _ in 0..self.below(6) {
            details.push((self.failure(policy_type), 1 + self.below(1_000)));
        }
        PolicyTotals {
            policy: AppliedPolicy {
                policy_type,
                policy_domain: policy_domain.parse().unwrap(),
                policy_string,
                mx_host,
            },
            successes: self.below(1 << 40),
            failures: details.iter().map(|(_, sessions)| sessions).sum(),
            details,
        }
    }

    fn day(&mut self) -> DomainDay {
        let domain = *self.one_of(&["a.example", "xn--bcher-kva.example", "mail.a-b.example"]);
        DomainDay {
            domain: domain.parse().unwrap(),
            recipients: 0,
            seen: BTreeMap::new(),
            day: UtcDay(u32::try_from(self.below(40_000)).unwrap()),
            policies: (0..1 + self.below(4))
                .map(|number| self.totals(domain, number))
                .collect(),
        }
    }
}

#[test]
fn e1_e9_whatever_a_day_was_its_report_is_read_back_as_it_was_meant() {
    let mut lots = Lots(0x5EA1_905F);
    let submitter = submitter("Bridge Mail Ltd");
    let mut details = 0;
    for _ in 0..300 {
        let day = lots.day();
        details += day
            .policies
            .iter()
            .map(|totals| totals.details.len())
            .sum::<usize>();
        let report = Report::compose(&day, &submitter, &ReportConfig::default());
        check_read_back(&day, &report, &submitter, "tls@a.example");
    }
    assert!(details > 1_000, "{details}");
}

/// mail-auth, which Stalwart reads reports with.
#[test]
fn e3_mail_auth_reads_every_golden_report_and_mail_alike() {
    for (name, day, _) in mails() {
        let json =
            TlsReport::parse_json(&fs::read(golden(&format!("{name}.json"))).unwrap()).unwrap();
        let mail = fs::read(golden(&format!("{name}.eml"))).unwrap();
        assert_eq!(
            TlsReport::parse_rfc5322(&mail, 1 << 20).unwrap(),
            json,
            "{name}"
        );
        let begin = Timestamp(json.date_range.start_datetime.to_timestamp());
        assert_eq!(begin, day.day.first_second());
        let sum = |count: fn(&mail_auth::report::tlsrpt::Summary) -> u32| -> u64 {
            json.policies
                .iter()
                .map(|policy| u64::from(count(&policy.summary)))
                .sum()
        };
        assert_eq!(
            sum(|summary| summary.total_success),
            day.successes(),
            "{name}"
        );
        assert_eq!(
            sum(|summary| summary.total_failure),
            day.failures(),
            "{name}"
        );
        for (policy, totals) in json.policies.iter().zip(&day.policies) {
            let known = totals.policy.policy_domain.as_str();
            assert_eq!(policy.policy.policy_domain, known, "{name}");
            assert_eq!(
                policy.policy.policy_string, totals.policy.policy_string,
                "{name}"
            );
        }
    }
}

/// `tests/consumers/check.py` holds the reports against the schema.
#[test]
fn d13_the_schema_has_the_registered_names() {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tlsrpt.schema.json");
    let schema: Value = serde_json::from_slice(&fs::read(schema).unwrap()).unwrap();
    let names = |path: &str| schema.pointer(path).unwrap()["enum"].clone();
    let result_types: Vec<&str> = ResultType::ALL.iter().map(|result| result.name()).collect();
    assert_eq!(
        names("/$defs/failure-detail/properties/result-type"),
        json!(result_types)
    );
    let policy_types: Vec<&str> = PolicyType::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(
        names("/$defs/policy/properties/policy-type"),
        json!(policy_types)
    );
}

/// A folder with files of reports, and the command that shows them.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let desk = Self { folder };
        let records: serde_json::Map<String, Value> = key_records()
            .into_iter()
            .map(|(name, text)| (name, Value::String(text)))
            .collect();
        desk.put("keys.json", Value::Object(records).to_string());
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// In the folder, so that names are short.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealpost"));
        command
            .current_dir(self.folder.path())
            .args(["report", "show"])
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    fn show(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What is shown, and how it ended.
    fn text(&self, arguments: &[&str]) -> (String, i32) {
        let output = self.show(arguments);
        let complaints = String::from_utf8(output.stderr).unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (text + &complaints, output.status.code().unwrap())
    }

    fn json(&self, arguments: &[&str]) -> (Value, i32) {
        let output = self.show(&[arguments, &["--json"]].concat());
        let value = serde_json::from_slice(&output.stdout);
        (value.expect("JSON"), output.status.code().unwrap())
    }
}

fn golden_mail(name: &str) -> String {
    fs::read_to_string(golden(&format!("{name}.eml"))).unwrap()
}

/// A report as some senders write them: nothing of it is as RFC 8460 asks, and all of it is clear.
const QUIRKS: &str = r#"{
  "organization-name": "Odd \u001b[2J Sender",
  "date-range": {"start-datetime": "2024-05-15T00:00:00", "end-datetime": "2024-05-15T23:59:59"},
  "contact-info": null,
  "report-id": "odd-1",
  "policies": [{
    "policy": {"policy-type": "STS", "policy-string": "version: STSv1", "policy-domain": "Example.ORG.",
      "mx-host": "mx.example.org"},
    "summary": {"total-successful-session-count": "7", "total-failure-session-count": 2},
    "failure-details": [{"result-type": "certificate-expired", "sending-mta-ip": "", "receiving-ip": null,
      "receiving-mx-hostname": "mx1.example.org", "failed-session-count": 2}]
  }]
}"#;

#[test]
fn our_own_mails_pass_the_strict_check_and_are_summed_up() {
    let desk = Desk::new();
    let files: Vec<String> = mails()
        .iter()
        .map(|(name, ..)| golden(&format!("{name}.eml")).display().to_string())
        .collect();
    let mut arguments = vec!["--strict", "--offline", "--keys", "keys.json"];
    arguments.extend(files.iter().map(String::as_str));
    let (shown, code) = desk.json(&arguments);
    assert_eq!(code, 0, "{shown:#}");
    let totals = &shown["totals"];
    assert_eq!(
        (&totals["reports"], &totals["findings"]),
        (&json!(5), &json!(0))
    );
    let sum = |policy_type: &str, count: &str| -> u64 {
        let rows = totals["policy_types"].as_array().unwrap();
        let row = rows.iter().find(|row| row["policy_type"] == policy_type);
        row.unwrap()[count].as_u64().unwrap()
    };
    let meant = |policy_type: PolicyType, count: fn(&PolicyTotals) -> u64| -> u64 {
        let days = mails();
        let totals = days.iter().flat_map(|(_, day, _)| &day.policies);
        let of_type = totals.filter(|totals| totals.policy.policy_type == policy_type);
        of_type.map(count).sum()
    };
    for policy_type in PolicyType::ALL {
        let name = policy_type.name();
        assert_eq!(
            sum(name, "success"),
            meant(policy_type, |totals| totals.successes)
        );
        assert_eq!(
            sum(name, "failure"),
            meant(policy_type, |totals| totals.failures)
        );
    }
    // The failures of an MX host, with what they mean.
    let failures = totals["failures"].as_array().unwrap();
    let expired = failures.iter().find(|each| {
        each["mx"] == "mx1.xn--bcher-everything-jzb.example"
            && each["result_type"] == "certificate-expired"
    });
    assert_eq!(expired.unwrap()["sessions"], 42);
    assert!(
        expired.unwrap()["remedy"]
            .as_str()
            .unwrap()
            .starts_with("Renew the certificate")
    );

    let (text, code) = desk.text(&arguments);
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("5 reports\n"), "{text}");
    assert!(
        text.contains("Br\u{fc}cke Mail GmbH  xn--bcher-everything-jzb.example"),
        "{text}"
    );
    assert!(text.contains("\nDKIM  REPORTS\npass  5\n"), "{text}");
    assert!(!text.contains("Not as RFC 8460 asks"), "{text}");
}

#[test]
fn a_report_with_quirks_is_shown_with_them_and_only_strict_minds() {
    let desk = Desk::new();
    desk.put("odd.json", QUIRKS);
    let (text, code) = desk.text(&["odd.json"]);
    assert_eq!(code, 0, "{text}");
    for line in [
        "Report  odd-1",
        "By      Odd \\u{1b}[2J Sender, -",
        "Covers  2024-05-15, 2024-05-15T00:00:00Z to 2024-05-15T23:59:59Z",
        "example.org    sts     version: STSv1   7          2",
        "2         certificate-expired  mx1.example.org  -        -",
        "  certificate-expired: It was not renewed; or it was, and the mail server has not read the new file.",
        "  date-range.start-datetime: it has no zone; taken as UTC (time-form, RFC 8460 s4.4)",
        "  contact-info: it is null (empty-member, RFC 8460 s4.4)",
        "  policies[0].policy.mx-host: it is a string, not an array of strings (member-kind, RFC 8460 s4.4)",
        "  policies[0].failure-details[0].sending-mta-ip: it is empty (empty-member, RFC 8460 s4.4)",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
    assert!(!text.contains('\u{1b}'));
    assert_eq!(desk.text(&["--strict", "odd.json"]).1, 1);
    let (shown, code) = desk.json(&["--strict", "odd.json"]);
    assert_eq!(code, 1);
    assert_eq!(
        shown["reports"][0]["findings"].as_array().unwrap().len(),
        10
    );
    assert!(shown["reports"][0].get("dkim").is_none());
}

/// A Maildir and a folder with a mailbox, which hold the same report once more, a damaged one, and what else
/// lies in such places.
fn desk_full_of_mail() -> Desk {
    let desk = Desk::new();
    let (ours, other) = (golden_mail("success-only"), golden_mail("idn"));
    let lunch = "From: a@example.org\r\nSubject: lunch\r\n\r\nAt noon.\r\n";
    let broken = other.replace("H4sI", "H4sJ");
    desk.put("Maildir/cur/1:2,S", &ours);
    desk.put("Maildir/new/2", lunch);
    desk.put("Maildir/new/3", &other);
    desk.put("Maildir/tmp/4", "half a mail");
    let mbox: String = [ours.as_str(), lunch, &broken]
        .iter()
        .map(|mail| {
            format!(
                "From x Thu May 16 01:30:00 2024\n{}\n",
                mail.replace("\r\n", "\n")
            )
        })
        .collect();
    desk.put("kept/inbox", mbox);
    desk.put("kept/notes.txt", "nothing of interest");
    desk.put("kept/more/odd.json", QUIRKS);
    desk.put("kept/.hidden", "{");
    desk
}

#[test]
fn a_mailbox_a_maildir_and_a_folder_give_each_report_once() {
    let desk = desk_full_of_mail();
    let (shown, code) = desk.json(&["--offline", "Maildir"]);
    assert_eq!(code, 0, "{shown:#}");
    assert_eq!(
        (&shown["totals"]["reports"], &shown["passed_over"]),
        (&json!(2), &json!(1))
    );

    let (shown, code) = desk.json(&["--offline", "Maildir", "kept"]);
    assert_eq!(code, 1, "{shown:#}");
    let totals = &shown["totals"];
    assert_eq!(
        (&totals["reports"], &totals["repeated"]),
        (&json!(3), &json!(1))
    );
    assert_eq!(shown["passed_over"], 3);
    let sources: Vec<_> = shown["reports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| &each["source"])
        .collect();
    assert_eq!(
        sources,
        [
            "Maildir/cur/1:2,S",
            "Maildir/new/3",
            "kept/inbox, mail 1",
            "kept/more/odd.json"
        ]
    );
    assert_eq!(shown["reports"][2]["repeats"], "Maildir/cur/1:2,S");
    // What is damaged is said, with its place, and the rest is read.
    let unread = shown["unread"].as_array().unwrap();
    assert_eq!(unread.len(), 1, "{unread:?}");
    assert_eq!(unread[0]["source"], "kept/inbox, mail 3");
    assert!(
        unread[0]["attachment"]
            .as_str()
            .unwrap()
            .starts_with("sender.example!")
    );

    let (text, code) = desk.text(&["--offline", "Maildir", "kept", "--each"]);
    assert_eq!(code, 1);
    assert!(text.contains("\nSame as Maildir/cur/1:2,S\n"), "{text}");
    assert!(
        text.contains("\n3 reports, 1 more that came twice\n"),
        "{text}"
    );
    assert!(
        text.contains("\nPassed over, for they are no reports: 3\n"),
        "{text}"
    );
    assert!(
        text.contains("\nNot read\n  kept/inbox, mail 3, part sender.example!"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_read_is_said_for_each_file_and_the_rest_goes_on() {
    let desk = Desk::new();
    desk.put(
        "lunch.eml",
        "From: a@example.org\r\nSubject: lunch\r\n\r\nAt noon.\r\n",
    );
    desk.put("cut.json", &QUIRKS[..200]);
    desk.put("bomb.json.gz", bomb());
    desk.put("a.zip", b"PK\x03\x04\x14\0");
    desk.put("good.json", fs::read(golden("idn.json")).unwrap());
    fs::create_dir(desk.path("empty")).unwrap();
    let names = [
        "missing.json",
        "lunch.eml",
        "cut.json",
        "bomb.json.gz",
        "a.zip",
        "empty",
        "good.json",
    ];
    let (text, code) = desk.text(&names);
    assert_eq!(code, 1, "{text}");
    for line in [
        "  missing.json: No such file or directory (os error 2)",
        "  lunch.eml: the mail holds no TLS report",
        "  bomb.json.gz: it is longer than 20 MiB, which no report is",
        "  a.zip: it is damaged: its ZIP: Missing end of central directory",
        "  empty: there is no file in it",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
    assert!(
        text.contains("\n  cut.json: it is no JSON: EOF while parsing"),
        "{text}"
    );
    assert!(text.contains("By      Bridge Mail Ltd"), "{text}");

    for (arguments, said) in [
        (
            &["no such"][..],
            "\"no such\" is neither a file here nor a domain",
        ),
        (
            &["good.json", "example.org"],
            "\"example.org\" is no file here; a domain is shown by itself",
        ),
        (
            &["good.json", "--day", "2024-05-15"],
            "--day is for a domain; a file is shown whole",
        ),
        (
            &["example.org", "--strict"],
            "--strict is for files, and example.org is no file here",
        ),
        (
            &["good.json", "--keys", "cut.json"],
            "--keys cut.json: it is not JSON of the form",
        ),
    ] {
        let (text, code) = desk.text(arguments);
        assert_eq!(code, 64, "{text}");
        assert!(text.contains(said), "{text}");
    }
}

/// Whoever reads it has agreed to nothing, and we have not either.
#[test]
fn what_a_failure_means_is_said_of_the_reports_sender_and_not_of_us() {
    let desk = Desk::new();
    let report = fs::read_to_string(golden("idn.json")).unwrap();
    let mut report: Value = serde_json::from_str(&report).unwrap();
    report["policies"] = json!([{
        "policy": {"policy-type": "tlsa", "policy-domain": "mx.example.org"},
        "summary": {"total-successful-session-count": 0, "total-failure-session-count": 1},
        "failure-details": [{"result-type": "dane-required", "failed-session-count": 1}],
    }]);
    desk.put("theirs.json", report.to_string());
    for arguments in [&["theirs.json"][..], &["theirs.json", "theirs.json"]] {
        let (text, code) = desk.text(arguments);
        assert_eq!(code, 0, "{text}");
        assert!(text.contains("or tell the sender that DANE"), "{text}");
        assert!(!text.contains(" us "), "{text}");
    }
}

/// Some kilobytes that unpack to more than a report may have.
fn bomb() -> Vec<u8> {
    sealpost::report::gzip::gzip(&vec![b' '; 21 << 20])
}

#[test]
fn standard_input_is_a_file_too() {
    let desk = Desk::new();
    let mut child = desk
        .command(&["-", "--offline", "--keys", "keys.json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(golden_mail("dane").as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("\nIn      standard input, part sender.example!"),
        "{text}"
    );
    assert!(
        text.contains("\nDKIM    pass: signed by sender.example (rsa2024, rsa-sha256)\n"),
        "{text}"
    );
}

/// Keys are asked of the configured resolvers, each once.
#[tokio::test(flavor = "multi_thread")]
async fn f5_keys_are_asked_of_the_dns() {
    let dns = DnsServer::start().await.unwrap();
    let desk = Desk::new();
    desk.put(
        "sealpost.toml",
        format!(
            "[dns]\nservers = [\"{}\"]\ntimeout_ms = 1000\n",
            dns.address()
        ),
    );
    desk.put("a.eml", golden_mail("success-only"));
    desk.put("b.eml", golden_mail("idn"));
    let verdicts = |desk: &Desk| -> Vec<String> {
        let (shown, _) = desk.json(&["--config", "sealpost.toml", "a.eml", "b.eml"]);
        let reports = shown["reports"].as_array().unwrap().iter();
        reports
            .map(|report| {
                let (result, text) = (&report["dkim"]["result"], &report["dkim"]["text"]);
                format!("{}: {}", result.as_str().unwrap(), text.as_str().unwrap())
            })
            .collect()
    };
    // Without a key nothing is known; who sent the mail may have taken it out.
    let seen = verdicts(&desk);
    assert!(
        seen[0].starts_with("unknown: signed by sender.example: there is no key"),
        "{seen:?}"
    );

    for (name, record) in key_records() {
        dns.set_txt(&name, &[&record]);
    }
    dns.forget_questions();
    let seen = verdicts(&desk);
    assert_eq!(
        seen,
        ["pass: signed by sender.example (rsa2024, rsa-sha256)"; 2]
    );
    assert_eq!(
        dns.times_asked("rsa2024._domainkey.sender.example", "TXT"),
        1
    );

    for (name, _) in key_records() {
        dns.fail(&name, DnsFault::ServFail);
    }
    let seen = verdicts(&desk);
    assert!(
        seen[1].contains("the resolver answers SERVFAIL"),
        "{seen:?}"
    );

    dns.forget_questions();
    let (shown, code) = desk.json(&["--config", "sealpost.toml", "--offline", "a.eml"]);
    assert_eq!(
        (&shown["reports"][0]["dkim"]["result"], code),
        (&json!("unknown"), 0)
    );
    assert!(dns.questions().is_empty(), "{:?}", dns.questions());
}

/// The reports of a demo, in the folder it left, with the keys it wrote down.
pub(super) fn check_strictly(folder: &Path, keys: &Path, reports: usize) {
    let output = Command::new(env!("CARGO_BIN_EXE_sealpost"))
        .args([
            "report",
            "show",
            "--strict",
            "--offline",
            "--json",
            "--keys",
        ])
        .args([keys, folder])
        .output()
        .unwrap();
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{shown:#}");
    assert_eq!(shown["totals"]["reports"], reports);
    for report in shown["reports"].as_array().unwrap() {
        if let Some(dkim) = report.get("dkim") {
            assert_eq!(dkim["result"], "pass", "{report:#}");
        }
    }
}
