//! A second opinion on certificate chains: OpenSSL's, which Postfix and Exim go by.
//!
//! A thousand chains and sets of TLSA records, drawn from a fixed seed, are shown by a TLS server to
//! `openssl s_client` and judged by [`verify`]. Both must come to the same, but where [`explained`] says
//! why not. `SEALPOST_DANE_SEED` and `SEALPOST_DANE_CHAINS` draw others, and more.
//!
//! Mail differs from what OpenSSL does unless told: records of usage 0 and 1 mean nothing (RFC 7672
//! s3.1.3), so it is not given them, as Postfix does not; a certificate of usage 3 has no name to carry
//! (`-dane_ee_no_namechecks`); and one of several reference names will do, so it is asked about each.

use std::{env, fmt, process::Stdio, sync::Arc};

use sealpost::{
    clock::Timestamp,
    policy::{
        MxHost,
        dane::{Match, Matched, NotJudged, TlsaPolicy, TlsaRecord, TlsaSet, Verdict, verify},
    },
};
use sealpost_kit::{CertificateKey, Certified, ChainHosts, Oddity, Purpose, Tlsa, Validity, Wish};
use sealpost_plugin_api::ResultType;
use tokio::{process::Command, sync::Semaphore, task::JoinSet};

use crate::skipped::skipped;

const CASES: u64 = 1_000;
const SEED: u64 = 7_672;
const NOW: Timestamp = Timestamp(1_800_000_000);
/// How many `s_client` run at once.
const AT_ONCE: usize = 4;

/// One chain, the records and the names it is held to.
struct Case {
    sent: Vec<Certified>,
    /// What they are, the server's own first.
    shapes: Vec<Wish>,
    /// The same of all certificates that records may be about, sent or not, the server's own first.
    named: Vec<Wish>,
    records: Vec<Tlsa>,
    names: Vec<&'static str>,
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records = self.records.iter().map(ToString::to_string);
        let records: Vec<String> = records
            .map(|record| record.chars().take(24).collect())
            .collect();
        let Self {
            shapes,
            named,
            names,
            ..
        } = self;
        write!(
            formatter,
            "sent {shapes:?}\nof {named:?}\n{records:#?}\n{names:?}"
        )
    }
}

/// What both say in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opinion {
    Matches,
    Fails,
    NoneUsable,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c11_c12_openssl_judges_a_thousand_chains_as_we_do() {
    let version = Command::new("openssl").arg("version").output().await;
    if version.is_err() {
        skipped("openssl is not there, so nobody gives a second opinion on DANE");
        return;
    }
    let (seed, number) = (
        given("SEALPOST_DANE_SEED", SEED),
        given("SEALPOST_DANE_CHAINS", CASES),
    );
    let cases: Vec<Arc<Case>> = Draw::new(seed).cases(number);
    let shown = cases.iter().enumerate();
    let shown = shown.map(|(number, case)| (server_name(number), case.sent.iter().collect()));
    let hosts = ChainHosts::start(shown).await.unwrap();
    let address = hosts.address().to_string();
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut asking = JoinSet::new();
    for (number, case) in cases.iter().enumerate() {
        let (case, permits, address) = (Arc::clone(case), Arc::clone(&permits), address.clone());
        asking.spawn(async move {
            let _permit = permits.acquire().await.unwrap();
            (number, openssl(&address, &server_name(number), &case).await)
        });
    }
    let mut tally = Tally::default();
    let mut complaints = Vec::new();
    while let Some(answered) = asking.join_next().await {
        let (number, (theirs, words)) = answered.unwrap();
        let case = &cases[number];
        let policy = policy(case);
        let chain: Vec<&[u8]> = case.sent.iter().map(Certified::der).collect();
        let verdict = verify(&policy, &chain, NOW);
        if opinion(&verdict, &mut tally) == Some(theirs) {
            continue;
        }
        match explained(case, &verdict, theirs) {
            Some(why) => tally.count(&why),
            None => complaints.push(format!(
                "case {number}: ours {verdict:?}, OpenSSL {theirs:?}\n{case}\n{words}"
            )),
        }
    }
    let number = complaints.len();
    complaints.truncate(5);
    assert!(
        complaints.is_empty(),
        "{number} of {} from seed {seed}: {}",
        cases.len(),
        complaints.join("\n\n")
    );
    tally.check(cases.len());
}

/// A number that whoever runs the test may set.
fn given(variable: &str, otherwise: u64) -> u64 {
    let text = env::var_os(variable).map(|text| text.into_string().unwrap());
    text.map_or(otherwise, |text| text.parse().unwrap())
}

/// Why OpenSSL and we differ, where we mean to.
fn explained(case: &Case, ours: &Verdict<'_>, theirs: Opinion) -> Option<String> {
    let is_odd = |oddity| case.named.iter().any(|wish| wish.oddity == Some(oddity));
    let troubles = match ours {
        // Nothing is claimed, so OpenSSL may say what it likes; but only where there is something that we do
        // not know.
        Verdict::NotJudged(why) => {
            let is_so = match why {
                NotJudged::AuthorityAsServer => case.shapes[0].purpose != Purpose::Server,
                NotJudged::Version => is_odd(Oddity::VersionOne),
                NotJudged::Extension => is_odd(Oddity::CriticalExtension),
                _ => false,
            };
            return is_so.then(|| not_judged(*why));
        }
        Verdict::Failed(troubles) => troubles,
        Verdict::Matched(_) | Verdict::NoneUsable => return None,
    };
    if theirs != Opinion::Matches {
        return None;
    }
    // OpenSSL looks at the dates of an authority that signed itself, and of one that another signed
    // only where it stands below the one that matched. To us each certificate has its dates.
    let only_dates = troubles.iter().all(|(result, reason)| {
        *result == ResultType::CertificateExpired || *reason == Some("not-yet-valid")
    });
    let mut authorities = case.named.iter().skip(1);
    let out_of_date = |wish: &Wish| wish.common_name != ROOT && wish.validity != Validity::Now;
    if only_dates && authorities.clone().any(out_of_date) {
        return Some(AUTHORITY_OUT_OF_DATE.to_owned());
    }
    // To OpenSSL a wildcard does not stand for a name that is excluded; and it holds a common name to name
    // constraints, but not one with a wildcard.
    let leaf = &case.shapes[0];
    let is_wildcard = |name: &String| name.starts_with("*.");
    let excludes = |wish: &Wish| !wish.excluded.is_empty();
    let constrains = |wish: &Wish| !wish.permitted.is_empty() || excludes(wish);
    let is_so = match leaf.dns_names.is_empty() {
        true => is_wildcard(&leaf.common_name) && authorities.any(constrains),
        false => leaf.dns_names.iter().any(is_wildcard) && authorities.any(excludes),
    };
    is_so.then(|| WILDCARD_CONSTRAINED.to_owned())
}

fn not_judged(why: NotJudged) -> String {
    format!("not judged: {why:?}")
}

const AUTHORITY_OUT_OF_DATE: &str = "the dates of an authority that another signed";
const WILDCARD_CONSTRAINED: &str = "a wildcard below name constraints";

fn policy(case: &Case) -> TlsaPolicy {
    let records = case.records.iter().map(|record| TlsaRecord {
        usage: record.usage,
        selector: record.selector,
        matching: record.matching,
        association: record.data.clone(),
    });
    let names: Vec<MxHost> = case
        .names
        .iter()
        .map(|name| name.parse().unwrap())
        .collect();
    TlsaPolicy::new(names[0].clone(), TlsaSet::new(records.collect()), &names)
}

/// What we say in the end, where we say anything.
fn opinion(verdict: &Verdict<'_>, tally: &mut Tally) -> Option<Opinion> {
    Some(match verdict {
        Verdict::Matched(Match { matched, .. }) => {
            match matched {
                Matched::Sent(_) => tally.count("an authority that was sent"),
                other => tally.count(&format!("{other:?}")),
            }
            Opinion::Matches
        }
        Verdict::Failed(troubles) => {
            for (result, _) in troubles {
                tally.count(result.name());
            }
            Opinion::Fails
        }
        Verdict::NotJudged(_) => return None,
        Verdict::NoneUsable => {
            tally.count("none usable");
            Opinion::NoneUsable
        }
    })
}

/// What OpenSSL says, and its words where it says no.
async fn openssl(address: &str, server_name: &str, case: &Case) -> (Opinion, String) {
    let records = case.records.iter();
    let records: Vec<String> = records
        .filter(|record| !matches!(record.usage, 0 | 1))
        .map(ToString::to_string)
        .collect();
    if records.is_empty() {
        return (Opinion::NoneUsable, String::new());
    }
    let mut words = String::new();
    for name in &case.names {
        let mut command = Command::new("openssl");
        command
            .args(["s_client", "-brief", "-verify_return_error"])
            .args(["-dane_ee_no_namechecks", "-attime", &NOW.0.to_string()])
            .args(["-connect", address, "-servername", server_name])
            .args(["-dane_tlsa_domain", name]);
        for record in &records {
            command.args(["-dane_tlsa_rrdata", record]);
        }
        let command = command.stdin(Stdio::null()).kill_on_drop(true);
        let said = command.output().await.unwrap();
        let told = String::from_utf8_lossy(&said.stderr).into_owned();
        if told.contains("Failed to import any TLSA") {
            return (Opinion::NoneUsable, told);
        }
        // Not to be taken for a verdict: the connection itself.
        let judged = told.contains("Verification") || told.contains("verify error");
        assert!(judged, "{told}");
        if said.status.success() {
            assert!(told.contains("Verification: OK"), "{told}");
            return (Opinion::Matches, told);
        }
        words += &told;
    }
    (Opinion::Fails, words)
}

fn server_name(number: usize) -> String {
    format!("case{number}.test")
}

/// How often each thing came of it: a generator that draws nothing but failures proves nothing.
#[derive(Default)]
struct Tally(std::collections::BTreeMap<String, usize>);

impl Tally {
    fn count(&mut self, what: &str) {
        *self.0.entry(what.to_owned()).or_default() += 1;
    }

    /// `least` times in a thousand, each.
    fn check(&self, cases: usize) {
        for (what, least) in [
            ("Leaf", 20),
            ("an authority that was sent", 20),
            ("PublishedCertificate", 10),
            ("PublishedKey", 15),
            ("validation-failure", 20),
            ("certificate-host-mismatch", 20),
            ("certificate-expired", 20),
            ("certificate-not-trusted", 20),
            ("none usable", 20),
            (AUTHORITY_OUT_OF_DATE, 3),
            (not_judged(NotJudged::AuthorityAsServer).as_str(), 5),
            (not_judged(NotJudged::Version).as_str(), 2),
            (not_judged(NotJudged::Extension).as_str(), 2),
        ] {
            let often = self.0.get(what).copied().unwrap_or(0);
            let enough = often * 1_000 >= least * cases;
            assert!(enough, "{what}: {often} times, of {:?}", self.0);
        }
    }
}

/// Draws cases, the same ones each time but for keys.
struct Draw {
    state: u64,
    keys: Vec<CertificateKey>,
    /// Whether nothing is odd about the case that is drawn: of several oddities at once nearly all fail.
    is_plain: bool,
}

const RIGHT: &str = "mx1.example.org";
const ROOT: &str = "A root";
const NAMES: [&str; 3] = [RIGHT, "example.org", "alias.example.net"];

impl Draw {
    fn new(seed: u64) -> Self {
        let ecdsa = (0..7).map(|_| CertificateKey::ecdsa().unwrap());
        let larger = (0..2).map(|_| CertificateKey::ecdsa_p384().unwrap());
        let rsa = (0..2).map(|_| CertificateKey::rsa().unwrap());
        Self {
            state: seed,
            keys: ecdsa.chain(larger).chain(rsa).collect(),
            is_plain: false,
        }
    }

    /// The next number below this one (splitmix64).
    fn below(&mut self, end: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    /// True so many times in a hundred.
    fn percent(&mut self, times: usize) -> bool {
        self.below(100) < times
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn cases(&mut self, number: u64) -> Vec<Arc<Case>> {
        (0..number).map(|_| Arc::new(self.case())).collect()
    }

    fn case(&mut self) -> Case {
        self.is_plain = self.percent(25);
        let mut chain = self.chain();
        let strange = self.authority("A stranger");
        let stranger = Certified::self_signed(&strange, &self.key(&[])).unwrap();
        let shapes_named = chain.iter().map(|(shape, _)| shape.clone()).collect();
        let mut named: Vec<Certified> = chain.iter().map(|(_, of)| of.clone()).collect();
        named.push(stranger.clone());
        // In most cases nothing is said of the server's own certificate: that is soon judged.
        let least = usize::from(self.percent(70));
        let number = self.one_of(&[1, 1, 2, 2, 3, 4]);
        let records = (0..number).map(|_| self.record(&named, least)).collect();
        // The server's own certificate is always sent, and first.
        let mut behind = chain.split_off(1);
        behind.retain(|_| !self.percent(25));
        if self.percent(15) {
            behind.push((strange, stranger));
        }
        if self.percent(30) {
            for at in (1..behind.len()).rev() {
                behind.swap(at, self.below(at + 1));
            }
        }
        chain.append(&mut behind);
        let (shapes, sent) = chain.into_iter().unzip();
        let mut names = NAMES.to_vec();
        names.rotate_left(self.one_of(&[0, 0, 0, 0, 0, 1, 2]));
        names.truncate(self.one_of(&[1, 1, 1, 2, 3]));
        Case {
            sent,
            shapes,
            named: shapes_named,
            records,
            names,
        }
    }

    /// The server's certificate and all that stands above it, root last, each with its shape.
    fn chain(&mut self) -> Vec<(Wish, Certified)> {
        let mut used: Vec<Vec<u8>> = Vec::new();
        let mut chain: Vec<(Wish, Certified)> = Vec::new();
        for level in 0..self.one_of(&[0, 1, 1, 2, 2, 2, 3, 3]) {
            let wish = self.authority([ROOT, "An authority", "Another"][level]);
            let key = self.key(&used);
            used.push(key.public_der());
            let issued = self.issue(chain.first(), &wish, &key);
            chain.insert(0, (wish, issued));
        }
        let wish = self.server();
        let key = self.key(&used);
        let issued = self.issue(chain.first(), &wish, &key);
        chain.insert(0, (wish, issued));
        chain
    }

    fn issue(
        &mut self,
        issuer: Option<&(Wish, Certified)>,
        wish: &Wish,
        key: &CertificateKey,
    ) -> Certified {
        let Some((_, issuer)) = issuer else {
            return Certified::self_signed(wish, key).unwrap();
        };
        if self.percent(4) && !self.is_plain {
            // By one who only calls himself so.
            let name = issuer.common_name();
            let impostor = Wish::authority(name);
            let impostor = Certified::self_signed(&impostor, &CertificateKey::ecdsa().unwrap());
            return impostor.unwrap().issue(wish, key).unwrap();
        }
        issuer.issue(wish, key).unwrap()
    }

    /// A key that is none of these.
    fn key(&mut self, used: &[Vec<u8>]) -> CertificateKey {
        let mut at = self.below(self.keys.len());
        while used.contains(&self.keys[at].public_der()) {
            at = (at + 1) % self.keys.len();
        }
        self.keys[at].clone()
    }

    fn validity(&mut self) -> Validity {
        match self.below(16) {
            _ if self.is_plain => Validity::Now,
            0 => Validity::Past,
            1 => Validity::Future,
            _ => Validity::Now,
        }
    }

    fn authority(&mut self, name: &str) -> Wish {
        if self.is_plain {
            return Wish::authority(name);
        }
        let purpose = match self.below(20) {
            0 => Purpose::Server,
            1 | 2 => Purpose::Authority(Some(0)),
            3 => Purpose::Authority(Some(1)),
            _ => Purpose::Authority(None),
        };
        let mut wish = Wish::authority(name)
            .valid(self.validity())
            .purpose(purpose);
        wish = match self.below(16) {
            0 => wish.permitting(self.one_of(&NAMES)),
            1 => wish.excluding(self.one_of(&NAMES)),
            2 => wish.permitting("example.org").excluding(RIGHT),
            3 => wish.permitting("example.org"),
            _ => wish,
        };
        match self.below(40) {
            0 | 1 => wish.odd(Oddity::NoKeyUsage),
            2 => wish.odd(Oddity::OnlySigns),
            3 => wish.odd(Oddity::OnlyCertifies),
            4 => wish.odd(Oddity::ForServers),
            5 => wish.odd(Oddity::ForClients),
            6 => wish.odd(Oddity::VersionOne),
            7 if self.percent(50) => wish.odd(Oddity::CriticalExtension),
            _ => wish,
        }
    }

    fn server(&mut self) -> Wish {
        if self.is_plain {
            return Wish::server(&[RIGHT]);
        }
        let wish = match self.below(20) {
            0 => Wish::server(&["wrong.example.org"]),
            1 => Wish::server(&["*.example.org"]),
            2 => Wish::server(&["*.org"]),
            3 => Wish::server(&["*.mx1.example.org"]),
            4 => Wish::server(&[]).common_name_only(RIGHT),
            5 => Wish::server(&[]).common_name_only("*.example.org"),
            6 => Wish::server(&[]).common_name_only("wrong.example.org"),
            7 => Wish {
                common_name: RIGHT.to_owned(),
                ..Wish::server(&["wrong.example.org"])
            },
            8 => Wish::server(&["alias.example.net", "MX1.Example.ORG"]),
            9 => Wish::server(&["example.org"]),
            _ => Wish::server(&[RIGHT]),
        };
        let wish = wish.valid(self.validity());
        if self.percent(6) {
            return wish.purpose(Purpose::Authority(None));
        }
        match self.below(40) {
            0 => wish.odd(Oddity::NoKeyUsage),
            1 => wish.odd(Oddity::OnlySigns),
            2 => wish.odd(Oddity::OnlyCertifies),
            3 => wish.odd(Oddity::ForClients),
            4 => wish.odd(Oddity::CriticalExtension),
            5 => wish.odd(Oddity::VersionOne),
            _ => wish,
        }
    }

    /// A record about one of these from number `least` on; number 0 is the server's own.
    fn record(&mut self, named: &[Certified], least: usize) -> Tlsa {
        let at = least + self.below(named.len() - least);
        if self.is_plain {
            let usage = if at == 0 { 3 } else { 2 };
            let (selector, matching) = (self.one_of(&[0, 1]), self.one_of(&[0, 0, 1, 2]));
            return named[at].tlsa(usage, selector, matching);
        }
        let usage = match self.below(20) {
            0 => self.one_of(&[0, 1, 4, 255]),
            1 => 5 - if at == 0 { 3 } else { 2 },
            _ if at == 0 => 3,
            _ => 2,
        };
        let selector = if self.percent(3) {
            2
        } else {
            self.one_of(&[0, 1, 1])
        };
        let matching = if self.percent(3) {
            3
        } else {
            self.one_of(&[0, 0, 0, 1, 2])
        };
        let mut record = named[at].tlsa(usage, selector, matching);
        match self.below(16) {
            0 | 1 if matching != 0 => record.data[0] ^= 1,
            2 if self.percent(60) => {
                let _last = record.data.pop();
            }
            3 if self.percent(60) => record.data.push(0),
            _ => {}
        }
        record
    }
}
