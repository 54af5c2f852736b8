//! `sealpost doctor`, the real program: each trap is set on a sending host of the small Internet, in real Postfix and in
//! real Exim, and found by its name.

mod exim;
mod fuse;
mod machine;
mod namespace;
mod postfix;
mod pretended;
mod reports;
mod roots;
mod stage;

use std::collections::BTreeSet;

use stage::Stage;

/// Traps that only the tables of the unit tests set, and why.
const BY_TABLE_ALONE: [(&str, &str); 1] = [(
    "sender-not-aligned",
    "the program makes one domain of them, whatever is set: a test of its own holds it to that",
)];

#[test]
fn every_trap_is_set_by_a_scenario_or_it_is_said_why_not() {
    let listed = Stage::new().json(&["--list"]);
    let traps = listed["examinations"].as_array().unwrap().iter();
    let traps: BTreeSet<&str> = traps
        .flat_map(|one| one["traps"].as_array().unwrap())
        .map(|trap| trap["name"].as_str().unwrap())
        .collect();
    let cases = machine::CASES
        .iter()
        .chain(reports::CASES)
        .chain(pretended::CASES);
    let set = cases.map(|case| case.trap);
    let set = set
        .chain(exim::TRAPS)
        .chain(postfix::TRAPS)
        .chain(roots::TRAPS)
        .chain(fuse::TRAPS)
        .chain(namespace::CASES.iter().map(|case| case.trap))
        .chain(["configuration-warned-of"]);
    let set: BTreeSet<&str> = set.chain(BY_TABLE_ALONE.map(|(trap, _)| trap)).collect();
    assert_eq!(set, traps);
}

#[test]
fn nothing_is_wrong_with_a_host_on_which_nothing_was_set() {
    let stage = Stage::new();
    let daemon = stage.start();
    // What is the laboratory's is warned of; limits and clock are the machine's own, and roots grow old.
    let found = stage.findings(&[
        "daemon", "store", "resolver", "sockets", "sessions", "dkim", "sender", "way-out",
    ]);
    assert_eq!(found, [""; 0]);
    let output = stage.doctor(&["sender", "dkim"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let shown = String::from_utf8(output.stdout).unwrap();
    for words in [
        "ok    sender  From, contact-info, TLS-Report-Submitter, d= are sender.test: aligned",
        "ok    dkim    rsa._domainkey.sender.test is published",
    ] {
        assert!(shown.contains(words), "{words}\n{shown}");
    }
    // It knows what is what.
    let all = stage.json(&["sender"]);
    let well = all["examinations"][0]["well"].to_string();
    assert!(
        well.contains("a report signed by ed25519 verifies by the DNS"),
        "{well}"
    );
    drop(daemon);
}

#[test]
fn it_says_how_it_is_used_and_ends_with_what_it_found() {
    let mut stage = Stage::new();
    let code = |output: std::process::Output| output.status.code();
    assert_eq!(code(stage.doctor(&["stoer"])), Some(64));
    assert_eq!(code(stage.doctor(&["dkim"])), Some(0));
    stage.host.set("sender.host_name", "mail");
    stage.host.write_config();
    assert_eq!(code(stage.doctor(&["sender"])), Some(0), "a warning");
    assert_eq!(code(stage.doctor(&["sender", "--strict"])), Some(1));
    assert_eq!(code(stage.doctor(&["daemon"])), Some(1), "no daemon");
    // Found by a trap's name as well.
    let by_trap = stage.json(&["sender-host-name-unfit"]);
    assert_eq!(by_trap["state"], "warning");
    assert_eq!(by_trap["examinations"][0]["name"], "sender");
}
