//! The lines that clients write on the plugin socket, as values.
//! `docs/plugin-socket.md` is their specification. Pure.

use std::{net::IpAddr, time::Duration};

use sealpost_plugin_api::{
    Facts, Outcome, Presented, Query, ResultType, Session, StartTls, Verification, Verified,
};

pub use super::plugin_fields::LineError;
use super::plugin_fields::{Pairs, positional};

/// The longest line that is taken, its end not counted: room for certificates of 48 kB in base64. What
/// mail hosts send has three to ten.
pub const LINE_BYTES_MAX: usize = 65_536;

/// The most certificates of one chain. A judge looks at no more.
const CERTIFICATES_MAX: usize = 16;

/// What one line asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Is the daemon there?
    Ping,
    /// Answer what came before and close.
    Quit,
    /// What TLS does the domain demand, or (with an MX host) may this host be used?
    Policy(Question),
    /// Does what a server showed satisfy what was demanded?
    Verify(Box<Shown>),
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
    /// The port about to be connected to, where it is not that of mail hosts.
    pub port: Option<u16>,
    /// How long the client is ready to wait.
    pub deadline: Option<Duration>,
}

impl Question {
    /// The question as the hook takes it. No client waits longer than `deadline_max`.
    #[must_use]
    pub fn query(&self, deadline_max: Duration) -> Query<'_> {
        let deadline = self.deadline.unwrap_or(deadline_max).min(deadline_max);
        let mut query = Query::new(&self.domain).with_deadline(deadline);
        query.mx = self.mx.as_deref();
        query.port = self.port;
        query
    }
}

/// `VERIFY`: [`Presented`], owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The recipient domain as addressed.
    pub domain: String,
    /// The MX host.
    pub mx: String,
    /// The policy token of the answer about this MX host; empty where the client has none.
    pub policy: String,
    /// The server's certificates, DER, its own first: as many as are looked at.
    pub chain_der: Vec<Vec<u8>>,
    /// Whether there were more.
    pub is_cut: bool,
}

impl Shown {
    /// Has them judged. What the first of them satisfy they all do; that these do not says nothing of all.
    pub fn judged(&self, judge: impl FnOnce(&Presented<'_>) -> Verified) -> Verified {
        match self.hand_to(judge) {
            Verified::Failed { .. } if self.is_cut => {
                Verified::Unknown("more certificates than are looked at".to_owned())
            }
            verified => verified,
        }
    }

    /// Hands it on as the hook takes it.
    pub fn hand_to<T>(&self, judge: impl FnOnce(&Presented<'_>) -> T) -> T {
        let chain: Vec<&[u8]> = self.chain_der.iter().map(Vec::as_slice).collect();
        judge(&Presented::new(
            &self.domain,
            &self.mx,
            &self.policy,
            &chain,
        ))
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
        /// What its DANE check of the certificate said.
        dane: Verification,
        /// The server's certificate, DER.
        leaf_der: Option<Vec<u8>>,
        /// The further certificates that the server sent, DER; absent where that is not known.
        chain_der: Option<Vec<Vec<u8>>>,
        /// The error's words.
        error: Option<String>,
    },
}

impl ToldSession {
    /// Whether the server's whole chain was handed over, which is then judged.
    #[must_use]
    pub fn has_chain(&self) -> bool {
        match &self.ending {
            Ending::Facts { chain_der, .. } => {
                chain_der.as_ref().is_some_and(|all| !all.is_empty())
            }
            Ending::Success | Ending::Failure { .. } => false,
        }
    }

    /// Hands the session on as the hook takes it.
    pub fn hand_to<T>(&self, recorder: impl FnOnce(&Session<'_>) -> T) -> T {
        let further: Option<Vec<&[u8]>> = match &self.ending {
            Ending::Facts { chain_der, .. } => chain_der
                .as_ref()
                .map(|chain| chain.iter().map(Vec::as_slice).collect()),
            Ending::Success | Ending::Failure { .. } => None,
        };
        let mut session = Session::new(&self.domain, self.ending.outcome(further.as_deref()));
        session.policy = self.policy.as_deref();
        session.mx = self.mx.as_deref();
        session.mx_helo = self.mx_helo.as_deref();
        session.receiving_ip = self.receiving_ip;
        session.sending_ip = self.sending_ip;
        session.at_unix_seconds = self.at_unix_seconds;
        recorder(&session)
    }
}

impl Ending {
    fn outcome<'a>(&'a self, further: Option<&'a [&'a [u8]]>) -> Outcome<'a> {
        match self {
            Self::Success => Outcome::Success,
            Self::Failure { result, reason } => Outcome::Failure {
                result: *result,
                reason: reason.as_deref(),
            },
            Self::Facts {
                starttls,
                verification,
                dane,
                leaf_der,
                chain_der: _,
                error,
            } => {
                let facts = Facts::new(*starttls);
                let mut facts = facts.with_verification(*verification).with_dane(*dane);
                facts.leaf_der = leaf_der.as_deref();
                facts.chain_der = further;
                facts.error = error.as_deref();
                Outcome::Facts(facts)
            }
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
            question(domain, None, &Pairs::read(fields, &[])?)
        }
        b"MX" => {
            let domain = positional("domain", fields.next())?;
            let mx = positional("mx", fields.next())?;
            question(domain, Some(mx), &Pairs::read(fields, &[])?)
        }
        b"SESSION" => {
            let domain = positional("domain", fields.next())?;
            told_session(domain, &Pairs::read(fields, &["chain"])?)
                .map(|told| Request::Session(Box::new(told)))
        }
        b"VERIFY" => {
            let domain = positional("domain", fields.next())?;
            let mx = positional("mx", fields.next())?;
            shown(domain, mx, &Pairs::read(fields, &["cert"])?)
        }
        _ => Err(LineError::new(
            "request",
            "not one of PING, POLICY, MX, VERIFY, SESSION, QUIT",
        )),
    }
}

fn question(domain: String, mx: Option<String>, pairs: &Pairs<'_>) -> Result<Request, LineError> {
    let deadline = pairs.parsed("deadline-ms", "not a number of milliseconds", |text| {
        text.parse().ok().map(Duration::from_millis)
    })?;
    let port = pairs.parsed("port", "not a port from 1 to 65535", |text| {
        text.parse().ok().filter(|port| *port != 0)
    })?;
    Ok(Request::Policy(Question {
        domain,
        mx,
        port,
        deadline,
    }))
}

fn shown(domain: String, mx: String, pairs: &Pairs<'_>) -> Result<Request, LineError> {
    let mut chain_der = pairs.certificates("cert")?;
    let is_cut = chain_der.len() > CERTIFICATES_MAX;
    chain_der.truncate(CERTIFICATES_MAX);
    Ok(Request::Verify(Box::new(Shown {
        domain,
        mx,
        policy: pairs.name("policy")?.unwrap_or_default(),
        chain_der,
        is_cut,
    })))
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

/// What an MTA may tell of what it saw.
const FACTS: [&str; 6] = ["starttls", "verified", "dane", "cert", "chain", "error"];

fn ending(pairs: &Pairs<'_>) -> Result<Ending, LineError> {
    let success = pairs.parsed("outcome", "the only outcome is `success`", |text| {
        (text == "success").then_some(())
    })?;
    let result: Option<ResultType> =
        pairs.parsed("result", "not a result type of RFC 8460 s4.3", |text| {
            text.parse().ok()
        })?;
    let reason = pairs.text("reason");
    let facts = facts(pairs)?;
    if reason.is_some() && result.is_none() {
        return Err(LineError::new("reason", "goes with `result` only"));
    }
    match (success, result, facts) {
        (Some(()), None, None) => Ok(Ending::Success),
        (None, Some(result), None) => Ok(Ending::Failure { result, reason }),
        (None, None, Some(facts)) => Ok(facts),
        (None, None, None) if pairs.names_any(&FACTS) => Ok(Ending::NOTHING_SEEN),
        (None, None, None) => Err(LineError::new(
            "outcome",
            "missing: give outcome, result, or what was seen (starttls, verified, dane, cert, \
             chain, error)",
        )),
        _ => Err(LineError::new(
            "outcome",
            "give one of outcome, result, and what was seen (starttls, verified, dane, cert, \
             chain, error)",
        )),
    }
}

/// What the MTA saw; nothing where it has nothing to tell.
fn facts(pairs: &Pairs<'_>) -> Result<Option<Ending>, LineError> {
    const CHECKED: &str = "not passed, failed, yes, no, 1 or 0";
    let starttls = pairs.parsed(
        "starttls",
        "not one of not-offered, refused, handshake-failed, established",
        starttls_of,
    )?;
    let verification = pairs.parsed("verified", CHECKED, verification_of)?;
    let dane = pairs.parsed("dane", CHECKED, verification_of)?;
    // Of several certificates in PEM it is the first: a chain begins with the leaf.
    let leaf_der = pairs.certificates("cert")?.into_iter().next();
    let chain_der = further(pairs)?;
    if chain_der.is_some() && leaf_der.is_none() {
        return Err(LineError::new("chain", "goes with `cert` only"));
    }
    let seen = Ending::Facts {
        starttls: starttls.unwrap_or_default(),
        verification: verification.unwrap_or_default(),
        dane: dane.unwrap_or_default(),
        leaf_der,
        chain_der,
        error: pairs.text("error"),
    };
    Ok((seen != Ending::NOTHING_SEEN).then_some(seen))
}

impl Ending {
    /// An MTA that says it saw nothing.
    const NOTHING_SEEN: Self = Self::Facts {
        starttls: StartTls::Unknown,
        verification: Verification::Unknown,
        dane: Verification::Unknown,
        leaf_der: None,
        chain_der: None,
        error: None,
    };
}

/// The certificates after the server's own. `none` says that it sent no others, which is more than not
/// to know. So is a part of them: of more than are looked at nothing is known.
fn further(pairs: &Pairs<'_>) -> Result<Option<Vec<Vec<u8>>>, LineError> {
    if pairs.is_only("chain", b"none") {
        return Ok(Some(Vec::new()));
    }
    let chain = pairs.certificates("chain")?;
    let is_whole = !chain.is_empty() && chain.len() < CERTIFICATES_MAX;
    Ok(is_whole.then_some(chain))
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

/// `1` and `0` are what Exim's `$tls_out_certificate_verified` holds, `yes` its `$tls_out_dane`.
fn verification_of(word: &str) -> Option<Verification> {
    match word {
        "passed" | "yes" | "1" => Some(Verification::Passed),
        "failed" | "no" | "0" => Some(Verification::Failed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::plugin_fields::NAME_BYTES_MAX, *};

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
            dane: Verification::Unknown,
            leaf_der: None,
            chain_der: None,
            error: None,
        }
    }

    fn policy(domain: &str, mx: Option<&str>, deadline_ms: Option<u64>) -> Request {
        Request::Policy(Question {
            domain: domain.to_owned(),
            mx: mx.map(str::to_owned),
            port: None,
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
            "MX\texample.org\tmx1.example.org\tport=2525",
            Request::Policy(Question {
                domain: "example.org".to_owned(),
                mx: Some("mx1.example.org".to_owned()),
                port: Some(2_525),
                deadline: None,
            }),
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
                port: None,
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
            ("passed", Verification::Passed),
            ("failed", Verification::Failed),
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
            told.hand_to(|session| {
                let facts = Facts::default().with_leaf_der(expected);
                assert_eq!(session.outcome, Outcome::Facts(facts), "{value:?}");
            });
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

    #[test]
    fn c20_chains_are_read_in_their_order() {
        let (a, b, c) = (&[0x30, 1][..], &[0x30, 2][..], &[0x30, 3][..]);
        let shown = |fields: &str, expected: &[&[u8]]| {
            let line = format!("VERIFY\texample.org\tmx1.example.org\tpolicy=5f{fields}");
            let Ok(Request::Verify(shown)) = parse(line.as_bytes()) else {
                panic!("{line:?} was not understood");
            };
            shown.hand_to(|presented| {
                let held = Presented::new("example.org", "mx1.example.org", "5f", expected);
                assert_eq!(*presented, held, "{line:?}");
            });
        };
        let pem = |base64: &str| {
            format!("-----BEGIN CERTIFICATE-----\\n{base64}\\n-----END CERTIFICATE-----\\n")
        };
        let bundle = format!("\tcert={}{}", pem("MAE="), pem("MAI="));
        shown("\tcert=MAE=\tcert=MAI=\tcert=MAM=", &[a, b, c]);
        shown("\tcert=", &[]);
        shown(&bundle, &[a, b]);
        shown(&format!("{bundle}\tcert=MAM="), &[a, b, c]);
        shown("", &[]);

        let told = |fields: &str, leaf: &[u8], further: Option<&[&[u8]]>| {
            let line = format!("SESSION\texample.org\tdane=passed{fields}");
            let Ok(Request::Session(told)) = parse(line.as_bytes()) else {
                panic!("{line:?} was not understood");
            };
            let mut facts = Facts::default().with_dane(Verification::Passed);
            facts.leaf_der = Some(leaf).filter(|leaf| !leaf.is_empty());
            facts.chain_der = further;
            told.hand_to(|session| {
                assert_eq!(session.outcome, Outcome::Facts(facts), "{line:?}");
            });
        };
        told("", &[], None);
        told("\tcert=MAE=", a, None);
        told("\tcert=MAE=\tchain=", a, None);
        told("\tcert=MAE=\tchain=none", a, Some(&[]));
        told("\tcert=MAE=\tchain=MAI=\tchain=MAM=", a, Some(&[b, c]));
        // What is cut is not known.
        told(
            &format!("\tcert=MAE={}", "\tchain=MAI=".repeat(15)),
            a,
            Some(&[b; 15]),
        );
        told(
            &format!("\tcert=MAE={}", "\tchain=MAI=".repeat(16)),
            a,
            None,
        );
        let bundle = format!("\tcert=MAE=\tchain={}{}", pem("MAI="), pem("MAM="));
        told(&bundle, a, Some(&[b, c]));
    }

    #[test]
    fn c20_a_cut_chain_may_match_and_never_fails() {
        let verdicts = [
            Verified::Passed("3 1 1".to_owned()),
            Verified::Failed {
                result: ResultType::ValidationFailure,
                reason: "dane-no-match".to_owned(),
            },
        ];
        for (certificates, expected) in [(16, ["Passed", "Failed"]), (17, ["Passed", "Unknown"])] {
            let certificates = "\tcert=MIIB".repeat(certificates);
            let line = format!("VERIFY\texample.org\tmx1.example.org{certificates}");
            let Ok(Request::Verify(shown)) = parse(line.as_bytes()) else {
                panic!("{line:?} was not understood");
            };
            for (verdict, expected) in verdicts.iter().zip(expected) {
                let judged = shown.judged(|presented| {
                    assert_eq!(presented.chain_der.len(), 16);
                    verdict.clone()
                });
                assert!(format!("{judged:?}").starts_with(expected), "{judged:?}");
            }
        }
    }

    fn refused(line: &[u8], expected: &str) {
        let shown = String::from_utf8_lossy(line);
        let error = parse(line).expect_err(&shown);
        assert_eq!(error.to_string(), expected, "{shown:?}");
    }

    #[test]
    fn lines_that_are_wrong_are_answered_with_the_field() {
        let check = refused;
        check(
            b"",
            "request: not one of PING, POLICY, MX, VERIFY, SESSION, QUIT",
        );
        check(
            b"ping",
            "request: not one of PING, POLICY, MX, VERIFY, SESSION, QUIT",
        );
        check(
            b"GET / HTTP/1.1",
            "request: not one of PING, POLICY, MX, VERIFY, SESSION, QUIT",
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
        check(b"MX\ta\tb\tport=0", "port: not a port from 1 to 65535");
        check(b"POLICY\ta\tport=65536", "port: not a port from 1 to 65535");
        check(b"VERIFY\ta", "mx: missing");
        check(b"VERIFY\ta\tb\tpolicy=1\tpolicy=2", "policy: given twice");
        check(
            b"VERIFY\ta\tb\tcert=MIIB\tcert=%",
            "cert (number 2): not a certificate in base64 or PEM",
        );
        check(
            b"VERIFY\ta\tb\tcert=\tcert=MIIB",
            "cert (number 1): empty, among others that are not",
        );
        check(
            b"VERIFY\ta\tb\tcert=MIIB\tcert=",
            "cert (number 2): empty, among others that are not",
        );
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
        session(
            "verified=true",
            "verified: not passed, failed, yes, no, 1 or 0",
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
            "outcome: missing: give outcome, result, or what was seen (starttls, verified, dane, cert, chain, error)",
        );
        session(
            "outcom=success",
            "outcome: missing: give outcome, result, or what was seen (starttls, verified, dane, cert, chain, error)",
        );
        for mixed in [
            "outcome=success\tresult=validation-failure",
            "outcome=success\tstarttls=established",
            "result=validation-failure\terror=x",
        ] {
            session(
                mixed,
                "outcome: give one of outcome, result, and what was seen (starttls, verified, dane, cert, chain, error)",
            );
        }
    }

    #[test]
    fn chains_that_are_wrong_are_answered_with_the_field_and_its_number() {
        let session = |rest: &str, expected: &str| {
            refused(format!("SESSION\texample.org\t{rest}").as_bytes(), expected);
        };
        session("dane=maybe", "dane: not passed, failed, yes, no, 1 or 0");
        session("chain=MIIB", "chain: goes with `cert` only");
        session(
            "cert=MIIB\tchain=MIIB\tchain=%",
            "chain (number 2): not a certificate in base64 or PEM",
        );
        session(
            "cert=MIIB\tchain=none\tchain=%",
            "chain (number 2): not a certificate in base64 or PEM",
        );
        session("cert=MIIB\tcert=MIIB", "cert: given twice");
        session(
            "cert=MIIB\tchain=\tchain=MIIB",
            "chain (number 1): empty, among others that are not",
        );
        session("cert=%%%", "cert: not a certificate in base64 or PEM");
        session(
            "cert=-----BEGIN CERTIFICATE-----\\nMIIB",
            "cert: not a certificate in base64 or PEM",
        );
    }

    #[test]
    fn text_of_a_server_brings_no_control_characters() {
        let line = br"SESSION	example.org	error=454 4.7.0 \x1b[2J\nno \351	helo=a\012b";
        let Ok(Request::Session(told)) = parse(line) else {
            panic!("not understood");
        };
        assert_eq!(told.mx_helo.as_deref(), Some("a b"));
        let error = "454 4.7.0  [2J no \u{fffd}";
        told.hand_to(|session| {
            let facts = Facts::default().with_error(error);
            assert_eq!(session.outcome, Outcome::Facts(facts));
        });
    }

    #[test]
    fn g3_no_line_makes_a_panic_or_a_name_out_of_bounds() {
        let samples: [&[u8]; 7] = [
            b"PING",
            b"POLICY\tb\\xC3\\xbccher.example\tdeadline-ms=1500",
            b"MX\texample.org\tmx1.example.org\tcolour=blue",
            b"SESSION\texample.org\tmx=mx1.example.org\tstarttls=handshake-failed\t\
              verification=failed\terror=a\\tb\\\\c\tip=192.0.2.1\tat=1790000000",
            b"SESSION\texample.org\tresult=certificate-expired\treason=x\tleaf-der=MIIB",
            b"SESSION\texample.org\tdane=failed\tcert=MIIB\tchain=MIIB\tchain=AAAA",
            b"VERIFY\texample.org\tmx1.example.org\tpolicy=5f\tcert=MIIB\tcert=AAAA",
        ];
        for line in sealpost_kit::mutations(11, &samples) {
            match parse(&line) {
                Ok(Request::Policy(question)) => {
                    assert!(question.domain.len() <= NAME_BYTES_MAX);
                    let _asked = question.query(Duration::from_secs(1));
                }
                Ok(Request::Verify(shown)) => {
                    assert!(shown.chain_der.len() <= CERTIFICATES_MAX);
                    shown.hand_to(|presented| assert_eq!(presented.mx, shown.mx));
                }
                Ok(Request::Session(told)) => {
                    assert!(told.domain.len() <= NAME_BYTES_MAX);
                    told.hand_to(|session| assert_eq!(session.domain, told.domain));
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
