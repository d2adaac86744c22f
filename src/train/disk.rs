//! Files that are whole or not there: written under a temporary name, synced, renamed, their folder synced.
//! A failure leaves what was there before and no temporary file.

use super::TrainError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes a file and gives the SHA-256 of its contents in hexadecimal.
pub fn write_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<String, TrainError> {
    let temporary = temporary_name(path);
    let result = write_synced(&temporary, write).and_then(|sum| {
        fs::rename(&temporary, path)?;
        sync_folder(path.parent().unwrap_or(Path::new(".")))?;
        Ok(sum)
    });
    result.map_err(|error| {
        // The error that matters is the first one.
        let _ = fs::remove_file(&temporary);
        TrainError::file("write", path, &error)
    })
}

/// Keeps a text.
pub fn write_text(path: &Path, text: &str) -> Result<(), TrainError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| TrainError::file("make", folder, &e))?;
    }
    write_file(path, |out| out.write_all(text.as_bytes())).map(|_| ())
}

/// Keeps a value as JSON.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), TrainError> {
    let text = serde_json::to_string_pretty(value).expect("what is kept is always JSON");
    write_text(path, &(text + "\n"))
}

/// Reads a value that was kept.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, TrainError> {
    let text = fs::read_to_string(path).map_err(|e| TrainError::file("read", path, &e))?;
    serde_json::from_str(&text).map_err(|e| TrainError::does_not_fit(format!("{} is damaged: {e}", path.display())))
}

/// Keeps other processes out of a folder, as long as the value lives; `whole` is what they are told of.
pub fn hold(folder: &Path, whole: &Path) -> Result<File, TrainError> {
    let opened = File::open(folder).map_err(|e| TrainError::file("open", folder, &e))?;
    match opened.try_lock() {
        Err(TryLockError::WouldBlock) => {
            let message = format!("another process is training in {}", whole.display());
            Err(TrainError::does_not_fit(message).help("wait for its end, or stop it with Ctrl-C, which saves"))
        }
        // Not every file system can lock.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(opened),
    }
}

/// Writes a folder: `fill` writes its files under a temporary folder, which then takes the place of `path`.
pub fn write_folder(path: &Path, fill: impl FnOnce(&Path) -> Result<(), TrainError>) -> Result<(), TrainError> {
    let temporary = temporary_name(path);
    let fail = |error: io::Error| TrainError::file("write", path, &error);
    if temporary.exists() {
        fs::remove_dir_all(&temporary).map_err(fail)?;
    }
    let result = fs::create_dir(&temporary)
        .map_err(fail)
        .and_then(|()| fill(&temporary))
        .and_then(|()| replace_folder(&temporary, path).map_err(fail));
    if result.is_err() {
        // The error that matters is the first one.
        let _ = fs::remove_dir_all(&temporary);
    }
    result
}

/// Writes a file inside a folder that gets its name later.
pub fn write_synced(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<String> {
    let mut sink = Hashing {
        file: BufWriter::with_capacity(1 << 18, File::create(path)?),
        hash: Sha256::new(),
    };
    write(&mut sink)?;
    sink.file.flush()?;
    sink.file.get_ref().sync_all()?;
    Ok(sink.hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

/// The name that something has while it is written.
pub fn temporary_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.unfinished"))
}

fn replace_folder(from: &Path, to: &Path) -> io::Result<()> {
    sync_folder(from)?;
    let old = to.with_file_name(format!(".{}.old", to.file_name().unwrap_or_default().to_string_lossy()));
    let replaced = to.exists();
    if replaced {
        if old.exists() {
            fs::remove_dir_all(&old)?;
        }
        fs::rename(to, &old)?;
    }
    fs::rename(from, to)?;
    sync_folder(to.parent().unwrap_or(Path::new(".")))?;
    if replaced {
        fs::remove_dir_all(&old)?;
    }
    Ok(())
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    File::open(path)?.sync_all()
}

struct Hashing {
    file: BufWriter<File>,
    hash: Sha256,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(_: &mut dyn Write) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let sum = write_file(&path, |out| out.write_all(b"abc")).unwrap();
        assert_eq!(sum, crate::data::sha256(b"abc"));
        let error = write_file(&path, |out| out.write_all(b"half of it").and_then(|()| full(out))).unwrap_err();
        assert!(error.to_string().ends_with("state.json: the disk is full"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"abc");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_replaces_an_older_one_or_leaves_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("step-000001");
        let write = |text: &'static [u8]| {
            move |at: &Path| {
                let file = at.join("a");
                write_synced(&file, |out| out.write_all(text)).map_err(|e| TrainError::file("write", &file, &e))?;
                Ok(())
            }
        };
        write_folder(&path, write(b"old")).unwrap();
        write_folder(&path, write(b"new")).unwrap();
        let failed = write_folder(&path, |at| {
            write(b"broken")(at)?;
            Err(TrainError::file("write", at, &io::ErrorKind::StorageFull.into()))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(path.join("a")).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
