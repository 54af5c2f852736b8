//! Compression that gives the same bytes for the same report.

use std::io::Write as _;

use flate2::{Compression, GzBuilder};

/// Packs a report.
// RFC 8460 s5.2: reports should be gzipped, for mail and HTTPS alike.
// OURS: no file name, no time and no operating system in the header, so that the same tallies make
// the same bytes on every attempt and every host.
#[expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "writing into a Vec has no error to give"
)]
#[must_use]
pub fn gzip(report: &[u8]) -> Vec<u8> {
    let mut encoder = GzBuilder::new()
        .mtime(0)
        .operating_system(OPERATING_SYSTEM_UNKNOWN)
        .write(Vec::new(), Compression::best());
    encoder
        .write_all(report)
        .and_then(|()| encoder.finish())
        .expect("a Vec takes every byte")
}

/// RFC 1952 s2.3.1: the value of `OS` that says nothing.
const OPERATING_SYSTEM_UNKNOWN: u8 = 255;

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn e8_the_same_bytes_each_time_without_name_or_time() {
        let report = br#"{"policies":[]}"#.repeat(100);
        let packed = gzip(&report);
        assert_eq!(packed, gzip(&report));
        // RFC 1952 s2.3: magic, deflate, no flags, no time, best compression, unknown system.
        assert_eq!(packed[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255]);

        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&packed[..])
            .read_to_end(&mut unpacked)
            .unwrap();
        assert_eq!(unpacked, report);
    }
}
