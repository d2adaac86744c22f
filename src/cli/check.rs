//! `mspec check FILE`: every mistake, without training.

use super::failure::Failure;
use super::{SpecArguments, diagnostics, session, streams};
use crate::text::render;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  mspec check specs/wine.ms")]
pub struct Arguments {
    #[command(flatten)]
    spec: SpecArguments,
    /// Prints diagnostics as JSON on standard output
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let result = session::load(&arguments.spec.spec, &arguments.spec.overrides).and_then(|l| session::open(l, None));
    match result {
        Ok(session) => {
            let experiment = &session.experiment;
            if arguments.json {
                streams::result_line(render::json(&experiment.warnings, &experiment.spec.sources))?;
            } else {
                diagnostics::print(&experiment.spec.sources, &experiment.warnings);
                streams::say(format_args!("{}: no mistakes", arguments.spec.spec.display()));
            }
            Ok(())
        }
        Err(Failure::Spec(failure)) if arguments.json => {
            streams::result_line(render::json(&failure.diagnostics, &failure.sources))?;
            Err(Failure::Told)
        }
        Err(failure) => Err(failure),
    }
}
