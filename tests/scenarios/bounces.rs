//! Reports that are refused at the destination, after an MTA took them: its notification goes back to the envelope
//! sender, and by the lines of `docs/guide/bounces.md` into `sealpost bounce`.

use std::{fs, io::Write as _, os::unix::fs::chown};

use super::pages::block;
use crate::mta::{
    comes_true,
    exim::{Build, SEALPOST_ID},
    laboratory::{Daemon, Laboratory},
    namespace::INSIDE,
    postfix::{PostfixHost, Version},
    wait_until,
    world::{PLUGIN_SOCKET, World},
};

const PAGE: &str = include_str!("../../docs/guide/bounces.md");

/// Where the bounces go, by the page.
const BOUNCES: &str = "tls-bounces@sender.test";

/// A block of the page, for a reader's own domain.
fn lines(first: &str) -> String {
    block(PAGE, first).replace("example.org", "sender.test")
}

fn suppressed(daemon: &Daemon<'_>) -> Vec<String> {
    let listed = daemon.json(&["suppression", "list", "--json"]);
    let listed = listed["suppressions"].as_array().unwrap().iter();
    listed
        .map(|each| each["destination"].as_str().unwrap().to_owned())
        .collect()
}

/// The mail host of the inbox knows none of its mailboxes any more.
fn refuse_reports(laboratory: &Laboratory) {
    laboratory.ask("behave mx.reports.test knows-no-recipient");
}

#[test]
fn f9_f20_exims_bounce_of_a_report_suppresses_its_mailbox_and_waits_for_a_daemon_that_is_down() {
    let Some(world) = World::start(Build::Light) else {
        return;
    };
    let exim = lines("sealpost_bounce:");
    let (router, transport) = exim.split_once("\n\n").unwrap();
    assert!(transport.contains("driver = pipe"), "{exim}");
    world.configure(&[
        ("begin routers\n", &format!("begin routers\n\n{router}\n")),
        (
            "begin transports\n",
            &format!("begin transports\n\n{transport}\n"),
        ),
        ("tlsrpt@sender.test", BOUNCES),
        // Nothing is delivered until it is asked for.
        (
            "never_users = root",
            "never_users = root\ntrusted_users = sealpost\nqueue_only = true",
        ),
    ]);
    world.lend_to(SEALPOST_ID);
    let sendmail = format!("via = \"sendmail\"\nsendmail = \"{INSIDE}/exim4\"");
    world.configure_daemon(&sendmail, BOUNCES);
    world.begin_day();
    let daemon = world.go_on_with_daemon(world.program_of(SEALPOST_ID));
    world.tell_session("correct.test");
    refuse_reports(&world);
    let sent = daemon.end_day();
    assert!(sent.status.success(), "{sent:?}\n{}", world.daemon_log());
    assert!(suppressed(&daemon).is_empty());
    daemon.kill();

    // The report comes back, and the daemon is down.
    world.run_queue();
    let log = world.exim.main_log();
    assert!(log.contains("** tlsrpt@reports.test"), "{log}");
    world.run_queue();
    let log = world.exim.main_log();
    let deferred = format!("== {BOUNCES} R=sealpost_bounce T=sealpost_bounce defer");
    let line = log.lines().find(|line| line.contains(&deferred));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("returned 75"), "{line}");

    let daemon = world.go_on_with_daemon(world.program_of(SEALPOST_ID));
    assert!(suppressed(&daemon).is_empty());
    world.run_queue();
    let log = format!("{}\n{}", world.exim.main_log(), world.daemon_log());
    assert_eq!(suppressed(&daemon), ["mailto:tlsrpt@reports.test"], "{log}");
    let explained = daemon.command(&["suppression", "explain", "tlsrpt@reports.test"]);
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(explained.contains("550 5.1.1"), "{explained}");
    // Nothing is left of it, and nobody was sent anything.
    let queue = world.host.run(&format!("{INSIDE}/exim4"), &["-bpc"]);
    assert_eq!(String::from_utf8_lossy(&queue.stdout).trim(), "0", "{log}");
    assert_eq!(world.exim.panic_log(), "");
}

/// A report is on its way to a mailbox that is gone, through Postfix, whose configuration is the page's.
struct Postfix {
    host: PostfixHost,
    user: u32,
}

impl Postfix {
    /// A host whose bounces are dealt with by what these blocks of the page have typed.
    fn start(typed: &[&str]) -> Option<Self> {
        let host = PostfixHost::fresh(Version::V3_10)?;
        let user = host.make_user();
        let home = host.path("root/var/lib/sealpost");
        fs::create_dir_all(&home).unwrap();
        chown(&home, Some(user), Some(user)).unwrap();
        // The files of the page.
        let master = host.path("etc/postfix/master.cf");
        let mut master = fs::File::options().append(true).open(master).unwrap();
        let service = lines("sealpost-bounce unix - n n - 1 pipe");
        master.write_all(service.as_bytes()).unwrap();
        for (file, first) in [
            ("transport", "# /etc/postfix/transport"),
            ("virtual", "# /etc/postfix/virtual"),
        ] {
            fs::write(host.path("etc/postfix").join(file), lines(first)).unwrap();
        }
        let postfix = Self { host, user };
        for line in typed.iter().flat_map(|first| {
            let block = lines(first);
            block.lines().map(str::to_owned).collect::<Vec<_>>()
        }) {
            postfix.types(line.strip_prefix("# ").unwrap());
        }
        let relay = "via = \"relay\"\nrelay = \"127.0.0.1:25\"";
        postfix.host.configure("sender.test", relay, PLUGIN_SOCKET);
        postfix.host.set_envelope_sender(BOUNCES);
        postfix.host.begin_day();
        Some(postfix)
    }

    fn start_daemon(&self) -> Daemon<'_> {
        let program = self.host.program_in_root_of(self.user, &[]);
        self.host.go_on_with_daemon(program)
    }

    /// The day's report is handed to Postfix.
    fn sends_report(&self, daemon: &Daemon<'_>) {
        self.host.tell_session("sts-enforce.test");
        refuse_reports(&self.host);
        let sent = daemon.end_day();
        assert!(
            sent.status.success(),
            "{sent:?}\n{}",
            self.host.daemon_log()
        );
    }

    /// Types a command as root that must succeed, and gives what it says.
    fn types(&self, command: &str) -> String {
        let output = self
            .host
            .typed("sh")
            .args(["-c", command])
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits for a line of Postfix's log that has all of these words.
    fn says(&self, words: &[&str]) {
        self.says_while(words, || {});
    }

    /// Has what is deferred tried until Postfix says so: a queue manager that is being replaced, after a reload,
    /// forgets that it was asked.
    fn tries_until(&self, words: &[&str]) {
        self.says_while(words, || {
            self.types("postqueue -f");
        });
    }

    fn says_while(&self, words: &[&str], before_each_look: impl Fn()) {
        let has_all = |line: &str| words.iter().all(|word| line.contains(word));
        let came = comes_true(|| {
            before_each_look();
            self.host.mail_log().lines().any(has_all)
        });
        assert!(came, "{words:?}: {}", self.host.mail_log());
    }
}

#[test]
fn f9_f20_postfixs_bounce_of_a_report_suppresses_its_mailbox_and_waits_for_a_daemon_that_is_down() {
    let typed = "# postmap /etc/postfix/transport /etc/postfix/virtual";
    let Some(postfix) = Postfix::start(&[typed]) else {
        return;
    };
    let set = postfix.types("postconf -h transport_maps virtual_alias_maps");
    assert_eq!(
        set,
        "hash:/etc/postfix/transport\nhash:/etc/postfix/virtual\n"
    );
    // Not on the page: what is for others waits.
    postfix.types("postconf -e defer_transports=smtp && postfix reload");
    let daemon = postfix.start_daemon();
    // Somebody's report about us, as it were, comes to the same address by SMTP, for which it must be known.
    let to_us = format!("v=TLSRPTv1; rua=mailto:{BOUNCES}");
    postfix
        .host
        .ask(&format!("txt _smtp._tls.sts-testing.test {to_us}"));
    postfix.host.tell_session("sts-testing.test");
    postfix.sends_report(&daemon);
    let passed_over = "the mail is passed over: it is no bounce";
    postfix.says(&["relay=sealpost-bounce", "status=sent", passed_over]);
    assert!(suppressed(&daemon).is_empty());
    daemon.kill();

    // The report comes back, and the daemon is down.
    postfix.types("postconf -e defer_transports= && postfix reload");
    postfix.tries_until(&["to=<tlsrpt@reports.test>", "status=bounced"]);
    postfix.says(&["relay=sealpost-bounce", "status=deferred", "try again"]);

    let daemon = postfix.start_daemon();
    assert!(suppressed(&daemon).is_empty());
    let taken = "mailto:tlsrpt@reports.test is suppressed until";
    postfix.tries_until(&["relay=sealpost-bounce", "status=sent", taken]);
    assert_eq!(suppressed(&daemon), ["mailto:tlsrpt@reports.test"]);
    let explained = daemon.command(&["suppression", "explain", "tlsrpt@reports.test"]);
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(explained.contains("5.1.1"), "{explained}");
    wait_until("nothing is left of it", || {
        postfix.types("postqueue -p").contains("is empty")
    });
}

#[test]
fn f9_f20_a_bounce_comes_through_an_alias_and_a_forward_file() {
    let typed = "# usermod --home /var/lib/sealpost sealpost";
    let Some(postfix) = Postfix::start(&[typed]) else {
        return;
    };
    let daemon = postfix.start_daemon();
    postfix.sends_report(&daemon);
    let command = "delivered to command: /usr/local/bin/sealpost bounce";
    postfix.says(&["relay=local", "status=sent", command]);
    assert_eq!(suppressed(&daemon), ["mailto:tlsrpt@reports.test"]);
}
