//! What a failure means and what to do about it, in sentences.
//!
//! RFC 8460 has eleven names for what can go wrong; people who run a mail server need to know what
//! that says of their server. This is the one table of it: the text and the HTML of a report,
//! `sealpost explain` and `docs/failures.md` all read it. Its rows stand in files of their own, by what
//! they are about: the mail host (`mail_host`), its TLSA records (`tlsa_records`), the domain's
//! MTA-STS policy (`sts_policy`).

use std::borrow::Cow;

use sealpost_plugin_api::ResultType;

use crate::record::Source;

mod mail_host;
pub mod pages;
pub mod policies;
mod sts_policy;
mod tlsa_records;
mod voice;

pub use voice::Voice;

/// What a failure means and what to do about it. Plain ASCII sentences, for the recipient domain's
/// postmaster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What happened, as far as it was seen.
    pub happened: Cow<'static, str>,
    /// What that most likely means.
    pub meaning: Cow<'static, str>,
    /// What to do.
    pub remedy: Cow<'static, str>,
}

/// Stands in the sentences for the policy domain; whoever shows them may put the domain in its place.
pub const DOMAIN: &str = "DOMAIN";

/// A reason code that stands for every other one, and for none.
const ANY: &str = "*";

/// Explains a result type, more closely when its reason code is one that is known here.
#[must_use]
pub fn explain(result: ResultType, reason: Option<&str>, voice: Voice) -> Explanation {
    let code = plain_code(reason.unwrap_or_default());
    let row = rows().find(|row| row.result.is_none_or(|of| of == result) && row.covers(&code));
    row.map_or(UNKNOWN, |row| row.sentences).said_by(voice)
}

/// What the mark before a reason code says of where the failure was seen; `None` where the mail server
/// that delivers saw it, and tells so without a mark.
#[must_use]
pub fn mark(reason: &str, voice: Voice) -> Option<Cow<'static, str>> {
    MARKS
        .iter()
        .find(|(source, _)| reason.starts_with(&source.mark("")))
        .map(|(_, sentence)| voice.says(sentence))
}

/// What a failure was seen by, if not by the mail server that delivers.
const MARKS: &[(Source, &str)] = &[
    (
        Source::Probe,
        "Seen when {we looked at the host ourselves|the sender looked at the host itself}; the mail server \
         that delivers told no more.",
    ),
    (
        Source::Policy,
        "Concluded from the policy or the DNS; the mail server that delivers told no more.",
    ),
];

/// One row of the table.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// The result type it is about; absent where it may be any.
    result: Option<ResultType>,
    /// The reason codes it is about; one that ends in `*` stands for all that begin so.
    codes: &'static [&'static str],
    sentences: Sentences,
}

/// What the table says, before anybody says it ([`Voice`]).
#[derive(Clone, Copy, Debug)]
struct Sentences {
    happened: &'static str,
    meaning: &'static str,
    remedy: &'static str,
}

impl Sentences {
    fn said_by(self, voice: Voice) -> Explanation {
        Explanation {
            happened: voice.says(self.happened),
            meaning: voice.says(self.meaning),
            remedy: voice.says(self.remedy),
        }
    }
}

impl Row {
    fn covers(&self, code: &str) -> bool {
        let is = |known: &&str| match known.strip_suffix('*') {
            Some(beginning) => code.starts_with(beginning),
            None => code == *known,
        };
        self.codes.iter().any(is)
    }

    /// Is it what is said of the result type where the reason code tells no more?
    fn is_general(&self) -> bool {
        self.codes.contains(&ANY)
    }

    /// Its reason codes, but for the one that stands for any.
    fn named_codes(&self) -> impl Iterator<Item = &'static str> {
        self.codes.iter().copied().filter(|code| *code != ANY)
    }
}

const fn row(
    result: ResultType,
    codes: &'static [&'static str],
    happened: &'static str,
    meaning: &'static str,
    remedy: &'static str,
) -> Row {
    Row {
        result: Some(result),
        codes,
        sentences: Sentences {
            happened,
            meaning,
            remedy,
        },
    }
}

/// The whole table: for each result type the closer rows first, the one for any reason last.
fn rows() -> impl Iterator<Item = &'static Row> {
    SUMS.iter()
        .chain(tlsa_records::ROWS)
        .chain(sts_policy::ROWS)
        .chain(mail_host::ROWS)
}

/// A reason code as the table has it.
// MTAs say the same in capitals here and there, and with "_": all-TLSA-records-unusable,
// self-signed_certificate.
fn plain_code(reason: &str) -> String {
    Source::unmark(reason.trim())
        .to_ascii_lowercase()
        .replace('_', "-")
}

/// Rows of details that stand for several, whatever their result type.
const SUMS: &[Row] = &[
    Row {
        result: None,
        codes: &["further-details-summed-up"],
        sentences: Sentences {
            happened: "These are further failures of this type, too many to be listed one by one.",
            meaning: "Their number is exact; which hosts and reasons they had is left out. Those \
                      listed with this type are the most frequent.",
            remedy: "Mend what is listed first. Often the rest has the same cause.",
        },
    },
    Row {
        result: None,
        codes: &["too-many-details"],
        sentences: Sentences {
            happened: "The sessions of the day failed in more ways than {we keep|the sender keeps} apart; \
                       of these only the type is known.",
            meaning: "A mail server gives another name for itself each time it is met, or stands \
                      behind very many addresses.",
            remedy: "Mend what is listed first. See that the server greets with one and the same name.",
        },
    },
];

const UNKNOWN: Sentences = Sentences {
    happened: "The session failed in a way that this release has no words for.",
    meaning: "The result type is newer than the program that made this report.",
    remedy: "Look the result type up in the IANA registry of STARTTLS validation result types.",
};

#[cfg(test)]
mod tests;
