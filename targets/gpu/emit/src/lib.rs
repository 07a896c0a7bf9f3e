#![deny(missing_docs)]
#![forbid(unsafe_code)]
//! The GPU target of lostwax: kernels in, shaders out.
//!
//! - `module`: one kernel as one shader module, checked by naga and written in every language.
//! - `language`: the table of languages. `limits`: the table of profiles.
//! - `kernel`: its entry point: arguments, locals, scopes. Statements are written by `stmt`, index arithmetic by `index`, memory
//!   access by `place`, of four elements at once by `quads`, operations by `ops`, reductions among threads by `reduce`, conversions
//!   by `convert`, all through `builder`, a thin layer over naga's arenas; `survey` looks through the kernel before.
//! - `prelude.wgsl`, `double.wgsl`: functions that kernels call, in the shading language itself.
//!
//! A work item is an invocation; in kernels with threads a thread is. The lanes of a vector loop take each step together, as values of one invocation.

mod builder;
mod convert;
mod fault;
mod index;
mod kernel;
mod language;
mod limits;
mod module;
mod ops;
mod place;
mod quads;
mod reduce;
mod stmt;
mod survey;

use fault::unsupported;
use limits::{Profile, named};
use lostwax_device_gpu::format::{PIECE_BYTES, Shader, write};
use lostwax_device_gpu::{ARCHITECTURE, NAME};
use lostwax_ir::kernel::Kernel;
use lostwax_target_api::{
    Caps, EmitError, EmitOptions, Emitted, Memory, MemoryKind, OutputKind, Target, Variant, VariantInfo, WorkgroupCaps,
};
use module::Written;

pub use lostwax_device_gpu::device;

/// What schedules are made for: many small work items, registers of single elements. Profiles add how many arguments kernels have.
const CAPS: Caps = Caps {
    vector_bytes: 4,
    vector_registers: 64,
    instructions: &[],
    memories: &[Memory { kind: MemoryKind::Core, bytes: 64 << 10 }, Memory { kind: MemoryKind::Workgroup, bytes: 16 << 10 }],
    parallelism: 16 << 10,
    item_elements: 4,
    arguments: 0,
    binding_bytes: PIECE_BYTES,
    workgroups: Some(WorkgroupCaps { threads: 256, count: 64, coalesced: 16 }),
    flops_per_ns: 10.0,
    bytes_per_ns: 1.0,
    dispatch_ns: 20_000.0,
};

/// The GPU target.
pub fn target() -> Box<dyn Target> {
    Box::new(Gpu)
}

struct Gpu;

impl Target for Gpu {
    fn name(&self) -> &'static str {
        NAME
    }

    fn doc(&self) -> &'static str {
        "shaders for GPUs, as WGSL, SPIR-V and MSL; a specification is a profile of limits"
    }

    fn variants(&self, specification: &str) -> Result<Vec<Variant>, EmitError> {
        let profile = named(specification)?;
        let (device, arch, name) = (NAME.into(), ARCHITECTURE.into(), profile.name.into());
        let info = VariantInfo { device, arch, name, ..VariantInfo::default() };
        let caps = Caps { arguments: profile.arguments(), ..CAPS };
        Ok(vec![Variant { info, caps, only_for: &[] }])
    }

    fn emit(&self, variant: &Variant, kernels: &[Kernel], options: &EmitOptions) -> Result<Emitted, EmitError> {
        let profile = Profile::of(&variant.info)?;
        let prelude = module::prelude().map_err(|fault| fault.of_kernel("prelude"))?;
        let is_listed = options.outputs.contains(&OutputKind::Listing);
        let written = |kernel: &Kernel| {
            let written = module::write(&prelude, kernel, is_listed).map_err(|fault| fault.of_kernel(&kernel.name))?;
            profile.check(kernel, &written.shader).map(|()| written)
        };
        let written: Vec<Written> = kernels.iter().map(written).collect::<Result<_, _>>()?;
        let output = |kind: &OutputKind| match kind {
            OutputKind::Listing => Ok((OutputKind::Listing, listing(&written).into_bytes())),
            other => Err(unsupported(format!("output of the kind {other:?}; its only kind is the listing"))),
        };
        let outputs = options.outputs.iter().map(output).collect::<Result<_, _>>()?;
        let shaders: Vec<Shader> = written.into_iter().map(|written| written.shader).collect();
        Ok(Emitted { code: write(&shaders), outputs })
    }
}

/// All shaders in all languages that people read.
fn listing(written: &[Written]) -> String {
    let mut text = String::new();
    for (position, Written { shader, listings }) in written.iter().enumerate() {
        for (title, source) in listings {
            text += &format!("// {position}: {}, {title}\n{source}\n", shader.name);
        }
    }
    text
}
