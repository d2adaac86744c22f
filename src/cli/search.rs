//! The trials of a spec, looked at before anything is trained: for `check` and `tune`.

use super::failure::Failure;
use crate::data::{self, DataError, Dataset, Part};
use crate::ir::experiment::{DataSettings, Schema};
use crate::pipeline::{self, Experiment, Spec};
use crate::text::{Code, Diagnostic, Diagnostics, Span};
use crate::train::TrainError;
use crate::tune::{self, Plan, Trial};
use std::path::Path;
use std::rc::Rc;

/// The plan of a spec whose every trial has no mistake; none if it has no `tune` section. `dataset` is that of the spec
/// itself, if it is there.
pub fn plan(experiment: &Experiment, dataset: Option<&Dataset>, folder: &Path) -> Result<Option<Plan>, Failure> {
    let Some(plan) = Plan::of(experiment)? else {
        return Ok(None);
    };
    if plan.folds.is_none() && dataset.is_some_and(|d| d.samples(Part::Validation) == 0) {
        let span = experiment.data.split.span;
        let error = DataError::new(
            span,
            "`tune` compares settings by the validation part, and this data has none",
        );
        let error = error.help("give it a share in `split`, or write `folds 5` in `tune`");
        return Err(Failure::Train(error.into(), experiment.spec.sources.clone()));
    }
    let mut data = OpenedData { folder, opened: vec![] };
    let mut examine = |trial: &Trial, spec| match data.examine(trial, spec) {
        Err(Failure::Spec(failure)) => Ok(Err(*failure)),
        examined => examined.map(Ok),
    };
    tune::check(&experiment.spec, &plan, &mut examine)?;
    Ok(Some(plan))
}

/// Why `tune` can't be asked of a spec.
pub fn missing(experiment: &Experiment) -> Failure {
    let mut diagnostics = Diagnostics::default();
    let diagnostic = Diagnostic::new(Code::MissingSection, Span::NOWHERE, "the spec has no `tune` section");
    let help = "say what to try: `tune { grid { train.optimizer.lr = [1e-4, 1e-3] } ; folds 5 }`";
    diagnostics.push(diagnostic.help(help));
    Failure::from(pipeline::Failure {
        sources: experiment.spec.sources.clone(),
        diagnostics,
    })
}

/// Data, or only what they have by what the spec says alone.
type Opened = Rc<(Schema, Option<Dataset>)>;

/// Data by the values that trials give them, each opened once.
struct OpenedData<'f> {
    folder: &'f Path,
    opened: Vec<(String, Opened)>,
}

impl OpenedData<'_> {
    /// Looks at a trial's spec: what it says, and whether its data can make a batch.
    fn examine(&mut self, trial: &Trial, spec: Spec) -> Result<(), Failure> {
        let sources = spec.sources.clone();
        let failed = |error: DataError| {
            let error = match trial.help() {
                Some(help) => error.help(help),
                None => error,
            };
            Failure::Train(TrainError::from(error), sources.clone())
        };
        let settings = spec.data()?;
        let data = self.open(trial, &settings).map_err(failed)?;
        let experiment = spec.resolve(data.0.clone())?;
        if let (Some(settings), Some(dataset)) = (&experiment.train, &data.1) {
            dataset.sampler(settings.seed, settings.batch).map_err(failed)?;
        }
        Ok(())
    }

    fn open(&mut self, trial: &Trial, settings: &DataSettings) -> Result<Opened, DataError> {
        let of_data = trial.values.iter().filter(|v| v.path.starts_with("data."));
        let key: String = of_data.map(|v| format!("{}={}\n", v.path, v.text)).collect();
        if let Some((_, data)) = self.opened.iter().find(|(known, _)| *known == key) {
            return Ok(Rc::clone(data));
        }
        let stated = data::missing(settings, self.folder).and_then(|_| data::stated(settings));
        let data = Rc::new(match stated {
            Some(schema) => (schema, None),
            None => {
                let dataset = data::open(settings, self.folder)?;
                (dataset.schema().clone(), Some(dataset))
            }
        });
        // A search that varies its data may have more of them than memory: the last ones are at hand.
        self.opened.truncate(3);
        self.opened.insert(0, (key, Rc::clone(&data)));
        Ok(data)
    }
}
