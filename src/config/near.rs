//! "Did you mean ...?"

/// The candidate that `given` was most likely meant to be, if one is near enough.
pub(crate) fn nearest<'a>(
    given: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    // A third of the letters may be wrong: enough for a slip, too little for another word.
    let allowed = (given.chars().count() / 3).clamp(1, 4);
    let candidates: Vec<&str> = candidates.collect();
    let mut begun = candidates.iter().filter(|one| one.starts_with(given));
    if let (true, Some(only), None) = (given.len() >= 4, begun.next(), begun.next()) {
        return Some(only);
    }
    candidates
        .into_iter()
        .map(|candidate| (distance(given, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters must be changed, added or taken away to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    // A name from a file can be as long as the file; nothing that long is a slip.
    if one.len() > 64 || other.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (index, left) in one.chars().enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        let mut next = vec![before];
        for (right, above) in other.chars().zip(row.iter().skip(1)) {
            let change = diagonal + usize::from(left != right);
            before = change.min(above + 1).min(before + 1);
            diagonal = *above;
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_another_word_is_not() {
        let names = ["timeout_ms", "attempts", "servers"];
        for (given, meant) in [
            ("timeout_ms", Some("timeout_ms")),
            ("timeut_ms", Some("timeout_ms")),
            ("server", Some("servers")),
            ("atemps", Some("attempts")),
            ("timeout", Some("timeout_ms")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, names.into_iter()), meant, "{given}");
        }
    }
}
