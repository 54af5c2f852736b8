//! The page of `sealpost.toml`, made of the table of settings.

use std::io;

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use crate::config::{
    explain::{Described, MINIMAL_LINES, described},
    load::DEFAULT_PATH,
    settings::SECTIONS,
};

/// The page, and the section it is in: that of file formats.
pub(super) const NAME: (&str, &str) = ("sealpost.toml", "5");

/// The page.
pub(super) fn page(source: &str) -> io::Result<Vec<u8>> {
    let mut roff = Roff::new();
    roff.control("TH", [NAME.0, NAME.1, "", source, "Sealpost"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("sealpost.toml - the configuration of sealpost(1)")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([
        italic(DEFAULT_PATH),
        roman(
            " is written in TOML. Every setting has a default but those that say otherwise. \
             sealpost config check says what is wrong with the file, by line; SIGHUP has the daemon read it \
             again. This much is needed:",
        ),
    ]);
    roff.control("nf", []);
    for line in MINIMAL_LINES.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    for section in SECTIONS {
        let header = section.header();
        roff.control("SH", [header.as_str()]);
        roff.text([roman(section.text)]);
        for setting in described(Some(section.name)).map_err(io::Error::other)? {
            roff.control("TP", []);
            roff.text(head(&setting));
            roff.text([roman(setting.text)]);
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([
        bold("sealpost"),
        roman("(1), "),
        bold("sealpost-config"),
        roman("(1)"),
    ]);
    let mut page = Vec::new();
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// The name of a setting, what it can be, and what holds when it is left out.
fn head(setting: &Described) -> Vec<Inline> {
    let default = match (setting.default, setting.required) {
        (Some(value), _) => format!(", default {value}"),
        (None, true) => ", required".to_owned(),
        (None, false) => String::new(),
    };
    vec![
        bold(setting.setting.as_str()),
        roman(format!(" ({}{default})", setting.value)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings;

    #[test]
    fn every_setting_is_on_the_page() {
        let page = String::from_utf8(page("sealpost").unwrap()).unwrap();
        for (section, setting) in settings::all() {
            let name = section.name_of(setting).replace('-', "\\-");
            assert!(page.contains(&name), "{name}");
        }
        assert!(page.contains(".TH sealpost.toml 5"), "{page}");
    }
}
