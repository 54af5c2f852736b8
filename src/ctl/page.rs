//! `sealpost page`: a link that signs one in to the web page.

use std::fmt::Write as _;

use clap::Args;

use super::{
    Context, Format,
    exit::{Exit, Failure},
    protocol::Request,
    screen::shown,
    wire::PageLink,
};

/// A link that signs you in to the web page
///
/// The page shows what was counted, domains, policies, reports and health, and lets one act on them. It is
/// there where `page.listen` or `page.path` is set.
///
/// A link is good once, within five minutes. Ends with 1 where there is no page.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealpost page\n  xdg-open \"$(sealpost page --json | jq -r '.links[0]')\""
)]
pub(super) struct Arguments {
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments, context: &mut Context) -> Result<Exit, Failure> {
    let link: PageLink = context.ask(Request::PageLink)?;
    context.show(arguments.format, &link, as_text)?;
    Ok(Exit::Ok)
}

fn as_text(link: &PageLink) -> String {
    let mut text = String::new();
    if !link.links.is_empty() {
        text.push_str("Good once, within five minutes:\n");
    }
    for each in &link.links {
        let _ = writeln!(text, "  {}", shown(each));
    }
    if let Some(path) = &link.path {
        let path = shown(path);
        let _ = writeln!(
            text,
            "On the unix socket nobody has to sign in:\n  ssh -L 8462:{path} THIS-HOST, and then open http://localhost:8462/"
        );
    }
    text
}
