//! Has the doctor look at this machine, for whoever asks from the page.
//!
//! He is a program of his own: what hangs on a dead disk, or fails, is not in the process that answers MTAs. He sees what
//! the daemon's user may see.
// OURS: docs/decisions/0018-page.md.

use std::{process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

use super::Operator;
use crate::ctl::{control::Replied, protocol::Refusal, wire::Examinations};

/// This very program, also where another has taken its place on the disk since.
const PROGRAM: &str = "/proc/self/exe";

/// His own bound is nine seconds for all examinations; the rest is for starting him.
const TIME_MAX: Duration = Duration::from_secs(15);

impl Operator {
    pub(super) async fn examine(&self) -> Replied<Examinations> {
        let mut command = Command::new(PROGRAM);
        command.args(["doctor", "--json"]);
        if let Some(path) = &self.loaded.load().path {
            command.arg("--config").arg(path);
        }
        // What systemd tells the daemon is not for him.
        for name in [
            "NOTIFY_SOCKET",
            "WATCHDOG_USEC",
            "WATCHDOG_PID",
            "LISTEN_FDS",
        ] {
            command.env_remove(name);
        }
        let streams = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let output = timeout(TIME_MAX, streams)
            .await
            .map_err(|_elapsed| {
                let seconds = TIME_MAX.as_secs();
                Refusal::trouble(format!("the doctor took longer than {seconds} s"))
            })?
            .map_err(|error| Refusal::trouble(format!("the doctor cannot be started: {error}")))?;
        serde_json::from_slice(&output.stdout).map_err(|_unreadable| {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().last().unwrap_or("he said nothing");
            Refusal::trouble(format!("the doctor: {} ({said})", output.status))
        })
    }
}
