//! Lines as Postfix 3.7 and 3.10 wrote them, with names of examples, and lines that others had a say in.

use super::*;

const HEADER: &str = "Nov 24 12:00:00 host postfix/smtp[123]: ";

/// What a line says, in short; `-` for nothing.
fn shown(line: &str) -> String {
    let Some(LogLine { process, said }) = parse(line) else {
        return "-".to_owned();
    };
    let said = match said {
        Said::Delivery(delivery) => format!(
            "{} to {} by {} {:?} set up {} tls {:?}: {}",
            delivery.queue_id,
            delivery.domain.unwrap_or("-"),
            delivery
                .relay
                .map_or("-".to_owned(), |peer| peer_shown(&peer)),
            delivery.connection,
            delivery.set_up,
            delivery.tls,
            reason_shown(&delivery.reason),
        ),
        Said::PassedOver { queue_id, reason } => {
            format!("{queue_id} passed over: {}", reason_shown(&reason))
        }
        Said::Tls {
            peer,
            trust,
            connection,
        } => format!("{trust:?} {connection:?} {}", peer_shown(&peer)),
        Said::CertificateTrouble { peer, words } => {
            format!("trouble {}: {words}", peer_shown(&peer))
        }
        Said::HandshakeFailed { peer, words } => format!("failed {}: {words}", peer_shown(&peer)),
        Said::ResumedUntrusted { peer } => format!("resumed {}", peer_shown(&peer)),
        Said::NotConnected { peer } => format!("not connected {}", peer_shown(&peer)),
        Said::Reported { peer, reported } => format!("reported {reported:?} {}", peer_shown(&peer)),
        other => format!("{other:?}"),
    };
    assert_eq!((process.machine, process.pid), ("host", 123));
    said
}

fn peer_shown(peer: &Peer<'_>) -> String {
    let port = peer.port.map_or(String::new(), |port| format!(":{port}"));
    format!("{}[{}]{port}", peer.host, peer.address)
}

fn reason_shown(reason: &Reason<'_>) -> String {
    match reason {
        Reason::Talked(Some(peer)) => format!("talked {}", peer_shown(peer)),
        Reason::NotOffered(peer) => format!("not offered {}", peer_shown(peer)),
        Reason::Refused(peer) => format!("refused {}", peer_shown(peer)),
        Reason::LostInStartTls(peer) => format!("lost in STARTTLS {}", peer_shown(peer)),
        other => format!("{other:?}"),
    }
}

#[track_caller]
fn check(message: &str, expected: &str) {
    assert_eq!(shown(&format!("{HEADER}{message}")), expected, "{message}");
}

#[test]
fn the_process_is_found_behind_every_kind_of_header() {
    let message = "SSL_connect error to mx.example.org[192.0.2.1]:25: lost connection";
    for (header, instance, machine) in [
        (
            "Nov 24 12:00:00 host postfix/smtp[123]: ",
            "postfix",
            "host",
        ),
        (
            "Nov  4 12:00:00 host postfix/smtp[123]: ",
            "postfix",
            "host",
        ),
        (
            "2026-11-24T12:00:00.123456+01:00 host postfix/smtp[123]: ",
            "postfix",
            "host",
        ),
        (
            "2026-11-24T12:00:00+0100 host postfix/smtp[123]: ",
            "postfix",
            "host",
        ),
        (
            "Nov 24 12:00:00.123456 host postfix-out/smtp[123]: ",
            "postfix-out",
            "host",
        ),
        (
            "<22>Nov 24 12:00:00 host postfix/relay/smtp[123]: ",
            "postfix/relay",
            "host",
        ),
        (
            "Nov 24 12:00:00 <mail.info> host postfix/smtp[123]: ",
            "postfix",
            "host",
        ),
        (
            "Tue 2026-11-24 12:00:00 UTC host postfix/smtp[123]: ",
            "postfix",
            "host",
        ),
        ("postfix/smtp[123]: ", "postfix", ""),
    ] {
        let line = format!("{header}{message}");
        let process = parse(&line).unwrap_or_else(|| panic!("{line}")).process;
        let expected = Process {
            machine,
            instance,
            program: "smtp",
            pid: 123,
        };
        assert_eq!(process, expected, "{line}");
    }
    for header in [
        // Another program that quotes Postfix.
        "Nov 24 12:00:00 host sshd[9]: postfix/smtp[123]: ",
        "Nov 24 12:00:00 host kernel: postfix/smtp[123]: ",
        "Nov 24 12:00:00 host postfix/lmtp[123]: ",
        "Nov 24 12:00:00 host postfix/smtpd[123]: ",
        "Nov 24 12:00:00 host smtp[123]: ",
        "Nov 24 12:00:00 host postfix/smtp[x]: ",
        "Nov 24 12:00:00 host postfix/smtp: ",
        "a b c d e f g h i j postfix/smtp[123]: ",
        "",
    ] {
        assert_eq!(parse(&format!("{header}{message}")), None, "{header}");
    }
}

#[test]
fn what_is_said_of_tls() {
    check(
        "Verified TLS connection established to mx.example.org[192.0.2.1]:25: TLSv1.3 with cipher \
         TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature ECDSA \
         (prime256v1) server-digest SHA256",
        "Verified New mx.example.org[192.0.2.1]:25",
    );
    check(
        "Untrusted TLS connection reused to mx.example.org[192.0.2.1]:25: TLSv1.3 with cipher X",
        "Untrusted Reused mx.example.org[192.0.2.1]:25",
    );
    check(
        "Anonymous TLS connection established to mx.example.org[2001:db8::1]:25: TLSv1.2 with \
         cipher AECDH-AES256-SHA (256/256 bits)",
        "Anonymous New mx.example.org[2001:db8::1]:25",
    );
    check(
        "Trusted TLS connection established to 192.0.2.1[192.0.2.1]:2525: TLSv1.2 with cipher X",
        "Trusted New 192.0.2.1[192.0.2.1]:2525",
    );
}

#[test]
fn what_is_said_of_a_certificate() {
    for (message, words) in [
        (
            "server certificate verification failed for mx.example.org[192.0.2.1]:25: certificate \
             has expired",
            "certificate has expired",
        ),
        (
            "CA certificate verification failed for mx.example.org[192.0.2.1]:25: certificate not \
             yet valid",
            "certificate not yet valid",
        ),
        (
            "server certificate verification failed for mx.example.org[192.0.2.1]:25: \
             num=62:hostname mismatch",
            "num=62:hostname mismatch",
        ),
        (
            "certificate verification failed for mx.example.org[192.0.2.1]:25: self-signed \
             certificate",
            "self-signed certificate",
        ),
        (
            "certificate verification failed for mx.example.org[192.0.2.1]:25: not trusted by \
             local or TLSA policy",
            "not trusted by local or TLSA policy",
        ),
        // The issuer's name is the peer's to choose.
        (
            "certificate verification failed for mx.example.org[192.0.2.1]:25: untrusted issuer \
             /CN=certificate has expired",
            "untrusted issuer",
        ),
    ] {
        check(
            message,
            &format!("trouble mx.example.org[192.0.2.1]:25: {words}"),
        );
    }
}

#[test]
fn what_is_said_of_a_handshake_and_of_what_went_before() {
    check(
        "SSL_connect error to mx.example.org[192.0.2.1]:25: -1",
        "failed mx.example.org[192.0.2.1]:25: -1",
    );
    check(
        "warning: TLS library problem: error:0A000410:SSL routines::sslv3 alert handshake \
         failure:../ssl/record/rec_layer_s3.c:1601:SSL alert number 40:",
        r#"LibraryProblem { words: "sslv3 alert handshake failure" }"#,
    );
    check("warning: TLS library problem: strange", "-");
    check(
        "mx.example.org[192.0.2.1]:25: re-using session with untrusted certificate, look for \
         details earlier in the log",
        "resumed mx.example.org[192.0.2.1]:25",
    );
    check(
        "TLSRPT: status=failure, domain=example.org, receiving_mx=mx.example.org[192.0.2.1], \
         failure_type=starttls_not_supported",
        "reported WithoutTls mx.example.org[192.0.2.1]",
    );
    check(
        "TLSRPT: status=success, domain=example.org, receiving_mx=mx.example.org[192.0.2.1]",
        "reported Other mx.example.org[192.0.2.1]",
    );
    check(
        "connect to mx.example.org[192.0.2.1]:25: Connection refused",
        "not connected mx.example.org[192.0.2.1]:25",
    );
    check(
        "Host offered STARTTLS: [mx.example.org]",
        r#"OfferNotTaken { mx: "mx.example.org" }"#,
    );
    check(
        "warning: MX name 'mx.elsewhere.example' does not match STS MX pattern for 'example.org'",
        r#"NotListed { mx: "mx.elsewhere.example", domain: "example.org" }"#,
    );
    check(
        "warning: TLS policy lookup for example.org/mx.example.org: TLSA lookup error for \
         mx.example.org:25",
        r#"TlsaLookupFailed { next_hop: "example.org", mx: "mx.example.org" }"#,
    );
    check(
        "warning: TLS policy lookup for [relay.example]:587/relay.example: TLSA lookup error for \
         relay.example:587",
        r#"TlsaLookupFailed { next_hop: "relay.example", mx: "relay.example" }"#,
    );
    check(
        "warning: TLS policy lookup for example.org/mx.example.org: client TLS configuration \
         problem",
        "-",
    );
}

#[test]
fn c17_a_host_without_tlsa_records_that_can_be_used_is_passed_over() {
    for (words, lack) in [
        ("non DNSSEC destination", "Records"),
        ("no TLSA records found", "Records"),
        ("TLSA records unusable", "Usable"),
    ] {
        check(
            &format!("warning: TLS policy lookup for example.org/mx.example.org: {words}"),
            &format!(
                r#"DaneNotToBeHad {{ next_hop: "example.org", mx: "mx.example.org", lack: {lack} }}"#
            ),
        );
    }
    check(
        "warning: TLS policy lookup for [relay.example]:587/relay.example: no TLSA records found",
        r#"DaneNotToBeHad { next_hop: "relay.example", mx: "relay.example", lack: Records }"#,
    );
    check(
        "warning: TLS policy lookup for example.org/mx.example.org: no TLSA records found by us",
        "-",
    );
}

#[test]
fn what_became_of_a_recipient() {
    let cases = [
        (
            "6A3259B2607: to=<r@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=0.06, \
             delays=0.01/0.02/0.03/0, dsn=2.0.0, status=sent (250 2.0.0 taken)",
            "6A3259B2607 to example.org by mx.example.org[192.0.2.1]:25 New set up 0.01/0.02/0.03 \
             tls None: talked mx.example.org[192.0.2.1]:25",
        ),
        (
            "4gXyZ16bcdz1Xq: to=<r@example.org>, orig_to=<\"a b\"@example.net>, \
             relay=mx.example.org[2001:db8::1]:25, conn_use=3, delay=0.06, delays=0.01/0/0/0, \
             tls=may:none, dsn=4.2.0, status=deferred (host mx.example.org[2001:db8::1] said: 450 \
             4.2.0 Later (in reply to RCPT TO command))",
            "4gXyZ16bcdz1Xq to example.org by mx.example.org[2001:db8::1]:25 Reused set up 0.01/0/0 \
             tls Some(Clear): talked mx.example.org[2001:db8::1]",
        ),
        (
            "6A3259B2607: to=<r@example.org>, relay=none, delay=8, delays=8/0/0/0, dsn=4.7.5, \
             status=deferred (TLSA lookup error for mx.example.org:25)",
            "6A3259B2607 to example.org by - New set up 8/0/0 tls None: \
             TlsaLookupFailed(\"mx.example.org\")",
        ),
        (
            "6A3259B2607: to=<postmaster>, relay=host[private/dovecot-lmtp], delay=8, \
             delays=8/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 taken)",
            "6A3259B2607 to - by - New set up 8/0/0 tls None: Talked(None)",
        ),
        (
            "6A3259B2607: to=<r@example.org>, relay=relay.example[192.0.2.1]:587, delay=8, \
             delays=8/0/0/0, tls=secure, dsn=5.1.1, status=bounced (host relay.example[192.0.2.1] \
             said: 550 5.1.1 none (in reply to RCPT TO command))",
            "6A3259B2607 to example.org by relay.example[192.0.2.1]:587 New set up 8/0/0 tls \
             Some(Other): talked relay.example[192.0.2.1]",
        ),
    ];
    for (message, expected) in cases {
        check(message, expected);
    }
    for (field, used) in [
        ("may:none", TlsUsed::Clear),
        ("may:none/requiretls", TlsUsed::Clear),
        ("none", TlsUsed::ClearByChoice),
        ("may", TlsUsed::Other),
        ("!secure", TlsUsed::Other),
        ("dane:may", TlsUsed::Other),
        ("may?", TlsUsed::Other),
    ] {
        let line = format!(
            "{HEADER}6A3259B2607: to=<r@example.org>, relay=none, delay=1, delays=0/0/0/0, \
             tls={field}, dsn=2.0.0, status=sent (250 ok)"
        );
        let Said::Delivery(delivery) = parse(&line).unwrap().said else {
            panic!("{line}");
        };
        assert_eq!(delivery.tls, Some(used), "{field}");
    }
}

#[test]
fn why_a_server_would_not_do() {
    let server = "mx.example.org[192.0.2.1]";
    for (words, expected) in [
        (
            "TLS is required, but was not offered by host mx.example.org[192.0.2.1]",
            format!("not offered {server}"),
        ),
        (
            "TLS is required, but host mx.example.org[192.0.2.1] refused to start TLS: 454 4.7.0 \
             Server certificate not verified",
            format!("refused {server}"),
        ),
        (
            "Sender requested REQUIRETLS, but TLS service was not offered by host \
             mx.example.org[192.0.2.1]",
            format!("not offered {server}"),
        ),
        (
            "Sender requested REQUIRETLS, but host mx.example.org[192.0.2.1] refused to start TLS: \
             454 no",
            format!("refused {server}"),
        ),
        (
            "Sender requested REQUIRETLS, but no trusted server certificate was found. The last \
             attempted server was mx.example.org[192.0.2.1]",
            "NotVerified".to_owned(),
        ),
        (
            "Cannot start TLS: handshake failure",
            "HandshakeFailed".to_owned(),
        ),
        ("Server certificate not verified", "NotVerified".to_owned()),
        (
            "host mx.example.org[192.0.2.1] said: 450 4.2.0 Later (in reply to MAIL FROM command)",
            format!("talked {server}"),
        ),
        (
            "Protocol error: host mx.example.org[192.0.2.1] said: 299 What (in reply to DATA command)",
            format!("talked {server}"),
        ),
        (
            "lost connection with mx.example.org[192.0.2.1] while sending RCPT TO",
            format!("talked {server}"),
        ),
        (
            "conversation with mx.example.org[192.0.2.1] timed out while sending end of data -- \
             message may be sent more than once",
            format!("talked {server}"),
        ),
        (
            "lost connection with mx.example.org[192.0.2.1] while receiving the STARTTLS response",
            format!("lost in STARTTLS {server}"),
        ),
    ] {
        check(
            &format!("6A3259B2607: {words}"),
            &format!("6A3259B2607 passed over: {expected}"),
        );
    }
}

#[test]
fn d4_a_connection_lost_before_tls_could_be_spoken_of_is_no_session() {
    // RFC 8460 s4.3.4: a connection that failed before TLS could be spoken of is no session.
    for words in [
        "lost connection with mx.example.org[192.0.2.1] while performing the EHLO handshake",
        "conversation with mx.example.org[192.0.2.1] timed out while receiving the initial server \
         greeting",
        "host mx.example.org[192.0.2.1] refused to talk to me: 554 5.7.1 Server certificate not \
         verified",
        "server unavailable or unable to receive mail",
        "client TLS configuration problem",
        "TLS is required, but our TLS engine is unavailable",
        "enabling PIX workarounds: disable_esmtp delay_dotcrlf for mx.example.org[192.0.2.1]:25",
    ] {
        check(
            &format!("6A3259B2607: {words}"),
            "6A3259B2607 passed over: Other",
        );
    }
}

#[test]
fn g3_an_address_or_a_reply_cannot_speak_for_postfix() {
    let rest = "relay=mx.example.org[192.0.2.1]:25, delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent \
                (250 ok)";
    let delivered = "6A3259B2607 to example.org by mx.example.org[192.0.2.1]:25 New set up 0/0/0 tls \
                     None: talked mx.example.org[192.0.2.1]:25";
    for address in [
        "\"c>, relay=evil[203.0.113.9]:25, x\"@example.org",
        "\"a\\\"b>, relay=evil[203.0.113.9]:25, \\\\\"@example.org",
        "\"a@evil.example>\"@example.org",
        "\u{fffd}\u{e9}@example.org",
    ] {
        check(&format!("6A3259B2607: to=<{address}>, {rest}"), delivered);
    }
    // With `info_log_addr_form = internal` nothing is in quotes; what cannot be read is not believed.
    for address in [
        "a>, relay=evil.example[203.0.113.9]:25, delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent (x)@example.org",
        "a, b@example.org",
        "\"a@example.org",
        "a b@c",
    ] {
        check(&format!("6A3259B2607: to=<{address}>, {rest}"), "-");
    }
    let told = |status: &str| {
        format!(
            "6A3259B2607: to=<r@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, \
             delays=0/0/0/0, dsn=4.0.0, status={status}"
        )
    };
    let talked = |peer: &str| {
        format!(
            "6A3259B2607 to example.org by mx.example.org[192.0.2.1]:25 New set up 0/0/0 tls None: \
             talked {peer}"
        )
    };
    check(
        &told(
            "deferred (host mx.example.org[192.0.2.1] said: 450 TLS is required, but was not \
             offered by host mx.example.net[203.0.113.9] (in reply to RCPT TO command))",
        ),
        &talked("mx.example.org[192.0.2.1]"),
    );
    check(
        &told(
            "sent (250 ok), relay=evil[203.0.113.9]:25, status=deferred (Server certificate not verified)",
        ),
        &talked("mx.example.org[192.0.2.1]:25"),
    );
    for message in [
        "6A3259B2607: to=<r@example.org>",
        "6A3259B2607: to=<r@example.org>, relay=mx.example.org[192.0.2.1]:25",
        "6A3259B2607: to=<r@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, status=sent",
        "Verified TLS connection established to mx.example.org[nowhere]:25: x",
        "Verified TLS connection established to mx.exa mple.org[192.0.2.1]:25: x",
        "Verified TLS connection established to mx.example.org[192.0.2.1]:99999: x",
        "Great TLS connection established to mx.example.org[192.0.2.1]:25: x",
        "warning: MX name 'a b' does not match STS MX pattern for 'example.org'",
        "NOQUEUE: to=<r@example.org>, relay=none, delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent (x)",
    ] {
        check(message, "-");
    }
}

#[test]
fn d6_the_sender_of_a_message() {
    for (message, expected) in [
        (
            "6A3259B2607: from=<reports@example.net>, size=261, nrcpt=3 (queue active)",
            r#"Queued { queue_id: "6A3259B2607", sender: "reports@example.net" }"#,
        ),
        (
            "6A3259B2607: from=<>, size=261, nrcpt=1 (queue active)",
            r#"Queued { queue_id: "6A3259B2607", sender: "" }"#,
        ),
        (
            "6A3259B2607: removed",
            r#"Removed { queue_id: "6A3259B2607" }"#,
        ),
        (
            "6A3259B2607: from=<a@b.example>, status=expired, returned to sender",
            "-",
        ),
        ("warning: something", "-"),
    ] {
        let line = format!("Nov 24 12:00:00 host postfix/qmgr[123]: {message}");
        assert_eq!(shown(&line), expected);
    }
    let started = "Nov 24 12:00:00 host postfix/master[123]: reload -- version 3.10.13, \
                   configuration /etc/postfix";
    assert_eq!(shown(started), "Started");
}

#[test]
fn g3_no_line_makes_a_panic() {
    let samples: Vec<String> = [
        "6A3259B2607: to=<\"c>, x\"@example.org>, orig_to=<a@b>, relay=mx.example.org[192.0.2.1]:25, \
         conn_use=2, delay=1, delays=0/0/0/0, tls=may:none/x, dsn=2.0.0, status=sent (250 ok)",
        "6A3259B2607: TLS is required, but host mx.example.org[192.0.2.1] refused to start TLS: 454",
        "Verified TLS connection established to mx.example.org[2001:db8::1]:25: TLSv1.3 with cipher X",
        "warning: TLS library problem: error:0A000410:SSL routines::alert:file.c:1601:SSL alert 40:",
        "warning: TLS policy lookup for [a]:25/a: TLSA lookup error for a:25",
        "TLSRPT: status=failure, domain=a.b, receiving_mx=c.d[192.0.2.1], failure_type=x",
    ]
    .iter()
    .map(|message| format!("{HEADER}{message}"))
    .collect();
    let samples: Vec<&[u8]> = samples.iter().map(String::as_bytes).collect();
    for line in sealpost_kit::mutations(23, &samples) {
        let line = String::from_utf8_lossy(&line);
        if let Some(line) = parse(&line) {
            assert!(!format!("{line:?}").is_empty());
        }
    }
}
