//! The day of a domain with all that can occur: an international name, every type of policy and every
//! result type, a policy that changed at noon, a fetch that failed while one held, hosts with the longest
//! names, and some that say things they should not.

use ResultType as Type;
use sealpost::aggregate::seen::{FailureKind, Seen, Since};

use super::{
    AppliedPolicy, Counted, DAY, DomainDay, Failure, ResultType, Rows, Timestamp, UtcDay, at_mx,
};

pub(super) fn everything() -> DomainDay {
    let mut rows = Rows::of("b\u{fc}cher-everything.example");
    let hosts = Hosts::of(&rows);
    under_enforce(&mut rows, &hosts);
    under_testing(&mut rows, &hosts);
    under_tlsa_records(&mut rows, &hosts);
    without_policy(&mut rows);
    let mut day = rows.day();
    day.seen = seen().into_iter().collect();
    day
}

/// The names of the domain's mail hosts.
struct Hosts {
    one: String,
    two: String,
    three: String,
    /// As long as a name can be.
    long: String,
}

impl Hosts {
    fn of(rows: &Rows) -> Self {
        let label = "m".repeat(63);
        let named = |name: &str| format!("{name}.{}", rows.domain);
        Self {
            one: named("mx1"),
            two: named("mx2"),
            three: named("mx3"),
            long: format!("{label}.{label}.{label}.{}.example", "m".repeat(53)),
        }
    }
}

fn under_enforce(rows: &mut Rows, hosts: &Hosts) {
    let enforce = rows.sts("enforce", &[&hosts.one, &hosts.two]);
    rows.add(&enforce, Counted::Successes, 1_200);
    let expired = at_mx(Type::CertificateExpired, &hosts.one, "2001:0DB8::25", "");
    let second_address = Failure {
        receiving_ip: Some("192.0.2.25".parse().unwrap()),
        ..expired.clone()
    };
    rows.failed(&enforce, expired, 30);
    rows.failed(&enforce, second_address, 12);
    let elsewhere = "mx9.example.com";
    let [mismatch, name, trust] = [
        Type::ValidationFailure,
        Type::CertificateHostMismatch,
        Type::CertificateNotTrusted,
    ];
    for (mx, result, reason, count) in [
        (elsewhere, mismatch, "sts-mx-mismatch", 1),
        (&hosts.long, name, "", 2),
        (&hosts.two, trust, "probe:self-signed", 3),
    ] {
        rows.failed(&enforce, at_mx(result, mx, "198.51.100.9", reason), count);
    }
    // RFC 8461 s5: the policy could not be fetched again while it held; no session failed by it.
    let note = Failure::of_policy(Type::StsPolicyFetchError, "http-status-404");
    rows.add(&enforce, Counted::Detail(note), 3);
}

/// What hosts call themselves is theirs to choose.
fn under_testing(rows: &mut Rows, hosts: &Hosts) {
    let testing = rows.sts("testing", &[&format!("*.{}", rows.domain)]);
    rows.add(&testing, Counted::Successes, 17);
    let steers = "\u{1b}[2Jmx2 \"}<script>\r\nBcc: a@example.com \u{202e}\u{fc} \u{fffd}&amp;'";
    let much = "<b>".repeat(100);
    for (mx, helo, address, reason, count) in [
        (&hosts.two, steers, "192.0.2.26", "", 4),
        (&hosts.long, &much, "192.0.2.27", "starttls-refused", 2),
    ] {
        let failure = Failure {
            mx_helo: Some(helo.to_owned()),
            ..at_mx(Type::StarttlsNotSupported, mx, address, reason)
        };
        rows.failed(&testing, failure, count);
    }
}

fn under_tlsa_records(rows: &mut Rows, hosts: &Hosts) {
    let records = Rows::tlsa(&hosts.one, &[(3, 1, 1, 0xAB), (2, 0, 2, 0x1D)]);
    let unusable = Rows::tlsa(&hosts.two, &[(1, 1, 1, 0xEE)]);
    rows.add(&records, Counted::Successes, 800);
    let (no_match, none) = ("dane-no-match", "all-tlsa-records-unusable");
    for (policy, mx, result, reason, count) in [
        (&records, &hosts.one, Type::ValidationFailure, no_match, 14),
        (&unusable, &hosts.two, Type::TlsaInvalid, none, 5),
    ] {
        rows.failed(policy, at_mx(result, mx, "198.51.100.9", reason), count);
    }
    let of_dns = Rows::tlsa(&hosts.three, &[]);
    for (result, reason, count) in [
        (Type::DnssecInvalid, "policy:tlsa-lookup-failed", 7),
        (Type::DaneRequired, "no-usable-tlsa-records", 8),
        (Type::DnssecInvalid, "too-many-details", 9),
    ] {
        rows.failed(&of_dns, Failure::of_policy(result, reason), count);
    }
}

fn without_policy(rows: &mut Rows) {
    let none = AppliedPolicy::no_policy_found(rows.domain.clone());
    let unfetched = AppliedPolicy::sts_unfetched(rows.domain.clone());
    rows.add(&none, Counted::Successes, 2);
    for (result, reason, count) in [
        (Type::StsWebpkiInvalid, "certificate-host-mismatch", 5),
        (Type::StsPolicyInvalid, "policy-mx-missing", 6),
    ] {
        rows.failed(&unfetched, Failure::of_policy(result, reason), count);
    }
}

/// Since when some of it is seen: each way in which that is told.
fn seen() -> [(FailureKind, Seen); 3] {
    let at = |hour: i64| -> Option<Timestamp> {
        Some(DAY.first_second().plus_seconds(hour * 3_600 + 72))
    };
    let for_days = Since::Day {
        first_day: UtcDay(DAY.0 - 4),
        days_before: 3,
    };
    [
        (Type::StarttlsNotSupported, at(3), at(21), Since::ThisDay),
        (Type::CertificateHostMismatch, at(5), at(5), Since::Unknown),
        (Type::CertificateExpired, None, at(23), for_days),
    ]
    .map(|(result, first_at, last_at, since)| {
        let kind = FailureKind {
            result,
            reason: None,
        };
        let seen = Seen {
            first_at,
            last_at,
            since,
        };
        (kind, seen)
    })
}
