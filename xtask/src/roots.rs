//! Clean roots of Debian 12 and 13, in which the tests install the package.
//!
//! mmdebstrap makes each, as Debian's installer leaves a small mail host: with systemd, and with Postfix as its
//! package sets it up for an "Internet Site". They are kept as `TARGET/test-tools/debian-12.tar` and
//! `debian-13.tar`; each test unpacks one for itself, and nothing is ever fetched from within.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
};

use crate::{
    sources::{self, Source},
    tools::{no_arguments, output_of, remove, told, tools_directory},
};

/// Each Debian's number, and its name in the archive.
const RELEASES: [(&str, &str); 2] = [("13", "trixie"), ("12", "bookworm")];

/// What a mail host has beside what every Debian has: what boots it, its mailer with a certificate of its own, and
/// whom it trusts. adduser is what our package needs of Debian.
const PACKAGES: &str =
    "systemd,systemd-sysv,postfix,ssl-cert,ca-certificates,adduser,init-system-helpers";

/// How a root is made. Another number has every root made anew.
const RECIPE: &str = "1\n";

/// What Debian's packages hold and no test reads.
const LEFT_OUT: [&str; 3] = ["doc", "man", "locale"];

/// `cargo xtask roots`.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode, String> {
    no_arguments(arguments)?;
    prepare(&tools_directory()?)?;
    Ok(ExitCode::SUCCESS)
}

/// Makes both. What is there already is left as it is.
///
/// # Errors
/// The machine: mmdebstrap or root is missing, no mirror has the packages, or the disk is full. In words.
pub(crate) fn prepare(tools: &Path) -> Result<(), String> {
    for (number, suite) in RELEASES {
        let finished = tools.join(format!("debian-{number}.tar"));
        // Written last, so that a root which has it is whole.
        let recipe = tools.join(format!("debian-{number}.recipe"));
        if finished.is_file() && fs::read_to_string(&recipe).is_ok_and(|recipe| recipe == RECIPE) {
            continue;
        }
        make_of_any(suite, &finished).map_err(|error| format!("Debian {number}: {error}"))?;
        fs::write(&recipe, RECIPE).map_err(|error| told(&recipe, &error))?;
    }
    Ok(())
}

/// Makes one from the first of the host's mirrors that has it.
fn make_of_any(suite: &str, finished: &Path) -> Result<(), String> {
    let work = finished.with_extension("partial");
    let mut complaints = Vec::new();
    for source in sources::of_this_machine()? {
        remove(&work)?;
        fs::create_dir(&work).map_err(|error| told(&work, &error))?;
        let made = make(suite, &source, &work);
        if made.is_ok() {
            let root = work.join("root.tar");
            fs::rename(root, finished).map_err(|error| told(finished, &error))?;
            return remove(&work);
        }
        complaints.extend(made.err());
    }
    remove(&work)?;
    Err(complaints.join("\n"))
}

fn make(suite: &str, source: &Source, work: &Path) -> Result<(), String> {
    let list = work.join("debian.sources");
    fs::write(&list, source.stanza(suite)).map_err(|error| told(&list, &error))?;
    let answers = work.join("answers");
    fs::write(
        &answers,
        "postfix postfix/main_mailer_type select Internet Site\n\
         postfix postfix/mailname string sender.test\n",
    )
    .map_err(|error| told(&answers, &error))?;
    let answer = format!(
        "chroot \"$1\" debconf-set-selections < '{}'",
        answers.display()
    );
    let mut mmdebstrap = Command::new("mmdebstrap");
    mmdebstrap
        .args(["--quiet", "--mode=root", "--variant=apt"])
        .arg(format!("--include={PACKAGES}"))
        .arg("--aptopt=APT::Install-Recommends \"false\"")
        .arg("--aptopt=Acquire::Languages \"none\"")
        .args(LEFT_OUT.map(|folder| format!("--dpkgopt=path-exclude=/usr/share/{folder}/*")))
        .arg("--essential-hook")
        .arg(answer)
        .arg(suite)
        .arg(work.join("root.tar"))
        .arg(list);
    output_of(&mut mmdebstrap)?;
    Ok(())
}
