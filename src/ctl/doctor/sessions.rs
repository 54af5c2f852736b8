//! What the MTAs say: do they ask, do they tell how it went, and is anything lost on the way?

use std::collections::BTreeMap;

use super::{
    finding::{Examined, Trap, traps},
    scene::{Answer, Scene},
};

traps! {
    NOBODY_ASKS = "sessions-nobody-asks", Warning,
        "In more than a day no MTA has asked what TLS a domain demands. Either no mail leaves this host, or its MTA \
         goes past Sealpost.",
        "Send a message to a domain outside and look again; the examinations `postfix` and `exim` say what keeps an \
         MTA from asking.";
    NOT_TOLD = "sessions-not-told", Trouble,
        "MTAs ask, and nobody tells how the sessions went: reports hold nothing but what could be inferred. The door \
         for outcomes is closed, or the MTA is not set to tell.",
        "The examinations `postfix`, `exim` and `sockets` say what is missing.";
    LOST = "sessions-lost", Trouble,
        "Sessions were told and not counted, for want of room in a queue: the numbers of the reports are too small.",
        "Look at the load of the machine and at its disk; raise store.queue_sessions_max or \
         tlsrpt_socket.waiting_mib_max.";
    NOT_UNDERSTOOD = "sessions-not-understood", Warning,
        "Something speaks to a socket of ours in a way that is not understood, and what it says is not counted: \
         another version of the MTA or its library, or a program that has no business there.",
        "Look into the daemon's log for the first of each kind, and see who speaks there.";
    TURNED_AWAY = "sessions-clients-refused", Warning,
        "Clients were turned away: too many came at once, or they are not of a user that may speak. Their mail waits.",
        "Raise plugin_socket.clients_max or socketmap.clients_max, or name the user in plugin_socket.allow_uids; the \
         daemon's log says which.";
    UNANSWERED = "sessions-unanswered", Warning,
        "Many questions could not be answered, and that mail waits (policy.when_unknown, `TEMP` to Postfix): lookups \
         or policy fetches fail on this host more than they do elsewhere.",
        "`sealpost check DOMAIN` says why for one domain; the examination `resolver` looks at what they have in common.";
    REPORTS_STUCK = "reports-stuck", Trouble,
        "Attempts to send reports fail and none was taken: the way out is closed, and reports are given up after a \
         day.",
        "`sealpost report list` has the words of the next hop; the examination `way-out` tries it.";
}

/// So many questions say something of a habit.
const QUESTIONS_MIN: u64 = 20;

/// After so long an MTA that tells has told: Postfix's log and datagrams come at once.
const HOUR_SECONDS: i64 = 3_600;

/// After so long somebody has sent mail.
const DAY_SECONDS: i64 = 86_400;

/// Counters that ought to stand at nothing, and what it is when they do not.
const COUNTED_AS: &[(Trap, &[&str])] = &[
    (
        LOST,
        &[
            "sessions_dropped",
            "sessions_dropped_disk",
            "datagrams_dropped",
        ],
    ),
    (
        NOT_UNDERSTOOD,
        &[
            "plugin_lines_malformed",
            "socketmap_malformed",
            "datagrams_malformed",
            "datagrams_other_version",
            "postfix_log_lines_too_long",
        ],
    ),
    (
        TURNED_AWAY,
        &["plugin_clients_refused", "socketmap_clients_refused"],
    ),
];

/// What was seen.
#[derive(Clone, Debug)]
pub(super) enum Facts {
    /// The counters of the daemon, and since how many seconds they run.
    Counted {
        counters: BTreeMap<String, u64>,
        up_seconds: i64,
    },
    /// There are none, for this reason.
    NotSeen(String),
}

pub(super) fn judge(facts: &Facts) -> Examined {
    let (counters, up_seconds) = match facts {
        Facts::Counted {
            counters,
            up_seconds,
        } => (counters, *up_seconds),
        Facts::NotSeen(why) => return Examined::not_seen(why.clone()),
    };
    let mut examined = Examined::default();
    let count = |name: &str| counters.get(name).copied().unwrap_or(0);
    let sum = |names: &[&str]| names.iter().map(|name| count(name)).sum::<u64>();
    let named = |names: &[&str]| {
        let there = names.iter().filter(|name| count(name) > 0);
        let words: Vec<String> = there
            .map(|name| format!("{name} {}", count(name)))
            .collect();
        words.join(", ")
    };
    let asked = count("policy_queries");
    let told = sum(&["sessions", "datagrams", "postfix_log_lines"]);
    if asked == 0 && up_seconds >= DAY_SECONDS {
        let seen = format!(
            "no question in the {} h since the start",
            up_seconds / HOUR_SECONDS
        );
        examined.found(NOBODY_ASKS, seen);
    } else if asked >= QUESTIONS_MIN && told == 0 && up_seconds >= HOUR_SECONDS {
        let seen = format!("{asked} questions since the start, and not one session");
        examined.found(NOT_TOLD, seen);
    } else {
        examined.well(format!(
            "{asked} questions, {} sessions told",
            count("sessions")
        ));
    }
    for (trap, names) in COUNTED_AS {
        if sum(names) > 0 {
            examined.found(*trap, named(names));
        }
    }
    // One in ten is more than broken domains make.
    let unanswered = count("policy_queries_unanswerable");
    if unanswered >= QUESTIONS_MIN && unanswered.saturating_mul(10) > asked {
        examined.found(UNANSWERED, format!("{unanswered} of {asked} questions"));
    }
    let failed = sum(&["report_attempts_failed", "reports_given_up"]);
    if failed > 0 && count("reports_sent") == 0 {
        let seen = named(&["report_attempts_failed", "reports_given_up"]);
        examined.found(REPORTS_STUCK, format!("{seen}, reports_sent 0"));
    }
    examined
}

pub(super) async fn examine(scene: &Scene) -> Examined {
    let status = match &scene.daemon().await.answer {
        Answer::Running(status) => status,
        Answer::NotRunning(_) => {
            return judge(&Facts::NotSeen("the daemon does not run".to_owned()));
        }
        Answer::NotPermitted(why) | Answer::Silent(why) => {
            return judge(&Facts::NotSeen(why.clone()));
        }
    };
    let moment = |text: &str| {
        text.parse::<jiff::Timestamp>()
            .ok()
            .map(jiff::Timestamp::as_second)
    };
    let up_seconds = match (moment(&status.started_at), moment(&status.now)) {
        (Some(started), Some(now)) => now.saturating_sub(started),
        _ => 0,
    };
    let counters = status.counters.iter();
    judge(&Facts::Counted {
        counters: counters
            .map(|counter| (counter.name.clone(), counter.value))
            .collect(),
        up_seconds,
    })
}
