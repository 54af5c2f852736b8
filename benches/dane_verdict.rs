//! What a certificate chain costs to judge: `cargo bench --bench dane_verdict [-- CHAINS]`.
//!
//! Records are read once, when the DNS was asked; measured is what each handshake then costs. The
//! ceiling for a record of a key, in the same run, is to parse the certificate and to digest its key; for
//! an authority, the library's own check of the path with everything parsed before.
//!
//! The order in which the DNS gave the records must make no difference: the same eight records are
//! measured in each of eight orders. Nor must their number make a verdict allocate: that is counted, for
//! one record and for five hundred, with the one that matches first and last.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use ring::digest::{SHA256, digest};
use rustls::pki_types::{CertificateDer, UnixTime};
use sealpost::{
    clock::Timestamp,
    policy::dane::{TlsaPolicy, TlsaRecord, TlsaSet, Verdict, verify},
};
use sealpost_kit::{CertificateKey, Certified, Tlsa, Wish};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

mod figures;

use figures::{now, say};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const HOST: &str = "mx1.example.org";
const SECONDS: u32 = 1_800_000_000;

fn main() -> Outcome {
    let chains = std::env::args().skip(1).find_map(|text| text.parse().ok());
    let chains: usize = chains.unwrap_or(20_000);
    allocations()?;
    hostile()?;
    for (kind, key) in [
        ("ECDSA", CertificateKey::ecdsa()?),
        ("RSA", CertificateKey::rsa()?),
    ] {
        let root = Certified::self_signed(&Wish::authority("A root"), &CertificateKey::ecdsa()?)?;
        let middle = root.issue(&Wish::authority("An authority"), &key)?;
        let leaf = middle.issue(&Wish::server(&[HOST]), &CertificateKey::ecdsa()?)?;
        say(&format!("the authority in the middle: {kind}"));
        by_key(&leaf, chains)?;
        by_authority(&leaf, &middle, &root, chains.div_ceil(10))?;
    }
    Ok(())
}

/// How much a verdict allocates, by how many records stand beside the one that matches.
fn allocations() -> Outcome {
    let root = Certified::self_signed(&Wish::authority("A root"), &CertificateKey::ecdsa()?)?;
    let leaf = root.issue(&Wish::server(&[HOST]), &CertificateKey::ecdsa()?)?;
    let chain = [leaf.der(), root.der()];
    for matching in [leaf.tlsa(3, 1, 1), root.tlsa(2, 1, 1)] {
        let mut counted = Vec::new();
        for others in [0, 7, 63, 511] {
            for digest in [0x00, 0xFF] {
                let mut records = vec![matching.clone()];
                records.extend((0..others).map(|number: u16| {
                    let mut other = matching.clone();
                    other.data.fill(digest);
                    let end = other.data.len() - 2;
                    other.data.splice(end.., number.to_be_bytes());
                    other
                }));
                let policy = policy(&records)?;
                let at = Timestamp(SECONDS.into());
                // What is set up once in a process is none of a verdict's.
                let mut verdict = Some(verify(&policy, &chain, at));
                let allocated = allocation_counter::measure(|| {
                    verdict = Some(verify(black_box(&policy), black_box(&chain), at));
                });
                if !matches!(verdict, Some(Verdict::Matched(_))) {
                    return Err(format!("not measured: {verdict:?}").into());
                }
                counted.push((allocated.count_total, allocated.bytes_total));
            }
        }
        let (count, octets) = counted.first().copied().unwrap_or_default();
        let Tlsa {
            usage,
            selector,
            matching,
            ..
        } = matching;
        if counted.iter().any(|other| *other != (count, octets)) {
            return Err(
                format!("{usage} {selector} {matching}: allocations grow: {counted:?}").into(),
            );
        }
        say(&format!(
            "{usage} {selector} {matching} among 1 to 512 records: {count} allocations of {octets} octets, always"
        ));
    }
    Ok(())
}

/// What the worst chains cost that a stranger can send: certificates of one name that all could have signed
/// each other, and rings of such names.
fn hostile() -> Outcome {
    let authority = |name: &str, by: Option<&Certified>| -> Outcome<Certified> {
        let mut wish = Wish::authority(name);
        // Made large: each is read.
        wish.dns_names = (0..100)
            .map(|number| format!("host-{number}.example.org"))
            .collect();
        let key = CertificateKey::ecdsa()?;
        Ok(match by {
            Some(issuer) => issuer.issue(&wish, &key)?,
            None => Certified::self_signed(&wish, &key)?,
        })
    };
    let stranger = authority("A", None)?;
    let unknown = [stranger.tlsa(2, 0, 0)];
    let keys: Vec<Tlsa> = (0..20)
        .map(|_| Ok(CertificateKey::ecdsa()?.public_der()))
        .map(|key: Outcome<Vec<u8>>| {
            Ok(Tlsa {
                usage: 2,
                selector: 1,
                matching: 0,
                data: key?,
            })
        })
        .collect::<Outcome<_>>()?;
    let at = Timestamp(SECONDS.into());
    for (what, names) in [
        ("one name", &["A"][..]),
        ("four names in a ring", &["A", "B", "C", "D"]),
    ] {
        let tops = names.iter().map(|name| authority(name, None));
        let tops: Vec<Certified> = tops.collect::<Outcome<_>>()?;
        let around = tops.iter().cycle().skip(1);
        let mut sent = Vec::new();
        for (name, above) in names.iter().cycle().zip(around).take(15) {
            sent.push(authority(name, Some(above))?);
        }
        let first = tops.first().ok_or("no authority")?;
        let leaf = first.issue(&Wish::server(&[HOST]), &CertificateKey::ecdsa()?)?;
        let chain: Vec<&[u8]> = std::iter::once(leaf.der())
            .chain(sent.iter().map(Certified::der))
            .collect();
        for (kind, records) in [("an authority", &unknown[..]), ("20 keys", &keys)] {
            let policy = policy(records)?;
            let each = timed(3, || Some(verify(black_box(&policy), &chain, at)));
            show(&format!("hostile: {what}, {kind}"), each);
        }
    }
    Ok(())
}

fn by_key(leaf: &Certified, chains: usize) -> Outcome {
    let der = leaf.der();
    let each = timed(chains, || {
        let (_, certificate) = X509Certificate::from_der(black_box(der)).ok()?;
        Some(digest(&SHA256, certificate.public_key().raw))
    });
    show("ceiling: parse and digest", each);
    let one = policy(&[leaf.tlsa(3, 1, 1)])?;
    show("3 1 1", verdicts(&one, &[der], chains)?);
    let mut records: Vec<Tlsa> = (0..7)
        .map(|number| {
            let mut other = Tlsa::of_no_key();
            other.data.rotate_right(number);
            other.data.fill(u8::try_from(number).unwrap_or(0));
            other
        })
        .collect();
    records.push(leaf.tlsa(3, 1, 1));
    let mut slowest = Duration::ZERO;
    let mut fastest = Duration::MAX;
    for _ in 0..records.len() {
        records.rotate_left(1);
        let each = verdicts(&policy(&records)?, &[der], chains.div_ceil(8))?;
        slowest = slowest.max(each);
        fastest = fastest.min(each);
    }
    show("3 1 1 among eight, fastest order", fastest);
    show("3 1 1 among eight, slowest order", slowest);
    Ok(())
}

fn by_authority(leaf: &Certified, middle: &Certified, root: &Certified, chains: usize) -> Outcome {
    let der = CertificateDer::from(leaf.der());
    let end_entity = EndEntityCert::try_from(&der)?;
    let root_der = CertificateDer::from(root.der());
    let anchors = [anchor_from_trusted_cert(&root_der)?];
    let between = [CertificateDer::from(middle.der())];
    let at = UnixTime::since_unix_epoch(Duration::from_secs(SECONDS.into()));
    let each = timed(chains, || {
        let server = KeyUsage::server_auth();
        let algorithms = ALL_VERIFICATION_ALGS;
        let path = black_box(&end_entity)
            .verify_for_usage(algorithms, &anchors, &between, at, server, None, None);
        path.is_ok().then_some(())
    });
    show("ceiling: two signatures", each);
    let sent = [leaf.der(), middle.der(), root.der()];
    let each = verdicts(&policy(&[root.tlsa(2, 1, 1)])?, &sent, chains)?;
    show("2 1 1, three certificates", each);
    let each = verdicts(&policy(&[middle.tlsa(2, 1, 1)])?, &sent, chains)?;
    show("2 1 1, the one in the middle", each);
    let each = verdicts(&policy(&[root.tlsa(2, 0, 0)])?, &sent[..2], chains)?;
    show("2 0 0, not sent", each);
    Ok(())
}

fn policy(records: &[Tlsa]) -> Outcome<TlsaPolicy> {
    let records = records.iter().map(|record| TlsaRecord {
        usage: record.usage,
        selector: record.selector,
        matching: record.matching,
        association: record.data.clone(),
    });
    let set = TlsaSet::new(records.collect());
    Ok(TlsaPolicy::new(HOST.parse()?, set, &[]))
}

/// What one verdict takes; it must be that the chain matches.
fn verdicts(policy: &TlsaPolicy, chain: &[&[u8]], chains: usize) -> Outcome<Duration> {
    let at = Timestamp(SECONDS.into());
    let verdict = verify(policy, chain, at);
    if !matches!(verdict, Verdict::Matched(_)) {
        return Err(format!("not measured: {verdict:?}").into());
    }
    Ok(timed(chains, || {
        Some(matches!(
            verify(black_box(policy), black_box(chain), at),
            Verdict::Matched(_)
        ))
    }))
}

/// The shortest of five rounds, for one.
fn timed<T>(times: usize, mut work: impl FnMut() -> Option<T>) -> Duration {
    let mut shortest = Duration::MAX;
    for _ in 0..5 {
        let start: Instant = now();
        for _ in 0..times {
            black_box(work());
        }
        shortest = shortest.min(start.elapsed());
    }
    shortest / u32::try_from(times.max(1)).unwrap_or(u32::MAX)
}

fn show(what: &str, each: Duration) {
    say(&format!("  {what:44} {:10.2} us", each.as_secs_f64() * 1e6));
}
