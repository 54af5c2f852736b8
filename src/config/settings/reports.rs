//! The settings of reports: what is in them, who signs them, and how they travel.

use super::{DAY_SECONDS, PORT, first, first_without};
use crate::config::{
    kind::Kind,
    setting::{Default, Section, Shape},
};

/// `[report]`
pub(super) const REPORT: Section = Section {
    name: "report",
    shape: Shape::Single,
    text: "What is reported (RFC 8460).",
    settings: &[
        first(
            "enabled",
            Kind::Switch,
            "true",
            "",
            "Make and send reports at all.",
        ),
        first(
            "success_only",
            Kind::Switch,
            "true",
            "",
            "Send a report also when every session of the day went well.",
        ),
        first(
            "sending_ip",
            Kind::Switch,
            "true",
            "",
            "Put our own address into failure details (`sending-mta-ip`).",
        ),
        first(
            "details_max",
            Kind::Number(1, 100_000),
            "1000",
            "",
            "How many failure details one report holds. The rest is summed up in one.",
        ),
        first(
            "html",
            Kind::Switch,
            "false",
            "",
            "Put HTML beside the plain text that people read. The first part of the mail is then \
             `multipart/alternative`. Off, because a program that reads reports may expect plain \
             text there, and the text says the same.",
        ),
        first(
            "mail_bytes_max",
            Kind::Number(100_000, 100_000_000),
            "10000000",
            "octets",
            "How large the mail of one report may be. Where it would be larger, failure details are \
             summed up and the text of policies is left out until it fits; the report says so.",
        ),
        first(
            "never",
            Kind::Domains,
            "[]",
            "",
            "Recipient domains that get no report.",
        ),
    ],
};

/// `[[dkim]]`
pub(super) const DKIM: Section = Section {
    name: "dkim",
    shape: Shape::List,
    text: "How report mail is signed; one section for each selector. Receivers ignore a report \
           without a valid signature of the domain of `sender.contact` (RFC 8460 s3).",
    settings: &[
        first_without(
            "selector",
            Kind::Selector,
            Default::Required,
            "The selector. The key's record is `SELECTOR._domainkey.` and the domain of \
             `sender.contact`.",
        ),
        first_without(
            "key",
            Kind::PrivateKey,
            Default::Required,
            "The private key: PEM, RSA of at least 2048 bits or Ed25519. Only the daemon's user \
             should be able to read it.",
        ),
    ],
};

/// `[deliver]`
pub(super) const DELIVER: Section = Section {
    name: "deliver",
    shape: Shape::Single,
    text: "How and when reports travel.",
    settings: &[
        first(
            "via",
            Kind::Word(&["relay", "sendmail", "mx"]),
            "\"relay\"",
            "",
            "`relay`: hand report mail to `deliver.relay`. `sendmail`: give it to the program \
             `deliver.sendmail`, which the daemon's user must be allowed to use; docs/guide/reports.md \
             says what that needs. `mx`: bring it straight to the MX of the rua's domain, whatever TLS \
             does (RFC 8460 s3).",
        ),
        first(
            "relay",
            Kind::HostPort,
            "\"127.0.0.1:25\"",
            "",
            "The relay. It must deliver mail that says `TLS-Required: No` despite TLS failures.",
        ),
        first(
            "sendmail",
            Kind::Program,
            "\"/usr/sbin/sendmail\"",
            "",
            "The program where `deliver.via` is `sendmail`: that of Postfix, Exim, sendmail or another MTA, \
             called as `sendmail -i -oep -f SENDER -- RECIPIENT` with the mail on its standard input. What \
             holds for the relay holds for its MTA.",
        ),
        first(
            "smtp_port",
            PORT,
            "25",
            "",
            "The port of MX hosts where `deliver.via` is `mx`. Another one than 25 is for \
             laboratories.",
        ),
        first(
            "settle_seconds",
            Kind::Number(0, DAY_SECONDS),
            "1800",
            "seconds",
            "How long after midnight UTC a day is left to settle before it is reported.",
        ),
        first(
            "spread_seconds",
            Kind::Number(0, DAY_SECONDS),
            "12600",
            "seconds",
            "Over how long the reports of a day are spread from then on. RFC 8460 s4.1 suggests up \
             to four hours after midnight.",
        ),
        first(
            "timeout_seconds",
            Kind::Number(1, 3_600),
            "300",
            "seconds",
            "How long one attempt to deliver a report may take.",
        ),
        first(
            "retry_seconds",
            Kind::Number(1, DAY_SECONDS),
            "600",
            "seconds",
            "The wait after the first failed attempt. It doubles each time.",
        ),
        first(
            "give_up_seconds",
            Kind::Number(1, DAY_SECONDS),
            "86400",
            "seconds",
            "When a delivery is given up, counted from its first attempt: at most a day \
             (RFC 8460 s5.5).",
        ),
        first(
            "concurrent_max",
            Kind::Number(1, 1_024),
            "16",
            "",
            "How many reports are under way at once.",
        ),
        first(
            "per_host_max",
            Kind::Number(1, 1_024),
            "2",
            "",
            "How many reports are on their way to one destination host at once: to one mailbox domain, \
             or to one host of `https:` URIs.",
        ),
        first(
            "per_host_per_minute",
            Kind::Number(0, 1_000_000),
            "60",
            "",
            "How many attempts to one destination host begin within a minute. The others wait their \
             turn. 0: any number.",
        ),
        first(
            "per_host_per_day_max",
            Kind::Number(1, 10_000_000),
            "10000",
            "",
            "How many reports of one day one destination host gets. Domains without its consent may name \
             it in their records; what is more is left out, with an alarm.",
        ),
        first(
            "report_session_seconds",
            Kind::Number(0, DAY_SECONDS),
            "0",
            "seconds",
            "Only for an MTA that tells the sessions which bring our reports as any other, and cannot be had \
             not to: for how long after a report was handed over a session with its mailbox's domain is taken for \
             the one that brings it, and not counted. One for each report; a session with other mail may be left out \
             in its place. 0: none is left out. Without effect where `deliver.via` is `mx`.",
        ),
        first(
            "destinations",
            Kind::Word(&["mail-first", "all"]),
            "\"mail-first\"",
            "",
            "Which destinations of a record get the report. `mail-first`: every mailbox; an `https:` one \
             where there is no mailbox or all of them were given up. `all`: every one.",
        ),
        first(
            "https_ports",
            Kind::Ports,
            "[443]",
            "",
            "The ports of `https:` destinations that reports are posted to. A destination at another \
             port is left out. `[]`: any port, which lets whoever publishes a rua have us connect to \
             any service of any public host.",
        ),
        first(
            "https_unverified",
            Kind::Switch,
            "false",
            "",
            "Post a report also to a host whose certificate is not valid, as RFC 8460 s3 allows. It is \
             verified first all the same, and the log says which way the report went. Whoever sits on \
             the way could then read the report and keep it from arriving.",
        ),
        first(
            "https_allow_private_addresses",
            Kind::Switch,
            "false",
            "",
            "Allow `https:` destinations on loopback, private and link-local addresses. Whoever \
             publishes a rua could then steer requests into your own network: for laboratories.",
        ),
        first(
            "https_proxy",
            Kind::Proxy,
            "\"\"",
            "",
            "An HTTP proxy to post reports through. It is asked for a tunnel (CONNECT) to an address, not \
             to a name: names are resolved here, and addresses that are not public are refused here.",
        ),
    ],
};

/// `[[destination]]`
pub(super) const DESTINATION: Section = Section {
    name: "destination",
    shape: Shape::List,
    text: "What is done otherwise with destinations of reports that domains ask for. For each one the \
           first section that is for it holds. A domain that asks for no reports gets none by this.",
    settings: &[
        first_without(
            "policy_domain",
            Kind::NamePattern,
            Default::Value("\"\""),
            "The domains that the reports are about.",
        ),
        first_without(
            "rua_domain",
            Kind::NamePattern,
            Default::Value("\"\""),
            "The hosts that the reports go to: the domain of a mailbox, the host of an `https:` URI.",
        ),
        first_without(
            "action",
            Kind::Word(&["accept", "discard", "replace", "add"]),
            Default::Required,
            "`accept`: the destination gets the report, whatever later sections say. `discard`: it gets \
             none. `replace`: `destination.to` gets it instead. `add`: `destination.to` gets it too.",
        ),
        first_without(
            "to",
            Kind::Destinations,
            Default::Value("[]"),
            "Where the report goes by `replace` and `add`: at most 10 URIs.",
        ),
    ],
};
