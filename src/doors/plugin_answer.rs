//! The lines that clients of the plugin socket are answered with (`docs/plugin-socket.md`). Pure.

use std::fmt;

use sealpost_plugin_api::{Level, Requirement, Tlsa, Verified};

use super::plugin_escape::escape;

/// The answer to `PING`, without its line end.
#[must_use]
pub fn pong() -> String {
    format!("PONG sealpost {}", env!("CARGO_PKG_VERSION"))
}

/// The answer to `POLICY` and `MX`, without its line end. Members without a value are left out; the
/// reason, the only free text, comes last.
#[must_use]
pub fn answer(requirement: &Requirement) -> String {
    let none: &[String] = &[];
    let (level, mx_patterns, tlsa, name, names) = match &requirement.level {
        Level::May => ("may", none, &[][..], &None, none),
        Level::Encrypt => ("encrypt", none, &[][..], &None, none),
        Level::Verify { mx_patterns, name } => ("verify", &mx_patterns[..], &[][..], name, none),
        Level::Dane { tlsa, name, names } => ("dane", none, &tlsa[..], name, &names[..]),
        Level::RefuseMx => ("refuse", none, &[][..], &None, none),
        // A level this door does not know is one the client cannot obey.
        _ => ("defer", none, &[][..], &None, none),
    };
    let mut line = level.to_owned();
    let mut member = |key: &str, value: &str| {
        if !value.is_empty() {
            line.push('\t');
            line.push_str(key);
            line.push('=');
            line.push_str(&escape(value));
        }
    };
    member("policy", &requirement.policy);
    member("mx", &mx_patterns.join(","));
    let records: Vec<String> = tlsa.iter().map(tlsa_text).collect();
    member("tlsa", &records.join(","));
    member("name", name.as_deref().unwrap_or_default());
    member("names", &names.join(","));
    member("audit", if requirement.audit { "yes" } else { "no" });
    member("reason", &requirement.reason);
    line
}

/// The answer to `VERIFY`, without its line end.
#[must_use]
pub fn verdict(verified: &Verified) -> String {
    let (word, result, reason) = match verified {
        Verified::Passed(reason) => ("passed", None, reason.as_str()),
        Verified::Failed { result, reason } => ("failed", Some(result), reason.as_str()),
        Verified::Unknown(reason) => ("unknown", None, reason.as_str()),
        // A verdict this door does not know is one that nothing may be delivered under.
        _ => ("unknown", None, "a verdict that this door does not know"),
    };
    let mut line = word.to_owned();
    if let Some(result) = result {
        line.push_str("\tresult=");
        line.push_str(result.name());
    }
    line.push_str("\treason=");
    line.push_str(&escape(reason));
    line
}

/// The answer to a line that was not understood, or a client that may not speak.
#[must_use]
pub fn error_answer(error: &impl fmt::Display) -> String {
    format!("ERROR\t{}", escape(&error.to_string()))
}

/// `3:1:1:HEX`.
fn tlsa_text(record: &Tlsa) -> String {
    use fmt::Write as _;

    let mut text = format!("{}:{}:{}:", record.usage, record.selector, record.matching);
    for byte in &record.data {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use sealpost_plugin_api::ResultType;

    use super::*;
    use crate::doors::plugin_line::LineError;

    #[test]
    fn answers_are_written() {
        let check = |requirement: Requirement, expected: &str| {
            assert_eq!(answer(&requirement), expected);
        };
        check(
            Requirement::new(Level::May, "no policy"),
            "may\taudit=no\treason=no policy",
        );
        check(
            Requirement::new(
                Level::Verify {
                    mx_patterns: vec![
                        "mx1.example.org".to_owned(),
                        "*.mail.example.org".to_owned(),
                    ],
                    name: Some("mx1.example.org".to_owned()),
                },
                "enforce",
            )
            .under_policy("5f0c"),
            "verify\tpolicy=5f0c\tmx=mx1.example.org,*.mail.example.org\tname=mx1.example.org\t\
             audit=no\treason=enforce",
        );
        check(
            Requirement::new(Level::May, "testing")
                .under_policy("aa")
                .audited(),
            "may\tpolicy=aa\taudit=yes\treason=testing",
        );
        check(
            Requirement::new(
                Level::Dane {
                    tlsa: vec![
                        Tlsa {
                            usage: 3,
                            selector: 1,
                            matching: 1,
                            data: vec![0xab, 0x01],
                        },
                        Tlsa {
                            usage: 2,
                            selector: 0,
                            matching: 2,
                            data: vec![0xff],
                        },
                    ],
                    name: Some("mx1.example.org".to_owned()),
                    names: vec!["mx1.example.org".to_owned(), "example.org".to_owned()],
                },
                "signed",
            ),
            "dane\ttlsa=3:1:1:ab01,2:0:2:ff\tname=mx1.example.org\t\
             names=mx1.example.org,example.org\taudit=no\treason=signed",
        );
        // Of a domain as a whole.
        check(
            Requirement::new(
                Level::Dane {
                    tlsa: Vec::new(),
                    name: None,
                    names: Vec::new(),
                },
                "signed",
            ),
            "dane\taudit=no\treason=signed",
        );
        check(Requirement::new(Level::Encrypt, ""), "encrypt\taudit=no");
        check(
            Requirement::new(Level::RefuseMx, "not\tin the\npolicy\\"),
            "refuse\taudit=no\treason=not\\tin the\\npolicy\\\\",
        );
        check(
            Requirement::new(Level::Defer, "wait"),
            "defer\taudit=no\treason=wait",
        );
        assert_eq!(
            error_answer(&LineError::TOO_LONG),
            "ERROR\tline: longer than 65536 bytes"
        );
    }

    #[test]
    fn verdicts_are_written() {
        let check = |verified: Verified, expected: &str| assert_eq!(verdict(&verified), expected);
        check(Verified::Passed("3 1 1".to_owned()), "passed\treason=3 1 1");
        check(
            Verified::Failed {
                result: ResultType::ValidationFailure,
                reason: "dane-no-match".to_owned(),
            },
            "failed\tresult=validation-failure\treason=dane-no-match",
        );
        check(
            Verified::Unknown("no\tsuch\nanswer".to_owned()),
            "unknown\treason=no\\tsuch\\nanswer",
        );
    }
}
