//! A unix datagram socket to be told on, as Postfix tells outcomes through libtlsrpt: whoever may
//! write to its file sends, and nobody is answered.
//!
//! The kernel keeps what was sent until it is read, `net.unix.max_dgram_qlen` datagrams at most and
//! no more than fits a sender's own buffer, and the sender does not wait: what finds no room is lost.
//! A socket that systemd holds goes on taking datagrams while no daemon runs.

use std::{os::unix::net::UnixDatagram, path::Path};

use rustix::net::SocketType;

use super::{
    activation::Activated,
    socket_file::{self, SocketFile, problem},
};

pub use super::socket_file::{Access, Place, SocketError};

/// A datagram socket that is there, for a thread that waits on it. Dropped, it closes, and takes
/// its file away if it made that.
#[derive(Debug)]
pub struct BoundDatagram {
    file: SocketFile,
    socket: UnixDatagram,
}

impl BoundDatagram {
    /// The socket at `path`: systemd's, if it passed one, as it is; else one of our own, as
    /// [`bind`](Self::bind) makes it.
    ///
    /// # Errors
    /// When the path is taken, or the system refuses.
    pub fn open(
        path: &Path,
        access: &Access,
        activated: &mut Activated,
    ) -> Result<Place<Self>, SocketError> {
        match activated.datagram(path) {
            Some(socket) => {
                let file = SocketFile::inherited(path);
                Self::waiting(socket, file).map(Place::Open)
            }
            None => Self::bind(path, access),
        }
    }

    /// Makes the socket, and the directory it is in, but no directory above that. A socket that
    /// nobody has open, as a killed daemon leaves behind, is replaced. Senders are heard from now
    /// on.
    ///
    /// # Errors
    /// When the path is taken, or the system refuses.
    pub fn bind(path: &Path, access: &Access) -> Result<Place<Self>, SocketError> {
        if let Some(missing) = socket_file::make_own_directory(path)? {
            return Ok(Place::NothingAbove(missing));
        }
        let (socket, file) = socket_file::bind(SocketType::DGRAM, path, access)?;
        Self::waiting(socket.into(), file).map(Place::Open)
    }

    fn waiting(socket: UnixDatagram, file: SocketFile) -> Result<Self, SocketError> {
        socket
            .set_nonblocking(false)
            .map_err(|error| problem("wait on", file.path(), error))?;
        Ok(Self { file, socket })
    }

    /// What to read from; a read waits. Not to be shut down: that would end systemd's socket too.
    #[must_use]
    pub const fn socket(&self) -> &UnixDatagram {
        &self.socket
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Is it systemd's? Then what is not read stays for the next daemon.
    #[must_use]
    pub fn is_inherited(&self) -> bool {
        self.file.is_inherited()
    }

    /// Takes the file away, if it is ours: nobody finds the socket any more, and what was sent so
    /// far can still be read. Does nothing to systemd's.
    pub fn withdraw(&mut self) {
        self.file.remove();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::{
            fs::{MetadataExt as _, PermissionsExt as _},
            net::UnixListener,
        },
    };

    use super::*;

    #[track_caller]
    fn bound(path: &Path) -> BoundDatagram {
        match BoundDatagram::bind(path, &Access::mode(0o660)).unwrap() {
            Place::Open(socket) => socket,
            Place::NothingAbove(missing) => panic!("{} is missing", missing.display()),
        }
    }

    fn refused(path: &Path) -> String {
        let refused = BoundDatagram::bind(path, &Access::mode(0o660)).unwrap_err();
        refused.to_string()
    }

    fn send(path: &Path, word: &str) -> std::io::Result<usize> {
        UnixDatagram::unbound()?.send_to(word.as_bytes(), path)
    }

    #[track_caller]
    fn hears(socket: &BoundDatagram, word: &str) {
        let mut buffer = [0; 64];
        let length = socket.socket().recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], word.as_bytes());
    }

    #[test]
    fn a_dead_socket_is_taken_over_and_a_living_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tlsrpt.sock");
        let in_use = format!("another process listens on {}", path.display());
        let first = bound(&path);
        assert_eq!(refused(&path), in_use);
        // Being looked at is no datagram.
        send(&path, "one").unwrap();
        hears(&first, "one");
        drop(first);
        assert!(!path.exists());
        // A std socket leaves its file behind, as a killed daemon does.
        drop(UnixDatagram::bind(&path).unwrap());
        let second = bound(&path);
        send(&path, "two").unwrap();
        hears(&second, "two");
        drop(second);
        // Somebody who hears one peer only, and somebody who listens for streams.
        let peer = directory.path().join("peer.sock");
        let (own, other) = (
            UnixDatagram::bind(&path).unwrap(),
            UnixDatagram::bind(&peer).unwrap(),
        );
        own.connect(&peer).unwrap();
        assert_eq!(refused(&path), in_use);
        drop((own, other));
        fs::remove_file(&path).unwrap();
        let stream = UnixListener::bind(&path).unwrap();
        assert_eq!(refused(&path), in_use);
        drop(stream);
        drop(bound(&path));
        fs::write(&path, "mine").unwrap();
        assert!(refused(&path).contains("exists and is not a socket"));
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    fn its_own_directory_is_made_and_none_above() {
        let directory = tempfile::tempdir().unwrap();
        let queue = directory.path().join("spool/postfix");
        let path = queue.join("sealpost/tlsrpt.sock");
        match BoundDatagram::bind(&path, &Access::mode(0o660)).unwrap() {
            Place::NothingAbove(missing) => assert_eq!(missing, queue),
            Place::Open(_) => panic!("it was made in {}", queue.display()),
        }
        assert!(!directory.path().join("spool").exists());
        fs::create_dir_all(&queue).unwrap();
        let socket = bound(&path);
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&queue.join("sealpost")), mode(&path)), (0o755, 0o660));
        drop(socket);
        // One that is there is left as it is.
        fs::set_permissions(queue.join("sealpost"), fs::Permissions::from_mode(0o750)).unwrap();
        drop(bound(&path));
        assert_eq!(mode(&queue.join("sealpost")), 0o750);
    }

    #[test]
    fn what_was_sent_before_it_is_withdrawn_can_still_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tlsrpt.sock");
        let mut socket = bound(&path);
        assert!(!socket.is_inherited());
        send(&path, "last").unwrap();
        socket.withdraw();
        assert!(send(&path, "too late").is_err());
        // A next daemon may be there already; its file is not ours.
        let next = bound(&path);
        hears(&socket, "last");
        drop(socket);
        send(&path, "first").unwrap();
        hears(&next, "first");
    }

    #[test]
    fn systemds_socket_keeps_what_is_sent_between_two_daemons() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tlsrpt.sock");
        let systemd = UnixDatagram::bind(&path).unwrap();
        systemd.set_nonblocking(true).unwrap();
        for word in ["one", "two"] {
            // Nobody reads yet.
            send(&path, word).unwrap();
            let passed = systemd.try_clone().unwrap();
            let mut activated = Activated::of([passed.into()]).unwrap();
            let place = BoundDatagram::open(&path, &Access::mode(0o600), &mut activated).unwrap();
            let Place::Open(mut socket) = place else {
                panic!("it is there");
            };
            activated.leftover().unwrap();
            assert!(socket.is_inherited());
            hears(&socket, word);
            socket.withdraw();
            assert!(path.exists());
        }
        assert!(path.exists());
    }
}
