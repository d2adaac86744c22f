//! What `data` says of a `tensors` source: what its tensors hold, and the target that does not count.

use super::stated::stated;
use crate::ir::experiment::{DataPath, Source};
use crate::resolve::settings::{Reader, literal};

/// Reads the settings that belong to `tensors`.
pub(super) fn tensors(reader: &mut Reader<'_, '_>, path: DataPath) -> Option<Source> {
    let stated = stated(reader)?;
    let mut ignore = None;
    if let Some(line) = reader.all("ignore").next() {
        let item = reader.single(line, "a whole number, as `ignore -100`")?;
        match literal(item)
            .filter(|(_, unit)| unit.is_none())
            .and_then(|(v, _)| v.as_whole())
        {
            Some(value) => ignore = Some(value as i64),
            None => return reader.expected("a whole number, as `ignore -100`", item.span),
        }
    }
    Some(Source::Tensors { path, stated, ignore })
}
