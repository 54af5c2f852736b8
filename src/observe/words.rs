//! The words that metrics are told apart by. Each set is closed, and none holds a word of the network's:
//! what a recipient domain publishes can never make another series.

use sealpost_plugin_api::{Level, ResultType};

use crate::{
    net::dns::{Answer, DnsError, Lookup},
    policy::{Mode, PolicyType},
    store::DayPart,
};

/// One word of a closed set.
pub trait Word: Copy + Send + Sync + 'static {
    /// The set, in the order it is shown in.
    const ALL: &'static [Self];

    /// Its place in the set.
    fn place(self) -> usize;

    /// The word itself.
    fn word(self) -> &'static str;
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $word:literal,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum $name {
                $($(#[$each])* $variant,)*
            }

            impl Word for $name {
                const ALL: &'static [Self] = &[$(Self::$variant,)*];

                fn place(self) -> usize {
                    self as usize
                }

                fn word(self) -> &'static str {
                    match self {
                        $(Self::$variant => $word,)*
                    }
                }
            }
        )*
    };
}

words! {
    /// Where the answer to a policy question came from.
    Way {
        /// It was given without waiting for anything.
        Memory = "memory",
        /// Something had to be looked up first.
        Waited = "waited",
    }

    /// What an answer demands of the MTA.
    Demand {
        /// Opportunistic TLS.
        May = "may",
        /// TLS with whatever certificate.
        Encrypt = "encrypt",
        /// A certificate for the MX host's name.
        Verify = "verify",
        /// A certificate that matches a TLSA record.
        Dane = "dane",
        /// Not this MX host.
        Refuse = "refuse",
        /// Try again later.
        Defer = "defer",
        /// A demand of a later release.
        Other = "other",
    }

    /// What came of the fetch of a policy document.
    Fetched {
        /// A valid policy.
        Policy = "fetched",
        /// There was no document to be had.
        FetchError = "sts-policy-fetch-error",
        /// There was one, and it is not valid.
        Invalid = "sts-policy-invalid",
        /// The policy host's certificate is not valid.
        WebpkiInvalid = "sts-webpki-invalid",
    }

    /// What the DNS was asked for.
    Asked {
        /// TXT records.
        Txt = "txt",
        /// MX records.
        Mx = "mx",
        /// A and AAAA records.
        Address = "address",
        /// What a name is an alias of.
        Alias = "alias",
        /// TLSA records.
        Tlsa = "tlsa",
    }

    /// What the DNS said.
    Found {
        /// There are records.
        Records = "found",
        /// There are none, and that is an answer.
        Nothing = "nothing",
        /// The servers answer that they cannot.
        ServerFailure = "server-failure",
        /// Signatures do not hold.
        Bogus = "bogus",
        /// No answer in time.
        Timeout = "timeout",
        /// The resolver cannot be reached.
        Unreachable = "unreachable",
        /// No name that can be asked for.
        BadName = "bad-name",
    }

    /// How a session went under the policy that it was held to.
    Went {
        /// It satisfied the policy.
        Success = "success",
        /// It did not.
        Failure = "failure",
    }

    /// What came of a write to the store.
    Written {
        /// It is on the disk.
        Written = "written",
        /// The disk did not take it.
        Failed = "failed",
    }

    /// A kept policy's mode, or that it no longer holds.
    KeptMode {
        /// `enforce`.
        Enforce = "enforce",
        /// `testing`.
        Testing = "testing",
        /// `none`.
        None = "none",
        /// It has expired.
        Expired = "expired",
    }

    /// How the report of a domain to one destination stands.
    Stands {
        /// Its turn has not come.
        Waiting = "waiting",
        /// Something of ours or the resolver's stands in the way; it is tried again.
        HeldUp = "held-up",
        /// It is to be sent now.
        Due = "due",
        /// It is being sent.
        Sending = "sending",
        /// An attempt failed; it is tried again.
        Retry = "retry",
        /// The next hop took it.
        Sent = "sent",
        /// No further attempt will be made.
        GivenUp = "given-up",
    }
}

impl Word for PolicyType {
    const ALL: &'static [Self] = &Self::ALL;

    fn place(self) -> usize {
        self as usize
    }

    fn word(self) -> &'static str {
        self.name()
    }
}

impl Word for DayPart {
    const ALL: &'static [Self] = &Self::ALL;

    fn place(self) -> usize {
        self as usize
    }

    fn word(self) -> &'static str {
        self.name()
    }
}

impl Word for ResultType {
    const ALL: &'static [Self] = &Self::ALL;

    fn place(self) -> usize {
        self as usize
    }

    fn word(self) -> &'static str {
        self.name()
    }
}

impl From<&Level> for Demand {
    fn from(level: &Level) -> Self {
        match level {
            Level::May => Self::May,
            Level::Encrypt => Self::Encrypt,
            Level::Verify { .. } => Self::Verify,
            Level::Dane { .. } => Self::Dane,
            Level::RefuseMx => Self::Refuse,
            Level::Defer => Self::Defer,
            _ => Self::Other,
        }
    }
}

impl From<ResultType> for Fetched {
    fn from(result: ResultType) -> Self {
        match result {
            ResultType::StsPolicyInvalid => Self::Invalid,
            ResultType::StsWebpkiInvalid => Self::WebpkiInvalid,
            _ => Self::FetchError,
        }
    }
}

impl From<Mode> for KeptMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Enforce => Self::Enforce,
            Mode::Testing => Self::Testing,
            Mode::None => Self::None,
        }
    }
}

impl From<&DnsError> for Found {
    fn from(error: &DnsError) -> Self {
        match error {
            DnsError::Server { .. } => Self::ServerFailure,
            DnsError::Timeout { .. } => Self::Timeout,
            DnsError::Unreachable { .. } => Self::Unreachable,
            DnsError::BadName { .. } => Self::BadName,
        }
    }
}

impl Found {
    const fn records(are_none: bool) -> Self {
        if are_none {
            Self::Nothing
        } else {
            Self::Records
        }
    }
}

impl<T> From<&Result<Answer<T>, DnsError>> for Found {
    fn from(answer: &Result<Answer<T>, DnsError>) -> Self {
        match answer {
            Ok(answer) => Self::records(answer.values.is_empty()),
            Err(error) => error.into(),
        }
    }
}

impl<T> From<&Lookup<T>> for Found {
    fn from(lookup: &Lookup<T>) -> Self {
        match lookup {
            Lookup::Secure(found) | Lookup::Insecure(found) => {
                Self::records(found.values.is_empty())
            }
            Lookup::Bogus(_) => Self::Bogus,
            Lookup::Failed(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn stands_where_it_says<W: Word>() {
        for (place, word) in W::ALL.iter().enumerate() {
            assert_eq!(word.place(), place, "{}", word.word());
        }
    }

    #[test]
    fn each_word_is_found_at_its_place() {
        stands_where_it_says::<Way>();
        stands_where_it_says::<Demand>();
        stands_where_it_says::<Fetched>();
        stands_where_it_says::<Asked>();
        stands_where_it_says::<Found>();
        stands_where_it_says::<Went>();
        stands_where_it_says::<Written>();
        stands_where_it_says::<KeptMode>();
        stands_where_it_says::<Stands>();
        stands_where_it_says::<PolicyType>();
        stands_where_it_says::<DayPart>();
        stands_where_it_says::<ResultType>();
    }
}
