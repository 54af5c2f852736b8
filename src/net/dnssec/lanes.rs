//! How many questions are under way at the same time. Each has a socket, so there is a limit; and one that nobody
//! answers must not hold up those of other domains.

use std::{pin::pin, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, timeout, timeout_at},
};

/// Two lanes: each question begins in the quick one, and moves over when its answer is late.
pub(super) struct Lanes {
    quick: Semaphore,
    slow: Semaphore,
    /// How long a question may stay in the quick lane.
    quick_time: Duration,
}

/// A question is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// It was not asked: for [`QUEUE_TIME_MAX`] there was no place.
    NoPlace,
    /// There was no answer in time; or it was late, and so were as many others as there may be.
    Late,
}

/// How long a question waits for a place.
pub(super) const QUEUE_TIME_MAX: Duration = Duration::from_secs(10);

/// Questions in each of the two lanes.
const PLACES: usize = 256;

/// A resolver that has to go to the world answers sooner, but where name servers are dead.
const QUICK_TIME: Duration = Duration::from_secs(1);

impl Default for Lanes {
    fn default() -> Self {
        Self::new(PLACES, QUICK_TIME)
    }
}

impl Lanes {
    fn new(places: usize, quick_time: Duration) -> Self {
        Self {
            quick: Semaphore::new(places),
            slow: Semaphore::new(places),
            quick_time,
        }
    }

    /// Asks, for no longer than the limit. The time begins when there is a place.
    ///
    /// # Errors
    /// There was no place, or no answer in time.
    pub(super) async fn run<T>(
        &self,
        limit: Duration,
        question: impl Future<Output = T>,
    ) -> Result<T, GivenUp> {
        let place = timeout(QUEUE_TIME_MAX, self.quick.acquire()).await;
        let Ok(Ok(place)) = place else {
            return Err(GivenUp::NoPlace);
        };
        let begun = Instant::now();
        let mut question = pin!(question);
        let quick_time = self.quick_time.min(limit);
        if let Ok(answer) = timeout(quick_time, &mut question).await {
            return Ok(answer);
        }
        // OURS: where both lanes are full of questions that nobody answers, they are given up early. So a place in
        // the quick lane is free again within a second, however many dead domains there are.
        let Ok(_slow_place) = self.slow.try_acquire() else {
            return Err(GivenUp::Late);
        };
        drop(place);
        let answered = timeout_at(begun + limit, question).await;
        answered.map_err(|_| GivenUp::Late)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        sync::Arc,
    };

    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn g6_questions_that_nobody_answers_do_not_hold_up_others() {
        let lanes = Arc::new(Lanes::new(2, Duration::from_millis(1)));
        let mut dead = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let lanes = Arc::clone(&lanes);
            dead.spawn(async move { lanes.run(LONG, pending::<()>()).await });
        }
        // Two of them are in the slow lane, for an hour; the others made way.
        for _ in 0..4 {
            let given_up = dead.join_next().await.unwrap().unwrap();
            assert_eq!(given_up, Err(GivenUp::Late));
        }
        assert_eq!(lanes.run(LONG, ready(7)).await, Ok(7));
        assert_eq!(dead.len(), 2);
    }

    #[tokio::test]
    async fn g6_the_time_begins_when_there_is_a_place() {
        let lanes = Arc::new(Lanes::new(1, LONG));
        let held = lanes.quick.acquire().await.unwrap();
        let limit = Duration::from_millis(1);
        let waiting = {
            let lanes = Arc::clone(&lanes);
            tokio::spawn(async move { lanes.run(limit, ready(7)).await })
        };
        let begun = Instant::now();
        while begun.elapsed() < limit * 3 {
            tokio::task::yield_now().await;
        }
        drop(held);
        assert_eq!(waiting.await.unwrap(), Ok(7));
    }
}
