//! The form of a mail: header fields and MIME parts (RFC 5322, RFC 2045), as far as reports need it.

/// One header field, as it stands in the message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    /// All of it, with its last line end.
    pub(crate) raw: &'a [u8],
    /// The name, as written.
    pub(crate) name: &'a str,
    /// What comes after the colon, with its line ends.
    pub(crate) value: &'a [u8],
}

impl Field<'_> {
    /// Is this its name, in any case?
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value on one line, without spaces at its ends.
    pub(crate) fn text(&self) -> String {
        let text = String::from_utf8_lossy(self.value);
        text.replace("\r\n", "").trim().to_owned()
    }
}

/// The header fields and the body. Lines without a colon that continue nothing are passed over.
pub(crate) fn split_message(message: &[u8]) -> (Vec<Field<'_>>, &[u8]) {
    let mut fields = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        if let Some(body) = rest.strip_prefix(b"\r\n") {
            return (fields, body);
        }
        let mut end = line_length(rest);
        while let Some([b' ' | b'\t', ..]) = rest.get(end..) {
            end = end.saturating_add(line_length(rest.get(end..).unwrap_or_default()));
        }
        let (raw, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        fields.extend(field(raw));
        rest = after;
    }
    (fields, rest)
}

fn field(raw: &[u8]) -> Option<Field<'_>> {
    let colon = raw.iter().position(|octet| *octet == b':')?;
    let (name, value) = raw.split_at_checked(colon)?;
    Some(Field {
        raw,
        name: str::from_utf8(name).ok()?.trim_end(),
        value: value.get(1..)?,
    })
}

/// With its line end.
fn line_length(text: &[u8]) -> usize {
    text.windows(2)
        .position(|pair| pair == b"\r\n")
        .map_or(text.len(), |position| position.saturating_add(2))
}

/// A structured value such as that of Content-Type: what stands first, lower case, and the parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Structured {
    pub(crate) first: String,
    parameters: Vec<(String, String)>,
}

impl Structured {
    pub(crate) fn parse(value: &str) -> Self {
        let mut pieces = split_unquoted(value).into_iter();
        let first = pieces
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let parameters = pieces
            .filter_map(|piece| {
                let (name, value) = piece.split_once('=')?;
                Some((name.trim().to_ascii_lowercase(), unquoted(value.trim())))
            })
            .collect();
        Self { first, parameters }
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(parameter, _)| parameter == name)
            .map(|(_, value)| value.as_str())
    }
}

/// At each `;` that is not within quotes.
fn split_unquoted(value: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for character in value.chars() {
        match character {
            ';' if !quoted => {
                pieces.push(String::new());
                continue;
            }
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = quoted && !escaped && character == '\\';
        if let Some(piece) = pieces.last_mut() {
            piece.push(character);
        }
    }
    pieces
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    else {
        return value.to_owned();
    };
    let mut text = String::new();
    let mut escaped = false;
    for character in inner.chars() {
        escaped = character == '\\' && !escaped;
        if !escaped {
            text.push(character);
        }
    }
    text
}

/// The parts of a multipart body (RFC 2046 s5.1.1). Nothing where the last boundary is missing.
pub(crate) fn parts<'a>(body: &'a [u8], boundary: &str) -> Option<Vec<&'a [u8]>> {
    let delimiter = format!("--{boundary}");
    let last = format!("--{boundary}--");
    let mut parts = Vec::new();
    let mut part_start = None;
    let mut position = 0_usize;
    while let Some(rest) = body.get(position..).filter(|rest| !rest.is_empty()) {
        let length = line_length(rest);
        let line = rest.get(..length).unwrap_or_default().trim_ascii_end();
        if line == delimiter.as_bytes() || line == last.as_bytes() {
            if let Some(start) = part_start {
                // The line end before a boundary belongs to the boundary.
                let end = position.saturating_sub(2).max(start);
                parts.push(body.get(start..end)?);
            }
            if line == last.as_bytes() {
                return Some(parts);
            }
            part_start = Some(position.saturating_add(length));
        }
        position = position.saturating_add(length);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_folds() {
        let (fields, body) = split_message(b"A: one\r\n two\r\nb : x\r\n\r\nbody\r\n");
        assert_eq!(fields.len(), 2);
        assert_eq!(fields[0].raw, b"A: one\r\n two\r\n");
        assert_eq!(fields[0].text(), "one two");
        assert!(fields[1].is("B"));
        assert_eq!(body, b"body\r\n");
    }

    #[test]
    fn parameters_may_be_quoted() {
        let value = Structured::parse("Multipart/Report; report-type=\"tls;rpt\"; boundary=a");
        assert_eq!(value.first, "multipart/report");
        assert_eq!(value.parameter("report-type"), Some("tls;rpt"));
        assert_eq!(value.parameter("boundary"), Some("a"));
    }

    #[test]
    fn parts_end_before_the_boundary() {
        let body = b"preamble\r\n--x\r\n\r\none\r\n--x\r\n\r\ntwo\r\n\r\n--x--\r\nepilogue";
        let found = parts(body, "x").unwrap();
        assert_eq!(found, [b"\r\none".as_slice(), b"\r\ntwo\r\n"]);
        assert_eq!(parts(b"--x\r\n\r\none\r\n", "x"), None);
    }
}
