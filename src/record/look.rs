//! What a look at a mail host comes to: what a session with it would be, were its policy demanded.
//!
//! The look goes as far as the TLS handshake, with a library of our own, which accepts less than the
//! MTA's may: no TLS before 1.2, no SHA-1, no short keys. What only our library refuses is no failure
//! of the host. It is then not known what a session comes to ([`Observed::NoSession`]); only what a
//! host did to any client is held against it.
// OURS: docs/decisions/0010-postfix.md.

use std::{net::IpAddr, time::Duration};

use rustls::{
    CertificateError, Error, RootCertStore,
    client::verify_server_cert_signed_by_trust_anchor,
    crypto::ring,
    pki_types::{CertificateDer, UnixTime},
    server::ParsedCertificate,
};
use sealpost_plugin_api::{Facts, StartTls, Verification};

use super::{
    certificate::Leaf,
    classify::{Observed, classify},
};
use crate::{
    clock::Timestamp,
    policy::{MxHost, bundle::Bundle, certificate::Parts},
};

/// What a look saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// No address let us speak: there is none, none may be spoken to, or none greeted us. In words for
    /// the log, harmless.
    Nothing(String),
    /// It answered our EHLO.
    Host {
        /// The address that was connected to.
        address: IpAddr,
        /// What it called itself in its reply; harmless.
        helo: Option<String>,
        /// How far TLS went.
        tls: TlsSeen,
    },
}

/// How far TLS went in a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsSeen {
    /// The EHLO reply did not list STARTTLS, or only HELO was understood.
    NotOffered,
    /// The command STARTTLS was refused.
    Refused,
    /// The handshake failed, and that was the host's doing.
    HandshakeFailed(HandshakeFault),
    /// TLS was up. The certificates as the host showed them, its own first, DER; none was checked.
    Established(Vec<CertificateDer<'static>>),
    /// What an MTA would have met is not known: the time was over, or our own TLS library gave up. In
    /// words for the log, harmless.
    NotKnown(String),
}

/// How a host made the TLS handshake fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFault {
    /// It said something that is not TLS.
    NotTls,
    /// It hung up, or ended the handshake with an alert that is not about what we offered.
    BrokenOff,
}

/// What a session with the host would come to. `host` is the name that the certificate must carry,
/// `roots` are trusted, `at` is now.
#[must_use]
pub fn observe(seen: &Seen, host: &MxHost, roots: &RootCertStore, at: Timestamp) -> Observed {
    let Seen::Host { tls, .. } = seen else {
        return Observed::NoSession;
    };
    let facts = match tls {
        TlsSeen::NotKnown(_) => return Observed::NoSession,
        TlsSeen::Established(chain) => return established(chain, host, roots, at),
        TlsSeen::NotOffered => Facts::new(StartTls::NotOffered),
        TlsSeen::Refused => Facts::new(StartTls::Refused),
        TlsSeen::HandshakeFailed(HandshakeFault::NotTls) => {
            Facts::new(StartTls::HandshakeFailed).with_error("InvalidContentType")
        }
        TlsSeen::HandshakeFailed(HandshakeFault::BrokenOff) => {
            Facts::new(StartTls::HandshakeFailed)
        }
    };
    classify(&facts, Some(host), at)
}

/// What a chain of certificates comes to that a host showed, its own first.
#[must_use]
pub fn established(
    chain: &[CertificateDer<'_>],
    host: &MxHost,
    roots: &RootCertStore,
    at: Timestamp,
) -> Observed {
    let own = chain.split_first();
    let Some((der, leaf, others)) =
        own.and_then(|(der, others)| Leaf::from_der(der).map(|leaf| (der, leaf, others)))
    else {
        return Observed::NoSession;
    };
    let facts = Facts::new(StartTls::Established).with_leaf_der(der);
    let trust = trust(der, &leaf, others, roots, at);
    let facts = match trust {
        Trust::Holds => facts.with_verification(Verification::Passed),
        Trust::OutOfDate => facts.with_verification(Verification::Failed),
        Trust::Fails(words) => facts
            .with_verification(Verification::Failed)
            .with_error(words),
        Trust::NotKnown => facts,
    };
    match classify(&facts, Some(host), at) {
        Observed::Established { troubles } if trust == Trust::NotKnown && troubles.is_empty() => {
            Observed::NoSession
        }
        observed => observed,
    }
}

/// Whether a certificate leads to a trusted root. Its name is another matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// It does, now.
    Holds,
    /// It does but for its own dates.
    OutOfDate,
    /// It does not, in words that [`classify`] knows.
    Fails(&'static str),
    /// Our library cannot tell.
    NotKnown,
}

/// Checks the chain at the moment nearest to now at which the leaf is in date, so that an expired
/// certificate of a stranger is found to be both.
// RFC 8460 s4.3: one session may fail in several ways at once (D3).
fn trust(
    der: &CertificateDer<'_>,
    leaf: &Leaf,
    others: &[CertificateDer<'_>],
    roots: &RootCertStore,
    at: Timestamp,
) -> Trust {
    let when = leaf.nearest_in_date(at);
    let in_time = if when == at {
        Trust::Holds
    } else {
        Trust::OutOfDate
    };
    let sent: Vec<&[u8]> = others.iter().map(AsRef::as_ref).collect();
    let Some(parts) = Parts::of(der) else {
        return Trust::NotKnown;
    };
    let bundle = Bundle::behind(der, &parts, &sent);
    if bundle.is_a_maze(parts.issuer) {
        return Trust::NotKnown;
    }
    let others = bundle
        .kept
        .iter()
        .map(|sent| CertificateDer::from(sent.der));
    let others: Vec<CertificateDer<'_>> = others.collect();
    let Err(error) = verify(der, &others, roots, when) else {
        return in_time;
    };
    if leaf.self_signed {
        return if is_root(der, roots) {
            in_time
        } else {
            Trust::Fails("self-signed")
        };
    }
    let Error::InvalidCertificate(error) = error else {
        return Trust::NotKnown;
    };
    // What was left out may be what is missing.
    if bundle.is_cut {
        return Trust::NotKnown;
    }
    match error {
        // What is out of date only at the leaf's own time says nothing.
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. }
            if when != at =>
        {
            Trust::OutOfDate
        }
        // The leaf is in date, so it is one of its chain (RFC 8460 s4.3.1).
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Trust::Fails("certificate has expired")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Trust::Fails("certificate is not yet valid")
        }
        // A root of the issuer's name whose key did not sign it is another root.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            Trust::Fails("unknown issuer")
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Trust::Fails("certificate not trusted")
        }
        // Algorithms, versions and extensions that our library does not take and another may.
        _ => Trust::NotKnown,
    }
}

fn verify(
    der: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    roots: &RootCertStore,
    when: Timestamp,
) -> Result<(), Error> {
    let certificate = ParsedCertificate::try_from(der)?;
    let seconds = u64::try_from(when.0).unwrap_or(0);
    let algorithms = ring::default_provider().signature_verification_algorithms;
    verify_server_cert_signed_by_trust_anchor(
        &certificate,
        roots,
        others,
        UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
        algorithms.all,
    )
}

/// Whether a self-signed certificate is itself one of the operator's roots. Our library takes no root
/// for a host's own certificate; MTAs do.
fn is_root(der: &CertificateDer<'_>, roots: &RootCertStore) -> bool {
    let mut alone = RootCertStore::empty();
    alone.add(der.clone().into_owned()).is_ok()
        && alone.roots.iter().all(|root| roots.roots.contains(root))
}

#[cfg(test)]
mod tests {
    use sealpost_kit::{Authority, Flaw, Leaf as Certificate};

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000);

    fn seen(tls: TlsSeen) -> Seen {
        Seen::Host {
            address: IpAddr::from([192, 0, 2, 1]),
            helo: None,
            tls,
        }
    }

    fn check(tls: &TlsSeen, roots: &RootCertStore, expected: &str) {
        let host = "mx1.example.org".parse().unwrap();
        let shown = |troubles: Vec<(sealpost_plugin_api::ResultType, Option<&str>)>| {
            let mut shown = String::new();
            for (result, reason) in troubles {
                shown += &format!(" {result}/{}", reason.unwrap_or("-"));
            }
            shown
        };
        let found = match observe(&seen(tls.clone()), &host, roots, NOW) {
            Observed::NoSession => "not known".to_owned(),
            Observed::Established { troubles } => format!("up{}", shown(troubles)),
            Observed::Failed(troubles) => format!("failed{}", shown(troubles)),
        };
        assert_eq!(found, expected, "{tls:?}");
    }

    fn shows(certificate: &Certificate) -> TlsSeen {
        TlsSeen::Established(vec![CertificateDer::from(certificate.der().to_vec())])
    }

    #[test]
    fn d3_each_flaw_of_a_certificate_is_found_and_several_at_once() {
        let authority = Authority::new().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(authority.ca_der()).unwrap();
        let stranger = Authority::new().unwrap();
        let name = "mx1.example.org";
        for (names, flaw, expected) in [
            (name, None, "up"),
            ("*.example.org", None, "up"),
            ("mx2.example.org", None, "up certificate-host-mismatch/-"),
            (name, Some(Flaw::Expired), "up certificate-expired/-"),
            (
                name,
                Some(Flaw::NotYetValid),
                "up certificate-not-trusted/not-yet-valid",
            ),
            (
                name,
                Some(Flaw::SelfSigned),
                "up certificate-not-trusted/self-signed",
            ),
            (
                name,
                Some(Flaw::UnknownAuthority),
                "up certificate-not-trusted/unknown-issuer",
            ),
            (
                name,
                Some(Flaw::CommonNameOnly),
                "up certificate-host-mismatch/-",
            ),
            (
                "mx2.example.org",
                Some(Flaw::Expired),
                "up certificate-host-mismatch/- certificate-expired/-",
            ),
            (
                "mx2.example.org",
                Some(Flaw::UnknownAuthority),
                "up certificate-host-mismatch/- certificate-not-trusted/unknown-issuer",
            ),
        ] {
            let issued = match flaw {
                None => authority.issue(&[names]),
                Some(flaw) => authority.issue_flawed(&[names], flaw),
            };
            check(&shows(&issued.unwrap()), &roots, expected);
        }
        for (flaw, expected) in [
            (
                Flaw::Expired,
                "up certificate-expired/- certificate-not-trusted/unknown-issuer",
            ),
            (
                Flaw::NotYetValid,
                "up certificate-not-trusted/not-yet-valid \
                 certificate-not-trusted/unknown-issuer",
            ),
            (Flaw::SelfSigned, "up certificate-not-trusted/self-signed"),
        ] {
            let issued = stranger.issue_flawed(&[name], flaw).unwrap();
            check(&shows(&issued), &roots, expected);
        }
    }

    #[test]
    fn a_certificate_that_is_a_root_of_the_operator_is_trusted() {
        let authority = Authority::new().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(authority.ca_der()).unwrap();
        // A root is no host's certificate for our library, and has no name at all.
        let shown = || TlsSeen::Established(vec![authority.ca_der()]);
        check(&shown(), &roots, "up certificate-host-mismatch/-");
        check(
            &shown(),
            &RootCertStore::empty(),
            "up certificate-host-mismatch/- certificate-not-trusted/self-signed",
        );
    }

    #[test]
    fn what_our_library_alone_does_not_take_is_not_known() {
        let roots = RootCertStore::empty();
        for chain in [
            vec![],
            vec![CertificateDer::from(vec![])],
            vec![CertificateDer::from(vec![0x30; 40_000])],
        ] {
            check(&TlsSeen::Established(chain), &roots, "not known");
        }
        let why = "received fatal alert: protocol_version".to_owned();
        check(&TlsSeen::NotKnown(why), &roots, "not known");
        let nothing = Seen::Nothing("refused".to_owned());
        let host = "mx1.example.org".parse().unwrap();
        assert_eq!(observe(&nothing, &host, &roots, NOW), Observed::NoSession);
    }

    #[test]
    fn g3_a_crowd_that_signs_itself_is_not_followed_and_not_held_against_the_host() {
        use sealpost_kit::{CertificateKey, Certified, Wish};
        let key = || CertificateKey::ecdsa().unwrap();
        let authority = |name| Certified::self_signed(&Wish::authority(name), &key()).unwrap();
        let of = |all: &[&Certified]| {
            let all = all.iter().map(|of| CertificateDer::from(of.der().to_vec()));
            TlsSeen::Established(all.collect())
        };
        let crowd: Vec<Certified> = (0..15).map(|_| authority("X")).collect();
        let leaf = Wish::server(&["mx1.example.org"]);
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from(authority("Y").der()))
            .unwrap();
        let alone = crowd[0].issue(&leaf, &key()).unwrap();
        let mut sent = vec![&alone];
        check(
            &of(&sent),
            &roots,
            "up certificate-not-trusted/unknown-issuer",
        );
        sent.extend(&crowd);
        check(&of(&sent), &roots, "not known");
        // Below a trusted root others of its name do no harm.
        let root = authority("X");
        roots.add(CertificateDer::from(root.der())).unwrap();
        let good = root.issue(&leaf, &key()).unwrap();
        sent[0] = &good;
        check(&of(&sent), &roots, "up");
    }

    #[test]
    fn d1_a_host_without_tls_has_its_result_type() {
        let roots = RootCertStore::empty();
        for (tls, expected) in [
            (
                TlsSeen::NotOffered,
                "failed starttls-not-supported/starttls-not-offered",
            ),
            (
                TlsSeen::Refused,
                "failed starttls-not-supported/starttls-refused",
            ),
            (
                TlsSeen::HandshakeFailed(HandshakeFault::NotTls),
                "failed validation-failure/not-tls",
            ),
            (
                TlsSeen::HandshakeFailed(HandshakeFault::BrokenOff),
                "failed validation-failure/handshake-failed",
            ),
        ] {
            check(&tls, &roots, expected);
        }
    }

    #[test]
    fn g3_no_certificate_makes_a_panic() {
        let authority = Authority::new().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(authority.ca_der()).unwrap();
        let good = authority.issue(&["mx1.example.org"]).unwrap();
        let host = "mx1.example.org".parse().unwrap();
        let root = authority.ca_der();
        for der in sealpost_kit::mutations(23, &[good.der(), &root]) {
            let chain = vec![CertificateDer::from(der), root.clone()];
            let seen = seen(TlsSeen::Established(chain));
            let _observed = observe(&seen, &host, &roots, NOW);
        }
    }
}
