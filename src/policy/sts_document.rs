//! The policy document `mta-sts.txt` (RFC 8461 s3.2): a few `key: value` lines.

use super::{
    AppliedPolicy, MxHost, MxPattern, NameError, PolicyDomain, PolicyType,
    txt_fields::is_field_name,
};
use crate::clock::Timestamp;
use crate::observe::printable::excerpt;

/// What a policy asks to be done (RFC 8461 s5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Deliver only to MX hosts that satisfy the policy.
    Enforce,
    /// Deliver as if there were no policy, evaluate and report as if it were enforced.
    Testing,
    /// As if there were no policy.
    None,
}

impl Mode {
    /// The word in the document.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
        }
    }
}

/// A valid policy. There is no way to hold an invalid one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StsPolicy {
    /// What it asks to be done.
    pub mode: Mode,
    /// How long it may be kept, in seconds, at most [`MAX_AGE_SECONDS_MAX`].
    pub max_age_seconds: u32,
    /// Which MX host names it allows. Empty only where `mode` is `none`.
    pub mx: Vec<MxPattern>,
    /// Its lines as published, without line ends: a report repeats them (RFC 8460 s4.4).
    pub lines: Vec<String>,
}

/// RFC 8461 s3.2: "max_age" is at most 31557600 seconds, about one year.
pub const MAX_AGE_SECONDS_MAX: u32 = 31_557_600;

/// Why a document is not a policy. The domain's operator must act. Lines are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// It begins with the byte order mark of some editors.
    #[error("line 1: it begins with a byte order mark")]
    ByteOrderMark,
    /// A line holds a control character other than a tab, or a carriage return within it.
    #[error("line {line}: it holds a control character")]
    ControlCharacter {
        /// Where.
        line: usize,
    },
    /// A line is not `key: value`.
    #[error("line {line}: \"{text}\" is not of the form \"key: value\"")]
    NotAField {
        /// Where.
        line: usize,
        /// What stands there, escaped and cut.
        text: String,
    },
    /// There is no `version`.
    #[error("there is no version")]
    VersionMissing,
    /// `version` is something else than `STSv1`.
    #[error("line {line}: the version is \"{text}\", not \"STSv1\"")]
    VersionUnknown {
        /// Where.
        line: usize,
        /// What stands there, escaped and cut.
        text: String,
    },
    /// There is no `mode`.
    #[error("there is no mode")]
    ModeMissing,
    /// `mode` is something else than `enforce`, `testing` or `none`.
    #[error("line {line}: the mode is \"{text}\", not \"enforce\", \"testing\" or \"none\"")]
    ModeUnknown {
        /// Where.
        line: usize,
        /// What stands there, escaped and cut.
        text: String,
    },
    /// There is no `max_age`.
    #[error("there is no max_age")]
    MaxAgeMissing,
    /// `max_age` is not 1 to 10 digits.
    #[error("line {line}: the max_age is \"{text}\", not a number of seconds of 1 to 10 digits")]
    MaxAgeInvalid {
        /// Where.
        line: usize,
        /// What stands there, escaped and cut.
        text: String,
    },
    /// The mode is not `none` and there is no `mx` that names a host.
    #[error("there is no mx that names a host, and the mode is not \"none\"")]
    MxMissing,
    /// An `mx` is not a host name, nor one with `*.` before it.
    #[error("line {line}: the mx \"{text}\" is neither a host name nor \"*.\" and a host name")]
    MxInvalid {
        /// Where.
        line: usize,
        /// What stands there, escaped and cut.
        text: String,
    },
}

impl DocumentError {
    /// A short stable code for the `failure-reason-code` of a report.
    #[must_use]
    pub const fn reason_code(&self) -> &'static str {
        match self {
            Self::ByteOrderMark => "policy-byte-order-mark",
            Self::ControlCharacter { .. } => "policy-control-character",
            Self::NotAField { .. } => "policy-not-a-field",
            Self::VersionMissing => "policy-version-missing",
            Self::VersionUnknown { .. } => "policy-version-unknown",
            Self::ModeMissing => "policy-mode-missing",
            Self::ModeUnknown { .. } => "policy-mode-unknown",
            Self::MaxAgeMissing => "policy-max-age-missing",
            Self::MaxAgeInvalid { .. } => "policy-max-age-invalid",
            Self::MxMissing => "policy-mx-missing",
            Self::MxInvalid { .. } => "policy-mx-invalid",
        }
    }

    /// The line that it is about; nothing where something is missing.
    #[must_use]
    pub const fn line(&self) -> Option<usize> {
        match self {
            Self::ByteOrderMark => Some(1),
            Self::ControlCharacter { line }
            | Self::NotAField { line, .. }
            | Self::VersionUnknown { line, .. }
            | Self::ModeUnknown { line, .. }
            | Self::MaxAgeInvalid { line, .. }
            | Self::MxInvalid { line, .. } => Some(*line),
            Self::VersionMissing | Self::ModeMissing | Self::MaxAgeMissing | Self::MxMissing => {
                None
            }
        }
    }
}

/// How many faults of one document are named: a page of HTML in its place has one a line.
const FAULTS_MAX: usize = 16;

impl StsPolicy {
    /// Reads a document.
    ///
    /// # Errors
    /// When it is not a valid policy; the first thing that is wrong is named.
    pub fn parse(document: &[u8]) -> Result<Self, DocumentError> {
        // OURS: some software takes a byte order mark and some does not; a policy that only works
        // with the tolerant is worth a report (docs/decisions/0003-mta-sts.md).
        if document.starts_with(b"\xef\xbb\xbf") {
            return Err(DocumentError::ByteOrderMark);
        }
        // RFC 8461 s3.2: values of unknown keys are UTF-8. What is not is shown as U+FFFD (E5).
        let text = String::from_utf8_lossy(document);
        let mut fields = Fields::default();
        let mut lines = Vec::new();
        for (number, line) in lines_of(&text) {
            fields.read_line(number, line)?;
            lines.push(line.to_owned());
        }
        fields.finish(lines)
    }

    /// Everything that is wrong with a document, for whoever is to mend it: nothing where [`parse`](Self::parse) takes it.
    /// The first of many.
    #[must_use]
    pub fn faults(document: &[u8]) -> Vec<DocumentError> {
        let mut faults = Vec::new();
        let unmarked = document.strip_prefix(b"\xef\xbb\xbf");
        if unmarked.is_some() {
            faults.push(DocumentError::ByteOrderMark);
        }
        let text = String::from_utf8_lossy(unmarked.unwrap_or(document));
        let mut fields = Fields::default();
        for (number, line) in lines_of(&text) {
            faults.extend(fields.read_line(number, line).err());
        }
        // What is there and wrong is not missing.
        let is_wrong = |code: &str| faults.iter().any(|fault| fault.reason_code() == code);
        let missing = [
            (fields.version.is_none() && !is_wrong("policy-version-unknown"))
                .then_some(DocumentError::VersionMissing),
            (fields.mode.is_none() && !is_wrong("policy-mode-unknown"))
                .then_some(DocumentError::ModeMissing),
            (fields.max_age_seconds.is_none() && !is_wrong("policy-max-age-invalid"))
                .then_some(DocumentError::MaxAgeMissing),
            (fields.mx.is_empty()
                && fields.mode != Some(Mode::None)
                && !is_wrong("policy-mx-invalid"))
            .then_some(DocumentError::MxMissing),
        ];
        faults.truncate(FAULTS_MAX);
        faults.extend(missing.into_iter().flatten());
        faults
    }

    /// Whether the policy allows the MX host of this name (RFC 8461 s4.1). The name is that of the
    /// MX record, not what it is an alias of (B23).
    #[must_use]
    pub fn allows(&self, mx: &MxHost) -> bool {
        self.mx.iter().any(|pattern| pattern.matches(mx))
    }

    /// The policy as a report names it. Mode `none` counts as no policy (D8).
    #[must_use]
    pub fn applied(&self, domain: &PolicyDomain) -> AppliedPolicy {
        if self.mode == Mode::None {
            return AppliedPolicy::no_policy_found(domain.clone());
        }
        AppliedPolicy {
            policy_type: PolicyType::Sts,
            policy_domain: domain.clone(),
            policy_string: self.lines.clone(),
            mx_host: self.mx.iter().map(ToString::to_string).collect(),
        }
    }
}

/// A policy with what must be known to keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPolicy {
    /// The policy.
    pub policy: StsPolicy,
    /// The `id` of the TXT record that was read **before** the document was fetched (B33).
    pub id: String,
    /// When it was fetched.
    pub fetched_at: Timestamp,
    /// When a fetch last confirmed it or last failed to; the daily refresh counts from here.
    pub tried_at: Timestamp,
}

impl KeptPolicy {
    /// The moment from which it no longer holds (RFC 8461 s3.3).
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.fetched_at
            .plus_seconds(i64::from(self.policy.max_age_seconds))
    }
}

/// The lines with their numbers, from 1.
// Erratum 6253: lines end with LF or CRLF, also mixed, and the last may have no end.
fn lines_of(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let ended = text.strip_suffix('\n').unwrap_or(text);
    let lines = ended.split('\n').zip(1..);
    lines.map(|(line, number)| (number, line.strip_suffix('\r').unwrap_or(line)))
}

/// The fields of a document as far as it has been read.
#[derive(Default)]
struct Fields {
    version: Option<()>,
    mode: Option<Mode>,
    max_age_seconds: Option<u32>,
    mx: Vec<MxPattern>,
}

impl Fields {
    fn read_line(&mut self, line: usize, text: &str) -> Result<(), DocumentError> {
        if text
            .chars()
            .any(|character| character.is_control() && character != '\t')
        {
            return Err(DocumentError::ControlCharacter { line });
        }
        // OURS: blank lines are no fields, and harm nobody (docs/decisions/0003-mta-sts.md).
        if text.trim_ascii().is_empty() {
            return Ok(());
        }
        let (key, value) = match text.split_once(':') {
            Some((key, value)) if is_field_name(key) => (key, value.trim_ascii()),
            _ => {
                let text = excerpt(text);
                return Err(DocumentError::NotAField { line, text });
            }
        };
        // RFC 8461 s3.2: keys and values differ by letter case, the first of a key counts (but for
        // mx, which may come often), and keys that are not known are ignored.
        match key {
            "version" if self.version.is_none() => self.version = Some(read_version(line, value)?),
            "mode" if self.mode.is_none() => self.mode = Some(read_mode(line, value)?),
            "max_age" if self.max_age_seconds.is_none() => {
                self.max_age_seconds = Some(read_max_age(line, value)?);
            }
            "mx" => self.mx.extend(read_mx(line, value)?),
            _ => {}
        }
        Ok(())
    }

    fn finish(self, lines: Vec<String>) -> Result<StsPolicy, DocumentError> {
        self.version.ok_or(DocumentError::VersionMissing)?;
        let mode = self.mode.ok_or(DocumentError::ModeMissing)?;
        let max_age_seconds = self.max_age_seconds.ok_or(DocumentError::MaxAgeMissing)?;
        if self.mx.is_empty() && mode != Mode::None {
            return Err(DocumentError::MxMissing);
        }
        Ok(StsPolicy {
            mode,
            max_age_seconds,
            mx: self.mx,
            lines,
        })
    }
}

fn read_version(line: usize, value: &str) -> Result<(), DocumentError> {
    if value == "STSv1" {
        return Ok(());
    }
    let text = excerpt(value);
    Err(DocumentError::VersionUnknown { line, text })
}

fn read_mode(line: usize, value: &str) -> Result<Mode, DocumentError> {
    [Mode::Enforce, Mode::Testing, Mode::None]
        .into_iter()
        .find(|mode| mode.name() == value)
        .ok_or_else(|| DocumentError::ModeUnknown {
            line,
            text: excerpt(value),
        })
}

fn read_max_age(line: usize, value: &str) -> Result<u32, DocumentError> {
    let digits = (1..=10).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = value.parse::<u64>().ok().filter(|_| digits);
    let seconds = seconds.ok_or_else(|| DocumentError::MaxAgeInvalid {
        line,
        text: excerpt(value),
    })?;
    // Erratum 7282: ten digits can say more than the maximum. OURS: that means the maximum.
    Ok(
        u32::try_from(seconds).map_or(MAX_AGE_SECONDS_MAX, |seconds| {
            seconds.min(MAX_AGE_SECONDS_MAX)
        }),
    )
}

/// The pattern of an `mx`; none for an address, which no MX record can hold and so never matches.
fn read_mx(line: usize, value: &str) -> Result<Option<MxPattern>, DocumentError> {
    match value.parse() {
        Ok(pattern) => Ok(Some(pattern)),
        // OURS: operators do write addresses here; the other lines stay good (B22).
        Err(NameError::Address(_)) => Ok(None),
        Err(_) => {
            let text = excerpt(value);
            Err(DocumentError::MxInvalid { line, text })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<StsPolicy, DocumentError> {
        StsPolicy::parse(text.as_bytes())
    }

    /// A policy of these fields, with its mx and lines left out of the comparison.
    fn summary(policy: &StsPolicy) -> (Mode, u32, Vec<String>) {
        let mx = policy.mx.iter().map(ToString::to_string).collect();
        (policy.mode, policy.max_age_seconds, mx)
    }

    const ENFORCE: &str = "version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: 604800\n";

    #[test]
    fn b18_b19_b20_b21_valid_documents() {
        let enforce = (Mode::Enforce, 604_800, vec!["mx.example.com".to_owned()]);
        for text in [
            ENFORCE,
            &ENFORCE.replace('\n', "\r\n"),
            ENFORCE.trim_end(),
            &ENFORCE.replace(": ", ":"),
            &ENFORCE.replace(": ", ": \t "),
            "version: STSv1\r\nmode:    enforce\r\nmax_age: 604800\r\nmx: mx.example.com",
            "version: STSv1\nmode: enforce\nmx: MX.EXAMPLE.COM\nmax_age: 604800\n\n",
            &ENFORCE.replace('\n', " \t\n"),
            &ENFORCE.replacen('\n', "\r\n", 2),
            &ENFORCE.replace('\n', "\n\n \r\n"),
            &format!("{ENFORCE}future-key: bücher = 1; 2\nx.y_z:\n"),
            &format!("{ENFORCE}mode: none\nmax_age: never\nversion: STSv2\n"),
            "max_age: 604800\nmx: MX.example.com.\nmode: enforce\nversion: STSv1\n",
        ] {
            assert_eq!(
                parse(text).map(|policy| summary(&policy)),
                Ok(enforce.clone()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn b20_of_two_modes_the_first_counts() {
        let policy = parse(&format!("version: STSv1\nmode: testing\n{ENFORCE}")).unwrap();
        assert_eq!(policy.mode, Mode::Testing);
    }

    #[test]
    fn b19_mode_none_needs_no_mx() {
        let policy = parse("version: STSv1\nmode: none\nmax_age: 86400\n").unwrap();
        assert_eq!(summary(&policy), (Mode::None, 86_400, Vec::new()));
    }

    #[test]
    fn b21_max_age_is_bounded_by_a_year() {
        for (given, expected) in [
            ("0", Some(0)),
            ("0086400", Some(86_400)),
            ("31557600", Some(31_557_600)),
            ("31557601", Some(31_557_600)),
            ("4294967296", Some(31_557_600)),
            ("9999999999", Some(31_557_600)),
            ("10000000000", None),
            ("00000000001", None),
            ("-1", None),
            ("+1", None),
            ("1d", None),
            ("1 000", None),
            ("", None),
        ] {
            let result = parse(&ENFORCE.replace("604800", given));
            let expected = expected.ok_or_else(|| DocumentError::MaxAgeInvalid {
                line: 4,
                text: given.to_owned(),
            });
            assert_eq!(
                result.map(|policy| policy.max_age_seconds),
                expected,
                "{given}"
            );
        }
    }

    #[test]
    fn b22_an_address_never_matches_and_breaks_nothing() {
        let policy = parse(&format!(
            "{ENFORCE}mx: 192.0.2.1\nmx: 2001:db8::1\nmx: *.example.net\n"
        ));
        let policy = policy.unwrap();
        assert_eq!(summary(&policy).2, ["mx.example.com", "*.example.net"]);
        assert!(policy.allows(&"a.example.net".parse().unwrap()));
        assert!(!policy.allows(&"example.net".parse().unwrap()));
        assert_eq!(policy.lines.len(), 7);
        assert_eq!(
            parse(&ENFORCE.replace("mx.example.com", "192.0.2.1")),
            Err(DocumentError::MxMissing)
        );
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table of cases")]
    fn b18_b19_b22_invalid_documents() {
        use DocumentError::{
            ByteOrderMark, ControlCharacter, MaxAgeMissing, ModeMissing, ModeUnknown, MxInvalid,
            MxMissing, NotAField, VersionMissing, VersionUnknown,
        };
        let text = |text: &str| text.to_owned();
        for (document, expected) in [
            (text(""), VersionMissing),
            (text("\n\n"), VersionMissing),
            (format!("\u{feff}{ENFORCE}"), ByteOrderMark),
            (ENFORCE.replace("version: STSv1\n", ""), VersionMissing),
            (
                ENFORCE.replace("STSv1", "STSV1"),
                VersionUnknown {
                    line: 1,
                    text: text("STSV1"),
                },
            ),
            (ENFORCE.replace("mode: enforce\n", ""), ModeMissing),
            (ENFORCE.replace("mode:", "Mode:"), ModeMissing),
            (
                ENFORCE.replace("enforce", "Enforce"),
                ModeUnknown {
                    line: 2,
                    text: text("Enforce"),
                },
            ),
            (
                ENFORCE.replace("enforce", "enforce # now"),
                ModeUnknown {
                    line: 2,
                    text: text("enforce # now"),
                },
            ),
            (ENFORCE.replace("max_age: 604800\n", ""), MaxAgeMissing),
            (ENFORCE.replace("mx:", "nmx:"), MxMissing),
            (
                ENFORCE.replace("mx.example.com", "*"),
                MxInvalid {
                    line: 3,
                    text: text("*"),
                },
            ),
            // A template of a British authority for domains without mail.
            (
                text("version: STSv1\r\nmode: testing\r\nmax_age: 86401\r\nmx: ."),
                MxInvalid {
                    line: 4,
                    text: text("."),
                },
            ),
            (
                ENFORCE.replace("mx.example.com", "[mx.example.com]"),
                MxInvalid {
                    line: 3,
                    text: text("[mx.example.com]"),
                },
            ),
            (
                ENFORCE.replace("mx.example.com", "bücher.example"),
                MxInvalid {
                    line: 3,
                    text: text("bücher.example"),
                },
            ),
            (
                format!("{ENFORCE}<html>\n"),
                NotAField {
                    line: 5,
                    text: text("<html>"),
                },
            ),
            (
                format!("{ENFORCE} note: x\n"),
                NotAField {
                    line: 5,
                    text: text(" note: x"),
                },
            ),
            (
                ENFORCE.replace("mode:", "mode :"),
                NotAField {
                    line: 2,
                    text: text("mode : enforce"),
                },
            ),
            (ENFORCE.replace('\n', "\r"), ControlCharacter { line: 1 }),
            (
                format!("{ENFORCE}x: \u{1b}[2J\n"),
                ControlCharacter { line: 5 },
            ),
            (format!("{ENFORCE}x: \0\n"), ControlCharacter { line: 5 }),
        ] {
            assert_eq!(parse(&document).as_ref(), Err(&expected), "{document:?}");
            let faults = StsPolicy::faults(document.as_bytes());
            assert!(faults.contains(&expected), "{document:?}: {faults:?}");
        }
    }

    #[test]
    fn whoever_is_to_mend_a_document_is_told_of_all_its_faults_at_once() {
        let all = |text: &str| -> Vec<(Option<usize>, &str)> {
            let faults = StsPolicy::faults(text.as_bytes());
            let told = faults
                .iter()
                .map(|fault| (fault.line(), fault.reason_code()));
            told.collect()
        };
        assert_eq!(
            all("version: STSv1\nmode: enfroce\nmx: mail example.org\nmax age: 604800\n"),
            [
                (Some(2), "policy-mode-unknown"),
                (Some(3), "policy-mx-invalid"),
                (Some(4), "policy-not-a-field"),
                (None, "policy-max-age-missing"),
            ]
        );
        assert_eq!(
            all("\u{feff}version: STSv2\r\nmode: none\r\nmax_age: 1"),
            [
                (Some(1), "policy-byte-order-mark"),
                (Some(1), "policy-version-unknown"),
            ]
        );
        // A page of HTML in its place: the first faults, and what is missing.
        let page = "<p>\n".repeat(1_000);
        assert_eq!(all(&page).len(), FAULTS_MAX + 4);
        assert_eq!(all(ENFORCE), []);
    }

    #[test]
    fn e5_octets_that_are_not_utf8_are_replaced_and_only_hurt_what_they_stand_in() {
        let mut document = ENFORCE.as_bytes().to_vec();
        document.extend_from_slice(b"x: a\xff\n");
        let policy = StsPolicy::parse(&document).unwrap();
        assert_eq!(
            policy.lines.last().map(String::as_str),
            Some("x: a\u{fffd}")
        );
        assert!(StsPolicy::parse(b"version: STSv1\nmode: \xff\n").is_err());
    }

    #[test]
    fn d10_lines_are_kept_as_published() {
        let policy = parse("version: STSv1 \r\nmode:none\n\nmax_age:  1").unwrap();
        assert_eq!(
            policy.lines,
            ["version: STSv1 ", "mode:none", "", "max_age:  1"]
        );
    }

    #[test]
    fn g3_no_document_makes_a_panic_or_a_policy_out_of_bounds() {
        let samples: [&[u8]; 3] = [
            ENFORCE.as_bytes(),
            b"version: STSv1\r\nmode: none\r\nmax_age: 31557600",
            b"version:STSv1\nmode: testing\nmx: *.example.com\nmx: b\xc3\xbccher.example\n\
              mx: 192.0.2.1\nmax_age: 86400\nx.y: z\n",
        ];
        for text in sealpost_kit::mutations(5, &samples) {
            let parsed = StsPolicy::parse(&text);
            let faults = StsPolicy::faults(&text);
            assert_eq!(faults.is_empty(), parsed.is_ok(), "{faults:?}");
            assert!(faults.len() <= FAULTS_MAX + 4, "{faults:?}");
            match parsed {
                Ok(policy) => {
                    assert!(policy.max_age_seconds <= MAX_AGE_SECONDS_MAX);
                    let size: usize = policy.lines.iter().map(String::len).sum();
                    assert!(size <= 3 * text.len(), "{policy:?}");
                    assert!(policy.mx.len() <= policy.lines.len());
                }
                Err(error) => {
                    let shown = error.to_string();
                    assert!(!shown.contains(char::is_control), "{shown:?}");
                    assert!(shown.chars().count() < 1_000, "{shown}");
                }
            }
        }
    }
}
