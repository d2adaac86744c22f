//! `metrics.jsonl`: one object a line, keys as TensorBoard tags. A line is formed in a buffer that is kept, so that
//! logging a step allocates nothing; a resumed run cuts the file back to what its checkpoint had seen.

use super::TrainError;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a line may wait in memory, for those who watch the file.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);

/// The open file.
pub struct MetricsLog {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
    line: String,
    flushed: Instant,
}

impl MetricsLog {
    /// Opens the file, creating it if needed, and cuts it back to its first `keep` bytes.
    pub fn open(path: &Path, keep: u64) -> Result<MetricsLog, TrainError> {
        let fail = |error: std::io::Error| TrainError::file("write", path, &error);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(fail)?;
        let found = file.metadata().map_err(fail)?.len();
        if found < keep {
            return Err(TrainError::does_not_fit(format!(
                "{} has {found} bytes, fewer than the {keep} that the checkpoint has seen",
                path.display()
            ))
            .help("the file was changed; continue from a copy of the run, or start anew"));
        }
        if found > keep {
            file.set_len(keep).map_err(fail)?;
        }
        file.seek(SeekFrom::End(0)).map_err(fail)?;
        Ok(MetricsLog {
            path: path.to_path_buf(),
            file: BufWriter::with_capacity(1 << 16, file),
            bytes: keep,
            line: String::with_capacity(1 << 12),
            flushed: Instant::now(),
        })
    }

    /// Starts a line.
    pub fn begin(&mut self, step: u64) -> &mut MetricsLog {
        self.line.clear();
        write!(self.line, "{{\"step\":{step}").expect("a String takes everything");
        self
    }

    /// Adds a number that was computed in 32 bits: as few digits as tell it apart.
    pub fn single(&mut self, key: &str, value: f32) -> &mut MetricsLog {
        let finite = value.is_finite();
        self.entry(key, finite, format_args!("{value}"))
    }

    /// Adds a number that was computed in 64 bits.
    pub fn double(&mut self, key: &str, value: f64) -> &mut MetricsLog {
        let finite = value.is_finite();
        self.entry(key, finite, format_args!("{value}"))
    }

    /// Ends the line.
    pub fn end(&mut self) -> Result<(), TrainError> {
        self.line.push_str("}\n");
        self.bytes += self.line.len() as u64;
        let written = self.file.write_all(self.line.as_bytes());
        self.check(written)?;
        if self.flushed.elapsed() >= FLUSH_INTERVAL {
            self.flushed = Instant::now();
            let flushed = self.file.flush();
            self.check(flushed)?;
        }
        Ok(())
    }

    /// Brings everything to the disk and gives the length of the file.
    pub fn sync(&mut self) -> Result<u64, TrainError> {
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        self.check(synced)?;
        Ok(self.bytes)
    }

    fn entry(&mut self, key: &str, finite: bool, value: std::fmt::Arguments) -> &mut MetricsLog {
        // Keys are our tags and names of the spec: letters, digits, `_`, `.` and `/`.
        match finite {
            true => write!(self.line, ",\"{key}\":{value}"),
            false => write!(self.line, ",\"{key}\":null"),
        }
        .expect("a String takes everything");
        self
    }

    fn check(&self, result: std::io::Result<()>) -> Result<(), TrainError> {
        result.map_err(|error| TrainError::file("write", &self.path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_json_and_a_file_is_cut_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut log = MetricsLog::open(&path, 0).unwrap();
        log.begin(1).single("train/loss", 0.1).double("lr", 1e-3).end().unwrap();
        let kept = log.sync().unwrap();
        log.begin(2).single("train/loss", f32::NAN).end().unwrap();
        drop(log);
        let mut log = MetricsLog::open(&path, kept).unwrap();
        log.begin(2).single("train/loss", f32::INFINITY).end().unwrap();
        log.sync().unwrap();
        insta::assert_snapshot!(std::fs::read_to_string(&path).unwrap(), @r#"
        {"step":1,"train/loss":0.1,"lr":0.001}
        {"step":2,"train/loss":null}
        "#);
        assert!(matches!(
            MetricsLog::open(&path, 1000),
            Err(TrainError::DoesNotFit { .. })
        ));
    }

    #[test]
    fn a_full_disk_is_said() {
        let mut log = MetricsLog::open(Path::new("/dev/full"), 0).unwrap();
        log.begin(1).end().unwrap();
        let error = log.sync().unwrap_err();
        assert_eq!(error.to_string(), "can't write /dev/full: the disk is full");
    }
}
