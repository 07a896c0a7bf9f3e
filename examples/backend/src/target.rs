//! The compiling half: C source from all kernels, and a shared object from that.

use crate::format::NAME;
use crate::kernel;
use crate::writer::Fault;
use crate::{device, format};
use lostwax_ir::kernel::Kernel;
use lostwax_target_api::{Caps, EmitError, EmitOptions, Emitted, Memory, MemoryKind, OutputKind, Signature, Target, Variant};
use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// What the source of every program begins with.
const PRELUDE: &str = include_str!("prelude.h");

/// Errors of mathematical functions are results, not `errno` or traps; signed integers wrap; products are fused with sums only where
/// a kernel says so. The same source gives the same bytes.
const FLAGS: &[&str] = &[
    "-std=gnu11",
    "-O3",
    "-shared",
    "-fPIC",
    "-fvisibility=default",
    "-w",
    "-fwrapv",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=off",
    "-fno-strict-aliasing",
    "-fno-ident",
    "-Wl,--build-id=none",
];

// region: caps
/// What schedules are made for: a core with the vectors that every 64-bit processor has.
const CAPS: Caps = Caps {
    vector_bytes: 16,
    vector_registers: 16,
    instructions: &[],
    memories: &[Memory { kind: MemoryKind::Core, bytes: 256 << 10 }],
    parallelism: 1,
    item_elements: 16 << 10,
    arguments: u32::MAX,
    binding_bytes: u64::MAX,
    workgroups: None,
    flops_per_ns: 4.0,
    bytes_per_ns: 8.0,
    dispatch_ns: 50.0,
};
// endregion: caps

/// Kernels as C.
pub fn target() -> Box<dyn Target> {
    Box::new(C)
}

struct C;

// region: target
impl Target for C {
    fn name(&self) -> &'static str {
        NAME
    }

    fn doc(&self) -> &'static str {
        "kernels as C source, built by the C compiler of this machine (or by $CC)"
    }

    fn variants(&self, specification: &str) -> Result<Vec<Variant>, EmitError> {
        if !specification.is_empty() {
            return Err(unsupported(format!("`{specification}`; it takes no specification")));
        }
        Ok(vec![Variant { info: device::host(), caps: CAPS, only_for: &[] }])
    }

    fn emit(&self, _variant: &Variant, kernels: &[Kernel], options: &EmitOptions) -> Result<Emitted, EmitError> {
        if let Some(kind) = options.outputs.iter().find(|kind| **kind != OutputKind::Listing) {
            return Err(unsupported(format!("output of the kind {kind:?}; its only kind is the listing")));
        }
        let source = source(kernels)?;
        let signatures: Vec<Signature> = kernels.iter().map(Signature::from).collect();
        let code = format::write(&signatures, &build(&source)?);
        let outputs = options.outputs.iter().map(|kind| (*kind, source.clone().into_bytes())).collect();
        Ok(Emitted { code, outputs })
    }

    /// Without a run of the compiler.
    fn check(&self, _variant: &Variant, kernel: &Kernel) -> Result<(), EmitError> {
        source(std::slice::from_ref(kernel)).map(drop)
    }
}
// endregion: target

fn source(kernels: &[Kernel]) -> Result<String, EmitError> {
    let function = |(position, kernel)| kernel::write(kernel, position).map_err(|fault| error(kernel, fault));
    let functions = kernels.iter().enumerate().map(function).collect::<Result<Vec<_>, _>>()?;
    Ok(format!("{PRELUDE}\n{}", functions.join("\n")))
}

// region: errors
/// Another target is asked to write what is unsupported; what is invalid ends the compilation.
fn error(kernel: &Kernel, fault: Fault) -> EmitError {
    match fault {
        Fault::Invalid(problem) => EmitError::Invalid { kernel: kernel.name.clone(), problem },
        Fault::Unsupported(what) => unsupported(format!("{what}, which kernel `{}` has", kernel.name)),
    }
}
// endregion: errors

// region: build
/// The shared object of a source. Files have the same names each time, and no path gets into it.
fn build(source: &str) -> Result<Vec<u8>, EmitError> {
    let folder = tempfile::tempdir().map_err(|error| failed("a temporary folder", &error))?;
    let path = |name: &str| folder.path().join(name);
    fs::write(path("kernels.c"), source).map_err(|error| failed("kernels.c", &error))?;
    compile(folder.path())?;
    fs::read(path("kernels.so")).map_err(|error| failed("kernels.so", &error))
}

/// Runs the compiler that `CC` names, with arguments if it has some.
fn compile(folder: &Path) -> Result<(), EmitError> {
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".into());
    let mut words = compiler.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("cc"));
    command.args(words).args(FLAGS).args(["kernels.c", "-o", "kernels.so", "-lm"]);
    let output = command.current_dir(folder).env("SOURCE_DATE_EPOCH", "0").output();
    let output = output.map_err(|error| failed(&format!("`{compiler}` (install a C compiler or set CC)"), &error))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(generator(format!("`{compiler}`: {}", String::from_utf8_lossy(&output.stderr).trim()))),
    }
}
// endregion: build

fn failed(what: &str, error: &std::io::Error) -> EmitError {
    generator(format!("{what}: {error}"))
}

fn generator(problem: String) -> EmitError {
    EmitError::Generator { target: NAME.into(), problem }
}

fn unsupported(what: String) -> EmitError {
    EmitError::Unsupported { target: NAME.into(), what }
}
