//! The socketmap: where Postfix (`smtp_tls_policy_maps`) and sendmail ask what TLS a next hop
//! demands, over a unix socket and over TCP (`docs/socketmap.md`).
//!
//! This file listens and bounds how many clients there are; `socketmap_client` speaks with one of
//! them, [`socketmap_request`](super::socketmap_request) reads what it asks, and
//! [`socketmap_reply`] words the answer.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustix::net::{SendFlags, send};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinSet,
};

use super::{
    clients::{self, Listener},
    netstring,
    socketmap_client::{Client, Place, Stream},
    socketmap_reply::{self, DaneOnly, Resolvers, TellingDane},
    socketmap_worded::Wordings,
};
use crate::{
    config::{SocketmapConfig, kind::file_mode},
    hook::AsyncHook,
    net::activation::Activated,
    net::tcp_socket::{self, ListenError},
    net::unix_socket::{self, Access, BoundSocket, SocketError},
    observe::Counters,
};

/// The sockets of the door. [`serve`](Self::serve) them; dropped, they close, and the unix socket
/// takes its file away if it made that.
#[derive(Debug)]
pub struct Socketmap {
    unix: Option<BoundSocket>,
    tcp: Vec<TcpListener>,
    limits: Limits,
    telling: TellingDane,
    counters: Arc<Counters>,
}

/// Why a socket could not be had. All are for the operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketmapError {
    /// `socketmap.mode` is no file mode.
    #[error("socketmap.mode: {0}")]
    Mode(String),
    /// The unix socket cannot be made.
    #[error("socketmap.path: {0}")]
    Unix(#[from] SocketError),
    /// An address cannot be listened on.
    #[error("socketmap.listen: {0}")]
    Tcp(#[from] ListenError),
}

/// What clients may cost.
#[derive(Clone, Copy, Debug)]
struct Limits {
    clients_max: usize,
    idle: Duration,
    deadline: Duration,
}

/// What all clients share.
pub(super) struct Desk {
    pub(super) hook: Arc<dyn AsyncHook>,
    pub(super) counters: Arc<Counters>,
    pub(super) wordings: Wordings,
    /// How long a client may ask nothing, and how long it may take to read its replies.
    pub(super) idle: Duration,
    /// For one question.
    pub(super) deadline: Duration,
    telling: TellingDane,
    /// A permit for each client there may be.
    clients: Arc<Semaphore>,
}

impl Desk {
    /// Whether a Postfix in this place is told now that a domain goes by DANE alone.
    pub(super) fn dane_only(&self, place: Place) -> DaneOnly {
        match place {
            Place::Here => self.telling.now(),
            Place::Elsewhere => self.telling.elsewhere(),
        }
    }
}

impl Socketmap {
    /// Opens the sockets: systemd's, where it passed one for a place, else our own. Must be called
    /// inside a tokio runtime. Clients can connect from now on and are answered once it is served.
    ///
    /// Where the directory above the unix socket's own is missing, there is no Postfix, and no unix
    /// socket is made.
    ///
    /// # Errors
    /// When the mode is none, a place is taken, or the system refuses.
    pub fn open(
        config: &SocketmapConfig,
        activated: &mut Activated,
        counters: Arc<Counters>,
    ) -> Result<Self, SocketmapError> {
        let tcp = config
            .listen
            .iter()
            .map(|address| tcp_socket::open(*address, activated));
        let tcp = tcp.collect::<Result<_, _>>()?;
        Ok(Self {
            unix: unix_socket(config, activated)?,
            tcp,
            limits: Limits {
                clients_max: config.clients_max,
                idle: Duration::from_secs(config.idle_seconds),
                deadline: Duration::from_millis(config.deadline_ms),
            },
            telling: TellingDane::new(config.dane_only, Arc::default()),
            counters,
        })
    }

    /// The same where it is known what the resolvers do that Postfix asks. Without, they do not mark signed
    /// answers.
    #[must_use]
    pub fn with_resolvers(self, resolvers: Arc<Resolvers>) -> Self {
        Self {
            telling: self.telling.by(resolvers),
            ..self
        }
    }

    /// The TCP addresses it listens on, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.tcp
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect()
    }

    /// Answers clients until `shutdown` turns true (or its sender is gone), then answers what has
    /// been received, closes, and takes the unix socket's file away if it made that.
    pub async fn serve(self, hook: Arc<dyn AsyncHook>, mut shutdown: watch::Receiver<bool>) {
        let permits = self.limits.clients_max.min(Semaphore::MAX_PERMITS);
        let desk = Arc::new(Desk {
            hook,
            counters: self.counters,
            wordings: Wordings::default(),
            idle: self.limits.idle,
            deadline: self.limits.deadline,
            telling: self.telling,
            clients: Arc::new(Semaphore::new(permits)),
        });
        let mut serving = JoinSet::new();
        if let Some(unix) = self.unix {
            tracing::info!(path = %unix.path().display(), "the socketmap is open");
            serving.spawn(listen(unix, Arc::clone(&desk), shutdown.clone()));
        }
        for tcp in self.tcp {
            if let Ok(address) = tcp.local_addr() {
                tracing::info!(%address, "the socketmap is open");
            }
            serving.spawn(listen(tcp, Arc::clone(&desk), shutdown.clone()));
        }
        // Also where there is no socket: a door ends when it is told to. An error means that the
        // sender is gone, which is a shutdown as well.
        let _stopping = shutdown.wait_for(|stop| *stop).await.is_ok();
        while let Some(ended) = serving.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a socket of the socketmap died");
            }
        }
        tracing::info!("the socketmap is closed");
    }
}

fn unix_socket(
    config: &SocketmapConfig,
    activated: &mut Activated,
) -> Result<Option<BoundSocket>, SocketmapError> {
    if config.path.as_os_str().is_empty() {
        return Ok(None);
    }
    let mode = file_mode(&config.mode).map_err(SocketmapError::Mode)?;
    let access = Access::mode(mode).for_group(&config.group);
    let place: unix_socket::Place<_> =
        BoundSocket::open_in_place(&config.path, &access, activated)?;
    let default = SocketmapConfig::default().path;
    Ok(place.or_say("socketmap.path", &config.path, &default))
}

async fn listen<L>(listener: L, desk: Arc<Desk>, shutdown: watch::Receiver<bool>)
where
    L: Listener<Stream: Stream>,
{
    let admit = |stream: L::Stream, clients: &mut JoinSet<()>| {
        if let Ok(place) = Arc::clone(&desk.clients).try_acquire_owned() {
            let client = Client::new(stream, Arc::clone(&desk));
            let shutdown = shutdown.clone();
            clients.spawn(async move {
                client.speak(shutdown).await;
                drop(place);
            });
        } else {
            desk.counters.socketmap_clients_refused.count();
            tracing::warn!("the socketmap refused a client: socketmap.clients_max are here");
            refuse(&stream);
        }
    };
    clients::serve(listener, "the socketmap", desk.deadline, &shutdown, admit).await;
}

/// Tells a client that is not let in why its mail must wait, without waiting for it.
fn refuse(stream: &impl Stream) {
    // It is the reply to the question that the client is about to ask.
    let reply = socketmap_reply::wait("sealpost has too many clients (socketmap.clients_max)");
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    // A new socket has room for a line; if not, closing it says enough.
    if let Err(error) = send(stream, &netstring::of(&reply.text), flags) {
        tracing::debug!(%error, "a refused client was not told so");
    }
}
