//! What is compiled on its own: a kernel's function (two for a scatter) or a routine that products share; and the list
//! of all that a set of kernels needs. It makes Cranelift functions, not code.

use super::emitter::{Emitter, QUAD, kernel_signature};
use super::routine::Routine;
use super::{blocking, loops, product, product_routines, scatter};
use crate::codegen::analysis::Ranges;
use crate::codegen::target::Simd;
use crate::codegen::wide::encode::Assembler;
use crate::codegen::wide::encode_vector::Width;
use crate::codegen::wide::kernel as wide;
use crate::ir::kernel::*;
use crate::ir::kernel_verify::ValueKinds;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{
    AbiParam, ExtFuncData, ExternalName, FuncRef, Function, GlobalValueData, InstBuilder, Signature, UserExternalName,
    UserFuncName,
};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

/// The number of the data object that holds the constants.
pub const CONSTANT_TABLE: u32 = 0;

/// A function to compile.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Unit {
    /// A shared routine.
    Routine(Routine),
    /// A product's epilogue, where the wide emitter makes it.
    Epilogue(usize),
    /// A kernel's function.
    Kernel(usize),
    /// The function that clears a scatter's table first.
    Clearing(usize),
}

/// All functions of some kernels, the routines first.
pub struct Units<'k> {
    /// The kernels.
    pub kernels: &'k [Kernel],
    /// The kinds of their values.
    pub kinds: Vec<ValueKinds>,
    /// The registers.
    pub simd: Simd,
    /// The bits of all constants of the kernels, each once.
    pub constants: Vec<u32>,
    /// What is compiled; a function is called by its number here.
    pub list: Vec<Unit>,
}

impl<'k> Units<'k> {
    /// Everything that the kernels need.
    pub fn of(kernels: &'k [Kernel], kinds: Vec<ValueKinds>, simd: Simd) -> Units<'k> {
        let products = kernels.iter().filter_map(|kernel| match &kernel.body {
            KernelBody::Product(k) => Some(product_routines::routines(&kernel.buffers, k, simd_of(k, simd))),
            _ => None,
        });
        let mut routines: Vec<Routine> = products.flatten().collect();
        routines.sort_unstable();
        routines.dedup();
        let mut list: Vec<Unit> = routines.into_iter().map(Unit::Routine).collect();
        for (number, kernel) in kernels.iter().enumerate() {
            match &kernel.body {
                KernelBody::Scatter(_) => list.push(Unit::Clearing(number)),
                KernelBody::Product(k) if epilogue(kernel, &kinds[number], k, simd, false).is_some() => {
                    list.push(Unit::Epilogue(number));
                }
                _ => {}
            }
            list.push(Unit::Kernel(number));
        }
        let mut constants: Vec<u32> = kernels.iter().flat_map(bodies).filter_map(constant).collect();
        constants.sort_unstable();
        constants.dedup();
        Units {
            kernels,
            kinds,
            simd,
            constants,
            list,
        }
    }

    /// The table of constants: each in all lanes. Never empty.
    pub fn constant_bytes(&self) -> Vec<u8> {
        let words = self.constants.iter().chain(&[0]).flat_map(|bits| [*bits; QUAD]);
        words.flat_map(u32::to_le_bytes).collect()
    }

    /// How a unit is called.
    pub fn signature(&self, unit: Unit, isa: &dyn TargetIsa) -> Signature {
        match unit {
            Unit::Routine(routine) => routine.signature(isa.default_call_conv()),
            Unit::Epilogue(_) => {
                let mut signature = Signature::new(isa.default_call_conv());
                signature.params.extend([AbiParam::new(I64); 6]);
                signature
            }
            _ => kernel_signature(isa.default_call_conv()),
        }
    }

    /// A unit's code, if the wide emitter makes it.
    pub fn encode(&self, number: usize, lists: bool) -> Option<Assembler> {
        let mut assembler = Assembler::new(lists);
        match self.list[number] {
            Unit::Routine(routine) => routine.encode(&mut assembler, self.simd.width).then_some(assembler),
            _ if self.simd.width == Width::W128 => None,
            Unit::Epilogue(at) => match &self.kernels[at].body {
                KernelBody::Product(k) => epilogue(&self.kernels[at], &self.kinds[at], k, self.simd, lists),
                _ => None,
            },
            Unit::Kernel(at) | Unit::Clearing(at) => {
                let (buffers, width) = (&self.kernels[at].buffers, self.simd.width);
                let clears = matches!(self.list[number], Unit::Clearing(_));
                match &self.kernels[at].body {
                    KernelBody::Loop(k) => wide::loop_function(buffers, &self.kinds[at], k, width, lists).ok(),
                    KernelBody::Scatter(k) => wide::scatter_function(buffers, k, clears, width, lists).ok(),
                    KernelBody::Product(_) => None,
                }
            }
        }
    }

    /// A unit's function.
    pub fn build(&self, number: usize, isa: &dyn TargetIsa, context: &mut FunctionBuilderContext) -> Function {
        let unit = self.list[number];
        let name = UserFuncName::user(0, number as u32);
        let mut function = Function::with_name_signature(name, self.signature(unit, isa));
        let mut builder = FunctionBuilder::new(&mut function, context);
        let config = isa.frontend_config();
        let none = ValueKinds::new();
        match unit {
            Unit::Routine(routine) => routine.emit(builder, config),
            Unit::Epilogue(_) => unreachable!("encoded by the wide emitter"),
            Unit::Clearing(at) => {
                let kernel = &self.kernels[at];
                let KernelBody::Scatter(k) = &kernel.body else {
                    unreachable!("only scatters clear")
                };
                let mut e = Emitter::new(builder, &kernel.buffers, &none);
                scatter::emit_clearing(&mut e, k);
                e.finish(config);
            }
            Unit::Kernel(at) => {
                let kernel = &self.kernels[at];
                let routines = match &kernel.body {
                    KernelBody::Product(k) => product_routines::routines(&kernel.buffers, k, simd_of(k, self.simd)),
                    _ => vec![],
                };
                let routines: Vec<FuncRef> = routines
                    .into_iter()
                    .map(|r| self.import(&mut builder, Unit::Routine(r), isa))
                    .collect();
                let epilogue = self
                    .list
                    .contains(&Unit::Epilogue(at))
                    .then(|| self.import(&mut builder, Unit::Epilogue(at), isa));
                let mut e = Emitter::new(builder, &kernel.buffers, &self.kinds[at]);
                self.lay_out_constants(&mut e, kernel, isa);
                match &kernel.body {
                    KernelBody::Loop(k) => loops::emit(&mut e, k),
                    KernelBody::Product(k) => {
                        product::emit(&mut e, k, simd_of(k, self.simd), &routines, epilogue);
                    }
                    KernelBody::Scatter(k) => scatter::emit(&mut e, k),
                }
                e.finish(config);
            }
        }
        function
    }

    /// Few constants stay in registers; many would be spilled, and come from the table instead.
    fn lay_out_constants(&self, e: &mut Emitter, kernel: &Kernel, isa: &dyn TargetIsa) {
        e.is_x86 = isa.name() == "x64";
        e.ranges = Ranges::of(bodies(kernel));
        let mut places: Vec<(ValueId, usize)> = vec![];
        for define in bodies(kernel) {
            if let Some(bits) = constant(define) {
                let place = self
                    .constants
                    .binary_search(&bits)
                    .expect("all constants are in the table");
                places.push((define.value, place));
            }
        }
        let most = if e.is_x86 { 5 } else { 16 };
        let mut distinct: Vec<usize> = places.iter().map(|p| p.1).collect();
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.len() <= most {
            return;
        }
        e.constants = vec![None; e.kinds.len()];
        for (value, place) in places {
            e.constants[value.0 as usize] = Some(place);
        }
        let index = CONSTANT_TABLE;
        let name = e
            .builder
            .func
            .declare_imported_user_function(UserExternalName { namespace: 1, index });
        let table = e.builder.create_global_value(GlobalValueData::Symbol {
            name: ExternalName::user(name),
            offset: 0.into(),
            colocated: false,
            tls: false,
        });
        e.constant_table = Some(e.builder.ins().symbol_value(I64, table));
    }

    fn import(&self, builder: &mut FunctionBuilder, unit: Unit, isa: &dyn TargetIsa) -> FuncRef {
        let found = self.list.iter().position(|u| *u == unit);
        let index = found.expect("what is called is listed") as u32;
        let name = builder
            .func
            .declare_imported_user_function(UserExternalName { namespace: 0, index });
        let signature = builder.import_signature(self.signature(unit, isa));
        builder.import_function(ExtFuncData {
            name: ExternalName::user(name),
            signature,
            colocated: true,
            patchable: false,
        })
    }

    /// What a unit is, in words.
    pub fn title(&self, unit: Unit) -> String {
        match unit {
            Unit::Routine(Routine::Multiply { by_pairs: false }) => "multiply".into(),
            Unit::Routine(Routine::Multiply { by_pairs: true }) => "multiply by pairs".into(),
            Unit::Routine(Routine::Pack {
                storage,
                width,
                lane_stride,
                step_stride,
            }) => format!("pack {width} lanes of {storage}, strides {lane_stride} and {step_stride}"),
            Unit::Routine(Routine::WideMultiply(m)) => format!("multiply {m:?}"),
            Unit::Routine(Routine::WidePack(p)) => format!("pack {p:?}"),
            Unit::Routine(Routine::TileMultiply(m)) => format!("multiply {m:?}"),
            Unit::Routine(Routine::TilePack(p)) => format!("pack {p:?}"),
            Unit::Routine(Routine::Tiles { begins: true }) => "begin with tiles".into(),
            Unit::Routine(Routine::Tiles { begins: false }) => "end with tiles".into(),
            Unit::Epilogue(at) => format!("kernel {at}, epilogue"),
            Unit::Kernel(at) => format!("kernel {at}"),
            Unit::Clearing(at) => format!("kernel {at}, clearing"),
        }
    }
}

/// All instructions of a kernel, in order.
fn bodies(kernel: &Kernel) -> Vec<&Define> {
    match &kernel.body {
        KernelBody::Loop(k) => k.passes.iter().flat_map(|p| p.body.iter().chain(&p.finish)).collect(),
        KernelBody::Product(k) => k.epilogue.iter().collect(),
        KernelBody::Scatter(_) => vec![],
    }
}

/// The registers of a product's routines.
fn simd_of(kernel: &MatrixProduct, simd: Simd) -> Simd {
    if kernel.lies_near() { simd } else { simd.narrow() }
}

/// The code of a product's epilogue, if the wide emitter makes it.
fn epilogue(
    kernel: &Kernel,
    kinds: &ValueKinds,
    product: &MatrixProduct,
    simd: Simd,
    lists: bool,
) -> Option<Assembler> {
    if simd_of(product, simd).width == Width::W128 {
        return None;
    }
    let tile_row_bytes = blocking::tile_row_bytes(&kernel.buffers, product, simd);
    wide::epilogue_function(&kernel.buffers, kinds, product, tile_row_bytes, simd.width, lists).ok()
}

fn constant(define: &Define) -> Option<u32> {
    match define.instruction {
        Instruction::Constant(number) => Some(number.to_bits()),
        Instruction::Integer(number) => Some(number as u32),
        _ => None,
    }
}

/// Bytes of scratch memory that a thread needs for a kernel.
pub fn scratch_bytes(kernel: &Kernel, simd: Simd) -> usize {
    match &kernel.body {
        KernelBody::Loop(k) => loops::scratch_bytes(k),
        KernelBody::Product(k) => blocking::scratch_bytes(&kernel.buffers, k, simd_of(k, simd)),
        KernelBody::Scatter(_) => 0,
    }
}

/// Tasks of a kernel's clearing function.
pub fn clearing_tasks(kernel: &Kernel) -> usize {
    match &kernel.body {
        KernelBody::Scatter(k) => scatter::clearing_tasks(&kernel.buffers, k),
        _ => 0,
    }
}
