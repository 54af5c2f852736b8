//! Debian's Unbound, which validates, in front of Debian's NSD, which has the kit's zones.
//!
//! Both listen on an address of loopback that no other test uses, on ports that were free. So Unbound
//! cannot find its way by delegations, which know of port 53 only: it is told of each zone that NSD has
//! it, or of one that no file can hold, that the kit's server has it. It validates all the same, from the
//! root on, and knows nothing of the real world.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use sealpost_kit::{MasterFile, SignedInternet};
use tempfile::TempDir;

use crate::{
    mta::{comes_true, test_tools},
    skipped::skipped,
};

/// Both servers. They end when this is dropped.
pub(super) struct NameServers {
    unbound: Server,
    _nsd: Server,
    _directory: TempDir,
}

/// One server.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl NameServers {
    /// Starts them on the zones of the kit, but for those that are asked for at the kit's own server.
    /// Nothing where they are not there.
    pub(super) fn start(internet: &SignedInternet, forwarded: &[&str]) -> Option<Self> {
        for program in ["nsd", "unbound"] {
            let unpacked = test_tools(program).join("library-directories");
            if !unpacked.is_file() {
                skipped(&format!(
                    "DNSSEC is not tested with {program}: cargo xtask name-servers unpacks it"
                ));
                return None;
            }
        }
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let own = own_address();
        let address = with_free_port(own);
        let files = internet.write_master_files(directory.path()).unwrap();
        let nsd = Server::start("nsd", directory.path(), address, |text| {
            nsd_configuration(text, directory.path(), address, &files);
        });
        let address = with_free_port(own);
        let unbound = Server::start("unbound", directory.path(), address, |text| {
            unbound_configuration(text, directory.path(), address, internet);
            for MasterFile { zone, .. } in &files {
                let (kind, there) = if forwarded.contains(&zone.as_str()) {
                    ("forward", internet.address())
                } else {
                    ("stub", nsd.address)
                };
                let there = in_configuration(there);
                writeln!(text, "{kind}-zone:\n name: {zone}\n {kind}-addr: {there}").unwrap();
            }
        });
        Some(Self {
            unbound,
            _nsd: nsd,
            _directory: directory,
        })
    }

    /// Where Unbound listens, for UDP and TCP.
    pub(super) fn address(&self) -> SocketAddr {
        self.unbound.address
    }
}

impl Server {
    /// Starts it and waits until it answers.
    fn start(
        name: &str,
        directory: &Path,
        address: SocketAddr,
        configure: impl FnOnce(&mut String),
    ) -> Self {
        let unpacked = test_tools(name);
        let listed = fs::read_to_string(unpacked.join("library-directories")).unwrap();
        let libraries = std::env::join_paths(listed.lines().map(|line| unpacked.join(line)));
        let mut text = String::new();
        configure(&mut text);
        let configuration = directory.join(format!("{name}.conf"));
        fs::write(&configuration, text).unwrap();
        let log = directory.join(format!("{name}.log"));
        let output = fs::File::create(&log).unwrap();
        // It ends with the test even where that has no time to end it.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--"])
            .arg(unpacked.join("usr/sbin").join(name))
            .args(["-d", "-c"])
            .arg(&configuration)
            .env("LD_LIBRARY_PATH", libraries.unwrap())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut server = Self { child, address };
        let is_up = comes_true(|| answers(address) || server.child.try_wait().unwrap().is_some());
        let is_up = is_up && server.child.try_wait().unwrap().is_none();
        let log = || fs::read_to_string(&log).unwrap_or_default();
        assert!(is_up, "{name} does not answer:\n{}", log());
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked to end, NSD ends its children too.
        let asked = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        if !asked || !comes_true(|| matches!(self.child.try_wait(), Ok(Some(_)))) {
            let _killed = self.child.kill();
            let _ended = self.child.wait();
        }
    }
}

/// An address of loopback that is this test's own: nobody else asks for ports there.
fn own_address() -> Ipv4Addr {
    static TESTS: AtomicU8 = AtomicU8::new(0);
    let test = TESTS.fetch_add(1, Ordering::Relaxed) % 3 + 1;
    // A process id has 22 bits at most.
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, test << 6 | high & 63, middle, low.clamp(1, 254))
}

/// With a port that is free for UDP and TCP. The server binds it in a moment.
fn with_free_port(own: Ipv4Addr) -> SocketAddr {
    for _ in 0..50 {
        let udp = UdpSocket::bind((own, 0)).unwrap();
        let address = udp.local_addr().unwrap();
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port is free at {own}");
}

/// An address as both write it.
fn in_configuration(address: SocketAddr) -> String {
    format!("{}@{}", address.ip(), address.port())
}

fn nsd_configuration(
    text: &mut String,
    directory: &Path,
    address: SocketAddr,
    files: &[MasterFile],
) {
    let here = directory.display();
    write!(
        text,
        "server:\n ip-address: {}\n server-count: 1\n username: \"\"\n chroot: \"\"\n \
         zonesdir: \"{here}\"\n database: \"\"\n pidfile: \"\"\n \
         xfrdfile: \"{here}/xfrd.state\"\n xfrdir: \"{here}\"\n zonelistfile: \"{here}/zone.list\"\n\
         remote-control:\n control-enable: no\n",
        in_configuration(address)
    )
    .unwrap();
    for MasterFile { zone, path } in files {
        let path = path.display();
        writeln!(text, "zone:\n name: {zone}\n zonefile: \"{path}\"").unwrap();
    }
}

fn unbound_configuration(
    text: &mut String,
    directory: &Path,
    address: SocketAddr,
    internet: &SignedInternet,
) {
    // Without these lines Unbound itself answers for `test` (RFC 6761).
    write!(
        text,
        "server:\n interface: {}\n do-daemonize: no\n username: \"\"\n chroot: \"\"\n \
         directory: \"{}\"\n pidfile: \"\"\n use-syslog: no\n logfile: \"\"\n num-threads: 1\n \
         do-ip6: no\n do-not-query-localhost: no\n module-config: \"validator iterator\"\n \
         local-zone: \"test.\" nodefault\n val-log-level: 2\n trust-anchor: \"{}\"\n\
         remote-control:\n control-enable: no\n",
        in_configuration(address),
        directory.display(),
        internet.anchor_ds(),
    )
    .unwrap();
}

/// Does a DNS server answer a question about the root there?
fn answers(address: SocketAddr) -> bool {
    // RFC 1035 s4.1: recursion desired, one question: the root, SOA, the Internet.
    const QUESTION: [u8; 17] = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1];
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut answer = [0; 512];
    let asked = socket
        .connect(address)
        .and_then(|()| socket.send(&QUESTION))
        .and_then(|_| socket.recv(&mut answer));
    // The code NOERROR, and one record at least.
    asked.is_ok_and(|length| length > 12) && answer[3] & 15 == 0 && answer[7] > 0
}
