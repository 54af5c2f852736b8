//! A unix stream socket to listen on: taken over from systemd, or born with its file mode, taken
//! over from a dead daemon, never from a living one, and removed at the end.

use std::{fs, os::unix::net, path::Path};

use rustix::net::SocketType;
use tokio::net::UnixListener;

use super::{
    activation::Activated,
    socket_file::{self, SocketFile, problem},
};

pub use super::socket_file::{Access, Place, SocketError};

/// How many clients may wait to be accepted; the kernel's `net.core.somaxconn` may allow fewer.
const LISTEN_QUEUE: i32 = 1_024;

/// A socket that listens. Dropped, it closes, and takes its file away if it made that.
#[derive(Debug)]
pub struct BoundSocket {
    // The file goes before the listener, so that a new daemon can bind while the last answers leave.
    file: SocketFile,
    listener: UnixListener,
}

impl BoundSocket {
    /// The socket at `path`: systemd's, if it passed one, as it is; else one of our own, as
    /// [`bind`](Self::bind) makes it. Must be called inside a tokio runtime. Clients can connect
    /// from now on.
    ///
    /// # Errors
    /// When the path is taken, or the system refuses.
    pub fn open(
        path: &Path,
        access: &Access,
        activated: &mut Activated,
    ) -> Result<Self, SocketError> {
        match activated.unix_listener(path) {
            Some(listener) => Self::listening(listener, SocketFile::inherited(path)),
            None => Self::bind(path, access),
        }
    }

    /// As [`open`](Self::open), but of the directories only the socket's own is made.
    ///
    /// # Errors
    /// When the path is taken, or the system refuses.
    pub fn open_in_place(
        path: &Path,
        access: &Access,
        activated: &mut Activated,
    ) -> Result<Place<Self>, SocketError> {
        if let Some(listener) = activated.unix_listener(path) {
            return Self::listening(listener, SocketFile::inherited(path)).map(Place::Open);
        }
        match socket_file::make_own_directory(path)? {
            Some(missing) => Ok(Place::NothingAbove(missing)),
            None => Self::bind(path, access).map(Place::Open),
        }
    }

    /// Makes the socket, and its directory where that is missing. A socket that nobody listens on,
    /// as a killed daemon leaves behind, is replaced. Must be called inside a tokio runtime.
    /// Clients can connect from now on.
    ///
    /// # Errors
    /// When the path is taken, or the system refuses.
    pub fn bind(path: &Path, access: &Access) -> Result<Self, SocketError> {
        let directory = path.parent().filter(|parent| parent != &Path::new(""));
        if let Some(directory) = directory {
            fs::create_dir_all(directory)
                .map_err(|error| problem("make the directory", directory, error))?;
        }
        let (socket, file) = socket_file::bind(SocketType::STREAM, path, access)?;
        rustix::net::listen(&socket, LISTEN_QUEUE)
            .map_err(|error| problem("listen on", path, error.into()))?;
        Self::listening(socket.into(), file)
    }

    fn listening(listener: net::UnixListener, file: SocketFile) -> Result<Self, SocketError> {
        // systemd passes blocking sockets.
        let listener = listener
            .set_nonblocking(true)
            .and_then(|()| UnixListener::from_std(listener))
            .map_err(|error| problem("listen on", file.path(), error))?;
        Ok(Self { file, listener })
    }

    /// What to accept connections from.
    #[must_use]
    pub const fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::MetadataExt as _, fs::PermissionsExt as _, net};

    use super::*;

    fn refused(path: &Path) -> String {
        let refused = BoundSocket::bind(path, &Access::mode(0o600)).unwrap_err();
        refused.to_string()
    }

    #[tokio::test]
    async fn a_dead_socket_is_taken_over_and_a_living_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/er/test.sock");
        let first = BoundSocket::bind(&path, &Access::mode(0o640)).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        let in_use = format!("another process listens on {}", path.display());
        assert_eq!(refused(&path), in_use);
        drop(first);
        assert!(!path.exists());
        // A std listener leaves its file behind, as a killed daemon does.
        drop(net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(BoundSocket::bind(&path, &Access::mode(0o600)).unwrap());
        // A living socket of another type.
        let other = net::UnixDatagram::bind(&path).unwrap();
        assert_eq!(refused(&path), in_use);
        drop(other);
        drop(BoundSocket::bind(&path, &Access::mode(0o600)).unwrap());
        fs::write(&path, "mine").unwrap();
        assert_eq!(
            refused(&path),
            format!(
                "{} exists and is not a socket; it was left alone",
                path.display()
            )
        );
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    #[tokio::test]
    async fn the_file_gets_its_group_and_one_that_is_missing_stops_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.sock");
        let own = fs::metadata(directory.path()).unwrap().gid();
        // Only root can give a file to any group.
        let given = if own == 0 { 4_711 } else { own };
        for (group, expected) in [
            (given.to_string(), given),
            (String::new(), own),
            ("no-such-group".to_owned(), own),
        ] {
            let access = Access::mode(0o660).for_group(&group);
            let socket = BoundSocket::bind(&path, &access).unwrap();
            let file = fs::metadata(&path).unwrap();
            assert_eq!(file.gid(), expected, "{group}");
            assert_eq!(file.mode() & 0o777, 0o660);
            drop(socket);
        }
    }

    #[tokio::test]
    async fn its_own_directory_is_made_and_none_above_where_that_is_asked() {
        let directory = tempfile::tempdir().unwrap();
        let queue = directory.path().join("spool");
        let path = queue.join("sealpost/socketmap.sock");
        let open =
            || BoundSocket::open_in_place(&path, &Access::mode(0o660), &mut Activated::none());
        match open().unwrap() {
            Place::NothingAbove(missing) => assert_eq!(missing, queue),
            Place::Open(_) => panic!("it was made in {}", queue.display()),
        }
        assert!(
            open()
                .unwrap()
                .or_say("socketmap.path", &path, &path)
                .is_none()
        );
        fs::create_dir(&queue).unwrap();
        let socket = open().unwrap().or_say("socketmap.path", &path, &path);
        assert!(path.exists());
        let mode = fs::metadata(queue.join("sealpost")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o755);
        drop(socket);
    }

    #[tokio::test]
    async fn systemds_socket_is_used_as_it_is_and_its_file_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.sock");
        let systemd = net::UnixListener::bind(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o606)).unwrap();
        let passed = systemd.try_clone().unwrap();
        let mut activated = Activated::of([passed.into()]).unwrap();
        let access = Access::mode(0o600).for_group("4711");
        let socket = BoundSocket::open(&path, &access, &mut activated).unwrap();
        activated.leftover().unwrap();
        let file = fs::metadata(&path).unwrap();
        assert_eq!(file.mode() & 0o777, 0o606);
        assert_ne!(file.gid(), 4_711);
        let client = net::UnixStream::connect(&path).unwrap();
        socket.listener().accept().await.unwrap();
        drop((socket, client));
        assert!(path.exists());
        // Who comes between two daemons waits.
        net::UnixStream::connect(&path).unwrap();
        systemd.accept().unwrap();
    }
}
