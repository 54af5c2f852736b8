//! The settings of the metrics.

use super::first;
use crate::config::{
    kind::Kind,
    setting::{Section, Shape},
};

/// `[metrics]`
pub(super) const METRICS: Section = Section {
    name: "metrics",
    shape: Shape::Single,
    text: "The numbers that Prometheus reads, at `GET /metrics`. They are served nowhere unless `listen` or \
           `path` is set; `sealpost status --metrics` prints them in any case. No recipient domain is named \
           in them. `docs/metrics.md` lists them.",
    settings: &[
        first(
            "listen",
            Kind::Addresses,
            "[]",
            "",
            "TCP addresses to listen on, `[\"127.0.0.1:8463\"]` say. Whoever can reach them can read the \
             numbers, and do nothing else.",
        ),
        first(
            "path",
            Kind::OptionalSocket,
            "\"\"",
            "",
            "Where a unix socket for it is, for an agent or a reverse proxy that can read from one. Empty: \
             there is none.",
        ),
        first(
            "mode",
            Kind::FileMode,
            "\"0660\"",
            "",
            "The unix socket's file mode: who may connect.",
        ),
        first(
            "group",
            Kind::Text,
            "\"\"",
            "",
            "The group that the unix socket's file belongs to. Empty: the daemon's own.",
        ),
    ],
};
