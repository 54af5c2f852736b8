//! A sending host in the small Internet: the real daemon as a child process, its files in a
//! directory of their own, and what MTAs, operators and systemd do to it.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::{
        fd::OwnedFd,
        unix::{
            fs::PermissionsExt as _,
            net::{UnixDatagram, UnixStream},
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use sealpost::{
    clock::{Clock as _, SystemClock, Timestamp, UtcDay},
    config::StoreConfig,
    policy::AppliedPolicy,
    store::{Batch, Counted, SledStore, Store as _, TallyKey},
};
use sealpost_kit::{Answer, Cases, Internet, Message, PolicyHost, Setup};
use toml::{Table, Value, value::Array};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sealpost");

/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition is looked at that nothing announces.
const LOOK: Duration = Duration::from_millis(20);

/// Looks until there is something.
#[track_caller]
pub(super) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..PATIENCE.as_millis() / LOOK.as_millis() {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(LOOK);
    }
    panic!("{what}: not within {} s", PATIENCE.as_secs());
}

/// A row that an earlier daemon left.
pub(super) struct Before<'a> {
    pub(super) day: UtcDay,
    /// The recipient domain.
    pub(super) domain: &'a str,
    pub(super) policy: AppliedPolicy,
    pub(super) counted: Counted,
    pub(super) sessions: u64,
}

impl<'a> Before<'a> {
    /// One of a domain that publishes no policy.
    pub(super) fn without_policy(
        day: UtcDay,
        domain: &'a str,
        counted: Counted,
        sessions: u64,
    ) -> Self {
        Self {
            day,
            domain,
            policy: AppliedPolicy::no_policy_found(domain.parse().unwrap()),
            counted,
            sessions,
        }
    }
}

/// The host. What it runs on stays when its daemon ends; [`Daemon`] is that.
pub(super) struct Host {
    pub(super) internet: Internet,
    pub(super) config: Table,
    pub(super) day: UtcDay,
    runtime: tokio::runtime::Runtime,
    directory: tempfile::TempDir,
}

impl Host {
    /// A host at noon.
    pub(super) fn new() -> Self {
        Self::among(Cases::Demo)
    }

    /// The same with other recipient domains.
    pub(super) fn among(cases: Cases) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let setup = Setup {
            cases,
            ..Setup::default()
        };
        let internet = runtime.block_on(Internet::start_with(setup)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let mut host = Self {
            config: Table::new(),
            day: SystemClock.now().day(),
            internet,
            runtime,
            directory,
        };
        fs::write(host.file("ca.pem"), host.internet.authority.ca_pem()).unwrap();
        for selector in host.internet.selectors() {
            let file = host.file(&format!("{}.pem", selector.name));
            fs::write(&file, &selector.key.private_pem).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        host.config = host.usual_config();
        host.set_clock(host.day.first_second().plus_seconds(12 * 3_600));
        host
    }

    fn usual_config(&self) -> Table {
        let internet = &self.internet;
        toml::from_str(&format!(
            "[sender]\norganization = \"Example Sender\"\ncontact = \"tlsrpt@sender.test\"\n\
             host_name = \"mail.sender.test\"\n[dns]\nservers = [\"{}\"]\ntimeout_ms = 1000\n\
             attempts = 1\n[policy]\nhttps_port = {}\nextra_roots = [\"ca.pem\"]\n\
             allow_private_addresses = true\nfetch_timeout_seconds = 10\n[store]\npath = \
             \"store\"\nfree_space_min_mib = 16\n[[dkim]]\nselector = \"rsa\"\nkey = \
             \"rsa.pem\"\n[[dkim]]\nselector = \"ed25519\"\nkey = \
             \"ed25519.pem\"\n[deliver]\nvia = \"mx\"\nsmtp_port = {}\ntimeout_seconds = \
             20\n[probe]\nsmtp_port = {}\n[plugin_socket]\npath = \"plugin.sock\"\n[socketmap]\npath = \"\"\n[tlsrpt_socket]\npath = \"\"\n[control_socket]\npath = \
             \"control.sock\"\n",
            internet.dns.address(),
            internet.policy_hosts.address().port(),
            internet.mx_hosts.port(),
            internet.mx_hosts.port(),
        ))
        .unwrap()
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Changes one setting, `"policy.when_unknown"`, for the next start or reload.
    pub(super) fn set(&mut self, setting: &str, value: impl Into<Value>) {
        let (section, name) = setting.rsplit_once('.').unwrap();
        let section = self
            .config
            .entry(section.to_owned())
            .or_insert_with(|| Table::new().into());
        let table = section.as_table_mut().unwrap();
        table.insert(name.to_owned(), value.into());
    }

    /// Changes what is done for one recipient domain.
    pub(super) fn set_override(&mut self, domain: &str, mode: &str) {
        let all = self
            .config
            .entry("domain")
            .or_insert_with(|| Table::new().into());
        let mut each = Table::new();
        each.insert("mode".to_owned(), mode.into());
        all.as_table_mut()
            .unwrap()
            .insert(domain.to_owned(), each.into());
    }

    /// Puts up a host that takes reports by https, and lets the daemon go there. Gives a URI of it, without
    /// a path.
    pub(super) fn put_up_report_host(&mut self, name: &str) -> String {
        let web = self.internet.policy_hosts.address();
        self.internet.dns.set_addresses(name, &[web.ip()]);
        let host = PolicyHost {
            certificate: self.internet.authority.issue(&[name]).unwrap(),
            answer: Answer::taken(),
        };
        self.internet.policy_hosts.set(name, host);
        let ports: Array = vec![Value::from(i64::from(web.port()))];
        self.set("deliver.https_ports", ports);
        self.set("deliver.https_allow_private_addresses", true);
        format!("https://{name}:{}", web.port())
    }

    /// Has a domain ask for reports at this address.
    pub(super) fn publish_rua(&self, domain: &str, rua: &str) {
        let record = format!("v=TLSRPTv1; rua={rua}");
        let name = format!("_smtp._tls.{domain}");
        self.internet.dns.set_txt(&name, &[&record]);
    }

    /// From the next start on the host's resolver and all policy hosts are out of reach.
    pub(super) fn cut_off(&mut self) {
        let servers: Array = vec![Value::from("127.0.66.1:9")];
        self.set("dns.servers", servers);
        self.set("dns.timeout_ms", 100);
        self.set("policy.https_port", 9);
    }

    pub(super) fn write_config(&self) {
        let text = toml::to_string(&self.config).unwrap();
        fs::write(self.file("sealpost.toml"), text).unwrap();
    }

    /// Sets the daemon's clock, also while it runs.
    pub(super) fn set_clock(&self, to: Timestamp) {
        let ahead = to.seconds_since(SystemClock.now());
        let next = self.file("clock.next");
        fs::write(&next, ahead.to_string()).unwrap();
        fs::rename(next, self.file("clock")).unwrap();
    }

    pub(super) fn advance_clock_seconds(&self, seconds: i64) {
        let now: i64 = fs::read_to_string(self.file("clock"))
            .unwrap()
            .parse()
            .unwrap();
        let next = self.file("clock.next");
        fs::write(&next, (now + seconds).to_string()).unwrap();
        fs::rename(next, self.file("clock")).unwrap();
    }

    /// The store, while no daemon has it.
    pub(super) fn open_store(&self) -> SledStore {
        let config = StoreConfig {
            path: self.file("store"),
            free_space_min_mib: 0,
            ..StoreConfig::default()
        };
        SledStore::open(&config).unwrap()
    }

    /// A failing disk has written over the rows of a day in this tree. Their keys begin with its number
    /// (docs/store-format.md).
    pub(super) fn damage(&self, tree: &str, day: UtcDay) {
        let database = sled::open(self.file("store")).unwrap();
        let rows = database.open_tree(tree).unwrap();
        let keys = rows.scan_prefix(day.0.to_be_bytes()).keys();
        let keys: Vec<_> = keys.collect::<Result<_, _>>().unwrap();
        assert!(!keys.is_empty(), "{tree} has no rows of {day}");
        for key in keys {
            rows.insert(key, b"\xff".as_slice()).unwrap();
        }
        database.flush().unwrap();
    }

    /// What an earlier daemon left in the store.
    pub(super) fn counted_before<'a>(&self, rows: impl Iterator<Item = Before<'a>>) {
        let mut batch = Batch::default();
        for row in rows {
            let key = TallyKey {
                day: row.day,
                domain: row.domain.parse().unwrap(),
                policy: row.policy.fingerprint(),
                counted: row.counted,
            };
            batch.policies.insert(key.policy, row.policy);
            batch.totals.insert(key, row.sessions);
        }
        self.open_store().commit(&batch).unwrap();
    }

    /// The command line of the daemon.
    pub(super) fn serve(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .arg("serve")
            .arg("--config")
            .arg(self.file("sealpost.toml"))
            .arg("--laboratory-clock")
            .arg(self.file("clock"));
        command
    }

    /// Starts the daemon and waits until it says that it is ready.
    #[track_caller]
    pub(super) fn start(&self) -> Daemon {
        self.write_config();
        self.start_as(self.serve())
    }

    /// Starts it by another command, a shell's `exec` say.
    #[track_caller]
    pub(super) fn start_as(&self, mut command: Command) -> Daemon {
        let lines = self.log_file();
        command
            .stdin(Stdio::null())
            .stdout(lines.try_clone().unwrap())
            .stderr(lines);
        self.start_by(command)
    }

    /// Starts it by a command whose input and output are seen to.
    #[track_caller]
    fn start_by(&self, mut command: Command) -> Daemon {
        let notify = self.file("notify");
        if notify.exists() {
            fs::remove_file(&notify).unwrap();
        }
        let systemd = UnixDatagram::bind(&notify).unwrap();
        let child = command.env("NOTIFY_SOCKET", &notify).spawn().unwrap();
        let mut daemon = Daemon {
            child,
            systemd,
            log: self.file("log"),
        };
        daemon.wait_until_told("READY=1");
        daemon
    }

    /// Starts the daemon as systemd does that holds these sockets (sd_listen_fds(3)).
    #[track_caller]
    pub(super) fn start_activated(&self, passed: Vec<OwnedFd>) -> Daemon {
        self.write_config();
        self.start_by(self.activated(passed))
    }

    /// `sealpost serve` with two or three files passed to it. They travel as standard input, output
    /// and error of a shell, which knows their numbers and its own.
    fn activated(&self, passed: Vec<OwnedFd>) -> Command {
        drop(self.log_file());
        let serve = self.serve();
        let mut command = Command::new("sh");
        let script = "export LISTEN_PID=$$\n\
                      exec \"$@\" 3<&0 4<&1 5<&2 0</dev/null 1>>\"$LOG\" 2>&1";
        command.args(["-c", script, "sh"]);
        command.arg(serve.get_program()).args(serve.get_args());
        command.env("LOG", self.file("log"));
        command.env("LISTEN_FDS", passed.len().to_string());
        let mut passed = passed.into_iter();
        command.stdin(passed.next().unwrap());
        command.stdout(passed.next().unwrap());
        // What is not counted in LISTEN_FDS is none of the daemon's business.
        command.stderr(passed.next().map_or_else(Stdio::null, Stdio::from));
        assert!(passed.next().is_none(), "a shell has no more to carry it");
        command
    }

    /// As [`start_activated`](Self::start_activated) where it is not to come up. How it ended, and
    /// its last words.
    #[track_caller]
    pub(super) fn start_activated_in_vain(&self, passed: Vec<OwnedFd>) -> (ExitStatus, String) {
        self.write_config();
        let mut command = self.activated(passed);
        let mut daemon = Waited(command.env_remove("NOTIFY_SOCKET").spawn().unwrap());
        until("a daemon that cannot start ends", || {
            daemon.0.try_wait().unwrap()
        });
        let said = self.log().lines().last().unwrap_or_default().to_owned();
        (daemon.0.wait().unwrap(), said)
    }

    fn log_file(&self) -> fs::File {
        let mut options = fs::OpenOptions::new();
        let opened = options.create(true).append(true).open(self.file("log"));
        opened.unwrap()
    }

    /// Runs `sealpost serve` where it is not to come up.
    #[track_caller]
    pub(super) fn start_in_vain(&self) -> Output {
        self.write_config();
        let mut command = self.serve();
        let child = command
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut daemon = Waited(child);
        until("a daemon that cannot start ends", || {
            daemon.0.try_wait().unwrap()
        });
        let mut output = Output {
            status: daemon.0.wait().unwrap(),
            stdout: Vec::new(),
            stderr: Vec::new(),
        };
        let (stdout, stderr) = (daemon.0.stdout.as_mut(), daemon.0.stderr.as_mut());
        stdout.unwrap().read_to_end(&mut output.stdout).unwrap();
        stderr.unwrap().read_to_end(&mut output.stderr).unwrap();
        output
    }

    /// Runs a command of an operator.
    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The same, not run yet.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .arg("--config")
            .arg(self.file("sealpost.toml"))
            .stdin(Stdio::null());
        command
    }

    /// What a command shows, which must end well.
    #[track_caller]
    pub(super) fn shown(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command answers as JSON, whatever its exit code.
    #[track_caller]
    pub(super) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"))
    }

    /// A counter of `sealpost status`.
    #[track_caller]
    pub(super) fn counter(&self, name: &str) -> u64 {
        let status = self.json(&["status"]);
        let counters = status["counters"].as_array().unwrap();
        let found = counters.iter().find(|each| each["name"] == name);
        found.unwrap_or_else(|| panic!("no counter {name}"))["value"]
            .as_u64()
            .unwrap()
    }

    /// Good and bad sessions of a day, and of a domain only where one is named.
    #[track_caller]
    pub(super) fn counted(&self, day: UtcDay, domain: Option<&str>) -> (u64, u64) {
        let day = day.to_string();
        let mut arguments = vec!["sessions", "--day", &day];
        arguments.extend(domain.iter().flat_map(|domain| ["--domain", domain]));
        let answer = self.json(&arguments);
        let domains = answer["domains"].as_array().unwrap().iter();
        let policies = domains.flat_map(|domain| domain["policies"].as_array().unwrap());
        policies.fold((0, 0), |(good, bad), policy| {
            let number = |name: &str| policy[name].as_u64().unwrap();
            (good + number("successes"), bad + number("failures"))
        })
    }

    pub(super) fn plugin_socket(&self) -> PathBuf {
        self.file("plugin.sock")
    }

    /// Says a line to the plugin socket, as a script does, and gives the answer's line.
    #[track_caller]
    pub(super) fn say(&self, line: &str) -> String {
        let mut answers = self.say_all(&[line]);
        assert_eq!(answers.len(), 1, "{line}: {answers:?}");
        answers.remove(0)
    }

    /// Says lines on one connection and gives the answers.
    #[track_caller]
    pub(super) fn say_all(&self, lines: &[&str]) -> Vec<String> {
        let mut stream = UnixStream::connect(self.plugin_socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        stream.write_all(text.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        answers.lines().map(str::to_owned).collect()
    }

    /// Waits until so many reports are in the mailbox.
    #[track_caller]
    pub(super) fn wait_for_reports(&self, count: usize) -> Vec<Message> {
        let arrived = self.internet.inbox.wait_for(count);
        let waited = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, arrived).await });
        waited.unwrap_or_else(|_| {
            let there = self.internet.inbox.messages().len();
            panic!(
                "{there} reports instead of {count}; the log:\n{}",
                self.log()
            )
        })
    }

    /// The log of every daemon so far.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap()
    }

    /// Waits until a line with this is in the log.
    #[track_caller]
    pub(super) fn wait_for_log(&self, words: &str) {
        until(words, || self.log().contains(words).then_some(()));
    }
}

/// A child that is killed when the test ends before it.
pub(super) struct Waited(pub(super) Child);

impl Drop for Waited {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

/// A running daemon. Killed when dropped.
pub(super) struct Daemon {
    child: Child,
    systemd: UnixDatagram,
    log: PathBuf,
}

impl Daemon {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the daemon says this to systemd (sd_notify(3)).
    #[track_caller]
    pub(super) fn wait_until_told(&mut self, expected: &str) {
        self.systemd.set_read_timeout(Some(LOOK)).unwrap();
        let mut buffer = [0; 4_096];
        until(expected, || {
            let Ok(length) = self.systemd.recv(&mut buffer) else {
                if let Some(status) = self.child.try_wait().unwrap() {
                    let log = fs::read_to_string(&self.log).unwrap();
                    panic!("the daemon has ended, {status}:\n{log}");
                }
                return None;
            };
            let said = std::str::from_utf8(&buffer[..length]).unwrap();
            said.lines().any(|line| line == expected).then_some(())
        });
    }

    #[track_caller]
    fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("/bin/kill").args([name, &pid]).status();
        assert!(status.unwrap().success());
    }

    /// SIGHUP, and waits until the daemon has seen to it.
    #[track_caller]
    pub(super) fn reload(&mut self) {
        self.signal("-HUP");
        self.wait_until_told("READY=1");
    }

    /// SIGTERM; how it ended.
    #[track_caller]
    pub(super) fn stop(mut self) -> ExitStatus {
        self.signal("-TERM");
        self.wait_until_told("STOPPING=1");
        until("the daemon ends", || self.child.try_wait().unwrap())
    }

    /// SIGKILL.
    pub(super) fn kill(mut self) {
        end(&mut self.child);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _killed = child.kill().is_ok();
    let _waited = child.wait().is_ok();
}

/// The value of a field in an answer of the plugin socket.
pub(super) fn field<'a>(answer: &'a str, key: &str) -> &'a str {
    let fields = answer.split('\t');
    let found = fields
        .filter_map(|field| field.split_once('='))
        .find(|(name, _)| *name == key);
    found.map_or("", |(_, value)| value)
}

/// The level of an answer of the plugin socket.
pub(super) fn level(answer: &str) -> &str {
    answer.split('\t').next().unwrap_or_default()
}

/// Is this test run by root? Some trials need it.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
