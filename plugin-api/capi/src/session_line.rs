//! What a host tells of a session, as a `SESSION` line. Pure.

use sealpost_plugin_api::ResultType;

use crate::{
    abi::{Code, OUTCOME_FACTS, OUTCOME_FAILURE, OUTCOME_SUCCESS},
    line::{CERTIFICATES_MAX, NAME_BYTES_MAX, Request, base64, has_gap},
};

/// Free text is cut here.
const TEXT_BYTES_MAX: usize = 4_096;
/// A longer certificate is left out: in base64 it would not fit into a line.
const LEAF_BYTES_MAX: usize = 32_768;

/// One session, its strings looked at and its numbers still as the host gave them.
#[derive(Clone, Debug, Default)]
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
    /// The certificates after that one; absent where they are not known.
    pub(crate) chain_der: Option<Vec<&'a [u8]>>,
    pub(crate) dane: u32,
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
                let dane = verification_word(self.dane)?;
                if !dane.is_empty() {
                    request.pair("dane", dane);
                }
                request.pair("error", text);
                self.certificates(&mut request);
            }
            _ => return Err(Code::Argument),
        }
        Ok(request)
    }
}

impl SessionFields<'_> {
    /// The certificates, as many as there is room for: what is left out is not known to the daemon.
    fn certificates(&self, request: &mut Request) {
        if self.leaf_der.is_empty() || self.leaf_der.len() > LEAF_BYTES_MAX {
            return;
        }
        request.pair("cert", base64(self.leaf_der).as_bytes());
        match self.chain_der.as_deref() {
            None => {}
            Some([]) => request.pair("chain", b"none"),
            // A part of them would be taken for all.
            Some(chain) if chain.len() < CERTIFICATES_MAX && !has_gap(chain) => {
                request.all_certificates("chain", chain);
            }
            Some(_) => {}
        }
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

#[cfg(test)]
mod tests {
    use super::*;

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
            session.clone(),
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
                ..session.clone()
            },
            "SESSION\texample.org\tpolicy=5f\tmx=mx1.example.org\treceiving-ip=192.0.2.1\t\
                 sending-ip=2001:db8::1\thelo=mx\\tone\tat=1790000000\toutcome=success",
        );
        check(
            SessionFields {
                outcome: OUTCOME_FAILURE,
                result: 3,
                text: b"past\nit\\",
                ..session.clone()
            },
            "SESSION\texample.org\tresult=certificate-expired\treason=past\\nit\\\\",
        );
        check(
            SessionFields {
                starttls: 4,
                verification: 2,
                leaf_der: b"foo",
                text: b"\x1b",
                ..session.clone()
            },
            "SESSION\texample.org\tstarttls=established\tverified=no\terror=\\x1b\tcert=Zm9v",
        );
        check(
            SessionFields {
                starttls: 4,
                leaf_der: b"foo",
                chain_der: Some(vec![b"f", b"fo"]),
                dane: 1,
                ..session.clone()
            },
            "SESSION\texample.org\tstarttls=established\tverified=\tdane=yes\terror=\tcert=Zm9v\t\
             chain=Zg==\tchain=Zm8=",
        );
        let with_chain = |chain_der| SessionFields {
            leaf_der: b"foo",
            chain_der,
            ..session.clone()
        };
        let head = "SESSION\texample.org\tstarttls=\tverified=\terror=\tcert=Zm9v";
        check(with_chain(None), head);
        check(with_chain(Some(vec![])), &format!("{head}\tchain=none"));
        // What does not fit is not known.
        check(with_chain(Some(vec![b"f"; 16])), head);
        check(with_chain(Some(vec![&[0; 50_000]])), head);
        check(with_chain(Some(vec![b"f", b"", b"f"])), head);
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
                ..session.clone()
            },
            SessionFields {
                mx: &long,
                ..session.clone()
            },
            SessionFields {
                outcome: 3,
                ..session.clone()
            },
            SessionFields {
                outcome: OUTCOME_FAILURE,
                ..session.clone()
            },
            SessionFields {
                outcome: OUTCOME_FAILURE,
                result: 12,
                ..session.clone()
            },
            SessionFields {
                starttls: 5,
                ..session.clone()
            },
            SessionFields {
                dane: 3,
                ..session.clone()
            },
            SessionFields {
                verification: 3,
                ..session.clone()
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
            chain_der: Some(vec![&[0xff; 9_000]; 3]),
            ..SessionFields::default()
        };
        let length = fields.request().unwrap().line().len();
        assert!(length <= 65_536, "{length}");
    }
}
