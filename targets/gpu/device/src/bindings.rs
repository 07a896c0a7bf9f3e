//! Bind groups, which bind the memory of a dispatch to its kernel, kept from run to run.

use crate::errors::invalid;
use crate::gpu::Gpu;
use crate::layout::entry;
use crate::memory::Memory;
use crate::program::Kernel;
use crate::space::{BindingRange, Space};
use lostwax_target_api::DeviceError;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use wgpu::{BindGroup, BindGroupDescriptor};

/// The number of bindings that are kept beyond those of the last plan.
const SPARE: usize = 1024;

/// Bind groups by the ranges that they bind, as long as allocations stay where they are.
#[derive(Default)]
pub(crate) struct Bindings {
    kept: HashMap<Box<[BindingRange]>, Kept>,
    /// The tensors that stay on the device and are bound, by identity.
    tensors: HashMap<u64, Weak<u64>>,
    /// The number of the plan that is being made.
    plan: u64,
}

struct Kept {
    binding: BindGroup,
    /// The plan that used it last.
    plan: u64,
}

impl Bindings {
    /// Forgets all: allocations have moved.
    pub(crate) fn clear(&mut self) {
        self.kept.clear();
        self.tensors.clear();
    }

    /// Forgets the bindings of dropped tensors, so that their memory is free.
    pub(crate) fn forget_dropped(&mut self) {
        let Self { kept, tensors, .. } = self;
        let before = tensors.len();
        tensors.retain(|_, tensor| tensor.strong_count() > 0);
        if tensors.len() < before {
            kept.retain(|ranges, _| ranges.iter().all(|range| range.tensor == 0 || tensors.contains_key(&range.tensor)));
        }
    }

    /// Begins a plan. Forgets dropped tensors and, if they are many, bindings that the last plan did not use.
    pub(crate) fn begin(&mut self) {
        self.forget_dropped();
        let last = self.plan;
        let used = self.kept.values().filter(|kept| kept.plan == last).count();
        if self.kept.len() > used.saturating_add(SPARE) {
            self.kept.retain(|_, kept| kept.plan == last);
        }
        self.plan += 1;
    }

    /// The binding of these ranges, in the order of arguments, and of a slot of the parameters, whose offset each dispatch gives.
    pub(crate) fn get(
        &mut self,
        gpu: &Gpu,
        kernel: &Kernel,
        ranges: &[BindingRange],
        space: &Space,
        (parameters, slot): (&Memory, u64),
    ) -> Result<BindGroup, DeviceError> {
        if let Some(kept) = self.kept.get_mut(ranges) {
            kept.plan = self.plan;
            return Ok(kept.binding.clone());
        }
        let mut entries = Vec::with_capacity(ranges.len() + 1);
        for (binding, range) in (0..).zip(ranges) {
            let missing = || invalid(format!("there is not of type {:?}", range.region));
            entries.push(entry(binding, space.memory(range.region).ok_or_else(missing)?, range.start, range.size));
        }
        entries.push(entry(ranges.len() as u32, parameters, 0, slot));
        let descriptor = BindGroupDescriptor { label: None, layout: &kernel.layout, entries: &entries };
        let binding = gpu.guarded(invalid, || gpu.device.create_bind_group(&descriptor))?;
        let identities = ranges.iter().filter_map(|range| space.identity(range.region));
        self.tensors.extend(identities.map(|identity| (**identity, Arc::downgrade(identity))));
        self.kept.insert(ranges.into(), Kept { binding: binding.clone(), plan: self.plan });
        Ok(binding)
    }
}
