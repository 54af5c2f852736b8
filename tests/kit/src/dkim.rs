//! A DKIM verifier (RFC 6376, RFC 8463), written from the RFCs to judge signatures that others made.
//!
//! It is stricter than a receiver must be where RFC 8460 asks for more of report mail: a signature
//! that covers only a part of the body (`l=`) is refused.
//!
//! It has no clock, so `t=` and `x=` are not looked at.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    digest::{SHA256, digest},
    signature::{ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm},
};

use crate::mail::{Field, split_message};

/// One DKIM-Signature field that verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// `d=`: the domain that signed.
    pub domain: String,
    /// `s=`: its selector.
    pub selector: String,
    /// `a=`: `rsa-sha256` or `ed25519-sha256`.
    pub algorithm: String,
    /// `h=`: the names of the signed fields, lower case, in the order listed.
    pub signed_fields: Vec<String>,
}

/// Why one DKIM-Signature field does not verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DkimError {
    /// The signer: a tag that must be there is not, or is not of its form.
    #[error("the tag {0}= is missing or malformed")]
    Tag(&'static str),
    /// The signer: not an algorithm or canonicalization known here.
    #[error("{0} is not known here")]
    Unknown(String),
    /// The signer: From is not among the signed fields (RFC 6376 s5.4).
    #[error("From is not signed")]
    FromNotSigned,
    /// The signer: only a part of the body is signed (RFC 8460 s3 forbids that).
    #[error("l= leaves a part of the body unsigned")]
    PartOfBody,
    /// The signer's DNS: no key record at this name.
    #[error("no key at {0}")]
    NoKey(String),
    /// The signer's DNS: the key record cannot be used, for this reason.
    #[error("the key record cannot be used: {0}")]
    BadKey(&'static str),
    /// The signer or the way: the body is not the one that was signed.
    #[error("the body's hash differs")]
    BodyHash,
    /// The signer or the way: the header is not the one that was signed.
    #[error("the signature does not match")]
    Signature,
}

/// Judges every DKIM-Signature field of a message, in order. `key` gives the TXT record of a name
/// like `selector._domainkey.example.test`. The list is empty where nothing is signed.
pub fn verify(
    message: &[u8],
    key: impl Fn(&str) -> Option<String>,
) -> Vec<Result<Pass, DkimError>> {
    let (fields, body) = split_message(message);
    fields
        .iter()
        .filter(|field| field.is("DKIM-Signature"))
        .map(|signature| verify_one(signature, &fields, body, &key))
        .collect()
}

fn verify_one(
    signature: &Field<'_>,
    fields: &[Field<'_>],
    body: &[u8],
    key: &impl Fn(&str) -> Option<String>,
) -> Result<Pass, DkimError> {
    let value = String::from_utf8_lossy(signature.value).into_owned();
    let tags = Tags::parse(&value);
    if tags.needed("v")? != "1" {
        return Err(DkimError::Tag("v"));
    }
    let algorithm = tags.needed("a")?.to_ascii_lowercase();
    let (domain, selector) = (tags.needed("d")?, tags.needed("s")?);
    let (header_form, body_form) = canonicalizations(tags.optional("c"))?;
    let signed_fields: Vec<String> = tags
        .needed("h")?
        .split(':')
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    if !signed_fields.iter().any(|name| name == "from") {
        return Err(DkimError::FromNotSigned);
    }
    if tags.optional("l").is_some() {
        return Err(DkimError::PartOfBody);
    }
    if let Some(identity) = tags.optional("i") {
        check_identity(identity, domain)?;
    }
    // RFC 6376 s6.1.3: first the body's hash, then the header's signature.
    let body_hash = decode(tags.needed("bh")?).ok_or(DkimError::Tag("bh"))?;
    if digest(&SHA256, &canonical_body(body, body_form)).as_ref() != body_hash {
        return Err(DkimError::BodyHash);
    }
    let key_name = format!("{selector}._domainkey.{domain}");
    let record = key(&key_name).ok_or(DkimError::NoKey(key_name))?;
    let (verification, public_key) = public_key(&record, &algorithm)?;
    let signed = signed_header(signature, fields, &signed_fields, header_form);
    let signature = decode(tags.needed("b")?).ok_or(DkimError::Tag("b"))?;
    let verified = match algorithm.as_str() {
        // RFC 8463 s3: Ed25519 signs the hash, not the header itself.
        "ed25519-sha256" => UnparsedPublicKey::new(verification, public_key)
            .verify(digest(&SHA256, &signed).as_ref(), &signature),
        _ => UnparsedPublicKey::new(verification, public_key).verify(&signed, &signature),
    };
    verified.map_err(|_| DkimError::Signature)?;
    Ok(Pass {
        domain: domain.to_owned(),
        selector: selector.to_owned(),
        algorithm,
        signed_fields,
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Simple,
    Relaxed,
}

/// `c=`, header before body; what is not said is simple (RFC 6376 s3.5).
fn canonicalizations(tag: Option<&str>) -> Result<(Form, Form), DkimError> {
    let form = |name: &str| match name.trim() {
        "simple" => Ok(Form::Simple),
        "relaxed" => Ok(Form::Relaxed),
        other => Err(DkimError::Unknown(format!("canonicalization {other}"))),
    };
    let (header, body) = tag
        .unwrap_or("simple/simple")
        .split_once('/')
        .unwrap_or((tag.unwrap_or("simple"), "simple"));
    Ok((form(header)?, form(body)?))
}

/// RFC 6376 s3.5: `i=` ends in the signing domain or a domain below it.
fn check_identity(identity: &str, domain: &str) -> Result<(), DkimError> {
    let host = identity
        .rsplit_once('@')
        .map_or(identity, |(_, host)| host)
        .to_ascii_lowercase();
    let domain = domain.to_ascii_lowercase();
    if host == domain || host.ends_with(&format!(".{domain}")) {
        Ok(())
    } else {
        Err(DkimError::Tag("i"))
    }
}

/// What the signature is over: the listed fields, then the signature's own with an empty `b=`
/// (RFC 6376 s3.7).
fn signed_header(
    signature: &Field<'_>,
    fields: &[Field<'_>],
    signed_fields: &[String],
    form: Form,
) -> Vec<u8> {
    let mut signed = Vec::new();
    // RFC 6376 s5.4.2: of several fields of one name the last is taken first; one listed more often
    // than it is there stands for its absence.
    let mut unused: Vec<&Field<'_>> = fields.iter().collect();
    for name in signed_fields {
        if let Some(position) = unused.iter().rposition(|field| field.is(name)) {
            signed.extend(canonical_field(unused.remove(position), form));
            signed.extend_from_slice(b"\r\n");
        }
    }
    let emptied = without_signature(signature.raw);
    if let [own] = split_message(&emptied).0.as_slice() {
        signed.extend(canonical_field(own, form));
    }
    signed
}

/// The field with nothing behind `b=`.
fn without_signature(raw: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(raw);
    let (name, value) = text.split_once(':').unwrap_or((&text, ""));
    let tags: Vec<&str> = value
        .split(';')
        .map(|tag| match tag.split_once('=') {
            Some((name, _)) if name.trim() == "b" => {
                tag.split_inclusive('=').next().unwrap_or_default()
            }
            _ => tag,
        })
        .collect();
    format!("{name}:{}", tags.join(";")).into_bytes()
}

/// RFC 6376 s3.4.1 and s3.4.2, without the line end after the field.
fn canonical_field(field: &Field<'_>, form: Form) -> Vec<u8> {
    match form {
        Form::Simple => {
            let raw = field.raw;
            raw.strip_suffix(b"\r\n").unwrap_or(raw).to_vec()
        }
        Form::Relaxed => {
            let mut canonical = field.name.to_ascii_lowercase().into_bytes();
            canonical.push(b':');
            let unfolded: Vec<u8> = field
                .value
                .iter()
                .copied()
                .filter(|octet| !matches!(octet, b'\r' | b'\n'))
                .collect();
            canonical.extend(collapse_spaces(unfolded.trim_ascii()));
            canonical
        }
    }
}

/// RFC 6376 s3.4.3 and s3.4.4.
fn canonical_body(body: &[u8], form: Form) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let end = rest
            .windows(2)
            .position(|pair| pair == b"\r\n")
            .unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        lines.push(match form {
            Form::Simple => line.to_vec(),
            Form::Relaxed => collapse_spaces(without_trailing_spaces(line)),
        });
        rest = after.get(2..).unwrap_or_default();
    }
    while lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    let mut canonical = Vec::new();
    for line in &lines {
        canonical.extend_from_slice(line);
        canonical.extend_from_slice(b"\r\n");
    }
    if canonical.is_empty() && form == Form::Simple {
        canonical.extend_from_slice(b"\r\n");
    }
    canonical
}

fn without_trailing_spaces(line: &[u8]) -> &[u8] {
    let length = line
        .iter()
        .rposition(|octet| !matches!(octet, b' ' | b'\t'))
        .map_or(0, |last| last.saturating_add(1));
    line.get(..length).unwrap_or_default()
}

/// Every run of spaces and tabs as one space.
fn collapse_spaces(text: &[u8]) -> Vec<u8> {
    let mut collapsed = Vec::with_capacity(text.len());
    for octet in text {
        if matches!(octet, b' ' | b'\t') {
            if collapsed.last() != Some(&b' ') {
                collapsed.push(b' ');
            }
        } else {
            collapsed.push(*octet);
        }
    }
    collapsed
}

/// The key of a key record, as ring takes it (RFC 6376 s3.6.1).
fn public_key(
    record: &str,
    algorithm: &str,
) -> Result<(&'static dyn VerificationAlgorithm, Vec<u8>), DkimError> {
    let tags = Tags::parse(record);
    if tags.optional("v").is_some_and(|version| version != "DKIM1") {
        return Err(DkimError::BadKey("v= is not DKIM1"));
    }
    if let Some(services) = tags.optional("s")
        && !services
            .split(':')
            .any(|service| matches!(service.trim(), "*" | "email"))
    {
        return Err(DkimError::BadKey("s= does not cover email"));
    }
    if let Some(hashes) = tags.optional("h")
        && !hashes.split(':').any(|hash| hash.trim() == "sha256")
    {
        return Err(DkimError::BadKey("h= does not cover sha256"));
    }
    let kind = tags.optional("k").unwrap_or("rsa");
    let encoded = tags
        .optional("p")
        .ok_or(DkimError::BadKey("p= is missing"))?;
    let bytes = decode(encoded).ok_or(DkimError::BadKey("p= is not base64"))?;
    match (algorithm, kind) {
        _ if bytes.is_empty() => Err(DkimError::BadKey("it is revoked")),
        ("rsa-sha256", "rsa") => {
            let key = rsa_public_key(&bytes).ok_or(DkimError::BadKey("p= is no RSA key"))?;
            Ok((&RSA_PKCS1_2048_8192_SHA256, key.to_vec()))
        }
        ("ed25519-sha256", "ed25519") => Ok((&ED25519, bytes)),
        ("rsa-sha256" | "ed25519-sha256", _) => Err(DkimError::BadKey("k= is not the signature's")),
        _ => Err(DkimError::Unknown(format!("algorithm {algorithm}"))),
    }
}

/// The RSAPublicKey inside a SubjectPublicKeyInfo (RFC 5280 s4.1), which is a sequence of the
/// algorithm and of a bit string without unused bits.
fn rsa_public_key(subject_public_key_info: &[u8]) -> Option<&[u8]> {
    let (whole, _) = der_value(subject_public_key_info, 0x30)?;
    let (_algorithm, rest) = der_value(whole, 0x30)?;
    let (bits, _) = der_value(rest, 0x03)?;
    bits.strip_prefix(&[0])
}

/// The content of a DER value with this tag, and what comes after the value.
fn der_value(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = bytes.strip_prefix(&[tag])?.split_first()?;
    if first < 0x80 {
        return rest.split_at_checked(usize::from(first));
    }
    let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
    if length.len() > 4 {
        return None;
    }
    let length = length
        .iter()
        .fold(0_usize, |sum, octet| (sum << 8) | usize::from(*octet));
    rest.split_at_checked(length)
}

fn decode(base64: &str) -> Option<Vec<u8>> {
    let compact: String = base64.split_ascii_whitespace().collect();
    STANDARD.decode(compact).ok()
}

/// A list of `name=value` (RFC 6376 s3.2).
struct Tags<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Tags<'a> {
    fn parse(text: &'a str) -> Self {
        let tags = text
            .split(';')
            .filter_map(|tag| tag.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim()));
        Self(tags.collect())
    }

    fn optional(&self, wanted: &str) -> Option<&'a str> {
        self.0
            .iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| *value)
    }

    fn needed(&self, wanted: &'static str) -> Result<&'a str, DkimError> {
        self.optional(wanted).ok_or(DkimError::Tag(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message of RFC 8463 A.3, with both its signatures.
    const RFC_8463: &str = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r
 d=football.example.com; i=@football.example.com;\r
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r
 subject : date : message-id : from : subject : date;\r
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r
 d=football.example.com; i=@football.example.com;\r
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r
 date : message-id : from : subject : date;\r
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r
From: Joe SixPack <joe@football.example.com>\r
To: Suzie Q <suzie@shopping.example.net>\r
Subject: Is dinner ready?\r
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r
Message-ID: <20030712040037.46341.5F8J@football.example.com>\r
\r
Hi.\r
\r
We lost the game.  Are you hungry yet?\r
\r
Joe.\r
";

    const BRISBANE: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    fn key(name: &str) -> Option<String> {
        (name == "brisbane._domainkey.football.example.com").then(|| BRISBANE.to_owned())
    }

    #[test]
    fn the_example_of_rfc_8463_verifies() {
        let results = verify(RFC_8463.as_bytes(), key);
        let pass = results[0].as_ref().unwrap();
        assert_eq!(pass.domain, "football.example.com");
        assert_eq!(pass.algorithm, "ed25519-sha256");
        assert_eq!(pass.signed_fields[4], "message-id");
        assert_eq!(
            results[1],
            Err(DkimError::NoKey(
                "test._domainkey.football.example.com".to_owned()
            ))
        );
    }

    #[test]
    fn relaxed_survives_refolding_and_no_other_change() {
        for (from, to, expected) in [
            ("Subject: Is dinner", "SUBJECT:   Is\r\n dinner", None),
            ("hungry yet?", "hungry  yet? ", None),
            ("Joe.\r\n", "Joe.\r\n\r\n\r\n", None),
            ("Is dinner", "Is lunch", Some(DkimError::Signature)),
            ("We lost", "We won", Some(DkimError::BodyHash)),
            (
                "Subject: Is",
                "Subject: Second\r\nSubject: Is",
                Some(DkimError::Signature),
            ),
            (
                "s=brisbane;",
                "s=brisbane; l=3;",
                Some(DkimError::PartOfBody),
            ),
            ("h=from : to", "h=to", Some(DkimError::Signature)),
            ("i=@football", "i=@foot", Some(DkimError::Tag("i"))),
        ] {
            let changed = RFC_8463.replacen(from, to, 1);
            assert_ne!(changed, RFC_8463, "{from}");
            let result = verify(changed.as_bytes(), key).remove(0);
            assert_eq!(result.err(), expected, "{from} -> {to}");
        }
    }

    #[test]
    fn a_key_must_be_for_this() {
        for (record, expected) in [
            ("v=DKIM1; k=ed25519; p=", DkimError::BadKey("it is revoked")),
            ("k=ed25519", DkimError::BadKey("p= is missing")),
            (
                "v=DKIM1; s=tlsrpt; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
                DkimError::BadKey("s= does not cover email"),
            ),
            (
                "v=DKIM1; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
                DkimError::BadKey("k= is not the signature's"),
            ),
        ] {
            let result = verify(RFC_8463.as_bytes(), |_| Some(record.to_owned())).remove(0);
            assert_eq!(result, Err(expected), "{record}");
        }
    }

    #[test]
    fn bodies_are_canonical_as_rfc_6376_says() {
        let body = b" C \r\nD \t E\r\n\r\n\r\n";
        // RFC 6376 s3.4.5.
        assert_eq!(canonical_body(body, Form::Relaxed), b" C\r\nD E\r\n");
        assert_eq!(canonical_body(body, Form::Simple), b" C \r\nD \t E\r\n");
        assert_eq!(canonical_body(b"", Form::Relaxed), b"");
        assert_eq!(canonical_body(b"", Form::Simple), b"\r\n");
    }
}
