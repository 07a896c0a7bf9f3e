//! The languages that shaders are written in, each through the writer that naga has for it.

use crate::fault::{Emit, Fault};
use lostwax_device_gpu::format::{Feature, Language, METAL_VERSION, SPIRV_VERSION};
use naga::back::{hlsl, msl, spv, wgsl};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::ModuleInfo;
use naga::{AddressSpace, Module, ResourceBinding};

/// The model of shaders that Direct3D 12 began with, which has integers of 64 bits.
const SHADER_MODEL: hlsl::ShaderModel = hlsl::ShaderModel::V6_0;

/// A module that was checked.
pub(crate) struct Checked {
    pub(crate) module: Module,
    pub(crate) info: ModuleInfo,
    /// The fewest features that it needs.
    pub(crate) features: Vec<Feature>,
}

/// A language that shaders are written in.
pub(crate) struct Writer {
    /// The name for messages.
    pub(crate) name: &'static str,
    /// The language in code bytes, if they hold it.
    pub(crate) stored: Option<Language>,
    /// Whether listings show it.
    pub(crate) is_listed: bool,
    /// What it cannot express in the version that is written.
    lacks: &'static [Feature],
    write: fn(&Checked) -> Emit<Vec<u8>>,
}

/// All languages.
pub(crate) const WRITERS: [Writer; 4] = [
    Writer { name: Language::Wgsl.name(), stored: Some(Language::Wgsl), is_listed: true, lacks: &[], write: write_wgsl },
    Writer {
        name: Language::Spirv.name(),
        stored: Some(Language::Spirv),
        is_listed: false,
        lacks: &[Feature::PackedDots],
        write: write_spirv,
    },
    Writer {
        name: Language::Msl.name(),
        stored: Some(Language::Msl),
        is_listed: true,
        lacks: &[Feature::Float64, Feature::PackedDots],
        write: write_msl,
    },
    Writer { name: "HLSL", stored: None, is_listed: true, lacks: &[Feature::Float16, Feature::PackedDots], write: write_hlsl },
];

/// Those of the features that a language of code bytes cannot express.
pub(crate) fn missing(language: Language, features: &[Feature]) -> Vec<Feature> {
    let writer = WRITERS.iter().find(|writer| writer.stored == Some(language));
    let lacks = writer.map_or(&[][..], |writer| writer.lacks);
    features.iter().copied().filter(|feature| lacks.contains(feature)).collect()
}

impl Writer {
    /// The shader in this language, or the feature that it needs and the language lacks.
    pub(crate) fn write(&self, shader: &Checked) -> Emit<Result<Vec<u8>, Feature>> {
        match self.lacks.iter().find(|feature| shader.features.contains(feature)) {
            Some(feature) => Ok(Err(*feature)),
            None => (self.write)(shader).map(Ok),
        }
    }
}

fn generator(error: impl std::fmt::Display) -> Fault {
    Fault::Generator(error.to_string())
}

fn write_wgsl(shader: &Checked) -> Emit<Vec<u8>> {
    let text = wgsl::write_string(&shader.module, &shader.info, wgsl::WriterFlags::empty()).map_err(generator)?;
    Ok(text.into_bytes())
}

fn write_spirv(shader: &Checked) -> Emit<Vec<u8>> {
    let options = spv::Options {
        lang_version: SPIRV_VERSION,
        flags: spv::WriterFlags::empty(),
        force_loop_bounding: false,
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        ..spv::Options::default()
    };
    let words = spv::write_vec(&shader.module, &shader.info, &options, None).map_err(generator)?;
    Ok(words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

/// Metal does not check accesses, so the shader does.
fn write_msl(shader: &Checked) -> Emit<Vec<u8>> {
    let checked = BoundsCheckPolicy::Restrict;
    let mut options = msl::Options {
        lang_version: METAL_VERSION,
        fake_missing_bindings: false,
        bounds_check_policies: BoundsCheckPolicies { index: checked, buffer: checked, ..Default::default() },
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: false,
        ..msl::Options::default()
    };
    for entry_point in &shader.module.entry_points {
        options.per_entry_point_map.insert(entry_point.name.clone(), metal_slots(&shader.module)?);
    }
    let pipeline = msl::PipelineOptions::default();
    let (text, info) = msl::write_string(&shader.module, &shader.info, &options, &pipeline).map_err(generator)?;
    for name in info.entry_point_names {
        let name = name.map_err(generator)?;
        if name != Language::Msl.entry_point() {
            return Err(Fault::Generator(format!("the entry point is called `{name}`")));
        }
    }
    Ok(text.into_bytes())
}

/// The slot of each binding, and of the sizes after the last.
fn metal_slots(module: &Module) -> Emit<msl::EntryPointResources> {
    let mut slots = msl::EntryPointResources::default();
    for (binding, space) in bindings(module) {
        let mutable = matches!(space, AddressSpace::Storage { .. });
        let target = msl::BindTarget { buffer: Some(slot(binding.binding)?), mutable, ..msl::BindTarget::default() };
        slots.resources.insert(binding, target);
    }
    slots.sizes_buffer = Some(slot(after(module))?);
    Ok(slots)
}

fn slot(binding: u32) -> Emit<u8> {
    u8::try_from(binding).map_err(|_| Fault::Unsupported(format!("{binding} buffers; there are at most {}", u8::MAX)))
}

/// Registers are bindings; the number of workgroups, which Direct3D does not give to shaders, has the one after the last.
fn write_hlsl(shader: &Checked) -> Emit<Vec<u8>> {
    let target = |register| hlsl::BindTarget { register, ..hlsl::BindTarget::default() };
    let options = hlsl::Options {
        shader_model: SHADER_MODEL,
        binding_map: bindings(&shader.module).map(|(binding, _)| (binding, target(binding.binding))).collect(),
        fake_missing_bindings: false,
        special_constants_binding: Some(target(after(&shader.module))),
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: false,
        ..hlsl::Options::default()
    };
    let (mut text, pipeline) = (String::new(), hlsl::PipelineOptions::default());
    let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(&shader.module, &shader.info, None);
    for name in written.map_err(generator)?.entry_point_names {
        name.map_err(generator)?;
    }
    Ok(text.into_bytes())
}

fn bindings(module: &Module) -> impl Iterator<Item = (ResourceBinding, AddressSpace)> {
    module.global_variables.iter().filter_map(|(_, variable)| Some((variable.binding?, variable.space)))
}

/// The first binding after all.
fn after(module: &Module) -> u32 {
    bindings(module).map(|(binding, _)| binding.binding.saturating_add(1)).max().unwrap_or(0)
}
