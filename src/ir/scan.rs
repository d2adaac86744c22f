//! A loop along an axis: a graph that is run once for each step, with what goes from step to step, what each step takes
//! of a sequence, and where its results lie. It holds no order of computation and no memory addresses.

use super::graph::{Element, Graph, elements};

/// Results of a scan start at multiples of this many elements, so that every step's part is aligned like a tensor.
const SLOT_ALIGNMENT: usize = 16;

/// The data of [`Op::Scan`](super::graph::Op::Scan).
///
/// Operands and inputs of the body, in this order: `carries` values that go from step to step (the operands are what
/// they start with), `slices` of sequences (each operand has the steps as its first axis, the body sees the rest), and
/// values that every step sees whole. Outputs of the body: the carries' next values, then what is kept of each step.
///
/// The result is one flat tensor of reals that holds a [`Stack`] for each output of the body; views read it. What lies
/// between the slots is not defined.
#[derive(Clone, PartialEq, Debug)]
pub struct Scan {
    /// How many steps.
    pub steps: usize,
    /// From the last to the first; sequences and what is kept stay in their own order.
    pub backwards: bool,
    /// One step.
    pub body: Graph,
    /// How many values go from step to step.
    pub carries: usize,
    /// How many sequences there are.
    pub slices: usize,
}

/// Where the values of one output lie in a scan's result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stack {
    /// Element of the first slot.
    pub offset: usize,
    /// A carry: slot 0 is what it started with, slot `n + 1` the value after the `n`th step that is run.
    /// Else one for each step, in the sequence's order.
    pub slots: usize,
    /// Elements from slot to slot.
    pub stride: usize,
    /// Sizes of one value's axes.
    pub shape: Vec<usize>,
}

impl Scan {
    /// Where each output of the body lies, and how many elements the result has.
    pub fn stacks(&self) -> (Vec<Stack>, usize) {
        let mut end = 0;
        let stack = |(number, output): (usize, &super::graph::Output)| {
            let shape = self.body.node(output.node).shape.clone();
            let stride = elements(&shape).next_multiple_of(SLOT_ALIGNMENT);
            let slots = self.steps + usize::from(number < self.carries);
            let offset = end;
            end += slots * stride;
            Stack {
                offset,
                slots,
                stride,
                shape,
            }
        };
        let stacks = self.body.outputs.iter().enumerate().map(stack).collect();
        (stacks, end)
    }

    /// The place in the sequence that the `n`th step has.
    pub fn place(&self, n: usize) -> usize {
        if self.backwards { self.steps - 1 - n } else { n }
    }

    /// The shape and elements that an operand must have.
    pub fn operand(&self, number: usize) -> Option<(Vec<usize>, Element)> {
        let input = self.body.inputs.get(number)?;
        let sequence = (self.carries..self.carries + self.slices).contains(&number);
        let steps = sequence.then_some(self.steps);
        Some((
            steps.into_iter().chain(input.shape.iter().copied()).collect(),
            input.element,
        ))
    }
}
