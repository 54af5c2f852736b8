//! The questions and the right answers.

use std::fmt::Display;

use sealpost::net::dns::{Found, Lookup, SecureDns};

use self::Asked::{Addresses, Alias, Mx, Tlsa};
use super::zones::{TIME_TO_LIVE_SECONDS, large};

/// Which records are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Mx,
    Addresses,
    Alias,
    Tlsa,
}

/// A question and its answer: `secure`, `insecure`, `bogus` or `failed`, the values in order or `nothing`,
/// and the name at the end of the aliases.
pub(super) type Case = (Asked, &'static str, &'static str);

const KEY: &str = "3 1 1 ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB";
const AUTHORITY: &str = "2 1 1 CDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCD";

/// What is signed as it should be, and denied by names.
const SOUND: &[Case] = &[
    (
        Mx,
        "ok.test",
        "secure: 10 mx.ok.test, 10 mx2.ok.test, 20 mx.plain.test",
    ),
    (
        Mx,
        "OK.Test.",
        "secure: 10 mx.ok.test, 10 mx2.ok.test, 20 mx.plain.test",
    ),
    (Mx, "null.ok.test", "secure: 0 "),
    (Addresses, "mx.ok.test", "secure: 192.0.2.1, 2001:db8::1"),
    (Addresses, "mx2.ok.test", "secure: 192.0.2.2"),
    (Tlsa, "_25._tcp.mx.ok.test", "secure: KEY"),
    // The type is not there, the name is not there, and a name that only leads to others.
    (Mx, "mx.ok.test", "secure: nothing"),
    (Mx, "nothing.ok.test", "secure: nothing"),
    (Addresses, "nothing.ok.test", "secure: nothing"),
    (Tlsa, "_25._tcp.mx2.ok.test", "secure: nothing"),
    (Tlsa, "_465._tcp.mx.ok.test", "secure: nothing"),
    (Mx, "_tcp.mx.ok.test", "secure: nothing"),
    (Mx, "nothing.test", "secure: nothing"),
    (Mx, "nothing.example", "secure: nothing"),
    // Wildcards.
    (Addresses, "x.wild.ok.test", "secure: 192.0.2.3"),
    (Addresses, "x.y.wild.ok.test", "secure: 192.0.2.3"),
    (Mx, "x.wild.ok.test", "secure: nothing"),
    (Addresses, "nothing.there.wild.ok.test", "secure: nothing"),
    (Mx, "x.post.ok.test", "secure: 10 mx.ok.test"),
    (Tlsa, "_25._tcp.any.ok.test", "secure: AUTHORITY"),
    (
        Addresses,
        "x.alias.ok.test",
        "secure: 192.0.2.1, 2001:db8::1 at mx.ok.test",
    ),
];

/// The same, denied by hashes.
const HASHED: &[Case] = &[
    (Mx, "hash.test", "secure: 10 mx.hash.test"),
    (Addresses, "mx.hash.test", "secure: 192.0.2.4"),
    (Tlsa, "_25._tcp.mx.hash.test", "secure: KEY"),
    (Mx, "mx.hash.test", "secure: nothing"),
    (Mx, "nothing.hash.test", "secure: nothing"),
    (Mx, "not.a.thing.hash.test", "secure: nothing"),
    (Mx, "_tcp.mx.hash.test", "secure: nothing"),
    (Addresses, "x.y.wild.hash.test", "secure: 192.0.2.3"),
    (Mx, "x.y.wild.hash.test", "secure: nothing"),
    (Mx, "plain.hash.test", "insecure: 10 mx.plain.hash.test"),
    (Mx, "nothing.plain.hash.test", "insecure: nothing"),
    (Mx, "optout.test", "secure: 10 mx.optout.test"),
    (Addresses, "mx.optout.test", "secure: 192.0.2.4"),
    (Mx, "mx.optout.test", "secure: nothing"),
    // RFC 5155 s9.2: there may be an unsigned zone of this name, so its absence is not proven.
    (Mx, "nothing.optout.test", "insecure: nothing"),
    (Mx, "plain.optout.test", "insecure: 10 mx.plain.optout.test"),
    // So many rounds nobody need follow.
    (Mx, "rounds.test", "secure: 10 mx.rounds.test"),
    (Mx, "nothing.rounds.test", "insecure: nothing"),
    (Mx, "few.test", "secure: 10 mx.few.test"),
    (Mx, "nothing.few.test", "secure: nothing"),
];

/// What is not signed.
const UNSIGNED: &[Case] = &[
    (Mx, "plain.test", "insecure: 10 mx.plain.test"),
    (Addresses, "mx.plain.test", "insecure: 192.0.2.9"),
    (Tlsa, "_25._tcp.mx.plain.test", "insecure: KEY"),
    (Mx, "nothing.plain.test", "insecure: nothing"),
    (Mx, "mx.plain.test", "insecure: nothing"),
    // Signed, and nobody above says so.
    (Mx, "below.plain.test", "insecure: 10 mx.ok.test"),
    (Mx, "nothing.below.plain.test", "insecure: nothing"),
    (Mx, "island.test", "insecure: 10 mx.ok.test"),
    (Mx, "deep.island.test", "insecure: 10 mx.ok.test"),
    // Even where the signatures do not hold: nobody looks.
    (Mx, "ruin.test", "insecure: 10 mx.ok.test"),
    (Mx, "unknown.test", "insecure: 10 mx.ok.test"),
    (Tlsa, "_25._tcp.nothing.unknown.test", "insecure: nothing"),
];

/// What is signed, and does not hold.
const BOGUS: &[Case] = &[
    (Mx, "altered.test", "bogus"),
    (Addresses, "altered.test", "secure: 192.0.2.1"),
    (Tlsa, "_25._tcp.altered.test", "bogus"),
    (Mx, "stripped.test", "bogus"),
    (Mx, "expired.test", "bogus"),
    (Mx, "nothing.expired.test", "bogus"),
    (Mx, "future.test", "bogus"),
    (Mx, "rolled.test", "bogus"),
    (Addresses, "nothing.rolled.test", "bogus"),
    (Mx, "lost.test", "bogus"),
    (Mx, "keyless.test", "bogus"),
    (Mx, "mute.test", "secure: 10 mx.mute.test"),
    (Mx, "nothing.mute.test", "bogus"),
    (Tlsa, "_25._tcp.mx.mute.test", "bogus"),
    // Whoever cannot prove that a zone is unsigned must not make it so.
    (Mx, "plain.mute.test", "bogus"),
    (Mx, "nothing.lies.test", "bogus"),
    (Mx, "below.altered.test", "bogus"),
    (Addresses, "half.altered.test", "secure: 192.0.2.1"),
    (Addresses, "x.wild.mute.test", "bogus"),
];

/// Aliases, within zones and across them.
const ALIASES: &[Case] = &[
    (
        Addresses,
        "www.ok.test",
        "secure: 192.0.2.1, 2001:db8::1 at mx.ok.test",
    ),
    (
        Addresses,
        "far.ok.test",
        "secure: 192.0.2.4 at mx.hash.test",
    ),
    (
        Addresses,
        "farther.ok.test",
        "secure: 192.0.2.4 at mx.hash.test",
    ),
    (
        Addresses,
        "out.ok.test",
        "insecure: 192.0.2.9 at mx.plain.test",
    ),
    (
        Addresses,
        "in.plain.test",
        "insecure: 192.0.2.1, 2001:db8::1 at mx.ok.test",
    ),
    (
        Addresses,
        "round.ok.test",
        "insecure: 192.0.2.1, 2001:db8::1 at mx.ok.test",
    ),
    (
        Addresses,
        "dangling.ok.test",
        "secure: nothing at nothing.ok.test",
    ),
    (
        Addresses,
        "dangling.plain.test",
        "insecure: nothing at nothing.ok.test",
    ),
    (Mx, "www.ok.test", "secure: nothing at mx.ok.test"),
    (Mx, "mail.ok.test", "secure: 10 mx.hash.test at hash.test"),
    (Mx, "spoilt.ok.test", "bogus"),
    (Mx, "in.altered.test", "bogus"),
    (
        Tlsa,
        "_25._tcp.www.ok.test",
        "secure: KEY at _25._tcp.mx.ok.test",
    ),
    (
        Tlsa,
        "_25._tcp.far.ok.test",
        "secure: KEY at _25._tcp.mx.hash.test",
    ),
    (
        Tlsa,
        "_25._tcp.out.ok.test",
        "insecure: KEY at _25._tcp.mx.plain.test",
    ),
    (Tlsa, "_25._tcp.spoilt.ok.test", "bogus"),
    (
        Tlsa,
        "_25._tcp.in.plain.test",
        "insecure: KEY at _25._tcp.mx.ok.test",
    ),
    (Alias, "www.ok.test", "secure: mx.ok.test"),
    (Alias, "out.ok.test", "secure: mx.plain.test"),
    (Alias, "x.alias.ok.test", "secure: mx.ok.test"),
    (Alias, "in.plain.test", "insecure: mx.ok.test"),
    (Alias, "in.altered.test", "bogus"),
    (Alias, "mx.ok.test", "secure: nothing"),
    (Alias, "nothing.ok.test", "secure: nothing"),
    (Alias, "mx.plain.test", "insecure: nothing"),
    (Mx, "loop.ok.test", "failed"),
];

/// Names that have moved with all that is below them (DNAME).
const MOVED: &[Case] = &[
    (
        Addresses,
        "mx.old.moved.test",
        "secure: 192.0.2.1, 2001:db8::1 at mx.ok.test",
    ),
    (
        Addresses,
        "nothing.old.moved.test",
        "secure: nothing at nothing.ok.test",
    ),
    (
        Addresses,
        "www.old.moved.test",
        "secure: 192.0.2.1, 2001:db8::1 at mx.ok.test",
    ),
    (
        Tlsa,
        "_25._tcp.mx.old.moved.test",
        "secure: KEY at _25._tcp.mx.ok.test",
    ),
    (Mx, "old.moved.test", "secure: nothing"),
    (
        Addresses,
        "mx.out.moved.test",
        "insecure: 192.0.2.9 at mx.plain.test",
    ),
    (
        Addresses,
        "mx.old.plain.test",
        "insecure: 192.0.2.1, 2001:db8::1 at mx.ok.test",
    ),
    (Addresses, "mx.bad.moved.test", "bogus"),
    (Alias, "mx.old.moved.test", "secure: mx.ok.test"),
    (Alias, "mx.out.moved.test", "secure: mx.plain.test"),
    (Alias, "mx.bad.moved.test", "bogus"),
];

/// Servers that misbehave, and answers that are large.
const TROUBLE: &[Case] = &[
    // One family is enough (C2).
    (Addresses, "half.flaky.test", "insecure: 192.0.2.9"),
    (Addresses, "half.broken.test", "secure: 192.0.2.1"),
    (Addresses, "refused.flaky.test", "failed"),
    (Mx, "flaky.test", "failed"),
    (Mx, "broken.test", "failed"),
    (Tlsa, "_25._tcp.half.broken.test", "failed"),
    (Tlsa, "_25._tcp.mx.broken.test", "failed"),
    (Tlsa, "_25._tcp.mx.large.test", "secure: LARGE"),
    (Addresses, "mx.large.test", "secure: 192.0.2.1"),
];

/// The questions with their answers.
pub(super) fn cases() -> impl Iterator<Item = &'static Case> {
    [SOUND, HASHED, UNSIGNED, BOGUS, ALIASES, MOVED, TROUBLE]
        .into_iter()
        .flatten()
}

/// Asks everything of the table, and says where the answer is another.
pub(super) async fn differences(dns: &dyn SecureDns) -> Vec<String> {
    let mut differences = Vec::new();
    for (asked, name, expected) in cases() {
        let got = match asked {
            Mx => outline(dns.mx(name).await, |mx| {
                // Unbound lends the question's letters to a name that ends like it (RFC 1035 s4.1.4).
                format!("{} {}", mx.preference, mx.exchange.to_ascii_lowercase())
            }),
            Addresses => outline(dns.addresses(name).await, text),
            Alias => outline(dns.alias(name).await, text),
            Tlsa => outline(dns.tlsa(name).await, text),
        };
        let expected = written_out(expected);
        let words = got
            .split_once(" (")
            .map_or(got.as_str(), |(words, _)| words);
        if words != expected {
            differences.push(format!("{asked:?} {name}: {expected}\n    but got {got}"));
        }
    }
    differences
}

/// An answer as the table has it. The reason for having none follows in brackets.
fn outline<T>(lookup: Lookup<T>, text: impl Fn(&T) -> String) -> String {
    let found = |word: &str, found: Found<T>| {
        let mut values: Vec<String> = found.values.iter().map(text).collect();
        values.sort();
        let values = match values.as_slice() {
            [] => "nothing".to_owned(),
            values => values.join(", "),
        };
        let end = found.expanded.map(|name| format!(" at {name}"));
        let seconds = found.time_to_live.as_secs();
        if seconds > u64::from(TIME_TO_LIVE_SECONDS) {
            return format!("{word}: kept for {seconds} seconds");
        }
        format!("{word}: {values}{}", end.unwrap_or_default())
    };
    match lookup {
        Lookup::Secure(answer) => found("secure", answer),
        Lookup::Insecure(answer) => found("insecure", answer),
        Lookup::Bogus(reason) => format!("bogus ({reason})"),
        Lookup::Failed(error) => format!("failed ({error})"),
    }
}

fn text(value: &impl Display) -> String {
    value.to_string()
}

fn written_out(expected: &str) -> String {
    let large: Vec<_> = large().iter().map(ToString::to_string).collect();
    expected
        .replace("KEY", KEY)
        .replace("AUTHORITY", AUTHORITY)
        .replace("LARGE", &large.join(", "))
}
