//! What a mail host says, read reply by reply, as far as a look goes: the greeting, EHLO, STARTTLS
//! and QUIT.
//!
//! lettre, which brings our reports, does TLS itself and shows nothing of the certificate. So a look
//! speaks these few commands on its own.

use std::io;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};

/// The longest line of a reply. RFC 5321 s4.5.3.1.5 has 512 octets, and hosts are generous.
const LINE_OCTETS_MAX: usize = 4_096;

/// The most lines of one reply.
const LINES_MAX: usize = 200;

/// A conversation, from the client's side.
pub(super) struct Conversation<S> {
    stream: BufReader<S>,
}

/// A host's reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// Of its last line.
    pub(super) code: u16,
    /// What stands behind the code on each line; of whatever octets.
    pub(super) lines: Vec<String>,
}

impl Reply {
    /// 2xx.
    pub(super) fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// What the host calls itself in its reply to EHLO or HELO.
    pub(super) fn name(&self) -> Option<&str> {
        self.lines.first().and_then(|line| keyword(line))
    }

    /// Whether the EHLO reply lists this extension.
    pub(super) fn offers(&self, extension: &str) -> bool {
        let extensions = self.lines.iter().skip(1).filter_map(|line| keyword(line));
        extensions
            .into_iter()
            .any(|keyword| keyword.eq_ignore_ascii_case(extension))
    }

    /// In few words, for the log.
    pub(super) fn words(&self) -> String {
        format!("{} {}", self.code, self.lines.join(" "))
    }
}

/// The first word of a line.
fn keyword(line: &str) -> Option<&str> {
    line.split([' ', '\t', '=']).find(|word| !word.is_empty())
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    /// A conversation over a connection on which nothing was read.
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// The connection, for TLS.
    // RFC 3207 s5: what came in the clear behind the reply to STARTTLS must not be taken for something
    // said under TLS. It goes with the buffer.
    pub(super) fn into_stream(self) -> S {
        self.stream.into_inner()
    }

    /// Says a command and reads what is replied.
    pub(super) async fn command(&mut self, command: &str) -> io::Result<Reply> {
        self.stream
            .write_all(format!("{command}\r\n").as_bytes())
            .await?;
        self.stream.flush().await?;
        self.reply().await
    }

    /// Reads one reply. It is bounded in lines and octets, not in time.
    pub(super) async fn reply(&mut self) -> io::Result<Reply> {
        let mut lines = Vec::new();
        while lines.len() < LINES_MAX {
            let line = self.line().await?;
            let (code, more, text) = read_line(&line)?;
            lines.push(text);
            if !more {
                return Ok(Reply { code, lines });
            }
        }
        Err(odd(&format!("a reply of more than {LINES_MAX} lines")))
    }

    async fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let limit = u64::try_from(LINE_OCTETS_MAX).unwrap_or(u64::MAX);
        let mut limited = (&mut self.stream).take(limit);
        limited.read_until(b'\n', &mut line).await?;
        if line.pop() == Some(b'\n') {
            return Ok(line);
        }
        Err(if line.len() + 1 < LINE_OCTETS_MAX {
            io::ErrorKind::UnexpectedEof.into()
        } else {
            odd(&format!("a line of more than {LINE_OCTETS_MAX} octets"))
        })
    }
}

/// Code, whether more lines follow, text.
fn read_line(line: &[u8]) -> io::Result<(u16, bool, String)> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let not_smtp = || odd("something that is no SMTP reply");
    let (code, rest) = line.split_at_checked(3).ok_or_else(not_smtp)?;
    let code: u16 = std::str::from_utf8(code)
        .ok()
        .filter(|code| code.bytes().all(|octet| octet.is_ascii_digit()))
        .and_then(|code| code.parse().ok())
        .ok_or_else(not_smtp)?;
    let (more, text) = match rest.split_first() {
        Some((b'-', text)) => (true, text),
        Some((b' ', text)) => (false, text),
        None => (false, rest),
        Some(_) => return Err(not_smtp()),
    };
    Ok((code, more, String::from_utf8_lossy(text).into_owned()))
}

fn odd(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the host says {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(said: &[u8]) -> io::Result<Reply> {
        let (client, mut server) = tokio::io::duplex(1_000_000);
        server.write_all(said).await.unwrap();
        drop(server);
        Conversation::new(client).reply().await
    }

    #[tokio::test]
    async fn a_reply_is_read_as_hosts_word_it() {
        for (said, code, name, offers) in [
            (
                &b"250-mx.a.test\r\n250-STARTTLS\r\n250 HELP\r\n"[..],
                250,
                Some("mx.a.test"),
                true,
            ),
            (
                b"250-mx.a.test at your service\n250-size=1\n250 starttls\n",
                250,
                Some("mx.a.test"),
                true,
            ),
            // The first line is the host's name, whatever it calls itself.
            (b"250 STARTTLS\r\n", 250, Some("STARTTLS"), false),
            (b"250-mx\r\n250 X-STARTTLS\r\n", 250, Some("mx"), false),
            (b"250\r\n", 250, None, false),
            (b"220-\xe9\r\n221 x\r\n", 221, Some("\u{fffd}"), false),
        ] {
            let reply = read(said).await.unwrap();
            assert_eq!(reply.code, code, "{reply:?}");
            assert_eq!(reply.name(), name, "{reply:?}");
            assert_eq!(reply.offers("STARTTLS"), offers, "{reply:?}");
        }
    }

    #[tokio::test]
    async fn g3_what_is_no_reply_or_too_much_ends_it() {
        let endless = "250-more\r\n".repeat(LINES_MAX + 1);
        let long = "2".repeat(LINE_OCTETS_MAX + 10);
        for said in [
            "",
            "2",
            "220",
            "22\r\n",
            "2x0 a\r\n",
            "220+a\r\n",
            "\u{16}\u{3}\u{1}\r\n",
            "+20 a\r\n",
            &endless,
            &long,
        ] {
            assert!(read(said.as_bytes()).await.is_err(), "{said:.20}");
        }
    }
}
