//! The entry that says what a certificate chain is worth.

use std::ffi::c_void;

use crate::{
    abi::{Code, Presented, Verdict},
    chain_line::{PresentedFields, Told},
    client::{Deadline, IfInDoubt},
    entry::Plugin,
    panic::guard,
    pointer,
};

/// Says what a chain is worth.
///
/// # Safety
/// As `sealpost.h` asks: each pointer is NULL or to what its type says, and `plugin` is open.
pub(crate) unsafe extern "C" fn verify(
    plugin: *mut c_void,
    presented: *const Presented,
    verdict: *mut Verdict,
) -> i32 {
    guard(Code::Internal, || {
        // SAFETY: the caller's word is passed on.
        match unsafe { verify_checked(plugin.cast(), presented, verdict) } {
            Ok(()) => Code::Ok,
            Err(code) => code,
        }
    }) as i32
}

/// [`verify`], which see. Everything is looked at before anything is asked or written.
///
/// # Safety
/// That of [`verify`].
unsafe fn verify_checked(
    plugin: *const Plugin,
    presented: *const Presented,
    verdict: *mut Verdict,
) -> Result<(), Code> {
    // SAFETY: NULL or an open plugin, by the header.
    let plugin = unsafe { pointer::lent(plugin) }?;
    // SAFETY: NULL or a structure as long as it says, by the header.
    let presented = unsafe { pointer::read(presented) }?;
    // SAFETY: NULL or a structure as long as it says, by the header.
    let place = unsafe { pointer::read(verdict) }?;
    let lent = |text| {
        // SAFETY: {NULL, 0} or lent bytes, by the header.
        unsafe { pointer::bytes(text) }
    };
    // SAFETY: NULL or as many strings as it says, by the header.
    let chain = unsafe { pointer::list(presented.chain_der, presented.chain_count) }?;
    let fields = PresentedFields {
        domain: lent(presented.domain)?,
        mx: lent(presented.mx)?,
        policy: lent(presented.policy)?,
        chain_der: chain.unwrap_or_default(),
    };
    let told = plugin.judge(&fields, presented.deadline_ms)?;
    let filled = Verdict {
        verdict: told.judgement as u32,
        result: told.result,
        ..place
    };
    let reason = String::from_utf8_lossy(&told.reason);
    // SAFETY: NULL or a buffer of reason_size bytes, by the header.
    unsafe { pointer::put_text(place.reason, place.reason_size, &reason) };
    // SAFETY: `verdict` was read above, so it is there and as long as it says; the host lets us write
    // it.
    unsafe { pointer::put_sized(verdict, &filled, place.struct_size) };
    Ok(())
}

impl Plugin {
    /// What the daemon says of a chain. It counts nothing, so it may be asked again.
    fn judge(&self, fields: &PresentedFields<'_>, deadline_ms: u32) -> Result<Told, Code> {
        let (request, extent) = fields.request()?;
        let answered = self.client.ask(
            &self.settings.socket,
            request.line(),
            Deadline::after(self.deadline(deadline_ms)),
            IfInDoubt::AskAgain,
        );
        Ok(match answered {
            Ok(line) => Told::read(&line).of(extent),
            Err(failure) => Told::unknown(failure.reason(&self.settings.socket).as_bytes()),
        })
    }
}
