//! `real NAME[SIZES]`, `ids NAME[SIZES] < BOUND`, `condition NAME[SIZES]` → [`StatedTensor`]: what a sample has, so that
//! a spec can be looked at without its data.

use crate::ir::ast::{BinaryOperator, Expr, ExprKind, Index};
use crate::ir::experiment::{ColumnName, StatedTensor};
use crate::ir::graph::Element;
use crate::resolve::fraction;
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

/// Reads the lines, in the order in which they are written.
pub(super) fn stated(reader: &mut Reader<'_, '_>) -> Option<Vec<StatedTensor>> {
    let mut all: Vec<StatedTensor> = vec![];
    for (key, what) in HELD {
        for line in reader.all(key) {
            for group in &line.groups {
                let [item] = &group[..] else {
                    return reader.expected(what, line.span);
                };
                let Some(tensor) = tensor(key, item) else {
                    return reader.expected(what, item.span);
                };
                if let Some(first) = all.iter().find(|known| known.name == tensor.name) {
                    let message = format!("`{}` is stated twice", tensor.name);
                    let diagnostic = Diagnostic::new(Code::DuplicateSetting, item.span, message);
                    reader
                        .diagnostics
                        .push(diagnostic.note(first.span, "first stated here"));
                    return None;
                }
                all.push(tensor);
            }
        }
    }
    all.sort_by_key(|tensor| tensor.span.start);
    Some(all)
}

/// `inputs < 65` or `inputs[128] < 65` of `ids`; `price` or `pixels[784]` of `real` and `condition`.
fn tensor(key: &str, item: &Expr) -> Option<StatedTensor> {
    let (tensor, element) = match &*item.kind {
        ExprKind::Binary {
            operator: BinaryOperator::Less,
            left,
            right,
            ..
        } if key == "ids" => {
            let bound = plain(right)?.as_whole().filter(|b| (1..=1 << 24).contains(b))? as usize;
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
        span: item.span,
    })
}

fn size(index: &Index) -> Option<usize> {
    let Index::Computed(size) = index else { return None };
    let size = plain(size)?.as_whole()?;
    (1..=1 << 31).contains(&size).then_some(size as usize)
}

/// A number without a unit.
fn plain(item: &Expr) -> Option<fraction::Known> {
    literal(item).filter(|(_, unit)| unit.is_none()).map(|(value, _)| value)
}

/// A tensor that a source has by its settings alone: what it holds, and the sizes of a sample as far as they are known.
pub(super) struct Known<'a> {
    pub(super) name: &'a str,
    pub(super) key: &'a str,
    pub(super) sizes: Vec<Axis>,
}

/// The size of one axis.
#[derive(Clone, Copy)]
pub(super) enum Axis {
    /// What the data tell, and what it is called.
    Open(&'static str),
    /// What another setting says.
    Is(usize),
}

impl Known<'_> {
    /// How it is stated.
    fn line(&self) -> String {
        let size = |axis: &Axis| match axis {
            Axis::Open(what) => what.to_string(),
            Axis::Is(size) => size.to_string(),
        };
        let sizes: Vec<String> = self.sizes.iter().map(size).collect();
        let sizes = match sizes[..] {
            [] => String::new(),
            _ => format!("[{}]", sizes.join(", ")),
        };
        let bound = if self.key == "ids" { " < BOUND" } else { "" };
        format!("{} {}{sizes}{bound}", self.key, self.name)
    }

    fn fits(&self, tensor: &StatedTensor) -> bool {
        let key = match tensor.element {
            Element::Real => "real",
            Element::Condition => "condition",
            Element::Id { .. } => "ids",
        };
        let sizes = tensor.sizes.as_deref().unwrap_or_default();
        let fits = |(axis, size): (&Axis, &usize)| match axis {
            Axis::Open(_) => true,
            Axis::Is(known) => known == size,
        };
        self.key == key && self.sizes.len() == sizes.len() && self.sizes.iter().zip(sizes).all(fits)
    }
}

/// Checks what is stated of a table against its settings: `known` tensors have their form, `needed` ones are stated if
/// anything is, and others are columns of ids in the form of `other`, if there are such.
pub(super) fn check(
    reader: &mut Reader<'_, '_>,
    stated: &mut [StatedTensor],
    known: &[Known<'_>],
    other: Option<&[Axis]>,
    needed: &[(&str, Span)],
) {
    if stated.is_empty() {
        return;
    }
    for tensor in stated.iter_mut() {
        let name = tensor.name.clone();
        let found = known.iter().find(|k| k.name == name);
        let column = other.map(|sizes| Known {
            name: &name,
            key: "ids",
            sizes: sizes.to_vec(),
        });
        match found.or(column.as_ref()) {
            Some(form) if form.fits(tensor) => tensor.sizes = Some(tensor.sizes.take().unwrap_or_default()),
            Some(form) => {
                reader.expected::<()>(&format!("`{}`", form.line()), tensor.span);
            }
            None => {
                let names: Vec<String> = known.iter().map(|k| format!("`{}`", k.line())).collect();
                reader.expected::<()>(&names.join(" or "), tensor.span);
            }
        }
    }
    for (name, span) in needed {
        if stated.iter().all(|s| s.name != *name) {
            let message = format!("nothing is stated of `{name}`: it is stated of all tensors or of none");
            let form = known.iter().find(|k| k.name == *name).map(Known::line);
            let help = format!("write `{}`", form.unwrap_or_else(|| format!("ids {name} < BOUND")));
            let diagnostic = Diagnostic::new(Code::MissingSetting, *span, message).help(help);
            reader.diagnostics.push(diagnostic.note(stated[0].span, "stated here"));
        }
    }
}

/// The names of columns, with where they are named.
pub(super) fn named(columns: &[ColumnName]) -> impl Iterator<Item = (&str, Span)> {
    columns.iter().map(|c| (c.name.as_str(), c.span))
}
