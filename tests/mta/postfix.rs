//! Postfix, as Debian builds it, on a host of its own.
//!
//! Its root is the one that `cargo xtask postfix` has fetched, which no test writes to: what Postfix
//! writes lies in folders of the test's own, mounted into the root inside of the namespace.

mod debian;
mod fate;
mod files;

use std::{
    cell::Cell,
    fs,
    io::Write as _,
    ops::Deref,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, SystemTime},
};

use tempfile::TempDir;

pub(crate) use self::fate::{Fate, Status};
use self::{
    fate::fates,
    files::{install, main_cf, open_up},
};
use super::{
    REPORT_SENDER, SENDER, built, can_run,
    laboratory::{Daemon, Domains, Laboratory},
    namespace::INSIDE,
    test_tools, wait_until,
};

/// When main.cf was written, as far as Postfix knows: in 1970.
const LONG_AGO: Duration = Duration::from_secs(1_000_000);

/// The kit's program.
const SMALL_INTERNET: &str = "small-internet";

/// Where the daemon's sockets are, seen from the queue directory.
const SOCKETS: &str = "sealpost";

/// Debian's Postfixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// Of Debian 13. It tells outcomes through libtlsrpt.
    V3_10,
    /// Of Debian 12. It tells them in its log only.
    V3_7,
}

impl Version {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::V3_10, Self::V3_7];

    fn number(self) -> &'static str {
        match self {
            Self::V3_10 => "3.10",
            Self::V3_7 => "3.7",
        }
    }
}

/// A message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    /// The address it is from.
    pub(crate) sender: &'a str,
    /// Lines of its header, besides those that every message has.
    pub(crate) headers: &'a str,
    /// The addresses it is to.
    pub(crate) recipients: &'a [&'a str],
}

/// A message that was given to Postfix.
#[derive(Clone, Debug)]
pub(crate) struct Submitted {
    message_id: String,
}

/// All of it. It ends when this is dropped.
pub(crate) struct PostfixHost {
    version: Version,
    submitted: Cell<u32>,
    laboratory: Laboratory,
}

impl Deref for PostfixHost {
    type Target = Laboratory;

    fn deref(&self) -> &Laboratory {
        &self.laboratory
    }
}

impl PostfixHost {
    /// Starts everything but the daemon; nothing where the machine cannot. The settings are of main.cf
    /// and take the place of those that the host has otherwise.
    pub(crate) fn start(version: Version, settings: &[(&str, &str)]) -> Option<Self> {
        let root = root(version)?;
        let directory = Laboratory::directory();
        install(&root, directory.path());
        open_up(directory.path());
        let host = Self::around(version, directory);
        host.mount(&root);
        host.write_main_cf(settings);
        host.start_postfix();
        Some(host)
    }

    /// A host of what lies in this directory, with nothing running but the small Internet.
    fn around(version: Version, directory: TempDir) -> Self {
        Self {
            version,
            submitted: Cell::new(0),
            laboratory: Laboratory::start(directory, &built(SMALL_INTERNET), Domains::Postfix),
        }
    }

    /// Starts the real daemon with the doors that this Postfix uses.
    pub(crate) fn start_daemon(&self) -> Daemon<'_> {
        self.start_daemon_with("")
    }

    /// The same with more of its configuration: settings of the socketmap, if any, and then sections.
    pub(crate) fn start_daemon_with(&self, sections: &str) -> Daemon<'_> {
        self.start_daemon_of("sender.test", sections)
    }

    /// The same where the mail and the reports are another domain's.
    pub(crate) fn start_daemon_of(&self, domain: &str, sections: &str) -> Daemon<'_> {
        self.start_daemon_delivering(domain, "", sections)
    }

    /// The same with these lines more of `[deliver]`.
    pub(crate) fn start_daemon_delivering(
        &self,
        domain: &str,
        deliver: &str,
        sections: &str,
    ) -> Daemon<'_> {
        let tlsrpt = match self.version {
            Version::V3_10 => socket_section("tlsrpt_socket", "tlsrpt"),
            Version::V3_7 => "[tlsrpt_socket]\npath = \"\"\n".to_owned(),
        };
        self.laboratory.start_daemon_delivering(
            domain,
            deliver,
            &format!(
                "[plugin_socket]\npath = \"plugin.sock\"\n{tlsrpt}{}{sections}",
                socket_section("socketmap", "socketmap"),
            ),
        )
    }

    /// A socket of the daemon's, as seen from outside: `socketmap` or `tlsrpt`.
    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.path(&format!("spool/{SOCKETS}/{name}.sock"))
    }

    /// Sends one message to `someone@DOMAIN` and says what became of it at the first attempt.
    pub(crate) fn send(&self, domain: &str) -> Fate {
        self.send_to_each(&[domain]).remove(0)
    }

    /// Sends one message to `someone` in each of these domains, side by side, and says what became of
    /// each at the first attempt, in the same order.
    pub(crate) fn send_to_each(&self, domains: &[&str]) -> Vec<Fate> {
        let submitted: Vec<Submitted> = domains
            .iter()
            .map(|domain| {
                self.submit(Message {
                    sender: SENDER,
                    headers: "",
                    recipients: &[&format!("someone@{domain}")],
                })
            })
            .collect();
        submitted
            .iter()
            .map(|message| self.fates(message, 1).remove(0))
            .collect()
    }

    /// Sends what looks like report mail to `someone@DOMAIN`.
    pub(crate) fn send_report(&self, domain: &str) -> Fate {
        let submitted = self.submit(Message {
            sender: REPORT_SENDER,
            headers: "TLS-Required: No\n",
            recipients: &[&format!("someone@{domain}")],
        });
        self.fates(&submitted, 1).remove(0)
    }

    /// Puts a message into the queue.
    pub(crate) fn submit(&self, message: Message<'_>) -> Submitted {
        self.submitted.set(self.submitted.get() + 1);
        let message_id = format!("{}@sender.test", self.submitted.get());
        let mut child = self
            .command("sendmail")
            .args(["-i", "-f", message.sender, "--"])
            .args(message.recipients)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        write!(
            stdin,
            "{}Message-ID: <{message_id}>\nSubject: a message\n\nHello.\n",
            message.headers
        )
        .unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        Submitted { message_id }
    }

    /// What became of a message, each recipient and each attempt for itself in the order of the log, once
    /// there are so many.
    pub(crate) fn fates(&self, submitted: &Submitted, count: usize) -> Vec<Fate> {
        let mut seen = Vec::new();
        let id = &submitted.message_id;
        wait_until(&format!("{count} fates of message {id}"), || {
            seen = fates(&self.mail_log(), id);
            seen.len() >= count
        });
        seen
    }

    /// Has Postfix try all that waits in its queue.
    pub(crate) fn flush(&self) {
        self.run("postqueue", &["-f"]);
    }

    /// Configures Postfix anew, by its usual settings and these, and has it read them.
    pub(crate) fn reload(&self, settings: &[(&str, &str)]) {
        self.write_main_cf(settings);
        let reloads = || self.mail_log().matches("]: reload -- version ").count();
        let before = reloads();
        self.run("postfix", &["reload"]);
        wait_until("Postfix has reloaded", || reloads() > before);
    }

    /// Stops Postfix and starts it again.
    pub(crate) fn restart(&self) {
        self.run("postfix", &["stop"]);
        self.start_postfix();
    }

    /// Everything that Postfix has logged.
    pub(crate) fn mail_log(&self) -> String {
        fs::read_to_string(self.path("log/mail.log")).unwrap_or_default()
    }

    /// A program of the root, on this host. Whatever it starts ends with the host.
    pub(crate) fn command(&self, program: &str) -> Command {
        self.host
            .command_in_root(&format!("{INSIDE}/root"), program)
    }

    /// Runs a program of the root that must succeed.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let output = self.command(program).args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {output:?}\n{}",
            self.mail_log()
        );
        output
    }

    fn start_postfix(&self) {
        // Leaves out the checks of its own files, which take the better part of two seconds.
        fs::write(self.path("spool/quick-start"), "").unwrap();
        self.run("postfix", &["start"]);
    }

    fn mount(&self, root: &Path) {
        let mounted = format!("{INSIDE}/root");
        let mount = |arguments: &[&str]| self.host.run("mount", arguments);
        mount(&["--bind", root.to_str().unwrap(), &mounted]);
        mount(&["-o", "remount,bind,ro", &mounted]);
        self.mount_folders();
    }

    /// Puts what Postfix writes, and what the kernel has, into the root.
    fn mount_folders(&self) {
        let mounted = format!("{INSIDE}/root");
        let mount = |arguments: &[&str]| self.host.run("mount", arguments);
        for (folder, inside) in [
            ("etc", "etc"),
            ("spool", "var/spool/postfix"),
            ("data", "var/lib/postfix"),
            ("log", "var/log"),
        ] {
            let target = format!("{mounted}/{inside}");
            mount(&["--bind", &format!("{INSIDE}/{folder}"), &target]);
        }
        mount(&["--rbind", "/dev", &format!("{mounted}/dev")]);
        mount(&["-t", "tmpfs", "tmpfs", &format!("{mounted}/tmp")]);
    }

    fn write_main_cf(&self, settings: &[(&str, &str)]) {
        let usual = main_cf(self.version);
        let replaced = |name: &str| settings.iter().any(|(new, _)| *new == name);
        let mut text = String::new();
        for (name, value) in usual
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .filter(|(name, _)| !replaced(name))
            .chain(settings.iter().copied())
        {
            text.push_str(&format!("{name} = {value}\n"));
        }
        let file = self.path("etc/postfix/main.cf");
        fs::write(&file, text).unwrap();
        // Postfix does not read a file that was written a moment ago: it waits until that is done.
        let file = fs::File::options().write(true).open(file).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + LONG_AGO)
            .unwrap();
    }
}

/// The root of this Postfix; nothing where the machine cannot run it.
fn root(version: Version) -> Option<PathBuf> {
    let folder = format!("postfix-{}", version.number());
    let (root, small_internet) = (test_tools(&folder), built(SMALL_INTERNET));
    let recipe = root.join("recipe");
    let files = [
        (recipe.as_path(), "cargo xtask postfix fetches it"),
        (&small_internet, "cargo build -p sealpost-kit makes it"),
    ];
    can_run(&folder, &["chroot"], &files).then_some(root)
}

fn socket_section(section: &str, name: &str) -> String {
    // Postfix's group is one of the root's and not of this machine.
    format!("[{section}]\npath = \"spool/{SOCKETS}/{name}.sock\"\nmode = \"0666\"\ngroup = \"\"\n")
}
