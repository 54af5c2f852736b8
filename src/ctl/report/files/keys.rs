//! The keys of signatures: from a file, and from the DNS.

use std::{collections::BTreeMap, fs};

use tokio::runtime::Runtime;

use super::super::{
    super::{Context, exit::Failure},
    show::Reading,
};
use crate::{
    config::DnsConfig,
    net::{
        dns::{Dns as _, DnsError},
        hickory::HickoryDns,
    },
    report::read::{KeyRecord, KeyRecords},
};

/// How many names are asked for. Whoever sends reports has a handful.
const LOOKUPS_MAX: usize = 1_000;

/// After so many lookups without any answer nothing more is asked.
const SILENT_LOOKUPS_MAX: usize = 3;

/// Finds keys, and remembers them.
pub(super) struct Keys {
    records: KeyRecords,
    lookup: Lookup,
    answers: usize,
    silent: usize,
}

/// Where keys are looked up that are not given.
enum Lookup {
    /// Nowhere.
    Offline,
    /// In the DNS.
    Dns {
        /// Waits for the answers.
        runtime: Runtime,
        /// The resolver.
        dns: Box<HickoryDns>,
    },
    /// In the DNS, which cannot be asked, for this reason.
    Broken(String),
}

impl Keys {
    pub(super) fn new(reading: &Reading, context: &Context) -> Result<Self, Failure> {
        Ok(Self {
            records: match &reading.keys {
                Some(path) => given(path)?,
                None => KeyRecords::new(),
            },
            lookup: if reading.offline {
                Lookup::Offline
            } else {
                match context.load() {
                    Ok(loaded) => connect(&loaded.config.dns),
                    // A file that was named must be right. The default one may be unreadable for whoever
                    // reads his mail.
                    Err(failure) if context.config.is_some() => return Err(failure),
                    Err(failure) => Lookup::Broken(failure.to_string()),
                }
            },
            answers: 0,
            silent: 0,
        })
    }

    /// What is known of these names, and of those before.
    pub(super) fn of(&mut self, names: Vec<String>) -> &KeyRecords {
        for name in names {
            if !self.records.contains_key(&name)
                && let Some(record) = self.look_up(&name)
            {
                self.records.insert(name, record);
            }
        }
        &self.records
    }

    /// `None` where nobody is asked.
    fn look_up(&mut self, name: &str) -> Option<KeyRecord> {
        let unknown = |why: &str| Some(KeyRecord::Unknown(why.to_owned()));
        let (runtime, dns) = match &self.lookup {
            Lookup::Offline => return None,
            Lookup::Broken(reason) => return unknown(reason),
            Lookup::Dns { runtime, dns } => (runtime, dns),
        };
        if self.answers == 0 && self.silent >= SILENT_LOOKUPS_MAX {
            return unknown("the resolvers do not answer");
        }
        if self.answers + self.silent >= LOOKUPS_MAX {
            return unknown("too many keys were asked for");
        }
        match runtime.block_on(dns.txt(name)) {
            Ok(answer) => {
                self.answers += 1;
                Some(KeyRecord::Answer(answer.values))
            }
            Err(error) => {
                match error {
                    DnsError::Timeout { .. } | DnsError::Unreachable { .. } => self.silent += 1,
                    DnsError::Server { .. } | DnsError::BadName { .. } => self.answers += 1,
                }
                unknown(&error.to_string())
            }
        }
    }
}

fn connect(config: &DnsConfig) -> Lookup {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return Lookup::Broken(error.to_string()),
    };
    let dns = {
        let _entered = runtime.enter();
        HickoryDns::new(config)
    };
    match dns {
        Ok(dns) => Lookup::Dns {
            runtime,
            dns: Box::new(dns),
        },
        Err(error) => Lookup::Broken(error.to_string()),
    }
}

/// The file of `--keys`.
fn given(path: &std::path::Path) -> Result<KeyRecords, Failure> {
    let wrong = |reason: String| Failure::Usage(format!("--keys {}: {reason}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let records: BTreeMap<String, String> = serde_json::from_str(&text).map_err(|error| {
        wrong(format!(
            "it is not JSON of the form {{\"SELECTOR._domainkey.DOMAIN\": \"v=DKIM1; ...\"}}: {error}"
        ))
    })?;
    let record = |(name, text): (String, String)| {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        (name, KeyRecord::Answer(vec![text.into_bytes()]))
    };
    Ok(records.into_iter().map(record).collect())
}
