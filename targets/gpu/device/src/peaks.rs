//! The peak of the GPU, measured with two small shaders.

use crate::errors::{lost, unsupported};
use crate::gpu::Gpu;
use crate::layout::entry;
use crate::memory::{Memory, Use};
use lostwax_target_api::{DeviceError, Peaks};
use std::time::{Duration, Instant};
use wgpu::{
    BindGroup, BindGroupDescriptor, CommandEncoderDescriptor, ComputePassDescriptor, ComputePipeline, ComputePipelineDescriptor,
    ShaderModuleDescriptor, ShaderSource,
};

const SHADERS: &str = include_str!("peaks.wgsl");

/// Bytes that are copied if bindings may be that large: more than caches hold.
const BYTES: u64 = 128 << 20;

/// Workgroups of 64 invocations: enough to keep large GPUs busy.
const WORKGROUPS: u32 = 8192;

/// Operations of one invocation of `multiply_add`: two for each element of four vectors in each of its steps.
const OPERATIONS: f64 = 512.0 * 16.0 * 2.0;

/// The least time of one measurement, so that submission does not count.
const SPAN: Duration = Duration::from_millis(50);

/// The most dispatches of one measurement.
const MOST_DISPATCHES: usize = 1 << 12;

/// The number of measurements; the best counts.
const ROUNDS: usize = 3;

/// Measures f32 multiply-adds and copies in GPU memory.
pub(crate) fn measure(gpu: &Gpu) -> Result<Peaks, DeviceError> {
    let bytes = BYTES.min(gpu.limits.max_storage_buffer_binding_size & !255).min((gpu.limits.max_buffer_size / 2) & !255);
    let memory = || Memory::new(gpu, Use::storage("measured copies"), bytes);
    let (first, second) = (memory()?, memory()?);
    let rate = |entry_point, work| Shader::new(gpu, entry_point, [&first, &second], bytes)?.rate(work);
    Ok(Peaks {
        bytes_per_second: rate("copy", bytes as f64 * 2.0)?,
        flops_per_second: rate("multiply_add", OPERATIONS * f64::from(WORKGROUPS) * 64.0)?,
    })
}

/// One of the shaders, ready to run.
struct Shader<'a> {
    gpu: &'a Gpu,
    pipeline: ComputePipeline,
    binding: BindGroup,
}

impl<'a> Shader<'a> {
    fn new(gpu: &'a Gpu, entry_point: &str, buffers: [&Memory; 2], bytes: u64) -> Result<Self, DeviceError> {
        let refused = |problem: String| unsupported(format!("measuring it: {problem}"));
        let (pipeline, binding) = gpu.guarded(refused, || {
            let source = ShaderSource::Wgsl(SHADERS.into());
            let module = gpu.device.create_shader_module(ShaderModuleDescriptor { label: None, source });
            let pipeline = gpu.device.create_compute_pipeline(&ComputePipelineDescriptor {
                label: Some(entry_point),
                layout: None,
                module: &module,
                entry_point: Some(entry_point),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            });
            let entries = [entry(0, buffers[0], 0, bytes), entry(1, buffers[1], 0, bytes)];
            let layout = &pipeline.get_bind_group_layout(0);
            let binding = gpu.device.create_bind_group(&BindGroupDescriptor { label: None, layout, entries: &entries });
            (pipeline, binding)
        })?;
        Ok(Self { gpu, pipeline, binding })
    }

    /// The seconds that a number of dispatches takes.
    fn seconds(&self, dispatches: usize) -> Result<f64, DeviceError> {
        let start = Instant::now();
        self.gpu.guarded(lost, || {
            let mut encoder = self.gpu.device.create_command_encoder(&CommandEncoderDescriptor::default());
            let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, &self.binding, &[]);
            (0..dispatches).for_each(|_| pass.dispatch_workgroups(WORKGROUPS, 1, 1));
            drop(pass);
            self.gpu.queue.submit([encoder.finish()]);
        })?;
        self.gpu.finish()?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Units of work per second, given those of one dispatch.
    fn rate(&self, work: f64) -> Result<f64, DeviceError> {
        let mut dispatches = 1;
        while self.seconds(dispatches)? < SPAN.as_secs_f64() && dispatches < MOST_DISPATCHES {
            dispatches *= 2;
        }
        let mut least = f64::INFINITY;
        for _ in 0..ROUNDS {
            least = least.min(self.seconds(dispatches)?);
        }
        Ok(work * dispatches as f64 / least.max(f64::MIN_POSITIVE))
    }
}
