//! `sealpost bounce`: takes a mail that came to the envelope sender.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::Args;

use super::{
    Context,
    exit::{Exit, Failure},
    protocol::Request,
    screen::shown,
    wire::{BounceOutcome, BounceTaken},
};
use crate::deliver::bounce::{self, BOUNCE_BYTES_MAX, Bounce, FailedRecipient};

/// Take a mail that came to the envelope sender of reports: a bounce suppresses its destination
///
/// For a pipe of the MTA: it reads one mail, finds which report came back and to whom it could not be
/// delivered, and tells the daemon. The daemon believes it where it has sent that report to that mailbox. What is
/// no bounce (a vacation notice, a letter) is passed over. Nothing is ever sent.
///
/// Ends with 0 whatever the mail was, and with 75 when the daemon cannot be asked now, so that the MTA keeps the
/// mail and tries again. Standard error says what was made of it. The MTA must run it as root or as the
/// user that the daemon runs as.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealpost bounce < returned.eml\n  echo '\"|/usr/bin/sealpost bounce\"' > \
                  ~sealpost/.forward"
)]
pub(super) struct Arguments {
    /// The mail [default: standard input]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, context: &mut Context) -> Result<Exit, Failure> {
    let mail = match &arguments.file {
        Some(path) => read_file(path)?,
        None => match read(io::stdin().lock()) {
            Ok(mail) => mail,
            Err(error) => {
                let why = format!("the mail cannot be read, try again: {error}");
                context.screen.complain(&why);
                return Ok(Exit::TryAgain);
            }
        },
    };
    let Bounce { report_id, failed } = match bounce::read(&mail) {
        Ok(bounce) => bounce,
        Err(why) => {
            context
                .screen
                .complain(&format!("the mail is passed over: {why}"));
            return Ok(Exit::Ok);
        }
    };
    for recipient in failed {
        match tell(context, &report_id, &recipient) {
            Ok(taken) => context.screen.complain(&in_words(&taken, &recipient)),
            // Whatever stands in the way, the configuration too: the mail must not be lost, nor returned.
            Err(failure) => {
                context
                    .screen
                    .complain(&format!("not now, try again: {failure}"));
                return Ok(Exit::TryAgain);
            }
        }
    }
    Ok(Exit::Ok)
}

fn tell(
    context: &Context,
    report_id: &str,
    recipient: &FailedRecipient,
) -> Result<BounceTaken, Failure> {
    context.ask(Request::Bounce {
        report_id: report_id.to_owned(),
        recipients: recipient.mailboxes.clone(),
        words: recipient.words.clone(),
    })
}

fn in_words(taken: &BounceTaken, recipient: &FailedRecipient) -> String {
    let destination = taken
        .suppression
        .as_ref()
        .map(|view| view.destination.as_str());
    let destination = destination.map_or_else(|| recipient.mailboxes.join(" or "), str::to_owned);
    let view = taken.suppression.as_ref();
    let until = view
        .and_then(|view| view.until.as_deref())
        .unwrap_or("it is lifted");
    let text = match taken.outcome {
        BounceOutcome::Suppressed => {
            format!(
                "{destination} is suppressed until {until}: {}",
                recipient.words
            )
        }
        BounceOutcome::KnownAlready => format!("{destination}: the bounce says nothing new"),
        BounceOutcome::NotBelieved => {
            let why = taken.reason.as_deref().unwrap_or("no reason is given");
            format!("the bounce is not believed: {why}")
        }
    };
    shown(&text)
}

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let opened = File::open(path).and_then(read);
    opened.map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
}

/// All of a mail, up to what is read of it. The rest is taken off the pipe, or the MTA would complain.
fn read(mut from: impl Read) -> io::Result<Vec<u8>> {
    let most = u64::try_from(BOUNCE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut mail = Vec::new();
    from.by_ref()
        .take(most.saturating_add(1))
        .read_to_end(&mut mail)?;
    io::copy(&mut from, &mut io::sink())?;
    Ok(mail)
}
