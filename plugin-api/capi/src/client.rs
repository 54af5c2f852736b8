//! The daemon's plugin socket, seen from inside a host: one line out, one line back, by a deadline.
//!
//! No lock is held, so a `fork` at any moment leaves the child with a client that works. The one
//! connection that is kept for the next call lies in an atomic slot; a call takes it out, and a
//! second thread that finds the slot empty opens its own.

use std::{
    io::{ErrorKind, Read as _},
    os::{fd::IntoRawFd as _, unix::net::UnixStream},
    path::Path,
    sync::atomic::{AtomicPtr, Ordering},
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt},
};

use crate::pointer;

/// The longest answer that is taken.
pub(crate) const ANSWER_BYTES_MAX: usize = 131_072;

/// A moment by which a call must be over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// So long from now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the deadline of a socket is the kernel's time; nothing of the product's clock is here"
    )]
    pub(crate) fn after(duration: Duration) -> Self {
        Self(Instant::now().checked_add(duration))
    }

    /// What is left; an error when nothing is.
    #[expect(
        clippy::disallowed_methods,
        reason = "the deadline of a socket is the kernel's time; nothing of the product's clock is here"
    )]
    fn left(self) -> Result<Option<Duration>, Failure> {
        match self.0 {
            None => Ok(None),
            Some(moment) => match moment.saturating_duration_since(Instant::now()) {
                Duration::ZERO => Err(Failure::Late),
                left => Ok(Some(left)),
            },
        }
    }
}

/// May a question be asked again when it is not known whether the daemon has read it?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfInDoubt {
    /// Yes: a question about a domain changes nothing.
    AskAgain,
    /// No: a session, or an MX that is refused, would be counted twice.
    GiveUp,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody can be connected to.
    Connect(String),
    /// The connection was closed before the daemon can have read the question.
    Unread,
    /// The connection was closed instead of an answer.
    Closed,
    /// The deadline has passed.
    Late,
    /// The answer has no end.
    TooLong,
    /// Something else, in the system's words.
    System(String),
}

impl Failure {
    fn system(error: impl Into<std::io::Error>) -> Self {
        Self::System(error.into().to_string())
    }

    /// For the MTA's log.
    pub(crate) fn reason(&self, socket: &Path) -> String {
        let socket = socket.display();
        match self {
            Self::Connect(why) => format!("cannot reach Sealpost at {socket}: {why}"),
            Self::Unread | Self::Closed => format!("Sealpost at {socket} closed the connection"),
            Self::Late => format!("Sealpost at {socket} did not answer in time"),
            Self::TooLong => format!("the answer of Sealpost at {socket} is too long"),
            Self::System(why) => format!("cannot speak with Sealpost at {socket}: {why}"),
        }
    }
}

/// Asks the daemon, over one connection that is kept from call to call.
#[derive(Debug, Default)]
pub(crate) struct Client {
    kept: AtomicPtr<Connection>,
}

impl Client {
    /// Sends one line (without its end) and waits for the line that answers it.
    ///
    /// # Errors
    /// When there is no answer by the deadline.
    pub(crate) fn ask(
        &self,
        socket: &Path,
        line: &[u8],
        deadline: Deadline,
        if_in_doubt: IfInDoubt,
    ) -> Result<Vec<u8>, Failure> {
        if let Some(connection) = self.take() {
            match self.exchange(connection, line, deadline) {
                // The daemon let an idle connection go, or was started anew.
                Err(Failure::Unread) => {}
                Err(Failure::Closed) if if_in_doubt == IfInDoubt::AskAgain => {}
                result => return result,
            }
        }
        self.exchange(Connection::open(socket, deadline)?, line, deadline)
    }

    /// Lets go of the connection that is kept.
    pub(crate) fn forget(&self) {
        drop(self.take());
    }

    fn exchange(
        &self,
        mut connection: Box<Connection>,
        line: &[u8],
        deadline: Deadline,
    ) -> Result<Vec<u8>, Failure> {
        let answer = connection.exchange(line, deadline)?;
        let displaced = self.kept.swap(pointer::give(connection), Ordering::AcqRel);
        // SAFETY: whatever is in the slot came from `give` there, and the swap took it out.
        drop(unsafe { pointer::take(displaced) });
        Ok(answer)
    }

    /// The kept connection, if it is still this process's.
    fn take(&self) -> Option<Box<Connection>> {
        let kept = self.kept.swap(std::ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: whatever is in the slot came from `give` in `exchange`, and the swap took it out.
        let connection = unsafe { pointer::take(kept) }?;
        // After a fork parent and child would read each other's answers.
        (connection.process == std::process::id() && connection.is_ours()).then_some(connection)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.forget();
    }
}

/// One connection to the daemon.
#[derive(Debug)]
struct Connection {
    /// `None` only while it is dropped.
    stream: Option<UnixStream>,
    /// The process that opened it.
    process: u32,
    /// Device and inode of the socket.
    identity: (u64, u64),
}

impl Connection {
    fn open(path: &Path, deadline: Deadline) -> Result<Box<Self>, Failure> {
        let cannot = |errno: Errno| Failure::Connect(std::io::Error::from(errno).to_string());
        let address = SocketAddrUnix::new(path).map_err(cannot)?;
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(cannot)?;
        loop {
            // It bounds connect too, which waits while the daemon's queue is full.
            sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, deadline.left()?)
                .map_err(cannot)?;
            match rustix::net::connect(&socket, &address) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Err(Failure::Late),
                Err(errno) => return Err(cannot(errno)),
            }
        }
        let stream = UnixStream::from(socket);
        Ok(Box::new(Self {
            identity: identity(&stream).map_err(Failure::system)?,
            stream: Some(stream),
            process: std::process::id(),
        }))
    }

    /// Hosts that turn into daemons close every descriptor they do not know. The number may then
    /// belong to something else, a mail connection say: it is neither written to nor closed.
    fn is_ours(&self) -> bool {
        self.stream
            .as_ref()
            .is_some_and(|stream| identity(stream).is_ok_and(|seen| seen == self.identity))
    }

    fn exchange(&mut self, line: &[u8], deadline: Deadline) -> Result<Vec<u8>, Failure> {
        let Some(stream) = &mut self.stream else {
            return Err(Failure::Closed);
        };
        let mut request = Vec::with_capacity(line.len() + 1);
        request.extend_from_slice(line);
        request.push(b'\n');
        match send(stream, &request, deadline) {
            // A daemon that refuses a client says why before it closes.
            Err(Failure::Unread) => receive(stream, deadline).map_err(|failure| match failure {
                Failure::Closed => Failure::Unread,
                other => other,
            }),
            Err(failure) => Err(failure),
            Ok(()) => receive(stream, deadline),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let ours = self.is_ours();
        if let Some(stream) = self.stream.take()
            && !ours
        {
            // Closed by somebody else already; the number is not ours to close.
            let _not_ours = stream.into_raw_fd();
        }
    }
}

fn identity(stream: &UnixStream) -> Result<(u64, u64), Errno> {
    rustix::fs::fstat(stream).map(|stat| (stat.st_dev, stat.st_ino))
}

/// Sends all of it, and never raises SIGPIPE: a host need not have switched that off.
fn send(stream: &UnixStream, request: &[u8], deadline: Deadline) -> Result<(), Failure> {
    let mut rest = request;
    while !rest.is_empty() {
        stream
            .set_write_timeout(deadline.left()?)
            .map_err(Failure::system)?;
        match rustix::net::send(stream, rest, SendFlags::NOSIGNAL) {
            Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Err(Failure::Late),
            Err(Errno::PIPE | Errno::CONNRESET) => return Err(Failure::Unread),
            Err(errno) => return Err(Failure::system(errno)),
        }
    }
    Ok(())
}

/// Receives one line, without its end.
fn receive(stream: &mut UnixStream, deadline: Deadline) -> Result<Vec<u8>, Failure> {
    let mut answer = Vec::new();
    let mut chunk = [0; 4_096];
    loop {
        stream
            .set_read_timeout(deadline.left()?)
            .map_err(Failure::system)?;
        let count = match stream.read(&mut chunk) {
            Ok(0) => return Err(Failure::Closed),
            Ok(count) => count,
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => continue,
                ErrorKind::WouldBlock | ErrorKind::TimedOut => return Err(Failure::Late),
                // The daemon closed with our line still unread.
                ErrorKind::ConnectionReset => return Err(Failure::Unread),
                _ => return Err(Failure::system(error)),
            },
        };
        let arrived = chunk.get(..count).unwrap_or_default();
        let mut pieces = arrived.splitn(2, |byte| *byte == b'\n');
        answer.extend_from_slice(pieces.next().unwrap_or_default());
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(Failure::TooLong);
        }
        if pieces.next().is_some() {
            return Ok(answer);
        }
    }
}
