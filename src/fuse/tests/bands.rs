//! Bands on the machine: the bits of calls that are made one after the other, on any number of threads.

use super::build::Build;
use super::given;
use crate::fuse::fuse;
use crate::ir::graph::*;
use crate::machine::{Machine, Program, ProgramId, Values, ValuesMut};
use crate::plan::plan;

/// Attention over sixteen sequences, whose scores are large.
fn attention() -> Graph {
    let mut b = Build::default();
    let [query, key, value] = [(); 3].map(|()| b.input(&[16, 128, 24]));
    let scores = b.contract(query, key, "bte,bse->bts");
    let weights = b.softmax(scores);
    let mixed = b.contract(weights, value, "bts,bse->bte");
    b.output(mixed);
    b.graph
}

#[test]
fn bands_give_the_bits_of_whole_calls() {
    let graph = attention();
    let schedule = fuse(&graph);
    let banded = plan(&schedule, &graph, None);
    assert_eq!(banded.bands.len(), 1, "{schedule}");
    assert!(banded.bands[0].calls.len() >= 3, "{schedule}");
    assert!(
        !banded.bands[0].passing.is_empty() && banded.band_bytes > 0,
        "{schedule}"
    );
    let mut whole = schedule.clone();
    whole.bands.clear();
    let whole = plan(&whole, &graph, None);
    assert!(whole.transient_bytes > banded.transient_bytes + 3 * banded.band_bytes);
    let given = given(&graph);
    let run = |plan, threads| {
        let program = Program::compile(plan, 2).unwrap();
        let mut machine = Machine::new(vec![program], threads).unwrap();
        for (number, values) in given.inputs.iter().enumerate() {
            let ValuesMut::F32(input) = machine.input_mut(ProgramId(0), number) else {
                unreachable!("all inputs are real")
            };
            input.iter_mut().zip(values).for_each(|(to, from)| *to = *from as f32);
        }
        machine.run(ProgramId(0));
        let Values::F32(output) = machine.output(ProgramId(0), 0) else {
            unreachable!("the output is real")
        };
        output.iter().map(|v| v.to_bits()).collect::<Vec<u32>>()
    };
    let expected = run(&whole, 1);
    for threads in [1, 2, 3] {
        assert!(run(&banded, threads) == expected, "{threads} threads");
    }
}
