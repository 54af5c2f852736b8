//! The name of the file that a report travels in.

use super::{ReportId, Submitter};
use crate::{clock::UtcDay, policy::PolicyDomain};

/// `sender.example!example.org!1732320000!1732406399!0123456789abcdef.json.gz`
// RFC 8460 s5.1: submitter "!" policy-domain "!" begin "!" end "!" unique-id "." extension. The
// times are Unix seconds of the report's range, the unique-id is letters and digits.
// OURS: the end is the last second of the day, as in the JSON.
#[must_use]
pub fn file_name(
    day: UtcDay,
    domain: &PolicyDomain,
    submitter: &Submitter,
    id: &ReportId,
) -> String {
    format!(
        "{}!{domain}!{}!{}!{}.json.gz",
        submitter.domain(),
        day.first_second().0,
        day.last_second().0,
        id.unique()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e7_names_the_submitter_the_domain_and_the_day() {
        let day: UtcDay = "2024-05-15".parse().unwrap();
        let domain = "b\u{fc}cher.example".parse().unwrap();
        let submitter =
            Submitter::new("Sender", "tls@sender.example", "", "mta1.sender.example").unwrap();
        let id = ReportId::new(day, &domain, &submitter);
        assert_eq!(
            file_name(day, &domain, &submitter, &id),
            format!(
                "sender.example!xn--bcher-kva.example!1715731200!1715817599!{}.json.gz",
                id.unique()
            )
        );
        assert!(id.unique().bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
