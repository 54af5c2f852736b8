//! The memory that a bench has taken.

/// The most that this process has had, in MB: at any time, or since [`forget_peak`].
pub(crate) fn peak_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line
        .and_then(|line| line.split_whitespace().nth(1))
        .and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or_default() / 1000.0
}

/// proc_pid_clear_refs(5): what comes is measured alone.
#[allow(dead_code, reason = "not every bench has several parts")]
pub(crate) fn forget_peak() -> std::io::Result<()> {
    std::fs::write("/proc/self/clear_refs", "5")
}
