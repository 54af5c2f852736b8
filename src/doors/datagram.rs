//! The datagram door: a unix datagram socket on which Postfix 3.10 and later tells through libtlsrpt
//! how each session went (`smtp_tlsrpt_socket_name`).
//!
//! Whoever tells does not wait and does not try again, and the kernel keeps few datagrams
//! (`net.unix.max_dgram_qlen`). So one thread does nothing but read, into a bounded
//! queue (`datagram_reading`, `datagram_queue`), and another makes sessions of what was read
//! (`datagram_counting`, [`tlsrpt_datagram`](super::tlsrpt_datagram)).
//!
//! Nothing else makes the kernel keep more: the queue's length is fixed when a socket is made, and the
//! octets that wait are charged to the sender's buffer, not to ours (`SO_RCVBUF` means nothing here).

use std::{io, sync::Arc, thread::JoinHandle};

use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
};

use super::{
    datagram_counting::Counting,
    datagram_queue::DatagramQueue,
    datagram_reading::{Closing, Reading, Stop, stop},
};
use crate::{
    config::{TlsrptSocketConfig, kind::file_mode},
    hook::AsyncHook,
    net::activation::Activated,
    net::datagram_socket::{Access, BoundDatagram, Place, SocketError},
    observe::Counters,
};

/// A datagram socket that MTAs can tell outcomes on. [`serve`](Self::serve) it; what is told before
/// waits in the kernel. Dropped, it closes and takes its file away.
#[derive(Debug)]
pub struct DatagramDoor {
    socket: BoundDatagram,
    queue: DatagramQueue,
    counters: Arc<Counters>,
}

/// Why the socket could not be made. All are for the operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatagramDoorError {
    /// `tlsrpt_socket.mode` is no file mode.
    #[error("tlsrpt_socket.mode: {0}")]
    Mode(String),
    /// It cannot be made at `tlsrpt_socket.path`.
    #[error("tlsrpt_socket.path: {0}")]
    Socket(#[from] SocketError),
}

impl DatagramDoor {
    /// Makes the socket, or takes the one that systemd passed. `None` where the settings name none, or
    /// where Postfix's queue directory, in which it would be, is missing.
    ///
    /// # Errors
    /// When the mode is none, the path is taken, or the system refuses.
    pub fn open(
        config: &TlsrptSocketConfig,
        activated: &mut Activated,
        counters: Arc<Counters>,
    ) -> Result<Option<Self>, DatagramDoorError> {
        if config.path.as_os_str().is_empty() {
            return Ok(None);
        }
        let mode = file_mode(&config.mode).map_err(DatagramDoorError::Mode)?;
        // Before the socket is made, for it keeps the length of the queue that it is made with.
        let short = short_queue();
        let access = Access::mode(mode).for_group(&config.group);
        let place: Place<_> = BoundDatagram::open(&config.path, &access, activated)?;
        let default = TlsrptSocketConfig::default().path;
        let socket = place.or_say("tlsrpt_socket.path", &config.path, &default);
        let Some(socket) = socket else {
            return Ok(None);
        };
        // Who has no Postfix need not care.
        if let Some(length) = short {
            warn_of_short_queue(length);
        }
        Ok(Some(Self {
            socket,
            queue: DatagramQueue::new(config.waiting_mib_max.saturating_mul(1024 * 1024)),
            counters,
        }))
    }

    /// Tells `hook` what MTAs tell, until `shutdown` turns true (or its sender is gone); then also what
    /// was sent before, and takes the socket's file away if it made that.
    pub async fn serve(self, hook: Arc<dyn AsyncHook>, mut shutdown: watch::Receiver<bool>) {
        let path = self.socket.path().to_owned();
        let threads = match Threads::start(self, hook) {
            Ok(threads) => threads,
            Err(error) => {
                tracing::error!(%error, "the datagram door has no threads");
                return;
            }
        };
        tracing::info!(path = %path.display(), "the datagram door is open");
        let Threads {
            stop,
            reader,
            counting,
            mut ended,
        } = threads;
        tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => {}
            // Neither ends before it is told to, except by a defect.
            _ = ended.recv() => {}
        }
        drop(stop);
        let joined = tokio::task::spawn_blocking(move || {
            for (thread, what) in [(reader, "reads"), (counting, "counts")] {
                if thread.join().is_err() {
                    tracing::error!("the thread that {what} datagrams died of a defect");
                }
            }
        });
        if let Err(error) = joined.await {
            tracing::error!(%error, "the datagram door did not end in good order");
        }
        tracing::info!("the datagram door is closed");
    }
}

/// Where Linux has how many datagrams a socket keeps.
const QUEUE_LENGTH: &str = "/proc/sys/net/unix/max_dgram_qlen";

/// How many it should keep: what systemd sets at boot.
const QUEUE_LENGTH_MIN: u64 = 512;

/// How many datagrams the kernel keeps for a socket that is made now, where that is too few.
fn short_queue() -> Option<u64> {
    match std::fs::read_to_string(QUEUE_LENGTH) {
        Ok(text) => too_short(&text),
        Err(error) => {
            tracing::debug!(%error, "how many datagrams the kernel keeps is not known: {QUEUE_LENGTH}");
            None
        }
    }
}

fn warn_of_short_queue(length: u64) {
    tracing::warn!(
        "net.unix.max_dgram_qlen is {length}: of more outcomes told at once the kernel keeps no more \
         than that, and the rest is lost. Raise it with sysctl -w \
         net.unix.max_dgram_qlen={QUEUE_LENGTH_MIN}, keep it raised with the line \
         net.unix.max_dgram_qlen={QUEUE_LENGTH_MIN} in /etc/sysctl.d/sealpost.conf, then restart \
         sealpost, or its socket unit where systemd makes the socket: a socket keeps the length that \
         it was made with"
    );
}

fn too_short(text: &str) -> Option<u64> {
    let length = text.trim().parse().ok()?;
    (length < QUEUE_LENGTH_MIN).then_some(length)
}

/// The two threads of the door.
struct Threads {
    stop: Stop,
    reader: JoinHandle<()>,
    counting: JoinHandle<()>,
    /// Ends when one of them does.
    ended: mpsc::Receiver<()>,
}

/// Tells that its thread has ended, also by a panic.
struct Alive(mpsc::Sender<()>);

impl Drop for Alive {
    fn drop(&mut self) {
        // Full: the other thread has ended as well. Closed: nobody asks any more.
        let _told = self.0.try_send(()).is_ok();
    }
}

impl Threads {
    fn start(door: DatagramDoor, hook: Arc<dyn AsyncHook>) -> io::Result<Self> {
        let DatagramDoor {
            socket,
            queue,
            counters,
        } = door;
        let queue = Arc::new(queue);
        let (stop, stopping) = stop()?;
        let (alive, ended) = mpsc::channel(1);
        // Started or not, it closes the queue when it ends, and so the other thread ends.
        let reading = Reading {
            socket,
            stopping,
            queue: Closing(Arc::clone(&queue)),
            counters: Arc::clone(&counters),
        };
        let counting = {
            let alive = Alive(alive.clone());
            let counting = Counting::new(hook, counters);
            // What the hook starts is started on the daemon's runtime.
            let runtime = Handle::current();
            thread("datagrams-count", move || {
                let _alive = alive;
                let _inside = runtime.enter();
                counting.run(&queue);
            })?
        };
        let alive = Alive(alive);
        let reader = thread("datagrams-read", move || {
            let _alive = alive;
            reading.run();
        })?;
        Ok(Self {
            stop,
            reader,
            counting,
            ended,
        })
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_queue_is_long_enough_from_512_on() {
        for (text, short) in [
            ("10\n", Some(10)),
            ("511\n", Some(511)),
            ("512\n", None),
            ("4096", None),
            ("", None),
            ("many", None),
        ] {
            assert_eq!(too_short(text), short, "{text}");
        }
    }
}
