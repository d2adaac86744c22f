//! From a path to an experiment with its data.

use super::failure::Failure;
use super::streams;
use crate::data::file::plain;
use crate::data::{self, DataError, Dataset};
use crate::ir::experiment::{Schema, Source, TrainSettings};
use crate::parse::limits;
use crate::pipeline::{self, Experiment, Spec};
use crate::text::Span;
use crate::train::TrainError;
use crate::train::run_folder::Resolved;
use std::cell::RefCell;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A file that the compiler read.
pub struct ReadText {
    /// As it was asked for.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A parsed spec with the texts that it was made of.
pub struct Loaded {
    /// The spec.
    pub spec: Spec,
    /// In the order of reading; the spec itself is the first.
    pub texts: Vec<ReadText>,
    /// What its paths are relative to.
    pub folder: PathBuf,
}

/// Loads a spec from a file, or from standard input if the path is `-`.
pub fn load(path: &Path, overrides: &[(String, String)]) -> Result<Loaded, Failure> {
    // That the spec itself can't be read is no mistake in it.
    let spec = RefCell::new(Some(read_text(path).map_err(|e| TrainError::file("read", path, &e))?));
    let texts = RefCell::new(vec![]);
    let read = |asked: &Path| {
        let bytes = match spec.take() {
            Some(bytes) => bytes,
            None => read_text(asked).map_err(|e| plain(&e))?,
        };
        texts.borrow_mut().push(ReadText {
            path: asked.to_path_buf(),
            bytes: bytes.clone(),
        });
        Ok(bytes)
    };
    let spec = pipeline::load(path, overrides, &read)?;
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    Ok(Loaded {
        spec,
        texts: texts.into_inner(),
        folder,
    })
}

/// A text, from standard input if the path is `-`: one byte more than it may have is enough to refuse it.
pub fn read_text(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![];
    let most = limits::FILE_BYTES as u64 + 1;
    match path == Path::new("-") {
        true => std::io::stdin().lock().take(most).read_to_end(&mut bytes)?,
        false => std::fs::File::open(path)?.take(most).read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}

/// Loads the spec of a run as it was when the run began.
pub fn load_run(run: &Path, resolved: &Resolved) -> Result<Loaded, Failure> {
    for file in &resolved.files {
        let kept = run.join(&file.kept);
        std::fs::metadata(&kept).map_err(|error| {
            let copy = format!("it is the run's copy of {}", file.path.display());
            TrainError::file("read", &kept, &error).help(copy)
        })?;
    }
    let texts = RefCell::new(vec![]);
    let read = |asked: &Path| {
        let kept = resolved.files.iter().find(|f| f.path == asked);
        let kept = kept.ok_or_else(|| "the run has no copy of this file".to_string())?;
        let bytes = read_text(&run.join(&kept.kept)).map_err(|e| plain(&e))?;
        texts.borrow_mut().push(ReadText {
            path: asked.to_path_buf(),
            bytes: bytes.clone(),
        });
        Ok(bytes)
    };
    let spec = pipeline::load(&resolved.spec, &resolved.overrides, &read)?;
    Ok(Loaded {
        spec,
        texts: texts.into_inner(),
        folder: resolved.folder.clone(),
    })
}

/// An experiment with its data.
pub struct Session {
    /// What was resolved.
    pub experiment: Experiment,
    /// What it learns from.
    pub dataset: Dataset,
    /// What was read.
    pub texts: Vec<ReadText>,
    /// What the spec's paths are relative to.
    pub folder: PathBuf,
    /// How long opening the data took.
    pub data_took: Duration,
}

/// Opens the data and resolves the spec. `tensors` replaces the file of a `tensors` source.
pub fn open(loaded: Loaded, tensors: Option<&Path>) -> Result<Session, Failure> {
    let mut settings = loaded.spec.data()?;
    let mut folder = loaded.folder.clone();
    if let Some(file) = tensors {
        let Source::Tensors { path, .. } = &mut settings.source else {
            let message = "--data needs a spec whose data is `tensors`".to_string();
            return Err(Failure::Usage(message));
        };
        path.path = file.display().to_string();
        folder = PathBuf::new();
    }
    let begin = Instant::now();
    let dataset =
        data::open(&settings, &folder).map_err(|error| Failure::Train(error.into(), loaded.spec.sources.clone()))?;
    with_data(loaded, dataset, begin.elapsed())
}

/// The same for timing steps: where the data are not there, they are drawn at random, of the sizes that the spec states.
pub fn open_or_draw(loaded: Loaded, tensors: Option<&Path>) -> Result<Session, Failure> {
    let settings = loaded.spec.data()?;
    let missing = data::missing(&settings, &loaded.folder).filter(|_| tensors.is_none());
    match missing.zip(data::stated(&settings)) {
        Some((at, schema)) => {
            streams::say(format_args!(
                "{} is not there: samples are drawn at random, of the sizes that the spec states",
                at.display()
            ));
            with_data(loaded, data::drawn(&settings, schema), Duration::ZERO)
        }
        None => open(loaded, tensors),
    }
}

fn with_data(loaded: Loaded, dataset: Dataset, data_took: Duration) -> Result<Session, Failure> {
    let experiment = loaded.spec.resolve(dataset.schema().clone())?;
    Ok(Session {
        experiment,
        dataset,
        texts: loaded.texts,
        folder: loaded.folder,
        data_took,
    })
}

/// An experiment to look at, and its data. Where these are not there, it has the sizes that the spec states.
pub fn examine(loaded: Loaded) -> Result<(Experiment, Option<Dataset>), Failure> {
    let settings = loaded.spec.data()?;
    let missing = data::missing(&settings, &loaded.folder);
    match missing.zip(data::stated(&settings)) {
        Some((at, schema)) => {
            streams::say(format_args!(
                "{} is not there: sizes are as the spec states them",
                at.display()
            ));
            Ok((loaded.spec.resolve(schema)?, None))
        }
        None => {
            let session = open(loaded, None)?;
            Ok((session.experiment, Some(session.dataset)))
        }
    }
}

impl Session {
    /// A training error with the spec's texts, for places.
    pub fn failure(&self, error: impl Into<TrainError>) -> Failure {
        Failure::Train(error.into(), self.experiment.spec.sources.clone())
    }

    /// What the target's classes are called, if the data tells.
    pub fn class_names(&self) -> Vec<String> {
        let fitted = self.dataset.fitted();
        let names = fitted["target"]["classes"].as_array();
        let name = |n: &serde_json::Value| n.as_str().unwrap_or_default().to_string();
        names.map(|n| n.iter().map(name).collect()).unwrap_or_default()
    }

    /// The `train` section, which a command that needs it can't do without.
    pub fn settings(&self) -> Result<&TrainSettings, Failure> {
        self.experiment.train.as_ref().ok_or_else(|| {
            let error = DataError::new(Span::NOWHERE, "the spec has no `train` section");
            self.failure(error.help("`train` says the loss, the optimizer and the duration"))
        })
    }
}

/// What a run keeps of its data: enough to predict without it.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct KeptData {
    /// Names and sizes.
    pub schema: Schema,
    /// What was fitted on the training part.
    pub fitted: serde_json::Value,
}
