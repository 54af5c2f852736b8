//! What a report host's answer means. Pure: it is given the answer and the time.

use super::handover::{Accepted, Channel, SendError, shown};
use crate::clock::Timestamp;

/// What a report host answered to the whole report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status.
    pub(super) status: u16,
    /// The name that RFC 9110 s15 gives the status; empty where it gives none.
    pub(super) status_name: &'static str,
    /// The field Retry-After.
    pub(super) retry_after: Option<String>,
    /// The field Location.
    pub(super) location: Option<String>,
    /// What was read of the body.
    pub(super) body: String,
}

impl Answer {
    /// Whether the report was taken, and if not, whether it may be another time. `by` is the host with
    /// its address.
    pub(super) fn judge(
        &self,
        by: &str,
        channel: Channel,
        now: Timestamp,
    ) -> Result<Accepted, SendError> {
        let code = Some(self.status);
        let words = self.words();
        match self.status {
            // RFC 8460 s5.4: any 2xx says that it was taken.
            200..=299 => Ok(Accepted {
                by: by.to_owned(),
                reply: shown(&format!("{} {words}", self.status)),
                channel,
            }),
            // OURS (F21): a redirect would lead us where nobody has looked yet, and the report would be
            // told to whoever the first host names. docs/decisions/0012-destinations.md
            300..=399 => Err(SendError::Permanent {
                code,
                reason: format!(
                    "{} from {by}: it redirects to {}, and redirects are not followed",
                    shown(self.status_name),
                    shown(self.location.as_deref().unwrap_or("nowhere")),
                ),
            }),
            // RFC 8460 s5.4 lets others be tried again. OURS (F20): what the host itself calls passing.
            408 | 429 | 500..=599 => Err(SendError::Temporary {
                code,
                reason: format!("{words} from {by} to the report"),
                retry_after_seconds: self
                    .retry_after
                    .as_deref()
                    .and_then(|field| retry_after_seconds(field, now)),
            }),
            _ => Err(SendError::Permanent {
                code,
                reason: format!("{words} from {by} to the report"),
            }),
        }
    }

    /// The status and the host's words, fit for the log.
    fn words(&self) -> String {
        match (self.status_name, shown(&self.body)) {
            ("", body) if body.is_empty() => "no words".to_owned(),
            ("", body) => body,
            (name, body) if body.is_empty() => name.to_owned(),
            (name, body) => shown(&format!("{name}: {body}")),
        }
    }
}

/// RFC 9110 s10.2.3: a number of seconds, or a date. What is neither counts as not said: the back-off
/// holds then, as it does for the two obsolete forms of a date, which no host of today sends.
fn retry_after_seconds(field: &str, now: Timestamp) -> Option<u64> {
    let field = field.trim_ascii();
    if !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are a time that nobody waits for.
        return Some(field.parse().unwrap_or(u64::MAX));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(field)
        .ok()?;
    let wait = Timestamp(date.as_second()).seconds_since(now);
    Some(u64::try_from(wait).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1994-11-06T08:49:37Z, the date of RFC 9110's examples.
    const NOW: Timestamp = Timestamp(784_111_777);

    fn answer(status: u16) -> Answer {
        Answer {
            status,
            status_name: "Name",
            retry_after: Some("120".to_owned()),
            location: Some("https://elsewhere.example/\r\n".to_owned()),
            body: "words\r\nX-Evil: 1".to_owned(),
        }
    }

    #[test]
    fn f20_f21_what_each_status_means() {
        for (status, expected) in [
            (200, "taken"),
            (201, "taken"),
            (204, "taken"),
            (299, "taken"),
            (101, "final"),
            (301, "final"),
            (303, "final"),
            (307, "final"),
            (308, "final"),
            (400, "final"),
            (401, "final"),
            (403, "final"),
            (404, "final"),
            (405, "final"),
            (408, "later"),
            (410, "final"),
            (413, "final"),
            (415, "final"),
            (429, "later"),
            (499, "final"),
            (500, "later"),
            (502, "later"),
            (503, "later"),
            (599, "later"),
            (600, "final"),
        ] {
            let judged = answer(status).judge("h [192.0.2.1]", Channel::Verified, NOW);
            let word = match judged {
                Ok(_) => "taken",
                Err(SendError::Permanent { .. }) => "final",
                Err(SendError::Temporary {
                    retry_after_seconds,
                    ..
                }) => {
                    assert_eq!(retry_after_seconds, Some(120));
                    "later"
                }
                Err(SendError::Unreachable { .. }) => "unreachable",
            };
            assert_eq!(word, expected, "{status}");
        }
    }

    #[test]
    fn g3_the_hosts_words_are_one_line_that_says_who_spoke() {
        let by = "h.example [192.0.2.1]";
        let said = |status| answer(status).judge(by, Channel::Tls, NOW);
        assert_eq!(
            said(201).unwrap(),
            Accepted {
                by: by.to_owned(),
                reply: "201 Name: words  X-Evil: 1".to_owned(),
                channel: Channel::Tls,
            }
        );
        assert_eq!(
            said(404).unwrap_err().to_string(),
            "404 Name: words  X-Evil: 1 from h.example [192.0.2.1] to the report"
        );
        assert_eq!(
            said(302).unwrap_err().to_string(),
            "302 Name from h.example [192.0.2.1]: it redirects to https://elsewhere.example/, and \
             redirects are not followed"
        );
    }

    #[test]
    fn f20_retry_after_is_seconds_or_a_date_and_never_more_than_it_says() {
        for (field, expected) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 120 ", Some(120)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:51:37 GMT", Some(120)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sat, 05 Nov 1994 08:49:37 GMT", Some(0)),
            ("Thu, 06 Nov 2994 08:49:37 GMT", Some(31_556_995_200)),
            ("", None),
            ("-5", None),
            ("+5", None),
            ("1.5", None),
            ("tomorrow", None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun Nov  6 08:49:37 1994", None),
        ] {
            assert_eq!(retry_after_seconds(field, NOW), expected, "{field:?}");
        }
    }
}
