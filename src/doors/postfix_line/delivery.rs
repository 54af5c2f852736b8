//! What became of one recipient of a message: the line with `to=`.

use super::{Connection, Peer, Reason, peer::host, reason};

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// The message.
    pub queue_id: &'a str,
    /// The recipient's domain; absent in an address without one.
    pub domain: Option<&'a str>,
    /// The server it was given to, or that refused it; absent when there was none.
    pub relay: Option<Peer<'a>>,
    /// Whether an earlier message left the connection open.
    pub connection: Connection,
    /// `delays=` without its last part: the times until the connection stood. They are the same for
    /// all recipients whom one connection served.
    pub set_up: &'a str,
    /// `tls=` of Postfix 3.11 and later.
    pub tls: Option<TlsUsed>,
    /// What the server, or Postfix itself, had to say.
    pub reason: Reason<'a>,
}

/// What `tls=` says of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsUsed {
    /// In the clear, because this host is set so.
    ClearByChoice,
    /// In the clear, though TLS was wanted.
    Clear,
    /// Anything else.
    Other,
}

/// Reads what follows `to=<`.
pub(super) fn read<'a>(queue_id: &'a str, text: &'a str) -> Option<Delivery<'a>> {
    let (to, mut rest) = address(text)?;
    if let Some(original) = rest.strip_prefix(", orig_to=<") {
        rest = address(original)?.1;
    }
    let (relay, rest) = rest.strip_prefix(", relay=")?.split_once(", ")?;
    let mut delivery = Delivery {
        queue_id,
        domain: to.rsplit_once('@').and_then(|(_, domain)| host(domain)),
        relay: Peer::whole(relay),
        connection: Connection::New,
        set_up: "",
        tls: None,
        reason: Reason::Other,
    };
    let mut rest = rest;
    // conn_use, delay, delays, tls, dsn: what else may come later is passed over.
    for _ in 0..FIELDS_MAX {
        if let Some(status) = rest.strip_prefix("status=") {
            let (status, said) = status.split_once(" (")?;
            // Without the quotes (`info_log_addr_form = internal`) all up to here may be made up.
            if said.contains(">, relay=") {
                return None;
            }
            delivery.reason = match status {
                "sent" | "deliverable" => Reason::Talked(delivery.relay),
                _ => reason::read(said.strip_suffix(')').unwrap_or(said)),
            };
            return Some(delivery);
        }
        let (field, after) = rest.split_once(", ")?;
        match field.split_once('=')? {
            ("conn_use", _) => delivery.connection = Connection::Reused,
            ("delays", delays) => {
                delivery.set_up = delays.rsplit_once('/').map_or(delays, |(before, _)| before);
            }
            ("tls", used) => delivery.tls = Some(tls_used(used)),
            _ => {}
        }
        rest = after;
    }
    None
}

const FIELDS_MAX: usize = 12;

/// The level that was wanted, a colon, and what it came to where that is another; then other features
/// behind slashes.
fn tls_used(field: &str) -> TlsUsed {
    let level = field.split('/').next().unwrap_or_default();
    match level.trim_start_matches('!').split_once(':') {
        Some((_, "none")) => TlsUsed::Clear,
        None if level == "none" => TlsUsed::ClearByChoice,
        _ => TlsUsed::Other,
    }
}

/// An address up to its `>`, and what follows that. A local part with anything but plain characters
/// stands in quotes (`info_log_addr_form`), so none can end the address before its end.
pub(super) fn address(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().take(ADDRESS_BYTES_MAX) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'>' => return Some((text.get(..at)?, text.get(at + 1..)?)),
            b' ' | b',' | b'<' | b'(' | b')' => return None,
            _ => {}
        }
    }
    None
}

const ADDRESS_BYTES_MAX: usize = 2_048;
