//! Lists of `name=value` between semicolons, as DKIM's fields and records have them (RFC 6376 s3.2) and
//! DMARC's records after them.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// A list, read as it is: what is no `name=value` is passed over.
pub(super) struct TagList<'a>(Vec<(&'a str, &'a str)>);

impl<'a> TagList<'a> {
    pub(super) fn read(text: &'a str) -> Self {
        let tags = text
            .split(';')
            .filter_map(|tag| tag.split_once('='))
            .map(|(name, value)| (name.trim_ascii(), value.trim_ascii()));
        Self(tags.collect())
    }

    /// The value of the first tag of this name.
    pub(super) fn get(&self, wanted: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| *value)
    }

    /// The tag that stands first.
    pub(super) fn first(&self) -> Option<(&'a str, &'a str)> {
        self.0.first().copied()
    }

    /// A name that stands more than once, which RFC 6376 s3.2 forbids.
    pub(super) fn repeated(&self) -> Option<&'a str> {
        let mut names = self.0.iter().enumerate();
        let twice = names.find(|(place, (name, _))| {
            self.0
                .iter()
                .take(*place)
                .any(|(earlier, _)| earlier == name)
        });
        twice.map(|(_, (name, _))| *name)
    }
}

/// Whether a value with colons in it names something (RFC 6376 s3.6.1).
pub(super) fn names(value: &str, wanted: &str) -> bool {
    value
        .split(':')
        .any(|one| one.trim_ascii().eq_ignore_ascii_case(wanted))
}

/// Base64 with white space anywhere, as folded fields have it.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let compact: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(compact).ok()
}
