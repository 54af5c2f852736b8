//! Exim, as Debian builds it, with the configuration of `docs/examples`.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use sealpost_kit::Delivery;

use super::{
    REPORT_SENDER, SENDER, built, can_run,
    namespace::{INSIDE, Namespace},
    test_tools, wait_until,
};

/// The user that Debian's builds run as. It need not exist outside.
const EXIM_ID: u32 = 61_006;

/// The user that a daemon of its own runs as.
pub(crate) const SEALPOST_ID: u32 = 61_007;

/// Debian's builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// Asks Sealpost by `${readsocket}`.
    Light,
    /// Asks Sealpost by `${dlfunc}`.
    Heavy,
}

impl Build {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Light, Self::Heavy];

    /// The folder that `cargo xtask exim` unpacks it into.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Light => "exim-light",
            Self::Heavy => "exim-heavy",
        }
    }

    fn example(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("docs/examples")
            .join(format!("{}.conf", self.folder()))
    }
}

/// What the tests run, found.
pub(crate) struct Tools {
    /// Where Exim is unpacked.
    exim: PathBuf,
    /// The kit's program.
    pub(crate) small_internet: PathBuf,
    /// `libsealpost.so`.
    library: PathBuf,
}

impl Tools {
    /// Everything that the tests with this build need, or nothing where the machine cannot run them.
    pub(crate) fn find(build: Build) -> Option<Self> {
        let tools = Self {
            exim: test_tools(build.folder()),
            small_internet: built("small-internet"),
            library: built("libsealpost.so"),
        };
        let unpacked = tools.exim.join("library-directories");
        let files = [
            (unpacked.as_path(), "cargo xtask exim unpacks it"),
            (
                &tools.small_internet,
                "cargo build -p sealpost-kit makes it",
            ),
            (&tools.library, "cargo build -p sealpost-capi makes it"),
        ];
        can_run(build.folder(), &["ldconfig"], &files).then_some(tools)
    }
}

/// What became of a message to one domain, as Exim's log tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    /// How it ended.
    pub(crate) delivered: Delivery,
    /// The MX host that took it.
    pub(crate) mx: Option<String>,
    /// The line of the log.
    pub(crate) line: String,
}

/// An Exim on a host. It runs only while it is called.
pub(crate) struct Exim {
    directory: PathBuf,
}

impl Exim {
    /// Puts Exim and its files into the host's directory, before its namespace is made.
    pub(crate) fn install(build: Build, tools: &Tools, directory: &Path) -> Self {
        let exim = Self {
            directory: directory.to_owned(),
        };
        let program = directory.join("exim4");
        fs::copy(tools.exim.join("usr/sbin/exim4"), &program).unwrap();
        // Exim becomes its own user and calls itself to become root again.
        fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
        fs::copy(&tools.library, directory.join("libsealpost.so")).unwrap();
        for name in ["spool", "log"] {
            let path = directory.join(name);
            fs::create_dir(&path).unwrap();
            chown(&path, Some(EXIM_ID), Some(EXIM_ID)).unwrap();
        }
        exim.write_etc(tools);
        exim.configure(build, &[]);
        exim
    }

    fn write_etc(&self, tools: &Tools) {
        let etc = self.directory.join("etc");
        fs::create_dir_all(etc.join("exim4")).unwrap();
        fs::create_dir_all(etc.join("ssl/certs")).unwrap();
        let user = format!(
            "root:x:0:0::/:/bin/sh\nDebian-exim:x:{EXIM_ID}:{EXIM_ID}::/:/bin/sh\n\
             sealpost:x:{SEALPOST_ID}:{SEALPOST_ID}::/nonexistent:/usr/sbin/nologin\n"
        );
        let group =
            format!("root:x:0:\nmail:x:8:\nDebian-exim:x:{EXIM_ID}:\nsealpost:x:{SEALPOST_ID}:\n");
        let services = "smtp 25/tcp\ndomain 53/tcp\ndomain 53/udp\n";
        for (name, text) in [
            ("passwd", user.as_str()),
            ("group", &group),
            ("services", services),
            ("hosts", "127.0.0.1 localhost\n"),
            (
                "nsswitch.conf",
                "passwd: files\ngroup: files\nhosts: files\n",
            ),
            // glibc hides what is signed unless it is told to trust the resolver.
            (
                "resolv.conf",
                "nameserver 127.0.0.1\noptions edns0 trust-ad\n",
            ),
        ] {
            fs::write(etc.join(name), text).unwrap();
        }
        // A program with the set-user-id bit is told of its libraries in no other way.
        let listed = fs::read_to_string(tools.exim.join("library-directories")).unwrap();
        let mut conf = "include /etc/ld.so.conf\n".to_owned();
        for line in listed.lines() {
            conf.push_str(&format!("{}\n", tools.exim.join(line).display()));
        }
        let conf_file = self.directory.join("ld.so.conf");
        fs::write(&conf_file, conf).unwrap();
        let output = Command::new("/sbin/ldconfig")
            .args(["-X", "-f"])
            .arg(&conf_file)
            .arg("-C")
            .arg(etc.join("ld.so.cache"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Writes the example as Exim's configuration, with the places of this host, and with each of these
    /// texts replaced by another.
    pub(crate) fn configure(&self, build: Build, replacements: &[(&str, &str)]) {
        let mut text = fs::read_to_string(build.example()).unwrap();
        let mut replace = |from: &str, to: &str| {
            assert!(text.contains(from), "{:?} has no {from}", build.example());
            text = text.replace(from, to);
        };
        replace(
            "/run/sealpost/plugin.sock",
            &format!("{INSIDE}/plugin.sock"),
        );
        if build == Build::Heavy {
            replace(
                "/usr/lib/sealpost/libsealpost.so",
                &format!("{INSIDE}/libsealpost.so"),
            );
        }
        replace("tls-reports@example.com", REPORT_SENDER);
        // Every MX of the small Internet is on loopback.
        replace("127.0.0.0/8", "0.0.0.1");
        for (from, to) in replacements {
            replace(from, to);
        }
        let head = format!(
            "exim_path = {INSIDE}/exim4\nspool_directory = {INSIDE}/spool\n\
             log_file_path = {INSIDE}/log/%slog\nprimary_hostname = mail.sender.test\n\
             qualify_domain = sender.test\n"
        );
        let file = self.directory.join("etc/exim4/exim4.conf");
        fs::write(file, head + &text).unwrap();
    }

    fn call(&self, host: &Namespace) -> Command {
        host.command(format!("{INSIDE}/exim4"))
    }

    /// Does Exim accept its configuration?
    pub(crate) fn check(&self, host: &Namespace) {
        let output = self.call(host).arg("-bV").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("Configuration file is"),
            "{output:?}"
        );
    }

    /// What Exim says of the way to an address, without sending.
    pub(crate) fn route(&self, host: &Namespace, address: &str) -> String {
        let output = self.call(host).args(["-bt", address]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Sends one message to `someone@DOMAIN` and says what became of it at the first attempt.
    pub(crate) fn send(&self, host: &Namespace, domain: &str) -> Fate {
        self.deliver(host, SENDER, "", domain)
    }

    /// Sends what looks like report mail.
    pub(crate) fn send_report(&self, host: &Namespace, domain: &str) -> Fate {
        self.deliver(host, REPORT_SENDER, "TLS-Required: No\n", domain)
    }

    fn deliver(&self, host: &Namespace, sender: &str, header: &str, domain: &str) -> Fate {
        let recipient = format!(" someone@{domain} ");
        let mut fate = None;
        // After a failure at TLS the configuration has Exim leave a host alone for a second.
        wait_until("the MX host may be tried", || {
            let before = self.main_log().len();
            self.submit(host, "-odf", sender, header, &[domain]);
            let log = self.main_log();
            // A bounce may have gone its own way.
            let seen = fates(&log[before..])
                .into_iter()
                .find(|fate| fate.line.contains(&recipient))
                .unwrap_or_else(|| panic!("nothing became of a message to {domain}:\n{log}"));
            let tried = !seen.line.contains("retry time not reached");
            fate = Some(seen);
            tried
        });
        fate.unwrap()
    }

    /// Puts one message with a recipient in each of these domains into the queue.
    pub(crate) fn queue(&self, host: &Namespace, domains: &[&str]) {
        self.submit(host, "-odq", SENDER, "", domains);
    }

    fn submit(&self, host: &Namespace, mode: &str, sender: &str, header: &str, domains: &[&str]) {
        let mut child = self
            .call(host)
            .args([mode, "-i", "-f", sender])
            .args(domains.iter().map(|domain| format!("someone@{domain}")))
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        write!(stdin, "{header}Subject: a message\n\nHello.\n").unwrap();
        drop(stdin);
        // What it complains of stands in its logs as well.
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Runs the queue in two stages, the way that makes Exim send waiting messages down one
    /// connection, and gives what became of each.
    pub(crate) fn run_queue(&self, host: &Namespace) -> Vec<Fate> {
        let before = self.main_log().len();
        let status = self.call(host).arg("-qqff").status().unwrap();
        assert!(status.success());
        fates(&self.main_log()[before..])
    }

    /// Starts Exim as the mail server of this host, on port 25 of 127.0.0.1, until it is dropped.
    pub(crate) fn listen(&self, host: &Namespace) -> Listening {
        let child = self
            .call(host)
            .args(["-bdf", "-oX", "127.0.0.1.25"])
            .spawn()
            .unwrap();
        let listening = Listening(child);
        // Exim has no other way to say that it is ready.
        wait_until("Exim listens", || {
            self.main_log().contains("listening for SMTP")
        });
        listening
    }

    /// The main log.
    pub(crate) fn main_log(&self) -> String {
        fs::read_to_string(self.directory.join("log/mainlog")).unwrap_or_default()
    }

    /// What Exim found alarming; Debian mails it to root.
    pub(crate) fn panic_log(&self) -> String {
        fs::read_to_string(self.directory.join("log/paniclog")).unwrap_or_default()
    }
}

/// What these lines of the main log say of each recipient, in their order.
fn fates(log: &str) -> Vec<Fate> {
    log.lines().filter_map(fate).collect()
}

/// Exim at port 25.
pub(crate) struct Listening(Child);

impl Drop for Listening {
    fn drop(&mut self) {
        let _killed = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// Of a line `DAY TIME ID => ADDRESS R=.. T=.. H=NAME [ADDRESS] X=.. CV=yes ..`.
fn fate(line: &str) -> Option<Fate> {
    let mut words = line.split(' ');
    let arrow = words.nth(3)?;
    let delivered = match arrow {
        "==" | "**" => Delivery::Deferred,
        "=>" | "->" => {
            let encrypted = line.contains(" X=TLS");
            let verified = [" CV=yes ", " CV=dane "]
                .iter()
                .any(|word| line.contains(word));
            let demanded = line.contains(" T=sealpost_enforced ");
            match (encrypted, demanded && verified) {
                (true, true) => Delivery::TlsVerified,
                (true, false) => Delivery::Tls,
                (false, _) => Delivery::Plain,
            }
        }
        _ => return None,
    };
    let mx = words.find_map(|word| word.strip_prefix("H="));
    Some(Fate {
        delivered,
        mx: mx
            .filter(|_| delivered != Delivery::Deferred)
            .map(str::to_owned),
        line: line.to_owned(),
    })
}
