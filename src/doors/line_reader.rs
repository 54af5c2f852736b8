//! Lines off a byte stream, each bounded in length, without losing what has arrived when the wait
//! for more is given up.

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What comes next on the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// A line without its end.
    Line(Bytes),
    /// A line over the limit; it was skipped to its end.
    TooLong,
    /// The peer has closed, or shut down its writing side.
    End,
}

/// Bytes that have arrived and are not yet a line that was taken.
#[derive(Debug)]
pub(super) struct Lines {
    arrived: BytesMut,
    /// How much of `arrived` is known to hold no line end.
    searched: usize,
    line_bytes_max: usize,
    /// The line now arriving is over the limit already; what is left of it is thrown away.
    skipping: bool,
}

impl Lines {
    pub(super) fn new(line_bytes_max: usize) -> Self {
        Self {
            arrived: BytesMut::new(),
            searched: 0,
            line_bytes_max,
            skipping: false,
        }
    }

    /// Waits for the next line. May be dropped at any time: nothing that arrived is lost.
    pub(super) async fn next(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> std::io::Result<Input> {
        loop {
            if let Some(input) = self.take() {
                return Ok(input);
            }
            if stream.read_buf(self.room()).await? == 0 {
                return Ok(self.take_last());
            }
        }
    }

    /// Where the next bytes go.
    pub(super) fn room(&mut self) -> &mut BytesMut {
        self.arrived.reserve(4_096);
        &mut self.arrived
    }

    /// The next whole line of what has arrived.
    pub(super) fn take(&mut self) -> Option<Input> {
        let unsearched = self.arrived.get(self.searched..).unwrap_or_default();
        let Some(found) = unsearched.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.arrived.len();
            // One more for the CR before the LF.
            if self.skipping || self.arrived.len() > self.line_bytes_max + 1 {
                self.skipping = true;
                self.arrived.clear();
                self.searched = 0;
            }
            return None;
        };
        let line = self.arrived.split_to(self.searched + found).freeze();
        self.arrived.advance(1);
        self.searched = 0;
        Some(self.judge(line))
    }

    /// The end of input ends a line too.
    fn take_last(&mut self) -> Input {
        let line = self.arrived.split().freeze();
        self.searched = 0;
        if line.is_empty() && !self.skipping {
            return Input::End;
        }
        self.judge(line)
    }

    fn judge(&mut self, line: Bytes) -> Input {
        let line = match line.strip_suffix(b"\r") {
            Some(without) => line.slice(..without.len()),
            None => line,
        };
        if std::mem::take(&mut self.skipping) || line.len() > self.line_bytes_max {
            Input::TooLong
        } else {
            Input::Line(line)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Input {
        Input::Line(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// Feeds the pieces one read at a time.
    async fn check(pieces: &[&str], expected: &[Input]) {
        let mut stream = tokio_test_stream(pieces);
        let mut lines = Lines::new(8);
        let mut seen = Vec::new();
        loop {
            let input = lines.next(&mut stream).await.unwrap();
            if input == Input::End {
                break;
            }
            seen.push(input);
        }
        assert_eq!(seen, expected, "{pieces:?}");
    }

    /// Each piece is one read of the stream.
    fn tokio_test_stream(pieces: &[&str]) -> impl AsyncRead + Unpin {
        struct Pieces(std::collections::VecDeque<Vec<u8>>);
        impl AsyncRead for Pieces {
            fn poll_read(
                mut self: std::pin::Pin<&mut Self>,
                _context: &mut std::task::Context<'_>,
                buffer: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                if let Some(piece) = self.0.pop_front() {
                    buffer.put_slice(&piece);
                }
                std::task::Poll::Ready(Ok(()))
            }
        }
        Pieces(
            pieces
                .iter()
                .map(|piece| piece.as_bytes().to_vec())
                .collect(),
        )
    }

    #[tokio::test]
    async fn lines_come_out_whole_however_they_arrive() {
        check(&["PING\n"], &[line("PING")]).await;
        check(&["PI", "NG", "\nPO"], &[line("PING"), line("PO")]).await;
        check(
            &["A\nB\r\n\nC"],
            &[line("A"), line("B"), line(""), line("C")],
        )
        .await;
        check(&["A\r", "\nB\r"], &[line("A"), line("B")]).await;
        check(&[], &[]).await;
    }

    #[tokio::test]
    async fn a_line_over_the_limit_is_skipped_and_the_next_is_read() {
        check(
            &["12345678\n", "12345678\r\n"],
            &[line("12345678"), line("12345678")],
        )
        .await;
        check(&["123456789\nA\n"], &[Input::TooLong, line("A")]).await;
        check(
            &["12345678", "90123456", "78\nA\n"],
            &[Input::TooLong, line("A")],
        )
        .await;
        check(&["123456789012", "3"], &[Input::TooLong]).await;
        check(&["12345678901\n"], &[Input::TooLong]).await;
    }
}
