//! The lines of the plugin socket (`docs/plugin-socket.md`), written and read from the MTA's side.
//! Pure.

use sealpost_plugin_api::ResultType;

use crate::{
    abi::{AnsweredBy, Code, Level, OUTCOME_FACTS, OUTCOME_FAILURE, OUTCOME_SUCCESS},
    settings::WhenUnreachable,
};

/// The longest name that is sent on.
const NAME_BYTES_MAX: usize = 1_024;
/// Free text is cut here.
const TEXT_BYTES_MAX: usize = 4_096;
/// A longer certificate is left out: in base64 it would not fit into a line.
const LEAF_BYTES_MAX: usize = 32_768;

/// A request being written: fields with TAB between them.
#[derive(Debug)]
pub(crate) struct Request(Vec<u8>);

impl Request {
    /// A request and the domain it is about.
    pub(crate) fn new(word: &str, domain: &[u8]) -> Result<Self, Code> {
        if domain.is_empty() {
            return Err(Code::Argument);
        }
        let mut request = Self(word.as_bytes().to_vec());
        request.name(domain)?;
        Ok(request)
    }

    /// One more name by position.
    pub(crate) fn name(&mut self, name: &[u8]) -> Result<(), Code> {
        if name.len() > NAME_BYTES_MAX {
            return Err(Code::Argument);
        }
        self.0.push(b'\t');
        escape(name, &mut self.0);
        Ok(())
    }

    /// `key=value`, even when the value is empty.
    pub(crate) fn pair(&mut self, key: &str, value: &[u8]) {
        self.0.push(b'\t');
        self.0.extend_from_slice(key.as_bytes());
        self.0.push(b'=');
        escape(value, &mut self.0);
    }

    /// Fields that the host wrote itself, TABs and escapes included; only what would end the line is
    /// taken out of them.
    pub(crate) fn raw_fields(&mut self, fields: &[u8]) {
        self.0.push(b'\t');
        for byte in fields {
            match byte {
                b'\n' => self.0.extend_from_slice(b"\\n"),
                b'\r' => self.0.extend_from_slice(b"\\r"),
                byte => self.0.push(*byte),
            }
        }
    }

    /// How long the host is ready to wait, less what the way back takes, so that the daemon answers
    /// from what it has before the host has turned away.
    pub(crate) fn deadline(&mut self, deadline: std::time::Duration) {
        let way_back = (deadline / 4).min(std::time::Duration::from_millis(500));
        let granted = deadline.saturating_sub(way_back).as_millis();
        self.pair("deadline-ms", granted.to_string().as_bytes());
    }

    /// The line, without its end.
    pub(crate) fn line(&self) -> &[u8] {
        &self.0
    }
}

/// One session, its strings looked at and its numbers still as the host gave them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SessionFields<'a> {
    pub(crate) outcome: u32,
    pub(crate) result: u32,
    pub(crate) starttls: u32,
    pub(crate) verification: u32,
    pub(crate) at_unix_seconds: i64,
    pub(crate) domain: &'a [u8],
    pub(crate) policy: &'a [u8],
    pub(crate) mx: &'a [u8],
    pub(crate) mx_helo: &'a [u8],
    pub(crate) receiving_ip: &'a [u8],
    pub(crate) sending_ip: &'a [u8],
    pub(crate) text: &'a [u8],
    pub(crate) leaf_der: &'a [u8],
}

impl SessionFields<'_> {
    /// The `SESSION` line.
    pub(crate) fn request(&self) -> Result<Request, Code> {
        let mut request = Request::new("SESSION", self.domain)?;
        let text = self.text.get(..TEXT_BYTES_MAX).unwrap_or(self.text);
        let helo = self.mx_helo.get(..NAME_BYTES_MAX).unwrap_or(self.mx_helo);
        for (key, value) in [
            ("policy", self.policy),
            ("mx", self.mx),
            ("receiving-ip", self.receiving_ip),
            ("sending-ip", self.sending_ip),
        ] {
            if value.len() > NAME_BYTES_MAX {
                return Err(Code::Argument);
            }
            if !value.is_empty() {
                request.pair(key, value);
            }
        }
        if !helo.is_empty() {
            request.pair("helo", helo);
        }
        if self.at_unix_seconds != 0 {
            request.pair("at", self.at_unix_seconds.to_string().as_bytes());
        }
        match self.outcome {
            OUTCOME_SUCCESS => request.pair("outcome", b"success"),
            OUTCOME_FAILURE => {
                request.pair("result", result_name(self.result)?.as_bytes());
                request.pair("reason", text);
            }
            OUTCOME_FACTS => {
                request.pair("starttls", starttls_word(self.starttls)?);
                request.pair("verified", verification_word(self.verification)?);
                if !self.leaf_der.is_empty() && self.leaf_der.len() <= LEAF_BYTES_MAX {
                    request.pair("cert", base64(self.leaf_der).as_bytes());
                }
                request.pair("error", text);
            }
            _ => return Err(Code::Argument),
        }
        Ok(request)
    }
}

/// The header numbers the result types from 1 in the order of RFC 8460 s4.3.
fn result_name(number: u32) -> Result<&'static str, Code> {
    usize::try_from(number)
        .ok()
        .and_then(|number| ResultType::ALL.get(number.checked_sub(1)?))
        .map(|result| result.name())
        .ok_or(Code::Argument)
}

fn starttls_word(number: u32) -> Result<&'static [u8], Code> {
    match number {
        0 => Ok(b""),
        1 => Ok(b"not-offered"),
        2 => Ok(b"refused"),
        3 => Ok(b"handshake-failed"),
        4 => Ok(b"established"),
        _ => Err(Code::Argument),
    }
}

fn verification_word(number: u32) -> Result<&'static [u8], Code> {
    match number {
        0 => Ok(b""),
        1 => Ok(b"yes"),
        2 => Ok(b"no"),
        _ => Err(Code::Argument),
    }
}

/// An answer to a question, whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) level: Level,
    pub(crate) audit: bool,
    pub(crate) answered_by: AnsweredBy,
    pub(crate) mx_patterns: Vec<Vec<u8>>,
    pub(crate) tlsa: Vec<Tlsa>,
    pub(crate) name: Vec<u8>,
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

/// One line of printable ASCII, for logs.
pub(crate) fn printable(text: &[u8]) -> Vec<u8> {
    text.iter()
        .map(|byte| match byte {
            b' '..=b'~' => *byte,
            b'\t' | b'\n' | b'\r' => b' ',
            _ => b'?',
        })
        .collect()
}

fn escape(value: &[u8], line: &mut Vec<u8>) {
    for byte in value {
        match byte {
            b'\t' => line.extend_from_slice(b"\\t"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\\' => line.extend_from_slice(b"\\\\"),
            0..=0x1f | 0x7f => line.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
            byte => line.push(*byte),
        }
    }
}

/// Undoes the escapes that the daemon writes.
fn unescape(value: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(value.len());
    let mut rest = value;
    let digit = |byte: u8| char::from(byte).to_digit(16);
    loop {
        rest = match rest {
            [] => return plain,
            [b'\\', b't', after @ ..] => {
                plain.push(b'\t');
                after
            }
            [b'\\', b'n', after @ ..] => {
                plain.push(b'\n');
                after
            }
            [b'\\', b'r', after @ ..] => {
                plain.push(b'\r');
                after
            }
            [b'\\', b'\\', after @ ..] => {
                plain.push(b'\\');
                after
            }
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let value = digit(*high).unwrap_or(0) * 16 + digit(*low).unwrap_or(0);
                plain.push(u8::try_from(value).unwrap_or(b'?'));
                after
            }
            [byte, after @ ..] => {
                plain.push(*byte);
                after
            }
        };
    }
}

/// RFC 4648 s4, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |group: u32, shift: u32| {
        let index = usize::try_from((group >> shift) & 0x3f).unwrap_or(0);
        char::from(DIGITS.get(index).copied().unwrap_or(b'A'))
    };
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| chunk.get(index).copied().map_or(0, u32::from);
        let group = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        text.push(digit(group, 18));
        text.push(digit(group, 12));
        text.push(if chunk.len() > 1 {
            digit(group, 6)
        } else {
            '='
        });
        text.push(if chunk.len() > 2 {
            digit(group, 0)
        } else {
            '='
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (plain, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), expected);
        }
        assert_eq!(base64(&[0xff, 0xef, 0xbe]), "/+++");
    }

    #[test]
    fn sessions_are_written() {
        let check = |fields: SessionFields<'_>, expected: &str| {
            let request = fields.request().unwrap();
            assert_eq!(String::from_utf8_lossy(request.line()), expected);
        };
        let session = SessionFields {
            domain: b"example.org",
            ..SessionFields::default()
        };
        check(
            session,
            "SESSION\texample.org\tstarttls=\tverified=\terror=",
        );
        check(
            SessionFields {
                outcome: OUTCOME_SUCCESS,
                at_unix_seconds: 1_790_000_000,
                policy: b"5f",
                mx: b"mx1.example.org",
                mx_helo: b"mx\tone",
                receiving_ip: b"192.0.2.1",
                sending_ip: b"2001:db8::1",
                ..session
            },
            "SESSION\texample.org\tpolicy=5f\tmx=mx1.example.org\treceiving-ip=192.0.2.1\t\
                 sending-ip=2001:db8::1\thelo=mx\\tone\tat=1790000000\toutcome=success",
        );
        check(
            SessionFields {
                outcome: OUTCOME_FAILURE,
                result: 3,
                text: b"past\nit\\",
                ..session
            },
            "SESSION\texample.org\tresult=certificate-expired\treason=past\\nit\\\\",
        );
        check(
            SessionFields {
                starttls: 4,
                verification: 2,
                leaf_der: b"foo",
                text: b"\x1b",
                ..session
            },
            "SESSION\texample.org\tstarttls=established\tverified=no\tcert=Zm9v\terror=\\x1b",
        );
    }

    #[test]
    fn sessions_that_are_no_sessions_are_refused() {
        let session = SessionFields {
            domain: b"example.org",
            ..SessionFields::default()
        };
        let long = [b'a'; 1_025];
        for wrong in [
            SessionFields::default(),
            SessionFields {
                domain: &long,
                ..session
            },
            SessionFields {
                mx: &long,
                ..session
            },
            SessionFields {
                outcome: 3,
                ..session
            },
            SessionFields {
                outcome: OUTCOME_FAILURE,
                ..session
            },
            SessionFields {
                outcome: OUTCOME_FAILURE,
                result: 12,
                ..session
            },
            SessionFields {
                starttls: 5,
                ..session
            },
            SessionFields {
                verification: 3,
                ..session
            },
        ] {
            assert_eq!(wrong.request().err(), Some(Code::Argument), "{wrong:?}");
        }
    }

    #[test]
    fn the_longest_session_fits_into_a_line() {
        let name = [b'a'; 1_024];
        let fields = SessionFields {
            domain: &name,
            policy: &name,
            mx: &name,
            mx_helo: &[b'a'; 9_999],
            text: &[0x01; 9_999],
            leaf_der: &[0xff; LEAF_BYTES_MAX],
            ..SessionFields::default()
        };
        let length = fields.request().unwrap().line().len();
        assert!(length <= 65_536, "{length}");
    }

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
            "dane\ttlsa=3:1:1:aB01,2:0:255:\taudit=no",
            Ok(Answer {
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
    fn the_daemon_is_given_less_time_than_the_host_has() {
        for (host, daemon) in [(20_000, 19_500), (1_000, 750), (1, 0)] {
            let mut request = Request::new("POLICY", b"a").unwrap();
            request.deadline(std::time::Duration::from_millis(host));
            let expected = format!("POLICY\ta\tdeadline-ms={daemon}");
            assert_eq!(request.line(), expected.as_bytes());
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
