use std::{fs, path::Path};

use super::as_text;
use crate::{config::explain::tests::check_made, ctl::wire::CheckResult};

/// Answers of a daemon, or of a command without one, and what they read as.
#[test]
fn a_check_reads_as_the_golden_files_have_it() {
    for name in [
        "everything",
        "policy-with-faults",
        "without-daemon",
        "unknown-domain",
    ] {
        let place = format!("tests/golden/check/{name}");
        let answer = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("{place}.json"));
        let answer = fs::read_to_string(answer).unwrap();
        let result: CheckResult = serde_json::from_str(&answer).unwrap();
        // Every member of an answer is read: nothing in the file is for nobody.
        let again = serde_json::to_value(&result).unwrap();
        let given: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(given, again, "{name}");
        check_made(&format!("{place}.txt"), &as_text(&result));
    }
}
