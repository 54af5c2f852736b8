//! What protected the mail of many days, for `sealpost evidence`.

use std::fmt::Write as _;

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::{SecurityOfDay, SecurityOfDomain, security::ProtectedSessions};

/// A statement of what protected the sessions of a range of days, whole in one answer: what is counted while
/// it is read cannot come between its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Name and version of the program that made it.
    pub program: String,
    /// Whose mail it is, as reports name it; absent where `sender.organization` is empty.
    pub organization: Option<String>,
    /// The host that sent the mail.
    pub host: String,
    /// When it was made.
    pub made_at: String,
    /// The first UTC day of it.
    pub from: String,
    /// The last.
    pub to: String,
    /// The one recipient domain that it is about; absent: all.
    pub domain: Option<String>,
    /// The first UTC day of which the store still holds anything; absent where it holds nothing. Of earlier
    /// days nothing can be said.
    pub held_since: Option<String>,
    /// The last UTC day of which the store's quota (`store.size_max_mib`) took what was counted before its
    /// time, with that of all days before; absent where it took none.
    #[serde(default)]
    pub cut_until: Option<String>,
    /// The last day was not over when this was made.
    pub last_day_runs: bool,
    /// The days that have such sessions, in order.
    pub days: Vec<SecurityOfDay>,
    /// Days on which a release counted sessions without what protected them.
    pub not_noted: Vec<String>,
    /// All of it together.
    pub total: ProtectedSessions,
    /// By recipient domain, in the order of their names.
    pub domains: Vec<SecurityOfDomain>,
    /// SHA-256 over [`rows_sha256`]'s lines.
    pub sha256: String,
}

/// SHA-256, in hexadecimal, over a line for each recipient domain: its name and its six numbers as
/// [`ProtectedSessions::numbers`] has them, between commas, ended by LF. It is the same in every form that a
/// statement is written in.
#[must_use]
pub fn rows_sha256(domains: &[SecurityOfDomain]) -> String {
    let mut context = Context::new(&SHA256);
    let mut line = String::new();
    for each in domains {
        line.clear();
        line.push_str(&each.domain);
        for number in each.protected.numbers() {
            let _ = write!(line, ",{number}");
        }
        line.push('\n');
        context.update(line.as_bytes());
    }
    hexadecimal(context.finish().as_ref())
}

/// Octets as lower case hexadecimal digits.
pub(crate) fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_lines_anybody_can_write_down() {
        let domain = |name: &str, dane, clear| SecurityOfDomain {
            domain: name.to_owned(),
            protected: ProtectedSessions {
                sessions: dane + clear,
                dane,
                clear,
                ..ProtectedSessions::default()
            },
        };
        // printf 'a.test,3,1,0,0,2,0\nb.test,4,4,0,0,0,0\n' | sha256sum
        assert_eq!(
            rows_sha256(&[domain("a.test", 1, 2), domain("b.test", 4, 0)]),
            "8bd35eda3231821f0a679931f01d6acf1ebb27f2633f1e32174fd2300ae67073"
        );
        assert_ne!(
            rows_sha256(&[domain("a.test", 1, 2)]),
            rows_sha256(&[domain("a.test", 2, 1)])
        );
    }
}
