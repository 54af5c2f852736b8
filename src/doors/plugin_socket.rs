//! The plugin socket: a unix stream socket on which Exim's `${readsocket}`, `libsealpost.so` and
//! scripts ask for policies and tell sessions, a line each (`docs/plugin-socket.md`).
//!
//! This file listens, bounds what a client may cost, and closes in good order;
//! [`plugin_line`] reads the lines and
//! [`plugin_answer`] writes the answers.

use std::{io::Write as _, sync::Arc, time::Duration};

use sealpost_plugin_api::Verified;
use tokio::{
    io::AsyncWriteExt as _,
    net::{UnixStream, unix::OwnedReadHalf},
    sync::{Semaphore, watch},
    task::{JoinSet, spawn_blocking},
    time::timeout,
};

use super::{
    clients,
    line_reader::{Input, Lines},
    plugin_answer,
    plugin_line::{self, LineError, Request},
};
use crate::{
    config::{PluginSocketConfig, kind::file_mode},
    hook::AsyncHook,
    net::activation::Activated,
    net::unix_socket::{Access, BoundSocket, SocketError},
    observe::Counters,
};

/// How many certificate chains are judged at once, off the threads that serve the sockets. A stranger chose
/// them: most take a fraction of a millisecond, the worst some tens.
const JUDGED_AT_ONCE_MAX: usize = 4;

/// How long a client that was let in just before the daemon stops may take to speak. Exim opens a connection for each
/// question, and one that is closed unheard makes its mail wait.
const FIRST_LINE_AT_SHUTDOWN: Duration = Duration::from_millis(500);

/// A bound plugin socket. [`serve`](Self::serve) it; dropped, it closes, and takes its file away if
/// it made that.
#[derive(Debug)]
pub struct PluginSocket {
    socket: BoundSocket,
    limits: Limits,
    counters: Arc<Counters>,
}

/// Why the socket could not be bound. All are for the operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginSocketError {
    /// `plugin_socket.mode` is no file mode.
    #[error("plugin_socket.mode: {0}")]
    Mode(String),
    /// It cannot be made at `plugin_socket.path`.
    #[error("plugin_socket.path: {0}")]
    Socket(#[from] SocketError),
}

/// What a client may cost.
#[derive(Clone, Debug)]
struct Limits {
    allow_uids: Vec<u32>,
    clients_max: usize,
    /// For a whole line to arrive, and for an answer to be taken.
    idle: Duration,
    /// For one policy question.
    deadline: Duration,
}

impl PluginSocket {
    /// Binds the socket, replacing a file that nobody listens on. Must be called inside a tokio
    /// runtime. Clients can connect from now on and are answered once it is served.
    ///
    /// # Errors
    /// When the mode is none, the path is taken, or the system refuses.
    pub fn bind(
        config: &PluginSocketConfig,
        counters: Arc<Counters>,
    ) -> Result<Self, PluginSocketError> {
        Self::open(config, &mut Activated::none(), counters)
    }

    /// As [`bind`](Self::bind), unless systemd passed the socket: that one is taken as it is.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn open(
        config: &PluginSocketConfig,
        activated: &mut Activated,
        counters: Arc<Counters>,
    ) -> Result<Self, PluginSocketError> {
        let mode = file_mode(&config.mode).map_err(PluginSocketError::Mode)?;
        Ok(Self {
            socket: BoundSocket::open(&config.path, &Access::mode(mode), activated)?,
            limits: Limits {
                allow_uids: config.allow_uids.clone(),
                clients_max: config.clients_max,
                idle: Duration::from_secs(config.idle_seconds),
                deadline: Duration::from_millis(config.deadline_ms),
            },
            counters,
        })
    }

    /// Answers clients until `shutdown` turns true (or its sender is gone), then answers what has
    /// been received, closes, and takes the socket's file away if it made that.
    pub async fn serve(self, hook: Arc<dyn AsyncHook>, shutdown: watch::Receiver<bool>) {
        let Self {
            socket,
            limits,
            counters,
        } = self;
        tracing::info!(path = %socket.path().display(), "the plugin socket is open");
        let judging = Arc::new(Semaphore::new(JUDGED_AT_ONCE_MAX));
        let house = House {
            limits,
            counters,
            hook,
            judging,
        };
        clients::serve(
            socket,
            "the plugin socket",
            house.limits.deadline,
            &shutdown,
            |stream, clients| admit(stream, clients, &house, &shutdown),
        )
        .await;
        tracing::info!("the plugin socket is closed");
    }
}

/// What all clients share.
#[derive(Clone)]
struct House {
    limits: Limits,
    counters: Arc<Counters>,
    hook: Arc<dyn AsyncHook>,
    judging: Arc<Semaphore>,
}

/// Lets a client speak, or tells it why not.
fn admit(
    stream: UnixStream,
    clients: &mut JoinSet<()>,
    house: &House,
    shutdown: &watch::Receiver<bool>,
) {
    if let Err(problem) = may_speak(&stream, &house.limits, clients.len()) {
        house.counters.plugin_clients_refused.count();
        tracing::warn!(%problem, "the plugin socket refused a client");
        refuse(stream, &problem);
        return;
    }
    let client = Client {
        lines: Lines::new(plugin_line::LINE_BYTES_MAX),
        house: house.clone(),
        malformed: 0,
        has_spoken: false,
    };
    clients.spawn(client.speak(stream, shutdown.clone()));
}

fn may_speak(stream: &UnixStream, limits: &Limits, clients: usize) -> Result<(), String> {
    if !limits.allow_uids.is_empty() {
        let uid = match stream.peer_cred() {
            Ok(peer) => peer.uid(),
            Err(error) => return Err(format!("client: its user id is not known: {error}")),
        };
        if !limits.allow_uids.contains(&uid) {
            return Err(format!("client: user id {uid} may not speak here"));
        }
    }
    if clients >= limits.clients_max {
        return Err("client: too many clients".to_owned());
    }
    Ok(())
}

impl House {
    /// Does what may take a while on a thread of its own; nothing where the process is ending.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn AsyncHook) -> T + Send + 'static,
    ) -> Option<T> {
        let permit = Arc::clone(&self.judging).acquire_owned().await.ok()?;
        let hook = Arc::clone(&self.hook);
        let done = spawn_blocking(move || {
            let _held = permit;
            work(&*hook)
        });
        done.await.ok()
    }
}

/// Sends one line to a client that is not let in, without waiting for it.
fn refuse(stream: UnixStream, problem: &str) {
    let mut line = plugin_answer::error_answer(&problem);
    line.push('\n');
    // A new socket has room for a line; if not, closing it says enough.
    let written = stream
        .into_std()
        .and_then(|mut stream| stream.write(line.as_bytes()));
    if let Err(error) = written {
        tracing::debug!(%error, "a refused client was not told so");
    }
}

/// One client's side of the conversation.
struct Client {
    lines: Lines,
    house: House,
    /// How many of its lines were not understood.
    malformed: u64,
    /// Has it sent a line?
    has_spoken: bool,
}

impl Client {
    async fn speak(mut self, stream: UnixStream, mut shutdown: watch::Receiver<bool>) {
        let (mut reader, mut writer) = stream.into_split();
        loop {
            let input = tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => None,
                input = timeout(self.house.limits.idle, self.lines.next(&mut reader)) => match input {
                    Ok(Ok(input)) => Some(input),
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "a client of the plugin socket is gone");
                        return;
                    }
                    Err(_idle) => return,
                },
            };
            let input = match input {
                Some(input) => input,
                None => self.last_words(&mut reader).await,
            };
            let request = match input {
                Input::Line(line) => plugin_line::parse(&line),
                Input::TooLong => Err(LineError::TOO_LONG),
                Input::End => return,
            };
            self.has_spoken = true;
            let Some(mut answer) = self.answer(request).await else {
                return;
            };
            answer.push('\n');
            let taken = tokio::select! {
                biased;
                written = writer.write_all(answer.as_bytes()) => written.is_ok(),
                () = clients::out_of_patience(self.house.limits.idle, &mut shutdown) => false,
            };
            if !taken {
                tracing::debug!("a client of the plugin socket did not take its answer");
                return;
            }
        }
    }

    /// At shutdown: the next line that is here already, or the end. A client that has not spoken yet may have been
    /// let in a moment ago, and has a moment to speak.
    async fn last_words(&mut self, reader: &mut OwnedReadHalf) -> Input {
        if !self.has_spoken
            && let Ok(Ok(input)) = timeout(FIRST_LINE_AT_SHUTDOWN, self.lines.next(reader)).await
        {
            return input;
        }
        self.received(reader)
    }

    /// The next line that is here already, or the end.
    fn received(&mut self, reader: &OwnedReadHalf) -> Input {
        loop {
            if let Some(input) = self.lines.take() {
                return input;
            }
            match reader.try_read_buf(self.lines.room()) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Input::End,
            }
        }
    }

    /// One line's answer; `None` when the client takes its leave.
    async fn answer(&mut self, request: Result<Request, LineError>) -> Option<String> {
        match request {
            Ok(Request::Ping) => Some(plugin_answer::pong()),
            Ok(Request::Quit) => None,
            Ok(Request::Policy(question)) => {
                let query = question.query(self.house.limits.deadline);
                let answer = self.house.hook.policy(query).await;
                Some(plugin_answer::answer(&answer.requirement))
            }
            Ok(Request::Verify(shown)) => {
                let judge =
                    move |hook: &dyn AsyncHook| shown.judged(|presented| hook.verify(presented));
                let verified = self.house.aside(judge).await;
                let gone = || Verified::Unknown("Sealpost is stopping".to_owned());
                Some(plugin_answer::verdict(&verified.unwrap_or_else(gone)))
            }
            Ok(Request::Session(told)) if told.has_chain() => {
                let take =
                    move |hook: &dyn AsyncHook| told.hand_to(|session| hook.session(session));
                self.house.aside(take).await?;
                Some("OK".to_owned())
            }
            Ok(Request::Session(told)) => {
                told.hand_to(|session| self.house.hook.session(session));
                Some("OK".to_owned())
            }
            Err(error) => {
                self.house.counters.plugin_lines_malformed.count();
                // One client with a broken configuration must not fill the log.
                if self.malformed == 0 {
                    tracing::warn!(%error, "a line on the plugin socket was not understood");
                }
                self.malformed += 1;
                Some(plugin_answer::error_answer(&error))
            }
        }
    }
}
