//! The CPU of some threads of a bench, told from that of its clients.

use std::{error::Error, fs, time::Duration};

/// How long the threads of this name have run (/proc/PID/task/TID/schedstat, nanoseconds).
pub(crate) fn cpu_of(threads: &str) -> Result<Duration, Box<dyn Error + Send + Sync>> {
    let mut nanoseconds = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        // One that has ended meanwhile is none of them.
        let Ok(name) = fs::read_to_string(task.join("comm")) else {
            continue;
        };
        if name.trim_end() == threads {
            let counted = fs::read_to_string(task.join("schedstat"))?;
            let ran = counted.split_whitespace().next().unwrap_or_default();
            nanoseconds += ran.parse::<u64>()?;
        }
    }
    Ok(Duration::from_nanos(nanoseconds))
}
