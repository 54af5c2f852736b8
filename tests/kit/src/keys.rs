//! Keys to sign report mail with, in the form an operator would have made them with `openssl`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    rand::{SecureRandom as _, SystemRandom},
    signature::{Ed25519KeyPair, KeyPair as _},
};
use rsa::{
    RsaPrivateKey,
    pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding},
};

/// A DKIM key: its private half for the signer, its public half for the DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DkimKey {
    /// PKCS#8, PEM.
    pub private_pem: String,
    /// The text of the record at `SELECTOR._domainkey.DOMAIN`.
    pub txt: String,
}

/// The machine: it gave no random numbers, or no key came of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no key could be made: {0}")]
pub struct KeyError(String);

/// PKCS#8 version 1 of an Ed25519 key, up to the 32 octets of the seed (RFC 8410 s7).
const ED25519_PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

impl DkimKey {
    /// A new RSA key of 2048 bits.
    ///
    /// # Errors
    /// The machine gives no random numbers.
    pub fn rsa() -> Result<Self, KeyError> {
        let failed = |error: &dyn std::error::Error| KeyError(error.to_string());
        let key =
            RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).map_err(|error| failed(&error))?;
        let pem = key
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|error| KeyError(error.to_string()))?;
        let public = key
            .to_public_key()
            .to_public_key_der()
            .map_err(|error| KeyError(error.to_string()))?;
        Ok(Self {
            private_pem: pem.as_str().to_owned(),
            txt: format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(public.as_bytes())),
        })
    }

    /// A new Ed25519 key.
    ///
    /// # Errors
    /// The machine gives no random numbers.
    pub fn ed25519() -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        SystemRandom::new()
            .fill(&mut seed)
            .map_err(|error| KeyError(error.to_string()))?;
        let key = Ed25519KeyPair::from_seed_unchecked(&seed)
            .map_err(|error| KeyError(error.to_string()))?;
        let mut der = ED25519_PKCS8_PREFIX.to_vec();
        der.extend_from_slice(&seed);
        // RFC 8463 s4.2: the record holds the 32 octets of the key itself.
        let public = STANDARD.encode(key.public_key().as_ref());
        Ok(Self {
            private_pem: format!(
                "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
                STANDARD.encode(der)
            ),
            txt: format!("v=DKIM1; k=ed25519; p={public}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use ring::{
        digest::{SHA256, digest},
        signature::{RSA_PKCS1_SHA256, RsaKeyPair},
    };

    use super::*;
    use crate::dkim::verify;

    const BODY: &str = "Hello.\r\n";

    fn der_of(pem: &str) -> Vec<u8> {
        let base64: String = pem
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .collect();
        STANDARD.decode(base64).unwrap()
    }

    /// A message whose From alone is signed, in simple canonical form.
    fn signed(algorithm: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
        let from = "From: a@sender.test\r\n";
        let body_hash = STANDARD.encode(digest(&SHA256, BODY.as_bytes()));
        let unsigned = format!(
            "DKIM-Signature: v=1; a={algorithm}; d=sender.test; s=key; h=From; bh={body_hash}; b="
        );
        let signature = STANDARD.encode(sign(format!("{from}{unsigned}").as_bytes()));
        format!("{unsigned}{signature}\r\n{from}\r\n{BODY}")
    }

    #[test]
    fn the_public_half_verifies_what_the_private_half_signs() {
        let key = DkimKey::rsa().unwrap();
        let message = signed("rsa-sha256", |text| {
            let pair = RsaKeyPair::from_pkcs8(&der_of(&key.private_pem)).unwrap();
            let mut signature = vec![0; pair.public().modulus_len()];
            pair.sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                text,
                &mut signature,
            )
            .unwrap();
            signature
        });
        let results = verify(message.as_bytes(), |_| Some(key.txt.clone()));
        assert!(results[0].is_ok(), "{results:?}");

        let key = DkimKey::ed25519().unwrap();
        let message = signed("ed25519-sha256", |text| {
            let der = der_of(&key.private_pem);
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).unwrap();
            pair.sign(digest(&SHA256, text).as_ref()).as_ref().to_vec()
        });
        let results = verify(message.as_bytes(), |_| Some(key.txt.clone()));
        assert!(results[0].is_ok(), "{results:?}");
    }
}
