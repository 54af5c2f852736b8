//! A unix socket to listen on: made with its file mode, taken over from a dead daemon, never from a
//! living one, and removed at the end.

use std::{
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use tokio::net::UnixListener;

/// Why a socket could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// The operator must act: another process listens there.
    #[error("{}: another process listens there already", .path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// The operator must act: a file that is no socket stands there.
    #[error("{}: a file that is no socket stands there; it is left alone", .path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The operator must act: the operating system refused.
    #[error("{}: {reason}", .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
}

/// A socket that listens.
#[derive(Debug)]
pub struct BoundSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode: only what we made is removed.
    identity: (u64, u64),
}

impl BoundSocket {
    /// Makes the socket and its directory. Called within a tokio runtime.
    ///
    /// # Errors
    /// When another process listens there, or the system refuses.
    pub fn bind(path: &Path, mode: u32) -> Result<Self, SocketError> {
        let failed = |error: io::Error| SocketError::Io {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        if let Some(directory) = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            std::fs::create_dir_all(directory).map_err(failed)?;
        }
        clear(path)?;
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
        let about = std::fs::symlink_metadata(path).map_err(failed)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            identity: (about.dev(), about.ino()),
        })
    }

    /// What to accept connections from.
    #[must_use]
    pub const fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|about| (about.dev(), about.ino()) == self.identity);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the socket stays behind");
        }
    }
}

/// Removes what a daemon that was killed left behind.
fn clear(path: &Path) -> Result<(), SocketError> {
    let about = match std::fs::symlink_metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(SocketError::Io {
                path: path.to_owned(),
                reason: error.to_string(),
            });
        }
    };
    if !about.file_type().is_socket() {
        return Err(SocketError::NotASocket {
            path: path.to_owned(),
        });
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|error| SocketError::Io {
                path: path.to_owned(),
                reason: error.to_string(),
            })
        }
        // Whatever else it says, somebody may be there.
        _ => Err(SocketError::InUse {
            path: path.to_owned(),
        }),
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
            BoundSocket::bind(&path, 0o600).unwrap_err(),
            SocketError::InUse { path: path.clone() }
        );
        drop(first);
        assert!(!path.exists());
        // A std listener leaves its file behind, as a killed daemon does.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(BoundSocket::bind(&path, 0o600).unwrap());
        std::fs::write(&path, "mine").unwrap();
        assert_eq!(
            BoundSocket::bind(&path, 0o600).unwrap_err(),
            SocketError::NotASocket { path: path.clone() }
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }
}
