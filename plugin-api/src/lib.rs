//! The seam between a mail transfer agent and Sealpost.
//!
//! An MTA asks before and tells after. **Before** it connects to a recipient domain's mail hosts it asks
//! [`Hook::policy`] what TLS that domain demands, and gets a [`Requirement`]. **After** each TLS
//! session (or attempt at one) it tells [`Hook::session`] how it went; Sealpost counts the session
//! under its UTC day and reports it to the recipient domain (RFC 8460).
//!
//! Between the two, a host whose TLS library does no DANE asks [`Hook::verify`] what the server's
//! certificates are worth.
//!
//! No call can fail. A policy question that cannot be answered is answered with
//! [`Level::Defer`] or [`Level::May`] as the operator configured, because an MTA that gets an error
//! from a plugin tends to deliver in the clear. Recording never delays and never fails a delivery.
//!
//! This crate depends on nothing and nothing in it is exhaustive: new levels, result types and
//! fields arrive without breaking a host.
//!
//! ```
//! use sealpost_plugin_api::{
//!     Hook, Level, Outcome, Presented, Query, Requirement, Session, Verified,
//! };
//!
//! /// What an MTA does with the answer, for one MX host of the recipient domain.
//! fn may_connect(hook: &dyn Hook, domain: &str, mx: &str) -> Result<bool, String> {
//!     let requirement = hook.policy(&Query::new(domain).with_mx(mx));
//!     match requirement.level {
//!         Level::May => Ok(false),                       // TLS if offered
//!         Level::Encrypt | Level::Verify { .. } | Level::Dane { .. } => Ok(true), // TLS or nothing
//!         _ => Err(requirement.reason),                  // this MX, or the mail, must wait
//!     }
//! }
//!
//! // A hook for a host without Sealpost: every domain is opportunistic and nothing is counted.
//! struct Nothing;
//! impl Hook for Nothing {
//!     fn policy(&self, _query: &Query<'_>) -> Requirement {
//!         Requirement::new(Level::May, "no policy engine is loaded")
//!     }
//!     fn verify(&self, _presented: &Presented<'_>) -> Verified {
//!         Verified::Passed("nothing was demanded".into())
//!     }
//!     fn session(&self, _session: &Session<'_>) {}
//! }
//!
//! assert_eq!(may_connect(&Nothing, "example.org", "mx1.example.org"), Ok(false));
//! Nothing.session(&Session::new("example.org", Outcome::Success));
//! ```

#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

extern crate alloc;

mod failure;
mod hook;
mod requirement;
mod session;
mod verify;

pub use failure::{ResultType, UnknownResultType};
pub use hook::{Hook, Query};
pub use requirement::{Level, Requirement, Tlsa};
pub use session::{Facts, Outcome, Session, StartTls, Verification};
pub use verify::{Presented, Verified};
