//! What a host may set: the config text given to `open`, and the last argument of Exim's functions.

use std::{path::PathBuf, time::Duration};

/// How the daemon is reached, and what is done when it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The plugin socket.
    pub(crate) socket: PathBuf,
    /// What a policy question is answered with when the daemon cannot be asked.
    pub(crate) unreachable: WhenUnreachable,
    /// How long a policy question may take.
    pub(crate) deadline: Duration,
    /// How long telling a session may take.
    pub(crate) session_deadline: Duration,
}

/// What a policy question is answered with when the daemon cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenUnreachable {
    /// Try again later.
    Defer,
    /// Deliver opportunistically.
    May,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            socket: "/run/sealpost/plugin.sock".into(),
            unreachable: WhenUnreachable::Defer,
            deadline: Duration::from_secs(20),
            session_deadline: Duration::from_secs(2),
        }
    }
}

impl Settings {
    /// Reads `key=value;key=value`.
    ///
    /// # Errors
    /// One line that names what is wrong.
    pub(crate) fn read(config: &[u8]) -> Result<Self, String> {
        let config = std::str::from_utf8(config).map_err(|_| "config: not UTF-8".to_owned())?;
        let mut settings = Self::default();
        let mut seen = Vec::new();
        for item in config.split(';').map(str::trim) {
            if item.is_empty() {
                continue;
            }
            let (key, value) = item
                .split_once('=')
                .ok_or_else(|| format!("config: `{}` has no `=`", item.escape_debug()))?;
            let (key, value) = (key.trim(), value.trim());
            if seen.contains(&key) {
                return Err(format!("config: `{}` stands twice", key.escape_debug()));
            }
            seen.push(key);
            settings.set(key, value)?;
        }
        Ok(settings)
    }

    /// Reads a socket's path, or a config text.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn read_path_or_config(text: &[u8]) -> Result<Self, String> {
        if !text.starts_with(b"/") {
            return Self::read(text);
        }
        let path = std::str::from_utf8(text).map_err(|_| "socket: not UTF-8".to_owned())?;
        let mut settings = Self::default();
        settings.set("socket", path)?;
        Ok(settings)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "socket" if value.starts_with('/') && !value.contains('\0') => {
                self.socket = value.into();
            }
            "socket" => return Err(wrong(key, value, "an absolute path")),
            "unreachable" => {
                self.unreachable = match value {
                    "defer" => WhenUnreachable::Defer,
                    "may" => WhenUnreachable::May,
                    _ => return Err(wrong(key, value, "defer or may")),
                };
            }
            "deadline-ms" => self.deadline = milliseconds(key, value)?,
            "session-deadline-ms" => self.session_deadline = milliseconds(key, value)?,
            _ => {
                return Err(format!(
                    "config: `{}` is not one of socket, unreachable, deadline-ms, \
                     session-deadline-ms",
                    key.escape_debug()
                ));
            }
        }
        Ok(())
    }
}

fn milliseconds(key: &str, value: &str) -> Result<Duration, String> {
    value
        .parse()
        .ok()
        .filter(|number| (1..=600_000).contains(number))
        .map(Duration::from_millis)
        .ok_or_else(|| wrong(key, value, "a number of milliseconds from 1 to 600000"))
}

fn wrong(key: &str, value: &str, expected: &str) -> String {
    format!(
        "config: {key}: `{}` is not {expected}",
        value.escape_debug()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configs_are_read() {
        let check = |config: &str, expected: Settings| {
            assert_eq!(Settings::read(config.as_bytes()), Ok(expected), "{config}");
        };
        check("", Settings::default());
        check(" ; ;", Settings::default());
        check(
            "socket=/tmp/p.sock; unreachable = may ;deadline-ms=500;session-deadline-ms=1;",
            Settings {
                socket: "/tmp/p.sock".into(),
                unreachable: WhenUnreachable::May,
                deadline: Duration::from_millis(500),
                session_deadline: Duration::from_millis(1),
            },
        );
        let path = Settings::read_path_or_config(b"/tmp/a;b=c");
        assert_eq!(path.unwrap().socket, PathBuf::from("/tmp/a;b=c"));
        let config = Settings::read_path_or_config(b"unreachable=may");
        assert_eq!(config.unwrap().unreachable, WhenUnreachable::May);
    }

    #[test]
    fn configs_that_are_wrong_are_named() {
        let check = |config: &[u8], expected: &str| {
            let shown = String::from_utf8_lossy(config);
            assert_eq!(Settings::read(config), Err(expected.to_owned()), "{shown}");
        };
        check(b"\xff", "config: not UTF-8");
        check(b"socket", "config: `socket` has no `=`");
        check(
            b"sokcet=/a",
            "config: `sokcet` is not one of socket, unreachable, deadline-ms, session-deadline-ms",
        );
        check(b"socket=/a;socket=/b", "config: `socket` stands twice");
        check(
            b"socket=p.sock",
            "config: socket: `p.sock` is not an absolute path",
        );
        check(
            b"socket=/a\0b",
            "config: socket: `/a\\0b` is not an absolute path",
        );
        check(
            b"unreachable=no\n",
            "config: unreachable: `no` is not defer or may",
        );
        check(
            b"deadline-ms=0",
            "config: deadline-ms: `0` is not a number of milliseconds from 1 to 600000",
        );
        check(
            b"session-deadline-ms=1s",
            "config: session-deadline-ms: `1s` is not a number of milliseconds from 1 to 600000",
        );
    }
}
