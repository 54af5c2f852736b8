//! Files that the configuration names: are they there, and are they what they should be?

use std::path::{Path, PathBuf};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use super::kind::quoted;

/// Where a path of the configuration points: relative ones are relative to the file's directory. An
/// empty one stays empty: it says that there is none.
pub(super) fn resolve(path: &Path, directory: &Path) -> PathBuf {
    if path.as_os_str().is_empty() {
        return PathBuf::new();
    }
    directory.join(path)
}

/// Nothing but that it is a path: the directory may be made later.
pub(super) fn path(text: &str, directory: &Path) -> Result<(), String> {
    if text.is_empty() {
        return Err("the path is empty".to_owned());
    }
    let there = resolve(Path::new(text), directory);
    if there.exists() && !there.is_dir() {
        return Err(format!("{} is there and no directory", shown(&there)));
    }
    Ok(())
}

/// A path that a file can have: the file may come later.
pub(super) fn file_path(text: &str, directory: &Path) -> Result<(), String> {
    let there = resolve(Path::new(text), directory);
    if there.is_dir() {
        return Err(format!("{} is a directory", shown(&there)));
    }
    Ok(())
}

/// A path that a program can have. Its options are ours.
pub(super) fn program_path(text: &str, directory: &Path) -> Result<(), String> {
    if text.is_empty() {
        return Err("the path is empty".to_owned());
    }
    file_path(text, directory)
}

/// Why a program could not be run now, where the system says so.
pub(super) fn not_runnable(program: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    match std::fs::metadata(program) {
        Err(error) => Some(format!("{}: {}", shown(program), reason(&error))),
        Ok(about) if !about.is_file() => Some(format!("{} is no file", shown(program))),
        Ok(about) if about.permissions().mode() & 0o111 == 0 => {
            Some(format!("{} is not executable", shown(program)))
        }
        Ok(_) => None,
    }
}

/// The longest path a unix socket can have: `sun_path` has 108 octets, one of them the end.
const SOCKET_PATH_OCTETS_MAX: usize = 107;

/// A path that a unix socket can have.
pub(super) fn socket_path(text: &str, directory: &Path) -> Result<(), String> {
    if text.is_empty() {
        return Err("the path is empty".to_owned());
    }
    let there = resolve(Path::new(text), directory);
    let octets = there.as_os_str().len();
    if octets > SOCKET_PATH_OCTETS_MAX {
        return Err(format!(
            "{} has {octets} octets; a unix socket's path has at most {SOCKET_PATH_OCTETS_MAX}",
            shown(&there)
        ));
    }
    if there.is_dir() {
        return Err(format!("{} is a directory", shown(&there)));
    }
    Ok(())
}

/// A PEM file with at least one certificate and nothing in it that cannot be read.
pub(super) fn certificates(text: &str, directory: &Path) -> Result<(), String> {
    let there = resolve(Path::new(text), directory);
    let pem = read(&there)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(list) if list.is_empty() => {
            Err(format!("{} holds no certificate in PEM", shown(&there)))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{} is damaged: {error}", shown(&there))),
    }
}

/// A PEM file with a private key. Whether it can sign is found when it is loaded to sign.
pub(super) fn private_key(text: &str, directory: &Path) -> Result<(), String> {
    let there = resolve(Path::new(text), directory);
    let pem = read(&there)?;
    PrivateKeyDer::from_pem_slice(&pem)
        .map(|_| ())
        .map_err(|_| format!("{} holds no private key in PEM", shown(&there)))
}

/// No key or set of roots is longer.
const FILE_OCTETS_MAX: u64 = 4 * 1024 * 1024;

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let refused = |error: std::io::Error| format!("{}: {}", shown(path), reason(&error));
    let length = std::fs::metadata(path).map_err(refused)?.len();
    if length > FILE_OCTETS_MAX {
        return Err(format!("{} is longer than 4 MiB", shown(path)));
    }
    std::fs::read(path).map_err(refused)
}

/// The system's words without the number that `std` adds.
pub(super) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

fn shown(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// A warning where others than the owner can read a private key.
pub(super) fn too_open(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    // The group may be the daemon's own.
    (mode & 0o004 != 0).then(|| {
        format!(
            "{} can be read by every user of this machine (mode {:04o})",
            shown(path),
            mode & 0o777
        )
    })
}
