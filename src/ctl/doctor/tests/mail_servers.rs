//! The mail servers: Postfix, Exim, and what they say.

use super::*;

fn postfix() -> Installed {
    Installed {
        version: "3.10.13".to_owned(),
        mail_owner: "postfix".to_owned(),
        queue_directory: "/var/spool/postfix".into(),
        asks: true,
        tells: true,
        has_library: Some(true),
        ..Installed::default()
    }
}

fn postfix_with(set: impl FnOnce(&mut postfix::Facts, &mut Installed)) -> Examined {
    let mut installed = postfix();
    let mut facts = postfix::Facts {
        installed: Err(NotSeen::NotInstalled),
        another_asks: false,
        log: Some(("/var/log/mail.log".into(), Reach::Yes)),
        log_tells_all: false,
    };
    set(&mut facts, &mut installed);
    facts.installed = Ok(installed);
    postfix::judge(&facts)
}

fn lacking(name: &str, now: &str, next: &str) -> Examined {
    postfix_with(|_, installed| {
        installed.lacks = vec![Lack {
            name: name.to_owned(),
            now: now.to_owned(),
            next: next.to_owned(),
            why: "it is needed".to_owned(),
        }];
    })
}

fn remarked(about: About, stops: bool) -> Examined {
    postfix_with(|_, installed| {
        installed.remarks = vec![(about, stops, "relay sets smtp_tlsrpt_enable=no".to_owned())];
    })
}

/// What Exim 4.96 says of the examples, shortened.
const EXIM_VERSION: &str = "Exim version 4.96 #2 built 11-May-2026 17:12:18\n\
     Support for: crypteq iconv() IPv6 GnuTLS DANE DKIM DNSSEC Event I18N\n\
     Lookups (built-in): lsearch dbm dbmjz dnsdb dsearch passwd\n";
const EXIM_ROUTERS: &str = "\nsealpost_report router:\ndriver = dnslookup\nno_more\nsenders = \
     tls-reports@example.com\ntransport = sealpost_report\n\nsealpost_policy router:\naddress_data = \
     ${readsocket{/run/sealpost/plugin.sock}{POLICY\\t$domain\\n}{25s:cache=yes}{ }{defer}}\ndriver = \
     redirect\n\nsealpost_remote router:\ndriver = dnslookup\ntransport = \
     ${if match{$address_data}{x}{sealpost_opportunistic}{sealpost_enforced}}\n";
const EXIM_TRANSPORTS: &str = "\nsealpost_enforced transport:\ndriver = smtp\nevent_action = \
     ${acl{sealpost_event}{enforced}}\nconnection_max_messages = 1\nhosts_noproxy_tls = \
     *\n\nsealpost_report transport:\ndriver = smtp\nevent_action = \n\nlocal_delivery \
     transport:\ndriver = appendfile\n";

fn exim_with(set: impl FnOnce(&mut exim::Facts, &mut [String; 3])) -> Examined {
    let mut said = [EXIM_VERSION, EXIM_ROUTERS, EXIM_TRANSPORTS].map(str::to_owned);
    let mut facts = exim::Facts {
        exim: Ok(None),
        another_asks: false,
        library: Some(("/usr/lib/libsealpost.so".into(), Reach::Yes)),
        socket: "/run/sealpost/plugin.sock".to_owned(),
        report_sender: "TLS-Reports@example.com".to_owned(),
        is_dane_on: true,
        resolv_conf: "nameserver 127.0.0.1\noptions edns0 trust-ad\n".to_owned(),
    };
    set(&mut facts, &mut said);
    facts.exim = Ok(Some(exim::Exim::of(&said[0], &said[1], &said[2])));
    exim::judge(&facts)
}

fn counted(counters: &[(&str, u64)], up_seconds: i64) -> Examined {
    let counters = counters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), *value));
    sessions::judge(&sessions::Facts::Counted {
        counters: counters.collect::<BTreeMap<_, _>>(),
        up_seconds,
    })
}

const WORKING: [(&str, u64); 3] = [
    ("policy_queries", 1_000),
    ("sessions", 900),
    ("reports_sent", 3),
];

pub(super) fn well() -> Vec<Examined> {
    vec![
        postfix_with(|_, _| {}),
        // Another MTA asks, so that this one need not.
        postfix_with(|facts, installed| {
            facts.another_asks = true;
            installed.asks = false;
            installed.no_plan = Some("too old".to_owned());
        }),
        postfix_with(|_, installed| {
            installed.remarks = vec![
                (
                    About::SmartHost,
                    false,
                    "all mail goes through relay".to_owned(),
                ),
                (About::DatagramQueue, false, "short".to_owned()),
            ];
        }),
        postfix_with(|facts, installed| {
            facts.log_tells_all = true;
            installed.has_library = Some(false);
        }),
        postfix::judge(&postfix::Facts {
            installed: Err(NotSeen::NotInstalled),
            another_asks: false,
            log: None,
            log_tells_all: false,
        }),
        exim_with(|_, _| {}),
        exim_with(|facts, said| {
            facts.another_asks = true;
            said[1].clear();
        }),
        exim_with(|facts, _| {
            facts.is_dane_on = false;
            facts.resolv_conf.clear();
        }),
        counted(&WORKING, 100_000),
        // A start is not a habit.
        counted(&[("policy_queries", 19)], 100_000),
        counted(&[("policy_queries", 1_000)], 3_599),
        counted(&[], 86_399),
    ]
}

pub(super) fn unseen() -> Vec<Examined> {
    vec![
        postfix::judge(&postfix::Facts {
            installed: Err(NotSeen::Unreadable("postconf: no".to_owned())),
            another_asks: false,
            log: None,
            log_tells_all: false,
        }),
        postfix_with(|facts, _| {
            facts.log = Some((
                "/var/log/mail.log".into(),
                Reach::NotKnown("who".to_owned()),
            ));
        }),
        exim::judge(&exim::Facts {
            exim: Err("exim4 -bV: no".to_owned()),
            another_asks: false,
            library: None,
            socket: String::new(),
            report_sender: String::new(),
            is_dane_on: true,
            resolv_conf: String::new(),
        }),
        sessions::judge(&sessions::Facts::NotSeen(
            "the daemon does not run".to_owned(),
        )),
    ]
}

pub(super) fn cases() -> Vec<Case> {
    [cases_of_postfix(), cases_of_exim(), cases_of_sessions()].concat()
}

/// What a parameter is, what it should be, and the trap that makes.
const LACKS: [(&str, &str, &str, &str); 13] = [
    (
        "postfix-not-asking",
        "smtp_tls_policy_maps",
        "",
        "socketmap:x",
    ),
    (
        "postfix-tells-nothing",
        "smtp_tls_security_level",
        "",
        "may",
    ),
    (
        "postfix-tells-nothing",
        "smtp_tls_security_level",
        "none",
        "dane",
    ),
    ("postfix-tells-nothing", "smtp_tlsrpt_enable", "no", "yes"),
    ("postfix-tells-nothing", "smtp_tlsrpt_socket_name", "x", "y"),
    ("postfix-tells-nothing", "smtp_tls_loglevel", "0", "1"),
    (
        "postfix-tells-less",
        "smtp_tlsrpt_skip_reused_handshakes",
        "yes",
        "no",
    ),
    (
        "postfix-trusts-nobody",
        "smtp_tls_CAfile",
        "",
        "/etc/ssl/cert.pem",
    ),
    (
        "postfix-reports-reported",
        "tls_required_enable",
        "no",
        "yes",
    ),
    (
        "postfix-holds-reports",
        "sealpost-report/unix",
        "",
        "sealpost-report unix",
    ),
    (
        "postfix-without-dnssec",
        "smtp_dns_support_level",
        "",
        "dnssec",
    ),
    (
        "postfix-not-as-needed",
        "smtp_tls_security_level",
        "may",
        "dane",
    ),
    (
        "postfix-not-as-needed",
        "smtp_tls_enforce_sts_mx_patterns",
        "no",
        "yes",
    ),
];

fn cases_of_postfix() -> Vec<Case> {
    let lacks = LACKS.into_iter();
    let mut all: Vec<Case> = lacks
        .map(|(trap, name, now, next)| (trap, lacking(name, now, next)))
        .collect();
    all.extend([
        (
            "postfix-built-without-tlsrpt",
            postfix_with(|_, installed| {
                installed.has_library = Some(false);
            }),
        ),
        (
            "postfix-resolv-conf-stale",
            postfix_with(|_, installed| {
                installed.stale_resolv_conf = Some("/var/spool/postfix/etc/resolv.conf".into());
            }),
        ),
        ("postfix-service-goes-past", remarked(About::Service, false)),
        ("postfix-stopped-by", remarked(About::Other, true)),
        ("postfix-remark", remarked(About::Other, false)),
        (
            "postfix-stopped-by",
            postfix_with(|_, installed| {
                installed.no_plan = Some("Postfix 3.3 is too old".to_owned());
            }),
        ),
        (
            "postfix-log-unreadable",
            postfix_with(|facts, _| {
                facts.log = Some((
                    "/var/log/mail.log".into(),
                    Reach::No("no such file".to_owned()),
                ));
            }),
        ),
    ]);
    all
}

fn cases_of_exim() -> Vec<Case> {
    let replaced = |which: usize, from: &'static str, to: &'static str| {
        exim_with(|_, said| {
            assert!(said[which].contains(from), "{from}");
            said[which] = said[which].replace(from, to);
        })
    };
    vec![
        ("exim-built-without", replaced(0, " Event", "")),
        ("exim-built-without", replaced(0, " DANE", "")),
        ("exim-built-without", replaced(0, " dnsdb", "")),
        ("exim-not-asking", replaced(1, "POLICY", "QUERY")),
        (
            "exim-asks-elsewhere",
            replaced(1, "/run/sealpost/plugin.sock", "/run/other.sock"),
        ),
        (
            "exim-transport-tells-nothing",
            exim_with(|_, said| {
                said[1] += "\nsmart router:\ndriver = manualroute\ntransport = remote_smtp\n";
                said[2] += "\nremote_smtp transport:\ndriver = smtp\nevent_action = \n";
            }),
        ),
        (
            "exim-reuses-connections",
            replaced(
                2,
                "connection_max_messages = 1",
                "connection_max_messages = 500",
            ),
        ),
        (
            "exim-reports-reported",
            exim_with(|facts, _| {
                facts.report_sender = "other@example.com".to_owned();
            }),
        ),
        (
            "exim-library-unreadable",
            exim_with(|facts, _| {
                facts.library = Some(("/x.so".into(), Reach::No("/x.so: not found".to_owned())));
            }),
        ),
        (
            "exim-ciphers-of-gnutls",
            exim_with(|_, said| {
                said[0] = said[0].replace("GnuTLS", "OpenSSL");
                let told = "driver = smtp\nevent_action = ${acl";
                let ciphered = format!("tls_require_ciphers = NORMAL:-VERS-ALL\n{told}");
                said[2] = said[2].replacen(told, &ciphered, 1);
            }),
        ),
        (
            "exim-sees-nothing-signed",
            exim_with(|facts, _| {
                facts.resolv_conf =
                    "nameserver 127.0.0.1\n# options trust-ad\noptions edns0\n".to_owned();
            }),
        ),
    ]
}

fn cases_of_sessions() -> Vec<Case> {
    let besides = |more: &[(&'static str, u64)]| counted(&[&WORKING, more].concat(), 100_000);
    vec![
        ("sessions-nobody-asks", counted(&[], 86_400)),
        (
            "sessions-not-told",
            counted(&[("policy_queries", 20)], 3_600),
        ),
        ("sessions-lost", besides(&[("sessions_dropped", 1)])),
        ("sessions-lost", besides(&[("sessions_dropped_disk", 1)])),
        ("sessions-lost", besides(&[("datagrams_dropped", 1)])),
        (
            "sessions-not-understood",
            besides(&[("datagrams_malformed", 1)]),
        ),
        (
            "sessions-not-understood",
            besides(&[("plugin_lines_malformed", 1)]),
        ),
        (
            "sessions-clients-refused",
            besides(&[("plugin_clients_refused", 1)]),
        ),
        (
            "sessions-clients-refused",
            besides(&[("socketmap_clients_refused", 1)]),
        ),
        (
            "sessions-unanswered",
            besides(&[("policy_queries_unanswerable", 101)]),
        ),
        (
            "reports-stuck",
            counted(&[("policy_queries", 5), ("reports_given_up", 1)], 10),
        ),
    ]
}
