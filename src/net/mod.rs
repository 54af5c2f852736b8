//! The only outgoing sockets: DNS, HTTPS and SMTP, each behind a trait where a stage waits for it.
//! Everything that arrives here is hostile: bounded in size, count and time.

pub mod dns;
pub mod https;
pub mod smtp;
