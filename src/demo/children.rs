//! This very program, as the daemon and as the commands an operator types.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    net::UnixDatagram,
    process::{Child, Command},
    time::timeout,
};

use super::{DemoError, file_error, folder::Folder};
use crate::clock::UtcDay;

/// How long the daemon may take to start, and to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// The daemon. It is killed when this is dropped before it is stopped.
pub(super) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `sealpost serve` and waits until it says that it is ready, as systemd does.
    pub(super) async fn start(program: &Path, folder: &Folder) -> Result<Self, DemoError> {
        let notify = folder.notify_socket();
        let ready = UnixDatagram::bind(&notify).map_err(|error| file_error(&notify, &error))?;
        let log = folder.daemon_log();
        let log_file = fs::File::create(&log).map_err(|error| file_error(&log, &error))?;
        let log_again = log_file
            .try_clone()
            .map_err(|error| file_error(&log, &error))?;
        let child = Command::new(program)
            .arg("serve")
            .arg("--config")
            .arg(folder.config())
            .arg("--laboratory-clock")
            .arg(folder.clock_offset())
            .env("NOTIFY_SOCKET", &notify)
            .stdin(Stdio::null())
            .stdout(log_again)
            .stderr(log_file)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| file_error(program, &error))?;
        let mut daemon = Self { child, log };
        let started = tokio::select! {
            heard = timeout(PATIENCE, wait_until_ready(&ready)) => match heard {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("was not ready within {} s", PATIENCE.as_secs())),
            },
            ended = daemon.child.wait() => Err(ending(ended)),
        };
        started.map_err(|reason| daemon.trouble(reason))?;
        Ok(daemon)
    }

    /// SIGTERM, as systemd stops it: it writes what is in memory and ends.
    pub(super) async fn stop(mut self) -> Result<(), DemoError> {
        // Without a process id it has ended already, and that is found out below.
        let pid = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(id.try_into().ok()?));
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM).map_err(|error| self.trouble(error.to_string()))?;
        }
        match timeout(PATIENCE, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(ended) => Err(self.trouble(ending(ended))),
            Err(_) => Err(self.trouble("does not stop".to_owned())),
        }
    }

    fn trouble(&self, reason: String) -> DemoError {
        DemoError::Daemon {
            reason,
            log: self.log.clone(),
        }
    }
}

/// sd_notify(3): a datagram of lines, one of which is `READY=1`.
async fn wait_until_ready(socket: &UnixDatagram) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let said = buffer.get(..length).unwrap_or_default();
        if said
            .split(|octet| *octet == b'\n')
            .any(|line| line == b"READY=1")
        {
            return Ok(());
        }
    }
}

fn ending(ended: io::Result<ExitStatus>) -> String {
    match ended {
        Ok(status) => format!("has ended ({status})"),
        Err(error) => format!("is lost: {error}"),
    }
}

/// The commands that ask the daemon.
pub(super) struct Commands {
    program: PathBuf,
    config: PathBuf,
}

/// What came of a command.
pub(super) struct Done {
    status: ExitStatus,
    stdout: Vec<u8>,
}

impl Done {
    /// How it ended, in words.
    pub(super) fn ended(&self) -> String {
        self.status.to_string()
    }
}

impl Commands {
    pub(super) fn new(program: &Path, folder: &Folder) -> Self {
        Self {
            program: program.to_owned(),
            config: folder.config(),
        }
    }

    /// Runs a command. That it answers no (exit code 1) is an answer; anything else is an error.
    pub(super) async fn run(&self, arguments: &[&str]) -> Result<Done, DemoError> {
        let output = Command::new(&self.program)
            .args(arguments)
            .arg("--config")
            .arg(&self.config)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| file_error(&self.program, &error))?;
        if matches!(output.status.code(), Some(0 | 1)) {
            return Ok(Done {
                status: output.status,
                stdout: output.stdout,
            });
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        let reason = format!("{}: {}", output.status, complaint.trim());
        Err(failed(arguments, reason))
    }

    /// How many sessions of a day are counted so far, good and bad.
    pub(super) async fn sessions_counted(&self, day: UtcDay) -> Result<u64, DemoError> {
        let arguments = ["sessions", "--day", &day.to_string(), "--json"];
        let done = self.run(&arguments).await?;
        let answer = serde_json::from_slice(&done.stdout)
            .map_err(|error| failed(&arguments, format!("not the JSON expected: {error}")))?;
        Ok(sum(&answer))
    }
}

fn failed(arguments: &[&str], reason: String) -> DemoError {
    DemoError::Command {
        command: format!("sealpost {}", arguments.join(" ")),
        reason,
    }
}

/// Of `{"domains":[{"policies":[{"successes":N,"failures":N}]}]}`.
fn sum(sessions: &serde_json::Value) -> u64 {
    let list = |value: &serde_json::Value, name: &str| {
        let list = value.get(name).and_then(serde_json::Value::as_array);
        list.cloned().unwrap_or_default()
    };
    let number = |value: &serde_json::Value, name: &str| {
        let number = value.get(name).and_then(serde_json::Value::as_u64);
        number.unwrap_or_default()
    };
    list(sessions, "domains")
        .iter()
        .flat_map(|domain| list(domain, "policies"))
        .map(|policy| number(&policy, "successes") + number(&policy, "failures"))
        .sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sessions_are_added_up() {
        let answer = json!({"day": "2026-11-24", "domains": [
            {"domain": "a.test", "policies": [{"successes": 1, "failures": 2}]},
            {"domain": "b.test", "policies": [{"successes": 0, "failures": 1},
                                              {"successes": 4, "failures": 0}]},
        ]});
        assert_eq!(sum(&answer), 8);
        assert_eq!(sum(&json!({})), 0);
    }

    #[tokio::test]
    async fn readiness_is_heard_among_other_words() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let daemon = UnixDatagram::unbound().unwrap();
        daemon
            .send_to(b"STATUS=opening the store", &path)
            .await
            .unwrap();
        daemon
            .send_to(b"READY=1\nSTATUS=well", &path)
            .await
            .unwrap();
        wait_until_ready(&socket).await.unwrap();
    }
}
