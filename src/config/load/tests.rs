use super::*;

const SENDER: &str = "[sender]\norganization = \"O\"\ncontact = \"p@example.org\"\n";

/// What is said of a file below a directory that holds `not-a-key.pem` and `empty.pem`.
fn said_of(text: &str) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    for name in ["not-a-key.pem", "empty.pem"] {
        std::fs::write(directory.path().join(name), "nothing\n").unwrap();
    }
    let path = directory.path().join("sealpost.toml");
    std::fs::write(&path, text).unwrap();
    let said = match load(&path) {
        Ok(_) => return Vec::new(),
        Err(error) => error.to_string(),
    };
    let prefix = format!("{}/", directory.path().display());
    said.lines().map(|line| line.replace(&prefix, "")).collect()
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(said_of(text), expected, "of:\n{text}");
}

/// As [`check`] with a sender before the text, which then begins on line 4.
#[track_caller]
fn check_below_sender(text: &str, expected: &[&str]) {
    check(&format!("{SENDER}{text}"), expected);
}

#[test]
fn a_good_file_is_taken() {
    check(SENDER, &[]);
    check("[report]\nenabled = false\n", &[]);
    check_below_sender(
        "[dns]\nservers = [\"127.0.0.1:53\", \"[::1]:5353\"]\n[domain.\"bücher.example\"]\nmode = \
         \"off\"\n[policy]\nhttps_port = 0x1bb\n",
        &[],
    );
}

#[test]
fn every_mistake_is_named_at_once_with_its_place() {
    check(
        "colour = \"red\"\n\n[sender]\n  contact = \"postmaster\"\n[dns]\ntimeout = 3\nattempts = \
         0\n[polciy]\n[log]\nformat = \"xml\"\n",
        &[
            "sealpost.toml:1:1: colour: unknown setting; every setting stands below its [section]",
            "sealpost.toml:4:13: sender.contact: \"postmaster\" is not a bare mailbox: there is no @",
            "sealpost.toml:6:1: dns.timeout: unknown setting; did you mean \"timeout_ms\"?",
            "sealpost.toml:7:12: dns.attempts: 0 is not a whole number from 1 to 10",
            "sealpost.toml:8:2: polciy: unknown section; did you mean [policy]?",
            "sealpost.toml:10:10: log.format: \"xml\" is not one of \"text\", \"json\"",
        ],
    );
}

#[test]
fn a_file_that_is_no_toml_is_named_by_its_place() {
    check(
        "[dns\nattempts = 2\n[log]\nlevel = loud\n",
        &[
            "sealpost.toml:1:5: unclosed table, expected `]`",
            "sealpost.toml:4:9: string values must be quoted, expected literal string",
        ],
    );
    check(
        "[dns]\nattempts = 1\nattempts = 2\n[report]\nenabled = false\n",
        &["sealpost.toml:3:1: duplicate key"],
    );
}

#[test]
fn values_of_another_type_are_refused() {
    for (text, expected) in [
        (
            "[dns]\nservers = \"127.0.0.1:53\"\n",
            "sealpost.toml:5:11: dns.servers: a text stands where a list of addresses with ports such \
             as [\"127.0.0.1:53\"] belongs",
        ),
        (
            "[report]\nenabled = \"yes\"\n",
            "sealpost.toml:5:11: report.enabled: a text stands where true or false belongs",
        ),
        (
            "[dns]\nattempts = 1.5\n",
            "sealpost.toml:5:12: dns.attempts: a number with a point stands where a whole number from \
             1 to 10 belongs",
        ),
        (
            "[control_socket]\nmode = 0o600\n",
            "sealpost.toml:5:8: control_socket.mode: a whole number stands where a file mode in octal \
             such as \"0660\" belongs; write it in quotes, \"0660\"",
        ),
        (
            "[domain.\"a.example\"]\nmode = \"off\"\nuntil = 2026-12-31\n",
            "sealpost.toml:6:9: domain.\"a.example\".until: a bare date stands where a day such as \
             \"2026-12-31\" belongs; write it in quotes",
        ),
        (
            "[[dns]]\n",
            "sealpost.toml:4:1: dns: write it as a section, [dns]",
        ),
        (
            "[dkim]\nselector = \"s\"\n",
            "sealpost.toml:4:1: dkim: write it as a section, [[dkim]]",
        ),
    ] {
        check_below_sender(text, &[expected]);
    }
}

#[test]
fn values_out_of_range_are_refused() {
    for (text, expected) in [
        (
            "[policy]\nhttps_port = 65536\n",
            "sealpost.toml:5:14: policy.https_port: 65536 is not a whole number from 1 to 65535",
        ),
        (
            "[policy]\nfetches_max = -1\n",
            "sealpost.toml:5:15: policy.fetches_max: -1 is not a whole number from 1 to 4096",
        ),
        (
            "[store]\nqueue_sessions_max = 99999999999999999999\n",
            "sealpost.toml:5:22: store.queue_sessions_max: 99999999999999999999 is not a whole number \
             from 1 to 16777216",
        ),
        (
            "[deliver]\ngive_up_seconds = 90000\n",
            "sealpost.toml:5:19: deliver.give_up_seconds: 90000 is not a whole number from 1 to 86400",
        ),
        (
            "[plugin_socket]\nallow_uids = [100, -1]\n",
            "sealpost.toml:5:20: plugin_socket.allow_uids: -1 is not a whole number from 0 to \
             4294967295",
        ),
    ] {
        check_below_sender(text, &[expected]);
    }
}

#[test]
fn what_cannot_be_kept_so_long_or_so_short_is_refused() {
    check_below_sender(
        "[store]\nkeep_days = 40\nkeep_failures_days = 60\nkeep_reports_days = 20\n",
        &[
            "sealpost.toml:6:22: store.keep_failures_days: single failures are kept no longer than the tallies they are \
             part of, for 40 days: write at most 40, or raise store.keep_days",
            "sealpost.toml:7:21: store.keep_reports_days: tallies are kept for 40 days, and without knowing what was sent \
             the report of one of them could be sent again: write at least 40, or lower store.keep_days",
        ],
    );
    check_below_sender(
        "[store]\nkeep_failures_days = 4\n",
        &[
            "sealpost.toml:5:22: store.keep_failures_days: a report can be under way for 5 days after its own, and says \
             at which times of the day a failure was seen: write at least 5, or 0 to keep them as long as tallies",
        ],
    );
    for taken in [
        "keep_days = 3\nkeep_failures_days = 5\nkeep_reports_days = 5",
        "keep_failures_days = 30\nkeep_reports_days = 30",
        "keep_failures_days = 7\nkeep_reports_days = 400\nsize_max_mib = 512",
    ] {
        check_below_sender(&format!("[store]\n{taken}\n"), &[]);
    }
}

#[test]
fn texts_that_mean_nothing_are_refused() {
    for (text, expected) in [
        (
            "[dns]\nservers = [\"127.0.0.1:53\", \"::1\"]\n",
            "sealpost.toml:5:28: dns.servers: \"::1\" has no port; write \"[::1]:53\"",
        ),
        (
            "[dns]\nservers = [\"resolver:53\"]\n",
            "sealpost.toml:5:12: dns.servers: \"resolver:53\" is not an address with a port such as \
             \"127.0.0.1:53\"",
        ),
        (
            "[deliver]\nrelay = \"localhost\"\n",
            "sealpost.toml:5:9: deliver.relay: \"localhost\" is not a host and a port such as \
             \"127.0.0.1:25\" or \"[::1]:25\"",
        ),
        (
            "[plugin_socket]\nmode = \"0888\"\n",
            "sealpost.toml:5:8: plugin_socket.mode: \"0888\" is not a file mode in octal such as \
             \"0660\"",
        ),
        (
            "[plugin_socket]\nmode = \"0066\"\n",
            "sealpost.toml:5:8: plugin_socket.mode: \"0066\" would lock out the socket's owner; the \
             first of the last three digits must be 6 or 7",
        ),
        (
            "[report]\nnever = [\"a..example\", \"192.0.2.1\"]\n",
            "sealpost.toml:5:10: report.never: \"a..example\" is not a host name\n\
             sealpost.toml:5:24: report.never: \"192.0.2.1\" is an address, and an address has no \
             policy",
        ),
        (
            "[domain.\"*\"]\nmode = \"off\"\n",
            "sealpost.toml:5:8: domain.\"*\".mode: for every domain (\"*\") only \"audit\" can be set",
        ),
        (
            "[domain.\"a b\"]\nmode = \"off\"\n",
            "sealpost.toml:4:9: domain.\"a b\": \"a b\" is not a host name",
        ),
        (
            "[domain.\"a.example\"]\nmode = \"off\"\nuntil = \"2026-02-30\"\n",
            "sealpost.toml:6:9: domain.\"a.example\".until: \"2026-02-30\" is not a day of the form \
             2026-11-24",
        ),
        (
            "[domain.\"a.example\"]\nreason = \"x\"\n",
            "sealpost.toml:4:9: domain.\"a.example\".mode: missing; it is one of \"off\", \"audit\", \
             \"enforce\", \"dane-only\", \"without-dane\"",
        ),
        (
            "[domain.\"a.example\"]\nmode = \"off\"\n[domain.\"A.example.\"]\nmode = \"off\"\n",
            "sealpost.toml:4:9: domain.\"a.example\": a.example has a section already",
        ),
        (
            "[log]\nlevel = \"inof\"\n",
            "sealpost.toml:5:9: log.level: \"inof\" is not a log level such as \"info\", nor a filter \
             such as \"info,sealpost::engine=debug\"",
        ),
        (
            "[control_socket]\npath = \"\"\n",
            "sealpost.toml:5:8: control_socket.path: the path is empty",
        ),
        (
            "[domain.\"a.example\"]\nmode = \"off\"\nreason = \"a\\nb\\u001b[2J\"\n",
            "sealpost.toml:6:10: domain.\"a.example\".reason: \"a\\nb\\u{1b}[2J\" has a control \
             character",
        ),
    ] {
        check_below_sender(text, &expected.lines().collect::<Vec<_>>());
    }
}

#[test]
fn g1_f23_proxies_and_ports_that_cannot_be_meant_are_refused() {
    for (text, expected) in [
        (
            "[deliver]\nhttps_proxy = \"https://p.example:3128\"\n",
            "sealpost.toml:5:15: deliver.https_proxy: \"https://p.example:3128\" is not a proxy such as \
             \"http://proxy.example.org:3128\"",
        ),
        (
            "[deliver]\nhttps_proxy = \"http://user:secret@p.example:3128\"\n",
            "sealpost.toml:5:15: deliver.https_proxy: \"http://user:secret@p.example:3128\" is not a proxy \
             such as \"http://proxy.example.org:3128\"",
        ),
        (
            "[deliver]\nhttps_ports = [443, 0]\n",
            "sealpost.toml:5:21: deliver.https_ports: 0 is not a whole number from 1 to 65535",
        ),
    ] {
        check_below_sender(text, &[expected]);
    }
}

#[test]
fn mailboxes_are_bare_and_in_a_labels() {
    for (given, why) in [
        (
            "Postmaster <p@example.org>",
            "a name such as postmaster must stand before the @",
        ),
        (
            "@example.org",
            "a name such as postmaster must stand before the @",
        ),
        (
            "p@bücher.example",
            "write the domain as \\\"xn--bcher-kva.example\\\"",
        ),
        (
            "p@[192.0.2.1]",
            "\\\"[192.0.2.1]\\\" is an address, and an address has no policy",
        ),
        ("p..q@example.org", "a dot before the @ is out of place"),
    ] {
        let why = why.replace("\\\"", "\"");
        check(
            &format!("[sender]\norganization = \"O\"\ncontact = \"{given}\"\n"),
            &[&format!(
                "sealpost.toml:3:11: sender.contact: \"{given}\" is not a bare mailbox: {why}"
            )],
        );
    }
}

#[test]
fn key_and_root_files_must_be_there_and_be_what_they_should() {
    check_below_sender(
        "[[dkim]]\nselector = \"s1\"\nkey = \"missing.pem\"\n[[dkim]]\nselector = \"S1\"\nkey = \
         \"not-a-key.pem\"\n[[dkim]]\nselector = \"a b\"\n[policy]\nextra_roots = [\"empty.pem\", \
         \"/nowhere/roots.pem\"]\n",
        &[
            "sealpost.toml:6:7: dkim.key: \"missing.pem\": there is no such file",
            "sealpost.toml:8:12: dkim.selector: the selector \"S1\" is there already",
            "sealpost.toml:9:7: dkim.key: \"not-a-key.pem\" holds no private key in PEM",
            "sealpost.toml:10:1: dkim.key: missing; it is the path of a PEM file with a private key",
            "sealpost.toml:11:12: dkim.selector: \"a b\" is not a DKIM selector; it is a name such as \
             \"tlsrpt2026\"",
            "sealpost.toml:13:16: policy.extra_roots: \"empty.pem\" holds no certificate in PEM",
            "sealpost.toml:13:29: policy.extra_roots: \"/nowhere/roots.pem\": there is no such file",
        ],
    );
}

#[test]
fn a_map_of_destinations_that_cannot_be_meant_is_refused() {
    check_below_sender(
        "[[destination]]\nrua_domain = \"*\"\naction = \"drop\"\n[[destination]]\npolicy_domain = \
         \"a.example\"\naction = \"replace\"\n[[destination]]\nrua_domain = \"*.b.example\"\naction = \
         \"discard\"\nto = [\"mailto:a@x.example\"]\n[[destination]]\nrua_domain = \
         \"c.example\"\naction = \"add\"\nto = [\"a@x.example\", \"mailto:b@x.example\", \
         \"https://x:0/\"]\n[[destination]]\nrua_domain = \"d.example\"\n[[destination]]\naction = \
         \"accept\"\n[[destination]]\nrua_domain = \"e.example\"\naction = \"discard\"\n",
        &[
            "sealpost.toml:5:14: destination.rua_domain: \"*\" is not a host name",
            "sealpost.toml:6:10: destination.action: \"drop\" is not one of \"accept\", \
             \"discard\", \"replace\", \"add\"",
            "sealpost.toml:7:1: destination.to: missing; \"replace\" needs a list of URIs such as \
             [\"mailto:tlsrpt@example.org\", \"https://example.org/tlsrpt\"]",
            "sealpost.toml:13:6: destination.to: \"discard\" sends nothing to other destinations",
            "sealpost.toml:17:7: destination.to: \"a@x.example\" is no destination: neither \
             mailto: nor https:",
            "sealpost.toml:17:44: destination.to: \"https://x:0/\" is no destination: not an https URI",
            "sealpost.toml:18:1: destination.action: missing; it is one of \"accept\", \
             \"discard\", \"replace\", \"add\"",
            "sealpost.toml:22:1: destination: no destination comes to this section: the one before \
             is for all of them",
        ],
    );
}

#[test]
fn a_daemon_that_reports_needs_a_sender_and_a_signature() {
    check(
        "",
        &[
            "sealpost.toml:1:1: sender.contact: reports need it: set contact = \
             \"postmaster@example.org\" below [sender], or report.enabled = false to send none",
            "sealpost.toml:1:1: sender.organization: reports need it: set organization = \"Example \
             Org\" below [sender], or report.enabled = false to send none",
        ],
    );
    check_below_sender(
        "[deliver]\nvia = \"mx\"\n",
        &[
            "sealpost.toml:5:7: deliver.via: \"mx\" needs a [[dkim]] key: nobody after us would sign \
             the reports, and receivers ignore unsigned ones",
        ],
    );
}

#[test]
fn c1_only_resolvers_of_this_machine_are_believed() {
    check_below_sender(
        "[dns]\nservers = [\"127.0.0.1:53\", \"192.0.2.1:53\"]\n[dane]\nvalidation = \"resolver\"\n",
        &[
            "sealpost.toml:7:14: dane.validation: \"resolver\" needs resolvers on this machine, and \
             dns.servers has 192.0.2.1:53: on the way from there anybody could say that an answer is \
             signed. \"own\" validates here",
        ],
    );
    let good =
        "[dns]\nservers = [\"127.0.0.1:53\", \"[::1]:53\"]\n[dane]\nvalidation = \"resolver\"\n";
    check_below_sender(good, &[]);
    let own = "[dns]\nservers = [\"192.0.2.1:53\"]\n[dane]\nvalidation = \"own\"\n";
    check_below_sender(own, &[]);
}

#[test]
fn a_command_needs_no_sender_and_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sealpost.toml");
    std::fs::write(&path, "[control_socket]\npath = \"c.sock\"\n").unwrap();
    let loaded = load_for_command(Some(&path)).unwrap();
    assert_eq!(
        loaded.config.control_socket.path,
        directory.path().join("c.sock")
    );
    let missing = directory.path().join("other.toml");
    let error = load_for_command(Some(&missing)).unwrap_err();
    let said = error.to_string();
    assert!(said.contains("other.toml: there is no such file"), "{said}");
    assert!(
        said.contains("contact = \"postmaster@example.org\""),
        "{said}"
    );
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sealpost.toml");
    let said = |result: Result<Loaded, ConfigError>| match result.unwrap_err() {
        ConfigError::Unreadable { reason, .. } => reason,
        other => panic!("{other}"),
    };
    assert_eq!(said(load(directory.path())), "it is a directory");
    std::fs::write(&path, b"ab\xff").unwrap();
    assert_eq!(said(load(&path)), "it is not UTF-8: octet 2 is none");
    std::fs::write(&path, vec![b'#'; 2 * 1024 * 1024]).unwrap();
    assert_eq!(said(load(&path)), "it is longer than 1 MiB");
}

#[test]
fn overrides_are_checked_and_an_ended_one_is_noted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sealpost.toml");
    let text = "[domain.\"B.example\"]\nmode = \"enforce\"\nuntil = \"2026-11-23\"\n[domain.\
                \"a.example\"]\nmode = \"off\"\n[domain.\"*\"]\nmode = \"audit\"\nuntil = \"2026-11-25\"\n";
    std::fs::write(&path, format!("{SENDER}{text}")).unwrap();
    let loaded = load(&path).unwrap();
    let names: Vec<_> = loaded
        .overrides
        .iter()
        .map(|each| each.scope.to_string())
        .collect();
    assert_eq!(names, ["*", "a.example", "b.example"]);
    let warned = |today: &str, words: &str| {
        let warnings = loaded.warnings(today.parse().unwrap());
        warnings.iter().any(|warning| warning.contains(words))
    };
    let ended = "the override of b.example ended with 2026-11-23";
    assert!(!warned("2026-11-23", ended));
    assert!(warned("2026-11-24", ended));
    let of_all = "puts every domain to audit through 2026-11-25";
    assert!(warned("2026-11-25", of_all));
    assert!(!warned("2026-11-26", of_all));
    assert!(warned("2026-11-26", "the override of * ended"));
}

#[test]
fn no_file_makes_a_panic_or_a_message_that_steers_a_terminal() {
    let good = format!(
        "{SENDER}[dns]\nservers = [\"127.0.0.1:53\"]\n[domain.\"b\u{fc}cher.example\"]\nmode = \
         \"off\"\nuntil = 2027-01-01\nreason = \"why\"\n[policy]\nhttps_port = 0x1bb\n[deliver]\n\
         relay = \"127.0.0.1:25\"\n[[dkim]]\nselector = \"s1\"\nkey = \"not-a-key.pem\"\n"
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sealpost.toml");
    for text in sealpost_kit::mutations(29, &[good.as_bytes()])
        .iter()
        .take(300)
    {
        std::fs::write(&path, text).unwrap();
        if let Err(error) = load(&path) {
            let said = error.to_string();
            let steers = |c: char| c.is_control() && c != '\n';
            assert!(!said.contains(steers), "{said:?}");
            assert!(said.len() < 64 * 1024, "{}", said.len());
        }
    }
}

#[test]
fn g11_a_key_that_everybody_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/keys/rsa2048.pem");
    let key = directory.path().join("key.pem");
    std::fs::copy(golden, &key).unwrap();
    let path = directory.path().join("sealpost.toml");
    let dkim = "[[dkim]]\nselector = \"s1\"\nkey = \"key.pem\"\n";
    std::fs::write(&path, format!("{SENDER}{dkim}")).unwrap();
    for (mode, warned) in [(0o600, false), (0o640, false), (0o644, true)] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        let warnings = load(&path).unwrap().warnings("2026-11-24".parse().unwrap());
        let said = |warning: &String| warning.contains("can be read by every user");
        assert_eq!(warnings.iter().any(said), warned, "{mode:o}: {warnings:?}");
    }
}

#[test]
fn the_way_out_is_one_that_there_is() {
    check_below_sender(
        "[deliver]\nvia = \"smtp\"\nsendmail = \"\"\n",
        &[
            "sealpost.toml:5:7: deliver.via: \"smtp\" is not one of \"relay\", \"sendmail\", \"mx\"",
            "sealpost.toml:6:12: deliver.sendmail: the path is empty",
        ],
    );
}

#[test]
fn a_sendmail_that_cannot_be_run_is_warned_of_where_it_is_the_way_out() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sealpost.toml");
    let program = directory.path().join("sendmail");
    let warned = |lines: &str| {
        std::fs::write(&path, format!("{SENDER}{lines}")).unwrap();
        let trouble = load(&path).unwrap().way_out_trouble();
        let warnings = load(&path).unwrap().warnings("2026-11-24".parse().unwrap());
        assert_eq!(
            trouble.is_some(),
            warnings.iter().any(|one| Some(one) == trouble.as_ref())
        );
        trouble.unwrap_or_default()
    };
    // A path is relative to the file.
    let ours = "[deliver]\nvia = \"sendmail\"\nsendmail = \"sendmail\"\n";
    let missing = warned(ours);
    assert!(
        missing.starts_with("no report can be sent: deliver.sendmail: "),
        "{missing}"
    );
    assert!(missing.ends_with("there is no such file"), "{missing}");
    std::fs::write(&program, "").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(warned(ours).ends_with("is not executable"));
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(warned(ours), "");
    let of_another = ours.replace(
        "\"sendmail\"\nsendmail = \"sendmail\"",
        "\"relay\"\nsendmail = \"none\"",
    );
    assert_eq!(warned(&of_another), "");
    assert_eq!(
        warned(&format!("{of_another}[report]\nenabled = false\n").replace("relay", "sendmail")),
        ""
    );
}
