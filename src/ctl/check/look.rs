//! What would happen to mail to a domain now, and why: everything is looked up and judged as for a
//! delivery, and nothing is changed, kept or counted.
//!
//! The daemon does it with what it keeps; the command does it alone where no daemon runs.

use std::{collections::BTreeMap, sync::Arc};

use sealpost_plugin_api::ResultType;

use super::{
    dane::dane_state,
    live::Look,
    turns::{Turns, side_by_side},
    verdict::{judge, judge_nameless, outcome, plugin_socket, socketmap},
};
use crate::{
    clock::{BoxFuture, Timestamp},
    config::{Config, Override, OverrideScope},
    ctl::wire::{
        CheckResult, DocumentFault, DocumentFinding, Finding, MxFinding, MxVerdict, OverrideView,
        PolicyView, RecordFinding, RuaFinding,
    },
    deliver::{
        destinations::{self, Rules, SoFar},
        suppression::Suppression,
    },
    doors::socketmap_reply::DaneOnly,
    engine::dane::DaneSource,
    hook::joint::{self, DaneSettings, decide_domain},
    hook::overrides::{CommandOverride, holds},
    net::{
        dns::{Answer, Dns, DnsError, Mx},
        https::PolicyHost,
        validation::By,
    },
    policy::{
        Announcement, Destination, FetchTrouble, Intervals, KeptPolicy, Known, MxHost, Occasion,
        PolicyDomain, RuaDiscovery, Standing, StsDiscovery, StsPolicy, dane::DomainDane,
    },
};

/// What a check works with.
#[expect(
    missing_debug_implementations,
    reason = "resolver and policy host are trait objects without one"
)]
pub struct Means<'a> {
    /// The resolver.
    pub dns: &'a dyn Dns,
    /// Where documents are fetched.
    pub policy_host: &'a dyn PolicyHost,
    /// The settings.
    pub config: &'a Config,
    /// What is done otherwise for single domains.
    pub overrides: &'a [Override],
    /// What was set by command for the domain and holds; nobody knows without the daemon.
    pub commanded: Option<CommandOverride>,
    /// The time.
    pub now: Timestamp,
    /// The policy that is kept for the domain.
    pub kept: Option<KeptPolicy>,
    /// Why the last fetch failed.
    pub trouble: Option<FetchTrouble>,
    /// What signed DNS says.
    pub dane: &'a dyn DaneSource,
    /// Who validates it, or why nobody does.
    pub validation: Result<By, String>,
    /// Whether Postfix may be told that a domain goes by DANE alone.
    pub dane_only: DaneOnly,
    /// Which destinations are suppressed.
    pub suppressed: &'a (dyn Fn(&Destination) -> Option<Suppression> + Sync),
    /// What looks at mail hosts, where that is wished for.
    pub look: Option<Look<'a>>,
}

/// More MX hosts than this are not judged.
const HOSTS_MAX: usize = 64;

/// More TXT records than this are not shown.
const TEXTS_MAX: usize = 16;

/// Longer TXT records than this are cut where they are shown.
const TEXT_CHARACTERS_MAX: usize = 1_024;

/// Of a document that is no policy no more lines are shown, and no longer ones: it may be anything.
const LINES_MAX: usize = 100;
const LINE_CHARACTERS_MAX: usize = 200;

/// Looks up what a domain publishes and says what would happen to mail to it.
pub async fn check(domain: &PolicyDomain, means: &Means<'_>) -> CheckResult {
    let (record, announcement) = record(domain, means).await;
    let fetched = match &announcement {
        Announcement::Id(id) => Some(fetch(domain, id, means).await),
        // RFC 8461 s3.3: without a record nothing is fetched for a delivery.
        Announcement::Nothing | Announcement::Unknown => None,
    };
    let standing = standing(domain, announcement.clone(), fetched.as_ref(), means);
    let today = means.now.day();
    let in_file = |scope: &OverrideScope| {
        let mut of_scope = means.overrides.iter().filter(|each| each.scope == *scope);
        let found = of_scope.find(|each| holds(each.until, today))?;
        Some((found.mode, OverrideView::of(found, means.config, today)))
    };
    let by_command =
        |set: &CommandOverride| (set.mode, OverrideView::of_command(set, today, false));
    // In the order of `hook::overrides::Overrides`.
    let (mode, overridden) = in_file(&OverrideScope::Domain(domain.clone()))
        .or_else(|| means.commanded.as_ref().map(by_command))
        .or_else(|| in_file(&OverrideScope::EveryOther))
        .unzip();
    let (dane, named) = tokio::join!(means.dane.domain(domain), mx_hosts(domain, means));
    let known = joint::Known {
        standing: &standing,
        overridden: mode,
        settings: DaneSettings::from(&means.config.dane),
    };
    let mx = judged(domain, named, &known, &dane, means).await;
    let decision = decide_domain(&known, &dane);
    let rua = rua(domain, means).await;
    CheckResult {
        domain: domain.to_string(),
        at: means.now.to_string(),
        overridden,
        outcome: outcome(&announcement, &standing, &decision.requirement, &mx, &rua),
        dane: dane_state(&dane, &means.validation),
        document: document(domain, fetched),
        plugin_socket: Some(plugin_socket(&known, decision.requirement.clone(), None)),
        history: None,
        kept: means
            .kept
            .as_ref()
            .map(|kept| PolicyView::of(domain, kept, means.trouble.as_ref(), means.now)),
        socketmap: socketmap(&known, decision.requirement, dane, means.dane_only),
        record,
        mx,
        rua,
    }
}

async fn record(domain: &PolicyDomain, means: &Means<'_>) -> (RecordFinding, Announcement) {
    // RFC 8461 s3.1 and s3.4: at the policy domain itself, never at a parent.
    let name = format!("_mta-sts.{domain}");
    let answer = records(means.dns.txt(&name).await);
    let texts = answer.as_deref().map(shown_texts).unwrap_or_default();
    let found = |state, id, reason| RecordFinding {
        name: name.clone(),
        state,
        texts: texts.clone(),
        id,
        reason,
    };
    match answer.map(|records| StsDiscovery::read(&records)) {
        Ok(StsDiscovery::Found(record)) => (
            found(Finding::Valid, Some(record.id.clone()), None),
            Announcement::Id(record.id),
        ),
        Ok(StsDiscovery::Absent) => (found(Finding::Absent, None, None), Announcement::Nothing),
        Ok(StsDiscovery::Invalid(error)) => (
            found(Finding::Invalid, None, Some(error.to_string())),
            Announcement::Nothing,
        ),
        Err(error) => (
            found(Finding::Failed, None, Some(error.to_string())),
            Announcement::Unknown,
        ),
    }
}

/// The TXT records; a name too long to be asked for has none.
fn records(answer: Result<Answer<Vec<u8>>, DnsError>) -> Result<Vec<Vec<u8>>, DnsError> {
    match answer {
        Ok(answer) => Ok(answer.values),
        Err(DnsError::BadName { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn shown_texts(records: &[Vec<u8>]) -> Vec<String> {
    let texts = records.iter().take(TEXTS_MAX).map(|record| {
        String::from_utf8_lossy(record)
            .chars()
            .take(TEXT_CHARACTERS_MAX)
            .collect()
    });
    texts.collect()
}

/// What a fetch brings: the policy, or why there is none.
type Fetched = Result<StsPolicy, Unfetched>;

/// Why there is no policy.
struct Unfetched {
    trouble: FetchTrouble,
    /// The same in words.
    words: String,
    /// The document, where there is one.
    document: Option<Vec<u8>>,
}

async fn fetch(domain: &PolicyDomain, id: &str, means: &Means<'_>) -> Fetched {
    let unfetched = |result: ResultType, reason: String, words: String| Unfetched {
        trouble: FetchTrouble {
            result,
            reason,
            id: id.to_owned(),
            at: means.now,
        },
        words,
        document: None,
    };
    let document = means.policy_host.fetch(domain).await;
    let document = document
        .map_err(|error| unfetched(error.result(), error.reason_code(), error.to_string()))?;
    StsPolicy::parse(&document).map_err(|error| {
        let reason = error.reason_code().to_owned();
        Unfetched {
            document: Some(document),
            ..unfetched(ResultType::StsPolicyInvalid, reason, error.to_string())
        }
    })
}

fn document(domain: &PolicyDomain, fetched: Option<Fetched>) -> DocumentFinding {
    let nothing = DocumentFinding {
        url: format!("https://mta-sts.{domain}/.well-known/mta-sts.txt"),
        state: Finding::NotAsked,
        mode: None,
        max_age_seconds: None,
        mx: Vec::new(),
        lines: Vec::new(),
        faults: Vec::new(),
        result_type: None,
        reason: None,
    };
    match fetched {
        None => nothing,
        Some(Ok(policy)) => DocumentFinding {
            state: Finding::Valid,
            mode: Some(policy.mode.name().to_owned()),
            max_age_seconds: Some(policy.max_age_seconds),
            mx: policy.mx.iter().map(ToString::to_string).collect(),
            lines: policy.lines,
            ..nothing
        },
        Some(Err(unfetched)) => {
            let result = unfetched.trouble.result;
            let document = unfetched.document.unwrap_or_default();
            DocumentFinding {
                state: if result == ResultType::StsPolicyInvalid {
                    Finding::Invalid
                } else {
                    Finding::Failed
                },
                lines: String::from_utf8_lossy(&document)
                    .lines()
                    .take(LINES_MAX)
                    .map(|line| line.chars().take(LINE_CHARACTERS_MAX).collect())
                    .collect(),
                faults: faults(&document),
                result_type: Some(result.name().to_owned()),
                reason: Some(unfetched.words),
                ..nothing
            }
        }
    }
}

/// What is wrong with a document, line by line; nothing with one that was not had.
fn faults(document: &[u8]) -> Vec<DocumentFault> {
    if document.is_empty() {
        return Vec::new();
    }
    let faults = StsPolicy::faults(document).into_iter();
    let in_words = faults.map(|fault| {
        let (line, text) = (fault.line(), fault.to_string());
        let place = line.map(|line| format!("line {line}: "));
        let bare = place.and_then(|place| text.strip_prefix(&place).map(str::to_owned));
        DocumentFault {
            line,
            text: bare.unwrap_or(text),
        }
    });
    in_words.collect()
}

/// How the domain would stand for a delivery now: by the rules that the keeper goes by.
fn standing(
    domain: &PolicyDomain,
    announcement: Announcement,
    fetched: Option<&Fetched>,
    means: &Means<'_>,
) -> Standing {
    let settings = &means.config.policy;
    let intervals = Intervals {
        fetch_retry_seconds: settings.fetch_retry_seconds,
        refresh_seconds: settings.refresh_seconds,
        record_seconds_max: settings.record_seconds_max,
    };
    let mut known = Known {
        announcement,
        kept: means.kept.clone().map(Arc::new),
        trouble: means.trouble.clone(),
    };
    let due = known.fetch_due(Occasion::Delivery, means.now, intervals);
    if let (Some(id), Some(fetched)) = (due.map(ToOwned::to_owned), fetched) {
        match fetched {
            Ok(policy) => {
                known.kept = Some(Arc::new(KeptPolicy {
                    policy: policy.clone(),
                    id,
                    fetched_at: means.now,
                    tried_at: means.now,
                }));
                known.trouble = None;
            }
            Err(unfetched) => known.trouble = Some(unfetched.trouble.clone()),
        }
    }
    Standing::new(domain.clone(), known.standing(means.now))
}

/// The MX hosts as the DNS names them, best first, and what there is to say of them.
struct Named {
    state: Finding,
    reason: Option<String>,
    hosts: Vec<(Option<u16>, Exchange)>,
}

/// A host, or the text of what is none with the reason.
type Exchange = Result<MxHost, (String, String)>;

async fn mx_hosts(domain: &PolicyDomain, means: &Means<'_>) -> Named {
    let none = |state, reason: String| Named {
        state,
        reason: Some(reason),
        hosts: Vec::new(),
    };
    let records = match means.dns.mx(domain.as_str()).await {
        Ok(answer) => answer.values,
        Err(error) => return none(Finding::Failed, error.to_string()),
    };
    if records.is_empty() {
        return implicit_mx(domain, means).await;
    }
    // RFC 7505 s3: a single MX without a name.
    if records.iter().all(|record| record.exchange.is_empty()) {
        return none(
            Finding::Absent,
            "the domain says that it takes no mail (null MX)".to_owned(),
        );
    }
    let left_out = records.len().saturating_sub(HOSTS_MAX);
    let hosts = records.iter().take(HOSTS_MAX).map(exchange);
    Named {
        state: Finding::Valid,
        hosts: hosts.collect(),
        reason: (left_out > 0).then(|| format!("{left_out} more are not shown")),
    }
}

fn exchange(record: &Mx) -> (Option<u16>, Exchange) {
    let host = record.exchange.parse::<MxHost>();
    let host = host.map_err(|error| (record.exchange.clone(), error.to_string()));
    (Some(record.preference), host)
}

/// RFC 5321 s5.1: a domain without MX records is its own MX, if it has an address.
async fn implicit_mx(domain: &PolicyDomain, means: &Means<'_>) -> Named {
    let (state, reason, hosts) = match means.dns.addresses(domain.as_str()).await {
        Ok(answer) if answer.values.is_empty() => (
            Finding::Absent,
            "the domain has neither MX records nor an address".to_owned(),
            Vec::new(),
        ),
        Ok(_) => (
            Finding::Absent,
            "no MX records: the domain is its own MX host".to_owned(),
            vec![(None, Ok(MxHost::from(domain)))],
        ),
        Err(error) => (Finding::Failed, error.to_string(), Vec::new()),
    };
    Named {
        state,
        reason: Some(reason),
        hosts,
    }
}

/// Judges each of the hosts.
async fn judged(
    domain: &PolicyDomain,
    named: Named,
    known: &joint::Known<'_>,
    dane: &DomainDane,
    means: &Means<'_>,
) -> MxFinding {
    let turns = Turns::begin(means.config.probe.concurrent_max);
    let hosts = named.hosts.into_iter().map(|(preference, host)| {
        let turns = &turns;
        let judged: BoxFuture<'_, MxVerdict> = Box::pin(async move {
            let host = match host {
                Ok(host) => host,
                Err((text, reason)) => return judge_nameless(known, preference, &text, reason),
            };
            let said = match dane.host(&host) {
                Some(said) => Arc::new(said.clone()),
                None => means.dane.host(domain, &host, None).await,
            };
            let live = match &means.look {
                Some(look) => Some(turns.look(look, &host, &said, means.now).await),
                None => None,
            };
            MxVerdict {
                live,
                ..judge(known, preference, &host, &said)
            }
        });
        judged
    });
    MxFinding {
        state: named.state,
        reason: named.reason,
        hosts: side_by_side(hosts.collect()).await,
    }
}

async fn rua(domain: &PolicyDomain, means: &Means<'_>) -> RuaFinding {
    // RFC 8460 s3: at the policy domain itself, never at a parent.
    let name = format!("_smtp._tls.{domain}");
    let answer = records(means.dns.txt(&name).await);
    let nothing = RuaFinding {
        name,
        state: Finding::Absent,
        texts: answer.as_deref().map(shown_texts).unwrap_or_default(),
        destinations: Vec::new(),
        skipped: Vec::new(),
        reason: None,
    };
    match answer.map(|records| RuaDiscovery::read(&records)) {
        Ok(RuaDiscovery::Absent) => nothing,
        Ok(RuaDiscovery::Invalid(error)) => RuaFinding {
            state: Finding::Invalid,
            reason: Some(error.to_string()),
            ..nothing
        },
        Ok(RuaDiscovery::Found(record)) => {
            // Before a report is under way: what a lost mailbox changes, `report list` shows.
            let rules = Rules::from(means.config);
            let nothing_yet = SoFar {
                states: &BTreeMap::new(),
                reports_to: &|_| 0,
                suppressed: means.suppressed,
            };
            let chosen = destinations::choose(domain, Some(&record), &rules, &nothing_yet);
            let left_out = chosen.left_out.iter().map(ToString::to_string);
            let words = |destinations: &[Destination]| {
                destinations.iter().map(ToString::to_string).collect()
            };
            RuaFinding {
                state: Finding::Valid,
                destinations: words(&chosen.destinations),
                skipped: record.skipped.into_iter().chain(left_out).collect(),
                ..nothing
            }
        }
        Err(error) => RuaFinding {
            state: Finding::Failed,
            reason: Some(error.to_string()),
            ..nothing
        },
    }
}

#[cfg(test)]
mod tests;
