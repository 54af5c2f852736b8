//! The sockets that MTAs use: is each there, does somebody listen, and can the MTA's user come to it?

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _},
        net::{UnixDatagram, UnixStream},
    },
    path::{Path, PathBuf},
};

use super::{
    access::{Reach, User, Want, reach, steps, user_named},
    finding::{Examined, traps},
    scene::{Answer, Scene},
};
use crate::{config::Config, net::group};

traps! {
    ABSENT = "socket-absent", Trouble,
        "The daemon runs and a socket of its configuration is not there: its directory is missing, something has \
         removed the file (systemd does with RuntimeDirectory=), or systemd holds another path.",
        "Restart the daemon, and the socket units where systemd holds the sockets. The daemon's log says what it \
         listens on.";
    DEAD = "socket-dead", Trouble,
        "The file is there and nobody listens behind it: a daemon was killed, and whoever asks is turned away.",
        "Start the daemon: it takes the place of a dead socket by itself.";
    NOT_A_SOCKET = "socket-not-a-socket", Trouble,
        "Another file is in the socket's place, which the daemon leaves alone.",
        "Move the file away, or set another path.";
    UNREACHABLE = "socket-unreachable", Trouble,
        "The MTA's user cannot come to the socket, by the modes of it or of a directory above it: the MTA defers, or \
         its outcomes are lost without a word.",
        "Let the MTA's group in: the setting `group` of a Postfix socket, `mode` and `allow_uids` of the plugin \
         socket, SocketGroup= and SocketMode= where systemd holds it.";
    NOT_ALLOWED = "socket-user-not-allowed", Trouble,
        "plugin_socket.allow_uids leaves out a user that Exim asks as: it routes as root and delivers as its own.",
        "Add the numbers to plugin_socket.allow_uids.";
    OPEN_TO_ALL = "socket-open-to-all", Warning,
        "Every user of this machine may speak on the plugin socket, and so tell sessions that never were; domains \
         would be reported failures that nobody had.",
        "Say in plugin_socket.allow_uids who may, or give the socket a group and the mode 0660.";
    NO_GROUP = "socket-group-missing", Warning,
        "There is no group of the name that the socket is to belong to, so it keeps the daemon's own, which the MTA \
         is not in.",
        "Set `group` to the group of the MTA's processes.";
}

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// The daemon runs; nothing where that is not known.
    pub(super) daemon_runs: Option<bool>,
    pub(super) doors: Vec<Door>,
}

/// One socket of the configuration.
#[derive(Clone, Debug)]
pub(super) struct Door {
    /// `plugin_socket.path`
    pub(super) setting: &'static str,
    pub(super) path: PathBuf,
    pub(super) standing: Standing,
    /// A group that it is to belong to and that there is not.
    pub(super) missing_group: Option<String>,
    /// Users of MTAs, and whether each comes to it.
    pub(super) callers: Vec<(String, Reach)>,
    /// Users that `allow_uids` leaves out.
    pub(super) left_out: Vec<u32>,
    /// Anybody on this machine may speak.
    pub(super) is_open_to_all: bool,
}

/// How a socket stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Somebody listens.
    Listens,
    /// There is a file and nobody listens.
    Dead,
    /// There is no file.
    Absent,
    /// There is not even the place for it: no MTA that it is for.
    NotWanted,
    /// There is another file.
    NotASocket,
    /// It cannot be seen.
    NotSeen(String),
}

pub(super) fn judge(facts: &Facts) -> Examined {
    let mut examined = Examined::default();
    for door in &facts.doors {
        judge_door(door, facts.daemon_runs, &mut examined);
    }
    examined
}

fn judge_door(door: &Door, daemon_runs: Option<bool>, examined: &mut Examined) {
    let shown = format!("{} {}", door.setting, door.path.display());
    match &door.standing {
        Standing::Listens => examined.well(format!("{shown} listens")),
        Standing::NotWanted => {
            examined.well(format!("{shown} is not opened: no Postfix is there"));
            return;
        }
        Standing::Absent | Standing::Dead if daemon_runs != Some(true) => {
            examined.unknown(format!(
                "{shown}: nobody listens while the daemon does not run"
            ));
            return;
        }
        Standing::Absent => return examined.found(ABSENT, format!("{shown} is not there")),
        Standing::Dead => return examined.found(DEAD, format!("{shown}: nobody listens")),
        Standing::NotASocket => {
            return examined.found(NOT_A_SOCKET, format!("{shown} is another kind of file"));
        }
        Standing::NotSeen(why) => examined.unknown(format!("{shown}: {why}")),
    }
    if let Some(group) = &door.missing_group {
        examined.found(NO_GROUP, format!("{shown}: {group}"));
    }
    for (who, reach) in &door.callers {
        match reach {
            Reach::Yes => examined.well(format!("{shown}: {who} comes to it")),
            Reach::No(why) => examined.found(UNREACHABLE, format!("{shown}: {who}: {why}")),
            Reach::NotKnown(why) => examined.unknown(format!("{shown}: {who}: {why}")),
        }
    }
    if !door.left_out.is_empty() {
        let uids: Vec<String> = door.left_out.iter().map(ToString::to_string).collect();
        let seen = format!("plugin_socket.allow_uids lacks {}", uids.join(" and "));
        examined.found(NOT_ALLOWED, seen);
    }
    if door.is_open_to_all {
        examined.found(
            OPEN_TO_ALL,
            format!("{shown} has a mode that lets everybody in"),
        );
    }
}

pub(super) async fn examine(scene: &Scene) -> Examined {
    let config = match scene.config() {
        Ok(config) => config,
        Err(why) => return Examined::not_seen(why),
    };
    let (daemon, postfix, exim) = tokio::join!(scene.daemon(), scene.postfix(), scene.exim());
    let daemon_runs = match daemon.answer {
        Answer::Running(_) => Some(true),
        Answer::NotRunning(_) => Some(false),
        // Who may not ask can see all the same what is there.
        Answer::NotPermitted(_) | Answer::Silent(_) => None,
    };
    let postfix = postfix.ok().map(|postfix| Caller {
        who: "Postfix",
        user: user_named(&postfix.mail_owner),
        works_in: Some(postfix.queue_directory.clone()),
    });
    let exim = exim.ok().flatten().filter(|exim| exim.asks());
    let exim = exim.map(|exim| Caller {
        who: "Exim",
        user: exim.user.clone(),
        works_in: None,
    });
    let mut doors = vec![plugin_door(config, exim.as_ref())];
    let socketmap = &config.socketmap;
    let told = &config.tlsrpt_socket;
    for (setting, path, group, kind) in [
        (
            "socketmap.path",
            &socketmap.path,
            &socketmap.group,
            Kind::Stream,
        ),
        (
            "tlsrpt_socket.path",
            &told.path,
            &told.group,
            Kind::Datagram,
        ),
    ] {
        if !path.as_os_str().is_empty() {
            doors.push(postfix_door(setting, path, group, kind, postfix.as_ref()));
        }
    }
    judge(&Facts { daemon_runs, doors })
}

/// An MTA that comes to a socket.
struct Caller {
    who: &'static str,
    user: Option<User>,
    /// The directory that its processes are in: they find what is below by a relative path.
    works_in: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Stream,
    Datagram,
}

fn plugin_door(config: &Config, exim: Option<&Caller>) -> Door {
    let settings = &config.plugin_socket;
    let path = &settings.path;
    let allowed = &settings.allow_uids;
    let askers = exim.and_then(|exim| exim.user.as_ref());
    let askers = askers.map_or_else(Vec::new, |user| vec![0, user.uid]);
    let everybody = fs::metadata(path).is_ok_and(|file| file.mode() & 0o002 != 0);
    Door {
        setting: "plugin_socket.path",
        path: path.clone(),
        standing: standing(path, Kind::Stream),
        missing_group: None,
        callers: exim.into_iter().map(|exim| called(path, exim)).collect(),
        left_out: askers
            .into_iter()
            .filter(|uid| !allowed.is_empty() && !allowed.contains(uid))
            .collect(),
        is_open_to_all: everybody && allowed.is_empty(),
    }
}

fn postfix_door(
    setting: &'static str,
    path: &Path,
    group: &str,
    kind: Kind,
    postfix: Option<&Caller>,
) -> Door {
    // The daemon makes the socket's own directory, and not the one above.
    let above = path.parent().and_then(Path::parent);
    let standing = match above {
        Some(above) if postfix.is_none() && !above.exists() => Standing::NotWanted,
        _ => standing(path, kind),
    };
    let missing_group = match group {
        "" => None,
        named => group::id_of(named).err().map(|error| error.to_string()),
    };
    Door {
        setting,
        path: path.to_owned(),
        standing,
        missing_group,
        callers: postfix
            .into_iter()
            .map(|postfix| called(path, postfix))
            .collect(),
        left_out: Vec::new(),
        is_open_to_all: false,
    }
}

fn called(path: &Path, caller: &Caller) -> (String, Reach) {
    let Some(user) = &caller.user else {
        let unknown = Reach::NotKnown("its user is not in /etc/passwd".to_owned());
        return (caller.who.to_owned(), unknown);
    };
    let reached = match steps(path, caller.works_in.as_deref()) {
        Ok(steps) => reach(user, &steps, Want::Connect),
        Err(error) => Reach::NotKnown(error.to_string()),
    };
    (caller.who.to_owned(), reached)
}

/// Comes to the socket itself, which tells the kernel nothing but whether somebody listens.
fn standing(path: &Path, kind: Kind) -> Standing {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Standing::Absent,
        Err(error) => return Standing::NotSeen(error.to_string()),
        Ok(file) if !file.file_type().is_socket() => return Standing::NotASocket,
        Ok(_) => {}
    }
    let connected = match kind {
        Kind::Stream => UnixStream::connect(path).map(drop),
        Kind::Datagram => UnixDatagram::unbound().and_then(|socket| socket.connect(path)),
    };
    match connected {
        Ok(()) => Standing::Listens,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Standing::Dead,
        Err(error) => Standing::NotSeen(error.to_string()),
    }
}
