//! The words of the page, in each of its languages.

mod failures;
mod table;

pub(crate) use failures::{PlainWords, plain_words};
pub(crate) use table::{ENGLISH, JAPANESE, Words};

/// A language that the page speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Language {
    /// English.
    #[default]
    English,
    /// Japanese.
    Japanese,
}

impl Language {
    /// Every one.
    pub(crate) const ALL: [Self; 2] = [Self::English, Self::Japanese];

    /// Its tag (BCP 47).
    pub(crate) const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Japanese => "ja",
        }
    }

    /// What it calls itself.
    pub(crate) const fn own_name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Japanese => "日本語",
        }
    }

    /// Its words.
    pub(crate) const fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::Japanese => &JAPANESE,
        }
    }

    /// The language of a tag.
    pub(crate) fn of_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|each| each.tag() == tag)
    }

    /// The one of ours that a browser likes best, by its `Accept-Language`.
    // RFC 9110 s12.5.4: the first of those with the greatest weight; a range covers what begins so.
    pub(crate) fn accepted(header: &str) -> Self {
        let mut best = (0, Self::default());
        for range in header.split(',').take(RANGES_MAX) {
            let mut parts = range.split(';');
            let tag = parts.next().unwrap_or_default().trim();
            let weight = parts.find_map(|part| part.trim().strip_prefix("q="));
            let weight = weight.map_or(1_000, thousandths);
            let primary = tag.split('-').next().unwrap_or_default();
            let known = Self::of_tag(&primary.to_ascii_lowercase());
            if let Some(language) = known.filter(|_| weight > best.0) {
                best = (weight, language);
            }
        }
        best.1
    }
}

/// How much of a browser's list is read.
const RANGES_MAX: usize = 20;

/// A weight from 0 to 1 in thousandths; what is none counts as nothing.
fn thousandths(weight: &str) -> u32 {
    let (whole, rest) = weight.trim().split_once('.').unwrap_or((weight.trim(), ""));
    let digits: String = rest.chars().chain("000".chars()).take(3).collect();
    match (whole.parse::<u32>(), digits.parse::<u32>()) {
        (Ok(whole), Ok(rest)) if whole <= 1 => whole * 1_000 + rest,
        _ => 0,
    }
}

/// A sentence of the table with its `{}` filled in, in order.
pub(crate) fn fill(sentence: &str, values: &[&str]) -> String {
    let mut values = values.iter();
    let mut filled = String::with_capacity(sentence.len() + 32);
    let mut parts = sentence.split("{}");
    filled.push_str(parts.next().unwrap_or_default());
    for part in parts {
        filled.push_str(values.next().copied().unwrap_or_default());
        filled.push_str(part);
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_that_a_browser_likes_best_is_spoken() {
        for (header, language) in [
            ("", Language::English),
            ("ja", Language::Japanese),
            ("ja-JP,en;q=0.5", Language::Japanese),
            ("de-DE, de;q=0.9, ja;q=0.8, en;q=0.7", Language::Japanese),
            ("de, en;q=0.8, ja;q=0.8", Language::English),
            ("EN-us,ja;q=0.9", Language::English),
            ("ja;q=0, en;q=0.1", Language::English),
            ("*;q=x,;;,ja;q=9", Language::English),
        ] {
            assert_eq!(Language::accepted(header), language, "{header}");
        }
    }

    #[test]
    fn both_languages_have_the_same_gaps_to_fill_and_no_word_is_missing() {
        for (name, english, japanese) in table::pairs() {
            assert!(!english.is_empty() && !japanese.is_empty(), "{name}");
            let gaps = |text: &str| text.matches("{}").count();
            assert_eq!(gaps(english), gaps(japanese), "{name}");
        }
    }

    #[test]
    fn gaps_are_filled_in_order_and_what_is_filled_in_makes_no_gaps() {
        assert_eq!(fill("{} of {}", &["{}", "3"]), "{} of 3");
        assert_eq!(fill("all", &["x"]), "all");
    }
}
