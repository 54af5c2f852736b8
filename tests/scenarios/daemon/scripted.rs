//! A daemon that answers from a script.

use std::path::PathBuf;

use sealpost::{
    alert::Rule,
    clock::{BoxFuture, UtcDay},
    ctl::{
        control::{
            AuditQuestion, Control, Depth, EvidenceQuestion, OverrideOrder, OverridesAsked,
            Replied, SecurityQuestion, SessionsQuestion,
        },
        protocol::Refusal,
        wire::{
            AlertTested, AlertView, AlertWay, AlertsTested, AlertsTold, AlertsView, AppliedView,
            Audit, AuditView, BounceOutcome, BounceTaken, CertificateView, ChainView, CheckResult,
            CounterView, DaneState, DayTotals, Deliveries, DeliveryStateView, DeliveryView,
            DetailView, DocumentFault, DocumentFinding, DomainSessions, Evidence, FailureMembers,
            FailureSeen, FailureView, Finding, History, HostDaneView, LiveView, Metrics, MxFinding,
            MxVerdict, OutcomeView, OverrideEnding, OverrideSource, OverrideView, Overrides,
            PageLink, Policies, PolicySessions, PolicyView, ProtectedSessions, Purged,
            RecordFinding, RefreshOutcome, Refreshed, RefusalView, ReportView, ReportsSent,
            RuaFinding, Security, SecurityOfDay, SecurityOfDomain, SendOutcome, SendView, Sessions,
            SocketmapReply, Status, StoreCopied, StoreState, StoreStatus, SuppressedBy,
            SuppressionView, Suppressions, TlsaView, UndeliveredView, UnreadableDay,
        },
    },
    policy::{Destination, PolicyDomain},
};

/// A daemon that knows one domain, example.org, and was told hostile things about it.
pub(super) struct Scripted;

const HOSTILE: &str = "mx\r\n\u{1b}[2J\u{9b}forged";

fn text(text: &str) -> String {
    text.to_owned()
}

fn ready<T: Send + 'static>(answer: Replied<T>) -> BoxFuture<'static, Replied<T>> {
    Box::pin(std::future::ready(answer))
}

fn day_or(day: Option<UtcDay>, default: &str) -> String {
    day.map_or_else(|| default.to_owned(), |day| day.to_string())
}

fn known(domain: &PolicyDomain) -> Result<(), Refusal> {
    if domain.as_str() == "example.org" {
        return Ok(());
    }
    Err(Refusal::not_found(format!("nothing is known of {domain}")))
}

fn kept() -> PolicyView {
    PolicyView {
        domain: text("example.org"),
        mode: text("enforce"),
        mx: vec![text("*.example.org")],
        max_age_seconds: 86_400,
        id: text("20261124"),
        fetched_at: text("2026-11-24T00:00:00Z"),
        tried_at: text("2026-11-24T00:00:00Z"),
        expires_at: text("2026-11-25T00:00:00Z"),
        expired: false,
        lines: vec![text("version: STSv1"), text(HOSTILE)],
        trouble: None,
    }
}

fn failure() -> FailureMembers {
    FailureMembers {
        result_type: text("certificate-expired"),
        mx: Some(text("mx1.example.org")),
        mx_helo: Some(text(HOSTILE)),
        receiving_ip: Some(text("192.0.2.1")),
        sending_ip: None,
        reason: Some(text(HOSTILE)),
    }
}

fn delivery() -> DeliveryView {
    DeliveryView {
        day: text("2026-11-23"),
        domain: text("example.org"),
        destination: text("mailto:tlsrpt@example.org"),
        report_id: text("a@b"),
        attempts: 1,
        first_attempt_at: Some(text("2026-11-24T00:30:00Z")),
        state: DeliveryStateView::Retry,
        at: text("2026-11-24T00:40:00Z"),
        reason: Some(text(HOSTILE)),
    }
}

fn report(day: String, day_over: bool) -> ReportView {
    ReportView {
        day,
        domain: text("example.org"),
        day_over,
        sessions: 3,
        destinations: vec![text("mailto:tlsrpt@example.org")],
        notes: Vec::new(),
        deliveries: vec![delivery()],
        report: serde_json::json!({"report-id": "a@b", "helo": HOSTILE}),
        text: text("Three sessions failed.\nRenew the certificate."),
    }
}

fn overridden(ended: bool) -> OverrideView {
    OverrideView {
        domain: text("example.org"),
        mode: text("without-dane"),
        until: None,
        reason: Some(text(HOSTILE)),
        ended,
        source: OverrideSource::Command,
        author: Some(text(HOSTILE)),
        since: Some(text("2026-11-24T12:00:00Z")),
        passed_over: false,
        ending: None,
    }
}

impl Control for Scripted {
    fn status(&self) -> BoxFuture<'_, Replied<Status>> {
        ready(Ok(Status {
            program: text("sealpost 0.1.0"),
            pid: 7,
            started_at: text("2026-11-24T00:00:00Z"),
            now: text("2026-11-24T12:00:00Z"),
            config: Some(text("/etc/sealpost/sealpost.toml")),
            config_changed: Some(false),
            config_waits_for_restart: Vec::new(),
            dnssec: None,
            alarms: vec![text("the disk is full")],
            today: Some(DayTotals {
                day: text("2026-11-24"),
                domains: 1,
                successes: 2,
                failures: 3,
            }),
            policies_kept: Some(1),
            suppressed: Some(1),
            store: StoreStatus {
                path: text("/var/lib/sealpost/store"),
                state: StoreState::Waiting,
                reason: Some(text("less than 256 MiB left")),
                waiting_rows: 12,
                quota: None,
            },
            overrides: vec![OverrideView {
                domain: text("a.example"),
                mode: text("audit"),
                until: Some(text("2026-11-23")),
                reason: Some(text("their MX moves")),
                ended: true,
                source: OverrideSource::File,
                author: None,
                since: None,
                passed_over: false,
                ending: None,
            }],
            counters: vec![CounterView {
                name: text("sessions"),
                value: 5,
            }],
        }))
    }

    fn evidence(&self, question: EvidenceQuestion) -> BoxFuture<'_, Replied<Evidence>> {
        ready(Ok(Evidence {
            program: text("sealpost 0.1.0"),
            organization: Some(text(HOSTILE)),
            host: text(HOSTILE),
            made_at: text("2026-11-24T12:00:00Z"),
            from: question.from.to_string(),
            to: day_or(question.to, "2026-11-23"),
            domain: question.domain.map(|domain| domain.to_string()),
            held_since: None,
            cut_until: None,
            last_day_runs: false,
            days: Vec::new(),
            not_noted: vec![text(HOSTILE)],
            total: ProtectedSessions {
                sessions: 1,
                clear: 1,
                ..ProtectedSessions::default()
            },
            domains: Vec::new(),
            sha256: text(HOSTILE),
        }))
    }

    fn security(&self, question: SecurityQuestion) -> BoxFuture<'_, Replied<Security>> {
        let none = question.day == Some(UtcDay(20_777));
        let protected = |sessions, dane, clear| ProtectedSessions {
            sessions,
            dane,
            clear,
            ..ProtectedSessions::default()
        };
        let further = u64::from(question.domains_max.is_some());
        ready(Ok(Security {
            since: day_or(question.since.or(question.day), "2026-11-24"),
            until: day_or(question.day, "2026-11-24"),
            days: vec![SecurityOfDay {
                day: text("2026-11-24"),
                protected: protected(3_001, 3_000, 1),
            }],
            not_noted: none.then(|| text("2026-11-20")).into_iter().collect(),
            total: if none {
                ProtectedSessions::default()
            } else {
                protected(3_001, 3_000, 1)
            },
            domains: vec![SecurityOfDomain {
                domain: text(HOSTILE),
                protected: protected(3_000, 3_000, 0),
            }],
            further_domains: if none { 0 } else { further },
            further: protected(1, 0, 1),
        }))
    }

    fn sessions(&self, question: SessionsQuestion) -> BoxFuture<'_, Replied<Sessions>> {
        let failures = question.failures.then(|| {
            vec![FailureView {
                at: text("2026-11-24T01:02:03Z"),
                domain: text("example.org"),
                policy: text("00"),
                source: text("mta"),
                failure: failure(),
            }]
        });
        let domain = DomainSessions {
            domain: text("example.org"),
            policies: vec![PolicySessions {
                policy: AppliedView {
                    policy_type: text("sts"),
                    policy_domain: text("example.org"),
                    policy_string: vec![text("version: STSv1")],
                    mx_host: vec![text("*.example.org")],
                    fingerprint: text("00"),
                },
                successes: 2,
                failures: 3,
                details: vec![DetailView {
                    failure: failure(),
                    sessions: 3,
                }],
            }],
        };
        let asked = question
            .domain
            .is_none_or(|asked| asked.as_str() == "example.org");
        ready(Ok(Sessions {
            day: day_or(question.day, "2026-11-24"),
            domains: if asked { vec![domain] } else { Vec::new() },
            failures,
        }))
    }

    fn policies(&self) -> BoxFuture<'_, Replied<Policies>> {
        ready(Ok(Policies {
            policies: vec![kept()],
        }))
    }

    fn policy(&self, domain: PolicyDomain) -> BoxFuture<'_, Replied<PolicyView>> {
        ready(known(&domain).map(|()| kept()))
    }

    fn refresh(&self, domain: PolicyDomain, _author: String) -> BoxFuture<'_, Replied<Refreshed>> {
        let found = known(&domain).is_ok();
        ready(Ok(Refreshed {
            domain: domain.to_string(),
            outcome: if found {
                RefreshOutcome::Confirmed
            } else {
                RefreshOutcome::Failed
            },
            reason: (!found).then(|| text("HTTP status 404")),
            policy: found.then(kept),
        }))
    }

    fn purge(&self, domain: PolicyDomain, _author: String) -> BoxFuture<'_, Replied<Purged>> {
        ready(Ok(Purged {
            domain: domain.to_string(),
            purged: known(&domain).is_ok(),
        }))
    }

    fn check(&self, domain: PolicyDomain, _depth: Depth) -> BoxFuture<'_, Replied<CheckResult>> {
        ready(Ok(checked(&domain)))
    }

    fn deliveries(
        &self,
        day: Option<UtcDay>,
        _domain: Option<PolicyDomain>,
    ) -> BoxFuture<'_, Replied<Deliveries>> {
        ready(Ok(Deliveries {
            day: day_or(day, "2026-11-23"),
            deliveries: vec![delivery()],
            undelivered: vec![UndeliveredView {
                domain: text("other.example"),
                due_at: None,
                reason: Some(text(HOSTILE)),
            }],
        }))
    }

    fn report_preview(
        &self,
        day: Option<UtcDay>,
        domain: PolicyDomain,
    ) -> BoxFuture<'_, Replied<ReportView>> {
        ready(known(&domain).map(|()| report(day_or(day, "2026-11-24"), false)))
    }

    fn report_show(
        &self,
        day: Option<UtcDay>,
        domain: PolicyDomain,
    ) -> BoxFuture<'_, Replied<ReportView>> {
        ready(known(&domain).map(|()| report(day_or(day, "2026-11-23"), true)))
    }

    fn report_send(
        &self,
        day: Option<UtcDay>,
        domain: Option<PolicyDomain>,
    ) -> BoxFuture<'_, Replied<ReportsSent>> {
        let outcome = match domain {
            Some(domain) if known(&domain).is_err() => None,
            Some(_) => Some(SendOutcome::Sent),
            None => Some(SendOutcome::Failed),
        };
        let reports = outcome.map(|outcome| SendView {
            domain: text("example.org"),
            destination: Some(text("mailto:tlsrpt@example.org")),
            outcome,
            report_id: Some(text("a@b")),
            reason: (outcome == SendOutcome::Failed).then(|| text(HOSTILE)),
        });
        ready(Ok(ReportsSent {
            day: day_or(day, "2026-11-23"),
            sessions: 5,
            reports: reports.into_iter().collect(),
            notes: vec![text(HOSTILE)],
        }))
    }

    fn audit(&self, _: AuditQuestion) -> BoxFuture<'_, Replied<Audit>> {
        ready(Ok(Audit {
            entries: vec![AuditView {
                number: 7,
                at: text("2026-11-24T12:00:00Z"),
                kind: text("override-set"),
                domain: Some(text("example.org")),
                author: Some(text(HOSTILE)),
                words: text(HOSTILE),
                sha256: text("aa"),
            }],
            earlier: 6,
            chain: ChainView {
                whole: false,
                broken_at: Some(5),
                entries: 7,
                first: Some(1),
                last: 7,
                sha256: text("aa"),
            },
        }))
    }

    fn overrides(&self, asked: OverridesAsked) -> BoxFuture<'_, Replied<Overrides>> {
        let mut overrides = vec![overridden(false)];
        overrides.extend((asked == OverridesAsked::All).then(|| overridden(true)));
        ready(Ok(Overrides { overrides }))
    }

    fn override_of(&self, domain: PolicyDomain) -> BoxFuture<'_, Replied<Overrides>> {
        ready(known(&domain).map(|()| Overrides {
            overrides: vec![overridden(true)],
        }))
    }

    fn set_override(&self, order: OverrideOrder) -> BoxFuture<'_, Replied<OverrideView>> {
        ready(Ok(OverrideView {
            domain: order.domain.to_string(),
            mode: order.mode.name().to_owned(),
            reason: Some(order.reason),
            author: Some(order.author),
            ..overridden(false)
        }))
    }

    fn expire_override(
        &self,
        domain: PolicyDomain,
        author: String,
        reason: String,
    ) -> BoxFuture<'_, Replied<OverrideView>> {
        let at = text("2026-11-24T12:00:00Z");
        ready(known(&domain).map(|()| OverrideView {
            ending: Some(OverrideEnding { at, author, reason }),
            ..overridden(true)
        }))
    }

    fn suppressions(&self) -> BoxFuture<'_, Replied<Suppressions>> {
        ready(Ok(Suppressions {
            suppressions: vec![suppression("mailto:tlsrpt@example.org")],
        }))
    }

    fn suppression(&self, destination: Destination) -> BoxFuture<'_, Replied<SuppressionView>> {
        ready(Ok(suppression(&destination.to_string())))
    }

    fn lift(
        &self,
        destination: Destination,
        _author: String,
    ) -> BoxFuture<'_, Replied<SuppressionView>> {
        ready(Err(Refusal::not_found(format!(
            "{destination} is not suppressed"
        ))))
    }

    fn suppress(
        &self,
        destination: Destination,
        until: Option<UtcDay>,
        _author: String,
        reason: String,
    ) -> BoxFuture<'_, Replied<SuppressionView>> {
        ready(Ok(SuppressionView {
            by: SuppressedBy::Operator,
            until: until.map(|day| day.to_string()),
            reason: Some(reason),
            refusals: Vec::new(),
            ..suppression(&destination.to_string())
        }))
    }

    fn metrics(&self) -> BoxFuture<'_, Replied<Metrics>> {
        ready(Ok(Metrics {
            text: text("# TYPE sealpost_alarms gauge\nsealpost_alarms 1\n"),
        }))
    }

    fn alerts(&self) -> BoxFuture<'_, Replied<AlertsView>> {
        ready(Ok(AlertsView {
            alerts: vec![AlertView {
                rule: text("enforce-failures"),
                subject: text(HOSTILE),
                words: text(HOSTILE),
                since: text("2026-11-24T08:00:00Z"),
                mailed_at: None,
                posted_at: None,
                what_to_do: text("look"),
            }],
            told: AlertsTold {
                mail_to: Some(text(HOSTILE)),
                webhook: Some(text(HOSTILE)),
                quiet: None,
                repeat_hours: 24,
            },
        }))
    }

    fn alert_test(&self, to: AlertWay, rule: Option<Rule>) -> BoxFuture<'_, Replied<AlertsTested>> {
        let rule = rule.map_or("each", Rule::name);
        ready(Ok(AlertsTested {
            to,
            tested: vec![AlertTested {
                rule: text(rule),
                is_taken: false,
                words: text(HOSTILE),
            }],
        }))
    }

    fn store_copy(&self, directory: PathBuf) -> BoxFuture<'_, Replied<StoreCopied>> {
        ready(Ok(StoreCopied {
            directory: text(&format!("{}{HOSTILE}", directory.display())),
            rows: 12,
            octets: 524_288,
        }))
    }

    fn page_link(&self) -> BoxFuture<'_, Replied<PageLink>> {
        ready(Ok(PageLink {
            links: vec![text("http://127.0.0.1:8462/sign-in?link=0af3")],
            path: Some(text("/run/sealpost/page.sock")),
        }))
    }

    fn bounce(
        &self,
        _report_id: String,
        recipients: Vec<String>,
        _words: String,
    ) -> BoxFuture<'_, Replied<BounceTaken>> {
        ready(Ok(BounceTaken {
            outcome: BounceOutcome::Suppressed,
            reason: None,
            suppression: Some(suppression(&format!("mailto:{}", recipients[0]))),
        }))
    }
}

fn suppression(destination: &str) -> SuppressionView {
    SuppressionView {
        destination: text(destination),
        suppressed: true,
        by: SuppressedBy::Refusals,
        reason: None,
        since: text("2026-11-24T01:00:00Z"),
        until: Some(text("2026-12-01T01:00:00Z")),
        times: 2,
        taken_at: None,
        lifted_at: None,
        refusals: vec![RefusalView {
            at: text("2026-11-24T01:00:00Z"),
            sent_at: text("2026-11-24T00:59:00Z"),
            how: text("answer"),
            report_id: text("a@b"),
            words: text(HOSTILE),
        }],
    }
}

fn checked(domain: &PolicyDomain) -> CheckResult {
    CheckResult {
        domain: domain.to_string(),
        at: text("2026-11-24T12:00:00Z"),
        overridden: None,
        record: RecordFinding {
            name: format!("_mta-sts.{domain}"),
            state: Finding::Valid,
            texts: vec![text(HOSTILE)],
            id: Some(text("20261124")),
            reason: None,
        },
        document: DocumentFinding {
            url: format!("https://mta-sts.{domain}/.well-known/mta-sts.txt"),
            state: Finding::Failed,
            mode: None,
            max_age_seconds: None,
            mx: Vec::new(),
            lines: vec![text(HOSTILE)],
            faults: vec![DocumentFault {
                line: Some(1),
                text: text(HOSTILE),
            }],
            result_type: Some(text("sts-policy-fetch-error")),
            reason: Some(text("HTTP status 404")),
        },
        kept: Some(kept()),
        dane: DaneState {
            validation: text("resolver"),
            reason: None,
            mx_records: text("failed"),
            mx_reason: Some(text(HOSTILE)),
            until: Some(text("2026-11-24T12:05:00Z")),
        },
        mx: MxFinding {
            state: Finding::Valid,
            reason: None,
            hosts: vec![MxVerdict {
                preference: Some(10),
                host: text("mx.example.net"),
                level: text("refuse"),
                audit: false,
                reason: text("outside the policy"),
                decided_by: text("sts"),
                dane: Some(host_dane()),
                plugin_socket: Some(text(HOSTILE)),
                live: Some(live()),
            }],
        },
        socketmap: vec![SocketmapReply {
            map: text("QUERY"),
            reply: text(HOSTILE),
        }],
        plugin_socket: Some(text(HOSTILE)),
        history: Some(history()),
        rua: RuaFinding {
            name: format!("_smtp._tls.{domain}"),
            state: Finding::Absent,
            texts: Vec::new(),
            destinations: Vec::new(),
            skipped: Vec::new(),
            reason: None,
        },
        outcome: OutcomeView {
            deliverable: false,
            text: text("No host may be used."),
        },
    }
}

fn host_dane() -> HostDaneView {
    HostDaneView {
        finding: text("records"),
        reason: text(HOSTILE),
        base_domain: Some(text(HOSTILE)),
        reference_names: vec![text(HOSTILE), text(HOSTILE)],
        records: vec![TlsaView {
            record: text(HOSTILE),
            usability: text("unusable"),
            reason: Some(text(HOSTILE)),
        }],
    }
}

fn live() -> LiveView {
    LiveView {
        address: Some(text("192.0.2.25")),
        tls: text(HOSTILE),
        dane_matches: Some(false),
        dane: Some(text(HOSTILE)),
        sts: vec![text(HOSTILE)],
        certificate: Some(CertificateView {
            names: vec![text(HOSTILE), text(HOSTILE)],
            issuer: text(HOSTILE),
            not_before: text(HOSTILE),
            not_after: text(HOSTILE),
            days_left: -1,
            shown: 2,
            sha256: text(HOSTILE),
            public_key_sha256: text(HOSTILE),
        }),
    }
}

fn history() -> History {
    History {
        since: text("2026-11-11"),
        until: text("2026-11-24"),
        days: Vec::new(),
        total: ProtectedSessions::default(),
        failures: vec![FailureSeen {
            result_type: text(HOSTILE),
            reason: Some(text(HOSTILE)),
            sessions: 1,
            first_day: text(HOSTILE),
            last_day: text(HOSTILE),
            first_at: None,
            last_at: Some(text(HOSTILE)),
        }],
        deliveries: Vec::new(),
        not_noted: vec![text(HOSTILE)],
        not_held: vec![text(HOSTILE)],
        unreadable: vec![UnreadableDay {
            day: text(HOSTILE),
            reason: text(HOSTILE),
        }],
    }
}
