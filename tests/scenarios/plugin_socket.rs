//! The plugin socket over a real unix socket, with a hook that answers by heart.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use sealpost::{
    clock::BoxFuture,
    config::PluginSocketConfig,
    doors::plugin_socket::{PluginSocket, PluginSocketError},
    hook::{Answer, Asker, AsyncHook, basis::DaneUse},
    net::unix_socket::SocketError,
    observe::Counters,
    record::told::Told,
};
use sealpost_plugin_api::{
    Level, Presented, Query, Requirement, ResultType, Session, Tlsa, Verified,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
    sync::{Semaphore, watch},
    task::JoinHandle,
};

/// Answers by the domain's first label; the reason is the domain.
#[derive(Debug)]
pub(super) struct FakeHook {
    pub(super) queries: Mutex<Vec<String>>,
    pub(super) sessions: Mutex<Vec<String>>,
    /// Domain, host, policy and certificates, as text.
    pub(super) presented: Mutex<Vec<String>>,
    /// One more for each question that has arrived.
    asked: Semaphore,
    /// Lets go of one question about `held.example`.
    release: Semaphore,
}

impl FakeHook {
    fn new() -> Self {
        Self {
            queries: Mutex::default(),
            sessions: Mutex::default(),
            presented: Mutex::default(),
            asked: Semaphore::new(0),
            release: Semaphore::new(0),
        }
    }
}

impl AsyncHook for FakeHook {
    fn policy<'a>(&'a self, query: Query<'a>) -> BoxFuture<'a, Arc<Answer>> {
        Box::pin(async move {
            let mut asked = format!("{} {:?} {:?}", query.domain, query.mx, query.deadline);
            if let Some(port) = query.port {
                asked.push_str(&format!(" port {port}"));
            }
            self.queries.lock().unwrap().push(asked);
            self.asked.add_permits(1);
            let level = match query.domain {
                "verify.example" => Level::Verify {
                    mx_patterns: vec!["mx1.example.org".to_owned(), "*.example.net".to_owned()],
                    name: query.mx.map(str::to_owned),
                },
                "dane.example" => Level::Dane {
                    tlsa: vec![Tlsa {
                        usage: 3,
                        selector: 1,
                        matching: 1,
                        data: vec![0xab; 32],
                    }],
                    name: query.mx.map(str::to_owned),
                    names: vec!["mx1.example.org".to_owned(), "example.org".to_owned()],
                },
                "refuse.example" => Level::RefuseMx,
                "defer.example" => Level::Defer,
                "held.example" => {
                    self.release.acquire().await.unwrap().forget();
                    Level::Encrypt
                }
                _ => Level::May,
            };
            let requirement = Requirement::new(level, query.domain);
            let requirement = match query.domain {
                "verify.example" => requirement.under_policy("5f0c"),
                "audit.example" => requirement.under_policy("aa").audited(),
                _ => requirement,
            };
            Arc::new(Answer::bare(requirement))
        })
    }

    fn policy_at_once(&self, _query: &Query<'_>, _dane: DaneUse) -> Option<Arc<Answer>> {
        None
    }

    fn answered(&self, _answer: &Arc<Answer>, _asker: Asker) {
        panic!("whoever speaks here tells of its sessions");
    }

    /// By the policy it was asked with.
    fn verify(&self, presented: &Presented<'_>) -> Verified {
        let chain = presented.chain_der.iter();
        let chain: Vec<_> = chain.map(|der| String::from_utf8_lossy(der)).collect();
        self.presented.lock().unwrap().push(format!(
            "{} {} {}: {}",
            presented.domain,
            presented.mx,
            presented.policy,
            chain.join(" ")
        ));
        match presented.policy {
            "good" => Verified::Passed("3 1 1".to_owned()),
            "bad" => Verified::Failed {
                result: ResultType::ValidationFailure,
                reason: "dane-no-match".to_owned(),
            },
            _ => Verified::Unknown("that answer is not remembered: ask about the host".to_owned()),
        }
    }

    fn session(&self, session: &Session<'_>) {
        self.sessions.lock().unwrap().push(format!("{session:?}"));
    }

    fn told(&self, _told: &Told, _sessions: u32) {
        panic!("no session is told so here");
    }
}

/// A door that is being served.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) hook: Arc<FakeHook>,
    pub(super) counters: Arc<Counters>,
    shutdown: watch::Sender<bool>,
    serving: JoinHandle<()>,
    config: PluginSocketConfig,
}

impl Door {
    pub(super) fn open(directory: &TempDir) -> Self {
        Self::with(PluginSocketConfig {
            path: directory.path().join("plugin.sock"),
            ..PluginSocketConfig::default()
        })
    }

    /// One that lets nobody in.
    pub(super) fn refusing(directory: &TempDir) -> Self {
        Self::with(PluginSocketConfig {
            path: directory.path().join("plugin.sock"),
            clients_max: 0,
            ..PluginSocketConfig::default()
        })
    }

    fn with(config: PluginSocketConfig) -> Self {
        let counters = Arc::new(Counters::default());
        let hook = Arc::new(FakeHook::new());
        let (shutdown, stop) = watch::channel(false);
        let socket = PluginSocket::bind(&config, Arc::clone(&counters)).unwrap();
        let serving = tokio::spawn(socket.serve(Arc::clone(&hook) as Arc<dyn AsyncHook>, stop));
        Self {
            hook,
            counters,
            shutdown,
            serving,
            config,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.config.path
    }

    async fn client(&self) -> Client {
        Client(BufReader::new(
            UnixStream::connect(self.path()).await.unwrap(),
        ))
    }

    /// As SIGTERM does; ends when the last client has its answers.
    pub(super) async fn stop(self) {
        self.shutdown.send(true).unwrap();
        self.serving.await.unwrap();
    }
}

struct Client(BufReader<UnixStream>);

impl Client {
    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next answer; empty at the end of the connection.
    async fn answer(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line
    }

    async fn rest(&mut self) -> String {
        let mut text = String::new();
        self.0.read_to_string(&mut text).await.unwrap();
        text
    }
}

fn pong() -> String {
    format!("PONG sealpost {}\n", env!("CARGO_PKG_VERSION"))
}

#[tokio::test]
async fn every_request_has_its_answer_and_bad_ones_do_not_end_the_connection() {
    let directory = TempDir::new().unwrap();
    let door = Door::open(&directory);
    let mut client = door.client().await;
    let pong = pong();
    let table = [
        ("PING", &*pong),
        (
            "POLICY\tplain.example",
            "may\taudit=no\treason=plain.example\n",
        ),
        (
            "POLICY\taudit.example",
            "may\tpolicy=aa\taudit=yes\treason=audit.example\n",
        ),
        (
            "POLICY\tverify.example\tdeadline-ms=700",
            "verify\tpolicy=5f0c\tmx=mx1.example.org,*.example.net\taudit=no\treason=verify.example\n",
        ),
        (
            "MX\tverify.example\tmx1.example.org",
            "verify\tpolicy=5f0c\tmx=mx1.example.org,*.example.net\tname=mx1.example.org\taudit=no\t\
             reason=verify.example\n",
        ),
        (
            "MX\trefuse.example\tmx9",
            "refuse\taudit=no\treason=refuse.example\n",
        ),
        (
            "POLICY\tdefer.example",
            "defer\taudit=no\treason=defer.example\n",
        ),
        ("SESSION\ta.example\toutcome=success", "OK\n"),
        (
            "SESSION\ta.example\tresult=made-up",
            "ERROR\tresult: not a result type of RFC 8460 s4.3\n",
        ),
        (
            "",
            "ERROR\trequest: not one of PING, POLICY, MX, VERIFY, SESSION, QUIT\n",
        ),
        ("POLICY", "ERROR\tdomain: missing\n"),
        ("PING\r", &*pong),
    ];
    for (request, expected) in table {
        client.send(&format!("{request}\n")).await;
        assert_eq!(client.answer().await, expected, "{request:?}");
    }
    assert_eq!(door.counters.plugin_lines_malformed.value(), 3);
    assert_eq!(
        *door.hook.queries.lock().unwrap(),
        [
            "plain.example None 20s",
            "audit.example None 20s",
            "verify.example None 700ms",
            "verify.example Some(\"mx1.example.org\") 20s",
            "refuse.example Some(\"mx9\") 20s",
            "defer.example None 20s",
        ]
    );
    assert_eq!(door.hook.sessions.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn c20_a_client_asks_about_a_host_with_tlsa_records_and_shows_its_chain() {
    let directory = TempDir::new().unwrap();
    let door = Door::open(&directory);
    let mut client = door.client().await;
    for (request, expected) in [
        (
            "MX\tdane.example\tmx1.example.org\tport=2525",
            "dane\ttlsa=3:1:1:abababababababababababababababababababababababababababababababab\t\
             name=mx1.example.org\tnames=mx1.example.org,example.org\taudit=no\t\
             reason=dane.example\n",
        ),
        (
            "VERIFY\tdane.example\tmx1.example.org\tpolicy=good\tcert=YQ==\tcert=Yg==",
            "passed\treason=3 1 1\n",
        ),
        (
            "VERIFY\tdane.example\tmx1.example.org\tpolicy=bad\tcert=YQ==",
            "failed\tresult=validation-failure\treason=dane-no-match\n",
        ),
        (
            "VERIFY\tdane.example\tmx1.example.org",
            "unknown\treason=that answer is not remembered: ask about the host\n",
        ),
    ] {
        client.send(&format!("{request}\n")).await;
        assert_eq!(client.answer().await, expected, "{request:?}");
    }
    assert_eq!(
        *door.hook.queries.lock().unwrap(),
        ["dane.example Some(\"mx1.example.org\") 20s port 2525"]
    );
    assert_eq!(
        *door.hook.presented.lock().unwrap(),
        [
            "dane.example mx1.example.org good: a b",
            "dane.example mx1.example.org bad: a",
            "dane.example mx1.example.org : ",
        ]
    );
    assert_eq!(door.counters.plugin_lines_malformed.value(), 0);
}

/// A chain as large as those of real mail hosts, in one line.
#[tokio::test]
async fn c20_five_certificates_of_2500_octets_fit_into_a_line() {
    let directory = TempDir::new().unwrap();
    let door = Door::open(&directory);
    let mut client = door.client().await;
    let certificate = "QUFB".repeat(834);
    let chain = format!("\tcert={certificate}").repeat(5);
    let question = "VERIFY\tdane.example\tmx1.example.org\tpolicy=good";
    client.send(&format!("{question}{chain}\n")).await;
    assert_eq!(client.answer().await, "passed\treason=3 1 1\n");
    let presented = door.hook.presented.lock().unwrap().remove(0);
    let certificate = "A".repeat(2_502);
    assert!(presented.ends_with(&vec![certificate; 5].join(" ")));
}

#[tokio::test]
async fn requests_may_arrive_in_pieces_and_several_at_once() {
    let directory = TempDir::new().unwrap();
    let door = Door::open(&directory);
    let mut client = door.client().await;
    for byte in "POLICY\ta.example\nPING\n".chars() {
        client.send(&byte.to_string()).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.answer().await, "may\taudit=no\treason=a.example\n");
    assert_eq!(client.answer().await, pong());

    let many: String = (0..500).map(|n| format!("POLICY\t{n}.example\n")).collect();
    client.send(&many).await;
    for n in 0..500 {
        let expected = format!("may\taudit=no\treason={n}.example\n");
        assert_eq!(client.answer().await, expected);
    }
}

#[tokio::test]
async fn a_line_of_64_kib_is_taken_and_a_longer_one_is_skipped() {
    let directory = TempDir::new().unwrap();
    let door = Door::open(&directory);
    let mut client = door.client().await;
    let head = "SESSION\ta.example\terror=";
    let longest = format!("{head}{}", "x".repeat(65_536 - head.len()));
    client.send(&format!("{longest}\n{longest}x\nPING\n")).await;
    assert_eq!(client.answer().await, "OK\n");
    assert_eq!(
        client.answer().await,
        "ERROR\tline: longer than 65536 bytes\n"
    );
    assert_eq!(client.answer().await, pong());
    client.send(&"x".repeat(1_000_000)).await;
    client.send("\nPING\n").await;
    assert_eq!(
        client.answer().await,
        "ERROR\tline: longer than 65536 bytes\n"
    );
    assert_eq!(client.answer().await, pong());
    assert_eq!(door.counters.plugin_lines_malformed.value(), 2);
}

#[tokio::test]
async fn a_client_that_shuts_down_its_side_gets_all_answers_and_the_end() {
    let directory = TempDir::new().unwrap();
    let door = Door::open(&directory);
    let mut client = door.client().await;
    // As Exim does; the last line without its end.
    client.send("PING\nPOLICY\ta.example").await;
    client.0.shutdown().await.unwrap();
    let expected = format!("{}may\taudit=no\treason=a.example\n", pong());
    assert_eq!(client.rest().await, expected);

    // And as Exim does with shutdown=no.
    let mut client = door.client().await;
    client.send("POLICY\ta.example\nQUIT\nPING\n").await;
    assert_eq!(
        client.rest_before_reset().await,
        "may\taudit=no\treason=a.example\n"
    );
}

impl Client {
    /// What arrives before the end, however the end comes: the door does not read past QUIT.
    async fn rest_before_reset(&mut self) -> String {
        let mut text = Vec::new();
        drop(self.0.read_to_end(&mut text).await);
        String::from_utf8(text).unwrap()
    }
}

#[tokio::test]
async fn clients_past_the_limit_are_told_and_counted() {
    let directory = TempDir::new().unwrap();
    let door = Door::with(PluginSocketConfig {
        path: directory.path().join("plugin.sock"),
        clients_max: 1,
        ..PluginSocketConfig::default()
    });
    let mut first = door.client().await;
    first.send("PING\n").await;
    assert_eq!(first.answer().await, pong());
    let mut second = door.client().await;
    assert_eq!(second.rest().await, "ERROR\tclient: too many clients\n");
    assert_eq!(door.counters.plugin_clients_refused.value(), 1);
    first.send("PING\n").await;
    assert_eq!(first.answer().await, pong());
    // When the first has left there is room again.
    drop(first);
    loop {
        let mut next = door.client().await;
        drop(next.0.write_all(b"PING\n").await);
        if next.rest_of_one_line().await == pong() {
            break;
        }
    }
}

impl Client {
    async fn rest_of_one_line(&mut self) -> String {
        let mut line = String::new();
        drop(self.0.read_line(&mut line).await);
        line
    }
}

#[tokio::test]
async fn an_idle_client_is_let_go() {
    let directory = TempDir::new().unwrap();
    let door = Door::with(PluginSocketConfig {
        path: directory.path().join("plugin.sock"),
        idle_seconds: 0,
        ..PluginSocketConfig::default()
    });
    let mut client = door.client().await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn only_allowed_users_may_speak() {
    let directory = TempDir::new().unwrap();
    let own = rustix::process::getuid().as_raw();
    let door = |allow_uids: Vec<u32>| {
        Door::with(PluginSocketConfig {
            path: directory.path().join(format!("{}.sock", allow_uids.len())),
            allow_uids,
            ..PluginSocketConfig::default()
        })
    };
    let closed = door(vec![own + 1]);
    let mut client = closed.client().await;
    let expected = format!("ERROR\tclient: user id {own} may not speak here\n");
    assert_eq!(client.rest().await, expected);
    assert_eq!(closed.counters.plugin_clients_refused.value(), 1);
    let open = door(vec![own + 1, own]);
    let mut client = open.client().await;
    client.send("PING\n").await;
    assert_eq!(client.answer().await, pong());
}

#[tokio::test]
async fn at_shutdown_what_was_received_is_answered() {
    let directory = TempDir::new().unwrap();
    let door = Door::open(&directory);
    let path = door.path().to_owned();
    let mut idle = door.client().await;
    idle.send("PING\n").await;
    assert_eq!(idle.answer().await, pong());
    // Let in, for whoever came behind it is asked of.
    let mut new = door.client().await;
    let mut busy = door.client().await;
    busy.send("POLICY\theld.example\nPING\nPOLICY\ta.example\nPI")
        .await;
    door.hook.asked.acquire().await.unwrap().forget();

    let hook = Arc::clone(&door.hook);
    let stopping = tokio::spawn(door.stop());
    assert_eq!(idle.rest().await, "");
    new.send("PING\n").await;
    assert_eq!(new.rest().await, pong());
    hook.release.add_permits(1);
    let expected = format!(
        "encrypt\taudit=no\treason=held.example\n{}may\taudit=no\treason=a.example\n",
        pong()
    );
    assert_eq!(busy.rest().await, expected);
    stopping.await.unwrap();
    assert!(!path.exists());
    assert!(UnixStream::connect(&path).await.is_err());
}

#[tokio::test]
async fn a_client_that_leaves_while_its_question_is_open_disturbs_nobody() {
    let directory = TempDir::new().unwrap();
    let door = Door::open(&directory);
    let mut leaving = door.client().await;
    leaving.send("POLICY\theld.example\nPING\n").await;
    door.hook.asked.acquire().await.unwrap().forget();
    drop(leaving);
    door.hook.release.add_permits(1);
    let mut client = door.client().await;
    client.send("PING\n").await;
    assert_eq!(client.answer().await, pong());
}

fn config(path: PathBuf, mode: &str) -> PluginSocketConfig {
    PluginSocketConfig {
        path,
        mode: mode.to_owned(),
        ..PluginSocketConfig::default()
    }
}

fn bind(config: &PluginSocketConfig) -> Result<PluginSocket, PluginSocketError> {
    PluginSocket::bind(config, Arc::default())
}

#[tokio::test]
async fn the_socket_has_its_mode_and_leaves_with_the_door() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("s");
    for (mode, expected) in [("0660", 0o660), ("600", 0o600), ("0777", 0o777)] {
        let socket = bind(&config(path.clone(), mode)).unwrap();
        let seen = std::fs::symlink_metadata(&path)
            .unwrap()
            .permissions()
            .mode()
            & 0o777;
        assert_eq!(seen, expected, "{mode}");
        drop(socket);
        assert!(!path.exists(), "{mode}");
    }
    // A file that another daemon has put there meanwhile stays.
    let socket = bind(&config(path.clone(), "0660")).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "another's").unwrap();
    drop(socket);
    assert!(path.exists());
}

#[tokio::test]
async fn a_path_that_is_taken_is_left_alone_unless_nobody_listens() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("s");
    // As a killed daemon leaves it.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let socket = bind(&config(path.clone(), "0660")).unwrap();
    let error = bind(&config(path.clone(), "0660")).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "plugin_socket.path: another process listens on {}",
            path.display()
        )
    );
    drop(socket);

    std::fs::write(&path, "precious").unwrap();
    let error = bind(&config(path.clone(), "0660")).unwrap_err();
    assert!(
        matches!(error, PluginSocketError::Socket(SocketError::NotASocket(_))),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");

    // A directory that is missing is made; one that cannot be is named.
    let made = directory.path().join("made/s");
    drop(bind(&config(made.clone(), "0660")).unwrap());
    assert!(made.parent().unwrap().is_dir());
    let beneath_a_file = path.join("s");
    let error = bind(&config(beneath_a_file, "0660")).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "plugin_socket.path: cannot make the directory {}: File exists (os error 17)",
            path.display()
        )
    );
    for mode in ["rw", "0888", "01777", "", "-1"] {
        let error = bind(&config(directory.path().join("m"), mode)).unwrap_err();
        assert!(
            matches!(error, PluginSocketError::Mode(_)),
            "{mode}: {error}"
        );
    }
    let long = directory.path().join("x".repeat(120));
    let error = bind(&config(long, "0660")).unwrap_err();
    assert!(error.to_string().contains("cannot use the path"), "{error}");
}

#[tokio::test]
async fn a_question_is_granted_no_more_than_the_operator_allows() {
    let directory = TempDir::new().unwrap();
    let door = Door::with(PluginSocketConfig {
        path: directory.path().join("plugin.sock"),
        deadline_ms: 1_500,
        ..PluginSocketConfig::default()
    });
    let mut client = door.client().await;
    client
        .send("POLICY\ta\tdeadline-ms=99999\nPOLICY\tb\n")
        .await;
    client.answer().await;
    client.answer().await;
    let expected = Duration::from_millis(1_500);
    assert_eq!(
        *door.hook.queries.lock().unwrap(),
        [
            format!("a None {expected:?}"),
            format!("b None {expected:?}")
        ]
    );
}
