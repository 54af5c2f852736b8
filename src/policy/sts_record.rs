//! The TXT record `_mta-sts` (RFC 8461 s3.1): does a domain announce a policy, and which `id` does
//! it have now? The record holds no policy; its `id` only says when to fetch anew.

use super::txt_fields::{FieldError, Ours, check_extension, fields};

/// A valid record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StsRecord {
    /// `id`: 1 to 32 letters and digits, compared octet for octet, without any order (B4).
    pub id: String,
}

/// What the TXT records at `_mta-sts` come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StsDiscovery {
    /// No record there is an MTA-STS one.
    Absent,
    /// There is one, or more than one, and it counts as none. A kept policy stays in force.
    Invalid(StsRecordError),
    /// The domain announces a policy.
    Found(StsRecord),
}

/// Why what is published announces nothing. The domain's operator must act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StsRecordError {
    /// RFC 8461 s3.1: there must be exactly one.
    #[error("there are {0} records that begin v=STSv1, and only one may be")]
    SeveralRecords(usize),
    /// Not a list of fields.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The record has no `id`.
    #[error("it has no id")]
    IdMissing,
    /// The `id` is not 1 to 32 letters and digits.
    #[error("its id is not 1 to 32 letters and digits")]
    IdInvalid,
}

const VERSION: &str = "v=STSv1";

impl StsDiscovery {
    /// Reads the TXT records of `_mta-sts.<domain>`, each with its character-strings joined.
    #[must_use]
    pub fn read(records: &[Vec<u8>]) -> Self {
        match Ours::of(records, VERSION) {
            Ours::Absent => Self::Absent,
            Ours::Several(number) => Self::Invalid(StsRecordError::SeveralRecords(number)),
            Ours::One(rest) => StsRecord::read(rest).map_or_else(Self::Invalid, Self::Found),
        }
    }
}

impl StsRecord {
    fn read(rest: &[u8]) -> Result<Self, StsRecordError> {
        let mut id = None;
        for (name, value) in fields(rest)? {
            match (name, id) {
                ("id", None) => id = Some(value),
                // RFC 8461 s3.1: of fields with the same name the first counts, the rest is ignored.
                ("id", Some(_)) => {}
                (_, _) => check_extension(name, value)?,
            }
        }
        let id = id.ok_or(StsRecordError::IdMissing)?;
        if !(1..=32).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(StsRecordError::IdInvalid);
        }
        Ok(Self { id: id.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(records: &[&str]) -> StsDiscovery {
        let records: Vec<_> = records
            .iter()
            .map(|record| record.as_bytes().to_vec())
            .collect();
        StsDiscovery::read(&records)
    }

    fn found(id: &str) -> StsDiscovery {
        StsDiscovery::Found(StsRecord { id: id.to_owned() })
    }

    #[test]
    fn b1_exactly_one_record_announces_a_policy() {
        let several = |number| StsDiscovery::Invalid(StsRecordError::SeveralRecords(number));
        for (records, expected) in [
            (&[][..], StsDiscovery::Absent),
            (&["v=spf1 -all", "google-site=x"], StsDiscovery::Absent),
            (&["v=STSv1", "v=STSv10; id=1"], StsDiscovery::Absent),
            (&["V=STSv1; id=1"], StsDiscovery::Absent),
            (&[" v=STSv1; id=1"], StsDiscovery::Absent),
            (&["v=spf1 -all", "v=STSv1; id=1"], found("1")),
            (&["v=STSv1; id=1", "v=STSv1; id=1"], several(2)),
            (&["v=STSv1; id=1", "v=STSv1;", "v=STSv1;x"], several(3)),
        ] {
            assert_eq!(read(records), expected, "{records:?}");
        }
    }

    #[test]
    fn b2_b3_valid_records() {
        for (record, id) in [
            ("v=STSv1; id=20160831085700Z;", "20160831085700Z"),
            ("v=STSv1;id=1", "1"),
            ("v=STSv1 ;\tid=1 ; ", "1"),
            ("v=STSv1; id=20240906T1730;", "20240906T1730"),
            ("v=STSv1; foo=bar; id=a", "a"),
            ("v=STSv1; id=a; x-y_z.9=!$%:<>~", "a"),
            ("v=STSv1; id=first; id=second", "first"),
            ("v=STSv1; id=first; id=not-valid", "first"),
            (
                "v=STSv1; id=12345678901234567890123456789012",
                "12345678901234567890123456789012",
            ),
        ] {
            assert_eq!(read(&[record]), found(id), "{record}");
        }
    }

    #[test]
    fn b3_invalid_records() {
        let field = |text: &str| StsRecordError::Field(FieldError::NotAField(text.to_owned()));
        for (record, expected) in [
            ("v=STSv1;", StsRecordError::IdMissing),
            ("v=STSv1; ID=1", StsRecordError::IdMissing),
            ("v=STSv1; id=", StsRecordError::IdInvalid),
            ("v=STSv1; id=2026-01", StsRecordError::IdInvalid),
            ("v=STSv1; id= 1", StsRecordError::IdInvalid),
            (
                "v=STSv1; id=123456789012345678901234567890123",
                StsRecordError::IdInvalid,
            ),
            ("v=STSv1; id=a;;", field("")),
            ("v=STSv1; id=a; foo", field("foo")),
            ("v=STSv1; id=a; foo=", field("foo=")),
            ("v=STSv1; id=a; foo=b c", field("foo=b c")),
            ("v=STSv1; id=a; -x=b", field("-x=b")),
            (
                "v=STSv1; id=a; ü=b",
                StsRecordError::Field(FieldError::NotAscii),
            ),
            (
                "v=STSv1; id=a\r\n",
                StsRecordError::Field(FieldError::NotAscii),
            ),
            (
                "v=STSv1; id=a\0",
                StsRecordError::Field(FieldError::NotAscii),
            ),
        ] {
            assert_eq!(read(&[record]), StsDiscovery::Invalid(expected), "{record}");
        }
        assert_eq!(
            StsDiscovery::read(&[b"v=STSv1; id=\xff".to_vec()]),
            StsDiscovery::Invalid(StsRecordError::Field(FieldError::NotAscii))
        );
    }

    #[test]
    fn g3_no_record_makes_a_panic_or_an_id_out_of_bounds() {
        let samples: [&[u8]; 3] = [
            b"v=STSv1; id=20160831085700Z;",
            b"v=STSv1;a=b; id=1;c_d.e-f=\xc3\xbc ;",
            b"v=spf1 -all",
        ];
        for text in sealpost_kit::mutations(3, &samples) {
            match StsDiscovery::read(&[text]) {
                StsDiscovery::Found(record) => assert!(
                    (1..=32).contains(&record.id.len())
                        && record.id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
                    "{record:?}"
                ),
                StsDiscovery::Invalid(error) => {
                    assert!(!error.to_string().contains(char::is_control), "{error:?}");
                }
                StsDiscovery::Absent => {}
            }
        }
    }
}
