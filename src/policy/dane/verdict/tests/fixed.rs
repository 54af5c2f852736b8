//! Certificates that do not change, with answers that others gave.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use super::*;

/// A chain that OpenSSL made, PEM.
macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/golden/dane/",
            $name,
            ".pem"
        ))
    };
}

/// ISRG Root X2, and what its makers publish of it. RFC 6698 and RFC 7671 show records without their
/// certificates, so the known answers come from the field.
const ISRG_ROOT_X2: &str = "\
MIICGzCCAaGgAwIBAgIQQdKd0XLq7qeAwSxs6S+HUjAKBggqhkjOPQQDAzBPMQsw\
CQYDVQQGEwJVUzEpMCcGA1UEChMgSW50ZXJuZXQgU2VjdXJpdHkgUmVzZWFyY2gg\
R3JvdXAxFTATBgNVBAMTDElTUkcgUm9vdCBYMjAeFw0yMDA5MDQwMDAwMDBaFw00\
MDA5MTcxNjAwMDBaME8xCzAJBgNVBAYTAlVTMSkwJwYDVQQKEyBJbnRlcm5ldCBT\
ZWN1cml0eSBSZXNlYXJjaCBHcm91cDEVMBMGA1UEAxMMSVNSRyBSb290IFgyMHYw\
EAYHKoZIzj0CAQYFK4EEACIDYgAEzZvVn4CDCuwJSvMWSj5cz3es3mcFDR0HttwW\
+1qLFNvicWDEukWVEYmO6gbf9yoWHKS5xcUy4APgHoIYOIvXRdgKam7mAHf7AlF9\
ItgKbppbd9/w+kHsOdx1ymgHDB/qo0IwQDAOBgNVHQ8BAf8EBAMCAQYwDwYDVR0T\
AQH/BAUwAwEB/zAdBgNVHQ4EFgQUfEKWrt5LSDv6kviejM9ti6lyN5UwCgYIKoZI\
zj0EAwMDaAAwZQIwe3lORlCEwkSHRhtFcP9Ymd70/aTSVaYgLXTWNLxBo1BfASdW\
tL4ndQavEi51mI38AjEAi/V3bNTIZargCyzuFJ0nN6T5U6VR5CmD1/iQMVtCnwr1\
/q4AaOeMSQ+2b1tbFfLn";

#[test]
fn c11_known_answers() {
    let der = STANDARD.decode(ISRG_ROOT_X2).unwrap();
    for (tlsa, expected) in [
        (
            "3 0 1 69729B8E15A86EFC177A57AFB7171DFC64ADD28C2FCA8CF1507E34453CCB1470",
            "301 Leaf",
        ),
        (
            "3 1 1 762195C225586EE6C0237456E2107DC54F1EFC21F61A792EBD515913CCE68332",
            "311 Leaf",
        ),
        (
            "3 1 1 762195C225586EE6C0237456E2107DC54F1EFC21F61A792EBD515913CCE68333",
            NO_MATCH_SHOWN,
        ),
    ] {
        let policy = policy(&[tlsa.parse().unwrap()], &[HOST]);
        assert_eq!(shown(&verify(&policy, &[&der], NOW)), expected, "{tlsa}");
    }
}

/// A server's certificate and its authority, with the digests that OpenSSL makes of them.
#[test]
fn c11_c12_known_answers_of_openssl() {
    let chain = fixed(golden!("known"));
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    let records = include_str!("../../../../../tests/golden/dane/known.tlsa");
    for line in records.lines() {
        let tlsa: Tlsa = line.parse().unwrap();
        let kind = format!("{}{}{}", tlsa.usage, tlsa.selector, tlsa.matching);
        let matched = match tlsa.usage {
            3 => "Leaf",
            _ => "Sent(1)",
        };
        let mut other = tlsa.clone();
        *other.data.last_mut().unwrap() ^= 1;
        let judged = |tlsa: Tlsa| {
            let policy = policy(&[tlsa], &[HOST]);
            shown(&verify(&policy, &chain, NOW))
        };
        assert_eq!(judged(tlsa.clone()), format!("{kind} {matched}"), "{line}");
        assert_ne!(judged(other), format!("{kind} {matched}"), "{line}");
        if tlsa.usage == 2 && tlsa.matching == 0 {
            // The authority is in the record.
            let policy = policy(&[tlsa], &[HOST]);
            let verdict = shown(&verify(&policy, &chain[..1], NOW));
            assert!(verdict.starts_with(&format!("{kind} Published")), "{line}");
        }
    }
    assert_eq!(records.lines().count(), 2 * KINDS.len());
}

/// The certificates of a file of `tests/golden/dane`, the server's own first. OpenSSL made them, and takes
/// them all but that with a critical extension.
fn fixed(pem: &str) -> Vec<Vec<u8>> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
    certificates
        .map(|certificate| certificate.unwrap().to_vec())
        .collect()
}

#[test]
fn d11_nothing_is_said_against_a_chain_that_only_another_library_can_judge() {
    for (pem, expected) in [
        (golden!("ecdsa-sha512"), "not judged: Algorithm"),
        (golden!("sha1"), "not judged: Algorithm"),
        (golden!("p521"), "not judged: Key"),
        (golden!("rsa-1024"), "not judged: Key"),
        (golden!("critical"), "not judged: Extension"),
        (golden!("directory"), "not judged: Constraint"),
        (golden!("uri"), "not judged: Constraint"),
        (golden!("version-1"), "not judged: Version"),
        (golden!("server-authority"), "not judged: AuthorityAsServer"),
        (golden!("long"), "not judged: Length"),
    ] {
        let chain = fixed(pem);
        let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        let authority = chain.last().unwrap();
        let of = |usage: u8, data: &[u8]| Tlsa {
            usage,
            selector: 0,
            matching: 1,
            data: digest(&SHA256, data).as_ref().to_vec(),
        };
        let judged = |tlsa: Tlsa| {
            let policy = policy(&[tlsa], &[HOST]);
            shown(&verify(&policy, &chain, NOW))
        };
        assert_eq!(judged(of(2, authority)), expected, "{expected}");
        // A record of the server's own certificate asks for none of that, and one of a stranger's
        // authority matches nothing whatever the chain is.
        assert_eq!(judged(of(3, chain[0])), "301 Leaf", "{expected}");
        assert_eq!(judged(of(2, b"a stranger")), NO_MATCH_SHOWN, "{expected}");
    }
}
