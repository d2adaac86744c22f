use super::*;
use crate::codegen::generate::shifted_rows;

/// So many rows, five in a task; read from so many elements behind their place.
fn rows(samples: usize, length: usize, shift: usize) -> Kernel {
    shifted_rows(samples, length, shift, 5)
}

fn chain(kernels: Vec<Kernel>) -> Schedule {
    let tensor = |kernel: &Kernel, buffer: usize| Tensor {
        kind: TensorKind::Temporary,
        storage: Storage::F32,
        elements: kernel.buffers[buffer].elements,
        node: None,
    };
    let mut tensors = vec![tensor(&kernels[0], 0)];
    tensors.extend(kernels.iter().map(|k| tensor(k, 1)));
    let calls = (0..kernels.len()).map(|number| Call {
        kernel: number,
        tensors: vec![TensorId(number as u32), TensorId(number as u32 + 1)],
        slices: vec![],
        nodes: vec![],
        span: crate::text::Span::NOWHERE,
        caller: crate::text::Span::NOWHERE,
        name: String::new(),
    });
    Schedule {
        calls: calls.collect(),
        kernels,
        tensors,
        ..Schedule::default()
    }
}

#[test]
fn calls_that_hand_on_by_rows_run_in_bands() {
    let mut schedule = chain(vec![rows(96, 4096, 0), rows(96, 4096, 0), rows(96, 4096, 0)]);
    banded(&mut schedule);
    let [band] = &schedule.bands[..] else {
        panic!("{:?}", schedule.bands)
    };
    assert_eq!(band.calls, 0..3);
    // Equal kernels are one, and tasks end where bands do.
    assert_eq!(schedule.kernels.len(), 1);
    assert!(schedule.kernels[0].tasks().is_multiple_of(band.count));
    assert_eq!(96 % band.count, 0);
}

#[test]
fn who_reads_another_band_is_in_none() {
    let mut schedule = chain(vec![rows(96, 4096, 0), rows(96, 4096, 1)]);
    banded(&mut schedule);
    assert_eq!(schedule.bands, []);
    let mut small = chain(vec![rows(96, 64, 0), rows(96, 64, 0)]);
    banded(&mut small);
    assert_eq!(small.bands, [], "small tensors are in a cache anyway");
}

#[test]
fn calls_come_together_past_others() {
    // t0 → t1 → t4, and between them t0 → t2 and t1 → t3 of another order, for which nobody waits.
    let kernel = rows(96, 4096, 0);
    let mut schedule = chain(vec![kernel.clone(), kernel.clone(), rows(96, 4096, 1), kernel]);
    // A kernel that shifts has one element more; the chain made the tensors that it reads and writes so large.
    let elements = schedule.tensors[0].elements;
    schedule.kernels[2]
        .buffers
        .iter_mut()
        .for_each(|b| b.elements = elements + 1);
    for (call, tensors) in [(1, [0, 2]), (2, [1, 3]), (3, [1, 4])] {
        schedule.calls[call].tensors = tensors.map(TensorId).to_vec();
    }
    for (number, name) in ["first", "other", "shifted", "last"].iter().enumerate() {
        schedule.calls[number].name = name.to_string();
    }
    banded(&mut schedule);
    let names: Vec<&str> = schedule.calls.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["first", "last", "other", "shifted"]);
    let [band] = &schedule.bands[..] else {
        panic!("{:?}", schedule.bands)
    };
    assert_eq!(band.calls, 0..2);
    // Another call reads it too, so it is stored whole.
    assert_eq!(band.passing, []);
    let mut alone = chain(vec![rows(96, 4096, 0), rows(96, 4096, 0)]);
    banded(&mut alone);
    let passing: Vec<TensorId> = alone.bands[0].passing.iter().map(|p| p.tensor).collect();
    assert_eq!(passing, [TensorId(1)]);
}

#[test]
fn calls_that_must_wait_for_what_stands_between_stay_apart() {
    // t0 → t1; t1 → t2 shifted; (t1 and t2) → t3 would have to wait for the second.
    let mut schedule = chain(vec![rows(96, 4096, 0), rows(96, 4096, 1), rows(96, 4096, 0)]);
    let mut last = schedule.kernels[2].clone();
    last.buffers.insert(0, last.buffers[0].clone());
    schedule.calls[2].tensors = vec![TensorId(2), TensorId(1), TensorId(3)];
    if let KernelBody::Loop(k) = &mut last.body {
        for define in &mut k.passes[0].body {
            match &mut define.instruction {
                Instruction::Load { buffer, .. } | Instruction::Store { buffer, .. } => buffer.0 += 1,
                _ => {}
            }
        }
    }
    schedule.kernels[2] = last;
    banded(&mut schedule);
    assert_eq!(schedule.bands, []);
}
