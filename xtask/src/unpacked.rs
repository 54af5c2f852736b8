//! Programs of Debian's packages that are unpacked for the tests and never installed, so that the host's
//! own mailer and resolver stay as they are.
//!
//! Each goes into `TARGET/test-tools/FOLDER`. What a program is linked with and the host lacks is
//! unpacked beside it; the file `library-directories` there names the folders of those libraries, one a
//! line, relative to it. The tests tell the program's loader of them.

use std::{
    collections::{BTreeSet, VecDeque},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::tools::{output_of, remove, told};

/// Written last, so that a folder which has it is whole.
const LIBRARY_DIRECTORIES: &str = "library-directories";

/// More libraries than any of these programs needs. A loop in what packages say of one another ends here.
const PACKAGES_MAX: usize = 100;

/// A package, and where it goes.
pub(crate) struct Unpacked {
    /// Debian's name for it.
    pub(crate) package: &'static str,
    /// The folder below the directory of the tests' tools.
    pub(crate) folder: &'static str,
    /// Where the program is in the package.
    pub(crate) program: &'static str,
}

/// Unpacks it into the directory of the tests' tools. What is there already is left as it is.
///
/// # Errors
/// The machine: it is no Debian, the packages cannot be had, or the disk is full. In words.
pub(crate) fn unpack(tools: &Path, wanted: &Unpacked) -> Result<(), String> {
    let finished = tools.join(wanted.folder);
    if finished.join(LIBRARY_DIRECTORIES).is_file() {
        return Ok(());
    }
    let partial = tools.join(format!("{}.partial", wanted.folder));
    for leftover in [&partial, &finished] {
        remove(leftover)?;
    }
    fs::create_dir(&partial).map_err(|error| told(&partial, &error))?;
    unpack_with_libraries(wanted, &partial)?;
    fs::rename(&partial, &finished).map_err(|error| told(&finished, &error))
}

/// Unpacks a package, and of what it depends on the libraries that the host has not installed.
fn unpack_with_libraries(wanted: &Unpacked, into: &Path) -> Result<(), String> {
    let archives = into.join("archives");
    fs::create_dir(&archives).map_err(|error| told(&archives, &error))?;
    let mut seen = BTreeSet::from([wanted.package.to_owned()]);
    let mut waiting = VecDeque::from([wanted.package.to_owned()]);
    while let Some(package) = waiting.pop_front() {
        let archive = download(&package, &archives)?;
        let mut dpkg = Command::new("dpkg-deb");
        output_of(dpkg.arg("--extract").arg(&archive).arg(into))?;
        let mut dpkg = Command::new("dpkg-deb");
        let depends = output_of(dpkg.arg("--field").arg(&archive).arg("Depends"))?;
        for library in libraries(&depends) {
            if !seen.contains(&library) && !is_installed(&library) {
                seen.insert(library.clone());
                waiting.push_back(library);
            }
        }
        if seen.len() > PACKAGES_MAX {
            return Err(format!("{package} draws in over {PACKAGES_MAX} packages"));
        }
    }
    remove(&archives)?;
    let directories = library_directories(into)?;
    check_linking(&into.join(wanted.program), &directories)?;
    let lines: String = directories
        .iter()
        .filter_map(|directory| directory.strip_prefix(into).ok())
        .map(|directory| format!("{}\n", directory.display()))
        .collect();
    let list = into.join(LIBRARY_DIRECTORIES);
    fs::write(&list, lines).map_err(|error| told(&list, &error))
}

/// Fetches a package's archive. Where the lists of packages are missing or old, they are fetched too.
fn download(package: &str, archives: &Path) -> Result<PathBuf, String> {
    let fetch = || {
        let mut apt = Command::new("apt-get");
        output_of(apt.args(["download", package]).current_dir(archives))
    };
    if let Err(first) = fetch() {
        let mut apt = Command::new("apt-get");
        output_of(apt.arg("update")).map_err(|error| format!("{first}\nand then: {error}"))?;
        fetch()?;
    }
    let entries = fs::read_dir(archives).map_err(|error| told(archives, &error))?;
    let prefix = format!("{package}_");
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(&prefix))
        })
        .ok_or_else(|| format!("apt-get download {package}: it left no archive"))
}

/// The libraries in a `Depends` field, of alternatives the first. The C library is on every host.
fn libraries(depends: &str) -> Vec<String> {
    depends
        .split(',')
        .filter_map(|alternatives| alternatives.split('|').next())
        .filter_map(|one| {
            one.split([' ', '(', ':', '\n'])
                .find(|word| !word.is_empty())
        })
        // Scripts for browsers are no libraries that a program is linked with.
        .filter(|name| name.starts_with("lib") && !name.starts_with("libjs-") && *name != "libc6")
        .map(str::to_owned)
        .collect()
}

fn is_installed(package: &str) -> bool {
    let mut dpkg = Command::new("dpkg-query");
    let status = output_of(dpkg.args(["--show", "--showformat=${db:Status-Status}\n", package]));
    status.is_ok_and(|status| status.lines().any(|line| line == "installed"))
}

/// Every folder below `root` that holds a shared library.
fn library_directories(root: &Path) -> Result<BTreeSet<PathBuf>, String> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).map_err(|error| told(&directory, &error))? {
            let entry = entry.map_err(|error| told(&directory, &error))?;
            let kind = entry
                .file_type()
                .map_err(|error| told(&directory, &error))?;
            let name = entry.file_name();
            if kind.is_dir() {
                waiting.push(entry.path());
            } else if name.to_string_lossy().contains(".so.") {
                found.insert(directory.clone());
            }
        }
    }
    Ok(found)
}

/// Is everything there that the program is linked with?
fn check_linking(program: &Path, directories: &BTreeSet<PathBuf>) -> Result<(), String> {
    let path = std::env::join_paths(directories).map_err(|error| error.to_string())?;
    let mut ldd = Command::new("ldd");
    let linked = output_of(ldd.arg(program).env("LD_LIBRARY_PATH", path))?;
    let missing: Vec<&str> = linked
        .lines()
        .filter(|line| line.contains("not found"))
        .map(str::trim)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("{}: {}", program.display(), missing.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_of_a_package_are_read_from_its_depends_field() {
        let depends = "exim4-base (>= 4.96), debconf (>= 0.5) | debconf-2.0, libc6 (>= 2.34), \
                       libcrypt1 (>= 1:4.1.0), libgnutls-dane0:any, libidn12 | libidn11, libjs-jquery (>= 3.5.1~)\n";
        assert_eq!(
            libraries(depends),
            ["libcrypt1", "libgnutls-dane0", "libidn12"]
        );
        assert!(libraries("\n").is_empty());
    }
}
