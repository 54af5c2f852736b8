//! A stand-in for the daemon: a plugin socket that answers from a script and takes down what it was
//! asked.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

/// The stand-in. Its socket is gone when it is dropped, or when the script ends.
pub(crate) struct StandIn {
    path: PathBuf,
    lines: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    /// Answers each line with what the script makes of it; where it makes nothing of it, the daemon is
    /// gone from then on.
    pub(crate) fn start(
        path: &Path,
        mut script: impl FnMut(&str) -> Option<String> + Send + 'static,
    ) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(path, mode).unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&lines);
        let socket = path.to_owned();
        thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = BufReader::new(client.unwrap());
                let mut request = String::new();
                if client.read_line(&mut request).is_err() {
                    continue;
                }
                let request = request.trim_end_matches('\n');
                let Some(answer) = script(request) else {
                    let _gone = std::fs::remove_file(&socket);
                    return;
                };
                heard.lock().unwrap().push(request.to_owned());
                let _written = writeln!(client.get_mut(), "{answer}");
            }
        });
        Self {
            path: path.to_owned(),
            lines,
        }
    }

    /// Every line so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.path);
    }
}
