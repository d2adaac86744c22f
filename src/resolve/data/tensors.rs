//! What `data` says of a `tensors` source: bounds of ids, and the target that does not count.

use crate::ir::ast::{BinaryOperator, ExprKind};
use crate::ir::experiment::{DataPath, Source};
use crate::resolve::settings::{Reader, literal};

/// Reads the settings that belong to `tensors`.
pub(super) fn tensors(reader: &mut Reader<'_, '_>, path: DataPath) -> Option<Source> {
    let mut ids = vec![];
    for line in reader.all("ids") {
        for group in &line.groups {
            let bound = match &group[..] {
                [item] => match &*item.kind {
                    ExprKind::Binary {
                        operator: BinaryOperator::Less,
                        left,
                        right,
                        ..
                    } => {
                        let name = reader.word(left);
                        let bound = literal(right)
                            .and_then(|(v, _)| v.as_whole())
                            .filter(|b| (1..=1 << 24).contains(b));
                        name.zip(bound)
                    }
                    _ => None,
                },
                _ => None,
            };
            let Some((name, bound)) = bound else {
                return reader.expected("`NAME < BOUND`, as `inputs < 65`", line.span);
            };
            ids.push((name.to_string(), bound as usize));
        }
    }
    let mut ignore = None;
    if let Some(line) = reader.all("ignore").next() {
        let item = reader.single(line, "a whole number, as `ignore -100`")?;
        match literal(item).and_then(|(v, _)| v.as_whole()) {
            Some(value) => ignore = Some(value as i64),
            None => return reader.expected("a whole number, as `ignore -100`", item.span),
        }
    }
    Some(Source::Tensors { path, ids, ignore })
}
