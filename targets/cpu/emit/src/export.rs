//! All kernels as one object file with a C header, for programs that link them statically.

use crate::machine::Machine;
use crate::module::{self, Zeros, zero_bytes};
use lostwax_ir::kernel::{BufferDecl, Kernel};
use lostwax_target_api::{EmitError, EmitOptions, OutputKind};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The object and the header, as far as they are asked for.
pub(crate) fn outputs(
    machine: &Machine,
    kernels: &[Kernel],
    options: &EmitOptions,
) -> Result<BTreeMap<OutputKind, Vec<u8>>, EmitError> {
    let mut outputs = BTreeMap::new();
    if options.outputs.contains(&OutputKind::Object) {
        outputs.insert(OutputKind::Object, object(machine, kernels)?);
    }
    if options.outputs.contains(&OutputKind::Header) {
        outputs.insert(OutputKind::Header, header(machine, kernels)?.into_bytes());
    }
    Ok(outputs)
}

fn object(machine: &Machine, kernels: &[Kernel]) -> Result<Vec<u8>, EmitError> {
    let names = function_names(machine, kernels)?;
    Ok(module::compile(machine, kernels, &names, Zeros::Own(zero_bytes(kernels)), false)?.object)
}

/// The functions that the object defines: `lostwax_VARIANT_KERNEL`, with underscores for what C does not allow in names.
fn function_names(machine: &Machine, kernels: &[Kernel]) -> Result<Vec<String>, EmitError> {
    let prefix = prefix(machine);
    let mut taken = BTreeSet::new();
    let name = |kernel: &Kernel| {
        let name = format!("{prefix}_{}", identifier(&kernel.name));
        let problem = || EmitError::Invalid { kernel: kernel.name.clone(), problem: "another kernel has its name".into() };
        if taken.insert(name.clone()) { Ok(name) } else { Err(problem()) }
    };
    kernels.iter().map(name).collect()
}

fn prefix(machine: &Machine) -> String {
    format!("lostwax_{}", identifier(machine.name))
}

fn identifier(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn header(machine: &Machine, kernels: &[Kernel]) -> Result<String, EmitError> {
    let names = function_names(machine, kernels)?;
    let guard = format!("{}_H", prefix(machine).to_ascii_uppercase());
    let (level, arch) = (machine.name, machine.arch.name());
    let features =
        if machine.required.is_empty() { "nothing beyond the base".to_string() } else { machine.required.concat().join(", ") };
    let mut text = format!(
        "/* The kernels of a model for {level} ({arch}), which needs: {features}.\n\
         {ABI} */\n\
         #ifndef {guard}\n#define {guard}\n\n#include <stdint.h>\n\n#ifdef __cplusplus\nextern \"C\" {{\n#endif\n"
    );
    for (kernel, name) in kernels.iter().zip(&names) {
        text += &declaration(kernel, name);
    }
    let _ = write!(text, "\n#ifdef __cplusplus\n}}\n#endif\n\n#endif\n");
    Ok(text)
}

/// How the functions are called.
const ABI: &str = "
   Every function runs the work items first, ..., end - 1 of one kernel:
     buffers     the address of each buffer, in the order given, each a multiple of its element's size
     symbols     the value of each symbol, in the order given; not read where there is none
     first, end  0 <= first <= end <= grid
   Work items are independent: any order, any number of threads. What a step needs and the order of steps is the
   plan in the artifact; `lostwax inspect --plan` shows it.";

fn declaration(kernel: &Kernel, name: &str) -> String {
    let symbols: Vec<&str> = kernel.symbols.iter().map(|symbol| symbol.name()).collect();
    let symbols = if symbols.is_empty() { "none".to_string() } else { symbols.join(", ") };
    let buffers = kernel.buffers.iter().map(|BufferDecl { name, dtype, writable, .. }| {
        let access = if *writable { "written" } else { "read" };
        format!("{name} ({dtype}, {access})")
    });
    let buffers = buffers.collect::<Vec<_>>().join(", ");
    let comment = format!("grid: {}\n   symbols: {symbols}\n   buffers: {buffers}", kernel.grid).replace("*/", "* /");
    let arguments = "void *const *buffers, const int64_t *symbols, int64_t first, int64_t end";
    format!("\n/* {comment} */\nvoid {name}({arguments});\n")
}
