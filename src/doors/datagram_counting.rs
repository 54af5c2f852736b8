//! The thread that makes sessions of datagrams and tells them to the hook.
//!
//! A host tells the same again and again: most sessions with a domain go well under the same policy.
//! Equal datagrams are read once and remembered, and those that wait together are told together: the
//! more waits, the less there is to tell for each.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    datagram_queue::{DatagramQueue, Datagrams},
    tlsrpt_datagram::{self, Malformed, Version},
};
use crate::{
    hook::AsyncHook,
    observe::{Counter, Counters, printable::excerpt},
    record::told::Told,
};

/// How many octets of datagrams, and of what they were read as, are remembered. As many again are
/// on their way out.
const REMEMBERED_OCTETS_MAX: usize = 32 * 1024 * 1024;

/// How much may be due before it is told. More does not save much, and is much to be told at once.
const DUE_MAX: usize = 16_384;

/// How long it is waited at once, where too much was told already; and how often for what is due.
/// What is told after that may be lost, and counted as that.
const PAUSE: Duration = Duration::from_millis(1);
const PAUSES_MAX: u32 = 2_000;

/// How often the log says that datagrams were dropped, and shows one that is not understood after the
/// first of each kind.
const SHOWN_EVERY: Duration = Duration::from_secs(60);

/// What is told, and how often.
type Due = (Arc<[Told]>, u32);

/// What the thread works with.
pub(super) struct Counting {
    hook: Arc<dyn AsyncHook>,
    counters: Arc<Counters>,
    remembered: Remembered,
    /// What is to be told of this round, and how often.
    due: Vec<Due>,
    /// Which round this is, to tell what is due in it.
    round: u64,
    sample: Sample,
    losses: Losses,
}

impl Counting {
    pub(super) fn new(hook: Arc<dyn AsyncHook>, counters: Arc<Counters>) -> Self {
        Self {
            hook,
            counters,
            remembered: Remembered::new(REMEMBERED_OCTETS_MAX),
            due: Vec::new(),
            round: 0,
            sample: Sample::default(),
            losses: Losses::default(),
        }
    }

    /// Counts until nothing more comes.
    pub(super) fn run(mut self, queue: &DatagramQueue) {
        while let Some(first) = queue.take() {
            let mut waiting = Some(first);
            while let Some(datagrams) = waiting {
                self.count(&datagrams);
                if self.due.len() > DUE_MAX {
                    self.tell();
                }
                waiting = queue.take_next(datagrams);
            }
            self.tell();
            let dropped = self.counters.datagrams_dropped.value();
            self.losses.say(dropped, now());
        }
    }

    fn count(&mut self, datagrams: &Datagrams) {
        for datagram in datagrams.iter() {
            self.count_one(datagram);
        }
    }

    /// Tells what is due, and begins another round.
    fn tell(&mut self) {
        self.round += 1;
        let mut pauses = 0;
        for (told, times) in self.due.drain(..) {
            // There is more room for datagrams here than for what becomes of them behind the hook.
            while pauses < PAUSES_MAX && self.hook.is_pressed() {
                std::thread::sleep(PAUSE);
                pauses += 1;
            }
            for each in told.iter() {
                self.hook.told(each, times);
            }
        }
    }

    fn count_one(&mut self, datagram: &[u8]) {
        let version = match self.remembered.find(datagram, self.round, &mut self.due) {
            Some(version) => version,
            None => match tlsrpt_datagram::read(datagram) {
                Ok(reading) => {
                    let mut known = Known {
                        told: reading.told.into(),
                        version: reading.version,
                        due: None,
                    };
                    known.tell(self.round, &mut self.due);
                    self.remembered.put(datagram.into(), known);
                    reading.version
                }
                Err(malformed) => {
                    self.counters.datagrams_malformed.count();
                    counter_of(&malformed, &self.counters).count();
                    self.sample.malformed(&malformed, datagram);
                    return;
                }
            },
        };
        if version == Version::Other {
            self.counters.datagrams_other_version.count();
            self.sample.other_version(datagram);
        }
    }
}

fn counter_of<'a>(malformed: &Malformed, counters: &'a Counters) -> &'a Counter {
    match malformed {
        Malformed::TooLarge => &counters.datagrams_malformed_too_large,
        Malformed::NotUtf8 => &counters.datagrams_malformed_not_utf8,
        Malformed::NotJson(_) => &counters.datagrams_malformed_not_json,
        Malformed::Shape(_) => &counters.datagrams_malformed_shape,
        Malformed::Domain(_) => &counters.datagrams_malformed_domain,
        Malformed::NoPolicies => &counters.datagrams_malformed_no_policies,
        Malformed::PolicyDomain(_) => &counters.datagrams_malformed_policy_domain,
        Malformed::PolicyType(_) => &counters.datagrams_malformed_policy_type,
        Malformed::FinalResult(_) => &counters.datagrams_malformed_final_result,
        Malformed::FailureCode(_) => &counters.datagrams_malformed_failure_code,
        Malformed::TooMany => &counters.datagrams_malformed_too_many,
    }
}

/// Datagrams that were read, by their octets. The oldest are forgotten: those that were not seen again
/// while [`REMEMBERED_OCTETS_MAX`] of others came.
#[derive(Debug)]
struct Remembered {
    newer: HashMap<Box<[u8]>, Known>,
    older: HashMap<Box<[u8]>, Known>,
    /// What the newer take.
    weight: usize,
    weight_max: usize,
}

/// What a datagram was read as.
#[derive(Debug)]
struct Known {
    told: Arc<[Told]>,
    version: Version,
    /// In which round it is due, and where.
    due: Option<(u64, usize)>,
}

impl Remembered {
    fn new(weight_max: usize) -> Self {
        Self {
            newer: HashMap::new(),
            older: HashMap::new(),
            weight: 0,
            weight_max,
        }
    }

    /// Has what the datagram tells told once more, where it is known.
    fn find(&mut self, datagram: &[u8], round: u64, due: &mut Vec<Due>) -> Option<Version> {
        if let Some(known) = self.newer.get_mut(datagram) {
            known.tell(round, due);
            return Some(known.version);
        }
        let (octets, mut known) = self.older.remove_entry(datagram)?;
        let version = known.version;
        known.tell(round, due);
        self.put(octets, known);
        Some(version)
    }

    fn put(&mut self, octets: Box<[u8]>, known: Known) {
        // What was read of it holds about the same texts again.
        let weight = 2 * octets.len() + known.told.len() * size_of::<Told>() + 256;
        if self.weight + weight > self.weight_max {
            self.older = std::mem::take(&mut self.newer);
            self.weight = 0;
        }
        self.weight += weight;
        self.newer.insert(octets, known);
    }
}

impl Known {
    /// Once more, in this round.
    fn tell(&mut self, round: u64, due: &mut Vec<Due>) {
        let there = match self.due {
            Some((of, index)) if of == round => due.get_mut(index),
            _ => None,
        };
        if let Some((_, times)) = there {
            *times = times.saturating_add(1);
        } else {
            self.due = Some((round, due.len()));
            due.push((Arc::clone(&self.told), 1));
        }
    }
}

/// What is said of datagrams that found no room. The thread that reads says nothing itself: a log may
/// make it wait.
#[derive(Debug, Default)]
struct Losses {
    said: u64,
    last_said: Option<Instant>,
}

impl Losses {
    fn say(&mut self, dropped: u64, now: Instant) {
        let quiet = self
            .last_said
            .is_none_or(|last| now.duration_since(last) >= SHOWN_EVERY);
        if dropped > self.said && quiet {
            tracing::error!(
                dropped = dropped - self.said,
                "outcomes came faster than they could be counted and were dropped; \
                 tlsrpt_socket.waiting_mib_max bounds how much may wait"
            );
            self.said = dropped;
            self.last_said = Some(now);
        }
    }
}

/// Which of the datagrams that are not understood are shown in the log.
#[derive(Debug, Default)]
struct Sample {
    kinds_shown: Vec<&'static str>,
    last_shown: Option<Instant>,
}

impl Sample {
    fn malformed(&mut self, malformed: &Malformed, datagram: &[u8]) {
        if self.is_due(malformed.kind(), now()) {
            tracing::warn!(
                kind = malformed.kind(),
                "a datagram is not understood and tells nothing: {malformed}; it begins: {}",
                beginning(datagram)
            );
        }
    }

    fn other_version(&mut self, datagram: &[u8]) {
        if self.is_due("version", now()) {
            tracing::warn!(
                "a datagram is of another version than 1; what version 1 has is read; it begins: {}",
                beginning(datagram)
            );
        }
    }

    fn is_due(&mut self, kind: &'static str, now: Instant) -> bool {
        let first = !self.kinds_shown.contains(&kind);
        let quiet = self
            .last_shown
            .is_none_or(|last| now.duration_since(last) >= SHOWN_EVERY);
        if first {
            self.kinds_shown.push(kind);
        }
        if first || quiet {
            self.last_shown = Some(now);
        }
        first || quiet
    }
}

fn beginning(datagram: &[u8]) -> String {
    let beginning = datagram.get(..512).unwrap_or(datagram);
    excerpt(&String::from_utf8_lossy(beginning))
}

#[expect(
    clippy::disallowed_methods,
    reason = "spaces out log lines; nothing is decided by it"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    };

    use sealpost_plugin_api::{Query, Session};

    use super::*;
    use crate::{
        clock::BoxFuture,
        hook::{Answer, Asker, basis::DaneUse},
    };

    /// Keeps what it is told: the domain, and how often at once.
    #[derive(Default)]
    struct Ear {
        heard: Mutex<Vec<String>>,
        /// How often it still says that it is pressed.
        pressed: AtomicU32,
    }

    impl AsyncHook for Ear {
        fn policy<'a>(&'a self, _query: Query<'a>) -> BoxFuture<'a, Arc<Answer>> {
            panic!("nothing is asked")
        }

        fn policy_at_once(&self, _query: &Query<'_>, _dane: DaneUse) -> Option<Arc<Answer>> {
            panic!("nothing is asked")
        }

        fn answered(&self, _answer: &Arc<Answer>, _asker: Asker) {
            panic!("nothing is answered")
        }

        fn session(&self, _session: &Session<'_>) {
            panic!("everything is told with its policy")
        }

        fn told(&self, told: &Told, sessions: u32) {
            let line = format!("{} {sessions}", told.domain);
            self.heard.lock().unwrap().push(line);
        }

        fn is_pressed(&self) -> bool {
            let less = |left: u32| left.checked_sub(1);
            let left = self
                .pressed
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
            left.is_ok()
        }
    }

    fn counting(remembered_octets_max: usize) -> (Counting, Arc<Ear>) {
        let ear = Arc::new(Ear::default());
        let mut counting = Counting::new(Arc::clone(&ear) as _, Arc::default());
        counting.remembered.weight_max = remembered_octets_max;
        (counting, ear)
    }

    fn piece(texts: &[&str]) -> Datagrams {
        let mut all = Datagrams::with_room(0);
        texts.iter().for_each(|text| all.push(text.as_bytes()));
        all
    }

    fn heard(ear: &Ear) -> Vec<String> {
        std::mem::take(&mut *ear.heard.lock().unwrap())
    }

    fn good(domain: &str) -> String {
        format!(r#"{{"d":"{domain}","policies":[{{"policy-type":9,"f":0}}]}}"#)
    }

    #[test]
    fn equal_datagrams_that_come_together_are_told_together() {
        let (mut counting, ear) = counting(1 << 20);
        let (one, two) = (good("one.example"), good("two.example"));
        counting.count(&piece(&[&one, &two]));
        counting.count(&piece(&[&one, &one]));
        counting.tell();
        assert_eq!(heard(&ear), ["one.example 3", "two.example 1"]);
        // Another time.
        counting.count(&piece(&[&two, &two, &one]));
        counting.tell();
        assert_eq!(heard(&ear), ["two.example 2", "one.example 1"]);
        let three = good("three.example").replace("]}", r#",{"policy-type":2,"f":1}]}"#);
        counting.count(&piece(&[&three, &three]));
        counting.tell();
        assert_eq!(heard(&ear), ["three.example 2", "three.example 2"]);
    }

    #[test]
    fn what_is_due_waits_while_the_hook_is_pressed_but_not_for_ever() {
        for pressed in [3, u32::MAX] {
            let (mut counting, ear) = counting(1 << 20);
            ear.pressed.store(pressed, Ordering::SeqCst);
            counting.count(&piece(&[&good("one.example"), &good("two.example")]));
            counting.tell();
            assert_eq!(heard(&ear), ["one.example 1", "two.example 1"]);
            let asked = pressed - ear.pressed.load(Ordering::SeqCst);
            assert_eq!(asked, pressed.min(PAUSES_MAX));
        }
    }

    #[test]
    fn what_is_not_understood_disturbs_nothing_and_is_counted_by_kind() {
        let (mut counting, ear) = counting(1 << 20);
        let one = good("one.example");
        let version = r#"{"dpv":"7","d":"one.example","policies":[{"policy-type":9,"f":0}]}"#;
        counting.count(&piece(&["{", &one, "[]", "", version, "{}", version]));
        counting.tell();
        assert_eq!(heard(&ear), ["one.example 1", "one.example 2"]);
        let counters = &counting.counters;
        for (counter, expected) in [
            (&counters.datagrams_malformed, 4),
            (&counters.datagrams_malformed_not_json, 2),
            (&counters.datagrams_malformed_shape, 1),
            (&counters.datagrams_malformed_domain, 1),
            (&counters.datagrams_other_version, 2),
        ] {
            assert_eq!(counter.value(), expected);
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_comes_again_stays() {
        let weight_max = 64 * 1024;
        let (mut counting, ear) = counting(weight_max);
        let often = good("often.example");
        for number in 0..2_000 {
            let once = good(&format!("d{number}.example"));
            counting.count(&piece(&[&once, &often]));
            counting.tell();
        }
        assert_eq!(heard(&ear).len(), 4_000);
        let remembered = &counting.remembered;
        let count = remembered.newer.len() + remembered.older.len();
        assert!(count < 2 * weight_max / 256, "{count}");
        assert!(remembered.weight <= weight_max);
        let key = often.as_bytes();
        assert!(remembered.newer.contains_key(key) || remembered.older.contains_key(key));
        assert!(!remembered.newer.contains_key(good("d0.example").as_bytes()));
    }

    #[test]
    fn the_first_of_each_kind_is_shown_and_then_one_a_minute() {
        let mut sample = Sample::default();
        let begin = now();
        for (seconds, kind, shown) in [
            (0, "not-json", true),
            (1, "not-json", false),
            (2, "shape", true),
            (59, "shape", false),
            (61, "not-json", false),
            (62, "not-json", true),
            (63, "shape", false),
            (64, "domain", true),
            (124, "domain", true),
        ] {
            let at = begin + Duration::from_secs(seconds);
            assert_eq!(sample.is_due(kind, at), shown, "{kind} after {seconds} s");
        }
    }

    #[test]
    fn g3_what_is_shown_of_a_datagram_is_short_and_harmless() {
        let hostile = b"\x1b[2J\r\nforged \xff".repeat(1_000);
        let shown = beginning(&hostile);
        assert!(shown.len() < 1_000, "{}", shown.len());
        assert!(!shown.contains(|letter: char| letter.is_control()));
    }
}
