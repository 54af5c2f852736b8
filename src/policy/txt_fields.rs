//! The form that the TXT records `_mta-sts` (RFC 8461 s3.1) and `_smtp._tls` (RFC 8460 s3) share:
//! a version, then `name=value` fields, each after a `;`.

use crate::observe::printable::excerpt;

/// Why a record that names its version is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// Records are US-ASCII.
    #[error("it holds other characters than printable ASCII")]
    NotAscii,
    /// Between two `;` stands something other than `name=value`.
    #[error("\"{0}\" is not a field of the form name=value")]
    NotAField(String),
}

/// What of a name's TXT records is of one version.
pub(super) enum Ours<'a> {
    /// None of them: others' records do not matter.
    Absent,
    /// One: what follows its version.
    One(&'a [u8]),
    /// More than one: so many.
    Several(usize),
}

impl<'a> Ours<'a> {
    /// Finds them, each record with its character-strings joined.
    // RFC 8461 s3.1, RFC 8460 s3: records that do not begin with the version are dropped; if not
    // exactly one is left, it is as if there were none.
    pub(super) fn of(records: &'a [Vec<u8>], version: &str) -> Self {
        let mut ours = records
            .iter()
            .filter_map(|record| after_version(record, version));
        match (ours.next(), ours.count()) {
            (None, _) => Self::Absent,
            (Some(only), 0) => Self::One(only),
            (Some(_), others) => Self::Several(others + 1),
        }
    }
}

/// What follows `version ";"`, or `None` where the record is of something else.
///
/// White space before the `;` is accepted: the grammar allows it, the rule that drops foreign
/// records does not (erratum 6285 on RFC 8461).
// OURS: the reading that takes more records is the safer one (docs/decisions/0003-mta-sts.md).
fn after_version<'a>(record: &'a [u8], version: &str) -> Option<&'a [u8]> {
    let rest = record.strip_prefix(version.as_bytes())?;
    let white_space = rest
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    rest.get(white_space..)?.strip_prefix(b";")
}

/// The fields of what follows the version, in order. One `;` may end the record.
///
/// # Errors
/// When it is not a list of `name=value` in printable ASCII.
pub(super) fn fields(rest: &[u8]) -> Result<Vec<(&str, &str)>, FieldError> {
    let text = std::str::from_utf8(rest).map_err(|_| FieldError::NotAscii)?;
    if !text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
        return Err(FieldError::NotAscii);
    }
    let text = text.trim_ascii();
    let text = text.strip_suffix(';').unwrap_or(text);
    if text.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    text.split(';')
        .map(|field| {
            let field = field.trim_ascii();
            match field.split_once('=') {
                Some((name, value)) if is_field_name(name) => Ok((name, value)),
                _ => Err(FieldError::NotAField(excerpt(field))),
            }
        })
        .collect()
}

/// Checks a field that the reader does not know and will ignore.
///
/// # Errors
/// When its value is empty or holds `=`, `;` or white space.
// RFC 8461 s3.1, RFC 8460 s3: only a syntactically valid extension is ignored.
pub(super) fn check_extension(name: &str, value: &str) -> Result<(), FieldError> {
    let graphic = |byte: u8| byte.is_ascii_graphic() && byte != b'=' && byte != b';';
    if !value.is_empty() && value.bytes().all(graphic) {
        return Ok(());
    }
    Err(FieldError::NotAField(excerpt(&format!("{name}={value}"))))
}

/// A letter or digit, then up to 31 of letters, digits, `_`, `-` and `.`. The keys of a policy
/// document have the same form (RFC 8461 s3.2).
pub(super) fn is_field_name(name: &str) -> bool {
    let in_name =
        |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' || byte == b'.';
    name.len() <= 32
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(in_name)
}
