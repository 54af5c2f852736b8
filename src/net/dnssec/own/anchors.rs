//! The keys of the root that everything else is proven from (RFC 4033 s2, trust anchor).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hickory_proto::{
    dnssec::{
        Algorithm, DigestType, PublicKey as _, PublicKeyBuf, TrustAnchors,
        rdata::{DNSKEY, DS},
    },
    rr::Name,
};

/// The trust anchors: keys of the root, or their digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchors {
    keys: Vec<DNSKEY>,
    digests: Vec<DS>,
}

/// A file of trust anchors cannot be used. The operator must act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct BadAnchors {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl Anchors {
    /// The keys that IANA publishes (<https://www.iana.org/dnssec/files>), as hickory has them built in.
    #[must_use]
    pub fn built_in() -> Self {
        let published = TrustAnchors::default();
        let keys = (0..published.len()).filter_map(|index| published.get(index));
        Self {
            keys: keys
                .map(|key| {
                    let octets = key.public_bytes().to_vec();
                    DNSKEY::with_flags(SIGNING_KEY, PublicKeyBuf::new(octets, key.algorithm()))
                })
                .collect(),
            digests: Vec::new(),
        }
    }

    /// The DNSKEY and DS records of a text in the form of a zone file (RFC 1035 s5.1), all of them the root's.
    /// Keys that are revoked, or that a resolver marks as not yet or no longer trusted, are passed over.
    ///
    /// # Errors
    /// The first line that is something else; or there is no record.
    pub fn parse(text: &str) -> Result<Self, BadAnchors> {
        let mut anchors = Self {
            keys: Vec::new(),
            digests: Vec::new(),
        };
        let mut entry = Entry::default();
        for (index, line) in text.lines().enumerate() {
            let at = |reason: String| BadAnchors {
                line: index + 1,
                reason,
            };
            entry.take(line).map_err(at)?;
            if entry.is_complete() {
                anchors.add(&entry).map_err(at)?;
                entry = Entry::default();
            }
        }
        let line = text.lines().count().max(1);
        if !entry.words.is_empty() {
            let reason = "a parenthesis is not closed".to_owned();
            return Err(BadAnchors { line, reason });
        }
        if anchors.keys.is_empty() && anchors.digests.is_empty() {
            let reason = "the file has no DNSKEY and no DS record that can be trusted".to_owned();
            return Err(BadAnchors { line, reason });
        }
        Ok(anchors)
    }

    /// Is this key of the root one of them?
    pub(super) fn hold(&self, key: &DNSKEY) -> bool {
        let same = |anchor: &DNSKEY| {
            anchor.public_key().public_bytes() == key.public_key().public_bytes()
                && anchor.public_key().algorithm() == key.public_key().algorithm()
        };
        let fits = |digest: &DS| {
            digest.algorithm() == key.public_key().algorithm()
                && key
                    .calculate_key_tag()
                    .is_ok_and(|tag| tag == digest.key_tag())
                && digest.covers(&Name::root(), key).unwrap_or(false)
        };
        self.keys.iter().any(same) || self.digests.iter().any(fits)
    }

    fn add(&mut self, entry: &Entry) -> Result<(), String> {
        let words: Vec<&str> = entry.words.iter().map(String::as_str).collect();
        let Some((owner, rest)) = words.split_first() else {
            return Ok(());
        };
        if owner.starts_with('$') {
            return Err(format!(
                "{owner} is not for such a file: write each record whole"
            ));
        }
        if *owner != "." {
            return Err(format!(
                "\"{owner}\" is not the root: a record begins with a dot, as \". IN DS 20326 8 2 E06D...\""
            ));
        }
        // The time to live and the class may stand in either order, or not at all.
        let is_class_or_time = |word: &&&str| {
            word.eq_ignore_ascii_case("IN") || word.bytes().all(|byte| byte.is_ascii_digit())
        };
        let skipped = rest.iter().take_while(is_class_or_time).count();
        let rest = rest.get(skipped..).unwrap_or_default();
        let (kind, data) = rest.split_first().unwrap_or((&"", &[]));
        if kind.eq_ignore_ascii_case("DNSKEY") {
            let key = key(data)?;
            if !entry.is_untrusted && !key.revoke() {
                self.keys.push(key);
            }
            Ok(())
        } else if kind.eq_ignore_ascii_case("DS") {
            self.digests.push(digest(data)?);
            Ok(())
        } else {
            Err(format!("\"{kind}\" is neither DNSKEY nor DS"))
        }
    }
}

/// Flags of a key that signs keys (RFC 4034 s2.1.1).
const SIGNING_KEY: u16 = 257;

/// One record, which parentheses may spread over lines.
#[derive(Default)]
struct Entry {
    words: Vec<String>,
    depth: usize,
    is_untrusted: bool,
}

impl Entry {
    fn take(&mut self, line: &str) -> Result<(), String> {
        let (record, comment) = line.split_once(';').unwrap_or((line, ""));
        // As unbound marks keys that it has seen, and does not trust (RFC 5011 s4.2). The mark may stand on any line of
        // a key that is spread over several.
        let untrusted = ["[ADDPEND]", "[REVOKED]", "[REMOVED]", "[START]"];
        self.is_untrusted |= untrusted.iter().any(|state| comment.contains(state));
        let spaced = record.replace('(', " ( ").replace(')', " ) ");
        for word in spaced.split_ascii_whitespace() {
            match word {
                "(" => self.depth += 1,
                ")" => {
                    let less = self.depth.checked_sub(1);
                    self.depth = less.ok_or("a parenthesis is closed that was not opened")?;
                }
                word => self.words.push(word.to_owned()),
            }
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.depth == 0
    }
}

fn key(data: &[&str]) -> Result<DNSKEY, String> {
    let [flags, protocol, algorithm, key @ ..] = data else {
        return Err("a DNSKEY record is: flags, protocol, algorithm, key".to_owned());
    };
    let flags: u16 = number(flags, "flags")?;
    if number::<u8>(protocol, "the protocol")? != 3 {
        return Err("the protocol of a DNSKEY record is 3".to_owned());
    }
    let algorithm = algorithm_of(algorithm)?;
    let octets = STANDARD
        .decode(key.concat())
        .map_err(|error| format!("the key is not base64: {error}"))?;
    if octets.is_empty() {
        return Err("the key is missing".to_owned());
    }
    let key = DNSKEY::with_flags(flags, PublicKeyBuf::new(octets, algorithm));
    if key.zone_key() {
        Ok(key)
    } else {
        Err(format!(
            "a key with the flags {flags} signs no zone; those of the root have 257"
        ))
    }
}

fn digest(data: &[&str]) -> Result<DS, String> {
    let [tag, algorithm, kind, digest @ ..] = data else {
        return Err("a DS record is: key tag, algorithm, digest type, digest".to_owned());
    };
    let tag = number(tag, "the key tag")?;
    let algorithm = algorithm_of(algorithm)?;
    let kind = DigestType::from(number::<u8>(kind, "the digest type")?);
    let length = match kind {
        DigestType::SHA256 => 32,
        DigestType::SHA384 => 48,
        _ => return Err("the digest type is 2 (SHA-256) or 4 (SHA-384)".to_owned()),
    };
    let octets = hexadecimal(&digest.concat())
        .filter(|octets| octets.len() == length)
        .ok_or_else(|| format!("the digest is {} hexadecimal digits", length * 2))?;
    Ok(DS::new(tag, algorithm, kind, octets))
}

fn algorithm_of(word: &str) -> Result<Algorithm, String> {
    let algorithm = Algorithm::from_u8(number(word, "the algorithm")?);
    if algorithm.is_supported() {
        Ok(algorithm)
    } else {
        Err(format!("algorithm {word} is not known here"))
    }
}

fn number<N: std::str::FromStr>(word: &str, what: &str) -> Result<N, String> {
    word.parse()
        .map_err(|_| format!("{what}: \"{}\" is not such a number", word.escape_default()))
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
        })
        .collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    let pair = |pair: &[u8]| pair.iter().fold(0_u8, |octet, digit| (octet << 4) | digit);
    Some(digits.chunks(2).map(pair).collect())
}

#[cfg(test)]
mod tests {
    use hickory_proto::dnssec::Verifier as _;

    use super::*;

    /// As IANA publishes them in `root-anchors.xml`.
    const IANA: &str = "; KSK-2017 and KSK-2024\n\
        . IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n\
        .\t172800\tIN DS 38696 8 2 (\n 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C48\n\
        3AF444A4C0FB2B16 ) ; the newer\n";

    #[test]
    fn the_keys_that_are_built_in_are_those_that_iana_publishes() {
        let published = Anchors::parse(IANA).unwrap();
        let built_in = Anchors::built_in();
        assert_eq!(published.digests.len(), 2);
        assert_eq!(built_in.keys.len(), 2);
        for key in &built_in.keys {
            assert!(published.hold(key), "{}", key.algorithm().as_str());
            assert!(built_in.hold(key));
        }
        let [one, other] = built_in.keys.as_slice() else {
            panic!("not two");
        };
        let only_one = Anchors {
            keys: vec![one.clone()],
            digests: Vec::new(),
        };
        assert!(!only_one.hold(other));
    }

    #[test]
    fn keys_that_a_resolver_does_not_yet_trust_are_passed_over() {
        let line = ". 86400 IN DNSKEY 257 3 13 AAAA ;{id = 1} ;;state=2 [  VALID  ]\n";
        let text = format!("; autotrust\n{line}. IN DNSKEY 257 3 13 BBBB ;;state=1 [ADDPEND]\n");
        let anchors = Anchors::parse(&text).unwrap();
        assert_eq!(anchors.keys.len(), 1);
        // On any line of the key, and of no other.
        let spread = ". IN DNSKEY ( 257 3 13 ; begins\n BBBB ) ;;state=4 [REMOVED]\n";
        let middle = ". IN DNSKEY ( 257 3 13 ; begins\n ;;state=1 [ADDPEND]\n CCCC )\n; [START]\n";
        let anchors = Anchors::parse(&format!("{spread}{middle}{line}")).unwrap();
        assert_eq!(anchors.keys.len(), 1);
        assert!(Anchors::parse(spread).is_err());
        let revoked = ". IN DNSKEY 385 3 13 AAAA\n";
        assert!(Anchors::parse(revoked).is_err());
    }

    #[test]
    fn what_cannot_be_used_is_named_by_its_line() {
        for (text, line, part) in [
            ("", 1, "no DNSKEY and no DS"),
            ("; nothing\n\n", 2, "no DNSKEY and no DS"),
            ("\n. IN A 192.0.2.1\n", 2, "\"A\" is neither"),
            ("$TTL 60\n", 1, "$TTL is not for"),
            ("org. IN DS 1 8 2 00\n", 1, "is not the root"),
            ("trust-anchors {\n", 1, "is not the root"),
            (". IN\n", 1, "\"\" is neither"),
            (". IN DNSKEY 257 3\n", 1, "flags, protocol, algorithm, key"),
            (". IN DNSKEY 257 3 8 !!\n", 1, "not base64"),
            (". IN DNSKEY 257 3 8\n", 1, "key is missing"),
            (". IN DNSKEY 257 2 8 AAAA\n", 1, "protocol"),
            (". IN DNSKEY 1 3 8 AAAA\n", 1, "signs no zone"),
            (". IN DNSKEY 257 3 99 AAAA\n", 1, "algorithm 99"),
            (". IN DNSKEY many 3 8 AAAA\n", 1, "flags: \"many\""),
            (". IN DS 1 8 2 00\n", 1, "64 hexadecimal digits"),
            (". IN DS 1 8 1 00\n", 1, "digest type is 2"),
            (". IN DS 1 8 2 (\n00\n", 2, "not closed"),
            (". IN DS 1 8 2 )\n", 1, "not opened"),
        ] {
            let error = Anchors::parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text:?}: {error}");
            assert!(error.reason.contains(part), "{text:?}: {error}");
        }
    }
}
