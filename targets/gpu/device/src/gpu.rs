//! An open GPU, and what it reports.

use crate::cache::CacheFile;
use crate::errors::{invalid_code, lost, out_of_memory};
use crate::format::{Feature, Limits as Amounts};
use crate::unchecked::{pipeline_cache, takes_spirv};
use lostwax_target_api::DeviceError;
use pollster::block_on;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use wgpu::{
    Buffer, BufferDescriptor, BufferUsages, CommandEncoder, CommandEncoderDescriptor, ErrorFilter, Features, Limits, MapMode,
    PipelineCache, PollType,
};

/// The features that are requested where an adapter has them.
const WANTED: Features = Features::SHADER_INT64
    .union(Features::SHADER_F64)
    .union(Features::SHADER_F16)
    .union(Features::SUBGROUP)
    .union(Features::TIMESTAMP_QUERY)
    .union(Features::PASSTHROUGH_SHADERS)
    .union(Features::PIPELINE_CACHE);

/// A GPU that the caller has opened.
#[derive(Clone, Debug)]
pub struct Handles {
    /// The device.
    pub device: wgpu::Device,
    /// Its queue.
    pub queue: wgpu::Queue,
    /// Where pipelines are looked up and put, if the driver does not do so itself; reading and keeping it is up to the caller.
    pub pipeline_cache: Option<PipelineCache>,
}

impl From<(wgpu::Device, wgpu::Queue)> for Handles {
    fn from((device, queue): (wgpu::Device, wgpu::Queue)) -> Self {
        Self { device, queue, pipeline_cache: None }
    }
}

/// An open GPU.
pub(crate) struct Gpu {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    pub(crate) pipeline_cache: Option<PipelineCache>,
    /// Where the pipelines are kept between processes.
    cache_file: Option<CacheFile>,
    pub(crate) limits: Limits,
    /// Whether shaders in SPIR-V are handed over as they are.
    pub(crate) takes_spirv: bool,
    features: Features,
    description: String,
    /// Why the GPU was lost, once the driver has reported it.
    lost: Arc<Mutex<Option<String>>>,
    /// A few bytes that can be mapped until the GPU is lost.
    probe: Mutex<Buffer>,
}

impl Gpu {
    /// Opens an adapter.
    ///
    /// # Errors
    /// Why it cannot be opened, in words.
    pub(crate) fn open(adapter: &wgpu::Adapter) -> Result<Self, String> {
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("lostwax"),
            required_features: adapter.features() & WANTED,
            required_limits: adapter.limits(),
            ..Default::default()
        };
        let opened = block_on(adapter.request_device(&descriptor));
        let mut gpu = Self::of(opened.map_err(|error| format!("{}: {error}", adapter.get_info().name))?.into());
        let answer = Arc::clone(&gpu.lost);
        gpu.device.set_device_lost_callback(move |reason, message| {
            *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{reason:?} {message}").trim().into());
        });
        let uncaught = Arc::clone(&gpu.lost);
        gpu.device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            uncaught.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error.to_string());
        }));
        if gpu.features.contains(Features::PIPELINE_CACHE)
            && let Some((file, content)) = CacheFile::find(&adapter.get_info())
        {
            gpu.pipeline_cache = gpu.cache(content.as_deref());
            gpu.cache_file = Some(file);
        }
        Ok(gpu)
    }

    /// A cache of pipelines that begins with what was kept; empty if that belongs to another GPU or driver.
    fn cache(&self, content: Option<&[u8]>) -> Option<PipelineCache> {
        let make = |content: Option<&[u8]>| self.guarded(invalid_code, || pipeline_cache(&self.device, content)).ok();
        content.and_then(|content| make(Some(content))).or_else(|| make(None))
    }

    /// Keeps new pipelines for other processes, if the user has named a folder for them.
    ///
    /// # Errors
    /// [`DeviceError::Inaccessible`] if the folder cannot be written.
    pub(crate) fn keep_pipelines(&self) -> Result<(), DeviceError> {
        let both = self.cache_file.as_ref().zip(self.pipeline_cache.as_ref());
        both.map_or(Ok(()), |(file, cache)| file.keep(cache))
    }

    /// The GPU of the caller, whose callbacks stay.
    pub(crate) fn of(handles: Handles) -> Self {
        let Handles { device, queue, pipeline_cache } = handles;
        let (info, limits, features) = (device.adapter_info(), device.limits(), device.features());
        let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let probe = device.create_buffer(&BufferDescriptor { label: None, size: 4, usage, mapped_at_creation: false });
        let description = format!("{} ({:?}, {:?})", info.name, info.device_type, info.backend);
        let (lost, probe) = (Arc::default(), Mutex::new(probe));
        let takes_spirv = takes_spirv(&device);
        Self { device, queue, pipeline_cache, cache_file: None, limits, takes_spirv, features, description, lost, probe }
    }

    /// Whether it can time single dispatches.
    pub(crate) fn has_clock(&self) -> bool {
        self.features.contains(Features::TIMESTAMP_QUERY)
    }

    /// Whether shaders may use a feature.
    pub(crate) fn has(&self, feature: Feature) -> bool {
        self.features.contains(match feature {
            Feature::Int64 => Features::SHADER_INT64,
            Feature::Float64 => Features::SHADER_F64,
            Feature::Float16 => Features::SHADER_F16,
            Feature::Subgroups => Features::SUBGROUP,
            // The shading language has them everywhere, and each backend the best there is.
            Feature::PackedDots => Features::empty(),
        })
    }

    /// The limits of shaders.
    pub(crate) fn available(&self) -> Amounts {
        let limits = &self.limits;
        Amounts {
            storage_buffers: limits.max_storage_buffers_per_shader_stage.into(),
            binding_bytes: limits.max_storage_buffer_binding_size,
            buffer_bytes: limits.max_buffer_size,
            workgroup_bytes: limits.max_compute_workgroup_storage_size.into(),
            invocations: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x).into(),
            workgroups: limits.max_compute_workgroups_per_dimension.into(),
        }
    }

    /// The name for messages.
    pub(crate) fn description(&self) -> &str {
        &self.description
    }

    /// Calls wgpu; `refused` makes an error of a validation error.
    pub(crate) fn guarded<T>(
        &self,
        refused: impl FnOnce(String) -> DeviceError,
        action: impl FnOnce() -> T,
    ) -> Result<T, DeviceError> {
        let (result, [invalid, memory, internal]) = self.scoped(action);
        match (memory, internal, invalid) {
            (Some(problem), _, _) => Err(out_of_memory(problem)),
            (_, internal, invalid) => {
                self.alive()?;
                match (internal, invalid) {
                    (Some(problem), _) => Err(lost(problem)),
                    (_, Some(problem)) => Err(refused(problem)),
                    (None, None) => Ok(result),
                }
            }
        }
    }

    /// Submits commands; `refused` makes an error of a validation error.
    pub(crate) fn submit(
        &self,
        refused: impl FnOnce(String) -> DeviceError,
        commands: impl FnOnce(&mut CommandEncoder),
    ) -> Result<(), DeviceError> {
        self.guarded(refused, || {
            let mut encoder = self.device.create_command_encoder(&CommandEncoderDescriptor::default());
            commands(&mut encoder);
            self.queue.submit([encoder.finish()]);
        })
    }

    /// Calls wgpu and returns its validation, out-of-memory and internal errors.
    fn scoped<T>(&self, action: impl FnOnce() -> T) -> (T, [Option<String>; 3]) {
        let invalid = self.device.push_error_scope(ErrorFilter::Validation);
        let memory = self.device.push_error_scope(ErrorFilter::OutOfMemory);
        let internal = self.device.push_error_scope(ErrorFilter::Internal);
        let result = action();
        let (internal, memory, invalid) = (block_on(internal.pop()), block_on(memory.pop()), block_on(invalid.pop()));
        (result, [invalid, memory, internal].map(|error| error.map(|error| error.to_string())))
    }

    /// Waits until all that was submitted is done.
    pub(crate) fn finish(&self) -> Result<(), DeviceError> {
        let wait = || self.device.poll(PollType::Wait { submission_index: None, timeout: None });
        // wgpu panics if the GPU is lost during the wait, and holds no lock then.
        let waited = catch_unwind(AssertUnwindSafe(wait));
        self.alive()?;
        let waited = waited.map_err(|_| lost("it stopped during a wait".into()))?;
        waited.map(|_| ()).map_err(|error| lost(error.to_string()))
    }

    /// Fails if the GPU is lost. A lost GPU ignores commands without an error, but maps nothing. An error of the mapping itself means
    /// that another thread is still mapping the few bytes.
    fn alive(&self) -> Result<(), DeviceError> {
        let refused = Arc::new(Mutex::new(None));
        let answer = Arc::clone(&refused);
        let probe = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        let ((), errors) = self.scoped(|| {
            probe.map_async(MapMode::Read, .., move |result| {
                *answer.lock().unwrap_or_else(PoisonError::into_inner) = result.err().map(|error| error.to_string());
            });
        });
        let refused = refused.lock().unwrap_or_else(PoisonError::into_inner).take();
        let refused = refused.filter(|_| errors.iter().all(Option::is_none));
        let _ = self.scoped(|| probe.unmap());
        let said = self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone();
        said.or(refused).map_or(Ok(()), |problem| Err(lost(problem)))
    }
}
