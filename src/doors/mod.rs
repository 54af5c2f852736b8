//! How an MTA reaches the hook. One file, one door; each knows only [`AsyncHook`](crate::hook::AsyncHook).

pub mod in_process;
