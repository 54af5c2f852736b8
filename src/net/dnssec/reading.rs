//! What an answer holds, once somebody has said what it is worth.

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{Name, RData, Record, RecordType},
};

use super::exchange::shown;
use crate::net::dns::{DnsError, Found, Lookup};

/// How many aliases in a row are followed.
pub(super) const ALIASES_MAX: usize = 16;

/// How long absence may be kept where the answer does not say (no SOA in it).
const ABSENCE_SECONDS: u32 = 60;

/// The records of one owner and type.
pub(super) fn of<'a>(
    records: &'a [Record],
    owner: &'a Name,
    kind: RecordType,
) -> impl Iterator<Item = &'a Record> {
    records
        .iter()
        .filter(move |record| record.record_type() == kind && record.name == *owner)
}

/// What an answer says of a name, its aliases followed within the answer.
///
/// # Errors
/// The answer says nothing of the name.
pub(super) fn found(
    message: &Message,
    name: &Name,
    kind: RecordType,
) -> Result<Found<RData>, DnsError> {
    let mut owner = name.clone();
    let mut seconds = u32::MAX;
    for _ in 0..=ALIASES_MAX {
        let values: Vec<_> = of(&message.answers, &owner, kind).collect();
        if !values.is_empty() {
            seconds = values.iter().map(|value| value.ttl).fold(seconds, u32::min);
            let values = values.iter().map(|value| value.data.clone()).collect();
            return Ok(found_at(name, &owner, values, seconds));
        }
        let alias = of(&message.answers, &owner, RecordType::CNAME)
            .next()
            .and_then(target);
        let Some((target, time_to_live)) = alias else {
            absence_is_said(message, &owner)?;
            let seconds = seconds.min(absence_seconds(message));
            return Ok(found_at(name, &owner, Vec::new(), seconds));
        };
        seconds = seconds.min(time_to_live);
        owner = target;
    }
    Err(too_many_aliases(name))
}

/// What a name has that is at the end of the aliases of another.
pub(super) fn found_at(name: &Name, end: &Name, values: Vec<RData>, seconds: u32) -> Found<RData> {
    Found {
        values,
        expanded: (end != name).then(|| shown(end).to_ascii_lowercase()),
        time_to_live: super::seconds(seconds),
    }
}

/// Where an alias leads, and how long that may be kept.
pub(super) fn target(record: &Record) -> Option<(Name, u32)> {
    match &record.data {
        RData::CNAME(alias) => Some((alias.0.clone(), record.ttl)),
        _ => None,
    }
}

/// Does the answer say that there is nothing?
///
/// # Errors
/// It says nothing.
pub(super) fn absence_is_said(message: &Message, name: &Name) -> Result<(), DnsError> {
    let has = |kind| {
        let mut authorities = message.authorities.iter();
        authorities.any(|record| record.record_type() == kind)
    };
    // RFC 2308 s2.2: only name servers and no SOA is a referral, from a server that does not recurse.
    let is_referral = has(RecordType::NS) && !has(RecordType::SOA);
    match message.metadata.response_code {
        ResponseCode::NXDomain => Ok(()),
        ResponseCode::NoError if !is_referral => Ok(()),
        ResponseCode::NoError => Err(DnsError::Server {
            name: shown(name),
            code: "with a referral, as a server that does not recurse".to_owned(),
        }),
        code => Err(server_error(name, code)),
    }
}

/// How long absence may be kept (RFC 2308 s5).
pub(super) fn absence_seconds(message: &Message) -> u32 {
    let stated = message.authorities.iter().find_map(|record| {
        let RData::SOA(authority) = &record.data else {
            return None;
        };
        Some(record.ttl.min(authority.minimum))
    });
    stated.unwrap_or(ABSENCE_SECONDS)
}

/// A response code that says that nothing is known.
pub(super) fn server_error(name: &Name, code: ResponseCode) -> DnsError {
    DnsError::Server {
        name: shown(name),
        // SERVFAIL, REFUSED: as dig and the RFCs write them.
        code: format!("{code:?}").to_uppercase(),
    }
}

/// The aliases go round, or on and on.
pub(super) fn too_many_aliases(name: &Name) -> DnsError {
    DnsError::Server {
        name: shown(name),
        code: format!("with more than {ALIASES_MAX} aliases in a row"),
    }
}

impl<T> Lookup<T> {
    /// The same lookup with other values; those that are nothing are left out.
    #[must_use]
    pub fn map_values<U>(self, value: impl Fn(T) -> Option<U>) -> Lookup<U> {
        let map = |found: Found<T>| Found {
            values: found.values.into_iter().filter_map(value).collect(),
            expanded: found.expanded,
            time_to_live: found.time_to_live,
        };
        match self {
            Self::Secure(found) => Lookup::Secure(map(found)),
            Self::Insecure(found) => Lookup::Insecure(map(found)),
            Self::Bogus(reason) => Lookup::Bogus(reason),
            Self::Failed(error) => Lookup::Failed(error),
        }
    }
}
