//! The way out through a program, against programs that misbehave.

use std::{fs, path::PathBuf, time::Duration};

use rustix::process::{Pid, test_kill_process};
use sealpost::net::{
    handover::{Accepted, Channel, SendError},
    sendmail::SendmailTransport,
    smtp::{Envelope, Transport as _},
};
use tempfile::TempDir;

use crate::mta::{comes_true, stand_in_program::write_program};

const MESSAGE: &[u8] = b"Subject: x\r\n\r\n.\r\n..two\r\n.three\r\nfour.\r\n\r\nfive\r\n";

/// A program in a directory of its own, `$DIR` in its script.
struct StandIn {
    directory: TempDir,
}

impl StandIn {
    fn new(script: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let script = format!("DIR={}\n{script}", directory.path().display());
        write_program(&directory.path().join("sendmail"), &script);
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn wrote(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    async fn send_within(&self, seconds: u64, to: &str) -> Result<Accepted, SendError> {
        let transport = SendmailTransport::new(&self.path("sendmail"), seconds);
        let envelope = Envelope {
            from: "bounces@sender.test".to_owned(),
            to: to.to_owned(),
        };
        transport.send(&envelope, MESSAGE).await
    }

    async fn send(&self) -> Result<Accepted, SendError> {
        self.send_within(30, "r@a.test").await
    }
}

/// What waits for the program longer than its own time waits for ever.
async fn in_time<T>(sending: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, sending).await.unwrap()
}

#[tokio::test]
async fn the_program_gets_the_mail_the_envelope_and_nothing_of_ours() {
    let program = StandIn::new(
        "for each; do echo \"$each\"; done > $DIR/arguments\nenv > $DIR/environment\npwd > $DIR/pwd\n\
         ls -l /proc/$$/fd | cat > $DIR/files\ncat > $DIR/mail\necho queued as 7 >&2",
    );
    let _open = fs::File::create(program.path("ours.txt")).unwrap();
    let accepted = program.send_within(30, "-t@a.test").await.unwrap();
    assert_eq!(
        accepted,
        Accepted {
            by: program.path("sendmail").display().to_string(),
            reply: "queued as 7".to_owned(),
            channel: Channel::Program,
        }
    );
    assert_eq!(
        program.wrote("arguments"),
        "-i\n-oep\n-f\nbounces@sender.test\n--\n-t@a.test\n"
    );
    let local = String::from_utf8(MESSAGE.to_vec())
        .unwrap()
        .replace('\r', "");
    assert_eq!(program.wrote("mail"), local);
    assert_eq!(program.wrote("pwd"), "/\n");
    // What a shell sets by itself is not ours.
    let environment = program.wrote("environment");
    let names = environment.lines().filter_map(|line| line.split_once('='));
    let mut names: Vec<&str> = names
        .map(|(name, _)| name)
        .filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name))
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["LC_ALL", "PATH"], "{environment}");
    // What this very test was started with, if anything, may be open beside these: so each is looked at by its number.
    let files = program.wrote("files");
    for (number, leads_to) in [(0, "pipe:"), (1, "/dev/null"), (2, "pipe:")] {
        assert!(
            files.contains(&format!(" {number} -> {leads_to}")),
            "{files}"
        );
    }
    assert!(!files.contains("ours.txt"), "{files}");
}

#[tokio::test]
async fn f18_what_the_program_ends_with_is_what_becomes_of_the_attempt() {
    for (script, final_word, words) in [
        (
            "cat > /dev/null; echo no >&2; exit 75",
            false,
            "ended with 75 (EX_TEMPFAIL): no",
        ),
        (
            "cat > /dev/null; exit 67",
            true,
            "ended with 67 (EX_NOUSER) and said nothing",
        ),
        ("kill -9 $$", false, "was killed by signal 9"),
        // It does not read, and its pipe is not waited for.
        ("exit 78", false, "ended with 78 (EX_CONFIG)"),
    ] {
        let error = StandIn::new(script).send().await.unwrap_err();
        let is_final = matches!(error, SendError::Permanent { code: None, .. });
        assert_eq!(is_final, final_word, "{script}: {error:?}");
        assert!(error.to_string().contains(words), "{script}: {error}");
    }
    let large = vec![b'x'; 1 << 20];
    let program = StandIn::new("exit 0");
    let transport = SendmailTransport::new(&program.path("sendmail"), 30);
    let envelope = Envelope {
        from: "bounces@sender.test".to_owned(),
        to: "r@a.test".to_owned(),
    };
    let error = transport.send(&envelope, &large).await.unwrap_err();
    assert!(
        error.to_string().contains("before it had read all"),
        "{error}"
    );
}

#[tokio::test]
async fn a_program_that_is_not_there_or_no_program_is_tried_again_and_named() {
    let program = StandIn::new("");
    fs::write(program.path("plain"), "").unwrap();
    for name in ["none", "plain", "."] {
        let transport = SendmailTransport::new(&program.path(name), 30);
        let envelope = Envelope {
            from: "bounces@sender.test".to_owned(),
            to: "r@a.test".to_owned(),
        };
        let error = transport.send(&envelope, MESSAGE).await.unwrap_err();
        assert!(matches!(error, SendError::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains("cannot be started"), "{error}");
    }
}

#[tokio::test]
async fn g9_a_program_that_hangs_is_ended_with_all_that_it_started() {
    let program = StandIn::new(
        "echo $$ > $DIR/pids\n(echo the queue is stuck >&2; sleep 600) &\necho $! >> $DIR/pids\nwait",
    );
    let sending = program.send_within(1, "r@a.test");
    let error = in_time(sending).await.unwrap_err();
    assert!(matches!(error, SendError::Temporary { .. }), "{error:?}");
    for words in ["after 1 s", "may have taken", "the queue is stuck"] {
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    ends(&program);
}

#[tokio::test]
async fn g9_a_program_ends_with_an_attempt_that_nobody_waits_for_any_more() {
    let program = StandIn::new(
        "trap '' TERM\necho $$ > $DIR/new\nmv $DIR/new $DIR/pids\nwhile :; do sleep 1; done",
    );
    tokio::select! {
        outcome = program.send() => panic!("{outcome:?}"),
        () = async {
            while !program.path("pids").exists() {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    ends(&program);
    // Nothing is left of it for the system to remember, once another one has ended.
    StandIn::new("cat > /dev/null").send().await.unwrap();
    let pid = program.wrote("pids");
    let entry = format!("/proc/{}", pid.trim());
    assert!(!fs::exists(entry).unwrap(), "nobody has waited for {pid}");
}

/// Every process that the program has written down is gone, or waits to be.
fn ends(program: &StandIn) {
    for pid in program.wrote("pids").lines() {
        let is_there = || {
            let there = test_kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap()).is_ok();
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            there && !stat.contains(") Z ")
        };
        assert!(comes_true(|| !is_there()), "{pid} still runs");
    }
}

#[tokio::test]
async fn g9_a_flood_of_words_is_taken_and_forgotten() {
    let program =
        StandIn::new("head -c 20000000 /dev/zero | tr '\\0' x >&2\ncat > /dev/null\nexit 73");
    let error = program.send().await.unwrap_err();
    assert!(error.to_string().len() < 600, "{error}");
    assert!(
        error.to_string().contains("73 (EX_CANTCREAT): xxx"),
        "{error}"
    );
}

/// As Exim's, which delivers in the background and keeps standard error open meanwhile.
#[tokio::test]
async fn what_a_program_leaves_running_is_neither_waited_for_nor_killed() {
    let program = StandIn::new(
        "cat > /dev/null\n(until [ -e $DIR/go ]; do sleep 0.02; done; echo done > $DIR/new; mv $DIR/new $DIR/delivered) &\n\
         exit 0",
    );
    in_time(program.send()).await.unwrap();
    fs::write(program.path("go"), "").unwrap();
    assert!(
        comes_true(|| program.path("delivered").exists()),
        "it was killed"
    );
}
