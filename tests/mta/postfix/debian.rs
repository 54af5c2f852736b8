//! A host with Postfix as Debian's package leaves it, for what an operator does from there on.
//!
//! Unlike the other hosts of these tests it has a root of its own that can be written to, Debian's
//! services are in their chroot, and its settings are those that the package makes for a host on the
//! Internet. What is otherwise is what a small Internet on the same host needs: Postfix listens on
//! loopback alone, as it does where the operator chooses "Satellite system", since the mail hosts have
//! port 25 of the other addresses; and it logs to a file of its own, since there is no syslog.

use std::{fs, path::Path, process::Command};

use super::{
    super::{laboratory::Laboratory, namespace::INSIDE},
    PostfixHost, Version,
    files::install,
    root,
};

/// What a root shell of Debian looks through for programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the script of the package sets with `postconf -e`. The last is the laboratory's.
const SETTINGS: [&str; 13] = [
    "smtpd_relay_restrictions=permit_mynetworks permit_sasl_authenticated defer_unauth_destination",
    "myhostname=mail.sender.test",
    "alias_maps=hash:/etc/aliases",
    "alias_database=hash:/etc/aliases",
    "myorigin=/etc/mailname",
    "mydestination=$myhostname, sender.test, localhost.sender.test, localhost",
    "relayhost=",
    "mynetworks=127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128",
    "mailbox_size_limit=0",
    "recipient_delimiter=+",
    "inet_interfaces=loopback-only",
    "inet_protocols=all",
    "maillog_file=/var/log/mail.log",
];

impl PostfixHost {
    /// Starts everything but the daemon, whose program is `/usr/local/bin/sealpost`; nothing where the
    /// machine cannot.
    pub(crate) fn fresh(version: Version) -> Option<Self> {
        let fetched = root(version)?;
        let directory = Laboratory::directory();
        install(&fetched, directory.path());
        make_whole(&fetched, directory.path());
        let host = Self::around(version, directory);
        host.mount_folders();
        host.run("mount", &["-t", "proc", "proc", "/proc"]);
        let program = format!("{INSIDE}/root/usr/local/bin/sealpost");
        let built = env!("CARGO_BIN_EXE_sealpost");
        host.host.run("mount", &["--bind", built, &program]);
        host.configure_as_debian_does();
        host.fill_chroot();
        host.start_postfix();
        Some(host)
    }

    /// A program of the root, as root has it at a terminal.
    pub(crate) fn typed(&self, program: &str) -> Command {
        let mut command = self.command(program);
        command.env_clear().env("PATH", PATH).env("HOME", "/root");
        command
    }

    fn configure_as_debian_does(&self) {
        // The package ssl-cert makes such a pair.
        let key = "/etc/ssl/private/ssl-cert-snakeoil.key";
        self.run(
            "openssl",
            &[
                &["req", "-x509", "-newkey", "ec", "-nodes"][..],
                &["-pkeyopt", "ec_paramgen_curve:P-256"],
                &["-subj", "/CN=mail.sender.test", "-keyout", key],
                &["-out", "/etc/ssl/certs/ssl-cert-snakeoil.pem"],
            ]
            .concat(),
        );
        self.run("postconf", &[&["-e"][..], &SETTINGS].concat());
        self.run("newaliases", &[]);
    }

    /// What Debian's script copies to where a chrooted process finds it, each time Postfix starts.
    fn fill_chroot(&self) {
        let inside = self.path("spool/etc");
        // Debian 12 trusts a directory, of which the copy is hashed.
        let trusted = inside.join("ssl/certs");
        fs::create_dir_all(&trusted).unwrap();
        let root = self.path("internet/ca.pem");
        fs::copy(root, trusted.join("small-internet.pem")).unwrap();
        self.run("openssl", &["rehash", "/var/spool/postfix/etc/ssl/certs"]);
        for name in ["services", "resolv.conf", "hosts", "nsswitch.conf"] {
            fs::copy(self.path("etc").join(name), inside.join(name)).unwrap();
        }
    }
}

/// Makes the root and its `etc` those of a Debian whose packages are all configured.
fn make_whole(fetched: &Path, directory: &Path) {
    let (root, etc) = (directory.join("root"), directory.join("etc"));
    let copied = Command::new("cp")
        .args(["--archive", "--no-target-directory"])
        .args([fetched, &root])
        .status()
        .unwrap();
    assert!(copied.success());
    for folder in [
        root.join("run"),
        root.join("usr/local/bin"),
        etc.join("sysctl.d"),
        etc.join("ssl/private"),
    ] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(root.join("usr/local/bin/sealpost"), "").unwrap();
    fs::write(etc.join("mailname"), "sender.test\n").unwrap();
    fs::write(etc.join("aliases"), "postmaster:    root\n").unwrap();
    // The package puts these two together.
    let main = ["main.cf.debian", "main.cf.tls"]
        .map(|name| fs::read_to_string(root.join("usr/share/postfix").join(name)).unwrap())
        .concat();
    fs::write(etc.join("postfix/main.cf"), main).unwrap();
}
