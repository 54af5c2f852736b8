//! A store that may not grow: days pass, the quota takes the oldest, and everybody who could miss them is told.

use sealpost::{
    clock::UtcDay,
    record::{Failure, protection::Protection},
    store::Counted,
};
use sealpost_plugin_api::ResultType;
use serde_json::Value;

use super::{
    days::{deliver_well, set_clock_after_night_of, wait_until_sent},
    host::{Before, Host, field, until},
    page::browser::{At, Browser},
};

/// A detail that takes more than half a KiB.
fn detail(number: usize) -> Counted {
    Counted::Detail(Failure {
        mx: Some(format!("mx{number}.{}", "x".repeat(480))),
        ..Failure::of_policy(ResultType::CertificateExpired, "expired")
    })
}

/// Of each of these days as many details of one domain, and a session with a second one.
fn days_of_details(host: &Host, days: std::ops::Range<u32>, details: usize) {
    let mut rows = Vec::new();
    for back in days {
        let day = UtcDay(host.day.0 - back);
        for number in 0..details {
            rows.push((day, "heavy.test", detail(number), 1));
        }
        let clear = Counted::Protected(Protection::Clear);
        rows.push((day, "light.test", clear, 3));
        rows.push((day, "light.test", Counted::Successes, 3));
    }
    host.counted_before(rows.into_iter().map(|(day, domain, counted, sessions)| {
        Before::without_policy(day, domain, counted, sessions)
    }));
}

/// Failed sessions of today, each with words of its own.
fn tell_failures(host: &Host, first: usize, count: usize) {
    let answer = host.say("MX\tcorrect.test\tmx.correct.test");
    let policy = field(&answer, "policy").to_owned();
    let lines: Vec<String> = (first..first + count)
        .map(|number| {
            format!(
                "SESSION\tcorrect.test\tpolicy={policy}\tmx=mx.correct.test\tresult=certificate-expired\
                 \treason={number}-{}",
                "x".repeat(60)
            )
        })
        .collect();
    for lines in lines.chunks(100) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert!(host.say_all(&lines).iter().all(|answer| answer == "OK"));
    }
    // Asked for, they are on the disk.
    let _written = host.json(&["sessions", "--domain", "correct.test"]);
}

/// How many sessions fail on a bad day: no more than are kept singly.
const BAD_DAY: usize = 1_000;

fn quota(host: &Host) -> Value {
    host.json(&["status"])["store"]["quota"].clone()
}

/// Waits until the quota has taken this part of some day, and says up to which.
fn taken(host: &Host, part: &str) -> String {
    // The next look is ten minutes off.
    host.advance_clock_seconds(601);
    until("the quota has taken something", || {
        let quota = quota(host);
        let forgotten = quota["forgotten"].as_array()?.iter();
        let mut of_part = forgotten.filter(|each| each["part"] == part);
        Some(of_part.next()?["until"].as_str().unwrap().to_owned())
    })
}

fn doctor_finds(host: &Host) -> Vec<String> {
    let found = host.json(&["doctor", "store"]);
    let findings = found["examinations"][0]["findings"].as_array().unwrap();
    let names = findings.iter().map(|each| each["trap"].as_str().unwrap());
    names
        .filter(|name| name.starts_with("store-quota"))
        .map(str::to_owned)
        .collect()
}

/// The page on health has these words on the quota, in English and Japanese.
fn the_page_says(host: &Host, words: [&str; 2]) {
    let heads = ["Quota of the store</dt>", "ストアの容量上限</dt>"];
    for ((language, head), words) in ["en", "ja"].into_iter().zip(heads).zip(words) {
        let mut browser = Browser::at(At::Unix(host.file("page.sock")));
        let header = ("Accept-Language".to_owned(), language.to_owned());
        browser.headers.push(header);
        browser.shows("/health", &[head, words]);
    }
}

/// Of days that the quota took from the twentieth before today on.
fn whoever_could_miss_them_is_told(host: &Host, cut_until: UtcDay) {
    // The statement says since when it is whole, and is.
    let first = UtcDay(host.day.0 - 20);
    let statement = host.json(&["evidence", "--from", &first.to_string()]);
    assert_eq!(statement["held_since"], cut_until.next().to_string());
    let days = statement["days"].as_array().unwrap();
    assert_eq!(days.len(), (host.day.0 - cut_until.0 - 1) as usize);
    let told = format!("What was counted up to {cut_until} was forgotten before its time");
    let notes = statement["notes"].to_string();
    assert!(notes.contains(&told), "{notes}");
    // One that begins behind says nothing of it.
    let behind = cut_until.next().to_string();
    let statement = host.json(&["evidence", "--from", &behind]);
    assert!(!statement["notes"].to_string().contains("before its time"));

    // The log of decisions has each day, and the operator is told wherever he looks.
    let audit = host.json(&["audit"]);
    let entries = audit["entries"].as_array().unwrap().iter();
    let noted: Vec<&str> = entries
        .filter(|each| each["kind"] == "counts-forgotten")
        .map(|each| each["words"].as_str().unwrap())
        .collect();
    let taken_days = (cut_until.0 - first.0 + 1) as usize;
    assert_eq!(noted.len(), taken_days);
    assert!(
        noted[0].starts_with(&format!("what was counted on {first}: ")),
        "{noted:?}"
    );
    let status = host.shown(&["status"]);
    assert!(
        status.contains(&format!("; counts forgotten up to {cut_until}")),
        "{status}"
    );
    assert_eq!(doctor_finds(host), ["store-quota-eats-days"]);
    the_page_says(
        host,
        [
            &format!(" MiB; counts are forgotten up to {cut_until}</dd>"),
            &format!(" MiB、集計は {cut_until} 分まで削除済み</dd>"),
        ],
    );
    let metrics = host.shown(&["status", "--metrics"]);
    let counted = format!("sealpost_store_quota_forgotten_total{{part=\"counts\"}} {taken_days}");
    assert!(metrics.contains(&counted), "{metrics}");
    host.wait_for_log("forgotten before its time: the store held more than it may");
}

#[test]
fn the_oldest_days_go_first_and_whoever_could_miss_them_is_told() {
    let mut host = Host::new();
    host.set("store.size_max_mib", 1);
    host.set("page.path", "page.sock");
    days_of_details(&host, 1..21, 70);
    let today = host.day;
    let daemon = host.start();
    until("the store was looked at", || {
        quota(&host).is_object().then_some(())
    });
    assert_eq!(quota(&host)["forgotten"], serde_json::json!([]));
    assert_eq!(doctor_finds(&host), [""; 0]);

    // A bad day, which is twice in the store: in sums, and one by one.
    deliver_well(&host, "correct.test");
    tell_failures(&host, 0, BAD_DAY);
    let cut_until = taken(&host, "counts");
    let cut_until: UtcDay = cut_until.parse().unwrap();
    assert!(cut_until < UtcDay(today.0 - 7), "{cut_until}");
    let stands = quota(&host);
    assert_eq!(stands["is_exceeded"], false);
    assert!(stands["held_octets"].as_u64().unwrap() <= 1024 * 1024);
    assert_eq!(stands["forgotten"].as_array().unwrap().len(), 1);

    whoever_could_miss_them_is_told(&host, cut_until);

    // The day that was not reported yet is reported, whole.
    set_clock_after_night_of(&host, today);
    wait_until_sent(&host, today, "correct.test");
    assert_eq!(
        host.counted(today, Some("correct.test")),
        (1, BAD_DAY as u64)
    );

    // Days pass, with another bad one: of what is old now, single failures go before sums.
    let later = UtcDay(today.0 + 9);
    host.set_clock(later.first_second().plus_seconds(40_000));
    tell_failures(&host, BAD_DAY, BAD_DAY);
    let failures_until = taken(&host, "failures");
    assert_eq!(failures_until, today.to_string());
    let day = today.to_string();
    let singly = host.json(&["sessions", "--failures", "--day", &day]);
    assert_eq!(singly["failures"].as_array().unwrap().len(), 0);
    assert!(daemon.stop().success());

    // A restart forgets nothing of that.
    let daemon = host.start();
    assert_eq!(taken(&host, "failures"), failures_until);
    assert!(daemon.stop().success());
}

#[test]
fn where_nothing_more_may_go_recording_goes_on_with_an_alarm() {
    let mut host = Host::new();
    host.set("store.size_max_mib", 1);
    host.set("page.path", "page.sock");
    // More than the quota, all of the last week.
    days_of_details(&host, 1..4, 800);
    let daemon = host.start();
    until("the store was looked at", || {
        (quota(&host)["is_exceeded"] == true).then_some(())
    });
    assert_eq!(quota(&host)["forgotten"], serde_json::json!([]));
    deliver_well(&host, "correct.test");
    assert_eq!(host.counted(host.day, Some("correct.test")), (1, 0));
    let output = host.run(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("and nothing more may go"), "{said}");
    assert!(doctor_finds(&host).contains(&"store-quota-exceeded".to_owned()));
    the_page_says(
        &host,
        [
            " MiB; more is held than may be, and nothing more may go</dd>",
            " MiB、上限を超えていますが、これ以上削除できるものがありません</dd>",
        ],
    );
    host.wait_for_log("the store holds more than it may, and nothing more may go");
    assert!(daemon.stop().success());
}
