//! The lines of the plugin socket (`docs/plugin-socket.md`), written and read from the MTA's side.
//! Pure.

use crate::abi::Code;

/// The longest name that is sent on.
pub(crate) const NAME_BYTES_MAX: usize = 1_024;

/// The daemon takes no longer line.
pub(crate) const LINE_BYTES_MAX: usize = 65_536;
/// The daemon takes no longer chain.
pub(crate) const CERTIFICATES_MAX: usize = 16;

/// A request being written: fields with TAB between them.
#[derive(Debug)]
pub(crate) struct Request(Vec<u8>);

impl Request {
    /// A request and the domain it is about.
    pub(crate) fn new(word: &str, domain: &[u8]) -> Result<Self, Code> {
        if domain.is_empty() {
            return Err(Code::Argument);
        }
        let mut request = Self(word.as_bytes().to_vec());
        request.name(domain)?;
        Ok(request)
    }

    /// One more name by position.
    pub(crate) fn name(&mut self, name: &[u8]) -> Result<(), Code> {
        if name.len() > NAME_BYTES_MAX {
            return Err(Code::Argument);
        }
        self.0.push(b'\t');
        escape(name, &mut self.0);
        Ok(())
    }

    /// `key=value`, even when the value is empty.
    pub(crate) fn pair(&mut self, key: &str, value: &[u8]) {
        self.0.push(b'\t');
        self.0.extend_from_slice(key.as_bytes());
        self.0.push(b'=');
        escape(value, &mut self.0);
    }

    /// Certificates, DER, each as a field of this name: the first of them, as many as fit into a line and
    /// are looked at. How many these are.
    pub(crate) fn certificates(&mut self, key: &str, chain: &[&[u8]]) -> usize {
        let mut written = 0;
        for der in chain.iter().take(CERTIFICATES_MAX) {
            let before = self.0.len();
            // Looked at before anything is written out: a host may lend what it likes.
            if der.len() > LINE_BYTES_MAX {
                break;
            }
            self.pair(key, base64(der).as_bytes());
            if self.0.len() > LINE_BYTES_MAX {
                self.0.truncate(before);
                break;
            }
            written += 1;
        }
        written
    }

    /// The same, or nothing of them where not all fit.
    pub(crate) fn all_certificates(&mut self, key: &str, chain: &[&[u8]]) {
        let before = self.0.len();
        if self.certificates(key, chain) < chain.len() {
            self.0.truncate(before);
        }
    }

    /// The port that will be connected to; 0 is that of mail hosts.
    pub(crate) fn port(&mut self, port: u32) -> Result<(), Code> {
        match u16::try_from(port) {
            Ok(0) => {}
            Ok(port) => self.pair("port", port.to_string().as_bytes()),
            Err(_) => return Err(Code::Argument),
        }
        Ok(())
    }

    /// Fields that the host wrote itself, TABs and escapes included; only what would end the line is
    /// taken out of them.
    pub(crate) fn raw_fields(&mut self, fields: &[u8]) {
        self.0.push(b'\t');
        for byte in fields {
            match byte {
                b'\n' => self.0.extend_from_slice(b"\\n"),
                b'\r' => self.0.extend_from_slice(b"\\r"),
                byte => self.0.push(*byte),
            }
        }
    }

    /// How long the host is ready to wait, less what the way back takes, so that the daemon answers
    /// from what it has before the host has turned away.
    pub(crate) fn deadline(&mut self, deadline: std::time::Duration) {
        let way_back = (deadline / 4).min(std::time::Duration::from_millis(500));
        let granted = deadline.saturating_sub(way_back).as_millis();
        self.pair("deadline-ms", granted.to_string().as_bytes());
    }

    /// The line, without its end.
    pub(crate) fn line(&self) -> &[u8] {
        &self.0
    }
}

/// Whether one of the certificates is not there: the next would take its place.
pub(crate) fn has_gap(chain: &[&[u8]]) -> bool {
    chain.iter().any(|der| der.is_empty())
}

/// One line of printable ASCII, for logs.
pub(crate) fn printable(text: &[u8]) -> Vec<u8> {
    text.iter()
        .map(|byte| match byte {
            b' '..=b'~' => *byte,
            b'\t' | b'\n' | b'\r' => b' ',
            _ => b'?',
        })
        .collect()
}

fn escape(value: &[u8], line: &mut Vec<u8>) {
    for byte in value {
        match byte {
            b'\t' => line.extend_from_slice(b"\\t"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\\' => line.extend_from_slice(b"\\\\"),
            0..=0x1f | 0x7f => line.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
            byte => line.push(*byte),
        }
    }
}

/// Undoes the escapes that the daemon writes.
pub(crate) fn unescape(value: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(value.len());
    let mut rest = value;
    let digit = |byte: u8| char::from(byte).to_digit(16);
    loop {
        rest = match rest {
            [] => return plain,
            [b'\\', b't', after @ ..] => {
                plain.push(b'\t');
                after
            }
            [b'\\', b'n', after @ ..] => {
                plain.push(b'\n');
                after
            }
            [b'\\', b'r', after @ ..] => {
                plain.push(b'\r');
                after
            }
            [b'\\', b'\\', after @ ..] => {
                plain.push(b'\\');
                after
            }
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let value = digit(*high).unwrap_or(0) * 16 + digit(*low).unwrap_or(0);
                plain.push(u8::try_from(value).unwrap_or(b'?'));
                after
            }
            [byte, after @ ..] => {
                plain.push(*byte);
                after
            }
        };
    }
}

/// RFC 4648 s4, with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |group: u32, shift: u32| {
        let index = usize::try_from((group >> shift) & 0x3f).unwrap_or(0);
        char::from(DIGITS.get(index).copied().unwrap_or(b'A'))
    };
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| chunk.get(index).copied().map_or(0, u32::from);
        let group = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        text.push(digit(group, 18));
        text.push(digit(group, 12));
        text.push(if chunk.len() > 1 {
            digit(group, 6)
        } else {
            '='
        });
        text.push(if chunk.len() > 2 {
            digit(group, 0)
        } else {
            '='
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (plain, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), expected);
        }
        assert_eq!(base64(&[0xff, 0xef, 0xbe]), "/+++");
    }

    #[test]
    fn the_daemon_is_given_less_time_than_the_host_has() {
        for (host, daemon) in [(20_000, 19_500), (1_000, 750), (1, 0)] {
            let mut request = Request::new("POLICY", b"a").unwrap();
            request.deadline(std::time::Duration::from_millis(host));
            let expected = format!("POLICY\ta\tdeadline-ms={daemon}");
            assert_eq!(request.line(), expected.as_bytes());
        }
    }
}
