//! What the courier meets in these tests: a clock that stands still, a store that can die, a way out
//! that can be cut, and the kit's resolver and mail hosts.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sealpost::{
    clock::{BoxFuture, Clock as _, StoppedClock, Timestamp, UtcDay},
    config::{DeliverConfig, DnsConfig, StoreConfig},
    deliver::{
        DeliveryKey, DeliveryState, HostLimits,
        courier::{Courier, Parts, Reporting, Settings},
        destinations::{Order, Rules},
        retry::Retry,
        schedule::Schedule,
        sources::{ComposeError, FinishedReport, ReportSource, RuaSource},
        suppression::{NextHop, Suppression},
    },
    hook::overrides::CommandOverride,
    net::{
        dns::{Dns as _, DnsError},
        handover::{Accepted, SendError},
        hickory::HickoryDns,
        report_host::ReportHost,
        report_post::HttpsReportHost,
        smtp::{Envelope, MxTransport, PrivateAddresses, Transport},
    },
    observe::{Counters, audit::AuditEntry},
    policy::{
        AppliedPolicy, Destination, Fingerprint, KeptPolicy, PolicyDomain, PolicyType, RuaRecord,
        rua_record::RuaDiscovery,
    },
    report::gzip::gzip,
    store::{
        AuditShown, Batch, Counted, DayPart, FailureRecord, Holdings, Keeping, Protected, Store,
        StoreError, TallyKey, TlsaHosts, memory::MemoryStore,
    },
};
use sealpost_kit::{
    Answer, Authority, DnsServer, MxBehaviour, MxHost, MxHosts, PolicyHost, PolicyHosts,
};
use tokio::{sync::watch, task::JoinHandle};

/// The day whose reports the tests send: 2026-11-23.
pub(crate) const DAY: UtcDay = UtcDay(20_780);
/// How long the day is left to settle, in seconds.
pub(crate) const SETTLE: i64 = 1_800;
/// Over how long reports are spread, in seconds.
pub(crate) const SPREAD: i64 = 12_600;
/// The wait after the first failed attempt, in seconds.
pub(crate) const RETRY: i64 = 600;

/// Where a trial ends the process, counted from 1 over all of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// Before this write of a delivery state reaches the disk.
    BeforeWrite(usize),
    /// After it has, but before the process hears of it.
    AfterWrite(usize),
    /// Before this message leaves.
    BeforeSend(usize),
    /// After the receiver took it, but before its answer arrives.
    AfterSend(usize),
}

/// When the process dies, and whether it has.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    death: Mutex<Option<Death>>,
    /// This write is refused, and the process lives on.
    refused_write: AtomicUsize,
    writes: AtomicUsize,
    sends: AtomicUsize,
    dead: AtomicBool,
    /// Changes with everything that happens.
    happened: watch::Sender<u64>,
}

impl Fate {
    pub(crate) fn dies(&self, death: Death) {
        *self.death.lock().unwrap() = Some(death);
    }

    pub(crate) fn refuses_write(&self, number: usize) {
        self.refused_write.store(number, Ordering::SeqCst);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// A new process begins, which nothing befalls.
    pub(crate) fn revive(&self) {
        *self.death.lock().unwrap() = None;
        self.dead.store(false, Ordering::SeqCst);
    }

    fn befalls(&self, death: Death) -> bool {
        let now = *self.death.lock().unwrap() == Some(death);
        if now {
            self.dead.store(true, Ordering::SeqCst);
        }
        now
    }

    /// A dead process does nothing more, not even on an error; the test takes it away.
    async fn end<T>(&self) -> T {
        self.tell();
        std::future::pending().await
    }

    /// What leaves the process, unless that ends before or after it.
    async fn over<T>(&self, sending: impl Future<Output = T>) -> T {
        assert!(!self.is_dead(), "a dead process sends nothing");
        let number = self.sends.fetch_add(1, Ordering::SeqCst) + 1;
        if self.befalls(Death::BeforeSend(number)) {
            return self.end().await;
        }
        let outcome = sending.await;
        if self.befalls(Death::AfterSend(number)) {
            return self.end().await;
        }
        outcome
    }

    fn tell(&self) {
        self.happened.send_modify(|times| *times += 1);
    }
}

/// A memory store as a disk that a process may die over.
#[derive(Default)]
pub(crate) struct TrialStore {
    pub(crate) disk: MemoryStore,
    pub(crate) fate: Arc<Fate>,
    pub(crate) sealed: Mutex<Vec<UtcDay>>,
    /// A day whose delivery states cannot be read.
    pub(crate) damaged_day: Mutex<Option<UtcDay>>,
}

fn broken() -> StoreError {
    StoreError::Io {
        path: "/trial".to_owned(),
        reason: "refused by the trial".to_owned(),
    }
}

impl TrialStore {
    fn alive(&self) -> Result<&MemoryStore, StoreError> {
        if self.fate.is_dead() {
            return Err(broken());
        }
        Ok(&self.disk)
    }
}

impl Store for TrialStore {
    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        self.alive()?.commit(batch)
    }

    fn total(&self, key: &TallyKey) -> Result<u64, StoreError> {
        self.alive()?.total(key)
    }

    fn days_of(&self, part: DayPart) -> Result<Vec<UtcDay>, StoreError> {
        self.alive()?.days_of(part)
    }

    fn domains(&self, day: UtcDay) -> Result<Vec<PolicyDomain>, StoreError> {
        self.alive()?.domains(day)
    }

    fn tallies(
        &self,
        day: UtcDay,
        domain: &PolicyDomain,
    ) -> Result<Vec<(TallyKey, u64)>, StoreError> {
        self.alive()?.tallies(day, domain)
    }

    fn unnoted_until(&self) -> Result<Option<UtcDay>, StoreError> {
        self.alive()?.unnoted_until()
    }

    fn protected(&self, day: UtcDay) -> Result<Vec<(PolicyDomain, Protected)>, StoreError> {
        self.alive()?.protected(day)
    }

    fn tlsa_hosts(&self, day: UtcDay) -> Result<TlsaHosts, StoreError> {
        self.alive()?.tlsa_hosts(day)
    }

    fn seal(&self, day: UtcDay) -> Result<(), StoreError> {
        self.sealed.lock().unwrap().push(day);
        let sealed = self.alive()?.seal(day);
        self.fate.tell();
        sealed
    }

    fn forget_part(&self, day: UtcDay, part: DayPart) -> Result<(), StoreError> {
        self.alive()?.forget_part(day, part)
    }

    fn holdings(&self) -> Result<Holdings, StoreError> {
        self.alive()?.holdings()
    }

    fn file_octets(&self) -> Result<u64, StoreError> {
        self.alive()?.file_octets()
    }

    fn note_cut(&self, part: DayPart, day: UtcDay) -> Result<(), StoreError> {
        self.alive()?.note_cut(part, day)
    }

    fn cut_until(&self, part: DayPart) -> Result<Option<UtcDay>, StoreError> {
        self.alive()?.cut_until(part)
    }

    fn failures(
        &self,
        day: UtcDay,
        domain: Option<&PolicyDomain>,
    ) -> Result<Vec<FailureRecord>, StoreError> {
        self.alive()?.failures(day, domain)
    }

    fn applied_policy(&self, policy: Fingerprint) -> Result<Option<AppliedPolicy>, StoreError> {
        self.alive()?.applied_policy(policy)
    }

    fn keep_policy(&self, domain: &PolicyDomain, kept: &KeptPolicy) -> Result<(), StoreError> {
        self.alive()?.keep_policy(domain, kept)
    }

    fn kept_policy(&self, domain: &PolicyDomain) -> Result<Option<KeptPolicy>, StoreError> {
        self.alive()?.kept_policy(domain)
    }

    fn kept_policies(&self) -> Result<Vec<(PolicyDomain, KeptPolicy)>, StoreError> {
        self.alive()?.kept_policies()
    }

    fn purge_policy(&self, domain: &PolicyDomain) -> Result<(), StoreError> {
        self.alive()?.purge_policy(domain)
    }

    fn put_delivery(&self, key: &DeliveryKey, state: &DeliveryState) -> Result<(), StoreError> {
        let disk = self.alive()?;
        let number = self.fate.writes.fetch_add(1, Ordering::SeqCst) + 1;
        let refused = self.fate.refused_write.load(Ordering::SeqCst) == number
            || self.fate.befalls(Death::BeforeWrite(number));
        let written = if refused {
            Err(broken())
        } else {
            disk.put_delivery(key, state)
        };
        let lost = self.fate.befalls(Death::AfterWrite(number));
        self.fate.tell();
        if lost { Err(broken()) } else { written }
    }

    fn delivery(&self, key: &DeliveryKey) -> Result<Option<DeliveryState>, StoreError> {
        self.alive()?.delivery(key)
    }

    fn deliveries(&self, day: UtcDay) -> Result<Vec<(DeliveryKey, DeliveryState)>, StoreError> {
        if *self.damaged_day.lock().unwrap() == Some(day) {
            return Err(broken());
        }
        self.alive()?.deliveries(day)
    }

    fn put_suppression(&self, to: &Destination, next: &Suppression) -> Result<(), StoreError> {
        self.alive()?.put_suppression(to, next)
    }

    fn remove_suppression(&self, to: &Destination) -> Result<(), StoreError> {
        self.alive()?.remove_suppression(to)
    }

    fn suppressions(&self) -> Result<Vec<(Destination, Suppression)>, StoreError> {
        self.alive()?.suppressions()
    }

    fn put_override(&self, set: &CommandOverride) -> Result<(), StoreError> {
        self.alive()?.put_override(set)
    }

    fn remove_override(&self, domain: &PolicyDomain) -> Result<(), StoreError> {
        self.alive()?.remove_override(domain)
    }

    fn overrides(&self) -> Result<Vec<CommandOverride>, StoreError> {
        self.alive()?.overrides()
    }

    fn append_audit(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        self.alive()?.append_audit(entries)
    }

    fn audit(&self, show: &mut dyn FnMut(AuditShown)) -> Result<(), StoreError> {
        self.alive()?.audit(show)
    }

    fn forget_audit(&self, before: Timestamp) -> Result<(), StoreError> {
        self.alive()?.forget_audit(before)
    }
}

/// The way out, with a note of when each message left.
pub(crate) struct TrialTransport {
    inner: Arc<dyn Transport>,
    clock: StoppedClock,
    fate: Arc<Fate>,
    pub(crate) left_at: Mutex<Vec<(Timestamp, String)>>,
}

impl Transport for TrialTransport {
    fn send<'a>(
        &'a self,
        envelope: &'a Envelope,
        message: &'a [u8],
    ) -> BoxFuture<'a, Result<Accepted, SendError>> {
        Box::pin(async move {
            let sending = async {
                let left = (self.clock.now(), envelope.to.clone());
                self.left_at.lock().unwrap().push(left);
                self.inner.send(envelope, message).await
            };
            self.fate.over(sending).await
        })
    }
}

/// The way to report hosts; what leaves is counted together with the mail.
struct TrialReportHost {
    inner: HttpsReportHost,
    fate: Arc<Fate>,
}

impl ReportHost for TrialReportHost {
    fn post<'a>(
        &'a self,
        uri: &'a str,
        gzip: &'a [u8],
    ) -> BoxFuture<'a, Result<Accepted, SendError>> {
        Box::pin(self.fate.over(self.inner.post(uri, gzip)))
    }
}

/// Looks records up with the kit's resolver.
struct DnsRua {
    dns: Arc<HickoryDns>,
    learnt: Arc<Mutex<BTreeMap<String, RuaRecord>>>,
    fate: Arc<Fate>,
}

impl RuaSource for DnsRua {
    fn rua<'a>(
        &'a self,
        domain: &'a PolicyDomain,
    ) -> BoxFuture<'a, Result<Option<RuaRecord>, DnsError>> {
        Box::pin(async move {
            let answer = self.dns.txt(&format!("_smtp._tls.{domain}")).await;
            self.fate.tell();
            Ok(match RuaDiscovery::read(&answer?.values) {
                RuaDiscovery::Found(record) => Some(record),
                _ => None,
            })
        })
    }

    fn learnt(&self, domain: &PolicyDomain, since: Timestamp) -> Option<RuaRecord> {
        assert_eq!(since, DAY.first_second());
        self.learnt.lock().unwrap().get(domain.as_str()).cloned()
    }
}

/// Reports that say only whose they are, and of an MX host's whose sessions are in them.
struct PlainReports {
    store: Arc<TrialStore>,
}

struct PlainReport {
    id: String,
    gzip: Vec<u8>,
    domain: PolicyDomain,
    recipients: Vec<PolicyDomain>,
}

impl ReportSource for PlainReports {
    fn compose(
        &self,
        domain: &PolicyDomain,
        day: UtcDay,
        recipients: &[PolicyDomain],
    ) -> Result<Option<Box<dyn FinishedReport>>, ComposeError> {
        if !self.is_owed(domain, day)? && recipients.is_empty() {
            return Ok(None);
        }
        let id = format!("{day}.{domain}@sender.test");
        Ok(Some(Box::new(PlainReport {
            gzip: gzip(format!("{domain} {id}").as_bytes()),
            id,
            domain: domain.clone(),
            recipients: recipients.to_vec(),
        })))
    }

    fn is_owed(&self, domain: &PolicyDomain, day: UtcDay) -> Result<bool, ComposeError> {
        Ok(!self.store.tallies(day, domain)?.is_empty())
    }
}

impl FinishedReport for PlainReport {
    fn report_id(&self) -> &str {
        &self.id
    }

    fn gzip(&self) -> &[u8] {
        &self.gzip
    }

    fn mail(&self, to: &str, date: Timestamp, attempt: u32) -> Result<Vec<u8>, ComposeError> {
        Ok(format!(
            "To: <{to}>\r\nTLS-Report-Domain: {}\r\nReport-ID: <{}>\r\nRecipients: {}\r\n\
             Message-ID: <{}.{attempt}.{to}>\r\n\r\n.a line with a dot\r\n..\r\n",
            self.domain,
            self.id,
            self.recipients
                .iter()
                .map(PolicyDomain::as_str)
                .collect::<Vec<_>>()
                .join(" "),
            date.0
        )
        .into_bytes())
    }
}

/// Everything together.
pub(crate) struct World {
    pub(crate) dns: DnsServer,
    pub(crate) mx: MxHosts,
    pub(crate) web: PolicyHosts,
    pub(crate) clock: StoppedClock,
    pub(crate) store: Arc<TrialStore>,
    pub(crate) fate: Arc<Fate>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) transport: Arc<TrialTransport>,
    pub(crate) settings: Settings,
    /// What the process has learnt of records during the day.
    pub(crate) learnt: Arc<Mutex<BTreeMap<String, RuaRecord>>>,
    report_host: Arc<TrialReportHost>,
    resolver: Arc<HickoryDns>,
}

impl World {
    /// At noon of [`DAY`], with one mail host `mx.test` at 127.0.7.1 and one report host `report.test`.
    pub(crate) async fn new() -> Self {
        let dns = DnsServer::start().await.unwrap();
        let authority = Authority::new().unwrap();
        let address = IpAddr::V4(Ipv4Addr::new(127, 0, 7, 1));
        let host = MxHost {
            name: "mx.test".to_owned(),
            address,
            certificate: authority.issue(&["another.test"]).unwrap(),
            behaviour: MxBehaviour::Correct,
        };
        let mx = MxHosts::start(0, vec![host]).await.unwrap();
        dns.set_addresses("mx.test", &[address]);
        let web = PolicyHosts::start().await.unwrap();
        let host = PolicyHost {
            certificate: authority.issue(&["report.test"]).unwrap(),
            answer: Answer::taken(),
        };
        web.set("report.test", host);
        dns.set_addresses("report.test", &[web.address().ip()]);
        let resolver = HickoryDns::new(&DnsConfig {
            servers: vec![dns.address()],
            timeout_ms: 5_000,
            attempts: 1,
        });
        let resolver = Arc::new(resolver.unwrap());
        let clock = StoppedClock::at(DAY.first_second().plus_seconds(43_200));
        let fate = Arc::new(Fate::default());
        let inner = MxTransport::new(
            resolver.clone(),
            mx.port(),
            PrivateAddresses::Allow,
            "out.sender.test",
            30,
        );
        let report_host = report_host(resolver.clone(), &clock, &authority);
        let report_host = TrialReportHost {
            inner: report_host,
            fate: Arc::clone(&fate),
        };
        let transport = TrialTransport {
            inner: Arc::new(inner),
            clock: clock.clone(),
            fate: Arc::clone(&fate),
            left_at: Mutex::default(),
        };
        Self {
            dns,
            mx,
            web,
            report_host: Arc::new(report_host),
            store: Arc::new(TrialStore {
                fate: Arc::clone(&fate),
                ..TrialStore::default()
            }),
            clock,
            fate,
            counters: Arc::default(),
            transport: Arc::new(transport),
            settings: settings(),
            learnt: Arc::default(),
            resolver,
        }
    }

    /// One session with a domain on a day.
    pub(crate) fn session(&self, domain: &str, day: UtcDay) {
        let policy = AppliedPolicy::no_policy_found(domain.parse().unwrap());
        self.session_under(policy, domain, day);
    }

    /// One session with a domain on [`DAY`], held to the TLSA records of one of its MX hosts.
    pub(crate) fn dane_session(&self, domain: &str, host: &str) {
        let policy = AppliedPolicy {
            policy_type: PolicyType::Tlsa,
            policy_string: vec!["3 1 1 AB".to_owned()],
            ..AppliedPolicy::no_policy_found(host.parse().unwrap())
        };
        self.session_under(policy, domain, DAY);
    }

    fn session_under(&self, policy: AppliedPolicy, domain: &str, day: UtcDay) {
        let key = TallyKey {
            day,
            domain: domain.parse().unwrap(),
            policy: policy.fingerprint(),
            counted: Counted::Successes,
        };
        let batch = Batch {
            totals: BTreeMap::from([(key, 1)]),
            failures: Vec::new(),
            policies: BTreeMap::from([(policy.fingerprint(), policy)]),
        };
        self.store.disk.commit(&batch).unwrap();
    }

    /// A domain that had a session on [`DAY`], has its mail at `mx.test` and asks for reports at
    /// these URIs.
    pub(crate) fn domain(&self, domain: &str, rua: &[&str]) {
        self.session(domain, DAY);
        self.dns.set_mx(domain, &[(10, "mx.test")]);
        self.publish(domain, rua);
    }

    pub(crate) fn publish(&self, domain: &str, rua: &[&str]) {
        let record = format!("v=TLSRPTv1; rua={}", rua.join(","));
        self.dns
            .set_txt(&format!("_smtp._tls.{domain}"), &[&record]);
    }

    /// A process: it knows what is in the store and nothing else.
    pub(crate) fn courier(&self) -> Arc<Courier> {
        self.courier_with(self.transport.clone())
    }

    pub(crate) fn courier_with(&self, transport: Arc<dyn Transport>) -> Arc<Courier> {
        Courier::new(self.parts(transport), self.settings.clone())
    }

    pub(crate) fn parts(&self, transport: Arc<dyn Transport>) -> Parts {
        Parts {
            store: self.store.clone(),
            clock: Arc::new(self.clock.clone()),
            transport,
            report_host: self.report_host.clone(),
            rua: Arc::new(DnsRua {
                dns: Arc::clone(&self.resolver),
                learnt: Arc::clone(&self.learnt),
                fate: Arc::clone(&self.fate),
            }),
            reports: Arc::new(PlainReports {
                store: Arc::clone(&self.store),
            }),
            counters: Arc::clone(&self.counters),
        }
    }

    /// A process whose daily loop runs. Aborting it is `kill -9`.
    pub(crate) fn daemon(&self) -> JoinHandle<()> {
        tokio::spawn(self.courier().run(std::future::pending()))
    }

    pub(crate) fn due_at(&self, domain: &str) -> Timestamp {
        let domain = domain.parse().unwrap();
        self.settings.schedule.due_at(DAY, &domain)
    }

    /// What is on the disk of one delivery: to a mailbox, or to a URI.
    pub(crate) fn state(&self, domain: &str, to: &str) -> Option<DeliveryState> {
        let destination = match to.starts_with("https:") {
            true => Destination::Https(to.to_owned()),
            false => Destination::Mail(to.to_owned()),
        };
        let key = DeliveryKey {
            day: DAY,
            domain: domain.parse().unwrap(),
            destination,
        };
        self.store.disk.delivery(&key).unwrap()
    }

    /// Waits until something holds; looks again whenever something has happened.
    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let mut happened = self.fate.happened.subscribe();
        let waiting = async {
            loop {
                happened.borrow_and_update();
                if holds() {
                    return;
                }
                happened.changed().await.unwrap();
            }
        };
        let limit = Duration::from_secs(30);
        assert!(
            tokio::time::timeout(limit, waiting).await.is_ok(),
            "waited in vain until {what}; {:?}",
            self.store.disk.deliveries(DAY)
        );
    }

    /// A URI of the report host.
    pub(crate) fn uri(&self, path: &str) -> String {
        let port = self.web.address().port();
        format!("https://report.test:{port}/{path}")
    }

    /// The reports of a domain that were posted, as (path, report-id), whether or not they were taken.
    pub(crate) fn posted(&self, domain: &str) -> Vec<(String, String)> {
        let posts = self.web.requests().into_iter().map(|request| {
            let mut text = String::new();
            let mut unpacking = flate2::read::GzDecoder::new(&*request.body);
            std::io::Read::read_to_string(&mut unpacking, &mut text).unwrap();
            (request.path, text)
        });
        posts
            .filter_map(|(path, text)| {
                let (about, id) = text.split_once(' ')?;
                (about == domain).then(|| (path, id.to_owned()))
            })
            .collect()
    }

    /// The messages about a domain that were taken, as (recipient, report-id, message-id).
    pub(crate) fn taken(&self, domain: &str) -> Vec<(String, String, String)> {
        let messages = self.mx.messages().into_iter();
        let about = messages
            .filter(|message| message.field("TLS-Report-Domain").as_deref() == Some(domain));
        about
            .map(|message| {
                (
                    message.recipients.join(","),
                    message.field("Report-ID").unwrap(),
                    message.field("Message-ID").unwrap(),
                )
            })
            .collect()
    }
}

/// The way to report hosts that this authority vouches for.
fn report_host(
    resolver: Arc<HickoryDns>,
    clock: &StoppedClock,
    authority: &Authority,
) -> HttpsReportHost {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.ca_der()).unwrap();
    let config = DeliverConfig {
        https_allow_private_addresses: true,
        timeout_seconds: 30,
        ..DeliverConfig::default()
    };
    HttpsReportHost::new(resolver, Arc::new(clock.clone()), Arc::new(roots), &config).unwrap()
}

fn settings() -> Settings {
    Settings {
        reporting: Reporting::On,
        never: std::collections::BTreeSet::new(),
        envelope_from: "bounces@sender.test".to_owned(),
        next_hop: NextHop::Destination,
        schedule: Schedule {
            settle_seconds: SETTLE,
            spread_seconds: SPREAD,
            host_name: "out.sender.test".to_owned(),
        },
        retry: Retry {
            retry_seconds: RETRY,
            give_up_seconds: 86_400,
        },
        rules: Rules {
            order: Order::MailFirst,
            https_ports: Vec::new(),
            per_host_per_day_max: 1_000,
            map: Vec::new(),
        },
        concurrent_max: 16,
        host_limits: HostLimits {
            at_once_max: 2,
            per_minute_max: 0,
        },
        keeping: Keeping::of(&StoreConfig::default()),
    }
}
