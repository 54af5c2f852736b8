//! What the doctor found last. He looks when somebody asks him to, not when somebody looks at the page.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::source::Source;
use crate::{clock::Timestamp, ctl::wire::Examinations};

/// How long whoever asked waits. He goes on, and what he finds is there with the next look at the page.
const WAIT: Duration = Duration::from_secs(12);

/// What he found so lately is found for whoever asks now too.
const FRESH: Duration = Duration::from_secs(10);

/// The doctor.
pub(super) struct Doctor {
    source: Arc<dyn Source>,
    last: Mutex<Option<Arc<Look>>>,
    looking: tokio::sync::Mutex<()>,
}

/// One look.
pub(super) struct Look {
    /// When.
    pub(super) at: Timestamp,
    ended_at: Instant,
    /// What he found, or why he could not look.
    pub(super) found: Result<Examinations, String>,
}

impl Doctor {
    pub(super) fn new(source: Arc<dyn Source>) -> Self {
        Self {
            source,
            last: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
        }
    }

    /// What he found last.
    pub(super) fn last(&self) -> Option<Arc<Look>> {
        self.held().clone()
    }

    /// He looks just now.
    pub(super) fn is_looking(&self) -> bool {
        self.looking.try_lock().is_err()
    }

    /// Has him look, and waits for him for a while. Whoever asks while he looks waits for the same look.
    pub(super) async fn look(self: &Arc<Self>) {
        let this = Arc::clone(self);
        let looking = tokio::spawn(async move {
            let _turn = this.looking.lock().await;
            let last = this.last();
            if last.is_some_and(|look| look.ended_at.elapsed() < FRESH) {
                return;
            }
            let found = this.source.examine().await;
            let look = Look {
                at: this.source.now(),
                ended_at: Instant::now(),
                found: found.map_err(|refusal| refusal.message),
            };
            *this.held() = Some(Arc::new(look));
        });
        // An error means that he is still at it, or has failed: the page says which.
        let _in_time = timeout(WAIT, looking).await.is_ok();
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Arc<Look>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
