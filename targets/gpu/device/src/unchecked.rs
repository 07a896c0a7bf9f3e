//! What wgpu gets without its own checks: shaders and kept pipelines. The only unsafe module of this crate.
#![allow(unsafe_code)]

use crate::format::Language;
use wgpu::{
    Backend, Device, Features, PassthroughShaderEntryPoint, PipelineCache, PipelineCacheDescriptor, ShaderModule,
    ShaderModuleDescriptor, ShaderModuleDescriptorPassthrough, ShaderRuntimeChecks, ShaderSource,
};

/// Environment variables of which one says that someone cares which device Mesa's layer puts first.
const CARES: &[&str] = &["XDG_RUNTIME_DIR", "NODEVICE_SELECT", "MESA_VK_DEVICE_SELECT", "DRI_PRIME"];

/// Leaves out Mesa's layer that asks the compositor for its device, where there is no compositor to ask: it complains on stderr about
/// that. Does nothing in a process that has other threads.
pub(crate) fn leave_out_device_select() {
    let is_alone = std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1);
    if is_alone && CARES.iter().all(|name| std::env::var_os(name).is_none()) {
        // SAFETY: this is the only thread of the process, so that nothing else reads or writes the environment.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

/// The first version of Vulkan whose drivers all take [`crate::format::SPIRV_VERSION`], as Vulkan encodes it.
const VULKAN_1_1: u32 = 1 << 22 | 1 << 12;

/// Whether a GPU takes SPIR-V as code bytes hold it.
pub(crate) fn takes_spirv(device: &Device) -> bool {
    let is_passed_through = device.features().contains(Features::PASSTHROUGH_SHADERS);
    is_passed_through && device.adapter_info().backend == Backend::Vulkan && vulkan_version(device) >= VULKAN_1_1
}

/// 0 where there is no Vulkan.
#[cfg(not(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn vulkan_version(_: &Device) -> u32 {
    0
}

/// 0 where there is no Vulkan.
#[cfg(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn vulkan_version(device: &Device) -> u32 {
    // SAFETY: the device is only asked for its version, and nothing of it is kept or destroyed.
    let Some(device) = (unsafe { device.as_hal::<wgpu::hal::api::Vulkan>() }) else { return 0 };
    let instance = device.shared_instance();
    // SAFETY: the physical device is one of the instance, which lives as long as the device.
    let properties = unsafe { instance.raw_instance().get_physical_device_properties(device.raw_physical_device()) };
    properties.api_version.min(instance.instance_api_version())
}

/// A shader in SPIR-V, which [`crate::spirv::read`] has read, as the driver gets it.
pub(crate) fn spirv_module(device: &Device, name: &str, words: &[u32], invocations: u32) -> ShaderModule {
    let entry_point = Language::Spirv.entry_point().into();
    let entry_points = [PassthroughShaderEntryPoint { name: entry_point, workgroup_size: (invocations, 1, 1) }];
    let descriptor = ShaderModuleDescriptorPassthrough {
        label: Some(name),
        entry_points: entry_points.as_slice().into(),
        spirv: Some(words.into()),
        ..Default::default()
    };
    // SAFETY: the words are whole instructions with the entry point and workgroup that are named. That they are what the compiler
    // wrote, which naga has checked, is the contract of artifacts, as with native code.
    unsafe { device.create_shader_module_passthrough(descriptor) }
}

/// A shader in WGSL, which wgpu checks and compiles with bounds on every access.
pub(crate) fn wgsl_module(device: &Device, name: &str, text: &str) -> ShaderModule {
    let checks = ShaderRuntimeChecks { force_loop_bounding: false, ..ShaderRuntimeChecks::checked() };
    let descriptor = ShaderModuleDescriptor { label: Some(name), source: ShaderSource::Wgsl(text.into()) };
    // SAFETY: all loops of kernels are counted, so that none goes on without end; that the text is what the compiler wrote is the
    // contract of artifacts. All other checks are made.
    unsafe { device.create_shader_module_trusted(descriptor, checks) }
}

/// A cache of pipelines that begins with what one like it held, or empty.
pub(crate) fn pipeline_cache(device: &Device, data: Option<&[u8]>) -> PipelineCache {
    // SAFETY: the data is what a cache gave and a checksum finds unchanged; wgpu and the driver check that it belongs to such a GPU.
    unsafe { device.create_pipeline_cache(&PipelineCacheDescriptor { label: Some("lostwax"), data, fallback: true }) }
}
