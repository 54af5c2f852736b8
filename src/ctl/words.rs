//! The words of replies that stand for one of several things.

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
            pub enum $name {
                $($(#[$about])* #[serde(rename = $word)] $variant,)*
            }

            impl $name {
                /// The word on the wire.
                #[must_use]
                pub const fn name(self) -> &'static str {
                    match self {
                        $(Self::$variant => $word,)*
                    }
                }
            }
        )*
    };
}

words! {
    /// The ways of an alert to an operator.
    AlertWay {
        /// `alert.mail_to`.
        Mail = "mail",
        /// `alert.webhook_url`.
        Webhook = "webhook",
        /// The log.
        Journal = "journal",
    }

    /// Whether sessions are recorded.
    StoreState {
        /// On the disk.
        Recording = "recording",
        /// In memory only: the disk takes nothing for now.
        Waiting = "waiting",
        /// In memory only, until the next start: the store could not be opened and was put aside.
        PutAside = "put-aside",
    }

    /// What came of a refresh.
    RefreshOutcome {
        /// Another policy was fetched.
        New = "new",
        /// The same policy was fetched again.
        Confirmed = "confirmed",
        /// The policy could not be had. One that was kept still holds until it expires.
        Failed = "failed",
        /// The domain announces no policy.
        NotAnnounced = "not-announced",
    }

    /// Where a delivery is on its way.
    DeliveryStateView {
        /// To be sent.
        Due = "due",
        /// An attempt is under way.
        Sending = "sending",
        /// The next hop took it.
        Sent = "sent",
        /// An attempt failed; another is due.
        Retry = "retry",
        /// No further attempt will be made.
        GivenUp = "given-up",
    }

    /// What came of sending one report.
    SendOutcome {
        /// The next hop took it now.
        Sent = "sent",
        /// It was taken before; nothing was sent.
        AlreadySent = "already-sent",
        /// The attempt failed; it is tried again on schedule.
        Failed = "failed",
        /// No further attempt will be made.
        GivenUp = "given-up",
        /// The domain wants no reports, or none that can be sent.
        NoDestination = "no-destination",
        /// The operator's settings leave it out.
        LeftOut = "left-out",
    }

    /// What came of a bounce.
    BounceOutcome {
        /// The destination is suppressed for it.
        Suppressed = "suppressed",
        /// It says nothing new of the destination.
        KnownAlready = "known-already",
        /// It names no report that was sent to that destination.
        NotBelieved = "not-believed",
    }

    /// Who suppressed a destination.
    SuppressedBy {
        /// Its refusals.
        Refusals = "refusals",
        /// The operator.
        Operator = "operator",
    }

    /// Where an override was set.
    OverrideSource {
        /// In the configuration.
        File = "file",
        /// By command.
        Command = "command",
    }

    /// What was found of something that was looked for.
    Finding {
        /// It is there and valid.
        Valid = "valid",
        /// It is not there.
        Absent = "absent",
        /// It is there and not valid.
        Invalid = "invalid",
        /// It could not be found out.
        Failed = "failed",
        /// It was not looked for.
        NotAsked = "not-asked",
    }
}

impl Default for OverrideSource {
    /// A daemon of an earlier release knows no other.
    fn default() -> Self {
        Self::File
    }
}
