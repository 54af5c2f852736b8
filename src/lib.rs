//! The sending side of mail transport security.
//!
//! Before a delivery Sealpost tells the MTA what TLS the recipient domain demands (MTA-STS,
//! RFC 8461; DANE, RFC 7672). It takes down how each TLS session went, and once a day it sends each
//! recipient domain its report (RFC 8460). One sentence is the map:
//!
//! `policy -> hook -> record -> store -> aggregate -> report -> deliver`
//!
//! `ARCHITECTURE.md` follows one session through it, from an MTA's event to the inbox.

// 1. What a recipient domain asks of those who send to it. Pure.
pub mod policy;

// 2. What the MTA is told before a delivery. Pure.
pub mod hook;

// 3. One fact for each TLS session. Pure, and one queue.
pub mod record;

// 4. Facts kept until they are reported.
pub mod store;

// 5. One UTC day of them, added up. Pure.
pub mod aggregate;

// 6. Totals as the bytes a recipient reads. Pure.
pub mod report;

// 7. Those bytes, brought to the recipient's rua.
pub mod deliver;

// How an MTA reaches the hook; one file, one door.
pub mod doors;

// What joins the stages in a running host, and the only one that waits for the world.
pub mod engine;

// Around them.
pub mod alert;
pub mod clock;
pub mod config;
pub mod ctl;
pub mod daemon;
pub mod net;
pub mod observe;
pub mod page;
mod quick_hash;
mod recent;

#[cfg(feature = "demo")]
pub mod demo;
