//! The thread that reads datagrams out of the kernel, and nothing else: no parsing, no disk, no
//! waiting for anybody. While it is busy the kernel's short queue fills, and what finds that full is
//! lost for good.

use std::{
    io,
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{
    buffer::spare_capacity,
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{RecvFlags, recv},
};

use super::{
    datagram_queue::{DatagramQueue, Datagrams},
    tlsrpt_datagram::DATAGRAM_OCTETS_MAX,
};
use crate::{net::datagram_socket::BoundDatagram, observe::Counters};

/// What the thread works with.
pub(super) struct Reading {
    pub(super) socket: BoundDatagram,
    pub(super) stopping: Stopping,
    pub(super) queue: Closing,
    pub(super) counters: Arc<Counters>,
}

/// A queue that is closed when this goes: whoever takes from it must not wait for one that is dead.
pub(super) struct Closing(pub(super) Arc<DatagramQueue>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Tells the thread to stop, at the latest when it is dropped.
pub(super) struct Stop {
    told: Arc<AtomicBool>,
    /// Its end wakes a thread that waits.
    _wake: UnixStream,
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.told.store(true, Ordering::Release);
    }
}

/// How the thread hears of it.
pub(super) struct Stopping {
    told: Arc<AtomicBool>,
    woken: UnixStream,
}

/// Both ends of it.
///
/// # Errors
/// When the system gives no sockets.
pub(super) fn stop() -> io::Result<(Stop, Stopping)> {
    let (wake, woken) = UnixStream::pair()?;
    let told = Arc::new(AtomicBool::new(false));
    let stop = Stop {
        told: Arc::clone(&told),
        _wake: wake,
    };
    Ok((stop, Stopping { told, woken }))
}

/// How many datagrams are handed on together at most. The other thread can begin with them.
const BATCH_DATAGRAMS_MAX: usize = 64;

/// Room for many usual datagrams and one of the longest, with an octet to see that one is longer.
const BATCH_OCTETS_MAX: usize = 4 * (DATAGRAM_OCTETS_MAX + 1);

/// How many batches are read after the stop from a socket that systemd keeps. Others may go on sending,
/// and what is not read is the next daemon's.
const LAST_BATCHES_MAX: usize = 64;

/// How long it waits where the system does not let it read.
const PAUSE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// How reading went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    /// The batch is full, and there may be more.
    Full,
    /// There is nothing more at the moment.
    Drained,
    /// The system refuses.
    Refused(Errno),
}

impl Reading {
    /// Reads until it is told to stop, and then what was sent before.
    pub(super) fn run(mut self) {
        let mut batch = Datagrams::with_room(BATCH_OCTETS_MAX);
        while !self.stopping.told.load(Ordering::Acquire) {
            let read = self.read(&mut batch);
            self.hand_on(&mut batch);
            match read {
                Read::Full => {}
                Read::Drained => self.wait(),
                Read::Refused(error) => self.pause(error),
            }
        }
        self.read_the_last(&mut batch);
    }

    /// Reads what is there, without waiting.
    fn read(&self, batch: &mut Datagrams) -> Read {
        let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
        while batch.len() < BATCH_DATAGRAMS_MAX && batch.room() > DATAGRAM_OCTETS_MAX {
            match recv(
                self.socket.socket(),
                spare_capacity(batch.octets_mut()),
                flags,
            ) {
                Ok(_) => batch.end_one(DATAGRAM_OCTETS_MAX + 1),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Read::Drained,
                Err(error) => return Read::Refused(error),
            }
        }
        Read::Full
    }

    fn hand_on(&self, batch: &mut Datagrams) {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        self.counters.datagrams.add(count(batch.len()));
        let lost = self.queue.0.put(batch);
        self.counters.datagrams_dropped.add(count(lost));
    }

    /// Waits for a datagram or the stop.
    fn wait(&self) {
        let mut files = [
            PollFd::new(self.socket.socket(), PollFlags::IN),
            PollFd::new(&self.stopping.woken, PollFlags::IN),
        ];
        // An error, by a signal say, makes it look once more, and that is all.
        if let Err(error) = poll(&mut files, None)
            && error != Errno::INTR
        {
            self.pause(error);
        }
    }

    fn pause(&self, error: Errno) {
        tracing::warn!(%error, "the datagram door cannot read; it tries again");
        let mut files = [PollFd::new(&self.stopping.woken, PollFlags::IN)];
        let _stopped = poll(&mut files, Some(&PAUSE)).is_ok();
    }

    /// Reads what was sent before the stop.
    fn read_the_last(&mut self, batch: &mut Datagrams) {
        let batches_max = if self.socket.is_inherited() {
            LAST_BATCHES_MAX
        } else {
            // From now on senders are told that nobody reads, so that nothing comes after the last.
            self.socket.withdraw();
            if let Err(error) = self.socket.socket().shutdown(Shutdown::Read) {
                tracing::warn!(%error, "the last datagrams may be lost");
            }
            usize::MAX
        };
        for _ in 0..batches_max {
            let read = self.read(batch);
            self.hand_on(batch);
            match read {
                Read::Full => {}
                Read::Drained => return,
                Read::Refused(error) => {
                    tracing::warn!(%error, "the last datagrams cannot be read");
                    return;
                }
            }
        }
    }
}
