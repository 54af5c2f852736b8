//! The only outgoing sockets: DNS, HTTPS and SMTP, each behind a trait where a stage waits for it;
//! and how a unix socket is listened on.
//! Everything that arrives here is hostile: bounded in size, count and time.

pub mod address_guard;
pub mod dns;
pub mod hickory;
pub mod https;
pub mod policy_host;
pub mod smtp;
pub mod trust;
pub mod unix_socket;
