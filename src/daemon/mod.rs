//! The daemon: starts the stages, joins them, and stops them in order.
//!
//! Start: store, recorder, resolver, policy hosts, keeper, engine, courier; then the doors, each with
//! systemd's socket or one of our own, so that whoever connects is answered; then systemd hears that
//! we are ready. Stop, the other way round: the doors answer what they have and close, the courier
//! finishes what is under way, the engine decides about the sessions that still wait, the recorder
//! writes what is in the journal.

use std::{sync::Arc, time::Duration};

use sd_notify::NotifyState;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinSet,
};

use crate::{
    clock::{Clock, UtcDay},
    config::{Config, InsecureMx, Loaded, load::load},
    doors::{
        datagram::DatagramDoorError, plugin_socket::PluginSocketError, socketmap::SocketmapError,
    },
    net::{
        activation::{Activated, ActivationError},
        unix_socket::SocketError,
    },
    observe::{audit::AuditKind, log::LogControl},
    page::{PageError, SignIn},
};

pub mod alerts;
mod auditing;
mod doors;
pub mod metrics;
pub(crate) mod open_files;
pub mod operator;
pub mod parts;
pub mod quota;
pub mod reports;
mod resolvers;
pub mod signing;
mod watchdog;

use auditing::Auditing;
use doors::Doors;
use metrics::MetricsError;
use operator::Operator;
use parts::{Parts, PartsError};
use resolvers::PostfixResolvers;

/// How long a start waits to know what the resolvers of the system do. A look at who validates takes no longer.
const VALIDATION_TIME_MAX: Duration = Duration::from_secs(10);

/// Why the daemon did not start. The operator must act on each of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A part could not be made from the configuration, or a file it names.
    #[error(transparent)]
    Parts(#[from] PartsError),
    /// The plugin socket cannot listen.
    #[error(transparent)]
    PluginSocket(#[from] PluginSocketError),
    /// The socketmap cannot listen.
    #[error(transparent)]
    Socketmap(#[from] SocketmapError),
    /// The socket for outcomes cannot be made.
    #[error(transparent)]
    DatagramDoor(#[from] DatagramDoorError),
    /// The control socket cannot listen.
    #[error("control_socket.path: {0}")]
    ControlSocket(#[from] SocketError),
    /// The page cannot be reached.
    #[error(transparent)]
    Page(#[from] PageError),
    /// The metrics cannot be reached.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// systemd passed a socket that nothing is for.
    #[error(transparent)]
    Activation(#[from] ActivationError),
    /// The mode of the control socket is none.
    #[error("control_socket.mode: {0}")]
    ControlSocketMode(String),
    /// The system gives no signals or threads.
    #[error("the system refuses: {0}")]
    System(#[from] std::io::Error),
}

/// Runs the daemon until SIGTERM or SIGINT, on the sockets that systemd passed and those that it
/// binds itself.
///
/// # Errors
/// When it cannot start.
pub async fn run(
    loaded: Loaded,
    clock: Arc<dyn Clock>,
    log: &LogControl,
    mut activated: Activated,
) -> Result<(), StartError> {
    let mut signals = Signals::listen()?;
    open_files::raise_limit(&loaded.config);
    let started_at = clock.now();
    let mut parts = Parts::start(&loaded, clock)?;
    let doors = Doors::open(&loaded.config, &mut activated, &parts.counters)?;
    activated.leftover()?;
    let (stop, stopping) = watch::channel(false);
    let mut resolvers = PostfixResolvers::new(&loaded.config, Arc::clone(&parts.clock));
    let operator = Operator::new(&parts, loaded.clone(), started_at);
    let operator = operator.with_resolvers(Arc::clone(&resolvers.seen));
    let sign_in = SignIn::new(&loaded.config.page.token_file, Arc::clone(&parts.clock));
    let sign_in = Arc::new(sign_in.map_err(PageError::from)?);
    let operator = Arc::new(operator.with_sign_in(Arc::clone(&sign_in)));

    let auditing = Auditing::begin(&mut parts, loaded.config.store.keep_audit_days);
    // Before the first question: what an operator decided holds from the start.
    let noted = operator.begin_decisions().await;
    // Before the first question: a domain with DANE must not be answered as one without.
    first_look(&parts, &mut resolvers).await;
    let mut doors = doors.serve(&parts, &operator, &resolvers.seen, &sign_in, &stopping);
    let mut workers = begin(&parts, &operator, resolvers, noted, &stopping);
    tell_systemd(&[NotifyState::Ready]);
    let (all_run, running) = watch::channel(true);
    if let Some(within) = sd_notify::watchdog_enabled() {
        let tell = || tell_systemd(&[NotifyState::Watchdog]);
        let telling = watchdog::keep_telling(within, Arc::clone(&parts.engine) as _, running, tell);
        tokio::spawn(until(stopping.clone(), telling));
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        plugin_socket = %loaded.config.plugin_socket.path.display(),
        store = %loaded.config.store.path.display(),
        "sealpost is ready"
    );

    loop {
        // None of these ends before it is told to. One that died must be seen before the next stop.
        let ended = tokio::select! {
            wish = signals.next() => match wish {
                Wish::Stop => break,
                Wish::Reload => {
                    reload(&loaded, &operator, log);
                    continue;
                }
            },
            Some(ended) = doors.join_next() => ended,
            Some(ended) = workers.join_next() => ended,
        };
        let why = ended
            .err()
            .map_or_else(String::new, |error| format!(" ({error})"));
        let alarm = format!("a part of the daemon has ended{why}: restart sealpost");
        tracing::error!("{alarm}");
        operator.alarm(alarm);
        // Without a watchdog nobody listens.
        let _told = all_run.send(false).is_ok();
    }

    tell_systemd(&[NotifyState::Stopping]);
    tracing::info!("stopping: the doors close, what is counted is written");
    // Nobody listens any more only when everything has ended already.
    let _told = stop.send(true).is_ok();
    join_all(&mut doors, "a door").await;
    join_all(&mut workers, "a worker").await;
    operator.note_of_daemon(AuditKind::Stopped);
    auditing.end().await;
    write_the_last(parts).await;
    tracing::info!("stopped");
    Ok(())
}

/// Writes what is still in memory, when the doors are closed and nothing more will be told of what waits.
async fn write_the_last(mut parts: Parts) {
    parts.engine.settle_all();
    if let Err(error) = parts.journal.synced().await {
        tracing::error!(%error, "the last sessions are not on the disk");
    }
    if let Some(recorder) = parts.recorder.take()
        && tokio::task::spawn_blocking(move || recorder.stop())
            .await
            .is_err()
    {
        tracing::error!("the recorder could not be stopped");
    }
}

/// Begins what goes on beside the doors, until the daemon stops.
fn begin(
    parts: &Parts,
    operator: &Arc<Operator>,
    resolvers: PostfixResolvers,
    noted: Option<UtcDay>,
    stopping: &watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut workers = JoinSet::new();
    workers.spawn(Arc::clone(&parts.keeper).run(stopping.clone()));
    let validation = Arc::clone(&parts.validation);
    let validating = async move { validation.keep_looking().await };
    workers.spawn(until(stopping.clone(), validating));
    workers.spawn(until(stopping.clone(), resolvers.keep_looking()));
    workers.spawn(Arc::clone(&parts.scout).run(stopping.clone()));
    let signing = signing::keep_looking(
        Arc::clone(&parts.dns),
        Arc::clone(&parts.clock),
        Arc::clone(&parts.reports),
        Arc::clone(operator),
    );
    workers.spawn(until(stopping.clone(), signing));
    let alerting = Arc::clone(&parts.alerts).keep_looking(Arc::clone(operator));
    workers.spawn(until(stopping.clone(), alerting));
    let quota = Arc::clone(&parts.quota).keep_looking();
    workers.spawn(until(stopping.clone(), quota));
    let overriding = Arc::clone(operator);
    let overriding = async move { overriding.attend_decisions(noted).await };
    workers.spawn(until(stopping.clone(), overriding));
    workers.spawn(Arc::clone(&parts.engine).attend(stopping.clone()));
    workers.spawn(Arc::clone(&parts.courier).run(stopped(stopping.clone())));
    workers
}

/// Reads the configuration again and takes up what can be changed while running; a file that is
/// wrong changes nothing. `started` is what the daemon was started with.
fn reload(started: &Loaded, operator: &Operator, log: &LogControl) {
    let Some(path) = &started.path else {
        return;
    };
    tell_systemd_of_reload();
    match load(path) {
        Ok(next) => {
            if let Err(error) = log.set_level(&next.config.log.level) {
                tracing::error!(%error, "log.level is not taken up");
            }
            tracing::info!(path = %path.display(), "the configuration is read again");
            let waiting = needing_restart(&started.config, &next.config);
            for section in &waiting {
                tracing::warn!("[{section}] has changed; that is taken up at the next start");
            }
            operator.reload(next, &waiting);
        }
        Err(error) => tracing::error!("the configuration is not taken up: {error}"),
    }
    tell_systemd(&[NotifyState::Ready]);
}

/// The sections that differ and are read at the start only. Of `policy` the engine takes up
/// `when_unknown`, of `dane` what is wanted of records, of `log` the level.
fn needing_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let mut policy = old.policy.clone();
    policy.when_unknown = new.policy.when_unknown;
    let mut dane = old.dane.clone();
    dane.audit = new.dane.audit;
    // Where records below MX records that are not signed were nothing, nobody looks for them.
    if old.dane.insecure_mx != InsecureMx::May {
        dane.insecure_mx = new.dane.insecure_mx;
    }
    [
        ("sender", old.sender == new.sender),
        ("dns", old.dns == new.dns),
        ("dane", dane == new.dane),
        ("policy", policy == new.policy),
        ("store", old.store == new.store),
        ("report", old.report == new.report),
        ("dkim", old.dkim == new.dkim),
        ("deliver", old.deliver == new.deliver),
        ("destination", old.destination == new.destination),
        ("plugin_socket", old.plugin_socket == new.plugin_socket),
        ("socketmap", old.socketmap == new.socketmap),
        ("tlsrpt_socket", old.tlsrpt_socket == new.tlsrpt_socket),
        ("postfix_log", old.postfix_log == new.postfix_log),
        ("probe", old.probe == new.probe),
        ("control_socket", old.control_socket == new.control_socket),
        ("page", old.page == new.page),
        ("metrics", old.metrics == new.metrics),
        ("alert", old.alert == new.alert),
        ("log", old.log.format == new.log.format),
    ]
    .into_iter()
    .filter_map(|(section, same)| (!same).then_some(section))
    .collect()
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is the end as well.
    let _ended = stopping.wait_for(|stop| *stop).await.is_ok();
}

/// Finds out who validates DNSSEC, and what the resolvers do that Postfix asks.
async fn first_look(parts: &Parts, resolvers: &mut PostfixResolvers) {
    let (_said, ()) = tokio::join!(
        parts.validation.look(),
        resolvers.first_look(VALIDATION_TIME_MAX),
    );
}

/// Works until the daemon stops.
async fn until(stopping: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        () = stopped(stopping) => {}
    }
}

async fn join_all(tasks: &mut JoinSet<()>, what: &str) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "{what} died");
        }
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Stop,
    Reload,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.hang_up.recv() => Wish::Reload,
        }
    }
}

/// sd_notify(3): a reload is told of with the time it began, so that systemd can tell a `READY=1`
/// after it from an earlier one.
fn tell_systemd_of_reload() {
    match NotifyState::monotonic_usec_now() {
        Ok(began) => tell_systemd(&[NotifyState::Reloading, began]),
        Err(error) => {
            tracing::debug!(%error, "systemd is not told when the reload began");
            tell_systemd(&[NotifyState::Reloading]);
        }
    }
}

/// Without systemd there is nobody to tell, and that is no error.
fn tell_systemd(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_of_dane_is_taken_up_while_running_and_how_it_is_had_is_not() {
        let dane = |insecure_mx, audit, seconds_max| {
            let mut config = Config::default();
            config.dane.insecure_mx = insecure_mx;
            config.dane.audit = audit;
            config.dane.seconds_max = seconds_max;
            config
        };
        let old = dane(InsecureMx::Dane, false, 600);
        for (new, expected) in [
            (dane(InsecureMx::Dane, true, 600), vec![]),
            (dane(InsecureMx::May, false, 600), vec![]),
            (dane(InsecureMx::Dane, false, 60), vec!["dane"]),
        ] {
            assert_eq!(needing_restart(&old, &new), expected);
        }
        // Nobody has looked for records there so far.
        let old = dane(InsecureMx::May, false, 600);
        assert_eq!(
            needing_restart(&old, &dane(InsecureMx::Dane, false, 600)),
            ["dane"]
        );
    }
}
