//! What is told without the records that it is of.

use super::*;
use crate::record::{Failure, told::Ending};

/// A log has no TLSA records, and of an older Postfix that was told nothing no answer is remembered.
#[tokio::test]
async fn d10_what_is_told_without_records_is_counted_under_those_that_held_for_the_host() {
    let told = |policy: AppliedPolicy, mx: Option<&str>| {
        let failure = Failure {
            mx: mx.map(str::to_owned),
            ..Failure::of_policy(ResultType::ValidationFailure, "dane-no-match")
        };
        Told::new(
            DOMAIN.parse().unwrap(),
            policy,
            Ending::Failure(vec![failure]),
        )
    };
    let host = "mx1.example.org";
    let of_host = AppliedPolicy::tlsa_not_had(host.parse().unwrap());
    let ours = records(host, [1; 32]).records().unwrap().applied().clone();
    // What its alias leads to.
    let alias = HostDane {
        host: host.parse().unwrap(),
        ..records("base.example.org", [2; 32])
    };
    let of_base = alias.records().unwrap().applied().clone();
    let others = records(host, [3; 32]).records().unwrap().applied().clone();
    for (says, policy, mx, expected) in [
        (records(host, [1; 32]), of_host.clone(), Some(host), &ours),
        (records(host, [1; 32]), of_host.clone(), None, &ours),
        (alias.clone(), of_host.clone(), Some(host), &of_base),
        (
            bogus(host),
            of_host.clone(),
            Some(host),
            &Arc::new(of_host.clone()),
        ),
        (
            records("mx2.example.org", [1; 32]),
            of_host.clone(),
            Some(host),
            &Arc::new(of_host.clone()),
        ),
        // An MTA that names others had others.
        (
            records(host, [1; 32]),
            others.as_ref().clone(),
            Some(host),
            &others,
        ),
    ] {
        let without = Standing::without_policy(DOMAIN.parse().unwrap());
        let (bench, dane) = with_dane(Some(without), false);
        dane.say(&[says]);
        bench.engine.told(&told(policy, mx), 1);
        let counted = bench.records.try_recv().unwrap();
        assert_eq!(&counted.policy, expected, "{mx:?}");
        assert!(bench.records.try_recv().is_err());
    }
}
