//! `sealpost demo`, as whoever reads the README's first command sees it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use sealpost_kit::ReportMail;
use serde_json::{Value, json};

use super::{consumers, report_show};

/// Builds what the demo needs beside the program, in the profile and the target folder that this
/// test was built into.
pub(super) fn build_parts() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_sealpost"));
    let directory = program.parent().unwrap();
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(profile) => profile,
        None => panic!("{} is not in a target folder", program.display()),
    };
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--profile", profile])
        .args([
            "--package",
            "sealpost-capi",
            "--package",
            "sealpost-toy-mta",
        ])
        .arg("--target-dir")
        .arg(directory.parent().unwrap())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(status.success(), "the demo's parts were not built");
    program.to_owned()
}

#[test]
fn every_case_of_the_demo_agrees_with_its_truth() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("demo");
    let output = Command::new(build_parts())
        .args(["demo", "--json", "--directory"])
        .arg(&directory)
        .output()
        .unwrap();
    let log = std::fs::read_to_string(directory.join("daemon.log")).unwrap_or_default();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}\n{log}");

    // Only JSON, on one line.
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1);
    let shown: Value = serde_json::from_str(&text).unwrap();
    let cases = shown["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 16);
    for case in cases {
        assert_eq!(case["result_types"], case["expected"], "{case}");
    }
    assert_eq!(
        cases[1],
        json!({"domain": "expired.test", "policy": "enforce", "delivered": "deferred",
            "result_types": ["certificate-expired"], "expected": ["certificate-expired"]})
    );

    let reports = shown["reports"].as_array().unwrap();
    assert_eq!(reports.len(), 15);
    let mut expected = serde_json::Map::new();
    let mut files = Vec::new();
    for report in reports {
        assert_eq!(report["dkim"], "pass", "{report}");
        assert_eq!(report["rua"], "tlsrpt@reports.test");
        let file = Path::new(report["file"].as_str().unwrap());
        let mail = ReportMail::parse(&std::fs::read(file).unwrap()).unwrap();
        assert_eq!(mail.field("TLS-Report-Domain"), report["domain"].as_str());
        let kept = std::fs::read(file.with_extension("json")).unwrap();
        assert_eq!(kept, mail.json);
        let json: Value = serde_json::from_slice(&kept).unwrap();
        assert_eq!(json["report-id"], report["report_id"]);
        files.push(file.to_owned());
        expected.insert(
            file.file_name().unwrap().to_str().unwrap().to_owned(),
            json!({"domain": report["domain"], "report_id": report["report_id"],
                "success": report["success"], "failure": report["failure"],
                "signatures": ["ed25519-sha256", "rsa-sha256"]}),
        );
    }
    // The demo's own verdict on the signatures is not enough.
    let keys = directory.join("dkim-records.json");
    let folder = files[0].parent().unwrap();
    report_show::check_strictly(folder, &keys, 15);
    let records = std::fs::read(keys).unwrap();
    consumers::check(expected, &serde_json::from_slice(&records).unwrap(), &files);
}
