//! What a page of the documentation has typed as root, and a shell to type it into.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// The lines of a page that are typed as root: those that begin with `#` where code stands. A here-document
/// is one.
pub(crate) fn typed_lines(page: &str) -> Vec<String> {
    let mut typed = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(line) = line.strip_prefix("    # ") else {
            continue;
        };
        let mut command = line.to_owned();
        if line.contains("<<'END'") {
            for line in lines.by_ref() {
                let line = line.strip_prefix("    ").unwrap_or(line);
                command.push('\n');
                command.push_str(line);
                if line == "END" {
                    break;
                }
            }
        }
        typed.push(command);
    }
    typed
}

/// A shell at a terminal, which keeps what it was told before.
pub(crate) struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Shell {
    /// Starts what this command is: a shell.
    pub(crate) fn start(mut shell: Command) -> Self {
        let mut child = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        input.write_all(b"exec 2>&1\n").unwrap();
        Self {
            child,
            input,
            output,
        }
    }

    /// Types a command that must succeed, and gives what it says.
    pub(crate) fn types(&mut self, command: &str) -> String {
        write!(self.input, "{command}\necho \"=== $?\"\n").unwrap();
        let mut said = String::new();
        loop {
            let mut line = String::new();
            let length = self.output.read_line(&mut line).unwrap();
            assert_ne!(length, 0, "the shell has ended: {command}\n{said}");
            if let Some((before, status)) = line.split_once("=== ") {
                said.push_str(before);
                assert_eq!(status.trim_end(), "0", "{command}\n{said}");
                return said;
            }
            said.push_str(&line);
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}
