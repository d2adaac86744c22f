//! `mspec check FILE`: every mistake, and what experts would say, without training.

use super::failure::Failure;
use super::{SpecArguments, diagnostics, search, session, streams};
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
    let path = &arguments.spec.spec;
    let result = session::load(path, &arguments.spec.overrides).and_then(|loaded| {
        let folder = loaded.folder.clone();
        let (experiment, dataset) = session::examine(loaded)?;
        // A batch that the data can't fill is a mistake as well.
        if let Some((settings, dataset)) = experiment.train.as_ref().zip(dataset.as_ref()) {
            let sampler = dataset.sampler(settings.seed, settings.batch);
            sampler.map_err(|e| Failure::Train(e.into(), experiment.spec.sources.clone()))?;
        }
        let plan = search::plan(&experiment, dataset.as_ref(), &folder)?;
        Ok((experiment, plan))
    });
    match result {
        Ok((experiment, plan)) => {
            let warnings = experiment.lint()?;
            if arguments.json {
                streams::result_line(render::json(&warnings, &experiment.spec.sources))?;
            } else {
                diagnostics::print(&experiment.spec.sources, &warnings);
                let params = experiment.declarations()?.params;
                let count: usize = params.iter().map(|p| elements(&p.shape)).sum();
                let file = arguments.spec.spec.display();
                let tried = match plan {
                    Some(plan) if plan.trials.len() > 1 => format!(", {} settings to try", plan.trials.len()),
                    _ => String::new(),
                };
                streams::say(format_args!("{file}: no mistakes, {count} parameters{tried}"));
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
