//! What receivers do with our mail by DMARC (RFC 7489): the record of the domain in From, and whether a
//! signature of ours is aligned with it.

use super::tag_list::TagList;
use crate::policy::PolicyDomain;

/// How many names are asked for one domain.
// OURS: the tree walk of the newer DMARC drafts, which needs no list of public suffixes, ends after eight.
const NAMES_MAX: usize = 8;

/// A domain's DMARC record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DmarcRecord {
    /// What is to be done with mail that fails (`p=`).
    pub policy: DmarcPolicy,
    /// Whether `d=` must be From's very domain (`adkim=s`).
    pub strict: bool,
}

/// What a domain wants done with mail that is not aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DmarcPolicy {
    /// Nothing.
    None,
    /// It is suspicious.
    Quarantine,
    /// It is refused.
    Reject,
}

impl DmarcPolicy {
    /// The word in the record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }
}

/// The names at which the record of a domain may stand, the first found being the one that counts.
#[must_use]
pub fn names(domain: &PolicyDomain) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = Some(domain.as_str());
    while let Some(name) = rest.filter(|_| names.len() < NAMES_MAX) {
        names.push(format!("_dmarc.{name}"));
        rest = name.split_once('.').map(|(_, parent)| parent);
    }
    names
}

/// Reads the TXT records of one such name. Nothing where none of them, or more than one, is DMARC's.
#[must_use]
pub fn read(records: &[Vec<u8>]) -> Option<DmarcRecord> {
    let texts = records
        .iter()
        .filter_map(|record| std::str::from_utf8(record).ok());
    let mut ours = texts.filter(|text| is_dmarc(text));
    let (Some(text), None) = (ours.next(), ours.next()) else {
        return None;
    };
    let tags = TagList::read(text);
    let policy = match tags.get("p").map(str::to_ascii_lowercase).as_deref() {
        Some("reject") => DmarcPolicy::Reject,
        Some("quarantine") => DmarcPolicy::Quarantine,
        // RFC 7489 s6.6.3: without a valid p= it is as p=none.
        _ => DmarcPolicy::None,
    };
    Some(DmarcRecord {
        policy,
        strict: tags
            .get("adkim")
            .is_some_and(|value| value.eq_ignore_ascii_case("s")),
    })
}

/// RFC 7489 s6.6.3: it begins with the version.
fn is_dmarc(text: &str) -> bool {
    TagList::read(text).first() == Some(("v", "DMARC1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f5_the_dmarc_record_that_counts() {
        let record = |policy, strict| Some(DmarcRecord { policy, strict });
        for (texts, expected) in [
            (
                &["v=DMARC1; p=reject"][..],
                record(DmarcPolicy::Reject, false),
            ),
            (
                &["v=spf1 -all", "v=DMARC1;p=Quarantine; adkim=s;"],
                record(DmarcPolicy::Quarantine, true),
            ),
            (
                &["v = DMARC1 ; rua=mailto:a@b"],
                record(DmarcPolicy::None, false),
            ),
            (&["p=reject; v=DMARC1"], None),
            (&["v=DMARC1; p=none", "v=DMARC1; p=none"], None),
            (&["v=DMARC10; p=none"], None),
            (&[], None),
        ] {
            let texts: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
            assert_eq!(read(&texts), expected, "{texts:?}");
        }
    }

    #[test]
    fn f5_a_parents_record_holds_for_a_domain_without_one() {
        assert_eq!(
            names(&"mta.example.org".parse().unwrap()),
            ["_dmarc.mta.example.org", "_dmarc.example.org", "_dmarc.org"]
        );
        let deep = "a.b.c.d.e.f.g.h.i.j.example.org".parse().unwrap();
        assert_eq!(names(&deep).len(), NAMES_MAX);
    }
}
