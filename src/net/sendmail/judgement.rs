//! What an exit code of a `sendmail` program means for a report. Pure.
//!
//! The codes are those of sysexits.h, which sendmail has had since 4.3BSD. Programs of other MTAs use few of them and
//! not all alike (`docs/decisions/0012-destinations.md`).

use std::{fmt::Write as _, io, path::Path, time::Duration};

use super::{
    NO_NEW_PRIVILEGES,
    program::{End, Ended},
};
use crate::net::handover::{Accepted, Channel, SendError, shown};

/// `EX_DATAERR`: what was given to it is wrong.
const DATA_ERROR: i32 = 65;

/// `EX_NOUSER`: there is no such recipient.
const NO_USER: i32 = 67;

/// The names that the codes have in sysexits.h, from 64 on.
const NAMES: [&str; 15] = [
    "EX_USAGE",
    "EX_DATAERR",
    "EX_NOINPUT",
    "EX_NOUSER",
    "EX_NOHOST",
    "EX_UNAVAILABLE",
    "EX_SOFTWARE",
    "EX_OSERR",
    "EX_OSFILE",
    "EX_CANTCREAT",
    "EX_IOERR",
    "EX_TEMPFAIL",
    "EX_PROTOCOL",
    "EX_NOPERM",
    "EX_CONFIG",
];

/// What is to be known to judge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judgement<'a> {
    /// The program.
    pub(super) program: &'a Path,
    /// How long it was let run.
    pub(super) limit: Duration,
    /// Had it to do without privileges of its own?
    pub(super) no_new_privileges: bool,
}

impl Judgement<'_> {
    /// What came of a run.
    pub(super) fn of(&self, ended: &Ended) -> Result<Accepted, SendError> {
        let words = shown(&ended.words);
        let what = match ended.end {
            End::Exited(0) if ended.took_all => {
                return Ok(Accepted {
                    by: self.name(),
                    reply: if words.is_empty() {
                        "ended with 0".to_owned()
                    } else {
                        words
                    },
                    channel: Channel::Program,
                });
            }
            End::Exited(0) => "ended with 0 before it had read all of the mail".to_owned(),
            End::Exited(code) => format!("ended with {}", in_words(code)),
            End::Killed(signal) => format!("was killed by signal {signal}"),
            End::OutOfTime => format!(
                "had not ended after {} s (deliver.timeout_seconds) and was killed; it may have taken the mail",
                self.limit.as_secs()
            ),
        };
        let reason = self.reason(&what, &words);
        // OURS: final is what is about this mail or this recipient. All the rest is trouble of this machine,
        // also where a program means it for good (64, 69, 70, 77, 78): it is mended here, and the reports
        // of a whole day must not be lost by it.
        Err(match ended.end {
            End::Exited(DATA_ERROR | NO_USER) => SendError::permanent(reason),
            _ => SendError::temporary(reason),
        })
    }

    /// It could not be started.
    pub(super) fn of_no_start(&self, error: &io::Error) -> SendError {
        SendError::Unreachable {
            reason: format!(
                "{} (deliver.sendmail) cannot be started: {}",
                self.name(),
                shown(&error.to_string())
            ),
        }
    }

    fn reason(&self, what: &str, words: &str) -> String {
        let mut reason = format!("{} {what}", self.name());
        if words.is_empty() {
            reason.push_str(" and said nothing");
        } else {
            let _ = write!(reason, ": {words}");
        }
        if self.no_new_privileges {
            let _ = write!(reason, " ({NO_NEW_PRIVILEGES})");
        }
        reason
    }

    fn name(&self) -> String {
        shown(&self.program.display().to_string())
    }
}

/// A code with its name, where it has one.
fn in_words(code: i32) -> String {
    let name = code
        .checked_sub(64)
        .and_then(|from_64| usize::try_from(from_64).ok())
        .and_then(|index| NAMES.get(index));
    match name {
        Some(name) => format!("{code} ({name})"),
        None => code.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(end: End, words: &str, no_new_privileges: bool) -> Result<Accepted, SendError> {
        let judgement = Judgement {
            program: Path::new("/usr/sbin/sendmail"),
            limit: Duration::from_secs(300),
            no_new_privileges,
        };
        judgement.of(&Ended {
            end,
            took_all: true,
            words: words.to_owned(),
        })
    }

    #[test]
    fn f18_each_exit_code_is_taken_later_or_never() {
        #[derive(Debug, PartialEq)]
        enum Comes {
            Taken,
            Later,
            Never,
        }
        for (code, expected, words) in [
            (0, Comes::Taken, ""),
            (1, Comes::Later, "ended with 1:"),
            (63, Comes::Later, "ended with 63:"),
            (64, Comes::Later, "64 (EX_USAGE)"),
            (65, Comes::Never, "65 (EX_DATAERR)"),
            (66, Comes::Later, "66 (EX_NOINPUT)"),
            (67, Comes::Never, "67 (EX_NOUSER)"),
            (68, Comes::Later, "68 (EX_NOHOST)"),
            (69, Comes::Later, "69 (EX_UNAVAILABLE)"),
            (70, Comes::Later, "70 (EX_SOFTWARE)"),
            (71, Comes::Later, "71 (EX_OSERR)"),
            (72, Comes::Later, "72 (EX_OSFILE)"),
            (73, Comes::Later, "73 (EX_CANTCREAT)"),
            (74, Comes::Later, "74 (EX_IOERR)"),
            (75, Comes::Later, "75 (EX_TEMPFAIL)"),
            (76, Comes::Later, "76 (EX_PROTOCOL)"),
            (77, Comes::Later, "77 (EX_NOPERM)"),
            (78, Comes::Later, "78 (EX_CONFIG)"),
            (79, Comes::Later, "ended with 79:"),
            (-1, Comes::Later, "ended with -1:"),
        ] {
            let judged = judged(End::Exited(code), "its words", false);
            let said = judged.as_ref().err().map(ToString::to_string);
            let said = said.unwrap_or_default();
            assert!(said.contains(words), "{code}: {said}");
            let came = match judged {
                Ok(_) => Comes::Taken,
                Err(SendError::Temporary { .. }) => Comes::Later,
                Err(SendError::Permanent { code, .. }) => {
                    // With a code it would be the answer of a mail host, which may suppress.
                    assert_eq!(code, None);
                    Comes::Never
                }
                Err(SendError::Unreachable { .. }) => panic!("{code}"),
            };
            assert_eq!(came, expected, "{code}");
        }
    }

    #[test]
    fn what_an_operator_reads_says_what_where_and_what_helps() {
        let said = |end, words, privileges| judged(end, words, privileges).unwrap_err().to_string();
        assert_eq!(
            said(
                End::Exited(75),
                "sendmail: fatal:\n\u{1b}[31mqueue\u{202e}",
                false
            ),
            "/usr/sbin/sendmail ended with 75 (EX_TEMPFAIL): sendmail: fatal:  [31mqueue?"
        );
        assert_eq!(
            said(End::Killed(9), "", false),
            "/usr/sbin/sendmail was killed by signal 9 and said nothing"
        );
        let denied =
            "postdrop: warning: mail_queue_enter: create file maildrop/1: Permission denied";
        let words = said(End::OutOfTime, denied, true);
        for part in [
            "300 s",
            "may have taken",
            denied,
            "NoNewPrivileges",
            "\"relay\"",
        ] {
            assert!(words.contains(part), "{part}: {words}");
        }
        let flood = said(End::Exited(1), &"x".repeat(5_000), true);
        assert!(
            flood.len() < 700 && flood.contains("NoNewPrivileges"),
            "{flood}"
        );
    }

    #[test]
    fn what_did_not_read_the_mail_has_not_taken_it() {
        let judgement = Judgement {
            program: Path::new("/bin/true"),
            limit: Duration::from_secs(300),
            no_new_privileges: false,
        };
        let outcome = judgement.of(&Ended {
            end: End::Exited(0),
            took_all: false,
            words: String::new(),
        });
        assert!(
            matches!(outcome, Err(SendError::Temporary { .. })),
            "{outcome:?}"
        );
        let error = io::Error::from(io::ErrorKind::NotFound);
        let said = judgement.of_no_start(&error).to_string();
        assert!(
            said.starts_with("/bin/true (deliver.sendmail) cannot be started: "),
            "{said}"
        );
    }
}
