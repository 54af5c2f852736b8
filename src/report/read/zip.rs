//! The files in a ZIP archive. RFC 8460 packs reports with gzip; some senders and some mail systems zip them.

use std::io::Read;

use flate2::bufread::DeflateDecoder;
use rawzip::{CompressionMethod, ZipArchive, ZipFileHeaderRecord, ZipSliceArchive};

use super::{MAIL_BYTES_MAX, REPORT_BYTES_MAX, ReadError, unpack::in_words};

/// How many files of one archive are looked at.
const FILES_MAX: usize = 1_000;

/// How much is unpacked.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Of one file.
    of_file_bytes_max: usize,
    /// Of all files together. Files of an archive can share their bytes, so that a small one holds very much: this
    /// bounds that too, and how closely it is packed.
    of_all_bytes_max: usize,
}

const BOUNDS: Bounds = Bounds {
    of_file_bytes_max: REPORT_BYTES_MAX,
    of_all_bytes_max: 100 << 20,
};

/// One file of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ZippedFile {
    /// What it is called, without the folders it lies in. A stranger's words.
    pub(super) name: String,
    /// What is in it.
    pub(super) bytes: Result<Vec<u8>, ReadError>,
}

/// Hands over each file of an archive; only one of them is in memory.
///
/// # Errors
/// When the archive itself is damaged, or holds more than is read. What came before was handed over.
pub(super) fn unzip(archive: &[u8], take: impl FnMut(ZippedFile)) -> Result<(), ReadError> {
    unzip_within(BOUNDS, archive, take)
}

fn unzip_within(
    bounds: Bounds,
    archive: &[u8],
    mut take: impl FnMut(ZippedFile),
) -> Result<(), ReadError> {
    let file_max = bounds.of_file_bytes_max;
    if archive.len() > MAIL_BYTES_MAX {
        return Err(ReadError::TooLong(in_words(MAIL_BYTES_MAX)));
    }
    let archive = ZipArchive::from_slice(archive).map_err(damaged)?;
    let mut left = bounds.of_all_bytes_max;
    for (index, record) in archive.entries().enumerate() {
        if index >= FILES_MAX {
            return Err(ReadError::TooMany(FILES_MAX));
        }
        let record = record.map_err(damaged)?;
        if record.is_dir() {
            continue;
        }
        let bytes = unpacked(&archive, &record, left.min(file_max));
        match &bytes {
            Ok(bytes) => left = left.saturating_sub(bytes.len()),
            Err(ReadError::TooLong(_)) if left < file_max => {
                return Err(ReadError::TooLong(in_words(bounds.of_all_bytes_max)));
            }
            // So much may have been unpacked of it.
            Err(_) => left = left.saturating_sub(file_max),
        }
        let name = name(&record);
        take(ZippedFile { name, bytes });
    }
    Ok(())
}

/// The last part of a path, whichever way its folders are divided.
fn name(record: &ZipFileHeaderRecord<'_>) -> String {
    let path = record.file_path();
    let path = String::from_utf8_lossy(path.as_bytes());
    let name = path.rsplit(['/', '\\']).next();
    name.unwrap_or_default().to_owned()
}

fn unpacked(
    archive: &ZipSliceArchive<&[u8]>,
    record: &ZipFileHeaderRecord<'_>,
    bytes_max: usize,
) -> Result<Vec<u8>, ReadError> {
    if record.flags().is_encrypted() {
        return Err(ReadError::Zip("it is encrypted"));
    }
    let file = archive.get_entry(record.wayfinder()).map_err(damaged)?;
    match record.compression_method() {
        CompressionMethod::STORE => bounded(file.verifying_reader(file.data()), bytes_max),
        CompressionMethod::DEFLATE => {
            let inflated = DeflateDecoder::new(file.data());
            bounded(file.verifying_reader(inflated), bytes_max)
        }
        _ => Err(ReadError::Zip("it is packed otherwise than by deflate")),
    }
}

/// All of it, with its length and checksum compared, and no more than so much. The length that the archive
/// names is not believed.
fn bounded(reader: impl Read, bytes_max: usize) -> Result<Vec<u8>, ReadError> {
    let room = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    reader
        .take(room.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(damaged)?;
    if bytes.len() > bytes_max {
        return Err(ReadError::TooLong(in_words(bytes_max)));
    }
    Ok(bytes)
}

fn damaged(error: impl std::fmt::Display) -> ReadError {
    ReadError::Damaged(format!("its ZIP: {error}"))
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::DeflateEncoder};
    use rawzip::ZipArchiveWriter;

    use super::*;

    /// An archive of these files, deflated, and one that is stored where its name begins with `stored`.
    pub(in super::super) fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut packed = Vec::new();
        let mut archive = ZipArchiveWriter::new(&mut packed);
        for (name, bytes) in files {
            if name.ends_with('/') {
                archive.new_dir(name).create().unwrap();
                continue;
            }
            let method = match name.starts_with("stored") {
                true => CompressionMethod::STORE,
                false => CompressionMethod::DEFLATE,
            };
            let file = archive.new_file(name).compression_method(method);
            let (mut file, config) = file.start().unwrap();
            let descriptor = if method == CompressionMethod::STORE {
                let mut writer = config.wrap(&mut file);
                writer.write_all(bytes).unwrap();
                writer.finish().unwrap().1
            } else {
                let deflated = DeflateEncoder::new(&mut file, Compression::best());
                let mut writer = config.wrap(deflated);
                writer.write_all(bytes).unwrap();
                let (deflated, descriptor) = writer.finish().unwrap();
                deflated.finish().unwrap();
                descriptor
            };
            file.finish(descriptor).unwrap();
        }
        archive.finish().unwrap();
        packed
    }

    /// Each file in words, and how it ended.
    fn listed(archive: &[u8]) -> (Vec<String>, Result<(), ReadError>) {
        let bounds = Bounds {
            of_file_bytes_max: 20_000,
            of_all_bytes_max: 100_000,
        };
        let mut files = Vec::new();
        let ended = unzip_within(bounds, archive, |file| {
            files.push(match file.bytes {
                Ok(bytes) => format!("{}: {}", file.name, bytes.len()),
                Err(error) => format!("{}: {error}", file.name),
            });
        });
        (files, ended)
    }

    #[test]
    fn files_are_unpacked_and_folders_passed_over() {
        let archive = zip(&[
            ("reports/", b""),
            ("reports/a.json", b"{}"),
            ("stored.json", b"[1, 2]"),
            ("c:\\b.json.gz", &[b' '; 5_000]),
        ]);
        let expected = ["a.json: 2", "stored.json: 6", "b.json.gz: 5000"];
        assert_eq!(
            listed(&archive),
            (expected.map(str::to_owned).into(), Ok(()))
        );
        assert_eq!(listed(&zip(&[])), (vec![], Ok(())));
    }

    #[test]
    fn g1_a_bomb_is_no_more_than_its_bound() {
        let spaces = [b' '; 20_001];
        let bomb = zip(&[("bomb", &spaces), ("good", b"{}")]);
        assert!(bomb.len() < 300);
        let (files, ended) = listed(&bomb);
        let too_long = "bomb: it is longer than 20000 bytes, which no report is";
        assert_eq!(files, [too_long, "good: 2"]);
        assert_eq!(ended, Ok(()));
        // Files add up, the bad ones too.
        let most = &spaces[1..];
        let many = zip(&[
            ("a", most),
            ("b", &spaces),
            ("c", most),
            ("d", most),
            ("e", most),
            ("f", b"{}"),
        ]);
        let (files, ended) = listed(&many);
        assert_eq!(files.len(), 5);
        assert_eq!(ended, Err(ReadError::TooLong("100000 bytes".to_owned())));
        let names: Vec<String> = (0..=FILES_MAX).map(|number| number.to_string()).collect();
        let files: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, &b""[..])).collect();
        let (files, ended) = listed(&zip(&files));
        assert_eq!(
            (files.len(), ended),
            (FILES_MAX, Err(ReadError::TooMany(FILES_MAX)))
        );
        let long = vec![0; MAIL_BYTES_MAX + 1];
        assert_eq!(
            listed(&long).1,
            Err(ReadError::TooLong("30 MiB".to_owned()))
        );
    }

    #[test]
    fn e8_damage_and_what_cannot_be_unpacked_is_said() {
        let whole = zip(&[("stored", b"{\"a\": 1}"), ("other", b"{}")]);
        // The bytes of the file are not those that were packed.
        let mut changed = whole.clone();
        let at = changed.windows(3).position(|it| it == b"\"a\"").unwrap();
        changed[at + 1] = b'b';
        let (files, ended) = listed(&changed);
        assert!(
            files[0].starts_with("stored: it is damaged: its ZIP: "),
            "{files:?}"
        );
        assert_eq!((&*files[1], ended), ("other: 2", Ok(())));
        // The flags and the method of the first file stand in the directory at the end.
        let directory = whole.windows(4).position(|it| it == b"PK\x01\x02").unwrap();
        for (at, bits, words) in [
            (
                directory + 8,
                1,
                "stored: it is in a ZIP archive and cannot be unpacked here: it is encrypted",
            ),
            (
                directory + 10,
                12,
                "stored: it is in a ZIP archive and cannot be unpacked here: it is packed otherwise than by deflate",
            ),
        ] {
            let mut changed = whole.clone();
            changed[at] |= bits;
            assert_eq!(listed(&changed).0[0], words);
        }
        for cut in 0..whole.len() {
            let (files, ended) = listed(&whole[..cut]);
            assert!(ended.is_err() && files.is_empty(), "{cut}");
        }
        // Whatever is changed, it ends and nothing panics.
        for at in 0..whole.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut changed = whole.clone();
                changed[at] = byte;
                let (files, _) = listed(&changed);
                assert!(files.len() <= FILES_MAX);
            }
        }
    }
}
