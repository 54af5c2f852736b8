//! Reports in ZIP archives.

use std::{fs, io::Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::write::DeflateEncoder;

use super::{Desk, golden, golden_mail};

/// A ZIP archive.
fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut archive = rawzip::ZipArchiveWriter::new(&mut packed);
    for (name, bytes) in files {
        let file = archive.new_file(name);
        let file = file.compression_method(rawzip::CompressionMethod::DEFLATE);
        let (mut file, config) = file.start().unwrap();
        let deflated = DeflateEncoder::new(&mut file, flate2::Compression::default());
        let mut writer = config.wrap(deflated);
        writer.write_all(bytes).unwrap();
        let (deflated, descriptor) = writer.finish().unwrap();
        deflated.finish().unwrap();
        file.finish(descriptor).unwrap();
    }
    archive.finish().unwrap();
    packed
}

#[test]
fn zip_archives_are_read_by_themselves_and_in_mails() {
    let desk = Desk::new();
    let report = fs::read(golden("idn.json")).unwrap();
    let mail = golden_mail("dane");
    desk.put("one.zip", zipped(&[("kept/idn.json", &report)]));
    let (text, code) = desk.text(&["one.zip"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("By      Bridge Mail Ltd"), "{text}");
    assert!(
        text.contains("\nIn      one.zip, part idn.json\n"),
        "{text}"
    );

    // Of several, the bad ones and what is none included, and beside other files.
    let files: [(&str, &[u8]); 4] = [
        ("a.json", &report),
        ("b.eml", mail.as_bytes()),
        ("c.json", b"{\"policies\": "),
        ("photo.jpeg", b"\xff\xd8\xff"),
    ];
    desk.put("kept/many.zip", zipped(&files));
    desk.put("kept/photos.zip", zipped(&files[3..]));
    let (json, code) = desk.json(&["kept", "--offline", "--keys", "keys.json"]);
    assert_eq!(code, 1, "{json}");
    assert_eq!(json["totals"]["reports"], 2, "{json}");
    assert_eq!(json["passed_over"], 1, "{json}");
    let unread = &json["unread"][0];
    assert_eq!(unread["source"], "kept/many.zip", "{json}");
    assert_eq!(unread["attachment"], "c.json", "{json}");

    // As some senders' mails have it: read, and with --strict not passed.
    let archive = STANDARD.encode(zipped(&[("idn.json", &report)]));
    desk.put(
        "zipped.eml",
        format!(
            "From: tlsrpt@sender.example\r\nSubject: report\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n\
             --B\r\nContent-Type: application/zip; name=\"r.json.zip\"\r\nContent-Transfer-Encoding: base64\r\n\r\n\
             {archive}\r\n--B--\r\n"
        ),
    );
    let (json, code) = desk.json(&["zipped.eml", "--offline", "--strict"]);
    assert_eq!(code, 1, "{json}");
    assert_eq!(json["reports"][0]["organization"], "Bridge Mail Ltd");
    let findings = json["reports"][0]["findings"].to_string();
    assert!(findings.contains("application/zip"), "{findings}");
}
