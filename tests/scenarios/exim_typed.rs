//! What documents have root type with Exim, typed line by line into a shell of a host with both of Debian's builds.

use sealpost_kit::Delivery;

use super::pages::{block, commands, in_ten_days, page};
use crate::{
    mta::{
        exim::Build,
        laboratory::{Domains, Laboratory},
        namespace::INSIDE,
        terminal::{Shell, typed_lines},
        wait_until,
        world::World,
    },
    skipped::skipped,
};

const PAGE: &str = include_str!("../../docs/install/exim.md");

/// A reader has a domain and an Exim of their own, and Debian's link to it.
fn shell(world: &World) -> Shell {
    let mut shell = world.host.command("sh");
    shell.env("PATH", format!("{INSIDE}:/usr/sbin:/usr/bin:/sbin:/bin"));
    let mut shell = Shell::start(shell);
    shell.types(&format!("ln -s exim4 {INSIDE}/exim"));
    shell
}

fn with_own_names(line: &str) -> String {
    line.replace("/run/sealpost", INSIDE)
        .replace("mail.ietf.org", "mx.dane-ok.test")
        .replace("example.org", "sts-enforce.test")
}

/// The door as the page has it, for these users.
fn door(exim: &str) -> String {
    let lines = block(PAGE, "[plugin_socket]");
    let own = with_own_names(&lines).replace("106", exim);
    assert_ne!(lines, own);
    let end = own.find("[deliver]").unwrap();
    own[..end].to_owned() + "[socketmap]\npath = \"\"\n[tlsrpt_socket]\npath = \"\"\n"
}

#[test]
fn what_documents_have_typed_with_exim_does_what_it_is_for() {
    for build in Build::ALL {
        if let Some(world) = World::start_with(build, Domains::Postfix) {
            // Shown where the test fails.
            println!("{build:?}");
            what_the_page_has_typed(&world);
        }
    }
}

fn what_the_page_has_typed(world: &World) {
    let mut shell = shell(world);
    let named = "`id -u Debian-exim`";
    assert!(PAGE.contains(named));
    let exim = shell.types(named.trim_matches('`')).trim_end().to_owned();
    let lines = typed_lines(PAGE);
    let line = |start: &str| {
        let line = lines.iter().find(|line| line.starts_with(start));
        with_own_names(line.unwrap_or_else(|| panic!("the page has no {start}")))
    };
    let asks = line("setpriv");

    // Where the daemon does not let Exim in, the line does not say that it does.
    let daemon = Laboratory::start_daemon(world, &door("1"));
    let said = shell.types(&format!("{asks} || true"));
    assert!(!said.contains("\taudit="), "{said}");
    daemon.kill();
    let _daemon = Laboratory::start_daemon(world, &door(&exim));
    let said = shell.types(&asks);
    assert!(said.starts_with("verify\tpolicy="), "{said}");

    let said = shell.types(&line("exim4 -be"));
    assert!(said.starts_with("3 1 1 "), "{said}");
    let said = shell.types(&line("exim4 -bV"));
    for wanted in ["Event", "DANE", "dnsdb", "Configuration file is"] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let said = shell.types(&line("exim4 -bt"));
    let shown = "router = sealpost_remote, transport = sealpost_enforced";
    assert!(PAGE.contains(shown) && said.contains(shown), "{said}");

    a_domain_is_let_through_in_a_hurry(world, &mut shell);
    the_resolver_is_asked_for_signatures(&mut shell);
}

/// `docs/guide/testing-first.md`: one domain, by an override, and then what waits for it is tried.
fn a_domain_is_let_through_in_a_hurry(world: &World, shell: &mut Shell) {
    let domain = "sts-badcert.test";
    assert_eq!(world.send(domain).delivered, Delivery::Deferred);
    let guide = page("guide/testing-first.md");
    let hurry = guide.split_once("## Back, in a hurry").unwrap().1;
    let typed = |start: &str| {
        let mut commands = commands(hurry).into_iter();
        let command = commands.find(|command| command.starts_with(start));
        command.unwrap().replace("example.org", domain)
    };
    let program = env!("CARGO_BIN_EXE_sealpost");
    let set = typed("sealpost override set").replace("2026-12-31", &in_ten_days());
    shell.types(&format!(
        "{} --config {INSIDE}/sealpost.toml",
        set.replacen("sealpost", program, 1)
    ));
    let try_again = typed("exim -R");
    wait_until("what waits has left", || {
        shell.types(&try_again);
        let log = world.exim.main_log();
        log.contains(&format!("=> someone@{domain} "))
    });
}

/// The doctor's page has one ask the resolvers. What they answer is the real Internet's matter.
fn the_resolver_is_asked_for_signatures(shell: &mut Shell) {
    let commands = commands(&page("guide/doctor.md"));
    let dig = commands.iter().find(|command| command.starts_with("dig "));
    if shell.types("command -v dig || true").is_empty() {
        skipped("the resolver is not asked as the doctor's page says: this machine lacks dig");
        return;
    }
    let said = shell.types(dig.unwrap());
    for asked in ["; EDNS: version: 0, flags: do;", "\n;.\t\t\t\tIN\tDNSKEY\n"] {
        assert!(said.contains(asked), "{said}");
    }
}
