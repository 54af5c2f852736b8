//! Roots grow old while the program stays: the doctor is shown another day than the machine's.

use sealpost::clock::UtcDay;
use serde_json::Value;

use super::stage::{Stage, traps_in};

/// What is set below.
pub(super) const TRAPS: [&str; 1] = ["roots-old"];

/// Beyond so many days they are old (docs/decisions/0016-doctor.md).
const DAYS_MAX: u32 = 400;

#[test]
fn roots_are_old_where_the_clock_shows_more_than_400_days_after_they_came_out() {
    let stage = Stage::new();
    let clock = stage.host.file("clock");
    let on = |day: UtcDay| -> Value {
        stage
            .host
            .set_clock(day.first_second().plus_seconds(12 * 3_600));
        stage.json(&["roots", "--laboratory-clock", clock.to_str().unwrap()])
    };
    // It says itself of which day they are.
    let words = on(stage.host.day)["examinations"][0].to_string();
    let (_, rest) = words.split_once("the built-in roots are of ").unwrap();
    let built_in: UtcDay = rest.split(' ').next().unwrap().parse().unwrap();
    let last = UtcDay(built_in.0 + DAYS_MAX);
    assert_eq!(traps_in(&on(last)), [""; 0]);
    assert_eq!(traps_in(&on(last.next())), TRAPS);
}
