//! Small graphs in the way of a formula.

use crate::ir::affine::{Guard, Position};
use crate::ir::graph::*;
use crate::text::Span;

/// A graph in the making.
#[derive(Default)]
pub struct Build {
    pub graph: Graph,
}

use MapFunction as F;

impl Build {
    pub fn add(&mut self, op: Op, operands: &[NodeId], shape: &[usize], element: Element) -> NodeId {
        self.graph.add(Node {
            op,
            operands: operands.to_vec(),
            shape: shape.to_vec(),
            element,
            span: Span::NOWHERE,
            caller: Span::NOWHERE,
        })
    }

    pub fn shape(&self, id: NodeId) -> Vec<usize> {
        self.graph.node(id).shape.clone()
    }

    pub fn input(&mut self, shape: &[usize]) -> NodeId {
        self.typed_input(shape, Element::Real)
    }

    pub fn ids(&mut self, shape: &[usize], bound: usize) -> NodeId {
        self.typed_input(shape, Element::Id { bound })
    }

    fn typed_input(&mut self, shape: &[usize], element: Element) -> NodeId {
        let id = InputId(self.graph.inputs.len() as u32);
        self.graph.inputs.push(InputDeclaration {
            name: format!("input{}", id.0),
            shape: shape.to_vec(),
            element,
        });
        self.add(Op::Input(id), &[], shape, element)
    }

    pub fn param(&mut self, shape: &[usize]) -> NodeId {
        let id = ParamId(self.graph.params.len() as u32);
        self.graph.params.push(ParamDeclaration {
            path: format!("param{}", id.0),
            shape: shape.to_vec(),
            initialiser: Initialiser::Normal(1.0),
            frozen: false,
            span: Span::NOWHERE,
        });
        self.add(Op::Param(id), &[], shape, Element::Real)
    }

    pub fn state(&mut self, shape: &[usize]) -> NodeId {
        let id = StateId(self.graph.states.len() as u32);
        self.graph.states.push(StateDeclaration {
            path: format!("state{}", id.0),
            shape: shape.to_vec(),
            initial: 0.0,
            optimizer: true,
        });
        self.add(Op::State(id), &[], shape, Element::Real)
    }

    pub fn number(&mut self) -> NodeId {
        let id = NumberId(self.graph.numbers.len() as u32);
        self.graph.numbers.push(crate::ir::number::Number::Constant(0.5));
        self.add(Op::StepNumber(id), &[], &[], Element::Real)
    }

    pub fn constant(&mut self, shape: &[usize], value: f64) -> NodeId {
        self.add(Op::Constant(value), &[], shape, Element::Real)
    }

    pub fn index(&mut self, shape: &[usize], axis: usize) -> NodeId {
        self.add(Op::Index { axis }, &[], shape, Element::Real)
    }

    pub fn map(&mut self, function: F, operands: &[NodeId]) -> NodeId {
        let shape = self.shape(operands[0]);
        let element = match function {
            F::Less | F::LessEqual | F::Equal | F::And | F::Or | F::Not => Element::Condition,
            F::Where => self.graph.node(operands[1]).element,
            _ => Element::Real,
        };
        self.add(Op::Map(function), operands, &shape, element)
    }

    pub fn plus(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.map(F::Add, &[a, b])
    }
    pub fn minus(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.map(F::Subtract, &[a, b])
    }
    pub fn times(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.map(F::Multiply, &[a, b])
    }
    pub fn over(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.map(F::Divide, &[a, b])
    }
    pub fn scaled(&mut self, a: NodeId, by: f64) -> NodeId {
        let shape = self.shape(a);
        let c = self.constant(&shape, by);
        self.times(a, c)
    }
    pub fn shifted(&mut self, a: NodeId, by: f64) -> NodeId {
        let shape = self.shape(a);
        let c = self.constant(&shape, by);
        self.plus(a, c)
    }

    pub fn reduce(&mut self, function: ReduceFunction, a: NodeId, axes: &[usize]) -> NodeId {
        let shape: Vec<usize> = self.shape(a);
        let kept: Vec<usize> = (0..shape.len())
            .filter(|x| !axes.contains(x))
            .map(|x| shape[x])
            .collect();
        let axes = axes.to_vec();
        self.add(Op::Reduce { function, axes }, &[a], &kept, Element::Real)
    }

    pub fn sum(&mut self, a: NodeId, axes: &[usize]) -> NodeId {
        self.reduce(ReduceFunction::Sum, a, axes)
    }

    pub fn contract(&mut self, a: NodeId, b: NodeId, labels: &str) -> NodeId {
        let (left, out) = labels.split_once("->").unwrap();
        let (la, lb) = left.split_once(',').unwrap();
        let (sa, sb) = (self.shape(a), self.shape(b));
        let size = |l: u8| {
            la.bytes()
                .position(|x| x == l)
                .map(|at| sa[at])
                .or_else(|| lb.bytes().position(|x| x == l).map(|at| sb[at]))
                .unwrap()
        };
        let shape: Vec<usize> = out.bytes().map(size).collect();
        let op = Op::Contract {
            a: la.bytes().collect(),
            b: lb.bytes().collect(),
            out: out.bytes().collect(),
        };
        self.add(op, &[a, b], &shape, Element::Real)
    }

    pub fn view(&mut self, a: NodeId, shape: &[usize], positions: Vec<Position>) -> NodeId {
        self.guarded(a, shape, positions, vec![], 0.0)
    }

    pub fn guarded(
        &mut self,
        a: NodeId,
        shape: &[usize],
        positions: Vec<Position>,
        guards: Vec<Guard>,
        fill: f64,
    ) -> NodeId {
        let element = self.graph.node(a).element;
        let op = Op::View {
            positions,
            guards,
            fill,
        };
        self.add(op, &[a], shape, element)
    }

    /// Repeats a tensor: its axes stand at `axes` of the new shape.
    pub fn spread(&mut self, a: NodeId, shape: &[usize], axes: &[usize]) -> NodeId {
        let positions = axes.iter().map(|&axis| Position::axis(axis)).collect();
        self.view(a, shape, positions)
    }

    pub fn reshaped(&mut self, a: NodeId, shape: &[usize]) -> NodeId {
        let all: Vec<Position> = (0..shape.len()).map(Position::axis).collect();
        let element = crate::fuse::position::linear(shape, &all, shape);
        let positions = crate::fuse::position::unravelled(&self.shape(a), &element, shape).unwrap();
        self.view(a, shape, positions)
    }

    pub fn output(&mut self, node: NodeId) {
        let kind = OutputKind::Value(format!("out{}", self.graph.outputs.len()));
        self.graph.outputs.push(Output { kind, node });
    }

    /// Over the last axis.
    pub fn softmax(&mut self, x: NodeId) -> NodeId {
        let shape = self.shape(x);
        let last = shape.len() - 1;
        let kept: Vec<usize> = (0..last).collect();
        let top = self.reduce(ReduceFunction::Maximum, x, &[last]);
        let top = self.spread(top, &shape, &kept);
        let x = self.minus(x, top);
        let e = self.map(F::Exponential, &[x]);
        let total = self.sum(e, &[last]);
        let total = self.spread(total, &shape, &kept);
        self.over(e, total)
    }

    /// Over the last axis; also the mean and the reciprocal deviation.
    pub fn layer_norm(&mut self, x: NodeId, gain: NodeId, shift: NodeId) -> (NodeId, NodeId, NodeId) {
        let shape = self.shape(x);
        let last = shape.len() - 1;
        let kept: Vec<usize> = (0..last).collect();
        let mean = self.sum(x, &[last]);
        let mean = self.scaled(mean, 1.0 / shape[last] as f64);
        let wide = self.spread(mean, &shape, &kept);
        let centred = self.minus(x, wide);
        let square = self.times(centred, centred);
        let variance = self.sum(square, &[last]);
        let variance = self.scaled(variance, 1.0 / shape[last] as f64);
        let variance = self.shifted(variance, 1e-5);
        let deviation = self.map(F::SquareRoot, &[variance]);
        let one = self.constant(&shape[..last], 1.0);
        let reciprocal = self.over(one, deviation);
        let wide = self.spread(reciprocal, &shape, &kept);
        let y = self.times(centred, wide);
        let gain = self.spread(gain, &shape, &[last]);
        let shift = self.spread(shift, &shape, &[last]);
        let y = self.times(y, gain);
        (self.plus(y, shift), mean, reciprocal)
    }

    pub fn gelu(&mut self, x: NodeId) -> NodeId {
        let square = self.times(x, x);
        let cube = self.times(square, x);
        let cube = self.scaled(cube, 0.044715);
        let inner = self.plus(x, cube);
        let inner = self.scaled(inner, 0.797_884_560_8);
        let t = self.map(F::HyperbolicTangent, &[inner]);
        let t = self.shifted(t, 1.0);
        let y = self.times(x, t);
        self.scaled(y, 0.5)
    }
}
