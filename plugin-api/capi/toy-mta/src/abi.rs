//! `sealpost.h`, version 1.1, as Rust writes it: what a host that is not compiled from C declares for
//! itself. Only what this host uses of the constants is here; the structures are whole.

use std::{
    ffi::{c_char, c_void},
    marker::PhantomData,
    ptr,
};

pub(crate) const ABI_MAJOR: u32 = 1;
pub(crate) const ABI_MINOR: u32 = 1;

pub(crate) const OK: i32 = 0;

pub(crate) const LEVEL_MAY: u32 = 0;
pub(crate) const LEVEL_ENCRYPT: u32 = 1;
pub(crate) const LEVEL_VERIFY: u32 = 2;
pub(crate) const LEVEL_DANE: u32 = 3;
pub(crate) const LEVEL_REFUSE_MX: u32 = 4;
pub(crate) const LEVEL_DEFER: u32 = 5;

pub(crate) const OUTCOME_FACTS: u32 = 0;

pub(crate) const STARTTLS_NOT_OFFERED: u32 = 1;
pub(crate) const STARTTLS_REFUSED: u32 = 2;
pub(crate) const STARTTLS_HANDSHAKE_FAILED: u32 = 3;
pub(crate) const STARTTLS_ESTABLISHED: u32 = 4;

pub(crate) const VERIFICATION_UNKNOWN: u32 = 0;
pub(crate) const VERIFICATION_PASSED: u32 = 1;
pub(crate) const VERIFICATION_FAILED: u32 = 2;

pub(crate) const VERDICT_PASSED: u32 = 1;
pub(crate) const VERDICT_FAILED: u32 = 2;

/// `sealpost_str`: octets that are lent for `'a`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Str<'a> {
    pub(crate) pointer: *const c_char,
    pub(crate) length: usize,
    lender: PhantomData<&'a [u8]>,
}

impl<'a> Str<'a> {
    pub(crate) const ABSENT: Self = Self {
        pointer: ptr::null(),
        length: 0,
        lender: PhantomData,
    };

    /// Lends octets; empty ones are absent.
    pub(crate) fn lend(octets: &'a [u8]) -> Self {
        if octets.is_empty() {
            return Self::ABSENT;
        }
        Self {
            pointer: octets.as_ptr().cast(),
            length: octets.len(),
            lender: PhantomData,
        }
    }
}

/// `sealpost_host`.
#[repr(C)]
pub(crate) struct Host<'a> {
    pub(crate) struct_size: u32,
    pub(crate) abi_major: u32,
    pub(crate) abi_minor: u32,
    pub(crate) reserved: u32,
    pub(crate) config: Str<'a>,
    pub(crate) error: *mut c_char,
    pub(crate) error_size: usize,
}

/// `sealpost_query`.
#[repr(C)]
pub(crate) struct Query<'a> {
    pub(crate) struct_size: u32,
    pub(crate) deadline_ms: u32,
    pub(crate) domain: Str<'a>,
    pub(crate) mx: Str<'a>,
    pub(crate) port: u32,
    pub(crate) reserved: u32,
}

/// `sealpost_policy_view`.
#[repr(C)]
pub(crate) struct PolicyView<'a> {
    pub(crate) struct_size: u32,
    pub(crate) level: u32,
    pub(crate) audit: u32,
    pub(crate) answered_by: u32,
    pub(crate) mx_patterns: *const Str<'a>,
    pub(crate) mx_pattern_count: usize,
    /// `sealpost_tlsa`, which this host has no use for: `verify` knows them.
    pub(crate) tlsa: *const c_void,
    pub(crate) tlsa_count: usize,
    pub(crate) name: Str<'a>,
    pub(crate) policy: Str<'a>,
    pub(crate) reason: Str<'a>,
    pub(crate) names: *const Str<'a>,
    pub(crate) name_count: usize,
}

/// `sealpost_presented`.
#[repr(C)]
pub(crate) struct Presented<'a> {
    pub(crate) struct_size: u32,
    pub(crate) deadline_ms: u32,
    pub(crate) domain: Str<'a>,
    pub(crate) mx: Str<'a>,
    pub(crate) policy: Str<'a>,
    pub(crate) chain_der: *const Str<'a>,
    pub(crate) chain_count: usize,
}

/// `sealpost_verdict`.
#[repr(C)]
pub(crate) struct Verdict {
    pub(crate) struct_size: u32,
    pub(crate) verdict: u32,
    pub(crate) result: u32,
    pub(crate) reserved: u32,
    pub(crate) reason: *mut c_char,
    pub(crate) reason_size: usize,
}

/// `sealpost_session`.
#[repr(C)]
pub(crate) struct Session<'a> {
    pub(crate) struct_size: u32,
    pub(crate) outcome: u32,
    pub(crate) result: u32,
    pub(crate) starttls: u32,
    pub(crate) verification: u32,
    pub(crate) reserved: u32,
    pub(crate) at_unix_seconds: i64,
    pub(crate) domain: Str<'a>,
    pub(crate) policy: Str<'a>,
    pub(crate) mx: Str<'a>,
    pub(crate) mx_helo: Str<'a>,
    pub(crate) receiving_ip: Str<'a>,
    pub(crate) sending_ip: Str<'a>,
    pub(crate) text: Str<'a>,
    pub(crate) leaf_der: Str<'a>,
    pub(crate) chain_der: *const Str<'a>,
    pub(crate) chain_count: usize,
    pub(crate) dane: u32,
    pub(crate) reserved_2: u32,
}

/// `sealpost_plugin`: the library's, and only pointed to.
#[repr(C)]
pub(crate) struct Plugin {
    _private: [u8; 0],
}

/// `sealpost_policy`: the library's, and only pointed to.
#[repr(C)]
pub(crate) struct Policy {
    _private: [u8; 0],
}

/// `sealpost_api`.
#[repr(C)]
pub(crate) struct Api {
    pub(crate) struct_size: u32,
    pub(crate) abi_major: u32,
    pub(crate) abi_minor: u32,
    pub(crate) reserved: u32,
    pub(crate) open: unsafe extern "C" fn(*const Host<'_>, *mut *mut Plugin) -> i32,
    pub(crate) policy: unsafe extern "C" fn(
        *mut Plugin,
        *const Query<'_>,
        *mut *mut Policy,
        *mut PolicyView<'_>,
    ) -> i32,
    pub(crate) policy_free: unsafe extern "C" fn(*mut Plugin, *mut Policy),
    pub(crate) session: unsafe extern "C" fn(*mut Plugin, *const Session<'_>) -> i32,
    pub(crate) forked: unsafe extern "C" fn(*mut Plugin) -> i32,
    pub(crate) close: unsafe extern "C" fn(*mut Plugin),
    pub(crate) verify: unsafe extern "C" fn(*mut Plugin, *const Presented<'_>, *mut Verdict) -> i32,
}

/// `sealpost_plugin_entry_fn`.
pub(crate) type Entry = unsafe extern "C" fn(u32, u32) -> *const Api;

/// What goes into `struct_size`.
pub(crate) const fn struct_size<T>() -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "no structure of this file has 4 GiB"
    )]
    let size = size_of::<T>() as u32;
    size
}
