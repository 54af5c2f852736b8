//! What the tests need besides Rust: programs of Debian's packages, real MTAs and name servers, and two
//! Python libraries.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

/// A program that a test runs, and Debian's package that has it.
const PROGRAMS: &[(&str, &str)] = &[
    // The C host that loads libsealpost.so.
    ("cc", "gcc"),
    ("c++", "g++"),
    // The second opinion on what certificates are worth under TLSA records.
    ("openssl", "openssl"),
    // What documents have a reader type besides our own program.
    ("curl", "curl"),
    ("dig", "bind9-dnsutils"),
    ("jq", "jq"),
    ("nc", "netcat-openbsd"),
    ("socat", "socat"),
    ("ssh", "openssh-client"),
    // The browser that the page is looked at in.
    ("chromium", "chromium"),
    // What reads the units.
    ("systemd-analyze", "systemd"),
    // What the package depends on, whether it is as Debian wants packages, and where it is tried.
    ("dpkg-shlibdeps", "dpkg-dev"),
    ("xz", "xz-utils"),
    ("lintian", "lintian"),
    ("mmdebstrap", "mmdebstrap"),
    ("systemd-nspawn", "systemd-container"),
    // The network namespace that real MTAs run in.
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
    // The disk of the power-cut trial.
    ("mkfs.ext4", "e2fsprogs"),
    ("losetup", "mount"),
];

/// `cargo xtask tools`.
///
/// # Errors
/// In words, when something is missing and cannot be installed.
pub(crate) fn run_chore(arguments: &[String]) -> Result<ExitCode, String> {
    no_arguments(arguments)?;
    install(&root())?;
    Ok(ExitCode::SUCCESS)
}

/// Installs what is missing. Needs root where something is.
///
/// # Errors
/// In words, when a program is missing and cannot be installed.
pub(crate) fn install(root: &Path) -> Result<(), String> {
    let mut packages: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(_, package)| *package)
        .collect();
    if !can_make_venvs() {
        packages.push("python3-venv");
    }
    packages.sort_unstable();
    packages.dedup();
    if !packages.is_empty() {
        apt_get(&["update", "--quiet"])?;
        let mut arguments = vec!["install", "--yes", "--no-install-recommends", "--quiet"];
        arguments.extend(packages);
        apt_get(&arguments)?;
    }
    let directory = tools_directory()?;
    crate::exim::prepare(&directory)?;
    crate::postfix::prepare(&directory)?;
    crate::name_servers::prepare(&directory)?;
    crate::prometheus::prepare(&directory)?;
    crate::roots::prepare(&directory)?;
    crate::consumers::install(root)
}

/// The end of a chore that was given an argument and takes none.
///
/// # Errors
/// When there is one.
pub(crate) fn no_arguments(arguments: &[String]) -> Result<(), String> {
    match arguments.first() {
        None => Ok(()),
        Some(argument) => Err(format!("{argument}: no arguments are taken")),
    }
}

/// `TARGET/test-tools`, where the tests look for real MTAs and name servers: made, and its path from the root on, because
/// apt-get works in it and is told of it.
///
/// # Errors
/// In words, when it cannot be made.
pub(crate) fn tools_directory() -> Result<PathBuf, String> {
    let tools = crate::target_directory()?.join("test-tools");
    fs::create_dir_all(&tools).map_err(|error| told(&tools, &error))?;
    fs::canonicalize(&tools).map_err(|error| told(&tools, &error))
}

/// Runs apt-get without questions.
///
/// # Errors
/// When it is not there or fails.
pub(crate) fn apt_get(arguments: &[&str]) -> Result<(), String> {
    run(Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Runs a command to its end and shows what it prints.
///
/// # Errors
/// When it cannot be started or fails.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let status = command
        .status()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {status}"))
    }
}

/// Runs a program and gives what it prints; its complaint where it fails.
///
/// # Errors
/// When it cannot be started or fails, with what it said.
pub(crate) fn output_of(command: &mut Command) -> Result<String, String> {
    let words: Vec<_> = [command.get_program()]
        .into_iter()
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let line = words.join(" ");
    let output = command.env("LC_ALL", "C").output().map_err(|error| {
        format!("{line}: {error}; the tests with real MTAs and name servers need Debian")
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("{line}: {}: {}", output.status, complaint.trim()))
}

/// Removes a directory with all that is in it, if it is there.
///
/// # Errors
/// In words, when it cannot be removed.
pub(crate) fn remove(directory: &Path) -> Result<(), String> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(told(directory, &error)),
        _ => Ok(()),
    }
}

/// A file and what is the matter with it.
pub(crate) fn told(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    command.current_dir(root());
    command
}

fn is_there(program: &str) -> bool {
    // Debian keeps those of the administrator where a user's PATH does not look.
    ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"]
        .iter()
        .any(|directory| Path::new(directory).join(program).exists())
}

fn can_make_venvs() -> bool {
    let tried = Command::new("python3")
        .args(["-c", "import venv, ensurepip"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}
