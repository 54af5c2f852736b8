//! The daemon: does it run, is it of this release, and what does it say itself?

use super::{
    finding::{Examined, traps},
    scene::{Answer, Scene},
};

traps! {
    NOT_RUNNING = "daemon-not-running", Trouble,
        "Nobody answers the MTA: what asks waits, nothing is counted, and no report leaves.",
        "Start it, and read in its log why it ended.";
    SILENT = "daemon-silent", Trouble,
        "The control socket is there and no answer comes: the daemon hangs, is of another release, or its disk does \
         not answer.",
        "Read its log, and restart it.";
    OLDER = "daemon-older-than-program", Warning,
        "The program was updated and the daemon that runs is the one before: what the update mends is not mended.",
        "Restart the daemon.";
    ALARM = "daemon-alarm", Trouble,
        "The daemon itself has found this, and `sealpost status` ends with 1 for it. Other examinations may say \
         more.",
        "Do what the alarm says. One of lost sessions stands until the daemon is restarted.";
}

/// What was seen.
#[derive(Clone, Debug)]
pub(super) enum Facts {
    /// It runs.
    Running {
        /// `sealpost 0.1.0`, as it calls itself.
        program: String,
        /// Its program was replaced.
        is_replaced: bool,
        /// What it says an operator should act on.
        alarms: Vec<String>,
        /// Since when, and its process.
        since: String,
    },
    /// It does not.
    NotRunning(String),
    /// It may not be asked.
    NotPermitted(String),
    /// It says nothing.
    Silent(String),
}

/// What this program calls itself.
pub(super) const PROGRAM: &str = concat!("sealpost ", env!("CARGO_PKG_VERSION"));

pub(super) fn judge(facts: &Facts) -> Examined {
    let mut examined = Examined::default();
    let restart = || vec!["systemctl restart sealpost".to_owned()];
    match facts {
        Facts::Running {
            program,
            is_replaced,
            alarms,
            since,
        } => {
            examined.well(format!("{program} runs, {since}"));
            if program != PROGRAM {
                let seen = format!("the daemon is {program}, and this is {PROGRAM}");
                examined.found_with(OLDER, seen, restart());
            } else if *is_replaced {
                let seen = "the file of the program that runs was replaced";
                examined.found_with(OLDER, seen, restart());
            }
            for alarm in alarms {
                examined.found(ALARM, alarm.clone());
            }
        }
        Facts::NotRunning(why) => examined.found_with(
            NOT_RUNNING,
            why.clone(),
            vec![
                "systemctl start sealpost".to_owned(),
                "journalctl -u sealpost -n 50".to_owned(),
            ],
        ),
        Facts::NotPermitted(why) => examined.unknown(why.clone()),
        Facts::Silent(why) => examined.found_with(SILENT, why.clone(), restart()),
    }
    examined
}

pub(super) async fn examine(scene: &Scene) -> Examined {
    if let Err(why) = scene.config() {
        return Examined::not_seen(why);
    }
    let daemon = scene.daemon().await;
    judge(&match &daemon.answer {
        Answer::Running(status) => Facts::Running {
            program: status.program.clone(),
            is_replaced: daemon.is_replaced,
            alarms: status.alarms.clone(),
            since: format!("process {}, since {}", status.pid, status.started_at),
        },
        Answer::NotRunning(why) => Facts::NotRunning(why.clone()),
        Answer::NotPermitted(why) => Facts::NotPermitted(why.clone()),
        Answer::Silent(why) => Facts::Silent(why.clone()),
    })
}
