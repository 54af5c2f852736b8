//! How an MTA reaches the hook. One file, one door; a door knows [`crate::hook::AsyncHook`] and
//! nothing behind it.
//!
//! Every door bounds what a client may cost (bytes, clients, time), answers bad input with words
//! that name the field and a counter, lets no client's trouble reach another's, and at shutdown
//! answers what it has received before it closes.

pub mod in_process;
pub mod plugin_answer;
pub mod plugin_line;
pub mod plugin_socket;
pub mod postfix_line;
pub mod postfix_log;
pub mod postfix_log_sessions;
pub mod postfix_log_told;

mod line_reader;
mod plugin_escape;
mod recent;
