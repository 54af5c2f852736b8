//! `[page]`: the web page for operators.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

/// `[page]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PageConfig {
    /// Where the unix socket is; empty: there is none.
    pub path: PathBuf,
    /// Its file mode, octal: who may connect may do everything.
    pub mode: String,
    /// The group that its file belongs to; empty: the daemon's own.
    pub group: String,
    /// TCP addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// The file with the word that lets one sign in; empty: there is none.
    pub token_file: PathBuf,
    /// Host names that browsers may come by.
    pub names: Vec<String>,
    /// Addresses of reverse proxies that say who somebody is.
    pub proxies: Vec<IpAddr>,
    /// The header in which they say it; empty: nobody does.
    pub user_header: String,
}

impl Default for PageConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            mode: "0600".to_owned(),
            group: String::new(),
            listen: Vec::new(),
            token_file: PathBuf::new(),
            names: Vec::new(),
            proxies: Vec::new(),
            user_header: String::new(),
        }
    }
}

impl PageConfig {
    /// Is there a page at all?
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.path.as_os_str().is_empty() || !self.listen.is_empty()
    }

    /// The first of the addresses that others than this machine can reach, where nothing keeps them out.
    #[must_use]
    pub fn open_to_all(&self) -> Option<SocketAddr> {
        let by_proxy = !self.proxies.is_empty() && !self.user_header.is_empty();
        let is_kept = by_proxy || !self.token_file.as_os_str().is_empty();
        let mut far = self
            .listen
            .iter()
            .filter(|address| !address.ip().is_loopback());
        far.next().copied().filter(|_| !is_kept)
    }
}
