//! The table of functions that a C host gets.

use std::{ffi::c_void, time::Duration};

use crate::{
    abi::{ABI_MAJOR, ABI_MINOR, Api, Code, Host, PolicyView, Query, Session, Str, Tlsa},
    answer::Answer,
    client::{Client, Deadline, IfInDoubt},
    line::Request,
    panic::guard,
    pointer,
    session_line::SessionFields,
    settings::Settings,
    verify::verify,
};

/// `sealpost_plugin_entry_v1`: the functions, or NULL for a major version that is not this one.
///
/// The minor version of the host is taken note of by nobody: a newer host reads `abi_minor` and
/// `struct_size` of the table, an older one does not know what was added.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn sealpost_plugin_entry_v1(
    host_abi_major: u32,
    _host_abi_minor: u32,
) -> *const c_void {
    if host_abi_major == ABI_MAJOR {
        (&raw const API).cast()
    } else {
        std::ptr::null()
    }
}

static API: Api = Api {
    struct_size: size_of_32::<Api>(),
    abi_major: ABI_MAJOR,
    abi_minor: ABI_MINOR,
    reserved: 0,
    open,
    policy,
    policy_free,
    session,
    forked,
    close,
    verify,
};

#[expect(
    clippy::cast_possible_truncation,
    reason = "structures of a few hundred bytes, and const code cannot use try_from"
)]
const fn size_of_32<T>() -> u32 {
    size_of::<T>() as u32
}

/// `sealpost_plugin`.
#[derive(Debug)]
pub(crate) struct Plugin {
    pub(crate) settings: Settings,
    pub(crate) client: Client,
}

/// `sealpost_policy`: the answer and what its view points to.
#[derive(Debug)]
struct Held {
    answer: Answer,
    mx_patterns: Vec<Str>,
    tlsa: Vec<Tlsa>,
    names: Vec<Str>,
}

/// Makes a plugin.
///
/// # Safety
/// As `sealpost.h` asks: each pointer is NULL or to what its type says.
unsafe extern "C" fn open(host: *const Host, plugin: *mut *mut c_void) -> i32 {
    guard(Code::Internal, || {
        // SAFETY: NULL or a structure as long as it says, by the header.
        let host = match unsafe { pointer::read(host) } {
            Ok(host) => host,
            Err(code) => return code,
        };
        let explain = |code, text: &str| {
            // SAFETY: NULL or a buffer of error_size bytes, by the header.
            unsafe { pointer::put_text(host.error, host.error_size, text) };
            code
        };
        if host.abi_major != ABI_MAJOR {
            return explain(Code::Version, "abi_major: this library speaks version 1");
        }
        if let Err(code) = pointer::present(plugin) {
            return explain(code, "plugin: NULL or not aligned");
        }
        // SAFETY: {NULL, 0} or lent bytes, by the header.
        let config = match unsafe { pointer::bytes(host.config) } {
            Ok(config) => config,
            Err(code) => return explain(code, "config: NULL with a length, or too long"),
        };
        let settings = match Settings::read(config) {
            Ok(settings) => settings,
            Err(problem) => return explain(Code::Config, &problem),
        };
        let made = Box::new(Plugin {
            settings,
            client: Client::default(),
        });
        // SAFETY: `plugin` is present, and by the header a place for one pointer.
        unsafe { pointer::put(plugin, pointer::give(made).cast()) };
        Code::Ok
    }) as i32
}

/// Asks what TLS is demanded.
///
/// # Safety
/// As `sealpost.h` asks: each pointer is NULL or to what its type says, and `plugin` is open.
unsafe extern "C" fn policy(
    plugin: *mut c_void,
    query: *const Query,
    policy: *mut *mut c_void,
    view: *mut PolicyView,
) -> i32 {
    guard(Code::Internal, || {
        // SAFETY: the caller's word is passed on.
        match unsafe { policy_checked(plugin.cast(), query, policy, view) } {
            Ok(()) => Code::Ok,
            Err(code) => code,
        }
    }) as i32
}

/// [`policy`], which see. Everything is looked at before anything is asked or written.
///
/// # Safety
/// That of [`policy`].
unsafe fn policy_checked(
    plugin: *const Plugin,
    query: *const Query,
    policy: *mut *mut c_void,
    view: *mut PolicyView,
) -> Result<(), Code> {
    // SAFETY: NULL or an open plugin, by the header.
    let plugin = unsafe { pointer::lent(plugin) }?;
    // SAFETY: NULL or a structure as long as it says, by the header.
    let query = unsafe { pointer::read(query) }?;
    pointer::present(policy)?;
    // SAFETY: NULL or a structure as long as it says, by the header.
    let struct_size = unsafe { pointer::read(view) }?.struct_size;
    // SAFETY: {NULL, 0} or lent bytes, by the header.
    let domain = unsafe { pointer::bytes(query.domain) }?;
    // SAFETY: {NULL, 0} or lent bytes, by the header.
    let mx = unsafe { pointer::bytes(query.mx) }?;

    let held = Box::new(hold(plugin.ask(
        domain,
        mx,
        query.port,
        query.deadline_ms,
    )?));
    let answer = &held.answer;
    let filled = PolicyView {
        struct_size,
        level: answer.level as u32,
        audit: u32::from(answer.audit),
        answered_by: answer.answered_by as u32,
        mx_patterns: lend_list(&held.mx_patterns),
        mx_pattern_count: held.mx_patterns.len(),
        tlsa: lend_list(&held.tlsa),
        tlsa_count: held.tlsa.len(),
        name: Str::lend(&answer.name),
        policy: Str::lend(&answer.policy),
        reason: Str::lend(&answer.reason),
        names: lend_list(&held.names),
        name_count: held.names.len(),
    };
    // SAFETY: `view` was read above, so it is there and as long as it says; the host lets us write it.
    unsafe { pointer::put_sized(view, &filled, struct_size) };
    // SAFETY: `policy` is present, and by the header a place for one pointer.
    unsafe { pointer::put(policy, pointer::give(held).cast()) };
    Ok(())
}

impl Plugin {
    /// The time that a call may take; 0 means what the config grants, which is also the most.
    pub(crate) fn deadline(&self, asked_ms: u32) -> Duration {
        match asked_ms {
            0 => self.settings.deadline,
            asked => Duration::from_millis(asked.into()).min(self.settings.deadline),
        }
    }

    fn ask(&self, domain: &[u8], mx: &[u8], port: u32, deadline_ms: u32) -> Result<Answer, Code> {
        let deadline = self.deadline(deadline_ms);
        let (mut request, if_in_doubt) = if mx.is_empty() {
            (Request::new("POLICY", domain)?, IfInDoubt::AskAgain)
        } else {
            let mut request = Request::new("MX", domain)?;
            request.name(mx)?;
            (request, IfInDoubt::GiveUp)
        };
        request.port(port)?;
        request.deadline(deadline);
        let answered = self
            .client
            .ask(
                &self.settings.socket,
                request.line(),
                Deadline::after(deadline),
                if_in_doubt,
            )
            .map_err(|failure| failure.reason(&self.settings.socket))
            .and_then(|line| Answer::read(&line));
        Ok(answered
            .unwrap_or_else(|reason| Answer::unreachable(self.settings.unreachable, &reason)))
    }

    fn tell(&self, fields: &SessionFields<'_>) -> Code {
        let request = match fields.request() {
            Ok(request) => request,
            Err(code) => return code,
        };
        let answered = self.client.ask(
            &self.settings.socket,
            request.line(),
            Deadline::after(self.settings.session_deadline),
            IfInDoubt::GiveUp,
        );
        match answered {
            Ok(line) if line == b"OK" => Code::Ok,
            // It was refused as a client, not for what it said.
            Ok(line) if line.starts_with(b"ERROR\tclient:") => Code::Unsent,
            Ok(_) => Code::Argument,
            Err(_) => Code::Unsent,
        }
    }
}

/// An answer with the arrays of borrowed strings that its view points to.
fn hold(answer: Answer) -> Held {
    Held {
        mx_patterns: answer
            .mx_patterns
            .iter()
            .map(|pattern| Str::lend(pattern))
            .collect(),
        tlsa: answer
            .tlsa
            .iter()
            .map(|record| Tlsa {
                usage: record.usage,
                selector: record.selector,
                matching: record.matching,
                reserved: 0,
                data: Str::lend(&record.data),
            })
            .collect(),
        names: answer.names.iter().map(|name| Str::lend(name)).collect(),
        answer,
    }
}

fn lend_list<T>(list: &[T]) -> *const T {
    if list.is_empty() {
        std::ptr::null()
    } else {
        list.as_ptr()
    }
}

/// Releases an answer.
///
/// # Safety
/// `policy` is NULL, or came from [`policy`] and was not released before.
unsafe extern "C" fn policy_free(_plugin: *mut c_void, policy: *mut c_void) {
    guard((), || {
        // SAFETY: the caller's word; `policy` gave out a `Held`.
        drop(unsafe { pointer::take(policy.cast::<Held>()) });
    });
}

/// Tells how one session went.
///
/// # Safety
/// As `sealpost.h` asks: each pointer is NULL or to what its type says, and `plugin` is open.
unsafe extern "C" fn session(plugin: *mut c_void, session: *const Session) -> i32 {
    guard(Code::Internal, || {
        // SAFETY: NULL or an open plugin, by the header.
        let plugin = match unsafe { pointer::lent(plugin.cast::<Plugin>()) } {
            Ok(plugin) => plugin,
            Err(code) => return code,
        };
        // SAFETY: the caller's word is passed on.
        match unsafe { session_fields(session) } {
            Ok(fields) => plugin.tell(&fields),
            Err(code) => code,
        }
    }) as i32
}

/// Looks at a host's session.
///
/// # Safety
/// `session` is NULL or a structure as `sealpost.h` has it, whose strings live during `'a`.
unsafe fn session_fields<'a>(session: *const Session) -> Result<SessionFields<'a>, Code> {
    // SAFETY: NULL or a structure as long as it says, by the header.
    let session = unsafe { pointer::read(session) }?;
    let lent = |text| {
        // SAFETY: {NULL, 0} or lent bytes, by the header.
        unsafe { pointer::bytes(text) }
    };
    Ok(SessionFields {
        outcome: session.outcome,
        result: session.result,
        starttls: session.starttls,
        verification: session.verification,
        at_unix_seconds: session.at_unix_seconds,
        domain: lent(session.domain)?,
        policy: lent(session.policy)?,
        mx: lent(session.mx)?,
        mx_helo: lent(session.mx_helo)?,
        receiving_ip: lent(session.receiving_ip)?,
        sending_ip: lent(session.sending_ip)?,
        text: lent(session.text)?,
        leaf_der: lent(session.leaf_der)?,
        // SAFETY: NULL or as many strings as it says, by the header.
        chain_der: unsafe { pointer::list(session.chain_der, session.chain_count) }?,
        dane: session.dane,
    })
}

/// Lets go of the connection of the process this one was forked from.
///
/// # Safety
/// `plugin` is NULL or open.
unsafe extern "C" fn forked(plugin: *mut c_void) -> i32 {
    guard(Code::Internal, || {
        // SAFETY: NULL or an open plugin, by the header.
        match unsafe { pointer::lent(plugin.cast::<Plugin>()) } {
            Ok(plugin) => {
                plugin.client.forget();
                Code::Ok
            }
            Err(code) => code,
        }
    }) as i32
}

/// Ends it all.
///
/// # Safety
/// `plugin` is NULL, or open and in no call; it is used no more.
unsafe extern "C" fn close(plugin: *mut c_void) {
    guard((), || {
        // SAFETY: the caller's word; `open` gave out a `Plugin`.
        drop(unsafe { pointer::take(plugin.cast::<Plugin>()) });
    });
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        os::unix::net::{UnixListener, UnixStream},
    };

    use super::*;

    #[test]
    fn only_a_question_about_a_domain_is_asked_again_when_in_doubt() {
        let path = std::env::temp_dir().join(format!("sealpost-entry-{}", std::process::id()));
        for (mx, asked) in [("", 3), ("mx1.example.org", 2)] {
            drop(std::fs::remove_file(&path));
            let listener = UnixListener::bind(&path).unwrap();
            let config = format!("socket={};deadline-ms=10000", path.display());
            let plugin = Plugin {
                settings: Settings::read(config.as_bytes()).unwrap(),
                client: Client::default(),
            };
            // Answers the first line, reads the second and dies; a third is on a new connection.
            let daemon = std::thread::spawn(move || {
                let mut line = String::new();
                let (stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(&stream);
                lines.read_line(&mut line).unwrap();
                (&stream).write_all(b"may\taudit=no\treason=a\n").unwrap();
                lines.read_line(&mut line).unwrap();
                drop(stream);
                let (stream, _) = listener.accept().unwrap();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                line.lines().filter(|line| *line != "PING").count()
            });
            assert!(plugin.ask(b"example.org", b"", 0, 0).is_ok());
            assert!(plugin.ask(b"example.org", mx.as_bytes(), 0, 0).is_ok());
            // Where nothing was asked again, the daemon still waits for its last connection.
            if let Ok(mut end) = UnixStream::connect(&path) {
                let _heard = end.write_all(b"PING\n").is_ok();
            }
            assert_eq!(daemon.join().unwrap(), asked, "{mx}");
        }
        drop(std::fs::remove_file(&path));
    }
}
