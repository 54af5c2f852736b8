//! The fields of a plugin socket's line: names by position, `key=value`, and what is wrong with one.
//! Pure.

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    plugin_certificate::certificates,
    plugin_escape::{escape, unescape},
};

/// The longest name, after its escapes are undone. DNS ends at 253; U-labels may be longer.
pub(super) const NAME_BYTES_MAX: usize = 1_024;

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
    /// The line has more than [`LINE_BYTES_MAX`](super::plugin_line::LINE_BYTES_MAX) bytes.
    pub const TOO_LONG: Self = Self::new("line", "longer than 65536 bytes");

    pub(super) const fn new(field: &'static str, problem: &'static str) -> Self {
        Self {
            field: Cow::Borrowed(field),
            problem,
        }
    }
}

/// A name that must be there.
pub(super) fn positional(field: &'static str, raw: Option<&[u8]>) -> Result<String, LineError> {
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

/// The `key=value` fields of a line, escapes still in.
pub(super) struct Pairs<'a>(BTreeMap<&'a [u8], Vec<&'a [u8]>>);

impl<'a> Pairs<'a> {
    /// Reads them; only the keys of `repeated` may stand more than once.
    pub(super) fn read(
        fields: impl Iterator<Item = &'a [u8]>,
        repeated: &[&str],
    ) -> Result<Self, LineError> {
        let mut pairs: BTreeMap<&[u8], Vec<&[u8]>> = BTreeMap::new();
        for field in fields.filter(|field| !field.is_empty()) {
            let Some(equals) = field.iter().position(|byte| *byte == b'=') else {
                return Err(LineError {
                    field: shown(field),
                    problem: "a field without `=`",
                });
            };
            let (key, value) = field.split_at(equals);
            let values = pairs.entry(key).or_default();
            if !values.is_empty() && !repeated.iter().any(|name| name.as_bytes() == key) {
                return Err(LineError {
                    field: shown(key),
                    problem: "given twice",
                });
            }
            values.push(value.get(1..).unwrap_or_default());
        }
        Ok(Self(pairs))
    }

    /// Is one of these keys there, be its value empty?
    pub(super) fn names_any(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.0.contains_key(key.as_bytes()))
    }

    /// Does this key stand once, with this value?
    pub(super) fn is_only(&self, key: &str, value: &[u8]) -> bool {
        matches!(self.0.get(key.as_bytes()).map(Vec::as_slice), Some([only]) if *only == value)
    }

    /// The value without its escapes; `None` when it is left out or empty.
    fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        let raw = self.0.get(key.as_bytes())?.first()?;
        Some(unescape(raw)).filter(|value| !value.is_empty())
    }

    pub(super) fn name(&self, key: &'static str) -> Result<Option<String>, LineError> {
        self.bytes(key)
            .map(|bytes| checked_name(key, &bytes))
            .transpose()
    }

    /// Free text: from a stranger's server, so no control character gets through.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        let bytes = self.bytes(key)?;
        let text = String::from_utf8_lossy(&bytes);
        Some(text.replace(char::is_control, " "))
    }

    pub(super) fn parsed<T>(
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

    /// Is there nothing in the first of several fields of this name? What stands in the second must not be
    /// taken for the first.
    pub(super) fn begins_with_nothing(&self, key: &str) -> bool {
        let values = self.0.get(key.as_bytes()).map_or(&[][..], Vec::as_slice);
        matches!(values, [first, _, ..] if unescape(first).is_empty())
    }

    /// The certificates of all fields of this name, DER, in their order; empty values are passed over.
    pub(super) fn certificates(&self, key: &'static str) -> Result<Vec<Vec<u8>>, LineError> {
        let values = self.0.get(key.as_bytes()).map_or(&[][..], Vec::as_slice);
        let mut chain = Vec::new();
        for (number, raw) in (1..).zip(values) {
            let text = unescape(raw);
            if text.is_empty() {
                continue;
            }
            let read = std::str::from_utf8(&text).ok().and_then(certificates);
            let Some(found) = read else {
                return Err(LineError {
                    field: match values.len() {
                        0 | 1 => Cow::Borrowed(key),
                        _ => Cow::Owned(format!("{key} (number {number})")),
                    },
                    problem: "not a certificate in base64 or PEM",
                });
            };
            chain.extend(found);
        }
        Ok(chain)
    }
}

/// What a client wrote, fit to be shown: one short printable line.
fn shown(field: &[u8]) -> Cow<'static, str> {
    let text: String = String::from_utf8_lossy(field).chars().take(40).collect();
    Cow::Owned(escape(&text))
}
