//! Times as senders write them.

use jiff::{civil, tz::TimeZone};

use super::tree::Json;
use crate::clock::{SECONDS_PER_DAY, Timestamp};

/// Which end of a report's range a time is: a day alone stands for its first or its last second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    Begin,
    End,
}

/// A time, and what is wrong with how it is written.
pub(super) type Read = Option<(Timestamp, Option<&'static str>)>;

/// Reads a time. What has no zone is UTC.
// RFC 8460 s4.4: a date-time of RFC 3339. Microsoft wrote it without its zone for years.
pub(super) fn read(value: &Json, edge: Edge) -> Read {
    match value {
        Json::Text(text) => read_text(text.trim(), edge),
        Json::Integer(number) => of_number(*number),
        Json::Null | Json::Bool | Json::Number(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

fn read_text(text: &str, edge: Edge) -> Read {
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some((Timestamp(moment.as_second()), None));
    }
    let utc = |moment: civil::DateTime| {
        let moment = TimeZone::UTC.to_timestamp(moment).ok()?;
        Some(Timestamp(moment.as_second()))
    };
    if let Ok(number) = text.parse() {
        return of_number(number);
    }
    if text.len() == "2026-11-24".len() {
        let day = utc(text.parse::<civil::Date>().ok()?.into())?;
        let moment = match edge {
            Edge::Begin => day,
            Edge::End => day.plus_seconds(SECONDS_PER_DAY - 1),
        };
        return Some((moment, Some("it is a day without a time")));
    }
    let moment = utc(text.parse().ok()?)?;
    Some((moment, Some("it has no zone; taken as UTC")))
}

/// Seconds since 1970, or milliseconds where seconds would lie in another age.
fn of_number(number: u64) -> Read {
    const YEAR_5138: u64 = 100_000_000_000;
    let seconds = if number < YEAR_5138 {
        number
    } else {
        number / 1_000
    };
    let moment = Timestamp(i64::try_from(seconds).ok()?);
    Some((moment, Some("it is a number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e2_times_are_read_as_they_were_meant() {
        for (text, expected, quirk) in [
            ("2026-11-24T00:00:00Z", "2026-11-24T00:00:00Z", None),
            ("2026-11-24T01:00:00+01:00", "2026-11-24T00:00:00Z", None),
            ("2026-11-24t00:00:00.5z", "2026-11-24T00:00:00Z", None),
            (
                "2026-11-24T00:00:00",
                "2026-11-24T00:00:00Z",
                Some("no zone"),
            ),
            (
                " 2026-11-24 00:00:00 ",
                "2026-11-24T00:00:00Z",
                Some("no zone"),
            ),
            ("2026-11-24", "2026-11-24T23:59:59Z", Some("a day")),
            ("1795478400", "2026-11-24T00:00:00Z", Some("number")),
        ] {
            let (moment, wrong) = read(&Json::Text(text.to_owned()), Edge::End).unwrap();
            assert_eq!(moment.to_string(), expected, "{text}");
            assert_eq!(wrong.is_some(), quirk.is_some(), "{text}");
            assert!(
                wrong
                    .unwrap_or_default()
                    .contains(quirk.unwrap_or_default())
            );
        }
        for text in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "24.11.2026",
            "2026-11-2\u{fc}",
        ] {
            assert_eq!(
                read(&Json::Text(text.to_owned()), Edge::Begin),
                None,
                "{text}"
            );
        }
        let of = |value| read(&value, Edge::Begin).map(|(moment, _)| moment.0);
        assert_eq!(of(Json::Integer(1_795_478_400_000)), Some(1_795_478_400));
        assert_eq!(of(Json::Null), None);
    }
}
