//! `docs/install/debian.md`, typed line by line into a shell of a clean Debian 13 with its Postfix: from the package
//! to a report in the inbox of who asked for it.

use std::{fs, io::Write as _};

use sealpost::clock::{Clock as _, SECONDS_PER_DAY, SystemClock};
use serde_json::Value;

use crate::{
    mta::{
        booted::{Booted, Debian},
        laboratory::set_clock,
        terminal::{Shell, typed_lines},
        truth::by_domain,
        wait_until,
    },
    scenarios::{
        daemon::page::browser::{At, Browser},
        pages::commands,
    },
};

const PAGE: &str = include_str!("../../../docs/install/debian.md");

/// The way back, in a hurry.
const TESTING_PAGE: &str = include_str!("../../../docs/guide/testing-first.md");

/// Where the page is said to be.
const PAGE_GUIDE: &str = include_str!("../../../docs/guide/page.md");

/// What is said of the units.
const SYSTEMD_PAGE: &str = include_str!("../../../docs/install/systemd.md");

/// Where to look on the first day.
const FIRST_DAY_PAGE: &str = include_str!("../../../docs/guide/first-day.md");

/// What to type for a backup, and what to restore it.
const BACKUP_PAGE: &str = include_str!("../../../docs/guide/backup.md");

/// How many commands it may take.
const COMMANDS_MAX: usize = 10;

/// What the laboratory needs and no user has: the small Internet is on addresses of loopback, its roots are its
/// own, and the disk may be nearly full.
const LABORATORY: &str = "\n[policy]\nallow_private_addresses = true\n\
    extra_roots = [\"/etc/ssl/certs/ca-certificates.crt\"]\n[store]\nfree_space_min_mib = 0\n";

/// The same for the daemon: a clock by which midnight can pass.
const DROP_IN: &str =
    "[Service]\nExecStart=\nExecStart=/usr/bin/sealpost serve --laboratory-clock /srv/clock\n";

/// A reader has names of their own.
fn with_own_names(page: &str) -> String {
    page.replace("example.com", "sender.test")
}

/// Publishes the TXT record of the zone-file lines that `dkim keygen` prints.
fn publish(host: &Booted, printed: &str) {
    let at = printed.find("tlsrpt._domainkey").unwrap();
    let record = printed[at..].split("\n\n").next().unwrap();
    let (name, _) = record.split_once(". IN TXT").unwrap();
    let text: String = record.split('"').skip(1).step_by(2).collect();
    assert!(text.starts_with("v=DKIM1"), "{printed}");
    host.ask(&format!("txt {name} {text}"));
}

fn successes(shell: &mut Shell, domain: &str) -> u64 {
    let said = shell.types(&format!("sealpost sessions --domain {domain} --json"));
    super::successes(&said)
}

#[test]
fn ten_commands_lead_from_the_package_to_a_delivered_report() {
    let Some(host) = Booted::boot(Debian::V13) else {
        return;
    };
    let (clock, day) = (host.file("/srv/clock"), SystemClock.now().day());
    set_clock(&clock, day, SECONDS_PER_DAY / 2);
    let drop_in = host.file("/etc/systemd/system/sealpost.service.d");
    fs::create_dir_all(&drop_in).unwrap();
    fs::write(drop_in.join("laboratory.conf"), DROP_IN).unwrap();

    let page = with_own_names(PAGE);
    let commands = typed_lines(&page);
    assert!(commands.len() <= COMMANDS_MAX, "{commands:#?}");
    let mut shell = Shell::start(host.typed("sh"));
    let domain = "sts-enforce.test";
    for command in &commands {
        if command.starts_with("sealpost report send") {
            // What the host is there for, and then the night.
            shell.types(&format!("echo hello | sendmail someone@{domain}"));
            wait_until("the session is counted", || {
                successes(&mut shell, domain) == 1
            });
            set_clock(&clock, day.next(), 60);
        }
        println!("# {command}");
        let said = shell.types(command);
        println!("{said}");
        if command.contains("> /etc/sealpost/sealpost.toml") {
            let file = host.file("/etc/sealpost/sealpost.toml");
            let mut file = fs::File::options().append(true).open(file).unwrap();
            file.write_all(LABORATORY.as_bytes()).unwrap();
        } else if command.contains("dkim keygen") {
            publish(&host, &said);
        }
    }

    host.ask("wait 1");
    let reports = by_domain(&host.ask("inbox"));
    let report = &reports[domain][0];
    // The kit knows its own keys alone, so by the record that was published.
    let mail = host.path("internet/inbox/1.eml");
    fs::copy(mail, host.file("/root/1.eml")).unwrap();
    let read = shell.types("sealpost report show ./1.eml --json");
    let read: Value = serde_json::from_str(&read).unwrap();
    assert_eq!(read["reports"][0]["dkim"]["result"], "pass", "{read}");
    let summary = &report["report"]["policies"][0]["summary"];
    assert_eq!(summary["total-successful-session-count"], 1, "{report}");
    // And the mail itself went by the policy.
    let log = shell.types("cat /var/log/mail.log");
    assert!(log.contains("Verified TLS connection established"), "{log}");

    a_backup_brings_it_all_back(&host, &mut shell, domain);
    units_are_changed_as_the_pages_say(&host, &mut shell);
    dane_is_put_to_audit_by_a_reload(&mut shell);
    the_page_opens_and_the_doctor_looks(&host, &mut shell);
    postfix_goes_back_to_what_it_had(&mut shell);
}

/// Everything that the page on backups has root type: the copy of the stopped daemon, that of the running one, the loss,
/// and the second copy in its place.
fn a_backup_brings_it_all_back(host: &Booted, shell: &mut Shell, domain: &str) {
    let mut lines = typed_lines(BACKUP_PAGE);
    let of_stopped = |line: &str| {
        lines
            .iter()
            .position(|each| each.starts_with(line))
            .unwrap()
    };
    let (stopped, restored) = (
        of_stopped("systemctl stop"),
        of_stopped("systemctl stop") + 3,
    );
    assert!(
        lines[0].starts_with("sealpost store copy") && stopped == 3,
        "{lines:#?}"
    );
    lines[..restored].rotate_left(stopped);
    assert!(
        lines.iter().any(|line| line.starts_with("tar -xzpf")),
        "{lines:#?}"
    );
    for line in &lines {
        shell.types(line);
    }
    let said = shell.types("sealpost report list --json");
    let list: Value = serde_json::from_str(&said).unwrap();
    let report = &list["deliveries"][0];
    assert_eq!(
        (&report["domain"], &report["state"]),
        (&domain.into(), &"sent".into()),
        "{list}"
    );
    // What was sent is not sent again.
    shell.types("sealpost report send --json || true");
    assert_eq!(by_domain(&host.ask("inbox"))[domain].len(), 1);
}

/// What the pages on Debian and systemd have in their text, by whoever has an editor and a terminal.
fn units_are_changed_as_the_pages_say(host: &Booted, shell: &mut Shell) {
    let editor = "#!/bin/sh\nfor file; do :; done\nprintf \"$DROP_IN\" > \"$file\"\n";
    fs::write(host.file("/root/editor"), editor).unwrap();
    shell.types("chmod 755 /root/editor && export SYSTEMD_EDITOR=/root/editor");
    let debian = commands(PAGE);
    let mut edit = |command: &str, drop_in: &str, property: &str, value: &str| {
        assert!(debian.iter().any(|typed| typed == command), "{debian:#?}");
        // It wants a terminal.
        let at_terminal = format!("script -qec '{command}' /dev/null < /dev/null");
        shell.types(&format!("DROP_IN='{drop_in}' {at_terminal}"));
        let unit = command.rsplit(' ').next().unwrap();
        let said = shell.types(&format!("systemctl show --value -p {property} {unit}"));
        assert_eq!(said.trim_end(), value, "{command}");
    };
    edit(
        "systemctl edit sealpost",
        "[Service]\\nSupplementaryGroups=adm\\n",
        "SupplementaryGroups",
        "adm",
    );
    edit(
        "systemctl edit sealpost.socket",
        "[Socket]\\nSocketMode=0666\\n",
        "SocketMode",
        "0666",
    );
    for start in ["systemctl stop", "chown -R", "systemctl daemon-reload"] {
        let typed = commands(SYSTEMD_PAGE);
        let command = typed.iter().find(|command| command.starts_with(start));
        shell.types(command.unwrap());
    }
    shell.types("systemctl start sealpost.socket sealpost-postfix.socket sealpost");
    let restart = debian
        .iter()
        .find(|command| command.starts_with("systemctl restart"));
    shell.types(restart.unwrap());
    let mode = shell.types("stat -c %a /run/sealpost/plugin.sock");
    assert_eq!(mode, "666\n");
    let log = commands(FIRST_DAY_PAGE);
    let log = log.iter().find(|command| command.starts_with("journalctl"));
    let said = shell.types(&format!("{} --no-pager", log.unwrap()));
    assert!(said.contains("sealpost is ready"), "{said}");
}

/// All of DANE, in a hurry.
fn dane_is_put_to_audit_by_a_reload(shell: &mut Shell) {
    let commands = commands(TESTING_PAGE);
    let reload = commands
        .iter()
        .find(|command| command.starts_with("systemctl reload"));
    shell.types("cat >> /etc/sealpost/sealpost.toml <<'END'\n[dane]\naudit = true\nEND");
    let looks = "sealpost check dane-ok.test --json";
    let is_audited = |said: &str| said.contains("\"audit\": true");
    assert!(!is_audited(&shell.types(looks)));
    shell.types(reload.unwrap());
    wait_until("DANE is audited", || is_audited(&shell.types(looks)));
}

/// The page at the socket that its guide names, by the units as they are; and what the doctor sees from there.
fn the_page_opens_and_the_doctor_looks(host: &Booted, shell: &mut Shell) {
    let set = "path = \"/run/sealpost/page.sock\"";
    assert!(PAGE_GUIDE.contains(set));
    shell.types(&format!(
        "cat >> /etc/sealpost/sealpost.toml <<'END'\n[page]\n{set}\nEND"
    ));
    shell.types("systemctl restart sealpost");
    let socket = host.file("/run/sealpost/page.sock");
    let mut browser = Browser::at(At::Unix(socket));
    let page = browser.get("/health");
    browser.post(&page, "/health/examine", &[]);
    let mut page = browser.get("/health");
    wait_until("the doctor has looked", || {
        page = browser.get("/health");
        page.text().contains("As it was at")
    });
    page.has(&["<code>roots</code>", "<code>postfix</code>"]);
    assert!(!page.text().contains("the doctor:"), "{}", page.text());
}

/// Everything, for now: Postfix asks nobody any more.
fn postfix_goes_back_to_what_it_had(shell: &mut Shell) {
    let asks = "postconf -n smtp_tls_policy_maps";
    assert!(shell.types(asks).contains("socketmap:"));
    let lines = typed_lines(TESTING_PAGE);
    let undo = lines.iter().position(|line| line.ends_with("--undo"));
    for line in lines.iter().skip(undo.unwrap()) {
        shell.types(line);
    }
    assert_eq!(shell.types(asks), "");
}
