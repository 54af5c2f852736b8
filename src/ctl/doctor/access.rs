//! Whether a user can come to a file: by the owner, the group and the mode of it and of each directory above it
//! (path_resolution(7)). Access control lists are seen and not read.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// A user of this machine, as the kernel knows him.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    /// For people.
    pub(super) name: String,
    /// User id.
    pub(super) uid: u32,
    /// Group ids: his own, and those besides that his processes have.
    pub(super) gids: Vec<u32>,
}

/// A file or directory on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) path: PathBuf,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
    /// There is an access control list, which may say otherwise.
    pub(super) has_list: bool,
}

/// What is said where it is not known who the daemon runs as.
pub(super) const NOBODY_KNOWN: &str =
    "who the daemon runs as is not known: it does not run, or may not be asked";

/// What the user wants with the last file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// unix(7): to connect or send takes the right to write.
    Connect,
    /// To read it.
    Read,
    /// To make files in it.
    WriteIn,
    /// To run it.
    Run,
}

/// Whether he comes to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Yes.
    Yes,
    /// No, in words: which step, and what is missing.
    No(String),
    /// It cannot be said.
    NotKnown(String),
}

const READ: u32 = 4;
const WRITE: u32 = 2;
const SEARCH: u32 = 1;

/// Whether a user comes to the last of these steps, the directories before it being those above it.
pub(super) fn reach(user: &User, steps: &[Step], want: Want) -> Reach {
    let Some((last, above)) = steps.split_last() else {
        return Reach::NotKnown("there is nothing to come to".to_owned());
    };
    let wanted = match want {
        Want::Connect => WRITE,
        Want::Run => SEARCH,
        Want::Read => READ,
        Want::WriteIn => WRITE | SEARCH,
    };
    let above = above.iter().map(|step| (step, SEARCH));
    for (step, bits) in above.chain([(last, wanted)]) {
        if has(user, step, bits) {
            continue;
        }
        let words = format!(
            "{} (uid {}) may not {} {} (owner {}, group {}, mode {:04o})",
            user.name,
            user.uid,
            match bits {
                SEARCH if step == last => "run",
                SEARCH => "pass through",
                READ => "read",
                _ => "write to",
            },
            step.path.display(),
            step.uid,
            step.gid,
            step.mode & 0o7777,
        );
        return if step.has_list {
            Reach::NotKnown(format!("{words}, unless its access control list lets him"))
        } else {
            Reach::No(words)
        };
    }
    Reach::Yes
}

fn has(user: &User, step: &Step, bits: u32) -> bool {
    // capabilities(7): root passes over modes, but runs nothing that nobody may.
    if user.uid == 0 && (bits != SEARCH || step.mode & 0o111 != 0) {
        return true;
    }
    // The first of the three that fits decides, also where a later one says more.
    let granted = if user.uid == step.uid {
        step.mode >> 6
    } else if user.gids.contains(&step.gid) {
        step.mode >> 3
    } else {
        step.mode
    };
    granted & bits == bits
}

/// The steps to a file, links followed: all of them, or those below a directory that the user already is in.
///
/// # Errors
/// When one of them cannot be looked at.
pub(super) fn steps(file: &Path, inside: Option<&Path>) -> io::Result<Vec<Step>> {
    let file = fs::canonicalize(file)?;
    let inside = inside.map(fs::canonicalize).transpose()?;
    let mut all: Vec<&Path> = file.ancestors().collect();
    all.reverse();
    let below = |path: &&Path| {
        let inside = inside.as_deref();
        inside.is_none_or(|inside| !file.starts_with(inside) || path.starts_with(inside))
    };
    all.into_iter().filter(below).map(step).collect()
}

fn step(path: &Path) -> io::Result<Step> {
    let file = fs::metadata(path)?;
    // Without one, or on a file system without any, the name is not there.
    let has_list = rustix::fs::getxattr_query(path, "system.posix_acl_access").is_ok();
    Ok(Step {
        path: path.to_owned(),
        uid: file.uid(),
        gid: file.gid(),
        mode: file.mode(),
        has_list,
    })
}

/// A user of `/etc/passwd`, with no group but his own: so MTAs run their processes.
pub(super) fn user_named(name: &str) -> Option<User> {
    user_within(&fs::read_to_string("/etc/passwd").ok()?, name)
}

/// passwd(5): `name:password:uid:gid:...`.
fn user_within(passwd: &str, name: &str) -> Option<User> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (is, uid, gid) = (fields.next()?, fields.nth(1)?, fields.next()?);
        if is != name && uid != name {
            return None;
        }
        Some(User {
            name: is.to_owned(),
            uid: uid.parse().ok()?,
            gids: vec![gid.parse().ok()?],
        })
    })
}

/// The user that a process runs as (proc_pid_status(5)): the effective ids, and the groups besides.
pub(super) fn user_of_process(status: &str) -> Option<User> {
    let numbers = |name: &str| -> Option<Vec<u32>> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace()
            .map(|number| number.parse().ok())
            .collect()
    };
    let uid = *numbers("Uid:")?.get(1)?;
    let mut gids = vec![*numbers("Gid:")?.get(1)?];
    gids.extend(numbers("Groups:").unwrap_or_default());
    Some(User {
        name: "the daemon's user".to_owned(),
        uid,
        gids,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(path: &str, owner: (u32, u32), mode: u32) -> Step {
        Step {
            path: path.into(),
            uid: owner.0,
            gid: owner.1,
            mode,
            has_list: false,
        }
    }

    #[test]
    fn who_comes_to_a_socket_and_who_does_not() {
        let user = |uid, gids: &[u32]| User {
            name: "x".to_owned(),
            uid,
            gids: gids.to_vec(),
        };
        let at = |directory, socket| {
            [
                step("/", (0, 0), 0o755),
                step("/run/s", (10, 10), directory),
                step("/run/s/a.sock", (10, 20), socket),
            ]
        };
        for (who, directory, socket, expected) in [
            (user(10, &[10]), 0o750, 0o600, None),
            (user(30, &[20]), 0o755, 0o660, None),
            (user(30, &[30]), 0o755, 0o666, None),
            (user(0, &[0]), 0o700, 0o000, None),
            (user(30, &[30]), 0o755, 0o660, Some("/run/s/a.sock")),
            (user(30, &[20]), 0o750, 0o660, Some("/run/s ")),
            (user(30, &[20]), 0o755, 0o640, Some("/run/s/a.sock")),
            // The owner's bits decide for him, also where others may more.
            (user(10, &[20]), 0o755, 0o066, Some("/run/s/a.sock")),
        ] {
            let reached = reach(&who, &at(directory, socket), Want::Connect);
            match (&reached, expected) {
                (Reach::Yes, None) => {}
                (Reach::No(words), Some(step)) => assert!(words.contains(step), "{words}"),
                _ => panic!("{who:?} {directory:o} {socket:o}: {reached:?}"),
            }
        }
        let mut listed = at(0o700, 0o666);
        listed[1].has_list = true;
        let reached = reach(&user(30, &[30]), &listed, Want::Connect);
        assert!(matches!(reached, Reach::NotKnown(_)), "{reached:?}");
    }

    #[test]
    fn the_steps_to_a_file_are_its_directories_links_followed() {
        let directory = tempfile::tempdir().unwrap();
        let queue = directory.path().join("queue");
        fs::create_dir_all(queue.join("sealpost")).unwrap();
        fs::write(queue.join("sealpost/file"), "").unwrap();
        std::os::unix::fs::symlink(&queue, directory.path().join("link")).unwrap();
        let file = directory.path().join("link/sealpost/file");
        let all = steps(&file, None).unwrap();
        assert_eq!(all.first().unwrap().path, Path::new("/"));
        assert!(all.iter().all(|step| !step.path.ends_with("link")));
        let below = steps(&file, Some(&queue)).unwrap();
        let names: Vec<_> = below
            .iter()
            .map(|step| step.path.file_name().unwrap())
            .collect();
        assert_eq!(names, ["queue", "sealpost", "file"]);
    }

    #[test]
    fn users_are_found_by_name_number_and_process() {
        let passwd = "root:x:0:0::/:/bin/sh\nbroken:x\npostfix:x:101:102::/:/bin/false\n";
        let found = user_within(passwd, "postfix").unwrap();
        assert_eq!((found.uid, &found.gids[..]), (101, &[102][..]));
        assert_eq!(user_within(passwd, "101"), Some(found));
        assert_eq!(user_within(passwd, "exim"), None);
        let status = "Name:\tsealpost\nUid:\t0\t7\t7\t7\nGid:\t1\t8\t8\t8\nGroups:\t8 101 \n";
        let of = user_of_process(status).unwrap();
        assert_eq!((of.uid, of.gids), (7, vec![8, 8, 101]));
        assert_eq!(user_of_process("Name:\tx\n"), None);
    }
}
