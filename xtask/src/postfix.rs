//! Debian's Postfix 3.10 and 3.7, for the tests with a real MTA.
//!
//! Each is fetched with all that it depends on into a root of its own, `TARGET/test-tools/postfix-3.10`
//! and `postfix-3.7`, which a test can `chroot` into. apt-get and dpkg-deb do the work with a private
//! state that is thrown away afterwards, so the packages and the lists of the host stay as they are; how
//! the host's apt reaches its mirror (proxies, credentials, keyrings) holds here as well. No script of a
//! package is run: what they would have done is done by [`finish`].

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use crate::{
    sources::{self, Source},
    tools::{no_arguments, output_of, remove, told, tools_directory},
};

/// One Postfix of Debian's.
struct Release {
    /// The first two numbers of its version.
    version: &'static str,
    /// The release of Debian that has it.
    suite: &'static str,
}

const RELEASES: [Release; 2] = [
    Release {
        version: "3.10",
        suite: "trixie",
    },
    Release {
        version: "3.7",
        suite: "bookworm",
    },
];

/// Postfix, a shell and its tools for Postfix's own scripts, the first users and services, and what
/// makes a key for signing.
const PACKAGES: [&str; 5] = [
    "postfix",
    "busybox-static",
    "base-passwd",
    "netbase",
    "openssl",
];

/// Written last, so that a root which has it is whole. It holds [`RECIPE`].
const RECIPE_FILE: &str = "recipe";

/// How a root is made. Another number has every root made anew.
const RECIPE: &str = "2\n";

/// What Debian's packages hold and no test reads.
const LEFT_OUT: [&str; 4] = ["doc", "man", "locale", "lintian"];

/// Hooks of the host's apt, which would work on the host's files.
const HOOKS: [&str; 7] = [
    "APT::Update::Pre-Invoke",
    "APT::Update::Post-Invoke",
    "APT::Update::Post-Invoke-Success",
    "DPkg::Pre-Invoke",
    "DPkg::Pre-Install-Pkgs",
    "DPkg::Post-Invoke",
    "AptCli::Hooks",
];

/// The numbers of Postfix's user and of its two groups. The host need not know them.
const POSTFIX_USER: u32 = 100;
const POSTFIX_GROUP: u32 = 101;
const POSTDROP_GROUP: u32 = 102;

/// `cargo xtask postfix`.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode, String> {
    no_arguments(arguments)?;
    prepare(&tools_directory()?)?;
    Ok(ExitCode::SUCCESS)
}

/// Fetches both into the directory of the tests' tools. What is there already is left as it is.
///
/// # Errors
/// The machine: it is no Debian, no mirror has the packages, or the disk is full. In words.
pub(crate) fn prepare(tools: &Path) -> Result<(), String> {
    for release in &RELEASES {
        let name = format!("postfix-{}", release.version);
        let finished = tools.join(&name);
        if fs::read_to_string(finished.join(RECIPE_FILE)).is_ok_and(|recipe| recipe == RECIPE) {
            continue;
        }
        let partial = tools.join(format!("{name}.partial"));
        let state = tools.join(format!("{name}.apt"));
        for leftover in [&partial, &state, &finished] {
            remove(leftover)?;
        }
        let fetched = fetch(release, &state).and_then(|()| unpack(release, &state, &partial));
        remove(&state)?;
        fetched.map_err(|error| format!("Postfix {}: {error}", release.version))?;
        finish(&partial)?;
        fs::rename(&partial, &finished).map_err(|error| told(&finished, &error))?;
    }
    Ok(())
}

/// Has apt-get fetch the archives into `STATE/archives`, from the first of the host's mirrors that has
/// them.
fn fetch(release: &Release, state: &Path) -> Result<(), String> {
    let mut complaints = Vec::new();
    for source in sources::of_this_machine()? {
        remove(state)?;
        write_state(release, &source, state)?;
        let mut apt = apt_get(state);
        let fetched = output_of(apt.arg("update")).and_then(|_| {
            let mut apt = apt_get(state);
            output_of(apt.args(["--download-only", "install"]).args(PACKAGES))
        });
        match fetched {
            Ok(_) => return Ok(()),
            Err(error) => complaints.push(format!("{}: {error}", source.uri)),
        }
    }
    Err(format!(
        "no source of this machine's apt has the packages of Debian's {}:\n{}",
        release.suite,
        complaints.join("\n")
    ))
}

/// Writes all that apt-get is to know and the host's apt is not: nothing is installed, and there is one
/// source.
fn write_state(release: &Release, source: &Source, state: &Path) -> Result<(), String> {
    for directory in ["lists/partial", "archives/partial"] {
        let directory = state.join(directory);
        fs::create_dir_all(&directory).map_err(|error| told(&directory, &error))?;
    }
    let private = state.display();
    let mut config: String = HOOKS.map(|hook| format!("#clear {hook};\n")).concat();
    for (option, value) in [
        ("Dir::State", format!("{private}")),
        ("Dir::State::lists", format!("{private}/lists")),
        ("Dir::State::status", format!("{private}/status")),
        (
            "Dir::State::extended_states",
            format!("{private}/extended_states"),
        ),
        ("Dir::Cache", format!("{private}")),
        ("Dir::Cache::archives", format!("{private}/archives")),
        ("Dir::Log", format!("{private}")),
        ("Dir::Etc::sourcelist", format!("{private}/debian.sources")),
        ("Dir::Etc::sourceparts", "/dev/null".to_owned()),
        ("Dir::Etc::preferences", "/dev/null".to_owned()),
        ("Dir::Etc::preferencesparts", "/dev/null".to_owned()),
        ("APT::Default-Release", String::new()),
        ("APT::Install-Recommends", "false".to_owned()),
        ("APT::Install-Suggests", "false".to_owned()),
        // The user that apt fetches as may not be allowed into the target directory.
        ("APT::Sandbox::User", String::new()),
        ("Acquire::Languages", "none".to_owned()),
        // A mirror out of reach is an error at once.
        ("APT::Update::Error-Mode", "any".to_owned()),
    ] {
        config.push_str(&format!("{option} \"{value}\";\n"));
    }
    for (name, text) in [
        ("apt.conf", config.as_str()),
        ("debian.sources", &source.stanza(release.suite)),
        ("status", ""),
    ] {
        let file = state.join(name);
        fs::write(&file, text).map_err(|error| told(&file, &error))?;
    }
    Ok(())
}

/// apt-get with a private state. Its configuration comes on top of the host's.
fn apt_get(state: &Path) -> Command {
    let mut command = Command::new("apt-get");
    command
        .arg("--config-file")
        .arg(state.join("apt.conf"))
        .args(["--quiet=2", "--yes"])
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Unpacks every archive into the root.
fn unpack(release: &Release, state: &Path, root: &Path) -> Result<(), String> {
    // Debian keeps these four below /usr and has links in their old places, which no package brings.
    for directory in ["bin", "sbin", "lib", "lib64"] {
        let merged = root.join("usr").join(directory);
        fs::create_dir_all(&merged).map_err(|error| told(&merged, &error))?;
        let link = root.join(directory);
        let target = Path::new("usr").join(directory);
        symlink(target, &link).map_err(|error| told(&link, &error))?;
    }
    let archives = state.join("archives");
    let wanted = format!("postfix_{}.", release.version);
    let mut has_postfix = false;
    for entry in fs::read_dir(&archives).map_err(|error| told(&archives, &error))? {
        let archive = entry.map_err(|error| told(&archives, &error))?.path();
        if archive.extension().is_some_and(|kind| kind == "deb") {
            unpack_one(&archive, root)?;
            let name = archive.file_name().unwrap_or_default();
            has_postfix |= name.to_string_lossy().starts_with(&wanted);
        }
    }
    if has_postfix {
        return Ok(());
    }
    Err(format!(
        "the Postfix of Debian's {} has another version",
        release.suite
    ))
}

fn unpack_one(archive: &Path, root: &Path) -> Result<(), String> {
    let mut dpkg = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(archive)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("dpkg-deb: {error}"))?;
    let mut tar = Command::new("tar");
    // The links stay links where a package has a directory of that name.
    tar.args(["--extract", "--keep-directory-symlink", "--no-same-owner"])
        .arg("--directory")
        .arg(root)
        .args(LEFT_OUT.map(|name| format!("--exclude=./usr/share/{name}")));
    if let Some(output) = dpkg.stdout.take() {
        tar.stdin(output);
    }
    let unpacked = output_of(&mut tar);
    let status = dpkg.wait().map_err(|error| format!("dpkg-deb: {error}"))?;
    unpacked.map_err(|error| format!("{}: {error}", archive.display()))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("dpkg-deb {}: {status}", archive.display()))
}

/// Does what the scripts of the packages would have done, as far as Postfix needs it.
fn finish(root: &Path) -> Result<(), String> {
    for directory in ["dev", "proc", "root", "tmp", "var/log", "var/lib/postfix"] {
        let directory = root.join(directory);
        fs::create_dir_all(&directory).map_err(|error| told(&directory, &error))?;
    }
    let scratch = root.join("tmp");
    fs::set_permissions(&scratch, fs::Permissions::from_mode(0o1777))
        .map_err(|error| told(&scratch, &error))?;
    let read = |name: &str| {
        let file = root.join(name);
        fs::read_to_string(&file).map_err(|error| told(&file, &error))
    };
    let users = read("usr/share/base-passwd/passwd.master")?;
    let groups = read("usr/share/base-passwd/group.master")?;
    let users = format!(
        "{users}postfix:x:{POSTFIX_USER}:{POSTFIX_GROUP}::/var/spool/postfix:/usr/sbin/nologin\n"
    );
    let groups = format!("{groups}postfix:x:{POSTFIX_GROUP}:\npostdrop:x:{POSTDROP_GROUP}:\n");
    for (name, text) in [
        ("etc/passwd", users),
        ("etc/group", groups),
        ("etc/postfix/main.cf", String::new()),
        (
            "etc/postfix/master.cf",
            read("usr/share/postfix/master.cf.dist")?,
        ),
        (
            "etc/postfix/dynamicmaps.cf",
            read("usr/share/postfix/dynamicmaps.cf")?,
        ),
    ] {
        let file = root.join(name);
        fs::write(&file, text).map_err(|error| told(&file, &error))?;
    }
    link_busybox(root)?;
    let mark = root.join(RECIPE_FILE);
    fs::write(&mark, RECIPE).map_err(|error| told(&mark, &error))
}

/// Links the name of each of BusyBox's tools to it, but where the root has the real one.
fn link_busybox(root: &Path) -> Result<(), String> {
    let directory = root.join("usr/bin");
    let tools = output_of(Command::new(directory.join("busybox")).arg("--list"))?;
    for tool in tools.lines() {
        let link = directory.join(tool);
        match symlink("busybox", &link) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(told(&link, &error));
            }
            _ => {}
        }
    }
    Ok(())
}
