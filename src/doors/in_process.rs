//! The door for Rust MTAs: the engine as a [`Hook`] within the MTA's own process.
//!
//! For hosts of one process that do not fork; the store has one owner. A host that calls from async
//! code uses [`AsyncHook`] itself, without this.

use std::sync::{Arc, mpsc};

use sealpost_plugin_api::{Hook, Level, Presented, Query, Requirement, Session, Verified};
use tokio::runtime::Handle;

use crate::hook::AsyncHook;

/// Waits, for a synchronous host, on an engine that runs on a tokio runtime.
#[derive(Clone)]
pub struct InProcess {
    hook: Arc<dyn AsyncHook>,
    runtime: Handle,
}

impl InProcess {
    /// A door to `hook`, whose work is done on `runtime`. Not to be called from that runtime's own
    /// threads, which would wait for themselves.
    #[must_use]
    pub fn new(hook: Arc<dyn AsyncHook>, runtime: Handle) -> Self {
        Self { hook, runtime }
    }
}

impl Hook for InProcess {
    fn policy(&self, query: &Query<'_>) -> Requirement {
        let (answer, answered) = mpsc::sync_channel(1);
        let hook = Arc::clone(&self.hook);
        let (domain, mx) = (query.domain.to_owned(), query.mx.map(str::to_owned));
        let (port, deadline) = (query.port, query.deadline);
        self.runtime.spawn(async move {
            let mut owned = Query::new(&domain).with_deadline(deadline);
            owned.mx = mx.as_deref();
            owned.port = port;
            // The host may have stopped waiting; then nobody reads this.
            let given = hook.policy(owned).await;
            let _heard = answer.send(given.requirement.clone()).is_ok();
        });
        // The engine keeps the deadline itself; the grace is for a runtime that is busy or gone.
        let patience = deadline.saturating_add(GRACE);
        answered.recv_timeout(patience).unwrap_or_else(|_| {
            Requirement::new(Level::Defer, "the policy engine gave no answer in time")
        })
    }

    fn verify(&self, presented: &Presented<'_>) -> Verified {
        self.hook.verify(presented)
    }

    fn session(&self, session: &Session<'_>) {
        self.hook.session(session);
    }
}

const GRACE: std::time::Duration = std::time::Duration::from_secs(1);
