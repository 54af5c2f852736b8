//! The certificate that a mail host shows of itself, as an operator reads it. Nothing is judged here.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

use crate::{
    clock::{SECONDS_PER_DAY, Timestamp},
    ctl::{
        screen::{counted, shown},
        wire::{CertificateView, hexadecimal},
    },
    policy::certificate::{CERTIFICATE_OCTETS_MAX, public_key},
};

/// Of more names no more are shown. A name is at most as long as the DNS lets it be.
const NAMES_MAX: usize = 64;
const NAME_CHARACTERS_MAX: usize = 253;

/// An issuer of more characters is cut.
const ISSUER_CHARACTERS_MAX: usize = 200;

/// The first of the certificates of a chain; nothing where it cannot be read.
pub(super) fn certificate_view(
    chain: &[CertificateDer<'_>],
    now: Timestamp,
) -> Option<CertificateView> {
    let der = chain.first()?;
    if der.len() > CERTIFICATE_OCTETS_MAX {
        return None;
    }
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = certificate.subject_alternative_name().ok().flatten();
    // RFC 8461 s4.2: the common name counts for nothing.
    let names = names.map_or_else(Vec::new, |extension| {
        let all = extension.value.general_names.iter();
        let hosts = all.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(cut(name, NAME_CHARACTERS_MAX)),
            _ => None,
        });
        hosts.take(NAMES_MAX).collect()
    });
    let validity = certificate.validity();
    let not_after = Timestamp(validity.not_after.timestamp());
    let key = public_key(der).unwrap_or_default();
    Some(CertificateView {
        names,
        issuer: cut(&certificate.issuer().to_string(), ISSUER_CHARACTERS_MAX),
        not_before: Timestamp(validity.not_before.timestamp()).to_string(),
        not_after: not_after.to_string(),
        days_left: not_after.seconds_since(now).div_euclid(SECONDS_PER_DAY),
        shown: chain.len(),
        sha256: hexadecimal(digest(&SHA256, der).as_ref()),
        public_key_sha256: hexadecimal(digest(&SHA256, key).as_ref()),
    })
}

fn cut(text: &str, characters_max: usize) -> String {
    text.chars().take(characters_max).collect()
}

/// How many names a line has; `--json` has the others.
const NAMES_SHOWN: usize = 8;

/// The part of the text for people.
pub(super) fn certificate_as_text(text: &mut String, certificate: &CertificateView) {
    let named: Vec<String> = certificate
        .names
        .iter()
        .take(NAMES_SHOWN)
        .map(|name| shown(name))
        .collect();
    let further = certificate.names.len().saturating_sub(NAMES_SHOWN);
    let names = match (named.is_empty(), further) {
        (true, _) => "no host name".to_owned(),
        (false, 0) => named.join(", "),
        (false, further) => format!("{} and {further} more", named.join(", ")),
    };
    let left = match certificate.days_left {
        0 => "less than a day is left".to_owned(),
        left @ 1.. => format!("{} left", counted(left.unsigned_abs(), "day")),
        _ => "it has expired".to_owned(),
    };
    let (from, to) = (
        shown(&certificate.not_before),
        shown(&certificate.not_after),
    );
    let _ = writeln!(
        text,
        "    certificate for {names}\n      \
               issued by {}; {} shown\n      \
               valid from {from} to {to}: {left}\n      \
               SHA-256 of the key {}",
        shown(&certificate.issuer),
        counted(certificate.shown as u64, "certificate"),
        shown(&certificate.public_key_sha256)
    );
}

#[cfg(test)]
mod tests {
    use sealpost_kit::Authority;

    use super::*;

    #[test]
    fn g3_a_certificate_is_shown_as_it_is_and_what_is_none_is_not() {
        let authority = Authority::new().unwrap();
        let leaf = authority
            .issue(&["mx.example.org", "*.example.net"])
            .unwrap();
        let chain = [CertificateDer::from(leaf.der()), authority.ca_der()];
        let now = Timestamp(1_800_000_000);
        let view = certificate_view(&chain, now).unwrap();
        assert_eq!(view.names, ["mx.example.org", "*.example.net"]);
        assert_eq!(view.shown, 2);
        assert_eq!(
            view.public_key_sha256,
            hexadecimal(&leaf.public_key_sha256())
        );
        let der = leaf.der();
        for end in 0..der.len() {
            let torn = CertificateDer::from(der.get(..end).unwrap());
            assert_eq!(certificate_view(&[torn], now), None, "{end}");
        }
        assert_eq!(certificate_view(&[], now), None);
    }
}
