//! A host for an MTA, the small Internet around it, and the real daemon beside it.

use std::{
    cell::RefCell,
    fs,
    io::{BufRead as _, BufReader, ErrorKind, Write as _},
    os::unix::{
        fs::{PermissionsExt as _, chown},
        net::{UnixDatagram, UnixStream},
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio},
    time::Duration,
};

use sealpost::clock::{Clock as _, SECONDS_PER_DAY, SystemClock, UtcDay};
use sealpost_kit::Case;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    namespace::{INSIDE, Namespace},
    wait_until,
};

/// Where an operator has put the program.
pub(crate) const INSTALLED: &str = "/usr/local/bin/sealpost";

/// The address of the mail host that has no other one.
const IPV6_OF_MX: &str = "fd00:25::1";

/// Which recipient domains the small Internet has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Domains {
    /// Those that any MTA can be held to.
    Demo,
    /// Those that Postfix is held to. Where the machine has no IPv6 there is no `ipv6.test`.
    Postfix,
}

/// A host without its MTA. It ends when this is dropped.
pub(crate) struct Laboratory {
    // What runs is stopped before the host it runs on, and that before its files go.
    internet: RefCell<SmallInternet>,
    /// The host.
    pub(crate) host: Namespace,
    directory: TempDir,
}

impl Laboratory {
    /// The directory for a new host's files.
    pub(crate) fn directory() -> TempDir {
        // Not below /tmp, which may forbid the set-user-id bit that an MTA lives by.
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let readable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(directory.path(), readable).unwrap();
        directory
    }

    /// Makes a host of this directory, whose `etc` is to be the host's, and starts the kit's program on
    /// it, with these recipient domains. The host trusts whom the small Internet trusts.
    pub(crate) fn start(directory: TempDir, small_internet: &Path, domains: Domains) -> Self {
        let host = Namespace::new(directory.path());
        let internet = SmallInternet::start(&host, small_internet, domains);
        let root = directory.path().join("internet/ca.pem");
        let trusted = directory.path().join("etc/ssl/certs/ca-certificates.crt");
        fs::copy(root, trusted).unwrap();
        Self {
            internet: RefCell::new(internet),
            host,
            directory,
        }
    }

    /// A file of the host, as seen from outside.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Asks the small Internet something; see `small-internet.rs`.
    pub(crate) fn ask(&self, line: &str) -> Value {
        self.internet.borrow_mut().ask(line)
    }

    /// The recipient domains, each with its truth.
    pub(crate) fn cases(&self) -> Vec<Case> {
        let text = fs::read(self.path("internet/cases.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Starts the real daemon, whose day begins at noon, with these sections for its doors.
    pub(crate) fn start_daemon(&self, doors: &str) -> Daemon<'_> {
        self.start_daemon_of("sender.test", doors)
    }

    /// The same where the mail and the reports are another domain's.
    pub(crate) fn start_daemon_of(&self, domain: &str, doors: &str) -> Daemon<'_> {
        self.start_daemon_delivering(domain, "", doors)
    }

    /// The same with these lines more of `[deliver]`.
    pub(crate) fn start_daemon_delivering(
        &self,
        domain: &str,
        deliver: &str,
        doors: &str,
    ) -> Daemon<'_> {
        let deliver = format!("via = \"relay\"\nrelay = \"127.0.0.1:25\"\n{deliver}");
        self.configure(domain, &deliver, doors);
        self.begin_day();
        self.go_on_with_daemon(self.host.command(env!("CARGO_BIN_EXE_sealpost")))
    }

    /// Writes the daemon's configuration: these lines of `[deliver]`, and these sections for its doors.
    pub(crate) fn configure(&self, domain: &str, deliver: &str, doors: &str) {
        let selectors = ["rsa", "ed25519"].map(|selector| {
            format!("[[dkim]]\nselector = \"{selector}\"\nkey = \"internet/{selector}.pem\"\n")
        });
        let config = format!(
            "[sender]\norganization = \"Sender\"\ncontact = \"tlsrpt@{domain}\"\n\
             host_name = \"mail.{domain}\"\n\
             [policy]\nextra_roots = [\"internet/ca.pem\"]\nallow_private_addresses = true\n\
             [store]\npath = \"store\"\nfree_space_min_mib = 0\n\
             [deliver]\n{deliver}\n\
             [control_socket]\npath = \"control.sock\"\n{doors}{}",
            selectors.concat()
        );
        fs::write(self.path("sealpost.toml"), config).unwrap();
    }

    /// Adds the envelope sender of the reports to what is configured.
    pub(crate) fn set_envelope_sender(&self, mailbox: &str) {
        let path = self.path("sealpost.toml");
        let config = fs::read_to_string(&path).unwrap();
        let sender = format!("[sender]\nenvelope_from = \"{mailbox}\"\n");
        fs::write(path, config.replacen("[sender]\n", &sender, 1)).unwrap();
    }

    /// Lets it be noon for the daemon.
    pub(crate) fn begin_day(&self) {
        self.set_clock(daemons_day(), SECONDS_PER_DAY / 2);
    }

    /// Starts the daemon as it is configured, at whatever moment its clock shows, by this command of the
    /// program.
    pub(crate) fn go_on_with_daemon(&self, program: Command) -> Daemon<'_> {
        Daemon {
            child: self.spawn_daemon(program),
            laboratory: self,
            day: daemons_day(),
        }
    }

    /// Makes this user the owner of the host's directory, and puts the program at [`INSTALLED`], where all
    /// can run it, with a configuration by which it finds the daemon.
    pub(crate) fn lend_to(&self, user: u32) {
        chown(self.directory.path(), Some(user), Some(user)).unwrap();
        for key in ["rsa.pem", "ed25519.pem"] {
            let key = self.path("internet").join(key);
            chown(key, Some(user), Some(user)).unwrap();
        }
        let directory = Path::new(INSTALLED).parent().unwrap().to_str().unwrap();
        self.host.run("mount", &["-t", "tmpfs", "tmpfs", directory]);
        self.host.run("touch", &[INSTALLED]);
        let built = env!("CARGO_BIN_EXE_sealpost");
        self.host.run("mount", &["--bind", built, INSTALLED]);
        fs::create_dir_all(self.path("etc/sealpost")).unwrap();
        let config = format!("[control_socket]\npath = \"{INSIDE}/control.sock\"\n");
        fs::write(self.path("etc/sealpost/sealpost.toml"), config).unwrap();
    }

    /// The program as it is run by the user whom the host's directory was lent to.
    pub(crate) fn program_of(&self, user: u32) -> Command {
        let mut command = self.host.command("setpriv");
        let id = user.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", INSTALLED]);
        command
    }

    /// Tells the daemon of a good session with the domain, as an MTA does through the plugin socket.
    pub(crate) fn tell_session(&self, domain: &str) {
        let case = self.cases().into_iter().find(|case| case.domain == domain);
        let mx = case.and_then(|case| case.mx).unwrap();
        let answer = self.say(&format!("MX\t{domain}\t{mx}"));
        let policy = answer
            .split('\t')
            .find_map(|field| field.strip_prefix("policy="));
        let policy = policy.unwrap_or_else(|| panic!("{answer}"));
        let told = self.say(&format!(
            "SESSION\t{domain}\tpolicy={policy}\tmx={mx}\toutcome=success"
        ));
        assert_eq!(told, "OK");
    }

    fn say(&self, line: &str) -> String {
        let socket = UnixStream::connect(self.path("plugin.sock")).unwrap();
        let mut socket = BufReader::new(socket);
        writeln!(socket.get_mut(), "{line}").unwrap();
        let mut answer = String::new();
        socket.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }

    fn spawn_daemon(&self, mut program: Command) -> Child {
        let ready = Ready::bind(self.path("notify"));
        let log = fs::File::create(self.path("daemon.log")).unwrap();
        let child = program
            .args(["serve", "--config"])
            .arg(format!("{INSIDE}/sealpost.toml"))
            .arg("--laboratory-clock")
            .arg(format!("{INSIDE}/clock"))
            .env("NOTIFY_SOCKET", format!("{INSIDE}/notify"))
            .stderr(log)
            .spawn()
            .unwrap();
        ready.wait(|| self.daemon_log());
        child
    }

    /// What the daemon has logged.
    pub(crate) fn daemon_log(&self) -> String {
        fs::read_to_string(self.path("daemon.log")).unwrap_or_default()
    }

    /// Sets the daemon's clock to so many seconds into this day.
    fn set_clock(&self, day: UtcDay, seconds: i64) {
        set_clock(&self.path("clock"), day, seconds);
    }
}

/// The day that the daemon begins with: yesterday, because its reports are signed when that day is over, and programs
/// of others refuse signatures from the future.
fn daemons_day() -> UtcDay {
    SystemClock.now().day().previous()
}

/// Sets the clock of the daemon that reads this file to so many seconds into this day.
pub(crate) fn set_clock(file: &Path, day: UtcDay, seconds: i64) {
    let wanted = day.first_second().plus_seconds(seconds);
    let offset = wanted.seconds_since(SystemClock.now());
    let new = file.with_extension("new");
    fs::write(&new, offset.to_string()).unwrap();
    fs::rename(new, file).unwrap();
}

/// Where a daemon says that it is ready.
pub(crate) struct Ready {
    path: PathBuf,
    socket: UnixDatagram,
}

impl Ready {
    /// Makes its `NOTIFY_SOCKET`.
    pub(crate) fn bind(path: PathBuf) -> Self {
        let socket = UnixDatagram::bind(&path).unwrap();
        // The daemon may be another user's.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        Self { path, socket }
    }

    /// Waits for the daemon, whose log is asked for where it does not come.
    pub(crate) fn wait(self, log: impl Fn() -> String) {
        // sd_notify(3): a datagram of lines.
        let mut buffer = [0; 4096];
        loop {
            let length = match self.socket.recv(&mut buffer) {
                Ok(length) => length,
                // A child of the test's ended meanwhile.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => panic!("the daemon is not ready: {error}\n{}", log()),
            };
            let said = String::from_utf8_lossy(&buffer[..length]);
            if said.lines().any(|line| line == "READY=1") {
                break;
            }
        }
        fs::remove_file(self.path).unwrap();
    }
}

/// The daemon. It is killed when this is dropped.
pub(crate) struct Daemon<'a> {
    child: Child,
    laboratory: &'a Laboratory,
    /// The day that it lives in.
    day: UtcDay,
}

/// What was counted for a domain under one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    /// `policy-type`.
    pub(crate) policy_type: String,
    /// Good sessions.
    pub(crate) successes: u64,
    /// Bad ones.
    pub(crate) failures: u64,
    /// Result type and reason code, mail host, and how many; sorted.
    pub(crate) details: Vec<(String, String, u64)>,
}

impl Counted {
    /// What `sealpost sessions --json` says.
    pub(crate) fn all(sessions: &Value) -> Vec<Self> {
        let domains = sessions["domains"].as_array().unwrap();
        domains
            .iter()
            .flat_map(|domain| domain["policies"].as_array().unwrap())
            .map(|policy| {
                let mut details: Vec<_> = policy["details"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|detail| {
                        let text = |name: &str| detail[name].as_str().unwrap_or_default();
                        let kind = format!("{} {}", text("result_type"), text("reason"));
                        (
                            kind.trim_end().to_owned(),
                            text("mx").to_owned(),
                            detail["sessions"].as_u64().unwrap(),
                        )
                    })
                    .collect();
                details.sort();
                Self {
                    policy_type: policy["policy"]["policy_type"].as_str().unwrap().to_owned(),
                    successes: policy["successes"].as_u64().unwrap(),
                    failures: policy["failures"].as_u64().unwrap(),
                    details,
                }
            })
            .collect()
    }

    /// Nothing but good sessions.
    pub(crate) fn good(policy_type: &str, successes: u64) -> Self {
        Self {
            policy_type: policy_type.to_owned(),
            successes,
            failures: 0,
            details: Vec::new(),
        }
    }

    /// Nothing but bad sessions with one mail host, one of each kind: `TYPE REASON`.
    pub(crate) fn bad(policy_type: &str, mx: &str, kinds: &[&str]) -> Self {
        let mut details: Vec<_> = kinds
            .iter()
            .map(|kind| ((*kind).to_owned(), mx.to_owned(), 1))
            .collect();
        details.sort();
        Self {
            policy_type: policy_type.to_owned(),
            successes: 0,
            failures: kinds.len() as u64,
            details,
        }
    }
}

impl Daemon<'_> {
    /// Runs a `sealpost` command.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        self.laboratory
            .host
            .command(env!("CARGO_BIN_EXE_sealpost"))
            .args(["--config", &format!("{INSIDE}/sealpost.toml")])
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Runs a command that answers with JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(arguments);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!(
                "{arguments:?}: {error}: {output:?}\n{}",
                self.laboratory.daemon_log()
            )
        })
    }

    /// What is counted so far for a domain, once that is `sessions` sessions or more.
    pub(crate) fn counted(&self, domain: &str, sessions: u64) -> Vec<Counted> {
        let mut counted = Vec::new();
        wait_until(&format!("{sessions} sessions of {domain}"), || {
            counted = self.counted_now(domain);
            let total: u64 = counted
                .iter()
                .map(|policy| policy.successes + policy.failures)
                .sum();
            total >= sessions
        });
        counted
    }

    /// What is counted so far for a domain.
    pub(crate) fn counted_now(&self, domain: &str) -> Vec<Counted> {
        let sessions = self.json(&["sessions", "--domain", domain, "--json"]);
        Counted::all(&sessions)
    }

    /// How many sessions are counted so far, of all domains.
    pub(crate) fn counted_in_all(&self) -> u64 {
        self.counted_on(self.day)
    }

    /// The same for another day than the daemon's.
    pub(crate) fn counted_on(&self, day: UtcDay) -> u64 {
        let sessions = self.json(&["sessions", "--day", &day.to_string(), "--json"]);
        let domains = sessions["domains"].as_array().unwrap();
        domains
            .iter()
            .flat_map(|domain| domain["policies"].as_array().unwrap())
            .map(|policy| {
                policy["successes"].as_u64().unwrap() + policy["failures"].as_u64().unwrap()
            })
            .sum()
    }

    /// Ends the daemon's day and has its reports sent.
    pub(crate) fn end_day(&self) -> Output {
        self.let_day_end();
        self.send_reports(None)
    }

    /// Lets the daemon's day be over.
    pub(crate) fn let_day_end(&self) {
        self.laboratory.set_clock(self.day.next(), 60);
    }

    /// Has the reports of the day sent that is over, or that of one domain.
    pub(crate) fn send_reports(&self, domain: Option<&str>) -> Output {
        let day = self.day.to_string();
        let mut arguments = vec!["report", "send", "--day", &day, "--json"];
        if let Some(domain) = domain {
            arguments.extend(["--domain", domain]);
        }
        self.command(&arguments)
    }

    /// Ends the daemon's day as [`end_day`](Self::end_day) does, and lets it be noon of the next. Says
    /// which day has ended.
    pub(crate) fn live_on(&mut self) -> UtcDay {
        // A day without reports is a failure of the command.
        let sent = self.end_day();
        let answer: Value = serde_json::from_slice(&sent.stdout).unwrap();
        let nothing = answer["reports"].as_array().is_some_and(Vec::is_empty);
        assert!(
            sent.status.success() || nothing,
            "{sent:?}\n{}",
            self.laboratory.daemon_log()
        );
        let ended = self.day;
        self.day = ended.next();
        self.laboratory.set_clock(self.day, SECONDS_PER_DAY / 2);
        ended
    }

    /// Ends it, as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// The kit's program.
struct SmallInternet {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl SmallInternet {
    fn start(host: &Namespace, program: &Path, domains: Domains) -> Self {
        let mut command = host.command(program);
        match domains {
            Domains::Demo => {}
            Domains::Postfix => {
                command.args(["--cases", "postfix"]);
                if host.add_address(IPV6_OF_MX) {
                    command.args(["--ipv6", IPV6_OF_MX]);
                }
            }
        }
        let mut child = command
            .args(["--directory", &format!("{INSIDE}/internet")])
            .args([
                "--dns-port",
                "53",
                "--https-port",
                "443",
                "--smtp-port",
                "25",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut internet = Self {
            child,
            input,
            output,
        };
        assert_eq!(internet.line(), "ready");
        internet
    }

    fn ask(&mut self, line: &str) -> Value {
        writeln!(self.input, "{line}").unwrap();
        let answer: Value = serde_json::from_str(&self.line()).unwrap();
        assert!(answer.get("error").is_none(), "{line}: {answer}");
        answer
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for SmallInternet {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}
