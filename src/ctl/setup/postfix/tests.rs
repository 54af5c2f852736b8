use super::*;

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

fn machine() -> Machine {
    Machine {
        roots: Some("/etc/ssl/certs/ca-certificates.crt".into()),
        local_resolver: true,
        datagrams_queued_max: Some(512),
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
fn a_fresh_postfix_that_tells_its_sessions() {
    let plan = plan(&postfix("3.10.13", &[]), &config(), &machine()).unwrap();
    assert_eq!(
        set(&plan),
        [
            "smtp_tls_policy_maps=socketmap:unix:sealpost/socketmap.sock:QUERYwithTLSRPT",
            "smtp_tls_security_level=may",
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
        there.parameters.insert(change.name, change.next);
    }
    assert_eq!(plan(&there, &config(), &machine()).unwrap().changes, []);
    let mut old = postfix("3.7.11", &[]);
    for change in plan(&old, &config(), &machine()).unwrap().changes {
        match change.place {
            Place::Main => drop(old.parameters.insert(change.name, change.next)),
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
            "smtp_tls_security_level=may",
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
        local_resolver: false,
        datagrams_queued_max: Some(10),
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
fn releases_are_read() {
    for (text, expected) in [
        ("3.10.13", Some((3, 10, 13))),
        ("3.12-20260821", Some((3, 12, 0))),
        ("3.8.0-RC1", Some((3, 8, 0))),
        ("3", None),
        ("", None),
        ("x.y", None),
    ] {
        let expected = expected.map(|(major, minor, patch)| Version::of(major, minor, patch));
        assert_eq!(Version::read(text), expected, "{text}");
    }
    let too_old = plan(&postfix("3.3.1", &[]), &config(), &machine());
    assert!(matches!(too_old, Err(NoPlan::TooOld(_))));
}
