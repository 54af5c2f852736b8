//! DANE-TA: whether a server's certificate comes from an authority that the domain names.
//!
//! The authority is one of the certificates that the server sent, in whatever order, or it is published
//! whole and need not be sent. From it down to the server's certificate everything must hold; what
//! stands above it does not matter, and the public authorities play no part (RFC 7672 s3.1.2). The ways
//! are found here, by names, within bounds; `path` says what one of them is worth.

use rustls::pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::{
    TlsaPolicy, TlsaRecord,
    certificate::Authority,
    names::CountedNames,
    path::{Between, Leaf, Path, Worth},
    tlsa::Published,
    verdict::{Match, Matched, NAME_MISMATCH, NO_MATCH, NotJudged, Trouble, matching},
};
use crate::{
    clock::Timestamp,
    policy::{
        bundle::{Bundle, WAYS_MAX},
        certificate::Parts,
    },
};

/// How many authorities are tried. A key that is published without a name is one for each name that it
/// could have.
const AUTHORITIES_MAX: usize = 64;

/// How many signatures are checked for one chain, at most. Each takes about a tenth of a millisecond.
const SIGNATURES_MAX: usize = 100;

/// Why a chain does not lead to an authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoWay {
    /// It does not, and that is the domain's or its server's doing: at least one trouble.
    Failed(Vec<Trouble>),
    /// It may, for another library.
    NotJudged(NotJudged),
}

/// Looks for a way from the server's certificate to an authority of a record of usage 2.
pub(super) fn verify<'a>(
    policy: &'a TlsaPolicy,
    leaf: &[u8],
    others: &[&[u8]],
    at: Timestamp,
) -> Result<Match<'a>, NoWay> {
    search(policy, leaf, others, at, &mut Effort::default())
}

/// What a search has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Effort {
    /// Ways followed by name, whole or not.
    ways: usize,
    /// Signatures checked, at most.
    signatures: usize,
}

fn search<'a>(
    policy: &'a TlsaPolicy,
    leaf: &[u8],
    others: &[&[u8]],
    at: Timestamp,
    effort: &mut Effort,
) -> Result<Match<'a>, NoWay> {
    let no_match = || NoWay::Failed(vec![NO_MATCH]);
    if !policy.set.usable().any(|record| record.usage == 2) {
        return Err(no_match());
    }
    let parts = Parts::of(leaf).ok_or_else(no_match)?;
    let bundle = Bundle::behind(leaf, &parts, others);
    let names = names_of_issuers(&parts, &bundle);
    let (candidates, left_out) = candidates(policy, &bundle, &names);
    let is_cut = bundle.is_cut || left_out;
    if candidates.is_empty() {
        return Err(match is_cut {
            true => NoWay::NotJudged(NotJudged::Crowd),
            false => no_match(),
        });
    }
    let Ok((_, read)) = X509Certificate::from_der(leaf) else {
        return Err(NoWay::NotJudged(NotJudged::Encoding));
    };
    let leaf = Leaf {
        der: CertificateDer::from(leaf),
        read,
    };
    let between = bundle.kept.iter().map(|sent| {
        let read = X509Certificate::from_der(sent.der).ok();
        Between::new(*sent, read.map(|(_, certificate)| certificate))
    });
    let between: Vec<Between<'_>> = between.collect();
    let mut search = Search {
        leaf: &leaf,
        candidates: &candidates,
        between: &between,
        at,
        effort,
        worst: is_cut.then_some(Failure::NotJudged(NotJudged::Crowd)),
    };
    let found = search.follow(parts.issuer, &mut Vec::new());
    let worst = search.worst;
    let is_named = CountedNames::of(&leaf.read).include_one_of(&policy.reference_names);
    let mut troubles = match is_named {
        true => Vec::new(),
        false => vec![NAME_MISMATCH],
    };
    match (found, worst) {
        (Some(candidate), _) if troubles.is_empty() => Ok(Match {
            record: candidate.record,
            matched: candidate.matched,
        }),
        (Some(_), _) => Err(NoWay::Failed(troubles)),
        // Whoever judges it, it carries none of the names.
        (None, Some(Failure::NotJudged(_))) if !is_named => Err(NoWay::Failed(troubles)),
        (None, Some(Failure::NotJudged(why))) => Err(NoWay::NotJudged(why)),
        (None, Some(Failure::OutOfDate(dates))) => {
            troubles.extend(dates);
            Err(NoWay::Failed(troubles))
        }
        (None, None) => Err(no_match()),
    }
}

/// By what names the issuers of the certificates go, each once.
fn names_of_issuers<'c>(leaf: &Parts<'c>, bundle: &Bundle<'c>) -> Vec<&'c [u8]> {
    let mut names = vec![leaf.issuer];
    for sent in &bundle.kept {
        if !names.contains(&sent.parts.issuer) {
            names.push(sent.parts.issuer);
        }
    }
    names
}

/// An authority that a record names.
struct Candidate<'a, 'c> {
    record: &'a TlsaRecord,
    matched: Matched,
    authority: Authority<'c>,
}

/// The authorities that a path may end at, and whether there are more.
fn candidates<'a: 'c, 'c>(
    policy: &'a TlsaPolicy,
    bundle: &Bundle<'c>,
    names: &[&'c [u8]],
) -> (Vec<Candidate<'a, 'c>>, bool) {
    let of_sent = bundle.kept.iter().filter_map(|sent| {
        let record = matching(policy, 2, sent.der)?;
        Some(Candidate {
            record,
            matched: Matched::Sent(sent.number),
            authority: Authority::from_certificate(sent.der)?,
        })
    });
    let of_published = policy.set.published().flat_map(|(record, published)| {
        let (certificate, key_names) = match published {
            Published::Authority(authority) => (Some(authority), &[][..]),
            Published::Key => (None, names),
        };
        let was_sent = |der: &[u8]| bundle.kept.iter().any(|sent| sent.der == der);
        let whole = certificate.filter(|_| !was_sent(&record.association));
        let whole = whole.map(|authority| Candidate {
            record,
            matched: Matched::PublishedCertificate,
            authority: authority.lend(),
        });
        let keys = key_names.iter().filter_map(|name| {
            let nameless = !has_certificate(&record.association, name, policy, bundle);
            Some(Candidate {
                record,
                matched: Matched::PublishedKey,
                authority: Authority::from_key(&record.association, name).filter(|_| nameless)?,
            })
        });
        whole.into_iter().chain(keys)
    });
    let mut all = of_sent.chain(of_published);
    let candidates = all.by_ref().take(AUTHORITIES_MAX).collect();
    (candidates, all.next().is_some())
}

/// Whether a key goes by this name in a certificate that was sent or is published.
// OURS: it is then held to the dates and constraints of that certificate, as it is by OpenSSL.
fn has_certificate(key: &[u8], name: &[u8], policy: &TlsaPolicy, bundle: &Bundle<'_>) -> bool {
    let is_it = |parts: Parts<'_>| parts.subject == name && parts.public_key == key;
    // Also one that may not sign: then its key may not.
    let mut whole = policy
        .set
        .usable()
        .filter(|record| (record.usage, record.selector, record.matching) == (2, 0, 0));
    let published = whole.any(|record| Parts::of(&record.association).is_some_and(is_it));
    published || bundle.kept.iter().any(|sent| is_it(sent.parts))
}

/// Why the ways that were tried do not hold: the last of these that was met.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    /// It is nothing but dates.
    OutOfDate(Vec<Trouble>),
    /// One of them cannot be judged; so nothing is said against the chain.
    NotJudged(NotJudged),
}

/// All that a way is looked for in.
struct Search<'s, 'a, 'c> {
    leaf: &'s Leaf<'c>,
    candidates: &'s [Candidate<'a, 'c>],
    between: &'s [Between<'c>],
    at: Timestamp,
    effort: &'s mut Effort,
    worst: Option<Failure>,
}

impl<'s, 'a, 'c> Search<'s, 'a, 'c> {
    /// The authority of the first way that holds, of those that go on from here. `issuer` is the name
    /// that the last certificate has for its issuer.
    fn follow(
        &mut self,
        issuer: &[u8],
        way: &mut Vec<&'s Between<'c>>,
    ) -> Option<&'s Candidate<'a, 'c>> {
        let candidates = self.candidates;
        for candidate in candidates {
            if candidate.authority.anchor.subject.as_ref() == issuer && self.holds(way, candidate) {
                return Some(candidate);
            }
        }
        let between = self.between;
        for next in between {
            let leads_on = next.sent.parts.subject == issuer
                && !way.iter().any(|earlier| is_same_authority(earlier, next));
            if !leads_on {
                continue;
            }
            if self.effort.ways == WAYS_MAX {
                self.fail(Failure::NotJudged(NotJudged::Crowd));
                return None;
            }
            self.effort.ways += 1;
            way.push(next);
            let found = self.follow(next.sent.parts.issuer, way);
            way.pop();
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn holds(&mut self, way: &[&'s Between<'c>], candidate: &'s Candidate<'a, 'c>) -> bool {
        let path = Path {
            leaf: self.leaf,
            between: way,
            authority: &candidate.authority,
        };
        let signatures = self.effort.signatures + path.cost();
        if signatures > SIGNATURES_MAX {
            self.fail(Failure::NotJudged(NotJudged::Crowd));
            return false;
        }
        self.effort.signatures = signatures;
        match path.worth(self.at) {
            Worth::Holds => return true,
            Worth::OutOfDate(troubles) => self.fail(Failure::OutOfDate(troubles)),
            Worth::NotJudged(why) => self.fail(Failure::NotJudged(why)),
            Worth::Broken => {}
        }
        false
    }

    fn fail(&mut self, failure: Failure) {
        let is_worse = match (&self.worst, &failure) {
            (None, _) => true,
            (Some(Failure::OutOfDate(_)), Failure::NotJudged(_)) => true,
            (Some(_), _) => false,
        };
        if is_worse {
            self.worst = Some(failure);
        }
    }
}

/// Whether two certificates are of one name and one key: no way leads through both (RFC 4158 s5.2).
fn is_same_authority(one: &Between<'_>, other: &Between<'_>) -> bool {
    let (one, other) = (&one.sent.parts, &other.sent.parts);
    one.subject == other.subject && one.public_key == other.public_key
}

#[cfg(test)]
mod tests;
