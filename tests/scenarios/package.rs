//! The Debian package, in clean Debians that are booted: from `apt install` to a delivered report, and what is
//! left of it after a purge.

mod first_day;
mod installed;
