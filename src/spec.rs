//! A path → a parsed spec with everything that it imports and the standard library. It looks no name up, and reads
//! files only by the function that it is given.

use crate::ir::ast::{File, Item};
use crate::overrides::{self, Value};
use crate::text::{Code, Diagnostic, Diagnostics, FileId, Sources, Span};
use crate::{parse, standard};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Files that imports may lead to.
const IMPORTS: usize = 64;

/// Why a spec can't be compiled: what was said, and the texts that it is said of.
#[derive(Clone, Debug)]
pub struct Failure {
    /// All texts.
    pub sources: Sources,
    /// At least one error.
    pub diagnostics: Diagnostics,
}

/// A parsed spec with its imports and the standard library.
#[derive(Clone, Debug)]
pub struct Spec {
    /// All texts; the spec itself is the first.
    pub sources: Sources,
    /// The spec's own tree.
    pub file: File,
    imported: Vec<File>,
    /// The library's trees, which all specs share.
    standard: Arc<[File]>,
    /// What has been said so far: warnings.
    pub warnings: Diagnostics,
    /// The end of its text: where something is missing.
    pub end: Span,
}

/// Reads a file that a spec names; the error is for people.
pub type ReadFile<'r> = &'r dyn Fn(&Path) -> Result<Vec<u8>, String>;

/// Parses a spec and everything that it imports.
pub fn load(path: &Path, set: &[(String, String)], read: ReadFile<'_>) -> Result<Spec, Failure> {
    let mut sources = Sources::default();
    let mut diagnostics = Diagnostics::default();
    let bytes = read(path);
    let Some((id, mut file)) = parse_file(
        &path.display().to_string(),
        bytes,
        Span::NOWHERE,
        &mut sources,
        &mut diagnostics,
    ) else {
        return Err(Failure { sources, diagnostics });
    };
    let length = sources.file(id).map_or(0, |f| f.text.trim_end().len() as u32);
    let end = Span {
        file: id,
        start: length.saturating_sub(1),
        end: length,
    };
    let mut imported = vec![];
    let base = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let mut seen = vec![plain(path)];
    let mut waiting = imports(&file, &base);
    while let Some((target, span)) = waiting.pop() {
        // Imports may lead back: names come from each file once.
        if seen.contains(&plain(&target)) {
            continue;
        }
        if seen.len() > IMPORTS {
            diagnostics.push(Diagnostic::new(
                Code::TooMuchWork,
                span,
                format!("imports lead to more than {IMPORTS} files"),
            ));
            break;
        }
        seen.push(plain(&target));
        let bytes = read(&target);
        if let Some((_, file)) = parse_file(
            &target.display().to_string(),
            bytes,
            span,
            &mut sources,
            &mut diagnostics,
        ) {
            let base = target.parent().map(Path::to_path_buf).unwrap_or_default();
            waiting.extend(imports(&file, &base));
            imported.push(file);
        }
    }
    let first = FileId(sources.files().count() as u32);
    for (name, text) in standard::FILES {
        sources.add(*name, *text, true);
    }
    let standard = standard::trees(first);
    let set: Vec<(&str, Value)> = set.iter().map(|(p, v)| (p.as_str(), Value::Text(v.clone()))).collect();
    overrides::apply(
        &mut file,
        set.iter().map(|(p, v)| (*p, v)),
        &mut sources,
        &mut diagnostics,
    );
    if diagnostics.has_errors() {
        return Err(Failure { sources, diagnostics });
    }
    Ok(Spec {
        sources,
        file,
        imported,
        standard,
        warnings: diagnostics,
        end,
    })
}

impl Spec {
    /// Its trees: its own, what it imports, the library's.
    pub fn files(&self) -> Vec<&File> {
        let others = self.imported.iter().chain(&*self.standard);
        std::iter::once(&self.file).chain(others).collect()
    }
}

/// A path without `.` and without `..` behind a name, so that two ways to a file compare equal.
fn plain(path: &Path) -> PathBuf {
    let mut parts: Vec<Component<'_>> = vec![];
    for part in path.components() {
        match (part, parts.last()) {
            (Component::CurDir, _) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.iter().collect()
}

fn parse_file(
    name: &str,
    bytes: Result<Vec<u8>, String>,
    importer: Span,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Option<(FileId, File)> {
    let next = FileId(sources.files().count() as u32);
    let text = match bytes.map(|b| parse::decode(next, b)) {
        Ok(Ok(text)) => text,
        Ok(Err(refused)) => {
            sources.add(name, refused.shown, false);
            diagnostics.push(refused.diagnostic);
            return None;
        }
        Err(message) => {
            diagnostics.push(Diagnostic::new(
                Code::CannotRead,
                importer,
                format!("can't read {name}: {message}"),
            ));
            return None;
        }
    };
    let id = sources.add(name, text.clone(), false);
    Some((id, parse::parse(id, &text, diagnostics)))
}

fn imports(file: &File, base: &Path) -> Vec<(PathBuf, Span)> {
    let of = |item: &Item| match item {
        Item::Import { path, span } => Some((base.join(path), *span)),
        _ => None,
    };
    file.items.iter().filter_map(of).collect()
}

impl Spec {
    /// What was said, with the spec's texts.
    pub fn failure(&self, diagnostics: Diagnostics) -> Failure {
        Failure {
            sources: self.sources.clone(),
            diagnostics,
        }
    }

    /// The spec with some values changed.
    pub fn changed<'v>(&self, changes: impl IntoIterator<Item = (&'v str, &'v Value)>) -> Result<Spec, Failure> {
        let mut spec = self.clone();
        let mut diagnostics = Diagnostics::default();
        overrides::apply(&mut spec.file, changes, &mut spec.sources, &mut diagnostics);
        match diagnostics.has_errors() {
            true => Err(spec.failure(diagnostics)),
            false => Ok(spec),
        }
    }
}
