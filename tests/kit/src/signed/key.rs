//! A zone's key, and what it signs.

use std::sync::Arc;

use hickory_proto::{
    dnssec::{
        Algorithm, DigestType, PublicKeyBuf,
        rdata::{DNSKEY, DNSSECRData, DS, RRSIG, SigInput},
    },
    rr::{DNSClass, Name, RData, Record, SerialNumber},
    serialize::binary::{BinEncodable as _, BinEncoder, NameEncoding},
};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};

use super::zone::{Delegation, SignatureFault, ZoneError};

// RFC 4034 s3.1.5: these are numbers of 32 bits that wrap, and a validator compares them around its own
// now: what is more than 68 years off lies on the other side. So no signature is valid for ever. These
// are right for every test that is run from 2020-01-02 to 2078-01-01, and one that has expired, or is
// not valid yet, is so through all that time, by either way of comparing.
/// 2010-01-01.
const INCEPTION: u32 = 1_262_304_000;
/// 2078-01-10, less than 2^31 seconds later.
const EXPIRATION: u32 = 3_408_998_400;
/// 2020-01-01, for a signature that has expired.
const EXPIRED: u32 = 1_577_836_800;
/// 2079-01-01 and 2087-01-01, for one that is not valid yet.
const LATER: (u32, u32) = (3_439_756_800, 3_692_217_600);

/// An algorithm number that is given to none.
const UNKNOWN_ALGORITHM: u8 = 200;

/// The one key of a zone: it signs the keys and all else (ECDSA P-256, RFC 6605).
pub(super) struct ZoneKey {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    pub(super) public: DNSKEY,
    tag: u16,
}

impl ZoneKey {
    pub(super) fn generate() -> Result<Arc<Self>, ZoneError> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document =
            EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| ZoneError::Key)?;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random)
            .map_err(|_| ZoneError::Key)?;
        // RFC 6605 s4: the point without the octet that says it is not compressed.
        let point = pair.public_key().as_ref().get(1..).ok_or(ZoneError::Key)?;
        let public = PublicKeyBuf::new(point.to_vec(), Algorithm::ECDSAP256SHA256);
        let public = DNSKEY::new(true, true, false, public);
        let tag = public.calculate_key_tag()?;
        Ok(Arc::new(Self {
            pair,
            random,
            public,
            tag,
        }))
    }

    /// The DS record for this key, of the zone `apex`.
    pub(super) fn delegation_signer(
        &self,
        apex: &Name,
        delegation: Delegation,
    ) -> Result<Option<DS>, ZoneError> {
        let digest = self.public.to_digest(apex, DigestType::SHA256)?;
        let algorithm = match delegation {
            Delegation::Insecure => return Ok(None),
            Delegation::OtherKey => {
                return Self::generate()?.delegation_signer(apex, Delegation::Secure);
            }
            Delegation::Secure => Algorithm::ECDSAP256SHA256,
            Delegation::UnknownAlgorithm => Algorithm::Unknown(UNKNOWN_ALGORITHM),
        };
        Ok(Some(DS::new(
            self.tag,
            algorithm,
            DigestType::SHA256,
            digest.as_ref().to_vec(),
        )))
    }

    /// The signature over the records of one name and type, all with the same time to live; none where
    /// that is the fault.
    pub(super) fn sign(
        &self,
        apex: &Name,
        records: &[Record],
        fault: Option<SignatureFault>,
    ) -> Result<Option<Record>, ZoneError> {
        let Some(first) = records.first() else {
            return Ok(None);
        };
        let (inception, expiration) = match fault {
            Some(SignatureFault::Absent) => return Ok(None),
            Some(SignatureFault::Expired) => (INCEPTION, EXPIRED),
            Some(SignatureFault::NotYetValid) => LATER,
            Some(SignatureFault::Altered) | None => (INCEPTION, EXPIRATION),
        };
        let input = SigInput {
            type_covered: first.record_type(),
            algorithm: Algorithm::ECDSAP256SHA256,
            num_labels: first.name.num_labels(),
            original_ttl: first.ttl,
            sig_expiration: SerialNumber::new(expiration),
            sig_inception: SerialNumber::new(inception),
            key_tag: self.tag,
            signer_name: apex.clone(),
        };
        let mut signed = to_be_signed(&input, records)?;
        if fault == Some(SignatureFault::Altered)
            && let Some(octet) = signed.last_mut()
        {
            // What was signed is not what is shown.
            *octet ^= 1;
        }
        let signature = self
            .pair
            .sign(&self.random, &signed)
            .map_err(|_| ZoneError::Key)?;
        let data = RRSIG::from_sig(input, signature.as_ref().to_vec());
        let data = RData::DNSSEC(DNSSECRData::RRSIG(data));
        Ok(Some(Record::from_rdata(
            first.name.clone(),
            first.ttl,
            data,
        )))
    }
}

/// RFC 4034 s3.1.8.1: the signature's own data, then the records in canonical form and order. Written
/// here, and not left to the library: a validator made with the same library would share its mistakes.
fn to_be_signed(input: &SigInput, records: &[Record]) -> Result<Vec<u8>, ZoneError> {
    let mut values = records
        .iter()
        .map(|record| canonical_value(&record.data))
        .collect::<Result<Vec<_>, _>>()?;
    // RFC 4034 s6.3: by their octets, and each once.
    values.sort_unstable();
    values.dedup();
    let mut signed = Vec::new();
    let mut encoder = BinEncoder::new(&mut signed);
    encoder.set_name_encoding(NameEncoding::UncompressedLowercase);
    input.emit(&mut encoder)?;
    for value in values {
        let Some(first) = records.first() else {
            break;
        };
        first.name.emit(&mut encoder)?;
        input.type_covered.emit(&mut encoder)?;
        DNSClass::IN.emit(&mut encoder)?;
        encoder.emit_u32(input.original_ttl)?;
        let length = u16::try_from(value.len()).map_err(|_| ZoneError::Key)?;
        encoder.emit_u16(length)?;
        encoder.emit_vec(&value)?;
    }
    Ok(signed)
}

/// A value's octets, its names in lower case and not compressed (RFC 4034 s6.2).
pub(super) fn canonical_value(data: &RData) -> Result<Vec<u8>, ZoneError> {
    let mut octets = Vec::new();
    let mut encoder = BinEncoder::new(&mut octets);
    encoder.set_canonical_form(true);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    data.emit(&mut encoder)?;
    Ok(octets)
}
