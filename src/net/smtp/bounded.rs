//! A connection to a mail host that may say only so much.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// The most that a host may say in one session, TLS handshake included.
const RECEIVED_BYTES_MAX: usize = 1_048_576;

/// A socket that lets in only so much.
// lettre looks at the length of a line only once it has the whole of it.
#[derive(Debug)]
pub(super) struct BoundedStream {
    stream: TcpStream,
    bytes_left: usize,
}

impl BoundedStream {
    /// A socket that has let in nothing yet.
    pub(super) fn new(stream: TcpStream) -> Self {
        // A message and the dot behind it are two writes: by Nagle's rule the dot waits for a host's delayed
        // acknowledgement, 40 ms a mail. Where this is refused, mail is slower and nothing else.
        let _slower = stream.set_nodelay(true);
        Self {
            stream,
            bytes_left: RECEIVED_BYTES_MAX,
        }
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let arrived = buffer.filled().len().saturating_sub(before);
        match self.bytes_left.checked_sub(arrived) {
            Some(left) => {
                self.bytes_left = left;
                polled
            }
            None => Poll::Ready(Err(io::Error::other(format!(
                "the host says more than {RECEIVED_BYTES_MAX} octets"
            )))),
        }
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncTokioStream for BoundedStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}
