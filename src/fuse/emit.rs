//! Writes a node's expression as instructions, reading stored values from memory and the group's own where they are.
//! Axes are logical: the group's own, before they are split and merged.

use super::body::{Bits, Bodies, Home, Value};
use super::mathematics::{Code, error_function, exponential, hyperbolic_tangent, logarithm, sigmoid, sine};
use super::narrow::{narrowed_bf16, narrowed_f16, round_bf16, round_f16, widened_bf16, widened_f16};
use super::position::{Index, composed, composed_guards, linear};
use super::power::{constant_power, power};
use super::program::Program;
use super::random::uniform;
use super::walk::table_axis;
use crate::ir::affine::{Guard, Position};
use crate::ir::graph::{Element, GatherPosition, MapFunction, NodeId, Op};
use crate::ir::kernel::{Arithmetic, BufferId, Instruction, Storage, TensorId};
use crate::ir::kernel_verify::ValueKind;
use std::collections::HashMap;

/// Where values lie in memory.
pub trait Memory {
    /// The tensor of a stored node.
    fn tensor(&self, node: NodeId) -> TensorId;
    /// All step numbers.
    fn numbers(&self) -> TensorId;
    /// The key of random draws.
    fn random_key(&self) -> TensorId;
}

/// A kernel in the making.
pub struct Emitter<'a> {
    /// The graph.
    pub program: &'a Program,
    /// Where values lie.
    pub memory: &'a dyn Memory,
    /// Sizes of the logical axes.
    pub sizes: Vec<usize>,
    /// The code.
    pub bodies: Bodies,
    /// The tensors that it is called with.
    pub tensors: Vec<TensorId>,
    /// Members whose value is already there, everywhere in the row or in the current body.
    pub ready: HashMap<NodeId, Value>,
    /// Members of the kernel, computed and not loaded, with their indices on the axes.
    pub members: HashMap<NodeId, Index>,
    /// Rows that are kept from pass to pass.
    pub rows_kept: u32,
    /// Whether rows may be kept.
    pub keeps: bool,
    memo: HashMap<(NodeId, Index, Vec<Guard>), InSlots>,
    kept: HashMap<u32, u32>,
}

/// Values with the body for which they were computed.
type InSlots = Vec<(usize, Value)>;

/// Instructions beyond which a vector value of an earlier pass is kept and not computed again.
const RECOMPUTED_MAX: u32 = 8;

impl<'a> Emitter<'a> {
    /// An empty kernel.
    pub fn new(
        program: &'a Program,
        memory: &'a dyn Memory,
        sizes: Vec<usize>,
        bodies: Bodies,
        members: HashMap<NodeId, Index>,
    ) -> Emitter<'a> {
        Emitter {
            program,
            memory,
            sizes,
            bodies,
            tensors: vec![],
            ready: HashMap::new(),
            members,
            rows_kept: 0,
            keeps: false,
            memo: HashMap::new(),
            kept: HashMap::new(),
        }
    }

    /// The argument that a tensor is.
    pub fn buffer(&mut self, tensor: TensorId) -> BufferId {
        let at = self.tensors.iter().position(|&t| t == tensor).unwrap_or_else(|| {
            self.tensors.push(tensor);
            self.tensors.len() - 1
        });
        BufferId(at as u32)
    }

    /// A value that an expression reads: loaded, or computed here.
    pub fn value(&mut self, id: NodeId, index: &[Position], guards: &[Guard]) -> Value {
        if let Some(&value) = self.ready.get(&id) {
            return value;
        }
        if let Some(own) = self.members.get(&id) {
            // It is read where it is computed, however the way there is written.
            let own = own.clone();
            return self.expression(id, &own, &[]);
        }
        if self.program.is_stored(id) {
            let node = self.program.node(id);
            let at = linear(&node.shape, index, &self.sizes);
            return self.load(id, at, guards, 0.0);
        }
        self.expression(id, index, guards)
    }

    /// The value computed here, once in each body.
    pub fn expression(&mut self, id: NodeId, index: &[Position], guards: &[Guard]) -> Value {
        let key = (id, index.to_vec(), guards.to_vec());
        let current = self.bodies.current;
        if let Some(known) = self.memo.get(&key) {
            for &(slot, value) in known {
                if slot == current || self.lives_on(value) {
                    return value;
                }
            }
            let earlier = known.iter().find(|(slot, _)| *slot < current).copied();
            if let Some((slot, value)) = earlier
                && self.worth_keeping(id, slot, value)
            {
                return self.keep(slot, value);
            }
        }
        let value = self.computed(id, index, guards);
        self.memo.entry(key).or_default().push((current, value));
        value
    }

    fn lives_on(&self, value: Value) -> bool {
        match value.home {
            Home::Constant(_) => true,
            Home::Slot(slot) => self.bodies.slots[slot].row,
        }
    }

    fn worth_keeping(&self, id: NodeId, slot: usize, value: Value) -> bool {
        let passes = self.keeps && !self.bodies.slots[slot].row;
        passes && value.kind == ValueKind::Real && self.program.work(id) > RECOMPUTED_MAX
    }

    fn keep(&mut self, slot: usize, value: Value) -> Value {
        let row = match self.kept.get(&value.id.0) {
            Some(&row) => row,
            None => {
                let row = self.rows_kept;
                self.rows_kept += 1;
                self.kept.insert(value.id.0, row);
                self.bodies.append(slot, Instruction::KeptStore(row, value.id));
                row
            }
        };
        let varying = Position::axis(self.bodies.varying.end - 1);
        self.bodies
            .push(&[], &[&varying], ValueKind::Real, |_| Instruction::KeptLoad(row))
    }

    fn load(&mut self, id: NodeId, at: Position, guards: &[Guard], fill: f64) -> Value {
        let buffer = self.buffer(self.memory.tensor(id));
        let kind = kind_in_memory(self.program.storage(id));
        let raw = self.load_raw(buffer, at, guards, fill as f32, kind);
        self.of_memory(id, raw)
    }

    /// The value of a node, of what lies in memory for it.
    fn of_memory(&mut self, id: NodeId, raw: Value) -> Value {
        match self.program.storage(id) {
            Storage::Bf16 => widened_bf16(&mut self.bodies, raw),
            Storage::F16 => widened_f16(&mut self.bodies, raw),
            Storage::F32 if self.program.node(id).element == Element::Condition => self.bodies.as_mask(raw),
            Storage::F32 | Storage::I32 => raw,
        }
    }

    fn load_raw(&mut self, buffer: BufferId, at: Position, guards: &[Guard], fill: f32, kind: ValueKind) -> Value {
        let positions = positions_of(&at, guards);
        let refs: Vec<&Position> = positions.iter().collect();
        self.bodies.push(&[], &refs, kind, |_| Instruction::Load {
            buffer,
            at: at.clone(),
            guards: guards.to_vec(),
            fill,
        })
    }

    fn computed(&mut self, id: NodeId, index: &[Position], guards: &[Guard]) -> Value {
        let program = self.program;
        let node = program.node(id);
        match &node.op {
            Op::Constant(number) => self.constant(*number, node.element),
            Op::Index { axis } => {
                let whole = self.index(index[*axis].clone());
                match node.element {
                    Element::Id { .. } => whole,
                    _ => self.bodies.as_real(whole),
                }
            }
            Op::StepNumber(number) => {
                let buffer = self.buffer(self.memory.numbers());
                let at = Position::from(crate::ir::affine::Affine::constant(i64::from(number.0)));
                self.load_raw(buffer, at, &[], 0.0, ValueKind::Real)
            }
            Op::Random { stream } => {
                let element = linear(&node.shape, index, &self.sizes);
                let buffer = self.buffer(self.memory.random_key());
                let key = [0, 1].map(|word| {
                    let at = Position::from(crate::ir::affine::Affine::constant(word));
                    self.load_raw(buffer, at, &[], 0.0, ValueKind::Integer)
                });
                let element = self.index(element);
                uniform(&mut self.bodies, key, *stream, element)
            }
            Op::Map(function) => {
                let exponent = match (function, node.operands.get(1).map(|&o| &program.node(o).op)) {
                    (MapFunction::Power, Some(Op::Constant(exponent))) => Some(*exponent),
                    _ => None,
                };
                let arguments: Vec<Value> = node.operands.iter().map(|&o| self.value(o, index, guards)).collect();
                let value = self.map(*function, &arguments, exponent);
                match node.element {
                    Element::Id { .. } => self.bodies.as_integer(value),
                    Element::Condition => self.bodies.as_mask(value),
                    Element::Real => self.bodies.as_real(value),
                }
            }
            Op::View {
                positions,
                guards: own,
                fill,
            } => self.view(id, positions, own, *fill, (index, guards)),
            Op::Gather { positions } => self.gather(id, positions, index, guards),
            Op::ScatterAdd { positions } => self.choice_by_index(id, positions, index, guards),
            other => unreachable!("{other:?} is stored or a group's own"),
        }
    }

    fn constant(&mut self, number: f64, element: Element) -> Value {
        self.bodies.constant(match element {
            Element::Real => Bits::Real((number as f32).to_bits()),
            Element::Id { .. } => Bits::Integer(number as i32),
            Element::Condition => Bits::Truth(number != 0.0),
        })
    }

    fn index(&mut self, position: Position) -> Value {
        if let Some(affine) = position.as_affine()
            && affine.terms.is_empty()
        {
            return self.bodies.integer(affine.constant as i32);
        }
        self.bodies.push(&[], &[&position], ValueKind::Integer, |_| {
            Instruction::Index(position.clone())
        })
    }

    /// A view's operand where it is read; what is outside gives the fill value, also where the operand is computed.
    fn view(
        &mut self,
        id: NodeId,
        positions: &[Position],
        own: &[Guard],
        fill: f64,
        at: (&[Position], &[Guard]),
    ) -> Value {
        let program = self.program;
        let (index, outer) = at;
        let operand = program.node(id).operands[0];
        let element = program.node(id).element;
        let there: Index = positions
            .iter()
            .map(|p| composed(p, index, &self.sizes).expect("the walk composed it"))
            .collect();
        let own = composed_guards(own, index, &self.sizes).expect("the walk composed it");
        if own.is_empty() {
            return self.value(operand, &there, outer);
        }
        let mut all = outer.to_vec();
        all.extend(own.iter().filter(|g| !outer.contains(g)).cloned());
        // 0 has the same bits everywhere; another fill value need not be a number of 16 bits.
        let fills = fill.to_bits() == 0 || matches!(program.storage(operand), Storage::F32 | Storage::I32);
        let stored = program.is_stored(operand) && !self.members.contains_key(&operand) && fills;
        let element_at = linear(&program.node(operand).shape, &there, &self.sizes);
        if stored && outer.is_empty() {
            return self.load(operand, element_at, &all, fill);
        }
        let value = self.value(operand, &there, &all);
        let outside = self.constant(fill, element);
        let positions = positions_of(&Position::default(), &own);
        let refs: Vec<&Position> = positions.iter().collect();
        let inside = self
            .bodies
            .push(&[], &refs, ValueKind::Mask, |_| Instruction::Inside(own.clone()));
        self.choose(inside, value, outside)
    }

    fn choose(&mut self, mask: Value, then: Value, otherwise: Value) -> Value {
        if then.kind == ValueKind::Mask {
            let not = self.bodies.one(Arithmetic::Not, mask);
            let a = self.bodies.two(Arithmetic::And, mask, then);
            let b = self.bodies.two(Arithmetic::And, not, otherwise);
            return self.bodies.two(Arithmetic::Or, a, b);
        }
        self.bodies.select(mask, then, otherwise)
    }

    fn gather(&mut self, id: NodeId, positions: &[GatherPosition], index: &[Position], guards: &[Guard]) -> Value {
        let program = self.program;
        let node = program.node(id);
        let table = node.operands[0];
        let strides = super::position::strides(&program.node(table).shape);
        let mut at = Position::default();
        let mut ids: Vec<(Value, i64)> = vec![];
        for (position, stride) in positions.iter().zip(strides) {
            match position {
                GatherPosition::Axis(axis) => at = at.plus(&index[*axis].times(stride)),
                GatherPosition::Ids { operand, axes } => {
                    let there: Index = axes.iter().map(|&a| index[a].clone()).collect();
                    let value = self.value(node.operands[*operand], &there, guards);
                    let value = self.bodies.as_integer(value);
                    ids.push((value, stride));
                }
            }
        }
        let at = super::position::simplified(&at, &self.sizes);
        let buffer = self.buffer(self.memory.tensor(table));
        let kind = kind_in_memory(program.storage(table));
        let arguments: Vec<Value> = ids.iter().map(|i| i.0).collect();
        let raw = self.bodies.push(&arguments, &[&at], kind, |v| Instruction::Gather {
            buffer,
            at: at.clone(),
            ids: v.iter().zip(&ids).map(|(&v, i)| (v, i.1)).collect(),
        });
        self.of_memory(table, raw)
    }

    /// A transposed gather whose rows cannot collide: the source where the index is the id, else 0.
    fn choice_by_index(
        &mut self,
        id: NodeId,
        positions: &[GatherPosition],
        index: &[Position],
        guards: &[Guard],
    ) -> Value {
        let node = self.program.node(id);
        let rank = self.program.node(node.operands[0]).shape.len();
        let there: Index = (0..rank).map(|axis| table_axis(positions, axis, index)).collect();
        let mut chosen: Option<Value> = None;
        for (axis, position) in positions.iter().enumerate() {
            if let GatherPosition::Ids { operand, axes } = position {
                let at: Index = axes.iter().map(|&a| there[a].clone()).collect();
                let wanted = self.value(node.operands[*operand], &at, guards);
                let wanted = self.bodies.as_integer(wanted);
                let here = self.index(index[axis].clone());
                let equal = self.bodies.two(Arithmetic::IntegerEqual, here, wanted);
                chosen = Some(match chosen {
                    Some(other) => self.bodies.two(Arithmetic::And, other, equal),
                    None => equal,
                });
            }
        }
        let value = self.value(node.operands[0], &there, guards);
        let value = self.bodies.as_real(value);
        let zero = self.bodies.real(0.0);
        match chosen {
            Some(mask) => self.bodies.select(mask, value, zero),
            None => value,
        }
    }

    fn map(&mut self, function: MapFunction, arguments: &[Value], exponent: Option<f64>) -> Value {
        use MapFunction as F;
        let code = &mut self.bodies;
        if function == F::Where {
            let mask = code.as_mask(arguments[0]);
            let (then, otherwise) = (arguments[1], arguments[2]);
            if then.kind != otherwise.kind {
                let (then, otherwise) = (code.as_real(then), code.as_real(otherwise));
                return code.select(mask, then, otherwise);
            }
            return self.choose(mask, then, otherwise);
        }
        if matches!(function, F::And | F::Or | F::Not) {
            let masks: Vec<Value> = arguments.iter().map(|&a| code.as_mask(a)).collect();
            return match function {
                F::And => code.two(Arithmetic::And, masks[0], masks[1]),
                F::Or => code.two(Arithmetic::Or, masks[0], masks[1]),
                _ => code.one(Arithmetic::Not, masks[0]),
            };
        }
        if function == F::Equal && arguments.iter().all(|a| a.kind == ValueKind::Integer) {
            return code.two(Arithmetic::IntegerEqual, arguments[0], arguments[1]);
        }
        let x: Vec<Value> = arguments.iter().map(|&a| code.as_real(a)).collect();
        match function {
            F::Add => code.two(Arithmetic::Add, x[0], x[1]),
            F::Subtract => code.two(Arithmetic::Subtract, x[0], x[1]),
            F::Multiply => code.two(Arithmetic::Multiply, x[0], x[1]),
            F::Divide => code.two(Arithmetic::Divide, x[0], x[1]),
            F::Minimum => code.two(Arithmetic::Minimum, x[0], x[1]),
            F::Maximum => code.two(Arithmetic::Maximum, x[0], x[1]),
            F::Negate => code.one(Arithmetic::Negate, x[0]),
            F::Absolute => code.one(Arithmetic::Absolute, x[0]),
            F::SquareRoot => code.one(Arithmetic::SquareRoot, x[0]),
            F::Floor => code.one(Arithmetic::Floor, x[0]),
            F::RoundBf16 => round_bf16(code, x[0]),
            F::RoundF16 => round_f16(code, x[0]),
            F::Less => code.two(Arithmetic::Less, x[0], x[1]),
            F::LessEqual => code.two(Arithmetic::LessEqual, x[0], x[1]),
            F::Equal => code.two(Arithmetic::Equal, x[0], x[1]),
            F::Exponential => exponential(code, x[0]),
            F::Logarithm => logarithm(code, x[0]),
            F::Sine => sine(code, x[0], false),
            F::Cosine => sine(code, x[0], true),
            F::HyperbolicTangent => hyperbolic_tangent(code, x[0]),
            F::Sigmoid => sigmoid(code, x[0]),
            F::Erf => error_function(code, x[0]),
            F::Power => match exponent.and_then(|e| constant_power(code, x[0], e)) {
                Some(short) => short,
                None => power(code, x[0], x[1]),
            },
            F::And | F::Or | F::Not | F::Where => unreachable!("done above"),
        }
    }

    /// Stores a member at the end of the current body.
    pub fn store(&mut self, id: NodeId, at: Position, value: Value) {
        let tensor = self.memory.tensor(id);
        let value = match self.program.storage(id) {
            Storage::I32 => self.bodies.as_integer(value),
            Storage::F32 if value.kind == ValueKind::Integer => self.bodies.as_real(value),
            Storage::F32 => value,
            Storage::Bf16 => narrowed_bf16(&mut self.bodies, value),
            Storage::F16 => narrowed_f16(&mut self.bodies, value),
        };
        let buffer = self.buffer(tensor);
        self.bodies.store(buffer, at, value);
    }
}

fn kind_in_memory(storage: Storage) -> ValueKind {
    match storage {
        Storage::I32 | Storage::Bf16 | Storage::F16 => ValueKind::Integer,
        Storage::F32 => ValueKind::Real,
    }
}

/// All positions that decide where a guarded read goes.
fn positions_of(at: &Position, guards: &[Guard]) -> Vec<Position> {
    let mut positions = vec![at.clone()];
    positions.extend(guards.iter().map(|guard| match guard {
        Guard::Within { of, .. } => of.clone(),
        Guard::Divisible { of, .. } => of.clone().into(),
    }));
    positions
}
