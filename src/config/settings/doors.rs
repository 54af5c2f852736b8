//! The settings of the doors, and of looking at mail hosts where an MTA will not say how it went.

use super::{DAY_SECONDS, PORT, first};
use crate::config::{
    kind::Kind,
    setting::{Section, Shape},
};

/// `[plugin_socket]`
pub(super) const PLUGIN_SOCKET: Section = Section {
    name: "plugin_socket",
    shape: Shape::Single,
    text: "The door for Exim, libsealpost.so and scripts.",
    settings: &[
        first(
            "path",
            Kind::Socket,
            "\"/run/sealpost/plugin.sock\"",
            "",
            "Where the socket is.",
        ),
        first(
            "mode",
            Kind::FileMode,
            "\"0660\"",
            "",
            "Its file mode: who may connect.",
        ),
        first(
            "allow_uids",
            Kind::UserIds,
            "[]",
            "",
            "User ids that may speak on it. Empty: any that the file mode lets in.",
        ),
        first(
            "clients_max",
            Kind::Number(1, 65_536),
            "1024",
            "",
            "How many clients at once.",
        ),
        first(
            "idle_seconds",
            Kind::Number(1, DAY_SECONDS),
            "300",
            "seconds",
            "When a client that says nothing is let go.",
        ),
        first(
            "deadline_ms",
            Kind::Number(1, 600_000),
            "20000",
            "milliseconds",
            "How long a policy question may take. Past it the answer is made from what is kept.",
        ),
    ],
};

/// `[socketmap]`
pub(super) const SOCKETMAP: Section = Section {
    name: "socketmap",
    shape: Shape::Single,
    text: "The door for the policy questions of Postfix (`smtp_tls_policy_maps`) and sendmail. Map \
           name `QUERYwithTLSRPT` for Postfix 3.10 and later, `QUERY` for those before; sendmail asks \
           `sts`.",
    settings: &[
        first(
            "path",
            Kind::OptionalSocket,
            "\"/var/spool/postfix/sealpost/socketmap.sock\"",
            "",
            "Where the unix socket is: below Postfix's queue directory, where Postfix finds \
                 it in its chroot too. Its directory is made where that is missing, but not the \
                 directory above it: where Postfix has no queue directory the socket is not \
                 opened, and the log says so. Empty: there is none.",
        ),
        first(
            "mode",
            Kind::FileMode,
            "\"0660\"",
            "",
            "The unix socket's file mode: who may ask.",
        ),
        first(
            "group",
            Kind::Text,
            "\"postfix\"",
            "",
            "The group that the unix socket's file belongs to. Where there is no such group the \
             daemon's own is left, and the log says so. Empty: the daemon's own.",
        ),
        first(
            "listen",
            Kind::Addresses,
            "[]",
            "",
            "TCP addresses to listen on as well. Whoever can reach one may ask.",
        ),
        first(
            "clients_max",
            Kind::Number(1, 1_000_000),
            "16384",
            "",
            "How many clients at once, over the unix socket and all of `listen`.",
        ),
        first(
            "idle_seconds",
            Kind::Number(1, DAY_SECONDS),
            "300",
            "seconds",
            "When a client that asks nothing is let go. Postfix goes by itself after 10.",
        ),
        first(
            "deadline_ms",
            Kind::Number(1, 600_000),
            "20000",
            "milliseconds",
            "How long a policy question may take. Past it the answer is made from what is kept. \
             Postfix waits 100 seconds.",
        ),
        first(
            "dane_only",
            Kind::Word(&["auto", "always", "never"]),
            "\"auto\"",
            "",
            "Whether Postfix is answered `dane-only`: where no mail host of a domain may be used but by its TLSA \
             records, where beside an enforced policy the best one has such, and for `mode = \"dane-only\"`. Postfix \
             then needs `smtp_dns_support_level = dnssec` and a resolver that validates; without, such mail \
             waits. `auto`: where the resolvers of `/etc/resolv.conf` of this machine are on it and mark signed \
             answers; a client on another machine is not told. `always`: also such a client. `never`: policies \
             alone are told; mail to a domain with `mode = \"dane-only\"` waits, and `may` is not told either. \
             Where it is told, `may` is too: for a domain with TLSA records that the operator passes over or only audits.",
        ),
    ],
};

/// `[tlsrpt_socket]`
pub(super) const TLSRPT_SOCKET: Section = Section {
    name: "tlsrpt_socket",
    shape: Shape::Single,
    text: "The door for the outcomes that Postfix 3.10 and later tells through libtlsrpt \
           (`smtp_tlsrpt_socket_name`).",
    settings: &[
        first(
            "path",
            Kind::OptionalSocket,
            "\"/var/spool/postfix/sealpost/tlsrpt.sock\"",
            "",
            "Where the datagram socket is. Its directory is made where that is missing, but not the \
             directory above it: where Postfix has no queue directory the door stays closed, and \
             the log says so. Empty: there is none.",
        ),
        first(
            "mode",
            Kind::FileMode,
            "\"0660\"",
            "",
            "Its file mode: who may tell outcomes.",
        ),
        first(
            "group",
            Kind::Text,
            "\"postfix\"",
            "",
            "The group that its file belongs to. Where there is no such group the daemon's own is \
             left, and the log says so. Empty: the daemon's own.",
        ),
        first(
            "waiting_mib_max",
            Kind::Number(1, 4_096),
            "64",
            "MiB",
            "How much may wait in memory between the socket and the counting. What finds no room is \
             dropped, counted and said.",
        ),
    ],
};

/// `[postfix_log]`
pub(super) const POSTFIX_LOG: Section = Section {
    name: "postfix_log",
    shape: Shape::Single,
    text: "Postfix's log as a source of outcomes (docs/install/postfix.md says when it helps).",
    settings: &[
        first(
            "path",
            Kind::OptionalFile,
            "\"\"",
            "",
            "The file that Postfix's lines go to, such as /var/log/mail.log. Empty: it is not read.",
        ),
        first(
            "take",
            Kind::Word(&["silent", "all"]),
            "\"silent\"",
            "",
            "`silent`: what Postfix does not tell through libtlsrpt, for Postfix 3.10 and later. \
             `all`: every session, for Postfix before 3.10, which tells nothing otherwise.",
        ),
    ],
};

/// `[probe]`
pub(super) const PROBE: Section = Section {
    name: "probe",
    shape: Shape::Single,
    text: "Looking at mail hosts ourselves, up to the TLS handshake and without a message, where the \
           MTA will not say how its session went. Only hosts of domains that mail is going to and \
           that ask for reports.",
    settings: &[
        first("enabled", Kind::Switch, "true", "", "Look at all."),
        first(
            "interval_seconds",
            Kind::Number(60, DAY_SECONDS),
            "3600",
            "seconds",
            "How long what was found of a mail host is relied on. No host is looked at more often.",
        ),
        first(
            "timeout_seconds",
            Kind::Number(1, 300),
            "30",
            "seconds",
            "How long one look may take.",
        ),
        first(
            "concurrent_max",
            Kind::Number(1, 1_024),
            "16",
            "",
            "How many looks at once.",
        ),
        first(
            "hosts_max",
            Kind::Number(1, 100),
            "4",
            "",
            "How many mail hosts of one domain are looked at, in the order of preference. `sealpost check \
             --probe` looks at all.",
        ),
        first(
            "smtp_port",
            PORT,
            "25",
            "",
            "The port of mail hosts. Another one than 25 is for laboratories.",
        ),
        first(
            "silent_seconds",
            Kind::Number(1, DAY_SECONDS),
            "600",
            "seconds",
            "How long an MTA that asked for a policy may take to tell how its session went, before \
             the session is inferred.",
        ),
    ],
};

/// `[control_socket]`
pub(super) const CONTROL_SOCKET: Section = Section {
    name: "control_socket",
    shape: Shape::Single,
    text: "The socket that the other sealpost commands talk to the daemon through. Only root and \
           the daemon's own user may speak on it.",
    settings: &[
        first(
            "path",
            Kind::Socket,
            "\"/run/sealpost/control.sock\"",
            "",
            "Where the socket is.",
        ),
        first("mode", Kind::FileMode, "\"0600\"", "", "Its file mode."),
    ],
};
