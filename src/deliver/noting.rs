//! Notes each report that a relay, or the sendmail program, has taken, for the session by which its MTA will bring it.

use std::sync::Arc;

use crate::{
    clock::{BoxFuture, Clock},
    net::{
        handover::{Accepted, SendError},
        smtp::{Envelope, Transport},
    },
    policy::PolicyDomain,
    record::report_sessions::ReportSessions,
};

/// A way to an MTA that tells us its sessions and cannot tell which of them carry our reports.
pub struct NotingTransport {
    /// The way itself.
    pub to_mta: Arc<dyn Transport>,
    /// Where it is noted.
    pub report_sessions: Arc<ReportSessions>,
    /// When.
    pub clock: Arc<dyn Clock>,
}

impl Transport for NotingTransport {
    fn send<'a>(
        &'a self,
        envelope: &'a Envelope,
        message: &'a [u8],
    ) -> BoxFuture<'a, Result<Accepted, SendError>> {
        Box::pin(async move {
            let accepted = self.to_mta.send(envelope, message).await?;
            // RFC 8461 s3.4: mail to an address literal belongs to no policy domain, and its session to no report.
            if let Some(domain) = mailbox_domain(&envelope.to) {
                let now = self.clock.now();
                self.report_sessions.handed_over(&domain, now);
            }
            Ok(accepted)
        })
    }
}

/// The domain under which the relay asks for a policy, and tells its session.
fn mailbox_domain(mailbox: &str) -> Option<PolicyDomain> {
    mailbox.rsplit_once('@')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{StoppedClock, Timestamp},
        net::handover::Channel,
    };

    /// A relay that takes mail for every mailbox but one.
    struct Relay;

    impl Transport for Relay {
        fn send<'a>(
            &'a self,
            envelope: &'a Envelope,
            _message: &'a [u8],
        ) -> BoxFuture<'a, Result<Accepted, SendError>> {
            let answer = match envelope.to.starts_with("nobody@") {
                true => Err(SendError::permanent("no such user")),
                false => Ok(Accepted {
                    by: "relay".to_owned(),
                    reply: "queued".to_owned(),
                    channel: Channel::Clear,
                }),
            };
            Box::pin(std::future::ready(answer))
        }
    }

    #[tokio::test]
    async fn d6_f12_what_the_relay_took_has_a_session_to_come_with_the_mailbox_domain() {
        let at = Timestamp(1_800_000_000);
        let report_sessions = Arc::new(ReportSessions::within(60));
        let transport = NotingTransport {
            to_mta: Arc::new(Relay),
            report_sessions: Arc::clone(&report_sessions),
            clock: Arc::new(StoppedClock::at(at)),
        };
        for (to, domain, expected) in [
            ("tlsrpt@Example.ORG", "example.org", 1),
            ("\"a@b\"@xn--bcher-kva.example", "xn--bcher-kva.example", 1),
            ("nobody@example.net", "example.net", 0),
            ("tlsrpt@[192.0.2.1]", "example.net", 0),
        ] {
            let envelope = Envelope {
                from: "tlsrpt@sender.example".to_owned(),
                to: to.to_owned(),
            };
            let sent = transport.send(&envelope, b"").await;
            assert_eq!(sent.is_ok(), !to.starts_with("nobody@"));
            let taken = report_sessions.take(&domain.parse().unwrap(), at, 1);
            assert_eq!(taken, expected, "{to}");
        }
    }
}
