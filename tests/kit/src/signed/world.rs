//! All zones together: what a resolver answers that has them at hand.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use hickory_proto::{
    ProtoError,
    dnssec::rdata::DNSSECRData,
    op::ResponseCode,
    rr::{Name, RData, Record, RecordType, rdata::CNAME},
    serialize::binary::BinDecodable as _,
};

use super::{
    denial::{Claim, wildcard},
    key::ZoneKey,
    served::{ServedZone, Sets, Surroundings},
    zone::{Zone, ZoneError, name},
};
use crate::dns::DnsFault;

/// How many CNAMEs in a row are followed.
const CNAMES_MAX: usize = 16;

/// The name server of every zone, which the zone `test` has the address of.
pub(super) const NAME_SERVER: &str = "ns.test.";

/// What the zones are made of.
pub(super) struct Blueprint {
    /// The root and `test` are always there.
    pub(super) zones: BTreeMap<Name, Zone>,
    /// A zone that is made anew keeps its key.
    pub(super) keys: BTreeMap<Name, Arc<ZoneKey>>,
    pub(super) name_server: IpAddr,
    pub(super) time_to_live_seconds: u32,
}

/// All zones, ready to be asked.
pub(super) struct World {
    pub(super) zones: BTreeMap<Name, ServedZone>,
}

/// What is sent back.
pub(super) enum Reply {
    Records {
        code: ResponseCode,
        answers: Vec<Record>,
        authorities: Vec<Record>,
    },
    Code(ResponseCode),
    Silence,
}

impl Blueprint {
    pub(super) fn new(zones: &[(String, Zone)]) -> Result<Self, ZoneError> {
        let mut blueprint = Self {
            zones: BTreeMap::from([
                (Name::root(), Zone::signed()),
                (name("test")?, Zone::signed()),
            ]),
            keys: BTreeMap::new(),
            name_server: IpAddr::V4(Ipv4Addr::LOCALHOST),
            time_to_live_seconds: super::TIME_TO_LIVE_SECONDS_DEFAULT,
        };
        for (apex, zone) in zones {
            blueprint.zones.insert(name(apex)?, zone.clone());
        }
        Ok(blueprint)
    }

    /// Makes and signs all zones.
    pub(super) fn build(&mut self) -> Result<World, ZoneError> {
        for apex in self.zones.keys() {
            if !self.keys.contains_key(apex) {
                self.keys.insert(apex.clone(), ZoneKey::generate()?);
            }
        }
        let mut zones = BTreeMap::new();
        for apex in self.zones.keys() {
            zones.insert(apex.clone(), self.build_zone(apex)?);
        }
        Ok(World { zones })
    }

    /// The root's key.
    pub(super) fn root_key(&self) -> Result<&ZoneKey, ZoneError> {
        let key = self.keys.get(&Name::root()).ok_or(ZoneError::Key)?;
        Ok(key)
    }

    fn build_zone(&self, apex: &Name) -> Result<ServedZone, ZoneError> {
        let name_server = name(NAME_SERVER)?;
        let (Some(zone), Some(key)) = (self.zones.get(apex), self.keys.get(apex)) else {
            return Err(ZoneError::Key);
        };
        let mut children = Vec::new();
        for (child, below) in &self.zones {
            let is_child = self.parent(child).is_some_and(|parent| parent == apex);
            if let (true, Some(key)) = (is_child, self.keys.get(child)) {
                let delegation_signer = key.delegation_signer(child, below.delegation)?;
                let data = delegation_signer.map(|data| RData::DNSSEC(DNSSECRData::DS(data)));
                children.push((child.clone(), data));
            }
        }
        let around = Surroundings {
            key,
            children,
            name_server: &name_server,
            time_to_live_seconds: self.time_to_live_seconds,
        };
        if closest(&self.zones, &name_server).is_some_and(|(holder, _)| holder == apex) {
            let with_server = zone.clone().addresses(NAME_SERVER, &[self.name_server]);
            return ServedZone::new(apex, &with_server, &around);
        }
        ServedZone::new(apex, zone, &around)
    }

    fn parent(&self, apex: &Name) -> Option<&Name> {
        if apex.is_root() {
            return None;
        }
        closest(&self.zones, &apex.base_name()).map(|(parent, _)| parent)
    }
}

impl World {
    /// The answer to a question, aliases followed.
    pub(super) fn reply(&self, asked: &Name, kind: RecordType) -> Result<Reply, ZoneError> {
        let (mut answers, mut authorities) = (Vec::new(), Vec::new());
        let mut owner = asked.to_lowercase();
        for _ in 0..=CNAMES_MAX {
            let Some(zone) = self.zone_for(&owner, kind) else {
                return Ok(Reply::Code(ResponseCode::Refused));
            };
            match zone.failing.get(&(owner.clone(), kind)) {
                // This resolver looks at no signature: what is bogus here has a signature that does not hold.
                Some(DnsFault::ServFail | DnsFault::Bogus) => {
                    return Ok(Reply::Code(ResponseCode::ServFail));
                }
                Some(DnsFault::Refused) => return Ok(Reply::Code(ResponseCode::Refused)),
                Some(DnsFault::Silence) => return Ok(Reply::Silence),
                None => {}
            }
            let step = zone.step(&owner, kind)?;
            answers.extend(step.answers);
            authorities.extend(step.authorities);
            match step.continues_at {
                Some(target) => owner = target.to_lowercase(),
                None => {
                    return Ok(Reply::Records {
                        code: step.code,
                        answers,
                        authorities,
                    });
                }
            }
        }
        Ok(Reply::Code(ResponseCode::ServFail))
    }

    /// The zone that speaks of a name. Of the keys of a zone below, the one above does (RFC 4035 s3.1.4.1).
    fn zone_for(&self, name: &Name, kind: RecordType) -> Option<&ServedZone> {
        if kind == RecordType::DS && !name.is_root() {
            return closest(&self.zones, &name.base_name()).map(|(_, zone)| zone);
        }
        closest(&self.zones, name).map(|(_, zone)| zone)
    }
}

/// What one zone says of one name.
struct Step {
    code: ResponseCode,
    answers: Vec<Record>,
    authorities: Vec<Record>,
    /// The CNAME's target.
    continues_at: Option<Name>,
}

impl ServedZone {
    fn step(&self, name: &Name, kind: RecordType) -> Result<Step, ZoneError> {
        if let Some(moved) = self.moved(name, kind)? {
            return Ok(moved);
        }
        if let Some(sets) = self.names.get(name) {
            return Ok(match found(sets, name, kind) {
                Some(step) => step,
                None => self.nothing(name, ResponseCode::NoError, Claim::NoType)?,
            });
        }
        if self.exists(name) {
            return self.nothing(name, ResponseCode::NoError, Claim::NoType);
        }
        let Some(sets) = self.names.get(&wildcard(&self.closest_encloser(name))) else {
            return self.nothing(name, ResponseCode::NXDomain, Claim::NoName);
        };
        match found(sets, name, kind) {
            Some(mut step) => {
                step.authorities = self.proof(name, Claim::Wildcard)?;
                Ok(step)
            }
            None => self.nothing(name, ResponseCode::NoError, Claim::WildcardWithoutType),
        }
    }

    /// RFC 6672 s3.1: below a DNAME the name is an alias. The CNAME that says so is not signed; the DNAME is.
    fn moved(&self, name: &Name, kind: RecordType) -> Result<Option<Step>, ZoneError> {
        let mut above = name.clone();
        while above != self.apex {
            above = above.base_name();
            let sets = self.names.get(&above);
            let Some(set) = sets.and_then(|sets| sets.get(&RecordType::DNAME)) else {
                continue;
            };
            let mut answers: Vec<Record> = set.all().cloned().collect();
            let Some((RData::Unknown { rdata, .. }, seconds)) =
                answers.first().map(|record| (&record.data, record.ttl))
            else {
                continue;
            };
            let target = Name::from_bytes(&rdata.anything).map_err(ProtoError::from)?;
            let kept = name.iter().len().saturating_sub(above.iter().len());
            let target = Name::from_labels(name.iter().take(kept))?.append_domain(&target)?;
            let data = RData::CNAME(CNAME(target.clone()));
            answers.push(Record::from_rdata(name.clone(), seconds, data));
            return Ok(Some(Step {
                code: ResponseCode::NoError,
                answers,
                authorities: Vec::new(),
                continues_at: (kind != RecordType::CNAME).then_some(target),
            }));
        }
        Ok(None)
    }

    fn nothing(&self, name: &Name, code: ResponseCode, claim: Claim) -> Result<Step, ZoneError> {
        // RFC 2308 s3: how long that may be believed.
        let apex = self.names.get(&self.apex);
        let start_of_authority = apex.and_then(|sets| sets.get(&RecordType::SOA));
        let mut authorities: Vec<Record> = start_of_authority
            .into_iter()
            .flat_map(|set| set.all().cloned())
            .collect();
        authorities.extend(self.proof(name, claim)?);
        Ok(Step {
            code,
            answers: Vec::new(),
            authorities,
            continues_at: None,
        })
    }
}

/// The records of this type, or the alias that the name is; the wildcard's under the name asked for.
fn found(sets: &Sets, name: &Name, kind: RecordType) -> Option<Step> {
    let alias = sets.get(&RecordType::CNAME);
    let set = sets.get(&kind).or(alias)?;
    let mut answers: Vec<Record> = set.all().cloned().collect();
    for record in &mut answers {
        record.name = name.clone();
    }
    let continues_at = match answers.first().map(|record| &record.data) {
        Some(RData::CNAME(target)) if kind != RecordType::CNAME => Some(target.0.clone()),
        _ => None,
    };
    Some(Step {
        code: ResponseCode::NoError,
        answers,
        authorities: Vec::new(),
        continues_at,
    })
}

/// The nearest zone at or above a name.
fn closest<'a, T>(zones: &'a BTreeMap<Name, T>, name: &Name) -> Option<(&'a Name, &'a T)> {
    let mut at = name.to_lowercase();
    loop {
        if let Some(found) = zones.get_key_value(&at) {
            return Some(found);
        }
        if at.is_root() {
            return None;
        }
        at = at.base_name();
    }
}
