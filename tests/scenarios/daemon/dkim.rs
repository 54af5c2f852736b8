//! The keys that sign report mail: made, published, and looked at before a report is ignored for them.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::host::{Host, until};

#[test]
fn f7_f8_keys_are_made_published_and_verified_by_what_was_printed() {
    let host = Host::new();
    host.write_config();
    let directory = host.file("keys");
    fs::create_dir(&directory).unwrap();
    let keygen = |more: &[&str]| {
        let directory = directory.to_str().unwrap();
        host.run(&[&["dkim", "keygen", "--directory", directory], more].concat())
    };
    let made = keygen(&["--json", "--selector", "made"]);
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made["domain"], "sender.test");
    let keys = made["keys"].as_array().unwrap();
    let mut sections = toml::value::Array::new();
    for (key, (algorithm, selector)) in keys
        .iter()
        .zip([("rsa-sha256", "made"), ("ed25519-sha256", "made-ed25519")])
    {
        assert_eq!(key["algorithm"], algorithm);
        assert_eq!(key["selector"], selector);
        let file = key["file"].as_str().unwrap();
        assert_eq!(
            fs::metadata(file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let name = key["record_name"].as_str().unwrap();
        assert_eq!(name, format!("{selector}._domainkey.sender.test"));
        host.internet
            .dns
            .set_txt(name, &[key["record"].as_str().unwrap()]);
        let mut section = toml::Table::new();
        section.insert("selector".to_owned(), selector.into());
        section.insert("key".to_owned(), file.into());
        sections.push(section.into());
    }

    // A key is never written over, and nothing is half made.
    let again = keygen(&["--selector", "made"]);
    assert_eq!(again.status.code(), Some(64));
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(said.contains("made.pem is there already"), "{said}");
    let nowhere = host.run(&["dkim", "keygen", "--directory", "/nowhere/at/all"]);
    assert_eq!(nowhere.status.code(), Some(78));
    let odd = keygen(&["--selector", "a b"]);
    assert_eq!(odd.status.code(), Some(64));

    // With the keys in the configuration, receivers can verify.
    let mut config = host.config.clone();
    config.insert("dkim".to_owned(), sections.into());
    fs::write(
        host.file("sealpost.toml"),
        toml::to_string(&config).unwrap(),
    )
    .unwrap();
    host.internet
        .dns
        .set_txt("_dmarc.sender.test", &["v=DMARC1; p=reject; adkim=s"]);
    let shown = host.shown(&["dkim", "check"]);
    for words in [
        "From, contact-info          tlsrpt@sender.test",
        "d=, TLS-Report-Submitter    sender.test",
        "_dmarc.sender.test: p=reject; a signature that is verified is aligned",
        "made._domainkey.sender.test (rsa-sha256)\n  published: receivers verify with it",
        "made-ed25519._domainkey.sender.test (ed25519-sha256)\n  published",
    ] {
        assert!(shown.contains(words), "{words}:\n{shown}");
    }
}

#[test]
fn f7_a_key_that_receivers_cannot_verify_by_is_an_alarm_until_it_is_published() {
    let host = Host::new();
    let name = "rsa._domainkey.sender.test";
    let right = &host.internet.selectors()[0].key.txt;
    let wrong = "v=DKIM1; k=rsa; s=tlsrpt; p=AAAA";
    host.internet.dns.set_txt(name, &[wrong]);
    let daemon = host.start();
    let alarms = || {
        let status = host.json(&["status"]);
        let alarms = status["alarms"].as_array().unwrap().clone();
        alarms
            .iter()
            .map(|alarm| alarm.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    until(
        "the key's record is looked at when the daemon starts",
        || {
            (alarms()
            == [format!(
                "receivers cannot verify our reports by {name}: it publishes another key than ours"
            )])
        .then_some(())
        },
    );
    let checked = host.run(&["dkim", "check"]);
    assert_eq!(checked.status.code(), Some(1));
    let shown = String::from_utf8(checked.stdout).unwrap();
    assert!(
        shown.contains(
            "WRONG: it publishes another key than ours\n  publish: v=DKIM1; k=rsa; s=*; p="
        ),
        "{shown}"
    );

    host.internet.dns.set_txt(name, &[right]);
    host.advance_clock_seconds(3_600);
    until("an hour later it is looked at again", || {
        alarms().is_empty().then_some(())
    });
    assert_eq!(host.json(&["dkim", "check"])["ok"], true);
    daemon.stop();
}
