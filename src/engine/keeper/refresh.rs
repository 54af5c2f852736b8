//! The background: kept policies are fetched again each day, whatever their ids say, so that they do
//! not expire while the domain still publishes them (RFC 8461 s3.3 and s10.2).

use std::sync::Arc;

use tokio::{sync::watch, task::JoinSet};
use tracing::error;

use super::{Keeper, Unknown, flights::Errand};
use crate::policy::PolicyDomain;

/// How often it is looked for policies that are due.
const PASS_SECONDS: i64 = 600;

/// How many policies are refreshed at once. Deliveries have the rest of `fetches_max`.
const REFRESHES_AT_ONCE: usize = 8;

/// Runs until `shutdown` becomes true, or nobody can make it so any more.
pub(super) async fn run(keeper: &Arc<Keeper>, mut shutdown: watch::Receiver<bool>) {
    let mut stop = shutdown.clone();
    loop {
        // Counted from the start: a pass that took long is followed by the next at once.
        let next = keeper.now().plus_seconds(PASS_SECONDS);
        tokio::select! {
            result = pass(keeper) => {
                if let Err(error) = result {
                    error!(%error, "kept policies cannot be refreshed");
                }
            }
            _ = stop.wait_for(|stopped| *stopped) => return,
        }
        tokio::select! {
            () = keeper.desk.parts.clock.wait_until(next) => {}
            _ = shutdown.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// Looks at every kept policy once.
async fn pass(keeper: &Arc<Keeper>) -> Result<(), Unknown> {
    let mut errands = JoinSet::new();
    for listed in keeper.list().await? {
        let now = keeper.now();
        let errand = if !listed.kept.holds_at(now) {
            Errand::DropExpired
        } else if listed.kept.refresh_due_at(&listed.domain, keeper.desk.intervals) <= now
            // Set back since, the clock says nothing of the policy's age: it might hold for years.
            || listed.kept.tried_at > now
        {
            Errand::Refresh
        } else {
            continue;
        };
        if errands.len() >= REFRESHES_AT_ONCE {
            let _done = errands.join_next().await.is_some();
        }
        errands.spawn(run_errand(Arc::clone(keeper), listed.domain, errand));
    }
    while errands.join_next().await.is_some() {}
    Ok(())
}

async fn run_errand(keeper: Arc<Keeper>, domain: PolicyDomain, errand: Errand) {
    if let Err(error) = keeper.fly(&domain, errand).await {
        error!(%domain, %error, "kept policy cannot be looked after");
    }
}
