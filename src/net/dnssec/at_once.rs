//! Several things that are waited for at once.

use std::{future::poll_fn, task::Poll};

/// What comes of all of them, in their order.
pub(crate) async fn at_once<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        let mut all_are_here = true;
        for (future, output) in &mut waiting {
            if output.is_some() {
                continue;
            }
            match future.as_mut().poll(context) {
                Poll::Ready(value) => *output = Some(value),
                Poll::Pending => all_are_here = false,
            }
        }
        if all_are_here {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    waiting
        .into_iter()
        .filter_map(|(_, output)| output)
        .collect()
}

#[cfg(test)]
mod tests {
    use tokio::sync::Barrier;

    use super::*;

    #[tokio::test]
    async fn all_are_under_way_together_and_come_in_their_order() {
        // Each waits for the others.
        let barrier = Barrier::new(3);
        let numbers = at_once((0..3).map(|number| {
            let barrier = &barrier;
            async move {
                for _ in 0..3 - number {
                    tokio::task::yield_now().await;
                }
                barrier.wait().await;
                number
            }
        }));
        assert_eq!(numbers.await, [0, 1, 2]);
    }
}
