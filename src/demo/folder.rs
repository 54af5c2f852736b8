//! The directory that a demo keeps its files in.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use sealpost_kit::Internet;
use toml::{Table, Value};

use super::{DemoError, file_error};
use crate::clock::{Clock as _, SystemClock, Timestamp};

/// How long the path of a socket may be (`sockaddr_un`, less its NUL).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// The directory.
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Makes a directory that only we can read, or takes one that is empty.
    pub(super) fn new(chosen: Option<&Path>) -> Result<Self, DemoError> {
        let root = match chosen {
            Some(path) => std::path::absolute(path).map_err(|error| file_error(path, &error))?,
            None => std::env::temp_dir().join(format!("sealpost-demo-{}", std::process::id())),
        };
        let folder = Self { root };
        if folder.notify_socket().as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            return Err(DemoError::PathTooLong(folder.root));
        }
        let root = &folder.root;
        let mut builder = fs::DirBuilder::new();
        builder.recursive(chosen.is_some()).mode(0o700);
        builder
            .create(root)
            .map_err(|error| file_error(root, &error))?;
        let mut entries = fs::read_dir(root).map_err(|error| file_error(root, &error))?;
        if entries.next().is_some() {
            return Err(DemoError::NotEmpty(folder.root));
        }
        Ok(folder)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What the daemon is started with.
    pub(super) fn config(&self) -> PathBuf {
        self.root.join("sealpost.toml")
    }

    /// The root that issues the good certificates.
    pub(super) fn ca(&self) -> PathBuf {
        self.root.join("ca.pem")
    }

    pub(super) fn plugin_socket(&self) -> PathBuf {
        self.root.join("plugin.sock")
    }

    /// Where the daemon says that it is ready, as it would to systemd. The longest of the sockets.
    pub(super) fn notify_socket(&self) -> PathBuf {
        self.root.join("notify.socket")
    }

    pub(super) fn daemon_log(&self) -> PathBuf {
        self.root.join("daemon.log")
    }

    /// What the daemon's clock is ahead of the machine's.
    pub(super) fn clock_offset(&self) -> PathBuf {
        self.root.join("clock-offset-seconds")
    }

    /// Sets the daemon's clock.
    pub(super) fn set_clock(&self, to: Timestamp) -> Result<(), DemoError> {
        let ahead = to.seconds_since(SystemClock.now());
        // In one step: the daemon must not read half a number.
        let next = self.clock_offset().with_extension("next");
        self.write(&next, ahead.to_string().as_bytes())?;
        fs::rename(&next, self.clock_offset()).map_err(|error| file_error(&next, &error))
    }

    /// Writes what the daemon needs to live in the small Internet.
    pub(super) fn set_up(&self, internet: &Internet) -> Result<(), DemoError> {
        self.write(&self.ca(), internet.authority.ca_pem().as_bytes())?;
        for selector in internet.selectors() {
            let file = self.key(&selector.name);
            write_secret(&file, &selector.key.private_pem)
                .map_err(|error| file_error(&file, &error))?;
        }
        self.write_dkim_records(internet)?;
        let text = format!("{HEAD}{}", self.config_table(internet));
        self.write(&self.config(), text.as_bytes())
    }

    /// What the DNS says of the keys, so that anybody can verify the reports after the small
    /// Internet is gone.
    fn write_dkim_records(&self, internet: &Internet) -> Result<(), DemoError> {
        let records = internet.selectors().iter().map(|selector| {
            let name = format!("{}._domainkey.{}", selector.name, internet.sender_domain());
            (name, selector.key.txt.clone().into())
        });
        let records = serde_json::Value::Object(records.collect());
        self.write(
            &self.root.join("dkim-records.json"),
            format!("{records:#}\n").as_bytes(),
        )
    }

    /// Keeps a report as it landed, and what is in it. Gives the name of the mail's file.
    pub(super) fn keep_report(
        &self,
        name: &str,
        mail: &[u8],
        json: Option<&[u8]>,
    ) -> Result<PathBuf, DemoError> {
        let reports = self.root.join("reports");
        fs::create_dir_all(&reports).map_err(|error| file_error(&reports, &error))?;
        // A second one for the same domain does not overwrite the first.
        let mut file = reports.join(format!("{name}.eml"));
        let mut number = 2;
        while file.exists() {
            file = reports.join(format!("{name}-{number}.eml"));
            number += 1;
        }
        self.write(&file, mail)?;
        if let Some(json) = json {
            self.write(&file.with_extension("json"), json)?;
        }
        Ok(file)
    }

    fn key(&self, selector: &str) -> PathBuf {
        self.root.join(format!("{selector}.pem"))
    }

    fn write(&self, file: &Path, content: &[u8]) -> Result<(), DemoError> {
        fs::write(file, content).map_err(|error| file_error(file, &error))
    }

    fn config_table(&self, internet: &Internet) -> Table {
        let contact = format!("tlsrpt@{}", internet.sender_domain());
        let https_port = internet.policy_hosts.address().port();
        let dkim = internet.selectors().iter().map(|selector| {
            table([
                ("selector", selector.name.as_str().into()),
                ("key", path(&self.key(&selector.name))),
            ])
        });
        let servers = vec![Value::String(internet.dns.address().to_string())];
        let parts = [
            (
                "sender",
                table([
                    ("organization", "Sealpost demo".into()),
                    ("contact", contact.into()),
                    (
                        "host_name",
                        format!("mail.{}", internet.sender_domain()).into(),
                    ),
                ]),
            ),
            ("dns", table([("servers", servers.into())])),
            (
                "policy",
                table([
                    ("https_port", i64::from(https_port).into()),
                    ("extra_roots", vec![path(&self.ca())].into()),
                    ("allow_private_addresses", true.into()),
                    ("fetch_timeout_seconds", 10.into()),
                ]),
            ),
            (
                "store",
                table([
                    ("path", path(&self.root.join("store"))),
                    ("free_space_min_mib", 16.into()),
                ]),
            ),
            ("dkim", Value::Array(dkim.collect())),
            (
                "deliver",
                table([
                    ("via", "mx".into()),
                    ("smtp_port", i64::from(internet.mx_hosts.port()).into()),
                    ("timeout_seconds", 20.into()),
                ]),
            ),
            (
                "plugin_socket",
                table([("path", path(&self.plugin_socket()))]),
            ),
            (
                "probe",
                table([("smtp_port", i64::from(internet.mx_hosts.port()).into())]),
            ),
            ("socketmap", table([("path", "".into())])),
            ("tlsrpt_socket", table([("path", "".into())])),
            (
                "control_socket",
                table([("path", path(&self.root.join("control.sock")))]),
            ),
        ];
        let parts = parts.into_iter();
        parts.map(|(name, part)| (name.to_owned(), part)).collect()
    }
}

const HEAD: &str =
    "# The demo's daemon. What is not here has its default: `sealpost config explain`.\n\n";

fn table<const COUNT: usize>(settings: [(&str, Value); COUNT]) -> Value {
    let settings = settings.into_iter();
    Value::Table(
        settings
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

fn path(path: &Path) -> Value {
    Value::String(path.to_string_lossy().into_owned())
}

/// A file that only we can read.
fn write_secret(file: &Path, content: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut opened = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?;
    io::Write::write_all(&mut opened, content.as_bytes())
}

#[cfg(test)]
mod tests {
    use sealpost_kit::Ports;

    use super::*;
    use crate::config::{Config, Via};

    #[tokio::test]
    async fn the_configuration_is_one_the_daemon_reads() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(Some(&place.path().join("new"))).unwrap();
        let internet = Internet::start(Ports::default()).await.unwrap();
        folder.set_up(&internet).unwrap();
        let text = fs::read_to_string(folder.config()).unwrap();
        let config: Config = toml::from_str(&text).unwrap();
        assert_eq!(config.dns.servers, [internet.dns.address()]);
        assert_eq!(config.deliver.via, Via::Mx);
        assert_eq!(config.deliver.smtp_port, internet.mx_hosts.port());
        assert_eq!(config.plugin_socket.path, folder.plugin_socket());
        assert_eq!(config.dkim.len(), 2);
        for dkim in &config.dkim {
            let pem = fs::read_to_string(&dkim.key).unwrap();
            assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        }
    }

    #[test]
    fn a_directory_with_something_in_it_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("mine"), "x").unwrap();
        assert!(matches!(
            Folder::new(Some(place.path())),
            Err(DemoError::NotEmpty(_))
        ));
        let deep = place.path().join("x".repeat(100));
        assert!(matches!(
            Folder::new(Some(&deep)),
            Err(DemoError::PathTooLong(_))
        ));
    }

    #[test]
    fn reports_do_not_overwrite_one_another() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(Some(&place.path().join("new"))).unwrap();
        let one = folder.keep_report("a.test", b"one", Some(b"{}")).unwrap();
        let two = folder.keep_report("a.test", b"two", None).unwrap();
        assert_eq!(fs::read(one).unwrap(), b"one");
        assert_eq!(fs::read(two).unwrap(), b"two");
    }
}
