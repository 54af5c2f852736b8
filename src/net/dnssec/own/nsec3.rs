//! What the NSEC3 records of a zone say of a name that it does not have (RFC 5155 s8). They name digests, so
//! every name that may exist is computed and looked for.

use hickory_proto::{
    dnssec::rdata::NSEC3,
    rr::{Name, RecordType},
};

use super::{
    denial::{Denial, absence_at_owner, ends_the_zone},
    work::{Exhausted, Work},
};

/// An NSEC3 record whose signature holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nsec3Proof<'a> {
    pub(super) owner: &'a Name,
    pub(super) data: &'a NSEC3,
}

/// RFC 9276 s3.2: beyond this a zone counts as unsigned. As BIND, Unbound and Knot have had it since 2021.
const ITERATIONS_MAX: u16 = 150;

/// The records of one zone that go by the same digests.
pub(super) struct Nsec3Proofs<'a> {
    apex: &'a Name,
    links: Vec<Link<'a>>,
    work: &'a Work,
}

struct Link<'a> {
    /// From this digest, in base 32, lower case: in that order as the digests themselves.
    from: String,
    to: String,
    data: &'a NSEC3,
}

/// The part of the proof that every absence needs (RFC 5155 s8.3).
struct Closest {
    encloser: Name,
    opt_out: bool,
}

impl<'a> Nsec3Proofs<'a> {
    /// Those that can be used: of this zone, with the digests of the first.
    pub(super) fn of(proofs: &[Nsec3Proof<'a>], apex: &'a Name, work: &'a Work) -> Self {
        // RFC 5155 s8.2: flags that are not known make a record unknown.
        let mut usable = proofs
            .iter()
            .filter(|proof| proof.data.flags() & !1 == 0 && proof.owner.base_name() == *apex);
        let first = usable.clone().next();
        let links = usable.by_ref().filter_map(|proof| {
            let first = first?.data;
            let same =
                proof.data.salt() == first.salt() && proof.data.iterations() == first.iterations();
            let label = proof.owner.iter().next()?;
            same.then(|| Link {
                from: String::from_utf8_lossy(label).to_ascii_lowercase(),
                to: base32(proof.data.next_hashed_owner_name()),
                data: proof.data,
            })
        });
        Self {
            apex,
            links: links.collect(),
            work,
        }
    }

    /// Is there no record of this type at the name?
    ///
    /// # Errors
    /// There is more to compute than a lookup may.
    pub(super) fn absence(&self, name: &Name, kind: RecordType) -> Result<Denial, Exhausted> {
        if self.costs_too_much() {
            return Ok(Denial::PerhapsUnsigned);
        }
        if let Some(own) = self.at(name)? {
            return Ok(absence_at_owner(own.type_set(), name, kind));
        }
        let Some(closest) = self.closest(name)? else {
            return Ok(Denial::NotProven);
        };
        // RFC 5155 s9.2: such a proof proves no absence, and s8.6: that there may be no DS record.
        if closest.opt_out {
            return Ok(Denial::PerhapsUnsigned);
        }
        let Ok(wildcard) = closest.encloser.prepend_label("*") else {
            return Ok(Denial::NotProven);
        };
        if let Some(own) = self.at(&wildcard)? {
            return Ok(match absence_at_owner(own.type_set(), &wildcard, kind) {
                Denial::Proven => Denial::Proven,
                _ => Denial::NotProven,
            });
        }
        Ok(match self.around(&wildcard)? {
            Some(_) => Denial::Proven,
            None => Denial::NotProven,
        })
    }

    /// Is there, between a name and the wildcard that its answer was made from, no name that would have
    /// come first (RFC 5155 s8.8)? `labels` are those of the wildcard without its star.
    ///
    /// # Errors
    /// There is more to compute than a lookup may.
    pub(super) fn nothing_closer(&self, name: &Name, labels: u8) -> Result<Denial, Exhausted> {
        if self.costs_too_much() {
            return Ok(Denial::PerhapsUnsigned);
        }
        let next_closer = name.trim_to(usize::from(labels) + 1);
        Ok(match self.around(&next_closer)? {
            Some(cover) if cover.opt_out() => Denial::PerhapsUnsigned,
            Some(_) => Denial::Proven,
            None => Denial::NotProven,
        })
    }

    fn costs_too_much(&self) -> bool {
        self.links
            .first()
            .is_some_and(|link| link.data.iterations() > ITERATIONS_MAX)
    }

    /// The longest name above that exists, where the next below it is proven not to.
    fn closest(&self, name: &Name) -> Result<Option<Closest>, Exhausted> {
        let labels = name.iter().count();
        let least = self.apex.iter().count();
        for length in (least..labels).rev() {
            let encloser = name.trim_to(length);
            let Some(own) = self.at(&encloser)? else {
                continue;
            };
            // RFC 5155 s8.3: what ends the zone is above nothing of it.
            if ends_the_zone(own.type_set()) {
                return Ok(None);
            }
            let cover = self.around(&name.trim_to(length + 1))?;
            return Ok(cover.map(|cover| Closest {
                encloser,
                opt_out: cover.opt_out(),
            }));
        }
        Ok(None)
    }

    /// The record of the very name.
    fn at(&self, name: &Name) -> Result<Option<&NSEC3>, Exhausted> {
        let digest = self.digest(name)?;
        let mut links = self.links.iter();
        let own = links.find(|link| digest.as_ref().is_some_and(|digest| link.from == *digest));
        Ok(own.map(|link| link.data))
    }

    /// The record between whose digests the name's lies, so that it does not exist.
    fn around(&self, name: &Name) -> Result<Option<&NSEC3>, Exhausted> {
        let Some(digest) = self.digest(name)? else {
            return Ok(None);
        };
        let covers = |link: &&Link<'_>| {
            if link.from < link.to {
                link.from < digest && digest < link.to
            } else {
                // The last of the zone: its next is the first.
                link.from < digest || digest < link.to
            }
        };
        Ok(self.links.iter().find(covers).map(|link| link.data))
    }

    fn digest(&self, name: &Name) -> Result<Option<String>, Exhausted> {
        self.work.compute_a_digest()?;
        Ok(self.links.first().and_then(|link| {
            let data = link.data;
            let digest = data
                .hash_algorithm()
                .hash(data.salt(), name, data.iterations());
            digest.ok().map(|digest| base32(digest.as_ref()))
        }))
    }
}

/// RFC 4648 s7, lower case, without padding: as in the names of NSEC3 records.
fn base32(octets: &[u8]) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let mut text = String::with_capacity(octets.len() * 8 / 5 + 1);
    let mut bits = 0_u32;
    let mut length = 0_u32;
    let digit = |bits: u32| {
        let index = usize::try_from(bits & 31).unwrap_or(0);
        DIGITS.get(index).copied().map_or('0', char::from)
    };
    for octet in octets {
        bits = (bits << 8) | u32::from(*octet);
        length += 8;
        while length >= 5 {
            length -= 5;
            text.push(digit(bits >> length));
        }
        bits &= (1 << length) - 1;
    }
    if length > 0 {
        text.push(digit(bits << (5 - length)));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use hickory_proto::dnssec::Nsec3HashAlgorithm;

    use super::*;

    const NONE: Denial = Denial::NotProven;

    fn name(text: &str) -> Name {
        Name::from_str(text).unwrap()
    }

    fn digest_of(text: &str, iterations: u16) -> Vec<u8> {
        let digest = Nsec3HashAlgorithm::SHA1.hash(&[7], &name(text), iterations);
        digest.unwrap().as_ref().to_vec()
    }

    /// The octets as a number, and one more or less.
    fn beside(mut digest: Vec<u8>, step: u8) -> Vec<u8> {
        let last = digest.last_mut().unwrap();
        *last = last.wrapping_add(step);
        digest
    }

    /// A zone `test`, whose records are, one by one: at a name, with types; or just around one.
    struct Zone {
        opt_out: bool,
        iterations: u16,
        records: Vec<(Name, NSEC3)>,
    }

    impl Zone {
        fn new() -> Self {
            Self {
                opt_out: false,
                iterations: 1,
                records: Vec::new(),
            }
        }

        fn record(mut self, from: &[u8], to: Vec<u8>, types: &[RecordType]) -> Self {
            let owner = name("test.").prepend_label(base32(from).as_str()).unwrap();
            let types = types.iter().copied();
            let hash = Nsec3HashAlgorithm::SHA1;
            let data = NSEC3::new(hash, self.opt_out, self.iterations, vec![7], to, types);
            self.records.push((owner, data));
            self
        }

        fn at(self, text: &str, types: &[RecordType]) -> Self {
            let digest = digest_of(text, self.iterations);
            let next = beside(digest.clone(), 1);
            self.record(&digest, next, types)
        }

        fn around(self, text: &str) -> Self {
            let digest = digest_of(text, self.iterations);
            let before = beside(digest.clone(), 255);
            self.record(&before, beside(digest, 1), &[])
        }

        fn opt_out(mut self) -> Self {
            self.opt_out = true;
            self
        }

        fn absence(&self, asked: &str, kind: RecordType) -> Denial {
            self.with(|proofs| proofs.absence(&name(asked), kind).unwrap())
        }

        fn with<T>(&self, then: impl FnOnce(&Nsec3Proofs<'_>) -> T) -> T {
            let proofs: Vec<_> = self
                .records
                .iter()
                .map(|(owner, data)| Nsec3Proof { owner, data })
                .collect();
            let work = Work::of_one_lookup();
            then(&Nsec3Proofs::of(&proofs, &name("test."), &work))
        }
    }

    const APEX: &[RecordType] = &[RecordType::SOA, RecordType::NS];

    #[test]
    fn c3_absence_is_what_the_zone_has_signed_and_no_more() {
        use RecordType::{A, CNAME, DS, NS, TLSA};
        let host = || Zone::new().at("mx.test.", &[A]);
        assert_eq!(host().absence("mx.test.", TLSA), Denial::Proven);
        assert_eq!(host().absence("mx.test.", A), NONE);
        assert_eq!(host().absence("my.test.", TLSA), NONE);
        let alias = Zone::new().at("mx.test.", &[CNAME]);
        assert_eq!(alias.absence("mx.test.", TLSA), NONE);

        let nowhere = || Zone::new().at("test.", APEX).around("no.test.");
        assert_eq!(nowhere().absence("x.no.test.", A), NONE);
        let whole = nowhere().around("*.test.");
        assert_eq!(whole.absence("no.test.", A), Denial::Proven);
        assert_eq!(whole.absence("x.no.test.", A), Denial::Proven);
        assert_eq!(whole.absence("yes.test.", A), NONE);
        let wildcard = nowhere().at("*.test.", &[A]);
        assert_eq!(wildcard.absence("no.test.", TLSA), Denial::Proven);
        assert_eq!(wildcard.absence("no.test.", A), NONE);

        let plain = Zone::new().at("d.test.", &[NS]);
        assert_eq!(plain.absence("d.test.", DS), Denial::UnsignedDelegation);
        assert_eq!(plain.absence("d.test.", A), NONE);
        assert_eq!(Zone::new().absence("d.test.", DS), NONE);
    }

    #[test]
    fn c1_opting_out_excuses_only_what_is_right_below_what_exists() {
        use RecordType::{DS, NS, TLSA};
        let zone = Zone::new().at("test.", APEX).opt_out().around("d.test.");
        assert_eq!(zone.absence("d.test.", DS), Denial::PerhapsUnsigned);
        assert_eq!(zone.absence("x.d.test.", TLSA), Denial::PerhapsUnsigned);

        // `s.test` is signed. That digests of names below it lie in a range that opts out says nothing: else
        // whoever is on the way could have every signed domain counted as unsigned.
        let forged = Zone::new()
            .at("test.", APEX)
            .at("s.test.", &[NS, DS])
            .opt_out()
            .around("_25._tcp.mx.s.test.")
            .around("mx.s.test.");
        assert_eq!(forged.absence("mx.s.test.", DS), NONE);
        assert_eq!(forged.absence("_25._tcp.mx.s.test.", TLSA), NONE);
        let forged = Zone::new().at("test.", APEX).opt_out().around("mx.s.test.");
        assert_eq!(forged.absence("mx.s.test.", DS), NONE);
    }

    #[test]
    fn a_zone_that_costs_too_much_counts_as_unsigned() {
        let mut zone = Zone::new();
        zone.iterations = ITERATIONS_MAX + 1;
        let zone = zone.at("mx.test.", &[]);
        let denial = zone.absence("mx.test.", RecordType::TLSA);
        assert_eq!(denial, Denial::PerhapsUnsigned);
    }

    #[test]
    fn c1_a_wildcards_answer_needs_that_nothing_is_closer() {
        let closer = |zone: &Zone| {
            zone.with(|proofs| proofs.nothing_closer(&name("x.no.test."), 1).unwrap())
        };
        assert_eq!(closer(&Zone::new().around("no.test.")), Denial::Proven);
        assert_eq!(closer(&Zone::new().around("x.no.test.")), NONE);
        let perhaps = Zone::new().opt_out().around("no.test.");
        assert_eq!(closer(&perhaps), Denial::PerhapsUnsigned);
    }

    #[test]
    fn digests_are_written_as_in_rfc_5155() {
        // H(example) and H(a.example) of RFC 5155 appendix A.
        let digest = |text| {
            let salt = [0xaa, 0xbb, 0xcc, 0xdd];
            let digest = Nsec3HashAlgorithm::SHA1.hash(&salt, &name(text), 12);
            base32(digest.unwrap().as_ref())
        };
        assert_eq!(digest("example."), "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom");
        assert_eq!(digest("a.example."), "35mthgpgcu1qg68fab165klnsnk3dpvl");
    }
}
