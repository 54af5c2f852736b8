//! The name of one report.

use ring::digest;

use super::Submitter;
use crate::{clock::UtcDay, policy::PolicyDomain};

/// Names the report of one domain for one day by one reporting host: the same in the JSON, the
/// subject and the file name, for every destination and every attempt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportId {
    unique: String,
    text: String,
}

impl ReportId {
    /// The id that follows from what the report is about and who makes it.
    // RFC 8460 s5.3: the subject carries it as <left@right>. The JSON has no such rule, so both have
    // this form and a receiver may compare them.
    // OURS: hosts of one organization that keep separate stores each make a report of their own for
    // the same domain and day. The host name is in the hash, so that no receiver takes the second of
    // them for a repetition of the first (docs/decisions/0005-reports.md).
    #[must_use]
    pub fn new(day: UtcDay, domain: &PolicyDomain, submitter: &Submitter) -> Self {
        let unique = hash(&[
            &day.to_string(),
            domain.as_str(),
            submitter.domain().as_str(),
            submitter.host_name(),
        ]);
        let right = submitter.domain();
        Self {
            text: format!("{day}.{domain}.{unique}@{right}"),
            unique,
        }
    }

    /// The whole id, without angle brackets: `2026-11-23.example.org.0123456789abcdef@sender.example`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its 16 hexadecimal digits, for places that allow letters and digits only.
    #[must_use]
    pub fn unique(&self) -> &str {
        &self.unique
    }

    /// An id of a message that carries this report, without angle brackets: another one for each
    /// attempt and destination.
    // RFC 5322 s3.6.4: a message that is made anew has an id of its own.
    #[must_use]
    pub fn message_id(&self, destination: &str, attempt: u32) -> String {
        let of_destination = hash(&[destination]);
        match self.text.split_once('@') {
            Some((left, right)) => format!("{left}.{of_destination}.{attempt}@{right}"),
            None => self.text.clone(),
        }
    }

    /// The day and the domain that an id of ours speaks of; nothing where it is none.
    #[must_use]
    pub fn about(text: &str) -> Option<(UtcDay, PolicyDomain)> {
        let (left, _) = text.split_once('@')?;
        let (about, _) = left.rsplit_once('.')?;
        let (day, domain) = about.split_once('.')?;
        Some((day.parse().ok()?, domain.parse().ok()?))
    }

    /// The id of the report that a message of ours carries, by the message's own.
    #[must_use]
    pub fn of_message(message_id: &str) -> Option<String> {
        let (left, right) = message_id.split_once('@')?;
        let mut parts = left.rsplitn(3, '.');
        let (attempt, of_destination) = (parts.next()?, parts.next()?);
        let is_ours = attempt.parse::<u32>().is_ok()
            && of_destination.len() == 16
            && of_destination
                .bytes()
                .all(|octet| octet.is_ascii_hexdigit());
        let id = format!("{}@{right}", parts.next()?);
        (is_ours && Self::about(&id).is_some()).then_some(id)
    }

    /// A MIME boundary, the `number`th of this report: 1 to 70 characters of RFC 2046 s5.1.1.
    // An underscore right after "=" occurs in no base64 and no quoted-printable text.
    #[must_use]
    pub fn boundary(&self, number: u32) -> String {
        format!("=_{}", hash(&[&self.text, "boundary", &number.to_string()]))
    }
}

impl std::fmt::Display for ReportId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// The first 8 octets of SHA-256 over the members, in hexadecimal. That two of a thousand hosts which
/// report one domain on one day come to the same has a chance of 1 in 10^13.
fn hash(members: &[&str]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for member in members {
        // No member holds a zero octet, so no two lists run into the same bytes.
        context.update(member.as_bytes());
        context.update(&[0]);
    }
    let digest = context.finish();
    digest
        .as_ref()
        .iter()
        .take(8)
        .map(|octet| format!("{octet:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submitter(host_name: &str) -> Submitter {
        Submitter::new("Sender", "tls@sender.example", "", host_name).unwrap()
    }

    fn id(day: u32, domain: &str, host_name: &str) -> ReportId {
        ReportId::new(UtcDay(day), &domain.parse().unwrap(), &submitter(host_name))
    }

    #[test]
    fn f9_a_message_of_ours_names_its_report_day_and_domain() {
        let id = id(19_858, "example.org", "mta1.sender.example");
        let about = ReportId::about(id.as_str()).unwrap();
        assert_eq!(about, (UtcDay(19_858), "example.org".parse().unwrap()));
        let message_id = id.message_id("r@a.example", 3);
        assert_eq!(
            ReportId::of_message(&message_id).as_deref(),
            Some(id.as_str())
        );
        for other in [
            "",
            "@",
            "a@b",
            "1.2.3@b",
            "2024-05-15.a.0123456789abcdef.x@b",
        ] {
            assert_eq!(ReportId::of_message(other), None, "{other}");
        }
        for other in ["", "a.b.c@d", "2024-05-15.@d", "2024-05-15.a.b"] {
            assert_eq!(ReportId::about(other), None, "{other}");
        }
    }

    #[test]
    fn e9_one_id_for_each_day_domain_and_host() {
        let first = id(19_858, "example.org", "mta1.sender.example");
        assert_eq!(first, id(19_858, "example.org", "mta1.sender.example"));
        assert_eq!(
            first.as_str(),
            format!("2024-05-15.example.org.{}@sender.example", first.unique())
        );
        assert_eq!(first.unique().len(), 16);
        for other in [
            id(19_859, "example.org", "mta1.sender.example"),
            id(19_858, "example.net", "mta1.sender.example"),
            id(19_858, "example.org", "mta2.sender.example"),
        ] {
            assert_ne!(first.unique(), other.unique());
        }
    }

    #[test]
    fn f9_message_ids_differ_by_attempt_and_destination() {
        let id = id(19_858, "example.org", "mta1.sender.example");
        let ids = [
            id.message_id("a@example.org", 1),
            id.message_id("a@example.org", 2),
            id.message_id("b@example.org", 1),
        ];
        assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
        assert_eq!(ids[0], id.message_id("a@example.org", 1));
        assert!(ids.iter().all(|one| one.ends_with("@sender.example")));
    }
}
