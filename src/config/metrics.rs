//! `[metrics]`: the numbers that Prometheus reads.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// `[metrics]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// TCP addresses to listen on; empty: none.
    pub listen: Vec<SocketAddr>,
    /// Where the unix socket is; empty: there is none.
    pub path: PathBuf,
    /// Its file mode, octal.
    pub mode: String,
    /// The group that its file belongs to; empty: the daemon's own.
    pub group: String,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            path: PathBuf::new(),
            mode: "0660".to_owned(),
            group: String::new(),
        }
    }
}

impl MetricsConfig {
    /// Can anybody read them over a socket?
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.path.as_os_str().is_empty() || !self.listen.is_empty()
    }
}
