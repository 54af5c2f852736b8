//! The daemon's end of the control socket.
//!
//! Only root and the daemon's own user may speak here, whatever the file mode says: who can purge
//! policies can take a domain's protection away. Lines, clients and idle time are bounded.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixStream, unix::OwnedWriteHalf},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::timeout,
};

use super::{
    control::{
        AuditQuestion, Control, Depth, EvidenceQuestion, OverrideOrder, OverridesAsked, Replied,
        SecurityQuestion, SessionsQuestion,
    },
    peer,
    protocol::{
        Answer, REQUEST_OCTETS_MAX, Refusal, RefusalKind, ReplyLine, Request, RequestLine, VERSION,
    },
    wire::{
        AlertWay, AlertsTested, Audit, CheckResult, Evidence, Purged, Refreshed, Security,
        SuppressionView,
    },
};
use crate::{
    alert::Rule,
    clock::UtcDay,
    config::OverrideMode,
    net::unix_socket::BoundSocket,
    observe::{audit::AuditKind, printable::excerpt},
    policy::{Destination, PolicyDomain},
};

/// How many operators ask at once. Their requests read whole days of the store.
const CLIENTS_MAX: usize = 16;

/// A client that says nothing for so long, or does not take its reply, is let go.
const IDLE: Duration = Duration::from_secs(30);

/// How long requests under way are waited for when the daemon stops.
const DRAIN: Duration = Duration::from_secs(5);

/// After an accept that failed, for want of file descriptors say, others get time to finish.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers on the socket until `stop` turns true or its sender is gone; then finishes what is under
/// way.
pub async fn serve(
    socket: BoundSocket,
    control: Arc<dyn Control>,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CLIENTS_MAX));
    let mut clients = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = socket.listener().accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        while clients.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let client = Client {
                    control: Arc::clone(&control),
                    places: Arc::clone(&places),
                    stop: stop.clone(),
                    // Until the system is asked: nobody.
                    user: u32::MAX,
                };
                clients.spawn(client.attend(stream));
            }
            Err(error) => {
                tracing::warn!(%error, "control socket: a client could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Whoever comes now is told by the system that nobody listens, or waits where systemd does.
    drop(socket);
    let drained = timeout(DRAIN, async {
        while clients.join_next().await.is_some() {}
    });
    if drained.await.is_err() {
        tracing::warn!("control socket: a request under way was broken off");
        clients.shutdown().await;
    }
}

/// May a peer of this user id speak here?
const fn is_allowed(peer: u32, own: u32) -> bool {
    peer == 0 || peer == own
}

/// Sends what a question comes to. A block, so that `?` ends the question and not the conversation.
macro_rules! reply {
    ($to:expr, $question:expr) => {{
        let question = async { $question };
        send($to, question.await).await
    }};
}

/// What one connection needs.
struct Client {
    control: Arc<dyn Control>,
    places: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
    /// The user who speaks, as the system vouches for.
    user: u32,
}

impl Client {
    async fn attend(mut self, stream: UnixStream) {
        let peer = stream.peer_cred().map(|peer| peer.uid());
        let (from, mut to) = stream.into_split();
        let own = rustix::process::geteuid().as_raw();
        if !peer.as_ref().is_ok_and(|peer| is_allowed(*peer, own)) {
            tracing::warn!(
                ?peer,
                "control socket: refused a client that is not root or our user"
            );
            let refusal = Refusal::new(
                RefusalKind::NotAllowed,
                "only root and the user that the daemon runs as may control it",
            );
            send(&mut to, Err::<(), _>(refusal)).await;
            return;
        }
        self.user = peer.unwrap_or(u32::MAX);
        let Ok(_place) = Arc::clone(&self.places).try_acquire_owned() else {
            let refusal = Refusal::new(
                RefusalKind::Busy,
                format!("{CLIENTS_MAX} others control the daemon at this moment; try again"),
            );
            send(&mut to, Err::<(), _>(refusal)).await;
            return;
        };
        let mut from = BufReader::new(from);
        while let Some(line) = self.next_line(&mut from).await {
            if !self.answer(&line, &mut to).await {
                return;
            }
        }
    }

    /// The next line with its end; none when the client is gone, silent, or we stop.
    async fn next_line(
        &mut self,
        from: &mut BufReader<tokio::net::unix::OwnedReadHalf>,
    ) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        let most = u64::try_from(REQUEST_OCTETS_MAX).unwrap_or(u64::MAX);
        let mut bounded = from.take(most);
        let read = timeout(IDLE, bounded.read_until(b'\n', &mut line));
        tokio::select! {
            read = read => {
                let octets = read.ok()?.ok()?;
                (octets > 0).then_some(line)
            }
            _ = self.stop.wait_for(|stop| *stop) => None,
        }
    }

    /// Answers one line. False: the connection is of no further use.
    async fn answer(&self, line: &[u8], to: &mut OwnedWriteHalf) -> bool {
        let bad = |why: String| Err::<(), _>(Refusal::new(RefusalKind::BadRequest, why));
        if line.last() != Some(&b'\n') {
            let why = format!("a request is a line of at most {REQUEST_OCTETS_MAX} octets");
            send(to, bad(why)).await;
            return false;
        }
        let request = match serde_json::from_slice::<RequestLine>(line) {
            Ok(line) if line.version == VERSION => line.request,
            Ok(line) => {
                let why = format!(
                    "the daemon speaks version {VERSION} of this protocol, not {}; use the program \
                     of the release that runs",
                    line.version
                );
                return send(to, bad(why)).await;
            }
            Err(error) => return send(to, bad(format!("not a request: {error}"))).await,
        };
        self.dispatch(request, to).await
    }

    async fn dispatch(&self, request: Request, to: &mut OwnedWriteHalf) -> bool {
        let control = &self.control;
        match request {
            Request::Status => reply!(to, control.status().await),
            Request::Security {
                day,
                since,
                domains_max,
            } => reply!(to, self.security(day, since, domains_max).await),
            Request::Metrics => reply!(to, control.metrics().await),
            Request::Alerts => reply!(to, control.alerts().await),
            Request::AlertTest { to: way, rule } => {
                reply!(to, self.alert_test(way, rule).await)
            }
            Request::Evidence {
                from,
                to: last,
                domain,
            } => reply!(to, self.evidence(&from, last, domain).await),
            Request::Sessions {
                day,
                domain,
                failures,
            } => reply!(to, {
                let question = sessions_question(day, domain, failures)?;
                control.sessions(question).await
            }),
            Request::Policies => reply!(to, control.policies().await),
            Request::Policy { domain } => reply!(to, control.policy(domain_of(&domain)?).await),
            Request::Check { domain, probe } => reply!(to, self.check(&domain, probe).await),
            Request::Deliveries { day, domain } => reply!(to, {
                let domain = optional_domain(domain)?;
                control.deliveries(day_of(day)?, domain).await
            }),
            Request::ReportPreview { day, domain } => reply!(to, {
                let domain = domain_of(&domain)?;
                control.report_preview(day_of(day)?, domain).await
            }),
            Request::ReportShow { day, domain } => reply!(to, {
                let domain = domain_of(&domain)?;
                control.report_show(day_of(day)?, domain).await
            }),
            Request::ReportSend { day, domain } => reply!(to, {
                let domain = optional_domain(domain)?;
                control.report_send(day_of(day)?, domain).await
            }),
            decision @ (Request::Refresh { .. }
            | Request::Purge { .. }
            | Request::Audit { .. }
            | Request::Overrides { .. }
            | Request::Override { .. }
            | Request::OverrideSet { .. }
            | Request::OverrideExpire { .. }
            | Request::Suppressions
            | Request::Suppression { .. }
            | Request::SuppressionLift { .. }
            | Request::SuppressionAdd { .. }) => self.decision(decision, to).await,
            Request::PageLink => reply!(to, control.page_link().await),
            Request::StoreCopy { directory } => {
                reply!(to, control.store_copy(directory.into()).await)
            }
            Request::Bounce {
                report_id,
                recipients,
                words,
            } => reply!(to, control.bounce(report_id, recipients, words).await),
        }
    }

    /// Answers what is asked of decisions: of kept policies, of the log of decisions, of overrides, and of destinations that
    /// get nothing.
    async fn decision(&self, request: Request, to: &mut OwnedWriteHalf) -> bool {
        let control = &self.control;
        match request {
            Request::Refresh { domain } => reply!(to, self.refresh(&domain).await),
            Request::Purge { domain } => reply!(to, self.purge(&domain).await),
            Request::Audit {
                since,
                domain,
                kind,
                before,
                entries_max,
            } => reply!(
                to,
                self.audit(since, domain, kind, before, entries_max).await
            ),
            Request::Overrides { all } => reply!(to, control.overrides(overrides_asked(all)).await),
            Request::Override { domain } => {
                reply!(to, control.override_of(domain_of(&domain)?).await)
            }
            Request::OverrideSet {
                domain,
                mode,
                until,
                reason,
                author,
            } => reply!(to, {
                let order = OverrideOrder {
                    domain: domain_of(&domain)?,
                    mode: mode_of(&mode)?,
                    until: day_of(until)?,
                    reason,
                    author: self.author(author).await,
                };
                control.set_override(order).await
            }),
            Request::OverrideExpire {
                domain,
                reason,
                author,
            } => reply!(to, {
                let author = self.author(author).await;
                control
                    .expire_override(domain_of(&domain)?, author, reason)
                    .await
            }),
            Request::Suppressions => reply!(to, control.suppressions().await),
            Request::Suppression { destination } => {
                reply!(to, control.suppression(destination_of(&destination)?).await)
            }
            Request::SuppressionLift { destination } => {
                reply!(to, self.lift(&destination).await)
            }
            Request::SuppressionAdd {
                destination,
                until,
                reason,
            } => reply!(to, self.suppress(&destination, until, reason).await),
            other => {
                let why = format!("not about a decision: {other:?}");
                send(to, Err::<(), _>(Refusal::new(RefusalKind::BadRequest, why))).await
            }
        }
    }

    async fn check(&self, domain: &str, probe: bool) -> Replied<CheckResult> {
        let domain = domain_of(domain)?;
        self.control.check(domain, depth_of(probe)).await
    }

    async fn audit(
        &self,
        since: Option<String>,
        domain: Option<String>,
        kind: Option<String>,
        before: Option<u64>,
        entries_max: Option<u64>,
    ) -> Replied<Audit> {
        let question = AuditQuestion {
            since: day_of(since)?,
            domain: optional_domain(domain)?,
            kind: kind.map(|kind| kind_of(&kind)).transpose()?,
            before,
            entries_max,
        };
        self.control.audit(question).await
    }

    async fn security(
        &self,
        day: Option<String>,
        since: Option<String>,
        domains_max: Option<u64>,
    ) -> Replied<Security> {
        let question = security_question(day, since, domains_max)?;
        self.control.security(question).await
    }

    async fn alert_test(&self, to: AlertWay, rule: Option<String>) -> Replied<AlertsTested> {
        let rule = rule.as_deref().map(rule_of).transpose()?;
        self.control.alert_test(to, rule).await
    }

    async fn evidence(
        &self,
        from: &str,
        to: Option<String>,
        domain: Option<String>,
    ) -> Replied<Evidence> {
        let question = EvidenceQuestion {
            from: one_day(from)?,
            to: day_of(to)?,
            domain: optional_domain(domain)?,
        };
        self.control.evidence(question).await
    }

    /// Who is noted as the author of what is asked.
    async fn author(&self, given: Option<String>) -> String {
        peer::author(given, &peer::user_name(self.user).await)
    }

    async fn refresh(&self, domain: &str) -> Replied<Refreshed> {
        let author = self.author(None).await;
        self.control.refresh(domain_of(domain)?, author).await
    }

    async fn purge(&self, domain: &str) -> Replied<Purged> {
        let author = self.author(None).await;
        self.control.purge(domain_of(domain)?, author).await
    }

    async fn lift(&self, destination: &str) -> Replied<SuppressionView> {
        let author = self.author(None).await;
        self.control
            .lift(destination_of(destination)?, author)
            .await
    }

    async fn suppress(
        &self,
        destination: &str,
        until: Option<String>,
        reason: String,
    ) -> Replied<SuppressionView> {
        let destination = destination_of(destination)?;
        let until = day_of(until)?;
        let author = self.author(None).await;
        let control = &self.control;
        control.suppress(destination, until, author, reason).await
    }
}

fn rule_of(name: &str) -> Result<Rule, Refusal> {
    Rule::named(name).ok_or_else(|| {
        let known = Rule::ALL.map(Rule::name).join(", ");
        let name = excerpt(name);
        let message = format!("{name}: no rule; there are {known}");
        Refusal::new(RefusalKind::BadRequest, message)
    })
}

fn security_question(
    day: Option<String>,
    since: Option<String>,
    domains_max: Option<u64>,
) -> Result<SecurityQuestion, Refusal> {
    Ok(SecurityQuestion {
        day: day_of(day)?,
        since: day_of(since)?,
        domains_max,
    })
}

fn sessions_question(
    day: Option<String>,
    domain: Option<String>,
    failures: bool,
) -> Result<SessionsQuestion, Refusal> {
    Ok(SessionsQuestion {
        day: day_of(day)?,
        domain: optional_domain(domain)?,
        failures,
    })
}

const fn depth_of(probe: bool) -> Depth {
    match probe {
        true => Depth::MailHosts,
        false => Depth::Dns,
    }
}

const fn overrides_asked(all: bool) -> OverridesAsked {
    match all {
        true => OverridesAsked::All,
        false => OverridesAsked::Holding,
    }
}

fn kind_of(word: &str) -> Replied<AuditKind> {
    AuditKind::of_name(word).ok_or_else(|| {
        let known: Vec<&str> = AuditKind::ALL.iter().map(|kind| kind.name()).collect();
        let why = format!(
            "there is no kind of decision \"{}\"; there are {}",
            excerpt(word),
            known.join(", ")
        );
        Refusal::new(RefusalKind::BadRequest, why)
    })
}

fn mode_of(text: &str) -> Result<OverrideMode, Refusal> {
    OverrideMode::of_name(text).ok_or_else(|| {
        let why = format!("\"{text}\" is no mode of an override");
        Refusal::new(RefusalKind::BadRequest, why)
    })
}

fn domain_of(text: &str) -> Result<PolicyDomain, Refusal> {
    text.parse().map_err(|error: crate::policy::NameError| {
        Refusal::new(RefusalKind::BadRequest, error.to_string())
    })
}

fn destination_of(text: &str) -> Result<Destination, Refusal> {
    Destination::one(text).map_err(|why| Refusal::new(RefusalKind::BadRequest, why))
}

fn optional_domain(text: Option<String>) -> Result<Option<PolicyDomain>, Refusal> {
    text.map(|text| domain_of(&text)).transpose()
}

fn day_of(text: Option<String>) -> Result<Option<UtcDay>, Refusal> {
    text.map(|text| one_day(&text)).transpose()
}

fn one_day(text: &str) -> Result<UtcDay, Refusal> {
    text.parse().map_err(|error: crate::clock::NotADay| {
        Refusal::new(RefusalKind::BadRequest, error.to_string())
    })
}

/// Sends one reply. False: the client does not take it.
async fn send<T: Serialize>(to: &mut OwnedWriteHalf, replied: Replied<T>) -> bool {
    let reply = ReplyLine {
        version: VERSION,
        result: match replied {
            Ok(answer) => Answer::Ok(answer),
            Err(refusal) => Answer::Refused(refusal),
        },
    };
    let mut line = match serde_json::to_vec(&reply) {
        Ok(line) => line,
        Err(error) => {
            tracing::error!(%error, "control socket: a reply cannot be written as JSON");
            return false;
        }
    };
    line.push(b'\n');
    matches!(timeout(IDLE, to.write_all(&line)).await, Ok(Ok(())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_our_own_user_may_speak() {
        for (peer, own, allowed) in [
            (0, 990, true),
            (990, 990, true),
            (0, 0, true),
            (1_000, 990, false),
            (1_000, 0, false),
        ] {
            assert_eq!(is_allowed(peer, own), allowed, "{peer} of {own}");
        }
    }
}
