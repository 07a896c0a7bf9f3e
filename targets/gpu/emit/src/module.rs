//! Shaders: a kernel's module, checked, and written in every language.

use crate::fault::{Emit, Fault};
use crate::kernel::emit_kernel;
use crate::language::{Checked, WRITERS};
use lostwax_device_gpu::format::{Argument, Feature, Language, Shader, WORKGROUP};
use lostwax_ir::kernel::{BufferDecl, Kernel};
use naga::compact::{KeepUnused, compact};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, EntryPoint, Expression, Function, Module, ShaderStage};
use std::collections::BTreeMap;

const PRELUDE: &str = concat!(include_str!("prelude.wgsl"), "\n", include_str!("double.wgsl"));

/// The functions that kernels call.
pub(crate) fn prelude() -> Emit<Module> {
    naga::front::wgsl::parse_str(PRELUDE).map_err(|error| Fault::Generator(error.emit_to_string(PRELUDE)))
}

/// One kernel as a shader, in every language that can express it.
pub(crate) struct Written {
    pub(crate) shader: Shader,
    /// What people read, in each language.
    pub(crate) listings: Vec<(&'static str, String)>,
}

/// Writes a kernel; what only people read is left out unless it is asked for.
pub(crate) fn write(prelude: &Module, kernel: &Kernel, is_listed: bool) -> Emit<Written> {
    let checked = check(assemble(prelude, kernel)?)?;
    let (mut sources, mut listings) = (BTreeMap::new(), Vec::new());
    for writer in WRITERS.iter().filter(|writer| writer.stored.is_some() || is_listed) {
        let written = writer.write(&checked)?;
        if let (true, true) = (is_listed, writer.is_listed) {
            let missing = |feature: &Feature| format!("// It takes {}, which {} has not.\n", feature.name(), writer.name);
            let text = written.as_ref().map_or_else(missing, |source| String::from_utf8_lossy(source).into_owned());
            listings.push((writer.name, text));
        }
        if let (Some(language), Ok(source)) = (writer.stored, written) {
            sources.insert(language, source);
        }
    }
    Ok(Written { shader: shader(kernel, &checked, sources)?, listings })
}

fn shader(kernel: &Kernel, checked: &Checked, sources: BTreeMap<Language, Vec<u8>>) -> Emit<Shader> {
    let argument = |decl: &BufferDecl| {
        let pieces =
            u8::try_from(decl.pieces).map_err(|_| Fault::Unsupported(format!("{} pieces of one tensor", decl.pieces)))?;
        Ok(Argument { writable: decl.writable, element: decl.dtype.size() as u8, pieces })
    };
    Ok(Shader {
        name: kernel.name.clone(),
        symbols: kernel.symbols.len() as u32,
        threads: kernel.threads().unwrap_or(0),
        arguments: kernel.buffers.iter().map(argument).collect::<Emit<_>>()?,
        features: checked.features.clone(),
        shared: shared(&checked.module)?,
        sources,
    })
}

/// The bytes of each array that invocations share, up to a multiple of 16, as implementations count them.
fn shared(module: &Module) -> Emit<Vec<u32>> {
    let shared = module.global_variables.iter().filter(|(_, variable)| variable.space == AddressSpace::WorkGroup);
    let bytes = shared.map(|(_, variable)| {
        let ty = module.types.get_handle(variable.ty).ok()?;
        ty.inner.try_size(module.to_ctx())?.checked_next_multiple_of(16)
    });
    bytes.collect::<Option<_>>().ok_or_else(|| Fault::Unsupported("as much shared memory".into()))
}

/// The module of a kernel, with what it uses and nothing else.
fn assemble(prelude: &Module, kernel: &Kernel) -> Emit<Module> {
    let (mut module, mut function) = emit_kernel(prelude.clone(), kernel)?;
    keep_arguments(&module, &mut function);
    module.entry_points.push(EntryPoint {
        name: Language::Wgsl.entry_point().into(),
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

/// Keeps arguments that nothing uses, since others are counted with them. What has a name is kept.
fn keep_arguments(module: &Module, function: &mut Function) {
    let is_argument = |expression: &Expression| match expression {
        Expression::GlobalVariable(variable) => module.global_variables.try_get(*variable).is_ok_and(|it| it.binding.is_some()),
        _ => false,
    };
    let arguments = function.expressions.iter().filter(|(_, expression)| is_argument(expression));
    let named: Vec<_> = arguments.map(|(handle, _)| (handle, "argument".to_string())).collect();
    function.named_expressions.extend(named);
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

/// Checks a module and finds the fewest features that it needs.
fn check(module: Module) -> Emit<Checked> {
    let subsets = [vec![], vec![Feature::Int64], vec![Feature::Float64]];
    let fewest = subsets.into_iter().find_map(|features| Some((validate(&module, &features).ok()?, features)));
    let (info, features) = fewest.map_or_else(|| Ok((validate(&module, &Feature::ALL)?, Feature::ALL.to_vec())), Ok)?;
    Ok(Checked { module, info, features })
}
