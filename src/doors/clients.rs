//! The clients of a door that listens on a stream socket: how they are let in, and how the door
//! closes in good order.

use std::{io, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};

use crate::net::unix_socket::BoundSocket;

/// A socket that clients come to. Dropped, it lets nobody in any more.
pub(super) trait Listener: Send + Sync + 'static {
    /// What a client speaks on.
    type Stream: Send;

    /// Waits for the next client.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listener for BoundSocket {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        self.listener().accept().await.map(|(stream, _)| stream)
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = Self::accept(self).await?;
        // A reply is one write, and is waited for.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Lets clients in until `shutdown` turns true (or its sender is gone), then nobody any more, and
/// waits for those that are in, `drain` at most. `admit` spawns what speaks with a client, or turns
/// it away; `door` is what the log calls all of this.
pub(super) async fn serve<L: Listener>(
    listener: L,
    door: &str,
    drain: Duration,
    shutdown: &watch::Receiver<bool>,
    mut admit: impl FnMut(L::Stream, &mut JoinSet<()>),
) {
    let mut clients = JoinSet::new();
    let mut stopping = shutdown.clone();
    let accepting = async {
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    while let Some(ended) = clients.try_join_next() {
                        log_defect(door, &ended);
                    }
                    match accepted {
                        Ok(stream) => admit(stream, &mut clients),
                        Err(error) => {
                            tracing::warn!(%error, "{door} could not accept a client");
                            // Out of file descriptors, as a rule: asking again at once would spin.
                            sleep(Duration::from_millis(100)).await;
                        }
                    }
                }
                Some(ended) = clients.join_next() => log_defect(door, &ended),
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        _ = stopping.wait_for(|stop| *stop) => {}
    }
    // Whoever comes now is told by the system that nobody listens; at a socket of systemd's it
    // waits for the next daemon.
    drop(listener);
    let draining = async {
        while let Some(ended) = clients.join_next().await {
            log_defect(door, &ended);
        }
    };
    // No question takes longer; a client that goes on asking must not hold the daemon up.
    if timeout(drain, draining).await.is_err() {
        tracing::warn!("clients of {door} were cut off at shutdown");
    }
}

fn log_defect(door: &str, ended: &Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a client of {door} was dropped by a defect");
    }
}

/// How long a client may take to read an answer once the daemon is stopping. One that reads
/// nothing must not keep the daemon from ending, for meanwhile nobody answers the others.
const TAKEN_WITHIN_AT_SHUTDOWN: Duration = Duration::from_secs(1);

/// Waits until an answer need not be waited for any longer: the client had `patience` to take it, or
/// a moment since the daemon began to stop.
pub(super) async fn out_of_patience(patience: Duration, shutdown: &mut watch::Receiver<bool>) {
    let stopped = async {
        // An error means that the sender is gone, which is a shutdown as well.
        let _stopping = shutdown.wait_for(|stop| *stop).await.is_ok();
        sleep(TAKEN_WITHIN_AT_SHUTDOWN).await;
    };
    tokio::select! {
        () = stopped => {}
        () = sleep(patience) => {}
    }
}
