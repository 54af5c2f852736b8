//! The values of the store as bytes. Each begins with the number of its form, so that a later
//! release can read what an earlier one wrote; `docs/store-format.md` describes them.

use sealpost_plugin_api::ResultType;

use super::{
    Counted, FailureRecord, TallyKey, key,
    key::Kind,
    octets::{Reader, Unreadable, Writer},
};
use crate::{
    clock::{Timestamp, UtcDay},
    config::OverrideMode,
    deliver::{
        DeliveryKey, DeliveryState, Step,
        suppression::{How, Refusal, SetBy, Suppression},
    },
    hook::overrides::{CommandOverride, EndedOverride},
    observe::audit::{AuditEntry, AuditKind},
    policy::{
        AppliedPolicy, Destination, Fingerprint, KeptPolicy, Mode, MxPattern, PolicyDomain,
        PolicyType, StsPolicy,
    },
    record::{Failure, Source},
};

/// What is said of a tally that cannot be read.
pub(crate) const NO_TALLY: Unreadable = Unreadable("a tally");

/// The value of a tally: its total and, for a detail, the detail.
pub(crate) fn write_tally(key: &TallyKey, total: u64) -> Vec<u8> {
    let mut out = Writer::new();
    out.number(total);
    if let Counted::Detail(failure) = &key.counted {
        out.failure(failure);
    }
    out.finish()
}

/// Reads a tally from its key and value.
pub(crate) fn read_tally(key: &[u8], value: &[u8]) -> Result<(TallyKey, u64), Unreadable> {
    let name = key::read_tally(key).ok_or(NO_TALLY)?;
    let mut from = Reader::new(value, NO_TALLY)?;
    let total = from.number()?;
    let counted = match name.kind {
        Kind::Successes => Counted::Successes,
        Kind::Failures => Counted::Failures,
        Kind::Detail => Counted::Detail(from.failure()?),
        Kind::Protected(protection) => Counted::Protected(protection),
    };
    from.end()?;
    let key = TallyKey {
        day: name.day,
        domain: name.domain,
        policy: name.policy,
        counted,
    };
    Ok((key, total))
}

/// Reads the total alone.
pub(crate) fn read_total(value: &[u8]) -> Result<u64, Unreadable> {
    Reader::new(value, NO_TALLY)?.number()
}

/// The value of a failure kept singly. Day and domain stand in its key.
pub(crate) fn write_failure(record: &FailureRecord) -> Vec<u8> {
    let mut out = Writer::new();
    out.time(record.at);
    out.octets(&record.policy.0);
    out.octet(match record.source {
        Source::Mta => 1,
        Source::Policy => 2,
        Source::Probe => 3,
    });
    out.failure(&record.failure);
    out.finish()
}

/// Reads a failure kept singly from its key and value.
pub(crate) fn read_failure(key: &[u8], value: &[u8]) -> Result<FailureRecord, Unreadable> {
    const WHAT: Unreadable = Unreadable("a single failure");
    let domain = key::domain_of(key).ok_or(WHAT)?;
    let mut from = Reader::new(value, WHAT)?;
    let record = FailureRecord {
        at: from.time()?,
        domain,
        policy: Fingerprint(*from.array()?),
        source: match from.octet()? {
            1 => Source::Mta,
            2 => Source::Policy,
            3 => Source::Probe,
            _ => return Err(WHAT),
        },
        failure: from.failure()?,
    };
    from.end()?;
    Ok(record)
}

/// The value of an applied policy.
pub(crate) fn write_applied(policy: &AppliedPolicy) -> Vec<u8> {
    let mut out = Writer::new();
    out.text(policy.policy_type.name());
    out.text(policy.policy_domain.as_str());
    out.texts(&policy.policy_string);
    out.texts(&policy.mx_host);
    out.finish()
}

/// Reads an applied policy.
pub(crate) fn read_applied(value: &[u8]) -> Result<AppliedPolicy, Unreadable> {
    const WHAT: Unreadable = Unreadable("an applied policy");
    let mut from = Reader::new(value, WHAT)?;
    let name = from.text()?;
    let policy = AppliedPolicy {
        policy_type: PolicyType::ALL
            .into_iter()
            .find(|policy_type| policy_type.name() == name)
            .ok_or(WHAT)?,
        policy_domain: from.text()?.parse().map_err(|_| WHAT)?,
        policy_string: from.texts()?,
        mx_host: from.texts()?,
    };
    from.end()?;
    Ok(policy)
}

/// The TLSA base domain of an applied policy, if it is TLSA records; the rest of it is not read.
pub(crate) fn tlsa_base(value: &[u8]) -> Option<PolicyDomain> {
    let mut from = Reader::new(value, Unreadable("an applied policy")).ok()?;
    let policy_type = from.text().ok()?;
    let base = from.text().ok()?;
    (policy_type == PolicyType::Tlsa.name())
        .then(|| base.parse().ok())
        .flatten()
}

/// The value of a kept MTA-STS policy: id, times and document as one (B33).
pub(crate) fn write_kept(kept: &KeptPolicy) -> Vec<u8> {
    let mut out = Writer::new();
    out.text(kept.policy.mode.name());
    out.number(u64::from(kept.policy.max_age_seconds));
    out.length(kept.policy.mx.len());
    for pattern in &kept.policy.mx {
        out.octet(u8::from(pattern.wildcard));
        out.text(pattern.name.as_str());
    }
    out.texts(&kept.policy.lines);
    out.text(&kept.id);
    out.time(kept.fetched_at);
    out.time(kept.tried_at);
    out.finish()
}

/// Reads a kept MTA-STS policy.
pub(crate) fn read_kept(value: &[u8]) -> Result<KeptPolicy, Unreadable> {
    const WHAT: Unreadable = Unreadable("a kept policy");
    let mut from = Reader::new(value, WHAT)?;
    let word = from.text()?;
    let mode = [Mode::Enforce, Mode::Testing, Mode::None]
        .into_iter()
        .find(|mode| mode.name() == word)
        .ok_or(WHAT)?;
    let max_age_seconds = u32::try_from(from.number()?).map_err(|_| WHAT)?;
    let count = from.length()?;
    let mut mx = Vec::new();
    for _ in 0..count {
        mx.push(MxPattern {
            wildcard: match from.octet()? {
                0 => false,
                1 => true,
                _ => return Err(WHAT),
            },
            name: from.text()?.parse().map_err(|_| WHAT)?,
        });
    }
    let kept = KeptPolicy {
        policy: StsPolicy {
            mode,
            max_age_seconds,
            mx,
            lines: from.texts()?,
        },
        id: from.text()?.to_owned(),
        fetched_at: from.time()?,
        tried_at: from.time()?,
    };
    from.end()?;
    Ok(kept)
}

/// The value of a delivery: its destination in full, and how it stands.
pub(crate) fn write_delivery(key: &DeliveryKey, state: &DeliveryState) -> Vec<u8> {
    let mut out = Writer::new();
    out.destination(&key.destination);
    out.text(&state.report_id);
    out.number(u64::from(state.attempts));
    out.time_or_none(state.first_attempt_at);
    let (step, at, reason) = match &state.step {
        Step::Due(at) => (1, *at, ""),
        Step::Sending(at) => (2, *at, ""),
        Step::Sent(at) => (3, *at, ""),
        Step::RetryAt { at, reason } => (4, *at, reason.as_str()),
        Step::GivenUp { at, reason } => (5, *at, reason.as_str()),
    };
    out.octet(step);
    out.time(at);
    out.text(reason);
    out.finish()
}

/// Reads a delivery from its key and value.
pub(crate) fn read_delivery(
    key: &[u8],
    value: &[u8],
) -> Result<(DeliveryKey, DeliveryState), Unreadable> {
    const WHAT: Unreadable = Unreadable("a delivery");
    let (day, domain) = key::day_of(key).zip(key::domain_of(key)).ok_or(WHAT)?;
    let mut from = Reader::new(value, WHAT)?;
    let key = DeliveryKey {
        day,
        domain,
        destination: from.destination()?,
    };
    let report_id = from.text()?.to_owned();
    let attempts = u32::try_from(from.number()?).map_err(|_| WHAT)?;
    let state = DeliveryState {
        report_id,
        attempts,
        first_attempt_at: from.time_or_none()?,
        step: from.step()?,
    };
    from.end()?;
    Ok((key, state))
}

/// The value of an entry of the audit log, behind the digest of the one before.
pub(crate) fn write_audit(before: &[u8; 32], entry: &AuditEntry) -> Vec<u8> {
    let mut out = Writer::new();
    out.octets(before);
    out.time(entry.at);
    out.text(entry.kind.name());
    out.text_or_none(entry.domain.as_ref().map(PolicyDomain::as_str));
    out.text_or_none(entry.author.as_deref());
    out.text(&entry.words);
    out.finish()
}

/// Reads an entry of the audit log, and the digest of the one before.
pub(crate) fn read_audit(value: &[u8]) -> Result<([u8; 32], AuditEntry), Unreadable> {
    const WHAT: Unreadable = Unreadable("an entry of the audit log");
    let mut from = Reader::new(value, WHAT)?;
    let before = *from.array()?;
    let entry = AuditEntry {
        at: from.time()?,
        kind: AuditKind::of_name(from.text()?).ok_or(WHAT)?,
        domain: match from.text_or_none()? {
            Some(domain) => Some(domain.parse().map_err(|_| WHAT)?),
            None => None,
        },
        author: from.text_or_none()?,
        words: from.text()?.to_owned(),
    };
    from.end()?;
    Ok((before, entry))
}

/// The value of an override that was set by command. Its domain stands in its key.
pub(crate) fn write_override(set: &CommandOverride) -> Vec<u8> {
    let mut out = Writer::new();
    out.text(set.mode.name());
    // A day by its first second, so that one that is absent has a form.
    out.time_or_none(set.until.map(UtcDay::first_second));
    out.text(&set.reason);
    out.text(&set.author);
    out.time(set.set_at);
    out.time_or_none(set.ended.as_ref().map(|ended| ended.at));
    if let Some(ended) = &set.ended {
        out.text(&ended.author);
        out.text(&ended.reason);
    }
    out.finish()
}

/// Reads an override that was set by command for a domain.
pub(crate) fn read_override(
    domain: PolicyDomain,
    value: &[u8],
) -> Result<CommandOverride, Unreadable> {
    const WHAT: Unreadable = Unreadable("an override");
    let mut from = Reader::new(value, WHAT)?;
    let mut set = CommandOverride {
        domain,
        mode: OverrideMode::of_name(from.text()?).ok_or(WHAT)?,
        until: from.time_or_none()?.map(Timestamp::day),
        reason: from.text()?.to_owned(),
        author: from.text()?.to_owned(),
        set_at: from.time()?,
        ended: None,
    };
    if let Some(at) = from.time_or_none()? {
        set.ended = Some(EndedOverride {
            at,
            author: from.text()?.to_owned(),
            reason: from.text()?.to_owned(),
        });
    }
    from.end()?;
    Ok(set)
}

/// The value of a destination that is or was suppressed: the destination in full, and how it stands.
pub(crate) fn write_suppression(destination: &Destination, suppression: &Suppression) -> Vec<u8> {
    let mut out = Writer::new();
    out.destination(destination);
    let reason = match &suppression.set_by {
        SetBy::Refusals => None,
        SetBy::Operator(reason) => Some(reason.as_str()),
    };
    out.text_or_none(reason);
    out.time(suppression.since);
    out.number(u64::from(suppression.times));
    for moment in [
        suppression.until,
        suppression.taken_at,
        suppression.lifted_at,
    ] {
        out.time_or_none(moment);
    }
    out.length(suppression.refusals.len());
    for refusal in &suppression.refusals {
        out.time(refusal.at);
        out.time(refusal.sent_at);
        out.octet(match refusal.how {
            How::Answer => 1,
            How::Bounce => 2,
        });
        out.text(&refusal.words);
        out.text(&refusal.report_id);
    }
    out.finish()
}

/// Reads a destination that is or was suppressed.
pub(crate) fn read_suppression(value: &[u8]) -> Result<(Destination, Suppression), Unreadable> {
    const WHAT: Unreadable = Unreadable("a suppressed destination");
    let mut from = Reader::new(value, WHAT)?;
    let destination = from.destination()?;
    let reason = from.text_or_none()?;
    let mut suppression = Suppression {
        set_by: reason.map_or(SetBy::Refusals, SetBy::Operator),
        since: from.time()?,
        times: u32::try_from(from.number()?).map_err(|_| WHAT)?,
        until: from.time_or_none()?,
        taken_at: from.time_or_none()?,
        lifted_at: from.time_or_none()?,
        refusals: Vec::new(),
    };
    for _ in 0..from.length()? {
        suppression.refusals.push(Refusal {
            at: from.time()?,
            sent_at: from.time()?,
            how: match from.octet()? {
                1 => How::Answer,
                2 => How::Bounce,
                _ => return Err(WHAT),
            },
            words: from.text()?.to_owned(),
            report_id: from.text()?.to_owned(),
        });
    }
    from.end()?;
    Ok((destination, suppression))
}

impl Writer {
    fn destination(&mut self, destination: &Destination) {
        let (kind, text) = match destination {
            Destination::Mail(mailbox) => (1, mailbox),
            Destination::Https(uri) => (2, uri),
        };
        self.octet(kind);
        self.text(text);
    }

    // D13: the names of the IANA registry, so that a row outlives our own numbering.
    fn failure(&mut self, failure: &Failure) {
        self.text(failure.result.name());
        self.text_or_none(failure.mx.as_deref());
        self.text_or_none(failure.mx_helo.as_deref());
        self.address_or_none(failure.receiving_ip);
        self.address_or_none(failure.sending_ip);
        self.text_or_none(failure.reason.as_deref());
    }
}

impl Reader<'_> {
    fn destination(&mut self) -> Result<Destination, Unreadable> {
        let kind = self.octet()?;
        let text = self.text()?.to_owned();
        match kind {
            1 => Ok(Destination::Mail(text)),
            2 => Ok(Destination::Https(text)),
            _ => Err(self.unreadable()),
        }
    }

    fn failure(&mut self) -> Result<Failure, Unreadable> {
        Ok(Failure {
            result: self
                .text()?
                .parse::<ResultType>()
                .map_err(|_| self.unreadable())?,
            mx: self.text_or_none()?,
            mx_helo: self.text_or_none()?,
            receiving_ip: self.address_or_none()?,
            sending_ip: self.address_or_none()?,
            reason: self.text_or_none()?,
        })
    }

    fn step(&mut self) -> Result<Step, Unreadable> {
        let step = self.octet()?;
        let at = self.time()?;
        let reason = self.text()?.to_owned();
        match step {
            1 => Ok(Step::Due(at)),
            2 => Ok(Step::Sending(at)),
            3 => Ok(Step::Sent(at)),
            4 => Ok(Step::RetryAt { at, reason }),
            5 => Ok(Step::GivenUp { at, reason }),
            _ => Err(self.unreadable()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{Timestamp, UtcDay},
        record::protection::Protection,
    };

    fn domain() -> PolicyDomain {
        "example.org".parse().unwrap()
    }

    fn failure() -> Failure {
        Failure {
            result: ResultType::CertificateExpired,
            mx: Some("mx1.example.org".into()),
            mx_helo: Some("ü".into()),
            receiving_ip: Some("2001:db8::1".parse().unwrap()),
            sending_ip: Some("192.0.2.1".parse().unwrap()),
            reason: None,
        }
    }

    fn applied() -> AppliedPolicy {
        AppliedPolicy {
            policy_type: PolicyType::Sts,
            policy_domain: domain(),
            policy_string: vec!["version: STSv1".into(), String::new()],
            mx_host: vec!["*.example.org".into()],
        }
    }

    fn kept() -> KeptPolicy {
        KeptPolicy {
            policy: StsPolicy {
                mode: Mode::Testing,
                max_age_seconds: 86_400,
                mx: vec![MxPattern {
                    wildcard: true,
                    name: "example.org".parse().unwrap(),
                }],
                lines: vec!["version: STSv1".into()],
            },
            id: "20261124".into(),
            fetched_at: Timestamp(5),
            tried_at: Timestamp(-6),
        }
    }

    fn tally(counted: Counted) -> TallyKey {
        TallyKey {
            day: UtcDay(20_000),
            domain: domain(),
            policy: applied().fingerprint(),
            counted,
        }
    }

    fn deliveries() -> Vec<(DeliveryKey, DeliveryState)> {
        let steps = [
            Step::Due(Timestamp(1)),
            Step::Sending(Timestamp(2)),
            Step::Sent(Timestamp(3)),
            Step::RetryAt {
                at: Timestamp(4),
                reason: "451 later".into(),
            },
            Step::GivenUp {
                at: Timestamp(5),
                reason: String::new(),
            },
        ];
        let destinations = [
            Destination::Mail("rua@example.org".into()),
            Destination::Https("https://example.org/rua".into()),
        ];
        steps
            .into_iter()
            .enumerate()
            .map(|(number, step)| {
                let key = DeliveryKey {
                    day: UtcDay(20_000),
                    domain: domain(),
                    destination: destinations[number % 2].clone(),
                };
                let state = DeliveryState {
                    report_id: "a@b".into(),
                    attempts: 3,
                    first_attempt_at: (number > 0).then_some(Timestamp(9)),
                    step,
                };
                (key, state)
            })
            .collect()
    }

    #[test]
    fn every_value_reads_back() {
        for counted in [
            Counted::Successes,
            Counted::Failures,
            Counted::Detail(failure()),
            Counted::Protected(Protection::Dane),
            Counted::Protected(Protection::Clear),
        ] {
            let key = tally(counted);
            let bytes = write_tally(&key, 7);
            assert_eq!(read_tally(&key::tally(&key), &bytes), Ok((key, 7)));
            assert_eq!(read_total(&bytes), Ok(7));
        }
        for source in [Source::Mta, Source::Policy, Source::Probe] {
            let record = FailureRecord {
                at: Timestamp(1_790_000_000),
                domain: domain(),
                policy: applied().fingerprint(),
                source,
                failure: failure(),
            };
            let key = key::failure(record.at.day(), &record.domain, 3);
            assert_eq!(read_failure(&key, &write_failure(&record)), Ok(record));
        }
        assert_eq!(read_applied(&write_applied(&applied())), Ok(applied()));
        assert_eq!(read_kept(&write_kept(&kept())), Ok(kept()));
        for (key, state) in deliveries() {
            let bytes = write_delivery(&key, &state);
            assert_eq!(
                read_delivery(&key::delivery(&key), &bytes),
                Ok((key, state))
            );
        }
    }

    /// Cut at every place, and every octet changed to some others: an answer, never a panic, and
    /// never more memory than the bytes could hold.
    #[test]
    fn damaged_bytes_are_refused_or_read_but_never_panic() {
        let detail = tally(Counted::Detail(failure()));
        let (delivery_key, delivery_state) = deliveries().remove(3);
        let values: [Vec<u8>; 4] = [
            write_tally(&detail, 7),
            write_applied(&applied()),
            write_kept(&kept()),
            write_delivery(&delivery_key, &delivery_state),
        ];
        let keys = [key::tally(&detail), key::delivery(&delivery_key)];
        let read_all = |key: &[u8], value: &[u8]| {
            let refused = [
                read_tally(key, value).is_err(),
                read_failure(key, value).is_err(),
                read_applied(value).is_err(),
                read_kept(value).is_err(),
                read_delivery(key, value).is_err(),
            ];
            let _total = read_total(value).is_ok();
            refused.into_iter().all(|refused| refused)
        };
        for value in &values {
            for end in 0..value.len() {
                assert!(read_all(&keys[0], &value[..end]), "cut at {end}");
            }
            for place in 0..value.len() {
                for change in [0x01, 0x80, 0xff, value[place]] {
                    let mut damaged = value.clone();
                    damaged[place] ^= change;
                    for key in &keys {
                        read_all(key, &damaged);
                    }
                }
            }
            let mut longer = value.clone();
            longer.push(0);
            assert!(read_all(&keys[0], &longer));
        }
        for key in &keys {
            for place in 0..key.len() {
                for change in [0x01, 0x80, 0xff, key[place]] {
                    let mut damaged = key.clone();
                    damaged[place] ^= change;
                    read_all(&damaged, &values[0]);
                    read_all(&damaged[..place], &values[0]);
                }
            }
        }
    }

    #[test]
    fn rows_with_several_changes_are_refused_or_read_but_never_panic() {
        let detail = tally(Counted::Detail(failure()));
        let (delivery_key, delivery_state) = deliveries().remove(3);
        let values = [
            write_tally(&detail, 7),
            write_applied(&applied()),
            write_kept(&kept()),
            write_delivery(&delivery_key, &delivery_state),
            key::tally(&detail),
            key::delivery(&delivery_key),
        ];
        let samples: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        for bytes in sealpost_kit::mutations(13, &samples) {
            for (key, value) in [(&bytes, &values[0]), (&values[4], &bytes), (&bytes, &bytes)] {
                let _tally = read_tally(key, value).is_ok();
                let _failure = read_failure(key, value).is_ok();
                let _delivery = read_delivery(key, value).is_ok();
            }
            let _total = read_total(&bytes).is_ok();
            if let Ok(applied) = read_applied(&bytes) {
                assert_eq!(write_applied(&applied), bytes);
            }
            if let Ok(kept) = read_kept(&bytes) {
                assert_eq!(read_kept(&write_kept(&kept)), Ok(kept));
            }
        }
    }
}
