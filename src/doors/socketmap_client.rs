//! One client of the socketmap.
//!
//! A mail host has many of them, and most ask nothing at a given moment: between two requests a client
//! holds no buffer, only what has come of a request that is not whole yet. Requests that came
//! together are answered together, in their order.

use std::{
    cell::Cell,
    collections::HashMap,
    future::poll_fn,
    hash::{BuildHasher as _, BuildHasherDefault, Hash},
    io,
    mem::{self, MaybeUninit},
    net::IpAddr,
    os::fd::AsFd,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::net::{RecvFlags, recv};
use sealpost_plugin_api::Query;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{TcpStream, UnixStream},
    sync::watch,
    time::{Sleep, sleep},
};

use super::{
    clients,
    netstring::{self, Malformed},
    socketmap::Desk,
    socketmap_reply::{Asked, TellsPostfix, misconfigured, not_found},
    socketmap_request::{self, REQUEST_OCTETS_MAX, UnknownMap},
    socketmap_worded::Worded,
};
use crate::{
    hook::{Answer, Asker, Said},
    quick_hash::QuickHasher,
};

/// What a client speaks on.
pub(super) trait Stream: AsyncRead + AsyncWrite + AsFd + Unpin + Send + 'static {
    /// Where the client is.
    fn place(&self) -> Place;
}

/// Where a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On this machine, with its resolvers.
    Here,
    /// On another one.
    Elsewhere,
}

impl Stream for UnixStream {
    fn place(&self) -> Place {
        Place::Here
    }
}

impl Stream for TcpStream {
    fn place(&self) -> Place {
        match (self.peer_addr(), self.local_addr()) {
            (Ok(client), Ok(ours)) => Place::of(client.ip(), ours.ip()),
            _ => Place::Elsewhere,
        }
    }
}

impl Place {
    /// Of a client with this address, which came to this one of ours.
    fn of(client: IpAddr, ours: IpAddr) -> Self {
        let client = client.to_canonical();
        match client.is_loopback() || client == ours.to_canonical() {
            true => Self::Here,
            false => Self::Elsewhere,
        }
    }
}

/// How much is read at once.
const READ_OCTETS: usize = 16_384;

/// Replies are sent when they have come to this, before more requests are looked at.
const REPLIES_OCTETS: usize = 65_536;

/// Of a client of which so many domains are known, no question about another counts as the first:
/// what is inferred from questions must not be more than there was.
const DOMAINS_MAX: usize = 1_024;

/// An idle client is looked at so often before it is let go.
const QUIET_LOOKS: u32 = 4;

/// A client, and what is known of it.
pub(super) struct Client<S> {
    stream: S,
    desk: Arc<Desk>,
    /// What has arrived and was not answered.
    arrived: Vec<u8>,
    /// What has not been sent.
    replies: Vec<u8>,
    /// The domains it has asked about, each with how it was last answered, by their hashes. What has a
    /// hash that another has does not count as the first, which is the safe side.
    asked: HashMap<u64, u64, BuildHasherDefault<QuickHasher>>,
    /// It has been told that it asks for a map that we do not have.
    misconfigured: bool,
}

/// What comes of that which has arrived.
enum Step {
    /// More must arrive.
    Hear,
    /// Replies must leave first.
    Send,
    /// A question that cannot be answered at once, about the domain of this name.
    Ask(Asked, String),
    /// No request can be found in it any more.
    Part(Malformed),
    /// The client has gone.
    Gone,
}

thread_local! {
    /// Where replies are gathered: most leave at once, and then no client need own the room.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl<S: Stream> Client<S> {
    pub(super) fn new(stream: S, desk: Arc<Desk>) -> Self {
        Self {
            stream,
            desk,
            arrived: Vec::new(),
            replies: Vec::new(),
            asked: HashMap::default(),
            misconfigured: false,
        }
    }

    /// Answers it until it goes, is let go, or the daemon stops.
    pub(super) async fn speak(mut self, shutdown: watch::Receiver<bool>) {
        let mut stopping = shutdown.clone();
        let stopped = pin!(stopping.wait_for(|stop| *stop));
        let quiet = pin!(sleep(self.desk.idle / QUIET_LOOKS));
        let mut others = Others {
            stopped,
            quiet,
            asked: false,
            stop: false,
            looks: 0,
        };
        let mut step = Step::Hear;
        loop {
            if !self.replies.is_empty() && !self.send(&shutdown).await {
                tracing::debug!("a client of the socketmap did not take its replies");
                return;
            }
            step = match step {
                // It only ever turns true. An error means that the sender is gone, a shutdown too.
                Step::Hear if others.stop || shutdown.has_changed().unwrap_or(true) => {
                    self.hear_what_is_here()
                }
                Step::Hear => match self.hear(&mut others).await {
                    Some(step) => step,
                    None if others.looks >= QUIET_LOOKS => return,
                    None => {
                        others.look_again_in(self.desk.idle / QUIET_LOOKS);
                        Step::Hear
                    }
                },
                Step::Send => self.answer(&[]),
                Step::Ask(asked, domain) => {
                    self.ask(asked, &domain).await;
                    self.answer(&[])
                }
                Step::Part(problem) => {
                    self.desk.counters.socketmap_malformed.count();
                    tracing::warn!(%problem, "a client of the socketmap was not understood and let go");
                    return;
                }
                Step::Gone => return,
            };
        }
    }

    /// Waits for what the client says, and answers it. None when something else has happened: the
    /// daemon stops, or the client was to be looked at.
    async fn hear(&mut self, others: &mut Others<'_, impl Future>) -> Option<Step> {
        let mut woken = false;
        poll_fn(|context| {
            if let Poll::Ready(step) = self.poll_hear(context) {
                // A request that does not end is as if nothing were said.
                if self.arrived.is_empty() {
                    others.looks = 0;
                }
                return Poll::Ready(Some(step));
            }
            // They were asked before, and will wake this task.
            let wait = !mem::replace(&mut woken, true) && others.asked;
            if wait && !others.quiet.is_elapsed() {
                return Poll::Pending;
            }
            others.poll(context).map(|()| None)
        })
        .await
    }

    fn poll_hear(&mut self, context: &mut Context<'_>) -> Poll<Step> {
        // On the stack: the client has nothing of it while it says nothing.
        let mut room = [const { MaybeUninit::uninit() }; READ_OCTETS];
        let mut heard = ReadBuf::uninit(&mut room);
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut heard));
        if let Err(error) = read {
            tracing::debug!(%error, "a client of the socketmap is gone");
            return Poll::Ready(Step::Gone);
        }
        if heard.filled().is_empty() {
            return Poll::Ready(Step::Gone);
        }
        self.replies = ROOM.take();
        let step = self.answer(heard.filled());
        Poll::Ready(match self.send_at_once(context) {
            Ok(()) => step,
            Err(_) => Step::Gone,
        })
    }

    /// Sends what there is room for: as a rule all of it.
    fn send_at_once(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if !self.replies.is_empty()
            && let Poll::Ready(sent) = Pin::new(&mut self.stream).poll_write(context, &self.replies)
        {
            self.replies.drain(..sent?);
        }
        if self.replies.is_empty() {
            let mut room = mem::take(&mut self.replies);
            room.shrink_to(2 * REPLIES_OCTETS);
            ROOM.set(room);
        }
        Ok(())
    }

    /// At shutdown: what is here already, or the end.
    fn hear_what_is_here(&mut self) -> Step {
        let mut room = [const { MaybeUninit::uninit() }; READ_OCTETS];
        // Past the runtime, which may not have heard yet that something is here.
        match recv(self.stream.as_fd(), &mut room, RecvFlags::DONTWAIT) {
            Ok(((heard, _), 1..)) => self.answer(heard),
            Ok(_) | Err(_) => Step::Gone,
        }
    }

    /// Answers every whole request of what has arrived, as far as that can be done at once.
    fn answer(&mut self, heard: &[u8]) -> Step {
        let mut before = mem::take(&mut self.arrived);
        let mut rest = if before.is_empty() {
            heard
        } else {
            before.extend_from_slice(heard);
            before.as_slice()
        };
        let step = loop {
            if self.replies.len() >= REPLIES_OCTETS {
                break Step::Send;
            }
            match netstring::first(rest, REQUEST_OCTETS_MAX) {
                Ok(Some((content, after))) => {
                    rest = after;
                    if let Some((asked, domain)) = self.answer_at_once(content) {
                        break Step::Ask(asked, domain);
                    }
                }
                Ok(None) => break Step::Hear,
                Err(problem) => break Step::Part(problem),
            }
        };
        if !rest.is_empty() {
            self.arrived = rest.to_vec();
        }
        step
    }

    /// Answers one request, or gives back the question that must wait.
    fn answer_at_once(&mut self, content: &[u8]) -> Option<(Asked, String)> {
        self.desk.counters.socketmap_queries.count();
        let (map, key) = match socketmap_request::parse(content) {
            Ok(request) => request,
            Err(problem) => {
                self.complain(problem);
                return None;
            }
        };
        let Some((domain, next_hop)) = socketmap_request::policy_domain(key) else {
            let octets = netstring::of(&not_found().text);
            self.replies.extend_from_slice(&octets);
            return None;
        };
        let asked = Asked {
            map,
            next_hop,
            dane_only: self.desk.dane_only(self.stream.place()),
        };
        let query = Query::new(&domain).with_deadline(self.desk.deadline);
        let at_once = self.desk.hook.policy_at_once(&query, asked.dane_use());
        let Some(answer) = at_once else {
            return Some((asked, domain.into_owned()));
        };
        let worded = self.desk.wordings.of(&answer, asked);
        self.give(&answer, &worded, &domain);
        None
    }

    /// Answers a question that takes its time.
    async fn ask(&mut self, asked: Asked, domain: &str) {
        let query = Query::new(domain).with_deadline(self.desk.deadline);
        let answer = self.desk.hook.policy_of_all(query, asked.dane_use()).await;
        self.give(&answer, &Worded::of(&answer, asked), domain);
    }

    fn give(&mut self, answer: &Arc<Answer>, worded: &Worded, domain: &str) {
        self.replies.extend_from_slice(&worded.octets);
        if worded.told == TellsPostfix::ToWait {
            self.desk.counters.socketmap_deferred.count();
            tracing::warn!(
                %domain,
                reason = worded.reason(),
                "mail must wait: Postfix calls it a client TLS configuration problem"
            );
        }
        let Some(asker) = worded.asker else {
            return;
        };
        if self.is_news(domain, (&answer.requirement.policy, worded.told)) {
            self.desk.hook.answered(answer, asker);
        } else if let Asker::Telling(said) = asker
            // Such an MTA passes over no host, and tells of each.
            && said != Said::Policy
        {
            self.desk.hook.answered(answer, Asker::TellingAgain(said));
        }
    }

    /// Whether it asks about this domain for the first time, or is answered otherwise than the last
    /// time: that is another delivery.
    fn is_news(&mut self, domain: &str, answered: impl Hash) -> bool {
        let hasher = self.asked.hasher();
        let (domain, answered) = (hasher.hash_one(domain), hasher.hash_one(answered));
        if self.asked.len() >= DOMAINS_MAX && !self.asked.contains_key(&domain) {
            return false;
        }
        self.asked.insert(domain, answered) != Some(answered)
    }

    fn complain(&mut self, problem: UnknownMap) {
        self.desk.counters.socketmap_deferred.count();
        // One client with a broken configuration must not fill the log.
        if !mem::replace(&mut self.misconfigured, true) {
            tracing::warn!(%problem, "a client of the socketmap asks for a map that is none");
        }
        let reply = misconfigured(&problem.to_string());
        self.replies.extend_from_slice(&netstring::of(&reply.text));
    }

    /// Sends what has not been sent; gives whether the client took it.
    async fn send(&mut self, shutdown: &watch::Receiver<bool>) -> bool {
        let replies = mem::take(&mut self.replies);
        let mut shutdown = shutdown.clone();
        tokio::select! {
            biased;
            written = self.stream.write_all(&replies) => written.is_ok(),
            () = clients::out_of_patience(self.desk.idle, &mut shutdown) => false,
        }
    }
}

/// What a client is waited with for, besides what it says.
struct Others<'a, Stopped> {
    /// The daemon stops.
    stopped: Pin<&'a mut Stopped>,
    /// It is time to see whether the client says anything at all.
    quiet: Pin<&'a mut Sleep>,
    /// They were asked whether that has happened, and will tell when it does.
    asked: bool,
    /// The daemon has stopped.
    stop: bool,
    /// How often in a row the client was looked at and had said nothing.
    looks: u32,
}

impl<Stopped: Future> Others<'_, Stopped> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.stopped.as_mut().poll(context).is_ready() {
            self.stop = true;
            return Poll::Ready(());
        }
        self.asked = true;
        ready!(self.quiet.as_mut().poll(context));
        self.looks += 1;
        Poll::Ready(())
    }

    fn look_again_in(&mut self, time: Duration) {
        self.quiet.set(sleep(time));
        self.asked = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c17_only_a_client_on_this_machine_has_the_resolvers_that_are_seen() {
        for (client, ours, expected) in [
            ("127.0.0.1", "127.0.0.1", Place::Here),
            ("127.0.0.53", "127.0.0.1", Place::Here),
            ("::1", "::1", Place::Here),
            ("::ffff:127.0.0.1", "::ffff:127.0.0.1", Place::Here),
            ("192.0.2.1", "192.0.2.1", Place::Here),
            ("::ffff:192.0.2.1", "192.0.2.1", Place::Here),
            ("192.0.2.2", "192.0.2.1", Place::Elsewhere),
            ("::ffff:192.0.2.2", "::ffff:192.0.2.1", Place::Elsewhere),
            ("2001:db8::2", "2001:db8::1", Place::Elsewhere),
        ] {
            let of = Place::of(client.parse().unwrap(), ours.parse().unwrap());
            assert_eq!(of, expected, "{client} {ours}");
        }
    }
}
