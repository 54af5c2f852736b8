//! How much of a day a report has room for, and what gives way where the mail would be too large.

use super::Report;
use crate::config::ReportConfig;

/// How much is told one by one. It only gets less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// How many failure details are listed; the rest is summed up.
    pub details_max: usize,
    /// How many octets of the policies' text are repeated, in all.
    pub policy_text_bytes_max: usize,
}

/// How much policy text one report repeats. A domain may publish a new policy every minute.
const POLICY_TEXT_BYTES_MAX: usize = 1 << 20;

impl Room {
    /// All that the settings allow.
    #[must_use]
    pub const fn whole(config: &ReportConfig) -> Self {
        Self {
            details_max: config.details_max,
            policy_text_bytes_max: POLICY_TEXT_BYTES_MAX,
        }
    }

    /// Half as many details; where there are none left, half as much text. `None` where nothing is left.
    // OURS: the seldom details go first, for they are summed up and no session is lost; the policies' text
    // is the domain's own and known to it.
    #[must_use]
    pub const fn less(self) -> Option<Self> {
        match self {
            Self {
                details_max: 0,
                policy_text_bytes_max: 0,
            } => None,
            Self {
                details_max: 0,
                policy_text_bytes_max,
            } => Some(Self {
                policy_text_bytes_max: policy_text_bytes_max / 2,
                ..self
            }),
            Self { details_max, .. } => Some(Self {
                details_max: details_max / 2,
                ..self
            }),
        }
    }

    /// What a reader is told of what gave way; `None` where nothing did.
    #[must_use]
    pub fn told(self, config: &ReportConfig) -> Option<String> {
        let whole = Self::whole(config);
        let details = format!(
            "So that this mail does not grow beyond {} octets, of the ways in which sessions failed the \
             attached file lists only the {} most frequent one by one and sums up the rest",
            config.mail_bytes_max, self.details_max
        );
        let text = if self.policy_text_bytes_max < whole.policy_text_bytes_max {
            ", and the text of policies is left out of it"
        } else {
            ""
        };
        (self != whole).then(|| format!("{details}{text}."))
    }
}

/// At least as many octets as the mail of a report takes.
#[must_use]
pub fn mail_bytes(report: &Report) -> usize {
    // RFC 2045 s6.8: 57 octets make a line of 76 characters.
    let attached = report.gzip.len().div_ceil(57) * 78;
    let readable = [Some(&report.text), report.html.as_ref()];
    let readable: usize = readable
        .into_iter()
        .flatten()
        .map(|text| quoted_bytes(text))
        .sum();
    attached + readable + HEADER_BYTES
}

/// The header with its signatures, and the parts' own.
const HEADER_BYTES: usize = 16 << 10;

/// At least as many octets as a text takes in quoted-printable.
fn quoted_bytes(text: &str) -> usize {
    let (mut plain, mut quoted, mut lines) = (0_usize, 0, 0);
    for octet in text.bytes() {
        match octet {
            b'\n' => lines += 1,
            b'=' | 0x7F.. => quoted += 1,
            _ => plain += 1,
        }
    }
    let octets = plain + 3 * quoted;
    // RFC 2045 s6.7: a line of more than 76 is broken by "=", CR and LF.
    octets + 2 * lines + 3 * octets.div_ceil(70)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f17_details_give_way_before_text_and_in_the_end_nothing_is_left() {
        let config = ReportConfig {
            details_max: 5,
            ..ReportConfig::default()
        };
        let mut room = Room::whole(&config);
        assert_eq!(room.told(&config), None);
        let mut details = Vec::new();
        let mut steps = 0;
        while let Some(less) = room.less() {
            if less.policy_text_bytes_max == POLICY_TEXT_BYTES_MAX {
                details.push(less.details_max);
                let told = less.told(&config).unwrap();
                assert!(!told.contains("text of policies"), "{told}");
            }
            room = less;
            steps += 1;
        }
        assert_eq!(details, [2, 1, 0]);
        assert!(steps < 30);
        assert!(room.told(&config).unwrap().contains("text of policies"));
    }
}
