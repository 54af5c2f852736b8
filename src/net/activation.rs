//! Sockets that systemd made and passed to us at the start (sd_listen_fds(3)), so that nobody is
//! turned away while the daemon is restarted: clients wait, and datagrams queue in the kernel.
//!
//! Which socket serves what is told by its own address: it is the one that a setting names. The
//! names that systemd gives them (`LISTEN_FDNAMES`) are not needed. A socket that no setting names
//! stops the start, for whoever connects to it would wait for ever.

use std::{
    env, fmt, io,
    net::{SocketAddr, TcpListener},
    os::{
        fd::AsFd,
        unix::{
            fs::MetadataExt as _,
            net::{self, UnixDatagram, UnixListener},
        },
    },
    path::{Path, PathBuf},
};

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

use crate::observe::printable::{excerpt, printable};

/// Why the sockets that systemd passed are not used. All are for the operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActivationError {
    /// The environment is not as systemd makes it.
    #[error("LISTEN_FDS is \"{0}\" and not a number of sockets from 0 to {PASSED_MAX}")]
    Count(String),
    /// Not a kind of socket that we listen on.
    #[error(
        "file descriptor {0} that systemd passed is neither a unix stream socket nor a unix \
         datagram socket nor a TCP socket: look at the Listen lines of the socket unit"
    )]
    Unusable(usize),
    /// One client's connection was passed, as to a service of inetd.
    #[error("systemd passed a connection, not {0} itself: the socket unit must not say Accept=yes")]
    Connection(String),
    /// The system does not tell the address of a socket.
    #[error("the address of a socket that systemd passed is not known: {0}")]
    Address(#[from] io::Error),
    /// Sockets that no setting names.
    #[error(
        "systemd passed {}, which no setting names: make the Listen lines of the socket unit and \
         sealpost.toml agree", .0.join(" and ")
    )]
    Unclaimed(Vec<String>),
}

/// Sockets that systemd passed. Each is given away once.
#[derive(Debug, Default)]
pub struct Activated {
    unix: Vec<UnixListener>,
    tcp: Vec<TcpListener>,
    datagrams: Vec<UnixDatagram>,
}

/// One such socket.
#[derive(Debug)]
#[non_exhaustive]
pub enum Inherited {
    /// `ListenStream=` with a path.
    UnixListener(UnixListener),
    /// `ListenStream=` with a port.
    TcpListener(TcpListener),
    /// `ListenDatagram=` with a path.
    Datagram(UnixDatagram),
}

impl Activated {
    /// Takes the sockets, and the variables that tell of them out of the environment, so that no
    /// other process takes them for its own. To be called once, before the first thread is started:
    /// the environment is changed.
    ///
    /// # Errors
    /// When what was passed is not sockets of our kinds.
    pub fn take() -> Result<Self, ActivationError> {
        let variable = |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let (pid, count) = (variable("LISTEN_PID"), variable("LISTEN_FDS"));
        let count = passed(pid.as_deref(), count.as_deref(), std::process::id())?;
        if count == 0 {
            return Ok(Self::none());
        }
        let mut listed = ListenFd::from_env();
        let sockets: Result<Vec<_>, _> = (0..listed.len())
            .map(|index| Inherited::take(&mut listed, index))
            .collect();
        Self::of(sockets?)
    }

    /// None: every socket is bound by ourselves.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// These sockets, as if systemd had passed them.
    ///
    /// # Errors
    /// When one of them does not listen.
    pub fn of(sockets: impl IntoIterator<Item = Inherited>) -> Result<Self, ActivationError> {
        let mut activated = Self::none();
        for socket in sockets {
            if !socket.is_open_to_all()? {
                return Err(ActivationError::Connection(socket.to_string()));
            }
            match socket {
                Inherited::UnixListener(listener) => activated.unix.push(listener),
                Inherited::TcpListener(listener) => activated.tcp.push(listener),
                Inherited::Datagram(socket) => activated.datagrams.push(socket),
            }
        }
        Ok(activated)
    }

    /// The unix stream socket whose file is at `path`.
    pub fn unix_listener(&mut self, path: &Path) -> Option<UnixListener> {
        let is_there = |socket: &UnixListener| is_at(socket.local_addr(), path);
        let index = self.unix.iter().position(is_there)?;
        Some(self.unix.remove(index))
    }

    /// The TCP socket that listens on exactly this address.
    pub fn tcp_listener(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let is_there = |socket: &TcpListener| socket.local_addr().is_ok_and(|own| own == address);
        let index = self.tcp.iter().position(is_there)?;
        Some(self.tcp.remove(index))
    }

    /// The unix datagram socket whose file is at `path`.
    pub fn datagram(&mut self, path: &Path) -> Option<UnixDatagram> {
        let is_there = |socket: &UnixDatagram| is_at(socket.local_addr(), path);
        let index = self.datagrams.iter().position(is_there)?;
        Some(self.datagrams.remove(index))
    }

    /// Has every socket been given away? To be asked when all settings have been served.
    ///
    /// # Errors
    /// When some were not; it names them.
    pub fn leftover(&self) -> Result<(), ActivationError> {
        let unix = self.unix.iter().map(stream_name);
        let tcp = self.tcp.iter().map(tcp_name);
        let datagrams = self.datagrams.iter().map(datagram_name);
        let names: Vec<_> = unix.chain(tcp).chain(datagrams).collect();
        if names.is_empty() {
            return Ok(());
        }
        Err(ActivationError::Unclaimed(names))
    }
}

impl Inherited {
    fn take(listed: &mut ListenFd, index: usize) -> Result<Self, ActivationError> {
        // An error means that it is of another kind.
        if let Ok(Some(listener)) = listed.take_unix_listener(index) {
            return Ok(listener.into());
        }
        if let Ok(Some(listener)) = listed.take_tcp_listener(index) {
            return Ok(listener.into());
        }
        if let Ok(Some(socket)) = listed.take_unix_datagram(index) {
            return Ok(socket.into());
        }
        Err(ActivationError::Unusable(index + FIRST))
    }

    /// Can any client come, as opposed to one that is connected already?
    fn is_open_to_all(&self) -> io::Result<bool> {
        let listens = |socket: &dyn AsFd| Ok(socket_acceptconn(socket)?);
        match self {
            Self::UnixListener(listener) => listens(listener),
            Self::TcpListener(listener) => listens(listener),
            Self::Datagram(socket) => Ok(socket.peer_addr().is_err()),
        }
    }
}

impl fmt::Display for Inherited {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&match self {
            Self::UnixListener(listener) => stream_name(listener),
            Self::TcpListener(listener) => tcp_name(listener),
            Self::Datagram(socket) => datagram_name(socket),
        })
    }
}

impl From<UnixListener> for Inherited {
    fn from(listener: UnixListener) -> Self {
        Self::UnixListener(listener)
    }
}

impl From<TcpListener> for Inherited {
    fn from(listener: TcpListener) -> Self {
        Self::TcpListener(listener)
    }
}

impl From<UnixDatagram> for Inherited {
    fn from(socket: UnixDatagram) -> Self {
        Self::Datagram(socket)
    }
}

fn stream_name(listener: &UnixListener) -> String {
    unix_name("unix stream socket", listener.local_addr())
}

fn datagram_name(socket: &UnixDatagram) -> String {
    unix_name("unix datagram socket", socket.local_addr())
}

fn unix_name(kind: &str, address: io::Result<net::SocketAddr>) -> String {
    let address = address.ok();
    let path = address.as_ref().and_then(net::SocketAddr::as_pathname);
    path.map_or_else(
        || format!("a {kind} without a file"),
        |path| format!("the {kind} {}", printable(&path.display().to_string())),
    )
}

fn tcp_name(listener: &TcpListener) -> String {
    listener.local_addr().map_or_else(
        |_| "a TCP socket without an address".to_owned(),
        |address| format!("the TCP socket {address}"),
    )
}

/// The first file descriptor that is passed (`SD_LISTEN_FDS_START`).
const FIRST: usize = 3;

/// More sockets than any configuration names.
const PASSED_MAX: usize = 256;

/// How many sockets were passed to the process `own`, by the two variables that tell.
fn passed(pid: Option<&str>, count: Option<&str>, own: u32) -> Result<usize, ActivationError> {
    let (Some(pid), Some(count)) = (pid, count) else {
        return Ok(0);
    };
    if pid.parse() != Ok(own) {
        // A shell that stands between systemd and us, say, or one that systemd passed sockets to.
        tracing::warn!(
            LISTEN_PID = %excerpt(pid),
            own,
            "systemd passed sockets to another process, so every socket is bound anew: a script \
             that starts sealpost must do it with exec"
        );
        return Ok(0);
    }
    match count.parse() {
        Ok(count) if count <= PASSED_MAX => Ok(count),
        _ => Err(ActivationError::Count(excerpt(count))),
    }
}

/// Does a socket of this address have its file at `path`?
fn is_at(address: io::Result<net::SocketAddr>, path: &Path) -> bool {
    let own = address.ok();
    own.as_ref()
        .and_then(net::SocketAddr::as_pathname)
        .is_some_and(|own| is_same(own, path))
}

/// Do two paths lead to one socket? They may go through links, such as `/var/run`, and the file may
/// be gone while the socket is not.
fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| {
        let file = std::fs::metadata(path).ok()?;
        Some((file.dev(), file.ino()))
    };
    if let (Some(one), Some(other)) = (identity(one), identity(other)) {
        return one == other;
    }
    place(one) == place(other)
}

/// The path with its directory as it really is, as far as that is there.
fn place(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (Some(directory), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return absolute;
    };
    match directory.canonicalize() {
        Ok(directory) => directory.join(name),
        Err(_) => absolute,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, net::TcpStream, os::unix::fs::symlink, os::unix::net::UnixStream};

    use super::*;

    #[test]
    fn the_variables_count_for_the_process_they_name() {
        for (pid, count, expected) in [
            (Some("7"), Some("2"), Some(2)),
            (Some("7"), Some("0"), Some(0)),
            (Some("7"), Some("256"), Some(256)),
            // sd_listen_fds(3): set for another process, or not by systemd.
            (Some("8"), Some("2"), Some(0)),
            (Some("8"), Some("many"), Some(0)),
            (Some(""), Some("2"), Some(0)),
            (None, Some("2"), Some(0)),
            (Some("7"), None, Some(0)),
            (None, None, Some(0)),
            (Some("7"), Some("257"), None),
            (Some("7"), Some("-1"), None),
            (Some("7"), Some("two\u{1b}[2J"), None),
            (Some("7"), Some(""), None),
        ] {
            let found = passed(pid, count, 7);
            if let Err(error) = &found {
                let said = error.to_string();
                assert!(said.starts_with("LISTEN_FDS is \""), "{said}");
                assert!(!said.contains('\u{1b}'), "{said:?}");
            }
            assert_eq!(found.ok(), expected, "{pid:?} {count:?}");
        }
    }

    #[test]
    fn each_socket_is_found_by_its_own_address_and_kind_and_given_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let mut activated = Activated::of([
            UnixListener::bind(file("plugin.sock")).unwrap().into(),
            UnixListener::bind(file("control.sock")).unwrap().into(),
            UnixDatagram::bind(file("tlsrpt.sock")).unwrap().into(),
            tcp.into(),
        ])
        .unwrap();
        assert!(activated.unix_listener(&file("other.sock")).is_none());
        assert!(activated.unix_listener(&file("tlsrpt.sock")).is_none());
        assert!(activated.datagram(&file("control.sock")).is_none());
        let elsewhere = SocketAddr::new([127, 0, 0, 2].into(), address.port());
        assert!(activated.tcp_listener(elsewhere).is_none());

        let control = activated.unix_listener(&file("control.sock")).unwrap();
        let own = control.local_addr().unwrap();
        assert_eq!(own.as_pathname(), Some(&*file("control.sock")));
        assert!(activated.unix_listener(&file("control.sock")).is_none());
        assert!(activated.tcp_listener(address).is_some());
        let said = activated.leftover().unwrap_err().to_string();
        let expected = format!(
            "systemd passed the unix stream socket {} and the unix datagram socket {}, which no \
             setting names",
            file("plugin.sock").display(),
            file("tlsrpt.sock").display()
        );
        assert!(said.starts_with(&expected), "{said}");
        assert!(activated.datagram(&file("tlsrpt.sock")).is_some());
        assert!(activated.unix_listener(&file("plugin.sock")).is_some());
        activated.leftover().unwrap();
    }

    #[test]
    fn a_path_through_a_link_is_the_same_place() {
        let directory = tempfile::tempdir().unwrap();
        let (run, var_run) = (directory.path().join("run"), directory.path().join("var"));
        fs::create_dir(&run).unwrap();
        symlink(&run, &var_run).unwrap();
        let (one, other) = (run.join("a.sock"), run.join("b.sock"));
        let listener = UnixListener::bind(var_run.join("a.sock")).unwrap();
        let _other = UnixListener::bind(&other).unwrap();
        let mut activated = Activated::of([listener.try_clone().unwrap().into()]).unwrap();
        assert!(activated.unix_listener(&other).is_none());
        assert!(activated.unix_listener(&one).is_some());
        // systemd's Symlinks=.
        symlink(&one, run.join("link.sock")).unwrap();
        let mut activated = Activated::of([listener.try_clone().unwrap().into()]).unwrap();
        assert!(activated.unix_listener(&run.join("link.sock")).is_some());
        // The file is gone, the socket is not.
        fs::remove_file(&one).unwrap();
        let mut activated = Activated::of([listener.into()]).unwrap();
        assert!(activated.unix_listener(&other).is_none());
        assert!(activated.unix_listener(&run.join("c.sock")).is_none());
        assert!(
            activated
                .unix_listener(&run.join("../run/a.sock"))
                .is_some()
        );
    }

    #[test]
    fn a_connection_is_no_listener_and_a_socket_without_a_file_is_named_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("plugin.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let _client = UnixStream::connect(&path).unwrap();
        let (connection, _) = listener.accept().unwrap();
        let connection = UnixListener::from(std::os::fd::OwnedFd::from(connection));
        let said = Activated::of([connection.into()]).unwrap_err().to_string();
        assert_eq!(
            said,
            format!(
                "systemd passed a connection, not the unix stream socket {} itself: the socket unit \
                 must not say Accept=yes",
                path.display()
            )
        );
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(tcp.local_addr().unwrap()).unwrap();
        let connection = TcpListener::from(std::os::fd::OwnedFd::from(client));
        let said = Activated::of([connection.into()]).unwrap_err().to_string();
        assert!(said.contains("the TCP socket 127.0.0.1:"), "{said}");

        let nameless = UnixDatagram::unbound().unwrap();
        let activated = Activated::of([nameless.into()]).unwrap();
        let said = activated.leftover().unwrap_err().to_string();
        assert!(
            said.contains("a unix datagram socket without a file, which no setting names"),
            "{said}"
        );
    }
}
