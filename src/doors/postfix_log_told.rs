//! From a session of the log to what the hook is told.

use sealpost_plugin_api::{Facts, Outcome, ResultType, Session, StartTls, Verification};

use super::{
    postfix_line::DaneLack,
    postfix_log_sessions::{How, LogSession},
};
use crate::{
    config::PostfixLogTake,
    hook::{AsyncHook, decide::STS_MX_MISMATCH, joint::DANE_REQUIRED},
    policy::{AppliedPolicy, PolicyDomain, PolicyType},
    record::Failure,
    record::told::{Ending, Told},
};

/// The reason code of a session in the clear of which the log does not say whether TLS was offered.
pub const IN_THE_CLEAR: &str = "in-the-clear";

/// The reason code of a mail host that was passed over for its TLSA records.
pub const TLSA_LOOKUP_FAILED: &str = "tlsa-lookup-failed";

/// The reason code of a certificate that no TLSA record matches.
pub const DANE_NO_MATCH: &str = "dane-no-match";

/// Whether a session that went like this is to be told: all are, or those only that Postfix does not
/// tell through libtlsrpt.
#[must_use]
pub const fn is_wanted(how: &How, take: PostfixLogTake) -> bool {
    match (take, how) {
        (PostfixLogTake::All, _) => true,
        // RFC 8460 s4.3: Postfix 3.10 counts a handshake and what TLS is demanded and missing; no more.
        (
            PostfixLogTake::Silent,
            How::InTheClear
            | How::NotListed
            | How::TlsaLookupFailed
            | How::DaneNotToBeHad(DaneLack::Records)
            | How::LostInStartTls,
        ) => true,
        (PostfixLogTake::Silent, _) => false,
    }
}

/// Who checks certificates that Postfix let pass without a check of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    /// We look at the mail hosts ourselves, and know better than what Postfix says in passing.
    OurLook,
    /// Nobody: what Postfix says in passing is all that is known.
    Nobody,
}

/// Tells the hook of a session, which carried mail: those of our reports are known by their envelope sender.
pub fn tell(hook: &dyn AsyncHook, session: &LogSession, checks: Checks) {
    match told(session, checks) {
        Some(told) => hook.told_of_mail(&told, 1),
        None => {
            let mut told = Session::new(&session.domain, outcome(&session.how));
            told.mx = session.mx.as_deref();
            told.receiving_ip = session.receiving_ip;
            told.at_unix_seconds = Some(session.at.0);
            hook.session_of_mail(&told);
        }
    }
}

/// What is told with the policy that Postfix went by: that there was none, or TLSA records.
fn told(session: &LogSession, checks: Checks) -> Option<Told> {
    match &session.how {
        // As libtlsrpt is told of them: TLS was up, and whatever the policy says was not checked.
        How::Established => told_unchecked(session),
        How::Untrusted if checks == Checks::OurLook => told_unchecked(session),
        // What failed by a mail host's TLSA records did not fail by the domain's own policy.
        How::TlsaLookupFailed => {
            told_of_tlsa(session, ResultType::DnssecInvalid, TLSA_LOOKUP_FAILED)
        }
        // RFC 7672 s6. Whether the operator demands DANE is not in the log.
        How::DaneNotToBeHad(_) => told_of_tlsa(session, ResultType::DaneRequired, DANE_REQUIRED),
        // OpenSSL's "no matching DANE TLSA records".
        How::NotVerified(words) if words.contains("DANE TLSA") => {
            told_of_tlsa(session, ResultType::ValidationFailure, DANE_NO_MATCH)
        }
        _ => None,
    }
}

fn told_unchecked(session: &LogSession) -> Option<Told> {
    let domain: PolicyDomain = session.domain.parse().ok()?;
    let policy = AppliedPolicy::no_policy_found(domain.clone());
    Some(Told::new(domain, policy, Ending::Success))
}

fn outcome(how: &How) -> Outcome<'_> {
    let failure = |result, reason| Outcome::Failure {
        result,
        reason: Some(reason),
    };
    let established = Facts::new(StartTls::Established);
    let handshake_failed = Facts::new(StartTls::HandshakeFailed);
    match how {
        How::Verified => Outcome::Success,
        How::Established => Outcome::Facts(established),
        How::Untrusted => Outcome::Facts(established.with_verification(Verification::Failed)),
        How::NotVerified(words) => Outcome::Facts(with_words(
            established.with_verification(Verification::Failed),
            words,
        )),
        How::HandshakeFailed(words) => Outcome::Facts(with_words(handshake_failed, words)),
        How::LostInStartTls => Outcome::Facts(handshake_failed),
        How::NotOffered => Outcome::Facts(Facts::new(StartTls::NotOffered)),
        How::Refused => Outcome::Facts(Facts::new(StartTls::Refused)),
        How::InTheClear => failure(ResultType::StarttlsNotSupported, IN_THE_CLEAR),
        How::NotListed => failure(ResultType::ValidationFailure, STS_MX_MISMATCH),
        How::TlsaLookupFailed => failure(ResultType::DnssecInvalid, TLSA_LOOKUP_FAILED),
        How::DaneNotToBeHad(_) => failure(ResultType::DaneRequired, DANE_REQUIRED),
    }
}

fn with_words<'a>(facts: Facts<'a>, words: &'a str) -> Facts<'a> {
    if words.is_empty() {
        facts
    } else {
        facts.with_error(words)
    }
}

/// A session under the TLSA records of its mail host, which the log does not have; `None` where a name
/// of the log is no name.
// RFC 8460 s1.1: the policy domain of TLSA records is the TLSA base domain, here the MX host's name.
fn told_of_tlsa(session: &LogSession, result: ResultType, reason: &str) -> Option<Told> {
    let domain: PolicyDomain = session.domain.parse().ok()?;
    let base: PolicyDomain = session.mx.as_ref()?.parse().ok()?;
    let failure = Failure {
        mx: Some(base.to_string()),
        receiving_ip: session.receiving_ip,
        ..Failure::of_policy(result, reason)
    };
    let policy = AppliedPolicy {
        policy_type: PolicyType::Tlsa,
        policy_domain: base,
        policy_string: Vec::new(),
        mx_host: Vec::new(),
    };
    Some(Told::new(domain, policy, Ending::Failure(vec![failure])))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use sealpost_plugin_api::Query;

    use super::*;
    use crate::{
        clock::{BoxFuture, Timestamp},
        hook::{Answer, Asker, basis::DaneUse},
        policy::{Mode, Standing},
        record::{Verdict, evaluate::evaluate_without_dane},
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

        fn policy_at_once(&self, _query: &Query<'_>, _dane: DaneUse) -> Option<Arc<Answer>> {
            None
        }

        fn answered(&self, _answer: &Arc<Answer>, _asker: Asker) {}

        fn session(&self, session: &Session<'_>) {
            assert_eq!(session.at_unix_seconds, Some(NOW.0));
            match evaluate_without_dane(session, &self.standing, NOW) {
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
        check_with(Checks::OurLook, mx, how, expected);
    }

    #[track_caller]
    fn check_with(checks: Checks, mx: &str, how: How, expected: &str) {
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
        tell(&hook, &session, checks);
        assert_eq!(*hook.seen.lock().unwrap(), [expected]);
    }

    /// What a session with the listed host comes to.
    #[track_caller]
    fn comes_to(cases: &[(How, &str)]) {
        for (how, expected) in cases {
            let met = if *expected == "success" {
                ""
            } else {
                " mx.example.org Some(192.0.2.1)"
            };
            let expected = format!("example.org: {expected}{met}");
            check("mx.example.org", how.clone(), &expected);
        }
    }

    #[test]
    fn d_table_what_postfix_says_of_a_certificate_comes_to_a_result_type() {
        let cases = [
            ("", "certificate-not-trusted certificate-not-trusted"),
            ("certificate has expired", "certificate-expired -"),
            (
                "certificate not yet valid",
                "certificate-not-trusted not-yet-valid",
            ),
            ("num=62:hostname mismatch", "certificate-host-mismatch -"),
            ("hostname mismatch", "certificate-host-mismatch -"),
            (
                "self-signed certificate",
                "certificate-not-trusted self-signed",
            ),
            ("untrusted issuer", "certificate-not-trusted unknown-issuer"),
            (
                "not trusted by local or TLSA policy",
                "certificate-not-trusted certificate-not-trusted",
            ),
            (
                "not designated for use as a server certificate",
                "certificate-not-trusted certificate-not-trusted",
            ),
            (
                "certificate chain longer than limit(9)",
                "certificate-not-trusted certificate-not-trusted",
            ),
        ];
        comes_to(&cases.map(|(words, expected)| (How::NotVerified(words.to_owned()), expected)));
    }

    #[test]
    fn d_table_what_postfix_says_of_a_handshake_comes_to_a_result_type() {
        let cases = [
            ("", "validation-failure handshake-failed"),
            ("lost connection", "validation-failure handshake-failed"),
            ("wrong version number", "validation-failure not-tls"),
            (
                "ssl/tls alert handshake failure",
                "validation-failure handshake-failed",
            ),
            (
                "unsupported protocol",
                "validation-failure protocol-version",
            ),
        ];
        comes_to(
            &cases.map(|(words, expected)| (How::HandshakeFailed(words.to_owned()), expected)),
        );
    }

    #[test]
    fn d_table_how_a_session_went_comes_to_a_result_type() {
        comes_to(&[
            (How::Verified, "success"),
            (How::LostInStartTls, "validation-failure handshake-failed"),
            (
                How::NotOffered,
                "starttls-not-supported starttls-not-offered",
            ),
            (How::Refused, "starttls-not-supported starttls-refused"),
            (How::InTheClear, "starttls-not-supported in-the-clear"),
        ]);
    }

    #[test]
    fn what_postfix_did_not_check_is_told_as_unchecked() {
        let unchecked = "example.org under NoPolicyFound of example.org: success";
        for how in [How::Established, How::Untrusted] {
            check("mx.example.org", how, unchecked);
        }
        check_with(
            Checks::Nobody,
            "mx.example.org",
            How::Established,
            unchecked,
        );
        check_with(
            Checks::Nobody,
            "mx.example.org",
            How::Untrusted,
            "example.org: certificate-not-trusted certificate-not-trusted mx.example.org \
             Some(192.0.2.1)",
        );
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
            How::DaneNotToBeHad(DaneLack::Records),
            "example.org under Tlsa of mx.example.org: dane-required no-usable-tlsa-records \
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
            (How::DaneNotToBeHad(DaneLack::Records), true),
            (How::DaneNotToBeHad(DaneLack::Usable), false),
        ] {
            assert_eq!(is_wanted(&how, PostfixLogTake::Silent), silent, "{how:?}");
            assert!(is_wanted(&how, PostfixLogTake::All), "{how:?}");
        }
    }
}
