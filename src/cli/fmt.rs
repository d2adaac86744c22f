//! `mspec fmt FILE…`: the canonical layout.

use super::diagnostics;
use super::failure::Failure;
use crate::format;
use crate::parse::{self, limits};
use crate::text::{Diagnostics, FileId, Sources};
use crate::train::TrainError;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  mspec fmt specs/wine.ms\n  mspec fmt --check specs/*.ms")]
pub struct Arguments {
    /// Specs to rewrite, or - for standard input to standard output
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Changes nothing: prints the names of files whose layout differs, and fails if there are any
    #[arg(long)]
    check: bool,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut all_fine = true;
    for path in &arguments.files {
        all_fine &= file(path, arguments.check)?;
    }
    if all_fine { Ok(()) } else { Err(Failure::Told) }
}

/// Whether the file parses and, in a check, has the canonical layout.
fn file(path: &Path, check: bool) -> Result<bool, Failure> {
    let standard_input = path == Path::new("-");
    let name = path.display().to_string();
    let bytes = match standard_input {
        true => read(std::io::stdin().lock()),
        false => std::fs::File::open(path).and_then(read),
    };
    let bytes = bytes.map_err(|error| TrainError::file("read", path, &error))?;
    let text = match parse::decode(FileId(0), bytes) {
        Ok(text) => text,
        Err(refused) => {
            let mut sources = Sources::default();
            let mut said = Diagnostics::default();
            sources.add(name, refused.shown, false);
            said.push(refused.diagnostic);
            diagnostics::print(&sources, &said);
            return Ok(false);
        }
    };
    let formatted = match format::format(&name, &text) {
        Ok(formatted) => formatted,
        Err((sources, said)) => {
            diagnostics::print(&sources, &said);
            return Ok(false);
        }
    };
    if check {
        if formatted != text {
            println!("{name}");
        }
        return Ok(formatted == text);
    }
    let written = match standard_input {
        true => std::io::stdout().write_all(formatted.as_bytes()),
        false if formatted == text => Ok(()),
        false => std::fs::write(path, formatted),
    };
    written.map_err(|error| TrainError::file("write", path, &error))?;
    Ok(true)
}

/// One byte more than a spec may have is enough to refuse it.
fn read(source: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![];
    source.take(limits::FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
