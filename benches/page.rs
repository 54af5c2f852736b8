//! How long the web page, and a statement for auditors, take where there are many domains:
//! `cargo bench --bench page [-- DOMAINS [DAYS]]`.
//!
//! The real store on the working directory's disk, the daemon's own parts behind the page, its unix socket,
//! and a client that reads each answer to the end. A day as it is counted has three rows a domain.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

use sealpost::{
    clock::{Clock as _, SystemClock, UtcDay},
    config::{Loaded, StoreConfig, load::load},
    ctl::control::{Control as _, EvidenceQuestion},
    daemon::{operator::Operator, parts::Parts},
    deliver::{DeliveryKey, DeliveryState, Step},
    net::activation::Activated,
    observe::audit::{AuditEntry, AuditKind},
    page::{self, SignIn, router},
    policy::{AppliedPolicy, Destination, PolicyDomain},
    record::{Failure, protection::Protection},
    store::{Batch, Counted, SledStore, Store as _, TallyKey},
};
use sealpost_plugin_api::ResultType;
use tokio::{runtime::Runtime, sync::watch};

mod child;
mod figures;
mod memory;

use child::run_child;
use figures::{now, say};
use memory::megabytes;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// How often each page is asked for.
const TIMES: usize = 20;

/// How many decisions are in the log: more than a large host makes in its 400 days.
const AUDIT_ENTRIES: usize = 50_000;

/// How many domains are written at once.
const BATCH: usize = 5_000;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["fill", directory, domains, days] => {
            return fill_in(Path::new(directory), domains.parse()?, days.parse()?);
        }
        ["look", directory] => return look(Path::new(directory)),
        _ => {}
    }
    let mut numbers = words
        .into_iter()
        .filter(|word| word.parse::<usize>().is_ok());
    let domains = numbers.next().unwrap_or("100000");
    let days = numbers.next().unwrap_or("3");
    let directory = tempfile::tempdir_in(".")?;
    let path = directory.path().to_str().ok_or("a path of other letters")?;
    run_child(&["fill", path, domains, days])?;
    run_child(&["look", path])
}

fn configuration(directory: &Path) -> Outcome<Loaded> {
    let file = directory.join("sealpost.toml");
    std::fs::write(
        &file,
        "[sender]\norganization = \"Example\"\ncontact = \"tlsrpt@sender.example\"\n[store]\npath = \"store\"\n\
         free_space_min_mib = 0\n[page]\npath = \"page.sock\"\n[dane]\nvalidation = \"off\"\n\
         [control_socket]\npath = \"control.sock\"\n",
    )?;
    Ok(load(&file)?)
}

fn fill_in(directory: &Path, domains: usize, days: usize) -> Outcome {
    let loaded = configuration(directory)?;
    let began = now();
    let today = SystemClock.now().day();
    fill(&loaded.config.store, today, domains, days)?;
    say(&format!(
        "{domains} domains, {days} days; filled in {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    weigh(&loaded.config.store)
}

/// What an operator looks at.
fn look(directory: &Path) -> Outcome {
    let loaded = configuration(directory)?;
    let today = SystemClock.now().day();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let (_stop, stopping) = watch::channel(false);
    let clock = Arc::new(SystemClock);
    let _inside = runtime.enter();
    let mut parts = Parts::start(&loaded, Arc::clone(&clock) as _)?;
    // Nobody notes anything here, and nobody shall be waited for who writes it.
    drop(parts.audit_queue.take());
    let operator = Arc::new(Operator::new(&parts, loaded.clone(), clock.now()));
    let settings = &loaded.config.page;
    let sockets = page::open(settings, &mut Activated::none())?;
    let sign_in = Arc::new(SignIn::new(&settings.token_file, clock)?);
    let pages = router(Arc::clone(&operator) as _, sign_in, settings);
    runtime.spawn(sockets.serve(pages, stopping));

    let yesterday = today.previous();
    let began = now();
    while ask(&settings.path, "/")?.contains("role=\"status\"") {
        std::thread::sleep(Duration::from_millis(50));
    }
    say(&format!(
        "the first look, until all days were read: {:.2} s; peak {:.0} MB",
        began.elapsed().as_secs_f64(),
        megabytes("VmHWM")
    ));
    for path in [
        "/domains",
        "/domains?page=1999",
        "/domains?q=77",
        "/domains?q=domain00077&sort=sessions",
        "/domains/domain00077.example",
        "/policies",
        "/",
        &format!("/reports?day={yesterday}"),
        &format!("/reports?day={yesterday}&state=given-up&q=99"),
        "/audit",
        "/alerts",
        "/health",
    ] {
        measure(&settings.path, path)?;
    }
    let oldest = parts.store.store.days()?.first().copied();
    state(&runtime, &operator, oldest.unwrap_or(today))
}

/// What protected the mail of all these days: of every domain, and of one.
fn state(runtime: &Runtime, operator: &Operator, from: UtcDay) -> Outcome {
    for domain in [None, Some("domain00077.example".parse()?)] {
        let about = domain
            .as_ref()
            .map_or("all domains".to_owned(), PolicyDomain::to_string);
        let question = EvidenceQuestion {
            from,
            to: None,
            domain,
        };
        let began = now();
        let stated = runtime.block_on(operator.evidence(question));
        let stated = stated.map_err(|refusal| refusal.message)?;
        let rows = stated.domains.len();
        let taken = began.elapsed().as_secs_f64();
        let octets = serde_json::to_vec(&stated)?.len();
        say(&format!(
            "a statement of {from} and later, {about}: {taken:.2} s, {rows} rows, {} KiB; peak {:.0} MB",
            octets / 1_024,
            megabytes("VmHWM")
        ));
    }
    Ok(())
}

/// What is held, as the quota has it seen each hour.
fn weigh(config: &StoreConfig) -> Outcome {
    let store = SledStore::open(config)?;
    let began = now();
    let held = store.holdings()?;
    let megabytes = |octets: u64| octets / 1_000_000;
    say(&format!(
        "what is held was weighed in {:.2} s: {} MB in a file of {} MB",
        began.elapsed().as_secs_f64(),
        megabytes(held.octets()),
        megabytes(store.file_octets()?)
    ));
    Ok(())
}

/// Days of sessions, up to today: most well, one domain in twenty not; yesterday's reports are sent.
fn fill(config: &StoreConfig, today: UtcDay, domains: usize, days: usize) -> Outcome {
    let store = SledStore::open(config)?;
    let names: Vec<PolicyDomain> = (0..domains)
        .map(|number| format!("domain{number:05}.example").parse())
        .collect::<Result<_, _>>()?;
    let mut day = today;
    for _ in 0..days {
        for part in names.chunks(BATCH) {
            let mut batch = Batch::default();
            for (number, domain) in part.iter().enumerate() {
                day_of(&mut batch, day, domain, number);
            }
            store.commit(&batch)?;
        }
        if day < today {
            store.seal(day)?;
        }
        day = day.previous();
    }
    let noted = |number: usize| {
        let at = today.first_second();
        let words = format!("enforce, mx{number}.example");
        let entry = AuditEntry::new(at, AuditKind::PolicyChanged, words);
        match names.get(number % names.len().max(1)) {
            Some(domain) => entry.about(domain),
            None => entry,
        }
    };
    for from in (0..AUDIT_ENTRIES).step_by(BATCH) {
        let entries: Vec<_> = (from..AUDIT_ENTRIES.min(from + BATCH)).map(noted).collect();
        store.append_audit(&entries)?;
    }
    let yesterday = today.previous();
    let sent = Step::Sent(today.first_second().plus_seconds(7_200));
    for part in names.chunks(BATCH) {
        let states: Vec<_> = part
            .iter()
            .map(|domain| {
                let key = DeliveryKey {
                    day: yesterday,
                    domain: domain.clone(),
                    destination: Destination::Mail(format!("tlsrpt@{domain}")),
                };
                let state = DeliveryState {
                    report_id: format!("{yesterday}.{domain}@sender.example"),
                    attempts: 1,
                    first_attempt_at: Some(today.first_second().plus_seconds(7_190)),
                    step: sent.clone(),
                };
                (key, state)
            })
            .collect();
        store.put_deliveries(&states)?;
    }
    Ok(())
}

fn day_of(batch: &mut Batch, day: UtcDay, domain: &PolicyDomain, number: usize) {
    let policy = AppliedPolicy::no_policy_found(domain.clone());
    let row = |counted| TallyKey {
        day,
        domain: domain.clone(),
        policy: policy.fingerprint(),
        counted,
    };
    let sessions = 1 + (number % 37) as u64;
    if number.is_multiple_of(20) {
        let failure = Failure::of_policy(ResultType::StarttlsNotSupported, "starttls-not-offered");
        batch.totals.insert(row(Counted::Failures), sessions);
        batch.totals.insert(row(Counted::Detail(failure)), sessions);
        batch
            .totals
            .insert(row(Counted::Protected(Protection::Clear)), sessions);
    } else {
        batch.totals.insert(row(Counted::Successes), sessions);
        batch
            .totals
            .insert(row(Counted::Protected(Protection::Tls)), sessions);
    }
    batch.policies.insert(policy.fingerprint(), policy);
}

/// Asks for a page and gives all of the answer.
fn ask(socket: &Path, path: &str) -> Outcome<String> {
    let mut stream = UnixStream::connect(socket)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200") {
        Ok(answer)
    } else {
        Err(format!("{path}: {}", answer.lines().next().unwrap_or_default()).into())
    }
}

fn measure(socket: &Path, path: &str) -> Outcome {
    let mut taken = Vec::new();
    let mut octets = 0;
    for _ in 0..TIMES {
        let began = now();
        octets = ask(socket, path)?.len();
        taken.push(began.elapsed());
        // As people do: and while the newest days are read again behind it.
        std::thread::sleep(Duration::from_millis(150));
    }
    taken.sort_unstable();
    let millis = |place: usize| {
        taken
            .get(place)
            .map_or(0.0, |taken| taken.as_secs_f64() * 1_000.0)
    };
    say(&format!(
        "{path:<48} median {:>7.1} ms, slowest {:>7.1} ms, {} KiB",
        millis(TIMES / 2),
        millis(TIMES - 1),
        octets / 1_024
    ));
    Ok(())
}
