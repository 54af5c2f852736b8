//! Compression that gives the same bytes for the same report.

use std::cell::RefCell;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

thread_local! {
    // 300 kB that a hundred thousand reports in a row would otherwise each take and give back, which leaves the memory
    // in pieces.
    static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::best(), false));
}

/// Packs a report.
// RFC 8460 s5.2: reports should be gzipped, for mail and HTTPS alike.
#[expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "zlib refuses only a stream whose state it did not make"
)]
#[must_use]
pub fn gzip(report: &[u8]) -> Vec<u8> {
    let mut packed = HEADER.to_vec();
    DEFLATE.with_borrow_mut(|deflate| {
        deflate.reset();
        loop {
            let taken = usize::try_from(deflate.total_in()).unwrap_or(usize::MAX);
            let rest = report.get(taken..).unwrap_or_default();
            packed.reserve(rest.len() / 4 + ROOM_BYTES_MIN);
            let status = deflate
                .compress_vec(rest, &mut packed, FlushCompress::Finish)
                .expect("a stream that was just begun is in order");
            if status == Status::StreamEnd {
                break;
            }
        }
    });
    let mut sum = Crc::new();
    sum.update(report);
    // RFC 1952 s2.3.1: CRC-32, and the length modulo 2^32.
    packed.extend_from_slice(&sum.sum().to_le_bytes());
    packed.extend_from_slice(&sum.amount().to_le_bytes());
    packed
}

/// RFC 1952 s2.3: magic, deflate, no flags, no time, best compression, unknown system.
// OURS: no file name, no time and no operating system in the header, so that the same tallies make
// the same bytes on every attempt and every host.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];

/// Room for what is left of a stream.
const ROOM_BYTES_MIN: usize = 512;

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
        assert_eq!(unpacked(&packed), report);
    }

    #[test]
    fn e8_one_report_leaves_nothing_in_the_next() {
        let seed =
            |index: usize| u8::try_from(index.wrapping_mul(2_654_435_761) >> 7 & 0xff).unwrap();
        let noise: Vec<u8> = (0..300_000).map(seed).collect();
        for report in [&noise[..], b"", b"{}", &noise[7..9_000], &[b'a'; 2_000_000]] {
            assert_eq!(unpacked(&gzip(report)), report);
        }
    }

    fn unpacked(packed: &[u8]) -> Vec<u8> {
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(packed)
            .read_to_end(&mut unpacked)
            .unwrap();
        unpacked
    }
}
