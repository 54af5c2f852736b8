//! `sealpost dkim keygen`: makes keys.

use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use ring::{rand::SystemRandom, signature::Ed25519KeyPair};
use rsa::{RsaPrivateKey, pkcs8::EncodePrivateKey as _, rand_core::OsRng};
use serde::Serialize;

use super::super::{
    Context, Format,
    exit::{Exit, Failure},
    screen::shown,
};
use crate::{
    config::load::DEFAULT_PATH,
    observe::printable::printable,
    policy::PolicyDomain,
    report::{DkimKey, submitter},
};

#[derive(Debug, Args)]
pub(in crate::ctl) struct Arguments {
    /// The selector; the record of a key is SELECTOR._domainkey.DOMAIN. Of two keys the Ed25519 one has
    /// "-ed25519" behind it
    #[arg(long, value_name = "SELECTOR", default_value = "tlsrpt")]
    selector: String,
    /// What kind of key. Every receiver verifies RSA; Ed25519 is for those that know it, beside it
    #[arg(long, value_enum, default_value_t = Algorithm::Both)]
    algorithm: Algorithm,
    /// How long the RSA key is, in bits
    #[arg(long, value_name = "BITS", default_value_t = 2048, value_parser = clap::value_parser!(u16).range(2048..=4096))]
    bits: u16,
    /// Where the key files go [default: the directory of the configuration file]
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// The domain that signs [default: that of sender.contact in the configuration]
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<PolicyDomain>,
    #[command(flatten)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Algorithm {
    /// One of each, the reports being signed with both
    Both,
    /// RSA alone
    Rsa,
    /// Ed25519 alone; many receivers do not verify it
    Ed25519,
}

/// What was made, as `--json` prints it.
#[derive(Serialize)]
struct Made {
    domain: String,
    keys: Vec<MadeKey>,
}

/// One key.
#[derive(Serialize)]
struct MadeKey {
    algorithm: &'static str,
    selector: String,
    file: String,
    /// The name of the TXT record to publish.
    record_name: String,
    /// Its text in one piece.
    record: String,
}

pub(super) fn run(arguments: &Arguments, context: &mut Context) -> Result<Exit, Failure> {
    let domain = domain(arguments, context)?;
    let directory = directory(arguments, context);
    let mut planned = Vec::new();
    for (is_rsa, selector) in selectors(arguments) {
        let pem = if is_rsa {
            rsa_pem(usize::from(arguments.bits))
        } else {
            ed25519_pem()
        };
        let pem = pem.map_err(|reason| Failure::Internal(format!("no key was made: {reason}")))?;
        let key = DkimKey::from_pem(&selector, &pem)
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let file = directory.join(format!("{}.pem", key.selector()));
        planned.push((file, pem, key));
    }
    // A key half made is worse than none: the operator sees at once which file stands in the way.
    if let Some((there, ..)) = planned.iter().find(|(file, ..)| file.exists()) {
        return Err(in_the_way(there));
    }
    let mut made = Made {
        domain: domain.to_string(),
        keys: Vec::new(),
    };
    for (file, pem, key) in planned {
        write(&file, &pem)?;
        made.keys.push(MadeKey {
            algorithm: key.algorithm(),
            selector: key.selector().to_owned(),
            file: file.display().to_string(),
            record_name: key.record_name(&domain),
            record: key.public_record(),
        });
    }
    context.show(arguments.format, &made, as_text)?;
    Ok(Exit::Ok)
}

/// The selector of each key, and whether it is an RSA key.
fn selectors(arguments: &Arguments) -> Vec<(bool, String)> {
    let selector = &arguments.selector;
    match arguments.algorithm {
        Algorithm::Rsa => vec![(true, selector.clone())],
        Algorithm::Ed25519 => vec![(false, selector.clone())],
        Algorithm::Both => vec![
            (true, selector.clone()),
            (false, format!("{selector}-ed25519")),
        ],
    }
}

fn domain(arguments: &Arguments, context: &Context) -> Result<PolicyDomain, Failure> {
    if let Some(domain) = &arguments.domain {
        return Ok(domain.clone());
    }
    let contact = context.load()?.config.sender.contact;
    if contact.is_empty() {
        return Err(Failure::Usage(
            "whose keys? Give --domain, or set sender.contact in the configuration".to_owned(),
        ));
    }
    submitter::mailbox(&contact)
        .map(|(_, domain)| domain)
        .map_err(|error| Failure::Setup(format!("sender.contact: {error}")))
}

fn directory(arguments: &Arguments, context: &Context) -> PathBuf {
    if let Some(directory) = &arguments.directory {
        return directory.clone();
    }
    let file = context.config.as_deref().unwrap_or(Path::new(DEFAULT_PATH));
    file.parent().unwrap_or(Path::new("")).to_owned()
}

fn rsa_pem(bits: usize) -> Result<String, String> {
    let key = RsaPrivateKey::new(&mut OsRng, bits).map_err(|error| error.to_string())?;
    let pem = key
        .to_pkcs8_pem(rsa::pkcs8::LineEnding::LF)
        .map_err(|error| error.to_string())?;
    Ok(pem.as_str().to_owned())
}

fn ed25519_pem() -> Result<String, String> {
    let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map_err(|_| "the system gives no random numbers".to_owned())?;
    Ok(pem_block(der.as_ref()))
}

/// PKCS#8 as PEM (RFC 7468 s10).
fn pem_block(der: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let mut pem = "-----BEGIN PRIVATE KEY-----\n".to_owned();
    let encoded = STANDARD.encode(der);
    let mut rest = encoded.as_str();
    while let Some((line, behind)) = rest.split_at_checked(64) {
        let _ = writeln!(pem, "{line}");
        rest = behind;
    }
    if !rest.is_empty() {
        let _ = writeln!(pem, "{rest}");
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    pem
}

/// The bit of a directory by which its files belong to its own group, whoever makes them.
const SET_GROUP: u32 = 0o2000;

/// Who may read a key in this directory: its owner, and nobody else. OURS: where the directory gives its files to
/// a group of its own, as the Debian package's does to the daemon's, that group too; there root makes the key
/// and the daemon reads it.
fn mode_in(directory: &Path) -> u32 {
    let of_a_group = fs::metadata(directory)
        .is_ok_and(|directory| directory.permissions().mode() & SET_GROUP != 0);
    if of_a_group { 0o640 } else { 0o600 }
}

/// Writes a key that no stranger may read, and never over another.
fn write(file: &Path, pem: &str) -> Result<(), Failure> {
    let failed = |error: &std::io::Error| Failure::Setup(format!("{}: {error}", file.display()));
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|opened| {
            // Past the umask, which may forbid more.
            let mode = mode_in(file.parent().unwrap_or(Path::new("")));
            opened.set_permissions(fs::Permissions::from_mode(mode))?;
            Ok(opened)
        });
    let mut opened = match opened {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(in_the_way(file)),
        Err(error) => return Err(failed(&error)),
    };
    opened
        .write_all(pem.as_bytes())
        .and_then(|()| opened.sync_all())
        .map_err(|error| failed(&error))
}

fn in_the_way(file: &Path) -> Failure {
    Failure::Usage(format!(
        "{} is there already, and a key is never written over; choose another --selector or --directory",
        printable(&file.display().to_string())
    ))
}

fn as_text(made: &Made) -> String {
    let mut text = String::new();
    for key in &made.keys {
        let _ = writeln!(text, "Made {} ({})", shown(&key.file), key.algorithm);
    }
    text.push_str("\nPublish these records; receivers verify the reports by them:\n");
    for key in &made.keys {
        let _ = write!(text, "\n{}", zone_file(&key.record_name, &key.record));
    }
    text.push_str("\nPut this into the configuration file:\n");
    for key in &made.keys {
        let _ = write!(
            text,
            "\n[[dkim]]\nselector = \"{}\"\nkey = \"{}\"\n",
            key.selector,
            shown(&key.file)
        );
    }
    text.push_str(
        "\nThe daemon's user must be able to read the key files: chown them to it, unless they are in a directory \
         that\nis set up for it, as /etc/sealpost of the Debian package is. When the records are published,\n\
         `sealpost dkim check` says whether receivers can verify.\n",
    );
    text
}

/// A TXT record as a zone file has it: in strings of at most 255 octets (RFC 1035 s3.3).
fn zone_file(name: &str, record: &str) -> String {
    let mut strings = Vec::new();
    let mut rest = record;
    while let Some((string, behind)) = rest
        .split_at_checked(255)
        .filter(|(_, behind)| !behind.is_empty())
    {
        strings.push(string);
        rest = behind;
    }
    strings.push(rest);
    let strings: Vec<String> = strings
        .iter()
        .map(|string| format!("\"{string}\""))
        .collect();
    match strings.as_slice() {
        [one] => format!("{name}. IN TXT {one}\n"),
        several => format!("{name}. IN TXT ( {} )\n", several.join("\n    ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f7_a_record_stands_in_a_zone_file_in_strings_that_dns_takes() {
        for (length, lines) in [(10, 1), (255, 1), (256, 2), (510, 2), (511, 3)] {
            let record = "a".repeat(length);
            let written = zone_file("s._domainkey.example.org", &record);
            assert_eq!(written.lines().count(), lines, "{length}");
            let strings: Vec<&str> = written.split('"').skip(1).step_by(2).collect();
            assert!(strings.iter().all(|string| string.len() <= 255), "{length}");
            assert_eq!(strings.concat(), record);
            assert!(written.starts_with("s._domainkey.example.org. IN TXT "));
        }
    }

    #[test]
    fn f8_a_key_is_its_owners_and_of_the_group_that_its_directory_is_for() {
        for (of_directory, of_key) in [(0o755, 0o600), (0o700, 0o600), (0o2755, 0o640)] {
            let directory = tempfile::tempdir().unwrap();
            let mode = fs::Permissions::from_mode(of_directory);
            fs::set_permissions(directory.path(), mode).unwrap();
            let file = directory.path().join("tlsrpt.pem");
            write(&file, "a key").unwrap();
            let made = fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(made & 0o777, of_key, "{of_directory:o}");
            assert!(write(&file, "another").is_err());
        }
    }

    #[test]
    fn f8_keys_that_are_made_can_sign() {
        for (pem, algorithm) in [
            (rsa_pem(2048).unwrap(), "rsa-sha256"),
            (ed25519_pem().unwrap(), "ed25519-sha256"),
        ] {
            assert!(pem.lines().all(|line| line.len() <= 64));
            let key = DkimKey::from_pem("tlsrpt", &pem).unwrap();
            assert_eq!(key.algorithm(), algorithm);
        }
    }
}
