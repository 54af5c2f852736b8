//! The JSON of a report (RFC 8460 s4.4), whoever wrote it.

use std::{borrow::Cow, collections::BTreeSet, net::IpAddr};

use sealpost_plugin_api::ResultType;

use super::{
    ReadError, ReceivedDetail, ReceivedPolicy, ReceivedReport, Registered,
    finding::{Findings, Rule},
    time::{self, Edge},
    tree::{Json, Object},
    unpack::BYTE_ORDER_MARK,
};
use crate::{
    clock::Timestamp,
    observe::printable::excerpt,
    policy::{PolicyDomain, PolicyType},
};

/// The largest integer that every reader keeps exactly (RFC 7493 s2.2).
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Reads the JSON of a report, with what it breaks of RFC 8460.
///
/// # Errors
/// When it is no JSON, or nothing in it is of a report.
pub fn read(bytes: &[u8]) -> Result<(ReceivedReport, Vec<super::Finding>), ReadError> {
    let mut findings = Findings::default();
    let report = read_noting(bytes, &mut findings)?;
    Ok((report, findings.into_list()))
}

pub(super) fn read_noting(
    bytes: &[u8],
    findings: &mut Findings,
) -> Result<ReceivedReport, ReadError> {
    let text = text(bytes, findings);
    let Json::Object(root) = Json::parse(&text)? else {
        return Err(ReadError::NotAReport("it is no object"));
    };
    // What has neither of these could be anything.
    if ["policies", "date-range", "report-id"]
        .iter()
        .all(|name| root.member(name).is_none())
    {
        let why = "it has no \"policies\", no \"date-range\" and no \"report-id\"";
        return Err(ReadError::NotAReport(why));
    }
    let mut reader = Reader { findings };
    let report = reader.report(&root);
    super::conform::report(&report, findings);
    Ok(report)
}

/// RFC 7493 s2.1: UTF-8, without a byte order mark (RFC 8259 s8.1).
fn text<'a>(bytes: &'a [u8], findings: &mut Findings) -> Cow<'a, str> {
    let without_mark = bytes.strip_prefix(BYTE_ORDER_MARK);
    if without_mark.is_some() {
        findings.add(Rule::Utf8, "", "it begins with a byte order mark");
    }
    let text = String::from_utf8_lossy(without_mark.unwrap_or(bytes));
    if matches!(text, Cow::Owned(_)) {
        findings.add(Rule::Utf8, "", "it is not UTF-8 everywhere");
    }
    text
}

/// Must a member be there?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Needed,
    Optional,
}

use Presence::{Needed, Optional};

/// Reads members and notes what is wrong with them.
struct Reader<'a> {
    findings: &'a mut Findings,
}

impl Reader<'_> {
    fn report(&mut self, root: &Object) -> ReceivedReport {
        self.twice(root, "");
        let nothing = Object::default();
        let range = self
            .object(root, "date-range", "", Needed)
            .unwrap_or(&nothing);
        let range_is_there = root.member("date-range").is_some();
        let presence = if range_is_there { Needed } else { Optional };
        let report = ReceivedReport {
            organization: self.text(root, "organization-name", "", Needed),
            begin: self.time(range, "start-datetime", Edge::Begin, presence),
            end: self.time(range, "end-datetime", Edge::End, presence),
            contact: self.text(root, "contact-info", "", Needed),
            id: self.text(root, "report-id", "", Needed),
            policies: Vec::new(),
        };
        let policies = self.objects(root, "policies", "", Needed);
        // RFC 8460 s4.4: sessions without any policy have an element too, so there is always one.
        if policies.is_empty() && matches!(root.member("policies"), Some(Json::Array(_))) {
            self.note(Rule::EmptyMember, "policies", "it holds no policy");
        }
        ReceivedReport {
            policies: policies
                .into_iter()
                .map(|(place, element)| self.policy(element, &place))
                .collect(),
            ..report
        }
    }

    fn policy(&mut self, element: &Object, place: &str) -> ReceivedPolicy {
        self.twice(element, place);
        let nothing = Object::default();
        let policy = self
            .object(element, "policy", place, Needed)
            .unwrap_or(&nothing);
        let policy_place = join(place, "policy");
        let summary = self
            .object(element, "summary", place, Needed)
            .unwrap_or(&nothing);
        let summary_place = join(place, "summary");
        let presence = |name: &str| {
            if element.member(name).is_some() {
                Needed
            } else {
                Optional
            }
        };
        let (of_policy, of_summary) = (presence("policy"), presence("summary"));
        let policy_type = self.word(
            policy,
            "policy-type",
            &policy_place,
            of_policy,
            POLICY_TYPES,
        );
        ReceivedPolicy {
            domain: self.domain(policy, &policy_place, of_policy),
            policy_string: self.lines(policy, "policy-string", &policy_place),
            mx_host: self.lines(policy, "mx-host", &policy_place),
            policy_type,
            successes: self.count(
                summary,
                "total-successful-session-count",
                &summary_place,
                of_summary,
            ),
            failures: self.count(
                summary,
                "total-failure-session-count",
                &summary_place,
                of_summary,
            ),
            // Google and Microsoft leave it out where nothing failed, and no reader minds.
            details: self
                .objects(element, "failure-details", place, Optional)
                .into_iter()
                .map(|(place, detail)| self.detail(detail, &place))
                .collect(),
        }
    }

    fn detail(&mut self, detail: &Object, place: &str) -> ReceivedDetail {
        self.twice(detail, place);
        ReceivedDetail {
            result: self.word(detail, "result-type", place, Needed, RESULT_TYPES),
            sending_ip: self.address(detail, "sending-mta-ip", place),
            mx: self.text(detail, "receiving-mx-hostname", place, Optional),
            mx_helo: self.text(detail, "receiving-mx-helo", place, Optional),
            receiving_ip: self.address(detail, "receiving-ip", place),
            sessions: self.count(detail, "failed-session-count", place, Needed),
            additional_information: self.text(detail, "additional-information", place, Optional),
            reason: self.text(detail, "failure-reason-code", place, Optional),
        }
    }

    fn note(&mut self, rule: Rule, place: &str, text: impl Into<String>) {
        self.findings.add(rule, place, text);
    }

    // RFC 7493 s2.3: no name stands twice in one object.
    fn twice(&mut self, object: &Object, place: &str) {
        let mut seen = BTreeSet::new();
        for (name, _) in &object.0 {
            if !seen.insert(name) {
                let place = join(place, &excerpt(name));
                self.note(
                    Rule::TwiceTheMember,
                    &place,
                    "it stands there twice; the last one is taken",
                );
            }
        }
    }

    /// The member, if it is there and says something.
    fn member<'j>(
        &mut self,
        object: &'j Object,
        name: &str,
        place: &str,
        presence: Presence,
    ) -> Option<&'j Json> {
        match object.member(name) {
            None if presence == Needed => {
                self.note(Rule::MissingMember, &join(place, name), "it is not there");
                None
            }
            Some(Json::Null) => {
                self.note(Rule::EmptyMember, &join(place, name), "it is null");
                None
            }
            member => member,
        }
    }

    fn wrong_kind(&mut self, place: &str, seen: &Json, expected: &str) {
        let text = format!("it is {}, not {expected}", seen.kind());
        self.note(Rule::MemberKind, place, text);
    }

    fn object<'j>(
        &mut self,
        object: &'j Object,
        name: &str,
        place: &str,
        presence: Presence,
    ) -> Option<&'j Object> {
        match self.member(object, name, place, presence)? {
            Json::Object(member) => {
                let place = join(place, name);
                self.twice(member, &place);
                Some(member)
            }
            other => {
                self.wrong_kind(&join(place, name), other, "an object");
                None
            }
        }
    }

    /// An array of objects, each with its place; one object stands for an array of one.
    fn objects<'j>(
        &mut self,
        object: &'j Object,
        name: &str,
        place: &str,
        presence: Presence,
    ) -> Vec<(String, &'j Object)> {
        let member = self.member(object, name, place, presence);
        let place = join(place, name);
        let elements = match member {
            None => return Vec::new(),
            Some(Json::Array(elements)) => elements.as_slice(),
            Some(other) => {
                self.wrong_kind(&place, other, "an array");
                std::slice::from_ref(other)
            }
        };
        let mut objects = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            let place = format!("{place}[{index}]");
            match element {
                Json::Object(element) => objects.push((place, element)),
                other if matches!(member, Some(Json::Array(_))) => {
                    self.wrong_kind(&place, other, "an object");
                }
                _ => {}
            }
        }
        objects
    }

    fn text(
        &mut self,
        object: &Object,
        name: &str,
        place: &str,
        presence: Presence,
    ) -> Option<String> {
        let member = self.member(object, name, place, presence)?;
        let text = match member {
            Json::Text(text) => text.trim().to_owned(),
            Json::Integer(number) => {
                self.wrong_kind(&join(place, name), member, "a string");
                number.to_string()
            }
            other => {
                self.wrong_kind(&join(place, name), other, "a string");
                return None;
            }
        };
        // Several senders write "" for what they do not know.
        if text.is_empty() {
            self.note(Rule::EmptyMember, &join(place, name), "it is empty");
            return None;
        }
        Some(text)
    }

    /// A word of a registry. What differs only in its case is meant.
    fn word<T: Copy>(
        &mut self,
        object: &Object,
        name: &str,
        place: &str,
        presence: Presence,
        (rule, find): Registry<T>,
    ) -> Option<Registered<T>> {
        let text = self.text(object, name, place, presence)?;
        if let Some(word) = find(&text) {
            return Some(Registered::Known(word));
        }
        let place = join(place, name);
        let meant = find(&text.to_ascii_lowercase().replace('_', "-"));
        if let Some(word) = meant {
            let text = format!("\"{}\" is not written as registered", excerpt(&text));
            self.note(rule, &place, text);
            return Some(Registered::Known(word));
        }
        let note = format!("\"{}\" is not registered", excerpt(&text));
        self.note(rule, &place, note);
        Some(Registered::Other(text))
    }

    /// The policy domain in lower-case A-labels; what is no name stays as it is.
    fn domain(&mut self, policy: &Object, place: &str, presence: Presence) -> Option<String> {
        let text = self.text(policy, "policy-domain", place, presence)?;
        let place = join(place, "policy-domain");
        let Ok(domain) = text.parse::<PolicyDomain>() else {
            let note = format!("\"{}\" is not a domain", excerpt(&text));
            self.note(Rule::DomainForm, &place, note);
            return Some(text);
        };
        // RFC 8460 s4.4: the domain in A-labels. Case does not matter in names.
        if !domain.as_str().eq_ignore_ascii_case(&text) {
            let note = format!("\"{}\" should be \"{domain}\"", excerpt(&text));
            self.note(Rule::DomainForm, &place, note);
        }
        Some(domain.to_string())
    }

    /// An array of strings, for which senders write a string too.
    fn lines(&mut self, object: &Object, name: &str, place: &str) -> Vec<String> {
        let Some(member) = self.member(object, name, place, Optional) else {
            return Vec::new();
        };
        let place = join(place, name);
        match member {
            Json::Array(elements) => {
                let mut lines = Vec::new();
                for (index, element) in elements.iter().enumerate() {
                    let place = format!("{place}[{index}]");
                    match element {
                        Json::Text(text) => lines.extend(self.line(text, &place)),
                        other => self.wrong_kind(&place, other, "a string"),
                    }
                }
                lines
            }
            Json::Text(text) if text.trim().is_empty() => {
                self.note(Rule::EmptyMember, &place, "it is empty");
                Vec::new()
            }
            // RFC 8460 s4.4 against the string of its Appendix B (erratum 6241); and s4 of it once had
            // "a string, separated by a semicolon".
            Json::Text(text) => {
                self.wrong_kind(&place, member, "an array of strings");
                let pieces = text.split(['\n', ';']).map(str::trim);
                let pieces = pieces.filter(|piece| !piece.is_empty());
                pieces.map(str::to_owned).collect()
            }
            other => {
                self.wrong_kind(&place, other, "an array of strings");
                Vec::new()
            }
        }
    }

    /// One string of an array, which may hold what should have been several.
    fn line(&mut self, text: &str, place: &str) -> Vec<String> {
        // Microsoft writes all TLSA records into one string, as a JSON text of its own.
        if text.starts_with('[')
            && let Ok(Json::Array(inner)) = Json::parse(text)
        {
            let strings = inner.into_iter().filter_map(|element| match element {
                Json::Text(text) => Some(text),
                _ => None,
            });
            self.note(Rule::MemberKind, place, "an array within a string");
            return strings.collect();
        }
        if text.trim_end().contains('\n') {
            self.note(Rule::MemberKind, place, "several lines in one string");
            return text.lines().map(str::to_owned).collect();
        }
        vec![text.to_owned()]
    }

    /// A number of sessions; none is none.
    fn count(&mut self, object: &Object, name: &str, place: &str, presence: Presence) -> u64 {
        let Some(member) = self.member(object, name, place, presence) else {
            return 0;
        };
        let place = join(place, name);
        let count = match member {
            Json::Integer(number) => *number,
            Json::Text(text) => {
                self.wrong_kind(&place, member, "an integer");
                text.trim().parse().unwrap_or(0)
            }
            // 3.0 is 3 in JSON; it is written as nobody writes it, and nobody is harmed.
            Json::Number(number) if number.fract() == 0.0 && *number >= 0.0 => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "it is whole and not negative, and a cast ends at the largest integer"
                )]
                let whole = *number as u64;
                whole
            }
            other => {
                self.wrong_kind(&place, other, "an integer from 0 on");
                0
            }
        };
        if count > INTEGER_MAX {
            let note = format!("{count} is more than many readers keep exactly");
            self.note(Rule::IntegerRange, &place, note);
        }
        count
    }

    fn address(&mut self, object: &Object, name: &str, place: &str) -> Option<IpAddr> {
        let text = self.text(object, name, place, Optional)?;
        let address: Option<IpAddr> = text.trim_matches(['[', ']']).parse().ok();
        if address.is_none() || text.starts_with('[') {
            let note = format!("\"{}\" is not an address", excerpt(&text));
            self.note(Rule::AddressForm, &join(place, name), note);
        }
        address
    }

    fn time(
        &mut self,
        range: &Object,
        name: &str,
        edge: Edge,
        presence: Presence,
    ) -> Option<Timestamp> {
        let member = self.member(range, name, "date-range", presence)?;
        let place = join("date-range", name);
        match time::read(member, edge) {
            Some((moment, wrong)) => {
                if let Some(wrong) = wrong {
                    self.note(Rule::TimeForm, &place, wrong);
                }
                Some(moment)
            }
            None => {
                let shown = match member {
                    Json::Text(text) => format!("\"{}\" is not a time", excerpt(text)),
                    other => format!("it is {}, not a time", other.kind()),
                };
                self.note(Rule::TimeForm, &place, shown);
                None
            }
        }
    }
}

/// A registry: the rule that asks for its words, and how they are found.
type Registry<T> = (Rule, fn(&str) -> Option<T>);

const POLICY_TYPES: Registry<PolicyType> = (Rule::PolicyTypeName, policy_type);

const RESULT_TYPES: Registry<ResultType> = (Rule::ResultTypeName, result_type);

fn policy_type(word: &str) -> Option<PolicyType> {
    PolicyType::ALL
        .into_iter()
        .find(|known| known.name() == word)
}

fn result_type(word: &str) -> Option<ResultType> {
    word.parse().ok()
}

fn join(place: &str, name: &str) -> String {
    if place.is_empty() {
        return name.to_owned();
    }
    format!("{place}.{name}")
}
