//! Text from outside, made fit for a report.
//!
//! What an MX calls itself, what a policy host serves and what a TLS library says are strangers'
//! bytes. They end in somebody's database, terminal or browser, so nothing goes on that could do
//! more there than be read.

/// A text for the JSON: no control characters, no noncharacters, no more than `characters_max`.
#[must_use]
pub fn for_json(text: &str, characters_max: usize) -> String {
    text.chars()
        .filter(|character| !is_unfit(*character))
        .take(characters_max)
        .collect()
}

/// A text for the part that people read: printable ASCII, `?` for anything else, and no more than
/// `characters_max`.
#[must_use]
pub fn for_text(text: &str, characters_max: usize) -> String {
    text.chars()
        .filter(|character| !is_unfit(*character))
        .map(|character| match character {
            ' '..='~' => character,
            _ => '?',
        })
        .take(characters_max)
        .collect::<String>()
        .trim()
        .to_owned()
}

/// Does it say nothing, or steer what shows it?
#[must_use]
pub fn is_unfit(character: char) -> bool {
    let code = u32::from(character);
    character.is_control()
        // RFC 7493 s2.1: I-JSON holds no noncharacters.
        || code & 0xFFFE == 0xFFFE
        || (0xFDD0..=0xFDEF).contains(&code)
        // Line and paragraph separators, and the marks that turn the direction of writing.
        || matches!(character, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g3_what_steers_a_terminal_or_breaks_a_line_is_gone() {
        for (given, json, text) in [
            ("mx1.example.org", "mx1.example.org", "mx1.example.org"),
            ("a\r\nBcc: b", "aBcc: b", "aBcc: b"),
            ("\u{1b}[31mred", "[31mred", "[31mred"),
            ("\u{9b}31m\u{7f}", "31m", "31m"),
            ("\"}<b>", "\"}<b>", "\"}<b>"),
            ("b\u{fc}cher", "b\u{fc}cher", "b?cher"),
            (
                "\u{61c}\u{202e}gro.elpmaxe\u{feff}",
                "gro.elpmaxe",
                "gro.elpmaxe",
            ),
            ("\u{fffe}\u{fdd0}\u{1fffe}x\u{fffd}", "x\u{fffd}", "x?"),
            (" \t ", "  ", ""),
        ] {
            assert_eq!(for_json(given, 100), json, "{given:?}");
            assert_eq!(for_text(given, 100), text, "{given:?}");
        }
        assert_eq!(for_json("abcdef", 3), "abc");
        assert_eq!(for_text("\u{fc}\u{fc}\u{fc}", 2), "??");
    }
}
