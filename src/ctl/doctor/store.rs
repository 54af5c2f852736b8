//! The store: can the daemon write to it, and will it be there tomorrow?

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    access::{NOBODY_KNOWN, Reach, User, Want, reach, steps},
    finding::{Examined, traps},
    scene::Scene,
};
use crate::ctl::wire::{QuotaView, StoreState};

traps! {
    MISSING = "store-missing", Trouble,
        "The daemon runs and its store is not there: it was removed under it, or is on a disk that is not mounted. \
         What it counts is lost when it ends.",
        "Mount the disk, or restart the daemon, which makes a new store.";
    NOT_WRITABLE = "store-not-writable", Trouble,
        "The daemon's user may not write there: a daemon that ran as root has left its files to root, or the \
         directory was made by hand.",
        "Give it to the daemon's user while the daemon is stopped.";
    DISK_FULL = "store-disk-full", Trouble,
        "Less is left on the disk than store.free_space_min_mib: recording stops. Sessions wait in memory and are \
         lost when the daemon ends; mail goes on.",
        "Make room on the disk, or lower store.free_space_min_mib.";
    NO_FILES_LEFT = "store-no-files-left", Trouble,
        "The file system has room and no inodes left, so no file can be made: the store can write until it needs a \
         new file.",
        "Take small files away: `df -i` shows which file system it is, `du --inodes` where they are.";
    READ_ONLY = "store-read-only", Trouble,
        "The file system is mounted read-only, as Linux does when a disk has errors.",
        "Look into the kernel's log, mend the file system, and mount it for writing.";
    IN_MEMORY = "store-in-memory", Trouble,
        "The directory is in memory (tmpfs): policies, what was counted and what was sent are gone at the next boot, \
         and a report may go out twice or never.",
        "Set store.path to a directory on a disk, and move the store there while the daemon is stopped.";
    ON_NETWORK = "store-on-network", Warning,
        "The directory is on a network file system. Its locks and what it says is written are not those of a disk, \
         and the store relies on both.",
        "Set store.path to a directory on a disk of this machine.";
    NOT_WRITTEN = "store-not-written", Trouble,
        "The daemon cannot write: what it counts waits in memory, and is lost when it ends.",
        "Mend what the reason names. The daemon tries again by itself.";
    ONLY_IN_MEMORY = "store-kept-in-memory-only", Trouble,
        "The store could not be opened and no fresh one be made: what is counted until the next start is lost when \
         the daemon ends.",
        "Mend what the reason names, then restart the daemon.";
    QUOTA_EXCEEDED = "store-quota-exceeded", Trouble,
        "More is held than store.size_max_mib allows, and what is left must stay: the last seven days, what is still to \
         be reported, policies, the log of decisions. Recording goes on, and the file grows.",
        "Raise store.size_max_mib.";
    QUOTA_EATS = "store-quota-eats-days", Warning,
        "The quota is eating days that were to be kept: statements for auditors and the reports' history begin later than the \
         settings say.",
        "Raise store.size_max_mib, or keep less: store.keep_days, store.keep_failures_days, store.failures_per_domain_day_max.";
    WAS_DAMAGED = "store-was-damaged", Warning,
        "A store was found damaged, was put aside, and a fresh one is in its place. What was counted in it and not \
         reported is lost.",
        "Look for a failing disk. Remove the directory when nobody wants to look at it any more.";
}

/// Fewer inodes are as good as none: the store makes a handful of files.
const FILES_FREE_MIN: u64 = 64;

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) path: PathBuf,
    pub(super) is_there: bool,
    pub(super) daemon_runs: bool,
    /// Who writes there, and whether he can; nothing where it is not known who.
    pub(super) reach: Option<Reach>,
    pub(super) user: Option<User>,
    pub(super) disk: Result<Disk, String>,
    /// `store.free_space_min_mib`
    pub(super) free_mib_min: u64,
    /// What the daemon says: the state, why, and the rows that wait.
    pub(super) state: Option<(StoreState, Option<String>)>,
    /// How it stands by store.size_max_mib, as the daemon says.
    pub(super) quota: Option<QuotaView>,
    /// Stores that were put aside.
    pub(super) put_aside: Vec<PathBuf>,
}

/// The file system that it is on, or would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Disk {
    pub(super) free_mib: u64,
    /// Inodes that are left; nothing where the file system makes them as it goes.
    pub(super) files_free: Option<u64>,
    pub(super) is_read_only: bool,
    pub(super) kind: Kind,
}

/// What kind of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// On a disk, as far as is known.
    Disk,
    /// In memory.
    Memory,
    /// On another machine.
    Network,
}

pub(super) fn judge(facts: &Facts) -> Examined {
    let mut examined = Examined::default();
    let shown = facts.path.display().to_string();
    match (facts.is_there, facts.daemon_runs) {
        (true, _) => {}
        (false, true) => examined.found(MISSING, format!("{shown} is not there")),
        (false, false) => examined.well(format!("{shown} is made when the daemon starts")),
    }
    match &facts.reach {
        Some(Reach::Yes) => examined.well(format!("{shown} can be written to")),
        Some(Reach::No(why)) => {
            let user = facts.user.as_ref().map_or(0, |user| user.uid);
            let lines = vec![
                "systemctl stop sealpost".to_owned(),
                format!("chown -R {user}: {shown}"),
                "systemctl start sealpost".to_owned(),
            ];
            examined.found_with(NOT_WRITABLE, why.clone(), lines);
        }
        Some(Reach::NotKnown(why)) => examined.unknown(why.clone()),
        None => examined.unknown(NOBODY_KNOWN),
    }
    match &facts.disk {
        Ok(disk) => judge_disk(disk, facts, &mut examined),
        Err(why) => examined.unknown(why.clone()),
    }
    match &facts.state {
        Some((StoreState::Waiting, why)) => {
            examined.found(NOT_WRITTEN, why.clone().unwrap_or_default());
        }
        Some((StoreState::PutAside, why)) => {
            examined.found(ONLY_IN_MEMORY, why.clone().unwrap_or_default());
        }
        Some((StoreState::Recording, _)) => examined.well("the daemon is recording"),
        None => {}
    }
    if let Some(quota) = &facts.quota {
        judge_quota(quota, &mut examined);
    }
    for aside in &facts.put_aside {
        let shown = aside.display();
        let lines = vec![format!("rm -r {shown}")];
        examined.found_with(WAS_DAMAGED, format!("{shown} is there"), lines);
    }
    examined
}

fn judge_quota(quota: &QuotaView, examined: &mut Examined) {
    let max_mib = quota.max_mib;
    if quota.is_exceeded {
        let held_mib = quota.held_octets.unwrap_or_default() / (1024 * 1024);
        examined.found(
            QUOTA_EXCEEDED,
            format!("{held_mib} MiB are held, and store.size_max_mib is {max_mib}"),
        );
    }
    let forgotten: Vec<_> = quota
        .forgotten
        .iter()
        .map(|each| format!("{} up to {}", each.part, each.until))
        .collect();
    if !forgotten.is_empty() {
        let seen = format!(
            "store.size_max_mib is {max_mib}; forgotten before their time: {}",
            forgotten.join(", ")
        );
        examined.found(QUOTA_EATS, seen);
    } else if !quota.is_exceeded {
        examined.well(format!("the quota of {max_mib} MiB has taken nothing"));
    }
}

fn judge_disk(disk: &Disk, facts: &Facts, examined: &mut Examined) {
    let shown = facts.path.display();
    if disk.is_read_only {
        examined.found(
            READ_ONLY,
            format!("{shown} is on a file system that is read-only"),
        );
    }
    if disk.free_mib < facts.free_mib_min {
        let seen = format!(
            "{} MiB are left for {shown}, and store.free_space_min_mib is {}",
            disk.free_mib, facts.free_mib_min
        );
        examined.found(DISK_FULL, seen);
    } else {
        examined.well(format!("{} MiB are left", disk.free_mib));
    }
    if let Some(left) = disk.files_free.filter(|left| *left < FILES_FREE_MIN) {
        examined.found(
            NO_FILES_LEFT,
            format!("{left} files can be made where {shown} is"),
        );
    }
    match disk.kind {
        Kind::Disk => {}
        Kind::Memory => examined.found(IN_MEMORY, format!("{shown} is on a tmpfs")),
        Kind::Network => examined.found(ON_NETWORK, format!("{shown} is on a network file system")),
    }
}

pub(super) async fn examine(scene: &Scene) -> Examined {
    let config = match scene.config() {
        Ok(config) => &config.store,
        Err(why) => return Examined::not_seen(why),
    };
    let status = scene.status().await;
    let path = config.path.clone();
    let is_there = path.is_dir();
    // Where it is not there yet, whoever makes it writes to what is above.
    let existing = path.ancestors().find(|above| above.is_dir());
    let existing = existing.unwrap_or(Path::new("/")).to_owned();
    let user = scene.daemon_user().await;
    let reach = user.as_ref().map(|user| match steps(&existing, None) {
        Ok(steps) => reach(user, &steps, Want::WriteIn),
        Err(error) => Reach::NotKnown(format!("{}: {error}", existing.display())),
    });
    let quota = status.and_then(|status| status.store.quota.clone());
    let state = status.map(|status| (status.store.state, status.store.reason.clone()));
    judge(&Facts {
        is_there,
        daemon_runs: status.is_some(),
        reach,
        user,
        disk: disk(&existing),
        free_mib_min: config.free_space_min_mib,
        state,
        quota,
        put_aside: put_aside(&path),
        path,
    })
}

/// Numbers of file systems (statfs(2), linux/magic.h).
const IN_MEMORY_KINDS: [i128; 2] = [0x0102_1994, 0x8584_58f6];
const NETWORK_KINDS: [i128; 7] = [
    // NFS, SMB, CIFS, SMB 2, Ceph, AFS, 9P.
    0x6969,
    0x517b,
    0xff53_4d42,
    0xfe53_4d42,
    0x00c3_6400,
    0x5346_414f,
    0x0102_1997,
];
const FUSE_KIND: i128 = 0x6573_5546;

/// All that FUSE serves has one number; what is on another machine goes by these names in /proc/self/mountinfo.
const NETWORK_FUSES: [&str; 10] = [
    "fuse.sshfs",
    "fuse.glusterfs",
    "fuse.ceph",
    "fuse.ceph-fuse",
    "fuse.mfs",
    "fuse.seaweedfs",
    "fuse.juicefs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.gcsfuse",
];

fn disk(directory: &Path) -> Result<Disk, String> {
    let refused = |error: rustix::io::Errno| format!("{}: {error}", directory.display());
    let about = rustix::fs::statvfs(directory).map_err(refused)?;
    let kind = i128::from(rustix::fs::statfs(directory).map_err(refused)?.f_type);
    let is_network = match kind {
        FUSE_KIND => {
            let device = rustix::fs::stat(directory).map_err(refused)?.st_dev;
            let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
            name_of_kind(&mounts, device).is_some_and(|name| NETWORK_FUSES.contains(&name))
        }
        kind => NETWORK_KINDS.contains(&kind),
    };
    Ok(Disk {
        free_mib: about.f_bavail.saturating_mul(about.f_frsize) / (1024 * 1024),
        // Btrfs has none to count, and says 0 of 0.
        files_free: (about.f_files > 0).then_some(about.f_favail),
        is_read_only: about.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
        kind: if IN_MEMORY_KINDS.contains(&kind) {
            Kind::Memory
        } else if is_network {
            Kind::Network
        } else {
            Kind::Disk
        },
    })
}

/// proc_pid_mountinfo(5): `36 35 0:98 / /mnt rw,noatime - fuse.sshfs host:/path rw`. Any number of fields may stand
/// before the dash.
fn name_of_kind(mounts: &str, device: rustix::fs::Dev) -> Option<&str> {
    let numbers = format!(
        "{}:{}",
        rustix::fs::major(device),
        rustix::fs::minor(device)
    );
    let mut of_device = mounts
        .lines()
        .filter(|line| line.split(' ').nth(2) == Some(numbers.as_str()));
    let (_, rest) = of_device.next()?.split_once(" - ")?;
    rest.split(' ').next()
}

/// What was put aside beside a store: `STORE.damaged-...`.
fn put_aside(store: &Path) -> Vec<PathBuf> {
    let (Some(parent), Some(name)) = (store.parent(), store.file_name()) else {
        return Vec::new();
    };
    let beginning = format!("{}.damaged-", name.to_string_lossy());
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut aside: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&beginning))
        .map(|entry| entry.path())
        .collect();
    aside.sort();
    aside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fuse_serves_is_told_by_its_device() {
        let mounts = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
                      90 22 0:45 / /mnt/a\\040b rw,nosuid shared:7 master:2 - fuse.sshfs host:/a rw,user_id=0\n\
                      91 22 0:46 / /mnt/c rw - fuseblk /dev/sdb1 rw\n";
        for (minor, name) in [
            (45, Some("fuse.sshfs")),
            (46, Some("fuseblk")),
            (4, None),
            (450, None),
        ] {
            let device = rustix::fs::makedev(0, minor);
            assert_eq!(name_of_kind(mounts, device), name, "{minor}");
        }
        assert_eq!(name_of_kind("22 1 0:4", rustix::fs::makedev(0, 4)), None);
    }
}
