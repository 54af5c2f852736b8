//! Every setting there is: **the** table.
//!
//! `sealpost config explain`, `docs/config.md` and `docs/examples/full.toml` are made from it, and a
//! value of the file is judged by it. A test holds it and [`Config`](super::Config) together, names
//! and defaults, both ways.

use super::{
    kind::Kind,
    setting::{Default, Section, Setting, Shape},
};

mod alert;
mod doors;
mod metrics;
mod page;
mod reports;

/// The section of this name.
#[must_use]
pub fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.name == name)
}

/// Every setting with its section, in the order of the table.
pub fn all() -> impl Iterator<Item = (&'static Section, &'static Setting)> {
    SECTIONS.iter().flat_map(|section| {
        section
            .settings
            .iter()
            .map(move |setting| (section, setting))
    })
}

/// A setting that has been there from the first release on.
const fn first(
    key: &'static str,
    kind: Kind,
    default: &'static str,
    unit: &'static str,
    text: &'static str,
) -> Setting {
    Setting {
        key,
        kind,
        default: Default::Value(default),
        unit,
        since: "0.1.0",
        text,
    }
}

/// A setting of a section that is not there by default.
const fn first_without(
    key: &'static str,
    kind: Kind,
    default: Default,
    text: &'static str,
) -> Setting {
    Setting {
        default,
        ..first(key, kind, "", "", text)
    }
}

const DAY_SECONDS: i64 = 86_400;
const PORT: Kind = Kind::Number(1, 65_535);

/// Every section, in the order of the pipeline.
pub const SECTIONS: &[Section] = &[
    Section {
        name: "sender",
        shape: Shape::Single,
        text: "Who we are to those who get our reports.",
        settings: &[
            first(
                "organization",
                Kind::Text,
                "\"\"",
                "",
                "The organization that sends the mail, as reports name it (`organization-name`). Needed \
                 while `report.enabled` is true.",
            ),
            first(
                "contact",
                Kind::Mailbox,
                "\"\"",
                "",
                "Where a reader of our reports can write to (`contact-info`). It is the From of report \
                 mail, and its domain is the one that signs it with DKIM. Needed while \
                 `report.enabled` is true.",
            ),
            first(
                "envelope_from",
                Kind::Mailbox,
                "\"\"",
                "",
                "The envelope sender of report mail, to which bounces go. Empty: `sender.contact`. Best \
                 an address that the MTA pipes to `sealpost bounce` (docs/guide/bounces.md).",
            ),
            first(
                "host_name",
                Kind::HostName,
                "\"\"",
                "",
                "The name this host calls itself in SMTP and in report ids. Empty: the machine's host \
                 name.",
            ),
        ],
    },
    Section {
        name: "dns",
        shape: Shape::Single,
        text: "The resolver.",
        settings: &[
            first(
                "servers",
                Kind::Addresses,
                "[]",
                "",
                "The resolvers to ask. Empty: those of /etc/resolv.conf.",
            ),
            first(
                "timeout_ms",
                Kind::Number(1, 60_000),
                "3000",
                "milliseconds",
                "How long one try of a lookup may take.",
            ),
            first(
                "attempts",
                Kind::Number(1, 10),
                "2",
                "",
                "How often a lookup is tried before it counts as failed.",
            ),
        ],
    },
    Section {
        name: "policy",
        shape: Shape::Single,
        text: "How MTA-STS policies are fetched and kept (RFC 8461).",
        settings: &[
            first(
                "https_port",
                PORT,
                "443",
                "",
                "The port of policy hosts. RFC 8461 knows only 443; another one is for laboratories.",
            ),
            first(
                "extra_roots",
                Kind::Certificates,
                "[]",
                "",
                "PEM files with further root certificates to trust policy hosts and `https:` destinations \
                 of reports by, beside the built-in ones.",
            ),
            first(
                "fetch_timeout_seconds",
                Kind::Number(1, 600),
                "60",
                "seconds",
                "The time for one fetch, from the first packet to the last.",
            ),
            first(
                "document_bytes_max",
                Kind::Number(1_024, 1_048_576),
                "65536",
                "octets",
                "The longest policy document that is taken. A longer one is a failed fetch.",
            ),
            first(
                "fetches_max",
                Kind::Number(1, 4_096),
                "64",
                "",
                "How many fetches run at once.",
            ),
            first(
                "fetch_retry_seconds",
                Kind::Number(1, DAY_SECONDS),
                "300",
                "seconds",
                "How long after a failed fetch the same policy id is left alone. RFC 8461 asks for at \
                 least 300.",
            ),
            first(
                "refresh_seconds",
                Kind::Number(1, 31_557_600),
                "86400",
                "seconds",
                "How often a kept policy is fetched again in the background, whatever its id says, so \
                 that it does not expire.",
            ),
            first(
                "record_seconds_max",
                Kind::Number(0, DAY_SECONDS),
                "3600",
                "seconds",
                "How long a domain's TXT record is relied on at most, whatever its time to live, before \
                 it is looked up again. 0: it is looked up for every question.",
            ),
            first(
                "domains_in_memory_max",
                Kind::Number(1, 10_000_000),
                "100000",
                "",
                "How many domains' answers are held in memory.",
            ),
            first(
                "allow_private_addresses",
                Kind::Switch,
                "false",
                "",
                "Allow policy hosts on loopback, private and link-local addresses. A recipient domain \
                 could then steer requests into your own network: for laboratories.",
            ),
            first(
                "when_unknown",
                Kind::Word(&["defer", "may"]),
                "\"defer\"",
                "",
                "What the MTA is told when Sealpost itself cannot tell. `defer`: try again later. `may`: \
                 deliver opportunistically, which gives up the protection for that time.",
            ),
        ],
    },
    Section {
        name: "dane",
        shape: Shape::Single,
        text: "DANE (RFC 7672): what signed DNS says of mail hosts. `sealpost check DOMAIN` shows it.",
        settings: &[
            first(
                "validation",
                Kind::Word(&["auto", "resolver", "own", "off"]),
                "\"auto\"",
                "",
                "Who validates DNSSEC. `own`: Sealpost itself, up to the root's keys; the resolvers of \
                 `dns.servers` may be anywhere, and must pass on what is signed. `resolver`: those \
                 resolvers. They must all be on this machine and validate themselves, since what they say by \
                 the AD bit is believed; one that only passes on what others say (Docker's 127.0.0.11, \
                 systemd-resolved's 127.0.0.54, dnsmasq with `proxy-dnssec`) is none. `auto`: itself, and where \
                 that does not work resolvers on this machine, but none at 127.0.0.11 or 127.0.0.54. `off`: nobody, \
                 and there is no DANE. Where it turns out at the start that nothing works, DANE is off and the \
                 log says so; where nobody answers at the start, mail waits, nine minutes at most. What has \
                 worked is never turned off by what comes over a network: lookups are then bogus, and mail waits.",
            ),
            first(
                "trust_anchor",
                Kind::OptionalFile,
                "\"\"",
                "",
                "A file with the root's keys, DNSKEY or DS records as in a zone file, or as Unbound keeps them. \
                 It is read again every ten minutes. Empty: the keys that IANA publishes, which are built in.",
            ),
            first(
                "insecure_mx",
                Kind::Word(&["dane", "encrypt", "may"]),
                "\"dane\"",
                "",
                "What the TLSA records of a mail host are worth where the MX records that name it are \
                 not signed. (Postfix decides this by its own `smtp_tls_dane_insecure_mx_policy`, which `sealpost setup \
                 postfix` sets to the same.) `dane`: its certificate must \
                 match. `encrypt`: TLS, with whatever certificate. `may`: nothing. Where an \
                 MTA-STS policy is enforced, that one decides.",
            ),
            first(
                "audit",
                Kind::Switch,
                "false",
                "",
                "DANE is evaluated and reported for every domain, and not enforced: for the first weeks. Postfix does \
                 DANE by itself where it is told nothing, so it is told `may` for domains with TLSA records, and \
                 what these would have said is not reported.",
            ),
            first(
                "hosts_max",
                Kind::Number(1, 256),
                "64",
                "",
                "How many mail hosts of a domain are looked up for an answer about the domain as a whole, as \
                 Postfix asks for. Of a domain with more, below signed MX records, mail through Postfix waits \
                 where a policy is enforced, and goes by Postfix's own level where none is. Each host still has its \
                 own answer, for who asks for that.",
            ),
            first(
                "seconds_max",
                Kind::Number(1, DAY_SECONDS),
                "3600",
                "seconds",
                "The longest that what the DNS said of mail hosts is relied on, where its own time to \
                 live is longer.",
            ),
        ],
    },
    Section {
        name: "store",
        shape: Shape::Single,
        text: "What outlives the process: tallies of sessions, policies, and how reports stand.",
        settings: &[
            first(
                "path",
                Kind::Directory,
                "\"/var/lib/sealpost/store\"",
                "",
                "The directory. It belongs to the daemon alone.",
            ),
            first(
                "commit_interval_ms",
                Kind::Number(1, 60_000),
                "250",
                "milliseconds",
                "How long sessions are gathered before they are written together; where writing takes \
                 long, longer, up to a second. A power cut costs at most the sessions of this time.",
            ),
            first(
                "queue_sessions_max",
                Kind::Number(1, 16_777_216),
                "65536",
                "sessions",
                "How many sessions may wait for the recorder. More are dropped and counted; mail is \
                 never held up.",
            ),
            first(
                "waiting_rows_max",
                Kind::Number(1, 100_000_000),
                "1000000",
                "rows",
                "How many changed rows may wait in memory for a disk that takes none. More are dropped \
                 and counted.",
            ),
            first(
                "free_space_min_mib",
                Kind::Number(0, 1_048_576),
                "256",
                "MiB",
                "Recording stops, with an alarm, while less than this is left on the disk. Mail goes on.",
            ),
            first(
                "keep_days",
                Kind::Number(3, 400),
                "30",
                "days",
                "For how many days tallies are kept. Days of which a report can still be under way stay \
                 whatever is set: five days after their own.",
            ),
            first(
                "keep_failures_days",
                Kind::Number(0, 400),
                "0",
                "days",
                "For how many days failures are kept one by one, with time and addresses. Those are personal \
                 data: keep them no longer than somebody looks at them. Reports say of them at which times of \
                 the day a failure was seen, hence at least 5. 0: as long as tallies (`keep_days`), \
                 which is also the longest.",
            ),
            first(
                "keep_reports_days",
                Kind::Number(0, 10_000),
                "0",
                "days",
                "For how many days it is kept which report went where, when, and how that ended. It can be \
                 kept longer than tallies, to show later what was sent, and not shorter: by it a report is \
                 known to have been sent. 0: as long as tallies (`keep_days`).",
            ),
            first(
                "keep_audit_days",
                Kind::Number(1, 10_000),
                "400",
                "days",
                "For how many days the log of decisions is kept that `sealpost audit` shows.",
            ),
            first(
                "size_max_mib",
                Kind::Number(0, 1_048_576),
                "0",
                "MiB",
                "How much the store may hold. Beyond that, what is kept of old days goes before its time: first single failures, \
                 then tallies, then how their reports were delivered, the oldest days first; the last seven days stay whole. \
                 Once set, reports look back two days at most for since when something fails. The file is larger, \
                 about twice in trials (docs/decisions/0021-keeping.md). \
                 0: days go by their age alone.",
            ),
            first(
                "failures_per_domain_day_max",
                Kind::Number(0, 1_000_000),
                "1000",
                "failures",
                "How many failures of one domain and day are also kept one by one, with time and \
                 addresses, for `sealpost sessions --failures`. The newest are kept. Reports take from \
                 them only at which times of the day a failure was seen.",
            ),
            first(
                "cache_mib",
                Kind::Number(1, 65_536),
                "64",
                "MiB",
                "How much memory the store may use as a cache.",
            ),
        ],
    },
    reports::REPORT,
    reports::DKIM,
    reports::DELIVER,
    reports::DESTINATION,
    doors::PLUGIN_SOCKET,
    doors::SOCKETMAP,
    doors::TLSRPT_SOCKET,
    doors::POSTFIX_LOG,
    doors::PROBE,
    doors::CONTROL_SOCKET,
    page::PAGE,
    metrics::METRICS,
    alert::ALERT,
    Section {
        name: "log",
        shape: Shape::Single,
        text: "What is logged, and how. Logs go to standard error, for systemd to keep.",
        settings: &[
            first(
                "level",
                Kind::LogFilter,
                "\"info\"",
                "",
                "The least that is logged.",
            ),
            first(
                "format",
                Kind::Word(&["text", "json"]),
                "\"text\"",
                "",
                "`text`: lines for people and the journal. `json`: one JSON object a line.",
            ),
        ],
    },
    Section {
        name: "domain",
        shape: Shape::ByDomain,
        text: "What is done for one recipient domain instead of what its policy says. Subdomains are \
               domains of their own. `[domain.\"*\"]` is for every domain that has no override of its own, in the file \
               or by command; its mode can only be `audit`.",
        settings: &[
            first_without(
                "mode",
                Kind::Word(&["off", "audit", "enforce", "dane-only", "without-dane"]),
                Default::Required,
                "`off`: no policy is looked up or applied, and TLSA records are passed over; sessions are counted as \
                 under none. `audit`: policies and TLSA records are evaluated and reported, not enforced. `enforce`: a policy \
                 in mode `testing` is enforced. `dane-only`: only mail hosts with secure, usable TLSA \
                 records get mail. `without-dane`: TLSA records are passed over.",
            ),
            first_without(
                "until",
                Kind::Day,
                Default::Unset,
                "The last day this holds, UTC. Left out: until the section is taken out.",
            ),
            first_without(
                "reason",
                Kind::Text,
                Default::Value("\"\""),
                "Why: `sealpost status` and `sealpost check` show it.",
            ),
        ],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{
        Config, DestinationAction, DestinationConfig, DkimConfig, DomainOverride, OverrideMode,
    };

    /// Every leaf of a configuration by its name in the table, as TOML text.
    fn leaves(config: &Config) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let whole = toml::Table::try_from(config).unwrap();
        for (name, part) in &whole {
            let section = section(name).unwrap_or_else(|| panic!("[{name}] is not in the table"));
            let part = match section.shape {
                Shape::Single => part,
                Shape::List => part.as_array().unwrap().first().unwrap(),
                Shape::ByDomain => part.as_table().unwrap().values().next().unwrap(),
            };
            for (key, value) in part.as_table().unwrap() {
                let setting = section
                    .setting(key)
                    .unwrap_or_else(|| panic!("{name}.{key} is not in the table"));
                found.insert(section.name_of(setting), value.to_string());
            }
        }
        found
    }

    /// A configuration in which every optional part is there.
    fn everything_named() -> Config {
        Config {
            dkim: vec![DkimConfig {
                selector: "s".into(),
                key: "k".into(),
            }],
            destination: vec![DestinationConfig {
                policy_domain: String::new(),
                rua_domain: String::new(),
                action: DestinationAction::Discard,
                to: Vec::new(),
            }],
            domain: BTreeMap::from([(
                "example.org".to_owned(),
                DomainOverride {
                    mode: OverrideMode::Off,
                    until: Some("2026-12-31".into()),
                    reason: "why".into(),
                },
            )]),
            ..Config::default()
        }
    }

    #[test]
    fn the_table_and_the_types_name_the_same_settings() {
        let of_types: Vec<String> = leaves(&everything_named()).into_keys().collect();
        let mut of_table: Vec<String> = all()
            .map(|(section, setting)| section.name_of(setting))
            .collect();
        of_table.sort();
        assert_eq!(of_types, of_table);
    }

    #[test]
    fn the_table_and_the_types_have_the_same_defaults() {
        let of_types = leaves(&everything_named());
        for (section, setting) in all().filter(|(section, _)| section.shape == Shape::Single) {
            let name = section.name_of(setting);
            let Default::Value(default) = setting.default else {
                panic!("{name} has no default");
            };
            assert_eq!(of_types.get(&name).unwrap(), default, "{name}");
        }
    }

    #[test]
    fn every_default_is_a_value_of_its_kind() {
        for (section, setting) in all() {
            let Default::Value(default) = setting.default else {
                continue;
            };
            let value = toml::de::DeValue::parse(default).unwrap();
            let complaints = setting.kind.complaints(&value, std::path::Path::new("/"));
            assert_eq!(complaints, [], "{}", section.name_of(setting));
        }
    }

    #[test]
    fn names_carry_the_unit_that_the_table_gives() {
        let units = [
            ("_ms", "milliseconds"),
            ("_seconds", "seconds"),
            ("_seconds_max", "seconds"),
            ("_mib", "MiB"),
            ("_days", "days"),
            ("_bytes_max", "octets"),
        ];
        for (section, setting) in all() {
            for (end, unit) in units {
                let carries = setting.key.ends_with(end);
                assert!(
                    !carries || setting.unit == unit,
                    "{}",
                    section.name_of(setting)
                );
            }
        }
    }
}
