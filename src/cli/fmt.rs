//! `mspec fmt FILE…`: the canonical layout.

use super::diagnostics;
use super::failure::Failure;
use super::session::read_text;
use super::streams;
use crate::format;
use crate::parse;
use crate::text::{Diagnostics, FileId, Sources};
use crate::train::{TrainError, disk};
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
    let bytes = read_text(path).map_err(|error| TrainError::file("read", path, &error))?;
    let text = match parse::decode(FileId(0), bytes.clone()) {
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
    let canonical = formatted.as_bytes() == bytes;
    if check {
        if !canonical {
            streams::result_line(&name)?;
        }
        return Ok(canonical);
    }
    let written = match standard_input {
        true => streams::result(formatted),
        false if canonical => Ok(()),
        false => replace(path, &formatted),
    };
    written.map(|()| true)
}

/// Writes the new text in the place of the old one, or leaves that as it is. A link stays one.
fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let fail = |error: std::io::Error| TrainError::file("write", path, &error);
    let target = path.canonicalize().map_err(fail)?;
    let permissions = std::fs::metadata(&target).map_err(fail)?.permissions();
    disk::write_file(&target, |out| out.write_all(text.as_bytes()))?;
    std::fs::set_permissions(&target, permissions).map_err(fail)?;
    Ok(())
}
