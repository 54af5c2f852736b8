//! The DKIM signature (RFC 6376) over the mail as it leaves.
//!
//! lettre can sign too, but signs a multipart message as if it had no Content-Type while it lists the
//! field, and no verifier accepts that. So the finished bytes are signed here. A receiver must ignore
//! a report without a valid signature (RFC 8460 s3).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::digest::{SHA256, digest};

use super::{
    canonical::{Form, fields_in_order, split},
    dkim_key::{DkimKey, SigningFailed},
};
use crate::{clock::Timestamp, policy::PolicyDomain};

/// The fields that are signed (`h=`). One that is listed once more than it occurs cannot be added
/// later without breaking the signature.
// RFC 8460 s5.3: both TLS-Report fields should be signed. RFC 6376 s5.4.2: oversigning.
const SIGNED_FIELDS: [&str; 15] = [
    "From",
    "From",
    "To",
    "To",
    "Subject",
    "Subject",
    "Date",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "Auto-Submitted",
    "TLS-Required",
    "TLS-Report-Domain",
    "TLS-Report-Submitter",
];

/// Puts one signature for each key before the message, which has CRLF line ends.
///
/// # Errors
/// When a key cannot sign.
pub fn sign(
    message: &[u8],
    domain: &PolicyDomain,
    date: Timestamp,
    keys: &[DkimKey],
) -> Result<Vec<u8>, SigningFailed> {
    let (fields, body) = split(message);
    let body_hash = STANDARD.encode(digest(&SHA256, &Form::Relaxed.body(body)));
    let signed_fields: Vec<u8> = fields_in_order(&fields, &SIGNED_FIELDS)
        .into_iter()
        .flat_map(|field| Form::Relaxed.field(field))
        .collect();
    let mut signed = Vec::with_capacity(message.len() + 1_000 * keys.len());
    for key in keys {
        let unsigned = signature_field(key, domain, date, &body_hash);
        // RFC 6376 s3.7: the field itself comes last, with an empty b= and without a line end.
        let mut data = signed_fields.clone();
        data.extend_from_slice(Form::Relaxed.field(unsigned.as_bytes()).trim_ascii_end());
        signed.extend_from_slice(unsigned.as_bytes());
        fold(&mut signed, &STANDARD.encode(key.sign(&data)?));
        signed.extend_from_slice(b"\r\n");
    }
    signed.extend_from_slice(message);
    Ok(signed)
}

/// The signature's field up to `b=`, folded.
// RFC 6376 s3.5. No l=: a report must not be lengthened (RFC 8460 s3).
fn signature_field(
    key: &DkimKey,
    domain: &PolicyDomain,
    date: Timestamp,
    body_hash: &str,
) -> String {
    let mut names = String::new();
    let mut column = 0;
    for (index, name) in SIGNED_FIELDS.iter().enumerate() {
        if index > 0 {
            names.push(':');
            column += 1;
        }
        if column + name.len() > 60 {
            names.push_str("\r\n\t ");
            column = 0;
        }
        names.push_str(name);
        column += name.len();
    }
    format!(
        "DKIM-Signature: v=1; a={}; c=relaxed/relaxed; q=dns/txt;\r\n\td={domain};\r\n\ts={}; \
         t={};\r\n\th={names};\r\n\tbh={body_hash};\r\n\tb=",
        key.algorithm(),
        key.selector(),
        date.0.max(0),
    )
}

/// Base64 in lines of at most 72 characters.
fn fold(field: &mut Vec<u8>, base64: &str) {
    for (index, line) in base64.as_bytes().chunks(72).enumerate() {
        if index > 0 {
            field.extend_from_slice(b"\r\n\t ");
        }
        field.extend_from_slice(line);
    }
}
