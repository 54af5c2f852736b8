//! What Prometheus reads: the real daemon scraped, and what is handed out with it to read that scrape.

use std::{
    collections::BTreeSet,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sealpost_kit::Answer;
use serde_json::Value;

use super::{
    host::{Host, field},
    page::browser::{At, Browser},
};
use crate::{scenarios::consumers, skipped::skipped};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// An address nobody listens on yet.
pub(super) fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// A host with metrics on a TCP address, at which one domain's policy was asked for and could then not be
/// fetched again, and one session was told.
fn scraped_host() -> (Host, super::host::Daemon, Browser) {
    let mut host = Host::new();
    let address = free_address();
    let listen: toml::value::Array = vec![address.to_string().into()];
    host.set("metrics.listen", listen);
    let daemon = host.start();
    let policy = host.say("MX\tcorrect.test\tmx.correct.test");
    let told = host.say(&format!(
        "SESSION\tcorrect.test\tpolicy={}\tmx=mx.correct.test\toutcome=success",
        field(&policy, "policy")
    ));
    assert_eq!(told, "OK");
    let hosts = &host.internet.policy_hosts;
    hosts.set_answer("mta-sts.correct.test", Answer::status(500));
    host.advance_clock_seconds(600);
    let _refreshed = host.run(&["policy", "refresh", "correct.test"]);
    // What was read of the store a minute ago is read again.
    host.advance_clock_seconds(61);
    // Until this answers, what was told is on the disk.
    let _counted = host.json(&["sessions"]);
    (host, daemon, Browser::at(At::Tcp(address)))
}

#[track_caller]
fn value(text: &str, series: &str) -> f64 {
    let lines = text.lines();
    let mut found = lines.filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let value = found
        .next()
        .unwrap_or_else(|| panic!("no {series}: {text}"));
    value.parse().unwrap()
}

#[test]
fn prometheus_reads_what_the_daemon_counts_and_no_domain() {
    let (host, _daemon, mut prometheus) = scraped_host();
    let page = prometheus.get("/metrics");
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let text = page.text();
    for (series, least) in [
        ("sealpost_policy_queries_total", 1.0),
        (
            "sealpost_policy_answers_total{way=\"waited\",demand=\"verify\"}",
            1.0,
        ),
        (
            "sealpost_policy_answer_seconds_count{way=\"waited\",demand=\"verify\"}",
            1.0,
        ),
        (
            "sealpost_dns_lookups_total{record=\"txt\",result=\"found\"}",
            1.0,
        ),
        (
            "sealpost_policy_fetch_seconds_count{result=\"fetched\"}",
            1.0,
        ),
        (
            "sealpost_policy_fetch_seconds_count{result=\"sts-policy-fetch-error\"}",
            1.0,
        ),
        (
            "sealpost_store_commit_seconds_count{result=\"written\"}",
            1.0,
        ),
        ("sealpost_policies_kept{mode=\"enforce\"}", 1.0),
        ("sealpost_policies_unrefreshed", 1.0),
        ("sealpost_policy_next_unrefreshed_expiry_seconds", 1.0),
        ("sealpost_store_recording", 1.0),
        ("sealpost_start_time_seconds", 1.0),
    ] {
        assert!(value(text, series) >= least, "{series}: {text}");
    }
    let sessions = "sealpost_policy_sessions_total{policy_type=\"sts\",result=\"success\"}";
    assert!((value(text, sessions) - 1.0).abs() < f64::EPSILON, "{text}");
    // G6: a label that a recipient domain names could make any number of series.
    assert!(!text.contains("correct.test"), "{text}");
    // What is counted has one list, and the other command shows the same.
    let counted = host.counter("policy_fetches_failed");
    let shown = host.shown(&["status", "--metrics"]);
    let failed = "sealpost_policy_fetches_failed_total";
    assert!((value(&shown, failed) - counted as f64).abs() < f64::EPSILON);
}

#[test]
fn metrics_are_to_be_read_and_nothing_else_is_there() {
    let (_host, _daemon, mut prometheus) = scraped_host();
    for (method, path, status) in [
        ("HEAD", "/metrics", 200),
        ("POST", "/metrics", 405),
        ("DELETE", "/metrics", 405),
        ("GET", "/", 404),
        ("GET", "/domains", 404),
        ("GET", "/metrics/../act", 404),
    ] {
        let page = prometheus.send(method, path, &[], None);
        assert_eq!(page.status, status, "{method} {path}");
    }
    let long = "x".repeat(20_000);
    let refused = prometheus.send("GET", "/metrics", &[("x-long", &long)], None);
    assert_eq!(refused.status, 431);
}

/// Debian's promtool, or nothing where it is not unpacked.
fn promtool() -> Option<PathBuf> {
    let program = Path::new(ROOT).join("target/test-tools/prometheus/usr/bin/promtool");
    if program.exists() {
        return Some(program);
    }
    skipped(&format!(
        "nothing of Prometheus's reads our metrics and rules, for {} is missing. `cargo xtask promtool` makes \
         it.",
        program.display()
    ));
    None
}

#[track_caller]
fn promtool_is_content(program: &Path, arguments: &[&str], input: &str) {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(Path::new(ROOT).join("packaging/prometheus"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end before it has read all, and then its words say why.
    let _written = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{arguments:?}: {said}");
}

#[test]
fn promtool_takes_a_real_scrape_the_rules_and_what_is_expected_of_them() {
    let Some(program) = promtool() else { return };
    let (_host, _daemon, mut prometheus) = scraped_host();
    let page = prometheus.get("/metrics");
    promtool_is_content(&program, &["check", "metrics"], page.text());
    promtool_is_content(&program, &["check", "rules", "sealpost.rules.yml"], "");
    promtool_is_content(&program, &["test", "rules", "sealpost.rules.test.yml"], "");
}

/// Every name of ours in a text.
fn names(text: &str) -> BTreeSet<&str> {
    text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))
        .filter(|word| word.starts_with("sealpost_"))
        .collect()
}

fn handed_out(file: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join("packaging").join(file)).unwrap()
}

#[test]
fn every_metric_of_the_rules_and_the_dashboard_is_in_a_real_scrape() {
    let (_host, _daemon, mut prometheus) = scraped_host();
    let page = prometheus.get("/metrics");
    let scraped = names(page.text());
    for file in ["prometheus/sealpost.rules.yml", "grafana/sealpost.json"] {
        let text = handed_out(file);
        let named = names(&text);
        assert!(named.len() > 10, "{file}: {named:?}");
        let missing: Vec<_> = named.difference(&scraped).collect();
        assert!(missing.is_empty(), "{file}: {missing:?}");
    }
}

#[test]
fn every_rule_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() {
    let rules = handed_out("prometheus/sealpost.rules.yml");
    let cases = handed_out("prometheus/sealpost.rules.test.yml");
    let all: Vec<_> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(!all.is_empty());
    for rule in all {
        let of_rule = format!("- alertname: {rule}\n");
        assert_eq!(cases.matches(&of_rule).count(), 2, "{rule}");
    }
}

#[test]
fn grafanas_own_types_know_every_word_of_the_dashboard() {
    let dashboard = Path::new(ROOT).join("packaging/grafana/sealpost.json");
    consumers::check_dashboard(&dashboard);
}

#[test]
fn the_dashboard_has_the_shape_that_grafana_imports() {
    let dashboard: Value = serde_json::from_str(&handed_out("grafana/sealpost.json")).unwrap();
    assert_eq!(dashboard["uid"], "sealpost");
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 36);
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variables: Vec<_> = variables
        .iter()
        .map(|variable| variable["name"].as_str().unwrap())
        .collect();
    assert_eq!(variables, ["datasource", "instance"]);
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(!title.is_empty() && ids.insert(panel["id"].as_u64().unwrap()));
        let place = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        let (left, width) = (place("x"), place("w"));
        assert!(left + width <= 24, "{title} is off the grid");
        for x in left..left + width {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "{title} lies on another panel");
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title}");
        for target in targets {
            let expression = target["expr"].as_str().unwrap();
            let opened = expression.matches(['(', '{', '[']).count();
            let closed = expression.matches([')', '}', ']']).count();
            assert_eq!(opened, closed, "{title}: {expression}");
            assert!(expression.contains("instance=~\"$instance\""), "{title}");
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
}
