//! A unix socket to listen on: born with its file mode, taken over from a dead daemon, never from a
//! living one, and removed at the end.

use std::{
    io::{self, ErrorKind},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::UnixListener;

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

/// A socket that listens. Dropped, it takes its file away and closes.
#[derive(Debug)]
pub struct BoundSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode: only what we made is removed.
    identity: (u64, u64),
}

impl BoundSocket {
    /// Makes the socket, and its directory where that is missing. A socket that nobody listens on,
    /// as a killed daemon leaves behind, is replaced. Must be called inside a tokio runtime.
    /// Clients can connect from now on.
    ///
    /// # Errors
    /// When the path is taken, or the system refuses.
    pub fn bind(path: &Path, mode: u32) -> Result<Self, SocketError> {
        let directory = path.parent().filter(|parent| parent != &Path::new(""));
        if let Some(directory) = directory {
            std::fs::create_dir_all(directory)
                .map_err(|error| problem("make the directory", directory, error))?;
        }
        make_way(path)?;
        listen(path, mode)
    }

    /// What to accept connections from.
    #[must_use]
    pub const fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for BoundSocket {
    // The file goes before the listener, so that a new daemon can bind while the last answers leave.
    fn drop(&mut self) {
        let still_ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|file| (file.dev(), file.ino()) == self.identity);
        if still_ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the socket's file stays behind");
        }
    }
}

/// How many clients may wait to be accepted; the kernel's `net.core.somaxconn` may allow fewer.
const LISTEN_QUEUE: i32 = 1_024;

/// Removes a socket that nobody listens on.
fn make_way(path: &Path) -> Result<(), SocketError> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(problem("look at", path, error)),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(SocketError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(SocketError::InUse(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|error| problem("replace", path, error))
        }
        // Its queue is full: somebody is there, and busy.
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(SocketError::InUse(path.to_owned()))
        }
        Err(error) => Err(problem("see whether anybody listens on", path, error)),
    }
}

/// Binds and listens. At no moment is the file open to more users than `mode` lets in.
fn listen(path: &Path, mode: u32) -> Result<BoundSocket, SocketError> {
    let refused = |action| move |error: rustix::io::Errno| problem(action, path, error.into());
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
    .map_err(refused("make a socket for"))?;
    // Linux gives the file the mode of the socket, so it is born closed to others.
    rustix::fs::fchmod(&socket, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
        .map_err(refused("close to others"))?;
    let address = SocketAddrUnix::new(path).map_err(refused("use the path"))?;
    rustix::net::bind(&socket, &address).map_err(refused("bind"))?;
    let file = std::fs::symlink_metadata(path).map_err(|error| problem("look at", path, error))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|error| problem("set the mode of", path, error))?;
    rustix::net::listen(&socket, LISTEN_QUEUE).map_err(refused("listen on"))?;
    let listener = UnixListener::from_std(std::os::unix::net::UnixListener::from(socket))
        .map_err(|error| problem("listen on", path, error))?;
    Ok(BoundSocket {
        listener,
        path: path.to_owned(),
        identity: (file.dev(), file.ino()),
    })
}

fn problem(action: &'static str, path: &Path, source: io::Error) -> SocketError {
    SocketError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dead_socket_is_taken_over_and_a_living_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/er/test.sock");
        let first = BoundSocket::bind(&path, 0o640).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert_eq!(
            BoundSocket::bind(&path, 0o600).unwrap_err().to_string(),
            format!("another process listens on {}", path.display())
        );
        drop(first);
        assert!(!path.exists());
        // A std listener leaves its file behind, as a killed daemon does.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(BoundSocket::bind(&path, 0o600).unwrap());
        std::fs::write(&path, "mine").unwrap();
        assert_eq!(
            BoundSocket::bind(&path, 0o600).unwrap_err().to_string(),
            format!(
                "{} exists and is not a socket; it was left alone",
                path.display()
            )
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }
}
