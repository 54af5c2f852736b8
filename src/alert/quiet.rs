//! Hours in which nobody is to be woken.

use std::str::FromStr;

use crate::clock::Timestamp;

const DAY_SECONDS: i64 = 86_400;

/// A time of the day, UTC, from which until which mails and the webhook wait. It may go over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    /// Seconds of the day.
    from: i64,
    until: i64,
}

impl QuietHours {
    /// Is it quiet now?
    #[must_use]
    pub const fn hold(self, now: Timestamp) -> bool {
        let second = now.0.rem_euclid(DAY_SECONDS);
        if self.from <= self.until {
            self.from <= second && second < self.until
        } else {
            self.from <= second || second < self.until
        }
    }
}

impl FromStr for QuietHours {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write it as \"22:00-07:00\", in UTC".to_owned();
        let (from, until) = text.split_once('-').ok_or_else(wrong)?;
        let quiet = Self {
            from: second_of_day(from).ok_or_else(wrong)?,
            until: second_of_day(until).ok_or_else(wrong)?,
        };
        if quiet.from == quiet.until {
            return Err("it begins when it ends".to_owned());
        }
        Ok(quiet)
    }
}

fn second_of_day(text: &str) -> Option<i64> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |text: &str, most| {
        let is_two_digits = text.len() == 2 && text.bytes().all(|octet| octet.is_ascii_digit());
        let number: i64 = text.parse().ok().filter(|_| is_two_digits)?;
        (number <= most).then_some(number)
    };
    Some(number(hour, 23)? * 3_600 + number(minute, 59)? * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_hold_from_their_beginning_to_before_their_end() {
        let at =
            |hour: i64, minute: i64| Timestamp(20_000 * DAY_SECONDS + hour * 3_600 + minute * 60);
        for (text, moment, expected) in [
            ("22:00-07:00", at(21, 59), false),
            ("22:00-07:00", at(22, 0), true),
            ("22:00-07:00", at(0, 0), true),
            ("22:00-07:00", at(6, 59), true),
            ("22:00-07:00", at(7, 0), false),
            ("12:30-13:00", at(12, 29), false),
            ("12:30 - 13:00", at(12, 30), true),
            ("12:30-13:00", at(13, 0), false),
        ] {
            let quiet: QuietHours = text.parse().unwrap();
            assert_eq!(quiet.hold(moment), expected, "{text} {moment}");
        }
    }

    #[test]
    fn what_are_no_hours_is_not_taken() {
        for text in [
            "",
            "22",
            "22-07",
            "24:00-07:00",
            "22:60-07:00",
            "2:0-7:0",
            "07:00-07:00",
            "+2:00-07:00",
        ] {
            assert!(text.parse::<QuietHours>().is_err(), "{text}");
        }
    }
}
