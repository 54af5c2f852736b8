//! The sources of this machine's apt, read for the address of a Debian mirror.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::tools::told;

/// Where apt keeps its sources.
const DIRECTORY: &str = "/etc/apt";

/// The part of Debian's archive that has what we want.
const COMPONENT: &str = "main";

/// An archive, and how apt is to trust it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Its address, up to but without `dists`.
    pub(crate) uri: String,
    /// `Signed-By`: a keyring, or the keys themselves with the lines after the first indented.
    signed_by: Option<String>,
    /// `Trusted`.
    trusted: Option<String>,
}

impl Source {
    /// A file of sources with this archive's lists of one suite.
    pub(crate) fn stanza(&self, suite: &str) -> String {
        let mut stanza = format!(
            "Types: deb\nURIs: {}\nSuites: {suite}\nComponents: {COMPONENT}\nTargets: Packages\n",
            self.uri
        );
        for (field, value) in [("Signed-By", &self.signed_by), ("Trusted", &self.trusted)] {
            if let Some(value) = value {
                stanza.push_str(&format!("{field}: {value}\n"));
            }
        }
        stanza
    }

    /// Does it look like the archive that Debian itself makes?
    fn is_named_debian(&self) -> bool {
        self.uri.trim_end_matches('/').ends_with("/debian")
    }
}

/// Every archive that may have Debian's releases, the likeliest first.
///
/// # Errors
/// The files cannot be read, or there is no archive in them. In words.
pub(crate) fn of_this_machine() -> Result<Vec<Source>, String> {
    let mut found: Vec<Source> = Vec::new();
    for file in files(Path::new(DIRECTORY))? {
        let text = fs::read_to_string(&file).map_err(|error| told(&file, &error))?;
        let in_stanzas = file.extension().is_some_and(|kind| kind == "sources");
        let sources = if in_stanzas {
            in_stanzas_of(&text)
        } else {
            in_lines_of(&text)
        };
        for source in sources {
            if !found.iter().any(|known| known.uri == source.uri) {
                found.push(source);
            }
        }
    }
    if found.is_empty() {
        return Err(format!(
            "{DIRECTORY} has no source of packages; is this a Debian?"
        ));
    }
    found.sort_by_key(|source| !source.is_named_debian());
    Ok(found)
}

/// The files that apt reads its sources from, in its order.
fn files(apt: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::from([apt.join("sources.list")]);
    let parts = apt.join("sources.list.d");
    if parts.is_dir() {
        let entries = fs::read_dir(&parts).map_err(|error| told(&parts, &error))?;
        let mut parts: Vec<PathBuf> = entries
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .filter(|path| {
                let kind = path.extension().and_then(|kind| kind.to_str());
                matches!(kind, Some("list" | "sources"))
            })
            .collect();
        parts.sort();
        files.append(&mut parts);
    }
    files.retain(|file| file.is_file());
    Ok(files)
}

/// Reads `sources.list(5)`'s stanzas: fields, of which each may go on in indented lines.
fn in_stanzas_of(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    let mut last = None;
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            sources.append(&mut of_fields(&std::mem::take(&mut fields)));
            last = None;
        } else if line.starts_with([' ', '\t']) {
            if let Some(value) = last.as_ref().and_then(|name| fields.get_mut(name)) {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            let name = name.trim().to_ascii_lowercase();
            fields.insert(name.clone(), value.trim().to_owned());
            last = Some(name);
        }
    }
    sources
}

fn of_fields(fields: &BTreeMap<String, String>) -> Vec<Source> {
    let field = |name: &str| fields.get(name).map(String::as_str);
    let words = |name: &str| field(name).unwrap_or_default().split_ascii_whitespace();
    let enabled = !matches!(field("enabled"), Some("no" | "false" | "off" | "0"));
    let fits = enabled
        && words("types").any(|kind| kind == "deb")
        && words("suites").any(is_release)
        && words("components").any(|component| component == COMPONENT);
    words("uris")
        .filter(|_| fits)
        .map(|uri| Source {
            uri: uri.to_owned(),
            signed_by: field("signed-by").map(str::to_owned),
            trusted: field("trusted").map(str::to_owned),
        })
        .collect()
}

/// Reads its lines: `deb [NAME=VALUE ...] URI SUITE COMPONENT...`.
fn in_lines_of(text: &str) -> Vec<Source> {
    text.lines().filter_map(in_line).collect()
}

fn in_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let mut rest = line.strip_prefix("deb")?;
    if !rest.starts_with([' ', '\t']) {
        return None;
    }
    rest = rest.trim_start();
    let mut options = "";
    if let Some(bracketed) = rest.strip_prefix('[') {
        (options, rest) = bracketed.split_once(']')?;
    }
    let mut words = rest.split_ascii_whitespace();
    let (uri, suite) = (words.next()?, words.next()?);
    if !is_release(suite) || !words.any(|component| component == COMPONENT) {
        return None;
    }
    let option = |wanted: &str| {
        options
            .split_ascii_whitespace()
            .filter_map(|option| option.split_once('='))
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.to_owned())
    };
    Some(Source {
        uri: uri.to_owned(),
        signed_by: option("signed-by"),
        trusted: option("trusted"),
    })
}

/// Is the suite a whole release, and not what is added to one?
fn is_release(suite: &str) -> bool {
    !suite.contains(['-', '/'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(uri: &str, signed_by: Option<&str>, trusted: Option<&str>) -> Source {
        Source {
            uri: uri.to_owned(),
            signed_by: signed_by.map(str::to_owned),
            trusted: trusted.map(str::to_owned),
        }
    }

    #[test]
    fn a_mirror_is_found_in_stanzas() {
        let text = "\
# What the installer wrote.
Types: deb deb-src
# http://old.example/debian
URIs: http://one.example/debian http://two.example/debian/
Suites: trixie trixie-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://one.example/debian-security
Suites: trixie-security
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: trixie
Components: main

types: deb
uris:
 http://three.example/apt
suites: trixie
components:
 main
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQ
trusted: yes
";
        let keyring = Some("/usr/share/keyrings/debian-archive-keyring.gpg");
        let keys = Some("\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ");
        assert_eq!(
            in_stanzas_of(text),
            [
                source("http://one.example/debian", keyring, None),
                source("http://two.example/debian/", keyring, None),
                source("http://three.example/apt", keys, Some("yes")),
            ]
        );
    }

    #[test]
    fn a_mirror_is_found_in_lines() {
        let text = "\
# deb http://old.example/debian trixie main
deb http://one.example/debian trixie main contrib # the near one
deb-src http://source.example/debian trixie main
deb\t[ arch=amd64 signed-by=/k.gpg trusted=yes ]\tfile:/srv/debian bookworm main
deb http://one.example/debian-security trixie-security main
deb http://tools.example/apt ./
deb [signed-by=/broken http://broken.example/debian trixie main
deb http://chat.example/debian trixie stable
";
        assert_eq!(
            in_lines_of(text),
            [
                source("http://one.example/debian", None, None),
                source("file:/srv/debian", Some("/k.gpg"), Some("yes")),
            ]
        );
    }

    #[test]
    fn a_mirror_is_asked_for_the_suite_that_is_wanted() {
        let keys = source("http://one.example/debian", Some("\n A\n B"), Some("yes"));
        assert_eq!(
            keys.stanza("bookworm"),
            "Types: deb\nURIs: http://one.example/debian\nSuites: bookworm\nComponents: main\n\
             Targets: Packages\nSigned-By: \n A\n B\nTrusted: yes\n"
        );
    }
}
