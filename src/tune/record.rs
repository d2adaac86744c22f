//! `results.jsonl`: a line for each training that ended or came to the end of a round. Lines are added and synced one by
//! one; a last one that was not written whole is cut off.

use crate::train::TrainError;
use crate::train::evaluate::Scores;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What came of one training.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// From 1.
    pub trial: usize,
    /// From 1, if there are folds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fold: Option<usize>,
    /// If there are several.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seed: Option<u64>,
    /// From 0.
    pub round: usize,
    /// Steps that were done.
    pub step: u64,
    /// Of the validation part; not of one that diverged.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub loss: Option<f64>,
    /// Numbers of the validation part, `null` where one is undefined.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub metrics: BTreeMap<String, Option<f64>>,
    /// Why it could not go on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub diverged: Option<String>,
}

impl Record {
    /// Enters the scores of the validation part.
    pub fn score(&mut self, scores: &Scores) {
        self.loss = Some(scores.loss);
        let defined = |value: f64| (!value.is_nan()).then_some(value);
        self.metrics = scores.metrics.iter().map(|(n, v)| (n.clone(), defined(*v))).collect();
    }

    /// `loss` or a metric.
    pub fn get(&self, name: &str) -> Option<f64> {
        match name {
            "loss" => self.loss,
            _ => self.metrics.get(name).copied().flatten(),
        }
    }
}

/// The file of records.
#[derive(Debug)]
pub struct Records {
    path: PathBuf,
    file: File,
}

impl Records {
    /// Opens the file and gives what it holds.
    pub fn open(path: &Path) -> Result<(Records, Vec<Record>), TrainError> {
        let fail = |error: std::io::Error| TrainError::file("write", path, &error);
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(path)
            .map_err(fail)?;
        let text = std::fs::read_to_string(path).map_err(|e| TrainError::file("read", path, &e))?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64).map_err(fail)?;
        let records = text[..whole].lines().enumerate().map(|(number, line)| {
            serde_json::from_str(line).map_err(|error| {
                let message = format!("{}, line {} is damaged: {error}", path.display(), number + 1);
                TrainError::does_not_fit(message).help("remove the line: what it tells is trained again")
            })
        });
        let records = records.collect::<Result<Vec<Record>, TrainError>>()?;
        let path = path.to_path_buf();
        Ok((Records { path, file }, records))
    }

    /// Adds a line.
    pub fn add(&mut self, record: &Record) -> Result<(), TrainError> {
        let line = serde_json::to_string(record).expect("a record is always JSON") + "\n";
        let written = self.file.write_all(line.as_bytes());
        written
            .and_then(|()| self.file.sync_data())
            .map_err(|e| TrainError::file("write", &self.path, &e))
    }
}
