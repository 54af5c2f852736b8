//! The configuration file: is it there and right, and does the daemon go by it?

use std::path::PathBuf;

use super::{
    finding::{Examined, traps},
    scene::Scene,
};
use crate::config::ConfigError;

traps! {
    MISSING = "configuration-missing", Trouble,
        "There is no configuration file, so the daemon does not start, and nobody is named who could send reports.",
        "Write the file, or name another one with --config. `sealpost config explain` says what can be set.";
    WRONG = "configuration-wrong", Trouble,
        "The daemon does not start with this file; one that runs goes on with what it has read before.",
        "Mend what is named, by line and column. `sealpost config explain SETTING` says what a setting takes.";
    WARNED_OF = "configuration-warned-of", Warning,
        "It is allowed, and seldom meant: a setting for laboratories, or one that has ended.",
        "Take the setting out, unless you want just that.";
    NOT_TAKEN_UP = "configuration-not-taken-up", Warning,
        "The file was changed and the daemon has not read it since, or has found it wrong and gone on with the one \
         before.",
        "Check the file, then have the daemon read it.";
    WAITS_FOR_RESTART = "configuration-waits-for-restart", Warning,
        "The daemon has read the file again, and takes up what was changed in these sections only when it starts.",
        "Restart the daemon.";
}

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) file: PathBuf,
    /// Its warnings.
    pub(super) read: Result<Vec<String>, ConfigError>,
    /// We may read everything.
    pub(super) are_root: bool,
    /// Whether it has changed since the daemon read it.
    pub(super) has_changed: Option<bool>,
    pub(super) waits_for_restart: Vec<String>,
}

pub(super) fn judge(facts: &Facts) -> Examined {
    let mut examined = Examined::default();
    let shown = facts.file.display();
    match &facts.read {
        Ok(warnings) => {
            examined.well(format!("{shown} is right"));
            for warning in warnings {
                examined.found(WARNED_OF, warning.clone());
            }
        }
        Err(error @ ConfigError::Missing { .. }) => {
            let seen = format!("{shown}: there is no such file");
            let example = error.to_string();
            let lines = example
                .lines()
                .filter(|line| line.starts_with(['[', ' ']) || line.contains(" = "));
            examined.found_with(MISSING, seen, lines.map(str::to_owned).collect());
        }
        Err(ConfigError::Wrong { problems, .. }) => {
            for problem in problems {
                let seen = format!("{shown}:{problem}");
                // What only the daemon's user may read is not wrong for that.
                if !facts.are_root && problem.reason.ends_with(PERMISSION_DENIED) {
                    examined.unknown(format!("{seen}; ask as root"));
                } else {
                    examined.found(WRONG, seen);
                }
            }
        }
        Err(ConfigError::Unreadable { reason, .. })
            if !facts.are_root && reason == PERMISSION_DENIED =>
        {
            examined.unknown(format!("{shown}: {reason}; ask as root"));
        }
        Err(error) => examined.found(WRONG, error.to_string()),
    }
    if facts.has_changed == Some(true) {
        let lines = [
            format!("sealpost config check {shown}"),
            "systemctl reload sealpost".to_owned(),
        ];
        examined.found_with(
            NOT_TAKEN_UP,
            format!("{shown} is another than the one that the daemon has read"),
            lines.to_vec(),
        );
    }
    if !facts.waits_for_restart.is_empty() {
        let sections: Vec<String> = facts
            .waits_for_restart
            .iter()
            .map(|section| format!("[{section}]"))
            .collect();
        examined.found_with(
            WAITS_FOR_RESTART,
            format!("changed since the start: {}", sections.join(", ")),
            vec!["systemctl restart sealpost".to_owned()],
        );
    }
    examined
}

/// As the configuration says it of a file.
const PERMISSION_DENIED: &str = "permission denied";

pub(super) async fn examine(scene: &Scene) -> Examined {
    let today = scene.clock.now().day();
    let status = scene.status().await;
    judge(&Facts {
        file: scene.file.clone(),
        read: scene
            .read
            .as_ref()
            .map(|loaded| loaded.warnings_of_settings(today))
            .map_err(Clone::clone),
        are_root: rustix::process::geteuid().is_root(),
        has_changed: status.and_then(|status| status.config_changed),
        waits_for_restart: status
            .map_or_else(Vec::new, |status| status.config_waits_for_restart.clone()),
    })
}
