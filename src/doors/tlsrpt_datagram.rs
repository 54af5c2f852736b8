//! One datagram of libtlsrpt: how a session went, in JSON, as Postfix 3.10 and later tell it. Pure.
//!
//! ```text
//! {"d": "example.org","pr": "v=TLSRPTv1; ...","policies":[{"policy-type":2,
//!  "policy-domain": "example.org","policy-string":["version: STSv1", ...],"mx-host":["mx.example.org"],
//!  "failure-details":[{"c":205,"s": "192.0.2.1","n": "mx.example.org",
//!  "h": "250-mx.example.org greets you\r\n250-STARTTLS\r\n250 SMTPUTF8","r": "198.51.100.7",
//!  "f": "self-signed_certificate"}],"t":1,"f":1}]}
//! ```
//!
//! `d` is the recipient domain; `policy-type` 1 is `tlsa`, 2 `sts` and 9 `no-policy-found`; `f` of a
//! policy is 0 where the delivery came to succeed and 1 where it failed, and `f` of a failure its
//! reason. `t` repeats how many failures there are. `pr` is the domain's TLSRPT record: where
//! reports go is looked up when they leave, so it is skipped, as is every member not known here.
//!
//! What comes out is in the words of RFC 8460 and in one form, so that equal policies and equal
//! failures are equal values, whatever the MTA's spelling.

use std::borrow::Cow;

use sealpost_plugin_api::ResultType;
use serde::Deserialize;

use super::tlsrpt_failure::{Met, NO_DETAIL, WireFailure};
use crate::{
    observe::printable::excerpt,
    policy::{AppliedPolicy, MxPattern, NameError, PolicyDomain, PolicyType},
    record::{
        Failure,
        told::{Ending, Told},
        untrusted::harmless,
    },
};

/// The longest datagram that is read: what a sender's socket holds at most by Linux's default.
pub const DATAGRAM_OCTETS_MAX: usize = 212_992;

/// How many policies one datagram may tell of. A delivery has one for each MX host at most.
const POLICIES_MAX: usize = 64;

/// How many failures may be told under one policy.
const FAILURES_MAX: usize = 64;

/// How many lines, TLSA records or MX patterns a policy may have. RFC 8461 s3.2 names no bound; real
/// policies of 700 MX hosts are known.
const LINES_MAX: usize = 4_096;

/// What a datagram tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// One for each session under each policy, in the datagram's order; never empty.
    pub told: Vec<Told>,
    /// The version of the format. What another than ours adds or means otherwise is not known.
    pub version: Version,
}

/// The version of a datagram's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 1, named or left out.
    One,
    /// Another.
    Other,
}

/// Why a datagram tells nothing. All are for whoever makes the MTA, or sends other things to the
/// socket; the operator sees them counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is longer than [`DATAGRAM_OCTETS_MAX`].
    #[error("it is longer than {DATAGRAM_OCTETS_MAX} octets")]
    TooLarge,
    /// A name or a policy is not UTF-8.
    #[error("a name or a policy in it is not UTF-8")]
    NotUtf8,
    /// It is not JSON.
    #[error("it is not JSON: {0}")]
    NotJson(String),
    /// It is JSON of another shape.
    #[error("it is JSON of another shape: {0}")]
    Shape(String),
    /// The recipient domain is missing or no domain name.
    #[error("\"d\" is no recipient domain: {0}")]
    Domain(NameError),
    /// There are no policies in it.
    #[error("it tells of no policy")]
    NoPolicies,
    /// `policy-domain` is no domain name.
    #[error("\"policy-domain\" is no domain: {0}")]
    PolicyDomain(NameError),
    /// `policy-type` is not known.
    #[error("\"policy-type\" is {0}, not 1, 2 or 9")]
    PolicyType(u64),
    /// The final result, `f`, is not known.
    #[error("the final result \"f\" is {0}, not 0 or 1")]
    FinalResult(u64),
    /// The code of a failure, `c`, is not known.
    #[error("the failure code \"c\" is {0}, which is none of RFC 8460's result types")]
    FailureCode(u64),
    /// More policies, failures or lines than a delivery can have.
    #[error("it tells of too many policies, failures or policy lines")]
    TooMany,
}

/// Reads a datagram.
///
/// # Errors
/// When it is none of libtlsrpt's, or tells what cannot be.
pub fn read(datagram: &[u8]) -> Result<Reading, Malformed> {
    if datagram.len() > DATAGRAM_OCTETS_MAX {
        return Err(Malformed::TooLarge);
    }
    match serde_json::from_slice::<Wire<'_>>(datagram) {
        Ok(wire) => wire.read(),
        Err(error) => match String::from_utf8_lossy(datagram) {
            Cow::Borrowed(_) => Err(unreadable(&error)),
            Cow::Owned(text) => read_lossy(&text),
        },
    }
}

/// Reads what holds octets that are no UTF-8: libtlsrpt passes on what a peer sent. In the words of a
/// failure they do no harm; a name or a policy with them is another one than it was.
fn read_lossy(text: &str) -> Result<Reading, Malformed> {
    let wire: Wire<'_> = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    let harmed = |text: &Text<'_>| text.0.contains(char::REPLACEMENT_CHARACTER);
    let of_policy = |policy: &WirePolicy<'_>| {
        policy.policy_domain.as_ref().is_some_and(harmed)
            || policy.policy_string.iter().any(harmed)
            || policy.mx_host.iter().any(harmed)
    };
    if wire.d.as_ref().is_some_and(harmed) || wire.policies.iter().any(of_policy) {
        return Err(Malformed::NotUtf8);
    }
    wire.read()
}

fn unreadable(error: &serde_json::Error) -> Malformed {
    let words = excerpt(&error.to_string());
    if error.is_data() {
        Malformed::Shape(words)
    } else {
        Malformed::NotJson(words)
    }
}

/// A text, borrowed from the datagram where it holds no escapes.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// The datagram.
#[derive(Debug, Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    dpv: Option<Text<'a>>,
    #[serde(borrow)]
    d: Option<Text<'a>>,
    #[serde(borrow, default)]
    policies: Vec<WirePolicy<'a>>,
}

/// An element of its `policies`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WirePolicy<'a> {
    policy_type: u64,
    #[serde(borrow)]
    policy_domain: Option<Text<'a>>,
    #[serde(borrow, default)]
    policy_string: Vec<Text<'a>>,
    #[serde(borrow, default)]
    mx_host: Vec<Text<'a>>,
    #[serde(borrow, default)]
    failure_details: Vec<WireFailure<'a>>,
    /// The final result.
    f: u64,
}

impl Wire<'_> {
    fn read(&self) -> Result<Reading, Malformed> {
        let named = self.d.as_ref().map_or("", |name| &*name.0);
        let domain: PolicyDomain = named.parse().map_err(Malformed::Domain)?;
        if self.policies.is_empty() {
            return Err(Malformed::NoPolicies);
        }
        if self.policies.len() > POLICIES_MAX {
            return Err(Malformed::TooMany);
        }
        let mut told = Vec::with_capacity(self.policies.len());
        for policy in &self.policies {
            policy.read(&domain, &mut told)?;
        }
        Ok(Reading {
            told,
            version: match self.dpv.as_ref().map(|version| &*version.0) {
                None | Some("1") => Version::One,
                Some(_) => Version::Other,
            },
        })
    }
}

impl WirePolicy<'_> {
    /// Adds the sessions under this policy.
    fn read(&self, domain: &PolicyDomain, told: &mut Vec<Told>) -> Result<(), Malformed> {
        if self.failure_details.len() > FAILURES_MAX
            || self.policy_string.len() > LINES_MAX
            || self.mx_host.len() > LINES_MAX
        {
            return Err(Malformed::TooMany);
        }
        let policy = self.applied(domain)?;
        let mut sessions = self.failed_sessions(policy.policy_type)?;
        match (self.f, sessions.is_empty()) {
            // OURS: RFC 8460 s4.2 counts connections, not deliveries. Where an MX host failed and the
            // delivery came to succeed, with the next one, that is a session that failed and one that
            // did not.
            (0, _) => sessions.push(Ending::Success),
            (1, true) => sessions.push(Ending::Failure(vec![Failure::of_policy(
                ResultType::ValidationFailure,
                NO_DETAIL,
            )])),
            (1, false) => {}
            (other, _) => return Err(Malformed::FinalResult(other)),
        }
        let one = Told::new(domain.clone(), policy, Ending::Success);
        told.extend(sessions.into_iter().map(|ending| Told {
            ending,
            ..one.clone()
        }));
        Ok(())
    }

    /// The policy, in the one form that it has everywhere here.
    fn applied(&self, domain: &PolicyDomain) -> Result<AppliedPolicy, Malformed> {
        let policy_type = match self.policy_type {
            1 => PolicyType::Tlsa,
            2 => PolicyType::Sts,
            9 => PolicyType::NoPolicyFound,
            other => return Err(Malformed::PolicyType(other)),
        };
        // Some releases of Postfix name no domain where there is no policy.
        let policy_domain = match self.policy_domain.as_ref().map(|name| &*name.0) {
            None | Some("") => domain.clone(),
            Some(name) => name.parse().map_err(Malformed::PolicyDomain)?,
        };
        let (policy_string, mx_host) = match policy_type {
            PolicyType::Tlsa => {
                let mut records: Vec<String> = self.policy_string.iter().map(tlsa).collect();
                // The order of a record set means nothing, and Postfix tells it as the DNS gave it.
                records.sort_unstable();
                (records, Vec::new())
            }
            PolicyType::Sts => (
                self.policy_string.iter().map(line).collect(),
                self.mx_host.iter().map(pattern).collect(),
            ),
            PolicyType::NoPolicyFound => (Vec::new(), Vec::new()),
        };
        Ok(AppliedPolicy {
            policy_type,
            policy_domain,
            policy_string,
            mx_host,
        })
    }

    /// The sessions that failed. A session is a connection to one MX host: failures with one host
    /// and address are of one session, those of a policy alone belong to the first.
    fn failed_sessions(&self, policy_type: PolicyType) -> Result<Vec<Ending>, Malformed> {
        let mut sessions: Vec<(Met, Vec<Failure>)> = Vec::new();
        for wire in &self.failure_details {
            let (met, failure) = wire.read(policy_type)?;
            match sessions.iter_mut().find(|(other, _)| *other == met) {
                Some((_, failures)) => add(failures, failure),
                None => sessions.push((met, vec![failure])),
            }
        }
        let of_none = sessions.iter().position(|(met, _)| met.is_nobody());
        if let Some(index) = of_none
            && sessions.len() > 1
        {
            let (_, of_policy) = sessions.remove(index);
            if let Some((_, failures)) = sessions.first_mut() {
                of_policy.into_iter().for_each(|each| add(failures, each));
            }
        }
        let endings = sessions.into_iter().map(|(_, failures)| failures);
        Ok(endings.map(Ending::Failure).collect())
    }
}

/// Adds a way in which one session failed. D3: it counts once in each.
fn add(failures: &mut Vec<Failure>, failure: Failure) {
    if !failures.contains(&failure) {
        failures.push(failure);
    }
}

/// A line of an MTA-STS policy, as published.
fn line(text: &Text<'_>) -> String {
    text.0
        .chars()
        .filter(|character| !character.is_control())
        .collect()
}

/// An MX pattern of an MTA-STS policy. One that is none stays to be seen in the report.
fn pattern(text: &Text<'_>) -> String {
    text.0.parse::<MxPattern>().map_or_else(
        |_| harmless(&text.0).unwrap_or_default(),
        |pattern| pattern.to_string(),
    )
}

/// A TLSA record: usage, selector and matching type as numbers, the data in upper case hexadecimal
/// digits (RFC 6698 s2.2 allows spaces between these). What is none stays to be seen in the report.
fn tlsa(text: &Text<'_>) -> String {
    let mut words = text.0.split_ascii_whitespace();
    let mut number = || words.next().and_then(|word| word.parse::<u8>().ok());
    let numbers = (number(), number(), number());
    let data: String = words.collect();
    match numbers {
        (Some(usage), Some(selector), Some(matching))
            if !data.is_empty() && data.bytes().all(|octet| octet.is_ascii_hexdigit()) =>
        {
            let data = data.to_ascii_uppercase();
            format!("{usage} {selector} {matching} {data}")
        }
        _ => harmless(&text.0).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STS: &str = r#""policy-type":2,"policy-domain": "Example.ORG.","policy-string":["version: STSv1","mode: enforce","mx: *.Example.org","max_age: 604800"],"mx-host":["*.Example.org"]"#;
    const TLSA: &str = r#""policy-type":1,"policy-domain": "MX.example.org","policy-string":["3 1 1 cdcd CDCD","2  1 1 ABab","3 1 1"]"#;
    const NONE: &str = r#""policy-type":9"#;

    /// One datagram about example.org with these policies.
    fn datagram(policies: &str) -> String {
        format!(
            r#"{{"d": "Example.ORG.","pr": "v=TLSRPTv1; rua=mailto:a@b","policies":[{policies}]}}"#
        )
    }

    /// With one policy and these failures.
    fn failed(policy: &str, failures: &str) -> String {
        datagram(&format!(
            r#"{{{policy},"failure-details":[{failures}],"t":1,"f":1}}"#
        ))
    }

    fn shown(failure: &Failure) -> String {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let address = |address: Option<std::net::IpAddr>| {
            address.map_or_else(|| "-".to_owned(), |address| address.to_string())
        };
        format!(
            "{} {} mx={} helo={} to={} from={}",
            failure.result,
            or_none(&failure.reason),
            or_none(&failure.mx),
            or_none(&failure.mx_helo),
            address(failure.receiving_ip),
            address(failure.sending_ip),
        )
    }

    /// The sessions, one line each: `policy-type ok` or the failures joined by ` + `.
    #[track_caller]
    fn sessions(datagram: &str) -> Vec<String> {
        let reading =
            read(datagram.as_bytes()).unwrap_or_else(|error| panic!("{datagram}: {error}"));
        let told = reading.told.iter().map(|told| {
            assert_eq!(told.fingerprint, told.policy.fingerprint());
            let ending = match &told.ending {
                Ending::Success => "ok".to_owned(),
                Ending::Failure(failures) => {
                    let all: Vec<_> = failures.iter().map(shown).collect();
                    assert!(!all.is_empty());
                    all.join(" + ")
                }
            };
            format!("{} {ending}", told.policy.policy_type.name())
        });
        told.collect()
    }

    #[test]
    fn d10_policies_have_one_form_whatever_the_spelling() {
        for (policy, domain, strings, patterns) in [
            (
                STS,
                "example.org",
                &[
                    "version: STSv1",
                    "mode: enforce",
                    "mx: *.Example.org",
                    "max_age: 604800",
                ][..],
                &["*.example.org"][..],
            ),
            (
                TLSA,
                "mx.example.org",
                &["2 1 1 ABAB", "3 1 1", "3 1 1 CDCDCDCD"],
                &[],
            ),
            (NONE, "example.org", &[], &[]),
            (
                r#""policy-type":2,"policy-domain":"""#,
                "example.org",
                &[],
                &[],
            ),
            (
                r#""policy-type":9,"policy-string":["x"],"mx-host":["y"]"#,
                "example.org",
                &[],
                &[],
            ),
            (
                r#""policy-type":2,"policy-string":["a\tb\u0000","\u001b[2J"],"mx-host":["a b","B\u00fccher"]"#,
                "example.org",
                &["ab", "[2J"],
                &["a b", "B\u{fc}cher"],
            ),
        ] {
            let text = datagram(&format!(r#"{{{policy},"t":0,"f":0}}"#));
            let reading = read(text.as_bytes()).unwrap();
            let [told] = &reading.told[..] else {
                panic!("{text}")
            };
            assert_eq!(told.domain.as_str(), "example.org");
            assert_eq!(told.ending, Ending::Success);
            assert_eq!(told.policy.policy_domain.as_str(), domain);
            assert_eq!(told.policy.policy_string, strings);
            assert_eq!(told.policy.mx_host, patterns);
        }
    }

    #[test]
    fn c8_the_order_and_case_of_tlsa_records_mean_nothing() {
        let told = |records: &str| {
            let text = datagram(&format!(
                r#"{{"policy-type":1,"policy-domain":"mx.example.org","policy-string":[{records}],"t":0,"f":0}}"#
            ));
            read(text.as_bytes()).unwrap().told
        };
        let one = told(r#""3 1 1 ABAB","2 1 1 CDCD""#);
        assert_eq!(one, told(r#""2 1 1 CDCD","3 1 1 ABAB""#));
        assert_eq!(one, told(r#""2 1 1 cdcd","3 1 1 ab ab""#));
        assert_ne!(one, told(r#""3 1 1 ABAB""#));
    }

    #[test]
    fn d_every_code_becomes_its_result_type() {
        for (code, expected) in [
            (201, "starttls-not-supported"),
            (202, "certificate-host-mismatch"),
            (203, "certificate-not-trusted"),
            (204, "certificate-expired"),
            (205, "validation-failure"),
            (301, "sts-policy-fetch-error"),
            (302, "sts-policy-invalid"),
            (303, "sts-webpki-invalid"),
            (304, "tlsa-invalid"),
            (305, "dnssec-invalid"),
            (306, "dane-required"),
        ] {
            let found = sessions(&failed(
                STS,
                &format!(r#"{{"c":{code},"n":"mx.example.org","f":"why"}}"#),
            ));
            // D12: of a policy that could not be had no MX is named.
            let mx = if expected.starts_with("sts-") {
                "-"
            } else {
                "mx.example.org"
            };
            assert_eq!(
                found,
                [format!("sts {expected} why mx={mx} helo=- to=- from=-")]
            );
        }
    }

    #[test]
    fn d_postfix_calls_certificates_that_nobody_vouches_for_a_general_failure() {
        for (reason, expected) in [
            ("self-signed_certificate", "certificate-not-trusted"),
            // OpenSSL 1.1
            ("self_signed_certificate", "certificate-not-trusted"),
            (
                "self-signed_certificate_in_certificate_chain",
                "certificate-not-trusted",
            ),
            (
                "unable_to_get_local_issuer_certificate",
                "certificate-not-trusted",
            ),
            (
                "unable_to_verify_the_first_certificate",
                "certificate-not-trusted",
            ),
            ("certificate_is_not_yet_valid", "certificate-not-trusted"),
            ("certificate_chain_too_long", "certificate-not-trusted"),
            ("unsuitable_certificate_purpose", "certificate-not-trusted"),
            ("certificate_has_expired", "certificate-expired"),
            ("hostname_mismatch", "certificate-host-mismatch"),
            ("tls-handshake-failure", "validation-failure"),
            ("all-trust-anchors-unusable", "validation-failure"),
            ("decrypt_error", "validation-failure"),
        ] {
            let found = sessions(&failed(STS, &format!(r#"{{"c":205,"f":"{reason}"}}"#)));
            assert_eq!(
                found,
                [format!("sts {expected} {reason} mx=- helo=- to=- from=-")]
            );
        }
        let quoted = sessions(&failed(
            STS,
            r#"{"c":205,"f":"format_error_in_certificate's_notBefore_field"}"#,
        ));
        let kept = "format_error_in_certificate-s_notBefore_field";
        assert_eq!(
            quoted,
            [format!(
                "sts certificate-not-trusted {kept} mx=- helo=- to=- from=-"
            )]
        );
    }

    #[test]
    fn d_a_tlsa_set_that_matches_nothing_is_named_so() {
        let nobody = "mx=- helo=- to=- from=-";
        for (policy, failure, expected) in [
            (
                TLSA,
                r#"{"c":203}"#,
                "tlsa validation-failure dane-no-match",
            ),
            (
                TLSA,
                r#"{"c":203,"f":"mine"}"#,
                "tlsa certificate-not-trusted mine",
            ),
            (TLSA, r#"{"c":202}"#, "tlsa certificate-host-mismatch -"),
            (STS, r#"{"c":203}"#, "sts certificate-not-trusted -"),
            (
                STS,
                r#"{"c":205}"#,
                "sts validation-failure mta-gave-no-detail",
            ),
        ] {
            assert_eq!(
                sessions(&failed(policy, failure)),
                [format!("{expected} {nobody}")]
            );
        }
    }

    #[test]
    fn e4_the_helo_is_one_name() {
        for (answer, expected) in [
            (
                "250-mx.example.org greets you\\r\\n250-STARTTLS\\r\\n250 SMTPUTF8",
                "mx.example.org",
            ),
            ("250 mx.example.org", "mx.example.org"),
            ("250-mx.example.org\\n250 SIZE", "mx.example.org"),
            ("mx.example.org", "mx.example.org"),
            ("mx.example.org at your service", "mx.example.org"),
            ("250mx.example.org", "250mx.example.org"),
            ("[192.0.2.1]", "[192.0.2.1]"),
            ("helo \\\"q\\\"", "helo"),
            ("250-m\\u001bx", "mx"),
            ("250-\\r\\n250 mx", "-"),
            ("250", "-"),
            ("", "-"),
        ] {
            let found = sessions(&failed(STS, &format!(r#"{{"c":204,"h":"{answer}"}}"#)));
            let line = format!("sts certificate-expired - mx=- helo={expected} to=- from=-");
            assert_eq!(found, [line], "{answer}");
        }
    }

    #[test]
    fn d11_names_and_addresses_have_one_form_and_rubbish_is_left_out() {
        for (failure, expected) in [
            (
                r#""n":"MX.example.org.","r":"2001:DB8::0:25","s":"::ffff:192.0.2.1""#,
                "mx=mx.example.org helo=- to=2001:db8::25 from=192.0.2.1",
            ),
            (
                r#""n":"a b\r\nc","r":"fe80::1%eth0","s":"here""#,
                "mx=a bc helo=- to=- from=-",
            ),
            (
                r#""n":null,"r":"","s":"","h":null,"a":"https://x""#,
                "mx=- helo=- to=- from=-",
            ),
        ] {
            let found = sessions(&failed(STS, &format!(r#"{{"c":204,{failure}}}"#)));
            assert_eq!(found, [format!("sts certificate-expired - {expected}")]);
        }
    }

    #[test]
    fn d3_each_mx_host_that_failed_is_a_session() {
        let (one, two) = (
            r#"{"c":204,"n":"mx1.example.org","r":"192.0.2.1"}"#,
            r#"{"c":202,"n":"mx2.example.org","r":"192.0.2.2"}"#,
        );
        let also_one = r#"{"c":202,"n":"mx1.example.org","r":"192.0.2.1"}"#;
        let of_policy = r#"{"c":301,"f":"why"}"#;
        let expired = "certificate-expired - mx=mx1.example.org helo=- to=192.0.2.1 from=-";
        let mismatch = |number: u8| {
            format!(
                "certificate-host-mismatch - mx=mx{number}.example.org helo=- to=192.0.2.{number} from=-"
            )
        };
        let unfetched = "sts-policy-fetch-error why mx=- helo=- to=- from=-";
        for (failures, expected) in [
            (
                vec![one, two],
                vec![format!("sts {expired}"), format!("sts {}", mismatch(2))],
            ),
            (
                vec![one, also_one],
                vec![format!("sts {expired} + {}", mismatch(1))],
            ),
            (vec![one, one], vec![format!("sts {expired}")]),
            (
                vec![of_policy, one, two],
                vec![
                    format!("sts {expired} + {unfetched}"),
                    format!("sts {}", mismatch(2)),
                ],
            ),
            (vec![of_policy], vec![format!("sts {unfetched}")]),
        ] {
            let failures = failures.join(",");
            assert_eq!(sessions(&failed(STS, &failures)), expected);
            // The delivery came to succeed: with another host.
            let text = datagram(&format!(
                r#"{{{STS},"failure-details":[{failures}],"t":1,"f":0}}"#
            ));
            let with_success = [expected, vec!["sts ok".to_owned()]].concat();
            assert_eq!(sessions(&text), with_success);
        }
        let nothing_said = sessions(&datagram(&format!(r#"{{{STS},"t":0,"f":1}}"#)));
        let line = "sts validation-failure mta-gave-no-detail mx=- helo=- to=- from=-";
        assert_eq!(nothing_said, [line]);
    }

    #[test]
    fn d3_several_policies_in_one_datagram_are_told_each() {
        let text = datagram(&format!(
            r#"{{{STS},"failure-details":[{{"c":303}}],"t":1,"f":1}},{{{TLSA},"t":0,"f":0}},{{{NONE},"t":0,"f":0}}"#
        ));
        let expected = [
            "sts sts-webpki-invalid - mx=- helo=- to=- from=-",
            "tlsa ok",
            "no-policy-found ok",
        ];
        assert_eq!(sessions(&text), expected);
    }

    #[test]
    fn the_version_is_one_or_is_told_apart() {
        for (version, expected) in [
            ("", Version::One),
            (r#""dpv": "1","#, Version::One),
            (r#""dpv":null,"#, Version::One),
            (r#""dpv": "2","#, Version::Other),
            (r#""dpv": "","#, Version::Other),
        ] {
            let text =
                format!(r#"{{{version}"d":"example.org","policies":[{{"policy-type":9,"f":0}}]}}"#);
            let reading = read(text.as_bytes()).unwrap();
            assert_eq!(
                (reading.version, reading.told.len()),
                (expected, 1),
                "{text}"
            );
        }
    }

    #[test]
    fn octets_that_are_no_utf8_harm_only_where_they_name_something() {
        let bad = |text: &str| -> Vec<u8> {
            let parts: Vec<&[u8]> = text.split('?').map(str::as_bytes).collect();
            parts.join(&b"\xff"[..])
        };
        let template = |d: &str, domain: &str, lines: &str, helo: &str, record: &str| {
            bad(&format!(
                r#"{{"d":"{d}","pr":"{record}","policies":[{{"policy-type":2,"policy-domain":"{domain}","policy-string":["{lines}"],"failure-details":[{{"c":204,"h":"{helo}"}}],"f":1}}]}}"#
            ))
        };
        assert!(read(&template("a.example", "a.example", "x", "m?x", "?")).is_ok());
        assert!(read(&template("a.example", "a.example", "x", "mx", "?")).is_ok());
        for text in [
            template("a?.example", "a.example", "x", "mx", ""),
            template("a.example", "a?.example", "x", "mx", ""),
            template("a.example", "a.example", "?", "mx", ""),
        ] {
            assert_eq!(read(&text), Err(Malformed::NotUtf8));
        }
    }

    #[test]
    fn g3_what_is_no_datagram_is_told_by_kind() {
        let one = r#"{"policy-type":9,"f":0}"#;
        let many = |count: usize, each: &str| vec![each; count].join(",");
        for (text, expected) in [
            (String::new(), "it is not JSON"),
            ("{".to_owned(), "it is not JSON"),
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), "it is not JSON"),
            ("[".repeat(200_000), "it is JSON of another shape"),
            ("[]".to_owned(), "it is JSON of another shape"),
            (datagram("7"), "it is JSON of another shape"),
            (
                datagram(r#"{"policy-type":"2","f":0}"#),
                "it is JSON of another shape",
            ),
            (
                datagram(r#"{"policy-type":9}"#),
                "it is JSON of another shape: missing field `f`",
            ),
            (
                datagram(r#"{"policy-type":9,"f":-1}"#),
                "it is JSON of another shape",
            ),
            (
                format!("{}{}", datagram(one), datagram(one)),
                "it is not JSON: trailing",
            ),
            (
                format!(r#"{{"policies":[{one}]}}"#),
                "\"d\" is no recipient domain: the name is empty",
            ),
            (
                format!(r#"{{"d":"a b","policies":[{one}]}}"#),
                "\"d\" is no recipient domain",
            ),
            (
                format!(r#"{{"d":"[192.0.2.1]","policies":[{one}]}}"#),
                "\"d\" is no recipient domain",
            ),
            (r#"{"d":"a.example"}"#.to_owned(), "it tells of no policy"),
            (datagram(""), "it tells of no policy"),
            (
                datagram(r#"{"policy-type":3,"f":0}"#),
                "\"policy-type\" is 3",
            ),
            (
                datagram(r#"{"policy-type":9,"policy-domain":"a..b","f":0}"#),
                "\"policy-domain\" is no",
            ),
            (
                datagram(r#"{"policy-type":9,"f":2}"#),
                "the final result \"f\" is 2",
            ),
            (
                failed(NONE, r#"{"c":200}"#),
                "the failure code \"c\" is 200",
            ),
            (
                failed(NONE, r#"{"c":901}"#),
                "the failure code \"c\" is 901",
            ),
            (datagram(&many(65, one)), "it tells of too many"),
            (
                failed(NONE, &many(65, r#"{"c":201}"#)),
                "it tells of too many",
            ),
            (
                datagram(&format!(
                    r#"{{"policy-type":2,"f":0,"mx-host":[{}]}}"#,
                    many(4_097, r#""a""#)
                )),
                "it tells of too many",
            ),
            (
                " ".repeat(DATAGRAM_OCTETS_MAX + 1),
                "it is longer than 212992 octets",
            ),
        ] {
            let error = read(text.as_bytes()).unwrap_err().to_string();
            let cut: String = text.chars().take(200).collect();
            assert!(error.starts_with(expected), "{cut}: {error}");
            assert!(error.len() < 200, "{error}");
        }
        // What nobody reads may be as deep as it likes.
        let deep = "[".repeat(60_000) + &"]".repeat(60_000);
        let text = format!(r#"{{"d":"a.example","more":{deep},"policies":[{one}]}}"#);
        assert!(read(text.as_bytes()).is_ok());
    }

    #[test]
    fn g3_no_datagram_makes_a_panic() {
        let samples = [
            failed(
                STS,
                r#"{"c":204,"s": "192.0.2.1","n": "mx.example.org","h": "250-mx x\r\n250 y","r": "2001:db8::1","a":"x","f": "self-signed_certificate"},{"c":303}"#,
            ),
            datagram(&format!(
                r#"{{{TLSA},"t":0,"f":0}},{{{NONE},"failure-details":[{{"c":203}}],"f":1}}"#
            )),
            format!(r#"{{"dpv": "1","d":"x.example","policies":[{{{NONE},"f":1}}]}}"#),
        ];
        let samples: Vec<&[u8]> = samples.iter().map(String::as_bytes).collect();
        let mut understood = 0;
        for text in (1..40).flat_map(|seed| sealpost_kit::mutations(seed, &samples)) {
            let Ok(reading) = read(&text) else { continue };
            understood += 1;
            assert!(!reading.told.is_empty());
            for told in &reading.told {
                let policy = &told.policy;
                let lines = policy.policy_string.iter().chain(&policy.mx_host);
                let Ending::Failure(failures) = &told.ending else {
                    continue;
                };
                let words = failures.iter().flat_map(|failure| {
                    [&failure.mx, &failure.mx_helo, &failure.reason]
                        .into_iter()
                        .flatten()
                });
                for text in lines.chain(words) {
                    assert!(
                        !text.contains(|letter: char| letter.is_control()),
                        "{text:?}"
                    );
                }
            }
        }
        assert!(understood > 1_000, "{understood}");
    }
}
