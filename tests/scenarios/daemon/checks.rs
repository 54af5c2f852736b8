//! `sealpost check` and `--probe`, by the daemon that guards the host.

use sealpost::{
    clock::UtcDay,
    policy::AppliedPolicy,
    record::{Failure, Source, protection::Protection},
    store::{Batch, Counted, FailureRecord, Store as _},
};
use sealpost_kit::{Cases, ReportMail};
use sealpost_plugin_api::ResultType;
use serde_json::{Value, json};

use super::host::{Before, Host, level, until};

/// A host among domains with DANE.
fn host() -> Host {
    let mut host = Host::among(Cases::Postfix);
    host.set("socketmap.dane_only", "always");
    host
}

/// `finding, usability of the records, whether the certificate matches, level, by whom`, for each host.
fn said(check: &Value) -> Vec<String> {
    let hosts = check["mx"]["hosts"].as_array().unwrap();
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    hosts
        .iter()
        .map(|host| {
            let records = host["dane"]["records"].as_array().unwrap();
            let records: Vec<String> = records
                .iter()
                .map(|each| word(&each["usability"]))
                .collect();
            let matches = match &host["live"]["dane_matches"] {
                Value::Bool(true) => "matches",
                Value::Bool(false) => "no match",
                _ => "-",
            };
            format!(
                "{} [{}] {matches}: {} by {}",
                word(&host["dane"]["finding"]),
                records.join(" "),
                word(&host["level"]),
                word(&host["decided_by"])
            )
        })
        .collect()
}

#[test]
fn each_domain_with_dane_is_explained() {
    let host = host();
    let daemon = host.start();
    for (domain, expected, sentence) in [
        (
            "dane-ok.test",
            &["records [usable] matches: dane by dane"][..],
            "Mail goes by DANE to 1 of 1 MX host.",
        ),
        (
            "dane-bad.test",
            &["records [usable usable] no match: dane by dane"],
            "The certificate of mx.dane-bad.test does not satisfy its TLSA records, for it matches none of the records \
             (validation-failure: dane-no-match): mail to it waits.",
        ),
        (
            "dane-unusable.test",
            &["records [unusable] -: encrypt by dane"],
            "Mail goes over TLS with whatever certificate to 1 of 1 MX host.",
        ),
        (
            "dane-nostarttls.test",
            &["records [usable] -: dane by dane"],
            "mx.dane-nostarttls.test has no TLS (STARTTLS is not offered): mail to it waits.",
        ),
        (
            "dane-bogus.test",
            &["unreachable [] -: refuse by dane"],
            "Mail waits: none of the domain's MX hosts may be used now.",
        ),
        (
            "dane-twomx.test",
            &[
                "records [usable usable] no match: dane by dane",
                "records [usable] matches: dane by dane",
            ],
            "The certificate of mx1.dane-twomx.test does not satisfy its TLSA records, for it matches none",
        ),
        (
            "both.test",
            &["records [usable] matches: dane by dane"],
            "Mail goes by DANE to 1 of 1 MX host.",
        ),
    ] {
        let output = host.run(&["check", domain, "--probe", "--json"]);
        let check: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(said(&check), expected, "{domain}: {check:#}");
        let text = check["outcome"]["text"].as_str().unwrap();
        assert!(text.contains(sentence), "{domain}: {text}");
        // A host whose certificate will not do is as one that may not be used.
        let hosts = check["mx"]["hosts"].as_array().unwrap().len();
        let lost = text.matches("mail to it waits").count();
        assert_eq!(
            check["outcome"]["deliverable"],
            hosts > lost && !text.contains("Mail waits"),
            "{domain}: {text}"
        );
    }
    // Nobody was sent anything.
    assert!(host.internet.mx_hosts.messages().is_empty());
    assert!(daemon.stop().success());
}

#[test]
fn a_check_reads_as_a_postmaster_reads_it() {
    let host = host();
    let daemon = host.start();
    let text = host.shown(&["check", "dane-ok.test", "--probe"]);
    let certificate = host.internet.mx_hosts.certificate_of("mx.dane-ok.test");
    let digest: String = certificate
        .unwrap()
        .public_key_sha256()
        .iter()
        .map(|octet| format!("{octet:02X}"))
        .collect();
    let address = host
        .internet
        .mx_hosts
        .address_of("mx.dane-ok.test")
        .unwrap()
        .ip();
    let expected = format!(
        "DANE      DNSSEC is validated by the resolver\n  \
           MX records: signed\n  \
           mx.dane-ok.test: the MX records are signed; its addresses and TLSA records are signed\n    \
             3 1 1 {digest}  usable\n    \
             names below usage 2: mx.dane-ok.test, dane-ok.test\n\
         Seen\n  \
           mx.dane-ok.test at {address}: TLS comes up\n    \
             DANE     matches: 3 1 1 {digest} is the server's certificate\n"
    );
    assert!(
        text.contains(&expected),
        "{text}\n--- not in it:\n{expected}"
    );
    assert!(text.contains("QUERYwithTLSRPT: OK dane-only"), "{text}");
    assert!(daemon.stop().success());
}

/// Until the door is opened anew it answers as before, and so says a check; what is taken up at once is shown
/// at once.
#[test]
fn a_check_shows_what_the_door_goes_by_and_not_what_it_will() {
    let mut host = host();
    let mut daemon = host.start();
    host.set("socketmap.dane_only", "never");
    host.write_config();
    daemon.reload();
    let text = host.shown(&["check", "dane-ok.test"]);
    assert!(text.contains("QUERYwithTLSRPT: OK dane-only"), "{text}");
    host.set_override("dane-ok.test", "without-dane");
    host.write_config();
    daemon.reload();
    let text = host.shown(&["check", "dane-ok.test"]);
    assert!(text.contains("QUERYwithTLSRPT: OK may"), "{text}");
    assert!(text.contains("sts: NOTFOUND"), "{text}");
    assert!(daemon.stop().success());
    let daemon = host.start();
    let text = host.shown(&["check", "dane-ok.test"]);
    assert!(text.contains("QUERYwithTLSRPT: NOTFOUND"), "{text}");
    assert!(daemon.stop().success());
}

/// A day so long before today.
fn before(host: &Host, days: u32) -> UtcDay {
    UtcDay(host.day.0 - days)
}

/// Texts of a member of each element.
fn texts(list: &Value, member: &str) -> Vec<String> {
    let list = list.as_array().unwrap().iter();
    list.map(|each| each[member].as_str().unwrap().to_owned())
        .collect()
}

/// A host with mail to correct.test behind it: thirteen days ago, yesterday and, before any that counts, the day before.
fn host_with_a_fortnight() -> Host {
    let host = Host::new();
    let (early, yesterday) = (before(&host, 13), host.day.previous());
    let expired = || Counted::Detail(Failure::of_policy(ResultType::CertificateExpired, ""));
    let by = Counted::Protected;
    let rows = [
        (before(&host, 14), by(Protection::Clear), 99),
        (early, by(Protection::Tls), 4),
        (early, Counted::Failures, 3),
        (early, expired(), 3),
        (yesterday, by(Protection::Dane), 5),
        (yesterday, by(Protection::Refused), 2),
        (yesterday, Counted::Successes, 5),
        (yesterday, Counted::Failures, 2),
        (yesterday, expired(), 2),
    ];
    let other = (before(&host, 3), "other.test", by(Protection::Tls), 8);
    let rows = rows
        .into_iter()
        .map(|(day, counted, sessions)| (day, "correct.test", counted, sessions));
    let rows = rows.chain([other]).map(|(day, domain, counted, sessions)| {
        Before::without_policy(day, domain, counted, sessions)
    });
    host.counted_before(rows);
    host
}

/// What a check has of the last days, once yesterday's report, which is due, was sent.
fn history_with_report(host: &Host) -> Value {
    until("the report is sent", || {
        let history = host.json(&["check", "correct.test"])["history"].clone();
        let states = texts(&history["deliveries"], "state");
        states.contains(&"sent".to_owned()).then_some(history)
    })
}

#[test]
fn an_operator_sees_what_this_host_saw_of_a_domain_in_the_last_fourteen_days() {
    let host = host_with_a_fortnight();
    let (early, yesterday) = (before(&host, 13), host.day.previous());
    let daemon = host.start();
    // And now, at noon: a host that the policy does not list.
    let told = host.say("MX\tcorrect.test\tmx.stranger.test");
    assert!(told.starts_with("refuse"), "{told}");
    let history = history_with_report(&host);
    assert_eq!(history["since"], json!(early.to_string()));
    assert_eq!(history["until"], json!(host.day.to_string()));
    assert_eq!(
        texts(&history["days"], "day"),
        [early, yesterday, host.day].map(|day| day.to_string())
    );
    let total = &history["total"];
    let numbers = ["sessions", "dane", "sts", "tls", "clear", "refused"];
    let numbers = numbers.map(|name| total[name].as_u64().unwrap());
    assert_eq!(numbers, [12, 5, 0, 4, 0, 3]);
    assert_eq!(
        texts(&history["failures"], "result_type"),
        ["validation-failure", "certificate-expired"]
    );
    let (refused, expired) = (&history["failures"][0], &history["failures"][1]);
    let noon = format!("{}T12:00", host.day);
    for member in ["first_at", "last_at"] {
        let at = refused[member].as_str().unwrap();
        assert!(at.starts_with(&noon), "{refused}");
        // Of the days before only the sums were left.
        assert_eq!(expired[member], Value::Null);
    }
    assert_eq!(expired["sessions"], 5);
    assert_eq!(expired["first_day"], json!(early.to_string()));
    assert_eq!(expired["last_day"], json!(yesterday.to_string()));
    assert_eq!(
        texts(&history["deliveries"], "day"),
        [yesterday.to_string()]
    );
    // On these days nothing was counted of anybody; on the third before today something was.
    let not_held = history["not_held"].as_array().unwrap();
    assert_eq!(not_held.len(), 10);
    assert!(!not_held.contains(&json!(before(&host, 3).to_string())));
    assert_eq!(history["unreadable"], json!([]));
    assert!(daemon.stop().success());
}

#[test]
fn what_this_host_saw_of_a_domain_is_read_as_a_table_and_said_to_be_unknown_without_the_daemon() {
    let host = host_with_a_fortnight();
    let (today, yesterday) = (host.day, host.day.previous());
    let daemon = host.start();
    history_with_report(&host);
    let text = host.shown(&["check", "correct.test"]);
    for line in [
        format!(
            "History   {} to {today} (UTC): 11 sessions with it",
            before(&host, 13)
        ),
        format!("  {yesterday}  7         5"),
        format!("  {yesterday}  sent   {today}"),
        format!("{} to {}", before(&host, 12), before(&host, 4)),
    ] {
        assert!(text.contains(&line), "{line}: {text}");
    }
    // Of a domain that nobody ever sent mail to.
    let history = host.json(&["check", "never-met.test"])["history"].clone();
    assert_eq!(
        (&history["days"], &history["failures"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(history["total"]["sessions"], 0);
    assert!(daemon.stop().success());
    let check = host.json(&["check", "correct.test", "--no-daemon"]);
    assert_eq!(check["history"], Value::Null);
    let text = host.run(&["check", "correct.test", "--no-daemon"]).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("History   not known"), "{text}");
}

#[test]
fn a_damaged_day_is_told_with_its_reason_and_costs_neither_the_other_days_nor_a_report() {
    let host = host_with_a_fortnight();
    let (packed, single) = (before(&host, 13), before(&host, 3));
    let (yesterday, today) = (host.day.previous(), host.day);
    let failure = FailureRecord {
        at: yesterday.first_second(),
        domain: "correct.test".parse().unwrap(),
        policy: AppliedPolicy::no_policy_found("correct.test".parse().unwrap()).fingerprint(),
        source: Source::Mta,
        failure: Failure::of_policy(ResultType::CertificateExpired, ""),
    };
    let batch = Batch {
        failures: vec![failure],
        ..Batch::default()
    };
    let store = host.open_store();
    store.commit(&batch).unwrap();
    store.seal(packed).unwrap();
    drop(store);
    host.damage("sealed", packed);
    host.damage("tallies", single);
    // Of this one only at which times it had failures.
    host.damage("failures", yesterday);

    let daemon = host.start();
    let told = host.say("MX\tcorrect.test\tmx.stranger.test");
    assert_eq!(level(&told), "refuse", "mail goes on: {told}");
    let history = history_with_report(&host);
    assert_eq!(
        texts(&history["days"], "day"),
        [yesterday, today].map(|day| day.to_string())
    );
    assert_eq!(history["total"]["sessions"], 8);
    let unreadable = &history["unreadable"];
    assert_eq!(
        texts(unreadable, "day"),
        [packed, yesterday].map(|day| day.to_string())
    );
    for reason in texts(unreadable, "reason") {
        assert!(reason.contains(" is damaged: "), "{reason}");
    }
    let text = host.shown(&["check", "correct.test"]);
    for day in [packed, yesterday] {
        let line = format!("  {day}: cannot be read in full: the store at ");
        assert!(text.contains(&line), "{line}\n{text}");
    }
    // A row that lies singly is its domain's own trouble; a block is that of all whose rows are packed there.
    let other = host.json(&["check", "other.test"])["history"].clone();
    assert_eq!(
        texts(&other["unreadable"], "day"),
        [packed, single].map(|day| day.to_string())
    );
    // The report says what it can: how many sessions, and not since when they fail.
    host.wait_for_log("the report does not tell in full since when sessions fail");
    let mail = ReportMail::parse(&host.wait_for_reports(1)[0].data).unwrap();
    let report: Value = serde_json::from_slice(&mail.json).unwrap();
    let summary = &report["policies"][0]["summary"];
    assert_eq!(summary["total-failure-session-count"], 2);
    assert!(daemon.stop().success());
}

#[test]
fn what_exim_would_be_told_is_what_exim_is_told() {
    let host = host();
    let daemon = host.start();
    for (domain, mx) in [
        ("dane-ok.test", "mx.dane-ok.test"),
        ("dane-bogus.test", "mx.dane-bogus.test"),
        ("both.test", "mx.both.test"),
    ] {
        let check = host.json(&["check", domain]);
        let would = [
            &check["plugin_socket"],
            &check["mx"]["hosts"][0]["plugin_socket"],
        ];
        let is = [format!("POLICY\t{domain}"), format!("MX\t{domain}\t{mx}")];
        for (would, question) in would.iter().zip(&is) {
            assert_eq!(would.as_str().unwrap(), host.say(question), "{question}");
        }
    }
    assert!(daemon.stop().success());
}

#[test]
fn b18_every_fault_of_a_policy_is_shown_at_its_line() {
    let host = Host::new();
    let daemon = host.start();
    let text = String::from_utf8(host.run(&["check", "policy-rubbish.test"]).stdout).unwrap();
    assert!(
        text.contains("Policy    invalid: https://mta-sts.policy-rubbish.test"),
        "{text}"
    );
    assert!(text.contains("\n    1  "), "{text}");
    assert!(text.contains("\n       ^ \""), "{text}");
    assert!(text.contains("\n       there is no version\n"), "{text}");
    assert!(daemon.stop().success());
}

#[test]
fn the_certificate_that_a_mail_host_shows_is_told() {
    let host = Host::new();
    let daemon = host.start();
    let check = host.json(&["check", "expired.test", "--probe"]);
    let certificate = &check["mx"]["hosts"][0]["live"]["certificate"];
    assert_eq!(certificate["names"], json!(["mx.expired.test"]));
    assert!(
        certificate["days_left"].as_i64().unwrap() < 0,
        "{certificate}"
    );
    let text = String::from_utf8(host.run(&["check", "expired.test", "--probe"]).stdout).unwrap();
    assert!(text.contains("certificate for mx.expired.test\n"), "{text}");
    assert!(text.contains(": it has expired\n"), "{text}");
    assert!(daemon.stop().success());
}
