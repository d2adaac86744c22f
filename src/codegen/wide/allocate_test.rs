//! Homes against a simulation: code with loops and more variables than registers runs with names in place of values, and
//! every read must find the name of its variable in its home.

use super::allocate::{Home, allocate};
use super::code::{Class, Code, Place, Reg, Step, Use, With};
use super::encode::gpr::RDI;
use super::encode_vector::{Width, op};
use std::collections::HashMap;

/// Draws numbers (SplitMix64).
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

/// Steps that read any variables so far and write new or old ones, with loops inside.
fn random_block(code: &mut Code, draws: &mut Draws, base: Reg, vectors: &mut Vec<Reg>, depth: usize) {
    for _ in 0..4 + draws.below(20) {
        let pick = |draws: &mut Draws, vectors: &[Reg]| vectors[draws.below(vectors.len())];
        match draws.below(8) {
            0 if depth < 3 => {
                let index = code.to_word(|d| Step::Number(d, 0));
                let number = code.open_loop();
                let again = code.target();
                code.push(Step::Bind(again));
                // What a loop's body brings is not read behind it: it may be another round's.
                let outside = vectors.len();
                random_block(code, draws, base, vectors, depth + 1);
                vectors.truncate(outside);
                code.close_loop(number, index, With::Number(2), 1, again);
            }
            1 | 2 => {
                let loaded = code.to_vector(|d| Step::VectorLoad(d, Place::at(base, 0), None));
                vectors.push(loaded);
            }
            3 => {
                let (to, from) = (pick(draws, vectors), pick(draws, vectors));
                code.push(Step::Copy(to, from));
            }
            _ => {
                let (a, b) = (pick(draws, vectors), pick(draws, vectors));
                let sum = code.three(op::ADD, a, b);
                vectors.push(sum);
            }
        }
    }
}

/// A home as a key: registers of different classes are different.
fn key(home: Home, class: Class) -> (bool, usize) {
    let vector = class == Class::Vector;
    match home {
        Home::Register(register) => (vector, usize::from(register)),
        Home::Frame(slot) => (vector, 1000 + slot),
        Home::Data | Home::Nowhere => panic!("a variable that is used has a home of its own"),
    }
}

/// Runs steps, every loop three times; `memory` holds the variable that was written last to each home.
fn run(code: &Code, homes: &[Home], memory: &mut HashMap<(bool, usize), Reg>, from: usize, end: usize) {
    let mut at = from;
    while at < end {
        let step = &code.steps[at];
        if let Step::LoopStart(number) = step {
            let close = |s: &Step| *s == Step::LoopEnd(*number);
            let stop = at + code.steps[at..].iter().position(close).expect("loops end");
            for _ in 0..3 {
                run(code, homes, memory, at + 1, stop);
            }
            at = stop;
            continue;
        }
        step.registers(|reg, how| {
            let key = key(homes[reg.0 as usize], code.classes[reg.0 as usize]);
            if how != Use::Write {
                assert_eq!(memory.get(&key), Some(&reg), "step {at}: {step:?}");
            }
            if how != Use::Read {
                memory.insert(key, reg);
            }
        });
        at += 1;
    }
}

#[test]
fn every_read_finds_its_variable() {
    let mut draws = Draws(7);
    for round in 0..200 {
        let width = if round % 2 == 0 { Width::W256 } else { Width::W512 };
        let mut code = Code::new(width);
        let base = code.word();
        let mut vectors = vec![code.to_vector(|d| Step::VectorLoad(d, Place::at(base, 0), None))];
        random_block(&mut code, &mut draws, base, &mut vectors, 0);
        let homes = allocate(&code, &[(base, RDI)]);
        let mut memory = HashMap::from([(key(homes.of[base.0 as usize], Class::Word), base)]);
        run(&code, &homes.of, &mut memory, 0, code.steps.len());
    }
}

#[test]
fn variables_without_a_register_live_in_the_frame() {
    let mut code = Code::new(Width::W256);
    let base = code.word();
    let vectors: Vec<Reg> = (0..40)
        .map(|i| code.to_vector(|d| Step::VectorLoad(d, Place::at(base, 32 * i), None)))
        .collect();
    vectors
        .iter()
        .for_each(|v| code.push(Step::Store(Place::at(base, 0), *v, None)));
    let homes = allocate(&code, &[(base, RDI)]);
    let in_frame = vectors
        .iter()
        .filter(|v| matches!(homes.of[v.0 as usize], Home::Frame(_)));
    assert!(in_frame.count() >= 27 && homes.vectors >= 27);
}
