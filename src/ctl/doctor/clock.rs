//! The clock: certificates, signatures, policies and days all go by it.
//!
//! Nobody outside is asked for the time. What is looked at: whether the kernel's clock is kept by somebody, whether
//! the root's signatures are of our time, and whether files of ours were written in what would be the future.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::time::timeout;

use super::{
    finding::{Examined, traps},
    resolver::in_words,
    scene::{ANSWER_TIME_MAX, Scene, find, said},
};
use crate::{
    clock::Timestamp,
    config::{Config, DaneConfig, DnssecValidation},
    net::{
        dnssec::{EXPIRED, NOT_YET_VALID},
        validation::{Outcome, Validation},
    },
};

traps! {
    OUTSIDE_SIGNATURES = "clock-outside-signatures", Trouble,
        "The signatures over the root's keys, which are made anew for every fortnight or so, are not of the time that \
         this clock shows: the clock is off by days. Good certificates then count as expired or not yet valid, DNSSEC \
         as forged, and sessions under the wrong day.",
        "Set the clock and have it kept, then restart the daemon.";
    NOT_KEPT = "clock-not-kept", Warning,
        "Nobody keeps the clock right. It drifts by seconds a day, until certificates and signatures are judged \
         wrongly and the day that is reported is not the UTC day.",
        "Run a program that keeps it: systemd-timesyncd, chrony or ntpd.";
    BEHIND_FILES = "clock-behind-files", Trouble,
        "A file was written in what this clock calls the future: the clock was set back, or ran ahead before. What \
         waits for a moment that was noted then waits too long, and a day may be reported twice or not at all.",
        "See which of the two times is right, and set the clock. Once the future is over all is well again.";
    DAEMON_DIFFERS = "clock-of-daemon-differs", Trouble,
        "The daemon goes by another time than this machine: it was started with a laboratory's clock.",
        "Start it without --laboratory-clock.";
}

/// How far ahead the time of a file may be: writers on other machines have clocks of their own.
const AHEAD_SECONDS_MAX: i64 = 300;

/// How far the daemon's time may be from ours, its answer under way.
const DIFFERENCE_SECONDS_MAX: i64 = 30;

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) now: Timestamp,
    /// Whether the kernel says that somebody keeps it; why that cannot be seen.
    pub(super) is_kept: Result<bool, String>,
    /// What our own look at the root's signatures came to: nothing is wrong, or why.
    pub(super) root: Result<(), String>,
    /// The newest of our files, and when it was written.
    pub(super) newest: Option<(PathBuf, Timestamp)>,
    /// What the daemon calls now, and how that differs from ours when it said so.
    pub(super) daemon_differs_seconds: Option<i64>,
}

pub(super) fn judge(facts: &Facts) -> Examined {
    let mut examined = Examined::default();
    let now = facts.now;
    let keep = || {
        vec![
            "timedatectl set-ntp true".to_owned(),
            "timedatectl".to_owned(),
        ]
    };
    match &facts.root {
        Ok(()) => examined.well(format!("{now}, and the root's signatures are of that time")),
        Err(why) if why.contains(NOT_YET_VALID) || why.contains(EXPIRED) => {
            examined.found_with(
                OUTSIDE_SIGNATURES,
                format!("it is {now} here: {why}"),
                keep(),
            );
        }
        Err(why) => examined.unknown(format!(
            "whether {now} is right cannot be told from the root's signatures: {why}"
        )),
    }
    match &facts.is_kept {
        Ok(true) => examined.well("it is kept by somebody"),
        Ok(false) => examined.found_with(NOT_KEPT, "the kernel says that nobody keeps it", keep()),
        Err(why) => examined.unknown(format!("whether somebody keeps it: {why}")),
    }
    if let Some((file, written)) = &facts.newest
        && written.seconds_since(now) > AHEAD_SECONDS_MAX
    {
        let seen = format!(
            "{} was written at {written}, and it is {now}",
            file.display()
        );
        examined.found_with(BEHIND_FILES, seen, keep());
    }
    if let Some(seconds) = facts.daemon_differs_seconds
        && seconds.abs() > DIFFERENCE_SECONDS_MAX
    {
        let word = if seconds > 0 { "ahead" } else { "behind" };
        let seen = format!("the daemon's clock is {} s {word}", seconds.abs());
        examined.found(DAEMON_DIFFERS, seen);
    }
    examined
}

pub(super) async fn examine(scene: &Scene) -> Examined {
    let config = match scene.config() {
        Ok(config) => config,
        Err(why) => return Examined::not_seen(why),
    };
    let daemon = async {
        let status = scene.status().await?;
        let theirs: jiff::Timestamp = status.now.parse().ok()?;
        Some(Timestamp(theirs.as_second()).seconds_since(scene.clock.now()))
    };
    let (is_kept, root, daemon_differs_seconds) =
        tokio::join!(is_kept(), look_at_root(scene, config), daemon);
    judge(&Facts {
        now: scene.clock.now(),
        is_kept,
        root,
        newest: newest(&scene.file, &config.store.path),
        daemon_differs_seconds,
    })
}

/// What the kernel says (adjtimex(2)), whoever it is that keeps it.
async fn is_kept() -> Result<bool, String> {
    let program = find("timedatectl").ok_or("there is no timedatectl here")?;
    let said = said(&program, &["show", "--property=NTPSynchronized", "--value"]).await?;
    match said.trim() {
        "yes" => Ok(true),
        "no" => Ok(false),
        other => Err(format!("timedatectl says \"{other}\"")),
    }
}

/// Validates the root's keys ourselves, whoever does it for the daemon.
async fn look_at_root(scene: &Scene, config: &Config) -> Result<(), String> {
    let own = DaneConfig {
        validation: DnssecValidation::Own,
        ..config.dane.clone()
    };
    let validation = Validation::new(&config.dns, &own, Arc::clone(&scene.clock));
    let validation = validation.map_err(|error| error.to_string())?;
    let looked = timeout(ANSWER_TIME_MAX, validation.look()).await;
    match looked.map_err(|_| "the resolvers do not answer for the root's keys")? {
        Outcome::Works(_) => Ok(()),
        Outcome::NotYet(tried) | Outcome::Nobody(tried) => Err(in_words(&tried)),
        Outcome::Off => Err("dane.validation is off".to_owned()),
    }
}

/// The newest of the files that we and the operator write.
fn newest(config: &Path, store: &Path) -> Option<(PathBuf, Timestamp)> {
    let in_store = fs::read_dir(store).into_iter().flatten().flatten();
    let files = in_store.map(|entry| entry.path());
    files
        .chain([config.to_owned(), store.to_owned()])
        .filter_map(|file| {
            let written = fs::metadata(&file).ok()?.mtime();
            Some((file, Timestamp(written)))
        })
        .max_by_key(|(_, written)| *written)
}
