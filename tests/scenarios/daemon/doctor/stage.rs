//! A sending host on which something is set, and what the doctor finds there.

use std::{
    any::Any,
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output, Stdio},
};

use sealpost::clock::{Clock as _, SystemClock};
use serde_json::Value;

use super::{
    super::host::{Daemon, Host},
    pretended::pretend,
};

/// A trap, the examination that looks for it, and how it is set. What the setting gives is kept until the doctor has
/// looked.
pub(super) struct Case {
    pub(super) trap: &'static str,
    pub(super) examination: &'static str,
    pub(super) set: fn(&mut Stage) -> Kept,
}

pub(super) const fn case(
    trap: &'static str,
    examination: &'static str,
    set: fn(&mut Stage) -> Kept,
) -> Case {
    Case {
        trap,
        examination,
        set,
    }
}

/// Things that end when they are dropped.
pub(super) type Kept = Vec<Box<dyn Any>>;

/// The host, and programs of the system that say what a test has them say.
pub(super) struct Stage {
    pub(super) host: Host,
    /// Lines of a shell that are run before the doctor, in namespaces of its own; where there are none it has none.
    pub(super) lines: String,
    usual: toml::Table,
}

impl Stage {
    /// A host on which nothing is wrong.
    pub(super) fn new() -> Self {
        let mut host = Host::new();
        // With patience: the machine may be busy.
        host.set("dns.timeout_ms", 5_000);
        host.set("dns.attempts", 2);
        host.set_clock(SystemClock.now());
        let stage = Self {
            usual: host.config.clone(),
            host,
            lines: String::new(),
        };
        fs::create_dir(stage.host.file("bin")).unwrap();
        stage.put_right();
        stage
    }

    /// Sets each trap, looks, and puts all right again.
    pub(super) fn finds_each(cases: &[Case]) {
        let mut stage = Self::new();
        for case in cases {
            // Where the daemon itself is looked at, there is one with which all is well.
            let running = (case.examination == "daemon").then(|| pretend(&stage, |_| {}));
            let before = stage.findings(&[case.examination]);
            drop(running);
            let kept = (case.set)(&mut stage);
            let found = stage.findings(&[case.examination]);
            let has = |found: &[String]| found.iter().any(|trap| trap == case.trap);
            assert!(!has(&before), "{} before it is set: {before:?}", case.trap);
            assert!(has(&found), "{} is not found: {found:?}", case.trap);
            drop(kept);
            stage.host.config = stage.usual.clone();
            stage.put_right();
        }
    }

    /// All as it is on a host on which nothing is wrong, but for what cases keep.
    fn put_right(&self) {
        let host = &self.host;
        host.write_config();
        for name in ["store", "store.damaged-x"] {
            // It may not be there.
            let _removed = fs::remove_dir_all(host.file(name)).is_ok();
        }
        for selector in host.internet.selectors() {
            let name = format!("{}._domainkey.sender.test", selector.name);
            host.internet.dns.set_txt(&name, &[&selector.key.txt]);
            let file = host.file(&format!("{}.pem", selector.name));
            fs::write(&file, &selector.key.private_pem).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let dns = &host.internet.dns;
        dns.sign(".");
        dns.set_mx("sender.test", &[(10, "mx.reports.test")]);
        dns.set_txt("sender.test", &["v=spf1 ip4:127.0.0.0/8 -all"]);
        dns.set_txt("_dmarc.sender.test", &["v=DMARC1; p=reject; adkim=s"]);
        self.program("timedatectl", "echo yes");
    }

    /// Puts a program in the place of the system's.
    pub(super) fn program(&self, name: &str, script: &str) {
        let file = self.host.file("bin").join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Starts the daemon, as it is then configured.
    pub(super) fn start(&self) -> Daemon {
        self.host.start()
    }

    pub(super) fn doctor(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The doctor, not run yet.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut directories = vec![self.host.file("bin")];
        directories.extend(std::env::split_paths(&path));
        let mut command = self.host.command(&[&["doctor"], arguments].concat());
        if !self.lines.is_empty() {
            command = self.within(&command);
        }
        command.env("PATH", std::env::join_paths(directories).unwrap());
        command
    }

    /// The command in namespaces of its own, after the lines.
    pub(super) fn within(&self, inner: &Command) -> Command {
        let mut command = Command::new("unshare");
        let script = format!("set -e\n{}\nexec \"$@\"", self.lines);
        command.args(["--mount", "--net", "sh", "-c", &script, "sh"]);
        command.arg(inner.get_program()).args(inner.get_args());
        command.env("HOST", self.host.directory());
        command.stdin(Stdio::null());
        command
    }

    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.doctor(&[arguments, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    /// The traps that are found, by name.
    pub(super) fn findings(&self, arguments: &[&str]) -> Vec<String> {
        traps_in(&self.json(arguments))
    }
}

/// The traps in what `--json` prints, each with a cause, a cure, and what was seen.
pub(super) fn traps_in(results: &Value) -> Vec<String> {
    let examinations = results["examinations"].as_array().unwrap().iter();
    let findings = examinations.flat_map(|one| one["findings"].as_array().unwrap());
    findings
        .map(|finding| {
            for member in ["cause", "cure", "seen"] {
                assert_ne!(finding[member], "", "{finding}");
            }
            finding["trap"].as_str().unwrap().to_owned()
        })
        .collect()
}
