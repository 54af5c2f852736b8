//! How an MTA reaches the hook. One file, one door; a door knows [`crate::hook::AsyncHook`] and
//! nothing behind it.
//!
//! Every door bounds what a client may cost (bytes, clients, time), answers bad input with words
//! that name the field and a counter, lets no client's trouble reach another's, and at shutdown
//! answers what it has received before it closes.

pub mod datagram;
pub mod in_process;
pub mod plugin_answer;
pub mod plugin_line;
pub mod plugin_socket;
pub mod postfix_line;
pub mod postfix_log;
pub mod postfix_log_sessions;
pub mod postfix_log_told;
pub mod socketmap;
pub mod socketmap_reply;
pub mod socketmap_request;
pub mod socketmap_whole;
pub mod tlsrpt_datagram;

mod clients;
mod datagram_counting;
mod datagram_queue;
mod datagram_reading;
mod line_reader;
mod netstring;
mod plugin_certificate;
mod plugin_escape;
mod plugin_fields;
mod socketmap_client;
mod socketmap_worded;
mod tlsrpt_failure;
