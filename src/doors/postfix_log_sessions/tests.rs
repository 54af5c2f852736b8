use super::*;
use crate::doors::postfix_line::parse;

const NOW: Timestamp = Timestamp(1_800_000_000);

/// What Postfix 3.7 and 3.10 wrote of mail to hosts whose faults are known: `tests/mta/` has them.
const WRITTEN_BY_3_7: &str = include_str!("postfix-3.7.txt");
const WRITTEN_BY_3_10: &str = include_str!("postfix-3.10.txt");

fn shown(session: &LogSession) -> String {
    let address = session
        .receiving_ip
        .map_or(String::new(), |address| format!("[{address}]"));
    let mx = session.mx.as_deref().unwrap_or("-");
    format!("{} {mx}{address} {:?}", session.domain, session.how)
}

/// Takes the lines of a log that was there from the beginning of Postfix.
fn taken(sessions: &mut LogSessions, log: &str) -> Vec<String> {
    let mut told = Vec::new();
    for line in log.lines() {
        if let Some(line) = parse(line) {
            told.extend(sessions.take(&line, NOW).iter().map(shown));
        }
    }
    told
}

/// Lines with the process id in front, and the words of a TLS line and of a delivery abridged.
fn written(lines: &[&str]) -> String {
    let written = lines.iter().map(|line| {
        let (process, message) = line.split_once(' ').unwrap();
        let process = match process.parse::<u32>() {
            Ok(pid) => format!("postfix/smtp[{pid}]"),
            Err(_) => format!("postfix/{process}[9]"),
        };
        let message = message
            .replace("TLS UP", "TLS connection established to")
            .replace("BY", "relay=")
            .replace(
                "SENT",
                "delay=1, delays=1/0/0/0, dsn=2.0.0, status=sent (250 ok)",
            )
            .replace(
                "DEFERRED",
                "delay=1, delays=1/0/0/0, dsn=4.0.0, status=deferred",
            );
        format!("Nov 24 12:00:00 host {process}: {message}\n")
    });
    written.collect()
}

#[track_caller]
fn check(lines: &[&str], expected: &[&str]) {
    let mut sessions = LogSessions::new(Some("reports@example.net"));
    // A log that says when TLS is up, and a Postfix that has roots.
    let known = written(&["1 Trusted TLS UP mx.known.example[192.0.2.99]:25: x"]);
    assert!(taken(&mut sessions, &known).is_empty());
    assert_eq!(taken(&mut sessions, &written(lines)), expected);
}

const UP: &str = "2 Verified TLS UP mx.example.org[192.0.2.1]:25: x";
const VERIFIED: &str = "example.org mx.example.org[192.0.2.1] Verified";
const CLEAR: &str = "example.org mx.example.org[192.0.2.1] InTheClear";

#[test]
fn what_postfix_3_7_writes_of_hosts_with_known_faults() {
    let mut told = taken(&mut LogSessions::new(None), WRITTEN_BY_3_7);
    told.sort();
    let expired = "NotVerified(\"certificate has expired\")";
    let mut expected = vec![
        "both.test mx.both.test[127.0.1.26] Verified".to_owned(),
        "dane-bad.test mx.dane-bad.test[127.0.1.8] NotVerified(\"num=65:no matching DANE TLSA \
         records\")"
            .to_owned(),
        "dane-bogus.test mx.dane-bogus.test TlsaLookupFailed".to_owned(),
        "dane-nostarttls.test mx.dane-nostarttls.test[127.0.1.20] NotOffered".to_owned(),
        "dane-ok.test mx.dane-ok.test[127.0.1.7] Verified".to_owned(),
        "dane-unusable.test mx.dane-unusable.test[127.0.1.19] Untrusted".to_owned(),
        "norpt.test mx.norpt.test[127.0.1.13] Verified".to_owned(),
        "plain-454.test mx.plain-454.test[127.0.1.15] InTheClear".to_owned(),
        "sts-ehlobig.test mx.sts-ehlobig.test[127.0.1.25] ".to_owned() + expired,
        "sts-fetcherr.test mx.sts-fetcherr.test[127.0.1.11] Established".to_owned(),
        "sts-hsfail.test mx.sts-hsfail.test[127.0.1.17] HandshakeFailed(\"sslv3 alert handshake \
         failure\")"
            .to_owned(),
        "sts-mismatch.test mx.sts-mismatch.test[127.0.1.3] NotVerified(\"num=62:hostname \
         mismatch\")"
            .to_owned(),
        "sts-nostarttls.test mx.sts-nostarttls.test[127.0.1.4] NotOffered".to_owned(),
        "sts-notyet.test mx.sts-notyet.test[127.0.1.27] NotVerified(\"certificate not yet \
         valid\")"
            .to_owned(),
        "sts-selfsigned.test mx.sts-selfsigned.test[127.0.1.10] NotVerified(\"self-signed \
         certificate\")"
            .to_owned(),
        // Before any certificate was trusted, so that there might be no roots.
        "sts-testing.test mx.sts-testing.test[127.0.1.5] Established".to_owned(),
        "sts-twomx.test mx.sts-twomx.test[127.0.1.22] ".to_owned() + expired,
        "sts-twomx.test mx2.sts-twomx.test[127.0.1.23] Verified".to_owned(),
        "sts-untrusted.test mx.sts-untrusted.test[127.0.1.24] NotVerified(\"untrusted issuer\")"
            .to_owned(),
        "sts-wildcard.test mx.sts-wildcard.test[127.0.1.12] Verified".to_owned(),
        "sts-wrongmx.test mx.elsewhere.test[127.0.1.6] NotVerified(\"num=62:hostname mismatch\")"
            .to_owned(),
    ];
    // One more each through tlsproxy(8), the second and third with a resumed TLS session.
    expected.extend(vec![
        "sts-badcert.test mx.sts-badcert.test[127.0.1.2] "
            .to_owned()
            + expired;
        4
    ]);
    // One message, one of three with another recipient, three through tlsproxy(8).
    let enforce = "sts-enforce.test mx.sts-enforce.test[127.0.1.1] Verified";
    expected.extend(vec![enforce.to_owned(); 5]);
    // One message, one with three recipients, two more; then three down one connection.
    let clear = "plain-nostarttls.test mx.plain-nostarttls.test[127.0.1.14] InTheClear";
    expected.extend(vec![clear.to_owned(); 5]);
    // One before and one after Postfix read its configuration again; three messages down the latter.
    // What went in the clear by choice is not there.
    let plain = "plain.test mx.plain.test[127.0.1.9]";
    expected.extend(vec![format!("{plain} Established"); 2]);
    expected.extend(vec![format!("{plain} Untrusted"); 2]);
    // The first try, and the second with a retry in the clear; three through tlsproxy(8), which has no
    // words.
    let failed = "plain-hsfail.test mx.plain-hsfail.test[127.0.1.16] HandshakeFailed";
    expected.extend(vec![
        format!("{failed}(\"sslv3 alert handshake failure\")");
        2
    ]);
    expected.extend(vec![format!("{failed}(\"\")"); 3]);
    expected.sort();
    assert_eq!(told, expected);
}

#[test]
fn what_postfix_3_10_does_not_tell_otherwise() {
    use crate::{config::PostfixLogTake, doors::postfix_log_told::is_wanted};
    let mut sessions = LogSessions::new(None);
    let mut told = Vec::new();
    let lines = WRITTEN_BY_3_10.lines().filter_map(parse);
    for session in lines.flat_map(|line| sessions.take(&line, NOW)) {
        if is_wanted(&session.how, PostfixLogTake::Silent) {
            told.push(shown(&session));
        }
    }
    told.sort();
    let clear = "plain-nostarttls.test mx.plain-nostarttls.test[127.0.1.14] InTheClear";
    assert_eq!(
        told,
        [
            "dane-bogus.test mx.dane-bogus.test TlsaLookupFailed",
            "plain-454.test mx.plain-454.test[127.0.1.15] InTheClear",
            clear,
            clear,
            clear,
            clear,
            "sts-wrongmx.test mx.elsewhere.test NotListed",
        ]
    );
}

#[test]
fn e1_recipients_and_messages_of_one_connection_are_one_session() {
    check(
        &[
            UP,
            "2 AAAA01: to=<a@example.org>, BYmx.example.org[192.0.2.1]:25, SENT",
            "2 AAAA01: to=<b@example.org>, BYmx.example.org[192.0.2.1]:25, SENT",
        ],
        &[VERIFIED],
    );
    // In the clear there is no line but these; without `conn_use=` each message has a connection of
    // its own, and so has a second lot of recipients of the same message.
    check(
        &[
            "2 AAAA01: to=<a@example.org>, BYmx.example.org[192.0.2.1]:25, SENT",
            "2 AAAA01: to=<b@example.org>, BYmx.example.org[192.0.2.1]:25, SENT",
            "2 AAAA02: to=<a@example.org>, BYmx.example.org[192.0.2.1]:25, SENT",
            "2 AAAA03: to=<a@example.org>, BYmx.example.org[192.0.2.1]:25, conn_use=2, SENT",
            "2 AAAA03: to=<a@example.org>, BYmx.example.org[192.0.2.1]:25, delay=2, \
             delays=1/1/0/0, dsn=2.0.0, status=sent (250 ok)",
        ],
        &[CLEAR, CLEAR, CLEAR],
    );
    // Two processes at once.
    check(
        &[
            UP,
            "3 Untrusted TLS UP mx.example.net[192.0.2.2]:25: x",
            "3 AAAA02: to=<a@example.net>, BYmx.example.net[192.0.2.2]:25, SENT",
            "2 AAAA01: to=<a@example.org>, BYmx.example.org[192.0.2.1]:25, SENT",
        ],
        &["example.net mx.example.net[192.0.2.2] Untrusted", VERIFIED],
    );
    check(
        &[
            "2 Verified TLS connection reused to mx.example.org[192.0.2.1]:25: x",
            "2 AAAA01: to=<a@example.org>, BYmx.example.org[192.0.2.1]:25, conn_use=2, SENT",
        ],
        &[],
    );
}

#[test]
fn one_session_for_each_host_that_was_tried() {
    check(
        &[
            "2 AAAA01: TLS is required, but was not offered by host mx1.example.org[192.0.2.1]",
            "2 Trusted TLS UP mx2.example.org[192.0.2.2]:25: x",
            "2 AAAA01: Server certificate not verified",
            "2 connect to mx3.example.org[192.0.2.3]:25: Connection refused",
            "2 AAAA01: TLS is required, but host mx4.example.org[192.0.2.4] refused to start TLS: 454 x",
            "2 AAAA01: lost connection with mx5.example.org[192.0.2.5] while receiving the STARTTLS \
             response",
            "2 AAAA01: host mx6.example.org[192.0.2.6] refused to talk to me: 554 no",
            "2 SSL_connect error to mx7.example.org[192.0.2.7]:25: lost connection",
            "2 AAAA01: Cannot start TLS: handshake failure",
            "2 AAAA01: to=<a@example.org>, BYnone, DEFERRED (connect to mx8.example.org[192.0.2.8]:25: \
             Connection timed out)",
        ],
        &[
            "example.org mx1.example.org[192.0.2.1] NotOffered",
            "example.org mx2.example.org[192.0.2.2] NotVerified(\"hostname mismatch\")",
            "example.org mx4.example.org[192.0.2.4] Refused",
            "example.org mx5.example.org[192.0.2.5] LostInStartTls",
            "example.org mx7.example.org[192.0.2.7] HandshakeFailed(\"lost connection\")",
        ],
    );
    // Temporary refusals by servers that offer no TLS, each a session in the clear.
    check(
        &[
            "2 AAAA01: host mx1.example.org[192.0.2.1] said: 450 4.2.0 Later (in reply to RCPT TO \
             command)",
            "2 AAAA01: lost connection with mx2.example.org[192.0.2.2] while sending MAIL FROM",
            "2 AAAA01: lost connection with mx3.example.org[192.0.2.3] while performing the EHLO \
             handshake",
            "2 AAAA01: to=<a@example.org>, BYmx4.example.org[192.0.2.4]:25, DEFERRED (host \
             mx4.example.org[192.0.2.4] said: 450 TLS is required, but was not offered by host x)",
        ],
        &[
            "example.org mx1.example.org[192.0.2.1] InTheClear",
            "example.org mx2.example.org[192.0.2.2] InTheClear",
            "example.org mx4.example.org[192.0.2.4] InTheClear",
        ],
    );
}

#[test]
fn a_retry_in_the_clear_is_the_same_session() {
    check(
        &[
            "2 SSL_connect error to mx.example.org[192.0.2.1]:25: -1",
            "2 warning: TLS library problem: error:0A00010B:SSL routines::wrong version number:f:1:",
            "2 warning: TLS library problem: error:0A000139:SSL routines::record layer failure:f:1:",
            "2 AAAA01: Cannot start TLS: handshake failure",
            "2 AAAA01: to=<a@example.org>, BYmx.example.org[192.0.2.1]:25, SENT",
        ],
        &["example.org mx.example.org[192.0.2.1] HandshakeFailed(\"wrong version number\")"],
    );
    check(
        &[
            "2 Trusted TLS UP mx.example.org[192.0.2.1]:25: x",
            "2 AAAA01: lost connection with mx.example.org[192.0.2.1] while sending MAIL FROM",
            "2 AAAA01: to=<a@example.org>, BYmx.example.org[192.0.2.1]:25, SENT",
        ],
        &["example.org mx.example.org[192.0.2.1] Established"],
    );
}

#[test]
fn what_was_told_through_libtlsrpt_or_chosen_is_no_silent_session_in_the_clear() {
    let delivered = "2 AAAA01: to=<a@example.org>, BYmx.example.org[192.0.2.1]:25, SENT";
    // 3.11 tells of a refusal that it does not mind; a success is told where the log is silent of TLS.
    check(
        &[
            "2 TLSRPT: status=failure, domain=example.org, receiving_mx=mx.example.org[192.0.2.1], \
             failure_type=starttls_not_supported",
            delivered,
        ],
        &["example.org mx.example.org[192.0.2.1] Refused"],
    );
    check(
        &[
            "2 TLSRPT: status=success, domain=example.org, receiving_mx=mx.example.org[192.0.2.1]",
            delivered,
        ],
        &[],
    );
    check(
        &["2 Host offered STARTTLS: [mx.example.org]", delivered],
        &[],
    );
    for (tls, expected) in [("none", &[][..]), ("may", &[]), ("may:none", &[CLEAR])] {
        let line = format!(
            "2 AAAA01: to=<a@example.org>, BYmx.example.org[192.0.2.1]:25, delay=1, \
             delays=1/0/0/0, tls={tls}, dsn=2.0.0, status=sent (250 ok)"
        );
        check(&[&line], expected);
    }
}

#[test]
fn sessions_are_in_the_clear_only_where_the_log_says_when_tls_is_up() {
    let mut sessions = LogSessions::new(None);
    let clear = |number: usize| {
        written(&[&format!(
            "2 {number:06X}: to=<a@example.org>, BYmx.example.org[192.0.2.1]:25, SENT"
        )])
    };
    // Held back, until the log says so.
    assert!(taken(&mut sessions, &clear(1)).is_empty());
    assert!(taken(&mut sessions, &clear(2)).is_empty());
    let up = written(&["3 Untrusted TLS UP mx.example.net[192.0.2.2]:25: x"]);
    assert_eq!(taken(&mut sessions, &up), [CLEAR, CLEAR]);
    assert_eq!(taken(&mut sessions, &clear(3)), [CLEAR]);
    // Never more than so many in a row.
    let told: usize = (4..1_000)
        .map(|number| taken(&mut sessions, &clear(number)).len())
        .sum();
    assert_eq!(told, Instance::CLEAR_IN_A_ROW_MAX as usize - 1);
    assert_eq!(sessions.doubt().as_deref(), Some("postfix"));
    assert_eq!(sessions.doubt(), None);
    assert_eq!(taken(&mut sessions, &up).len(), Instance::HELD_MAX);
    // Settings may be others after this.
    let reload = written(&["master reload -- version 3.10.13, configuration /etc/postfix"]);
    assert!(taken(&mut sessions, &reload).is_empty());
    assert!(taken(&mut sessions, &clear(2_000)).is_empty());
    // What was held back before we began to count is not counted.
    sessions.counting_begins();
    assert!(taken(&mut sessions, &up).is_empty());
    // Nor what was held back for long.
    assert!(taken(&mut sessions, &reload).is_empty());
    assert!(taken(&mut sessions, &clear(2_001)).is_empty());
    let up = parse(up.trim()).unwrap();
    assert!(sessions.take(&up, NOW.plus_seconds(3_000)).is_empty());
}

#[test]
fn c_a_host_that_is_passed_over_counts_once_for_a_message() {
    let not_listed = "2 warning: MX name 'mx.elsewhere.example' does not match STS MX pattern for \
                      'example.org'";
    let lookup = "2 warning: TLS policy lookup for example.org/mx2.example.org: TLSA lookup error \
                  for mx2.example.org:25";
    let deferred = "2 AAAA01: to=<a@example.org>, BYnone, DEFERRED (TLSA lookup error for \
                    mx2.example.org:25)";
    let told = [
        "example.org mx.elsewhere.example NotListed",
        "example.org mx2.example.org TlsaLookupFailed",
    ];
    check(&[not_listed, not_listed, lookup, lookup, deferred], &told);
    check(
        &[not_listed, lookup, deferred, not_listed, lookup, deferred],
        &[told, told].concat(),
    );
    check(&[deferred], &told[1..]);
    let no_records =
        "2 warning: TLS policy lookup for example.org/mx3.example.org: no TLSA records found";
    let deferred = "2 AAAA01: to=<a@example.org>, BYnone, DEFERRED (no TLSA records found)";
    let told = ["example.org mx3.example.org DaneNotToBeHad(Records)"];
    check(&[no_records, no_records, deferred], &told);
    check(
        &[no_records, deferred, no_records, deferred],
        &[told, told].concat(),
    );
}

#[test]
fn d6_our_own_reports_are_not_counted() {
    let delivered = "2 AAAA01: to=<a@example.org>, BYmx.example.org[192.0.2.1]:25, SENT";
    check(
        &[
            "qmgr AAAA01: from=<Reports@example.net>, size=1, nrcpt=1 (queue active)",
            UP,
            delivered,
            "qmgr AAAA01: removed",
            "qmgr AAAA02: from=<a@example.net>, size=1, nrcpt=1 (queue active)",
            UP,
            "2 AAAA02: to=<a@example.org>, BYmx.example.org[192.0.2.1]:25, SENT",
            // The queue file's number is used anew.
            "qmgr AAAA01: from=<a@example.net>, size=1, nrcpt=1 (queue active)",
            UP,
            delivered,
        ],
        &[VERIFIED, VERIFIED],
    );
}

#[test]
fn the_domain_is_the_recipients_or_the_relays() {
    check(
        &[
            "2 Verified TLS UP relay.example[192.0.2.1]:587: x",
            "2 AAAA01: to=<a@example.org>, BYrelay.example[192.0.2.1]:587, SENT",
            UP,
            "2 AAAA02: to=<a@[192.0.2.1]>, BYmx.example.org[192.0.2.1]:25, SENT",
            UP,
            "2 AAAA03: to=<postmaster>, BYmx.example.org[192.0.2.1]:25, SENT",
        ],
        &["relay.example relay.example[192.0.2.1] Verified"],
    );
}

#[test]
fn g3_memory_is_bounded_whatever_the_lines_say() {
    let mut sessions = LogSessions::new(Some("reports@example.net"));
    for number in 0..20_000 {
        let lines = [
            format!("{number} Untrusted TLS UP mx{number}.example.org[192.0.2.1]:25: x"),
            format!("7 SSL_connect error to mx{number}.example.org[192.0.2.1]:25: -1"),
            format!(
                "8 certificate verification failed for mx{number}.example.org[192.0.2.1]:25: {}",
                "x".repeat(1_000)
            ),
            format!(
                "qmgr {number:06X}: from=<reports@example.net>, size=1, nrcpt=1 (queue active)"
            ),
        ];
        for line in &lines {
            taken(&mut sessions, &written(&[line]));
        }
    }
    assert!(sessions.processes.values_mut().count() <= 2 * PROCESSES_MAX);
    assert!(sessions.reports.values_mut().count() <= 2 * REPORTS_MAX);
    let troubles = sessions.troubles.values_mut();
    assert!(
        troubles.map(|words| words.len()).sum::<usize>() <= 2 * TROUBLES_MAX * WORDS_CHARACTERS_MAX
    );
}
