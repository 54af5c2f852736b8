//! What a refusal makes of a destination: nothing is sent to it for a while, longer each time. Pure.
//!
//! A mailbox that is gone bounces every day for ever, and nobody reads the bounces. So a final answer to an
//! attempt, or a bounce that comes later, suppresses the destination; a report that is taken makes it good
//! again. `docs/decisions/0014-suppression.md` has the reasons.

use std::fmt;

use crate::{
    clock::{SECONDS_PER_DAY, Timestamp},
    net::handover::SendError,
    policy::Destination,
};

/// For how many days nothing is sent after the first refusal of a row, the second, and so on; the last
/// one holds for all further ones.
// OURS: RFC 8460 leaves it open. The first bridges a weekend's mistake, the last still asks four times a year.
const PERIODS_DAYS: [u32; 5] = [3, 7, 14, 30, 90];

/// A row of refusals has ended when a report was taken so long ago and none sent since was refused.
// OURS: a relay takes every report, and the bounce comes when the relay gives up: after five days, as MTAs are
// delivered. What it took is worth something only then.
const ROW_ENDS_DAYS: u32 = 7;

/// So long after its end a suppression is forgotten, and the next refusal is a first one.
const FORGET_DAYS: u32 = 180;

/// How many refusals of a destination are kept for the operator, the newest.
const REFUSALS_MAX: usize = 4;

/// The most that is kept of the words of a refusal, or of the operator's reason.
const WORDS_CHARACTERS_MAX: usize = 300;

/// The most that is kept of the name of a report.
const REPORT_ID_CHARACTERS_MAX: usize = 400;

/// Who hands over mail to the mailbox's host: whose answer a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// A relay or a program of the operator's. Its answer may be about us as well as about the mailbox.
    Relay,
    /// We: the answer is the destination's own.
    Destination,
}

/// How a destination stands with what it has refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// Who made it.
    pub set_by: SetBy,
    /// Since when: the first refusal of the row, or the operator's word.
    pub since: Timestamp,
    /// Until when nothing is sent; absent: until it is lifted.
    pub until: Option<Timestamp>,
    /// How often in a row reports were refused.
    pub times: u32,
    /// When the first report after the last refusal was taken.
    pub taken_at: Option<Timestamp>,
    /// When the operator last lifted it.
    pub lifted_at: Option<Timestamp>,
    /// The newest refusals, oldest first.
    pub refusals: Vec<Refusal>,
}

/// Who suppressed a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetBy {
    /// It did so itself, by its refusals.
    Refusals,
    /// The operator, for this reason.
    Operator(String),
}

/// One report that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// When that was learnt.
    pub at: Timestamp,
    /// When the report had been handed over.
    pub sent_at: Timestamp,
    /// By an answer, or by a bounce.
    pub how: How,
    /// The words of whoever refused it, made safe to show.
    pub words: String,
    /// The report.
    pub report_id: String,
}

/// How a refusal came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// As the final answer to an attempt.
    Answer,
    /// As a mail that the report could not be delivered (RFC 3464).
    Bounce,
}

impl How {
    /// The word shown to an operator.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Bounce => "bounce",
        }
    }
}

impl Refusal {
    /// A refusal, its texts cut to what is kept of them.
    #[must_use]
    pub fn new(
        how: How,
        (sent_at, at): (Timestamp, Timestamp),
        words: &str,
        report_id: &str,
    ) -> Self {
        Self {
            at,
            sent_at,
            how,
            words: cut(words, WORDS_CHARACTERS_MAX),
            report_id: cut(report_id, REPORT_ID_CHARACTERS_MAX),
        }
    }
}

/// Whether an answer says that reports to the destination are in vain.
#[must_use]
pub fn is_refusal(next_hop: NextHop, destination: &Destination, error: &SendError) -> bool {
    let SendError::Permanent { code, reason } = error else {
        return false;
    };
    match (destination, next_hop) {
        // F18: a null MX and a domain without mail hosts are final answers, which the DNS gives.
        (Destination::Https(_), _) | (_, NextHop::Destination) => true,
        // OURS: a relay that does not take mail from us refuses it to every mailbox of the world. Only
        // what it says of addresses and mailboxes (RFC 3463 s3.2, s3.3) is about one of them.
        (Destination::Mail(_), NextHop::Relay) => {
            code.is_some() && matches!(enhanced_status(reason), Some((5, 1 | 2)))
        }
    }
}

/// What a destination comes to by a refusal; `None` where it is known already.
#[must_use]
pub fn refused(before: Option<&Suppression>, refusal: Refusal) -> Option<Suppression> {
    let known_until = before.and_then(Suppression::known_until);
    // What was on its way when the destination first refused says nothing new, nor does the same bounce
    // when it comes again.
    if known_until.is_some_and(|known| refusal.sent_at <= known) {
        return None;
    }
    let at = refusal.at;
    let mut refusals = before.map_or_else(Vec::new, |before| before.refusals.clone());
    let is_policy = matches!(enhanced_status(&refusal.words), Some((_, 7)));
    let goes_on = before.filter(|before| before.is_row_at(refusal.sent_at));
    refusals.push(refusal);
    let beyond = refusals.len().saturating_sub(REFUSALS_MAX);
    refusals.drain(..beyond);
    if let Some(of_operator) = before.filter(|before| before.holds_by_operator(at)) {
        return Some(Suppression {
            refusals,
            ..of_operator.clone()
        });
    }
    let times = goes_on.map_or(0, |before| before.times).saturating_add(1);
    // OURS: RFC 3463 s3.8, a refusal by policy, as of an address on a blocklist, is about us rather than
    // about the mailbox, and may be over when we are off the list.
    let days = period_days(if is_policy { 1 } else { times });
    Some(Suppression {
        set_by: SetBy::Refusals,
        since: goes_on.map_or(at, |before| before.since),
        until: Some(after_days(at, days)),
        times,
        taken_at: None,
        lifted_at: before.and_then(|before| before.lifted_at),
        refusals,
    })
}

/// What a destination comes to by a report that was taken; `None` where that changes nothing.
#[must_use]
pub fn taken(before: &Suppression, at: Timestamp) -> Option<Suppression> {
    let is_suppressed = before.set_by == SetBy::Refusals && before.holds(at);
    (is_suppressed || before.taken_at.is_none()).then(|| Suppression {
        until: if is_suppressed {
            Some(at)
        } else {
            before.until
        },
        taken_at: before.taken_at.or(Some(at)),
        ..before.clone()
    })
}

/// What the operator makes of a destination: nothing is sent until then, or until it is lifted.
#[must_use]
pub fn added(
    before: Option<&Suppression>,
    until: Option<Timestamp>,
    reason: &str,
    now: Timestamp,
) -> Suppression {
    Suppression {
        set_by: SetBy::Operator(cut(reason, WORDS_CHARACTERS_MAX)),
        since: now,
        until,
        times: before.map_or(0, |before| before.times),
        taken_at: before.and_then(|before| before.taken_at),
        lifted_at: before.and_then(|before| before.lifted_at),
        refusals: before.map_or_else(Vec::new, |before| before.refusals.clone()),
    }
}

/// What is left of a suppression that the operator lifts: its history, and that what was sent before
/// counts no more. The next refusal is a first one.
#[must_use]
pub fn lifted(before: &Suppression, now: Timestamp) -> Suppression {
    Suppression {
        set_by: SetBy::Refusals,
        until: Some(now),
        times: 0,
        taken_at: None,
        lifted_at: Some(now),
        ..before.clone()
    }
}

impl Suppression {
    /// Is nothing sent there at this moment?
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Is it so by the operator's word?
    #[must_use]
    pub fn holds_by_operator(&self, now: Timestamp) -> bool {
        matches!(self.set_by, SetBy::Operator(_)) && self.holds(now)
    }

    /// Is there nothing left to be known of it?
    #[must_use]
    pub fn is_forgotten(&self, now: Timestamp) -> bool {
        let Some(until) = self.until.filter(|_| !self.holds(now)) else {
            return false;
        };
        after_days(until, FORGET_DAYS) <= now
    }

    /// Does a report that was sent then go on with the row of refusals?
    fn is_row_at(&self, sent_at: Timestamp) -> bool {
        let ended = |taken_at| after_days(taken_at, ROW_ENDS_DAYS) < sent_at;
        self.times > 0 && !self.taken_at.is_some_and(ended) && !self.is_forgotten(sent_at)
    }

    /// What was sent up to then has nothing new to tell.
    fn known_until(&self) -> Option<Timestamp> {
        let last = self.refusals.iter().map(|refusal| refusal.at).max();
        last.max(self.lifted_at)
    }
}

/// As an operator reads it behind a destination.
impl fmt::Display for Suppression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.until {
            Some(until) => write!(formatter, "suppressed until {until}")?,
            None => formatter.write_str("suppressed until it is lifted")?,
        }
        match (&self.set_by, self.refusals.last()) {
            (SetBy::Operator(reason), _) => write!(formatter, " by the operator: {reason}"),
            (SetBy::Refusals, Some(last)) => {
                let ending = if self.times == 1 { "" } else { "s" };
                let (times, words) = (self.times, &last.words);
                write!(formatter, ", {times} refusal{ending} in a row: {words}")
            }
            (SetBy::Refusals, None) => Ok(()),
        }
    }
}

/// One key for all ways to write a mailbox, so that a bounce finds it.
// OURS: RFC 5321 s2.4 leaves the case of a local part to its host; hosts that tell cases apart are not known,
// and MTAs that write addresses in lower case into their bounces are.
#[must_use]
pub fn folded(destination: &Destination) -> Destination {
    match destination {
        Destination::Mail(mailbox) => Destination::Mail(mailbox.to_lowercase()),
        Destination::Https(uri) => Destination::Https(uri.clone()),
    }
}

fn period_days(times: u32) -> u32 {
    let place = usize::try_from(times.saturating_sub(1)).unwrap_or(usize::MAX);
    let last = PERIODS_DAYS.last().copied().unwrap_or(1);
    PERIODS_DAYS.get(place).copied().unwrap_or(last)
}

fn after_days(at: Timestamp, days: u32) -> Timestamp {
    at.plus_seconds(i64::from(days).saturating_mul(SECONDS_PER_DAY))
}

/// The class and subject of the first enhanced status code (RFC 3463 s2) of a text.
fn enhanced_status(text: &str) -> Option<(u8, u16)> {
    let mut words = text.split(|letter: char| !(letter.is_ascii_digit() || letter == '.'));
    words.find_map(|word| {
        let mut parts = word.split('.');
        let class = parts
            .next()?
            .parse()
            .ok()
            .filter(|class| matches!(class, 4 | 5))?;
        let subject = parts.next()?.parse().ok().filter(|subject| *subject < 10)?;
        let detail: u16 = parts.next()?.parse().ok()?;
        (detail < 1_000 && parts.next().is_none()).then_some((class, subject))
    })
}

fn cut(text: &str, characters_max: usize) -> String {
    text.chars().take(characters_max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = SECONDS_PER_DAY;
    const START: Timestamp = Timestamp(1_795_478_400);

    fn day(number: i64) -> Timestamp {
        START.plus_seconds(number * DAY)
    }

    fn answer(at: Timestamp, words: &str) -> Refusal {
        Refusal::new(How::Answer, (at, at), words, "1@sender.example")
    }

    fn bounce(sent_at: Timestamp, at: Timestamp) -> Refusal {
        Refusal::new(How::Bounce, (sent_at, at), "5.1.1 gone", "1@sender.example")
    }

    /// How many days the suppression of each of these refusals lasts.
    fn periods(steps: &[Step]) -> Vec<i64> {
        let mut state: Option<Suppression> = None;
        let mut periods = Vec::new();
        for step in steps {
            match step {
                Refused(refusal) => match refused(state.as_ref(), refusal.clone()) {
                    Some(next) => {
                        let until = next.until.unwrap();
                        periods.push(until.seconds_since(refusal.at) / DAY);
                        state = Some(next);
                    }
                    None => periods.push(0),
                },
                Taken(at) => {
                    let before = state.take().unwrap();
                    state = Some(taken(&before, *at).unwrap_or(before));
                }
                Lifted(at) => state = state.map(|before| lifted(&before, *at)),
            }
        }
        periods
    }

    enum Step {
        Refused(Refusal),
        Taken(Timestamp),
        Lifted(Timestamp),
    }
    use Step::{Lifted, Refused, Taken};

    #[test]
    fn f9_periods_grow_with_each_refusal_in_a_row_and_a_report_that_stays_taken_ends_it() {
        let gone = |number| Refused(answer(day(number), "550 5.1.1 gone"));
        for (name, steps, expected) in [
            (
                "each longer than the one before, up to a quarter of a year",
                vec![gone(0), gone(3), gone(10), gone(24), gone(54), gone(144)],
                vec![3, 7, 14, 30, 90, 90],
            ),
            (
                "what was on its way counts once",
                vec![gone(0), gone(0), Refused(bounce(day(0), day(2)))],
                vec![3, 0, 0],
            ),
            (
                "a report that was taken, and stayed so, makes the next refusal a first one",
                vec![gone(0), gone(3), Taken(day(10)), gone(18)],
                vec![3, 7, 3],
            ),
            (
                "a relay takes everything, and the bounce comes days later",
                vec![
                    Refused(bounce(day(0), day(1))),
                    Taken(day(4)),
                    Refused(bounce(day(4), day(9))),
                    Taken(day(16)),
                    Refused(bounce(day(16), day(16))),
                ],
                vec![3, 7, 14],
            ),
            (
                "the same bounce again",
                vec![
                    Refused(bounce(day(0), day(1))),
                    Refused(bounce(day(0), day(30))),
                ],
                vec![3, 0],
            ),
            (
                "what was sent before the operator lifted it",
                vec![
                    gone(0),
                    gone(3),
                    Lifted(day(4)),
                    Refused(bounce(day(3), day(5))),
                    gone(5),
                ],
                vec![3, 7, 0, 3],
            ),
            (
                "refused by policy: about us, and never for long",
                vec![
                    Refused(answer(day(0), "554 5.7.1 listed by bl.example")),
                    Refused(answer(day(3), "554 5.7.1 listed by bl.example")),
                ],
                vec![3, 3],
            ),
            (
                "half a year after its end it is forgotten",
                vec![gone(0), gone(3), gone(3 + 7 + 181)],
                vec![3, 7, 3],
            ),
        ] {
            assert_eq!(periods(&steps), expected, "{name}");
        }
    }

    #[test]
    fn f9_the_operators_word_holds_until_its_end_whatever_is_refused_or_taken() {
        let gone = |at| answer(at, "550 5.1.1 gone");
        let first = refused(None, gone(day(0))).unwrap();
        let added = added(Some(&first), None, "asked by phone", day(1));
        assert!(added.holds(day(10_000)) && added.holds_by_operator(day(10_000)));
        let still = refused(Some(&added), gone(day(2))).unwrap();
        assert_eq!(still.until, None);
        assert_eq!(still.refusals.len(), 2, "it is kept what happened");
        let still = taken(&still, day(3)).unwrap();
        assert!(still.holds(day(4)));
        assert_eq!(
            still.to_string(),
            "suppressed until it is lifted by the operator: asked by phone"
        );
        let free = lifted(&still, day(5));
        assert!(!free.holds(day(5)));
        assert_eq!(free.refusals.len(), 2);
    }

    #[test]
    fn f18_which_answers_are_about_the_destination() {
        let mail = Destination::Mail("r@a.example".to_owned());
        let web = Destination::Https("https://a.example/r".to_owned());
        let no = |code, reason: &str| SendError::Permanent {
            code,
            reason: reason.to_owned(),
        };
        let later = SendError::Unreachable {
            reason: "no connection".to_owned(),
        };
        let null_mx = no(None, "a.example takes no mail (null MX)");
        let user = no(Some(550), "5.1.1 <r@a.example> from mx [192.0.2.1] to RCPT");
        let relay = no(
            Some(554),
            "5.7.1 Relay access denied from relay [192.0.2.1] to RCPT",
        );
        let program = no(None, "/usr/sbin/sendmail ended with 67 (EX_NOUSER): 5.1.1");
        let plain = no(Some(550), "no from relay [192.0.2.1] to MAIL");
        for (next_hop, destination, error, expected) in [
            (NextHop::Destination, &mail, &null_mx, true),
            (NextHop::Destination, &mail, &user, true),
            (NextHop::Destination, &mail, &plain, true),
            (NextHop::Destination, &mail, &later, false),
            (NextHop::Relay, &mail, &user, true),
            (NextHop::Relay, &mail, &relay, false),
            (NextHop::Relay, &mail, &plain, false),
            (NextHop::Relay, &mail, &null_mx, false),
            (NextHop::Relay, &mail, &program, false),
            (NextHop::Relay, &web, &no(Some(404), "Not Found"), true),
        ] {
            assert_eq!(
                is_refusal(next_hop, destination, error),
                expected,
                "{next_hop:?} {error}"
            );
        }
    }

    #[test]
    fn an_operator_reads_how_often_and_why() {
        let first = refused(None, answer(day(0), "550 5.1.1 gone")).unwrap();
        assert_eq!(
            first.to_string(),
            "suppressed until 2026-11-27T00:00:00Z, 1 refusal in a row: 550 5.1.1 gone"
        );
        let long = refused(None, answer(day(0), &"ü".repeat(10_000))).unwrap();
        assert_eq!(long.refusals[0].words.chars().count(), WORDS_CHARACTERS_MAX);
        let mut many = first;
        for number in 1..20 {
            many = refused(Some(&many), answer(day(100 * number), "550 gone")).unwrap();
        }
        assert_eq!(many.refusals.len(), REFUSALS_MAX);
    }

    #[test]
    fn a_status_code_is_told_from_addresses_and_versions() {
        for (text, expected) in [
            ("5.1.1 no such user", Some((5, 1))),
            ("550-5.1.10 RESOLVER.ADR", Some((5, 1))),
            ("smtp; 554 5.7.1 blocked", Some((5, 7))),
            ("4.4.7 expired", Some((4, 4))),
            ("no from mx [192.0.2.1]", None),
            ("no from mx [5.1.2.3] to RCPT", None),
            ("version 5.1", None),
            ("", None),
        ] {
            assert_eq!(enhanced_status(text), expected, "{text}");
        }
    }
}
