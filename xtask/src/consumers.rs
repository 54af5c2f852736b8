//! The Python programs that read our report mails and our dashboard in the tests.

use std::{fs, path::Path, process::Command};

use crate::tools::run;

/// Makes `target/test-tools/venv` with what `tests/consumers/requirements.txt` lists, unless it is
/// there already. Needs `python3` with its `venv` module (Debian: `python3-venv`).
///
/// # Errors
/// In words, when a program is missing or fails.
pub(crate) fn install(root: &Path) -> Result<(), String> {
    let requirements = root.join("tests/consumers/requirements.txt");
    let venv = root.join("target/test-tools/venv");
    // A copy of the list is put there last; it says what the folder holds.
    let installed = venv.join("installed-requirements.txt");
    let read = |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let wanted = read(&requirements)?;
    if fs::read(&installed).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&venv))?;
    run(Command::new(venv.join("bin/python3"))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
        ])
        .arg(&requirements))?;
    fs::write(&installed, wanted).map_err(|error| format!("{}: {error}", installed.display()))
}
