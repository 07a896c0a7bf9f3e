//! The processor, and what it answers when something goes wrong.

use crate::NAME;
use crate::format::{Feature, Limits as Amounts};
use lostwax_target_api::DeviceError;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use wgpu::{ErrorFilter, Features, InstanceDescriptor, Limits, PollType, PowerPreference};

/// A processor that is ready to work.
pub(crate) struct Gpu {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    pub(crate) limits: Limits,
    features: Features,
    description: String,
    /// Why the processor stopped answering, once it has.
    lost: Arc<Mutex<Option<String>>>,
}

impl Gpu {
    /// The processor that the system prefers for speed.
    ///
    /// # Errors
    /// That there is none, in words.
    pub(crate) fn fastest() -> Result<Self, String> {
        let instance = wgpu::Instance::new(InstanceDescriptor::new_without_display_handle());
        let options = wgpu::RequestAdapterOptions { power_preference: PowerPreference::HighPerformance, ..Default::default() };
        let adapter = wait(instance.request_adapter(&options)).map_err(|error| format!("this machine: {error}"))?;
        let wanted = Features::SHADER_INT64 | Features::SHADER_F64;
        let (features, limits, info) = (adapter.features() & wanted, adapter.limits(), adapter.get_info());
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("lostwax"),
            required_features: features,
            required_limits: limits.clone(),
            ..Default::default()
        };
        let (device, queue) = wait(adapter.request_device(&descriptor)).map_err(|error| format!("{}: {error}", info.name))?;
        let lost = Arc::new(Mutex::new(None));
        let answer = Arc::clone(&lost);
        device.set_device_lost_callback(move |reason, message| {
            *answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{reason:?}: {message}"));
        });
        let uncaught = Arc::clone(&lost);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            uncaught.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error.to_string());
        }));
        let description = format!("{} ({:?}, {:?})", info.name, info.device_type, info.backend);
        Ok(Self { device, queue, limits, features, description, lost })
    }

    /// Whether shaders may use a feature.
    pub(crate) fn has(&self, feature: Feature) -> bool {
        self.features.contains(match feature {
            Feature::Int64 => Features::SHADER_INT64,
            Feature::Float64 => Features::SHADER_F64,
        })
    }

    /// The limits that shaders are held to.
    pub(crate) fn offered(&self) -> Amounts {
        let limits = &self.limits;
        Amounts {
            storage_buffers: limits.max_storage_buffers_per_shader_stage.into(),
            binding_bytes: limits.max_storage_buffer_binding_size,
            buffer_bytes: limits.max_buffer_size,
            workgroup_bytes: limits.max_compute_workgroup_storage_size.into(),
            invocations: limits.max_compute_invocations_per_workgroup.into(),
            workgroups: limits.max_compute_workgroups_per_dimension.into(),
        }
    }

    /// For people.
    pub(crate) fn description(&self) -> &str {
        &self.description
    }

    /// Runs something on the processor's interface; `refused` makes an error of what the interface objects to.
    pub(crate) fn guarded<T>(
        &self,
        refused: impl FnOnce(String) -> DeviceError,
        action: impl FnOnce() -> T,
    ) -> Result<T, DeviceError> {
        let invalid = self.device.push_error_scope(ErrorFilter::Validation);
        let memory = self.device.push_error_scope(ErrorFilter::OutOfMemory);
        let internal = self.device.push_error_scope(ErrorFilter::Internal);
        let result = action();
        let (internal, memory, invalid) = (wait(internal.pop()), wait(memory.pop()), wait(invalid.pop()));
        self.alive()?;
        match (memory, internal, invalid) {
            (Some(error), _, _) => Err(out_of_memory(error.to_string())),
            (_, Some(error), _) => Err(lost(error.to_string())),
            (_, _, Some(error)) => Err(refused(error.to_string())),
            (None, None, None) => Ok(result),
        }
    }

    /// Waits until all that was submitted is done.
    pub(crate) fn finish(&self) -> Result<(), DeviceError> {
        let waited = self.device.poll(PollType::Wait { submission_index: None, timeout: None });
        self.alive()?;
        waited.map(|_| ()).map_err(|error| lost(error.to_string()))
    }

    fn alive(&self) -> Result<(), DeviceError> {
        match &*self.lost.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(problem) => Err(lost(problem.clone())),
            None => Ok(()),
        }
    }
}

pub(crate) fn lost(problem: String) -> DeviceError {
    DeviceError::Lost { device: NAME.into(), problem }
}

pub(crate) fn out_of_memory(problem: String) -> DeviceError {
    DeviceError::LimitExceeded { resource: "memory of the graphics processor", problem }
}

/// The result of a future of wgpu, which natively is ready when it is made.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return result;
        }
        std::thread::yield_now();
    }
}
