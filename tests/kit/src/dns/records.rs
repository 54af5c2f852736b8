//! What the resolver has, and what it says of a name.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    str::FromStr as _,
};

use hickory_proto::{
    op::ResponseCode,
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, MX, TXT},
    },
};

use super::DnsFault;
use crate::{shared::canonical, tlsa::Tlsa};

/// How many CNAMEs in a row are followed.
const CNAMES_MAX: usize = 16;

/// All that it has.
#[derive(Default)]
pub(super) struct Records {
    /// By canonical name.
    pub(super) names: BTreeMap<String, NameData>,
    /// By canonical name.
    pub(super) signed_zones: BTreeSet<String>,
    /// How long answers may be kept.
    pub(super) time_to_live_seconds: u32,
}

/// What one name has.
#[derive(Clone, Default)]
pub(super) struct NameData {
    pub(super) txt: Vec<Vec<Vec<u8>>>,
    pub(super) mx: Vec<(u16, String)>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) tlsa: Vec<Tlsa>,
    pub(super) cname: Option<String>,
    pub(super) fault: Option<DnsFault>,
}

/// Whether the client wants signatures looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Checking {
    Enabled,
    Disabled,
}

/// What is sent back.
pub(super) enum Reply {
    Records {
        code: ResponseCode,
        answers: Vec<Record>,
        time_to_live_seconds: u32,
        /// Every name on the way is in a signed zone.
        authentic: bool,
    },
    Code(ResponseCode),
    Silence,
}

impl Records {
    pub(super) fn reply(&self, name: &Name, kind: RecordType, checking: Checking) -> Reply {
        let mut answers = Vec::new();
        let mut owner = name.clone();
        let mut authentic = true;
        for _ in 0..=CNAMES_MAX {
            let key = canonical(&owner.to_ascii());
            authentic &= self.is_signed(&key);
            let Some(data) = self.names.get(&key) else {
                let code = if self.has_descendants(&key) {
                    ResponseCode::NoError
                } else {
                    ResponseCode::NXDomain
                };
                return self.records(code, answers, authentic);
            };
            match data.fault {
                Some(DnsFault::ServFail) => return Reply::Code(ResponseCode::ServFail),
                Some(DnsFault::Refused) => return Reply::Code(ResponseCode::Refused),
                Some(DnsFault::Silence) => return Reply::Silence,
                Some(DnsFault::Bogus) if checking == Checking::Enabled => {
                    return Reply::Code(ResponseCode::ServFail);
                }
                Some(DnsFault::Bogus) => authentic = false,
                None => {}
            }
            let Ok(found) = data.of_type(kind) else {
                return Reply::Code(ResponseCode::ServFail);
            };
            for value in found.values {
                let seconds = self.time_to_live_seconds;
                answers.push(Record::from_rdata(owner.clone(), seconds, value));
            }
            match found.continues_at {
                Some(target) => owner = target,
                None => return self.records(ResponseCode::NoError, answers, authentic),
            }
        }
        Reply::Code(ResponseCode::ServFail)
    }

    fn records(&self, code: ResponseCode, answers: Vec<Record>, authentic: bool) -> Reply {
        Reply::Records {
            code,
            answers,
            time_to_live_seconds: self.time_to_live_seconds,
            authentic,
        }
    }

    /// Is this name a signed zone or in one? The root, whose name is empty, counts for itself only.
    fn is_signed(&self, key: &str) -> bool {
        self.signed_zones.iter().any(|zone| {
            key.strip_suffix(zone.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }

    /// A name below which others exist does exist, though it has nothing (RFC 8020).
    fn has_descendants(&self, key: &str) -> bool {
        let suffix = format!(".{key}");
        self.names.keys().any(|name| name.ends_with(&suffix))
    }
}

/// What one name has of one type.
struct Found {
    values: Vec<RData>,
    /// The CNAME's target.
    continues_at: Option<Name>,
}

impl NameData {
    fn of_type(&self, kind: RecordType) -> Result<Found, hickory_proto::ProtoError> {
        if let Some(target) = &self.cname {
            let target = Name::from_str(&rooted(target))?;
            return Ok(Found {
                values: vec![RData::CNAME(CNAME(target.clone()))],
                continues_at: (kind != RecordType::CNAME).then_some(target),
            });
        }
        let mut values = Vec::new();
        match kind {
            RecordType::TXT => {
                for strings in &self.txt {
                    let strings = strings.iter().map(Vec::as_slice).collect();
                    values.push(RData::TXT(TXT::from_bytes(strings)));
                }
            }
            RecordType::MX => {
                for (preference, host) in &self.mx {
                    let host = Name::from_str(&rooted(host))?;
                    values.push(RData::MX(MX::new(*preference, host)));
                }
            }
            RecordType::TLSA => {
                values.extend(self.tlsa.iter().map(|record| RData::TLSA(record.rdata())));
            }
            RecordType::A | RecordType::AAAA => {
                for address in &self.addresses {
                    match (address, kind) {
                        (IpAddr::V4(address), RecordType::A) => values.push(RData::A(A(*address))),
                        (IpAddr::V6(address), RecordType::AAAA) => {
                            values.push(RData::AAAA(AAAA(*address)));
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Ok(Found {
            values,
            continues_at: None,
        })
    }
}

pub(crate) fn rooted(name: &str) -> String {
    if name.ends_with('.') {
        name.to_owned()
    } else {
        format!("{name}.")
    }
}
