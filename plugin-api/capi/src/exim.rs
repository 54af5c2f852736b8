//! What Exim loads with `${dlfunc{libsealpost.so}{NAME}{ARGUMENT}…}`.
//!
//! Exim takes the type of the function on trust: `int f(uschar **yield, int argc, uschar *argv[])`.
//! It forks a process for each delivery and closes descriptors as it goes, so each call opens a
//! connection of its own and closes it, as `${readsocket}` does, and nothing is kept.
//! `include/sealpost.h` says what each function returns and why.

use std::{
    ffi::{c_int, c_uchar},
    sync::atomic::{AtomicU8, Ordering},
};

use crate::{
    abi::Level,
    answer::Answer,
    client::{ANSWER_BYTES_MAX, Client, Deadline, IfInDoubt},
    line::{Request, printable},
    panic::guard,
    pointer,
    settings::{Settings, WhenUnreachable},
};

/// Exim's code for an expansion that worked.
const OK: c_int = 0;
/// Exim's code for one that failed for now, with the yield as its message. Exim writes it to its panic log
/// as well: the postmaster is to see to it.
const DEFER: c_int = 1;
/// Exim's code for one that fails with the yield as its message, and nothing is broken here.
const FAIL: c_int = 2;
/// Exim's code for one that could not be carried out at all.
const ERROR: c_int = 3;

const DEFECT: &[u8] = b"a defect in libsealpost.so was caught";

/// The expansion, or what is broken here.
type Outcome = Result<Vec<u8>, Vec<u8>>;

/// What a function gives to Exim.
struct Given {
    code: c_int,
    text: Vec<u8>,
}

impl From<Outcome> for Given {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Ok(text) => Self { code: OK, text },
            Err(text) => Self { code: DEFER, text },
        }
    }
}

/// The domain's policy, as the daemon's line: `{DOMAIN} [{SETTINGS}]`.
///
/// # Safety
/// To be called by Exim, or as Exim does: `r#yield` is a place for a pointer, `argv` holds `argc`
/// NUL-terminated strings.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sealpost_exim_policy(
    r#yield: *mut *mut c_uchar,
    argc: c_int,
    argv: *mut *mut c_uchar,
) -> c_int {
    guard(DEFER, || {
        // SAFETY: the caller's word is passed on.
        let arguments = unsafe { pointer::arguments(argc, argv) };
        let defect = Given::from(Err(DEFECT.to_vec()));
        let given = guard(defect, || {
            policy(&arguments).unwrap_or_else(|broken| Given::from(Err(broken)))
        });
        // SAFETY: the caller's word is passed on.
        unsafe { hand_over(r#yield, given) }
    })
}

/// Why an MX host may not be connected to; empty when it may: `{DOMAIN} {MX} [{SETTINGS}]`.
///
/// # Safety
/// As for [`sealpost_exim_policy`].
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sealpost_exim_mx(
    r#yield: *mut *mut c_uchar,
    argc: c_int,
    argv: *mut *mut c_uchar,
) -> c_int {
    guard(DEFER, || {
        // SAFETY: the caller's word is passed on.
        let arguments = unsafe { pointer::arguments(argc, argv) };
        // Exim would go on after a failed expansion, so a defect is a refusal in words as well.
        let refusal = guard(DEFECT.to_vec(), || mx(&arguments));
        // SAFETY: the caller's word is passed on.
        unsafe { hand_over(r#yield, Ok(refusal).into()) }
    })
}

/// What TLS an MX host demands, as the daemon's line; a host that may not be connected to has one
/// too: `{DOMAIN} {MX} [{SETTINGS}]`.
///
/// # Safety
/// As for [`sealpost_exim_policy`].
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sealpost_exim_mx_level(
    r#yield: *mut *mut c_uchar,
    argc: c_int,
    argv: *mut *mut c_uchar,
) -> c_int {
    guard(DEFER, || {
        // SAFETY: the caller's word is passed on.
        let arguments = unsafe { pointer::arguments(argc, argv) };
        // In most places Exim goes on after a failed expansion, in the clear if need be.
        let line = guard(refusing(DEFECT), || mx_level(&arguments));
        // SAFETY: the caller's word is passed on.
        unsafe { hand_over(r#yield, Ok(line).into()) }
    })
}

/// Tells a session; empty: `{DOMAIN} {FIELDS}…`.
///
/// # Safety
/// As for [`sealpost_exim_policy`].
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn sealpost_exim_session(
    r#yield: *mut *mut c_uchar,
    argc: c_int,
    argv: *mut *mut c_uchar,
) -> c_int {
    guard(DEFER, || {
        // SAFETY: the caller's word is passed on.
        let arguments = unsafe { pointer::arguments(argc, argv) };
        let outcome = guard(Err(DEFECT.to_vec()), || session(&arguments));
        // SAFETY: the caller's word is passed on.
        unsafe { hand_over(r#yield, outcome.into()) }
    })
}

fn policy(arguments: &[&[u8]]) -> Result<Given, Vec<u8>> {
    let (domain, rest) = match arguments {
        [domain, rest @ ..] if !domain.is_empty() && rest.len() <= 1 => (*domain, rest),
        _ => return Err(b"sealpost_exim_policy wants {DOMAIN} [{SETTINGS}]".to_vec()),
    };
    let settings = settings(rest)?;
    let mut request = Request::new("POLICY", domain)
        .map_err(|_| b"sealpost_exim_policy: the domain is too long".to_vec())?;
    request.deadline(settings.deadline);
    let line = match ask_question(&settings, &request) {
        Ok(line) => line,
        Err(reason) => return Ok(in_its_place(&settings, reason).into()),
    };
    Ok(match Answer::read(&line) {
        Ok(answer) if is_to_deliver_under(answer.level) => Ok(line).into(),
        // OURS: a recipient domain's trouble is no alarm on this host (docs/decisions/0009-exim.md).
        Ok(answer) => Given {
            code: FAIL,
            text: worded(answer.reason, "Sealpost says to defer"),
        },
        Err(reason) => in_its_place(&settings, reason.into_bytes()).into(),
    })
}

/// The line that stands for the daemon's when it cannot be asked.
fn in_its_place(settings: &Settings, reason: Vec<u8>) -> Outcome {
    match settings.unreachable {
        WhenUnreachable::Defer => Err(reason),
        WhenUnreachable::May => {
            let mut line = b"may\taudit=no\treason=".to_vec();
            line.extend_from_slice(&reason);
            Ok(line)
        }
    }
}

fn mx(arguments: &[&[u8]]) -> Vec<u8> {
    let (settings, request) = match mx_question(arguments, "sealpost_exim_mx") {
        Ok(question) => question,
        Err(problem) => return problem,
    };
    let read = |line: Vec<u8>| match Answer::read(&line) {
        Ok(answer) if is_to_deliver_under(answer.level) => Ok(Vec::new()),
        Ok(answer) => Ok(worded(answer.reason, "Sealpost refuses this MX host")),
        Err(reason) => Err(reason.into_bytes()),
    };
    match ask_question(&settings, &request).and_then(read) {
        Ok(refusal) => refusal,
        Err(_) if settings.unreachable == WhenUnreachable::May => Vec::new(),
        Err(reason) => reason,
    }
}

/// The answer about an MX host, as the daemon's line, whatever it says.
fn mx_level(arguments: &[&[u8]]) -> Vec<u8> {
    let (settings, request) = match mx_question(arguments, "sealpost_exim_mx_level") {
        Ok(question) => question,
        Err(problem) => return refusing(&problem),
    };
    let read = |line: Vec<u8>| match Answer::read(&line) {
        // What this library cannot read Exim is not to read either.
        Ok(answer) if answer.level == Level::Defer => {
            Ok(refusing(&worded(answer.reason, "Sealpost says to defer")))
        }
        Ok(_) => Ok(line),
        Err(reason) => Err(reason.into_bytes()),
    };
    let answered = ask_question(&settings, &request).and_then(read);
    answered.unwrap_or_else(|reason| {
        in_its_place(&settings, reason).unwrap_or_else(|reason| refusing(&reason))
    })
}

/// The line that keeps a host from being connected to.
fn refusing(reason: &[u8]) -> Vec<u8> {
    [b"defer\taudit=no\treason=", reason].concat()
}

/// The question about an MX host: `{DOMAIN} {MX} [{SETTINGS}]`.
fn mx_question(arguments: &[&[u8]], function: &str) -> Result<(Settings, Request), Vec<u8>> {
    let (domain, mx, rest) = match arguments {
        [domain, mx, rest @ ..] if !domain.is_empty() && !mx.is_empty() && rest.len() <= 1 => {
            (*domain, *mx, rest)
        }
        _ => return Err(format!("{function} wants {{DOMAIN}} {{MX HOST}} [{{SETTINGS}}]").into()),
    };
    let settings = settings(rest)?;
    let request = Request::new("MX", domain).and_then(|mut request| {
        request.name(mx)?;
        request.deadline(settings.deadline);
        Ok(request)
    });
    match request {
        Ok(request) => Ok((settings, request)),
        Err(_) => Err(format!("{function}: a name is too long").into()),
    }
}

fn session(arguments: &[&[u8]]) -> Outcome {
    let (domain, fields) = match arguments {
        [domain, fields @ ..] if !domain.is_empty() => (*domain, fields),
        _ => return Err(b"sealpost_exim_session wants {DOMAIN} {FIELDS}...".to_vec()),
    };
    let mut settings = Settings::default();
    let mut request = Request::new("SESSION", domain)
        .map_err(|_| b"sealpost_exim_session: the domain is too long".to_vec())?;
    for field in fields {
        if let Some(text) = field.strip_prefix(b"settings=") {
            settings = Settings::read_path_or_config(text).map_err(String::into_bytes)?;
        } else if let Some((key, text)) = free_text(field) {
            request.pair(key, text);
        } else {
            request.raw_fields(field);
        }
    }
    let deadline = Deadline::after(settings.session_deadline);
    match Client::default().ask(
        &settings.socket,
        request.line(),
        deadline,
        IfInDoubt::GiveUp,
    ) {
        Ok(line) if line == b"OK" => Ok(Vec::new()),
        Ok(line) => Err(printable(&line)),
        Err(failure) => Err(printable(failure.reason(&settings.socket).as_bytes())),
    }
}

/// Fields whose value comes from a stranger's server: the whole argument is the value.
fn free_text(field: &[u8]) -> Option<(&'static str, &[u8])> {
    ["error", "reason", "helo"].into_iter().find_map(|key| {
        let value = field.strip_prefix(key.as_bytes())?.strip_prefix(b"=")?;
        Some((key, value))
    })
}

fn settings(argument: &[&[u8]]) -> Result<Settings, Vec<u8>> {
    let text = argument.first().copied().unwrap_or_default();
    Settings::read_path_or_config(text).map_err(String::into_bytes)
}

fn ask_question(settings: &Settings, request: &Request) -> Outcome {
    let deadline = Deadline::after(settings.deadline);
    Client::default()
        .ask(
            &settings.socket,
            request.line(),
            deadline,
            IfInDoubt::AskAgain,
        )
        .map_err(|failure| printable(failure.reason(&settings.socket).as_bytes()))
}

/// Is this a level under which mail may leave?
const fn is_to_deliver_under(level: Level) -> bool {
    match level {
        Level::May | Level::Encrypt | Level::Verify | Level::Dane => true,
        Level::RefuseMx | Level::Defer => false,
    }
}

/// The daemon's reason; never empty, because an empty text means the opposite.
fn worded(reason: Vec<u8>, otherwise: &str) -> Vec<u8> {
    if reason.is_empty() {
        otherwise.as_bytes().to_vec()
    } else {
        reason
    }
}

/// What `*yield` points to. Exim copies it before it expands the next thing, and has one thread; the
/// atomics are there so that another host cannot do wrong with two.
static YIELD: [AtomicU8; ANSWER_BYTES_MAX + 1] = [const { AtomicU8::new(0) }; ANSWER_BYTES_MAX + 1];

/// Gives Exim the expansion or the message.
///
/// # Safety
/// `place` is NULL or a place for one pointer.
unsafe fn hand_over(place: *mut *mut c_uchar, given: Given) -> c_int {
    if pointer::present(place).is_err() {
        return ERROR;
    }
    let Given { code, text } = given;
    // An answer is no longer than this; only a message around one could be, and is cut.
    let end = text.len().min(ANSWER_BYTES_MAX);
    for (cell, byte) in YIELD.iter().zip(text.iter().take(end).chain(&[0])) {
        // A NUL would end the text early; no answer has one.
        cell.store(*byte, Ordering::Relaxed);
    }
    // SAFETY: present, and writable by the caller's word. Exim reads through the pointer, never
    // writes.
    unsafe { pointer::put(place, YIELD.as_ptr().cast_mut().cast::<c_uchar>()) };
    code
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        ffi::{CStr, CString},
        io::{BufRead as _, BufReader, Write as _},
        os::unix::net::UnixListener,
        sync::Mutex,
    };

    type Function = unsafe extern "C" fn(*mut *mut c_uchar, c_int, *mut *mut c_uchar) -> c_int;

    /// The yield is one for the process, so its tests take turns.
    static TURN: Mutex<()> = Mutex::new(());

    /// Calls as Exim does.
    fn call(function: Function, arguments: &[&str]) -> (c_int, String) {
        let owned: Vec<CString> = arguments
            .iter()
            .map(|argument| CString::new(*argument).unwrap())
            .collect();
        let mut argv: Vec<*mut c_uchar> = owned
            .iter()
            .map(|argument| argument.as_ptr().cast_mut().cast())
            .collect();
        let mut text = std::ptr::null_mut();
        let argc = c_int::try_from(argv.len()).unwrap();
        // SAFETY: a place for a pointer, and argc live NUL-terminated strings.
        let code = unsafe { function(&raw mut text, argc, argv.as_mut_ptr()) };
        // SAFETY: the functions yield a NUL-terminated text.
        let text = unsafe { CStr::from_ptr(text.cast()) };
        (code, text.to_str().unwrap().to_owned())
    }

    /// Answers one connection with one line; gives the request.
    fn with_daemon(
        answer: &'static str,
        function: Function,
        arguments: impl Fn(&str) -> Vec<String>,
    ) -> (String, c_int, String) {
        let _turn = TURN.lock();
        let directory = std::env::temp_dir().join(format!("sealpost-exim-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("s");
        drop(std::fs::remove_file(&path));
        let listener = UnixListener::bind(&path).unwrap();
        let daemon = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            (&stream).write_all(answer.as_bytes()).unwrap();
            line
        });
        let arguments = arguments(path.to_str().unwrap());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (code, text) = call(function, &arguments);
        (daemon.join().unwrap(), code, text)
    }

    #[test]
    fn policy_yields_the_line_or_fails() {
        let check = |answer, expected: (c_int, &str)| {
            let (request, code, text) = with_daemon(answer, sealpost_exim_policy, |path| {
                vec!["example.org".to_owned(), path.to_owned()]
            });
            assert_eq!(request, "POLICY\texample.org\tdeadline-ms=19500\n");
            assert_eq!((code, &*text), expected);
        };
        let line = "verify\tpolicy=5f\tmx=a.example\taudit=no\treason=enforce";
        check(
            "verify\tpolicy=5f\tmx=a.example\taudit=no\treason=enforce\n",
            (OK, line),
        );
        check("may\taudit=no\n", (OK, "may\taudit=no"));
        check(
            "dane\ttlsa=3:1:1:zz\n",
            (
                FAIL,
                "Sealpost answered what this library does not know: dane tlsa=3:1:1:zz",
            ),
        );
        check("defer\taudit=no\treason=no DNS\n", (FAIL, "no DNS"));
        check("defer\n", (FAIL, "Sealpost says to defer"));
        check(
            "ERROR\tdomain: x\n",
            (DEFER, "Sealpost did not take the question: domain: x"),
        );
        check(
            "later\n",
            (
                FAIL,
                "Sealpost answered what this library does not know: later",
            ),
        );
    }

    #[test]
    fn mx_yields_nothing_or_the_reason_and_never_fails() {
        let check = |answer, expected: &str| {
            let (request, code, text) = with_daemon(answer, sealpost_exim_mx, |path| {
                let settings = format!("socket={path};deadline-ms=1000");
                vec![
                    "example.org".to_owned(),
                    "mx1.example.org".to_owned(),
                    settings,
                ]
            });
            assert_eq!(
                request,
                "MX\texample.org\tmx1.example.org\tdeadline-ms=750\n"
            );
            assert_eq!((code, &*text), (OK, expected));
        };
        check("verify\tmx=mx1.example.org\taudit=no\treason=enforce\n", "");
        check(
            "refuse\taudit=no\treason=not in the policy\n",
            "not in the policy",
        );
        check("refuse\n", "Sealpost refuses this MX host");
        check("defer\treason=wait\n", "wait");
        check("dane\ttlsa=3:1:1:ab\taudit=no\n", "");
    }

    #[test]
    fn mx_level_yields_a_line_whatever_happens() {
        let check = |answer, expected: &str| {
            let (request, code, text) = with_daemon(answer, sealpost_exim_mx_level, |path| {
                let mut arguments = vec!["example.org".to_owned(), "mx1.example.org".to_owned()];
                arguments.push(path.to_owned());
                arguments
            });
            let asked = "MX\texample.org\tmx1.example.org\tdeadline-ms=19500\n";
            assert_eq!(request, asked);
            assert_eq!((code, &*text), (OK, expected));
        };
        let dane =
            "dane\tpolicy=5f\ttlsa=3:1:1:ab01\tname=mx1.example.org\taudit=no\treason=signed";
        check(
            "dane\tpolicy=5f\ttlsa=3:1:1:ab01\tname=mx1.example.org\taudit=no\treason=signed\n",
            dane,
        );
        check("encrypt\taudit=no\n", "encrypt\taudit=no");
        check("refuse\treason=not listed\n", "refuse\treason=not listed");
        check("defer\n", "defer\taudit=no\treason=Sealpost says to defer");
        check(
            "later\taudit=no\n",
            "defer\taudit=no\treason=Sealpost answered what this library does not know: later audit=no",
        );
        check(
            "ERROR\tmx: x\n",
            "defer\taudit=no\treason=Sealpost did not take the question: mx: x",
        );
    }

    #[test]
    fn session_sends_its_fields_as_one_line() {
        let check = |fields: &[&str], expected: &str| {
            let (request, code, text) = with_daemon("OK\n", sealpost_exim_session, |path| {
                let mut arguments = vec!["example.org".to_owned(), format!("settings={path}")];
                arguments.extend(fields.iter().map(|field| (*field).to_owned()));
                arguments
            });
            assert_eq!(request, expected);
            assert_eq!((code, &*text), (OK, ""));
        };
        check(
            &["policy=5f\tmx=mx1.example.org", "starttls=established"],
            "SESSION\texample.org\tpolicy=5f\tmx=mx1.example.org\tstarttls=established\n",
        );
        // What a hostile server says cannot become a field, or a line.
        check(
            &["error=454 no\toutcome=success\n\\x09QUIT"],
            "SESSION\texample.org\terror=454 no\\toutcome=success\\n\\\\x09QUIT\n",
        );
        check(&["mx=a\nQUIT\r"], "SESSION\texample.org\tmx=a\\nQUIT\\r\n");
    }

    #[test]
    fn a_daemon_that_is_down_defers_the_mail_and_shows_the_loss() {
        let _turn = TURN.lock();
        let down = "cannot reach Sealpost at /nowhere/s: No such file or directory (os error 2)";
        let check = |function: Function, arguments: &[&str], expected: (c_int, &str)| {
            let (code, text) = call(function, arguments);
            assert_eq!((code, &*text), expected, "{arguments:?}");
        };
        check(
            sealpost_exim_policy,
            &["a.example", "/nowhere/s"],
            (DEFER, down),
        );
        check(
            sealpost_exim_mx,
            &["a.example", "mx", "/nowhere/s"],
            (OK, down),
        );
        check(
            sealpost_exim_session,
            &["a.example", "outcome=success", "settings=/nowhere/s"],
            (DEFER, down),
        );
        let may = "socket=/nowhere/s;unreachable=may";
        let line = format!("may\taudit=no\treason={down}");
        check(sealpost_exim_policy, &["a.example", may], (OK, &line));
        check(sealpost_exim_mx, &["a.example", "mx", may], (OK, ""));
        check(
            sealpost_exim_mx_level,
            &["a.example", "mx", may],
            (OK, &line),
        );
        let line = format!("defer\taudit=no\treason={down}");
        let defer = ["a.example", "mx", "/nowhere/s"];
        check(sealpost_exim_mx_level, &defer, (OK, &line));
    }

    #[test]
    fn wrong_arguments_are_named_and_fail_on_the_safe_side() {
        let _turn = TURN.lock();
        let check = |function: Function, arguments: &[&str], expected: (c_int, &str)| {
            let (code, text) = call(function, arguments);
            assert_eq!((code, &*text), expected, "{arguments:?}");
        };
        let policy = "sealpost_exim_policy wants {DOMAIN} [{SETTINGS}]";
        check(sealpost_exim_policy, &[], (DEFER, policy));
        check(sealpost_exim_policy, &[""], (DEFER, policy));
        check(sealpost_exim_policy, &["a", "/s", "c"], (DEFER, policy));
        check(
            sealpost_exim_policy,
            &["a", "soket=/s"],
            (
                DEFER,
                "config: `soket` is not one of socket, unreachable, deadline-ms, session-deadline-ms",
            ),
        );
        let mx = "sealpost_exim_mx wants {DOMAIN} {MX HOST} [{SETTINGS}]";
        check(sealpost_exim_mx, &["a"], (OK, mx));
        check(sealpost_exim_mx, &["a", ""], (OK, mx));
        let level =
            "defer\taudit=no\treason=sealpost_exim_mx_level wants {DOMAIN} {MX HOST} [{SETTINGS}]";
        check(sealpost_exim_mx_level, &["a"], (OK, level));
        let session = "sealpost_exim_session wants {DOMAIN} {FIELDS}...";
        check(sealpost_exim_session, &[], (DEFER, session));
        // SAFETY: NULL is answered with Exim's ERROR and nothing is touched.
        let code = unsafe { sealpost_exim_policy(std::ptr::null_mut(), 0, std::ptr::null_mut()) };
        assert_eq!(code, ERROR);
    }
}
