//! The reports: who signs them, who they are from, and how they leave.

use super::*;

fn signing() -> signing::Facts {
    signing::Facts {
        reports_are_sent: true,
        keys: vec![signing::KeyFacts {
            file: "/etc/sealpost/tlsrpt.pem".into(),
            reach: Reach::Yes,
            mode: Some(0o100_640),
            key: published(signing::Published::Right(Vec::new())),
        }],
    }
}

fn published(published: signing::Published) -> signing::Key {
    signing::Key::Usable {
        record_name: "tlsrpt._domainkey.example.com".to_owned(),
        record: "v=DKIM1; k=rsa; s=*; p=AAAA".to_owned(),
        published,
    }
}

fn key_with(set: impl FnOnce(&mut signing::KeyFacts)) -> Examined {
    signing::judge(&with(&signing(), |facts| set(&mut facts.keys[0])))
}

fn sample() -> sender::Sample {
    sender::Sample {
        from_domain: "example.com".to_owned(),
        contact_domain: "example.com".to_owned(),
        submitter: "example.com".to_owned(),
        signatures: vec![sender::SampleSignature {
            domain: "example.com".to_owned(),
            selector: "tlsrpt".to_owned(),
            verified: Ok(true),
            broken: None,
        }],
    }
}

fn named() -> sender::Named {
    sender::Named {
        contact_domain: "example.com".to_owned(),
        envelope_domain: "bounces.example.com".to_owned(),
        host_name: "mail.example.com".to_owned(),
        sample: Ok(sample()),
        dmarc: Ok(Some(("_dmarc.example.com".to_owned(), DmarcPolicy::Reject))),
        spf: Ok(Some("v=spf1 mx -all".to_owned())),
        contact_mail: Ok(sender::TakesMail::Yes),
        envelope_mail: Ok(sender::TakesMail::Yes),
    }
}

fn sent_by(set: impl FnOnce(&mut sender::Named)) -> Examined {
    sender::judge(&sender::Facts {
        named: Ok(with(&named(), set)),
    })
}

fn sampled(set: impl FnOnce(&mut sender::Sample)) -> Examined {
    sent_by(|named| set(named.sample.as_mut().unwrap()))
}

fn way_out() -> way_out::Facts {
    way_out::Facts {
        relay: Some(("127.0.0.1:25".to_owned(), Ok("220 mail".to_owned()))),
        sendmail: Some(sendmail()),
        outside: way_out::Outside::Tried(vec![
            host("mx1", Err(Unspoken::Swallowed(5))),
            host("mx2", Err(Unspoken::Unwanted("554 go away".to_owned()))),
        ]),
    }
}

fn sendmail() -> way_out::Sendmail {
    way_out::Sendmail {
        program: "/usr/sbin/sendmail".into(),
        reach: Reach::Yes,
        is_privileged: true,
        no_new_privileges: Some(false),
    }
}

fn sent_through(set: impl FnOnce(&mut way_out::Sendmail)) -> Examined {
    out_by(|facts| facts.sendmail = Some(with(&sendmail(), set)))
}

fn host(name: &str, said: Result<String, Unspoken>) -> (String, Result<String, Unspoken>) {
    (name.to_owned(), said)
}

fn out_by(set: impl FnOnce(&mut way_out::Facts)) -> Examined {
    way_out::judge(&with(&way_out(), set))
}

fn relay(said: Unspoken) -> Examined {
    out_by(|facts| facts.relay = Some(("relay:25".to_owned(), Err(said))))
}

pub(super) fn well() -> Vec<Examined> {
    vec![
        signing::judge(&signing()),
        signing::judge(&signing::Facts {
            reports_are_sent: false,
            keys: Vec::new(),
        }),
        sent_by(|_| {}),
        // One signature that verifies is enough, and p=none refuses nobody.
        sampled(|sample| {
            let second = sender::SampleSignature {
                verified: Ok(false),
                ..sample.signatures[0].clone()
            };
            sample.signatures.push(second);
        }),
        sent_by(|named| {
            named.dmarc = Ok(Some(("_dmarc.example.com".to_owned(), DmarcPolicy::None)));
            named.sample.as_mut().unwrap().signatures.clear();
        }),
        sent_by(|named| named.spf = Ok(Some("v=spf1 redirect=_spf.example.net".to_owned()))),
        out_by(|_| {}),
        sent_through(|sendmail| {
            sendmail.is_privileged = false;
            sendmail.no_new_privileges = Some(true);
        }),
        out_by(|facts| {
            facts.relay = None;
            facts.outside = way_out::Outside::NotNeeded("a relay does it".to_owned());
        }),
    ]
}

pub(super) fn unseen() -> Vec<Examined> {
    vec![
        key_with(|key| key.reach = Reach::NotKnown("a list".to_owned())),
        key_with(|key| key.key = signing::Key::Unread("permission denied".to_owned())),
        key_with(|key| {
            key.key = published(signing::Published::NotKnown("SERVFAIL".to_owned()));
        }),
        sender::judge(&sender::Facts {
            named: Err("[sender] does not say who we are".to_owned()),
        }),
        sent_by(|named| named.sample = Err("no".to_owned())),
        sent_by(|named| named.dmarc = Err("SERVFAIL".to_owned())),
        sent_by(|named| named.spf = Err("SERVFAIL".to_owned())),
        sent_by(|named| named.envelope_mail = Err("SERVFAIL".to_owned())),
        // A lookup that fails makes no signature bad.
        sampled(|sample| sample.signatures[0].verified = Err("SERVFAIL".to_owned())),
        sent_through(|sendmail| sendmail.reach = Reach::NotKnown("nobody knows".to_owned())),
        out_by(|facts| facts.outside = way_out::Outside::NotTried("it is this machine".to_owned())),
    ]
}

pub(super) fn cases() -> Vec<Case> {
    [cases_of_signing(), cases_of_sender(), cases_of_way_out()].concat()
}

fn cases_of_signing() -> Vec<Case> {
    vec![
        (
            "dkim-no-key",
            signing::judge(&with(&signing(), |facts| facts.keys.clear())),
        ),
        (
            "dkim-key-unreadable",
            key_with(|key| {
                key.reach = Reach::No("sealpost may not read /etc/sealpost/tlsrpt.pem".to_owned());
            }),
        ),
        (
            "dkim-key-unusable",
            key_with(|key| {
                key.key = signing::Key::Unusable("it is RSA of 1024 bits".to_owned());
            }),
        ),
        ("dkim-key-open", key_with(|key| key.mode = Some(0o100_644))),
        (
            "dkim-record-faulty",
            key_with(|key| {
                key.key = published(signing::Published::Faulty(
                    "there is no TXT record".to_owned(),
                ));
            }),
        ),
        (
            "dkim-record-noted",
            key_with(|key| {
                key.key = published(signing::Published::Right(vec!["t=y".to_owned()]));
            }),
        ),
    ]
}

fn cases_of_sender() -> Vec<Case> {
    let unverified = |sample: &mut sender::Sample| sample.signatures[0].verified = Ok(false);
    vec![
        (
            "sender-not-aligned",
            sampled(|sample| sample.submitter = "example.net".to_owned()),
        ),
        (
            "sender-not-aligned",
            sampled(|sample| sample.contact_domain = "example.net".to_owned()),
        ),
        (
            "sender-not-aligned",
            sampled(|sample| {
                sample.signatures[0].domain = "example.net".to_owned();
            }),
        ),
        (
            "sender-signature-broken",
            sent_by(|named| {
                named.dmarc = Ok(Some(("_dmarc.example.com".to_owned(), DmarcPolicy::None)));
                let sample = named.sample.as_mut().unwrap();
                unverified(sample);
                sample.signatures[0].broken = Some("another key signed it".to_owned());
            }),
        ),
        (
            "sender-without-dmarc",
            sent_by(|named| named.dmarc = Ok(None)),
        ),
        ("sender-dmarc-unmet", sampled(unverified)),
        (
            "sender-dmarc-unmet",
            sampled(|sample| sample.signatures.clear()),
        ),
        ("sender-without-spf", sent_by(|named| named.spf = Ok(None))),
        (
            "sender-spf-forbids",
            sent_by(|named| named.spf = Ok(Some("v=spf1 -all".to_owned()))),
        ),
        (
            "sender-contact-unreachable",
            sent_by(|named| {
                named.contact_mail = Ok(sender::TakesMail::NullMx);
            }),
        ),
        (
            "sender-bounces-lost",
            sent_by(|named| {
                named.envelope_mail = Ok(sender::TakesMail::Nowhere);
            }),
        ),
        (
            "sender-host-name-unfit",
            sent_by(|named| named.host_name = "mail".to_owned()),
        ),
        (
            "sender-host-name-unfit",
            sent_by(|named| {
                named.host_name = "localhost.localdomain".to_owned();
            }),
        ),
    ]
}

fn cases_of_way_out() -> Vec<Case> {
    let refused = || Unspoken::Refused("connection refused".to_owned());
    vec![
        ("relay-unreachable", relay(refused())),
        ("relay-unreachable", relay(Unspoken::Swallowed(5))),
        (
            "relay-unreachable",
            relay(Unspoken::Dumb("it hung up".to_owned())),
        ),
        (
            "relay-refuses",
            relay(Unspoken::Unwanted("554 no".to_owned())),
        ),
        (
            "sendmail-unusable",
            sent_through(|sendmail| sendmail.reach = Reach::No("no such file".to_owned())),
        ),
        (
            "sendmail-without-privileges",
            sent_through(|sendmail| sendmail.no_new_privileges = Some(true)),
        ),
        (
            "port-25-blocked",
            out_by(|facts| {
                facts.outside = way_out::Outside::Tried(vec![
                    host("mx1", Err(Unspoken::Swallowed(5))),
                    host("mx2", Err(refused())),
                ]);
            }),
        ),
        (
            "mail-host-unreachable",
            out_by(|facts| {
                facts.outside = way_out::Outside::Tried(vec![host("mx1", Err(refused()))]);
            }),
        ),
    ]
}
