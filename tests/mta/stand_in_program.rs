//! A stand-in for a program of an MTA: a script.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

/// Makes a program of this script. It is written by another process: whoever starts a program while we have a file
/// open for writing has it open too, and then it cannot be run.
pub(crate) fn write_program(path: &Path, script: &str) {
    let mut install = Command::new("install")
        .args(["-m", "755", "/dev/stdin"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = install.stdin.take().unwrap();
    write!(input, "#!/bin/sh\n{script}\n").unwrap();
    drop(input);
    assert!(install.wait().unwrap().success());
}
