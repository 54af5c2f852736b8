//! A host of its own: a network with nothing but loopback, where all ports are free, a private `/etc`,
//! and processes that end with it.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

/// Where the host's directory is seen from inside.
pub(crate) const INSIDE: &str = "/mnt";

/// The namespaces. They end with the process that holds them open, and that ends when this is dropped
/// or when the test dies and its input with it.
pub(crate) struct Namespace {
    holder: Child,
}

impl Namespace {
    /// Makes them. Inside, `directory` is [`INSIDE`], and `directory/etc` is `/etc`.
    pub(crate) fn new(directory: &Path) -> Self {
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "--propagation", "private"])
            .args(["--pid", "--fork", "--kill-child", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The echo comes from inside: the namespaces are there.
        holder
            .stdin
            .as_mut()
            .unwrap()
            .write_all(b"there\n")
            .unwrap();
        let mut echo = String::new();
        BufReader::new(holder.stdout.as_mut().unwrap())
            .read_line(&mut echo)
            .unwrap();
        assert_eq!(echo, "there\n", "unshare has failed; its words are above");
        let namespace = Self { holder };
        namespace.run("ip", &["link", "set", "lo", "up"]);
        let outside = directory.to_str().unwrap();
        namespace.run("mount", &["--bind", outside, INSIDE]);
        namespace.run("mount", &["--bind", &format!("{INSIDE}/etc"), "/etc"]);
        namespace
    }

    /// A command to be run inside. It becomes the program itself, so killing it kills that.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.enter();
        command.arg("--").arg(program);
        command
    }

    /// A command to be run with this directory of the inside as its root. Whatever it starts ends with
    /// the namespaces at the latest. Killing it kills no program.
    pub(crate) fn command_in_root(&self, root: &str, program: &str) -> Command {
        let mut command = self.enter();
        let holder = self.holder.id();
        command
            .arg(format!("--pid=/proc/{holder}/ns/pid_for_children"))
            .args(["--", "chroot", root, program]);
        command
    }

    /// The file by which another program can enter the network.
    pub(crate) fn network(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--net", "--mount", "--target"])
            .arg(self.holder.id().to_string())
            .stdin(Stdio::null());
        command
    }

    /// Gives the host one more address; false where the machine has no addresses of this kind.
    pub(crate) fn add_address(&self, address: &str) -> bool {
        let added = self
            .command("ip")
            // It can be bound to at once: nobody else on this host could have it.
            .args(["address", "add", address, "dev", "lo", "nodad"])
            .output()
            .unwrap();
        added.status.success()
    }

    /// Lays a cable to another host. Each end has its own address, with the length of the network.
    pub(crate) fn connect(&self, address: &str, other: &Self, other_address: &str) {
        let other_holder = other.holder.id().to_string();
        let peer = ["peer", "name", "cable", "netns", &other_holder];
        let link = ["link", "add", "cable", "type", "veth"];
        self.run("ip", &[&link[..], &peer].concat());
        for (host, address) in [(self, address), (other, other_address)] {
            host.run("ip", &["address", "add", address, "dev", "cable"]);
            host.run("ip", &["link", "set", "cable", "up"]);
        }
    }

    /// Runs a command inside that must succeed.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let output = self.command(program).args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {output:?}"
        );
        output
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The first process ends with its input, and all the others with it, before it is waited for.
        drop(self.holder.stdin.take());
        let _ended = self.holder.wait();
    }
}
