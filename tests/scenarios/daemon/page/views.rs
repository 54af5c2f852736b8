//! The pages that tell what was decided, what is alerted of, and what the doctor found.

use sealpost::{
    clock::UtcDay,
    config::StoreConfig,
    observe::audit::{AuditEntry, AuditKind},
    store::{SledStore, Store as _},
};

use super::{
    super::host::{Host, until},
    browser::{At, Browser},
    month::{HOSTILE, HOSTILE_DOMAIN},
    pages::host_with_a_month,
};

/// Where texts stand in a page, in this order.
#[track_caller]
fn in_order(page: &str, texts: &[&str]) {
    let mut rest = page;
    for text in texts {
        let at = rest.find(text);
        let at = at.unwrap_or_else(|| panic!("no {text}, or not in order: {page}"));
        rest = rest.get(at + text.len()..).unwrap();
    }
}

#[test]
fn decisions_are_read_newest_first_by_domain_and_kind() {
    let (host, daemon, mut browser) = host_with_a_month(0);
    let page = browser.get("/audit");
    page.has(&[
        "<span>Sealpost</span>",
        "SHA-256 of the last",
        "Ada Example",
    ]);
    in_order(
        page.text(),
        &[
            "the daemon started",
            "override ended",
            "mail refused",
            "override set",
            "policy changed",
        ],
    );
    assert!(!page.text().contains("<script"), "{}", page.text());
    let page = browser.shows("/audit?q=bank.test&kind=mail-refused", &["Shown: 6."]);
    assert!(!page.text().contains("Ada Example"));
    let oldest = format!("sessions on {}", UtcDay(host.day.0 - 8));
    let newest = format!("sessions on {}", UtcDay(host.day.0 - 3));
    in_order(page.text(), &[&newest, &oldest]);
    // What a stranger wrote stays text, also where a form gives it back.
    let page = browser.get(&format!("/audit?q={HOSTILE_DOMAIN}"));
    let escaped = HOSTILE.replace('<', "&#60;").replace('>', "&#62;");
    page.has(&[escaped.split('\'').next().unwrap()]);
    for path in [
        "/audit?q=%22%3E%3Cscript%3E",
        "/audit?kind=%3Cscript%3E&before=%3Cscript%3E",
    ] {
        let page = browser.get(path);
        assert!(
            page.status == 200 && !page.text().contains("<script"),
            "{path}"
        );
    }
    browser.shows("/audit?q=no+name", &["There are no such decisions."]);
    // The domain's own page has them too, and the way to all of them.
    let page = browser.shows(
        "/domains/bank.test",
        &["Decisions about this domain", "href=\"/audit?q=bank.test\""],
    );
    in_order(
        page.text(),
        &["override ended", "mail refused", "override set"],
    );
    browser.shows(
        "/domains/oldisp.test",
        &["No decision about this domain is in the log."],
    );
    // The command has the same kinds.
    let refused = host.json(&["audit", "--kind", "mail-refused", "--domain", "bank.test"]);
    assert_eq!(refused["entries"].as_array().unwrap().len(), 6);
    let wrong = host.run(&["audit", "--kind", "mail-lost"]);
    assert_eq!(wrong.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("policy-changed"));
    assert!(daemon.stop().success());
}

#[test]
fn a_long_log_is_paged_by_what_stands_in_it() {
    let mut host = Host::new();
    host.set("page.path", "page.sock");
    let config = StoreConfig {
        path: host.file("store"),
        free_space_min_mib: 0,
        ..StoreConfig::default()
    };
    let store = SledStore::open(&config).unwrap();
    let at = host.day.previous().first_second();
    let entries: Vec<_> = (1..=120)
        .map(|number| {
            let words = format!("decision number {number}.");
            AuditEntry::new(at.plus_seconds(number), AuditKind::Reloaded, words)
        })
        .collect();
    store.append_audit(&entries).unwrap();
    drop(store);
    let daemon = host.start();
    let mut browser = Browser::at(At::Unix(host.file("page.sock")));
    let mut path = "/audit?kind=reloaded".to_owned();
    let mut seen = Vec::new();
    for (first, last) in [(120, 71), (70, 21), (20, 1)] {
        let page = browser.get(&path);
        let (first, last) = (format!("number {first}."), format!("number {last}."));
        in_order(page.text(), &[&first, &last]);
        seen.push(page.text().matches("decision number").count());
        let next = page.text().split("rel=\"next\"").next().unwrap();
        let next = next.rsplit("href=\"").next().unwrap();
        path = next.split('"').next().unwrap().replace("&#38;", "&");
        // Meanwhile something is decided; nothing moves by that.
        let output = host.run(&["suppression", "add", "x@y.test", "--reason", "they asked"]);
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(seen, [50, 50, 20]);
    assert!(daemon.stop().success());
}

#[test]
fn alerts_that_hold_are_shown_with_since_when_and_who_was_told() {
    let mut host = Host::new();
    host.set("page.path", "page.sock");
    host.set("alert.mail_to", "operators@reports.test");
    host.set("alert.webhook_url", "https://hooks.test/s3cret?key=s3cret");
    super::month::fill(&host.file("store"), host.day, 0);
    let daemon = host.start();
    let mut browser = Browser::at(At::Unix(host.file("page.sock")));
    let day = host.day.to_string();
    let page = until("the alert is told", || {
        let page = browser.get("/alerts");
        let is_told = page.text().contains(" (operators@reports.test)");
        is_told.then_some(page)
    });
    page.has(&[
        "A policy keeps mail to a domain from being delivered",
        "href=\"/domains/university.test\"",
        "sessions today were refused by the policy of university.test",
        "firing: 1",
        "quiet",
        &format!("{day} 12:0"),
        "not told",
        "https://hooks.test</dd>",
        "24 hours",
    ]);
    assert!(!page.text().contains("s3cret"), "{}", page.text());
    assert!(daemon.stop().success());
}

#[test]
fn the_doctor_looks_when_he_is_asked_to_and_what_he_finds_stays() {
    let (_host, daemon, mut browser) = host_with_a_month(0);
    let page = browser.shows("/health", &["What may be silently wrong", "Look now"]);
    assert!(!page.text().contains("As it was at"));
    // Who does not come from our page does not make him look, nor who only follows a link.
    let stranger = browser.send("POST", "/health/examine", &[], Some("form=x"));
    assert_eq!(stranger.status, 403);
    assert_eq!(browser.get("/health/examine").status, 405);
    let page = browser.get("/health");
    assert!(!page.text().contains("As it was at"));
    let sent = browser.post(&page, "/health/examine", &[]);
    assert_eq!(
        (sent.status, sent.header("location")),
        (303, "/health#doctor")
    );
    let page = until("he has looked", || {
        let page = browser.get("/health");
        page.text().contains("As it was at").then_some(page)
    });
    // Each examination came to something, by the daemon that is asked as well.
    page.has(&[
        "<code>roots</code>",
        "<code>daemon</code>",
        "<code>store</code>",
    ]);
    assert!(!page.text().contains("the doctor:"), "{}", page.text());
    assert!(daemon.stop().success());
}
