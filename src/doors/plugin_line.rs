//! The lines that clients write on the plugin socket, as values.
//! `docs/plugin-socket.md` is their specification. Pure.

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
    net::IpAddr,
    time::Duration,
};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use sealpost_plugin_api::{Facts, Outcome, Query, ResultType, Session, StartTls, Verification};

use super::plugin_escape::{escape, unescape};

/// The longest line that is taken, its end not counted: room for a certificate of 40 kB in base64.
pub const LINE_BYTES_MAX: usize = 65_536;

/// The longest name, after its escapes are undone. DNS ends at 253; U-labels may be longer.
const NAME_BYTES_MAX: usize = 1_024;

/// What one line asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Is the daemon there?
    Ping,
    /// Answer what came before and close.
    Quit,
    /// What TLS does the domain demand, or (with an MX host) may this host be used?
    Policy(Question),
    /// How one session went.
    Session(Box<ToldSession>),
}

/// `POLICY` and `MX`: a question to the hook, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The recipient domain as addressed.
    pub domain: String,
    /// The MX host about to be connected to.
    pub mx: Option<String>,
    /// How long the client is ready to wait.
    pub deadline: Option<Duration>,
}

impl Question {
    /// The question as the hook takes it. No client waits longer than `deadline_max`.
    #[must_use]
    pub fn query(&self, deadline_max: Duration) -> Query<'_> {
        let deadline = self.deadline.unwrap_or(deadline_max).min(deadline_max);
        let query = Query::new(&self.domain).with_deadline(deadline);
        match &self.mx {
            Some(mx) => query.with_mx(mx),
            None => query,
        }
    }
}

/// `SESSION`: what an MTA tells of one session, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldSession {
    /// The recipient domain as addressed.
    pub domain: String,
    /// The policy token of the answer the session went by.
    pub policy: Option<String>,
    /// The MX host.
    pub mx: Option<String>,
    /// What the server called itself.
    pub mx_helo: Option<String>,
    /// The address connected to.
    pub receiving_ip: Option<IpAddr>,
    /// Our own address.
    pub sending_ip: Option<IpAddr>,
    /// When it ended, seconds since 1970.
    pub at_unix_seconds: Option<i64>,
    /// How it ended.
    pub ending: Ending,
}

/// How a told session ended: [`Outcome`], owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// TLS that satisfies the policy was negotiated.
    Success,
    /// The MTA knows the result type.
    Failure {
        /// Of RFC 8460 s4.3.
        result: ResultType,
        /// A code or words.
        reason: Option<String>,
    },
    /// The MTA knows what it saw.
    Facts {
        /// How far STARTTLS went.
        starttls: StartTls,
        /// What its check of the certificate said.
        verification: Verification,
        /// The server's certificate, DER.
        leaf_der: Option<Vec<u8>>,
        /// The error's words.
        error: Option<String>,
    },
}

impl ToldSession {
    /// The session as the hook takes it.
    #[must_use]
    pub fn session(&self) -> Session<'_> {
        let outcome = match &self.ending {
            Ending::Success => Outcome::Success,
            Ending::Failure { result, reason } => Outcome::Failure {
                result: *result,
                reason: reason.as_deref(),
            },
            Ending::Facts {
                starttls,
                verification,
                leaf_der,
                error,
            } => {
                let mut facts = Facts::new(*starttls).with_verification(*verification);
                facts.leaf_der = leaf_der.as_deref();
                facts.error = error.as_deref();
                Outcome::Facts(facts)
            }
        };
        let mut session = Session::new(&self.domain, outcome);
        session.policy = self.policy.as_deref();
        session.mx = self.mx.as_deref();
        session.mx_helo = self.mx_helo.as_deref();
        session.receiving_ip = self.receiving_ip;
        session.sending_ip = self.sending_ip;
        session.at_unix_seconds = self.at_unix_seconds;
        session
    }
}

/// Why a line was not understood; the client must change it. Shown as `field: problem`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct LineError {
    /// Which field, printable.
    field: Cow<'static, str>,
    /// What is wrong with it.
    problem: &'static str,
}

impl LineError {
    /// The line has more than [`LINE_BYTES_MAX`] bytes.
    pub const TOO_LONG: Self = Self {
        field: Cow::Borrowed("line"),
        problem: "longer than 65536 bytes",
    };

    const fn new(field: &'static str, problem: &'static str) -> Self {
        Self {
            field: Cow::Borrowed(field),
            problem,
        }
    }
}

/// Reads one line without its end.
///
/// # Errors
/// Names the field that is wrong.
pub fn parse(line: &[u8]) -> Result<Request, LineError> {
    let mut fields = line.split(|byte| *byte == b'\t');
    match fields.next().unwrap_or_default() {
        b"PING" => Ok(Request::Ping),
        b"QUIT" => Ok(Request::Quit),
        b"POLICY" => {
            let domain = positional("domain", fields.next())?;
            question(domain, None, &Pairs::read(fields)?)
        }
        b"MX" => {
            let domain = positional("domain", fields.next())?;
            let mx = positional("mx", fields.next())?;
            question(domain, Some(mx), &Pairs::read(fields)?)
        }
        b"SESSION" => {
            let domain = positional("domain", fields.next())?;
            told_session(domain, &Pairs::read(fields)?).map(|told| Request::Session(Box::new(told)))
        }
        _ => Err(LineError::new(
            "request",
            "not one of PING, POLICY, MX, SESSION, QUIT",
        )),
    }
}

fn question(domain: String, mx: Option<String>, pairs: &Pairs<'_>) -> Result<Request, LineError> {
    let deadline = pairs.parsed("deadline-ms", "not a number of milliseconds", |text| {
        text.parse().ok().map(Duration::from_millis)
    })?;
    Ok(Request::Policy(Question {
        domain,
        mx,
        deadline,
    }))
}

fn told_session(domain: String, pairs: &Pairs<'_>) -> Result<ToldSession, LineError> {
    let address = |text: &str| text.parse().ok();
    Ok(ToldSession {
        domain,
        policy: pairs.name("policy")?,
        mx: pairs.name("mx")?,
        mx_helo: pairs.text("helo"),
        receiving_ip: pairs.parsed("receiving-ip", "not an IP address", address)?,
        sending_ip: pairs.parsed("sending-ip", "not an IP address", address)?,
        at_unix_seconds: pairs.parsed("at", "not a number of seconds since 1970", |text| {
            text.parse().ok()
        })?,
        ending: ending(pairs)?,
    })
}

fn ending(pairs: &Pairs<'_>) -> Result<Ending, LineError> {
    let facts_named = ["starttls", "verified", "cert", "error"]
        .iter()
        .any(|key| pairs.0.contains_key(key.as_bytes()));
    let success = pairs.parsed("outcome", "the only outcome is `success`", |text| {
        (text == "success").then_some(())
    })?;
    let result: Option<ResultType> =
        pairs.parsed("result", "not a result type of RFC 8460 s4.3", |text| {
            text.parse().ok()
        })?;
    let reason = pairs.text("reason");
    let starttls = pairs.parsed(
        "starttls",
        "not one of not-offered, refused, handshake-failed, established",
        starttls_of,
    )?;
    let verification = pairs.parsed("verified", "not yes, no, 1 or 0", verification_of)?;
    let leaf_der = pairs.parsed("cert", "not a certificate in base64 or PEM", certificate)?;
    let error = pairs.text("error");

    let facts =
        starttls.is_some() || verification.is_some() || leaf_der.is_some() || error.is_some();
    if reason.is_some() && result.is_none() {
        return Err(LineError::new("reason", "goes with `result` only"));
    }
    match (success, result, facts) {
        (Some(()), None, false) => Ok(Ending::Success),
        (None, Some(result), false) => Ok(Ending::Failure { result, reason }),
        (None, None, _) if facts_named => Ok(Ending::Facts {
            starttls: starttls.unwrap_or_default(),
            verification: verification.unwrap_or_default(),
            leaf_der,
            error,
        }),
        (None, None, _) => Err(LineError::new(
            "outcome",
            "missing: give outcome, result, or what was seen (starttls, verified, cert, error)",
        )),
        _ => Err(LineError::new(
            "outcome",
            "give one of outcome, result, and what was seen (starttls, verified, cert, error)",
        )),
    }
}

fn starttls_of(word: &str) -> Option<StartTls> {
    match word {
        "not-offered" => Some(StartTls::NotOffered),
        "refused" => Some(StartTls::Refused),
        "handshake-failed" => Some(StartTls::HandshakeFailed),
        "established" => Some(StartTls::Established),
        _ => None,
    }
}

/// `1` and `0` are what Exim's `$tls_out_certificate_verified` holds.
fn verification_of(word: &str) -> Option<Verification> {
    match word {
        "yes" | "1" => Some(Verification::Passed),
        "no" | "0" => Some(Verification::Failed),
        _ => None,
    }
}

/// DER out of base64, with or without PEM's armour, white space and padding. Of several
/// certificates in PEM it is the first: a chain begins with the leaf.
fn certificate(text: &str) -> Option<Vec<u8>> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let body = match text.split_once("-----BEGIN CERTIFICATE-----") {
        Some((_, rest)) => rest.split_once("-----END CERTIFICATE-----")?.0,
        None => text,
    };
    let body: String = body
        .chars()
        .filter(|character| !character.is_ascii_whitespace())
        .collect();
    ENGINE.decode(body).ok().filter(|der| !der.is_empty())
}

/// A name that must be there.
fn positional(field: &'static str, raw: Option<&[u8]>) -> Result<String, LineError> {
    match raw {
        None | Some(b"") => Err(LineError::new(field, "missing")),
        Some(raw) => checked_name(field, &unescape(raw)),
    }
}

fn checked_name(field: &'static str, bytes: &[u8]) -> Result<String, LineError> {
    if bytes.len() > NAME_BYTES_MAX {
        return Err(LineError::new(field, "longer than 1024 bytes"));
    }
    let Ok(name) = std::str::from_utf8(bytes) else {
        return Err(LineError::new(field, "not UTF-8"));
    };
    if name.chars().any(char::is_control) {
        return Err(LineError::new(field, "has a control character in it"));
    }
    Ok(name.to_owned())
}

/// The `key=value` fields of a line, each key once, escapes still in.
struct Pairs<'a>(BTreeMap<&'a [u8], &'a [u8]>);

impl<'a> Pairs<'a> {
    fn read(fields: impl Iterator<Item = &'a [u8]>) -> Result<Self, LineError> {
        let mut pairs = BTreeMap::new();
        for field in fields.filter(|field| !field.is_empty()) {
            let Some(equals) = field.iter().position(|byte| *byte == b'=') else {
                return Err(LineError {
                    field: shown(field),
                    problem: "a field without `=`",
                });
            };
            let (key, value) = field.split_at(equals);
            match pairs.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(value.get(1..).unwrap_or_default());
                }
                Entry::Occupied(_) => {
                    return Err(LineError {
                        field: shown(key),
                        problem: "given twice",
                    });
                }
            }
        }
        Ok(Self(pairs))
    }

    /// The value without its escapes; `None` when it is left out or empty.
    fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        let raw = self.0.get(key.as_bytes())?;
        Some(unescape(raw)).filter(|value| !value.is_empty())
    }

    fn name(&self, key: &'static str) -> Result<Option<String>, LineError> {
        self.bytes(key)
            .map(|bytes| checked_name(key, &bytes))
            .transpose()
    }

    /// Free text: from a stranger's server, so no control character gets through.
    fn text(&self, key: &str) -> Option<String> {
        let bytes = self.bytes(key)?;
        let text = String::from_utf8_lossy(&bytes);
        Some(text.replace(char::is_control, " "))
    }

    fn parsed<T>(
        &self,
        key: &'static str,
        problem: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, LineError> {
        let Some(bytes) = self.bytes(key) else {
            return Ok(None);
        };
        std::str::from_utf8(&bytes)
            .ok()
            .and_then(parse)
            .map(Some)
            .ok_or(LineError::new(key, problem))
    }
}

/// What a client wrote, fit to be shown: one short printable line.
fn shown(field: &[u8]) -> Cow<'static, str> {
    let text: String = String::from_utf8_lossy(field).chars().take(40).collect();
    Cow::Owned(escape(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(ending: Ending) -> ToldSession {
        ToldSession {
            domain: "example.org".to_owned(),
            policy: None,
            mx: None,
            mx_helo: None,
            receiving_ip: None,
            sending_ip: None,
            at_unix_seconds: None,
            ending,
        }
    }

    fn facts(starttls: StartTls, verification: Verification) -> Ending {
        Ending::Facts {
            starttls,
            verification,
            leaf_der: None,
            error: None,
        }
    }

    fn policy(domain: &str, mx: Option<&str>, deadline_ms: Option<u64>) -> Request {
        Request::Policy(Question {
            domain: domain.to_owned(),
            mx: mx.map(str::to_owned),
            deadline: deadline_ms.map(Duration::from_millis),
        })
    }

    #[test]
    fn questions_are_read() {
        let check = |line: &str, expected: Request| {
            assert_eq!(parse(line.as_bytes()), Ok(expected), "{line:?}");
        };
        check("PING", Request::Ping);
        check("QUIT", Request::Quit);
        check("POLICY\texample.org", policy("example.org", None, None));
        check("POLICY\texample.org\t", policy("example.org", None, None));
        check(
            "POLICY\texample.org\tdeadline-ms=0",
            policy("example.org", None, Some(0)),
        );
        check(
            "POLICY\texample.org\tcolour=blue\t\tdeadline-ms=1500",
            policy("example.org", None, Some(1_500)),
        );
        check(
            "POLICY\texample.org\tdeadline-ms=",
            policy("example.org", None, None),
        );
        check(
            "POLICY\tb\\xC3\\xbccher.example",
            policy("bücher.example", None, None),
        );
        check(
            "MX\texample.org\tmx1.example.org",
            policy("example.org", Some("mx1.example.org"), None),
        );
    }

    #[test]
    fn a_question_waits_no_longer_than_the_operator_allows() {
        let check = |asked: Option<u64>, granted: u64| {
            let question = Question {
                domain: "example.org".to_owned(),
                mx: None,
                deadline: asked.map(Duration::from_millis),
            };
            let query = question.query(Duration::from_secs(20));
            assert_eq!(query.deadline, Duration::from_millis(granted), "{asked:?}");
        };
        check(None, 20_000);
        check(Some(500), 500);
        check(Some(u64::MAX), 20_000);
    }

    #[test]
    fn sessions_are_read() {
        let check = |rest: &str, expected: ToldSession| {
            let line = format!("SESSION\texample.org\t{rest}");
            let expected = Request::Session(Box::new(expected));
            assert_eq!(parse(line.as_bytes()), Ok(expected), "{line:?}");
        };
        check("outcome=success", session(Ending::Success));
        check(
            "at=1790000000\tpolicy=5f\tmx=mx1.example.org\thelo=mx one\treceiving-ip=192.0.2.1\t\
             sending-ip=2001:db8::1\toutcome=success",
            ToldSession {
                policy: Some("5f".to_owned()),
                mx: Some("mx1.example.org".to_owned()),
                mx_helo: Some("mx one".to_owned()),
                receiving_ip: Some("192.0.2.1".parse().unwrap()),
                sending_ip: Some("2001:db8::1".parse().unwrap()),
                at_unix_seconds: Some(1_790_000_000),
                ..session(Ending::Success)
            },
        );
        // As Exim writes it where a variable is empty.
        check(
            "policy=\tmx=\tsending-ip=\toutcome=success",
            session(Ending::Success),
        );
        check(
            "result=certificate-expired\treason=notAfter is past",
            session(Ending::Failure {
                result: ResultType::CertificateExpired,
                reason: Some("notAfter is past".to_owned()),
            }),
        );
        for (word, starttls) in [
            ("not-offered", StartTls::NotOffered),
            ("refused", StartTls::Refused),
            ("handshake-failed", StartTls::HandshakeFailed),
            ("established", StartTls::Established),
        ] {
            check(
                &format!("starttls={word}"),
                session(facts(starttls, Verification::Unknown)),
            );
        }
        for (word, verification) in [
            ("yes", Verification::Passed),
            ("1", Verification::Passed),
            ("no", Verification::Failed),
            ("0", Verification::Failed),
        ] {
            check(
                &format!("verified={word}"),
                session(facts(StartTls::Unknown, verification)),
            );
        }
        // An MTA that says it saw nothing is not one with a mistake in its configuration.
        check(
            "error=",
            session(facts(StartTls::Unknown, Verification::Unknown)),
        );
    }

    #[test]
    fn certificates_come_as_base64_or_pem() {
        let check = |value: &str, expected: &[u8]| {
            let line = format!("SESSION\texample.org\tcert={value}");
            let Ok(Request::Session(told)) = parse(line.as_bytes()) else {
                panic!("{value:?} was not understood");
            };
            assert_eq!(
                told.session().outcome,
                Outcome::Facts(Facts::default().with_leaf_der(expected)),
                "{value:?}"
            );
        };
        check("MIIB", b"0\x82\x01");
        check("MII=", b"0\x82");
        check("MII", b"0\x82");
        check("MI\\nIB", b"0\x82\x01");
        check(
            "-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----\\n\
             -----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n",
            b"0\x82\x01",
        );
    }

    fn refused(line: &[u8], expected: &str) {
        let shown = String::from_utf8_lossy(line);
        let error = parse(line).expect_err(&shown);
        assert_eq!(error.to_string(), expected, "{shown:?}");
    }

    #[test]
    fn lines_that_are_wrong_are_answered_with_the_field() {
        let check = refused;
        check(b"", "request: not one of PING, POLICY, MX, SESSION, QUIT");
        check(
            b"ping",
            "request: not one of PING, POLICY, MX, SESSION, QUIT",
        );
        check(
            b"GET / HTTP/1.1",
            "request: not one of PING, POLICY, MX, SESSION, QUIT",
        );
        check(b"POLICY", "domain: missing");
        check(b"POLICY\t", "domain: missing");
        check(b"POLICY\t\xff", "domain: not UTF-8");
        check(b"POLICY\ta\\nb", "domain: has a control character in it");
        check(b"POLICY\ta\0b", "domain: has a control character in it");
        check(
            format!("POLICY\t{}", "a".repeat(1_025)).as_bytes(),
            "domain: longer than 1024 bytes",
        );
        check(b"MX\texample.org", "mx: missing");
        check(b"MX\texample.org\t\tx=y", "mx: missing");
        check(
            b"POLICY\ta\tdeadline-ms=soon",
            "deadline-ms: not a number of milliseconds",
        );
        check(
            b"POLICY\ta\tdeadline-ms=-1",
            "deadline-ms: not a number of milliseconds",
        );
        check(
            b"POLICY\ta\tdeadline-ms=1\tdeadline-ms=1",
            "deadline-ms: given twice",
        );
        check(b"POLICY\ta\tx=1\tx=2", "x: given twice");
        check(b"POLICY\ta\tmx.a", "mx.a: a field without `=`");
        check(b"POLICY\ta\t\x1b[1m", "\\x1b[1m: a field without `=`");
    }

    #[test]
    fn sessions_that_are_wrong_are_answered_with_the_field() {
        let session = |rest: &str, expected: &str| {
            refused(format!("SESSION\texample.org\t{rest}").as_bytes(), expected);
        };
        session("outcome=failure", "outcome: the only outcome is `success`");
        session(
            "result=certificate-gone",
            "result: not a result type of RFC 8460 s4.3",
        );
        session(
            "starttls=maybe",
            "starttls: not one of not-offered, refused, handshake-failed, established",
        );
        session("verified=true", "verified: not yes, no, 1 or 0");
        session("cert=%%%", "cert: not a certificate in base64 or PEM");
        session(
            "cert=-----BEGIN CERTIFICATE-----\\nMIIB",
            "cert: not a certificate in base64 or PEM",
        );
        session(
            "receiving-ip=mx1\toutcome=success",
            "receiving-ip: not an IP address",
        );
        session(
            "sending-ip=1.2.3\toutcome=success",
            "sending-ip: not an IP address",
        );
        session(
            "at=today\toutcome=success",
            "at: not a number of seconds since 1970",
        );
        session(
            "outcome=success\treason=fine",
            "reason: goes with `result` only",
        );
        session(
            "",
            "outcome: missing: give outcome, result, or what was seen (starttls, verified, cert, \
             error)",
        );
        session(
            "outcom=success",
            "outcome: missing: give outcome, result, or what was seen (starttls, verified, cert, \
             error)",
        );
        for mixed in [
            "outcome=success\tresult=validation-failure",
            "outcome=success\tstarttls=established",
            "result=validation-failure\terror=x",
        ] {
            session(
                mixed,
                "outcome: give one of outcome, result, and what was seen (starttls, verified, \
                 cert, error)",
            );
        }
    }

    #[test]
    fn text_of_a_server_brings_no_control_characters() {
        let line = br"SESSION	example.org	error=454 4.7.0 \x1b[2J\nno \351	helo=a\012b";
        let Ok(Request::Session(told)) = parse(line) else {
            panic!("not understood");
        };
        assert_eq!(told.mx_helo.as_deref(), Some("a b"));
        let error = "454 4.7.0  [2J no \u{fffd}";
        assert_eq!(
            told.session().outcome,
            Outcome::Facts(Facts::default().with_error(error))
        );
    }

    #[test]
    fn g3_no_line_makes_a_panic_or_a_name_out_of_bounds() {
        let samples: [&[u8]; 5] = [
            b"PING",
            b"POLICY\tb\\xC3\\xbccher.example\tdeadline-ms=1500",
            b"MX\texample.org\tmx1.example.org\tcolour=blue",
            b"SESSION\texample.org\tmx=mx1.example.org\tstarttls=handshake-failed\t\
              verification=failed\terror=a\\tb\\\\c\tip=192.0.2.1\tat=1790000000",
            b"SESSION\texample.org\tresult=certificate-expired\treason=x\tleaf-der=MIIB",
        ];
        for line in sealpost_kit::mutations(11, &samples) {
            match parse(&line) {
                Ok(Request::Policy(question)) => {
                    assert!(question.domain.len() <= NAME_BYTES_MAX);
                    let _asked = question.query(Duration::from_secs(1));
                }
                Ok(Request::Session(told)) => {
                    assert!(told.domain.len() <= NAME_BYTES_MAX);
                    let _told = told.session();
                }
                Ok(Request::Ping | Request::Quit) => {}
                Err(error) => {
                    let answer = crate::doors::plugin_answer::error_answer(&error);
                    let one_field = |c: char| c.is_control() && c != '\t';
                    assert!(!answer.contains(one_field), "{answer:?}");
                    assert!(answer.len() < 4_096, "{answer}");
                }
            }
        }
    }
}
