//! The toy MTA, which sends one message to each recipient domain.

use std::process::Stdio;

use sealpost_kit::Internet;
use tokio::process::Command;

use super::{Delivered, DemoError, Programs, file_error, folder::Folder};

/// Runs it, and reads a line of JSON for each recipient.
pub(super) async fn send_to_all(
    programs: &Programs,
    folder: &Folder,
    internet: &Internet,
) -> Result<Vec<Delivered>, DemoError> {
    let mut command = Command::new(&programs.toy_mta);
    command
        .arg("--library")
        .arg(&programs.library)
        .arg("--socket")
        .arg(folder.plugin_socket())
        .arg("--dns")
        .arg(internet.dns.address().to_string())
        .arg("--smtp-port")
        .arg(internet.mx_hosts.port().to_string())
        .arg("--ca")
        .arg(folder.ca())
        .arg("--from")
        .arg(format!("someone@{}", internet.sender_domain()));
    for case in internet.cases() {
        command.arg("--to").arg(format!("someone@{}", case.domain));
    }
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| file_error(&programs.toy_mta, &error))?;
    let failed = |reason: String| DemoError::Command {
        command: programs.toy_mta.display().to_string(),
        reason,
    };
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(failed(format!("{}: {}", output.status, complaint.trim())));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .map(|line| {
            serde_json::from_str(line)
                .map_err(|error| failed(format!("not the JSON expected: {line}: {error}")))
        })
        .collect()
}
