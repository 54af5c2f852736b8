//! Escapes in the fields of the plugin socket's lines (`docs/plugin-socket.md`). Pure.

/// Makes a value fit to stand in a field: control characters and backslashes as escapes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\\' => escaped.push_str("\\\\"),
            control if control.is_control() => {
                let mut utf8 = [0; 4];
                for byte in control.encode_utf8(&mut utf8).bytes() {
                    escaped.push_str(&format!("\\x{byte:02x}"));
                }
            }
            plain => escaped.push(plain),
        }
    }
    escaped
}

/// Undoes escapes: ours, and those that Exim's `${escape:}` writes. Exim leaves a backslash as it
/// is, so one that begins no escape stands for itself.
pub(super) fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match *first {
            b'\\' => escape_sequence(after).unwrap_or((b'\\', after)),
            byte => (byte, after),
        };
        plain.push(byte);
        rest = after;
    }
    plain
}

/// The byte that an escape stands for, and what follows it. `rest` begins after the backslash.
fn escape_sequence(rest: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |byte: u8, radix| char::from(byte).to_digit(radix);
    match rest {
        [b't', after @ ..] => Some((b'\t', after)),
        [b'n', after @ ..] => Some((b'\n', after)),
        [b'r', after @ ..] => Some((b'\r', after)),
        [b'b', after @ ..] => Some((0x08, after)),
        [b'v', after @ ..] => Some((0x0b, after)),
        [b'f', after @ ..] => Some((0x0c, after)),
        [b'\\', after @ ..] => Some((b'\\', after)),
        [b'x', high, low, after @ ..] => {
            let value = digit(*high, 16)? * 16 + digit(*low, 16)?;
            Some((u8::try_from(value).ok()?, after))
        }
        [high, middle, low, after @ ..] => {
            let value = digit(*high, 8)? * 64 + digit(*middle, 8)? * 8 + digit(*low, 8)?;
            Some((u8::try_from(value).ok()?, after))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_as_exim_and_we_write_them() {
        let check = |raw: &[u8], expected: &[u8]| assert_eq!(unescape(raw), expected, "{raw:?}");
        check(b"plain", b"plain");
        check(br"a\tb\n\r\b\v\f\\", b"a\tb\n\r\x08\x0b\x0c\\");
        check(br"\x41\xfF", b"A\xff");
        check(br"\001\351\377", b"\x01\xe9\xff");
        // Exim leaves a backslash as it is; what begins no escape stands for itself.
        check(
            br"C:\dir \q \x4 \xzz \400 \08 \",
            br"C:\dir \q \x4 \xzz \400 \08 \",
        );
    }
}
