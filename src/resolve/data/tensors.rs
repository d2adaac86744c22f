//! What `data` says of a `tensors` source: bounds of ids and their sizes, and the target that does not count.

use crate::ir::ast::{BinaryOperator, Expr, ExprKind, Index};
use crate::ir::experiment::{DataPath, Source, StatedIds};
use crate::resolve::settings::{Reader, literal};

/// Reads the settings that belong to `tensors`.
pub(super) fn tensors(reader: &mut Reader<'_, '_>, path: DataPath) -> Option<Source> {
    let mut ids = vec![];
    for line in reader.all("ids") {
        for group in &line.groups {
            let stated = match &group[..] {
                [item] => stated(item),
                _ => None,
            };
            match stated {
                Some(stated) => ids.push(stated),
                None => {
                    let what = "`NAME < BOUND`, as `inputs < 65`, or with the sizes of a sample `inputs[128] < 65`";
                    return reader.expected(what, line.span);
                }
            }
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

/// `inputs < 65`, `inputs[128] < 65`.
fn stated(item: &Expr) -> Option<StatedIds> {
    let ExprKind::Binary {
        operator: BinaryOperator::Less,
        left,
        right,
        ..
    } = &*item.kind
    else {
        return None;
    };
    let bound = literal(right)?.0.as_whole().filter(|b| (1..=1 << 24).contains(b))? as usize;
    let (base, sizes) = match &*left.kind {
        ExprKind::Element { base, indices } => (base, Some(indices.iter().map(size).collect::<Option<Vec<_>>>()?)),
        _ => (left, None),
    };
    let ExprKind::Name(name) = &*base.kind else { return None };
    Some(StatedIds {
        name: name.clone(),
        bound,
        sizes,
    })
}

fn size(index: &Index) -> Option<usize> {
    let Index::Computed(size) = index else { return None };
    let size = literal(size)?.0.as_whole()?;
    (1..=1 << 31).contains(&size).then_some(size as usize)
}
