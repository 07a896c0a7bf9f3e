//! Shaders: a kernel's module, checked, and written in every language.

use crate::fault::{Emit, Fault};
use crate::kernel::emit_kernel;
use crate::language::{Checked, WRITERS};
use crate::survey::{Accesses, QUAD};
use lostwax_device_gpu::format::{Argument, Feature, Language, Shader, ShaderVariant, WORKGROUP};
use lostwax_ir::kernel::{BufferDecl, Kernel};
use naga::compact::{KeepUnused, compact};
use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, EntryPoint, Expression, Function, MathFunction, Module, ShaderStage};
use std::collections::BTreeMap;

const PRELUDE: &str = concat!(include_str!("prelude.wgsl"), "\n", include_str!("double.wgsl"));

/// The functions that kernels call.
pub(crate) fn prelude() -> Emit<Module> {
    naga::front::wgsl::parse_str(PRELUDE).map_err(|error| Fault::Generator(error.emit_to_string(PRELUDE)))
}

/// One kernel as a shader, in every language that can express it.
pub(crate) struct Written {
    pub(crate) shader: Shader,
    /// The listings, each with its title.
    pub(crate) listings: Vec<(String, String)>,
}

/// Features that make kernels faster, but that they can do without.
const OPTIONAL: [Feature; 3] = [Feature::Float16, Feature::Subgroups, Feature::PackedDots];

/// Writes a kernel, with listings if they are asked for.
pub(crate) fn write(prelude: &Module, kernel: &Kernel, is_listed: bool) -> Emit<Written> {
    let with = |optional: &[Feature]| check(assemble(prelude, kernel, optional)?);
    let richest = with(&OPTIONAL)?;
    let mut choices = choices(&richest.features).into_iter();
    let first = choices.next().map(|optional| (optional, Ok(richest)));
    let (mut variants, mut listings) = (Vec::new(), Vec::new());
    for (optional, checked) in first.into_iter().chain(choices.map(|optional| (optional.clone(), with(&optional)))) {
        let checked = checked?;
        variants.push(variant(&checked)?);
        if is_listed {
            listings.extend(list(&checked, &optional)?);
        }
    }
    Ok(Written { shader: shader(kernel, variants)?, listings })
}

/// All subsets of the optional features that a kernel uses if it may use all, the largest first.
fn choices(used: &[Feature]) -> Vec<Vec<Feature>> {
    let useful: Vec<Feature> = OPTIONAL.into_iter().filter(|feature| used.contains(feature)).collect();
    let choice = |bits: usize| (0..).zip(&useful).filter(|(at, _)| bits >> at & 1 == 1).map(|(_, feature)| *feature).collect();
    let mut choices: Vec<Vec<Feature>> = (0..1 << useful.len()).map(choice).collect();
    choices.sort_by_key(|choice| useful.len() - choice.len());
    choices
}

fn variant(checked: &Checked) -> Emit<ShaderVariant> {
    let mut sources = BTreeMap::new();
    for writer in &WRITERS {
        if let (Some(language), Ok(source)) = (writer.stored, writer.write(checked)?) {
            sources.insert(language, source);
        }
    }
    Ok(ShaderVariant { features: checked.features.clone(), shared: shared(&checked.module)?, sources })
}

/// The listings of a variant. Languages that lack an optional feature have only the variants without it.
fn list(checked: &Checked, optional: &[Feature]) -> Emit<Vec<(String, String)>> {
    let with: Vec<&str> = optional.iter().map(|feature| feature.name()).collect();
    let with = if with.is_empty() { String::new() } else { format!(", with {}", with.join(" and ")) };
    let mut listings = Vec::new();
    for writer in WRITERS.iter().filter(|writer| writer.is_listed) {
        let text = match writer.write(checked)? {
            Ok(source) => String::from_utf8_lossy(&source).into_owned(),
            Err(feature) if optional.contains(&feature) => continue,
            Err(feature) => format!("// It needs {}, which {} lacks.\n", feature.name(), writer.name),
        };
        listings.push((format!("{}{with}", writer.name), text));
    }
    Ok(listings)
}

fn shader(kernel: &Kernel, variants: Vec<ShaderVariant>) -> Emit<Shader> {
    let argument = |(decl, quads): (&BufferDecl, bool)| {
        let pieces =
            u8::try_from(decl.pieces).map_err(|_| Fault::Unsupported(format!("{} pieces of one tensor", decl.pieces)))?;
        let element = decl.dtype.size() as u8;
        let alignment = if quads { element * QUAD as u8 } else { element };
        Ok(Argument { writable: decl.writable, element, alignment, pieces })
    };
    Ok(Shader {
        name: kernel.name.clone(),
        symbols: kernel.symbols.len() as u32,
        threads: kernel.threads().unwrap_or(0),
        arguments: kernel.buffers.iter().zip(Accesses::of(kernel).quad_buffers).map(argument).collect::<Emit<_>>()?,
        variants,
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
fn assemble(prelude: &Module, kernel: &Kernel, optional: &[Feature]) -> Emit<Module> {
    let (mut module, mut function) = emit_kernel(prelude.clone(), kernel, optional)?;
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
        Feature::Float16 => Capabilities::SHADER_FLOAT16,
        Feature::Subgroups => Capabilities::SUBGROUP,
        Feature::PackedDots => Capabilities::empty(),
    };
    let mut validator = Validator::new(ValidationFlags::all(), features.iter().map(capability).collect());
    validator.subgroup_stages(ShaderStages::COMPUTE).subgroup_operations(SubgroupOperationSet::all());
    validator.validate(module).map_err(|error| Fault::Generator(error.emit_to_string("")))
}

/// Checks a module and finds the features that it needs.
fn check(module: Module) -> Emit<Checked> {
    let packed = has_packed_dots(&module).then_some(Feature::PackedDots);
    if let Ok(info) = validate(&module, &[]) {
        return Ok(Checked { module, info, features: packed.into_iter().collect() });
    }
    let info = validate(&module, &Feature::ALL)?;
    let is_needed = |feature: &Feature| {
        let others: Vec<Feature> = Feature::ALL.into_iter().filter(|other| other != feature).collect();
        validate(&module, &others).is_err()
    };
    let features = Feature::ALL.into_iter().filter(is_needed).chain(packed).collect();
    Ok(Checked { module, info, features })
}

fn has_packed_dots(module: &Module) -> bool {
    let is_packed = |expression: &Expression| matches!(expression, Expression::Math { fun: MathFunction::Dot4I8Packed, .. });
    module.functions.iter().any(|(_, function)| function.expressions.iter().any(|(_, expression)| is_packed(expression)))
}
