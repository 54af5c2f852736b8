//! The watchdog: systemd hears again and again that MTAs are answered, and starts the daemon anew where it
//! does not (`WatchdogSec=`, sd_watchdog_enabled(3)).
//!
//! A thread of its own could say so while everything else stands still. So it is said by a task among all
//! others, after the hook has answered a question by the way that the questions of MTAs go, and only while every
//! part of the daemon runs. A disk that hangs or a DNS that is silent is no reason: a new start would cure
//! neither, and lose what is known.

use std::{sync::Arc, time::Duration};

use sealpost_plugin_api::Query;
use tokio::{sync::watch, time::MissedTickBehavior};

use crate::hook::{AsyncHook, basis::DaneUse};

/// RFC 6761 s6.4: there is no such domain. So nothing is looked up and nothing counted, but what every
/// question passes is passed.
const NO_DOMAIN: &str = "watchdog.invalid";

/// OURS: so many times in the time that systemd waits; sd_watchdog_enabled(3) wants two at least.
const TIMES: u32 = 3;

/// Tells systemd through `tell` for as long as all is well, and then no more. `all_run` turns false when a
/// part has ended that should not.
pub(super) async fn keep_telling(
    within: Duration,
    hook: Arc<dyn AsyncHook>,
    all_run: watch::Receiver<bool>,
    tell: impl Fn(),
) {
    // Less than a millisecond nobody means; and an interval must not be zero.
    let often = (within / TIMES).max(Duration::from_millis(1));
    let mut beats = tokio::time::interval(often);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        if !*all_run.borrow() {
            tracing::error!("a part of the daemon has ended: systemd is left to start it anew");
            return;
        }
        // Not here: the task must be taken up by whichever thread is free, as a client's is.
        let hook = Arc::clone(&hook);
        let asked = tokio::spawn(async move {
            let _nothing = hook.policy_at_once(&Query::new(NO_DOMAIN), DaneUse::ToldAndItsOwn);
        });
        // An answer that never comes is not waited for any shorter: that is what systemd is for.
        if asked.await.is_ok() {
            tell();
        } else {
            tracing::error!(
                "the hook has died of a question: systemd is not told that all is well"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Mutex,
            atomic::{AtomicUsize, Ordering},
            mpsc,
        },
        thread,
    };

    use sealpost_plugin_api::Session;

    use super::*;
    use crate::{
        clock::BoxFuture,
        hook::{Answer, Asker},
        record::told::Told,
    };

    /// A hook that answers while something is put into its queue, and then waits.
    struct Hook(Mutex<mpsc::Receiver<()>>);

    impl AsyncHook for Hook {
        fn policy<'a>(&'a self, _query: Query<'a>) -> BoxFuture<'a, Arc<Answer>> {
            Box::pin(std::future::pending())
        }
        fn policy_at_once(&self, query: &Query<'_>, _dane: DaneUse) -> Option<Arc<Answer>> {
            assert_eq!(query.domain, NO_DOMAIN);
            self.0.lock().unwrap().recv().unwrap();
            None
        }
        fn answered(&self, _answer: &Arc<Answer>, _asker: Asker) {}
        fn told(&self, _told: &Told, _sessions: u32) {}
        fn session(&self, _session: &Session<'_>) {}
    }

    const WITHIN: Duration = Duration::from_millis(30);

    /// What systemd hears, as a number of times, and what tells it.
    fn systemd() -> (Arc<AtomicUsize>, impl Fn()) {
        let heard = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&heard);
        let tell = move || {
            count.fetch_add(1, Ordering::SeqCst);
        };
        (heard, tell)
    }

    /// The runtime's clock may stand still while one of its threads waits, so by the thread's own.
    fn until(what: &str, is: impl Fn() -> bool) {
        for _ in 0..3_000 {
            if is() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("{what}: not within 30 s");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn systemd_hears_nothing_more_when_a_question_is_not_answered() {
        let (answers, queue) = mpsc::channel();
        let (_all_run, running) = watch::channel(true);
        let (heard, tell) = systemd();
        let hook = Arc::new(Hook(Mutex::new(queue)));
        let task = tokio::spawn(keep_telling(WITHIN, hook, running, tell));
        for number in 1..4 {
            answers.send(()).unwrap();
            until("told", || heard.load(Ordering::SeqCst) == number);
        }
        // The next question waits, and with it the word to systemd, over many times its time.
        thread::sleep(5 * WITHIN);
        assert_eq!(heard.load(Ordering::SeqCst), 3);
        assert!(!task.is_finished());
        // Once more, so that the thread that waits can end.
        answers.send(()).unwrap();
        until("told", || heard.load(Ordering::SeqCst) == 4);
        drop(answers);
        task.abort();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn systemd_hears_nothing_more_when_a_part_has_ended() {
        let (answers, queue) = mpsc::channel();
        for _ in 0..1_000 {
            answers.send(()).unwrap();
        }
        let (all_run, running) = watch::channel(true);
        let (heard, tell) = systemd();
        let hook = Arc::new(Hook(Mutex::new(queue)));
        let task = tokio::spawn(keep_telling(WITHIN, hook, running, tell));
        until("told", || heard.load(Ordering::SeqCst) > 0);
        all_run.send(false).unwrap();
        task.await.unwrap();
    }
}
