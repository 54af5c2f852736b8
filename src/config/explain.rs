//! The table in words: for `sealpost config explain`, `docs/config.md` and the example files.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    near::nearest,
    setting::{Default as SettingDefault, Section, Setting, Shape},
    settings::{self, SECTIONS},
};

/// The least a daemon needs.
pub const MINIMAL_LINES: &str = "    [sender]
    organization = \"Example Org\"
    contact = \"postmaster@example.org\"
";

/// Nothing in the table has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchSetting {
    /// The caller: the name is of no setting and no section.
    #[error("there is no setting \"{0}\"; `sealpost config explain` lists them all")]
    Unknown(String),
    /// The caller: the name was probably meant to be another.
    #[error("there is no setting \"{0}\"; did you mean \"{1}\"?")]
    DidYouMean(String, String),
}

/// Every setting on a line, by section.
#[must_use]
pub fn list() -> String {
    let mut text = String::new();
    for section in SECTIONS {
        let _ = writeln!(text, "{}  {}", section.header(), section.text);
        for setting in section.settings {
            let _ = writeln!(text, "  {:<28} {}", setting.key, default_in_words(setting));
        }
        text.push('\n');
    }
    text.push_str(
        "`sealpost config explain SETTING` says more, for example of policy.when_unknown.\n",
    );
    text
}

/// One setting, or every setting of a section.
///
/// # Errors
/// When there is none of that name; the error names the nearest.
pub fn one(name: &str) -> Result<String, NoSuchSetting> {
    Ok(match find(name)? {
        (section, Some(setting)) => entry(section, setting),
        (section, None) => {
            let parts = section.settings.iter().map(|each| entry(section, each));
            let parts: Vec<_> = parts.collect();
            format!(
                "{}\n{}\n\n{}",
                section.header(),
                section.text,
                parts.join("\n")
            )
        }
    })
}

/// A setting as `--json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Described {
    /// Its name.
    pub setting: String,
    /// What it can be set to.
    pub value: String,
    /// What holds when it is left out, as TOML; absent where nothing does.
    pub default: Option<&'static str>,
    /// It may not be left out where its section stands.
    pub required: bool,
    /// The unit of a number.
    pub unit: Option<&'static str>,
    /// The release that brought it.
    pub since: &'static str,
    /// What it does.
    pub text: &'static str,
}

/// Every setting, those of a section, or one, as data.
///
/// # Errors
/// When there is none of that name; the error names the nearest.
pub fn described(name: Option<&str>) -> Result<Vec<Described>, NoSuchSetting> {
    let Some(name) = name else {
        return Ok(settings::all()
            .map(|(section, setting)| describe(section, setting))
            .collect());
    };
    Ok(match find(name)? {
        (section, Some(setting)) => vec![describe(section, setting)],
        (section, None) => section
            .settings
            .iter()
            .map(|each| describe(section, each))
            .collect(),
    })
}

fn describe(section: &Section, setting: &Setting) -> Described {
    let default = match setting.default {
        SettingDefault::Value(value) => Some(value),
        SettingDefault::Unset | SettingDefault::Required => None,
    };
    Described {
        setting: section.name_of(setting),
        value: setting.kind.to_string(),
        default,
        required: setting.default == SettingDefault::Required,
        unit: Some(setting.unit).filter(|unit| !unit.is_empty()),
        since: setting.since,
        text: setting.text,
    }
}

/// The section of this name, or the setting of this name with its section.
fn find(name: &str) -> Result<(&'static Section, Option<&'static Setting>), NoSuchSetting> {
    let (section_name, key) = name.split_once('.').unwrap_or((name, ""));
    // `domain.example.org.mode`, `domain."example.org".mode` and `domain.mode` all mean the same.
    let key = if section_name == "domain" {
        key.rsplit('.').next().unwrap_or(key)
    } else {
        key
    };
    let section = settings::section(section_name).ok_or_else(|| unknown(name))?;
    if key.is_empty() {
        return Ok((section, None));
    }
    let setting = section.setting(key).ok_or_else(|| unknown(name))?;
    Ok((section, Some(setting)))
}

fn unknown(name: &str) -> NoSuchSetting {
    let names: Vec<String> = settings::all()
        .map(|(section, setting)| section.name_of(setting))
        .chain(SECTIONS.iter().map(|section| section.name.to_owned()))
        .collect();
    let shown = crate::observe::printable::printable(name).into_owned();
    match nearest(name, names.iter().map(String::as_str)) {
        Some(meant) => NoSuchSetting::DidYouMean(shown, meant.to_owned()),
        None => NoSuchSetting::Unknown(shown),
    }
}

/// A setting for a terminal.
fn entry(section: &Section, setting: &Setting) -> String {
    let mut text = format!("{}\n", section.name_of(setting));
    for (name, value) in facts(setting) {
        let _ = writeln!(text, "  {name:<9}{value}");
    }
    for line in wrapped(setting.text, 92) {
        let _ = writeln!(text, "  {line}");
    }
    text
}

/// What is known of a setting, by name.
fn facts(setting: &Setting) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("value", setting.kind.to_string()),
        ("default", default_in_words(setting)),
    ];
    if !setting.unit.is_empty() {
        facts.push(("unit", setting.unit.to_owned()));
    }
    facts.push(("since", setting.since.to_owned()));
    facts
}

fn default_in_words(setting: &Setting) -> String {
    match setting.default {
        SettingDefault::Value(value) => value.to_owned(),
        SettingDefault::Unset => "not set".to_owned(),
        SettingDefault::Required => "none, it must be given".to_owned(),
    }
}

/// `docs/config.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# The configuration file\n\n\
         One TOML file, `/etc/sealpost/sealpost.toml` unless `--config FILE` names another. Every \
         setting but\n`sender.organization` and `sender.contact` may be left out. Paths in it are \
         relative to the file.\n\n\
         `sealpost config check` names every mistake in it with line and column; `sealpost config \
         explain SETTING`\nprints what stands here; `sealpost config show` prints the settings that \
         hold. `docs/examples/` has a\nminimal and a full file.\n\n\
         <!-- Made from the table in src/config/settings.rs: `sealpost config explain --markdown`. \
         -->\n",
    );
    for section in SECTIONS {
        let _ = write!(text, "\n## `{}`\n\n{}\n", section.header(), section.text);
        for setting in section.settings {
            let _ = write!(
                text,
                "\n### `{}`\n\n{}\n\n",
                section.name_of(setting),
                setting.text
            );
            for (name, value) in facts(setting) {
                let value =
                    if name == "default" && matches!(setting.default, SettingDefault::Value(_)) {
                        format!("`{value}`")
                    } else {
                        value
                    };
                let _ = writeln!(text, "- {name}: {value}");
            }
        }
    }
    text
}

/// `docs/examples/minimal.toml`.
#[must_use]
pub fn minimal_example() -> String {
    let mut text = String::from(
        "# The least a daemon needs: who sends the reports. Everything else has a default;\n\
         # `sealpost config explain` lists it. Report mail goes to the mail server on this host, which\n\
         # must sign it with DKIM unless a [[dkim]] key is given here.\n\n",
    );
    for line in MINIMAL_LINES.lines() {
        text.push_str(line.trim_start());
        text.push('\n');
    }
    text
}

/// `docs/examples/full.toml`: every setting with its text and its default.
#[must_use]
pub fn full_example() -> String {
    let mut text = String::from(
        "# Every setting there is, with what holds when it is left out. Keep the lines you change.\n",
    );
    for section in SECTIONS {
        text.push('\n');
        for line in wrapped(section.text, 92) {
            let _ = writeln!(text, "# {line}");
        }
        // A section of which there may be none stands as a comment: its files are not there.
        let hash = if section.shape == Shape::Single {
            ""
        } else {
            "#"
        };
        let _ = writeln!(text, "{hash}{}", section.header());
        for setting in section.settings {
            text.push('\n');
            for line in wrapped(setting.text, 92) {
                let _ = writeln!(text, "# {line}");
            }
            let unit = match setting.unit {
                "" => String::new(),
                unit => format!(", in {unit}"),
            };
            for line in wrapped(&format!("Value: {}{unit}.", setting.kind), 92) {
                let _ = writeln!(text, "# {line}");
            }
            let _ = writeln!(
                text,
                "{hash}{} = {}",
                setting.key,
                example(section, setting)
            );
        }
    }
    text
}

/// A value for the full example: the default, but where a working file needs another.
fn example(section: &Section, setting: &Setting) -> &'static str {
    match (section.name, setting.key, setting.default) {
        ("sender", "organization", _) => "\"Example Org\"",
        ("sender", "contact", _) => "\"postmaster@example.org\"",
        ("dkim", "selector", _) => "\"tlsrpt2026\"",
        ("dkim", "key", _) => "\"tlsrpt2026.pem\"",
        ("destination", "rua_domain", _) => "\"*.example.org\"",
        ("destination", "action", _) => "\"discard\"",
        ("domain", "mode", _) => "\"audit\"",
        ("domain", "until", _) => "\"2026-12-31\"",
        ("domain", "reason", _) => "\"their new MX is not in their policy yet\"",
        (_, _, SettingDefault::Value(value)) => value,
        (_, _, SettingDefault::Unset | SettingDefault::Required) => "\"\"",
    }
}

/// Breaks a text at spaces.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, load};

    /// Compares a file of the repository with what the table makes; `UPDATE_GOLDEN=1` rewrites it.
    #[expect(
        clippy::disallowed_methods,
        reason = "a developer rewrites the files by this variable"
    )]
    pub(crate) fn check_made(path: &str, made: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        if std::env::var("UPDATE_GOLDEN").is_ok() {
            std::fs::write(&path, made).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == made,
            "{} is not what the table makes; UPDATE_GOLDEN=1 rewrites it",
            path.display()
        );
    }

    #[test]
    fn the_documents_are_what_the_table_makes() {
        check_made("docs/config.md", &markdown());
        check_made("docs/examples/minimal.toml", &minimal_example());
        check_made("docs/examples/full.toml", &full_example());
    }

    #[test]
    fn settings_are_data_too() {
        let one = described(Some("deliver.settle_seconds")).unwrap();
        assert_eq!(one.len(), 1);
        assert_eq!(
            (&one[0].setting[..], one[0].default),
            ("deliver.settle_seconds", Some("1800"))
        );
        assert!(
            described(Some("dkim"))
                .unwrap()
                .iter()
                .all(|setting| setting.required)
        );
        assert_eq!(described(None).unwrap().len(), settings::all().count());
        assert!(described(Some("deliver.settle")).is_err());
    }

    #[test]
    fn every_example_file_loads() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples");
        let mut seen = 0;
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            // The same folder holds the examples for MTAs.
            if path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            if let Err(error) = load(&path) {
                panic!("{error}");
            }
            seen += 1;
        }
        assert!(seen >= 2);
    }

    #[test]
    fn the_full_example_says_what_holds_anyway() {
        let loaded: Config = toml::from_str(&full_example()).unwrap();
        let mut expected = Config::default();
        expected.sender.organization = "Example Org".into();
        expected.sender.contact = "postmaster@example.org".into();
        assert_eq!(loaded, expected);
    }

    #[test]
    fn the_full_example_loads_with_its_optional_sections_too() {
        let directory = tempfile::tempdir().unwrap();
        let key = ring::signature::Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new())
            .unwrap();
        let body = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, key.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        std::fs::write(directory.path().join("tlsrpt2026.pem"), pem).unwrap();
        let active: String = full_example()
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let path = directory.path().join("sealpost.toml");
        std::fs::write(&path, active).unwrap();
        let loaded = load(&path).unwrap();
        assert_eq!(loaded.config.dkim.len(), 1);
        assert_eq!(loaded.config.destination.len(), 1);
        assert_eq!(loaded.overrides.len(), 1);
        assert!(loaded.config.dkim[0].key.is_absolute());
    }

    #[test]
    fn a_setting_is_explained_by_name_and_a_slip_is_understood() {
        let text = one("policy.when_unknown").unwrap();
        assert!(text.contains("one of \"defer\", \"may\"") && text.contains("since"));
        assert_eq!(one("domain.mode"), one("domain.\"example.org\".mode"));
        assert!(one("dns").unwrap().contains("dns.attempts"));
        assert_eq!(
            one("policy.when_unknwon").unwrap_err().to_string(),
            "there is no setting \"policy.when_unknwon\"; did you mean \"policy.when_unknown\"?"
        );
        assert!(matches!(one("colour"), Err(NoSuchSetting::Unknown(_))));
    }
}
