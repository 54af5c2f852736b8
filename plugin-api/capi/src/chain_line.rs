//! What a server showed, as a `VERIFY` line, and the daemon's word on it. Pure.

use sealpost_plugin_api::ResultType;

use crate::{
    abi::{Code, Judgement},
    line::{NAME_BYTES_MAX, Request, has_gap, printable, unescape},
};

/// What a server showed, its strings looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct PresentedFields<'a> {
    pub(crate) domain: &'a [u8],
    pub(crate) mx: &'a [u8],
    pub(crate) policy: &'a [u8],
    pub(crate) chain_der: Vec<&'a [u8]>,
}

impl PresentedFields<'_> {
    /// The `VERIFY` line, and whether it holds only the first of the certificates.
    pub(crate) fn request(&self) -> Result<(Request, Extent), Code> {
        let mut request = Request::new("VERIFY", self.domain)?;
        let is_named = !self.mx.is_empty() && self.policy.len() <= NAME_BYTES_MAX;
        if !is_named || has_gap(&self.chain_der) {
            return Err(Code::Argument);
        }
        request.name(self.mx)?;
        request.pair("policy", self.policy);
        let written = request.certificates("cert", &self.chain_der);
        let extent = match written < self.chain_der.len() {
            true => Extent::Cut,
            false => Extent::Whole,
        };
        Ok((request, extent))
    }
}

/// How much of a chain a line holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it.
    Whole,
    /// Its first certificates: the others are too many or too large.
    Cut,
}

/// The daemon's word on a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) judgement: Judgement,
    /// `SEALPOST_RESULT_*`.
    pub(crate) result: u32,
    pub(crate) reason: Vec<u8>,
}

impl Told {
    pub(crate) fn unknown(reason: &[u8]) -> Self {
        Self {
            judgement: Judgement::Unknown,
            result: 0,
            reason: printable(reason),
        }
    }

    /// The same of the chain of which the daemon was given so much. What its first certificates satisfy all
    /// of it does; that these do not says nothing of all.
    pub(crate) fn of(self, extent: Extent) -> Self {
        match (self.judgement, extent) {
            (Judgement::Failed, Extent::Cut) => {
                Self::unknown(b"the certificate chain is too large")
            }
            _ => self,
        }
    }

    /// Reads the daemon's answer. One that is not understood vouches for nothing.
    pub(crate) fn read(line: &[u8]) -> Self {
        let mut fields = line.split(|byte| *byte == b'\t');
        let judgement = match fields.next().unwrap_or_default() {
            b"passed" => Judgement::Passed,
            b"failed" => Judgement::Failed,
            b"unknown" => Judgement::Unknown,
            _ => {
                let shown = line.get(..80).unwrap_or(line);
                let mut reason = b"Sealpost answered what this library does not know: ".to_vec();
                reason.extend_from_slice(shown);
                return Self::unknown(&reason);
            }
        };
        let mut told = Self {
            judgement,
            ..Self::unknown(b"")
        };
        for field in fields {
            if let Some(reason) = field.strip_prefix(b"reason=") {
                told.reason = printable(&unescape(reason));
            } else if let Some(name) = field.strip_prefix(b"result=") {
                told.result = result_number(name);
            }
        }
        told
    }
}

/// A result type that is not known here is one that says nothing more than that it failed.
fn result_number(name: &[u8]) -> u32 {
    let of = |name: &[u8]| {
        (1..)
            .zip(ResultType::ALL)
            .find_map(|(number, result)| (result.name().as_bytes() == name).then_some(number))
    };
    of(name)
        .or_else(|| of(ResultType::ValidationFailure.name().as_bytes()))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(chain_der: Vec<&[u8]>) -> PresentedFields<'_> {
        PresentedFields {
            domain: b"example.org",
            mx: b"mx1.example.org",
            policy: b"5f",
            chain_der,
        }
    }

    #[test]
    fn c20_chains_are_written_in_their_order_as_far_as_they_fit() {
        let written = |fields: PresentedFields<'_>| {
            let (request, extent) = fields.request().unwrap();
            (String::from_utf8(request.line().to_vec()).unwrap(), extent)
        };
        let line = |fields: PresentedFields<'_>| match written(fields) {
            (line, Extent::Whole) => Some(line),
            (_, Extent::Cut) => None,
        };
        let head = "VERIFY\texample.org\tmx1.example.org\tpolicy=5f";
        assert_eq!(line(shown(vec![])).unwrap(), head);
        assert_eq!(
            line(shown(vec![b"f", b"fo"])).unwrap(),
            format!("{head}\tcert=Zg==\tcert=Zm8=")
        );
        // Five of 2.5 kB, as large as real chains get, and ten.
        assert!(line(shown(vec![&[0xff; 2_500]; 5])).is_some());
        assert!(line(shown(vec![&[0xff; 2_500]; 10])).is_some());
        assert!(line(shown(vec![b"f"; 16])).is_some());
        assert!(line(shown(vec![b"f"; 17])).is_none());
        assert!(line(shown(vec![&[0xff; 50_000]])).is_none());
        assert!(line(shown(vec![&[0xff; 70_000]])).is_none());
        let cut = |chain| written(shown(chain)).0;
        assert_eq!(cut(vec![&[0xff; 70_000]]), head);
        let first = format!("{head}\tcert=Zg==");
        assert_eq!(cut(vec![b"f", &[0xff; 50_000], b"f"]), first);
        assert_eq!(
            cut(vec![b"f"; 17]),
            format!("{head}{}", "\tcert=Zg==".repeat(16))
        );
    }

    #[test]
    fn a_question_without_its_names_is_refused() {
        let long = [b'a'; 1_025];
        for wrong in [
            PresentedFields {
                domain: b"",
                ..shown(vec![])
            },
            PresentedFields {
                mx: b"",
                ..shown(vec![])
            },
            PresentedFields {
                policy: &long,
                ..shown(vec![])
            },
            shown(vec![b""]),
            shown(vec![b"", b"f"]),
            shown(vec![b"f", b""]),
        ] {
            assert_eq!(wrong.request().err(), Some(Code::Argument), "{wrong:?}");
        }
    }

    #[test]
    fn c20_what_a_cut_chain_does_not_satisfy_is_not_known() {
        for (line, whole, cut) in [
            ("passed\treason=3 1 1", Judgement::Passed, Judgement::Passed),
            (
                "failed\tresult=validation-failure",
                Judgement::Failed,
                Judgement::Unknown,
            ),
            ("unknown\treason=x", Judgement::Unknown, Judgement::Unknown),
        ] {
            let told = Told::read(line.as_bytes());
            assert_eq!(told.clone().of(Extent::Whole).judgement, whole, "{line:?}");
            let told = told.of(Extent::Cut);
            assert_eq!(told.judgement, cut, "{line:?}");
            assert!(cut == Judgement::Failed || told.result == 0, "{line:?}");
        }
    }

    #[test]
    fn verdicts_are_read_and_what_is_not_understood_vouches_for_nothing() {
        let check = |line: &str, judgement, result, reason: &str| {
            let reason = reason.as_bytes().to_vec();
            let expected = Told {
                judgement,
                result,
                reason,
            };
            assert_eq!(Told::read(line.as_bytes()), expected, "{line:?}");
        };
        check("passed\treason=3 1 1", Judgement::Passed, 0, "3 1 1");
        check(
            "failed\tresult=validation-failure\treason=dane-no-match\tcolour=blue",
            Judgement::Failed,
            5,
            "dane-no-match",
        );
        check(
            "failed\tresult=of-another-day\treason=\\x1b[2J",
            Judgement::Failed,
            5,
            "?[2J",
        );
        check(
            "unknown\treason=no such answer",
            Judgement::Unknown,
            0,
            "no such answer",
        );
        for odd in [
            "",
            "OK",
            "PASSED\treason=x",
            "ERROR\trequest: not one",
            "passed now",
        ] {
            let told = Told::read(odd.as_bytes());
            assert_eq!(
                (told.judgement, told.result),
                (Judgement::Unknown, 0),
                "{odd:?}"
            );
        }
    }
}
