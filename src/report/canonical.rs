//! A mail as DKIM sees it (RFC 6376 s3.4): what its signatures are over, for signing and for verifying.

/// How much of a mail's form a signature lets servers on the way change (`c=`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing but empty lines at the end.
    Simple,
    /// White space, and the case of field names.
    Relaxed,
}

impl Form {
    /// The form of this name.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "simple" => Some(Self::Simple),
            "relaxed" => Some(Self::Relaxed),
            _ => None,
        }
    }

    /// A header field in this form, with its last CRLF.
    pub(super) fn field(self, field: &[u8]) -> Vec<u8> {
        match self {
            // RFC 6376 s3.4.1.
            Self::Simple => field.to_vec(),
            Self::Relaxed => relaxed_field(field),
        }
    }

    /// The body in this form.
    pub(super) fn body(self, body: &[u8]) -> Vec<u8> {
        match self {
            Self::Simple => simple_body(body),
            Self::Relaxed => relaxed_body(body),
        }
    }
}

/// The header fields, each with its folded lines and last CRLF, and the body.
pub(super) fn split(message: &[u8]) -> (Vec<&[u8]>, &[u8]) {
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

/// The signed fields in the order of `h=`.
pub(super) fn fields_in_order<'a>(fields: &[&'a [u8]], names: &[impl AsRef<str>]) -> Vec<&'a [u8]> {
    let mut unused: Vec<&[u8]> = fields.to_vec();
    let mut ordered = Vec::new();
    for name in names {
        // RFC 6376 s5.4.2: of several fields of one name the last comes first; one that is not there
        // adds nothing.
        let found = unused
            .iter()
            .rposition(|field| is_named(field, name.as_ref()));
        if let Some(index) = found {
            ordered.push(unused.remove(index));
        }
    }
    ordered
}

/// Is this the field's name, in any case?
pub(super) fn is_named(field: &[u8], name: &str) -> bool {
    field_name(field).eq_ignore_ascii_case(name.as_bytes())
}

/// What stands behind the first colon.
pub(super) fn field_value(field: &[u8]) -> &[u8] {
    field
        .iter()
        .position(|byte| *byte == b':')
        .and_then(|colon| field.get(colon + 1..))
        .unwrap_or_default()
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
    let mut words = field_value(field)
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

/// RFC 6376 s3.4.3: one line end where the body ends, and nothing else is changed.
fn simple_body(body: &[u8]) -> Vec<u8> {
    let mut rest = body;
    while let Some(shorter) = rest.strip_suffix(b"\r\n") {
        rest = shorter;
    }
    [rest, b"\r\n"].concat()
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
    fn f5_fields_and_bodies_are_canonical() {
        for (field, canonical) in [
            ("A: X\r\n", "a:X\r\n"),
            ("B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n"),
            ("C:\r\n", "c:\r\n"),
            ("D: a:b\r\n", "d:a:b\r\n"),
        ] {
            let relaxed = Form::Relaxed.field(field.as_bytes());
            assert_eq!(relaxed, canonical.as_bytes(), "{field:?}");
            let simple = Form::Simple.field(field.as_bytes());
            assert_eq!(simple, field.as_bytes(), "{field:?}");
        }
        for (body, relaxed, simple) in [
            (
                " C \r\nD \t E\r\n\r\n\r\n",
                " C\r\nD E\r\n",
                " C \r\nD \t E\r\n",
            ),
            ("", "", "\r\n"),
            ("\r\n\r\n", "", "\r\n"),
            ("a", "a\r\n", "a\r\n"),
            (
                "a\r\n \r\nb\r\n \t\r\n",
                "a\r\n\r\nb\r\n",
                "a\r\n \r\nb\r\n \t\r\n",
            ),
        ] {
            let seen = Form::Relaxed.body(body.as_bytes());
            assert_eq!(seen, relaxed.as_bytes(), "{body:?}");
            let seen = Form::Simple.body(body.as_bytes());
            assert_eq!(seen, simple.as_bytes(), "{body:?}");
        }
    }

    #[test]
    fn f8_fields_are_taken_in_order_and_each_once() {
        let (fields, body) = split(b"To: b\r\nX: y\r\nFrom: a\r\n c\r\nfrom: d\r\n\r\nbody");
        assert_eq!(fields.len(), 4);
        assert_eq!(body, b"body");
        let ordered = fields_in_order(&fields, &["From", "From", "From", "Date", "to"]);
        assert_eq!(
            ordered,
            [&b"from: d\r\n"[..], b"From: a\r\n c\r\n", b"To: b\r\n"]
        );
    }
}
