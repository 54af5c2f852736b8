//! A Rust MTA that embeds the engine: a synchronous host of one process, through the trait of
//! `plugin-api`, against the small Internet.

use std::sync::Arc;

use sealpost::{
    clock::{StoppedClock, Timestamp},
    config::{Config, Loaded},
    daemon::parts::Parts,
    doors::in_process::InProcess,
};
use sealpost_kit::{Internet, Ports};
use sealpost_plugin_api::{Facts, Hook, Level, Outcome, Query, Session, StartTls, Verification};

/// What the host would write into its own configuration.
fn loaded(internet: &Internet, directory: &std::path::Path) -> Loaded {
    let ca = directory.join("ca.pem");
    std::fs::write(&ca, internet.authority.ca_pem()).unwrap();
    let mut config = Config::default();
    config.dns.servers = vec![internet.dns.address()];
    config.policy.https_port = internet.policy_hosts.address().port();
    config.policy.extra_roots = vec![ca];
    config.policy.allow_private_addresses = true;
    config.store.path = directory.join("store");
    config.report.enabled = false;
    Loaded {
        path: None,
        config,
        overrides: Vec::new(),
    }
}

/// What the host does with any hook.
fn ask_and_tell(hook: &dyn Hook, domain: &str, mx: &str) -> Level {
    let requirement = hook.policy(&Query::new(domain).with_mx(mx));
    if matches!(requirement.level, Level::May | Level::Verify { .. }) {
        let facts = Facts::new(StartTls::Established).with_verification(Verification::Passed);
        let session = Session::new(domain, Outcome::Facts(facts)).with_mx(mx);
        hook.session(&session.under_policy(&requirement.policy));
    }
    requirement.level
}

#[test]
fn a_rust_mta_embeds_the_engine_and_its_sessions_are_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let internet = runtime.block_on(Internet::start(Ports::default())).unwrap();
    let loaded = loaded(&internet, directory.path());
    let now = Timestamp(1_800_000_000);
    let clock = Arc::new(StoppedClock::at(now));
    let mut parts = runtime.block_on(async { Parts::start(&loaded, clock).unwrap() });
    let hook = InProcess::new(Arc::clone(&parts.engine) as _, runtime.handle().clone());

    let correct = ask_and_tell(&hook, "correct.test", "mx.correct.test");
    let Level::Verify { mx_patterns, name } = correct else {
        panic!("{correct:?}")
    };
    assert_eq!(
        (&mx_patterns[0][..], name.as_deref()),
        ("mx.correct.test", Some("mx.correct.test"))
    );
    assert_eq!(
        ask_and_tell(&hook, "correct.test", "mx.elsewhere.test"),
        Level::RefuseMx
    );
    assert_eq!(
        ask_and_tell(&hook, "no-policy.test", "mx.no-policy.test"),
        Level::May
    );

    parts.journal.sync().unwrap();
    let counted = |domain: &str| {
        let counted = parts
            .reports
            .day(now.day(), &domain.parse().unwrap())
            .unwrap();
        counted.map_or((0, 0), |counted| (counted.successes(), counted.failures()))
    };
    assert_eq!(counted("correct.test"), (1, 1));
    assert_eq!(counted("no-policy.test"), (1, 0));
    parts.recorder.take().unwrap().stop();
}
