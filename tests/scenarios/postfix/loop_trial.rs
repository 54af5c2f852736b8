//! Two hosts, each with Postfix and Sealpost, that send each other mail and then reports. A report is mail
//! too: were the session it travels by counted, there would be a report of it, and so on for ever.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::Shutdown,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
};

use sealpost_kit::ReportMail;

use crate::mta::{
    laboratory::Daemon,
    namespace::INSIDE,
    postfix::{Message, PostfixHost, Status, Version},
    wait_until,
};

/// A host with its mail domain, and the one it exchanges mail with.
struct Side {
    domain: &'static str,
    address: &'static str,
    host: PostfixHost,
}

/// What a mail host offers to the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offers {
    /// TLS with a good certificate.
    Tls,
    /// No STARTTLS.
    Nothing,
}

/// What the domain of host B is.
struct Trial {
    version: Version,
    /// More sections of both daemons' configuration.
    sections: &'static str,
    b_offers: Offers,
    /// The mode of B's policy, where it has one.
    b_mode: Option<&'static str>,
    /// Whether Postfix tells the sessions of reports apart.
    reports: Reports,
}

/// What Postfix knows of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reports {
    /// Which mail they are.
    Known,
    /// Nothing: what marks them is taken away when they come in. They are left out by domain and time.
    Unmarked,
}

/// How many days are lived through.
const DAYS: usize = 5;

const LOG_ALL: &str = "[postfix_log]\npath = \"log/mail.log\"\ntake = \"all\"\n";
const LOG_SILENT: &str = "[postfix_log]\npath = \"log/mail.log\"\n";

#[test]
fn d6_f12_reports_between_two_hosts_end_after_the_first_day_with_a_policy_in_force() {
    reports_end_after_the_first_day(&Trial {
        version: Version::V3_10,
        sections: "",
        b_offers: Offers::Tls,
        b_mode: Some("enforce"),
        reports: Reports::Known,
    });
}

#[test]
fn d6_f12_reports_between_two_hosts_end_after_the_first_day_with_a_policy_in_testing() {
    reports_end_after_the_first_day(&Trial {
        version: Version::V3_10,
        sections: "",
        b_offers: Offers::Tls,
        b_mode: Some("testing"),
        reports: Reports::Known,
    });
}

/// Sessions in the clear are silent: they are inferred from the policy question.
#[test]
fn d6_f12_reports_between_two_hosts_end_after_the_first_day_without_starttls() {
    reports_end_after_the_first_day(&Trial {
        version: Version::V3_10,
        sections: "",
        b_offers: Offers::Nothing,
        b_mode: None,
        reports: Reports::Known,
    });
}

/// And with the log they are told.
#[test]
fn d6_f12_reports_between_two_hosts_end_after_the_first_day_without_starttls_by_the_log() {
    reports_end_after_the_first_day(&Trial {
        version: Version::V3_10,
        sections: LOG_SILENT,
        b_offers: Offers::Nothing,
        b_mode: Some("testing"),
        reports: Reports::Known,
    });
}

/// Where the header is taken away Postfix asks for a policy and tells of the session, as for any mail.
#[test]
fn d6_f12_reports_that_postfix_cannot_tell_end_by_the_time_of_their_sessions() {
    reports_end_after_the_first_day(&Trial {
        version: Version::V3_10,
        sections: "",
        b_offers: Offers::Tls,
        b_mode: Some("enforce"),
        reports: Reports::Unmarked,
    });
}

/// A Postfix that does not know `TLS-Required: no`.
#[test]
fn d6_f12_reports_between_two_hosts_end_after_the_first_day_with_postfix_3_7() {
    reports_end_after_the_first_day(&Trial {
        version: Version::V3_7,
        sections: LOG_ALL,
        b_offers: Offers::Tls,
        b_mode: Some("enforce"),
        reports: Reports::Known,
    });
}

fn reports_end_after_the_first_day(trial: &Trial) {
    let Some((a, b)) = sides(trial.version) else {
        return;
    };
    a.host
        .host
        .connect("192.0.2.1/24", &b.host.host, "192.0.2.2/24");
    publish(&a, &b, Offers::Tls);
    publish(&b, &a, trial.b_offers);
    if let Some(mode) = trial.b_mode {
        a.host.ask(&format!("policy b.test 1 {mode} mail.b.test"));
    }
    let sections = format!("[probe]\nsilent_seconds = 3\n{}", trial.sections);
    let deliver = match trial.reports {
        Reports::Known => "",
        Reports::Unmarked => "report_session_seconds = 86400",
    };
    let mut daemons = [&a, &b].map(|side| {
        let host = &side.host;
        host.start_daemon_delivering(side.domain, deliver, &sections)
    });
    if trial.version == Version::V3_7 {
        set_up_report_mail(&a, &daemons[0]);
        set_up_report_mail(&b, &daemons[1]);
    }

    if trial.reports == Reports::Unmarked {
        [&a, &b].into_iter().for_each(take_marks_away);
    }
    exchange(&a, &b, trial);
    daemons[0].counted("b.test", 1);
    daemons[1].counted("a.test", 1);
    // So that the reports would be asked about too, if Postfix asked.
    for side in [&a, &b] {
        side.host.restart();
    }
    let first = daemons.each_mut().map(Daemon::live_on);
    wait_until("each host has the other's report", || {
        [&a, &b].iter().all(|side| reports(side).len() == 1)
    });
    assert_eq!(reports(&a), ["a.test b.test"]);
    assert_eq!(reports(&b), ["b.test a.test"]);
    if trial.reports == Reports::Unmarked {
        wait_until_told(&daemons);
    }
    // Nothing of these days is sent, or to be sent.
    let quiet: Vec<_> = (1..DAYS)
        .map(|_| daemons.each_mut().map(Daemon::live_on))
        .collect();

    // Sessions are told in order, and silent ones found out in order: with these counted, nothing of
    // the days before is still to come.
    exchange(&a, &b, trial);
    daemons[0].counted("b.test", 1);
    daemons[1].counted("a.test", 1);
    for (at, side) in [&a, &b].into_iter().enumerate() {
        let daemon = &daemons[at];
        let said = || format!("{}\n{}", side.host.daemon_log(), side.host.mail_log());
        assert_eq!(
            daemon.counted_on(first[at]),
            1,
            "{}\n{}",
            side.domain,
            said()
        );
        for days in &quiet {
            assert_eq!(
                daemon.counted_on(days[at]),
                0,
                "{}\n{}",
                side.domain,
                said()
            );
        }
        assert_eq!(daemon.counted_in_all(), 1, "{}\n{}", side.domain, said());
        assert_eq!(reports(side).len(), 1, "{}\n{}", side.domain, said());
    }
}

#[test]
fn d6_f12_a_receiver_that_reports_back_for_each_report_is_told_of_no_report() {
    is_told_of_no_report(Version::V3_10, "");
}

#[test]
fn d6_f12_a_receiver_that_reports_back_is_told_of_no_report_by_postfix_3_7() {
    is_told_of_no_report(Version::V3_7, LOG_ALL);
}

/// A mails B every day. B is a host of the kind that loops are made with: each session that brings it a report
/// it reports back.
fn is_told_of_no_report(version: Version, sections: &str) {
    let Some((a, b)) = sides(version) else {
        return;
    };
    a.host
        .host
        .connect("192.0.2.1/24", &b.host.host, "192.0.2.2/24");
    publish(&a, &b, Offers::Tls);
    publish(&b, &a, Offers::Tls);
    a.host.ask("policy b.test 1 enforce mail.b.test");
    let silent = "[probe]\nsilent_seconds = 3\n";
    let mut ours = a
        .host
        .start_daemon_of(a.domain, &format!("{silent}{sections}"));
    let mut theirs = b.host.start_daemon_of(b.domain, silent);
    if version == Version::V3_7 {
        set_up_report_mail(&a, &ours);
    }
    for day in 1..=DAYS {
        a.host.restart();
        send_one(&a, &b);
        ours.counted("b.test", 1);
        // So that the report would be asked about too, if Postfix asked.
        a.host.restart();
        ours.live_on();
        theirs.live_on();
        let said = || format!("{}\n{}", a.host.daemon_log(), a.host.mail_log());
        wait_until(
            "B has the report and A what B reports of the one before",
            || reports(&b).len() >= day && reports(&a).len() >= day - 1,
        );
        assert_eq!(reports(&b), vec!["b.test a.test"; day], "{}", said());
        assert_eq!(reports(&a), vec!["a.test b.test"; day - 1], "{}", said());
        tell_session(&b, a.domain);
    }
    // What was told of the last day's report mail would be told before this.
    a.host.restart();
    send_one(&a, &b);
    ours.counted("b.test", 1);
    assert_eq!(ours.counted_in_all(), 1);
    for mail in report_mails(&b) {
        let report: serde_json::Value = serde_json::from_slice(&mail.json).unwrap();
        let policies = report["policies"].as_array().unwrap();
        let sessions = policies.iter().map(|policy| &policy["summary"]);
        let sessions: Vec<_> = sessions
            .map(|summary| {
                let number = |name: &str| summary[name].as_u64().unwrap();
                (
                    number("total-successful-session-count"),
                    number("total-failure-session-count"),
                )
            })
            .collect();
        assert_eq!(sessions, [(1, 0)], "the day's one message: {report}");
    }
}

/// Tells a daemon of a good session with a domain, as an MTA does that tells of whatever it delivers.
fn tell_session(side: &Side, domain: &str) {
    let say = |line: &str| {
        let mut stream = UnixStream::connect(side.host.path("plugin.sock")).unwrap();
        writeln!(stream, "{line}").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = say(&format!("MX\t{domain}\tmail.{domain}"));
    let mut fields = answer.trim_end().split('\t');
    let policy = fields.find_map(|field| field.strip_prefix("policy="));
    let policy = policy.unwrap_or_else(|| panic!("{answer}"));
    let told = say(&format!(
        "SESSION\t{domain}\tpolicy={policy}\tmx=mail.{domain}\toutcome=success"
    ));
    assert_eq!(told, "OK\n");
}

/// A Postfix that is set to pass over `TLS-Required: no` tells of report mail as of any other, which loops are made
/// of. What setup sets ends that.
#[test]
fn d6_f12_setup_has_postfix_go_by_the_header_that_report_mail_bears() {
    let passes_over = ("tls_required_enable", "no");
    let Some(host) = PostfixHost::start(Version::V3_10, &[passes_over]) else {
        return;
    };
    let daemon = host.start_daemon();
    host.send_report("sts-enforce.test");
    daemon.counted("sts-enforce.test", 1);
    let change = planned(&host, &daemon, "tls_required_enable");
    assert_eq!(change, "tls_required_enable=yes");
    host.run("postconf", &["-e", &change]);
    host.restart();
    let fate = host.send_report("sts-enforce.test");
    assert_eq!(fate.status, Status::Sent, "{}", fate.line);
    // Datagrams come in order.
    host.send("sts-wildcard.test");
    daemon.counted("sts-wildcard.test", 1);
    assert_eq!(daemon.counted_in_all(), 2);
}

/// Has the Postfix of a host take away, when they come in, what it would know reports by.
fn take_marks_away(side: &Side) {
    let unmarked = "header_checks=regexp:{{/^TLS-Required:/ IGNORE}}";
    side.host.run("postconf", &["-e", unmarked]);
}

/// Waits for the session of each daemon's report: the days go by faster here than Postfix tells.
fn wait_until_told(daemons: &[Daemon<'_>]) {
    wait_until("the sessions of the reports are told", || {
        daemons.iter().all(|daemon| left_out(daemon) == 1)
    });
}

/// How many sessions a daemon has left out because they may have carried its reports.
fn left_out(daemon: &Daemon<'_>) -> u64 {
    let status = daemon.json(&["status", "--json"]);
    let mut counters = status["counters"].as_array().unwrap().iter();
    let counter = counters.find(|counter| counter["name"] == "sessions_of_reports");
    counter.unwrap()["value"].as_u64().unwrap()
}

/// Both hosts, with nothing of each other yet.
fn sides(version: Version) -> Option<(Side, Side)> {
    let side = |domain, address| {
        let host = PostfixHost::start(version, &[])?;
        Some(Side {
            domain,
            address,
            host,
        })
    };
    Some((side("a.test", "192.0.2.1")?, side("b.test", "192.0.2.2")?))
}

/// Has the Postfix of a host be the mail host of its domain, and the other host know it.
fn publish(side: &Side, other: &Side, offers: Offers) {
    let (host, domain) = (&side.host, side.domain);
    let name = format!("mail.{domain}");
    // Whom the other host trusts is its own small Internet's business.
    other.host.ask(&format!("issue {name}"));
    let issued = other.host.path(&format!("internet/{name}.pem"));
    fs::copy(issued, host.path("etc/postfix/mail.pem")).unwrap();
    let interfaces = format!("127.0.0.1, {}", side.address);
    let level = match offers {
        Offers::Tls => "may",
        Offers::Nothing => "none",
    };
    host.reload(&[
        ("myhostname", &name),
        ("myorigin", domain),
        ("inet_interfaces", &interfaces),
        ("transport_maps", ""),
        ("virtual_mailbox_domains", domain),
        ("virtual_mailbox_maps", "static:mail/"),
        ("virtual_mailbox_base", "/var/lib/postfix"),
        ("virtual_uid_maps", "static:100"),
        ("virtual_gid_maps", "static:101"),
        ("smtpd_tls_cert_file", "/etc/postfix/mail.pem"),
        ("smtpd_tls_key_file", "/etc/postfix/mail.pem"),
        ("smtpd_tls_security_level", level),
    ]);
    host.restart();
    for line in [
        format!("address {name} {}", side.address),
        format!("mx {domain} {name}"),
        format!("txt _smtp._tls.{domain} v=TLSRPTv1; rua=mailto:tlsrpt@{domain}"),
    ] {
        other.host.ask(&line);
    }
}

/// What `sealpost setup postfix` would set, as `NAME=VALUE`; only what is named so.
fn planned(host: &PostfixHost, daemon: &Daemon<'_>, name: &str) -> String {
    let postconf = host.path("postconf");
    let script = format!("#!/bin/sh\nexec chroot {INSIDE}/root postconf \"$@\"\n");
    fs::write(&postconf, script).unwrap();
    fs::set_permissions(&postconf, fs::Permissions::from_mode(0o755)).unwrap();
    let postconf = format!("{INSIDE}/postconf");
    let plan = daemon.json(&["setup", "postfix", "--postconf", &postconf, "--json"]);
    let changes = plan["changes"].as_array().unwrap();
    let change = changes.iter().find(|change| change["name"] == name);
    let change = change.unwrap_or_else(|| panic!("no {name}: {plan}"));
    format!("{name}={}", change["next"].as_str().unwrap())
}

/// Gives report mail the transport of its own that `sealpost setup postfix` prints.
fn set_up_report_mail(side: &Side, daemon: &Daemon<'_>) {
    let host = &side.host;
    let service = planned(host, daemon, "sealpost-report/unix");
    host.run("postconf", &["-Me", &service]);
    let maps = planned(host, daemon, "sender_dependent_default_transport_maps");
    host.run("postconf", &["-e", &maps]);
    host.restart();
}

/// One message each way.
fn exchange(a: &Side, b: &Side, trial: &Trial) {
    for side in [a, b] {
        // A process of Postfix asks once for a domain: new ones ask again.
        side.host.restart();
        // A log must show TLS before the lack of it says anything.
        if trial.sections == LOG_SILENT {
            side.host.send("norpt.test");
        }
    }
    send_one(a, b);
    send_one(b, a);
}

/// One message from one host's domain to the other's.
fn send_one(from: &Side, to: &Side) {
    let message = from.host.submit(Message {
        sender: &format!("someone@{}", from.domain),
        headers: "",
        recipients: &[&format!("someone@{}", to.domain)],
    });
    let fate = from.host.fates(&message, 1).remove(0);
    assert_eq!(fate.status, Status::Sent, "{}", from.host.mail_log());
}

/// The reports that a host has in its mailbox, each as `ABOUT FROM`, the domains.
fn reports(side: &Side) -> Vec<String> {
    let mails = report_mails(side).into_iter();
    mails
        .map(|mail| {
            let field = |name| mail.field(name).unwrap_or_default().to_owned();
            let submitter = field("TLS-Report-Submitter");
            format!("{} {submitter}", field("TLS-Report-Domain"))
        })
        .collect()
}

/// The reports that a host has in its mailbox.
fn report_mails(side: &Side) -> Vec<ReportMail> {
    let Ok(mailbox) = fs::read_dir(side.host.path("data/mail/new")) else {
        return Vec::new();
    };
    mailbox
        // A mailbox has lines as Unix writes them.
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .map(|message| message.replace('\n', "\r\n").into_bytes())
        .filter_map(|message| ReportMail::parse(&message).ok())
        .collect()
}
