//! `libsealpost.so`, loaded by C programs, against a real plugin socket.
//!
//! The library is built once by cargo, the hosts by `cc`. `plugin-api/capi/tests/driver.c` takes its
//! steps from the command line and waits where it is told to, while the test changes the world.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use tempfile::TempDir;

use super::plugin_socket::Door;

const CAPI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/plugin-api/capi");

/// `libsealpost.so` of the profile and the target folder that this test was built into.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let profile_directory = test.parent().and_then(Path::parent).unwrap();
        let profile = match profile_directory.file_name().and_then(|name| name.to_str()) {
            Some("debug") => "dev",
            Some(profile) => profile,
            None => panic!("{} is not in a target folder", test.display()),
        };
        let status = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--package",
                "sealpost-capi",
                "--profile",
                profile,
            ])
            .arg("--target-dir")
            .arg(profile_directory.parent().unwrap())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(status.success(), "libsealpost.so was not built");
        profile_directory.join("libsealpost.so")
    })
}

/// Compiles a C host once.
fn host(source: &str, place: &OnceLock<(TempDir, PathBuf)>) -> PathBuf {
    let (_, program) = place.get_or_init(|| {
        let directory = TempDir::new().unwrap();
        let program = directory.path().join("host");
        let status = Command::new("cc")
            .args(["-std=gnu11", "-g", "-Wall", "-Wextra", "-Werror", "-I"])
            .arg(format!("{CAPI}/include"))
            .arg(format!("{CAPI}/{source}"))
            .arg("-o")
            .arg(&program)
            .args(["-ldl", "-pthread"])
            .status()
            .expect("this test needs a C compiler as cc");
        assert!(status.success(), "{source} does not compile");
        (directory, program)
    });
    program.clone()
}

fn driver() -> PathBuf {
    static PLACE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    host("tests/driver.c", &PLACE)
}

/// A driver under way.
struct Driver {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Driver {
    fn start(config: &str, steps: &[&str]) -> Self {
        let mut command = Command::new(driver());
        command.arg(library()).arg(config).args(steps);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// Everything up to the next `wait`, or to the end.
    async fn lines(self) -> (Self, Vec<String>) {
        tokio::task::spawn_blocking(|| {
            let mut driver = self;
            let mut lines = Vec::new();
            loop {
                let mut line = String::new();
                driver.output.read_line(&mut line).unwrap();
                match line.trim_end() {
                    "" | "waiting" => return (driver, lines),
                    line => lines.push(line.to_owned()),
                }
            }
        })
        .await
        .unwrap()
    }

    fn go_on(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// The rest; it must have ended by itself, by no signal and no error.
    async fn finish(self) -> Vec<String> {
        let (mut driver, mut lines) = self.lines().await;
        let status = driver.child.wait().unwrap();
        assert!(status.success(), "{status}, after {lines:?}");
        assert_eq!(lines.pop().as_deref(), Some("closed"));
        lines
    }
}

fn config(door: &Door) -> String {
    format!(
        "socket={};deadline-ms=60000;session-deadline-ms=60000",
        door.path().display()
    )
}

fn answered(domain: &str, level: u32) -> String {
    format!("policy {domain} code=0 level={level} by=0 audit=0 policy= name= reason={domain}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_c_host_asks_and_tells() {
    let directory = TempDir::new().unwrap();
    let door = Door::open(&directory);
    let driver = Driver::start(
        &config(&door),
        &[
            "ask:plain.example",
            "ask:audit.example",
            "mx:verify.example",
            "ask:dane.example",
            "mx:refuse.example",
            "ask:defer.example",
            "tell:a.example",
            "facts:b.example",
        ],
    );
    assert_eq!(
        driver.finish().await,
        [
            &*answered("plain.example", 0),
            "policy audit.example code=0 level=0 by=0 audit=1 policy=aa name= reason=audit.example",
            "policy verify.example code=0 level=2 by=0 audit=0 policy=5f0c name=mx1.example.org \
             mx=mx1.example.org mx=*.example.net reason=verify.example",
            "policy dane.example code=0 level=3 by=0 audit=0 policy= name= tlsa=3:1:1:32 \
names=mx1.example.org \
             names=example.org reason=dane.example",
            &*answered("refuse.example", 4),
            &*answered("defer.example", 5),
            "session a.example code=0",
            "facts b.example code=0",
        ]
    );
    assert_eq!(
        *door.hook.sessions.lock().unwrap(),
        [
            "Session { domain: \"a.example\", policy: None, mx: None, mx_helo: None, \
             receiving_ip: None, sending_ip: None, at_unix_seconds: None, outcome: Success }",
            "Session { domain: \"b.example\", policy: Some(\"5f0c\"), mx: Some(\"mx1.example.org\"), \
             mx_helo: Some(\"mx one\"), receiving_ip: Some(192.0.2.25), \
             sending_ip: Some(2001:db8::25), at_unix_seconds: Some(1790000000), \
             outcome: Facts(Facts { starttls: Established, verification: Failed, \
             dane: Unknown, leaf_der: Some([48, 130, 0, 255]), chain_der: None, error: Some(\"it failed \\\\\") }) }",
        ]
    );
    assert_eq!(door.counters.plugin_lines_malformed.value(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn c20_a_c_host_has_a_chain_judged_and_tells_of_it() {
    let directory = TempDir::new().unwrap();
    let door = Door::open(&directory);
    let steps = [
        "verify:good",
        "verify:bad",
        "verify:forgotten",
        "chain:dane.example",
        "as-1.0",
    ];
    assert_eq!(
        Driver::start(&config(&door), &steps).finish().await,
        [
            "verify good code=0 verdict=1 result=0 reason=3 1 1",
            // The host's buffer has 32 bytes.
            "verify bad code=0 verdict=2 result=5 reason=dane-no-match",
            "verify forgotten code=0 verdict=0 result=0 reason=that answer is not remembered:",
            "chain dane.example code=0",
            "no chain dane.example code=0",
            "1.0 policy code=0 level=3 tlsa=1 behind=77 size=0",
            "1.0 session code=0",
        ]
    );
    let shown = "dane.example mx1.example.org";
    let chain = "leaf further root";
    assert_eq!(
        *door.hook.presented.lock().unwrap(),
        ["good", "bad", "forgotten"].map(|policy| format!("{shown} {policy}: {chain}"))
    );
    let sessions = door.hook.sessions.lock().unwrap();
    let leaf = "[108, 101, 97, 102]";
    let facts = [
        "starttls: Established, verification: Unknown, dane: Passed, leaf_der: Some(LEAF), \
         chain_der: Some([[102, 117, 114, 116, 104, 101, 114], [114, 111, 111, 116]])",
        "starttls: Established, verification: Unknown, dane: Passed, leaf_der: Some(LEAF), \
         chain_der: Some([])",
        "starttls: Unknown, verification: Unknown, dane: Unknown, leaf_der: Some(LEAF), \
         chain_der: None",
    ];
    assert_eq!(sessions.len(), facts.len());
    for (session, facts) in sessions.iter().zip(facts) {
        let facts = facts.replace("LEAF", leaf);
        assert!(session.contains(&facts), "{session}");
    }
    assert_eq!(door.counters.plugin_lines_malformed.value(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_host_works_as_its_text_says() {
    let directory = TempDir::new().unwrap();
    let door = Door::open(&directory);
    let output = example(config(&door), "verify.example").await;
    let patterns =
        "  an MX host must match mx1.example.org\n  an MX host must match *.example.net\n";
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!(
            "verify.example: verify, because: verify.example\n{patterns}\
             verify.example through mx1.example.org: verify, because: verify.example\n{patterns}\
             session told: code 0\n"
        )
    );
    assert!(output.status.success());
    assert_eq!(door.hook.sessions.lock().unwrap().len(), 1);
}

/// Runs `examples/host.c` for a domain.
async fn example(config: String, domain: &'static str) -> std::process::Output {
    static PLACE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    tokio::task::spawn_blocking(move || {
        Command::new(host("examples/host.c", &PLACE))
            .arg(library())
            .arg(config)
            .args([domain, "mx1.example.org"])
            .output()
            .unwrap()
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn c20_the_example_host_delivers_by_dane_only_what_passed() {
    let directory = TempDir::new().unwrap();
    let door = Door::open(&directory);
    let output = example(config(&door), "dane.example").await;
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "dane.example: dane, because: dane.example\n\
         dane.example through mx1.example.org: dane, because: dane.example\n  \
         DANE: not passed, because: that answer is not remembered: ask about the host\n  \
         nothing is delivered through mx1.example.org\n\
         session told: code 0\n"
    );
    assert!(output.status.success());
    let told = door.hook.sessions.lock().unwrap().join("");
    assert!(told.contains("dane: Unknown"), "{told}");
    assert!(told.contains("chain_der: Some([])"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_gets_wrong_has_a_code_and_touches_nothing() {
    let lines = Driver::start("socket=/nowhere", &["misuse"]).finish().await;
    assert!(lines.len() > 30, "{lines:?}");
    let wrong: Vec<&String> = lines
        .iter()
        .filter(|line| !line.starts_with("ok "))
        .collect();
    assert_eq!(wrong, Vec::<&String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn parent_and_child_both_ask_after_a_fork() {
    let directory = TempDir::new().unwrap();
    let door = Door::open(&directory);
    for (step, told) in [("fork", &[][..]), ("forked", &["ok forked: 0"])] {
        // The connection is open when the process forks.
        let lines = Driver::start(&config(&door), &["ask:a.example", step, "ask:b.example"]);
        let mut expected = vec![answered("a.example", 0)];
        expected.extend(told.iter().map(|line| (*line).to_owned()));
        expected.push("child ok".to_owned());
        expected.push("parent ok, child ended with 0".to_owned());
        expected.push(answered("b.example", 0));
        assert_eq!(lines.finish().await, expected, "{step}");
    }
    assert_eq!(door.hook.queries.lock().unwrap().len(), 2 * (2 + 400));
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_may_share_a_plugin() {
    let directory = TempDir::new().unwrap();
    let door = Door::open(&directory);
    let lines = Driver::start(&config(&door), &["threads"]).finish().await;
    assert_eq!(lines, ["thread ok"; 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_closed_our_descriptor_harms_nobody_else() {
    let directory = TempDir::new().unwrap();
    let door = Door::open(&directory);
    let lines = Driver::start(&config(&door), &["ask:a.example", "close-all"]);
    assert_eq!(
        lines.finish().await,
        [
            &*answered("a.example", 0),
            &*answered("after.example", 0),
            "ok descriptors of others harmed: 0",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_comes_and_goes_is_found_again() {
    let directory = TempDir::new().unwrap();
    let door = Door::open(&directory);
    let config = config(&door);
    let driver = Driver::start(
        &config,
        &[
            "ask:one.example",
            "wait",
            "ask:two.example",
            "tell:two.example",
            "wait",
            "ask:three.example",
            "wait",
            "tell:four.example",
            "ask:four.example",
        ],
    );
    let (mut driver, lines) = driver.lines().await;
    assert_eq!(lines, [answered("one.example", 0)]);

    // It goes: the host writes to a closed connection, with a deadly SIGPIPE.
    door.stop().await;
    driver.go_on();
    let (mut driver, lines) = driver.lines().await;
    let socket = directory.path().join("plugin.sock");
    let down = format!(
        "policy two.example code=0 level=5 by=1 audit=0 policy= name= \
         reason=cannot reach Sealpost at {}: No such file or directory (os error 2)",
        socket.display()
    );
    assert_eq!(lines, [&*down, "session two.example code=6"]);

    // It comes back.
    let door = Door::open(&directory);
    driver.go_on();
    let (mut driver, lines) = driver.lines().await;
    assert_eq!(lines, [answered("three.example", 0)]);

    // It is started anew between two calls: the session is told, and once.
    door.stop().await;
    let door = Door::open(&directory);
    driver.go_on();
    let lines = driver.finish().await;
    assert_eq!(
        lines,
        ["session four.example code=0", &*answered("four.example", 0)]
    );
    assert_eq!(door.hook.sessions.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_refuses_the_client_is_one_that_cannot_be_asked() {
    let directory = TempDir::new().unwrap();
    let door = Door::refusing(&directory);
    let steps = ["ask:a.example", "tell:a.example"];
    let lines = Driver::start(&config(&door), &steps).finish().await;
    assert_eq!(
        lines,
        [
            "policy a.example code=0 level=5 by=1 audit=0 policy= name= \
             reason=Sealpost did not take the question: client: too many clients",
            "session a.example code=6",
        ]
    );
}

/// A daemon that hangs: nobody accepts, or nobody can even connect.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_daemon_holds_a_host_up_no_longer_than_the_deadline() {
    let directory = TempDir::new().unwrap();
    let silent = directory.path().join("silent");
    let _silent = UnixListener::bind(&silent).unwrap();
    let full = directory.path().join("full");
    let _full = full_listener(&full);
    for socket in [&silent, &full] {
        for (unreachable, level) in [("defer", 5), ("may", 0)] {
            let config = format!(
                "socket={};deadline-ms=150;session-deadline-ms=50;unreachable={unreachable}",
                socket.display()
            );
            let lines = Driver::start(&config, &["ask:a.example", "tell:a.example"]);
            let lines = tokio::time::timeout(Duration::from_secs(60), lines.finish())
                .await
                .expect("the driver hangs");
            let expected = format!(
                "policy a.example code=0 level={level} by=1 audit=0 policy= name= \
                 reason=Sealpost at {} did not answer in time",
                socket.display()
            );
            assert_eq!(lines, [&*expected, "session a.example code=6"]);
        }
    }
}

/// A socket whose queue of clients is full.
fn full_listener(path: &Path) -> (rustix::fd::OwnedFd, Vec<std::os::unix::net::UnixStream>) {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    let address = SocketAddrUnix::new(path).unwrap();
    rustix::net::bind(&socket, &address).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    (
        socket,
        vec![std::os::unix::net::UnixStream::connect(path).unwrap()],
    )
}

/// Memory errors and leaks, where valgrind is installed.
#[tokio::test(flavor = "multi_thread")]
async fn valgrind_finds_nothing() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let door = Door::open(&directory);
    let mut command = Command::new("valgrind");
    command
        .args(["--quiet", "--leak-check=full", "--error-exitcode=99"])
        .arg(driver())
        .arg(library())
        .arg(config(&door))
        .args([
            "misuse",
            "mx:verify.example",
            "ask:dane.example",
            "facts:a.example",
            "chain:a.example",
            "verify:good",
            "as-1.0",
            "fork",
        ]);
    let lines = Driver::spawn(command).finish().await;
    assert!(
        lines.iter().all(|line| !line.contains("WRONG")),
        "{lines:?}"
    );
    assert_eq!(door.hook.sessions.lock().unwrap().len(), 4);
}
