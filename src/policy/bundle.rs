//! The certificates that a server sent behind its own: which of them a path to an authority can run
//! through.
//!
//! A stranger chose them. Of fifteen that all bear one name each may have signed each other, and whoever
//! tries all orders of them is kept busy for seconds. So only those are kept to which names lead from the
//! server's own certificate, a few of each name, and the ways through them are counted before one is tried.

use super::certificate::{CERTIFICATE_OCTETS_MAX, Parts};

/// How many certificates are looked at. Some servers send a whole bundle of roots.
const SENT_MAX: usize = 64;

/// How many are kept. Real ways have two or three.
const KEPT_MAX: usize = 16;

/// How many are kept of one name. An authority may have two or three certificates for its key, each by
/// another, and for some years two keys.
const OF_ONE_NAME_MAX: usize = 4;

/// How many ways, whole or not, are tried.
pub const WAYS_MAX: usize = 256;

/// How many certificates may stand between the server's own and the authority: as many as rustls-webpki
/// allows.
pub const BETWEEN_MAX: usize = 6;

/// A certificate that was sent behind the server's own.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'c> {
    /// The so-many-eth of what the server sent, its own being number 0.
    pub number: usize,
    /// DER.
    pub der: &'c [u8],
    /// What it is known by.
    pub parts: Parts<'c>,
}

/// Those that a path can run through.
#[derive(Clone, Debug)]
pub struct Bundle<'c> {
    /// In the order in which they were sent, each once.
    pub kept: Vec<Sent<'c>>,
    /// Whether one was left out that a path might have run through: there were too many.
    pub is_cut: bool,
}

impl<'c> Bundle<'c> {
    /// Chooses from what was sent behind a server's own certificate.
    #[must_use]
    pub fn behind(own: &[u8], parts: &Parts<'_>, others: &[&'c [u8]]) -> Self {
        let mut sent: Vec<Sent<'c>> = Vec::new();
        for (number, der) in (1..).zip(others).take(SENT_MAX) {
            // A certificate is not its own issuer, though it be self-signed and sent twice.
            let is_new = *der != own && !sent.iter().any(|earlier| earlier.der == *der);
            if is_new
                && der.len() <= CERTIFICATE_OCTETS_MAX
                && let Some(parts) = Parts::of(der)
            {
                sent.push(Sent { number, der, parts });
            }
        }
        let mut names: Vec<&[u8]> = vec![parts.issuer];
        let mut chosen: Vec<Sent<'c>> = Vec::new();
        let mut is_cut = others.len() > SENT_MAX;
        let mut next = 0;
        while let Some(name) = names.get(next).copied() {
            next += 1;
            let bearers = sent.iter().filter(|each| each.parts.subject == name);
            for (earlier, each) in bearers.enumerate() {
                if earlier == OF_ONE_NAME_MAX || chosen.len() == KEPT_MAX {
                    is_cut = true;
                    break;
                }
                chosen.push(*each);
                if !names.contains(&each.parts.issuer) {
                    names.push(each.parts.issuer);
                }
            }
        }
        chosen.sort_by_key(|each| each.number);
        Self {
            kept: chosen,
            is_cut,
        }
    }

    /// Whether more ways lead through them than are tried. Names are followed here, and nothing else.
    #[must_use]
    pub fn is_a_maze(&self, issuer: &[u8]) -> bool {
        let mut ways = 0;
        self.follow(issuer, &mut Vec::new(), &mut ways);
        ways > WAYS_MAX
    }

    fn follow(&self, issuer: &[u8], way: &mut Vec<usize>, ways: &mut usize) {
        for each in &self.kept {
            if *ways > WAYS_MAX || way.len() == BETWEEN_MAX {
                return;
            }
            if each.parts.subject == issuer && !way.contains(&each.number) {
                *ways += 1;
                way.push(each.number);
                self.follow(each.parts.issuer, way, ways);
                way.pop();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sealpost_kit::{CertificateKey, Certified, Wish};

    use super::*;

    fn authority(name: &str, by: Option<&Certified>) -> Certified {
        let (wish, key) = (Wish::authority(name), CertificateKey::ecdsa().unwrap());
        match by {
            Some(issuer) => issuer.issue(&wish, &key).unwrap(),
            None => Certified::self_signed(&wish, &key).unwrap(),
        }
    }

    fn kept(own: &Certified, sent: &[&Certified]) -> (Vec<usize>, bool, bool) {
        let sent: Vec<&[u8]> = sent.iter().map(|of| of.der()).collect();
        let parts = Parts::of(own.der()).unwrap();
        let bundle = Bundle::behind(own.der(), &parts, &sent);
        let numbers = bundle.kept.iter().map(|of| of.number).collect();
        (numbers, bundle.is_cut, bundle.is_a_maze(parts.issuer))
    }

    #[test]
    fn g3_only_what_names_lead_to_is_kept_and_each_once() {
        let root = authority("root", None);
        let middle = authority("middle", Some(&root));
        let stranger = authority("stranger", None);
        let below = authority("below", Some(&stranger));
        let own = authority("own", Some(&middle));
        let sent = [&stranger, &root, &own, &below, &middle, &root, &middle];
        assert_eq!(kept(&own, &sent), (vec![2, 5], false, false));
        assert_eq!(kept(&own, &[&root]), (vec![], false, false));
        // A bundle of roots in front does not crowd out what matters.
        let roots: Vec<Certified> = (0..40).map(|_| authority("a root", None)).collect();
        let mut sent: Vec<&Certified> = roots.iter().collect();
        sent.extend([&middle, &root]);
        assert_eq!(kept(&own, &sent), (vec![41, 42], false, false));
    }

    #[test]
    fn g3_a_crowd_of_one_name_is_cut_and_rings_of_names_are_a_maze() {
        let crowd: Vec<Certified> = (0..15).map(|_| authority("X", None)).collect();
        let own = authority("own", Some(&crowd[0]));
        let sent: Vec<&Certified> = crowd.iter().collect();
        assert_eq!(kept(&own, &sent), (vec![1, 2, 3, 4], true, false));
        // Four names in a ring, four certificates of each.
        let ring = ["A", "B", "C", "D"];
        let tops: Vec<Certified> = ring.iter().map(|name| authority(name, None)).collect();
        let mut all = Vec::new();
        for (at, name) in ring.iter().enumerate() {
            all.extend((0..4).map(|_| authority(name, Some(&tops[(at + 1) % 4]))));
        }
        let own = authority("own", Some(&tops[0]));
        let sent: Vec<&Certified> = all.iter().collect();
        let (numbers, is_cut, is_a_maze) = kept(&own, &sent);
        assert_eq!((numbers.len(), is_cut, is_a_maze), (16, false, true));
    }
}
