//! Text from outside, made fit for a terminal, a log line or JSON.
//!
//! An MX host chooses its greeting, a recipient domain its policy and its records. Printed as they
//! came, their control characters could clear an operator's screen or forge a second log line.

//!
//! Elsewhere such text is treated otherwise, for a reason: [`crate::record::untrusted`] drops what
//! nobody needs before it is kept; [`crate::report::clean`] makes it fit for strangers (I-JSON,
//! ASCII); [`crate::net::handover`] makes a host's words one line of ASCII; the plugin socket has escapes
//! of its own, which its clients undo.

use std::borrow::Cow;

/// Escapes every character that a terminal obeys rather than shows: control characters with line
/// ends and ESC, and the Unicode marks that reorder or hide text. `\n` becomes the two characters
/// `\` and `n`, ESC becomes `\u{1b}`.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_obeyed(character) {
            match character {
                '\n' | '\r' | '\t' => escaped.extend(character.escape_default()),
                other => escaped.extend(other.escape_unicode()),
            }
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// How much of a text a message shows.
const EXCERPT_CHARACTERS_MAX: usize = 80;

/// As [`printable`], and cut: a text of any length within an error message or a log line.
#[must_use]
pub fn excerpt(text: &str) -> String {
    let cut: String = text.chars().take(EXCERPT_CHARACTERS_MAX).collect();
    printable(&cut).into_owned()
}

/// As [`printable`], in words that JSON has, for a whole JSON text: what it escapes can stand only
/// within a string there. Line ends stay, they separate values.
#[must_use]
pub fn printable_json(text: &str) -> Cow<'_, str> {
    let stands_out = |character: char| character != '\n' && is_obeyed(character);
    if !text.chars().any(stands_out) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if stands_out(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Does a terminal obey this character instead of showing it?
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Marks of direction and of line ends, and what has no width: they hide or reorder what
            // stands beside them.
            '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g3_nothing_a_terminal_obeys_is_let_through() {
        for (given, shown) in [
            ("plain bücher 日本", "plain bücher 日本"),
            ("220 mx\r\nforged line", "220 mx\\r\\nforged line"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("moc\u{202e}.elpmaxe", "moc\\u{202e}.elpmaxe"),
            ("tag\u{e0041}", "tag\\u{e0041}"),
        ] {
            assert_eq!(printable(given), shown);
            assert_eq!(excerpt(given), shown);
        }
        let cut = excerpt(&"\n".repeat(1_000));
        assert_eq!(cut, "\\n".repeat(EXCERPT_CHARACTERS_MAX));
    }

    #[test]
    fn g3_json_stays_json_and_means_the_same() {
        let value = serde_json::json!({"helo": "a\u{9b}2J\u{202e}b\u{7f}\n\u{e0041}"});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = printable_json(&text);
        assert!(shown.is_ascii(), "{shown}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            value
        );
    }
}
