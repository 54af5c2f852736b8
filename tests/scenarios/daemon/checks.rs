//! `sealpost check --probe` of the domains with DANE, by the daemon that guards the host.

use sealpost_kit::Cases;
use serde_json::Value;

use super::host::Host;

/// A host among domains with DANE.
fn host() -> Host {
    let mut host = Host::among(Cases::Postfix);
    host.set("socketmap.dane_only", "always");
    host
}

/// `finding, usability of the records, whether the certificate matches, level, by whom`, for each host.
fn said(check: &Value) -> Vec<String> {
    let hosts = check["mx"]["hosts"].as_array().unwrap();
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    hosts
        .iter()
        .map(|host| {
            let records = host["dane"]["records"].as_array().unwrap();
            let records: Vec<String> = records
                .iter()
                .map(|each| word(&each["usability"]))
                .collect();
            let matches = match &host["live"]["dane_matches"] {
                Value::Bool(true) => "matches",
                Value::Bool(false) => "no match",
                _ => "-",
            };
            format!(
                "{} [{}] {matches}: {} by {}",
                word(&host["dane"]["finding"]),
                records.join(" "),
                word(&host["level"]),
                word(&host["decided_by"])
            )
        })
        .collect()
}

#[test]
fn each_domain_with_dane_is_explained() {
    let host = host();
    let daemon = host.start();
    for (domain, expected, sentence) in [
        (
            "dane-ok.test",
            &["records [usable] matches: dane by dane"][..],
            "Mail goes by DANE to 1 of 1 MX host.",
        ),
        (
            "dane-bad.test",
            &["records [usable usable] no match: dane by dane"],
            "The certificate of mx.dane-bad.test does not satisfy its TLSA records, for it matches none of the records \
             (validation-failure: dane-no-match): mail to it waits.",
        ),
        (
            "dane-unusable.test",
            &["records [unusable] -: encrypt by dane"],
            "Mail goes over TLS with whatever certificate to 1 of 1 MX host.",
        ),
        (
            "dane-nostarttls.test",
            &["records [usable] -: dane by dane"],
            "mx.dane-nostarttls.test has no TLS (STARTTLS is not offered): mail to it waits.",
        ),
        (
            "dane-bogus.test",
            &["unreachable [] -: refuse by dane"],
            "Mail waits: none of the domain's MX hosts may be used now.",
        ),
        (
            "dane-twomx.test",
            &[
                "records [usable usable] no match: dane by dane",
                "records [usable] matches: dane by dane",
            ],
            "The certificate of mx1.dane-twomx.test does not satisfy its TLSA records, for it matches none",
        ),
        (
            "both.test",
            &["records [usable] matches: dane by dane"],
            "Mail goes by DANE to 1 of 1 MX host.",
        ),
    ] {
        let output = host.run(&["check", domain, "--probe", "--json"]);
        let check: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(said(&check), expected, "{domain}: {check:#}");
        let text = check["outcome"]["text"].as_str().unwrap();
        assert!(text.contains(sentence), "{domain}: {text}");
        // A host whose certificate will not do is as one that may not be used.
        let hosts = check["mx"]["hosts"].as_array().unwrap().len();
        let lost = text.matches("mail to it waits").count();
        assert_eq!(
            check["outcome"]["deliverable"],
            hosts > lost && !text.contains("Mail waits"),
            "{domain}: {text}"
        );
    }
    // Nobody was sent anything.
    assert!(host.internet.mx_hosts.messages().is_empty());
    assert!(daemon.stop().success());
}

#[test]
fn a_check_reads_as_a_postmaster_reads_it() {
    let host = host();
    let daemon = host.start();
    let text = host.shown(&["check", "dane-ok.test", "--probe"]);
    let certificate = host.internet.mx_hosts.certificate_of("mx.dane-ok.test");
    let digest: String = certificate
        .unwrap()
        .public_key_sha256()
        .iter()
        .map(|octet| format!("{octet:02X}"))
        .collect();
    let address = host
        .internet
        .mx_hosts
        .address_of("mx.dane-ok.test")
        .unwrap()
        .ip();
    let expected = format!(
        "DANE      DNSSEC is validated by the resolver\n  \
           MX records: signed\n  \
           mx.dane-ok.test: the MX records are signed; its addresses and TLSA records are signed\n    \
             3 1 1 {digest}  usable\n    \
             names below usage 2: mx.dane-ok.test, dane-ok.test\n\
         Seen\n  \
           mx.dane-ok.test at {address}: TLS comes up\n    \
             DANE     matches: 3 1 1 {digest} is the server's certificate\n"
    );
    assert!(
        text.contains(&expected),
        "{text}\n--- not in it:\n{expected}"
    );
    assert!(text.contains("QUERYwithTLSRPT: OK dane-only"), "{text}");
    assert!(daemon.stop().success());
}

/// Until the door is opened anew it answers as before, and so says a check; what is taken up at once is shown
/// at once.
#[test]
fn a_check_shows_what_the_door_goes_by_and_not_what_it_will() {
    let mut host = host();
    let mut daemon = host.start();
    host.set("socketmap.dane_only", "never");
    host.write_config();
    daemon.reload();
    let text = host.shown(&["check", "dane-ok.test"]);
    assert!(text.contains("QUERYwithTLSRPT: OK dane-only"), "{text}");
    host.set_override("dane-ok.test", "without-dane");
    host.write_config();
    daemon.reload();
    let text = host.shown(&["check", "dane-ok.test"]);
    assert!(text.contains("QUERYwithTLSRPT: OK may"), "{text}");
    assert!(text.contains("sts: NOTFOUND"), "{text}");
    assert!(daemon.stop().success());
    let daemon = host.start();
    let text = host.shown(&["check", "dane-ok.test"]);
    assert!(text.contains("QUERYwithTLSRPT: NOTFOUND"), "{text}");
    assert!(daemon.stop().success());
}
