//! The Debian package, in clean Debians that are booted: from `apt install` to a delivered report, and what is
//! left of it after a purge.

mod by_hand;
mod first_day;
mod installed;

use serde_json::Value;

/// What an operator would write, and what this machine needs, whose disk may be nearly full.
const CONFIG: &str = "[sender]\norganization = \"Sender\"\ncontact = \"tlsrpt@sender.test\"\n\
    [store]\nfree_space_min_mib = 0\n";

/// The sessions that went well by what `sealpost sessions --json` says.
fn successes(said: &str) -> u64 {
    let said: Value = serde_json::from_str(said).unwrap();
    let domains = said["domains"].as_array().unwrap();
    let policies = domains
        .iter()
        .flat_map(|domain| domain["policies"].as_array().unwrap());
    policies
        .map(|policy| policy["successes"].as_u64().unwrap())
        .sum()
}
