//! Whether receivers can verify our signatures: what the DNS publishes of a key, held against the key.

use super::{
    DkimKey, clean,
    tag_list::{TagList, base64, names},
};

/// The key is published, and receivers verify with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// What some receivers may stumble over.
    pub notes: Vec<KeyNote>,
}

/// What some receivers may stumble over in the record of a key that is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyNote {
    /// RFC 6376 s3.6.1: `t=y`. A receiver may treat the mail as unsigned.
    #[error("t=y says that the domain only tests DKIM; receivers may count our mail as unsigned")]
    Testing,
    /// RFC 8460 s3: the key should be declared for the service `tlsrpt`.
    #[error("s= names email and not tlsrpt; RFC 8460 wants both: publish s=*")]
    NotForReports,
}

/// Receivers cannot verify our signatures. The operator must act, on the DNS or on the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFault {
    /// There is no TXT record.
    #[error("there is no TXT record")]
    Missing,
    /// RFC 6376 s3.6.2.2: what receivers make of several is undefined.
    #[error("there are {0} TXT records, and only one may be")]
    Several(usize),
    /// It is no list of `tag=value`.
    #[error("the TXT record cannot be read: {0}")]
    Malformed(String),
    /// RFC 6376 s3.6.1: `p=` without a key.
    #[error("the key is revoked: p= is empty")]
    Revoked,
    /// `k=` names another algorithm.
    #[error("it is a key for {published}, and ours is for {ours}")]
    OtherAlgorithm {
        /// What is published, made safe to show.
        published: String,
        /// What our key is.
        ours: &'static str,
    },
    /// The public key of another private key.
    #[error("it publishes another key than ours")]
    OtherKey,
    /// RFC 6376 s3.6.1: a key for other services than mail.
    #[error("s={0} leaves mail out, so that verifiers of mail pass over the key: publish s=*")]
    NotForMail(String),
    /// RFC 6376 s3.6.1: `h=` without `sha256`.
    #[error("h={0} leaves out sha256, by which we sign")]
    OtherHash(String),
}

/// Reads the TXT records at `SELECTOR._domainkey.DOMAIN`, each with its character-strings joined, and
/// says whether receivers verify with this key by them.
///
/// # Errors
/// When they do not.
pub fn judge(key: &DkimKey, records: &[Vec<u8>]) -> Result<Published, KeyFault> {
    let record = match records {
        [] => return Err(KeyFault::Missing),
        [record] => tags(record)?,
        several => return Err(KeyFault::Several(several.len())),
    };
    // RFC 6376 s3.6.1: absent, k= is rsa.
    let algorithm = record.get("k").unwrap_or("rsa");
    if !algorithm.eq_ignore_ascii_case(key.kind()) {
        return Err(KeyFault::OtherAlgorithm {
            published: clean::for_text(algorithm, SHOWN_CHARACTERS_MAX),
            ours: key.kind(),
        });
    }
    let public = record
        .get("p")
        .ok_or_else(|| KeyFault::Malformed("it has no p=".to_owned()))?;
    if public.is_empty() {
        return Err(KeyFault::Revoked);
    }
    let public = base64(public).ok_or_else(|| KeyFault::Malformed("p= is no base64".to_owned()))?;
    if !key.is_public_key(&public) {
        return Err(KeyFault::OtherKey);
    }
    if let Some(hashes) = record.get("h")
        && !names(hashes, "sha256")
    {
        return Err(KeyFault::OtherHash(clean::for_text(
            hashes,
            SHOWN_CHARACTERS_MAX,
        )));
    }
    let mut notes = Vec::new();
    // RFC 6376 s3.6.1: absent, s= is *.
    let services = record.get("s").unwrap_or("*");
    if !names(services, "*") {
        if !names(services, "email") {
            return Err(KeyFault::NotForMail(clean::for_text(
                services,
                SHOWN_CHARACTERS_MAX,
            )));
        }
        if !names(services, "tlsrpt") {
            notes.push(KeyNote::NotForReports);
        }
    }
    if record.get("t").is_some_and(|flags| names(flags, "y")) {
        notes.push(KeyNote::Testing);
    }
    Ok(Published { notes })
}

/// The most that is shown of a published value.
const SHOWN_CHARACTERS_MAX: usize = 60;

/// A record that RFC 6376 s3.6.1 lets be one.
fn tags(record: &[u8]) -> Result<TagList<'_>, KeyFault> {
    let malformed = |why: String| Err(KeyFault::Malformed(why));
    let Ok(text) = std::str::from_utf8(record) else {
        return malformed("it is no text".to_owned());
    };
    let tags = TagList::read(text);
    if tags.first().is_none() {
        return malformed("it has no name=value".to_owned());
    }
    if let Some(name) = tags.repeated() {
        let name = clean::for_text(name, SHOWN_CHARACTERS_MAX);
        return malformed(format!("{name}= stands twice"));
    }
    // RFC 6376 s3.6.1: v= is the first where it is there at all.
    if tags.get("v").is_some() && tags.first() != Some(("v", "DKIM1")) {
        return malformed("v= is not the first, or not DKIM1".to_owned());
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> DkimKey {
        let pem = sealpost_kit::DkimKey::ed25519().unwrap().private_pem;
        DkimKey::from_pem("tlsrpt", &pem).unwrap()
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn f7_what_the_dns_publishes_of_a_key_is_judged_as_receivers_do() {
        let key = key();
        let right = key.public_record();
        let public = right.rsplit("p=").next().unwrap();
        let good = || Published { notes: Vec::new() };
        let noted = |note| Published { notes: vec![note] };
        let other = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
        for (record, expected) in [
            (right.clone(), Ok(good())),
            (format!("k=ed25519; p={public}"), Ok(good())),
            (format!("v=DKIM1;k=ed25519;p={public};"), Ok(good())),
            (
                format!("v=DKIM1; k=ed25519; x=new; p={}", spaced(public)),
                Ok(good()),
            ),
            (
                format!("v=DKIM1; k=ed25519; s=email:tlsrpt; h=sha1 : sha256; p={public}"),
                Ok(good()),
            ),
            (
                format!("v=DKIM1; k=ed25519; s=email; p={public}"),
                Ok(noted(KeyNote::NotForReports)),
            ),
            (
                format!("v=DKIM1; k=ed25519; t=s:y; p={public}"),
                Ok(noted(KeyNote::Testing)),
            ),
            (
                format!("v=DKIM1; k=ed25519; s=tlsrpt; p={public}"),
                Err(KeyFault::NotForMail("tlsrpt".to_owned())),
            ),
            (
                format!("v=DKIM1; k=ed25519; h=sha1; p={public}"),
                Err(KeyFault::OtherHash("sha1".to_owned())),
            ),
            (
                format!("v=DKIM1; p={public}"),
                Err(KeyFault::OtherAlgorithm {
                    published: "rsa".to_owned(),
                    ours: "ed25519",
                }),
            ),
            (
                format!("v=DKIM1; k=ed25519; p={other}"),
                Err(KeyFault::OtherKey),
            ),
            ("v=DKIM1; k=ed25519; p=".to_owned(), Err(KeyFault::Revoked)),
            (
                "v=DKIM1; k=ed25519".to_owned(),
                Err(KeyFault::Malformed("it has no p=".to_owned())),
            ),
            (
                format!("k=ed25519; v=DKIM1; p={public}"),
                Err(KeyFault::Malformed(
                    "v= is not the first, or not DKIM1".to_owned(),
                )),
            ),
            (
                format!("v=DKIM1; k=ed25519; k=rsa; p={public}"),
                Err(KeyFault::Malformed("k= stands twice".to_owned())),
            ),
            (
                "v=spf1 -all".to_owned(),
                Err(KeyFault::Malformed(
                    "v= is not the first, or not DKIM1".to_owned(),
                )),
            ),
            (
                "hello".to_owned(),
                Err(KeyFault::Malformed("it has no name=value".to_owned())),
            ),
        ] {
            assert_eq!(
                judge(&key, &[record.clone().into_bytes()]),
                expected,
                "{record}"
            );
        }
        assert_eq!(judge(&key, &[]), Err(KeyFault::Missing));
        let twice = [right.clone().into_bytes(), right.into_bytes()];
        assert_eq!(judge(&key, &twice), Err(KeyFault::Several(2)));
        assert!(matches!(
            judge(&key, &[vec![0xFF]]),
            Err(KeyFault::Malformed(_))
        ));
    }

    /// As a zone file with a break in the middle of the key gives it.
    fn spaced(public: &str) -> String {
        let (front, back) = public.split_at(10);
        format!("{front} \t{back}")
    }

    #[test]
    fn f8_an_rsa_key_is_known_by_its_own_record_and_by_the_bare_form() {
        let pem = sealpost_kit::DkimKey::rsa().unwrap();
        let key = DkimKey::from_pem("tlsrpt", &pem.private_pem).unwrap();
        assert!(judge(&key, &[key.public_record().into_bytes()]).is_ok());
        assert!(judge(&key, &[pem.txt.into_bytes()]).is_ok());
        let other = sealpost_kit::DkimKey::rsa().unwrap().txt;
        assert_eq!(judge(&key, &[other.into_bytes()]), Err(KeyFault::OtherKey));
    }
}
