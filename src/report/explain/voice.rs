//! Who speaks in the sentences of the table.

use std::borrow::Cow;

/// Who tells of a failure.
///
/// Where it matters, the table has a sentence for both: `{We have|The sender has} agreed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// We who deliver the mail and report: in reports of our own.
    We,
    /// A reader of reports, who may have them from anybody.
    Reader,
}

impl Voice {
    /// Sentences of the table as this voice says them.
    #[must_use]
    pub(super) fn says(self, sentences: &'static str) -> Cow<'static, str> {
        if !sentences.contains('{') {
            return Cow::Borrowed(sentences);
        }
        let mut said = String::new();
        for part in sentences.split('{') {
            let Some((choice, after)) = part.split_once('}') else {
                said.push_str(part);
                continue;
            };
            let (ours, senders) = choice.split_once('|').unwrap_or((choice, choice));
            said.push_str(match self {
                Self::We => ours,
                Self::Reader => senders,
            });
            said.push_str(after);
        }
        Cow::Owned(said)
    }
}
