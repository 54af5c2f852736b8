//! An engine whose world answers at once, for benches: what is measured is ours.

use std::{sync::Arc, time::Duration};

use sealpost::{
    clock::{BoxFuture, SystemClock},
    config::{PolicyConfig, WhenUnknown},
    engine::{
        Engine, EngineSettings,
        keeper::{Keeper, KeeperParts},
    },
    hook::{joint::DaneSettings, overrides::Overrides},
    net::{
        dns::{Answer, Dns, DnsError, Mx},
        https::{FetchError, PolicyHost},
    },
    observe::Counters,
    policy::{PolicyDomain, dane::TlsaRecord},
    record::journal::{Journal, JournalReader},
    store::{MemoryStore, Store},
};

/// The engine, and both ends of its journal.
pub(crate) fn engine(
    sessions_max: usize,
    counters: &Arc<Counters>,
) -> (Engine, Journal, JournalReader) {
    let (journal, reader) = Journal::new(sessions_max, Arc::clone(counters));
    let world = Arc::new(World);
    let keeper = Keeper::new(KeeperParts {
        dns: Arc::clone(&world) as _,
        policy_host: world,
        store: Arc::new(MemoryStore::default()) as Arc<dyn Store>,
        clock: Arc::new(SystemClock),
        journal: journal.clone(),
        counters: Arc::clone(counters),
        auditor: Default::default(),
        config: PolicyConfig::default(),
    });
    let settings = EngineSettings {
        overrides: Overrides::default(),
        when_unknown: WhenUnknown::Defer,
        dane: DaneSettings::default(),
    };
    let engine = Engine::new(
        Arc::new(keeper),
        journal.clone(),
        Arc::new(SystemClock),
        Arc::clone(counters),
        settings,
    );
    (engine, journal, reader)
}

/// Every domain publishes the same kind of policy, but those whose names begin with `plain-` none.
struct World;

impl Dns for World {
    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Vec<u8>>, DnsError>> {
        let values = if name.starts_with("_mta-sts.plain-") {
            Vec::new()
        } else {
            vec![b"v=STSv1; id=1".to_vec()]
        };
        let answer = Answer {
            values,
            time_to_live: Duration::from_secs(3_600),
        };
        Box::pin(std::future::ready(Ok(answer)))
    }

    fn mx<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Mx>, DnsError>> {
        Box::pin(std::future::ready(Err(DnsError::BadName {
            name: name.to_owned(),
        })))
    }

    fn addresses<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Answer<std::net::IpAddr>, DnsError>> {
        Box::pin(std::future::ready(Err(DnsError::BadName {
            name: name.to_owned(),
        })))
    }

    fn tlsa<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<TlsaRecord>, DnsError>> {
        Box::pin(std::future::ready(Err(DnsError::BadName {
            name: name.to_owned(),
        })))
    }
}

impl PolicyHost for World {
    fn fetch<'a>(&'a self, domain: &'a PolicyDomain) -> BoxFuture<'a, Result<Vec<u8>, FetchError>> {
        let document = format!(
            "version: STSv1\nmode: enforce\nmx: mx.{domain}\nmx: *.backup.{domain}\nmax_age: 604800\n"
        );
        Box::pin(std::future::ready(Ok(document.into_bytes())))
    }
}
