//! Groups of this machine, by name: whose members may use a socket.
//!
//! Read from `/etc/group`, where the groups of mail servers are. A group that only a directory
//! service knows is named by its number.

use std::{fs, io::ErrorKind, path::Path};

use rustix::process::Gid;

/// Why a group is not known. Both are for the operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum GroupError {
    /// No group of this name, and it is no number.
    #[error("there is no group {0} in /etc/group")]
    Unknown(String),
    /// The list of groups cannot be read.
    #[error("/etc/group cannot be read: {0}")]
    Unreadable(std::io::Error),
}

/// The id of a group, named or given as a number. A name goes first, as chgrp(1) has it.
///
/// # Errors
/// When there is no such group.
pub(crate) fn id_of(group: &str) -> Result<Gid, GroupError> {
    id_within(Path::new("/etc/group"), group)
}

fn id_within(file: &Path, group: &str) -> Result<Gid, GroupError> {
    let groups = match fs::read(file) {
        Ok(groups) => groups,
        // A container may have none; numbers still mean something.
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(GroupError::Unreadable(error)),
    };
    let groups = String::from_utf8_lossy(&groups);
    groups
        .lines()
        .find_map(|line| id_in_line(line, group))
        .or_else(|| number(group))
        .ok_or_else(|| GroupError::Unknown(group.to_owned()))
}

/// group(5): `name:password:number:members`.
fn id_in_line(line: &str, group: &str) -> Option<Gid> {
    let mut fields = line.split(':');
    let (name, _password, id) = (fields.next()?, fields.next()?, fields.next()?);
    if name == group { number(id) } else { None }
}

fn number(text: &str) -> Option<Gid> {
    let id: u32 = text.parse().ok()?;
    // (gid_t)-1 means "leave as it is" to chown(2).
    (id != u32::MAX).then(|| Gid::from_raw(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_name_and_by_number() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("group");
        fs::write(
            &file,
            "root:x:0:\n+nis\nbroken:x\nbad:x:many:\npostdrop:x:102:\n\
             postfix:x:101:sealpost,other\n7:x:700:\npostfix:x:999:\nm\u{fc}ller:x:103:\n",
        )
        .unwrap();
        let id = |group| id_within(&file, group).ok().map(Gid::as_raw);
        for (group, expected) in [
            ("root", Some(0)),
            ("postfix", Some(101)),
            ("postdrop", Some(102)),
            ("müller", Some(103)),
            ("7", Some(700)),
            ("8", Some(8)),
            ("post", None),
            ("broken", None),
            ("bad", None),
            ("", None),
            ("-1", None),
            ("4294967295", None),
            ("4294967296", None),
        ] {
            assert_eq!(id(group), expected, "{group}");
        }
        let missing = directory.path().join("none");
        assert_eq!(id_within(&missing, "12").unwrap().as_raw(), 12);
        assert_eq!(
            id_within(&missing, "postfix").unwrap_err().to_string(),
            "there is no group postfix in /etc/group"
        );
        assert_eq!(id_of("root").unwrap().as_raw(), 0);
    }
}
