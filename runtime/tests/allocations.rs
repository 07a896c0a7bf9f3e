//! Runs allocate nothing if shapes are known, or if only the value of a symbol is new.

mod common;

use common::plan;
use lostwax_runtime::api::{Device, DeviceError, Executor, Io, Prepared, Program, VariantInfo, WeightBytes};
use lostwax_runtime::format::{Expr, Symbol, Writer, expr::Kind};
use lostwax_runtime::{Model, Outputs, Session, Tensor};
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
    fn prepare(&mut self, _: &Prepared) -> Result<(), DeviceError> {
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

/// A session of the model with a symbol `past` that only a dispatch depends on.
fn session() -> Session {
    let mut writer = Writer::new("tests 1.0");
    let mut plan = plan(&mut writer);
    plan.variants[0].dispatches[3].symbols[0] = plan.exprs.len() as u32;
    plan.exprs.push(Expr { kind: Some(Kind::Symbol(plan.symbols.len() as u32)) });
    plan.symbols.push(Symbol { name: "past".into(), min: 0, max: 1000 });
    let mut file = Vec::new();
    writer.write(&plan, &mut file).unwrap();
    let device: Arc<dyn Device> = Arc::new(Idle::default());
    Model::from_bytes(file).unwrap().session(device).unwrap()
}

#[test]
fn runs_allocate_nothing() {
    let mut session = session();
    let (x, bias) = (Tensor::from_slice(&[0.0f32; 64], &[2, 32]).unwrap(), Tensor::from_slice(&[0.0f32], &[]).unwrap());
    let inputs = [("x", x.as_view()), ("bias", bias.as_view())];
    let mut outputs = Outputs::new();
    session.bind("past", 0).unwrap();
    session.run_into(&inputs, &mut outputs).unwrap();
    let before = COUNT.with(Cell::get);
    for past in 0..10 {
        session.bind("past", past).unwrap();
        session.run_into(&inputs, &mut outputs).unwrap();
        session.run_into(&inputs, &mut outputs).unwrap();
    }
    assert_eq!(COUNT.with(Cell::get), before);
}
