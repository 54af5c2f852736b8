//! Real Exim and DANE: Sealpost says of each MX host whether it is for DANE, and Exim does it.

use sealpost_kit::{Case, Delivery};

use crate::mta::{
    exim::Build,
    laboratory::{Counted, Daemon, Domains},
    stand_in::StandIn,
    truth::{by_domain, report_differs, taken_differs},
    world::World,
};

/// Does this with each build that the machine has.
fn with_each_build(test: impl Fn(&World)) {
    for build in Build::ALL {
        if let Some(world) = World::start_with(build, Domains::Postfix) {
            // Shown where the test fails.
            println!("{build:?}");
            test(&world);
        }
    }
}

/// The domains where DANE has a say.
fn is_about_dane(case: &Case) -> bool {
    case.policy.contains("DANE")
}

#[test]
fn every_case_with_dane_comes_out_as_its_truth_says_light() {
    every_case_with_dane_comes_out_as_its_truth_says(Build::Light);
}

#[test]
fn every_case_with_dane_comes_out_as_its_truth_says_heavy() {
    every_case_with_dane_comes_out_as_its_truth_says(Build::Heavy);
}

fn every_case_with_dane_comes_out_as_its_truth_says(build: Build) {
    let Some(world) = World::start_with(build, Domains::Postfix) else {
        return;
    };
    let mut cases = world.cases();
    cases.retain(is_about_dane);
    assert!(cases.len() >= 7, "{}", cases.len());
    let daemon = world.start_daemon();
    let mut differences = Vec::new();
    for case in &cases {
        let fate = world.send(&case.domain);
        if (fate.delivered, &fate.mx) != (case.delivered, &case.mx) {
            differences.push(format!("{}: {}", case.domain, fate.line));
        }
    }
    let messages = world.ask("messages");
    differences.extend(
        cases
            .iter()
            .filter_map(|case| taken_differs(case, &messages)),
    );
    let sessions: u64 = cases.iter().map(|case| case.sessions).sum();
    for case in &cases {
        println!("{}: {:?}", case.domain, daemon.counted_now(&case.domain));
    }
    println!("{}\n{}", world.exim.main_log(), world.daemon_log());
    assert_eq!(daemon.counted_in_all(), sessions, "{differences:#?}");

    let _relay = world.listen();
    let sent = daemon.end_day();
    assert!(sent.status.success(), "{sent:?}\n{}", world.daemon_log());
    let wanted = cases.iter().filter(|case| case.report.is_some()).count();
    world.ask(&format!("wait {wanted}"));
    let reports = by_domain(&world.ask("inbox"));
    for case in &cases {
        let landed = reports.get(&case.domain).map(Vec::as_slice);
        differences.extend(report_differs(case, landed));
    }
    assert!(differences.is_empty(), "{differences:#?}");
    assert_eq!(world.exim.panic_log(), "");
}
