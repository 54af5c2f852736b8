//! Traps of Postfix, set in a real one.

use std::fs;

use serde_json::Value;

use super::stage::traps_in;
use crate::mta::{
    laboratory::Ready,
    postfix::{PostfixHost, Version},
};

/// What is set below.
pub(super) const TRAPS: [&str; 15] = [
    "postfix-not-asking",
    "postfix-tells-nothing",
    "postfix-tells-less",
    "postfix-trusts-nobody",
    "postfix-reports-reported",
    "postfix-holds-reports",
    "postfix-without-dnssec",
    "postfix-not-as-needed",
    "postfix-service-goes-past",
    "postfix-stopped-by",
    "postfix-resolv-conf-stale",
    "postfix-log-unreadable",
    "socket-unreachable",
    "postfix-built-without-tlsrpt",
    "postfix-remark",
];

/// Parameters of `main.cf`, each with a value that makes a trap.
const PARAMETERS: [(&str, &str, &str); 10] = [
    ("smtp_tls_policy_maps", "", "postfix-not-asking"),
    // Another policy server, which is asked first.
    (
        "smtp_tls_policy_maps",
        "socketmap:inet:127.0.0.1:8461:postfix",
        "postfix-remark",
    ),
    ("smtp_tls_security_level", "", "postfix-tells-nothing"),
    ("smtp_tlsrpt_enable", "no", "postfix-tells-nothing"),
    (
        "smtp_tlsrpt_skip_reused_handshakes",
        "yes",
        "postfix-tells-less",
    ),
    ("smtp_tls_CAfile", "", "postfix-trusts-nobody"),
    ("tls_required_enable", "no", "postfix-reports-reported"),
    ("smtp_dns_support_level", "", "postfix-without-dnssec"),
    (
        "smtp_tls_enforce_sts_mx_patterns",
        "no",
        "postfix-not-as-needed",
    ),
    ("ignore_mx_lookup_error", "yes", "postfix-stopped-by"),
];

/// A fresh Debian, set up.
fn set_up(version: Version, sections: &str) -> Option<PostfixHost> {
    let host = PostfixHost::fresh(version)?;
    configure(&host, sections);
    let output = sealpost(&host, &["setup", "postfix", "--apply"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    Some(host)
}

fn configure(host: &PostfixHost, sections: &str) {
    let directory = host.path("etc/sealpost");
    fs::create_dir_all(&directory).unwrap();
    let text = format!(
        "[sender]\norganization = \"Sender\"\ncontact = \"tlsrpt@sender.test\"\n\
         [store]\nfree_space_min_mib = 0\n{sections}"
    );
    fs::write(directory.join("sealpost.toml"), text).unwrap();
    // The user that docs/install/systemd.md makes.
    let passwd = host.path("etc/passwd");
    let mut users = fs::read_to_string(&passwd).unwrap();
    if !users.contains("sealpost:") {
        users.push_str("sealpost:x:990:990::/nonexistent:/usr/sbin/nologin\n");
        fs::write(passwd, users).unwrap();
    }
}

fn sealpost(host: &PostfixHost, arguments: &[&str]) -> std::process::Output {
    host.typed("sealpost").args(arguments).output().unwrap()
}

fn found(host: &PostfixHost, examinations: &[&str]) -> Vec<String> {
    let output = sealpost(host, &[&["doctor", "--json"], examinations].concat());
    let results: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let unknown = &results["examinations"][0]["unknown"];
    assert_eq!(unknown.as_array().map(Vec::len), Some(0), "{unknown}");
    traps_in(&results)
}

#[test]
fn each_trap_of_postfix_is_found_when_it_is_set() {
    let Some(host) = set_up(Version::V3_10, "") else {
        return;
    };
    let postfix = || found(&host, &["postfix"]);
    assert_eq!(postfix(), [""; 0]);
    for (name, value, trap) in PARAMETERS {
        let before = host.run("postconf", &["-h", name]);
        let before = String::from_utf8(before.stdout).unwrap();
        host.run("postconf", &["-e", &format!("{name}={value}")]);
        let seen = postfix();
        assert!(seen.iter().any(|one| one == trap), "{name}: {seen:?}");
        host.run(
            "postconf",
            &["-e", &format!("{name}={}", before.trim_end())],
        );
    }
    host.run(
        "postconf",
        &["-P", "-e", "relay/unix/smtp_tlsrpt_enable=no"],
    );
    assert_eq!(postfix(), ["postfix-service-goes-past"]);
    host.run("postconf", &["-P", "-X", "relay/unix/smtp_tlsrpt_enable"]);
    let copy = host.path("spool/etc/resolv.conf");
    let now = fs::read_to_string(&copy).unwrap();
    fs::write(&copy, format!("# of yesterday\n{now}")).unwrap();
    assert_eq!(postfix(), ["postfix-resolv-conf-stale"]);
    fs::write(&copy, now).unwrap();
    configure(&host, "[postfix_log]\npath = \"/var/log/nowhere.log\"\n");
    let seen = postfix();
    assert!(
        seen.iter().any(|one| one == "postfix-log-unreadable"),
        "{seen:?}"
    );
}

/// What stands in each Postfix that was built with libtlsrpt.
const LIBRARY_MARK: &[u8] = b"tlsrpt_init_delivery_request";

/// Debian builds Postfix with it. Postfix is told that its libraries are in another directory, where they lack it.
#[test]
fn a_postfix_that_was_built_without_the_library_is_found() {
    let Some(host) = set_up(Version::V3_10, "") else {
        return;
    };
    let (libraries, others) = ("root/usr/lib/postfix", "root/usr/lib/postfix-other");
    fs::create_dir(host.path(others)).unwrap();
    let others_inside = "shlib_directory=/usr/lib/postfix-other";
    host.run("postconf", &["-e", others_inside]);
    for (first, traps) in [
        (b't', &[""; 0][..]),
        (b'x', &["postfix-built-without-tlsrpt"]),
    ] {
        for name in ["libpostfix-tls.so", "libpostfix-global.so"] {
            let mut octets = fs::read(host.path(libraries).join(name)).unwrap();
            let windows = octets.windows(LIBRARY_MARK.len()).enumerate();
            let marks = windows.filter(|(_, window)| *window == LIBRARY_MARK);
            let marks: Vec<usize> = marks.map(|(at, _)| at).collect();
            for at in marks {
                octets[at] = first;
            }
            fs::write(host.path(others).join(name), octets).unwrap();
        }
        assert_eq!(found(&host, &["postfix"]), traps);
    }
}

#[test]
fn a_postfix_that_can_do_less_is_found() {
    let Some(host) = set_up(Version::V3_10, "") else {
        return;
    };
    assert_eq!(found(&host, &["postfix"]), [""; 0]);
    // A resolver of another machine, in both places.
    for file in ["etc/resolv.conf", "spool/etc/resolv.conf"] {
        fs::write(host.path(file), "nameserver 192.0.2.53\n").unwrap();
    }
    assert_eq!(found(&host, &["postfix"]), ["postfix-remark"]);
}

#[test]
fn an_old_postfix_that_holds_reports_to_their_own_policies_is_found() {
    let log = "[postfix_log]\npath = \"/var/log/mail.log\"\ntake = \"all\"\n";
    let Some(host) = set_up(Version::V3_7, log) else {
        return;
    };
    fs::write(host.path("log/mail.log"), "").unwrap();
    assert_eq!(found(&host, &["postfix"]), [""; 0]);
    host.run("postconf", &["-M", "-X", "sealpost-report/unix"]);
    assert_eq!(found(&host, &["postfix"]), ["postfix-holds-reports"]);
}

#[test]
fn a_socket_that_postfixs_user_cannot_come_to_is_found() {
    let Some(host) = set_up(Version::V3_10, "") else {
        return;
    };
    let ready = Ready::bind(host.path("log/notify"));
    let log = fs::File::create(host.path("daemon.log")).unwrap();
    let mut command = host.typed("sealpost");
    command.arg("serve").stderr(log);
    command.env("NOTIFY_SOCKET", "/var/log/notify");
    // It ends with the host.
    drop(command.spawn().unwrap());
    ready.wait(|| host.daemon_log());
    assert_eq!(found(&host, &["sockets"]), [""; 0]);
    let directory = "/var/spool/postfix/sealpost";
    host.run("chmod", &["700", directory]);
    assert_eq!(
        found(&host, &["sockets"]),
        ["socket-unreachable", "socket-unreachable"]
    );
    host.run("chmod", &["755", directory]);
    assert_eq!(found(&host, &["sockets"]), [""; 0]);
}
