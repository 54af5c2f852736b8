//! Stage 1 of 7: policy.
//! Takes: the text of DNS records and of policy documents, as `net` fetched them.
//! Gives: what a recipient domain asks of those who send to it, as a [`Standing`], to the hook.
//! Never: opens a socket, reads the clock, or asks the world itself; `engine` does that for it.
//! Specified by: RFC 8461 s3 and s4.1, RFC 8460 s3; RFC 7672 (DANE).

pub mod applied;
pub mod bundle;
pub mod certificate;
pub mod dane;
pub mod freshness;
pub mod handshake_signature;
pub mod mx_pattern;
pub mod name;
pub mod name_pattern;
pub mod report_uri;
pub mod rua_record;
pub mod standing;
pub mod sts_document;
pub mod sts_record;
mod txt_fields;

pub use applied::{AppliedPolicy, Fingerprint, PolicyType};
pub use freshness::{Announcement, Intervals, Known, Occasion};
pub use mx_pattern::MxPattern;
pub use name::{MxHost, NameError, PolicyDomain};
pub use name_pattern::NamePattern;
pub use report_uri::{ReportUri, UriError};
pub use rua_record::{Destination, RuaDiscovery, RuaRecord, RuaRecordError};
pub use standing::{FetchTrouble, Standing, StsStanding};
pub use sts_document::{DocumentError, KeptPolicy, Mode, StsPolicy};
pub use sts_record::{StsDiscovery, StsRecord, StsRecordError};
pub use txt_fields::FieldError;
