//! A command's end of the control socket. Blocking: a command does one thing.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::de::DeserializeOwned;

use super::protocol::{
    Answer, REPLY_OCTETS_MAX, Refusal, ReplyLine, Request, RequestLine, VERSION,
};

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The operator must act: no daemon is there.
    #[error(
        "the daemon is not running: {} ({reason}). Start it with `sealpost serve` or through systemd; \
         if it runs with another configuration, name that with --config.",
        .path.display()
    )]
    NotRunning {
        /// The socket.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// The caller: it may not use the socket.
    #[error(
        "{}: permission denied; only root and the user that the daemon runs as may control it",
        .path.display()
    )]
    NotPermitted {
        /// The socket.
        path: PathBuf,
    },
    /// The daemon: it went away, or was silent for too long.
    #[error("{}: the daemon gave no answer: {reason}", .path.display())]
    NoAnswer {
        /// The socket.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// The operator must act: the daemon is of another release.
    #[error("{}: the daemon's answer is not understood: {reason}", .path.display())]
    NotUnderstood {
        /// The socket.
        path: PathBuf,
        /// What is not understood.
        reason: String,
    },
    /// The daemon answered, and says why it does not do it.
    #[error("{0}")]
    Refused(Refusal),
}

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    path: PathBuf,
}

/// How long most answers may take: they are read from the store.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long lookups and fetches may take: several, of a minute each.
const PATIENCE_LOOKUPS: Duration = Duration::from_secs(300);

impl Client {
    /// Connects to the socket of a running daemon.
    ///
    /// # Errors
    /// When there is none, or it may not be used.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => ClientError::NotPermitted {
                path: path.to_owned(),
            },
            io::ErrorKind::NotFound => ClientError::NotRunning {
                path: path.to_owned(),
                reason: "there is no such socket".to_owned(),
            },
            io::ErrorKind::ConnectionRefused => ClientError::NotRunning {
                path: path.to_owned(),
                reason: "nobody listens there".to_owned(),
            },
            _ => ClientError::NotRunning {
                path: path.to_owned(),
                reason: error.to_string(),
            },
        })?;
        Ok(Self {
            stream,
            path: path.to_owned(),
        })
    }

    /// Asks once.
    ///
    /// # Errors
    /// When there is no answer, or the daemon refuses.
    pub fn ask<T: DeserializeOwned>(self, request: Request) -> Result<T, ClientError> {
        let silent = |error: io::Error| ClientError::NoAnswer {
            path: self.path.clone(),
            reason: error.to_string(),
        };
        self.stream
            .set_read_timeout(patience(&request))
            .map_err(silent)?;
        let mut line = serde_json::to_vec(&RequestLine {
            version: VERSION,
            request,
        })
        .map_err(|error| self.not_understood(&error.to_string()))?;
        line.push(b'\n');
        // A daemon that refuses us answers before it has read; its words matter more than ours.
        let sent = (&self.stream).write_all(&line);
        let mut reply = Vec::new();
        let read = BufReader::new(&self.stream)
            .take(REPLY_OCTETS_MAX)
            .read_until(b'\n', &mut reply);
        match (read, sent) {
            (Ok(_), _) if reply.last() == Some(&b'\n') => self.understood(&reply),
            (Ok(octets), _) if u64::try_from(octets) == Ok(REPLY_OCTETS_MAX) => {
                Err(self.not_understood("it is longer than 256 MiB"))
            }
            (Ok(_), Ok(())) => Err(silent(io::Error::other("it closed the connection"))),
            (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(silent(io::Error::other("it took too long")))
            }
            (Ok(_), Err(error)) | (Err(error), _) => Err(silent(error)),
        }
    }

    fn understood<T: DeserializeOwned>(&self, reply: &[u8]) -> Result<T, ClientError> {
        let reply: ReplyLine<T> = serde_json::from_slice(reply)
            .map_err(|error| self.not_understood(&error.to_string()))?;
        if reply.version != VERSION {
            return Err(self.not_understood(&format!(
                "it speaks version {} of the protocol, this program {VERSION}",
                reply.version
            )));
        }
        match reply.result {
            Answer::Ok(answer) => Ok(answer),
            Answer::Refused(refusal) => Err(ClientError::Refused(refusal)),
        }
    }

    fn not_understood(&self, reason: &str) -> ClientError {
        ClientError::NotUnderstood {
            path: self.path.clone(),
            reason: reason.to_owned(),
        }
    }
}

/// How long to wait for the answer to a request.
const fn patience(request: &Request) -> Option<Duration> {
    match request {
        // A day's reports and a copy of everything take as long as they take; the operator has Ctrl-C.
        Request::ReportSend { .. } | Request::StoreCopy { .. } => None,
        Request::Check { .. } | Request::Refresh { .. } => Some(PATIENCE_LOOKUPS),
        // Months of every domain of a large sender.
        Request::Evidence { .. } => Some(PATIENCE_LOOKUPS),
        _ => Some(PATIENCE),
    }
}
