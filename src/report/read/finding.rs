//! What a report breaks of RFC 8460, and where.

/// How many findings of one report are listed. A report of ten thousand details may have one in each.
const FINDINGS_MAX: usize = 50;

/// One thing that a report, or the mail that carries it, does not do as RFC 8460 asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is asked.
    pub rule: Rule,
    /// Where it is broken: a path of the JSON such as `policies[0].policy.mx-host`, or a field of the mail.
    pub place: String,
    /// What stands there instead, in words. May hold strangers' words.
    pub text: String,
}

macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident = $name:literal, $asked:literal;)*) => {
        /// What a report must or should do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $($(#[$doc])* $rule,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$(Self::$rule,)*];

            /// Its short name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$rule => $name,)*
                }
            }

            /// The section that asks for it.
            #[must_use]
            pub const fn asked_by(self) -> &'static str {
                match self {
                    $(Self::$rule => $asked,)*
                }
            }
        }
    };
}

rules! {
    /// The text is UTF-8, without a byte order mark.
    Utf8 = "utf-8", "RFC 7493 s2.1";
    /// No member stands twice in one object.
    TwiceTheMember = "twice-the-member", "RFC 7493 s2.3";
    /// A member that every report has is there.
    MissingMember = "missing-member", "RFC 8460 s4.4";
    /// A member that is there says something: not null, not the empty string.
    EmptyMember = "empty-member", "RFC 8460 s4.4";
    /// A member is of its kind: an array, a string, an integer.
    MemberKind = "member-kind", "RFC 8460 s4.4";
    /// An integer can be kept exactly by every reader: it ends at 2^53-1.
    IntegerRange = "integer-range", "RFC 7493 s2.2";
    /// A time is of the form of RFC 3339, with its zone.
    TimeForm = "time-form", "RFC 8460 s4.4";
    /// A report covers one UTC day.
    WholeDay = "whole-day", "RFC 8460 s4.1";
    /// The contact is a mailbox.
    Contact = "contact", "RFC 8460 s4.4";
    /// A policy type is one of the three.
    PolicyTypeName = "policy-type", "RFC 8460 s4.4";
    /// A domain is written in A-labels.
    DomainForm = "domain-form", "RFC 8460 s4.4";
    /// A result type is registered.
    ResultTypeName = "result-type", "RFC 8460 s4.3";
    /// An address is one.
    AddressForm = "address-form", "RFC 8460 s4.4";
    /// The counts of the details and that of the failed sessions agree.
    CountsAgree = "counts-agree", "RFC 8460 s4.4";
    /// A file name is of its form and says what the report says.
    FileName = "file-name", "RFC 8460 s5.1";
    /// The mail is a multipart/report of the report type tlsrpt.
    MailForm = "mail-form", "RFC 8460 s5.3";
    /// The report is of the media type application/tlsrpt+gzip or application/tlsrpt+json, and is what it says.
    MediaType = "media-type", "RFC 8460 s5.3";
    /// TLS-Report-Domain and TLS-Report-Submitter are there, once each, and say what the report says.
    MailField = "mail-field", "RFC 8460 s5.3";
    /// The subject is of its form and says what the report says.
    Subject = "subject", "RFC 8460 s5.3";
    /// The mail is signed by its reporter.
    Signed = "signed", "RFC 8460 s3";
    /// The key is declared for the service tlsrpt.
    KeyService = "key-service", "RFC 8460 s3";
}

/// The findings of one report, as they are made.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    further: usize,
}

impl Findings {
    pub(super) fn add(&mut self, rule: Rule, place: &str, text: impl Into<String>) {
        if self.list.len() >= FINDINGS_MAX {
            self.further += 1;
            return;
        }
        self.list.push(Finding {
            rule,
            place: place.to_owned(),
            text: text.into(),
        });
    }

    /// All of them; those beyond the most that are listed are counted in the last.
    pub(super) fn into_list(self) -> Vec<Finding> {
        let mut list = self.list;
        if let (Some(last), 1..) = (list.last_mut(), self.further) {
            last.text = format!("{} (and {} findings more)", last.text, self.further);
        }
        list
    }
}
