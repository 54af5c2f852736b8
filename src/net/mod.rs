//! The only ways out: the sockets of DNS, HTTPS and SMTP, and the `sendmail` program, each behind a trait where
//! a stage waits for it; and how the sockets that others come to are had: from systemd, or bound by ourselves.
//! Everything that arrives here is hostile: bounded in size, count and time.

pub mod activation;
pub mod address_guard;
mod any_certificate;
pub mod counted_dns;
pub mod datagram_socket;
pub mod dns;
pub mod dnssec;
pub(crate) mod group;
pub mod handover;
pub mod hickory;
mod http_answer;
pub mod http_door;
mod http_proxy;
pub mod https;
pub mod policy_host;
pub mod report_host;
pub mod report_post;
pub mod sendmail;
pub mod smtp;
mod socket_file;
pub mod tcp_socket;
pub mod trust;
pub mod unix_socket;
pub mod validation;
mod web;
pub mod webhook;
