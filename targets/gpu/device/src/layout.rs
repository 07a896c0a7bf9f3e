//! What bind groups are made of: layouts and entries.

use crate::gpu::Gpu;
use crate::memory::Memory;
use std::num::NonZeroU64;
use wgpu::{
    BindGroupEntry, BindGroupLayout, BindGroupLayoutDescriptor, BindGroupLayoutEntry, BindingResource, BindingType,
    BufferBinding, BufferBindingType, ShaderStages,
};

/// A layout of storage buffers, and behind them the parameters if there are any.
pub(crate) fn layout(gpu: &Gpu, bindings: usize, has_parameters: bool) -> BindGroupLayout {
    let entry = |(binding, ty)| BindGroupLayoutEntry {
        binding,
        visibility: ShaderStages::COMPUTE,
        ty: BindingType::Buffer { ty, has_dynamic_offset: ty == BufferBindingType::Uniform, min_binding_size: None },
        count: None,
    };
    let pieces = std::iter::repeat_n(BufferBindingType::Storage { read_only: false }, bindings);
    let entries: Vec<BindGroupLayoutEntry> =
        (0..).zip(pieces.chain(has_parameters.then_some(BufferBindingType::Uniform))).map(entry).collect();
    gpu.device.create_bind_group_layout(&BindGroupLayoutDescriptor { label: None, entries: &entries })
}

/// One entry of a bind group.
pub(crate) fn entry(binding: u32, memory: &Memory, offset: u64, size: u64) -> BindGroupEntry<'_> {
    let resource = BindingResource::Buffer(BufferBinding { buffer: &memory.buffer, offset, size: NonZeroU64::new(size) });
    BindGroupEntry { binding, resource }
}
