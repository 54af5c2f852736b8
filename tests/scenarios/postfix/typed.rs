//! `docs/install/postfix.md`, typed line by line into a shell of a fresh Debian 13.

use std::{fs, io::Write as _, process::Child};

use sealpost_kit::Delivery;

use crate::mta::{
    laboratory::{Counted, Ready},
    postfix::{PostfixHost, Status, Version},
    terminal::{Shell, typed_lines},
    wait_until,
};
use crate::scenarios::pages::{commands, in_ten_days};

const PAGE: &str = include_str!("../../../docs/install/postfix.md");

/// The page of what Postfix asks by.
const SOCKETMAP_PAGE: &str = include_str!("../../../docs/socketmap.md");

/// The way back, in a hurry.
const TESTING_PAGE: &str = include_str!("../../../docs/guide/testing-first.md");

/// What the laboratory needs and no user has: the small Internet is on addresses of loopback, its roots
/// are its own, and the disk may be nearly full.
const LABORATORY: &str = "\n[policy]\nallow_private_addresses = true\n\
    extra_roots = [\"/etc/ssl/certs/ca-certificates.crt\"]\n[store]\nfree_space_min_mib = 0\n";

/// A reader has names of their own, and asks about a domain there is.
fn with_own_names(page: &str) -> String {
    page.replace("example.com", "sender.test")
        .replace("example.org", "sts-enforce.test")
}

/// The lines that the page has for `main.cf` of Postfix 3.10.
fn lines_of_main_cf(page: &str) -> Vec<&str> {
    let (_, after) = page.split_once("it is this in `main.cf`:\n\n").unwrap();
    let lines: Vec<&str> = after
        .lines()
        .map_while(|line| line.strip_prefix("    "))
        .collect();
    assert!(lines.len() > 3, "{lines:?}");
    lines
}

/// The second terminal. What it runs ends with the host.
fn second_terminal(host: &PostfixHost, command: &str) -> Child {
    let ready = Ready::bind(host.path("log/notify"));
    let log = host.path("daemon.log");
    let child = host
        .typed("sh")
        .args(["-c", command])
        .env("NOTIFY_SOCKET", "/var/log/notify")
        .stderr(fs::File::create(log).unwrap())
        .spawn()
        .unwrap();
    ready.wait(|| host.daemon_log());
    child
}

fn counted(shell: &mut Shell, domain: &str) -> Vec<Counted> {
    let mut counted = Vec::new();
    wait_until(&format!("a session of {domain}"), || {
        let said = shell.types(&format!("sealpost sessions --domain {domain} --json"));
        counted = Counted::all(&serde_json::from_str(&said).unwrap());
        !counted.is_empty()
    });
    counted
}

#[test]
fn what_the_page_has_typed_makes_a_fresh_debian_13_keep_to_policies_and_count() {
    let Some(host) = PostfixHost::fresh(Version::V3_10) else {
        return;
    };
    let mut shell = Shell::start(host.typed("sh"));
    let mut terminal = None;
    let mut said = Vec::new();
    for command in typed_lines(&with_own_names(PAGE)) {
        println!("# {command}");
        if command == "sealpost serve" {
            terminal = Some(second_terminal(&host, &command));
        } else {
            let answer = shell.types(&command);
            println!("{answer}");
            said.push((command.clone(), answer));
        }
        if command.contains("> /etc/sealpost/sealpost.toml") {
            let file = host.path("etc/sealpost/sealpost.toml");
            let mut file = fs::File::options().append(true).open(file).unwrap();
            file.write_all(LABORATORY.as_bytes()).unwrap();
        }
    }
    assert!(terminal.is_some(), "the page does not start the daemon");
    let answer = |to: &str| -> &str {
        let found = said.iter().find(|(command, _)| command.contains(to));
        &found.unwrap_or_else(|| panic!("not on the page: {to}")).1
    };
    // What the page says that these lines do.
    assert!(answer("config check").contains("v=DKIM1"));
    assert!(answer("setup postfix --apply").contains("smtp_tlsrpt_enable = yes"));
    assert!(answer("sealpost check").contains("enforce"));
    assert!(answer("postmap -q").starts_with("secure match="));
    // What the page says to set by hand is what is set.
    let set = shell.types("postconf -n");
    for line in lines_of_main_cf(PAGE) {
        assert!(set.lines().any(|one| one == line), "{line}: {set}");
    }

    // Not on the page: without it the log does not say that a certificate was verified.
    shell.types("postconf -e smtp_tls_loglevel=1 && postfix reload");
    let fates = host.send_to_each(&["sts-enforce.test", "sts-badcert.test"]);
    let log = host.mail_log();
    assert!(log.contains("TLSRPT: status="), "{log}");
    assert_eq!(fates[0].delivered, Delivery::TlsVerified, "{log}");
    assert_eq!(fates[1].status, Status::Deferred, "{log}");
    assert_eq!(
        counted(&mut shell, "sts-enforce.test"),
        [Counted::good("sts", 1)],
        "{}",
        host.daemon_log()
    );
    let bad = counted(&mut shell, "sts-badcert.test");
    assert_eq!(bad.len(), 1, "{bad:?}");
    assert_eq!((bad[0].successes, bad[0].failures), (0, 1), "{bad:?}");

    // The other map, which an earlier Postfix asks by.
    for command in typed_lines(&with_own_names(SOCKETMAP_PAGE)) {
        let said = shell.types(&command);
        assert!(said.starts_with("secure match="), "{command}: {said}");
    }
    a_domain_is_let_through_in_a_hurry(&host, &mut shell, "sts-badcert.test");
}

/// By an override, and then what waits is tried.
fn a_domain_is_let_through_in_a_hurry(host: &PostfixHost, shell: &mut Shell, domain: &str) {
    let hurry = TESTING_PAGE.split_once("## Back, in a hurry").unwrap().1;
    let commands = commands(&hurry.replace("example.org", domain));
    let typed = |start: &str| {
        let command = commands.iter().find(|command| command.starts_with(start));
        command.unwrap()
    };
    let set = typed("sealpost override set").replace("2026-12-31", &in_ten_days());
    shell.types(&set);
    // Why it is not asked for by its name.
    assert!(hurry.contains("`-s example.org` is for"));
    shell.types(&format!("! postqueue -s {domain}"));
    let try_again = typed("postqueue");
    wait_until("what waited has left", || {
        shell.types(try_again);
        let log = host.mail_log();
        let of_domain = format!("to=<someone@{domain}>");
        let mut lines = log.lines().filter(|line| line.contains(&of_domain));
        lines.any(|line| line.contains("status=sent"))
    });
}
