//! The memory that a bench has taken.

/// A line of proc_pid_status(5) in MB: `VmRSS` is what this process has in memory now, `VmHWM` the most that it had at any
/// time.
pub(crate) fn megabytes(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    let kib = lines
        .find(|(found, _)| *found == name)
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or_default() / 1000.0
}
