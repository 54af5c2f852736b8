//! The Internet that the table is about: zones signed in every way, unsigned, and wrong.

use sealpost_kit::{
    Delegation, Denial, DnsFault, SignatureFault, SignedInternet, SignedInternetBuilder, Tlsa, Zone,
};

/// Zones that no file can hold, since a server misbehaves for them. `broken.test` is signed, `flaky.test`
/// is not.
pub(super) const MISBEHAVING: [&str; 2] = ["broken.test", "flaky.test"];

/// How long everything may be kept.
pub(super) const TIME_TO_LIVE_SECONDS: u32 = 300;

/// How many TLSA records `_25._tcp.mx.large.test` has: more than fit into a datagram.
const LARGE: u8 = 60;

/// The Internet that the table is about.
pub(super) fn internet() -> SignedInternetBuilder {
    let builder = SignedInternet::builder().time_to_live_seconds(TIME_TO_LIVE_SECONDS);
    misbehaving(bogus(unsigned(sound(builder))))
}

fn mail(zone: Zone, domain: &str, host: &str) -> Zone {
    zone.mx(domain, &[(10, host)])
}

fn at(zone: Zone, name: &str, address: &str) -> Zone {
    zone.addresses(name, &[address.parse().unwrap()])
}

fn sound(builder: SignedInternetBuilder) -> SignedInternetBuilder {
    let hosts = [
        (10, "mx2.ok.test"),
        (20, "mx.plain.test"),
        (10, "MX.ok.test"),
    ];
    let mut ok = Zone::signed()
        .mx("ok.test", &hosts)
        .mx("null.ok.test", &[(0, ".")])
        .mx("*.post.ok.test", &[(10, "mx.ok.test")])
        .tlsa("_25._tcp.mx.ok.test", &[Tlsa::of_no_key()])
        .tlsa("*.any.ok.test", &[Tlsa::of_no_authority()])
        .tlsa("*._tcp.any.ok.test", &[Tlsa::of_no_authority()])
        .txt(
            "there.wild.ok.test",
            &["so the wildcard is not for what is below"],
        );
    for (name, address) in [
        ("mx.ok.test", "192.0.2.1"),
        ("mx.ok.test", "2001:db8::1"),
        ("mx2.ok.test", "192.0.2.2"),
        ("*.wild.ok.test", "192.0.2.3"),
    ] {
        ok = at(ok, name, address);
    }
    for (alias, target) in [
        ("www", "mx.ok.test"),
        ("*.alias", "mx.ok.test"),
        ("far", "mx.hash.test"),
        ("farther", "far.ok.test"),
        ("out", "mx.plain.test"),
        ("round", "in.plain.test"),
        ("dangling", "nothing.ok.test"),
        ("mail", "hash.test"),
        ("spoilt", "altered.test"),
        ("loop", "pool.ok.test"),
        ("pool", "loop.ok.test"),
        ("_25._tcp.www", "_25._tcp.mx.ok.test"),
        ("_25._tcp.far", "_25._tcp.mx.hash.test"),
        ("_25._tcp.out", "_25._tcp.mx.plain.test"),
        ("_25._tcp.spoilt", "_25._tcp.altered.test"),
    ] {
        ok = ok.cname(&format!("{alias}.ok.test"), target);
    }
    let hashed = |denial| Zone::signed().denial(denial);
    let hash = mail(hashed(Denial::Nsec3), "hash.test", "mx.hash.test")
        .tlsa("_25._tcp.mx.hash.test", &[Tlsa::of_no_key()]);
    let hash = at(hash, "mx.hash.test", "192.0.2.4");
    let optout = mail(hashed(Denial::Nsec3OptOut), "optout.test", "mx.optout.test");
    let large = Zone::signed().tlsa("_25._tcp.mx.large.test", &large());
    let in_rounds = |domain, host, times| mail(hashed(Denial::Nsec3Iterated(times)), domain, host);
    builder
        .zone("ok.test", ok)
        .zone(
            "moved.test",
            Zone::signed()
                .dname("old.moved.test", "ok.test")
                .dname("out.moved.test", "plain.test")
                .dname("bad.moved.test", "ok.test")
                .spoil("bad.moved.test", "DNAME", SignatureFault::Altered),
        )
        .zone("hash.test", at(hash, "*.wild.hash.test", "192.0.2.3"))
        .zone("optout.test", at(optout, "mx.optout.test", "192.0.2.4"))
        .zone("large.test", at(large, "mx.large.test", "192.0.2.1"))
        .zone(
            "rounds.test",
            in_rounds("rounds.test", "mx.rounds.test", 500),
        )
        .zone("few.test", in_rounds("few.test", "mx.few.test", 10))
}

fn unsigned(builder: SignedInternetBuilder) -> SignedInternetBuilder {
    let plain = mail(Zone::unsigned(), "plain.test", "mx.plain.test")
        .tlsa("_25._tcp.mx.plain.test", &[Tlsa::of_no_key()])
        .cname("in.plain.test", "mx.ok.test")
        .dname("old.plain.test", "ok.test")
        .cname("_25._tcp.in.plain.test", "_25._tcp.mx.ok.test")
        .cname("dangling.plain.test", "nothing.ok.test");
    let island = || Zone::signed().delegation(Delegation::Insecure);
    builder
        .zone("plain.test", at(plain, "mx.plain.test", "192.0.2.9"))
        .zone(
            "plain.hash.test",
            mail(Zone::unsigned(), "plain.hash.test", "mx.plain.hash.test"),
        )
        .zone(
            "plain.optout.test",
            mail(
                Zone::unsigned(),
                "plain.optout.test",
                "mx.plain.optout.test",
            ),
        )
        .zone(
            "below.plain.test",
            mail(Zone::signed(), "below.plain.test", "mx.ok.test"),
        )
        .zone("island.test", mail(island(), "island.test", "mx.ok.test"))
        .zone(
            "deep.island.test",
            mail(Zone::signed(), "deep.island.test", "mx.ok.test"),
        )
        .zone(
            "ruin.test",
            mail(island(), "ruin.test", "mx.ok.test").spoil_all(SignatureFault::Altered),
        )
        .zone(
            "unknown.test",
            mail(
                Zone::signed().delegation(Delegation::UnknownAlgorithm),
                "unknown.test",
                "mx.ok.test",
            ),
        )
}

fn bogus(builder: SignedInternetBuilder) -> SignedInternetBuilder {
    let altered = mail(Zone::signed(), "altered.test", "mx.ok.test")
        .tlsa("_25._tcp.altered.test", &[Tlsa::of_no_key()])
        .cname("in.altered.test", "hash.test")
        .spoil("altered.test", "MX", SignatureFault::Altered)
        .spoil("_25._tcp.altered.test", "TLSA", SignatureFault::Altered)
        .spoil("in.altered.test", "CNAME", SignatureFault::Altered)
        .spoil("half.altered.test", "AAAA", SignatureFault::Altered)
        .spoil("below.altered.test", "DS", SignatureFault::Altered);
    let mut altered = at(altered, "altered.test", "192.0.2.1");
    for address in ["192.0.2.1", "2001:db8::1"] {
        altered = at(altered, "half.altered.test", address);
    }
    let mute = mail(
        Zone::signed().denial(Denial::Missing),
        "mute.test",
        "mx.mute.test",
    );
    let lost = Zone::unsigned().delegation(Delegation::Secure);
    let rolled = Zone::signed().delegation(Delegation::OtherKey);
    builder
        .zone("altered.test", altered)
        .zone("mute.test", at(mute, "*.wild.mute.test", "192.0.2.3"))
        .zone("lost.test", mail(lost, "lost.test", "mx.ok.test"))
        .zone("rolled.test", mail(rolled, "rolled.test", "mx.ok.test"))
        .zone(
            "plain.mute.test",
            mail(Zone::unsigned(), "plain.mute.test", "mx.ok.test"),
        )
        .zone(
            "below.altered.test",
            mail(Zone::signed(), "below.altered.test", "mx.ok.test"),
        )
        .zone(
            "stripped.test",
            mail(Zone::signed(), "stripped.test", "mx.ok.test").spoil(
                "stripped.test",
                "MX",
                SignatureFault::Absent,
            ),
        )
        .zone(
            "keyless.test",
            mail(Zone::signed(), "keyless.test", "mx.ok.test").spoil(
                "keyless.test",
                "DNSKEY",
                SignatureFault::Altered,
            ),
        )
        .zone(
            "expired.test",
            mail(Zone::signed(), "expired.test", "mx.ok.test").spoil_all(SignatureFault::Expired),
        )
        .zone(
            "future.test",
            mail(Zone::signed(), "future.test", "mx.ok.test")
                .spoil_all(SignatureFault::NotYetValid),
        )
        .zone(
            "lies.test",
            mail(Zone::signed(), "lies.test", "mx.ok.test").spoil(
                "lies.test",
                "NSEC",
                SignatureFault::Altered,
            ),
        )
}

fn misbehaving(builder: SignedInternetBuilder) -> SignedInternetBuilder {
    let flaky = at(Zone::unsigned(), "half.flaky.test", "192.0.2.9")
        .fail("half.flaky.test", "AAAA", DnsFault::ServFail)
        .fail("refused.flaky.test", "A", DnsFault::Refused)
        .fail("refused.flaky.test", "AAAA", DnsFault::Refused)
        .fail("flaky.test", "MX", DnsFault::ServFail);
    let broken = at(Zone::signed(), "half.broken.test", "192.0.2.1")
        .fail("half.broken.test", "AAAA", DnsFault::ServFail)
        .fail("broken.test", "MX", DnsFault::ServFail)
        .fail("_25._tcp.half.broken.test", "TLSA", DnsFault::ServFail)
        .fail("_25._tcp.mx.broken.test", "TLSA", DnsFault::Refused);
    builder
        .zone("flaky.test", flaky)
        .zone("broken.test", broken)
}

/// The TLSA records that do not fit into a datagram.
pub(super) fn large() -> Vec<Tlsa> {
    (0..LARGE)
        .map(|number| Tlsa {
            data: vec![number; 32],
            ..Tlsa::of_no_key()
        })
        .collect()
}
