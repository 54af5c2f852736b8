//! `libsealpost.so`: the C interface of Sealpost, and what Exim loads with `${dlfunc}`.
//!
//! Real MTAs fork, run several delivery processes at once, and do not survive a library that
//! panics, raises a signal or starts a thread. So this one does nothing of the kind and decides
//! nothing: it is a client of the daemon's plugin socket (`docs/plugin-socket.md`), blocking with a
//! deadline. `include/sealpost.h` says in full what a host may expect; `docs/decisions/0008-c-abi.md`
//! says why it is cut this way.
//!
//! This is the only crate with `unsafe` in it. [`pointer`] holds all that touches a host's memory,
//! [`panic`] is the border that every entry passes, [`abi`] mirrors the header.

mod abi;
mod answer;
mod chain_line;
mod client;
mod entry;
mod exim;
mod line;
mod panic;
mod pointer;
mod session_line;
mod settings;
mod verify;

#[cfg(test)]
mod layout;
