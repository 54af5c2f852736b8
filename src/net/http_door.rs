//! What a browser, a proxy or a monitor connects to: listening sockets, and the HTTP connections on them,
//! bounded in number, in time, and in how much a request may say before it is answered.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

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

use super::{
    activation::Activated,
    tcp_socket::{self, ListenError},
    unix_socket::{Access, BoundSocket, SocketError},
};

/// How many connections at once. A browser opens six.
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

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// On the unix socket, whose file mode says who may.
    Unix,
    /// By TCP, from this address.
    Tcp(IpAddr),
}

/// Why nobody can connect. For the operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpDoorError {
    /// The unix socket cannot be made.
    #[error("path: {0}")]
    Socket(#[from] SocketError),
    /// An address cannot be listened on.
    #[error("listen: {0}")]
    Listen(#[from] ListenError),
}

/// The open sockets of a door that speaks HTTP.
pub struct HttpDoor {
    /// What it is called in the log.
    name: &'static str,
    unix: Option<BoundSocket>,
    tcp: Vec<TcpListener>,
}

impl HttpDoor {
    /// Opens them: systemd's, if it passed them, else our own. An empty path: no unix socket. Within a tokio
    /// runtime.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub fn open(
        name: &'static str,
        path: &Path,
        access: &Access,
        listen: &[SocketAddr],
        activated: &mut Activated,
    ) -> Result<Self, HttpDoorError> {
        let unix = match path.as_os_str().is_empty() {
            true => None,
            false => Some(BoundSocket::open(path, access, activated)?),
        };
        let listeners = listen.iter();
        let tcp = listeners.map(|address| tcp_socket::open(*address, activated));
        Ok(Self {
            name,
            unix,
            tcp: tcp.collect::<Result<_, _>>()?,
        })
    }

    /// Serves what `router` has until `stop` turns true; then finishes what is under way.
    pub async fn serve(self, router: Router, mut stop: watch::Receiver<bool>) {
        let desk = Desk {
            name: self.name,
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
    name: &'static str,
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
                Err(error) => pause(self.name, &error).await,
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
                Err(error) => pause(self.name, &error).await,
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
                connections.spawn(self.clone().converse(stream, way, place));
            }
            Err(_) => {
                let name = self.name;
                tracing::warn!(
                    "{name}: {CONNECTIONS_MAX} connections are open; one more was closed"
                );
            }
        }
    }

    async fn converse<S>(mut self, stream: S, way: Way, _place: OwnedSemaphorePermit)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = TowerToHyperService::new(self.router.layer(Extension(way)));
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
                _ = self.stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
            }
            connection.await
        });
        if let Ok(Err(error)) = ended.await {
            tracing::debug!(%error, "{}: a connection ended", self.name);
        }
    }
}

async fn pause(name: &str, error: &io::Error) {
    tracing::warn!(%error, "{name}: a connection could not be accepted");
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
