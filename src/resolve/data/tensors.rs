//! What `data` says of a `tensors` source: what its tensors hold, and the target that does not count.

use crate::ir::ast::{BinaryOperator, Expr, ExprKind, Index};
use crate::ir::experiment::{DataPath, Source, StatedTensor};
use crate::ir::graph::Element;
use crate::resolve::settings::{Reader, literal};
use crate::text::{Code, Diagnostic, Span};

/// The lines that say what tensors hold, with what each line expects.
const HELD: [(&str, &str); 3] = [
    (
        "ids",
        "`NAME < BOUND`, as `inputs < 65`, or with the sizes of a sample `inputs[128] < 65`",
    ),
    ("real", "a tensor with the sizes of a sample, as `pixels[3, 32, 32]`"),
    ("condition", "a tensor with the sizes of a sample, as `mask[128]`"),
];

/// Reads the settings that belong to `tensors`.
pub(super) fn tensors(reader: &mut Reader<'_, '_>, path: DataPath) -> Option<Source> {
    let mut all: Vec<(StatedTensor, Span)> = vec![];
    for (key, what) in HELD {
        for line in reader.all(key) {
            for group in &line.groups {
                let [item] = &group[..] else {
                    return reader.expected(what, line.span);
                };
                let Some(tensor) = stated(key, item) else {
                    return reader.expected(what, item.span);
                };
                if let Some((_, first)) = all.iter().find(|(known, _)| known.name == tensor.name) {
                    let message = format!("`{}` is stated twice", tensor.name);
                    let diagnostic = Diagnostic::new(Code::DuplicateSetting, item.span, message);
                    reader.diagnostics.push(diagnostic.note(*first, "first stated here"));
                    return None;
                }
                all.push((tensor, item.span));
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
    let stated = all.into_iter().map(|(tensor, _)| tensor).collect();
    Some(Source::Tensors { path, stated, ignore })
}

/// `inputs < 65` or `inputs[128] < 65` of `ids`; `price` or `pixels[784]` of `real` and `condition`.
fn stated(key: &str, item: &Expr) -> Option<StatedTensor> {
    let (tensor, element) = match &*item.kind {
        ExprKind::Binary {
            operator: BinaryOperator::Less,
            left,
            right,
            ..
        } if key == "ids" => {
            let bound = literal(right)?.0.as_whole().filter(|b| (1..=1 << 24).contains(b))? as usize;
            (left, Element::Id { bound })
        }
        _ if key == "real" => (item, Element::Real),
        _ if key == "condition" => (item, Element::Condition),
        _ => return None,
    };
    let (base, sizes) = match &*tensor.kind {
        ExprKind::Element { base, indices } => (base, Some(indices.iter().map(size).collect::<Option<Vec<_>>>()?)),
        // Ids may leave their sizes to the file; the others are stated for nothing but their sizes.
        _ => (tensor, (key != "ids").then(Vec::new)),
    };
    let ExprKind::Name(name) = &*base.kind else { return None };
    Some(StatedTensor {
        name: name.clone(),
        element,
        sizes,
    })
}

fn size(index: &Index) -> Option<usize> {
    let Index::Computed(size) = index else { return None };
    let size = literal(size)?.0.as_whole()?;
    (1..=1 << 31).contains(&size).then_some(size as usize)
}
