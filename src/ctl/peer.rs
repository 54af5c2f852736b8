//! Who speaks on the control socket: the user whom the system vouches for.

use tokio::io::AsyncReadExt as _;

/// Where the system names its users. Those of a directory service are not in it and stay numbers.
const USERS: &str = "/etc/passwd";

/// More of the file is not read.
const USERS_OCTETS_MAX: u64 = 1024 * 1024;

/// What a user is called; `user 1000` where that is not known.
pub(super) async fn user_name(user: u32) -> String {
    let mut users = String::new();
    let read = async {
        let file = tokio::fs::File::open(USERS).await?;
        file.take(USERS_OCTETS_MAX).read_to_string(&mut users).await
    };
    if let Err(error) = read.await {
        tracing::debug!(%error, "{USERS} cannot be read");
    }
    named_in(&users, user).unwrap_or_else(|| format!("user {user}"))
}

/// passwd(5): name, password, number, and more, between colons.
fn named_in(users: &str, user: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        (number == user).then(|| name.to_owned())
    })
}

/// Who is noted as the author of something: a name that was given is what the user says of themselves.
pub(super) fn author(given: Option<String>, user: &str) -> String {
    match given {
        Some(name) if name.trim() != user => format!("{} (as {user})", name.trim()),
        _ => user.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_known_by_number_and_a_claim_is_never_alone() {
        let users =
            "root:x:0:0:root:/root:/bin/bash\n# comment\nbroken:x:\n:x:7:7::/:\nmail:x:8:8::/:\n";
        for (user, expected) in [
            (0, Some("root")),
            (8, Some("mail")),
            (7, None),
            (1_000, None),
        ] {
            assert_eq!(named_in(users, user).as_deref(), expected, "{user}");
        }
        assert_eq!(author(None, "root"), "root");
        assert_eq!(author(Some("root".into()), "root"), "root");
        assert_eq!(author(Some("Ada".into()), "root"), "Ada (as root)");
    }
}
