//! Certificates as they stand in a field of the plugin socket: base64, or PEM. Pure.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// DER out of base64, with or without white space and padding: one certificate; or out of PEM: all of
/// them, in their order. Nothing where it is neither.
pub(super) fn certificates(text: &str) -> Option<Vec<Vec<u8>>> {
    let Some((_, armoured)) = text.split_once(BEGIN) else {
        return Some(vec![der(text)?]);
    };
    armoured
        .split(BEGIN)
        .map(|rest| der(rest.split_once(END)?.0))
        .collect()
}

fn der(base64: &str) -> Option<Vec<u8>> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let body: String = base64
        .chars()
        .filter(|character| !character.is_ascii_whitespace())
        .collect();
    ENGINE.decode(body).ok().filter(|der| !der.is_empty())
}
