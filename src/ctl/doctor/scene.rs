//! What the examinations look at together: the configuration, the daemon, the MTAs. Each is asked once, when the
//! first examination wants it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use tokio::{process::Command, sync::OnceCell, time::timeout};

use super::{
    access::{User, user_named, user_of_process},
    exim::Exim,
};
use crate::{
    clock::Clock,
    config::{
        Config, ConfigError, DnsConfig, Loaded,
        load::{load, load_for_command},
    },
    ctl::{
        client::{Client, ClientError},
        protocol::Request,
        setup::{Installed, NotSeen},
        wire::Status,
    },
    net::hickory::HickoryDns,
};

/// How long the daemon, or a program of the system, may take to answer.
pub(super) const ANSWER_TIME_MAX: Duration = Duration::from_secs(6);

/// How long one try of a lookup may take.
const LOOKUP_MS_MAX: u64 = 2_000;

/// Where programs of administrators are, which are not on everybody's PATH.
const SYSTEM_DIRECTORIES: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// What the operator says of the machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    /// Postfix's `postconf`.
    pub(super) postconf: Option<PathBuf>,
    /// The Postfix instance that is configured there.
    pub(super) config_directory: Option<PathBuf>,
    /// Exim.
    pub(super) exim: Option<PathBuf>,
    /// Mail hosts outside, to try port 25 with.
    pub(super) mail_hosts: Vec<String>,
}

/// What the examinations look at together.
pub(super) struct Scene {
    /// The configuration file.
    pub(super) file: PathBuf,
    /// As a daemon reads it.
    pub(super) read: Result<Loaded, ConfigError>,
    /// As far as it can be gone by.
    config: Option<Config>,
    /// The machine's clock.
    pub(super) clock: Arc<dyn Clock>,
    /// What the operator says.
    pub(super) named: Named,
    daemon: OnceCell<Daemon>,
    postfix: OnceCell<Result<Installed, NotSeen>>,
    exim: OnceCell<Result<Option<Exim>, String>>,
}

/// The daemon, as it answers.
#[derive(Clone, Debug)]
pub(super) struct Daemon {
    /// What it says.
    pub(super) answer: Answer,
    /// Who it runs as.
    pub(super) user: Option<User>,
    /// How many files it may have open, where that can be seen.
    pub(super) open_files_max: Option<u64>,
    /// Its program was replaced since it started.
    pub(super) is_replaced: bool,
    /// What it starts has no privileges of its own; nothing where that cannot be seen.
    pub(super) no_new_privileges: Option<bool>,
}

/// What came of asking the daemon how it is.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// It runs.
    Running(Box<Status>),
    /// Nobody listens.
    NotRunning(String),
    /// We may not ask it.
    NotPermitted(String),
    /// It listens, and there is no answer that says anything.
    Silent(String),
}

impl Scene {
    /// Reads the configuration. `file` is the one that the operator names, or the default; only that may be missing.
    pub(super) fn new(file: PathBuf, named: Named, clock: Arc<dyn Clock>) -> Self {
        let read = load(&file);
        let config = match (&read, &load_for_command(Some(&file))) {
            (Ok(loaded), _) | (Err(_), Ok(loaded)) => Some(loaded.config.clone()),
            // OURS: without a file the daemon would not start; where its parts would be is known all the same.
            (Err(ConfigError::Missing { .. }), _) => Some(Config::default()),
            (Err(_), Err(_)) => None,
        };
        Self {
            file,
            read,
            config,
            clock,
            named,
            daemon: OnceCell::new(),
            postfix: OnceCell::new(),
            exim: OnceCell::new(),
        }
    }

    /// The settings.
    ///
    /// # Errors
    /// In words, where there are none to go by.
    pub(super) fn config(&self) -> Result<&Config, String> {
        let unread = || format!("{} cannot be read", self.file.display());
        self.config.as_ref().ok_or_else(unread)
    }

    /// A resolver by the settings, and no more patient than an examination is.
    ///
    /// # Errors
    /// In words, where there is none.
    pub(super) fn dns(&self) -> Result<HickoryDns, String> {
        let set = &self.config()?.dns;
        let hasty = DnsConfig {
            timeout_ms: set.timeout_ms.min(LOOKUP_MS_MAX),
            attempts: set.attempts.min(2),
            ..set.clone()
        };
        HickoryDns::new(&hasty).map_err(|error| error.to_string())
    }

    /// The daemon.
    pub(super) async fn daemon(&self) -> &Daemon {
        self.daemon.get_or_init(|| self.ask_daemon()).await
    }

    /// What the daemon says, where it runs and may be asked.
    pub(super) async fn status(&self) -> Option<&Status> {
        match &self.daemon().await.answer {
            Answer::Running(status) => Some(status),
            _ => None,
        }
    }

    /// Who the daemon runs as, or would: the user `sealpost`, where there is one.
    pub(super) async fn daemon_user(&self) -> Option<User> {
        let running = self.daemon().await.user.clone();
        running.or_else(|| user_named("sealpost"))
    }

    /// Postfix.
    pub(super) async fn postfix(&self) -> Result<&Installed, NotSeen> {
        let look = || async {
            let config = self.config().map_err(NotSeen::Unreadable)?;
            let program = match &self.named.postconf {
                Some(named) => named.clone(),
                None => find("postconf").ok_or(NotSeen::NotInstalled)?,
            };
            let directory = self.named.config_directory.clone();
            let today = self.clock.now().day();
            let looking = Installed::look(program, directory, config, today);
            timeout(ANSWER_TIME_MAX, looking)
                .await
                .unwrap_or_else(|_| Err(NotSeen::Unreadable(too_slow("postconf"))))
        };
        let seen = self.postfix.get_or_init(look).await;
        seen.as_ref().map_err(Clone::clone)
    }

    /// Exim; nothing where there is none.
    pub(super) async fn exim(&self) -> Result<Option<&Exim>, String> {
        let look = || async {
            let program = match &self.named.exim {
                Some(named) => Some(named.clone()),
                None => find("exim4").or_else(|| find("exim")),
            };
            match program {
                Some(program) => Exim::look(&program).await.map(Some),
                None => Ok(None),
            }
        };
        let seen = self.exim.get_or_init(look).await;
        seen.as_ref().map(Option::as_ref).map_err(Clone::clone)
    }

    async fn ask_daemon(&self) -> Daemon {
        let answer = match self.config() {
            Ok(config) => ask(config.control_socket.path.clone()).await,
            Err(why) => Answer::Silent(why),
        };
        let Answer::Running(status) = &answer else {
            return Daemon {
                answer,
                user: None,
                open_files_max: None,
                is_replaced: false,
                no_new_privileges: None,
            };
        };
        let process = Path::new("/proc").join(status.pid.to_string());
        let status = fs::read_to_string(process.join("status")).unwrap_or_default();
        let limits = fs::read_to_string(process.join("limits")).unwrap_or_default();
        let program = fs::read_link(process.join("exe")).unwrap_or_default();
        Daemon {
            answer,
            user: user_of_process(&status),
            no_new_privileges: no_new_privileges(&status),
            open_files_max: open_files_max(&limits),
            // proc_pid_exe(5): so it says of a file that is gone.
            is_replaced: program.to_string_lossy().ends_with(" (deleted)"),
        }
    }
}

async fn ask(socket: PathBuf) -> Answer {
    // A daemon sums up its whole day for this answer. Who waits no longer leaves a thread behind, and ends.
    let asking =
        tokio::task::spawn_blocking(move || Client::connect(&socket)?.ask(Request::Status));
    let Ok(joined) = timeout(ANSWER_TIME_MAX, asking).await else {
        return Answer::Silent(too_slow("the daemon"));
    };
    match joined {
        Ok(Ok(status)) => Answer::Running(Box::new(status)),
        Ok(Err(error @ ClientError::NotRunning { .. })) => Answer::NotRunning(error.to_string()),
        Ok(Err(error @ ClientError::NotPermitted { .. })) => {
            Answer::NotPermitted(error.to_string())
        }
        Ok(Err(ClientError::Refused(refusal))) => Answer::NotPermitted(refusal.to_string()),
        Ok(Err(error)) => Answer::Silent(error.to_string()),
        Err(error) => Answer::Silent(error.to_string()),
    }
}

fn too_slow(who: &str) -> String {
    format!(
        "{who} gave no answer within {} s",
        ANSWER_TIME_MAX.as_secs()
    )
}

/// proc_pid_status(5): `NoNewPrivs:     1`.
fn no_new_privileges(status: &str) -> Option<bool> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("NoNewPrivs:"))?;
    Some(line.trim() == "1")
}

/// proc_pid_limits(5): `Max open files            1024                 524288               files`.
fn open_files_max(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// A program on the PATH, or where the system keeps those of administrators.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let named: Vec<PathBuf> = env::split_paths(&path).collect();
    let system = SYSTEM_DIRECTORIES.iter().map(PathBuf::from);
    named
        .into_iter()
        .chain(system)
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
}

/// Runs a program that only tells something, and gives what it says.
///
/// # Errors
/// In words.
pub(super) async fn said(program: &Path, arguments: &[&str]) -> Result<String, String> {
    let shown = program.display();
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = match timeout(ANSWER_TIME_MAX, command.output()).await {
        Err(_) => return Err(too_slow(&shown.to_string())),
        Ok(Err(error)) => return Err(format!("{shown}: {error}")),
        Ok(Ok(output)) => output,
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let complaint = complaint.trim().replace('\n', "; ");
    Err(format!("{shown} {}: {complaint}", arguments.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_the_soft_one() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max processes             7                    8                    processes\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(open_files_max(limits), Some(1_024));
        assert_eq!(
            open_files_max("Max open files unlimited unlimited files\n"),
            None
        );
    }
}
