//! A host whose MTA tells every session, also those that bring our reports: each day's report would make another
//! one due (RFC 8460 s5.3).

use std::os::unix::net::UnixDatagram;

use sealpost::clock::UtcDay;

use super::{
    days::{deliver_well, set_clock_after_night_of, wait_until_sent},
    host::{Host, field, until},
};

/// The domain of the mailbox that all reports go to.
const RUA_DOMAIN: &str = "reports.test";

/// By which door the MTA tells the session that brought a report, and how that went.
#[derive(Clone, Copy, Debug)]
enum TellsBy {
    PluginSocketGood,
    PluginSocketBad,
    Datagram,
}

impl TellsBy {
    fn tell(self, host: &Host) {
        match self {
            Self::PluginSocketGood => deliver_well(host, RUA_DOMAIN),
            Self::PluginSocketBad => {
                let answer = host.say(&format!("MX\t{RUA_DOMAIN}\tmx.{RUA_DOMAIN}"));
                let policy = field(&answer, "policy");
                let told = host.say(&format!(
                    "SESSION\t{RUA_DOMAIN}\tpolicy={policy}\tmx=mx.{RUA_DOMAIN}\tstarttls=not-offered"
                ));
                assert_eq!(told, "OK");
            }
            Self::Datagram => {
                let told = format!(
                    r#"{{"d":"{RUA_DOMAIN}","policies":[{{"policy-type":9,"policy-domain":"{RUA_DOMAIN}","t":0,"f":0}}]}}"#
                );
                let socket = UnixDatagram::unbound().unwrap();
                let path = host.file("spool/tlsrpt.sock");
                socket.send_to(told.as_bytes(), path).unwrap();
            }
        }
    }
}

/// A host that hands reports to a relay. The mailbox's domain wants reports too.
fn host(window_seconds: i64) -> Host {
    let mut host = Host::new();
    let inbox = host.internet.mx_hosts.address_of("mx.reports.test");
    host.set("deliver.via", "relay");
    host.set("deliver.relay", inbox.unwrap().to_string());
    host.set("deliver.report_session_seconds", window_seconds);
    host.set("tlsrpt_socket.path", "spool/tlsrpt.sock");
    host.set("tlsrpt_socket.group", "");
    host.publish_rua(RUA_DOMAIN, "mailto:tlsrpt@reports.test");
    host
}

/// Lives through the night after a day in which there was mail, or a report, to this domain: its report leaves,
/// and the MTA tells the session that brought it.
fn live_through_night_of(host: &Host, day: UtcDay, domain: &str, tells_by: TellsBy) {
    let before = told_of(host);
    set_clock_after_night_of(host, day);
    wait_until_sent(host, day, domain);
    tells_by.tell(host);
    until("the report's session is told", || {
        (told_of(host) > before).then_some(())
    });
}

fn told_of(host: &Host) -> u64 {
    host.counter("sessions")
}

#[test]
fn d6_f12_with_a_time_for_their_sessions_reports_end_after_the_first_day() {
    for tells_by in [
        TellsBy::PluginSocketGood,
        TellsBy::PluginSocketBad,
        TellsBy::Datagram,
    ] {
        let host = host(3_600);
        let first = host.day;
        let daemon = host.start();
        deliver_well(&host, "correct.test");
        live_through_night_of(&host, first, "correct.test", tells_by);
        assert_eq!(host.counted(first, None), (1, 0), "{tells_by:?}");
        assert_eq!(host.counter("sessions_of_reports"), 1, "{tells_by:?}");
        assert_eq!(host.counted(first.next(), None), (0, 0), "{tells_by:?}");

        // One report had one session: the next one to that domain carries mail.
        deliver_well(&host, RUA_DOMAIN);
        assert_eq!(host.counted(first.next(), None), (1, 0), "{tells_by:?}");
        live_through_night_of(&host, first.next(), RUA_DOMAIN, tells_by);
        let third = first.next().next();
        assert_eq!(host.counted(third, None), (0, 0), "{tells_by:?}");
        assert_eq!(host.counter("sessions_of_reports"), 2, "{tells_by:?}");
        assert!(daemon.stop().success());
        assert_eq!(host.internet.inbox.messages().len(), 2, "{tells_by:?}");
    }
}

/// What the setting is for; and by default no session is left out.
#[test]
fn d6_f12_without_it_each_report_makes_another_one_due() {
    let host = host(0);
    let daemon = host.start();
    deliver_well(&host, "correct.test");
    let (mut day, mut domain) = (host.day, "correct.test");
    for reports in 1..=3 {
        live_through_night_of(&host, day, domain, TellsBy::PluginSocketGood);
        host.wait_for_reports(reports);
        (day, domain) = (day.next(), RUA_DOMAIN);
        assert_eq!(host.counted(day, None), (1, 0));
    }
    assert_eq!(host.counter("sessions_of_reports"), 0);
    assert!(daemon.stop().success());
}
