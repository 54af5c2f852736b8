//! An MX host's own report (A2), as an operator sees it and as it arrives.

use sealpost::{
    policy::{AppliedPolicy, PolicyType},
    store::Counted,
};
use sealpost_kit::ReportMail;
use serde_json::{Value, json};

use super::host::{Before, Host};

const MX_HOST: &str = "mx.correct.test";

/// What the MX host publishes: one mailbox gets reports of a recipient domain too.
const TWO_MAILBOXES: &str = "mailto:TLSRPT@reports.test,mailto:hosts@reports.test";

/// A host that had sessions yesterday with two domains whose mail goes to one MX host with TLSA records:
/// one of them has its reports sent where the MX host's go.
fn host() -> Host {
    let host = Host::new();
    // The day is over and left to settle: nothing leaves by itself.
    host.set_clock(host.day.first_second().plus_seconds(600));
    let day = host.day.previous();
    let tlsa = AppliedPolicy {
        policy_type: PolicyType::Tlsa,
        policy_string: vec!["3 1 1 AB".to_owned()],
        ..AppliedPolicy::no_policy_found(MX_HOST.parse().unwrap())
    };
    let rows = [("correct.test", 3), ("no-rua.test", 40)];
    host.counted_before(rows.into_iter().map(|(domain, sessions)| Before {
        day,
        domain,
        policy: tlsa.clone(),
        counted: Counted::Successes,
        sessions,
    }));
    host
}

fn publish(host: &Host, rua: &str) {
    let name = format!("_smtp._tls.{MX_HOST}");
    let record = format!("v=TLSRPTv1; rua={rua}");
    host.internet.dns.set_txt(&name, &[&record]);
}

fn counted(report: &Value) -> &Value {
    &report["policies"][0]["summary"]["total-successful-session-count"]
}

#[test]
fn a2_an_mx_host_has_a_report_that_an_operator_sees_and_that_leaves_once() {
    let host = host();
    publish(&host, TWO_MAILBOXES);
    let daemon = host.start();
    let day = host.day.previous().to_string();
    let preview = host.json(&["report", "preview", MX_HOST, "--day", &day]);
    assert_eq!(preview["sessions"], 43);
    let note = "mailto:TLSRPT@reports.test gets the own reports of 1 of the 2 recipient domains, and is \
                not told the same again; not gone yet: correct.test";
    assert_eq!(preview["notes"], json!([note]));

    let sent = host.json(&["report", "send", "--day", &day]);
    let outcomes: Vec<[&str; 3]> = sent["reports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| {
            ["domain", "destination", "outcome"].map(|name| each[name].as_str().unwrap_or("-"))
        })
        .collect();
    assert_eq!(
        outcomes,
        [
            ["correct.test", "mailto:tlsrpt@reports.test", "sent"],
            [MX_HOST, "mailto:TLSRPT@reports.test", "sent"],
            [MX_HOST, "mailto:hosts@reports.test", "sent"],
            ["no-rua.test", "-", "no-destination"],
        ]
    );
    let mut arrived: Vec<(String, u64)> = host
        .internet
        .mx_hosts
        .messages()
        .iter()
        .map(|message| {
            assert_eq!(host.internet.dkim_verdict(message), Ok(()));
            let mail = ReportMail::parse(&message.data).unwrap();
            let report: Value = serde_json::from_slice(&mail.json).unwrap();
            let about = mail.field("TLS-Report-Domain").unwrap();
            (about.to_owned(), counted(&report).as_u64().unwrap())
        })
        .collect();
    arrived.sort();
    assert_eq!(
        arrived,
        [
            ("correct.test".to_owned(), 3),
            (MX_HOST.to_owned(), 40),
            (MX_HOST.to_owned(), 43),
        ]
    );

    // By its name: what was sent, and that it is not sent again.
    let shown = host.shown(&["report", "show", MX_HOST, "--day", &day]);
    assert!(
        shown.contains("Mail for 2 recipient domains went to it as an MX host"),
        "{shown}"
    );
    let listed = host.json(&["report", "list", "--domain", MX_HOST, "--day", &day]);
    assert_eq!(listed["deliveries"].as_array().unwrap().len(), 2);
    let again = host.json(&["report", "send", "--day", &day, "--domain", MX_HOST]);
    assert_eq!(again["reports"][0]["outcome"], "already-sent");
    assert!(daemon.stop().success());
}

#[test]
fn a2_an_mx_host_that_asks_for_nothing_is_shown_where_it_is_named() {
    let host = host();
    let daemon = host.start();
    let day = host.day.previous().to_string();
    let sent = host.shown(&["report", "send", "--day", &day]);
    assert!(
        sent.contains("correct.test") && !sent.contains(MX_HOST),
        "{sent}"
    );
    let listed = host.shown(&["report", "list", "--day", &day]);
    assert!(!listed.contains(MX_HOST), "{listed}");
    let named = host.shown(&["report", "list", "--day", &day, "--domain", MX_HOST]);
    assert!(
        named.contains(MX_HOST) && named.contains("asks for no reports"),
        "{named}"
    );
    let preview = host.json(&["report", "preview", MX_HOST, "--day", &day]);
    assert_eq!(*counted(&preview["report"]), 43);
    assert_eq!(preview["notes"], json!(["the domain asks for no reports"]));
    assert!(daemon.stop().success());
}

#[test]
fn a2_sent_by_itself_an_mx_hosts_report_says_what_it_leaves_to_reports_that_have_not_gone() {
    let host = host();
    publish(&host, TWO_MAILBOXES);
    let daemon = host.start();
    let day = host.day.previous().to_string();
    let send = |domain| host.shown(&["report", "send", "--day", &day, "--domain", domain]);
    let note = "\nNote: mailto:TLSRPT@reports.test gets the own reports of 1 of the 2 recipient domains, and is \
                not told the same again";
    let sent = send(MX_HOST);
    let not_gone = format!("{note}; not gone yet: correct.test\n");
    assert!(sent.ends_with(&not_gone), "{sent}");
    assert_eq!(sent.matches("Note:").count(), 1, "{sent}");
    // What was sent before leaves out nothing now, and a recipient domain's has nothing to leave out.
    for domain in [MX_HOST, "correct.test"] {
        let sent = send(domain);
        assert!(!sent.contains("Note:"), "{sent}");
    }
    let preview = host.json(&["report", "preview", MX_HOST, "--day", &day]);
    assert_eq!(
        preview["notes"],
        json!([note.trim_start_matches("\nNote: ")])
    );
    assert!(daemon.stop().success());
}
