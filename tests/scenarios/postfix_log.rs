//! The log door on real files: a log that grows, is turned, is cut short, or is not there.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sealpost::{
    clock::{BoxFuture, SystemClock},
    config::{PostfixLogConfig, PostfixLogTake},
    doors::{postfix_log::PostfixLog, postfix_log_told::Checks},
    hook::{Answer, Asker, AsyncHook, basis::DaneUse},
    observe::Counters,
    record::told::Told,
};
use sealpost_plugin_api::{Query, Session};
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

/// Hands the domains of the sessions on.
struct Domains(mpsc::UnboundedSender<String>);

impl AsyncHook for Domains {
    fn policy<'a>(&'a self, _query: Query<'a>) -> BoxFuture<'a, Arc<Answer>> {
        unreachable!("a log asks nothing")
    }

    fn policy_at_once(&self, _query: &Query<'_>, _dane: DaneUse) -> Option<Arc<Answer>> {
        None
    }

    fn answered(&self, _answer: &Arc<Answer>, _asker: Asker) {}

    fn session(&self, session: &Session<'_>) {
        self.0.send(session.domain.to_owned()).unwrap();
    }

    fn told(&self, _told: &Told, _sessions: u32) {}
}

struct Followed {
    path: PathBuf,
    _folder: TempDir,
    domains: mpsc::UnboundedReceiver<String>,
    counters: Arc<Counters>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Followed {
    /// Follows a log before which this was done to its path.
    fn after(prepared: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mail.log");
        prepared(&path);
        let (sender, domains) = mpsc::unbounded_channel();
        let config = PostfixLogConfig {
            path: path.clone(),
            take: PostfixLogTake::All,
        };
        let counters = Arc::new(Counters::default());
        let log = PostfixLog::new(
            &config,
            Some("reports@example.net"),
            Checks::OurLook,
            Arc::new(Domains(sender)),
            Arc::clone(&counters),
            Arc::new(SystemClock),
        );
        let (stop, stopping) = watch::channel(false);
        Self {
            path,
            _folder: folder,
            domains,
            counters,
            stop,
            task: tokio::spawn(log.follow(stopping)),
        }
    }

    fn append(&self, text: &str) {
        append(&self.path, text);
    }

    /// The domains of the next sessions, in this order.
    async fn tells(&mut self, expected: &[&str]) {
        for domain in expected {
            let told = timeout(Duration::from_secs(20), self.domains.recv()).await;
            assert_eq!(told.unwrap().as_deref(), Some(*domain));
        }
    }

    /// Stops it; nothing more was told.
    async fn ends(mut self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
        assert_eq!(self.domains.recv().await, None);
    }
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The two lines of a session with a domain's mail host.
fn session(domain: &str) -> String {
    up(domain) + &delivered(domain)
}

fn up(domain: &str) -> String {
    format!(
        "Nov 24 12:00:00 host postfix/smtp[5]: Verified TLS connection established to \
         mx.{domain}[192.0.2.1]:25: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\n"
    )
}

fn delivered(domain: &str) -> String {
    format!(
        "Nov 24 12:00:00 host postfix/smtp[5]: AAAA01: to=<a@{domain}>, \
         relay=mx.{domain}[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)\n"
    )
}

#[tokio::test]
async fn what_was_there_is_not_counted_and_what_comes_is() {
    // A delivery is under way when we start, and so is a report of ours.
    let report = "Nov 24 12:00:00 host postfix/qmgr[9]: BBBB01: from=<reports@example.net>, size=1, \
                  nrcpt=1 (queue active)\n";
    let held = session("old.example") + report + &up("under-way.example");
    let mut log = Followed::after(|path| append(path, &held));
    log.append(&delivered("under-way.example"));
    log.tells(&["under-way.example"]).await;
    log.append(&session("reported.example").replace("AAAA01", "BBBB01"));
    // A line may come in pieces.
    let whole = session("new.example");
    let (first, rest) = whole.split_at(whole.len() - 30);
    log.append(first);
    log.append(rest);
    log.tells(&["new.example"]).await;
    log.append(&"x".repeat(40_000));
    log.append("\n");
    log.append(&session("after.example"));
    log.tells(&["after.example"]).await;
    assert_eq!(log.counters.postfix_log_lines_too_long.value(), 1);
    // What is there when it is told to stop is read.
    log.append(&session("last.example"));
    log.stop.send_replace(true);
    log.tells(&["last.example"]).await;
    log.ends().await;
}

#[tokio::test]
async fn a_log_is_waited_for_turned_and_cut_short() {
    let mut log = Followed::after(|_path| {});
    log.append(&session("first.example"));
    log.tells(&["first.example"]).await;

    // Renamed, and written to for a while under its new name, after it was made anew.
    let turned = log.path.with_extension("log.1");
    log.append(&up("between.example"));
    fs::rename(&log.path, &turned).unwrap();
    fs::write(&log.path, "").unwrap();
    append(&turned, &delivered("between.example"));
    log.tells(&["between.example"]).await;
    append(&turned, &session("late.example"));
    log.append(&session("anew.example"));
    log.tells(&["late.example", "anew.example"]).await;
    append(&turned, &session("too-late.example"));

    // Copied and cut short.
    log.append(&session("before-the-cut.example"));
    log.tells(&["before-the-cut.example"]).await;
    fs::write(&log.path, "").unwrap();
    log.append(&session("after-the-cut.example"));
    log.tells(&["after-the-cut.example"]).await;

    // Taken away.
    fs::remove_file(&log.path).unwrap();
    log.append(&session("back.example"));
    log.tells(&["back.example"]).await;
    log.ends().await;
}

#[tokio::test]
async fn a_path_that_is_no_file_is_no_end() {
    let mut log = Followed::after(|path| fs::create_dir(path).unwrap());
    fs::remove_dir(&log.path).unwrap();
    log.append(&session("example.org"));
    log.tells(&["example.org"]).await;
    log.ends().await;
}
