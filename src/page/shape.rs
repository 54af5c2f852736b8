//! Numbers as people read them.

/// `1234567` as `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A part of a whole in percent with one decimal, rounded down, so that 100% means all; `-` of nothing.
pub(super) fn percent(part: u64, whole: u64) -> String {
    let per_mille = u128::from(part) * 1_000;
    match per_mille.checked_div(u128::from(whole)) {
        None => "-".to_owned(),
        Some(1_000) => "100%".to_owned(),
        Some(share) => format!("{}.{}%", share / 10, share % 10),
    }
}

/// `part` of `whole` on a scale of `length`. What is there is seen: it is never less than 1.
pub(super) fn scaled(part: u64, whole: u64, length: u64) -> u64 {
    let scaled = u128::from(part) * u128::from(length);
    let scaled = scaled.checked_div(u128::from(whole)).unwrap_or(0);
    let scaled = u64::try_from(scaled).unwrap_or(length).min(length);
    scaled.max(u64::from(part > 0))
}

/// The least round number that is not below `number`: the top of an axis.
pub(super) fn round_up(number: u64) -> u64 {
    /// Tenths that are round, and whose halves are.
    const ROUND: [u64; 9] = [10, 12, 16, 20, 30, 40, 50, 60, 80];
    let mut power: u64 = 1;
    loop {
        for tenths in ROUND {
            let candidate = match power {
                1 => tenths.div_ceil(10),
                _ => (power / 10).saturating_mul(tenths),
            };
            if candidate >= number || candidate == u64::MAX {
                return candidate;
            }
        }
        power = power.saturating_mul(10);
    }
}

/// A moment as it is shown: to the minute.
pub(super) fn moment(timestamp: &str) -> String {
    // 2026-11-29T21:36:44Z
    match (timestamp.get(..10), timestamp.get(11..16)) {
        (Some(day), Some(minute)) => format!("{day} {minute}"),
        _ => timestamp.to_owned(),
    }
}

/// A value within a path or a query.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            encoded.push(char::from(octet));
        } else {
            encoded.push_str(&format!("%{octet:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_shares_never_flatter() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(grouped(number), text);
        }
        for (part, whole, text) in [
            (0, 0, "-"),
            (0, 5, "0.0%"),
            (1, 3, "33.3%"),
            (99_999, 100_000, "99.9%"),
            (5, 5, "100%"),
            (u64::MAX, u64::MAX, "100%"),
        ] {
            assert_eq!(percent(part, whole), text, "{part} of {whole}");
        }
    }

    #[test]
    fn an_axis_ends_at_a_round_number_and_one_session_is_still_seen() {
        for (number, top) in [
            (0, 1),
            (1, 1),
            (3, 3),
            (11, 12),
            (51, 60),
            (4_999, 5_000),
            (12_482, 16_000),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(round_up(number), top);
        }
        assert_eq!(scaled(1, 1_000_000, 180), 1);
        assert_eq!(scaled(0, 1_000_000, 180), 0);
        assert_eq!(scaled(50, 100, 180), 90);
        assert_eq!(scaled(7, 0, 180), 1);
        assert_eq!(scaled(u64::MAX, 1, 180), 180);
    }

    #[test]
    fn what_stands_in_an_address_cannot_leave_its_place() {
        assert_eq!(encoded("a.test"), "a.test");
        assert_eq!(
            encoded("mailto:a+b@c/?&\"#é"),
            "mailto%3Aa%2Bb%40c%2F%3F%26%22%23%C3%A9"
        );
        assert_eq!(moment("2026-11-29T21:36:44Z"), "2026-11-29 21:36");
        assert_eq!(moment("?"), "?");
    }
}
