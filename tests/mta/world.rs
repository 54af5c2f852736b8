//! A host with Exim on it.

use std::ops::Deref;

use super::{
    exim::{Build, Exim, Fate, Listening, Tools},
    laboratory::{Daemon, Domains, Laboratory},
};

/// The door that Exim uses, and no other.
pub(crate) const PLUGIN_SOCKET: &str = "[plugin_socket]\npath = \"plugin.sock\"\nmode = \"0666\"\n\
    [socketmap]\npath = \"\"\n[tlsrpt_socket]\npath = \"\"\n";

/// All of it. It ends when this is dropped.
pub(crate) struct World {
    /// The MTA.
    pub(crate) exim: Exim,
    build: Build,
    laboratory: Laboratory,
}

impl Deref for World {
    type Target = Laboratory;

    fn deref(&self) -> &Laboratory {
        &self.laboratory
    }
}

impl World {
    /// Starts everything but the daemon, with the recipient domains of the demo; nothing where the
    /// machine cannot.
    pub(crate) fn start(build: Build) -> Option<Self> {
        Self::start_with(build, Domains::Demo)
    }

    /// The same with these recipient domains.
    pub(crate) fn start_with(build: Build, domains: Domains) -> Option<Self> {
        let tools = Tools::find(build)?;
        let directory = Laboratory::directory();
        let exim = Exim::install(build, &tools, directory.path());
        let laboratory = Laboratory::start(directory, &tools.small_internet, domains);
        exim.check(&laboratory.host);
        Some(Self {
            exim,
            build,
            laboratory,
        })
    }

    /// Starts the real daemon.
    pub(crate) fn start_daemon(&self) -> Daemon<'_> {
        self.start_daemon_with("")
    }

    /// Starts the real daemon with these sections more.
    pub(crate) fn start_daemon_with(&self, sections: &str) -> Daemon<'_> {
        self.laboratory
            .start_daemon(&format!("{PLUGIN_SOCKET}{sections}"))
    }

    /// Writes the daemon's configuration: its reports leave by these lines of `[deliver]`, and what comes back
    /// goes to this mailbox.
    pub(crate) fn configure_daemon(&self, deliver: &str, envelope_from: &str) {
        self.laboratory
            .configure("sender.test", deliver, PLUGIN_SOCKET);
        self.laboratory.set_envelope_sender(envelope_from);
    }

    /// What Exim says of the way to `someone@DOMAIN`, without sending.
    pub(crate) fn route(&self, domain: &str) -> String {
        self.exim.route(&self.host, &format!("someone@{domain}"))
    }

    /// Sends one message to `someone@DOMAIN`.
    pub(crate) fn send(&self, domain: &str) -> Fate {
        self.exim.send(&self.laboratory.host, domain)
    }

    /// Sends what looks like report mail to `someone@DOMAIN`.
    pub(crate) fn send_report(&self, domain: &str) -> Fate {
        self.exim.send_report(&self.laboratory.host, domain)
    }

    /// Puts one message with a recipient in each of these domains into the queue.
    pub(crate) fn queue(&self, domains: &[&str]) {
        self.exim.queue(&self.laboratory.host, domains);
    }

    /// Runs the queue once.
    pub(crate) fn run_queue(&self) -> Vec<Fate> {
        self.exim.run_queue(&self.laboratory.host)
    }

    /// Configures Exim by its example, with some texts replaced by others.
    pub(crate) fn configure(&self, replacements: &[(&str, &str)]) {
        self.exim.configure(self.build, replacements);
        self.exim.check(&self.laboratory.host);
    }

    /// Starts Exim as this host's mail server.
    pub(crate) fn listen(&self) -> Listening {
        self.exim.listen(&self.laboratory.host)
    }
}
