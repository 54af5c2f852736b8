//! A clean Debian that is booted with its own systemd, in the network of the small Internet.
//!
//! Its root is unpacked from what `cargo xtask roots` has made, and what a person types there is done by its own
//! apt, dpkg, systemd and Postfix. systemd-nspawn boots it; nothing of it is seen on this machine's own.

use std::{
    fs,
    ops::Deref,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use super::{
    built, can_run, comes_true,
    laboratory::{Domains, Laboratory},
    test_tools, wait_until,
};

/// The kit's program.
const SMALL_INTERNET: &str = "small-internet";

/// What a root shell of Debian looks through for programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a boot may take. On an idle machine it takes three seconds.
const BOOT_HALF_MINUTES_MAX: usize = 8;

/// Where systemd-nspawn keeps something for each machine by its name. It removes that again where `/run` is in
/// memory alone.
const PROPAGATED: &str = "/run/systemd/nspawn/propagate";

/// Where the root is, in the directory of the laboratory.
const ROOT: &str = "debian";

/// What the small Internet needs of a Postfix on the same host: the mail hosts have port 25 of the other
/// addresses. And its log in a file.
const SETTINGS: [&str; 5] = [
    "inet_interfaces=loopback-only",
    "myhostname=mail.sender.test",
    "mydestination=mail.sender.test, localhost",
    "maillog_file=/var/log/mail.log",
    "smtp_tls_loglevel=1",
];

/// Which Debian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Debian {
    /// trixie.
    V13,
    /// bookworm.
    V12,
}

impl Debian {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::V13, Self::V12];

    const fn archive(self) -> &'static str {
        match self {
            Self::V13 => "debian-13.tar",
            Self::V12 => "debian-12.tar",
        }
    }
}

/// The host. It ends when this is dropped.
pub(crate) struct Booted {
    nspawn: Child,
    /// No other machine has it.
    name: String,
    /// Its first process, by the number that it has outside.
    leader: String,
    laboratory: Laboratory,
}

impl Deref for Booted {
    type Target = Laboratory;

    fn deref(&self) -> &Laboratory {
        &self.laboratory
    }
}

impl Booted {
    /// Boots one, with our package in root's directory; nothing where the machine cannot.
    pub(crate) fn boot(debian: Debian) -> Option<Self> {
        let archive = test_tools(debian.archive());
        let package = package();
        let small_internet = built(SMALL_INTERNET);
        let files = [
            (archive.as_path(), "cargo xtask roots makes it"),
            (&package, "cargo xtask package makes it"),
            (&small_internet, "cargo build -p sealpost-kit makes it"),
        ];
        let programs = ["systemd-nspawn", "setpriv", "chroot", "tar"];
        if !can_run("the package in a clean Debian", &programs, &files) {
            return None;
        }
        let directory = Laboratory::directory();
        write_etc(&directory.path().join("etc"));
        let root = directory.path().join(ROOT);
        unpack(&archive, &root);
        let laboratory = Laboratory::start(directory, &small_internet, Domains::Postfix);
        prepare(&root, &laboratory.path("internet/ca.pem"));
        let name = package.file_name().unwrap();
        fs::copy(&package, root.join("root").join(name)).unwrap();
        // The temporary directory has a name of its own.
        let above = root.parent().and_then(Path::file_name).unwrap();
        let name = format!("sealpost{}", above.to_string_lossy().replace('.', "-"));
        let (nspawn, leader) = boot(&root, &name, &laboratory);
        let host = Self {
            nspawn,
            name,
            leader,
            laboratory,
        };
        host.wait_until_booted();
        Some(host)
    }

    /// A file of the Debian, as seen from outside.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        let inside = path.trim_start_matches('/');
        // By way of its first process, so that what is mounted there is seen.
        Path::new("/proc")
            .join(&self.leader)
            .join("root")
            .join(inside)
    }

    /// A program of the Debian, as root has it at a terminal.
    pub(crate) fn typed(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.leader, "--all", "--"])
            .args(["env", "--chdir=/root", program])
            .stdin(Stdio::null())
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", "/root")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("LC_ALL", "C");
        command
    }

    /// Runs a line of the shell, whatever comes of it.
    pub(crate) fn try_line(&self, line: &str) -> Output {
        self.typed("sh").args(["-c", line]).output().unwrap()
    }

    /// Runs a line of the shell that must succeed, and gives what it says.
    #[track_caller]
    pub(crate) fn line(&self, line: &str) -> String {
        let output = self.try_line(line);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{line}: {output:?}\n{}",
            self.journal()
        );
        said
    }

    /// What our units have logged.
    pub(crate) fn journal(&self) -> String {
        let output = self.try_line("journalctl --no-pager --boot --unit 'sealpost*'");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn wait_until_booted(&self) {
        let mut booted = || {
            let said = self.try_line("systemctl is-system-running").stdout;
            matches!(said.as_slice(), b"running\n" | b"degraded\n")
        };
        // Half a minute each; a machine that does much else at the time needs several.
        let in_time = (0..BOOT_HALF_MINUTES_MAX).any(|_| comes_true(&mut booted));
        assert!(
            in_time,
            "systemd has not started everything: {:?}\n{}",
            self.try_line("systemctl is-system-running; systemctl list-jobs --no-pager"),
            fs::read_to_string(self.path("console.log")).unwrap_or_default()
        );
        // On a machine of its own the kernel's settings for the network can be set.
        self.line(
            "mount -t proc proc /mnt && mount --bind /mnt/sys/net /proc/sys/net && umount /mnt",
        );
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        // systemd outlives systemd-nspawn; all processes of the machine end with its first.
        let _killed = Command::new("kill").args(["-KILL", &self.leader]).status();
        let _killed = self.nspawn.kill();
        let _ended = self.nspawn.wait();
        let propagated = Path::new(PROPAGATED).join(&self.name);
        let _removed = fs::remove_dir_all(propagated).is_ok();
    }
}

/// The package that `cargo xtask package` has made; a name that is none where there is none.
fn package() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let packages = target.join("package");
    let entries = fs::read_dir(&packages).into_iter().flatten();
    entries
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|kind| kind == "deb"))
        .unwrap_or_else(|| packages.join("sealpost.deb"))
}

/// What the small Internet itself needs to know.
fn write_etc(etc: &Path) {
    fs::create_dir_all(etc.join("ssl/certs")).unwrap();
    for (name, text) in [
        ("hosts", "127.0.0.1 localhost\n"),
        ("resolv.conf", "nameserver 127.0.0.1\n"),
        (
            "nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files\n",
        ),
    ] {
        fs::write(etc.join(name), text).unwrap();
    }
}

fn unpack(archive: &Path, root: &Path) {
    fs::create_dir(root).unwrap();
    let unpacked = Command::new("tar")
        .args(["--extract", "--numeric-owner", "--file"])
        .arg(archive)
        .arg("--directory")
        .arg(root)
        .output()
        .unwrap();
    assert!(unpacked.status.success(), "{unpacked:?}");
}

/// Makes it a host of the small Internet, which trusts whom that trusts.
fn prepare(root: &Path, authority: &Path) {
    for (name, text) in [
        ("hostname", "mail\n"),
        ("mailname", "sender.test\n"),
        (
            "hosts",
            "127.0.0.1 localhost\n127.0.0.1 mail.sender.test mail\n",
        ),
    ] {
        fs::write(root.join("etc").join(name), text).unwrap();
    }
    // A link perhaps, to what is not there.
    let resolvers = root.join("etc/resolv.conf");
    let _there = fs::remove_file(&resolvers).is_ok();
    fs::write(resolvers, "nameserver 127.0.0.1\n").unwrap();
    let trusted = root.join("usr/local/share/ca-certificates/small-internet.crt");
    fs::copy(authority, trusted).unwrap();
    let in_root = |program: &str, arguments: &[&str]| {
        let mut command = Command::new("chroot");
        command.arg(root).arg(program).args(arguments);
        let output = command.env_clear().env("PATH", PATH).output().unwrap();
        assert!(output.status.success(), "{program}: {output:?}");
    };
    in_root("update-ca-certificates", &[]);
    in_root("postconf", &[&["-e"][..], &SETTINGS].concat());
    // apt's own timers would look for a network.
    for timer in ["apt-daily.timer", "apt-daily-upgrade.timer"] {
        symlink("/dev/null", root.join("etc/systemd/system").join(timer)).unwrap();
    }
}

/// Boots it, and says by what number its first process is known here.
fn boot(root: &Path, name: &str, laboratory: &Laboratory) -> (Child, String) {
    let console = fs::File::create(laboratory.path("console.log")).unwrap();
    let nspawn = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "systemd-nspawn", "--quiet"])
        // It needs nobody's leave and is in nobody's list.
        .args(["--register=no", "--keep-unit", "--link-journal=no"])
        .args(["--resolv-conf=off", "--timezone=off", "--console=pipe"])
        .args(["--machine", name, "--hostname=mail"])
        .arg(format!(
            "--network-namespace-path={}",
            laboratory.host.network()
        ))
        .args(["--boot", "--directory"])
        .arg(root)
        .stdin(Stdio::null())
        .stdout(console.try_clone().unwrap())
        .stderr(console)
        .spawn()
        .unwrap();
    let number = nspawn.id();
    let mut leader = String::new();
    wait_until("systemd-nspawn has made the first process", || {
        let children = format!("/proc/{number}/task/{number}/children");
        let children = fs::read_to_string(children).unwrap_or_default();
        let first = children.split_whitespace().next().unwrap_or_default();
        first.clone_into(&mut leader);
        let name = fs::read_to_string(format!("/proc/{leader}/comm"));
        name.is_ok_and(|name| name == "systemd\n")
    });
    (nspawn, leader)
}
