//! The settings of the web page for operators.

use super::first;
use crate::config::{
    kind::Kind,
    setting::{Section, Shape},
};

/// `[page]`
pub(super) const PAGE: Section = Section {
    name: "page",
    shape: Shape::Single,
    text: "The web page for operators: what was counted, domains, policies, reports, health. There is none \
           unless `path` or `listen` is set. `docs/guide/page.md` shows it and says how to reach it.",
    settings: &[
        first(
            "path",
            Kind::OptionalSocket,
            "\"\"",
            "",
            "Where a unix socket for it is, `/run/sealpost/page.sock` say, for a reverse proxy or for \
             `ssh -L 8462:/run/sealpost/page.sock`. Empty: there is none. Whoever may connect may do \
             everything, unless `user_header` is set.",
        ),
        first(
            "mode",
            Kind::FileMode,
            "\"0600\"",
            "",
            "The unix socket's file mode: who may connect.",
        ),
        first(
            "group",
            Kind::Text,
            "\"\"",
            "",
            "The group that the unix socket's file belongs to, the web server's say. Empty: the daemon's own.",
        ),
        first(
            "listen",
            Kind::Addresses,
            "[]",
            "",
            "TCP addresses to listen on, `[\"127.0.0.1:8462\"]` say. One has to sign in there, for every user \
             of a machine can reach its loopback: with a link that `sealpost page` prints, or with the word \
             of `token_file`. Other addresses than those of loopback need `token_file`, or `proxies` with \
             `user_header`. Sealpost speaks no TLS here: put a reverse proxy before it.",
        ),
        first(
            "token_file",
            Kind::OptionalFile,
            "\"\"",
            "",
            "A file with a word of at least 20 characters that lets one sign in, as `openssl rand -hex 20` \
             makes it. It is read at each sign-in. Empty: there is none.",
        ),
        first(
            "names",
            Kind::Domains,
            "[]",
            "",
            "Host names that browsers may come by, as a reverse proxy passes them on. `localhost` and \
             addresses always will do. A request for any other name is refused, so that no page of a \
             stranger can reach this one by a name of its own (DNS rebinding).",
        ),
        first(
            "proxies",
            Kind::HostAddresses,
            "[]",
            "",
            "Addresses of reverse proxies that are believed who somebody is.",
        ),
        first(
            "user_header",
            Kind::Text,
            "\"\"",
            "",
            "The header in which `proxies`, and whoever connects to `path`, say who somebody is: \
             `X-Remote-User` say. The proxy must set it itself or take it away. A request without it is of \
             nobody. Empty: nobody is believed.",
        ),
    ],
};
