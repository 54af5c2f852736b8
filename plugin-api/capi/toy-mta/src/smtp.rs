//! The client's side of SMTP (RFC 5321), as far as one message needs it.

use std::io;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufStream,
};

/// The longest reply line that is read.
const LINE_BYTES_MAX: u64 = 2_048;

/// The most lines that one reply may have.
const LINES_MAX: usize = 100;

/// A reply: its code, and its lines without code and line end.
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) lines: Vec<String>,
}

impl Reply {
    pub(crate) fn is_positive(&self) -> bool {
        (200..400).contains(&self.code)
    }

    /// Does an EHLO reply list this extension?
    pub(crate) fn offers(&self, extension: &str) -> bool {
        let words = self.lines.iter().skip(1);
        words
            .filter_map(|line| line.split_ascii_whitespace().next())
            .any(|word| word.eq_ignore_ascii_case(extension))
    }

    /// The reply in one line, for a log.
    pub(crate) fn words(&self) -> String {
        let words = format!("{} {}", self.code, self.lines.join(" / "));
        words
            .chars()
            .filter(|letter| !letter.is_control())
            .collect()
    }
}

/// A connection on which SMTP is spoken.
pub(crate) struct Smtp<S: AsyncRead + AsyncWrite + Unpin>(BufStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Smtp<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self(BufStream::new(stream))
    }

    /// The stream itself. What the server has said without being asked is lost with the buffer
    /// (RFC 3207 s5).
    pub(crate) fn into_inner(self) -> S {
        self.0.into_inner()
    }

    pub(crate) async fn command(&mut self, line: &str) -> io::Result<Reply> {
        self.0.write_all(format!("{line}\r\n").as_bytes()).await?;
        self.0.flush().await?;
        self.reply().await
    }

    pub(crate) async fn reply(&mut self) -> io::Result<Reply> {
        let malformed = || io::Error::new(io::ErrorKind::InvalidData, "not an SMTP reply");
        let mut lines = Vec::new();
        while lines.len() < LINES_MAX {
            let mut line = Vec::new();
            let mut limited = (&mut self.0).take(LINE_BYTES_MAX);
            if limited.read_until(b'\n', &mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            let (code, rest) = line.split_at_checked(3).ok_or_else(malformed)?;
            let code: u16 = code.parse().map_err(|_| malformed())?;
            lines.push(rest.get(1..).unwrap_or_default().to_owned());
            if !rest.starts_with('-') {
                return Ok(Reply { code, lines });
            }
        }
        Err(malformed())
    }

    /// The whole transaction and QUIT. Gives the server's words of thanks, or of refusal.
    pub(crate) async fn send(
        &mut self,
        from: &str,
        to: &str,
        message: &str,
    ) -> Result<String, String> {
        let commands = [format!("MAIL FROM:<{from}>"), format!("RCPT TO:<{to}>")];
        for command in commands.iter().map(String::as_str).chain(["DATA"]) {
            let reply = self
                .command(command)
                .await
                .map_err(|error| error.to_string())?;
            if !reply.is_positive() {
                return Err(format!("{command}: {}", reply.words()));
            }
        }
        // The message is ours, and no line of it begins with a dot.
        let reply = self
            .command(&format!("{message}\r\n."))
            .await
            .map_err(|error| error.to_string())?;
        if !reply.is_positive() {
            return Err(format!("message: {}", reply.words()));
        }
        // It is taken; what is said to the farewell changes nothing.
        let _farewell = self.command("QUIT").await;
        Ok(reply.words())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    async fn reply_to(text: &str) -> io::Result<Reply> {
        let (mut server, client) = duplex(8192);
        server.write_all(text.as_bytes()).await.unwrap();
        drop(server);
        Smtp::over(client).reply().await
    }

    #[tokio::test]
    async fn replies_are_read_to_their_last_line() {
        let reply = reply_to("250-mx.a.test\r\n250-STARTTLS\r\n250 8BITMIME\r\n220 no\r\n")
            .await
            .unwrap();
        assert_eq!(reply.code, 250);
        assert_eq!(reply.lines, ["mx.a.test", "STARTTLS", "8BITMIME"]);
        assert!(reply.offers("starttls"));
        assert!(!reply.offers("mx.a.test"));
    }

    #[tokio::test]
    async fn what_is_no_reply_is_an_error() {
        for text in ["", "x\r\n", "abc hello\r\n", "250-more\r\n"] {
            assert!(reply_to(text).await.is_err(), "{text:?}");
        }
        let endless = "250-x\r\n".repeat(1000);
        assert!(reply_to(&endless).await.is_err());
    }

    #[tokio::test]
    async fn words_hold_no_control_characters() {
        let reply = reply_to("550 \u{1b}[2Jno\r\n").await.unwrap();
        assert_eq!(reply.words(), "550 [2Jno");
    }
}
