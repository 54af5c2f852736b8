//! The daemon's answer to a question, read. Pure.

use crate::{
    abi::{AnsweredBy, Level},
    line::{printable, unescape},
    settings::WhenUnreachable,
};

/// An answer to a question, whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) level: Level,
    pub(crate) audit: bool,
    pub(crate) answered_by: AnsweredBy,
    pub(crate) mx_patterns: Vec<Vec<u8>>,
    pub(crate) tlsa: Vec<Tlsa>,
    pub(crate) name: Vec<u8>,
    pub(crate) names: Vec<Vec<u8>>,
    pub(crate) policy: Vec<u8>,
    pub(crate) reason: Vec<u8>,
}

/// One TLSA record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tlsa {
    pub(crate) usage: u32,
    pub(crate) selector: u32,
    pub(crate) matching: u32,
    pub(crate) data: Vec<u8>,
}

impl Answer {
    /// What is answered in the daemon's place.
    pub(crate) fn unreachable(what: WhenUnreachable, reason: &str) -> Self {
        Self {
            level: match what {
                WhenUnreachable::Defer => Level::Defer,
                WhenUnreachable::May => Level::May,
            },
            answered_by: AnsweredBy::Library,
            ..Self::of(Level::Defer, printable(reason.as_bytes()))
        }
    }

    fn of(level: Level, reason: Vec<u8>) -> Self {
        Self {
            level,
            audit: false,
            answered_by: AnsweredBy::Daemon,
            mx_patterns: Vec::new(),
            tlsa: Vec::new(),
            name: Vec::new(),
            names: Vec::new(),
            policy: Vec::new(),
            reason,
        }
    }

    /// Reads the daemon's answer.
    ///
    /// # Errors
    /// The daemon's words when it did not understand the question.
    pub(crate) fn read(line: &[u8]) -> Result<Self, String> {
        let mut fields = line.split(|byte| *byte == b'\t');
        let word = fields.next().unwrap_or_default();
        let level = match word {
            b"may" => Level::May,
            b"encrypt" => Level::Encrypt,
            b"verify" => Level::Verify,
            b"dane" => Level::Dane,
            b"refuse" => Level::RefuseMx,
            b"defer" => Level::Defer,
            _ => return Self::other(word, line),
        };
        let mut answer = Self::of(level, Vec::new());
        for field in fields {
            let mut halves = field.splitn(2, |byte| *byte == b'=');
            let key = halves.next().unwrap_or_default();
            let value = unescape(halves.next().unwrap_or_default());
            match key {
                b"policy" => answer.policy = value,
                b"name" => answer.name = value,
                b"names" => answer.names = list(&value).map(<[u8]>::to_vec).collect(),
                b"audit" => answer.audit = value == b"yes",
                b"reason" => answer.reason = printable(&value),
                b"mx" => answer.mx_patterns = list(&value).map(<[u8]>::to_vec).collect(),
                b"tlsa" => match list(&value).map(tlsa).collect() {
                    Some(records) => answer.tlsa = records,
                    None => return Self::other(word, line),
                },
                // From a newer daemon.
                _ => {}
            }
        }
        Ok(answer)
    }

    /// An answer that this library does not know is one the host cannot obey.
    fn other(word: &[u8], line: &[u8]) -> Result<Self, String> {
        if word == b"ERROR" {
            let words = line.get(word.len() + 1..).unwrap_or_default();
            let words = printable(&unescape(words));
            return Err(format!(
                "Sealpost did not take the question: {}",
                String::from_utf8_lossy(&words)
            ));
        }
        let shown = line.get(..80).unwrap_or(line);
        let mut reason = b"Sealpost answered what this library does not know: ".to_vec();
        reason.extend_from_slice(&printable(shown));
        Ok(Self::of(Level::Defer, reason))
    }
}

/// The parts of a list with commas.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b',')
        .filter(|part| !part.is_empty())
}

/// `3:1:1:HEX`.
fn tlsa(text: &[u8]) -> Option<Tlsa> {
    let text = std::str::from_utf8(text).ok()?;
    let mut parts = text.split(':');
    let mut number = || parts.next()?.parse::<u8>().ok().map(u32::from);
    let (usage, selector, matching) = (number()?, number()?, number()?);
    let mut digits = parts.next()?.bytes();
    let mut data = Vec::new();
    while let Some(high) = digits.next() {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let value = digit(high)? * 16 + digit(digits.next()?)?;
        data.push(u8::try_from(value).ok()?);
    }
    Some(Tlsa {
        usage,
        selector,
        matching,
        data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let check = |line: &str, expected: Result<Answer, String>| {
            assert_eq!(Answer::read(line.as_bytes()), expected, "{line:?}");
        };
        check(
            "may\taudit=no\treason=no policy",
            Ok(Answer::of(Level::May, b"no policy".to_vec())),
        );
        check(
            "verify\tpolicy=5f\tmx=mx1.example.org,*.example.org\tname=mx1.example.org\tcolour=blue\t\
             audit=yes\treason=a\\tb=\\\\\\x1b",
            Ok(Answer {
                audit: true,
                policy: b"5f".to_vec(),
                name: b"mx1.example.org".to_vec(),
                mx_patterns: vec![b"mx1.example.org".to_vec(), b"*.example.org".to_vec()],
                ..Answer::of(Level::Verify, b"a b=\\?".to_vec())
            }),
        );
        check(
            "dane\ttlsa=3:1:1:aB01,2:0:255:\tnames=mx1.example.org,example.org\taudit=no",
            Ok(Answer {
                names: vec![b"mx1.example.org".to_vec(), b"example.org".to_vec()],
                tlsa: vec![
                    Tlsa {
                        usage: 3,
                        selector: 1,
                        matching: 1,
                        data: vec![0xab, 0x01],
                    },
                    Tlsa {
                        usage: 2,
                        selector: 0,
                        matching: 255,
                        data: Vec::new(),
                    },
                ],
                ..Answer::of(Level::Dane, Vec::new())
            }),
        );
        check(
            "ERROR\tdomain: missing",
            Err("Sealpost did not take the question: domain: missing".to_owned()),
        );
        for unknown in [
            "",
            "OK",
            "VERIFY\tmx=a",
            "strict\tmx=a",
            "dane\ttlsa=3:1:1:a",
            "dane\ttlsa=3:1",
        ] {
            let answer = Answer::read(unknown.as_bytes()).unwrap();
            assert_eq!(answer.level, Level::Defer, "{unknown:?}");
        }
    }

    #[test]
    fn no_answer_makes_a_panic_or_a_reason_that_steers_a_terminal() {
        let samples: [&[u8]; 4] = [
            b"verify\taudit=no\tmx=mx1.example.org,*.example.org\tpolicy=00ff\treason=a\\tb",
            b"dane\tname=mx1.example.org\ttlsa=3:1:1:00FF,2:0:2:ab\taudit=yes",
            b"ERROR\tdomain: not a name\\x1b[2J",
            b"refuse\treason=sts-mx-mismatch",
        ];
        for line in sealpost_kit::mutations(37, &samples) {
            match Answer::read(&line) {
                Ok(answer) => {
                    let shown = |byte: &u8| (b' '..=b'~').contains(byte);
                    assert!(answer.reason.iter().all(shown), "{answer:?}");
                    assert!(answer.mx_patterns.len() + answer.tlsa.len() <= 2 * line.len());
                }
                Err(reason) => assert!(!reason.contains(char::is_control), "{reason:?}"),
            }
        }
    }
}
