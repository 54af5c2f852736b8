//! The ways in which sessions failed, as many as a report holds.
//!
//! One broken MX behind a hundred addresses makes a hundred different details, and a stranger who
//! answers every EHLO with another name makes as many as there are sessions. What is reported is
//! therefore cleaned, merged and bounded; what does not fit is summed up, never dropped.

use std::{cmp::Reverse, collections::BTreeMap, net::IpAddr};

use crate::{aggregate::DomainDay, config::ReportConfig, record::Failure};

use super::clean;

/// `failure-reason-code` of a detail that sums up those which found no room.
pub const FURTHER_DETAILS: &str = "further-details-summed-up";

/// The longest host name is 253 characters; what an MX calls itself is cut there too.
const NAME_CHARACTERS_MAX: usize = 253;

/// The longest reason, which may be a TLS library's words.
const REASON_CHARACTERS_MAX: usize = 200;

/// The details of each policy of the day, in the order of its policies; `details_max` in all.
#[must_use]
pub fn reported(
    day: &DomainDay,
    details_max: usize,
    config: &ReportConfig,
) -> Vec<Vec<(Failure, u64)>> {
    let merged: Vec<BTreeMap<Failure, u64>> = day
        .policies
        .iter()
        .map(|totals| merge(&totals.details, config))
        .collect();
    let Some(least) = least_count_that_fits(&merged, details_max) else {
        return merged
            .into_iter()
            .map(|details| details.into_iter().collect())
            .collect();
    };
    let mut room_at_least = least.room;
    merged
        .into_iter()
        .map(|details| cut(details, least.count, &mut room_at_least))
        .collect()
}

/// The details of one policy as they are reported; those that have become equal are one.
fn merge(details: &[(Failure, u64)], config: &ReportConfig) -> BTreeMap<Failure, u64> {
    let mut merged = BTreeMap::new();
    for (failure, count) in details {
        let sum: &mut u64 = merged.entry(fit(failure, config)).or_default();
        *sum = sum.saturating_add(*count);
    }
    merged
}

fn fit(failure: &Failure, config: &ReportConfig) -> Failure {
    // OURS: a member without content is left out, not sent empty (E3: strict readers parse the
    // empty string as an address and fail).
    let text = |text: &Option<String>, characters_max| {
        text.as_deref()
            .map(|text| clean::for_json(text, characters_max).trim().to_owned())
            .filter(|text| !text.is_empty())
    };
    // RFC 5952 s5 writes ::ffff:192.0.2.1, but the connection it stands for was IPv4.
    let address = |address: Option<IpAddr>| address.map(|address| address.to_canonical());
    Failure {
        result: failure.result,
        mx: text(&failure.mx, NAME_CHARACTERS_MAX),
        mx_helo: text(&failure.mx_helo, NAME_CHARACTERS_MAX),
        receiving_ip: address(failure.receiving_ip),
        sending_ip: address(failure.sending_ip.filter(|_| config.sending_ip)),
        reason: text(&failure.reason, REASON_CHARACTERS_MAX),
    }
}

/// Where the cut goes: details with more sessions than `count` stay, and of those with exactly so
/// many the first `room`.
struct Least {
    count: u64,
    room: usize,
}

/// `None` when all of them fit.
fn least_count_that_fits(policies: &[BTreeMap<Failure, u64>], details_max: usize) -> Option<Least> {
    let mut counts: Vec<u64> = policies
        .iter()
        .flat_map(|details| details.values().copied())
        .collect();
    if counts.len() <= details_max {
        return None;
    }
    counts.sort_unstable_by_key(|count| Reverse(*count));
    counts.truncate(details_max);
    // With room for none, nothing has a count that stays.
    let count = counts.last().copied().unwrap_or(u64::MAX);
    let room = counts.iter().filter(|other| **other == count).count();
    Some(Least { count, room })
}

// OURS: one sum for each result type, so that the types of what is not listed remain true.
fn cut(
    details: BTreeMap<Failure, u64>,
    least: u64,
    room_at_least: &mut usize,
) -> Vec<(Failure, u64)> {
    let mut kept = Vec::new();
    let mut rest: BTreeMap<Failure, u64> = BTreeMap::new();
    for (failure, count) in details {
        let stays = count > least || (count == least && *room_at_least > 0);
        if stays {
            if count == least {
                *room_at_least -= 1;
            }
            kept.push((failure, count));
        } else {
            let sum = rest
                .entry(Failure::of_policy(failure.result, FURTHER_DETAILS))
                .or_default();
            *sum = sum.saturating_add(count);
        }
    }
    kept.extend(rest);
    kept
}

#[cfg(test)]
mod tests {
    use sealpost_plugin_api::ResultType::{
        self, CertificateExpired as Expired, StarttlsNotSupported as NoTls,
    };

    use super::*;
    use crate::{
        aggregate::PolicyTotals,
        clock::UtcDay,
        policy::{AppliedPolicy, PolicyDomain},
    };

    fn failure(result: ResultType, mx: &str) -> Failure {
        Failure {
            mx: Some(mx.to_owned()),
            reason: None,
            ..Failure::of_policy(result, "")
        }
    }

    fn day(details: Vec<Vec<(Failure, u64)>>) -> DomainDay {
        let domain: PolicyDomain = "example.org".parse().unwrap();
        DomainDay {
            recipients: 0,
            seen: BTreeMap::new(),
            day: UtcDay(19_858),
            policies: details
                .into_iter()
                .map(|details| PolicyTotals {
                    policy: AppliedPolicy::no_policy_found(domain.clone()),
                    successes: 0,
                    failures: 1,
                    details,
                })
                .collect(),
            domain,
        }
    }

    fn listed(day: &DomainDay, details_max: usize) -> Vec<Vec<(Failure, u64)>> {
        reported(day, details_max, &ReportConfig::default())
    }

    #[test]
    fn e4_the_smallest_give_way_and_are_summed_up_by_type() {
        let day = day(vec![
            vec![
                (failure(NoTls, "a"), 5),
                (failure(NoTls, "b"), 1),
                (failure(Expired, "c"), 9),
                (failure(Expired, "d"), 2),
            ],
            vec![(failure(NoTls, "e"), 5), (failure(NoTls, "f"), 5)],
        ]);
        let rest = |result| Failure::of_policy(result, FURTHER_DETAILS);
        assert_eq!(
            listed(&day, 3),
            [
                vec![
                    (failure(NoTls, "a"), 5),
                    (failure(Expired, "c"), 9),
                    (rest(NoTls), 1),
                    (rest(Expired), 2),
                ],
                vec![(failure(NoTls, "e"), 5), (rest(NoTls), 5)],
            ]
        );
        assert_eq!(
            listed(&day, 6),
            day.policies
                .iter()
                .map(|totals| totals.details.clone())
                .collect::<Vec<_>>()
        );
        assert_eq!(
            listed(&day, 0),
            [
                vec![(rest(NoTls), 6), (rest(Expired), 11)],
                vec![(rest(NoTls), 10)],
            ]
        );
    }

    #[test]
    fn e3_g7_what_is_empty_or_not_to_be_told_is_left_out_and_merged() {
        let told = |sending_ip: &str, helo: &str| Failure {
            sending_ip: Some(sending_ip.parse().unwrap()),
            mx_helo: Some(helo.to_owned()),
            receiving_ip: Some("::ffff:192.0.2.25".parse().unwrap()),
            ..failure(NoTls, "mx1.example.org")
        };
        let day = day(vec![vec![
            (told("2001:db8::1", "\r\n"), 2),
            (told("2001:db8::2", " "), 3),
        ]]);
        let silent = ReportConfig {
            sending_ip: false,
            ..ReportConfig::default()
        };
        let merged = Failure {
            receiving_ip: Some("192.0.2.25".parse().unwrap()),
            ..failure(NoTls, "mx1.example.org")
        };
        assert_eq!(reported(&day, 10, &silent), [vec![(merged, 5)]]);
        assert_eq!(listed(&day, 10)[0].len(), 2);
    }

    #[test]
    fn g3_long_and_steering_texts_are_cut() {
        let day = day(vec![vec![(
            Failure {
                mx_helo: Some(format!("\u{1b}[2J{}", "h".repeat(1_000))),
                reason: Some("r".repeat(1_000)),
                ..failure(NoTls, "mx1.example.org")
            },
            1,
        )]]);
        let seen = &listed(&day, 10)[0][0].0;
        assert_eq!(seen.mx_helo.as_ref().map(String::len), Some(253));
        assert!(seen.mx_helo.as_ref().unwrap().starts_with("[2Jh"));
        assert_eq!(seen.reason.as_ref().map(String::len), Some(200));
    }
}
