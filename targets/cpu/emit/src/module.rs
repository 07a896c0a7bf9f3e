//! A group of kernels as one LLVM module, optimized and compiled to an ELF object.

use crate::emitter::ZEROS_ALIGNMENT;
use crate::fault::{Fault, generator};
use crate::ir::Ir;
use crate::kernel::emit_kernel;
use crate::machine::Machine;
use inkwell::GlobalVisibility;
use inkwell::OptimizationLevel;
use inkwell::attributes::AttributeLoc;
use inkwell::context::Context;
use inkwell::module::{Linkage, Module};
use inkwell::passes::PassBuilderOptions;
use inkwell::targets::{CodeModel, FileType, RelocMode, Target, TargetMachine, TargetMachineOptions, TargetTriple};
use inkwell::values::{FunctionValue, GlobalValue};
use lostwax_ir::kernel::{Kernel, RowDecl};
use lostwax_target_api::EmitError;

/// The symbol of memory that holds zeros, which the linker provides.
pub(crate) const ZEROS: &str = "lostwax_zeros";

/// The passes that clean up after emission: locals become registers, repeated loads disappear. What does not change in a loop is
/// emitted outside of it in the first place, so nothing here needs to look at loops.
const PASSES: &str = "function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint;max-iterations=1>,simplifycfg)";

/// The compiled code of a group of kernels.
pub(crate) struct Compiled {
    /// An ELF object that defines a function for each.
    pub(crate) object: Vec<u8>,
    /// Assembly text, if asked for.
    pub(crate) listing: Option<String>,
}

/// The symbol of the kernel at that position of its group.
pub(crate) fn kernel_symbol(position: usize) -> String {
    format!("kernel_{position}")
}

/// Where the memory that holds zeros comes from.
#[derive(Clone, Copy)]
pub(crate) enum Zeros {
    /// Our linker provides it.
    Linked,
    /// The object holds this many bytes of it.
    Own(u64),
}

/// Compiles a group of kernels to functions of these names.
pub(crate) fn compile(
    machine: &Machine,
    kernels: &[Kernel],
    names: &[String],
    zeros: Zeros,
    listing: bool,
) -> Result<Compiled, EmitError> {
    let context = Context::create();
    let module = context.create_module("lostwax");
    let target = target_machine(machine)?;
    module.set_triple(&target.get_triple());
    module.set_data_layout(&target.get_target_data().get_data_layout());
    let zeros = declare_zeros(&context, &module, zeros);
    for (kernel, name) in kernels.iter().zip(names) {
        let function = declare(&context, &module, machine, name);
        let emitted = emit_kernel(Ir::new(&context, &module), machine, kernel, function, zeros.as_pointer_value());
        emitted.map_err(|fault| fault.of_kernel(&kernel.name))?;
        if !function.verify(false) {
            return Err(Fault::Invalid("its statements do not fit together".into()).of_kernel(&kernel.name));
        }
    }
    module.run_passes(PASSES, &target, PassBuilderOptions::create()).map_err(|error| generator(error.to_string()))?;
    let write = |kind| target.write_to_memory_buffer(&module, kind).map_err(|error| generator(error.to_string()));
    let object = write(FileType::Object)?.as_slice().to_vec();
    let listing = if listing { Some(String::from_utf8_lossy(write(FileType::Assembly)?.as_slice()).into_owned()) } else { None };
    Ok(Compiled { object, listing })
}

fn target_machine(machine: &Machine) -> Result<TargetMachine, EmitError> {
    machine.initialize();
    let triple = TargetTriple::create(machine.triple);
    let target = Target::from_triple(&triple).map_err(|error| generator(error.to_string()))?;
    let mut options = TargetMachineOptions::new()
        .set_cpu(machine.cpu)
        .set_features(machine.features)
        .set_level(OptimizationLevel::Default)
        .set_reloc_mode(RelocMode::PIC)
        .set_code_model(machine.code_model());
    if let Some(abi) = machine.abi {
        options = options.set_abi(abi);
    }
    let made = target.create_target_machine_from_options(&triple, options);
    made.ok_or_else(|| generator(format!("there is no machine for {}", machine.triple)))
}

/// Declares the zeros as part of the image, so that code addresses them by distance.
fn declare_zeros<'c>(context: &'c Context, module: &Module<'c>, zeros: Zeros) -> GlobalValue<'c> {
    let bytes = match zeros {
        Zeros::Linked => 1,
        Zeros::Own(bytes) => u32::try_from(bytes).unwrap_or(u32::MAX),
    };
    let ty = context.i8_type().array_type(bytes);
    let global = module.add_global(ty, None, ZEROS);
    global.set_alignment(ZEROS_ALIGNMENT);
    // What it holds is not to be known, as in `opaque_mask`.
    global.set_externally_initialized(matches!(zeros, Zeros::Own(_)));
    match zeros {
        Zeros::Linked => {
            global.set_linkage(Linkage::External);
            global.set_visibility(GlobalVisibility::Hidden);
        }
        Zeros::Own(_) => {
            global.set_initializer(&ty.const_zero());
            global.set_constant(true);
            global.set_linkage(Linkage::Private);
        }
    }
    global
}

fn declare<'c>(context: &'c Context, module: &Module<'c>, machine: &Machine, name: &str) -> FunctionValue<'c> {
    let (pointer, int) = (context.ptr_type(Default::default()), context.i64_type());
    let signature = context.void_type().fn_type(&[pointer.into(), pointer.into(), int.into(), int.into()], false);
    let function = module.add_function(name, signature, None);
    let nounwind = inkwell::attributes::Attribute::get_named_enum_kind_id("nounwind");
    function.add_attribute(AttributeLoc::Function, context.create_enum_attribute(nounwind, 0));
    let width = (machine.vector_bytes * 8).to_string();
    for (key, value) in [("no-builtins", ""), ("prefer-vector-width", &width), ("min-legal-vector-width", &width)] {
        function.add_attribute(AttributeLoc::Function, context.create_string_attribute(key, value));
    }
    function
}

impl Machine {
    fn initialize(&self) {
        let config = inkwell::targets::InitializationConfig::default();
        match self.arch {
            lostwax_device_cpu::format::Arch::X86_64 => Target::initialize_x86(&config),
            lostwax_device_cpu::format::Arch::Aarch64 => Target::initialize_aarch64(&config),
            lostwax_device_cpu::format::Arch::Riscv64 => Target::initialize_riscv(&config),
        }
    }

    fn code_model(&self) -> CodeModel {
        match self.arch {
            lostwax_device_cpu::format::Arch::Riscv64 => CodeModel::Medium,
            _ => CodeModel::Small,
        }
    }
}

/// Bytes of zeros that guarded accesses of any kernel may read: the most lanes of the widest type.
const MIN_ZERO_BYTES: u64 = 64 * 8;

/// Bytes of zeros that guarded accesses of these kernels may read.
pub(crate) fn zero_bytes(kernels: &[Kernel]) -> u64 {
    kernels.iter().map(row_bytes).max().unwrap_or(0).max(MIN_ZERO_BYTES)
}

/// Bytes that can be read through the address of a row that does not exist.
fn row_bytes(kernel: &Kernel) -> u64 {
    let element = |row: &RowDecl| kernel.buffers.get(row.buffer.0 as usize).map_or(8, |buffer| buffer.dtype.size());
    kernel.rows.iter().map(|row| u64::from(row.extent) * element(row) as u64).max().unwrap_or(0)
}
