//! A whole daemon that follows Postfix's log.

use std::{fs::OpenOptions, io::Write as _};

use super::host::{Host, until};

/// What a Postfix of before 3.10 writes of one session with the domain's mail host, by the message.
fn delivered(queue_id: &str, domain: &str) -> String {
    let line = "Nov 24 12:00:00 host postfix/smtp[5]: ";
    format!(
        "{line}Verified TLS connection established to mx.{domain}[192.0.2.1]:25: TLSv1.3 with cipher \
         TLS_AES_256_GCM_SHA384 (256/256 bits)\n{line}{queue_id}: to=<a@{domain}>, \
         relay=mx.{domain}[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 \
         ok)\n"
    )
}

fn append(host: &Host, text: &str) {
    let mut options = OpenOptions::new();
    let mut file = options
        .create(true)
        .append(true)
        .open(host.file("mail.log"))
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn d6_sessions_of_the_log_are_counted_once_over_restarts_and_reports_never() {
    let mut host = Host::new();
    let path = host.file("mail.log");
    host.set("postfix_log.path", path.to_str().unwrap());
    host.set("postfix_log.take", "all");
    let daemon = host.start();
    append(&host, &delivered("AAAA01", "example.org"));
    // The daemon's own report mail, on its way through Postfix.
    let report = "Nov 24 12:00:00 host postfix/qmgr[9]: AAAA02: from=<tlsrpt@sender.test>, size=1, \
                  nrcpt=1 (queue active)\n";
    append(&host, report);
    append(&host, &delivered("AAAA02", "reported.example"));
    append(&host, &delivered("AAAA03", "example.org"));
    until("both sessions are counted", || {
        (host.counter("sessions") == 2).then_some(())
    });
    assert_eq!(host.counter("postfix_log_lines"), 7);
    assert!(daemon.stop().success());

    let daemon = host.start();
    append(&host, &delivered("AAAA04", "example.org"));
    until("the third is counted", || {
        (host.counter("sessions") == 1).then_some(())
    });
    assert!(daemon.stop().success());
    let _daemon = host.start();
    assert_eq!(host.counted(host.day, Some("example.org")), (3, 0));
    assert_eq!(host.counted(host.day, Some("reported.example")), (0, 0));
}
