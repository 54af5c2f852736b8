//! Who is let in, and what nobody can make an operator's browser do.

use std::net::SocketAddr;

use super::{
    super::host::{Daemon, Host},
    browser::{At, Browser, encoded},
    month,
    pages::host_with_a_month,
};
use toml::{Value, value::Array};

const TOKEN: &str = "0123456789abcdef0123456789abcdef01234567";

fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn list(value: &str) -> Array {
    vec![Value::from(value)]
}

/// A host whose page is on loopback.
fn host_on_loopback() -> (Host, Daemon, SocketAddr) {
    let mut host = Host::new();
    let address = free_address();
    host.set("page.listen", list(&address.to_string()));
    host.set("page.token_file", "token");
    std::fs::write(host.file("token"), format!("{TOKEN}\n")).unwrap();
    month::fill(&host.file("store"), host.day, 0);
    let daemon = host.start();
    (host, daemon, address)
}

#[test]
fn on_loopback_a_stranger_sees_nothing_and_the_word_of_the_file_lets_one_in() {
    let (_host, daemon, address) = host_on_loopback();
    let mut stranger = Browser::at(At::Tcp(address));
    for path in [
        "/",
        "/domains",
        "/domains/bank.test",
        "/act?do=purge&domain=bank.test",
    ] {
        let page = stranger.get(path);
        assert_eq!(page.status, 303, "{path}");
        assert!(
            page.header("location").starts_with("/sign-in?next=%2F"),
            "{path}"
        );
        assert!(!page.text().contains("bank.test"), "{path}");
    }
    assert_eq!(stranger.get("/style.css").status, 200);
    // A cookie that a stranger thinks up is none.
    stranger.cookies.insert(
        "sealpost".to_owned(),
        "0123456789abcdef0123456789abcdef01234567".to_owned(),
    );
    assert_eq!(stranger.get("/").status, 303);

    let mut operator = Browser::at(At::Tcp(address));
    let form = operator.shows("/sign-in?next=%2Fhealth", &["type=\"password\""]);
    let wrong = operator.post(
        &form,
        "/sign-in",
        &[("token", "0123456789abcdef0123"), ("next", "/health")],
    );
    assert_eq!(wrong.status, 403);
    assert!(wrong.text().contains("That did not sign you in"));
    let before = operator.cookies["sealpost"].clone();
    let into = operator.post(&form, "/sign-in", &[("token", TOKEN), ("next", "/health")]);
    assert_eq!((into.status, into.header("location")), (303, "/health"));
    let cookie = into.header("set-cookie");
    assert!(
        cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"),
        "{cookie}"
    );
    // The name of the session is new: whoever planted the old one has nothing.
    assert_ne!(operator.cookies["sealpost"], before);
    let page = operator.shows("/", &["Sign out"]);
    let out = operator.post(&page, "/sign-out", &[]);
    assert_eq!(out.status, 303);
    assert_eq!(operator.get("/").status, 303);
    assert!(daemon.stop().success());
}

#[test]
fn the_link_of_the_command_line_lets_one_in_once() {
    let (host, daemon, address) = host_on_loopback();
    let mut operator = Browser::at(At::Tcp(address));
    let mut stranger = Browser::at(At::Tcp(address));
    let said = host.json(&["page"]);
    let link = said["links"][0].as_str().unwrap();
    let path = link
        .strip_prefix(&format!("http://{address}"))
        .unwrap()
        .to_owned();
    let form = operator.shows(&path, &["Go on to the page"]);
    let word = path.split('=').nth(1).unwrap().to_owned();
    let into = operator.post(
        &form,
        "/sign-in",
        &[("token", &word), ("next", "//evil.test")],
    );
    assert_eq!((into.status, into.header("location")), (303, "/"));
    operator.shows("/", &["Sign out"]);
    let again = stranger.get(&path);
    assert_eq!(
        stranger
            .post(&again, "/sign-in", &[("token", &word)])
            .status,
        403
    );
    assert!(daemon.stop().success());
}

#[test]
fn no_other_site_can_make_a_browser_act() {
    let (host, daemon, mut browser) = host_with_a_month(0);
    let page = browser.shows("/domains/bank.test", &["Forget"]);
    let word = page.form_word();
    let good = encoded(&[("form", &word), ("do", "purge"), ("domain", "bank.test")]);
    let bare = encoded(&[("do", "purge"), ("domain", "bank.test")]);
    let wrong = encoded(&[
        ("form", &word.replace('0', "1")),
        ("do", "purge"),
        ("domain", "bank.test"),
    ]);
    for (body, headers) in [
        (&bare, &[][..]),
        (&wrong, &[]),
        (&good, &[("Origin", "http://evil.test")]),
        (&good, &[("Origin", "null")]),
        (&good, &[("Sec-Fetch-Site", "cross-site")]),
        (&good, &[("Sec-Fetch-Site", "same-site")]),
    ] {
        let answer = browser.send("POST", "/act", headers, Some(body));
        assert_eq!(answer.status, 403, "{headers:?} {body}");
    }
    // Nor with the form's word of another browser.
    let mut other = Browser::at(browser.at.clone());
    other.shows("/", &[]);
    assert_eq!(other.send("POST", "/act", &[], Some(&good)).status, 403);
    // Nor by a link.
    browser.shows("/act?do=purge&domain=bank.test", &[]);
    assert_eq!(
        browser
            .send("DELETE", "/domains/bank.test", &[], None)
            .status,
        405
    );
    assert_eq!(
        host.run(&["policy", "show", "bank.test"]).status.code(),
        Some(0)
    );
    // Nor under a name that the stranger made lead here.
    browser.host = "evil.test:8462".to_owned();
    let page = browser.get("/");
    assert_eq!(page.status, 421);
    assert!(!page.text().contains("bank.test"));
    // And a form that is too long, or none, is refused and not read.
    browser.host = "localhost".to_owned();
    let long = format!("{good}&x={}", "y".repeat(40_000));
    assert_eq!(browser.send("POST", "/act", &[], Some(&long)).status, 403);
    let own = [
        ("Origin", "http://localhost"),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    browser
        .send("POST", "/act", &own, Some(&good))
        .has(&["is forgotten"]);
    assert!(daemon.stop().success());
}

#[test]
fn a_reverse_proxy_says_who_somebody_is_and_nobody_else_does() {
    let mut host = Host::new();
    let address = free_address();
    host.set("page.listen", list(&address.to_string()));
    host.set("page.path", "page.sock");
    host.set("page.proxies", list("127.0.0.9"));
    host.set("page.user_header", "X-Remote-User");
    host.set("page.names", list("mail.sender.test"));
    let daemon = host.start();
    let who = [("X-Remote-User", "anna <b>")];
    // By TCP it is no proxy of ours that says so.
    let mut browser = Browser::at(At::Tcp(address));
    assert_eq!(browser.send("GET", "/", &who, None).status, 303);
    // On the socket it is whoever the file mode lets in, but they must say who they are.
    let mut proxy = Browser::at(At::Unix(host.file("page.sock")));
    proxy.host = "mail.sender.test".to_owned();
    assert_eq!(proxy.get("/").status, 403);
    let page = proxy.send("GET", "/", &who, None);
    page.has(&["Signed in as anna &#60;b&#62;"]);
    proxy
        .headers
        .push(("X-Remote-User".to_owned(), "anna".to_owned()));
    proxy
        .headers
        .push(("Origin".to_owned(), "https://mail.sender.test".to_owned()));
    let page = proxy.get("/domains/bank.test");
    let done = proxy.post(&page, "/act", &[("do", "purge"), ("domain", "bank.test")]);
    done.has(&["No policy of bank.test was kept."]);
    assert!(
        host.log().contains("who=\"anna\"") || host.log().contains("who=anna"),
        "{}",
        host.log()
    );
    assert!(daemon.stop().success());
}

#[test]
fn a_page_that_anybody_could_reach_keeps_the_daemon_from_starting() {
    let mut host = Host::new();
    host.set("page.listen", list("0.0.0.0:8462"));
    let output = host.start_in_vain();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("page.listen: 0.0.0.0:8462 can be reached from other machines"),
        "{said}"
    );
    let mut host = Host::new();
    host.set("page.user_header", "X-Remote-User");
    let said = String::from_utf8(host.start_in_vain().stderr).unwrap();
    assert!(
        said.contains("page.user_header: it is believed of page.proxies"),
        "{said}"
    );
    // Without a page there is none to sign in to.
    let host = Host::new();
    let daemon = host.start();
    let output = host.run(&["page"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("there is no page")
    );
    assert!(daemon.stop().success());
}
