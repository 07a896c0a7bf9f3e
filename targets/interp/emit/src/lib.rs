#![deny(missing_docs)]
#![forbid(unsafe_code)]
//! The smallest target, and the template for new ones: the code of a variant is its kernels as text.

use lostwax_device_interp::{ARCHITECTURE, NAME, format};
use lostwax_ir::kernel::Kernel;
use lostwax_target_api::{Caps, EmitError, EmitOptions, Emitted, Memory, MemoryKind, OutputKind, Target, Variant, VariantInfo};

pub use lostwax_device_interp::device;

/// What schedules are made for. The interpreter does not benefit from them: these are the numbers of a small CPU.
const CAPS: Caps = Caps {
    vector_bytes: 32,
    vector_registers: 16,
    instructions: &[],
    memories: &[Memory { kind: MemoryKind::Core, bytes: 256 << 10 }],
    parallelism: 1,
    item_elements: 16 << 10,
    arguments: u32::MAX,
    binding_bytes: u64::MAX,
    workgroups: None,
    flops_per_ns: 0.01,
    bytes_per_ns: 0.1,
    dispatch_ns: 1000.0,
};

/// The interpreter as a target.
pub fn target() -> Box<dyn Target> {
    Box::new(Interp)
}

struct Interp;

impl Target for Interp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn doc(&self) -> &'static str {
        "kernels as text for the reference interpreter: runs anywhere, slowly"
    }

    fn variants(&self, specification: &str) -> Result<Vec<Variant>, EmitError> {
        if !specification.is_empty() {
            return Err(unsupported(format!("`{specification}`; it takes no specification")));
        }
        let (device, arch, name) = (NAME.into(), ARCHITECTURE.into(), "reference".into());
        let info = VariantInfo { device, arch, name, ..VariantInfo::default() };
        Ok(vec![Variant { info, caps: CAPS, only_for: &[] }])
    }

    fn emit(&self, _variant: &Variant, kernels: &[Kernel], options: &EmitOptions) -> Result<Emitted, EmitError> {
        let code = format::write(kernels);
        if let Some(kind) = options.outputs.iter().find(|kind| **kind != OutputKind::Listing) {
            return Err(unsupported(format!("output of the kind {kind:?}; its only kind is the listing")));
        }
        let outputs = options.outputs.iter().map(|kind| (*kind, code.clone())).collect();
        Ok(Emitted { code, outputs })
    }
}

fn unsupported(what: String) -> EmitError {
    EmitError::Unsupported { target: NAME.into(), what }
}
