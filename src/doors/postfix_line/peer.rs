//! A server as Postfix names it: host, address and port.

use std::net::IpAddr;

/// A server that was connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer<'a> {
    /// The mail host, as the MX record or the next hop names it.
    pub host: &'a str,
    /// Its address.
    pub address: IpAddr,
    /// The port; Postfix leaves it out in some lines.
    pub port: Option<u16>,
}

impl<'a> Peer<'a> {
    /// `mx.example.org[192.0.2.1]:25` or without the port, and what follows.
    pub(super) fn read(text: &'a str) -> Option<(Self, &'a str)> {
        let (name, rest) = text.split_once('[')?;
        let (address, rest) = rest.split_once(']')?;
        let (port, rest) = match rest.strip_prefix(':') {
            Some(after) if after.starts_with(|first: char| first.is_ascii_digit()) => {
                let end = after.find(|one: char| !one.is_ascii_digit());
                let (port, rest) = after.split_at_checked(end.unwrap_or(after.len()))?;
                (Some(port.parse().ok()?), rest)
            }
            _ => (None, rest),
        };
        let peer = Self {
            host: host(name)?,
            address: address.parse().ok()?,
            port,
        };
        Some((peer, rest))
    }

    /// A peer, and what stands behind `end`.
    pub(super) fn before(text: &'a str, end: &str) -> Option<(Self, &'a str)> {
        let (peer, rest) = Self::read(text)?;
        Some((peer, rest.strip_prefix(end)?))
    }

    /// The whole text is a peer; a socket's path or `none` is not.
    pub(super) fn whole(text: &'a str) -> Option<Self> {
        let (peer, rest) = Self::read(text)?;
        rest.is_empty().then_some(peer)
    }
}

/// A name as Postfix's own check of names lets it through, or an address in its place.
pub(super) fn host(name: &str) -> Option<&str> {
    let fits = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':') || byte >= 0x80
    };
    ((1..=255).contains(&name.len()) && name.bytes().all(fits)).then_some(name)
}

/// The name of a next hop: `example.org`, `[relay.example]:587`.
pub(super) fn next_hop_name(text: &str) -> Option<&str> {
    let name = match text.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?.0,
        None => text.split_once(':').map_or(text, |(name, _)| name),
    };
    host(name)
}
