//! Whether what we start may have privileges of its own, as the `sendmail` of most MTAs needs.

/// What to say to an operator whose daemon cannot start such a program.
pub const NO_NEW_PRIVILEGES: &str = "this process may start no program with privileges of its own \
     (NoNewPrivileges=yes of systemd), and those of most MTAs need them to reach their queue: \
     deliver.via = \"relay\" needs none";

/// Are set-user-id and set-group-id bits without effect for what we start (prctl(2), `PR_GET_NO_NEW_PRIVS`)? False
/// where the system does not say.
#[must_use]
pub fn no_new_privileges() -> bool {
    // It is set for good and for all threads before the program begins, so any thread's answer is the process's.
    rustix::thread::no_new_privs().unwrap_or(false)
}
