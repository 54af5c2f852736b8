//! The sockets of the page, and the connections on them: bounded in number, in time, and in how much a
//! request may say before it is answered.

use std::{io, sync::Arc, time::Duration};

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::timeout,
};

use super::visit::Way;
use crate::{
    config::{PageConfig, kind::file_mode},
    net::{
        activation::Activated,
        tcp_socket::{self, ListenError},
        unix_socket::{Access, BoundSocket, SocketError},
    },
};

/// How many browsers' connections at once. A browser opens six.
const CONNECTIONS_MAX: usize = 64;

/// How long a request's head may take to come, and a connection may be idle.
const HEAD_TIME_MAX: Duration = Duration::from_secs(20);

/// How long a connection may last at all: whoever reads an answer slowly does not keep a place for ever.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(300);

/// How much a request's head may say.
const HEAD_BYTES_MAX: usize = 16_384;
const HEADERS_MAX: usize = 64;

/// How long answers under way are waited for when the daemon stops.
const DRAIN: Duration = Duration::from_secs(3);

/// After an accept that failed, for want of file descriptors say, others get time to finish.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the page cannot be reached. For the operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// The unix socket cannot be made.
    #[error("page.path: {0}")]
    Socket(#[from] SocketError),
    /// Its mode is none.
    #[error("page.mode: {0}")]
    Mode(String),
    /// An address cannot be listened on.
    #[error("page.listen: {0}")]
    Listen(#[from] ListenError),
    /// The system gives no random numbers.
    #[error("page: {0}")]
    Random(#[from] super::sign_in::NoRandomNumbers),
}

/// The open sockets of the page.
pub struct PageSockets {
    unix: Option<BoundSocket>,
    tcp: Vec<TcpListener>,
}

impl PageSockets {
    /// Opens them: systemd's, if it passed them, else our own. Within a tokio runtime. None: there is no page.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub fn open(config: &PageConfig, activated: &mut Activated) -> Result<Self, PageError> {
        let mode = file_mode(&config.mode).map_err(PageError::Mode)?;
        let access = Access::mode(mode).for_group(&config.group);
        let unix = match config.path.as_os_str().is_empty() {
            true => None,
            false => Some(BoundSocket::open(&config.path, &access, activated)?),
        };
        let listeners = config.listen.iter();
        let tcp = listeners.map(|address| tcp_socket::open(*address, activated));
        Ok(Self {
            unix,
            tcp: tcp.collect::<Result<_, _>>()?,
        })
    }

    /// Serves pages until `stop` turns true; then finishes what is under way.
    pub async fn serve(self, router: Router, mut stop: watch::Receiver<bool>) {
        let desk = Desk {
            router,
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            stop: stop.clone(),
        };
        let mut doors = JoinSet::new();
        if let Some(socket) = self.unix {
            doors.spawn(desk.clone().on_unix(socket));
        }
        for listener in self.tcp {
            doors.spawn(desk.clone().on_tcp(listener));
        }
        // Without any there is nothing to do, but a door that ends is taken for one that died.
        let _stopped = stop.wait_for(|stop| *stop).await.is_ok();
        while doors.join_next().await.is_some() {}
    }
}

/// What every door has at hand.
#[derive(Clone)]
struct Desk {
    router: Router,
    places: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

impl Desk {
    async fn on_unix(mut self, socket: BoundSocket) {
        let mut connections = JoinSet::new();
        while let Some(accepted) = self.next(socket.listener().accept()).await {
            match accepted {
                Ok((stream, _)) => self.attend(stream, Way::Unix, &mut connections),
                Err(error) => pause(&error).await,
            }
        }
        drop(socket);
        drain(connections).await;
    }

    async fn on_tcp(mut self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        while let Some(accepted) = self.next(listener.accept()).await {
            match accepted {
                Ok((stream, from)) => self.attend(stream, Way::Tcp(from.ip()), &mut connections),
                Err(error) => pause(&error).await,
            }
        }
        drop(listener);
        drain(connections).await;
    }

    /// What comes next; nothing when the daemon stops.
    async fn next<T>(&mut self, accept: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            accepted = accept => Some(accepted),
            _ = self.stop.wait_for(|stop| *stop) => None,
        }
    }

    /// Serves a connection, or closes it where too many are open.
    fn attend<S>(&self, stream: S, way: Way, connections: &mut JoinSet<()>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        while connections.try_join_next().is_some() {}
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => {
                connections.spawn(converse(
                    stream,
                    way,
                    self.router.clone(),
                    place,
                    self.stop.clone(),
                ));
            }
            Err(_) => {
                tracing::warn!("page: {CONNECTIONS_MAX} connections are open; one more was closed");
            }
        }
    }
}

async fn converse<S>(
    stream: S,
    way: Way,
    router: Router,
    _place: OwnedSemaphorePermit,
    mut stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(router.layer(Extension(way)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = timeout(CONNECTION_TIME_MAX, async {
        tokio::select! {
            ended = connection.as_mut() => return ended,
            _ = stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    });
    if let Ok(Err(error)) = ended.await {
        tracing::debug!(%error, "page: a connection ended");
    }
}

async fn pause(error: &io::Error) {
    tracing::warn!(%error, "page: a connection could not be accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

async fn drain(mut connections: JoinSet<()>) {
    let drained = timeout(DRAIN, async {
        while connections.join_next().await.is_some() {}
    });
    if drained.await.is_err() {
        connections.shutdown().await;
    }
}
