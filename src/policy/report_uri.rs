//! An `https:` URI that reports are posted to, taken apart (RFC 8460 s3, RFC 3986).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::PolicyDomain;

/// Longer URIs than this are not followed.
pub const URI_BYTES_MAX: usize = 2_000;

/// The port where the URI names none (RFC 9110 s4.2.2).
pub const HTTPS_PORT: u16 = 443;

/// Where a report is posted to: a host and port that can be connected to, and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportUri {
    /// The host: a domain name as A-labels in lower case, or an address, an IPv6 one without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path with its query, `/` at least. A fragment is never sent (RFC 9110 s7.1).
    pub target: String,
}

/// Why a text is no such URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// The domain's operator must act: its form is another.
    #[error("not an https URI")]
    Form,
    /// The domain's operator must act: an escape is cut off.
    #[error("a \"%\" without two hexadecimal digits")]
    Percent,
    /// The domain's operator must act: more than [`URI_BYTES_MAX`] octets.
    #[error("too long")]
    TooLong,
}

impl ReportUri {
    /// Takes a URI apart. The host and port must be ones that can be connected to; of the rest only its
    /// characters count.
    ///
    /// # Errors
    /// When it is no `https:` URI, or names a user: that is nothing we would send (F23).
    pub fn read(uri: &str) -> Result<Self, UriError> {
        if uri.len() > URI_BYTES_MAX {
            return Err(UriError::TooLong);
        }
        let (scheme, rest) = uri.split_once("://").ok_or(UriError::Form)?;
        if !scheme.eq_ignore_ascii_case("https") {
            return Err(UriError::Form);
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).ok_or(UriError::Form)?;
        if authority.contains('@') {
            return Err(UriError::Form);
        }
        let (host, port) = split_port(authority).ok_or(UriError::Form)?;
        let port = match port {
            None => HTTPS_PORT,
            Some(port) => number(port).ok_or(UriError::Form)?,
        };
        if port == 0 || !path.bytes().all(is_of_a_path) {
            return Err(UriError::Form);
        }
        check_escapes(path)?;
        let path = path.split('#').next().unwrap_or_default();
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self {
            host: canonical_host(host).ok_or(UriError::Form)?,
            port,
            target: format!("{slash}{path}"),
        })
    }

    /// `host[:port]`, as the field Host has it (RFC 9110 s7.2).
    #[must_use]
    pub fn authority(&self) -> String {
        let host = match self.host.parse::<Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => self.host.clone(),
        };
        match self.port {
            HTTPS_PORT => host,
            port => format!("{host}:{port}"),
        }
    }
}

fn is_of_a_path(byte: u8) -> bool {
    byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&byte)
}

/// RFC 3986 s2.1: "%" and two digits. Octets that are not UTF-8 are the receiver's own affair.
fn check_escapes(path: &str) -> Result<(), UriError> {
    let is_escape = |after: &str| {
        let mut digits = after.bytes().take(2).filter(u8::is_ascii_hexdigit);
        digits.next().and(digits.next()).is_some()
    };
    let mut parts = path.split('%').skip(1);
    if parts.all(is_escape) {
        Ok(())
    } else {
        Err(UriError::Percent)
    }
}

/// Digits alone: the standard library would take a sign.
fn number(port: &str) -> Option<u16> {
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| port.parse().ok()).flatten()
}

fn canonical_host(host: &str) -> Option<String> {
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    if let Some(address) = bracketed {
        return address.parse::<Ipv6Addr>().ok().map(|one| one.to_string());
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Some(address.to_string());
    }
    host.parse::<PolicyDomain>()
        .ok()
        .map(|name| name.as_str().to_owned())
}

/// Splits `host[:port]`; the colons of an address in brackets are not the one before a port.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if authority.starts_with('[') {
        let end = authority.find(']')?;
        let (host, after) = authority.split_at_checked(end + 1)?;
        return match after.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None if after.is_empty() => Some((host, None)),
            None => None,
        };
    }
    Some(match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a10_f23_a_uri_is_taken_apart_and_nothing_of_it_can_break_out() {
        for (uri, expected) in [
            (
                "https://x.example",
                Ok(("x.example", 443, "/", "x.example")),
            ),
            (
                "HTTPS://X.Example.:8443/a?b=c%2Cd#e",
                Ok(("x.example", 8_443, "/a?b=c%2Cd", "x.example:8443")),
            ),
            ("https://x?y", Ok(("x", 443, "/?y", "x"))),
            ("https://x/%FF", Ok(("x", 443, "/%FF", "x"))),
            (
                "https://b\u{fc}cher.example/r",
                Ok(("xn--bcher-kva.example", 443, "/r", "xn--bcher-kva.example")),
            ),
            (
                "https://[2001:DB8::1]:443/a",
                Ok(("2001:db8::1", 443, "/a", "[2001:db8::1]")),
            ),
            (
                "https://192.0.2.1/",
                Ok(("192.0.2.1", 443, "/", "192.0.2.1")),
            ),
            ("https://user:secret@x/y", Err(UriError::Form)),
            ("http://x/y", Err(UriError::Form)),
            ("https:x", Err(UriError::Form)),
            ("https:///y", Err(UriError::Form)),
            ("https://x:0/", Err(UriError::Form)),
            ("https://x:65536/", Err(UriError::Form)),
            ("https://x:+1/", Err(UriError::Form)),
            ("https://[::1/", Err(UriError::Form)),
            ("https://x/a b", Err(UriError::Form)),
            ("https://x/a\r\nEvil: b", Err(UriError::Form)),
            ("https://x/%zz", Err(UriError::Percent)),
            ("https://x/%2", Err(UriError::Percent)),
            ("https://x/%", Err(UriError::Percent)),
            (
                &format!("https://x/{}", "a".repeat(URI_BYTES_MAX)),
                Err(UriError::TooLong),
            ),
        ] {
            let read = ReportUri::read(uri);
            let read = read.map(|read| {
                let authority = read.authority();
                (read.host, read.port, read.target, authority)
            });
            let expected =
                expected.map(|(host, port, target, authority): (&str, _, &str, &str)| {
                    let owned = str::to_owned;
                    (owned(host), port, owned(target), owned(authority))
                });
            assert_eq!(read, expected, "{uri}");
        }
    }
}
