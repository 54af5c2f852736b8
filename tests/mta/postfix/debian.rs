//! A host with Postfix as Debian's package leaves it, for what an operator does from there on.
//!
//! Unlike the other hosts of these tests it has a root of its own that can be written to, Debian's
//! services are in their chroot, and its settings are those that the package makes for a host on the
//! Internet. What is otherwise is what a small Internet on the same host needs: Postfix listens on
//! loopback alone, as it does where the operator chooses "Satellite system", since the mail hosts have
//! port 25 of the other addresses; and it logs to a file of its own, since there is no syslog.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
    process::Command,
};

use super::{
    super::{
        laboratory::{INSTALLED, Laboratory},
        namespace::INSIDE,
    },
    PostfixHost, Version,
    files::{POSTDROP_GROUP, install},
    root,
};

const SYSTEMD_PAGE: &str = include_str!("../../../docs/install/systemd.md");

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

impl PostfixHost {
    /// Makes the user `sealpost` as the page for systemd has it, and lends it the host's directory, which is
    /// [`INSIDE`] also in the root. Gives its id.
    pub(crate) fn make_user(&self) -> u32 {
        let mut lines = SYSTEMD_PAGE.lines();
        let useradd = lines.find_map(|line| line.strip_prefix("    # useradd "));
        let arguments: Vec<&str> = useradd.unwrap().split(' ').collect();
        let output = self.typed("useradd").args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let passwd = fs::read_to_string(self.path("etc/passwd")).unwrap();
        let line = passwd.lines().find(|line| line.starts_with("sealpost:"));
        let id = line.and_then(|line| line.split(':').nth(2)).unwrap();
        let id = id.parse().unwrap();
        self.lend_to(id);
        let inside_root = format!("{INSIDE}/root{INSIDE}");
        self.host.run("mount", &["--bind", INSIDE, &inside_root]);
        id
    }

    /// The daemon's program in the root, as this user runs it. It ends with its process.
    pub(crate) fn program_in_root_of(&self, user: u32, wrapper: &[&str]) -> Command {
        let chroot = ["chroot"];
        let mut words = wrapper.iter().chain(&chroot);
        let mut command = self.host.command(words.next().unwrap());
        command
            .args(words)
            .arg(format!("--userspec={user}:{user}"))
            .args(["--groups=", &format!("{INSIDE}/root"), INSTALLED])
            .env_clear()
            .env("PATH", PATH);
        command
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
    // The package's script gives these to their group; how it is fetched leaves that out.
    for program in ["postdrop", "postqueue"] {
        let program = root.join("usr/sbin").join(program);
        chown(&program, None, Some(POSTDROP_GROUP)).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o2755)).unwrap();
    }
    for folder in [
        root.join(INSIDE.trim_start_matches('/')),
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
