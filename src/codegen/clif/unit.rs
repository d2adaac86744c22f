//! What is compiled on its own: a kernel's function (two for a scatter) or a routine that products share; and the list
//! of all that a set of kernels needs. It makes Cranelift functions, not code.

use super::emitter::{Emitter, kernel_signature};
use super::routine::Routine;
use super::{loops, product, scatter};
use crate::ir::kernel::*;
use crate::ir::kernel_verify::ValueKinds;
use cranelift_codegen::ir::{ExtFuncData, ExternalName, FuncRef, Function, Signature, UserExternalName, UserFuncName};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

/// A function to compile.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Unit {
    /// A shared routine.
    Routine(Routine),
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
    /// What is compiled; a function is called by its number here.
    pub list: Vec<Unit>,
}

impl<'k> Units<'k> {
    /// Everything that the kernels need.
    pub fn of(kernels: &'k [Kernel], kinds: Vec<ValueKinds>) -> Units<'k> {
        let products = kernels.iter().filter_map(|kernel| match &kernel.body {
            KernelBody::Product(k) => Some(product::routines(k)),
            _ => None,
        });
        let mut routines: Vec<Routine> = products.flatten().collect();
        routines.sort_unstable();
        routines.dedup();
        let mut list: Vec<Unit> = routines.into_iter().map(Unit::Routine).collect();
        for (number, kernel) in kernels.iter().enumerate() {
            if matches!(kernel.body, KernelBody::Scatter(_)) {
                list.push(Unit::Clearing(number));
            }
            list.push(Unit::Kernel(number));
        }
        Units { kernels, kinds, list }
    }

    /// How a unit is called.
    pub fn signature(&self, unit: Unit, isa: &dyn TargetIsa) -> Signature {
        match unit {
            Unit::Routine(routine) => routine.signature(isa.default_call_conv()),
            _ => kernel_signature(isa.default_call_conv()),
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
                    KernelBody::Product(k) => product::routines(k).map(|r| Some(self.import(&mut builder, r, isa))),
                    _ => [None; 3],
                };
                let mut e = Emitter::new(builder, &kernel.buffers, &self.kinds[at]);
                match &kernel.body {
                    KernelBody::Loop(k) => loops::emit(&mut e, k),
                    KernelBody::Product(k) => {
                        let routines = routines.map(|r| r.expect("a product's routines are imported"));
                        product::emit(&mut e, k, routines);
                    }
                    KernelBody::Scatter(k) => scatter::emit(&mut e, k),
                }
                e.finish(config);
            }
        }
        function
    }

    fn import(&self, builder: &mut FunctionBuilder, routine: Routine, isa: &dyn TargetIsa) -> FuncRef {
        let found = self.list.iter().position(|u| *u == Unit::Routine(routine));
        let index = found.expect("every routine is listed") as u32;
        let name = builder
            .func
            .declare_imported_user_function(UserExternalName { namespace: 0, index });
        let signature = builder.import_signature(routine.signature(isa.default_call_conv()));
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
            Unit::Routine(Routine::Multiply) => "multiply".into(),
            Unit::Routine(Routine::Pack {
                width,
                lane_stride,
                step_stride,
            }) => format!("pack {width} lanes, strides {lane_stride} and {step_stride}"),
            Unit::Kernel(at) => format!("kernel {at}"),
            Unit::Clearing(at) => format!("kernel {at}, clearing"),
        }
    }
}

/// Bytes of scratch memory that a thread needs for a kernel.
pub fn scratch_bytes(kernel: &Kernel) -> usize {
    match &kernel.body {
        KernelBody::Loop(k) => loops::scratch_bytes(k),
        KernelBody::Product(k) => product::scratch_bytes(k),
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
