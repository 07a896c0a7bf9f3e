//! A GPU that the test has opened itself, as programs do that use it for other work.
#![allow(dead_code)]

use lostwax_device_gpu::{device_of, wgpu};
use lostwax_target_api::Device;
use std::sync::{Arc, Mutex};
use wgpu::{DeviceDescriptor, Features, InstanceDescriptor, Limits, RequestAdapterOptions};

/// The GPU, and its errors that nothing caught.
pub struct Opened {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub uncaught: Arc<Mutex<Vec<String>>>,
}

impl Opened {
    /// A GPU with some of its features and reduced limits.
    pub fn new(features: Features, limit: impl FnOnce(&mut Limits)) -> Self {
        let instance = wgpu::Instance::new(InstanceDescriptor::new_without_display_handle());
        let adapter = ready(instance.request_adapter(&RequestAdapterOptions::default())).expect("a GPU, or a software one");
        let mut required_limits = adapter.limits();
        limit(&mut required_limits);
        let descriptor = DeviceDescriptor { required_features: features, required_limits, ..Default::default() };
        let (device, queue) = ready(adapter.request_device(&descriptor)).expect("less than there is");
        let uncaught = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&uncaught);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| list.lock().unwrap().push(error.to_string())));
        Self { device, queue, uncaught }
    }

    /// The same GPU for kernels.
    pub fn for_kernels(&self) -> Arc<dyn Device> {
        device_of((self.device.clone(), self.queue.clone()))
    }
}

/// The result of a future that is ready when it is made.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(result) => result,
        std::task::Poll::Pending => panic!("the future is not ready"),
    }
}
