//! Who makes the reports.

use crate::policy::{MxHost, NameError, PolicyDomain};

use super::clean;

/// Who we are to those who get our reports. There is no way to hold one that a report could not
/// carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitter {
    organization: String,
    contact: String,
    domain: PolicyDomain,
    envelope_from: String,
    host_name: String,
}

/// The operator must act: `[sender]` says something that no report could carry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitterError {
    /// `sender.organization` is empty, too long or holds control characters.
    #[error(
        "sender.organization must be a name of 1 to {ORGANIZATION_CHARACTERS_MAX} characters \
         without control characters"
    )]
    Organization,
    /// `sender.contact` is no mailbox.
    #[error("sender.contact: {0}")]
    Contact(MailboxError),
    /// `sender.envelope_from` is no mailbox.
    #[error("sender.envelope_from: {0}")]
    EnvelopeFrom(MailboxError),
    /// `sender.host_name` is no host name.
    #[error("sender.host_name: {0}")]
    HostName(NameError),
}

/// The text is not a bare mailbox, `tls-reports@example.org`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MailboxError {
    /// There is nothing before the `@`, nothing after it, or no `@`; or a character there that no
    /// mailbox has.
    #[error("\"{0}\" is not a mailbox like tls-reports@example.org, without name and brackets")]
    Malformed(String),
    /// Its local part needs SMTPUTF8, and report mail must reach every server.
    #[error("\"{0}\" has characters before the @ that only an SMTPUTF8 server takes")]
    NeedsSmtpUtf8(String),
    /// What follows the `@` is no domain.
    #[error("{0}")]
    Domain(#[from] NameError),
}

const ORGANIZATION_CHARACTERS_MAX: usize = 200;

impl Submitter {
    /// Checks and normalises what the operator set. An empty `envelope_from` is the contact.
    /// `host_name` is the name this host calls itself in SMTP; it tells the reports of several hosts
    /// of one organization apart.
    ///
    /// # Errors
    /// When one of them is not what it must be.
    pub fn new(
        organization: &str,
        contact: &str,
        envelope_from: &str,
        host_name: &str,
    ) -> Result<Self, SubmitterError> {
        let organization = organization.trim();
        let length = organization.chars().count();
        if !(1..=ORGANIZATION_CHARACTERS_MAX).contains(&length)
            || organization.chars().any(clean::is_unfit)
        {
            return Err(SubmitterError::Organization);
        }
        let (contact, domain) = mailbox(contact).map_err(SubmitterError::Contact)?;
        let envelope_from = match envelope_from.trim() {
            "" => contact.clone(),
            given => mailbox(given).map_err(SubmitterError::EnvelopeFrom)?.0,
        };
        let host_name: MxHost = host_name.parse().map_err(SubmitterError::HostName)?;
        Ok(Self {
            organization: organization.to_owned(),
            contact,
            domain,
            envelope_from,
            host_name: host_name.to_string(),
        })
    }

    /// `organization-name` of the report.
    #[must_use]
    pub fn organization(&self) -> &str {
        &self.organization
    }

    /// `contact-info` of the report and From of its mail: a bare mailbox, its domain in A-labels.
    #[must_use]
    pub fn contact(&self) -> &str {
        &self.contact
    }

    /// The domain of the contact.
    // RFC 8460 s5.3: TLS-Report-Submitter is the domain of contact-info. The same domain signs the
    // mail (d=) and is in From, so that DMARC aligns.
    #[must_use]
    pub const fn domain(&self) -> &PolicyDomain {
        &self.domain
    }

    /// The envelope sender of report mail, where bounces go.
    #[must_use]
    pub fn envelope_from(&self) -> &str {
        &self.envelope_from
    }

    /// The name this host calls itself in SMTP.
    #[must_use]
    pub fn host_name(&self) -> &str {
        &self.host_name
    }
}

/// A bare mailbox with its domain in A-labels, and that domain.
///
/// # Errors
/// When the text is none, or one that not every server takes.
pub fn mailbox(text: &str) -> Result<(String, PolicyDomain), MailboxError> {
    let shown = || clean::for_text(text, 80);
    let (local, domain) = text
        .trim()
        .rsplit_once('@')
        .ok_or_else(|| MailboxError::Malformed(shown()))?;
    if !local.is_ascii() {
        return Err(MailboxError::NeedsSmtpUtf8(shown()));
    }
    let domain: PolicyDomain = domain.parse()?;
    let mailbox = format!("{local}@{domain}");
    // lettre checks the local part: a dot-atom of at most 64 octets.
    // OURS: a quoted local part is not taken; no mailbox for reports has one.
    if mailbox.parse::<lettre::Address>().is_err() {
        return Err(MailboxError::Malformed(shown()));
    }
    Ok((mailbox, domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f5_the_contact_is_a_bare_mailbox_on_the_signing_domain() {
        let submitter = Submitter::new(
            " Br\u{fc}cke GmbH ",
            "TLS@B\u{fc}cher.Example",
            "",
            "MTA1.b\u{fc}cher.example.",
        )
        .unwrap();
        assert_eq!(submitter.organization(), "Br\u{fc}cke GmbH");
        assert_eq!(submitter.contact(), "TLS@xn--bcher-kva.example");
        assert_eq!(submitter.domain().as_str(), "xn--bcher-kva.example");
        assert_eq!(submitter.envelope_from(), submitter.contact());
        assert_eq!(submitter.host_name(), "mta1.xn--bcher-kva.example");
    }

    #[test]
    fn a_mailbox_that_is_none_is_refused_with_its_setting_named() {
        for contact in [
            "",
            "tls",
            "@sender.example",
            "tls@",
            "TLS <tls@sender.example>",
            "a b@sender.example",
            "tls@[192.0.2.1]",
            "t\r\nBcc: x@sender.example",
            "t\u{fc}ls@sender.example",
            "\"a\r\nb\"@sender.example",
            &format!("{}@sender.example", "a".repeat(65)),
        ] {
            let error = Submitter::new("Sender", contact, "", "mta1.sender.example").unwrap_err();
            assert!(error.to_string().starts_with("sender.contact: "), "{error}");
            assert!(!error.to_string().contains(char::is_control), "{error:?}");
        }
        let refused = |organization: &str, envelope_from: &str, host_name: &str| {
            Submitter::new(organization, "tls@sender.example", envelope_from, host_name)
                .unwrap_err()
                .to_string()
        };
        assert!(refused("", "", "h.example").starts_with("sender.organization"));
        assert!(refused("a\nb", "", "h.example").starts_with("sender.organization"));
        assert!(refused("S", "<>", "h.example").starts_with("sender.envelope_from: "));
        assert!(refused("S", "", "").starts_with("sender.host_name: "));
        assert!(refused("S", "", "127.0.0.1").starts_with("sender.host_name: "));
    }
}
