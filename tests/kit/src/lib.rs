//! A small Internet on loopback, for Sealpost's tests and its demo.
//!
//! Everything a sender of mail meets is here as a real server that speaks real packets, and each can
//! be told to misbehave: the resolver ([`DnsServer`]), the hosts that serve MTA-STS policies
//! ([`PolicyHosts`]), the mail hosts ([`MxHosts`]) and the mailbox that reports arrive in ([`Inbox`]).
//! Who looks at signatures himself asks the [`SignedInternet`]. [`Authority`] issues good and bad certificates for them. [`Internet`] puts them together into the
//! [`Cases`] of the demo and of the tests with real MTAs, each with its truth by construction.
//!
//! The kit knows nothing of Sealpost: what it says of a report or a signature is a second opinion.
//!
//! Everything listens on 127.0.0.0/8 (and one mail host on an IPv6 address, where it is told one), on a
//! port of the operating system's choice unless the caller names one, and stops when it is dropped.

// Who can be trusted.
mod authority;
mod chain_hosts;
mod chains;
pub mod dkim;
mod keys;

// Who can be asked.
mod dns;
mod policy_host;
mod signed;
mod tlsa;

// Who takes mail, and what came of it.
mod inbox;
mod mail;
mod message;
mod mx;
mod smtp;

// What else they may say.
mod mutation;

// All together.
mod cases;
mod internet;
mod publish;

mod shared;

pub use authority::{Authority, AuthorityError, Flaw, Leaf};
pub use cases::{Case, Cases, Delivery, Expected, ExpectedFailure};
pub use chain_hosts::ChainHosts;
pub use chains::{CertificateKey, Certified, Oddity, Purpose, Validity, Wish};
pub use dns::{DnsFault, DnsServer, Question};
pub use inbox::{Inbox, ReportMail, ReportMailError};
pub use internet::{Internet, InternetError, Ports, Selector, Setup};
pub use keys::{DkimKey, KeyError};
pub use message::{Message, SmtpSession};
pub use mutation::mutations;
pub use mx::{MxBehaviour, MxHost, MxHosts};
pub use policy_host::{Answer, PolicyHost, PolicyHosts, Request};
pub use signed::{
    Delegation, Denial, MasterFile, MasterFileError, Relay, Relaying, SignatureFault,
    SignedInternet, SignedInternetBuilder, SignedInternetError, Zone, ZoneError,
};
pub use tlsa::{Tlsa, TlsaError};
