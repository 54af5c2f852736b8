//! An installed Postfix, as `postconf` describes it.

use std::{collections::BTreeMap, fmt, path::Path};

use serde::Serialize;

/// An installed Postfix, as `postconf` describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Postfix {
    /// What holds for each parameter that this release knows, with the values of other parameters
    /// (`$name`) put in.
    pub(super) parameters: BTreeMap<String, String>,
    /// The same as it is written down: an operator's `$name` stays.
    pub(super) written: BTreeMap<String, String>,
    /// The services that deliver by SMTP: those of `master.cf` that run `smtp`.
    pub(super) services: Vec<SmtpService>,
    /// Entries of `master.cf` by name and type, such as `smtp/unix`.
    pub(super) entries: Vec<String>,
}

/// A service of `master.cf` that delivers by SMTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SmtpService {
    /// Such as `smtp/unix`.
    pub(super) name: String,
    /// Whether it sees nothing but the queue directory.
    pub(super) chrooted: bool,
    /// What its `-o` options set otherwise than `main.cf`.
    pub(super) overrides: Vec<(String, String)>,
}

/// A Postfix release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Version {
    /// Such as 3.
    pub(super) major: u32,
    /// Such as 10.
    pub(super) minor: u32,
    /// Such as 13; 0 for a snapshot.
    pub(super) patch: u32,
}

impl Version {
    /// The first that tells how its sessions went.
    pub(super) const TELLS: Self = Self::of(3, 10, 0);
    /// The first with `servername` in a policy.
    pub(super) const OLDEST: Self = Self::of(3, 4, 0);
    /// The first that has glibc pass on what a resolver says of DNSSEC, whatever `/etc/resolv.conf` says of
    /// it; of 3.5, 3.5.1 is.
    pub(super) const TRUSTS_RESOLVERS: Self = Self::of(3, 4, 11);
    /// The first that passes over an MX which the policy does not list.
    pub(super) const AUTHORIZES_MX: Self = Self::of(3, 10, 5);

    /// Of its three numbers.
    pub(super) const fn of(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// Reads `mail_version`: `3.10.13`, `3.12-20260821`, `3.8.0-RC1`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let release = text.split(['-', ' ']).next()?;
        let mut numbers = release.split('.').map(|number| number.parse().ok());
        Some(Self::of(
            numbers.next()??,
            numbers.next()??,
            numbers.next().flatten().unwrap_or(0),
        ))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Postfix {
    /// What holds for a parameter; empty where this release does not know it.
    pub(super) fn value(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }

    /// What stands there for it, `$name` and all; empty where this release does not know it.
    pub(super) fn written(&self, name: &str) -> &str {
        self.written.get(name).map_or("", String::as_str)
    }

    /// Where it works, and what its chrooted processes see as the root.
    pub(super) fn queue_directory(&self) -> &Path {
        Path::new(self.value("queue_directory"))
    }

    /// A path as Postfix finds it: its processes work in the queue directory, and in a chroot that is
    /// their whole world.
    pub(super) fn path(&self, path: &Path) -> String {
        let below = path.strip_prefix(self.queue_directory());
        below.unwrap_or(path).display().to_string()
    }

    /// Does any of what delivers by SMTP see nothing but the queue directory?
    pub(super) fn any_chrooted(&self) -> bool {
        self.services.iter().any(|service| service.chrooted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read() {
        for (text, expected) in [
            ("3.10.13", Some((3, 10, 13))),
            ("3.12-20260821", Some((3, 12, 0))),
            ("3.8.0-RC1", Some((3, 8, 0))),
            ("3", None),
            ("", None),
            ("x.y", None),
        ] {
            let expected = expected.map(|(major, minor, patch)| Version::of(major, minor, patch));
            assert_eq!(Version::read(text), expected, "{text}");
        }
    }
}
