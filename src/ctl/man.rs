//! `sealpost man`: the manual pages, made of the very words that `--help` shows. For whoever packages us.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::{Args, Command, CommandFactory as _};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use super::{
    CommandLine, Context,
    exit::{Exit, Failure},
};

mod configuration;

/// Who has made the pages.
const SOURCE: &str = concat!("sealpost ", env!("CARGO_PKG_VERSION"));

/// The section of the manual: what every user may run.
const SECTION: &str = "1";

/// Write the manual pages into a directory: sealpost.1, sealpost-report-send.1 and so on for each command, and
/// sealpost.toml.5. The Debian package has them. Needs neither a daemon nor a configuration.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sealpost man /usr/local/share/man/man1")]
pub(super) struct Arguments {
    /// Where they go; it is made if it is missing
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

pub(super) fn run(arguments: &Arguments, _context: &mut Context) -> Result<Exit, Failure> {
    let directory = &arguments.directory;
    let failed =
        |path: &Path, error: &io::Error| Failure::Setup(format!("{}: {error}", path.display()));
    fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
    for (name, page) in pages().map_err(|error| Failure::Internal(error.to_string()))? {
        let file = directory.join(name);
        fs::write(&file, page).map_err(|error| failed(&file, &error))?;
    }
    Ok(Exit::Ok)
}

/// Each page and the name of its file.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    // There are pages of our own for what `sealpost help` would say.
    let mut program = CommandLine::command().disable_help_subcommand(true);
    program.build();
    let (file, section) = configuration::NAME;
    let mut pages = vec![(format!("{file}.{section}"), configuration::page(SOURCE)?)];
    let mut waiting = vec![(program, None)];
    while let Some((command, above)) = waiting.pop() {
        let name = name(&command);
        pages.push((
            format!("{name}.{SECTION}"),
            page(&command, above.as_deref())?,
        ));
        let below = command.get_subcommands().filter(|each| !each.is_hide_set());
        waiting.extend(below.map(|each| (each.clone(), Some(name.clone()))));
    }
    Ok(pages)
}

/// `sealpost-report-send`.
fn name(command: &Command) -> String {
    let name = command.get_display_name();
    name.unwrap_or_else(|| command.get_name()).to_owned()
}

/// One command's page. `above` is the page of the command it belongs to.
fn page(command: &Command, above: Option<&str>) -> io::Result<Vec<u8>> {
    let has_commands = command.has_subcommands();
    let page = Man::new(command.clone())
        .title(name(command))
        .section(SECTION)
        // The same program makes the same pages, whenever that is.
        .date("")
        .source(SOURCE)
        .manual("Sealpost");
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if has_commands {
        page.render_subcommands_section(&mut text)?;
    }
    if let Some(more) = command.get_after_help() {
        text.write_all(as_typed(&more.to_string()).as_bytes())?;
    }
    let (see, section) = match above {
        Some(above) => (above, SECTION),
        None => configuration::NAME,
    };
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold(see), roman(format!("({section})"))]);
    roff.to_writer(&mut text)?;
    Ok(text)
}

/// What stands below the options of a command: headed paragraphs, whose lines stay lines.
fn as_typed(more: &str) -> String {
    let mut roff = Roff::new();
    for paragraph in more.split("\n\n") {
        let (head, lines) = match paragraph.split_once(":\n") {
            Some((head, lines)) if !head.contains('\n') => (head, lines),
            _ => ("Notes", paragraph),
        };
        let head = match head {
            "Exit codes" => "EXIT STATUS".to_owned(),
            "Example" => "EXAMPLES".to_owned(),
            other => other.to_uppercase(),
        };
        roff.control("SH", [head.as_str()]);
        roff.control("nf", []);
        for line in lines.lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
    }
    roff.to_roff()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_of(wanted: &str) -> String {
        let pages = pages().unwrap();
        let (_, page) = pages.iter().find(|(name, _)| name == wanted).unwrap();
        String::from_utf8(page.clone()).unwrap()
    }

    #[test]
    fn every_command_has_its_page_and_hidden_ones_have_none() {
        let names: Vec<String> = pages().unwrap().into_iter().map(|(name, _)| name).collect();
        for name in [
            "sealpost.1",
            "sealpost-serve.1",
            "sealpost-report-send.1",
            "sealpost-setup-postfix.1",
            "sealpost.toml.5",
        ] {
            assert!(names.iter().any(|one| one == name), "{name}: {names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("help")), "{names:?}");
        assert!(!names.iter().any(|name| name == "sealpost-man.1"));
    }

    #[test]
    fn a_page_says_what_help_says_and_its_lines_stay_lines() {
        let page = page_of("sealpost.1");
        assert!(page.contains(".SH \"EXIT STATUS\"") || page.contains(".SH EXIT STATUS"));
        assert!(page.contains("the configuration is wrong"), "{page}");
        let page = page_of("sealpost-report-send.1");
        assert!(page.contains(".SH EXAMPLES\n.nf\n"), "{page}");
        assert!(page.contains("sealpost report send \\-\\-day"), "{page}");
        assert!(page.contains("\\-\\-config"), "{page}");
        assert!(page.contains("sealpost\\-report"), "{page}");
    }
}
