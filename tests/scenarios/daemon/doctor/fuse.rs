//! A store on another machine: a file system that the kernel knows by its name alone, for the test serves it.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::Stdio,
};

use rustix::fs::OFlags;

use super::{
    super::host::{Waited, until},
    namespace::can_be_laid_out,
    stage::{Stage, traps_in},
};
use crate::skipped::{left_out, skipped};

/// What is set below.
pub(super) const TRAPS: [&str; 1] = ["store-on-network"];

#[test]
fn a_store_on_a_file_system_of_another_machine_is_found() {
    let mut stage = Stage::new();
    fs::create_dir(stage.host.file("store")).unwrap();
    stage.lines = "mount --types tmpfs sealpost-test \"$HOST/store\"".to_owned();
    if !can_be_laid_out(&stage) {
        skipped("only root with namespaces can mount a file system of another machine");
        return;
    }
    if !Path::new("/dev/fuse").exists() {
        left_out("this machine's kernel has no FUSE, so no store is on another machine");
        return;
    }
    for (name, traps) in [
        // On a disk of this machine, whoever serves it.
        ("fuse.mergerfs", &[""; 0][..]),
        ("fuse.sshfs", &TRAPS),
    ] {
        // The file at 0 is the one by which the kernel asks.
        stage.lines = format!(
            "mount --internal-only --types {name} \
             --options fd=0,rootmode=40000,user_id=0,group_id=0 sealpost-test:/ \"$HOST/store\"\n\
             exec </dev/null"
        );
        let mut options = OpenOptions::new();
        options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let kernel = options.read(true).write(true).open("/dev/fuse").unwrap();
        let mut command = stage.command(&["store", "--json"]);
        command.stdin(kernel.try_clone().unwrap());
        command.stdout(Stdio::piped());
        let mut doctor = Waited(command.spawn().unwrap());
        // It holds the file too.
        drop(command);
        until("the doctor has looked", || {
            while answer_next(&kernel) {}
            doctor.0.try_wait().unwrap()
        });
        let mut said = String::new();
        let mut output = doctor.0.stdout.take().unwrap();
        output.read_to_string(&mut said).unwrap();
        let results = serde_json::from_str(&said);
        let results = results.unwrap_or_else(|error| panic!("{error}: {name}: {said}"));
        assert_eq!(traps_in(&results), traps, "{name}: {results}");
    }
}

/// Answers one question of the kernel's (linux/fuse.h) about a directory with nothing in it; false where none is there,
/// since nothing is mounted yet or any more.
fn answer_next(mut kernel: &File) -> bool {
    let mut question = [0; 65_536];
    if kernel.read(&mut question).is_err() {
        return false;
    }
    let operation = u32::from_ne_bytes(question[4..8].try_into().unwrap());
    let many = 1 << 20;
    let (error, answer) = match operation {
        // FUSE_FORGET, FUSE_INTERRUPT, FUSE_BATCH_FORGET: nobody waits for an answer.
        2 | 36 | 42 => return true,
        // FUSE_INIT: the version, and how much is written at once.
        26 => {
            let words = [7, 31, 0, 0, 0, 4_096, 1];
            (0, octets(&[], &[&words[..], &[0; 9]].concat()))
        }
        // FUSE_GETATTR: a directory of root's.
        3 => {
            let words = [0, 0, 0, 0o40_755, 2, 0, 0, 0, 4_096, 0];
            (0, octets(&[0, 0, 1, 0, 0, 0, 0, 0], &words))
        }
        // FUSE_STATFS: room for many blocks and files.
        17 => {
            let words = [4_096, 255, 4_096];
            let words = [&words[..], &[0; 7]].concat();
            (0, octets(&[many; 5], &words))
        }
        // ENOSYS
        _ => (-38_i32, Vec::new()),
    };
    let length = u32::try_from(16 + answer.len()).unwrap();
    let head = octets(&[], &[length, error.cast_unsigned()]);
    let all = [&head[..], &question[8..16], &answer].concat();
    // Who asked may have gone.
    let _answered = kernel.write_all(&all).is_ok();
    true
}

fn octets(longs: &[u64], words: &[u32]) -> Vec<u8> {
    let longs = longs.iter().flat_map(|long| long.to_ne_bytes());
    longs
        .chain(words.iter().flat_map(|word| word.to_ne_bytes()))
        .collect()
}
