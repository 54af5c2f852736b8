//! `libsealpost.so`, loaded at run time: the seam between this MTA and Sealpost.

use std::{
    ffi::{CStr, c_char},
    net::IpAddr,
    path::Path,
    ptr,
};

use crate::abi;

/// The longest reason that `open` or `verify` can give.
const ERROR_BYTES: usize = 512;

/// The library, opened for one daemon.
pub(crate) struct Library {
    api: &'static abi::Api,
    plugin: *mut abi::Plugin,
    /// Keeps the code in memory; dropped last.
    _code: libloading::Library,
}

// SAFETY: by the header a plugin may be used from several threads at once; the table is constant.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

/// What must be done for a domain or one of its mail hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Requirement {
    pub(crate) level: Level,
    /// Why, for the log.
    pub(crate) reason: String,
    /// Which exact policy this was made from, to be handed back.
    pub(crate) policy: String,
    /// The name for SNI and the certificate.
    pub(crate) name: Option<String>,
}

/// How much TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    May,
    Encrypt,
    Verify,
    Dane,
    RefuseMx,
    Defer,
    /// One that came after this host was written.
    Unknown,
}

/// What was seen of one session.
pub(crate) struct SessionFacts<'a> {
    pub(crate) domain: &'a str,
    pub(crate) policy: &'a str,
    pub(crate) mx: &'a str,
    pub(crate) mx_helo: &'a str,
    pub(crate) receiving_ip: IpAddr,
    pub(crate) sending_ip: Option<IpAddr>,
    pub(crate) start_tls: StartTls,
    pub(crate) verification: Verification,
    pub(crate) dane: Verification,
    /// The server's certificates, its own first; empty where the handshake did not come so far.
    pub(crate) chain_der: &'a [Vec<u8>],
    pub(crate) error: Option<&'a str>,
}

/// Why certificates were not found to satisfy what is demanded. Nothing is delivered either way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotPassed {
    /// They do not.
    Failed(String),
    /// Nobody could say.
    Unknown(String),
}

/// How far STARTTLS went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartTls {
    NotOffered,
    Refused,
    HandshakeFailed,
    Established,
}

/// What the check of the certificate said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verification {
    Unknown,
    Passed,
    Failed,
}

impl Verification {
    const fn number(self) -> u32 {
        match self {
            Self::Unknown => abi::VERIFICATION_UNKNOWN,
            Self::Passed => abi::VERIFICATION_PASSED,
            Self::Failed => abi::VERIFICATION_FAILED,
        }
    }
}

impl Library {
    /// Loads the library and opens it for the daemon that listens on `socket`.
    pub(crate) fn load(library: &Path, socket: &Path) -> Result<Self, String> {
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", library.display());
        // SAFETY: the operator names a libsealpost.so, whose initialisers do nothing.
        let code = unsafe { libloading::Library::new(library) }.map_err(|error| named(&error))?;
        let name = b"sealpost_plugin_entry_v1\0";
        // SAFETY: a library that has a symbol of this name gives it this type.
        let entry = unsafe { code.get::<abi::Entry>(name) }.map_err(|error| named(&error))?;
        // SAFETY: the entry takes any two numbers.
        let api = unsafe { entry(abi::ABI_MAJOR, abi::ABI_MINOR) };
        // SAFETY: the table is null, or constant for as long as the code is loaded; no reference to
        // it leaves `Library`, which keeps the code.
        let api: Option<&'static abi::Api> = unsafe { api.as_ref() };
        let api = api.ok_or_else(|| named(&"it does not speak version 1 of sealpost.h"))?;
        if api.struct_size < abi::struct_size::<abi::Api>() {
            return Err(named(
                &"it speaks version 1.0 of sealpost.h, and DANE came with 1.1",
            ));
        }
        let plugin = open(api, socket).map_err(|error| named(&error))?;
        Ok(Self {
            api,
            plugin,
            _code: code,
        })
    }

    /// What TLS does the domain, or this mail host of it, demand? An error means: deliver nothing.
    /// The port is the one that will be connected to.
    pub(crate) fn policy(
        &self,
        domain: &str,
        mx: Option<&str>,
        port: u16,
    ) -> Result<Requirement, String> {
        let query = abi::Query {
            struct_size: abi::struct_size::<abi::Query<'_>>(),
            deadline_ms: 0,
            domain: abi::Str::lend(domain.as_bytes()),
            mx: abi::Str::lend(mx.unwrap_or_default().as_bytes()),
            port: port.into(),
            reserved: 0,
        };
        let mut policy = ptr::null_mut();
        let mut view = empty_view();
        // SAFETY: the plugin is open, and the three structures live through the call.
        let code = unsafe {
            (self.api.policy)(
                self.plugin,
                &raw const query,
                &raw mut policy,
                &raw mut view,
            )
        };
        if code != abi::OK {
            return Err(format!("the policy library failed with code {code}"));
        }
        let requirement = Requirement {
            level: level(view.level),
            reason: text(&view.reason),
            policy: text(&view.policy),
            name: Some(text(&view.name)).filter(|name| !name.is_empty()),
        };
        // SAFETY: the answer is ours and is released once; what was read of it has been copied.
        unsafe { (self.api.policy_free)(self.plugin, policy) };
        Ok(requirement)
    }

    /// Do these certificates, the server's own first, satisfy what `policy` said of the mail host?
    /// Gives what they satisfy.
    ///
    /// # Errors
    /// Why not, or why it cannot be told, which is no better.
    pub(crate) fn verify(
        &self,
        domain: &str,
        mx: &str,
        policy: &str,
        chain_der: &[&[u8]],
    ) -> Result<String, NotPassed> {
        let chain: Vec<abi::Str<'_>> = chain_der.iter().map(|der| abi::Str::lend(der)).collect();
        let presented = abi::Presented {
            struct_size: abi::struct_size::<abi::Presented<'_>>(),
            deadline_ms: 0,
            domain: abi::Str::lend(domain.as_bytes()),
            mx: abi::Str::lend(mx.as_bytes()),
            policy: abi::Str::lend(policy.as_bytes()),
            chain_der: chain.as_ptr(),
            chain_count: chain.len(),
        };
        let mut reason: [c_char; ERROR_BYTES] = [0; ERROR_BYTES];
        let mut verdict = abi::Verdict {
            struct_size: abi::struct_size::<abi::Verdict>(),
            verdict: 0,
            result: 0,
            reserved: 0,
            reason: reason.as_mut_ptr(),
            reason_size: ERROR_BYTES,
        };
        // SAFETY: the plugin is open; both structures and all they point to live through the call, and
        // the buffer has the size it claims.
        let code =
            unsafe { (self.api.verify)(self.plugin, &raw const presented, &raw mut verdict) };
        if code != abi::OK {
            let words = format!("the policy library failed with code {code}");
            return Err(NotPassed::Unknown(words));
        }
        // SAFETY: the library ends the text by NUL, and it was all NUL before.
        let words = unsafe { CStr::from_ptr(reason.as_ptr()) };
        let words = words.to_string_lossy().into_owned();
        match verdict.verdict {
            abi::VERDICT_PASSED => Ok(words),
            abi::VERDICT_FAILED => Err(NotPassed::Failed(words)),
            _ => Err(NotPassed::Unknown(words)),
        }
    }

    /// Tells how one session went. An error is for the log; delivery goes on.
    pub(crate) fn session(&self, facts: &SessionFacts<'_>) -> Result<(), String> {
        let receiving_ip = facts.receiving_ip.to_string();
        let sending_ip = facts.sending_ip.map(|address| address.to_string());
        let (leaf_der, further) = match facts.chain_der {
            [] => (&[][..], None),
            [leaf, further @ ..] => (leaf.as_slice(), Some(further)),
        };
        let further: Option<Vec<abi::Str<'_>>> =
            further.map(|chain| chain.iter().map(|der| abi::Str::lend(der)).collect());
        let session = abi::Session {
            struct_size: abi::struct_size::<abi::Session<'_>>(),
            outcome: abi::OUTCOME_FACTS,
            result: 0,
            starttls: match facts.start_tls {
                StartTls::NotOffered => abi::STARTTLS_NOT_OFFERED,
                StartTls::Refused => abi::STARTTLS_REFUSED,
                StartTls::HandshakeFailed => abi::STARTTLS_HANDSHAKE_FAILED,
                StartTls::Established => abi::STARTTLS_ESTABLISHED,
            },
            verification: facts.verification.number(),
            reserved: 0,
            at_unix_seconds: 0,
            domain: abi::Str::lend(facts.domain.as_bytes()),
            policy: abi::Str::lend(facts.policy.as_bytes()),
            mx: abi::Str::lend(facts.mx.as_bytes()),
            mx_helo: abi::Str::lend(facts.mx_helo.as_bytes()),
            receiving_ip: abi::Str::lend(receiving_ip.as_bytes()),
            sending_ip: abi::Str::lend(sending_ip.as_deref().unwrap_or_default().as_bytes()),
            text: abi::Str::lend(facts.error.unwrap_or_default().as_bytes()),
            leaf_der: abi::Str::lend(leaf_der),
            // Not null where the chain is known to have no more than the leaf.
            chain_der: further.as_ref().map_or(ptr::null(), |chain| chain.as_ptr()),
            chain_count: further.as_ref().map_or(0, Vec::len),
            dane: facts.dane.number(),
            reserved_2: 0,
        };
        // SAFETY: the plugin is open, and the session and all it points to live through the call.
        let code = unsafe { (self.api.session)(self.plugin, &raw const session) };
        if code == abi::OK {
            Ok(())
        } else {
            Err(format!("the session is not counted: code {code}"))
        }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: the plugin is open, and nothing uses it after this.
        unsafe { (self.api.close)(self.plugin) };
    }
}

fn open(api: &abi::Api, socket: &Path) -> Result<*mut abi::Plugin, String> {
    let socket = std::path::absolute(socket).map_err(|error| error.to_string())?;
    let config = format!("socket={}", socket.display());
    let mut error: [c_char; ERROR_BYTES] = [0; ERROR_BYTES];
    let host = abi::Host {
        struct_size: abi::struct_size::<abi::Host<'_>>(),
        abi_major: abi::ABI_MAJOR,
        abi_minor: abi::ABI_MINOR,
        reserved: 0,
        config: abi::Str::lend(config.as_bytes()),
        error: error.as_mut_ptr(),
        error_size: ERROR_BYTES,
    };
    let mut plugin = ptr::null_mut();
    // SAFETY: both structures live through the call, and the error text has the size it claims.
    let code = unsafe { (api.open)(&raw const host, &raw mut plugin) };
    if code == abi::OK {
        return Ok(plugin);
    }
    // SAFETY: the library ends the text by NUL, and it was all NUL before.
    let words = unsafe { CStr::from_ptr(error.as_ptr()) };
    Err(format!("code {code}: {}", words.to_string_lossy()))
}

fn empty_view() -> abi::PolicyView<'static> {
    abi::PolicyView {
        struct_size: abi::struct_size::<abi::PolicyView<'_>>(),
        level: 0,
        audit: 0,
        answered_by: 0,
        mx_patterns: ptr::null(),
        mx_pattern_count: 0,
        tlsa: ptr::null(),
        tlsa_count: 0,
        name: abi::Str::ABSENT,
        policy: abi::Str::ABSENT,
        reason: abi::Str::ABSENT,
        names: ptr::null(),
        name_count: 0,
    }
}

fn level(number: u32) -> Level {
    match number {
        abi::LEVEL_MAY => Level::May,
        abi::LEVEL_ENCRYPT => Level::Encrypt,
        abi::LEVEL_VERIFY => Level::Verify,
        abi::LEVEL_DANE => Level::Dane,
        abi::LEVEL_REFUSE_MX => Level::RefuseMx,
        abi::LEVEL_DEFER => Level::Defer,
        _ => Level::Unknown,
    }
}

/// A copy of what is lent; empty where it is absent.
fn text(lent: &abi::Str<'_>) -> String {
    if lent.pointer.is_null() {
        return String::new();
    }
    // SAFETY: the library lends `length` octets at `pointer` until `policy_free`, which is called
    // after this copy is made.
    let octets = unsafe { std::slice::from_raw_parts(lent.pointer.cast::<u8>(), lent.length) };
    String::from_utf8_lossy(octets).into_owned()
}
