//! What is counted by kind, and what is timed.
//!
//! Counting is an atomic addition at a fixed place: no lock, no allocation, no text. What is shown of it
//! is made when somebody asks ([`exposition`](super::exposition)).

use std::{
    future::{Future, poll_fn},
    marker::PhantomData,
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    task::Poll,
    time::Duration,
};

use sealpost_plugin_api::ResultType;

use super::{
    Counter,
    stopwatch::Stopwatch,
    words::{Asked, Demand, Fetched, Found, Way, Went, Word, Written},
};
use crate::{
    policy::PolicyType,
    record::{SessionRecord, Verdict},
    store::DayPart,
};

/// One thing of each kind for every word of a set.
#[derive(Debug)]
pub struct Each<W, T> {
    all: Vec<T>,
    words: PhantomData<fn(W)>,
}

impl<W: Word, T: Default> Default for Each<W, T> {
    fn default() -> Self {
        Self {
            all: W::ALL.iter().map(|_| T::default()).collect(),
            words: PhantomData,
        }
    }
}

impl<W: Word, T> Each<W, T> {
    /// That of this word.
    pub fn of(&self, word: W) -> Option<&T> {
        self.all.get(word.place())
    }

    /// Each, with its word, in the order of the set.
    pub fn each(&self) -> impl Iterator<Item = (W, &T)> {
        W::ALL.iter().copied().zip(&self.all)
    }
}

impl<W: Word> Each<W, Counter> {
    fn add(&self, word: W, number: u64) {
        if let Some(counter) = self.of(word) {
            counter.add(number);
        }
    }
}

impl<W: Word> Each<W, Times> {
    /// It took so long.
    pub fn took(&self, word: W, time: Duration) {
        if let Some(times) = self.of(word) {
            times.took(time);
        }
    }
}

/// The upper bounds of the classes that times are counted in, in microseconds: from an answer out of
/// memory to the longest that a fetch may take.
pub const BOUNDS_MICROS: [u64; 15] = [
    1, 10, 100, 1_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000, 20_000_000, 60_000_000,
];

/// How long something took, each time: how often within which bounds, and all times together.
#[derive(Debug, Default)]
pub struct Times {
    /// By [`BOUNDS_MICROS`]; the last is longer than all of them.
    classes: [AtomicU64; BOUNDS_MICROS.len() + 1],
    nanos: AtomicU64,
}

impl Times {
    /// It took so long.
    pub fn took(&self, time: Duration) {
        let micros = time.as_micros();
        let class = BOUNDS_MICROS.partition_point(|bound| u128::from(*bound) < micros);
        if let Some(class) = self.classes.get(class) {
            class.fetch_add(1, Ordering::Relaxed);
        }
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// All times together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }

    /// How often, within each bound in seconds and not within the one before.
    #[must_use]
    pub fn classes(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS_MICROS.iter().map(|micros| {
            let bound = Duration::from_micros(*micros);
            bound.as_secs_f64()
        });
        let counts = self.classes.iter();
        bounds
            .chain([f64::INFINITY])
            .zip(counts.map(|count| count.load(Ordering::Relaxed)))
            .collect()
    }
}

/// Of answers that waited for nothing one in so many is timed: two looks at a clock cost more than a
/// fifth of such an answer.
const TIMED_ONE_IN: u64 = 64;

/// Everything that is counted by kind or timed.
#[derive(Debug, Default)]
pub struct Measured {
    /// Answers to policy questions.
    pub answers: Each<Way, Each<Demand, Counter>>,
    /// How long they took: of those from memory one in 64.
    pub answer_times: Each<Way, Each<Demand, Times>>,
    /// Lookups in the DNS.
    pub lookups: Each<Asked, Each<Found, Counter>>,
    /// How long they took.
    pub lookup_times: Each<Found, Times>,
    /// How long policy fetches took.
    pub fetch_times: Each<Fetched, Times>,
    /// Sessions that were counted, under each policy that they are counted under.
    pub sessions: Each<PolicyType, Each<Went, Counter>>,
    /// Of the failed ones, those that failed in this way. A session can be in several.
    pub failures: Each<PolicyType, Each<ResultType, Counter>>,
    /// Parts of days that the store's quota took before their time.
    pub forgotten: Each<DayPart, Counter>,
    /// How long batches took to come to the disk.
    pub commit_times: Each<Written, Times>,
}

impl Measured {
    /// A watch on an answer that may come from memory, if this is one to be timed. `before`: how many
    /// questions were answered so far.
    #[must_use]
    pub fn sample(before: u64) -> Option<Stopwatch> {
        before.is_multiple_of(TIMED_ONE_IN).then(Stopwatch::start)
    }

    /// An answer was given.
    pub fn answered(&self, way: Way, demand: Demand, watch: Option<Stopwatch>) {
        if let Some(answers) = self.answers.of(way) {
            answers.add(demand, 1);
        }
        if let Some(watch) = watch
            && let Some(times) = self.answer_times.of(way)
        {
            times.took(demand, watch.elapsed());
        }
    }

    /// The store's quota took a part of a day before its time.
    pub fn forgot(&self, part: DayPart) {
        self.forgotten.add(part, 1);
    }

    /// Waits for an answer, and says whether it waited for anything else. Where it did not, it is timed
    /// only if `sampled`.
    pub async fn answering<T>(
        &self,
        sampled: Option<Stopwatch>,
        answer: impl Future<Output = T>,
        demand: impl FnOnce(&T) -> Demand,
    ) -> T {
        let mut answer = pin!(answer);
        let at_once = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await;
        match at_once {
            Poll::Ready(answer) => {
                self.answered(Way::Memory, demand(&answer), sampled);
                answer
            }
            Poll::Pending => {
                let watch = sampled.unwrap_or_else(Stopwatch::start);
                let answer = answer.await;
                self.answered(Way::Waited, demand(&answer), Some(watch));
                answer
            }
        }
    }

    /// Waits for what the DNS says.
    pub async fn looking_up<T>(&self, asked: Asked, lookup: impl Future<Output = T>) -> T
    where
        for<'a> Found: From<&'a T>,
    {
        let watch = Stopwatch::start();
        let answer = lookup.await;
        let found = Found::from(&answer);
        if let Some(lookups) = self.lookups.of(asked) {
            lookups.add(found, 1);
        }
        self.lookup_times.took(found, watch.elapsed());
        answer
    }

    /// Sessions were counted. A note of a fetch is none.
    pub fn counted(&self, record: &SessionRecord) {
        let policy_type = record.policy.policy_type;
        let went = match &record.verdict {
            Verdict::Success => Went::Success,
            Verdict::Failure(_) => Went::Failure,
            Verdict::Note(_) => return,
        };
        let number = u64::from(record.sessions);
        if let Some(sessions) = self.sessions.of(policy_type) {
            sessions.add(went, number);
        }
        let (Verdict::Failure(failures), Some(ways)) =
            (&record.verdict, self.failures.of(policy_type))
        else {
            return;
        };
        for (place, failure) in failures.iter().enumerate() {
            // Two details of one type are one way to fail.
            let before = failures.iter().take(place);
            if before.filter(|one| one.result == failure.result).count() == 0 {
                ways.add(failure.result, number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        clock::Timestamp,
        policy::AppliedPolicy,
        record::{Failure, Source},
    };

    #[test]
    fn times_are_counted_in_the_class_whose_bound_they_do_not_exceed() {
        let times = Times::default();
        for micros in [0, 1, 2, 1_000, 60_000_000, 60_000_001] {
            times.took(Duration::from_micros(micros));
        }
        let counted: Vec<_> = times
            .classes()
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(
            counted,
            [
                (0.000_001, 2),
                (0.000_01, 1),
                (0.001, 1),
                (60.0, 1),
                (f64::INFINITY, 1)
            ]
        );
        assert_eq!(times.sum(), Duration::from_micros(120_001_004));
    }

    #[test]
    fn a_session_is_counted_once_and_once_in_each_way_it_failed() {
        let measured = Measured::default();
        let domain: crate::policy::PolicyDomain = "example.org".parse().unwrap();
        let failed = |result, reason: &str| Failure::of_policy(result, reason);
        let record = |verdict| SessionRecord {
            at: Timestamp(0),
            policy: Arc::new(AppliedPolicy::no_policy_found(domain.clone())),
            domain: domain.clone(),
            source: Source::Mta,
            verdict,
            protection: None,
            sessions: 3,
        };
        let expired = ResultType::CertificateExpired;
        let other = ResultType::ValidationFailure;
        for verdict in [
            Verdict::Success,
            Verdict::Failure(vec![
                failed(expired, "one"),
                failed(other, "two"),
                failed(expired, "three"),
            ]),
            Verdict::Note(failed(other, "a note")),
        ] {
            measured.counted(&record(verdict));
        }
        let kind = PolicyType::NoPolicyFound;
        let sessions = measured.sessions.of(kind).unwrap();
        let ways = measured.failures.of(kind).unwrap();
        let value = |counter: Option<&Counter>| counter.unwrap().value();
        assert_eq!(value(sessions.of(Went::Success)), 3);
        assert_eq!(value(sessions.of(Went::Failure)), 3);
        assert_eq!(value(ways.of(expired)), 3);
        assert_eq!(value(ways.of(other)), 3);
        let all = ways.each().map(|(_, counter)| counter.value());
        assert_eq!(all.sum::<u64>(), 6);
    }

    #[tokio::test]
    async fn an_answer_that_waited_is_told_from_one_that_did_not() {
        let measured = Measured::default();
        let demand = |_: &()| Demand::May;
        measured.answering(None, async {}, demand).await;
        measured
            .answering(None, tokio::task::yield_now(), demand)
            .await;
        for (way, timed) in [(Way::Memory, 0), (Way::Waited, 1)] {
            let answers = measured.answers.of(way).unwrap();
            assert_eq!(answers.of(Demand::May).unwrap().value(), 1, "{way:?}");
            let times = measured.answer_times.of(way).unwrap();
            let times = times.of(Demand::May).unwrap().classes();
            assert_eq!(times.iter().map(|(_, count)| count).sum::<u64>(), timed);
        }
    }
}
