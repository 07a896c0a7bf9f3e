//! Shaders: a kernel's module, checked, and written in every language.

use crate::fault::{Emit, Fault};
use crate::kernel::emit_kernel;
use lostwax_device_gpu::format::{Argument, ENTRY_POINT, Feature, Shader, WORKGROUP};
use lostwax_ir::kernel::Kernel;
use naga::back::{spv, wgsl};
use naga::compact::{KeepUnused, compact};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{EntryPoint, Module, ShaderStage};

const PRELUDE: &str = concat!(include_str!("prelude.wgsl"), "\n", include_str!("double.wgsl"));

/// The version of SPIR-V that all processors with Vulkan 1.1 take.
const SPIRV_VERSION: (u8, u8) = (1, 3);

/// The functions that kernels call.
pub(crate) fn prelude() -> Emit<Module> {
    naga::front::wgsl::parse_str(PRELUDE).map_err(|error| Fault::Generator(error.emit_to_string(PRELUDE)))
}

/// One kernel as a shader.
pub(crate) fn shader(prelude: &Module, kernel: &Kernel) -> Emit<Shader> {
    let module = assemble(prelude, kernel)?;
    let (info, features) = checked(&module)?;
    let wgsl = wgsl::write_string(&module, &info, wgsl::WriterFlags::empty()).map_err(generator)?;
    let spirv = spv::write_vec(&module, &info, &spirv_options(), None).map_err(generator)?;
    let argument = |decl: &lostwax_ir::kernel::BufferDecl| Argument { writable: decl.writable, element: decl.dtype.size() as u8 };
    Ok(Shader {
        name: kernel.name.clone(),
        symbols: kernel.symbols.len() as u32,
        threads: kernel.threads().unwrap_or(0),
        arguments: kernel.buffers.iter().map(argument).collect(),
        features,
        wgsl,
        spirv,
    })
}

fn generator(error: impl std::fmt::Display) -> Fault {
    Fault::Generator(error.to_string())
}

/// The module of a kernel, with what it uses and nothing else.
fn assemble(prelude: &Module, kernel: &Kernel) -> Emit<Module> {
    let (mut module, function) = emit_kernel(prelude.clone(), kernel)?;
    module.entry_points.push(EntryPoint {
        name: ENTRY_POINT.into(),
        stage: ShaderStage::Compute,
        early_depth_test: None,
        workgroup_size: [kernel.threads().unwrap_or(WORKGROUP), 1, 1],
        workgroup_size_overrides: None,
        function,
        mesh_info: None,
        task_payload: None,
        incoming_ray_payload: None,
    });
    validate(&module, &Feature::ALL)?;
    compact(&mut module, KeepUnused::No);
    Ok(module)
}

/// Checks a module that may use these features.
fn validate(module: &Module, features: &[Feature]) -> Emit<ModuleInfo> {
    let capability = |feature: &Feature| match feature {
        Feature::Int64 => Capabilities::SHADER_INT64,
        Feature::Float64 => Capabilities::FLOAT64,
    };
    let mut validator = Validator::new(ValidationFlags::all(), features.iter().map(capability).collect());
    validator.validate(module).map_err(|error| Fault::Generator(error.emit_to_string("")))
}

/// What the compiler of shaders knows of a module, and the fewest features that it needs.
fn checked(module: &Module) -> Emit<(ModuleInfo, Vec<Feature>)> {
    let subsets = [vec![], vec![Feature::Int64], vec![Feature::Float64]];
    let fewest = subsets.into_iter().find_map(|features| Some((validate(module, &features).ok()?, features)));
    fewest.map_or_else(|| Ok((validate(module, &Feature::ALL)?, Feature::ALL.to_vec())), Ok)
}

fn spirv_options() -> spv::Options<'static> {
    spv::Options {
        lang_version: SPIRV_VERSION,
        flags: spv::WriterFlags::empty(),
        force_loop_bounding: false,
        ..spv::Options::default()
    }
}
