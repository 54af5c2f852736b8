//! What a setting can be set to: the type in words, and whether a value of the file is one.
//!
//! A value is judged where it stands in the file, before it becomes a [`Config`](super::Config), so
//! that every bad value is found at once and named with its line and column.

use std::{fmt, net::SocketAddr, ops::Range, path::Path, str::FromStr};

use toml::{Spanned, de::DeValue};

use super::{OverrideScope, files};
use crate::{
    clock::UtcDay,
    observe,
    policy::{Destination, NameError, NamePattern, PolicyDomain},
};

/// What a setting can be set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Switch,
    /// A whole number within bounds, both included.
    Number(i64, i64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// Any text of one line; may be empty.
    Text,
    /// A bare mailbox; empty: not set.
    Mailbox,
    /// A host name; empty: not set.
    HostName,
    /// A list of addresses with ports.
    Addresses,
    /// A list of addresses of hosts.
    HostAddresses,
    /// `host:port`.
    HostPort,
    /// An HTTP proxy, `http://host:port`; empty: none.
    Proxy,
    /// A list of ports.
    Ports,
    /// A directory.
    Directory,
    /// A unix socket to be made.
    Socket,
    /// A unix socket to be made; empty: none.
    OptionalSocket,
    /// A file to be read, which may not be there yet; empty: none.
    OptionalFile,
    /// A program to be run, which may not be there yet.
    Program,
    /// A list of PEM files of certificates.
    Certificates,
    /// A PEM file with a private key.
    PrivateKey,
    /// A file mode in octal digits.
    FileMode,
    /// A list of user ids.
    UserIds,
    /// A list of domain names.
    Domains,
    /// A domain name, or `*.` and one; empty: not set.
    NamePattern,
    /// A list of URIs that reports go to.
    Destinations,
    /// A DKIM selector.
    Selector,
    /// A UTC day.
    Day,
    /// A log level, or a filter as `tracing` has it.
    LogFilter,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch => formatter.write_str("true or false"),
            Self::Number(least, most) => write!(formatter, "a whole number from {least} to {most}"),
            Self::Word(words) => {
                formatter.write_str("one of ")?;
                for (index, word) in words.iter().enumerate() {
                    let before = if index == 0 { "" } else { ", " };
                    write!(formatter, "{before}\"{word}\"")?;
                }
                Ok(())
            }
            Self::Text => formatter.write_str("a text of one line"),
            Self::Mailbox => formatter.write_str("a mailbox such as \"postmaster@example.org\""),
            Self::HostName => formatter.write_str("a host name"),
            Self::Addresses => {
                formatter.write_str("a list of addresses with ports such as [\"127.0.0.1:53\"]")
            }
            Self::HostAddresses => {
                formatter.write_str("a list of addresses such as [\"127.0.0.1\"]")
            }
            Self::HostPort => formatter.write_str("a host and a port such as \"127.0.0.1:25\""),
            Self::Proxy => formatter
                .write_str("a proxy such as \"http://proxy.example.org:3128\", or \"\" for none"),
            Self::Ports => formatter.write_str("a list of ports such as [443]"),
            Self::Directory => formatter.write_str("the path of a directory"),
            Self::Socket => formatter.write_str("the path of a unix socket"),
            Self::OptionalSocket => {
                formatter.write_str("the path of a unix socket, or \"\" for none")
            }
            Self::OptionalFile => formatter.write_str("the path of a file, or \"\" for none"),
            Self::Program => formatter.write_str("the path of a program"),
            Self::Certificates => formatter.write_str("a list of PEM files with certificates"),
            Self::PrivateKey => formatter.write_str("the path of a PEM file with a private key"),
            Self::FileMode => formatter.write_str("a file mode in octal such as \"0660\""),
            Self::UserIds => formatter.write_str("a list of user ids"),
            Self::Domains => formatter.write_str("a list of domain names"),
            Self::NamePattern => formatter.write_str(
                "a domain name, \"*.example.org\" for every name below it, or \"\" for all",
            ),
            Self::Destinations => formatter.write_str(
                "a list of URIs such as [\"mailto:tlsrpt@example.org\", \"https://example.org/tlsrpt\"]",
            ),
            Self::Selector => formatter.write_str("a DKIM selector"),
            Self::Day => formatter.write_str("a day such as \"2026-12-31\""),
            Self::LogFilter => formatter.write_str(
                "\"error\", \"warn\", \"info\", \"debug\", \"trace\", \"off\", or a filter such as \
                 \"info,sealpost::engine=debug\"",
            ),
        }
    }
}

/// What is wrong with a value, and where in the file it stands, in octets.
pub(super) type Complaint = (Range<usize>, String);

impl Kind {
    /// What is wrong with a value of the file; empty when nothing is. Files are looked for below
    /// `directory` where their path is relative.
    pub(super) fn complaints(
        self,
        value: &Spanned<DeValue<'_>>,
        directory: &Path,
    ) -> Vec<Complaint> {
        let found = value.get_ref();
        if self.is_list() {
            let Some(items) = found.as_array() else {
                return vec![(value.span(), self.expected(found))];
            };
            let each = items.iter().filter_map(|item| {
                let reason = self.reason_against(item.get_ref(), directory)?;
                Some((item.span(), reason))
            });
            return each.collect();
        }
        self.reason_against(found, directory)
            .map(|reason| (value.span(), reason))
            .into_iter()
            .collect()
    }

    /// Is the setting a list of values, each judged alone?
    const fn is_list(self) -> bool {
        matches!(
            self,
            Self::Addresses
                | Self::HostAddresses
                | Self::Certificates
                | Self::UserIds
                | Self::Domains
                | Self::Ports
                | Self::Destinations
        )
    }

    /// Why a single value is none of this kind.
    fn reason_against(self, value: &DeValue<'_>, directory: &Path) -> Option<String> {
        match self {
            Self::Switch => value.as_bool().is_none().then(|| self.expected(value)),
            Self::Number(least, most) => self.against_number(value, least, most),
            Self::UserIds => self.against_number(value, 0, i64::from(u32::MAX)),
            Self::Ports => self.against_number(value, 1, i64::from(u16::MAX)),
            _ => match value.as_str() {
                Some(text) => self.against_text(text, directory),
                None => Some(self.expected(value)),
            },
        }
    }

    fn against_number(self, value: &DeValue<'_>, least: i64, most: i64) -> Option<String> {
        let Some(integer) = value.as_integer() else {
            return Some(self.expected(value));
        };
        match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if (least..=most).contains(&number) => None,
            _ => Some(format!(
                "{integer} is not a whole number from {least} to {most}"
            )),
        }
    }

    fn against_text(self, text: &str, directory: &Path) -> Option<String> {
        if text.chars().any(char::is_control) {
            return Some(format!("{} has a control character", quoted(text)));
        }
        let verdict = match self {
            Self::Switch | Self::Number(..) | Self::UserIds | Self::Ports | Self::Text => Ok(()),
            Self::Word(words) if words.contains(&text) => Ok(()),
            Self::Word(_) => Err(format!("{} is not {self}", quoted(text))),
            Self::Mailbox => optional(text, mailbox),
            Self::HostName => optional(text, |text| domain(text).map(|_| ())),
            Self::Addresses => address(text),
            Self::HostAddresses => host_address(text),
            Self::HostPort => host_port(text),
            Self::Proxy => optional(text, proxy),
            Self::Directory => files::path(text, directory),
            Self::Socket => files::socket_path(text, directory),
            Self::OptionalSocket => optional(text, |text| files::socket_path(text, directory)),
            Self::OptionalFile => optional(text, |text| files::file_path(text, directory)),
            Self::Program => files::program_path(text, directory),
            Self::Certificates => files::certificates(text, directory),
            Self::PrivateKey => files::private_key(text, directory),
            Self::FileMode => file_mode(text).map(|_| ()),
            Self::Domains => domain(text).map(|_| ()),
            Self::NamePattern => optional(text, name_pattern),
            Self::Destinations => destination(text),
            Self::Selector => selector(text),
            Self::Day => day(text).map(|_| ()),
            Self::LogFilter => observe::log::filter(text)
                .map(|_| ())
                .map_err(|error| error.to_string()),
        };
        verdict.err()
    }

    /// A value of another type stands there.
    fn expected(self, found: &DeValue<'_>) -> String {
        let hint = match (self, found) {
            (Self::Day, DeValue::Datetime(_)) => "; write it in quotes",
            (Self::FileMode, DeValue::Integer(_)) => "; write it in quotes, \"0660\"",
            _ => "",
        };
        let word = match found {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a point",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a bare date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a section",
        };
        format!("{word} stands where {self} belongs{hint}")
    }
}

/// A value in quotes, cut and escaped, for a message.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", observe::printable::excerpt(text))
}

fn optional(text: &str, check: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    check(text)
}

/// A domain name.
fn domain(text: &str) -> Result<PolicyDomain, String> {
    named(text)
}

/// The name of a section `[domain."..."]`.
pub(super) fn scope(text: &str) -> Result<OverrideScope, String> {
    named(text)
}

fn named<T: FromStr<Err = NameError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: NameError| error.to_string())
}

fn name_pattern(text: &str) -> Result<(), String> {
    let read = text.parse::<NamePattern>();
    read.map(|_| ()).map_err(|error| error.to_string())
}

/// A URI that reports go to, as a `rua` has it.
fn destination(text: &str) -> Result<(), String> {
    let read = Destination::read(text);
    read.map(|_| ())
        .map_err(|skip| format!("{} is no destination: {skip}", quoted(text)))
}

/// A day such as `2026-12-31`.
pub(super) fn day(text: &str) -> Result<UtcDay, String> {
    text.parse()
        .map_err(|error: crate::clock::NotADay| error.to_string())
}

/// RFC 8460 s4.4: `contact-info` is an addr-spec; it also becomes From, so nothing that needs
/// quoting is taken.
fn mailbox(text: &str) -> Result<(), String> {
    let bad = |why: &str| Err(format!("{} is not a bare mailbox: {why}", quoted(text)));
    let Some((local, host)) = text.rsplit_once('@') else {
        return bad("there is no @");
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte);
    if local.is_empty() || local.len() > 64 || !local.bytes().all(fits) {
        return bad("a name such as postmaster must stand before the @");
    }
    if local.starts_with('.') || local.ends_with('.') || local.contains("..") {
        return bad("a dot before the @ is out of place");
    }
    match domain(host) {
        Ok(name) if host.eq_ignore_ascii_case(name.as_str()) => Ok(()),
        Ok(name) => bad(&format!("write the domain as \"{name}\"")),
        Err(reason) => bad(&reason),
    }
}

fn address(text: &str) -> Result<(), String> {
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        let with_port = SocketAddr::new(address, 53);
        return Err(format!(
            "{} has no port; write \"{with_port}\"",
            quoted(text)
        ));
    }
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(()),
        _ => Err(format!(
            "{} is not an address with a port such as \"127.0.0.1:53\"",
            quoted(text)
        )),
    }
}

fn host_address(text: &str) -> Result<(), String> {
    match text.parse::<std::net::IpAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "{} is not an address such as \"127.0.0.1\" or \"::1\", without a port",
            quoted(text)
        )),
    }
}

fn host_port(text: &str) -> Result<(), String> {
    let bad = || {
        format!(
            "{} is not a host and a port such as \"127.0.0.1:25\" or \"[::1]:25\"",
            quoted(text)
        )
    };
    let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
    if port.parse::<u16>().ok().is_none_or(|port| port == 0) {
        return Err(bad());
    }
    let literal = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let known = match literal {
        Some(literal) => literal.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.parse::<std::net::Ipv4Addr>().is_ok() || domain(host).is_ok(),
    };
    if known { Ok(()) } else { Err(bad()) }
}

/// A proxy is asked in the clear and without credentials.
fn proxy(text: &str) -> Result<(), String> {
    let address = text.strip_prefix("http://");
    let address = address.map(|address| address.strip_suffix('/').unwrap_or(address));
    match address.map(host_port) {
        Some(Ok(())) => Ok(()),
        _ => Err(format!(
            "{} is not a proxy such as \"http://proxy.example.org:3128\"",
            quoted(text)
        )),
    }
}

/// A file mode in octal digits, `0660` or `660`. The socket's owner must be able to use it.
pub(crate) fn file_mode(text: &str) -> Result<u32, String> {
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let mode = octal.then(|| u32::from_str_radix(text, 8).ok()).flatten();
    match mode {
        Some(mode) if mode <= 0o777 && mode & 0o600 == 0o600 => Ok(mode),
        Some(mode) if mode <= 0o777 => Err(format!(
            "{} would lock out the socket's owner; the first of the last three digits must be 6 or 7",
            quoted(text)
        )),
        _ => Err(format!(
            "{} is not a file mode in octal such as \"0660\"",
            quoted(text)
        )),
    }
}

/// RFC 6376 s3.1: one or more labels.
fn selector(text: &str) -> Result<(), String> {
    match domain(text) {
        Ok(name) if text.eq_ignore_ascii_case(name.as_str()) => Ok(()),
        _ => Err(format!(
            "{} is not a DKIM selector; it is a name such as \"tlsrpt2026\"",
            quoted(text)
        )),
    }
}
