//! What some bytes are, and what is packed in them.

use std::io::Read as _;

use flate2::bufread::GzDecoder;

use super::ReadError;

/// What bytes look like, whatever their name and type say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A JSON text.
    Json,
    /// Something packed by gzip.
    Gzip,
    /// A ZIP archive.
    Zip,
    /// A mailbox file: mails one after another.
    Mbox,
    /// A mail.
    Mail,
    /// Nothing of these.
    Other,
}

impl Content {
    /// Looks at the first bytes; a kilobyte is enough.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        // RFC 1952 s2.3.1.
        if bytes.starts_with(&[0x1f, 0x8b]) {
            return Self::Gzip;
        }
        // One without files has no more than its end.
        if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
            return Self::Zip;
        }
        if bytes.starts_with(b"From ") {
            return Self::Mbox;
        }
        let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        if let Some(b'{' | b'[') = text.trim_ascii_start().first() {
            return Self::Json;
        }
        if begins_with_a_field(bytes) {
            return Self::Mail;
        }
        Self::Other
    }
}

/// U+FEFF in UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// RFC 5322 s2.2: a name of printable characters, and a colon.
fn begins_with_a_field(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or(bytes);
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return false;
    };
    let name = line.get(..colon).unwrap_or_default().trim_ascii_end();
    !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}

/// Unpacks gzip, up to `bytes_max`. A few bytes of a bomb make gigabytes.
pub(super) fn gunzip(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, ReadError> {
    let mut unpacked = Vec::new();
    let mut rest = packed;
    // RFC 1952 s2.2: several members are one text. What follows them is padding.
    while Content::of(rest) == Content::Gzip {
        let room = bytes_max.saturating_sub(unpacked.len()).saturating_add(1);
        let room = u64::try_from(room).unwrap_or(u64::MAX);
        let mut member = GzDecoder::new(rest).take(room);
        member
            .read_to_end(&mut unpacked)
            .map_err(|error| ReadError::Damaged(format!("its gzip: {error}")))?;
        if unpacked.len() > bytes_max {
            return Err(ReadError::TooLong(in_words(bytes_max)));
        }
        rest = member.into_inner().into_inner();
    }
    Ok(unpacked)
}

/// `20 MiB`.
pub(super) fn in_words(bytes: usize) -> String {
    match bytes >> 20 {
        0 => format!("{bytes} bytes"),
        mebibytes => format!("{mebibytes} MiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::gzip::gzip;

    #[test]
    fn g1_a_bomb_is_no_more_than_its_bound() {
        let bomb = gzip(&vec![b' '; 50_000]);
        assert!(bomb.len() < 500);
        assert_eq!(gunzip(&bomb, 50_000).unwrap().len(), 50_000);
        let error = gunzip(&bomb, 49_999).unwrap_err();
        assert_eq!(error, ReadError::TooLong("49999 bytes".to_owned()));
        // Members add up.
        let twice = [bomb.clone(), bomb].concat();
        assert!(gunzip(&twice, 99_999).is_err());
        assert_eq!(gunzip(&twice, 100_000).unwrap().len(), 100_000);
    }

    #[test]
    fn e8_padding_is_passed_over_and_damage_is_said() {
        let packed = gzip(b"{}");
        assert_eq!(
            gunzip(&[packed.as_slice(), b"\0\0"].concat(), 9).unwrap(),
            b"{}"
        );
        for cut in [2, 12, packed.len() - 1] {
            let error = gunzip(&packed[..cut], 9).unwrap_err();
            assert!(matches!(error, ReadError::Damaged(_)), "{cut}");
        }
    }

    #[test]
    fn what_bytes_are_is_seen_in_them() {
        for (bytes, content) in [
            (&b" \n{\"a\":1}"[..], Content::Json),
            (b"\xef\xbb\xbf{}", Content::Json),
            (b"\x1f\x8b\x08", Content::Gzip),
            (b"PK\x03\x04", Content::Zip),
            (b"PK\x05\x06", Content::Zip),
            (
                b"From a@example.org Tue Nov 24 00:00:00 2026\nTo: b",
                Content::Mbox,
            ),
            (b"From: a@example.org\r\n", Content::Mail),
            (b"Return-Path : <>\n", Content::Mail),
            (b"", Content::Other),
            (b"a text: of words", Content::Other),
            (b"\xff\xfe{\0", Content::Other),
        ] {
            assert_eq!(Content::of(bytes), content, "{bytes:?}");
        }
    }
}
