use std::sync::{Arc, Mutex};

use sealpost_plugin_api::Query;

use super::*;
use crate::{
    clock::{BoxFuture, Timestamp},
    hook::{Answer, Asker},
    policy::{Mode, Standing},
    record::{Verdict, evaluate::evaluate},
};

const NOW: Timestamp = Timestamp(1_800_000_000);

/// Takes down what the sessions come to under a policy.
struct Evaluating {
    standing: Standing,
    seen: Mutex<Vec<String>>,
}

impl Evaluating {
    fn note(&self, of: &str, verdict: &Verdict) {
        let seen = match verdict {
            Verdict::Success => "success".to_owned(),
            Verdict::Failure(failures) => failures
                .iter()
                .map(|failure| {
                    let reason = failure.reason.as_deref().unwrap_or("-");
                    let mx = failure.mx.as_deref().unwrap_or("-");
                    format!(
                        "{} {reason} {mx} {:?}",
                        failure.result, failure.receiving_ip
                    )
                })
                .collect::<Vec<_>>()
                .join(", "),
            Verdict::Note(_) => panic!("a session is not a note"),
        };
        self.seen.lock().unwrap().push(format!("{of}: {seen}"));
    }
}

impl AsyncHook for Evaluating {
    fn policy<'a>(&'a self, _query: Query<'a>) -> BoxFuture<'a, Arc<Answer>> {
        unreachable!("a log asks nothing")
    }

    fn policy_at_once(&self, _query: &Query<'_>) -> Option<Arc<Answer>> {
        None
    }

    fn answered(&self, _answer: &Arc<Answer>, _asker: Asker) {}

    fn session(&self, session: &Session<'_>) {
        assert_eq!(session.at_unix_seconds, Some(NOW.0));
        match evaluate(session, &self.standing, NOW) {
            Some(record) => self.note(session.domain, &record.verdict),
            None => self.seen.lock().unwrap().push("no session".to_owned()),
        }
    }

    fn told(&self, told: &Told, sessions: u32) {
        assert_eq!(sessions, 1);
        let verdict = match &told.ending {
            Ending::Success => Verdict::Success,
            Ending::Failure(failures) => Verdict::Failure(failures.clone()),
        };
        let policy = &told.policy;
        let of = format!(
            "{} under {:?} of {}",
            told.domain, policy.policy_type, policy.policy_domain
        );
        self.note(&of, &verdict);
    }
}

#[track_caller]
fn check(mx: &str, how: How, expected: &str) {
    let hook = Evaluating {
        standing: Standing::for_test(Mode::Testing, &["mx.example.org"]),
        seen: Mutex::default(),
    };
    let session = LogSession {
        domain: "example.org".to_owned(),
        mx: Some(mx.to_owned()),
        receiving_ip: Some("192.0.2.1".parse().unwrap()),
        at: NOW,
        how,
    };
    tell(&hook, &session);
    assert_eq!(*hook.seen.lock().unwrap(), [expected]);
}

#[test]
fn d_table_what_postfix_says_comes_to_a_result_type() {
    let cases = [
        (How::Verified, "success"),
        // Nothing is known against it.
        (How::Established, "success"),
        (
            How::Untrusted,
            "certificate-not-trusted certificate-not-trusted",
        ),
        (
            How::NotVerified(String::new()),
            "certificate-not-trusted certificate-not-trusted",
        ),
        (
            How::NotVerified("certificate has expired".to_owned()),
            "certificate-expired -",
        ),
        (
            How::NotVerified("certificate not yet valid".to_owned()),
            "certificate-not-trusted not-yet-valid",
        ),
        (
            How::NotVerified("num=62:hostname mismatch".to_owned()),
            "certificate-host-mismatch -",
        ),
        (
            How::NotVerified("hostname mismatch".to_owned()),
            "certificate-host-mismatch -",
        ),
        (
            How::NotVerified("self-signed certificate".to_owned()),
            "certificate-not-trusted self-signed",
        ),
        (
            How::NotVerified("untrusted issuer".to_owned()),
            "certificate-not-trusted unknown-issuer",
        ),
        (
            How::NotVerified("not trusted by local or TLSA policy".to_owned()),
            "certificate-not-trusted certificate-not-trusted",
        ),
        (
            How::NotVerified("not designated for use as a server certificate".to_owned()),
            "certificate-not-trusted certificate-not-trusted",
        ),
        (
            How::NotVerified("certificate chain longer than limit(9)".to_owned()),
            "certificate-not-trusted certificate-not-trusted",
        ),
        (
            How::HandshakeFailed(String::new()),
            "validation-failure handshake-failed",
        ),
        (
            How::HandshakeFailed("lost connection".to_owned()),
            "validation-failure handshake-failed",
        ),
        (
            How::HandshakeFailed("wrong version number".to_owned()),
            "validation-failure not-tls",
        ),
        (
            How::HandshakeFailed("ssl/tls alert handshake failure".to_owned()),
            "validation-failure handshake-failed",
        ),
        (
            How::HandshakeFailed("unsupported protocol".to_owned()),
            "validation-failure protocol-version",
        ),
        (How::LostInStartTls, "validation-failure handshake-failed"),
        (
            How::NotOffered,
            "starttls-not-supported starttls-not-offered",
        ),
        (How::Refused, "starttls-not-supported starttls-refused"),
        (How::InTheClear, "starttls-not-supported in-the-clear"),
    ];
    for (how, expected) in cases {
        let met = if expected == "success" {
            ""
        } else {
            " mx.example.org Some(192.0.2.1)"
        };
        check(
            "mx.example.org",
            how,
            &format!("example.org: {expected}{met}"),
        );
    }
}

#[test]
fn b_a_host_the_policy_does_not_list_is_one_failure() {
    let expected =
        "example.org: validation-failure sts-mx-mismatch mx.elsewhere.example Some(192.0.2.1)";
    check("mx.elsewhere.example", How::NotListed, expected);
    check("mx.elsewhere.example", How::Verified, expected);
    check(
        "mx.elsewhere.example",
        How::NotVerified("num=62:hostname mismatch".to_owned()),
        expected,
    );
}

#[test]
fn c_what_failed_by_tlsa_records_is_told_under_them() {
    check(
        "MX.example.org",
        How::TlsaLookupFailed,
        "example.org under Tlsa of mx.example.org: dnssec-invalid tlsa-lookup-failed \
         mx.example.org Some(192.0.2.1)",
    );
    check(
        "mx.example.org",
        How::NotVerified("num=65:no matching DANE TLSA records".to_owned()),
        "example.org under Tlsa of mx.example.org: validation-failure dane-no-match \
         mx.example.org Some(192.0.2.1)",
    );
}

#[test]
fn only_what_postfix_does_not_tell_itself_is_wanted_of_one_that_tells() {
    for (how, silent) in [
        (How::Verified, false),
        (How::Established, false),
        (How::Untrusted, false),
        (How::NotVerified(String::new()), false),
        (How::HandshakeFailed(String::new()), false),
        (How::NotOffered, false),
        (How::Refused, false),
        (How::LostInStartTls, true),
        (How::InTheClear, true),
        (How::NotListed, true),
        (How::TlsaLookupFailed, true),
    ] {
        assert_eq!(is_wanted(&how, PostfixLogTake::Silent), silent, "{how:?}");
        assert!(is_wanted(&how, PostfixLogTake::All), "{how:?}");
    }
}
