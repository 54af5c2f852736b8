//! Looks at many mail hosts: side by side, so many at once, and not for longer than who asked will wait.

use std::{future::poll_fn, task::Poll, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::live::{Look, not_in_time};
use crate::{
    clock::{BoxFuture, Timestamp},
    ctl::wire::LiveView,
    policy::{MxHost, dane::HostDane},
};

/// How long all looks at mail hosts may take together: the client waits five minutes for the whole check
/// (`ctl/client.rs`), and lookups come before and after them.
const LOOKS_SECONDS_MAX: u64 = 150;

/// Who may look at a host now, and until when.
pub(super) struct Turns {
    pub(super) looks: Semaphore,
    pub(super) deadline: Instant,
}

impl Turns {
    /// So many at once, from now on.
    pub(super) fn begin(at_once: usize) -> Self {
        Self {
            looks: Semaphore::new(at_once.clamp(1, Semaphore::MAX_PERMITS)),
            deadline: Instant::now() + Duration::from_secs(LOOKS_SECONDS_MAX),
        }
    }

    /// Looks at a host when it is its turn.
    pub(super) async fn look(
        &self,
        look: &Look<'_>,
        host: &MxHost,
        said: &HostDane,
        now: Timestamp,
    ) -> LiveView {
        let looked = timeout_at(self.deadline, async {
            // It is never closed, and an error would only mean a look more than there should be at once.
            let _turn = self.looks.acquire().await;
            look.at(host, said, now).await
        });
        looked.await.unwrap_or_else(|_elapsed| not_in_time())
    }
}

/// Waits for all of them at once; the results are in their order.
pub(super) async fn side_by_side<T>(waiting: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut waiting: Vec<_> = waiting.into_iter().map(Progress::Waiting).collect();
    poll_fn(|context| {
        let mut all_done = true;
        for each in &mut waiting {
            if let Progress::Waiting(future) = each {
                match future.as_mut().poll(context) {
                    Poll::Ready(result) => *each = Progress::Done(result),
                    Poll::Pending => all_done = false,
                }
            }
        }
        match all_done {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    let results = waiting.into_iter().filter_map(|each| match each {
        Progress::Done(result) => Some(result),
        Progress::Waiting(_) => None,
    });
    results.collect()
}

enum Progress<'f, T> {
    Waiting(BoxFuture<'f, T>),
    Done(T),
}
