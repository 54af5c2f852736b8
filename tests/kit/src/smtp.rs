//! One SMTP conversation, from the server's side (RFC 5321).

use std::io;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufStream,
};

use crate::{
    message::{MailLog, Message, SessionNumber},
    mx::MxBehaviour,
};

/// The longest command line. RFC 5321 s4.5.3.1.4 has 512 octets, and extensions add to that.
const LINE_BYTES_MAX: u64 = 4_096;

/// The largest message, as announced by SIZE (RFC 1870).
const MESSAGE_BYTES_MAX: usize = 20_000_000;

/// How much longer a long EHLO reply is: more than MTAs keep of one.
const BIG_EHLO_LINES: usize = 40;
const BIG_EHLO_LINE_BYTES: usize = 60;

/// What is to be done after the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Close the connection.
    Close,
    /// Begin the TLS handshake.
    StartTls,
}

/// What the server knows of its client.
pub(crate) struct Conversation {
    name: String,
    behaviour: MxBehaviour,
    log: MailLog,
    session: SessionNumber,
    tls: bool,
    helo: Option<String>,
    from: Option<String>,
    recipients: Vec<String>,
}

/// What one command leads to.
enum Step {
    Reply(String),
    Message,
    Leave(String, Next),
}

impl Conversation {
    pub(crate) fn new(
        name: &str,
        behaviour: MxBehaviour,
        log: MailLog,
        session: SessionNumber,
    ) -> Self {
        Self {
            name: name.to_owned(),
            behaviour,
            log,
            session,
            tls: false,
            helo: None,
            from: None,
            recipients: Vec::new(),
        }
    }

    /// RFC 3207 s4.2: after the handshake both sides forget what was said before.
    pub(crate) fn begin_again_over_tls(&mut self) {
        self.tls = true;
        self.helo = None;
        self.forget_message();
    }

    /// Answers commands until the client or the behaviour ends it. The greeting is said already, and
    /// need not be flushed.
    pub(crate) async fn hold(
        &mut self,
        stream: &mut BufStream<impl AsyncRead + AsyncWrite + Unpin>,
    ) -> io::Result<Next> {
        loop {
            // Replies to pipelined commands leave together (RFC 2920).
            stream.flush().await?;
            let Some(line) = read_command(stream).await? else {
                return Ok(Next::Close);
            };
            self.log
                .note(self.session, |session| session.commands.push(line.clone()));
            match self.step(&line) {
                Step::Reply(reply) => stream.write_all(reply.as_bytes()).await?,
                Step::Message => {
                    stream.write_all(b"354 Go on\r\n").await?;
                    stream.flush().await?;
                    match self.take_message(stream).await? {
                        Some(reply) => stream.write_all(reply.as_bytes()).await?,
                        None => return Ok(Next::Close),
                    }
                }
                Step::Leave(reply, next) => {
                    stream.write_all(reply.as_bytes()).await?;
                    stream.flush().await?;
                    return Ok(next);
                }
            }
        }
    }

    fn step(&mut self, line: &str) -> Step {
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => self.greet(argument, self.ehlo_reply()),
            "HELO" => self.greet(argument, format!("250 {}\r\n", self.name)),
            "STARTTLS" => self.start_tls(),
            "MAIL" => self.mail(argument),
            "RCPT" => self.recipient(argument),
            "DATA" if self.recipients.is_empty() => reply("503 5.5.1 No recipient was accepted"),
            "DATA" => Step::Message,
            "RSET" => {
                self.forget_message();
                reply("250 2.0.0 Forgotten")
            }
            "NOOP" => reply("250 2.0.0 So be it"),
            "VRFY" => reply("252 2.0.0 Send it and see"),
            "QUIT" => Step::Leave("221 2.0.0 Goodbye\r\n".to_owned(), Next::Close),
            _ => reply("500 5.5.2 Not a command known here"),
        }
    }

    fn greet(&mut self, name: &str, answer: String) -> Step {
        if name.trim().is_empty() {
            return reply("501 5.5.4 A name is needed");
        }
        self.helo = Some(name.trim().to_owned());
        self.forget_message();
        Step::Reply(answer)
    }

    fn ehlo_reply(&self) -> String {
        let mut lines = vec![
            self.name.clone(),
            "PIPELINING".to_owned(),
            format!("SIZE {MESSAGE_BYTES_MAX}"),
            "8BITMIME".to_owned(),
            "SMTPUTF8".to_owned(),
            "ENHANCEDSTATUSCODES".to_owned(),
        ];
        if !self.tls && self.behaviour != MxBehaviour::NoStartTls {
            // Not last, so that a client that reads only the first or last line is found out.
            lines.insert(2, "STARTTLS".to_owned());
        }
        if self.behaviour == MxBehaviour::BigEhlo {
            let filler = "x".repeat(BIG_EHLO_LINE_BYTES);
            lines.extend((1..=BIG_EHLO_LINES).map(|number| format!("X-{number:03} {filler}")));
        }
        let last = lines.len().saturating_sub(1);
        lines
            .iter()
            .enumerate()
            .map(|(index, line)| {
                let separator = if index == last { ' ' } else { '-' };
                format!("250{separator}{line}\r\n")
            })
            .collect()
    }

    fn start_tls(&self) -> Step {
        match self.behaviour {
            _ if self.tls => reply("503 5.5.1 TLS is up already"),
            MxBehaviour::NoStartTls => reply("502 5.5.1 No TLS here"),
            MxBehaviour::RefusesStartTls => reply("454 4.7.0 No TLS for now"),
            _ => Step::Leave("220 2.0.0 Begin\r\n".to_owned(), Next::StartTls),
        }
    }

    fn mail(&mut self, argument: &str) -> Step {
        if self.helo.is_none() {
            return reply("503 5.5.1 Say EHLO first");
        }
        if self.from.is_some() {
            return reply("503 5.5.1 One message at a time");
        }
        let Some((path, parameters)) = path_after("FROM:", argument) else {
            return reply("501 5.5.4 MAIL FROM:<address> is needed");
        };
        let too_large = parameters.split_ascii_whitespace().any(|parameter| {
            parameter
                .to_ascii_uppercase()
                .strip_prefix("SIZE=")
                .and_then(|size| size.parse::<usize>().ok())
                .is_some_and(|size| size > MESSAGE_BYTES_MAX)
        });
        if too_large {
            return reply("552 5.3.4 Too large");
        }
        self.from = Some(path.to_owned());
        reply("250 2.1.0 Sender known")
    }

    fn recipient(&mut self, argument: &str) -> Step {
        if self.from.is_none() {
            return reply("503 5.5.1 Say MAIL first");
        }
        let Some((path, _)) = path_after("TO:", argument) else {
            return reply("501 5.5.4 RCPT TO:<address> is needed");
        };
        if let MxBehaviour::RefusesRecipients(code) = self.behaviour {
            return Step::Reply(format!("{code} This recipient is refused\r\n"));
        }
        if self.behaviour == MxBehaviour::KnowsNoRecipient {
            return reply("550 5.1.1 No such mailbox here");
        }
        self.recipients.push(path.to_owned());
        reply("250 2.1.5 Recipient known")
    }

    /// Reads to the line with the dot and keeps what came before it.
    async fn take_message(
        &mut self,
        stream: &mut BufStream<impl AsyncRead + AsyncWrite + Unpin>,
    ) -> io::Result<Option<String>> {
        let Some(data) = read_message(stream).await? else {
            return Ok(None);
        };
        let recipients = std::mem::take(&mut self.recipients);
        let from = self.from.take().unwrap_or_default();
        if data.len() > MESSAGE_BYTES_MAX {
            return Ok(Some("552 5.3.4 Too large\r\n".to_owned()));
        }
        if let MxBehaviour::RefusesMessages(code) = self.behaviour {
            return Ok(Some(format!("{code} This message is refused\r\n")));
        }
        self.log.keep(Message {
            mx: self.name.clone(),
            tls: self.tls,
            helo: self.helo.clone().unwrap_or_default(),
            from,
            recipients,
            data,
        });
        if self.behaviour == MxBehaviour::ClosesAfterMessage {
            return Ok(None);
        }
        Ok(Some("250 2.0.0 Taken\r\n".to_owned()))
    }

    fn forget_message(&mut self) {
        self.from = None;
        self.recipients.clear();
    }
}

fn reply(text: &str) -> Step {
    Step::Reply(format!("{text}\r\n"))
}

/// `FROM:<path> parameters`: the path without its brackets, and the rest.
fn path_after<'a>(keyword: &str, argument: &'a str) -> Option<(&'a str, &'a str)> {
    let (found, rest) = argument.split_at_checked(keyword.len())?;
    if !found.eq_ignore_ascii_case(keyword) {
        return None;
    }
    rest.trim_start().strip_prefix('<')?.split_once('>')
}

/// One line without its end; nothing when the client has gone.
async fn read_command(
    stream: &mut BufStream<impl AsyncRead + AsyncWrite + Unpin>,
) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let mut limited = stream.take(LINE_BYTES_MAX);
    limited.read_until(b'\n', &mut line).await?;
    if line.pop() != Some(b'\n') {
        return Ok(None);
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

/// The message up to the line with the dot, without the dots added in front of others (RFC 5321
/// s4.5.2). Only CRLF ends a line here, so nothing can be smuggled in behind a bare LF. Nothing when
/// the client has gone. Of a message that is too large only the first octets are kept.
async fn read_message(
    stream: &mut BufStream<impl AsyncRead + AsyncWrite + Unpin>,
) -> io::Result<Option<Vec<u8>>> {
    let mut data = Vec::new();
    let mut at_line_start = true;
    let mut after_carriage_return = false;
    loop {
        let mut piece = Vec::new();
        let mut limited = (&mut *stream).take(LINE_BYTES_MAX);
        if limited.read_until(b'\n', &mut piece).await? == 0 {
            return Ok(None);
        }
        if at_line_start && piece == b".\r\n" {
            return Ok(Some(data));
        }
        let text = match piece.strip_prefix(b".") {
            Some(rest) if at_line_start => rest,
            _ => &piece,
        };
        if data.len() <= MESSAGE_BYTES_MAX {
            data.extend_from_slice(text);
        }
        // A long line comes in pieces, and its end may be cut in two.
        at_line_start = piece.ends_with(b"\r\n") || (after_carriage_return && piece == b"\n");
        after_carriage_return = piece.ends_with(b"\r");
    }
}
