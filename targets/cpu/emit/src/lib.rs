#![deny(missing_docs)]
//! The CPU target of lostwax: kernels in, native code for several instruction-set levels out.
//!
//! - `machine`, `variants`: the levels, as data, and how a specification selects them.
//! - `emitter`: what is in scope while a kernel is written.
//! - `kernel`: one kernel as one function. Its statements are written by `stmt`, index arithmetic by `index`, memory access by
//!   `place`, operations by `ops`, conversions by `convert`, elementary functions by `math`, all through `ir`, a thin layer
//!   over the LLVM builder.
//! - `module`: a group of kernels, optimized and compiled to an ELF object.
//! - `export`: all kernels as one object file and a C header, for programs that link them statically.
//! - `image`: our linker; it turns the objects into the code bytes of [`lostwax_device_cpu::format`].
//!
//! The schedule decides how loops are vectorized and unrolled and what registers hold; LLVM selects instructions, allocates
//! registers and removes redundancy, but never vectorizes and never introduces calls.

mod convert;
mod dot;
mod emitter;
mod export;
mod fault;
mod image;
mod index;
mod ir;
mod kernel;
mod machine;
mod math;
mod module;
mod ops;
mod place;
mod stmt;
mod variants;

pub use lostwax_device_cpu::device;

use image::Unit;
use lostwax_ir::kernel::Kernel;
use lostwax_target_api::{EmitError, EmitOptions, Emitted, OutputKind, Target, Variant};
use machine::Machine;
use module::Zeros;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Kernels that are compiled together. Fixed, so that the code does not depend on the number of threads.
const GROUP: usize = 8;

/// The CPU target.
pub fn target() -> Box<dyn Target> {
    Box::new(Cpu)
}

struct Cpu;

impl Target for Cpu {
    fn name(&self) -> &'static str {
        fault::TARGET
    }

    fn doc(&self) -> &'static str {
        "native code for x86-64 (v2, v3, v4), aarch64 and riscv64, through LLVM"
    }

    /// An architecture (`x86_64`, `aarch64`, `riscv64`; empty is the host's) stands for all of its levels, best first. Levels
    /// may be picked with plus signs: `x86_64+x86-64-v3`, `x86_64+x86-64-v3+x86-64-v2`, or `+x86-64-v3` on an x86-64 host.
    fn variants(&self, specification: &str) -> Result<Vec<Variant>, EmitError> {
        variants::variants(specification)
    }

    fn emit(&self, variant: &Variant, kernels: &[Kernel], options: &EmitOptions) -> Result<Emitted, EmitError> {
        let machine = variants::machine(variant)?;
        let groups: Vec<&[Kernel]> = kernels.chunks(GROUP).collect();
        let compiled = compile_groups(machine, &groups, options)?;
        let (units, listings): (Vec<Unit>, Vec<Option<String>>) = compiled.into_iter().unzip();
        let code = image::link(machine.arch, &units)?;
        let mut outputs = export::outputs(machine, kernels, options)?;
        if options.outputs.contains(&OutputKind::Listing) {
            outputs.insert(OutputKind::Listing, listings.into_iter().flatten().collect::<String>().into_bytes());
        }
        Ok(Emitted { code, outputs })
    }
}

type GroupResult = Result<(Unit, Option<String>), EmitError>;

/// Compiles all groups on all cores; results come in the order of the groups.
fn compile_groups(
    machine: &Machine,
    groups: &[&[Kernel]],
    options: &EmitOptions,
) -> Result<Vec<(Unit, Option<String>)>, EmitError> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some((position, group)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, groups.get(at)?)))
        {
            let result = compile_group(machine, group, options);
            results.lock().unwrap_or_else(PoisonError::into_inner).push((position, result));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(groups.len());
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    let mut results: Vec<(usize, GroupResult)> = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(position, _)| *position);
    results.into_iter().map(|(_, result)| result).collect()
}

fn compile_group(machine: &Machine, group: &[Kernel], options: &EmitOptions) -> GroupResult {
    let names: Vec<String> = (0..group.len()).map(module::kernel_symbol).collect();
    let compiled = module::compile(machine, group, &names, Zeros::Linked, options.outputs.contains(&OutputKind::Listing))?;
    let kernels = group.iter().map(|kernel| (kernel.buffers.len() as u32, kernel.symbols.len() as u32)).collect();
    Ok((Unit { object: compiled.object, kernels, zero_bytes: module::zero_bytes(group) }, compiled.listing))
}
