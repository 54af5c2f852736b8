//! What is said on the control socket: one JSON object a line, a request up, a reply down.
//!
//! ```text
//! {"version":1,"request":{"command":"purge","domain":"example.org"}}
//! {"version":1,"result":{"ok":{"domain":"example.org","purged":true}}}
//! {"version":1,"result":{"refused":{"kind":"not-found","message":"no policy is kept for ..."}}}
//! ```
//!
//! Days are `2026-11-24`, moments RFC 3339 in UTC, domains A-labels. What a reply holds is in
//! [`wire`](super::wire).

use serde::{Deserialize, Serialize};

/// The version of this protocol. A new member or command leaves it; another meaning raises it.
pub const VERSION: u32 = 1;

/// The longest request line, in octets with its end.
pub const REQUEST_OCTETS_MAX: usize = 8 * 1024;

/// The longest reply line that a client takes, in octets: a day of every domain of a large sender.
pub const REPLY_OCTETS_MAX: u64 = 256 * 1024 * 1024;

/// A request as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestLine {
    /// [`VERSION`] of the one who asks.
    pub version: u32,
    /// What is asked.
    pub request: Request,
}

/// What can be asked of the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Request {
    /// How the daemon is. [`Status`](super::wire::Status).
    Status,
    /// Every metric as Prometheus reads it. [`Metrics`](super::wire::Metrics).
    Metrics,
    /// What protected the sessions of a day, or of the days since one. [`Security`](super::wire::Security).
    Security {
        /// The UTC day; absent, and `since` too: today.
        day: Option<String>,
        /// The first UTC day of a range that ends today; not with `day`.
        since: Option<String>,
        /// How many recipient domains are told of one by one; absent: all.
        domains_max: Option<u64>,
    },
    /// A statement of what protected the sessions of a range of days. [`Evidence`](super::wire::Evidence).
    Evidence {
        /// The first UTC day.
        from: String,
        /// The last; absent: yesterday.
        to: Option<String>,
        /// About this recipient domain only.
        domain: Option<String>,
    },
    /// What was counted. [`Sessions`](super::wire::Sessions).
    Sessions {
        /// The UTC day; absent: today.
        day: Option<String>,
        /// Of this domain only.
        domain: Option<String>,
        /// Also the failures that are kept one by one.
        #[serde(default)]
        failures: bool,
    },
    /// Every policy that is kept. [`Policies`](super::wire::Policies).
    Policies,
    /// The policy kept for a domain. [`PolicyView`](super::wire::PolicyView).
    Policy {
        /// The domain.
        domain: String,
    },
    /// Look up and fetch a domain's policy now. [`Refreshed`](super::wire::Refreshed).
    Refresh {
        /// The domain.
        domain: String,
    },
    /// Forget the policy kept for a domain. [`Purged`](super::wire::Purged).
    Purge {
        /// The domain.
        domain: String,
    },
    /// What would happen to mail to a domain now. [`CheckResult`](super::wire::CheckResult).
    Check {
        /// The domain.
        domain: String,
        /// Whether its MX hosts are to be looked at.
        #[serde(default)]
        probe: bool,
    },
    /// How the reports of a day stand. [`Deliveries`](super::wire::Deliveries).
    Deliveries {
        /// The UTC day they cover; absent: yesterday.
        day: Option<String>,
        /// Of this domain only.
        domain: Option<String>,
    },
    /// A report as it would be sent. [`ReportView`](super::wire::ReportView).
    ReportPreview {
        /// The UTC day it covers; absent: today so far.
        day: Option<String>,
        /// The domain.
        domain: String,
    },
    /// What was sent for a day. [`ReportView`](super::wire::ReportView).
    ReportShow {
        /// The UTC day it covers; absent: yesterday.
        day: Option<String>,
        /// The domain.
        domain: String,
    },
    /// Send reports at once, whatever the schedule. [`ReportsSent`](super::wire::ReportsSent).
    ReportSend {
        /// The UTC day they cover; absent: yesterday.
        day: Option<String>,
        /// To this domain only.
        domain: Option<String>,
    },
    /// The decisions that changed mail. [`Audit`](super::wire::Audit).
    Audit {
        /// Of this UTC day and later; absent: as far back as they are kept.
        since: Option<String>,
        /// About this domain only.
        domain: Option<String>,
        /// Of this kind only: its word in the log.
        kind: Option<String>,
        /// Only those whose number is less.
        before: Option<u64>,
        /// The newest so many; absent: all.
        entries_max: Option<u64>,
    },
    /// What is done otherwise for single domains. [`Overrides`](super::wire::Overrides).
    Overrides {
        /// Also what ended.
        #[serde(default)]
        all: bool,
    },
    /// What is or was done otherwise for one domain. [`Overrides`](super::wire::Overrides).
    Override {
        /// The domain.
        domain: String,
    },
    /// Do otherwise for a domain. [`OverrideView`](super::wire::OverrideView).
    OverrideSet {
        /// The domain.
        domain: String,
        /// What is done: a mode as the configuration has it.
        mode: String,
        /// The last UTC day of it; absent: until it is ended.
        until: Option<String>,
        /// Why.
        reason: String,
        /// Who decided it; absent: the user who asks.
        author: Option<String>,
    },
    /// End an override that was set by command. [`OverrideView`](super::wire::OverrideView).
    OverrideExpire {
        /// The domain.
        domain: String,
        /// Why.
        reason: String,
        /// Who decided it; absent: the user who asks.
        author: Option<String>,
    },
    /// The destinations to which nothing is sent now. [`Suppressions`](super::wire::Suppressions).
    Suppressions,
    /// How one destination stands. [`SuppressionView`](super::wire::SuppressionView).
    Suppression {
        /// The destination, a `mailto:` or `https:` URI.
        destination: String,
    },
    /// Send to a destination again. [`SuppressionView`](super::wire::SuppressionView): how it stood.
    SuppressionLift {
        /// The destination.
        destination: String,
    },
    /// Send nothing to a destination. [`SuppressionView`](super::wire::SuppressionView).
    SuppressionAdd {
        /// The destination.
        destination: String,
        /// The last UTC day of it; absent: until it is lifted.
        until: Option<String>,
        /// Why.
        reason: String,
    },
    /// Copy the store into a new directory. [`StoreCopied`](super::wire::StoreCopied).
    StoreCopy {
        /// The directory, from the root on.
        directory: String,
    },
    /// The alerts that hold. [`AlertsView`](super::wire::AlertsView).
    Alerts,
    /// Send test alerts. [`AlertsTested`](super::wire::AlertsTested).
    AlertTest {
        /// Which way.
        to: super::words::AlertWay,
        /// Of this rule only.
        rule: Option<String>,
    },
    /// A link to the page that signs one in. [`PageLink`](super::wire::PageLink).
    PageLink,
    /// A report came back. [`BounceTaken`](super::wire::BounceTaken).
    Bounce {
        /// The report that it returns.
        report_id: String,
        /// The names of the mailbox that it could not be delivered to.
        recipients: Vec<String>,
        /// Why, in the words of the bounce.
        words: String,
    },
}

/// A reply as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyLine<T> {
    /// [`VERSION`] of the one who answers.
    pub version: u32,
    /// The answer.
    pub result: Answer<T>,
}

/// An answer on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer<T> {
    /// What was asked for.
    Ok(T),
    /// Why there is no answer.
    Refused(Refusal),
}

/// Why the daemon does not answer a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Who must act.
    pub kind: RefusalKind,
    /// One sentence for the operator.
    pub message: String,
}

/// Who must act on a [`Refusal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// The caller: the request makes no sense.
    BadRequest,
    /// The caller: it is not root and not the daemon's own user.
    NotAllowed,
    /// Nobody: what was asked for is not there.
    NotFound,
    /// The caller: too many others ask already; ask again later.
    Busy,
    /// The operator: the daemon is in trouble, and says of what kind.
    Trouble,
}

impl Refusal {
    /// A refusal of this kind.
    #[must_use]
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// What was asked for is not there.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(RefusalKind::NotFound, message)
    }

    /// The daemon is in trouble.
    #[must_use]
    pub fn trouble(message: impl Into<String>) -> Self {
        Self::new(RefusalKind::Trouble, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_replies_have_their_documented_form() {
        for (request, expected) in [
            (Request::Status, r#"{"command":"status"}"#),
            (
                Request::ReportSend {
                    day: Some("2026-11-24".into()),
                    domain: None,
                },
                r#"{"command":"report-send","day":"2026-11-24","domain":null}"#,
            ),
            (
                Request::Purge {
                    domain: "example.org".into(),
                },
                r#"{"command":"purge","domain":"example.org"}"#,
            ),
        ] {
            let line = RequestLine {
                version: VERSION,
                request,
            };
            let text = serde_json::to_string(&line).unwrap();
            assert_eq!(text, format!(r#"{{"version":1,"request":{expected}}}"#));
            assert_eq!(serde_json::from_str::<RequestLine>(&text).unwrap(), line);
        }
        let refused: ReplyLine<()> = ReplyLine {
            version: VERSION,
            result: Answer::Refused(Refusal::not_found("none")),
        };
        assert_eq!(
            serde_json::to_string(&refused).unwrap(),
            r#"{"version":1,"result":{"refused":{"kind":"not-found","message":"none"}}}"#
        );
    }

    #[test]
    fn members_that_may_be_absent_may_be_left_out() {
        let line = r#"{"version":1,"request":{"command":"sessions"}}"#;
        let read: RequestLine = serde_json::from_str(line).unwrap();
        assert_eq!(
            read.request,
            Request::Sessions {
                day: None,
                domain: None,
                failures: false
            }
        );
    }

    #[test]
    fn g3_no_request_line_makes_a_panic() {
        let samples: [&[u8]; 4] = [
            br#"{"version":1,"request":{"command":"status"}}"#,
            br#"{"version":1,"request":{"command":"sessions","day":"2026-11-24","failures":true}}"#,
            br#"{"version":1,"request":{"command":"purge","domain":"b\u00fccher.example"}}"#,
            br#"{"version":1,"request":{"command":"report-send","day":null,"domain":[[[[]]]]}}"#,
        ];
        let deep = [b"{\"version\":".as_slice(), &[b'['; REQUEST_OCTETS_MAX]].concat();
        assert!(serde_json::from_slice::<RequestLine>(&deep).is_err());
        for line in sealpost_kit::mutations(23, &samples) {
            let Ok(read) = serde_json::from_slice::<RequestLine>(&line) else {
                continue;
            };
            // What was read is said in the same words.
            let said = serde_json::to_vec(&read).unwrap();
            assert_eq!(serde_json::from_slice::<RequestLine>(&said).unwrap(), read);
        }
    }
}
