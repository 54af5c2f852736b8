//! `sealpost setup postfix` in a fresh Debian, with its real `postconf`, and mail after it.

use std::{fs, process::Output};

use sealpost_kit::Delivery;
use serde_json::{Value, json};

use crate::mta::{
    laboratory::{Counted, Ready},
    postfix::{PostfixHost, Status, Version},
    wait_until,
};

/// What Postfix before 3.10 cannot be counted without.
const LOG: &str = "[postfix_log]\npath = \"/var/log/mail.log\"\ntake = \"all\"\n";

/// A fresh Debian, with a configuration for Sealpost.
struct Fresh {
    version: Version,
    host: PostfixHost,
}

impl Fresh {
    fn each(test: impl Fn(&Self)) {
        for version in Version::ALL {
            if let Some(host) = PostfixHost::fresh(version) {
                // Shown where the test fails.
                println!("{version:?}");
                let fresh = Self { version, host };
                fresh.configure(fresh.of_version("", LOG));
                test(&fresh);
            }
        }
    }

    fn of_version<T>(&self, tells: T, logs: T) -> T {
        match self.version {
            Version::V3_10 => tells,
            Version::V3_7 => logs,
        }
    }

    /// All is where it is by default. What follows the sender is what the laboratory needs and no user
    /// has: its hosts are on loopback, its roots are its own, and its disk may be nearly full.
    fn configure(&self, sections: &str) {
        let directory = self.host.path("etc/sealpost");
        fs::create_dir_all(&directory).unwrap();
        let roots = self.host.path("internet/ca.pem");
        fs::copy(roots, directory.join("roots.pem")).unwrap();
        let text = format!(
            "[sender]\norganization = \"Sender\"\ncontact = \"tlsrpt@sender.test\"\n\
             [policy]\nallow_private_addresses = true\n\
             extra_roots = [\"roots.pem\"]\n\
             [store]\nfree_space_min_mib = 0\n{sections}"
        );
        fs::write(directory.join("sealpost.toml"), text).unwrap();
    }

    fn sealpost(&self, arguments: &[&str]) -> Output {
        let mut command = self.host.typed("sealpost");
        command.args(arguments).output().unwrap()
    }

    fn setup(&self, arguments: &[&str]) -> Output {
        self.sealpost(&[&["setup", "postfix"], arguments].concat())
    }

    /// What it says as JSON, and its exit code.
    fn json(&self, arguments: &[&str]) -> (Value, i32) {
        let output = self.setup(&[arguments, &["--json"]].concat());
        let said = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"));
        (said, output.status.code().unwrap())
    }

    fn postconf(&self, arguments: &[&str]) -> String {
        let output = self.host.run("postconf", arguments);
        String::from_utf8(output.stdout).unwrap()
    }

    fn value(&self, name: &str) -> String {
        self.postconf(&["-h", name]).trim_end().to_owned()
    }

    /// `main.cf` and `master.cf`.
    fn files(&self) -> [String; 2] {
        ["main.cf", "master.cf"].map(|name| {
            let file = self.host.path("etc/postfix").join(name);
            as_postconf_writes(&fs::read_to_string(file).unwrap())
        })
    }

    /// The same as Postfix reads them.
    fn everything(&self) -> [String; 2] {
        [self.postconf(&["-n"]), self.postconf(&["-M"])]
    }

    /// Starts the daemon, which ends with the host.
    fn serve(&self) {
        let ready = Ready::bind(self.host.path("log/notify"));
        let log = fs::File::create(self.host.path("daemon.log")).unwrap();
        let mut command = self.host.typed("sealpost");
        command.arg("serve").stderr(log);
        command.env("NOTIFY_SOCKET", "/var/log/notify");
        drop(command.spawn().unwrap());
        ready.wait(|| self.host.daemon_log());
    }

    fn counted(&self, domain: &str) -> Vec<Counted> {
        let mut counted = Vec::new();
        wait_until(&format!("a session of {domain}"), || {
            let said = self.sealpost(&["sessions", "--domain", domain, "--json"]);
            counted = Counted::all(&serde_json::from_slice(&said.stdout).unwrap());
            !counted.is_empty()
        });
        counted
    }
}

/// Debian writes `name=value` here and there, and `postconf -e` blanks around it.
fn as_postconf_writes(file: &str) -> String {
    let spaced = |line: &str| match line.split_once('=') {
        Some((name, value)) if !line.starts_with(['#', ' ']) => {
            format!("{} = {}\n", name.trim_end(), value.trim_start())
        }
        _ => format!("{line}\n"),
    };
    file.lines().map(spaced).collect()
}

fn names(plan: &Value) -> Vec<&str> {
    let changes = plan["changes"].as_array().unwrap();
    changes
        .iter()
        .map(|change| change["name"].as_str().unwrap())
        .collect()
}

fn traps(plan: &Value) -> String {
    plan["traps"].to_string()
}

/// The whole circle with what each Debian has in its `main.cf`, and its services in their chroot.
#[test]
fn a_fresh_postfix_is_set_up_goes_by_policies_and_is_what_it_was() {
    Fresh::each(|fresh| {
        if fresh.version == Version::V3_10 {
            // Not for the daemon: so that Postfix's log tells this test what was verified.
            fresh.postconf(&["-e", "smtp_tls_loglevel=1"]);
        }
        let (files, before) = (fresh.files(), fresh.everything());
        let (plan, code) = fresh.json(&[]);
        assert_eq!(fresh.files(), files, "a plan sets nothing");
        assert_eq!(code, 0, "{plan}");
        let expected = fresh.of_version(
            &[
                "smtp_tls_policy_maps",
                "smtp_tls_security_level",
                "smtp_dns_support_level",
                "smtp_tlsrpt_enable",
                "smtp_tlsrpt_socket_name",
                "smtp_tlsrpt_skip_reused_handshakes",
            ][..],
            &[
                "smtp_tls_policy_maps",
                "smtp_tls_security_level",
                "smtp_dns_support_level",
                "smtp_tls_loglevel",
                "sealpost-report/unix",
                "sender_dependent_default_transport_maps",
            ],
        );
        assert_eq!(names(&plan), expected, "{plan}");
        let shown = fresh.setup(&[]).stdout;
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.contains(fresh.of_version("Postfix 3.10.", "Postfix 3.7.")));

        let output = fresh.setup(&["--apply"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let set_up = fresh.files();
        let (again, code) = fresh.json(&["--apply"]);
        assert_eq!((names(&again), code), (vec![], 0), "{again}");
        assert_eq!(fresh.files(), set_up);
        mail_goes_by_policies(fresh);

        let output = fresh.setup(&["--undo"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(fresh.files(), files);
        assert_eq!(fresh.everything(), before);
        let output = fresh.setup(&["--undo"]);
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        fresh.host.run("postfix", &["reload"]);
    });
}

/// Through the sockets in the chroot, by the group that Postfix has.
fn mail_goes_by_policies(fresh: &Fresh) {
    let host = &fresh.host;
    let smtp = fresh.postconf(&["-F", "smtp/unix/chroot"]);
    assert!(smtp.ends_with("= y\n"), "{smtp}");
    fresh.serve();
    host.run("postfix", &["reload"]);
    let fates = host.send_to_each(&["sts-enforce.test", "sts-badcert.test", "both-bad-sts.test"]);
    let log = host.mail_log();
    assert_eq!(fates[0].delivered, Delivery::TlsVerified, "{log}");
    assert_eq!(fates[1].status, Status::Deferred, "{log}");
    // C5: by its TLSA record, which the policy cannot be content with.
    assert_eq!(fates[2].delivered, Delivery::TlsVerified, "{log}");
    assert_eq!(
        fresh.counted("sts-enforce.test"),
        [Counted::good("sts", 1)],
        "{log}"
    );
    let bad = fresh.counted("sts-badcert.test");
    assert_eq!(bad.len(), 1, "{bad:?}");
    assert_eq!((bad[0].successes, bad[0].failures), (0, 1), "{bad:?}");
    // F12: what waits for others does not keep the report from leaving.
    let report = host.send_report("sts-badcert.test");
    assert_eq!(report.delivered, Delivery::Tls, "{}", report.line);
}

/// Set up by hand, and without what `dane-only` needs: mail to domains with DANE would wait.
#[test]
fn a_postfix_that_cannot_do_as_it_may_be_told_is_warned_of() {
    Fresh::each(|fresh| {
        let warned = || {
            let output = fresh.sealpost(&["config", "check"]);
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            String::from_utf8(output.stdout)
                .unwrap()
                .contains("smtp_dns_support_level is not set")
        };
        assert!(!warned(), "it does not ask");
        let asks = "smtp_tls_policy_maps=socketmap:unix:sealpost/socketmap.sock:QUERY";
        fresh.postconf(&["-e", asks]);
        assert!(warned());
        fresh.serve();
        wait_until("the daemon's warning", || {
            fresh
                .host
                .daemon_log()
                .contains("smtp_dns_support_level is not set")
        });
        fresh.postconf(&["-e", "smtp_dns_support_level=dnssec"]);
        assert!(!warned(), "it can");
    });
}

/// C18: what is only audited, Postfix is not set to enforce.
#[test]
fn c18_postfix_is_not_set_to_do_dane_that_is_only_audited() {
    Fresh::each(|fresh| {
        fresh.configure(&format!(
            "[dane]\naudit = true\n{}",
            fresh.of_version("", LOG)
        ));
        let (plan, code) = fresh.json(&["--apply"]);
        assert_eq!(code, 0, "{plan}");
        assert_eq!(fresh.value("smtp_tls_security_level"), "may");
        fresh.configure(fresh.of_version("", LOG));
        fresh.json(&["--apply"]);
        assert_eq!(fresh.value("smtp_tls_security_level"), "dane");
    });
}

/// What stands there in several lines, and names other parameters, stays and comes back.
#[test]
fn undo_leaves_alone_what_was_changed_since() {
    Fresh::each(|fresh| {
        let main_cf = fresh.host.path("etc/postfix/main.cf");
        let text = fs::read_to_string(&main_cf).unwrap();
        let more = "mine = inline:{ { a.test = may } }\nsmtp_tls_policy_maps = $mine,\n# all others\n    \
                    static:{may}\n";
        fs::write(&main_cf, text + more).unwrap();
        fresh.postconf(&["-e", "smtp_tls_security_level="]);
        let before = fresh.everything();
        let (plan, code) = fresh.json(&["--apply"]);
        assert_eq!(code, 0, "{plan}");
        let next = plan["changes"][0]["next"].as_str().unwrap();
        assert!(
            next.starts_with("$mine, static:{may}, socketmap:"),
            "{plan}"
        );
        assert_eq!(fresh.value("smtp_tls_policy_maps"), next);
        assert_eq!(fresh.value("smtp_tls_security_level"), "dane");
        assert_eq!(fresh.value("smtp_dns_support_level"), "dnssec");

        fresh.postconf(&["-e", "smtp_tls_security_level=encrypt"]);
        let (undone, code) = fresh.json(&["--undo"]);
        assert_eq!(code, 0, "{undone}");
        assert_eq!(undone["left_alone"], json!(["smtp_tls_security_level"]));
        assert_eq!(fresh.value("smtp_tls_security_level"), "encrypt");
        fresh.postconf(&["-e", "smtp_tls_security_level="]);
        assert_eq!(fresh.everything(), before);
    });
}

/// postfix.org, MULTI_INSTANCE_README: another instance has another directory, and its own queue.
#[test]
fn each_instance_is_set_up_and_undone_for_itself() {
    Fresh::each(|fresh| {
        let (own, other) = (
            fresh.host.path("etc/postfix"),
            fresh.host.path("etc/postfix-out"),
        );
        fs::create_dir(&other).unwrap();
        for name in ["main.cf", "master.cf", "dynamicmaps.cf"] {
            fs::copy(own.join(name), other.join(name)).unwrap();
        }
        let out = ["-c", "/etc/postfix-out"];
        let queue = "queue_directory=/var/spool/postfix-out";
        fresh.postconf(&[&out[..], &["-e", queue]].concat());
        let arguments = ["--config-directory", "/etc/postfix-out"];
        let with = |more: &[&'static str]| [&arguments[..], more].concat();
        let now = || as_postconf_writes(&fs::read_to_string(other.join("main.cf")).unwrap());
        let (before, of_out) = (fresh.everything(), now());

        // The sockets are in the queue directory of the first.
        let (plan, code) = fresh.json(&with(&[]));
        assert_eq!(code, 1, "{plan}");
        assert!(
            traps(&plan).contains("outside /var/spool/postfix-out"),
            "{plan}"
        );
        assert_eq!(fresh.setup(&["--apply"]).status.code(), Some(0));
        let done = fresh.setup(&with(&["--apply"]));
        assert_eq!(done.status.code(), Some(1), "{done:?}");
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(
            said.contains("postfix -c /etc/postfix-out reload"),
            "{said}"
        );
        assert_ne!(now(), of_out);
        let undone = fresh.setup(&with(&["--undo"]));
        assert_eq!(now(), of_out, "{undone:?}");
        assert_ne!(fresh.everything(), before);
        assert_eq!(fresh.setup(&["--undo"]).status.code(), Some(0));
        assert_eq!(fresh.everything(), before);
    });
}

#[test]
fn what_stands_in_the_way_is_named_and_answered_with_1() {
    Fresh::each(|fresh| {
        for setting in [
            "other=socketmap:inet:127.0.0.1:8642:QUERY",
            "smtp_tls_policy_maps=$other",
            "smtp_tls_security_level=",
            "mydomain=relay.test",
            "relayhost=[mx.$mydomain]:587",
            "smtp_tls_CAfile=/etc/ssl/certs/none.pem",
            "ignore_mx_lookup_error=yes",
            "smtp_dns_resolver_options=res_defnames",
        ] {
            fresh.postconf(&["-e", setting]);
        }
        let bulk = "bulk/unix=bulk unix - - y - - smtp -o smtp_tls_policy_maps= -o { \
                    smtp_tls_security_level = none }";
        let slow = "slow/unix=slow unix - - y - - smtp -o smtp_dns_support_level=enabled";
        fresh.postconf(&["-M", "-e", bulk, slow]);
        let (plan, code) = fresh.json(&[]);
        assert_eq!(code, 1, "{plan}");
        assert!(names(&plan).contains(&"smtp_tls_security_level"), "{plan}");
        for expected in [
            "another policy server, socketmap:inet:127.0.0.1:8642:QUERY",
            "bulk/unix of master.cf sets smtp_tls_policy_maps=",
            "bulk/unix of master.cf sets smtp_tls_security_level=none",
            "the policy of mx.relay.test alone counts",
            "ignore_mx_lookup_error is yes",
            "smtp_dns_resolver_options is res_defnames",
            "slow/unix of master.cf sets smtp_dns_support_level=enabled",
            "none.pem, which cannot be read",
        ] {
            assert!(traps(&plan).contains(expected), "{expected}: {plan}");
        }
        fresh.postconf(&["-M", "-X", "slow/unix"]);
        fresh.postconf(&["-X", "ignore_mx_lookup_error", "smtp_dns_resolver_options"]);
        fresh.postconf(&["-X", "smtp_tls_CAfile", "smtp_tls_CApath"]);
        let (plan, code) = fresh.json(&[]);
        assert_eq!(code, 0, "{plan}");
        let roots = "/etc/ssl/certs/ca-certificates.crt";
        assert!(plan["changes"].to_string().contains(roots), "{plan}");
        fs::remove_file(fresh.host.path("etc/ssl/certs/ca-certificates.crt")).unwrap();
        let (plan, code) = fresh.json(&[]);
        assert_eq!(code, 1, "{plan}");
        assert!(traps(&plan).contains("no file of trusted roots"), "{plan}");

        // Out of the chroot's reach.
        fresh.postconf(&["-e", "tls_append_default_CA=yes"]);
        let sections = fresh.of_version("", LOG);
        let outside = "[socketmap]\npath = \"/run/sealpost/socketmap.sock\"\n";
        fresh.configure(&format!("{outside}{sections}"));
        let (plan, code) = fresh.json(&[]);
        assert_eq!(code, 1, "{plan}");
        assert!(traps(&plan).contains("lies outside /var/spool/postfix"));
        let text = fresh.setup(&[]).stdout;
        assert!(String::from_utf8_lossy(&text).contains("\n  ! /run/sealpost"));
        if fresh.version == Version::V3_7 {
            fresh.configure("");
            let (plan, code) = fresh.json(&[]);
            assert_eq!(code, 1, "{plan}");
            assert!(traps(&plan).contains("path = \\\"/var/log/mail.log\\\"\\ntake"));
        }
        let output = fresh.setup(&["--postconf", "/nowhere/postconf"]);
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("is Postfix installed"), "{said}");
        fresh.postconf(&["-e", "smtp_tls_policy_maps=", "smtp_tls_per_site=hash:/x"]);
        let output = fresh.setup(&["--apply"]);
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        assert_eq!(fresh.value("smtp_tls_policy_maps"), "");
    });
}
