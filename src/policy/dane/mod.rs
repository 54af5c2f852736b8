//! DANE (RFC 7672): what signed DNS says of the mail hosts of a recipient domain.
//!
//! A domain that signs its zone can say in it, by TLSA records, what certificate its mail host shows.
//! Who believes the DNS that there are such records cannot be talked out of TLS. It is decided for each
//! MX host: [`host`] is what is known of one, [`domain`] of all that a domain has, [`tlsa`] the records
//! and which of them can be used, [`verdict`] what a certificate chain is worth under them. [`order`] says
//! what is asked of the DNS next, and [`exchanges`] puts the MX records and what was found of their hosts
//! together. What all that takes of the memory `weight` says. All of it is values: `engine::dane` asks the DNS.

mod certificate;
mod chain;
mod constraints;
pub mod domain;
pub mod exchanges;
pub mod host;
mod names;
pub mod order;
mod path;
pub mod tlsa;
pub mod verdict;
mod weight;

pub use domain::{DomainDane, MailHosts, ManyHosts, RankedHost};
pub use exchanges::{Exchange, ExchangeKind, HostFound, MailExchanges, NamedHosts};
pub use host::{DaneFinding, HostDane, LookupTrouble, MxSecurity, NoDane, TlsaPolicy};
pub use order::{AddressAnswer, NextQuestion, Proof};
pub use tlsa::{TlsaRecord, TlsaSet, TooLarge, Unusable, Usability};
pub use verdict::{Match, Matched, NotJudged, Verdict, verify};
