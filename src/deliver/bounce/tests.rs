//! Bounces as MTAs write them, and what else comes to an envelope sender.

use super::*;

const ID: &str = "2026-11-23.example.org.0123456789abcdef@sender.example";
const HEAD: &str = "From: tls@sender.example\r\nTo: tlsrpt@example.org\r\n\
    Subject: Report Domain: example.org\r\n Submitter: sender.example\r\n \
    Report-ID: <2026-11-23.example.org.0123456789abcdef@sender.example>\r\n\
    Message-ID: <2026-11-23.example.org.0123456789abcdef.fedcba9876543210.1@sender.example>\r\n\
    TLS-Report-Domain: example.org\r\n";

/// A notification with these fields of one recipient and this third part.
fn notification(recipient: &str, third: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.example\r\nTo: tls-bounces@sender.example\r\n\
         Subject: Undelivered Mail Returned to Sender\r\nAuto-Submitted: auto-replied\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n \
         boundary=\"B/1\"\r\n\r\n--B/1\r\nContent-Type: text/plain\r\n\r\nI'm sorry.\r\n\r\n\
         --B/1\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\
         X-Postfix-Queue-ID: 4F00\r\nArrival-Date: Tue, 24 Nov 2026 01:00:00 +0000\r\n\r\n\
         {recipient}\r\n\r\n--B/1\r\n{third}\r\n--B/1--\r\n"
    )
}

fn whole() -> String {
    format!("Content-Type: message/rfc822\r\n\r\n{HEAD}\r\nThe text.\r\n")
}

fn fields() -> String {
    format!("Content-Type: text/rfc822-headers\r\n\r\n{HEAD}")
}

const POSTFIX: &str = "Final-Recipient: rfc822; tlsrpt@example.org\r\n\
    Original-Recipient: rfc822;tlsrpt@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n\
    Remote-MTA: dns; mx.example.org\r\nDiagnostic-Code: smtp; 550 5.1.1 <tlsrpt@example.org>:\r\n    \
    Recipient address rejected: User unknown";

fn failed(mailboxes: &[&str], words: &str) -> FailedRecipient {
    FailedRecipient {
        mailboxes: mailboxes
            .iter()
            .map(|&mailbox| mailbox.to_owned())
            .collect(),
        words: words.to_owned(),
    }
}

const UNKNOWN: &str =
    "5.1.1 smtp; 550 5.1.1 <tlsrpt@example.org>: Recipient address rejected: User unknown";
const EXIM: &str = "Action: failed\r\nFinal-Recipient: rfc822;tlsrpt@example.org\r\nStatus: 5.0.0\r\n\
        Remote-MTA: dns; mx.example.org\r\nDiagnostic-Code: smtp; 550 no such user";
const EXCHANGE: &str = "Final-Recipient: rfc822;TLSrpt@Example.org\r\nAction: failed\r\nStatus: 5.1.10\r\n\
        Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found by SMTP address lookup";
const GMAIL: &str = "Final-Recipient: rfc822; tlsrpt@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n\
        Remote-MTA: dns; gmail-smtp-in.example. (192.0.2.5, the server for the domain example.org.)\r\n\
        Diagnostic-Code: smtp; 550-5.1.1 The email account that you tried to reach does not exist.\r\n \
        Please try\r\n 550 5.1.1 double-checking.\r\nLast-Attempt-Date: Tue, 24 Nov 2026 01:00:01 -0800";
const EXPIRED: &str = "Final-Recipient: rfc822; tlsrpt@example.org\r\nAction: FAILED (after 5 days)\r\n\
        Status: 4.4.1\r\nDiagnostic-Code: X-Postfix; connect to mx.example.org: Connection timed out";
const FORWARDED: &str = "Original-Recipient: rfc822;tlsrpt@example.org\r\n\
        Final-Recipient: rfc822;someone@elsewhere.example\r\nAction: failed\r\nStatus: 5.2.2";

#[test]
fn f9_bounces_are_read_as_mtas_write_them() {
    let here = &["tlsrpt@example.org"][..];
    for (name, recipient, third, expected) in [
        ("Postfix", POSTFIX, whole(), failed(here, UNKNOWN)),
        (
            "Postfix with the fields only",
            POSTFIX,
            fields(),
            failed(here, UNKNOWN),
        ),
        (
            "Exim",
            EXIM,
            whole(),
            failed(here, "5.0.0 smtp; 550 no such user"),
        ),
        (
            "Exchange",
            EXCHANGE,
            fields(),
            failed(
                &["TLSrpt@Example.org"],
                "5.1.10 smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found by SMTP address lookup",
            ),
        ),
        (
            "Gmail",
            GMAIL,
            whole(),
            failed(
                here,
                "5.1.1 smtp; 550-5.1.1 The email account that you tried to reach does not exist. \
                 Please try 550 5.1.1 double-checking.",
            ),
        ),
        (
            "given up after days",
            EXPIRED,
            whole(),
            failed(
                here,
                "4.4.1 X-Postfix; connect to mx.example.org: Connection timed out",
            ),
        ),
        (
            "forwarded from there",
            FORWARDED,
            whole(),
            failed(
                &["tlsrpt@example.org", "someone@elsewhere.example"],
                "5.2.2",
            ),
        ),
    ] {
        let read = read(notification(recipient, &third).as_bytes());
        let expected = Bounce {
            report_id: ID.to_owned(),
            failed: vec![expected],
        };
        assert_eq!(read, Ok(expected), "{name}");
    }
}

#[test]
fn f9_qmail_and_old_exim_write_no_notification_and_are_read_all_the_same() {
    let qmail = format!(
        "From: MAILER-DAEMON@mx.example\r\nTo: tls-bounces@sender.example\r\n\
         Subject: failure notice\r\n\r\nHi. This is the qmail-send program at mx.example.\r\n\
         I'm afraid I wasn't able to deliver your message to the following addresses.\r\n\
         This is a permanent error; I've given up. Sorry it didn't work out.\r\n\r\n\
         <tlsrpt@example.org>:\r\nSorry, no mailbox here by that name. (#5.1.1)\r\n\r\n\
         --- Below this line is a copy of the message.\r\n\r\n\
         Return-Path: <tls-bounces@sender.example>\r\n{HEAD}\r\nThe text.\r\n"
    );
    let exim = format!(
        "From: Mail Delivery System <Mailer-Daemon@mx.example>\r\nTo: tls-bounces@sender.example\r\n\
         X-Failed-Recipients: tlsrpt@example.org,\r\n other@example.net\r\nAuto-Submitted: auto-replied\r\n\
         Subject: Mail delivery failed: returning message to sender\r\n\r\n\
         This message was created automatically by mail delivery software.\r\n\r\n  \
         tlsrpt@example.org\r\n    Unrouteable address\r\n\r\n\
         ------ This is a copy of the message, including all the headers. ------\r\n\r\n{HEAD}\r\n"
    );
    let by_field = "it could not be delivered, by X-Failed-Recipients";
    for (mail, expected) in [
        (
            qmail,
            vec![failed(
                &["tlsrpt@example.org"],
                "Sorry, no mailbox here by that name. (#5.1.1)",
            )],
        ),
        (
            exim,
            vec![
                failed(&["tlsrpt@example.org"], by_field),
                failed(&["other@example.net"], by_field),
            ],
        ),
    ] {
        let bounce = read(mail.as_bytes()).unwrap();
        assert_eq!((bounce.report_id.as_str(), bounce.failed), (ID, expected));
    }
}

#[test]
fn g11_what_is_no_bounce_of_a_report_means_nothing() {
    let vacation = "From: a@example.org\r\nTo: tls-bounces@sender.example\r\nAuto-Submitted: auto-replied\r\n\
        Subject: Away: Report-ID: <2026-11-23.example.org.0123456789abcdef@sender.example>\r\n\r\nI am away.\r\n";
    let letter =
        "From: a@example.org\r\nSubject: tlsrpt@example.org failed\r\n\r\nAction: failed\r\n";
    let delayed = POSTFIX.replace("failed", "delayed");
    let other = "Content-Type: message/rfc822\r\n\r\nMessage-ID: <1@elsewhere.example>\r\nSubject: x\r\n\r\n\r\n";
    let nobody = "Final-Recipient: rfc822; nobody\r\nAction: failed\r\nStatus: 5.1.1";
    for (name, mail, expected) in [
        ("nothing", String::new(), Meaningless::NoMail),
        (
            "a vacation notice",
            vacation.to_owned(),
            Meaningless::NoBounce,
        ),
        ("a letter", letter.to_owned(), Meaningless::NoBounce),
        (
            "late",
            notification(&delayed, &whole()),
            Meaningless::NothingFailed,
        ),
        (
            "relayed",
            notification(&POSTFIX.replace("failed", "relayed"), &whole()),
            Meaningless::NothingFailed,
        ),
        (
            "to no mailbox",
            notification(nobody, &whole()),
            Meaningless::NothingFailed,
        ),
        (
            "of another mail",
            notification(POSTFIX, other),
            Meaningless::NoReport,
        ),
        (
            "too long",
            "x".repeat(BOUNCE_BYTES_MAX + 1),
            Meaningless::TooLong,
        ),
    ] {
        assert_eq!(read(mail.as_bytes()), Err(expected), "{name}");
    }
}

#[test]
fn g3_many_recipients_and_long_words_are_bounded() {
    let many: String = (0..1_000)
        .map(|number| {
            format!(
                "{}\r\n\r\n",
                POSTFIX.replace("tlsrpt@", &format!("r{number}@"))
            )
        })
        .collect();
    assert_eq!(
        read(notification(&many, &whole()).as_bytes())
            .unwrap()
            .failed
            .len(),
        RECIPIENTS_MAX
    );
    let long = POSTFIX.replace("User unknown", &"\u{1b}[31m\u{202e}x".repeat(10_000));
    let bounce = read(notification(&long, &whole()).as_bytes()).unwrap();
    let words = &bounce.failed[0].words;
    assert!(
        words.len() < 10 * WORDS_CHARACTERS_MAX && !words.contains('\u{1b}'),
        "{words}"
    );
}

#[test]
fn g3_no_mail_makes_a_panic() {
    let samples = [
        notification(POSTFIX, &whole()),
        notification(POSTFIX, &fields()),
        format!("X-Failed-Recipients: a@b, <>,,c\r\n\r\n{HEAD}"),
        format!(
            "From: a@b\r\n\r\nHi. This is the x\r\n<a@b>:\r\nno\r\n--- Below this line is {HEAD}"
        ),
    ];
    let samples: Vec<&[u8]> = samples.iter().map(String::as_bytes).collect();
    for mail in sealpost_kit::mutations(31, &samples) {
        if let Ok(bounce) = read(&mail) {
            assert!(bounce.report_id.len() <= REPORT_ID_BYTES_MAX);
            assert!(!bounce.failed.is_empty());
        }
    }
}
