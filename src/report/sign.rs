//! The DKIM signature (RFC 6376) over the mail as it leaves.
//!
//! lettre can sign too, but signs a multipart message as if it had no Content-Type while it lists the
//! field, and no verifier accepts that. So the finished bytes are signed here. A receiver must ignore
//! a report without a valid signature (RFC 8460 s3).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::digest::{SHA256, digest};

use super::dkim_key::{DkimKey, SigningFailed};
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
    let body_hash = STANDARD.encode(digest(&SHA256, &relaxed_body(body)));
    let signed_fields = canonical_fields(&fields);
    let mut signed = Vec::with_capacity(message.len() + 1_000 * keys.len());
    for key in keys {
        let unsigned = signature_field(key, domain, date, &body_hash);
        // RFC 6376 s3.7: the field itself comes last, with an empty b= and without a line end.
        let mut data = signed_fields.clone();
        data.extend_from_slice(relaxed_field(unsigned.as_bytes()).trim_ascii_end());
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

/// The header fields, each with its folded lines and last CRLF, and the body.
fn split(message: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let mut fields: Vec<&[u8]> = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        if let Some(body) = rest.strip_prefix(b"\r\n") {
            return (fields, body);
        }
        let end = field_end(rest);
        let (field, after) = rest.split_at(end);
        fields.push(field);
        rest = after;
    }
    (fields, &[])
}

/// Where a field ends: at the first line end that no space or tab follows.
fn field_end(text: &[u8]) -> usize {
    text.windows(2)
        .enumerate()
        .filter(|(_, pair)| *pair == b"\r\n")
        .map(|(at, _)| at + 2)
        .find(|after| !matches!(text.get(*after), Some(b' ' | b'\t')))
        .unwrap_or(text.len())
}

/// The signed fields in canonical form, in the order of `h=`.
fn canonical_fields(fields: &[&[u8]]) -> Vec<u8> {
    let mut canonical = Vec::new();
    let mut taken: Vec<usize> = Vec::new();
    for name in SIGNED_FIELDS {
        // RFC 6376 s5.4.2: of several fields of one name the last comes first; one that is not there
        // adds nothing.
        let found = fields.iter().enumerate().rev().find(|(index, field)| {
            !taken.contains(index) && field_name(field).eq_ignore_ascii_case(name.as_bytes())
        });
        if let Some((index, field)) = found {
            taken.push(index);
            canonical.extend(relaxed_field(field));
        }
    }
    canonical
}

fn field_name(field: &[u8]) -> &[u8] {
    field
        .split(|byte| *byte == b':')
        .next()
        .unwrap_or_default()
        .trim_ascii_end()
}

/// RFC 6376 s3.4.2: the name in lower case, the value on one line, single spaces, none at its ends.
fn relaxed_field(field: &[u8]) -> Vec<u8> {
    let mut canonical = field_name(field).to_ascii_lowercase();
    canonical.push(b':');
    let value = field
        .iter()
        .position(|byte| *byte == b':')
        .and_then(|colon| field.get(colon + 1..))
        .unwrap_or_default();
    let mut words = value
        .split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty());
    canonical.extend_from_slice(words.next().unwrap_or_default());
    for word in words {
        canonical.push(b' ');
        canonical.extend_from_slice(word);
    }
    canonical.extend_from_slice(b"\r\n");
    canonical
}

/// RFC 6376 s3.4.4: runs of spaces and tabs are one space, none at line ends, no empty lines at the
/// end.
fn relaxed_body(body: &[u8]) -> Vec<u8> {
    let mut canonical = Vec::with_capacity(body.len());
    let mut content_end = 0;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let mut pending_space = false;
        for byte in line.strip_suffix(b"\r\n").unwrap_or(line) {
            match byte {
                b' ' | b'\t' => pending_space = true,
                byte => {
                    if pending_space {
                        canonical.push(b' ');
                        pending_space = false;
                    }
                    canonical.push(*byte);
                    content_end = canonical.len() + 2;
                }
            }
        }
        canonical.extend_from_slice(b"\r\n");
    }
    canonical.truncate(content_end);
    canonical
}

#[cfg(test)]
mod tests {
    use super::*;

    // The examples of RFC 6376 s3.4.5, and what lies at the edges.
    #[test]
    fn f5_relaxed_canonicalization() {
        for (field, canonical) in [
            ("A: X\r\n", "a:X\r\n"),
            ("B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n"),
            ("C:\r\n", "c:\r\n"),
            ("D: a:b\r\n", "d:a:b\r\n"),
        ] {
            assert_eq!(
                relaxed_field(field.as_bytes()),
                canonical.as_bytes(),
                "{field:?}"
            );
        }
        for (body, canonical) in [
            (" C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n"),
            ("", ""),
            ("\r\n\r\n", ""),
            ("a", "a\r\n"),
            ("a\r\n \r\nb\r\n \t\r\n", "a\r\n\r\nb\r\n"),
        ] {
            assert_eq!(
                relaxed_body(body.as_bytes()),
                canonical.as_bytes(),
                "{body:?}"
            );
        }
    }

    #[test]
    fn f8_fields_are_taken_in_order_and_each_once() {
        let (fields, body) = split(b"To: b\r\nX: y\r\nFrom: a\r\n c\r\nfrom: d\r\n\r\nbody");
        assert_eq!(fields.len(), 4);
        assert_eq!(body, b"body");
        assert_eq!(canonical_fields(&fields), b"from:d\r\nfrom:a c\r\nto:b\r\n");
    }
}
