//! What is shared of lookups, how long it is kept, and what outlives a failure.

use super::*;

#[tokio::test]
async fn hosts_are_looked_up_at_once() {
    let lab = laboratory();
    let hosts: Vec<String> = (0..16).map(|number| format!("mx{number}.test")).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    lab.mx("a.test", Secure(mx(&hosts)));
    for name in &hosts {
        lab.signed_host(name, 1);
    }
    // Not one is answered before all are asked.
    lab.change(|world| world.together = Some(Arc::new(Barrier::new(16))));
    assert!(lab.domain("a.test").await.decides_on_all());
}

#[tokio::test]
async fn one_slow_host_holds_up_no_other_question() {
    let lab = laboratory();
    lab.mx("a.test", Secure(mx(&["slow.test", "quick.test"])));
    lab.mx("b.test", Secure(mx(&["quick.test"])));
    lab.signed_host("slow.test", 1);
    lab.signed_host("quick.test", 2);
    lab.change(|world| world.slow.extend(["ADDR slow.test".to_owned()]));
    let resolver = Arc::clone(&lab.resolver);
    let whole = tokio::spawn(async move { resolver.domain(&domain("a.test")).await });
    assert!(lab.domain("b.test").await.decides_on_all());
    assert!(lab.host("a.test", "quick.test").await.decides().is_some());
    assert!(!whole.is_finished());
    lab.dns.gate.send_replace(true);
    assert!(whole.await.unwrap().decides_on_all());
}

#[tokio::test]
async fn b17_any_number_of_askers_and_domains_share_one_lookup() {
    let lab = laboratory();
    lab.signed_host("mx.test", 1);
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..200 {
        let name = format!("d{}.test", number % 10);
        lab.mx(&name, Secure(mx(&["mx.test"])));
        let resolver = Arc::clone(&lab.resolver);
        asking.spawn(async move {
            let name = domain(&name);
            if number % 3 == 0 {
                resolver
                    .host(&name, &host("mx.test"), None)
                    .await
                    .decides()
                    .is_some()
            } else {
                resolver.domain(&name).await.decides_on_all()
            }
        });
    }
    assert!(asking.join_all().await.iter().all(|decides| *decides));
    let asked = lab.asked();
    assert_eq!(asked.len(), 12, "10 MX, one address, one TLSA: {asked:?}");
}

#[tokio::test]
async fn a_lookup_goes_on_when_nobody_waits_for_it() {
    let lab = laboratory();
    lab.mx("a.test", Secure(mx(&["mx.test"])));
    lab.signed_host("mx.test", 1);
    lab.change(|world| world.slow.extend(["ADDR mx.test".to_owned()]));
    let a = domain("a.test");
    tokio::select! {
        biased;
        _ = lab.resolver.domain(&a) => panic!("answered"),
        () = tokio::task::yield_now() => {}
    }
    lab.dns.gate.send_replace(true);
    assert!(lab.domain("a.test").await.decides_on_all());
    assert_eq!(lab.asked().len(), 3);
}

#[tokio::test]
async fn the_least_time_to_live_on_the_way_counts_and_what_holds_is_not_asked_again() {
    let lab = laboratory();
    lab.mx("a.test", Secure(mx(&["mx.test"]).for_seconds(7_200)));
    lab.addresses("mx.test", Secure(address().for_seconds(60)));
    let records = Secure(tlsa(1).for_seconds(600));
    lab.tlsa("_25._tcp.mx.test", records);
    let dane = lab.domain("a.test").await;
    assert_eq!(dane.until, START.plus_seconds(60));
    lab.asked();
    lab.clock.advance_seconds(59);
    assert!(lab.fresh("a.test").is_some());
    lab.clock.advance_seconds(1);
    assert!(lab.fresh("a.test").is_none());
    lab.domain("a.test").await;
    assert_eq!(lab.asked(), ["ADDR mx.test", "TLSA _25._tcp.mx.test"]);
    // The MX records are kept no longer than `dane.seconds_max`.
    lab.clock.advance_seconds(3_540);
    lab.domain("a.test").await;
    assert_eq!(lab.asked().len(), 3);
    // A clock that was set back says nothing of how old anything is.
    lab.clock.set(START.plus_seconds(-1));
    assert!(lab.fresh("a.test").is_none());
    lab.domain("a.test").await;
    assert_eq!(lab.asked().len(), 3);
}

#[tokio::test]
async fn records_outlive_a_failed_lookup_until_their_own_time_and_no_longer() {
    type Break = fn(&Laboratory);
    let addresses: Break = |lab| lab.addresses("mx.test", Failed);
    let records: Break = |lab| lab.tlsa("_25._tcp.mx.test", Bogus);
    for fails in [addresses, records] {
        let lab = laboratory();
        lab.mx("a.test", Secure(mx(&["mx.test"])));
        lab.addresses("mx.test", Secure(address().for_seconds(60)));
        let long = Secure(tlsa(1).for_seconds(100));
        lab.tlsa("_25._tcp.mx.test", long);
        assert!(lab.domain("a.test").await.decides_on_all());
        fails(&lab);
        lab.clock.advance_seconds(60);
        let dane = lab.domain("a.test").await;
        assert!(dane.decides_on_all());
        assert_eq!(dane.until, START.plus_seconds(90));
        lab.clock.advance_seconds(30);
        let dane = lab.domain("a.test").await;
        assert!(dane.decides_on_all());
        assert_eq!(dane.until, START.plus_seconds(100));
        lab.clock.advance_seconds(10);
        let dane = lab.domain("a.test").await;
        assert!(matches!(
            dane.ranked()[0].dane.finding,
            DaneFinding::Unreachable(_)
        ));
    }
}

#[tokio::test]
async fn records_that_are_gone_are_gone_at_once() {
    let lab = laboratory();
    lab.mx("a.test", Secure(mx(&["mx.test"])));
    lab.addresses("mx.test", Secure(address().for_seconds(60)));
    let long = Secure(tlsa(1).for_seconds(600));
    lab.tlsa("_25._tcp.mx.test", long);
    assert!(lab.domain("a.test").await.decides_on_all());
    lab.tlsa("_25._tcp.mx.test", Secure(data(Vec::new())));
    lab.clock.advance_seconds(60);
    let dane = lab.domain("a.test").await;
    assert_eq!(nothing(&dane.ranked()[0].dane), Some(NoDane::NoRecords));
}

#[tokio::test]
async fn what_was_known_of_a_host_is_remembered_however_old() {
    let lab = laboratory();
    let (a, mx_test) = (domain("a.test"), host("mx.test"));
    let known = |lab: &Laboratory| lab.resolver.known(&a, &mx_test);
    assert!(known(&lab).is_none());
    lab.mx("a.test", Secure(mx(&["mx.test"])));
    lab.signed_host("mx.test", 1);
    lab.domain("a.test").await;
    lab.clock.advance_seconds(100_000);
    assert_eq!(base(&known(&lab).unwrap()), "mx.test");
    // What was said later is known instead, of all hosts or of one.
    lab.tlsa("_25._tcp.mx.test", Secure(tlsa(2)));
    let newer = lab.host("a.test", "mx.test").await;
    assert_eq!(known(&lab).unwrap(), newer);
    lab.clock.advance_seconds(100_000);
    lab.tlsa("_25._tcp.mx.test", Secure(data(Vec::new())));
    lab.domain("a.test").await;
    assert_eq!(nothing(&known(&lab).unwrap()), Some(NoDane::NoRecords));
}

#[tokio::test]
async fn c3_a_failed_lookup_takes_nothing_of_what_was_known() {
    type Break = fn(&Laboratory);
    let exchanges: Break = |lab| lab.mx("a.test", Failed);
    let addresses: Break = |lab| lab.addresses("mx.test", Bogus);
    let records: Break = |lab| lab.tlsa("_25._tcp.mx.test", Failed);
    for fails in [exchanges, addresses, records] {
        for whole in [true, false] {
            let lab = laboratory();
            let (a, mx_test) = (domain("a.test"), host("mx.test"));
            lab.mx("a.test", Secure(mx(&["mx.test"])));
            lab.signed_host("mx.test", 1);
            let ask = async || match whole {
                true => drop(lab.domain("a.test").await),
                false => drop(lab.host("a.test", "mx.test").await),
            };
            ask().await;
            fails(&lab);
            // As often as one likes.
            for _ in 0..3 {
                lab.clock.advance_seconds(10_000);
                ask().await;
                assert!(lab.host("a.test", "mx.test").await.records().is_none());
                assert_eq!(base(&lab.resolver.known(&a, &mx_test).unwrap()), "mx.test");
            }
            // What holds is said of the host as long as it does.
            let held = |seconds| {
                let at = lab.clock.now().plus_seconds(seconds);
                lab.resolver.held(&a, &mx_test, at)
            };
            assert!(held(31).is_none());
            assert!(held(0).unwrap().records().is_none());
            lab.mx("a.test", Secure(mx(&["mx.test"])));
            lab.signed_host("mx.test", 2);
            lab.clock.advance_seconds(30);
            let newest = lab.host("a.test", "mx.test").await;
            assert!(newest.records().is_some());
            assert_eq!(lab.resolver.known(&a, &mx_test).unwrap(), newest);
            assert_eq!(held(200).unwrap(), newest);
            assert!(held(301).is_none());
            // What a resolver found that is trusted no more holds nobody.
            lab.validates.store(false, Ordering::Relaxed);
            assert!(held(0).is_none());
        }
    }
}

#[tokio::test]
async fn c1_without_a_resolver_to_trust_dane_is_off_until_there_is_one() {
    let lab = laboratory();
    lab.mx("a.test", Secure(mx(&["mx.test"])));
    lab.signed_host("mx.test", 1);
    lab.validates.store(false, Ordering::Relaxed);
    let off = MailHosts::Off(NOBODY_VALIDATES);
    assert_eq!(lab.domain("a.test").await.hosts, off);
    assert_eq!(lab.fresh("a.test").unwrap().hosts, off);
    let dane = lab.host("a.test", "mx.test").await;
    assert_eq!(nothing(&dane), Some(NoDane::Off));
    assert!(lab.asked().is_empty());
    lab.validates.store(true, Ordering::Relaxed);
    assert!(lab.fresh("a.test").is_none());
    assert!(lab.domain("a.test").await.decides_on_all());
    // What was validated holds on when the resolver goes away, until it has run out.
    lab.validates.store(false, Ordering::Relaxed);
    assert!(lab.fresh("a.test").unwrap().decides_on_all());
    lab.clock.advance_seconds(300);
    assert_eq!(lab.fresh("a.test").unwrap().hosts, off);
}

#[tokio::test]
async fn a_host_is_each_once_at_its_best_preference() {
    let lab = laboratory();
    let records = [(20, "b.test"), (10, "a.test"), (30, "A.test")];
    let records = records.map(|(preference, exchange)| Mx {
        preference,
        exchange: exchange.to_owned(),
    });
    lab.mx("d.test", Secure(data(records.into())));
    let dane = lab.domain("d.test").await;
    let ranked = |ranked: &RankedHost| (ranked.preference, ranked.dane.host.to_string());
    let found: Vec<_> = dane.ranked().iter().map(ranked).collect();
    assert_eq!(
        found,
        [(10, "a.test".to_owned()), (20, "b.test".to_owned())]
    );
}
