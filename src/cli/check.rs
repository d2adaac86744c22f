//! `mspec check FILE`: every mistake, and what experts would say, without training.

use super::failure::Failure;
use super::{SpecArguments, diagnostics, session, streams};
use crate::ir::graph::elements;
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
    let result = session::load(&arguments.spec.spec, &arguments.spec.overrides).and_then(session::examine);
    match result {
        Ok((experiment, dataset)) => {
            // A batch that the data can't fill is a mistake as well.
            if let Some((settings, dataset)) = experiment.train.as_ref().zip(dataset) {
                let sampler = dataset.sampler(settings.seed, settings.batch);
                sampler.map_err(|e| Failure::Train(e.into(), experiment.spec.sources.clone()))?;
            }
            let warnings = experiment.lint()?;
            if arguments.json {
                streams::result_line(render::json(&warnings, &experiment.spec.sources))?;
            } else {
                diagnostics::print(&experiment.spec.sources, &warnings);
                let params = experiment.declarations()?.params;
                let count: usize = params.iter().map(|p| elements(&p.shape)).sum();
                let file = arguments.spec.spec.display();
                streams::say(format_args!("{file}: no mistakes, {count} parameters"));
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
