//! Runs with known shapes allocate nothing.

mod common;

use common::artifact;
use lostwax_runtime::api::{Device, DeviceError, Executor, Io, Prepared, Program, VariantInfo, WeightBytes};
use lostwax_runtime::{Model, Outputs, Tensor};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: all calls go to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of this function.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Has states and runs nothing.
#[derive(Default)]
struct Idle([u8; 4]);

impl Device for Idle {
    fn name(&self) -> &str {
        "idle"
    }

    fn select(&self, _: &[VariantInfo]) -> Option<usize> {
        Some(0)
    }

    fn load(&self, _: &[u8], _: WeightBytes) -> Result<Arc<dyn Program>, DeviceError> {
        Ok(Arc::new(Idle::default()))
    }
}

impl Program for Idle {
    fn kernel_count(&self) -> usize {
        3
    }

    fn executor(self: Arc<Self>, _: usize) -> Result<Box<dyn Executor>, DeviceError> {
        Ok(Box::new(Idle::default()))
    }
}

impl Executor for Idle {
    fn prepare(&mut self, _: Prepared) -> Result<(), DeviceError> {
        Ok(())
    }

    fn run(&mut self, _: &mut Io<'_>) -> Result<(), DeviceError> {
        Ok(())
    }

    fn run_profiled(&mut self, io: &mut Io<'_>, _: &mut Vec<f64>) -> Result<(), DeviceError> {
        self.run(io)
    }

    fn state(&mut self, _: usize) -> Option<&mut [u8]> {
        Some(&mut self.0)
    }
}

#[test]
fn runs_allocate_nothing() {
    let device: Arc<dyn Device> = Arc::new(Idle::default());
    let mut session = Model::from_bytes(artifact()).unwrap().session(device).unwrap();
    let (x, bias) = (Tensor::from_slice(&[0.0f32; 64], &[2, 32]).unwrap(), Tensor::from_slice(&[0.0f32], &[]).unwrap());
    let inputs = [("x", x.as_view()), ("bias", bias.as_view())];
    let mut outputs = Outputs::new();
    session.run_into(&inputs, &mut outputs).unwrap();
    let before = COUNT.with(Cell::get);
    for _ in 0..10 {
        session.run_into(&inputs, &mut outputs).unwrap();
    }
    assert_eq!(COUNT.with(Cell::get), before);
}
