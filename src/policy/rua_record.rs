//! The TXT record `_smtp._tls` (RFC 8460 s3): does a domain want reports, and where?

use std::fmt;

use super::{
    PolicyDomain, ReportUri, UriError,
    txt_fields::{FieldError, Ours, check_extension, fields},
};
use crate::observe::printable::excerpt;

/// Where a report is to go: one URI of a record's `rua`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// `mailto:`: one mailbox, percent-decoded, its domain as A-labels.
    Mail(String),
    /// `https:`: the URI as published.
    Https(String),
}

impl fmt::Display for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mail(mailbox) => write!(formatter, "mailto:{mailbox}"),
            Self::Https(uri) => formatter.write_str(uri),
        }
    }
}

impl Destination {
    /// Whose host takes the report: the mailbox's domain, or the host of the URI. What is bounded for
    /// each destination host is counted under it.
    #[must_use]
    pub fn host(&self) -> String {
        match self {
            Self::Mail(mailbox) => mailbox.rsplit('@').next().unwrap_or(mailbox).to_owned(),
            Self::Https(uri) => ReportUri::read(uri).map_or_else(|_| uri.clone(), |uri| uri.host),
        }
    }

    /// The destination that an operator names: a URI as a `rua` has it or as we show it, or a mailbox alone.
    ///
    /// # Errors
    /// Why it is not one, in words.
    pub fn one(text: &str) -> Result<Self, String> {
        let mailbox = text.strip_prefix("mailto:").unwrap_or(text);
        let can_be = mailbox.contains('@') && !text.starts_with("https:");
        let read = Self::read(text).or_else(|skip| match can_be {
            true => Self::read(&format!("mailto:{}", percent_encoded(mailbox))),
            false => Err(skip),
        });
        let read = read.map_err(|skip| format!("{}: {skip}", excerpt(text)))?;
        match <[Self; 1]>::try_from(read) {
            Ok([one]) => Ok(one),
            Err(_) => Err(format!("{}: not one destination", excerpt(text))),
        }
    }

    /// The destinations of one URI as a `rua` has it: more than one only where a `mailto:` names
    /// several addresses.
    ///
    /// # Errors
    /// When no report can be sent by it.
    pub fn read(uri: &str) -> Result<Vec<Self>, Skip> {
        destinations(uri)
    }
}

/// A mailbox with nothing in it that has a meaning in a URI.
fn percent_encoded(mailbox: &str) -> String {
    let mut encoded = String::with_capacity(mailbox.len());
    for letter in mailbox.chars() {
        match letter {
            '%' | '?' | '!' | ',' | '#' => encoded.push_str(&format!("%{:02X}", u32::from(letter))),
            other => encoded.push(other),
        }
    }
    encoded
}

/// A valid record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuaRecord {
    /// The destinations, in the order of the record, without doubles; at least one, and at most
    /// [`DESTINATIONS_MAX`].
    pub destinations: Vec<Destination>,
    /// What was skipped, in words for the log.
    pub skipped: Vec<String>,
}

/// What the TXT records at `_smtp._tls` come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuaDiscovery {
    /// No record there is a TLSRPT one: the domain wants no reports.
    Absent,
    /// There is one, or more than one, and no report can be sent by it.
    Invalid(RuaRecordError),
    /// Reports are wanted.
    Found(RuaRecord),
}

/// Why what is published asks for no report. The domain's operator must act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuaRecordError {
    /// RFC 8460 s3: there must be exactly one.
    #[error("there are {0} records that begin v=TLSRPTv1, and only one may be")]
    SeveralRecords(usize),
    /// Not a list of fields.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The record has no `rua`.
    #[error("it has no rua")]
    RuaMissing,
    /// No URI of its `rua` can be used.
    #[error("no URI of its rua can be used: {}", .skipped.join(", "))]
    NothingUsable {
        /// Why each was skipped.
        skipped: Vec<String>,
    },
}

/// How many destinations of one record are served. Nothing bounds them but us, and each is a
/// message that strangers may have aimed at somebody else (A12, G2).
// OURS: docs/decisions/0003-mta-sts.md.
pub const DESTINATIONS_MAX: usize = 10;

/// How many reasons for skipping are kept.
const SKIPPED_MAX: usize = 10;

/// RFC 5321 s4.5.3.1.3: a path is at most 256 octets, its angle brackets included.
const MAILBOX_BYTES_MAX: usize = 254;

const VERSION: &str = "v=TLSRPTv1";

impl RuaDiscovery {
    /// Reads the TXT records of `_smtp._tls.<domain>`, each with its character-strings joined.
    #[must_use]
    pub fn read(records: &[Vec<u8>]) -> Self {
        match Ours::of(records, VERSION) {
            Ours::Absent => Self::Absent,
            Ours::Several(number) => Self::Invalid(RuaRecordError::SeveralRecords(number)),
            Ours::One(rest) => RuaRecord::read(rest).map_or_else(Self::Invalid, Self::Found),
        }
    }
}

impl RuaRecord {
    fn read(rest: &[u8]) -> Result<Self, RuaRecordError> {
        let mut reading = Reading::default();
        let mut has_rua = false;
        for (name, value) in fields(rest)? {
            // RFC 8460 s3: names differ by letter case, extensions are ignored.
            if name != "rua" {
                check_extension(name, value)?;
                continue;
            }
            has_rua = true;
            // OURS: RFC 8460 does not say which of two rua counts; both do (A12).
            for uri in value.split(',') {
                reading.uri(uri.trim_ascii());
            }
        }
        if !has_rua {
            return Err(RuaRecordError::RuaMissing);
        }
        let (destinations, skipped) = reading.finish();
        if destinations.is_empty() {
            return Err(RuaRecordError::NothingUsable { skipped });
        }
        Ok(Self {
            destinations,
            skipped,
        })
    }
}

#[derive(Default)]
struct Reading {
    destinations: Vec<Destination>,
    skipped: Vec<String>,
    beyond_the_maximum: usize,
    skipped_without_words: usize,
}

impl Reading {
    fn uri(&mut self, uri: &str) {
        match destinations(uri) {
            Ok(found) => found.into_iter().for_each(|one| self.add(one)),
            Err(why) if self.skipped.len() < SKIPPED_MAX => {
                self.skipped.push(format!("\"{}\": {why}", excerpt(uri)));
            }
            Err(_) => self.skipped_without_words += 1,
        }
    }

    fn add(&mut self, destination: Destination) {
        if self.destinations.contains(&destination) {
            return;
        }
        if self.destinations.len() == DESTINATIONS_MAX {
            self.beyond_the_maximum += 1;
            return;
        }
        self.destinations.push(destination);
    }

    fn finish(mut self) -> (Vec<Destination>, Vec<String>) {
        if self.skipped_without_words > 0 {
            self.skipped
                .push(format!("{} more URIs", self.skipped_without_words));
        }
        if self.beyond_the_maximum > 0 {
            self.skipped.push(format!(
                "{} destinations beyond the first {DESTINATIONS_MAX}",
                self.beyond_the_maximum
            ));
        }
        (self.destinations, self.skipped)
    }
}

/// Why one URI is passed over. The others of the record stay good (A8, A10). Whoever wrote the URI must
/// act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Skip {
    /// Another scheme, or none.
    #[error("neither mailto: nor https:")]
    Scheme,
    /// RFC 8460 s3: it must be percent-encoded.
    #[error("a \"!\" that is not written %21")]
    Exclamation,
    /// An escape of a mailbox is cut off.
    #[error("a \"%\" without two hexadecimal digits")]
    Percent,
    /// What stands after `mailto:` is none.
    #[error("not an address")]
    Mailbox,
    /// A mailbox of more octets than mail can be sent to.
    #[error("too long")]
    TooLong,
    /// An `https:` URI that cannot be posted to.
    #[error(transparent)]
    Uri(#[from] UriError),
}

/// The destinations of one URI: more than one only where a `mailto:` names several addresses.
fn destinations(uri: &str) -> Result<Vec<Destination>, Skip> {
    // RFC 8460 s3: "!" must be percent-encoded; there is no size limit as DMARC has it.
    if uri.contains('!') {
        return Err(Skip::Exclamation);
    }
    let (scheme, rest) = uri.split_once(':').ok_or(Skip::Scheme)?;
    if scheme.eq_ignore_ascii_case("mailto") {
        // RFC 6068 s2: what follows "?" are header fields, and a stranger's headers are not ours.
        let (addresses, _headers) = rest.split_once('?').unwrap_or((rest, ""));
        let decoded = percent_decode(addresses)?;
        return split_addresses(&decoded)
            .into_iter()
            .map(|address| mailbox(address).map(Destination::Mail))
            .collect();
    }
    if scheme.eq_ignore_ascii_case("https") {
        ReportUri::read(uri)?;
        return Ok(vec![Destination::Https(uri.to_owned())]);
    }
    Err(Skip::Scheme)
}

fn percent_decode(text: &str) -> Result<String, Skip> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || {
            let digit = char::from(bytes.next()?).to_digit(16)?;
            u8::try_from(digit).ok()
        };
        let (high, low) = digit().zip(digit()).ok_or(Skip::Percent)?;
        decoded.push(high << 4 | low);
    }
    String::from_utf8(decoded).map_err(|_| Skip::Mailbox)
}

/// Splits at the commas that do not stand within a quoted local part.
fn split_addresses(text: &str) -> Vec<&str> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(|character: char| {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            ',' => return !quoted,
            _ => {}
        }
        false
    })
    .collect()
}

/// A mailbox as RFC 5321 s4.1.2 and RFC 6531 s3.3 have it, its domain as A-labels.
fn mailbox(address: &str) -> Result<String, Skip> {
    let (local, domain) = address.rsplit_once('@').ok_or(Skip::Mailbox)?;
    if !is_local_part(local) {
        return Err(Skip::Mailbox);
    }
    let domain: PolicyDomain = domain.parse().map_err(|_| Skip::Mailbox)?;
    if local.len() > 64 || local.len() + 1 + domain.as_str().len() > MAILBOX_BYTES_MAX {
        return Err(Skip::TooLong);
    }
    Ok(format!("{local}@{domain}"))
}

/// A dot-string or a quoted string; nothing in it can end a header, a command or a path.
fn is_local_part(local: &str) -> bool {
    if let Some(inner) = local.strip_prefix('"') {
        return inner.strip_suffix('"').is_some_and(is_quoted_content);
    }
    local.split('.').all(|atom| {
        !atom.is_empty()
            && atom.chars().all(|character| {
                character.is_ascii_alphanumeric()
                    || "!#$%&'*+-/=?^_`{|}~".contains(character)
                    || is_beyond_ascii(character)
            })
    })
}

fn is_quoted_content(inner: &str) -> bool {
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        let allowed = match character {
            '"' => false,
            '\\' => matches!(characters.next(), Some(' '..='~')),
            ' '..='~' => true,
            other => is_beyond_ascii(other),
        };
        if !allowed {
            return false;
        }
    }
    true
}

fn is_beyond_ascii(character: char) -> bool {
    !character.is_ascii() && !character.is_control() && !character.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(records: &[&str]) -> RuaDiscovery {
        let records: Vec<_> = records
            .iter()
            .map(|record| record.as_bytes().to_vec())
            .collect();
        RuaDiscovery::read(&records)
    }

    /// The destinations of a record whose rua is this, and how many were skipped.
    fn rua(rua: &str) -> (Vec<String>, usize) {
        match read(&[&format!("v=TLSRPTv1; rua={rua}")]) {
            RuaDiscovery::Found(record) => (
                record
                    .destinations
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
                record.skipped.len(),
            ),
            RuaDiscovery::Invalid(RuaRecordError::NothingUsable { skipped }) => {
                (Vec::new(), skipped.len())
            }
            other => panic!("{rua}: {other:?}"),
        }
    }

    #[test]
    fn a4_a6_exactly_one_record_asks_for_reports() {
        let several = |number| RuaDiscovery::Invalid(RuaRecordError::SeveralRecords(number));
        let field = |text: &str| {
            RuaDiscovery::Invalid(RuaRecordError::Field(FieldError::NotAField(
                text.to_owned(),
            )))
        };
        let missing = RuaDiscovery::Invalid(RuaRecordError::RuaMissing);
        for (records, expected) in [
            (&[][..], RuaDiscovery::Absent),
            (&["v=spf1 -all"], RuaDiscovery::Absent),
            (&["V=tlsrptv1; rua=mailto:a@x"], RuaDiscovery::Absent),
            (&["v=TLSRPTv1"], RuaDiscovery::Absent),
            (
                &["v=TLSRPTv1; rua=mailto:a@x", "v=TLSRPTv1; rua=mailto:a@x"],
                several(2),
            ),
            (&["v=TLSRPTv1;"], missing.clone()),
            (&["v=TLSRPTv1; RUA=mailto:a@x"], missing.clone()),
            (&["v=TLSRPTv1; foo=bar"], missing),
            (&["v=TLSRPTv1; rua=mailto:a@x; foo"], field("foo")),
            (&["v=TLSRPTv1; foo=a=b; rua=mailto:a@x"], field("foo=a=b")),
        ] {
            assert_eq!(read(records), expected, "{records:?}");
        }
    }

    #[test]
    fn a4_a5_a6_a9_valid_records() {
        for records in [
            &["v=TLSRPTv1; rua=mailto:a@x"][..],
            &["v=spf1 -all", "v=TLSRPTv1;rua=mailto:a@x;"],
            &["v=TLSRPTv1 ; rua=mailto:a@x ; "],
            &["v=TLSRPTv1; foo=bar; rua=mailto:a@x"],
            &["v=TLSRPTv1; rua=mailto:a@x; foo=bar"],
        ] {
            let expected = RuaRecord {
                destinations: vec![Destination::Mail("a@x".to_owned())],
                skipped: Vec::new(),
            };
            assert_eq!(read(records), RuaDiscovery::Found(expected), "{records:?}");
        }
    }

    #[test]
    fn a7_a8_a10_a11_what_a_uri_comes_to() {
        let long = format!("mailto:{}@x", "a".repeat(65));
        for (uris, expected, skipped) in [
            (
                "mailto:a@x,mailto:b@x",
                &["mailto:a@x", "mailto:b@x"][..],
                0,
            ),
            (
                "mailto:a@x \t, \tmailto:b@x",
                &["mailto:a@x", "mailto:b@x"],
                0,
            ),
            ("mailto:a@x,mailto:a@X", &["mailto:a@x"], 0),
            ("MailTo:a@Example.COM.", &["mailto:a@example.com"], 0),
            ("mailto:a@x!10m,mailto:b@x", &["mailto:b@x"], 1),
            ("mailto:a%21b@x", &["mailto:a!b@x"], 0),
            ("mailto:tls%2Brpt@x", &["mailto:tls+rpt@x"], 0),
            ("mailto:a@x%2Cb@x", &["mailto:a@x", "mailto:b@x"], 0),
            ("mailto:%22a%2Cb%22@x", &["mailto:\"a,b\"@x"], 0),
            (
                "mailto:a@b%C3%BCcher.example",
                &["mailto:a@xn--bcher-kva.example"],
                0,
            ),
            ("mailto:%C3%BC@x", &["mailto:ü@x"], 0),
            ("mailto:a@x?subject=evil%0d%0aBcc:b@x", &["mailto:a@x"], 0),
            ("https://x/y,mailto:a@x", &["https://x/y", "mailto:a@x"], 0),
            ("HTTPS://x:8443/a?b=c%2Cd", &["HTTPS://x:8443/a?b=c%2Cd"], 0),
            (
                "https://[2001:db8::1]:443/a",
                &["https://[2001:db8::1]:443/a"],
                0,
            ),
            (",mailto:a@x,", &["mailto:a@x"], 2),
            ("mailto:a@x%0d%0aBcc:b@x", &[], 1),
            ("mailto:a%00@x", &[], 1),
            ("mailto:a%0A@x", &[], 1),
            ("mailto:a b@x", &[], 1),
            ("mailto:<a@x>", &[], 1),
            ("mailto:a%3E@x", &[], 1),
            ("mailto:%22a%0A%22@x", &[], 1),
            ("mailto:a%80@x", &[], 1),
            ("mailto:a%2@x", &[], 1),
            ("mailto:d-%d@tlsrpt.example", &[], 1),
            ("mailto:a%@x", &[], 1),
            ("mailto:a..b@x", &[], 1),
            ("mailto:@x", &[], 1),
            ("mailto:a@", &[], 1),
            ("mailto:a@[192.0.2.1]", &[], 1),
            ("mailto:", &[], 1),
            (&long, &[], 1),
            ("postmaster@x", &[], 1),
            ("http://x/y", &[], 1),
            ("ftp://x/y", &[], 1),
            ("https:x", &[], 1),
            ("https:///y", &[], 1),
            ("https://user:secret@x/y", &[], 1),
            ("https://x:0/", &[], 1),
            ("https://x:65536/", &[], 1),
            ("https://a b/", &[], 1),
            ("https://x/<y>", &[], 1),
            ("https://x/%zz", &[], 1),
            ("https://[::1/", &[], 1),
        ] {
            let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
            assert_eq!(rua(uris), (expected, skipped), "{uris}");
        }
    }

    #[test]
    fn g2_every_destination_has_a_host_that_it_is_counted_under() {
        for (uri, expected) in [
            ("mailto:a@X.example", "x.example"),
            ("mailto:%22a%40b%22@x.example", "x.example"),
            ("https://X.example:8443/r", "x.example"),
            ("https://[2001:db8::1]/", "2001:db8::1"),
        ] {
            let read = Destination::read(uri).unwrap();
            assert_eq!(read[0].host(), expected, "{uri}");
        }
    }

    #[test]
    fn a12_the_union_of_all_rua_is_bounded() {
        let RuaDiscovery::Found(record) =
            read(&["v=TLSRPTv1; rua=mailto:a@x; rua=mailto:b@x,mailto:a@x"])
        else {
            panic!("no record");
        };
        assert_eq!(record.destinations.len(), 2);

        let many: Vec<_> = (0..1_000).map(|n| format!("mailto:a{n}@x")).collect();
        let (destinations, skipped) = rua(&many.join(","));
        assert_eq!((destinations.len(), skipped), (DESTINATIONS_MAX, 1));
        assert_eq!(destinations[0], "mailto:a0@x");

        let (destinations, skipped) = rua(&["ftp:"; 1_000].join(","));
        assert_eq!((destinations.len(), skipped), (0, SKIPPED_MAX + 1));
    }

    #[test]
    fn g3_what_is_skipped_is_escaped_for_the_log() {
        let RuaDiscovery::Found(record) = read(&["v=TLSRPTv1; rua=mailto:a@x,x\ty"]) else {
            panic!("no record");
        };
        assert_eq!(record.skipped, ["\"x\\ty\": neither mailto: nor https:"]);
    }

    #[test]
    fn f9_an_operator_names_a_destination_as_it_is_shown() {
        for (text, expected) in [
            ("r@a.example", Some("mailto:r@a.example")),
            ("mailto:r@A.example", Some("mailto:r@a.example")),
            ("a%b!c@a.example", Some("mailto:a%b!c@a.example")),
            ("mailto:a%b!c@a.example", Some("mailto:a%b!c@a.example")),
            ("mailto:a%21c@a.example", Some("mailto:a!c@a.example")),
            ("https://a.example/r@x", Some("https://a.example/r@x")),
            ("mailto:a@a.example,b@a.example", None),
            ("http://a.example/", None),
            ("a.example", None),
            ("", None),
        ] {
            let one = Destination::one(text).ok().map(|one| one.to_string());
            assert_eq!(one.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn g3_no_record_makes_a_panic_or_a_destination_that_could_break_out() {
        let samples: [&[u8]; 4] = [
            b"v=TLSRPTv1; rua=mailto:tls%2Brpt@example.org,https://r.example/tls?x=1",
            b"v=TLSRPTv1;foo=bar;rua=mailto:\"a%20b\"@b\xc3\xbccher.example?subject=x;",
            b"v=TLSRPTv1; rua=mailto:a@x.example%2Cb@x.example , mailto:c@y.example",
            b"v=spf1 -all",
        ];
        for text in sealpost_kit::mutations(1, &samples) {
            let records = [text, samples[3].to_vec()];
            let RuaDiscovery::Found(record) = RuaDiscovery::read(&records) else {
                continue;
            };
            assert!((1..=DESTINATIONS_MAX).contains(&record.destinations.len()));
            assert!(record.skipped.len() <= SKIPPED_MAX + 1);
            for destination in &record.destinations {
                let shown = destination.to_string();
                assert!(
                    shown.len() <= crate::policy::report_uri::URI_BYTES_MAX + 10,
                    "{shown:?}"
                );
                assert!(!shown.contains(char::is_control), "{shown:?}");
            }
            for skipped in &record.skipped {
                assert!(!skipped.to_string().contains(char::is_control), "{skipped}");
            }
        }
    }
}
