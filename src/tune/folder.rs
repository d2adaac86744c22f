//! A search's folder, `runs/NAME/UTC-HASH/`: what was asked for (`spec.ms`, imports, `tune.json`), what came of each
//! training (`results.jsonl`), the table (`result.json`), and the runs themselves (`trials/`).

use super::record::{Record, Records};
use crate::train::run_folder::{RUNS, Resolved, folders, newest};
use crate::train::{TrainError, disk};
use serde::Serialize;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What was asked for.
const TUNE: &str = "tune.json";
/// The table.
pub const RESULT: &str = "result.json";
const TRIALS: &str = "trials";

/// A search's folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SearchFolder {
    path: PathBuf,
}

impl SearchFolder {
    /// Makes the folder of a new search; it must hold nothing but what a search left that died before it began.
    pub fn create(path: &Path) -> Result<SearchFolder, TrainError> {
        if path.join(TUNE).exists() {
            let help = format!(
                "continue it with `mspec tune --resume {}`, or name another folder",
                path.display()
            );
            return Err(TrainError::does_not_fit(format!("{} already holds a search", path.display())).help(help));
        }
        let trials = path.join(TRIALS);
        let something = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        if something && !trials.exists() {
            let error = TrainError::does_not_fit(format!("{} is not empty, and no search", path.display()));
            return Err(error.help("a search writes into a folder of its own: name a new one"));
        }
        fs::create_dir_all(&trials)
            .map_err(|e| TrainError::file("make", &trials, &e).help("name another folder with `--out DIR`"))?;
        Ok(SearchFolder {
            path: path.to_path_buf(),
        })
    }

    /// The folder of a search that exists.
    pub fn open(path: &Path) -> Result<SearchFolder, TrainError> {
        if !path.join(TUNE).exists() {
            let error = TrainError::does_not_fit(format!("{} is no search: it has no {TUNE}", path.display()));
            let families = std::iter::once(path.to_path_buf()).chain(folders(path));
            return Err(match newest(families, TUNE) {
                Some(newest) => error.help(format!("the newest search in it is {}", newest.display())),
                None => error.help("a search is a folder that `mspec tune` made, as runs/NAME/UTC-HASH"),
            });
        }
        Ok(SearchFolder {
            path: path.to_path_buf(),
        })
    }

    /// The newest search in the current folder, by the time in its name.
    pub fn newest() -> Result<SearchFolder, TrainError> {
        match newest(folders(Path::new(RUNS)), TUNE) {
            Some(path) => Ok(SearchFolder { path }),
            None => Err(TrainError::does_not_fit("there is no search to continue in ./runs")
                .help("name its folder: `mspec tune --resume DIR`")),
        }
    }

    /// Keeps other processes from searching in the folder, as long as the value lives.
    pub fn hold(&self) -> Result<File, TrainError> {
        disk::hold(&self.path.join(TRIALS), &self.path)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of a run.
    pub fn trial(&self, name: &str) -> PathBuf {
        self.path.join(TRIALS).join(name)
    }

    /// The results so far, and where more are added.
    pub fn records(&self) -> Result<(Records, Vec<Record>), TrainError> {
        Records::open(&self.path.join("results.jsonl"))
    }

    /// Keeps a text.
    pub fn write_text(&self, name: &str, text: &str) -> Result<(), TrainError> {
        disk::write_text(&self.path.join(name), text)
    }

    /// Keeps what was asked for; with it the folder is that of a search.
    pub fn begin(&self, asked: &Resolved) -> Result<(), TrainError> {
        disk::write_json(&self.path.join(TUNE), asked)
    }

    /// What was asked for.
    pub fn asked(&self) -> Result<Resolved, TrainError> {
        disk::read_json(&self.path.join(TUNE))
    }

    /// Keeps the table.
    pub fn end(&self, result: &impl Serialize) -> Result<(), TrainError> {
        disk::write_json(&self.path.join(RESULT), result)
    }
}
