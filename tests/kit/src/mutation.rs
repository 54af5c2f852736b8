//! What a hostile peer may say: good samples with something done to them.

/// A thousand texts made from good samples, the same ones each time: octets changed, cut out,
/// doubled, put in from elsewhere, and lengths stretched.
///
/// `seed` tells series apart. No text is longer than four times the longest sample and 4 KiB.
///
/// # Panics
/// When there is no sample.
#[must_use]
pub fn mutations(seed: u64, samples: &[&[u8]]) -> Vec<Vec<u8>> {
    assert!(!samples.is_empty(), "there is nothing to change");
    let longest = samples.iter().map(|sample| sample.len()).max();
    let length_max = 4 * longest.unwrap_or_default() + 4_096;
    let mut lots = Lots(seed | 1);
    (0..TEXTS)
        .map(|_| {
            let mut text = lots.one_of(samples).to_vec();
            for _ in 0..=lots.below(4) {
                lots.change(&mut text, samples);
            }
            text.truncate(length_max);
            text
        })
        .collect()
}

const TEXTS: usize = 1_000;

/// What parsers trip over.
const PIECES: [&[u8]; 16] = [
    b"\0",
    b"\r\n",
    b"\n",
    b"\t",
    b"\x1b[2J",
    b"\xff\xfe",
    b"\xc3",
    "\u{202e}".as_bytes(),
    b"=",
    b";",
    b",",
    b"\\x",
    b"%0d%0a",
    b"\"",
    b"99999999999999999999",
    b"xn--",
];

/// Numbers that look random (xorshift).
struct Lots(u64);

impl Lots {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let end = u64::try_from(end.max(1)).unwrap_or(1);
        usize::try_from((self.0 >> 11) % end).unwrap_or(0)
    }

    fn one_of<'a>(&mut self, texts: &[&'a [u8]]) -> &'a [u8] {
        let index = self.below(texts.len());
        texts.get(index).copied().unwrap_or_default()
    }

    fn change(&mut self, text: &mut Vec<u8>, samples: &[&[u8]]) {
        let from = self.below(text.len() + 1);
        let to = from + self.below(text.len() - from + 1);
        match self.below(7) {
            0 => {
                let octet = u8::try_from(self.below(256)).unwrap_or(0);
                text.splice(from..to.min(from + 1), [octet]);
            }
            1 => drop(text.drain(from..to)),
            2 => text.truncate(from),
            3 => {
                let times = 1 + self.below(40);
                let doubled = text.get(from..to).unwrap_or_default().repeat(times);
                text.splice(from..from, doubled);
            }
            4 => {
                let piece = self.one_of(&PIECES);
                text.splice(from..from, piece.iter().copied());
            }
            5 => {
                let piece = self.one_of(&PIECES);
                text.splice(from..to, piece.iter().copied());
            }
            _ => {
                let other = self.one_of(samples);
                let cut = self.below(other.len() + 1);
                text.splice(from.., other.iter().skip(cut).copied());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_texts_each_time_and_of_many_kinds() {
        let samples: [&[u8]; 2] = [b"v=STSv1; id=1;", b""];
        let texts = mutations(7, &samples);
        assert_eq!(texts, mutations(7, &samples));
        assert_ne!(texts, mutations(9, &samples));
        let kinds: std::collections::BTreeSet<_> = texts.iter().collect();
        assert!(kinds.len() > 500, "{}", kinds.len());
        assert!(texts.iter().all(|text| text.len() <= 4 * 14 + 4_096));
    }
}
