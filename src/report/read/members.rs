//! Members of a report's objects, read as they were meant, with what is wrong with them.

use std::{collections::BTreeSet, net::IpAddr};

use super::{
    Registered,
    finding::{Findings, Rule},
    time::{self, Edge},
    tree::{Json, Object},
};
use crate::{clock::Timestamp, observe::printable::excerpt, policy::PolicyDomain};

/// The largest integer that every reader keeps exactly (RFC 7493 s2.2).
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Must a member be there?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Needed,
    Optional,
}

use Presence::{Needed, Optional};

/// A registry: the rule that asks for its words, and how they are found.
pub(super) type Registry<T> = (Rule, fn(&str) -> Option<T>);

/// Reads members and notes what is wrong with them.
pub(super) struct Reader<'a> {
    pub(super) findings: &'a mut Findings,
}

impl Reader<'_> {
    pub(super) fn note(&mut self, rule: Rule, place: &str, text: impl Into<String>) {
        self.findings.add(rule, place, text);
    }

    // RFC 7493 s2.3: no name stands twice in one object.
    pub(super) fn twice(&mut self, object: &Object, place: &str) {
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
    pub(super) fn member<'j>(
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

    pub(super) fn wrong_kind(&mut self, place: &str, seen: &Json, expected: &str) {
        let text = format!("it is {}, not {expected}", seen.kind());
        self.note(Rule::MemberKind, place, text);
    }

    pub(super) fn object<'j>(
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
    pub(super) fn objects<'j>(
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

    pub(super) fn text(
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
    pub(super) fn word<T: Copy>(
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
    pub(super) fn domain(
        &mut self,
        policy: &Object,
        place: &str,
        presence: Presence,
    ) -> Option<String> {
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
    pub(super) fn lines(&mut self, object: &Object, name: &str, place: &str) -> Vec<String> {
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
    pub(super) fn line(&mut self, text: &str, place: &str) -> Vec<String> {
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
    pub(super) fn count(
        &mut self,
        object: &Object,
        name: &str,
        place: &str,
        presence: Presence,
    ) -> u64 {
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

    pub(super) fn address(&mut self, object: &Object, name: &str, place: &str) -> Option<IpAddr> {
        let text = self.text(object, name, place, Optional)?;
        let address: Option<IpAddr> = text.trim_matches(['[', ']']).parse().ok();
        if address.is_none() || text.starts_with('[') {
            let note = format!("\"{}\" is not an address", excerpt(&text));
            self.note(Rule::AddressForm, &join(place, name), note);
        }
        address
    }

    pub(super) fn time(
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

pub(super) fn join(place: &str, name: &str) -> String {
    if place.is_empty() {
        return name.to_owned();
    }
    format!("{place}.{name}")
}
