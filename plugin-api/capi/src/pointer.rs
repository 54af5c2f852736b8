//! A host's memory, looked at in one place: NULL, alignment, size, length and ownership.
//!
//! What cannot be checked (a pointer to freed memory, a length that is a lie) is the host's word,
//! given in `sealpost.h`; each `# Safety` below says which word.

use std::{
    ffi::{CStr, c_char, c_int, c_uchar},
    mem::{MaybeUninit, offset_of},
};

use crate::abi::{Code, Host, PolicyView, Presented, Query, Session, Str, Verdict};

/// A structure of the header that begins with `uint32_t struct_size` and may grow at its end. All its
/// members are integers and raw pointers, so every bit pattern is a value, and zero is absence.
pub(crate) trait Sized32: Copy {
    /// How long it was when it first appeared: the least that a host may give.
    const LEAST: usize;
}

impl Sized32 for Host {
    const LEAST: usize = size_of::<Self>();
}
impl Sized32 for Query {
    const LEAST: usize = offset_of!(Self, port);
}
impl Sized32 for PolicyView {
    const LEAST: usize = offset_of!(Self, names);
}
impl Sized32 for Session {
    const LEAST: usize = offset_of!(Self, chain_der);
}
impl Sized32 for Presented {
    const LEAST: usize = size_of::<Self>();
}
impl Sized32 for Verdict {
    const LEAST: usize = size_of::<Self>();
}

/// Copies a host's structure, as far as this version knows it. Members that came after the host was
/// compiled are zero.
///
/// # Safety
/// `pointer` is NULL, or points to memory that begins with a `struct_size`, is as long as that says,
/// and is not written to meanwhile.
pub(crate) unsafe fn read<T: Sized32>(pointer: *const T) -> Result<T, Code> {
    present(pointer)?;
    // SAFETY: not NULL and aligned for T, so for u32 too; the caller says that it begins with one.
    let struct_size = unsafe { pointer.cast::<u32>().read() };
    let length = usize::try_from(struct_size).unwrap_or(usize::MAX);
    if length < T::LEAST {
        return Err(Code::Size);
    }
    let mut copy = MaybeUninit::<T>::zeroed();
    let known = length.min(size_of::<T>());
    // SAFETY: `known` bytes are there by the host's struct_size, and fit into a T; the copy is ours, so
    // they do not overlap.
    unsafe {
        std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), copy.as_mut_ptr().cast::<u8>(), known);
    }
    // SAFETY: members are integers and raw pointers: every bit pattern is a value, and so is zero.
    Ok(unsafe { copy.assume_init() })
}

/// Puts a structure into the host's, as far as both know it.
///
/// # Safety
/// `place` passed [`read`], which gave this `struct_size`, and the host lets us write that much there.
pub(crate) unsafe fn put_sized<T: Sized32>(place: *mut T, value: &T, struct_size: u32) {
    let length = usize::try_from(struct_size).unwrap_or(usize::MAX);
    let known = length.min(size_of::<T>());
    // SAFETY: `known` is no more than a T has, and no more than the host says that it has; `value` is
    // ours, so they do not overlap.
    unsafe {
        std::ptr::copy_nonoverlapping((&raw const *value).cast::<u8>(), place.cast::<u8>(), known);
    }
}

/// No list of a host is longer.
const LIST_MAX: usize = 1_024;

/// Checks that a pointer can be written or read through.
pub(crate) fn present<T>(pointer: *const T) -> Result<(), Code> {
    if pointer.is_null() || !pointer.is_aligned() {
        return Err(Code::Pointer);
    }
    Ok(())
}

/// Puts a value where the host asked for it.
///
/// # Safety
/// `place` passed [`present`], and the host lets us write a T there.
pub(crate) unsafe fn put<T>(place: *mut T, value: T) {
    // SAFETY: not NULL and aligned, by `present`; writable for a T, by the caller.
    unsafe { place.write(value) }
}

/// The bytes that a host lends for the length of a call.
///
/// # Safety
/// `text.ptr` is NULL, or points to `text.len` bytes that nobody writes to during `'a`.
pub(crate) unsafe fn bytes<'a>(text: Str) -> Result<&'a [u8], Code> {
    if text.ptr.is_null() {
        return if text.len == 0 {
            Ok(&[])
        } else {
            Err(Code::Pointer)
        };
    }
    if isize::try_from(text.len).is_err() {
        return Err(Code::Argument);
    }
    // SAFETY: not NULL, no longer than isize::MAX, and the caller says that the bytes are there.
    Ok(unsafe { std::slice::from_raw_parts(text.ptr.cast::<u8>(), text.len) })
}

/// The list of bytes that a host lends for the length of a call; nothing where there is no list.
///
/// # Safety
/// `list` is NULL, or points to `count` structures as [`bytes`] wants them, which nobody writes to
/// during `'a`.
pub(crate) unsafe fn list<'a>(
    list: *const Str,
    count: usize,
) -> Result<Option<Vec<&'a [u8]>>, Code> {
    if list.is_null() && count == 0 {
        return Ok(None);
    }
    present(list)?;
    if count > LIST_MAX {
        return Err(Code::Argument);
    }
    // SAFETY: not NULL, aligned, and `count` structures long, says the caller.
    let texts = unsafe { std::slice::from_raw_parts(list, count) };
    let lent = texts.iter().map(|text| {
        // SAFETY: the caller's word is passed on.
        unsafe { bytes(*text) }
    });
    lent.collect::<Result<_, _>>().map(Some)
}

/// Writes one line into a host's buffer, cut to fit and ended by NUL.
///
/// # Safety
/// `buffer` is NULL, or points to `size` bytes that may be written to.
pub(crate) unsafe fn put_text(buffer: *mut c_char, size: usize, text: &str) {
    let Some(room) = size.checked_sub(1) else {
        return;
    };
    if buffer.is_null() {
        return;
    }
    let length = room.min(text.len());
    // SAFETY: `length` is no more than the bytes of `text` and less than the `size` of the buffer; a
    // host's buffer is not memory of ours, so they do not overlap.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast::<u8>(), length) };
    // SAFETY: `length` is less than `size`.
    let end = unsafe { buffer.add(length) };
    // SAFETY: inside the buffer, as above.
    unsafe { end.write(0) };
}

/// Hands a value to the host, which owns it from now on.
pub(crate) fn give<T>(value: Box<T>) -> *mut T {
    Box::into_raw(value)
}

/// Takes back what [`give`] gave.
///
/// # Safety
/// `pointer` is NULL, or came from [`give`] for the same T and was not taken back before.
pub(crate) unsafe fn take<T>(pointer: *mut T) -> Option<Box<T>> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: it came out of a Box of the same type and is taken back once, says the caller.
    Some(unsafe { Box::from_raw(pointer) })
}

/// Looks at what [`give`] gave and the host still owns.
///
/// # Safety
/// `pointer` is NULL, or came from [`give`] for the same T and is not taken back during `'a`.
pub(crate) unsafe fn lent<'a, T>(pointer: *const T) -> Result<&'a T, Code> {
    present(pointer)?;
    // SAFETY: it points to a live T, says the caller, and is only ever shared.
    Ok(unsafe { &*pointer })
}

/// The arguments of a `${dlfunc}`: NUL-terminated strings. A NULL among them is an empty one.
///
/// # Safety
/// `argv` is NULL, or points to `argc` pointers, each NULL or to a NUL-terminated string that lives
/// and does not change during `'a`.
pub(crate) unsafe fn arguments<'a>(argc: c_int, argv: *mut *mut c_uchar) -> Vec<&'a [u8]> {
    let count = usize::try_from(argc).unwrap_or(0);
    if count == 0 || present(argv).is_err() {
        return Vec::new();
    }
    // SAFETY: not NULL, aligned, and `argc` pointers long, says the caller.
    let pointers = unsafe { std::slice::from_raw_parts(argv, count) };
    pointers
        .iter()
        .map(|argument| {
            if argument.is_null() {
                return &[][..];
            }
            // SAFETY: not NULL, and NUL-terminated, says the caller.
            unsafe { CStr::from_ptr(argument.cast::<c_char>()) }.to_bytes()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_that_are_absent_short_or_askew_are_refused() {
        let query = Query {
            struct_size: u32::try_from(size_of::<Query>()).unwrap(),
            deadline_ms: 0,
            domain: Str::lend(b"example.org"),
            mx: Str::lend(b""),
            port: 25,
            reserved: 0,
        };
        // SAFETY: a live structure with its true size.
        let whole = unsafe { read(&raw const query) };
        assert!(whole.is_ok());
        // SAFETY: NULL is allowed.
        let absent = unsafe { read(std::ptr::null::<Query>()) };
        assert_eq!(absent.err(), Some(Code::Pointer));
        let askew = (&raw const query).wrapping_byte_add(1);
        // SAFETY: it is refused before it is read.
        let askew = unsafe { read(askew) };
        assert_eq!(askew.err(), Some(Code::Pointer));
        for (struct_size, expected) in [
            (0, Some(Code::Size)),
            (39, Some(Code::Size)),
            (40, None),
            (query.struct_size, None),
            (u32::MAX, None),
        ] {
            let other = Query {
                struct_size,
                ..query
            };
            // SAFETY: a live structure; one that says it is longer is read as far as it is known.
            let result = unsafe { read(&raw const other) };
            let known = result.as_ref().ok().map(|query| query.port);
            assert_eq!(result.err(), expected, "{struct_size}");
            let whole = expected
                .is_none()
                .then_some(u32::from(struct_size > 40) * 25);
            assert_eq!(known, whole, "{struct_size}");
        }
    }

    #[test]
    fn a_host_of_version_1_0_is_written_no_further_than_it_reaches() {
        let of = |byte: u8| PolicyView {
            struct_size: 0,
            level: u32::from_ne_bytes([byte; 4]),
            audit: 0,
            answered_by: 0,
            mx_patterns: std::ptr::null(),
            mx_pattern_count: 0,
            tlsa: std::ptr::null(),
            tlsa_count: 0,
            name: Str::lend(b""),
            policy: Str::lend(b""),
            reason: Str::lend(b""),
            names: std::ptr::null(),
            name_count: usize::from(byte),
        };
        let value = of(7);
        for (struct_size, expected) in [(96, 1), (112, 7), (u32::MAX, 7)] {
            let mut place = of(1);
            // SAFETY: a live structure, written as far as it reaches.
            unsafe { put_sized(&raw mut place, &value, struct_size) };
            assert_eq!(place.level, value.level);
            assert_eq!(place.name_count, expected, "{struct_size}");
        }
    }

    #[test]
    fn lent_lists_are_checked() {
        let texts = [Str::lend(b"a"), Str::lend(b"bc")];
        let wrong = [Str {
            ptr: std::ptr::null(),
            len: 1,
        }];
        let check = |ptr: *const Str, count, expected: Result<Option<Vec<&[u8]>>, Code>| {
            // SAFETY: NULL, or live structures, or a count that is refused unread.
            assert_eq!(unsafe { list(ptr, count) }, expected);
        };
        check(std::ptr::null(), 0, Ok(None));
        check(std::ptr::null(), 1, Err(Code::Pointer));
        check(texts.as_ptr(), 0, Ok(Some(vec![])));
        check(texts.as_ptr(), 2, Ok(Some(vec![b"a", b"bc"])));
        check(texts.as_ptr(), usize::MAX, Err(Code::Argument));
        check(texts.as_ptr().wrapping_byte_add(1), 1, Err(Code::Pointer));
        check(wrong.as_ptr(), 1, Err(Code::Pointer));
    }

    #[test]
    fn lent_bytes_are_checked() {
        let check = |ptr: *const c_char, len: usize, expected: Result<&[u8], Code>| {
            // SAFETY: NULL, or three live bytes, or a length that is refused unread.
            let seen = unsafe { bytes(Str { ptr, len }) };
            assert_eq!(seen, expected);
        };
        let text = c"abc".as_ptr();
        check(std::ptr::null(), 0, Ok(b""));
        check(std::ptr::null(), 1, Err(Code::Pointer));
        check(text, 3, Ok(b"abc"));
        check(text, 0, Ok(b""));
        check(text, usize::MAX, Err(Code::Argument));
    }

    #[test]
    fn a_text_is_cut_to_its_buffer() {
        let check = |size: usize, expected: &[u8; 5]| {
            let mut buffer = *b"xxxxx";
            // SAFETY: five live bytes, and `size` is no more.
            unsafe { put_text(buffer.as_mut_ptr().cast(), size, "abc") };
            assert_eq!(&buffer, expected, "{size}");
        };
        check(0, b"xxxxx");
        check(1, b"\0xxxx");
        check(3, b"ab\0xx");
        check(5, b"abc\0x");
        // SAFETY: NULL is allowed.
        unsafe { put_text(std::ptr::null_mut(), 9, "abc") };
    }
}
