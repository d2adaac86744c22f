//! What may stand in the bodies of a kernel: which values an instruction sees, of which kinds they are, and where
//! reductions, kept rows and the product have their place. What the whole kernel must keep is checked elsewhere.

use super::affine::{Guard, Position};
use super::kernel::*;
use super::kernel_verify::{ValueKind, ValueKinds, Violation, ensure, find, verify_form, verify_position};

/// Where a body stands.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Place {
    /// In a row pass: once for the row.
    Row,
    /// In a pass over the vector axis.
    Plain,
    /// In one that has sequential axes inside.
    Sequential,
    /// Behind the sequential axes of a pass.
    Finish,
    /// Behind a matrix product.
    Epilogue,
}

/// What is known while a kernel's bodies are walked through.
pub struct Scope<'a> {
    buffers: &'a [Buffer],
    rows_kept: u32,
    /// Sizes of the axes that positions may use.
    pub sizes: Vec<usize>,
    /// Whether the vector axis is one of them.
    pub vector_axis: bool,
    /// Whether a task has only a part of the vector axis.
    pub cut: bool,
    /// Where the next body stands.
    pub place: Place,
    /// What the values so far are.
    pub kinds: ValueKinds,
    /// Of each value, whether later code may use it.
    visible: Vec<bool>,
    /// Of each value, what it was reduced along.
    reductions: Vec<Option<Along>>,
    /// What the pass has defined so far.
    of_pass: Vec<usize>,
}

impl<'a> Scope<'a> {
    /// Before the first body.
    pub fn new(buffers: &'a [Buffer], rows_kept: u32) -> Scope<'a> {
        Scope {
            buffers,
            rows_kept,
            sizes: vec![],
            vector_axis: true,
            cut: false,
            place: Place::Plain,
            kinds: vec![],
            visible: vec![],
            reductions: vec![],
            of_pass: vec![],
        }
    }

    /// Checks a body.
    pub fn body(&mut self, body: &Body) -> Result<(), Violation> {
        for (at, define) in body.iter().enumerate() {
            let first = at == 0;
            let kind = self
                .instruction(&define.instruction, first)
                .map_err(|Violation(message)| Violation(format!("{}: {message}", define.value)))?;
            if let Some(kind) = kind {
                self.define(define, kind)?;
            }
        }
        Ok(())
    }

    /// Checks what stands for the last body beyond something, which leaves no values.
    pub fn beyond(&mut self, beyond: &Option<Box<Beyond>>, vector: usize) -> Result<(), Violation> {
        let Some(Beyond { from, body }) = beyond.as_deref() else {
            return Ok(());
        };
        verify_form(from, &self.sizes)?;
        ensure(
            !from.uses(VECTOR_AXIS) && from.range(&self.sizes).0 >= 0 && vector.is_multiple_of(LANES),
            || format!("beyond {from} of {vector} elements"),
        )?;
        let constants = |define: &Define| {
            use Instruction::*;
            matches!(
                define.instruction,
                Constant(_) | Integer(_) | Store { .. } | KeptStore(..)
            )
        };
        ensure(body.iter().all(constants), || {
            "more than constants beyond a pass".into()
        })?;
        self.body(body)
    }

    fn define(&mut self, define: &Define, kind: ValueKind) -> Result<(), Violation> {
        let value = define.value.0 as usize;
        ensure(value < 1 << 20, || format!("{} is numbered too high", define.value))?;
        if value >= self.kinds.len() {
            self.kinds.resize(value + 1, None);
            self.visible.resize(value + 1, false);
            self.reductions.resize(value + 1, None);
        }
        ensure(self.kinds[value].is_none(), || {
            format!("{} is defined twice", define.value)
        })?;
        self.kinds[value] = Some(kind);
        if let Instruction::Reduce { along, .. } = &define.instruction {
            self.reductions[value] = Some(*along);
        } else {
            self.visible[value] = true;
        }
        self.of_pass.push(value);
        Ok(())
    }

    /// Ends a body: of the pass's values, those stay visible that the rule names by what they were reduced along.
    pub fn show(&mut self, rule: impl Fn(Option<Along>) -> bool) {
        for &value in &self.of_pass {
            self.visible[value] = rule(self.reductions[value]);
        }
    }

    /// Ends a pass: what it left visible stays so.
    pub fn end_pass(&mut self) {
        self.of_pass.clear();
    }

    fn expect(&self, value: ValueId, kind: ValueKind) -> Result<(), Violation> {
        let found = self.kind(value)?;
        ensure(found == kind, || format!("{value} is {found:?}, not {kind:?}"))
    }

    fn kind(&self, value: ValueId) -> Result<ValueKind, Violation> {
        let at = value.0 as usize;
        let visible = self.visible.get(at).copied().unwrap_or(false);
        ensure(visible, || format!("{value} is used where it is not defined"))?;
        Ok(self.kinds[at].expect("visible values are defined"))
    }

    fn position(&self, at: &Position, guards: &[Guard], buffer: &Buffer) -> Result<(), Violation> {
        self.no_vector_axis_in_row_passes(at, guards)?;
        verify_position(at, guards, &self.sizes, buffer)
    }

    fn no_vector_axis_in_row_passes(&self, at: &Position, guards: &[Guard]) -> Result<(), Violation> {
        let used = at.uses(VECTOR_AXIS) || guards.iter().any(|g| g.uses(VECTOR_AXIS));
        ensure(self.vector_axis || !used, || {
            format!("{at} uses the vector axis in a row pass")
        })
    }

    fn kept_row(&self, row: u32) -> Result<(), Violation> {
        let may = matches!(self.place, Place::Plain | Place::Sequential | Place::Finish);
        ensure(row < self.rows_kept && may, || {
            format!("row {row} cannot be kept there")
        })
    }

    /// Checks one; gives the kind of what it defines.
    fn instruction(&self, instruction: &Instruction, first: bool) -> Result<Option<ValueKind>, Violation> {
        use ValueKind::*;
        let of_storage = |buffer: &Buffer| match buffer.storage {
            Storage::F32 => Real,
            Storage::I32 | Storage::Bf16 | Storage::F16 => Integer,
        };
        Ok(Some(match instruction {
            Instruction::Constant(_) => Real,
            Instruction::Integer(_) => Integer,
            Instruction::Load { buffer, at, guards, .. } => {
                let buffer = find(self.buffers, *buffer)?;
                self.position(at, guards, buffer)?;
                of_storage(buffer)
            }
            Instruction::Gather { buffer, at, ids } => {
                let buffer = find(self.buffers, *buffer)?;
                self.position(at, &[], buffer)?;
                ids.iter().try_for_each(|(id, _)| self.expect(*id, Integer))?;
                of_storage(buffer)
            }
            Instruction::Index(at) => {
                self.no_vector_axis_in_row_passes(at, &[])?;
                verify_form(at, &self.sizes)?;
                Integer
            }
            Instruction::Inside(guards) => {
                self.no_vector_axis_in_row_passes(&Position::default(), guards)?;
                let anything = Buffer {
                    storage: Storage::F32,
                    elements: 1,
                    written: false,
                };
                verify_position(&Position::default(), guards, &self.sizes, &anything)?;
                Mask
            }
            Instruction::KeptLoad(row) => {
                self.kept_row(*row)?;
                Real
            }
            Instruction::KeptStore(row, value) => {
                self.kept_row(*row)?;
                self.expect(*value, Real)?;
                return Ok(None);
            }
            Instruction::Arithmetic(function, arguments) => self.arithmetic(*function, arguments)?,
            Instruction::ShiftLeft(value, by) | Instruction::ShiftRight(value, by) => {
                ensure(*by < 32, || format!("a shift by {by}"))?;
                self.expect(*value, Integer)?;
                Integer
            }
            Instruction::MultiplyAdd(a, b, c) => {
                [a, b, c].into_iter().try_for_each(|v| self.expect(*v, Real))?;
                Real
            }
            Instruction::Select(mask, then, other) => {
                self.expect(*mask, Mask)?;
                let kind = self.kind(*then)?;
                self.expect(*other, kind)?;
                kind
            }
            Instruction::Reduce { value, along, .. } => {
                self.expect(*value, Real)?;
                let may = match along {
                    Along::Vector => matches!(self.place, Place::Plain | Place::Finish) && !self.cut,
                    Along::Sequential => matches!(self.place, Place::Plain | Place::Sequential),
                };
                ensure(may, || format!("a reduction over {along:?} cannot stand there"))?;
                Real
            }
            Instruction::Product => {
                ensure(self.place == Place::Epilogue && first, || "a product in a body".into())?;
                Real
            }
            Instruction::Store { buffer, at, value } => {
                let buffer = find(self.buffers, *buffer)?;
                ensure(buffer.written, || "a store to a buffer that is only read".into())?;
                self.position(at, &[], buffer)?;
                let kind = self.kind(*value)?;
                let fits = kind == Mask || kind == of_storage(buffer);
                ensure(fits, || format!("{kind:?} stored as {:?}", buffer.storage))?;
                return Ok(None);
            }
        }))
    }

    fn arithmetic(&self, function: Arithmetic, arguments: &[ValueId]) -> Result<ValueKind, Violation> {
        let (parameters, result) = signature(function);
        ensure(arguments.len() == parameters.len(), || {
            format!("{function:?} of {} arguments", arguments.len())
        })?;
        for (argument, kind) in arguments.iter().zip(parameters) {
            self.expect(*argument, *kind)?;
        }
        Ok(result)
    }
}

/// The kinds of arguments and result.
fn signature(function: Arithmetic) -> (&'static [ValueKind], ValueKind) {
    use Arithmetic::*;
    use ValueKind::*;
    match function {
        Add | Subtract | Multiply | Divide | Scale | Minimum | Maximum => (&[Real, Real], Real),
        Negate | Absolute | SquareRoot | Nearest | Floor => (&[Real], Real),
        Less | LessEqual | Equal => (&[Real, Real], Mask),
        And | Or => (&[Mask, Mask], Mask),
        Not => (&[Mask], Mask),
        IntegerAdd | IntegerSubtract | IntegerMultiply | BitAnd | BitOr | BitXor => (&[Integer, Integer], Integer),
        IntegerEqual => (&[Integer, Integer], Mask),
        ToReal | IntegerBits => (&[Integer], Real),
        ToInteger | RealBits => (&[Real], Integer),
    }
}
