//! The file of a unix socket: who may use it, how it comes into the world closed to others, how it
//! takes the place of a dead one and never of a living one, and how it goes.

use std::{
    fs,
    io::{self, ErrorKind},
    os::{
        fd::OwnedFd,
        unix::{
            fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
            net::{UnixDatagram, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, Mode},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
};

use super::group;

/// Why a socket could not be made. All are for the operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// Another process answers there.
    #[error("another process listens on {}", .0.display())]
    InUse(PathBuf),
    /// The path has something else on it.
    #[error("{} exists and is not a socket; it was left alone", .0.display())]
    NotASocket(PathBuf),
    /// A system call failed.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Who may use a unix socket, by its file. To connect or send takes the right to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    mode: u32,
    group: Option<String>,
}

impl Access {
    /// By this file mode, `0o660`; the group is the daemon's own.
    #[must_use]
    pub const fn mode(mode: u32) -> Self {
        Self { mode, group: None }
    }

    /// The file belongs to this group, a name or a number. Empty: the daemon's own.
    #[must_use]
    pub fn for_group(self, group: &str) -> Self {
        Self {
            group: (!group.is_empty()).then(|| group.to_owned()),
            ..self
        }
    }

    /// Gives the file its group. Where that cannot be, the socket is of use to fewer, and the log
    /// says what to do: the daemon need not stop for it.
    fn give_group(&self, path: &Path) {
        let Some(name) = &self.group else {
            return;
        };
        let shown = path.display();
        let id = match group::id_of(name) {
            Ok(id) => id,
            Err(error) => {
                tracing::warn!(
                    path = %shown,
                    "{error}: the socket's group stays the daemon's own"
                );
                return;
            }
        };
        let no_link = AtFlags::SYMLINK_NOFOLLOW;
        if let Err(error) = rustix::fs::chownat(CWD, path, None, Some(id), no_link) {
            tracing::warn!(
                path = %shown,
                "the socket cannot be given to group {name} ({error}): make the daemon's user a \
                 member of {name}, or let systemd make the socket (SocketGroup={name})"
            );
        }
    }
}

/// What became of a socket's place.
#[derive(Debug)]
pub enum Place<T> {
    /// The socket is there.
    Open(T),
    /// The directory above the socket's own is missing, as Postfix's queue directory is on a host
    /// without Postfix. Nothing was made.
    NothingAbove(PathBuf),
}

impl<T> Place<T> {
    /// The socket, or a line in the log that says why there is none. `setting` names the path and
    /// `default` is what holds when nobody sets it: only who sets another expects the socket.
    pub fn or_say(self, setting: &'static str, path: &Path, default: &Path) -> Option<T> {
        let missing = match self {
            Self::Open(socket) => return Some(socket),
            Self::NothingAbove(missing) => missing,
        };
        let missing = missing.display();
        let path_shown = path.display();
        if path == default {
            tracing::info!(path = %path_shown, "{setting}: not opened, for there is no {missing}");
        } else {
            tracing::warn!(
                path = %path_shown,
                "{setting}: not opened, for there is no {missing}: make that directory, or set \
                 another path"
            );
        }
        None
    }
}

/// Where a unix socket is. Dropped, it takes away the file that it made.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    origin: Origin,
}

/// Who made a socket's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// systemd, which keeps it.
    Systemd,
    /// We. Device and inode: only what we made is removed.
    Ours(u64, u64),
    /// We, and it has been removed.
    Removed,
}

impl SocketFile {
    /// The file of a socket that systemd made and keeps.
    pub(super) fn inherited(path: &Path) -> Self {
        tracing::info!(path = %path.display(), "the socket comes from systemd");
        // systemd removes a RuntimeDirectory= with what is in it when the service stops.
        if !fs::metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
            tracing::warn!(
                path = %path.display(),
                "the file of systemd's socket is gone, so nobody can connect: restart the socket \
                 unit while sealpost is stopped, and see what removes the file \
                 (RuntimeDirectory= does)"
            );
        }
        Self {
            path: path.to_owned(),
            origin: Origin::Systemd,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_inherited(&self) -> bool {
        self.origin == Origin::Systemd
    }

    /// Takes away the file now, if it made that.
    pub(super) fn remove(&mut self) {
        if !matches!(self.origin, Origin::Ours(..)) {
            return;
        }
        let still_ours = identity(&self.path).is_ok_and(|there| there == self.origin);
        self.origin = Origin::Removed;
        if still_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the socket's file stays behind");
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Binds a socket of this type. A file that no living socket stands behind is replaced. At no
/// moment is the new one open to more users than `access` lets in.
pub(super) fn bind(
    kind: SocketType,
    path: &Path,
    access: &Access,
) -> Result<(OwnedFd, SocketFile), SocketError> {
    make_way(kind, path)?;
    let refused = |action| move |error: Errno| problem(action, path, error.into());
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None)
        .map_err(refused("make a socket for"))?;
    // Linux gives the file the mode of the socket, so it is born closed to others.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR).map_err(refused("close to others"))?;
    let address = SocketAddrUnix::new(path).map_err(refused("use the path"))?;
    rustix::net::bind(&socket, &address).map_err(refused("bind"))?;
    let origin = identity(path).map_err(|error| problem("look at", path, error))?;
    let file = SocketFile {
        path: path.to_owned(),
        origin,
    };
    // The mode comes last: what it gives a group must not go to the wrong one.
    access.give_group(path);
    fs::set_permissions(path, fs::Permissions::from_mode(access.mode))
        .map_err(|error| problem("set the mode of", path, error))?;
    Ok((socket, file))
}

/// Makes the directory that the socket is in. Names the one above it where that is missing.
pub(super) fn make_own_directory(path: &Path) -> Result<Option<PathBuf>, SocketError> {
    let Some(directory) = path.parent().filter(|parent| parent != &Path::new("")) else {
        return Ok(None);
    };
    match fs::create_dir(directory) {
        Ok(()) => {
            // Who may use the socket is said by its file. A narrow umask must not say otherwise.
            let open = fs::Permissions::from_mode(0o755);
            fs::set_permissions(directory, open)
                .map_err(|error| problem("set the mode of", directory, error))?;
            Ok(None)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let above = directory.parent().unwrap_or(directory);
            Ok(Some(above.to_owned()))
        }
        Err(error) => Err(problem("make the directory", directory, error)),
    }
}

/// Removes a socket that nobody has open.
fn make_way(kind: SocketType, path: &Path) -> Result<(), SocketError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(problem("look at", path, error)),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(SocketError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match knock(kind, path) {
        Ok(()) => Err(SocketError::InUse(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| problem("replace", path, error))
        }
        // Its queue is full: somebody is there, and busy.
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(SocketError::InUse(path.to_owned()))
        }
        // A living socket, of another type (EPROTOTYPE) or that hears one peer only (EPERM).
        Err(error)
            if [Errno::PROTOTYPE, Errno::PERM]
                .map(raw)
                .contains(&error.raw_os_error()) =>
        {
            Err(SocketError::InUse(path.to_owned()))
        }
        Err(error) => Err(problem("see whether anybody listens on", path, error)),
    }
}

const fn raw(error: Errno) -> Option<i32> {
    Some(error.raw_os_error())
}

/// Is anybody there? A datagram socket that is connected sends nothing by that.
fn knock(kind: SocketType, path: &Path) -> io::Result<()> {
    if kind == SocketType::DGRAM {
        return UnixDatagram::unbound()?.connect(path);
    }
    UnixStream::connect(path).map(|_| ())
}

/// Device and inode of the file itself, not of what a link leads to.
fn identity(path: &Path) -> io::Result<Origin> {
    let file = fs::symlink_metadata(path)?;
    Ok(Origin::Ours(file.dev(), file.ino()))
}

pub(super) fn problem(action: &'static str, path: &Path, source: io::Error) -> SocketError {
    SocketError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
