//! `cargo xtask package`: builds the programs in release mode, has them write their manual pages and
//! completions, and has cargo-deb make `TARGET/package/sealpost_VERSION_ARCH.deb` of it all.
//!
//! What the package holds stands in `Cargo.toml`, `[package.metadata.deb]`. The same commit makes the same
//! bytes: times are the commit's, or those of `SOURCE_DATE_EPOCH`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use crate::{
    cargo_deb, demo,
    tools::{no_arguments, output_of, remove, root, run, told},
};

mod crates;

/// The program's word for each shell, and the file that the shell looks for.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "sealpost.bash"),
    ("zsh", "_sealpost"),
    ("fish", "sealpost.fish"),
];

/// `cargo xtask package`.
pub(crate) fn run_chore(arguments: &[String]) -> Result<ExitCode, String> {
    no_arguments(arguments)?;
    let package = make()?;
    crate::complain(&format!("{}\n", package.display()));
    Ok(ExitCode::SUCCESS)
}

/// Makes the package and says where it is.
///
/// # Errors
/// In words: something does not build, or cargo-deb can be neither found nor installed.
pub(crate) fn make() -> Result<PathBuf, String> {
    demo::build()?;
    let target = crate::target_directory()?;
    let release = target.join("release");
    stage(&release.join("sealpost"), &release.join("package"))?;
    pack(&target.join("package"))
}

/// Makes the package, and sees whether it is as Debian wants packages and whether the same bytes come of it again.
///
/// # Errors
/// In words, where it is not; or as [`make`].
pub(crate) fn check() -> Result<(), String> {
    let package = make()?;
    run(Command::new("lintian")
        .args(["--allow-root", "--fail-on", "error,warning"])
        .arg(&package))?;
    let once_more = crate::target_directory()?.join("package-once-more");
    let again = pack(&once_more)?;
    let read = |package: &Path| fs::read(package).map_err(|error| told(package, &error));
    let same = read(&package)? == read(&again)?;
    remove(&once_more)?;
    if same {
        return Ok(());
    }
    Err(format!(
        "{}: packed again it has other bytes",
        package.display()
    ))
}

/// Has cargo-deb put what is built into a package, the only one in this directory.
fn pack(into: &Path) -> Result<PathBuf, String> {
    remove(into)?;
    fs::create_dir_all(into).map_err(|error| told(into, &error))?;
    // cargo-deb asks cargo for what it must know.
    run(Command::new(cargo_deb::prepare()?)
        .args(["--no-build", "--locked", "--compress-system", "--output"])
        .arg(into)
        .current_dir(root())
        .env("CARGO_TARGET_DIR", crate::target_directory()?)
        .env("SOURCE_DATE_EPOCH", date()?))?;
    the_package(into)
}

/// The one package in this directory.
fn the_package(directory: &Path) -> Result<PathBuf, String> {
    let entries = fs::read_dir(directory).map_err(|error| told(directory, &error))?;
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|kind| kind == "deb"))
        .ok_or_else(|| format!("{}: no package is there", directory.display()))
}

/// Writes what is made of the program and of the workspace.
fn stage(program: &Path, into: &Path) -> Result<(), String> {
    remove(into)?;
    let completions = into.join("completions");
    fs::create_dir_all(&completions).map_err(|error| told(&completions, &error))?;
    run(Command::new(program).arg("man").arg(into.join("man")))?;
    for (shell, file) in COMPLETIONS {
        let script = output_of(Command::new(program).args(["completions", shell]))?;
        write(&completions.join(file), script.as_bytes())?;
    }
    write(&into.join("CRATES"), crates::list()?.as_bytes())?;
    let changelog = fs::read(root().join("CHANGELOG.md")).map_err(|error| error.to_string())?;
    write(&into.join("changelog"), &changelog)?;
    // Debian's policy s12.1 and s12.7 want both compressed; without -n a time would get in.
    let pages = fs::read_dir(into.join("man")).map_err(|error| error.to_string())?;
    let pages = pages.filter_map(Result::ok).map(|page| page.path());
    run(Command::new("gzip")
        .args(["-9", "-n"])
        .args(pages)
        .arg(into.join("changelog")))
}

fn write(file: &Path, text: &[u8]) -> Result<(), String> {
    fs::write(file, text).map_err(|error| told(file, &error))
}

/// Seconds since 1970 that every file of the package bears.
fn date() -> Result<String, String> {
    if let Some(date) = std::env::var_os("SOURCE_DATE_EPOCH") {
        return date
            .into_string()
            .map_err(|_| "SOURCE_DATE_EPOCH is no number".to_owned());
    }
    let mut git = Command::new("git");
    let date = output_of(git.args(["log", "-1", "--format=%ct"]).current_dir(root()))?;
    Ok(date.trim().to_owned())
}
