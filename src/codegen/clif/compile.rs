//! Functions → machine code in one Cranelift module, on several threads; and their text. Every kernel is verified
//! before, every function by Cranelift's verifier.

use super::unit::{CONSTANT_TABLE, Unit, Units, clearing_tasks, scratch_bytes};
use crate::codegen::target::{CodegenError, Target};
use crate::ir::kernel::Kernel;
use crate::ir::kernel_verify::verify;
use crate::parallel;
use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::FunctionBuilderContext;
use cranelift_jit::{ArenaMemoryProvider, JITBuilder, JITModule};
use cranelift_module::{DataDescription, FuncId, Linkage, Module, ModuleReloc};

/// A compiled kernel: does the tasks from `first` up to `end`.
///
/// The buffers are the addresses of the kernel's buffers in order, each as large as the kernel says; the scratch
/// memory is the thread's own, aligned to 64 bytes.
pub type KernelFunction =
    unsafe extern "C" fn(buffers: *const *mut u8, scratch: *mut u8, first_task: i64, end_task: i64);

/// A function of a kernel with its tasks; a barrier belongs between the phases of a kernel.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    /// The code, alive as long as its [`Code`].
    pub function: KernelFunction,
    /// How many tasks it has.
    pub tasks: usize,
}

/// The code of one kernel.
#[derive(Clone, Debug)]
pub struct CompiledKernel {
    /// One, or two for a scatter.
    pub phases: Vec<Phase>,
}

/// The machine code of a set of kernels. Dropping it frees the memory.
pub struct Code {
    module: Option<JITModule>,
    /// In the order of the kernels.
    pub kernels: Vec<CompiledKernel>,
    /// Scratch memory that each thread needs.
    pub scratch_bytes: usize,
    /// Size of all functions.
    pub code_bytes: usize,
}

impl Drop for Code {
    fn drop(&mut self) {
        if let Some(module) = self.module.take() {
            // SAFETY: the functions are only reached through `self.kernels`; whoever copies them out of it promises, by
            // calling an unsafe function, not to call them once this value is gone.
            unsafe { module.free_memory() }
        }
    }
}

/// Address space that is reserved for code: calls between functions reach all of it.
const CODE_SPACE: usize = 64 << 20;

/// Compiles kernels on up to `threads` threads.
pub fn compile(kernels: &[Kernel], target: &Target, threads: usize) -> Result<Code, CodegenError> {
    let units = units(kernels, target)?;
    let functions = compile_units(&units, &*target.isa, threads)?;
    let machine = |e: &dyn std::fmt::Display| CodegenError::Machine(e.to_string());
    let mut builder = JITBuilder::with_isa(target.isa.clone(), cranelift_module::default_libcall_names());
    let memory = ArenaMemoryProvider::new_with_size(CODE_SPACE).map_err(|e| machine(&e))?;
    builder.memory_provider(Box::new(memory));
    let mut code = Code {
        module: Some(JITModule::new(builder)),
        kernels: vec![],
        scratch_bytes: kernels.iter().map(|k| scratch_bytes(k, target.simd)).max().unwrap_or(0),
        code_bytes: functions.iter().map(|f| f.bytes.len()).sum(),
    };
    let module = code.module.as_mut().expect("just put there");
    let mut ids = vec![];
    for (number, unit) in units.list.iter().enumerate() {
        let signature = units.signature(*unit, &*target.isa);
        let id = module.declare_function(&format!("f{number}"), Linkage::Local, &signature);
        let id = id.map_err(|e| machine(&e))?;
        assert_eq!(id.as_u32() as usize, number, "functions call each other by number");
        ids.push(id);
    }
    let table = module
        .declare_data("constants", Linkage::Local, false, false)
        .map_err(|e| machine(&e))?;
    assert_eq!(table.as_u32(), CONSTANT_TABLE, "functions know the table by number");
    let mut description = DataDescription::new();
    description.define(units.constant_bytes().into_boxed_slice());
    description.set_align(64);
    module.define_data(table, &description).map_err(|e| machine(&e))?;
    for (id, function) in ids.iter().zip(&functions) {
        let defined = module.define_function_bytes(*id, function.alignment, &function.bytes, &function.relocations);
        defined.map_err(|e| machine(&e))?;
    }
    module.finalize_definitions().map_err(|e| machine(&e))?;
    let addresses: Vec<*const u8> = ids.iter().map(|id| module.get_finalized_function(*id)).collect();
    let mut phases: Vec<Vec<Phase>> = vec![vec![]; kernels.len()];
    for (unit, address) in units.list.iter().zip(addresses) {
        let (kernel, tasks) = match *unit {
            Unit::Routine(_) | Unit::Epilogue(_) => continue,
            Unit::Kernel(kernel) => (kernel, kernels[kernel].tasks()),
            Unit::Clearing(kernel) => (kernel, clearing_tasks(&kernels[kernel])),
        };
        // SAFETY: the address is that of a function which was compiled with `kernel_signature` under the platform's C
        // convention, and finalized.
        let function = unsafe { std::mem::transmute::<*const u8, KernelFunction>(address) };
        phases[kernel].push(Phase { function, tasks });
    }
    code.kernels = phases.into_iter().map(|phases| CompiledKernel { phases }).collect();
    Ok(code)
}

fn units<'k>(kernels: &'k [Kernel], target: &Target) -> Result<Units<'k>, CodegenError> {
    let verified = kernels
        .iter()
        .enumerate()
        .map(|(number, kernel)| verify(kernel).map_err(|violation| CodegenError::Kernel { number, violation }));
    Ok(Units::of(kernels, verified.collect::<Result<_, _>>()?, target.simd))
}

/// A compiled function that has no place yet.
struct CompiledFunction {
    bytes: Vec<u8>,
    alignment: u64,
    relocations: Vec<ModuleReloc>,
}

fn compile_units(units: &Units, isa: &dyn TargetIsa, threads: usize) -> Result<Vec<CompiledFunction>, CodegenError> {
    let contexts = || (Context::new(), FunctionBuilderContext::new());
    let compile = |contexts: &mut _, number| compile_unit(units, number, isa, contexts);
    let functions = parallel::map_with(units.list.len(), threads, contexts, compile);
    functions.into_iter().collect()
}

fn compile_unit(
    units: &Units,
    number: usize,
    isa: &dyn TargetIsa,
    (context, builder_context): &mut (Context, FunctionBuilderContext),
) -> Result<CompiledFunction, CodegenError> {
    if let Some(assembler) = units.encode(number, false) {
        return Ok(CompiledFunction {
            bytes: assembler.finish(),
            alignment: 64,
            relocations: vec![],
        });
    }
    context.clear();
    context.func = units.build(number, isa, builder_context);
    let refused = |message: String| CodegenError::Cranelift {
        unit: units.title(units.list[number]),
        message,
    };
    let code = context
        .compile(isa, &mut ControlPlane::default())
        .map_err(|e| refused(cranelift_codegen::print_errors::pretty_error(e.func, e.inner)))?;
    let id = FuncId::from_u32(number as u32);
    let (bytes, alignment) = (code.code_buffer().to_vec(), u64::from(code.buffer.alignment));
    let relocations = code.buffer.relocs().to_vec();
    let relocations = relocations
        .iter()
        .map(|r| ModuleReloc::from_mach_reloc(r, &context.func, id))
        .collect();
    Ok(CompiledFunction {
        bytes,
        alignment: alignment.max(64),
        relocations,
    })
}

/// The Cranelift IR of a kernel and the routines that it calls.
pub fn clif_text(kernel: &Kernel, target: &Target) -> Result<String, CodegenError> {
    let kernels = std::slice::from_ref(kernel);
    let units = units(kernels, target)?;
    let mut text = String::new();
    for (number, unit) in units.list.iter().enumerate() {
        if units.encode(number, false).is_some() {
            text += &format!("; {}: encoded without Cranelift\n\n", units.title(*unit));
            continue;
        }
        let function = units.build(number, &*target.isa, &mut FunctionBuilderContext::new());
        text += &format!("; {}\n{}\n", units.title(*unit), function.display());
    }
    Ok(text)
}

/// The machine code of a kernel and the routines that it calls, as Cranelift's own text of the instructions.
pub fn assembly_text(kernel: &Kernel, target: &Target) -> Result<String, CodegenError> {
    let kernels = std::slice::from_ref(kernel);
    let units = units(kernels, target)?;
    let mut text = String::new();
    for (number, unit) in units.list.iter().enumerate() {
        if let Some(assembler) = units.encode(number, true) {
            text += &format!("; {}\n{}\n\n", units.title(*unit), assembler.listing().join("\n"));
            continue;
        }
        let mut context = Context::new();
        context.func = units.build(number, &*target.isa, &mut FunctionBuilderContext::new());
        context.set_disasm(true);
        let title = units.title(*unit);
        let code = context
            .compile(&*target.isa, &mut ControlPlane::default())
            .map_err(|e| CodegenError::Cranelift {
                unit: title.clone(),
                message: cranelift_codegen::print_errors::pretty_error(e.func, e.inner),
            })?;
        text += &format!("; {title}\n{}\n", code.vcode.as_deref().unwrap_or(""));
    }
    Ok(text)
}
