//! Where log lines go and how they look.
//!
//! One line for each decision that matters, on standard error, where systemd's journal or a terminal
//! takes it. Values come from the network too; a line is escaped as a whole just before it is
//! written, so that no field can end it early or steer a terminal.

use std::io::{self, Write};

use tracing_subscriber::{
    EnvFilter, Registry, fmt::MakeWriter, layer::SubscriberExt as _, reload,
    util::SubscriberInitExt as _,
};

use super::printable::{printable, printable_json};
use crate::config::{LogConfig, LogFormat};

/// Why logging could not be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The operator must act: not a level and not a filter.
    #[error("{0}")]
    Filter(String),
    /// The caller: it was set up before, or is gone.
    #[error("logging: {0}")]
    Setup(String),
}

/// The levels that can stand alone as `log.level`.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// Reads `log.level`.
///
/// # Errors
/// When it is neither a level nor a filter.
pub fn filter(level: &str) -> Result<EnvFilter, LogError> {
    let bad = |why: &str| {
        LogError::Filter(format!(
            "\"{}\" is not a log level such as \"info\", nor a filter such as \
             \"info,sealpost::engine=debug\"{why}",
            printable(level)
        ))
    };
    for part in level.split(',') {
        // A bare word that is no level would be taken for a module to log everything of.
        let known = LEVELS
            .iter()
            .any(|word| part.trim().eq_ignore_ascii_case(word));
        if !known && !part.contains('=') {
            return Err(bad(""));
        }
    }
    EnvFilter::builder()
        .parse(level)
        .map_err(|error| bad(&format!(": {error}")))
}

/// Changes what is logged while the program runs.
#[derive(Clone, Debug)]
pub struct LogControl {
    filter: reload::Handle<EnvFilter, Registry>,
}

impl LogControl {
    /// Takes up another `log.level`. The format stays as it was at the start.
    ///
    /// # Errors
    /// When the level is none.
    pub fn set_level(&self, level: &str) -> Result<(), LogError> {
        self.filter
            .reload(filter(level)?)
            .map_err(|error| LogError::Setup(error.to_string()))
    }
}

/// Sends log lines to standard error from now on.
///
/// # Errors
/// When `log.level` is no filter, or logging was set up before.
pub fn start(config: &LogConfig) -> Result<LogControl, LogError> {
    let (filter, handle) = reload::Layer::new(filter(&config.level)?);
    let lines = Escaped {
        format: config.format,
        to: io::stderr,
    };
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(lines);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match config.format {
        LogFormat::Text => registry.with(layer).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    started.map_err(|error| LogError::Setup(error.to_string()))?;
    Ok(LogControl { filter: handle })
}

/// Writes each event as one escaped line.
struct Escaped<M> {
    format: LogFormat,
    to: M,
}

impl<'a, M, W> MakeWriter<'a> for Escaped<M>
where
    M: Fn() -> W + 'a,
    W: Write,
{
    type Writer = EscapedLine<W>;

    fn make_writer(&'a self) -> Self::Writer {
        EscapedLine {
            format: self.format,
            to: (self.to)(),
        }
    }
}

/// Takes one event, as `tracing_subscriber` writes it in one piece.
struct EscapedLine<W> {
    format: LogFormat,
    to: W,
}

impl<W: Write> Write for EscapedLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = match self.format {
            LogFormat::Text => printable(line),
            LogFormat::Json => printable_json(line),
        };
        // One write for the line and its end: lines of two threads must not run into each other.
        self.to.write_all(format!("{line}\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(octets)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of one event with a hostile value.
    fn written(format: LogFormat) -> String {
        let kept = Kept::default();
        let to = kept.clone();
        let lines = Escaped {
            format,
            to: move || to.clone(),
        };
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .without_time()
            .with_writer(lines);
        let log = || {
            let helo = "mx\r\n\u{1b}[2J\u{9b}x\u{202e}";
            tracing::info!(%helo, other = ?helo, "greeted by {helo}");
        };
        match format {
            LogFormat::Text => {
                let subscriber = tracing_subscriber::registry().with(layer);
                tracing::subscriber::with_default(subscriber, log);
            }
            LogFormat::Json => {
                let layer = layer.json().flatten_event(true);
                let subscriber = tracing_subscriber::registry().with(layer);
                tracing::subscriber::with_default(subscriber, log);
            }
        }
        let octets = kept.0.lock().unwrap().clone();
        String::from_utf8(octets).unwrap()
    }

    #[test]
    fn g3_a_value_can_neither_end_a_line_nor_steer_a_terminal() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let line = written(format);
            let line = line.strip_suffix('\n').unwrap();
            assert!(line.is_ascii(), "{line}");
            assert!(!line.contains(|letter: char| letter.is_control()), "{line}");
            assert!(line.contains("greeted by mx\\r\\n"), "{line}");
        }
        let json: serde_json::Value = serde_json::from_str(&written(LogFormat::Json)).unwrap();
        assert_eq!(json["helo"], "mx\r\n\u{1b}[2J\u{9b}x\u{202e}");
    }

    #[test]
    fn a_level_is_a_level_or_a_filter_and_no_other_word() {
        for good in ["info", "WARN", "off", "info,sealpost::engine=debug"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["", "inof", "verbose", "info,", "sealpost=loud"] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }
}
