//! What joins policy, hook and record in a running host.
//!
//! The stages are pure; this is the part that waits for the world on their behalf: it keeps
//! policies fresh ([`keeper`]), answers the MTA within its deadline, and puts sessions into the
//! journal. In process it is the [`Hook`](sealpost_plugin_api::Hook) of a Rust MTA.

pub mod keeper;
