//! Lists and selects the adapters of the machine.

use lostwax_target_api::{Adapter, Property, PropertyValue};
use pollster::block_on;
use wgpu::{Backends, DeviceType, Features, InstanceDescriptor};

/// The features that `describe` lists.
const FEATURES: &[(&str, Features)] = &[
    ("shader-int64", Features::SHADER_INT64),
    ("shader-f64", Features::SHADER_F64),
    ("shader-f16", Features::SHADER_F16),
    ("subgroups", Features::SUBGROUP),
    ("cooperative-matrix", Features::EXPERIMENTAL_COOPERATIVE_MATRIX),
    ("timestamp-query", Features::TIMESTAMP_QUERY),
    ("pipeline-cache", Features::PIPELINE_CACHE),
    ("passthrough-shaders", Features::PASSTHROUGH_SHADERS),
];

/// All adapters, the fastest kind first, and within a kind in the order of the system.
fn adapters() -> Vec<wgpu::Adapter> {
    let instance = wgpu::Instance::new(InstanceDescriptor::new_without_display_handle());
    let mut adapters = block_on(instance.enumerate_adapters(Backends::all()));
    adapters.sort_by_key(|adapter| rank(adapter.get_info().device_type));
    adapters
}

fn rank(kind: DeviceType) -> u8 {
    match kind {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    }
}

/// The adapter that a specification names: its position, or a part of its name in any case; the first if it is empty.
///
/// # Errors
/// What there is instead, in words.
pub(crate) fn find(specification: &str) -> Result<wgpu::Adapter, String> {
    let adapters = adapters();
    let names: Vec<String> = adapters.iter().map(|adapter| adapter.get_info().name).collect();
    let position = position(specification, &names).ok_or_else(|| describe_missing(specification, &names))?;
    adapters.into_iter().nth(position).ok_or_else(|| describe_missing(specification, &names))
}

fn position(specification: &str, names: &[String]) -> Option<usize> {
    let part = specification.to_lowercase();
    let index = if part.is_empty() { Some(0) } else { part.parse().ok() };
    let named = || names.iter().position(|name| name.to_lowercase().contains(&part));
    index.filter(|index| *index < names.len()).or_else(named)
}

fn describe_missing(specification: &str, names: &[String]) -> String {
    let known: Vec<String> = names.iter().enumerate().map(|(position, name)| format!("{position}, {name}")).collect();
    match known.is_empty() {
        true => "this machine has no GPU with a Vulkan driver, not even a software one".into(),
        false => format!("`{specification}` is none of: {}", known.join("; ")),
    }
}

/// All adapters, the fastest first.
pub(crate) fn describe() -> Vec<Adapter> {
    adapters().iter().enumerate().map(|(position, adapter)| describe_one(position, adapter)).collect()
}

fn describe_one(position: usize, adapter: &wgpu::Adapter) -> Adapter {
    let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
    let present = FEATURES.iter().filter(|(_, feature)| features.contains(*feature)).map(|(name, _)| *name);
    let text = PropertyValue::Text;
    let count = |number: u32| PropertyValue::Count(number.into());
    let properties = [
        ("backend", text(info.backend.to_string())),
        ("type", text(kind(info.device_type).into())),
        ("driver", text([info.driver, info.driver_info].join(" ").trim().into())),
        ("largest binding", PropertyValue::Bytes(limits.max_storage_buffer_binding_size)),
        ("largest buffer", PropertyValue::Bytes(limits.max_buffer_size)),
        ("storage buffers per stage", count(limits.max_storage_buffers_per_shader_stage)),
        ("workgroup memory", PropertyValue::Bytes(limits.max_compute_workgroup_storage_size.into())),
        ("invocations per workgroup", count(limits.max_compute_invocations_per_workgroup)),
        ("smallest subgroup", count(info.subgroup_min_size)),
        ("largest subgroup", count(info.subgroup_max_size)),
        ("features", PropertyValue::Names(present.collect())),
    ];
    let properties = properties.into_iter().map(|(name, value)| Property { name, value }).collect();
    Adapter { specification: position.to_string(), name: info.name, properties }
}

fn kind(kind: DeviceType) -> &'static str {
    match kind {
        DeviceType::DiscreteGpu => "discrete",
        DeviceType::IntegratedGpu => "integrated",
        DeviceType::VirtualGpu => "virtual",
        DeviceType::Cpu => "software",
        DeviceType::Other => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_are_chosen_by_position_or_name() {
        let names = ["Radeon RX 7900".to_string(), "GeForce 4090".to_string(), "llvmpipe".to_string()];
        let cases = [("", Some(0)), ("1", Some(1)), ("4090", Some(1)), ("LLVM", Some(2)), ("3", None), ("arc", None)];
        for (specification, expected) in cases {
            assert_eq!(position(specification, &names), expected, "{specification}");
        }
        assert_eq!(position("", &[]), None);
        assert!(describe_missing("arc", &names).ends_with("2, llvmpipe"));
    }
}
