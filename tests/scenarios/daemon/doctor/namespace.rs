//! Traps of the system around the program. Each is set in namespaces of the doctor's own: the machine's file systems
//! and settings stay as they are.

use std::process::Command;

use super::{super::host::is_root, stage::Stage};
use crate::skipped::skipped;

/// A trap, and lines of a shell that are run before the doctor looks. `$HOST` is the host's directory.
pub(super) struct Case {
    pub(super) trap: &'static str,
    examination: &'static str,
    configure: fn(&mut Stage),
    /// These lay out the place in which nothing is wrong yet.
    place: &'static str,
    /// These set the trap in it.
    set: &'static str,
}

pub(super) const CASES: &[Case] = &[
    // What is mounted here is another file system to the kernel, with a state of its own.
    Case {
        trap: "store-read-only",
        examination: "store",
        configure: |_| {},
        place: "mkdir -p \"$HOST/store\"; mount --bind \"$HOST/store\" \"$HOST/store\"",
        set: "mount -o remount,bind,ro \"$HOST/store\"",
    },
    Case {
        trap: "store-no-files-left",
        examination: "store",
        configure: |_| {},
        place: "mkdir -p \"$HOST/store\"; mount -t tmpfs -o nr_inodes=80 sealpost-test \"$HOST/store\"",
        // Room for thousands of octets is left, and not for 64 files.
        set: "touch $(seq --format \"$HOST/store/%g\" 20)",
    },
    // In a network of its own nobody answers either, but somebody is named.
    Case {
        trap: "resolver-none",
        examination: "resolver",
        configure: |stage| {
            let dns = stage.host.config["dns"].as_table_mut().unwrap();
            dns.remove("servers");
            stage.host.write_config();
        },
        place: "echo nameserver 192.0.2.53 > \"$HOST/resolv.conf\"; \
                mount --bind \"$HOST/resolv.conf\" /etc/resolv.conf",
        set: "echo '# no name server' > \"$HOST/resolv.conf\"",
    },
    // How much the kernel keeps is the network's.
    Case {
        trap: "datagram-queue-short",
        examination: "limits",
        configure: |stage| {
            let socket = stage.host.file("tlsrpt/tlsrpt.sock");
            stage
                .host
                .set("tlsrpt_socket.path", socket.to_str().unwrap());
            stage.host.write_config();
        },
        place: "echo 512 > /proc/sys/net/unix/max_dgram_qlen",
        set: "echo 511 > /proc/sys/net/unix/max_dgram_qlen",
    },
];

#[test]
fn each_trap_of_the_system_is_found_where_the_doctor_alone_is_in_it() {
    for case in CASES {
        let mut stage = Stage::new();
        (case.configure)(&mut stage);
        stage.lines = format!("{}\n", case.place);
        if !can_be_laid_out(&stage) {
            skipped("only root with namespaces can set traps of the system");
            return;
        }
        let before = stage.findings(&[case.examination]);
        stage.lines.push_str(case.set);
        let found = stage.findings(&[case.examination]);
        let has = |found: &[String]| found.iter().any(|trap| trap == case.trap);
        assert!(!has(&before), "{} before it is set: {before:?}", case.trap);
        assert!(has(&found), "{} is not found: {found:?}", case.trap);
    }
}

/// May this test have namespaces in which these lines are run?
pub(super) fn can_be_laid_out(stage: &Stage) -> bool {
    let tried = stage.within(&Command::new("true")).output();
    is_root() && tried.is_ok_and(|tried| tried.status.success())
}
