//! Report mail on its way out; and [`probe`], which looks at mail hosts and brings nothing.
//!
//! A report says that TLS to a domain fails. Held to the domain's TLS policy, it would fail in the
//! same way and never arrive. So these transports verify nothing: they use TLS where it works, and
//! deliver in the clear where it does not.
// RFC 8460 s3: reports are delivered despite TLS failures, so no policy of the destination applies.
// RFC 8460 s5.3: the sessions that carry reports are not themselves reported. They do not pass the
// hook: nothing below `net` knows it, so no session record can come of them.

use super::handover::{Accepted, Channel, SendError, Waiting, shown};
use crate::clock::BoxFuture;

pub mod greeting;
pub mod probe;

mod bounded;
mod conversation;
mod mailboxes;
mod mx;
mod relay;
mod session;

pub use super::address_guard::PrivateAddresses;
pub(in crate::net) use mailboxes::Mailboxes;
pub use mx::MxTransport;
pub use relay::{BadRelay, RelayTransport};

/// Who a message is from and to: the SMTP envelope, not the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The mailbox that bounces go to.
    pub from: String,
    /// The mailbox it is for.
    pub to: String,
}

/// Brings a finished message to its next hop.
pub trait Transport: Send + Sync {
    /// One attempt. The message is lines that end in CRLF, at most 7-bit; not an octet of it is
    /// changed, for it is signed.
    fn send<'a>(
        &'a self,
        envelope: &'a Envelope,
        message: &'a [u8],
    ) -> BoxFuture<'a, Result<Accepted, SendError>>;
}
