//! The logical axes of a kernel in the making, the vector axis last, and where its members stand on them; and how
//! these axes are split and merged at the end, so that positions become affine and loops long.

use super::body::Slot;
use super::contract::{arranged, extent};
use super::group::{Group, GroupKind};
use super::place::Placement;
use super::position::{Index, composed, cuts, linear, simplified, unravelled};
use super::program::Program;
use crate::ir::affine::{Affine, Guard, Position};
use crate::ir::graph::{NodeId, Op};
use crate::ir::kernel::{Instruction, LANES};

/// Logical axes and the element of the group's space that they mean.
#[derive(Clone, Debug)]
pub struct Axes {
    /// Outer axes, sequential ones, the vector axis.
    pub sizes: Vec<usize>,
    /// Which of them are sequential.
    pub sequential: std::ops::Range<usize>,
    /// The element of the space (of a column reduction: of the result).
    pub element: Position,
    /// The element of a row.
    pub row: Position,
    /// For a column reduction: the operand's index. Else empty.
    pub operand: Index,
    /// Whether a reduction goes along the vector axis.
    pub along_vector: bool,
}

/// The axes over which a group runs.
pub fn axes_of(program: &Program, group: &Group) -> Axes {
    match group.kind {
        GroupKind::Rows | GroupKind::Scatter | GroupKind::Scan => row_axes(program, group),
        GroupKind::Columns => column_axes(program, group),
        GroupKind::Product => product_axes(program, group),
    }
}

fn row_axes(program: &Program, group: &Group) -> Axes {
    let vector = group.vector;
    let mut sizes = match vector {
        None => program
            .node(group.members[0])
            .shape
            .iter()
            .copied()
            .filter(|&s| s > 1)
            .collect(),
        Some(vector) => {
            let reduce = group
                .members
                .iter()
                .find(|&&m| matches!(program.node(m).op, Op::Reduce { .. }));
            let mut kept = match reduce.map(|&m| program.node(m)) {
                Some(node) => node.shape.clone(),
                None => vec![group.size / vector],
            };
            kept.push(vector);
            kept
        }
    };
    if sizes.is_empty() {
        sizes.push(1);
    }
    let all: Index = (0..sizes.len()).map(Position::axis).collect();
    let last = sizes.len() - 1;
    Axes {
        sequential: last..last,
        element: linear(&sizes, &all, &sizes),
        row: linear(&sizes[..last], &all[..last], &sizes),
        operand: vec![],
        along_vector: vector.is_some(),
        sizes,
    }
}

fn column_axes(program: &Program, group: &Group) -> Axes {
    let node = program.node(group.members[0]);
    let Op::Reduce { axes: reduced, .. } = &node.op else {
        unreachable!("a column group begins with its reduction")
    };
    let shape = &program.node(node.operands[0]).shape;
    let last = group.column_axis;
    let along_vector = reduced.contains(&last);
    let outer: Vec<usize> = (0..shape.len())
        .filter(|a| !reduced.contains(a) && *a != last)
        .collect();
    let sequential = reduced.iter().copied().filter(|&a| a != last);
    let order: Vec<usize> = outer.iter().copied().chain(sequential).chain([last]).collect();
    let outer = outer.len();
    let sizes: Vec<usize> = order.iter().map(|&a| shape[a]).collect();
    let vector = sizes.len() - 1;
    let mut operand: Index = vec![Position::default(); shape.len()];
    for (at, &axis) in order.iter().enumerate() {
        operand[axis] = Position::axis(at);
    }
    let result: Index = (0..shape.len())
        .filter(|a| !reduced.contains(a))
        .map(|a| operand[a].clone())
        .collect();
    let element = linear(&node.shape, &result, &sizes);
    Axes {
        sequential: outer..vector,
        row: element.clone(),
        element,
        operand,
        along_vector,
        sizes,
    }
}

fn product_axes(program: &Program, group: &Group) -> Axes {
    let node = program.node(group.members[0]);
    let Op::Contract { out, .. } = &node.op else {
        unreachable!("a product group begins with its contraction")
    };
    let arranged = arranged(&program.graph, group.members[0], &|n| program.is_stored(n)).expect("normalised");
    let mut sizes: Vec<usize> = arranged.batch.iter().map(|r| r.size).collect();
    let rows = sizes.len();
    let all_rows = [&arranged.strips[..], &arranged.rows].concat();
    sizes.push(extent(&all_rows));
    sizes.push(extent(&arranged.columns));
    let mut index = vec![Position::default(); out.len()];
    for (at, run) in arranged.batch.iter().enumerate() {
        index[label_at(out, run.label)] = Position::axis(at);
    }
    for (axis, runs) in [(rows, &all_rows), (rows + 1, &arranged.columns)] {
        let shape: Vec<usize> = runs.iter().map(|r| r.size).collect();
        let along = unravelled(&shape, &Position::axis(axis), &sizes).expect("an axis can be divided");
        for (run, position) in runs.iter().zip(along) {
            index[label_at(out, run.label)] = position;
        }
    }
    let element = linear(&node.shape, &index, &sizes);
    Axes {
        sequential: rows + 1..rows + 1,
        row: Position::default(),
        element,
        operand: vec![],
        along_vector: false,
        sizes,
    }
}

fn label_at(out: &[u8], label: u8) -> usize {
    out.iter().position(|&l| l == label).expect("a label of the result")
}

/// The index of a member's domain on the axes.
pub fn member_index(program: &Program, id: NodeId, placement: &Placement, axes: &Axes) -> Option<Index> {
    let reduces = matches!(program.node(id).op, Op::Reduce { .. });
    if reduces && !axes.operand.is_empty() {
        return Some(axes.operand.clone());
    }
    if let Some(index) = &placement.index {
        let at = std::slice::from_ref(&axes.element);
        return index.iter().map(|p| composed(p, at, &axes.sizes)).collect();
    }
    let element = if placement.row && !reduces {
        &axes.row
    } else {
        &axes.element
    };
    unravelled(super::walk::domain(program, id), element, &axes.sizes)
}

/// The element of a member's value on the axes.
pub fn member_element(program: &Program, id: NodeId, placement: &Placement, axes: &Axes) -> Position {
    if placement.row {
        return axes.row.clone();
    }
    if placement.index.is_none() {
        return axes.element.clone();
    }
    let index = member_index(program, id, placement, axes).expect("checked when it joined");
    linear(&program.node(id).shape, &index, &axes.sizes)
}

/// The axes of a finished loop.
#[derive(Clone, Debug, PartialEq)]
pub struct Loops {
    /// Sizes.
    pub outer: Vec<usize>,
    /// Sizes.
    pub sequential: Vec<usize>,
    /// Size.
    pub vector: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Outer,
    Sequential,
    Vector,
}

/// Splits axes where digits ask for it, merges neighbours that run together, and renumbers: the vector axis becomes 0.
/// `rigid`: the vector axis stays as it is.
pub fn finish(slots: &mut [Slot], axes: &Axes, rigid: bool) -> Loops {
    let mut sizes = axes.sizes.clone();
    let mut roles: Vec<Role> = (0..sizes.len())
        .map(|axis| match axis {
            a if a + 1 == axes.sizes.len() => Role::Vector,
            a if axes.sequential.contains(&a) => Role::Sequential,
            _ => Role::Outer,
        })
        .collect();
    split(slots, &mut sizes, &mut roles, rigid);
    drop_single(slots, &mut sizes, &mut roles);
    merge(slots, &mut sizes, &mut roles, rigid);
    let count = |role: Role| roles.iter().filter(|r| **r == role).count();
    let (outer, total) = (count(Role::Outer), sizes.len());
    let replacement: Vec<Position> = (0..total)
        .map(|axis| Position::axis(if axis + 1 == total { 0 } else { axis + 1 }))
        .collect();
    let mut new_sizes = vec![sizes[total - 1]];
    new_sizes.extend(&sizes[..total - 1]);
    rewrite(slots, &replacement, &new_sizes);
    Loops {
        outer: sizes[..outer].to_vec(),
        sequential: sizes[outer..total - 1].to_vec(),
        vector: sizes[total - 1],
    }
}

fn split(slots: &mut [Slot], sizes: &mut Vec<usize>, roles: &mut Vec<Role>, rigid: bool) {
    let mut positions: Vec<Position> = vec![];
    each_position(slots, &mut |p| {
        if !p.digits.is_empty() {
            positions.push(p.clone());
        }
    });
    if positions.is_empty() {
        return;
    }
    let (mut new_sizes, mut new_roles, mut replacement) = (vec![], vec![], vec![]);
    for (axis, (&size, &role)) in sizes.iter().zip(roles.iter()).enumerate() {
        let mut chain = cuts(axis, size, positions.iter());
        if role == Role::Vector {
            chain.retain(|&c| c == 1 || c == size as i64 || !rigid && c >= LANES as i64);
        }
        let parts = chain.windows(2).rev();
        let mut position = Affine::default();
        for (number, part) in parts.enumerate() {
            position = position.plus(&Affine::axis(new_sizes.len()).times(part[0]));
            new_sizes.push((part[1] / part[0]) as usize);
            let innermost = number + 2 == chain.len();
            new_roles.push(if role == Role::Vector && !innermost {
                Role::Outer
            } else {
                role
            });
        }
        if chain.len() == 1 {
            position = Affine::axis(new_sizes.len());
            new_sizes.push(size);
            new_roles.push(role);
        }
        replacement.push(Position::from(position));
    }
    // Parts of the vector axis that became outer axes go in front of sequential ones.
    let mut order: Vec<usize> = (0..new_sizes.len()).collect();
    order.sort_by_key(|&a| new_roles[a] as u8);
    let mut place = vec![Position::default(); order.len()];
    for (new, &old) in order.iter().enumerate() {
        place[old] = Position::axis(new);
    }
    let replacement: Vec<Position> = replacement
        .iter()
        .map(|p| composed(p, &place, &vec![usize::MAX; place.len()]).expect("affine"))
        .collect();
    *sizes = order.iter().map(|&a| new_sizes[a]).collect();
    *roles = order.iter().map(|&a| new_roles[a]).collect();
    rewrite(slots, &replacement, sizes);
}

/// Leaves out axes of one index. The vector axis stays: what is computed once a row was told by it.
fn drop_single(slots: &mut [Slot], sizes: &mut Vec<usize>, roles: &mut Vec<Role>) {
    let last = sizes.len() - 1;
    let order: Vec<usize> = (0..sizes.len()).filter(|&a| sizes[a] > 1 || a == last).collect();
    let mut replacement = vec![Position::default(); sizes.len()];
    for (new, &old) in order.iter().enumerate() {
        replacement[old] = Position::axis(new);
    }
    *sizes = order.iter().map(|&a| sizes[a]).collect();
    *roles = order.iter().map(|&a| roles[a]).collect();
    rewrite(slots, &replacement, sizes);
}

fn merge(slots: &mut [Slot], sizes: &mut Vec<usize>, roles: &mut Vec<Role>, rigid: bool) {
    let mut inner = sizes.len() - 1;
    while inner > 0 {
        let outer = inner - 1;
        let alike =
            roles[outer] == roles[inner] || roles[inner] == Role::Vector && roles[outer] == Role::Outer && !rigid;
        // A reduction along the vector axis may go over sequential axes too, as long as one of them is left.
        let longer = rigid && roles[outer] == Role::Sequential && outer > 0 && roles[outer - 1] == Role::Sequential;
        let alike = match roles[inner] {
            Role::Vector if rigid => longer,
            _ => alike,
        };
        let size = sizes[inner] as i64;
        if alike && all_forms(slots, &|form| form.coefficient(outer) == form.coefficient(inner) * size) {
            let replacement: Vec<Position> = (0..sizes.len())
                .map(|axis| match axis {
                    a if a == outer => Position::default(),
                    a if a > outer => Position::axis(a - 1),
                    a => Position::axis(a),
                })
                .collect();
            sizes[inner] *= sizes[outer];
            sizes.remove(outer);
            roles.remove(outer);
            rewrite(slots, &replacement, sizes);
        }
        inner -= 1;
        inner = inner.min(sizes.len() - 1);
    }
}

fn all_forms(slots: &mut [Slot], holds: &dyn Fn(&Affine) -> bool) -> bool {
    let mut all = true;
    each_position(slots, &mut |p| {
        all &= holds(&p.affine) && p.digits.iter().all(|d| holds(&d.of));
    });
    all
}

fn rewrite(slots: &mut [Slot], replacement: &[Position], sizes: &[usize]) {
    each_position(slots, &mut |p| {
        let moved = composed(p, replacement, sizes).expect("axes are replaced by affine forms");
        *p = simplified(&moved, sizes);
    });
}

/// Calls a function with every position of the bodies.
pub fn each_position(slots: &mut [Slot], f: &mut dyn FnMut(&mut Position)) {
    for define in slots.iter_mut().flat_map(|s| &mut s.body) {
        match &mut define.instruction {
            Instruction::Load { at, guards, .. } => {
                f(at);
                guards.iter_mut().for_each(|g| each_guard_position(g, f));
            }
            Instruction::Inside(guards) => guards.iter_mut().for_each(|g| each_guard_position(g, f)),
            Instruction::Gather { at, .. } | Instruction::Index(at) | Instruction::Store { at, .. } => f(at),
            _ => {}
        }
    }
}

fn each_guard_position(guard: &mut Guard, f: &mut dyn FnMut(&mut Position)) {
    match guard {
        Guard::Within { of, .. } => f(of),
        Guard::Divisible { of, .. } => {
            let mut position = Position::from(of.clone());
            f(&mut position);
            *of = position.affine;
        }
    }
}

/// Renumbers alone: the vector axis becomes 0, the others follow.
pub fn renumber(slots: &mut [Slot], sizes: &[usize]) {
    let total = sizes.len();
    let replacement: Vec<Position> = (0..total)
        .map(|axis| Position::axis(if axis + 1 == total { 0 } else { axis + 1 }))
        .collect();
    let mut new_sizes = vec![sizes[total - 1]];
    new_sizes.extend(&sizes[..total - 1]);
    rewrite(slots, &replacement, &new_sizes);
}
