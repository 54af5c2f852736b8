//! Reports that leave through the `sendmail` programs of real MTAs, by a daemon that is a user without privileges.

use std::fs;

use serde_json::{Value, json};

use super::consumers;
use crate::mta::{
    exim::{Build, SEALPOST_ID},
    laboratory::{Daemon, Laboratory},
    namespace::INSIDE,
    postfix::{PostfixHost, Version},
    wait_until,
    world::{PLUGIN_SOCKET, World},
};

/// Where the bounces go.
const BOUNCES: &str = "tls-bounces@sender.test";

#[test]
fn f17_a_report_leaves_through_exims_sendmail_and_its_signatures_hold() {
    let Some(world) = World::start(Build::Light) else {
        return;
    };
    world.configure(&[
        (
            "never_users = root",
            "never_users = root\ntrusted_users = sealpost",
        ),
        ("tlsrpt@sender.test", BOUNCES),
    ]);
    world.lend_to(SEALPOST_ID);
    let sendmail = format!("via = \"sendmail\"\nsendmail = \"{INSIDE}/exim4\"");
    world.configure_daemon(&sendmail, BOUNCES);
    world.begin_day();
    let daemon = world.go_on_with_daemon(world.program_of(SEALPOST_ID));
    world.tell_session("correct.test");
    let sent = daemon.end_day();
    let log = || format!("{}\n{}", world.daemon_log(), world.exim.main_log());
    assert!(sent.status.success(), "{sent:?}\n{}", log());
    arrives_whole(&world, &daemon, "correct.test", log);
    assert_eq!(world.exim.panic_log(), "");
}

#[test]
fn f17_a_report_leaves_through_postfixs_sendmail_unless_privileges_are_forbidden() {
    let Some(host) = PostfixHost::fresh(Version::V3_10) else {
        return;
    };
    let user = host.make_user();
    // Postfix's program waits and tries again for ever where it cannot reach its queue.
    host.configure(
        "sender.test",
        "via = \"sendmail\"\ntimeout_seconds = 10",
        PLUGIN_SOCKET,
    );
    host.set_envelope_sender(BOUNCES);
    host.begin_day();
    let forbidden = host.program_in_root_of(user, &["setpriv", "--no-new-privs"]);
    let daemon = host.go_on_with_daemon(forbidden);
    host.tell_session("sts-enforce.test");
    let sent = daemon.end_day();
    assert_eq!(sent.status.code(), Some(1), "{sent:?}");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&sent.stdout),
        host.daemon_log()
    );
    for words in [
        "Permission denied",
        "NoNewPrivileges=yes",
        "had not ended after 10 s",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(
        daemon.json(&["suppression", "list", "--json"])["suppressions"],
        json!([])
    );
    daemon.kill();

    let daemon = host.go_on_with_daemon(host.program_in_root_of(user, &[]));
    let sent = daemon.send_reports(None);
    let log = || format!("{}\n{}", host.daemon_log(), host.mail_log());
    assert!(sent.status.success(), "{sent:?}\n{}", log());
    arrives_whole(&host, &daemon, "sts-enforce.test", log);
}

/// The one report is in the inbox, from the envelope sender that was set, and as it was made: strangers verify both
/// signatures and read it.
fn arrives_whole(
    laboratory: &Laboratory,
    daemon: &Daemon<'_>,
    domain: &str,
    log: impl Fn() -> String,
) {
    let mut inbox = json!([]);
    wait_until(&format!("a report about {domain}; {}", log()), || {
        inbox = laboratory.ask("inbox");
        inbox.as_array().is_some_and(|mails| !mails.is_empty())
    });
    let mails = inbox.as_array().unwrap();
    assert_eq!(mails.len(), 1, "{inbox}");
    let mail = &mails[0];
    assert_eq!(mail["dkim"], "pass", "{mail}");
    assert_eq!(mail["from"], BOUNCES, "{mail}");
    assert_eq!(mail["domain"], domain, "{mail}");
    let file = mail["file"].as_str().unwrap().replace(INSIDE, "");
    let file = laboratory.path(file.trim_start_matches('/'));
    let config = format!("{INSIDE}/sealpost.toml");
    let records = daemon.json(&["config", "check", &config, "--json"])["dkim_records"].clone();
    let records: serde_json::Map<String, Value> = records
        .as_array()
        .unwrap()
        .iter()
        .map(|record| {
            let name = record["name"].as_str().unwrap().trim_end_matches('.');
            (name.to_owned(), record["value"].clone())
        })
        .collect();
    let report = &mail["report"];
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    let expected = json!({"domain": domain, "report_id": report["report-id"], "success": 1, "failure": 0,
        "signatures": ["ed25519-sha256", "rsa-sha256"]});
    assert!(fs::metadata(&file).is_ok(), "{}", file.display());
    let expected = serde_json::Map::from_iter([(name, expected)]);
    consumers::check(expected, &Value::Object(records), &[file]);
}
