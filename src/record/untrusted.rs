//! Text that a peer or an MTA chose, made harmless before it is kept.
//!
//! A server's EHLO name, an MX name and an error's words go into reports, logs and terminals (G3).

/// The longest text of a peer that is kept: the longest host name and some.
pub const TEXT_CHARACTERS_MAX: usize = 256;

/// The text without control characters, of at most [`TEXT_CHARACTERS_MAX`] characters; `None` when
/// nothing is left.
#[must_use]
pub fn harmless(text: &str) -> Option<String> {
    let kept: String = text
        .chars()
        .filter(|character| !character.is_control())
        .take(TEXT_CHARACTERS_MAX)
        .collect();
    let trimmed = kept.trim();
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

/// The text as a reason code: ASCII letters, digits, `-`, `_`, `.` and `:`, at most 64 octets; `None`
/// when nothing is left.
// RFC 8460 s4.4: a failure-reason-code is short; what a TLS library says may be long and change.
#[must_use]
pub fn reason_code(text: &str) -> Option<String> {
    let mut code = String::new();
    for character in text.chars() {
        if code.len() == REASON_OCTETS_MAX {
            break;
        }
        if character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | ':') {
            code.push(character);
        } else if !code.is_empty() && !code.ends_with('-') {
            code.push('-');
        }
    }
    let code = code.trim_end_matches('-');
    (!code.is_empty()).then(|| code.to_owned())
}

const REASON_OCTETS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g3_a_peers_text_cannot_break_out() {
        let hostile = "\u{1b}[31mmx\r\nBcc: you@example.org\0\"}<b>";
        assert_eq!(
            harmless(hostile).unwrap(),
            "[31mmxBcc: you@example.org\"}<b>"
        );
        assert_eq!(harmless(" \r\n\t"), None);
        assert_eq!(
            harmless(&"x".repeat(1_000)).unwrap().len(),
            TEXT_CHARACTERS_MAX
        );
    }

    #[test]
    fn e4_a_reason_is_a_short_code() {
        assert_eq!(
            reason_code("unable to get  issuer!\r\n").unwrap(),
            "unable-to-get-issuer"
        );
        assert_eq!(reason_code("dane-no-match").unwrap(), "dane-no-match");
        assert_eq!(reason_code("\u{e9}\u{e9}"), None);
        assert_eq!(reason_code(&"ab ".repeat(100)).unwrap().len(), 64);
    }
}
