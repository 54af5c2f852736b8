//! Each page, as it is served.

use super::{
    super::host::{Daemon, Host, field, until},
    browser::{At, Browser},
    month::{self, HOSTILE, HOSTILE_DOMAIN},
};

/// A host with a month behind it, its page on a unix socket.
pub(super) fn host_with_a_month(small: usize) -> (Host, Daemon, Browser) {
    let mut host = Host::new();
    host.set("page.path", "page.sock");
    host.set_override("bakery.test", "audit");
    month::fill(&host.file("store"), host.day, small);
    let daemon = host.start();
    let browser = Browser::at(At::Unix(host.file("page.sock")));
    (host, daemon, browser)
}

#[test]
fn the_overview_says_how_the_month_went_and_what_failed() {
    let (host, daemon, mut browser) = host_with_a_month(0);
    let page = browser.shows(
        "/",
        &[
            "Sessions per day, by what protected them",
            "<rect class=\"dane\"",
            "starttls-not-supported",
            "href=\"/domains/oldisp.test\"",
            "Domains with the most failures",
            &format!("Reports of {}", host.day.previous()),
            "<html lang=\"en\">",
        ],
    );
    // Each day of the month is in the table below the chart.
    for before in 0..30 {
        let day = sealpost::clock::UtcDay(host.day.0 - before).to_string();
        assert!(
            page.text()
                .contains(&format!("<th scope=\"row\">{day}</th>")),
            "{day}"
        );
    }
    // What is told to the daemon now is there with the next look.
    let policy = host.say("MX\tcorrect.test\tmx.correct.test");
    let fingerprint = field(&policy, "policy");
    let line =
        format!("SESSION\tcorrect.test\tpolicy={fingerprint}\tmx=mx.correct.test\toutcome=success");
    assert_eq!(host.say(&line), "OK");
    until("the new domain is in the list", || {
        let page = browser.get("/domains?q=correct.test");
        page.text()
            .contains("href=\"/domains/correct.test\"")
            .then_some(())
    });
    assert!(daemon.stop().success());
}

#[test]
fn domains_are_found_by_a_part_of_their_name_and_told_of_one_by_one() {
    let (host, daemon, mut browser) = host_with_a_month(130);
    browser.shows("/domains", &["Found: 141. Shown: 1 to 50.", "rel=\"next\""]);
    let page = browser.shows(
        "/domains?sort=name&page=3",
        &["Found: 141. Shown: 101 to 141."],
    );
    assert!(page.text().contains("university.test"));
    let page = browser.shows(
        "/domains?q=IVERS",
        &["Found: 1. Shown: 1 to 1.", "/domains/university.test"],
    );
    assert!(!page.text().contains("bigmail.test"));
    // As people write it.
    browser.shows("/domains?q=b%C3%BCcher.test", &["xn--bcher-kva.test"]);
    browser.shows(
        "/domains?q=new.example",
        &["No domain fits.", "Nothing is known of new.example"],
    );

    let page = browser.shows(
        "/domains/bank.test",
        &[
            "certificate-expired",
            "The server&#39;s certificate, or one it was issued with, has expired.",
            "mx2.bank.test [192.0.2.25]",
            "mode: enforce",
            "mode: testing",
            "mailto:tlsrpt@bank.test",
            "Look at the domain now",
        ],
    );
    let day = host.day.previous().to_string();
    assert!(
        page.text()
            .contains(&format!("/domains/bank.test/reports/{day}"))
    );
    browser.shows(
        "/domains/bakery.test",
        &["An override is in force", "<b>audit</b>"],
    );
    browser.shows(
        "/domains/never-met.test",
        &["Nothing was counted of this domain"],
    );
    assert_eq!(browser.get("/domains/a..b").status, 400);
    assert_eq!(browser.get("/nowhere").status, 404);
    assert!(daemon.stop().success());
}

#[test]
fn g3_what_a_stranger_writes_stays_text() {
    let (_host, daemon, mut browser) = host_with_a_month(0);
    for path in [
        "/".to_owned(),
        format!("/domains/{HOSTILE_DOMAIN}"),
        "/domains?q=%3Cscript%3Ealert(1)%3C/script%3E".to_owned(),
        "/failures/%3Cscript%3E".to_owned(),
        "/reports?state=%22%3E%3Cscript%3E".to_owned(),
        "/sign-in?link=%22%3E%3Cscript%3E&next=%22%3E%3Cscript%3E".to_owned(),
        "/act?do=purge&domain=%3Cscript%3E".to_owned(),
    ] {
        let page = browser.get(&path);
        let text = page.text();
        assert!(!text.contains("<script"), "{path}: {text}");
        assert!(!text.contains("onload=\"y"), "{path}: {text}");
        let policy = page.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; style-src 'self'"),
            "{policy}"
        );
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert_eq!(page.header("cache-control"), "no-store");
    }
    let page = browser.get(&format!("/domains/{HOSTILE_DOMAIN}"));
    let escaped = HOSTILE.replace('<', "&#60;").replace('>', "&#62;");
    assert!(
        page.text().contains(escaped.split('\'').next().unwrap()),
        "{}",
        page.text()
    );
    assert!(daemon.stop().success());
}

#[test]
fn reports_of_a_day_are_listed_previewed_kept_and_sent() {
    let (host, daemon, mut browser) = host_with_a_month(0);
    let day = host.day.previous().to_string();
    browser.shows(
        "/reports",
        &[
            "550 5.1.1 tlsrpt: no such mailbox",
            "451 4.7.1 greylisted",
            "mailto:tlsrpt@cityhall.test",
            "Lift",
        ],
    );
    let page = browser.shows("/reports?state=given-up", &["Found: 1. Shown: 1 to 1."]);
    assert!(!page.text().contains("greylisted"));
    let report = format!("/domains/bank.test/reports/{day}");
    browser.shows(
        &report,
        &["What people read", "organization-name", "Example Sender"],
    );
    let json = browser.get(&format!("{report}/report.json"));
    assert_eq!(json.header("content-type"), "application/tlsrpt+json");
    let read: serde_json::Value = serde_json::from_slice(&json.body).unwrap();
    assert_eq!(read["organization-name"], "Example Sender");
    let gzip = browser.get(&format!("{report}/report.json.gz"));
    assert!(gzip.body.starts_with(&[0x1f, 0x8b]));
    let name = gzip.header("content-disposition").to_owned();
    assert!(
        name.starts_with("attachment; filename=\"sender.test!bank.test!"),
        "{name}"
    );
    let mail = browser.get(&format!("{report}/report.eml"));
    assert!(
        mail.text().contains("To: tlsrpt@bank.test")
            || mail.text().contains("To: <tlsrpt@bank.test>")
    );
    assert_eq!(browser.get(&format!("{report}/report.exe")).status, 404);

    // Sending is asked for, confirmed, and done; what came of it is shown.
    host.publish_rua("clinic.test", "mailto:tlsrpt@reports.test");
    let path = format!("/act?do=send&day={day}&domain=clinic.test");
    let confirm = browser.shows(&path, &["Send the report on clinic.test"]);
    let fields = [
        ("do", "send"),
        ("day", day.as_str()),
        ("domain", "clinic.test"),
    ];
    let done = browser.post(&confirm, "/act", &fields);
    done.has(&["What came of the reports of", "mailto:tlsrpt@reports.test"]);
    host.wait_for_reports(1);
    assert!(host.log().contains("page: something is done"));
    assert!(daemon.stop().success());
}

#[test]
fn an_operator_forgets_a_policy_and_suppresses_a_destination() {
    let (host, daemon, mut browser) = host_with_a_month(0);
    browser.shows(
        "/policies?mode=testing",
        &["cityhall.test", "20261101T1200"],
    );
    let confirm = browser.shows(
        "/act?do=purge&domain=bank.test",
        &["Forget the policy kept for bank.test?"],
    );
    // To look at the question changes nothing.
    assert_eq!(
        host.run(&["policy", "show", "bank.test"]).status.code(),
        Some(0)
    );
    let done = browser.post(
        &confirm,
        "/act",
        &[("do", "purge"), ("domain", "bank.test")],
    );
    done.has(&["The policy of bank.test is forgotten."]);
    assert_eq!(
        host.run(&["policy", "show", "bank.test"]).status.code(),
        Some(1)
    );
    browser.shows(
        "/domains/bank.test",
        &["No MTA-STS policy of this domain is kept."],
    );

    let path = "/act?do=suppress&destination=tlsrpt%40bank.test&reason=they+asked";
    let confirm = browser.shows(path, &["Send no more reports to mailto:tlsrpt@bank.test?"]);
    let fields = [
        ("do", "suppress"),
        ("destination", "tlsrpt@bank.test"),
        ("reason", "they asked"),
    ];
    browser
        .post(&confirm, "/act", &fields)
        .has(&["mailto:tlsrpt@bank.test gets no more reports."]);
    browser.shows("/reports", &["they asked", "until it is lifted"]);
    let fields = [("do", "lift"), ("destination", "mailto:tlsrpt@bank.test")];
    browser
        .post(&confirm, "/act", &fields)
        .has(&["mailto:tlsrpt@bank.test gets reports again."]);
    // What the daemon refuses is said, and nothing else.
    browser
        .post(&confirm, "/act", &fields)
        .has(&["That did not work", "is not suppressed"]);
    assert!(daemon.stop().success());
}

#[test]
fn an_operator_does_otherwise_for_a_domain_and_ends_that() {
    let (host, daemon, mut browser) = host_with_a_month(0);
    let path = "/act?do=override&domain=bank.test&mode=audit&reason=it+moves";
    let confirm = browser.shows(path, &["Do otherwise for bank.test: audit?"]);
    let holding = || host.json(&["override", "show", "bank.test"])["overrides"][0].clone();
    // To look at the question changes nothing.
    let shown = host.run(&["override", "show", "bank.test"]);
    assert_eq!(shown.status.code(), Some(1));
    let fields = [
        ("do", "override"),
        ("domain", "bank.test"),
        ("mode", "audit"),
        ("reason", "it moves"),
    ];
    browser
        .post(&confirm, "/act", &fields)
        .has(&["bank.test has the override audit."]);
    assert_eq!(holding()["reason"], "it moves");
    let author = holding()["author"].as_str().unwrap().to_owned();
    assert!(author.contains("on the page"), "{author}");
    browser.shows("/overrides", &["it moves", &author, "End: bank.test"]);
    let fields = [
        ("do", "expire"),
        ("domain", "bank.test"),
        ("reason", "done"),
    ];
    browser
        .post(&confirm, "/act", &fields)
        .has(&["The override of bank.test has ended."]);
    assert_eq!(holding()["ended"], true);
    assert_eq!(holding()["ending"]["reason"], "done");
    // What the daemon refuses is said: this one stands in the file.
    let fields = [
        ("do", "override"),
        ("domain", "bakery.test"),
        ("mode", "off"),
        ("reason", "x"),
    ];
    browser.post(&confirm, "/act", &fields).has(&[
        "That did not work",
        "the configuration decides for bakery.test",
    ]);
    assert!(daemon.stop().success());
}

#[test]
fn the_page_speaks_the_language_that_was_chosen() {
    let (_host, daemon, mut browser) = host_with_a_month(0);
    browser
        .headers
        .push(("Accept-Language".to_owned(), "ja-JP,en;q=0.5".to_owned()));
    browser.shows("/", &["<html lang=\"ja\">", "日別セッション数", "主な失敗"]);
    browser.shows("/domains/bank.test", &["証明書を更新し", "英語の説明:"]);
    let chosen = browser.get("/language?to=en&back=%2Fhealth");
    assert_eq!((chosen.status, chosen.header("location")), (303, "/health"));
    browser.shows(
        "/health",
        &[
            "<html lang=\"en\">",
            "Counters since the start",
            "sessions_dropped",
        ],
    );
    browser.shows("/overrides", &["bakery.test", "audit"]);
    browser.shows("/failures", &["sts-webpki-invalid"]);
    browser.shows("/failures/starttls-not-supported", &["What to do"]);
    assert!(daemon.stop().success());
}

#[test]
fn what_is_for_every_domain_is_shown_as_such_and_with_each_that_has_none_of_its_own() {
    let mut host = Host::new();
    host.set("page.path", "page.sock");
    host.set_override("bakery.test", "off");
    host.set_override("*", "audit");
    let daemon = host.start();
    let mut browser = Browser::at(At::Unix(host.file("page.sock")));
    browser.shows("/overrides", &["every other domain", ">bakery.test</a>"]);
    let of = "An override is in force";
    browser.shows("/domains/bakery.test", &[of, "<b>off</b>"]);
    browser.shows("/domains/bank.test", &[of, "<b>audit</b>"]);
    assert!(daemon.stop().success());
}
