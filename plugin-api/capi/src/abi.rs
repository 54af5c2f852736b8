//! The structures and codes of `include/sealpost.h`. A test compiles the header and compares.

use std::ffi::{c_char, c_void};

/// `SEALPOST_ABI_MAJOR`.
pub(crate) const ABI_MAJOR: u32 = 1;
/// `SEALPOST_ABI_MINOR`.
pub(crate) const ABI_MINOR: u32 = 1;

/// What the functions return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Code {
    Ok = 0,
    Pointer = 1,
    Size = 2,
    Version = 3,
    Argument = 4,
    Config = 5,
    Unsent = 6,
    Internal = 7,
}

/// `SEALPOST_LEVEL_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Level {
    May = 0,
    Encrypt = 1,
    Verify = 2,
    Dane = 3,
    RefuseMx = 4,
    Defer = 5,
}

/// `SEALPOST_ANSWERED_BY_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum AnsweredBy {
    Daemon = 0,
    Library = 1,
}

/// `SEALPOST_VERDICT_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Judgement {
    Unknown = 0,
    Passed = 1,
    Failed = 2,
}

/// `SEALPOST_OUTCOME_FACTS`.
pub(crate) const OUTCOME_FACTS: u32 = 0;
/// `SEALPOST_OUTCOME_SUCCESS`.
pub(crate) const OUTCOME_SUCCESS: u32 = 1;
/// `SEALPOST_OUTCOME_FAILURE`.
pub(crate) const OUTCOME_FAILURE: u32 = 2;

/// `sealpost_str`: bytes that are only lent.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Str {
    pub(crate) ptr: *const c_char,
    pub(crate) len: usize,
}

impl Str {
    /// Lends these bytes for as long as they live; no bytes are absent bytes.
    pub(crate) const fn lend(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self {
                ptr: std::ptr::null(),
                len: 0,
            };
        }
        Self {
            ptr: bytes.as_ptr().cast(),
            len: bytes.len(),
        }
    }
}

/// `sealpost_host`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Host {
    pub(crate) struct_size: u32,
    pub(crate) abi_major: u32,
    pub(crate) abi_minor: u32,
    pub(crate) reserved: u32,
    pub(crate) config: Str,
    pub(crate) error: *mut c_char,
    pub(crate) error_size: usize,
}

/// `sealpost_query`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Query {
    pub(crate) struct_size: u32,
    pub(crate) deadline_ms: u32,
    pub(crate) domain: Str,
    pub(crate) mx: Str,
    // Since 1.1.
    pub(crate) port: u32,
    pub(crate) reserved: u32,
}

/// `sealpost_tlsa`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Tlsa {
    pub(crate) usage: u32,
    pub(crate) selector: u32,
    pub(crate) matching: u32,
    pub(crate) reserved: u32,
    pub(crate) data: Str,
}

/// `sealpost_policy_view`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct PolicyView {
    pub(crate) struct_size: u32,
    pub(crate) level: u32,
    pub(crate) audit: u32,
    pub(crate) answered_by: u32,
    pub(crate) mx_patterns: *const Str,
    pub(crate) mx_pattern_count: usize,
    pub(crate) tlsa: *const Tlsa,
    pub(crate) tlsa_count: usize,
    pub(crate) name: Str,
    pub(crate) policy: Str,
    pub(crate) reason: Str,
    // Since 1.1.
    pub(crate) names: *const Str,
    pub(crate) name_count: usize,
}

/// `sealpost_session`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Session {
    pub(crate) struct_size: u32,
    pub(crate) outcome: u32,
    pub(crate) result: u32,
    pub(crate) starttls: u32,
    pub(crate) verification: u32,
    pub(crate) reserved: u32,
    pub(crate) at_unix_seconds: i64,
    pub(crate) domain: Str,
    pub(crate) policy: Str,
    pub(crate) mx: Str,
    pub(crate) mx_helo: Str,
    pub(crate) receiving_ip: Str,
    pub(crate) sending_ip: Str,
    pub(crate) text: Str,
    pub(crate) leaf_der: Str,
    // Since 1.1.
    pub(crate) chain_der: *const Str,
    pub(crate) chain_count: usize,
    pub(crate) dane: u32,
    pub(crate) reserved_2: u32,
}

/// `sealpost_presented`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Presented {
    pub(crate) struct_size: u32,
    pub(crate) deadline_ms: u32,
    pub(crate) domain: Str,
    pub(crate) mx: Str,
    pub(crate) policy: Str,
    pub(crate) chain_der: *const Str,
    pub(crate) chain_count: usize,
}

/// `sealpost_verdict`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Verdict {
    pub(crate) struct_size: u32,
    pub(crate) verdict: u32,
    pub(crate) result: u32,
    pub(crate) reserved: u32,
    pub(crate) reason: *mut c_char,
    pub(crate) reason_size: usize,
}

/// `sealpost_api`. The handles are opaque to the host, hence `c_void` here.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Api {
    pub(crate) struct_size: u32,
    pub(crate) abi_major: u32,
    pub(crate) abi_minor: u32,
    pub(crate) reserved: u32,
    pub(crate) open: unsafe extern "C" fn(*const Host, *mut *mut c_void) -> i32,
    pub(crate) policy:
        unsafe extern "C" fn(*mut c_void, *const Query, *mut *mut c_void, *mut PolicyView) -> i32,
    pub(crate) policy_free: unsafe extern "C" fn(*mut c_void, *mut c_void),
    pub(crate) session: unsafe extern "C" fn(*mut c_void, *const Session) -> i32,
    pub(crate) forked: unsafe extern "C" fn(*mut c_void) -> i32,
    pub(crate) close: unsafe extern "C" fn(*mut c_void),
    // Since 1.1.
    pub(crate) verify: unsafe extern "C" fn(*mut c_void, *const Presented, *mut Verdict) -> i32,
}
