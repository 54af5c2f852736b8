//! The daemon is killed again and again in the middle of sending: each report arrives, and a second copy is made
//! only where a daemon died between the first packet of an attempt and the note of its answer (F16;
//! docs/decisions/0007-exactly-once.md).
//!
//! A small trial always runs. The large one is run when asked for:
//! `cargo test --test all -- daemon::kills --ignored --nocapture`. `SEALPOST_TRIAL_REPORTS`, `SEALPOST_TRIAL_KILLS`
//! and `SEALPOST_TRIAL_SEED` change what it does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
    time::Duration,
};

use sealpost::{
    config::StoreConfig,
    deliver::{DeliveryState, Step},
    store::{Counted, SledStore, Store as _},
};
use sealpost_kit::ReportMail;
use serde_json::Value;

use super::{
    days::set_clock_after_night_of,
    host::{Before, Host, until},
    https::report,
};

#[path = "../../../benches/random/mod.rs"]
mod random;

use random::mixed;

/// One domain in so many asks for no reports.
const SILENT_EVERY: u64 = 20;

/// Where the reports go that are posted.
const REPORT_HOST: &str = "reports.example.test";

/// How much is sent, and how often the daemon is killed over it.
struct Trial {
    reports: u64,
    kills: u64,
    seed: u64,
}

#[test]
fn f16_killed_in_the_middle_of_sending_every_report_arrives() {
    let lives = kill_while_sending(&Trial {
        reports: 100,
        kills: 10,
        seed: 1,
    });
    assert!(lives.hits > 0, "no kill cut an attempt short");
}

#[test]
#[ignore = "a minute: 200 kills while 1,000 reports are sent"]
fn f16_killed_two_hundred_times_over_a_thousand_reports_every_one_arrives() {
    let trial = Trial {
        reports: wish("SEALPOST_TRIAL_REPORTS", 1_000),
        kills: wish("SEALPOST_TRIAL_KILLS", 200),
        seed: wish("SEALPOST_TRIAL_SEED", 1),
    };
    let lives = kill_while_sending(&trial);
    assert_eq!(lives.kills, trial.kills, "all was sent too soon");
    assert!(lives.hits > 0, "no kill cut an attempt short");
}

/// A number from the environment, or what is usual. It is printed.
fn wish(name: &str, usual: u64) -> u64 {
    let given = std::env::var_os(name).map(|text| text.into_string().unwrap().parse().unwrap());
    let number = given.unwrap_or(usual);
    println!("{name}={number}");
    number
}

/// A recipient domain with sessions on the day that ended.
struct Recipient {
    name: String,
    /// Where its record sends reports; nowhere where it has none.
    rua: Option<String>,
    sessions: u64,
}

/// The recipients: half of those that ask for reports have a mailbox, half a URI.
fn recipients(trial: &Trial, mailbox: &str, uri: &str) -> Vec<Recipient> {
    let asking = (0..trial.reports).map(|number| Recipient {
        name: format!("recipient-{number}.test"),
        rua: Some(match number % 2 {
            0 => format!("mailto:{mailbox}"),
            _ => format!("{uri}/{number}"),
        }),
        sessions: 1 + number % 7,
    });
    let silent = (0..trial.reports.div_ceil(SILENT_EVERY)).map(|number| Recipient {
        name: format!("silent-{number}.test"),
        rua: None,
        sessions: 1,
    });
    asking.chain(silent).collect()
}

/// A host whose day is over, with the reports to be sent at once.
fn host_with(trial: &Trial) -> (Host, Vec<Recipient>) {
    let mut host = Host::new();
    let uri = host.put_up_report_host(REPORT_HOST);
    // Both destinations are one host each, and the trial is to take a minute, not an hour.
    host.set("deliver.per_host_per_minute", 0);
    let recipients = recipients(trial, host.internet.inbox.mailbox(), &uri);
    for recipient in &recipients {
        if let Some(rua) = &recipient.rua {
            host.publish_rua(&recipient.name, rua);
        }
    }
    host.counted_before(recipients.iter().map(|recipient| {
        Before::without_policy(
            host.day,
            &recipient.name,
            Counted::Successes,
            recipient.sessions,
        )
    }));
    set_clock_after_night_of(&host, host.day);
    (host, recipients)
}

/// How the deliveries stand on the disk of a daemon that is dead, by domain. A copy is opened, so that the next
/// daemon finds what the last one left, and not what our look has made of it.
fn on_disk(host: &Host) -> BTreeMap<String, DeliveryState> {
    let (store, copy) = (host.file("store"), host.file("store.copy"));
    let mut command = Command::new("cp");
    let status = command.arg("-r").arg(&store).arg(&copy).status();
    assert!(status.unwrap().success());
    let config = StoreConfig {
        path: copy.clone(),
        free_space_min_mib: 0,
        ..StoreConfig::default()
    };
    let deliveries = SledStore::open(&config).unwrap().deliveries(host.day);
    fs::remove_dir_all(&copy).unwrap();
    let deliveries = deliveries.unwrap().into_iter();
    deliveries
        .map(|(key, state)| (key.domain.to_string(), state))
        .collect()
}

/// A report as a receiver took it.
struct Taken {
    report: Value,
    /// The file, packed as it came.
    file: Vec<u8>,
    /// Of one that came by mail.
    message_id: Option<String>,
}

/// Everything that was taken, by the domain that it is about.
fn taken(host: &Host) -> BTreeMap<String, Vec<Taken>> {
    let mails = host.internet.inbox.messages().into_iter().map(|message| {
        let mail = ReportMail::parse(&message.data).unwrap();
        Taken {
            report: serde_json::from_slice(&mail.json).unwrap(),
            message_id: Some(mail.field("Message-ID").unwrap().to_owned()),
            file: mail.file,
        }
    });
    let posts = host.internet.policy_hosts.requests().into_iter();
    let posts = posts.map(|request| {
        assert_eq!((&*request.host, &*request.method), (REPORT_HOST, "POST"));
        Taken {
            report: report(&request),
            file: request.body,
            message_id: None,
        }
    });
    let mut taken: BTreeMap<String, Vec<Taken>> = BTreeMap::new();
    for each in mails.chain(posts) {
        let about = each.report["policies"][0]["policy"]["policy-domain"].as_str();
        let about = about.unwrap().to_owned();
        taken.entry(about).or_default().push(each);
    }
    taken
}

/// What the kills came to.
#[derive(Default)]
struct Lives {
    /// Kills while something was left to send.
    kills: u64,
    /// Which attempts at a domain's report were under way when a daemon died: the answers to them may have been
    /// lost.
    cut_short: BTreeMap<String, BTreeSet<u32>>,
    /// Kills that cut an attempt short.
    hits: u64,
    /// Reports that were sent when the last daemon was killed.
    sent: u64,
}

/// How many reports a daemon sends to a host at once; and one that is to send less than it could.
const AT_ONCE: i64 = 4;
const AT_ONCE_WHEN_AHEAD: i64 = 1;

/// Kills one daemon after the other at random moments, so that the last one has something left to do.
fn live_and_die(host: &mut Host, trial: &Trial) -> Lives {
    let mut lives = Lives::default();
    let mut pause_max_us = 50_000;
    let mut at_once = AT_ONCE;
    for kill in 0..trial.kills {
        host.set("deliver.per_host_max", at_once);
        host.write_config();
        let daemon = host.start();
        let random = mixed(trial.seed ^ mixed(kill));
        // One in four may die before it has begun to send.
        let pause_min_us = match random % 4 {
            0 => 0,
            _ => pause_max_us / 2,
        };
        let pause_us = pause_min_us + mixed(random) % (pause_max_us - pause_min_us);
        // The moment is what the trial is about; nothing is waited for.
        std::thread::sleep(Duration::from_micros(pause_us));
        daemon.kill();
        let states = on_disk(host);
        let is_sent = |state: &&DeliveryState| matches!(state.step, Step::Sent(_));
        lives.sent = states.values().filter(is_sent).count() as u64;
        if lives.sent == trial.reports {
            return lives;
        }
        lives.kills += 1;
        // One that an earlier death cut short, and that this daemon had not come to, is there already.
        let mut is_hit = false;
        let is_under_way = |state: &DeliveryState| matches!(state.step, Step::Sending(_));
        for (domain, state) in states.iter().filter(|(_, state)| is_under_way(state)) {
            let attempts = lives.cut_short.entry(domain.clone()).or_default();
            is_hit |= attempts.insert(state.attempts);
        }
        lives.hits += u64::from(is_hit);
        // An even share for each life, and a tenth for the one that is left alone.
        let share = trial.reports * 9 / 10 * (kill + 1) / trial.kills;
        (pause_max_us, at_once) = match lives.sent < share {
            true => ((pause_max_us * 3 / 2).min(2_000_000), AT_ONCE),
            // However soon a daemon is killed, it has sent something.
            false => ((pause_max_us * 2 / 3).max(1_000), AT_ONCE_WHEN_AHEAD),
        };
    }
    lives
}

/// The whole trial.
fn kill_while_sending(trial: &Trial) -> Lives {
    let (mut host, recipients) = host_with(trial);
    let lives = live_and_die(&mut host, trial);
    let daemon = host.start();
    let day = host.day.to_string();
    let listed = until("every report is sent", || {
        let listed = host.json(&["report", "list", "--day", &day]);
        let deliveries = listed["deliveries"].as_array().unwrap();
        let sent = deliveries.iter().filter(|each| each["state"] == "sent");
        (sent.count() as u64 == trial.reports).then(|| deliveries.clone())
    });
    assert_eq!(listed.len() as u64, trial.reports);
    assert!(daemon.stop().success());

    // Nothing is left to whoever comes next.
    let daemon = host.start();
    let again = host.json(&["report", "send", "--day", &day]);
    let outcomes = again["reports"].as_array().unwrap().iter();
    let outcomes: BTreeSet<_> = outcomes
        .map(|each| each["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, BTreeSet::from(["already-sent", "no-destination"]));
    assert!(daemon.stop().success());

    let taken = taken(&host);
    let listed: BTreeMap<&str, &Value> = listed
        .iter()
        .map(|each| (each["domain"].as_str().unwrap(), each))
        .collect();
    for recipient in &recipients {
        let copies = taken.get(&recipient.name).map_or(&[][..], Vec::as_slice);
        let cut_short = lives
            .cut_short
            .get(&recipient.name)
            .map_or(0, BTreeSet::len);
        let listed = listed.get(&*recipient.name).copied();
        check(recipient, copies, cut_short, listed);
    }
    let copies: usize = taken.values().map(Vec::len).sum();
    let second = copies as u64 - trial.reports;
    let chances: usize = lives.cut_short.values().map(BTreeSet::len).sum();
    println!(
        "{} reports, {} kills: {} of these cut attempts short, {chances} in all, and {} reports were sent before the \
         last; {copies} copies were taken, {second} of them second ones",
        trial.reports, lives.kills, lives.hits, lives.sent
    );
    lives
}

/// What was taken of one recipient's report, at which so many attempts were cut short.
fn check(recipient: &Recipient, copies: &[Taken], cut_short: usize, listed: Option<&Value>) {
    let name = &recipient.name;
    if recipient.rua.is_none() {
        assert_eq!((copies.len(), listed), (0, None), "{name} asks for nothing");
        return;
    }
    let listed = listed.unwrap();
    // Those, and the one whose answer was heard: nothing else is tried again here.
    assert_eq!(listed["attempts"], cut_short + 1, "{name}: {listed}");
    assert!(!copies.is_empty(), "{name} is lost");
    assert!(
        copies.len() <= cut_short + 1,
        "{name}: {} copies, and {cut_short} answers that may have been lost",
        copies.len()
    );
    for copy in copies {
        let summary = &copy.report["policies"][0]["summary"];
        let sessions = &summary["total-successful-session-count"];
        assert_eq!(*sessions, recipient.sessions, "{name}");
        assert_eq!(copy.report["report-id"], listed["report_id"], "{name}");
        assert_eq!(copy.file, copies[0].file, "{name}: another report");
    }
    let ids: BTreeSet<_> = copies.iter().flat_map(|copy| &copy.message_id).collect();
    let mails = copies.iter().filter(|copy| copy.message_id.is_some());
    assert_eq!(ids.len(), mails.count(), "{name}: one Message-ID twice");
}
