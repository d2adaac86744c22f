//! `mspec std`: what the standard library defines.

use super::failure::Failure;
use super::streams;
use crate::reference;
use crate::text::suggest::did_you_mean;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  mspec std\n  mspec std cross_entropy")]
pub struct Arguments {
    /// A definition; without one, all are listed
    name: Option<String>,
    /// Prints the page of reference, in Markdown
    #[arg(long, hide = true, conflicts_with = "name")]
    reference: bool,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.reference {
        return streams::result(reference::page());
    }
    let Some(name) = &arguments.name else {
        return streams::result(reference::list());
    };
    let chapters = reference::chapters();
    let entries = || chapters.iter().flat_map(|c| c.entries.iter().map(move |e| (c.file, e)));
    // A name may be a layer and a schedule.
    let found: Vec<String> = entries()
        .filter(|(_, e)| e.name == *name)
        .map(|(f, e)| e.text(f))
        .collect();
    if found.is_empty() {
        let close = did_you_mean(name, entries().map(|(_, e)| e.name.as_str()));
        let close = close.map_or(String::new(), |close| format!(": {close}"));
        return Err(Failure::Usage(format!(
            "the standard library does not define `{name}`{close}"
        )));
    }
    streams::result(found.join("\n"))
}
