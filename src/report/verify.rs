//! Whether a DKIM signature of a mail holds (RFC 6376, RFC 8301, RFC 8463), for reports that others sent.
//!
//! A signature names the DNS record of its key; whoever asks for that gives the answer to
//! [`Signature::verify`]. Nothing is asked here.

use ring::{
    digest::{SHA256, digest},
    signature::{
        ED25519, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, UnparsedPublicKey,
        VerificationAlgorithm,
    },
};
use x509_parser::{prelude::FromDer as _, x509::SubjectPublicKeyInfo};

use super::{
    canonical::{Form, field_value, fields_in_order, is_named, split},
    tag_list::{TagList, base64, names},
};
use crate::{clock::Timestamp, observe::printable::excerpt, policy::PolicyDomain};

/// How many signatures of one mail are looked at. Mailing lists and relays add one each.
pub const SIGNATURES_MAX: usize = 16;

/// How many records of one key name are tried.
const RECORDS_MAX: usize = 8;

/// A DKIM-Signature field that says what it must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// `d=`: the domain that signed.
    pub domain: PolicyDomain,
    /// `s=`: its selector.
    pub selector: String,
    /// `x=`: until when the signer stands by it.
    pub expires: Option<Timestamp>,
    /// `h=`: the names of the signed fields, lower case, in the order listed.
    pub signed_fields: Vec<String>,
    algorithm: Algorithm,
    header_form: Form,
    body_form: Form,
    body_hash: Vec<u8>,
    signature: Vec<u8>,
    /// The field itself.
    raw: Vec<u8>,
}

/// A signature that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// `a=`: `rsa-sha256` or `ed25519-sha256`.
    pub algorithm: &'static str,
    /// Is the key declared for the service `tlsrpt`?
    pub service: KeyService,
}

/// What the key's record says it is for (`s=`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyService {
    /// Reports too: `tlsrpt` is listed, or `*`, or nothing, which means `*`.
    Reports,
    /// Other services only.
    Others,
}

/// Why a signature does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// The signer: a tag that must be there is not, or is not of its form.
    #[error("its tag {0}= is missing or malformed")]
    Tag(&'static str),
    /// The signer: an algorithm or a form that is not known, or no longer safe.
    #[error("it is made with {0}, which is not accepted")]
    Unknown(String),
    /// The signer: From is not among the signed fields (RFC 6376 s5.4).
    #[error("it does not cover From")]
    FromNotSigned,
    /// The signer: only a part of the body is signed, which RFC 8460 s3 forbids.
    #[error("it covers only a part of the body (l=), which RFC 8460 s3 forbids")]
    PartOfBody,
    /// The signer's DNS: there is no key of this name. An old mail's key may have been taken out.
    #[error("there is no key at {0}; it may have been replaced since")]
    NoKey(String),
    /// The signer's DNS: the key record cannot be used, for this reason.
    #[error("the key record cannot be used: {0}")]
    BadKey(&'static str),
    /// The signer or the way: the body is not the one that was signed.
    #[error("the body was changed after it was signed")]
    Body,
    /// The signer or the way: the header is not the one that was signed, or not with this key.
    #[error("the header was changed after it was signed, or another key signed it")]
    Header,
}

impl Broken {
    /// Is it certain that the mail is not as its signer sent it, or that nobody signed it as one must?
    /// A key that is not there any more says nothing of the mail.
    #[must_use]
    pub const fn is_certain(&self) -> bool {
        !matches!(self, Self::NoKey(_))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    RsaSha256,
    Ed25519Sha256,
}

impl Algorithm {
    const fn name(self) -> &'static str {
        match self {
            Self::RsaSha256 => "rsa-sha256",
            Self::Ed25519Sha256 => "ed25519-sha256",
        }
    }

    const fn key_type(self) -> &'static str {
        match self {
            Self::RsaSha256 => "rsa",
            Self::Ed25519Sha256 => "ed25519",
        }
    }
}

/// The message with CRLF line ends, as it was when it was signed: mailboxes keep LF.
#[must_use]
pub fn with_line_ends(message: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(message.len() + message.len() / 32);
    let mut before = 0;
    for byte in message {
        if *byte == b'\n' && before != b'\r' {
            whole.push(b'\r');
        }
        whole.push(*byte);
        before = *byte;
    }
    whole
}

/// The DKIM-Signature fields of a message with CRLF line ends, in order, no more than [`SIGNATURES_MAX`].
#[must_use]
pub fn signatures(message: &[u8]) -> Vec<Result<Signature, Broken>> {
    let (fields, _) = split(message);
    fields
        .into_iter()
        .filter(|field| is_named(field, "DKIM-Signature"))
        .take(SIGNATURES_MAX)
        .map(Signature::read)
        .collect()
}

impl Signature {
    fn read(field: &[u8]) -> Result<Self, Broken> {
        let value = String::from_utf8_lossy(field_value(field)).into_owned();
        let tags = TagList::read(&value);
        if needed(&tags, "v")? != "1" {
            return Err(Broken::Tag("v"));
        }
        let algorithm = match needed(&tags, "a")?.to_ascii_lowercase().as_str() {
            "rsa-sha256" => Algorithm::RsaSha256,
            "ed25519-sha256" => Algorithm::Ed25519Sha256,
            // RFC 8301 s3.1: rsa-sha1 must not be taken for a signature.
            other => return Err(Broken::Unknown(excerpt(other))),
        };
        let domain: PolicyDomain = needed(&tags, "d")?.parse().map_err(|_| Broken::Tag("d"))?;
        let selector = needed(&tags, "s")?;
        if !super::dkim_key::is_selector(selector) {
            return Err(Broken::Tag("s"));
        }
        let signed_fields: Vec<String> = needed(&tags, "h")?
            .split(':')
            .map(|name| name.trim().to_ascii_lowercase())
            .collect();
        if !signed_fields.iter().any(|name| name == "from") {
            return Err(Broken::FromNotSigned);
        }
        // RFC 8460 s3: a signature of a report must not leave out a part of the body.
        if tags.get("l").is_some() {
            return Err(Broken::PartOfBody);
        }
        if let Some(identity) = tags.get("i") {
            check_identity(identity, &domain)?;
        }
        let (header_form, body_form) = forms(tags.get("c").unwrap_or("simple"))?;
        Ok(Self {
            selector: selector.to_ascii_lowercase(),
            expires: match tags.get("x") {
                Some(seconds) => Some(Timestamp(seconds.parse().map_err(|_| Broken::Tag("x"))?)),
                None => None,
            },
            body_hash: base64(needed(&tags, "bh")?).ok_or(Broken::Tag("bh"))?,
            signature: base64(needed(&tags, "b")?).ok_or(Broken::Tag("b"))?,
            raw: field.to_vec(),
            domain,
            signed_fields,
            algorithm,
            header_form,
            body_form,
        })
    }

    /// The name of the TXT record that holds its key.
    #[must_use]
    pub fn record_name(&self) -> String {
        format!("{}._domainkey.{}", self.selector, self.domain)
    }

    /// Is the body of the message it stands in the one that was signed? That takes no key.
    ///
    /// # Errors
    /// When it is another.
    pub fn verify_body(&self, message: &[u8]) -> Result<(), Broken> {
        let (_, body) = split(message);
        if digest(&SHA256, &self.body_form.body(body)).as_ref() == self.body_hash {
            Ok(())
        } else {
            Err(Broken::Body)
        }
    }

    /// Whether it holds for the message it stands in, by one of the TXT records of its key's name.
    ///
    /// # Errors
    /// When it does not.
    pub fn verify(&self, message: &[u8], records: &[Vec<u8>]) -> Result<Verified, Broken> {
        // RFC 6376 s6.1.3: first the body's hash, then the header's signature.
        self.verify_body(message)?;
        let (fields, _) = split(message);
        let mut trouble = Broken::NoKey(self.record_name());
        // RFC 6376 s6.1.2: of several records any may be the key.
        for record in records.iter().take(RECORDS_MAX) {
            match self.verify_with(&fields, &String::from_utf8_lossy(record)) {
                Ok(verified) => return Ok(verified),
                // What a key says that fits is worth more than that another does not fit.
                Err(Broken::BadKey(_)) if !matches!(trouble, Broken::NoKey(_)) => {}
                Err(error) => trouble = error,
            }
        }
        Err(trouble)
    }

    fn verify_with(&self, fields: &[&[u8]], record: &str) -> Result<Verified, Broken> {
        let key = Key::read(record, self.algorithm)?;
        let mut signed: Vec<u8> = fields_in_order(fields, &self.signed_fields)
            .into_iter()
            .flat_map(|field| self.header_form.field(field))
            .collect();
        // RFC 6376 s3.7: the field itself comes last, with an empty b= and without a line end.
        let own = self.header_form.field(&without_signature(&self.raw));
        signed.extend_from_slice(own.strip_suffix(b"\r\n").unwrap_or(&own));
        let verification: &dyn VerificationAlgorithm = match self.algorithm {
            // RFC 8301 s3.2: a verifier takes RSA keys from 1024 bits on.
            Algorithm::RsaSha256 => &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
            Algorithm::Ed25519Sha256 => &ED25519,
        };
        let public = UnparsedPublicKey::new(verification, &key.public);
        let verified = match self.algorithm {
            Algorithm::RsaSha256 => public.verify(&signed, &self.signature),
            // RFC 8463 s3: Ed25519 signs the SHA-256 hash, not the header itself.
            Algorithm::Ed25519Sha256 => {
                public.verify(digest(&SHA256, &signed).as_ref(), &self.signature)
            }
        };
        verified.map_err(|_| Broken::Header)?;
        Ok(Verified {
            algorithm: self.algorithm.name(),
            service: key.service,
        })
    }
}

/// RFC 6376 s3.5: `c=`, header before body; what is not said is simple.
fn forms(tag: &str) -> Result<(Form, Form), Broken> {
    let (header, body) = tag.split_once('/').unwrap_or((tag, "simple"));
    let form = |name: &str| {
        Form::of(&name.trim().to_ascii_lowercase())
            .ok_or_else(|| Broken::Unknown(format!("the canonicalization {}", excerpt(name))))
    };
    Ok((form(header)?, form(body)?))
}

/// RFC 6376 s3.5: `i=` is of the signing domain or one below it.
fn check_identity(identity: &str, domain: &PolicyDomain) -> Result<(), Broken> {
    let host = identity.rsplit_once('@').map_or(identity, |(_, host)| host);
    let host: PolicyDomain = host.parse().map_err(|_| Broken::Tag("i"))?;
    if is_at_or_below(&host, domain) {
        Ok(())
    } else {
        Err(Broken::Tag("i"))
    }
}

/// Is `name` this domain or one below it?
#[must_use]
pub fn is_at_or_below(name: &PolicyDomain, domain: &PolicyDomain) -> bool {
    name.as_str()
        .strip_suffix(domain.as_str())
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The field with nothing behind `b=`.
fn without_signature(field: &[u8]) -> Vec<u8> {
    let value = field_value(field);
    let name_length = field.len() - value.len();
    let mut emptied = field.get(..name_length).unwrap_or_default().to_vec();
    for (index, tag) in value.split(|byte| *byte == b';').enumerate() {
        if index > 0 {
            emptied.push(b';');
        }
        let equals = tag.iter().position(|byte| *byte == b'=');
        match equals.and_then(|at| tag.split_at_checked(at)) {
            Some((name, _)) if name.trim_ascii() == b"b" => {
                emptied.extend_from_slice(name);
                emptied.push(b'=');
            }
            _ => emptied.extend_from_slice(tag),
        }
    }
    emptied
}

/// A public key, as its record gives it (RFC 6376 s3.6.1).
struct Key {
    public: Vec<u8>,
    service: KeyService,
}

impl Key {
    fn read(record: &str, algorithm: Algorithm) -> Result<Self, Broken> {
        let tags = TagList::read(record);
        if tags.get("v").is_some_and(|version| version != "DKIM1") {
            return Err(Broken::BadKey("its v= is not DKIM1"));
        }
        if tags.get("k").unwrap_or("rsa") != algorithm.key_type() {
            return Err(Broken::BadKey("its k= is not that of the signature"));
        }
        if let Some(hashes) = tags.get("h")
            && !names(hashes, "sha256")
        {
            return Err(Broken::BadKey("its h= does not allow sha256"));
        }
        let public = tags
            .get("p")
            .ok_or(Broken::BadKey("it has no p="))
            .and_then(|text| base64(text).ok_or(Broken::BadKey("its p= is not base64")))?;
        if public.is_empty() {
            return Err(Broken::BadKey("the key was revoked (its p= is empty)"));
        }
        // RFC 8460 s3: the record should declare the service "tlsrpt"; a receiver may ignore reports
        // where it does not.
        let services = tags.get("s").unwrap_or("*");
        let reports = names(services, "*") || names(services, "tlsrpt");
        Ok(Self {
            public: match algorithm {
                Algorithm::RsaSha256 => rsa_public_key(public),
                Algorithm::Ed25519Sha256 => public,
            },
            service: if reports {
                KeyService::Reports
            } else {
                KeyService::Others
            },
        })
    }
}

/// The `RSAPublicKey` in a `SubjectPublicKeyInfo`; what is none may be the key itself.
// RFC 6376 s3.6.1 speaks of an RSAPublicKey, and everybody publishes a SubjectPublicKeyInfo.
fn rsa_public_key(public: Vec<u8>) -> Vec<u8> {
    match SubjectPublicKeyInfo::from_der(&public) {
        Ok((_, info)) => info.subject_public_key.data.to_vec(),
        Err(_) => public,
    }
}

fn needed<'a>(tags: &TagList<'a>, wanted: &'static str) -> Result<&'a str, Broken> {
    tags.get(wanted).ok_or(Broken::Tag(wanted))
}

#[cfg(test)]
mod tests;
