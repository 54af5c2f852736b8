//! The JSON of a report (RFC 8460 s4.4), whoever wrote it.

use std::borrow::Cow;

use sealpost_plugin_api::ResultType;

use super::{
    ReadError, ReceivedDetail, ReceivedPolicy, ReceivedReport,
    finding::{Findings, Rule},
    members::{
        Presence::{Needed, Optional},
        Reader, Registry, join,
    },
    time::Edge,
    tree::{Json, Object},
    unpack::BYTE_ORDER_MARK,
};
use crate::policy::PolicyType;

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
    // What has none of these could be anything.
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
}

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
