//! Two hosts, each with Postfix and Sealpost, that send each other mail and then reports. A report is mail
//! too: were the session it travels by counted, there would be a report of it, and so on for ever.

use std::{fs, os::unix::fs::PermissionsExt as _};

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
}

const LOG_ALL: &str = "[postfix_log]\npath = \"log/mail.log\"\ntake = \"all\"\n";
const LOG_SILENT: &str = "[postfix_log]\npath = \"log/mail.log\"\n";

#[test]
fn d6_f12_reports_between_two_hosts_end_after_the_first_day_with_a_policy_in_force() {
    reports_end_after_the_first_day(&Trial {
        version: Version::V3_10,
        sections: "",
        b_offers: Offers::Tls,
        b_mode: Some("enforce"),
    });
}

#[test]
fn d6_f12_reports_between_two_hosts_end_after_the_first_day_with_a_policy_in_testing() {
    reports_end_after_the_first_day(&Trial {
        version: Version::V3_10,
        sections: "",
        b_offers: Offers::Tls,
        b_mode: Some("testing"),
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
    let mut daemons = [&a, &b].map(|side| side.host.start_daemon_of(side.domain, &sections));
    if trial.version == Version::V3_7 {
        set_up_report_mail(&a, &daemons[0]);
        set_up_report_mail(&b, &daemons[1]);
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
    // Nothing of these days is sent, or to be sent.
    let second = daemons.each_mut().map(Daemon::live_on);
    let third = daemons.each_mut().map(Daemon::live_on);

    // Sessions are told in order, and silent ones found out in order: with these counted, nothing of
    // the days before is still to come.
    exchange(&a, &b, trial);
    daemons[0].counted("b.test", 1);
    daemons[1].counted("a.test", 1);
    for (at, side) in [&a, &b].into_iter().enumerate() {
        let daemon = &daemons[at];
        let days = [first[at], second[at], third[at]].map(|day| daemon.counted_on(day));
        let said = || format!("{}\n{}", side.host.daemon_log(), side.host.mail_log());
        assert_eq!(days, [1, 0, 0], "{}\n{}", side.domain, said());
        assert_eq!(daemon.counted_in_all(), 1, "{}\n{}", side.domain, said());
        assert_eq!(reports(side).len(), 1, "{}\n{}", side.domain, said());
    }
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

/// Gives report mail the transport of its own that `sealpost setup postfix` prints.
fn set_up_report_mail(side: &Side, daemon: &Daemon<'_>) {
    let postconf = side.host.path("postconf");
    let script = format!("#!/bin/sh\nexec chroot {INSIDE}/root postconf \"$@\"\n");
    fs::write(&postconf, script).unwrap();
    fs::set_permissions(&postconf, fs::Permissions::from_mode(0o755)).unwrap();
    let postconf = format!("{INSIDE}/postconf");
    let plan = daemon.json(&["setup", "postfix", "--postconf", &postconf, "--json"]);
    let next = |name: &str| {
        let changes = plan["changes"].as_array().unwrap();
        let change = changes.iter().find(|change| change["name"] == name);
        let change = change.unwrap_or_else(|| panic!("no {name}: {plan}"));
        format!("{name}={}", change["next"].as_str().unwrap())
    };
    side.host
        .run("postconf", &["-Me", &next("sealpost-report/unix")]);
    let maps = next("sender_dependent_default_transport_maps");
    side.host.run("postconf", &["-e", &maps]);
    side.host.restart();
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
    for (from, to) in [(a, b), (b, a)] {
        let message = from.host.submit(Message {
            sender: &format!("someone@{}", from.domain),
            headers: "",
            recipients: &[&format!("someone@{}", to.domain)],
        });
        let fate = from.host.fates(&message, 1).remove(0);
        assert_eq!(fate.status, Status::Sent, "{}", from.host.mail_log());
    }
}

/// The reports that a host has in its mailbox, each as `ABOUT FROM`, the domains.
fn reports(side: &Side) -> Vec<String> {
    let Ok(mailbox) = fs::read_dir(side.host.path("data/mail/new")) else {
        return Vec::new();
    };
    mailbox
        // A mailbox has lines as Unix writes them.
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .map(|message| message.replace('\n', "\r\n").into_bytes())
        .filter_map(|message| ReportMail::parse(&message).ok())
        .map(|mail| {
            let field = |name| mail.field(name).unwrap_or_default().to_owned();
            let submitter = field("TLS-Report-Submitter");
            format!("{} {submitter}", field("TLS-Report-Domain"))
        })
        .collect()
}
