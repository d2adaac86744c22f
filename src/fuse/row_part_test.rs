use super::*;
use crate::codegen::generate::shifted_rows;

/// Six rows of eight, and what a change makes of their body.
fn strides(change: impl Fn(&mut Vec<Instruction>)) -> Option<Vec<usize>> {
    let mut kernel = shifted_rows(6, 8, 0, 6);
    if let KernelBody::Loop(k) = &mut kernel.body {
        let body = std::mem::take(&mut k.passes[0].body);
        let mut instructions: Vec<Instruction> = body.into_iter().map(|d| d.instruction).collect();
        change(&mut instructions);
        let define = |(value, instruction)| Define {
            value: ValueId(value),
            instruction,
        };
        k.passes[0].body = (0..).zip(instructions).map(define).collect();
    }
    let part = RowParts::of(&kernel, 3)?;
    let elements: Vec<usize> = part.kernel.buffers.iter().map(|b| b.elements).collect();
    let of_part = |(stride, whole): (&usize, usize)| if *stride == 0 { whole } else { *stride };
    let expected: Vec<usize> = part.strides.iter().zip([48, 48]).map(of_part).collect();
    assert_eq!(elements, expected);
    Some(part.strides)
}

fn gather(at: Position, stride: i64) -> Instruction {
    Instruction::Gather {
        buffer: BufferId(0),
        at,
        ids: vec![(ValueId(0), stride)],
    }
}

#[test]
fn rows_move_from_part_to_part() {
    assert_eq!(strides(|_| {}), Some(vec![16, 16]));
    let first_row = |body: &mut Vec<Instruction>| {
        if let Instruction::Load { at, .. } = &mut body[0] {
            *at = Position::axis(0);
        }
    };
    assert_eq!(strides(first_row), Some(vec![0, 16]), "all read the same row");
    let part = RowParts::of(&shifted_rows(6, 8, 1, 6), 3);
    assert!(part.is_none(), "it reads another part's first element");
    assert!(RowParts::of(&shifted_rows(6, 8, 0, 6), 5).is_none());
}

#[test]
fn who_asks_for_a_row_is_in_no_part() {
    let of_row = |body: &mut Vec<Instruction>| body.push(Instruction::Index(Position::axis(1)));
    assert_eq!(strides(of_row), None);
    let of_column = |body: &mut Vec<Instruction>| body.push(Instruction::Index(Position::axis(0)));
    assert_eq!(strides(of_column), Some(vec![16, 16]));
}

#[test]
fn ids_stay_inside_their_row() {
    let gathers = |at: fn() -> Position, stride: i64| {
        strides(move |body| {
            body[0] = Instruction::Integer(3);
            body.insert(1, gather(at(), stride));
        })
    };
    assert_eq!(
        gathers(|| Position::from(Affine::axis(1).times(8)), 1),
        Some(vec![16, 16])
    );
    assert_eq!(gathers(|| Position::axis(1), 6), None, "ids that go over the rows");
    assert_eq!(
        gathers(Position::default, 1),
        Some(vec![0, 16]),
        "a table that all read"
    );
    // One buffer that is read by ids and by rows: neither the whole nor a part is right for both.
    let both = strides(|body| {
        body.insert(1, Instruction::Integer(3));
        body.insert(2, gather(Position::default(), 1));
    });
    assert_eq!(both, None);
}
