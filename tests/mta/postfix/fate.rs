//! What Postfix's log says of a message.

use sealpost_kit::Delivery;

/// What became of a message to one recipient at one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    /// The recipient's address.
    pub(crate) recipient: String,
    /// How it ended in Postfix's own words.
    pub(crate) status: Status,
    /// How it ended. What bounced counts as deferred.
    pub(crate) delivered: Delivery,
    /// The MX host that took it.
    pub(crate) mx: Option<String>,
    /// The host that was spoken to last, `NAME[ADDRESS]:PORT`.
    pub(crate) relay: Option<String>,
    /// Why, the words in brackets.
    pub(crate) text: String,
    /// The line of the log.
    pub(crate) line: String,
}

/// `status=`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Sent,
    Deferred,
    Bounced,
}

/// What this log says of the message with this message-id, in its order.
pub(super) fn fates(log: &str, message_id: &str) -> Vec<Fate> {
    let named = format!(": message-id=<{message_id}>");
    let lines: Vec<Line<'_>> = log.lines().filter_map(Line::read).collect();
    let Some(queue_id) = lines
        .iter()
        .find(|line| line.whole.ends_with(&named))
        .and_then(Line::queue_id)
    else {
        return Vec::new();
    };
    (0..lines.len())
        .filter(|&at| lines[at].queue_id() == Some(queue_id))
        .filter_map(|at| fate(&lines[..at], &lines[at]))
        .collect()
}

/// `MONTH DAY TIME HOST PROCESS[ID]: TEXT`
struct Line<'a> {
    whole: &'a str,
    /// `PROCESS[ID]`
    process: &'a str,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn read(whole: &'a str) -> Option<Self> {
        let (head, text) = whole.split_once("]: ")?;
        let (_, process) = head.rsplit_once(' ')?;
        Some(Self {
            whole,
            process,
            text,
        })
    }

    fn queue_id(&self) -> Option<&'a str> {
        let (id, _) = self.text.split_once(": ")?;
        let is_id = id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_id.then_some(id)
    }

    fn status(&self) -> Option<Status> {
        let (_, status) = self.text.split_once(", status=")?;
        match status.split(' ').next()? {
            "sent" => Some(Status::Sent),
            "deferred" => Some(Status::Deferred),
            "bounced" => Some(Status::Bounced),
            _ => None,
        }
    }
}

/// Of a line `ID: to=<ADDRESS>, relay=HOST, .., status=WORD (TEXT)`.
fn fate(before: &[Line<'_>], line: &Line<'_>) -> Option<Fate> {
    let status = line.status()?;
    let after = |mark: &str| line.text.split_once(mark).map(|(_, rest)| rest);
    let (recipient, _) = after(": to=<")?.split_once(">, ")?;
    let (relay, _) = after(", relay=")?.split_once(", ")?;
    let relay = (relay != "none").then(|| relay.to_owned());
    let (_, text) = after(", status=")?.split_once(" (")?;
    let taken_by = relay.as_deref().filter(|_| status == Status::Sent);
    Some(Fate {
        recipient: recipient.to_owned(),
        status,
        delivered: taken_by.map_or(Delivery::Deferred, |relay| encryption(before, line, relay)),
        mx: taken_by.and_then(|relay| Some(relay.split_once('[')?.0.to_owned())),
        relay,
        text: text.trim_end_matches(')').to_owned(),
        line: line.whole.to_owned(),
    })
}

/// How the connection was that a message went down. Postfix says so in a line of its own, when the
/// process that delivers turns to the message, and it names the host and not the message.
fn encryption(before: &[Line<'_>], line: &Line<'_>, relay: &str) -> Delivery {
    let host = format!(" to {relay}: ");
    before
        .iter()
        .rev()
        .take_while(|earlier| {
            earlier.process != line.process
                || earlier.status().is_none()
                || earlier.queue_id() == line.queue_id()
        })
        .filter(|earlier| earlier.process == line.process || earlier.process.contains("/tlsproxy["))
        .filter(|earlier| earlier.text.contains(" TLS connection ") && earlier.text.contains(&host))
        .map(|earlier| {
            if earlier.text.starts_with("Verified ") {
                Delivery::TlsVerified
            } else {
                Delivery::Tls
            }
        })
        .next()
        .unwrap_or(Delivery::Plain)
}
