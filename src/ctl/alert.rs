//! `sealpost alert`: what an operator is told without asking.

use std::fmt::Write as _;

use clap::{Args, Subcommand, ValueEnum};

use super::{
    Context, Format,
    exit::{Exit, Failure},
    exit_when,
    protocol::Request,
    screen::{Table, shown},
    wire::{AlertView, AlertWay, AlertsTested, AlertsTold, AlertsView},
};
use crate::alert::Rule;

/// Alerts are in the log, and told by mail and to a URL as `[alert]` of the configuration says:
/// docs/guide/monitoring.md.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The alerts that hold: since when, who was told, and what to do
    ///
    /// And who is told of alerts, besides the log. Ends with 1 while there is one.
    #[command(after_help = "Example:\n  sealpost alert list --json | jq '.alerts[].subject'")]
    List(Format),
    /// Send a test alert of each rule, or of one, and say what came of it
    ///
    /// Each is a message of its own. Quiet hours and what an hour allows do not hold it up. Ends with 1 where
    /// one was not taken.
    #[command(
        after_help = "Examples:\n  sealpost alert test --to mail\n  sealpost alert test --to webhook \
                      enforce-failures"
    )]
    Test(Tested),
}

#[derive(Debug, Args)]
pub(super) struct Tested {
    /// Which way
    #[arg(long, value_enum)]
    to: Way,
    /// The rule [default: each]
    #[arg(value_parser = rule)]
    rule: Option<Rule>,
    #[command(flatten)]
    format: Format,
}

/// The ways on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Way {
    /// To alert.mail_to
    Mail,
    /// To alert.webhook_url
    Webhook,
    /// Into the daemon's log
    Journal,
}

impl From<Way> for AlertWay {
    fn from(way: Way) -> Self {
        match way {
            Way::Mail => Self::Mail,
            Way::Webhook => Self::Webhook,
            Way::Journal => Self::Journal,
        }
    }
}

fn rule(text: &str) -> Result<Rule, String> {
    let known = || Rule::ALL.map(Rule::name).join(", ");
    Rule::named(text).ok_or_else(|| format!("there are {}", known()))
}

pub(super) fn run(command: &Command, context: &mut Context) -> Result<Exit, Failure> {
    match command {
        Command::List(format) => {
            let view: AlertsView = context.ask(Request::Alerts)?;
            context.show(*format, &view, list_as_text)?;
            Ok(exit_when(view.alerts.is_empty()))
        }
        Command::Test(Tested { to, rule, format }) => {
            let tested: AlertsTested = context.ask(Request::AlertTest {
                to: (*to).into(),
                rule: rule.map(|rule| rule.name().to_owned()),
            })?;
            context.show(*format, &tested, tested_as_text)?;
            Ok(exit_when(tested.tested.iter().all(|each| each.is_taken)))
        }
    }
}

fn list_as_text(view: &AlertsView) -> String {
    let told = told_as_text(&view.told);
    if view.alerts.is_empty() {
        return format!("There is no alert.\n\n{told}");
    }
    let mut table = Table::new(["RULE", "OF", "SINCE", "TOLD", "WHAT"]);
    for alert in &view.alerts {
        table.row([
            alert.rule.clone(),
            alert.subject.clone(),
            alert.since.clone(),
            ways_told(alert),
            alert.words.clone(),
        ]);
    }
    let mut text = table.to_string();
    let mut said = Vec::new();
    for alert in &view.alerts {
        if !said.contains(&&alert.rule) {
            let (rule, what) = (shown(&alert.rule), shown(&alert.what_to_do));
            let _ = write!(text, "\n{rule}: {what}\n");
            said.push(&alert.rule);
        }
    }
    format!("{text}\n{told}")
}

/// By which ways an alert was told so far. It is in the log from its first moment on.
fn ways_told(alert: &AlertView) -> String {
    let ways = [("mail", &alert.mailed_at), ("webhook", &alert.posted_at)];
    let told = ways.iter().filter(|(_, at)| at.is_some());
    let mut text: String = told.map(|(way, _)| format!("{way}, ")).collect();
    text.push_str("journal");
    text
}

/// Who is told, by the names that `alert test --to` has for the ways.
fn told_as_text(told: &AlertsTold) -> String {
    let or_nobody = |to: &Option<String>, setting: &str| match to {
        Some(to) => shown(to),
        None => format!("nobody: {setting} is not set"),
    };
    let mut text = format!(
        "Told are, and again after {} hours:\n  mail     {}\n  webhook  {}\n  journal  the daemon's log, always\n",
        told.repeat_hours,
        or_nobody(&told.mail_to, "alert.mail_to"),
        or_nobody(&told.webhook, "alert.webhook_url"),
    );
    if let Some(quiet) = &told.quiet {
        let quiet = shown(quiet);
        let _ = writeln!(
            text,
            "Nothing is sent from {quiet} UTC; what still holds is told then."
        );
    }
    text
}

fn tested_as_text(tested: &AlertsTested) -> String {
    let mut table = Table::new(["RULE", "TAKEN", "BY, OR WHY NOT"]);
    for each in &tested.tested {
        let taken = if each.is_taken { "yes" } else { "NO" };
        table.row([each.rule.clone(), taken.to_owned(), each.words.clone()]);
    }
    table.to_string()
}
