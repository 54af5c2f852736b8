//! The keys that sign reports: can the daemon read them, nobody else, and do receivers find them?

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{
    access::{NOBODY_KNOWN, Reach, Want, reach, steps},
    finding::{Examined, traps},
    scene::Scene,
};
use crate::{
    config::Config,
    daemon::signing::{Seen, look},
    report::{DkimKey, submitter::mailbox},
};

traps! {
    NO_KEY = "dkim-no-key", Warning,
        "Nothing here signs the reports, and receivers ignore unsigned ones (RFC 8460 s3) unless the relay signs them \
         with the domain of sender.contact.",
        "Make keys, publish what is printed, and put the sections that are printed into the configuration.";
    KEY_UNREAD = "dkim-key-unreadable", Trouble,
        "The daemon's user cannot read the file of a key: the daemon does not start.",
        "Give the file the daemon's group and the mode 0640.";
    KEY_UNUSABLE = "dkim-key-unusable", Trouble,
        "The file holds no key that can sign (RSA of 2048 to 4096 bits, or Ed25519, in PEM): the daemon does not start.",
        "Make another with `sealpost dkim keygen`.";
    KEY_OPEN = "dkim-key-open", Warning,
        "Every user of this machine can read the private key, and sign mail as this domain with it.",
        "Take the right away; if somebody may have read it, make another key.";
    RECORD_FAULTY = "dkim-record-faulty", Trouble,
        "Receivers cannot verify our reports by what the DNS publishes of the key, and must ignore them. No answer and \
         no bounce tells of that.",
        "Publish the record as shown. It takes effect when what resolvers remember has run out.";
    RECORD_NOTED = "dkim-record-noted", Warning,
        "Receivers verify with the record, and some may stumble over it.",
        "Publish the record as shown.";
}

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) reports_are_sent: bool,
    pub(super) keys: Vec<KeyFacts>,
}

/// One key.
#[derive(Clone, Debug)]
pub(super) struct KeyFacts {
    pub(super) file: PathBuf,
    /// Whether the daemon's user can read it.
    pub(super) reach: Reach,
    /// Its file mode; nothing where it cannot be seen.
    pub(super) mode: Option<u32>,
    pub(super) key: Key,
}

/// What a key's file holds, and what the DNS has of it.
#[derive(Clone, Debug)]
pub(super) enum Key {
    /// We may not read it.
    Unread(String),
    /// It holds no key.
    Unusable(String),
    /// A key.
    Usable {
        /// `SELECTOR._domainkey.DOMAIN`
        record_name: String,
        /// What is to be published there.
        record: String,
        /// What is.
        published: Published,
    },
}

/// What the DNS has of a key.
#[derive(Clone, Debug)]
pub(super) enum Published {
    /// Receivers verify with it, and may stumble over this.
    Right(Vec<String>),
    /// They cannot.
    Faulty(String),
    /// The lookup failed.
    NotKnown(String),
}

pub(super) fn judge(facts: &Facts) -> Examined {
    let mut examined = Examined::default();
    if !facts.reports_are_sent {
        examined.well("report.enabled is false: nothing is signed");
        return examined;
    }
    if facts.keys.is_empty() {
        let lines = vec!["sealpost dkim keygen".to_owned()];
        examined.found_with(NO_KEY, "there is no [[dkim]] section", lines);
    }
    for key in &facts.keys {
        judge_file(key, &mut examined);
        judge_key(key, &mut examined);
    }
    examined
}

fn judge_file(key: &KeyFacts, examined: &mut Examined) {
    let shown = key.file.display();
    match &key.reach {
        Reach::No(why) => {
            let lines = vec![
                format!("chgrp sealpost {shown}"),
                format!("chmod 640 {shown}"),
            ];
            examined.found_with(KEY_UNREAD, why.clone(), lines);
        }
        Reach::NotKnown(why) => examined.unknown(format!("{shown}: {why}")),
        Reach::Yes => {}
    }
    if let Some(mode) = key.mode.filter(|mode| mode & 0o004 != 0) {
        let seen = format!("{shown} has the mode {:04o}", mode & 0o777);
        examined.found_with(KEY_OPEN, seen, vec![format!("chmod o-rwx {shown}")]);
    }
}

fn judge_key(key: &KeyFacts, examined: &mut Examined) {
    let shown = key.file.display();
    match &key.key {
        Key::Unread(why) => examined.unknown(format!("{shown}: {why}")),
        Key::Unusable(why) => examined.found(KEY_UNUSABLE, format!("{shown}: {why}")),
        Key::Usable {
            record_name,
            record,
            published,
        } => {
            let publish = || vec![record_name.clone(), record.clone()];
            match published {
                Published::Right(notes) => {
                    if notes.is_empty() {
                        examined.well(format!("{record_name} is published"));
                    }
                    for note in notes {
                        examined.found_with(
                            RECORD_NOTED,
                            format!("{record_name}: {note}"),
                            publish(),
                        );
                    }
                }
                Published::Faulty(why) => {
                    examined.found_with(RECORD_FAULTY, format!("{record_name}: {why}"), publish());
                }
                Published::NotKnown(why) => examined.unknown(why.clone()),
            }
        }
    }
}

pub(super) async fn examine(scene: &Scene) -> Examined {
    let config = match scene.config() {
        Ok(config) => config,
        Err(why) => return Examined::not_seen(why),
    };
    let mut keys = Vec::new();
    for dkim in &config.dkim {
        let file = dkim.key.clone();
        keys.push(KeyFacts {
            reach: reach_of(scene, &file).await,
            mode: fs::metadata(&file).ok().map(|file| file.mode()),
            key: look_at(scene, config, &dkim.selector, &file).await,
            file,
        });
    }
    judge(&Facts {
        reports_are_sent: config.report.enabled,
        keys,
    })
}

async fn reach_of(scene: &Scene, file: &Path) -> Reach {
    match (steps(file, None), scene.daemon_user().await) {
        (Err(error), _) if error.kind() == std::io::ErrorKind::NotFound => {
            Reach::No(format!("{}: there is no such file", file.display()))
        }
        (Err(error), _) => Reach::NotKnown(error.to_string()),
        (Ok(steps), Some(user)) => reach(&user, &steps, Want::Read),
        (Ok(_), None) => Reach::NotKnown(NOBODY_KNOWN.to_owned()),
    }
}

async fn look_at(scene: &Scene, config: &Config, selector: &str, file: &Path) -> Key {
    let pem = match fs::read_to_string(file) {
        Ok(pem) => pem,
        Err(error) => return Key::Unread(error.to_string()),
    };
    let key = match DkimKey::from_pem(selector, &pem) {
        Ok(key) => key,
        Err(error) => return Key::Unusable(error.to_string()),
    };
    let domain = match mailbox(&config.sender.contact) {
        Ok((_, domain)) => domain,
        Err(error) => return Key::Unread(format!("sender.contact: {error}")),
    };
    let record_name = key.record_name(&domain);
    let record = key.public_record();
    let published = match scene.dns() {
        Err(why) => Published::NotKnown(why),
        Ok(dns) => match look(&dns, &domain, &[key]).await.pop().map(|one| one.seen) {
            Some(Seen::Published(published)) => {
                let notes = published.notes.iter().map(ToString::to_string);
                Published::Right(notes.collect())
            }
            Some(Seen::Faulty(fault)) => Published::Faulty(fault.to_string()),
            Some(Seen::NotKnown(error)) => Published::NotKnown(error.to_string()),
            None => Published::NotKnown(record_name.clone()),
        },
    };
    Key::Usable {
        record_name,
        record,
        published,
    }
}
