//! Datagrams between the thread that reads them and the thread that counts them: bounded in octets,
//! and the one who puts never waits for the one who takes.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Datagrams one after another, in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    octets: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Datagrams {
    /// None yet, with room for so many octets.
    pub(super) fn with_room(octets: usize) -> Self {
        Self {
            octets: Vec::with_capacity(octets),
            ends: Vec::new(),
        }
    }

    /// The octets, for a read to be appended to; what is appended becomes a datagram by
    /// [`end_one`](Self::end_one).
    pub(super) const fn octets_mut(&mut self) -> &mut Vec<u8> {
        &mut self.octets
    }

    /// What was appended since the last one is a datagram, of which at most so many octets stay.
    pub(super) fn end_one(&mut self, octets_max: usize) {
        let begin = self.ends.last().copied().unwrap_or(0);
        self.octets.truncate(begin.saturating_add(octets_max));
        self.ends.push(self.octets.len());
    }

    pub(super) fn push(&mut self, datagram: &[u8]) {
        self.octets.extend_from_slice(datagram);
        self.ends.push(self.octets.len());
    }

    pub(super) fn clear(&mut self) {
        self.octets.clear();
        self.ends.clear();
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many octets can be appended without new memory.
    pub(super) const fn room(&self) -> usize {
        self.octets.capacity() - self.octets.len()
    }

    /// Each of them, in the order in which they came.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut begin = 0;
        self.ends.iter().map(move |end| {
            let datagram = self.octets.get(begin..*end).unwrap_or_default();
            begin = *end;
            datagram
        })
    }

    /// What they take of the queue's bound.
    fn weight(&self) -> usize {
        self.octets.len() + self.len() * size_of::<usize>()
    }
}

/// The queue.
#[derive(Debug)]
pub(super) struct DatagramQueue {
    state: Mutex<State>,
    arrived: Condvar,
    weight_max: usize,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Datagrams>,
    /// An emptied piece of memory, to be filled again.
    spare: Option<Datagrams>,
    /// Of all that waits and of what is being counted.
    weight: usize,
    taker: Taker,
    /// Nothing more will come.
    closed: bool,
}

/// What the one who takes is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Taker {
    /// It counts, and looks here when it is done.
    #[default]
    Busy,
    /// It waits for the first.
    Idle,
    /// The first is there, and it lets more come.
    Gathering,
}

/// How long more are let come after the first. To be woken for each costs several times what it takes
/// to count it, and nobody waits for that.
const GATHER: Duration = Duration::from_millis(100);

/// How many octets are handed on together at most. What is being counted holds its place until all of
/// it is counted, so this is a small part of the smallest bound, one MiB.
const PIECE_OCTETS_MAX: usize = 128 * 1024;

impl DatagramQueue {
    /// An empty one for so many octets, with what it takes to tell datagrams apart.
    pub(super) fn new(octets_max: usize) -> Self {
        Self {
            state: Mutex::default(),
            arrived: Condvar::new(),
            weight_max: octets_max,
        }
    }

    /// Puts these in and leaves none behind. How many found no room and are lost.
    pub(super) fn put(&self, datagrams: &mut Datagrams) -> usize {
        if datagrams.len() == 0 {
            return 0;
        }
        let mut lost = 0;
        let mut state = self.lock();
        for datagram in datagrams.iter() {
            lost += usize::from(!state.put(datagram, self.weight_max));
        }
        let wake = match state.taker {
            Taker::Busy => false,
            Taker::Idle => !state.waiting.is_empty(),
            Taker::Gathering => state.weight > self.weight_max / 2,
        };
        if wake {
            state.taker = Taker::Busy;
        }
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        datagrams.clear();
        lost
    }

    /// Takes what came first; waits where there is nothing, and then a moment for more. `None` when
    /// nothing more will come.
    pub(super) fn take(&self) -> Option<Datagrams> {
        let mut state = self.lock();
        if state.waiting.is_empty() && !state.closed {
            state.taker = Taker::Idle;
            let nothing = |state: &mut State| state.waiting.is_empty() && !state.closed;
            state = self
                .arrived
                .wait_while(state, nothing)
                .unwrap_or_else(PoisonError::into_inner);
            state.taker = Taker::Gathering;
            let few = |state: &mut State| state.taker == Taker::Gathering && !state.closed;
            (state, _) = self
                .arrived
                .wait_timeout_while(state, GATHER, few)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.taker = Taker::Busy;
        state.waiting.pop_front()
    }

    /// Gives back what was taken and is counted, and takes what is there already.
    pub(super) fn take_next(&self, counted: Datagrams) -> Option<Datagrams> {
        let mut state = self.lock();
        state.weight = state.weight.saturating_sub(counted.weight());
        // The memory of a burst of long ones goes.
        if counted.octets.capacity() <= 2 * PIECE_OCTETS_MAX {
            let mut counted = counted;
            counted.clear();
            state.spare = Some(counted);
        }
        state.waiting.pop_front()
    }

    /// Nothing more will come: who takes gets what there is, and then the end.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    /// The state is whole at every moment, whatever a thread died of.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether there was room.
    fn put(&mut self, datagram: &[u8], weight_max: usize) -> bool {
        let weight = self.weight + datagram.len() + size_of::<usize>();
        if weight > weight_max {
            return false;
        }
        self.weight = weight;
        match self.waiting.back_mut() {
            Some(last) if last.octets.len() < PIECE_OCTETS_MAX => last.push(datagram),
            _ => {
                let mut piece = self.spare.take().unwrap_or_default();
                piece.push(datagram);
                self.waiting.push_back(piece);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn datagrams(texts: &[&[u8]]) -> Datagrams {
        let mut all = Datagrams::default();
        texts.iter().for_each(|text| all.push(text));
        all
    }

    #[test]
    fn what_is_put_is_taken_in_its_order_and_then_comes_the_end() {
        let queue = DatagramQueue::new(1 << 20);
        let texts: [&[u8]; 3] = [b"one", b"", b"three"];
        let mut given = datagrams(&texts);
        assert_eq!(queue.put(&mut given), 0);
        assert_eq!((given.len(), queue.put(&mut given)), (0, 0));
        let first = queue.take().unwrap();
        assert_eq!(first.iter().collect::<Vec<_>>(), texts);
        queue.put(&mut datagrams(&[b"four"]));
        queue.close();
        let second = queue.take_next(first).unwrap();
        assert_eq!(second.iter().collect::<Vec<_>>(), [b"four"]);
        assert!(queue.take_next(second).is_none());
        assert!(queue.take().is_none());
    }

    #[test]
    fn what_finds_no_room_is_lost_until_what_was_taken_is_counted() {
        let queue = DatagramQueue::new(3 * (100 + size_of::<usize>()));
        let one: &[u8] = &[7; 100];
        assert_eq!(queue.put(&mut datagrams(&[one; 5])), 2);
        let taken = queue.take().unwrap();
        assert_eq!(taken.len(), 3);
        assert_eq!(queue.put(&mut datagrams(&[one])), 1);
        assert!(queue.take_next(taken).is_none());
        assert_eq!(queue.put(&mut datagrams(&[one; 4])), 1);
    }

    #[test]
    fn a_long_queue_comes_in_pieces() {
        let queue = DatagramQueue::new(16 << 20);
        let one = vec![7; 1_024];
        for _ in 0..10 {
            queue.put(&mut datagrams(&[&one[..]; 100]));
        }
        queue.close();
        let (mut taken, mut count) = (queue.take(), 0);
        while let Some(piece) = taken {
            assert!(piece.octets.len() <= PIECE_OCTETS_MAX + one.len());
            count += piece.len();
            taken = queue.take_next(piece);
        }
        assert_eq!(count, 1_000);
    }

    #[test]
    fn a_datagram_that_is_too_long_is_cut() {
        let mut all = Datagrams::with_room(64);
        all.octets_mut().extend_from_slice(b"short");
        all.end_one(6);
        all.octets_mut().extend_from_slice(b"much too long");
        all.end_one(6);
        all.end_one(6);
        let expected: [&[u8]; 3] = [b"short", b"much t", b""];
        assert_eq!(all.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn one_who_waits_is_woken() {
        let queue = Arc::new(DatagramQueue::new(1 << 20));
        let taking = Arc::clone(&queue);
        let taker = std::thread::spawn(move || {
            let mut count = 0;
            while let Some(mut piece) = taking.take() {
                count += piece.len();
                while let Some(next) = taking.take_next(piece) {
                    count += next.len();
                    piece = next;
                }
            }
            count
        });
        for _ in 0..10_000 {
            assert_eq!(queue.put(&mut datagrams(&[b"x"])), 0);
        }
        queue.close();
        assert_eq!(taker.join().unwrap(), 10_000);
    }
}
