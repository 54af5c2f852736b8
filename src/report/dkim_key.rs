//! The keys that sign report mail.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    error::KeyRejected,
    rand::SystemRandom,
    rsa,
    signature::{self, Ed25519KeyPair, KeyPair as _},
};

use crate::policy::PolicyDomain;

/// A private key and the selector its public half is published under.
pub struct DkimKey {
    selector: String,
    pair: Pair,
}

enum Pair {
    Rsa(Box<rsa::KeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// The operator must act: report mail cannot be signed with this key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DkimKeyError {
    /// The selector is no part of a domain name.
    #[error("\"{0}\" is not a selector: letters, digits and hyphens, parts separated by dots")]
    Selector(String),
    /// The file holds no PEM block.
    #[error("it holds no PEM block: no line \"-----BEGIN PRIVATE KEY-----\"")]
    NotPem,
    /// It holds something else than a private key.
    #[error("it holds a {0}, not a private key")]
    NotPrivate(String),
    /// The key is under a passphrase, and there is nobody to type it.
    #[error(
        "the key is encrypted with a passphrase; decrypt it with \"openssl pkey -in OLD -out NEW\""
    )]
    Encrypted,
    /// A kind of key that DKIM has no algorithm for.
    #[error("it is {0} key; DKIM signs with RSA (2048 to 4096 bits) or Ed25519")]
    Algorithm(&'static str),
    /// RFC 8301 s3.2 demands 1024 bits and advises 2048; we sign with no less.
    #[error("the RSA key has fewer than 2048 bits")]
    TooShort,
    /// Longer than the library signs with, and too long for one TXT string to be practical.
    #[error("the RSA key has more than 4096 bits")]
    TooLong,
    /// The PEM block does not hold what it says.
    #[error("the key is damaged: {0}")]
    Damaged(String),
}

/// Signing failed although the key was accepted. Nobody can act but us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key of selector {selector} could not sign")]
pub struct SigningFailed {
    /// Whose key.
    pub selector: String,
}

impl DkimKey {
    /// Reads a private key: RSA of 2048 to 4096 bits (PKCS#8 or PKCS#1), or Ed25519 (PKCS#8).
    ///
    /// # Errors
    /// When the selector or the key cannot be used.
    pub fn from_pem(selector: &str, pem: &str) -> Result<Self, DkimKeyError> {
        if !is_selector(selector) {
            let shown = super::clean::for_text(selector, 80);
            return Err(DkimKeyError::Selector(shown));
        }
        let block = private_block(pem)?;
        let pair = match block.label {
            "PRIVATE KEY" => pkcs8(&block.der)?,
            "RSA PRIVATE KEY" => Pair::Rsa(Box::new(
                rsa::KeyPair::from_der(&block.der).map_err(rejected)?,
            )),
            "EC PRIVATE KEY" => return Err(DkimKeyError::Algorithm("an elliptic curve (EC)")),
            "DSA PRIVATE KEY" => return Err(DkimKeyError::Algorithm("a DSA")),
            "OPENSSH PRIVATE KEY" => return Err(DkimKeyError::Algorithm("an OpenSSH")),
            "ENCRYPTED PRIVATE KEY" => return Err(DkimKeyError::Encrypted),
            other => return Err(DkimKeyError::NotPrivate(super::clean::for_text(other, 40))),
        };
        Ok(Self {
            selector: selector.to_ascii_lowercase(),
            pair,
        })
    }

    /// The selector (`s=`).
    #[must_use]
    pub fn selector(&self) -> &str {
        &self.selector
    }

    /// The signing algorithm (`a=`).
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "rsa-sha256",
            Pair::Ed25519(_) => "ed25519-sha256",
        }
    }

    /// The name of the TXT record that the public key belongs in: `SELECTOR._domainkey.DOMAIN`.
    #[must_use]
    pub fn record_name(&self, domain: &PolicyDomain) -> String {
        format!("{}._domainkey.{domain}", self.selector)
    }

    /// The TXT record that publishes the public key. Split it into strings of at most 255 octets.
    // RFC 8460 s3: the key should be declared for the service "tlsrpt".
    // OURS: by "s=*". "s=tlsrpt" alone makes verifiers of ordinary mail ignore the key, so that
    // DMARC fails (RFC 6376 s3.6.1), and "s=email:tlsrpt" is not understood by all of them.
    #[must_use]
    pub fn public_record(&self) -> String {
        let public = STANDARD.encode(self.public_key());
        format!("v=DKIM1; k={}; s=*; p={public}", self.kind())
    }

    /// The kind of key, as its record names it (`k=`).
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "rsa",
            Pair::Ed25519(_) => "ed25519",
        }
    }

    /// The public key as its record holds it (`p=`).
    fn public_key(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => subject_public_key_info(pair.public_key().as_ref()),
            // RFC 8463 s4: the 32 octets themselves.
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// Whether a record's `p=` is the public half of this key.
    // RFC 6376 s3.6.1 names the bare RSAPublicKey; everybody publishes SubjectPublicKeyInfo, and
    // verifiers take both.
    pub(super) fn is_public_key(&self, published: &[u8]) -> bool {
        let bare = match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref() == published,
            Pair::Ed25519(_) => false,
        };
        bare || self.public_key() == published
    }

    /// Signs what DKIM hashed: `data` are the canonical header fields.
    pub(super) fn sign(&self, data: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signed = vec![0; pair.public().modulus_len()];
                // The random numbers only blind the computation; the signature is always the same.
                pair.sign(
                    &signature::RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    data,
                    &mut signed,
                )
                .map_err(|_| SigningFailed {
                    selector: self.selector.clone(),
                })?;
                Ok(signed)
            }
            // RFC 8463 s3: Ed25519 signs the SHA-256 hash, not the data.
            Pair::Ed25519(pair) => {
                let hash = ring::digest::digest(&ring::digest::SHA256, data);
                Ok(pair.sign(hash.as_ref()).as_ref().to_vec())
            }
        }
    }
}

impl fmt::Debug for DkimKey {
    /// Says nothing of the private key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DkimKey")
            .field("selector", &self.selector)
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

// RFC 6376 s3.1: sub-domain *( "." sub-domain ).
pub(super) fn is_selector(text: &str) -> bool {
    text.len() <= 200
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
}

struct Block<'a> {
    label: &'a str,
    der: Vec<u8>,
}

/// The first PEM block (RFC 7468) with a private key in it, for a file may begin with parameters or
/// a certificate.
fn private_block(pem: &str) -> Result<Block<'_>, DkimKeyError> {
    let mut first_other = None;
    let mut lines = pem.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = line
            .strip_prefix("-----BEGIN ")
            .and_then(|rest| rest.strip_suffix("-----"))
        else {
            continue;
        };
        if !label.ends_with("PRIVATE KEY") {
            first_other.get_or_insert(label);
            continue;
        }
        let end = format!("-----END {label}-----");
        let mut base64 = String::new();
        loop {
            match lines.next() {
                None => return Err(DkimKeyError::Damaged(format!("no line \"{end}\""))),
                Some(line) if line == end => break,
                // RFC 1421: the old way to encrypt, in a header of the block.
                Some(line) if line.starts_with("Proc-Type:") && line.contains("ENCRYPTED") => {
                    return Err(DkimKeyError::Encrypted);
                }
                Some(line) => base64.push_str(line),
            }
        }
        let der = STANDARD
            .decode(base64)
            .map_err(|error| DkimKeyError::Damaged(format!("its base64: {error}")))?;
        return Ok(Block { label, der });
    }
    Err(first_other.map_or(DkimKeyError::NotPem, |label| {
        DkimKeyError::NotPrivate(super::clean::for_text(label, 40))
    }))
}

fn pkcs8(der: &[u8]) -> Result<Pair, DkimKeyError> {
    // Object identifiers with their tag and length, as they stand in a PKCS#8 file.
    const EC: &[u8] = &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    const ED25519: &[u8] = &[6, 3, 0x2b, 0x65, 0x70];
    const ED448: &[u8] = &[6, 3, 0x2b, 0x65, 0x71];
    // The algorithm stands at the front, before the key's own octets could look like one.
    let front = der.get(..24).unwrap_or(der);
    let names = |oid: &[u8]| front.windows(oid.len()).any(|at| at == oid);
    if names(EC) {
        return Err(DkimKeyError::Algorithm("an elliptic curve (EC)"));
    }
    if names(ED448) {
        return Err(DkimKeyError::Algorithm("an Ed448"));
    }
    if names(ED25519) {
        // "maybe unchecked": OpenSSL leaves out the public key that the strict form compares.
        return Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
            .map(|pair| Pair::Ed25519(Box::new(pair)))
            .map_err(rejected);
    }
    rsa::KeyPair::from_pkcs8(der)
        .map(|pair| Pair::Rsa(Box::new(pair)))
        .map_err(rejected)
}

fn rejected(error: KeyRejected) -> DkimKeyError {
    match error.to_string().as_str() {
        "TooSmall" => DkimKeyError::TooShort,
        "TooLarge" => DkimKeyError::TooLong,
        "WrongAlgorithm" => DkimKeyError::Algorithm("another kind of"),
        other => DkimKeyError::Damaged(other.to_owned()),
    }
}

/// RFC 6376 s3.6.1 with RFC 5280 s4.1.2.7: a `SubjectPublicKeyInfo` about this `RSAPublicKey`.
fn subject_public_key_info(rsa_public_key: &[u8]) -> Vec<u8> {
    const RSA_ENCRYPTION: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
    const NULL: &[u8] = &[5, 0];
    let algorithm = der(0x30, &[RSA_ENCRYPTION, NULL].concat());
    let key = der(0x03, &[&[0], rsa_public_key].concat());
    der(0x30, &[algorithm, key].concat())
}

/// One DER element.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length: Vec<u8> = length.into_iter().skip_while(|octet| *octet == 0).collect();
    let mut element = vec![tag];
    match (length.as_slice(), u8::try_from(length.len())) {
        ([], _) => element.push(0),
        ([short @ 0..=127], _) => element.push(*short),
        (long, Ok(octets)) => {
            element.push(0x80 | octets);
            element.extend_from_slice(long);
        }
        // A length of more than 255 octets does not exist.
        (_, Err(_)) => {}
    }
    element.extend_from_slice(content);
    element
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSA: &str = include_str!("../../tests/golden/keys/rsa2048.pem");
    const RSA_PKCS1: &str = include_str!("../../tests/golden/keys/rsa2048-pkcs1.pem");
    const ED25519: &str = include_str!("../../tests/golden/keys/ed25519.pem");
    const RSA_PUBLIC: &str = include_str!("../../tests/golden/keys/refused/public.pem");

    #[test]
    fn f7_the_record_is_the_public_half() {
        let key = DkimKey::from_pem("Rsa.2024", RSA).unwrap();
        let public: String = RSA_PUBLIC
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect();
        assert_eq!(
            key.public_record(),
            format!("v=DKIM1; k=rsa; s=*; p={public}")
        );
        assert_eq!(key.algorithm(), "rsa-sha256");
        assert_eq!(
            key.record_name(&"sender.example".parse().unwrap()),
            "rsa.2024._domainkey.sender.example"
        );
        let same = DkimKey::from_pem("rsa", RSA_PKCS1).unwrap();
        assert_eq!(same.public_record(), key.public_record());

        let key = DkimKey::from_pem("ed", ED25519).unwrap();
        let record = key.public_record();
        let public = record.strip_prefix("v=DKIM1; k=ed25519; s=*; p=").unwrap();
        assert_eq!(STANDARD.decode(public).unwrap().len(), 32);
    }

    #[test]
    fn f8_a_key_that_cannot_sign_is_refused_with_what_is_wrong() {
        macro_rules! refused {
            ($file:literal) => {
                DkimKey::from_pem(
                    "s",
                    include_str!(concat!("../../tests/golden/keys/refused/", $file)),
                )
                .unwrap_err()
            };
        }
        let curve = DkimKeyError::Algorithm("an elliptic curve (EC)");
        assert_eq!(refused!("rsa1024.pem"), DkimKeyError::TooShort);
        assert_eq!(refused!("ec.pem"), curve);
        assert_eq!(refused!("ec-sec1.pem"), curve);
        assert_eq!(refused!("ed448.pem"), DkimKeyError::Algorithm("an Ed448"));
        assert_eq!(
            refused!("rsa-pss.pem"),
            DkimKeyError::Algorithm("another kind of")
        );
        assert_eq!(refused!("encrypted.pem"), DkimKeyError::Encrypted);
        assert_eq!(refused!("encrypted-pkcs1.pem"), DkimKeyError::Encrypted);
        assert_eq!(
            refused!("public.pem"),
            DkimKeyError::NotPrivate("PUBLIC KEY".to_owned())
        );
    }

    #[test]
    fn a_damaged_file_is_refused_with_what_is_wrong() {
        let refused = |pem: &str| DkimKey::from_pem("s", pem).unwrap_err();
        assert_eq!(refused(""), DkimKeyError::NotPem);
        assert_eq!(refused("MC4CAQAwBQYDK2VwBCIEI"), DkimKeyError::NotPem);
        let cut = RSA.split("-----END").next().unwrap();
        assert!(matches!(refused(cut), DkimKeyError::Damaged(_)));
        for (from, to) in [("MII", "M*I"), ("MII", "AAA")] {
            let broken = RSA.replacen(from, to, 1);
            assert!(matches!(refused(&broken), DkimKeyError::Damaged(_)), "{to}");
        }
    }

    #[test]
    fn a_selector_that_is_no_name_is_refused() {
        for selector in ["", "a b", "a;b", "a\r\nb", ".a", "a.", "-a", "\u{fc}"] {
            assert!(
                matches!(
                    DkimKey::from_pem(selector, ED25519),
                    Err(DkimKeyError::Selector(_))
                ),
                "{selector:?}"
            );
        }
    }

    #[test]
    fn the_private_key_is_not_shown() {
        let shown = format!("{:?}", DkimKey::from_pem("s", ED25519).unwrap());
        assert_eq!(
            shown,
            r#"DkimKey { selector: "s", algorithm: "ed25519-sha256", .. }"#
        );
    }
}
