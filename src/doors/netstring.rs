//! Netstrings: a length in decimal digits, `:`, so many octets, `,`. What Postfix and sendmail speak
//! on a socketmap.
//!
//! The length says where the next one begins, so after a bad one nothing on the stream can be
//! trusted any more.

/// What stands where a netstring belongs is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// There is no length, or something else than a digit is in it.
    #[error("a netstring does not begin with its length")]
    NoLength,
    /// The length begins with a zero that is not all of it.
    #[error("the length of a netstring begins with a zero")]
    LeadingZero,
    /// More than is taken.
    #[error("a netstring is longer than {0} octets")]
    TooLong(usize),
    /// The octet after the last is something else.
    #[error("a netstring does not end with a comma")]
    NoComma,
}

/// What is in a netstring, and what has arrived after it.
type Found<'a> = (&'a [u8], &'a [u8]);

/// The first netstring of what has arrived, and what comes after it; nothing when it is not here as a
/// whole yet. One that cannot become a netstring is told as soon as that can be seen.
///
/// # Errors
/// When it is none, or longer than `octets_max`.
pub(super) fn first(arrived: &[u8], octets_max: usize) -> Result<Option<Found<'_>>, Malformed> {
    let digits = arrived
        .iter()
        .take_while(|octet| octet.is_ascii_digit())
        .count();
    let (length, after) = arrived.split_at_checked(digits).unwrap_or_default();
    if length.len() > 1 && length.starts_with(b"0") {
        return Err(Malformed::LeadingZero);
    }
    let mut octets: usize = 0;
    for digit in length {
        octets = octets * 10 + usize::from(digit - b'0');
        // At once: so it can never overflow, nor be waited for.
        if octets > octets_max {
            return Err(Malformed::TooLong(octets_max));
        }
    }
    match after.split_first() {
        None => return Ok(None),
        Some((b':', _)) if !length.is_empty() => {}
        Some(_) => return Err(Malformed::NoLength),
    }
    let after = after.get(1..).unwrap_or_default();
    let Some((content, after)) = after.split_at_checked(octets) else {
        return Ok(None);
    };
    match after.split_first() {
        None => Ok(None),
        Some((b',', rest)) => Ok(Some((content, rest))),
        Some(_) => Err(Malformed::NoComma),
    }
}

/// The text as a netstring.
pub(super) fn of(text: &str) -> Vec<u8> {
    format!("{}:{text},", text.len()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OCTETS_MAX: usize = 12;

    /// Reads all of it, and says what is left and whether that is bad.
    fn read(mut arrived: &[u8]) -> (Vec<String>, Result<&[u8], Malformed>) {
        let mut read = Vec::new();
        loop {
            match first(arrived, OCTETS_MAX) {
                Ok(Some((content, rest))) => {
                    read.push(String::from_utf8_lossy(content).into_owned());
                    arrived = rest;
                }
                Ok(None) => return (read, Ok(arrived)),
                Err(error) => return (read, Err(error)),
            }
        }
    }

    #[test]
    fn what_is_whole_is_read_and_what_is_not_waits() {
        for (arrived, expected, left) in [
            ("", vec![], ""),
            ("5:QUERY,", vec!["QUERY"], ""),
            ("0:,", vec![""], ""),
            ("1:a,0:,3:b,c,", vec!["a", "", "b,c"], ""),
            ("12:123456789012,", vec!["123456789012"], ""),
            ("6:3:abc,,", vec!["3:abc,"], ""),
        ] {
            assert_eq!(
                read(arrived.as_bytes()),
                (
                    expected.into_iter().map(str::to_owned).collect(),
                    Ok(left.as_bytes())
                ),
                "{arrived}"
            );
        }
        // At every place where it may be cut.
        let whole = "1:a,0:,12:123456789012,6:3:abc,,";
        for cut in 0..whole.len() {
            let (before, left) = read(&whole.as_bytes()[..cut]);
            let mut joined = left.unwrap().to_vec();
            joined.extend_from_slice(&whole.as_bytes()[cut..]);
            let (after, left) = read(&joined);
            let all: Vec<_> = before.into_iter().chain(after).collect();
            assert_eq!(all, ["a", "", "123456789012", "3:abc,"], "{cut}");
            assert_eq!(left, Ok(&b""[..]));
        }
    }

    #[test]
    fn g3_what_can_be_none_is_told_as_soon_as_it_can_be_seen() {
        use Malformed::{LeadingZero, NoComma, NoLength, TooLong};
        for (arrived, expected) in [
            ("05:QUERY,", LeadingZero),
            ("00:,", LeadingZero),
            ("01", LeadingZero),
            (":a,", NoLength),
            ("a", NoLength),
            ("1a:x,", NoLength),
            ("-1:a,", NoLength),
            ("+1:a,", NoLength),
            (" 1:a,", NoLength),
            ("1 :a,", NoLength),
            ("GET / HTTP/1.1\r\n", NoLength),
            ("\n", NoLength),
            ("1:a\n", NoComma),
            ("1:ab,", NoComma),
            ("0:a", NoComma),
            ("13", TooLong(12)),
            ("13:1234567890123,", TooLong(12)),
            ("99999999999999999999999999", TooLong(12)),
        ] {
            assert_eq!(
                read(arrived.as_bytes()),
                (vec![], Err(expected)),
                "{arrived}"
            );
            let after_a_good_one = format!("1:a,{arrived}");
            let (good, bad) = read(after_a_good_one.as_bytes());
            assert_eq!((good, bad), (vec!["a".to_owned()], Err(expected)));
        }
        for waits in ["1", "12", "1:", "1:a", "0:", "12:1234"] {
            assert_eq!(read(waits.as_bytes()), (vec![], Ok(waits.as_bytes())));
        }
    }

    #[test]
    fn g3_no_octets_make_a_panic_or_more_than_there_were() {
        let samples: [&[u8]; 2] = [b"11:QUERY a.bc.,", b"0:,1:a,12:123456789012,"];
        for octets in sealpost_kit::mutations(11, &samples) {
            let (read, _) = read(&octets);
            let total: usize = read.iter().map(String::len).sum();
            assert!(total <= 3 * octets.len());
        }
    }

    #[test]
    fn a_text_becomes_one() {
        assert_eq!(of("OK x"), b"4:OK x,");
        assert_eq!(of("é"), "2:é,".as_bytes());
        assert_eq!(of(""), b"0:,");
    }
}
