//! A run's folder, `runs/NAME/UTC-HASH/`: what was asked for (`spec.ms`, imports, `resolved.json`), where
//! (`env.json`), what was fitted (`data.json`), how it went (`metrics.jsonl`, `ckpt/`) and what came out
//! (`model.safetensors`, `result.json`). Whoever has the folder can continue, evaluate or repeat the run.

use super::checkpoint::{self, Best};
use super::run::Places;
use super::{TrainError, disk};
use crate::data::{Fingerprint, sha256};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The folder of all runs.
pub const RUNS: &str = "runs";

/// What a run was asked for.
pub const RESOLVED: &str = "resolved.json";

/// What a finished run tells of itself.
pub const RESULT: &str = "result.json";

/// How a run ended: `result.json`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RunResult {
    /// Updates done.
    pub steps: u64,
    /// Whether early stopping ended it.
    pub stopped_early: bool,
    /// The best evaluation.
    pub best: Option<Best>,
    /// The step whose weights are in `model.safetensors`.
    pub weights_step: u64,
}

/// A file that the spec imports, and where its text is kept in the run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeptFile {
    /// As the compiler asked for it.
    pub path: PathBuf,
    /// Inside the run's folder.
    pub kept: PathBuf,
}

/// What was asked for: `resolved.json`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Resolved {
    /// The experiment's name.
    pub name: String,
    /// The spec's path as given.
    pub spec: PathBuf,
    /// The folder that the spec's paths are relative to.
    pub folder: PathBuf,
    /// `--set path=value`, in order.
    pub overrides: Vec<(String, String)>,
    /// The spec and its imports.
    pub files: Vec<KeptFile>,
    /// Of everything random.
    pub seed: u64,
    /// Trained numbers.
    pub parameters: usize,
    /// Every value of `data` and `train` after defaults and overrides.
    pub settings: serde_json::Value,
    /// The data's files.
    pub fingerprints: Vec<Fingerprint>,
}

/// A run's folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Where a new run goes unless it is told: `hash` tells runs of one second apart.
    pub fn default_path(name: &str, content: &[u8]) -> PathBuf {
        let hash = &sha256(content)[..8];
        let stem = format!("{}-{hash}", utc(SystemTime::now()));
        let folder = Path::new(RUNS).join(name);
        let taken = |path: &PathBuf| path.exists();
        let numbered = (2..).map(|i| folder.join(format!("{stem}-{i}")));
        std::iter::once(folder.join(&stem))
            .chain(numbered)
            .find(|path| !taken(path))
            .expect("numbers do not end")
    }

    /// Makes the folder of a new run; it must hold nothing but what a run left that died before its first checkpoint.
    pub fn create(path: &Path) -> Result<RunFolder, TrainError> {
        let checkpoints = path.join("ckpt");
        if !checkpoint::list(&checkpoints).is_empty() {
            return Err(
                TrainError::does_not_fit(format!("{} already holds a run", path.display())).help(format!(
                    "continue it with `mspec train --resume {}`, or name another folder",
                    path.display()
                )),
            );
        }
        let something = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        if something && !checkpoints.exists() {
            let error = TrainError::does_not_fit(format!("{} is not empty, and no run", path.display()));
            return Err(error.help("a run writes into a folder of its own: name a new one"));
        }
        fs::create_dir_all(&checkpoints)
            .map_err(|e| TrainError::file("make", &checkpoints, &e).help("name another folder with `--run DIR`"))?;
        Ok(RunFolder {
            path: path.to_path_buf(),
        })
    }

    /// The folder of a run that exists.
    pub fn open(path: &Path) -> Result<RunFolder, TrainError> {
        if !path.join(RESOLVED).exists() {
            let error = TrainError::does_not_fit(format!("{} is not a run: it has no resolved.json", path.display()));
            let families = std::iter::once(path.to_path_buf()).chain(folders(path));
            return Err(match newest(families, RESOLVED) {
                Some(newest) => error.help(format!("the newest run in it is {}", newest.display())),
                None => error.help("a run is a folder that `mspec train` made, as runs/NAME/UTC-HASH"),
            });
        }
        Ok(RunFolder {
            path: path.to_path_buf(),
        })
    }

    /// The newest run in the current folder, by the time in its name.
    pub fn newest() -> Result<RunFolder, TrainError> {
        match newest(folders(Path::new(RUNS)), RESOLVED) {
            Some(path) => Ok(RunFolder { path }),
            None => Err(TrainError::does_not_fit("there is no run to continue in ./runs")
                .help("name its folder: `mspec train --resume DIR`")),
        }
    }

    /// Keeps other processes from training in the folder, as long as the value lives.
    pub fn hold(&self) -> Result<File, TrainError> {
        disk::hold(&self.checkpoints(), &self.path)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("ckpt")
    }

    /// The weights at the end.
    pub fn model(&self) -> PathBuf {
        self.path.join("model.safetensors")
    }

    /// The running means of the weights at the end, where the spec asks for them.
    pub fn averaged(&self) -> PathBuf {
        self.path.join("model_ema.safetensors")
    }

    /// What the loop writes to.
    pub fn places(&self) -> Places {
        Places {
            metrics: self.path.join("metrics.jsonl"),
            checkpoints: self.checkpoints(),
        }
    }

    /// Keeps a text.
    pub fn write_text(&self, name: &str, text: &str) -> Result<(), TrainError> {
        disk::write_text(&self.path.join(name), text)
    }

    /// Keeps a value as JSON.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), TrainError> {
        disk::write_json(&self.path.join(name), value)
    }

    /// Reads a value that was kept.
    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<T, TrainError> {
        disk::read_json(&self.path.join(name))
    }

    /// Removes what a killed process left half-written.
    pub fn sweep(&self) -> Result<(), TrainError> {
        for entry in fs::read_dir(self.checkpoints()).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') && (name.ends_with(".unfinished") || name.ends_with(".old")) {
                fs::remove_dir_all(entry.path()).map_err(|e| TrainError::file("remove", &entry.path(), &e))?;
            }
        }
        Ok(())
    }
}

/// The folders in a folder.
pub fn folders(path: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir())
}

/// The newest folder with a file in some folders, by the time in its name.
pub fn newest(families: impl Iterator<Item = PathBuf>, file: &str) -> Option<PathBuf> {
    let runs = families.flat_map(|family| folders(&family).collect::<Vec<_>>());
    let runs = runs.filter(|run| run.join(file).exists());
    runs.max_by_key(|run| run.file_name().map(ToOwned::to_owned))
}

/// `20261123T185726Z` (Hinnant's civil calendar from days).
fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, rest) = ((seconds / 86_400) as i64, seconds % 86_400);
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_written_in_order() {
        let at = |seconds| utc(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "19700101T000000Z");
        assert_eq!(at(951_782_399), "20000228T235959Z");
        assert_eq!(at(951_782_400), "20000229T000000Z");
        assert_eq!(at(1_795_460_246), "20261123T185726Z");
    }

    #[test]
    fn a_folder_with_a_run_is_not_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let run = RunFolder::create(&path).unwrap();
        assert!(RunFolder::open(&path).is_err(), "nothing is resolved yet");
        run.write_json("resolved.json", &[1, 2]).unwrap();
        assert_eq!(RunFolder::open(&path).unwrap(), run);
        assert_eq!(run.read_json::<Vec<u32>>("resolved.json").unwrap(), [1, 2]);
        let half = path.join("ckpt/.step-000000.unfinished");
        fs::create_dir(&half).unwrap();
        assert_eq!(
            RunFolder::create(&path).unwrap(),
            run,
            "it died before its first checkpoint"
        );
        run.sweep().unwrap();
        assert!(!half.exists());
        fs::create_dir(path.join("ckpt/step-000000")).unwrap();
        assert!(matches!(RunFolder::create(&path), Err(TrainError::DoesNotFit { .. })));
    }

    #[test]
    fn a_folder_with_something_else_is_no_place_for_a_run() {
        let folder = tempfile::tempdir().unwrap();
        assert!(RunFolder::create(folder.path()).is_ok(), "it is empty");
        let other = folder.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("spec.ms"), "mine").unwrap();
        let error = RunFolder::create(&other).unwrap_err();
        assert!(error.to_string().ends_with("is not empty, and no run"), "{error}");
    }

    #[test]
    fn one_process_trains_in_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::create(folder.path()).unwrap();
        let held = run.hold().unwrap();
        let error = run.hold().unwrap_err();
        assert!(
            error.to_string().starts_with("another process is training in "),
            "{error}"
        );
        drop(held);
        assert!(run.hold().is_ok());
    }
}
