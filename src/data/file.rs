//! Reading whole files: a path of the spec in, bytes out, unpacked where the name ends in `.gz`;
//! every failure names the path as resolved and what to do.

use super::DataError;
use crate::ir::experiment::DataPath;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Files beyond this size are refused before anything is read.
const BYTES_MAX: u64 = 16 << 30;
/// Bytes that a file may unpack to: up to a thousand times its own, so that a small one could fill the memory.
const UNPACKED_MAX: u64 = 2 << 30;

/// What a file held when it was read, so that a resumed run can tell that it is still the same.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Reads a file that the spec names, as it is on disk.
pub fn read(path: &DataPath, at: &Path) -> Result<(Vec<u8>, Fingerprint), DataError> {
    let fail = |error: std::io::Error| {
        let message = format!("can't read {}: {}", at.display(), plain(&error));
        let error_kind = error.kind();
        let result = DataError::new(path.span, message);
        match error_kind {
            std::io::ErrorKind::NotFound => {
                result.help("paths in a spec are relative to the folder of the file that names them")
            }
            _ => result,
        }
    };
    let size = std::fs::metadata(at).map_err(fail)?;
    // What is no file, as a device, may have no end.
    if !size.is_file() && !size.is_dir() {
        let message = format!("{} is a device or a pipe, expected a file", at.display());
        return Err(DataError::new(path.span, message));
    }
    if size.is_dir() {
        return Err(DataError::new(
            path.span,
            format!("{} is a folder, expected a file", at.display()),
        ));
    }
    if size.len() > BYTES_MAX {
        return Err(DataError::new(
            path.span,
            format!(
                "{} has {} bytes, more than the limit of 16 GiB",
                at.display(),
                size.len()
            ),
        ));
    }
    let bytes = std::fs::read(at).map_err(fail)?;
    let fingerprint = Fingerprint {
        path: at.to_path_buf(),
        sha256: sha256(&bytes),
    };
    Ok((bytes, fingerprint))
}

/// Reads a file and unpacks it if its name ends in `.gz`.
pub fn read_unpacked(path: &DataPath, at: &Path) -> Result<(Vec<u8>, Fingerprint), DataError> {
    let (bytes, fingerprint) = read(path, at)?;
    if at.extension().is_none_or(|e| e != "gz") {
        return Ok((bytes, fingerprint));
    }
    let unpacked = unpack(&bytes, UNPACKED_MAX).map_err(|error| match error {
        Some(error) => DataError::new(path.span, format!("can't unpack {}: {error}", at.display()))
            .help("the file is damaged or was not copied completely; fetch it again"),
        None => {
            let limit = UNPACKED_MAX >> 30;
            DataError::new(path.span, format!("{} unpacks to more than {limit} GiB", at.display())).help(
                "a small file may unpack to very much, so there is a limit; unpack it yourself and name the result",
            )
        }
    })?;
    Ok((unpacked, fingerprint))
}

/// What a gzip file holds; no error of reading where that is more than the limit.
fn unpack(bytes: &[u8], limit: u64) -> Result<Vec<u8>, Option<std::io::Error>> {
    let mut unpacked = vec![];
    let mut decoder = flate2::read::MultiGzDecoder::new(bytes).take(limit + 1);
    decoder.read_to_end(&mut unpacked)?;
    match unpacked.len() as u64 > limit {
        true => Err(None),
        false => Ok(unpacked),
    }
}

/// An error of the operating system in plain words.
pub fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        std::io::ErrorKind::StorageFull => "the disk is full".into(),
        std::io::ErrorKind::QuotaExceeded => "the disk quota is used up".into(),
        std::io::ErrorKind::FileTooLarge => "the file would be larger than is allowed".into(),
        std::io::ErrorKind::ReadOnlyFilesystem => "the disk can only be read".into(),
        std::io::ErrorKind::IsADirectory => "it is a folder".into(),
        std::io::ErrorKind::NotADirectory => "a part of the path is a file, not a folder".into(),
        _ => error.to_string(),
    }
}

/// A path of the spec, resolved against the folder of the file that names it.
pub fn resolve(path: &DataPath, base: &Path) -> PathBuf {
    base.join(&path.path)
}

#[cfg(test)]
mod tests {
    use super::unpack;
    use std::io::Write;

    #[test]
    fn what_unpacks_to_more_than_the_limit_is_refused() {
        let packed = |bytes: usize| {
            let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
            encoder.write_all(&vec![7; bytes]).unwrap();
            encoder.finish().unwrap()
        };
        assert_eq!(unpack(&packed(1000), 1000).unwrap(), vec![7; 1000]);
        assert!(matches!(unpack(&packed(1001), 1000), Err(None)));
        // Of several members that follow each other the sum counts.
        let two = [packed(600), packed(600)].concat();
        assert_eq!(unpack(&two, 1200).unwrap().len(), 1200);
        assert!(matches!(unpack(&two, 1199), Err(None)));
        let cut = packed(1000);
        assert!(matches!(unpack(&cut[..cut.len() - 4], 1000), Err(Some(_))));
    }
}
