//! Where a domain's report goes: of what its record names, what is served. Pure.

use std::{collections::BTreeMap, fmt};

use super::{
    DeliveryState,
    destination_map::{MapAction, MapRule, TakenAway, mapped},
    suppression::Suppression,
};
use crate::{
    config::{Config, DestinationAction, DestinationConfig, DestinationOrder},
    policy::{Destination, PolicyDomain, ReportUri, RuaRecord},
};

/// What the operator set of where reports go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Which of a record's destinations get the report.
    pub order: Order,
    /// The ports that reports are posted to; empty: any.
    pub https_ports: Vec<u16>,
    /// How many reports of one day one destination host gets.
    pub per_host_per_day_max: usize,
    /// What is done otherwise with single destinations.
    pub map: Vec<MapRule>,
}

/// What has become of a day's reports so far.
#[expect(missing_debug_implementations, reason = "it holds a closure")]
pub struct SoFar<'a> {
    /// How the report stands with each destination.
    pub states: &'a BTreeMap<Destination, DeliveryState>,
    /// How many reports of the day, of all domains, a destination host gets.
    pub reports_to: &'a (dyn Fn(&str) -> usize + Sync),
    /// Why nothing is sent to a destination at this moment, if it is suppressed.
    pub suppressed: &'a (dyn Fn(&Destination) -> Option<Suppression> + Sync),
}

impl From<&Config> for Rules {
    /// The map's sections were judged before: what is none would be left out here.
    fn from(config: &Config) -> Self {
        let rule = |section: &DestinationConfig| {
            let to = section.to.iter().flat_map(|uri| Destination::read(uri));
            let to = to.flatten().collect();
            MapRule {
                policy_domain: section.policy_domain.parse().ok(),
                rua_domain: section.rua_domain.parse().ok(),
                action: match section.action {
                    DestinationAction::Accept => MapAction::Accept,
                    DestinationAction::Discard => MapAction::Discard,
                    DestinationAction::Replace => MapAction::Replace(to),
                    DestinationAction::Add => MapAction::Add(to),
                },
            }
        };
        Self {
            order: match config.deliver.destinations {
                DestinationOrder::MailFirst => Order::MailFirst,
                DestinationOrder::All => Order::All,
            },
            https_ports: config.deliver.https_ports.clone(),
            per_host_per_day_max: config.deliver.per_host_per_day_max,
            map: config.destination.iter().map(rule).collect(),
        }
    }
}

/// Which of a record's destinations get the report, where all of them could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Its mailboxes; `https:` destinations where it names no mailbox, or all of them were given up.
    // OURS: docs/decisions/0012-destinations.md. RFC 8460 s3 leaves it to the sender (A13). Mail is signed,
    // a POST is not (F22).
    MailFirst,
    /// Every one.
    All,
}

/// Where a report goes, and what of the record it does not go to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// The destinations, in the order of the record, with those that the operator's map puts there.
    pub destinations: Vec<Destination>,
    /// What is left out, each with its reason.
    pub left_out: Vec<LeftOut>,
}

/// A destination that gets no report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The destination.
    pub destination: Destination,
    /// Why it gets none.
    pub why: Why,
}

/// Why a destination gets no report.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// A `[[destination]]` section, counted from 1, discards it.
    Discarded(usize),
    /// A `[[destination]]` section, counted from 1, has others get the report instead.
    Replaced(usize, Vec<Destination>),
    /// Its port is none that the operator allows.
    Port(u16),
    /// Its host gets so many reports of the day already.
    HostFull(usize),
    /// A mailbox gets the report.
    MailFirst,
    /// It refused earlier reports, or the operator suppressed it.
    Suppressed(Box<Suppression>),
}

impl fmt::Display for LeftOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.destination, self.why)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discarded(section) => {
                write!(formatter, "discarded by [[destination]] section {section}")
            }
            Self::Replaced(section, instead) => {
                let words: Vec<String> = instead.iter().map(ToString::to_string).collect();
                let words = words.join(", ");
                write!(formatter, "replaced by {words} ([[destination]] section {section})")
            }
            Self::Port(port) => write!(formatter, "port {port} is not in deliver.https_ports"),
            Self::HostFull(max) => write!(
                formatter,
                "its host gets {max} reports of the day already (deliver.per_host_per_day_max)"
            ),
            Self::MailFirst => formatter.write_str(
                "only if no mailbox of the record takes the report (deliver.destinations is mail-first)",
            ),
            Self::Suppressed(suppression) => suppression.fmt(formatter),
        }
    }
}

/// Chooses for the report of a domain. `record` is `None` where it asks for none.
#[must_use]
pub fn choose(
    domain: &PolicyDomain,
    record: Option<&RuaRecord>,
    rules: &Rules,
    so_far: &SoFar<'_>,
) -> Chosen {
    let named = record.map_or(&[][..], |record| &record.destinations);
    let mapped = mapped(&rules.map, domain, named);
    let mut chosen = Chosen::default();
    for TakenAway {
        destination,
        section,
        instead,
    } in mapped.taken_away
    {
        let why = match instead.is_empty() {
            true => Why::Discarded(section),
            false => Why::Replaced(section, instead),
        };
        chosen.leave_out(destination, why);
    }
    for destination in mapped.destinations {
        match refused(&destination, rules, so_far) {
            None => chosen.destinations.push(destination),
            Some(why) => chosen.leave_out(destination, why),
        }
    }
    if rules.order == Order::MailFirst {
        chosen.keep_mail_first(so_far.states);
    }
    chosen
}

/// Whether another destination's turn may come where none is under way any more: every mailbox was given
/// up, and no `https:` destination was tried yet. Only the record can tell.
#[must_use]
pub fn may_fall_back(rules: &Rules, states: &BTreeMap<Destination, DeliveryState>) -> bool {
    rules.order == Order::MailFirst
        && !states.is_empty()
        && states
            .iter()
            .all(|(to, state)| is_mail(to) && state.is_given_up())
}

impl Chosen {
    fn leave_out(&mut self, destination: Destination, why: Why) {
        self.left_out.push(LeftOut { destination, why });
    }

    /// Leaves out the `https:` destinations whose turn has not come. What was begun is gone on with.
    fn keep_mail_first(&mut self, states: &BTreeMap<Destination, DeliveryState>) {
        let is_lost = |mailbox: &&Destination| {
            let state = states.get(*mailbox);
            state.is_some_and(DeliveryState::is_given_up)
        };
        let mut mailboxes = self.destinations.iter().filter(|to| is_mail(to));
        if mailboxes.all(|mailbox| is_lost(&mailbox)) {
            return;
        }
        let (kept, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.destinations)
            .into_iter()
            .partition(|to| is_mail(to) || states.contains_key(to));
        self.destinations = kept;
        for destination in later {
            self.leave_out(destination, Why::MailFirst);
        }
    }
}

const fn is_mail(destination: &Destination) -> bool {
    matches!(destination, Destination::Mail(_))
}

/// Why no report goes to a destination, whatever the others are.
fn refused(destination: &Destination, rules: &Rules, so_far: &SoFar<'_>) -> Option<Why> {
    if let Some(port) = refused_port(destination, rules) {
        return Some(Why::Port(port));
    }
    // F9, F18: a mailbox that is left out so counts as none, and `https:` gets its turn.
    if let Some(suppression) = (so_far.suppressed)(destination) {
        return Some(Why::Suppressed(Box::new(suppression)));
    }
    // RFC 8460 s7: anybody may name anybody, and a host must not be flooded with what it did not ask for
    // (G2). What was begun is gone on with.
    let max = rules.per_host_per_day_max;
    let is_full = || (so_far.reports_to)(&destination.host()) >= max;
    (!so_far.states.contains_key(destination) && is_full()).then_some(Why::HostFull(max))
}

/// The port of an `https:` destination, if no report may go there.
// OURS (G1): whoever publishes a rua chooses the port of a host that need not be theirs.
fn refused_port(destination: &Destination, rules: &Rules) -> Option<u16> {
    let Destination::Https(uri) = destination else {
        return None;
    };
    let port = ReportUri::read(uri).ok()?.port;
    let allowed = rules.https_ports.is_empty() || rules.https_ports.contains(&port);
    (!allowed).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, deliver::Step};

    const AT: Timestamp = Timestamp(1);

    /// Chooses for a domain, with hosts that got nothing else of the day.
    fn choose_first(
        record: Option<&RuaRecord>,
        rules: &Rules,
        states: &BTreeMap<Destination, DeliveryState>,
    ) -> Chosen {
        let so_far = SoFar {
            states,
            reports_to: &|_| 0,
            suppressed: &|_| None,
        };
        choose(&domain(), record, rules, &so_far)
    }

    fn domain() -> PolicyDomain {
        "a.example".parse().unwrap()
    }

    fn record(uris: &[&str]) -> RuaRecord {
        RuaRecord {
            destinations: uris
                .iter()
                .flat_map(|uri| Destination::read(uri).unwrap())
                .collect(),
            skipped: Vec::new(),
        }
    }

    fn rules(order: Order) -> Rules {
        Rules {
            order,
            https_ports: vec![443],
            per_host_per_day_max: 10,
            map: Vec::new(),
        }
    }

    fn states(of: &[(&str, Step)]) -> BTreeMap<Destination, DeliveryState> {
        let state = |(uri, step): &(&str, Step)| {
            let destination = Destination::read(uri).unwrap().remove(0);
            let state = DeliveryState {
                report_id: "id@x".to_owned(),
                attempts: 1,
                first_attempt_at: Some(AT),
                step: step.clone(),
            };
            (destination, state)
        };
        of.iter().map(state).collect()
    }

    fn gone() -> Step {
        Step::GivenUp {
            at: AT,
            reason: String::new(),
        }
    }

    fn shown(chosen: &Chosen) -> Vec<String> {
        let words = chosen.destinations.iter().map(ToString::to_string);
        words.collect()
    }

    const BOTH: [&str; 3] = [
        "https://x.example/r",
        "mailto:a@x.example",
        "mailto:b@x.example",
    ];
    const MAIL: [&str; 2] = ["mailto:a@x.example", "mailto:b@x.example"];

    #[test]
    fn a13_f22_mailboxes_come_first_and_https_when_all_of_them_are_lost() {
        let retry = Step::RetryAt {
            at: AT,
            reason: String::new(),
        };
        let [web, a, b] = BOTH;
        for (name, uris, so_far, expected) in [
            ("nothing begun", &BOTH[..], &[][..], &MAIL[..]),
            ("no mailbox", &[web], &[], &[web]),
            ("one is lost", &BOTH, &[(a, gone())], &MAIL),
            (
                "one is lost, one waits",
                &BOTH,
                &[(a, gone()), (b, retry)],
                &MAIL,
            ),
            (
                "one is lost, one has it",
                &BOTH,
                &[(a, gone()), (b, Step::Sent(AT))],
                &MAIL,
            ),
            ("all are lost", &BOTH, &[(a, gone()), (b, gone())], &BOTH),
            (
                "the one that is still named is lost",
                &[web, b],
                &[(a, Step::Sent(AT)), (b, gone())],
                &[web, b],
            ),
            (
                "https was begun, and the operator has a mailbox tried again",
                &BOTH,
                &[(web, Step::Sent(AT)), (a, Step::Due(AT)), (b, gone())],
                &BOTH,
            ),
        ] {
            let record = record(uris);
            let chosen = choose_first(Some(&record), &rules(Order::MailFirst), &states(so_far));
            assert_eq!(shown(&chosen), expected, "{name}");
            let left_out = uris.len() - expected.len();
            assert_eq!(chosen.left_out.len(), left_out, "{name}");
            assert!(chosen.left_out.iter().all(|one| one.why == Why::MailFirst));
            let all = choose_first(Some(&record), &rules(Order::All), &states(so_far));
            assert_eq!(shown(&all), uris, "{name}");
        }
        assert_eq!(
            choose_first(None, &rules(Order::All), &BTreeMap::new()),
            Chosen::default()
        );
    }

    #[test]
    fn a13_only_lost_mailboxes_leave_a_turn_to_https() {
        let [web, a, b] = BOTH;
        for (so_far, expected) in [
            (&[][..], false),
            (&[(a, gone())], true),
            (&[(a, gone()), (b, Step::Due(AT))], false),
            (&[(a, gone()), (b, Step::Sent(AT))], false),
            (&[(a, gone()), (web, gone())], false),
        ] {
            let so_far = states(so_far);
            assert_eq!(may_fall_back(&rules(Order::MailFirst), &so_far), expected);
            assert!(!may_fall_back(&rules(Order::All), &so_far));
        }
    }

    #[test]
    fn g1_only_ports_that_the_operator_allows_are_gone_to() {
        for (uri, ports, expected) in [
            ("https://x.example/", &[443][..], None),
            ("https://x.example:443/", &[443], None),
            ("https://x.example:8443/", &[443], Some(8_443)),
            ("https://x.example:8443/", &[443, 8_443], None),
            ("https://x.example:25/", &[443, 8_443], Some(25)),
            ("https://x.example:25/", &[], None),
            ("mailto:a@x.example", &[443], None),
        ] {
            let rules = Rules {
                https_ports: ports.to_vec(),
                ..rules(Order::MailFirst)
            };
            let chosen = choose_first(Some(&record(&[uri])), &rules, &BTreeMap::new());
            let why = chosen.left_out.first().map(|one| one.why.clone());
            assert_eq!(why, expected.map(Why::Port), "{uri} {ports:?}");
            assert_eq!(chosen.destinations.is_empty(), expected.is_some(), "{uri}");
        }
    }

    #[test]
    fn the_operators_map_comes_before_the_order_and_says_what_it_did() {
        let mut config = Config::default();
        let section = |rua_domain: &str, action, to: &[&str]| DestinationConfig {
            policy_domain: String::new(),
            rua_domain: rua_domain.to_owned(),
            action,
            to: to.iter().map(ToString::to_string).collect(),
        };
        config.destination = vec![
            section("dead.example", DestinationAction::Discard, &[]),
            section(
                "old.example",
                DestinationAction::Replace,
                &["https://new.example/r"],
            ),
        ];
        let rules = Rules::from(&config);
        let record = record(&["mailto:a@dead.example", "mailto:b@old.example"]);
        let chosen = choose_first(Some(&record), &rules, &BTreeMap::new());
        assert_eq!(shown(&chosen), ["https://new.example/r"]);
        let left_out = chosen.left_out.iter().map(ToString::to_string);
        assert_eq!(
            left_out.collect::<Vec<_>>(),
            [
                "mailto:a@dead.example: discarded by [[destination]] section 1",
                "mailto:b@old.example: replaced by https://new.example/r ([[destination]] section 2)",
            ]
        );
        assert_eq!(
            choose_first(None, &rules, &BTreeMap::new()),
            Chosen::default(),
            "nobody gets a report that was not asked for"
        );
    }

    #[test]
    fn g2_a_host_gets_so_many_reports_of_a_day_and_what_was_begun_is_gone_on_with() {
        let record = record(&["mailto:a@victim.example", "mailto:b@x.example"]);
        let begun = states(&[("mailto:a@victim.example", Step::Due(AT))]);
        for (reports, so_far, expected) in [
            (9, BTreeMap::new(), None),
            (10, BTreeMap::new(), Some(Why::HostFull(10))),
            (10, begun, None),
        ] {
            let so_far = SoFar {
                states: &so_far,
                reports_to: &|host| if host == "victim.example" { reports } else { 0 },
                suppressed: &|_| None,
            };
            let chosen = choose(&domain(), Some(&record), &rules(Order::MailFirst), &so_far);
            let why = chosen.left_out.first().map(|one| one.why.clone());
            assert_eq!(why, expected, "{reports}");
            let last = chosen.destinations.last().map(ToString::to_string);
            assert_eq!(last.as_deref(), Some("mailto:b@x.example"));
        }
    }
}
