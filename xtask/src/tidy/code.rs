//! Rust's text taken apart just so far that a word of the code is not mistaken for one of a comment
//! or a string.

/// A source with its comments and strings blanked, and its comments alone. Lines stay lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// Code, with spaces for comments and for what stands within quotes.
    pub(super) code: String,
    /// Comments with their slashes, and spaces for everything else.
    pub(super) comments: String,
}

/// Where a character stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Code,
    LineComment,
    /// How deep: block comments may hold others.
    BlockComment(usize),
    Text,
    /// How many `#` close it.
    RawText(usize),
}

impl Source {
    pub(super) fn of(text: &str) -> Self {
        let characters: Vec<char> = text.chars().collect();
        let mut source = Self {
            code: String::with_capacity(text.len()),
            comments: String::with_capacity(text.len()),
        };
        let mut place = Place::Code;
        let mut at = 0;
        while let Some(rest) = characters.get(at..).filter(|rest| !rest.is_empty()) {
            let before = at.checked_sub(1).and_then(|before| characters.get(before));
            let (length, next) = step(place, rest, before.copied());
            // What opens or closes a place belongs to it.
            let belongs = if place == Place::Code { next } else { place };
            for character in rest.iter().take(length) {
                source.put(*character, belongs);
            }
            at += length.max(1);
            place = next;
        }
        source
    }

    /// The code before the tests of the file itself.
    pub(super) fn product(&self) -> &str {
        let tests = self.code.find("#[cfg(test)]\nmod tests");
        tests
            .and_then(|end| self.code.get(..end))
            .unwrap_or(&self.code)
    }

    fn put(&mut self, character: char, place: Place) {
        let blank = if character == '\n' { '\n' } else { ' ' };
        let (code, comment) = match place {
            Place::Code => (character, blank),
            Place::LineComment | Place::BlockComment(_) => (blank, character),
            Place::Text | Place::RawText(_) => (blank, blank),
        };
        self.code.push(code);
        self.comments.push(comment);
    }
}

/// How many characters belong together here, and where what follows them stands.
fn step(place: Place, rest: &[char], before: Option<char>) -> (usize, Place) {
    match (place, rest) {
        (Place::Code, ['/', '/', ..]) => (2, Place::LineComment),
        (Place::Code, ['/', '*', ..]) => (2, Place::BlockComment(1)),
        (Place::Code, ['"', ..]) => (1, Place::Text),
        (Place::Code, ['r', ..]) if !before.is_some_and(is_word_but_b) => match raw_text(rest) {
            Some((length, hashes)) => (length, Place::RawText(hashes)),
            None => (1, Place::Code),
        },
        // A character; a lifetime has no second quote there.
        (Place::Code, ['\'', '\\', _, ..]) => {
            let more = rest.iter().skip(3).position(|character| *character == '\'');
            (more.map_or(3, |more| more + 4), Place::Code)
        }
        (Place::Code, ['\'', _, '\'', ..]) => (3, Place::Code),
        (Place::LineComment, ['\n', ..]) => (1, Place::Code),
        (Place::BlockComment(depth), ['/', '*', ..]) => (2, Place::BlockComment(depth + 1)),
        (Place::BlockComment(1), ['*', '/', ..]) => (2, Place::Code),
        (Place::BlockComment(depth), ['*', '/', ..]) => (2, Place::BlockComment(depth - 1)),
        (Place::Text, ['\\', _, ..]) => (2, Place::Text),
        (Place::Text, ['"', ..]) => (1, Place::Code),
        (Place::RawText(hashes), ['"', after @ ..])
            if after
                .iter()
                .take_while(|character| **character == '#')
                .count()
                >= hashes =>
        {
            (1 + hashes, Place::Code)
        }
        (place, _) => (1, place),
    }
}

/// The length of `r##"`, and its number of `#`.
fn raw_text(rest: &[char]) -> Option<(usize, usize)> {
    let hashes = rest
        .iter()
        .skip(1)
        .take_while(|character| **character == '#')
        .count();
    (rest.get(1 + hashes) == Some(&'"')).then_some((hashes + 2, hashes))
}

fn is_word_but_b(character: char) -> bool {
    character != 'b' && (character.is_alphanumeric() || character == '_')
}

/// Where a word stands in code, by line: not as a part of a longer one.
pub(super) fn lines_with_word(code: &str, word: &str) -> Vec<usize> {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    let stands_in = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            let (before, after) = (line.get(..at), line.get(at + word.len()..));
            !before.is_some_and(|before| before.ends_with(is_part))
                && !after.is_some_and(|after| after.starts_with(is_part))
        })
    };
    (1..)
        .zip(code.lines())
        .filter(|(_, line)| stands_in(line))
        .map(|(number, _)| number)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_no_code() {
        for (text, code) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            ("a \"b \\\" c\" d", "a          d"),
            ("a r#\"b \" c\"# d", "a            d"),
            ("a br\"b\" c", "a b     c"),
            ("for 'a in b", "for 'a in b"),
            ("'\"' a", "'\"' a"),
            ("'\\'' a \"b\"", "'\\'' a    "),
            ("'\\u{22}' a", "'\\u{22}' a"),
            ("bar(\"x\")", "bar(   )"),
        ] {
            assert_eq!(Source::of(text).code, code, "{text}");
        }
        assert_eq!(Source::of("a // b\nc").comments, "  // b\n ");
    }

    #[test]
    fn words_are_whole() {
        let code = "unsafe {\nunsafe_code\nan unsafe\nmy_unsafe\n";
        assert_eq!(lines_with_word(code, "unsafe"), [1, 3]);
    }

    #[test]
    fn the_tests_of_a_file_are_not_its_product() {
        let source = Source::of("fn a() {}\n#[cfg(test)]\nmod tests {}\n");
        assert_eq!(source.product(), "fn a() {}\n");
    }
}
