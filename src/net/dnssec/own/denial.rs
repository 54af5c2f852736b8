//! What the NSEC records of a zone say of a name that it does not have (RFC 4035 s5.4, RFC 6840 s4).
//! What NSEC3 records say is in [`nsec3`](super::nsec3).

use hickory_proto::{
    dnssec::rdata::NSEC,
    rr::{Name, RecordType, RecordTypeSet},
};

/// What a zone's proofs come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denial {
    /// There is no such record, nor a wildcard that would have made it.
    Proven,
    /// There is a delegation, and it is not signed.
    UnsignedDelegation,
    /// There may be a delegation that is not signed (RFC 5155 s6, opt-out); or the proof would cost too
    /// much, and such a zone counts as unsigned (RFC 9276 s3.2).
    PerhapsUnsigned,
    /// Nothing is proven.
    NotProven,
}

/// An NSEC record whose signature holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct NsecProof<'a> {
    pub(super) owner: &'a Name,
    pub(super) data: &'a NSEC,
}

/// Is there no record of this type at the name?
pub(super) fn absence(
    proofs: &[NsecProof<'_>],
    apex: &Name,
    name: &Name,
    kind: RecordType,
) -> Denial {
    if let Some(own) = proofs.iter().find(|proof| proof.owner == name) {
        return absence_at_owner(own.data.type_set(), name, kind);
    }
    let Some(covering) = proofs.iter().find(|proof| proof.covers(name, apex)) else {
        return Denial::NotProven;
    };
    let next = covering.data.next_domain_name();
    // A name below it exists, so it does, and has nothing (RFC 8020).
    if name.zone_of(next) {
        return Denial::Proven;
    }
    let closest = covering.closest_encloser(name);
    let Ok(wildcard) = closest.prepend_label("*") else {
        return Denial::NotProven;
    };
    if let Some(own) = proofs.iter().find(|proof| *proof.owner == wildcard) {
        return match absence_at_owner(own.data.type_set(), &wildcard, kind) {
            Denial::Proven => Denial::Proven,
            _ => Denial::NotProven,
        };
    }
    if proofs.iter().any(|proof| proof.covers(&wildcard, apex)) {
        Denial::Proven
    } else {
        Denial::NotProven
    }
}

/// Is there, between a name and the wildcard that its answer was made from, no name that would have come
/// first? `labels` are those of the wildcard without its star.
pub(super) fn nothing_closer(
    proofs: &[NsecProof<'_>],
    apex: &Name,
    name: &Name,
    labels: u8,
) -> Denial {
    let by_one = proofs.iter().any(|proof| {
        proof.covers(name, apex)
            && !name.zone_of(proof.data.next_domain_name())
            && proof.closest_encloser(name).iter().count() == usize::from(labels)
    });
    if by_one {
        Denial::Proven
    } else {
        Denial::NotProven
    }
}

/// What the types at the very name say of one that is not among them.
pub(super) fn absence_at_owner(types: &RecordTypeSet, name: &Name, kind: RecordType) -> Denial {
    if types.contains(kind) || types.contains(RecordType::CNAME) {
        return Denial::NotProven;
    }
    let delegates = types.contains(RecordType::NS) && !types.contains(RecordType::SOA);
    if kind == RecordType::DS {
        // RFC 4035 s5.2, RFC 6840 s4.4: it is the zone above that says it, and of a delegation.
        return match (delegates, types.contains(RecordType::SOA)) {
            (true, _) => Denial::UnsignedDelegation,
            (false, true) if !name.is_root() => Denial::NotProven,
            (false, _) => Denial::Proven,
        };
    }
    // RFC 6840 s4.1: the zone above a delegation knows nothing of what is below.
    if delegates {
        Denial::NotProven
    } else {
        Denial::Proven
    }
}

/// Must what such types stand at say nothing of the names below (RFC 6840 s4.1)?
pub(super) fn ends_the_zone(types: &RecordTypeSet) -> bool {
    let delegates = types.contains(RecordType::NS) && !types.contains(RecordType::SOA);
    delegates || types.contains(RecordType::DNAME)
}

impl NsecProof<'_> {
    /// Does the name lie between the owner and the next, so that it does not exist?
    fn covers(&self, name: &Name, apex: &Name) -> bool {
        let next = self.data.next_domain_name();
        if !apex.zone_of(name) || !apex.zone_of(next) {
            return false;
        }
        if self.owner.zone_of(name) && ends_the_zone(self.data.type_set()) {
            return false;
        }
        if self.owner < next {
            self.owner < name && name < next
        } else {
            // The last of the zone: its next is the apex.
            self.owner < name && next == apex
        }
    }

    /// The longest name above that exists: it is above the owner or above the next name.
    fn closest_encloser(&self, name: &Name) -> Name {
        let by_owner = common(name, self.owner);
        let by_next = common(name, self.data.next_domain_name());
        name.trim_to(by_owner.max(by_next))
    }
}

/// How many labels two names have in common, from the root down.
fn common(one: &Name, other: &Name) -> usize {
    let (one, other): (Vec<_>, Vec<_>) = (one.iter().collect(), other.iter().collect());
    let pairs = one.iter().rev().zip(other.iter().rev());
    pairs
        .take_while(|(one, other)| one.eq_ignore_ascii_case(other))
        .count()
}
