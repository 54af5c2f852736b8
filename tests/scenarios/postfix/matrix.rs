//! One message to each domain of the matrix, through real Postfix and the real daemon; then the day
//! ends, and each report is held against the truth.

use sealpost_kit::Case;

use crate::mta::{
    comes_true,
    laboratory::Daemon,
    postfix::{PostfixHost, Version},
    protected::protection_differs,
    truth::{by_domain, report_differs, taken_differs},
};

/// What cannot be told truly, and why.
type Unknowable = &'static [(&'static str, &'static str)];

const TWO_EQUAL_MX: (&str, &str) = (
    "testing-twomx.test",
    "it is not told which of two equal MX a success went to, and they differ",
);

/// Postfix's own level, which holds where no policy is told: `smtp_tls_security_level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    May,
    Dane,
}

const NO_TLSA_IN_THE_LOG: &str =
    "the log has no TLSA records, and Postfix was told nothing of them";

const LEFT_OUT_OF_ANSWER: &str = "the log has an MX that its answer leaves out for its TLSA records as one that the policy does not list";

const NAMES_ONLY: &str = "before 3.10.5 Postfix connects to an MX that its answer leaves out, and refuses the certificate";

/// What Postfix 3.10 does not let be told, with its log or without.
const OF_3_10: Unknowable = &[TWO_EQUAL_MX];

/// With Postfix 3.10 alone: datagrams, what the daemon knows of the policies, and its own looks.
#[test]
fn every_domain_comes_out_as_its_truth_says_by_datagrams() {
    every_domain_comes_out_as_its_truth_says(Version::V3_10, Level::Dane, "", OF_3_10);
}

/// The same with a Postfix that does DANE only where it is told to.
#[test]
fn every_domain_comes_out_as_its_truth_says_at_the_level_may() {
    every_domain_comes_out_as_its_truth_says(Version::V3_10, Level::May, "", OF_3_10);
}

/// The same with its log: what is silent is told as it happens.
#[test]
fn every_domain_comes_out_as_its_truth_says_by_datagrams_and_log() {
    let log = "[postfix_log]\npath = \"log/mail.log\"\n";
    let unknowable: Unknowable = &[TWO_EQUAL_MX, ("dane-bogus-beside.test", LEFT_OUT_OF_ANSWER)];
    every_domain_comes_out_as_its_truth_says(Version::V3_10, Level::Dane, log, unknowable);
}

/// With Postfix 3.7, which tells its sessions in its log alone.
#[test]
fn every_domain_comes_out_as_its_truth_says_by_the_log_alone() {
    let log = "[postfix_log]\npath = \"log/mail.log\"\ntake = \"all\"\n";
    let unknowable: Unknowable = &[
        TWO_EQUAL_MX,
        ("dane-unusable.test", NO_TLSA_IN_THE_LOG),
        ("testing-dane-unusable.test", NO_TLSA_IN_THE_LOG),
        ("insecure-mx.test", NO_TLSA_IN_THE_LOG),
        ("dane-bogus-beside.test", NAMES_ONLY),
        ("dane-worse-bad.test", NAMES_ONLY),
    ];
    every_domain_comes_out_as_its_truth_says(Version::V3_7, Level::Dane, log, unknowable);
}

fn every_domain_comes_out_as_its_truth_says(
    version: Version,
    level: Level,
    sections: &str,
    unknowable: Unknowable,
) {
    let setting = match level {
        Level::May => "may",
        Level::Dane => "dane",
    };
    let Some(host) = PostfixHost::start(version, &[("smtp_tls_security_level", setting)]) else {
        return;
    };
    let daemon = host.start_daemon_with(&format!("[probe]\nsilent_seconds = 3\n{sections}"));
    let mut cases = host.cases();
    cases.retain(|case| level == Level::Dane || !is_decided_by_postfix(case));
    let domains: Vec<&str> = cases.iter().map(|case| case.domain.as_str()).collect();
    let by_chance = cases.iter().filter(|case| case.otherwise.is_some());
    let chance: Vec<&str> = by_chance.map(|case| case.domain.as_str()).collect();
    let mut differences = Vec::new();
    let mut truths: Vec<&Case> = Vec::new();
    for (case, fate) in cases.iter().zip(host.send_to_each(&domains)) {
        let truth = case.as_taken_by(fate.mx.as_deref());
        if (fate.delivered, &fate.mx) != (truth.delivered, &truth.mx) {
            differences.push(format!("{}: {}", case.domain, fate.line));
        }
        truths.push(truth);
    }
    let messages = host.ask("messages");
    differences.extend(
        truths
            .iter()
            .filter_map(|case| taken_differs(case, &messages)),
    );
    let is_excused = |domain: &str| unknowable.iter().any(|(excused, _)| *excused == domain);
    let mut knowable = truths.clone();
    knowable.retain(|case| !is_excused(&case.domain));
    settle(&daemon, &knowable);
    differences.extend(protection_differs(&daemon, &domains));

    let sent = daemon.end_day();
    assert!(sent.status.success(), "{sent:?}\n{}", host.daemon_log());
    let wanted = truths.iter().filter(|case| case.report.is_some()).count();
    host.ask(&format!("wait {wanted}"));
    let reports = by_domain(&host.ask("inbox"));
    let sessions = daemon.counted_in_all();
    for case in &truths {
        let landed = reports.get(&case.domain).map(Vec::as_slice);
        let differs = report_differs(case, landed);
        let excused = is_excused(&case.domain);
        let by_chance = chance.contains(&case.domain.as_str());
        assert!(
            !excused || by_chance || !differs.is_empty(),
            "{} can be told after all: take it from the list",
            case.domain
        );
        if !excused {
            differences.extend(differs);
        }
    }
    let foreign: Vec<_> = reports
        .keys()
        .filter(|domain| !domains.contains(&domain.as_str()))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    // F12, D6: what the reports travelled by was a session too, and is not counted.
    assert_eq!(daemon.counted_in_all(), sessions);
    assert!(
        differences.is_empty(),
        "{}\n{}\n{}",
        differences.join("\n"),
        host.daemon_log(),
        host.mail_log()
    );
}

/// The truth depends on Postfix's own level: DANE has a say, and Postfix is told nothing.
const DECIDED_BY_POSTFIX: [&str; 7] = [
    "dane-one.test",
    "dane-one-bad.test",
    "dane-one-equal.test",
    "dane-unusable.test",
    "insecure-mx.test",
    "testing-dane-one.test",
    "testing-dane-unusable.test",
];

fn is_decided_by_postfix(case: &Case) -> bool {
    DECIDED_BY_POSTFIX.contains(&case.domain.as_str())
}

/// Waits until nothing more is to be expected of these: every session of the truth is counted, told or
/// inferred.
fn settle(daemon: &Daemon<'_>, truths: &[&Case]) {
    // Where nobody asks for reports Postfix tells nothing, and nobody would read it.
    let mut waiting: Vec<&&Case> = truths.iter().filter(|case| case.report.is_some()).collect();
    let all_are_counted = comes_true(|| {
        waiting.retain(|case| {
            let counted = daemon.counted_now(&case.domain);
            let sessions = counted
                .iter()
                .map(|policy| policy.successes + policy.failures);
            sessions.sum::<u64>() < case.sessions
        });
        waiting.is_empty()
    });
    if !all_are_counted {
        for case in waiting {
            let counted = daemon.counted_now(&case.domain);
            println!("{}, {} sessions: {counted:?}", case.domain, case.sessions);
        }
    }
}
