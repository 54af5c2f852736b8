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

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_str(text).unwrap()
    }

    /// Records as `owner next TYPE TYPE`.
    fn with<T>(lines: &[&str], then: impl FnOnce(&[NsecProof<'_>]) -> T) -> T {
        let records: Vec<(Name, NSEC)> = lines
            .iter()
            .map(|line| {
                let mut words = line.split(' ');
                let owner = name(words.next().unwrap());
                let next = name(words.next().unwrap());
                let types = words.map(|word| RecordType::from_str(word).unwrap());
                (owner, NSEC::new(next, types))
            })
            .collect();
        let proofs: Vec<_> = records
            .iter()
            .map(|(owner, data)| NsecProof { owner, data })
            .collect();
        then(&proofs)
    }

    const APEX: &str = "a.test. b.a.test. NS SOA MX RRSIG NSEC DNSKEY";
    const LAST: &str = "mx.a.test. a.test. A RRSIG NSEC";
    /// Delegations, signed and not, and a name that is moved.
    const SIGNED: &str = "d.a.test. e.a.test. NS DS RRSIG NSEC";
    const PLAIN: &str = "e.a.test. f.a.test. NS RRSIG NSEC";
    const MOVED: &str = "f.a.test. g.a.test. DNAME RRSIG NSEC";

    #[test]
    fn c3_absence_is_what_the_zone_has_signed_and_no_more() {
        use Denial::{NotProven, Proven, UnsignedDelegation};
        use RecordType::{A, CNAME, DS, MX, TLSA};
        for (lines, asked, kind, expected) in [
            (vec![APEX], "a.test.", TLSA, Proven),
            (vec![APEX], "a.test.", MX, NotProven),
            (vec![LAST], "mx.a.test.", CNAME, Proven),
            (vec![LAST], "MX.a.TEST.", A, NotProven),
            // A name that does not exist needs the wildcard denied too.
            (vec![LAST], "z.a.test.", A, NotProven),
            (vec![LAST, APEX], "z.a.test.", A, Proven),
            (vec![LAST], "_25._tcp.mx.a.test.", TLSA, Proven),
            (vec![APEX], "mx.a.test.", TLSA, NotProven),
            (vec![LAST, APEX], "mx.b.test.", A, NotProven),
            // An empty name between others.
            (
                vec!["a.test. x.y.a.test. SOA NS"],
                "y.a.test.",
                TLSA,
                Proven,
            ),
            // A wildcard that has the type, that has another, and that is an alias.
            (
                vec![LAST, "*.a.test. b.a.test. A"],
                "z.a.test.",
                A,
                NotProven,
            ),
            (vec![LAST, "*.a.test. b.a.test. A"], "z.a.test.", MX, Proven),
            (
                vec![LAST, "*.a.test. b.a.test. CNAME"],
                "z.a.test.",
                MX,
                NotProven,
            ),
            (
                vec!["mx.a.test. a.test. CNAME"],
                "mx.a.test.",
                TLSA,
                NotProven,
            ),
            // The zone above knows of a delegation only whether it is signed.
            (vec![SIGNED], "d.a.test.", TLSA, NotProven),
            (vec![SIGNED, APEX], "_25._tcp.d.a.test.", TLSA, NotProven),
            (vec![SIGNED], "d.a.test.", DS, NotProven),
            (vec![SIGNED, APEX], "x.d.a.test.", DS, NotProven),
            (vec![PLAIN], "e.a.test.", DS, UnsignedDelegation),
            (vec![PLAIN], "e.a.test.", TLSA, NotProven),
            (vec![PLAIN, APEX], "x.e.a.test.", DS, NotProven),
            (vec![MOVED, APEX], "x.f.a.test.", TLSA, NotProven),
            // The zone below knows nothing of its delegation.
            (vec![APEX], "a.test.", DS, NotProven),
            (vec![], "a.test.", TLSA, NotProven),
        ] {
            let denial = with(&lines, |proofs| {
                absence(proofs, &name("a.test."), &name(asked), kind)
            });
            assert_eq!(denial, expected, "{lines:?}, {asked} {kind}");
        }
    }

    #[test]
    fn c1_a_wildcards_answer_needs_that_nothing_is_closer() {
        use Denial::{NotProven, Proven};
        for (lines, asked, labels, expected) in [
            (vec![LAST], "z.a.test.", 2, Proven),
            (vec![LAST], "y.z.a.test.", 2, Proven),
            // mx.a.test exists, so *.a.test says nothing of what is below it.
            (vec![LAST], "x.mx.a.test.", 2, NotProven),
            (vec![LAST], "mx.a.test.", 2, NotProven),
            (vec![APEX], "z.a.test.", 2, NotProven),
            (vec![SIGNED], "x.d.a.test.", 2, NotProven),
        ] {
            let denial = with(&lines, |proofs| {
                nothing_closer(proofs, &name("a.test."), &name(asked), labels)
            });
            assert_eq!(denial, expected, "{lines:?}, {asked}");
        }
    }
}
