//! What is asked of the small Internet, and changes nothing.

use std::{fs, io, path::Path, time::Duration};

use sealpost_kit::{Internet, Message, ReportMail};
use serde_json::{Value, json};

/// How long `wait` waits at most.
const WAIT_SECONDS_MAX: u64 = 60;

/// The answer; nothing where it is no question.
pub(crate) async fn to(
    directory: &Path,
    internet: &Internet,
    words: &[&str],
) -> io::Result<Option<Value>> {
    Ok(Some(match words {
        ["inbox"] => inbox(directory, internet)?,
        ["messages"] => messages(internet),
        ["sessions"] => sessions(internet),
        ["wait", count] => wait(internet, count).await,
        ["asked", name, kind] => {
            let kind = kind.to_ascii_uppercase();
            json!({"times": internet.dns.times_asked(name, &kind)})
        }
        ["issue", name] => issue(directory, internet, name)?,
        _ => return Ok(None),
    }))
}

fn inbox(directory: &Path, internet: &Internet) -> io::Result<Value> {
    let folder = directory.join("inbox");
    fs::create_dir_all(&folder)?;
    let mut list = Vec::new();
    for (number, message) in (1..).zip(internet.inbox.messages()) {
        let number: u64 = number;
        let file = folder.join(format!("{number}.eml"));
        fs::write(&file, &message.data)?;
        let mut entry = json!({
            "file": file.to_string_lossy(),
            "mx": message.mx,
            "tls": message.tls,
            "from": message.from,
            "dkim": internet.dkim_verdict(&message).err().unwrap_or_else(|| "pass".to_owned()),
        });
        let report = report_of(&message);
        if let (Some(entry), Value::Object(report)) = (entry.as_object_mut(), report) {
            entry.extend(report);
        }
        list.push(entry);
    }
    Ok(Value::Array(list))
}

fn report_of(message: &Message) -> Value {
    let mail = match ReportMail::parse(&message.data) {
        Ok(mail) => mail,
        Err(error) => return json!({"error": error.to_string()}),
    };
    match serde_json::from_slice::<Value>(&mail.json) {
        Ok(report) => json!({
            "domain": mail.field("TLS-Report-Domain"),
            "subject": mail.field("Subject"),
            "report": report,
        }),
        Err(error) => json!({"error": format!("the report is no JSON: {error}")}),
    }
}

fn messages(internet: &Internet) -> Value {
    let messages = internet.mx_hosts.messages();
    let list = messages.iter().map(|message| {
        json!({
            "mx": message.mx,
            "tls": message.tls,
            "from": message.from,
            "recipients": message.recipients,
            "subject": message.field("Subject"),
        })
    });
    list.collect()
}

fn sessions(internet: &Internet) -> Value {
    let sessions = internet.mx_hosts.sessions();
    let list = sessions.iter().map(|session| {
        json!({
            "mx": session.mx,
            "client": session.client.to_string(),
            "helo": session.helo(),
            "sni": session.sni,
            "tls": session.tls,
            "mail": session.offers_mail(),
            "commands": session.commands,
        })
    });
    list.collect()
}

async fn wait(internet: &Internet, count: &str) -> Value {
    let Ok(count) = count.parse() else {
        return json!({"error": format!("not a number: {count}")});
    };
    let limit = Duration::from_secs(WAIT_SECONDS_MAX);
    let _in_time = tokio::time::timeout(limit, internet.inbox.wait_for(count)).await;
    json!({"inbox": internet.inbox.messages().len()})
}

fn issue(directory: &Path, internet: &Internet, name: &str) -> io::Result<Value> {
    let leaf = match internet.authority.issue(&[name]) {
        Ok(leaf) => leaf,
        Err(error) => return Ok(json!({"error": error.to_string()})),
    };
    let file = directory.join(format!("{name}.pem"));
    fs::write(&file, leaf.pem())?;
    Ok(json!({"file": file.to_string_lossy()}))
}
