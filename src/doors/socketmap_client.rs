//! One client of the socketmap.
//!
//! A mail host has many of them, and most ask nothing at a given moment: between two requests a client
//! holds no buffer, only what has come of a request that is not whole yet. Requests that came
//! together are answered together, in their order.

use std::{
    collections::HashSet,
    future::poll_fn,
    hash::BuildHasher as _,
    mem::{self, MaybeUninit},
    os::fd::AsFd,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustix::net::{RecvFlags, recv};
use sealpost_plugin_api::Query;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    sync::watch,
    time::sleep,
};

use super::{
    clients,
    netstring::{self, Malformed},
    socketmap::Desk,
    socketmap_reply::{TellsPostfix, misconfigured, not_found},
    socketmap_request::{self, MapName, REQUEST_OCTETS_MAX, UnknownMap},
    socketmap_worded::Worded,
};
use crate::{hook::Answer, policy::PolicyDomain};

/// What a client speaks on.
pub(super) trait Stream: AsyncRead + AsyncWrite + AsFd + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + AsFd + Unpin + Send + 'static> Stream for S {}

/// How much is read at once.
const READ_OCTETS: usize = 16_384;

/// Replies are sent when they have come to this, before more requests are looked at.
const REPLIES_OCTETS: usize = 65_536;

/// A client of which so many domains are known is not counted as asking about another: what is
/// inferred from questions must not be more than there was.
const DOMAINS_MAX: usize = 1_024;

/// An idle client is looked at so often before it is let go.
const QUIET_LOOKS: u32 = 4;

/// A client, and what is known of it.
pub(super) struct Client<S> {
    stream: S,
    desk: Arc<Desk>,
    /// What has arrived and was not answered.
    arrived: Vec<u8>,
    /// The domains it has asked about, by their hashes.
    asked: HashSet<u64>,
    /// It has been told that it asks for a map that we do not have.
    misconfigured: bool,
}

/// What comes of that which has arrived.
enum Step {
    /// More must arrive.
    Hear,
    /// Replies must leave first.
    Send,
    /// A question that cannot be answered at once.
    Ask(MapName, PolicyDomain),
    /// No request can be found in it any more.
    Part(Malformed),
    /// The client has gone.
    Gone,
    /// The daemon stops.
    Stop,
}

impl<S: Stream> Client<S> {
    pub(super) fn new(stream: S, desk: Arc<Desk>) -> Self {
        Self {
            stream,
            desk,
            arrived: Vec::new(),
            asked: HashSet::new(),
            misconfigured: false,
        }
    }

    /// Answers it until it goes, is let go, or the daemon stops.
    pub(super) async fn speak(mut self, shutdown: watch::Receiver<bool>) {
        let mut stopping = shutdown.clone();
        let mut stopped = pin!(stopping.wait_for(|stop| *stop));
        let mut look = pin!(sleep(self.desk.idle / QUIET_LOOKS));
        let mut quiet_looks = 0;
        let mut replies = Vec::new();
        let mut stop = false;
        let mut step = Step::Hear;
        loop {
            if !replies.is_empty() {
                quiet_looks = 0;
                if !self.send(&replies, &shutdown).await {
                    tracing::debug!("a client of the socketmap did not take its replies");
                    return;
                }
                replies = Vec::new();
            }
            step = match step {
                // The value only ever turns true.
                Step::Hear if stop || shutdown.has_changed().unwrap_or(true) => {
                    self.hear_what_is_here(&mut replies)
                }
                Step::Hear => {
                    let heard = poll_fn(|context| {
                        if let Poll::Ready(step) = self.hear(context, &mut replies) {
                            return Poll::Ready(Some(step));
                        }
                        if stopped.as_mut().poll(context).is_ready() {
                            return Poll::Ready(Some(Step::Stop));
                        }
                        look.as_mut().poll(context).map(|()| None)
                    });
                    match heard.await {
                        Some(step) => step,
                        None if quiet_looks + 1 >= QUIET_LOOKS => return,
                        None => {
                            quiet_looks += 1;
                            look.set(sleep(self.desk.idle / QUIET_LOOKS));
                            Step::Hear
                        }
                    }
                }
                Step::Send => self.answer(&[], &mut replies),
                Step::Ask(map, domain) => {
                    self.ask(map, &domain, &mut replies).await;
                    self.answer(&[], &mut replies)
                }
                Step::Stop => {
                    stop = true;
                    Step::Hear
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

    /// Reads what the client says and answers it.
    fn hear(&mut self, context: &mut Context<'_>, replies: &mut Vec<u8>) -> Poll<Step> {
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
        Poll::Ready(self.answer(heard.filled(), replies))
    }

    /// At shutdown: what is here already, or the end.
    fn hear_what_is_here(&mut self, replies: &mut Vec<u8>) -> Step {
        let mut room = [const { MaybeUninit::uninit() }; READ_OCTETS];
        // Past the runtime, which may not have heard yet that something is here.
        match recv(self.stream.as_fd(), &mut room, RecvFlags::DONTWAIT) {
            Ok(((heard, _), 1..)) => self.answer(heard, replies),
            Ok(_) | Err(_) => Step::Gone,
        }
    }

    /// Answers every whole request of what has arrived, as far as that can be done at once.
    fn answer(&mut self, heard: &[u8], replies: &mut Vec<u8>) -> Step {
        let mut before = mem::take(&mut self.arrived);
        let mut rest = if before.is_empty() {
            heard
        } else {
            before.extend_from_slice(heard);
            before.as_slice()
        };
        let step = loop {
            if replies.len() >= REPLIES_OCTETS {
                break Step::Send;
            }
            match netstring::first(rest, REQUEST_OCTETS_MAX) {
                Ok(Some((content, after))) => {
                    rest = after;
                    if let Some((map, domain)) = self.answer_at_once(content, replies) {
                        break Step::Ask(map, domain);
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
    fn answer_at_once(
        &mut self,
        content: &[u8],
        replies: &mut Vec<u8>,
    ) -> Option<(MapName, PolicyDomain)> {
        self.desk.counters.socketmap_queries.count();
        let (map, key) = match socketmap_request::parse(content) {
            Ok(request) => request,
            Err(problem) => {
                self.complain(problem, replies);
                return None;
            }
        };
        let Some(domain) = socketmap_request::policy_domain(key) else {
            replies.extend_from_slice(&netstring::of(&not_found().text));
            return None;
        };
        let query = Query::new(domain.as_str()).with_deadline(self.desk.deadline);
        let Some(answer) = self.desk.hook.policy_at_once(&query) else {
            return Some((map, domain));
        };
        let worded = self.desk.wordings.of(&answer, map);
        self.give(&answer, &worded, &domain, replies);
        None
    }

    /// Answers a question that takes its time.
    async fn ask(&mut self, map: MapName, domain: &PolicyDomain, replies: &mut Vec<u8>) {
        let query = Query::new(domain.as_str()).with_deadline(self.desk.deadline);
        let answer = self.desk.hook.policy(query).await;
        self.give(&answer, &Worded::of(&answer, map), domain, replies);
    }

    fn give(
        &mut self,
        answer: &Arc<Answer>,
        worded: &Worded,
        domain: &PolicyDomain,
        replies: &mut Vec<u8>,
    ) {
        replies.extend_from_slice(&worded.octets);
        if worded.told == TellsPostfix::ToWait {
            self.desk.counters.socketmap_deferred.count();
            tracing::warn!(
                %domain,
                reason = answer.requirement.reason,
                reply = %String::from_utf8_lossy(&worded.octets),
                "mail must wait: Postfix calls it a client TLS configuration problem"
            );
        }
        if let Some(asker) = worded.asker
            && self.asked.len() < DOMAINS_MAX
            && self.asked.insert(self.desk.hasher.hash_one(domain))
        {
            self.desk.hook.answered(answer, asker);
        }
    }

    fn complain(&mut self, problem: UnknownMap, replies: &mut Vec<u8>) {
        self.desk.counters.socketmap_deferred.count();
        // One client with a broken configuration must not fill the log.
        if !mem::replace(&mut self.misconfigured, true) {
            tracing::warn!(%problem, "a client of the socketmap asks for a map that is none");
        }
        let reply = misconfigured(&problem.to_string());
        replies.extend_from_slice(&netstring::of(&reply.text));
    }

    /// Sends replies; gives whether the client took them.
    async fn send(&mut self, replies: &[u8], shutdown: &watch::Receiver<bool>) -> bool {
        // As a rule there is room for all of it, and nothing is to be waited for.
        let sent = poll_fn(|context| {
            Poll::Ready(
                match Pin::new(&mut self.stream).poll_write(context, replies) {
                    Poll::Ready(sent) => sent,
                    Poll::Pending => Ok(0),
                },
            )
        });
        let Ok(sent) = sent.await else {
            return false;
        };
        let unsent = replies.get(sent..).unwrap_or_default();
        if unsent.is_empty() {
            return true;
        }
        let mut shutdown = shutdown.clone();
        tokio::select! {
            biased;
            written = self.stream.write_all(unsent) => written.is_ok(),
            () = clients::out_of_patience(self.desk.idle, &mut shutdown) => false,
        }
    }
}
