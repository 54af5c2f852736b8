//! Programs of others that read what we hand out, in Python: dkimpy, parsedmarc, and jsonschema with our schema read the
//! report mails, Grafana's own types the dashboard.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Map, Value};

use crate::skipped::skipped;

/// Has each file verified and parsed, and compared with what is expected of it by its name;
/// `records` is what the DNS says of the keys. `tests/consumers/check.py` has the forms; it also
/// changes each mail in many ways and wants every signature to fail.
pub(super) fn check(expected: Map<String, Value>, records: &Value, files: &[PathBuf]) {
    let Some(mut program) = program("check.py", "the report mails") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (expected_path, records_path) = (
        folder.path().join("expected.json"),
        folder.path().join("records.json"),
    );
    fs::write(&expected_path, Value::Object(expected).to_string()).unwrap();
    fs::write(&records_path, records.to_string()).unwrap();
    let output = program
        .args([&expected_path, &records_path])
        .args(files)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaints}");
    assert_eq!(said.lines().count(), files.len(), "{said}");
}

/// Has a dashboard read by the types that Grafana publishes.
pub(super) fn check_dashboard(file: &Path) {
    let Some(mut program) = program("dashboard.py", "the dashboard") else {
        return;
    };
    let output = program.arg(file).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
}

/// A program of `tests/consumers`, with the Python that has what it needs.
fn program(name: &str, of: &str) -> Option<Command> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/test-tools/venv/bin/python3");
    if !python.exists() {
        skipped(&format!(
            "no independent check of {of}, for {} is missing. `cargo xtask tools` makes it.",
            python.display()
        ));
        return None;
    }
    let mut program = Command::new(python);
    program.arg(root.join("tests/consumers").join(name));
    Some(program)
}
