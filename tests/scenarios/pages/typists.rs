//! Every command that a document has a reader type is typed by a test, and which one is said here.

use std::path::Path;

use self::By::{Looked, Test};
use super::{
    super::daemon::documents::{is_typed_here, sources},
    commands, documents,
};

/// Who types a command.
#[derive(Clone, Copy, Debug)]
enum By {
    /// The test of this name.
    Test(&'static str),
    /// No test can: why not, and what is looked at instead.
    Looked(&'static str),
}

/// Of a document (its path from the top, or how that begins) the commands that begin so, and who types them. What begins
/// with `sealpost ` and is not here is typed by `every_command_of_the_documents_is_one_and_does_what_it_is_for`.
const TYPISTS: &[(&str, &str, By)] = &[
    // From source.
    ("", "cargo demo", Looked("`cargo xtask test` ends with it")),
    (
        "",
        "cargo xtask",
        Looked("it is what runs the tests, and makes the package that they install"),
    ),
    ("", "cargo test", Looked("`cargo xtask test` runs it")),
    (
        "",
        "cargo bench",
        Test("every_bench_that_a_document_names_is_one"),
    ),
    (
        "README.md",
        "cargo build --release",
        Looked("`cargo xtask package` does it"),
    ),
    (
        "README.md",
        "install -m 755",
        Test("what_is_typed_without_the_package_has_systemd_run_it"),
    ),
    (
        "README.md",
        "apt install",
        Test("the_package_is_installed_upgraded_and_purged_in_clean_debians"),
    ),
    // Signals and attributes that are spoken of and not typed.
    (
        "",
        "kill -9",
        Looked("the name of what happens to the daemon in the trials of the store"),
    ),
    (
        "docs/decisions/0004",
        "chattr +S",
        Looked("what it sets is set by the store itself, which its tests look at"),
    ),
    (
        "docs/decisions/0002",
        "openssl genrsa",
        Looked("where keys come from, which the tests of DKIM read"),
    ),
    // Demo, daemon, Postfix's settings.
    (
        "",
        "sealpost demo",
        Test("every_case_of_the_demo_agrees_with_its_truth"),
    ),
    ("", "sealpost serve", Test(POSTFIX)),
    (
        "",
        "sealpost dkim keygen",
        Test("every_way_of_the_documents_to_make_keys_makes_some"),
    ),
    ("", "sealpost setup postfix", Test(POSTFIX)),
    (
        "docs/guide/testing-first.md",
        "sealpost setup postfix --undo",
        Test(DEBIAN),
    ),
    (
        "docs/install/debian.md",
        "sealpost setup postfix --undo",
        Test(DEBIAN),
    ),
    // docs/install
    ("docs/install/debian.md", "apt install", Test(DEBIAN)),
    ("docs/install/debian.md", "cat >", Test(DEBIAN)),
    ("docs/install/debian.md", "systemctl start", Test(DEBIAN)),
    ("docs/install/debian.md", "postfix reload", Test(DEBIAN)),
    ("docs/install/debian.md", "systemctl edit", Test(DEBIAN)),
    (
        "docs/install/debian.md",
        "systemctl restart sealpost",
        Test(DEBIAN),
    ),
    (
        "docs/install/debian.md",
        "apt purge",
        Test("the_package_is_installed_upgraded_and_purged_in_clean_debians"),
    ),
    (
        "docs/install/debian.md",
        "man sealpost",
        Looked(
            "a minimal Debian has no `man`; that its pages are where it looks is seen where the package is installed",
        ),
    ),
    ("docs/install/exim.md", "setpriv", Test(EXIM)),
    ("docs/install/exim.md", "exim4", Test(EXIM)),
    ("docs/install/postfix.md", "install -d", Test(POSTFIX)),
    ("docs/install/postfix.md", "cat >", Test(POSTFIX)),
    ("docs/install/postfix.md", "echo", Test(POSTFIX)),
    ("docs/install/postfix.md", "postfix reload", Test(POSTFIX)),
    (
        "docs/install/postfix.md",
        "(cd /var/spool/postfix && postmap -q",
        Test(POSTFIX),
    ),
    (
        "docs/install/postfix.md",
        "postconf -e",
        Looked("the name of what `setup postfix --apply` does"),
    ),
    ("docs/install/systemd.md", "install ", Test(BY_HAND)),
    ("docs/install/systemd.md", "useradd", Test(BY_HAND)),
    ("docs/install/systemd.md", "chgrp", Test(BY_HAND)),
    ("docs/install/systemd.md", "echo", Test(BY_HAND)),
    (
        "docs/install/systemd.md",
        "systemctl daemon-reload",
        Test(BY_HAND),
    ),
    ("docs/install/systemd.md", "systemctl enable", Test(BY_HAND)),
    ("docs/install/systemd.md", "systemctl status", Test(BY_HAND)),
    ("docs/install/systemd.md", "chown -R", Test(DEBIAN)),
    ("docs/install/systemd.md", "systemctl stop", Test(DEBIAN)),
    (
        "docs/install/systemd.md",
        "systemctl edit sealpost.socket",
        Test(DEBIAN),
    ),
    (
        "docs/install/systemd.md",
        "systemd-analyze security",
        Test("the_package_is_installed_upgraded_and_purged_in_clean_debians"),
    ),
    // docs/guide
    ("docs/guide/backup.md", "systemctl", Test(DEBIAN)),
    ("docs/guide/backup.md", "tar", Test(DEBIAN)),
    ("docs/guide/backup.md", "rm -rf", Test(DEBIAN)),
    ("docs/guide/backup.md", "chown -R", Test(DEBIAN)),
    ("docs/guide/bounces.md", "postmap", Test(BOUNCE)),
    ("docs/guide/bounces.md", "postconf", Test(BOUNCE)),
    ("docs/guide/bounces.md", "postfix reload", Test(BOUNCE)),
    (
        "docs/guide/bounces.md",
        "usermod",
        Test("f9_f20_a_bounce_comes_through_an_alias_and_a_forward_file"),
    ),
    (
        "docs/guide/bounces.md",
        "echo",
        Test("f9_f20_a_bounce_comes_through_an_alias_and_a_forward_file"),
    ),
    (
        "docs/guide/bounces.md",
        "newaliases",
        Test("f9_f20_a_bounce_comes_through_an_alias_and_a_forward_file"),
    ),
    (
        "docs/guide/doctor.md",
        "df -i",
        Test("small_commands_of_the_documents_are_ones"),
    ),
    (
        "docs/guide/doctor.md",
        "du --inodes",
        Test("small_commands_of_the_documents_are_ones"),
    ),
    ("docs/guide/doctor.md", "dig", Test(EXIM)),
    (
        "docs/guide/evidence.md",
        "grep '^domain,'",
        Test("an_auditor_holds_a_statement_against_its_digest_by_the_guide"),
    ),
    (
        "docs/guide/evidence.md",
        "jq",
        Test("an_auditor_holds_a_statement_against_its_digest_by_the_guide"),
    ),
    (
        "docs/guide/first-day.md",
        "journalctl -u sealpost",
        Test(DEBIAN),
    ),
    (
        "docs/guide/monitoring.md",
        "curl",
        Test("metrics_come_by_the_address_and_by_the_file_of_the_guide"),
    ),
    (
        "docs/guide/monitoring.md",
        "sealpost status --metrics > /var/lib/prometheus",
        Test("metrics_come_by_the_address_and_by_the_file_of_the_guide"),
    ),
    (
        "docs/guide/monitoring.md",
        "promtool test rules",
        Test("promtool_takes_a_real_scrape_the_rules_and_what_is_expected_of_them"),
    ),
    (
        "docs/guide/page.md",
        "ssh -L",
        Test("small_commands_of_the_documents_are_ones"),
    ),
    ("docs/guide/testing-first.md", "grep -ho", Test(LOOK_FIRST)),
    (
        "docs/guide/testing-first.md",
        "while read",
        Test(LOOK_FIRST),
    ),
    ("docs/guide/testing-first.md", "exim -R", Test(EXIM)),
    ("docs/guide/testing-first.md", "postqueue -f", Test(POSTFIX)),
    (
        "docs/guide/testing-first.md",
        "systemctl reload sealpost",
        Test(DEBIAN),
    ),
    (
        "docs/guide/testing-first.md",
        "postfix reload",
        Test(DEBIAN),
    ),
    // The doors, settings, decisions.
    (
        "docs/plugin-socket.md",
        "printf",
        Test("the_plugin_socket_answers_the_lines_of_its_page"),
    ),
    (
        "docs/plugin-socket.md",
        "nc -N",
        Test("the_plugin_socket_answers_the_lines_of_its_page"),
    ),
    (
        "docs/socketmap.md",
        "(cd /var/spool/postfix && postmap -q",
        Test(POSTFIX),
    ),
    (
        "docs/config.md",
        "ssh -L",
        Test("small_commands_of_the_documents_are_ones"),
    ),
    (
        "docs/config.md",
        "openssl rand",
        Test("small_commands_of_the_documents_are_ones"),
    ),
    (
        "docs",
        "sendmail -i -oep",
        Test("f17_f18_reports_leave_through_the_program_once_it_can_be_run"),
    ),
    (
        "docs/threat-model.md",
        "ssh -L",
        Test("small_commands_of_the_documents_are_ones"),
    ),
    ("docs/decisions/0017", "apt install", Test(DEBIAN)),
    (
        "docs/decisions/0017",
        "systemctl start sealpost",
        Test(DEBIAN),
    ),
    (
        "docs/decisions/0018",
        "ssh -L",
        Test("small_commands_of_the_documents_are_ones"),
    ),
];

/// A booted Debian 13 with its Postfix.
const DEBIAN: &str = "ten_commands_lead_from_the_package_to_a_delivered_report";
const BY_HAND: &str = "what_is_typed_without_the_package_has_systemd_run_it";
const POSTFIX: &str = "what_the_page_has_typed_makes_a_fresh_debian_13_keep_to_policies_and_count";
const EXIM: &str = "what_documents_have_typed_with_exim_does_what_it_is_for";
const BOUNCE: &str =
    "f9_f20_postfixs_bounce_of_a_report_suppresses_its_mailbox_and_waits_for_a_daemon_that_is_down";
const LOOK_FIRST: &str = "what_would_be_stopped_is_found_beforehand_and_then_put_to_audit";

#[test]
fn every_command_of_the_documents_is_typed_by_a_test() {
    let mut claims: Vec<bool> = vec![false; TYPISTS.len()];
    let (mut found, mut untyped) = (0, Vec::new());
    for (document, text) in documents() {
        for command in commands(&text) {
            found += 1;
            let mut claimed = is_typed_here(&command);
            for ((of, start, _), claim) in TYPISTS.iter().zip(&mut claims) {
                if document.starts_with(of) && command.starts_with(start) {
                    claimed = true;
                    *claim = true;
                }
            }
            if !claimed {
                untyped.push(format!("{document}: {command}"));
            }
        }
    }
    assert!(found > 300, "{found}");
    assert!(untyped.is_empty(), "no test types these: {untyped:#?}");
    let claimed = TYPISTS.iter().zip(claims);
    let vain: Vec<_> = claimed.filter(|(_, claim)| !claim).collect();
    assert!(vain.is_empty(), "these are in no document: {vain:#?}");
}

#[test]
fn every_test_that_types_is_there() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"));
    for (document, start, by) in TYPISTS {
        match by {
            Test(name) => {
                let is_there = sources.contains(&format!("fn {name}("));
                assert!(is_there, "{document}: {start}: there is no test {name}");
            }
            Looked(why) => assert!(why.contains(' '), "{document}: {start}"),
        }
    }
}

/// They take from a minute to an hour each.
#[test]
fn every_bench_that_a_document_names_is_one() {
    let manifest = include_str!("../../../Cargo.toml");
    let mut named = 0;
    for (document, text) in documents() {
        for command in commands(&text) {
            let Some(bench) = command.strip_prefix("cargo bench --bench ") else {
                continue;
            };
            named += 1;
            let name = bench.split(' ').next().unwrap_or_default();
            let is_one = manifest.contains(&format!("[[bench]]\nname = \"{name}\"\n"));
            assert!(is_one, "{document}: {command}");
        }
    }
    assert!(named > 5, "{named}");
}
