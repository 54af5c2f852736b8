//! The lines that clients of the plugin socket are answered with (`docs/plugin-socket.md`). Pure.

use std::fmt;

use sealpost_plugin_api::{Level, Requirement, Tlsa};

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
    let (level, mx_patterns, tlsa, name) = match &requirement.level {
        Level::May => ("may", none, &[][..], &None),
        Level::Encrypt => ("encrypt", none, &[][..], &None),
        Level::Verify { mx_patterns, name } => ("verify", &mx_patterns[..], &[][..], name),
        Level::Dane { tlsa, name, .. } => ("dane", none, &tlsa[..], name),
        Level::RefuseMx => ("refuse", none, &[][..], &None),
        // A level this door does not know is one the client cannot obey.
        _ => ("defer", none, &[][..], &None),
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
    member("audit", if requirement.audit { "yes" } else { "no" });
    member("reason", &requirement.reason);
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
                    name: None,
                    names: Vec::new(),
                },
                "signed",
            ),
            "dane\ttlsa=3:1:1:ab01,2:0:2:ff\taudit=no\treason=signed",
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
}
