//! What protected the mail to some recipient domains of each kind, held against what `sealpost status
//! --security` says of the day.

use serde_json::Value;

use super::laboratory::Daemon;

/// How many sessions, and how many of them were protected by DANE, by MTA-STS, by TLS alone, by nothing,
/// and how many were refused.
type Protected = [u64; 6];

const DANE: Protected = [1, 1, 0, 0, 0, 0];
const STS: Protected = [1, 0, 1, 0, 0, 0];
const TLS: Protected = [1, 0, 0, 1, 0, 0];
const CLEAR: Protected = [1, 0, 0, 0, 1, 0];
const REFUSED: Protected = [1, 0, 0, 0, 0, 1];

/// After one message to each, whatever the MTA.
const TRUTH: [(&str, Protected); 35] = [
    ("correct.test", STS),
    ("expired.test", REFUSED),
    ("no-policy.test", TLS),
    ("no-starttls.test", REFUSED),
    ("none.test", TLS),
    ("other-mx.test", REFUSED),
    ("policy-down.test", TLS),
    ("testing.test", TLS),
    ("two-mx.test", [2, 0, 1, 0, 0, 1]),
    ("plain.test", TLS),
    ("plain-nostarttls.test", CLEAR),
    ("sts-badcert.test", REFUSED),
    ("sts-enforce.test", STS),
    ("sts-testing.test", TLS),
    ("sts-twomx.test", [2, 0, 1, 0, 0, 1]),
    ("sts-wrongmx.test", REFUSED),
    ("testing-good.test", STS),
    ("testing-nostarttls.test", CLEAR),
    ("dane-bad.test", REFUSED),
    ("dane-bogus.test", REFUSED),
    ("dane-first-bogus.test", [2, 1, 0, 0, 0, 1]),
    ("dane-nostarttls.test", REFUSED),
    ("dane-ok.test", DANE),
    ("dane-one-bad.test", [2, 0, 0, 1, 0, 1]),
    ("dane-twomx.test", [2, 1, 0, 0, 0, 1]),
    ("dane-unusable.test", TLS),
    ("dane-worse.test", STS),
    ("both.test", DANE),
    ("both-bad-dane.test", REFUSED),
    ("both-bad-sts.test", DANE),
    ("both-bogus.test", REFUSED),
    ("both-unusable.test", STS),
    ("both-unusable-bad-sts.test", REFUSED),
    ("testing-dane-bad.test", REFUSED),
    ("testing-dane-unusable.test", STS),
];

/// How what is shown of these domains differs from the truth. Domains of which nothing is written here
/// are passed over.
pub(crate) fn protection_differs(daemon: &Daemon<'_>, domains: &[&str]) -> Vec<String> {
    let shown = daemon.json(&["status", "--security", "--all", "--json"]);
    let known = TRUTH.iter().filter(|(domain, _)| domains.contains(domain));
    let of = |wanted: &str| {
        let mut all = shown["domains"].as_array().unwrap().iter();
        all.find(|each| each["domain"] == wanted).map(numbers)
    };
    let differences: Vec<Option<String>> = known
        .map(|(domain, protected)| {
            let seen = of(domain);
            let differs = seen.as_ref() != Some(protected);
            differs.then(|| format!("{domain}: protected: {seen:?} and not {protected:?}"))
        })
        .collect();
    assert!(!differences.is_empty(), "none of {domains:?} is known");
    differences.into_iter().flatten().collect()
}

fn numbers(shown: &Value) -> Protected {
    ["sessions", "dane", "sts", "tls", "clear", "refused"].map(|name| shown[name].as_u64().unwrap())
}
