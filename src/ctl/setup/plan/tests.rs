use std::{collections::BTreeMap, path::PathBuf};

use super::*;
use crate::{
    config::{
        DnssecValidation, DomainOverride, InsecureMx, OverrideMode, OverrideScope, TellsDane,
    },
    ctl::setup::postfix::SmtpService,
    net::validation::SystemResolvers,
};

fn postfix(version: &str, parameters: &[(&str, &str)]) -> Postfix {
    let mut all: BTreeMap<String, String> = [
        ("mail_version", version),
        ("queue_directory", "/var/spool/postfix"),
        ("smtp_tls_CApath", "/etc/ssl/certs"),
        ("smtp_tls_loglevel", "0"),
        ("smtp_tls_policy_maps", ""),
        ("smtp_tls_security_level", ""),
        ("smtp_tls_enforce_sts_mx_patterns", "yes"),
        ("sender_dependent_default_transport_maps", ""),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    if Version::read(version).unwrap() >= Version::TELLS {
        all.insert("smtp_tlsrpt_enable".into(), "no".into());
        all.insert("smtp_tlsrpt_socket_name".into(), String::new());
        all.insert("smtp_tlsrpt_skip_reused_handshakes".into(), "yes".into());
    }
    for (name, value) in parameters {
        all.insert((*name).to_owned(), (*value).to_owned());
    }
    let chrooted = |name: &str| SmtpService {
        name: name.to_owned(),
        chrooted: true,
        overrides: Vec::new(),
    };
    Postfix {
        written: all.clone(),
        parameters: all,
        services: vec![chrooted("smtp/unix"), chrooted("relay/unix")],
        entries: vec!["smtp/unix".into(), "relay/unix".into()],
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config.sender.contact = "tlsrpt@sender.example".to_owned();
    config
}

/// `[domain."*"]` through this day.
fn all_to_audit(until: &str) -> Config {
    let mut config = config();
    let of_all = DomainOverride {
        mode: OverrideMode::Audit,
        until: Some(until.to_owned()),
        reason: String::new(),
    };
    config
        .domain
        .insert(OverrideScope::EVERY_OTHER.to_owned(), of_all);
    config
}

/// Sets a parameter, as it is written down and as it then holds.
fn put(postfix: &mut Postfix, name: &str, written: &str, holds: &str) {
    postfix.written.insert(name.to_owned(), written.to_owned());
    postfix.parameters.insert(name.to_owned(), holds.to_owned());
}

fn machine() -> Machine {
    Machine {
        roots: Some("/etc/ssl/certs/ca-certificates.crt".into()),
        trusted_file_is_there: true,
        trusted_directory_is_in_chroot: true,
        mail_log: Some("/var/log/mail.log".into()),
        resolv_conf: "/etc/resolv.conf".into(),
        resolvers: SystemResolvers::Mark,
        datagrams_queued_max: Some(512),
        today: "2026-11-24".parse().unwrap(),
    }
}

fn set(plan: &Plan) -> Vec<String> {
    plan.changes
        .iter()
        .map(|change| format!("{}={}", change.name, change.next))
        .collect()
}

fn traps(plan: &Plan) -> String {
    let texts: Vec<&str> = plan.traps.iter().map(|trap| trap.text.as_str()).collect();
    texts.join("\n")
}

#[test]
fn where_the_log_is_read_it_says_when_tls_is_up() {
    let mut config = config();
    config.postfix_log.path = "/var/log/mail.log".into();
    let plan = plan(&postfix("3.10.13", &[]), &config, &machine()).unwrap();
    assert!(set(&plan).contains(&"smtp_tls_loglevel=1".to_owned()));
}

#[test]
fn a_fresh_postfix_that_tells_its_sessions() {
    let plan = plan(&postfix("3.10.13", &[]), &config(), &machine()).unwrap();
    assert_eq!(
        set(&plan),
        [
            "smtp_tls_policy_maps=socketmap:unix:sealpost/socketmap.sock:QUERYwithTLSRPT",
            "smtp_tls_security_level=dane",
            "smtp_dns_support_level=dnssec",
            "smtp_tlsrpt_enable=yes",
            "smtp_tlsrpt_socket_name=sealpost/tlsrpt.sock",
            "smtp_tlsrpt_skip_reused_handshakes=no",
        ]
    );
    assert_eq!(traps(&plan), "");
}

#[test]
fn what_is_set_is_not_set_again() {
    let mut there = postfix("3.10.13", &[]);
    for change in plan(&there, &config(), &machine()).unwrap().changes {
        put(&mut there, &change.name, &change.next, &change.next);
    }
    assert_eq!(plan(&there, &config(), &machine()).unwrap().changes, []);
    let mut old = postfix("3.7.11", &[]);
    for change in plan(&old, &config(), &machine()).unwrap().changes {
        match change.place {
            Place::Main => put(&mut old, &change.name, &change.next, &change.next),
            Place::Master => old.entries.push(change.name),
        }
    }
    assert_eq!(plan(&old, &config(), &machine()).unwrap().changes, []);
}

#[test]
fn f12_a_postfix_before_3_10_is_asked_for_its_log_and_a_transport_for_reports() {
    let plan = plan(&postfix("3.7.11", &[]), &config(), &machine()).unwrap();
    assert_eq!(
        set(&plan),
        [
            "smtp_tls_policy_maps=socketmap:unix:sealpost/socketmap.sock:QUERY",
            "smtp_tls_security_level=dane",
            "smtp_dns_support_level=dnssec",
            "smtp_tls_loglevel=1",
            "sealpost-report/unix=sealpost-report unix - - y - - smtp -o smtp_tls_policy_maps= -o \
             smtp_tls_security_level=may",
            "sender_dependent_default_transport_maps=inline:{ { tlsrpt@sender.example = \
             sealpost-report: } }",
        ]
    );
    assert!(traps(&plan).contains("take = \"all\""), "{}", traps(&plan));
}

#[test]
fn what_the_operator_has_set_stays() {
    let there = postfix(
        "3.11.2",
        &[
            ("smtp_tls_security_level", "dane"),
            (
                "smtp_tls_policy_maps",
                "hash:/etc/postfix/tls_policy,\n  socketmap:inet:127.0.0.1:8642:QUERY \
                 socketmap:unix:sealpost/socketmap.sock:QUERY",
            ),
        ],
    );
    let plan = plan(&there, &config(), &machine()).unwrap();
    assert_eq!(
        set(&plan)[0],
        "smtp_tls_policy_maps=hash:/etc/postfix/tls_policy, socketmap:inet:127.0.0.1:8642:QUERY, \
         socketmap:unix:sealpost/socketmap.sock:QUERYwithTLSRPT"
    );
    assert!(!set(&plan).iter().any(|one| one.contains("security_level")));
    assert!(traps(&plan).contains("another policy server, socketmap:inet:127.0.0.1:8642:QUERY"));
}

/// What `$name` stands for counts, and `$name` is what stays.
#[test]
fn a_table_behind_another_parameter() {
    let name = "smtp_tls_policy_maps";
    let mut there = postfix("3.10.13", &[]);
    put(&mut there, name, "$mine", "hash:/etc/postfix/a, inet:x");
    let first = plan(&there, &config(), &machine()).unwrap();
    assert_eq!(
        set(&first)[0],
        "smtp_tls_policy_maps=$mine, socketmap:unix:sealpost/socketmap.sock:QUERYwithTLSRPT"
    );
    let ours = "socketmap:unix:sealpost/socketmap.sock:QUERYwithTLSRPT";
    put(
        &mut there,
        name,
        "$mine",
        &format!("hash:/etc/postfix/a, {ours}"),
    );
    let plan = plan(&there, &config(), &machine()).unwrap();
    assert!(!set(&plan).iter().any(|one| one.starts_with(name)));
    assert_eq!(traps(&plan), "");
}

#[test]
fn ours_is_known_however_it_is_written() {
    let mut config = config();
    config.socketmap.listen = vec!["127.0.0.1:8461".parse().unwrap()];
    for (table, ours) in [
        ("socketmap:unix:sealpost/socketmap.sock:QUERY", true),
        (
            "socketmap:unix:/var/spool/postfix/sealpost/socketmap.sock:QUERY",
            true,
        ),
        ("socketmap:inet:127.0.0.1:8461:QUERYwithTLSRPT", true),
        ("socketmap:inet:127.0.0.1:8642:QUERY", false),
        ("socketmap:unix:sealpost/other.sock:QUERY", false),
        ("hash:/etc/postfix/tls_policy", false),
    ] {
        let there = postfix("3.10.13", &[("smtp_tls_policy_maps", table)]);
        let next = set(&plan(&there, &config, &machine()).unwrap()).remove(0);
        assert_eq!(!next.contains(", "), ours, "{table}: {next}");
    }
}

/// Without a path Postfix is sent to the TCP address; one that means all addresses is none to go to.
#[test]
fn a_socketmap_over_tcp() {
    for (listen, asked) in [
        ("192.0.2.1:8461", "inet:192.0.2.1:8461"),
        ("0.0.0.0:8461", "inet:127.0.0.1:8461"),
        ("[::]:8461", "inet:[::1]:8461"),
    ] {
        let mut config = config();
        config.socketmap.path = PathBuf::new();
        config.socketmap.listen = vec![listen.parse().unwrap()];
        let plan = plan(&postfix("3.10.13", &[]), &config, &machine()).unwrap();
        assert_eq!(
            set(&plan)[0],
            format!("smtp_tls_policy_maps=socketmap:{asked}:QUERYwithTLSRPT")
        );
        assert_eq!(traps(&plan), "");
    }
}

/// A level of our own must not weaken what the parameters of old demand.
#[test]
fn an_empty_level_is_set_to_what_it_means() {
    for (parameters, level) in [
        (&[("smtp_use_tls", "yes")][..], "may"),
        (&[("smtp_enforce_tls", "yes")][..], "encrypt"),
        (
            &[
                ("smtp_enforce_tls", "yes"),
                ("smtp_tls_enforce_peername", "yes"),
            ][..],
            "verify",
        ),
        (&[("smtp_tls_security_level", "none")][..], "may"),
    ] {
        let without_dane = Machine {
            resolvers: SystemResolvers::DoNotMark,
            ..machine()
        };
        let plan = plan(&postfix("3.10.13", parameters), &config(), &without_dane).unwrap();
        assert_eq!(set(&plan)[1], format!("smtp_tls_security_level={level}"));
    }
}

#[test]
fn c18_from_the_day_after_all_were_to_be_audited_postfix_is_to_do_dane() {
    let dane = "smtp_tls_security_level=dane".to_owned();
    for (until, expected) in [("2026-11-24", false), ("2026-11-23", true)] {
        let there = postfix("3.10.13", &[]);
        let plan = plan(&there, &all_to_audit(until), &machine()).unwrap();
        assert_eq!(set(&plan).contains(&dane), expected, "{until}");
    }
}

#[test]
fn c1_dane_is_for_a_postfix_that_is_told_which_answers_are_signed() {
    let dnssec = "smtp_dns_support_level=dnssec";
    let (dane, may) = (
        "smtp_tls_security_level=dane",
        "smtp_tls_security_level=may",
    );
    let (mark, dumb) = (SystemResolvers::Mark, SystemResolvers::DoNotMark);
    for (level, resolvers, tells, expected, trap) in [
        ("", &mark, TellsDane::Auto, &[dane, dnssec][..], ""),
        ("may", &mark, TellsDane::Auto, &[dane, dnssec], ""),
        ("may", &mark, TellsDane::Always, &[dane, dnssec], ""),
        ("encrypt", &mark, TellsDane::Auto, &[dnssec], ""),
        ("dane", &mark, TellsDane::Auto, &[dnssec], ""),
        ("", &mark, TellsDane::Never, &[may], ""),
        ("", &dumb, TellsDane::Auto, &[may], "cannot do DANE"),
        ("may", &dumb, TellsDane::Auto, &[], "cannot do DANE"),
        ("may", &dumb, TellsDane::Always, &[], "with DANE waits"),
        ("may", &dumb, TellsDane::Never, &[], ""),
        ("dane", &dumb, TellsDane::Never, &[dnssec], "cannot do DANE"),
    ] {
        let mut config = config();
        config.socketmap.dane_only = tells;
        let machine = Machine {
            resolvers: resolvers.clone(),
            ..machine()
        };
        let there = postfix("3.10.13", &[("smtp_tls_security_level", level)]);
        let plan = plan(&there, &config, &machine).unwrap();
        let mut set = set(&plan);
        set.retain(|one| one.contains("level"));
        assert_eq!(set, expected, "{level} {resolvers:?} {tells:?}");
        let text = traps(&plan);
        assert!(text.contains(trap), "{text}");
        assert_eq!(text.is_empty(), trap.is_empty(), "{text}");
    }
    for (level, expected, trap) in [
        ("", &[may][..], ""),
        ("may", &[], ""),
        ("dane", &[dnssec], ""),
        ("encrypt", &[], "answered may, which is less"),
        ("secure", &[], "answered may, which is less"),
    ] {
        let mut audited = config();
        audited.dane.audit = true;
        let there = postfix("3.10.13", &[("smtp_tls_security_level", level)]);
        for audited in [audited, all_to_audit("2026-11-24")] {
            let plan_audited = plan(&there, &audited, &machine()).unwrap();
            let mut set = set(&plan_audited);
            set.retain(|one| one.contains("level"));
            assert_eq!(set, expected, "C18: {level}");
            let text = traps(&plan_audited);
            assert!(text.contains(trap), "{text}");
            assert_eq!(text.is_empty(), trap.is_empty(), "{text}");
        }
    }
    let mut off = config();
    off.dane.validation = DnssecValidation::Off;
    let plan_off = plan(&postfix("3.10.13", &[]), &off, &machine()).unwrap();
    assert!(set(&plan_off).contains(&may.to_owned()));
    // Before 3.4.11 Postfix did not ask glibc to pass on what its resolver says.
    for (version, needs) in [
        ("3.4.10", true),
        ("3.4.11", false),
        ("3.5.0", true),
        ("3.5.1", false),
        ("3.7.11", false),
    ] {
        let plan = plan(&postfix(version, &[]), &config(), &machine()).unwrap();
        assert_eq!(traps(&plan).contains("trust-ad"), needs, "{version}");
    }
}

/// Told `dane-only`, such a Postfix lets all mail wait.
#[test]
fn c1_what_keeps_postfix_from_dane_stands_in_the_way() {
    let stops = |parameters: &[(&str, &str)], overrides: &[(&str, &str)], tells| {
        let mut config = config();
        config.socketmap.dane_only = tells;
        let mut there = postfix("3.10.13", parameters);
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        there.services[1].overrides = overrides.iter().map(owned).collect();
        let plan = plan(&there, &config, &machine()).unwrap();
        let stops = plan.traps.into_iter().filter(|trap| trap.stops);
        stops.map(|trap| trap.text).collect::<Vec<_>>().join("\n")
    };
    let service = "relay/unix of master.cf sets smtp_dns_support_level=enabled";
    for (parameters, overrides, expected) in [
        (
            &[("ignore_mx_lookup_error", "yes")][..],
            &[][..],
            "ignore_mx_lookup_error is yes",
        ),
        (
            &[("smtp_dns_resolver_options", "res_dnsrch")],
            &[],
            "smtp_dns_resolver_options is res_dnsrch",
        ),
        (
            &[("smtp_host_lookup", "native")],
            &[],
            "smtp_host_lookup is native",
        ),
        (&[], &[("smtp_dns_support_level", "enabled")], service),
    ] {
        let text = stops(parameters, overrides, TellsDane::Auto);
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("mail to domains with DANE waits"), "{text}");
        assert_eq!(stops(parameters, overrides, TellsDane::Never), "");
    }
    let nothing_wrong = [("smtp_dns_support_level", "dnssec")];
    assert_eq!(stops(&[], &nothing_wrong, TellsDane::Auto), "");
}

/// RFC 7672 s2.2.1: Postfix goes by a parameter of its own.
#[test]
fn c6_what_is_not_signed_is_worth_the_same_to_postfix() {
    let name = "smtp_tls_dane_insecure_mx_policy";
    let by_default = "${{$smtp_tls_security_level} == {dane} ? {dane} : {may}}";
    for (insecure_mx, written, holds, level, expected) in [
        (InsecureMx::Dane, by_default, "may", "", None),
        (InsecureMx::Dane, by_default, "dane", "dane", None),
        (InsecureMx::Encrypt, by_default, "may", "", Some("encrypt")),
        (InsecureMx::May, by_default, "dane", "dane", Some("may")),
        (InsecureMx::May, "may", "may", "dane", None),
        (InsecureMx::Dane, "may", "may", "dane", Some("dane")),
        // No DANE of its own, so nothing below such records either.
        (InsecureMx::May, by_default, "may", "encrypt", None),
    ] {
        let mut config = config();
        config.dane.insecure_mx = insecure_mx;
        let mut there = postfix("3.10.13", &[("smtp_tls_security_level", level)]);
        put(&mut there, name, written, holds);
        let machine = match level {
            "encrypt" => Machine {
                resolvers: SystemResolvers::DoNotMark,
                ..machine()
            },
            _ => machine(),
        };
        let set = set(&plan(&there, &config, &machine).unwrap());
        let found = set
            .iter()
            .find_map(|one| one.strip_prefix(name)?.strip_prefix('='));
        assert_eq!(found, expected, "{insecure_mx:?} {written} {level}");
    }
}

/// The warning of a start is for a Postfix that asks here.
#[test]
fn our_socketmap_is_known_among_the_tables() {
    let socketmap = config().socketmap;
    let queue = "/var/spool/postfix";
    for (tables, expected) in [
        ("socketmap:unix:sealpost/socketmap.sock:QUERY", true),
        (
            "inline:{ { a.test = may } }, socketmap:unix:sealpost/socketmap.sock:QUERYwithTLSRPT",
            true,
        ),
        ("socketmap:inet:127.0.0.1:8642:QUERY", false),
        ("", false),
    ] {
        assert_eq!(asks_here(tables, queue, &socketmap), expected, "{tables}");
    }
    assert!(!asks_here(
        "socketmap:unix:sealpost/socketmap.sock:QUERY",
        "/var/spool/postfix-out",
        &socketmap
    ));
}

/// What is to be trusted must be found, by a chrooted Postfix too.
#[test]
fn trusted_roots_that_cannot_be_read() {
    let stops = |parameters: &[(&str, &str)], machine: &Machine| {
        let plan = plan(&postfix("3.10.13", parameters), &config(), machine).unwrap();
        plan.traps.iter().filter(|trap| trap.stops).count()
    };
    let not_there = Machine {
        trusted_file_is_there: false,
        ..machine()
    };
    assert_eq!(stops(&[("smtp_tls_CAfile", "/gone")], &not_there), 1);
    let not_inside = Machine {
        trusted_directory_is_in_chroot: false,
        ..machine()
    };
    assert_eq!(stops(&[], &not_inside), 1);
    assert_eq!(stops(&[("smtp_tls_CAfile", "/there")], &not_inside), 0);
}

#[test]
fn f12_a_postfix_that_passes_over_the_header_of_report_mail_is_set_to_go_by_it() {
    let is_set = |version: &str, value: &str, config: &Config| {
        let there = postfix(version, &[("tls_required_enable", value)]);
        let plan = plan(&there, config, &machine()).unwrap();
        set(&plan).contains(&"tls_required_enable=yes".to_owned())
    };
    assert!(is_set("3.10.13", "no", &config()));
    assert!(!is_set("3.10.13", "yes", &config()));
    // It has no such parameter, and gets a transport.
    assert!(!is_set("3.7.11", "no", &config()));
    let mut without_reports = config();
    without_reports.report.enabled = false;
    assert!(!is_set("3.10.13", "no", &without_reports));
}

/// Where all mail goes through a smart host, reports do too, and as all mail does.
#[test]
fn reports_through_a_smart_host_need_no_transport() {
    let there = postfix("3.7.11", &[("relayhost", "[relay.example]:587")]);
    let plan = plan(&there, &config(), &machine()).unwrap();
    assert!(!set(&plan).iter().any(|one| one.contains("sealpost-report")));
}

#[test]
fn an_old_postfix_without_a_log_file() {
    let nowhere = Machine {
        mail_log: None,
        ..machine()
    };
    let text = |parameters: &[(&str, &str)]| {
        let plan = plan(&postfix("3.7.11", parameters), &config(), &nowhere).unwrap();
        traps(&plan)
    };
    assert!(text(&[]).contains("no file has Postfix's log"));
    let own = text(&[("maillog_file", "/var/log/postfix.log")]);
    assert!(own.contains("path = \"/var/log/postfix.log\""), "{own}");
    assert!(!own.contains("no file"), "{own}");
}

#[test]
fn traps_are_named() {
    let mut there = postfix(
        "3.10.3",
        &[
            ("smtp_tls_security_level", "dane"),
            ("relayhost", "[relay.example]:587"),
            ("smtp_tls_CApath", ""),
        ],
    );
    there.services.push(SmtpService {
        name: "bulk/unix".to_owned(),
        chrooted: false,
        overrides: vec![("smtp_tls_policy_maps".into(), String::new())],
    });
    let mut config = config();
    config.socketmap.path = "/run/sealpost/socketmap.sock".into();
    let machine = Machine {
        roots: None,
        resolvers: SystemResolvers::NotHere("192.0.2.53".parse().unwrap()),
        datagrams_queued_max: Some(10),
        ..machine()
    };
    let plan = plan(&there, &config, &machine).unwrap();
    let text = traps(&plan);
    for expected in [
        "socketmap.sock lies outside /var/spool/postfix",
        "no file of trusted roots",
        "3.10.5 and later do",
        "bulk/unix of master.cf sets smtp_tls_policy_maps=",
        "can be forged",
        "max_dgram_qlen",
        "the policy of relay.example alone counts",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let stopping = plan.traps.iter().filter(|trap| trap.stops).count();
    assert_eq!(stopping, 2, "{text}");
}

#[test]
fn what_cannot_be_planned() {
    let too_old = plan(&postfix("3.3.1", &[]), &config(), &machine());
    assert!(matches!(too_old, Err(NoPlan::TooOld(_))));
    let unknown = plan(
        &postfix("3.10.13", &[("mail_version", "x.y")]),
        &config(),
        &machine(),
    );
    assert!(matches!(unknown, Err(NoPlan::Version(_))));
    let mut nowhere = config();
    nowhere.socketmap.path = PathBuf::new();
    let nothing_to_ask = plan(&postfix("3.10.13", &[]), &nowhere, &machine());
    assert_eq!(nothing_to_ask, Err(NoPlan::NoSocketmap));
    // postconf(5): the table would be ignored from then on, and with it what it demands.
    let per_site = postfix("3.10.13", &[("smtp_tls_per_site", "hash:/etc/postfix/tls")]);
    let lost = plan(&per_site, &config(), &machine());
    assert_eq!(lost, Err(NoPlan::PerSite("hash:/etc/postfix/tls".into())));
}
