//! Mailbox files: mails one after another, each behind a line that begins with `From `.

use std::io::{self, BufRead, Read as _};

use super::MAIL_BYTES_MAX;

/// Reads the mails of a mailbox in turn; only one of them is in memory. Of one that is longer than
/// [`MAIL_BYTES_MAX`] it gives the beginning, one byte too long.
#[derive(Debug)]
pub struct Mailbox<R> {
    reader: R,
    /// A line that begins a mail was read.
    begun: bool,
}

impl<R: BufRead> Mailbox<R> {
    /// A mailbox, from its first byte.
    pub const fn new(reader: R) -> Self {
        Self {
            reader,
            begun: false,
        }
    }

    /// One line with its end; of a line that is longer than a mail only so much at a time.
    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let bytes_max = u64::try_from(MAIL_BYTES_MAX).unwrap_or(u64::MAX);
        let mut bounded = self.reader.by_ref().take(bytes_max);
        bounded.read_until(b'\n', &mut line)?;
        Ok(line)
    }

    fn mail(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        let mut after_empty_line = !self.begun;
        loop {
            let line = self.line()?;
            if line.is_empty() {
                let ended = std::mem::take(&mut self.begun);
                return Ok(ended.then_some(bytes));
            }
            // RFC 4155: a line "From " after an empty line begins the next mail.
            if after_empty_line && line.starts_with(b"From ") {
                after_empty_line = false;
                if std::mem::replace(&mut self.begun, true) {
                    return Ok(Some(bytes));
                }
                continue;
            }
            after_empty_line = matches!(line.as_slice(), b"\n" | b"\r\n");
            if bytes.len() <= MAIL_BYTES_MAX {
                bytes.extend_from_slice(unquoted(&line));
                bytes.truncate(MAIL_BYTES_MAX + 1);
            }
        }
    }
}

/// A line as it was before a mailbox put `>` before its "From ".
fn unquoted(line: &[u8]) -> &[u8] {
    let marks = line.iter().take_while(|byte| **byte == b'>').count();
    let is_quoted = marks > 0
        && line
            .get(marks..)
            .is_some_and(|rest| rest.starts_with(b"From "));
    if is_quoted {
        line.get(1..).unwrap_or(line)
    } else {
        line
    }
}

impl<R: BufRead> Iterator for Mailbox<R> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.mail().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mails(text: &[u8]) -> Vec<String> {
        Mailbox::new(text)
            .map(|mail| String::from_utf8(mail.unwrap()).unwrap())
            .collect()
    }

    #[test]
    fn a_mailbox_is_its_mails() {
        let text = "From a Tue Nov 24\nA: 1\n\none\nFrom here on\n>From x\n>>From y\n>quoted\n\n\
                    From b Tue Nov 24\r\nB: 2\r\n\r\nlast line";
        assert_eq!(
            mails(text.as_bytes()),
            [
                "A: 1\n\none\nFrom here on\nFrom x\n>From y\n>quoted\n\n",
                "B: 2\r\n\r\nlast line"
            ]
        );
        assert_eq!(mails(b""), Vec::<String>::new());
        assert_eq!(mails(b"From a\n"), [""]);
    }

    #[test]
    fn g1_a_mail_without_end_is_cut() {
        let endless = [b"From a\n".as_slice(), &vec![b'x'; MAIL_BYTES_MAX * 2 + 5]].concat();
        let bytes = Mailbox::new(endless.as_slice()).next().unwrap().unwrap();
        assert_eq!(bytes.len(), MAIL_BYTES_MAX + 1);
    }
}
