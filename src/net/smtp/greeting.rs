//! Whether a mail server can be spoken to: connect, greeting, EHLO, QUIT. Never a message, and nobody is named.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use super::{
    bounded::BoundedStream,
    conversation::{Conversation, Reply},
    session, shown,
};

/// The longest wait for the answer to QUIT, which nothing depends on.
const QUIT_TIME_MAX: Duration = Duration::from_secs(1);

/// Why a mail server could not be spoken to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unspoken {
    /// No connection within the time: packets are swallowed on the way.
    #[error("no connection within {0} s")]
    Swallowed(u64),
    /// The system or the host refused the connection.
    #[error("no connection: {0}")]
    Refused(String),
    /// It was connected to, and then said nothing within the time, hung up, or said what is no SMTP.
    #[error("connected, and then: {0}")]
    Dumb(String),
    /// It answered that it does not want us.
    #[error("it answers: {0}")]
    Unwanted(String),
}

/// Speaks to a mail server as far as EHLO, and says good-bye. Gives its greeting.
///
/// # Errors
/// When it cannot be spoken to within this time.
pub async fn greet(
    address: SocketAddr,
    host_name: &str,
    limit: Duration,
) -> Result<String, Unspoken> {
    let deadline = Instant::now() + limit;
    let stream = timeout_at(deadline, TcpStream::connect(address)).await;
    let stream = stream.map_err(|_| Unspoken::Swallowed(limit.as_secs()))?;
    let stream = stream.map_err(|error| Unspoken::Refused(error.to_string()))?;
    let mut conversation = Conversation::new(BoundedStream::new(stream));
    let hello = format!("EHLO {}", session::hello(host_name));
    let speaking = async {
        let greeting = wanted(conversation.reply().await)?;
        wanted(conversation.command(&hello).await)?;
        Ok(greeting)
    };
    let spoken = timeout_at(deadline, speaking).await;
    let spoken = spoken.unwrap_or_else(|_| {
        let silent = format!("nothing more within {} s", limit.as_secs());
        Err(Unspoken::Dumb(silent))
    });
    // Whatever the answer is, we are done.
    let _answer = timeout(QUIT_TIME_MAX, conversation.command("QUIT")).await;
    spoken
}

fn wanted(reply: io::Result<Reply>) -> Result<String, Unspoken> {
    let reply = reply.map_err(|error| Unspoken::Dumb(error.to_string()))?;
    let words = shown(&reply.words());
    if reply.is_positive() {
        Ok(words)
    } else {
        Err(Unspoken::Unwanted(words))
    }
}
